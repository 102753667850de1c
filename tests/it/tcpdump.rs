//! Filters beside tcpdump's: whoever knows its words gets the same packets for them.
//!
//! Of the frames here none has a tunnel, a VLAN or an extension header in front of its ports: there espial looks further
//! than tcpdump does, and says so.

use std::fs;
use std::path::Path;
use std::process::Command;

use espial::capture::FileCapture;
use espial::packet::filter::Subject;
use espial::packet::{Filter, LinkType, dissect};
use proptest::prelude::*;

fn ethernet(last: u8, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&[last; 6][..], &[2, 0, 0, 0, 0, 1], &ether_type.to_be_bytes(), payload].concat()
}

/// With these flags and offset, from 10.9.0.1 to an address.
fn ipv4(protocol: u8, to: [u8; 4], fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let fragment = fragment.to_be_bytes();
    [&[0x45, 0], &length[..], &[0, 1], &fragment, &[64, protocol, 0, 0, 10, 9, 0, 1], &to, payload].concat()
}

fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let ends = [1, 2].map(|last| [0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    [&[0x60, 0, 0, 0], &length[..], &[next_header, 64], &ends.concat(), payload].concat()
}

fn ports(source: u16, destination: u16, rest: &[u8]) -> Vec<u8> {
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), rest].concat()
}

fn udp(source: u16, destination: u16) -> Vec<u8> {
    ports(source, destination, b"\x00\x0d\x00\x00hello")
}

fn tcp(source: u16, destination: u16) -> Vec<u8> {
    ports(source, destination, &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0, 0, 0, 0, 0, 0])
}

fn frames() -> Vec<Vec<u8>> {
    const TO: [u8; 4] = [10, 9, 0, 2];
    let v4 = |protocol, fragment, payload: &[u8]| ethernet(2, 0x0800, &ipv4(protocol, TO, fragment, payload));
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 9, 0, 1, 0, 0, 0, 0, 0, 0];
    arp.extend(TO);
    let mut with_options = ipv4(17, TO, 0, &[&[0x94, 4, 0, 0][..], &udp(53, 9)].concat());
    with_options[0] = 0x46;
    let fragment = |offset: u8| [&[17, 0, 0, offset, 0, 0, 0, 7][..], &udp(7777, 7778)].concat();
    vec![
        v4(17, 0, &udp(7777, 53)),
        v4(17, 0, &udp(80, 9)),
        v4(6, 0x4000, &tcp(80, 40_000)),
        v4(6, 0x4000, &tcp(22, 53)),
        v4(132, 0, &ports(53, 443, &[0; 8])),
        v4(1, 0, &[8, 0, 0, 0, 0, 1, 0, 1]),
        v4(50, 0, &[0, 0, 0x10, 1, 0, 0, 0, 1, 7, 7, 7, 7]),
        v4(50, 9, &[0; 60]),
        v4(51, 0, &[59, 4, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        v4(17, 0x2000, &udp(53, 9)),
        v4(17, 2, &udp(53, 9)),
        v4(6, 2, &tcp(53, 9)),
        v4(2, 0, &[0x16, 0, 0, 0, 224, 0, 0, 5]),
        ethernet(2, 0x0800, &with_options),
        ethernet(2, 0x0800, &[0x55; 40]),
        ethernet(1, 0x0800, &ipv4(17, [224, 0, 0, 5], 0, &udp(5, 6))),
        ethernet(0xff, 0x0800, &ipv4(17, [255, 255, 255, 255], 0, &udp(67, 68))),
        ethernet(0xff, 0x0806, &arp),
        ethernet(2, 0x86dd, &ipv6(17, &udp(53, 53))),
        ethernet(2, 0x86dd, &ipv6(6, &tcp(443, 80))),
        ethernet(2, 0x86dd, &ipv6(58, &[128, 0, 0, 0, 0, 1, 0, 1])),
        ethernet(2, 0x86dd, &ipv6(44, &fragment(1))),
        ethernet(2, 0x86dd, &ipv6(44, &fragment(0x40))),
    ]
}

/// The frames as a pcap file; the nth came n seconds after the beginning of time.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1]);
    for (number, frame) in (0..).zip(frames) {
        let length = u32::try_from(frame.len()).unwrap();
        file.extend(words(&[number, 0, length, length]));
        file.extend(frame);
    }
    file
}

/// The numbers of the frames that tcpdump takes; its complaint if it takes the filter for none. What its optimizer (of
/// libpcap 1.10) makes of long filters now and then takes other frames than the filter: it is left out.
fn theirs(file: &Path, filter: &str) -> Result<Vec<u64>, String> {
    let output = Command::new("tcpdump").args(["-n", "-O", "-w", "-", "-r"]).arg(file).arg(filter).output();
    let output = output.expect("tcpdump: install what your system calls the package tcpdump");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(complaint);
    }
    let mut capture = FileCapture::from_reader(complaint, Box::new(std::io::Cursor::new(output.stdout))).unwrap();
    Ok(std::iter::from_fn(|| Some(capture.next_frame().unwrap()?.at_ns / 1_000_000_000)).collect())
}

fn ours(frames: &[Vec<u8>], filter: &str) -> Vec<u64> {
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).unwrap();
    let fits = |frame: &[u8]| {
        filter.fits(Subject {
            dissection: &dissect(LinkType::Ethernet, frame),
            direction: None,
            length: frame.len(),
            bytes: frame,
            whole: None,
            verdict: "",
            inside: &|_| false,
        })
    };
    (0..).zip(frames).filter(|(_, frame)| fits(frame)).map(|(number, _)| number).collect()
}

/// Conditions, and values that follow one without its words.
const CONDITIONS: &[(&str, &[&str])] = &[
    ("udp", &[]),
    ("tcp", &[]),
    ("esp", &[]),
    ("ah", &[]),
    ("icmp", &[]),
    ("icmp6", &[]),
    ("arp", &[]),
    ("ip", &[]),
    ("ip6", &[]),
    ("sctp", &[]),
    ("less 0x3c", &[]),
    ("greater 60", &[]),
    ("broadcast", &[]),
    ("multicast", &[]),
    ("ether multicast", &[]),
    ("ip multicast", &[]),
    ("ip6 multicast", &[]),
    ("ether host 02:00:00:00:00:01", &["02:02:02:02:02:02", "ff:ff:ff:ff:ff:ff"]),
    ("ether dst ff:ff:ff:ff:ff:ff", &["02:02:02:02:02:02"]),
    ("host 10.9.0.2", &["224.0.0.5", "10.9.0.1"]),
    ("dst host 10.9.0.2", &["255.255.255.255"]),
    ("src or dst host 10.9.0.2", &["fd09::1"]),
    ("src and dst net 10.9.0.0/24", &[]),
    ("ip host 10.9.0.1", &["10.9.0.2"]),
    ("arp host 10.9.0.2", &[]),
    ("ip6 host fd09::1", &["fd09::2"]),
    ("net 224", &["10.9"]),
    ("dst net 10.9.0.0 mask 255.255.255.0", &["255.255.255.255"]),
    ("port 53", &["80", "0x1bb", "011", "ssh"]),
    ("udp port 53", &["80", "9"]),
    ("tcp src port 80", &["22", "443"]),
    ("sctp dst port 443", &[]),
    ("port domain", &[]),
    ("portrange 50-60", &["70-90", "9"]),
    ("udp dst portrange 0-100", &[]),
    ("src or dst port 53", &[]),
    ("udp port (53 or 80)", &[]),
    ("host (10.9.0.1 or 10.9.0.2)", &[]),
    ("ip proto 17", &["6", "0x32"]),
    ("ip6 proto 17", &["58", "44"]),
    ("proto 17", &["6"]),
    ("proto \\udp", &[]),
];

#[test]
fn every_condition_takes_what_tcpdump_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (path, frames) = (folder.path().join("frames.pcap"), frames());
    fs::write(&path, pcap(&frames)).unwrap();
    let followed = CONDITIONS.iter().flat_map(|(condition, values)| {
        let joined = values.iter().map(move |value| format!("{condition} or {value}"));
        joined.chain([(*condition).to_owned(), format!("not {condition}")])
    });
    for filter in followed {
        assert_eq!(Ok(ours(&frames, &filter)), theirs(&path, &filter), "{filter}");
    }
}

fn any_filter() -> impl Strategy<Value = String> {
    let condition = (prop::sample::select(CONDITIONS), any::<prop::sample::Index>(), any::<bool>());
    let condition = condition.prop_map(|((condition, values), value, follows)| match values {
        [_, ..] if follows => format!("{condition} or not {}", value.get(values)),
        _ => condition.to_owned(),
    });
    let not = prop::sample::select(vec!["", "", "not ", "!"]);
    let joint = prop::sample::select(vec![" and ", " or ", " && ", " || "]);
    let chain = |inner: BoxedStrategy<String>| {
        let factors = prop::collection::vec((not.clone(), inner, joint.clone()), 1..5);
        factors.prop_map(|factors| {
            let joined = factors
                .into_iter()
                .enumerate()
                .map(|(place, (not, factor, joint))| format!("{}{not}{factor}", if place == 0 { "" } else { joint }));
            joined.collect::<String>()
        })
    };
    let bracketed = chain(condition.clone().boxed()).prop_map(|inner| format!("({inner})"));
    chain(prop_oneof![3 => condition, 1 => bracketed].boxed())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn conditions_are_joined_as_tcpdump_joins_them(filter in any_filter()) {
        let folder = tempfile::tempdir().unwrap();
        let (path, frames) = (folder.path().join("frames.pcap"), frames());
        fs::write(&path, pcap(&frames)).unwrap();
        match theirs(&path, &filter) {
            Ok(theirs) => prop_assert_eq!(ours(&frames, &filter), theirs, "{}", filter),
            // It refuses what can be true of no packet.
            Err(complaint) => prop_assert!(complaint.contains("rejects all packets"), "{filter}: {complaint}"),
        }
    }
}
