//! What is wrong with an SA or a policy beside those that are there already. None of it is refused by the kernel but
//! what exists.

use super::sa::is_to_itself;
use super::{Findings, PolicyField, Problem, SaField, TemplateField};
use crate::model::{Level, Mode, Policy, PolicyAction, PolicyDirection, PolicySpec, Sa, SaSpec, Template};

/// What is wrong with an SA that is added to these.
pub fn sa_beside<'a>(spec: &SaSpec, others: impl IntoIterator<Item = &'a Sa>) -> Vec<Problem<SaField>> {
    let mut findings = Findings(Vec::new());
    let (mut way_back, mut same_number) = (false, false);
    for other in others {
        if other.id() == spec.id() {
            findings.error(SaField::Spi, format!("there is an SA {} already: choose another SPI", spec.id()));
        } else if other.spi == spec.spi && other.destination == spec.destination && other.protocol == spec.protocol {
            // `xfrm_state_add` looks for one that a packet with this mark fits.
            let mark = spec.mark.map_or(0, |mark| mark.value & mark.mask);
            if other.mark.is_none_or(|other| mark & other.mask == other.value) {
                let sentence = format!("the SA {} answers to this mark too: choose another SPI", other.id());
                findings.error(SaField::Spi, sentence);
            }
            same_number = true;
        }
        way_back |= other.protocol == spec.protocol
            && other.mode == spec.mode
            && (other.source, other.destination) == (spec.destination, spec.source);
    }
    if same_number {
        findings.warning(SaField::Mark, "an SA with this SPI differs in nothing but its mark: packets must be marked");
    }
    if !way_back && !is_to_itself(spec) {
        let (from, to) = (spec.destination, spec.source);
        let sentence =
            format!("there is no {} SA back from {from} to {to} yet: an SA is for one way only", spec.protocol);
        findings.warning(SaField::Destination, sentence);
    }
    findings.0
}

/// What is wrong with a policy that is added to these.
pub fn policy_beside(spec: &PolicySpec, others: &[&Policy]) -> Vec<Problem<PolicyField>> {
    let mut findings = Findings(Vec::new());
    let others = || others.iter().filter(|policy| !policy.is_of_socket());
    if others().any(|other| other.id() == spec.id()) {
        let sentence = format!("there is a policy {} already: another priority does not make it another", spec.id());
        findings.error(PolicyField::Source, sentence);
    }
    let tunnels = spec.templates.iter().any(|template| template.mode == Mode::Tunnel);
    let is_guarded = |direction| others().any(|p| p.direction == direction && p.selector == spec.selector);
    let twin = match spec.direction {
        PolicyDirection::In => PolicyDirection::Forward,
        _ => PolicyDirection::In,
    };
    if tunnels && matches!(spec.direction, PolicyDirection::In | PolicyDirection::Forward) && !is_guarded(twin) {
        let sentence = match twin {
            PolicyDirection::Forward => "packets for hosts behind this one need the same policy with direction fwd",
            _ => "packets for this host itself need the same policy with direction in",
        };
        findings.warning(PolicyField::Direction, sentence);
    }
    if let Some(sentence) = cuts(spec) {
        findings.warning(PolicyField::Action, sentence);
    }
    let is_transport = |template: &Template| template.mode == Mode::Transport;
    let are_hosts = spec.selector.source.is_host() && spec.selector.destination.is_host();
    if !spec.templates.is_empty() && spec.templates.iter().all(is_transport) && !are_hosts {
        let sentence = "transport mode takes an SA for each two hosts, which they have themselves: for networks behind \
                        gateways take mode tunnel";
        findings.warning(PolicyField::Template(0, TemplateField::Mode), sentence);
    }
    let (ours, other_default) = match spec.priority {
        0 => ("ip xfrm", PolicySpec::SETKEY_PRIORITY),
        PolicySpec::SETKEY_PRIORITY => ("setkey", 0),
        _ => return findings.0,
    };
    let mixed = others().find(|p| {
        p.id() != spec.id()
            && p.direction == spec.direction
            && p.priority == other_default
            && p.selector.meets(&spec.selector)
    });
    if let Some(other) = mixed {
        let order = if spec.priority == 0 { "before" } else { "only after" };
        let sentence = format!(
            "{} is what {ours} gives: it is asked {order} \u{201c}{}\u{201d}, which has {other_default} and matches \
             packets of this one too",
            spec.priority,
            other.id()
        );
        findings.warning(PolicyField::Priority, sentence);
    }
    findings.0
}

/// What a policy cuts off that is about every packet, in a sentence.
fn cuts(spec: &PolicySpec) -> Option<String> {
    let PolicySpec { selector, templates, .. } = spec;
    let is_about_some = !selector.is_everything() || spec.mark.is_some() || spec.if_id.is_some();
    let demands = templates.iter().any(|template| template.level == Level::Required);
    if is_about_some || spec.action == PolicyAction::Allow && !demands {
        return None;
    }
    let words = match (spec.direction, demands) {
        (PolicyDirection::Out, false) => ": this host sends nothing more, SSH included",
        (PolicyDirection::Out, true) => ": this host sends nothing more without an SA for it, SSH included",
        (PolicyDirection::In, false) => ": no packet reaches this host any more, SSH included",
        (PolicyDirection::In, true) => ": no packet reaches this host any more that no SA has protected, SSH included",
        (PolicyDirection::Forward, false) => " behind this host: nothing is passed on any more",
        (PolicyDirection::Forward, true) => " behind this host: nothing is passed on that no SA has protected",
        (PolicyDirection::Socket(_), _) => return None,
    };
    Some(format!("THIS CUTS THE NETWORK{words}, but what policies before it allow"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::Severity::{self, Error, Warning};
    use crate::model::{IfId, IpsecProtocol, Mark, Prefix, Selector, Spi};

    fn sa(from: u8, to: u8, spi: u32) -> SaSpec {
        SaSpec::new([10, 9, 0, from].into(), [10, 9, 0, to].into(), IpsecProtocol::Esp, Spi(spi))
    }

    #[track_caller]
    fn check_sa(spec: &SaSpec, beside: &[SaSpec], expected: &[(SaField, Severity, &str)]) {
        let others: Vec<Sa> = beside.iter().map(|spec| Sa::from_spec(spec, 0)).collect();
        let found = sa_beside(spec, &others);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (problem, (field, severity, part)) in found.iter().zip(expected) {
            assert_eq!((problem.field, problem.severity), (*field, *severity), "{problem:?}");
            assert!(problem.sentence.contains(part), "{:?} lacks {part:?}", problem.sentence);
        }
    }

    #[test]
    fn an_sa_wants_a_number_of_its_own_and_a_way_back() {
        use SaField as F;
        check_sa(&sa(1, 2, 0x1001), &[], &[(F::Destination, Warning, "back from 10.9.0.2 to 10.9.0.1")]);
        check_sa(&sa(1, 2, 0x1001), &[sa(2, 1, 0x1002)], &[]);
        check_sa(&sa(1, 2, 0x1001), &[sa(2, 1, 0x1002), sa(3, 2, 0x1001)], &[(F::Spi, Error, "already")]);
        let marked = SaSpec { mark: Some(Mark { value: 1, mask: 1 }), ..sa(1, 2, 0x1001) };
        let other = SaSpec { mark: Some(Mark { value: 2, mask: 2 }), ..sa(1, 2, 0x1001) };
        check_sa(&marked, &[sa(2, 1, 0x1002), other], &[(F::Mark, Warning, "its mark")]);
        let fits_all = [(F::Spi, Error, "answers to this mark too"), (F::Mark, Warning, "its mark")];
        check_sa(&marked, &[sa(2, 1, 0x1002), sa(1, 2, 0x1001)], &fits_all);
        // A host has no other end.
        check_sa(&sa(1, 1, 0x1001), &[], &[]);
        let tunnel = SaSpec { mode: Mode::Tunnel, ..sa(1, 2, 0x1001) };
        check_sa(&tunnel, &[sa(2, 1, 0x1002)], &[(F::Destination, Warning, "no esp SA back")]);
    }

    fn network(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn tunnel(direction: PolicyDirection, from: &str, priority: u32) -> PolicySpec {
        let mut spec = PolicySpec::new(direction, Selector::between(network(from), network("10.2.0.0/24")));
        let (source, destination) = ([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        spec.templates.push(Template::new(IpsecProtocol::Esp, Mode::Tunnel, source, destination));
        spec.priority = priority;
        spec
    }

    #[track_caller]
    fn check_policy(spec: &PolicySpec, beside: &[PolicySpec], expected: &[(PolicyField, Severity, &str)]) {
        let others: Vec<Policy> = beside.iter().map(|spec| Policy::from_spec(spec, 0, 0)).collect();
        let found = policy_beside(spec, &others.iter().collect::<Vec<_>>());
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (problem, (field, severity, part)) in found.iter().zip(expected) {
            assert_eq!((problem.field, problem.severity), (*field, *severity), "{problem:?}");
            assert!(problem.sentence.contains(part), "{:?} lacks {part:?}", problem.sentence);
        }
    }

    #[test]
    fn a_policy_is_seen_among_the_others() {
        use PolicyDirection::{Forward, In, Out};
        use PolicyField as F;
        const SETKEY: u32 = PolicySpec::SETKEY_PRIORITY;
        let network = "10.1.0.0/24";
        check_policy(&tunnel(Out, network, 0), &[], &[]);
        check_policy(&tunnel(Out, network, 0), &[tunnel(Out, network, 7)], &[(F::Source, Error, "already")]);
        check_policy(&tunnel(In, network, 0), &[], &[(F::Direction, Warning, "fwd")]);
        check_policy(&tunnel(In, network, 0), &[tunnel(Forward, network, 0)], &[]);
        check_policy(&tunnel(Forward, network, 0), &[], &[(F::Direction, Warning, "direction in")]);
        let wider = tunnel(Out, "10.0.0.0/8", SETKEY);
        check_policy(&tunnel(Out, network, 0), &[wider], &[(F::Priority, Warning, "asked before")]);
        let wider = tunnel(Out, "10.0.0.0/8", 0);
        check_policy(&tunnel(Out, network, SETKEY), &[wider], &[(F::Priority, Warning, "only after")]);
        check_policy(&tunnel(Out, network, 0), &[tunnel(Out, "10.7.0.0/24", SETKEY)], &[]);
    }

    #[test]
    fn what_is_about_every_packet_is_warned_of_loudly() {
        use PolicyDirection::{Forward, In, Out};
        use PolicyField as F;
        let block = |direction| {
            let mut spec = PolicySpec::new(direction, Selector::between(Prefix::ANY_V4, Prefix::ANY_V4));
            spec.action = PolicyAction::Block;
            spec
        };
        for (direction, words) in [(Out, "sends nothing more, SSH"), (In, "reaches this host"), (Forward, "passed on")]
        {
            check_policy(&block(direction), &[], &[(F::Action, Warning, words)]);
        }
        for (direction, words) in [(Out, "without an SA for it"), (In, "no SA has protected")] {
            let protect = PolicySpec { selector: block(direction).selector, ..tunnel(direction, "10.1.0.0/24", 7) };
            let expected = [(F::Direction, Warning, "fwd"), (F::Action, Warning, words)];
            check_policy(&protect, &[], if direction == In { &expected } else { &expected[1..] });
            let optional = |template: &Template| Template { level: Level::Use, ..template.clone() };
            let optional = PolicySpec { templates: protect.templates.iter().map(optional).collect(), ..protect };
            check_policy(&optional, &[], if direction == In { &expected[..1] } else { &[] });
        }
        // An xfrm interface, a mark or a port has packets of its own.
        check_policy(&PolicySpec { if_id: Some(IfId(7)), ..block(Out) }, &[], &[]);
        check_policy(&PolicySpec { mark: Some(Mark { value: 7, mask: 7 }), ..block(Out) }, &[], &[]);
        check_policy(&PolicySpec { action: PolicyAction::Allow, ..block(Out) }, &[], &[]);
        check_policy(&PolicySpec { selector: tunnel(Out, "10.1.0.0/24", 7).selector, ..block(Out) }, &[], &[]);
    }

    #[test]
    fn transport_mode_between_networks_is_seldom_meant() {
        let mut spec = tunnel(PolicyDirection::Out, "10.1.0.0/24", 7);
        let nowhere = std::net::IpAddr::from([0, 0, 0, 0]);
        let ah = Template::new(IpsecProtocol::Ah, Mode::Transport, nowhere, nowhere);
        spec.templates.push(ah.clone());
        check_policy(&spec, &[], &[]);
        spec.templates = vec![ah];
        let field = PolicyField::Template(0, TemplateField::Mode);
        check_policy(&spec, &[], &[(field, Warning, "take mode tunnel")]);
        spec.selector = Selector::between(network("10.9.0.1"), network("10.9.0.2"));
        check_policy(&spec, &[], &[]);
    }
}
