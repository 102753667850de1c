//! The outermost header: Ethernet and its VLAN tags, and the pseudo-headers of captures.

use pnet::packet::ethernet::EthernetPacket;
use pnet::packet::vlan::VlanPacket;
use pnet::util::MacAddr;

use super::{Header, Parsed, Protocol};

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// An Ethernet header; Linux's loopback has one, too.
    Ethernet,
    /// An IP header, either version: tun, xfrm and tunnel interfaces.
    RawIp,
    /// Linux's pseudo-header `SLL`.
    LinuxCooked,
    /// Linux's pseudo-header `SLL2`.
    LinuxCooked2,
    /// The BSDs' pseudo-header for loopback: an address family of four bytes.
    Loopback,
    /// A link that is not taken apart, by its number where it came from: `ARPHRD_*` or `LINKTYPE_*`.
    Unknown(u16),
}

impl LinkType {
    /// From a Linux interface's hardware type (`ARPHRD_*`, `include/uapi/linux/if_arp.h`), as packet sockets of type
    /// `SOCK_RAW` deliver its frames.
    pub fn from_hardware_type(number: u16) -> Self {
        match number {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Self::Ethernet,
            // A GRE interface may put the outer header in front, which is IP as well.
            libc::ARPHRD_NONE
            | ARPHRD_RAWIP
            | libc::ARPHRD_PPP
            | libc::ARPHRD_TUNNEL
            | libc::ARPHRD_TUNNEL6
            | libc::ARPHRD_SIT
            | libc::ARPHRD_IPGRE
            | ARPHRD_IP6GRE => Self::RawIp,
            other => Self::Unknown(other),
        }
    }

    /// From a capture file's `LINKTYPE_*`.
    pub fn from_pcap(number: u16) -> Self {
        match number {
            // LINKTYPE_NULL and LINKTYPE_LOOP differ in the byte order alone, which shows.
            0 | 108 => Self::Loopback,
            1 => Self::Ethernet,
            // LINKTYPE_RAW, what BSDs wrote for it, LINKTYPE_IPV4, LINKTYPE_IPV6.
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCooked2,
            other => Self::Unknown(other),
        }
    }

    /// Its `LINKTYPE_*` for a capture file; 0xffff where there is none.
    pub fn to_pcap(self) -> u16 {
        match self {
            Self::Loopback => 0,
            Self::Ethernet => 1,
            Self::RawIp => 101,
            Self::LinuxCooked => 113,
            Self::LinuxCooked2 => 276,
            Self::Unknown(_) => u16::MAX,
        }
    }

    /// The protocol of the first layer.
    pub(super) fn first_protocol(self, frame: &[u8]) -> Protocol {
        match self {
            Self::Ethernet => Protocol::Ethernet,
            Self::RawIp => match frame.first().map(|byte| byte >> 4) {
                Some(6) => Protocol::Ipv6,
                _ => Protocol::Ipv4,
            },
            Self::LinuxCooked => Protocol::Cooked,
            Self::LinuxCooked2 => Protocol::Cooked2,
            Self::Loopback => Protocol::Loopback,
            Self::Unknown(_) => Protocol::UnknownLink,
        }
    }
}

// include/uapi/linux/if_arp.h; not in the libc crate.
const ARPHRD_RAWIP: u16 = 519;
const ARPHRD_IP6GRE: u16 = 823;

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Who sent it.
    pub source: MacAddr,
    /// To whom.
    pub destination: MacAddr,
    /// What follows; a length, if it is below 1536.
    pub ether_type: u16,
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The VLAN's number.
    pub id: u16,
    /// The class of service, 0 to 7.
    pub priority: u8,
    /// What follows.
    pub ether_type: u16,
}

/// What a Linux capture puts in the place of a link header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooked {
    /// 1 for `SLL`, 2 for `SLL2`.
    pub version: u8,
    /// `PACKET_HOST` (0), ..., `PACKET_OUTGOING` (4).
    pub packet_type: u16,
    /// What follows.
    pub ether_type: u16,
    /// Which interface; only `SLL2` tells.
    pub interface_index: Option<u32>,
}

pub(super) fn parse_ethernet(rest: &[u8]) -> Parsed {
    let Some(packet) = EthernetPacket::new(rest) else { return Parsed::too_short(Protocol::Ethernet, 14) };
    let ether_type = packet.get_ethertype().0;
    let ethernet = Ethernet { source: packet.get_source(), destination: packet.get_destination(), ether_type };
    let parsed = Parsed::new(Header::Ethernet(ethernet), 14, Some(Protocol::of_ether_type(ether_type)));
    // IEEE 802.3 section 3.2.6: up to 1500 it is the length of what follows.
    if ether_type <= 1500 { parsed.claiming(14 + usize::from(ether_type)) } else { parsed }
}

pub(super) fn parse_vlan(rest: &[u8]) -> Parsed {
    let Some(packet) = VlanPacket::new(rest) else { return Parsed::too_short(Protocol::Vlan, 4) };
    let ether_type = packet.get_ethertype().0;
    let vlan = Vlan { id: packet.get_vlan_identifier(), priority: packet.get_priority_code_point().0, ether_type };
    Parsed::new(Header::Vlan(vlan), 4, Some(Protocol::of_ether_type(ether_type)))
}

pub(super) fn parse_cooked(rest: &[u8]) -> Parsed {
    let Some(&[t0, t1, _, _, _, _, _, _, _, _, _, _, _, _, p0, p1]) = rest.first_chunk() else {
        return Parsed::too_short(Protocol::Cooked, 16);
    };
    let ether_type = u16::from_be_bytes([p0, p1]);
    let packet_type = u16::from_be_bytes([t0, t1]);
    let cooked = Cooked { version: 1, packet_type, ether_type, interface_index: None };
    Parsed::new(Header::Cooked(cooked), 16, Some(Protocol::of_ether_type(ether_type)))
}

pub(super) fn parse_cooked2(rest: &[u8]) -> Parsed {
    let Some(&[p0, p1, _, _, i0, i1, i2, i3, _, _, packet_type, _, _, _, _, _, _, _, _, _]) = rest.first_chunk() else {
        return Parsed::too_short(Protocol::Cooked2, 20);
    };
    let ether_type = u16::from_be_bytes([p0, p1]);
    let interface_index = Some(u32::from_be_bytes([i0, i1, i2, i3]));
    let cooked = Cooked { version: 2, packet_type: packet_type.into(), ether_type, interface_index };
    Parsed::new(Header::Cooked(cooked), 20, Some(Protocol::of_ether_type(ether_type)))
}

pub(super) fn parse_loopback(rest: &[u8]) -> Parsed {
    let Some(bytes) = rest.first_chunk::<4>() else { return Parsed::too_short(Protocol::Loopback, 4) };
    // In the byte order of the machine that captured; families are small, so the smaller reading is the right one.
    let family = u32::from_le_bytes(*bytes).min(u32::from_be_bytes(*bytes));
    let next = match family {
        2 => Protocol::Ipv4,
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        10 | 24 | 28 | 30 => Protocol::Ipv6,
        _ => Protocol::Data,
    };
    Parsed::new(Header::Loopback(family), 4, Some(next))
}
