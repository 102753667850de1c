//! The two lists that may be long, made anew: at once while they are short, piece by piece between keys otherwise.

use super::table::{AT_ONCE, Reason};
use super::{Screen, State};

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
            self.sas.go_on(&self.facts);
        }
    }

    pub(super) fn rebuild_policies(&mut self, reason: Reason) {
        self.policies.begin(reason);
        if self.facts.spd.end() <= AT_ONCE {
            self.policies.go_on(&self.facts);
        }
    }

    /// Whether a list is in the making: [`Event::Spare`](super::Event::Spare) goes on with it.
    pub fn makes_lists(&self) -> bool {
        self.sas.in_making().or(self.policies.in_making()).is_some()
    }

    pub(super) fn go_on_with_lists(&mut self) {
        if self.sas.in_making().is_some() {
            self.sas.go_on(&self.facts);
        } else {
            self.policies.go_on(&self.facts);
        }
    }

    /// Makes the lists that the user asked for to the end. Whoever types ahead means the rows of those, and not what is
    /// still shown because the machine is slow.
    pub(super) fn finish_what_was_asked(&mut self) {
        while self.sas.in_making() == Some(Reason::Asked) {
            self.sas.go_on(&self.facts);
        }
        while self.policies.in_making() == Some(Reason::Asked) {
            self.policies.go_on(&self.facts);
        }
    }

    fn rebuild_events(&mut self) {
        let passes = |entry| super::entry_passes(&self.events, entry);
        let passing: Vec<u64> = self.log.iter().filter(|(_, entry)| passes(entry)).map(|(number, _)| number).collect();
        self.events.rebuild(passing.into_iter());
    }
}
