//! Everything about a frame: its layers, the SAs that it names, its bytes.

use ratatui::text::{Line, Span};

use super::bytes::{self, Bytes, Marks};
use super::{Facts, LABEL_WIDTH, wrap};
use crate::console::clock::Clock;
use crate::console::columns::packet::{algorithms, protocol_word};
use crate::console::state::packets::{Named, PacketRow, layers};
use crate::console::theme::{Role, Theme};
use crate::evidence::Looked;
use crate::packet::{Header, IpsecHeader, Layer};

/// From this width on, the layers stand at the left of the bytes.
const WIDE: usize = 190;

/// Everything about a frame in lines of so many cells, and which of them should be in sight: that of the first marked
/// byte.
pub(super) fn lines(
    row: &PacketRow<'_>,
    looked: &Looked,
    chosen: Option<usize>,
    marks: &Marks,
    theme: &Theme,
    cells: usize,
) -> (Vec<Line<'static>>, usize) {
    let mut lines = facts(row, looked).lines(theme, cells);
    if cells >= WIDE {
        let left = cells - 2 * bytes::row_width(16) - 1;
        let tree = tree(row, looked, chosen, theme, left);
        let Bytes { lines: right, first_marked } = bytes::draw(&row.frame.bytes, looked, marks, theme, cells - left);
        let anchor = first_marked.map_or(0, |line| lines.len() + line);
        lines.extend(bytes::beside(tree, right, left));
        return (lines, anchor);
    }
    let Bytes { lines: hex, first_marked } = bytes::draw(&row.frame.bytes, looked, marks, theme, cells);
    let tree = tree(row, looked, chosen, theme, cells);
    let Some((_, layer)) = chosen.and_then(|chosen| layers(&row.dissection, looked).nth(chosen)) else {
        let anchor = first_marked.map_or(0, |line| lines.len() + line);
        lines.extend(hex);
        lines.extend(tree);
        return (lines, anchor);
    };
    // Who goes through the layers wants their bytes before everything else.
    let mut all = layer_lines(layer, true, theme, cells);
    let anchor = first_marked.map_or(0, |line| line + all.len());
    all.extend(hex);
    all.extend(tree);
    all.extend(lines);
    (all, anchor)
}

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
        let summary = inside.summary();
        let text = format!("{protocol} {}: {} {}", inside.header.spi, summary.protocol, summary.info);
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

/// The layers, those of what could be decrypted behind those of the wire; the chosen one is marked.
fn tree(
    row: &PacketRow<'_>,
    looked: &Looked,
    chosen: Option<usize>,
    theme: &Theme,
    cells: usize,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut before = None;
    for (place, (inside, layer)) in layers(&row.dissection, looked).enumerate() {
        if let Some(opened) = inside.filter(|_| inside != before).and_then(|inside| looked.insides.get(inside)) {
            let head = format!(" decrypted from {} {}:", protocol_word(opened.header.protocol), opened.header.spi);
            lines.push(Line::styled(head, theme.style(Role::Header)));
        }
        before = inside;
        lines.extend(layer_lines(layer, chosen == Some(place), theme, cells));
    }
    lines
}

fn layer_lines(layer: &Layer, is_chosen: bool, theme: &Theme, cells: usize) -> Vec<Line<'static>> {
    let style = theme.style(if is_chosen { Role::Selected } else { Role::Text });
    let mut words = format!("{} [{}..{}]", layer_words(layer), layer.range().start, layer.range().end);
    if let Some(flaw) = &layer.flaw {
        words += &format!("; {flaw}");
    }
    let (mark, label) = (if is_chosen { ">" } else { " " }, label(&layer.header));
    let parts = wrap(words.trim(), cells.saturating_sub(LABEL_WIDTH).max(8)).into_iter();
    let line = |(place, part): (usize, String)| {
        let (mark, label) = if place == 0 { (mark, label) } else { ("", "") };
        let label_style = if is_chosen { style } else { theme.style(Role::Muted) };
        let role = if layer.flaw.is_some() && !is_chosen { theme.style(Role::Caution) } else { style };
        let label = Span::styled(format!("{:<LABEL_WIDTH$}", format!("{mark:<1}{label}")), label_style);
        Line::from(vec![label, Span::styled(part, role)])
    };
    parts.enumerate().map(line).collect()
}

fn say_sa(facts: &mut Facts, header: &IpsecHeader, named: Named<'_>) {
    let protocol = protocol_word(header.protocol);
    match named {
        Named::Sa(known) => {
            let gone = if known.is_gone() { "; gone by now" } else { "" };
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
