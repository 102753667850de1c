//! The headers of IPsec: ESP, AH, IPComp, and ESP in UDP and TCP.

use super::{Header, Parsed, Protocol};
use crate::model::{Spi, UpperProtocol};

/// What is not encrypted of ESP, RFC 4303 section 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Esp {
    /// The SA's number.
    pub spi: Spi,
    /// The packet's number; of an extended one, the lower half.
    pub sequence: u32,
}

/// An AH header, RFC 4302 section 2. Its layer covers the integrity check value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ah {
    /// What it protects.
    pub next_header: UpperProtocol,
    /// The SA's number.
    pub spi: Spi,
    /// The packet's number; of an extended one, the lower half.
    pub sequence: u32,
    /// The bytes of the integrity check value, the padding behind it included.
    pub icv_length: usize,
}

/// An IPComp header, RFC 3173 section 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpComp {
    /// What is compressed.
    pub next_header: UpperProtocol,
    /// The compression parameter index: the SA's number.
    pub cpi: u16,
}

pub(super) fn parse_esp(rest: &[u8]) -> Parsed {
    let Some(&[p0, p1, p2, p3, s0, s1, s2, s3]) = rest.first_chunk() else {
        return Parsed::too_short(Protocol::Esp, 8);
    };
    let spi = Spi(u32::from_be_bytes([p0, p1, p2, p3]));
    let esp = Esp { spi, sequence: u32::from_be_bytes([s0, s1, s2, s3]) };
    Parsed::new(Header::Esp(esp), rest.len(), None)
}

pub(super) fn parse_ah(rest: &[u8]) -> Parsed {
    const FIXED: usize = 12;
    let Some(&[next, words, _, _, p0, p1, p2, p3, s0, s1, s2, s3]) = rest.first_chunk() else {
        return Parsed::too_short(Protocol::Ah, FIXED);
    };
    // RFC 4302 section 2.2: the length in words of four bytes, less two.
    let length = (usize::from(words) + 2) * 4;
    let ah = Ah {
        next_header: UpperProtocol(next),
        spi: Spi(u32::from_be_bytes([p0, p1, p2, p3])),
        sequence: u32::from_be_bytes([s0, s1, s2, s3]),
        icv_length: length.saturating_sub(FIXED),
    };
    if length < FIXED {
        return Parsed::new(Header::Ah(ah), FIXED, None).malformed("the header claims fewer than 12 bytes");
    }
    Parsed::new(Header::Ah(ah), length, Protocol::above_ip(next))
}

pub(super) fn parse_ipcomp(rest: &[u8]) -> Parsed {
    let Some(&[next, _, c0, c1]) = rest.first_chunk() else { return Parsed::too_short(Protocol::IpComp, 4) };
    let comp = IpComp { next_header: UpperProtocol(next), cpi: u16::from_be_bytes([c0, c1]) };
    Parsed::new(Header::IpComp(comp), rest.len(), None)
}

/// Where in a stream of messages a TCP segment begins (RFC 9329 section 3). Segments are looked at one by one, so only
/// the stream's beginning, and a segment of nothing but whole messages, can be told apart from a piece of the stream.
pub(super) fn parse_tcp_encapsulation(rest: &[u8]) -> Parsed {
    const PREFIX: &[u8] = b"IKETCP";
    if rest.starts_with(PREFIX) {
        return Parsed::new(Header::TcpStreamPrefix, PREFIX.len(), Some(Protocol::TcpMessage));
    }
    if is_whole_messages(rest) {
        parse_tcp_message(rest)
    } else {
        Parsed::new(Header::TcpStreamPiece, rest.len(), None)
    }
}

/// Whether length by length the bytes come out even, each message long enough to be one.
fn is_whole_messages(mut rest: &[u8]) -> bool {
    while let Some(&[l0, l1]) = rest.first_chunk() {
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        match rest.split_at_checked(length) {
            Some(([_, _, 0xff], behind)) => rest = behind,
            Some((message, behind)) if message.len() >= TCP_LENGTH + ESP_HEADER => rest = behind,
            _ => return false,
        }
    }
    rest.is_empty()
}

/// The bytes of a message's length.
const TCP_LENGTH: usize = 2;
/// SPI and sequence number; IKE's marker and header are longer.
const ESP_HEADER: usize = 8;

/// RFC 9329 section 3: a length that counts itself, and what UDP would carry. A message whose end is in another segment is
/// not looked into.
pub(super) fn parse_tcp_message(rest: &[u8]) -> Parsed {
    let Some(&[l0, l1]) = rest.first_chunk() else { return Parsed::too_short(Protocol::TcpMessage, TCP_LENGTH) };
    let length = u16::from_be_bytes([l0, l1]);
    let bytes = usize::from(length);
    let is_whole = bytes <= rest.len();
    let next = if is_whole { Protocol::UdpEncapsulation } else { Protocol::Data };
    let parsed = Parsed::new(Header::TcpMessage(length), TCP_LENGTH, Some(next));
    if bytes < TCP_LENGTH {
        return parsed.malformed("the message claims fewer than 2 bytes");
    }
    parsed.claiming(bytes).before(Protocol::TcpMessage)
}

/// RFC 3948 section 2, for UDP and for each message in TCP: one byte 0xff keeps the mapping alive, four zero bytes announce IKE, all else is ESP.
pub(super) fn parse_udp_encapsulation(rest: &[u8]) -> Parsed {
    match rest {
        [0xff] => Parsed::new(Header::NatKeepAlive, 1, None),
        [0, 0, 0, 0, ..] => Parsed::new(Header::NonEspMarker, 4, Some(Protocol::Ike)),
        _ => parse_esp(rest),
    }
}
