//! Which policy is about a packet, as the kernel decides it.

use std::collections::HashMap;

use crate::model::spd::matching_order;
use crate::model::{
    Exemption, Flow, IfId, Level, Mode, Policy, PolicyAction, PolicyDefaults, PolicyDirection, PolicyId, PolicyKind,
    Selector, Template, Ties, UpperProtocol,
};
use crate::packet::Direction;

use super::interfaces::On;
use super::ties::{self, Standing};
use super::{Doubt, Reason};

/// How many flows' answers are remembered.
const MOST_FLOWS: usize = 4096;

/// The policies in the order in which the kernel asks them. It is made of a snapshot; after every change of the SPD a
/// new one must be made.
#[derive(Debug, Default)]
pub struct Policies {
    /// `None`: nobody said which policies there are.
    rules: Option<Vec<Rule>>,
    /// Whether there are sockets with policies of their own, as those of key exchange.
    has_sockets: bool,
    defaults: PolicyDefaults,
    ties: Ties,
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
    standing: Standing,
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
    /// Its interface is of no matter here.
    flow: Flow,
    way: PolicyDirection,
    /// Of which xfrm interface the packet is; 0 for none.
    if_id: IfId,
    on: On,
}

/// Whether a rule is about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    No,
    Perhaps(Doubt),
    Yes,
}

/// The rules over a packet: the first that is about it, and behind a sub policy the first main one.
#[derive(Clone, Copy, Debug)]
struct Found {
    first: usize,
    main: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    found: Option<Found>,
    doubts: Doubts,
}

/// Rules that the kernel may have asked before the one that was found: the first that lets packets in clear pass, and the
/// first that does not.
type Doubts = [Option<(usize, Doubt)>; 2];

impl Policies {
    /// The policies of an SPD, the oldest first.
    ///
    /// Left out are those of sockets, of which nobody can tell to which packets they belong. Packets are taken to have no
    /// mark, as no capture shows it.
    pub fn new<'a>(policies: impl Iterator<Item = &'a Policy>, defaults: Option<PolicyDefaults>) -> Self {
        let mut has_sockets = false;
        let is_asked = |policy: &&Policy| {
            has_sockets |= policy.is_of_socket();
            !policy.is_of_socket()
        };
        let mut asked: Vec<(usize, &Policy)> = policies.filter(is_asked).enumerate().collect();
        asked.sort_by(|(_, a), (_, b)| matching_order(a, b));
        let mut rules: Vec<Rule> = asked.into_iter().map(|(age, policy)| Rule::of(policy, age)).collect();
        ties::find_heads(rules.iter_mut().map(|rule| (rule.id.direction, &mut rule.standing)));
        Self { rules: Some(rules), has_sockets, defaults: defaults.unwrap_or_default(), ..Self::default() }
    }

    /// Whether there are sockets with policies of their own: what arrives at their ports may come as it is.
    pub(super) fn has_sockets(&self) -> bool {
        self.has_sockets
    }

    /// The same on a kernel that decides so between policies of one priority.
    #[must_use]
    pub fn with(self, ties: Ties) -> Self {
        Self { ties, ..self }
    }

    /// The rule over a flow, and those that may be about it in its place; the outer `None` where nobody said which rules
    /// there are.
    #[allow(clippy::option_option, reason = "no rule is not the same as no rules known")]
    fn find(&mut self, question: Question) -> Option<(Option<&Rule>, Doubts)> {
        let rules = self.rules.as_deref()?;
        if self.answers.len() >= MOST_FLOWS {
            self.answers.clear();
        }
        let ties = self.ties;
        let Answer { found, doubts } = *self.answers.entry(question).or_insert_with(|| answer(rules, ties, question));
        let rule = found.and_then(|found| whole(rules, &mut self.joined, found));
        Some((rule, doubts))
    }

    /// Why a packet in clear may pass, or must not. `in_parts`: whether the kernel may have been asked about parts of it.
    pub(super) fn judge_clear(&mut self, flow: &Flow, asked: Asked, in_parts: bool) -> Vec<Reason> {
        let mut reasons = self.judge_whole(flow, asked);
        let part = Flow { source_port: 0, destination_port: 0, ..*flow };
        if in_parts && part != *flow {
            let of_parts = self.judge_whole(&part, asked);
            let forbids = |reasons: &[Reason]| reasons.iter().any(Reason::forbids);
            if let Some(first) = of_parts.first().filter(|_| forbids(&of_parts) != forbids(&reasons)) {
                reasons.push(Reason::MaybeOther(Doubt::Parts, first.policy().map(|id| Box::new(*id))));
            }
        }
        reasons
    }

    fn judge_whole(&mut self, flow: &Flow, asked: Asked) -> Vec<Reason> {
        let default = match asked.way {
            PolicyDirection::Out => self.defaults.output,
            PolicyDirection::In => self.defaults.input,
            PolicyDirection::Forward | PolicyDirection::Socket(_) => self.defaults.forward,
        };
        if let Some(exemption) = asked.exemption {
            // Whoever asks no policy on the way out does as if there was none.
            let is_blocked = asked.way == PolicyDirection::Out && default == PolicyAction::Block;
            return vec![if is_blocked { Reason::BlockedByDefault } else { Reason::Exempt(exemption) }];
        }
        let Some((rule, doubts)) = self.find(asked.about(*flow)) else {
            return vec![Reason::PoliciesUnknown];
        };
        let reason = match rule {
            Some(rule) => rule.reason(),
            None if default == PolicyAction::Block => Reason::BlockedByDefault,
            None => Reason::NoPolicy,
        };
        let otherwise = doubts.get(usize::from(!reason.forbids())).copied().flatten();
        let rules = self.rules.as_deref().unwrap_or_default();
        let otherwise = otherwise.and_then(|(place, doubt)| {
            let policy = Some(Box::new(rules.get(place)?.id));
            Some(Reason::MaybeOther(doubt, policy))
        });
        [reason].into_iter().chain(otherwise).collect()
    }

    /// What the policies say of a packet that came through SAs; nothing where none is asked or it is not certain which, or
    /// nobody said which policies there are.
    pub(super) fn received(&mut self, flow: &Flow, asked: Asked) -> Option<Received<'_>> {
        if asked.exemption.is_some() {
            return None;
        }
        let is_for_us = asked.way == PolicyDirection::In;
        let default = if is_for_us { self.defaults.input } else { self.defaults.forward };
        let (rule, doubts) = self.find(asked.about(*flow))?;
        if doubts.iter().any(Option::is_some) {
            return None;
        }
        Some(match rule {
            Some(Rule { fate: Fate::Block, id, .. }) => Received::Dropped(Reason::Blocked(Box::new(*id))),
            Some(rule) => Received::Asks(rule.id, &rule.demands),
            None if default == PolicyAction::Block => Received::Dropped(Reason::BlockedByDefault),
            None => Received::Nothing,
        })
    }

    /// The transforms that the policies over a packet demand, if they demand some. None either if it is not certain which
    /// policy the kernel asks: who had less may have had what that one demands.
    pub(super) fn demand(&mut self, flow: &Flow, asked: Asked) -> Option<&[Demand]> {
        if asked.exemption.is_some() {
            return None;
        }
        let (rule, doubts) = self.find(asked.about(*flow))?;
        let is_certain = doubts.iter().flatten().all(|(_, doubt)| *doubt == Doubt::Mark);
        rule.filter(|_| is_certain)?.demanded()
    }

    /// The same for a packet of which only the addresses are known.
    pub(super) fn demand_between(&mut self, flow: &Flow, asked: Asked) -> Between<'_> {
        if asked.exemption.is_some() {
            return Between::Nothing;
        }
        let flow = Flow { protocol: UpperProtocol::ANY, source_port: 0, destination_port: 0, ..*flow };
        if self.demands.len() >= MOST_FLOWS {
            self.demands.clear();
        }
        let (rules, ties) = (self.rules.as_deref().unwrap_or_default(), self.ties);
        let question = asked.about(flow);
        let find = || {
            let found = look_up(rules, ties, question, Rule::may_be_between)?;
            let is_certain = |place| {
                let certain = |rule: &Rule| rule.fit(&question) == Fit::Yes && is_alone(rules, place, &question);
                rules.get(place).is_some_and(certain)
            };
            Some((found, is_certain(found.first) && found.main.is_none_or(is_certain)))
        };
        let blocks_by_default = match asked.way {
            PolicyDirection::In => self.defaults.input == PolicyAction::Block,
            _ => self.defaults.forward == PolicyAction::Block,
        };
        match *self.demands.entry(question).or_insert_with(find) {
            None if blocks_by_default => Between::MoreMustBeKnown,
            None => Between::Nothing,
            Some((_, false)) => Between::MoreMustBeKnown,
            Some((found, true)) => match whole(rules, &mut self.joined, found) {
                Some(Rule { fate: Fate::Block, .. }) => Between::MoreMustBeKnown,
                rule => rule.and_then(Rule::demanded).map_or(Between::Nothing, Between::Demands),
            },
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

/// Which policies are asked about a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) way: PolicyDirection,
    /// Of which xfrm interface the SA is that it came through.
    pub(super) if_id: IfId,
    pub(super) on: On,
    /// Why none is asked at all.
    pub(super) exemption: Option<Exemption>,
}

impl Asked {
    fn about(self, flow: Flow) -> Question {
        Question { flow: Flow { interface: 0, ..flow }, way: self.way, if_id: self.if_id, on: self.on }
    }
}

/// What is demanded between two addresses.
pub(super) enum Between<'a> {
    /// No policy demands anything.
    Nothing,
    /// Protocol or ports decide, or it is dropped.
    MoreMustBeKnown,
    /// These transforms, whatever the packet is.
    Demands(&'a [Demand]),
}

/// The first rule that is about a packet. Behind a sub policy that lets it pass the kernel asks the main ones as well
/// (`xfrm_expand_policies`), and of what arrives those for `in` even where it is passed on (`__xfrm_policy_check`).
fn look_up(
    rules: &[Rule],
    ties: Ties,
    question: Question,
    is_about: impl Fn(&Rule, &Question) -> bool,
) -> Option<Found> {
    let first = first_of(rules, ties, |rule| is_about(rule, &question))?;
    let rule = rules.get(first)?;
    if rule.id.kind == PolicyKind::Main || rule.fate == Fate::Block {
        return Some(Found { first, main: None });
    }
    let way = if question.way == PolicyDirection::Out { question.way } else { PolicyDirection::In };
    let question = Question { way, ..question };
    let main = first_of(rules, ties, |rule| rule.id.kind == PolicyKind::Main && is_about(rule, &question));
    Some(Found { first, main })
}

/// The place of the rule that is asked first of those that are about something.
fn first_of(rules: &[Rule], ties: Ties, is_about: impl Fn(&Rule) -> bool) -> Option<usize> {
    let mut about = rules.iter().enumerate().filter(|(_, rule)| is_about(rule));
    let (place, first) = about.next()?;
    let equals = about.take_while(|(_, rule)| rule.is_equal(first));
    let (place, _) =
        equals.fold(
            (place, first),
            |best, other| {
                if ties.is_before(&best.1.standing, &other.1.standing) { best } else { other }
            },
        );
    Some(place)
}

/// Whether no other rule of its priority may be about such packets.
fn is_alone(rules: &[Rule], place: usize, question: &Question) -> bool {
    equals(rules, place).filter(|rule| rule.may_be_between(question)).count() == 1
}

/// The rule at a place, and those beside it that only their age tells from it.
fn equals(rules: &[Rule], place: usize) -> impl Iterator<Item = &Rule> {
    let is_equal = move |other: &&Rule| rules.get(place).is_some_and(|rule| rule.is_equal(other));
    let before = rules.iter().take(place).rev().take_while(is_equal);
    before.chain(rules.iter().skip(place).take_while(is_equal))
}

fn answer(rules: &[Rule], ties: Ties, question: Question) -> Answer {
    let found = look_up(rules, ties, question, |rule, question| rule.fit(question) == Fit::Yes);
    let first = found.and_then(|found| rules.get(found.first));
    let is_steady = found.is_none_or(|found| {
        let about_it = equals(rules, found.first).filter(|rule| rule.fit(&question) == Fit::Yes);
        ties.is_steady(about_it.map(|rule| &rule.standing))
    });
    let mut doubts = Doubts::default();
    for (place, rule) in rules.iter().enumerate() {
        let is_equal = first.is_some_and(|first| first.is_equal(rule));
        if found.is_some_and(|found| place > found.first) && !is_equal {
            break;
        }
        let fit = rule.fit(&question);
        if fit == Fit::No || found.is_some_and(|found| place == found.first) {
            continue;
        }
        // Of equals those that are certainly asked later are of no matter.
        if let Some(first) = first.filter(|_| is_equal && is_steady)
            && ties.is_certainly_before(&first.standing, &rule.standing)
        {
            continue;
        }
        let doubt = if let Fit::Perhaps(doubt) = fit { doubt } else { Doubt::Order };
        if let Some(free) = doubts.get_mut(usize::from(rule.reason().forbids())) {
            free.get_or_insert((place, doubt));
        }
    }
    Answer { found, doubts }
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
    fn of(policy: &Policy, age: usize) -> Self {
        let id = policy.id();
        let demand = |template: &Template| Demand { policy: id, template: template.clone() };
        let demands: Vec<Demand> = policy.templates.iter().map(demand).collect();
        Self { id, fate: fate(policy.action, &demands), demands, standing: Standing::of(policy, age) }
    }

    /// What a sub policy and a main one demand together (`xfrm_expand_policies`, `__xfrm_policy_check`).
    fn with(&self, main: &Self) -> Self {
        if main.fate == Fate::Block {
            return Self { id: main.id, fate: Fate::Block, demands: Vec::new(), ..*self };
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
        Self { id: decides.map_or(self.id, |demand| demand.policy), fate, demands, ..*self }
    }

    fn is_asked(&self, question: &Question) -> bool {
        self.id.direction == question.way && self.id.if_id.unwrap_or(IfId(0)) == question.if_id
    }

    /// Whether only the kernel's rules for policies of one priority decide which of them is asked first.
    fn is_equal(&self, other: &Self) -> bool {
        let rank = |rule: &Self| (rule.id.direction, rule.id.kind, rule.standing.priority);
        rank(self) == rank(other)
    }

    /// Whether packets without a mark are none of its.
    fn is_for_a_mark(&self) -> bool {
        self.id.mark.is_some_and(|mark| mark.value != 0)
    }

    /// Whether it is about a packet.
    fn fit(&self, question: &Question) -> Fit {
        let Selector { interface, .. } = self.id.selector;
        if !self.is_asked(question) || !self.id.selector.matches(&Flow { interface, ..question.flow }) {
            return Fit::No;
        }
        let on_its_interface = match question.on {
            _ if interface == 0 => Fit::Yes,
            On::Certain(on) if on == interface => Fit::Yes,
            On::Perhaps(on) if on == interface => Fit::Perhaps(Doubt::Interface),
            On::Unknown | On::Certain(0) | On::Perhaps(0) => Fit::Perhaps(Doubt::Interface),
            On::Certain(_) | On::Perhaps(_) => Fit::No,
        };
        match on_its_interface {
            Fit::Yes if self.is_for_a_mark() => Fit::Perhaps(Doubt::Mark),
            fit => fit,
        }
    }

    /// Whether it may be about a packet of which only the addresses are known.
    fn may_be_between(&self, question: &Question) -> bool {
        self.is_asked(question) && !self.is_for_a_mark() && self.id.selector.is_between(&question.flow)
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
pub(super) fn way(direction: Option<Direction>, for_us: bool) -> PolicyDirection {
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
