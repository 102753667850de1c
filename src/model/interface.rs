//! What the kernel makes of an interface before it asks a policy.

use std::fmt;

/// How policies are asked about an interface's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicySettings {
    /// The interface that its packets are routed on: itself, or the bridge or the bond that it is a port of. 0 if it is not
    /// known; all that follows is said of that one.
    pub routed: u32,
    /// On which interface the kernel says that packets are that arrive here for this host: on the loopback interface, or
    /// on the VRF that this one belongs to. 0 if it is not known.
    pub local: u32,
    /// `disable_policy` of IPv4, its own or that of all: about what arrives here no policy is asked.
    pub no_policy: bool,
    /// `disable_xfrm` of IPv4, its own or that of all: about what leaves here no policy is asked.
    pub no_xfrm: bool,
    /// `disable_policy` of IPv6, its own or that of all: about what comes to the addresses of this interface no policy is
    /// asked.
    pub no_policy_v6: bool,
}

/// A setting because of which the kernel asks no policy about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exemption {
    /// Of the interface on which it arrives.
    Policy,
    /// Of the interface on which it leaves.
    Xfrm,
    /// Of the interface whose address it comes to.
    PolicyV6,
}

impl fmt::Display for Exemption {
    /// The setting's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "net.ipv4.conf.*.disable_policy",
            Self::Xfrm => "net.ipv4.conf.*.disable_xfrm",
            Self::PolicyV6 => "net.ipv6.conf.*.disable_policy",
        })
    }
}
