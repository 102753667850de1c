//! Generic Routing Encapsulation, RFC 2784 with the key and sequence number of RFC 2890.

use super::{Header, Parsed, Protocol};

/// A GRE header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gre {
    /// What it carries, as an Ethernet type.
    pub ether_type: u16,
    /// The number of the tunnel.
    pub key: Option<u32>,
}

pub(super) fn parse(rest: &[u8]) -> Parsed {
    const CHECKSUM: u8 = 0x80;
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    let Some(&[flags, version, t0, t1]) = rest.first_chunk() else { return Parsed::too_short(Protocol::Gre, 4) };
    let ether_type = u16::from_be_bytes([t0, t1]);
    let has = |flag| flags & flag != 0;
    let key_at = if has(CHECKSUM) { 8 } else { 4 };
    let key = rest.get(key_at..).and_then(|rest| rest.first_chunk()).filter(|_| has(KEY));
    let gre = Gre { ether_type, key: key.map(|bytes| u32::from_be_bytes(*bytes)) };
    if version & 7 != 0 || has(ROUTING) {
        // PPTP's version 1 and RFC 1701's routing are of the past.
        return Parsed::new(Header::Gre(gre), 4, Some(Protocol::Data));
    }
    let words = [CHECKSUM, KEY, SEQUENCE].into_iter().filter(|flag| has(*flag)).count();
    Parsed::new(Header::Gre(gre), 4 + 4 * words, Some(Protocol::of_ether_type(ether_type)))
}
