//! TCP and UDP.

use std::fmt;

use pnet::packet::tcp::TcpPacket;
use pnet::packet::udp::UdpPacket;

use super::{Header, Parsed, Protocol};

/// IKE's port, RFC 7296 section 2.
const IKE: u16 = 500;
/// The port of IKE and ESP behind NAT, RFC 3948; of TCP, RFC 9329.
pub const NAT_TRAVERSAL: u16 = 4500;

/// A TCP header. Its layer covers the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
    /// The number of the first byte.
    pub sequence: u32,
    /// The number of the byte that the sender waits for.
    pub acknowledgement: u32,
    /// SYN, ACK and the like.
    pub flags: TcpFlags,
    /// How much the sender has room for.
    pub window: u16,
}

/// The eight flags of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        for (place, (_, name)) in set.enumerate() {
            let joint = if place > 0 { " " } else { "" };
            write!(f, "{joint}{name}")?;
        }
        Ok(())
    }
}

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
    /// Header and payload in bytes.
    pub length: u16,
}

pub(super) fn parse_tcp(rest: &[u8]) -> Parsed {
    const SHORTEST: usize = 20;
    let Some(packet) = TcpPacket::new(rest) else { return Parsed::too_short(Protocol::Tcp, SHORTEST) };
    let tcp = Tcp {
        source: packet.get_source(),
        destination: packet.get_destination(),
        sequence: packet.get_sequence(),
        acknowledgement: packet.get_acknowledgement(),
        flags: TcpFlags(packet.get_flags()),
        window: packet.get_window(),
    };
    let length = usize::from(packet.get_data_offset()) * 4;
    if length < SHORTEST {
        return Parsed::new(Header::Tcp(tcp), SHORTEST, None).malformed("the header claims fewer than 20 bytes");
    }
    let is_stream = [tcp.source, tcp.destination].contains(&NAT_TRAVERSAL) && rest.len() > length;
    let next = if is_stream { Protocol::TcpEncapsulation } else { Protocol::Data };
    Parsed::new(Header::Tcp(tcp), length, Some(next))
}

pub(super) fn parse_udp(rest: &[u8]) -> Parsed {
    const BYTES: usize = 8;
    let Some(packet) = UdpPacket::new(rest) else { return Parsed::too_short(Protocol::Udp, BYTES) };
    let udp = Udp { source: packet.get_source(), destination: packet.get_destination(), length: packet.get_length() };
    let is_port = |port| udp.source == port || udp.destination == port;
    let next = if is_port(NAT_TRAVERSAL) {
        Protocol::UdpEncapsulation
    } else if is_port(IKE) {
        Protocol::Ike
    } else {
        Protocol::Data
    };
    let parsed = Parsed::new(Header::Udp(udp), BYTES, Some(next));
    match usize::from(udp.length) {
        // A datagram of more than 65,535 bytes (RFC 2675), or one that the device is to cut up.
        0 => parsed,
        1..BYTES => parsed.malformed("the datagram claims to be shorter than its header"),
        length => parsed.claiming(length),
    }
}
