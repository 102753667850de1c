//! A kernel for tests: it keeps SAs and policies in memory, answers at once, sends events, and refuses on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::{Cause, KernelError, Operation};
use super::{Kernel, Result, Watch};
use crate::model::event::SaProgress;
use crate::model::policy::HashThresholds;
use crate::model::sa::SpiRequest;
use crate::model::{
    Counts, IpsecProtocol, KernelEvent, Policy, PolicyAction, PolicyDefaults, PolicyDirection, PolicyId, PolicyKind,
    PolicySpec, Sa, SaId, SaSpec, Sad, Spd, Spi, XfrmStatistics,
};

/// A scripted kernel. Clones share one memory, as several sockets share one kernel.
#[derive(Clone, Default)]
pub struct ScriptedKernel {
    shared: Arc<Mutex<Memory>>,
}

/// What a [`ScriptedKernel`] holds.
struct Memory {
    sad: Sad,
    spd: Spd,
    defaults: PolicyDefaults,
    thresholds: HashThresholds,
    statistics: XfrmStatistics,
    now: u64,
    next_index: u32,
    refusals: VecDeque<Option<Cause>>,
    done: Vec<Operation>,
    listeners: Vec<Arc<Mutex<Vec<KernelEvent>>>>,
}

impl Default for Memory {
    fn default() -> Self {
        let allow = PolicyAction::Allow;
        Self {
            sad: Sad::default(),
            spd: Spd::default(),
            defaults: PolicyDefaults { input: allow, forward: allow, output: allow },
            thresholds: HashThresholds { v4: (32, 32), v6: (128, 128) },
            statistics: XfrmStatistics::default(),
            now: 0,
            next_index: 0,
            refusals: VecDeque::new(),
            done: Vec::new(),
            listeners: Vec::new(),
        }
    }
}

impl Memory {
    fn tell(&self, event: &KernelEvent) {
        for listener in &self.listeners {
            listener.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        }
    }

    fn begin(&mut self, operation: Operation) -> Result<()> {
        if let Some(cause) = self.refusals.pop_front().flatten() {
            return Err(KernelError { operation, cause });
        }
        self.done.push(operation);
        Ok(())
    }
}

fn refused(operation: Operation, errno: i32) -> KernelError {
    KernelError { operation, cause: Cause::Refused { errno, text: None } }
}

impl ScriptedKernel {
    /// An empty kernel at this time, seconds since the epoch.
    pub fn at(now: u64) -> Self {
        let kernel = Self::default();
        kernel.memory().now = now;
        kernel
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an SA in place, with whatever counters a test wants, and tells the listeners.
    pub fn put_sa(&self, sa: Sa) {
        let mut memory = self.memory();
        memory.sad.insert(sa.clone());
        memory.tell(&KernelEvent::SaAdded(Box::new(sa)));
    }

    /// Puts an SA in place without a word, as a kernel does that reserves an SPI or counts traffic.
    pub fn put_silently(&self, sa: Sa) {
        self.memory().sad.insert(sa);
    }

    /// Puts a policy in place and tells the listeners.
    pub fn put_policy(&self, policy: Policy) {
        let mut memory = self.memory();
        memory.spd.insert(policy.clone());
        memory.tell(&KernelEvent::PolicyAdded(Box::new(policy)));
    }

    /// A packet has met a policy: the kernel says so only to whoever asks.
    pub fn use_policy(&self, id: &PolicyId, at: u64) {
        let mut memory = self.memory();
        let slot = memory.spd.slot(id);
        if let Some(policy) = slot.and_then(|slot| memory.spd.at_mut(slot)) {
            policy.used.used_at = Some(at);
        }
    }

    /// Sets the loss counters.
    pub fn put_statistics(&self, statistics: XfrmStatistics) {
        self.memory().statistics = statistics;
    }

    /// Sends any event to the listeners.
    pub fn say(&self, event: &KernelEvent) {
        self.memory().tell(event);
    }

    /// Makes the next operation fail.
    pub fn refuse_next(&self, cause: Cause) {
        self.refuse_after(0, cause);
    }

    /// Makes an operation fail after so many others.
    pub fn refuse_after(&self, others: usize, cause: Cause) {
        let before = std::iter::repeat_n(None, others);
        self.memory().refusals.extend(before.chain([Some(cause)]));
    }

    /// What was asked and not refused, in order.
    pub fn done(&self) -> Vec<Operation> {
        self.memory().done.clone()
    }
}

impl Kernel for ScriptedKernel {
    fn sas(&mut self) -> Result<Vec<Sa>> {
        let mut memory = self.memory();
        memory.begin(Operation::ListSas)?;
        Ok(memory.sad.iter().map(|(_, sa)| sa.clone()).collect())
    }

    fn sa(&mut self, id: &SaId) -> Result<Sa> {
        let mut memory = self.memory();
        memory.begin(Operation::ReadSa(*id))?;
        memory.sad.get(id).cloned().ok_or_else(|| refused(Operation::ReadSa(*id), libc::ESRCH))
    }

    fn add_sa(&mut self, spec: &SaSpec) -> Result<()> {
        let mut memory = self.memory();
        memory.begin(Operation::AddSa(spec.id()))?;
        if memory.sad.get(&spec.id()).is_some() {
            return Err(refused(Operation::AddSa(spec.id()), libc::EEXIST));
        }
        let sa = Sa::from_spec(spec, memory.now);
        memory.sad.insert(sa.clone());
        memory.tell(&KernelEvent::SaAdded(Box::new(sa)));
        Ok(())
    }

    /// As Linux does it: of an SA with keys only the lifetimes change.
    fn update_sa(&mut self, spec: &SaSpec) -> Result<()> {
        let mut memory = self.memory();
        memory.begin(Operation::UpdateSa(spec.id()))?;
        let found = memory.sad.get(&spec.id()).cloned();
        let before = found.ok_or_else(|| refused(Operation::UpdateSa(spec.id()), libc::ESRCH))?;
        let after =
            if before.is_larval() { Sa::from_spec(spec, memory.now) } else { Sa { limits: spec.limits, ..before } };
        memory.sad.insert(after.clone());
        memory.tell(&KernelEvent::SaUpdated(Box::new(after)));
        Ok(())
    }

    fn allocate_spi(&mut self, wanted: &SpiRequest) -> Result<Sa> {
        let mut memory = self.memory();
        let operation = Operation::AllocateSpi(Box::new(*wanted));
        memory.begin(operation.clone())?;
        for spi in wanted.least.0..=wanted.greatest.0 {
            let mut spec = SaSpec::new(wanted.source, wanted.destination, wanted.protocol, Spi(spi));
            (spec.mode, spec.reqid, spec.mark, spec.if_id) = (wanted.mode, wanted.reqid, wanted.mark, wanted.if_id);
            if memory.sad.get(&spec.id()).is_none() {
                // No event tells of it.
                let sa = Sa::from_spec(&spec, memory.now);
                memory.sad.insert(sa.clone());
                return Ok(sa);
            }
        }
        Err(refused(operation, libc::ENOENT))
    }

    fn progress(&mut self, id: &SaId) -> Result<SaProgress> {
        let sa = self.sa(id)?;
        Ok(SaProgress {
            id: sa.id(),
            source: sa.source,
            reqid: sa.reqid,
            flags: 0,
            replay: Some(sa.replay),
            used: Some(sa.used),
            replay_threshold: sa.extras.replay_threshold,
            timer_threshold: sa.extras.timer_threshold,
            if_id: sa.if_id,
            direction: sa.direction,
            cpu: sa.extras.cpu,
        })
    }

    fn resume_sa(&mut self, sa: &Sa) -> Result<()> {
        let mut memory = self.memory();
        memory.begin(Operation::AddSa(sa.id()))?;
        if memory.sad.get(&sa.id()).is_some() {
            return Err(refused(Operation::AddSa(sa.id()), libc::EEXIST));
        }
        memory.sad.insert(sa.clone());
        memory.tell(&KernelEvent::SaAdded(Box::new(sa.clone())));
        Ok(())
    }

    fn delete_sa(&mut self, id: &SaId) -> Result<()> {
        let mut memory = self.memory();
        memory.begin(Operation::DeleteSa(*id))?;
        memory.sad.remove(id).ok_or_else(|| refused(Operation::DeleteSa(*id), libc::ESRCH))?;
        memory.tell(&KernelEvent::SaDeleted(*id));
        Ok(())
    }

    fn flush_sas(&mut self, protocol: IpsecProtocol) -> Result<()> {
        let mut memory = self.memory();
        memory.begin(Operation::FlushSas(protocol))?;
        if !memory.sad.flush(protocol).is_empty() {
            memory.tell(&KernelEvent::SasFlushed(protocol));
        }
        Ok(())
    }

    fn policies(&mut self) -> Result<Vec<Policy>> {
        let mut memory = self.memory();
        memory.begin(Operation::ListPolicies)?;
        Ok(memory.spd.iter().map(|(_, policy)| policy.clone()).collect())
    }

    fn policy(&mut self, id: &PolicyId) -> Result<Policy> {
        let mut memory = self.memory();
        let operation = Operation::ReadPolicy(Box::new(*id));
        memory.begin(operation.clone())?;
        memory.spd.get(id).cloned().ok_or_else(|| refused(operation, libc::ENOENT))
    }

    fn add_policy(&mut self, spec: &PolicySpec) -> Result<()> {
        let mut memory = self.memory();
        let operation = Operation::AddPolicy(Box::new(spec.id()));
        memory.begin(operation.clone())?;
        if memory.spd.get(&spec.id()).is_some() {
            return Err(refused(operation, libc::EEXIST));
        }
        memory.next_index += 8;
        let next = memory.next_index + u32::from(spec.direction.number());
        let index = if spec.index == 0 { next } else { spec.index };
        let policy = Policy::from_spec(spec, index, memory.now);
        memory.spd.insert(policy.clone());
        memory.tell(&KernelEvent::PolicyAdded(Box::new(policy)));
        Ok(())
    }

    fn update_policy(&mut self, spec: &PolicySpec) -> Result<()> {
        let mut memory = self.memory();
        memory.begin(Operation::UpdatePolicy(Box::new(spec.id())))?;
        let before = memory.spd.get(&spec.id()).map(|policy| policy.index);
        memory.next_index += 8;
        let index = before.unwrap_or(memory.next_index + u32::from(spec.direction.number()));
        let policy = Policy::from_spec(spec, index, memory.now);
        memory.spd.insert(policy.clone());
        memory.tell(&KernelEvent::PolicyUpdated(Box::new(policy)));
        Ok(())
    }

    fn delete_policy(&mut self, id: &PolicyId) -> Result<()> {
        let mut memory = self.memory();
        let operation = Operation::DeletePolicy(Box::new(*id));
        memory.begin(operation.clone())?;
        memory.spd.remove(id).ok_or_else(|| refused(operation, libc::ENOENT))?;
        memory.tell(&KernelEvent::PolicyDeleted(*id));
        Ok(())
    }

    fn flush_policies(&mut self, kind: PolicyKind) -> Result<()> {
        let mut memory = self.memory();
        memory.begin(Operation::FlushPolicies(kind))?;
        if !memory.spd.flush(kind).is_empty() {
            memory.tell(&KernelEvent::PoliciesFlushed(kind));
        }
        Ok(())
    }

    fn defaults(&mut self) -> Result<PolicyDefaults> {
        let mut memory = self.memory();
        memory.begin(Operation::ReadDefaults)?;
        Ok(memory.defaults)
    }

    fn set_defaults(&mut self, defaults: PolicyDefaults) -> Result<()> {
        let mut memory = self.memory();
        memory.begin(Operation::SetDefaults)?;
        memory.defaults = defaults;
        memory.tell(&KernelEvent::DefaultsChanged(defaults));
        Ok(())
    }

    fn thresholds(&mut self) -> Result<HashThresholds> {
        let mut memory = self.memory();
        memory.begin(Operation::ReadThresholds)?;
        Ok(memory.thresholds)
    }

    fn set_thresholds(&mut self, thresholds: HashThresholds) -> Result<()> {
        let mut memory = self.memory();
        memory.begin(Operation::SetThresholds)?;
        memory.thresholds = thresholds;
        Ok(())
    }

    fn counts(&mut self) -> Result<Counts> {
        let mut memory = self.memory();
        memory.begin(Operation::Count)?;
        let mut counts = Counts { sas: u32::try_from(memory.sad.len()).unwrap_or(u32::MAX), ..Counts::default() };
        for (_, policy) in memory.spd.iter() {
            *match policy.direction {
                PolicyDirection::In => &mut counts.policies_in,
                PolicyDirection::Out => &mut counts.policies_out,
                PolicyDirection::Forward => &mut counts.policies_forward,
                PolicyDirection::Socket(_) => &mut counts.policies_of_sockets,
            } += 1;
        }
        Ok(counts)
    }

    fn statistics(&mut self) -> Result<XfrmStatistics> {
        let mut memory = self.memory();
        memory.begin(Operation::ReadStatistics)?;
        Ok(memory.statistics.clone())
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>> {
        let mut memory = self.memory();
        memory.begin(Operation::Watch)?;
        let events = Arc::default();
        memory.listeners.push(Arc::clone(&events));
        Ok(Box::new(ScriptedWatch(events)))
    }
}

struct ScriptedWatch(Arc<Mutex<Vec<KernelEvent>>>);

impl Watch for ScriptedWatch {
    /// Never waits: what has happened is there.
    fn wait(&mut self, _timeout: Duration, events: &mut Vec<KernelEvent>) -> Result<()> {
        events.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Follower, Update};

    fn spec(spi: u32) -> SaSpec {
        SaSpec::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), IpsecProtocol::Esp, Spi(spi))
    }

    #[test]
    fn it_refuses_like_a_kernel_and_on_demand() {
        let mut kernel = ScriptedKernel::at(1000);
        kernel.add_sa(&spec(1)).unwrap();
        assert_eq!(kernel.add_sa(&spec(1)).unwrap_err().errno(), Some(libc::EEXIST));
        kernel.refuse_next(Cause::Refused { errno: libc::EPERM, text: None });
        assert_eq!(kernel.delete_sa(&spec(1).id()).unwrap_err().errno(), Some(libc::EPERM));
        kernel.delete_sa(&spec(1).id()).unwrap();
        assert_eq!(kernel.delete_sa(&spec(1).id()).unwrap_err().errno(), Some(libc::ESRCH));
    }

    #[test]
    fn a_follower_starts_with_a_snapshot_and_never_replays_what_waited_behind_a_loss() {
        let mut kernel = ScriptedKernel::at(1000);
        kernel.add_sa(&spec(1)).unwrap();
        let mut follower = Follower::new(Box::new(kernel.clone())).unwrap();
        let next = |follower: &mut Follower| follower.next(Duration::ZERO).unwrap();
        assert!(matches!(next(&mut follower), Some(Update::Snapshot(s)) if s.sas.len() == 1 && s.defaults.is_some()));
        assert!(next(&mut follower).is_none());
        kernel.add_sa(&spec(2)).unwrap();
        assert!(matches!(next(&mut follower), Some(Update::Events(events)) if events.len() == 1));
        kernel.add_sa(&spec(3)).unwrap();
        kernel.say(&KernelEvent::Lost);
        kernel.delete_sa(&spec(3).id()).unwrap();
        assert!(matches!(next(&mut follower), Some(Update::Events(events)) if events == [KernelEvent::Lost]));
        assert!(matches!(next(&mut follower), Some(Update::Snapshot(s)) if s.sas.len() == 2));
        assert!(next(&mut follower).is_none());
    }

    #[test]
    fn a_follower_that_may_not_read_tries_again() {
        let kernel = ScriptedKernel::at(1000);
        let mut follower = Follower::new(Box::new(kernel.clone())).unwrap();
        kernel.refuse_next(Cause::Refused { errno: libc::EPERM, text: None });
        assert!(follower.next(Duration::ZERO).is_err());
        assert!(matches!(follower.next(Duration::ZERO), Ok(Some(Update::Snapshot(_)))));
    }
}
