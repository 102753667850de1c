//! The forms on the command line: what they make is there as `ip` sees it, and what they refuse is not.

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, espial, feed, ip, kernel, run, words};
use espial::console::form::{self, FieldId, Form, Made};
use espial::kernel::Kernel;
use espial::model::check::Severity;
use espial::model::{PolicyAction, PolicyDefaults};

pub const TESTS: &[Test] = &[
    ("an_sa_with_everything_is_added", sa),
    ("a_policy_with_a_list_of_transforms_is_added", policy),
    ("defaults_thresholds_and_spis_are_set", rest),
    ("an_edited_sa_keeps_what_the_form_does_not_change", edited_sa),
    ("an_edited_policy_keeps_its_place_or_becomes_another_one", edited_policy),
    ("what_is_refused_or_only_warned_of_is_not_done", refused),
    ("a_flush_takes_a_protocol_or_a_set_and_needs_a_yes", flush),
];

const ESPIAL: &str = env!("CARGO_BIN_EXE_espial");

/// What espial complains of while it does nothing.
fn refusal(arguments: &[&str]) -> String {
    let output = run(ESPIAL, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn sa() {
    let key = "0x000102030405060708090a0b0c0d0e0f10111213\n";
    let ends = ["add", "sa", "--source", GOUDA, "--destination", REBLOCHON, "--spi", "0x1001", "--yes"];
    let more = [
        "--mode=tunnel",
        "--encryption=aes-gcm-128",
        "--encryption-key=-",
        "--icv-bits=96",
        "--reqid=7",
        "--esn",
        "--replay-window=64",
        "--flags=noecn af-unspec",
        "--lifetime=1h,2h",
        "--bytes=1G",
        "--mark=7/0xff",
        "--output-mark=8",
        "--interface-id=9",
        "--tfc-padding=100",
        "--encapsulation=espinudp",
        "--ports=4500,4501",
        "--from-network=10.1.0.0/24",
        "--to-network=10.2.0.0/24",
        "--upper-protocol=tcp",
        "--destination-port=22",
        "--extra-flags=oseq-may-wrap",
    ];
    let arguments: Vec<&str> = ends.into_iter().chain(more).collect();
    let output = feed(ESPIAL, &arguments, key);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("added SA esp 0x00001001"), "{said}");
    let listed = words("ip", ["-s", "xfrm", "state"]);
    for part in [
        "src 10.9.0.1 dst 10.9.0.2",
        "spi 0x00001001(4097) reqid 7(0x00000007) mode tunnel",
        "flag noecn af-unspec esn",
        "extra_flag oseq-may-wrap",
        "aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 (160 bits) 96",
        "encap type espinudp sport 4500 dport 4501",
        "mark 0x7/0xff",
        "output-mark 0x8",
        "tfcpad",
        "if_id 0x9",
        "sel src 10.1.0.0/24 dst 10.2.0.0/24",
        "dport 22",
        "expire add: soft 3600(sec), hard 7200(sec)",
        "hard 1073741824(bytes)",
        "replay_window 64",
    ] {
        // Older versions of ip have no word for the padding.
        assert!(listed.contains(part) || part == "tfcpad", "{part:?} is not in {listed}");
    }
    assert_eq!(kernel().sas().unwrap()[0].extras.tfc_padding, Some(100));
}

fn policy() {
    let said = espial(&[
        "add",
        "policy",
        "--direction",
        "out",
        "--source",
        "10.1.0.0/24",
        "--destination",
        "10.2.0.0/24",
        "--upper-protocol",
        "icmp",
        "--type",
        "8",
        "--template",
        "esp/tunnel/10.9.0.1-10.9.0.2/require/7",
        "--template",
        "ah/transport",
        "--priority",
        "9",
        "--mark",
        "3",
        "--flags",
        "localok icmp",
        "--packets",
        "100",
    ]);
    assert_eq!(said, "");
    let listed = words("ip", ["-s", "xfrm", "policy"]);
    for part in [
        "src 10.1.0.0/24 dst 10.2.0.0/24",
        "proto icmp type 8",
        "dir out action allow",
        "priority 9",
        "flag localok icmp",
        "mark 0x3/0xffffffff",
        "hard 100(packets)",
        "tmpl src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x00000000(0) reqid 7(0x00000007) mode tunnel level required",
        "tmpl src 0.0.0.0 dst 0.0.0.0 proto ah spi 0x00000000(0) reqid 0(0x00000000) mode transport level required",
    ] {
        assert!(listed.contains(part), "{part:?} is not in {listed}");
    }
}

fn rest() {
    let allow = PolicyDefaults::default();
    assert_eq!(kernel().defaults().unwrap(), allow);
    // Nothing is passed on here, so that nothing is cut.
    let arguments = ["set", "defaults", "--fwd", "block"];
    let words = refusal(&arguments);
    assert!(words.contains("--fwd: THIS CUTS THE NETWORK") && words.contains("--yes does it"), "{words}");
    assert_eq!(kernel().defaults().unwrap(), allow);
    espial(&["set", "defaults", "--fwd", "block", "--yes"]);
    assert_eq!(kernel().defaults().unwrap(), PolicyDefaults { forward: PolicyAction::Block, ..allow });
    espial(&["set", "defaults", "--fwd", "allow"]);
    assert_eq!(kernel().defaults().unwrap(), allow);

    let before = kernel().thresholds().unwrap();
    espial(&["set", "thresholds", "--ipv4", "24,16"]);
    assert_eq!(kernel().thresholds().unwrap().v4, (24, 16));
    assert_eq!(kernel().thresholds().unwrap().v6, before.v6);
    kernel().set_thresholds(before).unwrap();

    let range = ["--least", "0x1001", "--greatest", "0x1001"];
    let arguments: Vec<&str> =
        ["allocspi", "--source", REBLOCHON, "--destination", GOUDA].into_iter().chain(range).collect();
    assert_eq!(espial(&arguments), "0x00001001\n");
    assert!(ip("xfrm state").contains("spi 0x00001001"));
    // The kernel's words, or ours where an older one has none.
    assert!(refusal(&arguments).contains("(ENOENT)"));
}

/// Carries out what a form asks for.
fn send(form: &Form) {
    let wrong: Vec<_> = form.complaints().into_iter().filter(|c| c.severity == Severity::Error).collect();
    assert_eq!(wrong, []);
    let Some(Made::Change(change)) = form.made() else { panic!("nothing is made") };
    change.carry_out(&mut kernel()).unwrap();
}

fn edited_sa() {
    let key = "0x0102030405060708090a0b0c0d0e0f1011121314";
    ip(&format!(
        "xfrm state add src {GOUDA} dst {REBLOCHON} proto esp spi 0x1001 mode tunnel reqid 1 replay-window 64 flag esn \
         aead rfc4106(gcm(aes)) {key} 96 mark 7 mask 0xff encap espinudp 4500 4501 10.0.0.9 output-mark 3 if_id 9 \
         sel src 10.1.0.7/24 dst 10.2.0.0/24 proto tcp sport 22 limit packet-hard 1000 extra-flag oseq-may-wrap"
    ));
    ip(&format!(
        "xfrm state add src {GOUDA} dst {REBLOCHON} proto ah spi 0x1002 auth-trunc hmac(sha1) {key} 160 seq 0x77"
    ));
    ip(
        "xfrm state add src fd00:9::1 dst fd00:9::2 proto esp spi 0x1003 mode beet enc cbc(blowfish) 0x0102030405060708",
    );
    let before = kernel().sas().unwrap();
    assert_eq!(before.len(), 3);
    for sa in &before {
        let mut form = form::sa::editing(sa).unwrap();
        form.set(FieldId::ReqId, "42");
        send(&form);
        let mut after = kernel().sa(&sa.id()).unwrap();
        assert_eq!(after.reqid.0, 42);
        // All else is as it was; its numbers are ahead of those that it had.
        assert!(after.replay.sent > sa.replay.sent);
        (after.reqid, after.replay.sent) = (sa.reqid, sa.replay.sent);
        assert_eq!(after, *sa);
    }
}

fn edited_policy() {
    ip("xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/24 proto udp sport 53 dir out priority 7 flag icmp tmpl src \
         10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001 mode tunnel reqid 3 tmpl proto ah mode transport");
    let before = kernel().policies().unwrap().remove(0);
    let mut form = form::policy::editing(&before).unwrap();
    form.set(FieldId::Priority, "9");
    send(&form);
    let mut after = kernel().policies().unwrap();
    assert_eq!((after.len(), after[0].priority), (1, 9));
    after[0].priority = 7;
    after[0].used = before.used;
    assert_eq!(after[0], before, "its number too");
    let mut form = form::policy::editing(&before).unwrap();
    form.set(FieldId::Mark, "3");
    send(&form);
    let after = kernel().policies().unwrap();
    assert_eq!((after.len(), after[0].mark.map(|mark| mark.value)), (1, Some(3)));
    assert_eq!(after[0].templates, before.templates);
}

fn refused() {
    let ends = ["add", "sa", "--source", GOUDA, "--destination", REBLOCHON];
    let with = |more: &[&str]| -> Vec<String> { ends.iter().chain(more).map(|word| (*word).to_owned()).collect() };
    let refusal = |more: &[&str]| refusal(&with(more).iter().map(String::as_str).collect::<Vec<_>>());
    let words = refusal(&["--spi", "7", "--encryption-key", "generate"]);
    assert!(words.contains("--spi: SPIs 0 to 255 are reserved") && words.contains("nothing has been done"), "{words}");
    let words = refusal(&["--spi", "generate", "--encryption-key", "generate"]);
    assert!(words.contains("warning: --destination: there is no esp SA back"), "{words}");
    let words = refusal(&["--spi", "0x1001", "--encryption", "rot13"]);
    assert!(words.contains("--encryption: \"rot13\" is none of aes-gcm-256,"), "{words}");
    let words = refusal(&["--spi", "0x1001", "--encryption-key", "0x00", "--compression", "deflate"]);
    assert!(words.contains("--compression means nothing"), "{words}");
    assert_eq!(ip("xfrm state"), "");
    // Both languages, and no key.
    let arguments = with(&["--spi", "0x1001", "--encryption-key", "generate", "--dry-run"]);
    let said = espial(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(said.contains("ip xfrm state add src 10.9.0.1") && said.contains("<key hidden>"), "{said}");
    assert_eq!(ip("xfrm state"), "");
}

fn flush() {
    for line in [
        "state add src 10.9.0.1 dst 10.9.0.2 proto ah spi 0x1001 auth hmac(sha1) 0x0102030405060708090a0b0c0d0e0f1011121314",
        "state add src 10.9.0.1 dst 10.9.0.2 proto comp spi 0x1002 comp deflate",
        "policy add src 10.1.0.0/24 dst 10.2.0.0/24 dir out ptype sub",
        "policy add src 10.1.0.0/24 dst 10.2.0.0/24 dir out",
    ] {
        ip(&format!("xfrm {line}"));
    }
    let arguments = ["flush", "sas", "--protocol", "ah"];
    assert!(refusal(&arguments).contains("--yes does it all the same"));
    assert_eq!(kernel().sas().unwrap().len(), 2);
    let listed = espial(&["flush", "sas", "--protocol", "ah", "--yes"]);
    assert!(listed.contains("ah 0x00001001") && !listed.contains("comp"), "{listed}");
    assert_eq!(kernel().sas().unwrap().len(), 1);
    espial(&["flush", "policies", "--set", "sub", "--yes"]);
    let left = kernel().policies().unwrap();
    assert_eq!(left.iter().map(|policy| policy.kind.to_string()).collect::<Vec<_>>(), ["main"]);
}
