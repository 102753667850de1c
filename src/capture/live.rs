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

use pnet::datalink::{Channel, DataLinkReceiver, NetworkInterface, linux};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

use super::{Batch, CaptureError, Frame, Interface, LinkState, interfaces};
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
/// How often to look whether an interface is back.
const RETRY: Duration = Duration::from_millis(500);

/// A capture on one interface.
pub struct LiveCapture {
    name: String,
    buffer: usize,
    sockets: Option<Vec<Socket>>,
    /// When the interface was last looked for, while it is down.
    looked: Instant,
}

impl LiveCapture {
    /// Begins to take frames from the interface of this name in the calling thread's namespace. The kernel keeps up to
    /// `buffer` bytes of them for each direction; without `CAP_NET_ADMIN`, what `net.core.rmem_max` allows.
    ///
    /// # Errors
    /// When there is none, or the rights miss.
    pub fn open(name: &str, buffer: usize) -> Result<Self, CaptureError> {
        let all = interfaces();
        let Some(interface) = all.iter().find(|interface| interface.name == name) else {
            let others = all.into_iter().map(|interface| interface.name).collect();
            return Err(CaptureError::Missing { name: name.to_owned(), others });
        };
        let sockets = Some(open_sockets(interface, buffer)?);
        Ok(Self { name: name.to_owned(), buffer, sockets, looked: Instant::now() })
    }

    /// The name of the interface.
    pub fn interface(&self) -> &str {
        &self.name
    }

    /// Waits for frames, and then a moment for more. An empty batch after `patience` without any.
    ///
    /// # Errors
    /// When the capture has ended for good.
    pub fn next(&mut self, patience: Duration) -> Result<Batch, CaptureError> {
        let Some(sockets) = &mut self.sockets else {
            return self.wait_for_the_interface(patience);
        };
        let mut batch = Batch::default();
        let mut deadline = Instant::now() + patience;
        let mut bytes = 0;
        while batch.frames.len() < MOST_FRAMES && bytes < MOST_BYTES {
            let readiness = wait(sockets, deadline.saturating_duration_since(Instant::now()))
                .map_err(|error| refused(&self.name, "waiting for frames", error))?;
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
            self.sockets = None;
        }
        Ok(batch)
    }

    fn wait_for_the_interface(&mut self, patience: Duration) -> Result<Batch, CaptureError> {
        std::thread::sleep(patience.min(RETRY.saturating_sub(self.looked.elapsed())));
        if self.looked.elapsed() < RETRY {
            return Ok(Batch::default());
        }
        self.looked = Instant::now();
        let is_back = |interface: &Interface| interface.name == self.name && interface.is_up;
        let Some(interface) = interfaces().into_iter().find(is_back) else {
            return Ok(Batch::default());
        };
        match open_sockets(&interface, self.buffer) {
            Ok(sockets) => {
                self.sockets = Some(sockets);
                Ok(Batch { link: Some(LinkState::Up), ..Batch::default() })
            }
            // It went away again in this very moment.
            Err(CaptureError::Refused { error, .. }) if error.raw_os_error() == Some(libc::ENODEV) => {
                Ok(Batch::default())
            }
            Err(error) => Err(error),
        }
    }
}

fn refused(interface: &str, operation: &'static str, error: impl Into<io::Error>) -> CaptureError {
    CaptureError::Refused { interface: interface.to_owned(), operation, error: error.into() }
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

fn open_sockets(interface: &Interface, buffer: usize) -> Result<Vec<Socket>, CaptureError> {
    let directions: &[Direction] =
        if interface.is_loopback { &[Direction::In] } else { &[Direction::In, Direction::Out] };
    directions.iter().map(|direction| Socket::open(interface, *direction, buffer)).collect()
}

impl Socket {
    fn open(interface: &Interface, direction: Direction, buffer: usize) -> Result<Self, CaptureError> {
        let name = interface.name.as_str();
        let step = |operation| move |error| refused(name, operation, error);
        // Without a protocol it receives nothing until pnet binds it, and by then the filter is in place.
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map_err(|error| refused(name, "opening a packet socket", error))?;
        sys::attach_filter(socket.as_fd(), &only(direction)).map_err(step("attaching a filter"))?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, buffer).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, buffer)
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
                vlan: None,
                // pnet does not tell how long it was; a full buffer means longer.
                wire_length: if bytes.len() == LARGEST_FRAME { usize::MAX } else { bytes.len() },
                bytes: bytes.into(),
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

/// A filter in the kernel's packet filter language (Documentation/networking/filter.rst): keep the frame if its type is
/// `PACKET_OUTGOING`, or if it is not.
fn only(direction: Direction) -> [libc::sock_filter; 4] {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let frame_type = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
    let (if_outgoing, if_not) = match direction {
        Direction::Out => (u32::MAX, 0),
        Direction::In => (0, u32::MAX),
    };
    [
        step(LOAD_WORD, frame_type, 0, 0),
        step(JUMP_IF_EQUAL, libc::PACKET_OUTGOING.into(), 0, 1),
        step(RETURN, if_outgoing, 0, 0),
        step(RETURN, if_not, 0, 0),
    ]
}
