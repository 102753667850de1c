//! What an SA says of a packet that names it: whether its key made the ICV.

use std::sync::Arc;

use super::copies::{Copies, Shown};
use super::judge::Place;
use super::keys::Trial;
use super::memory::{Preparation, Prepared};
use super::{Evidence, Finding, Judge, Known};
use crate::crypto::{EspTransform, Icv, Malformed, NotOpened, ipcomp};
use crate::model::{IpsecProtocol, Mode};
use crate::packet::{Direction, Dissection, dissect_above_ip};

/// The payload that was decrypted last.
#[derive(Default)]
pub(super) struct Newest {
    /// How many decryptions were begun: it tells them apart.
    count: u64,
    /// Whether it came to anything.
    is_open: bool,
    /// Nothing of the padding.
    pub(super) plaintext: Arc<Vec<u8>>,
    pub(super) next_header: u8,
}

/// What a header's SA says of it.
pub(super) struct Opinion {
    pub(super) serial: Option<u64>,
    pub(super) sequence: u64,
    pub(super) finding: Finding,
    /// The protocol of what is inside, if that is known.
    pub(super) next_header: Option<u8>,
    /// The number of its decryption; 0 if it was not decrypted.
    pub(super) opened: u64,
    carried: Carried,
}

/// What of a packet may be shown once more, if its receiver takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    Nothing,
    /// What was decrypted last.
    Opened,
    /// What is behind AH or IPComp.
    Readable,
    /// What cannot be opened here.
    Hidden,
}

impl Judge {
    /// The best that the SAs of a header, or the keys that were given by hand, say of its packet.
    pub(super) fn opinion(&mut self, place: &Place<'_>, at_ns: u64, direction: Option<Direction>) -> Opinion {
        let header = &place.header;
        let Self { memory, copies, newest, .. } = self;
        let is_inbound = direction == Some(Direction::In);
        let mut best: Option<Opinion> = None;
        for known in memory.of_packet(header.destination, header.protocol, header.spi, at_ns) {
            let sequence = known.sequence(header.sequence.unwrap_or(0));
            let is_expected = is_inbound && memory.may_carry_packets(known);
            let asked = Asked::of(known, sequence);
            let opinion = examine(&asked, place, is_expected.then_some(&mut *copies), newest, at_ns);
            let opinion = Opinion { serial: Some(known.serial), ..opinion };
            if matches!(opinion.finding, Finding::Authentic { .. }) {
                return opinion;
            }
            best.get_or_insert(opinion);
        }
        let found = best.as_ref().map(|best| &best.finding);
        if let Some(opinion) = self.by_given_keys(place, at_ns, is_inbound, found).or(best) {
            return opinion;
        }
        if self.memory.is_unreadable() {
            // It may be a tunnel's.
            let carried = if is_inbound { Carried::Hidden } else { Carried::Nothing };
            return Opinion { carried, ..Opinion::of(Finding::SasUnreadable) };
        }
        Opinion::of(Finding::NoSa(header.destination))
    }

    /// The receiver takes the packet: what an inbound tunnel carries is expected to be shown again.
    pub(super) fn expect(&mut self, opinion: &Opinion, place: &Place<'_>, at_ns: u64) {
        let Self { copies, newest, memory, .. } = self;
        let mode = opinion.serial.and_then(|serial| memory.get(serial)).map(|known| known.mode);
        match (opinion.carried, place.header.protocol) {
            (Carried::Nothing, _) => {}
            // What these make of what is inside is not made here.
            (_, _) if mode.is_some_and(|mode| !matches!(mode, Mode::Transport | Mode::Tunnel)) => {
                copies.expect_unopened(at_ns);
            }
            (Carried::Opened, _) if opinion.opened == newest.number() => {
                expect_payload(copies, newest.next_header, &newest.plaintext, at_ns);
            }
            (Carried::Readable, IpsecProtocol::Comp) => expect_payload(copies, 108, place.covered, at_ns),
            (Carried::Readable, _) => {
                // The ICV may be padded; how long the header is it says itself.
                let [next_header, words] = place.covered.first_chunk().copied().unwrap_or_default();
                let inner = place.covered.get((usize::from(words) + 2) * 4..);
                // IPComp behind AH is a header that is seen by itself.
                if next_header != 108 {
                    expect_payload(copies, next_header, inner.unwrap_or_default(), at_ns);
                }
            }
            (Carried::Opened | Carried::Hidden, _) => copies.expect_unopened(at_ns),
        }
    }

    /// What the keys say that were given by hand, if it is better than what was found with the SAs that are known. An SA is
    /// drawn from the first key that is right; if none can be wrong, from the first of those.
    fn by_given_keys(
        &mut self,
        place: &Place<'_>,
        at_ns: u64,
        is_inbound: bool,
        found: Option<&Finding>,
    ) -> Option<Opinion> {
        let Self { memory, copies, newest, .. } = self;
        let trials = memory.trials(&place.header, at_ns);
        let mut best: Option<(Opinion, &Trial)> = None;
        for trial in &trials {
            let asked = Asked { prepared: &trial.prepared, encrypts: trial.encrypts, sequence: trial.sequence };
            // Not every file with keys knows which of them are of tunnels.
            let expects = is_inbound.then_some(&mut *copies);
            let opinion = Opinion { sequence: trial.sequence, ..examine(&asked, place, expects, newest, at_ns) };
            let rank = |finding: &Finding| match finding {
                Finding::Authentic { .. } => 2,
                Finding::NoIcv { .. } | Finding::UncheckedIcv { .. } => 1,
                _ => 0,
            };
            let is_right = rank(&opinion.finding) == 2;
            if best.as_ref().is_none_or(|(best, _)| rank(&opinion.finding) > rank(&best.finding)) {
                best = Some((opinion, trial));
            }
            if is_right {
                break;
            }
        }
        let (opinion, trial) = best?;
        let is_better = match (&opinion.finding, found) {
            (Finding::Authentic { .. }, _) | (_, None) => true,
            (Finding::NoIcv { .. } | Finding::UncheckedIcv { .. }, Some(found)) => matches!(found, Finding::Unready(_)),
            (_, Some(_)) => false,
        };
        if !is_better {
            return None;
        }
        let serial = opinion.finding.encrypted().and_then(|_| memory.draw(trial, &place.header, at_ns));
        Some(Opinion { serial, ..opinion })
    }
}

/// An SA that is asked about a packet, or a key that is tried on it.
struct Asked<'a> {
    prepared: &'a Preparation,
    encrypts: bool,
    /// The packet's whole sequence number.
    sequence: u64,
}

impl<'a> Asked<'a> {
    fn of(known: &'a Known, sequence: u64) -> Self {
        Self { prepared: known.prepared(), encrypts: known.encrypts, sequence }
    }
}

impl Opinion {
    fn of(finding: Finding) -> Self {
        Self { serial: None, sequence: 0, finding, next_header: None, opened: 0, carried: Carried::Nothing }
    }
}

/// Asks an SA about a packet. With `copies` what it carries is to be known as well, as far as that may be decrypted.
fn examine(
    asked: &Asked<'_>,
    place: &Place<'_>,
    copies: Option<&mut Copies>,
    newest: &mut Newest,
    at_ns: u64,
) -> Opinion {
    newest.is_open = false;
    let sequence = asked.sequence;
    let high = u32::try_from(sequence >> 32).unwrap_or(0);
    let encrypted = asked.encrypts;
    let waits = copies.is_some();
    let carries = |carried| if waits { carried } else { Carried::Nothing };
    let opinion = match asked.prepared.as_deref() {
        Err(unready) => Opinion { carried: carries(Carried::Hidden), ..Opinion::of(Finding::Unready(unready.clone())) },
        Ok(Prepared::Comp) => {
            Opinion { carried: carries(Carried::Readable), ..Opinion::of(Finding::Authentic { encrypted: false }) }
        }
        Ok(Prepared::Ah(transform)) => match transform.verify(place.packet, place.at, high) {
            Ok(icv) => {
                let next_header = place.covered.first().copied();
                let inside = if icv == Icv::Good { carries(Carried::Readable) } else { Carried::Nothing };
                Opinion { carried: inside, next_header, ..Opinion::of(of_icv(icv, false)) }
            }
            Err(malformed) => Opinion::of(of_malformed(malformed, true)),
        },
        Ok(Prepared::Esp(transform)) => {
            let closed = carries(Carried::Hidden);
            let verified = || Opinion { carried: closed, ..verified(transform, place.covered, high, encrypted) };
            let opinion = match copies {
                None if !transform.is_combined() => verified(),
                // Who only waits for a copy does not decrypt much with a slow cipher for it, and nothing that is forged.
                Some(waiting) if transform.is_slow() => match verified() {
                    opinion if opinion.is_wrong() || !waiting.may_open(place.covered.len(), at_ns) => opinion,
                    _ => opened(transform, place.covered, high, encrypted, newest, Carried::Opened),
                },
                _ => opened(transform, place.covered, high, encrypted, newest, carries(Carried::Opened)),
            };
            if opinion.is_wrong() { Opinion { carried: Carried::Nothing, ..opinion } } else { opinion }
        }
    };
    Opinion { sequence, ..opinion }
}

impl Opinion {
    /// Whether it is no packet of the SA.
    fn is_wrong(&self) -> bool {
        matches!(self.finding, Finding::WrongIcv | Finding::Malformed(_) | Finding::Impossible(_))
    }
}

fn opened(
    transform: &EspTransform,
    esp: &[u8],
    high: u32,
    encrypted: bool,
    newest: &mut Newest,
    carried: Carried,
) -> Opinion {
    match newest.open(transform, esp, high) {
        Ok(icv) => {
            let next_header = Some(newest.next_header);
            Opinion { opened: newest.number(), next_header, carried, ..Opinion::of(of_icv(icv, encrypted)) }
        }
        Err(NotOpened::BadIcv) => Opinion::of(Finding::WrongIcv),
        Err(NotOpened::Malformed(malformed)) => Opinion::of(of_malformed(malformed, transform.authenticates())),
    }
}

impl Newest {
    fn open(&mut self, transform: &EspTransform, esp: &[u8], high: u32) -> Result<Icv, NotOpened> {
        self.count += 1;
        // Written into the same memory once more, unless somebody still looks at what is there.
        if Arc::get_mut(&mut self.plaintext).is_none() {
            self.plaintext = Arc::default();
        }
        let plaintext = Arc::make_mut(&mut self.plaintext);
        let opened = transform.open(esp, high, plaintext)?;
        plaintext.truncate(opened.payload_length);
        (self.is_open, self.next_header) = (true, opened.next_header);
        Ok(opened.icv)
    }

    /// Which decryption it was; 0 if who was asked last did not decrypt.
    fn number(&self) -> u64 {
        if self.is_open { self.count } else { 0 }
    }

    /// Whether it is what was inside of the frame of which this was found.
    pub(super) fn is_of(&self, evidence: &Evidence) -> bool {
        evidence.opened != 0 && evidence.opened == self.number()
    }

    /// The packet that was inside, if it was a whole one.
    pub(super) fn inner(&self) -> Option<Dissection> {
        matches!(self.next_header, 4 | 41).then(|| dissect_above_ip(self.next_header, &self.plaintext))
    }
}

fn verified(transform: &EspTransform, esp: &[u8], high: u32, encrypted: bool) -> Opinion {
    let wrong = |malformed| Opinion::of(of_malformed(malformed, transform.authenticates()));
    match transform.verify(esp, high) {
        Ok(Icv::Bad) => Opinion::of(Finding::WrongIcv),
        Ok(icv) => match transform.next_header(esp) {
            Ok(next_header) => Opinion { next_header, ..Opinion::of(of_icv(icv, encrypted)) },
            Err(malformed) => wrong(malformed),
        },
        Err(malformed) => wrong(malformed),
    }
}

/// A length that the cipher cannot have made is as good as a wrong ICV, where there is one: no packet of this SA.
fn of_malformed(malformed: Malformed, authenticates: bool) -> Finding {
    match malformed {
        Malformed::PartBlock { .. } | Malformed::AhLength { .. } if authenticates => Finding::Impossible(malformed),
        malformed => Finding::Malformed(malformed),
    }
}

/// What was in a payload the kernel will show once more if it is a packet, or was one before it was compressed.
fn expect_payload(copies: &mut Copies, next_header: u8, payload: &[u8], at_ns: u64) {
    match (next_header, payload) {
        (4 | 41, packet) => expect(copies, packet, at_ns),
        (108, [4 | 41, _, _, _, compressed @ ..]) => {
            if let Ok(packet) = ipcomp::inflate(compressed) {
                expect(copies, &packet, at_ns);
            }
        }
        _ => {}
    }
}

/// The kernel will show this packet once more.
fn expect(copies: &mut Copies, packet: &[u8], at_ns: u64) {
    let version = packet.first().map_or(0, |byte| byte >> 4);
    let dissection = dissect_above_ip(if version == 6 { 41 } else { 4 }, packet);
    if let Some(shown) = Shown::of(packet, &dissection) {
        copies.expect(shown, at_ns);
        if dissection.is_fragment() {
            copies.newest = None;
        }
    }
    if dissection.ipsec().next().is_some() {
        copies.expect_protected();
    }
}

fn of_icv(icv: Icv, encrypted: bool) -> Finding {
    match icv {
        Icv::Good => Finding::Authentic { encrypted },
        Icv::Bad => Finding::WrongIcv,
        Icv::Absent => Finding::NoIcv { encrypted },
        Icv::Unchecked => Finding::UncheckedIcv { encrypted },
    }
}
