//! Reads a file in a thread of its own, while somebody else looks at the frames that were read before.

use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::file::FileError;
use super::{FileCapture, Frame};

/// How many frames are handed over at a time, if so many can be read without waiting: of large frames as many as lie
/// together in memory. Waking the other thread costs as much as some frames.
const PORTION: usize = 512;
/// How many bytes of the file at the most, and one frame: 512 frames of the longest would be gigabytes.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// How many portions may wait.
const MOST_WAITING: usize = 2;

/// A capture file that is read ahead of whoever asks for its frames, a portion of them at a time, made ready as a `P`.
pub struct ReadAhead<P> {
    portions: Receiver<Result<P, FileError>>,
    spent: Sender<P>,
}

impl<P: Default + Send + 'static> ReadAhead<P> {
    /// Begins to read; `add` adds a frame to a portion, and does what needs no knowledge of the others.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin(file: FileCapture, add: impl FnMut(&mut P, Frame) + Send + 'static) -> io::Result<Self> {
        let (sender, portions) = sync_channel(MOST_WAITING);
        let (spent, memory) = channel();
        thread::Builder::new().name("file".to_owned()).spawn(move || read(file, add, &sender, &memory))?;
        Ok(Self { portions, spent })
    }

    /// The next frames; none at the end of the file. What comes slowly, through a pipe, is handed over as it comes.
    /// `spent` is an empty portion whose memory is used once more.
    ///
    /// # Errors
    /// Once, where the file is broken or ends too soon, after all frames before that; after it the file is at its end.
    pub fn next(&mut self, spent: P) -> Result<Option<P>, FileError> {
        // At the end nobody takes it.
        let _ = self.spent.send(spent);
        self.portions.recv().map_or(Ok(None), |portion| portion.map(Some))
    }
}

/// Reads until the end, or until nobody listens any more.
fn read<P: Default>(
    mut file: FileCapture,
    mut add: impl FnMut(&mut P, Frame),
    sender: &SyncSender<Result<P, FileError>>,
    memory: &Receiver<P>,
) {
    loop {
        let mut portion = memory.try_recv().unwrap_or_default();
        let mut frames = 0;
        let start = file.position();
        let next = loop {
            match file.next_frame() {
                Ok(Some(frame)) => add(&mut portion, frame),
                Ok(None) => break Ok(None),
                Err(error) => break Err(error),
            }
            frames += 1;
            if frames == PORTION || file.position() - start >= MOST_BYTES || file.would_wait() {
                break Ok(Some(()));
            }
        };
        if frames > 0 && sender.send(Ok(portion)).is_err() {
            return;
        }
        match next {
            Ok(Some(())) => {}
            Ok(None) => return,
            Err(error) => {
                // Nobody has to listen.
                let _ = sender.send(Err(error));
                return;
            }
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
        let mut ahead =
            ReadAhead::begin(file, |lengths: &mut Vec<usize>, frame| lengths.push(frame.bytes.len())).unwrap();
        let mut portions = Vec::new();
        while let Some(portion) = ahead.next(Vec::new()).unwrap() {
            portions.push(portion.len());
        }
        assert!(portions.iter().all(|frames| *frames <= 4) && portions.iter().sum::<usize>() == 20, "{portions:?}");
    }
}
