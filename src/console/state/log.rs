//! The time line of events: what the kernel said and what the console did.

use std::collections::VecDeque;

/// How many entries are kept; older ones are forgotten and counted.
const CAPACITY: usize = 10_000;

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

/// The newest entries, each with a number that stays.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: VecDeque<Entry>,
    forgotten: u64,
}

impl Log {
    /// Adds an entry.
    pub fn push(&mut self, entry: Entry) {
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(entry);
    }

    /// All entries that are kept with their numbers, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        (self.forgotten..self.forgotten + self.entries.len() as u64).zip(&self.entries)
    }

    /// The entry of this number, if it is kept.
    pub fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number.checked_sub(self.forgotten)?).ok()?)
    }

    /// The number of the oldest entry kept, which is how many were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The number that the next entry gets.
    pub fn next_number(&self) -> u64 {
        self.forgotten + self.entries.len() as u64
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_while_the_old_are_forgotten() {
        let mut log = Log::default();
        for n in 0..CAPACITY as u64 + 5 {
            let text = n.to_string();
            log.push(Entry { at_ms: n, origin: Origin::Kernel, weight: Weight::Note, text });
        }
        assert_eq!((log.len(), log.forgotten()), (CAPACITY, 5));
        assert!(log.get(4).is_none());
        assert_eq!(log.get(5).unwrap().text, "5");
        assert_eq!(log.iter().next().unwrap().0, 5);
        assert!(log.get(log.next_number()).is_none());
    }
}
