//! SAs and policies as setkey statements.
//!
//! What the language cannot say on Linux is said in a comment, with the `ip xfrm` line that can.

use std::fmt::Write;

use zeroize::Zeroizing;

use crate::dialect::{Keys, iproute2, key_text};
use crate::model::{
    IpsecProtocol, Level, Mode, PolicyAction, PolicyDirection, PolicyKind, PolicySpec, PortMatch, Prefix, SaFlags,
    SaSpec, Template, Transform, UpperProtocol,
};

/// An SA as an `add` statement, in one line without an end of line.
pub fn sa(spec: &SaSpec, keys: Keys) -> Zeroizing<String> {
    let obstacles = sa_obstacles(spec);
    if !obstacles.is_empty() {
        let line = iproute2::sa(spec, keys);
        let reasons = obstacles.join(", ");
        return Zeroizing::new(format!("# setkey on Linux cannot say {reasons}; ip xfrm can:\n# {}", *line));
    }
    let mut text = Zeroizing::new(String::with_capacity(512));
    let (source, destination) = (spec.source, spec.destination);
    let _ = write!(text, "add {source} {destination} {} {:#}", protocol(spec.protocol), spec.spi);
    if spec.mode != Mode::Transport {
        let _ = write!(text, " -m {}", spec.mode);
    }
    if spec.reqid.0 != 0 {
        let _ = write!(text, " -u {}", spec.reqid);
    }
    if spec.replay_window != 0 {
        let _ = write!(text, " -r {}", spec.replay_window);
    }
    let limits = [
        ("-lh", spec.limits.since_added_secs.hard),
        ("-ls", spec.limits.since_added_secs.soft),
        ("-bh", spec.limits.bytes.hard),
        ("-bs", spec.limits.bytes.soft),
    ];
    for (option, value) in limits {
        if let Some(value) = value {
            let _ = write!(text, " {option} {value}");
        }
    }
    if let Some(transform) = &spec.algorithms.encryption {
        write_transform(&mut text, "-E", transform, keys);
    }
    if let Some(transform) = &spec.algorithms.authentication {
        write_transform(&mut text, "-A", transform, keys);
    }
    if let Some(name) = &spec.algorithms.compression {
        let _ = write!(text, " -C {}", name.label());
    }
    text.push(';');
    if keys == Keys::Hide && has_key(spec) {
        text.push_str(" # keys hidden");
    }
    text
}

fn has_key(spec: &SaSpec) -> bool {
    let algorithms = &spec.algorithms;
    [&algorithms.encryption, &algorithms.authentication]
        .into_iter()
        .flatten()
        .any(|transform| !transform.key.is_empty())
}

fn write_transform(text: &mut String, option: &str, transform: &Transform, keys: Keys) {
    let name = setkey_name(transform).unwrap_or("?");
    let _ = write!(text, " {option} {name}");
    if !transform.key.is_empty() {
        let _ = write!(text, " {}", *key_text(&transform.key, keys));
    }
}

/// The first of setkey's names that means this algorithm with this ICV length.
fn setkey_name(transform: &Transform) -> Option<&'static str> {
    let names = transform.name.known()?.setkey;
    names.iter().find(|(_, icv_bits)| u32::from(*icv_bits) == transform.icv_bits).map(|(name, _)| *name)
}

fn protocol(protocol: IpsecProtocol) -> String {
    match protocol {
        IpsecProtocol::Comp => "ipcomp".to_owned(),
        other => other.to_string(),
    }
}

/// What of an SA the language has no words for on Linux.
fn sa_obstacles(spec: &SaSpec) -> Vec<&'static str> {
    let algorithms = &spec.algorithms;
    let unsaid = |transform: &Option<Transform>| transform.as_ref().is_some_and(|t| setkey_name(t).is_none());
    let nothing_but_everything = |spec: &SaSpec| spec.selector.is_none_or(|selector| selector.is_everything());
    [
        (algorithms.aead.is_some(), "AEAD algorithms"),
        (unsaid(&algorithms.encryption), "this cipher"),
        (unsaid(&algorithms.authentication), "this authentication with this ICV length"),
        (algorithms.is_none(), "an SA without keys"),
        (spec.mark.is_some(), "marks"),
        (spec.if_id.is_some(), "xfrm interfaces"),
        (spec.flags != SaFlags(0), "flags"),
        (spec.direction.is_some(), "directions"),
        (spec.extras.encapsulation.is_some(), "encapsulation"),
        (!spec.limits.packets.is_none() || !spec.limits.since_used_secs.is_none(), "these limits"),
        (spec.replay_window > 32, "windows above 32"),
        (!nothing_but_everything(spec), "an SA's selector"),
        (!matches!(spec.mode, Mode::Transport | Mode::Tunnel), "this mode"),
        (!matches!(spec.protocol, IpsecProtocol::Esp | IpsecProtocol::Ah | IpsecProtocol::Comp), "this protocol"),
    ]
    .into_iter()
    .filter_map(|(is_so, words)| is_so.then_some(words))
    .collect()
}

/// A policy as an `spdadd` statement, in one line without an end of line.
pub fn policy(spec: &PolicySpec) -> String {
    let obstacles = policy_obstacles(spec);
    if !obstacles.is_empty() {
        let (reasons, line) = (obstacles.join(", "), iproute2::policy(spec));
        return format!("# setkey on Linux cannot say {reasons}; ip xfrm can:\n# {line}");
    }
    let selector = &spec.selector;
    let mut text = format!(
        "spdadd {} {} {} -P {}",
        range(selector.source, selector.source_port),
        range(selector.destination, selector.destination_port),
        upper(selector.protocol),
        spec.direction
    );
    if spec.priority != PolicySpec::SETKEY_PRIORITY {
        let offset = i64::from(PolicySpec::SETKEY_PRIORITY) - i64::from(spec.priority);
        let _ = write!(text, " prio {offset}");
    }
    match (spec.action, spec.templates.is_empty()) {
        (PolicyAction::Block, _) => text.push_str(" discard"),
        (_, true) => text.push_str(" none"),
        _ => text.push_str(" ipsec"),
    }
    for template in &spec.templates {
        let _ = write!(text, " {}", rule(template));
    }
    text.push(';');
    text
}

fn rule(template: &Template) -> String {
    let ends = if template.destination.is_unspecified() && template.source.is_unspecified() {
        String::new()
    } else {
        format!("{}-{}", template.source, template.destination)
    };
    let level = match (template.level, template.reqid.0) {
        (Level::Use, _) => "use".to_owned(),
        (Level::Required, 0) => "require".to_owned(),
        (Level::Required, reqid) => format!("unique:{reqid}"),
    };
    format!("{}/{}/{ends}/{level}", protocol(template.protocol), template.mode)
}

fn range(prefix: Prefix, port: PortMatch) -> String {
    let port = if port.is_any() { String::new() } else { format!("[{}]", port.value) };
    if prefix.is_host() { format!("{}{port}", prefix.address) } else { format!("{prefix}{port}") }
}

/// setkey looks names up in /etc/protocols, which not every host has: only the usual ones go by name.
fn upper(protocol: UpperProtocol) -> String {
    match protocol {
        UpperProtocol::ANY | UpperProtocol::TCP | UpperProtocol::UDP | UpperProtocol::ICMP => protocol.to_string(),
        UpperProtocol::ICMPV6 => "icmp6".to_owned(),
        other => other.0.to_string(),
    }
}

/// What of a policy the language has no words for on Linux.
fn policy_obstacles(spec: &PolicySpec) -> Vec<&'static str> {
    let selector = &spec.selector;
    let whole = |port: PortMatch| matches!(port.mask, 0 | u16::MAX);
    let odd = |template: &Template| {
        !matches!(template.mode, Mode::Transport | Mode::Tunnel)
            || template.spi.0 != 0
            || template.algorithm_masks != crate::model::template::AlgorithmMasks::ALL
            || (template.reqid.0 != 0 && (template.level == Level::Use || template.reqid.0 > 0x3fff))
    };
    let extras = matches!(
        selector.protocol,
        UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH | UpperProtocol::GRE
    ) && !(selector.source_port.is_any() && selector.destination_port.is_any());
    [
        (matches!(spec.direction, PolicyDirection::Socket(_)), "policies of sockets"),
        (spec.kind != PolicyKind::Main, "sub policies"),
        (spec.mark.is_some(), "marks"),
        (spec.if_id.is_some(), "xfrm interfaces"),
        (spec.flags != 0, "flags"),
        (!spec.limits.is_none(), "limits"),
        (selector.interface != 0, "interfaces"),
        (selector.any_family, "selectors of both families"),
        (!whole(selector.source_port) || !whole(selector.destination_port), "port masks"),
        (extras, "types and codes yet"),
        (spec.templates.iter().any(odd), "this transform"),
        (matches!(spec.action, PolicyAction::Other(_)), "this action"),
    ]
    .into_iter()
    .filter_map(|(is_so, words)| is_so.then_some(words))
    .collect()
}
