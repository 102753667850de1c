//! On which interface the kernel says that a packet is when it asks the policies, and whether it asks them at all.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::Judge;
use super::policies::{Asked, way};
use crate::model::{Exemption, Flow, IfId, PolicyDirection, PolicySettings};
use crate::packet::Direction;

/// What is known of this host's interfaces, by their index.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    settings: HashMap<u32, PolicySettings>,
    /// The addresses of IPv6 about whose packets no policy is asked.
    exempt: HashSet<IpAddr>,
}

/// Which interface a selector must name to be about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum On {
    /// This one.
    Certain(u32),
    /// This one, or none at all.
    Perhaps(u32),
    /// One of which nothing is known.
    Unknown,
}

impl Interfaces {
    /// From what is known of each: its index, its settings, and its addresses.
    pub fn new<'a>(all: impl Iterator<Item = (u32, PolicySettings, &'a [IpAddr])>) -> Self {
        let mut interfaces = Self::default();
        for (index, settings, addresses) in all {
            interfaces.settings.insert(index, settings);
            if settings.no_policy_v6 {
                interfaces.exempt.extend(addresses.iter().filter(|address| address.is_ipv6()));
            }
        }
        interfaces
    }

    /// On which interface the kernel says that a packet is. It looks at the route, not at the wire
    /// (`__xfrm_decode_session`, `net/xfrm/xfrm_policy.c`).
    fn on(&self, flow: &Flow, way: PolicyDirection) -> On {
        match (way, flow.destination) {
            // `ip_route_output_flow` names the interface of the route; for IPv6 only sockets that are bound to one name it,
            // and what is passed on has it.
            (PolicyDirection::Out, IpAddr::V4(_)) => On::Certain(self.routed(flow.interface)),
            (PolicyDirection::Out, IpAddr::V6(_)) => On::Perhaps(self.routed(flow.interface)),
            // The routes of multicast groups lead to the interface itself in IPv6 (`ip6_rt_get_dev_rcu`).
            (PolicyDirection::In, IpAddr::V6(group)) if group.is_multicast() => {
                On::Certain(self.routed(flow.interface))
            }
            (PolicyDirection::In, _) => match self.settings.get(&flow.interface) {
                Some(PolicySettings { local: local @ 1.., .. }) => On::Certain(*local),
                _ => On::Unknown,
            },
            // It is the one on which the packet will leave.
            (PolicyDirection::Forward | PolicyDirection::Socket(_), _) => On::Unknown,
        }
    }

    fn routed(&self, interface: u32) -> u32 {
        self.settings.get(&interface).map(|settings| settings.routed).filter(|routed| *routed != 0).unwrap_or(interface)
    }

    /// The setting because of which no policy is asked, if there is one (`__xfrm_policy_check2`, `include/net/xfrm.h`, and
    /// `xfrm_lookup`). Before Linux 5.11 the settings for all interfaces did nothing for IPv4.
    fn exemption(&self, flow: &Flow, way: PolicyDirection) -> Option<Exemption> {
        let settings = || self.settings.get(&flow.interface).copied().unwrap_or_default();
        match (way, flow.destination) {
            (PolicyDirection::Out, IpAddr::V4(_)) => settings().no_xfrm.then_some(Exemption::Xfrm),
            (PolicyDirection::In | PolicyDirection::Forward, IpAddr::V4(_)) => {
                settings().no_policy.then_some(Exemption::Policy)
            }
            // It is a flag of the routes to the host's own addresses (`addrconf_f6i_alloc`).
            (PolicyDirection::In, to @ IpAddr::V6(_)) => self.exempt.contains(&to).then_some(Exemption::PolicyV6),
            _ => None,
        }
    }
}

impl Judge {
    /// Which policies are asked about a packet; `if_id` is that of the SA that it came through.
    pub(super) fn asked(&self, flow: &Flow, direction: Option<Direction>, if_id: IfId) -> Asked {
        let way = way(direction, self.is_for_us(flow.destination));
        Asked { way, if_id, on: self.interfaces.on(flow, way), exemption: self.interfaces.exemption(flow, way) }
    }

    /// Whether a packet was neither made by this host nor is for it.
    pub(super) fn is_passed_on(&self, flow: &Flow, direction: Option<Direction>) -> bool {
        match direction {
            Some(Direction::Out) => !self.is_for_us(flow.source),
            _ => !self.is_for_us(flow.destination),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UpperProtocol;

    fn flow(source: &str, destination: &str) -> Flow {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Flow { source, destination, protocol: UpperProtocol::UDP, source_port: 1, destination_port: 2, interface: 3 }
    }

    #[test]
    fn the_route_decides_over_the_interface() {
        use PolicyDirection::{Forward, In, Out};
        let settings = PolicySettings { routed: 4, local: 1, ..PolicySettings::default() };
        let interfaces = Interfaces::new([(3, settings, &[][..])].into_iter());
        let (four, six, group) = (flow("10.0.0.1", "10.0.0.2"), flow("fd00::1", "fd00::2"), flow("fe80::1", "ff02::1"));
        for (flow, way, on) in [
            (four, In, On::Certain(1)),
            (four, Out, On::Certain(4)),
            (four, Forward, On::Unknown),
            (six, In, On::Certain(1)),
            (six, Out, On::Perhaps(4)),
            (group, In, On::Certain(4)),
        ] {
            assert_eq!(interfaces.on(&flow, way), on, "{flow:?} {way}");
        }
        assert_eq!(Interfaces::default().on(&four, In), On::Unknown);
        assert_eq!(Interfaces::default().on(&four, Out), On::Certain(3));
    }

    #[test]
    fn of_ipv6_the_interface_counts_that_has_the_address() {
        let exempt = PolicySettings { no_policy_v6: true, ..PolicySettings::default() };
        let (own, four): (IpAddr, IpAddr) = ("fd00::2".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let all = [(5, exempt, &[own, four][..]), (3, PolicySettings::default(), &[][..])];
        let interfaces = Interfaces::new(all.into_iter());
        let check = |to, way, exemption| assert_eq!(interfaces.exemption(&flow(to, to), way), exemption, "{to} {way}");
        check("fd00::2", PolicyDirection::In, Some(Exemption::PolicyV6));
        check("fd00::3", PolicyDirection::In, None);
        check("10.0.0.2", PolicyDirection::In, None);
        check("fd00::2", PolicyDirection::Out, None);
        check("fd00::2", PolicyDirection::Forward, None);
    }
}
