//! What the kernel does with packets in clear, in parts, on other ports and on other interfaces, and what espial says.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::Test;
use crate::evidence::{ESPIAL, KEY, check, packets, packets_on, while_saying};
use crate::world::{GOUDA, REBLOCHON, ip, run};

pub const TESTS: &[Test] = &[
    ("the_ports_of_key_exchange_are_no_way_out", key_exchange_ports),
    ("main_policies_are_asked_behind_sub_policies", sub_and_main),
    ("esp_in_udp_is_read_on_the_ports_that_its_sa_names", other_ports),
    ("large_datagrams_are_encrypted_and_a_check_says_so", large_datagrams),
    ("parts_that_are_never_whole_leave_a_check_undecided", parts_alone),
    ("a_broadcast_is_judged_as_the_kernel_does", broadcast),
    ("on_a_tun_interface_packets_begin_with_ip", tun_interface),
    ("what_a_vti_shows_is_encrypted_behind_it", virtual_tunnel),
    ("what_an_xfrm_interface_shows_is_encrypted_behind_it", xfrm_interface),
    ("without_rights_the_reason_is_said", without_rights),
    ("a_check_that_is_interrupted_says_what_it_has_seen", interrupted_check),
    ("a_probe_that_never_left_is_no_riddle", held_back),
    ("keys_from_a_file_outlive_the_kernels_sas", given_keys),
];

/// How many packets the kernel refused because of policies.
pub fn refusals() -> u64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/net/xfrm_stat").unwrap();
    let line = |line: &str| {
        let (name, count) = line.split_once(char::is_whitespace)?;
        let is_refusal = name.starts_with("XfrmIn") && (name.contains("Pol") || name.contains("Tmpl"));
        is_refusal.then(|| count.trim().parse::<u64>().unwrap())
    };
    statistics.lines().filter_map(line).sum()
}

/// SAs with the same key both ways, on both hosts.
pub fn add_sas(mode: &str, and: &str) {
    for host in ["gouda", "reblochon"] {
        for (from, to, spi) in [(GOUDA, REBLOCHON, "0x6001"), (REBLOCHON, GOUDA, "0x6002")] {
            ip(&format!(
                "-n {host} xfrm state add src {from} dst {to} proto esp spi {spi} mode {mode} replay-window 32 {and} \
                 aead rfc4106(gcm(aes)) {KEY} 128"
            ));
        }
    }
}

/// Everything between the hosts is encrypted.
pub fn protect_all() {
    protect_all_in("transport");
}

/// The same in this mode.
pub fn protect_all_in(mode: &str) {
    for (host, own, other) in [("gouda", GOUDA, REBLOCHON), ("reblochon", REBLOCHON, GOUDA)] {
        for (from, to, way) in [(own, other, "out"), (other, own, "in")] {
            let ends = format!("src {from} dst {to}");
            ip(&format!("-n {host} xfrm policy add {ends} dir {way} priority 10 tmpl {ends} proto esp mode {mode}"));
        }
    }
}

/// The first packet that fits, of what reblochon says, and whether the kernel refused it.
fn first_of(words: &[u8], to: (&str, u16), filter: &str) -> (Value, bool) {
    let before = refusals();
    let packet = while_saying(words, "reblochon", REBLOCHON, to, || packets(1, filter).remove(0));
    // What was seen has been looked at.
    let refused = (0..50).any(|_| {
        thread::sleep(Duration::from_millis(10));
        refusals() > before
    });
    (packet, refused)
}

fn key_exchange_ports() {
    ip("xfrm policy add src 10.9.0.2 dst 10.9.0.1 proto udp dir in tmpl proto esp mode transport");
    let text = b"hello world, this is no key exchange";
    let marked = [&[0; 4], &text[..]].concat();
    for (port, words) in [(500, &text[..]), (4500, &marked)] {
        let (packet, refused) = first_of(words, (GOUDA, port), &format!("in and udp dst port {port}"));
        assert_eq!((packet["verdict"].as_str(), refused), (Some("CLEAR !"), true), "{packet:#}");
    }
    // Everything is encrypted but what goes to that port.
    crate::world::reset();
    add_sas("transport", "");
    protect_all();
    for (host, way) in [("gouda", "in"), ("reblochon", "out")] {
        ip(&format!("-n {host} xfrm policy add src {REBLOCHON} dst {GOUDA} proto udp dport 500 dir {way} priority 1"));
    }
    let arguments = [REBLOCHON, "--text", "no key exchange"];
    let (status, line) = while_saying(text, "reblochon", REBLOCHON, (GOUDA, 500), || check(&arguments));
    assert!(status == 1 && line.starts_with("MIXED: "), "{line}");
}

fn sub_and_main() {
    ip("xfrm policy add src 10.9.0.2 dst 10.9.0.1 dir in priority 1 tmpl proto esp mode transport");
    ip("xfrm policy add src 10.9.0.2 dst 10.9.0.1 dir in ptype sub priority 100");
    let (packet, refused) = first_of(b"in clear", (GOUDA, 99), "in and udp dst port 99");
    assert_eq!((packet["verdict"].as_str(), refused), (Some("CLEAR !"), true), "{packet:#}");
    assert_eq!(packet["policy"], "in 10.9.0.2/32 10.9.0.1/32");
}

fn other_ports() {
    add_sas("transport", "encap espinudp 5555 6666 0.0.0.0");
    ip("xfrm policy add src 10.9.0.1 dst 10.9.0.2 proto udp dport 99 dir out tmpl proto esp mode transport");
    let packets = while_saying(b"hello world", "gouda", GOUDA, (REBLOCHON, 99), || packets(2, "spi 0x6001"));
    for packet in packets {
        assert_eq!(packet["verdict"], "ESP ok", "{packet:#}");
        assert_eq!(packet["layers"], serde_json::json!(["Ethernet", "IPv4", "UDP", "ESP"]));
        assert_eq!(packet["inner"]["destination_port"], 99);
    }
}

fn large_datagrams() {
    add_sas("transport", "");
    protect_all();
    let words = b"in a large datagram ".repeat(200);
    for (host, from, to) in [("gouda", GOUDA, REBLOCHON), ("reblochon", REBLOCHON, GOUDA)] {
        while_saying(&words, host, from, (to, 99), || {
            let (status, line) = check(&[REBLOCHON, "--text", "in a large datagram"]);
            assert!(status == 0 && line.starts_with("ENCRYPTED: "), "{line}");
            let filter = format!("src {from} and fragment");
            let seen = packets(6, &filter);
            let of = |verdict: &str| seen.iter().filter(|packet| packet["verdict"] == verdict).count();
            assert!(of("PART") >= 3 && of("ESP ok") >= 1 && of("PART") + of("ESP ok") == 6, "{seen:#?}");
            let whole = seen.iter().find(|packet| packet["verdict"] == "ESP ok").unwrap();
            assert_eq!(whole["inner"]["destination_port"], 99, "{whole:#}");
        });
    }
}

fn parts_alone() {
    add_sas("transport", "");
    protect_all();
    let mac = crate::watcher::mac_of(GOUDA);
    // The first parts of packets: more is to come, and does not.
    let part = |identification: u8| {
        let mut frame =
            [&mac[..], &[2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 60, 7, identification, 0x20, 0, 64, 50, 0, 0]].concat();
        frame.extend([10, 9, 0, 2, 10, 9, 0, 1]);
        frame.extend([0, 0, 0x60, 2, 0, 1, 0, 0]);
        frame.extend([0xa7; 32]);
        crate::matrix::sum(&mut frame[14..34]);
        frame
    };
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for identification in (0..=u8::MAX).take_while(|_| !stop.load(Ordering::Relaxed)) {
                thread::sleep(Duration::from_millis(150));
                crate::evidence::inject(&part(identification));
            }
        });
        let output = run(ESPIAL, ["check", REBLOCHON, "--seconds", "1"]);
        stop.store(true, Ordering::Relaxed);
        let line = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        let first = "nothing can be said; the first: ";
        assert!(line.starts_with("UNDECIDED: of ") && line.contains(first) && line.contains(" PART ESP"), "{line}");
    });
}

fn broadcast() {
    ip("xfrm policy add src 10.9.0.2 dst 10.9.0.255 proto udp dir in tmpl proto esp mode transport");
    // A broadcast for which nobody waits is not asked for its policy.
    let _socket = UdpSocket::bind(("0.0.0.0", 99)).unwrap();
    let (packet, refused) = first_of(b"to all", ("10.9.0.255", 99), "in and udp dst port 99");
    assert_eq!((packet["verdict"].as_str(), refused), (Some("CLEAR !"), true), "{packet:#}");
}

fn tun_interface() {
    use std::os::fd::AsRawFd;
    assert!(run("modprobe", ["tun"]).status.success());
    let tun = std::fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    // `struct ifreq`: a name, and flags: IFF_TUN and IFF_NO_PI.
    let mut request = [0_u8; 40];
    request[..5].copy_from_slice(b"etun0");
    request[16..18].copy_from_slice(&0x1001_u16.to_ne_bytes());
    // SAFETY: the kernel reads and writes a request of that size.
    #[allow(unsafe_code, reason = "no crate makes such interfaces")]
    let made = unsafe { libc::ioctl(tun.as_raw_fd(), 0x4004_54ca, request.as_mut_ptr()) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    ip("addr add 10.88.0.1/24 dev etun0");
    ip("link set etun0 up");
    let first = |filter: &str| {
        while_saying(b"into the tun", "gouda", "10.88.0.1", ("10.88.0.2", 99), || {
            packets_on(Some("etun0"), 1, filter).remove(0)
        })
    };
    let packet = first("udp dst port 99");
    assert_eq!((&packet["verdict"], &packet["layers"][0]), (&"CLEAR".into(), &"IPv4".into()), "{packet:#}");
    // A tunnel's packets leave by it.
    ip(&format!(
        "xfrm state add src 10.88.0.1 dst 10.88.0.2 proto esp spi 0x6003 mode tunnel aead rfc4106(gcm(aes)) {KEY} 128"
    ));
    ip("xfrm policy add src 10.88.0.1 dst 10.88.0.2 dir out \
        tmpl src 10.88.0.1 dst 10.88.0.2 proto esp mode tunnel");
    let packet = first("esp");
    assert_eq!((&packet["verdict"], &packet["layers"]), (&"ESP ok".into(), &serde_json::json!(["IPv4", "ESP"])));
    assert_eq!(packet["policy"], "out 10.88.0.1/32 10.88.0.2/32", "{packet:#}");
}

/// Two interfaces that remove themselves.
struct Tunnels;

impl Tunnels {
    /// A tunnel for everything that goes through `eti`, with the addresses 10.77.0.1 and 10.77.0.2. `kind` makes the
    /// interface between a host's address and the other's; `tie` ties it to its SAs and policies.
    fn new(kind: impl Fn(&str, &str) -> String, tie: &str) -> Self {
        for (host, own, other, number) in [("gouda", GOUDA, REBLOCHON, 1), ("reblochon", REBLOCHON, GOUDA, 2)] {
            ip(&format!("-n {host} link add eti type {}", kind(own, other)));
            ip(&format!("-n {host} addr add 10.77.0.{number}/30 dev eti"));
            ip(&format!("-n {host} link set eti up"));
            for (way, from, to) in [("out", own, other), ("in", other, own)] {
                ip(&format!(
                    "-n {host} xfrm policy add dir {way} {tie} tmpl src {from} dst {to} proto esp mode tunnel"
                ));
            }
        }
        add_sas("tunnel", tie);
        Self
    }
}

impl Drop for Tunnels {
    fn drop(&mut self) {
        for host in ["gouda", "reblochon"] {
            ip(&format!("-n {host} link del eti"));
        }
    }
}

/// What is seen while gouda speaks through the tunnel: out and in on the tunnel's interface, and out on the wire.
fn seen_through_tunnel() -> Vec<Value> {
    let mut seen = Vec::new();
    while_saying(b"through the tunnel", "gouda", "10.77.0.1", ("10.77.0.2", 99), || {
        // Out what is said, in that nobody listens.
        for way in ["out", "in"] {
            let packet = packets_on(Some("eti"), 1, &format!("{way} and net 10.77.0.0/30")).remove(0);
            assert_eq!((&packet["verdict"], &packet["layers"][0]), (&"COPY".into(), &"IPv4".into()), "{packet:#}");
            seen.push(packet);
        }
        let on_wire = packets(1, "out and spi 0x6001").remove(0);
        assert_eq!((&on_wire["verdict"], &on_wire["interface"]), (&"ESP ok".into(), &"g0".into()), "{on_wire:#}");
        seen.push(on_wire);
        // On all interfaces it is seen twice, and in clear on none.
        let output = run(ESPIAL, ["check", "10.77.0.2", "-i", "any", "--seconds", "1"]);
        let line = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && line.starts_with("ENCRYPTED: "), "{line}");
    });
    seen
}

fn virtual_tunnel() {
    assert!(run("modprobe", ["ip_vti"]).status.success());
    let _tunnels = Tunnels::new(|own, other| format!("vti local {own} remote {other} key 7"), "mark 7");
    seen_through_tunnel();
}

/// A module that unloads itself: with that of xfrm interfaces Linux 6.1 drops what comes out of two tunnels in each other.
struct Module<'a>(&'a str);

impl<'a> Module<'a> {
    fn load(path: &'a str) -> Self {
        let loaded = run("insmod", [path]);
        assert!(loaded.status.success(), "{loaded:?}");
        Self(path)
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        let gone = run("rmmod", [self.0]);
        assert!(gone.status.success(), "{gone:?}");
    }
}

fn xfrm_interface() {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/target/xfrm_interface.ko");
    if !std::path::Path::new(module).exists() {
        eprintln!("NOT SEEN ON THIS KERNEL: it has no xfrm interfaces, and there is no {module}");
        return;
    }
    // What it needs, in the order in which it needs it.
    for needed in ["ip_tunnel", "tunnel4", "tunnel6", "xfrm6_tunnel"] {
        assert!(run("modprobe", [needed]).status.success(), "{needed}");
    }
    let _module = Module::load(module);
    let _tunnels = Tunnels::new(|_, _| "xfrm dev lo if_id 42".to_owned(), "if_id 42");
    for (packet, way) in seen_through_tunnel().iter().zip(["out", "in", "out"]) {
        assert_eq!(packet["policy"], format!("{way} 0.0.0.0/0 0.0.0.0/0 if_id 0x2a"), "{packet:#}");
    }
}

fn without_rights() {
    add_sas("transport", "");
    protect_all();
    let less = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--", ESPIAL];
    let output = run("setpriv", less.iter().chain(&["packets", "--json", "-c", "1", "spi 0x6002"]));
    let packet: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(packet["verdict"], "NO KEY", "{packet:#}");
    assert_eq!(packet["reasons"][0], "ESP 0x00006002: espial may not read the kernel's SAs");
    let output = run("setpriv", less.iter().chain(&["check", REBLOCHON, "--seconds", "3"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("run it as root, or with CAP_NET_ADMIN"), "{output:?}");
}

fn interrupted_check() {
    let interrupted = || {
        let line = ["--preserve-status", "-s", "INT", "3", ESPIAL, "check", REBLOCHON, "--seconds", "60"];
        let output = run("timeout", line);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, line) = interrupted();
    assert!(status == Some(1) && line.starts_with("interrupted after "), "{status:?}: {line}");
    assert!(line.contains(" s: IN CLEAR: "), "{line}");
    add_sas("transport", "");
    protect_all();
    let (status, line) = interrupted();
    assert!(status == Some(2) && line.contains(" s: ENCRYPTED: "), "{status:?}: {line}");
}

fn held_back() {
    let probe = |kind| {
        let output = run(ESPIAL, ["check", REBLOCHON, "--seconds", "2", "--probe", kind]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    ip(&format!("xfrm policy add src 0.0.0.0/0 dst {REBLOCHON} dir out action block"));
    for kind in ["icmp", "udp:7777"] {
        let (status, words) = probe(kind);
        assert_eq!(status, Some(2), "{words}");
        let why = "nothing can be sent to 10.9.0.2: the policy out 0.0.0.0/0 10.9.0.2/32 blocks it";
        assert!(words.contains(why), "{kind}: {words}");
    }
    ip("xfrm policy flush");
    protect_all();
    for kind in ["icmp", "udp:7777"] {
        let (_, words) = probe(kind);
        assert!(words.contains("never left: XfrmOutNoStates +"), "{kind}: {words}");
    }
}

fn given_keys() {
    add_sas("transport", "");
    protect_all();
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, run("ip", ["xfrm", "state"]).stdout).unwrap();
    // On reblochon they stay, so that it goes on to send.
    ip("xfrm state flush");
    let filter = "spi 0x6002";
    let output = run(ESPIAL, ["packets", "--json", "-c", "1", "--keys", keys.to_str().unwrap(), filter]);
    let packet: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(packet["verdict"], "ESP ok", "{packet:#}");
    assert!(packet["inner"].is_object(), "{packet:#}");
}
