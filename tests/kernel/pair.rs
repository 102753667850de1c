//! `espial pair`: both halves on real kernels, and traffic that goes through, also while its keys change.

use std::collections::HashSet;
use std::io::Read;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use espial::capture::interfaces;
use espial::kernel::{Kernel, together};
use espial::model::pair::{PairPlan, Purpose, Side, Stage};
use espial::model::{Prefix, Spi};

use crate::Test;
use crate::session::Session;
use crate::world::{GOUDA, REBLOCHON, feed, ip, kernel, on_reblochon, run};

pub const TESTS: &[Test] = &[
    ("every_way_to_protect_two_hosts_lets_their_traffic_through", hosts),
    ("every_way_to_protect_two_networks_lets_their_traffic_through", networks),
    ("a_pair_is_made_whole_or_not_at_all", whole_or_not),
    ("new_keys_lose_no_packet_and_leave_no_old_sa", new_keys),
    ("a_removal_leaves_nothing_on_either_host_and_can_be_taken_back", removal),
    ("a_removal_that_nobody_keeps_comes_back_when_the_terminal_goes", trial),
    ("what_is_not_of_the_pair_stays", others_stay),
];

const ESPIAL: &str = env!("CARGO_BIN_EXE_espial");

/// Makes a pair and runs the other half's script on reblochon with the program that it is written for, or with espial
/// where that is setkey.
fn pair(arguments: &[&str]) {
    on_both("make", arguments);
}

fn on_both(what: &str, arguments: &[&str]) {
    let output = run(ESPIAL, ["pair", what, GOUDA, REBLOCHON, "--yes", "-o", "-"].iter().chain(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let script = String::from_utf8(output.stdout).unwrap();
    let (program, line) = match script.lines().next().unwrap() {
        "#!/bin/sh -e" => ("ip", ["netns", "exec", "reblochon", "sh", "-e"].as_slice()),
        "#!/bin/sh" => ("ip", ["netns", "exec", "reblochon", "sh"].as_slice()),
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

/// Both hosts find the traffic between the networks behind them encrypted.
#[track_caller]
fn is_encrypted_on_both() {
    let there = ["--netns", "reblochon", "check", "10.1.0.1", "--seconds", "2", "--probe", "icmp"];
    let lines = [check("10.2.0.1"), String::from_utf8(run(ESPIAL, there).stdout).unwrap()];
    assert!(lines.iter().all(|line| line.starts_with("ENCRYPTED: ")), "{lines:?}");
}

/// The networks behind the hosts.
const NETWORKS: [&str; 4] = ["--network-here", "10.1.0.0/24", "--network-there", "10.2.0.0/24"];

fn forget() {
    for host in ["gouda", "reblochon"] {
        ip(&format!("-n {host} xfrm state flush"));
        ip(&format!("-n {host} xfrm policy flush"));
    }
}

fn hosts() {
    for arguments in [
        &[][..],
        &["--algorithms", "chacha20-poly1305", "--lifetime", "8h"],
        &["--algorithms", "aes-256-cbc-sha512", "--language", "setkey"],
        &["--algorithms", "3des-sha1", "--with", "esp-and-ah", "--language", "setkey"],
        &["--compress-first"],
        &["--compress-first", "--with", "esp-and-ah", "--algorithms", "aes-256-cbc-sha512"],
    ] {
        pair(arguments);
        let line = check(REBLOCHON);
        assert!(line.starts_with("ENCRYPTED: ") && line.contains("after decryption in "), "{arguments:?}: {line}");
        forget();
    }
    pair(&["--with", "ah"]);
    let line = check(REBLOCHON);
    assert!(line.starts_with("IN CLEAR: ") && line.contains(" AH ok AH/"), "{line}");
    forget();
    // Nothing but compression, which small packets go without.
    pair(&["--with", "ipcomp"]);
    let line = check(REBLOCHON);
    assert!(line.starts_with("IN CLEAR: "), "{line}");
}

fn networks() {
    for arguments in [&[][..], &["--compress-first"], &["--with", "esp-and-ah"]] {
        pair(&NETWORKS.iter().chain(arguments).copied().collect::<Vec<_>>());
        let line = check("10.2.0.1");
        assert!(line.starts_with("ENCRYPTED: ") && line.contains("after decryption in "), "{arguments:?}: {line}");
        forget();
    }
}

fn whole_or_not() {
    ip("xfrm policy add src 10.9.0.2 dst 10.9.0.1 dir in");
    let output = run(ESPIAL, ["pair", "make", GOUDA, REBLOCHON, "-o", "-"]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && words.contains("nothing has been changed: adding policy in "), "{words}");
    assert!(output.stdout.is_empty(), "a script for half of nothing");
    assert_eq!(ip("xfrm state list"), "");
    assert_eq!(ip("xfrm policy list").matches("dir ").count(), 1);
}

/// What both hosts' databases hold: SAs by SPI, and policies.
fn everything() -> [(Vec<Spi>, usize); 2] {
    let read = || {
        let mut spis: Vec<Spi> = kernel().sas().unwrap().iter().map(|sa| sa.spi).collect();
        spis.sort();
        (spis, kernel().policies().unwrap().len())
    };
    [read(), on_reblochon(read)]
}

/// Datagrams that go both ways between two addresses, until they are counted.
struct Talk {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Counted>>,
    wiretaps: Vec<Child>,
}

/// What became of the datagrams of one way.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    sent: u32,
    refused: u32,
    missing: u32,
}

const PORT: u16 = 7000;

/// The interface with an address.
fn link(address: &str) -> String {
    let address = address.parse().unwrap();
    interfaces().into_iter().find(|interface| interface.addresses.contains(&address)).unwrap().name
}

impl Talk {
    fn between(here: &str, there: &str) -> Self {
        let wiretap = |host: &str, link: &str| {
            let line = [
                "netns", "exec", host, "tcpdump", "-i", link, "-Q", "out", "-c", "3", "-l", "-n", "udp", "port", "7000",
            ];
            let mut tap = Command::new("ip")
                .args(line)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // It says on which interface it listens when it does.
            tap.stderr.as_mut().unwrap().read_exact(&mut [0; 1]).unwrap();
            tap
        };
        let wiretaps = vec![wiretap("gouda", &link(GOUDA)), wiretap("reblochon", &on_reblochon(|| link(REBLOCHON)))];
        let ours = UdpSocket::bind((here, PORT)).unwrap();
        let theirs = on_reblochon(|| UdpSocket::bind((there, PORT)).unwrap());
        ours.connect((there, PORT)).unwrap();
        theirs.connect((here, PORT)).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
            let (from, to, ends) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&ends));
            threads.push(std::thread::spawn(move || Self::one_way(&from, to, &ends)));
        }
        Self { ends, threads, wiretaps }
    }

    fn one_way(from: &UdpSocket, to: UdpSocket, ends: &AtomicBool) -> Counted {
        to.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let hears = std::thread::spawn(move || {
            let (mut heard, mut buffer) = (HashSet::new(), [0; 100]);
            while let Ok(length) = to.recv(&mut buffer) {
                assert_eq!(length, buffer.len());
                heard.insert(buffer[..4].to_vec());
            }
            u32::try_from(heard.len()).unwrap()
        });
        let (mut sent, mut refused) = (0_u32, 0);
        while !ends.load(Ordering::Relaxed) {
            let mut datagram = [7; 100];
            datagram[..4].copy_from_slice(&sent.to_be_bytes());
            refused += u32::from(from.send(&datagram).is_err());
            sent += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        Counted { sent, refused, missing: sent - hears.join().unwrap() }
    }

    /// Ends it. Every datagram must have come, and none of them in clear over the wire.
    #[track_caller]
    fn ends_whole(self) {
        self.ends.store(true, Ordering::Relaxed);
        let counted: Vec<Counted> = self.threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for mut tap in self.wiretaps {
            // `ip netns exec` has become tcpdump.
            assert!(Command::new("kill").arg(tap.id().to_string()).status().unwrap().success());
            let mut text = String::new();
            tap.stdout.take().unwrap().read_to_string(&mut text).unwrap();
            tap.wait().unwrap();
            // It ends with an empty line.
            assert_eq!(text.trim(), "", "in clear on the wire");
        }
        assert!(counted.iter().all(|way| way.refused == 0 && way.missing == 0 && way.sent > 100), "{counted:?}");
    }
}

fn lost() -> u64 {
    let lost = || kernel().statistics().unwrap().iter().map(|(_, count)| count).sum::<u64>();
    lost() + on_reblochon(lost)
}

/// Runs a script of a host with the shell.
fn script(host: &str, path: &Path) {
    let output = run("ip", ["netns", "exec", host, "sh", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
}

fn new_keys() {
    let folder = std::env::temp_dir().join(format!("espial-rekey-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (turn, arguments) in [&[][..], &["--with", "esp-and-ah"], &["--compress-first"]].into_iter().enumerate() {
        pair(&NETWORKS.iter().chain(arguments).copied().collect::<Vec<_>>());
        is_encrypted_on_both();
        let before = everything();
        let (lost_before, talk) = (lost(), Talk::between("10.1.0.1", "10.2.0.1"));
        wait();
        let first = folder.join(format!("{turn}.sh"));
        let line = ["pair", "rekey", GOUDA, REBLOCHON, "-o", first.to_str().unwrap()];
        let output = run(ESPIAL, line.iter().chain(&NETWORKS));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for (host, path) in [
            ("reblochon", first.clone()),
            ("gouda", folder.join(format!("{turn}.sh.here"))),
            ("reblochon", folder.join(format!("{turn}.sh.last"))),
        ] {
            wait();
            script(host, &path);
        }
        wait();
        talk.ends_whole();
        assert_eq!(lost(), lost_before, "the kernels lost packets");
        let after = everything();
        assert_eq!((after[0].0.len(), after[0].1), (before[0].0.len(), before[0].1), "{arguments:?}");
        assert_eq!(after[0].0, after[1].0, "both hosts have the same SAs");
        let is_new = |spi: &Spi| !before[0].0.contains(spi) || is_kernels_own(*spi);
        assert!(after[0].0.iter().all(is_new), "{arguments:?}: {after:?}");
        is_encrypted_on_both();
        forget();
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// The kernel makes IP in IP beside IPComp, with an address as its SPI.
fn is_kernels_own(spi: Spi) -> bool {
    [u32::from_be_bytes([10, 9, 0, 1]), u32::from_be_bytes([10, 9, 0, 2])].contains(&spi.0)
}

/// Traffic goes on for a while.
fn wait() {
    std::thread::sleep(Duration::from_millis(400));
}

fn removal() {
    for (arguments, language) in
        [(&NETWORKS[..], &[][..]), (&[][..], &[]), (&["--compress-first"], &["--language", "setkey"])]
    {
        pair(arguments);
        // Without a yes, what would go is listed.
        let ends: &[&str] = if arguments == NETWORKS { &NETWORKS } else { &[] };
        let output = run(ESPIAL, ["pair", "remove", GOUDA, REBLOCHON].iter().chain(ends));
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && words.contains("esp 0x") && words.contains("go IN CLEAR"), "{words}");
        let before = everything();
        assert!(!before[0].0.is_empty());
        on_both("remove", &ends.iter().chain(language).copied().collect::<Vec<_>>());
        assert_eq!(everything(), [(Vec::new(), 0), (Vec::new(), 0)], "{arguments:?}");
    }
    pair(&NETWORKS);
    let before = everything();
    let mut plan = PairPlan::between(GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap());
    plan.networks = Some(["10.1.0.0/24", "10.2.0.0/24"].map(|net| net.parse::<Prefix>().unwrap()));
    plan.purpose = Purpose::Remove;
    let (sas, policies) = (kernel().sas().unwrap(), kernel().policies().unwrap());
    let standing = plan.standing(&sas, &policies);
    let stages = plan.stages(&standing, |protocol| Spi::random(protocol, |_| false)).unwrap();
    let [Stage { side: Side::Here, half: here }, Stage { side: Side::There, half: there }] = stages.as_slice() else {
        panic!("{stages:?}");
    };
    let ours = together::exchange(&mut kernel(), here).unwrap();
    let theirs = on_reblochon(|| together::exchange(&mut kernel(), there)).unwrap();
    assert_eq!(everything(), [(Vec::new(), 0), (Vec::new(), 0)]);
    let line = check("10.2.0.1");
    assert!(line.starts_with("IN CLEAR: "), "{line}");
    on_reblochon(|| theirs.carry_out(&mut kernel())).unwrap();
    ours.carry_out(&mut kernel()).unwrap();
    assert_eq!(everything(), before);
    is_encrypted_on_both();
}

/// Who is cut off by a removal cannot say that it shall be kept: it comes back when the terminal goes.
fn trial() {
    pair(&NETWORKS);
    let before = everything();
    let mut session = Session::espial();
    session.sees("SAs 2").unwrap();
    session.press("A");
    session.sees("new keys").unwrap();
    session.press("\x1b[C");
    session.sees("remove SAs and policies").unwrap();
    session.press("\x13");
    session.sees("This goes from both hosts").unwrap();
    session.press("y");
    session.sees("on trial").unwrap();
    let after = everything();
    assert_eq!((&after[0], &after[1]), (&(Vec::new(), 0), &before[1]));
    session.signal(rustix::process::Signal::HUP);
    let last_words = session.ends(0).unwrap();
    assert_eq!(everything(), before);
    assert!(last_words.contains("the removal shall be kept: it was taken back"), "{last_words}");
    assert!(!last_words.contains("has removed what protects"), "{last_words}");
}

fn others_stay() {
    pair(&NETWORKS);
    pair(&["--network-here", "10.1.0.0/24", "--network-there", "10.7.0.0/24"]);
    ip("xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/24 proto udp dport 53 dir out priority 1");
    let before = everything();
    on_both("remove", &NETWORKS);
    let after = everything();
    assert_eq!((after[0].0.len(), after[0].1), (before[0].0.len() - 2, before[0].1 - 3));
    assert_eq!((after[1].0.len(), after[1].1), (before[1].0.len() - 2, before[1].1 - 3));
    let output = run(ESPIAL, ["pair", "remove", GOUDA, REBLOCHON, "--yes"].iter().chain(&NETWORKS));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && words.contains("nothing protects the traffic of these two"), "{words}");
}
