//! The judge.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::iter;
use std::net::IpAddr;

use super::copies::{Budget, Copies, Shown};
use super::fragments::{Fragments, Part};
use super::opinion::{Newest, Opinion};
use super::{Evidence, Finding, Interfaces, Policies, Reason, SaMemory, Sas, Sight, Totals, Verdict};
use crate::crypto::{Malformed, Unready};
use crate::model::{Flow, IfId, IpsecProtocol, Mode, TunnelInterface, UpperProtocol};
use crate::packet::{Direction, Dissection, Header, IpsecHeader, LinkType, NAT_TRAVERSAL, Protocol};

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
    /// The interfaces behind which packets are encrypted or wrapped, by their index.
    pub tunnel_interfaces: HashMap<u32, TunnelInterface>,
    /// What the kernel makes of the interfaces before it asks a policy.
    pub interfaces: Interfaces,
    pub(super) copies: Copies,
    /// What is decrypted to know which policy is about it.
    pub(super) openings: Budget,
    pub(super) fragments: Fragments,
    /// The ESP payload that was decrypted last: who looks into the frame at once need not do it again.
    pub(super) newest: Newest,
}

impl fmt::Debug for Judge {
    /// Without what was decrypted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("memory", &self.memory).field("totals", &self.totals).finish_non_exhaustive()
    }
}

/// What a packet in which ESP or IKE was found is to those who pass it on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// A packet in clear that carries another one.
    Certain,
    /// Perhaps a plain datagram or segment: no SA is known that sends its packets so.
    Uncertain,
    /// A plain datagram: nobody here takes ESP out of it.
    NoEncapsulation,
    /// What it looks like.
    Otherwise,
}

/// Where an IPsec header stands in its frame.
pub(super) struct Place<'a> {
    pub(super) header: IpsecHeader,
    /// The packet from its IP header on.
    pub(super) packet: &'a [u8],
    /// What it is in between IP and itself: UDP, TCP, or nothing.
    pub(super) carrier: Option<UpperProtocol>,
    /// Where the header begins in it.
    pub(super) at: usize,
    /// From the header to the end of what it covers.
    pub(super) covered: &'a [u8],
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
        for peer in self.fragments.forget_old(sight.at_ns) {
            // Nobody will ever know what it was.
            self.totals.count(Verdict::Unproven, peer);
        }
        let direction = self.direction_of(sight, dissection);
        let mut evidence = match Part::of(sight.bytes, dissection, interface).filter(|_| !sight.is_cut) {
            Some(part) => self.weigh_part(&part, sight, direction, dissection, interface),
            None => self.weigh(sight, direction, dissection, interface),
        };
        self.totals.count(evidence.verdict, peer(direction, dissection));
        self.say_before_the_wire(&mut evidence, interface);
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
        let direction = self.direction_of(sight, dissection);
        self.totals.take_back(before.verdict, peer(direction, dissection));
        let Some(packet) = &before.whole else {
            return self.judge(sight, dissection, interface);
        };
        let together = before.reasons.iter().find(|reason| matches!(reason, Reason::PutTogether(_))).cloned();
        let mut evidence = self.weigh_whole(packet.clone(), together, sight, direction, interface);
        self.totals.count(evidence.verdict, peer(direction, dissection));
        self.say_before_the_wire(&mut evidence, interface);
        evidence
    }

    /// Says of a frame that it is seen where it is not encrypted or wrapped yet, or not any more, whatever it is itself.
    fn say_before_the_wire(&self, evidence: &mut Evidence, interface: u32) {
        let reason = match self.tunnel_interfaces.get(&interface) {
            None => return,
            Some(TunnelInterface::Wrapping) => Reason::Wrapped,
            Some(TunnelInterface::Xfrm(_) | TunnelInterface::Vti) => Reason::TunnelInterface(None),
        };
        if !evidence.reasons.iter().any(|said| matches!(said, Reason::TunnelInterface(_))) {
            let reasons = std::mem::take(&mut evidence.reasons);
            evidence.reasons = reasons.into_iter().chain([reason]).collect();
        }
    }

    /// Frames are watched from now on: what was inside a tunnel's packet may be shown although that came before.
    pub fn begin_watching(&mut self, at_ns: u64) {
        self.copies.begin(at_ns);
    }

    /// Forgets the sums.
    pub fn forget_totals(&mut self) {
        self.totals = Totals::default();
    }

    fn direction_of(&self, sight: Sight<'_>, dissection: &Dissection) -> Option<Direction> {
        if sight.direction.is_some() || self.addresses.is_empty() {
            return sight.direction;
        }
        let (source, destination) = dissection.ends()?;
        match (self.addresses.contains(&source), self.addresses.contains(&destination)) {
            (true, false) => Some(Direction::Out),
            (false, true) => Some(Direction::In),
            _ => None,
        }
    }

    pub(super) fn weigh(
        &mut self,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        interface: u32,
    ) -> Evidence {
        let plain = Evidence::plain;
        let headers = || dissection.layers().iter().map(|layer| &layer.header);
        if dissection.first_ip().is_none() {
            return plain(Verdict::Other, Vec::new());
        }
        if dissection.is_protected() {
            let may_be_copy = direction == Some(Direction::In) && self.copies.has_protected();
            if may_be_copy && self.is_copy(sight, dissection) {
                return self.weigh_protected_copy(sight, direction, dissection, interface);
            }
            let evidence = self.weigh_protected(sight, direction, dissection, interface);
            return self.hold_against_outer(evidence, sight, direction, dissection, interface);
        }
        if dissection.is_key_exchange() {
            let evidence = plain(Verdict::Ike, Vec::new());
            return self.hold_against_outer(evidence, sight, direction, dissection, interface);
        }
        if headers().any(|header| *header == Header::TcpStreamPiece) {
            let evidence = plain(Verdict::Unproven, vec![Reason::StreamPiece]);
            return self.hold_against_outer(evidence, sight, direction, dissection, interface);
        }
        let is_cut_off = |header: &Header| matches!(header, Header::Unreadable(Protocol::Esp | Protocol::Ah));
        if sight.is_cut && headers().any(is_cut_off) {
            if direction == Some(Direction::In) {
                self.copies.expect_unopened(sight.at_ns);
            }
            return plain(Verdict::Unproven, vec![Reason::Cut]);
        }
        let tail_of = |header: &Header| matches!(header, Header::FragmentTail(Protocol::Esp | Protocol::Ah));
        if headers().any(tail_of) {
            if direction == Some(Direction::In) {
                // Put together it may be a tunnel's packet.
                self.copies.expect_unopened(sight.at_ns);
            }
            return plain(Verdict::Unproven, vec![Reason::Fragment]);
        }
        self.weigh_clear(sight, direction, dissection, flow(sight.bytes, dissection, interface))
    }

    /// A packet that carries another one in clear is in clear itself, whatever the other one is; so is what only looks like
    /// ESP in UDP or TCP. The policies are asked about it as the kernel does: where they forbid it, that is what counts.
    fn hold_against_outer(
        &mut self,
        evidence: Evidence,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        interface: u32,
    ) -> Evidence {
        let looks =
            if dissection.carries_another() { Looks::Certain } else { self.looks(&evidence, direction, dissection) };
        if looks == Looks::Otherwise {
            return evidence;
        }
        let (verdict, reasons) =
            self.verdict_in_clear(sight, direction, dissection, flow(sight.bytes, dissection, interface));
        let is_plain = looks == Looks::NoEncapsulation;
        let decides = match verdict {
            Verdict::ClearForbidden | Verdict::Copy => true,
            Verdict::Clear => is_plain,
            _ => false,
        };
        if decides {
            let known = evidence.reasons.into_iter().filter(|_| !is_plain);
            return Evidence { verdict, reasons: known.chain(reasons).collect(), ..evidence };
        }
        evidence
    }

    /// What looks like ESP in UDP or TCP: which ports carry it a receiver knows, and an onlooker guesses.
    fn looks(&self, evidence: &Evidence, direction: Option<Direction>, dissection: &Dissection) -> Looks {
        let is_unknown = matches!(evidence.verdict, Verdict::NoSa | Verdict::Unproven);
        let (Some(direction), Some(ends)) = (direction.filter(|_| is_unknown), dissection.ends()) else {
            return Looks::Otherwise;
        };
        let carrier = dissection.layers().iter().find_map(|layer| match &layer.header {
            Header::Udp(udp) => Some((UpperProtocol::UDP, [udp.source, udp.destination])),
            Header::Tcp(tcp) => Some((UpperProtocol::TCP, [tcp.source, tcp.destination])),
            _ => None,
        });
        let Some((protocol, [source, destination])) = carrier.filter(|_| evidence.sas.iter().all(Option::is_none))
        else {
            return Looks::Otherwise;
        };
        if self.memory.may_be_carried(protocol, ends) {
            return Looks::Otherwise;
        }
        // The kernel takes ESP out of the packets of sockets that were told so, whatever the other end's port is.
        let own = if direction == Direction::Out { source } else { destination };
        match protocol {
            UpperProtocol::UDP if own != NAT_TRAVERSAL && self.is_own(direction, ends) => Looks::NoEncapsulation,
            // Key exchange that is at work has sockets that take what policies forbid.
            _ if self.policies.has_sockets() => Looks::Otherwise,
            _ => Looks::Uncertain,
        }
    }

    /// Whether this host sends it, or it is for this host.
    fn is_own(&self, direction: Direction, (source, destination): (IpAddr, IpAddr)) -> bool {
        let own = if direction == Direction::Out { source } else { destination };
        self.addresses.contains(&own)
    }

    pub(super) fn weigh_clear(
        &mut self,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        flow: Option<Flow>,
    ) -> Evidence {
        let mut reasons = Vec::new();
        let mut sas = Sas::new();
        for place in places(sight.bytes, dissection) {
            reasons.push(Reason::Compressed);
            let opinion = self.opinion(&place, sight.at_ns, direction);
            self.expect(&opinion, &place, sight.at_ns);
            sas.push(opinion.serial);
        }
        let (verdict, found) = self.verdict_in_clear(sight, direction, dissection, flow);
        reasons.extend(found);
        Evidence { sas, ..Evidence::plain(verdict, reasons) }
    }

    fn verdict_in_clear(
        &mut self,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        flow: Option<Flow>,
    ) -> (Verdict, Vec<Reason>) {
        let mut reasons = Vec::new();
        let verdict = if sight.loopback {
            reasons.push(Reason::Loopback);
            Verdict::Clear
        } else if direction == Some(Direction::In) && self.is_copy(sight, dissection) {
            reasons.push(Reason::Decrypted);
            Verdict::Copy
        } else if let Some(reason) = self.on_tunnel_interface(flow, direction) {
            reasons.push(reason);
            Verdict::Copy
        } else {
            let found = flow.map_or_else(
                || vec![Reason::NoPolicy],
                |flow| {
                    let in_parts = dissection.is_fragment() && self.is_passed_on(&flow, direction);
                    let asked = self.asked(&flow, direction, IfId(0));
                    self.policies.judge_clear(&flow, asked, in_parts)
                },
            );
            let is_forbidden = found.iter().any(Reason::forbids);
            let may_be_forbidden = is_forbidden || found.contains(&Reason::PoliciesUnknown);
            let verdict = if may_be_forbidden && direction == Some(Direction::In) && self.may_be_copy(flow, sight.at_ns)
            {
                reasons.push(Reason::MaybeDecrypted);
                Verdict::Unproven
            } else if is_forbidden {
                Verdict::ClearForbidden
            } else {
                Verdict::Clear
            };
            reasons.extend(found);
            verdict
        };
        (verdict, reasons)
    }

    /// Whether it may have come out of a tunnel of which not all could be opened, or was seen.
    fn may_be_copy(&mut self, flow: Option<Flow>, at_ns: u64) -> bool {
        // What comes out of a tunnel came in no matter where.
        let flow = flow.filter(|flow| flow.protocol == UpperProtocol::TCP).map(|flow| Flow { interface: 0, ..flow });
        let Self { copies, memory, .. } = self;
        let is_from_before = copies.is_from_before(at_ns) && memory.may_have_tunnels();
        is_from_before || flow.is_some_and(|flow| copies.has_flow(&flow, at_ns)) || copies.take_unopened(at_ns)
    }

    /// On such an interface packets are shown before they are encrypted and after they were decrypted: not as they are on
    /// the wire. What no SA takes does not leave by it (`xfrmi_xmit2`, `vti_xmit`).
    fn on_tunnel_interface(&mut self, flow: Option<Flow>, direction: Option<Direction>) -> Option<Reason> {
        let flow = flow?;
        let if_id = match *self.tunnel_interfaces.get(&flow.interface)? {
            TunnelInterface::Xfrm(if_id) => if_id,
            // Which policies are for its mark nobody knows here.
            TunnelInterface::Vti => return Some(Reason::TunnelInterface(None)),
            TunnelInterface::Wrapping => return None,
        };
        let asked = self.asked(&flow, Some(direction?), if_id);
        let policy = self.policies.demand(&flow, asked).and_then(|demands| demands.first());
        Some(Reason::TunnelInterface(policy.map(|demand| Box::new(demand.policy))))
    }

    pub(super) fn is_copy(&mut self, sight: Sight<'_>, dissection: &Dissection) -> bool {
        Shown::of(sight.bytes, dissection).is_some_and(|shown| self.copies.take(shown, sight.at_ns))
    }

    /// Of tunnels in each other the kernel shows again what was inside of the outer one. That is a copy, unless something
    /// speaks against it. The frame around it may have been judged by the same headers: then its numbers were seen before,
    /// and what is inside of it is expected already.
    fn weigh_protected_copy(
        &mut self,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        interface: u32,
    ) -> Evidence {
        let expected = self.copies.expected();
        let evidence = self.weigh_protected(sight, direction, dissection, interface);
        let is_right = |reason: &Reason| matches!(reason, Reason::Header { finding: Finding::Authentic { .. }, .. });
        // What the policies say of it they say of the frame around it.
        let is_dropped = evidence.verdict == Verdict::Refused && evidence.reasons.iter().any(is_right);
        let is_known = matches!(evidence.verdict, Verdict::Replay | Verdict::Old);
        if is_known {
            self.copies.forget_newest(expected);
        }
        if !is_known && !is_dropped && !evidence.verdict.is_authentic() {
            return evidence;
        }
        let reasons = iter::once(Reason::Decrypted).chain(evidence.reasons.into_iter().filter(is_right)).collect();
        Evidence { verdict: Verdict::Copy, reasons, ..evidence }
    }

    fn weigh_protected(
        &mut self,
        sight: Sight<'_>,
        direction: Option<Direction>,
        dissection: &Dissection,
        interface: u32,
    ) -> Evidence {
        // Exactly as many reasons as most frames have: what has room to spare is moved once more in the end.
        let (mut reasons, mut sas) = (Vec::with_capacity(1), Sas::new());
        let mut verdicts = Together::default();
        if sight.is_cut {
            reasons.push(Reason::Cut);
        }
        if dissection.is_fragment() {
            reasons.push(Reason::Fragment);
        }
        let provable = reasons.is_empty();
        self.copies.newest = None;
        // Of the innermost header, which hides what is behind it.
        let mut last_opened = 0;
        for place in places(sight.bytes, dissection) {
            let header = &place.header;
            if !provable {
                let mut known = self.memory.of_packet(header.destination, header.protocol, header.spi, sight.at_ns);
                let known = known.next();
                let is_tunnel = known.is_some_and(|known| self.memory.may_carry_packets(known));
                sas.push(known.map(|known| known.serial));
                verdicts.take(Verdict::Unproven);
                if is_tunnel && direction == Some(Direction::In) {
                    self.copies.expect_unopened(sight.at_ns);
                }
                continue;
            }
            let opinion = self.opinion(&place, sight.at_ns, direction);
            let is_authentic = matches!(opinion.finding, Finding::Authentic { .. });
            let is_received = direction != Some(Direction::Out);
            let refused = if is_received { self.refusal(&opinion, &place) } else { None };
            // IPComp has no sequence numbers, and what is refused is not counted, but for what its inside betrays
            // (`xfrm_input` has advanced the window by then).
            let is_taken = matches!(refused, None | Some(Finding::NoPacket(_)));
            let counted = is_authentic && is_taken && header.protocol != IpsecProtocol::Comp;
            let (serial, at_ns) = (opinion.serial, sight.at_ns);
            let known = serial.filter(|_| counted);
            let is_known = known.is_some_and(|serial| self.memory.was_elsewhere(serial, interface, opinion.sequence));
            let out_of_turn =
                known.and_then(|serial| self.memory.take(serial, interface, opinion.sequence, is_received, at_ns));
            if refused.is_none()
                && !is_known
                && !out_of_turn.as_ref().is_some_and(|finding| self.drops(serial, finding))
            {
                self.expect(&opinion, &place, at_ns);
            }
            let (protocol, spi) = (header.protocol, header.spi);
            // The window is asked before the packet is looked at.
            let against = match out_of_turn {
                None | Some(Finding::Missing(_)) => refused.or(out_of_turn),
                before => before,
            };
            let Opinion { finding, opened, .. } = opinion;
            if protocol != IpsecProtocol::Comp {
                verdicts.take(verdict_of(protocol, against.as_ref().unwrap_or(&finding)));
            }
            sas.push(serial);
            last_opened = opened;
            reasons.push(Reason::Header { protocol, spi, finding });
            reasons.extend(against.map(|finding| Reason::Header { protocol, spi, finding }));
        }
        let mut evidence = Evidence { sas, opened: last_opened, ..Evidence::plain(verdicts.verdict(), reasons) };
        if let Some(direction) = direction.filter(|_| evidence.verdict.is_protected() && !sight.loopback)
            && let Some(standing) = self.standing(sight, direction, dissection, interface, &evidence)
        {
            match standing {
                Reason::Short { .. } => evidence.verdict = Verdict::Weak,
                Reason::NotOpened => evidence.verdict = Verdict::Unproven,
                Reason::Satisfied(_) => {}
                _ => evidence.verdict = Verdict::Refused,
            }
            evidence.reasons = evidence.reasons.into_iter().chain([standing]).collect();
        }
        evidence
    }
}

impl Judge {
    /// Why a packet's receiver drops it although its ICV is right (`xfrm_input`, `net/xfrm/xfrm_input.c`).
    fn refusal(&self, opinion: &Opinion, place: &Place<'_>) -> Option<Finding> {
        let known = self.memory.get(opinion.serial?)?;
        opinion.finding.encrypted()?;
        if !known.comes_in(place.carrier) {
            return Some(Finding::OtherCarrier(known.carrier()));
        }
        let carried = opinion.next_header.filter(|_| known.mode == Mode::Tunnel)?;
        // 59 is a dummy (RFC 4303 section 2.6), which nobody misses.
        (!matches!(carried, 4 | 41 | 59)).then_some(Finding::NoPacket(carried))
    }

    /// Whether the SA's receiver drops what was found out of turn: without a window it takes everything.
    fn drops(&self, serial: Option<u64>, finding: &Finding) -> bool {
        let has_window = serial.and_then(|serial| self.memory.get(serial)).is_some_and(|known| known.window > 0);
        has_window && !matches!(finding, Finding::Missing(_))
    }
}

impl Evidence {
    /// Of what no SA is about.
    pub(super) fn plain(verdict: Verdict, reasons: Vec<Reason>) -> Self {
        Self { verdict, reasons: reasons.into(), sas: Sas::new(), whole: None, opened: 0 }
    }
}

fn verdict_of(protocol: IpsecProtocol, finding: &Finding) -> Verdict {
    match finding {
        Finding::Authentic { .. } if protocol == IpsecProtocol::Ah => Verdict::AhOk,
        Finding::Authentic { .. } => Verdict::EspOk,
        Finding::WrongIcv | Finding::Impossible(_) => Verdict::BadIcv,
        Finding::Malformed(Malformed::Padding { .. } | Malformed::PartBlock { .. })
        | Finding::OtherCarrier(_)
        | Finding::NoPacket(_)
        | Finding::Zero
        | Finding::OutsideSelector(_) => Verdict::Refused,
        Finding::NoSa(_) => Verdict::NoSa,
        Finding::SasUnreadable | Finding::Unready(Unready::KeyHidden(_)) => Verdict::NoKey,
        Finding::Unready(_)
        | Finding::NoIcv { .. }
        | Finding::UncheckedIcv { .. }
        | Finding::Malformed(_)
        | Finding::InsideTransport => Verdict::Unproven,
        Finding::Repeated(_) => Verdict::Replay,
        Finding::Behind { .. } | Finding::Forgotten(_) => Verdict::Old,
        Finding::Missing(count) => Verdict::Gap(*count),
    }
}

/// The verdict over a frame with several headers: the worst; if all are fine, both words.
#[derive(Default)]
struct Together {
    worst: Option<Verdict>,
    has_esp: bool,
    has_ah: bool,
}

impl Together {
    fn weight(verdict: Verdict) -> u8 {
        match verdict {
            Verdict::BadIcv => 9,
            Verdict::NoSa => 8,
            Verdict::NoKey => 7,
            Verdict::Unproven => 6,
            Verdict::Refused => 5,
            Verdict::Replay => 4,
            Verdict::Old => 3,
            Verdict::Gap(_) => 2,
            _ => 0,
        }
    }

    fn take(&mut self, verdict: Verdict) {
        self.has_esp |= verdict == Verdict::EspOk;
        self.has_ah |= verdict == Verdict::AhOk;
        if self.worst.is_none_or(|worst| Self::weight(worst) <= Self::weight(verdict)) {
            self.worst = Some(verdict);
        }
    }

    fn verdict(&self) -> Verdict {
        match self.worst {
            Some(worst) if Self::weight(worst) == 0 && self.has_esp && self.has_ah => Verdict::EspAhOk,
            worst => worst.unwrap_or(Verdict::Unproven),
        }
    }
}

/// The IPsec headers of a frame with the bytes that they are about.
fn places<'a>(bytes: &'a [u8], dissection: &Dissection) -> impl Iterator<Item = Place<'a>> {
    let (mut packet, mut ends, mut carrier) = (0, None, None);
    let end = dissection.payload_end();
    dissection.layers().iter().filter_map(move |layer| {
        if layer.header.is_ip() {
            (packet, ends, carrier) = (layer.range().start, layer.header.ip_addresses(), None);
            return None;
        }
        match layer.header {
            Header::Udp(_) => carrier = Some(UpperProtocol::UDP),
            Header::Tcp(_) => carrier = Some(UpperProtocol::TCP),
            _ => {}
        }
        let header = layer.header.ipsec(ends?)?;
        // An ESP layer is as long as its payload, of which several may follow one another in TCP.
        let covered = if header.protocol == IpsecProtocol::Ah { layer.range().start..end } else { layer.range() };
        Some(Place {
            header,
            packet: bytes.get(packet..end).unwrap_or_default(),
            carrier,
            at: layer.range().start.saturating_sub(packet),
            covered: bytes.get(covered).unwrap_or_default(),
        })
    })
}

/// The first IP packet of a frame, without what fills the frame behind it.
pub(super) fn first_ip(dissection: &Dissection) -> Option<std::ops::Range<usize>> {
    Some(dissection.first_ip()?.range().start..dissection.payload_end())
}

pub(super) fn peer(direction: Option<Direction>, dissection: &Dissection) -> Option<IpAddr> {
    let direction = direction?;
    let (source, destination) = dissection.ends()?;
    Some(match direction {
        Direction::In => source,
        Direction::Out => destination,
    })
}

/// What the kernel chooses a policy by (`xfrm_decode_session`, `net/xfrm/xfrm_policy.c`).
pub(super) fn flow(bytes: &[u8], dissection: &Dissection, interface: u32) -> Option<Flow> {
    let layers = dissection.layers();
    let ip = layers.iter().position(|layer| layer.header.is_ip())?;
    let (source, destination) = layers.get(ip)?.header.ip_addresses()?;
    let passed = |header: &Header| matches!(header, Header::Ipv6Extension(_) | Header::Ipv6Fragment(_));
    let above = layers.iter().skip(ip + 1).find(|layer| !passed(&layer.header));
    let announced = match layers.get(ip).map(|layer| &layer.header) {
        Some(Header::Ipv4(ip)) => ip.protocol,
        Some(Header::Ipv6(ip)) => ip.next_header,
        _ => UpperProtocol::ANY,
    };
    let protocol = above.and_then(|layer| layer.header.protocol().number_above_ip()).unwrap_or(announced);
    let (source_port, destination_port) = above.and_then(|layer| layer.flow_ports(bytes)).unwrap_or((0, 0));
    Some(Flow { source, destination, protocol, source_port, destination_port, interface })
}
