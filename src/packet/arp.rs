//! Address resolution, RFC 826, for IPv4 over Ethernet.

use std::net::Ipv4Addr;

use pnet::packet::arp::ArpPacket;
use pnet::util::MacAddr;

use super::{Header, Parsed, Protocol};

/// An ARP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// Whose question or answer it is.
    pub sender: Ipv4Addr,
    /// The sender's Ethernet address.
    pub sender_mac: MacAddr,
    /// Who is asked for, or answered.
    pub target: Ipv4Addr,
    /// The target's Ethernet address; zero in questions.
    pub target_mac: MacAddr,
}

pub(super) fn parse(rest: &[u8]) -> Parsed {
    const BYTES: usize = 28;
    let Some(packet) = ArpPacket::new(rest) else { return Parsed::too_short(Protocol::Arp, BYTES) };
    if (packet.get_hw_addr_len(), packet.get_proto_addr_len()) != (6, 4) {
        return Parsed::new(Header::Opaque(Protocol::Arp), rest.len(), None);
    }
    let arp = Arp {
        operation: packet.get_operation().0,
        sender: packet.get_sender_proto_addr(),
        sender_mac: packet.get_sender_hw_addr(),
        target: packet.get_target_proto_addr(),
        target_mac: packet.get_target_hw_addr(),
    };
    Parsed::new(Header::Arp(arp), BYTES, None)
}
