//! Any bytes as an IP packet with an AH at any place: two bytes say where, one the algorithm, the rest is the packet.
#![no_main]

use espial::crypto::AhTransform;
use espial::model::{Algorithm, AlgorithmKind, Algorithms, Secret, Transform};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [high, low, choice, packet @ ..] = data else { return };
    let known: Vec<&'static Algorithm> = Algorithm::of_kind(AlgorithmKind::Authentication).collect();
    let algorithm = known[usize::from(*choice) % known.len()];
    let key = Secret::copy_from(&vec![7; usize::from(algorithm.key_bits.longest() / 8)]);
    let icv_bits = algorithm.icv_bits.first().copied().unwrap_or(0).into();
    let authentication = Some(Transform { name: algorithm.into(), key, icv_bits });
    let algorithms = Algorithms { authentication, ..Algorithms::default() };
    for extended in [false, true] {
        let Ok(ah) = AhTransform::new(&algorithms, extended) else { return };
        let _ = ah.verify(packet, usize::from(u16::from_be_bytes([*high, *low])), 1);
    }
});
