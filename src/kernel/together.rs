//! Several additions as one step: all of them, or none.

use super::{Kernel, Result};
use crate::model::pair::Half;

/// Adds a host's SAs and then its policies. What was added before a refusal is removed again, the last first.
///
/// # Errors
/// The kernel's refusal. If it even refuses to take back, it says that instead: then something is left.
pub fn add(kernel: &mut dyn Kernel, half: &Half) -> Result<()> {
    let mut added = (0, 0);
    let refusal =
        half.sas.iter().try_for_each(|sa| kernel.add_sa(sa).map(|()| added.0 += 1)).and_then(|()| {
            half.policies.iter().try_for_each(|policy| kernel.add_policy(policy).map(|()| added.1 += 1))
        });
    let Err(refusal) = refusal else {
        return Ok(());
    };
    let (sas, policies) = added;
    for policy in half.policies.iter().take(policies).rev() {
        kernel.delete_policy(&policy.id())?;
    }
    for sa in half.sas.iter().take(sas).rev() {
        kernel.delete_sa(&sa.id())?;
    }
    Err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ScriptedKernel;
    use crate::model::pair::PairPlan;
    use crate::model::{IpsecProtocol, Spi};

    #[test]
    fn what_was_added_before_a_refusal_goes_again() {
        let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
        let mut kernel = ScriptedKernel::at(0);
        kernel.add_policy(&half.policies[1]).unwrap();
        let refusal = add(&mut kernel, &half).unwrap_err();
        assert!(refusal.to_string().contains("adding policy in 10.9.0.2/32"), "{refusal}");
        assert_eq!((kernel.sas().unwrap().len(), kernel.policies().unwrap().len()), (0, 1));
        kernel.delete_policy(&half.policies[1].id()).unwrap();
        add(&mut kernel, &half).unwrap();
        assert_eq!((kernel.sas().unwrap().len(), kernel.policies().unwrap().len()), (2, 2));
        assert_eq!(kernel.sas().unwrap()[0].id().protocol, IpsecProtocol::Esp);
    }
}
