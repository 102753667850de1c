//! ICMP for IPv4 (RFC 792) and IPv6 (RFC 4443, neighbour discovery RFC 4861): type, code and the names of what is
//! common. A packet quoted in an error is not taken apart: it was not on the wire here.

use super::{Header, Parsed, Protocol};

/// The head of an ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// What kind of message.
    pub kind: u8,
    /// Which of that kind.
    pub code: u8,
    /// Identifier and sequence number of an echo request or reply.
    pub echo: Option<(u16, u16)>,
    /// What it says, if it is a common one.
    pub name: Option<&'static str>,
}

const BYTES: usize = 8;

pub(super) fn parse_v4(rest: &[u8]) -> Parsed {
    let Some(head) = rest.first_chunk() else { return Parsed::too_short(Protocol::Icmp, BYTES) };
    Parsed::new(Header::Icmp(read(*head, [0, 8], name_v4)), BYTES, Some(Protocol::Data))
}

pub(super) fn parse_v6(rest: &[u8]) -> Parsed {
    // Neighbour discovery has nothing in its second word that is needed here, but always has it.
    let Some(head) = rest.first_chunk() else { return Parsed::too_short(Protocol::Icmpv6, BYTES) };
    Parsed::new(Header::Icmpv6(read(*head, [128, 129], name_v6)), BYTES, Some(Protocol::Data))
}

fn read(head: [u8; BYTES], echoes: [u8; 2], name: fn(u8, u8) -> Option<&'static str>) -> Icmp {
    let [kind, code, _, _, i0, i1, s0, s1] = head;
    let echo = (u16::from_be_bytes([i0, i1]), u16::from_be_bytes([s0, s1]));
    Icmp { kind, code, echo: echoes.contains(&kind).then_some(echo), name: name(kind, code) }
}

fn name_v4(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (0, _) => "echo reply",
        (3, 0) => "network unreachable",
        (3, 1) => "host unreachable",
        (3, 2) => "protocol unreachable",
        (3, 3) => "port unreachable",
        (3, 4) => "fragmentation needed",
        (3, 9 | 10 | 13) => "administratively prohibited",
        (3, _) => "destination unreachable",
        (5, _) => "redirect",
        (8, _) => "echo request",
        (9, _) => "router advertisement",
        (10, _) => "router solicitation",
        (11, 0) => "time to live exceeded",
        (11, _) => "reassembly time exceeded",
        (12, _) => "parameter problem",
        // RFC 2521: an IPsec gateway tells why it dropped a packet.
        (40, _) => "security failure",
        _ => return None,
    })
}

fn name_v6(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (1, 1) => "administratively prohibited",
        (1, 4) => "port unreachable",
        (1, _) => "destination unreachable",
        (2, _) => "packet too big",
        (3, _) => "time exceeded",
        (4, _) => "parameter problem",
        (128, _) => "echo request",
        (129, _) => "echo reply",
        (130, _) => "multicast listener query",
        (131 | 143, _) => "multicast listener report",
        (132, _) => "multicast listener done",
        (133, _) => "router solicitation",
        (134, _) => "router advertisement",
        (135, _) => "neighbour solicitation",
        (136, _) => "neighbour advertisement",
        (137, _) => "redirect",
        _ => return None,
    })
}
