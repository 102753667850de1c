//! What a kernel drops although its ICV is right, and what espial says of it. gouda sends through SAs and policies that
//! reblochon's do not fit; reblochon's counters tell what became of each packet.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Test;
use crate::evidence::Wire;
use crate::watcher::{Marks, Sighted, Watcher};
use crate::world::{GOUDA, REBLOCHON, ip, on_reblochon};

pub const TESTS: &[Test] = &[
    ("what_the_kernel_drops_in_spite_of_its_icv_is_refused", refused),
    ("what_came_before_anybody_watched_is_known_when_it_comes_again", replayed),
];

const AUTHENTICATION: &str = "auth-trunc hmac(sha1) 0x4142434445464748494a4b4c4d4e4f5051525354 96";
const ENCRYPTION: &str = "enc cbc(aes) 0x0123456789abcdef0123456789abcdef";
const TRANSPORT: &str = "tmpl proto esp mode transport";
const TUNNEL: &str = "tmpl src 10.9.0.1 dst 10.9.0.2 proto esp mode tunnel";

/// What a receiver has that does not fit what the sender has.
struct Case {
    mode: &'static str,
    /// Of the receiver's SA, behind its keys.
    sa: &'static str,
    encryption: &'static str,
    /// The receiver's policy behind its selector, if there is one.
    policy: Option<&'static str>,
    /// What the last reason says.
    why: &'static str,
}

const CASES: &[Case] = &[
    Case { mode: "transport", sa: "", encryption: ENCRYPTION, policy: Some(TRANSPORT), why: "" },
    Case { mode: "tunnel", sa: "", encryption: ENCRYPTION, policy: Some(TUNNEL), why: "" },
    Case {
        mode: "transport",
        sa: "",
        encryption: "enc cbc(aes) 0xfedcba9876543210fedcba9876543210",
        policy: Some(TRANSPORT),
        why: "decrypted it is no packet",
    },
    Case {
        mode: "transport",
        sa: "encap espinudp 4500 4500 0.0.0.0",
        encryption: ENCRYPTION,
        policy: Some(TRANSPORT),
        why: "the SA is for packets in UDP",
    },
    Case {
        mode: "transport",
        sa: "sel src 10.9.0.1 dst 10.9.0.2 proto udp dport 9",
        encryption: ENCRYPTION,
        policy: Some(TRANSPORT),
        why: "the SA is for 10.9.0.1/32 10.9.0.2/32 udp dport 9 alone",
    },
    Case {
        mode: "transport",
        sa: "mode tunnel",
        encryption: ENCRYPTION,
        policy: Some(TUNNEL),
        why: "a tunnel's SA, but what it carries is udp",
    },
    Case { mode: "transport", sa: "", encryption: ENCRYPTION, policy: Some("action block"), why: "a policy blocks it" },
    Case { mode: "tunnel", sa: "", encryption: ENCRYPTION, policy: None, why: "no policy is about what was inside" },
    Case { mode: "tunnel", sa: "", encryption: ENCRYPTION, policy: Some(""), why: "the policy does not ask for" },
];

/// How many datagrams go through each.
const DATAGRAMS: u16 = 16;

fn port(case: usize) -> String {
    (20_000 + case).to_string()
}

/// What reblochon's kernel has refused for IPsec's sake.
fn refusals() -> u64 {
    let statistics = on_reblochon(|| std::fs::read_to_string("/proc/thread-self/net/xfrm_stat").unwrap());
    let counts = statistics.lines().filter(|line| line.starts_with("XfrmIn"));
    counts.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
}

fn send(to: &str) {
    let socket = UdpSocket::bind((GOUDA, to.parse().unwrap())).unwrap();
    for _ in 0..DATAGRAMS {
        socket.send_to(b"hello world", (REBLOCHON, to.parse().unwrap())).unwrap();
    }
}

fn refused() {
    let folder = tempfile::tempdir().unwrap();
    for (number, Case { mode, sa, encryption, policy, .. }) in CASES.iter().enumerate() {
        let (ends, spi, port) = ("src 10.9.0.1 dst 10.9.0.2", 0x7000 + number, port(number));
        let selector = format!("{ends} proto udp dport {port}");
        let other_mode = if sa.starts_with("mode") { sa.to_string() } else { format!("mode {mode}") };
        let rest = if sa.starts_with("mode") { "" } else { sa };
        let state = |host, mode: &str, encryption, rest| {
            ip(&format!(
                "-n {host} xfrm state add {ends} proto esp spi {spi} reqid {spi} {mode} {encryption} {AUTHENTICATION} {rest}"
            ));
        };
        state("gouda", &format!("mode {mode}"), ENCRYPTION, "");
        state("reblochon", &other_mode, encryption, rest);
        let template = if *mode == "tunnel" { TUNNEL } else { TRANSPORT };
        ip(&format!("-n gouda xfrm policy add {selector} dir out {template} reqid {spi}"));
        if let Some(policy) = policy {
            let tie = if policy.starts_with("tmpl") { format!("reqid {spi}") } else { String::new() };
            ip(&format!("-n reblochon xfrm policy add {selector} dir in {policy} {tie}"));
        }
    }
    let mut watchers = [Watcher::begin("reblochon", "ring", "in and esp", folder.path())];
    let mut marks = Marks::new();
    marks.until_watched(&mut watchers);
    let mut counts = Vec::new();
    for number in 0..CASES.len() {
        let before = refusals();
        send(&port(number));
        // The kernel counts when it has looked at the last one.
        let (mut count, mut still) = (0, 0);
        while still < 20 {
            thread::sleep(Duration::from_millis(5));
            let now = refusals() - before;
            (count, still) = (now, if now == count { still + 1 } else { 0 });
        }
        counts.push(usize::try_from(count).unwrap());
    }
    marks.until_said(&mut watchers);
    let sighted = watchers[0].sighted();
    for (number, (case, dropped)) in CASES.iter().zip(counts).enumerate() {
        let spi = format!("0x{:08x}", 0x7000 + number);
        let of_it = |seen: &&Sighted| seen.line["spi"] == spi && seen.line["verdict"] != "COPY";
        let lines: Vec<&Value> = sighted.iter().filter(of_it).map(|seen| &seen.line).collect();
        let refused: Vec<&&Value> = lines.iter().filter(|line| line["verdict"] == "REFUSED").collect();
        // What another key makes of a packet may be one by chance, of a protocol that the kernel drops for another reason.
        let by_chance = if case.encryption == ENCRYPTION { 0 } else { 2 };
        let agrees = (refused.len()..=refused.len() + by_chance).contains(&dropped);
        assert!(lines.len() == usize::from(DATAGRAMS) && agrees, "{}: {dropped} of {lines:#?}", case.why);
        assert_eq!(case.why.is_empty(), dropped == 0, "{}", case.why);
        for line in refused {
            let last = line["reasons"].as_array().unwrap().last().unwrap().as_str().unwrap();
            assert!(last.contains(case.why), "{}: {last}", case.why);
        }
    }
}

fn replayed() {
    let ends = "src 10.9.0.1 dst 10.9.0.2";
    for (spi, flag) in [("0x7100", ""), ("0x7101", "flag esn"), ("0x7102", "")] {
        let window = if spi == "0x7102" { 128 } else { 32 };
        for host in ["gouda", "reblochon"] {
            ip(&format!(
                "-n {host} xfrm state add {ends} proto esp spi {spi} reqid {spi} mode transport replay-window {window} \
                 {flag} {ENCRYPTION} {AUTHENTICATION}"
            ));
        }
        let selector = format!("{ends} proto udp dport {}", u16::from_str_radix(&spi[2..], 16).unwrap());
        ip(&format!("-n gouda xfrm policy add {selector} dir out {TRANSPORT} reqid {spi}"));
        ip(&format!("-n reblochon xfrm policy add {selector} dir in {TRANSPORT} reqid {spi}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut marks = Marks::new();
    let mut first = [Watcher::begin("reblochon", "ring", "in and esp", folder.path())];
    marks.until_watched(&mut first);
    for _ in 0..4 {
        for port in ["28928", "28929", "28930"] {
            send(port);
        }
    }
    marks.until_said(&mut first);
    let is_ours = |seen: &Sighted| !Marks::is_mark(&seen.line);
    let before: Vec<Sighted> = first[0].sighted().into_iter().filter(is_ours).collect();
    assert_eq!(before.len(), 3 * 4 * usize::from(DATAGRAMS));
    // Another one begins to watch, and everything comes again.
    let other = tempfile::tempdir().unwrap();
    let mut second = [Watcher::begin("reblochon", "ring", "in and esp", other.path())];
    marks.until_watched(&mut second);
    let (wire, refused, start) = (Wire::at(GOUDA), refusals(), Instant::now());
    for seen in &before {
        wire.put(&seen.bytes);
    }
    let count = u64::try_from(before.len()).unwrap();
    while refusals() - refused < count {
        assert!(start.elapsed() < Duration::from_secs(20), "{} of {count} were refused", refusals() - refused);
        thread::sleep(Duration::from_millis(20));
    }
    marks.until_said(&mut second);
    let again: Vec<Sighted> = second[0].sighted().into_iter().filter(is_ours).collect();
    assert_eq!(again.len(), before.len());
    for Sighted { line, .. } in again {
        assert!(["REPLAY", "OLD"].iter().any(|word| line["verdict"] == *word), "{line:#}");
    }
}
