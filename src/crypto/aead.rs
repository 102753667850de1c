//! Encryption and authentication in one: AES-GCM, AES-CCM, ChaCha20-Poly1305, and AES-GMAC, which only authenticates.
//!
//! All four make their nonce of a salt, which is the key's end, and the eight bytes of IV in the packet.

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::{U8, U11, U12, U16};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;
use zeroize::Zeroizing;

use super::cipher::Block16;
use super::{Unready, key_length, known, unsupported};
use crate::model::Transform;

/// How many bytes of IV each packet carries, whatever the algorithm.
pub(super) const IV_LENGTH: usize = 8;

/// What protects a packet's text, beside the key.
#[derive(Clone, Copy)]
pub(super) struct Seal<'a> {
    /// What is authenticated and not encrypted: SPI and sequence number.
    pub associated: &'a [u8],
    /// [`IV_LENGTH`] bytes.
    pub iv: &'a [u8],
    /// As long as the SA says.
    pub icv: &'a [u8],
}

/// An AEAD with its key.
pub(super) trait Aead: Send + Sync {
    /// Decrypts `ciphertext` into `text`, which is as long, if the ICV is good. If not, it says so, and `text` holds
    /// nothing of worth.
    fn open(&self, seal: Seal<'_>, ciphertext: &[u8], text: &mut [u8]) -> bool;
}

/// Prepares the AEAD that `transform` names; beside it the length of its ICV in bytes.
pub(super) fn prepare(transform: &Transform) -> Result<(Box<dyn Aead>, usize), Unready> {
    let (algorithm, key) = known(transform)?;
    let icv = transform.icv_bits;
    let prepared = match (algorithm.kernel, key.len(), icv) {
        ("rfc4106(gcm(aes))", 20, 64 | 96 | 128) => gcm::<Aes128>(key, icv),
        ("rfc4106(gcm(aes))", 28, 64 | 96 | 128) => gcm::<Aes192>(key, icv),
        ("rfc4106(gcm(aes))", _, 64 | 96 | 128) => gcm::<Aes256>(key, icv),
        ("rfc4309(ccm(aes))", 19, 64 | 96 | 128) => ccm::<Aes128>(key, icv),
        ("rfc4309(ccm(aes))", 27, 64 | 96 | 128) => ccm::<Aes192>(key, icv),
        ("rfc4309(ccm(aes))", _, 64 | 96 | 128) => ccm::<Aes256>(key, icv),
        ("rfc4543(gcm(aes))", 20, 128) => gmac::<Aes128>(key),
        ("rfc4543(gcm(aes))", 28, 128) => gmac::<Aes192>(key),
        ("rfc4543(gcm(aes))", _, 128) => gmac::<Aes256>(key),
        ("rfc7539esp(chacha20,poly1305)", _, 128) => salted::<ChaCha20Poly1305, 4>(key),
        (
            "rfc4106(gcm(aes))" | "rfc4309(ccm(aes))" | "rfc4543(gcm(aes))" | "rfc7539esp(chacha20,poly1305)",
            _,
            bits,
        ) => {
            return Err(Unready::IcvLength { algorithm: algorithm.kernel, bits });
        }
        _ => return Err(unsupported(transform)),
    };
    Ok((prepared.ok_or_else(|| key_length(algorithm, key))?, icv as usize / 8))
}

/// RFC 4106.
fn gcm<C: Block16>(key: &[u8], icv_bits: u32) -> Option<Box<dyn Aead>> {
    match icv_bits {
        64 => salted::<AesGcm<C, U12, U8>, 4>(key),
        96 => salted::<AesGcm<C, U12, U12>, 4>(key),
        _ => salted::<AesGcm<C, U12, U16>, 4>(key),
    }
}

/// RFC 4309.
fn ccm<C: Block16>(key: &[u8], icv_bits: u32) -> Option<Box<dyn Aead>> {
    match icv_bits {
        64 => salted::<Ccm<C, U8, U11>, 3>(key),
        96 => salted::<Ccm<C, U12, U11>, 3>(key),
        _ => salted::<Ccm<C, U16, U11>, 3>(key),
    }
}

/// An AEAD with the salt of its nonces.
struct Salted<A, const SALT: usize> {
    aead: A,
    salt: Zeroizing<[u8; SALT]>,
}

impl<A: AeadInOut + KeyInit, const SALT: usize> Salted<A, SALT> {
    /// Takes a key with the salt at its end.
    fn new(key: &[u8]) -> Option<Self> {
        let (key, salt) = key.split_last_chunk()?;
        Some(Self { aead: A::new_from_slice(key).ok()?, salt: Zeroizing::new(*salt) })
    }

    fn open(&self, seal: Seal<'_>, ciphertext: &[u8], text: &mut [u8]) -> bool {
        let mut nonce = aes_gcm::aead::Nonce::<A>::default();
        let (salt, iv) = nonce.split_at_mut(SALT);
        salt.copy_from_slice(&*self.salt);
        iv.copy_from_slice(seal.iv);
        let (Ok(icv), Ok(buffers)) = (seal.icv.try_into(), InOutBuf::new(ciphertext, text)) else {
            return false;
        };
        self.aead.decrypt_inout_detached(&nonce, seal.associated, buffers, icv).is_ok()
    }
}

impl<A: AeadInOut + KeyInit + Send + Sync, const SALT: usize> Aead for Salted<A, SALT> {
    fn open(&self, seal: Seal<'_>, ciphertext: &[u8], text: &mut [u8]) -> bool {
        self.open(seal, ciphertext, text)
    }
}

fn salted<A: AeadInOut + KeyInit + Send + Sync + 'static, const SALT: usize>(key: &[u8]) -> Option<Box<dyn Aead>> {
    Some(Box::new(Salted::<A, SALT>::new(key)?))
}

/// RFC 4543: GCM over an empty text, with the IV and the payload among what is authenticated.
struct Gmac<C: Block16>(Salted<AesGcm<C, U12, U16>, 4>);

fn gmac<C: Block16>(key: &[u8]) -> Option<Box<dyn Aead>> {
    Some(Box::new(Gmac::<C>(Salted::new(key)?)))
}

impl<C: Block16> Aead for Gmac<C> {
    fn open(&self, seal: Seal<'_>, ciphertext: &[u8], text: &mut [u8]) -> bool {
        let all = [seal.associated, seal.iv, ciphertext].concat();
        text.copy_from_slice(ciphertext);
        self.0.open(Seal { associated: &all, ..seal }, &[], &mut [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;
    use crate::model::{AlgorithmName, Secret};

    /// Key with salt, IV, AAD, ciphertext, ICV, plaintext.
    fn check(name: &str, [key, iv, associated, ciphertext, icv, plaintext]: [&str; 6]) {
        let (key, icv) = (Secret::copy_from(&hex(key)), hex(icv));
        let icv_bits = u32::try_from(icv.len() * 8).unwrap();
        let (aead, length) = prepare(&Transform { name: AlgorithmName::from_kernel(name), key, icv_bits }).unwrap();
        assert_eq!(length, icv.len());
        let (iv, associated) = (hex(iv), hex(associated));
        let mut text = vec![0; hex(ciphertext).len()];
        assert!(aead.open(Seal { associated: &associated, iv: &iv, icv: &icv }, &hex(ciphertext), &mut text));
        assert_eq!(text, hex(plaintext));
        for (i, part) in [&associated, &iv, &icv, &hex(ciphertext)].into_iter().enumerate() {
            let mut wrong = part.clone();
            wrong[part.len() / 2] ^= 0x10;
            let seal = match i {
                0 => Seal { associated: &wrong, iv: &iv, icv: &icv },
                1 => Seal { associated: &associated, iv: &wrong, icv: &icv },
                2 => Seal { associated: &associated, iv: &iv, icv: &wrong },
                _ => Seal { associated: &associated, iv: &iv, icv: &icv },
            };
            let sealed = if i == 3 { wrong.clone() } else { hex(ciphertext) };
            assert!(!aead.open(seal, &sealed, &mut text), "{name}: part {i} was changed");
        }
    }

    #[test]
    fn gcm_is_that_of_its_specification() {
        // McGrew and Viega, appendix B, cases 4, 10 and 16; shorter ICVs are the beginning of the whole one.
        let plaintext = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
        let associated = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
        let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        for (digits, ciphertext, icv) in [
            (
                32,
                "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
                 21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
                "5bc94fbc3221a5db94fae95ae7121a47",
            ),
            (
                48,
                "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c\
                 7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
                "2519498e80f1478f37ba55bd6d27618c",
            ),
            (
                64,
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                 8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
                "76fc6ece0f4e1768cddf8853bb2d551b",
            ),
        ] {
            let key = format!("{}cafebabe", &key[..digits]);
            for icv in [icv, &icv[..24], &icv[..16]] {
                check("rfc4106(gcm(aes))", [&key, "facedbaddecaf888", associated, ciphertext, icv, plaintext]);
            }
        }
    }

    #[test]
    fn chacha20_poly1305_is_that_of_rfc_7634() {
        // Appendix A.
        let text = "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10\
                    0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223\
                    2425262728292a2b2c2d2e2f303132333435363701020204";
        check(
            "rfc7539esp(chacha20,poly1305)",
            [
                "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3",
                "1011121314151617",
                "0102030400000005",
                "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6\
                 14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3\
                 cbec163fac469b502773f6fb94e664da9165b82829f641e0",
                "76aaa8266b7fb0f7b11b369907e1ad43",
                text,
            ],
        );
    }

    #[test]
    fn ccm_is_that_of_nists_vectors() {
        // CAVP, "Variable Nonce Test" with nonces of 11 bytes, the first of each key length.
        for [key, nonce, associated, plaintext, ciphertext, icv] in [
            [
                "e6ab9e70a4fb51b01c2e262233e64c0d",
                "74e689eb5af9441dd690a6",
                "42f6518ee0fbe42f28e13b4bb2eb60517b37c9744394d9143393a879c3e107c7",
                "ba15916733550d7aa82b2f6b117cd3f54c83ddc16cd0288a",
                "dcc151443288f35d39ed8fae6f0ce1d1eb656f4f7fd65c0b",
                "16f322ce85d7c54e71ac560fd4da9651",
            ],
            [
                "af84c6f302c59aeee6d5728ed5da2e3c64a5a781c52c4d1b",
                "df990c42a268950677c433",
                "a6ab5d78427f297a4b7e21f1091ff3a5b20caa3fe1cbcb09459d9df596a6c8e1",
                "6db41aeb5f7c24df8929dbc30483b3c7934b3bd1cdce5bb9",
                "8c9328258bf71970d33e23a3ff81cc1c9cbe196a1294264b",
                "fd6a7255e4801963bb30a63de3fc5b82",
            ],
            [
                "97bc7482a87ba005475dfa3448f59d4b3f9c4c969d08b39b1b21ef965c0f5125",
                "0bcf78103ec52d6df28887",
                "049c10f0cb37ae08eae2d0766563b7c5a8454f841c2061a4f71a0a2158ae6ce5",
                "b99bf4dc781795fc4d3a8467b06e1665d4e543657f23129f",
                "0d3891fa0caac1f7ebe41b480920ffd34d4155064c24f3b1",
                "7a483163dd8f228d1f20cd4f86cf38fd",
            ],
        ] {
            let (salt, iv) = nonce.split_at(6);
            check("rfc4309(ccm(aes))", [&format!("{key}{salt}"), iv, associated, ciphertext, icv, plaintext]);
        }
    }

    #[test]
    fn gmac_is_that_of_the_gcm_test_draft() {
        // draft-mcgrew-gcm-test-01, the packet of RFC 4543.
        let text = "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f7071727374\
                    01020201";
        check(
            "rfc4543(gcm(aes))",
            [
                "4c80cdefbb5d10da906ac73c3613a63422433c64",
                "0000000000000000",
                "0000432100000007",
                text,
                "f2a9a836e155106aa8dcd618e4099aaa",
                text,
            ],
        );
    }
}
