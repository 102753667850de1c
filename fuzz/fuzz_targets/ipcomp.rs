//! Any bytes as a compressed payload: nothing grows beyond an IP packet.
#![no_main]

use espial::crypto::ipcomp::{LONGEST, inflate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|compressed: &[u8]| {
    if let Ok(payload) = inflate(compressed) {
        assert!(payload.len() <= LONGEST);
    }
});
