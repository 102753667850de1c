//! What can be asked of the SAD and the SPD without changing them.

use super::{PolicyDirection, PolicyId, PolicyKind, RowFilter, SaId};

/// A policy by the kernel's own number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyPlace {
    /// Its number.
    pub index: u32,
    /// Its direction, which the number's lowest three bits say too.
    pub direction: PolicyDirection,
    /// Main or sub.
    pub kind: PolicyKind,
}

/// What somebody wants to see of the SAD and the SPD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// One SA.
    Sa(SaId),
    /// All SAs that fit; all of them where nothing is said.
    Sas(Option<RowFilter>),
    /// One policy.
    Policy(Box<PolicyId>),
    /// The policy of this number.
    PolicyAt(PolicyPlace),
    /// All policies that fit, but none of a socket; all of them where nothing is said.
    Policies(Option<RowFilter>),
    /// How many SAs there are.
    CountSas,
    /// How many policies there are.
    CountPolicies,
    /// How packets without a policy fare.
    Defaults,
}
