//! The lab: the hosts gouda and reblochon, with real ESP and AH between them, on any machine.
//!
//! ```text
//!        gouda                                   reblochon
//!  10.1.0.1 lan  g0 10.9.0.1 ─── veth ─── 10.9.0.2 r0  lan 10.2.0.1
//!                   fd00:9::1             fd00:9::2
//! ```
//!
//! Where this kernel has the transforms and the user may make namespaces, the hosts are made right here ([`here`]).
//! Elsewhere a User-Mode Linux kernel is booted ([`uml`]) whose root are this machine's own files, read-only, and whose
//! init is espial itself ([`init`]). Both end in [`inside`], which makes the hosts, protects them as the profile says,
//! lets them talk and runs the command.
//!
//! Nothing of the lab outlives it: [`keeper`] cleans up even after a crash. It must not know the console: that is one
//! more command to run.

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod frame;
mod front;
pub mod here;
pub mod hosts;
pub mod init;
pub mod inside;
pub mod keeper;
pub mod profile;
mod request;
mod route;
mod talker;
mod terminal;
pub mod uml;

pub use profile::Profile;
pub use request::Request;

/// The status of a lab that could not begin, or broke: not that of any command in it.
pub const BROKEN: u8 = 125;
/// Set in the environment of everything that runs in the lab: `uml` or `host`, by the kernel it runs on.
pub const VARIABLE: &str = "ESPIAL_LAB";

/// One of the two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostName {
    /// The article's first host, 10.9.0.1.
    #[default]
    Gouda,
    /// Its peer, 10.9.0.2.
    Reblochon,
}

impl HostName {
    /// The name of its network namespace.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gouda => "gouda",
            Self::Reblochon => "reblochon",
        }
    }
}

/// The other one of the hosts and its address, if this process runs in the lab and on one of them.
pub fn other_host() -> Option<(String, IpAddr)> {
    std::env::var_os(VARIABLE)?;
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let [gouda, reblochon] = profile::addresses();
    let (other, address) = match own.as_str() {
        own if own == HostName::Gouda.name() => (HostName::Reblochon, reblochon),
        own if own == HostName::Reblochon.name() => (HostName::Gouda, gouda),
        _ => return None,
    };
    Some((other.name().to_owned(), address))
}

/// Which kernel the hosts live in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// This machine's own.
    Host,
    /// A User-Mode Linux kernel.
    Uml,
}

/// What a lab is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// What protects the traffic between the hosts at the start.
    pub profile: Profile,
    /// The kernel; the first that can where `None`.
    pub ground: Option<Ground>,
    /// Where the command runs.
    pub on: HostName,
    /// Folders that are writable inside at the same path.
    pub out: Vec<PathBuf>,
    /// The memory of a User-Mode Linux kernel, in MiB.
    pub memory_mib: u32,
    /// What to run.
    pub command: Vec<OsString>,
}

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A package is missing.
    #[error("the lab needs {what}: install the package {package} (apt-get install {package})")]
    Missing {
        /// What is missing.
        what: String,
        /// What brings it.
        package: &'static str,
    },
    /// This kernel cannot be the ground.
    #[error("this kernel cannot hold the lab: {0}; leave out --kernel host")]
    NoGround(String),
    /// No place for the memory of a User-Mode Linux kernel.
    #[error(
        "the lab found no folder with {mib} MiB free from which programs may run (tried {tried}): free some room, name \
         one with TMPDIR, or ask for less with --memory"
    )]
    NoRoom {
        /// How much is needed.
        mib: u32,
        /// Where it was looked for.
        tried: String,
    },
    /// Too little memory.
    #[error("the lab needs {needed} MiB of memory and {available} MiB are available: ask for less with --memory")]
    NoMemory {
        /// How much is needed.
        needed: u64,
        /// How much there is.
        available: u64,
    },
    /// The kernel of the lab was refused its memory.
    #[error(
        "the lab's kernel could not have its {mib} MiB of memory: ask for less with --memory, or raise the limit of \
         address space (ulimit -v)"
    )]
    NoMapping {
        /// How much it wanted.
        mib: u32,
    },
    /// No place for the lab's own files.
    #[error("the lab can make no folder in {}: {error}; name another one with TMPDIR", .folder.display())]
    NoFolder {
        /// Where it was to be.
        folder: PathBuf,
        /// The refusal.
        error: io::Error,
    },
    /// A folder of `--out`.
    #[error("--out {}: {error}", .folder.display())]
    Out {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// The kernel of the lab ended before its command.
    #[error("the lab's kernel died: {0}")]
    KernelDied(String),
    /// The kernel of the lab runs, but the lab does not come up.
    #[error("the lab was not there after {seconds} s; its kernel's last words: {words}")]
    NotThere {
        /// How long it was waited for.
        seconds: i64,
        /// What the kernel said.
        words: String,
    },
    /// The part inside could not do its work.
    #[error("in the lab: {0}")]
    Inside(String),
    /// A system call of the part outside.
    #[error("{deed}: {error}")]
    Io {
        /// What was to be done.
        deed: String,
        /// The refusal.
        error: io::Error,
    },
    /// A signal ended it.
    #[error("ended by signal {0}")]
    Signal(i32),
}

impl LabError {
    /// A failed system call with what it was for.
    pub fn io(deed: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let deed = deed.into();
        |error| Self::Io { deed, error }
    }

    /// The same for rustix's errors.
    pub fn os(deed: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let deed = deed.into();
        |errno| Self::Io { deed, error: errno.into() }
    }

    /// The exit status that says so.
    pub fn status(&self) -> u8 {
        match self {
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(BROKEN),
            _ => BROKEN,
        }
    }
}

/// Brings the lab up, runs the command in it, and takes it down. Returns the command's exit status (128 and the signal
/// if it was killed).
///
/// # Errors
/// When there can be no lab here; the error says what to do.
pub fn run(options: &Options) -> Result<u8, LabError> {
    let request = Request::of_process(options)?;
    match options.ground {
        Some(Ground::Host) => here::run(&request),
        Some(Ground::Uml) => uml::run(&request, options.memory_mib),
        None => match here::obstacle() {
            None => here::run(&request),
            Some(_) => uml::run(&request, options.memory_mib),
        },
    }
}
