//! What the kernel decrypts from a tunnel it hands to the interface once more, and a capture sees it a second time, in
//! clear. Such a copy is told from a leak by having seen its encrypted form just before.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::Flow;

/// How many packets are waited for.
const MOST: usize = 1024;
/// How many bytes are decrypted in a second with ciphers that do some megabytes.
const MOST_SLOW_BYTES: usize = 256 * 1024;
/// How long: the kernel needs microseconds, a busy capture may need more.
const PATIENCE_NS: u64 = 2_000_000_000;

/// The packets that came out of inbound tunnels lately.
#[derive(Debug, Default)]
pub struct Copies {
    expected: VecDeque<(u64, u64)>,
    /// Whether one of them was protected itself.
    has_protected: bool,
    /// When packets came out of tunnels that could not be opened here.
    unopened: VecDeque<u64>,
    /// The second of the last decryption with a slow cipher, and the bytes of that second.
    slow: (u64, usize),
    /// The flow of the packet that came out of a tunnel last.
    pub newest: Option<Flow>,
    /// When a packet of a flow last came out of a tunnel.
    flows: HashMap<Flow, u64>,
}

impl Copies {
    /// A packet came out of a tunnel.
    pub fn expect(&mut self, packet: &[u8], at_ns: u64) {
        if self.expected.len() == MOST {
            self.expected.pop_front();
        }
        self.expected.push_back((fingerprint(packet), at_ns));
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
        let second = at_ns / 1_000_000_000;
        let used = if self.slow.0 == second { self.slow.1 } else { 0 };
        let may = used + bytes <= MOST_SLOW_BYTES;
        self.slow = (second, used + if may { bytes } else { 0 });
        may
    }

    /// A packet of this flow came out of a tunnel.
    pub fn expect_flow(&mut self, flow: Flow, at_ns: u64) {
        self.newest = Some(flow);
        if self.flows.len() >= MOST {
            self.flows.retain(|_, then| then.saturating_add(PATIENCE_NS) >= at_ns);
            if self.flows.len() >= MOST {
                self.flows.clear();
            }
        }
        self.flows.insert(flow, at_ns);
    }

    /// Whether packets of this flow came out of a tunnel just now. Generic receive offload joins several of them before
    /// they are shown again, so that their copy is none of them.
    pub fn has_flow(&self, flow: &Flow, at_ns: u64) -> bool {
        self.flows.get(flow).is_some_and(|then| then.saturating_add(PATIENCE_NS) >= at_ns)
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

    /// Whether this packet is the copy of one that came out of a tunnel. Each is believed once: who sends the same in
    /// clear again is not.
    pub fn take(&mut self, packet: &[u8], at_ns: u64) -> bool {
        while self.expected.front().is_some_and(|(_, then)| then.saturating_add(PATIENCE_NS) < at_ns) {
            self.expected.pop_front();
        }
        if self.expected.is_empty() {
            self.has_protected = false;
            return false;
        }
        let print = fingerprint(packet);
        let place = self.expected.iter().position(|(other, _)| *other == print);
        place.and_then(|place| self.expected.remove(place)).is_some()
    }
}

/// The packet without what decapsulation changes: the type of service (RFC 6040) and, with it, the checksum.
fn fingerprint(packet: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => {
            packet.get(2..10).hash(&mut hasher);
            packet.get(12..).hash(&mut hasher);
        }
        _ => packet.get(4..).hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_believed_once_and_soon() {
        let mut copies = Copies::default();
        let mut packet = vec![0x45, 0, 0, 24, 0, 1, 0, 0, 64, 17, 1, 2, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 3, 4];
        copies.expect(&packet, 1000);
        let other = [&packet[..23], &[9]].concat();
        assert!(!copies.take(&other, 2000));
        // Congestion was marked on the way.
        (packet[1], packet[10]) = (3, 9);
        assert!(copies.take(&packet, 2000) && !copies.take(&packet, 3000));
        copies.expect(&packet, 1000);
        assert!(!copies.take(&packet, 1000 + PATIENCE_NS + 1));
    }
}
