//! espial only looks on: it must never be taken for a key manager.
//!
//! Whoever listens for ACQUIRE is taken for one. A packet without an SA then leaves half an SA behind, which waits to
//! be completed and keeps others from trying (`km_query`, `net/xfrm/xfrm_state.c`).

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use espial::kernel::{Kernel, Watch};
use espial::model::KernelEvent;

use crate::Test;
use crate::session::Session;
use crate::world::{GOUDA, ip, json, kernel};

pub const TESTS: &[Test] = &[
    ("a_watch_leaves_no_larval_sa_where_a_key_manager_does", a_watch_is_no_key_manager),
    ("the_console_leaves_no_larval_sa", the_console_is_no_key_manager),
    ("a_key_manager_that_goes_is_not_replaced", a_key_manager_goes),
];

const PATIENCE: Duration = Duration::from_secs(30);

/// Something that listens for ACQUIRE, as key managers do.
struct KeyManager(Child);

impl KeyManager {
    fn start() -> Self {
        let child = Command::new("ip").args(["xfrm", "monitor", "acquire"]).stdout(Stdio::null()).spawn().unwrap();
        let manager = Self(child);
        let start = Instant::now();
        while acquiring_sockets() == 0 {
            assert!(start.elapsed() < PATIENCE, "ip listens to nothing");
            std::thread::yield_now();
        }
        manager
    }
}

impl Drop for KeyManager {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// How many sockets of gouda listen for ACQUIRE: the fourth column of the kernel's table holds the groups, and the
/// lowest bit is this one.
fn acquiring_sockets() -> usize {
    let table = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let groups = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        (columns[1] == "6").then(|| u32::from_str_radix(columns[3], 16).unwrap())
    };
    table.lines().skip(1).filter_map(groups).filter(|groups| groups & 1 != 0).count()
}

/// Demands an SA that is not there.
fn demand() {
    ip("xfrm policy add src 10.9.0.1 dst 10.9.0.2 proto udp dport 9 dir out tmpl proto esp mode transport");
}

/// How many SAs there are after a packet that needs one.
fn sas_after_a_packet() -> usize {
    let socket = UdpSocket::bind((GOUDA, 0)).unwrap();
    // It is lost, which is not always told.
    let _ = socket.send_to(b"hello world", "10.9.0.2:9");
    ip("xfrm state").matches("proto esp").count()
}

fn a_watch_is_no_key_manager() {
    demand();
    let _watch = kernel().watch().unwrap();
    assert_eq!(sas_after_a_packet(), 0, "a watch is taken for a key manager");
    let _manager = KeyManager::start();
    assert_eq!(sas_after_a_packet(), 1, "this is what a key manager's presence does");
    assert_eq!(json(&["sa", "--json"])["sas"][0]["larval"], true);
}

fn the_console_is_no_key_manager() {
    demand();
    let mut session = Session::espial();
    session.sees("Policies 1").unwrap();
    assert_eq!(sas_after_a_packet(), 0, "the console is taken for a key manager");
    session.press("q");
    session.ends(0).unwrap();
}

/// Waits for a flush.
fn until_flushed(watch: &mut dyn Watch) {
    let start = Instant::now();
    let mut events = Vec::new();
    while !events.iter().any(|event| matches!(event, KernelEvent::SasFlushed(_))) {
        assert!(start.elapsed() < PATIENCE, "no flush, but {events:?}");
        watch.wait(Duration::from_millis(500), &mut events).unwrap();
    }
}

/// A watch that had joined the key manager would now be taken for it.
fn a_key_manager_goes() {
    demand();
    let manager = KeyManager::start();
    let mut watch = kernel().watch().unwrap();
    assert_eq!(acquiring_sockets(), 1, "the watch listens for ACQUIRE too");
    assert_eq!(sas_after_a_packet(), 1, "this is what a key manager's presence does");
    ip("xfrm state flush");
    until_flushed(watch.as_mut());
    assert_eq!(acquiring_sockets(), 1, "the watch listens for ACQUIRE by now");
    drop(manager);
    assert_eq!(sas_after_a_packet(), 0, "a watch has taken the key manager's place");
}
