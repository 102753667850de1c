//! Files of other programs, our own, broken ones, and any bytes.

use proptest::prelude::*;

use super::*;
use crate::capture::recorder::Recorder;

fn read(bytes: &[u8]) -> (Vec<Frame>, Option<FileError>) {
    let mut frames = Vec::new();
    let opened = FileCapture::from_reader("test".to_owned(), Box::new(std::io::Cursor::new(bytes.to_vec())));
    let mut capture = match opened {
        Ok(capture) => capture,
        Err(error) => return (frames, Some(error)),
    };
    loop {
        match capture.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => {
                assert!(matches!(capture.next_frame(), Ok(None)), "an error is told once");
                return (frames, Some(error));
            }
        }
    }
}

const TCPDUMP: &[u8] = include_bytes!("../../../tests/data/vectors/gcm128-16.pcap");

fn frame(at_ns: u64, interface: &str, direction: Option<Direction>, bytes: &[u8]) -> Frame {
    Frame {
        at_ns,
        interface: interface.into(),
        link: LinkType::Ethernet,
        direction,
        wire_length: bytes.len() + 3,
        bytes: bytes.to_vec().into(),
    }
}

fn recorded(frames: &[Frame]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut recorder = Recorder::new(&mut file).unwrap();
    for frame in frames {
        recorder.record(frame, "ESP ok").unwrap();
    }
    file
}

fn some_frames() -> Vec<Frame> {
    vec![
        frame(1_795_450_902_123_456_789, "veth0", Some(Direction::In), &[1; 61]),
        frame(1_795_450_902_123_456_790, "lo", None, &[2; 64]),
        frame(u64::MAX / 2, "veth0", Some(Direction::Out), &[]),
    ]
}

#[test]
fn what_tcpdump_wrote_is_read() {
    let (frames, error) = read(TCPDUMP);
    assert!(error.is_none() && !frames.is_empty());
    assert!(frames.iter().all(|frame| frame.link == LinkType::Ethernet && !frame.is_cut()));
    // Seconds and microseconds of the first record.
    let field = |at: usize| u64::from(u32::from_le_bytes(TCPDUMP[at..at + 4].try_into().unwrap()));
    assert_eq!(frames[0].at_ns, field(24) * 1_000_000_000 + field(28) * 1000);
    assert_eq!(&*frames[0].bytes, &TCPDUMP[40..40 + frames[0].bytes.len()]);
}

#[test]
fn both_byte_orders_and_nanoseconds() {
    let mut file = vec![0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 101];
    file.extend([0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 9, 0x45, 0x46]);
    let (frames, error) = read(&file);
    assert!(error.is_none());
    assert_eq!((frames[0].at_ns, frames[0].link, frames[0].wire_length), (5_000_000_007, LinkType::RawIp, 9));
    assert!(frames[0].is_cut());
}

#[test]
fn what_is_recorded_is_read_again() {
    let frames = some_frames();
    let (again, error) = read(&recorded(&frames));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(again, frames);
}

#[test]
fn what_is_told_behind_a_frame_does_not_stay_in_memory_with_it() {
    let mut file = recorded(&some_frames()[..1]);
    let told = 300_000_usize;
    // An enhanced packet block (6) of the first interface: a frame of four bytes, and an end of options with much behind.
    let length = u32::try_from(32 + 4 + told).unwrap();
    for word in [6, length, 0, 0, 0, 4, 4] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0x45; 4]);
    file.extend(vec![0; told]);
    file.extend(length.to_le_bytes());
    let (mut frames, error) = read(&file);
    assert!(error.is_none() && frames.len() == 2, "{error:?}");
    let bytes = frames.remove(1).bytes.try_into_mut().unwrap();
    assert_eq!(bytes, [0x45; 4][..]);
    assert!(bytes.capacity() < 100, "{}", bytes.capacity());
}

#[test]
fn a_file_that_ends_too_soon_gives_all_before_and_says_where() {
    let whole = recorded(&some_frames());
    let (frames, error) = read(&whole[..whole.len() - 5]);
    assert_eq!(frames, some_frames()[..2]);
    let words = error.unwrap().to_string();
    assert!(words.starts_with("test: the file ends in the middle of it (behind frame 2, at byte "), "{words}");
    let (frames, error) = read(&TCPDUMP[..TCPDUMP.len() - 1]);
    assert_eq!(error.unwrap().frame, frames.len() as u64);
    let mut huge = TCPDUMP.to_vec();
    huge[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        read(&huge).1.unwrap().to_string(),
        "test: a frame claims 4294967295 bytes (behind frame 0, at byte 24)"
    );
    for begun in [&TCPDUMP[..3], &TCPDUMP[..20], &whole[..9]] {
        let words = read(begun).1.unwrap().to_string();
        assert!(words.ends_with("the file ends in the middle of it (behind frame 0, at byte 0)"), "{words}");
    }
}

#[test]
fn what_is_no_capture_is_said_to_be_what_it_is_and_no_place_in_it_is_named() {
    let says = |bytes: &[u8], expected: &str| {
        let (frames, error) = read(bytes);
        assert!(frames.is_empty());
        assert_eq!(error.unwrap().to_string(), format!("test: {expected}"));
    };
    says(b"", "this is empty: nothing was captured, or it is not written yet");
    says(b"#!/bin/sh\n", NEITHER);
    says(b"#!", NEITHER);
    let compressed =
        |by: &str, undoes: &str| format!("this is compressed by {by}: `{undoes} FILE | espial packets -r -` reads it");
    says(&[0x1f, 0x8b, 8, 0, 0, 0], &compressed("gzip", "zcat"));
    says(&[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], &compressed("xz", "xzcat"));
    says(&[0x28, 0xb5, 0x2f, 0xfd, 4, 0], &compressed("zstd", "zstdcat"));
    says(b"BZh91AY", &compressed("bzip2", "bzcat"));
    let folder = tempfile::tempdir().unwrap();
    let words = FileCapture::open(folder.path()).err().unwrap().to_string();
    assert!(words.ends_with(": this is a directory: name a file in it"), "{words}");
}

#[test]
fn a_pseudo_header_tells_the_direction_where_the_file_does_not() {
    use Direction::{In, Out};
    let direction = |link: LinkType, bytes: &[u8], told: Option<Direction>| {
        let file = recorded(&[Frame { link, ..frame(1, "any", told, bytes) }]);
        read(&file).0[0].direction
    };
    let ways = [Some(In), Some(In), Some(In), None, Some(Out), None];
    for (packet_type, way) in (0..).zip(ways) {
        let (mut sll, mut sll2) = ([0; 16], [0; 20]);
        (sll[1], sll2[10]) = (packet_type, packet_type);
        assert_eq!(direction(LinkType::LinuxCooked, &sll, None), way, "{packet_type}");
        assert_eq!(direction(LinkType::LinuxCooked2, &sll2, None), way, "{packet_type}");
        assert_eq!(direction(LinkType::LinuxCooked, &sll, Some(Out)), Some(Out), "what the file says counts");
    }
    assert_eq!(direction(LinkType::LinuxCooked, &[1, 4, 0, 1], None), None);
    assert_eq!(direction(LinkType::LinuxCooked, &[0], None), None);
    assert_eq!(direction(LinkType::LinuxCooked2, &[0; 10], None), None);
    assert_eq!(direction(LinkType::Ethernet, &[0; 20], None), None);
    // A pcap file, which has no word for it.
    let mut file = vec![0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 113];
    file.extend([0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 2, 0, 4]);
    assert_eq!(read(&file).0[0].direction, Some(Out));
}

#[test]
fn whether_a_file_has_several_interfaces_is_known_before_it_is_read() {
    let open =
        |file: Vec<u8>| FileCapture::from_reader("test".to_owned(), Box::new(std::io::Cursor::new(file))).unwrap();
    let two = recorded(&some_frames());
    let mut capture = open(two.clone());
    assert!(capture.names_several_interfaces());
    // Nothing of it is lost by that.
    for expected in some_frames() {
        assert_eq!(capture.next_frame().unwrap().unwrap(), expected);
    }
    assert!(!open(recorded(&some_frames()[..1])).names_several_interfaces());
    assert!(!open(TCPDUMP.to_vec()).names_several_interfaces());
    // One name twice, because there are two kinds of frames, is one interface.
    let raw = Frame { link: LinkType::RawIp, ..frame(1, "veth0", None, &[0x45]) };
    assert!(!open(recorded(&[some_frames()[0].clone(), raw])).names_several_interfaces());
    // What has not come is not waited for, and what is broken is told by whoever reads.
    assert!(!open(two[..150].to_vec()).names_several_interfaces());
    let dribble = Dribble { bytes: std::io::Cursor::new(two), most: 37, reads: 0 };
    assert!(!FileCapture::from_reader("test".to_owned(), Box::new(dribble)).unwrap().names_several_interfaces());
}

/// Gives few bytes at a time, and is interrupted now and then.
struct Dribble {
    bytes: std::io::Cursor<Vec<u8>>,
    most: usize,
    reads: usize,
}

impl Read for Dribble {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        self.reads += 1;
        if self.reads.is_multiple_of(3) {
            return Err(ErrorKind::Interrupted.into());
        }
        let most = self.most.min(room.len());
        self.bytes.read(&mut room[..most])
    }
}

#[test]
fn frames_keep_their_bytes_however_the_file_comes_and_whoever_keeps_them() {
    let lengths = (0..4000_usize).map(|n| if n == 2000 { 700_000 } else { n * 7 % 1500 });
    let frames: Vec<Frame> = lengths
        .enumerate()
        .map(|(n, length)| {
            let bytes: Vec<u8> = (0..length).map(|at| (n ^ at).to_le_bytes()[0]).collect();
            frame(n as u64, "veth0", None, &bytes)
        })
        .collect();
    let file = recorded(&frames);
    for most in [37, 4096, usize::MAX] {
        let dribble = Dribble { bytes: std::io::Cursor::new(file.clone()), most, reads: 0 };
        let mut capture = FileCapture::from_reader("test".to_owned(), Box::new(dribble)).unwrap();
        // Some are kept, most are not: then their memory is used once more.
        let mut kept = Vec::new();
        for expected in &frames {
            let frame = capture.next_frame().unwrap().unwrap();
            assert_eq!(frame, *expected);
            if frame.at_ns.is_multiple_of(100) {
                kept.push((frame, expected));
            }
        }
        assert!(capture.next_frame().unwrap().is_none());
        assert!(kept.iter().all(|(frame, expected)| frame == *expected), "{most} bytes at a time");
    }
}

#[test]
fn a_frame_does_not_wait_for_what_comes_with_it_and_is_no_packet() {
    let bytes = recorded(&some_frames()[..1]);
    let block = |kind: u32| [kind, 16, 0, 16].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let waits = |behind: &[u8]| {
        let file = [&bytes, behind].concat();
        let mut capture = FileCapture::from_reader("test".to_owned(), Box::new(std::io::Cursor::new(file))).unwrap();
        capture.next_frame().unwrap().unwrap();
        capture.would_wait()
    };
    assert!(waits(&[]) && waits(&block(5)) && waits(&[block(5), block(4)].concat()) && waits(&bytes[..28]));
    assert!(waits(&block(6)[..9]) && waits(&block(5)[..3]) && !waits(&block(6)));
    assert!(!waits(&[block(5), block(3)].concat()) && !waits(&[block(5), block(2)].concat()));
    // A length that cannot be is an error when it is read.
    assert!(waits(&[5, 0, 0, 0, 0, 0, 0, 0, 1]) && waits(&[0xff; 8]));
}

#[test]
fn where_reading_fails_all_before_is_given() {
    struct Fails(std::io::Cursor<Vec<u8>>);
    impl Read for Fails {
        fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(room)? {
                0 => Err(std::io::Error::other("the disk is gone")),
                read => Ok(read),
            }
        }
    }
    let bytes = std::io::Cursor::new(recorded(&some_frames()));
    let mut capture = FileCapture::from_reader("test".to_owned(), Box::new(Fails(bytes))).unwrap();
    for expected in some_frames() {
        assert_eq!(capture.next_frame().unwrap().unwrap(), expected);
    }
    let words = capture.next_frame().unwrap_err().to_string();
    assert!(words.starts_with("test: the disk is gone (behind frame 3, at byte "), "{words}");
}

/// A block of a pcapng file.
fn block(kind: u32, words: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
    let length = u32::try_from(12 + body.len()).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &body, &length].concat()
}

/// What begins a section, and an interface of raw IP that keeps so many bytes of each packet.
fn section(most: u32) -> Vec<u8> {
    let section = block(u32::from_le_bytes(SECTION), &[0x1a2b_3c4d, 1, u32::MAX, u32::MAX], &[]);
    [section, block(INTERFACE, &[101, most], &[])].concat()
}

#[test]
fn packets_are_read_from_blocks_of_every_kind_that_holds_one() {
    let options = [2, 0, 4, 0, 2, 0, 0, 0];
    let bytes = [0x45, 1, 2, 3];
    let file = [
        section(0),
        block(INTERFACE, &[1, 0], &[3; 8]),
        // A packet of the second interface behind seven that were lost, 4297 seconds after the beginning of time.
        block(OBSOLETE_PACKET, &[7 << 16 | 1, 1, 0, 4, 9], &[&bytes[..], &options].concat()),
        block(OBSOLETE_PACKET, &[0, 0, 5, 4, 4], &bytes),
        block(SIMPLE_PACKET, &[4], &bytes),
        block(ENHANCED_PACKET, &[0, 0, 6, 4, 4], &bytes),
    ];
    let (frames, error) = read(&file.concat());
    assert!(error.is_none(), "{error:?}");
    let told: Vec<_> = frames.iter().map(|frame| (frame.at_ns, frame.link, frame.wire_length)).collect();
    let (raw, ethernet) = (LinkType::RawIp, LinkType::Ethernet);
    assert_eq!(told, [(4_294_967_296_000, ethernet, 9), (5000, raw, 4), (0, raw, 4), (6000, raw, 4)]);
    assert!(frames.iter().all(|frame| frame.bytes == bytes[..]));
    assert_eq!(frames[0].direction, Some(Direction::Out));
}

#[test]
fn blocks_that_hold_no_packet_are_passed_over() {
    // Names, statistics, a journal, secrets, and what is a company's own.
    let others = [4, 5, 9, 10, 0x0bad, 0x4000_0bad].map(|kind| block(kind, &[0x4b53_4c54, 4], b"abcd"));
    let packet = block(SIMPLE_PACKET, &[4], &[0x45, 1, 2, 3]);
    let (frames, error) = read(&[section(0), others.concat(), packet.clone(), others.concat(), packet].concat());
    assert!(error.is_none() && frames.len() == 2, "{error:?}");
}

#[test]
fn a_packet_that_does_not_say_how_much_of_it_is_there_ends_where_its_interface_cuts_it_off() {
    let (frames, error) = read(&[section(5), block(SIMPLE_PACKET, &[9], &[0x45, 1, 2, 3, 4])].concat());
    assert!(error.is_none(), "{error:?}");
    assert_eq!((&*frames[0].bytes, frames[0].wire_length), (&[0x45, 1, 2, 3, 4][..], 9));
}

#[test]
fn a_packet_of_an_interface_that_was_not_described_is_an_error_behind_all_before() {
    let packet = block(SIMPLE_PACKET, &[4], &[0x45, 1, 2, 3]);
    let bare = block(u32::from_le_bytes(SECTION), &[0x1a2b_3c4d, 1, u32::MAX, u32::MAX], &[]);
    let whole = [section(0), packet.clone()].concat();
    let others = [block(ENHANCED_PACKET, &[0, 0, 0, 0, 0], &[]), block(OBSOLETE_PACKET, &[0, 0, 0, 0, 0], &[]), packet];
    for packet in others {
        let (frames, error) = read(&[&whole[..], &bare, &packet].concat());
        let expected = format!(
            "test: a packet of an interface that was not described (behind frame 1, at byte {})",
            whole.len() + bare.len()
        );
        assert_eq!((frames.len(), error.unwrap().to_string()), (1, expected));
    }
}

proptest! {
    #[test]
    fn any_change_of_a_file_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        ours in any::<bool>(),
    ) {
        let mut file = if ours { recorded(&some_frames()) } else { TCPDUMP.to_vec() };
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] = value;
        }
        file.truncate(cut.index(file.len()) + 1);
        let opened = FileCapture::from_reader("test".to_owned(), Box::new(std::io::Cursor::new(file.clone())));
        let _ = opened.map(|capture| capture.names_several_interfaces());
        read(&file);
    }

    #[test]
    fn any_bytes_behind_a_magic_are_survived(
        magic in prop::sample::select(vec![
            vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a],
            vec![0xd4, 0xc3, 0xb2, 0xa1],
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        read(&[magic, bytes].concat());
    }
}
