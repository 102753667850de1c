//! Frames from pcap and pcapng files.
//!
//! Both formats are read here and not by a crate because a broken file must say where it broke, to the frame and the
//! byte, after everything before it was shown; the crates say only that.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use self::chunks::Chunks;
use super::Frame;
use crate::model::text::{harmless, harmless_bytes};
use crate::packet::{Direction, LinkType};

mod chunks;

/// No frame and no block of a file is longer; a length beyond it is an error in the file.
const LONGEST: u32 = 16 * 1024 * 1024;
/// How many frames share a copy of their interface's name.
const NAMED_ALIKE: usize = 512;
/// More interfaces than any capture has.
const MOST_INTERFACES: usize = 65_536;

/// Why a file cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}{}", place(*.frame, *.byte))]
pub struct FileError {
    /// The file.
    pub name: String,
    /// How many frames were read before.
    pub frame: u64,
    /// The byte at which the broken part begins; none where there is no file to be read at all.
    pub byte: Option<u64>,
    /// What is wrong there.
    pub problem: String,
}

fn place(frame: u64, byte: Option<u64>) -> String {
    byte.map_or_else(String::new, |byte| format!(" (behind frame {frame}, at byte {byte})"))
}

/// A capture file being read. Its frames share memory: one alone may keep a quarter of a megabyte.
pub struct FileCapture {
    chunks: Chunks,
    name: String,
    /// How many frames were read so far.
    frame: u64,
    /// Where the part begins that is being read: it is the beginning of what is ahead.
    start: u64,
    format: Format,
    big_endian: bool,
    interfaces: Vec<Described>,
    broken: bool,
}

/// What begins a pcapng file, and each of its sections, in either byte order.
const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
// Types of pcapng's other blocks.
const INTERFACE: u32 = 1;
/// Nobody should write it any more, but it holds a packet.
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// The bytes of a pcap file in front of each frame.
const RECORD: u32 = 16;

const CUT: &str = "the file ends in the middle of it";
const NEITHER: &str = "this is neither a pcap nor a pcapng file";
/// What begins files that hold captures compressed, what compressed them, and what undoes it.
const COMPRESSED: [(&[u8], &str, &str); 4] = [
    (&[0x1f, 0x8b], "gzip", "zcat"),
    (&[0xfd, 0x37, 0x7a, 0x58], "xz", "xzcat"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "zstdcat"),
    (b"BZh", "bzip2", "bzcat"),
];
/// What begins pcap files, whether the machine that wrote had the large end first, and whether times are in nanoseconds.
const PCAP: [([u8; 4], bool, bool); 4] = [
    ([0xd4, 0xc3, 0xb2, 0xa1], false, false),
    ([0xa1, 0xb2, 0xc3, 0xd4], true, false),
    ([0x4d, 0x3c, 0xb2, 0xa1], false, true),
    ([0xa1, 0xb2, 0x3c, 0x4d], true, true),
];

enum Format {
    Pcap { nanoseconds: bool },
    Pcapng,
}

/// What a file says of a packet.
#[derive(Clone, Copy)]
struct Packet {
    interface: usize,
    at_ns: u64,
    direction: Option<Direction>,
    wire_length: u32,
    /// Where in the part that is being read its bytes begin, and how many there are.
    start: u32,
    length: u32,
}

/// What a file says of an interface.
struct Described {
    name: Arc<str>,
    /// How many frames have got the name.
    given: usize,
    link: LinkType,
    /// A second's parts in timestamps.
    resolution: u64,
    /// Seconds to be added to each timestamp.
    offset: i64,
    /// No more of a packet was kept.
    most: u32,
}

impl Described {
    fn new(link: LinkType, resolution: u64) -> Self {
        Self { name: Arc::from("-"), given: 0, link, resolution, offset: 0, most: u32::MAX }
    }

    /// For one frame more. Now and then it is a new copy: whoever drops frames in another thread counts the old one down,
    /// and two that count the same all the time wait for each other.
    fn name(&mut self) -> Arc<str> {
        self.given += 1;
        if self.given.is_multiple_of(NAMED_ALIKE) {
            self.name = Arc::from(&*self.name);
        }
        Arc::clone(&self.name)
    }
}

impl FileCapture {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened, or is neither pcap nor pcapng.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let name = harmless(&path.display().to_string()).into_owned();
        match File::open(path) {
            Ok(file) => Self::from_reader(name, Box::new(file)),
            Err(error) => Err(FileError { name, frame: 0, byte: None, problem: error.to_string() }),
        }
    }

    /// Reads a file from elsewhere; `name` is for messages.
    ///
    /// # Errors
    /// When it is neither pcap nor pcapng.
    pub fn from_reader(name: String, reader: Box<dyn Read + Send>) -> Result<Self, FileError> {
        let mut capture = Self {
            chunks: Chunks::new(reader),
            name,
            frame: 0,
            start: 0,
            format: Format::Pcapng,
            big_endian: false,
            interfaces: Vec::new(),
            broken: false,
        };
        match capture.chunks.want(SECTION.len()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                return Err(capture.no_capture("this is a directory: name a file in it"));
            }
            Err(error) => return Err(capture.no_capture(error.to_string())),
        }
        // pcapng's first block type is the same in both byte orders.
        let begins_with = |magic: [u8; 4]| capture.chunks.ahead().starts_with(&magic);
        if begins_with(SECTION) {
            capture.section()?;
        } else if let Some((_, big_endian, nanoseconds)) = PCAP.into_iter().find(|(magic, ..)| begins_with(*magic)) {
            capture.pcap_header(big_endian, nanoseconds)?;
        } else {
            return Err(capture.unknown());
        }
        Ok(capture)
    }

    /// Why what is ahead does not begin a capture file.
    fn unknown(&self) -> FileError {
        let ahead = self.chunks.ahead();
        if ahead.is_empty() {
            return self.no_capture("this is empty: nothing was captured, or it is not written yet");
        }
        if let Some((_, by, undoes)) = COMPRESSED.iter().find(|(magic, ..)| ahead.starts_with(magic)) {
            return self
                .no_capture(format!("this is compressed by {by}: `{undoes} FILE | espial packets -r -` reads it"));
        }
        let mut magics = PCAP.iter().map(|(magic, ..)| magic).chain([&SECTION]);
        if magics.any(|magic| magic.starts_with(ahead)) { self.error(CUT) } else { self.no_capture(NEITHER) }
    }

    /// An error of a file that is none of ours, in which no place is broken.
    fn no_capture(&self, problem: impl Into<String>) -> FileError {
        FileError { byte: None, ..self.error(problem) }
    }

    /// Whether the packets of a file that was just opened are of several interfaces, as far as it can be known without
    /// waiting for more of it: an interface may be described far behind the first packets. Those without names, or of one
    /// name, are not told apart.
    pub fn names_several_interfaces(&self) -> bool {
        let interfaces = self.blocks_ahead().filter(|(kind, _)| *kind == INTERFACE);
        // What is broken is told when it is read.
        let mut names = interfaces.map_while(|(_, body)| Some(self.described(body).ok()?.name));
        let first = names.next();
        names.any(|name| Some(name) != first)
    }

    /// The whole blocks of a pcapng file that are ahead, their types and bodies. Another section may have another byte order:
    /// there it ends, as at what is broken.
    fn blocks_ahead(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut ahead = if let Format::Pcapng = self.format { self.chunks.ahead() } else { &[] };
        std::iter::from_fn(move || {
            let (kind, length) = (self.u32_at(ahead, 0)?, self.u32_at(ahead, 4)?);
            let (block, behind) = ahead.split_at_checked(size(length)).filter(|_| !ahead.starts_with(&SECTION))?;
            ahead = behind;
            Some((kind, block.get(8..block.len().checked_sub(4)?)?))
        })
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// Once, where the file is broken or ends too soon; after that it is at its end.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FileError> {
        if self.broken {
            return Ok(None);
        }
        let result = match self.format {
            Format::Pcap { nanoseconds } => self.next_record(nanoseconds),
            Format::Pcapng => self.next_packet(),
        };
        match &result {
            Ok(Some(_)) => self.frame += 1,
            Ok(None) => {}
            Err(_) => self.broken = true,
        }
        result
    }

    /// Whether the next frame, if there is one, is not read yet.
    pub(super) fn would_wait(&self) -> bool {
        if let Format::Pcap { .. } = self.format {
            let ahead = self.chunks.ahead();
            return self.u32_at(ahead, 8).is_none_or(|length| ahead.len() < size(length.saturating_add(RECORD)));
        }
        // What is no packet may be all that is ahead.
        !self.blocks_ahead().any(|(kind, _)| matches!(kind, OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET))
    }

    /// How many of its bytes are done with.
    pub(super) fn position(&self) -> u64 {
        self.start
    }

    fn error(&self, problem: impl Into<String>) -> FileError {
        FileError { name: self.name.clone(), frame: self.frame, byte: Some(self.start), problem: problem.into() }
    }

    /// So many bytes must be ahead.
    fn need(&mut self, bytes: u32) -> Result<(), FileError> {
        if self.chunks.ahead().len() >= size(bytes) { Ok(()) } else { self.read_on(bytes) }
    }

    #[cold]
    fn read_on(&mut self, bytes: u32) -> Result<(), FileError> {
        match self.chunks.want(size(bytes)) {
            Ok(()) if self.chunks.ahead().len() >= size(bytes) => Ok(()),
            Ok(()) => Err(self.error(CUT)),
            Err(error) => Err(self.error(error.to_string())),
        }
    }

    /// The first bytes ahead.
    fn first<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        self.need(u32::try_from(N).unwrap_or(u32::MAX))?;
        Ok(self.chunks.ahead().first_chunk().copied().unwrap_or([0; N]))
    }

    /// Whether nothing follows.
    fn is_at_end(&mut self) -> Result<bool, FileError> {
        if self.chunks.ahead().is_empty() {
            self.chunks.want(1).map_err(|error| self.error(error.to_string()))?;
        }
        Ok(self.chunks.ahead().is_empty())
    }

    /// The part of so many bytes is done with.
    fn pass(&mut self, bytes: u32) {
        self.chunks.pass(size(bytes));
        self.start += u64::from(bytes);
    }

    fn u16(&self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn u32_at(&self, bytes: &[u8], at: usize) -> Option<u32> {
        bytes.get(at..)?.first_chunk().map(|chunk| self.u32(*chunk))
    }

    fn pcap_header(&mut self, big_endian: bool, nanoseconds: bool) -> Result<(), FileError> {
        self.big_endian = big_endian;
        let [.., l0, l1, l2, l3] = self.first::<24>()?;
        self.pass(24);
        // The upper half says how long a check sum each frame ends in.
        let number = u16::try_from(self.u32([l0, l1, l2, l3]) & 0xffff).unwrap_or(0);
        self.format = Format::Pcap { nanoseconds };
        let link = LinkType::from_pcap(number);
        self.interfaces = vec![Described::new(link, 1)];
        Ok(())
    }

    fn next_record(&mut self, nanoseconds: bool) -> Result<Option<Frame>, FileError> {
        if self.is_at_end()? {
            return Ok(None);
        }
        let [s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, w0, w1, w2, w3] = self.first()?;
        let (seconds, fraction) = (self.u32([s0, s1, s2, s3]), self.u32([f0, f1, f2, f3]));
        let (length, wire_length) = (self.u32([c0, c1, c2, c3]), self.u32([w0, w1, w2, w3]));
        if length > LONGEST {
            return Err(self.error(format!("a frame claims {length} bytes")));
        }
        self.need(RECORD + length)?;
        let fraction = u64::from(fraction) * if nanoseconds { 1 } else { 1000 };
        let at_ns = u64::from(seconds) * 1_000_000_000 + fraction;
        let packet = Packet { interface: 0, at_ns, direction: None, wire_length, start: RECORD, length };
        Ok(Some(self.frame(packet, RECORD + length)))
    }

    /// A packet of a part of `whole` bytes, which is done with then.
    fn frame(&mut self, packet: Packet, whole: u32) -> Frame {
        let Packet { interface, at_ns, direction, wire_length, start, length } = packet;
        let bytes = self.chunks.piece(size(start), size(length));
        self.pass(whole);
        let (interface, link) = match self.interfaces.get_mut(interface) {
            Some(described) => (described.name(), described.link),
            None => (Arc::from("-"), LinkType::Unknown(0)),
        };
        let direction = direction.or_else(|| told_by_header(link, &bytes));
        Frame { at_ns, interface, link, direction, wire_length: size(wire_length).max(bytes.len()), bytes }
    }

    /// A section header: it tells the byte order, and interfaces begin anew.
    fn section(&mut self) -> Result<(), FileError> {
        let [_, _, _, _, l0, l1, l2, l3, order @ ..] = self.first::<12>()?;
        self.big_endian = match order {
            [0x1a, 0x2b, 0x3c, 0x4d] => true,
            [0x4d, 0x3c, 0x2b, 0x1a] => false,
            _ => return Err(self.error("a section without a byte order")),
        };
        // Type, length, byte order, and the length once more.
        let length = self.checked_length(self.u32([l0, l1, l2, l3]))?;
        if length < 16 {
            return Err(self.error("a section header that is too short"));
        }
        self.need(length)?;
        self.pass(length);
        self.interfaces.clear();
        Ok(())
    }

    fn checked_length(&self, length: u32) -> Result<u32, FileError> {
        if length > LONGEST || !length.is_multiple_of(4) {
            return Err(self.error(format!("a block claims {length} bytes")));
        }
        Ok(length)
    }

    fn next_packet(&mut self) -> Result<Option<Frame>, FileError> {
        loop {
            if self.is_at_end()? {
                return Ok(None);
            }
            let [k0, k1, k2, k3, l0, l1, l2, l3] = self.first()?;
            if [k0, k1, k2, k3] == SECTION {
                self.section()?;
                continue;
            }
            let length = self.checked_length(self.u32([l0, l1, l2, l3]))?;
            let Some(end) = length.checked_sub(4).filter(|end| *end >= 8) else {
                return Err(self.error("a block that is too short"));
            };
            self.need(length)?;
            let ahead = self.chunks.ahead();
            if self.u32_at(ahead, size(end)) != Some(length) {
                return Err(self.error("a block ends with another length than it begins with"));
            }
            let body = ahead.get(8..size(end)).unwrap_or_default();
            match self.u32([k0, k1, k2, k3]) {
                INTERFACE => {
                    let described = self.described(body)?;
                    self.interfaces.push(described);
                }
                SIMPLE_PACKET => {
                    let packet = self.simple(body)?;
                    return Ok(Some(self.frame(packet, length)));
                }
                ENHANCED_PACKET => {
                    let packet = self.numbered(body, |[i0, i1, i2, i3]| size(self.u32([i0, i1, i2, i3])))?;
                    return Ok(Some(self.frame(packet, length)));
                }
                OBSOLETE_PACKET => {
                    // Behind the interface how many packets were lost before this one.
                    let packet = self.numbered(body, |[i0, i1, _, _]| usize::from(self.u16([i0, i1])))?;
                    return Ok(Some(self.frame(packet, length)));
                }
                // Statistics, names, secrets, journals and whatever else there may be, but no packets.
                _ => {}
            }
            self.pass(length);
        }
    }

    fn described(&self, body: &[u8]) -> Result<Described, FileError> {
        let Some(&[l0, l1, _, _, m0, m1, m2, m3]) = body.first_chunk::<8>() else {
            return Err(self.error("an interface description that is too short"));
        };
        if self.interfaces.len() == MOST_INTERFACES {
            return Err(self.error("more interfaces than any capture has"));
        }
        let link = LinkType::from_pcap(self.u16([l0, l1]));
        let mut described = Described::new(link, 1_000_000);
        // None is said by 0.
        described.most = Some(self.u32([m0, m1, m2, m3])).filter(|most| *most > 0).unwrap_or(u32::MAX);
        for (code, value) in self.options(body.get(8..).unwrap_or_default()) {
            match (code, value) {
                (2, name) => described.name = harmless_bytes(name).into(),
                (9, [resolution]) => {
                    let power = u32::from(resolution & 0x7f);
                    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
                    described.resolution = base.checked_pow(power).unwrap_or(u64::MAX);
                }
                (14, value) => {
                    if let Ok(bytes) = <[u8; 8]>::try_from(value) {
                        let big = self.big_endian;
                        described.offset = if big { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) };
                    }
                }
                _ => {}
            }
        }
        Ok(described)
    }

    /// The options of a block: code, length, value, padded to four bytes.
    fn options<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let big_endian = self.big_endian;
        let number = move |bytes| if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        let mut rest = bytes;
        std::iter::from_fn(move || {
            let &[c0, c1, l0, l1] = rest.first_chunk()?;
            let (code, length) = (number([c0, c1]), usize::from(number([l0, l1])));
            let value = rest.get(4..4 + length).filter(|_| code != 0)?;
            rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
            Some((code, value))
        })
    }

    fn too_short(&self) -> FileError {
        self.error("a packet block that is too short")
    }

    fn interface(&self, number: usize) -> Result<&Described, FileError> {
        self.interfaces.get(number).ok_or_else(|| self.error("a packet of an interface that was not described"))
    }

    /// A packet of the first interface, which says how much of it there is.
    fn simple(&self, body: &[u8]) -> Result<Packet, FileError> {
        let wire_length = self.u32_at(body, 0).ok_or_else(|| self.too_short())?;
        let most = self.interface(0)?.most;
        let length = u32::try_from(body.len() - 4).unwrap_or(u32::MAX).min(wire_length).min(most);
        Ok(Packet { interface: 0, at_ns: 0, direction: None, wire_length, start: 12, length })
    }

    /// A packet that names its interface, in the first four bytes.
    fn numbered(&self, body: &[u8], interface: impl Fn([u8; 4]) -> usize) -> Result<Packet, FileError> {
        let (fixed, behind) = body.split_first_chunk::<20>().ok_or_else(|| self.too_short())?;
        let &[i0, i1, i2, i3, h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, w0, w1, w2, w3] = fixed;
        let interface = interface([i0, i1, i2, i3]);
        let time = u64::from(self.u32([h0, h1, h2, h3])) << 32 | u64::from(self.u32([l0, l1, l2, l3]));
        let (length, wire_length) = (self.u32([c0, c1, c2, c3]), self.u32([w0, w1, w2, w3]));
        if size(length) > behind.len() {
            return Err(self.too_short());
        }
        // Behind the frame padding, and options.
        let told = behind.get(size(length).next_multiple_of(4)..).unwrap_or_default();
        let flags = self.options(told).find(|(code, _)| *code == 2).and_then(|(_, value)| self.u32_at(value, 0));
        let direction = match flags.unwrap_or(0) & 3 {
            1 => Some(Direction::In),
            2 => Some(Direction::Out),
            _ => None,
        };
        let described = self.interface(interface)?;
        let at_ns = nanoseconds(time, described.resolution, described.offset);
        Ok(Packet { interface, at_ns, direction, wire_length, start: 28, length })
    }
}

/// Which way a frame went, if the pseudo-header in front of it tells.
fn told_by_header(link: LinkType, bytes: &[u8]) -> Option<Direction> {
    let packet_type = match (link, bytes) {
        (LinkType::LinuxCooked, [high, low, ..]) => u16::from_be_bytes([*high, *low]),
        (LinkType::LinuxCooked2, [_, _, _, _, _, _, _, _, _, _, packet_type, ..]) => u16::from(*packet_type),
        _ => return None,
    };
    match u8::try_from(packet_type).ok()? {
        libc::PACKET_HOST | libc::PACKET_BROADCAST | libc::PACKET_MULTICAST => Some(Direction::In),
        libc::PACKET_OUTGOING => Some(Direction::Out),
        // From one other host to another: the interface took all that it heard.
        _ => None,
    }
}

fn size(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn nanoseconds(time: u64, resolution: u64, offset: i64) -> u64 {
    if resolution == 1_000_000_000 && offset == 0 {
        return time;
    }
    let since = u128::from(time) * 1_000_000_000 / u128::from(resolution.max(1));
    let at = i128::try_from(since).unwrap_or(i128::MAX).saturating_add(i128::from(offset) * 1_000_000_000);
    u64::try_from(at.max(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
