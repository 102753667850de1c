//! The columns of the list of packets.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Column;
use crate::console::state::packets::{Named, PacketRow};
use crate::evidence::Known;
use crate::model::text::harmless;
use crate::model::{IpsecProtocol, Spi};
use crate::packet::Endpoint;

/// A column of the list of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the property of the frame that it is named after")]
pub enum PacketColumn {
    Time,
    /// With the interface, where there are several.
    Direction,
    Source,
    Destination,
    /// What it proved, in a word.
    Verdict,
    Protocol,
    Spi,
    Sequence,
    Length,
    /// The SAs that the frame names, or `no SA`; what else can be read of it.
    What,
}

impl Column<PacketRow<'_>> for PacketColumn {
    const ALL: &'static [Self] = &[
        Self::Time,
        Self::Direction,
        Self::Source,
        Self::Destination,
        Self::Verdict,
        Self::Protocol,
        Self::Spi,
        Self::Sequence,
        Self::Length,
        Self::What,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Time => "Time",
            Self::Direction => "Dir",
            Self::Source => "From",
            Self::Destination => "To",
            Self::Verdict => "Verdict",
            Self::Protocol => "Proto",
            Self::Spi => "SPI",
            Self::Sequence => "Seq",
            Self::Length => "Bytes",
            Self::What => "SA, or what it says",
        }
    }

    fn text<'a>(self, row: &'a PacketRow<'_>) -> Cow<'a, str> {
        let end = |end: Option<Endpoint>| end.map_or_else(|| "-".to_owned(), |end| end.to_string());
        match self {
            Self::Time if row.is_marked => format!("*{}", row.time).into(),
            Self::Time => row.time.as_str().into(),
            Self::Direction => {
                let way = row.frame.direction.map_or_else(|| "-".to_owned(), |way| way.to_string());
                match row.interface {
                    Some(interface) => format!("{way} {}", harmless(interface)).into(),
                    None => way.into(),
                }
            }
            Self::Source => end(row.summary.source).into(),
            Self::Destination => end(row.summary.destination).into(),
            Self::Verdict => row.evidence.verdict.to_string().into(),
            Self::Protocol => row.summary.protocol.as_str().into(),
            Self::Spi => numbers(row, |spi, single| if single { spi.to_string() } else { format!("{spi:#}") }).into(),
            Self::Sequence => {
                let outermost = row.ipsec.iter().find_map(|(header, _)| header.sequence);
                outermost.map_or_else(String::new, |sequence| sequence.to_string()).into()
            }
            Self::Length => row.frame.bytes.len().to_string().into(),
            Self::What => what(row).into(),
        }
    }

    /// Frames stand in the order in which they came.
    fn compare(self, a: &PacketRow<'_>, b: &PacketRow<'_>) -> Ordering {
        a.frame.at_ns.cmp(&b.frame.at_ns)
    }

    fn rank(self) -> u8 {
        match self {
            Self::Source | Self::Destination | Self::Verdict => 0,
            Self::Protocol => 1,
            Self::Direction => 2,
            Self::What => 3,
            Self::Time => 4,
            Self::Spi => 5,
            Self::Sequence => 6,
            Self::Length => 7,
        }
    }

    fn least_width(self) -> Option<usize> {
        match self {
            Self::What => Some(16),
            // Of the SPI two short numbers, as of AH around ESP.
            Self::Source | Self::Destination | Self::Spi => Some(15),
            _ => None,
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Sequence | Self::Length)
    }
}

fn numbers(row: &PacketRow<'_>, form: impl Fn(Spi, bool) -> String) -> String {
    let single = row.ipsec.len() == 1;
    let numbers: Vec<String> = row.ipsec.iter().map(|(header, _)| form(header.spi, single)).collect();
    numbers.join("/")
}

fn what(row: &PacketRow<'_>) -> String {
    let single = row.ipsec.len() == 1;
    let words = |(header, named): &(crate::packet::IpsecHeader, Named<'_>)| {
        let words = named_words(*named);
        if single { words } else { format!("{}: {words}", protocol_word(header.protocol)) }
    };
    let mut parts: Vec<String> = row.ipsec.iter().map(words).collect();
    if !row.summary.info.is_empty() {
        parts.push(row.summary.info.clone());
    }
    parts.join("; ")
}

/// ESP, AH or IPComp, as they are written among packets.
pub fn protocol_word(protocol: IpsecProtocol) -> &'static str {
    match protocol {
        IpsecProtocol::Ah => "AH",
        IpsecProtocol::Comp => "IPComp",
        _ => "ESP",
    }
}

/// What is to be said of the SA that a header names.
pub fn named_words(named: Named<'_>) -> String {
    match named {
        Named::Sa(known) if known.is_gone => format!("{} (gone)", algorithms(known)),
        Named::Sa(known) => algorithms(known),
        Named::Forgotten => "SA gone".to_owned(),
        Named::None => "no SA".to_owned(),
    }
}

/// Its algorithms: `3des-cbc hmac-sha1-96`, `hmac-md5-96`, `deflate`.
pub fn algorithms(sa: &Known) -> String {
    let labels = [sa.algorithms.encryption_label(), sa.algorithms.authentication_label()];
    let said: Vec<&str> = labels.iter().map(String::as_str).filter(|label| *label != "-").collect();
    if said.is_empty() { "SA without algorithms".to_owned() } else { said.join(" ") }
}
