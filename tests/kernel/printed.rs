//! What espial prints to be run again, run by those that it is printed for: a shell and `ip`. Afterwards `ip` must list
//! both hosts alike.

use std::collections::{HashMap, HashSet};

use espial::dialect::key_file::{KeyRow, key_file};
use espial::dialect::xfrm_state;
use espial::dialect::{Keys, iproute2};
use espial::kernel::Kernel;
use espial::kernel::namespace::interface_number;
use espial::model::extras::{Encapsulation, ExtraFlags};
use espial::model::{
    IpsecProtocol, Level, Limit, Mark, Mode, PolicyAction, PolicySpec, PortMatch, Sa, SaFlags, SaSpec, Selector, Spi,
};

use crate::Test;
use crate::specs::Dice;
use crate::world::{espial, feed, ip, kernel, key, run};

pub const TESTS: &[Test] = &[
    ("lines_for_ip_make_the_same_sas", the_same_sas),
    ("lines_for_ip_make_the_same_policies", the_same_policies),
    ("what_a_line_leaves_out_is_said", left_out),
    ("any_sas_that_are_printed_are_made_by_ip_as_they_are", any_sas_by_ip),
    ("any_policies_that_are_printed_are_made_by_ip_as_they_are", any_policies_by_ip),
    ("any_sas_that_are_applied_are_told_by_ip_as_they_are", any_sas_by_espial),
    ("any_policies_that_are_applied_are_as_if_ip_had_made_them", any_policies_by_espial),
    ("each_command_does_what_ip_does", the_other_commands),
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
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 128 mode tunnel output-mark 0x7 mask 0xff tfcpad 100 extra-flag dont-encap-dscp",
    "proto esp aead 'rfc4106(gcm(aes))' KEY20 128 seq 7 replay-seq 5 replay-oseq 6 replay-window 8",
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
    batch_on("gouda", lines);
}

/// Has `ip` run lines on a host in one process.
#[track_caller]
fn batch_on(host: &str, lines: impl Iterator<Item = String>) {
    let lines: String = lines.map(|line| line + "\n").collect();
    let output = feed("ip", &["-n", host, "-batch", "-"], &lines);
    assert!(output.status.success(), "{output:?}\n{lines}");
}

/// Lines for a shell as lines for a batch.
fn without_ip(lines: &[String]) -> impl Iterator<Item = String> {
    lines.iter().map(|line| line.strip_prefix("ip ").unwrap().to_owned())
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
    add_sas(&["proto esp aead 'rfc4106(gcm(aes))' KEY20 128"]);
    let mut kernel = kernel();
    let mut odd = kernel.sas().unwrap()[0].to_spec();
    odd.spi = Spi(0x2000);
    odd.selector = Some(Selector::everything_like(odd.destination)).map(|mut selector| {
        selector.source_port = PortMatch { value: 4096, mask: 0xf000 };
        selector
    });
    odd.extras.output_mark = Some(Mark { value: 0, mask: 0xff });
    kernel.add_sa(&odd).unwrap();
    let printed = espial(&["sa", "--ip"]);
    let said: Vec<&str> = printed.lines().filter(|line| line.contains("leaves out")).collect();
    let expected = ["# esp 0x00002000 to 10.9.0.2: what follows leaves out its ports, output mark"];
    assert_eq!(said, expected, "{printed}");
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

/// How many SAs, and how many policies.
const MANY: usize = 80;

/// So many specs that this kernel takes, no two of the same name.
fn many<T, Id: std::hash::Hash + Eq>(throw: impl Fn(&mut Dice) -> T, name: impl Fn(&T) -> Id) -> Vec<T> {
    let mut seen = HashSet::new();
    let thrown = (0..).map(|seed| throw(&mut Dice(seed)));
    thrown.filter(|spec| seen.insert(name(spec))).take(MANY).collect()
}

/// An SA as the dice have it, without what this kernel has not or does not take.
fn sa(dice: &mut Dice) -> SaSpec {
    let mut spec = dice.sa();
    // Linux 6.1, without Mobile IPv6, a security module and devices that do IPsec.
    while matches!(spec.protocol, IpsecProtocol::Routing | IpsecProtocol::DestinationOptions) {
        spec = dice.sa();
    }
    spec.direction = None;
    spec.extras.cpu = None;
    spec.extras.security = None;
    spec.extras.offload = None;
    if spec.mode != Mode::Tunnel || spec.protocol != IpsecProtocol::Esp {
        spec.extras.tfc_padding = None;
    }
    // It stores 13 bits of flags, of which there are two.
    spec.extras.extra_flags = ExtraFlags(spec.extras.extra_flags.0 & 3);
    // In TCP is no test of ours: the kernel asks for a socket.
    if let Some(around) = &mut spec.extras.encapsulation {
        around.kind = Encapsulation::ESP_IN_UDP;
    }
    if spec.destination.is_ipv6() && spec.mode == Mode::Beet {
        spec.mode = Mode::Tunnel;
    }
    if spec.protocol == IpsecProtocol::Comp {
        (spec.replay_window, spec.flags) = (0, SaFlags(spec.flags.0 & !SaFlags::ESN));
        spec.mode = Mode::Transport;
    }
    if spec.replay_window == 0 {
        spec.flags.0 &= !SaFlags::ESN;
    }
    let half = if spec.flags.esn() { u64::MAX } else { u32::MAX.into() };
    (spec.sent, spec.received) = (spec.sent & half, spec.received & half);
    if spec.replay_window == 0 {
        spec.received = 0;
    }
    algorithms(&mut spec);
    if let Some(selector) = &mut spec.selector {
        selector.interface = selector.interface.min(1);
        let another = selector.destination.address.is_ipv4() != spec.destination.is_ipv4();
        if another && spec.mode != Mode::Tunnel && !selector.any_family {
            spec.selector = None;
        }
    }
    spec.selector = spec.selector.filter(|selector| !selector.is_default_of(spec.destination, spec.flags));
    // An SA that is over at once would be gone before it is looked at.
    let late = |limit: &mut Limit| {
        for end in [&mut limit.soft, &mut limit.hard].into_iter().flatten() {
            *end |= 1 << 20;
        }
    };
    let limits = &mut spec.limits;
    [&mut limits.bytes, &mut limits.packets, &mut limits.since_added_secs, &mut limits.since_used_secs]
        .into_iter()
        .for_each(late);
    spec
}

/// Algorithms that the lab's kernel has.
fn algorithms(spec: &mut SaSpec) {
    let had: HashSet<&str> =
        ["rfc4106(gcm(aes))", "cbc(aes)", "ecb(cipher_null)", "hmac(sha1)", "hmac(sha256)", "digest_null", "deflate"]
            .into();
    let mut dice = Dice(spec.spi.0.into());
    for slot in [&mut spec.algorithms.aead, &mut spec.algorithms.encryption, &mut spec.algorithms.authentication] {
        while slot.as_ref().is_some_and(|transform| !had.contains(transform.name.kernel())) {
            let other = dice.sa().algorithms;
            let kind = slot.as_ref().and_then(|transform| transform.name.known()).unwrap().kind;
            let all = [other.aead, other.encryption, other.authentication].into_iter().flatten();
            *slot = all.clone().find(|other| other.name.known().unwrap().kind == kind).or(slot.take());
        }
    }
}

/// A policy as the dice have it, without what this kernel has not or does not take.
fn policy(dice: &mut Dice) -> PolicySpec {
    let mut spec = dice.policy();
    (spec.security, spec.offload) = (None, None);
    spec.selector.interface = spec.selector.interface.min(1);
    if spec.action == PolicyAction::Block {
        spec.templates.clear();
    }
    let is_v4 = spec.selector.destination.address.is_ipv4();
    spec.templates.retain(|template| {
        let is_tunnel = matches!(template.mode, Mode::Tunnel | Mode::Beet);
        let has_ends = !template.source.is_unspecified() && !template.destination.is_unspecified();
        let is_ipsec = matches!(template.protocol, IpsecProtocol::Esp | IpsecProtocol::Ah | IpsecProtocol::Comp);
        template.source.is_ipv4() == is_v4 && is_ipsec && (template.mode == Mode::Transport || is_tunnel && has_ends)
    });
    for template in &mut spec.templates {
        // A tunnel cannot be left out on the way out.
        if template.mode != Mode::Transport {
            template.level = Level::Required;
        }
    }
    spec
}

/// Oldest first.
fn told_sas() -> Vec<Sa> {
    let mut sas = kernel().sas().unwrap();
    sas.reverse();
    sas
}

/// As it would be written again where it is.
fn again(sa: &Sa) -> SaSpec {
    SaSpec { sent: sa.replay.sent, received: sa.replay.received, ..sa.to_spec() }
}

#[track_caller]
fn same_sas(told: &[Sa], specs: &[SaSpec]) {
    assert_eq!(told.len(), specs.len());
    for (told, spec) in told.iter().zip(specs) {
        assert_eq!(&again(told), spec, "{}", *iproute2::sa(spec, Keys::Show));
    }
}

fn any_sas_by_ip() {
    let specs = many(sa, SaSpec::id);
    let lines: Vec<String> = specs.iter().map(|spec| iproute2::sa(spec, Keys::Show).to_string()).collect();
    batch(without_ip(&lines));
    let told = told_sas();
    same_sas(&told, &specs);
    let shown = espial(&["sa", "--ip", "--show-keys"]);
    assert!(!shown.contains('#'), "{shown}");
    for flags in [&["-d", "-s"][..], &["-s", "-o"]] {
        same_sas_as_ip_shows(flags, &told);
    }
}

/// What `ip` shows, read by us, is what we read from the kernel.
#[track_caller]
fn same_sas_as_ip_shows(flags: &[&str], told: &[Sa]) {
    let output = run("ip", flags.iter().chain(&["xfrm", "state"]));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut shown = xfrm_state::parse(&text, &interface_number).unwrap_or_else(|errors| panic!("{errors:?}"));
    shown.reverse();
    assert_eq!(shown.len(), told.len());
    for (mut shown, told) in shown.into_iter().zip(told) {
        // Times are not read.
        (shown.used.added_at, shown.used.used_at, shown.last_used_at) =
            (told.used.added_at, told.used.used_at, told.last_used_at);
        assert_eq!(&shown, told, "{}", told.id());
    }
    assert!(key_file(&text).unwrap().iter().all(|row| matches!(row, KeyRow::Sa(_))));
}

fn any_sas_by_espial() {
    let specs = many(sa, SaSpec::id);
    // Only those that our checks take; the kernel takes the others too.
    let specs: Vec<SaSpec> = specs.into_iter().filter(is_sound).collect();
    assert!(specs.len() > MANY / 2, "{}", specs.len());
    let lines: Vec<String> = specs.iter().map(|spec| iproute2::sa(spec, Keys::Show).to_string()).collect();
    apply(&lines.join("\n"));
    let told = told_sas();
    same_sas(&told, &specs);
    same_sas_as_ip_shows(&["-d", "-s"], &told);
    // The same lines by `ip`, on the other host.
    batch_on("reblochon", without_ip(&lines));
    assert_eq!(listed("reblochon", "state"), listed("gouda", "state"));
}

fn is_sound(spec: &SaSpec) -> bool {
    let problems = espial::model::check::sa(spec);
    problems.iter().all(|problem| problem.severity == espial::model::check::Severity::Warning)
}

fn apply(script: &str) -> String {
    let output = feed(env!("CARGO_BIN_EXE_espial"), &["apply", "-"], script);
    assert!(output.status.success(), "{}\n{script}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn any_policies_by_ip() {
    let specs = policies_that_differ();
    let lines: Vec<String> = specs.iter().map(iproute2::policy).collect();
    batch(without_ip(&lines));
    same_policies(&specs);
    let shown = espial(&["policy", "--ip"]);
    assert!(!shown.contains('#'), "{shown}");
    batch_on("reblochon", shown.lines().map(|line| line.strip_prefix("ip ").unwrap().to_owned()));
    assert_eq!(listed("reblochon", "policy"), listed("gouda", "policy"));
}

fn any_policies_by_espial() {
    let specs = policies_that_differ();
    let problems = |spec: &PolicySpec| {
        let problems = espial::model::check::policy(spec);
        problems.iter().any(|problem| problem.severity == espial::model::check::Severity::Error)
    };
    let specs: Vec<PolicySpec> = specs.into_iter().filter(|spec| !problems(spec)).collect();
    assert!(specs.len() > MANY / 2, "{}", specs.len());
    let lines: Vec<String> = specs.iter().map(iproute2::policy).collect();
    apply(&lines.join("\n"));
    same_policies(&specs);
    batch_on("reblochon", without_ip(&lines));
    assert_eq!(listed("reblochon", "policy"), listed("gouda", "policy"));
}

/// No two with the same number or the same packets.
fn policies_that_differ() -> Vec<PolicySpec> {
    let mut indexes = HashSet::new();
    let mut specs = many(policy, PolicySpec::id);
    for spec in &mut specs {
        if !indexes.insert(spec.index) {
            spec.index = 0;
        }
    }
    specs
}

#[track_caller]
fn same_policies(specs: &[PolicySpec]) {
    let told = kernel().policies().unwrap();
    assert_eq!(told.len(), specs.len());
    for spec in specs {
        let found = told.iter().find(|policy| policy.id() == spec.id());
        let found = found.unwrap_or_else(|| panic!("{} is not there", iproute2::policy(spec)));
        // One without a number gets one from the kernel.
        let index = if spec.index == 0 { 0 } else { found.index };
        assert_eq!(&PolicySpec { index, ..found.to_spec() }, spec, "{}", iproute2::policy(spec));
    }
}

/// What is done to the same objects by `ip` on reblochon and by espial on gouda.
const COMMANDS: &[&str] = &[
    "state update src 10.9.0.1 dst 10.9.0.2 proto ah spi 0x100e auth-trunc 'hmac(sha1)' KEY20 96 flag esn \
     replay-window 64 limit byte-hard 7000000",
    "state delete src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1007 mark 1",
    "state del dst 10.9.0.2 proto esp spi 0x1000",
    "state deleteall flag decap-dscp align4",
    "state delall mode beet",
    "state deleteall spi 0x1001 proto esp",
    "state deleteall src 10.9.0.0/24 dst 10.9.0.2 reqid 0 mode tunnel",
    "state allocspi src 10.9.0.1 dst 10.9.0.2 proto esp mode tunnel reqid 7 min 0x2000 max 0x2000",
    "state flush proto ah",
    "policy update src 10.1.0.0/16 dst 10.3.0.0/16 dev lo dir out priority 77",
    "policy update src 10.7.0.0/16 dst 10.3.0.0/16 dir out index 81",
    "policy delete index 81 dir out",
    "policy delete src 10.1.0.0/16 dst 10.2.0.0/16 proto gre key 7 dir fwd mark 3 mask 3 if_id 5",
    "policy delete dir out ptype sub src 10.1.0.0/16 dst 10.2.0.0/16",
    "policy deleteall dir in src 10.1.0.0/16",
    "policy deleteall flag icmp",
    "policy deleteall proto sctp sport 7",
    "policy deleteall action block",
    "policy deleteall dev lo",
    "-6 policy deleteall",
    "policy setdefault fwd block",
    "policy set hthresh4 24 16 hthresh6 64 80",
    "policy setdefault fwd accept",
    "policy set hthresh4 32 32 hthresh6 128 128",
    "policy flush",
    "state flush",
];

fn the_other_commands() {
    add_sas(SAS);
    batch(POLICIES.iter().map(|words| format!("xfrm policy add {words}")));
    run_there(&espial(&["sa", "--ip", "--show-keys"]));
    run_there(&espial(&["policy", "--ip"]));
    let looks = "ip x s l spi 0x1001\nip xfrm state get dst 10.9.0.2 proto ah spi 0x100e\nip xfrm policy list proto gre\n\
                 ip xfrm policy get src fd01::/64 dst fd02::/64 proto 135 type 1 dir out\nip xfrm state count\n";
    let shown = apply(looks);
    let rows = |word: &str| shown.lines().filter(|line| line.split_whitespace().any(|cell| cell == word)).count();
    assert_eq!((rows("0x00001001"), rows("0x0000100e"), rows("gre"), rows("mh")), (1, 1, 1, 1), "{shown}");
    assert!(shown.contains(&format!("SAs: {} ", SAS.len() + 1)), "{shown}");
    let mut before: HashMap<&str, String> = HashMap::new();
    for command in COMMANDS {
        let command = command.replace("KEY20", &key(20)).replace("    ", "");
        let options = if command.starts_with("-6") { "-6 " } else { "" };
        let line = format!("ip {options}xfrm {}", command.trim_start_matches("-6 "));
        apply(&line);
        ip(&format!("-n reblochon {}", line.trim_start_matches("ip ").replace('\'', "")));
        let (about_all, about_sas) = (command.contains(" set"), command.contains("state "));
        let told = |host: &str| match (about_all, about_sas) {
            (true, _) => {
                let counts = ip(&format!("-n {host} -s -s xfrm policy count"));
                // How far the hash table has grown is not undone with what it held.
                let (before, rest) = counts.split_once("SPD buckets").unwrap();
                let thresholds = rest.split_once("SPD IPv4").unwrap().1;
                ip(&format!("-n {host} xfrm policy getdefault")) + before + thresholds
            }
            (false, true) => listed(host, "state").join("\n"),
            (false, false) => listed(host, "policy").join("\n"),
        };
        let (here, there) = (told("gouda"), told("reblochon"));
        assert_eq!(here, there, "{line}");
        let kind = if about_sas {
            "SAs"
        } else if about_all {
            "all"
        } else {
            "policies"
        };
        assert_ne!(before.insert(kind, here.clone()), Some(here), "{line} changes something");
    }
}
