//! Why a probe could not be sent: the kernel has one number for a missing right and for a policy that blocks.

use std::io;
use std::net::IpAddr;

use rustix::thread::CapabilitySet;

use crate::capture::Probe;
use crate::kernel::{Kernel, XfrmKernel};
use crate::model::spd::matching_order;
use crate::model::{Policy, PolicyAction, PolicyDirection, Prefix, Selector};
use crate::privilege;

/// What an error means that the opening of a prober or its sending ended in.
pub fn why_unsent(error: &io::Error, host: IpAddr, probe: Probe) -> String {
    match (error.raw_os_error(), probe) {
        (Some(libc::EPERM), Probe::Icmp) if !privilege::effective().contains(CapabilitySet::NET_RAW) => {
            "the right to send ICMP is missing (CAP_NET_RAW)".to_owned()
        }
        // A socket that a policy kept from its peer has none.
        (Some(libc::EPERM | libc::EDESTADDRREQ), _) => {
            let policies = XfrmKernel::open().and_then(|mut kernel| kernel.policies()).unwrap_or_default();
            match blocking(&policies, host) {
                Some(policy) => format!("the policy {} blocks it", policy.id()),
                None => "a policy, or what becomes of packets without one, holds it back".to_owned(),
            }
        }
        _ => error.to_string(),
    }
}

/// The first policy that may be asked about what this host sends to another one, if it blocks.
fn blocking(policies: &[Policy], host: IpAddr) -> Option<&Policy> {
    let anywhere = if host.is_ipv4() { Prefix::ANY_V4 } else { Prefix::ANY_V6 };
    let flow = Selector::between(anywhere, Prefix::host(host));
    let is_asked = |policy: &&Policy| policy.direction == PolicyDirection::Out && policy.selector.meets(&flow);
    let first = policies.iter().filter(is_asked).min_by(|a, b| matching_order(a, b));
    first.filter(|policy| policy.action == PolicyAction::Block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PolicySpec;

    #[test]
    fn a_policy_that_blocks_is_named_if_it_is_asked_first() {
        let host = IpAddr::from([10, 9, 0, 2]);
        let policy = |direction, action, priority| {
            let mut spec = PolicySpec::new(direction, Selector::between(Prefix::ANY_V4, Prefix::host(host)));
            (spec.action, spec.priority) = (action, priority);
            Policy::from_spec(&spec, 1, 0)
        };
        let blocks = policy(PolicyDirection::Out, PolicyAction::Block, 5);
        let allows = policy(PolicyDirection::Out, PolicyAction::Allow, 4);
        let inward = policy(PolicyDirection::In, PolicyAction::Block, 1);
        assert_eq!(blocking(&[inward.clone(), blocks.clone()], host), Some(&blocks));
        assert_eq!(blocking(&[blocks.clone(), allows], host), None);
        assert_eq!(blocking(&[blocks, inward], [10, 9, 0, 3].into()), None);
    }
}
