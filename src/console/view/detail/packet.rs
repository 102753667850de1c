//! Everything about a frame: its layers, the SAs that it names, its bytes.

use ratatui::text::{Line, Span};

use super::Facts;
use crate::console::clock::Clock;
use crate::console::columns::packet::{algorithms, protocol_word};
use crate::console::state::packets::{Named, PacketRow};
use crate::console::theme::{Role, Theme};
use crate::evidence::Looked;
use crate::packet::{Dissection, Header, IpsecHeader, Layer, hexdump};

/// What it proves, by which SAs, and what was inside.
pub(super) fn facts(row: &PacketRow<'_>, looked: &Looked) -> Facts {
    let mut facts = Facts::default();
    let frame = row.frame;
    let verdict = row.evidence.verdict;
    let role = match verdict {
        _ if verdict.is_alarm() => Role::Alarm,
        _ if verdict.is_protected() => Role::Good,
        _ => Role::Text,
    };
    facts.say_as("verdict", verdict.to_string(), role);
    for reason in &row.evidence.reasons {
        facts.say("because", reason.to_string());
    }
    for (header, named) in &row.ipsec {
        say_sa(&mut facts, header, *named);
    }
    for inside in &looked.insides {
        let protocol = protocol_word(inside.header.protocol);
        let text = format!("{protocol} {}: {} {}", inside.header.spi, inside.summary.protocol, inside.summary.info);
        facts.say_as("inside", text.trim().to_owned(), Role::Good);
    }
    if let Some(obstacle) = &looked.obstacle {
        facts.say("inside", obstacle.clone());
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

/// The layers, those of what could be decrypted behind those of the wire.
pub(super) fn layers(row: &PacketRow<'_>, looked: &Looked) -> Facts {
    let mut facts = Facts::default();
    say_layers(&mut facts, &row.dissection);
    for inside in &looked.insides {
        facts.say("decrypted", format!("{} {}:", protocol_word(inside.header.protocol), inside.header.spi));
        say_layers(&mut facts, &inside.dissection);
    }
    facts
}

fn say_layers(facts: &mut Facts, dissection: &Dissection) {
    for layer in dissection.layers() {
        let text = format!("{} [{}..{}]", layer_words(layer), layer.range.start, layer.range.end);
        facts.say(label(&layer.header), text.trim().to_owned());
        if let Some(flaw) = layer.flaw {
            facts.and(flaw.to_string(), Role::Caution);
        }
    }
}

fn say_sa(facts: &mut Facts, header: &IpsecHeader, named: Named<'_>) {
    let protocol = protocol_word(header.protocol);
    match named {
        Named::Sa(known) => {
            let gone = if known.is_gone { "; gone by now" } else { "" };
            facts.say("SA", format!("{}: {} {}{gone}", known.id, known.mode, algorithms(known)));
        }
        Named::Forgotten => facts.say_as("SA", format!("that of {protocol} {} is gone", header.spi), Role::Muted),
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

/// The bytes of the wire: offset, hex, ASCII; and beside them, where there is room, those of the innermost packet that
/// could be decrypted. Where there is no room they follow below.
pub(in crate::console::view) fn bytes(wire: &[u8], looked: &Looked, theme: &Theme, cells: usize) -> Vec<Line<'static>> {
    let Some(inside) = looked.insides.last() else {
        let in_a_row = if cells >= row_width(16) { 16 } else { 8 };
        return column(wire, in_a_row, theme);
    };
    let head = |text: &str| Line::styled(format!(" {text}"), theme.style(Role::Header));
    let in_a_row = if cells >= 2 * row_width(16) { 16 } else { 8 };
    let mut left = column(wire, in_a_row, theme);
    let right = column(&inside.plaintext, in_a_row, theme);
    let (on_wire, decrypted) = ("on the wire", "decrypted");
    if cells < 2 * row_width(in_a_row) {
        left.insert(0, head(on_wire));
        left.push(head(decrypted));
        left.extend(right);
        return left;
    }
    let mut lines = vec![head(&format!("{on_wire:<width$}{decrypted}", width = row_width(in_a_row)))];
    let mut right = right.into_iter();
    let rows = left.len().max(right.len());
    let mut left = left.into_iter();
    for _ in 0..rows {
        let mut line = left.next().unwrap_or_default();
        let blanks = row_width(in_a_row).saturating_sub(line.width());
        line.push_span(Span::raw(" ".repeat(blanks)));
        line.spans.extend(right.next().unwrap_or_default().spans);
        lines.push(line);
    }
    lines
}

/// The cells of a row of so many bytes.
const fn row_width(in_a_row: usize) -> usize {
    1 + 4 + 2 + in_a_row * 3 + in_a_row + 1
}

fn column(bytes: &[u8], in_a_row: usize, theme: &Theme) -> Vec<Line<'static>> {
    let line = |row: hexdump::Row<'_>| {
        let mut hex = String::with_capacity(in_a_row * 3);
        for byte in row.bytes {
            hex += &format!("{byte:02x} ");
        }
        Line::from(vec![
            Span::styled(format!(" {:04x}  ", row.offset), theme.style(Role::Muted)),
            Span::styled(format!("{hex:<width$}", width = in_a_row * 3), theme.style(Role::Text)),
            Span::styled(row.ascii(), theme.style(Role::Text)),
        ])
    };
    hexdump::rows(bytes, in_a_row).map(line).collect()
}
