//! The transforms of IPsec for packets already seen: from keys and bytes to facts.
//!
//! An SA's keys are prepared once ([`EspTransform`], [`AhTransform`]); each packet is then verified and opened with
//! them. The ICV is always checked before anything is decrypted, in constant time. Sequence numbers of 64 bits are
//! completed by [`sequence::extended`], compressed payloads by [`ipcomp::inflate`].
//!
//! Any bytes may come in; nothing here panics on them. It must not know where packets come from, which SA a packet
//! belongs to, nor what follows from a bad ICV. Prepared keys have no `Debug` and are wiped when they go.

mod aead;
pub mod ah;
mod cipher;
pub mod esp;
pub mod ipcomp;
mod mac;
pub mod sequence;

pub use ah::AhTransform;
pub use esp::{EspTransform, Layout, NotOpened, Opened};

use crate::model::algorithm::KeyLengths;
use crate::model::{Algorithm, Transform};

/// What a packet's integrity check value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icv {
    /// The packet was made with this SA's key and is unchanged since.
    Good,
    /// Another key, another ICV length, or a changed packet.
    Bad,
    /// The SA does not authenticate, so nothing is proven.
    Absent,
    /// There is one, but nobody says how it is made, only how long it is: nothing is proven either.
    Unchecked,
}

/// Why an SA's packets cannot be looked into. None of these is the packets' fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// The kernel has a transform that espial has not.
    #[error("espial cannot undo {0}")]
    Unsupported(String),
    /// The kernel shows zeros in place of the key.
    #[error("the kernel hides the key of {0} (lockdown)")]
    KeyHidden(&'static str),
    /// A key that the algorithm cannot take.
    #[error("a key of {bits} bits is not for {algorithm}, which takes {allowed}")]
    KeyLength {
        /// XFRM's name.
        algorithm: &'static str,
        /// The key that was given, salt included.
        bits: usize,
        /// What it takes.
        allowed: KeyLengths,
    },
    /// An ICV that the algorithm cannot make.
    #[error("{algorithm} makes no ICV of {bits} bits")]
    IcvLength {
        /// XFRM's name.
        algorithm: &'static str,
        /// The length that was given.
        bits: u32,
    },
    /// A larval SA, or one of another protocol.
    #[error("the SA has no algorithm for it")]
    NoAlgorithm,
}

/// Why bytes are no packet of the SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Cut off, or never complete.
    #[error("the packet has {had} bytes where it needs {needed}")]
    TooShort {
        /// The least that it needs.
        needed: usize,
        /// What there is.
        had: usize,
    },
    /// The cipher works in blocks.
    #[error("{bytes} encrypted bytes are no whole number of {block}-byte blocks")]
    PartBlock {
        /// The length of the encrypted part.
        bytes: usize,
        /// The cipher's block length.
        block: usize,
    },
    /// After decryption: a wrong key, where nothing authenticates.
    #[error("a padding of {padding} bytes leaves no payload in {room}")]
    Padding {
        /// What the trailer says.
        padding: usize,
        /// The bytes before the trailer.
        room: usize,
    },
    /// The AH header's length field and the SA's ICV length disagree.
    #[error("an AH of {header} bytes does not hold an ICV of {icv} bytes")]
    AhLength {
        /// What the header says.
        header: usize,
        /// What the SA says.
        icv: usize,
    },
    /// AH covers the packet as it was before it was cut.
    #[error("a fragment: AH covers the whole packet")]
    Fragment,
    /// No IP header, a broken option, or no AH where it should be.
    #[error("the IP header is broken at byte {0}")]
    IpHeader(usize),
}

/// The algorithm and its key, if espial knows the one and may see the other.
fn known(transform: &Transform) -> Result<(&'static Algorithm, &[u8]), Unready> {
    let algorithm = transform.name.known().ok_or_else(|| unsupported(transform))?;
    if transform.key.is_redacted() {
        return Err(Unready::KeyHidden(algorithm.kernel));
    }
    Ok((algorithm, transform.key.expose()))
}

fn unsupported(transform: &Transform) -> Unready {
    Unready::Unsupported(transform.name.kernel().to_owned())
}

fn key_length(algorithm: &'static Algorithm, key: &[u8]) -> Unready {
    Unready::KeyLength { algorithm: algorithm.kernel, bits: key.len() * 8, allowed: algorithm.key_bits }
}

/// The bytes of published vectors: hex digits, with spaces and line ends wherever they read well.
#[cfg(test)]
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::algorithm::ALGORITHMS;
    use crate::model::{AlgorithmKind, AlgorithmName, Algorithms, Secret};

    fn transform(name: &str, key_bits: u16, icv_bits: u16) -> Transform {
        let key = Secret::copy_from(&vec![7; usize::from(key_bits / 8)]);
        Transform { name: AlgorithmName::from_kernel(name), key, icv_bits: icv_bits.into() }
    }

    fn alone(kind: AlgorithmKind, transform: Transform) -> Algorithms {
        let mut algorithms = Algorithms::default();
        match kind {
            AlgorithmKind::Aead => algorithms.aead = Some(transform),
            AlgorithmKind::Authentication => algorithms.authentication = Some(transform),
            _ => algorithms.encryption = Some(transform),
        }
        algorithms
    }

    fn esp(algorithms: &Algorithms) -> Result<(), Unready> {
        EspTransform::new(algorithms, true).map(drop)
    }

    #[test]
    fn every_transform_of_the_table_is_ready_with_every_length_that_it_takes() {
        for algorithm in ALGORITHMS.iter().filter(|algorithm| algorithm.kind != AlgorithmKind::Compression) {
            let keys = match algorithm.key_bits {
                KeyLengths::OneOf(list) => list.to_vec(),
                KeyLengths::Range(least, most) => (least..=most).step_by(8).collect(),
            };
            for key in keys {
                for icv in algorithm.icv_bits.iter().chain(algorithm.icv_bits.is_empty().then_some(&0)) {
                    let algorithms = alone(algorithm.kind, transform(algorithm.kernel, key, *icv));
                    assert_eq!(esp(&algorithms), Ok(()), "{} with {key} and {icv} bits", algorithm.kernel);
                }
            }
        }
    }

    #[test]
    fn what_is_lacking_is_said_by_name_and_never_with_the_key() {
        use AlgorithmKind::{Aead, Authentication, Encryption};
        let check = |kind, name: &str, key, icv, expected: &str| {
            let error = esp(&alone(kind, transform(name, key, icv))).unwrap_err().to_string();
            assert_eq!(error, expected);
        };
        check(Encryption, "cbc(new)", 128, 0, "espial cannot undo cbc(new)");
        check(Aead, "seqiv(new)", 128, 0, "espial cannot undo seqiv(new)");
        check(Authentication, "blake3", 128, 0, "espial cannot undo blake3");
        check(Aead, "cbc(aes)", 128, 0, "espial cannot undo cbc(aes)");
        check(Encryption, "cbc(aes)", 8, 0, "a key of 8 bits is not for cbc(aes), which takes 128, 192 or 256 bits");
        check(Encryption, "cbc(cast5)", 8, 0, "a key of 8 bits is not for cbc(cast5), which takes 40 to 128 bits");
        check(Encryption, "ecb(cipher_null)", 8, 0, "a key of 8 bits is not for ecb(cipher_null), which takes no key");
        check(
            Aead,
            "rfc4106(gcm(aes))",
            8,
            128,
            "a key of 8 bits is not for rfc4106(gcm(aes)), which takes 160, 224 or 288 bits",
        );
        check(Aead, "rfc4106(gcm(aes))", 160, 32, "rfc4106(gcm(aes)) makes no ICV of 32 bits");
        check(Aead, "rfc4543(gcm(aes))", 160, 96, "rfc4543(gcm(aes)) makes no ICV of 96 bits");
        check(Authentication, "hmac(md5)", 0, 96, "a key of 0 bits is not for hmac(md5), which takes 128 bits");
        check(Authentication, "hmac(md5)", 128, 136, "hmac(md5) makes no ICV of 136 bits");
        check(Authentication, "hmac(md5)", 128, 0, "hmac(md5) makes no ICV of 0 bits");
        check(Authentication, "xcbc(aes)", 64, 96, "a key of 64 bits is not for xcbc(aes), which takes 128 bits");
    }

    #[test]
    fn a_key_that_the_kernel_hides_is_no_wrong_key() {
        let hidden = Transform { key: Secret::copy_from(&[0; 20]), ..transform("rfc4106(gcm(aes))", 0, 128) };
        assert_eq!(esp(&alone(AlgorithmKind::Aead, hidden)), Err(Unready::KeyHidden("rfc4106(gcm(aes))")));
        let hidden = Transform { key: Secret::copy_from(&[0; 16]), ..transform("hmac(md5)", 0, 96) };
        let algorithms = alone(AlgorithmKind::Authentication, hidden);
        assert_eq!(AhTransform::new(&algorithms, false).err(), Some(Unready::KeyHidden("hmac(md5)")));
    }

    #[test]
    fn a_larval_sa_has_nothing_to_undo() {
        assert_eq!(esp(&Algorithms::default()), Err(Unready::NoAlgorithm));
        assert_eq!(AhTransform::new(&Algorithms::default(), false).err(), Some(Unready::NoAlgorithm));
    }
}
