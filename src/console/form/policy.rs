//! The form that makes a policy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reading::{if_id, mark, number};
use super::{Complaint, Description, FieldId as F, Form, Kind, Made, Plan, shows_more, words};
use crate::console::command::Change;
use crate::kernel::KernelError;
use crate::model::check::{self, PolicyField, Problem};
use crate::model::{
    IpsecProtocol, Level, Mode, PolicyAction, PolicyDirection, PolicyKind, PolicySpec, PortMatch, Prefix, ReqId, Sad,
    Selector, Spd, Template, UpperProtocol,
};

/// The form that makes a policy.
pub static PLAN: Plan = Plan { title: "Add a policy", button: "Add", fields: FIELDS, check, beside, make, blame };

/// What a packet is wrapped in, by the words on screen: the first is applied first on the way out.
const TRANSFORMS: [(&str, &[IpsecProtocol]); 4] = [
    ("esp", &[IpsecProtocol::Esp]),
    ("ah", &[IpsecProtocol::Ah]),
    ("esp, then ah", &[IpsecProtocol::Esp, IpsecProtocol::Ah]),
    ("ipcomp, then esp", &[IpsecProtocol::Comp, IpsecProtocol::Esp]),
];

fn protects(form: &Form) -> bool {
    form.value(F::Action) == "protect"
}

fn tunnels(form: &Form) -> bool {
    protects(form) && form.value(F::Mode) == "tunnel"
}

fn has_ports(form: &Form) -> bool {
    UpperProtocol::parse(form.value(F::Upper)).is_some_and(UpperProtocol::has_ports)
}

static FIELDS: &[Description] = &[
    Description {
        id: F::Direction,
        label: "Direction",
        help: "out: packets that leave; in: packets for this host; fwd: packets passed on (a tunnel needs in and fwd).",
        kind: Kind::Choice(|_| words(&["out", "in", "fwd"])),
        initial: "out",
        applies: |_| true,
    },
    Description {
        id: F::Source,
        label: "Source",
        help: "Where the packets come from: an address, or a network as 10.1.0.0/24.",
        kind: Kind::Text,
        initial: "",
        applies: |_| true,
    },
    Description {
        id: F::Destination,
        label: "Destination",
        help: "Where the packets go: an address, or a network as 10.2.0.0/24.",
        kind: Kind::Text,
        initial: "",
        applies: |_| true,
    },
    Description {
        id: F::Upper,
        label: "Protocol",
        help: "The protocol above IP: any, tcp, udp, icmp, ... or its number.",
        kind: Kind::Text,
        initial: "any",
        applies: |_| true,
    },
    Description {
        id: F::SourcePort,
        label: "Source port",
        help: "A port, or any.",
        kind: Kind::Text,
        initial: "any",
        applies: has_ports,
    },
    Description {
        id: F::DestinationPort,
        label: "Destination port",
        help: "A port, or any.",
        kind: Kind::Text,
        initial: "any",
        applies: has_ports,
    },
    Description {
        id: F::Action,
        label: "Action",
        help: "protect: only through SAs; allow: in clear; block: not at all.",
        kind: Kind::Choice(|_| words(&["protect", "allow", "block"])),
        initial: "protect",
        applies: |_| true,
    },
    Description {
        id: F::Transforms,
        label: "Transforms",
        help: "What the packets are wrapped in; the first named is the innermost.",
        kind: Kind::Choice(|_| TRANSFORMS.iter().map(|(word, _)| (*word).to_owned()).collect()),
        initial: "esp",
        applies: protects,
    },
    Description {
        id: F::Mode,
        label: "Mode",
        help: "transport: between the two hosts themselves; tunnel: whole packets between two gateways.",
        kind: Kind::Choice(|_| words(&["transport", "tunnel"])),
        initial: "transport",
        applies: protects,
    },
    Description {
        id: F::TunnelSource,
        label: "Tunnel from",
        help: "The gateway that the tunnel's packets come from.",
        kind: Kind::Text,
        initial: "",
        applies: tunnels,
    },
    Description {
        id: F::TunnelDestination,
        label: "Tunnel to",
        help: "The gateway that the tunnel's packets go to.",
        kind: Kind::Text,
        initial: "",
        applies: tunnels,
    },
    Description {
        id: F::Level,
        label: "Level",
        help: "required: without an SA the packets are dropped; optional: they then go in clear.",
        kind: Kind::Choice(|_| words(&["required", "optional"])),
        initial: "required",
        applies: protects,
    },
    Description {
        id: F::ReqId,
        label: "ReqID",
        help: "Only SAs with this number are used; 0 takes any that fit.",
        kind: Kind::Text,
        initial: "0",
        applies: protects,
    },
    Description {
        id: F::Priority,
        label: "Priority",
        help: "The lowest number is asked first. setkey's policies have 2147483648, those of `ip xfrm` 0.",
        kind: Kind::Text,
        initial: "2147483648",
        applies: |_| true,
    },
    Description {
        id: F::More,
        label: "More",
        help: "Mark, xfrm interface, sub policies: most often not needed.",
        kind: Kind::Choice(|_| words(&["hidden", "shown"])),
        initial: "hidden",
        applies: |_| true,
    },
    Description {
        id: F::Set,
        label: "Set",
        help: "sub policies are asked before all main ones; Mobile IPv6 uses them.",
        kind: Kind::Choice(|_| words(&["main", "sub"])),
        initial: "main",
        applies: shows_more,
    },
    Description {
        id: F::Mark,
        label: "Mark",
        help: "Only for packets with this mark: a number, or number/mask.",
        kind: Kind::Text,
        initial: "",
        applies: shows_more,
    },
    Description {
        id: F::IfId,
        label: "Interface ID",
        help: "Only for packets through the xfrm interface of this number.",
        kind: Kind::Text,
        initial: "",
        applies: shows_more,
    },
];

fn prefix(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Option<Prefix> {
    let text = form.value(field);
    if text.is_empty() {
        complaints.push(Complaint::error(field, "an address or a network is needed"));
        return None;
    }
    text.parse().map_err(|error| complaints.push(Complaint::error(field, format!("{error}")))).ok()
}

fn port(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Option<PortMatch> {
    if !form.applies(field) {
        return Some(PortMatch::ANY);
    }
    match form.value(field) {
        "any" | "" => Some(PortMatch::ANY),
        text => {
            if let Ok(port) = text.parse() {
                Some(PortMatch::exactly(port))
            } else {
                complaints.push(Complaint::error(field, "this is no port from 0 to 65535, nor any"));
                None
            }
        }
    }
}

fn end(form: &Form, field: F, unspecified: IpAddr, complaints: &mut Vec<Complaint>) -> Option<IpAddr> {
    if !form.applies(field) {
        return Some(unspecified);
    }
    match form.value(field) {
        "" => {
            complaints.push(Complaint::error(field, "a tunnel needs the addresses of both its ends"));
            None
        }
        text => text.parse().map_err(|_| complaints.push(Complaint::error(field, "this is no address"))).ok(),
    }
}

fn read(form: &Form) -> (Option<PolicySpec>, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let spec = read_spec(form, &mut complaints);
    if let Some(spec) = &spec {
        for problem in check::policy(spec) {
            let field = field_of(problem.field, form);
            complaints.push(Complaint { field, severity: problem.severity, sentence: problem.sentence });
        }
    }
    (spec, complaints)
}

fn read_spec(form: &Form, complaints: &mut Vec<Complaint>) -> Option<PolicySpec> {
    let source = prefix(form, F::Source, complaints);
    let destination = prefix(form, F::Destination, complaints);
    let upper = UpperProtocol::parse(form.value(F::Upper));
    if upper.is_none() {
        complaints.push(Complaint::error(F::Upper, "this is no protocol: say any, tcp, udp, icmp or a number to 255"));
    }
    let source_port = port(form, F::SourcePort, complaints);
    let destination_port = port(form, F::DestinationPort, complaints);
    let priority = number(form, F::Priority, complaints);
    let reqid = if protects(form) { number(form, F::ReqId, complaints) } else { Some(0) };
    let unspecified = match source.map(|prefix| prefix.address) {
        Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let from = end(form, F::TunnelSource, unspecified, complaints);
    let to = end(form, F::TunnelDestination, unspecified, complaints);

    let mark = mark(form, complaints);
    let if_id = if_id(form, complaints);

    let mut selector = Selector::between(source?, destination?);
    (selector.protocol, selector.source_port, selector.destination_port) = (upper?, source_port?, destination_port?);
    let direction = match form.value(F::Direction) {
        "in" => PolicyDirection::In,
        "fwd" => PolicyDirection::Forward,
        _ => PolicyDirection::Out,
    };
    let mut spec = PolicySpec::new(direction, selector);
    spec.priority = priority?;
    spec.kind = if form.applies(F::Set) && form.value(F::Set) == "sub" { PolicyKind::Sub } else { PolicyKind::Main };
    (spec.mark, spec.if_id) = (mark.ok()?, if_id.ok()?);
    spec.action = if form.value(F::Action) == "block" { PolicyAction::Block } else { PolicyAction::Allow };
    if protects(form) {
        let (from, to, reqid) = (from?, to?, ReqId(reqid?));
        let chosen = TRANSFORMS.iter().find(|(word, _)| *word == form.value(F::Transforms));
        for (place, protocol) in chosen.map_or(&[][..], |(_, protocols)| *protocols).iter().enumerate() {
            // Only the innermost transform is the tunnel; those around it protect the tunnel's own packets.
            let tunnel = tunnels(form) && place == 0;
            let mut template = if tunnel {
                Template::new(*protocol, Mode::Tunnel, from, to)
            } else {
                Template::new(*protocol, Mode::Transport, unspecified, unspecified)
            };
            template.reqid = reqid;
            // Small packets are not compressed: a required IPComp would lose them.
            let optional = form.value(F::Level) == "optional" || *protocol == IpsecProtocol::Comp;
            template.level = if optional { Level::Use } else { Level::Required };
            spec.templates.push(template);
        }
    }
    Some(spec)
}

fn field_of(field: PolicyField, form: &Form) -> F {
    match field {
        PolicyField::Direction => F::Direction,
        PolicyField::Source => F::Source,
        PolicyField::Mark => F::Mark,
        PolicyField::Kind => F::Set,
        PolicyField::Destination => F::Destination,
        PolicyField::Protocol => F::Upper,
        PolicyField::SourcePort => F::SourcePort,
        PolicyField::DestinationPort => F::DestinationPort,
        PolicyField::Action => F::Action,
        PolicyField::Priority | PolicyField::Limits => F::Priority,
        PolicyField::Templates if tunnels(form) => F::TunnelDestination,
        PolicyField::Templates => F::Transforms,
    }
}

fn check(form: &Form) -> Vec<Complaint> {
    read(form).1
}

fn beside(form: &Form, _: &Sad, spd: &Spd) -> Vec<Complaint> {
    let problems = spec(form).map(|spec| {
        let others: Vec<_> = spd.iter().map(|(_, policy)| policy).collect();
        check::policy_beside(&spec, &others)
    });
    let complaint = |p: Problem<PolicyField>| {
        // A field that is not shown says nothing.
        let field = Some(field_of(p.field, form)).filter(|field| form.applies(*field)).unwrap_or(F::Source);
        Complaint { field, severity: p.severity, sentence: p.sentence }
    };
    problems.into_iter().flatten().map(complaint).collect()
}

/// The policy that the form says; `None` while something is missing.
pub fn spec(form: &Form) -> Option<PolicySpec> {
    read(form).0
}

fn make(form: &Form) -> Option<Made> {
    spec(form).map(Change::AddPolicy).map(Box::new).map(Made::Change)
}

fn blame(error: &KernelError) -> Option<F> {
    let reason = error.reason();
    match error.errno()? {
        libc::EEXIST => Some(F::Source),
        _ if reason.contains("emplate") => Some(F::Transforms),
        _ if reason.contains("direction") => Some(F::Direction),
        _ if reason.contains("selector") => Some(F::Destination),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::Severity;

    fn filled() -> Form {
        let mut form = Form::new(&PLAN);
        form.set(F::Source, "10.9.0.1");
        form.set(F::Destination, "10.9.0.2");
        form
    }

    #[track_caller]
    fn errors(form: &Form, expected: &[(F, &str)]) {
        let found = form.complaints();
        let found: Vec<_> = found.iter().filter(|c| c.severity == Severity::Error).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (complaint, (field, part)) in found.iter().zip(expected) {
            assert_eq!(complaint.field, *field, "{complaint:?}");
            assert!(complaint.sentence.contains(part), "{complaint:?}");
        }
    }

    #[test]
    fn the_articles_policy() {
        let mut form = filled();
        form.set(F::Transforms, "esp, then ah");
        errors(&form, &[]);
        let spec = spec(&form).unwrap();
        assert_eq!(spec.id().to_string(), "out 10.9.0.1/32 10.9.0.2/32");
        assert_eq!(spec.priority, PolicySpec::SETKEY_PRIORITY);
        let templates: Vec<_> = spec.templates.iter().map(|t| (t.protocol, t.mode, t.level)).collect();
        let required = |protocol| (protocol, Mode::Transport, Level::Required);
        assert_eq!(templates, [required(IpsecProtocol::Esp), required(IpsecProtocol::Ah)]);
    }

    #[test]
    fn a_tunnel_between_two_networks() {
        let mut form = filled();
        for (field, value) in [(F::Source, "10.1.0.0/24"), (F::Destination, "10.2.0.0/24"), (F::Mode, "tunnel")] {
            form.set(field, value);
        }
        errors(&form, &[(F::TunnelSource, "both its ends"), (F::TunnelDestination, "both its ends")]);
        form.set(F::TunnelSource, "10.9.0.1");
        form.set(F::TunnelDestination, "10.9.0.2");
        form.set(F::Transforms, "ipcomp, then esp");
        errors(&form, &[(F::TunnelDestination, "optional")]);
        form.set(F::Transforms, "esp");
        errors(&form, &[]);
        let template = spec(&form).unwrap().templates.remove(0);
        assert_eq!((template.mode, template.destination), (Mode::Tunnel, [10, 9, 0, 2].into()));
    }

    #[test]
    fn ports_are_asked_for_only_where_there_are_any() {
        let mut form = filled();
        assert!(!form.applies(F::SourcePort));
        form.set(F::Upper, "tcp");
        form.set(F::DestinationPort, "70000");
        errors(&form, &[(F::DestinationPort, "0 to 65535")]);
        form.set(F::DestinationPort, "22");
        assert_eq!(spec(&form).unwrap().selector.to_string(), "10.9.0.1/32 10.9.0.2/32 tcp dport 22");
        form.set(F::Upper, "rubbish");
        errors(&form, &[(F::Upper, "no protocol")]);
    }

    #[test]
    fn what_blocks_has_no_transforms() {
        let mut form = filled();
        form.set(F::Action, "block");
        assert!(!form.applies(F::Transforms) && !form.applies(F::ReqId));
        let spec = spec(&form).unwrap();
        assert!(spec.templates.is_empty() && spec.action == PolicyAction::Block);
    }

    #[test]
    fn what_few_need_is_folded_away_and_counts_only_when_it_is_shown() {
        let mut form = filled();
        form.set(F::Set, "sub");
        form.set(F::Mark, "0x10/0xff");
        assert_eq!(spec(&form).unwrap().kind, PolicyKind::Main);
        form.set(F::More, "shown");
        form.set(F::IfId, "9");
        let made = spec(&form).unwrap();
        assert_eq!((made.kind, made.if_id.map(|id| id.0)), (PolicyKind::Sub, Some(9)));
        assert_eq!(made.mark.map(|mark| (mark.value, mark.mask)), Some((0x10, 0xff)));
        form.set(F::Mark, "x");
        errors(&form, &[(F::Mark, "a mark is a number")]);
    }
}
