//! Sequence numbers as an onlooker sees them: which came, which came twice, which did not come.

/// How many numbers back an onlooker remembers at least; more if the SA's receiver does.
const WINDOW: usize = 1024;
/// `XFRMA_REPLAY_ESN_MAX`: no receiver remembers more.
const LONGEST_WINDOW: usize = 4096;

/// The numbers of one SA seen on one interface. Only authentic packets may be counted.
#[derive(Clone, Debug)]
pub struct Seen {
    highest: Option<u64>,
    /// A bit for each number that is remembered, by its rest.
    bits: Box<[u64]>,
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is the next, or fills a gap.
    Fine,
    /// So many before it were not seen.
    Gap(u32),
    /// It was seen before.
    Repeated,
    /// It is too far back to tell.
    Behind,
}

impl Seen {
    /// Nothing so far, of an SA whose receiver has this window.
    pub fn with_window(window: u32) -> Self {
        let numbers = usize::try_from(window).unwrap_or(LONGEST_WINDOW).clamp(WINDOW, LONGEST_WINDOW);
        Self { highest: None, bits: vec![0; numbers.div_ceil(64)].into() }
    }

    /// How many numbers back are remembered.
    fn reach(&self) -> u64 {
        self.bits.len() as u64 * 64
    }

    /// The highest number so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Whether a number was seen, as far back as is remembered.
    pub fn has(&self, number: u64) -> bool {
        self.highest.is_some_and(|highest| {
            highest.checked_sub(number).is_some_and(|back| back < self.reach()) && self.is_set(number)
        })
    }

    /// Takes a number in.
    pub fn take(&mut self, number: u64) -> Step {
        let Some(highest) = self.highest else {
            self.highest = Some(number);
            self.set(number, true);
            return Step::Fine;
        };
        if number > highest {
            let ahead = number - highest;
            let from = number.saturating_sub(self.reach()).max(highest) + 1;
            for skipped in from..number {
                self.set(skipped, false);
            }
            self.highest = Some(number);
            self.set(number, true);
            return match ahead {
                1 => Step::Fine,
                ahead => Step::Gap(u32::try_from(ahead - 1).unwrap_or(u32::MAX)),
            };
        }
        if highest - number >= self.reach() {
            return Step::Behind;
        }
        if self.is_set(number) {
            return Step::Repeated;
        }
        self.set(number, true);
        Step::Fine
    }

    fn set(&mut self, number: u64, is_seen: bool) {
        let (word, bit) = self.place(number);
        if let Some(word) = self.bits.get_mut(word) {
            if is_seen { *word |= bit } else { *word &= !bit }
        }
    }

    fn is_set(&self, number: u64) -> bool {
        let (word, bit) = self.place(number);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(&self, number: u64) -> (usize, u64) {
        let rest = usize::try_from(number % self.reach()).unwrap_or(0);
        (rest / 64, 1 << (rest % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(numbers: &[u64]) -> Vec<Step> {
        let mut seen = Seen::with_window(32);
        numbers.iter().map(|number| seen.take(*number)).collect()
    }

    #[test]
    fn the_first_number_is_fine_wherever_one_begins_to_look() {
        assert_eq!(steps(&[70_000, 70_001]), [Step::Fine, Step::Fine]);
    }

    #[test]
    fn gaps_are_counted_and_late_ones_fill_them() {
        use Step::{Behind, Fine, Gap, Repeated};
        assert_eq!(steps(&[1, 5, 3, 3, 5, 6]), [Fine, Gap(3), Fine, Repeated, Repeated, Fine]);
        assert_eq!(steps(&[1, 2000, 1, 977, 977]), [Fine, Gap(1998), Behind, Fine, Repeated]);
        // A number leaves the same bit behind as the one a window before it.
        assert_eq!(steps(&[5, 1029, 1028]), [Fine, Gap(1023), Fine]);
        assert_eq!(steps(&[u64::MAX - 1, u64::MAX, u64::MAX]), [Fine, Fine, Repeated]);
        assert_eq!(steps(&[0, u64::MAX]), [Fine, Gap(u32::MAX)]);
    }

    #[test]
    fn as_much_is_remembered_as_the_receiver_remembers() {
        use Step::{Behind, Fine, Gap, Repeated};
        let mut seen = Seen::with_window(3000);
        assert_eq!(
            [1, 3000, 2, 2, 3100, 3].map(|number| seen.take(number)),
            [Fine, Gap(2998), Fine, Repeated, Gap(99), Behind]
        );
        assert_eq!(Seen::with_window(u32::MAX).reach(), 4096);
    }
}
