//! SAs and policies as setkey statements.
//!
//! What the language cannot say on Linux is said in a comment, with the `ip xfrm` line that can.

use std::fmt::Write;
use std::net::IpAddr;

use zeroize::Zeroizing;

use super::parser::MOST_UNIQUE;
use crate::dialect::{Keys, iproute2, key_text};
use crate::model::extras::{Encapsulation, ExtraFlags, Iptfs, SecurityContext};
use crate::model::template::AlgorithmMasks;
use crate::model::{
    IpsecProtocol, Level, Limit, Mode, PolicyAction, PolicyDirection, PolicyId, PolicyKind, PolicySpec, PortMatch,
    Prefix, SaFlags, SaId, SaSpec, Selector, Template, Transform, UpperProtocol,
};

/// What stands in the place of a statement that there is none for: why, and `ip`'s line, or what `ip` cannot say either.
fn for_ip(obstacles: &[&str], line: &str) -> String {
    let reasons = obstacles.join(", ");
    if line.starts_with('#') {
        return format!("# setkey on Linux cannot say {reasons}, and\n{line}");
    }
    format!("# setkey on Linux cannot say {reasons}; ip xfrm can:\n# {line}")
}

/// An SA as an `add` statement, in one line without an end of line.
pub fn sa(spec: &SaSpec, keys: Keys) -> Zeroizing<String> {
    let obstacles = sa_obstacles(spec);
    if !obstacles.is_empty() {
        return Zeroizing::new(for_ip(&obstacles, &iproute2::sa(spec, keys)));
    }
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str("add ");
    write_head(&mut text, spec);
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
    if let Some(context) = &spec.extras.security {
        write_context(&mut text, context);
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

/// `src dst proto spi`
fn write_head(text: &mut String, spec: &SaSpec) {
    let (source, destination, spi) = (spec.source, spec.destination, spec.spi);
    let _ = match &spec.extras.encapsulation {
        None => write!(text, "{source} {destination} {} {spi:#}", protocol(spec.protocol)),
        Some(Encapsulation { source_port, destination_port, original, .. }) => {
            let original = if original.is_unspecified() { String::new() } else { format!("{original} ") };
            write!(text, "{source}[{source_port}] {destination}[{destination_port}] esp-udp {original}{spi:#}")
        }
    };
}

/// Only of what [`label`] has words for.
fn write_context(text: &mut String, context: &SecurityContext) {
    let _ = write!(text, " -ctx {} {} \"{}\"", context.doi, context.algorithm, label(context).unwrap_or_default());
}

/// A label that can stand between quotes.
fn label(context: &SecurityContext) -> Option<&str> {
    let text = std::str::from_utf8(context.label.strip_suffix(&[0])?).ok()?;
    let is_plain = !text.is_empty() && !text.contains(|c: char| c == '"' || c.is_control());
    Some(text).filter(|_| is_plain && context.doi != 0)
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

/// The end of an SA; `None` where the language has no words for it.
pub fn delete_sa(id: &SaId, source: IpAddr) -> Option<String> {
    let protocol = protocol_word(id.protocol).filter(|_| id.mark.is_none())?;
    Some(format!("delete {source} {} {protocol} {:#};", id.destination, id.spi))
}

/// The end of a policy; `None` where the language has no words for it.
pub fn delete_policy(id: &PolicyId) -> Option<String> {
    let mut spec = PolicySpec::new(id.direction, id.selector);
    (spec.kind, spec.mark, spec.if_id) = (id.kind, id.mark, id.if_id);
    policy_obstacles(&spec).is_empty().then(|| begun("spddelete", &spec) + ";")
}

/// The word for a protocol, if there is one.
pub fn protocol_word(protocol: IpsecProtocol) -> Option<&'static str> {
    match protocol {
        IpsecProtocol::Esp => Some("esp"),
        IpsecProtocol::Ah => Some("ah"),
        IpsecProtocol::Comp => Some("ipcomp"),
        IpsecProtocol::Routing | IpsecProtocol::DestinationOptions | IpsecProtocol::Any | IpsecProtocol::Other(_) => {
            None
        }
    }
}

fn protocol(protocol: IpsecProtocol) -> String {
    match protocol {
        IpsecProtocol::Comp => "ipcomp".to_owned(),
        other => other.to_string(),
    }
}

/// What of an SA the language has no words for on Linux.
fn sa_obstacles(spec: &SaSpec) -> Vec<&'static str> {
    let (algorithms, extras) = (&spec.algorithms, &spec.extras);
    let unsaid = |transform: &Option<Transform>| transform.as_ref().is_some_and(|t| setkey_name(t).is_none());
    let keyed = [&algorithms.encryption, &algorithms.authentication].into_iter().flatten();
    let odd_key = |transform: &Transform| {
        transform.name.known().is_some_and(|algorithm| !algorithm.key_bits.allow(transform.key.bits()))
    };
    let nothing_but_everything = |selector: Selector| selector.is_everything() && selector.user == 0;
    let odd_encapsulation = |around: Encapsulation| {
        around.kind != Encapsulation::ESP_IN_UDP
            || spec.protocol != IpsecProtocol::Esp
            || around.source_port == 0
            || around.destination_port == 0
            || around.original.is_ipv4() != spec.source.is_ipv4()
    };
    let compression = algorithms.compression.as_ref();
    let limits = [spec.limits.bytes, spec.limits.since_added_secs];
    let is_zero = |limit: Limit| limit.soft == Some(0) || limit.hard == Some(0);
    let thresholds = extras.replay_threshold.is_some()
        || extras.timer_threshold.is_some()
        || extras.mapping_threshold_secs.is_some();
    [
        (algorithms.aead.is_some(), "AEAD algorithms"),
        (unsaid(&algorithms.encryption), "this cipher"),
        (unsaid(&algorithms.authentication), "this authentication with this ICV length"),
        (keyed.clone().any(odd_key), "a key of this length"),
        (compression.is_some_and(|name| name.known().is_none_or(|row| row.setkey.is_empty())), "this compression"),
        (algorithms.is_none(), "an SA without keys"),
        (spec.mark.is_some(), "marks"),
        (spec.if_id.is_some(), "xfrm interfaces"),
        (spec.flags != SaFlags(0), "flags"),
        (spec.direction.is_some(), "directions"),
        (extras.encapsulation.is_some_and(odd_encapsulation), "this encapsulation"),
        (extras.security.as_ref().is_some_and(|context| label(context).is_none()), "this security label"),
        (extras.output_mark.is_some(), "output marks"),
        (extras.tfc_padding.is_some(), "TFC padding"),
        (extras.offload.is_some(), "offload"),
        (extras.care_of.is_some(), "care-of addresses"),
        (extras.extra_flags != ExtraFlags(0), "extra flags"),
        (thresholds, "thresholds"),
        (extras.nat_keepalive_secs.is_some(), "NAT keepalives"),
        (extras.cpu.is_some(), "CPUs"),
        (extras.iptfs != Iptfs::NONE, "IP-TFS"),
        (!extras.unknown.is_empty(), "attributes that espial does not know"),
        (!spec.limits.packets.is_none() || !spec.limits.since_used_secs.is_none(), "these limits"),
        (limits.into_iter().any(is_zero), "a limit of 0"),
        (spec.replay_window > 32, "windows above 32"),
        (spec.sent != 0 || spec.received != 0, "sequence numbers"),
        (spec.acquire_sequence != 0, "an ACQUIRE's number"),
        (!spec.selector.is_none_or(nothing_but_everything), "an SA's selector"),
        (!matches!(spec.mode, Mode::Transport | Mode::Tunnel), "this mode"),
        (!matches!(spec.protocol, IpsecProtocol::Esp | IpsecProtocol::Ah | IpsecProtocol::Comp), "this protocol"),
    ]
    .into_iter()
    .filter_map(|(is_so, words)| is_so.then_some(words))
    .collect()
}

/// A policy as an `spdadd` statement, in one line without an end of line.
pub fn policy(spec: &PolicySpec) -> String {
    policy_as("spdadd", spec, iproute2::policy)
}

/// The same as an `spdupdate` statement, which makes it if it is not there.
pub fn update_policy(spec: &PolicySpec) -> String {
    policy_as("spdupdate", spec, iproute2::update_policy)
}

fn policy_as(verb: &str, spec: &PolicySpec, of_ip: fn(&PolicySpec) -> String) -> String {
    let obstacles = policy_obstacles(spec);
    if !obstacles.is_empty() {
        return for_ip(&obstacles, &of_ip(spec));
    }
    let mut text = begun(verb, spec);
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

/// What names a policy.
fn begun(verb: &str, spec: &PolicySpec) -> String {
    let mut text = format!("{verb} ");
    write_selector(&mut text, &spec.selector);
    if let Some(context) = &spec.security {
        write_context(&mut text, context);
    }
    let _ = write!(text, " -P {}", spec.direction);
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

/// `src_range dst_range upper [more]`
fn write_selector(text: &mut String, selector: &Selector) {
    let (from, to) = (selector.source_port, selector.destination_port);
    let (source, destination, upper) = (selector.source, selector.destination, upper(selector.protocol));
    let _ = match selector.protocol {
        UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH | UpperProtocol::GRE
            if from.is_any() && to.is_any() =>
        {
            write!(text, "{} {} {upper}", range(source, from), range(destination, to))
        }
        UpperProtocol::GRE => {
            let ([a, b], [c, d]) = (from.value.to_be_bytes(), to.value.to_be_bytes());
            let (source, destination) = (range(source, PortMatch::ANY), range(destination, PortMatch::ANY));
            write!(text, "{source} {destination} {upper} {a}.{b}.{c}.{d}")
        }
        UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH => {
            let (source, destination) = (range(source, PortMatch::ANY), range(destination, PortMatch::ANY));
            write!(text, "{source} {destination} {upper} {},{}", from.value, to.value)
        }
        _ => write!(text, "{} {} {upper}", range(source, from), range(destination, to)),
    };
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
    let ports = [selector.source_port, selector.destination_port];
    // To setkey port 0 is any port.
    let whole = |port: PortMatch| port == PortMatch::ANY || (port.mask == u16::MAX && port.value != 0);
    let has_types = matches!(selector.protocol, UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH);
    let family = selector.source.address.is_ipv4();
    let odd = |template: &Template| {
        let ends = [template.source, template.destination];
        let odd_ends =
            template.mode == Mode::Transport && ends.iter().any(|end| !end.is_unspecified() || end.is_ipv4() != family);
        !matches!(template.mode, Mode::Transport | Mode::Tunnel)
            || !matches!(template.protocol, IpsecProtocol::Esp | IpsecProtocol::Ah | IpsecProtocol::Comp)
            || odd_ends
            || template.spi.0 != 0
            || template.share != 0
            || template.algorithm_masks != AlgorithmMasks::ALL
            || (template.reqid.0 != 0 && (template.level == Level::Use || template.reqid.0 > MOST_UNIQUE))
    };
    [
        (matches!(spec.direction, PolicyDirection::Socket(_)), "policies of sockets"),
        (spec.kind != PolicyKind::Main, "sub policies"),
        (spec.mark.is_some(), "marks"),
        (spec.if_id.is_some(), "xfrm interfaces"),
        (spec.flags != 0, "flags"),
        (spec.index != 0, "indexes"),
        (spec.share != 0, "sharing"),
        (!spec.limits.is_none(), "limits"),
        (spec.security.as_ref().is_some_and(|context| label(context).is_none()), "this security label"),
        (spec.offload.is_some(), "offload"),
        (!spec.unknown.is_empty(), "attributes that espial does not know"),
        (selector.interface != 0, "interfaces"),
        (selector.user != 0, "users"),
        (selector.any_family, "selectors of both families"),
        (selector.protocol == UpperProtocol(255), "protocol 255"),
        (!ports.into_iter().all(whole), "port masks and a port, type or code that is exactly 0"),
        (has_types && ports.iter().any(|port| port.value > 255), "types and codes above 255"),
        (spec.templates.iter().any(odd), "this transform"),
        (matches!(spec.action, PolicyAction::Other(_)), "this action"),
        (spec.action == PolicyAction::Block && !spec.templates.is_empty(), "a blocking policy with transforms"),
    ]
    .into_iter()
    .filter_map(|(is_so, words)| is_so.then_some(words))
    .collect()
}
