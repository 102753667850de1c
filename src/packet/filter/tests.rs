//! What the words mean, and what is said of those that mean nothing.

use super::*;
use crate::packet::tests::{ah, esp, ethernet, ipv4, udp};
use crate::packet::{LinkType, dissect};

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).unwrap()
}

/// Whether an outgoing datagram from 10.9.0.1 port 7777 to 10.9.0.2 port 53 fits.
fn fits_datagram(text: &str) -> bool {
    let frame = ethernet(0x0800, &ipv4(17, &udp(7777, 53, b"hello world")));
    fits(text, &frame)
}

/// Whether the article's kind of packet fits: AH 0x4001 around ESP 0x1001.
fn fits_protected(text: &str) -> bool {
    fits(text, &ethernet(0x0800, &ipv4(51, &ah(50, 0x4001, 7, &esp(0x1001, 7, &[0xaa; 32])))))
}

fn fits(text: &str, frame: &[u8]) -> bool {
    let dissection = dissect(LinkType::Ethernet, frame);
    let subject = Subject {
        dissection: &dissection,
        direction: Some(Direction::Out),
        length: frame.len(),
        bytes: frame,
        whole: None,
        verdict: "CLEAR !",
        inside: &|text| text == b"decrypted text",
    };
    filter(text).fits(subject)
}

#[test]
fn tcpdumps_words_mean_what_they_mean_there() {
    let fitting = [
        "udp",
        "ip",
        "host 10.9.0.1",
        "10.9.0.2",
        "src host 10.9.0.1 and dst 10.9.0.2",
        "net 10.9.0.0/16",
        "dst net 10.9.0.0/24",
        "10.0.0.0/8",
        "port 53",
        "port 52 or 53",
        "udp dst port 53",
        "tcp port 53 or udp port 53",
        "not tcp && !(port 54 || port 55)",
        "out and greater 53 and less 53",
        "proto 17 and proto udp and proto \\udp",
        "ip proto 17 and not ip6 proto 17",
        "ip proto udp and port domain",
        "portrange 50-60 and portrange 60-50",
        "src portrange 7000-8000",
        "src or dst port 53",
        "src or dst host 10.9.0.1",
        "src and dst net 10.9.0.0/24",
        "not (src and dst port 53)",
        "not src and dst host 10.9.0.1",
        "net 10.9.0 and net 10.9 and net 10 and net 10.9/16",
        "dst net 10.9.0.0 mask 255.255.255.0",
        "ether host 02:00:00:00:00:01",
        "ether src 02:00:00:00:00:01 or ether src host 02:00:00:00:00:02",
        "not broadcast and not multicast and not ether multicast and not ip multicast",
        "not sctp and not icmp6",
        "text hello and text world",
        "not udp port 54",
        "not vlan and not fragment",
        "peer 10.9.0.2",
        "verdict clear!",
        "verdict CLEAR!",
        "not verdict clear and not verdict ok",
        "text \"hello world\" and (text \"decrypted text\")",
        "!text \"goodbye\"",
    ];
    for text in fitting {
        assert!(fits_datagram(text), "{text}");
    }
    let others = [
        "tcp",
        "ip6",
        "arp",
        "host 10.9.0.3",
        "src 10.9.0.2",
        "src port 53",
        "in",
        "less 20",
        "esp",
        "vlan 5",
        "portrange 54-60",
        "src and dst port 53",
        "ip6 proto 17",
        "net 10.9.1",
        "net 10.8.0.0 mask 255.255.0.0",
        "ether dst 02:00:00:00:00:0f",
        "port http",
    ];
    for text in others {
        assert!(!fits_datagram(text), "{text}");
    }
}

#[test]
fn and_and_or_bind_alike_from_left_to_right_as_in_tcpdump() {
    assert!(!fits_datagram("udp or tcp and arp"));
    assert!(fits_datagram("udp or (tcp and arp)"));
    assert!(fits_datagram("arp and tcp or udp") && !fits_datagram("arp and (tcp or udp)"));
    assert!(fits_datagram("not arp or udp and ip") && !fits_datagram("not (arp or udp) and ip"));
    assert!(!fits_datagram("not udp port 53"), "the words after a protocol belong to it");
}

/// Whether both are the same condition.
fn check_same(text: &str, expected: &str) {
    assert_eq!(filter(text), filter(expected), "{text}");
}

#[test]
fn the_words_before_a_value_are_those_of_the_values_behind_it() {
    check_same("udp port 53 or 80", "udp port 53 or udp port 80");
    check_same("udp src port 53 or not 80", "udp src port 53 or not udp src port 80");
    check_same("udp port (53 or 80)", "udp port 53 or udp port 80");
    check_same("src host (10.9.0.1 or 10.9.0.2) and 10.9.0.3", "src 10.9.0.1 or src 10.9.0.2 and src 10.9.0.3");
    check_same("net 10.9 or 192.168", "net 10.9.0.0/16 or net 192.168.0.0/16");
    check_same("src host 10.9.0.1 or 10.8.0.0/16", "src host 10.9.0.1 or src net 10.8.0.0/16");
    check_same("port 80 or ip proto 17 or 6", "port 80 or ip proto 17 or ip proto 6");
    let macs = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
    check_same(&macs.join(" or ").replace("02:00:00:00:00:01", "ether src 02:00:00:00:00:01"), &{
        macs.map(|mac| format!("ether src {mac}")).join(" or ")
    });
    check_same("src port 80 or 10.9.0.1", "src port 80 or host 10.9.0.1");
    for text in ["port 80 or esp or 443", "port 80 or vlan 5 or 7", "port 80 or less 50 or 60", "port 80 or 10.9"] {
        assert!(Filter::parse(text).is_err(), "{text}: nobody can tell what the last number is");
    }
}

#[test]
fn numbers_are_read_as_tcpdump_reads_them() {
    check_same("port 0x35 or 065", "port 53 or port 53");
    check_same("less 0x40 and greater 010", "less 64 and greater 8");
    check_same("proto 0x11 and vlan 0x5", "proto 17 and vlan 5");
    for text in ["port 08", "port +5", "port 0x", "less 1_0", "proto 256", "port 0x10000", "vlan 65536"] {
        assert!(Filter::parse(text).is_err(), "{text}");
    }
}

#[test]
fn parts_from_the_middle_of_a_packet_are_of_its_protocol_and_have_no_ports() {
    let tail = |protocol: u8| {
        let mut packet = ipv4(protocol, &udp(53, 53, b"hello world"));
        packet[6..8].copy_from_slice(&[0, 9]);
        ethernet(0x0800, &packet)
    };
    let words = [("udp", 17), ("tcp", 6), ("esp", 50), ("ah", 51), ("ipsec", 108), ("sctp", 132), ("icmp", 1)];
    for (word, protocol) in words {
        assert!(fits(&format!("{word} and fragment and not port 53"), &tail(protocol)), "{word}");
        assert!(!fits(word, &tail(99)), "{word}");
    }
    let short = ethernet(0x0800, &ipv4(17, &[0, 53, 0]));
    assert!(fits("udp and not port 53 and proto 17", &short));
    // A first fragment of IPv6, and one that is not.
    for offset in [1, 0x40] {
        let mut packet = vec![0x60, 0, 0, 0, 0, 16, 44, 64];
        packet.extend([[0xfd; 16], [0xfe; 16]].concat());
        packet.extend([17, 0, 0, offset, 0, 0, 0, 7, 0, 53, 0, 53, 0, 8, 0, 0]);
        let frame = ethernet(0x86dd, &packet);
        assert!(fits("udp and proto 17 and ip6 proto 17 and not ip proto 17 and not tcp", &frame), "{offset}");
    }
}

#[test]
fn a_frame_that_completes_a_packet_fits_where_the_packet_does() {
    let whole = ipv4(50, &esp(0x1001, 7, b"hello world, in two parts"));
    let mut part = ipv4(50, &whole[40..]);
    part[6..8].copy_from_slice(&[0, 2]);
    let frame = ethernet(0x0800, &part);
    let (dissection, packet) = (dissect(LinkType::Ethernet, &frame), dissect(LinkType::RawIp, &whole));
    let check = |text: &str, alone: bool, together: bool| {
        let subject = Subject {
            dissection: &dissection,
            direction: None,
            length: frame.len(),
            bytes: &frame,
            whole: None,
            verdict: "ESP ok",
            inside: &|_| false,
        };
        assert_eq!(filter(text).fits(subject), alone, "{text} alone");
        let subject = Subject { whole: Some((&packet, &whole)), ..subject };
        assert_eq!(filter(text).fits(subject), together, "{text} together");
    };
    check("spi 0x1001", false, true);
    check("not spi 0x1001", true, false);
    check("text \"hello world\"", false, true);
    check("esp", true, true);
    check("fragment and ether src 02:00:00:00:00:01 and less 60", true, true);
    check("not fragment or ether src 02:00:00:00:00:09", false, false);
    let whole = ipv4(17, &udp(7777, 53, b"hello world"));
    let packet = dissect(LinkType::RawIp, &whole);
    let subject = Subject {
        dissection: &dissection,
        direction: None,
        length: frame.len(),
        bytes: &frame,
        whole: Some((&packet, &whole)),
        verdict: "CLEAR",
        inside: &|_| false,
    };
    assert!(filter("udp dst port 53 and dst host 10.9.0.2").fits(subject));
}

#[test]
fn ipsec_is_found_by_protocol_and_number() {
    for text in ["esp", "ah", "ipsec", "spi 0x1001", "spi 0x4001", "spi 16385", "ah and not udp"] {
        assert!(fits_protected(text), "{text}");
    }
    for text in ["ike", "ipcomp", "spi 0x1002", "udp"] {
        assert!(!fits_protected(text), "{text}");
    }
}

#[test]
fn nothing_is_no_filter() {
    assert_eq!(Filter::parse(""), Ok(None));
    assert_eq!(Filter::parse("  \t "), Ok(None));
}

#[test]
fn errors_say_where_and_what() {
    let cases = [
        ("hello", 1, "expected a condition, as esp, host 10.9.0.2, port 500 or spi 0x1001, found \"hello\""),
        ("esp and", 8, "expected a condition, as esp, host 10.9.0.2, port 500 or spi 0x1001"),
        ("esp udp", 5, "expected \"and\", \"or\", or the end, found \"udp\""),
        ("(esp", 5, "expected \")\""),
        ("port 70000", 6, "expected a port from 0 to 65535, or the name of one, found \"70000\""),
        ("src host ten", 10, "expected an IPv4 or IPv6 address, found \"ten\""),
        ("net 10.0.0.0/40", 5, "expected a prefix, as 10.9.0.0/24, found \"10.0.0.0/40\""),
        ("spi 0xzz", 5, "expected an SPI, as 0x1001 or 4097, found \"0xzz\""),
        ("spi", 4, "expected an SPI, as 0x1001 or 4097"),
        ("text", 5, "expected a text, in \"quotes\" if it has blanks"),
        ("text \"hello world", 6, "expected a text, in \"quotes\" if it has blanks, found \"\"hello world\""),
        ("portrange 1-70000", 11, "expected a range of ports, as 5000-6000, found \"1-70000\""),
        ("net 10.9.0.0.0", 5, "expected a prefix, as 10.9.0.0/24, found \"10.9.0.0.0\""),
        ("net 10.9.0.0 mask 255.0.255.0", 19, "expected a mask, as 255.255.255.0, found \"255.0.255.0\""),
        ("ether host ten", 12, "expected an Ethernet address, as 02:00:00:00:00:01, found \"ten\""),
        ("ip proto nothing", 10, "expected a protocol's name or number, found \"nothing\""),
        ("ünd \u{1b}[2J", 1, "expected a condition, as esp, host 10.9.0.2, port 500 or spi 0x1001, found \"ünd\""),
        ("esp \u{1b}[2J", 5, "expected \"and\", \"or\", or the end, found \"\\x1b[2J\""),
    ];
    for (text, column, message) in cases {
        assert_eq!(Filter::parse(text), Err(FilterError { column, message: message.to_owned() }), "{text}");
    }
    let deep = "(".repeat(100_000);
    assert!(Filter::parse(&deep).unwrap_err().message.contains("fewer than 64 brackets"));
}

#[test]
fn who_a_frame_is_for_and_the_ports_of_sctp() {
    let mut frame = ethernet(0x0800, &ipv4(132, &[0x1f, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0]));
    for text in ["sctp", "proto sctp", "sctp dst port http", "src port 8000", "sctp portrange 79-81"] {
        assert!(fits(text, &frame), "{text}");
    }
    assert!(!fits("sctp src port http", &frame) && !fits("udp port http", &frame));
    frame[..6].fill(0xff);
    assert!(fits("broadcast and multicast and ether broadcast", &frame) && !fits("ip multicast", &frame));
    frame[..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 251]);
    frame[30..34].copy_from_slice(&[224, 0, 0, 251]);
    assert!(fits("multicast and not broadcast and ip multicast and not ip6 multicast", &frame));
    // Which tcpdump takes for one, too.
    frame[30..34].fill(255);
    assert!(fits("ip multicast", &frame));
}

#[test]
fn what_stands_behind_text_in_a_shell_is_a_text_whatever_it_holds() {
    let text = |pieces: &[&str]| match Filter::parse_arguments(pieces) {
        Ok(Some(Filter::Is(Test::Text(text)))) => text.into_string(),
        other => panic!("{pieces:?}: {other:?}"),
    };
    assert_eq!(text(&["text", "hello world"]), "hello world");
    assert_eq!(text(&["text", "\"hello world\""]), "hello world");
    assert_eq!(text(&["text \"hello world\""]), "hello world");
    assert_eq!(text(&["text", "say (\"hi\") or!"]), "say (\"hi\") or!");
    let both = Filter::parse_arguments(&["udp and text", "hello world", "or", "(esp)"]);
    assert!(matches!(both, Ok(Some(Filter::Or(..)))), "{both:?}");
    let error = Filter::parse_arguments(&["text", "a b", "esp"]).unwrap_err();
    assert_eq!(error.to_string(), "column 10: expected \"and\", \"or\", or the end, found \"esp\"");
    assert!(Filter::parse_arguments(&["text", ""]).is_err());
}

#[test]
fn more_conditions_than_anybody_writes_are_refused() {
    let error = Filter::parse(&format!("udp{}", " or udp".repeat(100_000))).unwrap_err();
    assert!(error.to_string().contains("at most 1000 conditions"), "{error}");
}
