//! What others write, as espial reads it.

use std::net::UdpSocket;
use std::time::Duration;

use espial::kernel::{Follower, Kernel, Update, Watch};
use espial::model::{
    AlgorithmName, IpsecProtocol, KernelEvent, Mode, PolicyDirection, PolicyKind, PolicySpec, Prefix, SaId, SaSpec,
    Secret, Selector, Spi, Template, Transform,
};
use serde_json::{Value, json};

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, espial, ip, json as espial_json, kernel, run};

pub const TESTS: &[Test] = &[
    ("sas_with_everything", sas_with_everything),
    ("many_sas_are_read_together", many_sas),
    ("policies_with_everything", policies_with_everything),
    ("another_namespace", another_namespace),
    ("events", events),
    ("lost_events_mean_a_new_snapshot", lost_events),
    ("changes_and_expiries", changes_and_expiries),
    ("counters_of_lost_packets", counters),
    ("without_capabilities", without_capabilities),
];

const GCM_KEY: &str = "0x0102030405060708090a0b0c0d0e0f1011121314";

fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or_else(|| panic!("no {path} in {value:#}"))
}

fn sas_with_everything() {
    ip(&format!(
        "xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001 reqid 5 mode tunnel \
         aead rfc4106(gcm(aes)) {GCM_KEY} 128 replay-window 32 flag esn limit time-hard 3600 limit byte-soft 1000000 \
         mark 0x10 mask 0xff if_id 7 output-mark 0x7 sel src 10.1.0.0/16 dst 10.2.0.0/16 proto tcp dport 443"
    ));
    let told = espial_json(&["sa", "--json", "--show-keys"]);
    assert_eq!(told["schema"], 1);
    let sa = &told["sas"][0];
    let expected = [
        ("/source", json!("10.9.0.1")),
        ("/destination", json!("10.9.0.2")),
        ("/protocol", json!("esp")),
        ("/spi", json!("0x00001001")),
        ("/mode", json!("tunnel")),
        ("/reqid", json!(5)),
        ("/mark", json!({"value": 16, "mask": 255})),
        ("/if_id", json!(7)),
        ("/output_mark/value", json!(7)),
        ("/flags", json!(["esn"])),
        ("/aead/name", json!("rfc4106(gcm(aes))")),
        ("/aead/key", json!(GCM_KEY)),
        ("/aead/icv_bits", json!(128)),
        ("/replay/window", json!(32)),
        ("/limits/since_added_secs/hard", json!(3600)),
        ("/limits/bytes/soft", json!(1_000_000)),
        ("/selector/source", json!("10.1.0.0/16")),
        ("/selector/protocol", json!("tcp")),
        ("/selector/destination_port/value", json!(443)),
        ("/unknown", json!([])),
    ];
    for (path, value) in expected {
        assert_eq!(at(sa, path), &value, "{path}");
    }
    let hidden = espial(&["sa", "--json"]);
    assert!(!hidden.contains(&GCM_KEY[2..]) && hidden.contains("rfc4106"), "{hidden}");
}

fn many_sas() {
    let mut kernel = kernel();
    let spec = |n: u32| {
        let mut spec =
            SaSpec::new(GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap(), IpsecProtocol::Esp, Spi(0x1000 + n));
        let name = AlgorithmName::from_kernel("rfc4106(gcm(aes))");
        spec.algorithms.aead = Some(Transform { name, key: Secret::copy_from(&[1; 20]), icv_bits: 128 });
        spec
    };
    let specs: Vec<SaSpec> = (0..300).map(spec).collect();
    assert_eq!(kernel.add_sas(&specs.iter().collect::<Vec<_>>()), []);
    for gone in [0, 31, 32, 100, 299] {
        kernel.delete_sa(&specs[gone].id()).unwrap();
    }
    let ids: Vec<SaId> = specs.iter().map(SaSpec::id).collect();
    let alone: Vec<_> = ids.iter().filter_map(|id| kernel.sa(id).ok()).collect();
    assert_eq!(alone.len(), 295);
    assert_eq!(kernel.sas_of(&ids), alone);
    assert_eq!(kernel.sas_of(&[]), []);
    // Nothing is left behind that the next question would take for its answer.
    assert_eq!(kernel.sas().unwrap().len(), 295);
}

fn policies_with_everything() {
    ip("xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 proto udp sport 500 dir out priority 77 mark 0x10 mask 0xff \
        if_id 3 flag localok limit time-soft 100 tmpl src 10.9.0.1 dst 10.9.0.2 proto esp reqid 5 mode tunnel \
        tmpl proto ah mode transport level use");
    ip("xfrm policy add src fd01::/64 dst fd02::/64 dir fwd action block");
    let told = espial_json(&["policy", "--json"]);
    let policies = told["policies"].as_array().unwrap();
    let out = policies.iter().find(|policy| policy["direction"] == "out").unwrap();
    let expected = [
        ("/selector/source", json!("10.1.0.0/16")),
        ("/selector/protocol", json!("udp")),
        ("/selector/source_port/value", json!(500)),
        ("/action", json!("allow")),
        ("/priority", json!(77)),
        ("/mark", json!({"value": 16, "mask": 255})),
        ("/if_id", json!(3)),
        ("/flags", json!(1)),
        ("/limits/since_added_secs/soft", json!(100)),
        ("/templates/0/protocol", json!("esp")),
        ("/templates/0/mode", json!("tunnel")),
        ("/templates/0/source", json!("10.9.0.1")),
        ("/templates/0/reqid", json!(5)),
        ("/templates/1/protocol", json!("ah")),
        ("/templates/1/required", json!(false)),
    ];
    for (path, value) in expected {
        assert_eq!(at(out, path), &value, "{path}");
    }
    let blocked = policies.iter().find(|policy| policy["direction"] == "fwd").unwrap();
    assert_eq!((at(blocked, "/action"), at(blocked, "/selector/destination")), (&json!("block"), &json!("fd02::/64")));
}

fn another_namespace() {
    ip(&format!(
        "-n reblochon xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x2002 aead rfc4106(gcm(aes)) {GCM_KEY} 128"
    ));
    assert_eq!(espial_json(&["sa", "--json"])["sas"], json!([]));
    let there = espial_json(&["--netns", "reblochon", "sa", "--json"]);
    assert_eq!(there["sas"][0]["spi"], "0x00002002");
    let output = run(env!("CARGO_BIN_EXE_espial"), ["--netns", "nowhere", "sa"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && words.contains("there are gouda, reblochon"), "{words}");
}

/// The events that come until one fits.
fn until(watch: &mut dyn Watch, what: &str, fits: impl Fn(&KernelEvent) -> bool) {
    let mut events = Vec::new();
    for _ in 0..60 {
        if events.iter().any(&fits) {
            return;
        }
        watch.wait(Duration::from_millis(500), &mut events).unwrap();
    }
    panic!("{what} did not come, but {events:?}");
}

fn lost_events() {
    let mut follower = Follower::new(Box::new(kernel())).unwrap();
    let next = |follower: &mut Follower| follower.next(Duration::from_secs(5)).unwrap();
    assert!(matches!(next(&mut follower), Some(Update::Snapshot(snapshot)) if snapshot.policies.is_empty()));
    // Nobody listens meanwhile: the socket's buffer takes what a burst brings, but not this.
    let anywhere = [0; 4].into();
    let template = Template::new(IpsecProtocol::Esp, Mode::Transport, anywhere, anywhere);
    let specs: Vec<PolicySpec> = (0..20_000u32)
        .map(|n| {
            let [_, b, c, d] = n.to_be_bytes();
            let host = Prefix { address: [10, b, c, d].into(), length: 32 };
            let spec =
                PolicySpec::new(PolicyDirection::Out, Selector::between(host, Prefix::host([10, 0, 0, 1].into())));
            // Large ones fill the buffer sooner.
            PolicySpec { templates: vec![template.clone(); PolicySpec::MOST_TEMPLATES], ..spec }
        })
        .collect();
    let mut writer = kernel();
    for spec in &specs {
        writer.add_policy(spec).unwrap();
    }
    let mut told = 0;
    loop {
        match next(&mut follower).expect("neither a loss nor a snapshot came") {
            Update::Events(events) => {
                told += events.iter().filter(|event| matches!(event, KernelEvent::PolicyAdded(_))).count();
                if events.contains(&KernelEvent::Lost) {
                    break;
                }
                assert!(told < specs.len(), "nothing was lost");
            }
            Update::Snapshot(_) => panic!("a snapshot without a loss"),
        }
    }
    let Some(Update::Snapshot(snapshot)) = next(&mut follower) else {
        panic!("no snapshot behind the loss");
    };
    assert_eq!(snapshot.policies.len(), specs.len());
}

fn events() {
    let mut watch = kernel().watch().unwrap();
    let watch = watch.as_mut();
    let named = "src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001";
    ip(&format!("xfrm state add {named} aead rfc4106(gcm(aes)) {GCM_KEY} 128"));
    until(watch, "the new SA", |event| matches!(event, KernelEvent::SaAdded(sa) if sa.spi.0 == 0x1001));
    ip(&format!("xfrm state delete {named}"));
    until(watch, "its end", |event| matches!(event, KernelEvent::SaDeleted(id) if id.spi.0 == 0x1001));
    ip(&format!("xfrm state add {named} limit time-hard 1 aead rfc4106(gcm(aes)) {GCM_KEY} 128"));
    until(
        watch,
        "its expiry",
        |event| matches!(event, KernelEvent::SaExpired { sa, hard: true } if sa.spi.0 == 0x1001),
    );
    ip(&format!("xfrm state add {named} aead rfc4106(gcm(aes)) {GCM_KEY} 128"));
    ip("xfrm state flush");
    until(watch, "the flush", |event| {
        matches!(event, KernelEvent::SasFlushed(IpsecProtocol::Any | IpsecProtocol::Other(0)))
    });
    ip("xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out");
    until(watch, "the new policy", |event| matches!(event, KernelEvent::PolicyAdded(_)));
    ip("xfrm policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir out");
    until(watch, "its end", |event| matches!(event, KernelEvent::PolicyDeleted(_)));
    ip("xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out");
    ip("xfrm policy flush");
    until(watch, "the flush", |event| matches!(event, KernelEvent::PoliciesFlushed(PolicyKind::Main)));
    ip("xfrm policy setdefault fwd block");
    until(watch, "the default", |event| matches!(event, KernelEvent::DefaultsChanged(_)));
    ip("xfrm policy setdefault fwd accept");
}

fn changes_and_expiries() {
    let mut watch = kernel().watch().unwrap();
    let watch = watch.as_mut();
    let sa = format!("src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001 aead rfc4106(gcm(aes)) {GCM_KEY} 128");
    ip(&format!("xfrm state add {sa}"));
    ip(&format!("xfrm state update {sa} limit time-soft 1 limit time-hard 3"));
    until(
        watch,
        "the changed SA",
        |event| matches!(event, KernelEvent::SaUpdated(sa) if sa.spi.0 == 0x1001 && sa.limits.since_added_secs.hard == Some(3)),
    );
    until(
        watch,
        "its warning",
        |event| matches!(event, KernelEvent::SaExpired { sa, hard: false } if sa.spi.0 == 0x1001),
    );
    assert!(ip("xfrm state").contains("spi 0x00001001"), "a soft limit only warns");
    let policy = "src 10.1.0.0/16 dst 10.2.0.0/16 dir out";
    ip(&format!("xfrm policy add {policy}"));
    ip(&format!("xfrm policy update {policy} priority 9"));
    until(
        watch,
        "the changed policy",
        |event| matches!(event, KernelEvent::PolicyUpdated(policy) if policy.priority == 9),
    );
    ip(&format!("xfrm policy update {policy} limit time-hard 1"));
    until(
        watch,
        "its expiry",
        |event| matches!(event, KernelEvent::PolicyExpired { policy, hard: true } if policy.selector.source.to_string() == "10.1.0.0/16"),
    );
    assert_eq!(ip("xfrm policy"), "");
}

fn counters() {
    let before = kernel().statistics().unwrap();
    // Nobody has an SA for what this policy demands.
    ip("xfrm policy add src 10.9.0.1 dst 10.9.0.2 proto udp dport 9 dir out tmpl proto esp mode transport");
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    let _ = socket.send_to(b"hello world", "10.9.0.2:9");
    let after = kernel().statistics().unwrap();
    let grown: Vec<(&str, u64)> = after.grown_since(&before).collect();
    assert!(grown.iter().any(|(name, _)| *name == "XfrmOutNoStates"), "{grown:?}");
}

fn without_capabilities() {
    let espial_program = env!("CARGO_BIN_EXE_espial");
    let output = run("setpriv", ["--bounding-set=-all", "--inh-caps=-all", espial_program, "sa"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("CAP_NET_ADMIN"), "{words}");
}
