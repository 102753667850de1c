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
use crate::model::text::harmless;
use crate::model::{Prefix, Spi, UpperProtocol};

pub use kernel::Instruction;

/// Deeper brackets are a slip, or meant to harm.
const DEEPEST: usize = 64;

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

/// An expression that a frame fits, or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Both.
    And(Box<Filter>, Box<Filter>),
    /// At least one.
    Or(Box<Filter>, Box<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// A single condition.
    Is(Test),
}

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

/// Which end of a packet is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The source.
    Source,
    /// The destination.
    Destination,
    /// One of them.
    #[default]
    Either,
}

impl End {
    fn find<T>(self, (source, destination): (T, T), mut fits: impl FnMut(T) -> bool) -> bool {
        match self {
            Self::Source => fits(source),
            Self::Destination => fits(destination),
            Self::Either => fits(source) || fits(destination),
        }
    }
}

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct FilterError {
    /// The place, in characters from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
}

impl Filter {
    /// Reads an expression. An empty one is `None`: every frame fits.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        let mut parser = Parser { tokens: tokens(text), at: 0, end: text.chars().count() + 1, depth: 0, last: None };
        if parser.tokens.is_empty() {
            return Ok(None);
        }
        let filter = parser.expression()?;
        match parser.peek() {
            None => Ok(Some(filter)),
            Some(_) => Err(parser.expected("\"and\", \"or\", or the end")),
        }
    }

    /// Whether a frame fits.
    pub fn fits(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::And(a, b) => a.fits(subject) && b.fits(subject),
            Self::Or(a, b) => a.fits(subject) || b.fits(subject),
            Self::Not(inner) => !inner.fits(subject),
            Self::Is(test) => test.fits(subject),
        }
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

/// A word with its column.
type Token<'a> = (usize, &'a str);

/// Words between blanks; brackets, and `!` before a word, are words by themselves; quotes hold blanks together.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start: Option<(usize, usize)> = None;
    let mut quoted = false;
    for (column, (at, c)) in text.char_indices().enumerate() {
        quoted ^= c == '"';
        if quoted {
            start = start.or(Some((at, column + 1)));
            continue;
        }
        let ends = c.is_whitespace() || "()".contains(c);
        if ends && let Some((from, column)) = start.take() {
            tokens.push((column, text.get(from..at).unwrap_or_default()));
        }
        if "()".contains(c) || (c == '!' && start.is_none()) {
            tokens.push((column + 1, text.get(at..=at).unwrap_or_default()));
        } else if !c.is_whitespace() && start.is_none() {
            start = Some((at, column + 1));
        }
    }
    if let Some((from, column)) = start {
        tokens.push((column, text.get(from..).unwrap_or_default()));
    }
    tokens
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

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// The column behind the last character.
    end: usize,
    depth: usize,
    /// The words before the last value, for `port 80 or 443`.
    last: Option<Qualifier>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(|(_, word)| *word)
    }

    fn take(&mut self, words: &[&str]) -> bool {
        let fits = self.peek().is_some_and(|word| words.contains(&word));
        self.at += usize::from(fits);
        fits
    }

    fn expected(&self, what: &str) -> FilterError {
        match self.tokens.get(self.at) {
            Some((column, word)) => {
                FilterError { column: *column, message: format!("expected {what}, found \"{}\"", harmless(word)) }
            }
            None => FilterError { column: self.end, message: format!("expected {what}") },
        }
    }

    fn expression(&mut self) -> Result<Filter, FilterError> {
        let mut filter = self.term()?;
        while self.take(&["or", "||"]) {
            filter = Filter::Or(Box::new(filter), Box::new(self.term()?));
        }
        Ok(filter)
    }

    fn term(&mut self) -> Result<Filter, FilterError> {
        let mut filter = self.factor()?;
        while self.take(&["and", "&&"]) {
            filter = Filter::And(Box::new(filter), Box::new(self.factor()?));
        }
        Ok(filter)
    }

    fn factor(&mut self) -> Result<Filter, FilterError> {
        if self.depth == DEEPEST {
            return Err(self.expected(&format!("fewer than {DEEPEST} brackets in one another")));
        }
        self.depth += 1;
        let filter = if self.take(&["not", "!"]) {
            Filter::Not(Box::new(self.factor()?))
        } else if self.take(&["("]) {
            let inner = self.expression()?;
            if !self.take(&[")"]) {
                return Err(self.expected("\")\""));
            }
            inner
        } else {
            self.primitive()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn primitive(&mut self) -> Result<Filter, FilterError> {
        let Some(word) = self.peek() else {
            return Err(self.expected("a condition, as esp, host 10.9.0.2, port 500 or spi 0x1001"));
        };
        if let Some((_, protocol)) = WORDS.iter().find(|(name, _)| *name == word) {
            self.at += 1;
            let filter = Filter::Is(Test::Has(*protocol));
            // `not udp port 53` means not (udp port 53): the words belong together.
            let more = self.peek().is_some_and(|next| matches!(next, "src" | "dst" | "host" | "peer" | "net" | "port"));
            return if more { Ok(Filter::And(Box::new(filter), Box::new(self.address()?))) } else { Ok(filter) };
        }
        let test = match word {
            "in" | "inbound" => Test::Went(Direction::In),
            "out" | "outbound" => Test::Went(Direction::Out),
            "fragment" | "fragments" => Test::Fragment,
            "less" => Test::Less(self.argument("a number of bytes", |text| text.parse().ok())?),
            "greater" => Test::Greater(self.argument("a number of bytes", |text| text.parse().ok())?),
            "spi" => Test::Spi(self.argument("an SPI, as 0x1001 or 4097", |text| text.parse().ok())?),
            "verdict" => Test::Verdict(self.argument(&verdicts(), |text| {
                VERDICTS.iter().find(|(word, _)| *word == text).map(|(_, verdict)| *verdict)
            })?),
            "text" => Test::Text(self.argument("a text in \"quotes\"", |text| {
                text.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.is_empty()).map(Into::into)
            })?),
            "proto" => Test::Proto(self.argument("a protocol's name or number", UpperProtocol::parse)?),
            "vlan" => {
                let id = self.tokens.get(self.at + 1).and_then(|(_, word)| word.parse().ok());
                self.at += usize::from(id.is_some());
                Test::Vlan(id)
            }
            _ => return self.address(),
        };
        self.at += 1;
        Ok(Filter::Is(test))
    }

    /// The value behind the word at hand; moves onto it.
    fn argument<T>(&mut self, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, FilterError> {
        self.at += 1;
        self.peek().and_then(read).ok_or_else(|| self.expected(what))
    }

    fn address(&mut self) -> Result<Filter, FilterError> {
        let start = self.at;
        let end = if self.take(&["src"]) {
            End::Source
        } else if self.take(&["dst"]) {
            End::Destination
        } else {
            End::Either
        };
        let what = if self.take(&["host", "peer"]) {
            Some(What::Host)
        } else if self.take(&["net"]) {
            Some(What::Net)
        } else if self.take(&["port"]) {
            Some(What::Port)
        } else {
            None
        };
        let bare = self.at == start;
        let qualifier = match (what, self.last) {
            (Some(what), _) => Qualifier { end, what },
            (None, Some(last)) if bare => last,
            (None, _) => Qualifier { end, what: What::Host },
        };
        let test = self.value(qualifier, what.is_none());
        let test = test.ok_or_else(|| {
            self.expected(match qualifier.what {
                _ if bare => "a condition, as esp, host 10.9.0.2, port 500 or spi 0x1001",
                What::Host => "an IPv4 or IPv6 address",
                What::Net => "a prefix, as 10.9.0.0/24",
                What::Port => "a port from 0 to 65535",
            })
        })?;
        self.at += 1;
        self.last = Some(qualifier);
        Ok(Filter::Is(test))
    }

    fn value(&self, Qualifier { end, what }: Qualifier, unsaid: bool) -> Option<Test> {
        let word = self.peek()?;
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
}

#[cfg(test)]
mod tests;
