//! The SAs that frames may belong to: those that there are, and for a while those that there were, so that frames
//! around a rekeying can still be read.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::IpAddr;

use super::Evidence;
use super::sequence::{Seen, Step};
use crate::crypto::{AhTransform, EspTransform, Unready, ipcomp, sequence};
use crate::model::{Algorithms, IpsecProtocol, Mode, ReqId, Sa, SaId, SaSpec, Spi};
use crate::packet::{Dissection, IpsecHeader};

/// How many SAs that are gone are remembered.
const MOST_GONE: usize = 4096;
/// The kernel tells when an SA was added in whole seconds: it is also good for frames of this long before.
const SLACK_NS: u64 = 2_000_000_000;
/// On how many interfaces the numbers of one SA are followed.
const MOST_PLACES: usize = 8;

/// An SA that frames may belong to.
pub struct Known {
    /// Which one; never used twice.
    pub serial: u64,
    /// Its name.
    pub id: SaId,
    /// Where its packets come from.
    pub source: IpAddr,
    /// How it wraps packets.
    pub mode: Mode,
    /// What ties it to policies.
    pub reqid: ReqId,
    /// Its algorithms.
    pub algorithms: Algorithms,
    /// Whether it is there no more.
    pub is_gone: bool,
    extended: bool,
    from_ns: u64,
    until_ns: Option<u64>,
    /// The kernel's highest counter, sent or received.
    counter: u64,
    prepared: OnceCell<Result<Prepared, Unready>>,
    seen: Vec<(u32, Seen)>,
}

/// Keys, made ready for packets.
pub(super) enum Prepared {
    Esp(EspTransform),
    Ah(AhTransform),
    Comp,
}

impl Known {
    /// Keys, made ready when they are first asked for.
    pub(super) fn prepared(&self) -> &Result<Prepared, Unready> {
        self.prepared.get_or_init(|| match self.id.protocol {
            IpsecProtocol::Esp => EspTransform::new(&self.algorithms, self.extended).map(Prepared::Esp),
            IpsecProtocol::Ah => AhTransform::new(&self.algorithms, self.extended).map(Prepared::Ah),
            IpsecProtocol::Comp => ipcomp::ready(&self.algorithms).map(|()| Prepared::Comp),
            _ => Err(Unready::NoAlgorithm),
        })
    }

    /// Whether it hides what it carries.
    pub(super) fn encrypts(&self) -> bool {
        let name = |name: &str| name != "ecb(cipher_null)" && name != "cipher_null" && name != "rfc4543(gcm(aes))";
        match (&self.algorithms.aead, &self.algorithms.encryption) {
            (Some(transform), _) | (None, Some(transform)) => name(transform.name.kernel()),
            (None, None) => false,
        }
    }

    /// The whole sequence number of a packet that carries its lower half.
    pub(super) fn sequence(&self, low: u32) -> u64 {
        if !self.extended {
            return low.into();
        }
        let seen = self.seen.iter().filter_map(|(_, seen)| seen.highest()).max();
        sequence::extended(seen.unwrap_or(0).max(self.counter), low)
    }

    fn was_there(&self, at_ns: u64) -> bool {
        let came = self.from_ns.saturating_sub(SLACK_NS) <= at_ns;
        // The news that it is gone comes after it went: later frames never belonged to it.
        came && self.until_ns.is_none_or(|until| at_ns <= until)
    }
}

/// The SAs, by the numbers that packets name them by.
#[derive(Default)]
pub struct SaMemory {
    known: HashMap<u64, Known>,
    by_spi: HashMap<Spi, Vec<u64>>,
    live: HashMap<SaId, u64>,
    gone: VecDeque<u64>,
    /// Whether there is or was an IPComp SA that makes tunnels.
    compresses_tunnels: bool,
    next_serial: u64,
}

impl fmt::Debug for SaMemory {
    /// Counts alone: it holds keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaMemory({} live, {} gone)", self.live.len(), self.gone.len())
    }
}

impl SaMemory {
    /// Takes an SA in: a new one, or one that has changed. `at_ns` is when that was heard of.
    pub fn learn(&mut self, sa: &Sa, at_ns: u64) {
        let counter = sa.replay.sent.max(sa.replay.received);
        if let Some(known) = self.live.get(&sa.id()).and_then(|serial| self.known.get_mut(serial)) {
            if known.algorithms == sa.algorithms && known.extended == sa.flags.esn() {
                known.counter = known.counter.max(counter);
                return;
            }
            self.forget(&sa.id(), at_ns);
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        let known = Known {
            serial,
            id: sa.id(),
            source: sa.source,
            mode: sa.mode,
            reqid: sa.reqid,
            algorithms: sa.algorithms.clone(),
            is_gone: false,
            extended: sa.flags.esn(),
            from_ns: sa.used.added_at.saturating_mul(1_000_000_000),
            until_ns: None,
            counter,
            prepared: OnceCell::new(),
            seen: Vec::new(),
        };
        self.compresses_tunnels |= known.id.protocol == IpsecProtocol::Comp && known.mode == Mode::Tunnel;
        self.live.insert(known.id, serial);
        self.by_spi.entry(known.id.spi).or_default().push(serial);
        self.known.insert(serial, known);
    }

    /// The SAs that a frame names and that are not in `told` yet, with the upper half of the sequence number that each
    /// has in this frame, where it has one.
    pub fn named_first(
        &self,
        evidence: &Evidence,
        dissection: &Dissection,
        told: &mut HashSet<u64>,
    ) -> Vec<(SaSpec, Option<u32>)> {
        let named = evidence.sas.iter().zip(dissection.ipsec());
        let news = named.filter_map(|(serial, header)| Some(((*serial)?, header))).filter(|(s, _)| told.insert(*s));
        let spec = |(known, header): (&Known, IpsecHeader)| {
            let mut spec = SaSpec::new(known.source, known.id.destination, known.id.protocol, known.id.spi);
            spec.mode = known.mode;
            spec.algorithms = known.algorithms.clone();
            let high = || u32::try_from(known.sequence(header.sequence.unwrap_or(0)) >> 32).unwrap_or(u32::MAX);
            (spec, known.extended.then(high))
        };
        news.filter_map(|(serial, header)| Some((self.known.get(&serial)?, header))).map(spec).collect()
    }

    /// Renews what the kernel says of an SA's sequence numbers.
    pub fn count(&mut self, id: &SaId, highest: u64) {
        if let Some(known) = self.live.get(id).and_then(|serial| self.known.get_mut(serial)) {
            known.counter = known.counter.max(highest);
        }
    }

    /// An SA is gone; it is remembered for a while.
    pub fn forget(&mut self, id: &SaId, at_ns: u64) {
        let Some(serial) = self.live.remove(id) else {
            return;
        };
        if let Some(known) = self.known.get_mut(&serial) {
            (known.until_ns, known.is_gone) = (Some(at_ns), true);
        }
        self.gone.push_back(serial);
        while self.gone.len() > MOST_GONE {
            self.drop_oldest();
        }
    }

    /// A flush took all SAs of a protocol.
    pub fn flush(&mut self, protocol: IpsecProtocol, at_ns: u64) {
        let taken: Vec<SaId> = self.live.keys().filter(|id| protocol.flushes(id.protocol)).copied().collect();
        for id in taken {
            self.forget(&id, at_ns);
        }
    }

    /// These are all SAs that there are; others are gone.
    pub fn replace<'a>(&mut self, sas: impl Iterator<Item = &'a Sa>, at_ns: u64) {
        let mut missing: HashSet<SaId> = self.live.keys().copied().collect();
        for sa in sas {
            missing.remove(&sa.id());
            self.learn(sa, at_ns);
        }
        for id in missing {
            self.forget(&id, at_ns);
        }
    }

    /// Forgets the keys of SAs that went before this time.
    pub fn forget_gone_before(&mut self, at_ns: u64) {
        while let Some(oldest) = self.gone.front().and_then(|serial| self.known.get(serial)) {
            if oldest.until_ns.is_some_and(|until| until >= at_ns) {
                break;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.gone.pop_front() else {
            return;
        };
        if let Some(known) = self.known.remove(&oldest)
            && let Some(serials) = self.by_spi.get_mut(&known.id.spi)
        {
            serials.retain(|serial| *serial != oldest);
            if serials.is_empty() {
                self.by_spi.remove(&known.id.spi);
            }
        }
    }

    /// Whether a packet of this SA may carry whole packets: the tunnel may be IPComp's, and ESP or AH in transport mode
    /// around it.
    pub(super) fn may_carry_packets(&self, known: &Known) -> bool {
        known.mode == Mode::Tunnel || self.compresses_tunnels
    }

    /// The SA of this serial number, while it is remembered.
    pub fn get(&self, serial: u64) -> Option<&Known> {
        self.known.get(&serial)
    }

    /// Whether an SA of this name is known, at whatever time.
    pub fn names(&self, destination: IpAddr, protocol: IpsecProtocol, spi: Spi) -> bool {
        let serials = self.by_spi.get(&spi).into_iter().flatten();
        serials
            .filter_map(|serial| self.known.get(serial))
            .any(|known| known.id.destination == destination && known.id.protocol == protocol)
    }

    /// The newest SA that a header of a packet of this time can name.
    pub fn of_header(&self, header: &IpsecHeader, at_ns: u64) -> Option<&Known> {
        self.of_packet(header.destination, header.protocol, header.spi, at_ns).next()
    }

    /// The SAs that a packet of this time can belong to, the newest first.
    pub(super) fn of_packet(
        &self,
        destination: IpAddr,
        protocol: IpsecProtocol,
        spi: Spi,
        at_ns: u64,
    ) -> impl Iterator<Item = &Known> {
        let serials = self.by_spi.get(&spi).into_iter().flatten().rev();
        serials.filter_map(|serial| self.known.get(serial)).filter(move |known| {
            known.id.destination == destination && known.id.protocol == protocol && known.was_there(at_ns)
        })
    }

    /// Takes the sequence number of an authentic packet in.
    pub(super) fn take(&mut self, serial: u64, place: u32, number: u64) -> Step {
        let Some(known) = self.known.get_mut(&serial) else {
            return Step::Fine;
        };
        let at = known.seen.iter().position(|(other, _)| *other == place).unwrap_or_else(|| {
            if known.seen.len() == MOST_PLACES {
                known.seen.remove(0);
            }
            known.seen.push((place, Seen::default()));
            known.seen.len() - 1
        });
        known.seen.get_mut(at).map_or(Step::Fine, |(_, seen)| seen.take(number))
    }
}
