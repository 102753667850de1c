//! XFRM's events.

use std::io;
use std::time::Duration;

use netlink_packet_xfrm::constants as c;
use netlink_sys::protocols::NETLINK_XFRM;
use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;
use zeroize::{Zeroize, Zeroizing};

use super::decode;
use crate::kernel::error::{KernelError, Operation};
use crate::kernel::netlink::messages;
use crate::kernel::{Result, Watch};
use crate::model::KernelEvent;

/// Room for the events of a burst; the default of 208 KiB loses one in ten of 100,000.
const BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// How many datagrams one wait takes at most, so that a flood cannot keep the reader from ever returning.
const MOST_DATAGRAMS: usize = 1024;

/// Groups that may be listened to without changing what the kernel does.
const GROUPS: [u32; 6] = [
    c::XFRMNLGRP_EXPIRE,
    c::XFRMNLGRP_SA,
    c::XFRMNLGRP_POLICY,
    c::XFRMNLGRP_REPORT,
    c::XFRMNLGRP_MIGRATE,
    c::XFRMNLGRP_MAPPING,
];

/// A socket that listens to XFRM's multicast groups.
///
/// Two groups are left alone because listening to them changes the kernel's behaviour. AEVENTS makes it send a
/// message for every second packet. ACQUIRE makes it believe that a key manager is there: a packet without an SA then
/// leaves a larval SA behind and waits, where it would have been refused at once (`km_query`,
/// `net/xfrm/xfrm_state.c`). Joining it only where a key manager listens would not do: that one may end, and this one
/// would stay.
pub(super) struct XfrmWatch {
    socket: Socket,
    buffer: Zeroizing<Vec<u8>>,
}

impl XfrmWatch {
    pub(super) fn open() -> Result<Self> {
        Self::listen().map_err(|error| KernelError::io(Operation::Watch, &error))
    }

    fn listen() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_XFRM)?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES).is_err() {
            // Without CAP_NET_ADMIN of the first user namespace the system's limit holds.
            sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES)?;
        }
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self { socket, buffer: Zeroizing::new(vec![0; 64 * 1024]) })
    }
}

impl Watch for XfrmWatch {
    fn wait(&mut self, timeout: Duration, events: &mut Vec<KernelEvent>) -> Result<()> {
        let failed = |error: io::Error| KernelError::io(Operation::Watch, &error);
        let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        for _ in 0..MOST_DATAGRAMS {
            match self.socket.recv(&mut &mut self.buffer[..], 0) {
                Ok(received) => {
                    let (datagram, _) = self.buffer.split_at_mut(received.min(64 * 1024));
                    read(datagram, events);
                    datagram.zeroize();
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => events.push(KernelEvent::Lost),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }
}

fn read(datagram: &[u8], events: &mut Vec<KernelEvent>) {
    for message in messages(datagram) {
        match message {
            Ok(message) => events.extend(decode::event(message.kind, message.payload)),
            Err(reason) => events.push(KernelEvent::Unreadable { message_type: 0, reason }),
        }
    }
}
