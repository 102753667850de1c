//! The security policy database (RFC 4301 section 4.4.1): a copy of the kernel's, kept true by its events.

use std::cmp::Ordering;
use std::ops::Deref;

use super::slots::{Identified, Slot, Slots};
use super::{Policy, PolicyId, PolicyKind};

/// Policies by identity.
#[derive(Clone, Debug, Default)]
pub struct Spd(Slots<Policy>);

impl Spd {
    /// Adds a policy, or puts it in the place of the one with the same identity.
    pub fn insert(&mut self, policy: Policy) -> Slot {
        self.0.insert(policy).0
    }

    /// Takes a policy out.
    pub fn remove(&mut self, id: &PolicyId) -> Option<(Slot, Policy)> {
        self.0.remove(id)
    }

    /// Takes out what a flush of `kind` takes: never the policies of sockets.
    pub fn flush(&mut self, kind: PolicyKind) -> Vec<(Slot, Policy)> {
        let taken = |policy: &&Policy| policy.kind == kind && !policy.is_of_socket();
        let gone: Vec<PolicyId> = self.iter().map(|(_, policy)| policy).filter(taken).map(Policy::id).collect();
        gone.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// The policy in a slot, to renew its times; its identity must stay.
    pub fn at_mut(&mut self, slot: Slot) -> Option<&mut Policy> {
        self.0.at_mut(slot)
    }
}

impl Identified for Policy {
    type Id = PolicyId;

    fn id(&self) -> PolicyId {
        Policy::id(self)
    }
}

impl Deref for Spd {
    type Target = Slots<Policy>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<Vec<Policy>> for Spd {
    fn from(policies: Vec<Policy>) -> Self {
        Self(policies.into())
    }
}

/// The order in which the kernel asks policies of one direction: those of the packet's socket, then sub before main,
/// the lower priority number first, the older first among equals (`xfrm_policy_lookup_bytype`,
/// `net/xfrm/xfrm_policy.c`). The index tells which is older: it grows with each new policy, and an update, which leaves a
/// policy in its place, keeps it but renews its time. Directions are kept apart: out, in, fwd, sockets.
pub fn matching_order(a: &Policy, b: &Policy) -> Ordering {
    let direction = |policy: &Policy| match policy.direction.number() {
        1 => 0,
        0 => 1,
        other => other,
    };
    let kind = |policy: &Policy| u8::from(policy.kind != PolicyKind::Sub);
    direction(a)
        .cmp(&direction(b))
        .then_with(|| kind(a).cmp(&kind(b)))
        .then_with(|| a.priority.cmp(&b.priority))
        .then_with(|| a.index.cmp(&b.index))
        .then_with(|| a.used.added_at.cmp(&b.used.added_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PolicyDirection, PolicySpec, Prefix, Selector};

    fn policy(direction: PolicyDirection, host: u8, priority: u32, kind: PolicyKind, index: u32) -> Policy {
        let selector = Selector::between(Prefix::host([10, 0, 0, host].into()), Prefix::ANY_V4);
        let mut spec = PolicySpec::new(direction, selector);
        (spec.priority, spec.kind) = (priority, kind);
        Policy::from_spec(&spec, index, 1000)
    }

    #[test]
    fn order_is_the_kernels() {
        use PolicyDirection::{In, Out};
        use PolicyKind::{Main, Sub};
        let mut policies = [
            policy(In, 1, 0, Main, 8),
            policy(Out, 1, 5, Main, 1),
            policy(Out, 2, 5, Main, 9),
            policy(Out, 3, 1, Main, 17),
            policy(Out, 4, 9, Sub, 25),
        ];
        policies.reverse();
        policies.sort_by(matching_order);
        assert_eq!(policies.map(|policy| policy.index), [25, 17, 1, 9, 8]);
    }

    #[test]
    fn a_flush_leaves_sockets_and_the_other_kind() {
        let mut spd = Spd::from(vec![
            policy(PolicyDirection::In, 1, 0, PolicyKind::Main, 8),
            policy(PolicyDirection::In, 1, 0, PolicyKind::Sub, 16),
            policy(PolicyDirection::Socket(3), 1, 0, PolicyKind::Main, 3),
            policy(PolicyDirection::Socket(3), 1, 0, PolicyKind::Main, 11),
        ]);
        assert_eq!(spd.len(), 4, "two sockets may have the same selector");
        assert_eq!(spd.flush(PolicyKind::Main).len(), 1);
        assert_eq!(spd.len(), 3);
    }
}
