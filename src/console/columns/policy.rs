//! The columns of the table of policies.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;

use super::sa::said;
use super::{About, Column, Columns, sooner};
use crate::model::spd::matching_order;
use crate::model::text::{duration, harmless, quantity};
use crate::model::{Level, LifetimeLimits, Policy, Selector, Template, UpperProtocol};

/// A policy with what the console knows beside it.
#[derive(Clone, Copy)]
pub struct PolicyRow<'a> {
    /// What the kernel told.
    pub policy: &'a Policy,
    /// The name of the interface that its selector asks for, where it is known.
    pub interface: Option<&'a str>,
    /// Seconds since the epoch.
    pub now: u64,
}

impl PolicyRow<'_> {
    /// Seconds since it was added.
    pub fn age(&self) -> u64 {
        self.now.saturating_sub(self.policy.used.added_at)
    }

    /// Seconds since its last use, as far as the kernel says.
    pub fn idle(&self) -> Option<u64> {
        self.policy.used.used_at.map(|at| self.now.saturating_sub(at))
    }

    fn left(&self) -> Option<u64> {
        self.policy.limits.seconds_left(&self.policy.used, self.now)
    }
}

/// A column of the table of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each says of itself what it is")]
pub enum PolicyColumn {
    Direction,
    Source,
    Destination,
    Upper,
    Action,
    Templates,
    Priority,
    Index,
    Mark,
    IfId,
    Age,
    LastUse,
    Left,
    Limits,
    Flags,
    Share,
    Kind,
    Interface,
    Offload,
    Label,
}

impl Columns for PolicyColumn {
    const ALL: &'static [Self] = &[
        Self::Direction,
        Self::Source,
        Self::Destination,
        Self::Upper,
        Self::Action,
        Self::Templates,
        Self::Priority,
        Self::Index,
        Self::Mark,
        Self::IfId,
        Self::Age,
        Self::LastUse,
        Self::Left,
        Self::Limits,
        Self::Flags,
        Self::Share,
        Self::Kind,
        Self::Interface,
        Self::Offload,
        Self::Label,
    ];
    const USUAL: &'static [Self] = Self::ALL.split_at(8).0;

    fn about(self) -> About {
        match self {
            Self::Direction => About::new("dir", "Dir", "which way; sorted in the kernel's order").rank(0),
            Self::Source => About::new("src", "Source", "where its packets come from").rank(0).cut_to(18),
            Self::Destination => About::new("dst", "Destination", "where they go").rank(0).cut_to(18),
            Self::Upper => About::new("upper", "Upper", "the protocol above IP, and its ports").rank(4),
            Self::Action => About::new("action", "Action", "what happens to them").rank(1),
            Self::Templates => About::new("templates", "Templates", "what protects them").rank(2).cut_to(24),
            Self::Priority => About::new("priority", "Priority", "the lowest is asked first").rank(3).number(),
            Self::Index => About::new("index", "Index", "the kernel's number for it").rank(5).number(),
            Self::Mark => About::new("mark", "Mark", "the mark of its packets"),
            Self::IfId => About::new("if_id", "IfID", "its xfrm interface").number(),
            Self::Age => About::new("age", "Age", "time since it was added").number(),
            Self::LastUse => About::new("idle", "Idle", "time since its last use").number().live(),
            Self::Left => About::new("left", "Ends in", "time until it is removed").number().live(),
            Self::Limits => About::new("limits", "Limits", "its limits, soft/hard").cut_to(18),
            Self::Flags => About::new("flags", "Flags", "its flags, as ip xfrm calls them"),
            Self::Share => About::new("share", "Share", "how SAs are shared; the kernel ignores it").number(),
            Self::Kind => About::new("ptype", "Type", "main or sub"),
            Self::Interface => About::new("dev", "Dev", "the interface that its packets use"),
            Self::Offload => About::new("offload", "Offload", "the device that does the work"),
            Self::Label => About::new("label", "Label", "the security module's label").cut_to(18),
        }
    }
}

impl Column<PolicyRow<'_>> for PolicyColumn {
    fn text<'a>(self, row: &'a PolicyRow<'_>) -> Cow<'a, str> {
        let policy = row.policy;
        match self {
            Self::Direction => policy.direction.to_string().into(),
            Self::Source => policy.selector.source.to_string().into(),
            Self::Destination => policy.selector.destination.to_string().into(),
            Self::Upper => upper(&policy.selector).into(),
            Self::Action => policy.verb().into(),
            Self::Templates => templates(&policy.templates),
            Self::Priority => policy.priority.to_string().into(),
            Self::Index => policy.index.to_string().into(),
            Self::Mark => said(policy.mark),
            Self::IfId => said(policy.if_id),
            Self::Age => duration(row.age()).into(),
            Self::LastUse => row.idle().map_or("never used".into(), |secs| duration(secs).into()),
            Self::Left => said(row.left().map(duration)),
            Self::Limits => limits(&policy.limits).into(),
            Self::Flags if policy.flags == 0 => "-".into(),
            Self::Flags => policy.flag_words().join(" ").into(),
            Self::Share => policy.share.to_string().into(),
            Self::Kind => policy.kind.to_string().into(),
            Self::Interface => match (policy.selector.interface, row.interface) {
                (0, _) => "-".into(),
                (_, Some(name)) => harmless(name),
                (number, None) => number.to_string().into(),
            },
            Self::Offload => said(policy.offload),
            Self::Label => said(policy.security.as_deref()),
        }
    }

    fn compare(self, a: &PolicyRow<'_>, b: &PolicyRow<'_>) -> Ordering {
        let (x, y) = (a.policy, b.policy);
        let first = match self {
            // The order in which the kernel asks them.
            Self::Direction => Ordering::Equal,
            Self::Source => x.selector.source.cmp(&y.selector.source),
            Self::Destination => x.selector.destination.cmp(&y.selector.destination),
            Self::Upper => x.selector.protocol.cmp(&y.selector.protocol),
            Self::Action => x.verb().cmp(y.verb()),
            Self::Priority => x.priority.cmp(&y.priority),
            Self::Index => x.index.cmp(&y.index),
            Self::Mark => x.mark.cmp(&y.mark),
            Self::IfId => x.if_id.cmp(&y.if_id),
            Self::Age => a.age().cmp(&b.age()),
            Self::LastUse => sooner(a.idle(), b.idle()),
            Self::Left => sooner(a.left(), b.left()),
            Self::Flags => x.flags.cmp(&y.flags),
            Self::Share => x.share.cmp(&y.share),
            Self::Kind => x.kind.number().cmp(&y.kind.number()),
            Self::Interface => x.selector.interface.cmp(&y.selector.interface),
            Self::Templates | Self::Limits | Self::Offload | Self::Label => self.text(a).cmp(&self.text(b)),
        };
        first.then_with(|| matching_order(x, y))
    }
}

/// All limits, soft and hard: `since added 50m 00s/1h 00m`, `-` where there are none.
fn limits(limits: &LifetimeLimits) -> String {
    let all = [
        ("since added", limits.since_added_secs, duration as fn(u64) -> String),
        ("since used", limits.since_used_secs, duration),
        ("bytes", limits.bytes, quantity),
        ("packets", limits.packets, quantity),
    ];
    let bound = |at: Option<u64>, text: fn(u64) -> String| at.map_or("-".to_owned(), text);
    let words: Vec<String> = all
        .into_iter()
        .filter(|(_, limit, _)| !limit.is_none())
        .map(|(what, limit, text)| format!("{what} {}/{}", bound(limit.soft, text), bound(limit.hard, text)))
        .collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// The protocol above IP with its ports: `any`, `tcp`, `udp 500>any`, `icmp type 8`.
pub fn upper(selector: &Selector) -> String {
    let protocol = selector.protocol;
    if selector.source_port.is_any() && selector.destination_port.is_any() {
        return protocol.to_string();
    }
    match protocol {
        UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH => {
            format!("{protocol} type {} code {}", selector.source_port, selector.destination_port)
        }
        _ => format!("{protocol} {}>{}", selector.source_port, selector.destination_port),
    }
}

/// The list of transforms in a line: `esp/transport + ah/transport`, `-` where there are none.
pub fn templates(list: &[Template]) -> Cow<'static, str> {
    let mut text = String::new();
    for template in list {
        let joint = if text.is_empty() { "" } else { " + " };
        let _ = write!(text, "{joint}{}/{}", template.protocol, template.mode);
        if !template.destination.is_unspecified() || !template.source.is_unspecified() {
            let _ = write!(text, " {}-{}", template.source, template.destination);
        }
        if template.reqid.0 != 0 {
            let _ = write!(text, " reqid {}", template.reqid);
        }
        if template.level == Level::Use {
            text.push_str(" (optional)");
        }
    }
    if text.is_empty() { "-".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IpsecProtocol, Mode, PortMatch, Prefix, ReqId};

    #[test]
    fn templates_in_a_line() {
        assert_eq!(templates(&[]), "-");
        let nowhere = [0, 0, 0, 0].into();
        let transport = |protocol| Template::new(protocol, Mode::Transport, nowhere, nowhere);
        let mut tunnel = Template::new(IpsecProtocol::Esp, Mode::Tunnel, [10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        assert_eq!(
            templates(&[transport(IpsecProtocol::Esp), transport(IpsecProtocol::Ah)]),
            "esp/transport + ah/transport"
        );
        (tunnel.reqid, tunnel.level) = (ReqId(7), Level::Use);
        assert_eq!(templates(&[tunnel]), "esp/tunnel 10.9.0.1-10.9.0.2 reqid 7 (optional)");
    }

    #[test]
    fn the_protocol_above_with_its_ports() {
        let mut selector = Selector::between(Prefix::ANY_V4, Prefix::ANY_V4);
        assert_eq!(upper(&selector), "any");
        (selector.protocol, selector.source_port) = (UpperProtocol::UDP, PortMatch::exactly(500));
        assert_eq!(upper(&selector), "udp 500>any");
        (selector.protocol, selector.source_port) = (UpperProtocol::ICMP, PortMatch::exactly(8));
        assert_eq!(upper(&selector), "icmp type 8 code any");
    }
}
