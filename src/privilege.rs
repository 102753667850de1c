//! What this process may do, what it still needs, and giving up the rest.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

/// Makes a file that its owner alone may read; one that is there already is not overwritten.
///
/// # Errors
/// When it cannot be made.
pub fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a new file that its owner alone may read, so that it survives a crash.
///
/// # Errors
/// When it cannot be made or written.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private_file(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a file would stand in the way of the next try.
        let _ = fs::remove_file(path);
    }
    written
}

/// What the console uses.
const NEEDED: [(CapabilitySet, &str, &str); 2] = [
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN", "SAs and policies can be neither seen nor changed"),
    (CapabilitySet::NET_RAW, "CAP_NET_RAW", "packets cannot be captured"),
];

/// What the calling thread may do now.
pub fn effective() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

/// What is missing, in a sentence for each, with how to get it.
pub fn complaints(effective: CapabilitySet) -> Vec<String> {
    let missing: Vec<_> = NEEDED.iter().filter(|(capability, ..)| !effective.contains(*capability)).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = missing.iter().map(|(_, name, _)| *name).collect();
    let effects: Vec<&str> = missing.iter().map(|(.., effect)| *effect).collect();
    let file_form = "cap_net_admin,cap_net_raw+ep";
    vec![format!(
        "Without {} {}: run espial as root, or allow it once with `setcap {file_form} PROGRAM`.",
        names.join(" and "),
        effects.join(", and ")
    )]
}

/// Keeps keys from the outside: no core dump, and no other process of the user may read this one's memory.
pub fn protect_memory() {
    // Where it is refused the program is no worse off than any other.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Gives up every right that the console does not use, for this thread and all that it starts. Must come before any
/// other thread: each has rights of its own.
pub fn drop_the_rest() {
    let needed = NEEDED.iter().fold(CapabilitySet::empty(), |all, (capability, ..)| all | *capability);
    if let Ok(sets) = capabilities(None) {
        let keep = CapabilitySets {
            effective: sets.effective & needed,
            permitted: sets.permitted & needed,
            inheritable: CapabilitySet::empty(),
        };
        let _ = set_capabilities(None, keep);
    }
    let _ = set_no_new_privs(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_once_with_the_cure() {
        assert!(complaints(CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW).is_empty());
        let both = complaints(CapabilitySet::empty());
        assert_eq!(both.len(), 1);
        assert!(both[0].starts_with("Without CAP_NET_ADMIN and CAP_NET_RAW SAs and policies can be neither"));
        let raw = complaints(CapabilitySet::NET_ADMIN);
        assert!(raw[0].starts_with("Without CAP_NET_RAW packets cannot be captured:"), "{raw:?}");
    }
}
