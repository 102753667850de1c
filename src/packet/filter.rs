//! A language to choose frames by, in tcpdump's words where it has them.
//!
//! ```text
//! expression = factor { ( "and" | "or" ) factor }                "&&" is "and", "||" is "or"
//! factor     = "not" factor | "(" expression ")" | primitive     "!" is "not"
//! primitive  = protocol [ address ] | address | [ "ip" | "ip6" ] "proto" N | ( "ip" | "ip6" ) "multicast"
//!            | "broadcast" | "multicast" | "ether" [ "src" | "dst" ] "host" MAC
//!            | "spi" N | "in" | "out" | "less" N | "greater" N
//!            | "vlan" [ N ] | "fragment" | "verdict" WORD | "text" ( WORD | "\"...\"" )
//! address    = [ end ] [ "host" | "peer" | "net" | "port" | "portrange" ] ( value | "(" values ")" )
//! end        = "src" | "dst" | "src or dst" | "src and dst"
//! protocol   = "esp" | "ah" | "ipcomp" | "ipsec" | "ike" | "tcp" | "udp" | "sctp" | "icmp" | "icmp6" | "arp" | "ip"
//!            | "ip6" | "gre"
//! ```
//!
//! As in tcpdump, `and` and `or` bind alike and from left to right, so `udp or tcp and port 80` is `(udp or tcp) and port
//! 80`; `not` binds closest; `udp port 53 or 123` and `udp port (53 or 123)` repeat the words before the value. A bare
//! address means `host`. Unlike there, a protocol or an address is looked for in every layer that can be read, tunnels
//! included, and also in the packet that a frame completed as the last of its parts.

mod kernel;
mod words;

use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};

use pnet::util::MacAddr;

use super::{Cooked, Direction, Dissection, Header, Layer, Protocol};
use crate::model::expression::Expression;
use crate::model::{Prefix, Spi, UpperProtocol};

pub use crate::model::expression::{End, FilterError};
pub use kernel::Instruction;

/// What a filter looks at.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The frame's layers.
    pub dissection: &'a Dissection,
    /// Which way it went, where that is known.
    pub direction: Option<Direction>,
    /// How long it was on the wire.
    pub length: usize,
    /// The frame's bytes.
    pub bytes: &'a [u8],
    /// The packet that the frame completed, if it is the last missing part of one: all that was found about the frame was
    /// found about this packet.
    pub whole: Option<(&'a Dissection, &'a [u8])>,
    /// What was found about it, in a word; empty where nobody judged.
    pub verdict: &'a str,
    /// Whether a text was found in what could be decrypted.
    pub inside: &'a dyn Fn(&[u8]) -> bool,
}

/// What a frame fits, or does not.
pub type Filter = Expression<Test>;

/// A single condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It has a layer of this kind.
    Has(Word),
    /// An IP header (or ARP message) has this address, at this end.
    Net(End, Prefix),
    /// A transport header has one of these ports, at this end.
    Port(End, RangeInclusive<u16>),
    /// An IP header, of this version where one is said, announces this protocol.
    Proto(Option<Word>, UpperProtocol),
    /// An Ethernet header has this address, at this end.
    Ether(End, MacAddr),
    /// It goes to everybody on the link.
    Broadcast,
    /// It goes to several on the link, or to everybody.
    Multicast,
    /// An IPsec header has this number.
    Spi(Spi),
    /// It went this way.
    Went(Direction),
    /// It has at most so many bytes.
    Less(usize),
    /// It has at least so many bytes.
    Greater(usize),
    /// It has a tag of this VLAN, or any.
    Vlan(Option<u16>),
    /// It is a part of a packet.
    Fragment,
    /// It was found to be this.
    Verdict(&'static str),
    /// Its bytes, or what was decrypted from them, contain a text.
    Text(Box<str>),
}

/// What stands behind `verdict`, and the beginning of the verdict that it means; `ok` means all good ones.
const VERDICTS: &[(&str, &str)] = &[
    ("ok", "ok"),
    ("bad", "BAD ICV"),
    ("nosa", "NO SA"),
    ("nokey", "NO KEY"),
    ("unproven", "UNPROVEN"),
    ("refused", "REFUSED"),
    ("replay", "REPLAY"),
    ("old", "OLD"),
    ("gap", "GAP"),
    ("weak!", "WEAK !"),
    ("clear!", "CLEAR !"),
    ("clear", "CLEAR"),
    ("copy", "COPY"),
    ("ike", "IKE"),
    ("part", "PART"),
    ("other", "OTHER"),
];

/// A protocol, as filters call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the protocol that it is named after")]
pub enum Word {
    Esp,
    Ah,
    IpComp,
    /// Any of ESP, AH and IPComp.
    Ipsec,
    Ike,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Arp,
    Ip,
    Ip6,
    Gre,
}

impl Filter {
    /// Reads an expression. An empty one is `None`: every frame fits.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        Self::parse_arguments(&[text])
    }

    /// Reads an expression that comes in pieces, as a shell hands it over: the one behind `text` is a text as it is.
    ///
    /// # Errors
    /// The first thing that is wrong; columns are those of the pieces with blanks between them.
    pub fn parse_arguments(arguments: &[&str]) -> Result<Option<Self>, FilterError> {
        Self::read(arguments, &mut words::Conditions::default())
    }

    /// It, and beside it all that comes from or goes to these ports.
    #[must_use]
    pub fn or_ports(self, ports: &[u16]) -> Self {
        let with =
            |filter, port: &u16| Self::Or(Box::new(Self::Is(Test::Port(End::Either, *port..=*port))), Box::new(filter));
        ports.iter().fold(self, with)
    }

    /// Whether a frame fits.
    pub fn fits(&self, subject: Subject<'_>) -> bool {
        self.holds(&mut |test| test.fits(subject))
    }
}

impl<'a> Subject<'a> {
    /// The frame itself, and the packet that it completed.
    fn parts(self) -> impl Iterator<Item = (&'a Dissection, &'a [u8])> {
        std::iter::once((self.dissection, self.bytes)).chain(self.whole)
    }

    /// The layers of both, with the bytes that they are of.
    fn layers(self) -> impl Iterator<Item = (&'a Layer, &'a [u8])> {
        self.parts().flat_map(|(part, bytes)| part.layers().iter().map(move |layer| (layer, bytes)))
    }
}

impl Test {
    fn fits(&self, subject: Subject<'_>) -> bool {
        let mut layers = subject.layers();
        let mut headers = subject.layers().map(|(layer, _)| &layer.header);
        match *self {
            Self::Has(word) => headers.any(|header| word.is(header)),
            Self::Net(end, prefix) => {
                headers.filter_map(addresses).any(|addresses| end.find(addresses, |address| prefix.contains(address)))
            }
            Self::Port(end, ref wanted) => {
                let is_wanted = |ports| end.find(ports, |port| wanted.contains(&port));
                layers.any(|(layer, bytes)| ports(layer, bytes).is_some_and(is_wanted))
            }
            Self::Proto(version, protocol) => headers.any(|header| match header {
                Header::Ipv4(ip) => version != Some(Word::Ip6) && ip.protocol == protocol,
                Header::Ipv6(ip) => version != Some(Word::Ip) && ip.next_header == protocol,
                // tcpdump looks behind this extension header, and behind no other.
                Header::Ipv6Fragment(fragment) => version != Some(Word::Ip) && fragment.next_header == protocol,
                _ => false,
            }),
            Self::Ether(end, wanted) => headers.any(|header| match header {
                Header::Ethernet(ether) => end.find((ether.source, ether.destination), |address| address == wanted),
                _ => false,
            }),
            Self::Broadcast => headers.any(|header| match header {
                Header::Ethernet(ether) => ether.destination.is_broadcast(),
                Header::Cooked(Cooked { packet_type, .. }) => *packet_type == PACKET_BROADCAST,
                _ => false,
            }),
            Self::Multicast => headers.any(|header| match header {
                Header::Ethernet(ether) => ether.destination.is_multicast() || ether.destination.is_broadcast(),
                Header::Cooked(Cooked { packet_type, .. }) => {
                    [PACKET_BROADCAST, PACKET_MULTICAST].contains(packet_type)
                }
                _ => false,
            }),
            Self::Spi(spi) => subject.parts().any(|(part, _)| part.ipsec().any(|header| header.spi == spi)),
            Self::Went(direction) => subject.direction == Some(direction),
            Self::Less(bytes) => subject.length <= bytes,
            Self::Greater(bytes) => subject.length >= bytes,
            Self::Vlan(id) => headers.any(|header| match header {
                Header::Vlan(vlan) => id.is_none_or(|id| id == vlan.id),
                _ => false,
            }),
            Self::Verdict("ok") => subject.verdict.ends_with("ok") || subject.verdict.starts_with("GAP"),
            Self::Verdict("CLEAR") => subject.verdict == "CLEAR",
            Self::Verdict(word) => subject.verdict.starts_with(word),
            Self::Text(ref text) => {
                let text = text.as_bytes();
                subject.parts().any(|(_, bytes)| contains(bytes, text)) || (subject.inside)(text)
            }
            Self::Fragment => headers.any(|header| match header {
                Header::Ipv4(ip) => ip.more_fragments || ip.fragment_offset > 0,
                Header::Ipv6Fragment(_) => true,
                _ => false,
            }),
        }
    }
}

/// Whether some bytes stand among others.
pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || places_of(bytes, part).next().is_some()
}

/// Where some bytes stand among others; what is empty stands nowhere.
pub fn places_of(bytes: &[u8], part: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let windows = bytes.windows(part.len().max(1)).enumerate();
    windows.filter(move |(_, window)| *window == part).map(move |(at, _)| at..at + part.len())
}

/// `include/uapi/linux/if_packet.h`.
const PACKET_BROADCAST: u16 = 1;
const PACKET_MULTICAST: u16 = 2;

/// Source and destination port. SCTP (RFC 9260 section 3.1) is not taken apart, but it begins with them.
fn ports(layer: &Layer, bytes: &[u8]) -> Option<(u16, u16)> {
    if !matches!(layer.header, Header::Opaque(Protocol::OtherAboveIp(UpperProtocol::SCTP))) {
        return layer.header.ports();
    }
    let (source, rest) = bytes.get(layer.range())?.split_first_chunk()?;
    Some((u16::from_be_bytes(*source), u16::from_be_bytes(*rest.first_chunk()?)))
}

fn addresses(header: &Header) -> Option<(IpAddr, IpAddr)> {
    match header {
        Header::Arp(arp) => Some((arp.sender.into(), arp.target.into())),
        other => other.ip_addresses(),
    }
}

impl Word {
    /// Whether a header is of this protocol. tcpdump goes by what the header before it announced, so parts from the middle
    /// of a packet count, and what is too short to be read.
    fn is(self, header: &Header) -> bool {
        let is = |protocol: Protocol| header.protocol() == protocol;
        match self {
            Self::Esp => is(Protocol::Esp),
            Self::Ah => is(Protocol::Ah),
            Self::IpComp => is(Protocol::IpComp),
            Self::Ipsec => is(Protocol::Esp) || is(Protocol::Ah) || is(Protocol::IpComp),
            // What only goes to the port of IKE is none.
            Self::Ike => matches!(header, Header::Ike(_)),
            Self::Tcp => is(Protocol::Tcp),
            Self::Udp => is(Protocol::Udp),
            Self::Sctp => is(Protocol::OtherAboveIp(UpperProtocol::SCTP)),
            Self::Icmp => is(Protocol::Icmp),
            Self::Icmp6 => is(Protocol::Icmpv6),
            Self::Arp => is(Protocol::Arp),
            Self::Ip => is(Protocol::Ipv4),
            Self::Ip6 => is(Protocol::Ipv6),
            Self::Gre => is(Protocol::Gre),
        }
    }
}

#[cfg(test)]
mod tests;
