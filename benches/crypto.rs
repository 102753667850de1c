//! Verifying and decrypting ESP packets, beside the crypto library's own bulk calls in the same run.
//!
//! Look at the ratio of the two, not at the times. To reach: at least half of the library's speed at 1400 bytes.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench that fails should say where")]

use std::hint::black_box;

use aes_gcm::aead::{AeadInOut, Nonce};
use aes_gcm::{Aes128Gcm, KeyInit};
use cbc::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use chacha20poly1305::ChaCha20Poly1305;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use espial::crypto::{EspTransform, Icv};
use espial::model::{AlgorithmName, Algorithms, Secret, Transform};
use hmac::{Hmac, Mac};
use sha1::Sha1;

const LENGTHS: [usize; 3] = [64, 576, 1400];
const HEADER: [u8; 8] = [0, 0, 0x10, 0, 0, 0, 0, 1];

fn transform(name: &str, key: &[u8], icv_bits: u32) -> Transform {
    Transform { name: AlgorithmName::from_kernel(name), key: Secret::copy_from(key), icv_bits }
}

/// A text without payload: no padding, next header UDP.
fn text(length: usize) -> Vec<u8> {
    let mut text = vec![0x5a; length];
    text[length - 2..].copy_from_slice(&[0, 17]);
    text
}

/// Opens packets that `A` sealed, and has `A` open the same bytes. The salt is [7; 4].
fn aead<A: AeadInOut + KeyInit>(criterion: &mut Criterion, name: &str, kernel_name: &str, key_length: usize) {
    let mut group = criterion.benchmark_group(name);
    let key = vec![7; key_length];
    let library = A::new_from_slice(&key).unwrap();
    let aead = Some(transform(kernel_name, &[7; 36][..key_length + 4], 128));
    let esp = EspTransform::new(&Algorithms { aead, ..Algorithms::default() }, false).unwrap();
    let mut nonce = Nonce::<A>::default();
    nonce.fill(7);
    for length in LENGTHS {
        let mut sealed = text(length);
        let tag = library.encrypt_inout_detached(&nonce, &HEADER, sealed.as_mut_slice().into()).unwrap();
        let packet = [&HEADER[..], &[7; 8], &sealed, &tag].concat();
        group.throughput(Throughput::Bytes(length as u64));
        let mut plaintext = Vec::new();
        group.bench_function(BenchmarkId::new("espial", length), |bencher| {
            bencher.iter(|| esp.open(black_box(&packet), 0, &mut plaintext).unwrap());
        });
        let mut buffer = sealed.clone();
        group.bench_function(BenchmarkId::new("library", length), |bencher| {
            bencher.iter(|| {
                buffer.copy_from_slice(black_box(&sealed));
                library.decrypt_inout_detached(&nonce, &HEADER, buffer.as_mut_slice().into(), &tag).unwrap();
            });
        });
    }
    group.finish();
}

fn cbc_and_hmac(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aes-cbc + hmac-sha1");
    let encryption = Some(transform("cbc(aes)", &[7; 16], 0));
    let authentication = Some(transform("hmac(sha1)", &[7; 20], 96));
    let esp = EspTransform::new(&Algorithms { encryption, authentication, ..Algorithms::default() }, false).unwrap();
    let library = <Hmac<Sha1> as KeyInit>::new_from_slice(&[7; 20]).unwrap();
    for length in LENGTHS.map(|length| length / 16 * 16) {
        let mut sealed = text(length);
        let (blocks, _) = Array::slice_as_chunks_mut(&mut sealed);
        cbc::Encryptor::<aes::Aes128>::new(&[7; 16].into(), &[7; 16].into()).encrypt_blocks(blocks);
        let mut packet = [&HEADER[..], &[7; 16], &sealed].concat();
        let covered = packet.len();
        let mac = |bytes: &[u8]| library.clone().chain_update(bytes).finalize().into_bytes();
        packet.extend_from_slice(&mac(&packet)[..12]);
        group.throughput(Throughput::Bytes(length as u64));
        let mut plaintext = Vec::new();
        group.bench_function(BenchmarkId::new("espial", length), |bencher| {
            bencher.iter(|| assert_eq!(esp.open(black_box(&packet), 0, &mut plaintext).unwrap().icv, Icv::Good));
        });
        let mut buffer = sealed.clone();
        group.bench_function(BenchmarkId::new("library", length), |bencher| {
            bencher.iter(|| {
                assert_eq!(mac(black_box(&packet[..covered]))[..12], packet[covered..]);
                buffer.copy_from_slice(&sealed);
                let (blocks, _) = Array::slice_as_chunks_mut(&mut buffer);
                cbc::Decryptor::<aes::Aes128>::new(&[7; 16].into(), &[7; 16].into()).decrypt_blocks(blocks);
            });
        });
    }
    group.finish();
}

/// Every cipher alone, so that the slow ones are known by measurement.
fn ciphers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decrypt 1408 bytes");
    group.throughput(Throughput::Bytes(1408));
    for (name, key_length) in [
        ("cbc(des)", 8),
        ("cbc(des3_ede)", 24),
        ("cbc(cast5)", 16),
        ("cbc(blowfish)", 16),
        ("cbc(aes)", 32),
        ("cbc(camellia)", 32),
        ("cbc(twofish)", 32),
        ("cbc(serpent)", 32),
        ("cbc(sm4)", 16),
        ("rfc3686(ctr(aes))", 36),
    ] {
        let key: Vec<u8> = (1..=key_length).collect();
        let encryption = Some(transform(name, &key, 0));
        let esp = EspTransform::new(&Algorithms { encryption, ..Algorithms::default() }, false).unwrap();
        let length = 1408 + esp.layout(8 + 16 + 16).unwrap().iv.end;
        let (packet, mut plaintext) = (vec![0x5a; length], Vec::new());
        group.bench_function(name, |bencher| bencher.iter(|| esp.open(black_box(&packet), 0, &mut plaintext)));
    }
    group.finish();
}

fn aeads(criterion: &mut Criterion) {
    aead::<Aes128Gcm>(criterion, "aes-gcm-16", "rfc4106(gcm(aes))", 16);
    aead::<ChaCha20Poly1305>(criterion, "chacha20-poly1305", "rfc7539esp(chacha20,poly1305)", 32);
}

criterion_group!(benches, aeads, cbc_and_hmac, ciphers);
criterion_main!(benches);
