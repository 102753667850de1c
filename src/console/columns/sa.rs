//! The columns of the table of SAs.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{About, Column, Columns, sooner};
use crate::model::lifetime::Nearness;
use crate::model::text::{duration, quantity};
use crate::model::{Algorithms, Sa, SaDirection};

/// An SA with what the console knows beside it.
#[derive(Clone, Copy)]
pub struct SaRow<'a> {
    /// What the kernel told.
    pub sa: &'a Sa,
    /// Its way, where it is known.
    pub direction: Option<SaDirection>,
    /// Packets per second.
    pub packet_rate: Option<u64>,
    /// Payload bytes per second.
    pub byte_rate: Option<u64>,
    /// Seconds since the epoch.
    pub now: u64,
}

impl SaRow<'_> {
    /// Seconds since it was added.
    pub fn age(&self) -> u64 {
        self.now.saturating_sub(self.sa.used.added_at)
    }

    /// Seconds since its last use, as far as the kernel says.
    pub fn idle(&self) -> Option<u64> {
        self.sa.last_used_at.map(|at| self.now.saturating_sub(at))
    }

    fn left(&self) -> Option<u64> {
        self.sa.limits.seconds_left(&self.sa.used, self.now)
    }

    fn renewal(&self) -> Option<u64> {
        self.sa.limits.seconds_to_renewal(&self.sa.used, self.now)
    }

    /// How near it is to its end.
    pub fn nearness(&self) -> Nearness {
        self.sa.limits.nearness(&self.sa.used, self.now)
    }

    /// Its state in words: nothing here rests on colour.
    pub fn state(&self) -> Cow<'static, str> {
        if self.sa.is_larval() {
            return "larval".into();
        }
        let end = match self.nearness() {
            Nearness::Over => Some("expired".to_owned()),
            Nearness::Near => {
                let left = self.sa.limits.seconds_left(&self.sa.used, self.now);
                Some(left.map_or_else(|| "expiring".to_owned(), |secs| format!("expiring {}", duration(secs))))
            }
            Nearness::Far => None,
        };
        let errors = self.sa.errors.total();
        match (end, errors) {
            (None, 0) => "ok".into(),
            (None, errors) => format!("errors {}", quantity(errors)).into(),
            (Some(end), 0) => end.into(),
            (Some(end), errors) => format!("{end}, errors {}", quantity(errors)).into(),
        }
    }
}

/// A column of the table of SAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each says of itself what it is")]
pub enum SaColumn {
    Direction,
    Source,
    Destination,
    Protocol,
    Spi,
    Mode,
    Encryption,
    Authentication,
    ReqId,
    Age,
    PacketRate,
    ByteRate,
    State,
    Mark,
    IfId,
    Selector,
    Packets,
    Bytes,
    LastUse,
    Left,
    Renewal,
    Window,
    Sent,
    Received,
    Errors,
    Encapsulation,
    Flags,
    OutputMark,
    Offload,
    Label,
    Cpu,
}

impl Columns for SaColumn {
    const ALL: &'static [Self] = &[
        Self::Direction,
        Self::Source,
        Self::Destination,
        Self::Protocol,
        Self::Spi,
        Self::Mode,
        Self::Encryption,
        Self::Authentication,
        Self::ReqId,
        Self::Age,
        Self::PacketRate,
        Self::ByteRate,
        Self::State,
        Self::Mark,
        Self::IfId,
        Self::Selector,
        Self::Packets,
        Self::Bytes,
        Self::LastUse,
        Self::Left,
        Self::Renewal,
        Self::Window,
        Self::Sent,
        Self::Received,
        Self::Errors,
        Self::Encapsulation,
        Self::Flags,
        Self::OutputMark,
        Self::Offload,
        Self::Label,
        Self::Cpu,
    ];
    const USUAL: &'static [Self] = Self::ALL.split_at(13).0;

    fn about(self) -> About {
        match self {
            Self::Direction => About::new("dir", "Dir", "which way its packets go").rank(4),
            Self::Source => About::new("src", "Source", "where its packets come from").rank(1).cut_to(15),
            Self::Destination => About::new("dst", "Destination", "where they go").rank(0).cut_to(15),
            Self::Protocol => About::new("proto", "Proto", "its transform").rank(1),
            Self::Spi => About::new("spi", "SPI", "its number").rank(0),
            Self::Mode => About::new("mode", "Mode", "how it wraps packets").rank(8),
            Self::Encryption => About::new("enc", "Encryption", "what hides the payload").rank(3),
            Self::Authentication => About::new("auth", "Auth", "what proves the origin").rank(6),
            Self::ReqId => About::new("reqid", "ReqID", "what ties it to policies").rank(10).number(),
            Self::Age => About::new("age", "Age", "time since it was added").rank(9).number(),
            Self::PacketRate => About::new("packet-rate", "Pkts/s", "packets per second").rank(5).number().live(),
            Self::ByteRate => About::new("byte-rate", "Bytes/s", "payload bytes per second").rank(7).number().live(),
            Self::State => {
                About::new("state", "State", "whether all is well, or what is not").rank(2).cut_to(15).live()
            }
            Self::Mark => About::new("mark", "Mark", "the mark of its packets"),
            Self::IfId => About::new("if_id", "IfID", "its xfrm interface").number(),
            Self::Selector => About::new("selector", "Used for", "the packets that it may be used for").cut_to(18),
            Self::Packets => About::new("packets", "Packets", "packets so far").number().live(),
            Self::Bytes => About::new("bytes", "Bytes", "payload bytes so far").number().live(),
            Self::LastUse => {
                About::new("idle", "Idle", "time since its last use, where the kernel tells").number().live()
            }
            Self::Left => About::new("left", "Ends in", "time until it is removed").number().live(),
            Self::Renewal => About::new("renewal", "Due in", "time until renewal is due").number().live(),
            Self::Window => About::new("window", "Window", "its replay window, in packets").number(),
            Self::Sent => About::new("sent", "Sent", "the last sequence number sent").number().live(),
            Self::Received => {
                About::new("received", "Received", "the highest sequence number received").number().live()
            }
            Self::Errors => About::new("errors", "Errors", "packets refused, for any reason").number().live(),
            Self::Encapsulation => About::new("encap", "Encap", "UDP or TCP around it, with its ports"),
            Self::Flags => About::new("flags", "Flags", "its flags, as ip xfrm calls them"),
            Self::OutputMark => About::new("output-mark", "OutMark", "the mark that its packets get"),
            Self::Offload => About::new("offload", "Offload", "the device that does the work"),
            Self::Label => About::new("label", "Label", "the security module's label").cut_to(18),
            Self::Cpu => About::new("cpu", "CPU", "the CPU that alone uses it").number(),
        }
    }
}

impl SaColumn {
    /// Whether it tells of a change between two looks.
    pub fn is_rate(self) -> bool {
        matches!(self, Self::PacketRate | Self::ByteRate)
    }
}

impl Column<SaRow<'_>> for SaColumn {
    fn text<'a>(self, row: &'a SaRow<'_>) -> Cow<'a, str> {
        let sa = row.sa;
        match self {
            Self::Direction => said(row.direction),
            Self::Source => sa.source.to_string().into(),
            Self::Destination => sa.destination.to_string().into(),
            Self::Protocol => sa.protocol.to_string().into(),
            Self::Spi => sa.spi.to_string().into(),
            Self::Mode => sa.mode.to_string().into(),
            Self::Encryption => sa.algorithms.encryption_label().into(),
            Self::Authentication => sa.algorithms.authentication_label().into(),
            Self::ReqId => sa.reqid.to_string().into(),
            Self::Age => duration(row.age()).into(),
            Self::PacketRate => said(row.packet_rate.map(quantity)),
            Self::ByteRate => said(row.byte_rate.map(quantity)),
            Self::State => row.state(),
            Self::Mark => said(sa.mark),
            Self::IfId => said(sa.if_id),
            Self::Selector if sa.selector.is_everything() => "everything".into(),
            Self::Selector => sa.selector.to_string().into(),
            Self::Packets => quantity(sa.used.packets).into(),
            Self::Bytes => quantity(sa.used.bytes).into(),
            Self::LastUse if sa.used.used_at.is_none() => "never used".into(),
            Self::LastUse => said(row.idle().map(duration)),
            Self::Left => said(row.left().map(duration)),
            Self::Renewal => said(row.renewal().map(duration)),
            Self::Window => sa.replay.window.to_string().into(),
            Self::Sent => sa.replay.sent.to_string().into(),
            Self::Received => sa.replay.received.to_string().into(),
            Self::Errors => quantity(sa.errors.total()).into(),
            Self::Encapsulation => said(sa.extras.encapsulation),
            Self::Flags if sa.flags.0 == 0 => "-".into(),
            Self::Flags => sa.flags.to_string().into(),
            Self::OutputMark => said(sa.extras.output_mark),
            Self::Offload => said(sa.extras.offload),
            Self::Label => said(sa.extras.security.as_ref()),
            Self::Cpu => said(sa.extras.cpu),
        }
    }

    fn compare(self, a: &SaRow<'_>, b: &SaRow<'_>) -> Ordering {
        let by_identity = || {
            let key = |row: &SaRow<'_>| (row.sa.source, row.sa.destination, row.sa.protocol, row.sa.spi, row.sa.mark);
            key(a).cmp(&key(b))
        };
        let (x, y) = (a.sa, b.sa);
        let first = match self {
            Self::Direction => a.direction.cmp(&b.direction),
            Self::Source => Ordering::Equal,
            Self::Destination => x.destination.cmp(&y.destination),
            Self::Protocol => x.protocol.cmp(&y.protocol),
            Self::Spi => x.spi.cmp(&y.spi),
            Self::Mode => x.mode.cmp(&y.mode),
            Self::Encryption => encryption(x).cmp(&encryption(y)),
            Self::Authentication => authentication(x).cmp(&authentication(y)),
            Self::ReqId => x.reqid.cmp(&y.reqid),
            Self::Age => a.age().cmp(&b.age()),
            Self::PacketRate => a.packet_rate.cmp(&b.packet_rate),
            Self::ByteRate => a.byte_rate.cmp(&b.byte_rate),
            Self::State => urgency(a).cmp(&urgency(b)).reverse(),
            Self::Mark => x.mark.cmp(&y.mark),
            Self::IfId => x.if_id.cmp(&y.if_id),
            Self::Selector => x.selector.cmp(&y.selector),
            Self::Packets => x.used.packets.cmp(&y.used.packets),
            Self::Bytes => x.used.bytes.cmp(&y.used.bytes),
            Self::LastUse => sooner(a.idle(), b.idle()),
            Self::Left => sooner(a.left(), b.left()),
            Self::Renewal => sooner(a.renewal(), b.renewal()),
            Self::Window => x.replay.window.cmp(&y.replay.window),
            Self::Sent => x.replay.sent.cmp(&y.replay.sent),
            Self::Received => x.replay.received.cmp(&y.replay.received),
            Self::Errors => x.errors.total().cmp(&y.errors.total()),
            Self::Flags => x.flags.0.cmp(&y.flags.0),
            Self::OutputMark => x.extras.output_mark.cmp(&y.extras.output_mark),
            Self::Cpu => x.extras.cpu.cmp(&y.extras.cpu),
            // Few have these.
            Self::Encapsulation | Self::Offload | Self::Label => self.text(a).cmp(&self.text(b)),
        };
        first.then_with(by_identity)
    }
}

/// A value in words, `-` where there is none.
pub(super) fn said(value: Option<impl ToString>) -> Cow<'static, str> {
    value.map_or("-".into(), |value| value.to_string().into())
}

/// What its label is made of, without making it.
fn encryption(sa: &Sa) -> (&str, usize) {
    let Algorithms { aead, encryption, compression, .. } = &*sa.algorithms;
    match (aead.as_ref().or(encryption.as_ref()), compression) {
        (Some(transform), _) => (transform.name.label(), transform.cipher_key_bits()),
        (None, Some(name)) => (name.label(), 0),
        (None, None) => ("", 0),
    }
}

fn authentication(sa: &Sa) -> (&str, u32) {
    match (&sa.algorithms.aead, &sa.algorithms.authentication) {
        (Some(aead), _) => ("aead", aead.icv_bits),
        (None, Some(transform)) => (transform.name.label(), transform.icv_bits),
        (None, None) => ("", 0),
    }
}

fn urgency(row: &SaRow<'_>) -> (Nearness, u64) {
    (row.nearness(), row.sa.errors.total())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{IpsecProtocol, Limit, SaSpec, Secret, Spi, Transform};

    fn sa() -> Sa {
        let mut spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(0x1001));
        spec.algorithms.aead = Some(Transform {
            name: crate::model::AlgorithmName::from_kernel("rfc4106(gcm(aes))"),
            key: Secret::copy_from(&[1; 20]),
            icv_bits: 128,
        });
        Sa::from_spec(&spec, 1000)
    }

    fn row(sa: &Sa, now: u64) -> SaRow<'_> {
        SaRow { sa, direction: None, packet_rate: None, byte_rate: None, now }
    }

    #[test]
    fn the_state_is_a_word() {
        let mut sa = sa();
        assert_eq!(row(&sa, 1010).state(), "ok");
        sa.errors.replayed = 3;
        assert_eq!(row(&sa, 1010).state(), "errors 3");
        sa.limits.since_added_secs = Limit { soft: Some(50), hard: Some(100) };
        assert_eq!(row(&sa, 1060).state(), "expiring 40s, errors 3");
        sa.errors.replayed = 0;
        assert_eq!(row(&sa, 1100).state(), "expired");
        sa.limits.since_added_secs = Limit::NONE;
        sa.limits.packets = Limit { soft: None, hard: Some(10) };
        sa.used.packets = 9;
        assert_eq!(row(&sa, 1100).state(), "expiring");
        sa.algorithms = Arc::default();
        assert_eq!(row(&sa, 1100).state(), "larval");
    }

    #[test]
    fn the_most_urgent_comes_first_when_sorted_by_state() {
        let (quiet, mut failing) = (sa(), sa());
        failing.errors.integrity_failed = 1;
        failing.source = [10, 9, 0, 200].into();
        assert_eq!(SaColumn::State.compare(&row(&failing, 1010), &row(&quiet, 1010)), Ordering::Less);
        assert_eq!(SaColumn::Source.compare(&row(&failing, 1010), &row(&quiet, 1010)), Ordering::Greater);
    }
}
