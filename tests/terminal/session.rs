//! A program in a terminal of its own: keys in, a screen out.

use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::tcgetattr;

/// Longer than anything here takes on a slow machine: reaching it is a failure, not a wait.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program in a terminal of its own.
pub struct Session {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    before: String,
}

impl Session {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
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

    pub fn espial() -> Self {
        Self::start(env!("CARGO_BIN_EXE_espial"), &["--config", "/dev/null"])
    }

    /// Takes output in until the screen is as wanted.
    pub fn until(&mut self, what: &str, done: impl Fn(&vt100::Screen) -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !done(self.screen.screen()) {
            match self.output.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(_) => return Err(format!("{what} did not come; the screen:\n{}", self.screen.screen().contents())),
            }
        }
        Ok(())
    }

    pub fn sees(&mut self, text: &str) -> Result<(), String> {
        self.until(text, |screen| screen.contents().contains(text))
    }

    /// What is on the screen as far as it was taken in.
    #[allow(dead_code, reason = "the kernel tests use it")]
    pub fn contents(&self) -> String {
        self.screen.screen().contents()
    }

    pub fn press(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    pub fn resize(&mut self, rows: u16, cols: u16) {
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        self.screen.screen_mut().set_size(cells(rows), cells(cols));
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.process_id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the program's end; checks its status and that the terminal is as it was.
    pub fn ends(mut self, status: u32) -> Result<String, String> {
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
