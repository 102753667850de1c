//! The few system calls that no safe crate offers as they are needed here. The only module with `unsafe`.
//!
//! `uml_ptrace.rs` beside them is no part of it: `build.rs` makes a library of its own of it.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::thread::UnshareFlags;

mod ring;

pub use ring::Ring;

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

/// Lets a socket take only the frames that a program in the kernel's packet filter language keeps.
///
/// # Errors
/// The system call's, also when the kernel finds the program unsound.
pub fn attach_filter(socket: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let size = libc::socklen_t::try_from(size_of_val(&program)).map_err(io::Error::other)?;
    // SAFETY: `program` names `len` instructions that live until the call returns; the kernel copies them and writes
    // nothing.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets a packet socket receive what crosses the interface of this number, or all of them with 0.
///
/// # Errors
/// The system call's.
pub fn bind_packet_socket(socket: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    // SAFETY: all bytes zero is a valid value of this plain C structure.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    address.sll_protocol = u16::try_from(libc::ETH_P_ALL).map_err(io::Error::other)?.to_be();
    address.sll_ifindex = i32::try_from(interface).map_err(io::Error::other)?;
    let size = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `size` bytes of `address`, which lives until the call returns.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// When the kernel received the frame that was last read from a socket, in nanoseconds since the Unix epoch.
///
/// # Errors
/// The system call's: before the first frame there is no answer, but from then on frames are stamped.
pub fn last_frame_time(socket: BorrowedFd<'_>) -> io::Result<u64> {
    /// include/uapi/asm-generic/sockios.h; not in the libc crate.
    const SIOCGSTAMPNS: libc::c_ulong = 0x8907;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the request writes one timespec, which lives until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSTAMPNS as _, &raw mut time) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let (secs, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    Ok(secs.unwrap_or_default().saturating_mul(1_000_000_000).saturating_add(nanos.unwrap_or_default()))
}

/// How many frames a packet socket had no room for since the last question.
///
/// # Errors
/// The system call's.
pub fn dropped_frames(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut size = libc::socklen_t::try_from(size_of_val(&statistics)).map_err(io::Error::other)?;
    // SAFETY: the option writes at most `size` bytes into `statistics`, which lives until the call returns.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut size,
        )
    };
    if result == 0 { Ok(statistics.tp_drops.into()) } else { Err(io::Error::last_os_error()) }
}

/// The hardware type (`ARPHRD_*`) of the interface of this name.
///
/// # Errors
/// The system call's.
pub fn hardware_type(socket: BorrowedFd<'_>, name: &str) -> io::Result<u16> {
    // SAFETY: all bytes zero is a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    // SAFETY: the request reads and writes one ifreq, which lives until the call returns.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: this request fills the hardware address, which any bytes are a valid value of.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
}
