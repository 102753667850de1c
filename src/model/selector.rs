//! Which packets an SA or a policy is about.

use std::fmt;
use std::net::IpAddr;

use super::{Prefix, SaFlags, UpperProtocol};

/// A port to compare with under a mask; the kernel matches when `port & mask == value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMatch {
    /// The port, or for ICMP the type (as source port) or code (as destination port), or half a GRE key.
    pub value: u16,
    /// 0 for any port, 0xffff for exactly `value`; the kernel allows other masks.
    pub mask: u16,
}

impl PortMatch {
    /// Every port.
    pub const ANY: Self = Self { value: 0, mask: 0 };

    /// This port alone.
    pub fn exactly(value: u16) -> Self {
        Self { value, mask: u16::MAX }
    }

    /// Whether every port matches.
    pub fn is_any(self) -> bool {
        self.mask == 0
    }

    /// Whether this port matches.
    pub fn contains(self, port: u16) -> bool {
        (port ^ self.value) & self.mask == 0
    }
}

impl fmt::Display for PortMatch {
    /// `any`, `4500`, or `4096/0xf000` for a part of the port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mask {
            0 => f.write_str("any"),
            u16::MAX => write!(f, "{}", self.value),
            mask => write!(f, "{}/{mask:#x}", self.value),
        }
    }
}

/// `xfrm_selector`: the packets between two prefixes, narrowed by protocol, ports and interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// Where the packet comes from.
    pub source: Prefix,
    /// Where it goes.
    pub destination: Prefix,
    /// The protocol above IP.
    pub protocol: UpperProtocol,
    /// Its source port, where it has ports.
    pub source_port: PortMatch,
    /// Its destination port.
    pub destination_port: PortMatch,
    /// The index of the interface that the packet uses; 0 for any.
    pub interface: u32,
    /// A user id that the kernel stores and ignores.
    pub user: u32,
    /// Whether the selector names no address family (`AF_UNSPEC`): the prefixes are then empty and match everything.
    pub any_family: bool,
}

impl Selector {
    /// Whether some packet may match both, by its addresses.
    pub fn meets(&self, other: &Self) -> bool {
        let meet =
            |a: Prefix, b: Prefix| if a.length < b.length { a.contains(b.address) } else { b.contains(a.address) };
        let of_all = self.any_family || other.any_family;
        of_all || (meet(self.source, other.source) && meet(self.destination, other.destination))
    }

    /// Everything between two prefixes of the same family.
    pub fn between(source: Prefix, destination: Prefix) -> Self {
        Self {
            source,
            destination,
            protocol: UpperProtocol::ANY,
            source_port: PortMatch::ANY,
            destination_port: PortMatch::ANY,
            interface: 0,
            user: 0,
            any_family: false,
        }
    }

    /// The selector that an SA to `address` gets when nobody asks for one: every packet of that family.
    pub fn everything_like(address: IpAddr) -> Self {
        let any = if address.is_ipv4() { Prefix::ANY_V4 } else { Prefix::ANY_V6 };
        Self::between(any, any)
    }

    /// The selector that the kernel gives to an SA for which nobody asks for one (`copy_from_user_state`,
    /// `net/xfrm/xfrm_user.c`).
    pub fn default_of(destination: IpAddr, flags: SaFlags) -> Self {
        if flags.any_family() {
            return Self { any_family: true, ..Self::between(Prefix::ANY_V4, Prefix::ANY_V4) };
        }
        Self::everything_like(destination)
    }

    /// Whether the kernel gives such a selector to an SA by itself.
    pub fn is_default_of(&self, destination: IpAddr, flags: SaFlags) -> bool {
        let is_of_its_family = self.destination.address.is_ipv4() == destination.is_ipv4();
        self.is_everything() && self.any_family == flags.any_family() && (self.any_family || is_of_its_family)
    }

    /// Whether it matches every packet of its family.
    pub fn is_everything(&self) -> bool {
        self.source.length == 0
            && self.destination.length == 0
            && self.protocol == UpperProtocol::ANY
            && self.source_port.is_any()
            && self.destination_port.is_any()
            && self.interface == 0
    }
}

impl fmt::Display for Selector {
    /// `10.1.0.0/24 10.2.0.0/24 tcp sport 22`; what is not asked for is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.destination)?;
        if self.protocol != UpperProtocol::ANY {
            write!(f, " {}", self.protocol)?;
        }
        let (source, destination) = match self.protocol {
            UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH => ("type", "code"),
            _ => ("sport", "dport"),
        };
        if !self.source_port.is_any() {
            write!(f, " {source} {}", self.source_port)?;
        }
        if !self.destination_port.is_any() {
            write!(f, " {destination} {}", self.destination_port)?;
        }
        if self.interface != 0 {
            write!(f, " if {}", self.interface)?;
        }
        Ok(())
    }
}

/// What a policy is chosen by: a packet's ends and what it carries (`struct flowi`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Where the packet comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// The protocol above IP.
    pub protocol: UpperProtocol,
    /// Its source port; for ICMP the type; 0 for protocols without ports.
    pub source_port: u16,
    /// Its destination port; for ICMP the code.
    pub destination_port: u16,
    /// The index of the interface, 0 if it is not known.
    pub interface: u32,
}

impl Selector {
    /// Whether packets between a flow's addresses may be meant, whatever else they are.
    pub fn is_between(&self, flow: &Flow) -> bool {
        self.any_family || self.destination.contains(flow.destination) && self.source.contains(flow.source)
    }

    /// Whether a packet of this flow is meant (`xfrm_selector_match`, `net/xfrm/xfrm_policy.c`).
    pub fn matches(&self, flow: &Flow) -> bool {
        self.is_between(flow)
            && self.destination_port.contains(flow.destination_port)
            && self.source_port.contains(flow.source_port)
            && (self.protocol == UpperProtocol::ANY || self.protocol == flow.protocol)
            && (self.interface == 0 || self.interface == flow.interface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_match_under_their_mask() {
        assert!(PortMatch::ANY.contains(7));
        assert!(PortMatch::exactly(7).contains(7) && !PortMatch::exactly(7).contains(8));
        let high = PortMatch { value: 0x8000, mask: 0x8000 };
        assert!(high.contains(0xffff) && !high.contains(0x7fff));
        assert_eq!(high.to_string(), "32768/0x8000");
    }

    #[test]
    fn a_selector_says_only_what_it_asks_for() {
        let mut selector = Selector::between("10.1.0.0/24".parse().unwrap(), "10.2.0.0/24".parse().unwrap());
        assert_eq!(selector.to_string(), "10.1.0.0/24 10.2.0.0/24");
        selector.protocol = UpperProtocol::TCP;
        selector.destination_port = PortMatch::exactly(22);
        assert_eq!(selector.to_string(), "10.1.0.0/24 10.2.0.0/24 tcp dport 22");
        selector.protocol = UpperProtocol::ICMP;
        assert_eq!(selector.to_string(), "10.1.0.0/24 10.2.0.0/24 icmp code 22");
        assert!(Selector::everything_like("::1".parse().unwrap()).is_everything());
    }
}
