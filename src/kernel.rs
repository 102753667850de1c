//! The SAD and SPD of one network namespace behind one trait, with what belongs to them: events, counters, and what
//! this kernel can do at all.
//!
//! [`XfrmKernel`] is Linux's XFRM netlink; [`ScriptedKernel`] is a stand-in for tests of everything above. Both block;
//! whoever must not wait gives them a thread. They must not know who asks: no console, no command line.

use std::time::Duration;

use crate::model::event::SaProgress;
use crate::model::policy::HashThresholds;
use crate::model::sa::SpiRequest;
use crate::model::{
    Counts, IpsecProtocol, KernelEvent, Policy, PolicyDefaults, PolicyId, PolicyKind, PolicySpec, Sa, SaId, SaSpec,
    Ties, XfrmStatistics,
};

pub mod error;
pub mod follow;
pub mod namespace;
pub mod netlink;
pub mod preview;
pub mod scripted;
pub mod support;
pub mod together;
pub mod xfrm;

pub use error::{Cause, KernelError, Operation};
pub use follow::{Follower, Update};
pub use scripted::ScriptedKernel;
pub use support::Support;
pub use xfrm::XfrmKernel;

/// The answer of a kernel.
pub type Result<T> = std::result::Result<T, KernelError>;

/// The SAD and SPD of the namespace that it was opened in.
///
/// # Errors
/// Every method fails with [`KernelError`], which says what was asked for and what the kernel answered. Nothing is
/// changed by a method that fails.
#[allow(clippy::missing_errors_doc, reason = "said once for all of them")]
pub trait Kernel: Send {
    /// Every SA, keys included, in the kernel's order (newest first).
    fn sas(&mut self) -> Result<Vec<Sa>>;

    /// One SA, keys included.
    fn sa(&mut self, id: &SaId) -> Result<Sa>;

    /// Those of these SAs that are there and can be read.
    fn sas_of(&mut self, ids: &[SaId]) -> Vec<Sa> {
        ids.iter().filter_map(|id| self.sa(id).ok()).collect()
    }

    /// Makes an SA; one with the same identity must not exist.
    fn add_sa(&mut self, spec: &SaSpec) -> Result<()>;

    /// Makes several SAs, which a kernel may do faster than one after the other. Returns the refusals, each with its SA's
    /// place; all others are made.
    fn add_sas(&mut self, specs: &[&SaSpec]) -> Vec<(usize, KernelError)> {
        let one = |(place, spec): (usize, &&SaSpec)| self.add_sa(spec).err().map(|error| (place, error));
        specs.iter().enumerate().filter_map(one).collect()
    }

    /// Changes an SA that is there. Linux takes only lifetimes over, and of what is there already the mark and the
    /// encapsulation's ports; keys, mode, reqid and window stay as they were, without a word (`xfrm_state_update`,
    /// `net/xfrm/xfrm_state.c`). For a larval SA it makes the SA that it waits for.
    fn update_sa(&mut self, spec: &SaSpec) -> Result<()>;

    /// Reserves an SPI: makes a larval SA, which waits for its keys for `net.core.xfrm_acq_expires` seconds.
    fn allocate_spi(&mut self, wanted: &SpiRequest) -> Result<Sa>;

    /// How far an SA has come, without its keys.
    fn progress(&mut self, id: &SaId) -> Result<SaProgress>;

    /// Makes an SA again that was there: its sequence numbers, counters and age go on where they were. Begun anew, its
    /// peer would take its packets for replays, and a counter cipher would use its key stream twice.
    fn resume_sa(&mut self, sa: &Sa) -> Result<()>;

    /// Removes one SA.
    fn delete_sa(&mut self, id: &SaId) -> Result<()>;

    /// Removes every SA of a protocol; [`IpsecProtocol::Any`] means ESP, AH and IPComp.
    fn flush_sas(&mut self, protocol: IpsecProtocol) -> Result<()>;

    /// Every policy, those of sockets included, in the kernel's order (newest first).
    fn policies(&mut self) -> Result<Vec<Policy>>;

    /// One policy.
    fn policy(&mut self, id: &PolicyId) -> Result<Policy>;

    /// Makes a policy; one with the same identity must not exist.
    fn add_policy(&mut self, spec: &PolicySpec) -> Result<()>;

    /// Changes a policy, or makes it if it is not there.
    fn update_policy(&mut self, spec: &PolicySpec) -> Result<()>;

    /// Removes one policy.
    fn delete_policy(&mut self, id: &PolicyId) -> Result<()>;

    /// Removes a policy that was listed: also one with a label of the security module's, which has no other name than its
    /// number.
    fn delete_listed_policy(&mut self, policy: &Policy) -> Result<()> {
        self.delete_policy(&policy.id())
    }

    /// Removes every policy of a kind, but those of sockets.
    fn flush_policies(&mut self, kind: PolicyKind) -> Result<()>;

    /// What happens to packets without a policy (Linux 5.15 and later).
    fn defaults(&mut self) -> Result<PolicyDefaults>;

    /// Decides what happens to packets without a policy.
    fn set_defaults(&mut self, defaults: PolicyDefaults) -> Result<()>;

    /// How it decides which of two policies of one priority is asked first.
    fn ties(&mut self) -> Ties {
        Ties::default()
    }

    /// From which prefix lengths on policies are found by hash.
    fn thresholds(&mut self) -> Result<HashThresholds>;

    /// Decides from which prefix lengths on policies are found by hash.
    fn set_thresholds(&mut self, thresholds: HashThresholds) -> Result<()>;

    /// How many SAs and policies there are, cheaply.
    fn counts(&mut self) -> Result<Counts>;

    /// The counters of lost packets.
    fn statistics(&mut self) -> Result<XfrmStatistics>;

    /// Begins to listen for events. None is missed from here on without a [`KernelEvent::Lost`].
    fn watch(&mut self) -> Result<Box<dyn Watch>>;
}

/// A stream of kernel events.
pub trait Watch: Send {
    /// Waits until something has happened, but not longer than `timeout`, and adds what has to `events`.
    ///
    /// # Errors
    /// When the stream is broken for good. Lost and unreadable events are events, not errors.
    fn wait(&mut self, timeout: Duration, events: &mut Vec<KernelEvent>) -> Result<()>;
}
