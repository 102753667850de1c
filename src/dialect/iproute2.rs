//! SAs and policies as `ip xfrm` lines (without the words `ip xfrm`), as `ip -batch` takes them behind `xfrm`.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::{Keys, key_text};
use crate::model::{
    Level, LifetimeLimits, Limit, Policy, PolicyAction, PolicyDirection, PolicyKind, PolicySpec, SaDirection, SaFlags,
    SaSpec, Selector, Template, UpperProtocol,
};

/// An SA as `state add ...`.
pub fn sa(spec: &SaSpec, keys: Keys) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    let _ = write!(
        text,
        "ip xfrm state add src {} dst {} proto {} spi {} mode {}",
        spec.source, spec.destination, spec.protocol, spec.spi, spec.mode
    );
    let algorithms = &spec.algorithms;
    if let Some(transform) = &algorithms.aead {
        let (name, key) = (transform.name.kernel(), key_text(&transform.key, keys));
        let _ = write!(text, " aead '{name}' {} {}", *key, transform.icv_bits);
    }
    if let Some(transform) = &algorithms.encryption {
        let key = if transform.key.is_empty() { "''".to_owned().into() } else { key_text(&transform.key, keys) };
        let _ = write!(text, " enc '{}' {}", transform.name.kernel(), *key);
    }
    if let Some(transform) = &algorithms.authentication {
        let key = if transform.key.is_empty() { "''".to_owned().into() } else { key_text(&transform.key, keys) };
        let _ = write!(text, " auth-trunc '{}' {} {}", transform.name.kernel(), *key, transform.icv_bits);
    }
    if let Some(name) = &algorithms.compression {
        let _ = write!(text, " comp {}", name.kernel());
    }
    if spec.reqid.0 != 0 {
        let _ = write!(text, " reqid {}", spec.reqid);
    }
    if let Some(mark) = spec.mark {
        let _ = write!(text, " mark {:#x} mask {:#x}", mark.value, mark.mask);
    }
    if let Some(direction) = spec.direction {
        let word = if direction == SaDirection::In { "in" } else { "out" };
        let _ = write!(text, " dir {word}");
    }
    if spec.replay_window != 0 {
        let _ = write!(text, " replay-window {}", spec.replay_window);
    }
    if spec.flags != SaFlags(0) {
        let _ = write!(text, " flag {}", spec.flags);
    }
    if let Some(encapsulation) = &spec.extras.encapsulation {
        let kind = match encapsulation.kind {
            1 => "espinudp-nonike",
            7 => "espintcp",
            _ => "espinudp",
        };
        let (from, to) = (encapsulation.source_port, encapsulation.destination_port);
        let _ = write!(text, " encap {kind} {from} {to} {}", encapsulation.original);
    }
    if let Some(selector) = spec.selector.filter(|selector| !selector.is_everything()) {
        text.push_str(" sel");
        write_selector(&mut text, &selector);
    }
    write_limits(&mut text, &spec.limits);
    if let Some(if_id) = spec.if_id {
        let _ = write!(text, " if_id {if_id}");
    }
    text
}

/// A policy as `policy add ...`.
pub fn policy(spec: &PolicySpec) -> String {
    let mut text = "ip xfrm policy add".to_owned();
    write_selector(&mut text, &spec.selector);
    let direction = match spec.direction {
        PolicyDirection::Socket(number) => format!("socket-{number}"),
        other => other.to_string(),
    };
    let _ = write!(text, " dir {direction}");
    if let Some(mark) = spec.mark {
        let _ = write!(text, " mark {:#x} mask {:#x}", mark.value, mark.mask);
    }
    if spec.kind != PolicyKind::Main {
        let _ = write!(text, " ptype {}", spec.kind);
    }
    if spec.action != PolicyAction::Allow {
        let _ = write!(text, " action {}", spec.action);
    }
    let _ = write!(text, " priority {}", spec.priority);
    let flags: Vec<&str> =
        Policy::FLAGS.iter().filter(|(bit, _)| spec.flags & bit != 0).map(|(_, word)| *word).collect();
    if !flags.is_empty() {
        let _ = write!(text, " flag {}", flags.join(" flag "));
    }
    if let Some(if_id) = spec.if_id {
        let _ = write!(text, " if_id {if_id}");
    }
    write_limits(&mut text, &spec.limits);
    for template in &spec.templates {
        write_template(&mut text, template);
    }
    text
}

fn write_selector(text: &mut String, selector: &Selector) {
    let _ = write!(text, " src {} dst {}", selector.source, selector.destination);
    if selector.interface != 0 {
        // Its name belongs to a namespace; `ip` takes this for the index.
        let _ = write!(text, " dev if{}", selector.interface);
    }
    if selector.protocol != UpperProtocol::ANY {
        let _ = write!(text, " proto {}", upper(selector.protocol));
    }
    if selector.protocol == UpperProtocol::GRE && !(selector.source_port.is_any() && selector.destination_port.is_any())
    {
        let (high, low) = (selector.source_port.value, selector.destination_port.value);
        let _ = write!(text, " key {}", u32::from(high) << 16 | u32::from(low));
        return;
    }
    // One word for each of the kinds of things that the kernel keeps in the port fields.
    let (source, destination) = match selector.protocol {
        UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH => ("type", "code"),
        _ => ("sport", "dport"),
    };
    if !selector.source_port.is_any() {
        let _ = write!(text, " {source} {}", selector.source_port.value);
    }
    if !selector.destination_port.is_any() {
        let _ = write!(text, " {destination} {}", selector.destination_port.value);
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

fn write_template(text: &mut String, template: &Template) {
    text.push_str(" tmpl");
    if !template.source.is_unspecified() || !template.destination.is_unspecified() {
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
    use crate::model::{PortMatch, Prefix};

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
}
