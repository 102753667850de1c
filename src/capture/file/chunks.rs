//! A file's bytes, read a chunk at a time; frames are pieces of the chunks, and few are copied.

use std::collections::VecDeque;
use std::io::{self, Read};

use bytes::{Bytes, BytesMut};

/// How much is read at a time. Much more would not stay in the processor's own memory until it was looked at.
const CHUNK: usize = 256 * 1024;
/// How many chunks are remembered in case nobody needs them any more: as many as are read ahead, and some.
const MOST_SPENT: usize = 16;

/// Bytes read ahead.
pub(super) struct Chunks {
    reader: Box<dyn Read + Send>,
    /// What was read and not passed over yet stands from `start` to `end`.
    chunk: Bytes,
    start: usize,
    end: usize,
    /// Chunks that were passed over. When the last frame of one has gone its memory is used once more: new memory costs
    /// as much as reading does.
    spent: VecDeque<Bytes>,
}

impl Chunks {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, chunk: Bytes::new(), start: 0, end: 0, spent: VecDeque::new() }
    }

    /// What has been read and not been passed over.
    pub(super) fn ahead(&self) -> &[u8] {
        self.chunk.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads until so many bytes are ahead, or the end is reached.
    ///
    /// # Errors
    /// When reading fails; what was read before is ahead.
    pub(super) fn want(&mut self, bytes: usize) -> io::Result<()> {
        let mut filled = self.ahead().len();
        if filled >= bytes {
            return Ok(());
        }
        let mut room = self.room();
        let rest = self.ahead();
        room.resize(room.len().max(filled), 0);
        if let Some(room) = room.get_mut(..filled) {
            room.copy_from_slice(rest);
        }
        let result = loop {
            if filled >= bytes {
                break Ok(());
            }
            if filled == room.len() {
                // Not all of a length that is only claimed.
                room.resize((filled * 2).min(bytes), 0);
            }
            match self.reader.read(room.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => break Ok(()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let spent = std::mem::replace(&mut self.chunk, room.freeze());
        (self.start, self.end) = (0, filled);
        if spent.len() == CHUNK {
            self.spent.push_back(spent);
        }
        result
    }

    /// Memory for a chunk.
    fn room(&mut self) -> BytesMut {
        if let Some(oldest) = self.spent.pop_front() {
            match oldest.try_into_mut() {
                Ok(room) => return room,
                Err(oldest) if self.spent.len() < MOST_SPENT => self.spent.push_front(oldest),
                // Somebody keeps its frames.
                Err(_) => {}
            }
        }
        BytesMut::zeroed(CHUNK)
    }

    /// A part of what is ahead, from the `start`th of its bytes on; as much of it as there is.
    pub(super) fn piece(&self, start: usize, length: usize) -> Bytes {
        let start = (self.start + start).min(self.end);
        let range = start..(start + length).min(self.end);
        if self.chunk.len() > CHUNK && range.len() < CHUNK {
            // A chunk that had to grow would stay in memory for as long as the piece does.
            return Bytes::copy_from_slice(self.chunk.get(range).unwrap_or_default());
        }
        self.chunk.slice(range)
    }

    /// Passes over so many of the bytes ahead.
    pub(super) fn pass(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }
}
