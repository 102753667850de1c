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

/// What authenticates an SA's packets; nothing where the SA has no such algorithm, or the null one, which may still say
/// how many bytes of ICV to leave unread.
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
            // The kernel makes no ICV here. A table of keys that knows only how long one is says it with this name.
            "digest_null" => return Ok(Self { keyed: None, icv_length: transform.icv_bits as usize / 8 }),
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
            None if self.icv_length > 0 => Icv::Unchecked,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;
    use crate::model::{AlgorithmName, Secret};

    /// The published code must verify, whole and cut to any length; nothing else may.
    fn check(name: &str, key: &[u8], message: &[u8], code: &str) {
        let code = hex(code);
        for length in 1..=code.len() {
            let icv_bits = u32::try_from(length * 8).unwrap();
            let transform = Transform { name: AlgorithmName::from_kernel(name), key: Secret::copy_from(key), icv_bits };
            let authenticator = Authenticator::new(&transform).unwrap();
            let (head, tail) = message.split_at(message.len() / 3);
            let icv = &code[..length];
            assert_eq!(authenticator.verify(&[head, tail], icv), Icv::Good, "{name}, {length} bytes");
            assert_eq!(authenticator.verify(&[message, &[]], icv), Icv::Good, "{name}, {length} bytes");
            assert_eq!(authenticator.verify(&[head, tail, &[0]], icv), Icv::Bad, "{name}, {length} bytes");
            let mut wrong = icv.to_vec();
            wrong[length - 1] ^= 1;
            assert_eq!(authenticator.verify(&[message], &wrong), Icv::Bad, "{name}, {length} bytes");
        }
        assert_eq!(code.len(), {
            let icv_bits = 8;
            let transform = Transform { name: AlgorithmName::from_kernel(name), key: Secret::copy_from(key), icv_bits };
            Authenticator::new(&transform).unwrap().whole_length()
        });
    }

    #[test]
    fn hmacs_are_those_of_rfc_2202_2286_and_4231() {
        let (jefe, what) = (b"Jefe".as_slice(), b"what do ya want for nothing?".as_slice());
        check("hmac(md5)", &[0x0b; 16], b"Hi There", "9294727a3638bb1c13f48ef8158bfc9d");
        check("hmac(md5)", jefe, what, "750c783e6ab0b503eaa86e310a5db738");
        check("hmac(sha1)", &[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00");
        check("hmac(sha1)", jefe, what, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        check("hmac(rmd160)", &[0x0b; 20], b"Hi There", "24cb4bd67d20fc1a5d2ed7732dcc39377f0a5668");
        check("hmac(rmd160)", jefe, what, "dda6c0213a485a9e24f4742064a7f033b43c4069");
        check(
            "hmac(sha256)",
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        );
        check("hmac(sha256)", jefe, what, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        check(
            "hmac(sha384)",
            &[0x0b; 20],
            b"Hi There",
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
        );
        check(
            "hmac(sha384)",
            jefe,
            what,
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
        );
        check(
            "hmac(sha512)",
            &[0x0b; 20],
            b"Hi There",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
             daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        );
        check(
            "hmac(sha512)",
            jefe,
            what,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        );
    }

    #[test]
    fn hmac_sm3_is_that_of_gmt_0042() {
        let key: Vec<u8> = (1..=32).collect();
        let message = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".repeat(2);
        check("hmac(sm3)", &key, &message, "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a");
    }

    #[test]
    fn cmac_is_that_of_rfc_4493() {
        let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
        let message = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
        for (length, code) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ] {
            check("cmac(aes)", &key, &message[..length], code);
        }
    }

    #[test]
    fn xcbc_is_that_of_rfc_3566() {
        let key: Vec<u8> = (0..16).collect();
        let message: Vec<u8> = (0..34).collect();
        for (length, code) in [
            (0, "75f0251d528ac01c4573dfd584d79f29"),
            (3, "5b376580ae2f19afe7219ceef172756f"),
            (16, "d2a246fa349b68a79998a4394ff7a263"),
            (20, "47f51b4564966215b8985c63055ed308"),
            (32, "f54f0ec8d2b9f3d36807734bd5283fd4"),
            (34, "becbb3bccdb518a30677d5481fb6b4d8"),
        ] {
            check("xcbc(aes)", &key, &message[..length], code);
        }
    }
}
