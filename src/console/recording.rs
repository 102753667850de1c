//! The thread that writes a recording into its file, and the keys beside it.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use tokio::sync::mpsc::Sender;

use super::command::{Record, Recorded};
use super::event::{Event, RecorderNews};
use crate::capture::{KeyTable, Recorder};

/// Makes the file, writes what comes, and tells of each step, until it is ended or fails.
pub(super) fn run(sender: &Sender<Event>, path: &str, with_keys: bool, orders: &Receiver<Record>) {
    let tell = |news| sender.blocking_send(Event::Recorder(news)).is_ok();
    let path = from_home(path);
    let mut files = match Files::create(&path, with_keys) {
        Ok(files) if tell(RecorderNews::Written) => files,
        Ok(_) => return,
        Err(error) => {
            tell(RecorderNews::Failed(error.to_string()));
            return;
        }
    };
    while let Ok(order) = orders.recv() {
        let (is_last, done) = match order {
            Record::Write(portion) => (false, files.write(&portion)),
            Record::End => (true, Ok(())),
            Record::Begin { .. } => continue,
        };
        // What was said to be written can be read, also by others.
        let news = match done.and_then(|()| files.flush()) {
            Ok(()) if is_last => RecorderNews::Ended,
            Ok(()) => RecorderNews::Written,
            Err(error) => RecorderNews::Failed(error.to_string()),
        };
        let ends = is_last || matches!(news, RecorderNews::Failed(_));
        if !tell(news) || ends {
            return;
        }
    }
}

/// The files of a recording.
struct Files {
    packets: Recorder<BufWriter<File>>,
    keys: Option<KeyTable>,
}

impl Files {
    fn create(path: &Path, with_keys: bool) -> io::Result<Self> {
        let (packets, keys) = Recorder::create_with(path, with_keys)?;
        Ok(Self { packets, keys })
    }

    fn write(&mut self, portion: &[Recorded]) -> io::Result<()> {
        for Recorded { frame, comment, keys } in portion {
            self.packets.record(frame, comment)?;
            if let Some(table) = &mut self.keys {
                table.add(keys)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.packets.flush()
    }
}

/// `~/` is the user's own folder, as in a shell.
fn from_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}
