//! What stands already of a pair: found in the databases of this host, and from there renewed or taken away on both.

use std::net::IpAddr;

use super::{Half, OldSa, PairPlan, Purpose, Side, Stage};
use crate::model::spd::matching_order;
use crate::model::text::counted;
use crate::model::{
    IpsecProtocol, Mode, Policy, PolicyAction, PolicyDirection, PolicyId, Prefix, Sa, SaDirection, SaSpec, Secret,
    Selector, Spi, Template, Transform,
};

/// What there is of a pair on this host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing<'a> {
    /// The policies that protect its traffic.
    pub policies: Vec<&'a Policy>,
    /// The SAs that these policies use; without policies, those between the two hosts that no policy uses.
    pub sas: Vec<&'a Sa>,
    /// Those of the SAs that other policies use as well.
    pub shared: Vec<&'a Sa>,
    /// The policies for what goes to the other host that protect something else.
    pub others: Vec<&'a Policy>,
}

/// Why a plan cannot be carried out beside what there is.
#[derive(Debug, thiserror::Error)]
pub enum Unplanned {
    /// There is nothing to remove.
    #[error("nothing protects the traffic of these two: there is no such policy here, and no SA of its own{}", others(.0))]
    NothingThere(Vec<PolicyId>),
    /// There is nothing that new keys would be for.
    #[error("there is no policy here like this that demands SAs{}", others(.0))]
    NoPolicy(Vec<PolicyId>),
    /// Both would stand beside one another.
    #[error("there are policies for this already: make new keys for them, or remove them first")]
    ThereAlready,
    /// New SAs have other SPIs.
    #[error("the policy {0} wants the one SA of its SPI, so no other can take its place")]
    NamesItsSa(Box<PolicyId>),
    /// The algorithms of no SA can be kept.
    #[error("there is no {0} SA now whose algorithms the new ones could have: choose algorithms")]
    NoAlgorithms(IpsecProtocol),
    /// No keys can be made.
    #[error("the system gives no random numbers: {0}")]
    NoRandomNumbers(#[from] getrandom::Error),
}

/// What else the two hosts have: most often that was meant.
fn others(policies: &[PolicyId]) -> String {
    match policies {
        [] => String::new(),
        [one] => format!("; what they have is {one}"),
        [first, rest @ ..] => format!("; what they have is {first}, and {} more", rest.len()),
    }
}

/// Whether an SA fits a template, as the kernel asks on the way in (`xfrm_state_ok`, `net/xfrm/xfrm_policy.c`).
fn answers(sa: &Sa, template: &Template) -> bool {
    sa.protocol == template.protocol
        && sa.mode == template.mode
        && (template.spi.0 == 0 || template.spi == sa.spi)
        && (template.reqid.0 == 0 || template.reqid == sa.reqid)
}

/// Whether a policy's packets may go through an SA.
pub fn uses(policy: &Policy, sa: &Sa) -> bool {
    used(policy, sa).next().is_some()
}

/// The templates of a policy that an SA answers.
pub fn used<'a>(policy: &'a Policy, sa: &'a Sa) -> impl Iterator<Item = &'a Template> {
    let is_asked = policy.action == PolicyAction::Allow && !policy.is_of_socket() && policy.if_id == sa.if_id;
    let templates: &[Template] = if is_asked { &policy.templates } else { &[] };
    // Behind a tunnel, what is transformed is the tunnel's own packet.
    let mut tunnel: Option<&Template> = None;
    templates.iter().filter(move |template| {
        if template.mode != Mode::Transport {
            tunnel = Some(template);
        }
        let fits = |wanted: IpAddr, has: IpAddr| wanted.is_unspecified() || wanted == has;
        let joins = match tunnel {
            Some(ends) => fits(ends.source, sa.source) && fits(ends.destination, sa.destination),
            None => policy.selector.source.contains(sa.source) && policy.selector.destination.contains(sa.destination),
        };
        joins && answers(sa, template)
    })
}

impl PairPlan {
    /// What there is of it already.
    pub fn standing<'a>(
        &self,
        sas: impl IntoIterator<Item = &'a Sa>,
        policies: impl IntoIterator<Item = &'a Policy>,
    ) -> Standing<'a> {
        let (policies, others): (Vec<&Policy>, Vec<&Policy>) =
            policies.into_iter().partition(|policy| self.is_protected_by(policy));
        let is_between = |sa: &&Sa| {
            let ends = (sa.source, sa.destination);
            let is_theirs = ends == (self.here, self.there) || ends == (self.there, self.here);
            is_theirs && !sa.is_made_by_kernel() && !sa.is_larval()
        };
        let is_used = |sa: &Sa, by: &[&Policy]| by.iter().any(|policy| uses(policy, sa));
        let mut sas: Vec<&Sa> = sas.into_iter().filter(is_between).collect();
        if policies.is_empty() {
            sas.retain(|sa| !is_used(sa, &others) && (sa.mark, sa.if_id) == (self.mark, self.if_id));
        } else {
            sas.retain(|sa| is_used(sa, &policies));
        }
        let shared = sas.iter().copied().filter(|sa| is_used(sa, &others)).collect();
        let mut others = others;
        others.retain(|policy| policy.direction == PolicyDirection::Out && self.leads_there(policy));
        Standing { policies, sas, shared, others }
    }

    /// Whether a policy protects anything between the two hosts.
    fn leads_there(&self, policy: &Policy) -> bool {
        let hosts = [self.here, self.there].map(Prefix::host);
        let is_theirs = [policy.selector.source, policy.selector.destination] == hosts;
        policy.templates.iter().any(|template| is_theirs || template.joins(self.here, self.there))
    }

    /// Whether a policy is for the packets of these two, and protects them between the two hosts.
    fn is_protected_by(&self, policy: &Policy) -> bool {
        let [own, far] = self.sides();
        let ([from, to], [source, destination]) = match policy.direction {
            PolicyDirection::Out => ([own, far], [self.here, self.there]),
            PolicyDirection::In | PolicyDirection::Forward => ([far, own], [self.there, self.here]),
            PolicyDirection::Socket(_) => return false,
        };
        let templates = &policy.templates;
        let is_protected = match self.networks {
            Some(_) => templates.iter().any(|template| template.joins(source, destination)),
            None => !templates.is_empty() && templates.iter().all(|template| template.mode == Mode::Transport),
        };
        is_protected
            && policy.action == PolicyAction::Allow
            && (policy.selector.source, policy.selector.destination) == (from, to)
            && (policy.mark, policy.if_id) == (self.mark, self.if_id)
    }

    /// What is to be done on both hosts, one step after the other. The steps of new keys must be taken in this order;
    /// others may be taken in any.
    ///
    /// # Errors
    /// When what there is already stands in the way.
    pub fn stages(
        &self,
        standing: &Standing<'_>,
        free_spi: impl FnMut(IpsecProtocol) -> Result<Spi, getrandom::Error>,
    ) -> Result<Vec<Stage>, Unplanned> {
        self.refuse_beside(standing)?;
        let halves = match self.purpose {
            Purpose::Make => {
                let [here, there] = self.make(free_spi)?;
                vec![(Side::Here, here), (Side::There, there)]
            }
            Purpose::NewKeys(_) => self.renewal(standing, free_spi)?,
            Purpose::Remove => {
                let [here, there] = self.removal(standing);
                vec![(Side::Here, here), (Side::There, there)]
            }
        };
        let halves = halves.into_iter().filter(|(_, half)| !half.is_empty());
        Ok(halves.map(|(side, half)| Stage { side, half }).collect())
    }

    /// What stands in its way.
    ///
    /// # Errors
    /// Just that.
    pub fn refuse_beside(&self, standing: &Standing<'_>) -> Result<(), Unplanned> {
        let names_its_sa = |policy: &&&Policy| policy.templates.iter().any(|template| template.spi.0 != 0);
        match self.purpose {
            Purpose::Make if !standing.policies.is_empty() => Err(Unplanned::ThereAlready),
            Purpose::Remove if standing.policies.is_empty() && standing.sas.is_empty() => {
                Err(Unplanned::NothingThere(standing.names_of_others()))
            }
            Purpose::NewKeys(suite) => {
                if let Some(policy) = standing.policies.iter().find(names_its_sa) {
                    return Err(Unplanned::NamesItsSa(Box::new(policy.id())));
                }
                let wanted = self.wanted(standing, PolicyDirection::Out);
                if wanted.is_empty() {
                    return Err(Unplanned::NoPolicy(standing.names_of_others()));
                }
                let lacks = |template: &&&Template| suite.is_none() && standing.like(template, None).is_none();
                wanted.iter().find(lacks).map_or(Ok(()), |lacks| Err(Unplanned::NoAlgorithms(lacks.protocol)))
            }
            Purpose::Make | Purpose::Remove => Ok(()),
        }
    }

    /// What decides over the packets to the other host without the policies that stand, in a sentence.
    pub fn afterwards<'a>(
        &self,
        standing: &Standing<'_>,
        policies: impl IntoIterator<Item = &'a Policy>,
        output: Option<PolicyAction>,
    ) -> String {
        let [own, far] = self.sides();
        let flow = Selector::between(own, far);
        let decides = |policy: &&Policy| {
            let is_asked = policy.direction == PolicyDirection::Out && policy.selector.meets(&flow);
            is_asked && policy.if_id == self.if_id && !standing.policies.contains(policy)
        };
        let shared = match standing.shared.len() {
            0 => String::new(),
            count => format!(" {} that other policies use too will stay.", counted(count, "SA", "SAs")),
        };
        match policies.into_iter().filter(decides).min_by(|a, b| matching_order(a, b)) {
            Some(policy) => {
                format!("Then the policy {} decides over their packets: {}.{shared}", policy.id(), policy.verb())
            }
            None if output == Some(PolicyAction::Block) => {
                format!("Then packets from {own} to {far} are dropped, as all without a policy.{shared}")
            }
            None => format!("Then packets from {own} to {far} go IN CLEAR.{shared}"),
        }
    }

    /// What goes from both hosts.
    fn removal(&self, standing: &Standing<'_>) -> [Half; 2] {
        let sas = standing.sas.iter().filter(|sa| !standing.shared.contains(sa));
        let old_sas: Vec<OldSa> = sas.map(|sa| old(sa)).collect();
        let old_policies: Vec<PolicyId> = standing.policies.iter().map(|policy| policy.id()).collect();
        let passes_on =
            self.networks.is_some() || old_policies.iter().any(|policy| policy.direction == PolicyDirection::Forward);
        let mut mirrored: Vec<PolicyId> = Vec::new();
        for policy in &old_policies {
            let directions: &[PolicyDirection] = match policy.direction {
                PolicyDirection::Out if passes_on => &[PolicyDirection::In, PolicyDirection::Forward],
                PolicyDirection::Out => &[PolicyDirection::In],
                _ => &[PolicyDirection::Out],
            };
            for direction in directions {
                let id = PolicyId { direction: *direction, mark: None, if_id: None, ..*policy };
                if !mirrored.contains(&id) {
                    mirrored.push(id);
                }
            }
        }
        let old_there = old_sas.iter().map(old_there).collect();
        let there = Half { old_policies: mirrored, old_sas: old_there, ..Half::default() };
        [Half { old_policies, old_sas, ..Half::default() }, there]
    }

    /// New SAs for old ones, without a moment in which one host sends what the other cannot read: each host can receive
    /// with the new keys before the other sends with them, and with the old keys for as long as the other does.
    fn renewal(
        &self,
        standing: &Standing<'_>,
        mut free_spi: impl FnMut(IpsecProtocol) -> Result<Spi, getrandom::Error>,
    ) -> Result<Vec<(Side, Half)>, Unplanned> {
        let wanted = self.wanted(standing, PolicyDirection::Out);
        // Where nothing demands protection on the way in, what comes is what the other host's like demands.
        let wanted_in = Some(self.wanted(standing, PolicyDirection::In)).filter(|wanted| !wanted.is_empty());
        let wanted_in = wanted_in.unwrap_or_else(|| wanted.clone());
        let mut renewed = |wanted: &[&Template], source, destination| -> Result<Vec<SaSpec>, Unplanned> {
            let mut sas = Vec::new();
            for template in wanted {
                let mut sa = match standing.like(template, Some(source)) {
                    Some(like) => SaSpec { acquire_sequence: 0, ..like.to_spec() },
                    None => self.first_for(template),
                };
                sa.spi = free_spi(template.protocol)?;
                if template.reqid.0 != 0 {
                    sa.reqid = template.reqid;
                }
                if sa.source != source {
                    (sa.source, sa.destination, sa.selector) = (source, destination, None);
                    turn(&mut sa);
                }
                self.give_keys(&mut sa)?;
                if !self.limits.is_none() {
                    sa.limits = self.limits;
                }
                sas.push(sa);
            }
            Ok(sas)
        };
        let sent = renewed(&wanted, self.here, self.there)?;
        let received = renewed(&wanted_in, self.there, self.here)?;
        // What other policies use too goes only if they can use what comes in its place.
        let kind = |sa: &SaSpec| (sa.source, sa.protocol, sa.mode, sa.reqid);
        let is_replaced = |sa: &&Sa| {
            let kind_of_old = (sa.source, sa.protocol, sa.mode, sa.reqid);
            !standing.shared.contains(sa) || sent.iter().chain(&received).any(|new| kind(new) == kind_of_old)
        };
        // The oldest first: what was left of a renewal that was broken off is younger, and the other host may not have
        // it; there its script would end.
        let mut oldest_first: Vec<&Sa> = standing.sas.iter().copied().filter(is_replaced).collect();
        oldest_first.sort_by_key(|sa| sa.used.added_at);
        let old_sas: Vec<OldSa> = oldest_first.into_iter().map(old).collect();
        let old_from = |host| old_sas.iter().map(old_there).filter(|sa| sa.source == host).collect();
        // What this host only sends with may have no window; the other host hears it as this one hears the other.
        let heard = |sa: &SaSpec| {
            let windows =
                received.iter().filter(|heard| heard.protocol == sa.protocol).map(|heard| heard.replay_window);
            let mut there = as_there(sa);
            there.replay_window = windows.fold(there.replay_window, u32::max);
            there
        };
        let both_there = sent.iter().map(heard).chain(received.iter().map(as_there)).collect();
        let (old_sent_there, old_received_there) = (old_from(self.there), old_from(self.here));
        Ok(vec![
            (Side::Here, Half { sas: received, ..Half::default() }),
            (Side::There, Half { sas: both_there, old_sas: old_sent_there, ..Half::default() }),
            (Side::Here, Half { sas: sent, old_sas, ..Half::default() }),
            (Side::There, Half { old_sas: old_received_there, ..Half::default() }),
        ])
    }

    /// What the policies of a direction demand between the two hosts, each once: policies for different ports may demand
    /// different SAs.
    fn wanted<'a>(&self, standing: &Standing<'a>, direction: PolicyDirection) -> Vec<&'a Template> {
        let policies = standing.policies.iter().copied().filter(|policy| policy.direction == direction);
        let is_theirs = |template: &&Template| {
            template.mode != Mode::Tunnel
                || template.joins(self.here, self.there)
                || template.joins(self.there, self.here)
        };
        let mut wanted: Vec<&Template> = Vec::new();
        for template in policies.flat_map(|policy| &policy.templates).filter(is_theirs) {
            let kind = |template: &Template| (template.protocol, template.mode, template.reqid);
            if !wanted.iter().any(|other| kind(other) == kind(template)) {
                wanted.push(template);
            }
        }
        wanted
    }

    /// An SA that is like no other.
    fn first_for(&self, template: &Template) -> SaSpec {
        let mut sa = SaSpec::new(self.here, self.there, template.protocol, Spi(0));
        (sa.mode, sa.reqid, sa.mark, sa.if_id) = (template.mode, template.reqid, self.mark, self.if_id);
        if template.protocol == IpsecProtocol::Comp {
            return sa;
        }
        sa.replay_window = 32;
        sa
    }

    /// New keys, for the algorithms that are wanted or that it has.
    fn give_keys(&self, sa: &mut SaSpec) -> Result<(), getrandom::Error> {
        if let Purpose::NewKeys(Some(suite)) = self.purpose {
            return Self { suite, ..self.clone() }.fill_in_algorithms(sa);
        }
        let algorithms = &mut sa.algorithms;
        let parts = [&mut algorithms.aead, &mut algorithms.encryption, &mut algorithms.authentication];
        for Transform { key, .. } in parts.into_iter().flatten() {
            *key = Secret::random(key.len())?;
        }
        Ok(())
    }
}

impl Standing<'_> {
    fn names_of_others(&self) -> Vec<PolicyId> {
        self.others.iter().map(|policy| policy.id()).collect()
    }

    /// The newest SA for a template, from one host or, where that has none, from the other; best one that answers it.
    fn like(&self, template: &Template, source: Option<IpAddr>) -> Option<&Sa> {
        let fits = |sa: &&Sa| sa.protocol == template.protocol && sa.mode == template.mode;
        let fitting = self.sas.iter().copied().filter(fits);
        fitting.max_by_key(|sa| (source == Some(sa.source), answers(sa, template), sa.used.added_at))
    }
}

fn old(sa: &Sa) -> OldSa {
    OldSa { id: sa.id(), source: sa.source }
}

/// The same SA on the other host: marks are each host's own.
fn old_there(sa: &OldSa) -> OldSa {
    let mut sa = *sa;
    sa.id.mark = None;
    sa
}

/// The same SA on the other host, where it goes the other way, without what is this host's own.
fn as_there(sa: &SaSpec) -> SaSpec {
    let mut sa = sa.clone();
    (sa.mark, sa.if_id) = (None, None);
    if !sa.extras.is_none() {
        let extras = &mut *sa.extras;
        (extras.output_mark, extras.offload, extras.cpu) = (None, None, None);
    }
    turn(&mut sa);
    sa
}

/// Where an SA says its way, that is another one now, and only what it receives has a window.
fn turn(sa: &mut SaSpec) {
    match sa.direction {
        Some(SaDirection::In) => (sa.direction, sa.replay_window) = (Some(SaDirection::Out), 0),
        Some(SaDirection::Out) => (sa.direction, sa.replay_window) = (Some(SaDirection::In), 32),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pair::SUITES;
    use crate::model::{Mark, PolicySpec, ReqId};

    fn plan() -> PairPlan {
        let mut plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        plan.networks = Some(["10.1.0.0/24", "10.2.0.0/24"].map(|net| net.parse().unwrap()));
        PairPlan { reqid: ReqId(7), ..plan }
    }

    /// A host's databases.
    #[derive(Default)]
    struct Host(Vec<Sa>, Vec<Policy>);

    impl Host {
        fn carry_out(&mut self, half: &Half) {
            self.0.extend(half.sas.iter().map(|sa| Sa::from_spec(sa, 0)));
            self.1.extend(half.policies.iter().map(|policy| Policy::from_spec(policy, 0, 0)));
            for old in &half.old_policies {
                let at = self.1.iter().position(|policy| policy.id() == *old);
                self.1.remove(at.unwrap_or_else(|| panic!("no {old}")));
            }
            for old in &half.old_sas {
                let at = self.0.iter().position(|sa| (sa.id(), sa.source) == (old.id, old.source));
                self.0.remove(at.unwrap_or_else(|| panic!("no {}", old.id)));
            }
        }
    }

    fn free_spi() -> impl FnMut(IpsecProtocol) -> Result<Spi, getrandom::Error> {
        |protocol| Spi::random(protocol, |_| false)
    }

    fn stages(plan: &PairPlan, here: &Host) -> Result<Vec<Stage>, String> {
        plan.stages(&plan.standing(&here.0, &here.1), free_spi()).map_err(|error| error.to_string())
    }

    fn carry_out(stages: &[Stage], hosts: &mut [Host; 2]) {
        for Stage { side, half } in stages {
            hosts[usize::from(*side == Side::There)].carry_out(half);
        }
    }

    /// Whether what a host sends now, with any of its SAs, can be read by the other one.
    fn is_heard(plan: &PairPlan, hosts: &[Host; 2]) -> bool {
        let mut sent = hosts[0].0.iter().filter(|sa| sa.source == plan.here);
        let mut sent_there = hosts[1].0.iter().filter(|sa| sa.source == plan.there);
        let has =
            |host: &Host, sa: &Sa| host.0.iter().any(|other| other.spi == sa.spi && other.algorithms == sa.algorithms);
        sent.all(|sa| has(&hosts[1], sa)) && sent_there.all(|sa| has(&hosts[0], sa))
    }

    #[test]
    fn what_is_made_is_renewed_without_a_gap_and_removed_without_a_rest() {
        for networks in [plan().networks, None] {
            for (protection, compress, suite) in
                [(crate::model::pair::Protection::Esp, false, 0), (crate::model::pair::Protection::EspAh, true, 3)]
            {
                let plan = PairPlan { networks, protection, compress, suite: &SUITES[suite], ..plan() };
                let mut hosts = [Host::default(), Host::default()];
                carry_out(&stages(&plan, &hosts[0]).unwrap(), &mut hosts);
                let first: Vec<Sa> = hosts[0].0.clone();
                let renewal = PairPlan { purpose: Purpose::NewKeys(None), ..plan.clone() };
                let steps = stages(&renewal, &hosts[0]).unwrap();
                assert_eq!(
                    steps.iter().map(|step| step.side == Side::Here).collect::<Vec<_>>(),
                    [true, false, true, false]
                );
                for step in &steps {
                    carry_out(std::slice::from_ref(step), &mut hosts);
                    assert!(is_heard(&plan, &hosts), "{step:?}");
                }
                for host in &hosts {
                    assert_eq!(host.0.len(), first.len());
                    assert!(host.0.iter().all(|sa| first.iter().all(|old| old.spi != sa.spi)));
                }
                let keyed = |sa: &&Sa| sa.protocol != IpsecProtocol::Comp;
                let labels = |sas: &[Sa]| -> Vec<String> {
                    let mut labels: Vec<String> = sas
                        .iter()
                        .filter(keyed)
                        .map(|sa| format!("{} {} {}", sa.protocol, sa.algorithms.encryption_label(), sa.reqid))
                        .collect();
                    labels.sort();
                    labels
                };
                assert_eq!(labels(&hosts[0].0), labels(&first));
                assert!(
                    hosts[0].0.iter().filter(keyed).all(|sa| first.iter().all(|old| old.algorithms != sa.algorithms))
                );
                let removal = PairPlan { purpose: Purpose::Remove, ..plan.clone() };
                carry_out(&stages(&removal, &hosts[0]).unwrap(), &mut hosts);
                assert!(hosts.iter().all(|host| host.0.is_empty() && host.1.is_empty()), "{plan:?}");
            }
        }
    }

    #[test]
    fn new_keys_may_have_other_algorithms_and_another_lifetime() {
        let mut hosts = [Host::default(), Host::default()];
        carry_out(&stages(&plan(), &hosts[0]).unwrap(), &mut hosts);
        let limits = crate::model::LifetimeLimits::ending_after(3600);
        let plan = PairPlan { purpose: Purpose::NewKeys(Some(&SUITES[3])), limits, ..plan() };
        carry_out(&stages(&plan, &hosts[0]).unwrap(), &mut hosts);
        for sa in hosts.iter().flat_map(|host| &host.0) {
            assert_eq!((sa.algorithms.encryption_label(), sa.limits), ("aes-cbc-256".to_owned(), limits));
            assert!(sa.algorithms.aead.is_none());
        }
        // Without old SAs, only what is chosen can be made.
        hosts[0].0.clear();
        let as_before = PairPlan { purpose: Purpose::NewKeys(None), ..plan.clone() };
        assert!(stages(&as_before, &hosts[0]).unwrap_err().contains("no esp SA now whose algorithms"));
        assert_eq!(stages(&plan, &hosts[0]).unwrap().len(), 3);
    }

    #[test]
    fn what_a_broken_off_renewal_left_goes_last() {
        let mut host = Host::default();
        let [here, _] = plan().make(free_spi()).unwrap();
        host.carry_out(&here);
        let renewal = PairPlan { purpose: Purpose::NewKeys(None), ..plan() };
        let left = stages(&renewal, &host).unwrap().remove(0).half;
        host.0.insert(0, Sa::from_spec(&left.sas[0], 7));
        let steps = stages(&renewal, &host).unwrap();
        let there: Vec<Spi> = steps[1].half.old_sas.iter().map(|old| old.id.spi).collect();
        assert_eq!(there, [here.sas[1].spi, left.sas[0].spi]);
        assert_eq!(steps[2].half.old_sas.len(), 3);
    }

    #[test]
    fn policies_for_different_ports_with_sas_of_their_own_all_get_new_keys() {
        let mut hosts = [Host::default(), Host::default()];
        carry_out(&stages(&plan(), &hosts[0]).unwrap(), &mut hosts);
        // A second set, with a number of its own for each direction.
        let [mut here, mut there] = PairPlan { reqid: ReqId(8), ..plan() }.make(free_spi()).unwrap();
        for half in [&mut here, &mut there] {
            for policy in &mut half.policies {
                policy.selector.protocol = crate::model::UpperProtocol(17);
            }
        }
        for sa in here.sas.iter_mut().chain(&mut there.sas).filter(|sa| sa.source == plan().there) {
            sa.reqid = ReqId(9);
        }
        for policy in &mut here.policies {
            if policy.direction != PolicyDirection::Out {
                policy.templates[0].reqid = ReqId(9);
            }
        }
        hosts[0].carry_out(&here);
        hosts[1].carry_out(&there);
        let reqids = |host: &Host| -> Vec<(IpAddr, u32)> {
            let mut reqids: Vec<_> = host.0.iter().map(|sa| (sa.source, sa.reqid.0)).collect();
            reqids.sort();
            reqids
        };
        let (before, old) = (reqids(&hosts[0]), hosts[0].0.clone());
        let steps = stages(&PairPlan { purpose: Purpose::NewKeys(None), ..plan() }, &hosts[0]).unwrap();
        for step in &steps {
            carry_out(std::slice::from_ref(step), &mut hosts);
            assert!(is_heard(&plan(), &hosts), "{step:?}");
        }
        assert_eq!(before.iter().map(|(_, reqid)| *reqid).collect::<Vec<_>>(), [7, 8, 7, 9]);
        for host in &hosts {
            assert_eq!(reqids(host), before);
            assert!(host.0.iter().all(|sa| old.iter().all(|old| old.spi != sa.spi)));
        }
    }

    #[test]
    fn new_keys_leave_what_others_use_and_could_not_replace() {
        let mut host = Host::default();
        let [mut here, _] = PairPlan { reqid: ReqId(0), ..plan() }.make(free_spi()).unwrap();
        let networks = Some(["10.1.0.0/24", "10.3.0.0/24"].map(|net| net.parse().unwrap()));
        let [other, _] = PairPlan { networks, reqid: ReqId(8), ..plan() }.make(free_spi()).unwrap();
        here.sas.iter_mut().for_each(|sa| sa.reqid = ReqId(0));
        host.carry_out(&other);
        host.0.iter_mut().for_each(|sa| sa.used.added_at = 0);
        host.0.extend(here.sas.iter().map(|sa| Sa::from_spec(sa, 7)));
        host.1.extend(here.policies.iter().map(|policy| Policy::from_spec(policy, 0, 0)));
        for step in stages(&PairPlan { purpose: Purpose::NewKeys(None), ..plan() }, &host).unwrap() {
            if step.side == Side::Here {
                host.carry_out(&step.half);
            }
        }
        let left: Vec<Spi> = host.0.iter().map(|sa| sa.spi).collect();
        assert!(other.sas.iter().all(|sa| left.contains(&sa.spi)), "the other policies' SAs stay");
        assert!(here.sas.iter().all(|sa| !left.contains(&sa.spi)));
    }

    #[test]
    fn the_other_host_looks_for_replays_as_this_one_does() {
        let mut hosts = [Host::default(), Host::default()];
        carry_out(&stages(&plan(), &hosts[0]).unwrap(), &mut hosts);
        for sa in hosts.iter_mut().flat_map(|host| &mut host.0) {
            sa.replay.window = if sa.source == plan().here { 0 } else { 64 };
        }
        carry_out(&stages(&PairPlan { purpose: Purpose::NewKeys(None), ..plan() }, &hosts[0]).unwrap(), &mut hosts);
        let heard = |host: &Host, from| host.0.iter().find(|sa| sa.source == from).map(|sa| sa.replay.window);
        assert_eq!([heard(&hosts[0], plan().there), heard(&hosts[1], plan().here)], [Some(64); 2]);
    }

    #[test]
    fn what_others_use_stays_and_so_do_other_policies() {
        let mut host = Host::default();
        let [here, _] = plan().make(free_spi()).unwrap();
        host.carry_out(&here);
        let mut other = here.policies[0].clone();
        other.selector.destination = "10.3.0.0/24".parse().unwrap();
        let bypass = PolicySpec::new(PolicyDirection::Out, here.policies[0].selector);
        host.1.extend([other, bypass].map(|spec| Policy::from_spec(&spec, 0, 0)));
        let removal = PairPlan { purpose: Purpose::Remove, ..plan() };
        let standing = removal.standing(&host.0, &host.1);
        assert_eq!((standing.policies.len(), standing.sas.len(), standing.shared.len()), (3, 2, 1));
        assert_eq!(stages(&removal, &host).unwrap()[0].half.deed(), "deleted 1 SA and 3 policies");
        let marked = PairPlan { mark: Some(Mark { value: 1, mask: 1 }), ..removal };
        assert!(stages(&marked, &host).unwrap_err().contains("nothing protects"));
    }

    #[test]
    fn sas_without_policies_are_found_unless_somebody_uses_them() {
        let mut host = Host::default();
        let [here, _] = plan().make(free_spi()).unwrap();
        host.carry_out(&Half { policies: Vec::new(), ..here.clone() });
        let removal = PairPlan { purpose: Purpose::Remove, ..plan() };
        assert_eq!(stages(&removal, &host).unwrap()[0].half.deed(), "deleted 2 SAs");
        let everything = Prefix::ANY_V4;
        let mut all = PolicySpec::new(PolicyDirection::Out, Selector::between(everything, everything));
        all.templates.clone_from(&here.policies[0].templates);
        host.1.push(Policy::from_spec(&all, 0, 0));
        assert_eq!(stages(&removal, &host).unwrap()[0].half.deed(), "deleted 1 SA");
    }

    #[test]
    fn what_stands_in_the_way_is_said() {
        let mut host = Host::default();
        let with = |purpose| PairPlan { purpose, ..plan() };
        assert!(stages(&with(Purpose::NewKeys(None)), &host).unwrap_err().contains("no policy here like this"));
        assert!(stages(&with(Purpose::Remove), &host).unwrap_err().contains("nothing protects"));
        let [here, _] = plan().make(free_spi()).unwrap();
        host.carry_out(&here);
        assert!(stages(&plan(), &host).unwrap_err().contains("there are policies for this already"));
        // Who forgets the networks is told of them.
        for purpose in [Purpose::NewKeys(None), Purpose::Remove] {
            let words = stages(&PairPlan { networks: None, purpose, ..plan() }, &host).unwrap_err();
            assert!(words.ends_with("; what they have is out 10.1.0.0/24 10.2.0.0/24"), "{words}");
        }
        host.1[1].templates[0].spi = host.0[1].spi;
        assert!(stages(&with(Purpose::NewKeys(None)), &host).unwrap_err().contains("wants the one SA"));
    }
}
