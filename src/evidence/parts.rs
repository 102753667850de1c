//! Parts of packets, and the packets that they make together.

use super::fragments::{First, Part, Taken};
use super::judge::{flow, peer};
use super::{Doubt, Evidence, Judge, Reason, Sight, Verdict};
use crate::model::{Flow, IfId};
use crate::packet::{Direction, Dissection, Header, Layer, LinkType};

impl Judge {
    /// A part of a packet proves nothing, but what it shows in clear can be read all the same.
    pub(super) fn weigh_part(
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
        let first = part.is_first().then(|| first_of(sight.bytes, dissection, interface)).flatten();
        let taken = self.fragments.take(part, first, peer(direction, dissection), sight.at_ns);
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
            None if part.may_carry_ipsec() => Evidence::plain(verdict, vec![reason]),
            None => self.weigh_clear(sight, direction, dissection, flow(sight.bytes, dissection, interface)),
        }
    }

    /// The frame completes a packet: all is said of that.
    pub(super) fn weigh_whole(
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
        let is_clear = matches!(evidence.verdict, Verdict::Clear | Verdict::ClearForbidden);
        let flow = flow(&packet, &dissection, interface).filter(|flow| is_clear && self.is_passed_on(flow, direction));
        let doubt = flow.and_then(|flow| self.doubt_of_parts(&flow, direction));
        let reasons = evidence.reasons.into_iter().chain(doubt).chain(together).collect();
        Evidence { reasons, whole: Some(packet), ..evidence }
    }
}

impl Judge {
    /// What is said if the parts of a packet in clear may have been asked about one by one.
    fn doubt_of_parts(&mut self, flow: &Flow, direction: Option<Direction>) -> Option<Reason> {
        let asked = self.asked(flow, direction, IfId(0));
        let reasons = self.policies.judge_clear(flow, asked, true);
        reasons.into_iter().find(|reason| matches!(reason, Reason::MaybeOther(Doubt::Parts, _)))
    }
}

/// What the first part of a packet says of the others.
fn first_of(bytes: &[u8], dissection: &Dissection, interface: u32) -> Option<First> {
    let hides = |layer: &Layer| match &layer.header {
        Header::Esp(_) | Header::Ah(_) | Header::TcpStreamPiece | Header::TcpMessage(_) => true,
        // Too little of it came to tell what it is.
        header => matches!(header, Header::Unreadable(_)),
    };
    if dissection.layers().iter().any(hides) {
        return Some(First::Protected);
    }
    if dissection.is_key_exchange() {
        return Some(First::KeyExchange);
    }
    flow(bytes, dissection, interface).map(First::Clear)
}
