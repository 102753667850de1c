//! ESP packets made here, that anybody can read: null encryption and HMAC-SHA-1-96.

use espial::model::extras::Encapsulation;
use espial::model::{AlgorithmName, Transform};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::*;

pub const KEY: [u8; 20] = *b"ABCDEFGHIJKLMNOPQRST";
pub const OTHER_KEY: [u8; 20] = *b"ABCDEFGHIJKLMNOPQRSU";

/// An SA from reblochon to gouda with this key.
pub fn sa_with(spi: u32, key: &[u8], fill: impl FnOnce(&mut SaSpec)) -> Sa {
    let mut spec = SaSpec::new(REBLOCHON.into(), GOUDA.into(), IpsecProtocol::Esp, Spi(spi));
    let transform = |name, key: &[u8], icv_bits| {
        let (name, key) = (AlgorithmName::from_kernel(name), Secret::copy_from(key));
        Some(Transform { name, key, icv_bits })
    };
    spec.algorithms.encryption = transform("ecb(cipher_null)", &[], 0);
    spec.algorithms.authentication = transform("hmac(sha1)", key, 96);
    fill(&mut spec);
    Sa::from_spec(&spec, NOW)
}

/// Of SAs whose packets are in UDP.
pub const IN_UDP: Encapsulation = Encapsulation {
    kind: Encapsulation::ESP_IN_UDP,
    source_port: 4500,
    destination_port: 4500,
    original: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
};

pub fn sa(spi: u32, key: &[u8]) -> Sa {
    sa_with(spi, key, |_| {})
}

/// ESP around a payload of this protocol; of extended sequence numbers the upper half is signed.
pub fn esp(spi: u32, number: u64, is_extended: bool, key: &[u8], (next, payload): (u8, &[u8])) -> Vec<u8> {
    let high = u32::try_from(number >> 32).unwrap().to_be_bytes();
    let low = (number & 0xffff_ffff) as u32;
    let mut esp = [spi, low].map(u32::to_be_bytes).concat();
    esp.extend(payload);
    let padding = u8::try_from((2 + payload.len()).next_multiple_of(4) - 2 - payload.len()).unwrap();
    esp.extend(1..=padding);
    esp.extend([padding, next]);
    let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    mac.update(&esp);
    if is_extended {
        mac.update(&high);
    }
    esp.extend(&mac.finalize().into_bytes()[..12]);
    esp
}

/// A frame from reblochon to gouda with a datagram in ESP.
pub fn frame(spi: u32, number: u64, key: &[u8]) -> Vec<u8> {
    ipv4(50, REBLOCHON, GOUDA, &esp(spi, number, false, key, (17, &udp(40_000, 53))))
}
