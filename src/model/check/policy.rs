//! What is wrong with a policy.

use super::{Findings, PolicyField, Problem, SelectorFields, TemplateField};
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
    if spec.index != 0 && !matches!(spec.direction, PolicyDirection::Socket(_)) {
        let (number, needed) = (spec.index % 8, u32::from(spec.direction.number()));
        if number != needed {
            let sentence =
                format!("the lowest three bits of an index are the direction: {needed} for {}", spec.direction);
            findings.error(PolicyField::Index, sentence);
        }
    }
    if spec.share > MOST_SHARE {
        findings.error(PolicyField::Share, "share is any, session, user or unique");
    }
    findings.security(PolicyField::Security, spec.security.as_deref());
    let mut family = spec.selector.source.address.is_ipv4();
    for (place, template) in spec.templates.iter().enumerate() {
        let number = place + 1;
        if let Some((field, sentence)) = template_problem(spec, template, family) {
            findings.error(PolicyField::Template(place, field), format!("transform {number}: {sentence}"));
        }
        if template.protocol == IpsecProtocol::Comp
            && template.level == Level::Required
            && spec.direction != PolicyDirection::Out
        {
            let sentence =
                format!("transform {number}: small packets come uncompressed and are lost: make it optional");
            findings.warning(PolicyField::Template(place, TemplateField::Level), sentence);
        }
        family = template.source.is_ipv4();
    }
    findings.0
}

/// `XFRM_SHARE_UNIQUE`
const MOST_SHARE: u8 = 3;

/// `validate_tmpl`, `net/xfrm/xfrm_user.c`; `is_v4` is the family of the packet that the template is applied to.
fn template_problem(spec: &PolicySpec, template: &Template, is_v4: bool) -> Option<(TemplateField, &'static str)> {
    use TemplateField as T;
    let ends = [template.source, template.destination];
    let unspecified = ends.iter().filter(|end| end.is_unspecified()).count();
    let is_tunnel = matches!(template.mode, Mode::Tunnel | Mode::Beet | Mode::Iptfs);
    match template.mode {
        Mode::Transport if unspecified < 2 && spec.direction == PolicyDirection::Out => {
            Some((T::Ends, "transport mode takes the packet's own addresses: leave the ends out"))
        }
        _ if is_tunnel && unspecified > 0 => Some((T::Ends, "a tunnel needs the addresses of both its ends")),
        _ if is_tunnel && template.level == Level::Use && spec.direction == PolicyDirection::Out => {
            Some((T::Level, "a tunnel cannot be optional on the way out"))
        }
        _ if ends[0].is_ipv4() != ends[1].is_ipv4() => Some((T::Ends, "both ends must be IPv4 or both IPv6")),
        _ if !is_tunnel && ends[0].is_ipv4() != is_v4 => {
            Some((T::Ends, "transport mode keeps the packet's address family"))
        }
        Mode::Other(_) => Some((T::Mode, "this mode does not exist: use transport or tunnel")),
        _ => match template.protocol {
            IpsecProtocol::Any | IpsecProtocol::Other(_) => {
                Some((T::Protocol, "the protocol must be esp, ah or ipcomp"))
            }
            IpsecProtocol::Esp
            | IpsecProtocol::Ah
            | IpsecProtocol::Comp
            | IpsecProtocol::Routing
            | IpsecProtocol::DestinationOptions => None,
        },
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
        use TemplateField as T;
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
        check_policy(|p| p.templates[0].mode = Mode::Other(6), &[(F::Template(0, T::Mode), Error, "does not exist")]);
        check_policy(|p| p.action = PolicyAction::Block, &[(F::Action, Error, "blocks")]);
        check_policy(
            |p| p.templates[0].mode = Mode::Tunnel,
            &[(F::Template(0, T::Ends), Error, "transform 1: a tunnel needs")],
        );
        check_policy(
            |p| {
                let template = &mut p.templates[0];
                (template.mode, template.level) = (Mode::Tunnel, Level::Use);
                (template.source, template.destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
            },
            &[(F::Template(0, T::Level), Error, "optional")],
        );
        check_policy(|p| p.templates = vec![p.templates[0].clone(); 7], &[(F::Templates, Error, "at most 6")]);
        check_policy(|p| p.index = 8, &[(F::Index, Error, "1 for out")]);
        check_policy(|p| p.index = 17, &[]);
        check_policy(|p| p.share = 4, &[(F::Share, Error, "unique")]);
        check_policy(
            |p| (p.direction, p.templates[0].protocol) = (PolicyDirection::In, IpsecProtocol::Comp),
            &[(F::Template(0, T::Level), Warning, "small packets")],
        );
        // The tunnel makes an IPv4 packet of an IPv6 one, and AH stands around that.
        check_policy(
            |p| {
                p.selector = Selector::between(Prefix::ANY_V6, Prefix::ANY_V6);
                let template = &mut p.templates[0];
                template.mode = Mode::Tunnel;
                (template.source, template.destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
                p.templates.push(Template::new(IpsecProtocol::Ah, Mode::Transport, NOWHERE, NOWHERE));
            },
            &[],
        );
        check_policy(|p| p.direction = PolicyDirection::Socket(3), &[(F::Direction, Error, "its program")]);
        check_policy(
            |p| p.selector.source = "fd00::1".parse().unwrap(),
            &[(F::Destination, Error, "both"), (F::Template(0, T::Ends), Error, "address family")],
        );
    }
}
