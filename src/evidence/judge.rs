//! The judge.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::iter;
use std::net::IpAddr;

use super::copies::Copies;
use super::fragments::{First, Fragments, Part, Taken};
use super::keys::Trial;
use super::memory::{Preparation, Prepared, encrypts};
use super::policies;
use super::{Evidence, Finding, Known, Policies, Reason, SaMemory, Sight, Totals, Verdict};
use crate::crypto::{EspTransform, Icv, Malformed, NotOpened, Unready, ipcomp};
use crate::model::{Flow, IfId, IpsecProtocol, UpperProtocol};
use crate::packet::{Direction, Dissection, Header, IpsecHeader, Layer, LinkType, Protocol, dissect_above_ip};

/// Everything that frames are judged by, and what was found so far.
#[derive(Default)]
pub struct Judge {
    /// The SAs.
    pub memory: SaMemory,
    /// The policies.
    pub policies: Policies,
    /// The sums.
    pub totals: Totals,
    /// The addresses of this host; empty where they are not known.
    pub addresses: HashSet<IpAddr>,
    /// The xfrm interfaces by their index.
    pub xfrm_interfaces: HashMap<u32, IfId>,
    pub(super) copies: Copies,
    fragments: Fragments,
    /// The ESP payload that was decrypted last: who looks into the frame at once need not do it again.
    pub(super) newest: Newest,
}

/// A decrypted payload, with what it was decrypted from.
#[derive(Default)]
pub(super) struct Newest {
    pub(super) serial: Option<u64>,
    pub(super) esp: Vec<u8>,
    pub(super) plaintext: Vec<u8>,
    pub(super) payload_length: usize,
    pub(super) next_header: u8,
}

impl fmt::Debug for Judge {
    /// Without what was decrypted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("memory", &self.memory).field("totals", &self.totals).finish_non_exhaustive()
    }
}

/// What a header's SA says of it.
struct Opinion {
    serial: Option<u64>,
    sequence: u64,
    finding: Finding,
}

/// Where an IPsec header stands in its frame.
struct Place<'a> {
    header: IpsecHeader,
    /// The packet from its IP header on.
    packet: &'a [u8],
    /// Where the header begins in it.
    at: usize,
    /// From the header to the end of what it covers.
    covered: &'a [u8],
}

impl Judge {
    /// Takes a frame apart, with what the SAs say of ports that carry their packets.
    pub fn dissect(&self, link: LinkType, frame: &[u8]) -> Dissection {
        self.memory.encapsulations().dissect(link, frame)
    }

    /// The layers of what a frame proved something about: its own, or those of the packet that it completed.
    pub fn whole<'d>(&self, dissection: &'d Dissection, evidence: &Evidence) -> Cow<'d, Dissection> {
        match &evidence.whole {
            Some(packet) => Cow::Owned(self.dissect(LinkType::RawIp, packet)),
            None => Cow::Borrowed(dissection),
        }
    }

    /// Judges a frame. `interface` tells the interfaces apart on which the same packet may be seen.
    pub fn judge(&mut self, sight: Sight<'_>, dissection: &Dissection, interface: u32) -> Evidence {
        let direction = sight.direction.or_else(|| self.direction_of(dissection));
        let evidence = match Part::of(sight.bytes, dissection, interface).filter(|_| !sight.is_cut) {
            Some(part) => self.weigh_part(&part, sight, direction, dissection, interface),
            None => self.weigh(sight, direction, dissection, interface),
        };
        self.totals.count(evidence.verdict, peer(direction, dissection));
        evidence
    }

    /// Judges a frame once more of which this was found `before`, because more is known now.
    pub fn judge_again(
        &mut self,
        sight: Sight<'_>,
        dissection: &Dissection,
        interface: u32,
        before: &Evidence,
    ) -> Evidence {
        let direction = sight.direction.or_else(|| self.direction_of(dissection));
        self.totals.take_back(before.verdict, peer(direction, dissection));
        let Some(packet) = &before.whole else {
            return self.judge(sight, dissection, interface);
        };
        let together = before.reasons.iter().find(|reason| matches!(reason, Reason::PutTogether(_))).cloned();
        let evidence = self.weigh_whole(packet.clone(), together, sight, direction, interface);
        self.totals.count(evidence.verdict, peer(direction, dissection));
        evidence
    }

    /// A part of a packet proves nothing, but what it shows in clear can be read all the same.
    fn weigh_part(
        &mut self,
        part: &Part<'_>,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        interface: u32,
    ) -> Evidence {
        if direction == Some(Direction::In) && self.is_copy(sight, dissection) {
            return Evidence::plain(Verdict::Copy, vec![Reason::Decrypted]);
        }
        let first = part.is_first().then(|| first_of(dissection, interface)).flatten();
        let taken = self.fragments.take(part, first, sight.at_ns);
        let first = match taken {
            Taken::Whole(packet, parts) => {
                return self.weigh_whole(packet, Some(Reason::PutTogether(parts)), sight, direction, interface);
            }
            Taken::Waits(known) => first.or(known),
            Taken::Dropped => first,
        };
        let reason = if taken == Taken::Dropped { Reason::ContradictingPart } else { Reason::PartOfPacket };
        let verdict = if taken == Taken::Dropped { Verdict::Unproven } else { Verdict::Part };
        match first {
            Some(First::Clear(flow)) => self.weigh_clear(sight, direction, dissection, Some(flow)),
            Some(First::KeyExchange) => Evidence::plain(Verdict::Ike, Vec::new()),
            Some(First::Protected) => Evidence::plain(verdict, vec![reason]),
            None if may_carry_ipsec(part.protocol()) => Evidence::plain(verdict, vec![reason]),
            None => self.weigh_clear(sight, direction, dissection, flow(dissection, interface)),
        }
    }

    /// The frame completes a packet: all is said of that.
    fn weigh_whole(
        &mut self,
        packet: Box<[u8]>,
        together: Option<Reason>,
        sight: Sight<'_>,
        direction: Option<Direction>,
        interface: u32,
    ) -> Evidence {
        let dissection = self.dissect(LinkType::RawIp, &packet);
        let sight = Sight { link: LinkType::RawIp, bytes: &packet, ..sight };
        let evidence = self.weigh(sight, direction, &dissection, interface);
        let reasons = evidence.reasons.into_iter().chain(together).collect();
        Evidence { reasons, whole: Some(packet), ..evidence }
    }

    /// Forgets the sums.
    pub fn forget_totals(&mut self) {
        self.totals = Totals::default();
    }

    fn direction_of(&self, dissection: &Dissection) -> Option<Direction> {
        let (source, destination) = ends(dissection)?;
        match (self.addresses.contains(&source), self.addresses.contains(&destination)) {
            (true, false) => Some(Direction::Out),
            (false, true) => Some(Direction::In),
            _ => None,
        }
    }

    fn weigh(
        &mut self,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        interface: u32,
    ) -> Evidence {
        let plain = Evidence::plain;
        let headers = || dissection.layers().iter().map(|layer| &layer.header);
        if ends(dissection).is_none() {
            return plain(Verdict::Other, Vec::new());
        }
        let protected = |header: &Header| matches!(header, Header::Esp(_) | Header::Ah(_));
        if headers().any(protected) {
            return self.weigh_protected(sight, direction, dissection, interface);
        }
        if dissection.is_key_exchange() {
            return plain(Verdict::Ike, Vec::new());
        }
        if headers().any(|header| *header == Header::TcpStreamPiece) {
            return plain(Verdict::Unproven, vec![Reason::StreamPiece]);
        }
        let tail_of = |header: &Header| matches!(header, Header::FragmentTail(Protocol::Esp | Protocol::Ah));
        if headers().any(tail_of) {
            if direction == Some(Direction::In) {
                // Put together it may be a tunnel's packet.
                self.copies.expect_unopened(sight.at_ns);
            }
            return plain(Verdict::Unproven, vec![Reason::Fragment]);
        }
        self.weigh_clear(sight, direction, dissection, flow(dissection, interface))
    }

    fn weigh_clear(
        &mut self,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        flow: Option<Flow>,
    ) -> Evidence {
        let mut reasons = Vec::new();
        let mut sas = Vec::new();
        for header in dissection.ipsec() {
            reasons.push(Reason::Compressed);
            let mut known = self.memory.of_packet(header.destination, header.protocol, header.spi, sight.at_ns);
            let serial = known.next().map(|known| known.serial);
            drop(known);
            sas.push(serial.or_else(|| {
                let trials = self.memory.trials(&header, sight.at_ns);
                self.memory.draw(trials.first()?, &header, sight.at_ns)
            }));
        }
        let verdict = if sight.loopback {
            reasons.push(Reason::Loopback);
            Verdict::Clear
        } else if direction == Some(Direction::In) && self.is_copy(sight, dissection) {
            reasons.push(Reason::Decrypted);
            Verdict::Copy
        } else if let Some(reason) = self.on_xfrm_interface(flow, direction) {
            reasons.push(reason);
            Verdict::Copy
        } else {
            let found = flow.map_or_else(
                || vec![Reason::NoPolicy],
                |flow| self.policies.judge_clear(&flow, direction, self.is_for_us(flow.destination)),
            );
            let verdict = if found.iter().any(Reason::forbids) {
                let at_ns = sight.at_ns;
                let is_joined = |flow: Flow| {
                    // What comes out of a tunnel came in no matter where.
                    let flow = Flow { interface: 0, ..flow };
                    flow.protocol == UpperProtocol::TCP && self.copies.has_flow(&flow, at_ns)
                };
                let joined = flow.is_some_and(is_joined);
                if direction == Some(Direction::In) && (joined || self.copies.take_unopened(at_ns)) {
                    reasons.push(Reason::MaybeDecrypted);
                    Verdict::Unproven
                } else {
                    Verdict::ClearForbidden
                }
            } else {
                Verdict::Clear
            };
            reasons.extend(found);
            verdict
        };
        Evidence { verdict, reasons: reasons.into(), sas: sas.into(), whole: None }
    }

    /// On an xfrm interface packets are shown before they are encrypted and after they were decrypted: not as they are on
    /// the wire. What no SA takes does not leave by it.
    fn on_xfrm_interface(&mut self, flow: Option<Flow>, direction: Option<Direction>) -> Option<Reason> {
        let flow = flow?;
        let if_id = *self.xfrm_interfaces.get(&flow.interface)?;
        let asked = policies::Asked { direction: direction?, for_us: self.is_for_us(flow.destination), if_id };
        let policy = self.policies.demand(&flow, asked).and_then(|demands| demands.first());
        Some(Reason::XfrmInterface(policy.map(|demand| Box::new(demand.policy))))
    }

    fn is_copy(&mut self, sight: Sight<'_>, dissection: &Dissection) -> bool {
        let packet = first_ip(dissection).and_then(|range| sight.bytes.get(range));
        packet.is_some_and(|packet| self.copies.take(packet, sight.at_ns))
    }

    fn weigh_protected(
        &mut self,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        interface: u32,
    ) -> Evidence {
        // Exactly as many as most frames need: what has room to spare is moved once more in the end.
        let count = dissection.ipsec().count();
        let mut reasons = Vec::with_capacity(count);
        let mut sas = Vec::with_capacity(count);
        let mut verdicts = Vec::with_capacity(count);
        if sight.is_cut {
            reasons.push(Reason::Cut);
        }
        if is_fragment(dissection) {
            reasons.push(Reason::Fragment);
        }
        let provable = reasons.is_empty();
        (self.copies.newest, self.newest.serial) = (None, None);
        for place in places(sight.bytes, dissection) {
            let header = place.header;
            if !provable {
                let mut known = self.memory.of_packet(header.destination, header.protocol, header.spi, sight.at_ns);
                let known = known.next();
                let is_tunnel = known.is_some_and(|known| self.memory.may_carry_packets(known));
                sas.push(known.map(|known| known.serial));
                verdicts.push(Verdict::Unproven);
                if is_tunnel && direction == Some(Direction::In) {
                    self.copies.expect_unopened(sight.at_ns);
                }
                continue;
            }
            let Opinion { serial, sequence, finding } = self.opinion(&place, sight.at_ns, direction);
            let is_authentic = matches!(finding, Finding::Authentic { .. });
            let is_received = direction != Some(Direction::Out);
            let known = serial.filter(|_| is_authentic);
            let out_of_turn = known.and_then(|serial| self.memory.take(serial, interface, sequence, is_received));
            let (protocol, spi) = (header.protocol, header.spi);
            if protocol != IpsecProtocol::Comp {
                verdicts.push(verdict_of(protocol, out_of_turn.as_ref().unwrap_or(&finding)));
            }
            sas.push(serial);
            let findings = iter::once(finding).chain(out_of_turn);
            reasons.extend(findings.map(|finding| Reason::Header { protocol, spi, finding }));
        }
        let mut evidence = Evidence { sas: sas.into(), ..Evidence::plain(together(&verdicts), reasons) };
        if let Some(direction) = direction.filter(|_| evidence.verdict.is_protected() && !sight.loopback)
            && let Some(standing) = self.standing(sight, direction, dissection, interface, &evidence)
        {
            if matches!(standing, Reason::Short { .. }) {
                evidence.verdict = Verdict::Weak;
            }
            evidence.reasons = evidence.reasons.into_iter().chain([standing]).collect();
        }
        evidence
    }

    fn opinion(&mut self, place: &Place<'_>, at_ns: u64, direction: Option<Direction>) -> Opinion {
        let header = place.header;
        let Self { memory, copies, newest, .. } = self;
        let is_inbound = direction == Some(Direction::In);
        let mut best: Option<Opinion> = None;
        for known in memory.of_packet(header.destination, header.protocol, header.spi, at_ns) {
            let sequence = known.sequence(header.sequence.unwrap_or(0));
            let is_expected = is_inbound && memory.may_carry_packets(known);
            let asked = Asked::of(known, sequence);
            let finding = examine(&asked, place, is_expected.then_some(&mut *copies), newest, at_ns);
            let opinion = Opinion { serial: Some(known.serial), sequence, finding };
            if matches!(opinion.finding, Finding::Authentic { .. }) {
                return opinion;
            }
            best.get_or_insert(opinion);
        }
        let given = self.by_given_keys(place, at_ns, is_inbound);
        let is_better = |given: &Opinion| match (&given.finding, best.as_ref().map(|best| &best.finding)) {
            (Finding::Authentic { .. }, _) | (_, None) => true,
            (Finding::NoIcv, Some(Finding::Unready(_))) => true,
            (_, Some(_)) => false,
        };
        let none = || {
            let finding =
                if self.memory.is_unreadable() { Finding::SasUnreadable } else { Finding::NoSa(header.destination) };
            Opinion { serial: None, sequence: 0, finding }
        };
        given.filter(is_better).or(best).unwrap_or_else(none)
    }

    /// What the keys say that were given by hand. An SA is drawn from the first that is right; if none can be wrong, from
    /// the first of those.
    fn by_given_keys(&mut self, place: &Place<'_>, at_ns: u64, is_inbound: bool) -> Option<Opinion> {
        let Self { memory, copies, newest, .. } = self;
        let trials = memory.trials(&place.header, at_ns);
        let serial = memory.next_serial();
        let mut best: Option<(Finding, &Trial)> = None;
        for trial in &trials {
            let asked = Asked { serial, prepared: &trial.prepared, encrypts: trial.encrypts, sequence: trial.sequence };
            let expects = (is_inbound && trial.is_tunnel).then_some(&mut *copies);
            let finding = examine(&asked, place, expects, newest, at_ns);
            let rank = |finding: &Finding| match finding {
                Finding::Authentic { .. } => 2,
                Finding::NoIcv => 1,
                _ => 0,
            };
            let is_right = rank(&finding) == 2;
            if best.as_ref().is_none_or(|(best, _)| rank(&finding) > rank(best)) {
                best = Some((finding, trial));
            }
            if is_right {
                break;
            }
        }
        let (finding, trial) = best?;
        let is_drawn = matches!(finding, Finding::Authentic { .. } | Finding::NoIcv);
        let serial = is_drawn.then(|| memory.draw(trial, &place.header, at_ns)).flatten();
        Some(Opinion { serial, sequence: trial.sequence, finding })
    }
}

impl Evidence {
    /// Of what no SA is about.
    fn plain(verdict: Verdict, reasons: Vec<Reason>) -> Self {
        Self { verdict, reasons: reasons.into(), sas: Box::default(), whole: None }
    }
}

/// An SA that is asked about a packet, or a key that is tried on it.
struct Asked<'a> {
    serial: u64,
    prepared: &'a Preparation,
    encrypts: bool,
    /// The packet's whole sequence number.
    sequence: u64,
}

impl<'a> Asked<'a> {
    fn of(known: &'a Known, sequence: u64) -> Self {
        Self { serial: known.serial, prepared: known.prepared(), encrypts: encrypts(&known.algorithms), sequence }
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
                    let inner = place.covered.get(12 + transform.icv_length().next_multiple_of(4)..);
                    let next_header = place.covered.first().copied().unwrap_or_default();
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
            match newest.open(asked.serial, transform, place.covered, high) {
                Ok(icv) => {
                    if let Some(copies) = copies {
                        expect_payload(copies, newest.next_header, newest.payload(), at_ns);
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
    fn open(&mut self, serial: u64, transform: &EspTransform, esp: &[u8], high: u32) -> Result<Icv, NotOpened> {
        self.serial = None;
        let opened = transform.open(esp, high, &mut self.plaintext)?;
        self.esp.clear();
        self.esp.extend_from_slice(esp);
        (self.serial, self.payload_length, self.next_header) =
            (Some(serial), opened.payload_length, opened.next_header);
        Ok(opened.icv)
    }

    /// The packet that was inside, if it was a whole one.
    pub(super) fn inner(&self) -> Option<Dissection> {
        matches!(self.next_header, 4 | 41).then(|| dissect_above_ip(self.next_header, self.payload()))
    }

    /// What was inside.
    pub(super) fn payload(&self) -> &[u8] {
        self.plaintext.get(..self.payload_length).unwrap_or_default()
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
    copies.expect(packet, at_ns);
    let version = packet.first().map_or(0, |byte| byte >> 4);
    if let Some(flow) = flow(&dissect_above_ip(if version == 6 { 41 } else { 4 }, packet), 0) {
        copies.expect_flow(flow, at_ns);
    }
}

fn of_icv(icv: Icv, encrypted: bool) -> Finding {
    match icv {
        Icv::Good => Finding::Authentic { encrypted },
        Icv::Bad => Finding::WrongIcv,
        Icv::Absent => Finding::NoIcv,
    }
}

fn verdict_of(protocol: IpsecProtocol, finding: &Finding) -> Verdict {
    match finding {
        Finding::Authentic { .. } if protocol == IpsecProtocol::Ah => Verdict::AhOk,
        Finding::Authentic { .. } => Verdict::EspOk,
        // A length that the cipher cannot have made is as good as a wrong ICV: no packet of this SA.
        Finding::WrongIcv | Finding::Malformed(Malformed::PartBlock { .. } | Malformed::AhLength { .. }) => {
            Verdict::BadIcv
        }
        Finding::NoSa(_) => Verdict::NoSa,
        Finding::SasUnreadable | Finding::Unready(Unready::KeyHidden(_)) => Verdict::NoKey,
        Finding::Unready(_) | Finding::NoIcv | Finding::Malformed(_) | Finding::InsideTransport => Verdict::Unproven,
        Finding::Repeated(_) => Verdict::Replay,
        Finding::Behind { .. } | Finding::Forgotten(_) => Verdict::Old,
        Finding::Missing(count) => Verdict::Gap(*count),
    }
}

/// The verdict over a frame with several headers: the worst; if all are fine, both words.
fn together(verdicts: &[Verdict]) -> Verdict {
    let weight = |verdict: &Verdict| match verdict {
        Verdict::BadIcv => 8,
        Verdict::NoSa => 7,
        Verdict::NoKey => 6,
        Verdict::Unproven => 5,
        Verdict::Replay => 4,
        Verdict::Old => 3,
        Verdict::Gap(_) => 2,
        _ => 0,
    };
    let worst = verdicts.iter().copied().max_by_key(weight).unwrap_or(Verdict::Unproven);
    let has = |wanted| verdicts.contains(&wanted);
    if weight(&worst) == 0 && has(Verdict::EspOk) && has(Verdict::AhOk) { Verdict::EspAhOk } else { worst }
}

/// The IPsec headers of a frame with the bytes that they are about.
fn places<'a>(bytes: &'a [u8], dissection: &Dissection) -> impl Iterator<Item = Place<'a>> {
    let mut headers = dissection.ipsec();
    let mut packet = 0;
    // Where the payload of the innermost packet so far ends: what is behind is padding.
    let end = dissection.layers().iter().rev().find(|layer| layer.header != Header::Padding);
    let end = end.map_or(bytes.len(), |layer| layer.range.end);
    dissection.layers().iter().filter_map(move |layer| {
        let covered = match &layer.header {
            Header::Ipv4(_) | Header::Ipv6(_) => {
                packet = layer.range.start;
                return None;
            }
            // An ESP layer is as long as its payload, of which several may follow one another in TCP.
            Header::Esp(_) | Header::IpComp(_) => layer.range.clone(),
            Header::Ah(_) => layer.range.start..end,
            _ => return None,
        };
        Some(Place {
            header: headers.next()?,
            packet: bytes.get(packet..end).unwrap_or_default(),
            at: layer.range.start.saturating_sub(packet),
            covered: bytes.get(covered).unwrap_or_default(),
        })
    })
}

/// What the first part of a packet says of the others.
fn first_of(dissection: &Dissection, interface: u32) -> Option<First> {
    let hides = |layer: &Layer| match &layer.header {
        Header::Esp(_) | Header::Ah(_) | Header::TcpStreamPiece | Header::TcpMessage(_) => true,
        // Too little of it came to tell what it is.
        Header::Unreadable(_) => true,
        _ => false,
    };
    if dissection.layers().iter().any(hides) {
        return Some(First::Protected);
    }
    if dissection.is_key_exchange() {
        return Some(First::KeyExchange);
    }
    flow(dissection, interface).map(First::Clear)
}

/// Whether behind this protocol there may be ESP, AH or IKE: they themselves, UDP and TCP.
fn may_carry_ipsec(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 50 | 51)
}

fn ends(dissection: &Dissection) -> Option<(IpAddr, IpAddr)> {
    dissection.layers().iter().find_map(|layer| layer.header.ip_addresses())
}

/// The first IP packet of a frame, without what fills the frame behind it.
fn first_ip(dissection: &Dissection) -> Option<std::ops::Range<usize>> {
    let start = dissection.layers().iter().find(|layer| layer.header.ip_addresses().is_some())?.range.start;
    let end = dissection.layers().iter().rev().find(|layer| layer.header != Header::Padding)?.range.end;
    Some(start..end)
}

fn peer(direction: Option<Direction>, dissection: &Dissection) -> Option<IpAddr> {
    let (source, destination) = ends(dissection)?;
    Some(match direction? {
        Direction::In => source,
        Direction::Out => destination,
    })
}

fn is_fragment(dissection: &Dissection) -> bool {
    dissection.layers().iter().any(|layer| match &layer.header {
        Header::Ipv4(ip) => ip.more_fragments || ip.fragment_offset > 0,
        Header::Ipv6Fragment(fragment) => fragment.more || fragment.offset > 0,
        _ => false,
    })
}

/// What the kernel chooses a policy by (`xfrm_decode_session`, `net/xfrm/xfrm_policy.c`).
pub(super) fn flow(dissection: &Dissection, interface: u32) -> Option<Flow> {
    let layers = dissection.layers();
    let ip = layers.iter().position(|layer| layer.header.ip_addresses().is_some())?;
    let (source, destination) = layers.get(ip)?.header.ip_addresses()?;
    let passed = |header: &Header| matches!(header, Header::Ipv6Extension(_) | Header::Ipv6Fragment(_));
    let above = layers.iter().skip(ip + 1).map(|layer| &layer.header).find(|header| !passed(header));
    let announced = match layers.get(ip).map(|layer| &layer.header) {
        Some(Header::Ipv4(ip)) => ip.protocol,
        Some(Header::Ipv6(ip)) => ip.next_header,
        _ => UpperProtocol::ANY,
    };
    let protocol = match above {
        Some(Header::Opaque(Protocol::OtherAboveIp(number)) | Header::FragmentTail(Protocol::OtherAboveIp(number))) => {
            *number
        }
        Some(Header::Tcp(_) | Header::FragmentTail(Protocol::Tcp)) => UpperProtocol::TCP,
        Some(Header::Udp(_) | Header::FragmentTail(Protocol::Udp)) => UpperProtocol::UDP,
        Some(Header::Icmp(_)) => UpperProtocol::ICMP,
        Some(Header::Icmpv6(_)) => UpperProtocol::ICMPV6,
        Some(Header::Gre(_)) => UpperProtocol::GRE,
        _ => announced,
    };
    let (source_port, destination_port) = above.and_then(Header::flow_ports).unwrap_or((0, 0));
    Some(Flow { source, destination, protocol, source_port, destination_port, interface })
}
