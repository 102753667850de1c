//! What makes this host differ from the other one is on trial at first: kept if somebody says so, and taken back by itself
//! if nobody does, because whoever asked for it may be cut off.
//!
//! What the other host did, before or meanwhile, belongs to the trial: half of it alone would lose the traffic.

use super::State;
use super::log::{Origin, Weight};
use super::proposal::{Progress, Proposal, of_layer};
use crate::console::command::Command;
use crate::model::pair::Side;

impl Proposal {
    /// The steps that are on trial, in the order in which they were taken.
    fn tried(&self) -> Vec<usize> {
        if self.trial_until.is_some() { self.done.clone() } else { Vec::new() }
    }

    /// Those of the other host.
    pub fn tried_there(&self) -> Vec<usize> {
        let mut tried = self.tried();
        tried.retain(|place| self.steps.get(*place).is_some_and(|step| step.side == Side::There));
        tried
    }

    fn awaits_there(&self) -> bool {
        self.steps.iter().any(|step| step.side == Side::There && step.progress == Progress::Pending)
    }
}

impl State {
    /// Takes everything back that is on trial, the other host's half first. This host's half does not wait for that: the
    /// other host may not answer.
    pub(super) fn take_trial_back(&mut self, commands: &mut Vec<Command>) {
        let Some(proposal) = self.proposal() else {
            return;
        };
        let tried = proposal.tried();
        proposal.begin();
        proposal.is_called_off = proposal.awaits_there();
        for place in tried.into_iter().rev() {
            proposal.take_back(place, commands);
        }
        proposal.trial_until = None;
    }

    /// Takes a trial back that nobody has kept: its time is over, or the console ends.
    pub(super) fn end_trial(&mut self, commands: &mut Vec<Command>) {
        let Some(proposal) = self.proposal().filter(|proposal| proposal.trial_until.is_some()) else {
            return;
        };
        proposal.has_lapsed = true;
        let words = format!("nobody said that {} shall be kept: it is taken back", proposal.on_trial());
        self.take_trial_back(commands);
        self.tell(Origin::Console, Weight::Warning, words);
    }

    /// A second has passed.
    pub(super) fn watch_trial(&mut self, commands: &mut Vec<Command>) {
        let now = self.facts.now.uptime_ms;
        if self.proposal().and_then(|proposal| proposal.trial_until).is_some_and(|until| until <= now) {
            self.end_trial(commands);
        }
    }

    /// Whether the other host has not answered yet.
    pub(crate) fn awaits_other_host(&self) -> bool {
        self.layers.iter().find_map(of_layer).is_some_and(Proposal::awaits_there)
    }
}
