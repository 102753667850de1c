//! ESP, RFC 4303: which bytes of a packet are what, whether its ICV is good, and what it hides.
//!
//! ```text
//! SPI | sequence | IV | payload, padding, pad length, next header | ICV
//!  4       4      0-16 └────────────── ciphertext ──────────────┘  0-64
//! └──────────────────────── authenticated ──────────────────────┘ (+ the sequence's high half)
//! ```

use std::ops::Range;

use zeroize::Zeroizing;

use super::aead::{self, Aead, Seal};
use super::cipher::{self, Cipher};
use super::mac::Authenticator;
use super::{Icv, Malformed, Unready};
use crate::model::Algorithms;

/// SPI and sequence number.
const HEADER: usize = 8;
/// Pad length and next header.
const TRAILER: usize = 2;

/// The algorithms of an ESP SA, their keys prepared.
pub struct EspTransform {
    suite: Suite,
    extended: bool,
    slow: bool,
}

enum Suite {
    Combined { aead: Box<dyn Aead>, icv_length: usize },
    Separate { cipher: Box<dyn Cipher>, authenticator: Authenticator },
}

/// Where the parts of an ESP packet stand, counted from its SPI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The initialization vector; empty where the cipher needs none.
    pub iv: Range<usize>,
    /// What is encrypted: payload, padding, pad length and next header.
    pub ciphertext: Range<usize>,
    /// The integrity check value; empty where the SA does not authenticate.
    pub icv: Range<usize>,
}

/// What a packet hid. The payload is the beginning of the plaintext; padding, pad length and next header follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// [`Icv::Good`], or one that proves nothing: then only the padding tells whether the key was right.
    pub icv: Icv,
    /// How many bytes of the plaintext are payload.
    pub payload_length: usize,
    /// The payload's protocol.
    pub next_header: u8,
    /// How many bytes of padding follow the payload.
    pub pad_length: u8,
    /// Whether the padding is 1, 2, 3, ... as RFC 4303 section 2.4 wants it.
    pub padding_counts_up: bool,
}

/// Why a packet stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// What was not made with this key is not decrypted.
    #[error("the ICV is bad")]
    BadIcv,
    /// It is no ESP packet of this SA.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl EspTransform {
    /// Prepares the keys of an SA, `extended` if its sequence numbers have 64 bits.
    ///
    /// # Errors
    /// When espial lacks an algorithm or a key, or the two do not go together.
    pub fn new(algorithms: &Algorithms, extended: bool) -> Result<Self, Unready> {
        if let Some(transform) = &algorithms.aead {
            let (aead, icv_length) = aead::prepare(transform)?;
            return Ok(Self { suite: Suite::Combined { aead, icv_length }, extended, slow: false });
        }
        let authenticator = algorithms.authentication.as_ref().map(Authenticator::new).transpose()?;
        let encryption = algorithms.encryption.as_ref();
        if authenticator.is_none() && encryption.is_none() {
            return Err(Unready::NoAlgorithm);
        }
        let cipher = encryption.map_or_else(|| Ok(cipher::none()), cipher::prepare)?;
        let suite = Suite::Separate { cipher, authenticator: authenticator.unwrap_or(Authenticator::NONE) };
        Ok(Self { suite, extended, slow: encryption.is_some_and(|transform| cipher::is_slow(transform.name.kernel())) })
    }

    /// Whether its packets should be opened only when somebody looks at them; [`Self::verify`] is fast all the same.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether checking the ICV takes as much work as decryption, because one algorithm does both.
    pub fn is_combined(&self) -> bool {
        matches!(self.suite, Suite::Combined { .. })
    }

    /// Where the parts of a packet of `length` bytes stand, SPI and ICV included.
    ///
    /// # Errors
    /// When a packet of this SA cannot have that length.
    pub fn layout(&self, length: usize) -> Result<Layout, Malformed> {
        let (iv, block, icv) = match &self.suite {
            Suite::Combined { icv_length, .. } => (aead::IV_LENGTH, 1, *icv_length),
            Suite::Separate { cipher, authenticator } => {
                (cipher.iv_length(), cipher.block_length(), authenticator.icv_length())
            }
        };
        let needed = HEADER + iv + TRAILER.max(block) + icv;
        if length < needed {
            return Err(Malformed::TooShort { needed, had: length });
        }
        let ciphertext = HEADER + iv..length - icv;
        if !ciphertext.len().is_multiple_of(block) {
            return Err(Malformed::PartBlock { bytes: ciphertext.len(), block });
        }
        Ok(Layout { iv: HEADER..HEADER + iv, ciphertext, icv: length - icv..length })
    }

    /// Checks the ICV of a packet from its SPI on. With extended sequence numbers, `sequence_high` is the half that is
    /// not sent but authenticated (RFC 4303 section 2.2.1).
    ///
    /// # Errors
    /// When it is no ESP packet of this SA.
    pub fn verify(&self, esp: &[u8], sequence_high: u32) -> Result<Icv, Malformed> {
        let layout = self.layout(esp.len())?;
        Ok(match &self.suite {
            Suite::Combined { aead, .. } => {
                let mut text = Zeroizing::new(vec![0; layout.ciphertext.len()]);
                self.open_combined(aead.as_ref(), esp, &layout, sequence_high, &mut text)
            }
            Suite::Separate { authenticator, .. } => self.verify_separate(authenticator, esp, &layout, sequence_high),
        })
    }

    /// The protocol of what is inside of a packet whose ICV was checked. Of a cipher that chains blocks the last one is
    /// decrypted and no more; where one algorithm does all, [`Self::open`] tells.
    ///
    /// # Errors
    /// When the padding does not fit, or it is no ESP packet of this SA.
    pub fn next_header(&self, esp: &[u8]) -> Result<Option<u8>, Malformed> {
        let layout = self.layout(esp.len())?;
        let Suite::Separate { cipher, .. } = &self.suite else { return Ok(None) };
        let block = cipher.block_length();
        // The block before is the IV of the last one; that of the first one stands there as well.
        let (iv, text) = match cipher.iv_length() {
            length if length == block => (layout.ciphertext.end - 2 * block, layout.ciphertext.end - block),
            _ => (layout.iv.start, layout.ciphertext.start),
        };
        let mut plaintext = Zeroizing::new(esp[text..layout.ciphertext.end].to_vec());
        cipher.decrypt(&esp[iv..iv + cipher.iv_length()], &mut plaintext);
        let [.., padding, next_header] = plaintext[..] else {
            return Err(Malformed::TooShort { needed: TRAILER, had: plaintext.len() });
        };
        let (padding, room) = (usize::from(padding), layout.ciphertext.len() - TRAILER);
        payload_length(padding, room).map(|_| Some(next_header))
    }

    /// Whether it has an ICV at all.
    pub fn authenticates(&self) -> bool {
        match &self.suite {
            Suite::Combined { .. } => true,
            Suite::Separate { authenticator, .. } => authenticator.icv_length() > 0,
        }
    }

    /// Checks the ICV and, unless it is bad, decrypts into `plaintext`, whose former contents go.
    ///
    /// # Errors
    /// When the ICV is bad, or it is no ESP packet of this SA.
    pub fn open(&self, esp: &[u8], sequence_high: u32, plaintext: &mut Vec<u8>) -> Result<Opened, NotOpened> {
        let layout = self.layout(esp.len()).inspect_err(|_| plaintext.clear())?;
        let icv = match &self.suite {
            Suite::Combined { aead, .. } => {
                // Whatever it holds is written over.
                plaintext.resize(layout.ciphertext.len(), 0);
                self.open_combined(aead.as_ref(), esp, &layout, sequence_high, plaintext)
            }
            Suite::Separate { cipher, authenticator } => {
                let icv = self.verify_separate(authenticator, esp, &layout, sequence_high);
                if icv != Icv::Bad {
                    plaintext.clear();
                    plaintext.extend_from_slice(&esp[layout.ciphertext.clone()]);
                    cipher.decrypt(&esp[layout.iv], plaintext);
                }
                icv
            }
        };
        if icv == Icv::Bad {
            plaintext.clear();
            return Err(NotOpened::BadIcv);
        }
        Ok(opened(plaintext, icv)?)
    }

    fn open_combined(&self, aead: &dyn Aead, esp: &[u8], layout: &Layout, high: u32, text: &mut [u8]) -> Icv {
        // RFC 4106 section 5: the high half stands between the SPI and the low half.
        let mut extended = [0; HEADER + 4];
        extended[..4].copy_from_slice(&esp[..4]);
        extended[4..8].copy_from_slice(&high.to_be_bytes());
        extended[8..].copy_from_slice(&esp[4..HEADER]);
        let associated = if self.extended { &extended } else { &esp[..HEADER] };
        let seal = Seal { associated, iv: &esp[layout.iv.clone()], icv: &esp[layout.icv.clone()] };
        if aead.open(seal, &esp[layout.ciphertext.clone()], text) { Icv::Good } else { Icv::Bad }
    }

    fn verify_separate(&self, authenticator: &Authenticator, esp: &[u8], layout: &Layout, high: u32) -> Icv {
        let high = high.to_be_bytes();
        let behind: &[u8] = if self.extended { &high } else { &[] };
        authenticator.verify(&[&esp[..layout.icv.start], behind], &esp[layout.icv.clone()])
    }
}

/// Linux takes none without payload (`esp_remove_trailer`, `net/ipv4/esp4.c`).
fn payload_length(padding: usize, room: usize) -> Result<usize, Malformed> {
    room.checked_sub(padding).filter(|length| *length > 0).ok_or(Malformed::Padding { padding, room })
}

/// Reads the trailer at the plaintext's end.
fn opened(plaintext: &[u8], icv: Icv) -> Result<Opened, Malformed> {
    let [before @ .., pad_length, next_header] = plaintext else {
        return Err(Malformed::TooShort { needed: TRAILER, had: plaintext.len() });
    };
    let (padding, room) = (usize::from(*pad_length), before.len());
    let payload_length = payload_length(padding, room)?;
    let padding_counts_up = before[payload_length..].iter().zip(1_u16..).all(|(byte, place)| u16::from(*byte) == place);
    Ok(Opened { icv, payload_length, next_header: *next_header, pad_length: *pad_length, padding_counts_up })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;
    use crate::model::{AlgorithmName, Secret, Transform};

    fn transform(name: &str, key: &str, icv_bits: u32) -> Transform {
        Transform { name: AlgorithmName::from_kernel(name), key: Secret::copy_from(&hex(key)), icv_bits }
    }

    fn encryption(name: &str, key: &str) -> Algorithms {
        Algorithms { encryption: Some(transform(name, key, 0)), ..Algorithms::default() }
    }

    fn check(algorithms: &Algorithms, esp: &str, expected: Opened, payload: &str) {
        let mut plaintext = b"what was here before".to_vec();
        let esp = hex(esp);
        let transform = EspTransform::new(algorithms, false).unwrap();
        assert_eq!(transform.open(&esp, 0, &mut plaintext), Ok(expected));
        assert_eq!(plaintext[..expected.payload_length], hex(payload));
        assert_eq!(transform.verify(&esp, 0), Ok(expected.icv));
        let told = if transform.is_combined() { None } else { Some(expected.next_header) };
        assert_eq!(transform.next_header(&esp), Ok(told));
    }

    #[test]
    fn packets_of_rfc_3602_are_opened() {
        let ping = "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637";
        // Section 4, case 5: transport mode, a ping.
        check(
            &encryption("cbc(aes)", "90d382b410eeba7ad938c46cec1a82bf"),
            "0000432100000001 e96e8c08ab465763fd098d45dd3ff893
             f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856
             a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a
             a269add047ad2d5913ac19b7cfbad4a6",
            Opened { icv: Icv::Absent, payload_length: 64, next_header: 1, pad_length: 14, padding_counts_up: true },
            &format!("08000ebda70a00008e9c083db95b0700{ping}"),
        );
        // Section 4, case 7: tunnel mode, another ping.
        check(
            &encryption("cbc(aes)", "0123456789abcdef0123456789abcdef"),
            "0000876500000002 f4e765244f6407adf13dc1380f673f37
             773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8
             e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5
             c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
            Opened { icv: Icv::Absent, payload_length: 84, next_header: 4, pad_length: 10, padding_counts_up: true },
            &format!("45000054090400004001f988c0a87b03c0a87bc8 08009f76a90a0100b49c083d02a20400{ping}"),
        );
    }

    #[test]
    fn packets_of_the_gcm_draft_are_opened() {
        // draft-mcgrew-gcm-test-01: a DNS question, tunnelled.
        let aead = Some(transform("rfc4106(gcm(aes))", "feffe9928665731c6d6a8f9467308308cafebabe", 128));
        check(
            &Algorithms { aead, ..Algorithms::default() },
            "0000a5f80000000a facedbaddecaf888 deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de8182\
             7c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd183b70d3aa8bc6ee4c309e9d85a41ad4a",
            Opened { icv: Icv::Good, payload_length: 62, next_header: 1, pad_length: 0, padding_counts_up: true },
            "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d001000001000000000000037369700963796265726369\
             747902646b0000010001",
        );
    }

    #[test]
    fn the_parts_of_a_packet_stand_where_the_algorithms_want_them() {
        let layout = |algorithms: &Algorithms, length| EspTransform::new(algorithms, false).unwrap().layout(length);
        let mut cbc = encryption("cbc(aes)", &"01".repeat(16));
        assert_eq!(layout(&cbc, 40), Ok(Layout { iv: 8..24, ciphertext: 24..40, icv: 40..40 }));
        cbc.authentication = Some(transform("hmac(sha1)", &"01".repeat(20), 96));
        assert_eq!(layout(&cbc, 84), Ok(Layout { iv: 8..24, ciphertext: 24..72, icv: 72..84 }));
        assert_eq!(layout(&cbc, 51), Err(Malformed::TooShort { needed: 52, had: 51 }));
        assert_eq!(layout(&cbc, 53), Err(Malformed::PartBlock { bytes: 17, block: 16 }));
        let null = encryption("ecb(cipher_null)", "");
        assert_eq!(layout(&null, 10), Ok(Layout { iv: 8..8, ciphertext: 8..10, icv: 10..10 }));
        assert_eq!(layout(&null, 9), Err(Malformed::TooShort { needed: 10, had: 9 }));
        let aead = Some(transform("rfc4106(gcm(aes))", &"01".repeat(20), 64));
        let gcm = Algorithms { aead, ..Algorithms::default() };
        assert_eq!(layout(&gcm, 40), Ok(Layout { iv: 8..16, ciphertext: 16..32, icv: 32..40 }));
    }

    #[test]
    fn the_trailer_says_where_the_payload_ends() {
        let null = EspTransform::new(&encryption("ecb(cipher_null)", ""), false).unwrap();
        let open = |esp: &str| null.open(&hex(esp), 0, &mut Vec::new());
        let header = "0000100000000001";
        let opened = |payload_length, pad_length, padding_counts_up| {
            let (icv, next_header) = (Icv::Absent, 0x11);
            Ok(Opened { icv, payload_length, next_header, pad_length, padding_counts_up })
        };
        assert_eq!(open(&format!("{header}0011")), Err(Malformed::Padding { padding: 0, room: 0 }.into()));
        assert_eq!(open(&format!("{header}aabb0011")), opened(2, 0, true));
        assert_eq!(open(&format!("{header}aabb0102030311")), opened(2, 3, true));
        assert_eq!(open(&format!("{header}aabb0000000311")), opened(2, 3, false));
        assert_eq!(open(&format!("{header}aabb0311")), Err(Malformed::Padding { padding: 3, room: 2 }.into()));
        let longest = [hex(header), vec![7], (1..=255).collect(), vec![255, 0x11]].concat();
        assert_eq!(null.open(&longest, 0, &mut Vec::new()), opened(1, 255, true));
    }

    #[test]
    fn what_was_not_made_with_the_key_is_not_decrypted() {
        let mut algorithms = encryption("ecb(cipher_null)", "");
        algorithms.authentication = Some(transform("hmac(md5)", &"01".repeat(16), 96));
        let transform = EspTransform::new(&algorithms, false).unwrap();
        let mut plaintext = vec![1, 2, 3];
        let forged = hex(&format!("0000100000000001aabb0011{}", "00".repeat(12)));
        assert_eq!(transform.open(&forged, 0, &mut plaintext), Err(NotOpened::BadIcv));
        assert!(plaintext.is_empty());
        assert_eq!(transform.verify(&forged, 0), Ok(Icv::Bad));
    }

    #[test]
    fn slow_ciphers_are_told_from_the_others() {
        let slow = |name, key: &str| EspTransform::new(&encryption(name, key), false).unwrap().is_slow();
        assert!(slow("cbc(des3_ede)", "0123456789abcdef23456789abcdef01456789abcdef0123"));
        assert!(slow("cbc(des)", "0123456789abcdef"));
        assert!(slow("cbc(twofish)", "0123456789abcdef23456789abcdef01"));
        assert!(!slow("cbc(serpent)", "0123456789abcdef23456789abcdef01"));
        assert!(!slow("cbc(aes)", "0123456789abcdef23456789abcdef01"));
    }
}
