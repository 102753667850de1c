//! A plan for two hosts begins: the form is filled in as far as is known, and what it says is made a proposal.

use std::collections::HashSet;
use std::net::IpAddr;

use super::proposal::Proposal;
use super::{Layer, Screen, State};
use crate::console::form::{self, FieldId, Form};
use crate::model::pair::{OldSa, PairPlan, Purpose, Side, Stage, free_reqid, uses};
use crate::model::{Mode, Policy, PolicyDirection, Prefix, Sa, SaId, Selector, Spi, Template};

impl State {
    /// Opens the form that plans protection, filled in as far as the selected row or the interfaces tell.
    pub(super) fn plan_pair(&mut self) {
        let mut form = Form::new(&form::pair::PLAN);
        let interfaces = self.facts.interfaces.iter().filter(|interface| interface.is_up && !interface.is_loopback);
        let own: Vec<_> = interfaces.flat_map(|interface| interface.addresses.iter().copied()).collect();
        let (sa, policy) = match self.screen {
            Screen::Policies => (None, self.selected_policy()),
            _ => (self.selected_sa(), None),
        };
        let ends = match (sa, policy) {
            (Some(sa), _) if own.contains(&sa.destination) => Some((sa.destination, sa.source)),
            (Some(sa), _) => Some((sa.source, sa.destination)),
            (None, Some(policy)) => ends_of(policy),
            (None, None) => None,
        };
        let own_address = own.iter().find(|address| address.is_ipv4()).or(own.first()).copied();
        let here = ends.map(|(here, _)| here).or(own_address);
        let there = ends.map(|(_, there)| there).or(self.setting.other_address);
        for (field, address) in [(FieldId::Source, here), (FieldId::Destination, there)] {
            if let Some(address) = address {
                form.set(field, &address.to_string());
            }
        }
        if let Some((here, there)) = ends {
            let policy = policy.or_else(|| self.policy_between(here, there, sa));
            if let Some(policy) = policy {
                fill_in_from(&mut form, policy);
            }
        }
        self.push_form(form);
    }

    /// The policy that protects what goes from one host to the other, best the one that uses this SA.
    fn policy_between(&self, here: IpAddr, there: IpAddr, sa: Option<&Sa>) -> Option<&Policy> {
        let ends = (Prefix::host(here), Prefix::host(there));
        let policies = self.facts.spd.iter().map(|(_, policy)| policy);
        let fits = |policy: &&Policy| {
            let is_theirs = (policy.selector.source, policy.selector.destination) == ends;
            let joins = |template: &Template| template.joins(here, there);
            policy.direction == PolicyDirection::Out
                && !policy.templates.is_empty()
                && (is_theirs || policy.templates.iter().any(joins))
        };
        let fitting: Vec<&Policy> = policies.filter(fits).collect();
        let is_used = |policy: &&&Policy| {
            // What comes from the other host, the policies of the other direction use.
            sa.is_some_and(|sa| uses(policy, sa) || policy.templates.iter().any(|template| template.reqid == sa.reqid))
        };
        fitting.iter().find(is_used).or(fitting.first()).copied()
    }

    /// Makes keys and numbers for a plan and shows it.
    pub(super) fn propose(&mut self, mut plan: PairPlan) {
        let (sad, spd) = (&self.facts.sad, &self.facts.spd);
        if plan.purpose == Purpose::Make && plan.reqid.0 == 0 {
            plan.reqid = free_reqid(sad.iter().map(|(_, sa)| sa), spd.iter().map(|(_, policy)| policy));
        }
        let mut given = Vec::new();
        let free_spi = |protocol| {
            let spi = Spi::random(protocol, |spi| given.contains(&spi) || sad.has_spi(spi))?;
            given.push(spi);
            Ok(spi)
        };
        let standing = plan.standing(sad.iter().map(|(_, sa)| sa), spd.iter().map(|(_, policy)| policy));
        match plan.stages(&standing, free_spi) {
            Ok(mut stages) => {
                let left_there = self.left_there(&plan);
                let last = stages.iter_mut().rfind(|stage| stage.side == Side::There);
                if let Some(Stage { half, .. }) = last.filter(|_| plan.purpose != Purpose::Make) {
                    half.old_sas.extend(&left_there);
                }
                let output = self.facts.defaults.map(|defaults| defaults.output);
                let afterwards = plan.afterwards(&standing, spd.iter().map(|(_, policy)| policy), output);
                let mut proposal = Proposal::of(plan, stages, afterwards);
                proposal.left_there = left_there;
                self.layers.push(Layer::Proposal(Box::new(proposal)));
            }
            Err(error) => self.alarm(error.to_string()),
        }
    }

    /// What plans that were left half-way have left on the other host of this one, and this host does not know of.
    fn left_there(&self, plan: &PairPlan) -> Vec<OldSa> {
        let name = |id: &SaId| (id.destination, id.protocol, id.spi);
        let known: HashSet<_> = self.facts.sad.iter().map(|(_, sa)| name(&sa.id())).collect();
        let of_pair = self.left_half_way.iter().filter(|(ends, _)| *ends == (plan.here, plan.there));
        of_pair.map(|(_, sa)| *sa).filter(|sa| !known.contains(&name(&sa.id))).collect()
    }

    /// Remembers what the plan leaves on the other host, so that the next plan for the two can remove it.
    pub(super) fn remember_left(&mut self) {
        let Some(Layer::Proposal(proposal)) = self.layers.last() else {
            return;
        };
        let ends = (proposal.plan.here, proposal.plan.there);
        let left = proposal.left_over().into_iter().filter(|(side, _)| *side == Side::There).map(|(_, sa)| sa);
        let is_from_before = |sa: &OldSa| proposal.left_there.contains(sa);
        let left: Vec<OldSa> = left.filter(|sa| proposal.is_ordered() || is_from_before(sa)).collect();
        self.left_half_way.retain(|(others, _)| *others != ends);
        self.left_half_way.extend(left.into_iter().map(|sa| (ends, sa)));
    }
}

/// This host and the other one, as far as a policy tells: a tunnel's ends, or the two hosts that it is about.
fn ends_of(policy: &Policy) -> Option<(IpAddr, IpAddr)> {
    let tunnel = policy.templates.iter().find(|template| template.mode != Mode::Transport);
    let Selector { source, destination, .. } = policy.selector;
    let (from, to) = match tunnel {
        Some(template) => (template.source, template.destination),
        None if source.is_host() && destination.is_host() => (source.address, destination.address),
        None => return None,
    };
    let (here, there) = if policy.direction == PolicyDirection::Out { (from, to) } else { (to, from) };
    Some((here, there)).filter(|_| !policy.is_of_socket() && !from.is_unspecified() && !to.is_unspecified())
}

/// Where there is a policy, most often keys are what is wanted.
fn fill_in_from(form: &mut Form, policy: &Policy) {
    if policy.templates.is_empty() {
        return;
    }
    form.set(FieldId::Make, form::pair::NEW_KEYS);
    if policy.templates.iter().any(|template| template.mode == Mode::Tunnel) {
        let Selector { source, destination, .. } = policy.selector;
        let (own, far) =
            if policy.direction == PolicyDirection::Out { (source, destination) } else { (destination, source) };
        form.set(FieldId::Mode, form::pair::TUNNEL);
        form.set(FieldId::OwnNetwork, &own.to_string());
        form.set(FieldId::FarNetwork, &far.to_string());
    }
    if let Some(mark) = policy.mark {
        form.set(FieldId::Mark, &mark.to_string());
    }
    if let Some(if_id) = policy.if_id {
        form.set(FieldId::IfId, &if_id.to_string());
    }
}
