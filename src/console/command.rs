//! What the console asks of the world, and the world's answers.

use std::fmt;

use super::columns::ChosenColumns;
use crate::capture::{Frame, Probe, ProbeEnds};
use crate::kernel::together::{self, Answer, Refusal, Reversal, Step};
use crate::kernel::{Kernel, KernelError, Operation};
use crate::model::pair::Half;
use crate::model::policy::{DefaultsChange, ThresholdsChange};
use crate::model::sa::SpiRequest;
use crate::model::text::counted;
use crate::model::{IpsecProtocol, PolicyId, PolicyKind, PolicySpec, SaId, SaSpec, Secret, Spi};
use crate::packet::Filter;

/// Something to be done outside of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Change the kernel.
    Change(Box<Change>),
    /// Change the kernel on trial: unless it is kept it is taken back, also when the console cannot ask for that.
    Try(Box<Change>),
    /// What is on trial stays.
    Keep,
    /// Read counters.
    Poll {
        /// Of which SAs.
        sas: Wanted,
        /// Of which policies: when a packet last met them.
        policies: Vec<PolicyId>,
    },
    /// Read the whole SAD and SPD again.
    Resync,
    /// Take packets from this interface (or the one that is most likely meant) and from no other.
    Capture {
        /// The interface's name.
        interface: Option<String>,
        /// Plain packets that do not fit need not come.
        filter: Option<Filter>,
        /// What its frames are to be marked with.
        generation: u64,
    },
    /// Write packets into a file.
    Record(Record),
    /// Send this to a peer, once.
    Probe {
        /// From where to where.
        ends: ProbeEnds,
        /// How.
        probe: Probe,
        /// What.
        text: String,
    },
    /// Change the kernel of the lab's other host.
    There(Box<Change>),
    /// Put this into the clipboard of the user's terminal.
    Copy(Secret),
    /// Write this into a new file that its owner alone may read.
    Save {
        /// Its path, as the user typed it.
        path: String,
        /// What is written.
        text: Secret,
    },
    /// Show these columns at the next start too.
    Remember(ChosenColumns),
    /// Use this theme.
    UseTheme(String),
    /// Draw every cell anew.
    Redraw,
    /// End the program.
    Quit,
}

/// A step of a recording. The next one comes when this one is said to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Make the file, and another one beside it if the keys of the packets' SAs are wanted.
    Begin {
        /// Its path, as the user typed it.
        path: String,
        /// Whether keys are wanted.
        with_keys: bool,
    },
    /// Write these.
    Write(Vec<Recorded>),
    /// That was all.
    End,
}

/// A packet to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The frame.
    pub frame: Frame,
    /// What it proved.
    pub comment: String,
    /// Rows for the file of keys: those of its SAs that are not in it yet.
    pub keys: Vec<Secret>,
}

/// Which SAs' counters are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those of every SA.
    All,
    /// Those of some, because there are too many.
    These(Vec<SaId>),
}

/// A change of the kernel's databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make an SA.
    AddSa(SaSpec),
    /// Make an SA anew.
    ReplaceSa {
        /// As it is.
        id: SaId,
        /// As it is to be.
        spec: Box<SaSpec>,
    },
    /// Remove an SA.
    DeleteSa(SaId),
    /// Remove these SAs, all or none.
    DeleteSas(Vec<SaId>),
    /// Remove all SAs of a protocol.
    FlushSas(IpsecProtocol),
    /// Make a policy.
    AddPolicy(PolicySpec),
    /// Change a policy that stays where it is.
    UpdatePolicy(PolicySpec),
    /// Remove a policy and make another one, both or neither.
    ReplacePolicy {
        /// As it is.
        id: Box<PolicyId>,
        /// As it is to be.
        spec: Box<PolicySpec>,
    },
    /// Remove a policy.
    DeletePolicy(PolicyId),
    /// Remove these policies, all or none.
    DeletePolicies(Vec<PolicyId>),
    /// Remove all policies of a kind.
    FlushPolicies(PolicyKind),
    /// Make these SAs and policies and remove those, all or none.
    Exchange(Box<Half>),
    /// Take that back.
    TakeBack {
        /// What was done.
        half: Box<Half>,
        /// What takes it back.
        reversal: Box<Reversal>,
    },
    /// Decide what becomes of packets without a policy.
    SetDefaults(DefaultsChange),
    /// Decide from which prefix lengths on policies are found by hash.
    SetThresholds(ThresholdsChange),
    /// Reserve an SPI.
    AllocateSpi(Box<SpiRequest>),
}

impl Change {
    /// The kernel operation that carries it out.
    pub fn operation(&self) -> Operation {
        match self {
            Self::AddSa(spec) => Operation::AddSa(spec.id()),
            Self::ReplaceSa { spec, .. } => Operation::AddSa(spec.id()),
            Self::DeleteSa(id) => Operation::DeleteSa(*id),
            Self::DeleteSas(ids) => Operation::Together(format!("deleting {}", counted(ids.len(), "SA", "SAs"))),
            Self::FlushSas(protocol) => Operation::FlushSas(*protocol),
            Self::AddPolicy(spec) => Operation::AddPolicy(Box::new(spec.id())),
            Self::UpdatePolicy(spec) => Operation::UpdatePolicy(Box::new(spec.id())),
            Self::ReplacePolicy { spec, .. } => Operation::AddPolicy(Box::new(spec.id())),
            Self::DeletePolicy(id) => Operation::DeletePolicy(Box::new(*id)),
            Self::DeletePolicies(ids) => {
                Operation::Together(format!("deleting {}", counted(ids.len(), "policy", "policies")))
            }
            Self::FlushPolicies(kind) => Operation::FlushPolicies(*kind),
            Self::Exchange(half) => Operation::Together(half.doing()),
            Self::TakeBack { half, .. } => Operation::Together(format!("taking back: {}", half.doing())),
            Self::SetDefaults(_) => Operation::SetDefaults,
            Self::SetThresholds(_) => Operation::SetThresholds,
            Self::AllocateSpi(wanted) => Operation::AllocateSpi(wanted.clone()),
        }
    }

    /// Carries it out.
    ///
    /// # Errors
    /// The kernel's refusal; then nothing has changed, unless it says that something could not be taken back.
    pub fn carry_out(&self, kernel: &mut dyn Kernel) -> Result<Done, KernelError> {
        // What could not be taken back is worse than what was refused.
        let worst = |refusal: Box<Refusal>| refusal.left.into_iter().next().unwrap_or(refusal.error);
        let mut step = |step| together::carry_out(kernel, &[step]).map_err(worst);
        let spi = match self {
            Self::SetDefaults(change) => step(Step::SetDefaults(*change)).map(|_| None),
            Self::SetThresholds(change) => step(Step::SetThresholds(*change)).map(|_| None),
            Self::AllocateSpi(wanted) => step(Step::AllocateSpi(wanted)).map(|answers| {
                answers.into_iter().find_map(|(_, answer)| match answer {
                    Answer::Allocated(sa) => Some(sa.spi),
                    _ => None,
                })
            }),
            Self::ReplacePolicy { id, spec } => {
                let steps = [Step::DeletePolicy(**id), Step::AddPolicy(spec)];
                together::carry_out(kernel, &steps).map(|_| None).map_err(worst)
            }
            Self::AddSa(spec) => kernel.add_sa(spec).map(|()| None),
            Self::ReplaceSa { id, spec } => together::replace_sa(kernel, id, spec).map(|()| None),
            Self::DeleteSa(id) => kernel.delete_sa(id).map(|()| None),
            Self::DeleteSas(ids) => together::delete_sas(kernel, ids).map(|_| None),
            Self::FlushSas(protocol) => kernel.flush_sas(*protocol).map(|()| None),
            Self::AddPolicy(spec) => kernel.add_policy(spec).map(|()| None),
            Self::UpdatePolicy(spec) => kernel.update_policy(spec).map(|()| None),
            Self::DeletePolicy(id) => step(Step::DeletePolicy(*id)).map(|_| None),
            Self::DeletePolicies(ids) => together::delete_policies(kernel, ids).map(|_| None),
            Self::FlushPolicies(kind) => kernel.flush_policies(*kind).map(|()| None),
            Self::Exchange(half) => {
                let reversal = together::exchange(kernel, half)?;
                return Ok(Done { spi: None, reversal: Some(Box::new(reversal)) });
            }
            Self::TakeBack { reversal, .. } => reversal.carry_out(kernel).map(|()| None),
        };
        Ok(Done { spi: spi?, reversal: None })
    }
}

impl fmt::Display for Change {
    /// As a deed that was done: `added SA esp 0x00001001 to 10.9.0.2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddSa(spec) => write!(f, "added SA {}", spec.id()),
            Self::ReplaceSa { id, .. } => write!(f, "made SA {id} anew"),
            Self::DeleteSa(id) => write!(f, "deleted SA {id}"),
            Self::DeleteSas(ids) => write!(f, "deleted {}", counted(ids.len(), "SA", "SAs")),
            Self::FlushSas(IpsecProtocol::Any) => f.write_str("flushed all SAs"),
            Self::FlushSas(protocol) => write!(f, "flushed all {protocol} SAs"),
            Self::AddPolicy(spec) => write!(f, "added policy {}", spec.id()),
            Self::UpdatePolicy(spec) => write!(f, "changed policy {}", spec.id()),
            Self::ReplacePolicy { id, spec } => write!(f, "made policy {} of {id}", spec.id()),
            Self::DeletePolicy(id) => write!(f, "deleted policy {id}"),
            Self::DeletePolicies(ids) => write!(f, "deleted {}", counted(ids.len(), "policy", "policies")),
            Self::FlushPolicies(PolicyKind::Main) => f.write_str("flushed all policies"),
            Self::FlushPolicies(kind) => write!(f, "flushed all {kind} policies"),
            Self::Exchange(half) => write!(f, "{}{}", half.deed(), between(half)),
            Self::TakeBack { half, reversal } => {
                let (sas, policies) = reversal.gone();
                write!(f, "taken back: {}", half.undone(sas, policies))
            }
            Self::SetDefaults(change) => write!(f, "packets without a policy are now: {change}"),
            Self::SetThresholds(change) => write!(f, "policies are found by hash from {change} on"),
            Self::AllocateSpi(wanted) => write!(f, "reserved {wanted}"),
        }
    }
}

/// How a [`Command::Change`] went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was asked.
    pub change: Box<Change>,
    /// What the kernel answered.
    pub result: Result<Done, KernelError>,
}

impl Outcome {
    /// What was done, in words: of what was to go, only what was still there. `place`: where, if that must be said:
    /// ` on reblochon`.
    pub fn deed(&self, place: &str) -> String {
        let reversal = self.result.as_ref().ok().and_then(|done| done.reversal.as_deref());
        match (&*self.change, reversal) {
            (Change::Exchange(half), Some(reversal)) => {
                let (sas, policies) = reversal.gone();
                let missing = self.missing().map(|what| format!("; not there: {what} of the plan")).unwrap_or_default();
                format!("{}{}{place}{missing}", half.deed_of(sas, policies), between(half))
            }
            (Change::TakeBack { half, reversal }, _) => {
                let (sas, policies) = reversal.gone();
                let place = if place.is_empty() { " here" } else { place };
                format!("taken back{place}: {}", half.undone(sas, policies))
            }
            _ => format!("{}{place}", self.change),
        }
    }

    /// What was to go and was not there, if that is so.
    pub fn missing(&self) -> Option<String> {
        match (&*self.change, self.result.as_ref().ok()?.reversal.as_deref()) {
            (Change::Exchange(half), Some(reversal)) => {
                let (sas, policies) = reversal.gone();
                half.missing(sas, policies)
            }
            _ => None,
        }
    }
}

fn between(half: &Half) -> String {
    let ends = half.ends();
    ends.map_or_else(String::new, |(source, destination)| format!(" for {source} and {destination}"))
}

/// What a change that was carried out has left to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The SPI that was reserved, where one was asked for.
    pub spi: Option<Spi>,
    /// What takes the change back, where that may be wanted.
    pub reversal: Option<Box<Reversal>>,
}
