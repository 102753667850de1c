//! What a plan leaves on the hosts when it is left before its end, in words: on the screen, among the events, and as the
//! last words of the console.

use super::State;
use super::proposal::{Progress, Proposal, Step, of_layer};
use crate::dialect::iproute2;
use crate::model::pair::{OldSa, PairPlan, Purpose, Side};

impl Proposal {
    /// Whether leaving would leave the hosts with what does not fit, or keys of one that the other has not.
    pub(super) fn is_half_done(&self) -> bool {
        let is_begun = self.steps.iter().any(Step::is_begun);
        self.is_unknown() || (is_begun && !self.steps.iter().all(Step::is_begun))
    }

    /// What is said of this host's half alone, when the other one's was handed over and nothing tells that it is done:
    /// until then the traffic is lost. Where new keys come in an order it is not.
    pub(super) fn awaited_script(&self, is_heard: bool) -> Option<String> {
        let is_out = |step: &Step| step.side == Side::There && step.is_handed_over && step.progress != Progress::Made;
        let is_here = self.steps.iter().any(|step| step.side == Side::Here && step.progress == Progress::Made);
        let is_awaited = is_here && !is_heard && !self.is_ordered() && self.steps.iter().any(is_out);
        is_awaited.then(|| {
            let PairPlan { here, there, .. } = self.plan;
            format!(
                "the traffic of {here} and {there} is lost until the script of {there} has run: whether it has is not known"
            )
        })
    }

    /// What is left on the hosts by a plan that is not carried out to its end, and what removes it.
    pub(super) fn leftovers(&self) -> String {
        let (here, there) = (self.host(Side::Here), self.host(Side::There));
        let begun = self.steps.iter().find(|step| step.is_begun());
        let has_half = begun.map_or(here, |step| self.host(step.side));
        if self.is_unknown() || self.is_unanswered() {
            let line = |step: &Step| {
                let no_answer = Some("no answer yet").filter(|_| step.progress == Progress::Pending);
                let (host, why) = (self.host(step.side), step.why_unknown().or(no_answer)?);
                Some(format!(
                    "on {host}: {why}; what {host} has of this plan is not known: ip xfrm state and ip xfrm policy there \
                     show it"
                ))
            };
            return self.steps.iter().filter_map(line).collect::<Vec<_>>().join("; ");
        }
        // Nobody has seen it run.
        let is_script = begun.is_some_and(|step| step.progress != Progress::Made);
        let perhaps = if is_script { "if its script has run, " } else { "" };
        match self.plan.purpose {
            Purpose::Make => format!(
                "{perhaps}only {has_half} has what protects its packets with the other host: they are lost; A on its SAs' \
                 screen removes it again"
            ),
            Purpose::Remove => format!(
                "{perhaps}only {has_half} has removed what protects its packets with the other host: they are lost until \
                 {} removes it too",
                if has_half == here { there } else { here }
            ),
            Purpose::NewKeys(_) => {
                let line = |(side, sa): &(Side, OldSa)| {
                    format!("on {}: {}", self.host(*side), iproute2::delete_sa(&sa.id, sa.source))
                };
                let lines: Vec<String> = self.left_over().iter().map(line).collect();
                format!(
                    "new keys for {here} and {there} are left half-way; this removes what only one host has: {}",
                    lines.join("; ")
                )
            }
        }
    }

    /// Why not to leave it yet, and what leaving leaves. A key that takes something back does so only as long as the plan
    /// is open.
    pub(super) fn why_to_stay(&self) -> &'static str {
        if self.is_unknown() {
            return "it is not known what is there: look before another plan is made; Esc again leaves it so";
        }
        let is_made_here = self.steps.iter().any(|step| step.side == Side::Here && step.is_begun());
        if !is_made_here && !self.is_ordered() && self.done.is_empty() {
            return "the other host's script may run: y does this host's half; Esc again leaves this host as it is";
        }
        match (self.plan.purpose, is_made_here) {
            (Purpose::NewKeys(_), _) => "not all steps are taken: Esc again leaves both hosts as they are now",
            (Purpose::Make, true) => {
                "this host has its half: Y or w takes the other's script, u this half back; Esc again leaves it so"
            }
            (Purpose::Make, false) => {
                "the other host has its half: y makes this one's, u takes it back; Esc again leaves it there"
            }
            (Purpose::Remove, true) => {
                "the other host still has its half: Y or w takes its script, u undoes; Esc again leaves it"
            }
            (Purpose::Remove, false) => "this host still has its half: y removes it, u undoes; Esc again leaves it so",
        }
    }
}

impl State {
    /// Whether packets have come with an SA that the plan has made: then the other host has it too.
    pub(super) fn hears_what_was_made(&self) -> bool {
        let Some(proposal) = self.layers.iter().find_map(of_layer) else {
            return false;
        };
        let made = proposal.steps.iter().filter(|step| step.side == Side::Here).flat_map(|step| &step.half.sas);
        let mut received = made.filter(|sa| sa.destination == proposal.plan.here);
        received.any(|sa| self.facts.sad.get(&sa.id()).is_some_and(|sa| sa.used.packets > 0))
    }

    /// What is to be said of a plan's half on this host if it is left now and the other one's script may not have run.
    pub(super) fn awaited_script(&self) -> Option<String> {
        self.layers.iter().find_map(of_layer)?.awaited_script(self.hears_what_was_made())
    }

    /// What a plan leaves on the hosts, if the console is left now: it is not carried out to its end, or was taken back.
    pub fn leaves_behind(&self) -> Option<String> {
        let proposal = self.layers.iter().find_map(of_layer)?;
        let is_unanswered = proposal.is_unanswered();
        let leftovers =
            (proposal.is_half_done() || is_unanswered).then(|| proposal.leftovers()).or_else(|| self.awaited_script());
        if !proposal.has_lapsed || proposal.is_unknown() {
            return leftovers;
        }
        let what = proposal.on_trial();
        if is_unanswered {
            return Some(format!(
                "nobody said that {what} shall be kept: it is being taken back, but the kernel has not said yet that it is"
            ));
        }
        let behind = leftovers.map_or_else(String::new, |leftovers| format!("; {leftovers}"));
        Some(format!("nobody said that {what} shall be kept: it was taken back{behind}"))
    }
}
