//! Whether what a protected packet had is what its policy demands.
//!
//! The kernel compares the SAs that a packet came through with the policy's templates (`__xfrm_policy_check`,
//! `net/xfrm/xfrm_policy.c`) and drops what had less. Here the same is asked of a frame; where the answer needs what
//! cannot be read, there is none.

use std::net::IpAddr;

use super::Reason::{Satisfied, Short};
use super::judge::flow;
use super::policies::{Between, Demand, Received};
use super::{Evidence, Finding, Judge, Known, Reason, Sight};
use crate::model::{
    Flow, IfId, IpsecProtocol, Level, Mode, PolicyDirection, ReqId, Selector, Spi, Template, TunnelInterface,
    UpperProtocol,
};
use crate::packet::{Direction, Dissection, Header};

/// An SA that a packet came through.
struct Passed {
    protocol: IpsecProtocol,
    mode: Mode,
    spi: Spi,
    reqid: ReqId,
    source: IpAddr,
    destination: IpAddr,
    if_id: IfId,
    selector: Option<Selector>,
    is_special: bool,
}

impl Passed {
    fn of(known: &Known) -> Self {
        Self {
            protocol: known.id.protocol,
            mode: known.mode,
            spi: known.id.spi,
            reqid: known.reqid,
            source: known.source,
            destination: known.id.destination,
            if_id: known.if_id,
            selector: known.selector(),
            is_special: known.is_special(),
        }
    }

    /// `xfrm_state_ok`
    fn answers(&self, template: &Template) -> bool {
        self.protocol == template.protocol
            && (template.spi.0 == 0 || template.spi == self.spi)
            && (template.reqid.0 == 0 || template.reqid == self.reqid)
            && self.mode == template.mode
            && (self.mode == Mode::Transport || self.joins(template))
    }

    /// Whether it has the template's tunnel ends, as far as that names them.
    fn joins(&self, template: &Template) -> bool {
        let fits = |wanted: IpAddr, has| wanted.is_unspecified() || wanted == has;
        fits(template.source, self.source) && fits(template.destination, self.destination)
    }
}

impl Judge {
    /// What the policies over a packet demand, and whether it had that; `sas` are those that can be seen in it. Of what
    /// arrives also why its receiver drops it.
    pub(super) fn standing(
        &mut self,
        sight: Sight<'_>,
        direction: Direction,
        dissection: &Dissection,
        interface: u32,
        evidence: &Evidence,
    ) -> Option<Reason> {
        let passed = self.seen(evidence)?;
        let if_id = passed.first().map_or(IfId(0), |passed| passed.if_id);
        let asked = |judge: &Self, flow: &Flow| judge.asked(flow, Some(direction), if_id);
        // Who else sees it come does not drop it.
        let is_received = direction == Direction::In && dissection.ends().is_some_and(|(_, to)| self.is_for_us(to));
        let is_foreseeable =
            |passed: &Passed| !passed.is_special && matches!(passed.mode, Mode::Transport | Mode::Tunnel);
        let may_drop = is_received && self.is_interface(if_id) && passed.iter().all(is_foreseeable);
        let (passed, inner) = if passed.iter().any(|passed| passed.mode == Mode::Tunnel) {
            // Outbound ones are not opened when they are judged: the kernel wraps what it sends as the policy says. Of parts
            // the whole is asked about, or each without its ports.
            let opened = || {
                let inner = self.newest.inner().filter(|inner| self.newest.is_of(evidence) && !inner.is_fragment())?;
                flow(&self.newest.plaintext, &inner, interface)
            };
            let inner = self.copies.newest.or_else(opened).filter(|inner| !is_ipsec(inner.protocol))?;
            (passed, Flow { interface, ..inner })
        } else {
            // Most often the addresses alone tell the policy, and nothing needs to be opened.
            let outer = flow(sight.bytes, dissection, interface)?;
            let (asked, is_open) = (asked(self, &outer), self.newest.is_of(evidence));
            let is_selective = may_drop && passed.iter().filter_map(|passed| passed.selector).any(is_about_more);
            let mut must_be_opened = is_selective;
            match self.policies.demand_between(&outer, asked) {
                Between::Nothing if !may_drop || passed.iter().all(|passed| passed.selector.is_none()) => return None,
                Between::MoreMustBeKnown if !is_open && direction == Direction::Out => return None,
                Between::Demands(demands) => match held_against(demands, &passed) {
                    answer @ (None | Some(Satisfied(_))) if !is_selective => {
                        return outside(&passed, &outer, may_drop && asked.exemption.is_none()).or(answer);
                    }
                    answer => must_be_opened |= matches!(answer, Some(Short { .. })),
                },
                _ => {}
            }
            match self.opened(sight, dissection, interface, evidence, passed) {
                Some(opened) => opened,
                None => return must_be_opened.then_some(Reason::NotOpened),
            }
        };
        let asked = asked(self, &inner);
        // Behind a VTI what is passed on was asked about as what arrives.
        let is_vtis = || self.tunnel_interfaces.values().any(|interface| *interface == TunnelInterface::Vti);
        if !may_drop || asked.exemption.is_some() || asked.way == PolicyDirection::Forward && is_vtis() {
            return held_against(self.policies.demand(&inner, asked)?, &passed);
        }
        if let Some(outside) = outside(&passed, &inner, true) {
            return Some(outside);
        }
        let from_tunnel = passed.iter().any(|passed| passed.mode != Mode::Transport);
        let Some(received) = self.policies.received(&inner, asked) else {
            return held_against(self.policies.demand(&inner, asked)?, &passed);
        };
        match received {
            Received::Dropped(reason) => Some(reason),
            Received::Nothing => from_tunnel.then_some(Reason::TunnelWithoutPolicy),
            Received::Asks(policy, demands) => match held_against(demands, &passed) {
                Some(short @ Short { .. }) => Some(short),
                _ if has_more_tunnels(demands, &passed) => Some(Reason::NotDemanded(Box::new(policy))),
                answer => answer,
            },
        }
    }

    /// Whether packets of this number come through an xfrm interface here, or through none. What is not here may be in
    /// another namespace, or nowhere; then they have the number of none.
    fn is_interface(&self, number: IfId) -> bool {
        let is_it = |interface: &TunnelInterface| *interface == TunnelInterface::Xfrm(number);
        number.0 == 0 || self.tunnel_interfaces.values().any(is_it)
    }

    /// The SAs of the headers that can be seen; none if one of them is not known.
    fn seen(&self, evidence: &Evidence) -> Option<Vec<Passed>> {
        evidence.sas.iter().map(|serial| self.memory.get((*serial)?).map(Passed::of)).collect()
    }

    /// All SAs that a packet came through, those inside of others included, and what it was before.
    fn opened(
        &mut self,
        sight: Sight<'_>,
        dissection: &Dissection,
        interface: u32,
        evidence: &Evidence,
        mut passed: Vec<Passed>,
    ) -> Option<(Vec<Passed>, Flow)> {
        // Who opens what is slow for each packet falls behind.
        let is_slow = evidence.sas.iter().flatten().filter_map(|serial| self.memory.get(*serial)).any(Known::is_slow);
        if is_slow && !self.newest.is_of(evidence) && !self.openings.spend(sight.bytes.len(), sight.at_ns) {
            return None;
        }
        let looked = self.look_into(sight, dissection, evidence);
        if looked.obstacle.is_some() {
            return None;
        }
        let mut inner = flow(sight.bytes, dissection, interface)?;
        for inside in &looked.insides {
            let ends = Some((inside.header.source, inside.header.destination));
            for header in inside.dissection.ipsec_between(ends) {
                let known = self.memory.of_packet(header.destination, header.protocol, header.spi, sight.at_ns).next();
                passed.push(Passed::of(known?));
            }
            inner = match flow(&inside.plaintext, &inside.dissection, interface) {
                Some(flow) => flow,
                None => transport_flow(inner, inside.next_header, &inside.plaintext, &inside.dissection),
            };
        }
        Some((passed, inner))
    }

    pub(super) fn is_for_us(&self, destination: IpAddr) -> bool {
        let many = destination.is_multicast() || destination == IpAddr::from([255, 255, 255, 255]);
        self.addresses.is_empty() || self.addresses.contains(&destination) || many
    }
}

fn is_ipsec(protocol: UpperProtocol) -> bool {
    matches!(protocol.0, 50 | 51 | 108)
}

/// The SA that is not for such a packet, if its receiver asks. An interface in its selector is compared with one that
/// no capture shows.
fn outside(passed: &[Passed], flow: &Flow, is_asked: bool) -> Option<Reason> {
    let is_outside = |selector: &Selector| selector.interface == 0 && !selector.matches(flow);
    let outside = passed.iter().filter(|_| is_asked).find_map(|passed| {
        let selector = passed.selector.filter(is_outside)?;
        Some((passed.protocol, passed.spi, Finding::OutsideSelector(Box::new(selector))))
    });
    outside.map(|(protocol, spi, finding)| Reason::Header { protocol, spi, finding })
}

/// Whether more than the addresses must be known of a packet to tell whether it fits.
fn is_about_more(selector: Selector) -> bool {
    selector.protocol != UpperProtocol::ANY || !selector.source_port.is_any() || !selector.destination_port.is_any()
}

/// A packet between the same ends whose payload was read now.
fn transport_flow(around: Flow, next_header: u8, bytes: &[u8], payload: &Dissection) -> Flow {
    let passed = |header: &Header| matches!(header, Header::Ipv6Extension(_) | Header::Ah(_));
    let above = payload.layers().iter().find(|layer| !passed(&layer.header));
    let protocol = above.and_then(|layer| layer.header.protocol().number_above_ip());
    let ports = above.and_then(|layer| layer.flow_ports(bytes)).unwrap_or((0, 0));
    let protocol = protocol.unwrap_or(UpperProtocol(next_header));
    Flow { protocol, source_port: ports.0, destination_port: ports.1, ..around }
}

/// Whether a packet had what is demanded.
fn held_against(demands: &[Demand], passed: &[Passed]) -> Option<Reason> {
    Some(match first_unmet(demands, passed) {
        Some(Demand { policy, template: Template { protocol, mode, reqid, .. } }) => {
            Short { policy: Box::new(*policy), protocol: *protocol, mode: *mode, reqid: *reqid }
        }
        None => Satisfied(Box::new(demands.iter().find(|demand| demand.template.level != Level::Use)?.policy)),
    })
}

/// The first template that is not answered.
fn first_unmet<'d>(demands: &'d [Demand], passed: &[Passed]) -> Option<&'d Demand> {
    answered(demands, passed).err()
}

/// Whether it came out of a tunnel beside those that are demanded (`secpath_has_nontransport`). What has a tunnel of
/// IPComp's need not have been compressed.
fn has_more_tunnels(demands: &[Demand], passed: &[Passed]) -> bool {
    let is_more = |answered: usize| {
        let rest = passed.get(answered..).unwrap_or_default();
        rest.iter().any(|passed| passed.mode != Mode::Transport && passed.protocol != IpsecProtocol::Comp)
    };
    answered(demands, passed).is_ok_and(is_more)
}

/// How many SAs answer templates and stand before those that do, or the first template that is not answered, from the
/// outermost; `xfrm_policy_ok` for each of them. Whether something was compressed depends on whether it got smaller, and
/// says nothing about protection.
fn answered<'d>(demands: &'d [Demand], passed: &[Passed]) -> Result<usize, &'d Demand> {
    let mut next = 0;
    for demand in demands.iter().rev().filter(|demand| demand.template.protocol != IpsecProtocol::Comp) {
        let rest = passed.get(next..).unwrap_or_default();
        let reach = rest.iter().position(|passed| passed.mode != Mode::Transport).map_or(rest.len(), |at| at + 1);
        match rest.iter().take(reach).position(|passed| passed.answers(&demand.template)) {
            Some(at) => next += at + 1,
            None if demand.template.level == Level::Use => {}
            None => return Err(demand),
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PolicyDirection, PolicySpec, Prefix, Selector};

    fn passed(protocol: IpsecProtocol, mode: Mode, reqid: u32) -> Passed {
        let (source, destination) = ([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        Passed {
            protocol,
            mode,
            spi: Spi(0x1001),
            reqid: ReqId(reqid),
            source,
            destination,
            if_id: IfId(0),
            selector: None,
            is_special: false,
        }
    }

    /// Which policy they are of is of no matter here.
    fn demands(templates: &[Template]) -> Vec<Demand> {
        let selector = Selector::between(Prefix::ANY_V4, Prefix::ANY_V4);
        let policy = PolicySpec::new(PolicyDirection::In, selector).id();
        templates.iter().map(|template| Demand { policy, template: template.clone() }).collect()
    }

    fn template(protocol: IpsecProtocol, mode: Mode) -> Template {
        match mode {
            Mode::Tunnel => Template::new(protocol, mode, [10, 9, 0, 1].into(), [10, 9, 0, 2].into()),
            _ => Template::new(protocol, mode, [0; 4].into(), [0; 4].into()),
        }
    }

    #[test]
    fn templates_are_compared_as_the_kernel_does() {
        use IpsecProtocol::{Ah, Comp, Esp};
        use Mode::{Transport, Tunnel};
        let check = |templates: &[Template], passed: &[Passed], unmet: Option<IpsecProtocol>| {
            let demands = demands(templates);
            let found = first_unmet(&demands, passed).map(|demand| demand.template.protocol);
            assert_eq!(found, unmet, "{templates:?}");
        };
        let article = [template(Esp, Transport), template(Ah, Transport)];
        let (esp, ah) = (|| passed(Esp, Transport, 0), || passed(Ah, Transport, 0));
        check(&article, &[ah(), esp()], None);
        check(&article, &[esp()], Some(Ah));
        check(&article, &[ah()], Some(Esp));
        check(&article, &[esp(), ah()], Some(Esp));
        check(&article[..1], &[ah(), esp()], None);
        let mut optional = article.clone();
        optional[1].level = Level::Use;
        check(&optional, &[esp()], None);
        check(&[template(Esp, Tunnel)], &[esp()], Some(Esp));
        check(&[template(Esp, Tunnel)], &[passed(Esp, Tunnel, 0)], None);
        // What is behind a tunnel's end is another packet.
        check(&[template(Esp, Transport)], &[passed(Ah, Tunnel, 0), esp()], Some(Esp));
        check(&[template(Comp, Transport), template(Esp, Transport)], &[esp()], None);
        let mut tied = template(Esp, Transport);
        tied.reqid = ReqId(7);
        check(std::slice::from_ref(&tied), &[esp()], Some(Esp));
        check(std::slice::from_ref(&tied), &[passed(Esp, Transport, 7)], None);
        let mut other_ends = template(Esp, Tunnel);
        other_ends.source = [10, 9, 0, 3].into();
        check(&[other_ends], &[passed(Esp, Tunnel, 0)], Some(Esp));
    }
}
