//! Network namespaces: entering one by name, working in another for a moment, and what addresses are local.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::model::text::harmless;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// Where `ip netns` keeps its names.
pub const DIRECTORY: &str = "/run/netns";

/// Why a namespace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// There is none of that name.
    #[error("there is no network namespace {name:?} in {DIRECTORY}{}", known_names(.others))]
    Missing {
        /// The name asked for.
        name: String,
        /// The names that there are.
        others: Vec<String>,
    },
    /// A name that would leave the directory.
    #[error("{0:?} is not the name of a network namespace")]
    BadName(String),
    /// The system's refusal.
    #[error("entering network namespace {name:?}: {error}{}", rights_hint(.error))]
    Refused {
        /// The namespace.
        name: String,
        /// The refusal.
        error: io::Error,
    },
}

fn known_names(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; there are {}", harmless(&others.join(", "))) }
}

fn rights_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (this needs the capability CAP_SYS_ADMIN: run espial as root)",
        _ => "",
    }
}

/// An open network namespace; it lives as long as this does.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// The namespace that `ip netns` calls `name`.
    ///
    /// # Errors
    /// When there is none, or it may not be opened.
    pub fn named(name: &str) -> Result<Self, NamespaceError> {
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return Err(NamespaceError::BadName(name.to_owned()));
        }
        let path: PathBuf = Path::new(DIRECTORY).join(name);
        match File::open(&path) {
            Ok(file) => Ok(Self { name: name.to_owned(), file }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(NamespaceError::Missing { name: name.to_owned(), others: names() })
            }
            Err(error) => Err(NamespaceError::Refused { name: name.to_owned(), error }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Moves the calling thread into it. Threads started later start there; others stay where they are.
    ///
    /// # Errors
    /// When the rights miss.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| NamespaceError::Refused { name: self.name.clone(), error: errno.into() })
    }

    /// Runs `work` inside, on a thread of its own. What it opens stays bound to the namespace.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    ///
    /// # Panics
    /// When `work` does.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        on_a_thread(|| self.enter().map(|()| work()))
    }
}

/// Runs `work` in a new, empty network namespace that ends with it.
///
/// # Errors
/// When none may be made.
///
/// # Panics
/// When `work` does.
pub fn within_scratch<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_a_thread(|| crate::sys::unshare(UnshareFlags::NEWNET).map(|()| work()))
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// The names that `ip netns` knows, sorted.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The addresses of the interfaces of the calling thread's namespace: what tells an SA that receives from one that
/// sends.
pub fn local_addresses() -> Vec<IpAddr> {
    let interfaces = pnet::datalink::interfaces().into_iter();
    interfaces.flat_map(|interface| interface.ips.into_iter().map(|network| network.ip())).collect()
}

/// The number of an interface of the calling thread's namespace.
pub fn interface_number(name: &str) -> Option<u32> {
    let mut interfaces = pnet::datalink::interfaces().into_iter();
    interfaces.find(|interface| interface.name == name).map(|interface| interface.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for name in ["", ".", "..", "../../proc/1/ns/net", "a/b"] {
            assert!(matches!(Namespace::named(name), Err(NamespaceError::BadName(_))), "{name:?}");
        }
    }

    #[test]
    fn a_missing_namespace_is_named() {
        let error = Namespace::named("espial-no-such-namespace").unwrap_err().to_string();
        assert!(error.starts_with("there is no network namespace \"espial-no-such-namespace\""), "{error}");
    }
}
