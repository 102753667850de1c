//! The security policy database (RFC 4301 section 4.4.1): a copy of the kernel's, kept true by its events.

use std::cmp::Ordering;
use std::ops::Deref;

use super::slots::{Identified, Slot, Slots};
use super::{Policy, PolicyId, PolicyKind};

/// Policies by identity.
#[derive(Clone, Debug, Default)]
pub struct Spd {
    policies: Slots<Policy>,
    /// When the policy in each slot was made or changed last: a number that grows.
    turns: Vec<u64>,
    newest: u64,
}

impl Spd {
    /// Adds a policy, or puts it in the place of the one with the same identity.
    pub fn insert(&mut self, policy: Policy) -> Slot {
        let (slot, _) = self.policies.insert(policy);
        self.newest += 1;
        let place = usize::try_from(slot).unwrap_or(usize::MAX);
        if self.turns.len() <= place {
            self.turns.resize(place.saturating_add(1), 0);
        }
        if let Some(turn) = self.turns.get_mut(place) {
            *turn = self.newest;
        }
        slot
    }

    /// Takes a policy out.
    pub fn remove(&mut self, id: &PolicyId) -> Option<(Slot, Policy)> {
        self.policies.remove(id)
    }

    /// Every policy, the one that was made or changed longest ago first: the kernel's own list, from its end.
    pub fn oldest_first(&self) -> impl DoubleEndedIterator<Item = &Policy> {
        let turn = |slot: Slot| usize::try_from(slot).ok().and_then(|place| self.turns.get(place));
        let mut all: Vec<(Slot, &Policy)> = self.iter().collect();
        all.sort_by_key(|(slot, _)| turn(*slot));
        all.into_iter().map(|(_, policy)| policy)
    }

    /// Takes out what a flush of `kind` takes: never the policies of sockets.
    pub fn flush(&mut self, kind: PolicyKind) -> Vec<(Slot, Policy)> {
        let taken = |policy: &&Policy| policy.kind == kind && !policy.is_of_socket();
        let gone: Vec<PolicyId> = self.iter().map(|(_, policy)| policy).filter(taken).map(Policy::id).collect();
        gone.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// The policy in a slot, to renew its times; its identity must stay.
    pub fn at_mut(&mut self, slot: Slot) -> Option<&mut Policy> {
        self.policies.at_mut(slot)
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
        &self.policies
    }
}

impl From<Vec<Policy>> for Spd {
    /// From a list of the kernel's, the newest first.
    fn from(policies: Vec<Policy>) -> Self {
        let newest = policies.len() as u64;
        Self { policies: policies.into(), turns: (1..=newest).rev().collect(), newest }
    }
}

/// How a kernel decides which of two policies of one priority is asked first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ties {
    /// The older one (`xfrm_gen_pos`, `net/xfrm/xfrm_policy.c`, Linux 6.12).
    #[default]
    ByAge,
    /// Between policies of two hosts, and between wider ones, the older; between the two kinds that for two hosts, unless
    /// the other is the very first of the wide ones of its direction (`__xfrm_policy_eval_candidates`, where the first
    /// kind stands at 0, and so does the first of the second kind).
    HostsFirst,
    /// The same with other thresholds than those of the kernel: which ones are wide is not looked at here.
    Unclear,
}

/// The order in which the kernel asks policies of one direction: those of the packet's socket, then sub before main,
/// the lower priority number first, the older first among equals (`xfrm_policy_lookup_bytype`,
/// `net/xfrm/xfrm_policy.c`). The index tells which is older: it grows with each new policy, and an update, which leaves a
/// policy in its place, keeps it but renews its time. Among equals that is the rule with exceptions ([`Ties`], and indices
/// that somebody chose); verdicts are more exact than this order. Directions are kept apart: out, in, fwd, sockets.
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
    fn the_kernels_list_is_kept_with_what_happened_since() {
        let made = |host, index| policy(PolicyDirection::In, host, 0, PolicyKind::Main, index);
        // The kernel tells the newest first; numbers may be chosen.
        let mut spd = Spd::from(vec![made(3, 8), made(2, 800), made(1, 16)]);
        let hosts = |spd: &Spd| spd.oldest_first().map(|policy| policy.index).collect::<Vec<_>>();
        assert_eq!(hosts(&spd), [16, 800, 8]);
        spd.remove(&made(2, 800).id());
        // It takes the place that is free, and is the newest all the same; so is what is updated.
        spd.insert(made(4, 24));
        spd.insert(made(1, 16));
        assert_eq!(hosts(&spd), [8, 24, 16]);
        spd.insert(made(5, 32));
        assert_eq!(hosts(&spd), [8, 24, 16, 32]);
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
