//! `espial apply` as one step: what is taken back after a refusal works as before.

use std::process::{Command, Stdio};

use espial::kernel::{Kernel, together};
use espial::model::pair::PairPlan;
use espial::model::{SaFlags, Spi};

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, feed, ip, kernel, on_reblochon, run};

pub const TESTS: &[Test] = &[
    ("a_script_that_is_refused_leaves_everything_and_the_traffic_goes_on", refused),
    ("a_dry_run_compares_with_the_kernel_and_changes_nothing", dry_run),
    ("what_ip_takes_from_a_batch_is_taken_the_same_by_apply", like_ip),
    ("a_script_of_every_statement_leaves_what_setkey_left", like_setkey),
    ("what_is_printed_for_setkey_makes_the_same_again", printed_and_read),
    ("an_update_gives_keys_to_a_reserved_spi_and_lifetimes_to_an_sa", updates),
    ("policies_that_are_taken_back_or_updated_stay_in_their_order", order),
    ("a_refusal_takes_back_all_that_was_done_before_it", taken_back),
    ("an_interrupted_apply_leaves_everything_as_it_was", interrupted),
    ("who_does_not_wait_for_a_name_is_free_at_once", looked_up),
    ("policies_with_labels_come_and_go_as_others_do", labels),
    ("policies_passed_on_and_names_are_as_they_are_asked_for", choices),
    ("what_is_foreseen_to_be_refused_is_refused_by_the_kernel", foreseen),
];

const ESPIAL: &str = env!("CARGO_BIN_EXE_espial");

/// What only the kernel knows that it refuses: whatever can be foreseen is refused before anything is done.
const UNFORESEEN: &str = "ip xfrm state add src 10.9.0.1 dst 10.9.0.9 proto esp spi 0x1000 enc 'cbc(none)' \
                          0x00112233445566778899aabbccddeeff auth 'digest_null' ''\n";

/// Protects the two hosts, with replay windows of this width.
fn protect(window: u32, extended: bool) {
    let plan = PairPlan::between(GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap());
    let mut halves = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
    for sa in halves.iter_mut().flat_map(|half| &mut half.sas) {
        sa.replay_window = window;
        sa.flags = SaFlags(if extended { SaFlags::ESN } else { 0 });
    }
    let [here, there] = &halves;
    together::exchange(&mut kernel(), here).unwrap();
    on_reblochon(|| together::exchange(&mut kernel(), there)).unwrap();
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
        let script = format!("ip xfrm state flush\nip xfrm policy flush\n{UNFORESEEN}");
        let output = feed(ESPIAL, &["apply", "-"], &script);
        let complaints = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{complaints}");
        assert!(complaints.contains("standard input:3:1: adding SA esp 0x00001000 to 10.9.0.9"), "{complaints}");
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

/// Applies a script with these options: the status, what was said, what was complained about.
fn apply(options: &[&str], script: &str) -> (Option<i32>, String, String) {
    let output = feed(ESPIAL, &[&["apply"], options, &["-"]].concat(), script);
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// What `ip` listed, a text for each SA or policy in an order of its own. Sequence numbers and the kernel's own numbers
/// of policies are left out.
fn objects(listing: &str) -> Vec<String> {
    let mut objects: Vec<String> = Vec::new();
    for line in listing.lines().filter(|line| !line.trim_start().starts_with("anti-replay")) {
        if line.starts_with("src ") {
            objects.push(String::new());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let object = objects.last_mut().unwrap();
        *object = format!("{object} {}", words.join(" "));
    }
    objects.sort();
    objects
}

/// What `ip` lists of both databases.
fn databases() -> [Vec<String>; 2] {
    ["state", "policy"].map(|what| objects(&String::from_utf8(run("ip", ["xfrm", what]).stdout).unwrap()))
}

/// A script of all that the real setkey has leaves behind what the real one left.
fn like_setkey() {
    let (status, out, complaints) = apply(&[], include_str!("../data/setkey/statements.conf"));
    assert_eq!(status, Some(0), "{complaints}");
    assert!(complaints.lines().all(|line| line.contains(": warning: ")), "{complaints}");
    let [sas, policies] = databases();
    assert_eq!(sas, objects(include_str!("../data/setkey/statements.state")));
    assert_eq!(policies, objects(include_str!("../data/setkey/statements.policy")));
    // getspi, getspi, get, dump, spddump; none of it shows a key.
    let lines = |part: &str| out.lines().filter(|line| line.contains(part)).count();
    assert_eq!((lines(" is reserved: "), lines("Encryption"), lines("Priority")), (2, 2, 1), "{out}");
    assert!(out.contains("SPI 0x00003001 (12289) is reserved: esp 0x00003001 to 10.9.0.2\n"), "{out}");
    let looked_at = out.lines().position(|line| line.contains("0x00004001")).unwrap();
    let listed = out.lines().skip(looked_at + 1).collect::<Vec<_>>().join("\n");
    assert!(!listed.contains("0x00004001") && !listed.contains("0x000003e8"), "deleted before, and no ESP:\n{out}");
    assert!(listed.contains("0x00002001") && !out.contains("3132333435"), "{out}");
    // A preview of it says the same.
    let (_, said, _) = apply(&["--dry-run"], include_str!("../data/setkey/statements.conf"));
    assert!(said.ends_with("0 added, 0 removed, 0 changed, 28 unchanged; nothing has been done\n"), "{said}");
}

/// What espial prints of all that makes it again.
fn printed_and_read() {
    assert_eq!(apply(&[], include_str!("../data/setkey/statements.conf")).0, Some(0));
    let reserved = |sas: &mut Vec<String>| sas.retain(|sa| !sa.contains("0x0000300"));
    let [mut sas, policies] = databases();
    reserved(&mut sas);
    let printed =
        crate::world::espial(&["sa", "--setkey", "--show-keys"]) + &crate::world::espial(&["policy", "--setkey"]);
    let said: Vec<&str> = printed.lines().filter(|line| line.starts_with('#')).collect();
    assert!(said.iter().all(|line| line.contains("reserves its SPI")) && said.len() == 2, "{printed}");
    crate::world::reset();
    let (status, _, complaints) = apply(&[], &printed);
    assert_eq!(status, Some(0), "{complaints}\n{printed}");
    assert_eq!(databases(), [sas, policies]);
}

/// The statement that the real setkey has in its manual only: for a reserved SPI it gives the keys, for an SA that is
/// there other lifetimes, and more the kernel would not do.
fn updates() {
    let keys = "-E aes-cbc 0x00112233445566778899aabbccddeeff -A hmac-sha1 0x000102030405060708090a0b0c0d0e0f10111213";
    let (status, out, complaints) = apply(
        &[],
        &format!(
            "getspi 10.9.0.1 10.9.0.2 esp 0x3001; update 10.9.0.1 10.9.0.2 esp 0x3001 -lh 600 {keys}; get 10.9.0.1 10.9.0.2 esp 0x3001;"
        ),
    );
    assert_eq!(status, Some(0), "{complaints}");
    assert!(out.contains("is reserved: ") && out.contains("aes-cbc-128"), "{out}");
    let hard = || kernel().sas().unwrap()[0].limits.since_added_secs.hard;
    assert_eq!(hard(), Some(600));
    let (status, _, complaints) = apply(&[], &format!("update 10.9.0.1 10.9.0.2 esp 0x3001 -lh 900 {keys};"));
    assert_eq!((status, hard()), (Some(0), Some(900)), "{complaints}");
    let (status, _, complaints) = apply(&[], &format!("update 10.9.0.1 10.9.0.2 esp 0x3001 -u 7 -lh 60 {keys};"));
    assert_eq!((status, hard()), (Some(1), Some(900)));
    assert!(complaints.contains("would keep its reqid: delete it and add it"), "{complaints}");
    let (status, out, _) = apply(&[], "getspi 10.9.0.1 10.9.0.2 esp 0;");
    assert!(status == Some(0) && out.starts_with("SPI 0x0"), "{out}");
}

/// All that a script does before a refusal is taken back, whatever it is.
fn taken_back() {
    let key = "0x000102030405060708090a0b0c0d0e0f10111213";
    let before = format!(
        "add 10.9.0.1 10.9.0.2 ah 0x1001 -lh 7200 -A hmac-sha1 {key};\n\
         add 10.9.0.1 10.9.0.2 ah 0x1002 -u 3 -A hmac-sha1 {key};\n\
         add 10.9.0.1 10.9.0.2 esp 0x1003 -E null -A hmac-sha1 {key};\n\
         spdadd 10.1.0.0/24 10.2.0.0/24 any -P in ipsec esp/tunnel/10.9.0.1-10.9.0.2/unique:5;\n\
         spdadd 10.1.0.0/24 10.3.0.0/24 any -P out none;\n"
    );
    let (status, _, complaints) = apply(&[], &before);
    assert_eq!(status, Some(0), "{complaints}");
    // A mask that lets no mark count: what has no mark at all is the same for the kernel, and for nobody else.
    let null = "auth digest_null ''";
    ip(&format!("xfrm state add src 10.9.0.1 dst 10.9.0.9 proto ah spi 0x3001 {null} mark 0 mask 0xf"));
    let databases_before = databases();
    let script = format!(
        "add 10.9.0.1 10.9.0.9 ah 0x2001 -A hmac-sha1 {key};\n\
         delete 10.9.0.1 10.9.0.2 ah 0x1002;\n\
         update 10.9.0.1 10.9.0.2 ah 0x1001 -lh 60 -A hmac-sha1 {key};\n\
         getspi 10.9.0.1 10.9.0.2 esp 0x5001;\n\
         deleteall 10.9.0.1 10.9.0.2 esp;\n\
         spdadd 10.1.0.0/24 10.4.0.0/24 any -P in none;\n\
         spdadd 10.1.0.0/24 10.4.0.0/24 any -ctx 1 1 \"a:b\" -P out none;\n\
         spdupdate 10.1.0.0/24 10.3.0.0/24 any -P out prio 7 discard;\n\
         spdupdate 10.1.0.0/24 10.5.0.0/24 any -P in discard;\n\
         spddelete 10.1.0.0/24 10.2.0.0/24 any -P in;\n\
         flush esp;\n\
         spdflush;\n\
         spdadd 10.1.0.0/24 10.6.0.0/24 any -P fwd none;\n\
         add 10.9.0.1 10.9.0.9 ah 0x3001 -A hmac-sha1 {key};\n"
    );
    let (status, _, complaints) = apply(&[], &script);
    assert_eq!(status, Some(1));
    assert!(
        complaints.contains("standard input:14:1: adding SA ah 0x00003001 to 10.9.0.9: an SA with this destination"),
        "{complaints}"
    );
    assert!(complaints.ends_with("espial: nothing of standard input has been applied\n"), "{complaints}");
    assert_eq!(databases(), databases_before);
    assert_eq!(kernel().sas().unwrap().iter().filter(|sa| sa.limits.since_added_secs.hard == Some(7200)).count(), 1);
}

/// A resolver that never answers.
fn looked_up() {
    ip("link set lo up");
    let resolver = std::net::UdpSocket::bind("127.0.0.1:53").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    std::fs::write(&path, "nameserver 127.0.0.1\noptions timeout:30\n").unwrap();
    // Without such a file 127.0.0.1 is asked too.
    let command = "[ ! -e /etc/resolv.conf ] || mount --bind \"$1\" /etc/resolv.conf && exec \"$0\" apply -";
    let mut child = Command::new("unshare")
        .args(["-m", "sh", "-c", command, ESPIAL])
        .arg(&path)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script = b"add slow.example 10.1.0.2 ah 0x1000 -A null;\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script).unwrap();
    resolver.recv(&mut [0; 512]).unwrap();
    let asked = std::time::Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!((signal, asked.elapsed().as_secs()), (Some(2), 0), "{output:?}");
    assert_eq!(kernel().sas().unwrap(), []);
}

/// With a label or without one, a policy that was made goes again; without a flush, which takes both alike.
fn labels() {
    let script = "spdadd 10.1.0.0/24 10.4.0.0/24 any -P out none;\n\
                  spdadd 10.1.0.0/24 10.5.0.0/24 any -ctx 1 1 \"a:b\" -P out discard;\n\
                  spdupdate 10.1.0.0/24 10.6.0.0/24 any -ctx 1 1 \"a:b\" -P out discard;\n";
    let (status, _, complaints) = apply(&[], &format!("{script}spddelete 10.7.0.0/24 10.8.0.0/24 any -P out;\n"));
    assert_eq!(status, Some(1), "{complaints}");
    assert!(complaints.ends_with("espial: nothing of standard input has been applied\n"), "{complaints}");
    assert_eq!(databases()[1], [""; 0]);
    // What is kept of the label is printed, and read again as the same.
    assert_eq!(apply(&[], script).0, Some(0));
    let listed = databases();
    let printed = crate::world::espial(&["policy", "--setkey"]);
    assert_eq!(printed.contains("-ctx 1 1 \"a:b\""), listed[1].join(" ").contains("security context a:b"), "{printed}");
    crate::world::reset();
    assert_eq!(apply(&[], &printed).0, Some(0));
    assert_eq!(databases(), listed);
}

/// Policies for packets passed on, and names of hosts.
fn choices() {
    let add = "spdadd 10.1.0.0/24 10.2.0.0/24 any -P in none;";
    let directions = || {
        let mut all: Vec<String> =
            kernel().policies().unwrap().iter().map(|policy| policy.direction.to_string()).collect();
        all.sort();
        all
    };
    assert_eq!((apply(&["--no-forward"], add).0, directions()), (Some(0), vec!["in".to_owned()]));
    let printed = crate::world::espial(&["policy", "--setkey"]);
    assert!(printed.starts_with("# to be loaded with espial apply --no-forward"), "{printed}");
    // Its twin is not there, and nobody minds.
    let delete = add.replace("spdadd", "spddelete");
    assert_eq!((apply(&[], &delete).0, directions()), (Some(0), vec![]));
    let (_, said, _) = apply(&["--dry-run"], add);
    assert!(said.contains("+ policy fwd 10.1.0.0/24 10.2.0.0/24\n"), "{said}");
    assert_eq!((apply(&[], add).0, directions()), (Some(0), vec!["fwd".to_owned(), "in".to_owned()]));
    assert_eq!((apply(&[], &delete).0, directions()), (Some(0), vec![]));
    let (status, _, complaints) = apply(&[], "add -4 localhost 10.9.0.2 esp 0x7001 -E null -A null;");
    assert_eq!(status, Some(0), "{complaints}");
    assert_eq!(kernel().sas().unwrap()[0].source.to_string(), "127.0.0.1");
    let (status, _, complaints) = apply(&[], "flush; add -4n localhost 10.9.0.2 esp 0x7001 -E null -A null;");
    assert_eq!((status, kernel().sas().unwrap().len()), (Some(1), 1), "{complaints}");
}

/// Whether the kernel lets a datagram to reblochon go.
fn may_send() -> bool {
    let socket = std::net::UdpSocket::bind((GOUDA, 0)).unwrap();
    socket.send_to(b"may I", (REBLOCHON, 9)).is_ok()
}

fn interrupted() {
    let sas: Vec<String> = (0..20_000).map(|n| format!("add 10.1.0.1 10.1.0.2 ah {} -A null;", 0x1000 + n)).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.conf");
    std::fs::write(&path, sas.join("\n")).unwrap();
    let mut child =
        Command::new(ESPIAL).arg("apply").arg(&path).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut kernel = kernel();
    while kernel.counts().unwrap().sas < 100 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended before it was interrupted");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaints}");
    assert!(complaints.contains("carrying it out: interrupted"), "{complaints}");
    assert!(complaints.ends_with("many.conf has been applied\n"), "{complaints}");
    assert_eq!(kernel.sas().unwrap(), []);
}

fn order() {
    let allow = "src 10.9.0.1/32 dst 10.9.0.2/32 dir out";
    let block = "src 10.9.0.0/16 dst 10.9.0.0/16 dir out";
    // Other packets, the same priority: nothing of it may be touched.
    ip("xfrm policy add src 10.77.0.0/16 dst 10.77.0.0/16 dir out priority 7");
    ip(&format!("xfrm policy add {allow} priority 7"));
    ip(&format!("xfrm policy add {block} priority 7 action block"));
    ip("xfrm policy add src 10.9.0.1/32 dst 10.9.0.0/24 dir out priority 7");
    let listed = || {
        let mut policies = kernel().policies().unwrap();
        policies.sort_by(espial::model::spd::matching_order);
        policies.iter().map(|policy| policy.id().to_string()).collect::<Vec<_>>()
    };
    let before = listed();
    assert!(may_send() && before[1].starts_with("out 10.9.0.1/32 10.9.0.2/32"), "{before:?}");
    for script in [
        format!("ip xfrm policy delete {allow}\n{UNFORESEEN}"),
        format!("ip xfrm policy deleteall priority 7\n{UNFORESEEN}"),
        format!("ip xfrm policy flush\n{UNFORESEEN}"),
        format!("ip xfrm policy delete {block}\nip xfrm policy delete {allow}\n{UNFORESEEN}"),
    ] {
        let output = feed(ESPIAL, &["apply", "-"], &script);
        assert_eq!(output.status.code(), Some(1), "{script}");
        assert!(may_send(), "the kernel asks in another order after {script}");
        assert_eq!(listed(), before, "{script}");
    }
    // The younger allow does not undo the block, and an update leaves all in their places.
    ip(&format!("xfrm policy delete {allow}"));
    assert!(!may_send());
    ip(&format!("xfrm policy update {block} priority 7 action block"));
    assert!(!may_send());
    assert_eq!(listed(), [before[0].clone(), before[2].clone(), before[3].clone()]);
}

/// Scripts by chance over a few names: whatever a dry run foresees as refused, the kernel refuses when `ip` asks it.
fn foreseen() {
    let mut state = 7_u64;
    let mut any = |words: &[&str]| {
        // Knuth's generator; its high bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        words[usize::try_from(state >> 33).unwrap() % words.len()].to_owned()
    };
    let (cipher, ids) = (format!("enc cbc(aes) {}", crate::world::key(16)), ["0x1001", "0x1002"]);
    let marks = ["", "", "mark 3 mask 3"];
    let (mut refused, mut taken) = (0, 0);
    for round in 0..24 {
        let mut line = |kinds: &[&str]| {
            let sa = format!("src {} dst 10.9.0.2 proto esp spi {}", any(&["10.9.0.1", "10.9.0.3"]), any(&ids));
            let (mark, policy_mark) = (any(&marks), any(&marks));
            let selector = any(&["src 10.1.0.1/24", "src 10.1.0.0/24 proto udp dport 5"]);
            let policy =
                format!("{selector} dir {} {policy_mark} {}", any(&["in", "out", "out"]), any(&["", "", "if_id 3"]));
            let number = any(&["", "index 81"]);
            let out = policy.contains("dir out");
            let kind = any(kinds);
            let is_about_sas = any(&["y", "n"]) == "y";
            match (kind.as_str(), is_about_sas) {
                ("add" | "update", true) => {
                    format!("xfrm state {kind} {sa} reqid {} mode tunnel {mark} {cipher}", any(&["0", "5"]))
                }
                ("alloc", _) => {
                    let (sa, spi) = sa.split_once(" spi ").unwrap();
                    format!("xfrm state allocspi {sa} mode tunnel {mark} min {spi} max {spi}")
                }
                ("delete", true) => format!("xfrm state delete {sa} {mark}"),
                ("all", true) => {
                    format!(
                        "xfrm state deleteall {}",
                        any(&["", "src 10.9.0.1", "proto esp", "mode tunnel", "reqid 5"])
                    )
                }
                ("flush", true) => format!("xfrm state flush {}", any(&["", "proto esp", "proto ah"])),
                ("add" | "update", false) => {
                    let number = if out { &number } else { "" };
                    format!("xfrm policy {kind} {policy} {number} priority {}", any(&["1", "9"]))
                }
                ("delete", false) if out && !number.is_empty() => format!("xfrm policy delete {number} dir out"),
                ("delete", false) => format!("xfrm policy delete {policy}"),
                ("all", false) => {
                    let which = ["", "dir out", "index 81", "index 81", "priority 1", "dir out proto udp"];
                    format!("xfrm policy deleteall {}", any(&which))
                }
                _ => format!("xfrm policy flush {}", any(&["", "ptype main", "ptype sub"])),
            }
        };
        // Some of these are refused; the others are there.
        let before: Vec<String> = (0..8).map(|_| line(&["add", "add", "alloc"]) + "\n").collect();
        feed("ip", &["-force", "-batch", "-"], &before.concat());
        let kinds: [&[&str]; 4] =
            [&["all", "flush"], &["all", "flush", "add"], &["add", "update", "alloc"], &["add", "delete"]];
        let script: Vec<String> = kinds.iter().map(|kinds| line(kinds) + "\n").collect();
        let words: String = script.iter().flat_map(|line| ["ip ", line]).collect();
        let (status, _, complaints) = apply(&["--dry-run"], &words);
        let output = feed("ip", &["-batch", "-"], &script.concat());
        let (before, script) = (before.concat(), script.concat());
        if status == Some(0) {
            taken += 1;
        } else {
            refused += 1;
            assert!(
                !output.status.success() || complaints.contains("would"),
                "round {round}: {complaints}\nbefore\n{before}\nscript\n{script}"
            );
        }
        crate::world::reset();
    }
    assert!(refused > 3 && taken > 3, "{refused} refused, {taken} taken");
}
