//! Frames from an interface, with pnet.
//!
//! pnet receives, but knows neither direction nor time nor loss, so the sockets are opened and prepared here before
//! pnet gets them, and a copy of each descriptor is kept to ask what pnet does not tell:
//!
//! - There are two sockets, each with a filter in the kernel: one takes what leaves, the other what arrives. On
//!   loopback the kernel shows each frame both ways, and one socket is enough.
//! - The buffer is as large as the kernel allows; what it still drops is counted (`PACKET_STATISTICS`).
//! - Times are the kernel's (`SIOCGSTAMPNS`).
//! - An interface that goes down leaves an error on the socket; it is fetched, or else every wait would end at once.
//!
//! Lost through pnet, which discards the control messages: the VLAN tag that the device took off.

use std::io;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pnet::datalink::{Channel, DataLinkReceiver, NetworkInterface, linux};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

use super::{
    ANY, Absence, Batch, CaptureError, Frame, Interface, JUMP_IF_EQUAL, LOAD_WORD, LinkState, RETURN, Source, Wanted,
    find, refused, step,
};
use crate::packet::{Direction, LinkType};
use crate::sys;

/// More than any frame has, also one that the device is to cut up (64 KiB).
const LARGEST_FRAME: usize = 256 * 1024;
/// How long frames are gathered after the first one.
const GATHER: Duration = Duration::from_millis(20);
/// The most frames in a batch.
const MOST_FRAMES: usize = 256;
/// The most bytes in a batch.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A capture on one interface.
pub struct LiveCapture {
    wanted: Wanted,
    sockets: Result<Vec<Socket>, Absence>,
}

impl LiveCapture {
    /// Begins to take frames in the calling thread's namespace. The kernel keeps up to the wanted bytes of them for each
    /// direction; without `CAP_NET_ADMIN`, what `net.core.rmem_max` allows.
    ///
    /// # Errors
    /// When there is no such interface, or all are meant, or the rights miss.
    pub fn open(wanted: Wanted) -> Result<Self, CaptureError> {
        if wanted.interface == ANY {
            return Err(CaptureError::OneAtATime);
        }
        let sockets = Ok(open_sockets(&find(&wanted.interface)?, &wanted)?);
        Ok(Self { wanted, sockets })
    }
}

impl Source for LiveCapture {
    fn interface(&self) -> &str {
        &self.wanted.interface
    }

    fn next(&mut self, patience: Duration) -> Result<Batch, CaptureError> {
        let wanted = &self.wanted;
        let sockets = match &mut self.sockets {
            Ok(sockets) => sockets,
            Err(absence) => {
                let opened = absence.end(&wanted.interface, patience, |interface| open_sockets(interface, wanted))?;
                let Some(sockets) = opened else {
                    return Ok(Batch::default());
                };
                self.sockets = Ok(sockets);
                return Ok(Batch { link: Some(LinkState::Up), ..Batch::default() });
            }
        };
        let mut batch = Batch::default();
        let mut deadline = Instant::now() + patience;
        let mut bytes = 0;
        while batch.frames.len() < MOST_FRAMES && bytes < MOST_BYTES {
            let readiness = wait(sockets, deadline.saturating_duration_since(Instant::now()))
                .map_err(|error| refused(&wanted.interface, "waiting for frames", error))?;
            if readiness.iter().all(PollFlags::is_empty) {
                break;
            }
            for (socket, ready) in sockets.iter_mut().zip(readiness) {
                if ready.contains(PollFlags::ERR) && socket.take_error().is_some() {
                    batch.link = Some(LinkState::Down);
                }
                if ready.contains(PollFlags::IN) && socket.read(&mut batch.frames) == Reading::LinkDown {
                    batch.link = Some(LinkState::Down);
                }
            }
            bytes = batch.frames.iter().map(|frame| frame.bytes.len()).sum();
            if batch.link.is_some() {
                break;
            }
            deadline = deadline.min(Instant::now() + GATHER);
        }
        batch.frames.sort_by_key(|frame| frame.at_ns);
        batch.dropped = sockets.iter().map(Socket::dropped).sum();
        if batch.link.is_some() {
            // An interface made anew under the same name has another number: sockets come again with it.
            self.sockets = Err(Absence::begin());
        }
        Ok(batch)
    }
}

/// Waits until a socket has something to say; which, and what.
fn wait(sockets: &[Socket], patience: Duration) -> io::Result<Vec<PollFlags>> {
    let mut fds: Vec<PollFd<'_>> = sockets.iter().map(|socket| PollFd::new(&socket.side, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) => Ok(fds.iter().map(PollFd::revents).collect()),
        Err(rustix::io::Errno::INTR) => Ok(vec![PollFlags::empty(); sockets.len()]),
        Err(error) => Err(error.into()),
    }
}

/// How reading ended.
#[derive(PartialEq, Eq)]
enum Reading {
    /// Nothing waits any more, or enough was read.
    Done,
    /// The interface went down.
    LinkDown,
}

/// One of the sockets, in pnet's hands.
struct Socket {
    receiver: Box<dyn DataLinkReceiver>,
    /// The same socket, for what pnet does not tell.
    side: OwnedFd,
    direction: Direction,
    interface: Arc<str>,
    link: LinkType,
}

fn open_sockets(interface: &Interface, wanted: &Wanted) -> Result<Vec<Socket>, CaptureError> {
    let directions: &[Direction] =
        if interface.is_loopback { &[Direction::In] } else { &[Direction::In, Direction::Out] };
    directions.iter().map(|direction| Socket::open(interface, *direction, wanted)).collect()
}

impl Socket {
    fn open(interface: &Interface, direction: Direction, wanted: &Wanted) -> Result<Self, CaptureError> {
        let name = interface.name.as_str();
        let step = |operation| move |error| refused(name, operation, error);
        // Without a protocol it receives nothing until pnet binds it, and by then the filter is in place.
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map_err(|error| refused(name, "opening a packet socket", error))?;
        sys::attach_filter(socket.as_fd(), &wanted.program(&only(direction))).map_err(step("attaching a filter"))?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, wanted.buffer).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, wanted.buffer)
                .map_err(|error| refused(name, "enlarging the buffer", error))?;
        }
        // The first question begins the stamping; there is no frame to answer it with.
        let _ = sys::last_frame_time(socket.as_fd());
        let side = socket.try_clone().map_err(step("copying the socket"))?;
        let link = sys::hardware_type(side.as_fd(), name).map_err(step("asking for its link type"))?;
        let config = linux::Config {
            read_buffer_size: LARGEST_FRAME,
            // pnet waits no time at all: it is only asked when there is something to read.
            read_timeout: Some(Duration::ZERO),
            // Frames for others are none of this host's business, and asking for them is a change of the interface.
            promiscuous: false,
            socket_fd: Some(socket.into_raw_fd()),
            ..linux::Config::default()
        };
        let channel = linux::channel(&to_pnet(interface), config).map_err(step("binding a packet socket"))?;
        let Channel::Ethernet(_, receiver) = channel else {
            return Err(refused(name, "opening a packet socket", io::Error::other("pnet gave an unknown channel")));
        };
        Ok(Self { receiver, side, direction, interface: name.into(), link: LinkType::from_hardware_type(link) })
    }

    /// Reads what waits, up to [`MOST_FRAMES`].
    fn read(&mut self, frames: &mut Vec<Frame>) -> Reading {
        let mut room = MOST_BYTES;
        for _ in 0..MOST_FRAMES {
            if room == 0 {
                return Reading::Done;
            }
            let bytes = match self.receiver.next() {
                Ok(bytes) => bytes,
                // The error can be asked for once, and this was it.
                Err(error) if error.kind() == io::ErrorKind::NetworkDown => return Reading::LinkDown,
                Err(_) => return Reading::Done,
            };
            room = room.saturating_sub(bytes.len());
            frames.push(Frame {
                at_ns: sys::last_frame_time(self.side.as_fd()).unwrap_or_default(),
                interface: Arc::clone(&self.interface),
                link: self.link,
                direction: Some(self.direction),
                // pnet does not tell how long it was; a full buffer means longer.
                wire_length: if bytes.len() == LARGEST_FRAME { usize::MAX } else { bytes.len() },
                bytes: Bytes::copy_from_slice(bytes),
            });
        }
        Reading::Done
    }

    fn take_error(&self) -> Option<rustix::io::Errno> {
        sockopt::socket_error(&self.side).ok().and_then(Result::err)
    }

    /// How many frames the kernel dropped since the last question.
    fn dropped(&self) -> u64 {
        sys::dropped_frames(self.side.as_fd()).unwrap_or_default()
    }
}

fn to_pnet(interface: &Interface) -> NetworkInterface {
    NetworkInterface {
        name: interface.name.clone(),
        description: String::new(),
        index: interface.index,
        mac: None,
        ips: Vec::new(),
        flags: 0,
    }
}

/// Steps that drop the frame unless it goes this way (its type is `PACKET_OUTGOING`, or is not); others follow.
fn only(direction: Direction) -> [libc::sock_filter; 3] {
    let (if_outgoing, if_not) = match direction {
        Direction::Out => (1, 0),
        Direction::In => (0, 1),
    };
    [
        step(LOAD_WORD, (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned(), 0, 0),
        step(JUMP_IF_EQUAL, libc::PACKET_OUTGOING.into(), if_outgoing, if_not),
        step(RETURN, 0, 0, 0),
    ]
}
