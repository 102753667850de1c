//! What an SA says of a packet that names it: whether its key made the ICV.

use std::sync::Arc;

use super::copies::{Copies, Shown};
use super::judge::Place;
use super::keys::Trial;
use super::memory::{Preparation, Prepared};
use super::{Evidence, Finding, Judge, Known};
use crate::crypto::{EspTransform, Icv, NotOpened, ipcomp};
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
    /// The number of its decryption; 0 if it was not decrypted.
    pub(super) opened: u64,
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
            let finding = examine(&asked, place, is_expected.then_some(&mut *copies), newest, at_ns);
            let opinion = Opinion { serial: Some(known.serial), sequence, finding, opened: newest.number() };
            if matches!(opinion.finding, Finding::Authentic { .. }) {
                return opinion;
            }
            best.get_or_insert(opinion);
        }
        let found = best.as_ref().map(|best| &best.finding);
        if let Some(opinion) = self.by_given_keys(place, at_ns, is_inbound, found).or(best) {
            return opinion;
        }
        let is_unreadable = self.memory.is_unreadable();
        if is_unreadable && is_inbound {
            // It may be a tunnel's.
            self.copies.expect_unopened(at_ns);
        }
        let finding = if is_unreadable { Finding::SasUnreadable } else { Finding::NoSa(header.destination) };
        Opinion { serial: None, sequence: 0, finding, opened: 0 }
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
            let expects = (is_inbound && trial.is_tunnel).then_some(&mut *copies);
            let finding = examine(&asked, place, expects, newest, at_ns);
            let rank = |finding: &Finding| match finding {
                Finding::Authentic { .. } => 2,
                Finding::NoIcv | Finding::UncheckedIcv => 1,
                _ => 0,
            };
            let is_right = rank(&finding) == 2;
            if best.as_ref().is_none_or(|(best, _)| rank(&finding) > rank(&best.finding)) {
                let opened = newest.number();
                best = Some((Opinion { serial: None, sequence: trial.sequence, finding, opened }, trial));
            }
            if is_right {
                break;
            }
        }
        let (opinion, trial) = best?;
        let is_better = match (&opinion.finding, found) {
            (Finding::Authentic { .. }, _) | (_, None) => true,
            (Finding::NoIcv | Finding::UncheckedIcv, Some(found)) => matches!(found, Finding::Unready(_)),
            (_, Some(_)) => false,
        };
        if !is_better {
            return None;
        }
        let is_drawn = matches!(opinion.finding, Finding::Authentic { .. } | Finding::NoIcv | Finding::UncheckedIcv);
        let serial = is_drawn.then(|| memory.draw(trial, &place.header, at_ns)).flatten();
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

/// Asks an SA about a packet. What an inbound tunnel carries is expected to be shown again.
fn examine(
    asked: &Asked<'_>,
    place: &Place<'_>,
    copies: Option<&mut Copies>,
    newest: &mut Newest,
    at_ns: u64,
) -> Finding {
    newest.is_open = false;
    let high = u32::try_from(asked.sequence >> 32).unwrap_or(0);
    let encrypted = asked.encrypts;
    let prepared = match asked.prepared {
        Ok(prepared) => &**prepared,
        Err(unready) => {
            if let Some(copies) = copies {
                copies.expect_unopened(at_ns);
            }
            return Finding::Unready(unready.clone());
        }
    };
    match (prepared, copies) {
        (Prepared::Comp, copies) => {
            if let Some(copies) = copies {
                expect_payload(copies, 108, place.covered, at_ns);
            }
            Finding::Authentic { encrypted: false }
        }
        (Prepared::Ah(transform), copies) => match transform.verify(place.packet, place.at, high) {
            Ok(icv) => {
                if let (Icv::Good, Some(copies)) = (icv, copies) {
                    // The ICV may be padded; how long the header is it says itself.
                    let [next_header, words] = place.covered.first_chunk().copied().unwrap_or_default();
                    let inner = place.covered.get((usize::from(words) + 2) * 4..);
                    // IPComp behind AH is a header that is seen by itself.
                    if next_header != 108 {
                        expect_payload(copies, next_header, inner.unwrap_or_default(), at_ns);
                    }
                }
                of_icv(icv, false)
            }
            Err(malformed) => Finding::Malformed(malformed),
        },
        (Prepared::Esp(transform), mut copies) => {
            // Who only waits for a copy does not decrypt much with a slow cipher for it.
            if let Some(waiting) = &mut copies
                && transform.is_slow()
                && !waiting.may_open(place.covered.len(), at_ns)
            {
                waiting.expect_unopened(at_ns);
                copies = None;
            }
            if copies.is_none() && !transform.is_combined() {
                return verified(transform, place.covered, high, encrypted);
            }
            match newest.open(transform, place.covered, high) {
                Ok(icv) => {
                    if let Some(copies) = copies {
                        expect_payload(copies, newest.next_header, &newest.plaintext, at_ns);
                    }
                    of_icv(icv, encrypted)
                }
                Err(NotOpened::BadIcv) => Finding::WrongIcv,
                Err(NotOpened::Malformed(malformed)) => Finding::Malformed(malformed),
            }
        }
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

fn verified(transform: &EspTransform, esp: &[u8], high: u32, encrypted: bool) -> Finding {
    match transform.verify(esp, high) {
        Ok(icv) => of_icv(icv, encrypted),
        Err(malformed) => Finding::Malformed(malformed),
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
    }
    if dissection.ipsec().next().is_some() {
        copies.expect_protected();
    }
}

fn of_icv(icv: Icv, encrypted: bool) -> Finding {
    match icv {
        Icv::Good => Finding::Authentic { encrypted },
        Icv::Bad => Finding::WrongIcv,
        Icv::Absent => Finding::NoIcv,
        Icv::Unchecked => Finding::UncheckedIcv,
    }
}
