//! The time line of events: what the kernel said and what the console did.

use super::ring::{Ring, Weighed};

/// How many entries are kept; older ones are forgotten and counted.
const MOST_ENTRIES: usize = 10_000;
/// How many bytes they may take.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The kernel's events.
    Kernel,
    /// The user's deeds and their outcomes.
    Console,
    /// The capture of packets.
    Capture,
    /// The counters of lost packets.
    Counter,
}

impl Origin {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Console => "console",
            Self::Capture => "capture",
            Self::Counter => "counter",
        }
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// To be known.
    Note,
    /// To be looked at.
    Warning,
    /// To be looked at now.
    Alarm,
}

impl Weight {
    /// The word in the table; a note needs none.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "",
            Self::Warning => "warning",
            Self::Alarm => "ALARM",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// Who says it.
    pub origin: Origin,
    /// How much it matters.
    pub weight: Weight,
    /// What, in a sentence; never a key.
    pub text: String,
}

impl Weighed for Entry {
    fn cost(&self) -> usize {
        size_of::<Self>() + self.text.len()
    }
}

/// The time line.
pub type Log = Ring<Entry>;

/// An empty time line.
pub fn new() -> Log {
    Ring::with_room(MOST_ENTRIES, MOST_BYTES)
}
