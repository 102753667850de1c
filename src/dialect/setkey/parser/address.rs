//! Addresses, the names that stand for them, and what is written behind them: prefix lengths and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::super::lexer::{Kind, is_long_number};
use super::super::names::{is_decimal, may_be_host};
use super::{Parsed, Parser, wanted, wrong};
use crate::model::text::harmless;
use crate::model::{PortMatch, Prefix};

/// `-4`, `-6` and `-n`: which addresses may stand in a statement.
#[derive(Clone, Copy, Default)]
pub(super) struct AddressOptions {
    family: Option<Family>,
    numbers_only: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }

    fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// The addresses at a place of the text, with the port behind them, 0 where there is none.
pub(super) struct Hosts {
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub span: Range<usize>,
}

/// The address that stands for none, of the same family.
pub(super) fn unspecified_like(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// In PF_KEY's addresses port 0 stands for any (`pfkey_spdadd`, `net/key/af_key.c`).
pub(super) fn port_match(port: u16) -> PortMatch {
    if port == 0 { PortMatch::ANY } else { PortMatch::exactly(port) }
}

const ADDRESS: &str = "an IPv4 or IPv6 address or a host name";
const RANGE: &str = "an address, as 10.1.0.0/24 or 10.9.0.1[22]";

impl Parser<'_> {
    /// Any number of `-4`, `-6`, `-n` and their combinations; of two families the last one holds.
    pub(super) fn address_options(&mut self) -> Parsed<AddressOptions> {
        let mut options = AddressOptions::default();
        while let Some(word) = self.peek_word().filter(|word| word.starts_with('-')) {
            let span = self.take().span;
            let letters = word.trim_start_matches('-');
            if letters.is_empty() || word.len() != letters.len() + 1 {
                return Err(self.misread(&span, ADDRESS));
            }
            for letter in letters.chars() {
                match letter {
                    '4' => options.family = Some(Family::V4),
                    '6' => options.family = Some(Family::V6),
                    'n' => options.numbers_only = true,
                    _ => {
                        return Err(wanted(
                            &span,
                            format!("there is no option {word:?} here"),
                            "-4, -6, -n or an address",
                        ));
                    }
                }
            }
        }
        Ok(options)
    }

    /// A word and what belongs to it although a blank stands between: `10.1.0.0 /24 [any]`.
    fn word_with_tail(&mut self, expected: &str) -> Parsed<(String, Range<usize>)> {
        let (mut word, mut span) = self.word(expected)?;
        while self.peek().kind == Kind::Word && self.peek().text(self.source).starts_with(['/', '[']) {
            let (tail, end) = self.word(expected)?;
            word += &tail;
            span.end = end.end;
        }
        Ok((word, span))
    }

    /// `host[port]`
    pub(super) fn hosts(&mut self, options: AddressOptions) -> Parsed<Hosts> {
        let (word, span) = self.word_with_tail(ADDRESS)?;
        let (host, port) = self.split_port(&word, &span, ADDRESS)?;
        let addresses = self.addresses(host, &span, options)?;
        Ok(Hosts { addresses, port, span })
    }

    /// `host[/length][[port]]`; the host must have one address, because a policy has.
    pub(super) fn range(&mut self, options: AddressOptions) -> Parsed<(Prefix, PortMatch, Range<usize>)> {
        let (word, span) = self.word_with_tail(RANGE)?;
        let (network, port) = self.split_port(&word, &span, RANGE)?;
        let (host, length) = network.split_once('/').map_or((network, None), |(host, length)| (host, Some(length)));
        let [address] = self.addresses(host, &span, options)?[..] else {
            let problem = format!("{:?} has several addresses, and a policy takes one", harmless(host));
            return Err(wanted(&span, problem, "one of them, or -4 or -6 where that leaves one"));
        };
        let most = Prefix::bits(address);
        let length = match length {
            None => most,
            Some(given) => {
                given.parse().ok().filter(|length| *length <= most && is_decimal(given)).ok_or_else(|| {
                    wanted(&span, format!("{:?} is no prefix length from 0 to {most}", harmless(given)), RANGE)
                })?
            }
        };
        Ok((Prefix { address, length }, port_match(port), span))
    }

    /// What stands before `[port]`, and the port.
    fn split_port<'w>(&self, word: &'w str, span: &Range<usize>, expected: &str) -> Parsed<(&'w str, u16)> {
        let Some((host, rest)) = word.split_once('[') else {
            return Ok((word, 0));
        };
        let port = rest.strip_suffix(']').ok_or_else(|| wanted(span, "the port has no ] at its end", expected))?;
        let number = match port.to_ascii_lowercase().as_str() {
            "any" => Some(0),
            digits if is_decimal(digits) => digits.parse().ok(),
            service => self.reading.names.port(service),
        };
        let number =
            number.ok_or_else(|| wanted(span, "this is no port", "[0 to 65535], [any] or a service's name"))?;
        Ok((host, number))
    }

    /// The addresses that a word stands for, at least one.
    pub(super) fn addresses(
        &mut self,
        word: &str,
        span: &Range<usize>,
        options: AddressOptions,
    ) -> Parsed<Vec<IpAddr>> {
        let fits = |address: &IpAddr| options.family.is_none_or(|family| family.has(*address));
        if let Ok(address) = word.parse() {
            return match options.family {
                Some(family) if !fits(&address) => {
                    Err(wrong(span, format!("{address} is no {} address", family.name())))
                }
                _ => Ok(vec![address]),
            };
        }
        if word.split_once('%').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok()) {
            return Err(wrong(span, "Linux's SAs and policies have no zones: leave out the % and what follows"));
        }
        if is_long_number(word) || !may_be_host(word) {
            return Err(self.misread(span, ADDRESS));
        }
        if options.numbers_only {
            return Err(wanted(span, format!("-n takes no names, as {word:?}"), "an IPv4 or IPv6 address"));
        }
        let names = self.reading.names;
        let known = self.hosts.entry(word.to_ascii_lowercase()).or_insert_with(|| names.addresses(word));
        let all = known
            .as_ref()
            .map_err(|why| wanted(span, format!("{word:?}: {}", harmless(why)), "an IPv4 or IPv6 address"))?;
        let mut fitting: Vec<IpAddr> = Vec::new();
        for address in all.iter().filter(|address| fits(address)) {
            if !fitting.contains(address) {
                fitting.push(*address);
            }
        }
        if fitting.is_empty() {
            let family = options.family.map_or_else(String::new, |family| format!("{} ", family.name()));
            return Err(wanted(span, format!("{word:?} has no {family}address"), ADDRESS));
        }
        Ok(fitting)
    }
}
