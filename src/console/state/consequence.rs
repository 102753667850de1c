//! What follows when SAs or policies go: whether their packets are lost, or go out in clear.

use super::facts::Facts;
use super::question::Deed;
use crate::model::pair::used;
use crate::model::{
    IpsecProtocol, Level, Mode, Policy, PolicyAction, PolicyDefaults, PolicyDirection, PolicyId, Sa, SaDirection,
    Template,
};

/// So many pairs of an SA and a policy are looked at: more would be felt.
const MOST_PAIRS: usize = 200_000;

/// What follows from a deed, in a sentence.
pub fn consequence(deed: &Deed, facts: &Facts) -> String {
    match deed {
        Deed::DeleteSa(id) => of_sas(facts.sad.get(id).into_iter().collect(), facts),
        Deed::DeleteSas(ids, _) => {
            let words = of_sas(ids.iter().filter_map(|id| facts.sad.get(id)).collect(), facts);
            format!("{words} All go, or none.")
        }
        Deed::FlushSas(protocol) => of_flush(*protocol, facts),
        Deed::DeletePolicy(id) => of_policies(facts.spd.get(id), facts.defaults),
        Deed::DeletePolicies(ids, _) => {
            let words = of_policies(ids.iter().filter_map(|id| facts.spd.get(id)), facts.defaults);
            format!("{words} All go, or none.")
        }
        Deed::FlushPolicies(kind) => {
            let flushed = |policy: &&Policy| policy.kind == *kind && !policy.is_of_socket();
            of_policies(facts.spd.iter().map(|(_, policy)| policy).filter(flushed), facts.defaults)
        }
    }
}

/// What becomes of packets whose SA is gone.
#[derive(Default)]
struct Without {
    /// A policy lets none go.
    are_lost: bool,
    /// The first policy that lets them go as they are.
    in_clear: Option<PolicyId>,
    /// A policy lets them go uncompressed.
    are_larger: bool,
}

impl Without {
    fn add(&mut self, policy: &Policy, template: &Template) {
        match (template.level, template.protocol) {
            (Level::Required, _) => self.are_lost = true,
            (Level::Use, IpsecProtocol::Comp) => self.are_larger = true,
            (Level::Use, _) if self.in_clear.is_none() => self.in_clear = Some(policy.id()),
            (Level::Use, _) => {}
        }
    }
}

/// The policies that decide what goes out.
fn outward(facts: &Facts) -> impl Iterator<Item = &Policy> {
    let policies = facts.spd.iter().map(|(_, policy)| policy);
    policies.filter(|policy| policy.direction == PolicyDirection::Out && policy.action == PolicyAction::Allow)
}

fn of_sas(sas: Vec<&Sa>, facts: &Facts) -> String {
    let mut without = Without::default();
    let outward: Vec<&Policy> = outward(facts).filter(|policy| !policy.templates.is_empty()).collect();
    // What comes with an SA that is gone is dropped, whatever policies say.
    let sent = |sa: &&Sa| facts.direction_of(sa) != Some(SaDirection::In);
    let (received, sent): (Vec<&Sa>, Vec<&Sa>) = sas.into_iter().partition(|sa| !sent(sa));
    without.are_lost = !received.is_empty();
    if sent.len().saturating_mul(outward.len()) > MOST_PAIRS {
        let templates = outward.iter().flat_map(|policy| policy.templates.iter().map(move |one| (policy, one)));
        templates.for_each(|(policy, template)| without.add(policy, template));
    } else {
        for (sa, policy) in sent.iter().flat_map(|sa| outward.iter().map(move |policy| (sa, policy))) {
            used(policy, sa).for_each(|template| without.add(policy, template));
        }
    }
    let (need, until) = if received.len() + sent.len() == 1 {
        ("need it", "until there is another")
    } else {
        ("need them", "until there are others")
    };
    match (without.in_clear, without.are_lost) {
        (Some(policy), false) => {
            format!("Packets that {need} go out IN CLEAR {until}: to protect them is optional (level use) in {policy}.")
        }
        (Some(policy), true) => format!(
            "Packets that {need} are lost {until}, or go out IN CLEAR where a policy only uses what there is (level use), \
             as {policy} does."
        ),
        (None, false) if without.are_larger => format!("Packets that {need} go out uncompressed {until}."),
        (None, _) => format!("Packets that {need} are lost {until}."),
    }
}

fn of_flush(protocol: IpsecProtocol, facts: &Facts) -> String {
    let mut without = Without::default();
    for policy in outward(facts) {
        let flushed = policy.templates.iter().filter(|template| protocol.flushes(template.protocol));
        flushed.for_each(|template| without.add(policy, template));
    }
    match without.in_clear {
        Some(policy) if !without.are_lost => format!(
            "Packets that a policy protects go out IN CLEAR until there are new SAs: to protect them is optional (level \
             use) in {policy}."
        ),
        Some(policy) => format!(
            "Packets that a policy protects are lost until there are new SAs, or go out IN CLEAR where it only uses what \
             there is (level use), as {policy} does."
        ),
        None if without.are_larger && !without.are_lost => {
            "Packets that a policy has compressed go out uncompressed until there are new SAs.".to_owned()
        }
        None => "Packets that a policy protects are lost until there are new SAs.".to_owned(),
    }
}

/// What becomes of packets whose policies are gone. What decides over them is then another policy, or the default.
fn of_policies<'a>(policies: impl IntoIterator<Item = &'a Policy>, defaults: Option<PolicyDefaults>) -> String {
    let defaults = defaults.unwrap_or_default();
    let mut words: Vec<&str> = Vec::new();
    let mut policies: Vec<&Policy> = policies.into_iter().collect();
    policies.sort_by_key(|policy| u8::from(policy.direction != PolicyDirection::Out));
    for policy in policies {
        let default = match policy.direction {
            PolicyDirection::In => defaults.input,
            PolicyDirection::Forward => defaults.forward,
            PolicyDirection::Out => defaults.output,
            PolicyDirection::Socket(_) => continue,
        };
        let is_tunnel = policy.templates.iter().any(|template| template.mode != Mode::Transport);
        let said = follows(policy, default == PolicyAction::Block, is_tunnel);
        if !words.contains(&said) {
            words.push(said);
        }
    }
    match words.as_slice() {
        [] => "Nothing follows from it.".to_owned(),
        words => format!("Unless another policy decides over them, {}.", words.join("; ")),
    }
}

/// A packet that no policy is about passes unless the default blocks it; but what comes out of a tunnel needs a policy
/// (`__xfrm_policy_check`, `net/xfrm/xfrm_policy.c`).
fn follows(policy: &Policy, blocks: bool, is_tunnel: bool) -> &'static str {
    let protects = !policy.templates.is_empty();
    match (policy.direction, policy.action) {
        (PolicyDirection::Out, PolicyAction::Block) if blocks => "packets that were blocked are dropped all the same",
        (PolicyDirection::Out, PolicyAction::Block) => "packets that were blocked go out IN CLEAR",
        (PolicyDirection::Out, _) if blocks && protects => "packets that were protected are dropped",
        (PolicyDirection::Out, _) if blocks => "packets that were let out are dropped",
        (PolicyDirection::Out, _) if protects => "packets that were protected go out IN CLEAR",
        (PolicyDirection::Out, _) => "packets that were let out are let out as well",
        (PolicyDirection::In, PolicyAction::Block) if blocks => "packets that were not let in are dropped all the same",
        (PolicyDirection::In, PolicyAction::Block) => "packets that were not let in are accepted",
        (PolicyDirection::In, _) if blocks => "packets to this host that were let in are dropped",
        (PolicyDirection::In, _) if is_tunnel => {
            "packets to this host are accepted WITHOUT PROTECTION, and those out of the tunnel are lost"
        }
        (PolicyDirection::In, _) if protects => "packets to this host are accepted WITHOUT PROTECTION",
        (PolicyDirection::In, _) => "packets that were let in are let in as well",
        (_, PolicyAction::Block) if blocks => "packets that were not let through are dropped all the same",
        (_, PolicyAction::Block) => "packets that were not let through are passed on",
        (_, _) if blocks => "packets that were passed on are dropped",
        (_, _) if is_tunnel => "packets are passed on WITHOUT PROTECTION, and those out of the tunnel are lost",
        (_, _) if protects => "packets are passed on WITHOUT PROTECTION",
        (_, _) => "packets that were let through are passed on as well",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PolicyId, PolicyKind, PolicySpec, Prefix, SaSpec, Selector, Spi};

    fn policy(direction: PolicyDirection, templates: &[(IpsecProtocol, Mode, Level)]) -> Policy {
        let (here, there) = (Prefix::host([10, 9, 0, 1].into()), Prefix::host([10, 9, 0, 2].into()));
        let ends = if direction == PolicyDirection::Out { (here, there) } else { (there, here) };
        let mut spec = PolicySpec::new(direction, Selector::between(ends.0, ends.1));
        for (protocol, mode, level) in templates {
            let (from, to) = match mode {
                Mode::Transport => ([0; 4].into(), [0; 4].into()),
                _ => (ends.0.address, ends.1.address),
            };
            let template = Template::new(*protocol, *mode, from, to);
            spec.templates.push(Template { level: *level, ..template });
        }
        Policy::from_spec(&spec, 1, 0)
    }

    fn facts(policies: &[Policy], sas: &[(u8, u8, IpsecProtocol)]) -> Facts {
        let mut facts = Facts { spd: policies.to_vec().into(), ..Facts::default() };
        facts.addresses.insert([10, 9, 0, 1].into());
        for (place, (from, to, protocol)) in sas.iter().enumerate() {
            let spi = Spi(0x1000 + u32::try_from(place).unwrap());
            let spec = SaSpec::new([10, 9, 0, *from].into(), [10, 9, 0, *to].into(), *protocol, spi);
            facts.sad.insert(Sa::from_spec(&spec, 0));
        }
        facts
    }

    const ESP: IpsecProtocol = IpsecProtocol::Esp;
    const NEEDED: (IpsecProtocol, Mode, Level) = (ESP, Mode::Transport, Level::Required);
    const OPTIONAL: (IpsecProtocol, Mode, Level) = (ESP, Mode::Transport, Level::Use);

    #[track_caller]
    fn first_sa(policies: &[Policy], sa: (u8, u8, IpsecProtocol), expected: &str) {
        let facts = facts(policies, &[sa]);
        let id = facts.sad.iter().next().unwrap().1.id();
        assert_eq!(consequence(&Deed::DeleteSa(id), &facts), expected);
    }

    #[test]
    fn without_an_sa_packets_of_an_optional_policy_go_out_in_clear() {
        use PolicyDirection::{In, Out};
        let lost = "Packets that need it are lost until there is another.";
        first_sa(&[], (1, 2, ESP), lost);
        first_sa(&[policy(Out, &[NEEDED])], (1, 2, ESP), lost);
        first_sa(
            &[policy(Out, &[OPTIONAL])],
            (1, 2, ESP),
            "Packets that need it go out IN CLEAR until there is another: to protect them is optional (level use) in \
             out 10.9.0.1/32 10.9.0.2/32.",
        );
        // What comes with it is dropped, whatever the policies say.
        first_sa(&[policy(Out, &[OPTIONAL]), policy(In, &[OPTIONAL])], (2, 1, ESP), lost);
        let compresses = [(IpsecProtocol::Comp, Mode::Transport, Level::Use), NEEDED];
        first_sa(
            &[policy(Out, &compresses)],
            (1, 2, IpsecProtocol::Comp),
            "Packets that need it go out uncompressed until there is another.",
        );
    }

    #[test]
    fn a_flush_of_sas_asks_all_policies() {
        use PolicyDirection::Out;
        let flush = Deed::FlushSas(IpsecProtocol::Any);
        let two = [(1, 2, ESP), (2, 1, ESP)];
        let lost = consequence(&flush, &facts(&[policy(Out, &[NEEDED])], &two));
        assert_eq!(lost, "Packets that a policy protects are lost until there are new SAs.");
        let clear = consequence(&flush, &facts(&[policy(Out, &[OPTIONAL])], &two));
        assert!(clear.starts_with("Packets that a policy protects go out IN CLEAR until"), "{clear}");
        let marked = facts(&[policy(Out, &[OPTIONAL])], &two);
        let ids = marked.sad.iter().map(|(_, sa)| sa.id()).collect();
        let both = consequence(&Deed::DeleteSas(ids, crate::console::state::question::Chosen::Filtered), &marked);
        assert!(both.contains("are lost until there are others, or go out IN CLEAR where"), "{both}");
    }

    #[test]
    fn each_direction_of_a_policy_has_its_own_danger() {
        use PolicyDirection::{Forward, In, Out};
        let tunnel = [(ESP, Mode::Tunnel, Level::Required)];
        let blocks =
            PolicyDefaults { input: PolicyAction::Block, forward: PolicyAction::Block, output: PolicyAction::Block };
        for (direction, templates, default, expected) in [
            (Out, &[NEEDED], None, "packets that were protected go out IN CLEAR"),
            (Out, &[NEEDED], Some(blocks), "packets that were protected are dropped"),
            (In, &[NEEDED], None, "packets to this host are accepted WITHOUT PROTECTION."),
            (In, &tunnel, None, "WITHOUT PROTECTION, and those out of the tunnel are lost"),
            (In, &[NEEDED], Some(blocks), "packets to this host that were let in are dropped"),
            (Forward, &tunnel, None, "packets are passed on WITHOUT PROTECTION"),
            (Forward, &tunnel, Some(blocks), "packets that were passed on are dropped"),
        ] {
            let mut facts = facts(&[policy(direction, templates)], &[]);
            facts.defaults = default;
            let id: PolicyId = facts.spd.iter().next().unwrap().1.id();
            let said = consequence(&Deed::DeletePolicy(id), &facts);
            assert!(said.contains(expected), "{said}");
        }
        let all = facts(&[policy(Out, &tunnel), policy(In, &tunnel), policy(Forward, &tunnel)], &[]);
        let said = consequence(&Deed::FlushPolicies(PolicyKind::Main), &all);
        let parts = ["go out IN CLEAR", "are accepted WITHOUT", "are passed on WITHOUT"];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}
