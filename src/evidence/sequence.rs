//! Sequence numbers as an onlooker sees them: which came, which came twice, which did not come.

/// How many numbers back an onlooker remembers.
const WINDOW: usize = 1024;

/// The numbers of one SA seen on one interface. Only authentic packets may be counted.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    highest: Option<u64>,
    /// A bit for each number of the window, by its rest.
    bits: [u64; WINDOW / 64],
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
    /// The highest number so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Takes a number in.
    pub fn take(&mut self, number: u64) -> Step {
        let Some(highest) = self.highest else {
            self.highest = Some(number);
            self.set(number);
            return Step::Fine;
        };
        if number > highest {
            let ahead = number - highest;
            for skipped in (highest + 1..number).rev().take(WINDOW) {
                self.clear(skipped);
            }
            self.highest = Some(number);
            self.set(number);
            return match ahead {
                1 => Step::Fine,
                ahead => Step::Gap(u32::try_from(ahead - 1).unwrap_or(u32::MAX)),
            };
        }
        if highest - number >= WINDOW as u64 {
            return Step::Behind;
        }
        if self.is_set(number) {
            return Step::Repeated;
        }
        self.set(number);
        Step::Fine
    }

    fn set(&mut self, number: u64) {
        let (word, bit) = place(number);
        self.bits[word] |= bit;
    }

    fn clear(&mut self, number: u64) {
        let (word, bit) = place(number);
        self.bits[word] &= !bit;
    }

    fn is_set(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.bits[word] & bit != 0
    }
}

/// Always within the array: the rest is below [`WINDOW`].
fn place(number: u64) -> (usize, u64) {
    let rest = usize::try_from(number % WINDOW as u64).unwrap_or(0);
    (rest / 64, 1 << (rest % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(numbers: &[u64]) -> Vec<Step> {
        let mut seen = Seen::default();
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
}
