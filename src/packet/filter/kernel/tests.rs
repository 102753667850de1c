//! The program, carried out as the kernel does it, beside the filter itself.

use proptest::prelude::*;

use super::*;
use crate::packet::filter::Subject;
use crate::packet::tests::{esp, ethernet, ipv4, udp};
use crate::packet::{Direction, Dissection, Header, LinkType, dissect};

/// What the kernel's interpreter does with the steps that are used here. What cannot be loaded drops the frame.
fn keeps(program: &[Instruction], frame: &[u8]) -> bool {
    let network = &frame[14.min(frame.len())..];
    let load = |at: u32, index: u32, bytes: usize| -> Option<u32> {
        if at == ETHER_TYPE {
            return Some(u32::from(u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?])));
        }
        let at = usize::try_from(at.wrapping_sub(NETWORK) + index).ok()?;
        let bytes = network.get(at..at + bytes)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    };
    let (mut accumulator, mut index, mut at) = (0, 0, 0);
    for _ in 0..=program.len() {
        let step = program[at];
        let loaded = match step.code {
            LOAD_WORD => load(step.number, 0, 4),
            LOAD_HALF => load(step.number, 0, 2),
            LOAD_BYTE => load(step.number, 0, 1),
            LOAD_HALF_INDEXED => load(step.number, index, 2),
            INDEX_HEADER_LENGTH => {
                let Some(byte) = load(step.number, 0, 1) else { return false };
                index = 4 * (byte & 0xf);
                Some(accumulator)
            }
            LOAD_LENGTH => u32::try_from(frame.len()).ok(),
            SUBTRACT => Some(accumulator.wrapping_sub(step.number)),
            SUBTRACT_INDEX => Some(accumulator.wrapping_sub(index)),
            AND => Some(accumulator & step.number),
            JUMP_IF_EQUAL | JUMP_IF_ANY_BIT | JUMP_IF_GREATER | JUMP_IF_AT_LEAST | JUMP_IF_AT_LEAST_INDEX | RETURN => {
                Some(accumulator)
            }
            other => panic!("nobody taught this interpreter {other:#x}"),
        };
        let Some(loaded) = loaded else { return false };
        accumulator = loaded;
        let skipped = match step.code {
            JUMP_IF_EQUAL if accumulator == step.number => step.if_so,
            JUMP_IF_ANY_BIT if accumulator & step.number != 0 => step.if_so,
            JUMP_IF_GREATER if accumulator > step.number => step.if_so,
            JUMP_IF_AT_LEAST if accumulator >= step.number => step.if_so,
            JUMP_IF_AT_LEAST_INDEX if accumulator >= index => step.if_so,
            JUMP_IF_EQUAL | JUMP_IF_ANY_BIT | JUMP_IF_GREATER | JUMP_IF_AT_LEAST | JUMP_IF_AT_LEAST_INDEX => {
                step.if_not
            }
            RETURN => return step.number > 0,
            _ => 0,
        };
        at += 1 + usize::from(skipped);
    }
    panic!("the program does not end");
}

fn program(text: &str) -> Vec<Instruction> {
    Filter::parse(text).unwrap().unwrap().for_kernel().unwrap()
}

fn tcp(source: u16, destination: u16) -> Vec<u8> {
    let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0, 0, 0, 0, 0, 0]);
    segment
}

fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([next_header, 64]);
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(payload);
    packet
}

/// A datagram from 10.9.0.1 port 7777 to 10.9.0.2 port 53, and a segment of the same ends and ports.
fn check(text: &str, datagram: bool, segment: bool) {
    let program = program(text);
    let frame = |protocol, payload: &[u8]| ethernet(0x0800, &ipv4(protocol, payload));
    assert_eq!(keeps(&program, &frame(17, &udp(7777, 53, b"hello"))), datagram, "{text}");
    assert_eq!(keeps(&program, &frame(6, &tcp(7777, 53))), segment, "{text}");
    for always in [frame(50, &esp(0x1001, 1, &[0; 32])), frame(17, &udp(4500, 4500, &[0; 20])), frame(6, &tcp(4500, 9))]
    {
        assert!(keeps(&program, &always), "{text} would hide IPsec");
    }
}

#[test]
fn plain_frames_that_do_not_fit_are_dropped() {
    check("udp", true, false);
    check("tcp port 53", false, true);
    check("not udp", false, true);
    check("host 10.9.0.2 and port 53", true, true);
    check("src host 10.9.0.2", false, false);
    check("net 10.9.0.0/24 and not port 7777", false, false);
    check("dst net 10.8.0.0/15 and src port 7777", true, true);
    check("esp", false, false);
    check("not esp", true, true);
    check("ip6 or arp", false, false);
    check("proto 17 or proto 132", true, false);
    check("host fd00:9::1", false, false);
    check("portrange 50-60", true, true);
    check("dst portrange 54-60 or src portrange 0-7776", false, false);
    check("ip proto 6 or ip6 proto 17", false, true);
    check("sctp or sctp port 53", false, false);
}

#[test]
fn what_the_kernel_cannot_know_is_left_to_the_filter() {
    check("text \"hello\"", true, true);
    check("udp and text \"hello\"", true, false);
    check("not text \"hello\"", true, true);
    check("verdict clear! or tcp", true, true);
    check("in", true, true);
    check("not (udp and text \"hello\")", true, true);
}

#[test]
fn of_ipv6_and_of_everything_else() {
    let (datagram, segment) = (udp(7777, 53, b"hello"), tcp(7777, 53));
    let v6 = |text: &str, next: u8, payload: &[u8]| keeps(&program(text), &ethernet(0x86dd, &ipv6(next, payload)));
    assert!(v6("host fd00:9::2 and udp", 17, &datagram) && !v6("host fd00:9::3", 17, &datagram));
    assert!(v6("net fd00:9::/32", 6, &segment) && !v6("net fd00:8::/32", 6, &segment) && !v6("ip", 6, &segment));
    assert!(v6("tcp", 0, &datagram), "behind an extension header may be anything");
    assert!(v6("tcp", 50, &datagram) && v6("tcp", 58, &datagram));
    for kept in [0x0806, 0x8100, 0x88a8, 0x1234] {
        assert!(keeps(&program("udp"), &ethernet(kept, &datagram)));
    }
    let mut fragment = ipv4(6, &segment);
    fragment[6] = 0x20;
    assert!(keeps(&program("udp"), &ethernet(0x0800, &fragment)));
}

#[test]
fn every_part_of_a_packet_comes_because_it_may_complete_one_that_fits() {
    let datagram = udp(7777, 9, b"hello");
    for text in ["esp", "spi 0x1001", "udp port 53", "host 10.8.0.9", "not udp", "not (ip or ip6)", "text \"hello\""] {
        let program = program(text);
        for flags in [[0x20, 0], [0x20, 9], [0, 9]] {
            for protocol in [6, 17, 50, 132] {
                let mut part = ipv4(protocol, &datagram);
                part[6..8].copy_from_slice(&flags);
                assert!(keeps(&program, &ethernet(0x0800, &part)), "{text} drops part {flags:?} of {protocol}");
            }
        }
        for (protocol, offset) in [(17, 1), (17, 8), (50, 8)] {
            let header = [protocol, 0, 0, offset, 0, 0, 0, 7];
            let part = ipv6(44, &[&header, &*datagram].concat());
            assert!(keeps(&program, &ethernet(0x86dd, &part)), "{text} drops a part of {protocol} at {offset}");
        }
    }
}

#[test]
fn what_lies_about_its_length_is_kept() {
    let kept = |text: &str, frame: &[u8]| keeps(&program(text), frame);
    let v4 = ethernet(0x0800, &ipv4(17, &udp(7777, 53, b"hello")));
    let v6 = ethernet(0x86dd, &ipv6(17, &udp(7777, 53, b"hello")));
    for (frame, at) in [(v4, 17), (v6, 19)] {
        assert!(!kept("not udp", &frame) && !kept("tcp", &frame));
        let mut claims_less = frame.clone();
        // Four bytes; IPv4 counts its header.
        claims_less[at] = if at == 17 { 24 } else { 4 };
        assert!(kept("not udp", &claims_less), "without its whole header it is no datagram");
        assert!(kept("tcp", &frame[..frame.len() - 9]), "cut within a header");
    }
}

#[test]
fn ports_that_sas_name_are_let_through() {
    let filter = Filter::parse("host 10.8.0.9").unwrap().unwrap();
    let keeps = |ports: &[u16], frame: &[u8]| keeps(&filter.clone().or_ports(ports).for_kernel().unwrap(), frame);
    let frame = |to: u16| ethernet(0x0800, &ipv4(17, &udp(7777, to, b"hello")));
    assert!(!keeps(&[], &frame(5555)) && keeps(&[5555, 6666], &frame(5555)) && keeps(&[5555, 6666], &frame(6666)));
    assert!(keeps(&[7777], &frame(53)) && !keeps(&[5555], &frame(53)));
}

#[test]
fn a_filter_that_is_too_long_is_no_program() {
    let long: Vec<String> = (0..60).map(|port| format!("udp port {port}")).collect();
    assert_eq!(Filter::parse(&long.join(" or ")).unwrap().unwrap().for_kernel(), None);
}

/// Whether the judge needs a frame, whoever asks for it or not.
fn is_the_judges(dissection: &Dissection) -> bool {
    dissection.layers().iter().any(|layer| match &layer.header {
        Header::Ipv4(ip) => ip.more_fragments || ip.fragment_offset > 0,
        Header::Tcp(tcp) => tcp.source == 4500 || tcp.destination == 4500,
        Header::Udp(udp) => [500, 4500].iter().any(|port| [udp.source, udp.destination].contains(port)),
        Header::Esp(_) | Header::Ah(_) | Header::IpComp(_) | Header::Ike(_) | Header::Ipv6Fragment(_) => true,
        _ => false,
    })
}

fn any_test() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec!["10.9.0.1", "10.9.0.2", "10.9.0.3", "fd00:9::1", "10.9.0.0/24", "10.0.0.0/7"]);
    let end = prop::sample::select(vec!["", "src ", "dst "]);
    prop_oneof![
        (end.clone(), host).prop_map(|(end, host)| format!("{end}{host}")),
        (end.clone(), prop::sample::select(vec![53, 500, 4500, 7777]))
            .prop_map(|(end, port)| format!("{end}port {port}")),
        (end, prop::sample::select(vec!["53-80", "0-52", "500-65535"]))
            .prop_map(|(end, ports)| format!("{end}portrange {ports}")),
        prop::sample::select(vec![
            "udp",
            "tcp",
            "esp",
            "ah",
            "ike",
            "ip",
            "ip6",
            "icmp",
            "arp",
            "gre",
            "ipsec",
            "in",
            "out",
            "less 60",
            "fragment",
            "greater 60",
            "vlan",
            "proto 17",
            "proto 132",
            "ip proto 17",
            "ip6 proto 6",
            "sctp",
            "sctp port 53",
            "broadcast",
            "multicast",
            "ether host 02:00:00:00:00:01",
            "ip multicast",
            "spi 0x1001",
            "text \"hello\"",
            "verdict clear",
        ])
        .prop_map(str::to_owned),
    ]
}

fn any_filter() -> impl Strategy<Value = String> {
    any_test().prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("not ({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) or ({b})")),
        ]
    })
}

fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let port = || prop::sample::select(vec![53_u16, 500, 4500, 7777, 80]);
    let payload = (port(), port(), any::<bool>())
        .prop_map(|(from, to, is_udp)| if is_udp { (17, udp(from, to, b"hello world")) } else { (6, tcp(from, to)) });
    let protocol = prop_oneof![Just(6), Just(17), Just(132), any::<u8>()];
    let other = (protocol, prop::collection::vec(any::<u8>(), 0..60));
    (prop_oneof![4 => payload, 1 => other], any::<bool>(), any::<u16>()).prop_map(|((protocol, payload), v6, flags)| {
        if v6 {
            return ethernet(0x86dd, &ipv6(protocol, &payload));
        }
        let mut packet = ipv4(protocol, &payload);
        if flags.is_multiple_of(5) {
            packet[6..8].copy_from_slice(&flags.to_be_bytes());
        }
        ethernet(0x0800, &packet)
    })
}

/// Frames as nobody should send them: cut anywhere, with a byte that says something else.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let cut = prop::option::weighted(0.2, any::<prop::sample::Index>());
    // Among them the version and the lengths that a packet claims.
    let place = prop_oneof![prop::sample::select(vec![14, 17, 19]), 14..44_usize];
    let wrong = prop::option::weighted(0.5, (place, prop_oneof![0..60_u8, any::<u8>()]));
    (any_packet(), cut, wrong).prop_map(|(mut frame, cut, wrong)| {
        if let Some((at, byte)) = wrong
            && at < frame.len()
        {
            frame[at] = byte;
        }
        if let Some(cut) = cut {
            frame.truncate(cut.index(frame.len() + 1).max(14));
        }
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn nothing_that_fits_is_dropped_and_nothing_of_ipsec(text in any_filter(), frame in any_frame()) {
        let filter = Filter::parse(&text).unwrap().unwrap();
        let Some(program) = filter.for_kernel() else { return Ok(()) };
        let dissection = dissect(LinkType::Ethernet, &frame);
        let subject = Subject {
            dissection: &dissection,
            direction: Some(Direction::Out),
            length: frame.len(),
            bytes: &frame,
            whole: None,
            verdict: "CLEAR",
            inside: &|_| false,
        };
        if filter.fits(subject) || is_the_judges(&dissection) {
            prop_assert!(keeps(&program, &frame), "{text} drops {frame:02x?}");
        }
    }
}
