//! Protocol numbers with the names that administrators know them by.

use std::fmt;

/// The transform that an SA or a template applies, by its IP protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpsecProtocol {
    /// Encapsulating Security Payload, RFC 4303 (50).
    Esp,
    /// Authentication Header, RFC 4302 (51).
    Ah,
    /// IP Payload Compression, RFC 3173 (108).
    Comp,
    /// Mobile IPv6 type 2 routing header (43).
    Routing,
    /// Mobile IPv6 home address destination option (60).
    DestinationOptions,
    /// In flushes and dumps: ESP, AH and IPComp alike (255).
    Any,
    /// A number that XFRM has no transform for.
    Other(u8),
}

impl IpsecProtocol {
    /// From the number in an IP header or a netlink message.
    pub fn from_number(number: u8) -> Self {
        match number {
            50 => Self::Esp,
            51 => Self::Ah,
            108 => Self::Comp,
            43 => Self::Routing,
            60 => Self::DestinationOptions,
            255 => Self::Any,
            other => Self::Other(other),
        }
    }

    /// The number in an IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Esp => 50,
            Self::Ah => 51,
            Self::Comp => 108,
            Self::Routing => 43,
            Self::DestinationOptions => 60,
            Self::Any => 255,
            Self::Other(number) => number,
        }
    }

    /// Whether a flush of `self` takes an SA of protocol `of` (`xfrm_id_proto_match`, include/net/xfrm.h).
    pub fn flushes(self, of: Self) -> bool {
        match self {
            Self::Other(0) => true,
            Self::Any => matches!(of, Self::Esp | Self::Ah | Self::Comp),
            one => one == of,
        }
    }
}

impl fmt::Display for IpsecProtocol {
    /// The words of `ip xfrm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Esp => f.pad("esp"),
            Self::Ah => f.pad("ah"),
            Self::Comp => f.pad("comp"),
            Self::Routing => f.pad("route2"),
            Self::DestinationOptions => f.pad("hao"),
            Self::Any => f.pad("ipsec-any"),
            Self::Other(number) => f.pad(&number.to_string()),
        }
    }
}

/// How a transform wraps a packet (`XFRM_MODE_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// The packet keeps its IP header: host to host.
    #[default]
    Transport,
    /// The whole packet goes into a new one: site to site.
    Tunnel,
    /// Mobile IPv6 route optimization.
    RouteOptimization,
    /// Mobile IPv6 inbound trigger.
    InTrigger,
    /// Bound end-to-end tunnel: a tunnel whose inner addresses are fixed by the SA.
    Beet,
    /// IP traffic flow security, RFC 9347.
    Iptfs,
    /// A mode that is newer than this program.
    Other(u8),
}

impl Mode {
    /// From `XFRM_MODE_*`.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Transport,
            1 => Self::Tunnel,
            2 => Self::RouteOptimization,
            3 => Self::InTrigger,
            4 => Self::Beet,
            5 => Self::Iptfs,
            other => Self::Other(other),
        }
    }

    /// As `XFRM_MODE_*`.
    pub fn number(self) -> u8 {
        match self {
            Self::Transport => 0,
            Self::Tunnel => 1,
            Self::RouteOptimization => 2,
            Self::InTrigger => 3,
            Self::Beet => 4,
            Self::Iptfs => 5,
            Self::Other(number) => number,
        }
    }
}

impl fmt::Display for Mode {
    /// The words of `ip xfrm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport => f.pad("transport"),
            Self::Tunnel => f.pad("tunnel"),
            Self::RouteOptimization => f.pad("ro"),
            Self::InTrigger => f.pad("in_trigger"),
            Self::Beet => f.pad("beet"),
            Self::Iptfs => f.pad("iptfs"),
            Self::Other(number) => f.pad(&number.to_string()),
        }
    }
}

/// The protocol above IP that a selector asks for; 0 asks for none in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpperProtocol(pub u8);

/// The names used on screen and taken as input; `/etc/protocols` knows more, but not everywhere.
const UPPER_NAMES: &[(u8, &str)] = &[
    (0, "any"),
    (1, "icmp"),
    (4, "ipencap"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (89, "ospf"),
    (103, "pim"),
    (108, "ipcomp"),
    (112, "vrrp"),
    (115, "l2tp"),
    (132, "sctp"),
    (135, "mh"),
    (136, "udplite"),
];

impl UpperProtocol {
    /// Every protocol.
    pub const ANY: Self = Self(0);
    /// Internet Control Message Protocol.
    pub const ICMP: Self = Self(1);
    /// Transmission Control Protocol.
    pub const TCP: Self = Self(6);
    /// User Datagram Protocol.
    pub const UDP: Self = Self(17);
    /// Generic Routing Encapsulation.
    pub const GRE: Self = Self(47);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// Stream Control Transmission Protocol.
    pub const SCTP: Self = Self(132);
    /// Lightweight User Datagram Protocol.
    pub const UDP_LITE: Self = Self(136);
    /// Mobile IPv6's mobility header.
    pub const MH: Self = Self(135);

    /// Whether its packets have port numbers. The kernel lets them be named for DCCP (33) and then compares them with 0
    /// (`xfrm_flowi_sport`, include/net/xfrm.h).
    pub fn has_ports(self) -> bool {
        matches!(self.0, 6 | 17 | 33 | 132 | 136)
    }

    /// By name or number; `icmp6`, `icmpv6` and `ip4`, setkey's names, are taken too.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "icmp6" | "icmpv6" => return Some(Self::ICMPV6),
            "ip4" => return Some(Self(4)),
            "ospfigp" => return Some(Self(89)),
            _ => {}
        }
        UPPER_NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(number, _)| Self(*number))
            .or_else(|| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit())).map(Self))
    }
}

impl fmt::Display for UpperProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UPPER_NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.pad(name),
            None => f.pad(&self.0.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_the_way_through() {
        for number in 0..=u8::MAX {
            assert_eq!(IpsecProtocol::from_number(number).number(), number);
            assert_eq!(Mode::from_number(number).number(), number);
            let upper = UpperProtocol(number);
            assert_eq!(UpperProtocol::parse(&upper.to_string()), Some(upper));
        }
    }

    #[test]
    fn flushing_any_leaves_mobile_ipv6_alone() {
        assert!(IpsecProtocol::Any.flushes(IpsecProtocol::Esp));
        assert!(!IpsecProtocol::Any.flushes(IpsecProtocol::Routing));
        assert!(IpsecProtocol::Other(0).flushes(IpsecProtocol::Routing));
        assert!(!IpsecProtocol::Ah.flushes(IpsecProtocol::Esp));
    }
}
