//! Which policy the kernel asks about a packet, and which one espial says that it asks.

use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use espial::capture::{Interface, interfaces};
use espial::evidence::{Doubt, Evidence, Interfaces, Judge, Policies, Reason, Sight, Verdict};
use espial::kernel::Kernel;
use espial::model::{PolicyAction, PolicyDirection, PolicySpec, PortMatch, Prefix, Selector, Spd, UpperProtocol};
use espial::packet::{Direction, LinkType, dissect};
use serde_json::Value;

use crate::Test;
use crate::evidence::{Wire, packets, while_saying};
use crate::matrix::sum;
use crate::verdicts::refusals;
use crate::watcher::mac_of;
use crate::world::{GOUDA, REBLOCHON, ip, kernel, on_reblochon};

pub const TESTS: &[Test] = &[
    ("ports_are_those_that_the_kernel_compares", ports_compared),
    ("an_interface_is_that_of_the_route", interface_of_the_route),
    ("an_interface_of_what_is_passed_on_is_a_doubt", interface_of_what_is_passed_on),
    ("an_interface_of_a_vrf_is_the_vrf", vrf_in_its_place),
    ("where_a_setting_says_so_no_policy_is_asked", settings),
    ("the_older_of_equals_is_asked_first", known_ties),
    ("random_equals_are_asked_as_the_kernel_asks_them", random_ties),
];

/// A frame to gouda from reblochon.
fn frame(protocol: u8, payload: &[u8]) -> Vec<u8> {
    frame_to([10, 9, 0, 1], protocol, payload)
}

/// A frame from reblochon that gouda gets.
fn frame_to(to: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut frame = [&mac_of(GOUDA)[..], &[2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0], &length].concat();
    frame.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 9, 0, 2]);
    frame.extend(to.iter().chain(payload));
    sum(&mut frame[14..34]);
    frame
}

/// What espial says of a frame that fits, while it is sent all the time, and whether the kernel refused some of them.
fn seen(filter: &str, bytes: &[u8]) -> (Value, bool) {
    let (before, stop) = (refusals(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            on_reblochon(|| {
                let wire = Wire::at(REBLOCHON);
                while !stop.load(Ordering::Relaxed) {
                    wire.put(bytes);
                    thread::sleep(Duration::from_millis(100));
                }
            });
        });
        let packet = packets(1, filter).remove(0);
        stop.store(true, Ordering::Relaxed);
        (packet, refusals() > before)
    })
}

fn ports_compared() {
    let selector = Selector::between(Prefix::host([10, 9, 0, 2].into()), Prefix::host([10, 9, 0, 1].into()));
    let mut payload = [&7000_u16.to_be_bytes()[..], &7001_u16.to_be_bytes(), &[0; 20]].concat();
    // UDP-Lite has a checksum over all that is here, with the pseudo-header of UDP; the others are dropped later.
    let summed = [&[10, 9, 0, 2, 10, 9, 0, 1, 0, 136, 0, 24][..], &payload].concat();
    let words =
        |bytes: &[u8]| bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let folded = words(&summed) % 0xffff;
    payload[6..8].copy_from_slice(&(!u16::try_from(folded).unwrap()).to_be_bytes());
    for (protocol, expected) in [(132, "CLEAR !"), (136, "CLEAR !"), (33, "CLEAR")] {
        let mut spec = PolicySpec::new(PolicyDirection::In, selector);
        spec.selector.protocol = UpperProtocol(protocol);
        spec.selector.destination_port = PortMatch::exactly(7001);
        spec.action = PolicyAction::Block;
        kernel().add_policy(&spec).unwrap();
        let (packet, refused) = seen(&format!("in and ip proto {protocol}"), &frame(protocol, &payload));
        let found = (packet["verdict"].as_str(), refused);
        assert_eq!(found, (Some(expected), expected == "CLEAR !"), "{packet:#}");
    }
}

/// The verdict over what reblochon says, with its reasons, and whether the kernel let nothing of it through.
fn said(from: &str, to: &str) -> (String, bool) {
    let socket = UdpSocket::bind((to, 99)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let version = if to.contains(':') { "ip6" } else { "ip" };
    let packet = while_saying(b"which policy", "reblochon", from, (to, 99), || {
        packets(1, &format!("in and {version} and udp dst port 99")).remove(0)
    });
    let is_refused = (0..50).all(|_| {
        thread::sleep(Duration::from_millis(10));
        socket.recv(&mut [0; 100]).is_err()
    });
    let reasons: Vec<&str> = packet["reasons"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    (format!("{}: {}", packet["verdict"].as_str().unwrap(), reasons.join("; ")), is_refused)
}

#[track_caller]
fn check(found: &(String, bool), words: &str, is_refused: bool) {
    assert!(found.0.starts_with(words) && found.1 == is_refused, "{found:?}: {words}");
}

/// The interface with an address.
fn link_of(address: &str) -> String {
    let address: IpAddr = address.parse().unwrap();
    interfaces().into_iter().find(|interface| interface.addresses.contains(&address)).unwrap().name
}

fn interface_of_the_route() {
    let link = link_of(GOUDA);
    ip(&format!("xfrm policy add src 10.9.0.2 dst 10.9.0.1 dev {link} dir in action block"));
    check(&said(REBLOCHON, GOUDA), "CLEAR: no policy is about it", false);
    ip("xfrm policy flush");
    ip("xfrm policy add src 10.9.0.2 dst 10.9.0.1 dev lo dir in action block");
    check(&said(REBLOCHON, GOUDA), "CLEAR !: a policy blocks it", true);
    ip("xfrm policy flush");
    // On the way out it is the interface by which a packet leaves.
    ip(&format!("xfrm policy add src 10.9.0.1 dst 10.9.0.2 dev {link} dir out action block"));
    let socket = UdpSocket::bind((GOUDA, 0)).unwrap();
    assert!(socket.send_to(b"nothing", (REBLOCHON, 99)).is_err());
}

fn interface_of_what_is_passed_on() {
    const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
    let before = std::fs::read_to_string(FORWARDING).unwrap();
    std::fs::write(FORWARDING, "1").unwrap();
    let link = link_of(GOUDA);
    ip("link add efwd type veth peer name efwd1");
    ip("link set efwd1 up");
    ip("addr add 10.66.0.1/24 dev efwd");
    ip("link set efwd up");
    ip("neigh add 10.66.0.2 lladdr 02:00:00:00:00:09 dev efwd");
    let frame = frame_to([10, 66, 0, 2], 17, &[0, 99, 0, 99, 0, 12, 0, 0, 1, 2, 3, 4]);
    let mut found = Vec::new();
    for device in [&*link, "lo", "efwd"] {
        ip(&format!("xfrm policy add src 10.9.0.2 dst 10.66.0.2 dev {device} dir fwd action block"));
        let (packet, refused) = seen("in and udp dst port 99", &frame);
        found.push((packet, refused));
        ip("xfrm policy flush");
    }
    ip("link del efwd");
    std::fs::write(FORWARDING, before).unwrap();
    for ((packet, refused), by_kernel) in found.into_iter().zip([false, false, true]) {
        // Only the kernel knows.
        assert_eq!((refused, packet["verdict"].as_str()), (by_kernel, Some("CLEAR")), "{packet:#}");
        let doubt = packet["reasons"][1].as_str().unwrap();
        assert!(doubt.starts_with("a policy for an interface may be about it, and no frame shows"), "{packet:#}");
    }
}

fn vrf_in_its_place() {
    let link = link_of(GOUDA);
    crate::world::run("modprobe", ["vrf"]);
    if !crate::world::run("ip", ["link", "add", "evrf", "type", "vrf", "table", "77"]).status.success() {
        eprintln!("NOT SEEN ON THIS KERNEL: it has no VRFs");
        return;
    }
    ip("link set evrf up");
    ip(&format!("link set {link} master evrf"));
    let socket = UdpSocket::bind(("0.0.0.0", 99)).unwrap();
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    let mut payload = [&99_u16.to_be_bytes()[..], &99_u16.to_be_bytes(), &[0, 12, 0, 0], b"text"].concat();
    payload.resize(12, 0);
    let mut found = Vec::new();
    for device in [&*link, "lo", "evrf"] {
        ip(&format!("xfrm policy add src 10.9.0.2 dst 10.9.0.1 dev {device} dir in action block"));
        let (packet, refused) = seen("in and udp dst port 99", &frame(17, &payload));
        found.push((packet["verdict"].as_str().unwrap().to_owned(), refused));
        ip("xfrm policy flush");
    }
    ip(&format!("link set {link} nomaster"));
    ip("link del evrf");
    // Who changes masters loses its addresses of IPv6.
    ip(&format!("-6 addr replace fd00:9::1/64 dev {link} nodad"));
    let expected = [("CLEAR", false), ("CLEAR", false), ("CLEAR !", true)];
    assert_eq!(found, expected.map(|(word, refused)| (word.to_owned(), refused)));
}

/// A setting of the kernel's that is 1 until this is dropped.
struct Set(String);

impl Set {
    fn new(path: &str) -> Self {
        std::fs::write(path, "1").unwrap();
        Self(path.to_owned())
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        std::fs::write(&self.0, "0").unwrap();
    }
}

fn settings() {
    let link = link_of(GOUDA);
    ip("xfrm policy add src 10.9.0.2 dst 10.9.0.1 proto udp dport 99 dir in action block");
    for name in [&*link, "all"] {
        let _set = Set::new(&format!("/proc/sys/net/ipv4/conf/{name}/disable_policy"));
        let words = "CLEAR: no policy is asked about it: net.ipv4.conf.*.disable_policy is set";
        check(&said(REBLOCHON, GOUDA), words, false);
    }
    check(&said(REBLOCHON, GOUDA), "CLEAR !: a policy blocks it", true);
    let (six, other) = ("fd00:99::1", "fd00:99::2");
    let far = on_reblochon(|| link_of(REBLOCHON));
    let addresses = [format!("{six}/64 dev {link}"), format!("{other}/64 dev {far}")];
    let [near, far] = addresses.map(|address| format!("addr del {address}"));
    ip(&format!("{} nodad", near.replace("del", "add")));
    ip(&format!("-n reblochon {} nodad", far.replace("del", "add")));
    ip(&format!("xfrm policy add src {other} dst {six} proto udp dport 99 dir in action block"));
    check(&said(other, six), "CLEAR !: a policy blocks it", true);
    for name in [&*link, "all"] {
        let _set = Set::new(&format!("/proc/sys/net/ipv6/conf/{name}/disable_policy"));
        let words = "CLEAR: no policy is asked about it: net.ipv6.conf.*.disable_policy is set";
        check(&said(other, six), words, false);
    }
    ip(&near);
    ip(&format!("-n reblochon {far}"));
    ip("xfrm policy flush");
    // What leaves where nothing is asked leaves in clear.
    ip("xfrm policy add src 10.9.0.1 dst 10.9.0.2 proto udp dport 99 dir out action block");
    let _set = Set::new(&format!("/proc/sys/net/ipv4/conf/{link}/disable_xfrm"));
    let packet = while_saying(b"which policy", "gouda", GOUDA, (REBLOCHON, 99), || {
        packets(1, "out and udp dst port 99").remove(0)
    });
    assert_eq!(packet["verdict"], "CLEAR", "{packet:#}");
    assert_eq!(packet["reasons"][0], "no policy is asked about it: net.ipv4.conf.*.disable_xfrm is set");
}

/// Two sockets, between which the kernel asks its policies.
struct Ends {
    sender: UdpSocket,
    receiver: UdpSocket,
    frame: Vec<u8>,
    interfaces: Vec<Interface>,
}

/// From where to where.
const PORTS: (u16, u16) = (7000, 7001);

impl Ends {
    fn new() -> Self {
        let sender = on_reblochon(|| UdpSocket::bind((REBLOCHON, PORTS.0)).unwrap());
        let receiver = UdpSocket::bind((GOUDA, PORTS.1)).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let payload = [&PORTS.0.to_be_bytes()[..], &PORTS.1.to_be_bytes(), &[0, 12, 0, 0], b"text"].concat();
        Self { sender, receiver, frame: frame(17, &payload), interfaces: interfaces() }
    }

    /// Whether the kernel refuses a datagram between them.
    fn is_refused(&self) -> bool {
        let before = refusals();
        self.sender.send_to(b"text", (GOUDA, PORTS.1)).unwrap();
        for _ in 0..500 {
            if self.receiver.recv(&mut [0; 100]).is_ok() {
                return false;
            }
            if refusals() > before {
                return true;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("the kernel neither takes nor refuses it");
    }

    /// What espial proves of it.
    fn evidence(&self) -> Evidence {
        let (mut judge, mut kernel) = (Judge::default(), kernel());
        let spd = Spd::from(kernel.policies().unwrap());
        judge.policies = Policies::new(spd.oldest_first(), None).with(kernel.ties());
        judge.addresses = self.interfaces.iter().flat_map(Interface::own).collect();
        judge.interfaces = Interfaces::new(self.interfaces.iter().map(Interface::for_policies));
        let address: IpAddr = GOUDA.parse().unwrap();
        let place = self.interfaces.iter().find(|interface| interface.addresses.contains(&address)).unwrap();
        let sight = Sight {
            at_ns: 0,
            link: LinkType::Ethernet,
            direction: Some(Direction::In),
            loopback: false,
            is_cut: false,
            bytes: &self.frame,
        };
        judge.judge(sight, &dissect(LinkType::Ethernet, &self.frame), place.index)
    }

    /// Whether espial and the kernel say the same, or espial says that it is not certain. Whether it was certain.
    fn compare(&self, of: &str) -> bool {
        let (evidence, is_refused) = (self.evidence(), self.is_refused());
        let is_doubt = |reason: &Reason| matches!(reason, Reason::MaybeOther(Doubt::Order, Some(_)));
        let is_certain = !evidence.reasons.iter().any(is_doubt);
        let is_forbidden = evidence.verdict == Verdict::ClearForbidden;
        let policies = || crate::world::words("ip", ["xfrm", "policy"]);
        let is_right = is_forbidden == is_refused || !is_certain;
        assert!(is_right, "{of}: {:?}, refused {is_refused}: {}", evidence.reasons, policies());
        is_certain
    }
}

/// Policies of one priority, each with what it does, and whether it is certain which one is asked first on a kernel that
/// goes by age alone.
type Equals<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);

fn known_ties() {
    let ends = Ends::new();
    let wide = "src 10.8.0.0/13 dst 10.0.0.0/8";
    let other = "src 10.200.0.0/16 dst 10.201.0.0/16";
    let host = "src 10.9.0.2 dst 10.9.0.1";
    let net = "src 10.9.0.0/24 dst 10.9.0.0/16";
    let sets: [Equals<'_>; 9] = [
        ("the younger for two hosts", &[(other, "allow"), (wide, "block"), (host, "allow")], true),
        ("the younger for two hosts, alone", &[(wide, "block"), (host, "allow")], true),
        ("the older for two hosts", &[(host, "allow"), (wide, "block")], true),
        ("the older for two hosts, and others", &[(other, "allow"), (host, "allow"), (wide, "block")], true),
        ("a chosen number", &[("src 10.8.0.0/13 dst 10.0.0.0/8 index 8000", "block"), (net, "allow")], true),
        (
            "a number chosen between like ones",
            &[("src 10.9.0.0/16 dst 10.9.0.0/16 index 8000", "block"), (net, "allow")],
            false,
        ),
        ("any to somebody", &[("dst 10.9.0.0/24", "block"), ("src 10.9.0.0/24", "allow")], true),
        ("two wide ones", &[(net, "allow"), (wide, "block")], true),
        ("two for hosts", &[(host, "allow"), ("src 10.9.0.2 dst 10.9.0.1 proto udp", "block")], true),
    ];
    let goes_by_age = kernel().ties() == espial::model::Ties::ByAge;
    for (name, set, is_certain) in sets {
        for (ends_of, action) in set {
            ip(&format!("xfrm policy add {ends_of} dir in priority 5 action {action}"));
        }
        let found = ends.compare(name);
        assert!(!goes_by_age || found == is_certain, "{name}: {found}");
        ip("xfrm policy flush");
    }
}

/// Xorshift: the same numbers on each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % count as u64).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn prefix(&mut self, host: [u8; 4]) -> Prefix {
        let length = [0, 8, 13, 16, 20, 24, 30, 32, 32, 32][self.below(10)];
        let bits = u32::from_be_bytes(host) & u32::MAX.checked_shl(32 - length).unwrap_or(0);
        let text = format!("{}/{length}", std::net::Ipv4Addr::from(bits));
        text.parse().unwrap()
    }

    fn spec(&mut self) -> PolicySpec {
        // Some are about others, and stand before those that are asked all the same.
        let other = self.one_in(4);
        let (source, destination) = if other { ([10, 7, 0, 2], [10, 7, 0, 1]) } else { ([10, 9, 0, 2], [10, 9, 0, 1]) };
        let (source, destination) = (self.prefix(source), self.prefix(destination));
        let mut spec = PolicySpec::new(PolicyDirection::In, Selector::between(source, destination));
        spec.priority = 5 + u32::from(self.one_in(6));
        spec.selector.protocol = [UpperProtocol::ANY, UpperProtocol::UDP][self.below(2)];
        if spec.selector.protocol == UpperProtocol::UDP && self.one_in(3) {
            spec.selector.destination_port = PortMatch::exactly(PORTS.1);
        }
        spec.action = [PolicyAction::Allow, PolicyAction::Block][self.below(2)];
        spec
    }
}

fn random_ties() {
    let (ends, mut kernel, mut dice) = (Ends::new(), kernel(), Dice(0x2545_f491_4f6c_dd1d));
    let goes_by_age = kernel.ties() == espial::model::Ties::ByAge;
    let (mut certain, mut plain) = (0, 0);
    for set in 0..150 {
        let mut made: Vec<PolicySpec> = Vec::new();
        // Most often nothing else happens than that policies are made. What has a number of somebody's choice and is changed
        // later cannot be told from others.
        let (chooses, changes) = [(true, false), (false, true), (false, false), (false, false)][dice.below(4)];
        for number in 0..2 + dice.below(6) {
            let mut spec = dice.spec();
            if chooses && dice.one_in(2) {
                spec.index = u32::try_from(8 * (100_000 + 10 * set + number)).unwrap();
            }
            // One that is there already is refused.
            if kernel.add_policy(&spec).is_ok() {
                made.push(spec);
            }
            if changes && dice.one_in(2) {
                let old = made.remove(dice.below(made.len()));
                if dice.one_in(2) {
                    kernel.delete_policy(&old.id()).unwrap();
                } else {
                    let again = PolicySpec { index: 0, priority: 5 + u32::from(dice.one_in(3)), ..old };
                    kernel.update_policy(&again).unwrap();
                    made.push(again);
                }
                if made.is_empty() {
                    break;
                }
            }
        }
        let is_certain = ends.compare(&format!("set {set}"));
        if !chooses && !changes {
            plain += 1;
            certain += usize::from(is_certain);
        }
        crate::world::run("ip", ["xfrm", "policy", "flush"]);
    }
    eprintln!("certain of {certain} of {plain} sets that were made and not changed");
    assert!(if goes_by_age { certain == plain } else { certain * 2 > plain }, "{certain} of {plain}");
}
