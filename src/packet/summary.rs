//! A frame in a line: who, to whom, what.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use pnet::util::MacAddr;

use super::{Dissection, Header, Icmp, Ike, Layer, Protocol};

/// What a frame is to somebody who asks whether it is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// ESP directly above IP; also behind AH it is that AH's frame.
    Esp,
    /// AH, whatever it protects.
    Ah,
    /// IPComp: smaller, not protected.
    IpComp,
    /// ESP in UDP.
    EspInUdp,
    /// ESP in TCP.
    EspInTcp,
    /// A TCP segment of a stream of ESP and IKE, which of them cannot be told.
    StreamPiece,
    /// Key exchange.
    Ike,
    /// What keeps a NAT's mapping alive.
    KeepAlive,
    /// An IP packet without IPsec.
    Plain,
    /// No IP packet.
    NotIp,
}

/// One end of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// By the outermost IP header.
    Ip(IpAddr),
    /// By the Ethernet header, where there is no IP header.
    Mac(MacAddr),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Mac(address) => f.pad(&address.to_string()),
        }
    }
}

/// A frame in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it is.
    pub kind: Kind,
    /// Who sent it.
    pub source: Option<Endpoint>,
    /// To whom.
    pub destination: Option<Endpoint>,
    /// The protocols above the outermost IP header, as far as they can be read: `AH/ESP`, `UDP/ESP`, `TCP`.
    pub protocol: Cow<'static, str>,
    /// What can be read of it besides: ports, flags, questions. Nothing in it is text from the wire.
    pub info: String,
}

impl Summary {
    /// Sums a dissection up.
    pub fn of(dissection: &Dissection) -> Self {
        let (layers, ends) = (dissection.layers(), dissection.ends());
        let (source, destination) = endpoints(layers, ends);
        Self { kind: kind(layers), source, destination, protocol: protocol(layers, ends), info: info(layers) }
    }
}

/// `ends` are those of the outermost IP header.
fn endpoints(layers: &[Layer], ends: Option<(IpAddr, IpAddr)>) -> (Option<Endpoint>, Option<Endpoint>) {
    if let Some((source, destination)) = ends {
        return (Some(Endpoint::Ip(source)), Some(Endpoint::Ip(destination)));
    }
    let ends = layers.iter().find_map(|layer| match &layer.header {
        Header::Arp(arp) => Some((Endpoint::Ip(arp.sender.into()), Endpoint::Ip(arp.target.into()))),
        _ => None,
    });
    let ends = ends.or_else(|| {
        layers.iter().find_map(|layer| match &layer.header {
            Header::Ethernet(ethernet) => Some((Endpoint::Mac(ethernet.source), Endpoint::Mac(ethernet.destination))),
            _ => None,
        })
    });
    ends.unzip()
}

fn kind(layers: &[Layer]) -> Kind {
    let mut kind = Kind::NotIp;
    let mut esp = Kind::Esp;
    for layer in layers {
        match &layer.header {
            Header::Esp(_) => return esp,
            Header::Ah(_) => return Kind::Ah,
            Header::IpComp(_) => return Kind::IpComp,
            Header::Ike(_) | Header::NonEspMarker => return Kind::Ike,
            Header::NatKeepAlive => return Kind::KeepAlive,
            Header::TcpStreamPiece => return Kind::StreamPiece,
            Header::Udp(_) => esp = Kind::EspInUdp,
            Header::Tcp(_) => esp = Kind::EspInTcp,
            header if header.is_ip() => kind = Kind::Plain,
            _ => {}
        }
    }
    kind
}

/// The layers above the outermost IP header; if there is none, above the link.
fn above_ip(layers: &[Layer]) -> &[Layer] {
    let first_ip = layers.iter().position(|layer| layer.header.is_ip());
    let start = first_ip.map_or_else(
        || layers.iter().take_while(|layer| is_link(&layer.header) && layer.flaw.is_none()).count(),
        |place| place + 1,
    );
    layers.get(start..).unwrap_or_default()
}

fn is_link(header: &Header) -> bool {
    matches!(header, Header::Ethernet(_) | Header::Vlan(_) | Header::Cooked(_) | Header::Loopback(_))
}

fn protocol(layers: &[Layer], ends: Option<(IpAddr, IpAddr)>) -> Cow<'static, str> {
    // Of a TCP segment's messages the first one speaks; how many there are is said elsewhere.
    let mut has_message = false;
    let mut words = Cow::Borrowed("");
    for layer in above_ip(layers) {
        let (protocol, behind) = match &layer.header {
            Header::TcpMessage(_) if has_message => break,
            Header::TcpMessage(_) => {
                has_message = true;
                continue;
            }
            Header::Ike(_) | Header::NonEspMarker => return Protocol::Ike.name(),
            Header::NatKeepAlive => return "keepalive".into(),
            header if is_stream(header) => continue,
            Header::Ipv6Extension(_) | Header::Ipv6Fragment(_) | Header::Data | Header::Padding => continue,
            Header::FragmentTail(protocol) => (*protocol, " fragment"),
            header => (header.protocol(), ""),
        };
        if words.is_empty() {
            words = protocol.name();
        } else {
            words += "/";
            words += protocol.name();
        }
        words += behind;
    }
    if !words.is_empty() {
        return words;
    }
    match ends {
        Some((source, _)) => if source.is_ipv4() { "IPv4" } else { "IPv6" }.into(),
        None => layers.first().map_or("empty".into(), |layer| layer.header.protocol().name()),
    }
}

fn info(layers: &[Layer]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut messages = 0;
    let payload = |above: usize| {
        let rest = layers.get(above + 1..).unwrap_or_default();
        let bytes: usize =
            rest.iter().filter(|layer| layer.header == Header::Data).map(|layer| layer.range().len()).sum();
        match bytes {
            1 => "1 byte".to_owned(),
            bytes => format!("{bytes} bytes"),
        }
    };
    for (place, layer) in layers.iter().enumerate() {
        match &layer.header {
            Header::Tcp(tcp) if layers.get(place + 1).is_some_and(|next| is_stream(&next.header)) => {
                parts.push(format!("{} > {} {}", tcp.source, tcp.destination, tcp.flags));
            }
            Header::Tcp(tcp) => {
                parts.push(format!("{} > {} {}, {}", tcp.source, tcp.destination, tcp.flags, payload(place)));
            }
            // What is inside of an encapsulating datagram says more.
            Header::Udp(_) if layers.get(place + 1).is_some_and(|next| is_encapsulated(&next.header)) => {}
            Header::Udp(udp) => parts.push(format!("{} > {}, {}", udp.source, udp.destination, payload(place))),
            Header::Icmp(icmp) | Header::Icmpv6(icmp) => parts.push(icmp_words(icmp)),
            Header::Arp(arp) if arp.operation == 1 => {
                parts.push(format!("who has {}? tell {}", arp.target, arp.sender));
            }
            Header::Arp(arp) if arp.operation == 2 => parts.push(format!("{} is at {}", arp.sender, arp.sender_mac)),
            Header::Ike(ike) => parts.push(ike_words(ike, layers.get(place + 1..).unwrap_or_default())),
            Header::TcpStreamPiece => parts.push("a piece of the stream".to_owned()),
            Header::TcpMessage(_) => messages += 1,
            Header::Vlan(vlan) => parts.push(format!("VLAN {}", vlan.id)),
            Header::Gre(gre) => parts.extend(gre.key.map(|key| format!("key {key:#x}"))),
            Header::Ipv4(ip) if ip.more_fragments || ip.fragment_offset > 0 => {
                parts.push(fragment_words(ip.fragment_offset, ip.more_fragments));
            }
            Header::Ipv6Fragment(fragment) => parts.push(fragment_words(fragment.offset, fragment.more)),
            _ => {}
        }
        if let Some(flaw) = &layer.flaw {
            parts.push(format!("{} {flaw}", layer.header.protocol()));
        }
    }
    if messages > 1 {
        parts.push(format!("{messages} messages"));
    }
    if parts.is_empty() { String::new() } else { parts.join("; ") }
}

fn is_stream(header: &Header) -> bool {
    matches!(header, Header::TcpStreamPrefix | Header::TcpMessage(_) | Header::TcpStreamPiece)
}

fn is_encapsulated(header: &Header) -> bool {
    matches!(header, Header::Esp(_) | Header::Ike(_) | Header::NonEspMarker | Header::NatKeepAlive)
}

fn icmp_words(icmp: &Icmp) -> String {
    match (icmp.name, icmp.echo) {
        (Some(name), Some((_, sequence))) => format!("{name} {sequence}"),
        (Some(name), None) => name.to_owned(),
        (None, _) => format!("type {} code {}", icmp.kind, icmp.code),
    }
}

/// The exchange, and the payloads that can be read, which are the layers behind it.
fn ike_words(ike: &Ike, behind: &[Layer]) -> String {
    let exchange = ike.exchange_name().map_or_else(|| format!("exchange {}", ike.exchange), str::to_owned);
    let mut words = match ike.version {
        2 => {
            let way = if ike.is_response { "response" } else { "request" };
            format!("IKEv2 {exchange} {way} {}", ike.message_id)
        }
        version => format!("IKEv{version} {exchange}"),
    };
    let payloads = behind.iter().map_while(|layer| match &layer.header {
        Header::IkePayload(payload) => Some(payload.name().map_or_else(|| payload.kind.to_string(), str::to_owned)),
        _ => None,
    });
    for (place, payload) in payloads.enumerate() {
        words += if place == 0 { ": " } else { " " };
        words += &payload;
    }
    words
}

fn fragment_words(offset: u16, more: bool) -> String {
    if more { format!("fragment from byte {offset} on") } else { format!("last fragment, from byte {offset} on") }
}
