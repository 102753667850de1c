//! The columns of the table of SAs.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Column;
use crate::model::lifetime::Nearness;
use crate::model::text::{duration, quantity};
use crate::model::{Sa, SaDirection};

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
#[allow(missing_docs, reason = "each is the field of the SA that it is named after")]
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
    Packets,
    Bytes,
    State,
}

impl Column<SaRow<'_>> for SaColumn {
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
        Self::Packets,
        Self::Bytes,
        Self::State,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Direction => "Dir",
            Self::Source => "Source",
            Self::Destination => "Destination",
            Self::Protocol => "Proto",
            Self::Spi => "SPI",
            Self::Mode => "Mode",
            Self::Encryption => "Encryption",
            Self::Authentication => "Auth",
            Self::ReqId => "ReqID",
            Self::Age => "Age",
            Self::Packets => "Pkts/s",
            Self::Bytes => "Bytes/s",
            Self::State => "State",
        }
    }

    fn text<'a>(self, row: &'a SaRow<'_>) -> Cow<'a, str> {
        let sa = row.sa;
        match self {
            Self::Direction => match row.direction {
                Some(SaDirection::In) => "in".into(),
                Some(SaDirection::Out) => "out".into(),
                None => "-".into(),
            },
            Self::Source => sa.source.to_string().into(),
            Self::Destination => sa.destination.to_string().into(),
            Self::Protocol => sa.protocol.to_string().into(),
            Self::Spi => sa.spi.to_string().into(),
            Self::Mode => sa.mode.to_string().into(),
            Self::Encryption => sa.algorithms.encryption_label().into(),
            Self::Authentication => sa.algorithms.authentication_label().into(),
            Self::ReqId => sa.reqid.to_string().into(),
            Self::Age => duration(row.age()).into(),
            Self::Packets => rate(row.packet_rate),
            Self::Bytes => rate(row.byte_rate),
            Self::State => row.state(),
        }
    }

    fn compare(self, a: &SaRow<'_>, b: &SaRow<'_>) -> Ordering {
        let by_identity = || {
            let key = |row: &SaRow<'_>| (row.sa.source, row.sa.destination, row.sa.protocol, row.sa.spi, row.sa.mark);
            key(a).cmp(&key(b))
        };
        let first = match self {
            Self::Direction => a.direction.cmp(&b.direction),
            Self::Source => Ordering::Equal,
            Self::Destination => a.sa.destination.cmp(&b.sa.destination),
            Self::Protocol => a.sa.protocol.cmp(&b.sa.protocol),
            Self::Spi => a.sa.spi.cmp(&b.sa.spi),
            Self::Mode => a.sa.mode.cmp(&b.sa.mode),
            Self::Encryption | Self::Authentication => self.text(a).cmp(&self.text(b)),
            Self::ReqId => a.sa.reqid.cmp(&b.sa.reqid),
            Self::Age => a.age().cmp(&b.age()),
            Self::Packets => a.packet_rate.cmp(&b.packet_rate),
            Self::Bytes => a.byte_rate.cmp(&b.byte_rate),
            Self::State => urgency(a).cmp(&urgency(b)).reverse(),
        };
        first.then_with(by_identity)
    }

    fn rank(self) -> u8 {
        match self {
            Self::Destination | Self::Spi => 0,
            Self::Source | Self::Protocol => 1,
            Self::State => 2,
            Self::Encryption => 3,
            Self::Direction => 4,
            Self::Packets => 5,
            Self::Authentication => 6,
            Self::Bytes => 7,
            Self::Mode => 8,
            Self::Age => 9,
            Self::ReqId => 10,
        }
    }

    fn least_width(self) -> Option<usize> {
        match self {
            Self::Source | Self::Destination | Self::State => Some(15),
            _ => None,
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::ReqId | Self::Age | Self::Packets | Self::Bytes)
    }

    fn is_live(self) -> bool {
        matches!(self, Self::Packets | Self::Bytes | Self::State)
    }
}

fn urgency(row: &SaRow<'_>) -> (Nearness, u64) {
    (row.nearness(), row.sa.errors.total())
}

fn rate(value: Option<u64>) -> Cow<'static, str> {
    value.map_or("-".into(), |value| quantity(value).into())
}

#[cfg(test)]
mod tests {
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
        sa.algorithms = crate::model::Algorithms::default();
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
