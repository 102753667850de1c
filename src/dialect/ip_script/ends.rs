//! What names an SA and what a selector says, word by word: `ip` takes both in any order, and where other words stand
//! between.

use std::net::{IpAddr, Ipv4Addr};

use super::reader::{End, Parsed, Reader, integer, misread, protocol, upper_protocol};
use super::word::Word;
use crate::dialect::report::SyntaxError;
use crate::model::{IpsecProtocol, PortMatch, Prefix, Selector, Spi, UpperProtocol};

/// No address of this family.
pub(super) fn nowhere(is_v6: bool) -> IpAddr {
    if is_v6 { [0; 16].into() } else { [0; 4].into() }
}

/// Two ends of one family, each of which may be left out or be `any`.
#[derive(Default)]
pub(in crate::dialect) struct Ends {
    source: Option<End>,
    destination: Option<End>,
}

impl Ends {
    /// Takes what stands behind `src` or `dst`.
    fn take(&mut self, reader: &mut Reader<'_>, word: &Word<'_>) -> Parsed<()> {
        let slot = if word.text == "src" { &mut self.source } else { &mut self.destination };
        if slot.is_some() {
            return Err(misread(word, "each end only once"));
        }
        let at = reader.peek().map_or(reader.end..reader.end, |word| word.span.clone());
        *slot = Some(reader.end("an address, with or without a prefix length")?);
        let families = self.asked().map(|end| end.map(|prefix| prefix.address.is_ipv6()));
        match families {
            [Some(source), Some(destination)] if source != destination => Err(SyntaxError::wanted(
                at,
                "the two ends are of different families",
                "an address of the other's family",
            )),
            _ => Ok(()),
        }
    }

    /// Whether they are IPv6, where an address says so.
    pub(super) fn is_v6(&self) -> Option<bool> {
        let [source, destination] = self.asked();
        source.or(destination).map(|prefix| prefix.address.is_ipv6())
    }

    /// What is asked for at the source and at the destination; `None` is every address.
    pub(super) fn asked(&self) -> [Option<Prefix>; 2] {
        [self.source, self.destination].map(|end| end.and_then(End::prefix))
    }

    /// Both as prefixes.
    fn prefixes(&self, is_v6: bool) -> [Prefix; 2] {
        self.asked().map(|end| end.unwrap_or(if is_v6 { Prefix::ANY_V6 } else { Prefix::ANY_V4 }))
    }

    /// Both as addresses.
    pub(super) fn addresses(&self, is_v6: bool) -> [IpAddr; 2] {
        self.asked().map(|end| end.map_or(nowhere(is_v6), |prefix| prefix.address))
    }
}

/// `src`, `dst`, `proto` and `spi`.
#[derive(Default)]
pub(in crate::dialect) struct IdWords {
    pub(in crate::dialect) ends: Ends,
    pub(in crate::dialect) protocol: Option<IpsecProtocol>,
    pub(in crate::dialect) spi: Option<Spi>,
}

impl IdWords {
    /// Takes what stands behind a word, if that is one of these.
    pub(in crate::dialect) fn take(&mut self, reader: &mut Reader<'_>, word: &Word<'_>) -> Parsed<bool> {
        match word.text {
            "src" | "dst" => self.ends.take(reader, word)?,
            "proto" if self.protocol.is_none() => {
                self.protocol = Some(reader.value("esp, ah, comp, route2, hao or ipsec-any", protocol)?);
            }
            "spi" if self.spi.is_none() => self.spi = Some(Spi(reader.number("an SPI")?)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The protocol, which must be said.
    pub(in crate::dialect) fn protocol(&self, reader: &Reader<'_>) -> Parsed<IpsecProtocol> {
        let end = reader.peek().map_or(reader.end..reader.end, |word| word.span.clone());
        let missing = || SyntaxError::wanted(end, "no protocol is named", "proto esp, ah or comp");
        self.protocol.ok_or_else(missing)
    }
}

/// `src`, `dst`, `dev`, `proto`, and what ports, types, codes or a key there are.
#[derive(Default)]
pub(in crate::dialect) struct SelectorWords {
    pub(in crate::dialect) ends: Ends,
    pub(in crate::dialect) protocol: Option<UpperProtocol>,
    pub(in crate::dialect) source_port: Option<PortMatch>,
    pub(in crate::dialect) destination_port: Option<PortMatch>,
    pub(in crate::dialect) interface: Option<u32>,
    user: u32,
    /// The last word of ports, types, codes or a key.
    last: Option<Kind>,
}

/// What the kernel keeps in the port fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::dialect) enum Kind {
    Ports,
    TypeAndCode,
    Key,
}

impl Kind {
    /// What a protocol has, if `ip` has words for it.
    pub(in crate::dialect) fn of(protocol: UpperProtocol) -> Option<Self> {
        match protocol {
            UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH => Some(Self::TypeAndCode),
            UpperProtocol::GRE => Some(Self::Key),
            // TCP, UDP, DCCP, SCTP, and those four at once
            UpperProtocol(0 | 6 | 17 | 33 | 132) => Some(Self::Ports),
            _ => None,
        }
    }
}

impl SelectorWords {
    /// Takes all the words of a selector that follow, the protocol and what goes with it only once.
    pub(in crate::dialect) fn take_all(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        let mut upper = None;
        while let Some(word) = reader.peek().cloned() {
            let is_upper = !matches!(word.text, "src" | "dst" | "dev" | "uid");
            if upper == Some(false) && is_upper {
                break;
            }
            reader.next();
            if !self.take(reader, &word)? {
                reader.words.push_front(word);
                break;
            }
            upper = if is_upper { Some(true) } else { upper.map(|_| false) };
        }
        self.check(reader)
    }

    /// Takes what stands behind a word, if that is one of these.
    pub(in crate::dialect) fn take(&mut self, reader: &mut Reader<'_>, word: &Word<'_>) -> Parsed<bool> {
        // As `ip` has it, port 0 is any port, and type 0 is type 0.
        let port = |value: u16| if value == 0 { PortMatch::ANY } else { PortMatch::exactly(value) };
        let byte = |text: &str| u8::try_from(integer(text)?).ok().map(u16::from);
        match word.text {
            "src" | "dst" => self.ends.take(reader, word)?,
            "dev" if reader.takes("none") => self.interface = Some(0),
            "dev" => self.interface = Some(reader.interface()?),
            "proto" => self.protocol = Some(reader.value("a protocol", upper_protocol)?),
            "sport" => {
                self.source_port = Some(port(reader.port("a port")?));
                self.last = Some(Kind::Ports);
            }
            "dport" => {
                self.destination_port = Some(port(reader.port("a port")?));
                self.last = Some(Kind::Ports);
            }
            "type" => {
                self.source_port = Some(PortMatch::exactly(reader.value("a number below 256", byte)?));
                self.last = Some(Kind::TypeAndCode);
            }
            "code" => {
                self.destination_port = Some(PortMatch::exactly(reader.value("a number below 256", byte)?));
                self.last = Some(Kind::TypeAndCode);
            }
            "key" => {
                let [a, b, c, d] = gre_key(reader)?.to_be_bytes();
                self.source_port = Some(PortMatch::exactly(u16::from_be_bytes([a, b])));
                self.destination_port = Some(PortMatch::exactly(u16::from_be_bytes([c, d])));
                self.last = Some(Kind::Key);
            }
            "uid" if reader.printed => self.user = reader.number("a user's number")?,
            // The code of a mobility header, in the byte order in which it lies in memory.
            "(dport)" if reader.printed => {
                self.destination_port = Some(PortMatch::exactly(u16::from_be(reader.port("a number")?)));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether the protocol has what is said of it.
    pub(in crate::dialect) fn check(&self, reader: &Reader<'_>) -> Parsed<()> {
        let protocol = self.protocol.unwrap_or_default();
        let Some(kind) = self.last.filter(|kind| !reader.printed && Kind::of(protocol) != Some(*kind)) else {
            return Ok(());
        };
        let words = match kind {
            Kind::Ports => "sport and dport are for tcp, udp, sctp and dccp",
            Kind::TypeAndCode => "type and code are for icmp, ipv6-icmp and mobility-header",
            Kind::Key => "key is for gre",
        };
        let end = reader.peek().map_or(reader.end..reader.end, |word| word.span.clone());
        Err(SyntaxError {
            span: end,
            problem: format!("protocol {protocol} has none of these: {words}"),
            expected: None,
        })
    }

    /// The selector, of this family where no address says another one.
    pub(in crate::dialect) fn selector(&self, is_v6: bool) -> Selector {
        let [source, destination] = self.ends.prefixes(self.ends.is_v6().unwrap_or(is_v6));
        Selector {
            protocol: self.protocol.unwrap_or_default(),
            source_port: self.source_port.unwrap_or_default(),
            destination_port: self.destination_port.unwrap_or_default(),
            interface: self.interface.unwrap_or(0),
            user: self.user,
            ..Selector::between(source, destination)
        }
    }
}

/// A number, or written as an address.
fn gre_key(reader: &mut Reader<'_>) -> Parsed<u32> {
    let dotted = |text: &str| text.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
    let number = |text: &str| integer(text).and_then(|number| u32::try_from(number).ok());
    reader.value("a GRE key", |text| dotted(text).or_else(|| number(text)))
}
