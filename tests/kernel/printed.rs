//! What espial prints to be run again, run by those that it is printed for: a shell and `ip`. Afterwards `ip` must list
//! both hosts alike.

use crate::Test;
use crate::world::{espial, feed, ip, key, run};

pub const TESTS: &[Test] = &[
    ("lines_for_ip_make_the_same_sas", the_same_sas),
    ("lines_for_ip_make_the_same_policies", the_same_policies),
    ("what_a_line_leaves_out_is_said", left_out),
    ("the_articles_databases_load_again_in_both_languages", the_article),
];

/// SAs between the hosts, in `ip`'s words behind their SPI; KEY stands for a key.
const SAS: &[&str] = &[
    "proto esp enc 'cbc(aes)' KEY16 auth-trunc 'hmac(sha256)' KEY32 128 replay-window 32 reqid 5",
    "proto esp enc 'cbc(aes)' KEY16 auth 'hmac(sha1)' KEY20",
    "proto esp enc 'ecb(cipher_null)' '' auth 'digest_null' ''",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 128 replay-window 100 flag esn mode tunnel",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 64 flag noecn decap-dscp nopmtudisc wildrecv icmp align4",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 128 mode tunnel flag af-unspec",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 96 limit byte-soft 1 limit byte-hard 2 limit packet-soft 3 \
     limit packet-hard 4 limit time-soft 50000 limit time-hard 60000 limit time-use-soft 70000 limit time-use-hard 80000",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 96 mark 1 mask 0xffffffff if_id 9",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 96 mode beet",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 96 sel src 10.1.0.0/16 dst 10.2.0.0/16 proto icmp type 8 code 0",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 96 sel src 10.1.0.0/16 dst 10.2.0.0/16 proto gre key 0x10002",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 96 sel src 10.1.0.0/16 dst 10.2.0.0/16 dev lo proto sctp sport 5 dport 6",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 96 mode tunnel sel src fd01::/64 dst fd02::/64",
    "proto esp enc 'cbc(aes)' KEY16 auth-trunc 'hmac(sha1)' KEY20 96 encap espinudp 4500 61000 0.0.0.0",
    "proto ah auth-trunc 'hmac(sha1)' KEY20 96 flag esn replay-window 64",
    "proto comp comp deflate",
    // The kernel makes another SA with this one: IP in IP, for packets that were not worth compressing.
    "proto comp comp deflate mode tunnel",
];

/// Policies, in `ip`'s words.
const POLICIES: &[&str] = &[
    "src 10.1.0.0/16 dst 10.2.0.0/16 dir out flag localok icmp priority 4 tmpl proto esp mode transport reqid 3 level use \
     tmpl proto ah mode transport",
    "src 10.1.0.0/16 dst 10.2.0.0/16 dir in tmpl src 10.9.0.1 dst 10.9.0.2 proto esp spi 77 mode tunnel",
    "src 10.1.0.0/16 dst 10.2.0.0/16 proto icmp type 3 code 1 dir fwd action block",
    "src 10.1.0.0/16 dst 10.2.0.0/16 proto gre key 7 dir fwd mark 3 mask 3 if_id 5",
    "src 10.1.0.0/16 dst 10.2.0.0/16 dir out ptype sub tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode beet",
    "src 10.1.0.0/16 dst 10.3.0.0/16 dev lo dir out",
    "src 10.5.0.0/16 dst 10.6.0.0/16 dir out tmpl src 10.9.0.1 dst 10.9.0.2 proto esp mode tunnel \
     tmpl src fd00::1 dst fd00::2 proto esp mode tunnel",
    "src fd01::/64 dst fd02::/64 proto ipv6-icmp type 128 dir out",
    "src fd01::/64 dst fd02::/64 proto 135 type 1 dir out",
    "src fd01::/64 dst fd02::/64 proto sctp sport 7 dir out limit byte-hard 4 limit packet-soft 3 limit time-hard 500000",
    "src fd01::/64 dst fd02::/64 dir in tmpl src fd00:9::1 dst fd00:9::2 proto comp mode tunnel level use \
     tmpl proto esp mode transport",
];

/// Has `ip` run lines on gouda.
fn batch(lines: impl Iterator<Item = String>) {
    let lines: String = lines.map(|line| line + "\n").collect();
    let output = feed("ip", &["-batch", "-"], &lines);
    assert!(output.status.success(), "{output:?}\n{lines}");
}

fn add_sas(sas: &[&str]) {
    let with_keys = |words: &&str| {
        [16, 20, 32]
            .iter()
            .fold((*words).to_owned(), |words, bytes| words.replace(&format!("KEY{bytes}"), &key(*bytes)))
    };
    let named = |(place, words): (usize, String)| {
        format!("xfrm state add src 10.9.0.1 dst 10.9.0.2 spi {} {words}", 0x1000 + place)
    };
    batch(sas.iter().map(with_keys).enumerate().map(named));
}

/// What `ip` lists on a host, one text for each SA or policy, without what cannot be the same: times, what the hosts'
/// talk counts, and the indexes that the kernel gives to policies.
fn listed(host: &str, what: &str) -> Vec<String> {
    let output = run("ip", ["-n", host, "-s", "xfrm", what]);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut objects: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with("src ") {
            objects.push(String::new());
        }
        let counts = words[0].ends_with("(bytes),") || words.get(2) == Some(&"replay");
        if counts || matches!(words[0], "add" | "anti-replay") {
            continue;
        }
        if let Some(index) = words.iter().position(|word| *word == "index") {
            words.drain(index..index + 2);
        }
        let object = objects.last_mut().unwrap();
        *object = format!("{object} {}", words.join(" "));
    }
    objects.sort();
    objects
}

/// Runs what espial printed in a shell on reblochon.
fn run_there(lines: &str) {
    let output = feed("ip", &["netns", "exec", "reblochon", "sh", "-e"], lines);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}\n{lines}");
}

fn the_same_sas() {
    add_sas(SAS);
    run_there(&espial(&["sa", "--ip", "--show-keys"]));
    let here = listed("gouda", "state");
    assert_eq!(here.len(), SAS.len() + 1);
    assert_eq!(listed("reblochon", "state"), here);
}

fn the_same_policies() {
    batch(POLICIES.iter().map(|words| format!("xfrm policy add {words}")));
    run_there(&espial(&["policy", "--ip"]));
    let here = listed("gouda", "policy");
    assert_eq!(here.len(), POLICIES.len());
    assert_eq!(listed("reblochon", "policy"), here);
}

fn left_out() {
    add_sas(&[
        "proto esp aead 'rfc4106(gcm(aes))' KEY20 128 mode tunnel output-mark 0x7 tfcpad 100 extra-flag dont-encap-dscp",
        "proto esp aead 'rfc4106(gcm(aes))' KEY20 128",
    ]);
    ip("xfrm state add src fd00:9::1 dst fd00:9::2 proto hao mode ro coa fd00:9::3");
    for form in ["--ip", "--setkey"] {
        let printed = espial(&["sa", form]);
        let said: Vec<&str> = printed.lines().filter(|line| line.contains("leaves out")).collect();
        let expected = [
            "# esp 0x00001000 to 10.9.0.2: what follows leaves out its output mark, TFC padding, extra flags",
            "# hao 0x00000000 to fd00:9::2: what follows leaves out its care-of address",
        ];
        assert_eq!(said, expected, "{printed}");
    }
}

fn the_article() {
    let program = env!("CARGO_BIN_EXE_espial");
    let load = |arguments: &[&str], script: &str| {
        let output = feed(program, arguments, script);
        assert!(output.status.success(), "{output:?}\n{script}");
    };
    load(&["apply", "-"], include_str!("../data/article-gouda.conf"));
    let (sas, policies) = (listed("gouda", "state"), listed("gouda", "policy"));
    assert_eq!((sas.len(), policies.len()), (4, 3), "setkey has a policy for forwarding beside each for what comes in");
    let for_setkey = espial(&["sa", "--setkey", "--show-keys"]) + &espial(&["policy", "--setkey"]);
    let for_ip = espial(&["sa", "--ip", "--show-keys"]) + &espial(&["policy", "--ip"]);

    load(&["--netns", "reblochon", "apply", "-"], &for_setkey);
    assert_eq!((listed("reblochon", "state"), listed("reblochon", "policy")), (sas.clone(), policies.clone()));
    ip("-n reblochon xfrm state flush");
    ip("-n reblochon xfrm policy flush");
    run_there(&for_ip);
    assert_eq!((listed("reblochon", "state"), listed("reblochon", "policy")), (sas, policies));
}
