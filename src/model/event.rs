//! What the kernel says has happened to its SAs and policies.

use std::net::IpAddr;

use super::extras::Encapsulation;
use super::{
    IfId, IpsecProtocol, LifetimeUsed, Mode, Policy, PolicyDefaults, PolicyDirection, PolicyId, PolicyKind, Replay,
    ReqId, Sa, SaDirection, SaId, Selector,
};

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
        /// Which, with what it has used; the kernel tells no keys here.
        sa: Box<Sa>,
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
        policy: Box<Policy>,
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
    Replay(Box<SaProgress>),
    /// A peer behind NAT speaks from another address or port.
    Mapping {
        /// Which SA.
        id: SaId,
        /// What ties it to policies.
        reqid: ReqId,
        /// Its way, where the kernel says it.
        direction: Option<SaDirection>,
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
    Migrated(Box<Migration>),
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

/// How far an SA has come, without its keys (`xfrm_aevent_id` and its attributes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaProgress {
    /// Which SA.
    pub id: SaId,
    /// Where its packets come from.
    pub source: IpAddr,
    /// What ties it to policies.
    pub reqid: ReqId,
    /// Why it is told: `XFRM_AE_*`.
    pub flags: u32,
    /// Its sequence numbers.
    pub replay: Option<Replay>,
    /// What it has done.
    pub used: Option<LifetimeUsed>,
    /// After how many packets the next event is due.
    pub replay_threshold: Option<u32>,
    /// After how many tenths of a second the next event is due.
    pub timer_threshold: Option<u32>,
    /// The xfrm interface it belongs to.
    pub if_id: Option<IfId>,
    /// Its way, where the kernel says it.
    pub direction: Option<SaDirection>,
    /// The CPU that alone uses it.
    pub cpu: Option<u32>,
}

/// A policy whose tunnel ends have moved, with its SAs (RFC 4555, `XFRM_MSG_MIGRATE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The policy's packets.
    pub selector: Selector,
    /// Their way.
    pub direction: PolicyDirection,
    /// Main or sub.
    pub kind: PolicyKind,
    /// Each pair of ends that has moved.
    pub moves: Vec<Move>,
    /// The key managers' own addresses from now on: the near one, the far one.
    pub key_managers: Option<(IpAddr, IpAddr)>,
    /// UDP or TCP around its SAs from now on.
    pub encapsulation: Option<Encapsulation>,
    /// The xfrm interface.
    pub if_id: Option<IfId>,
}

/// One pair of ends that has moved (`xfrm_user_migrate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The ends as they were: source, destination.
    pub from: (IpAddr, IpAddr),
    /// The ends as they are.
    pub to: (IpAddr, IpAddr),
    /// The SAs' transform.
    pub protocol: IpsecProtocol,
    /// How they wrap packets.
    pub mode: Mode,
    /// What ties them to the policy.
    pub reqid: ReqId,
}
