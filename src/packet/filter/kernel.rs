//! A filter for the kernel: a program in its packet filter language that drops plain frames which certainly do not fit.
//!
//! Frames that cross a gateway's interface and have nothing to do with IPsec are most of its traffic, and each that is
//! dropped in the kernel costs nothing further. What the judge needs must never be dropped, whatever the filter says:
//! ESP, AH and IPComp, also in UDP and TCP, IKE, fragments, whatever carries packets in packets, what is malformed or too
//! short to be looked at, and all that is not understood here. Of the rest the program drops what no reading of the
//! filter could take.
//!
//! The language is described in `Documentation/networking/filter.rst`. Loads are relative to the network header
//! (`SKF_NET_OFF`), so one program does for every kind of link. A load behind the end of the frame would drop it, so the
//! length is looked at first, as if every frame began with the longest link header there is, Ethernet's.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::{End, Filter, Test, Word};
use crate::model::Prefix;

/// `struct sock_filter`: a step of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many steps to leave out if a condition is met.
    pub if_so: u8,
    /// How many if not.
    pub if_not: u8,
    /// Its number.
    pub number: u32,
}

/// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the frame's `EtherType`.
const ETHER_TYPE: u32 = 0xffff_f000;
/// `SKF_NET_OFF`: the network header.
const NETWORK: u32 = 0xfff0_0000;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
/// A half word at the index register and so many bytes.
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_LENGTH: u16 = 0x80;
/// Four times the lower half of a byte into the index register: the length of an IPv4 header.
const INDEX_HEADER_LENGTH: u16 = 0xb1;
const SUBTRACT: u16 = 0x14;
const SUBTRACT_INDEX: u16 = 0x1c;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_AT_LEAST_INDEX: u16 = 0x3d;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const UDP: u8 = 17;
const TCP: u8 = 6;
const SCTP: u8 = 132;
/// What carries something that must be seen: ICMP errors quote packets, IP-in-IP and GRE carry them.
const NEVER_DROPPED: [u8; 8] = [50, 51, 108, 1, 58, 4, 41, 47];
/// The length of Ethernet's header.
const LINK: u32 = 14;
/// How short the headers of TCP and UDP can be.
const SHORTEST: [u32; 2] = [20, 8];
/// IKE and ESP in UDP, and both in TCP.
const IPSEC_PORTS: [u16; 2] = [500, 4500];

/// The kind of frames that a part of the program is about.
#[derive(Clone, Copy)]
struct Class {
    is_ipv4: bool,
    /// TCP or UDP.
    has_ports: bool,
}

/// A place in the program, counted from its end.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(usize);

impl Filter {
    /// The program; `None` where it would be longer than its jumps can reach.
    pub fn for_kernel(&self) -> Option<Vec<Instruction>> {
        // Written backwards: where a jump goes is there already.
        let mut program = Program { backwards: Vec::new() };
        let drop = program.put(RETURN, 0);
        let keep = program.put(RETURN, u32::MAX);
        let ipv4 = program.ipv4(self, keep, drop)?;
        let ipv6 = program.ipv6(self, keep, drop)?;
        let is_ipv6 = program.jump(JUMP_IF_EQUAL, 0x86dd, ipv6, keep)?;
        program.jump(JUMP_IF_EQUAL, 0x0800, ipv4, is_ipv6)?;
        program.put(LOAD_HALF, ETHER_TYPE);
        program.backwards.reverse();
        Some(program.backwards)
    }
}

struct Program {
    backwards: Vec<Instruction>,
}

impl Program {
    fn put(&mut self, code: u16, number: u32) -> Place {
        self.backwards.push(Instruction { code, if_so: 0, if_not: 0, number });
        Place(self.backwards.len() - 1)
    }

    fn jump(&mut self, code: u16, number: u32, so: Place, not: Place) -> Option<Place> {
        let here = self.backwards.len();
        // From the step behind this one, which is one nearer to the end.
        let steps = |to: Place| u8::try_from(here.checked_sub(to.0 + 1)?).ok();
        self.backwards.push(Instruction { code, if_so: steps(so)?, if_not: steps(not)?, number });
        Some(Place(here))
    }

    /// Jumps to `so` if what was loaded is one of these.
    fn any_of<T: Into<u32>>(&mut self, numbers: impl IntoIterator<Item = T>, so: Place, not: Place) -> Option<Place> {
        numbers.into_iter().try_fold(not, |not, number| self.jump(JUMP_IF_EQUAL, number.into(), so, not))
    }

    /// The part for IPv4.
    fn ipv4(&mut self, filter: &Filter, keep: Place, drop: Place) -> Option<Place> {
        let transport = self.transport(filter, true, keep, drop)?;
        let [tcp, udp] = SHORTEST.map(|length| self.has_room_behind_ipv4(length, transport, keep));
        let (tcp, udp) = (tcp?, udp?);
        let other = self.judge(filter, Class { is_ipv4: true, has_ports: false }, keep, drop)?;
        let other = self.jump(JUMP_IF_EQUAL, UDP.into(), udp, other)?;
        let other = self.jump(JUMP_IF_EQUAL, TCP.into(), tcp, other)?;
        self.any_of(NEVER_DROPPED, keep, other)?;
        let protocol = self.put(LOAD_BYTE, NETWORK + 9);
        // More fragments, or not the first.
        self.jump(JUMP_IF_ANY_BIT, 0x3fff, keep, protocol)?;
        let fragment = self.put(LOAD_HALF, NETWORK + 6);
        // The version, and a length of at least five words.
        let version = self.jump(JUMP_IF_GREATER, 0x4f, keep, fragment)?;
        self.jump(JUMP_IF_AT_LEAST, 0x45, version, keep)?;
        let version = self.put(LOAD_BYTE, NETWORK);
        self.jump(JUMP_IF_AT_LEAST, LINK + 20, version, keep)?;
        Some(self.put(LOAD_LENGTH, 0))
    }

    /// The part for IPv6: whatever is not TCP or UDP may be an extension header, which leads to who knows what.
    fn ipv6(&mut self, filter: &Filter, keep: Place, drop: Place) -> Option<Place> {
        let transport = self.transport(filter, false, keep, drop)?;
        let [tcp, udp] = SHORTEST.map(|length| self.has_room_behind_ipv6(length, transport, keep));
        let (tcp, udp) = (tcp?, udp?);
        let other = self.jump(JUMP_IF_EQUAL, UDP.into(), udp, keep)?;
        self.jump(JUMP_IF_EQUAL, TCP.into(), tcp, other)?;
        let protocol = self.put(LOAD_BYTE, NETWORK + 6);
        self.jump(JUMP_IF_EQUAL, 0x60, protocol, keep)?;
        self.put(AND, 0xf0);
        let version = self.put(LOAD_BYTE, NETWORK);
        self.jump(JUMP_IF_AT_LEAST, LINK + 40, version, keep)?;
        Some(self.put(LOAD_LENGTH, 0))
    }

    /// Goes on only if both the packet, by its own word, and the frame have room for a transport header of this length.
    fn has_room_behind_ipv4(&mut self, length: u32, go_on: Place, keep: Place) -> Option<Place> {
        self.jump(JUMP_IF_AT_LEAST_INDEX, 0, go_on, keep)?;
        // This cannot be less than nothing: 20 bytes of IP have been seen.
        self.put(SUBTRACT, LINK + length);
        let frame = self.put(LOAD_LENGTH, 0);
        let packet = self.jump(JUMP_IF_AT_LEAST, length, frame, keep)?;
        // A packet that claims less than its header leaves a huge rest.
        self.jump(JUMP_IF_GREATER, u16::MAX.into(), keep, packet)?;
        self.put(SUBTRACT_INDEX, 0);
        self.put(LOAD_HALF, NETWORK + 2);
        Some(self.put(INDEX_HEADER_LENGTH, NETWORK))
    }

    /// The same behind IPv6.
    fn has_room_behind_ipv6(&mut self, length: u32, go_on: Place, keep: Place) -> Option<Place> {
        self.jump(JUMP_IF_AT_LEAST, LINK + 40 + length, go_on, keep)?;
        let frame = self.put(LOAD_LENGTH, 0);
        self.jump(JUMP_IF_AT_LEAST, length, frame, keep)?;
        Some(self.put(LOAD_HALF, NETWORK + 4))
    }

    /// The part for TCP and UDP.
    fn transport(&mut self, filter: &Filter, is_ipv4: bool, keep: Place, drop: Place) -> Option<Place> {
        let mut place = self.judge(filter, Class { is_ipv4, has_ports: true }, keep, drop)?;
        for end in [End::Destination, End::Source] {
            self.any_of(IPSEC_PORTS, keep, place)?;
            place = self.load_port(is_ipv4, end);
        }
        Some(place)
    }

    fn load_port(&mut self, is_ipv4: bool, end: End) -> Place {
        let at = if end == End::Source { 0 } else { 2 };
        if is_ipv4 {
            self.put(LOAD_HALF_INDEXED, NETWORK + at);
            self.put(INDEX_HEADER_LENGTH, NETWORK)
        } else {
            self.put(LOAD_HALF, NETWORK + 40 + at)
        }
    }

    /// To `yes` if the filter may take a frame of this class, to `no` if it certainly does not.
    fn judge(&mut self, filter: &Filter, class: Class, yes: Place, no: Place) -> Option<Place> {
        match filter {
            Filter::And(a, b) => {
                let second = self.judge(b, class, yes, no)?;
                self.judge(a, class, second, no)
            }
            Filter::Or(a, b) => {
                let second = self.judge(b, class, yes, no)?;
                self.judge(a, class, yes, second)
            }
            Filter::Not(inner) => self.judge_not(inner, class, yes, no),
            Filter::Is(test) => self.test(test, class, [yes, no], yes),
        }
    }

    /// To `no` only if the filter certainly takes it.
    fn judge_not(&mut self, filter: &Filter, class: Class, yes: Place, no: Place) -> Option<Place> {
        match filter {
            Filter::And(a, b) => {
                let second = self.judge_not(b, class, yes, no)?;
                self.judge_not(a, class, yes, second)
            }
            Filter::Or(a, b) => {
                let second = self.judge_not(b, class, yes, no)?;
                self.judge_not(a, class, second, no)
            }
            Filter::Not(inner) => self.judge(inner, class, yes, no),
            Filter::Is(test) => self.test(test, class, [no, yes], yes),
        }
    }

    /// Where a frame of this class goes that passes a test and that does not, or whose answer the kernel cannot know.
    fn test(&mut self, test: &Test, class: Class, [yes, no]: [Place; 2], unknown: Place) -> Option<Place> {
        match test {
            Test::Has(word) => match (word, class) {
                (Word::Ip, _) => Some(if class.is_ipv4 { yes } else { no }),
                (Word::Ip6, _) => Some(if class.is_ipv4 { no } else { yes }),
                (Word::Tcp, Class { has_ports: true, .. }) => self.protocol(TCP, class, yes, no),
                (Word::Udp, Class { has_ports: true, .. }) => self.protocol(UDP, class, yes, no),
                (Word::Sctp, Class { has_ports: false, .. }) => self.protocol(SCTP, class, yes, no),
                _ => Some(no),
            },
            Test::Proto(Some(Word::Ip6), _) if class.is_ipv4 => Some(no),
            Test::Proto(Some(Word::Ip), _) if !class.is_ipv4 => Some(no),
            Test::Proto(_, protocol) => self.protocol(protocol.0, class, yes, no),
            Test::Port(end, ports) if class.has_ports => self.port(*end, ports, class, yes, no),
            // Where SCTP has its ports is not looked at here.
            Test::Port(..) => self.protocol(SCTP, class, unknown, no),
            Test::Spi(_) | Test::Fragment => Some(no),
            Test::Net(end, prefix) => self.net(*end, *prefix, class, yes, no),
            // A device may take the tag off; lengths are not those of the wire everywhere; loads begin behind Ethernet.
            Test::Went(_)
            | Test::Less(_)
            | Test::Greater(_)
            | Test::Vlan(_)
            | Test::Ether(..)
            | Test::Broadcast
            | Test::Multicast
            | Test::Verdict(_)
            | Test::Text(_) => Some(unknown),
        }
    }

    fn protocol(&mut self, protocol: u8, class: Class, yes: Place, no: Place) -> Option<Place> {
        self.jump(JUMP_IF_EQUAL, protocol.into(), yes, no)?;
        Some(self.put(LOAD_BYTE, NETWORK + if class.is_ipv4 { 9 } else { 6 }))
    }

    fn port(&mut self, end: End, ports: &RangeInclusive<u16>, class: Class, yes: Place, no: Place) -> Option<Place> {
        let (first, last) = (u32::from(*ports.start()), u32::from(*ports.end()));
        let mut place = no;
        for side in sides(end) {
            if first == last {
                self.jump(JUMP_IF_EQUAL, first, yes, place)?;
            } else {
                let is_high_enough = self.jump(JUMP_IF_AT_LEAST, first, yes, place)?;
                self.jump(JUMP_IF_GREATER, last, place, is_high_enough)?;
            }
            place = self.load_port(class.is_ipv4, *side);
        }
        Some(place)
    }

    fn net(&mut self, end: End, prefix: Prefix, class: Class, yes: Place, no: Place) -> Option<Place> {
        let words: Vec<u32> = match prefix.address {
            IpAddr::V4(address) => vec![address.to_bits()],
            IpAddr::V6(address) => {
                (0..4).rev().map(|n| ((address.to_bits() >> (32 * n)) & 0xffff_ffff) as u32).collect()
            }
        };
        if prefix.address.is_ipv4() != class.is_ipv4 {
            return Some(no);
        }
        let mut place = no;
        for side in sides(end) {
            let at = match (class.is_ipv4, side) {
                (true, End::Source) => 12,
                (true, _) => 16,
                (false, End::Source) => 8,
                (false, _) => 24,
            };
            let otherwise = place;
            place = yes;
            // The last word first: the program is written backwards.
            for (number, word) in words.iter().enumerate().rev() {
                let bits = u32::from(prefix.length).saturating_sub(32 * u32::try_from(number).ok()?).min(32);
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                if mask == 0 {
                    continue;
                }
                self.jump(JUMP_IF_EQUAL, word & mask, place, otherwise)?;
                self.put(AND, mask);
                place = self.put(LOAD_WORD, NETWORK + at + 4 * u32::try_from(number).ok()?);
            }
        }
        Some(place)
    }
}

fn sides(end: End) -> &'static [End] {
    match end {
        End::Source => &[End::Source],
        End::Destination => &[End::Destination],
        End::Either => &[End::Source, End::Destination],
    }
}

#[cfg(test)]
mod tests;
