//! Any bytes as a frame of any link: every byte belongs to one layer, nothing of the wire is written raw, and the judge
//! has an answer: over the frame, its halves and the frame again, with an SA of its number and without.
#![no_main]

use espial::evidence::{Judge, Sight};
use espial::model::text::harmless;
use espial::model::{AlgorithmName, IpsecProtocol, Mode, Sa, SaSpec, Secret, Transform};
use espial::packet::{Direction, IpsecHeader, LinkType, Summary, dissect};
use libfuzzer_sys::fuzz_target;

const LINKS: [LinkType; 5] =
    [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxCooked, LinkType::LinuxCooked2, LinkType::Loopback];

fuzz_target!(|frame: &[u8]| {
    for link in LINKS {
        let dissection = dissect(link, frame);
        let mut reached = 0;
        for layer in dissection.layers() {
            assert_eq!(layer.range().start, reached);
            reached = layer.range().end;
        }
        assert_eq!(reached, frame.len());
        assert!(dissection.layers().len() < 400);
        let summary = Summary::of(&dissection);
        assert_eq!(harmless(&summary.info), summary.info);
        assert_eq!(harmless(&summary.protocol), summary.protocol);
        assert!(dissection.ipsec().count() <= dissection.layers().len());
        judge(link, frame, None);
        for header in dissection.ipsec().take(4) {
            judge(link, frame, Some(header));
        }
    }
});

/// An SA that opens whatever names it: without encryption and authentication, in tunnel mode.
fn sa(header: IpsecHeader) -> Sa {
    let mut spec = SaSpec::new(header.source, header.destination, header.protocol, header.spi);
    spec.mode = Mode::Tunnel;
    let transform = |name, key: &[u8], icv_bits| {
        let (name, key) = (AlgorithmName::from_kernel(name), Secret::copy_from(key));
        Some(Transform { name, key, icv_bits })
    };
    match header.protocol {
        IpsecProtocol::Ah => spec.algorithms.authentication = transform("hmac(sha1)", &[7; 20], 96),
        IpsecProtocol::Comp => spec.algorithms.compression = Some(AlgorithmName::from_kernel("deflate")),
        _ => spec.algorithms.encryption = transform("ecb(cipher_null)", &[], 0),
    }
    Sa::from_spec(&spec, 0)
}

fn judge(link: LinkType, frame: &[u8], header: Option<IpsecHeader>) {
    let mut judge = Judge::default();
    if let Some(header) = header {
        judge.memory.learn(&sa(header), 0);
    }
    let (half, rest) = frame.split_at(frame.len() / 2);
    for bytes in [frame, half, rest, frame] {
        let dissection = judge.dissect(link, bytes);
        let (direction, at_ns) = (Some(Direction::In), 3_000_000_000);
        let sight = Sight { at_ns, link, direction, loopback: false, is_cut: false, bytes };
        let evidence = judge.judge(sight, &dissection, 1);
        let looked = judge.look_into(sight, &dissection, &evidence);
        for (place, inside) in looked.insides.iter().enumerate() {
            let found = looked.on_wire(place, &(0..inside.plaintext.len()));
            assert!(found.is_none_or(|found| found.end <= bytes.len()));
        }
        for reason in &evidence.reasons {
            assert_eq!(harmless(&reason.to_string()), reason.to_string());
        }
    }
}
