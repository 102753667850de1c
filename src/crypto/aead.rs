//! Encryption and authentication in one: AES-GCM, AES-CCM, ChaCha20-Poly1305, and AES-GMAC, which only authenticates.
//!
//! All four make their nonce of a salt, which is the key's end, and the eight bytes of IV in the packet.

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::{U8, U11, U12, U16};
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
    pub aad: &'a [u8],
    /// [`IV_LENGTH`] bytes.
    pub iv: &'a [u8],
    /// As long as the SA says.
    pub icv: &'a [u8],
}

/// An AEAD with its key.
pub(super) trait Aead: Send + Sync {
    /// Decrypts `text` in place if the ICV is good. If not, it says so, and `text` holds nothing of worth.
    fn open(&self, seal: Seal<'_>, text: &mut [u8]) -> bool;
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
        ("rfc4106(gcm(aes))" | "rfc4309(ccm(aes))" | "rfc4543(gcm(aes))" | "rfc7539esp(chacha20,poly1305)", _, bits) => {
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

    fn open(&self, seal: Seal<'_>, text: &mut [u8]) -> bool {
        let mut nonce = aes_gcm::aead::Nonce::<A>::default();
        let (salt, iv) = nonce.split_at_mut(SALT);
        salt.copy_from_slice(&*self.salt);
        iv.copy_from_slice(seal.iv);
        seal.icv
            .try_into()
            .is_ok_and(|icv| self.aead.decrypt_inout_detached(&nonce, seal.aad, text.into(), icv).is_ok())
    }
}

impl<A: AeadInOut + KeyInit + Send + Sync, const SALT: usize> Aead for Salted<A, SALT> {
    fn open(&self, seal: Seal<'_>, text: &mut [u8]) -> bool {
        self.open(seal, text)
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
    fn open(&self, seal: Seal<'_>, text: &mut [u8]) -> bool {
        let all = [seal.aad, seal.iv, text].concat();
        self.0.open(Seal { aad: &all, ..seal }, &mut [])
    }
}
