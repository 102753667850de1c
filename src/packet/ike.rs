//! IKE, version 2 (RFC 7296 section 3) and version 1 (RFC 2408 section 3): the header, and the chain of payloads up to
//! where it is encrypted.

use super::{Dissection, Flaw, Header, Layer, Parsed, Protocol};

/// The header of an IKE message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ike {
    /// The initiator's number for the IKE SA.
    pub initiator_spi: u64,
    /// The responder's number for it; zero in the first message.
    pub responder_spi: u64,
    /// 1 or 2.
    pub version: u8,
    /// What the exchange is for, as its number.
    pub exchange: u8,
    /// Which exchange of the IKE SA.
    pub message_id: u32,
    /// Whether it answers; version 1 does not say.
    pub is_response: bool,
    /// The length that the message claims.
    pub length: u32,
}

impl Ike {
    /// What the exchange is for, in the RFCs' words.
    pub fn exchange_name(&self) -> Option<&'static str> {
        Some(match (self.version, self.exchange) {
            (2, 34) => "IKE_SA_INIT",
            (2, 35) => "IKE_AUTH",
            (2, 36) => "CREATE_CHILD_SA",
            (2, 37) => "INFORMATIONAL",
            (2, 38) => "IKE_SESSION_RESUME",
            (2, 43) => "IKE_INTERMEDIATE",
            (2, 44) => "IKE_FOLLOWUP_KE",
            (1, 1) => "base",
            (1, 2) => "main mode",
            (1, 3) => "authentication only",
            (1, 4) => "aggressive mode",
            (1, 5) => "informational",
            (1, 6) => "transaction",
            (1, 32) => "quick mode",
            (1, 33) => "new group mode",
            _ => return None,
        })
    }
}

impl Dissection {
    /// Whether it is key exchange beyond doubt: a sound IKE message in UDP or TCP, or what keeps a NAT's mapping alive.
    /// The port alone proves nothing: anybody can send anything to it.
    pub fn is_key_exchange(&self) -> bool {
        let layers = self.layers();
        let is_ike = |layer: &Layer| matches!(layer.header, Header::Ike(_));
        match layers.iter().position(is_ike) {
            Some(at) => self.is_sound_message(at),
            None => layers.iter().any(|layer| layer.header == Header::NatKeepAlive),
        }
    }

    /// Whether the IKE message whose header is the layer `at` fills what carries it, and its chain of payloads is whole.
    fn is_sound_message(&self, at: usize) -> bool {
        let (before, message) = self.layers().split_at(at);
        let [first, chain @ ..] = message else { return false };
        let Header::Ike(ike) = &first.header else { return false };
        let end = before.iter().rev().find_map(|layer| match &layer.header {
            Header::Udp(udp) => Some(layer.range().start + usize::from(udp.length)),
            Header::TcpMessage(length) => Some(layer.range().start + usize::from(*length)),
            _ => None,
        });
        let length = usize::try_from(ike.length).unwrap_or(usize::MAX);
        let fills = end == first.range().start.checked_add(length);
        // The rest of a fragment's chain is in other frames.
        let is_part = before.iter().any(|layer| layer.header.has_more_fragments());
        let is_fine = |layer: &Layer| match layer.flaw.as_deref() {
            None => true,
            Some(Flaw::Truncated { .. }) => is_part,
            Some(Flaw::Malformed(_) | Flaw::TooDeep) => false,
        };
        let mut chain =
            chain.iter().take_while(|layer| !matches!(layer.header, Header::Padding | Header::TcpMessage(_)));
        let mut is_hidden = ike.version == 1;
        let mut is_expected = |layer: &Layer| match &layer.header {
            Header::IkePayload(payload) => {
                is_hidden |= payload.is_encrypted();
                true
            }
            // Version 2 hides everything in a payload of its own: behind the chain there is nothing.
            Header::Data => is_hidden,
            Header::Unreadable(_) => is_part,
            _ => false,
        };
        fills
            && ike.exchange_name().is_some()
            && is_fine(first)
            && chain.all(|layer| is_fine(layer) && is_expected(layer))
    }
}

pub(super) fn parse(rest: &[u8]) -> Parsed {
    const BYTES: usize = 28;
    let Some(head) = rest.first_chunk::<BYTES>() else { return Parsed::too_short(Protocol::Ike, BYTES) };
    let [initiator @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *head;
    let [_, _, _, _, _, _, _, _, responder @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *head;
    let [.., first, version, exchange, flags, m0, m1, m2, m3, l0, l1, l2, l3] = *head;
    let ike = Ike {
        initiator_spi: u64::from_be_bytes(initiator),
        responder_spi: u64::from_be_bytes(responder),
        version: version >> 4,
        exchange,
        message_id: u32::from_be_bytes([m0, m1, m2, m3]),
        is_response: version >> 4 == 2 && flags & 0x20 != 0,
        length: u32::from_be_bytes([l0, l1, l2, l3]),
    };
    // RFC 2408 section 3.1: version 1 encrypts all behind the header, and says so in a flag.
    let hidden = ike.version == 1 && flags & 1 != 0;
    let first = if hidden { Protocol::Data } else { payload_or_end(ike.version, first) };
    let parsed = Parsed::new(Header::Ike(ike), BYTES, Some(first));
    let claimed = usize::try_from(ike.length).unwrap_or(usize::MAX);
    if !matches!(ike.version, 1 | 2) {
        return parsed.malformed("the version is neither 1 nor 2");
    }
    if claimed < BYTES {
        return parsed.malformed("the message claims to be shorter than its header");
    }
    parsed.claiming(claimed)
}

/// The header of a payload. Its layer covers what the payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkePayload {
    /// The message's: the numbers of versions 1 and 2 mean different things.
    pub version: u8,
    /// What it holds, as its number.
    pub kind: u8,
    /// Whether a receiver that does not know it must refuse the whole message (RFC 7296 section 2.5).
    pub critical: bool,
}

impl IkePayload {
    /// What it holds, in the RFCs' notation.
    pub fn name(&self) -> Option<&'static str> {
        name(self.version, self.kind)
    }

    /// Whether it is the encrypted rest of the message, or a fragment of that (RFC 7296 section 3.14, RFC 7383).
    pub fn is_encrypted(&self) -> bool {
        self.version == 2 && matches!(self.kind, 46 | 53)
    }
}

pub(super) fn name(version: u8, kind: u8) -> Option<&'static str> {
    Some(match (version, kind) {
        (2, 33) | (1, 1) => "SA",
        (2, 34) | (1, 4) => "KE",
        (2, 35) => "IDi",
        (2, 36) => "IDr",
        (2, 37) | (1, 6) => "CERT",
        (2, 38) => "CERTREQ",
        (2, 39) => "AUTH",
        (2, 40) | (1, 10) => "Nonce",
        (2, 41) | (1, 11) => "N",
        (2, 42) | (1, 12) => "D",
        (2, 43) => "V",
        (2, 44) => "TSi",
        (2, 45) => "TSr",
        (2, 46) => "SK",
        (2, 47) => "CP",
        (2, 48) => "EAP",
        (2, 49) => "GSPM",
        (2, 53) => "SKF",
        (2, 54) => "PS",
        (1, 2) => "P",
        (1, 3) => "T",
        (1, 5) => "ID",
        (1, 7) => "CR",
        (1, 8) => "HASH",
        (1, 9) => "SIG",
        (1, 13) => "VID",
        // RFC 3947 section 3.2 and 5.2.
        (1, 20) => "NAT-D",
        (1, 21) => "NAT-OA",
        _ => return None,
    })
}

/// 0 ends the chain.
fn payload_or_end(version: u8, kind: u8) -> Protocol {
    if kind == 0 { Protocol::Data } else { Protocol::IkePayload { version, kind } }
}

pub(super) fn parse_payload(version: u8, kind: u8, rest: &[u8]) -> Parsed {
    const HEADER: usize = 4;
    let Some(&[next, flags, l0, l1]) = rest.first_chunk() else {
        return Parsed::too_short(Protocol::IkePayload { version, kind }, HEADER);
    };
    let payload = IkePayload { version, kind, critical: version == 2 && flags & 0x80 != 0 };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if length < HEADER {
        let parsed = Parsed::new(Header::IkePayload(payload), HEADER, None);
        return parsed.malformed("the payload claims to be shorter than its header");
    }
    // What an encrypted payload says to be next is inside of it.
    let next = if payload.is_encrypted() { Protocol::Data } else { payload_or_end(version, next) };
    Parsed::new(Header::IkePayload(payload), length, Some(next))
}
