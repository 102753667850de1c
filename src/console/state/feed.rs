//! The selection and the window of a list that grows at its end and is forgotten at its start: events, packets.

use std::collections::VecDeque;

use super::table::Move;
use crate::console::columns::Words;

/// The numbers of the rows that pass a filter, oldest first.
#[derive(Clone, Debug)]
pub struct Feed {
    visible: VecDeque<u64>,
    /// Rows from this number on are there, but not shown.
    frozen_at: Option<u64>,
    /// The number of the selected row.
    cursor: u64,
    following: bool,
    filter: String,
    words: Words,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            visible: VecDeque::new(),
            frozen_at: None,
            cursor: 0,
            following: true,
            filter: String::new(),
            words: Words::default(),
        }
    }
}

impl Feed {
    /// Adds a row that has passed the filter; its number is higher than all before.
    pub fn push(&mut self, number: u64) {
        self.visible.push_back(number);
        if self.frozen_at.is_none() && (self.following || self.visible.len() == 1) {
            self.cursor = number;
        }
    }

    /// Leaves out the rows below this number: they are forgotten.
    pub fn forget_before(&mut self, number: u64) {
        while self.visible.front().is_some_and(|oldest| *oldest < number) {
            self.visible.pop_front();
        }
        if let Some(oldest) = self.visible.front() {
            self.cursor = self.cursor.max(*oldest);
        }
    }

    /// Makes the list anew of the rows that pass a new filter.
    pub fn rebuild(&mut self, numbers: impl Iterator<Item = u64>) {
        self.visible = numbers.collect();
        if let Some(number) = if self.following { self.newest() } else { self.selected() } {
            self.cursor = number;
        }
    }

    /// Shows what is there now and nothing that comes: rows from this number on wait.
    pub fn freeze(&mut self, next_number: u64) {
        self.frozen_at = Some(next_number);
    }

    /// Shows what has waited.
    pub fn thaw(&mut self) {
        self.frozen_at = None;
        self.follow(self.following);
    }

    /// The number of the first row that waits, while the list stands still.
    pub fn frozen_at(&self) -> Option<u64> {
        self.frozen_at
    }

    fn newest(&self) -> Option<u64> {
        self.visible.get(self.len().checked_sub(1)?).copied()
    }

    /// The number of the selected row.
    pub fn selected(&self) -> Option<u64> {
        self.visible.get(self.place()).copied().filter(|_| !self.is_empty())
    }

    /// How many rows pass the filter and are shown.
    pub fn len(&self) -> usize {
        self.frozen_at.map_or(self.visible.len(), |end| self.visible.partition_point(|number| *number < end))
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place of the selected row, from 0.
    pub fn place(&self) -> usize {
        self.visible.partition_point(|number| *number < self.cursor).min(self.len().saturating_sub(1))
    }

    /// Whether the newest row is selected as it comes.
    pub fn is_following(&self) -> bool {
        self.following
    }

    /// Begins or ends to follow.
    pub fn follow(&mut self, following: bool) {
        self.following = following;
        if let Some(newest) = self.newest().filter(|_| following) {
            self.cursor = newest;
        }
    }

    /// Moves the selection. Away from the end it stops following, at the end it begins again.
    pub fn go(&mut self, movement: Move) {
        let last = self.len().saturating_sub(1);
        let place = match movement {
            Move::By(rows) => self.place().saturating_add_signed(rows).min(last),
            Move::First => 0,
            Move::Last => last,
        };
        if let Some(number) = self.visible.get(place) {
            self.cursor = *number;
        }
        self.following = place == last;
    }

    /// The rows from this number on.
    pub fn from(&self, number: u64) -> impl Iterator<Item = u64> {
        self.all_from(number).take_while(|number| self.frozen_at.is_none_or(|end| *number < end))
    }

    /// The rows from this number on, those that wait included.
    pub fn all_from(&self, number: u64) -> impl Iterator<Item = u64> {
        let start = self.visible.partition_point(|listed| *listed < number);
        self.visible.range(start..).copied()
    }

    /// The rows before this number, the newest of them first.
    pub fn back_from(&self, number: u64) -> impl Iterator<Item = u64> {
        let end = self.visible.partition_point(|listed| *listed < number);
        self.visible.range(..end.min(self.len())).rev().copied()
    }

    /// The rows behind the selected one, or before it, the nearest first.
    pub fn beyond(&self, forward: bool) -> Box<dyn Iterator<Item = u64> + '_> {
        match (self.selected(), forward) {
            (Some(number), true) => Box::new(self.from(number + 1)),
            (Some(number), false) => Box::new(self.back_from(number)),
            (None, _) => Box::new(std::iter::empty()),
        }
    }

    /// Selects a row, and stays with it.
    pub fn select(&mut self, number: u64) {
        (self.cursor, self.following) = (number, false);
    }

    /// The filter as it was typed.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// The filter's words.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Sets the filter. The caller must rebuild.
    pub fn set_filter(&mut self, filter: &str) {
        filter.clone_into(&mut self.filter);
        self.words = Words::of(filter);
    }

    /// The numbers that a window of `height` rows shows, and which of them is selected. The selected row stands in the
    /// middle where it can, at the end when following.
    pub fn window(&self, height: usize) -> (impl Iterator<Item = u64>, Option<usize>) {
        let place = self.place();
        let shown = self.len();
        let top = place.saturating_sub(height / 2).min(shown.saturating_sub(height));
        let rows = self.visible.iter().take(shown).skip(top).take(height).copied();
        let selected = (height > 0 && shown > 0).then(|| place - top);
        (rows, selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(numbers: std::ops::Range<u64>) -> Feed {
        let mut feed = Feed::default();
        numbers.for_each(|number| feed.push(number));
        feed
    }

    fn window(feed: &Feed, height: usize) -> (Vec<u64>, Option<usize>) {
        let (rows, selected) = feed.window(height);
        (rows.collect(), selected)
    }

    #[test]
    fn it_follows_until_the_user_looks_back() {
        let mut feed = feed(0..10);
        assert_eq!(window(&feed, 4), (vec![6, 7, 8, 9], Some(3)));
        feed.go(Move::By(-1));
        feed.push(10);
        assert_eq!((feed.selected(), feed.is_following()), (Some(8), false));
        feed.go(Move::Last);
        feed.push(11);
        assert_eq!((feed.selected(), feed.is_following()), (Some(11), true));
    }

    #[test]
    fn what_is_forgotten_takes_the_selection_along() {
        let mut feed = feed(0..10);
        feed.go(Move::First);
        feed.forget_before(4);
        assert_eq!((feed.selected(), feed.len()), (Some(4), 6));
        feed.forget_before(100);
        assert_eq!((feed.selected(), feed.len()), (None, 0));
        assert_eq!(window(&feed, 5), (vec![], None));
        feed.push(100);
        assert_eq!(feed.selected(), Some(100));
    }

    #[test]
    fn what_comes_to_a_frozen_list_waits() {
        let mut feed = feed(0..4);
        feed.freeze(4);
        (4..8).for_each(|number| feed.push(number));
        assert_eq!(window(&feed, 10), (vec![0, 1, 2, 3], Some(3)));
        feed.go(Move::Last);
        assert_eq!((feed.selected(), feed.len(), feed.beyond(true).next()), (Some(3), 4, None));
        assert_eq!((feed.from(2).collect::<Vec<_>>(), feed.all_from(6).collect::<Vec<_>>()), (vec![2, 3], vec![6, 7]));
        feed.rebuild([1, 5, 7].into_iter());
        assert_eq!(window(&feed, 10), (vec![1], Some(0)));
        feed.forget_before(2);
        assert_eq!((window(&feed, 10), feed.selected()), ((vec![], None), None));
        feed.thaw();
        assert_eq!(window(&feed, 10), (vec![5, 7], Some(1)));
    }

    #[test]
    fn a_filter_keeps_the_nearest_row_selected() {
        let mut feed = feed(0..10);
        feed.go(Move::By(-4));
        feed.rebuild([1, 3, 6, 9].into_iter());
        assert_eq!(feed.selected(), Some(6));
        feed.rebuild(std::iter::empty());
        assert_eq!(feed.selected(), None);
    }
}
