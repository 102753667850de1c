//! What is done with the rows of the two databases: sorted, marked, deleted, revealed, copied.

use std::collections::HashSet;
use std::hash::Hash;

use super::consequence::consequence;
use super::log::{Origin, Weight};
use super::question::{Chosen, Deed, Question};
use super::table::{Move, Table};
use super::{Choice, ChoiceOf, Command, Layer, REVEAL_MS, Screen, State};
use crate::console::action::Action;
use crate::console::columns::Columns;
use crate::dialect::Keys;
use crate::dialect::listing::{self, Form};
use crate::dialect::script::Language;
use crate::model::slots::Slot;
use crate::model::text::counted;
use crate::model::{IpsecProtocol, Policy, PolicyId, PolicyKind, Sa, SaId, Secret};

/// More than any terminal takes into its clipboard, in bytes.
const MOST_COPIED: usize = 1 << 20;
/// More rows are more than that in every form.
const MOST_ROWS: usize = 8192;
/// No SA takes more bytes in any form.
const MOST_OF_ONE: usize = 8192;

impl State {
    pub(super) fn on_list_action(&mut self, action: Action) {
        match (self.screen, action) {
            (Screen::Sas | Screen::Policies, Action::Sort) => self.choose_sorting(),
            (Screen::Sas, Action::SortBackwards) => self.sas.turn_round(),
            (Screen::Policies, Action::SortBackwards) => self.policies.turn_round(),
            (Screen::Sas, Action::SortByNext) => self.sas.sort_by_neighbour(1),
            (Screen::Policies, Action::SortByNext) => self.policies.sort_by_neighbour(1),
            (Screen::Sas, Action::SortByPrevious) => self.sas.sort_by_neighbour(-1),
            (Screen::Policies, Action::SortByPrevious) => self.policies.sort_by_neighbour(-1),
            (Screen::Sas | Screen::Policies, Action::MarkRow) => self.mark_row(),
            (Screen::Sas | Screen::Policies, Action::MarkOthers) => self.mark_others(),
            (Screen::Sas | Screen::Policies, Action::CopyRows) => self.choose_form(),
            _ => return,
        }
        if matches!(action, Action::SortBackwards | Action::SortByNext | Action::SortByPrevious) {
            self.rebuild(self.screen);
        }
    }

    fn choose_sorting(&mut self) {
        let (options, cursor) = match self.screen {
            Screen::Sas => sorting_options(&self.sas),
            Screen::Policies => sorting_options(&self.policies),
            Screen::Packets | Screen::Events => return,
        };
        let title = "Sort by (again: turn round)".to_owned();
        self.layers.push(Layer::Choice(Choice { of: ChoiceOf::Sorting, title, options, cursor }));
    }

    pub(super) fn sort_by(&mut self, place: usize) {
        match self.screen {
            Screen::Sas => {
                if let Some(column) = sortable(self.sas.shown()).get(place) {
                    self.sas.sort_by(*column);
                }
            }
            Screen::Policies => {
                if let Some(column) = sortable(self.policies.shown()).get(place) {
                    self.policies.sort_by(*column);
                }
            }
            Screen::Packets | Screen::Events => {}
        }
        self.rebuild(self.screen);
    }

    fn mark_row(&mut self) {
        match self.screen {
            Screen::Sas => {
                if let Some(sa) = self.selected_sa() {
                    let id = sa.id();
                    self.sas.turn_mark(id);
                }
            }
            _ => {
                if let Some(policy) = self.selected_policy() {
                    let id = policy.id();
                    self.policies.turn_mark(id);
                }
            }
        }
        self.go(Move::By(1));
    }

    /// Marks what is listed and not marked, and takes the marks of what is.
    fn mark_others(&mut self) {
        match self.screen {
            Screen::Sas => self.listed_sas().into_iter().for_each(|id| self.sas.turn_mark(id)),
            _ => self.listed_policies().into_iter().for_each(|id| self.policies.turn_mark(id)),
        }
    }

    /// Whether rows of the screen are marked.
    pub(super) fn has_marks(&self) -> bool {
        match self.screen {
            Screen::Sas => !self.sas.marked().is_empty(),
            Screen::Policies => !self.policies.marked().is_empty(),
            Screen::Packets | Screen::Events => false,
        }
    }

    /// Takes all marks of the screen away; `false` if there are none.
    pub(super) fn unmark_all(&mut self) -> bool {
        let has_marks = self.has_marks();
        if has_marks && self.screen == Screen::Sas {
            self.sas.retain_marks(|_| false);
        } else if has_marks {
            self.policies.retain_marks(|_| false);
        }
        has_marks
    }

    pub(super) fn selected_sa(&self) -> Option<&Sa> {
        self.sas.selected().and_then(|slot| self.facts.sad.at(slot))
    }

    pub(super) fn selected_policy(&self) -> Option<&Policy> {
        self.policies.selected().and_then(|slot| self.facts.spd.at(slot))
    }

    fn listed_sas(&self) -> Vec<SaId> {
        self.sas.order().iter().filter_map(|slot| self.facts.sad.at(*slot)).map(Sa::id).collect()
    }

    fn listed_policies(&self) -> Vec<PolicyId> {
        self.policies.order().iter().filter_map(|slot| self.facts.spd.at(*slot)).map(Policy::id).collect()
    }

    /// The marked SAs in the order of the table, those that the filter hides behind them.
    fn marked_sas(&self) -> Vec<SaId> {
        in_order(self.sas.order(), |slot| self.facts.sad.at(slot).map(Sa::id), self.sas.marked())
    }

    fn marked_policies(&self) -> Vec<PolicyId> {
        in_order(self.policies.order(), |slot| self.facts.spd.at(slot).map(Policy::id), self.policies.marked())
    }

    /// The SAs that a key is about: the marked ones, or else the selected one.
    fn meant_sas(&self) -> Vec<SaId> {
        let marked = self.marked_sas();
        if marked.is_empty() { self.selected_sa().map(Sa::id).into_iter().collect() } else { marked }
    }

    fn meant_policies(&self) -> Vec<PolicyId> {
        let marked = self.marked_policies();
        if marked.is_empty() { self.selected_policy().map(Policy::id).into_iter().collect() } else { marked }
    }

    pub(super) fn reveal(&mut self) {
        let ids = self.meant_sas();
        let words = match ids.as_slice() {
            [] => return,
            [id] => format!("SA {id}"),
            many => counted(many.len(), "SA", "SAs"),
        };
        self.revealed = Some((ids.into_iter().collect(), self.facts.now.uptime_ms + REVEAL_MS));
        self.tell(Origin::Console, Weight::Note, format!("keys of {words} shown for ten seconds"));
    }

    pub(super) fn ask_to_delete(&mut self) {
        let deed = match self.screen {
            Screen::Sas if self.has_marks() => {
                let (marked, listed) = (self.marked_sas(), self.listed_sas());
                let hidden = hidden(&marked, &listed);
                self.deletes_sas(marked, Chosen::Marked(hidden))
            }
            Screen::Sas if self.selected_sa().is_some_and(Sa::is_made_by_kernel) => {
                self.warn("the kernel made this SA itself, for the IPComp SA beside it: delete that one".to_owned());
                return;
            }
            Screen::Sas => self.selected_sa().map(|sa| Deed::DeleteSa(sa.id())),
            Screen::Policies if self.has_marks() => {
                let (marked, listed) = (self.marked_policies(), self.listed_policies());
                let hidden = hidden(&marked, &listed);
                self.deletes_policies(marked, Chosen::Marked(hidden))
            }
            Screen::Policies if self.selected_policy().is_some_and(Policy::is_of_socket) => {
                self.warn("this policy belongs to a program's socket: only that program can remove it".to_owned());
                return;
            }
            Screen::Policies => self.selected_policy().map(|policy| Deed::DeletePolicy(policy.id())),
            Screen::Packets | Screen::Events => None,
        };
        if deed.is_none() && self.has_marks() {
            self.warn("what is marked goes with what it belongs to: an IPComp SA, or a program's socket".to_owned());
        }
        self.ask(deed);
    }

    pub(super) fn ask_to_flush(&mut self) {
        // What cannot be seen does not go: with a filter, only what it shows.
        let deed = match self.screen {
            Screen::Sas if self.sas.filter().is_some() => self.deletes_sas(self.listed_sas(), Chosen::Filtered),
            Screen::Sas => Some(Deed::FlushSas(IpsecProtocol::Any)),
            Screen::Policies if self.policies.filter().is_some() => {
                self.deletes_policies(self.listed_policies(), Chosen::Filtered)
            }
            Screen::Policies => Some(Deed::FlushPolicies(PolicyKind::Main)),
            Screen::Packets | Screen::Events => return,
        };
        match deed {
            Some(deed) => self.ask_if_any(deed),
            None => self.note("there is nothing to flush".to_owned()),
        }
    }

    /// Asks about what would take something away, if anything is there.
    pub(super) fn ask_if_any(&mut self, deed: Deed) {
        if deed.victims(&self.facts.sad, &self.facts.spd, 0..0).0 == 0 {
            self.note("there is nothing to flush".to_owned());
            return;
        }
        self.ask(Some(deed));
    }

    fn ask(&mut self, deed: Option<Deed>) {
        if let Some(deed) = deed {
            let consequence = consequence(&deed, &self.facts);
            self.layers.push(Layer::Question(Question { deed, consequence, scroll: 0 }));
        }
    }

    /// What the kernel made by itself goes with what it belongs to.
    fn deletes_sas(&self, mut ids: Vec<SaId>, chosen: Chosen) -> Option<Deed> {
        ids.retain(|id| self.facts.sad.get(id).is_some_and(|sa| !sa.is_made_by_kernel()));
        (!ids.is_empty()).then_some(Deed::DeleteSas(ids, chosen))
    }

    /// What belongs to a socket stays: only its program can remove it.
    fn deletes_policies(&self, mut ids: Vec<PolicyId>, chosen: Chosen) -> Option<Deed> {
        ids.retain(|id| self.facts.spd.get(id).is_some_and(|policy| !policy.is_of_socket()));
        (!ids.is_empty()).then_some(Deed::DeletePolicies(ids, chosen))
    }

    /// Lets the user say what the rows are to be copied as.
    fn choose_form(&mut self) {
        let what = self.copied_words();
        let option = |form: Form| {
            let about = match form {
                Form::Lines(Language::Ip) => "commands of iproute2",
                Form::Lines(Language::Setkey) => "statements; what setkey cannot say is a comment",
                Form::Json => "as espial sa --json and espial policy --json",
            };
            (format!("{:<7}", form.name()), about.to_owned())
        };
        if self.has_selection() {
            let options = Form::ALL.into_iter().map(option).collect();
            let title = format!("Copy {what} as");
            self.layers.push(Layer::Choice(Choice { of: ChoiceOf::Form, title, options, cursor: 0 }));
        }
    }

    /// Whether the keys of all SAs that would be copied are shown at this moment.
    fn copies_keys(&self) -> Keys {
        let is_shown = |id: &SaId| self.reveals(id).is_some();
        if self.meant_sas().iter().all(is_shown) { Keys::Show } else { Keys::Hide }
    }

    fn copied_words(&self) -> String {
        match self.screen {
            Screen::Sas => {
                let keys = if self.copies_keys() == Keys::Show { "WITH KEYS" } else { "without keys" };
                format!("{} {keys}", counted(self.meant_sas().len(), "SA", "SAs"))
            }
            _ => counted(self.meant_policies().len(), "policy", "policies"),
        }
    }

    /// Copies the rows in the form of this place.
    pub(super) fn copy_rows(&mut self, place: usize, commands: &mut Vec<Command>) {
        let Some(form) = Form::ALL.get(place).copied() else {
            return;
        };
        let what = self.copied_words();
        let mut text = Vec::new();
        let written = if self.screen == Screen::Sas {
            let ids = self.meant_sas();
            if ids.len() > MOST_ROWS {
                self.warn(format!("{what}: too much for a clipboard; espial sa and espial policy print it"));
                return;
            }
            let sas: Vec<&Sa> = ids.iter().filter_map(|id| self.facts.sad.get(id)).collect();
            // What grows is copied, and keys must not be left behind.
            text.reserve_exact(sas.len().saturating_mul(MOST_OF_ONE));
            listing::write_sas(&mut text, &sas, form, self.copies_keys())
        } else {
            let ids = self.meant_policies();
            let policies: Vec<&Policy> = ids.iter().filter_map(|id| self.facts.spd.get(id)).collect();
            let all: Vec<&Policy> = self.facts.spd.iter().map(|(_, policy)| policy).collect();
            let twinless = listing::twinless(all.into_iter());
            listing::write_policies(&mut text, &policies, form, self.facts.defaults, &twinless)
        };
        let text = Secret::take(text);
        if written.is_err() || text.expose().len() > MOST_COPIED {
            self.warn(format!("{what}: too much for a clipboard; espial sa and espial policy print it"));
            return;
        }
        commands.push(Command::Copy(text));
        self.tell(Origin::Console, Weight::Note, format!("copied {what} as {}", form.name()));
        self.note(format!("{what} as {}: given to the terminal's clipboard", form.name()));
    }
}

/// Every column that a table can be sorted by: first those that it shows.
fn sortable<C: Columns>(shown: &[C]) -> Vec<C> {
    let others = C::ALL.iter().filter(|column| !shown.contains(column));
    shown.iter().chain(others).copied().collect()
}

/// The columns to sort by as a list to choose from, and the place of the one that holds.
fn sorting_options<C: Columns, Id: Copy + Eq + Hash>(table: &Table<C, Id>) -> (Vec<(String, String)>, usize) {
    let (by, backwards) = table.sorting();
    let option = |column: &C| {
        let about = column.about();
        let sign = match (*column == by, backwards) {
            (true, false) => "▲",
            (true, true) => "▼",
            (false, _) => " ",
        };
        let hidden = if table.shown().contains(column) { "" } else { " (not shown)" };
        (format!("{sign} {:<11}", about.title), format!("{}{hidden}", about.help))
    };
    let columns = sortable(table.shown());
    let here = columns.iter().position(|column| *column == by).unwrap_or(0);
    (columns.iter().map(option).collect(), here)
}

/// The marked rows in the order of a table, those that it does not list behind them.
fn in_order<Id: Copy + Eq + Hash>(order: &[Slot], id: impl Fn(Slot) -> Option<Id>, marked: &HashSet<Id>) -> Vec<Id> {
    if marked.is_empty() {
        return Vec::new();
    }
    let listed = order.iter().filter_map(|slot| id(*slot)).filter(|id| marked.contains(id));
    let mut rows: Vec<Id> = listed.collect();
    if rows.len() < marked.len() {
        let seen: HashSet<Id> = rows.iter().copied().collect();
        rows.extend(marked.iter().filter(|id| !seen.contains(id)));
    }
    rows
}

/// How many of these are not in the list.
fn hidden<Id: Eq + Hash>(marked: &[Id], listed: &[Id]) -> usize {
    let listed: HashSet<&Id> = listed.iter().collect();
    marked.iter().filter(|id| !listed.contains(id)).count()
}
