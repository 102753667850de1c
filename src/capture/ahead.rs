//! Reads a file in a thread of its own, while somebody else looks at the frames that were read before.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::file::FileError;
use super::{FileCapture, Frame};

/// How many frames are handed over at a time, if so many can be read without waiting. Waking the other thread costs as
/// much as some frames.
const PORTION: usize = 512;
/// How many bytes of the file at the most, and one frame: 512 frames of the longest would be gigabytes.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// How many portions may wait.
const MOST_WAITING: usize = 4;

/// A capture file that is read ahead of whoever asks for its frames, each made ready as a `T`.
pub struct ReadAhead<T> {
    portions: Receiver<Result<Vec<T>, FileError>>,
}

impl<T: Send + 'static> ReadAhead<T> {
    /// Begins to read; `prepare` does to each frame what needs no knowledge of the others.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin(file: FileCapture, prepare: impl FnMut(Frame) -> T + Send + 'static) -> io::Result<Self> {
        let (sender, portions) = sync_channel(MOST_WAITING);
        thread::Builder::new().name("file".to_owned()).spawn(move || read(file, prepare, &sender))?;
        Ok(Self { portions })
    }

    /// The next frames; none at the end of the file. What comes slowly, through a pipe, is handed over as it comes.
    ///
    /// # Errors
    /// Once, where the file is broken or ends too soon, after all frames before that; after it the file is at its end.
    pub fn next_frames(&mut self) -> Result<Vec<T>, FileError> {
        self.portions.recv().unwrap_or_else(|_| Ok(Vec::new()))
    }
}

/// Reads until the end, or until nobody listens any more.
fn read<T>(mut file: FileCapture, mut prepare: impl FnMut(Frame) -> T, sender: &SyncSender<Result<Vec<T>, FileError>>) {
    loop {
        let mut portion = Vec::with_capacity(PORTION);
        let start = file.position();
        let end = loop {
            match file.next_frame() {
                Ok(Some(frame)) => portion.push(prepare(frame)),
                Ok(None) => break Some(Ok(Vec::new())),
                Err(error) => break Some(Err(error)),
            }
            if portion.len() == PORTION || file.position() - start >= MOST_BYTES || file.would_wait() {
                break None;
            }
        };
        let is_left = !portion.is_empty() && sender.send(Ok(portion)).is_err();
        if let Some(end) = end {
            // Nobody has to listen.
            let _ = sender.send(end);
            return;
        }
        if is_left {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_large_frames_few_are_read_ahead() {
        const LENGTH: u32 = 1024 * 1024;
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let frame = [words(&[0, 0, LENGTH, LENGTH]), vec![0; 1024 * 1024]].concat();
        let pcap = [words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 0, 1]), frame.repeat(20)].concat();
        let file = FileCapture::from_reader("large".to_owned(), Box::new(io::Cursor::new(pcap))).unwrap();
        let mut ahead = ReadAhead::begin(file, |frame| frame.bytes.len()).unwrap();
        let mut portions = Vec::new();
        while let portion @ [_, ..] = &*ahead.next_frames().unwrap() {
            portions.push(portion.len());
        }
        assert!(portions.iter().all(|frames| *frames <= 4) && portions.iter().sum::<usize>() == 20, "{portions:?}");
    }
}
