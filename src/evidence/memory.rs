//! The SAs that frames may belong to: those that there are, and for a while those that there were, so that frames
//! around a rekeying can still be read.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::keys::{GivenKeys, Trial};
use super::sequence::{Seen, Step};
use super::{Evidence, Finding};
use crate::crypto::{AhTransform, EspTransform, Unready, ipcomp, sequence};
use crate::model::extras::Encapsulation;
use crate::model::{Algorithms, Flow, IfId, IpsecProtocol, Mode, ReqId, Sa, SaId, SaSpec, Spi, UpperProtocol};
use crate::packet::{Dissection, Encapsulations, IpsecHeader, LinkType};

/// How many SAs that are gone are remembered.
const MOST_GONE: usize = 4096;
/// How many SAs are drawn from given keys and remembered.
const MOST_DRAWN: usize = 4096;
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
    /// The xfrm interface that it belongs to; 0 for none.
    pub if_id: IfId,
    /// Its algorithms.
    pub algorithms: Algorithms,
    /// Whether it is there no more.
    pub is_gone: bool,
    pub(super) extended: bool,
    /// How many sequence numbers back its receiver takes packets; 0 if it does not look.
    pub(super) window: u32,
    from_ns: u64,
    until_ns: Option<u64>,
    /// The kernel's highest counter, sent or received.
    counter: u64,
    encapsulated: Option<Flow>,
    prepared: OnceCell<Preparation>,
    seen: Vec<(u32, Seen)>,
    /// When it was last of use, in frames; of SAs drawn from given keys alone.
    used: u64,
}

/// Keys, made ready for packets.
pub(super) enum Prepared {
    Esp(EspTransform),
    Ah(AhTransform),
    Comp,
}

/// They, or why they cannot be.
pub(super) type Preparation = Result<Arc<Prepared>, Unready>;

/// Makes keys ready.
pub(super) fn prepare(protocol: IpsecProtocol, algorithms: &Algorithms, extended: bool) -> Preparation {
    let prepared = match protocol {
        IpsecProtocol::Esp => EspTransform::new(algorithms, extended).map(Prepared::Esp),
        IpsecProtocol::Ah => AhTransform::new(algorithms, extended).map(Prepared::Ah),
        IpsecProtocol::Comp => ipcomp::ready(algorithms).map(|()| Prepared::Comp),
        _ => Err(Unready::NoAlgorithm),
    };
    prepared.map(Arc::new)
}

/// Whether algorithms hide what they are applied to.
pub(super) fn encrypts(algorithms: &Algorithms) -> bool {
    let name = |name: &str| name != "ecb(cipher_null)" && name != "cipher_null" && name != "rfc4543(gcm(aes))";
    match (&algorithms.aead, &algorithms.encryption) {
        (Some(transform), _) | (None, Some(transform)) => name(transform.name.kernel()),
        (None, None) => false,
    }
}

impl Known {
    /// An SA as it was told of.
    fn of(sa: &Sa, serial: u64) -> Self {
        Self {
            serial,
            id: sa.id(),
            source: sa.source,
            mode: sa.mode,
            reqid: sa.reqid,
            if_id: sa.if_id.unwrap_or(IfId(0)),
            algorithms: sa.algorithms.clone(),
            is_gone: false,
            extended: sa.flags.esn(),
            window: sa.replay.window,
            from_ns: sa.used.added_at.saturating_mul(1_000_000_000),
            until_ns: None,
            counter: sa.replay.sent.max(sa.replay.received),
            encapsulated: encapsulated(sa),
            prepared: OnceCell::new(),
            seen: Vec::new(),
            used: 0,
        }
    }

    /// Keys, made ready when they are first asked for.
    pub(super) fn prepared(&self) -> &Preparation {
        self.prepared.get_or_init(|| prepare(self.id.protocol, &self.algorithms, self.extended))
    }

    /// Whether the kernel told of it without its key.
    pub(super) fn is_hidden(&self) -> bool {
        matches!(self.prepared(), Err(Unready::KeyHidden(_)))
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
    /// In which flows SAs send their packets.
    encapsulations: Encapsulations,
    /// Whether there are SAs that nobody may read.
    unreadable: bool,
    given: GivenKeys,
    /// The SAs that were drawn from given keys, and when each was last looked at for whether it is of use.
    drawn: VecDeque<(u64, u64)>,
    /// The frames that were of use to a drawn SA.
    used: u64,
    next_serial: u64,
}

impl fmt::Debug for SaMemory {
    /// Counts alone: it holds keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaMemory({} live, {} gone, {} drawn)", self.live.len(), self.gone.len(), self.drawn.len())
    }
}

impl SaMemory {
    /// Takes an SA in: a new one, or one that has changed. `at_ns` is when that was heard of.
    pub fn learn(&mut self, sa: &Sa, at_ns: u64) {
        if let Some(known) = self.live.get(&sa.id()).and_then(|serial| self.known.get_mut(serial)) {
            let is_same = known.algorithms == sa.algorithms && known.extended == sa.flags.esn();
            if is_same && known.encapsulated == encapsulated(sa) {
                known.counter = known.counter.max(sa.replay.sent).max(sa.replay.received);
                known.window = sa.replay.window;
                return;
            }
            self.forget(&sa.id(), at_ns);
        }
        let known = Known::of(sa, self.next_serial);
        self.live.insert(known.id, known.serial);
        self.insert(known);
    }

    fn insert(&mut self, known: Known) {
        self.next_serial = known.serial + 1;
        self.compresses_tunnels |= known.id.protocol == IpsecProtocol::Comp && known.mode == Mode::Tunnel;
        if let Some(flow) = known.encapsulated {
            self.encapsulations.add(flow);
        }
        self.by_spi.entry(known.id.spi).or_default().push(known.serial);
        self.known.insert(known.serial, known);
    }

    /// The kernel's SAs may not be read: until [`Self::replace`] tells of them, a packet without an SA proves nothing.
    pub fn set_unreadable(&mut self) {
        self.unreadable = true;
    }

    /// Whether there are SAs that nobody may read.
    pub(super) fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// Takes an SA in of which somebody else told, with its key: it is asked where the kernel's own cannot say. What
    /// becomes of the kernel's SAs does not change it.
    pub fn give(&mut self, sa: Sa) {
        if let Some(flow) = encapsulated(&sa) {
            self.encapsulations.add(flow);
        }
        self.compresses_tunnels |= sa.protocol == IpsecProtocol::Comp && sa.mode == Mode::Tunnel;
        let (protocol, spi, destination) = (sa.protocol, sa.spi, sa.destination);
        let fits = move |header: &IpsecHeader| (header.protocol, header.destination) == (protocol, destination);
        self.given.add(sa, Some(spi), Box::new(fits));
    }

    /// The same for whatever SAs `fits` is true of, all of this SPI if there is one. Of `sa` counts all but its ends and
    /// its number.
    pub fn give_for(&mut self, sa: Sa, spi: Option<Spi>, fits: impl Fn(&IpsecHeader) -> bool + Send + 'static) {
        self.given.add(sa, spi, Box::new(fits));
    }

    /// What can be tried on a packet that no SA has explained.
    pub(super) fn trials(&self, header: &IpsecHeader, at_ns: u64) -> Vec<Trial> {
        if self.given.is_empty() {
            return Vec::new();
        }
        self.given.trials(header, self.hidden(header, at_ns))
    }

    /// The kernel's SA for a packet, if its key is hidden.
    fn hidden(&self, header: &IpsecHeader, at_ns: u64) -> Option<&Known> {
        self.of_packet(header.destination, header.protocol, header.spi, at_ns).find(|known| known.is_hidden())
    }

    /// What the SA will be called that is drawn next.
    pub(super) fn next_serial(&self) -> u64 {
        self.next_serial
    }

    /// An SA for a packet, drawn from the key that is right for it. What the kernel says of it beside the key counts.
    pub(super) fn draw(&mut self, trial: &Trial, header: &IpsecHeader, at_ns: u64) -> Option<u64> {
        let mut known = Known::of(&self.given.draw(trial, header)?, self.next_serial);
        if let Some(hidden) = self.hidden(header, at_ns) {
            known.source = hidden.source;
            (known.mode, known.reqid, known.if_id, known.window) =
                (hidden.mode, hidden.reqid, hidden.if_id, hidden.window);
        }
        (known.extended, known.counter) = (trial.extended, trial.sequence);
        known.prepared = OnceCell::from(trial.prepared.clone());
        // Its row has counted it.
        (known.from_ns, known.encapsulated) = (0, None);
        let serial = known.serial;
        self.insert(known);
        self.drawn.push_back((serial, 0));
        while self.drawn.len() > MOST_DRAWN {
            self.drop_drawn();
        }
        Some(serial)
    }

    /// Forgets the SA that was drawn first, unless it has been of use since this was last asked: then it is asked last.
    fn drop_drawn(&mut self) {
        let Some((serial, used)) = self.drawn.pop_front() else {
            return;
        };
        match self.known.get(&serial) {
            Some(known) if known.used > used => self.drawn.push_back((serial, known.used)),
            _ => self.remove(serial),
        }
    }

    /// The SAs that a frame names and that are not in `told` yet, with the upper half of the sequence number that each
    /// has in this frame, where it has one.
    pub fn named_first(
        &self,
        evidence: &Evidence,
        dissection: &Dissection,
        told: &mut HashSet<u64>,
    ) -> Vec<(SaSpec, Option<u32>)> {
        let whole = evidence.whole.as_deref().map(|packet| self.encapsulations.dissect(LinkType::RawIp, packet));
        let named = evidence.sas.iter().zip(whole.as_ref().unwrap_or(dissection).ipsec());
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
        self.unreadable = false;
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
        self.remove(oldest);
    }

    fn remove(&mut self, serial: u64) {
        let Some(known) = self.known.remove(&serial) else {
            return;
        };
        if let Some(flow) = known.encapsulated {
            self.encapsulations.remove(flow);
        }
        if let Some(serials) = self.by_spi.get_mut(&known.id.spi) {
            serials.retain(|other| *other != serial);
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

    /// In which flows, beside those of port 4500, SAs send their packets.
    pub fn encapsulations(&self) -> &Encapsulations {
        &self.encapsulations
    }

    /// The SA of this serial number, while it is remembered.
    pub fn get(&self, serial: u64) -> Option<&Known> {
        self.known.get(&serial)
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

    /// Takes the sequence number of an authentic packet in. `is_received`: whether a receiver with the SA's window will
    /// look at it.
    pub(super) fn take(&mut self, serial: u64, place: u32, number: u64, is_received: bool) -> Option<Finding> {
        let known = self.known.get_mut(&serial)?;
        self.used += 1;
        known.used = self.used;
        let at = known.seen.iter().position(|(other, _)| *other == place).unwrap_or_else(|| {
            if known.seen.len() == MOST_PLACES {
                known.seen.remove(0);
            }
            known.seen.push((place, Seen::with_window(known.window)));
            known.seen.len() - 1
        });
        let (_, seen) = known.seen.get_mut(at)?;
        let behind = seen.highest().unwrap_or(0).saturating_sub(number);
        let step = seen.take(number);
        // `xfrm_replay_check`: a window of 0 lets everything pass.
        let is_outside = is_received && known.window > 0 && behind >= known.window.into();
        match step {
            Step::Fine | Step::Behind if is_outside => Some(Finding::Behind { number, window: known.window }),
            Step::Behind => Some(Finding::Forgotten(number)),
            Step::Repeated => Some(Finding::Repeated(number)),
            Step::Gap(missing) => Some(Finding::Missing(missing)),
            Step::Fine => None,
        }
    }
}

/// The flow in which an SA's packets go, if they are in UDP or TCP.
fn encapsulated(sa: &Sa) -> Option<Flow> {
    let encapsulation = sa.extras.encapsulation?;
    let protocol = match encapsulation.kind {
        Encapsulation::ESP_IN_UDP => UpperProtocol::UDP,
        Encapsulation::ESP_IN_TCP => UpperProtocol::TCP,
        _ => return None,
    };
    Some(Flow {
        source: sa.source,
        destination: sa.destination,
        protocol,
        source_port: encapsulation.source_port,
        destination_port: encapsulation.destination_port,
        interface: 0,
    })
}
