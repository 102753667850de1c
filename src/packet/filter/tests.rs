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
        "proto 17 and proto udp",
        "not udp port 54",
        "not vlan and not fragment",
        "peer 10.9.0.2",
        "verdict clear!",
        "not verdict clear and not verdict ok",
        "text \"hello world\" and (text \"decrypted text\")",
        "!text \"goodbye\"",
    ];
    for text in fitting {
        assert!(fits_datagram(text), "{text}");
    }
    let others =
        ["tcp", "ip6", "arp", "host 10.9.0.3", "src 10.9.0.2", "src port 53", "in", "less 20", "esp", "vlan 5"];
    for text in others {
        assert!(!fits_datagram(text), "{text}");
    }
}

#[test]
fn and_binds_closer_than_or() {
    assert!(fits_datagram("udp or tcp and arp"));
    assert!(!fits_datagram("(udp or tcp) and arp"));
    assert!(!fits_datagram("not udp port 53"), "the words after a protocol belong to it");
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
        ("port 70000", 6, "expected a port from 0 to 65535, found \"70000\""),
        ("src host ten", 10, "expected an IPv4 or IPv6 address, found \"ten\""),
        ("net 10.0.0.0/40", 5, "expected a prefix, as 10.9.0.0/24, found \"10.0.0.0/40\""),
        ("spi 0xzz", 5, "expected an SPI, as 0x1001 or 4097, found \"0xzz\""),
        ("spi", 4, "expected an SPI, as 0x1001 or 4097"),
        ("text hello", 6, "expected a text in \"quotes\", found \"hello\""),
        ("text \"hello world", 6, "expected a text in \"quotes\", found \"\"hello world\""),
        ("ünd \u{1b}[2J", 1, "expected a condition, as esp, host 10.9.0.2, port 500 or spi 0x1001, found \"ünd\""),
        ("esp \u{1b}[2J", 5, "expected \"and\", \"or\", or the end, found \"\\x1b[2J\""),
    ];
    for (text, column, message) in cases {
        assert_eq!(Filter::parse(text), Err(FilterError { column, message: message.to_owned() }), "{text}");
    }
    let deep = "(".repeat(100_000);
    assert!(Filter::parse(&deep).unwrap_err().message.contains("fewer than 64 brackets"));
}
