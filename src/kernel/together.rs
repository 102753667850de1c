//! Several changes as one step: all of them, or none.
//!
//! The kernel has no such thing: changes are made one after the other, and at a refusal those before it are taken back,
//! the last first. In between, packets meet what is there.

mod order;

use super::{Cause, Kernel, KernelError, Operation, Result};
use crate::model::pair::Half;
use crate::model::policy::{DefaultsChange, HashThresholds, ThresholdsChange};
use crate::model::question::{PolicyPlace, Question};
use crate::model::sa::{Replay, SpiRequest};
use crate::model::spd::matching_order;
use crate::model::{
    Counts, IpsecProtocol, Policy, PolicyDefaults, PolicyId, PolicyKind, PolicySpec, RowFilter, Sa, SaId, SaSpec,
};

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
    /// Remove a policy if it is there.
    DeletePolicyIfThere(PolicyId),
    /// Remove all policies of a kind.
    FlushPolicies(PolicyKind),
    /// Change an SA, or give a larval one its keys.
    UpdateSa(&'a SaSpec),
    /// Remove all SAs that fit; all of them where nothing is said.
    DeleteSas(Option<&'a RowFilter>),
    /// Reserve an SPI.
    AllocateSpi(&'a SpiRequest),
    /// Change a policy, or make it.
    UpdatePolicy(&'a PolicySpec),
    /// Remove the policy of this number.
    DeletePolicyAt(PolicyPlace),
    /// Remove all policies that fit, but none of a socket; all of them where nothing is said.
    DeletePolicies(Option<&'a RowFilter>),
    /// Change the fate of packets without a policy.
    SetDefaults(DefaultsChange),
    /// Hash policies from other prefix lengths on.
    SetThresholds(ThresholdsChange),
    /// Change nothing, show something.
    Show(&'a Question),
}

impl Step<'_> {
    /// Whether something goes that was there.
    pub fn takes_away(&self) -> bool {
        match self {
            Self::DeleteSa(_)
            | Self::DeleteSas(_)
            | Self::FlushSas(_)
            | Self::DeletePolicy(_)
            | Self::DeletePolicyIfThere(_)
            | Self::DeletePolicyAt(_)
            | Self::DeletePolicies(_)
            | Self::FlushPolicies(_) => true,
            Self::AddSa(_)
            | Self::UpdateSa(_)
            | Self::AllocateSpi(_)
            | Self::AddPolicy(_)
            | Self::UpdatePolicy(_)
            | Self::SetDefaults(_)
            | Self::SetThresholds(_)
            | Self::Show(_) => false,
        }
    }
}

/// What a step has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// SAs, oldest first.
    Sas(Vec<Sa>),
    /// Policies, in the order in which the kernel asks them.
    Policies(Vec<Policy>),
    /// How many SAs there are.
    SaCounts(Counts),
    /// How many policies there are, and from which prefix lengths on they are hashed.
    PolicyCounts(Counts, HashThresholds),
    /// How packets without a policy fare.
    Defaults(PolicyDefaults),
    /// The SPI that was reserved.
    Allocated(Box<Sa>),
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
    /// What the steps before it had to tell, each with its place.
    pub answers: Vec<(usize, Answer)>,
}

/// What takes a step back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Undo {
    DeleteSa(SaId),
    /// It may have gone by itself, or with what came after it.
    FreeSpi(SaId),
    DeletePolicy(Box<PolicySpec>),
    ResumeSa(Box<Sa>),
    AddPolicy(Box<PolicySpec>),
    UpdateSa(Box<SaSpec>),
    UpdatePolicy(Box<PolicySpec>),
    SetDefaults(PolicyDefaults),
    SetThresholds(HashThresholds),
}

/// How far the sequence numbers of an SA that is made again are put ahead of what was read: packets may have been sent
/// between reading and deleting, and no number may be used twice.
const AHEAD: u64 = 1 << 16;

/// How many SAs are made with one message to the kernel.
const MOST_AT_ONCE: usize = 64;

/// Carries out all steps, or none. Returns what they had to tell, each with its step's place.
///
/// # Errors
/// The kernel's refusal, after everything before it was taken back.
pub fn carry_out(
    kernel: &mut dyn Kernel,
    steps: &[Step<'_>],
) -> std::result::Result<Vec<(usize, Answer)>, Box<Refusal>> {
    carry_out_unless(kernel, steps, || false)
}

/// The same, unless `is_unwanted` says in between that nobody wants it any more: then it is as if the kernel had refused
/// the next step.
///
/// # Errors
/// As [`carry_out`].
pub fn carry_out_unless(
    kernel: &mut dyn Kernel,
    steps: &[Step<'_>],
    is_unwanted: impl Fn() -> bool,
) -> std::result::Result<Vec<(usize, Answer)>, Box<Refusal>> {
    let (mut undos, mut answers) = (Vec::with_capacity(steps.len()), Vec::new());
    let mut place = 0;
    while let Some(step) = steps.get(place) {
        let many = sas_at(steps.get(place..).unwrap_or_default());
        let taken = if is_unwanted() {
            Err((0, KernelError { operation: Operation::CarryOut, cause: Cause::Interrupted }))
        } else if many.len() > 1 {
            take_many(kernel, &many, &mut undos).map(|()| None)
        } else {
            take(kernel, step, &mut undos).map_err(|error| (0, error))
        };
        match taken {
            Ok(answer) => answers.extend(answer.map(|answer| (place, answer))),
            Err((behind, error)) => {
                let left = take_all_back(kernel, undos);
                return Err(Box::new(Refusal { step: place + behind, error, left, answers }));
            }
        }
        place += many.len().max(1);
    }
    Ok(answers)
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

/// What takes a change back that was carried out whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reversal(Vec<Undo>);

impl Reversal {
    /// How many SAs and policies went with the change.
    pub fn gone(&self) -> (usize, usize) {
        let count = |is_one: fn(&&Undo) -> bool| self.0.iter().filter(is_one).count();
        (count(|undo| matches!(undo, Undo::ResumeSa(_))), count(|undo| matches!(undo, Undo::AddPolicy(_))))
    }

    /// Takes the change back, the last of it first.
    ///
    /// # Errors
    /// What the kernel refuses; all else is taken back nevertheless.
    pub fn carry_out(&self, kernel: &mut dyn Kernel) -> Result<()> {
        take_all_back(kernel, self.0.clone()).into_iter().next().map_or(Ok(()), Err)
    }
}

/// Makes a host's new SAs and policies and removes its old ones, all or none; what is gone already is no refusal. The
/// policies go before the SAs that they demand.
///
/// # Errors
/// The kernel's refusal. If it even refuses to take back, it says that instead: then something is left.
pub fn exchange(kernel: &mut dyn Kernel, half: &Half) -> Result<Reversal> {
    let sas: Vec<&SaSpec> = half.sas.iter().collect();
    let old_sas: Vec<SaId> = half.old_sas.iter().map(|old| old.id).collect();
    all_or_none(kernel, |kernel, undos| {
        for some in sas.chunks(MOST_AT_ONCE) {
            take_many(kernel, some, undos).map_err(|(_, error)| error)?;
        }
        for policy in &half.policies {
            take(kernel, &Step::AddPolicy(policy), undos)?;
        }
        delete_each(kernel, &half.old_policies, undos, delete_policy, libc::ENOENT)?;
        delete_each(kernel, &old_sas, undos, delete_sa, libc::ESRCH)
    })
}

/// Takes everything back that was done before a refusal.
fn all_or_none(
    kernel: &mut dyn Kernel,
    work: impl FnOnce(&mut dyn Kernel, &mut Vec<Undo>) -> Result<()>,
) -> Result<Reversal> {
    let mut undos = Vec::new();
    match work(kernel, &mut undos) {
        Ok(()) => Ok(Reversal(undos)),
        Err(refusal) => Err(take_all_back(kernel, undos).into_iter().next().unwrap_or(refusal)),
    }
}

/// Removes these SAs, all or none; one that is gone already is no refusal.
///
/// # Errors
/// The kernel's refusal. If it even refuses to make again what went, it says that instead: then that is gone.
pub fn delete_sas(kernel: &mut dyn Kernel, ids: &[SaId]) -> Result<Reversal> {
    all_or_none(kernel, |kernel, undos| delete_each(kernel, ids, undos, delete_sa, libc::ESRCH))
}

/// Removes these policies, all or none; one that is gone already is no refusal.
///
/// # Errors
/// As [`delete_sas`].
pub fn delete_policies(kernel: &mut dyn Kernel, ids: &[PolicyId]) -> Result<Reversal> {
    all_or_none(kernel, |kernel, undos| delete_each(kernel, ids, undos, delete_policy, libc::ENOENT))
}

fn delete_each<Id>(
    kernel: &mut dyn Kernel,
    ids: &[Id],
    undos: &mut Vec<Undo>,
    delete: fn(&mut dyn Kernel, &Id, &mut Vec<Undo>) -> Result<()>,
    gone: i32,
) -> Result<()> {
    let mut pending: Vec<&Id> = ids.iter().collect();
    loop {
        let (mut hidden, mut refusal) = (Vec::new(), None);
        let count = pending.len();
        for id in pending {
            match delete(kernel, id, undos) {
                // One behind another that is to go as well goes after it.
                Err(error) if matches!(error.cause, Cause::WouldTake(_)) => {
                    hidden.push(id);
                    refusal = Some(error);
                }
                Err(error) if error.errno() != Some(gone) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        match refusal {
            None => return Ok(()),
            Some(refusal) if hidden.len() == count => return Err(refusal),
            Some(_) => pending = hidden,
        }
    }
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
    made.or_else(|refusal| take_back(kernel, resume(before)).map_err(not_taken_back).and(Err(refusal)))
}

/// Whether an SA that is made anew goes on with its numbers: with the keys that it had it must, with others it must not.
pub fn keeps_numbers(before: &Sa, after: &SaSpec) -> bool {
    *before.algorithms == after.algorithms && before.flags.esn() == after.flags.esn()
}

fn take(kernel: &mut dyn Kernel, step: &Step<'_>, undos: &mut Vec<Undo>) -> Result<Option<Answer>> {
    match step {
        Step::AddSa(spec) => {
            kernel.add_sa(spec)?;
            undos.push(Undo::DeleteSa(spec.id()));
        }
        Step::AddPolicy(spec) => {
            kernel.add_policy(spec)?;
            undos.push(Undo::DeletePolicy(Box::new((*spec).clone())));
        }
        Step::DeleteSa(id) => delete_sa(kernel, id, undos)?,
        Step::DeletePolicy(id) => delete_policy(kernel, id, undos)?,
        Step::DeletePolicyIfThere(id) => match delete_policy(kernel, id, undos) {
            Err(error) if error.errno() == Some(libc::ENOENT) => {}
            other => other?,
        },
        Step::FlushSas(protocol) => flush_sas(kernel, *protocol, undos)?,
        Step::FlushPolicies(kind) => flush_policies(kernel, *kind, undos)?,
        Step::UpdateSa(spec) => update_sa(kernel, spec, undos)?,
        Step::DeleteSas(filter) => {
            // Those that the kernel made itself go with the ones that they belong to.
            // The newest first: an older one may hide behind it, and taken back they are in their order again.
            for sa in fitting_sas(kernel, *filter)?.iter().rev().filter(|sa| !sa.is_made_by_kernel()) {
                delete_sa(kernel, &sa.id(), undos)?;
            }
        }
        Step::AllocateSpi(wanted) => {
            let sa = kernel.allocate_spi(wanted)?;
            undos.push(Undo::FreeSpi(sa.id()));
            return Ok(Some(Answer::Allocated(Box::new(sa))));
        }
        Step::UpdatePolicy(spec) => update_policy(kernel, spec, undos)?,
        Step::DeletePolicyAt(place) => {
            let policy = policy_at(kernel, *place)?;
            delete_listed(kernel, &policy, undos)?;
        }
        Step::DeletePolicies(filter) => {
            for policy in fitting_policies(kernel, *filter)?.iter().rev() {
                delete_listed(kernel, policy, undos)?;
            }
        }
        Step::SetDefaults(change) => {
            let before = kernel.defaults()?;
            kernel.set_defaults(change.on(before))?;
            undos.push(Undo::SetDefaults(before));
        }
        Step::SetThresholds(change) => {
            let before = kernel.thresholds()?;
            kernel.set_thresholds(change.on(before))?;
            undos.push(Undo::SetThresholds(before));
        }
        Step::Show(question) => return answer(kernel, question).map(Some),
    }
    Ok(None)
}

fn flush_sas(kernel: &mut dyn Kernel, protocol: IpsecProtocol, undos: &mut Vec<Undo>) -> Result<()> {
    let is_flushed = |sa: &Sa| protocol.flushes(sa.protocol) && !sa.is_made_by_kernel() && !sa.is_larval();
    let flushed: Vec<Sa> = kernel.sas()?.into_iter().filter(is_flushed).collect();
    kernel.flush_sas(protocol)?;
    undos.extend(flushed.into_iter().map(resume));
    Ok(())
}

fn flush_policies(kernel: &mut dyn Kernel, kind: PolicyKind, undos: &mut Vec<Undo>) -> Result<()> {
    let is_flushed = |policy: &Policy| policy.kind == kind && !policy.is_of_socket();
    let flushed: Vec<Policy> = kernel.policies()?.into_iter().filter(is_flushed).collect();
    kernel.flush_policies(kind)?;
    undos.extend(flushed.iter().map(|policy| Undo::AddPolicy(Box::new(again(policy)))));
    Ok(())
}

fn delete_sa(kernel: &mut dyn Kernel, id: &SaId, undos: &mut Vec<Undo>) -> Result<()> {
    let operation = || Operation::DeleteSa(*id);
    let sa = kernel.sa(id).map_err(|error| KernelError { operation: operation(), ..error })?;
    kernel.delete_sa(id)?;
    // A reserved SPI is not made again: its owner would not know of it.
    undos.extend(Some(sa).filter(|sa| !sa.is_larval()).map(resume));
    Ok(())
}

fn delete_policy(kernel: &mut dyn Kernel, id: &PolicyId, undos: &mut Vec<Undo>) -> Result<()> {
    let operation = || Operation::DeletePolicy(Box::new(*id));
    let policy = match kernel.policy(id) {
        // One with a label is not found by what it matches alone.
        Err(error) if error.errno() == Some(libc::ENOENT) => {
            return match kernel.policies()?.into_iter().find(|policy| policy.id() == *id) {
                Some(labelled) => delete_listed(kernel, &labelled, undos),
                None => Err(KernelError { operation: operation(), ..error }),
            };
        }
        other => other.map_err(|error| KernelError { operation: operation(), ..error })?,
    };
    kernel.delete_policy(id)?;
    undos.push(Undo::AddPolicy(Box::new(again(&policy))));
    Ok(())
}

fn delete_listed(kernel: &mut dyn Kernel, policy: &Policy, undos: &mut Vec<Undo>) -> Result<()> {
    kernel.delete_listed_policy(policy)?;
    undos.push(Undo::AddPolicy(Box::new(again(policy))));
    Ok(())
}

/// The policy that is there in the place of another one: with the same name and the same label.
fn policy_like(kernel: &mut dyn Kernel, spec: &PolicySpec) -> Result<Option<Policy>> {
    if spec.security.is_some() {
        let is_it = |policy: &Policy| policy.id() == spec.id() && policy.security == spec.security;
        return Ok(kernel.policies()?.into_iter().find(is_it));
    }
    match kernel.policy(&spec.id()) {
        Ok(policy) => Ok(Some(policy)),
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn update_sa(kernel: &mut dyn Kernel, spec: &SaSpec, undos: &mut Vec<Undo>) -> Result<()> {
    let operation = || Operation::UpdateSa(spec.id());
    let before = kernel.sa(&spec.id()).map_err(|error| KernelError { operation: operation(), ..error })?;
    if before.id() != spec.id() {
        return Err(KernelError { operation: operation(), cause: Cause::WouldTake(before.id()) });
    }
    if before.is_larval() {
        kernel.update_sa(spec)?;
        undos.push(Undo::DeleteSa(spec.id()));
        return Ok(());
    }
    let kept = kept_by_update(&before.to_spec(), spec);
    if !kept.is_empty() {
        return Err(KernelError { operation: operation(), cause: Cause::WouldKeep(kept) });
    }
    kernel.update_sa(spec)?;
    undos.push(Undo::UpdateSa(Box::new(before.to_spec())));
    Ok(())
}

/// What the kernel leaves as it is without a word when an SA is updated (`xfrm_state_update`,
/// `net/xfrm/xfrm_state.c`): all but the lifetimes and the encapsulation's ports.
pub fn kept_by_update(before: &SaSpec, after: &SaSpec) -> Vec<&'static str> {
    let (old, new) = (&before.extras, &after.extras);
    let kinds = [old, new].map(|extras| extras.encapsulation.map(|encapsulation| encapsulation.kind));
    let rest = |spec: &SaSpec| {
        let mut extras = spec.extras.clone();
        extras.encapsulation = None;
        extras
    };
    [
        (before.source != after.source, "source"),
        (before.mode != after.mode, "mode"),
        (before.algorithms != after.algorithms, "keys and algorithms"),
        (before.reqid != after.reqid, "reqid"),
        (before.flags != after.flags, "flags"),
        (before.replay_window != after.replay_window, "replay window"),
        (before.selector != after.selector, "selector"),
        (before.direction != after.direction, "direction"),
        (before.if_id != after.if_id, "xfrm interface"),
        (after.sent != 0 || after.received != 0, "sequence numbers"),
        (kinds[0] != kinds[1], "encapsulation"),
        (rest(before) != rest(after), "rarer attributes"),
    ]
    .into_iter()
    .filter_map(|(is_so, words)| is_so.then_some(words))
    .collect()
}

fn update_policy(kernel: &mut dyn Kernel, spec: &PolicySpec, undos: &mut Vec<Undo>) -> Result<()> {
    let before = policy_like(kernel, spec)?;
    kernel.update_policy(spec)?;
    undos.push(match before {
        Some(policy) => Undo::UpdatePolicy(Box::new(again(&policy))),
        None => Undo::DeletePolicy(Box::new(spec.clone())),
    });
    Ok(())
}

fn fitting_sas(kernel: &mut dyn Kernel, filter: Option<&RowFilter>) -> Result<Vec<Sa>> {
    let mut sas = kernel.sas()?;
    sas.retain(|sa| filter.is_none_or(|filter| filter.fits_sa(sa)));
    // The kernel gives the newest first.
    sas.reverse();
    Ok(sas)
}

fn fitting_policies(kernel: &mut dyn Kernel, filter: Option<&RowFilter>) -> Result<Vec<Policy>> {
    let mut policies = kernel.policies()?;
    policies.retain(|policy| !policy.is_of_socket() && filter.is_none_or(|filter| filter.fits_policy(policy)));
    policies.sort_by(matching_order);
    Ok(policies)
}

fn policy_at(kernel: &mut dyn Kernel, place: PolicyPlace) -> Result<Policy> {
    let is_it =
        |policy: &Policy| (policy.index, policy.direction, policy.kind) == (place.index, place.direction, place.kind);
    let refusal = || KernelError {
        operation: Operation::ReadPolicyAt(place.index),
        cause: Cause::Refused { errno: libc::ENOENT, text: None },
    };
    kernel.policies()?.into_iter().find(is_it).ok_or_else(refusal)
}

fn answer(kernel: &mut dyn Kernel, question: &Question) -> Result<Answer> {
    Ok(match question {
        Question::Sa(id) => Answer::Sas(vec![kernel.sa(id)?]),
        Question::Sas(filter) => Answer::Sas(fitting_sas(kernel, filter.as_ref())?),
        Question::Policy(id) => Answer::Policies(vec![kernel.policy(id)?]),
        Question::PolicyAt(place) => Answer::Policies(vec![policy_at(kernel, *place)?]),
        Question::Policies(filter) => Answer::Policies(fitting_policies(kernel, filter.as_ref())?),
        Question::CountSas => Answer::SaCounts(kernel.counts()?),
        Question::CountPolicies => Answer::PolicyCounts(kernel.counts()?, kernel.thresholds()?),
        Question::Defaults => Answer::Defaults(kernel.defaults()?),
    })
}

/// A policy as it was, under the number that it had.
fn again(policy: &Policy) -> PolicySpec {
    PolicySpec { index: policy.index, ..policy.to_spec() }
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

/// Takes everything back, the last first. Returns what is refused even then.
fn take_all_back(kernel: &mut dyn Kernel, undos: Vec<Undo>) -> Vec<KernelError> {
    let restored = |undo: &Undo| match undo {
        Undo::AddPolicy(spec) => Some(spec.index),
        _ => None,
    };
    let restored: Vec<u32> = undos.iter().rev().filter_map(restored).collect();
    let mut left: Vec<KernelError> = undos.into_iter().rev().filter_map(|undo| take_back(kernel, undo).err()).collect();
    if !restored.is_empty() {
        left.extend(order::restore(kernel, &restored).err());
    }
    left.into_iter().map(not_taken_back).collect()
}

/// The error of what should have taken something back.
fn not_taken_back(error: KernelError) -> KernelError {
    KernelError { operation: Operation::TakeBack(Box::new(error.operation)), cause: error.cause }
}

fn take_back(kernel: &mut dyn Kernel, undo: Undo) -> Result<()> {
    match undo {
        Undo::DeleteSa(id) => kernel.delete_sa(&id),
        Undo::FreeSpi(id) => match kernel.delete_sa(&id) {
            Err(error) if error.errno() == Some(libc::ESRCH) => Ok(()),
            other => other,
        },
        Undo::DeletePolicy(spec) => match spec.security {
            None => kernel.delete_policy(&spec.id()),
            Some(_) => match policy_like(kernel, &spec)? {
                Some(policy) => kernel.delete_listed_policy(&policy),
                None => Ok(()),
            },
        },
        Undo::ResumeSa(sa) => kernel.resume_sa(&sa),
        Undo::AddPolicy(spec) => kernel.add_policy(&spec),
        Undo::UpdateSa(spec) => kernel.update_sa(&spec),
        Undo::UpdatePolicy(spec) => kernel.update_policy(&spec),
        Undo::SetDefaults(defaults) => kernel.set_defaults(defaults),
        Undo::SetThresholds(thresholds) => kernel.set_thresholds(thresholds),
    }
}

#[cfg(test)]
mod tests;
