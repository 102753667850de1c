//! Frames built by hand, whole and broken, and any bytes at all.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::model::text::harmless;

pub(super) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

fn ipv4_fragment(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
    packet.extend(payload);
    packet
}

pub(super) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_fragment(protocol, 0x4000, payload)
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, 64]);
    packet.extend([0xfd, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0xfd, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend(payload);
    packet
}

pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = source.to_be_bytes().to_vec();
    datagram.extend(destination.to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

fn tcp(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x1e, 0x61, 0xa0, 0x2b, 0, 0, 0, 9, 0, 0, 0, 8, 0x80, flags, 1, 0, 0, 0, 0, 0];
    segment.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    segment.extend(payload);
    segment
}

pub(super) fn esp(spi: u32, sequence: u32, rest: &[u8]) -> Vec<u8> {
    let mut packet = spi.to_be_bytes().to_vec();
    packet.extend(sequence.to_be_bytes());
    packet.extend(rest);
    packet
}

pub(super) fn ah(next: u8, spi: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![next, 4, 0, 0];
    packet.extend(spi.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0x1c; 12]);
    packet.extend(payload);
    packet
}

/// An IKE message of these payloads: a number, the byte with the critical flag, and what it holds.
fn ike_of(version: u8, exchange: u8, flags: u8, payloads: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let numbers = payloads.iter().map(|(kind, ..)| *kind).chain([0]);
    let mut message = vec![0x11; 8];
    message.extend([0x22; 8]);
    message.extend([numbers.clone().next().unwrap(), version << 4, exchange, flags, 0, 0, 0, 1, 0, 0, 0, 0]);
    for ((_, critical, body), next) in payloads.iter().zip(numbers.skip(1)) {
        message.extend([next, *critical]);
        message.extend(u16::try_from(4 + body.len()).unwrap().to_be_bytes());
        message.extend(*body);
    }
    let length = u32::try_from(message.len()).unwrap();
    message[24..28].copy_from_slice(&length.to_be_bytes());
    message
}

fn ike(exchange: u8, flags: u8) -> Vec<u8> {
    ike_of(2, exchange, flags, &[(46, 0, &[0xee; 4])])
}

/// A message as it stands in a TCP stream.
fn tcp_message(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(2 + content.len()).unwrap().to_be_bytes()[..], content].concat()
}

fn on_tcp_4500(payload: &[u8]) -> Vec<u8> {
    let mut segment = tcp(0x18, payload);
    segment[2..4].copy_from_slice(&4500u16.to_be_bytes());
    ethernet(0x0800, &ipv4(6, &segment))
}

fn seen(frame: &[u8]) -> Dissection {
    dissect(LinkType::Ethernet, frame)
}

/// Layers as `name start..end`, with what is wrong.
fn layers(frame: &[u8]) -> Vec<String> {
    let dissection = seen(frame);
    let words = |layer: &Layer| {
        let flaw = layer.flaw.as_ref().map_or_else(String::new, |flaw| format!(" ({flaw})"));
        format!("{} {:?}{flaw}", layer.header.protocol(), layer.range())
    };
    dissection.layers().iter().map(words).collect()
}

fn summary(frame: &[u8]) -> (Kind, String, String) {
    let Summary { kind, protocol, info, .. } = Summary::of(&seen(frame));
    (kind, protocol.into_owned(), info)
}

#[test]
fn the_articles_packet_is_ah_around_esp() {
    let frame = ethernet(0x0800, &ipv4(51, &ah(50, 0x4001, 7, &esp(0x1001, 8, &[0xaa; 32]))));
    assert_eq!(layers(&frame), ["Ethernet 0..14", "IPv4 14..34", "AH 34..58", "ESP 58..98"]);
    let (source, destination) = (IpAddr::from([10, 9, 0, 1]), IpAddr::from([10, 9, 0, 2]));
    let dissection = seen(&frame);
    let ipsec: Vec<IpsecHeader> = dissection.ipsec().collect();
    assert_eq!(
        ipsec,
        [
            IpsecHeader { protocol: IpsecProtocol::Ah, spi: Spi(0x4001), sequence: Some(7), source, destination },
            IpsecHeader { protocol: IpsecProtocol::Esp, spi: Spi(0x1001), sequence: Some(8), source, destination },
        ]
    );
    assert_eq!(summary(&frame), (Kind::Ah, "AH/ESP".to_owned(), String::new()));
}

#[test]
fn plain_traffic_says_what_it_is() {
    let udp_frame = ethernet(0x0800, &ipv4(17, &udp(7777, 40000, b"hello world")));
    assert_eq!(summary(&udp_frame), (Kind::Plain, "UDP".into(), "7777 > 40000, 11 bytes".into()));
    let tcp_frame = ethernet(0x86dd, &ipv6(6, &tcp(0x18, b"hello world")));
    assert_eq!(summary(&tcp_frame), (Kind::Plain, "TCP".into(), "7777 > 41003 PSH ACK, 11 bytes".into()));
    let ping = ethernet(0x0800, &ipv4(1, &[8, 0, 0, 0, 0, 5, 0, 9, 1, 2, 3]));
    assert_eq!(summary(&ping), (Kind::Plain, "ICMP".into(), "echo request 9".into()));
    let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 9, 0, 1, 0, 0, 0, 0, 0, 0, 10, 9, 0, 2];
    let arp_frame = ethernet(0x0806, &arp);
    assert_eq!(summary(&arp_frame), (Kind::NotIp, "ARP".into(), "who has 10.9.0.2? tell 10.9.0.1".into()));
    let tagged = ethernet(0x8100, &[&[0x20, 5, 8, 0][..], &ipv4(17, &udp(1, 2, b"x"))].concat());
    assert_eq!(summary(&tagged), (Kind::Plain, "UDP".into(), "VLAN 5; 1 > 2, 1 byte".into()));
    let lldp = ethernet(0x88cc, &[1, 2, 3]);
    assert_eq!(summary(&lldp), (Kind::NotIp, "LLDP".into(), String::new()));
}

#[test]
fn what_only_ah_protects_can_be_read() {
    let frame = ethernet(0x0800, &ipv4(51, &ah(17, 0x4001, 7, &udp(7777, 9, b"hello world"))));
    assert_eq!(summary(&frame), (Kind::Ah, "AH/UDP".into(), "7777 > 9, 11 bytes".into()));
}

#[test]
fn udp_carries_esp_ike_and_keepalives() {
    let on_4500 = |payload: &[u8]| ethernet(0x0800, &ipv4(17, &udp(4500, 61000, payload)));
    assert_eq!(summary(&on_4500(&esp(0x99, 3, &[1; 20]))), (Kind::EspInUdp, "UDP/ESP".into(), String::new()));
    assert_eq!(seen(&on_4500(&esp(0x99, 3, &[1; 20]))).ipsec().next().unwrap().spi, Spi(0x99));
    assert_eq!(summary(&on_4500(&[0xff])), (Kind::KeepAlive, "keepalive".into(), String::new()));
    let marked = [&[0; 4][..], &ike(35, 0x08)].concat();
    assert_eq!(summary(&on_4500(&marked)), (Kind::Ike, "IKE".into(), "IKEv2 IKE_AUTH request 1: SK".into()));
    let first = ethernet(0x86dd, &ipv6(17, &udp(500, 500, &ike(34, 0x20))));
    assert_eq!(summary(&first), (Kind::Ike, "IKE".into(), "IKEv2 IKE_SA_INIT response 1: SK".into()));
    let no_ike = on_4500(&[0, 0, 0, 0, 1]);
    assert_eq!(summary(&no_ike), (Kind::Ike, "IKE".into(), "IKE cut short: 1 of 28 bytes".into()));
}

#[test]
fn the_payloads_of_ike_are_read_up_to_where_they_are_encrypted() {
    let on_500 = |message: &[u8]| ethernet(0x0800, &ipv4(17, &udp(500, 500, message)));
    let check = |message: &[u8], info: &str, expected: &[&str]| {
        let frame = on_500(message);
        assert_eq!(summary(&frame).2, info);
        assert_eq!(layers(&frame)[4..], *expected);
    };
    check(
        &ike_of(2, 34, 0x08, &[(33, 0, &[1; 8]), (34, 0, &[2; 4]), (40, 0, &[3; 16]), (200, 0x80, &[])]),
        "IKEv2 IKE_SA_INIT request 1: SA KE Nonce 200",
        &["IKE SA payload 70..82", "IKE KE payload 82..90", "IKE Nonce payload 90..110", "IKE payload 200 110..114"],
    );
    // What an encrypted payload says to be next is the first one inside.
    check(
        &ike_of(2, 35, 0x08, &[(41, 0, &[]), (46, 0, &[9; 8]), (35, 0, &[9; 8])]),
        "IKEv2 IKE_AUTH request 1: N SK",
        &["IKE N payload 70..74", "IKE SK payload 74..86", "data 86..98"],
    );
    check(
        &ike_of(1, 2, 0, &[(1, 0, &[1; 8]), (13, 0, &[2; 16])]),
        "IKEv1 main mode: SA VID",
        &["IKE SA payload 70..82", "IKE VID payload 82..102"],
    );
    check(&ike_of(1, 32, 1, &[(8, 0, &[1; 8])]), "IKEv1 quick mode", &["data 70..82"]);
    let mut broken = ike_of(2, 34, 0x08, &[(33, 0, &[1; 8])]);
    broken[31] = 3;
    let flaw = "the payload claims to be shorter than its header";
    check(
        &broken,
        &format!("IKEv2 IKE_SA_INIT request 1: SA; IKE SA payload {flaw}"),
        &[&format!("IKE SA payload 70..74 ({flaw})"), "data 74..82"],
    );
    broken[31] = 99;
    check(
        &broken,
        "IKEv2 IKE_SA_INIT request 1: SA; IKE SA payload cut short: 12 of 99 bytes",
        &["IKE SA payload 70..82 (cut short: 12 of 99 bytes)"],
    );
}

#[test]
fn an_ike_payload_says_whether_it_is_critical() {
    let critical = |version, byte: u8| {
        let frame = ethernet(0x0800, &ipv4(17, &udp(500, 500, &ike_of(version, 34, 0, &[(43, byte, &[])]))));
        let dissection = seen(&frame);
        let payloads = dissection.layers().iter().filter_map(|layer| match &layer.header {
            Header::IkePayload(payload) => Some(payload.critical),
            _ => None,
        });
        payloads.collect::<Vec<_>>()
    };
    assert_eq!((critical(2, 0x80), critical(2, 0x7f)), (vec![true], vec![false]));
    assert_eq!(critical(1, 0x80), [false], "version 1 has no such flag");
}

#[test]
fn payloads_are_followed_but_not_for_ever() {
    for count in 1..64 {
        let payloads: Vec<(u8, u8, &[u8])> =
            [vec![(41, 0, &[][..]); count], vec![(46, 0, &[9; 8]), (41, 0, &[])]].concat();
        let frame = ethernet(0x0800, &ipv4(17, &udp(500, 500, &ike_of(2, 35, 0, &payloads))));
        let dissection = seen(&frame);
        assert_eq!(dissection.layers().len(), 4 + count + 2, "{count}");
        assert!(dissection.layers().iter().all(|layer| layer.flaw.is_none()), "{count}");
    }
    let payloads: Vec<(u8, u8, &[u8])> = vec![(41, 0, &[]); 500];
    let frame = ethernet(0x0800, &ipv4(17, &udp(500, 500, &ike_of(2, 34, 0, &payloads))));
    let dissection = seen(&frame);
    assert_eq!(dissection.layers().len(), MOST_LAYERS_WITH_PAYLOADS + 1);
    assert_eq!(dissection.layers().last().unwrap().flaw.as_deref(), Some(&Flaw::TooDeep));
}

#[test]
fn tcp_carries_esp_and_ike_in_a_stream() {
    let esp = tcp_message(&esp(0x1001, 7, &[0xaa; 24]));
    let ike = tcp_message(&[&[0; 4][..], &ike(35, 0x08)].concat());
    let of = |payload: &[u8]| {
        let frame = on_tcp_4500(payload);
        (summary(&frame), layers(&frame)[3..].to_vec())
    };
    let (line, parts) = of(&esp);
    assert_eq!(line, (Kind::EspInTcp, "TCP/ESP".into(), "7777 > 4500 PSH ACK".into()));
    assert_eq!(parts, ["TCP encapsulation 66..68", "ESP 68..100"]);
    let (line, parts) = of(&[b"IKETCP", &ike[..]].concat());
    assert_eq!(line, (Kind::Ike, "IKE".into(), "7777 > 4500 PSH ACK; IKEv2 IKE_AUTH request 1: SK".into()));
    assert_eq!(
        parts,
        [
            "TCP encapsulation 66..72",
            "TCP encapsulation 72..74",
            "UDP encapsulation 74..78",
            "IKE 78..106",
            "IKE SK payload 106..114"
        ]
    );
    let (line, parts) = of(&[&esp[..], &tcp_message(&[0xff]), &esp].concat());
    assert_eq!(line, (Kind::EspInTcp, "TCP/ESP".into(), "7777 > 4500 PSH ACK; 3 messages".into()));
    assert_eq!(parts.len(), 6);
    let spis: Vec<Spi> = seen(&on_tcp_4500(&[&esp[..], &esp].concat())).ipsec().map(|header| header.spi).collect();
    assert_eq!(spis, [Spi(0x1001), Spi(0x1001)]);
}

#[test]
fn a_piece_of_a_tcp_stream_is_called_one() {
    let esp = tcp_message(&esp(0x1001, 7, &[0xaa; 24]));
    let piece = |payload: &[u8]| {
        let frame = on_tcp_4500(payload);
        assert_eq!(
            summary(&frame),
            (Kind::StreamPiece, "TCP".into(), "7777 > 4500 PSH ACK; a piece of the stream".into())
        );
        assert_eq!(layers(&frame)[3..], [format!("TCP encapsulation 66..{}", frame.len())]);
    };
    piece(&esp[1..]);
    piece(&esp[..30]);
    piece(&[0, 0, 0, 0]);
    piece(&tcp_message(&[1, 2, 3, 4]));
    piece(&[&esp[..], &esp[..9]].concat());
    // Behind the stream's beginning a message's place is known, but what is cut is not taken for a whole packet.
    let frame = on_tcp_4500(&[b"IKETCP", &esp[..20]].concat());
    assert_eq!(seen(&frame).ipsec().count(), 0);
    assert_eq!(layers(&frame)[4..], ["TCP encapsulation 72..74 (cut short: 20 of 34 bytes)", "data 74..92"]);
    let frame = on_tcp_4500(b"IKETCP\0\x01xy");
    assert_eq!(
        layers(&frame)[4..],
        ["TCP encapsulation 72..74 (the message claims fewer than 2 bytes)", "data 74..76"]
    );
    assert_eq!(summary(&on_tcp_4500(b"")).1, "TCP", "an acknowledgement is no piece");
}

#[test]
fn messages_of_a_tcp_segment_are_not_followed_for_ever() {
    let many = tcp_message(&esp(0x1001, 7, &[])).repeat(2000);
    let dissection = seen(&on_tcp_4500(&many));
    assert_eq!(dissection.layers().len(), MOST_LAYERS_OF_A_FRAME + 2);
    assert!(dissection.layers().iter().any(|layer| layer.flaw.as_deref() == Some(&Flaw::TooDeep)));
}

#[test]
fn tunnels_are_followed_where_they_can_be_read() {
    let inner = ipv4(17, &udp(1, 2, b"xy"));
    let frame = ethernet(0x86dd, &ipv6(4, &inner));
    assert_eq!(summary(&frame), (Kind::Plain, "IPv4/UDP".into(), "1 > 2, 2 bytes".into()));
    let gre = [&[0x20, 0, 8, 0, 0, 0, 0, 7][..], &inner].concat();
    let frame = ethernet(0x0800, &ipv4(47, &gre));
    assert_eq!(summary(&frame), (Kind::Plain, "GRE/IPv4/UDP".into(), "key 0x7; 1 > 2, 2 bytes".into()));
    let compressed = ethernet(0x0800, &ipv4(108, &[17, 0, 0x12, 0x34, 9, 9]));
    assert_eq!(summary(&compressed).0, Kind::IpComp);
    assert_eq!(seen(&compressed).ipsec().next().unwrap().spi, Spi(0x1234));
}

#[test]
fn the_packet_quoted_in_an_icmp_error_was_not_on_the_wire() {
    let quoted = ipv4(50, &esp(5, 5, &[0; 8]));
    let frame = ethernet(0x0800, &ipv4(1, &[&[3, 2, 0, 0, 0, 0, 0, 0][..], &quoted].concat()));
    assert_eq!(summary(&frame), (Kind::Plain, "ICMP".into(), "protocol unreachable".into()));
    assert_eq!(seen(&frame).ipsec().count(), 0);
}

#[test]
fn fragments_show_their_piece() {
    let whole = udp(7777, 9, &[7; 100]);
    let first = ethernet(0x0800, &ipv4_fragment(17, 0x2000, &whole[..64]));
    assert_eq!(summary(&first), (Kind::Plain, "UDP".into(), "fragment from byte 0 on; 7777 > 9, 56 bytes".into()));
    let last = ethernet(0x0800, &ipv4_fragment(50, 8, &whole[64..]));
    let words = "last fragment, from byte 64 on".to_owned();
    assert_eq!(summary(&last), (Kind::Plain, "ESP fragment".into(), words));
    assert_eq!(seen(&last).ipsec().count(), 0, "the middle of a packet has no header");
    let v6 = [&[17, 0, 0, 9, 0, 0, 0, 1][..], &whole[8..]].concat();
    let middle = ethernet(0x86dd, &ipv6(44, &v6));
    assert_eq!(summary(&middle).1, "UDP fragment");
}

#[test]
fn extension_headers_lead_to_what_follows() {
    let options = [&[60, 0, 1, 4, 0, 0, 0, 0, 50, 0, 1, 4, 0, 0, 0, 0][..], &esp(0x77, 1, &[3; 16])].concat();
    let frame = ethernet(0x86dd, &ipv6(0, &options));
    assert_eq!(layers(&frame)[2..], ["hop-by-hop options 54..62", "destination options 62..70", "ESP 70..94"]);
    assert_eq!(summary(&frame).1, "ESP");
    let nothing = ethernet(0x86dd, &ipv6(59, &[]));
    assert_eq!(summary(&nothing).1, "IPv6");
}

#[test]
fn what_is_cut_short_or_wrong_is_said_and_the_rest_stays() {
    let frame = ethernet(0x0800, &ipv4(51, &ah(50, 0x4001, 7, &esp(0x1001, 8, &[0xaa; 32]))));
    assert_eq!(
        layers(&frame[..62])[1..],
        ["IPv4 14..34 (cut short: 48 of 84 bytes)", "AH 34..58", "ESP 58..62 (cut short: 4 of 8 bytes)"]
    );
    assert_eq!(layers(&frame[..20])[1], "IPv4 14..20 (cut short: 6 of 20 bytes)");
    let mut wrong = frame.clone();
    wrong[14] = 0x43;
    assert_eq!(layers(&wrong)[1], "IPv4 14..34 (the header claims fewer than 20 bytes)");
    assert_eq!(layers(&[]), ["Ethernet 0..0 (cut short: 0 of 14 bytes)"]);
    let mut padded = ethernet(0x0800, &ipv4(17, &udp(1, 2, b"x")));
    padded.resize(60, 0);
    assert_eq!(layers(&padded).last().unwrap(), "data 43..60", "padding is no payload");
    assert_eq!(summary(&padded).2, "1 > 2, 1 byte");
}

#[test]
fn headers_inside_headers_are_not_followed_for_ever() {
    let mut packet = udp(1, 2, b"x");
    for _ in 0..100 {
        packet = ipv4(4, &packet);
    }
    let dissection = seen(&ethernet(0x0800, &packet));
    assert_eq!(dissection.layers().len(), MOST_LAYERS + 1);
    assert_eq!(dissection.layers().last().unwrap().flaw.as_deref(), Some(&Flaw::TooDeep));
}

#[test]
fn other_links_begin_otherwise() {
    let packet = ipv4(50, &esp(5, 6, &[1; 8]));
    let spi = |link, frame: &[u8]| dissect(link, frame).ipsec().next().map(|header| header.spi);
    assert_eq!(spi(LinkType::RawIp, &packet), Some(Spi(5)));
    let cooked = [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0][..], &packet].concat();
    assert_eq!(spi(LinkType::LinuxCooked, &cooked), Some(Spi(5)));
    let cooked2 = [&[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &packet].concat();
    assert_eq!(spi(LinkType::LinuxCooked2, &cooked2), Some(Spi(5)));
    assert_eq!(spi(LinkType::Loopback, &[&[2, 0, 0, 0][..], &packet].concat()), Some(Spi(5)));
    assert_eq!(spi(LinkType::Unknown(1), &packet), None);
}

fn links() -> impl Strategy<Value = LinkType> {
    prop::sample::select(vec![
        LinkType::Ethernet,
        LinkType::RawIp,
        LinkType::LinuxCooked,
        LinkType::LinuxCooked2,
        LinkType::Loopback,
        LinkType::Unknown(9),
    ])
}

/// Everything that is asked of a frame.
fn holds(link: LinkType, frame: &[u8]) {
    let dissection = dissect(link, frame);
    let mut reached = 0;
    for layer in dissection.layers() {
        assert!(layer.range().start == reached && layer.range().end >= layer.range().start, "{dissection:?}");
        reached = layer.range().end;
    }
    assert_eq!(reached, frame.len(), "every byte belongs to one layer: {dissection:?}");
    let summary = Summary::of(&dissection);
    for text in [&*summary.info, &*summary.protocol] {
        assert_eq!(harmless(text), text, "nothing of the wire is written raw");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(link in links(), frame in prop::collection::vec(any::<u8>(), 0..200)) {
        holds(link, &frame);
    }

    #[test]
    fn frames_with_some_bytes_changed_are_taken(
        which in 0usize..10,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let inner = ipv4(17, &udp(4500, 4500, &[&[0; 4][..], &ike(34, 0)].concat()));
        let mut frame = match which {
            0 => ethernet(0x0800, &ipv4(51, &ah(50, 1, 2, &esp(3, 4, &[5; 20])))),
            1 => ethernet(0x0800, &inner),
            2 => ethernet(0x86dd, &ipv6(4, &inner)),
            3 => ethernet(0x88a8, &[&[0, 1, 0x81, 0, 0, 2, 8, 0][..], &inner].concat()),
            4 => ethernet(0x0800, &ipv4(47, &[&[0xb0, 0, 8, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2][..], &inner].concat())),
            5 => ethernet(0x86dd, &ipv6(0, &[&[43, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0][..], &tcp(2, b"")].concat())),
            6 => ethernet(0x0800, &ipv4(108, &[6, 0, 1, 2, 3, 4])),
            7 => on_tcp_4500(&[b"IKETCP", &tcp_message(&[&[0; 4][..], &ike(34, 0)].concat())[..]].concat()),
            8 => on_tcp_4500(&[tcp_message(&esp(1, 2, &[3; 4])), tcp_message(&[0xff])].concat()),
            _ => ethernet(0x86dd, &ipv6(44, &[&[58, 0, 0, 1, 0, 0, 0, 1][..], &[135, 0, 0, 0, 0, 0, 0, 0][..]].concat())),
        };
        for (place, value) in changes {
            let place = place.index(frame.len());
            frame[place] = value;
        }
        frame.truncate(cut.index(frame.len()) + 1);
        holds(LinkType::Ethernet, &frame);
    }
}
