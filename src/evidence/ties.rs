//! Which of two policies of one priority the kernel asks first, and whether that is certain.
//!
//! The kernel tells its policies from the youngest to the oldest, and each has a number that grows. Where both say the
//! same, all is well. They do not where a policy was updated, which keeps its number and mostly its place, but is told as
//! the youngest; nor where somebody chose the number. From outside one cannot be told from the other. Only what was given
//! a high number and updated later looks like the youngest without being it: nothing tells.

use std::collections::HashMap;

use crate::model::{Policy, PolicyDirection, Prefix, Ties};

/// Of more policies of one priority that are about the same packet nobody wants to know.
const MOST_EQUALS: usize = 100;

/// What is known of the place of a policy among others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) priority: u32,
    index: u32,
    /// How many are told to be older.
    age: usize,
    ends: [Prefix; 2],
    /// Whether no wide one of its direction is certainly before it, and it is wide itself.
    may_be_head: bool,
}

impl Standing {
    pub(super) fn of(policy: &Policy, age: usize) -> Self {
        let ends = [policy.selector.source, policy.selector.destination];
        Self { priority: policy.priority, index: policy.index, age, ends, may_be_head: false }
    }

    /// Whether the kernel finds it by its addresses, as long as nobody changes the thresholds.
    fn is_between_hosts(&self) -> bool {
        self.ends.iter().all(Prefix::is_host)
    }

    /// Whether it is older by all that is told.
    fn is_surely_older(&self, other: &Self) -> bool {
        self.age < other.age && self.index <= other.index
    }

    /// In which of its kinds of lists the kernel keeps it (`xfrm_policy_inexact_alloc_chain`): only within one list an
    /// update keeps its place in Linux 6.12 and later.
    fn list(&self) -> (bool, [bool; 2]) {
        let is_coarse = |end: &Prefix| end.length < if end.address.is_ipv4() { 16 } else { 48 };
        let is_any = |end: &Prefix| end.address.is_unspecified() || is_coarse(end);
        (self.is_between_hosts(), [is_any(&self.ends[0]), is_any(&self.ends[1])])
    }
}

impl Ties {
    /// Whether the first of two is asked before the second, most likely.
    pub(super) fn is_before(self, a: &Standing, b: &Standing) -> bool {
        match self {
            Self::ByAge => a.age < b.age,
            Self::HostsFirst if a.is_between_hosts() && !b.is_between_hosts() => !b.may_be_head,
            Self::HostsFirst if b.is_between_hosts() && !a.is_between_hosts() => a.may_be_head,
            Self::HostsFirst | Self::Unclear => (a.index, a.age) < (b.index, b.age),
        }
    }

    /// Whether what is known of some policies decides between any two of them. The kernel takes the first of each of its
    /// lists, and of those the oldest (`xfrm_policy_eval_candidates`): what an update left at the head of its list hides
    /// what is older there.
    pub(super) fn is_steady<'a>(self, all: impl Iterator<Item = &'a Standing>) -> bool {
        let all: Vec<&Standing> = all.take(MOST_EQUALS + 1).collect();
        let is_clear = |a: &Standing, b: &Standing| a.is_surely_older(b) || b.is_surely_older(a);
        let rest = |place: usize| all.iter().skip(place + 1);
        let mut pairs = all.iter().enumerate().flat_map(|(place, a)| rest(place).map(move |b| (*a, *b)));
        let are_few = all.len() <= MOST_EQUALS;
        self != Self::ByAge || are_few && pairs.all(|(a, b)| a.list() != b.list() || is_clear(a, b))
    }

    /// Whether it is so without a doubt.
    pub(super) fn is_certainly_before(self, a: &Standing, b: &Standing) -> bool {
        let is_of_hosts = a.is_between_hosts();
        match self {
            Self::ByAge if a.list() != b.list() => a.age < b.age,
            // Distributions give old numbers to kernels with newer rules: both must say the same. And the head is known as
            // such only once another wide one is made after what was before it is gone.
            Self::HostsFirst if is_of_hosts != b.is_between_hosts() => {
                is_of_hosts && !b.may_be_head && a.is_surely_older(b)
            }
            Self::ByAge | Self::HostsFirst => a.is_surely_older(b),
            Self::Unclear => a.ends == b.ends && a.is_surely_older(b),
        }
    }
}

/// Finds for each direction the wide ones that may be the very first of all, whatever they are about.
pub(super) fn find_heads<'a>(all: impl Iterator<Item = (PolicyDirection, &'a mut Standing)>) {
    let mut by_direction: HashMap<PolicyDirection, Vec<&mut Standing>> = HashMap::new();
    for (direction, standing) in all.filter(|(_, standing)| !standing.is_between_hosts()) {
        by_direction.entry(direction).or_default().push(standing);
    }
    for wide in by_direction.values_mut() {
        wide.sort_by_key(|standing| (standing.priority, standing.age));
        let Some(first) = wide.first().map(|standing| standing.priority) else { continue };
        let mut lowest = u32::MAX;
        for standing in wide.iter_mut().take_while(|standing| standing.priority == first) {
            standing.may_be_head = standing.index < lowest;
            lowest = lowest.min(standing.index);
        }
    }
}
