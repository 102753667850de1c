//! Everything that can happen to the console, in one enum.

use crossterm::event::{Event as TerminalEvent, KeyEvent};

use super::command::Outcome;
use crate::capture::{Batch, Interface};
use crate::kernel::{KernelError, Support, Update};
use crate::model::{Counts, Policy, Sa, XfrmStatistics};

/// A moment, as it comes with each event: the state reads no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the Unix epoch: for times shown.
    pub unix_ms: u64,
    /// Milliseconds since some start that never jumps: for intervals.
    pub uptime_ms: u64,
}

impl Now {
    /// Nanoseconds since the epoch, as frames are stamped.
    pub fn unix_ns(self) -> u64 {
        self.unix_ms.saturating_mul(1_000_000)
    }

    /// Seconds since the epoch, as the kernel counts.
    pub fn secs(self) -> u64 {
        self.unix_ms / 1000
    }
}

/// Something has happened.
#[derive(Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has another size, or was hidden: draw anew.
    Resized,
    /// The SAD or SPD is this, or has changed so.
    Kernel(Update),
    /// The SAD and SPD cannot be followed; tried again soon.
    KernelSilent(KernelError),
    /// Counters were read.
    Polled(Box<Polled>),
    /// What this kernel can do is known.
    Supported(Support),
    /// A command was carried out or refused.
    Done(Outcome),
    /// A command for the lab's other host was carried out or refused.
    DoneThere(Outcome),
    /// A file was written, or not and why.
    Saved {
        /// Its path, as the user typed it.
        path: String,
        /// How it went.
        result: Result<(), String>,
    },
    /// Frames were captured by the capture of this generation.
    Frames {
        /// Which capture.
        generation: u64,
        /// The frames, and what else there is to say.
        batch: Batch,
    },
    /// The capture of this generation has begun, or ended.
    Capture {
        /// Which capture.
        generation: u64,
        /// What became of it.
        news: CaptureNews,
    },
    /// The recording has come on, or ended.
    Recorder(RecorderNews),
    /// What was to be sent to a peer could not be, and why.
    ProbeFailed(String),
    /// The columns are not remembered, and why.
    NotRemembered(String),
    /// The theme that was asked for cannot be used, and why.
    ThemeRefused(String),
    /// A second has passed.
    Tick,
    /// Nothing else waits: what takes long may go on.
    Spare,
    /// A thread has ended that should not have.
    ThreadLost {
        /// Which.
        name: &'static str,
        /// Why, as far as is known.
        reason: String,
    },
    /// The program is asked to end by a signal.
    Terminated,
}

impl Event {
    /// What a terminal said, if it says anything to the console.
    pub fn of_terminal(event: TerminalEvent) -> Option<Self> {
        match event {
            TerminalEvent::Key(key) if key.is_release() => None,
            TerminalEvent::Key(key) => Some(Self::Key(key)),
            TerminalEvent::Paste(text) => Some(Self::Paste(text)),
            TerminalEvent::Resize(..) => Some(Self::Resized),
            TerminalEvent::FocusGained | TerminalEvent::FocusLost | TerminalEvent::Mouse(_) => None,
        }
    }
}

/// The kernel's counters at one moment.
#[derive(Debug)]
pub struct Polled {
    /// The SAs asked for, as they are now.
    pub sas: Vec<Sa>,
    /// The policies asked for, as they are now.
    pub policies: Vec<Policy>,
    /// How many there are.
    pub counts: Result<Counts, KernelError>,
    /// Packets lost.
    pub statistics: Option<XfrmStatistics>,
    /// The interfaces of this host.
    pub interfaces: Vec<Interface>,
}

/// What becomes of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecorderNews {
    /// What was there to be written last is written.
    Written,
    /// The file is whole.
    Ended,
    /// It cannot go on, and why.
    Failed(String),
}

/// What becomes of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureNews {
    /// Frames come from this interface.
    Started(String),
    /// None come (any more), and why.
    Failed(String),
}
