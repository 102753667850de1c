//! Files that may hold keys: scripts, tables of keys, a single key. What was read is wiped when it goes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::dialect::report::place_of;
use crate::model::text::harmless;

/// Larger than any script that a person or a generator writes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A file's name for messages, and its text, which is wiped when it goes: it may hold keys.
pub(super) fn read(path: &Path) -> anyhow::Result<(String, Zeroizing<String>)> {
    let (name, bytes) = if path == Path::new("-") {
        ("standard input".to_owned(), read_wiping(io::stdin().lock(), 0).context("reading standard input")?)
    } else {
        let name = harmless(&path.display().to_string()).into_owned();
        let file = File::open(path).with_context(|| format!("opening {name}"))?;
        let length = file.metadata().map_or(0, |data| data.len());
        let bytes = read_wiping(file, length).with_context(|| format!("reading {name}"))?;
        (name, bytes)
    };
    text_of(&name, bytes).map(|text| (name, text))
}

/// The text that the bytes of a file are, in the same memory.
fn text_of(name: &str, mut bytes: Zeroizing<Vec<u8>>) -> anyhow::Result<Zeroizing<String>> {
    if bytes.len() > MOST_BYTES {
        bail!("{name} is larger than {} MiB: that is nothing that espial reads", MOST_BYTES / 1024 / 1024);
    }
    String::from_utf8(std::mem::take(&mut bytes)).map(Zeroizing::new).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let bytes = Zeroizing::new(error.into_bytes());
        let good = bytes.get(..end).and_then(|good| std::str::from_utf8(good).ok());
        let (line, column) = place_of(good.unwrap_or_default(), end);
        anyhow::anyhow!("{name}:{line}:{column}: this is not valid UTF-8")
    })
}

/// Everything that a reader gives, which may be about `expected` bytes, up to one byte more than a file may have. A
/// vector that grew by itself would leave copies behind; here each buffer is wiped when a larger one takes its place.
pub(super) fn read_wiping(mut reader: impl Read, expected: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // One byte more, to see the end.
    let expected = usize::try_from(expected).unwrap_or(MOST_BYTES).clamp(64 * 1024, MOST_BYTES) + 1;
    let mut bytes = Zeroizing::new(vec![0; expected]);
    let mut length = 0;
    while length <= MOST_BYTES {
        if length == bytes.len() {
            let mut larger = Zeroizing::new(vec![0; bytes.len() * 2]);
            larger.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
            bytes = larger;
        }
        match reader.read(bytes.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Shortening moves nothing.
    bytes.truncate(length);
    Ok(bytes)
}
