//! The row under the cursor may go by itself: deleted by somebody, expired, flushed, or not in the filter any more. What
//! takes its place is not what was looked at when a key was on its way.

use super::table::Reason;
use super::{Layer, PolicyId, SaId, Screen, State};
use crate::console::action::Action;

/// For so long a key is on its way from the eye to here.
const ON_ITS_WAY_MS: u64 = 1000;

/// A row of one of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Sa(SaId),
    Policy(PolicyId),
}

/// What was under the cursor since the last key, each row with the uptime in milliseconds from which on.
pub(super) type Seen = Vec<(u64, Row)>;

impl State {
    /// The row that keys go to. None while another list is being made for the user, who knows that it will be another.
    fn under_cursor(&self) -> Option<Row> {
        match self.screen {
            Screen::Sas if self.sas.in_making() != Some(Reason::Asked) => self.selected_sa().map(|sa| Row::Sa(sa.id())),
            Screen::Policies if self.policies.in_making() != Some(Reason::Asked) => {
                self.selected_policy().map(|policy| Row::Policy(policy.id()))
            }
            _ => None,
        }
    }

    /// Something has happened, by the user's hand or not.
    pub(super) fn watch_cursor(&mut self, by_hand: bool) {
        let (row, now) = (self.under_cursor(), self.facts.now.uptime_ms);
        // Who has just taken something away here knows that the next row comes.
        let has_acted = !self.waits.is_empty() || self.acted_at.is_some_and(|at| now < at + ON_ITS_WAY_MS);
        let before = self.seen.last().map(|(_, row)| *row);
        if by_hand || has_acted {
            self.seen.clear();
        } else if row == before {
            return;
        } else if before.is_some() && matches!(self.layers.last(), Some(Layer::Whole { .. })) {
            self.layers.pop();
            self.closed_at = Some(now);
            self.warn("what was read here has gone".to_owned());
        }
        let old = self.seen.iter().rposition(|(at, _)| at + ON_ITS_WAY_MS <= now).unwrap_or(0);
        self.seen.drain(..old);
        self.seen.extend(row.map(|row| (now, row)));
    }

    /// Whether a key may be meant for a row that is not under the cursor any more; then that is said.
    pub(super) fn may_mean_another_row(&mut self, action: Action) -> bool {
        let is_about_row = match action {
            Action::Edit | Action::MarkRow => true,
            Action::Delete | Action::Reveal | Action::CopyRows => !self.has_marks(),
            _ => false,
        };
        let has_closed = self.closed_at.take().is_some_and(|at| self.facts.now.uptime_ms < at + ON_ITS_WAY_MS);
        if has_closed && matches!(action, Action::Back | Action::Leave) {
            // It was to leave what is closed already: neither the filter nor the program.
            self.warn("what was read here has gone by itself: once more means it".to_owned());
            return true;
        }
        if !is_about_row || !self.layers.is_empty() {
            return false;
        }
        let then = self.facts.now.uptime_ms.saturating_sub(ON_ITS_WAY_MS);
        let meant = self.seen.iter().rev().find(|(at, _)| *at <= then).or(self.seen.first());
        let row = self.under_cursor();
        let is_another = meant.is_some_and(|(_, meant)| row.is_some_and(|row| row != *meant));
        if is_another {
            self.warn("the row that was here has just gone, this is another one: once more means it".to_owned());
        }
        is_another
    }
}
