//! Any bytes as an ESP packet of an SA with any algorithms: two bytes choose those, the rest is the packet.
#![no_main]

use espial::crypto::EspTransform;
use espial::model::algorithm::ALGORITHMS;
use espial::model::{AlgorithmKind, Algorithms, Secret, Transform};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [first, second, packet @ ..] = data else { return };
    let mut algorithms = Algorithms::default();
    for choice in [first, second] {
        let algorithm = &ALGORITHMS[usize::from(choice & 0x3f) % ALGORITHMS.len()];
        let key = Secret::copy_from(&vec![7; usize::from(algorithm.key_bits.longest() / 8)]);
        let icv_bits = algorithm.icv_bits.get(usize::from(choice >> 6)).or(algorithm.icv_bits.first()).copied();
        let transform = Some(Transform { name: algorithm.into(), key, icv_bits: icv_bits.unwrap_or(0).into() });
        match algorithm.kind {
            AlgorithmKind::Aead => algorithms.aead = transform,
            AlgorithmKind::Authentication => algorithms.authentication = transform,
            AlgorithmKind::Encryption => algorithms.encryption = transform,
            AlgorithmKind::Compression => {}
        }
    }
    for extended in [false, true] {
        let Ok(esp) = EspTransform::new(&algorithms, extended) else { return };
        let mut plaintext = Vec::new();
        let opened = esp.open(packet, 1, &mut plaintext);
        assert!(plaintext.len() <= packet.len());
        if let Ok(opened) = opened {
            assert!(opened.payload_length <= plaintext.len());
            assert_eq!(esp.verify(packet, 1), Ok(opened.icv));
        }
    }
});
