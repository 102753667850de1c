//! What went wrong with a kernel: the deed, the object, the kernel's own words and its errno.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::model::sa::SpiRequest;
use crate::model::{IpsecProtocol, PolicyId, PolicyKind, SaId};

/// What was asked of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A socket to it.
    Open,
    /// Its events.
    Watch,
    /// All SAs.
    ListSas,
    /// One SA.
    ReadSa(SaId),
    /// A new SA.
    AddSa(SaId),
    /// Another lifetime of an SA.
    UpdateSa(SaId),
    /// An SPI for an SA to come.
    AllocateSpi(Box<SpiRequest>),
    /// An SA's end.
    DeleteSa(SaId),
    /// The end of all SAs of a protocol.
    FlushSas(IpsecProtocol),
    /// All policies.
    ListPolicies,
    /// One policy.
    ReadPolicy(Box<PolicyId>),
    /// The policy of this number.
    ReadPolicyAt(u32),
    /// A new policy.
    AddPolicy(Box<PolicyId>),
    /// A policy changed, or made.
    UpdatePolicy(Box<PolicyId>),
    /// A policy's end.
    DeletePolicy(Box<PolicyId>),
    /// The end of all policies of a kind.
    FlushPolicies(PolicyKind),
    /// Several SAs and policies together, in words.
    Together(String),
    /// Something that should have undone what was done before.
    TakeBack(Box<Operation>),
    /// The fate of packets without a policy.
    ReadDefaults,
    /// Another fate for them.
    SetDefaults,
    /// From which prefix lengths on policies are hashed.
    ReadThresholds,
    /// Other such lengths.
    SetThresholds,
    /// How many there are.
    Count,
    /// The counters of `/proc/net/xfrm_stat`.
    ReadStatistics,
    /// Something of the network itself: a link, an address, a route.
    Network(String),
    /// Several changes as one step.
    CarryOut,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("opening a netlink socket"),
            Self::Watch => f.write_str("listening to the kernel's events"),
            Self::ListSas => f.write_str("listing SAs"),
            Self::ReadSa(id) => write!(f, "reading SA {id}"),
            Self::AddSa(id) => write!(f, "adding SA {id}"),
            Self::UpdateSa(id) => write!(f, "updating SA {id}"),
            Self::AllocateSpi(wanted) => write!(f, "allocating {wanted}"),
            Self::DeleteSa(id) => write!(f, "deleting SA {id}"),
            Self::FlushSas(IpsecProtocol::Any | IpsecProtocol::Other(0)) => f.write_str("flushing SAs"),
            Self::FlushSas(protocol) => write!(f, "flushing {protocol} SAs"),
            Self::ListPolicies => f.write_str("listing policies"),
            Self::ReadPolicy(id) => write!(f, "reading policy {id}"),
            Self::ReadPolicyAt(index) => write!(f, "reading the policy with index {index}"),
            Self::AddPolicy(id) => write!(f, "adding policy {id}"),
            Self::UpdatePolicy(id) => write!(f, "updating policy {id}"),
            Self::DeletePolicy(id) => write!(f, "deleting policy {id}"),
            Self::FlushPolicies(PolicyKind::Main) => f.write_str("flushing policies"),
            Self::FlushPolicies(kind) => write!(f, "flushing {kind} policies"),
            Self::TakeBack(operation) => write!(f, "what was done before could not be taken back: {operation}"),
            Self::ReadDefaults => f.write_str("reading the default policy"),
            Self::SetDefaults => f.write_str("setting the default policy"),
            Self::ReadThresholds => f.write_str("reading the hash thresholds"),
            Self::SetThresholds => f.write_str("setting the hash thresholds"),
            Self::Count => f.write_str("counting SAs and policies"),
            Self::ReadStatistics => f.write_str("reading /proc/net/xfrm_stat"),
            Self::Together(what) | Self::Network(what) => f.write_str(what),
            Self::CarryOut => f.write_str("carrying it out"),
        }
    }
}

/// Why it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The kernel refused.
    Refused {
        /// The error number, positive.
        errno: i32,
        /// The kernel's own words (extended ACK), control characters escaped.
        text: Option<String>,
    },
    /// The kernel's answer cannot be read; the reason says what and where.
    Unreadable(String),
    /// The list changed under the reader in every one of several tries.
    Inconsistent,
    /// No answer came.
    TimedOut(Duration),
    /// The kernel would say yes and keep these parts of the SA as they are.
    WouldKeep(Vec<&'static str>),
    /// The kernel would take another SA for it: it looks for one that a packet with this mark fits.
    WouldTake(SaId),
    /// Somebody wanted it to end.
    Interrupted,
}

/// A failed [`Operation`]. Its text names the deed, the object and the reason; keys are never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError {
    /// What was asked.
    pub operation: Operation,
    /// Why it failed.
    pub cause: Cause,
}

impl std::error::Error for KernelError {}

impl KernelError {
    /// The error of a system call on the way.
    pub fn io(operation: Operation, error: &io::Error) -> Self {
        let cause = match error.raw_os_error() {
            Some(errno) => Cause::Refused { errno, text: None },
            None => Cause::Unreadable(error.to_string()),
        };
        Self { operation, cause }
    }

    /// The error number, if the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self.cause {
            Cause::Refused { errno, .. } => Some(errno),
            _ => None,
        }
    }

    /// The reason alone, in a sentence: the kernel's words where it has any, ours where it has none.
    pub fn reason(&self) -> String {
        match &self.cause {
            Cause::Refused { errno, text: Some(text) } => format!("{text} ({})", errno_name(*errno)),
            Cause::Refused { errno, text: None } => {
                format!("{} ({})", self.own_words(*errno), errno_name(*errno))
            }
            Cause::Unreadable(what) => format!("the kernel's answer cannot be read: {what}"),
            Cause::Inconsistent => "the list kept changing while it was read".to_owned(),
            Cause::WouldKeep(parts) => {
                let parts = parts.join(", ");
                format!(
                    "the kernel changes only the lifetimes of an SA and would keep its {parts}: delete it and add it"
                )
            }
            Cause::Interrupted => "interrupted".to_owned(),
            Cause::WouldTake(other) => format!("the kernel would take {other} instead, which fits its mark too"),
            Cause::TimedOut(after) => format!("no answer within {} s", after.as_secs()),
        }
    }

    fn own_words(&self, errno: i32) -> String {
        use Operation as O;
        let operation = match &self.operation {
            O::TakeBack(operation) => operation,
            other => other,
        };
        let words = match (errno, operation) {
            (libc::EPERM | libc::EACCES, _) => "this needs the capability CAP_NET_ADMIN",
            (libc::EEXIST, O::AddSa(_)) => "an SA with this destination, protocol and SPI exists already",
            (libc::EEXIST, O::AddPolicy(_)) => "a policy with this selector and direction exists already",
            (libc::ESRCH, O::ReadSa(_) | O::DeleteSa(_) | O::UpdateSa(_)) => "there is no such SA",
            (libc::ENOENT, O::ReadPolicy(_) | O::ReadPolicyAt(_) | O::DeletePolicy(_)) => "there is no such policy",
            (libc::ENOENT, O::AllocateSpi(_)) => "no SPI of this range is free",
            (libc::EINVAL, O::AddSa(_)) => "the kernel gives no reason; most often a key has the wrong length",
            (libc::EPROTONOSUPPORT, O::Open) => "this kernel has no XFRM netlink (module xfrm_user)",
            (libc::ENOBUFS, _) => "the kernel ran out of buffer space",
            _ => return os_words(errno),
        };
        words.to_owned()
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.reason())
    }
}

/// The C library's words for an error number.
fn os_words(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The symbol that manuals and searches use for an error number.
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EINTR => "EINTR",
        libc::EIO => "EIO",
        libc::E2BIG => "E2BIG",
        libc::EBADF => "EBADF",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::ENODEV => "ENODEV",
        libc::EINVAL => "EINVAL",
        libc::EMFILE => "EMFILE",
        libc::ENOSPC => "ENOSPC",
        libc::ERANGE => "ERANGE",
        libc::ENOSYS => "ENOSYS",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::ENOPROTOOPT => "ENOPROTOOPT",
        libc::EPROTONOSUPPORT => "EPROTONOSUPPORT",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EADDRINUSE => "EADDRINUSE",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::ENETDOWN => "ENETDOWN",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ENOBUFS => "ENOBUFS",
        libc::ETIMEDOUT => "ETIMEDOUT",
        other => return format!("errno {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Spi;

    #[test]
    fn the_kernels_words_come_first_and_ours_fill_its_silence() {
        let id = SaId {
            destination: [10, 9, 0, 2].into(),
            protocol: IpsecProtocol::Esp,
            spi: Spi(0x3e9),
            mark: None,
            acquire_sequence: 0,
        };
        let error = |errno, text: Option<&str>| {
            let cause = Cause::Refused { errno, text: text.map(str::to_owned) };
            KernelError { operation: Operation::AddSa(id), cause }.to_string()
        };
        assert_eq!(
            error(libc::ENOSYS, Some("Requested CRYPT algorithm not found")),
            "adding SA esp 0x000003e9 to 10.9.0.2: Requested CRYPT algorithm not found (ENOSYS)"
        );
        assert_eq!(
            error(libc::EEXIST, None),
            "adding SA esp 0x000003e9 to 10.9.0.2: an SA with this destination, protocol and SPI exists already (EEXIST)"
        );
        assert!(error(libc::ENOTTY, None).ends_with(": Inappropriate ioctl for device (errno 25)"));
    }
}
