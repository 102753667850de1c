//! Every transform that the lab's kernel has, in transport and tunnel mode, over IPv4 and IPv6, with ESN, in UDP and
//! nested, before and after a rekeying: gouda's kernel sends through it, reblochon's receives, and what comes then once
//! more, changed and cut it refuses. Its counters and its sockets tell what it thinks of each packet; espial, which watches
//! both ends of the wire, must think the same, and so must Wireshark.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use espial::kernel::{Kernel, XfrmKernel};
use espial::model::{IpsecProtocol, SaId};
use espial::packet::{Header, LinkType, dissect};
use serde_json::Value;

use crate::Test;
use crate::evidence::{ESPIAL, Wire};
use crate::watcher::{Marks, Sighted, Watcher};
use crate::wireshark::{Ability, ability, opinions};
use crate::world::{GOUDA, REBLOCHON, feed, kernel, on_reblochon};

pub const TESTS: &[Test] = &[("what_the_kernel_takes_is_ok_and_what_it_refuses_is_not", every_transform)];

/// A line for each SA; those of one reqid are around one another, the innermost first.
const SAS: &str = include_str!("../data/vectors/linux-all.sas");
const ENDS_V6: [&str; 2] = ["fd00:9::1", "fd00:9::2"];
/// The port of the first group; that of the others follows from their number.
const FIRST_PORT: u16 = 20_000;
/// A rekeying adds this to the number of an SA.
const REKEYED: u32 = 0x1000;

/// What the kernel did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Taken,
    Refused,
    /// It came to nothing before IPsec was asked.
    Unseen,
}

/// SAs that are around one another, and what is sent through them.
struct Group {
    sas: Vec<&'static str>,
    is_ipv6: bool,
    port: u16,
    text: String,
    copies: usize,
    /// IP options that AH must leave out of its sum, or must not: level, option, value.
    options: Vec<(libc::c_int, libc::c_int, Vec<u8>)>,
    /// A route through another host, which nobody takes.
    is_source_routed: bool,
}

/// The word behind a word.
fn word<'l>(line: &'l str, name: &str) -> &'l str {
    line.split(' ').skip_while(|word| *word != name).nth(1).unwrap_or_else(|| panic!("no {name} in {line}"))
}

fn groups() -> Vec<Group> {
    let mut groups: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for line in SAS.lines() {
        groups.entry(word(line, "reqid").parse().unwrap()).or_default().push(line);
    }
    let group = |(reqid, sas): (u16, Vec<&'static str>)| {
        let line = sas[0];
        let is_ipv6 = line.contains("dst fd00") != line.contains("af-unspec");
        let is_compressed = sas.iter().any(|line| line.contains("proto comp"));
        // The number runs over the border between its halves.
        let copies = if line.contains("replay-oseq 0xfffffffe") { 3 } else { 1 };
        let (options, is_source_routed) = options(reqid);
        let text = "hello world, ".repeat(if is_compressed { 40 } else { 1 });
        Group { sas, is_ipv6, port: FIRST_PORT + reqid, text, copies, options, is_source_routed }
    };
    groups.into_iter().map(group).collect()
}

/// IP options of the last groups: those that routers change and those that they do not, with a traffic class.
fn options(reqid: u16) -> (Vec<(libc::c_int, libc::c_int, Vec<u8>)>, bool) {
    let v4: [&[u8]; 6] = [
        // Record route, timestamp, router alert, both, security, a loose route.
        &[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0x44, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x94, 4, 0, 0],
        &[0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 1],
        &[0x82, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0x83, 11, 4, 10, 9, 0, 2, 10, 9, 0, 3, 0],
    ];
    // One of its options may change on the way.
    let v6 = [0, 1, 0x1e, 4, 1, 2, 3, 4, 1, 0, 0x3e, 4, 5, 6, 7, 8].to_vec();
    let class = 0xb8_u32.to_ne_bytes().to_vec();
    let class_v6 = (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class.clone());
    let options = match reqid {
        264..=269 => {
            let options = v4[usize::from(reqid - 264)].to_vec();
            vec![(libc::IPPROTO_IP, libc::IP_TOS, class), (libc::IPPROTO_IP, libc::IP_OPTIONS, options)]
        }
        270 => vec![class_v6, (libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS, v6)],
        271 => vec![class_v6, (libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS, v6)],
        _ => Vec::new(),
    };
    (options, reqid == 269)
}

impl Group {
    fn ends(&self) -> [&'static str; 2] {
        if self.is_ipv6 { ENDS_V6 } else { [GOUDA, REBLOCHON] }
    }

    fn policy(&self, direction: &str) -> String {
        let [source, destination] = self.ends();
        let template = |line: &&str| {
            let [source, destination, protocol, reqid, mode] =
                ["src", "dst", "proto", "reqid", "mode"].map(|name| word(line, name));
            let ends = if mode == "tunnel" { format!("src {source} dst {destination} ") } else { String::new() };
            format!(" tmpl {ends}proto {protocol} reqid {reqid} mode {mode}")
        };
        let templates: String = self.sas.iter().map(template).collect();
        let port = self.port;
        format!("xfrm policy add dir {direction} src {source} dst {destination} proto udp dport {port}{templates}\n")
    }

    fn send(&self) {
        let [source, destination] = self.ends();
        // A port that the system chose could be one of those behind which Wireshark expects some protocol: what it finds
        // malformed it calls neither good nor bad.
        let socket = UdpSocket::bind((source, self.port)).unwrap();
        for (level, option, value) in &self.options {
            set_option(&socket, *level, *option, value);
        }
        for _ in 0..self.copies {
            socket.send_to(self.text.as_bytes(), (destination, self.port)).unwrap();
        }
    }

    /// What reblochon's kernel lets through to its port.
    fn listen(&self) -> UdpSocket {
        let socket = UdpSocket::bind((self.ends()[1], self.port)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    /// How many datagrams came out.
    fn received(&self, socket: &UdpSocket) -> usize {
        let mut buffer = [0; 2048];
        let texts = std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()));
        texts.inspect(|text| assert_eq!(text, self.text.as_bytes())).count()
    }

    /// Nothing but compressed.
    fn is_open(&self) -> bool {
        self.sas.iter().all(|line| line.contains("proto comp"))
    }

    fn authenticates(&self) -> bool {
        let has_icv =
            |line: &&str| line.contains("aead") || line.contains("auth-trunc") && !line.contains("digest_null");
        self.sas.iter().any(has_icv)
    }
}

/// An SA as the sender or the receiver has it.
fn state(line: &str, is_receiver: bool, is_rekeyed: bool) -> String {
    let mut text = "xfrm state add".to_owned();
    let mut before = "";
    for word in line.split(' ') {
        match word {
            "mode" if is_receiver && !line.contains("replay-window") && !line.contains("proto comp") => {
                // IPComp has no sequence numbers that a window could hold.
                text += " replay-window 32 mode";
            }
            "replay-oseq" if is_receiver => text += " replay-seq",
            "replay-oseq-hi" if is_receiver => text += " replay-seq-hi",
            _ if before == "spi" && is_rekeyed => {
                let spi = u32::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
                write!(text, " {:#x}", spi + REKEYED).unwrap();
            }
            // The same key backwards.
            _ if word.starts_with("0x") && word.len() > 10 && is_rekeyed => {
                text += " 0x";
                text.extend(word[2..].chars().rev());
            }
            _ => text = text + " " + word,
        }
        before = word;
    }
    text + "\n"
}

/// Makes all SAs on both hosts with espial.
fn add_sas(is_rekeyed: bool) {
    for (host, is_receiver) in [("gouda", false), ("reblochon", true)] {
        let script: String = SAS.lines().map(|line| state(line, is_receiver, is_rekeyed)).collect();
        let output = feed(ESPIAL, &["--netns", host, "apply", "-"], &script);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Sets an option that no crate knows.
fn set_option(socket: &UdpSocket, level: libc::c_int, option: libc::c_int, value: &[u8]) {
    let length = libc::socklen_t::try_from(value.len()).unwrap();
    // SAFETY: the kernel reads so many bytes of a buffer that is as long.
    #[allow(unsafe_code, reason = "no crate knows these options")]
    let answer = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length) };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

/// A socket for which the kernel takes ESP out of UDP.
fn encapsulation_socket() -> UdpSocket {
    let socket = UdpSocket::bind((REBLOCHON, 4500)).unwrap();
    let esp_in_udp: libc::c_int = 2;
    set_option(&socket, libc::SOL_UDP, libc::UDP_ENCAP, &esp_in_udp.to_ne_bytes());
    socket
}

struct Receiver {
    kernel: XfrmKernel,
    wire: Wire,
}

impl Receiver {
    /// How many packets an SA has taken, and how many the kernel refused for IPsec's sake. That no policy let them in
    /// then is another matter.
    fn counters(&mut self, id: &SaId) -> (u64, u64) {
        let taken = self.kernel.sa(id).unwrap().used.packets;
        let read = || std::fs::read_to_string("/proc/thread-self/net/xfrm_stat").unwrap();
        let statistics = on_reblochon(read);
        let refusals = statistics.lines().filter_map(|line| {
            let (name, count) = line.split_once(char::is_whitespace)?;
            let is_refusal = name.starts_with("XfrmIn") && !name.contains("Pol") && !name.contains("Tmpl");
            is_refusal.then(|| count.trim().parse::<u64>().unwrap())
        });
        (taken, refusals.sum())
    }

    fn receive(&mut self, id: &SaId, frame: &[u8]) -> Fate {
        let before = self.counters(id);
        self.wire.put(frame);
        for _ in 0..20 {
            let after = self.counters(id);
            // What an inner SA refuses the outer one has taken.
            if after.1 > before.1 {
                return Fate::Refused;
            }
            if after.0 > before.0 {
                return Fate::Taken;
            }
            thread::sleep(Duration::from_millis(2));
        }
        Fate::Unseen
    }
}

/// A frame so many bytes shorter, which its headers say.
fn shortened(frame: &[u8], bytes: usize) -> Vec<u8> {
    let mut short = frame[..frame.len() - bytes].to_vec();
    for layer in dissect(LinkType::Ethernet, frame).layers() {
        let at = layer.range().start;
        let (length_at, length) = match &layer.header {
            Header::Ipv4(ip) => (at + 2, usize::from(ip.total_length)),
            Header::Ipv6(ip) => (at + 4, usize::from(ip.payload_length)),
            Header::Udp(udp) => (at + 4, usize::from(udp.length)),
            _ => continue,
        };
        let length = u16::try_from(length - bytes).unwrap().to_be_bytes();
        short[length_at..length_at + 2].copy_from_slice(&length);
        if let Header::Ipv4(_) = layer.header {
            sum(&mut short[layer.range()]);
        }
    }
    short
}

/// Sums up an IPv4 header anew.
pub fn sum(header: &mut [u8]) {
    header[10..12].fill(0);
    let words = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = words.sum::<u32>();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    header[10..12].copy_from_slice(&(!sum).to_be_bytes());
}

/// A frame whose outermost IPsec header has a number that is far ahead.
fn ahead(frame: &[u8], by: u32) -> Vec<u8> {
    let mut changed = frame.to_vec();
    let dissection = dissect(LinkType::Ethernet, frame);
    let header = dissection.layers().iter().find_map(|layer| match &layer.header {
        Header::Esp(esp) => Some((layer.range().start + 4, esp.sequence)),
        Header::Ah(ah) => Some((layer.range().start + 8, ah.sequence)),
        _ => None,
    });
    let (at, number) = header.unwrap();
    changed[at..at + 4].copy_from_slice(&number.wrapping_add(by).to_be_bytes());
    changed
}

/// The lines that are about the kernel's traffic: not about marks, nor about what is shown again after decryption.
fn of_traffic(sighted: Vec<Sighted>) -> Vec<Sighted> {
    sighted.into_iter().filter(|seen| !Marks::is_mark(&seen.line) && seen.line["verdict"] != "COPY").collect()
}

fn verdict(line: &Value) -> &str {
    line["verdict"].as_str().unwrap()
}

fn is_protected(verdict: &str) -> bool {
    verdict.ends_with(" ok") || verdict.starts_with("GAP")
}

fn every_transform() {
    let groups = groups();
    let folder = tempfile::tempdir().unwrap();
    add_sas(false);
    for (host, direction) in [("gouda", "out"), ("reblochon", "in")] {
        let script: String = groups.iter().map(|group| group.policy(direction)).collect();
        let output = feed(ESPIAL, &["--netns", host, "apply", "-"], &script);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let (_encapsulation, sockets) =
        on_reblochon(|| (encapsulation_socket(), groups.iter().map(Group::listen).collect::<Vec<_>>()));
    let mut marks = Marks::new();
    let begin = |host, method, way| {
        Watcher::begin(
            host,
            method,
            &format!("{way} and (ipsec or udp port 4500 or udp dst portrange 20000-20999)"),
            folder.path(),
        )
    };
    let mut watchers =
        [begin("gouda", "ring", "out"), begin("reblochon", "ring", "in"), begin("reblochon", "pnet", "in")];
    marks.until_watched(&mut watchers);
    groups.iter().for_each(Group::send);
    // Whoever receives has the new keys before anybody sends with them.
    let mut gouda = kernel();
    // The kernel's own ones for IPComp go with those that they are for.
    let is_ours = |id: &SaId| !matches!(id.protocol, IpsecProtocol::Other(_));
    let old: Vec<SaId> = gouda.sas().unwrap().iter().map(espial::model::Sa::id).filter(is_ours).collect();
    add_sas(true);
    for id in &old {
        gouda.delete_sa(id).unwrap();
    }
    groups.iter().for_each(Group::send);
    marks.until_said(&mut watchers);
    for watcher in &watchers {
        all_is_ok(&groups, &of_traffic(watcher.sighted()));
    }
    // What came out of tunnels the receiver's interface shows again, also what was between a tunnel and another.
    let is_copy = |seen: &&Sighted| verdict(&seen.line) == "COPY";
    assert!(watchers[1].sighted().iter().filter(is_copy).count() > 200);
    for (group, socket) in groups.iter().zip(&sockets) {
        let count = if group.is_source_routed { 0 } else { 2 * group.copies };
        assert_eq!(group.received(socket), count, "{:?}", group.sas);
    }
    let [_, ring, pnet] = watchers;
    what_is_refused([ring, pnet], marks);
}

/// Everything that was sent was seen, before and after the rekeying, and is what its group makes it.
fn all_is_ok(groups: &[Group], traffic: &[Sighted]) {
    let sent = groups.iter().flat_map(|group| std::iter::repeat_n(group, group.copies));
    assert_eq!(traffic.len(), 2 * sent.clone().count());
    let before = sent.clone().map(|group| (0, group));
    let behind = sent.map(|group| (REKEYED, group));
    for ((rekeyed, group), Sighted { line, .. }) in before.chain(behind).zip(traffic) {
        let outermost = group.sas.iter().rev().find(|line| !line.contains("proto comp")).or(group.sas.last()).unwrap();
        let spi = u32::from_str_radix(word(outermost, "spi").trim_start_matches("0x"), 16).unwrap();
        assert_eq!(line["spi"], format!("0x{:08x}", spi + rekeyed), "{line:#}");
        let expected = if group.is_open() {
            "CLEAR"
        } else if !group.authenticates() {
            "UNPROVEN"
        } else if group.sas.len() > 1 && outermost.contains("proto ah") {
            "ESP+AH ok"
        } else if outermost.contains("proto ah") {
            "AH ok"
        } else {
            "ESP ok"
        };
        assert_eq!(line["verdict"], expected, "{line:#}");
        if let Value::Object(inner) = &line["inner"] {
            let text = group.text.bytes().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            assert_eq!(inner["payload_hex"], text, "{line:#}");
        } else {
            assert_eq!(expected, "AH ok", "{line:#}");
        }
        // To know the port an inbound packet is opened, and a policy is over the port.
        if line["direction"] == "in" && expected.ends_with("ok") && expected != "AH ok" {
            let port = format!(" udp dport {}", group.port);
            assert!(line["policy"].as_str().is_some_and(|policy| policy.ends_with(&port)), "{line:#}");
        }
    }
}

/// What was sent last comes again, changed and cut: the kernel refuses it, and so does espial.
fn what_is_refused(mut watchers: [Watcher; 2], mut marks: Marks) {
    let mut receiver = Receiver { kernel: on_reblochon(kernel), wire: Wire::at(GOUDA) };
    let sas = receiver.kernel.sas().unwrap();
    let authenticates = |id: &SaId| {
        let algorithms = &sas.iter().find(|sa| sa.id() == *id).unwrap().algorithms;
        algorithms.aead.as_ref().or(algorithms.authentication.as_ref()).is_some_and(|code| code.icv_bits > 0)
    };
    let sent = of_traffic(watchers[0].sighted());
    let mut injected = Vec::new();
    for Sighted { bytes: frame, .. } in &sent[sent.len() / 2..] {
        let header = dissect(LinkType::Ethernet, frame).ipsec().next().unwrap();
        // Compression protects nothing; who has it inside of ESP is asked about the ESP.
        if header.protocol == IpsecProtocol::Comp {
            continue;
        }
        let id = sas.iter().find(|sa| sa.spi == header.spi && sa.protocol == header.protocol).unwrap().id();
        let mut changed = ahead(frame, 100);
        *changed.last_mut().unwrap() ^= 1;
        let trials = [
            ("again", frame.clone()),
            ("changed", changed),
            // ICVs of other lengths, and no whole number of blocks.
            ("4 bytes shorter", shortened(&ahead(frame, 200), 4)),
            ("3 bytes shorter", shortened(&ahead(frame, 300), 3)),
        ];
        for (what, frame) in trials {
            let fate = receiver.receive(&id, &frame);
            injected.push((what, fate, id, frame));
        }
    }
    marks.until_said(&mut watchers);
    for watcher in &watchers {
        let traffic = of_traffic(watcher.sighted());
        let (mut wrong, mut count) = (Vec::new(), BTreeMap::<(&str, Fate, String), usize>::new());
        assert_eq!(traffic.len(), sent.len() + injected.len());
        for ((what, fate, id, frame), Sighted { bytes, line }) in injected.iter().zip(&traffic[sent.len()..]) {
            assert_eq!(bytes, frame, "what was captured is what was sent");
            let verdict = verdict(line);
            let agrees = match fate {
                // Null authentication proves nothing to anybody; whether it decrypts to something is luck.
                _ if verdict == "UNPROVEN" => !authenticates(id),
                Fate::Taken => is_protected(verdict),
                Fate::Refused | Fate::Unseen => !is_protected(verdict),
            };
            if !agrees {
                wrong.push(format!("{id} {what}: {fate:?}, {verdict}: {}", line["reasons"]));
            }
            *count.entry((what, *fate, verdict.to_owned())).or_default() += 1;
        }
        assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
        for wanted in ["again", "changed", "4 bytes shorter", "3 bytes shorter"] {
            let refused = count.iter().filter(|((what, fate, _), _)| *what == wanted && *fate == Fate::Refused);
            assert!(refused.map(|(_, count)| count).sum::<usize>() > 200, "{wanted}: {count:#?}");
        }
    }
    wireshark_agrees(&watchers[0]);
    for watcher in watchers {
        let shown = watcher.sighted().len();
        let words = watcher.interrupted();
        assert!(words.contains("espial: Wireshark's table of keys lacks the keys of "), "{words}");
        // What the kernel lets through for the filter and the filter does not was seen as well.
        let (sums, last) = (format!(" packets seen, {shown} shown: "), words.lines().last().unwrap());
        assert!(last.contains(&sums) && last.ends_with(" protected"), "{words}");
    }
}

/// Wireshark with the keys that were written beside the recording.
fn wireshark_agrees(watcher: &Watcher) {
    let sighted = watcher.sighted();
    let theirs = opinions(watcher.recording(), &watcher.table());
    assert_eq!(sighted.len(), theirs.len());
    let table = std::fs::read_to_string(watcher.table()).unwrap();
    let (mut good, mut bad, mut unread) = (0, 0, 0);
    for (Sighted { line, .. }, theirs) in sighted.iter().zip(theirs) {
        let layers: Vec<&str> = line["layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        if Marks::is_mark(line) || layers.last() != Some(&"ESP") || layers.contains(&"AH") {
            continue;
        }
        let row = table.lines().find(|row| row.contains(line["spi"].as_str().unwrap())).unwrap();
        let verdict = verdict(line);
        match (ability(row, verdict), verdict) {
            (Ability::Checks, "BAD ICV") => {
                assert!(!theirs.is_good, "{row} {line:#}");
                bad += usize::from(theirs.is_bad);
            }
            (Ability::Checks, _) => {
                // It knows no replays.
                assert!(theirs.is_good, "{row} {line:#}");
                let is_same = line["inner"]["payload_hex"] == theirs.data.as_str();
                assert!(theirs.is_compressed || is_same, "{row} {line:#} {theirs:?}");
                good += 1;
            }
            _ => unread += 1,
        }
    }
    assert!(good > 200 && bad > 200, "{good} are good, {bad} are bad, {unread} it cannot read");
}
