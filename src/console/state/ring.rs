//! The newest of what comes, bounded in number and in memory, each with a number that stays.

use std::collections::VecDeque;

/// What a ring holds: items that know what they cost.
pub trait Weighed {
    /// The memory that goes with it, in bytes.
    fn cost(&self) -> usize;
}

/// The newest items.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    items: VecDeque<T>,
    forgotten: u64,
    cost: usize,
    most: usize,
    most_cost: usize,
}

impl<T: Weighed> Ring<T> {
    /// Room for so many items of so many bytes together; the newest one is always kept.
    pub fn with_room(most: usize, most_cost: usize) -> Self {
        Self { items: VecDeque::new(), forgotten: 0, cost: 0, most, most_cost }
    }

    /// Adds an item and forgets old ones for it.
    pub fn push(&mut self, item: T) {
        self.cost += item.cost();
        self.items.push_back(item);
        while self.items.len() > 1 && (self.items.len() > self.most || self.cost > self.most_cost) {
            if let Some(oldest) = self.items.pop_front() {
                self.cost -= oldest.cost();
                self.forgotten += 1;
            }
        }
    }

    /// Forgets everything. Numbers go on.
    pub fn clear(&mut self) {
        self.forgotten = self.next_number();
        self.items.clear();
        self.cost = 0;
    }

    /// All items that are kept with their numbers, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.forgotten..self.next_number()).zip(&self.items)
    }

    /// The newest items, newest first; what they cost must not change.
    pub fn newest_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut().rev()
    }

    /// The item of this number, if it is kept.
    pub fn get(&self, number: u64) -> Option<&T> {
        self.items.get(usize::try_from(number.checked_sub(self.forgotten)?).ok()?)
    }

    /// The number of the oldest item kept, which is how many were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The number that the next item gets.
    pub fn next_number(&self) -> u64 {
        self.forgotten + self.items.len() as u64
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weighed for usize {
        fn cost(&self) -> usize {
            *self
        }
    }

    #[test]
    fn numbers_stay_while_the_old_are_forgotten() {
        let mut ring = Ring::with_room(10, 1000);
        (0..15).for_each(|item| ring.push(item));
        assert_eq!((ring.len(), ring.forgotten()), (10, 5));
        assert_eq!((ring.get(4), ring.get(5), ring.get(ring.next_number())), (None, Some(&5), None));
        assert_eq!(ring.iter().next(), Some((5, &5)));
        ring.clear();
        assert_eq!((ring.len(), ring.forgotten(), ring.next_number()), (0, 15, 15));
    }

    #[test]
    fn memory_is_a_bound_as_well_but_the_newest_stays() {
        let mut ring = Ring::with_room(10, 100);
        for item in [60, 30, 20] {
            ring.push(item);
        }
        assert_eq!(ring.iter().map(|(_, item)| *item).collect::<Vec<_>>(), [30, 20]);
        ring.push(5000);
        assert_eq!(ring.iter().collect::<Vec<_>>(), [(3, &5000)]);
        ring.push(1);
        assert_eq!(ring.iter().collect::<Vec<_>>(), [(4, &1)]);
    }
}
