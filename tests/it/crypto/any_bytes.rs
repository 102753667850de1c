//! Any bytes, with every transform; and what others encrypt.

use aes_gcm::aead::{AeadInOut, Nonce};
use aes_gcm::{Aes128Gcm, KeyInit};
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use espial::crypto::ipcomp::{LONGEST, inflate};
use espial::crypto::sequence::extended;
use espial::crypto::{AhTransform, EspTransform, Icv, Opened};
use espial::model::algorithm::{ALGORITHMS, Algorithm};
use espial::model::{AlgorithmKind, AlgorithmName, Algorithms, IpsecProtocol, Secret, Transform};
use hmac::{Hmac, Mac};
use proptest::collection::vec;
use proptest::prelude::*;
use sha1::Sha1;

use super::wire::{self, Layer, Packet};
use super::{LINUX, ah_transform, esp_transform, linux_sas};

fn with_longest_key(algorithm: &'static Algorithm) -> Algorithms {
    let key = Secret::copy_from(&vec![7; usize::from(algorithm.key_bits.longest() / 8)]);
    let icv_bits = algorithm.icv_bits.first().copied().unwrap_or(0).into();
    let transform = Some(Transform { name: algorithm.into(), key, icv_bits });
    match algorithm.kind {
        AlgorithmKind::Aead => Algorithms { aead: transform, ..Algorithms::default() },
        AlgorithmKind::Authentication => Algorithms { authentication: transform, ..Algorithms::default() },
        _ => Algorithms { encryption: transform, ..Algorithms::default() },
    }
}

/// `payload` with padding and trailer, a multiple of `unit` long.
fn padded(payload: &[u8], unit: usize) -> Vec<u8> {
    let padding = (payload.len() + 2).next_multiple_of(unit) - payload.len() - 2;
    let mut text = payload.to_vec();
    text.extend((1..=padding).map(|byte| u8::try_from(byte).unwrap()));
    text.extend([u8::try_from(padding).unwrap(), 17]);
    text
}

fn check_opened(algorithms: &Algorithms, esp: &[u8], high: u32, payload: &[u8]) {
    let transform = EspTransform::new(algorithms, true).unwrap();
    let mut plaintext = Vec::new();
    let Opened { icv, payload_length, next_header, padding_counts_up, .. } =
        transform.open(esp, high, &mut plaintext).unwrap();
    assert_eq!((icv, next_header, padding_counts_up), (Icv::Good, 17, true));
    assert_eq!(&plaintext[..payload_length], payload);
    let layout = transform.layout(esp.len()).unwrap();
    assert_eq!((layout.ciphertext.len(), layout.icv.end), (plaintext.len(), esp.len()));
}

proptest! {
    #[test]
    fn no_bytes_break_a_transform(bytes in vec(any::<u8>(), 0..200), at in 0_usize..80, high: u32, version in 4_u8..8) {
        let of_packets = ALGORITHMS.iter().filter(|algorithm| algorithm.kind != AlgorithmKind::Compression);
        for algorithms in of_packets.map(with_longest_key) {
            let mut plaintext = Vec::new();
            let esp = EspTransform::new(&algorithms, true).unwrap();
            let verified = esp.verify(&bytes, high);
            let opened = esp.open(&bytes, high, &mut plaintext);
            prop_assert!(opened.is_err() || verified.is_ok_and(|icv| icv != Icv::Bad));
            if let Ok(ah) = AhTransform::new(&algorithms, true) {
                let mut packet = bytes.clone();
                if let [first, _, total, low, payload, payload_low, ..] = &mut packet[..] {
                    *first = version << 4 | *first & 15;
                    [*total, *low, *payload, *payload_low] = [0, 120, 0, 80];
                }
                let _ = (ah.verify(&bytes, at, high), ah.verify(&packet, at, high));
            }
        }
    }

    #[test]
    fn no_changed_packet_breaks_a_transform(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        frame: prop::sample::Index,
        length: prop::sample::Index,
    ) {
        let sas = linux_sas();
        let frames = wire::frames(LINUX);
        let ip = wire::without_ethernet(frames[frame.index(frames.len())]);
        let Packet { payload_at, next, bytes } = Packet::parse(ip);
        let mut packet = ip.to_vec();
        for (at, byte) in &changes {
            let at = at.index(packet.len());
            packet[at] = *byte;
        }
        packet.truncate(length.index(packet.len() + 1));
        match Layer::of(next, &bytes[payload_at..]) {
            Layer::Esp(at) => {
                let sa = sas.find(IpsecProtocol::Esp, &bytes[payload_at + at..]);
                let esp = packet.get(payload_at + at..).unwrap_or_default();
                let _ = esp_transform(sa).open(esp, 0, &mut Vec::new());
            }
            Layer::Ah { .. } => {
                let sa = sas.find(IpsecProtocol::Ah, &bytes[payload_at + 4..]);
                let _ = ah_transform(sa).verify(&packet, payload_at, 0);
            }
            _ => drop(inflate(packet.get(payload_at + 4..).unwrap_or_default())),
        }
    }

    #[test]
    fn no_bytes_inflate_beyond_a_packet(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(inflated) = inflate(&bytes) {
            prop_assert!(inflated.len() <= LONGEST);
        }
    }

    #[test]
    fn the_nearest_number_is_taken(near: u64, low: u32) {
        let number = extended(near, low);
        prop_assert_eq!(number & 0xffff_ffff, u64::from(low));
        let at_the_end = !(1 << 31..=u64::MAX - (1 << 31)).contains(&near);
        prop_assert!(number.abs_diff(near) <= 1 << 31 || at_the_end);
    }

    #[test]
    fn what_others_encrypt_with_gcm_is_opened(payload in vec(any::<u8>(), 1..300), nonce: [u8; 12], key: [u8; 16], high: u32) {
        prop_assume!(key != [0; 16] || nonce[..4] != [0; 4]);
        let mut text = padded(&payload, 4);
        let header = [0, 0, 0x10, 0, 0, 0, 0, 7];
        let aad = [&header[..4], &high.to_be_bytes(), &header[4..]].concat();
        let cipher = Aes128Gcm::new(&key.into());
        let tag = cipher.encrypt_inout_detached(&Nonce::<Aes128Gcm>::from(nonce), &aad, text.as_mut_slice().into()).unwrap();
        let esp = [&header[..], &nonce[4..], &text, &tag].concat();
        let name = AlgorithmName::from_kernel("rfc4106(gcm(aes))");
        let aead = Some(Transform { name, key: Secret::take([&key[..], &nonce[..4]].concat()), icv_bits: 128 });
        check_opened(&Algorithms { aead, ..Algorithms::default() }, &esp, high, &payload);
    }

    #[test]
    fn what_others_encrypt_with_cbc_is_opened(payload in vec(any::<u8>(), 1..300), iv: [u8; 16], key: [u8; 16], high: u32) {
        prop_assume!(key != [0; 16]);
        let mut text = padded(&payload, 16);
        let (blocks, _) = cbc::cipher::Array::slice_as_chunks_mut(&mut text);
        cbc::Encryptor::<aes::Aes128>::new(&key.into(), &iv.into()).encrypt_blocks(blocks);
        let mut esp = [&[0, 0, 0x10, 0, 0, 0, 0, 7][..], &iv, &text].concat();
        let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(&key).unwrap();
        mac.update(&esp);
        mac.update(&high.to_be_bytes());
        esp.extend_from_slice(&mac.finalize().into_bytes()[..12]);
        let transform = |name, icv_bits| {
            let name = AlgorithmName::from_kernel(name);
            Some(Transform { name, key: Secret::copy_from(&key), icv_bits })
        };
        let (encryption, authentication) = (transform("cbc(aes)", 0), transform("hmac(sha1)", 96));
        check_opened(&Algorithms { encryption, authentication, ..Algorithms::default() }, &esp, high, &payload);
    }
}
