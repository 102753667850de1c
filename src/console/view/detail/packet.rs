//! Everything about a frame: its layers, the SAs that it names, its bytes.

use ratatui::text::{Line, Span};

use super::Facts;
use crate::console::clock::Clock;
use crate::console::columns::packet::{algorithms, protocol_word};
use crate::console::state::packets::{Named, PacketRow};
use crate::console::theme::{Role, Theme};
use crate::packet::{Header, IpsecHeader, Layer, hexdump};

/// The facts.
pub(super) fn facts(row: &PacketRow<'_>) -> Facts {
    let mut facts = Facts::default();
    let frame = row.frame;
    for (header, named) in &row.ipsec {
        say_sa(&mut facts, header, *named);
    }
    for layer in row.dissection.layers() {
        let text = format!("{} [{}..{}]", layer_words(layer), layer.range.start, layer.range.end);
        facts.say(label(&layer.header), text.trim().to_owned());
        if let Some(flaw) = layer.flaw {
            facts.and(flaw.to_string(), Role::Caution);
        }
    }
    if frame.is_cut() {
        facts.say_as("cut", "it was longer: bytes are missing at its end", Role::Caution);
    }
    facts
}

/// When and where it was seen, and how long it is: for the title.
pub(super) fn title(number: u64, row: &PacketRow<'_>, clock: &Clock) -> String {
    let frame = row.frame;
    let (date, nanoseconds) = (clock.date(frame.at_ns / 1_000_000_000), frame.at_ns % 1_000_000_000);
    let way = frame.direction.map_or(String::new(), |way| format!(" {way}"));
    let (bytes, interface) = (frame.bytes.len(), &frame.interface);
    format!("Packet {}: {date}.{nanoseconds:09}{way} {interface}, {bytes} bytes", number + 1)
}

fn say_sa(facts: &mut Facts, header: &IpsecHeader, named: Named<'_>) {
    let protocol = protocol_word(header.protocol);
    match named {
        Named::Sa(sa) => {
            facts.say_as("SA", format!("{}: {} {}, reqid {}", sa.id(), sa.mode, algorithms(sa), sa.reqid), Role::Good);
        }
        Named::Gone => facts.say_as("SA", format!("that of {protocol} {} is gone", header.spi), Role::Muted),
        Named::None => {
            let text = format!("no SA: the kernel had no {protocol} SA {} to {}", header.spi, header.destination);
            facts.say_as("SA", text, Role::Caution);
        }
    }
}

fn label(header: &Header) -> &'static str {
    match header {
        Header::Ethernet(_) => "Ethernet",
        Header::Vlan(_) => "VLAN",
        Header::Cooked(_) => "cooked",
        Header::Loopback(_) => "loopback",
        Header::Arp(_) => "ARP",
        Header::Ipv4(_) => "IPv4",
        Header::Ipv6(_) => "IPv6",
        Header::Ipv6Extension(_) => "IPv6 extension",
        Header::Ipv6Fragment(_) | Header::FragmentTail(_) => "fragment",
        Header::Icmp(_) => "ICMP",
        Header::Icmpv6(_) => "ICMPv6",
        Header::Tcp(_) => "TCP",
        Header::Udp(_) => "UDP",
        Header::Gre(_) => "GRE",
        Header::Esp(_) => "ESP",
        Header::Ah(_) => "AH",
        Header::IpComp(_) => "IPComp",
        Header::NonEspMarker => "non-ESP marker",
        Header::NatKeepAlive => "keepalive",
        Header::TcpStreamPrefix => "TCP stream",
        Header::TcpMessage(_) => "message",
        Header::TcpStreamPiece => "stream piece",
        Header::Ike(_) => "IKE",
        Header::IkePayload(_) => "IKE payload",
        Header::Opaque(_) => "other",
        Header::Unreadable(_) => "cut short",
        Header::Data => "data",
        Header::Padding => "padding",
    }
}

fn layer_words(layer: &Layer) -> String {
    match &layer.header {
        Header::Ethernet(e) => format!("{} > {}", e.source, e.destination),
        Header::Vlan(vlan) => format!("{}, priority {}", vlan.id, vlan.priority),
        Header::Arp(arp) => format!("operation {}, {} asks for {}", arp.operation, arp.sender, arp.target),
        Header::Ipv4(ip) => {
            let mut words = format!("{} > {}, ttl {}, protocol {}", ip.source, ip.destination, ip.ttl, ip.protocol);
            if ip.more_fragments || ip.fragment_offset > 0 {
                words += &format!(", fragment {} from byte {}", ip.identification, ip.fragment_offset);
            }
            words
        }
        Header::Ipv6(ip) => {
            format!("{} > {}, hop limit {}, next {}", ip.source, ip.destination, ip.hop_limit, ip.next_header)
        }
        Header::Ipv6Extension(_) | Header::Opaque(_) | Header::Unreadable(_) | Header::FragmentTail(_) => {
            layer.header.protocol().to_string()
        }
        Header::Ipv6Fragment(f) => format!("{} from byte {}", f.identification, f.offset),
        Header::Icmp(icmp) | Header::Icmpv6(icmp) => {
            format!("type {} code {} {}", icmp.kind, icmp.code, icmp.name.unwrap_or_default())
        }
        Header::Tcp(t) => {
            format!("{} > {}, {}, seq {}, ack {}", t.source, t.destination, t.flags, t.sequence, t.acknowledgement)
        }
        Header::Udp(udp) => format!("{} > {}", udp.source, udp.destination),
        Header::Gre(gre) => format!("carries {:#06x}", gre.ether_type),
        Header::Esp(esp) => format!("SPI {}, sequence {}", esp.spi, esp.sequence),
        Header::Ah(ah) => {
            format!("SPI {}, sequence {}, ICV of {} bytes, next {}", ah.spi, ah.sequence, ah.icv_length, ah.next_header)
        }
        Header::IpComp(comp) => format!("CPI {:#06x}, next {}", comp.cpi, comp.next_header),
        Header::Ike(ike) => format!(
            "version {}, {}, SPIs {:016x} {:016x}",
            ike.version,
            ike.exchange_name().unwrap_or("unknown exchange"),
            ike.initiator_spi,
            ike.responder_spi
        ),
        Header::IkePayload(payload) => {
            let critical = if payload.critical { ", critical" } else { "" };
            match payload.name() {
                Some(name) => format!("{name}{critical}"),
                None => format!("number {}{critical}", payload.kind),
            }
        }
        Header::TcpMessage(length) => format!("{length} bytes"),
        Header::TcpStreamPiece => "begins or ends inside a message".to_owned(),
        Header::Cooked(_)
        | Header::Loopback(_)
        | Header::TcpStreamPrefix
        | Header::NonEspMarker
        | Header::NatKeepAlive
        | Header::Data
        | Header::Padding => String::new(),
    }
}

/// The bytes: offset, hex, ASCII; sixteen in a row where there is room, else eight.
pub(super) fn bytes(bytes: &[u8], theme: &Theme, cells: usize) -> Vec<Line<'static>> {
    const ROOM_FOR_SIXTEEN: usize = 1 + 4 + 2 + 16 * 3 + 1 + 16;
    let in_a_row = if cells >= ROOM_FOR_SIXTEEN { 16 } else { 8 };
    let line = |row: hexdump::Row<'_>| {
        let mut hex = String::with_capacity(in_a_row * 3);
        for byte in row.bytes {
            hex += &format!("{byte:02x} ");
        }
        Line::from(vec![
            Span::styled(format!(" {:04x}  ", row.offset), theme.style(Role::Muted)),
            Span::styled(format!("{hex:<width$} ", width = in_a_row * 3), theme.style(Role::Text)),
            Span::styled(row.ascii(), theme.style(Role::Text)),
        ])
    };
    hexdump::rows(bytes, in_a_row).map(line).collect()
}
