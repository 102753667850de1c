//! The order, the selection, the marks, the columns and the window of a table, whatever its rows are.
//!
//! Rows are slots of a database that do not move, so a table of 100,000 rows is a sorted list of numbers, and one more
//! row is put into its place without sorting again. For another filter or another column such a list is made anew, so
//! many slots at a time that no key waits for it; the one before is shown until it is done.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::Hash;

use crate::console::columns::Columns;
use crate::model::RowFilter;
use crate::model::expression::FilterError;
use crate::model::row_filter::Rows;
use crate::model::slots::Slot;

/// How far a movement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// So many rows down, up if negative.
    By(isize),
    /// To the first row.
    First,
    /// To the last row.
    Last,
}

/// From so many rows on, all are looked at to take them out.
const MANY: usize = 8;
/// How many slots are looked at in one go to make an order anew: a few milliseconds.
pub const AT_ONCE: Slot = 1024;

impl Move {
    /// The place in a list of this length that it leads to.
    pub fn from(self, place: usize, length: usize) -> usize {
        let last = length.saturating_sub(1);
        match self {
            Self::By(rows) => place.saturating_add_signed(rows).min(last),
            Self::First => 0,
            Self::Last => last,
        }
    }
}

/// Why an order is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The user wants another: keys mean rows of that one.
    Asked,
    /// Time has passed. The one that is there will do until it is done.
    Live,
}

/// Where the rows of a table are, for those that have the columns `C`.
pub trait Source<C> {
    /// The number that all slots are less than.
    fn end(&self) -> Slot;

    /// Whether a slot's row is there and passes a filter, with these columns shown. `scratch` is reused from row to row.
    fn passes(&self, slot: Slot, filter: Option<&RowFilter>, shown: &[C], scratch: &mut String) -> bool;

    /// Which of two rows stands first in a table sorted by `column`.
    fn compare(&self, column: C, a: Slot, b: Slot) -> Ordering;
}

/// An order in the making.
#[derive(Clone, Debug)]
struct Making {
    reason: Reason,
    /// Those of the slots looked at that pass the filter, in order.
    order: Vec<Slot>,
    /// The first slot that is not looked at yet.
    next: Slot,
}

/// A table over the slots of a database, sorted by a column. Rows are marked by their identity, so that a mark holds
/// whatever becomes of slot, order and filter.
#[derive(Clone, Debug)]
pub struct Table<C, Id> {
    order: Vec<Slot>,
    making: Option<Making>,
    /// The place of the selected row in `order`.
    cursor: usize,
    top: usize,
    column: C,
    backwards: bool,
    /// The columns that are shown, in their order.
    shown: Vec<C>,
    marked: HashSet<Id>,
    /// The filter as it was typed.
    typed: String,
    filter: Option<RowFilter>,
}

impl<C: Columns, Id: Copy + Eq + Hash> Table<C, Id> {
    /// An empty table sorted by `column`.
    pub fn by(column: C) -> Self {
        Self {
            order: Vec::new(),
            making: None,
            cursor: 0,
            top: 0,
            column,
            backwards: false,
            shown: C::USUAL.to_vec(),
            marked: HashSet::new(),
            typed: String::new(),
            filter: None,
        }
    }

    /// The slots that pass the filter, in order.
    pub fn order(&self) -> &[Slot] {
        &self.order
    }

    /// How many rows pass the filter.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The same in words: nobody knows while another filter looks for them.
    pub fn count_words(&self) -> String {
        if self.in_making() == Some(Reason::Asked) { "…".to_owned() } else { self.len().to_string() }
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The selected slot.
    pub fn selected(&self) -> Option<Slot> {
        self.order.get(self.cursor).copied()
    }

    /// The column that it is sorted by, and whether backwards.
    pub fn sorting(&self) -> (C, bool) {
        (self.column, self.backwards)
    }

    /// Sorts by a column, forwards; backwards if it is sorted so already. The caller must rebuild.
    pub fn sort_by(&mut self, column: C) {
        self.backwards = self.column == column && !self.backwards;
        self.column = column;
    }

    /// Sorts by the shown column so many places to the right of the present one. The caller must rebuild.
    pub fn sort_by_neighbour(&mut self, steps: isize) {
        let here = self.shown.iter().position(|column| *column == self.column);
        let count = self.shown.len().cast_signed().max(1);
        let place = here.map_or(0, |here| (here.cast_signed() + steps).rem_euclid(count));
        if let Some(next) = self.shown.get(place.cast_unsigned()) {
            (self.column, self.backwards) = (*next, false);
        }
    }

    /// Turns the order round. The caller must rebuild.
    pub fn turn_round(&mut self) {
        self.backwards = !self.backwards;
    }

    /// The columns that are shown, in their order.
    pub fn shown(&self) -> &[C] {
        &self.shown
    }

    /// Shows other columns.
    pub fn show(&mut self, columns: Vec<C>) {
        self.shown = columns;
    }

    /// The rows that are marked.
    pub fn marked(&self) -> &HashSet<Id> {
        &self.marked
    }

    /// Marks a row, or not any more.
    pub fn turn_mark(&mut self, id: Id) {
        if !self.marked.remove(&id) {
            self.marked.insert(id);
        }
    }

    /// Takes a row's mark away: it is gone.
    pub fn unmark(&mut self, id: &Id) {
        self.marked.remove(id);
    }

    /// Leaves only such rows marked.
    pub fn retain_marks(&mut self, keep: impl Fn(&Id) -> bool) {
        self.marked.retain(keep);
    }

    /// The filter as it was typed.
    pub fn typed_filter(&self) -> &str {
        &self.typed
    }

    /// The filter, if there is one.
    pub fn filter(&self) -> Option<&RowFilter> {
        self.filter.as_ref()
    }

    /// Sets the filter. The caller must rebuild.
    ///
    /// # Errors
    /// When it cannot be understood; the one before holds on then.
    pub fn set_filter(&mut self, typed: &str, rows: Rows) -> Result<(), FilterError> {
        self.filter = RowFilter::parse(typed, rows)?;
        typed.trim().clone_into(&mut self.typed);
        Ok(())
    }

    /// Forgets the rows but not where the cursor is: slots mean others from now on. The caller must rebuild.
    pub fn forget_rows(&mut self) {
        (self.order, self.making) = (Vec::new(), None);
    }

    /// Begins to make the order anew. What time alone asks for does not begin again before it is done.
    pub fn begin(&mut self, reason: Reason) {
        if reason == Reason::Asked || self.making.is_none() {
            self.making = Some(Making { reason, order: Vec::new(), next: 0 });
        }
    }

    /// Why an order is in the making, while one is.
    pub fn in_making(&self) -> Option<Reason> {
        self.making.as_ref().map(|making| making.reason)
    }

    /// Goes on with the order in the making, if there is one: looks at the next slots, and takes those that pass the
    /// filter into it. With the last of them it is done: the selected row stays selected while it is there; otherwise the
    /// cursor keeps its place.
    pub fn go_on(&mut self, rows: &impl Source<C>) {
        let (Some(making), end, column) = (&mut self.making, rows.end(), self.column) else {
            return;
        };
        let slots = making.next..making.next.saturating_add(AT_ONCE).min(end);
        making.next = slots.end;
        let (filter, mut scratch) = (self.filter.as_ref(), String::new());
        let mut passing: Vec<Slot> =
            slots.filter(|slot| rows.passes(*slot, filter, &self.shown, &mut scratch)).collect();
        let compare = turned(self.backwards, |a, b| rows.compare(column, a, b));
        passing.sort_unstable_by(|a, b| compare(*a, *b));
        merge(&mut making.order, &passing, compare);
        if making.next < end {
            return;
        }
        let selected = self.selected();
        if let Some(making) = self.making.take() {
            self.order = making.order;
        }
        if let Some(slot) = selected {
            self.select(slot);
        }
        self.keep_cursor_inside();
    }

    /// Puts a slot into its place, if it passes the filter.
    pub fn insert(&mut self, slot: Slot, rows: &impl Source<C>) {
        if !rows.passes(slot, self.filter.as_ref(), &self.shown, &mut String::new()) {
            return;
        }
        let column = self.column;
        let compare = turned(self.backwards, |a, b| rows.compare(column, a, b));
        if let Some(making) = self.making.as_mut().filter(|making| slot < making.next) {
            merge(&mut making.order, &[slot], &compare);
        }
        let place = place_of(slot, &self.order, compare);
        let had_rows = !self.order.is_empty();
        self.order.insert(place, slot);
        if had_rows && place <= self.cursor {
            self.cursor += 1;
            self.top += usize::from(place < self.top);
        }
    }

    /// Takes a slot out, if it is there.
    pub fn remove(&mut self, slot: Slot) {
        self.remove_all(&[slot]);
    }

    /// Takes slots out; many with one look at each row.
    pub fn remove_all(&mut self, slots: &[Slot]) {
        if let Some(making) = &mut self.making {
            let gone = among(slots);
            making.order.retain(|slot| !gone(*slot));
        }
        if slots.len() < MANY {
            for slot in slots {
                self.remove_one(*slot);
            }
            return;
        }
        let gone = among(slots);
        let count = |rows: Option<&[Slot]>| rows.unwrap_or_default().iter().filter(|slot| gone(**slot)).count();
        let (above_cursor, above_top) = (count(self.order.get(..self.cursor)), count(self.order.get(..self.top)));
        self.order.retain(|slot| !gone(*slot));
        self.cursor -= above_cursor;
        self.top -= above_top;
        self.keep_cursor_inside();
    }

    fn remove_one(&mut self, slot: Slot) {
        if let Some(place) = self.order.iter().position(|other| *other == slot) {
            self.order.remove(place);
            if place < self.cursor {
                self.cursor -= 1;
                self.top -= usize::from(place < self.top);
            }
            self.keep_cursor_inside();
        }
    }

    /// Moves the selection in a window of `height` rows.
    pub fn go(&mut self, movement: Move, height: usize) {
        self.cursor = movement.from(self.cursor, self.order.len());
        self.top = self.top_for(height);
    }

    /// Selects a slot, if it is there.
    pub fn select(&mut self, slot: Slot) {
        if let Some(place) = self.order.iter().position(|other| *other == slot) {
            self.cursor = place;
        }
    }

    /// The rows that a window of `height` rows shows, and which of them is selected.
    pub fn window(&self, height: usize) -> (&[Slot], Option<usize>) {
        let top = self.top_for(height);
        let end = top.saturating_add(height).min(self.order.len());
        let rows = self.order.get(top..end).unwrap_or_default();
        (rows, self.cursor.checked_sub(top).filter(|place| *place < rows.len()))
    }

    /// The place of the selected row, from 1, for the title.
    pub fn place(&self) -> usize {
        (self.cursor + 1).min(self.order.len())
    }

    /// The first row of a window of `height` rows that holds the selected one and leaves no room at its end unused.
    fn top_for(&self, height: usize) -> usize {
        let highest = self.order.len().saturating_sub(height);
        let lowest_that_shows = self.cursor.saturating_sub(height.saturating_sub(1));
        self.top.clamp(lowest_that_shows, self.cursor.max(lowest_that_shows)).min(highest)
    }

    fn keep_cursor_inside(&mut self) {
        self.cursor = self.cursor.min(self.order.len().saturating_sub(1));
    }
}

/// An order, or the opposite one.
fn turned(backwards: bool, compare: impl Fn(Slot, Slot) -> Ordering) -> impl Fn(Slot, Slot) -> Ordering {
    move |a, b| if backwards { compare(b, a) } else { compare(a, b) }
}

/// The place of a slot in a sorted list, behind its equals.
fn place_of(slot: Slot, order: &[Slot], compare: impl Fn(Slot, Slot) -> Ordering) -> usize {
    order.partition_point(|other| compare(*other, slot).is_le())
}

/// Puts sorted slots into a sorted list. What is compared may change between two calls: none is lost all the same.
fn merge(order: &mut Vec<Slot>, more: &[Slot], compare: impl Fn(Slot, Slot) -> Ordering) {
    let mut merged = Vec::with_capacity(order.len() + more.len());
    let mut rest = order.as_slice();
    for slot in more {
        let (before, behind) = rest.split_at(place_of(*slot, rest, &compare));
        merged.extend_from_slice(before);
        merged.push(*slot);
        rest = behind;
    }
    merged.extend_from_slice(rest);
    *order = merged;
}

/// Whether a slot is one of these. Slots are small numbers: a list of all of them is looked into faster than any set.
fn among(slots: &[Slot]) -> impl Fn(Slot) -> bool {
    let mut is_one = vec![false; slots.iter().max().map_or(0, |slot| *slot as usize + 1)];
    for slot in slots {
        is_one[*slot as usize] = true;
    }
    move |slot| is_one.get(slot as usize).is_some_and(|is_one| *is_one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::columns::PolicyColumn;

    /// Slots that stand in the order of their numbers.
    struct There(Vec<Slot>);

    impl Source<PolicyColumn> for There {
        fn end(&self) -> Slot {
            self.0.iter().max().map_or(0, |last| last + 1)
        }

        fn passes(&self, slot: Slot, _: Option<&RowFilter>, _: &[PolicyColumn], _: &mut String) -> bool {
            self.0.contains(&slot)
        }

        fn compare(&self, _: PolicyColumn, a: Slot, b: Slot) -> Ordering {
            a.cmp(&b)
        }
    }

    fn table(slots: &[Slot]) -> Table<PolicyColumn, Slot> {
        let mut table = Table::by(PolicyColumn::Index);
        remake(&mut table, slots);
        table
    }

    fn remake(table: &mut Table<PolicyColumn, Slot>, slots: &[Slot]) {
        table.begin(Reason::Asked);
        table.go_on(&There(slots.to_vec()));
    }

    fn insert(table: &mut Table<PolicyColumn, Slot>, slot: Slot) {
        table.insert(slot, &There(vec![slot]));
    }

    #[test]
    fn the_selection_follows_its_row() {
        let mut table = table(&[10, 20, 30, 40]);
        table.go(Move::By(2), 10);
        assert_eq!(table.selected(), Some(30));
        insert(&mut table, 5);
        insert(&mut table, 35);
        assert_eq!((table.selected(), table.order()), (Some(30), &[5, 10, 20, 30, 35, 40][..]));
        table.remove(10);
        assert_eq!(table.selected(), Some(30));
        table.remove(30);
        assert_eq!(table.selected(), Some(35), "the row behind takes its place");
        table.turn_round();
        remake(&mut table, &[5, 20, 35, 40]);
        assert_eq!((table.selected(), table.order()), (Some(35), &[40, 35, 20, 5][..]));
        insert(&mut table, 30);
        assert_eq!(table.order(), [40, 35, 30, 20, 5]);
    }

    #[test]
    fn the_first_row_of_an_empty_table_is_selected_and_the_last_one_leaves_none() {
        let mut table = table(&[]);
        insert(&mut table, 1);
        insert(&mut table, 0);
        assert_eq!(table.selected(), Some(1));
        table.remove(0);
        table.remove(1);
        assert_eq!((table.selected(), table.place()), (None, 0));
        table.go(Move::Last, 5);
        assert_eq!(table.window(5), (&[][..], None));
    }

    #[test]
    fn many_rows_go_at_once_and_the_selection_stays_where_it_was() {
        let slots: Vec<Slot> = (0..20).map(|n| n * 10).collect();
        for gone in [&[90, 10, 30, 99][..], &[190, 0, 50, 40, 60, 80, 20, 100, 110, 7]] {
            for cursor in 0..20 {
                let mut table = table(&slots);
                table.go(Move::By(cursor), 5);
                let mut one_by_one = table.clone();
                for slot in gone {
                    one_by_one.remove(*slot);
                }
                table.remove_all(gone);
                assert_eq!((table.order(), table.selected()), (one_by_one.order(), one_by_one.selected()), "{cursor}");
                assert_eq!(table.window(5), one_by_one.window(5), "from {cursor}");
            }
        }
    }

    #[test]
    fn sorting_by_a_column_twice_turns_round_and_neighbours_are_those_that_are_shown() {
        use PolicyColumn::{Index, Mark, Source};
        let mut table = table(&[]);
        table.sort_by(Index);
        assert_eq!(table.sorting(), (Index, true));
        table.sort_by(Source);
        assert_eq!(table.sorting(), (Source, false));
        table.show(vec![Source, Mark]);
        table.sort_by_neighbour(1);
        assert_eq!(table.sorting(), (Mark, false));
        table.sort_by_neighbour(1);
        assert_eq!(table.sorting(), (Source, false));
        table.sort_by_neighbour(-1);
        assert_eq!(table.sorting(), (Mark, false));
        table.sort_by(Index);
        table.sort_by_neighbour(-1);
        assert_eq!(table.sorting(), (Source, false), "from a column that is not shown to the first that is");
    }

    #[test]
    fn the_window_shows_the_selection_and_wastes_no_room() {
        let slots: Vec<Slot> = (0..100).collect();
        let mut table = table(&slots);
        table.go(Move::By(12), 10);
        assert_eq!(table.window(10), (&slots[3..13], Some(9)));
        table.go(Move::By(-5), 10);
        assert_eq!(table.window(10), (&slots[3..13], Some(4)));
        assert_eq!(table.window(3), (&slots[5..8], Some(2)), "a smaller window still shows it");
        table.go(Move::Last, 10);
        assert_eq!(table.window(10), (&slots[90..], Some(9)));
        assert_eq!(table.window(20), (&slots[80..], Some(19)), "a larger window is filled");
        assert_eq!(table.window(0), (&[][..], None));
        table.go(Move::First, 0);
        assert_eq!(table.window(1), (&slots[..1], Some(0)));
    }
}
