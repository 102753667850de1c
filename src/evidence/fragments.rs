//! Packets that came in parts, put together as their receiver does: RFC 791 section 3.2 and RFC 8200 section 4.5.
//!
//! An ICV covers the whole packet, so a part alone proves nothing. What overlaps is dropped with all that it belongs to
//! (RFC 5722, and Linux for IPv4 as well, `inet_frag_queue_insert`), what came twice counts once. Whoever sends parts
//! that are never whole costs no more memory than is said here.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::ops::Range;

use crate::model::Flow;
use crate::packet::{Dissection, Flaw, Header, Layer};

/// How many packets are waited for.
const MOST_PACKETS: usize = 1024;
/// How many bytes of them are kept, with what it costs to keep a part.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What it costs to keep a part beside its bytes.
const COST: usize = 64;
/// `net.ipv4.ipfrag_time`; of IPv6 it is twice as long.
pub(super) const PATIENCE_NS: u64 = 30_000_000_000;
/// The length of a packet is said in 16 bits.
const LONGEST: usize = 0xffff;
const IPV6_HEADER: usize = 40;

/// Which packet a part is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    interface: u32,
    source: IpAddr,
    destination: IpAddr,
    /// Of IPv4; two packets of IPv6 never have the same identification.
    protocol: u8,
    identification: u32,
}

/// A part of a packet.
pub(super) struct Part<'a> {
    key: Key,
    /// Which bytes of what is cut up it has.
    range: Range<usize>,
    is_last: bool,
    bytes: &'a [u8],
    /// What stands before the cut, and at which byte of it the number of what follows.
    head: &'a [u8],
    next_at: usize,
    next: u8,
}

/// What can be said of the other parts of a packet by its first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// It is of a packet in clear.
    Clear(Flow),
    /// It is key exchange.
    KeyExchange,
    /// Only the whole packet can tell.
    Protected,
}

/// What became of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was the one that was missing: the packet, and of how many parts it was made.
    Whole(Box<[u8]>, usize),
    /// Others are missing; of the first one this is known, if it has come.
    Waits(Option<First>),
    /// It contradicts the others, or itself: it is dropped, and they are.
    Dropped,
}

#[derive(Debug, Default)]
struct Assembly {
    /// Never overlapping, by where they begin.
    parts: BTreeMap<usize, Box<[u8]>>,
    held: usize,
    /// The end of the last part, when it has come.
    end: Option<usize>,
    head: Option<Box<[u8]>>,
    first: Option<First>,
    /// Whether it may be protected, by its protocol.
    may_hide: bool,
    /// Of which peer it is.
    peer: Option<IpAddr>,
    /// Tells it from others of the same key.
    number: u64,
}

/// Parts that wait for others.
#[derive(Debug, Default)]
pub struct Fragments {
    waiting: HashMap<Key, Assembly>,
    /// In the order in which they began, and when.
    order: VecDeque<(Key, u64, u64)>,
    bytes: usize,
    begun: u64,
    /// The peers of packets that never became whole, and of which nothing was said.
    lost: Vec<Option<IpAddr>>,
}

impl<'a> Part<'a> {
    /// A frame's packet, if it is a part of one and is all there.
    pub(super) fn of(bytes: &'a [u8], dissection: &Dissection, interface: u32) -> Option<Self> {
        if !dissection.is_fragment() {
            return None;
        }
        let layers = dissection.layers();
        let at = layers.iter().position(|layer| layer.header.is_ip())?;
        let (ip, behind) = layers.get(at..)?.split_first()?;
        if ip.flaw.is_some() {
            return None;
        }
        let start = ip.range().start;
        match &ip.header {
            Header::Ipv4(header) if header.more_fragments || header.fragment_offset > 0 => {
                let key = Key {
                    interface,
                    source: header.source.into(),
                    destination: header.destination.into(),
                    protocol: header.protocol.0,
                    identification: header.identification.into(),
                };
                let payload = bytes.get(ip.range().end..start + usize::from(header.total_length))?;
                let offset = usize::from(header.fragment_offset);
                Some(Self {
                    key,
                    range: offset..offset + payload.len(),
                    is_last: !header.more_fragments,
                    bytes: payload,
                    head: bytes.get(ip.range())?,
                    next_at: 9,
                    next: header.protocol.0,
                })
            }
            Header::Ipv6(header) => {
                let passed = |layer: &&Layer| matches!(layer.header, Header::Ipv6Extension(_)) && layer.flaw.is_none();
                let extensions = behind.iter().take_while(passed).count();
                let layer = behind.get(extensions)?;
                let Header::Ipv6Fragment(fragment) = &layer.header else { return None };
                if !fragment.more && fragment.offset == 0
                    || matches!(layer.flaw.as_deref(), Some(Flaw::Truncated { .. }))
                {
                    return None;
                }
                let (source, destination) = ip.header.ip_addresses()?;
                let identification = fragment.identification;
                let end = start + IPV6_HEADER + usize::from(header.payload_length);
                let payload = bytes.get(layer.range().end..end)?;
                let offset = usize::from(fragment.offset);
                // The header before the cut says what follows: IPv6's own, or the last extension's.
                let next_at = extensions.checked_sub(1).and_then(|last| behind.get(last));
                Some(Self {
                    key: Key { interface, source, destination, protocol: 0, identification },
                    range: offset..offset + payload.len(),
                    is_last: !fragment.more,
                    bytes: payload,
                    head: bytes.get(start..layer.range().start)?,
                    next_at: next_at.map_or(6, |layer| layer.range().start - start),
                    next: fragment.next_header.0,
                })
            }
            _ => None,
        }
    }

    /// Which packet it is of.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Whether it is the first.
    pub(super) fn is_first(&self) -> bool {
        self.range.start == 0
    }

    /// Whether behind the protocol that it names there may be ESP, AH or IKE: they themselves, UDP and TCP.
    pub(super) fn may_carry_ipsec(&self) -> bool {
        matches!(self.next, 6 | 17 | 50 | 51)
    }

    /// Whether it can be a part at all: all but the last are cut at units of eight bytes, and the whole is not too long.
    fn is_possible(&self) -> bool {
        let is_cut_right = self.is_last || self.range.end.is_multiple_of(8);
        let own = if self.key.source.is_ipv4() { self.head.len() } else { self.head.len() - IPV6_HEADER };
        !self.range.is_empty() && is_cut_right && own + self.range.end <= LONGEST
    }

    /// The header of the whole packet, but for its length.
    fn whole_head(&self) -> Box<[u8]> {
        let mut head: Box<[u8]> = self.head.into();
        if let Some(next) = head.get_mut(self.next_at) {
            *next = self.next;
        }
        head
    }
}

impl Fragments {
    /// Takes a part of a packet with `peer` in; `first` says what it is if it is the first.
    pub(super) fn take(&mut self, part: &Part<'_>, first: Option<First>, peer: Option<IpAddr>, at_ns: u64) -> Taken {
        if !part.is_possible() {
            self.drop_packet(part.key);
            return Taken::Dropped;
        }
        let before = self.waiting.get(&part.key).map_or(0, Assembly::cost);
        let (begun, order) = (&mut self.begun, &mut self.order);
        let assembly = self.waiting.entry(part.key).or_insert_with(|| {
            *begun += 1;
            order.push_back((part.key, *begun, at_ns));
            Assembly { number: *begun, may_hide: part.may_carry_ipsec(), peer, ..Assembly::default() }
        });
        let is_fine = assembly.add(part, first);
        self.bytes = self.bytes + assembly.cost() - before;
        if !is_fine {
            self.drop_packet(part.key);
            return Taken::Dropped;
        }
        let (whole, known) = (assembly.whole(), assembly.first);
        if let Some((packet, parts)) = whole {
            self.drop_packet(part.key);
            return Taken::Whole(packet, parts);
        }
        self.make_room();
        Taken::Waits(known)
    }

    fn drop_packet(&mut self, key: Key) {
        if let Some(assembly) = self.waiting.remove(&key) {
            self.bytes -= assembly.cost();
        }
    }

    /// Forgets those that were waited for long enough; the peers of all that never became whole since the last time, and
    /// of which nothing was said.
    pub(super) fn forget_old(&mut self, at_ns: u64) -> Vec<Option<IpAddr>> {
        while self.order.front().is_some_and(|(_, _, then)| then.saturating_add(PATIENCE_NS) < at_ns) {
            self.drop_oldest();
        }
        std::mem::take(&mut self.lost)
    }

    fn make_room(&mut self) {
        while self.bytes > MOST_BYTES || self.waiting.len() > MOST_PACKETS {
            self.drop_oldest();
        }
        // Those that became whole or were dropped are still in the order.
        if self.order.len() > 2 * MOST_PACKETS {
            let waiting = &self.waiting;
            self.order.retain(|(key, number, _)| waiting.get(key).is_some_and(|assembly| assembly.number == *number));
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((key, number, _)) = self.order.pop_front()
            && let Some(assembly) = self.waiting.get(&key).filter(|assembly| assembly.number == number)
        {
            if assembly.is_unsaid() {
                self.lost.push(assembly.peer);
            }
            self.drop_packet(key);
        }
    }
}

impl Assembly {
    /// Whether nothing was said of its parts.
    fn is_unsaid(&self) -> bool {
        self.first.map_or(self.may_hide, |first| first == First::Protected)
    }

    fn cost(&self) -> usize {
        self.held + self.head.as_ref().map_or(0, |head| head.len()) + COST * (self.parts.len() + 1)
    }

    /// Adds a part; whether it agrees with the others.
    fn add(&mut self, part: &Part<'_>, first: Option<First>) -> bool {
        let Range { start, end } = part.range;
        let furthest = self.parts.last_key_value().map_or(0, |(start, bytes)| start + bytes.len());
        let agrees = match (self.end, part.is_last) {
            (Some(known), true) => end == known,
            (Some(known), false) => end <= known,
            (None, true) => end >= furthest,
            (None, false) => true,
        };
        if !agrees {
            return false;
        }
        if let Some((before, bytes)) = self.parts.range(..end).next_back()
            && before + bytes.len() > start
        {
            // It came before, alone or in others that lie close together, or it overlaps them.
            return self.covers(start, end);
        }
        if part.is_last {
            self.end = Some(end);
        }
        if part.is_first() {
            (self.head, self.first) = (Some(part.whole_head()), first);
        }
        self.held += part.bytes.len();
        self.parts.insert(start, part.bytes.into());
        true
    }

    /// Whether all bytes of a range have come.
    fn covers(&self, start: usize, end: usize) -> bool {
        let mut reached = match self.parts.range(..=start).next_back() {
            Some((at, bytes)) => at + bytes.len(),
            None => return false,
        };
        while start < reached && reached < end {
            match self.parts.get(&reached) {
                Some(bytes) => reached += bytes.len(),
                None => return false,
            }
        }
        start < reached && reached >= end
    }

    /// The packet, if nothing is missing: its parts do not overlap, so their bytes are counted.
    fn whole(&self) -> Option<(Box<[u8]>, usize)> {
        let head = self.head.as_ref().filter(|_| self.end == Some(self.held))?;
        let mut packet = Vec::with_capacity(head.len() + self.held);
        packet.extend_from_slice(head);
        self.parts.values().for_each(|bytes| packet.extend_from_slice(bytes));
        let is_ipv4 = head.first().is_some_and(|first| first >> 4 == 4);
        let length = if is_ipv4 { packet.len() } else { packet.len() - IPV6_HEADER };
        let length = u16::try_from(length).ok()?.to_be_bytes();
        let length_at = if is_ipv4 { 2 } else { 4 };
        packet.get_mut(length_at..length_at + 2)?.copy_from_slice(&length);
        if is_ipv4 {
            // Flags and offset.
            packet.get_mut(6..8)?.fill(0);
        }
        Some((packet.into(), self.parts.len()))
    }
}

#[cfg(test)]
mod tests;
