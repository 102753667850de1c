//! Encryption without authentication: block ciphers in CBC mode, AES in counter mode, and none at all.

use aes::{Aes128, Aes192, Aes256};
use blowfish::Blowfish;
use camellia::{Camellia128, Camellia192, Camellia256};
use cast5::Cast5;
use cbc::cipher::typenum::Unsigned;
use cbc::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockSizeUser, InnerIvInit, KeyInit,
    StreamCipherCore,
};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;
use des::{Des, TdesEde3};
use serpent::Serpent;
use sm4::Sm4;
use twofish::Twofish;
use zeroize::Zeroizing;

use super::{Unready, key_length, known, unsupported};
use crate::model::Transform;

/// A cipher with its key.
pub(super) trait Cipher: Send + Sync {
    /// How many bytes of IV each packet carries.
    fn iv_length(&self) -> usize;
    /// What the encrypted part's length must be a multiple of.
    fn block_length(&self) -> usize;
    /// Decrypts in place. `iv` has [`Self::iv_length`] bytes, `text` whole blocks.
    fn decrypt(&self, iv: &[u8], text: &mut [u8]);
}

/// Prepares the cipher that `transform` names.
pub(super) fn prepare(transform: &Transform) -> Result<Box<dyn Cipher>, Unready> {
    let (algorithm, key) = known(transform)?;
    let prepared = match (algorithm.kernel, key.len()) {
        ("ecb(cipher_null)", 0) => Some(none()),
        ("ecb(cipher_null)", _) => None,
        ("cbc(des)", _) => cbc::<Des>(key),
        ("cbc(des3_ede)", _) => cbc::<TdesEde3>(key),
        ("cbc(cast5)", _) => cbc::<Cast5>(key),
        ("cbc(blowfish)", _) => cbc::<Blowfish>(key),
        ("cbc(aes)", 16) => cbc::<Aes128>(key),
        ("cbc(aes)", 24) => cbc::<Aes192>(key),
        ("cbc(aes)", _) => cbc::<Aes256>(key),
        ("rfc3686(ctr(aes))", 20) => ctr::<Aes128>(key),
        ("rfc3686(ctr(aes))", 28) => ctr::<Aes192>(key),
        ("rfc3686(ctr(aes))", _) => ctr::<Aes256>(key),
        ("cbc(camellia)", 16) => cbc::<Camellia128>(key),
        ("cbc(camellia)", 24) => cbc::<Camellia192>(key),
        ("cbc(camellia)", _) => cbc::<Camellia256>(key),
        ("cbc(twofish)", _) => cbc::<Twofish>(key),
        ("cbc(serpent)", _) => cbc::<Serpent>(key),
        ("cbc(sm4)", _) => cbc::<Sm4>(key),
        _ => return Err(unsupported(transform)),
    };
    prepared.ok_or_else(|| key_length(algorithm, key))
}

/// For an SA that only authenticates.
pub(super) fn none() -> Box<dyn Cipher> {
    Box::new(Null)
}

/// Whether a cipher is too slow to be undone for every packet that goes by: those below 50 MB/s in `benches/crypto.rs`.
/// DES was made for hardware; the Twofish that we have keeps no tables.
pub(super) fn is_slow(kernel_name: &str) -> bool {
    matches!(kernel_name, "cbc(des)" | "cbc(des3_ede)" | "cbc(twofish)")
}

/// RFC 2410: the bytes as they are.
struct Null;

impl Cipher for Null {
    fn iv_length(&self) -> usize {
        0
    }

    fn block_length(&self) -> usize {
        1
    }

    fn decrypt(&self, _: &[u8], _: &mut [u8]) {}
}

/// RFC 2451 section 2, RFC 3602: cipher block chaining, the IV a block before the text.
struct Cbc<C>(C);

fn cbc<C: BlockCipherDecrypt + KeyInit + Send + Sync + 'static>(key: &[u8]) -> Option<Box<dyn Cipher>> {
    Some(Box::new(Cbc(C::new_from_slice(key).ok()?)))
}

impl<C: BlockCipherDecrypt + Send + Sync> Cipher for Cbc<C> {
    fn iv_length(&self) -> usize {
        C::BlockSize::USIZE
    }

    fn block_length(&self) -> usize {
        C::BlockSize::USIZE
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) {
        let (blocks, _) = Array::slice_as_chunks_mut(text);
        if let Ok(iv) = iv.try_into() {
            cbc::Decryptor::<&C>::inner_iv_init(&self.0, iv).decrypt_blocks(blocks);
        }
    }
}

/// RFC 3686: the counter block is the nonce at the key's end, the packet's IV, and a count from 1.
struct Ctr<C> {
    cipher: C,
    nonce: Zeroizing<[u8; 4]>,
}

fn ctr<C: Block16>(key: &[u8]) -> Option<Box<dyn Cipher>> {
    let (key, nonce) = key.split_last_chunk()?;
    Some(Box::new(Ctr { cipher: C::new_from_slice(key).ok()?, nonce: Zeroizing::new(*nonce) }))
}

/// A cipher with blocks of 16 bytes that a mode can be built on.
pub(super) trait Block16:
    BlockSizeUser<BlockSize = cbc::cipher::typenum::U16> + BlockCipherEncrypt + KeyInit + Send + Sync + 'static
{
}

impl Block16 for Aes128 {}
impl Block16 for Aes192 {}
impl Block16 for Aes256 {}

impl<C: Block16> Cipher for Ctr<C> {
    fn iv_length(&self) -> usize {
        8
    }

    fn block_length(&self) -> usize {
        1
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) {
        let mut counter = Array::default();
        counter[..4].copy_from_slice(&*self.nonce);
        counter[4..12].copy_from_slice(iv);
        counter[15] = 1;
        CtrCore::<&C, Ctr32BE>::inner_iv_init(&self.cipher, &counter).apply_keystream_partial(text.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;
    use crate::model::{AlgorithmName, Secret};

    fn check(name: &str, key: &str, iv: &str, ciphertext: &str, plaintext: &str) {
        let name = AlgorithmName::from_kernel(name);
        let cipher = prepare(&Transform { name, key: Secret::copy_from(&hex(key)), icv_bits: 0 }).unwrap();
        let mut text = hex(ciphertext);
        assert_eq!(cipher.iv_length(), hex(iv).len());
        assert!(text.len().is_multiple_of(cipher.block_length()));
        cipher.decrypt(&hex(iv), &mut text);
        assert_eq!(text, hex(plaintext));
    }

    #[test]
    fn single_blocks_are_those_of_the_ciphers_own_papers() {
        let (iv, long) = ("0000000000000000", "00000000000000000000000000000000");
        // NIST SP 800-67 appendix B.
        let des3 = "0123456789abcdef23456789abcdef01456789abcdef0123";
        check("cbc(des3_ede)", des3, iv, "a826fd8ce53b855f", "5468652071756663");
        // RFC 2144 appendix B: 16, 12 and 16 rounds.
        check("cbc(cast5)", "0123456712345678234567893456789a", iv, "238b4fe5847e44b2", "0123456789abcdef");
        check("cbc(cast5)", "01234567123456782345", iv, "eb6a711a2c02271b", "0123456789abcdef");
        check("cbc(cast5)", "0123456712", iv, "7ac816d16e9b302e", "0123456789abcdef");
        // Eric Young's vectors, which Blowfish's author publishes.
        check("cbc(blowfish)", "0123456789abcdef", iv, "61f9c3802281b096", "1111111111111111");
        check("cbc(blowfish)", "fedcba9876543210", iv, "0aceab0fc6a0a28d", "0123456789abcdef");
        // RFC 3713 appendix A.
        let key = "0123456789abcdeffedcba9876543210";
        check("cbc(camellia)", key, long, "67673138549669730857065648eabe43", key);
        let longer = "0123456789abcdeffedcba98765432100011223344556677";
        check("cbc(camellia)", longer, long, "b4993401b3e996f84ee5cee7d79b09b9", key);
        let longest = "0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff";
        check("cbc(camellia)", longest, long, "9acc237dff16d76c20ef7c919e3a7509", key);
        // The Twofish paper, appendix B.2.
        check("cbc(twofish)", longer, long, "cfd1d2e5a9be9cdf501f13b892bd2248", long);
        check("cbc(twofish)", longest, long, "37527be0052334b89f0cfccae87cfa20", long);
        // Biham's verified vectors for Serpent, set 1, vector 0.
        let one = "80000000000000000000000000000000";
        check("cbc(serpent)", one, long, "264e5481eff42a4606abda06c0bfda3d", long);
        check("cbc(serpent)", &format!("{one}{long}"), long, "a223aa1288463c0e2be38ebd825616c0", long);
        // GB/T 32907-2016 appendix A.
        check("cbc(sm4)", key, long, "681edf34d206965e86b3e94f536e4246", key);
    }

    #[test]
    fn blocks_are_chained() {
        // FIPS 81 table C1.
        check(
            "cbc(des)",
            "0123456789abcdef",
            "1234567890abcdef",
            "e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6",
            "4e6f77206973207468652074696d6520666f7220616c6c20",
        );
        // RFC 3602 section 4, case 2.
        check(
            "cbc(aes)",
            "c286696d887c9aa0611bbb3e2025a45a",
            "562e17996d093d28ddb3ba695a2e6f58",
            "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        );
    }

    #[test]
    fn counter_mode_is_that_of_rfc_3686() {
        check(
            "rfc3686(ctr(aes))",
            "ae6852f8121067cc4bf7a5765577f39e00000030",
            "0000000000000000",
            "e4095d4fb7a7b3792d6175a3261311b8",
            "53696e676c6520626c6f636b206d7367",
        );
        check(
            "rfc3686(ctr(aes))",
            "7e24067817fae0d743d6ce1f32539163006cb6db",
            "c0543b59da48d90b",
            "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        );
        check(
            "rfc3686(ctr(aes))",
            "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c10400000060",
            "db5672c97aa8f0b2",
            "145ad01dbf824ec7560863dc71e3e0c0",
            "53696e676c6520626c6f636b206d7367",
        );
    }

    #[test]
    fn the_null_cipher_hides_nothing() {
        check("ecb(cipher_null)", "", "", "68656c6c6f", "68656c6c6f");
    }
}
