//! Keeps a copy of the SAD and SPD true: listen first, list second, then hand on what happened since.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Kernel, Result, Watch};
use crate::model::{KernelEvent, Policy, PolicyDefaults, Sa, Ties};

/// What a copy must do to stay true.
#[derive(Debug)]
pub enum Update {
    /// Forget everything; this is what there is.
    Snapshot(Snapshot),
    /// Apply these, in order. Applying one twice does no harm.
    Events(Vec<KernelEvent>),
}

/// The whole SAD and SPD at one time.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Every SA.
    pub sas: Vec<Sa>,
    /// Every policy, the newest first.
    pub policies: Vec<Policy>,
    /// What happens to the rest, where the kernel can tell (Linux 5.15).
    pub defaults: Option<PolicyDefaults>,
    /// Which of two policies of one priority is asked first.
    pub ties: Ties,
}

/// Asks a [`Follower`] on another thread for a new snapshot, when the copy is found to be wrong.
#[derive(Clone, Debug, Default)]
pub struct Resync(Arc<AtomicBool>);

impl Resync {
    /// Makes the next [`Follower::next`] a snapshot.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// A namespace's databases, followed.
pub struct Follower {
    kernel: Box<dyn Kernel>,
    watch: Box<dyn Watch>,
    resync: Resync,
}

impl Follower {
    /// Begins to listen. The first [`Follower::next`] will be a snapshot.
    ///
    /// # Errors
    /// When the kernel cannot be listened to.
    pub fn new(mut kernel: Box<dyn Kernel>) -> Result<Self> {
        let watch = kernel.watch()?;
        let resync = Resync::default();
        resync.ask();
        Ok(Self { kernel, watch, resync })
    }

    /// A handle to ask for snapshots with.
    pub fn resync(&self) -> Resync {
        self.resync.clone()
    }

    /// The next update; `None` when nothing happened within `timeout`.
    ///
    /// # Errors
    /// When the databases cannot be read. The follower stays usable: the next call tries again.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Update>> {
        if self.resync.take() {
            return self.snapshot().map(Some).inspect_err(|_| self.resync.ask());
        }
        let mut events = Vec::new();
        self.watch.wait(timeout, &mut events)?;
        if events.contains(&KernelEvent::Lost) {
            self.skip_to_the_end()?;
            self.resync.ask();
            // The copy is told at once that it is not true any more; the snapshot follows with the next call.
            return Ok(Some(Update::Events(vec![KernelEvent::Lost])));
        }
        Ok((!events.is_empty()).then_some(Update::Events(events)))
    }

    /// What still waits behind a loss must not be applied to a newer snapshot: an SA added there may have been deleted
    /// by an event that is lost.
    fn skip_to_the_end(&mut self) -> Result<()> {
        let mut stale = Vec::new();
        loop {
            self.watch.wait(Duration::ZERO, &mut stale)?;
            if stale.is_empty() {
                return Ok(());
            }
            stale.clear();
        }
    }

    fn snapshot(&mut self) -> Result<Update> {
        Ok(Update::Snapshot(Snapshot {
            sas: self.kernel.sas()?,
            policies: self.kernel.policies()?,
            defaults: self.kernel.defaults().ok(),
            ties: self.kernel.ties(),
        }))
    }
}
