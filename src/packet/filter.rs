//! A language to choose frames by, in tcpdump's words where it has them.
//!
//! ```text
//! expression = term { "or" term }            "||" is "or"
//! term       = factor { "and" factor }       "&&" is "and"
//! factor     = "not" factor | "(" expression ")" | primitive     "!" is "not"
//! primitive  = protocol [ address ] | address | "proto" N | "spi" N | "in" | "out" | "less" N | "greater" N
//!            | "vlan" [ N ] | "fragment" | "verdict" WORD | "text" "\"...\""
//! address    = [ "src" | "dst" ] [ "host" | "peer" | "net" | "port" ] value
//! protocol   = "esp" | "ah" | "ipcomp" | "ipsec" | "ike" | "tcp" | "udp" | "icmp" | "icmp6" | "arp" | "ip" | "ip6"
//!            | "gre"
//! ```
//!
//! As in tcpdump, `port 80 or 443` repeats the words before the value, and a bare address means `host`. Unlike there,
//! a protocol or an address is looked for in every layer that can be read, tunnels included.

mod kernel;

use std::net::IpAddr;

use super::{Direction, Dissection, Header};
use crate::model::expression::{Expression, Language, Words};
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
    /// A transport header has this port, at this end.
    Port(End, u16),
    /// An IP header announces this protocol.
    Proto(UpperProtocol),
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
    Icmp,
    Icmp6,
    Arp,
    Ip,
    Ip6,
    Gre,
}

const WORDS: &[(&str, Word)] = &[
    ("esp", Word::Esp),
    ("ah", Word::Ah),
    ("ipcomp", Word::IpComp),
    ("ipsec", Word::Ipsec),
    ("ike", Word::Ike),
    ("tcp", Word::Tcp),
    ("udp", Word::Udp),
    ("icmp", Word::Icmp),
    ("icmp6", Word::Icmp6),
    ("arp", Word::Arp),
    ("ip", Word::Ip),
    ("ip6", Word::Ip6),
    ("gre", Word::Gre),
];

impl Filter {
    /// Reads an expression. An empty one is `None`: every frame fits.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        Self::read(text, &mut Conditions { last: None })
    }

    /// It, and beside it all that comes from or goes to these ports.
    #[must_use]
    pub fn or_ports(self, ports: &[u16]) -> Self {
        let with = |filter, port: &u16| Self::Or(Box::new(Self::Is(Test::Port(End::Either, *port))), Box::new(filter));
        ports.iter().fold(self, with)
    }

    /// Whether a frame fits.
    pub fn fits(&self, subject: Subject<'_>) -> bool {
        self.holds(&mut |test| test.fits(subject))
    }
}

impl Test {
    fn fits(&self, subject: Subject<'_>) -> bool {
        let mut headers = subject.dissection.layers().iter().map(|layer| &layer.header);
        match *self {
            Self::Has(word) => headers.any(|header| word.is(header)),
            Self::Net(end, prefix) => {
                headers.filter_map(addresses).any(|addresses| end.find(addresses, |address| prefix.contains(address)))
            }
            Self::Port(end, port) => {
                headers.filter_map(Header::ports).any(|ports| end.find(ports, |other| other == port))
            }
            Self::Proto(protocol) => headers.any(|header| match header {
                Header::Ipv4(ip) => ip.protocol == protocol,
                Header::Ipv6(ip) => ip.next_header == protocol,
                _ => false,
            }),
            Self::Spi(spi) => subject.dissection.ipsec().any(|header| header.spi == spi),
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
            Self::Text(ref text) => contains(subject.bytes, text.as_bytes()) || (subject.inside)(text.as_bytes()),
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
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

fn addresses(header: &Header) -> Option<(IpAddr, IpAddr)> {
    match header {
        Header::Arp(arp) => Some((arp.sender.into(), arp.target.into())),
        other => other.ip_addresses(),
    }
}

impl Word {
    fn is(self, header: &Header) -> bool {
        match self {
            Self::Esp => matches!(header, Header::Esp(_)),
            Self::Ah => matches!(header, Header::Ah(_)),
            Self::IpComp => matches!(header, Header::IpComp(_)),
            Self::Ipsec => matches!(header, Header::Esp(_) | Header::Ah(_) | Header::IpComp(_)),
            Self::Ike => matches!(header, Header::Ike(_)),
            Self::Tcp => matches!(header, Header::Tcp(_)),
            Self::Udp => matches!(header, Header::Udp(_)),
            Self::Icmp => matches!(header, Header::Icmp(_)),
            Self::Icmp6 => matches!(header, Header::Icmpv6(_)),
            Self::Arp => matches!(header, Header::Arp(_)),
            Self::Ip => matches!(header, Header::Ipv4(_)),
            Self::Ip6 => matches!(header, Header::Ipv6(_)),
            Self::Gre => matches!(header, Header::Gre(_)),
        }
    }
}

fn verdicts() -> String {
    let words: Vec<&str> = VERDICTS.iter().map(|(word, _)| *word).collect();
    format!("one of {}", words.join(", "))
}

/// What stands before a value.
#[derive(Clone, Copy)]
struct Qualifier {
    end: End,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Host,
    Net,
    Port,
}

struct Conditions {
    /// The words before the last value, for `port 80 or 443`.
    last: Option<Qualifier>,
}

impl Language for Conditions {
    type Test = Test;

    fn condition(&mut self, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        let Some(word) = words.peek() else {
            return Err(words.expected("a condition, as esp, host 10.9.0.2, port 500 or spi 0x1001"));
        };
        if let Some((_, protocol)) = WORDS.iter().find(|(name, _)| *name == word) {
            words.advance();
            let filter = Filter::Is(Test::Has(*protocol));
            // `not udp port 53` means not (udp port 53): the words belong together.
            let more =
                words.peek().is_some_and(|next| matches!(next, "src" | "dst" | "host" | "peer" | "net" | "port"));
            return if more { Ok(Filter::And(Box::new(filter), Box::new(self.address(words)?))) } else { Ok(filter) };
        }
        let test = match word {
            "in" | "inbound" => Test::Went(Direction::In),
            "out" | "outbound" => Test::Went(Direction::Out),
            "fragment" | "fragments" => Test::Fragment,
            "less" => Test::Less(words.argument("a number of bytes", |text| text.parse().ok())?),
            "greater" => Test::Greater(words.argument("a number of bytes", |text| text.parse().ok())?),
            "spi" => Test::Spi(words.argument("an SPI, as 0x1001 or 4097", |text| text.parse().ok())?),
            "verdict" => Test::Verdict(words.argument(&verdicts(), |text| {
                VERDICTS.iter().find(|(word, _)| *word == text).map(|(_, verdict)| *verdict)
            })?),
            "text" => Test::Text(words.argument("a text in \"quotes\"", |text| {
                text.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.is_empty()).map(Into::into)
            })?),
            "proto" => Test::Proto(words.argument("a protocol's name or number", UpperProtocol::parse)?),
            "vlan" => {
                let id = words.peek_behind().and_then(|word| word.parse().ok());
                if id.is_some() {
                    words.advance();
                }
                Test::Vlan(id)
            }
            _ => return self.address(words),
        };
        words.advance();
        Ok(Filter::Is(test))
    }
}

impl Conditions {
    fn address(&mut self, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        let end = if words.take(&["src"]) {
            Some(End::Source)
        } else if words.take(&["dst"]) {
            Some(End::Destination)
        } else {
            None
        };
        let what = if words.take(&["host", "peer"]) {
            Some(What::Host)
        } else if words.take(&["net"]) {
            Some(What::Net)
        } else if words.take(&["port"]) {
            Some(What::Port)
        } else {
            None
        };
        let (bare, end) = (end.is_none() && what.is_none(), end.unwrap_or_default());
        let qualifier = match (what, self.last) {
            (Some(what), _) => Qualifier { end, what },
            (None, Some(last)) if bare => last,
            (None, _) => Qualifier { end, what: What::Host },
        };
        let test = words.peek().and_then(|word| value(word, qualifier, what.is_none()));
        let test = test.ok_or_else(|| {
            words.expected(match qualifier.what {
                _ if bare => "a condition, as esp, host 10.9.0.2, port 500 or spi 0x1001",
                What::Host => "an IPv4 or IPv6 address",
                What::Net => "a prefix, as 10.9.0.0/24",
                What::Port => "a port from 0 to 65535",
            })
        })?;
        words.advance();
        self.last = Some(qualifier);
        Ok(Filter::Is(test))
    }
}

fn value(word: &str, Qualifier { end, what }: Qualifier, unsaid: bool) -> Option<Test> {
    let host = || word.parse().ok().map(|address| Test::Net(end, Prefix::host(address)));
    let net = || word.parse().ok().map(|prefix| Test::Net(end, prefix));
    let port = || word.parse().ok().map(|port| Test::Port(end, port));
    match what {
        What::Port if unsaid => port().or_else(host).or_else(net),
        What::Port => port(),
        // `10.9.0.0/24` without a word before it can only be a net.
        What::Host | What::Net if unsaid => host().or_else(net),
        What::Host => host(),
        What::Net => net(),
    }
}

#[cfg(test)]
mod tests;
