//! The two lists that may be long, made anew: at once while they are short, piece by piece between keys otherwise.

use super::table::{AT_ONCE, Reason};
use super::{Screen, Slot, State};

impl State {
    /// Makes the list of a screen anew after a change of filter or order.
    pub(super) fn rebuild(&mut self, screen: Screen) {
        match screen {
            Screen::Sas => self.rebuild_sas(Reason::Asked),
            Screen::Policies => self.rebuild_policies(Reason::Asked),
            // Its filter makes the list anew by itself.
            Screen::Packets => {}
            Screen::Events => self.rebuild_events(),
        }
    }

    pub(super) fn rebuild_sas(&mut self, reason: Reason) {
        self.sas.begin(reason);
        if self.facts.sad.end() <= AT_ONCE {
            self.go_on_with_sas();
        }
    }

    pub(super) fn rebuild_policies(&mut self, reason: Reason) {
        self.policies.begin(reason);
        if self.facts.spd.end() <= AT_ONCE {
            self.go_on_with_policies();
        }
    }

    /// Whether a list is in the making: [`Event::Spare`](super::Event::Spare) goes on with it.
    pub fn makes_lists(&self) -> bool {
        self.sas.in_making().or(self.policies.in_making()).is_some()
    }

    pub(super) fn go_on_with_lists(&mut self) {
        if self.sas.in_making().is_some() {
            self.go_on_with_sas();
        } else {
            self.go_on_with_policies();
        }
    }

    /// Makes the lists that the user asked for to the end. Whoever types ahead means the rows of those, and not what is
    /// still shown because the machine is slow.
    pub(super) fn finish_what_was_asked(&mut self) {
        while self.sas.in_making() == Some(Reason::Asked) {
            self.go_on_with_sas();
        }
        while self.policies.in_making() == Some(Reason::Asked) {
            self.go_on_with_policies();
        }
    }

    fn go_on_with_sas(&mut self) {
        let (facts, end) = (&self.facts, self.facts.sad.end());
        let Some(slots) = self.sas.slots_to_look_at(end) else {
            return;
        };
        let (filter, shown, next) = (self.sas.filter(), self.sas.shown(), slots.end);
        let mut scratch = String::new();
        let passing: Vec<Slot> = slots.filter(|slot| facts.sa_passes(*slot, filter, shown, &mut scratch)).collect();
        let (column, _) = self.sas.sorting();
        self.sas.take_in(passing, next, end, |a, b| facts.compare_sas(column, a, b));
    }

    fn go_on_with_policies(&mut self) {
        let (facts, end) = (&self.facts, self.facts.spd.end());
        let Some(slots) = self.policies.slots_to_look_at(end) else {
            return;
        };
        let (filter, shown, next) = (self.policies.filter(), self.policies.shown(), slots.end);
        let mut scratch = String::new();
        let passing: Vec<Slot> = slots.filter(|slot| facts.policy_passes(*slot, filter, shown, &mut scratch)).collect();
        let (column, _) = self.policies.sorting();
        self.policies.take_in(passing, next, end, |a, b| facts.compare_policies(column, a, b));
    }

    fn rebuild_events(&mut self) {
        let passes = |entry| super::entry_passes(&self.events, entry);
        let passing: Vec<u64> = self.log.iter().filter(|(_, entry)| passes(entry)).map(|(number, _)| number).collect();
        self.events.rebuild(passing.into_iter());
    }
}
