//! A netlink socket: requests, acknowledgements with the kernel's own words, dumps.
//!
//! `netlink-proto` would do this too, but logs whole messages, keys included, and drops from a dump what it cannot
//! decode. Here the bytes stay in buffers that are wiped, and the caller sees every message.
#![deny(clippy::indexing_slicing)]

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NLMSG_NOOP,
};
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt;
use zeroize::{Zeroize, Zeroizing};

use super::error::{Cause, KernelError, Operation};
use crate::model::text::harmless_bytes;

/// The kernel never fills more than 32 KiB for one `recv` (`netlink_dump`, `net/netlink/af_netlink.c`), but answers to
/// a single request may be larger in theory.
const RECEIVE_BYTES: usize = 64 * 1024;
/// The kernel answers at once; a request that takes longer than this is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a dump that changed while it was read is tried again.
const DUMP_TRIES: u32 = 5;
/// `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// `NLMSGERR_ATTR_MSG`, include/uapi/linux/netlink.h.
const EXTENDED_ACK_TEXT: u16 = 1;

/// One message of a datagram, without its header.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: that of the request it answers, 0 for events.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of a datagram, up to the first whose length cannot be right.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>, String>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = datagram.get(offset..).filter(|rest| !rest.is_empty())?;
        let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
            let at = offset;
            offset = datagram.len();
            return Some(Err(format!("{} bytes at offset {at} are no message header", rest.len())));
        };
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let Some(payload) = rest.get(HEADER_BYTES..length) else {
            let at = offset;
            offset = datagram.len();
            return Some(Err(format!("a message at offset {at} claims {length} bytes, {} are left", rest.len())));
        };
        offset += length.next_multiple_of(4);
        Some(Ok(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload,
        }))
    })
}

/// The attributes of a message: number and bytes, up to the first whose length cannot be right.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), String>> {
    /// Without the flags "nested" and "network byte order".
    const TYPE_MASK: u16 = 0x3fff;
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let Some([l0, l1, k0, k1]) = rest.first_chunk().copied() else {
            let at = offset;
            offset = bytes.len();
            return Some(Err(format!("{} bytes at offset {at} are no attribute header", rest.len())));
        };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let kind = u16::from_ne_bytes([k0, k1]) & TYPE_MASK;
        let Some(value) = rest.get(4..length) else {
            let at = offset;
            offset = bytes.len();
            let left = rest.len();
            return Some(Err(format!("attribute {kind} at offset {at} claims {length} bytes, {left} are left")));
        };
        offset += length.next_multiple_of(4);
        Some(Ok((kind, value)))
    })
}

/// A request in the making. What it holds is wiped when it goes.
pub struct Request {
    /// Grows by [`Self::make_room`] alone: a vector that grew by itself would leave copies of keys behind.
    bytes: Zeroizing<Vec<u8>>,
}

impl Request {
    /// Enough for almost all; more would have to be wiped each time.
    const USUAL: usize = 1024;

    /// A request of this message type.
    pub fn new(kind: u16) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::USUAL));
        bytes.extend_from_slice(&[0; HEADER_BYTES]);
        let mut request = Self { bytes };
        request.put(4, &kind.to_ne_bytes());
        request
    }

    /// Adds a body's bytes; they must be a multiple of four long.
    #[must_use]
    pub fn body(mut self, body: &[u8]) -> Self {
        self.make_room(body.len());
        self.bytes.extend_from_slice(body);
        self
    }

    fn make_room(&mut self, bytes: usize) {
        let needed = self.bytes.len() + bytes;
        if needed > self.bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(self, kind: u16, value: &[u8]) -> Self {
        self.attribute_of(kind, &[value])
    }

    /// Adds an attribute whose value is these parts one after the other, so that a key needs no copy of its own.
    #[must_use]
    pub fn attribute_of(mut self, kind: u16, parts: &[&[u8]]) -> Self {
        let length = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
        self.make_room(length.next_multiple_of(4));
        // Attribute lengths have 16 bits; nothing that is written here comes near.
        self.bytes.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, 0);
        self
    }

    /// What follows the header; for tests of what is written.
    #[cfg(test)]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    fn finish(&mut self, flags: u16, sequence: u32) -> &[u8] {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.put(0, &length.to_ne_bytes());
        self.put(6, &flags.to_ne_bytes());
        self.put(8, &sequence.to_ne_bytes());
        &self.bytes
    }

    /// Writes over what stands at a place of the header.
    fn put(&mut self, place: usize, value: &[u8]) {
        self.bytes.iter_mut().skip(place).zip(value).for_each(|(to, from)| *to = *from);
    }
}

/// A socket for requests and their answers.
pub struct Connection {
    socket: Socket,
    sequence: u32,
    buffer: Zeroizing<Vec<u8>>,
    /// How much of the buffer has held anything since it was wiped.
    soiled: usize,
}

impl Connection {
    /// A connection to the part of the kernel that `protocol` names (`NETLINK_XFRM`, `NETLINK_ROUTE`), in the network
    /// namespace of the calling thread; it stays in that namespace wherever it is used.
    ///
    /// # Errors
    /// When the kernel lacks that part, or sockets.
    pub fn open(protocol: isize) -> Result<Self, KernelError> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(protocol)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // The kernel's own words in refusals; without the second one it would echo the request, keys included.
            socket.set_ext_ack(true)?;
            socket.set_cap_ack(true)?;
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
            Ok(socket)
        };
        let socket = open().map_err(|error| KernelError::io(Operation::Open, &error))?;
        Ok(Self { socket, sequence: 0, buffer: Zeroizing::new(vec![0; RECEIVE_BYTES]), soiled: 0 })
    }

    /// Sends a request and waits for its acknowledgement. Messages that come before it go to `answer`.
    ///
    /// # Errors
    /// The kernel's refusal, `answer`'s own refusal of a message, or a broken socket.
    pub fn request(
        &mut self,
        operation: &Operation,
        mut request: Request,
        flags: u16,
        mut answer: impl FnMut(Message<'_>) -> Result<(), String>,
    ) -> Result<(), KernelError> {
        let failed = |cause| KernelError { operation: operation.clone(), cause };
        let result = self.exchange(&mut request, flags | NLM_F_REQUEST | NLM_F_ACK, &mut answer);
        self.wipe();
        result.map(drop).map_err(failed)
    }

    /// Sends several requests at once and waits until the kernel is through with them; it goes on behind those that it
    /// refuses. What it answers to the others goes to `answer`. Returns the refusals, its own and `answer`'s, each with
    /// its request's place. If the socket breaks, that is the refusal of all.
    pub fn requests(
        &mut self,
        requests: &mut [Request],
        mut answer: impl FnMut(Message<'_>) -> Result<(), String>,
    ) -> Vec<(usize, Cause)> {
        let Some(last) = requests.len().checked_sub(1) else {
            return Vec::new();
        };
        let first_sequence = self.sequence.wrapping_add(1);
        let mut all = Zeroizing::new(Vec::with_capacity(requests.iter().map(|request| request.bytes.len()).sum()));
        for (place, request) in requests.iter_mut().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            // A refusal is always told; that all went well is worth one word.
            let ack = if place == last { NLM_F_ACK } else { 0 };
            all.extend_from_slice(request.finish(NLM_F_REQUEST | ack, self.sequence));
        }
        let result = self.exchange_many(&all, first_sequence, &mut answer);
        self.wipe();
        result.unwrap_or_else(|cause| (0..=last).map(|place| (place, cause.clone())).collect())
    }

    fn exchange_many(
        &mut self,
        requests: &[u8],
        first_sequence: u32,
        answer: &mut dyn FnMut(Message<'_>) -> Result<(), String>,
    ) -> Result<Vec<(usize, Cause)>, Cause> {
        self.socket.send(requests, 0).map_err(|error| io_cause(&error))?;
        let mut refusals = Vec::new();
        loop {
            let received = match self.socket.recv(&mut &mut self.buffer[..], 0) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(io_cause(&error)),
            };
            self.soiled = self.soiled.max(received);
            for message in messages(self.buffer.get(..received).unwrap_or_default()) {
                let message = message.map_err(Cause::Unreadable)?;
                let place = message.sequence.wrapping_sub(first_sequence) as usize;
                let is_ours = place <= self.sequence.wrapping_sub(first_sequence) as usize;
                if !is_ours {
                    continue;
                }
                let is_end = message.kind == NLMSG_ERROR;
                let taken = if is_end { acknowledgement(&message) } else { answer(message).map_err(Cause::Unreadable) };
                refusals.extend(taken.err().map(|cause| (place, cause)));
                if is_end && message.sequence == self.sequence {
                    return Ok(refusals);
                }
            }
        }
    }

    /// Asks for a whole table; every message of it goes to `row`. `again` is called when the table changed under the
    /// reader and comes once more from the start.
    ///
    /// # Errors
    /// As [`Connection::request`], or [`Cause::Inconsistent`] when the table never held still.
    pub fn dump(
        &mut self,
        operation: &Operation,
        mut request: Request,
        mut row: impl FnMut(Message<'_>) -> Result<(), String>,
        mut again: impl FnMut(),
    ) -> Result<(), KernelError> {
        let failed = |cause| KernelError { operation: operation.clone(), cause };
        for _ in 0..DUMP_TRIES {
            let result = self.exchange(&mut request, NLM_F_REQUEST | NLM_F_DUMP, &mut row);
            self.wipe();
            match result {
                Ok(Dump::Whole) => return Ok(()),
                Ok(Dump::Interrupted) => again(),
                Err(cause) => return Err(failed(cause)),
            }
        }
        Err(failed(Cause::Inconsistent))
    }

    /// Keys may have come, and more will be read into the same place.
    fn wipe(&mut self) {
        if let Some(soiled) = self.buffer.get_mut(..self.soiled) {
            soiled.zeroize();
        }
        self.soiled = 0;
    }

    fn exchange(
        &mut self,
        request: &mut Request,
        flags: u16,
        answer: &mut dyn FnMut(Message<'_>) -> Result<(), String>,
    ) -> Result<Dump, Cause> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.finish(flags, self.sequence);
        self.socket.send(bytes, 0).map_err(|error| io_cause(&error))?;
        let mut interrupted = false;
        let mut refused: Option<String> = None;
        loop {
            let received = match self.socket.recv(&mut &mut self.buffer[..], 0) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(io_cause(&error)),
            };
            self.soiled = self.soiled.max(received);
            let datagram = self.buffer.get(..received).unwrap_or_default();
            for message in messages(datagram) {
                let message = message.map_err(Cause::Unreadable)?;
                // The answer to a request that was given up earlier.
                if message.sequence != self.sequence {
                    continue;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_NOOP => {}
                    NLMSG_ERROR | NLMSG_DONE => {
                        acknowledgement(&message)?;
                        // Only after the last message, so that the next request does not find leftovers.
                        return match refused {
                            Some(reason) => Err(Cause::Unreadable(reason)),
                            None if interrupted => Ok(Dump::Interrupted),
                            None => Ok(Dump::Whole),
                        };
                    }
                    _ if refused.is_none() => refused = answer(message).err(),
                    _ => {}
                }
            }
        }
    }
}

enum Dump {
    Whole,
    Interrupted,
}

fn io_cause(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Cause::TimedOut(PATIENCE),
        _ => Cause::Refused { errno: error.raw_os_error().unwrap_or(0), text: None },
    }
}

/// What an `NLMSG_ERROR` or `NLMSG_DONE` says (include/uapi/linux/netlink.h, `struct nlmsgerr`).
fn acknowledgement(message: &Message<'_>) -> Result<(), Cause> {
    let Some((code, rest)) = message.payload.split_first_chunk::<4>() else {
        // Old kernels end some dumps without a code.
        return Ok(());
    };
    let code = i32::from_ne_bytes(*code);
    if code == 0 {
        return Ok(());
    }
    let texts = if message.flags & NLM_F_ACK_TLVS == 0 {
        &[]
    } else if message.kind == NLMSG_DONE {
        rest
    } else {
        let echoed = rest.first_chunk::<4>().map_or(0, |length| u32::from_ne_bytes(*length) as usize);
        let echoed = if message.flags & NLM_F_CAPPED == 0 { echoed.max(HEADER_BYTES) } else { HEADER_BYTES };
        rest.get(echoed.next_multiple_of(4)..).unwrap_or_default()
    };
    let text = attributes(texts).filter_map(Result::ok).find(|(kind, _)| *kind == EXTENDED_ACK_TEXT);
    let text = text.map(|(_, value)| harmless_bytes(value.strip_suffix(&[0]).unwrap_or(value)));
    Err(Cause::Refused { errno: code.wrapping_neg(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut request = Request::new(kind).body(payload);
        request.finish(flags, 7).to_vec()
    }

    #[test]
    fn a_datagram_falls_into_its_messages() {
        let mut datagram = message(16, 2, &[1, 2, 3, 4]);
        datagram.extend(message(17, 0, &[]));
        let found: Vec<_> = messages(&datagram).map(|m| m.map(|m| (m.kind, m.payload.to_vec()))).collect();
        assert_eq!(found, [Ok((16, vec![1, 2, 3, 4])), Ok((17, vec![]))]);
    }

    #[test]
    fn lengths_that_lie_are_named_and_end_the_walk() {
        let mut datagram = message(16, 0, &[1, 2, 3, 4]);
        datagram[0] = 99;
        assert_eq!(
            messages(&datagram).map(|m| m.map(|_| ())).collect::<Vec<_>>(),
            [Err("a message at offset 0 claims 99 bytes, 20 are left".to_owned())]
        );
        for length in [0u8, 3, 15] {
            datagram[0] = length;
            assert_eq!(messages(&datagram).filter(Result::is_err).count(), 1, "length {length}");
        }
        assert_eq!(messages(&[1, 2, 3]).filter(Result::is_err).count(), 1);
        assert_eq!(
            attributes(&[8, 0, 5, 0, 1]).collect::<Vec<_>>(),
            [Err("attribute 5 at offset 0 claims 8 bytes, 5 are left".to_owned())]
        );
        assert_eq!(attributes(&[3, 0, 5, 0]).filter(Result::is_err).count(), 1);
        assert_eq!(attributes(&[5, 0, 5, 0x80, 1, 0, 0, 0]).collect::<Vec<_>>(), [Ok((5, &[1u8][..]))]);
    }

    #[test]
    fn refusals_carry_the_kernels_words() {
        // As recorded from Linux 6.18: -ENOSYS, the capped header of the request, then the text.
        let mut payload = (-libc::ENOSYS).to_ne_bytes().to_vec();
        payload.extend([0; 16]);
        payload.extend([14, 0, 1, 0]);
        payload.extend(b"no \x1b such\0\0\0");
        let datagram = message(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, &payload);
        let found = messages(&datagram).next().unwrap().map(|m| acknowledgement(&m)).unwrap();
        let text = Some("no \\x1b such".to_owned());
        assert_eq!(found, Err(Cause::Refused { errno: libc::ENOSYS, text }));
    }

    #[test]
    fn an_acknowledgement_of_any_bytes_is_no_panic() {
        for length in 0..40 {
            for fill in [0u8, 1, 0x7f, 0xff] {
                let payload = vec![fill; length];
                for kind in [NLMSG_ERROR, NLMSG_DONE] {
                    let message = Message { kind, flags: NLM_F_ACK_TLVS, sequence: 0, payload: &payload };
                    let _ = acknowledgement(&message);
                }
            }
        }
    }
}
