//! Which policy is about a packet, as the kernel decides it.

use std::collections::HashMap;

use crate::model::spd::matching_order;
use crate::model::{
    Flow, Level, Policy, PolicyAction, PolicyDefaults, PolicyDirection, PolicyId, Template, UpperProtocol,
};
use crate::packet::Direction;

use super::Reason;

/// How many flows' answers are remembered.
const MOST_FLOWS: usize = 4096;

/// The policies in the order in which the kernel asks them. It is made of a snapshot; after every change of the SPD a
/// new one must be made.
#[derive(Debug, Default)]
pub struct Policies {
    /// `None`: nobody said which policies there are.
    rules: Option<Vec<Rule>>,
    defaults: PolicyDefaults,
    answers: HashMap<(Flow, u8), Option<usize>>,
    demands: HashMap<(Flow, u8), Option<usize>>,
}

#[derive(Debug)]
struct Rule {
    id: PolicyId,
    direction: PolicyDirection,
    fate: Fate,
    templates: Vec<Template>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Protect,
    ProtectIfPossible,
    Pass,
    Block,
}

impl Policies {
    /// The policies of an SPD.
    ///
    /// Left out are those of sockets, of which nobody can tell to which packets they belong, and those of xfrm
    /// interfaces (`if_id`), which are asked for their packets alone. Packets are taken to have no mark.
    pub fn new<'a>(policies: impl Iterator<Item = &'a Policy>, defaults: Option<PolicyDefaults>) -> Self {
        let unmarked = |policy: &Policy| policy.mark.is_none_or(|mark| mark.value == 0);
        let mut asked: Vec<&Policy> = policies
            .filter(|policy| !policy.is_of_socket() && policy.if_id.is_none_or(|id| id.0 == 0) && unmarked(policy))
            .collect();
        asked.sort_by(|a, b| matching_order(a, b));
        let rules = asked.into_iter().map(|policy| Rule {
            id: policy.id(),
            direction: policy.direction,
            fate: fate(policy),
            templates: policy.templates.clone(),
        });
        Self { rules: Some(rules.collect()), defaults: defaults.unwrap_or_default(), ..Self::default() }
    }

    /// The first rule about a flow; the outer `None` where nobody said which rules there are.
    #[allow(clippy::option_option, reason = "no rule is not the same as no rules known")]
    fn find(&mut self, flow: &Flow, way: PolicyDirection) -> Option<Option<&Rule>> {
        let rules = self.rules.as_deref()?;
        if self.answers.len() >= MOST_FLOWS {
            self.answers.clear();
        }
        let is_about = |rule: &Rule| rule.direction == way && rule.id.selector.matches(flow);
        let place = *self.answers.entry((*flow, way.number())).or_insert_with(|| rules.iter().position(is_about));
        Some(place.and_then(|place| rules.get(place)))
    }

    /// Why a packet in clear may pass, or must not. `for_us`: whether it is for this host.
    pub(super) fn judge_clear(&mut self, flow: &Flow, direction: Option<Direction>, for_us: bool) -> Reason {
        let way = way(direction, for_us);
        let default = match way {
            PolicyDirection::Out => self.defaults.output,
            PolicyDirection::In => self.defaults.input,
            _ => self.defaults.forward,
        };
        let Some(found) = self.find(flow, way) else {
            return Reason::PoliciesUnknown;
        };
        match found {
            Some(rule) => {
                let id = Box::new(rule.id);
                match rule.fate {
                    Fate::Protect => Reason::Demanded(id),
                    Fate::ProtectIfPossible => Reason::Optional(id),
                    Fate::Pass => Reason::Allowed(id),
                    Fate::Block => Reason::Blocked(id),
                }
            }
            None if default == PolicyAction::Block => Reason::BlockedByDefault,
            None => Reason::NoPolicy,
        }
    }
}

impl Policies {
    /// The transforms that the policy over a packet demands, if there is one.
    pub(super) fn demand(
        &mut self,
        flow: &Flow,
        direction: Direction,
        for_us: bool,
    ) -> Option<(PolicyId, &[Template])> {
        let rule = self.find(flow, way(Some(direction), for_us))??;
        (rule.fate == Fate::Protect).then(|| rule.demand())
    }

    /// The same for a packet of which only the addresses are known; `None` also where more would have to be known.
    pub(super) fn demand_between(
        &mut self,
        flow: &Flow,
        direction: Direction,
        for_us: bool,
    ) -> Option<(PolicyId, &[Template])> {
        let way = way(Some(direction), for_us);
        let flow = Flow { protocol: UpperProtocol::ANY, source_port: 0, destination_port: 0, ..*flow };
        if self.demands.len() >= MOST_FLOWS {
            self.demands.clear();
        }
        let rules = self.rules.as_deref().unwrap_or_default();
        let find = || {
            let mut here = rules.iter().enumerate().filter(|(_, rule)| rule.direction == way);
            let (place, rule) = here.find(|(_, rule)| rule.id.selector.is_between(&flow))?;
            (rule.fate == Fate::Protect && rule.id.selector.matches(&flow)).then_some(place)
        };
        let found = *self.demands.entry((flow, way.number())).or_insert_with(find);
        found.and_then(|place| rules.get(place)).map(Rule::demand)
    }
}

impl Rule {
    fn demand(&self) -> (PolicyId, &[Template]) {
        (self.id, &self.templates)
    }
}

/// The policies that are asked about a packet.
fn way(direction: Option<Direction>, for_us: bool) -> PolicyDirection {
    match (direction, for_us) {
        (Some(Direction::Out), _) => PolicyDirection::Out,
        (_, true) => PolicyDirection::In,
        (_, false) => PolicyDirection::Forward,
    }
}

fn fate(policy: &Policy) -> Fate {
    match policy.action {
        PolicyAction::Block | PolicyAction::Other(_) => Fate::Block,
        PolicyAction::Allow if policy.templates.is_empty() => Fate::Pass,
        PolicyAction::Allow if policy.templates.iter().all(|template| template.level == Level::Use) => {
            Fate::ProtectIfPossible
        }
        PolicyAction::Allow => Fate::Protect,
    }
}
