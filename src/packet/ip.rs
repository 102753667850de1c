//! IP: version 4 with options and fragments, version 6 with extension headers and fragments.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet::packet::ipv4::{Ipv4Flags, Ipv4Packet};
use pnet::packet::ipv6::Ipv6Packet;

use super::{Header, Parsed, Protocol};
use crate::model::UpperProtocol;

/// An IPv4 header. Its layer covers the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Where it comes from.
    pub source: Ipv4Addr,
    /// Where it goes.
    pub destination: Ipv4Addr,
    /// What it carries.
    pub protocol: UpperProtocol,
    /// How many routers it may still pass.
    pub ttl: u8,
    /// Header and payload in bytes; 0 in the large packets that Linux hands to the device to be cut up there.
    pub total_length: u16,
    /// What the fragments of one packet have in common.
    pub identification: u16,
    /// Where this fragment stands in its packet, in bytes.
    pub fragment_offset: u16,
    /// Whether it is a fragment and not the last.
    pub more_fragments: bool,
    /// Whether no router may fragment it.
    pub dont_fragment: bool,
}

/// An IPv6 header, without its extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Where it comes from.
    pub source: Ipv6Addr,
    /// Where it goes.
    pub destination: Ipv6Addr,
    /// What follows it.
    pub next_header: UpperProtocol,
    /// How many routers it may still pass.
    pub hop_limit: u8,
    /// What follows it, in bytes; 0 in jumbograms (RFC 2675) and in what Linux hands to the device to be cut up.
    pub payload_length: u16,
    /// The label of its flow.
    pub flow_label: u32,
}

/// An IPv6 fragment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Fragment {
    /// What the packet carries.
    pub next_header: UpperProtocol,
    /// Where this fragment stands in its packet, in bytes.
    pub offset: u16,
    /// Whether it is not the last.
    pub more: bool,
    /// What the fragments of one packet have in common.
    pub identification: u32,
}

pub(super) fn parse_v4(rest: &[u8]) -> Parsed {
    const SHORTEST: usize = 20;
    let Some(packet) = Ipv4Packet::new(rest) else { return Parsed::too_short(Protocol::Ipv4, SHORTEST) };
    let flags = packet.get_flags();
    let ip = Ipv4 {
        source: packet.get_source(),
        destination: packet.get_destination(),
        protocol: UpperProtocol(packet.get_next_level_protocol().0),
        ttl: packet.get_ttl(),
        total_length: packet.get_total_length(),
        identification: packet.get_identification(),
        fragment_offset: packet.get_fragment_offset() * 8,
        more_fragments: flags & Ipv4Flags::MoreFragments != 0,
        dont_fragment: flags & Ipv4Flags::DontFragment != 0,
    };
    let length = usize::from(packet.get_header_length()) * 4;
    let total = usize::from(ip.total_length);
    let parsed = |length, next| Parsed::new(Header::Ipv4(ip), length, next);
    if packet.get_version() != 4 {
        return parsed(SHORTEST, None).malformed("the version is not 4");
    }
    if length < SHORTEST {
        return parsed(SHORTEST, None).malformed("the header claims fewer than 20 bytes");
    }
    if (1..length).contains(&total) {
        return parsed(length, None).malformed("the packet claims to be shorter than its header");
    }
    let next = match Protocol::above_ip(ip.protocol.0) {
        // These numbers mean extension headers behind IPv6 alone.
        Some(Protocol::Ipv6Extension(_) | Protocol::Ipv6Fragment) => Some(Protocol::OtherAboveIp(ip.protocol)),
        other => other,
    };
    let parsed = parsed(length, next).tail(ip.fragment_offset > 0);
    if total == 0 { parsed } else { parsed.claiming(total) }
}

pub(super) fn parse_v6(rest: &[u8]) -> Parsed {
    const BYTES: usize = 40;
    let Some(packet) = Ipv6Packet::new(rest) else { return Parsed::too_short(Protocol::Ipv6, BYTES) };
    let ip = Ipv6 {
        source: packet.get_source(),
        destination: packet.get_destination(),
        next_header: UpperProtocol(packet.get_next_header().0),
        hop_limit: packet.get_hop_limit(),
        payload_length: packet.get_payload_length(),
        flow_label: packet.get_flow_label(),
    };
    let parsed = Parsed::new(Header::Ipv6(ip), BYTES, Protocol::above_ip(ip.next_header.0));
    if packet.get_version() != 6 {
        return parsed.malformed("the version is not 6");
    }
    match usize::from(ip.payload_length) {
        0 => parsed,
        payload => parsed.claiming(BYTES + payload),
    }
}

/// RFC 8200 section 4: next header, length in units of eight bytes behind the first eight.
pub(super) fn parse_extension(number: u8, rest: &[u8]) -> Parsed {
    let Some(&[next, units, ..]) = rest.first_chunk::<8>() else {
        return Parsed::too_short(Protocol::Ipv6Extension(number), 8);
    };
    Parsed::new(Header::Ipv6Extension(number), (usize::from(units) + 1) * 8, Protocol::above_ip(next))
}

pub(super) fn parse_fragment(rest: &[u8]) -> Parsed {
    let Some(&[next, _, o0, o1, i0, i1, i2, i3]) = rest.first_chunk() else {
        return Parsed::too_short(Protocol::Ipv6Fragment, 8);
    };
    let offset = u16::from_be_bytes([o0, o1]);
    let fragment = Ipv6Fragment {
        next_header: UpperProtocol(next),
        offset: offset & !7,
        more: offset & 1 != 0,
        identification: u32::from_be_bytes([i0, i1, i2, i3]),
    };
    Parsed::new(Header::Ipv6Fragment(fragment), 8, Protocol::above_ip(next)).tail(fragment.offset > 0)
}
