//! Statements about SAs: `add`, `update`, `getspi`, `get`, `delete` and `deleteall`.

use std::net::IpAddr;
use std::ops::Range;

use super::super::names::is_decimal;
use super::address::{AddressOptions, Hosts, unspecified_like};
use super::options::{SaSpans, Takes};
use super::{Parsed, Parser, SaProtocol, filter, wanted, wrong};
use crate::dialect::deed::Deed;
use crate::dialect::report::SyntaxError;
use crate::model::check::{self, SaField};
use crate::model::extras::Encapsulation;
use crate::model::number::parse_u32;
use crate::model::question::Question;
use crate::model::sa::{Algorithms, SpiRequest};
use crate::model::{IpsecProtocol, SaId, SaSpec, Spi};

/// The range that PF_KEY takes an SPI from where none is asked for (`pfkey_getspi`, `net/key/af_key.c`).
const ANY_SPI: (Spi, Spi) = (Spi(0x100), Spi(0x0fff_ffff));
/// UDP's port for ESP (RFC 3948).
const NAT_TRAVERSAL: u16 = 4500;

/// The names of one SA or of several, where hosts have several addresses.
struct Head {
    pairs: Vec<(IpAddr, IpAddr)>,
    protocol: SaProtocol,
    spi: Spi,
    encapsulation: Option<InUdp>,
}

/// What is around packets in UDP.
struct InUdp {
    source_port: u16,
    destination_port: u16,
    /// The addresses of who sends, before NAT.
    original: Option<Hosts>,
}

impl Head {
    /// The SAs that it names, with what they have in common.
    fn specs(&self, common: &SaSpec) -> Parsed<Vec<SaSpec>> {
        let spec_of = |(source, destination): &(IpAddr, IpAddr)| {
            let mut spec = SaSpec { source: *source, destination: *destination, ..common.clone() };
            spec.extras.encapsulation = match &self.encapsulation {
                Some(in_udp) => Some(in_udp.around(*source)?),
                None => None,
            };
            Ok(spec)
        };
        self.pairs.iter().map(spec_of).collect()
    }
}

impl InUdp {
    fn around(&self, source: IpAddr) -> Parsed<Encapsulation> {
        let original = match &self.original {
            None => unspecified_like(source),
            Some(hosts) => {
                let like = hosts.addresses.iter().find(|address| address.is_ipv4() == source.is_ipv4());
                let problem = "the address before NAT is of another family than the SA's";
                *like.ok_or_else(|| wrong(&hosts.span, problem))?
            }
        };
        let (source_port, destination_port) = (self.source_port, self.destination_port);
        Ok(Encapsulation { kind: Encapsulation::ESP_IN_UDP, source_port, destination_port, original })
    }
}

/// Every source with every destination of its family.
fn pairs(source: &Hosts, destination: &Hosts) -> Parsed<Vec<(IpAddr, IpAddr)>> {
    let all = source.addresses.iter().flat_map(|from| destination.addresses.iter().map(move |to| (*from, *to)));
    let pairs: Vec<_> = all.filter(|(from, to)| from.is_ipv4() == to.is_ipv4()).collect();
    if pairs.is_empty() {
        return Err(wrong(&destination.span, "source and destination must both be IPv4 or both be IPv6"));
    }
    Ok(pairs)
}

impl Parser<'_> {
    /// `[-46n] src dst proto spi`
    fn head(&mut self, spans: &mut SaSpans) -> Parsed<Head> {
        let options = self.address_options()?;
        let (source, destination) = (self.hosts(options)?, self.hosts(options)?);
        let pairs = pairs(&source, &destination)?;
        let (protocol, protocol_span) = self.protocol()?;
        let encapsulation = if protocol.in_udp {
            let or_usual = |port: u16| if port == 0 { NAT_TRAVERSAL } else { port };
            spans.0.push((SaField::Encapsulation, source.span.start..destination.span.end));
            let (source_port, destination_port) = (or_usual(source.port), or_usual(destination.port));
            Some(InUdp { source_port, destination_port, original: self.original(options)? })
        } else {
            for hosts in [&source, &destination] {
                if hosts.port != 0 {
                    return Err(wrong(&hosts.span, "ports at an SA's addresses belong to the protocol esp-udp"));
                }
            }
            None
        };
        let (spi, spi_span) = self.number("the SPI")?;
        spans.0.extend([
            (SaField::Source, source.span),
            (SaField::Destination, destination.span),
            (SaField::Protocol, protocol_span),
            (SaField::Spi, spi_span),
        ]);
        Ok(Head { pairs, protocol, spi: Spi(spi), encapsulation })
    }

    /// The address before NAT that may follow `esp-udp`; a number there is the SPI already.
    fn original(&mut self, options: AddressOptions) -> Parsed<Option<Hosts>> {
        let is_another = |word: String| word.starts_with('-') || is_decimal(&word) || parse_u32(&word).is_ok();
        if self.peek_word().is_none_or(is_another) {
            return Ok(None);
        }
        let hosts = self.hosts(options)?;
        if hosts.port != 0 {
            return Err(wrong(&hosts.span, "the address before NAT has no port"));
        }
        Ok(Some(hosts))
    }

    /// What makes SAs, or changes them.
    pub(super) fn add(
        &mut self,
        start: &Range<usize>,
        deed: fn(Box<SaSpec>) -> Deed,
    ) -> Result<Vec<Deed>, Vec<SyntaxError>> {
        let mut spans = SaSpans::default();
        let specs = self.added(&mut spans).map_err(|error| vec![error])?;
        let whole = start.start..self.end_of_last;
        let mut problems = Vec::new();
        for problem in specs.iter().flat_map(check::sa) {
            let problem = (spans.of(problem.field, &whole), problem.severity, problem.sentence);
            // Once for all the addresses of a name.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        self.judge(problems.into_iter())?;
        Ok(specs.into_iter().map(|spec| deed(Box::new(spec))).collect())
    }

    fn added(&mut self, spans: &mut SaSpans) -> Parsed<Vec<SaSpec>> {
        let head = self.head(spans)?;
        let (source, destination) = head.pairs.first().copied().unwrap_or((IpAddr::from([0; 4]), IpAddr::from([0; 4])));
        let mut common = SaSpec::new(source, destination, head.protocol.number, head.spi);
        self.options(&mut common, spans, Takes::All)?;
        if common.protocol != IpsecProtocol::Comp && common.algorithms == Algorithms::default() {
            let token = self.peek();
            let expected = if common.protocol == IpsecProtocol::Ah { "-A ALGORITHM KEY" } else { "-E ALGORITHM KEY" };
            return Err(wanted(&token.span, "the SA has no algorithm", expected));
        }
        let specs = head.specs(&common)?;
        let twice = specs
            .iter()
            .enumerate()
            .find(|(place, spec)| specs.iter().take(*place).any(|other| other.id() == spec.id()));
        if let Some((_, spec)) = twice {
            let problem = format!("the source has several addresses, and only one SA can be {}", spec.id());
            let span = spans.of(SaField::Source, &(0..0));
            return Err(wanted(&span, problem, "one of its addresses"));
        }
        Ok(specs)
    }

    pub(super) fn getspi(&mut self) -> Parsed<Vec<Deed>> {
        let mut spans = SaSpans::default();
        let head = self.head(&mut spans)?;
        let span = spans.of(SaField::Spi, &(0..0));
        let is_comp = head.protocol.number == IpsecProtocol::Comp;
        let (least, greatest) = match head.spi.0 {
            0 if is_comp => (ANY_SPI.0, Spi(0xffff)),
            0 => ANY_SPI,
            1..=255 => {
                return Err(wanted(
                    &span,
                    "SPIs 0 to 255 are reserved (RFC 4303)",
                    "256 (0x100) or more, or 0 for any",
                ));
            }
            0x1_0000.. if is_comp => {
                return Err(wrong(&span, "the number of an IPComp SA has 16 bits: at most 65535 (0xffff)"));
            }
            _ => (head.spi, head.spi),
        };
        let mut common = SaSpec::new([0; 4].into(), [0; 4].into(), head.protocol.number, head.spi);
        self.options(&mut common, &mut spans, Takes::Reservation)?;
        let request = |(source, destination): &(IpAddr, IpAddr)| {
            let any = SpiRequest::any(*source, *destination, common.protocol);
            let (mode, reqid) = (common.mode, common.reqid);
            Deed::AllocateSpi(Box::new(SpiRequest { mode, reqid, least, greatest, ..any }))
        };
        Ok(head.pairs.iter().map(request).collect())
    }

    /// The names that stand in a statement about SAs that are there, each once: the source is not a part of them.
    fn named(&mut self) -> Parsed<(Vec<SaId>, SaSpans)> {
        let mut spans = SaSpans::default();
        let head = self.head(&mut spans)?;
        let common = SaSpec::new([0; 4].into(), [0; 4].into(), head.protocol.number, head.spi);
        self.options(&mut common.clone(), &mut spans, Takes::Name)?;
        let mut ids: Vec<SaId> = Vec::new();
        for spec in head.specs(&common)? {
            if !ids.contains(&spec.id()) {
                ids.push(spec.id());
            }
        }
        Ok((ids, spans))
    }

    pub(super) fn get(&mut self) -> Parsed<Vec<Deed>> {
        let (ids, _) = self.named()?;
        Ok(ids.into_iter().map(|id| Deed::Show(Question::Sa(id))).collect())
    }

    pub(super) fn delete(&mut self) -> Parsed<Vec<Deed>> {
        let (ids, spans) = self.named()?;
        if ids.len() > 1 {
            let problem = "this name has several addresses, and one SA is deleted at a time";
            return Err(wanted(&spans.of(SaField::Destination, &(0..0)), problem, "one of them, or -4 or -6"));
        }
        Ok(ids.into_iter().map(Deed::DeleteSa).collect())
    }

    pub(super) fn deleteall(&mut self) -> Parsed<Deed> {
        let options = self.address_options()?;
        let (source, destination) = (self.hosts(options)?, self.hosts(options)?);
        for hosts in [&source, &destination] {
            if hosts.port != 0 {
                return Err(wrong(&hosts.span, "Linux cannot tell SAs by their ports here"));
            }
        }
        let pairs = pairs(&source, &destination)?;
        let protocol = match self.all_of()? {
            IpsecProtocol::Any => String::new(),
            protocol => format!(" and proto {protocol}"),
        };
        let words: Vec<String> =
            pairs.iter().map(|(from, to)| format!("(src {from} and dst {to}{protocol})")).collect();
        Ok(Deed::DeleteSas(filter(&words.join(" or "), &(source.span.start..destination.span.end))?))
    }
}
