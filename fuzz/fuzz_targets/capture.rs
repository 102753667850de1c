//! Any bytes as a pcap or pcapng file: an error at most, and what was read is recorded and read again as the same.
#![no_main]

use std::io::Cursor;

use espial::capture::{FileCapture, Frame, Recorder};
use espial::packet::LinkType;
use libfuzzer_sys::fuzz_target;

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let reader = Box::new(Cursor::new(bytes.to_vec()));
    let Ok(mut file) = FileCapture::from_reader("file".to_owned(), reader) else {
        return Vec::new();
    };
    std::iter::from_fn(|| file.next_frame().ok().flatten()).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let mut read = frames(bytes);
    // A link that has no name here has none in a recording either.
    for frame in read.iter_mut().filter(|frame| matches!(frame.link, LinkType::Unknown(_))) {
        frame.link = LinkType::Unknown(u16::MAX);
    }
    assert!(read.len() <= bytes.len());
    let mut written = Vec::new();
    let mut recorder = Recorder::new(&mut written).unwrap();
    for frame in &read {
        recorder.record(frame, "a comment").unwrap();
    }
    drop(recorder);
    assert_eq!(frames(&written), read);
});
