//! Any bytes as a frame of any link: every byte belongs to one layer, and nothing of the wire is written raw.
#![no_main]

use espial::model::text::harmless;
use espial::packet::{LinkType, Summary, dissect};
use libfuzzer_sys::fuzz_target;

const LINKS: [LinkType; 5] =
    [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxCooked, LinkType::LinuxCooked2, LinkType::Loopback];

fuzz_target!(|frame: &[u8]| {
    for link in LINKS {
        let dissection = dissect(link, frame);
        let mut reached = 0;
        for layer in dissection.layers() {
            assert_eq!(layer.range.start, reached);
            reached = layer.range.end;
        }
        assert_eq!(reached, frame.len());
        assert!(dissection.layers().len() < 400);
        let summary = Summary::of(&dissection);
        assert_eq!(harmless(&summary.info), summary.info);
        assert_eq!(harmless(&summary.protocol), summary.protocol);
        assert!(dissection.ipsec().count() <= dissection.layers().len());
    }
});
