//! The transforms that Linux has for IPsec: one table of names, key lengths and ICV lengths, read by forms, dialects,
//! listings and checks alike.
//!
//! Sources: `net/xfrm/xfrm_algo.c` for names and default ICV lengths, the RFCs named at each row for key lengths.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// What a transform does for an SA; each has a netlink attribute of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlgorithmKind {
    /// Hides the payload (`XFRMA_ALG_CRYPT`).
    Encryption,
    /// Proves origin and integrity (`XFRMA_ALG_AUTH_TRUNC`).
    Authentication,
    /// Both in one (`XFRMA_ALG_AEAD`).
    Aead,
    /// Shrinks the payload (`XFRMA_ALG_COMP`).
    Compression,
}

/// The key lengths, in bits, that an algorithm takes; salts and nonces count as key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLengths {
    /// One of these; the last is the longest.
    OneOf(&'static [u16]),
    /// Any whole number of bytes in this range.
    Range(u16, u16),
}

impl KeyLengths {
    /// Whether a key of this many bits is right.
    pub fn allow(self, bits: usize) -> bool {
        match self {
            Self::OneOf(list) => list.iter().any(|allowed| usize::from(*allowed) == bits),
            Self::Range(least, most) => {
                (usize::from(least)..=usize::from(most)).contains(&bits) && bits.is_multiple_of(8)
            }
        }
    }

    /// Whether there is only one length, so that it need not be said.
    pub fn is_fixed(self) -> bool {
        matches!(self, Self::OneOf([_]))
    }

    /// The longest key, which is the strongest.
    pub fn longest(self) -> u16 {
        match self {
            Self::OneOf(list) => list.last().copied().unwrap_or(0),
            Self::Range(_, most) => most,
        }
    }
}

impl fmt::Display for KeyLengths {
    /// In words: `160, 224 or 288 bits`, `no key`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf([] | [0]) => f.write_str("no key"),
            Self::OneOf([only]) => write!(f, "{only} bits"),
            Self::OneOf([rest @ .., last]) => {
                for (i, bits) in rest.iter().enumerate() {
                    write!(f, "{}{bits}", if i == 0 { "" } else { ", " })?;
                }
                write!(f, " or {last} bits")
            }
            Self::Range(least, most) => write!(f, "{least} to {most} bits"),
        }
    }
}

/// One transform of the table [`ALGORITHMS`].
#[derive(Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// XFRM's name, as dumps show it: `cbc(aes)`.
    pub kernel: &'static str,
    /// The short name on screen: `aes-cbc`.
    pub label: &'static str,
    /// setkey's names, each with the ICV length in bits that it implies (0 where there is none). Names that only the
    /// BSDs' setkey knows are among them.
    pub setkey: &'static [(&'static str, u16)],
    /// What it is for.
    pub kind: AlgorithmKind,
    /// The keys that it takes.
    pub key_bits: KeyLengths,
    /// How many bits at the key's end are a salt or nonce.
    pub salt_bits: u16,
    /// The ICV lengths in bits that it can make, the recommended one first; empty for encryption and compression.
    pub icv_bits: &'static [u16],
    /// Whether it is too weak to be chosen today (RFC 8221).
    pub legacy: bool,
}

const fn encryption(kernel: &'static str, label: &'static str, key_bits: KeyLengths) -> Algorithm {
    let kind = AlgorithmKind::Encryption;
    Algorithm { kernel, label, setkey: &[], kind, key_bits, salt_bits: 0, icv_bits: &[], legacy: false }
}

const fn authentication(
    kernel: &'static str,
    label: &'static str,
    bits: &'static [u16],
    icv_bits: &'static [u16],
) -> Algorithm {
    let kind = AlgorithmKind::Authentication;
    let key_bits = KeyLengths::OneOf(bits);
    Algorithm { kernel, label, setkey: &[], kind, key_bits, salt_bits: 0, icv_bits, legacy: false }
}

const fn aead(kernel: &'static str, label: &'static str, bits: &'static [u16], salt_bits: u16) -> Algorithm {
    let kind = AlgorithmKind::Aead;
    let key_bits = KeyLengths::OneOf(bits);
    Algorithm { kernel, label, setkey: &[], kind, key_bits, salt_bits, icv_bits: &[128, 96, 64], legacy: false }
}

const fn compression(kernel: &'static str) -> Algorithm {
    let kind = AlgorithmKind::Compression;
    let key_bits = NO_KEY;
    Algorithm { kernel, label: kernel, setkey: &[], kind, key_bits, salt_bits: 0, icv_bits: &[], legacy: false }
}

impl Algorithm {
    const fn said_by_setkey(mut self, names: &'static [(&'static str, u16)]) -> Self {
        self.setkey = names;
        self
    }

    const fn with_salt(mut self, bits: u16) -> Self {
        self.salt_bits = bits;
        self
    }

    const fn with_icv(mut self, bits: &'static [u16]) -> Self {
        self.icv_bits = bits;
        self
    }

    const fn legacy(mut self) -> Self {
        self.legacy = true;
        self
    }
}

const NO_KEY: KeyLengths = KeyLengths::OneOf(&[0]);
const AES_KEYS: KeyLengths = KeyLengths::OneOf(&[128, 192, 256]);

/// Every transform that espial knows by name, the recommended ones of each kind first.
pub static ALGORITHMS: &[Algorithm] = &[
    // RFC 4106
    aead("rfc4106(gcm(aes))", "aes-gcm", &[160, 224, 288], 32).said_by_setkey(&[
        ("aes-gcm-16", 128),
        ("aes-gcm-12", 96),
        ("aes-gcm-8", 64),
    ]),
    // RFC 7634
    aead("rfc7539esp(chacha20,poly1305)", "chacha20-poly1305", &[288], 32)
        .with_icv(&[128])
        .said_by_setkey(&[("chacha20-poly1305", 128)]),
    // RFC 4309
    aead("rfc4309(ccm(aes))", "aes-ccm", &[152, 216, 280], 24).said_by_setkey(&[
        ("aes-ccm-16", 128),
        ("aes-ccm-12", 96),
        ("aes-ccm-8", 64),
    ]),
    // RFC 4543: authenticates only
    aead("rfc4543(gcm(aes))", "aes-gmac", &[160, 224, 288], 32).with_icv(&[128]).said_by_setkey(&[("aes-gmac", 128)]),
    // RFC 3602
    encryption("cbc(aes)", "aes-cbc", AES_KEYS).said_by_setkey(&[("aes-cbc", 0), ("rijndael-cbc", 0)]),
    // RFC 3686
    encryption("rfc3686(ctr(aes))", "aes-ctr", KeyLengths::OneOf(&[160, 224, 288]))
        .with_salt(32)
        .said_by_setkey(&[("aes-ctr", 0)]),
    // RFC 4312
    encryption("cbc(camellia)", "camellia-cbc", AES_KEYS).said_by_setkey(&[("camellia-cbc", 0)]),
    encryption("cbc(serpent)", "serpent-cbc", AES_KEYS),
    encryption("cbc(twofish)", "twofish-cbc", AES_KEYS).said_by_setkey(&[("twofish-cbc", 0)]),
    encryption("cbc(sm4)", "sm4-cbc", KeyLengths::OneOf(&[128])),
    // RFC 2451
    encryption("cbc(des3_ede)", "3des-cbc", KeyLengths::OneOf(&[192])).said_by_setkey(&[("3des-cbc", 0)]).legacy(),
    encryption("cbc(cast5)", "cast128-cbc", KeyLengths::Range(40, 128)).said_by_setkey(&[("cast128-cbc", 0)]).legacy(),
    encryption("cbc(blowfish)", "blowfish-cbc", KeyLengths::Range(40, 448))
        .said_by_setkey(&[("blowfish-cbc", 0)])
        .legacy(),
    // RFC 2405
    encryption("cbc(des)", "des-cbc", KeyLengths::OneOf(&[64])).said_by_setkey(&[("des-cbc", 0)]).legacy(),
    // RFC 2410: hides nothing
    encryption("ecb(cipher_null)", "null", NO_KEY).said_by_setkey(&[("null", 0)]).legacy(),
    // RFC 4868; setkey knows no way to say 128 bits
    authentication("hmac(sha256)", "hmac-sha256", &[256], &[128, 96])
        .said_by_setkey(&[("hmac-sha256", 96), ("hmac-sha2-256", 96)]),
    authentication("hmac(sha384)", "hmac-sha384", &[384], &[192])
        .said_by_setkey(&[("hmac-sha384", 192), ("hmac-sha2-384", 192)]),
    authentication("hmac(sha512)", "hmac-sha512", &[512], &[256])
        .said_by_setkey(&[("hmac-sha512", 256), ("hmac-sha2-512", 256)]),
    // RFC 3566
    authentication("xcbc(aes)", "aes-xcbc", &[128], &[96]).said_by_setkey(&[("aes-xcbc-mac", 96)]),
    // RFC 4494
    authentication("cmac(aes)", "aes-cmac", &[128], &[96]),
    authentication("hmac(sm3)", "hmac-sm3", &[256], &[256]),
    // RFC 2404
    authentication("hmac(sha1)", "hmac-sha1", &[160], &[96]).said_by_setkey(&[("hmac-sha1", 96)]).legacy(),
    // RFC 2857
    authentication("hmac(rmd160)", "hmac-ripemd160", &[160], &[96]).said_by_setkey(&[("hmac-ripemd160", 96)]).legacy(),
    // RFC 2403
    authentication("hmac(md5)", "hmac-md5", &[128], &[96]).said_by_setkey(&[("hmac-md5", 96)]).legacy(),
    // proves nothing
    authentication("digest_null", "null", &[0], &[0]).said_by_setkey(&[("null", 0)]).legacy(),
    // RFC 2394
    compression("deflate").said_by_setkey(&[("deflate", 0)]),
    compression("lzs").said_by_setkey(&[("lzs", 0)]),
    compression("lzjh"),
];

static BY_KERNEL_NAME: LazyLock<HashMap<&'static str, &'static Algorithm>> =
    LazyLock::new(|| ALGORITHMS.iter().map(|algorithm| (algorithm.kernel, algorithm)).collect());

impl Algorithm {
    /// The row with this XFRM name.
    pub fn by_kernel_name(name: &str) -> Option<&'static Self> {
        BY_KERNEL_NAME.get(name).copied()
    }

    /// The row that setkey calls by this name among those of `kind`, with the ICV length in bits that it implies.
    /// An AEAD answers to setkey's `-E` as well.
    pub fn by_setkey_name(kind: AlgorithmKind, name: &str) -> Option<(&'static Self, u16)> {
        let of_kind = |algorithm: &&Self| {
            algorithm.kind == kind || (kind == AlgorithmKind::Encryption && algorithm.kind == AlgorithmKind::Aead)
        };
        ALGORITHMS.iter().filter(of_kind).find_map(|algorithm| {
            algorithm.setkey.iter().find(|(said, _)| *said == name).map(|(_, icv_bits)| (algorithm, *icv_bits))
        })
    }

    /// The ICV length in bits that the kernel takes where nobody says one (`net/xfrm/xfrm_algo.c`): for sha256 that is
    /// 96, not the recommended length.
    pub fn default_icv_bits(&self) -> u16 {
        self.icv_bits.last().copied().unwrap_or(0)
    }

    /// All rows of a kind, in the table's order.
    pub fn of_kind(kind: AlgorithmKind) -> impl Iterator<Item = &'static Self> {
        ALGORITHMS.iter().filter(move |algorithm| algorithm.kind == kind)
    }
}

/// The name of a transform as the kernel told it: one of the table, or one that is newer than this program.
#[derive(Clone, PartialEq, Eq)]
pub enum AlgorithmName {
    /// A row of [`ALGORITHMS`].
    Known(&'static Algorithm),
    /// A name that the table lacks, control characters escaped.
    Other(Box<str>),
}

impl AlgorithmName {
    /// From XFRM's name.
    pub fn from_kernel(name: &str) -> Self {
        match Algorithm::by_kernel_name(name) {
            Some(algorithm) => Self::Known(algorithm),
            None => Self::Other(super::text::harmless(name).into()),
        }
    }

    /// XFRM's name.
    pub fn kernel(&self) -> &str {
        match self {
            Self::Known(algorithm) => algorithm.kernel,
            Self::Other(name) => name,
        }
    }

    /// The name on screen: short where it is known.
    pub fn label(&self) -> &str {
        match self {
            Self::Known(algorithm) => algorithm.label,
            Self::Other(name) => name,
        }
    }

    /// The table's row, if it has one.
    pub fn known(&self) -> Option<&'static Algorithm> {
        match self {
            Self::Known(algorithm) => Some(algorithm),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Debug for AlgorithmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel())
    }
}

impl From<&'static Algorithm> for AlgorithmName {
    fn from(algorithm: &'static Algorithm) -> Self {
        Self::Known(algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_two_things() {
        let mut kernel = std::collections::HashSet::new();
        let mut setkey = std::collections::HashSet::new();
        for algorithm in ALGORITHMS {
            assert!(kernel.insert(algorithm.kernel), "{} twice", algorithm.kernel);
            for (name, _) in algorithm.setkey {
                assert!(setkey.insert((algorithm.kind, name)), "{name} twice");
            }
        }
    }

    #[test]
    fn icv_lengths_stand_where_they_belong() {
        for algorithm in ALGORITHMS {
            let authenticates = matches!(algorithm.kind, AlgorithmKind::Aead | AlgorithmKind::Authentication);
            assert_eq!(!algorithm.icv_bits.is_empty(), authenticates, "{}", algorithm.kernel);
            for (name, icv) in algorithm.setkey {
                assert!(algorithm.icv_bits.contains(icv) || *icv == 0, "{name}");
            }
        }
    }

    #[test]
    fn setkey_names_find_their_rows() {
        let (algorithm, icv) = Algorithm::by_setkey_name(AlgorithmKind::Authentication, "hmac-sha256").unwrap();
        assert_eq!((algorithm.kernel, icv), ("hmac(sha256)", 96));
        let (algorithm, icv) = Algorithm::by_setkey_name(AlgorithmKind::Encryption, "aes-gcm-12").unwrap();
        assert_eq!((algorithm.kernel, icv), ("rfc4106(gcm(aes))", 96));
        assert!(Algorithm::by_setkey_name(AlgorithmKind::Authentication, "aes-cbc").is_none());
        assert_eq!(Algorithm::by_setkey_name(AlgorithmKind::Encryption, "null").unwrap().0.kernel, "ecb(cipher_null)");
    }

    #[test]
    fn key_lengths_in_words_and_in_checks() {
        let gcm = Algorithm::by_kernel_name("rfc4106(gcm(aes))").unwrap().key_bits;
        assert_eq!(gcm.to_string(), "160, 224 or 288 bits");
        assert!(gcm.allow(160) && !gcm.allow(128));
        let blowfish = KeyLengths::Range(40, 448);
        assert!(blowfish.allow(48) && !blowfish.allow(44) && !blowfish.allow(456));
        assert!(NO_KEY.to_string() == "no key" && NO_KEY.allow(0) && !NO_KEY.allow(8));
    }

    #[test]
    fn unknown_names_are_kept_and_made_harmless() {
        let name = AlgorithmName::from_kernel("new\x1b(aes)");
        assert_eq!(name.label(), "new\\x1b(aes)");
        assert!(name.known().is_none());
    }
}
