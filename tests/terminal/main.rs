//! The program itself in a pseudo-terminal: what it leaves behind, whichever way it ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should say where")]

use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::tcgetattr;

/// The argument that turns this binary into the child that panics.
const PANICKING_CHILD: &str = "--panicking-child";
/// Longer than anything here takes on a slow machine: reaching it is a failure, not a wait.
const PATIENCE: Duration = Duration::from_mins(1);

fn main() {
    if std::env::args().any(|argument| argument == PANICKING_CHILD) {
        let _terminal = espial::console::terminal::TakenTerminal::take().unwrap();
        panic!("the child panics as it was told");
    }
    let tests: Vec<Trial> =
        TESTS.iter().map(|(name, test)| Trial::test(*name, || test().map_err(Failed::from))).collect();
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

type Test = fn() -> Result<(), String>;

const TESTS: [(&str, Test); 8] = [
    ("q_leaves_and_the_terminal_is_as_it_was", q_leaves),
    ("ctrl_c_leaves_a_form", ctrl_c_leaves_a_form),
    ("sigterm_leaves_and_the_terminal_is_as_it_was", sigterm_leaves),
    ("sighup_leaves_and_the_terminal_is_as_it_was", sighup_leaves),
    ("a_panic_gives_the_terminal_back_and_shows_its_message", a_panic_gives_the_terminal_back),
    ("any_size_down_to_1x1_is_survived", any_size_is_survived),
    ("pasted_text_is_no_key", pasted_text_is_no_key),
    ("without_a_terminal_it_says_what_to_use_instead", without_a_terminal),
];

/// A program in a terminal of its own.
struct Session {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    before: String,
}

impl Session {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let before = modes(pair.master.as_ref());
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { master: pair.master, child, writer, output, screen: vt100::Parser::new(cells(24), cells(80), 0), before }
    }

    fn espial() -> Self {
        Self::start(env!("CARGO_BIN_EXE_espial"), &["--config", "/dev/null"])
    }

    /// Takes output in until the screen is as wanted.
    fn until(&mut self, what: &str, done: impl Fn(&vt100::Screen) -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !done(self.screen.screen()) {
            match self.output.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(_) => return Err(format!("{what} did not come; the screen:\n{}", self.screen.screen().contents())),
            }
        }
        Ok(())
    }

    fn sees(&mut self, text: &str) -> Result<(), String> {
        self.until(text, |screen| screen.contents().contains(text))
    }

    fn press(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    fn resize(&mut self, rows: u16, cols: u16) {
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        self.screen.screen_mut().set_size(cells(rows), cells(cols));
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.process_id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the program's end; checks its status and that the terminal is as it was.
    fn ends(mut self, status: u32) -> Result<String, String> {
        let mut text = Vec::new();
        let start = Instant::now();
        // The channel closes when the last process has let go of the terminal.
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
            self.screen.process(&bytes);
            text.extend(bytes);
        }
        let ended = self.child.wait().unwrap();
        let screen = self.screen.screen();
        let after = modes(self.master.as_ref());
        let complaints = [
            (ended.exit_code() == status, format!("the status is {}, not {status}", ended.exit_code())),
            (!screen.alternate_screen(), "the alternate screen is still there".to_owned()),
            (!screen.hide_cursor(), "the cursor is still hidden".to_owned()),
            (!screen.bracketed_paste(), "pastes are still bracketed".to_owned()),
            (after == self.before, format!("the terminal's modes differ: {} became {after}", self.before)),
        ];
        match complaints.into_iter().find(|(fine, _)| !fine) {
            Some((_, complaint)) => Err(format!("{complaint}; the screen:\n{}", screen.contents())),
            None => Ok(String::from_utf8_lossy(&text).into_owned()),
        }
    }
}

fn cells(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

fn modes(master: &(dyn MasterPty + Send)) -> String {
    // SAFETY: the descriptor lives as long as the borrow of its owner.
    #[allow(unsafe_code, reason = "the pty's crate hands out a bare number only")]
    let descriptor = unsafe { BorrowedFd::borrow_raw(master.as_raw_fd().unwrap()) };
    format!("{:?}", tcgetattr(descriptor).unwrap())
}

fn q_leaves() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.press("2");
    session.sees("Policies")?;
    session.press("q");
    session.ends(0).map(drop)
}

fn ctrl_c_leaves_a_form() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.press("a");
    session.sees("Add an SA")?;
    session.press("\x03");
    session.ends(0).map(drop)
}

fn sigterm_leaves() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.signal(Signal::TERM);
    session.ends(0).map(drop)
}

fn sighup_leaves() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.signal(Signal::HUP);
    session.ends(0).map(drop)
}

fn a_panic_gives_the_terminal_back() -> Result<(), String> {
    let own = std::env::current_exe().unwrap();
    let session = Session::start(own.to_str().unwrap(), &[PANICKING_CHILD]);
    let text = session.ends(101)?;
    let (_, behind) = text.rsplit_once("\x1b[?1049l").ok_or("it never left the alternate screen")?;
    if behind.contains("the child panics as it was told") {
        Ok(())
    } else {
        Err(format!("the message does not stand on the usual screen: {text:?}"))
    }
}

fn any_size_is_survived() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    for (rows, cols) in [(1, 1), (2, 300), (200, 2), (10, 40), (9, 39), (1, 80), (24, 1), (50, 200)] {
        session.resize(rows, cols);
    }
    session.sees("nothing selected")?;
    session.resize(24, 80);
    session.press("?");
    session.sees("Keys")?;
    session.press("q");
    session.press("q");
    session.ends(0).map(drop)
}

fn pasted_text_is_no_key() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.press("\x1b[200~qqq\x1b[201~");
    session.sees("pasted text goes into fields only")?;
    session.press("q");
    session.ends(0).map(drop)
}

fn without_a_terminal() -> Result<(), String> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_espial")).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let fine = output.status.code() == Some(1) && output.stdout.is_empty() && words.contains("espial sa");
    if fine { Ok(()) } else { Err(format!("{output:?}")) }
}
