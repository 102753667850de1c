//! Authentication without encryption, for ESP and AH: HMACs, AES-CMAC and AES-XCBC, truncated as the SA says.

use aes::Aes128;
use aes::cipher::{Block, BlockCipherEncrypt};
use cmac::Cmac;
use hmac::digest::typenum::Unsigned;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use ripemd::Ripemd160;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use sm3::Sm3;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Icv, Unready, key_length, known, unsupported};
use crate::model::Transform;

/// What authenticates an SA's packets; nothing where the SA has no such algorithm, or the null one.
pub(super) struct Authenticator {
    keyed: Option<Box<dyn Keyed>>,
    icv_length: usize,
}

/// A message authentication code with its key.
trait Keyed: Send + Sync {
    /// Whether the code of `parts`, one behind the other, begins with `icv`; in constant time.
    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> bool;
    /// How many bytes the whole code has.
    fn length(&self) -> usize;
}

impl Authenticator {
    /// Proves nothing.
    pub const NONE: Self = Self { keyed: None, icv_length: 0 };

    /// Prepares the algorithm that `transform` names.
    pub fn new(transform: &Transform) -> Result<Self, Unready> {
        let (algorithm, key) = known(transform)?;
        let keyed = match algorithm.kernel {
            "digest_null" => return Ok(Self::NONE),
            // The kernel takes HMAC keys of any length.
            "hmac(md5)" => digested::<Hmac<Md5>>(key),
            "hmac(sha1)" => digested::<Hmac<Sha1>>(key),
            "hmac(sha256)" => digested::<Hmac<Sha256>>(key),
            "hmac(sha384)" => digested::<Hmac<Sha384>>(key),
            "hmac(sha512)" => digested::<Hmac<Sha512>>(key),
            "hmac(rmd160)" => digested::<Hmac<Ripemd160>>(key),
            "hmac(sm3)" => digested::<Hmac<Sm3>>(key),
            "cmac(aes)" => digested::<Cmac<Aes128>>(key),
            "xcbc(aes)" => Xcbc::new(key).map(|xcbc| Box::new(xcbc) as Box<dyn Keyed>),
            _ => return Err(unsupported(transform)),
        };
        let keyed = keyed.filter(|_| !key.is_empty()).ok_or_else(|| key_length(algorithm, key))?;
        let (icv_length, bits) = (transform.icv_bits as usize / 8, transform.icv_bits);
        if !(1..=keyed.length()).contains(&icv_length) {
            return Err(Unready::IcvLength { algorithm: algorithm.kernel, bits });
        }
        Ok(Self { keyed: Some(keyed), icv_length })
    }

    /// How many bytes of the code each packet carries.
    pub fn icv_length(&self) -> usize {
        self.icv_length
    }

    /// How many bytes the code would have if it were not cut.
    pub fn whole_length(&self) -> usize {
        self.keyed.as_ref().map_or(0, |keyed| keyed.length())
    }

    /// Whether `icv`, which has [`Self::icv_length`] bytes, belongs to `parts`, one behind the other.
    pub fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Icv {
        match &self.keyed {
            None => Icv::Absent,
            Some(keyed) if keyed.verify(parts, icv) => Icv::Good,
            Some(_) => Icv::Bad,
        }
    }
}

/// A code that starts afresh for each packet from the state that its key left.
struct Digested<M>(M);

fn digested<M: Mac + KeyInit + Clone + Send + Sync + 'static>(key: &[u8]) -> Option<Box<dyn Keyed>> {
    Some(Box::new(Digested(<M as KeyInit>::new_from_slice(key).ok()?)))
}

impl<M: Mac + Clone + Send + Sync> Keyed for Digested<M> {
    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> bool {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.verify_truncated_left(icv).is_ok()
    }

    fn length(&self) -> usize {
        M::OutputSize::USIZE
    }
}

/// AES-XCBC-MAC, RFC 3566 section 4.
struct Xcbc {
    cipher: Aes128,
    /// K2, for a message of whole blocks.
    whole: Zeroizing<[u8; 16]>,
    /// K3, for one whose last block was padded.
    padded: Zeroizing<[u8; 16]>,
}

impl Xcbc {
    fn new(key: &[u8]) -> Option<Self> {
        let outer = Aes128::new_from_slice(key).ok()?;
        let derive = |byte| {
            let mut block = [byte; 16].into();
            outer.encrypt_block(&mut block);
            Zeroizing::new(<[u8; 16]>::from(block))
        };
        let cipher = Aes128::new_from_slice(&*derive(1)).ok()?;
        Some(Self { cipher, whole: derive(2), padded: derive(3) })
    }

    fn code(&self, parts: &[&[u8]]) -> Block<Aes128> {
        let mut state = Block::<Aes128>::default();
        let mut filled = 0;
        for byte in parts.iter().copied().flatten() {
            if filled == state.len() {
                self.cipher.encrypt_block(&mut state);
                filled = 0;
            }
            state[filled] ^= byte;
            filled += 1;
        }
        let last = if filled == state.len() {
            &self.whole
        } else {
            state[filled] ^= 0x80;
            &self.padded
        };
        state.iter_mut().zip(last.iter()).for_each(|(byte, key)| *byte ^= key);
        self.cipher.encrypt_block(&mut state);
        state
    }
}

impl Keyed for Xcbc {
    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> bool {
        self.code(parts).get(..icv.len()).is_some_and(|code| code.ct_eq(icv).into())
    }

    fn length(&self) -> usize {
        16
    }
}
