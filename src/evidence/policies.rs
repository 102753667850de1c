//! Which policy is about a packet, as the kernel decides it.

use std::collections::HashMap;

use crate::model::spd::matching_order;
use crate::model::{
    Flow, IfId, Level, Mode, Policy, PolicyAction, PolicyDefaults, PolicyDirection, PolicyId, PolicyKind, Template,
    UpperProtocol,
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
    /// What sub policies demand together with the main ones that are asked after them.
    joined: HashMap<(usize, usize), Rule>,
    answers: HashMap<Question, Answer>,
    /// What is known without protocol and ports, and whether that decides.
    demands: HashMap<Question, Option<(Found, bool)>>,
}

#[derive(Debug)]
struct Rule {
    id: PolicyId,
    fate: Fate,
    demands: Vec<Demand>,
}

/// A transform that a policy demands.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    pub(super) policy: PolicyId,
    pub(super) template: Template,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Protect,
    ProtectIfPossible,
    Pass,
    Block,
}

/// Which packets a policy is looked for, and which way they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Question {
    flow: Flow,
    way: PolicyDirection,
    /// Of which xfrm interface the packet is; 0 for none.
    if_id: IfId,
}

/// The rules over a packet: the first that is about it, and behind a sub policy the first main one.
#[derive(Clone, Copy, Debug)]
struct Found {
    first: usize,
    main: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    found: Option<Found>,
    /// The first rule before it that is about it if its mark is so.
    marked: Option<usize>,
}

impl Policies {
    /// The policies of an SPD.
    ///
    /// Left out are those of sockets, of which nobody can tell to which packets they belong. Packets are taken to have no
    /// mark, as no capture shows it.
    pub fn new<'a>(policies: impl Iterator<Item = &'a Policy>, defaults: Option<PolicyDefaults>) -> Self {
        let mut asked: Vec<&Policy> = policies.filter(|policy| !policy.is_of_socket()).collect();
        asked.sort_by(|a, b| matching_order(a, b));
        let rules = asked.into_iter().map(Rule::of);
        Self { rules: Some(rules.collect()), defaults: defaults.unwrap_or_default(), ..Self::default() }
    }

    /// The rule over a flow, and one that may be about it in its place because of a mark; the outer `None` where nobody
    /// said which rules there are.
    #[allow(clippy::option_option, reason = "no rule is not the same as no rules known")]
    fn find(&mut self, question: Question) -> Option<(Option<&Rule>, Option<&Rule>)> {
        let rules = self.rules.as_deref()?;
        if self.answers.len() >= MOST_FLOWS {
            self.answers.clear();
        }
        let answer = || {
            let found = look_up(rules, question, |rule, flow| rule.id.selector.matches(flow));
            let before = found.map_or(rules.len(), |found| found.first);
            let is_about = |rule: &Rule| rule.is_asked(&question) && rule.id.selector.matches(&question.flow);
            let marked = rules.iter().take(before).position(|rule| rule.is_for_a_mark() && is_about(rule));
            Answer { found, marked }
        };
        let Answer { found, marked } = *self.answers.entry(question).or_insert_with(answer);
        let rule = found.and_then(|found| whole(rules, &mut self.joined, found));
        Some((rule, marked.and_then(|place| rules.get(place))))
    }

    /// Why a packet in clear may pass, or must not. `for_us`: whether it is for this host.
    pub(super) fn judge_clear(&mut self, flow: &Flow, direction: Option<Direction>, for_us: bool) -> Vec<Reason> {
        let (way, if_id) = (way(direction, for_us), IfId(0));
        let default = match way {
            PolicyDirection::Out => self.defaults.output,
            PolicyDirection::In => self.defaults.input,
            PolicyDirection::Forward | PolicyDirection::Socket(_) => self.defaults.forward,
        };
        let Some((rule, marked)) = self.find(Question { flow: *flow, way, if_id }) else {
            return vec![Reason::PoliciesUnknown];
        };
        let reason = match rule {
            Some(rule) => rule.reason(),
            None if default == PolicyAction::Block => Reason::BlockedByDefault,
            None => Reason::NoPolicy,
        };
        let marked = marked.filter(|marked| marked.reason().forbids() != reason.forbids());
        let marked = marked.map(|marked| Reason::MaybeMarked(Box::new(marked.id)));
        [reason].into_iter().chain(marked).collect()
    }

    /// What the policies say of a packet that came through SAs; nothing where a mark decides, or nobody said which
    /// policies there are.
    pub(super) fn received(&mut self, flow: &Flow, asked: Asked) -> Option<Received<'_>> {
        let default = if asked.for_us { self.defaults.input } else { self.defaults.forward };
        let (rule, marked) = self.find(asked.about(*flow))?;
        if marked.is_some() {
            return None;
        }
        Some(match rule {
            Some(Rule { fate: Fate::Block, id, .. }) => Received::Dropped(Reason::Blocked(Box::new(*id))),
            Some(rule) => Received::Asks(rule.id, &rule.demands),
            None if default == PolicyAction::Block => Received::Dropped(Reason::BlockedByDefault),
            None => Received::Nothing,
        })
    }

    /// The transforms that the policies over a packet demand, if they demand some.
    pub(super) fn demand(&mut self, flow: &Flow, asked: Asked) -> Option<&[Demand]> {
        let (rule, _) = self.find(asked.about(*flow))?;
        rule?.demanded()
    }

    /// The same for a packet of which only the addresses are known.
    pub(super) fn demand_between(&mut self, flow: &Flow, asked: Asked) -> Between<'_> {
        let flow = Flow { protocol: UpperProtocol::ANY, source_port: 0, destination_port: 0, ..*flow };
        if self.demands.len() >= MOST_FLOWS {
            self.demands.clear();
        }
        let rules = self.rules.as_deref().unwrap_or_default();
        let question = asked.about(flow);
        let find = || {
            let found = look_up(rules, question, |rule, flow| rule.id.selector.is_between(flow))?;
            let is_certain = |place| rules.get(place).is_some_and(|rule: &Rule| rule.id.selector.matches(&flow));
            Some((found, is_certain(found.first) && found.main.is_none_or(is_certain)))
        };
        match *self.demands.entry(question).or_insert_with(find) {
            None => Between::Nothing,
            Some((_, false)) => Between::MoreMustBeKnown,
            Some((found, true)) => {
                let demands = whole(rules, &mut self.joined, found).and_then(Rule::demanded);
                demands.map_or(Between::Nothing, Between::Demands)
            }
        }
    }
}

/// What the policies say of a packet that came through SAs.
pub(super) enum Received<'a> {
    /// No policy is about it.
    Nothing,
    /// This one is, and asks for these transforms, if for any.
    Asks(PolicyId, &'a [Demand]),
    /// It is dropped.
    Dropped(Reason),
}

/// Which policies are asked about a protected packet.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) direction: Direction,
    /// Whether it is for this host.
    pub(super) for_us: bool,
    /// Of which xfrm interface the SA is that it came through.
    pub(super) if_id: IfId,
}

impl Asked {
    fn about(self, flow: Flow) -> Question {
        Question { flow, way: way(Some(self.direction), self.for_us), if_id: self.if_id }
    }
}

/// What is demanded between two addresses.
pub(super) enum Between<'a> {
    /// No policy demands anything.
    Nothing,
    /// Protocol or ports decide.
    MoreMustBeKnown,
    /// These transforms, whatever the packet is.
    Demands(&'a [Demand]),
}

/// The first rule that is about a packet. Behind a sub policy that lets it pass the kernel asks the main ones as well
/// (`xfrm_expand_policies`), and of what arrives those for `in` even where it is passed on (`__xfrm_policy_check`).
fn look_up(rules: &[Rule], question: Question, is_about: impl Fn(&Rule, &Flow) -> bool) -> Option<Found> {
    let is_asked =
        |rule: &Rule, question| rule.is_asked(question) && !rule.is_for_a_mark() && is_about(rule, &question.flow);
    let first = rules.iter().position(|rule| is_asked(rule, &question))?;
    let rule = rules.get(first)?;
    if rule.id.kind == PolicyKind::Main || rule.fate == Fate::Block {
        return Some(Found { first, main: None });
    }
    let way = if question.way == PolicyDirection::Out { question.way } else { PolicyDirection::In };
    let question = Question { way, ..question };
    let main = rules.iter().position(|rule| rule.id.kind == PolicyKind::Main && is_asked(rule, &question));
    Some(Found { first, main })
}

/// The rule, or what two rules say together.
fn whole<'r>(rules: &'r [Rule], joined: &'r mut HashMap<(usize, usize), Rule>, found: Found) -> Option<&'r Rule> {
    let first = rules.get(found.first)?;
    let Some(place) = found.main else { return Some(first) };
    let main = rules.get(place)?;
    if joined.len() >= MOST_FLOWS {
        joined.clear();
    }
    Some(joined.entry((found.first, place)).or_insert_with(|| first.with(main)))
}

impl Rule {
    fn of(policy: &Policy) -> Self {
        let id = policy.id();
        let demand = |template: &Template| Demand { policy: id, template: template.clone() };
        let demands: Vec<Demand> = policy.templates.iter().map(demand).collect();
        Self { id, fate: fate(policy.action, &demands), demands }
    }

    /// What a sub policy and a main one demand together (`xfrm_expand_policies`, `__xfrm_policy_check`).
    fn with(&self, main: &Self) -> Self {
        if main.fate == Fate::Block {
            return Self { id: main.id, fate: Fate::Block, demands: Vec::new() };
        }
        let mut demands: Vec<Demand> = self.demands.iter().chain(&main.demands).cloned().collect();
        // `xfrm_tmpl_sort` has an order for IPv6 alone.
        if self.id.selector.destination.address.is_ipv6() {
            demands.sort_by_key(|demand| match demand.template.mode {
                Mode::Transport => 0,
                Mode::Tunnel | Mode::Beet => 2,
                _ => 1,
            });
        }
        let fate = fate(PolicyAction::Allow, &demands);
        let decides = demands.iter().find(|demand| fate == Fate::Protect && demand.template.level != Level::Use);
        Self { id: decides.map_or(self.id, |demand| demand.policy), fate, demands }
    }

    fn is_asked(&self, question: &Question) -> bool {
        self.id.direction == question.way && self.id.if_id.unwrap_or(IfId(0)) == question.if_id
    }

    /// Whether packets without a mark are none of its.
    fn is_for_a_mark(&self) -> bool {
        self.id.mark.is_some_and(|mark| mark.value != 0)
    }

    /// What it means to a packet in clear.
    fn reason(&self) -> Reason {
        let id = Box::new(self.id);
        match self.fate {
            Fate::Protect => Reason::Demanded(id),
            Fate::ProtectIfPossible => Reason::Optional(id),
            Fate::Pass => Reason::Allowed(id),
            Fate::Block => Reason::Blocked(id),
        }
    }

    fn demanded(&self) -> Option<&[Demand]> {
        (self.fate == Fate::Protect).then_some(&self.demands)
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

fn fate(action: PolicyAction, demands: &[Demand]) -> Fate {
    match action {
        PolicyAction::Block | PolicyAction::Other(_) => Fate::Block,
        PolicyAction::Allow if demands.is_empty() => Fate::Pass,
        PolicyAction::Allow if demands.iter().all(|demand| demand.template.level == Level::Use) => {
            Fate::ProtectIfPossible
        }
        PolicyAction::Allow => Fate::Protect,
    }
}
