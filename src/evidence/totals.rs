//! How many frames were protected, and how many were not.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Verdict;

/// How many peers are counted apart; others are counted together.
const MOST_PEERS: usize = 4096;

/// Frames by what they prove. Key exchange, copies and what is no IP count nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Authentic ESP or AH.
    pub protected: u64,
    /// In clear, and that is allowed.
    pub clear: u64,
    /// In clear, and that is forbidden.
    pub forbidden: u64,
    /// Protected by the look of it, but not proven, or proven to be wrong.
    pub undecided: u64,
}

impl Sums {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            _ if verdict.is_protected() => self.protected += 1,
            Verdict::Clear => self.clear += 1,
            Verdict::ClearForbidden => self.forbidden += 1,
            Verdict::Copy | Verdict::Ike | Verdict::Other => {}
            _ => self.undecided += 1,
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
        self.all.count(verdict);
        if let Some(peer) = peer
            && (self.peers.len() < MOST_PEERS || self.peers.contains_key(&peer))
        {
            self.peers.entry(peer).or_default().count(verdict);
        }
    }

    /// The sums of the frames with a peer.
    pub fn of(&self, peer: IpAddr) -> Sums {
        self.peers.get(&peer).copied().unwrap_or_default()
    }

    /// The peers with their sums, the ones that matter most first: forbidden, then undecided, then the busiest.
    pub fn peers(&self) -> Vec<(IpAddr, Sums)> {
        let mut peers: Vec<(IpAddr, Sums)> = self.peers.iter().map(|(peer, sums)| (*peer, *sums)).collect();
        let weight = |sums: &Sums| (sums.forbidden, sums.undecided, sums.protected + sums.clear);
        peers.sort_by(|(a, left), (b, right)| weight(right).cmp(&weight(left)).then_with(|| a.cmp(b)));
        peers
    }
}
