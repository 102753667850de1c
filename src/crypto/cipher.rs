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

/// Whether a cipher is too slow to be undone for every packet that goes by: DES and its like, made for hardware.
pub(super) fn is_slow(kernel_name: &str) -> bool {
    matches!(kernel_name, "cbc(des)" | "cbc(des3_ede)")
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
