//! The columns of the list of packets.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{About, Column, Columns};
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

impl Columns for PacketColumn {
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
    const USUAL: &'static [Self] = Self::ALL;

    fn about(self) -> About {
        match self {
            Self::Time => About::new("time", "Time", "when it came").rank(4),
            Self::Direction => About::new("dir", "Dir", "in or out, and the interface among several").rank(2),
            Self::Source => About::new("src", "From", "where it comes from").rank(0).cut_to(15),
            Self::Destination => About::new("dst", "To", "where it goes").rank(0).cut_to(15),
            Self::Verdict => About::new("verdict", "Verdict", "what it proved").rank(0),
            Self::Protocol => About::new("proto", "Proto", "its protocols").rank(1),
            // Two short numbers, as of AH around ESP.
            Self::Spi => About::new("spi", "SPI", "the numbers of its SAs").rank(5).cut_to(15),
            Self::Sequence => About::new("seq", "Seq", "its sequence number on the SA").rank(6).number(),
            Self::Length => About::new("bytes", "Bytes", "its length on the wire").rank(7).number(),
            Self::What => About::new("what", "SA, or what it says", "its SA, and what it says").rank(3).cut_to(16),
        }
    }
}

impl Column<PacketRow<'_>> for PacketColumn {
    fn text<'a>(self, row: &'a PacketRow<'_>) -> Cow<'a, str> {
        let end = |end: Option<Endpoint>| end.map_or_else(|| "-".to_owned(), |end| end.to_string());
        match self {
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
            Self::Protocol => row.summary.protocol.as_ref().into(),
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
        Named::Sa(known) if known.is_gone() => format!("{} (gone)", algorithms(known)),
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
