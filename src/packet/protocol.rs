//! The names of what layers can be, and the numbers by which one header announces the next.

use std::borrow::Cow;
use std::fmt;

use crate::model::UpperProtocol;

/// A protocol that a layer can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// IEEE 802.3 frames.
    Ethernet,
    /// IEEE 802.1Q and 802.1ad tags.
    Vlan,
    /// Linux's first pseudo-header for captures.
    Cooked,
    /// Linux's second pseudo-header for captures.
    Cooked2,
    /// The BSDs' pseudo-header for loopback.
    Loopback,
    /// Address resolution for IPv4.
    Arp,
    /// Internet Protocol version 4.
    Ipv4,
    /// Internet Protocol version 6.
    Ipv6,
    /// Hop-by-hop options, routing, destination options and the like, by number.
    Ipv6Extension(u8),
    /// IPv6's fragment header.
    Ipv6Fragment,
    /// Internet Control Message Protocol.
    Icmp,
    /// ICMP for IPv6, neighbour discovery included.
    Icmpv6,
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Generic Routing Encapsulation.
    Gre,
    /// Encapsulating Security Payload.
    Esp,
    /// Authentication Header.
    Ah,
    /// IP Payload Compression.
    IpComp,
    /// What is in UDP on port 4500: ESP, or IKE behind a marker.
    UdpEncapsulation,
    /// What is in TCP on port 4500: a stream of messages, each ESP or IKE behind a marker (RFC 9329).
    TcpEncapsulation,
    /// One message of that stream.
    TcpMessage,
    /// Internet Key Exchange, both versions.
    Ike,
    /// A payload of an IKE message.
    IkePayload {
        /// 1 or 2.
        version: u8,
        /// The payload's number in that version.
        kind: u8,
    },
    /// Another protocol above IP.
    OtherAboveIp(UpperProtocol),
    /// Another protocol above Ethernet; below 1536 it is a length, and an LLC header follows.
    OtherEtherType(u16),
    /// A frame of a link that is not taken apart.
    UnknownLink,
    /// What an application sent, or what is left.
    Data,
}

impl Protocol {
    /// From the "protocol" of an IPv4 header or the "next header" of an IPv6, AH or extension header; nothing follows
    /// number 59.
    pub(super) fn above_ip(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Icmp,
            4 => Self::Ipv4,
            6 => Self::Tcp,
            17 => Self::Udp,
            41 => Self::Ipv6,
            // RFC 8200 section 4, RFC 6275 (mobility), RFC 7401 (host identity), RFC 5533 (shim6).
            0 | 43 | 60 | 135 | 139 | 140 => Self::Ipv6Extension(number),
            44 => Self::Ipv6Fragment,
            47 => Self::Gre,
            50 => Self::Esp,
            51 => Self::Ah,
            58 => Self::Icmpv6,
            59 => return None,
            108 => Self::IpComp,
            other => Self::OtherAboveIp(UpperProtocol(other)),
        })
    }

    /// The number by which an IP header announces it, if it stands behind one.
    pub fn number_above_ip(self) -> Option<UpperProtocol> {
        Some(UpperProtocol(match self {
            Self::Icmp => 1,
            Self::Ipv4 => 4,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Ipv6 => 41,
            Self::Ipv6Extension(number) => number,
            Self::Ipv6Fragment => 44,
            Self::Gre => 47,
            Self::Esp => 50,
            Self::Ah => 51,
            Self::Icmpv6 => 58,
            Self::IpComp => 108,
            Self::OtherAboveIp(other) => other.0,
            _ => return None,
        }))
    }

    /// From the type in an Ethernet, VLAN, GRE or cooked header.
    pub(super) fn of_ether_type(number: u16) -> Self {
        match number {
            0x0800 => Self::Ipv4,
            0x0806 => Self::Arp,
            // 802.1Q, 802.1ad, and what was used before 802.1ad.
            0x8100 | 0x88a8 | 0x9100 => Self::Vlan,
            0x86dd => Self::Ipv6,
            // Ethernet in GRE (RFC 1701's "transparent Ethernet bridging").
            0x6558 => Self::Ethernet,
            other => Self::OtherEtherType(other),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl Protocol {
    /// What it is called: a word that is always there for most, because there is one to say for each frame of a file.
    pub fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Ethernet => "Ethernet",
            Self::Vlan => "VLAN",
            Self::Cooked | Self::Cooked2 => "cooked",
            Self::Loopback => "loopback",
            Self::Arp => "ARP",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Ipv6Extension(0) => "hop-by-hop options",
            Self::Ipv6Extension(43) => "routing header",
            Self::Ipv6Extension(60) => "destination options",
            Self::Ipv6Extension(number) => return format!("extension header {number}").into(),
            Self::Ipv6Fragment => "fragment header",
            Self::Icmp => "ICMP",
            Self::Icmpv6 => "ICMPv6",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Gre => "GRE",
            Self::Esp => "ESP",
            Self::Ah => "AH",
            Self::IpComp => "IPComp",
            Self::UdpEncapsulation => "UDP encapsulation",
            Self::TcpEncapsulation | Self::TcpMessage => "TCP encapsulation",
            Self::Ike => "IKE",
            Self::IkePayload { version, kind } => match super::ike::name(*version, *kind) {
                Some(name) => return format!("IKE {name} payload").into(),
                None => return format!("IKE payload {kind}").into(),
            },
            Self::OtherAboveIp(number) => match number.to_string() {
                digits if digits.bytes().all(|b| b.is_ascii_digit()) => return format!("protocol {digits}").into(),
                name => return name.to_uppercase().into(),
            },
            Self::OtherEtherType(number) => match number {
                0..0x600 => "LLC",
                0x8847 | 0x8848 => "MPLS",
                0x8863 | 0x8864 => "PPPoE",
                0x888e => "EAPOL",
                0x88cc => "LLDP",
                0x88e5 => "MACsec",
                other => return format!("type {other:#06x}").into(),
            },
            Self::UnknownLink => "unknown link",
            Self::Data => "data",
        })
    }
}
