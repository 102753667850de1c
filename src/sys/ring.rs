//! The memory that a packet socket shares with the kernel: `TPACKET_V3` of
//! `Documentation/networking/packet_mmap.rst`.
//!
//! The kernel fills blocks in turn and hands each over by a word in its header; here it is borrowed as bytes, and handed
//! back when the borrow ends. What the bytes say is not known here.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

// include/uapi/linux/if_packet.h; not in the libc crate.
const PACKET_RX_RING: libc::c_int = 5;
const PACKET_VERSION: libc::c_int = 10;
const TPACKET_V3: libc::c_int = 2;
const TP_STATUS_KERNEL: u32 = 0;
const TP_STATUS_USER: u32 = 1;
/// Where in a block's header the word is that says whose it is: behind `version` and `offset_to_priv`.
const STATUS: usize = 8;
/// The kernel only checks that this divides the blocks; frames of version 3 have the lengths that they have.
const FRAME_SIZE: usize = 2048;

/// `struct tpacket_req3`
#[repr(C)]
struct Request {
    block_size: libc::c_uint,
    blocks: libc::c_uint,
    frame_size: libc::c_uint,
    frames: libc::c_uint,
    /// After how many milliseconds a block that is not full is handed over.
    retire_ms: libc::c_uint,
    private_size: libc::c_uint,
    features: libc::c_uint,
}

/// A packet socket's ring of blocks.
pub struct Ring {
    start: NonNull<u8>,
    block_size: usize,
    blocks: usize,
    /// The number of the block that the kernel hands over next.
    next: usize,
}

// SAFETY: nothing else knows the mapping, and it belongs to no thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Gives a packet socket, which is not bound yet, a ring. `block_size` must be a multiple of the page size; a block
    /// that is not full is handed over after `retire`.
    ///
    /// # Errors
    /// The system calls', also when there is no memory.
    pub fn map(socket: BorrowedFd<'_>, block_size: usize, blocks: usize, retire: Duration) -> io::Result<Self> {
        let number = |value: usize| libc::c_uint::try_from(value).map_err(io::Error::other);
        let length = block_size.checked_mul(blocks).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let request = Request {
            block_size: number(block_size)?,
            blocks: number(blocks)?,
            frame_size: number(FRAME_SIZE)?,
            frames: number(length / FRAME_SIZE)?,
            retire_ms: libc::c_uint::try_from(retire.as_millis()).map_err(io::Error::other)?,
            private_size: 0,
            features: 0,
        };
        set_packet_option(socket, PACKET_VERSION, &TPACKET_V3)?;
        set_packet_option(socket, PACKET_RX_RING, &request)?;
        // SAFETY: a new mapping where the kernel likes to have it; the kernel checks that it is as long as the ring.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(mapping.cast()) {
            Some(start) if mapping != libc::MAP_FAILED => Ok(Self { start, block_size, blocks, next: 0 }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The next block in turn, if the kernel has handed it over.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        // SAFETY: the mapping has `blocks` blocks of `block_size` bytes, and `next` is always less than `blocks`.
        let start = unsafe { self.start.add(self.next * self.block_size) };
        // SAFETY: it is a block's start.
        let status = unsafe { status(start) };
        // What the kernel wrote before this word is seen after it.
        let is_handed_over = status.load(Ordering::Acquire) & TP_STATUS_USER != 0;
        if !is_handed_over {
            return None;
        }
        self.next = (self.next + 1) % self.blocks;
        Some(Block { start, length: self.block_size, ring: PhantomData })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made, and no block of it is borrowed any more.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.block_size * self.blocks);
        }
    }
}

/// A block that the kernel has handed over, until it is dropped.
pub struct Block<'ring> {
    start: NonNull<u8>,
    length: usize,
    ring: PhantomData<&'ring mut Ring>,
}

impl Block<'_> {
    /// The block with its header.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the block is inside of the mapping, which the borrow of the ring keeps, and the kernel writes into no
        // block that it has handed over.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

/// The word that says whose a block is.
///
/// # Safety
/// A block of a mapping that lives must begin here.
unsafe fn status<'a>(block: NonNull<u8>) -> &'a AtomicU32 {
    // SAFETY: blocks begin at pages, so the word is aligned, and have at least a page, so it is inside.
    unsafe { AtomicU32::from_ptr(block.add(STATUS).as_ptr().cast()) }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // What was read before this word stays before it.
        // SAFETY: the mapping lives as long as the borrow of the ring, which ends here.
        unsafe { status(self.start) }.store(TP_STATUS_KERNEL, Ordering::Release);
    }
}

fn set_packet_option<T>(socket: BorrowedFd<'_>, option: libc::c_int, value: &T) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `size` bytes of `value`, which lives until the call returns, and writes nothing.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, ptr::from_ref(value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
