//! Reads a file in a thread of its own, while somebody else looks at the frames that were read before.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::file::FileError;
use super::{FileCapture, Frame};

/// How many frames are handed over at a time, if so many can be read without waiting. Waking the other thread costs as
/// much as some frames.
const PORTION: usize = 512;
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
    pub fn begin(file: FileCapture, prepare: impl Fn(Frame) -> T + Send + 'static) -> io::Result<Self> {
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
fn read<T>(mut file: FileCapture, prepare: impl Fn(Frame) -> T, sender: &SyncSender<Result<Vec<T>, FileError>>) {
    loop {
        let mut portion = Vec::with_capacity(PORTION);
        let end = loop {
            match file.next_frame() {
                Ok(Some(frame)) => portion.push(prepare(frame)),
                Ok(None) => break Some(Ok(Vec::new())),
                Err(error) => break Some(Err(error)),
            }
            if portion.len() == PORTION || file.would_wait() {
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
