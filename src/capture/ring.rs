//! Frames from a ring that the kernel fills (`TPACKET_V3`), on one interface or on all.
//!
//! Nothing is asked per frame: its time, direction, interface, link and VLAN tag stand before it in the ring. Whatever
//! the ring says is checked before it is followed.
//!
//! A frame on loopback crosses the socket twice, once each way; a filter in the kernel keeps the one that arrives.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with, sockopt};

use super::{
    ANY, Absence, Batch, CaptureError, Frame, JUMP_IF_EQUAL, LOAD_WORD, LinkState, RETURN, Source, Wanted, find,
    refused, step,
};
use crate::packet::{Direction, LinkType};
use crate::sys;

/// A frame is never larger than a block, and it is handed over with its block. No Linux device has frames as large.
const BLOCK: usize = 256 * 1024;
/// The smallest and the largest ring, in blocks.
const BLOCKS: (usize, usize) = (2, 256);
/// After this the kernel hands over a block that is not full.
const GATHER: Duration = Duration::from_millis(20);
/// No block is taken on top of as many frames, ...
const MOST_FRAMES: usize = 1024;
/// ... nor of as many blocks: large frames are few in a block, and a batch of them has a bound in bytes.
const MOST_BLOCKS: usize = 8;
/// For how long the name of an interface is believed.
const NAMES_HOLD: Duration = Duration::from_secs(1);

/// A capture on one interface or on all.
pub struct RingCapture {
    wanted: Wanted,
    state: Result<Open, Absence>,
}

impl RingCapture {
    /// Begins to take frames in the calling thread's namespace. The kernel gets about the wanted bytes for them, half a
    /// megabyte to 64 megabytes.
    ///
    /// # Errors
    /// When there is no such interface, or the rights or the memory miss.
    pub fn open(wanted: Wanted) -> Result<Self, CaptureError> {
        let index = if wanted.interface == ANY { 0 } else { find(&wanted.interface)?.index };
        Ok(Self { state: Ok(Open::new(&wanted, index)?), wanted })
    }
}

impl Source for RingCapture {
    fn next(&mut self, patience: Duration) -> Result<Batch, CaptureError> {
        let wanted = &self.wanted;
        let open = match &mut self.state {
            Ok(open) => open,
            Err(absence) => {
                let opened = absence.end(&wanted.interface, patience, |place| Open::new(wanted, place.index))?;
                let Some(open) = opened else {
                    return Ok(Batch::default());
                };
                self.state = Ok(open);
                return Ok(Batch { link: Some(LinkState::Up), ..Batch::default() });
            }
        };
        let batch = open.next(&wanted.interface, patience)?;
        if batch.link.is_some() {
            self.state = Err(Absence::begin());
        }
        Ok(batch)
    }

    fn interface(&self) -> &str {
        &self.wanted.interface
    }
}

/// The socket and its ring.
struct Open {
    ring: sys::Ring,
    socket: OwnedFd,
    names: Names,
}

impl Open {
    fn new(wanted: &Wanted, index: u32) -> Result<Self, CaptureError> {
        let name = wanted.interface.as_str();
        let step = |operation| move |error| refused(name, operation, error);
        // Without a protocol it receives nothing until it is bound, and by then filter and ring are in place.
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map_err(|error| refused(name, "opening a packet socket", error))?;
        sys::attach_filter(socket.as_fd(), &wanted.program(&LOOPBACK_ONCE)).map_err(step("attaching a filter"))?;
        let blocks = (wanted.buffer / BLOCK).clamp(BLOCKS.0, BLOCKS.1);
        let ring = sys::Ring::map(socket.as_fd(), BLOCK, blocks, GATHER).map_err(step("sharing a ring"))?;
        sys::bind_packet_socket(socket.as_fd(), index).map_err(step("binding a packet socket"))?;
        let only = (index != 0).then(|| name.into());
        Ok(Self { ring, socket, names: Names { only, known: HashMap::new(), asked: Instant::now() } })
    }

    fn next(&mut self, name: &str, patience: Duration) -> Result<Batch, CaptureError> {
        let deadline = Instant::now() + patience;
        let mut batch = Batch::default();
        loop {
            self.fetch(&mut batch.frames);
            let left = deadline.saturating_duration_since(Instant::now());
            if !batch.frames.is_empty() || left.is_zero() {
                break;
            }
            let ready = self.wait(left).map_err(|error| refused(name, "waiting for frames", error))?;
            if ready.contains(PollFlags::ERR) && sockopt::socket_error(&self.socket).is_ok_and(|error| error.is_err()) {
                batch.link = Some(LinkState::Down);
                // What came just before is in a block that the kernel still holds.
                let _ = self.wait(2 * GATHER).map_err(|error| refused(name, "waiting for frames", error))?;
                self.fetch(&mut batch.frames);
                break;
            }
        }
        batch.frames.sort_by_key(|frame| frame.at_ns);
        batch.dropped = sys::dropped_frames(self.socket.as_fd()).unwrap_or_default();
        Ok(batch)
    }

    /// Takes the frames of the blocks that have been handed over.
    fn fetch(&mut self, frames: &mut Vec<Frame>) {
        self.names.refresh();
        for _ in 0..MOST_BLOCKS {
            if frames.len() >= MOST_FRAMES {
                return;
            }
            let Some(block) = self.ring.next_block() else {
                return;
            };
            let (names, socket) = (&mut self.names, &self.socket);
            let name_of = |index| names.of(index, socket);
            frames.extend(Entries::of(block.bytes()).map(name_frames(name_of)));
        }
    }

    fn wait(&self, patience: Duration) -> rustix::io::Result<PollFlags> {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        let timeout = Timespec::try_from(patience).map_err(|_| rustix::io::Errno::INVAL)?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => Ok(fds[0].revents()),
            Err(rustix::io::Errno::INTR) => Ok(PollFlags::empty()),
            Err(error) => Err(error),
        }
    }
}

/// What interfaces are called.
struct Names {
    /// The one that is captured on, if it is one.
    only: Option<Arc<str>>,
    known: HashMap<u32, Arc<str>>,
    /// Since when `known` has been filled.
    asked: Instant,
}

impl Names {
    fn refresh(&mut self) {
        if self.asked.elapsed() > NAMES_HOLD {
            self.known.clear();
            self.asked = Instant::now();
        }
    }

    /// The name of the interface of this number; one that is gone is called by its number.
    fn of(&mut self, index: u32, socket: &OwnedFd) -> Arc<str> {
        if let Some(name) = &self.only {
            return Arc::clone(name);
        }
        let ask = || netdevice::index_to_name(socket, index).unwrap_or_else(|_| format!("#{index}")).into();
        Arc::clone(self.known.entry(index).or_insert_with(ask))
    }
}

/// Makes frames of a block's entries.
fn name_frames(mut name_of: impl FnMut(u32) -> Arc<str>) -> impl FnMut(Entry<'_>) -> Frame {
    move |entry| {
        let link = LinkType::from_hardware_type(entry.hardware_type);
        // The tag that the device took off goes back to where it was on the wire.
        let bytes = match entry.vlan {
            Some((ether_type, tag)) if link == LinkType::Ethernet => with_vlan_tag(entry.bytes, ether_type, tag).into(),
            _ => Bytes::copy_from_slice(entry.bytes),
        };
        let wire_length = entry.wire_length + (bytes.len() - entry.bytes.len());
        Frame {
            at_ns: entry.at_ns,
            interface: name_of(entry.interface),
            link,
            direction: Some(if entry.is_outgoing { Direction::Out } else { Direction::In }),
            wire_length,
            bytes,
        }
    }
}

/// What the ring says of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry<'block> {
    at_ns: u64,
    interface: u32,
    hardware_type: u16,
    is_outgoing: bool,
    /// The type and the tag that the device took off.
    vlan: Option<(u16, u16)>,
    wire_length: usize,
    bytes: &'block [u8],
}

// include/uapi/linux/if_packet.h: where the fields are in a block's header (tpacket_block_desc with tpacket_hdr_v1),
// ...
const BLOCK_FRAMES: usize = 12;
const BLOCK_FIRST: usize = 16;
// ... in a frame's (tpacket3_hdr), ...
const NEXT: usize = 0;
const SECONDS: usize = 4;
const NANOSECONDS: usize = 8;
const LENGTH: usize = 12;
const WIRE_LENGTH: usize = 16;
const STATUS: usize = 20;
const START: usize = 24;
const TAG: usize = 32;
const TAG_TYPE: usize = 36;
// ... and in the address (sockaddr_ll) behind it, at TPACKET_ALIGN(sizeof(tpacket3_hdr)).
const ADDRESS: usize = 48;
const INTERFACE: usize = ADDRESS + 4;
const HARDWARE_TYPE: usize = ADDRESS + 8;
const FRAME_TYPE: usize = ADDRESS + 10;

const STATUS_HAS_TAG: u32 = 1 << 4;
const STATUS_HAS_TAG_TYPE: u32 = 1 << 6;

/// The entries of a block. One that points to the outside of it ends them.
struct Entries<'block> {
    block: &'block [u8],
    /// Where the next entry begins.
    at: usize,
    left: u32,
}

impl<'block> Entries<'block> {
    fn of(block: &'block [u8]) -> Self {
        let count = word(block, BLOCK_FRAMES).unwrap_or_default();
        let first = word(block, BLOCK_FIRST).map_or(block.len(), to_usize);
        Self { block, at: first, left: count }
    }
}

impl<'block> Iterator for Entries<'block> {
    type Item = Entry<'block>;

    fn next(&mut self) -> Option<Entry<'block>> {
        self.left = self.left.checked_sub(1)?;
        let rest = self.block.get(self.at..)?;
        let entry = parse_entry(rest)?;
        let next = word(rest, NEXT).map_or(0, to_usize);
        if next == 0 {
            // The last one has no next one; and no loop is made of entries that say so before.
            self.left = 0;
        }
        self.at += next;
        Some(entry)
    }
}

fn parse_entry(entry: &[u8]) -> Option<Entry<'_>> {
    let start = usize::from(half(entry, START)?);
    let bytes = entry.get(start..)?.get(..to_usize(word(entry, LENGTH)?))?;
    let status = word(entry, STATUS)?;
    let tag_type = if status & STATUS_HAS_TAG_TYPE == 0 { ETHER_TYPE_VLAN } else { half(entry, TAG_TYPE)? };
    let tag = (word(entry, TAG)? & 0xffff) as u16;
    Some(Entry {
        at_ns: u64::from(word(entry, SECONDS)?) * 1_000_000_000 + u64::from(word(entry, NANOSECONDS)?),
        interface: word(entry, INTERFACE)?,
        hardware_type: half(entry, HARDWARE_TYPE)?,
        is_outgoing: *entry.get(FRAME_TYPE)? == libc::PACKET_OUTGOING,
        vlan: (status & STATUS_HAS_TAG != 0).then_some((tag_type, tag)),
        wire_length: to_usize(word(entry, WIRE_LENGTH)?).max(bytes.len()),
        bytes,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_ne_bytes(*half))
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Steps that drop the frame if it leaves through loopback; others follow.
const LOOPBACK_ONCE: [libc::sock_filter; 5] = [
    step(LOAD_WORD, (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned(), 0, 0),
    step(JUMP_IF_EQUAL, libc::PACKET_OUTGOING as u32, 0, 3),
    step(LOAD_WORD, (libc::SKF_AD_OFF + libc::SKF_AD_HATYPE).cast_unsigned(), 0, 0),
    step(JUMP_IF_EQUAL, libc::ARPHRD_LOOPBACK as u32, 0, 1),
    step(RETURN, 0, 0, 0),
];

const ETHER_TYPE_VLAN: u16 = 0x8100;

/// An Ethernet frame with a VLAN tag behind its addresses; one that is cut before stays as it is.
fn with_vlan_tag(frame: &[u8], ether_type: u16, tag: u16) -> Vec<u8> {
    const ADDRESSES: usize = 12;
    match frame.split_at_checked(ADDRESSES) {
        Some((addresses, rest)) => [addresses, &ether_type.to_be_bytes(), &tag.to_be_bytes(), rest].concat(),
        None => frame.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An entry as the kernel writes it, the frame at 80.
    fn entry(next: u32, bytes: &[u8]) -> Vec<u8> {
        let mut entry = vec![0; 80];
        let mut put = |at: usize, field: &[u8]| entry[at..at + field.len()].copy_from_slice(field);
        put(NEXT, &next.to_ne_bytes());
        put(SECONDS, &1_700_000_000_u32.to_ne_bytes());
        put(NANOSECONDS, &123_456_789_u32.to_ne_bytes());
        put(LENGTH, &u32::try_from(bytes.len()).unwrap().to_ne_bytes());
        put(WIRE_LENGTH, &9000_u32.to_ne_bytes());
        put(START, &80_u16.to_ne_bytes());
        put(INTERFACE, &7_u32.to_ne_bytes());
        put(HARDWARE_TYPE, &1_u16.to_ne_bytes());
        put(FRAME_TYPE, &[libc::PACKET_OUTGOING]);
        entry.extend(bytes);
        entry.resize(entry.len().next_multiple_of(8), 0);
        entry
    }

    fn block(count: u32, entries: &[u8]) -> Vec<u8> {
        let mut block = vec![0; 48];
        block[BLOCK_FRAMES..][..4].copy_from_slice(&count.to_ne_bytes());
        block[BLOCK_FIRST..][..4].copy_from_slice(&48_u32.to_ne_bytes());
        block.extend(entries);
        block
    }

    fn tagged(ether_type: Option<u16>) -> Vec<u8> {
        let mut entry = entry(0, &[b'a'; 14]);
        let flags = if ether_type.is_some() { STATUS_HAS_TAG | STATUS_HAS_TAG_TYPE } else { STATUS_HAS_TAG };
        entry[STATUS..][..4].copy_from_slice(&flags.to_ne_bytes());
        entry[TAG..][..4].copy_from_slice(&0x2005_u32.to_ne_bytes());
        entry[TAG_TYPE..][..2].copy_from_slice(&ether_type.unwrap_or_default().to_ne_bytes());
        entry
    }

    fn frames(block: &[u8]) -> Vec<Frame> {
        Entries::of(block).map(name_frames(|index| format!("if{index}").into())).collect()
    }

    #[test]
    fn what_the_kernel_says_of_a_frame_is_kept() {
        let frames = frames(&block(2, &[entry(88, b"first"), entry(0, b"second")].concat()));
        let [first, second] = frames.as_slice() else { panic!("{frames:?}") };
        assert_eq!((&*first.bytes, &*second.bytes), (b"first".as_slice(), b"second".as_slice()));
        assert_eq!((first.at_ns, &*first.interface), (1_700_000_000_123_456_789, "if7"));
        assert_eq!((first.direction, first.link), (Some(Direction::Out), LinkType::Ethernet));
        assert_eq!((first.wire_length, first.is_cut()), (9000, true));
    }

    #[test]
    fn a_tag_is_put_back_with_its_type() {
        let check = |ether_type, bytes: &[u8]| {
            let frames = frames(&block(1, &tagged(ether_type)));
            assert_eq!((&*frames[0].bytes, frames[0].wire_length), (bytes, 9004));
        };
        check(Some(0x8100), b"aaaaaaaaaaaa\x81\x00\x20\x05aa");
        check(None, b"aaaaaaaaaaaa\x81\x00\x20\x05aa");
        check(Some(0x88a8), b"aaaaaaaaaaaa\x88\xa8\x20\x05aa");
    }

    #[test]
    fn what_points_outside_ends_the_block() {
        let check = |count, entries: &[u8], expected| assert_eq!(frames(&block(count, entries)).len(), expected);
        let two = [entry(88, b"first"), entry(0, b"second")].concat();
        check(2, &two, 2);
        check(1, &two, 1);
        check(u32::MAX, &two, 2);
        check(2, &[entry(4096, b"first"), entry(0, b"second")].concat(), 1);
        check(2, &two[..two.len() - 8], 1);
        check(2, &[], 0);
        assert_eq!(frames(&[]), []);
    }

    proptest! {
        #[test]
        fn any_block_ends_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), count: u32) {
            if let Some(field) = bytes.get_mut(BLOCK_FRAMES..BLOCK_FRAMES + 4) {
                field.copy_from_slice(&count.to_ne_bytes());
            }
            // Offsets within reach, so that entries are followed.
            for field in bytes.iter_mut().skip(BLOCK_FIRST).enumerate().filter_map(|(at, byte)| (at % 4 != 0).then_some(byte)) {
                *field = 0;
            }
            prop_assert!(frames(&bytes).len() <= bytes.len());
        }
    }
}
