//! What is wrong with a policy.

use super::{Findings, PolicyField, Problem, SelectorFields};
use crate::model::{IpsecProtocol, Level, Mode, PolicyAction, PolicyDirection, PolicyKind, PolicySpec, Template};

/// Everything wrong with a policy, field by field.
pub fn policy(spec: &PolicySpec) -> Vec<Problem<PolicyField>> {
    const FIELDS: SelectorFields<PolicyField> = SelectorFields {
        source: PolicyField::Source,
        destination: PolicyField::Destination,
        source_port: PolicyField::SourcePort,
        destination_port: PolicyField::DestinationPort,
    };
    let mut findings = Findings(Vec::new());
    findings.selector(&spec.selector, &FIELDS);
    findings.mark(PolicyField::Mark, spec.mark);
    findings.limits(PolicyField::Limits, &spec.limits);
    if let PolicyKind::Other(number) = spec.kind {
        findings.error(PolicyField::Kind, format!("there is no policy type {number}: use main or sub"));
    }
    if let PolicyAction::Other(number) = spec.action {
        findings.error(PolicyField::Action, format!("there is no action {number}: use allow or block"));
    }
    if matches!(spec.direction, PolicyDirection::Socket(_)) {
        findings.error(PolicyField::Direction, "a policy of a socket can only be made by its program");
    }
    if spec.action == PolicyAction::Block && !spec.templates.is_empty() {
        findings.error(PolicyField::Action, "a policy that blocks has no use for transforms");
    }
    if spec.templates.len() > PolicySpec::MOST_TEMPLATES {
        let most = PolicySpec::MOST_TEMPLATES;
        findings.error(PolicyField::Templates, format!("a policy has at most {most} transforms"));
    }
    for (position, template) in spec.templates.iter().enumerate() {
        if let Some(sentence) = template_problem(spec, template) {
            findings.error(PolicyField::Templates, format!("transform {}: {sentence}", position + 1));
        }
    }
    findings.0
}

fn template_problem(spec: &PolicySpec, template: &Template) -> Option<&'static str> {
    let ends = [template.source, template.destination];
    let unspecified = ends.iter().filter(|end| end.is_unspecified()).count();
    match template.mode {
        Mode::Transport if unspecified < 2 && spec.direction == PolicyDirection::Out => {
            Some("transport mode takes the packet's own addresses: leave the ends out")
        }
        Mode::Tunnel if unspecified > 0 => Some("a tunnel needs the addresses of both its ends"),
        Mode::Tunnel | Mode::Beet | Mode::Iptfs
            if template.level == Level::Use && spec.direction == PolicyDirection::Out =>
        {
            Some("a tunnel cannot be optional on the way out")
        }
        _ if ends[0].is_ipv4() != ends[1].is_ipv4() => Some("both ends must be IPv4 or both IPv6"),
        Mode::Transport if ends[0].is_ipv4() != spec.selector.source.address.is_ipv4() => {
            Some("transport mode keeps the packet's address family")
        }
        Mode::Other(_) => Some("this mode does not exist: use transport or tunnel"),
        _ if !matches!(template.protocol, IpsecProtocol::Esp | IpsecProtocol::Ah | IpsecProtocol::Comp) => {
            Some("the protocol must be esp, ah or ipcomp")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::Severity;
    use crate::model::{Limit, Mark, PortMatch, Prefix, Selector, UpperProtocol};
    use std::net::{IpAddr, Ipv4Addr};

    const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    #[track_caller]
    fn check_policy(change: impl FnOnce(&mut PolicySpec), expected: &[(PolicyField, Severity, &str)]) {
        let host = |last| Prefix::host([10, 9, 0, last].into());
        let mut spec = PolicySpec::new(PolicyDirection::Out, Selector::between(host(1), host(2)));
        spec.templates.push(Template::new(IpsecProtocol::Esp, Mode::Transport, NOWHERE, NOWHERE));
        change(&mut spec);
        let found = policy(&spec);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (problem, (field, severity, part)) in found.iter().zip(expected) {
            assert_eq!((problem.field, problem.severity), (*field, *severity), "{problem:?}");
            assert!(problem.sentence.contains(part), "{:?} lacks {part:?}", problem.sentence);
        }
    }

    #[test]
    fn policies() {
        use PolicyField as F;
        use Severity::{Error, Warning};
        check_policy(|_| {}, &[]);
        check_policy(|p| p.selector.source = "10.8.2.7/24".parse().unwrap(), &[(F::Source, Warning, "10.8.2.7/24")]);
        check_policy(
            |p| p.selector.destination_port = PortMatch::exactly(22),
            &[(F::DestinationPort, Warning, "without a protocol")],
        );
        check_policy(
            |p| (p.selector.protocol, p.selector.destination_port) = (UpperProtocol(50), PortMatch::exactly(22)),
            &[(F::DestinationPort, Error, "esp has no ports")],
        );
        check_policy(
            |p| (p.selector.protocol, p.selector.destination_port) = (UpperProtocol::TCP, PortMatch::exactly(22)),
            &[],
        );
        check_policy(|p| p.kind = PolicyKind::Other(7), &[(F::Kind, Error, "type 7")]);
        check_policy(|p| p.action = PolicyAction::Other(7), &[(F::Action, Error, "no action 7")]);
        check_policy(|p| p.selector.source.length = 33, &[(F::Source, Error, "at most 32 bits")]);
        check_policy(|p| p.mark = Some(Mark { value: 3, mask: 1 }), &[(F::Mark, Error, "no packet")]);
        check_policy(
            |p| p.limits.packets = Limit { soft: Some(9), hard: Some(8) },
            &[(F::Limits, Warning, "9 packets")],
        );
        check_policy(|p| p.templates[0].mode = Mode::Other(6), &[(F::Templates, Error, "does not exist")]);
        check_policy(|p| p.action = PolicyAction::Block, &[(F::Action, Error, "blocks")]);
        check_policy(|p| p.templates[0].mode = Mode::Tunnel, &[(F::Templates, Error, "transform 1: a tunnel needs")]);
        check_policy(
            |p| {
                let template = &mut p.templates[0];
                (template.mode, template.level) = (Mode::Tunnel, Level::Use);
                (template.source, template.destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
            },
            &[(F::Templates, Error, "optional")],
        );
        check_policy(|p| p.templates = vec![p.templates[0].clone(); 7], &[(F::Templates, Error, "at most 6")]);
        check_policy(|p| p.direction = PolicyDirection::Socket(3), &[(F::Direction, Error, "its program")]);
        check_policy(
            |p| p.selector.source = "fd00::1".parse().unwrap(),
            &[(F::Destination, Error, "both"), (F::Templates, Error, "address family")],
        );
    }
}
