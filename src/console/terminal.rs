//! The terminal in the state that the console needs, and back again whatever happens.

use std::io::{self, IsTerminal, Stdout, Write};
use std::mem::ManuallyDrop;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::model::Secret;
use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken. It is given back when this goes, also by a panic.
pub struct TakenTerminal {
    /// Where to draw. It is given back here and never dropped: ratatui would then tell a terminal that is gone that it
    /// cannot be told to show its cursor, and panic over that.
    pub screen: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
}

impl TakenTerminal {
    /// Takes the terminal: raw keys, its other screen, pastes in one piece.
    ///
    /// # Errors
    /// When input or output is no terminal, or it refuses.
    pub fn take() -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::other(
                "the console needs a terminal; without one, use `espial sa`, `espial policy` or `espial apply`",
            ));
        }
        give_back_on_panic();
        TAKEN.store(true, Ordering::Release);
        let taken = || -> io::Result<_> {
            enable_raw_mode()?;
            execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
            Terminal::new(CrosstermBackend::new(io::stdout()))
        };
        taken().map(|screen| Self { screen: ManuallyDrop::new(screen) }).inspect_err(|_| give_back())
    }

    /// Makes the next picture draw every cell, whatever is on the terminal now.
    ///
    /// Not by `Terminal::clear`, which asks the terminal where its cursor is and fails if no answer comes in time.
    ///
    /// # Errors
    /// When the terminal breaks.
    pub fn redraw(&mut self) -> io::Result<()> {
        let size = self.screen.size()?;
        self.screen.resize(size.into())
    }

    /// Puts a text into the clipboard of the user's terminal (OSC 52). Whether it takes it, no terminal says.
    ///
    /// # Errors
    /// When the terminal breaks.
    pub fn copy(&mut self, text: &Secret) -> io::Result<()> {
        execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text.expose()))
    }
}

impl Drop for TakenTerminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back if it was taken. Errors have nowhere to go: the terminal is what is broken then.
fn give_back() {
    if TAKEN.swap(false, Ordering::AcqRel) {
        let mut out = io::stdout();
        let _ = execute!(out, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
        let _ = out.flush();
    }
}

/// A panic of this thread ends the program: its message must find a terminal that shows it. One of another thread
/// does not, and must not write over the screen: the runtime sees the thread's end and says so there.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    let drawing = thread::current().id();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == drawing {
                give_back();
                usual(info);
            } else if !TAKEN.load(Ordering::Acquire) {
                usual(info);
            }
        }));
    });
}
