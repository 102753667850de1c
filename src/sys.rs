//! The few system calls that no safe crate offers as they are needed here. The only module with `unsafe`.
#![allow(unsafe_code)]

use std::io;

use rustix::thread::UnshareFlags;

/// Leaves namespaces for new ones of the calling thread (or process, while it has one thread).
///
/// # Errors
/// The system call's.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // Descriptor tables stay shared: with this flag one thread could not use what another one opened.
    let flags = flags.difference(UnshareFlags::FILES);
    // SAFETY: the only unsafety of unshare(2) is the flag taken away above.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Lets this process set the modes of a terminal that it is not in the foreground of, instead of being stopped for it.
pub fn ignore_terminal_stops() {
    // SAFETY: SIG_IGN is no function that could be run, and no handler of ours is replaced.
    unsafe {
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
    }
}
