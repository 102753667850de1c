//! The transforms against packets that the Linux kernel made.
//!
//! `tests/data/vectors/linux-all.*` hold every transform that Linux 6.1 has, in each mode and family (`make.sh` there
//! records them); the other captures there are pings of another machine, with their keys in Wireshark's `esp_sa`.

mod any_bytes;
mod sas;
pub mod wire;

use espial::crypto::ipcomp::{self, inflate};
use espial::crypto::sequence::extended;
use espial::crypto::{AhTransform, EspTransform, Icv, Malformed};
use espial::model::{IpsecProtocol, Spi};

use sas::{KnownSa, KnownSas};
use wire::{Layer, Packet};

const LINUX: &[u8] = include_bytes!("../../data/vectors/linux-all.pcap");

fn linux_sas() -> KnownSas {
    KnownSas::from_ip_xfrm(include_str!("../../data/vectors/linux-all.sas"))
}

/// One frame with everything undone.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// The protections in the order in which they were met.
    layers: Vec<&'static str>,
    /// The SAs that did it.
    spis: Vec<Spi>,
    /// What the UDP datagram or the ping carried.
    payload: Vec<u8>,
}

fn esp_transform(sa: &KnownSa) -> EspTransform {
    EspTransform::new(&sa.algorithms, sa.extended).unwrap_or_else(|error| panic!("{}: {error}", sa.line))
}

fn ah_transform(sa: &KnownSa) -> AhTransform {
    AhTransform::new(&sa.algorithms, sa.extended).unwrap_or_else(|error| panic!("{}: {error}", sa.line))
}

/// The high half that the sequence number at `bytes` has on this SA.
fn high(sa: &KnownSa, bytes: &[u8]) -> u32 {
    let low = u32::from_be_bytes(*bytes.first_chunk().unwrap());
    u32::try_from(extended(sa.sent, low) >> 32).unwrap()
}

/// Undoes all protections of a packet that begins with an IP header.
fn look_at_ip(ip: &[u8], sas: &KnownSas, seen: &mut Seen) {
    let packet = Packet::parse(ip);
    look_at(packet.bytes, packet.next, packet.payload_at, sas, seen);
}

/// Undoes what stands at `at`; the bytes before it matter to AH alone.
fn look_at(packet: &[u8], next: u8, at: usize, sas: &KnownSas, seen: &mut Seen) {
    let payload = &packet[at..];
    match Layer::of(next, payload) {
        Layer::Ip => look_at_ip(payload, sas, seen),
        Layer::Esp(at) => {
            let esp = &payload[at..];
            let sa = sas.find(IpsecProtocol::Esp, esp);
            let mut plaintext = Vec::new();
            let opened = esp_transform(sa).open(esp, high(sa, &esp[4..]), &mut plaintext);
            let opened = opened.unwrap_or_else(|error| panic!("{}: {error}", sa.line));
            assert!(opened.padding_counts_up, "{}", sa.line);
            seen.note("esp", sa, opened.icv);
            look_at(&plaintext[..opened.payload_length], opened.next_header, 0, sas, seen);
        }
        Layer::Ah { next, length } => {
            let sa = sas.find(IpsecProtocol::Ah, &payload[4..]);
            let icv = ah_transform(sa).verify(packet, at, high(sa, &payload[8..]));
            seen.note("ah", sa, icv.unwrap_or_else(|error| panic!("{}: {error}", sa.line)));
            look_at(packet, next, at + length, sas, seen);
        }
        Layer::IpComp { next } => {
            let sa = sas.find(IpsecProtocol::Comp, &[&[0, 0], &payload[2..4]].concat());
            ipcomp::ready(&sa.algorithms).unwrap();
            seen.note("comp", sa, Icv::Absent);
            look_at(&inflate(&payload[4..]).unwrap(), next, 0, sas, seen);
        }
        Layer::Payload(payload) => seen.payload = payload.to_vec(),
    }
}

impl Seen {
    fn note(&mut self, layer: &'static str, sa: &KnownSa, icv: Icv) {
        let expected = if sa.authenticates() { Icv::Good } else { Icv::Absent };
        assert_eq!(icv, expected, "{}", sa.line);
        self.layers.push(layer);
        self.spis.push(sa.spi);
    }
}

fn look_at_all(pcap: &[u8], sas: &KnownSas) -> Vec<Seen> {
    let look = |frame| {
        let mut seen = Seen::default();
        look_at_ip(wire::without_ethernet(frame), sas, &mut seen);
        seen
    };
    wire::frames(pcap).into_iter().map(look).collect()
}

#[test]
fn every_packet_of_the_kernel_is_authentic_and_readable() {
    let sas = linux_sas();
    let all = look_at_all(LINUX, &sas);
    for seen in &all {
        let payload = String::from_utf8_lossy(&seen.payload);
        let whole = "hello world" == payload || "hello world, ".repeat(40) == payload;
        assert!(whole, "{seen:?}");
    }
    let seen: std::collections::BTreeSet<Spi> = all.iter().flat_map(|seen| &seen.spis).copied().collect();
    for sa in sas.iter() {
        assert!(seen.contains(&sa.spi), "nothing went through {}", sa.line);
    }
    let count = |layers: &[&str]| all.iter().filter(|seen| seen.layers == layers).count();
    let counts = [count(&["esp"]), count(&["ah"]), count(&["ah", "esp"]), count(&["comp"]), count(&["esp", "comp"])];
    assert_eq!(counts, [199, 68, 4, 4, 2]);
    assert_eq!(counts.iter().sum::<usize>(), all.len());
}

#[test]
fn fourteen_captures_of_another_machine_are_readable() {
    let sas = KnownSas::from_esp_sa(include_str!("../../data/vectors/esp_sa"));
    for (name, pcap) in wire::CAPTURES {
        let all = look_at_all(pcap, &sas);
        assert!(all.iter().all(|seen| seen.layers == ["esp"]), "{name}: {all:?}");
        let says_hello = |seen: &&Seen| String::from_utf8_lossy(&seen.payload).contains("hello world");
        // The last one has two pings; its other frames are a host's answers that its port 4500 is closed.
        let pings = if name.starts_with("udp") { 2 } else { all.len() };
        assert_eq!(all.iter().filter(says_hello).count(), pings, "{name}");
        assert!(pings == 4 || name.starts_with("udp"), "{name}");
    }
}

/// A frame's outermost ESP or AH.
struct Outermost<'a> {
    packet: Packet<'a>,
    /// Where it begins.
    at: usize,
    sa: &'a KnownSa,
}

impl<'a> Outermost<'a> {
    /// Those of all frames that the kernel made.
    fn all(sas: &'a KnownSas) -> impl Iterator<Item = Self> {
        wire::frames(LINUX).into_iter().filter_map(|frame| {
            let packet = Packet::parse(wire::without_ethernet(frame));
            let payload = &packet.bytes[packet.payload_at..];
            let (at, sa) = match Layer::of(packet.next, payload) {
                Layer::Esp(at) => (at, sas.find(IpsecProtocol::Esp, &payload[at..])),
                Layer::Ah { .. } => (0, sas.find(IpsecProtocol::Ah, &payload[4..])),
                _ => return None,
            };
            Some(Self { at: packet.payload_at + at, packet, sa })
        })
    }

    /// What `sa` says of the packet if it had been `packet`, with a high half so much higher.
    fn verify(&self, sa: &KnownSa, packet: &[u8], higher: u32) -> Result<Icv, Malformed> {
        let header = &self.packet.bytes[self.at..];
        match sa.protocol {
            IpsecProtocol::Ah => ah_transform(sa).verify(packet, self.at, high(self.sa, &header[8..]) + higher),
            _ => esp_transform(sa).verify(&packet[self.at..], high(self.sa, &header[4..]) + higher),
        }
    }
}

#[test]
fn one_changed_bit_anywhere_is_found() {
    let sas = linux_sas();
    for outermost in Outermost::all(&sas) {
        let (sa, mut changed) = (outermost.sa, outermost.packet.bytes.to_vec());
        for byte in outermost.at..changed.len() {
            let bit = 1 << (byte % 8);
            changed[byte] ^= bit;
            let verdict = outermost.verify(sa, &changed, 0);
            changed[byte] ^= bit;
            if sa.authenticates() {
                assert_ne!(verdict, Ok(Icv::Good), "byte {byte} of {}", sa.line);
            } else {
                assert_eq!(verdict, Ok(Icv::Absent), "byte {byte} of {}", sa.line);
            }
        }
    }
}

#[test]
fn another_high_half_another_key_or_another_icv_length_is_found() {
    let sas = linux_sas();
    for outermost in Outermost::all(&sas) {
        let (sa, packet) = (outermost.sa, outermost.packet.bytes);
        let authentic = if sa.authenticates() { Icv::Good } else { Icv::Absent };
        assert_eq!(outermost.verify(sa, packet, 0), Ok(authentic), "{}", sa.line);
        let expected = if sa.extended && sa.authenticates() { Icv::Bad } else { authentic };
        assert_eq!(outermost.verify(sa, packet, 1), Ok(expected), "{}", sa.line);
        if sa.authenticates() {
            assert_eq!(outermost.verify(&sa.with_another_key(), packet, 0), Ok(Icv::Bad), "{}", sa.line);
        }
        for other in sa.with_other_icv_lengths() {
            assert_ne!(outermost.verify(&other, packet, 0), Ok(Icv::Good), "{}", sa.line);
        }
    }
}
