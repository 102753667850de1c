//! `espial apply` as one step: what is taken back after a refusal works as before.

use espial::kernel::{Kernel, together};
use espial::model::pair::PairPlan;
use espial::model::{SaFlags, Spi};

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, feed, ip, kernel, on_reblochon, run};

pub const TESTS: &[Test] = &[
    ("a_script_that_is_refused_leaves_everything_and_the_traffic_goes_on", refused),
    ("a_dry_run_compares_with_the_kernel_and_changes_nothing", dry_run),
    ("what_ip_takes_from_a_batch_is_taken_the_same_by_apply", like_ip),
];

const ESPIAL: &str = env!("CARGO_BIN_EXE_espial");

/// Protects the two hosts, with replay windows of this width.
fn protect(window: u32, extended: bool) {
    let plan = PairPlan::between(GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap());
    let mut halves = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
    for sa in halves.iter_mut().flat_map(|half| &mut half.sas) {
        sa.replay_window = window;
        sa.flags = SaFlags(if extended { SaFlags::ESN } else { 0 });
    }
    let [here, there] = &halves;
    together::add(&mut kernel(), here).unwrap();
    on_reblochon(|| together::add(&mut kernel(), there)).unwrap();
}

fn check() -> String {
    let output = run(ESPIAL, ["check", REBLOCHON, "--seconds", "2", "--probe", "icmp"]);
    String::from_utf8(output.stdout).unwrap()
}

/// How far the numbers of the SA that sends have come.
fn sent() -> u64 {
    let sas = kernel().sas().unwrap();
    sas.iter().find(|sa| sa.destination.to_string() == REBLOCHON).unwrap().replay.sent
}

fn refused() {
    for (window, extended) in [(32, false), (64, true), (128, false)] {
        protect(window, extended);
        assert!(check().starts_with("ENCRYPTED: "), "before");
        let (before, listed) = (sent(), ip("xfrm policy"));
        assert!(before > 0);
        let key = "0x0102030405060708090a0b0c0d0e0f1011121314";
        let add = format!("add 10.9.0.1 10.9.0.9 ah 0x1000 -A hmac-sha1 {key};\n");
        let output = feed(ESPIAL, &["apply", "-"], &format!("flush;\nspdflush;\n{add}{add}"));
        let complaints = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{complaints}");
        assert!(complaints.contains("standard input:4:1: adding SA ah 0x00001000 to 10.9.0.9"), "{complaints}");
        assert!(complaints.ends_with("espial: nothing of standard input has been applied\n"), "{complaints}");
        assert_eq!(kernel().sas().unwrap().len(), 2);
        assert_eq!(ip("xfrm policy").matches("dir ").count(), listed.matches("dir ").count());
        // No number is used twice, and the peer takes what comes.
        assert!(sent() > before, "{} is not more than {before}", sent());
        let line = check();
        assert!(line.starts_with("ENCRYPTED: "), "window {window}: {line}");
        let errors = on_reblochon(|| kernel().sas().unwrap().iter().map(|sa| sa.errors.total()).sum::<u64>());
        assert_eq!(errors, 0);
        crate::world::reset();
    }
}

fn dry_run() {
    let article = include_str!("../data/article-gouda.conf");
    let say = |script: &str| {
        let output = feed(ESPIAL, &["apply", "--dry-run", "-"], script);
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, out, _) = say(article);
    assert_eq!(status, Some(0));
    assert!(out.ends_with("7 added, 0 removed, 0 changed, 0 unchanged; nothing has been done\n"), "{out}");
    assert_eq!(ip("xfrm state"), "");
    assert!(feed(ESPIAL, &["apply", "-"], article).status.success());
    let (_, out, _) = say(article);
    assert!(out.contains("= SA esp 0x000003e9 to 10.9.0.2 (made anew: its sequence numbers begin again)\n"), "{out}");
    assert!(out.ends_with("0 added, 0 removed, 0 changed, 7 unchanged; nothing has been done\n"), "{out}");
    let other = article.replace("123456789012345678901234", "123456789012345678901235");
    let (_, out, _) = say(&other);
    assert!(out.contains("~ SA esp 0x000003e9 to 10.9.0.2 (with another key)\n"), "{out}");
    let (status, out, complaints) = say(&article.replace("spdflush;", "").replace("flush;", ""));
    assert_eq!((status, out.as_str()), (Some(1), ""), "{complaints}");
    assert!(complaints.contains("exists already (EEXIST)"), "{complaints}");
}

/// The same lines through `ip -batch` and through `espial apply`: the kernel then holds the same.
fn like_ip() {
    let listed = || {
        let words = ip("xfrm state") + " " + &ip("-d xfrm policy");
        // The kernel's own numbers and times.
        words.split(' ').filter(|word| !word.contains(':') && *word != "index").map(str::to_owned).collect::<Vec<_>>()
    };
    let (aes, mac) = (crate::world::key(36), crate::world::key(32));
    let batch = format!(
        "xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001 mode tunnel reqid 7 replay-window 32 aead \
         rfc4106(gcm(aes)) {aes} 128 mark 0x7 mask 0xff flag nopmtudisc flag af-unspec if_id 0x9\n\
         xfrm state add src fd00:9::1 dst fd00:9::2 proto ah spi 4097 auth-trunc hmac(sha256) {mac} 128 mode transport \
         replay-window 64 flag esn sel src fd00:9::1/128 dst fd00:9::2/128 proto udp sport 500 dport 500\n\
         xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1002 enc cbc(aes) {mac} auth hmac(sha1) 0x{} \
         encap espinudp 4500 4500 0.0.0.0 limit time-hard 3600 limit byte-soft 1000000\n\
         xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/24 proto tcp dport 443 dir out priority 77 ptype main mark 1 mask 3 \
         tmpl src 10.9.0.1 dst 10.9.0.2 proto esp reqid 7 mode tunnel level required\n\
         xfrm policy add dir fwd src fd00:1::/64 dst fd00:2::/64 action block priority 5\n\
         xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/24 dir in flag localok tmpl proto comp mode transport level use \
         tmpl proto esp mode transport\n",
        "ab".repeat(20)
    );
    let output = feed("ip", &["-batch", "-"], &batch);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let by_ip = listed();
    crate::world::reset();
    let output = feed(ESPIAL, &["apply", "-"], &batch);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(listed(), by_ip);
    let gone = "xfrm state delete src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1002\n\
                xfrm policy delete src 10.1.0.0/24 dst 10.2.0.0/24 proto tcp dport 443 dir out mark 1 mask 3\n\
                ip xfrm state flush proto ah\n";
    assert!(feed(ESPIAL, &["apply", "-"], gone).status.success());
    assert_eq!((kernel().sas().unwrap().len(), kernel().policies().unwrap().len()), (1, 2));
    // What espial prints is what it reads.
    let printed = crate::world::espial(&["sa", "--ip", "--show-keys"]) + &crate::world::espial(&["policy", "--ip"]);
    // In another order: the kernel lists the newest first.
    let sorted = || {
        let mut words = listed();
        words.sort();
        words
    };
    let before = sorted();
    crate::world::reset();
    let output = feed(ESPIAL, &["apply", "-"], &printed);
    assert!(output.status.success(), "{}\n{printed}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sorted(), before);
}
