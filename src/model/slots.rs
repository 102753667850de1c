//! A table whose rows do not move: what the SAD's and the SPD's copies are made of.

use std::collections::HashMap;
use std::hash::Hash;

/// Where a row stands. It stays the same for as long as the row lives, and is used again after that.
pub type Slot = u32;

/// Rows by identity, each in a slot that does not move, so that a sorted list of 100,000 rows stays a list of numbers.
#[derive(Clone, Debug)]
pub struct Slots<Id, Row> {
    rows: Vec<Option<Row>>,
    free: Vec<Slot>,
    by_id: HashMap<Id, Slot>,
}

impl<Id, Row> Default for Slots<Id, Row> {
    fn default() -> Self {
        Self { rows: Vec::new(), free: Vec::new(), by_id: HashMap::new() }
    }
}

impl<Id: Eq + Hash + Copy, Row> Slots<Id, Row> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Adds a row, or puts it in the place of the one with the same identity. Tells where, and the row it replaced.
    pub fn insert(&mut self, id: Id, row: Row) -> (Slot, Option<Row>) {
        let slot = self.by_id.get(&id).copied().or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.rows.push(None);
            // 2^32 rows do not fit into any memory.
            Slot::try_from(self.rows.len() - 1).unwrap_or(Slot::MAX)
        });
        self.by_id.insert(id, slot);
        let before = self.rows.get_mut(slot as usize).and_then(|place| place.replace(row));
        (slot, before)
    }

    /// Takes a row out.
    pub fn remove(&mut self, id: &Id) -> Option<(Slot, Row)> {
        let slot = self.by_id.remove(id)?;
        self.free.push(slot);
        let row = self.rows.get_mut(slot as usize)?.take()?;
        Some((slot, row))
    }

    /// The slot of a row.
    pub fn slot(&self, id: &Id) -> Option<Slot> {
        self.by_id.get(id).copied()
    }

    /// The row with this identity.
    pub fn get(&self, id: &Id) -> Option<&Row> {
        self.at(self.slot(id)?)
    }

    /// The row in a slot.
    pub fn at(&self, slot: Slot) -> Option<&Row> {
        self.rows.get(slot as usize)?.as_ref()
    }

    /// The row in a slot, to renew it; its identity must stay.
    pub fn at_mut(&mut self, slot: Slot) -> Option<&mut Row> {
        self.rows.get_mut(slot as usize)?.as_mut()
    }

    /// All rows with their slots, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Row)> {
        (0..).zip(&self.rows).filter_map(|(slot, row)| Some((slot, row.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_stay_while_the_row_lives_and_are_used_again_after() {
        let mut rows = Slots::default();
        assert_eq!(rows.insert('a', 1), (0, None));
        assert_eq!(rows.insert('b', 2), (1, None));
        assert_eq!(rows.insert('a', 3), (0, Some(1)));
        assert_eq!(rows.len(), 2);
        assert_eq!(rows.remove(&'a'), Some((0, 3)));
        assert_eq!(rows.remove(&'a'), None);
        assert_eq!(rows.insert('c', 4), (0, None));
        assert_eq!((rows.get(&'b'), rows.at(0)), (Some(&2), Some(&4)));
        assert_eq!(rows.iter().collect::<Vec<_>>(), [(0, &4), (1, &2)]);
    }
}
