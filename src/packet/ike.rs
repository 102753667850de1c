//! The header of IKE, version 2 (RFC 7296 section 3.1) and version 1 (RFC 2408 section 3.1). What follows it is mostly
//! encrypted.

use super::{Header, Parsed, Protocol};

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

pub(super) fn parse(rest: &[u8]) -> Parsed {
    const BYTES: usize = 28;
    let Some(head) = rest.first_chunk::<BYTES>() else { return Parsed::too_short(Protocol::Ike, BYTES) };
    let [initiator @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *head;
    let [_, _, _, _, _, _, _, _, responder @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *head;
    let [.., _, version, exchange, flags, m0, m1, m2, m3, l0, l1, l2, l3] = *head;
    let ike = Ike {
        initiator_spi: u64::from_be_bytes(initiator),
        responder_spi: u64::from_be_bytes(responder),
        version: version >> 4,
        exchange,
        message_id: u32::from_be_bytes([m0, m1, m2, m3]),
        is_response: version >> 4 == 2 && flags & 0x20 != 0,
        length: u32::from_be_bytes([l0, l1, l2, l3]),
    };
    let parsed = Parsed::new(Header::Ike(ike), BYTES, Some(Protocol::Data));
    let claimed = usize::try_from(ike.length).unwrap_or(usize::MAX);
    if !matches!(ike.version, 1 | 2) {
        return parsed.malformed("the version is neither 1 nor 2");
    }
    if claimed < BYTES {
        return parsed.malformed("the message claims to be shorter than its header");
    }
    parsed.claiming(claimed)
}
