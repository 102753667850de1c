//! The caller's terminal: raw while the command has it, and as it was afterwards.

use std::io::{self, IsTerminal, Write};

use rustix::stdio::{stdin, stdout};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Whatever a program may have switched on: the alternate screen, mouse reports, bracketed paste, a hidden cursor,
/// colours.
const SWITCH_ALL_OFF: &[u8] = b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[0m";

/// Rows and columns, if input, output and errors are all terminals: only then the command gets one of its own.
pub(super) fn size_if_all_are_terminals() -> Option<(u16, u16)> {
    let all = io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    all.then(size).flatten()
}

/// Rows and columns of the output's terminal.
pub(super) fn size() -> Option<(u16, u16)> {
    tcgetwinsize(stdout()).ok().map(|size| (size.ws_row, size.ws_col))
}

/// A terminal's modes, to be set again.
pub(super) struct Modes(Termios);

impl Modes {
    /// Those of the input's terminal; `None` if it is none.
    pub(super) fn now() -> Option<Self> {
        tcgetattr(stdin()).ok().map(Self)
    }

    /// Makes the terminal wait: keys are neither shown nor taken, but Ctrl-C still ends what runs.
    pub(super) fn make_waiting(&self) -> io::Result<()> {
        let mut waiting = self.0.clone();
        waiting.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHONL);
        Ok(tcsetattr(stdin(), OptionalActions::Now, &waiting)?)
    }

    /// Makes the terminal raw: every key goes through.
    pub(super) fn make_raw(&self) -> io::Result<()> {
        let mut raw = self.0.clone();
        raw.make_raw();
        Ok(tcsetattr(stdin(), OptionalActions::Now, &raw)?)
    }

    /// Sets the terminal that this was read from as it was then. `crashed` if the program in it did not end by itself:
    /// then whatever it switched on is switched off too.
    pub(super) fn give_back(&self, crashed: bool) {
        give_back(stdin(), stdout(), &self.0, crashed);
    }
}

/// Sets a terminal as it was.
pub(super) fn give_back(input: impl std::os::fd::AsFd, output: impl std::os::fd::AsFd, modes: &Termios, crashed: bool) {
    if crashed {
        let _ = rustix::io::write(&output, SWITCH_ALL_OFF);
        let _ = io::stdout().flush();
    }
    let _ = tcsetattr(&input, OptionalActions::Now, modes);
}
