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
    /// [`Icv::Good`], or [`Icv::Absent`]: then only the padding tells whether the key was right.
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
                let mut text = Zeroizing::new(esp[layout.ciphertext.clone()].to_vec());
                self.open_combined(aead.as_ref(), esp, &layout, sequence_high, &mut text)
            }
            Suite::Separate { authenticator, .. } => {
                self.verify_separate(authenticator, esp, &layout, sequence_high)
            }
        })
    }

    /// Checks the ICV and, unless it is bad, decrypts into `plaintext`, whose former contents go.
    ///
    /// # Errors
    /// When the ICV is bad, or it is no ESP packet of this SA.
    pub fn open(&self, esp: &[u8], sequence_high: u32, plaintext: &mut Vec<u8>) -> Result<Opened, NotOpened> {
        plaintext.clear();
        let layout = self.layout(esp.len())?;
        let ciphertext = &esp[layout.ciphertext.clone()];
        let icv = match &self.suite {
            Suite::Combined { aead, .. } => {
                plaintext.extend_from_slice(ciphertext);
                self.open_combined(aead.as_ref(), esp, &layout, sequence_high, plaintext)
            }
            Suite::Separate { cipher, authenticator } => {
                let icv = self.verify_separate(authenticator, esp, &layout, sequence_high);
                if icv != Icv::Bad {
                    plaintext.extend_from_slice(ciphertext);
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
        let aad = if self.extended { &extended } else { &esp[..HEADER] };
        let seal = Seal { aad, iv: &esp[layout.iv.clone()], icv: &esp[layout.icv.clone()] };
        if aead.open(seal, text) { Icv::Good } else { Icv::Bad }
    }

    fn verify_separate(&self, authenticator: &Authenticator, esp: &[u8], layout: &Layout, high: u32) -> Icv {
        let high = high.to_be_bytes();
        let behind: &[u8] = if self.extended { &high } else { &[] };
        authenticator.verify(&[&esp[..layout.icv.start], behind], &esp[layout.icv.clone()])
    }
}

/// Reads the trailer at the plaintext's end.
fn opened(plaintext: &[u8], icv: Icv) -> Result<Opened, Malformed> {
    let [before @ .., pad_length, next_header] = plaintext else {
        return Err(Malformed::TooShort { needed: TRAILER, had: plaintext.len() });
    };
    let (padding, room) = (usize::from(*pad_length), before.len());
    let payload_length = room.checked_sub(padding).ok_or(Malformed::Padding { padding, room })?;
    let padding_counts_up = before[payload_length..].iter().copied().eq(1..=*pad_length);
    Ok(Opened { icv, payload_length, next_header: *next_header, pad_length: *pad_length, padding_counts_up })
}
