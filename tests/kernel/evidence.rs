//! Verdicts over what a real kernel sends and receives.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use espial::capture::{self, Wanted, interfaces};
use espial::kernel::Kernel;
use espial::kernel::namespace::Namespace;
use serde_json::Value;

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, feed, ip, kernel, on_reblochon, run};

pub const TESTS: &[Test] = &[
    ("the_articles_packets_are_authentic_and_read", the_articles_packets),
    ("check_answers_with_a_word_and_a_status", check_answers),
    ("clear_against_a_policy_is_said_with_the_policy", clear_against_a_policy),
    ("another_key_is_a_bad_icv", another_key),
    ("one_packet_on_a_vlan_and_on_its_trunk_is_no_replay", vlan_and_trunk),
    ("a_tunnels_copies_are_no_leaks", tunnel_copies),
    ("a_check_is_about_the_networks_behind_a_tunnel", tunnel_checked),
    ("what_the_kernel_refuses_is_not_called_ok", refused_by_the_kernel),
    ("frames_around_a_rekeying_are_read", rekeyed_in_mid_stream),
    ("a_policy_that_is_gone_on_one_side_is_found", one_side_forgets),
];

pub const ESPIAL: &str = env!("CARGO_BIN_EXE_espial");
pub const KEY: &str = "0x0102030405060708090a0b0c0d0e0f1011121314";
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
pub fn packets(count: u32, filter: &str) -> Vec<Value> {
    packets_on(None, count, filter)
}

pub fn packets_on(interface: Option<&str>, count: u32, filter: &str) -> Vec<Value> {
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
pub fn check(arguments: &[&str]) -> (i32, String) {
    let output = run(ESPIAL, ["check", "--seconds", "3"].iter().chain(arguments));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

// The hosts' talkers say hello over UDP and TCP every second.

fn the_articles_packets() {
    apply_the_article();
    // The networks behind the hosts talk too, in clear.
    for packet in packets(6, "host 10.9.0.2 and text \"hello world\"") {
        assert_eq!(packet["verdict"], "ESP+AH ok", "{packet:#}");
        assert_eq!(packet["layers"], serde_json::json!(["Ethernet", "IPv4", "AH", "ESP"]));
        let encrypted = packet["sa"][1]["encryption"].as_str();
        assert_eq!(encrypted, Some("3des-cbc"));
        // "hello world"
        assert!(packet["inner"]["payload_hex"].as_str().unwrap().starts_with("68656c6c6f20776f726c64"), "{packet:#}");
    }
}

fn check_answers() {
    let (status, line) = check(&[REBLOCHON, "--text", "hello world"]);
    assert!(status == 1 && line.starts_with("IN CLEAR: "), "{line}");
    let first = line.split_once("the first: ").unwrap().1;
    let (time, first) = first.split_once(' ').unwrap();
    assert!(time.len() == 12 && time.as_bytes()[8] == b'.' && first.starts_with("10.9.0."), "{line}");
    assert!(first.contains(" > 10.9.0.") && first.contains(" CLEAR "), "{line}");
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
    while_saying(b"in clear", host, from, to, work)
}

/// The same with these words.
pub fn while_saying<T>(words: &[u8], host: &str, from: &str, to: (&str, u16), work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let send = || {
                let socket = UdpSocket::bind((from, 0)).unwrap();
                socket.set_broadcast(true).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    // A closed port may have been told about the one before.
                    let _ = socket.send_to(words, to);
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

/// The networks behind the hosts talk, and so does a host in the one behind gouda, whose packets are in clear there.
fn tunnel_checked() {
    // A host in gouda's network, which sends to the other network ten times in a second.
    const SCRIPT: &str = r#"
        set -e
        ip netns add client
        trap 'kill $talker; ip netns del client' EXIT
        ip link add c0 type veth peer name c1 netns client
        ip link set c0 up
        ip route add 10.1.0.7 dev c0 src 10.1.0.1
        echo 1 >/proc/sys/net/ipv4/ip_forward
        ip -n client addr add 10.1.0.7/32 dev c1
        ip -n client link set c1 up
        ip -n client route add 10.1.0.1 dev c1
        ip -n client route add default via 10.1.0.1
        ip netns exec client bash -c 'while sleep 0.1; do echo out >/dev/udp/10.2.0.1/99; done' 2>/dev/null &
        talker=$!
        set +e
        check() { "$ESPIAL" check 10.2.0.0/24 --seconds "$@" 2>&1; echo "status $?"; }
        check 2 --own 10.1.0.0/24 --text "hello world"
        check 1 --own 10.1.0.7 -i any
        check 1 -i c0
        for place in any c0; do "$ESPIAL" check 10.2.0.1 -i $place --seconds 1 2>&1; echo "status $?"; done
        check 2 --own 10.1.0.0/24 --probe udp:9 --to 10.2.0.1 --text "nobody else says this"
        ip xfrm policy delete src 10.1.0.0/24 dst 10.2.0.0/24 dir out
        check 3 --own 10.1.0.0/24
        "$ESPIAL" check 10.1.0.0/24 --own 10.2.0.0/24 --seconds 2 2>&1; echo "status $?"
        ip -n reblochon xfrm policy flush; ip xfrm policy flush
        check 2 --own 10.1.0.0/24 --text "hello world"
    "#;
    let mut lab = Command::new(ESPIAL);
    lab.args(["lab", "--kernel", "host", "--profile", "tunnel", "--", "sh", "-c", SCRIPT]).env("ESPIAL", ESPIAL);
    let output = lab.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let mut ended = |begin: &str, part: &str, status: u8| {
        let answer: Vec<&str> = lines.by_ref().take_while(|line| *line != format!("status {status}")).collect();
        let is_answer = answer.iter().any(|line| line.starts_with(begin));
        assert!(is_answer && answer.join(" ").contains(part), "{begin} {part}: {text}");
    };
    let encrypted =
        "frames between 10.1.0.0/24 and 10.2.0.0/24 encrypted and authentic, none in clear; \"hello world\" was";
    ended("ENCRYPTED: ", encrypted, 0);
    // On all interfaces the inner one is among them, and alone it shows nothing that counts.
    ended("ENCRYPTED: ", "between 10.1.0.7 and 10.2.0.0/24 encrypted", 0);
    ended("UNDECIDED: ", "on the gateway's inner side", 2);
    // So it is for one host.
    ended("ENCRYPTED: ", "with 10.2.0.1 encrypted", 0);
    ended("UNDECIDED: ", "on the gateway's inner side", 2);
    ended("ENCRYPTED: ", "\"nobody else says this\" was nowhere on the wire, and after decryption in 2 frames", 0);
    // What comes from the other side still goes through the tunnel.
    ended("MIXED: ", " > 10.2.0.1 CLEAR ", 1);
    // The same with the networks the wrong way round.
    ended("MIXED: ", " > 10.2.0.1 CLEAR ", 1);
    ended("IN CLEAR: ", "10.1.0.0/24 and 10.2.0.0/24 can be read; \"hello world\" was on the wire in ", 1);
}

/// Packets that fit, as JSON: the first one, what comes while something happens, and on until there are enough.
pub fn packets_during(filter: &str, deed: impl FnOnce(), is_enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut command = Command::new(ESPIAL);
    let mut child = command.args(["packets", "--json", filter]).stdout(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let (over, waits) = std::sync::mpsc::channel::<()>();
    // Nothing waits for ever.
    let watchdog = thread::spawn(move || {
        if waits.recv_timeout(Duration::from_secs(40)).is_err() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || Some(serde_json::from_str(&lines.next()?.unwrap()).unwrap());
    let mut seen: Vec<Value> = next().into_iter().collect();
    deed();
    while !is_enough(&seen) {
        match next() {
            Some(packet) => seen.push(packet),
            None => panic!("that was all: {seen:#?}"),
        }
    }
    over.send(()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    watchdog.join().unwrap();
    seen
}

fn is_ok(packet: &Value) -> bool {
    let verdict = packet["verdict"].as_str().unwrap();
    verdict == "ESP ok" || verdict.starts_with("GAP")
}

/// A state with this number and key in one direction on both hosts, and reblochon's policy that uses it.
fn protect_what_reblochon_sends(spi: &str, key: &str) {
    for host in ["gouda", "reblochon"] {
        ip(&format!(
            "-n {host} xfrm state add src 10.9.0.2 dst 10.9.0.1 proto esp spi {spi} replay-window 32 \
             aead rfc4106(gcm(aes)) {key} 128"
        ));
    }
}

fn out_policy_of_reblochon() {
    ip("-n reblochon xfrm policy add src 10.9.0.2 dst 10.9.0.1 dir out tmpl proto esp mode transport");
}

/// Puts a frame onto the wire at reblochon.
pub fn inject(frame: &[u8]) {
    on_reblochon(|| Wire::at(REBLOCHON).put(frame));
}

/// Where frames are put onto the wire as they are.
pub struct Wire(rustix::fd::OwnedFd);

impl Wire {
    /// At the interface of the calling thread's namespace that has this address.
    pub fn at(address: &str) -> Self {
        use rustix::net::{AddressFamily, SocketType, socket};
        let address = address.parse().unwrap();
        let interfaces = interfaces();
        let place = interfaces.iter().find(|interface| interface.addresses.contains(&address)).unwrap();
        let socket = socket(AddressFamily::PACKET, SocketType::RAW, None).unwrap();
        let to = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).unwrap(),
            sll_protocol: 0,
            sll_ifindex: i32::try_from(place.index).unwrap(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let length = libc::socklen_t::try_from(size_of_val(&to)).unwrap();
        // SAFETY: the kernel reads so many bytes of an address that is as long.
        #[allow(unsafe_code, reason = "no safe crate binds a packet socket")]
        let bound = unsafe { libc::bind(std::os::fd::AsRawFd::as_raw_fd(&socket), (&raw const to).cast(), length) };
        assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
        Self(socket)
    }

    pub fn put(&self, frame: &[u8]) {
        rustix::net::send(&self.0, frame, rustix::net::SendFlags::empty()).unwrap();
    }
}

/// The next ESP packet of this SA that arrives.
fn next_esp(spi: u32) -> Vec<u8> {
    let address = GOUDA.parse().unwrap();
    let place = interfaces().into_iter().find(|interface| interface.addresses.contains(&address)).unwrap();
    let wanted = Wanted { interface: place.name, buffer: 1 << 20, ..Wanted::default() };
    let mut source = capture::open(wanted).unwrap();
    loop {
        let mut frames = source.next(Duration::from_secs(5)).unwrap().frames.into_iter();
        if let Some(frame) = frames.find(|frame| frame.bytes.get(34..38) == Some(&spi.to_be_bytes())) {
            return frame.bytes.to_vec();
        }
    }
}

/// A frame whose packet ends three bytes early and says so.
pub fn shortened(frame: &[u8]) -> Vec<u8> {
    let mut short = frame[..frame.len() - 3].to_vec();
    let length = u16::try_from(short.len() - 14).unwrap().to_be_bytes();
    short[16..18].copy_from_slice(&length);
    short[24..26].copy_from_slice(&[0, 0]);
    let words = short[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = words.sum::<u32>();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    short[24..26].copy_from_slice(&(!sum).to_be_bytes());
    short
}

fn refused_by_the_kernel() {
    protect_what_reblochon_sends("0x4001", KEY);
    out_policy_of_reblochon();
    let errors = || {
        let errors = kernel().sas().unwrap()[0].errors;
        (errors.replayed, errors.integrity_failed)
    };
    let before = errors();
    let deed = || {
        let frame = next_esp(0x4001);
        let mut changed = frame.clone();
        // The sequence number far ahead, so that nothing but the ICV speaks against it.
        changed[38..42].copy_from_slice(&0x0100_0000_u32.to_be_bytes());
        inject(&frame);
        inject(&changed);
        inject(&shortened(&changed));
    };
    let bad = |seen: &[Value]| seen.iter().filter(|packet| !is_ok(packet)).count();
    let seen = packets_during("spi 0x4001", deed, |seen| bad(seen) == 3);
    let mut verdicts = seen.iter().filter(|packet| !is_ok(packet)).map(|packet| packet["verdict"].as_str().unwrap());
    assert!(matches!(verdicts.next(), Some("REPLAY" | "OLD")), "{seen:#?}");
    assert!(verdicts.eq(["BAD ICV", "BAD ICV"]), "{seen:#?}");
    let after = errors();
    assert!(after.0 > before.0 && after.1 > before.1, "the kernel refused them as well: {before:?}, {after:?}");
}

fn rekeyed_in_mid_stream() {
    protect_what_reblochon_sends("0x5001", KEY);
    out_policy_of_reblochon();
    let deed = || {
        protect_what_reblochon_sends("0x5002", OTHER_KEY);
        thread::sleep(Duration::from_millis(300));
        // The sender turns to the new one when the old one is gone; what is on the way still arrives.
        ip("-n reblochon xfrm state delete dst 10.9.0.1 proto esp spi 0x5001");
        thread::sleep(Duration::from_millis(100));
        ip("-n gouda xfrm state delete dst 10.9.0.1 proto esp spi 0x5001");
    };
    let of = |seen: &[Value], spi: &str| seen.iter().filter(|packet| packet["spi"] == spi).count();
    let seen = packets_during("esp and src 10.9.0.2", deed, |seen| of(seen, "0x00005002") > 5);
    assert!(of(&seen, "0x00005001") > 0);
    for packet in &seen {
        assert!(is_ok(packet) && packet["inner"].is_object(), "{packet:#}");
    }
}

fn one_side_forgets() {
    apply_the_article();
    assert_eq!(packets(1, "verdict ok and in").len(), 1);
    ip("-n reblochon xfrm policy delete src 10.9.0.2 dst 10.9.0.1 dir out");
    let packet = packets(1, "verdict clear! and in").remove(0);
    assert_eq!(packet["policy"], "in 10.9.0.2/32 10.9.0.1/32", "{packet:#}");
    // Half of what is demanded is not enough either; the sender's policy no longer names AH.
    ip("-n reblochon xfrm policy add src 10.9.0.2 dst 10.9.0.1 dir out tmpl proto esp mode transport");
    let packet = packets(1, "verdict weak! and in").remove(0);
    let words = packet["reasons"].to_string();
    assert!(words.contains("a policy demands AH in transport mode, which it does not have"), "{words}");
}
