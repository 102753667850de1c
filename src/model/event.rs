//! What the kernel says has happened to its SAs and policies.

use std::net::IpAddr;

use super::{IpsecProtocol, Policy, PolicyDefaults, PolicyId, PolicyKind, ReqId, Sa, SaId, Selector};

/// One message of XFRM's multicast groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// An SA is there.
    SaAdded(Box<Sa>),
    /// An SA has changed.
    SaUpdated(Box<Sa>),
    /// An SA was deleted.
    SaDeleted(SaId),
    /// An SA has met a limit: at the soft one it lives on, at the hard one it is gone, and no deletion follows.
    SaExpired {
        /// Which.
        id: SaId,
        /// Whether it is gone.
        hard: bool,
    },
    /// All SAs of a protocol are gone, and no deletion of each follows.
    SasFlushed(IpsecProtocol),
    /// A policy is there.
    PolicyAdded(Box<Policy>),
    /// A policy has changed.
    PolicyUpdated(Box<Policy>),
    /// A policy was deleted.
    PolicyDeleted(PolicyId),
    /// A policy has met a limit.
    PolicyExpired {
        /// Which.
        id: PolicyId,
        /// Whether it is gone.
        hard: bool,
    },
    /// All policies of a kind are gone, but those of sockets.
    PoliciesFlushed(PolicyKind),
    /// The fate of packets without a policy has changed.
    DefaultsChanged(PolicyDefaults),
    /// A packet waits for an SA that a key manager should make.
    Acquire {
        /// The packet's flow.
        selector: Selector,
        /// The SA's source.
        source: IpAddr,
        /// The SA's destination.
        destination: IpAddr,
        /// Its transform.
        protocol: IpsecProtocol,
    },
    /// The sequence numbers of an SA have moved on (only where replay events were asked for).
    Replay {
        /// Which SA.
        id: SaId,
        /// What ties it to policies.
        reqid: ReqId,
    },
    /// A peer behind NAT speaks from another address or port.
    Mapping {
        /// Which SA.
        id: SaId,
        /// The address and port that the SA knows.
        old: (IpAddr, u16),
        /// The ones that the packet came from.
        new: (IpAddr, u16),
    },
    /// A packet did not match what Mobile IPv6 demands.
    Report {
        /// Its transform.
        protocol: IpsecProtocol,
        /// Its flow.
        selector: Selector,
    },
    /// A policy and its SAs were moved to other addresses.
    Migrated {
        /// Which policy.
        selector: Selector,
    },
    /// Events were lost: only a new dump tells the truth again.
    Lost,
    /// A message that this program cannot read, with the reason; nothing of its content is kept.
    Unreadable {
        /// The netlink message type.
        message_type: u16,
        /// What is wrong with it, and where.
        reason: String,
    },
}
