//! Several changes as one step: all of them, or none.
//!
//! The kernel has no such thing: changes are made one after the other, and at a refusal those before it are taken back,
//! the last first. In between, packets meet what is there.

use super::{Kernel, KernelError, Operation, Result};
use crate::model::pair::Half;
use crate::model::sa::Replay;
use crate::model::{IpsecProtocol, Policy, PolicyId, PolicyKind, PolicySpec, Sa, SaId, SaSpec};

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Make an SA.
    AddSa(&'a SaSpec),
    /// Remove an SA.
    DeleteSa(SaId),
    /// Remove all SAs of a protocol.
    FlushSas(IpsecProtocol),
    /// Make a policy.
    AddPolicy(&'a PolicySpec),
    /// Remove a policy.
    DeletePolicy(PolicyId),
    /// Remove all policies of a kind.
    FlushPolicies(PolicyKind),
}

/// Why nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which step was refused, counted from 0.
    pub step: usize,
    /// The kernel's words.
    pub error: KernelError,
    /// What it refused even to take back: of these, something has changed after all.
    pub left: Vec<KernelError>,
}

/// What takes a step back.
enum Undo {
    DeleteSa(SaId),
    DeletePolicy(PolicyId),
    ResumeSa(Box<Sa>),
    AddPolicy(Box<PolicySpec>),
}

/// How far the sequence numbers of an SA that is made again are put ahead of what was read: packets may have been sent
/// between reading and deleting, and no number may be used twice.
const AHEAD: u64 = 1 << 16;

/// How many SAs are made with one message to the kernel.
const MOST_AT_ONCE: usize = 64;

/// Carries out all steps, or none.
///
/// # Errors
/// The kernel's refusal, after everything before it was taken back.
pub fn carry_out(kernel: &mut dyn Kernel, steps: &[Step<'_>]) -> std::result::Result<(), Refusal> {
    let mut undos = Vec::new();
    let mut place = 0;
    while let Some(step) = steps.get(place) {
        let many = sas_at(steps.get(place..).unwrap_or_default());
        let taken = if many.len() > 1 {
            take_many(kernel, &many, &mut undos)
        } else {
            take(kernel, step, &mut undos).map_err(|error| (0, error))
        };
        if let Err((behind, error)) = taken {
            let left = undos.into_iter().rev().filter_map(|undo| take_back(kernel, undo).err()).collect();
            return Err(Refusal { step: place + behind, error, left });
        }
        place += many.len().max(1);
    }
    Ok(())
}

/// The SAs that steps begin with, but not more than are sent at once.
fn sas_at<'a>(steps: &[Step<'a>]) -> Vec<&'a SaSpec> {
    let sa = |step: &Step<'a>| match step {
        Step::AddSa(spec) => Some(*spec),
        _ => None,
    };
    steps.iter().take(MOST_AT_ONCE).map_while(sa).collect()
}

/// Makes SAs; those that are made can be taken back, also if another one is refused.
fn take_many(
    kernel: &mut dyn Kernel,
    specs: &[&SaSpec],
    undos: &mut Vec<Undo>,
) -> std::result::Result<(), (usize, KernelError)> {
    let refusals = kernel.add_sas(specs);
    let is_made = |place: usize| !refusals.iter().any(|(refused, _)| *refused == place);
    let made = specs.iter().enumerate().filter(|(place, _)| is_made(*place));
    undos.extend(made.map(|(_, spec)| Undo::DeleteSa(spec.id())));
    refusals.into_iter().next().map_or(Ok(()), Err)
}

/// Adds a host's SAs and then its policies, all or none.
///
/// # Errors
/// The kernel's refusal. If it even refuses to take back, it says that instead: then something is left.
pub fn add(kernel: &mut dyn Kernel, half: &Half) -> Result<()> {
    let sas = half.sas.iter().map(Step::AddSa);
    let steps: Vec<Step<'_>> = sas.chain(half.policies.iter().map(Step::AddPolicy)).collect();
    carry_out(kernel, &steps).map_err(|refusal| refusal.left.into_iter().next().unwrap_or(refusal.error))
}

/// Makes an SA anew as `spec` says. Where its keys stay, its sequence numbers, counters and age go on.
///
/// # Errors
/// The kernel's refusal; then the SA is there as it was, unless the kernel refuses even that and says so.
pub fn replace_sa(kernel: &mut dyn Kernel, id: &SaId, spec: &SaSpec) -> Result<()> {
    let before = kernel.sa(id)?;
    kernel.delete_sa(id)?;
    let made = if keeps_numbers(&before, spec) {
        let after = Sa::from_spec(spec, before.used.added_at);
        let replay = Replay { window: spec.replay_window, ..ahead(&before) };
        kernel.resume_sa(&Sa { replay, used: before.used, ..after })
    } else {
        kernel.add_sa(spec)
    };
    made.or_else(|refusal| take_back(kernel, resume(before)).and(Err(refusal)))
}

/// Whether an SA that is made anew goes on with its numbers: with the keys that it had it must, with others it must not.
pub fn keeps_numbers(before: &Sa, after: &SaSpec) -> bool {
    before.algorithms == after.algorithms && before.flags.esn() == after.flags.esn()
}

fn take(kernel: &mut dyn Kernel, step: &Step<'_>, undos: &mut Vec<Undo>) -> Result<()> {
    match step {
        Step::AddSa(spec) => {
            kernel.add_sa(spec)?;
            undos.push(Undo::DeleteSa(spec.id()));
        }
        Step::AddPolicy(spec) => {
            kernel.add_policy(spec)?;
            undos.push(Undo::DeletePolicy(spec.id()));
        }
        Step::DeleteSa(id) => {
            let operation = || Operation::DeleteSa(*id);
            let sa = kernel.sa(id).map_err(|error| KernelError { operation: operation(), ..error })?;
            kernel.delete_sa(id)?;
            undos.push(resume(sa));
        }
        Step::DeletePolicy(id) => {
            let operation = || Operation::DeletePolicy(Box::new(*id));
            let policy = kernel.policy(id).map_err(|error| KernelError { operation: operation(), ..error })?;
            kernel.delete_policy(id)?;
            undos.push(Undo::AddPolicy(Box::new(policy.to_spec())));
        }
        Step::FlushSas(protocol) => {
            let is_flushed = |sa: &Sa| protocol.flushes(sa.protocol) && !sa.is_made_by_kernel() && !sa.is_larval();
            let flushed: Vec<Sa> = kernel.sas()?.into_iter().filter(is_flushed).collect();
            kernel.flush_sas(*protocol)?;
            undos.extend(flushed.into_iter().map(resume));
        }
        Step::FlushPolicies(kind) => {
            let is_flushed = |policy: &Policy| policy.kind == *kind && !policy.is_of_socket();
            let flushed: Vec<Policy> = kernel.policies()?.into_iter().filter(is_flushed).collect();
            kernel.flush_policies(*kind)?;
            undos.extend(flushed.iter().map(|policy| Undo::AddPolicy(Box::new(policy.to_spec()))));
        }
    }
    Ok(())
}

fn resume(mut sa: Sa) -> Undo {
    sa.replay = ahead(&sa);
    Undo::ResumeSa(Box::new(sa))
}

/// The sequence numbers of an SA that is made again.
fn ahead(sa: &Sa) -> Replay {
    let most = if sa.flags.esn() { u64::MAX } else { u32::MAX.into() };
    let mut replay = sa.replay.clone();
    // One that is at its end stays there.
    if replay.sent <= most - AHEAD {
        replay.sent += AHEAD;
    }
    replay
}

fn take_back(kernel: &mut dyn Kernel, undo: Undo) -> Result<()> {
    match undo {
        Undo::DeleteSa(id) => kernel.delete_sa(&id),
        Undo::DeletePolicy(id) => kernel.delete_policy(&id),
        Undo::ResumeSa(sa) => kernel.resume_sa(&sa),
        Undo::AddPolicy(spec) => kernel.add_policy(&spec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Cause, ScriptedKernel};
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

    #[test]
    fn what_was_deleted_before_a_refusal_is_there_again_and_goes_on_counting() {
        let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
        let mut kernel = ScriptedKernel::at(0);
        add(&mut kernel, &half).unwrap();
        let mut used = Sa::from_spec(&half.sas[0], 7);
        (used.replay.sent, used.replay.received, used.used.packets) = (1000, 900, 1900);
        kernel.delete_sa(&used.id()).unwrap();
        kernel.put_sa(used.clone());
        let policies = kernel.policies().unwrap();
        let steps = [
            Step::FlushPolicies(PolicyKind::Main),
            Step::DeleteSa(half.sas[1].id()),
            Step::FlushSas(IpsecProtocol::Any),
            Step::AddSa(&half.sas[1]),
            Step::AddSa(&half.sas[1]),
        ];
        let refusal = carry_out(&mut kernel, &steps).unwrap_err();
        assert_eq!((refusal.step, refusal.error.errno(), refusal.left), (4, Some(libc::EEXIST), Vec::new()));
        let resumed = kernel.sa(&used.id()).unwrap();
        assert_eq!((resumed.replay.sent, resumed.replay.received, resumed.used), (1000 + AHEAD, 900, used.used));
        assert_eq!(kernel.sas().unwrap().len(), 2);
        let selectors = |policies: &[Policy]| policies.iter().map(Policy::id).collect::<std::collections::HashSet<_>>();
        assert_eq!(selectors(&kernel.policies().unwrap()), selectors(&policies));
    }

    #[test]
    fn an_sa_that_is_replaced_goes_on_counting_unless_its_keys_change() {
        let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
        let mut kernel = ScriptedKernel::at(100);
        let mut used = Sa::from_spec(&half.sas[0], 7);
        used.replay.sent = 1000;
        kernel.put_sa(used.clone());
        let mut spec = half.sas[0].clone();
        spec.limits = crate::model::LifetimeLimits::ending_after(3600);
        replace_sa(&mut kernel, &used.id(), &spec).unwrap();
        let found = kernel.sa(&used.id()).unwrap();
        assert_eq!((found.replay.sent, found.used.added_at, found.limits), (1000 + AHEAD, 7, spec.limits));
        spec.algorithms = half.sas[1].algorithms.clone();
        kernel.refuse_after(2, Cause::Refused { errno: libc::EINVAL, text: None });
        assert_eq!(replace_sa(&mut kernel, &used.id(), &spec).unwrap_err().errno(), Some(libc::EINVAL));
        assert_eq!(kernel.sa(&used.id()).unwrap().algorithms, half.sas[0].algorithms);
        replace_sa(&mut kernel, &used.id(), &spec).unwrap();
        assert_eq!(kernel.sa(&used.id()).unwrap().replay.sent, 0);
    }

    #[test]
    fn what_cannot_be_taken_back_is_told() {
        let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
        let mut kernel = ScriptedKernel::at(0);
        let gone = Step::DeleteSa(half.sas[1].id());
        kernel.refuse_after(2, Cause::Refused { errno: libc::EPERM, text: None });
        let refusal = carry_out(&mut kernel, &[Step::AddSa(&half.sas[0]), gone]).unwrap_err();
        assert_eq!((refusal.step, refusal.left.len()), (1, 1));
    }
}
