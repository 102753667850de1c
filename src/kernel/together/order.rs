//! The place of a policy that is made again.
//!
//! Among policies of one priority the kernel asks the older one first, and one that is made again is the youngest. Those
//! that were behind it are put behind it again, without a moment in which they are not there: a policy whose priority is
//! updated goes to the end of those of its new priority (`xfrm_policy_insert_list`, `net/xfrm/xfrm_policy.c`).

use crate::kernel::{Kernel, Result};
use crate::model::spd::matching_order;
use crate::model::{Policy, PolicySpec};

/// Puts policies that were made again, named by their indices in the order in which they were made, where they were.
pub(super) fn restore(kernel: &mut dyn Kernel, restored: &[u32]) -> Result<()> {
    let mut policies = kernel.policies()?;
    policies.retain(|policy| !policy.is_of_socket());
    // By index, which is their order before: all that was made again has the index that it had.
    policies.sort_by(matching_order);
    for group in policies.chunk_by(are_equals) {
        let moved = moved(group, restored);
        let in_order = |pair: &[u32]| pair.first() <= pair.last();
        let made: Vec<u32> =
            restored.iter().copied().filter(|index| group.iter().any(|policy| policy.index == *index)).collect();
        if moved.len() == made.len() && made.windows(2).all(in_order) {
            continue;
        }
        for policy in moved {
            to_the_end(kernel, policy)?;
        }
    }
    Ok(())
}

/// Whether only their age decides which of them is asked first.
fn are_equals(a: &Policy, b: &Policy) -> bool {
    (a.direction, a.kind, a.priority) == (b.direction, b.kind, b.priority)
}

/// Those of equals that must go behind others, in their order: what was made again, and what is younger than one of
/// these and matches some of the same packets.
fn moved<'a>(group: &'a [Policy], restored: &[u32]) -> Vec<&'a Policy> {
    let mut moved: Vec<&Policy> = Vec::new();
    for policy in group {
        if restored.contains(&policy.index) || moved.iter().any(|other| other.selector.meets(&policy.selector)) {
            moved.push(policy);
        }
    }
    moved
}

fn to_the_end(kernel: &mut dyn Kernel, policy: &Policy) -> Result<()> {
    let spec = PolicySpec { index: policy.index, ..policy.to_spec() };
    let neighbour = policy.priority.checked_add(1).unwrap_or(policy.priority - 1);
    kernel.update_policy(&PolicySpec { priority: neighbour, ..spec.clone() })?;
    kernel.update_policy(&spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PolicyDirection, Prefix, Selector};

    fn policy(index: u32, source: &str) -> Policy {
        let selector = Selector::between(source.parse().unwrap(), Prefix::ANY_V4);
        Policy::from_spec(&PolicySpec::new(PolicyDirection::Out, selector), index, 0)
    }

    #[test]
    fn what_stood_behind_goes_behind_again_if_it_matches_the_same_packets() {
        let group = [
            policy(1, "10.1.0.0/16"),
            policy(9, "10.1.2.0/24"),
            policy(17, "10.9.0.0/16"),
            policy(25, "10.1.0.0/30"),
            policy(33, "10.1.2.7/32"),
        ];
        let moved = |restored: &[u32]| moved(&group, restored).iter().map(|policy| policy.index).collect::<Vec<_>>();
        assert_eq!(moved(&[1]), [1, 9, 25, 33]);
        assert_eq!(moved(&[9]), [9, 33]);
        assert_eq!(moved(&[33]), [33]);
        assert_eq!(moved(&[17]), [17]);
    }
}
