//! Frames taken apart: bytes in, layers out.
//!
//! [`dissect`] takes any bytes and never fails. What is cut short or contradicts itself is a [`Flaw`] of the layer
//! that it was found in; all that could be read before it stays. Every layer knows which bytes of the frame it is.
//!
//! Nothing here knows where a frame came from, holds a key, or decrypts: behind an ESP header there are only bytes.
#![deny(clippy::indexing_slicing)]

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use smallvec::SmallVec;

use crate::model::{IpsecProtocol, Spi, UpperProtocol};

mod arp;
mod encapsulations;
pub mod filter;
mod gre;
pub mod hexdump;
mod icmp;
mod ike;
mod ip;
mod ipsec;
mod link;
mod protocol;
mod summary;
mod transport;

pub use arp::Arp;
pub use encapsulations::Encapsulations;
pub use filter::{Filter, FilterError};
pub use gre::Gre;
pub use icmp::Icmp;
pub use ike::{Ike, IkePayload};
pub use ip::{Ipv4, Ipv6, Ipv6Fragment};
pub use ipsec::{Ah, Esp, IpComp};
pub use link::{Cooked, Ethernet, LinkType, Vlan};
pub use protocol::Protocol;
pub use summary::{Endpoint, Kind, Summary};
pub use transport::{NAT_TRAVERSAL, Tcp, TcpFlags, Udp};

/// More than any honest packet has: a frame of headers inside headers is not followed beyond this.
const MOST_LAYERS: usize = 32;
/// An IKE message has a header for each of its payloads, side by side; those in front of it count.
const MOST_LAYERS_WITH_PAYLOADS: usize = 64 + MOST_LAYERS;
/// A TCP segment may hold many messages, side by side.
const MOST_LAYERS_OF_A_FRAME: usize = 256;

/// Which way a frame crossed the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// It arrived.
    In,
    /// It left.
    Out,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In => f.pad("in"),
            Self::Out => f.pad("out"),
        }
    }
}

/// What a layer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// IEEE 802.3
    Ethernet(Ethernet),
    /// IEEE 802.1Q, or the outer tag of 802.1ad
    Vlan(Vlan),
    /// The pseudo-header of a Linux capture on several interfaces
    Cooked(Cooked),
    /// The address family in front of a packet on a BSD loopback, as its number there
    Loopback(u32),
    /// RFC 826
    Arp(Arp),
    /// RFC 791
    Ipv4(Ipv4),
    /// RFC 8200
    Ipv6(Ipv6),
    /// An IPv6 extension header that only leads to the next one; which, as its protocol number
    Ipv6Extension(u8),
    /// RFC 8200 section 4.5
    Ipv6Fragment(Ipv6Fragment),
    /// A fragment that is not the first: a piece from the middle of a packet of this protocol
    FragmentTail(Protocol),
    /// RFC 792
    Icmp(Icmp),
    /// RFC 4443
    Icmpv6(Icmp),
    /// RFC 9293
    Tcp(Tcp),
    /// RFC 768
    Udp(Udp),
    /// RFC 2784 and 2890
    Gre(Gre),
    /// RFC 4303. The layer covers what is encrypted, too.
    Esp(Esp),
    /// RFC 4302
    Ah(Ah),
    /// RFC 3173. The layer covers what is compressed, too.
    IpComp(IpComp),
    /// The four zero bytes that tell IKE from ESP on UDP port 4500 (RFC 3948 section 2.2)
    NonEspMarker,
    /// The single byte that keeps a NAT's mapping alive (RFC 3948 section 2.3)
    NatKeepAlive,
    /// The beginning of a TCP stream of messages (RFC 9329 section 4)
    TcpStreamPrefix,
    /// The length of a message in a TCP stream, which counts itself (RFC 9329 section 3). What is in it follows.
    TcpMessage(u16),
    /// A TCP segment that begins or ends inside a message, at a place that this segment alone does not tell
    TcpStreamPiece,
    /// The header of an IKE message (RFC 7296 section 3.1, RFC 2408 section 3.1)
    Ike(Ike),
    /// A payload of an IKE message, which the layer covers
    IkePayload(IkePayload),
    /// A protocol that is not taken apart
    Opaque(Protocol),
    /// Too few bytes for a header of this protocol
    Unreadable(Protocol),
    /// What the layers before it carry
    Data,
    /// Bytes behind the end of the packet, which fill the frame
    Padding,
}

impl Header {
    /// The protocol that it belongs to.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Ethernet(_) => Protocol::Ethernet,
            Self::Vlan(_) => Protocol::Vlan,
            Self::Cooked(cooked) if cooked.version == 2 => Protocol::Cooked2,
            Self::Cooked(_) => Protocol::Cooked,
            Self::Loopback(_) => Protocol::Loopback,
            Self::Arp(_) => Protocol::Arp,
            Self::Ipv4(_) => Protocol::Ipv4,
            Self::Ipv6(_) => Protocol::Ipv6,
            Self::Ipv6Extension(number) => Protocol::Ipv6Extension(*number),
            Self::Ipv6Fragment(_) => Protocol::Ipv6Fragment,
            Self::Icmp(_) => Protocol::Icmp,
            Self::Icmpv6(_) => Protocol::Icmpv6,
            Self::Tcp(_) => Protocol::Tcp,
            Self::Udp(_) => Protocol::Udp,
            Self::Gre(_) => Protocol::Gre,
            Self::Esp(_) => Protocol::Esp,
            Self::Ah(_) => Protocol::Ah,
            Self::IpComp(_) => Protocol::IpComp,
            Self::NonEspMarker | Self::NatKeepAlive => Protocol::UdpEncapsulation,
            Self::TcpStreamPrefix | Self::TcpStreamPiece => Protocol::TcpEncapsulation,
            Self::TcpMessage(_) => Protocol::TcpMessage,
            Self::Ike(_) => Protocol::Ike,
            Self::IkePayload(payload) => Protocol::IkePayload { version: payload.version, kind: payload.kind },
            Self::FragmentTail(protocol) | Self::Opaque(protocol) | Self::Unreadable(protocol) => *protocol,
            Self::Data | Self::Padding => Protocol::Data,
        }
    }

    /// Whether it is an IP header.
    pub fn is_ip(&self) -> bool {
        matches!(self, Self::Ipv4(_) | Self::Ipv6(_))
    }

    /// Source and destination, if it is an IP header.
    pub fn ip_addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match self {
            Self::Ipv4(ip) => Some((ip.source.into(), ip.destination.into())),
            Self::Ipv6(ip) => Some((ip.source.into(), ip.destination.into())),
            _ => None,
        }
    }

    /// What finds its SA in a packet between these addresses, if it is an IPsec header.
    pub(crate) fn ipsec(&self, (source, destination): (IpAddr, IpAddr)) -> Option<IpsecHeader> {
        let (protocol, spi, sequence) = match self {
            Self::Esp(esp) => (IpsecProtocol::Esp, esp.spi, Some(esp.sequence)),
            Self::Ah(ah) => (IpsecProtocol::Ah, ah.spi, Some(ah.sequence)),
            Self::IpComp(comp) => (IpsecProtocol::Comp, Spi(comp.cpi.into()), None),
            _ => return None,
        };
        Some(IpsecHeader { protocol, spi, sequence, source, destination })
    }

    /// Source and destination, if it is a header with ports.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self {
            Self::Tcp(tcp) => Some((tcp.source, tcp.destination)),
            Self::Udp(udp) => Some((udp.source, udp.destination)),
            _ => None,
        }
    }

    /// Whether more of the packet comes in other frames.
    fn has_more_fragments(&self) -> bool {
        match self {
            Self::Ipv4(ip) => ip.more_fragments,
            Self::Ipv6Fragment(fragment) => fragment.more,
            _ => false,
        }
    }
}

/// What is wrong with a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Bytes are missing at its end.
    Truncated {
        /// How many it claims, or needs at least.
        needed: usize,
        /// How many there are.
        present: usize,
    },
    /// It contradicts itself, in these words. What follows it is not taken apart.
    Malformed(&'static str),
    /// More headers than are followed.
    TooDeep,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, present } => write!(f, "cut short: {present} of {needed} bytes"),
            Self::Malformed(why) => f.write_str(why),
            Self::TooDeep => f.write_str("more headers than are followed"),
        }
    }
}

/// One header of a frame, or the bytes that no header was read from. Millions of them are handed from thread to thread, so
/// it is kept small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What it says.
    pub header: Header,
    /// What is wrong with it.
    pub flaw: Option<Box<Flaw>>,
    /// No frame has four gigabytes.
    start: u32,
    end: u32,
}

impl Layer {
    fn new(header: Header, range: Range<usize>, flaw: Option<Flaw>) -> Self {
        let place = |place| u32::try_from(place).unwrap_or(u32::MAX);
        Self { header, flaw: flaw.map(Box::new), start: place(range.start), end: place(range.end) }
    }

    /// Which bytes of the frame it is; always within the frame.
    pub fn range(&self) -> Range<usize> {
        let place = |place| usize::try_from(place).unwrap_or(usize::MAX);
        place(self.start)..place(self.end)
    }

    /// What the kernel compares with the ports of a selector: ports, an ICMP type and code, or the halves of a GRE key
    /// (`xfrm_flowi_sport`, `include/net/xfrm.h`). `bytes` are the frame's: UDP-Lite and SCTP are not taken apart, but
    /// begin with their ports. Of DCCP, which does too, the kernel reads none.
    pub fn flow_ports(&self, bytes: &[u8]) -> Option<(u16, u16)> {
        let start = bytes.get(self.range()).unwrap_or_default();
        let two = || {
            let [s0, s1, d0, d1] = *start.first_chunk()?;
            Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
        };
        match &self.header {
            Header::Tcp(tcp) => Some((tcp.source, tcp.destination)),
            Header::Udp(udp) => Some((udp.source, udp.destination)),
            Header::Icmp(icmp) | Header::Icmpv6(icmp) => Some((icmp.kind.into(), icmp.code.into())),
            Header::Gre(gre) => {
                let [k0, k1, k2, k3] = gre.key.unwrap_or(0).to_be_bytes();
                Some((u16::from_be_bytes([k0, k1]), u16::from_be_bytes([k2, k3])))
            }
            // Of what is cut short the kernel needs no more than it compares.
            Header::Opaque(Protocol::OtherAboveIp(UpperProtocol::UDP_LITE | UpperProtocol::SCTP))
            | Header::Unreadable(Protocol::Tcp | Protocol::Udp) => two(),
            Header::Unreadable(Protocol::Icmp | Protocol::Icmpv6) => {
                let [kind, code] = *start.first_chunk()?;
                Some((kind.into(), code.into()))
            }
            _ => None,
        }
    }
}

/// An IPsec header with all that finds its SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpsecHeader {
    /// ESP, AH or IPComp.
    pub protocol: IpsecProtocol,
    /// Its number; for IPComp the CPI, as the kernel looks it up (RFC 3173 section 3.3).
    pub spi: Spi,
    /// The sequence number on the wire; IPComp has none.
    pub sequence: Option<u32>,
    /// The source of the IP header that it stands behind.
    pub source: IpAddr,
    /// The destination of the IP header that it stands behind.
    pub destination: IpAddr,
}

/// As many as most frames have need no memory beside the frame's.
type Layers = SmallVec<[Layer; 4]>;

/// A frame taken apart: layers in the order of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dissection {
    layers: Layers,
    facts: Facts,
}

/// What is asked of every frame, found once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Facts {
    first_ip: Option<u16>,
    payload_end: u32,
    is_protected: bool,
    is_fragment: bool,
    carries_another: bool,
}

impl Dissection {
    fn of(layers: Layers) -> Self {
        let mut facts = Facts::default();
        for (place, layer) in layers.iter().enumerate() {
            match &layer.header {
                Header::Ipv4(ip) => facts.is_fragment |= ip.more_fragments || ip.fragment_offset > 0,
                Header::Ipv6Fragment(fragment) => facts.is_fragment |= fragment.more || fragment.offset > 0,
                Header::Esp(_) | Header::Ah(_) => facts.is_protected = true,
                _ => {}
            }
            if layer.header.is_ip() {
                facts.carries_another |= facts.first_ip.is_some() && !facts.is_protected;
                if facts.first_ip.is_none() {
                    facts.first_ip = u16::try_from(place).ok();
                }
            }
            if !matches!(layer.header, Header::Padding) {
                facts.payload_end = layer.end;
            }
        }
        Self { layers, facts }
    }

    /// The layers, outermost first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The outermost IP header.
    pub fn first_ip(&self) -> Option<&Layer> {
        self.layers.get(usize::from(self.facts.first_ip?))
    }

    /// Where the payload ends of what is innermost; what is behind fills the frame.
    pub fn payload_end(&self) -> usize {
        usize::try_from(self.facts.payload_end).unwrap_or(usize::MAX)
    }

    /// Whether a header of ESP or AH can be read.
    pub fn is_protected(&self) -> bool {
        self.facts.is_protected
    }

    /// Whether the outermost packet carries another one in clear, as those of GRE and IP in IP do: what that one proves it
    /// proves of itself.
    pub fn carries_another(&self) -> bool {
        self.facts.carries_another
    }

    /// Whether an IP header says that it is a part of a packet.
    pub fn is_fragment(&self) -> bool {
        self.facts.is_fragment
    }

    /// Source and destination of the outermost IP header.
    pub fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        self.first_ip()?.header.ip_addresses()
    }

    /// The IPsec headers that can be read, outermost first: in the article's packets AH, then ESP. In a TCP segment with
    /// several messages they stand side by side.
    pub fn ipsec(&self) -> impl Iterator<Item = IpsecHeader> {
        self.ipsec_between(None)
    }

    /// The same for what was inside of a packet between these addresses.
    pub fn ipsec_between(&self, addresses: Option<(IpAddr, IpAddr)>) -> impl Iterator<Item = IpsecHeader> {
        let mut addresses = addresses;
        self.layers.iter().filter_map(move |layer| {
            addresses = layer.header.ip_addresses().or(addresses);
            layer.header.ipsec(addresses?)
        })
    }
}

/// Takes a frame apart.
pub fn dissect(link: LinkType, frame: &[u8]) -> Dissection {
    Encapsulations::default().dissect(link, frame)
}

/// Takes apart what was behind an IP, AH or ESP header that announced it by this number.
pub fn dissect_above_ip(number: u8, payload: &[u8]) -> Dissection {
    Encapsulations::default().dissect_above_ip(number, payload)
}

fn walk(first: Option<Protocol>, frame: &[u8], encapsulations: &Encapsulations) -> Dissection {
    let mut layers = Layers::new();
    let mut next = first.map(|protocol| (0..frame.len(), protocol));
    while let Some((range, protocol)) = next {
        next = follow(frame, range, protocol, &mut layers, encapsulations);
        let reached = layers.last().map_or(0, |layer| layer.range().end);
        match &next {
            Some((behind, _)) if reached < behind.start => {
                layers.push(Layer::new(Header::Data, reached..behind.start, None));
            }
            None if reached < frame.len() => {
                layers.push(Layer::new(Header::Padding, reached..frame.len(), None));
            }
            _ => {}
        }
    }
    Dissection::of(layers)
}

/// Follows header into header from the start of `range`. What stands behind all that, if it is not padding, is returned.
fn follow(
    frame: &[u8],
    range: Range<usize>,
    protocol: Protocol,
    layers: &mut Layers,
    encapsulations: &Encapsulations,
) -> Option<(Range<usize>, Protocol)> {
    let Range { mut start, mut end } = range;
    let mut next = Some(protocol);
    let mut behind = None;
    let mut fragment = false;
    let (mut depth, mut most) = (0, MOST_LAYERS);
    while let Some(protocol) = next {
        let rest = frame.get(start..end).unwrap_or_default();
        if rest.is_empty() && matches!(protocol, Protocol::Data | Protocol::TcpMessage) {
            break;
        }
        if matches!(protocol, Protocol::IkePayload { .. }) {
            most = MOST_LAYERS_WITH_PAYLOADS;
        }
        if depth == most || layers.len() >= MOST_LAYERS_OF_A_FRAME {
            layers.push(Layer::new(Header::Data, start..end, Some(Flaw::TooDeep)));
            return None;
        }
        depth += 1;
        let mut parsed = parse(protocol, rest);
        if parsed.next == Some(Protocol::Data) {
            parsed.next = encapsulations.behind(layers, &parsed.header).or(parsed.next);
        }
        let flaw = parsed.flaw(rest.len(), fragment);
        fragment |= parsed.header.has_more_fragments();
        let covered = parsed.length.min(rest.len());
        let claimed_end = start + parsed.claimed.unwrap_or(rest.len()).clamp(covered, rest.len());
        if let Some(protocol) = parsed.behind.filter(|_| claimed_end < end) {
            behind = Some((claimed_end..end, protocol));
        }
        end = claimed_end;
        layers.push(Layer::new(parsed.header, start..start + covered, flaw));
        start += covered;
        next = match parsed.next {
            Some(protocol) if parsed.is_tail => {
                layers.push(Layer::new(Header::FragmentTail(protocol), start..end, None));
                None
            }
            next => next,
        };
    }
    behind
}

/// Reads the header at the start of `rest`.
fn parse(protocol: Protocol, rest: &[u8]) -> Parsed {
    match protocol {
        Protocol::Ethernet => link::parse_ethernet(rest),
        Protocol::Vlan => link::parse_vlan(rest),
        Protocol::Cooked => link::parse_cooked(rest),
        Protocol::Cooked2 => link::parse_cooked2(rest),
        Protocol::Loopback => link::parse_loopback(rest),
        Protocol::Arp => arp::parse(rest),
        Protocol::Ipv4 => ip::parse_v4(rest),
        Protocol::Ipv6 => ip::parse_v6(rest),
        Protocol::Ipv6Extension(number) => ip::parse_extension(number, rest),
        Protocol::Ipv6Fragment => ip::parse_fragment(rest),
        Protocol::Icmp => icmp::parse_v4(rest),
        Protocol::Icmpv6 => icmp::parse_v6(rest),
        Protocol::Tcp => transport::parse_tcp(rest),
        Protocol::Udp => transport::parse_udp(rest),
        Protocol::Gre => gre::parse(rest),
        Protocol::Esp => ipsec::parse_esp(rest),
        Protocol::Ah => ipsec::parse_ah(rest),
        Protocol::IpComp => ipsec::parse_ipcomp(rest),
        Protocol::UdpEncapsulation => ipsec::parse_udp_encapsulation(rest),
        Protocol::TcpEncapsulation => ipsec::parse_tcp_encapsulation(rest),
        Protocol::TcpMessage => ipsec::parse_tcp_message(rest),
        Protocol::Ike => ike::parse(rest),
        Protocol::IkePayload { version, kind } => ike::parse_payload(version, kind, rest),
        Protocol::Data => Parsed::new(Header::Data, rest.len(), None),
        Protocol::OtherAboveIp(_) | Protocol::OtherEtherType(_) | Protocol::UnknownLink => {
            Parsed::new(Header::Opaque(protocol), rest.len(), None)
        }
    }
}

/// What a parser read at the start of the bytes that it was given.
struct Parsed {
    header: Header,
    /// How many bytes the header has, by its own words.
    length: usize,
    /// How many bytes header and payload have together, where the header tells. What is beyond belongs to no layer
    /// further in.
    claimed: Option<usize>,
    /// What follows the header, if anything.
    next: Option<Protocol>,
    /// What follows all that the header claims, if it is not padding.
    behind: Option<Protocol>,
    /// Whether what follows is from the middle of its packet: a fragment that is not the first.
    is_tail: bool,
    malformed: Option<&'static str>,
}

impl Parsed {
    fn new(header: Header, length: usize, next: Option<Protocol>) -> Self {
        Self { header, length, claimed: None, next, behind: None, is_tail: false, malformed: None }
    }

    /// There are fewer than the `needed` bytes that a header of this protocol has at least.
    fn too_short(protocol: Protocol, needed: usize) -> Self {
        Self::new(Header::Unreadable(protocol), needed, None)
    }

    fn claiming(mut self, bytes: usize) -> Self {
        self.claimed = Some(bytes);
        self
    }

    fn before(mut self, protocol: Protocol) -> Self {
        self.behind = Some(protocol);
        self
    }

    fn tail(mut self, is_tail: bool) -> Self {
        self.is_tail = is_tail;
        self
    }

    fn malformed(mut self, why: &'static str) -> Self {
        self.malformed = Some(why);
        self.next = Some(Protocol::Data);
        self.is_tail = false;
        self
    }

    /// A fragment's upper layers rightly claim more than the fragment has.
    fn flaw(&self, present: usize, fragment: bool) -> Option<Flaw> {
        let claimed = self.claimed.filter(|_| !fragment).unwrap_or(0);
        let needed = self.length.max(claimed);
        match self.malformed {
            Some(why) => Some(Flaw::Malformed(why)),
            None if needed > present => Some(Flaw::Truncated { needed, present }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests;
