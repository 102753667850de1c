//! Every transform that the lab's kernel has, in transport and tunnel mode, over IPv4 and IPv6, with ESN, in UDP and nested:
//! the kernel receives a packet, the same again, changed and cut, and its counters tell what it thinks of each.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use espial::capture::FileCapture;
use espial::evidence::{Judge, Sight, Verdict};
use espial::kernel::{Kernel, XfrmKernel};
use espial::model::{IpsecProtocol, SaId};
use espial::packet::{Direction, Header, LinkType, dissect};

use crate::Test;
use crate::evidence::Wire;
use crate::world::{GOUDA, REBLOCHON, feed, kernel, on_reblochon, words};

pub const TESTS: &[Test] = &[("what_the_kernel_takes_is_ok_and_what_it_refuses_is_not", every_transform)];

const PACKETS: &[u8] = include_bytes!("../data/vectors/linux-all.pcap");
const SAS: &str = include_str!("../data/vectors/linux-all.sas");

/// What the kernel did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Taken,
    Refused,
    /// It came to nothing before IPsec was asked.
    Unseen,
}

/// The receiver's side of all SAs.
fn add_sas() {
    let line = |line: &str| {
        let line = line.replace("replay-oseq", "replay-seq");
        // IPComp has no sequence numbers that a window could hold.
        let has_none = line.contains("replay-window") || line.contains("proto comp");
        let window = if has_none { "" } else { "replay-window 32 " };
        let (before, mode) = line.split_once(" mode ").unwrap();
        let (mode, rest) = mode.split_once(' ').unwrap();
        format!("xfrm state add {before} mode {mode} {window}{rest}\n")
    };
    let script: String = SAS.lines().map(line).collect();
    let output = feed("ip", &["-n", "reblochon", "-batch", "-"], &script);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A socket for which the kernel takes ESP out of UDP.
fn encapsulation_socket() -> UdpSocket {
    let socket = UdpSocket::bind((REBLOCHON, 4500)).unwrap();
    let esp_in_udp: libc::c_int = 2;
    let length = libc::socklen_t::try_from(size_of_val(&esp_in_udp)).unwrap();
    // SAFETY: the kernel reads one number.
    #[allow(unsafe_code, reason = "no crate knows this option")]
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_ENCAP, (&raw const esp_in_udp).cast(), length)
    };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
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
        let at = layer.range.start;
        let (length_at, length) = match &layer.header {
            Header::Ipv4(ip) => (at + 2, usize::from(ip.total_length)),
            Header::Ipv6(ip) => (at + 4, usize::from(ip.payload_length)),
            Header::Udp(udp) => (at + 4, usize::from(udp.length)),
            _ => continue,
        };
        let length = u16::try_from(length - bytes).unwrap().to_be_bytes();
        short[length_at..length_at + 2].copy_from_slice(&length);
        if let Header::Ipv4(_) = layer.header {
            sum(&mut short[layer.range.clone()]);
        }
    }
    short
}

fn sum(header: &mut [u8]) {
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
        Header::Esp(esp) => Some((layer.range.start + 4, esp.sequence)),
        Header::Ah(ah) => Some((layer.range.start + 8, ah.sequence)),
        _ => None,
    });
    let (at, number) = header.unwrap();
    changed[at..at + 4].copy_from_slice(&number.wrapping_add(by).to_be_bytes());
    changed
}

fn every_transform() {
    add_sas();
    let link = words("ip", ["-n", "reblochon", "-o", "route", "get", GOUDA]);
    let link = link.split(' ').skip_while(|word| *word != "dev").nth(1).unwrap().to_owned();
    let facts = words("ip", ["-n", "reblochon", "-o", "link", "show", "dev", &link]);
    let mac = facts.split(' ').skip_while(|word| *word != "link/ether").nth(1).unwrap();
    let mac: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let _encapsulation = on_reblochon(encapsulation_socket);
    let mut receiver = Receiver { kernel: on_reblochon(kernel), wire: Wire::at(GOUDA) };
    let sas = receiver.kernel.sas().unwrap();
    let authenticates = |id: &SaId| {
        let algorithms = &sas.iter().find(|sa| sa.id() == *id).unwrap().algorithms;
        algorithms.aead.as_ref().or(algorithms.authentication.as_ref()).is_some_and(|code| code.icv_bits > 0)
    };
    let mut judge = Judge::default();
    judge.memory.replace(sas.iter(), 0);
    let mut file = FileCapture::from_reader("linux-all".to_owned(), Box::new(PACKETS)).unwrap();
    let mut count: BTreeMap<(&str, Fate, String), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    while let Some(frame) = file.next_frame().unwrap() {
        let mut frame = frame.bytes.to_vec();
        frame[..6].copy_from_slice(&mac);
        let header = dissect(LinkType::Ethernet, &frame).ipsec().next().unwrap();
        // Compression protects nothing; who has it inside of ESP is asked about the ESP.
        if header.protocol == IpsecProtocol::Comp {
            continue;
        }
        let id = sas.iter().find(|sa| sa.spi == header.spi && sa.protocol == header.protocol).unwrap().id();
        let mut changed = ahead(&frame, 100);
        *changed.last_mut().unwrap() ^= 1;
        let trials = [
            ("whole", frame.clone()),
            ("again", frame.clone()),
            ("changed", changed),
            // ICVs of other lengths, and no whole number of blocks.
            ("4 bytes shorter", shortened(&ahead(&frame, 200), 4)),
            ("3 bytes shorter", shortened(&ahead(&frame, 300), 3)),
        ];
        for (what, frame) in trials {
            let fate = receiver.receive(&id, &frame);
            let (link, direction) = (LinkType::Ethernet, Some(Direction::In));
            let at_ns = u64::MAX / 2;
            let sight = Sight { at_ns, link, direction, loopback: false, is_cut: false, bytes: &frame };
            let evidence = judge.judge(sight, &dissect(link, &frame), 1);
            let verdict = evidence.verdict;
            let agrees = match (fate, verdict) {
                // Null authentication proves nothing to anybody; whether it decrypts to something is luck.
                (_, Verdict::Unproven) => !authenticates(&id),
                (Fate::Taken | Fate::Refused, verdict) => verdict.is_protected() == (fate == Fate::Taken),
                (Fate::Unseen, verdict) => verdict.is_protected() == (what == "whole"),
            };
            if !agrees {
                let reasons: Vec<String> = evidence.reasons.iter().map(ToString::to_string).collect();
                wrong.push(format!("{id} {what}: {fate:?}, {verdict}: {}", reasons.join("; ")));
            }
            let word = verdict.to_string();
            let word = if word.starts_with("GAP") { "GAP".to_owned() } else { word };
            *count.entry((what, fate, word)).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
    let of = |what: &str, fate: Fate| {
        count.iter().filter(|((w, f, _), _)| *w == what && *f == fate).map(|(_, count)| count).sum::<usize>()
    };
    assert!(of("whole", Fate::Taken) > 240, "{count:#?}");
    for what in ["again", "changed", "4 bytes shorter", "3 bytes shorter"] {
        assert!(of(what, Fate::Refused) > 200, "{what}: {count:#?}");
    }
}
