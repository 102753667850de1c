//! Frames into a pcapng file, with interface names, directions, and a comment for each.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use super::Frame;
use crate::model::Secret;
use crate::model::text::harmless;
use crate::packet::{Direction, LinkType};
use crate::privilege::private_file;

/// A capture file being written. What was not finished is written when it goes.
pub struct Recorder<W: Write> {
    out: W,
    /// In the order of their numbers in the file.
    interfaces: Vec<(Arc<str>, LinkType)>,
}

impl Recorder<BufWriter<File>> {
    /// Makes a file that its owner alone may read; one that is there already is not overwritten. Into a FIFO it writes as
    /// soon as somebody reads there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::new(BufWriter::new(new_file_or_fifo(path)?))
    }

    /// The same, with the file of keys beside it if it is wanted: both are made, or none.
    ///
    /// # Errors
    /// When one of them cannot be made.
    pub fn create_with(path: &Path, with_keys: bool) -> io::Result<(Self, Option<KeyTable>)> {
        if !with_keys {
            return Ok((Self::create(path)?, None));
        }
        let is_there = fs::symlink_metadata(path).is_ok();
        if is_there && !is_fifo(fs::metadata(path)) {
            return Err(exists("it"));
        }
        let table = KeyTable::create_beside(path)?;
        match Self::create(path) {
            Ok(recorder) => Ok((recorder, Some(table))),
            Err(error) => {
                // It is empty, and would stand in the way of the next try.
                let _ = fs::remove_file(beside(path));
                Err(error)
            }
        }
    }
}

/// A new file, or a FIFO that is there already.
fn new_file_or_fifo(path: &Path) -> io::Result<File> {
    if is_fifo(fs::metadata(path)) {
        let file = OpenOptions::new().write(true).open(path)?;
        // Somebody may have put a file in its place.
        return if is_fifo(file.metadata()) { Ok(file) } else { Err(exists("it")) };
    }
    new_file(path, "it")
}

fn is_fifo(data: io::Result<fs::Metadata>) -> bool {
    data.is_ok_and(|data| data.file_type().is_fifo())
}

/// A new file; `words` are how it is called where it is there already.
fn new_file(path: &Path, words: &str) -> io::Result<File> {
    private_file(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(words),
        _ => error,
    })
}

fn exists(words: &str) -> io::Error {
    let cure = "exists already, and is never written over: choose another name for the recording, or remove it";
    io::Error::new(io::ErrorKind::AlreadyExists, format!("{words} {cure}"))
}

/// The name of the file of keys that belongs to a recording.
fn beside(recording: &Path) -> OsString {
    let mut name = recording.as_os_str().to_owned();
    name.push(".esp_sa");
    name
}

/// The file beside a recording with the keys of its SAs, for Wireshark; there is none unless the user asked for it.
pub struct KeyTable(File);

impl KeyTable {
    /// Makes it, under the recording's name with `.esp_sa` behind it; one that is there already is not overwritten.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_beside(recording: &Path) -> io::Result<Self> {
        let path = beside(recording);
        let name = path.display().to_string();
        new_file(Path::new(&path), &format!("the file of its keys, {},", harmless(&name))).map(Self)
    }

    /// Adds rows. Nothing is gathered before it is written, so no copy of a key stays behind.
    ///
    /// # Errors
    /// When the file does not take it.
    pub fn add(&mut self, rows: &[Secret]) -> io::Result<()> {
        for row in rows {
            self.0.write_all(row.expose())?;
            self.0.write_all(b"\n")?;
        }
        Ok(())
    }
}

impl<W: Write> Recorder<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When the output does not take it.
    pub fn new(mut out: W) -> io::Result<Self> {
        // Byte order, version 1.0, a section of unknown length.
        let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
        body.extend([1, 0, 0, 0]);
        body.extend([0xff; 8]);
        write_block(&mut out, 0x0a0d_0d0a, &body)?;
        Ok(Self { out, interfaces: Vec::new() })
    }

    /// Writes a frame with a comment; an empty one is left out.
    ///
    /// # Errors
    /// When the output does not take it.
    pub fn record(&mut self, frame: &Frame, comment: &str) -> io::Result<()> {
        let place = (Arc::clone(&frame.interface), frame.link);
        let interface = match self.interfaces.iter().position(|other| *other == place) {
            Some(interface) => interface,
            None => self.describe(place)?,
        };
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut body = number(interface).to_vec();
        let [h @ .., _, _, _, _] = frame.at_ns.to_be_bytes();
        let [_, _, _, _, l @ ..] = frame.at_ns.to_be_bytes();
        body.extend(u32::from_be_bytes(h).to_le_bytes());
        body.extend(u32::from_be_bytes(l).to_le_bytes());
        body.extend(number(frame.bytes.len()));
        body.extend(number(frame.wire_length.min(u32::MAX as usize)));
        body.extend(&frame.bytes);
        pad(&mut body);
        let flags: u32 = match frame.direction {
            Some(Direction::In) => 1,
            Some(Direction::Out) => 2,
            None => 0,
        };
        if !comment.is_empty() {
            option(&mut body, 1, comment.as_bytes());
        }
        option(&mut body, 2, &flags.to_le_bytes());
        option(&mut body, 0, &[]);
        write_block(&mut self.out, 6, &body)
    }

    fn describe(&mut self, place: (Arc<str>, LinkType)) -> io::Result<usize> {
        let link = place.1.to_pcap().to_le_bytes();
        let mut body = vec![link[0], link[1], 0, 0, 0, 0, 0, 0];
        option(&mut body, 2, place.0.as_bytes());
        // Nanoseconds.
        option(&mut body, 9, &[9]);
        option(&mut body, 0, &[]);
        write_block(&mut self.out, 1, &body)?;
        self.interfaces.push(place);
        Ok(self.interfaces.len() - 1)
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// When the output does not take it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend(code.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(value.iter().take(length.into()));
    pad(body);
}

fn write_block(out: &mut impl Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 12).map_err(io::Error::other)?.to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&length)?;
    out.write_all(body)?;
    out.write_all(&length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_written_over_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, table) = (folder.path().join("one"), folder.path().join("one.esp_sa"));
        fs::write(&path, "mine").unwrap();
        let refused = |begin: &str, end: &str| {
            let words = Recorder::create_with(&path, true).err().unwrap().to_string();
            let cure = "exists already, and is never written over: choose another name for the recording, or remove it";
            assert!(words.starts_with(begin) && words.ends_with(&format!("{end} {cure}")), "{words}");
        };
        refused("it", "it");
        assert!(!table.exists());
        fs::remove_file(&path).unwrap();
        fs::write(&table, "mine").unwrap();
        refused("the file of its keys, ", "/one.esp_sa,");
        assert!(!path.exists());
        assert_eq!(fs::read(&table).unwrap(), b"mine");
    }

    #[test]
    fn into_a_fifo_is_written_for_whoever_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        drop(Recorder::create(&path).unwrap());
        assert_eq!(reader.join().unwrap().len(), 28);
    }
}
