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

/// The names of ports that are typed most often, as `/etc/services` has them.
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

/// What stands before a value.
#[derive(Clone, Copy)]
struct Qualifier {
    ends: Ends,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Host,
    Net,
    Port,
    PortRange,
}

#[derive(Default)]
pub(super) struct Conditions {
    /// The words before the last value, for `port 80 or 443`.
    last: Option<Qualifier>,
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
            "ether" => return ether(words),
            "less" => Test::Less(words.argument("a number of bytes", |text| text.parse().ok())?),
            "greater" => Test::Greater(words.argument("a number of bytes", |text| text.parse().ok())?),
            "spi" => Test::Spi(words.argument("an SPI, as 0x1001 or 4097", |text| text.parse().ok())?),
            "verdict" => Test::Verdict(words.argument(&verdicts(), |text| {
                VERDICTS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, verdict)| *verdict)
            })?),
            "text" => Test::Text(words.argument("a text, in \"quotes\" if it has blanks", text)?),
            "proto" => Test::Proto(None, words.argument("a protocol's name or number", protocol)?),
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
    /// What may follow a protocol. `not udp port 53` means not (udp port 53): the words belong together.
    fn behind_protocol(&mut self, word: Word, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        let version = [Word::Ip, Word::Ip6].contains(&word).then_some(word);
        match (words.peek(), version) {
            (Some("proto"), Some(version)) => {
                let protocol = words.argument("a protocol's name or number", protocol)?;
                words.advance();
                Ok(Filter::Is(Test::Proto(Some(version), protocol)))
            }
            (Some("multicast"), Some(version)) => {
                words.advance();
                let all = match version {
                    Word::Ip6 => Prefix { address: Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), length: 8 },
                    _ => Prefix { address: Ipv4Addr::new(224, 0, 0, 0).into(), length: 4 },
                };
                Ok(Filter::Is(Test::Net(End::Destination, all)))
            }
            (Some("src" | "dst" | "host" | "peer" | "net" | "port" | "portrange"), _) => {
                let address = self.address(words)?;
                Ok(Filter::And(Box::new(Filter::Is(Test::Has(word))), Box::new(address)))
            }
            _ => Ok(Filter::Is(Test::Has(word))),
        }
    }

    fn address(&mut self, words: &mut Words<'_>) -> Result<Filter, FilterError> {
        let ends = ends(words);
        let what = if words.take(&["host", "peer"]) {
            Some(What::Host)
        } else if words.take(&["net"]) {
            Some(What::Net)
        } else if words.take(&["port"]) {
            Some(What::Port)
        } else if words.take(&["portrange"]) {
            Some(What::PortRange)
        } else {
            None
        };
        let (bare, ends) = (ends.is_none() && what.is_none(), ends.unwrap_or(Ends::One(End::Either)));
        let qualifier = match (what, self.last) {
            (Some(what), _) => Qualifier { ends, what },
            (None, Some(last)) if bare => last,
            (None, _) => Qualifier { ends, what: What::Host },
        };
        let value = words.peek().and_then(|word| value(word, qualifier.what, what.is_none()));
        let mut value = value.ok_or_else(|| {
            words.expected(match qualifier.what {
                _ if bare => CONDITION,
                What::Host => "an IPv4 or IPv6 address",
                What::Net => "a prefix, as 10.9.0.0/24",
                What::Port => "a port from 0 to 65535, or the name of one",
                What::PortRange => "a range of ports, as 5000-6000",
            })
        })?;
        words.advance();
        if let Value::Net(prefix) = &mut value
            && words.peek() == Some("mask")
        {
            prefix.length = words.argument("a mask, as 255.255.255.0", mask)?;
            words.advance();
        }
        self.last = Some(qualifier);
        Ok(match qualifier.ends {
            Ends::One(end) => Filter::Is(value.at(end)),
            Ends::Both => {
                let [source, destination] = [End::Source, End::Destination].map(|end| Filter::Is(value.at(end)));
                Filter::And(Box::new(source), Box::new(destination))
            }
        })
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

/// `ether host MAC` and the like.
fn ether(words: &mut Words<'_>) -> Result<Filter, FilterError> {
    words.advance();
    let test = if words.take(&["broadcast"]) {
        return Ok(Filter::Is(Test::Broadcast));
    } else if words.take(&["multicast"]) {
        return Ok(Filter::Is(Test::Multicast));
    } else {
        let end = match words.peek() {
            Some("src") => End::Source,
            Some("dst") => End::Destination,
            Some("host") => End::Either,
            _ => return Err(words.expected("host, src, dst, broadcast or multicast")),
        };
        if end != End::Either && words.peek_behind() == Some("host") {
            words.advance();
        }
        Test::Ether(end, words.argument("an Ethernet address, as 02:00:00:00:00:01", |word| word.parse().ok())?)
    };
    words.advance();
    Ok(Filter::Is(test))
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
    UpperProtocol::parse(word.strip_prefix('\\').unwrap_or(word))
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

fn value(word: &str, what: What, unsaid: bool) -> Option<Value> {
    let host = || word.parse::<IpAddr>().ok().map(|address| Value::Net(Prefix::host(address)));
    let net = || word.parse().ok().map(Value::Net);
    let ports = || match what {
        What::PortRange => port_range(word).map(Value::Ports),
        _ => port(word).map(|port| Value::Ports(port..=port)),
    };
    match what {
        What::Port | What::PortRange if unsaid => ports().or_else(host).or_else(net),
        What::Port | What::PortRange => ports(),
        // `10.9.0.0/24` without a word before it can only be a net.
        What::Host | What::Net if unsaid => host().or_else(net),
        What::Host => host(),
        What::Net => net().or_else(|| short_net(word).map(Value::Net)),
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
    word.parse().ok().or_else(named)
}

/// `5000-6000`; a single port is a range, too.
fn port_range(word: &str) -> Option<RangeInclusive<u16>> {
    let Some((first, last)) = word.split_once('-') else {
        return port(word).map(|port| port..=port);
    };
    let (first, last) = (port(first)?, port(last)?);
    Some(first.min(last)..=first.max(last))
}
