//! SAs and policies as `ip xfrm` commands, for a shell and for `ip -batch`.
//!
//! All that `ip` has words for is said. What it has none for is left out, and [`left_out_of_sa`] and
//! [`left_out_of_policy`] tell what that is; where the rest would be something else, or nothing that `ip` takes, the
//! line is a comment that begins with the reason.

use std::fmt::Write;
use std::net::IpAddr;

use zeroize::Zeroizing;

use super::ip_script::Kind;
use super::{Keys, key_text};
use crate::model::extras::{Encapsulation, Iptfs, Offload, SaExtras, SecurityContext};
use crate::model::template::AlgorithmMasks;
use crate::model::{
    Algorithms, IfId, IpsecProtocol, Level, LifetimeLimits, Limit, Mark, Mode, Policy, PolicyAction, PolicyDirection,
    PolicyId, PolicyKind, PolicySpec, PortMatch, Sa, SaDirection, SaId, SaSpec, Selector, Template, Transform,
    UpperProtocol,
};

/// An SA as `state add ...`.
pub fn sa(spec: &SaSpec, keys: Keys) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    if let Some(reason) = unsaid_of_sa(spec) {
        let _ = write!(text, "# `ip` cannot make {reason}: ");
    }
    let _ = write!(text, "ip xfrm state add src {} dst {} proto {}", spec.source, spec.destination, spec.protocol);
    if spec.spi.0 != 0 {
        let _ = write!(text, " spi {}", spec.spi);
    }
    let _ = write!(text, " mode {}", spec.mode);
    write_algorithms(&mut text, &spec.algorithms, keys);
    if spec.reqid.0 != 0 {
        let _ = write!(text, " reqid {}", spec.reqid);
    }
    write_mark(&mut text, "mark", spec.mark.filter(|mark| says_mark(*mark)));
    if let Some(direction) = spec.direction {
        let _ = write!(text, " dir {direction}");
    }
    if spec.acquire_sequence != 0 {
        // `ip` sends what it reads in network byte order, and the kernel compares it as it lies in memory.
        let _ = write!(text, " seq {}", spec.acquire_sequence.to_be());
    }
    write_replay(&mut text, spec);
    write_extras(&mut text, &spec.extras);
    write_sa_selector(&mut text, spec);
    write_limits(&mut text, &spec.limits);
    write_if_id(&mut text, spec.if_id);
    text
}

fn write_algorithms(text: &mut Zeroizing<String>, algorithms: &Algorithms, keys: Keys) {
    let key = |transform: &Transform| {
        if transform.key.is_empty() { Zeroizing::new("''".to_owned()) } else { key_text(&transform.key, keys) }
    };
    if let Some(transform) = &algorithms.aead {
        let (name, key) = (transform.name.kernel(), key(transform));
        let _ = write!(text, " aead '{name}' {} {}", *key, transform.icv_bits);
    }
    if let Some(transform) = &algorithms.encryption {
        let (name, key) = (transform.name.kernel(), key(transform));
        let _ = write!(text, " enc '{name}' {}", *key);
    }
    if let Some(transform) = &algorithms.authentication {
        let (name, key) = (transform.name.kernel(), key(transform));
        let _ = write!(text, " auth-trunc '{name}' {} {}", *key, transform.icv_bits);
    }
    if let Some(name) = &algorithms.compression {
        let _ = write!(text, " comp {}", name.kernel());
    }
}

fn write_mark(text: &mut String, word: &str, mark: Option<Mark>) {
    if let Some(Mark { value, mask }) = mark {
        let _ = write!(text, " {word} {value:#x} mask {mask:#x}");
    }
}

/// The window, where the sequence numbers are, and the flags, among them the one that makes those long.
fn write_replay(text: &mut String, spec: &SaSpec) {
    if spec.replay_window != 0 {
        let _ = write!(text, " replay-window {}", spec.replay_window);
    }
    for (word, number) in [("seq", spec.received), ("oseq", spec.sent)] {
        if number != 0 {
            let _ = write!(text, " replay-{word} {:#x}", number & u64::from(u32::MAX));
        }
        if number >> 32 != 0 {
            let _ = write!(text, " replay-{word}-hi {:#x}", number >> 32);
        }
    }
    if spec.flags.0 != 0 {
        let _ = write!(text, " flag {}", spec.flags);
    }
}

fn write_extras(text: &mut String, extras: &SaExtras) {
    match extras.extra_flags {
        flags if flags.unnamed() != 0 => {
            let _ = write!(text, " extra-flag {:#x}", flags.0);
        }
        flags if flags.0 != 0 => {
            let _ = write!(text, " extra-flag {flags}");
        }
        _ => {}
    }
    if let Some((kind, encapsulation)) =
        extras.encapsulation.and_then(|found| Some((encapsulation_word(found)?, found)))
    {
        let Encapsulation { source_port, destination_port, original, .. } = encapsulation;
        let _ = write!(text, " encap {kind} {source_port} {destination_port} {original}");
    }
    if let Some(care_of) = extras.care_of {
        let _ = write!(text, " coa {care_of}");
    }
    write_label(text, extras.security.as_ref());
    if let Some(Offload { interface, flags }) = extras.offload {
        // Older versions know only the cipher's kind, and no word for it.
        let kind = if flags & Offload::PACKET != 0 { "packet " } else { "" };
        let direction = if flags & Offload::INBOUND != 0 { "in" } else { "out" };
        let _ = write!(text, " offload {kind}dev if{interface} dir {direction}");
    }
    write_mark(text, "output-mark", extras.output_mark.filter(|mark| says_output_mark(*mark)));
    if let Some(bytes) = extras.tfc_padding {
        let _ = write!(text, " tfcpad {bytes}");
    }
    if let Some(cpu) = extras.cpu {
        let _ = write!(text, " pcpu-num {cpu}");
    }
}

fn encapsulation_word(encapsulation: Encapsulation) -> Option<&'static str> {
    Encapsulation::NAMES.iter().find(|(kind, _)| *kind == encapsulation.kind).map(|(_, word)| *word)
}

fn write_label(text: &mut String, security: Option<&SecurityContext>) {
    if let Some(label) = security.and_then(said_label) {
        let _ = write!(text, " ctx '{label}'");
    }
}

/// A label that a shell and `ip -batch` take for the same word between quotes, and that `ip` sends like this.
fn said_label(security: &SecurityContext) -> Option<&str> {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && !b"'\"\\#".contains(&byte);
    let label = security.label.strip_suffix(&[0])?;
    let is_said = (security.doi, security.algorithm) == (1, 1) && !label.is_empty() && label.iter().all(|b| plain(*b));
    std::str::from_utf8(label).ok().filter(|_| is_said)
}

fn write_sa_selector(text: &mut String, spec: &SaSpec) {
    let is_default = |selector: &Selector| selector.is_default_of(spec.destination, spec.flags);
    if let Some(selector) = spec.selector.filter(|selector| !is_default(selector)) {
        text.push_str(" sel");
        write_selector(text, &selector);
    }
}

/// Why `ip` makes no SA like this one, whatever is said.
fn unsaid_of_sa(spec: &SaSpec) -> Option<String> {
    use IpsecProtocol::{Ah, Any, Comp, DestinationOptions, Esp, Other, Routing};
    let algorithms = &spec.algorithms;
    let mode_fits = match spec.protocol {
        Esp => matches!(spec.mode, Mode::Transport | Mode::Tunnel | Mode::Beet),
        Ah | Comp => matches!(spec.mode, Mode::Transport | Mode::Tunnel),
        Routing | DestinationOptions => matches!(spec.mode, Mode::RouteOptimization | Mode::InTrigger),
        Any | Other(_) => return Some(format!("SAs of protocol {}", spec.protocol)),
    };
    if !mode_fits {
        return Some(format!("{} SAs of mode {}", spec.protocol, spec.mode));
    }
    if spec.protocol == Esp && algorithms.aead.is_none() && algorithms.encryption.is_none() {
        return Some("ESP SAs without a cipher".to_owned());
    }
    let receives = spec.direction != Some(SaDirection::Out);
    (spec.flags.esn() && spec.replay_window == 0 && receives).then(|| "ESN SAs without a replay window".to_owned())
}

/// What of an SA `ip` has no words for: who loads the line again must know.
pub fn left_out_of_sa(sa: &Sa) -> Vec<&'static str> {
    let extras = &*sa.extras;
    words(&[
        (!says_ports(&sa.selector), "ports"),
        (sa.selector.user != 0, "user id"),
        (!sa.mark.is_none_or(says_mark), "mark"),
        (extras.encapsulation.is_some_and(|found| encapsulation_word(found).is_none()), "encapsulation"),
        (!extras.output_mark.is_none_or(says_output_mark), "output mark"),
        (extras.security.as_ref().is_some_and(|security| said_label(security).is_none()), "security label"),
        (extras.replay_threshold.is_some() || extras.timer_threshold.is_some(), "event thresholds"),
        (extras.mapping_threshold_secs.is_some(), "mapping threshold"),
        (extras.nat_keepalive_secs.is_some(), "NAT keepalive"),
        (extras.iptfs != Iptfs::NONE, "IP-TFS"),
        (!extras.unknown.is_empty(), "unknown attributes"),
    ])
}

/// A mark that looks at no bit is not sent.
fn says_mark(mark: Mark) -> bool {
    mark.mask != 0
}

/// A mark of 0 is not sent, and for a mask of 0 the kernel takes all bits.
fn says_output_mark(mark: Mark) -> bool {
    mark.value != 0 && mark.mask != 0
}

fn words(cases: &[(bool, &'static str)]) -> Vec<&'static str> {
    cases.iter().filter_map(|(is_so, words)| is_so.then_some(*words)).collect()
}

/// The end of an SA. The source is not part of its name, but `ip` wants it.
pub fn delete_sa(id: &SaId, source: IpAddr) -> String {
    let SaId { destination, protocol, spi, mark, .. } = id;
    let mut text = format!("ip xfrm state delete src {source} dst {destination} proto {protocol} spi {spi}");
    write_mark(&mut text, "mark", *mark);
    text
}

/// A policy as `policy add ...`.
pub fn policy(spec: &PolicySpec) -> String {
    policy_as("add", spec)
}

/// The same as `policy update ...`, which makes it if it is not there.
pub fn update_policy(spec: &PolicySpec) -> String {
    policy_as("update", spec)
}

/// The end of a policy.
pub fn delete_policy(id: &PolicyId) -> String {
    let mut spec = PolicySpec::new(id.direction, id.selector);
    (spec.kind, spec.mark, spec.if_id) = (id.kind, id.mark, id.if_id);
    let mut text = begun("delete", &spec);
    write_if_id(&mut text, spec.if_id);
    text
}

fn policy_as(verb: &str, spec: &PolicySpec) -> String {
    let mut text = begun(verb, spec);
    if spec.action != PolicyAction::Allow {
        let _ = write!(text, " action {}", spec.action);
    }
    let _ = write!(text, " priority {}", spec.priority);
    write_policy_flags(&mut text, spec.flags);
    write_if_id(&mut text, spec.if_id);
    write_limits(&mut text, &spec.limits);
    if let Some(Offload { interface, .. }) = spec.offload {
        let _ = write!(text, " offload packet dev if{interface}");
    }
    let mut is_v6 = spec.selector.destination.address.is_ipv6();
    for template in &spec.templates {
        write_template(&mut text, template, is_v6);
        is_v6 = template.destination.is_ipv6();
    }
    text
}

/// What names a policy, and its index and kind.
fn begun(verb: &str, spec: &PolicySpec) -> String {
    let mut text = unsaid_of_policy(spec).map_or_else(String::new, |reason| format!("# `ip` cannot make {reason}: "));
    let _ = write!(text, "ip xfrm policy {verb}");
    write_selector(&mut text, &spec.selector);
    let direction = match spec.direction {
        PolicyDirection::Socket(number) => format!("socket-{number}"),
        other => other.to_string(),
    };
    let _ = write!(text, " dir {direction}");
    write_label(&mut text, spec.security.as_deref());
    write_mark(&mut text, "mark", spec.mark.filter(|mark| says_mark(*mark)));
    if spec.index != 0 {
        let _ = write!(text, " index {}", spec.index);
    }
    if spec.kind != PolicyKind::Main {
        let _ = write!(text, " ptype {}", spec.kind);
    }
    text
}

fn write_if_id(text: &mut String, if_id: Option<IfId>) {
    if let Some(if_id) = if_id {
        let _ = write!(text, " if_id {if_id}");
    }
}

fn write_policy_flags(text: &mut String, flags: u8) {
    let named = Policy::FLAGS.iter().fold(0, |named, (bit, _)| named | bit);
    if flags & !named != 0 {
        let _ = write!(text, " flag {flags:#x}");
        return;
    }
    for (_, word) in Policy::FLAGS.iter().filter(|(bit, _)| flags & bit != 0) {
        let _ = write!(text, " flag {word}");
    }
}

/// Why `ip` makes no policy like this one, whatever is said.
fn unsaid_of_policy(spec: &PolicySpec) -> Option<String> {
    let mode = spec.templates.iter().find(|template| matches!(template.mode, Mode::Iptfs | Mode::Other(_)));
    let protocol = spec.templates.iter().find(|template| matches!(template.protocol, IpsecProtocol::Other(_)));
    if matches!(spec.direction, PolicyDirection::Socket(_)) {
        Some("policies of sockets".to_owned())
    } else if let PolicyKind::Other(_) = spec.kind {
        Some(format!("policies of kind {}", spec.kind))
    } else if let PolicyAction::Other(_) = spec.action {
        Some(format!("policies with action {}", spec.action))
    } else if let Some(template) = mode {
        Some(format!("templates of mode {}", template.mode))
    } else {
        protocol.map(|template| format!("templates of protocol {}", template.protocol))
    }
}

/// What of a policy `ip` has no words for.
pub fn left_out_of_policy(policy: &Policy) -> Vec<&'static str> {
    let any = |which: fn(&Template) -> bool| policy.templates.iter().any(which);
    words(&[
        (!says_ports(&policy.selector), "ports"),
        (policy.selector.user != 0, "user id"),
        (!policy.mark.is_none_or(says_mark), "mark"),
        (policy.share != 0 || any(|template| template.share != 0), "sharing"),
        (any(|template| template.algorithm_masks != AlgorithmMasks::ALL), "templates' algorithms"),
        (policy.security.as_ref().is_some_and(|security| said_label(security).is_none()), "security label"),
        (!policy.unknown.is_empty(), "unknown attributes"),
    ])
}

/// Whether `ip` has words for all that a selector keeps in the port fields.
fn says_ports(selector: &Selector) -> bool {
    let ports = [selector.source_port, selector.destination_port];
    let is_whole = |port: PortMatch| port.mask == u16::MAX;
    let all = |fits: fn(u16) -> bool| ports.iter().all(|port| port.is_any() || is_whole(*port) && fits(port.value));
    match Kind::of(selector.protocol) {
        // To `ip`, port 0 is any port.
        Some(Kind::Ports) => all(|value| value != 0),
        Some(Kind::TypeAndCode) => all(|value| value < 256),
        Some(Kind::Key) => ports.iter().all(|port| port.is_any()) || ports.iter().all(|port| is_whole(*port)),
        None => ports.iter().all(|port| port.is_any()),
    }
}

fn write_selector(text: &mut String, selector: &Selector) {
    if !selector.any_family {
        let _ = write!(text, " src {} dst {}", selector.source, selector.destination);
    }
    if selector.interface != 0 {
        // Its name belongs to a namespace; `ip` takes this for the index.
        let _ = write!(text, " dev if{}", selector.interface);
    }
    let Selector { source_port, destination_port, protocol, .. } = *selector;
    if protocol != UpperProtocol::ANY {
        let _ = write!(text, " proto {}", upper(protocol));
    }
    // One word for each of the kinds of things that the kernel keeps in the port fields.
    let words = match Kind::of(protocol).filter(|_| says_ports(selector)) {
        None => return,
        Some(Kind::Key) if source_port.is_any() => return,
        Some(Kind::Key) => {
            let _ = write!(text, " key {}", u32::from(source_port.value) << 16 | u32::from(destination_port.value));
            return;
        }
        Some(Kind::TypeAndCode) => ["type", "code"],
        Some(Kind::Ports) => ["sport", "dport"],
    };
    for (word, port) in words.into_iter().zip([source_port, destination_port]) {
        if !port.is_any() {
            let _ = write!(text, " {word} {}", port.value);
        }
    }
}

/// `ip` knows the names of /etc/protocols; numbers are safe everywhere.
fn upper(protocol: UpperProtocol) -> String {
    match protocol {
        UpperProtocol::TCP | UpperProtocol::UDP | UpperProtocol::ICMP => protocol.to_string(),
        other => other.0.to_string(),
    }
}

fn write_limits(text: &mut String, limits: &LifetimeLimits) {
    let kinds: [(&str, Limit); 4] = [
        ("byte", limits.bytes),
        ("packet", limits.packets),
        ("time", limits.since_added_secs),
        ("time-use", limits.since_used_secs),
    ];
    for (kind, limit) in kinds {
        for (word, value) in [("soft", limit.soft), ("hard", limit.hard)] {
            if let Some(value) = value {
                let _ = write!(text, " limit {kind}-{word} {value}");
            }
        }
    }
}

/// Without addresses, `ip` takes a template to be of the family of what stands before it.
fn write_template(text: &mut String, template: &Template, is_v6: bool) {
    text.push_str(" tmpl");
    let is_of_family = |address: IpAddr| address.is_unspecified() && address.is_ipv6() == is_v6;
    if !is_of_family(template.source) || !is_of_family(template.destination) {
        let _ = write!(text, " src {} dst {}", template.source, template.destination);
    }
    let _ = write!(text, " proto {}", template.protocol);
    if template.spi.0 != 0 {
        let _ = write!(text, " spi {}", template.spi);
    }
    let _ = write!(text, " mode {}", template.mode);
    if template.reqid.0 != 0 {
        let _ = write!(text, " reqid {}", template.reqid);
    }
    if template.level == Level::Use {
        text.push_str(" level use");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Prefix, Spi};

    fn check(fill: fn(&mut Selector), expected: &str) {
        let network = |text: &str| text.parse::<Prefix>().unwrap();
        let mut selector = Selector::between(network("10.1.0.0/16"), network("10.2.0.0/16"));
        fill(&mut selector);
        let line = policy(&PolicySpec::new(PolicyDirection::Out, selector));
        assert_eq!(line, format!("ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16{expected} dir out priority 0"));
    }

    #[test]
    fn every_part_of_a_selector_has_ips_word() {
        check(|_| {}, "");
        check(|selector| selector.interface = 7, " dev if7");
        check(
            |selector| {
                selector.protocol = UpperProtocol::TCP;
                selector.destination_port = PortMatch::exactly(443);
            },
            " proto tcp dport 443",
        );
        check(
            |selector| {
                selector.protocol = UpperProtocol::ICMP;
                (selector.source_port, selector.destination_port) = (PortMatch::exactly(8), PortMatch::exactly(0));
            },
            " proto icmp type 8 code 0",
        );
        check(|selector| selector.protocol = UpperProtocol::GRE, " proto 47");
        check(
            |selector| {
                selector.protocol = UpperProtocol::GRE;
                (selector.source_port, selector.destination_port) = (PortMatch::exactly(1), PortMatch::exactly(2));
            },
            " proto 47 key 65538",
        );
    }

    fn esp() -> SaSpec {
        let mut spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(0x1001));
        let key = crate::model::Secret::copy_from(&[7; 20]);
        let name = crate::model::AlgorithmName::from_kernel("rfc4106(gcm(aes))");
        spec.algorithms.aead = Some(Transform { name, key, icv_bits: 128 });
        spec
    }

    #[test]
    fn what_has_no_words_is_known() {
        let check = |fill: fn(&mut Sa), words: &[&str]| {
            let mut sa = Sa::from_spec(&esp(), 0);
            fill(&mut sa);
            assert_eq!(left_out_of_sa(&sa), words);
        };
        check(|_| {}, &[]);
        check(|sa| sa.extras.output_mark = Some(Mark { value: 0, mask: 0xff }), &["output mark"]);
        check(|sa| sa.extras.tfc_padding = Some(100), &[]);
        check(|sa| sa.extras.nat_keepalive_secs = Some(20), &["NAT keepalive"]);
        check(|sa| sa.extras.security = Some(SecurityContext::selinux("a'; reboot #")), &["security label"]);
        check(
            |sa| sa.extras.security = Some(SecurityContext { doi: 2, ..SecurityContext::selinux("a") }),
            &["security label"],
        );
        check(|sa| sa.selector.source_port = PortMatch { value: 4096, mask: 0xf000 }, &["ports"]);
        check(|sa| (sa.selector.user, sa.mark) = (5, Some(Mark { value: 1, mask: 0 })), &["user id", "mark"]);

        let check = |fill: fn(&mut Selector), words: &[&str]| {
            let spec = PolicySpec::new(PolicyDirection::Out, Selector::between(Prefix::ANY_V4, Prefix::ANY_V4));
            let mut policy = Policy::from_spec(&spec, 1, 0);
            fill(&mut policy.selector);
            assert_eq!(left_out_of_policy(&policy), words);
        };
        check(|selector| selector.source_port = PortMatch::exactly(4500), &[]);
        check(|selector| selector.source_port = PortMatch::exactly(0), &["ports"]);
        check(|selector| (selector.protocol.0, selector.source_port) = (136, PortMatch::exactly(5)), &["ports"]);
        check(|selector| (selector.protocol.0, selector.source_port) = (47, PortMatch::exactly(5)), &["ports"]);
        check(|selector| (selector.protocol.0, selector.source_port) = (1, PortMatch::exactly(256)), &["ports"]);
    }

    #[test]
    fn what_ip_cannot_make_is_a_comment() {
        let check = |fill: fn(&mut SaSpec), reason: &str| {
            let mut spec = esp();
            fill(&mut spec);
            let line = sa(&spec, Keys::Hide);
            assert!(line.starts_with(&format!("# `ip` cannot make {reason}: ip xfrm state add src ")), "{}", *line);
        };
        check(|spec| spec.mode = Mode::Iptfs, "esp SAs of mode iptfs");
        check(|spec| spec.algorithms.aead = None, "ESP SAs without a cipher");
        check(|spec| spec.flags.0 = 128, "ESN SAs without a replay window");
        check(|spec| spec.protocol = IpsecProtocol::Other(4), "SAs of protocol 4");
        let selector = Selector::between(Prefix::ANY_V4, Prefix::ANY_V4);
        let mut spec = PolicySpec::new(PolicyDirection::Out, selector);
        spec.action = PolicyAction::Other(7);
        assert!(policy(&spec).starts_with("# `ip` cannot make policies with action 7: ip xfrm policy add src "));
    }
}
