//! The part of a User-Mode Linux lab that has the caller's terminal: it passes input in, output out, sizes on, and
//! ends everything when it is told to.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use super::frame::{Decoder, INPUT_WINDOW, ToInside, ToOutside};
use super::terminal::{self, Modes};
use super::uml::Line;
use super::{LabError, Request};

/// What the threads share.
struct Shared {
    line: Mutex<File>,
    /// How many bytes of input may still be sent.
    credit: Mutex<usize>,
    granted: Condvar,
    /// The signal that ended the lab, 0 while none has.
    signal: AtomicI32,
    /// Written to when a signal has come, for who waits for output.
    wake: OwnedFd,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn say(&self, frame: &ToInside) {
        // An inside that is gone is noticed where its words are read.
        let _ = locked(&self.line).write_all(&frame.encode());
    }

    /// Waits for credit; returns how much there is.
    fn wait_for_credit(&self) -> usize {
        let mut credit = locked(&self.credit);
        while *credit == 0 {
            credit = self.granted.wait(credit).unwrap_or_else(PoisonError::into_inner);
        }
        *credit
    }

    fn spend(&self, bytes: usize) {
        *locked(&self.credit) -= bytes;
    }

    fn grant(&self, bytes: usize) {
        *locked(&self.credit) += bytes;
        self.granted.notify_one();
    }
}

/// Passes everything to and fro until the command has ended; returns its status.
pub(super) fn relay(request: &Request, line: Line) -> Result<u8, LabError> {
    let shared = Arc::new(Shared {
        line: Mutex::new(line.to_inside),
        // Nothing may be sent before the line is raw.
        credit: Mutex::new(0),
        granted: Condvar::new(),
        signal: AtomicI32::new(0),
        wake: eventfd(0, EventfdFlags::CLOEXEC).map_err(LabError::os("preparing for signals"))?,
    });
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGWINCH]).map_err(LabError::io("catching signals"))?;
    let handle = signals.handle();
    let modes = Modes::now().filter(|_| request.terminal.is_some());
    if let Some(modes) = &modes {
        modes.make_waiting().map_err(LabError::io("preparing the terminal"))?;
    }
    let on_signal = Arc::clone(&shared);
    let watcher = thread::spawn(move || {
        for signal in signals.forever() {
            if signal == SIGWINCH {
                if let Some((rows, cols)) = terminal::size() {
                    on_signal.say(&ToInside::Resize(rows, cols));
                }
            } else {
                on_signal.signal.store(signal, Ordering::Release);
                let _ = rustix::io::write(&on_signal.wake, &1u64.to_ne_bytes());
            }
        }
    });
    let from_caller = Arc::clone(&shared);
    // It may wait for a key for ever: nobody waits for it.
    thread::spawn(move || pass_input(&from_caller));
    let result = pass_output(&line.from_inside, &shared, modes.as_ref());
    handle.close();
    let _ = watcher.join();
    if let Some(modes) = &modes {
        modes.give_back(result.is_err());
    }
    result
}

fn pass_input(shared: &Shared) {
    let mut buffer = [0; INPUT_WINDOW];
    let mut input = io::stdin();
    loop {
        let room = shared.wait_for_credit().min(INPUT_WINDOW / 2);
        match input.read(buffer.get_mut(..room).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => {
                shared.spend(read);
                shared.say(&ToInside::Input(buffer.get(..read).unwrap_or_default().to_vec()));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    shared.say(&ToInside::InputEnd);
}

/// How long the lab may take until it is there; a hundred times what it takes most often.
const LONGEST_BOOT: Timespec = Timespec { tv_sec: 300, tv_nsec: 0 };

fn pass_output(from_inside: &File, shared: &Shared, modes: Option<&Modes>) -> Result<u8, LabError> {
    let mut decoder = Decoder::default();
    let mut is_there = false;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut ears = [PollFd::new(from_inside, PollFlags::IN), PollFd::new(&shared.wake, PollFlags::IN)];
        match poll(&mut ears, (!is_there).then_some(&LONGEST_BOOT)) {
            Ok(0) => return Err(LabError::NotThere { seconds: LONGEST_BOOT.tv_sec, words: String::new() }),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(LabError::os("listening to the lab")(errno)),
        }
        let signal = shared.signal.load(Ordering::Acquire);
        if signal != 0 {
            return Err(LabError::Signal(signal));
        }
        if ears[0].revents().is_empty() {
            continue;
        }
        match rustix::io::read(from_inside, &mut buffer) {
            Ok(0) => return Err(LabError::KernelDied(String::new())),
            Ok(read) => decoder.push(buffer.get(..read).unwrap_or_default()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(LabError::os("listening to the lab")(errno)),
        }
        while let Some(frame) = decoder.next_to_outside() {
            let garbled = |_| LabError::Inside("the line to the lab carries something else".to_owned());
            match frame.map_err(garbled)? {
                ToOutside::Ready => {
                    is_there = true;
                    if let Some(modes) = modes {
                        modes.make_raw().map_err(LabError::io("making the terminal raw"))?;
                    }
                    shared.grant(INPUT_WINDOW);
                }
                ToOutside::Taken(bytes) => shared.grant(bytes.into()),
                ToOutside::Output(bytes) => write_out(&mut io::stdout().lock(), &bytes)?,
                ToOutside::Errors(bytes) => write_out(&mut io::stderr().lock(), &bytes)?,
                ToOutside::Failed(why) => return Err(LabError::Inside(why)),
                ToOutside::Exit(status) => return Ok(status),
            }
        }
    }
}

/// A reader that has gone ends the command, as it would outside of a lab.
fn write_out(out: &mut dyn Write, bytes: &[u8]) -> Result<(), LabError> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(LabError::Signal(SIGPIPE)),
        Err(error) => Err(LabError::io("passing output on")(error)),
        Ok(()) => Ok(()),
    }
}
