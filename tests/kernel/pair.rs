//! `espial pair`: both halves on real kernels, and traffic that goes through.

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, feed, ip, run};

pub const TESTS: &[Test] = &[
    ("every_way_to_protect_two_hosts_lets_their_traffic_through", hosts),
    ("every_way_to_protect_two_networks_lets_their_traffic_through", networks),
    ("a_pair_is_made_whole_or_not_at_all", whole_or_not),
];

const ESPIAL: &str = env!("CARGO_BIN_EXE_espial");

/// Makes a pair and runs the other half's script on reblochon with the program that it is written for, or with espial
/// where that is setkey.
fn pair(arguments: &[&str]) {
    let output = run(ESPIAL, ["pair", GOUDA, REBLOCHON, "-o", "-"].iter().chain(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let script = String::from_utf8(output.stdout).unwrap();
    let (program, line) = match script.lines().next().unwrap() {
        "#!/bin/sh -e" => ("ip", ["netns", "exec", "reblochon", "sh", "-e"].as_slice()),
        first => {
            assert!(first.ends_with("setkey -f"), "{first}");
            (ESPIAL, ["--netns", "reblochon", "apply", "-"].as_slice())
        }
    };
    let output = feed(program, line, &script);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What `espial check` says about a peer that answers pings, in a word.
fn check(peer: &str) -> String {
    let output = run(ESPIAL, ["check", peer, "--seconds", "2", "--probe", "icmp"]);
    String::from_utf8(output.stdout).unwrap()
}

fn forget() {
    for host in ["gouda", "reblochon"] {
        ip(&format!("-n {host} xfrm state flush"));
        ip(&format!("-n {host} xfrm policy flush"));
    }
}

fn hosts() {
    for arguments in [
        &[][..],
        &["--suite", "chacha20-poly1305", "--lifetime", "8h"],
        &["--suite", "aes-256-cbc-sha512", "--language", "setkey"],
        &["--suite", "3des-sha1", "--protect", "esp+ah", "--language", "setkey"],
        &["--compress"],
        &["--compress", "--protect", "esp+ah", "--suite", "aes-256-cbc-sha512"],
    ] {
        pair(arguments);
        let line = check(REBLOCHON);
        assert!(line.starts_with("ENCRYPTED: ") && line.contains("after decryption in "), "{arguments:?}: {line}");
        forget();
    }
    pair(&["--protect", "ah"]);
    let line = check(REBLOCHON);
    assert!(line.starts_with("IN CLEAR: ") && line.contains(" AH ok AH/"), "{line}");
    forget();
    // Nothing but compression, which small packets go without.
    pair(&["--protect", "ipcomp"]);
    let line = check(REBLOCHON);
    assert!(line.starts_with("IN CLEAR: "), "{line}");
}

fn networks() {
    for arguments in [&[][..], &["--compress"], &["--protect", "esp+ah"]] {
        let networks = ["--networks", "10.1.0.0/24", "10.2.0.0/24"];
        pair(&networks.iter().chain(arguments).copied().collect::<Vec<_>>());
        let line = check("10.2.0.1");
        assert!(line.starts_with("ENCRYPTED: ") && line.contains("after decryption in "), "{arguments:?}: {line}");
        forget();
    }
}

fn whole_or_not() {
    ip("xfrm policy add src 10.9.0.2 dst 10.9.0.1 dir in");
    let output = run(ESPIAL, ["pair", GOUDA, REBLOCHON, "-o", "-"]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && words.contains("nothing has been changed: adding policy in "), "{words}");
    assert!(output.stdout.is_empty(), "a script for half of nothing");
    assert_eq!(ip("xfrm state list"), "");
    assert_eq!(ip("xfrm policy list").matches("dir ").count(), 1);
}
