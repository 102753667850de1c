//! A table whose rows do not move: what the SAD's and the SPD's copies are made of.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

/// Where a row stands. It stays the same for as long as the row lives, and is used again after that.
pub type Slot = u32;

/// A row that tells what it is called.
pub trait Identified {
    /// What names it.
    type Id: Eq + Hash;

    /// Its name.
    fn id(&self) -> Self::Id;
}

/// Rows by identity, each in a slot that does not move, so that a sorted list of 100,000 rows stays a list of numbers.
#[derive(Clone, Debug)]
pub struct Slots<Row> {
    rows: Vec<Option<Row>>,
    free: Vec<Slot>,
    /// The slots by the hash of what stands in them: their identities are with the rows alone.
    by_id: HashTable<Slot>,
    hasher: RandomState,
}

impl<Row> Default for Slots<Row> {
    fn default() -> Self {
        Self { rows: Vec::new(), free: Vec::new(), by_id: HashTable::new(), hasher: RandomState::new() }
    }
}

impl<Row: Identified> Slots<Row> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Adds a row, or puts it in the place of the one with the same identity. Tells where, and the row it replaced.
    pub fn insert(&mut self, row: Row) -> (Slot, Option<Row>) {
        let id = row.id();
        if let Some(slot) = self.slot(&id) {
            let before = self.rows.get_mut(slot as usize).and_then(|place| place.replace(row));
            return (slot, before);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            // 2^32 rows do not fit into any memory.
            Slot::try_from(self.rows.len() - 1).unwrap_or(Slot::MAX)
        });
        if let Some(place) = self.rows.get_mut(slot as usize) {
            *place = Some(row);
        }
        self.name(slot, &id);
        (slot, None)
    }

    /// Lets what stands in a slot be found.
    fn name(&mut self, slot: Slot, id: &Row::Id) {
        let Self { rows, hasher, by_id, .. } = self;
        let hash_of = |slot: &Slot| row_at(rows, *slot).map_or(0, |row| hasher.hash_one(row.id()));
        by_id.insert_unique(hasher.hash_one(id), slot, hash_of);
    }

    /// Takes a row out.
    pub fn remove(&mut self, id: &Row::Id) -> Option<(Slot, Row)> {
        let rows = &self.rows;
        let is_it = |slot: &Slot| row_at(rows, *slot).is_some_and(|row| row.id() == *id);
        let (slot, _) = self.by_id.find_entry(self.hasher.hash_one(id), is_it).ok()?.remove();
        self.free.push(slot);
        let row = self.rows.get_mut(slot as usize)?.take()?;
        Some((slot, row))
    }

    /// The slot of a row.
    pub fn slot(&self, id: &Row::Id) -> Option<Slot> {
        let is_it = |slot: &Slot| self.at(*slot).is_some_and(|row| row.id() == *id);
        self.by_id.find(self.hasher.hash_one(id), is_it).copied()
    }

    /// The row with this identity.
    pub fn get(&self, id: &Row::Id) -> Option<&Row> {
        self.at(self.slot(id)?)
    }

    /// The row in a slot.
    pub fn at(&self, slot: Slot) -> Option<&Row> {
        row_at(&self.rows, slot)
    }

    /// The row in a slot, to renew it; its identity must stay.
    pub fn at_mut(&mut self, slot: Slot) -> Option<&mut Row> {
        self.rows.get_mut(slot as usize)?.as_mut()
    }

    /// The number that all slots are less than.
    pub fn end(&self) -> Slot {
        Slot::try_from(self.rows.len()).unwrap_or(Slot::MAX)
    }

    /// All rows with their slots, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Row)> {
        (0..).zip(&self.rows).filter_map(|(slot, row)| Some((slot, row.as_ref()?)))
    }
}

impl<Row: Identified> From<Vec<Row>> for Slots<Row> {
    /// Takes rows over without moving them. Of two with the same identity the later one counts.
    fn from(rows: Vec<Row>) -> Self {
        let by_id = HashTable::with_capacity(rows.len());
        let mut slots = Self { rows: rows.into_iter().map(Some).collect(), by_id, ..Self::default() };
        for slot in 0..slots.end() {
            let Some(id) = slots.at(slot).map(Row::id) else {
                continue;
            };
            match slots.slot(&id) {
                Some(before) => {
                    slots.rows.swap(before as usize, slot as usize);
                    slots.rows[slot as usize] = None;
                    slots.free.push(slot);
                }
                None => slots.name(slot, &id),
            }
        }
        slots
    }
}

fn row_at<Row>(rows: &[Option<Row>], slot: Slot) -> Option<&Row> {
    rows.get(slot as usize)?.as_ref()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    impl Identified for (char, u32) {
        type Id = char;

        fn id(&self) -> char {
            self.0
        }
    }

    #[test]
    fn slots_stay_while_the_row_lives_and_are_used_again_after() {
        let mut rows = Slots::default();
        assert_eq!(rows.insert(('a', 1)), (0, None));
        assert_eq!(rows.insert(('b', 2)), (1, None));
        assert_eq!(rows.insert(('a', 3)), (0, Some(('a', 1))));
        assert_eq!(rows.len(), 2);
        assert_eq!(rows.remove(&'a'), Some((0, ('a', 3))));
        assert_eq!(rows.remove(&'a'), None);
        assert_eq!(rows.insert(('c', 4)), (0, None));
        assert_eq!((rows.get(&'b'), rows.at(0)), (Some(&('b', 2)), Some(&('c', 4))));
        assert_eq!(rows.iter().collect::<Vec<_>>(), [(0, &('c', 4)), (1, &('b', 2))]);
        assert_eq!(rows.end(), 2);
    }
    proptest::proptest! {
        /// Many of few: they come, change, go and come back, while the index grows.
        #[test]
        fn rows_are_found_by_what_they_are_called(
            first in proptest::collection::vec((proptest::char::range('a', 'z'), 1000..2000_u32), 0..20),
            deeds in proptest::collection::vec((proptest::char::range('a', 'z'), 0..3_u32), 0..200),
        ) {
            let mut expected: HashMap<char, u32> = first.iter().copied().collect();
            let mut rows = Slots::from(first);
            proptest::prop_assert_eq!(rows.iter().count(), expected.len());
            for (number, (name, deed)) in (0..).zip(deeds) {
                if deed == 0 {
                    proptest::prop_assert_eq!(rows.remove(&name).map(|(_, row)| row.1), expected.remove(&name));
                } else {
                    let before = rows.insert((name, number)).1.map(|row| row.1);
                    proptest::prop_assert_eq!(before, expected.insert(name, number));
                }
                proptest::prop_assert_eq!(rows.len(), expected.len());
                for name in 'a'..='z' {
                    proptest::prop_assert_eq!(rows.get(&name).map(|row| row.1), expected.get(&name).copied());
                }
            }
        }
    }
}
