//! The columns of the table of policies.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;

use super::Column;
use crate::model::spd::matching_order;
use crate::model::{Level, Policy, Selector, Template, UpperProtocol};

/// A column of the table of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the field of the policy that it is named after")]
pub enum PolicyColumn {
    Direction,
    Source,
    Destination,
    Upper,
    Action,
    Templates,
    Priority,
    Index,
}

impl Column<Policy> for PolicyColumn {
    const ALL: &'static [Self] = &[
        Self::Direction,
        Self::Source,
        Self::Destination,
        Self::Upper,
        Self::Action,
        Self::Templates,
        Self::Priority,
        Self::Index,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Direction => "Dir",
            Self::Source => "Source",
            Self::Destination => "Destination",
            Self::Upper => "Upper",
            Self::Action => "Action",
            Self::Templates => "Templates",
            Self::Priority => "Priority",
            Self::Index => "Index",
        }
    }

    fn text(self, policy: &Policy) -> Cow<'_, str> {
        match self {
            Self::Direction => policy.direction.to_string().into(),
            Self::Source => policy.selector.source.to_string().into(),
            Self::Destination => policy.selector.destination.to_string().into(),
            Self::Upper => upper(&policy.selector).into(),
            Self::Action => policy.verb().into(),
            Self::Templates => templates(&policy.templates),
            Self::Priority => policy.priority.to_string().into(),
            Self::Index => policy.index.to_string().into(),
        }
    }

    fn compare(self, a: &Policy, b: &Policy) -> Ordering {
        let first = match self {
            // The order in which the kernel asks them.
            Self::Direction => Ordering::Equal,
            Self::Source => a.selector.source.cmp(&b.selector.source),
            Self::Destination => a.selector.destination.cmp(&b.selector.destination),
            Self::Upper => a.selector.protocol.cmp(&b.selector.protocol),
            Self::Action => a.verb().cmp(b.verb()),
            Self::Templates => self.text(a).cmp(&self.text(b)),
            Self::Priority => a.priority.cmp(&b.priority),
            Self::Index => a.index.cmp(&b.index),
        };
        first.then_with(|| matching_order(a, b))
    }

    fn rank(self) -> u8 {
        match self {
            Self::Direction | Self::Source | Self::Destination => 0,
            Self::Action => 1,
            Self::Templates => 2,
            Self::Priority => 3,
            Self::Upper => 4,
            Self::Index => 5,
        }
    }

    fn least_width(self) -> Option<usize> {
        match self {
            Self::Templates => Some(24),
            Self::Source | Self::Destination => Some(18),
            _ => None,
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Priority | Self::Index)
    }
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
