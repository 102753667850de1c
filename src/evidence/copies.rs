//! What the kernel decrypts from a tunnel it hands to the interface once more, and a capture sees it a second time, in
//! clear. Such a copy is told from a leak by having seen its encrypted form just before.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::judge::{first_ip, flow};
use crate::model::{Flow, UpperProtocol};
use crate::packet::{Dissection, Header};

/// How many packets are waited for.
const MOST: usize = 1024;
/// How many bytes are decrypted in a second: of ciphers that do some megabytes.
const MOST_BYTES: usize = 256 * 1024;
/// How long: the kernel needs microseconds, a busy capture may need more.
const PATIENCE_NS: u64 = 2_000_000_000;
/// Longer than it takes from a tunnel's packet to what was inside.
pub(super) const OPENING_NS: u64 = 10_000_000;

/// The packets that came out of inbound tunnels lately.
#[derive(Debug, Default)]
pub struct Copies {
    expected: VecDeque<Expected>,
    /// Whether one of them was protected itself.
    has_protected: bool,
    /// When packets came out of tunnels that could not be opened here.
    unopened: VecDeque<u64>,
    /// What is decrypted with slow ciphers.
    slow: Budget,
    /// The flow of the packet that came out of a tunnel last.
    pub newest: Option<Flow>,
    /// When a packet of a flow last came out of a tunnel.
    flows: HashMap<Flow, u64>,
    /// Until when that may be shown of which the tunnel's packet came before anybody watched.
    unwatched_until: u64,
}

/// How much may be decrypted beside what somebody looks at: so much in a second, whatever comes.
#[derive(Debug, Default)]
pub struct Budget {
    second: u64,
    used: usize,
}

impl Budget {
    /// Whether so many bytes may be decrypted; they are counted.
    pub fn spend(&mut self, bytes: usize, at_ns: u64) -> bool {
        let second = at_ns / 1_000_000_000;
        if self.second != second {
            *self = Self { second, used: 0 };
        }
        let may = self.used + bytes <= MOST_BYTES;
        self.used += if may { bytes } else { 0 };
        may
    }
}

/// What is remembered of a packet that came out of a tunnel.
#[derive(Debug)]
struct Expected {
    at_ns: u64,
    /// Of all that is not a segment's data.
    head: u64,
    /// Of a segment's data.
    data: u64,
    /// If it is a segment of TCP: of which flow, and which bytes of the stream it has.
    segment: Option<(Flow, u32, usize)>,
}

/// A packet as it is compared.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    head: &'a [u8],
    /// Where in it TCP begins.
    tcp_at: usize,
    flow: Option<Flow>,
    /// A segment's data, and its number in the stream; of all else nothing.
    data: &'a [u8],
    sequence: u32,
}

impl<'a> Shown<'a> {
    /// The first packet of what was taken apart, without what fills the frame or the tunnel behind it.
    pub fn of(bytes: &'a [u8], dissection: &Dissection) -> Option<Self> {
        let packet = first_ip(dissection)?;
        // What comes out of a tunnel came in no matter where.
        let flow = flow(bytes, dissection, 0);
        let tcp = dissection.layers().iter().find_map(|layer| match &layer.header {
            Header::Tcp(tcp) => Some((tcp.sequence, layer.range())),
            _ => None,
        });
        let tcp = tcp.filter(|_| flow.is_some_and(|flow| flow.protocol == UpperProtocol::TCP));
        let (sequence, tcp) = tcp.unwrap_or((0, packet.end..packet.end));
        let (head, data) = (bytes.get(packet.start..tcp.end)?, bytes.get(tcp.end..packet.end)?);
        Some(Self { head, tcp_at: tcp.start.saturating_sub(packet.start), flow, data, sequence })
    }

    fn segment(&self) -> Option<(Flow, u32, usize)> {
        let flow = self.flow.filter(|_| !self.data.is_empty())?;
        Some((flow, self.sequence, self.data.len()))
    }
}

impl Copies {
    /// A packet came out of a tunnel.
    pub fn expect(&mut self, packet: Shown<'_>, at_ns: u64) {
        if self.expected.len() == MOST {
            self.expected.pop_front();
        }
        let (head, data) = (print_of_head(&packet), print(packet.data));
        self.expected.push_back(Expected { at_ns, head, data, segment: packet.segment() });
        if let Some(flow) = packet.flow {
            self.expect_flow(flow, at_ns);
        }
    }

    /// How many are expected.
    pub fn expected(&self) -> usize {
        self.expected.len()
    }

    /// Expects no more than so many of them, the oldest.
    pub fn forget_newest(&mut self, count: usize) {
        self.expected.truncate(count);
    }

    /// One that came out of a tunnel was protected itself.
    pub fn expect_protected(&mut self) {
        self.has_protected = true;
    }

    /// Whether one that is protected itself may be expected: who has no tunnels in each other need not compare.
    pub fn has_protected(&self) -> bool {
        self.has_protected
    }

    /// Whether so many bytes may be decrypted with a slow cipher for a copy's sake; they are counted.
    pub fn may_open(&mut self, bytes: usize, at_ns: u64) -> bool {
        self.slow.spend(bytes, at_ns)
    }

    /// A packet of this flow came out of a tunnel.
    fn expect_flow(&mut self, flow: Flow, at_ns: u64) {
        self.newest = Some(flow);
        if self.flows.len() >= MOST {
            self.flows.retain(|_, then| then.saturating_add(PATIENCE_NS) >= at_ns);
            if self.flows.len() >= MOST {
                self.flows.clear();
            }
        }
        self.flows.insert(flow, at_ns);
    }

    /// Whether packets of this flow came out of a tunnel just now: where one of them was not seen, what is joined of it
    /// and others is no copy of those that were.
    pub fn has_flow(&self, flow: &Flow, at_ns: u64) -> bool {
        self.flows.get(flow).is_some_and(|then| then.saturating_add(PATIENCE_NS) >= at_ns)
    }

    /// From now on packets are watched.
    pub fn begin(&mut self, at_ns: u64) {
        self.unwatched_until = at_ns.saturating_add(OPENING_NS);
    }

    /// Whether a packet of this time may have come out of a tunnel before anybody watched.
    pub fn is_from_before(&self, at_ns: u64) -> bool {
        at_ns < self.unwatched_until
    }

    /// A packet came out of a tunnel, and nobody knows which.
    pub fn expect_unopened(&mut self, at_ns: u64) {
        if self.unopened.len() == MOST {
            self.unopened.pop_front();
        }
        self.unopened.push_back(at_ns);
    }

    /// Whether a packet came out of a tunnel lately that may have been this one.
    pub fn take_unopened(&mut self, at_ns: u64) -> bool {
        while self.unopened.front().is_some_and(|then| then.saturating_add(PATIENCE_NS) < at_ns) {
            self.unopened.pop_front();
        }
        self.unopened.pop_front().is_some()
    }

    /// Whether this packet is the copy of one that came out of a tunnel, or of several that generic receive offload
    /// joined. Each is believed once: who sends the same in clear again is not.
    pub fn take(&mut self, packet: Shown<'_>, at_ns: u64) -> bool {
        while self.expected.front().is_some_and(|first| first.at_ns.saturating_add(PATIENCE_NS) < at_ns) {
            self.expected.pop_front();
        }
        if self.expected.is_empty() {
            self.has_protected = false;
            return false;
        }
        let (head, data) = (print_of_head(&packet), print(packet.data));
        let place = self.expected.iter().position(|other| (other.head, other.data) == (head, data));
        match place {
            Some(place) => self.expected.remove(place).is_some(),
            None => self.take_joined(packet, head),
        }
    }

    /// Whether its data is that of segments which follow one another, and nothing else, and its head that of the first.
    fn take_joined(&mut self, packet: Shown<'_>, head: u64) -> bool {
        let Some((flow, mut sequence, _)) = packet.segment() else { return false };
        let mut rest = packet.data;
        let mut places = Vec::new();
        while !rest.is_empty() {
            let next = self.expected.iter().enumerate().find_map(|(place, expected)| {
                let (_, _, length) = expected.segment.filter(|(of, at, _)| (*of, *at) == (flow, sequence))?;
                let (data, behind) = rest.split_at_checked(length)?;
                let is_it = (!places.is_empty() || expected.head == head) && expected.data == print(data);
                is_it.then_some((place, length, behind))
            });
            let Some((place, length, behind)) = next else { return false };
            (rest, sequence) = (behind, sequence.wrapping_add(u32::try_from(length).unwrap_or(0)));
            places.push(place);
        }
        places.sort_unstable();
        for place in places.iter().rev() {
            self.expected.remove(*place);
        }
        true
    }
}

fn print(bytes: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Of a packet's head without what decapsulation changes: the type of service (RFC 6040) and, with it, the checksum. Of a
/// segment with data also without what joining it with others changes: the lengths, and of TCP the flags and the checksum
/// (`tcp_gro_receive`, `inet_gro_complete`).
fn print_of_head(Shown { head, tcp_at, data, .. }: &Shown<'_>) -> u64 {
    let (ip, tcp) = head.split_at_checked(*tcp_at).unwrap_or((head, &[]));
    let length = if data.is_empty() { 2 } else { 0 };
    let ip = match ip.first().map(|byte| byte >> 4) {
        Some(4) => (ip.get(4 - length..10), ip.get(12..)),
        _ => (ip.get(6 - length..), None),
    };
    let tcp = if data.is_empty() { [Some(tcp), None, None] } else { [tcp.get(..13), tcp.get(14..16), tcp.get(18..)] };
    print((ip, tcp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::dissect_above_ip;

    fn shown(packet: &[u8]) -> Shown<'_> {
        Shown::of(packet, &dissect_above_ip(4, packet)).unwrap()
    }

    #[test]
    fn a_copy_is_believed_once_and_soon() {
        let mut copies = Copies::default();
        let mut packet = vec![0x45, 0, 0, 24, 0, 1, 0, 0, 64, 47, 1, 2, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 3, 4];
        copies.expect(shown(&packet), 1000);
        let other = [&packet[..23], &[9]].concat();
        assert!(!copies.take(shown(&other), 2000));
        // Congestion was marked on the way.
        (packet[1], packet[10]) = (3, 9);
        assert!(copies.take(shown(&packet), 2000) && !copies.take(shown(&packet), 3000));
        copies.expect(shown(&packet), 1000);
        assert!(!copies.take(shown(&packet), 1000 + PATIENCE_NS + 1));
    }
}
