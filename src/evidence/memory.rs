//! The SAs that frames may belong to: those that there are, and for a while those that there were, so that frames
//! around a rekeying can still be read.

use std::cell::OnceCell;
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::keys::{GivenKeys, Trial};
use super::sequence::{Seen, Step};
use super::{Evidence, Finding};
use crate::crypto::{AhTransform, EspTransform, Unready, ipcomp, sequence};
use crate::model::extras::Encapsulation;
use crate::model::{
    Algorithms, Flow, IfId, IpsecProtocol, Mode, Receipt, Replay, ReqId, Sa, SaId, SaSpec, Selector, Spi, UpperProtocol,
};
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
    /// The one before it that packets name alike.
    older: Option<u64>,
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
    pub algorithms: Arc<Algorithms>,
    /// Whether they hide what they are applied to.
    pub(super) encrypts: bool,
    pub(super) extended: bool,
    /// Whether it was drawn from given keys: the kernel has not told of it.
    is_drawn: bool,
    /// How many sequence numbers back its receiver takes packets; 0 if it does not look.
    pub(super) window: u32,
    from_ns: u64,
    /// `u64::MAX` while it is there.
    until_ns: u64,
    /// The kernel's highest counter, sent or received.
    counter: u64,
    /// What its receiver has, if that is something, and when it was told.
    received: Option<Box<(u64, Replay)>>,
    /// Few have something of it.
    rare: Option<Box<Rare>>,
    /// Of those that packets came of.
    prepared: OnceCell<Box<Preparation>>,
    traffic: Option<Box<Traffic>>,
}

/// What few SAs have.
#[derive(Clone, Default, PartialEq, Eq)]
struct Rare {
    /// The flow in which its packets go, if they are in UDP or TCP.
    encapsulated: Option<Flow>,
    /// Whether what becomes of its packets cannot be told from outside.
    is_special: bool,
    /// The packets that it is for, if it is not for all.
    selector: Option<Selector>,
}

impl Rare {
    fn of(sa: &Sa) -> Option<Box<Self>> {
        let rare = Self {
            encapsulated: encapsulated(sa),
            // Marks choose policies; and of the errors of ICMP a second question is asked (`XFRM_STATE_ICMP`).
            is_special: sa.mark.is_some() || sa.extras.output_mark.is_some() || sa.flags.icmp(),
            selector: Some(sa.selector).filter(|selector| !selector.is_everything()),
        };
        (rare != Self::default()).then(|| Box::new(rare))
    }
}

/// What was seen of an SA's packets.
#[derive(Default)]
struct Traffic {
    /// Their numbers, by the interface.
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
    /// An SA as it was told of at this time.
    fn of(sa: &Sa, serial: u64, at_ns: u64) -> Self {
        Self {
            serial,
            older: None,
            id: sa.id(),
            source: sa.source,
            mode: sa.mode,
            reqid: sa.reqid,
            if_id: sa.if_id.unwrap_or(IfId(0)),
            algorithms: Arc::clone(&sa.algorithms),
            encrypts: encrypts(&sa.algorithms),
            extended: sa.flags.esn(),
            is_drawn: false,
            window: sa.replay.window,
            from_ns: sa.used.added_at.saturating_mul(1_000_000_000),
            until_ns: u64::MAX,
            counter: sa.replay.sent.max(sa.replay.received),
            received: received(sa, at_ns),
            rare: Rare::of(sa),
            prepared: OnceCell::new(),
            traffic: None,
        }
    }

    /// Whether it is there no more.
    pub fn is_gone(&self) -> bool {
        self.until_ns < u64::MAX
    }

    /// Takes in what the kernel says of its sequence numbers now.
    fn count(&mut self, sa: &Sa, at_ns: u64) {
        self.counter = self.counter.max(sa.replay.sent).max(sa.replay.received);
        self.received = received(sa, at_ns);
    }

    fn used(&self) -> u64 {
        self.traffic.as_ref().map_or(0, |traffic| traffic.used)
    }

    /// Whether the kernel has it.
    fn is_live(&self) -> bool {
        !self.is_drawn && !self.is_gone()
    }

    /// Keys, made ready when they are first asked for.
    pub(super) fn prepared(&self) -> &Preparation {
        self.prepared.get_or_init(|| Box::new(prepare(self.id.protocol, &self.algorithms, self.extended)))
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
        let seen = self.traffic.iter().flat_map(|traffic| &traffic.seen).filter_map(|(_, seen)| seen.highest()).max();
        sequence::extended(seen.unwrap_or(0).max(self.counter), low)
    }

    fn encapsulated(&self) -> Option<Flow> {
        self.rare.as_ref()?.encapsulated
    }

    /// In what its packets are between IP and themselves: UDP, TCP, or nothing.
    pub(super) fn carrier(&self) -> Option<UpperProtocol> {
        self.encapsulated().map(|flow| flow.protocol)
    }

    /// Whether packets in this carrier may be its own. Of what somebody typed in nobody knows.
    pub(super) fn comes_in(&self, carrier: Option<UpperProtocol>) -> bool {
        self.is_drawn || self.carrier() == carrier
    }

    /// Whether what becomes of its packets cannot be told from outside.
    pub(super) fn is_special(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.is_special)
    }

    /// Whether its packets should not be opened each.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self.prepared().as_deref(), Ok(Prepared::Esp(transform)) if transform.is_slow())
    }

    /// The packets that it is for, if it is not for all.
    pub(super) fn selector(&self) -> Option<Selector> {
        self.rare.as_ref()?.selector
    }

    /// What its receiver does with a number that it got at this time.
    fn receipt(&self, number: u64, at_ns: u64) -> Receipt {
        match &self.received {
            // What came before that was told may be among what it has.
            Some(told) if told.0 < at_ns => told.1.receipt(number),
            _ => Receipt::New,
        }
    }

    fn was_there(&self, at_ns: u64) -> bool {
        let came = self.from_ns.saturating_sub(SLACK_NS) <= at_ns;
        // The news that it is gone comes after it went: later frames never belonged to it.
        came && at_ns <= self.until_ns
    }

    /// What packets name it by, beside its protocol.
    fn name(&self) -> (IpAddr, Spi) {
        (self.id.destination, self.id.spi)
    }
}

/// The SAs, by the numbers that packets name them by.
#[derive(Default)]
pub struct SaMemory {
    known: HashMap<u64, Box<Known>>,
    /// The newest of each name, by the name's hash; older ones are behind it, one behind the other.
    newest: HashTable<u64>,
    /// A fast one: each packet asks four times, and no packet's sender chooses what is in the tables.
    hasher: DefaultHashBuilder,
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
        let (gone, drawn) = (self.gone.len(), self.drawn.len());
        write!(f, "SaMemory({} live, {gone} gone, {drawn} drawn)", self.known.len() - gone - drawn)
    }
}

impl SaMemory {
    /// Takes an SA in: a new one, or one that has changed. `at_ns` is when that was heard of.
    pub fn learn(&mut self, sa: &Sa, at_ns: u64) {
        if let Some(known) = self.live_mut(&sa.id()) {
            let is_same = known.algorithms == sa.algorithms && known.extended == sa.flags.esn();
            if is_same && known.encapsulated() == encapsulated(sa) {
                // One copy of the key is enough.
                known.algorithms = Arc::clone(&sa.algorithms);
                known.count(sa, at_ns);
                (known.window, known.rare) = (sa.replay.window, Rare::of(sa));
                return;
            }
            self.forget(&sa.id(), at_ns);
        }
        self.insert(Known::of(sa, self.next_serial, at_ns));
    }

    /// The SA of this name that the kernel has.
    fn live_mut(&mut self, id: &SaId) -> Option<&mut Known> {
        let mut named = self.named((id.destination, id.spi));
        let serial = named.find(|known| known.is_live() && known.id == *id)?.serial;
        drop(named);
        self.known.get_mut(&serial).map(|known| &mut **known)
    }

    /// The SAs that packets name so, the newest first.
    fn named(&self, name: (IpAddr, Spi)) -> impl Iterator<Item = &Known> {
        let is_it = |serial: &u64| self.get(*serial).is_some_and(|known| known.name() == name);
        let newest = self.newest.find(self.hasher.hash_one(name), is_it);
        std::iter::successors(newest.and_then(|serial| self.get(*serial)), |known| self.get(known.older?))
    }

    fn live(&self) -> impl Iterator<Item = &Known> {
        self.known.values().map(|known| &**known).filter(|known| known.is_live())
    }

    fn insert(&mut self, mut known: Known) {
        self.next_serial = known.serial + 1;
        self.compresses_tunnels |= known.id.protocol == IpsecProtocol::Comp && known.mode == Mode::Tunnel;
        if let Some(flow) = known.encapsulated() {
            self.encapsulations.add(flow);
        }
        let (serial, name) = (known.serial, known.name());
        let Self { known: all, newest, hasher, .. } = self;
        let name_of = |serial: &u64| all.get(serial).map(|known| known.name());
        let hash_of = |serial: &u64| name_of(serial).map_or(0, |name| hasher.hash_one(name));
        match newest.entry(hasher.hash_one(name), |other| name_of(other) == Some(name), hash_of) {
            Entry::Occupied(mut place) => known.older = Some(std::mem::replace(place.get_mut(), serial)),
            Entry::Vacant(place) => drop(place.insert(serial)),
        }
        all.insert(serial, Box::new(known));
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

    /// An SA for a packet, drawn from the key that is right for it. What the kernel says of it beside the key counts.
    pub(super) fn draw(&mut self, trial: &Trial, header: &IpsecHeader, at_ns: u64) -> Option<u64> {
        let mut known = Known::of(&self.given.draw(trial, header)?, self.next_serial, at_ns);
        if let Some(hidden) = self.hidden(header, at_ns) {
            known.source = hidden.source;
            (known.mode, known.reqid, known.if_id, known.window) =
                (hidden.mode, hidden.reqid, hidden.if_id, hidden.window);
            known.received.clone_from(&hidden.received);
        } else {
            // When a file was written that tells of numbers nobody knows.
            known.received = None;
        }
        (known.is_drawn, known.extended, known.counter) = (true, trial.extended, trial.sequence);
        known.prepared = OnceCell::from(Box::new(trial.prepared.clone()));
        // Its row has counted it.
        (known.from_ns, known.rare) = (0, None);
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
            Some(known) if known.used() > used => self.drawn.push_back((serial, known.used())),
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
            spec.algorithms = (*known.algorithms).clone();
            let high = || u32::try_from(known.sequence(header.sequence.unwrap_or(0)) >> 32).unwrap_or(u32::MAX);
            (spec, known.extended.then(high))
        };
        news.filter_map(|(serial, header)| Some((self.get(serial)?, header))).map(spec).collect()
    }

    /// Renews what the kernel says of an SA's sequence numbers; `at_ns` is when that was heard of.
    pub fn count(&mut self, sa: &Sa, at_ns: u64) {
        if let Some(known) = self.live_mut(&sa.id()) {
            known.count(sa, at_ns);
        }
    }

    /// An SA is gone; it is remembered for a while.
    pub fn forget(&mut self, id: &SaId, at_ns: u64) {
        let Some(known) = self.live_mut(id) else {
            return;
        };
        known.until_ns = at_ns.min(u64::MAX - 1);
        let serial = known.serial;
        self.gone.push_back(serial);
        while self.gone.len() > MOST_GONE {
            self.drop_oldest();
        }
    }

    /// A flush took all SAs of a protocol.
    pub fn flush(&mut self, protocol: IpsecProtocol, at_ns: u64) {
        let taken: Vec<SaId> = self.live().map(|known| known.id).filter(|id| protocol.flushes(id.protocol)).collect();
        for id in taken {
            self.forget(&id, at_ns);
        }
    }

    /// These are all SAs that there are; others are gone.
    pub fn replace<'a>(&mut self, sas: impl Iterator<Item = &'a Sa>, at_ns: u64) {
        self.unreadable = false;
        let mut missing: HashSet<SaId> = self.live().map(|known| known.id).collect();
        // Tables that grow on the way to a hundred thousand would leave as much room behind as they need.
        let news = sas.size_hint().1.unwrap_or(0).saturating_sub(missing.len());
        self.known.reserve(news);
        let Self { known, newest, hasher, .. } = self;
        newest.reserve(news, |serial| known.get(serial).map_or(0, |known| hasher.hash_one(known.name())));
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
            if oldest.until_ns >= at_ns {
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
        let Some(name) = self.get(serial).map(Known::name) else {
            return;
        };
        let newer = self.named(name).find(|known| known.older == Some(serial)).map(|known| known.serial);
        let hash = self.hasher.hash_one(name);
        let Some(known) = self.known.remove(&serial) else {
            return;
        };
        if let Some(newer) = newer.and_then(|newer| self.known.get_mut(&newer)) {
            newer.older = known.older;
        } else if let Ok(mut place) = self.newest.find_entry(hash, |newest| *newest == serial) {
            match known.older {
                Some(older) => *place.get_mut() = older,
                None => drop(place.remove()),
            }
        }
        if let Some(flow) = known.encapsulated() {
            self.encapsulations.remove(flow);
        }
    }

    /// Whether a packet of this SA may carry whole packets: the tunnel may be IPComp's, and ESP or AH in transport mode
    /// around it; and not every file with keys knows the mode.
    pub(super) fn may_carry_packets(&self, known: &Known) -> bool {
        known.mode != Mode::Transport || known.is_drawn || self.compresses_tunnels
    }

    /// Whether there may be SAs whose packets carry whole packets.
    pub(super) fn may_have_tunnels(&self) -> bool {
        self.unreadable || self.known.values().any(|known| self.may_carry_packets(known))
    }

    /// Whether there may be SAs whose packets are in this protocol between these addresses.
    pub(super) fn may_be_carried(&self, protocol: UpperProtocol, ends: (IpAddr, IpAddr)) -> bool {
        self.unreadable || !self.given.is_empty() || self.encapsulations.are_between(protocol, ends.0, ends.1)
    }

    /// In which flows, beside those of port 4500, SAs send their packets.
    pub fn encapsulations(&self) -> &Encapsulations {
        &self.encapsulations
    }

    /// The SA of this serial number, while it is remembered.
    pub fn get(&self, serial: u64) -> Option<&Known> {
        self.known.get(&serial).map(|known| &**known)
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
        self.named((destination, spi)).filter(move |known| known.id.protocol == protocol && known.was_there(at_ns))
    }

    /// Whether the packet of this number was seen on another interface of those on which the SA's packets come.
    pub(super) fn was_elsewhere(&self, serial: u64, place: u32, number: u64) -> bool {
        let traffic = self.get(serial).and_then(|known| known.traffic.as_ref());
        traffic.is_some_and(|traffic| traffic.seen.iter().any(|(at, seen)| *at != place && seen.has(number)))
    }

    /// Takes the sequence number of an authentic packet in. `is_received`: whether a receiver with the SA's window will
    /// look at it.
    pub(super) fn take(
        &mut self,
        serial: u64,
        place: u32,
        number: u64,
        is_received: bool,
        at_ns: u64,
    ) -> Option<Finding> {
        let known = self.known.get_mut(&serial)?;
        let window = known.window;
        if number == 0 && window > 0 && is_received {
            return Some(Finding::Zero);
        }
        match known.receipt(number, at_ns) {
            Receipt::Repeated if is_received => return Some(Finding::Repeated(number)),
            Receipt::Behind if is_received => return Some(Finding::Behind { number, window }),
            _ => {}
        }
        self.used += 1;
        let Traffic { seen, used } = &mut **known.traffic.get_or_insert_default();
        *used = self.used;
        let at = seen.iter().position(|(other, _)| *other == place).unwrap_or_else(|| {
            if seen.len() == MOST_PLACES {
                seen.remove(0);
            }
            seen.push((place, Seen::with_window(known.window)));
            seen.len() - 1
        });
        let (_, seen) = seen.get_mut(at)?;
        let behind = seen.highest().unwrap_or(0).saturating_sub(number);
        let step = seen.take(number);
        // `xfrm_replay_check`: a window of 0 lets everything pass.
        let is_outside = is_received && window > 0 && behind >= window.into();
        match step {
            Step::Fine | Step::Behind if is_outside => Some(Finding::Behind { number, window }),
            Step::Behind => Some(Finding::Forgotten(number)),
            Step::Repeated => Some(Finding::Repeated(number)),
            Step::Gap(missing) => Some(Finding::Missing(missing)),
            Step::Fine => None,
        }
    }
}

/// What the receiver of an SA has got, where it keeps account.
fn received(sa: &Sa, at_ns: u64) -> Option<Box<(u64, Replay)>> {
    let keeps_account = sa.replay.window > 0 && sa.replay.received > 0;
    keeps_account.then(|| Box::new((at_ns, sa.replay.clone())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AlgorithmName, Mark, Secret, Transform};

    const THEN: u64 = 1_000_000_000_000;

    fn sa(protocol: IpsecProtocol, mark: Option<Mark>, key: u8) -> Sa {
        let mut spec = SaSpec::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), protocol, Spi(7));
        let (name, key) = (AlgorithmName::from_kernel("hmac(sha256)"), Secret::copy_from(&[key; 32]));
        spec.algorithms.authentication = Some(Transform { name, key, icv_bits: 128 });
        spec.mark = mark;
        Sa::from_spec(&spec, 1000)
    }

    fn serials(memory: &SaMemory, protocol: IpsecProtocol, at_ns: u64) -> Vec<u64> {
        memory.of_packet([10, 0, 0, 2].into(), protocol, Spi(7), at_ns).map(|known| known.serial).collect()
    }

    #[test]
    fn sas_that_packets_name_alike_are_told_apart() {
        use IpsecProtocol::{Ah, Esp};
        let marked = sa(Esp, Some(Mark { value: 1, mask: 1 }), 1);
        let mut memory = SaMemory::default();
        for sa in [&sa(Esp, None, 1), &sa(Ah, None, 1), &marked] {
            memory.learn(sa, THEN);
        }
        assert_eq!((serials(&memory, Esp, THEN), serials(&memory, Ah, THEN)), (vec![2, 0], vec![1]));
        // Made anew with another key: the old one is for frames of its time alone.
        memory.learn(&sa(Esp, None, 2), THEN);
        assert_eq!(format!("{memory:?}"), "SaMemory(3 live, 1 gone, 0 drawn)");
        assert_eq!((serials(&memory, Esp, THEN), serials(&memory, Esp, THEN + 1)), (vec![3, 2, 0], vec![3, 2]));
        memory.forget(&marked.id(), THEN);
        memory.forget_gone_before(THEN + 1);
        assert_eq!((serials(&memory, Esp, THEN), serials(&memory, Ah, THEN)), (vec![3], vec![1]));
        memory.replace([&marked].into_iter(), THEN + 1);
        assert_eq!((serials(&memory, Esp, THEN + 2), serials(&memory, Ah, THEN + 2)), (vec![4], vec![]));
        memory.forget_gone_before(THEN + 2);
        assert_eq!((memory.known.len(), memory.newest.len()), (1, 1));
        memory.flush(Esp, THEN);
        memory.forget_gone_before(THEN + 1);
        assert!(memory.known.is_empty() && memory.newest.is_empty());
    }

    #[test]
    fn an_sa_that_is_told_of_again_shares_its_newest_copy() {
        let (first, again) = (sa(IpsecProtocol::Esp, None, 1), sa(IpsecProtocol::Esp, None, 1));
        let mut memory = SaMemory::default();
        memory.learn(&first, THEN);
        memory.learn(&again, THEN);
        assert!(Arc::ptr_eq(&memory.get(0).unwrap().algorithms, &again.algorithms) && memory.get(1).is_none());
    }
}
