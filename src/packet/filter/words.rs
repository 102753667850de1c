//! The words of the language that frames are chosen by, read one condition after the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::{Direction, End, Filter, FilterError, Test, VERDICTS, Word};
use crate::model::expression::{Language, Words};
use crate::model::{Prefix, UpperProtocol};

const PROTOCOLS: &[(&str, Word)] = &[
    ("esp", Word::Esp),
    ("ah", Word::Ah),
    ("ipcomp", Word::IpComp),
    ("ipsec", Word::Ipsec),
    ("ike", Word::Ike),
    ("tcp", Word::Tcp),
    ("udp", Word::Udp),
    ("sctp", Word::Sctp),
    ("icmp", Word::Icmp),
    ("icmp6", Word::Icmp6),
    ("arp", Word::Arp),
    ("ip", Word::Ip),
    ("ip6", Word::Ip6),
    ("gre", Word::Gre),
];

/// The names of ports that are typed most often, as `/etc/services` has them. To tcpdump a name that this file has for
/// one protocol alone means that protocol, too; here it is the number whatever the host's file says.
const SERVICES: &[(&str, u16)] = &[
    ("echo", 7),
    ("discard", 9),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("sunrpc", 111),
    ("ntp", 123),
    ("imap2", 143),
    ("imap", 143),
    ("snmp", 161),
    ("snmp-trap", 162),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("microsoft-ds", 445),
    ("isakmp", 500),
    ("syslog", 514),
    ("submission", 587),
    ("ldaps", 636),
    ("domain-s", 853),
    ("imaps", 993),
    ("pop3s", 995),
    ("openvpn", 1194),
    ("l2tp", 1701),
    ("radius", 1812),
    ("radius-acct", 1813),
    ("nfs", 2049),
    ("mysql", 3306),
    ("ipsec-nat-t", 4500),
    ("sip", 5060),
    ("mdns", 5353),
    ("postgresql", 5432),
    ("http-alt", 8080),
];

const CONDITION: &str = "a condition, as esp, host 10.9.0.2, port 500 or spi 0x1001";

/// Which ends of a packet are meant.
#[derive(Clone, Copy)]
enum Ends {
    One(End),
    Both,
}

/// What stands before an address or a port.
#[derive(Clone, Copy)]
struct Qualifier {
    /// `udp` in `udp port 53`.
    protocol: Option<Word>,
    ends: Ends,
    what: What,
}

/// What stands before a value, and before those that follow it without words of their own.
#[derive(Clone, Copy)]
enum Before {
    Address(Qualifier),
    Proto(Option<Word>),
    Ether(End),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// A host or a net, as its value tells.
    Address,
    Host,
    Net,
    Port,
    PortRange,
}

#[derive(Default)]
pub(super) struct Conditions {
    /// The words before the last value, for `udp port 53 or 123`. A condition without a value leaves none: tcpdump takes
    /// no bare value behind it, and to guess would be to find other packets.
    last: Option<Before>,
}

impl Language for Conditions {
    type Test = Test;
    const TAKES_WHOLE: Option<&'static str> = Some("text");

    fn condition(&mut self, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        let Some(word) = words.peek() else {
            return Err(words.expected(CONDITION));
        };
        if let Some((_, protocol)) = PROTOCOLS.iter().find(|(name, _)| *name == word) {
            words.advance();
            return self.behind_protocol(*protocol, words);
        }
        let test = match word {
            "in" | "inbound" => Test::Went(Direction::In),
            "out" | "outbound" => Test::Went(Direction::Out),
            "fragment" | "fragments" => Test::Fragment,
            "broadcast" => Test::Broadcast,
            "multicast" => Test::Multicast,
            "ether" => return self.ether(words),
            "less" => Test::Less(words.argument("a number of bytes", number)?),
            "greater" => Test::Greater(words.argument("a number of bytes", number)?),
            "spi" => Test::Spi(words.argument("an SPI, as 0x1001 or 4097", |text| text.parse().ok())?),
            "verdict" => Test::Verdict(words.argument(&verdicts(), |text| {
                VERDICTS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, verdict)| *verdict)
            })?),
            "text" => Test::Text(words.argument("a text, in \"quotes\" if it has blanks", text)?),
            "proto" => return self.proto(None, words),
            "vlan" => {
                let id = words.peek_behind().and_then(number);
                if id.is_some() {
                    words.advance();
                }
                Test::Vlan(id)
            }
            "src" | "dst" | "host" | "peer" | "net" | "port" | "portrange" => return self.address(None, words),
            _ => return self.bare(words),
        };
        words.advance();
        self.last = None;
        Ok(Filter::Is(test))
    }
}

impl Conditions {
    /// What may follow a protocol. `not udp port 53` means not (udp port 53): the words belong together.
    fn behind_protocol(&mut self, word: Word, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        let version = [Word::Ip, Word::Ip6].contains(&word).then_some(word);
        match (words.peek(), version) {
            (Some("proto"), Some(_)) => self.proto(version, words),
            (Some("multicast"), Some(version)) => {
                words.advance();
                self.last = None;
                Ok(Filter::Is(Test::Net(End::Destination, multicast(version))))
            }
            (Some("src" | "dst" | "host" | "peer" | "net" | "port" | "portrange"), _) => {
                self.address(Some(word), words)
            }
            _ => {
                self.last = None;
                Ok(Filter::Is(Test::Has(word)))
            }
        }
    }

    /// `proto`, which is the word at hand, and the number behind it.
    fn proto(&mut self, version: Option<Word>, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        words.advance();
        self.of(Before::Proto(version), words)
    }

    /// `ether host MAC` and the like.
    fn ether(&mut self, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        words.advance();
        let everybody = match words.peek() {
            Some("broadcast") => Some(Test::Broadcast),
            Some("multicast") => Some(Test::Multicast),
            _ => None,
        };
        if let Some(test) = everybody {
            words.advance();
            self.last = None;
            return Ok(Filter::Is(test));
        }
        let end = match words.peek() {
            Some("src") => End::Source,
            Some("dst") => End::Destination,
            Some("host") => End::Either,
            _ => return Err(words.expected("host, src, dst, broadcast or multicast")),
        };
        words.advance();
        if end != End::Either {
            words.take(&["host"]);
        }
        self.of(Before::Ether(end), words)
    }

    /// An address or a port, and the words before it.
    fn address(&mut self, protocol: Option<Word>, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        let ends = ends(words).unwrap_or(Ends::One(End::Either));
        let what = if words.take(&["host", "peer"]) {
            What::Host
        } else if words.take(&["net"]) {
            What::Net
        } else if words.take(&["port"]) {
            What::Port
        } else if words.take(&["portrange"]) {
            What::PortRange
        } else {
            What::Address
        };
        self.of(Before::Address(Qualifier { protocol, ends, what }), words)
    }

    /// A value, or several in brackets as in `port (80 or 443)`, behind these words.
    fn of(&mut self, before: Before, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        self.last = Some(before);
        if words.peek() == Some("(") {
            return Filter::factor(words, self);
        }
        before.read(words)?.ok_or_else(|| words.expected(before.expects()))
    }

    /// A value without words before it: those before the last value count, too, and without any it is an address.
    fn bare(&mut self, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        let address = Before::Address(Qualifier { protocol: None, ends: Ends::One(End::Either), what: What::Address });
        for before in self.last.map(Before::carried).into_iter().chain([address]) {
            if let Some(filter) = before.read(words)? {
                self.last = Some(before);
                return Ok(filter);
            }
        }
        Err(words.expected(CONDITION))
    }
}

impl Before {
    /// What may follow without the words: a net behind a host, which can only be meant as one.
    fn carried(self) -> Self {
        match self {
            Self::Address(Qualifier { what: What::Host, protocol, ends }) => {
                Self::Address(Qualifier { what: What::Address, protocol, ends })
            }
            other => other,
        }
    }

    fn expects(self) -> &'static str {
        match self {
            Self::Proto(_) => "a protocol's name or number",
            Self::Ether(_) => "an Ethernet address, as 02:00:00:00:00:01",
            Self::Address(Qualifier { what, .. }) => match what {
                What::Address | What::Host => "an IPv4 or IPv6 address",
                What::Net => "a prefix, as 10.9.0.0/24",
                What::Port => "a port from 0 to 65535, or the name of one",
                What::PortRange => "a range of ports, as 5000-6000",
            },
        }
    }

    /// The value at hand; `None` if it cannot follow these words.
    fn read(self, words: &mut Words<'_>) -> Result<Option<Filter>, FilterError> {
        let Some(word) = words.peek() else { return Ok(None) };
        let filter = match self {
            Self::Proto(version) => protocol(word).map(|protocol| Filter::Is(Test::Proto(version, protocol))),
            Self::Ether(end) => word.parse().ok().map(|address| Filter::Is(Test::Ether(end, address))),
            Self::Address(qualifier) => match value(word, qualifier.what) {
                Some(value) => return qualifier.of(value, words).map(Some),
                None => None,
            },
        };
        if filter.is_some() {
            words.advance();
        }
        Ok(filter)
    }
}

impl Qualifier {
    /// What is asked of the value at hand.
    fn of(self, mut value: Value, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        words.advance();
        if let Value::Net(prefix) = &mut value
            && words.peek() == Some("mask")
        {
            prefix.length = words.argument("a mask, as 255.255.255.0", mask)?;
            words.advance();
        }
        let filter = match self.ends {
            Ends::One(end) => Filter::Is(value.at(end)),
            Ends::Both => {
                let [source, destination] = [End::Source, End::Destination].map(|end| Filter::Is(value.at(end)));
                Filter::And(Box::new(source), Box::new(destination))
            }
        };
        Ok(match self.protocol {
            Some(protocol) => Filter::And(Box::new(Filter::Is(Test::Has(protocol))), Box::new(filter)),
            None => filter,
        })
    }
}

/// What `ip multicast` and `ip6 multicast` take. tcpdump compares the first byte of an IPv4 address, and takes what is
/// above the multicast addresses, too, the broadcast address among them.
fn multicast(version: Word) -> Prefix {
    match version {
        Word::Ip6 => Prefix { address: Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), length: 8 },
        _ => Prefix { address: Ipv4Addr::new(224, 0, 0, 0).into(), length: 3 },
    }
}

fn ends(words: &mut Words<'_>) -> Option<Ends> {
    let (end, other) = if words.take(&["src"]) {
        (End::Source, "dst")
    } else if words.take(&["dst"]) {
        (End::Destination, "src")
    } else {
        return None;
    };
    let ends = match (words.peek(), words.peek_behind()) {
        (Some("or" | "||"), Some(word)) if word == other => Ends::One(End::Either),
        (Some("and" | "&&"), Some(word)) if word == other => Ends::Both,
        _ => return Some(Ends::One(end)),
    };
    words.advance();
    words.advance();
    Some(ends)
}

/// A text with quotes around it, or a word without any.
fn text(word: &str) -> Option<Box<str>> {
    let text = match word.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => word,
    };
    Some(text).filter(|text| !text.is_empty()).map(Into::into)
}

/// tcpdump wants a backslash before names that are words of its own.
fn protocol(word: &str) -> Option<UpperProtocol> {
    let named = || UpperProtocol::parse(word.strip_prefix('\\').unwrap_or(word));
    number(word).map(UpperProtocol).or_else(named)
}

fn verdicts() -> String {
    let words: Vec<&str> = VERDICTS.iter().map(|(word, _)| *word).collect();
    format!("one of {}", words.join(", "))
}

enum Value {
    Net(Prefix),
    Ports(RangeInclusive<u16>),
}

impl Value {
    fn at(&self, end: End) -> Test {
        match self {
            Self::Net(prefix) => Test::Net(end, *prefix),
            Self::Ports(ports) => Test::Port(end, ports.clone()),
        }
    }
}

fn value(word: &str, what: What) -> Option<Value> {
    let host = || word.parse::<IpAddr>().ok().map(|address| Value::Net(Prefix::host(address)));
    let net = || word.parse().ok().map(Value::Net);
    match what {
        What::Address => host().or_else(net),
        What::Host => host(),
        What::Net => net().or_else(|| short_net(word).map(Value::Net)),
        What::Port => port(word).map(|port| Value::Ports(port..=port)),
        What::PortRange => port_range(word).map(Value::Ports),
    }
}

/// `10`, `10.9` and `10.9.0`, with a length or without.
fn short_net(word: &str) -> Option<Prefix> {
    let (address, length) = word.split_once('/').map_or((word, None), |(address, length)| (address, Some(length)));
    let mut octets = [0; 4];
    let mut count = 0;
    for (octet, digits) in octets.iter_mut().zip(address.split('.')) {
        *octet = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        count += 1;
    }
    let length = length.map_or(Some(8 * count), |length| length.parse().ok().filter(|length| *length <= 32))?;
    (address.split('.').count() == usize::from(count)).then_some(Prefix { address: octets.into(), length })
}

/// The length of the prefix that a mask cuts off.
fn mask(word: &str) -> Option<u8> {
    let bits = word.parse::<Ipv4Addr>().ok()?.to_bits();
    let length = bits.leading_ones();
    (bits.count_ones() == length).then_some(u8::try_from(length).ok()?)
}

fn port(word: &str) -> Option<u16> {
    let named = || SERVICES.iter().find(|(name, _)| *name == word).map(|(_, port)| *port);
    number(word).or_else(named)
}

/// A number as tcpdump reads it: hex behind `0x`, octal behind `0`.
fn number<T: TryFrom<u64>>(word: &str) -> Option<T> {
    let (digits, base) = match (word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")), word.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (word, 10),
    };
    // A sign is no digit.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    T::try_from(u64::from_str_radix(digits, base).ok().filter(|_| is_number)?).ok()
}

/// `5000-6000`; a single port is a range, too.
fn port_range(word: &str) -> Option<RangeInclusive<u16>> {
    let Some((first, last)) = word.split_once('-') else {
        return port(word).map(|port| port..=port);
    };
    let (first, last) = (port(first)?, port(last)?);
    Some(first.min(last)..=first.max(last))
}
