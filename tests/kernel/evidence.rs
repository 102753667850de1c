//! Verdicts over what a real kernel sends and receives.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use espial::capture::interfaces;
use espial::kernel::namespace::Namespace;
use serde_json::Value;

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, feed, ip, on_reblochon, run};

pub const TESTS: &[Test] = &[
    ("the_articles_packets_are_authentic_and_read", the_articles_packets),
    ("check_answers_with_a_word_and_a_status", check_answers),
    ("clear_against_a_policy_is_said_with_the_policy", clear_against_a_policy),
    ("another_key_is_a_bad_icv", another_key),
    ("one_packet_on_a_vlan_and_on_its_trunk_is_no_replay", vlan_and_trunk),
    ("a_tunnels_copies_are_no_leaks", tunnel_copies),
];

const ESPIAL: &str = env!("CARGO_BIN_EXE_espial");
const KEY: &str = "0x0102030405060708090a0b0c0d0e0f1011121314";
const OTHER_KEY: &str = "0x0102030405060708090a0b0c0d0e0f1011121315";

fn apply_the_article() {
    for (host, script) in [
        ("gouda", include_str!("../data/article-gouda.conf")),
        ("reblochon", include_str!("../data/article-reblochon.conf")),
    ] {
        let output = feed(ESPIAL, &["--netns", host, "apply", "-"], script);
        assert!(output.status.success(), "{output:?}");
    }
}

/// So many packets that fit a filter, as JSON.
fn packets(count: u32, filter: &str) -> Vec<Value> {
    packets_on(None, count, filter)
}

fn packets_on(interface: Option<&str>, count: u32, filter: &str) -> Vec<Value> {
    let count_words = count.to_string();
    let place = interface.into_iter().flat_map(|name| ["-i", name]);
    let output = run(ESPIAL, ["packets", "--json", "-c", &count_words].into_iter().chain(place).chain([filter]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packets: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(packets.len(), count as usize);
    packets
}

/// The status and the line that `espial check` ends in.
fn check(arguments: &[&str]) -> (i32, String) {
    let output = run(ESPIAL, ["check", "--seconds", "3"].iter().chain(arguments));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

// The hosts' talkers say hello over UDP and TCP every second.

fn the_articles_packets() {
    apply_the_article();
    for packet in packets(6, "text \"hello world\"") {
        assert_eq!(packet["verdict"], "ESP+AH ok", "{packet:#}");
        assert_eq!(packet["layers"], serde_json::json!(["Ethernet", "IPv4", "AH", "ESP"]));
        let encrypted = packet["sa"][1]["encryption"].as_str();
        assert_eq!(encrypted, Some("3des-cbc"));
        // "hello world"
        assert!(packet["inner"]["payload_hex"].as_str().unwrap().starts_with("68656c6c6f20776f726c64"), "{packet:#}");
    }
}

fn check_answers() {
    let (status, line) = check(&[REBLOCHON]);
    assert!(status == 1 && line.starts_with("IN CLEAR: "), "{line}");
    apply_the_article();
    let (status, line) = check(&[REBLOCHON, "--text", "hello world"]);
    assert!(status == 0 && line.starts_with("ENCRYPTED: "), "{line}");
    assert!(line.contains("\"hello world\" was nowhere on the wire, and after decryption in"), "{line}");
    let (status, line) = check(&[REBLOCHON, "--text", "nobody says this"]);
    assert!(status == 2 && line.starts_with("UNDECIDED: "), "{line}");
    let (status, line) = check(&[REBLOCHON, "--probe", "icmp"]);
    assert!(status == 0 && line.contains("espial probe"), "{line}");
    let (status, line) = check(&["10.9.0.77"]);
    assert!(status == 2 && line.contains("nothing was seen of 10.9.0.77"), "{line}");
    // A hole in the policy for one port is enough.
    for host in ["gouda", "reblochon"] {
        ip(&format!("-n {host} xfrm policy add src 10.9.0.1 dst 10.9.0.2 proto udp dport 9 dir out priority 1"));
        ip(&format!("-n {host} xfrm policy add src 10.9.0.1 dst 10.9.0.2 proto udp dport 9 dir in priority 1"));
    }
    let (status, line) = check(&[REBLOCHON, "--probe", "udp:9"]);
    assert!(status == 1 && line.starts_with("MIXED: "), "{line}");
}

fn clear_against_a_policy() {
    ip("xfrm policy add src 10.9.0.2 dst 10.9.0.1 proto udp dport 99 dir in tmpl proto esp mode transport");
    let packet = while_sending("reblochon", REBLOCHON, (GOUDA, 99), || packets(1, "udp dst port 99").remove(0));
    assert_eq!(packet["verdict"], "CLEAR !", "{packet:#}");
    let policy = packet["policy"].as_str().unwrap();
    assert_eq!(policy, "in 10.9.0.2/32 10.9.0.1/32 udp dport 99");
}

fn another_key() {
    let sa = |host: &str, key: &str| {
        ip(&format!(
            "-n {host} xfrm state add src 10.9.0.2 dst 10.9.0.1 proto esp spi 0x3003 aead rfc4106(gcm(aes)) {key} 128"
        ));
    };
    sa("gouda", KEY);
    sa("reblochon", OTHER_KEY);
    ip("-n reblochon xfrm policy add src 10.9.0.2 dst 10.9.0.1 dir out tmpl proto esp mode transport");
    let packet = packets(1, "spi 0x3003").remove(0);
    assert_eq!(packet["verdict"], "BAD ICV", "{packet:#}");
    assert_eq!(packet["inner"], Value::Null, "what does not authenticate is not decrypted");
    ip("xfrm state flush");
    assert_eq!(packets(1, "spi 0x3003").remove(0)["verdict"], "NO SA");
    sa("gouda", OTHER_KEY);
    assert_eq!(packets(1, "spi 0x3003").remove(0)["verdict"], "ESP ok");
}

/// Runs something while a host sends a datagram every tenth of a second.
fn while_sending<T>(host: &str, from: &str, to: (&str, u16), work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let send = || {
                let socket = UdpSocket::bind((from, 0)).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    // A closed port may have been told about the one before.
                    let _ = socket.send_to(b"in clear", to);
                    thread::sleep(Duration::from_millis(100));
                }
            };
            Namespace::named(host).unwrap().within(send).unwrap();
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

/// Two interfaces that remove themselves.
struct Vlans([String; 2]);

impl Vlans {
    /// VLAN 5 between the hosts, with the addresses 10.5.0.1 and 10.5.0.2.
    fn new() -> Self {
        let trunk = |address: &str| {
            let address = address.parse().unwrap();
            interfaces().into_iter().find(|interface| interface.addresses.contains(&address)).unwrap().name
        };
        let (gouda, reblochon) = (trunk(GOUDA), on_reblochon(|| trunk(REBLOCHON)));
        let vlans = Self([format!("-n gouda link del {gouda}.5"), format!("-n reblochon link del {reblochon}.5")]);
        for (host, trunk, number) in [("gouda", gouda, 1), ("reblochon", reblochon, 2)] {
            ip(&format!("-n {host} link add link {trunk} name {trunk}.5 type vlan id 5"));
            ip(&format!("-n {host} addr add 10.5.0.{number}/24 dev {trunk}.5"));
            ip(&format!("-n {host} link set {trunk}.5 up"));
        }
        vlans
    }
}

impl Drop for Vlans {
    fn drop(&mut self) {
        self.0.iter().for_each(|line| drop(ip(line)));
    }
}

fn vlan_and_trunk() {
    let _vlans = Vlans::new();
    for host in ["gouda", "reblochon"] {
        ip(&format!(
            "-n {host} xfrm state add src 10.5.0.1 dst 10.5.0.2 proto esp spi 0x5005 aead rfc4106(gcm(aes)) {KEY} 128"
        ));
    }
    ip("xfrm policy add src 10.5.0.1 dst 10.5.0.2 dir out tmpl proto esp mode transport");
    let to = ("10.5.0.2", 99);
    let packets = while_sending("gouda", "10.5.0.1", to, || packets_on(Some("any"), 8, "spi 0x5005"));
    let mut interfaces: Vec<&str> = packets.iter().map(|packet| packet["interface"].as_str().unwrap()).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    let [trunk, vlan] = interfaces.as_slice() else { panic!("{interfaces:?}") };
    assert_eq!(*vlan, format!("{trunk}.5"));
    for packet in &packets {
        assert_eq!((&packet["verdict"], &packet["direction"]), (&"ESP ok".into(), &"out".into()), "{packet:#}");
        assert_eq!(packet["layers"][1] == "VLAN", packet["interface"] == *trunk, "{packet:#}");
    }
    let tagged = while_sending("gouda", "10.5.0.1", to, || packets_on(Some(trunk), 2, "vlan 5 and esp"));
    assert!(tagged.iter().all(|packet| packet["layers"][1] == "VLAN"), "{tagged:#?}");
}

/// Linux shows what comes out of an inbound tunnel once more on the same interface.
fn tunnel_copies() {
    let lab = ["lab", "--kernel", "host", "--profile", "tunnel", "--", ESPIAL, "packets", "--json", "-c", "40", "ip"];
    let output = run(ESPIAL, lab);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let packets: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |verdict: &str| packets.iter().filter(|packet| packet["verdict"] == verdict).count();
    assert!(count("ESP ok") >= 10 && count("COPY") >= 5, "{text}");
    assert_eq!(count("ESP ok") + count("COPY"), packets.len(), "{text}");
    assert!(packets.iter().filter(|packet| packet["verdict"] == "COPY").all(|packet| packet["direction"] == "in"));
}
