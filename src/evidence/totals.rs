//! How many frames were protected, and how many were not.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Verdict;

/// How many peers are counted apart; others are counted together.
const MOST_PEERS: usize = 4096;

/// Frames by what they prove. Key exchange, copies and what is no IP count nowhere; parts of packets count once: with the
/// frame that completes them, or as undecided when that has not come for half a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Authentic ESP or AH, as much as the policies demand.
    pub protected: u64,
    /// Authentic, but a policy demands more.
    pub weak: u64,
    /// In clear, and that is allowed.
    pub clear: u64,
    /// In clear, and that is forbidden.
    pub forbidden: u64,
    /// Protected by the look of it, but not proven, or proven to be wrong.
    pub undecided: u64,
}

impl Sums {
    /// Those of which there are any, `3 clear, 12 protected`, with the numbers in these words. What matters most comes
    /// first: in a narrow window the rest may have no room.
    pub fn words(&self, number: fn(u64) -> String) -> String {
        let sums = [
            (self.forbidden, "CLEAR !"),
            (self.weak, "WEAK !"),
            (self.clear, "clear"),
            (self.undecided, "undecided"),
            (self.protected, "protected"),
        ];
        let words = sums.into_iter().filter(|(count, _)| *count > 0);
        words.map(|(count, word)| format!("{} {word}", number(count))).collect::<Vec<_>>().join(", ")
    }

    /// The sum that a verdict counts in.
    fn of(&mut self, verdict: Verdict) -> Option<&mut u64> {
        match verdict {
            _ if verdict.is_protected() => Some(&mut self.protected),
            Verdict::Weak => Some(&mut self.weak),
            Verdict::Clear => Some(&mut self.clear),
            Verdict::ClearForbidden => Some(&mut self.forbidden),
            Verdict::Copy | Verdict::Ike | Verdict::Part | Verdict::Other => None,
            _ => Some(&mut self.undecided),
        }
    }
}

/// The sums of all frames, and of those with each peer.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Of all frames.
    pub all: Sums,
    peers: HashMap<IpAddr, Sums>,
}

impl Totals {
    /// Counts a frame.
    pub fn count(&mut self, verdict: Verdict, peer: Option<IpAddr>) {
        if let Some(sum) = self.all.of(verdict) {
            *sum += 1;
        }
        if let Some(peer) = peer.filter(|_| Sums::default().of(verdict).is_some())
            && (self.peers.len() < MOST_PEERS || self.peers.contains_key(&peer))
            && let Some(sum) = self.peers.entry(peer).or_default().of(verdict)
        {
            *sum += 1;
        }
    }

    /// Counts a frame no more that was counted.
    pub(super) fn take_back(&mut self, verdict: Verdict, peer: Option<IpAddr>) {
        let of_peer = peer.and_then(|peer| self.peers.get_mut(&peer));
        for sum in [Some(&mut self.all), of_peer].into_iter().flatten().filter_map(|sums| sums.of(verdict)) {
            *sum = sum.saturating_sub(1);
        }
    }

    /// The sums of the frames with a peer.
    pub fn of(&self, peer: IpAddr) -> Sums {
        self.peers.get(&peer).copied().unwrap_or_default()
    }

    /// The peers with their sums, the ones that matter most first: forbidden, weak, undecided, then the busiest.
    pub fn peers(&self) -> Vec<(IpAddr, Sums)> {
        let mut peers: Vec<(IpAddr, Sums)> = self.peers.iter().map(|(peer, sums)| (*peer, *sums)).collect();
        let weight = |sums: &Sums| (sums.forbidden, sums.weak, sums.undecided, sums.protected + sums.clear);
        peers.sort_by(|(a, left), (b, right)| weight(right).cmp(&weight(left)).then_with(|| a.cmp(b)));
        peers
    }
}
