//! Key material that cannot be printed by accident and does not outlive its use.

use std::fmt;

use zeroize::Zeroize;

/// Why a text is no key. None of them repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// It begins neither with 0x nor with a quote.
    #[error("a key is 0x and hex digits, or text in \"quotes\"")]
    NeitherForm,
    /// Text without an end.
    #[error("the quote at the end of the key is missing")]
    QuoteMissing,
    /// Nothing behind the 0x, or between the quotes.
    #[error("the key is empty")]
    Empty,
    /// Something else behind the 0x.
    #[error("only the digits 0-9 and a-f may follow 0x")]
    BadDigit,
}

/// The bytes of a key. They are wiped from memory when the value goes, `Debug` shows only how many there are, and
/// there is no `Display`, no `Serialize` and no `Deref`: whoever wants the bytes must say [`Secret::expose`].
#[derive(Clone, Default)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// A copy of `bytes`, in memory of exactly their size. Wiping `bytes` is the caller's part.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Takes `bytes` and wipes the buffer that they came in.
    pub fn take(mut bytes: Vec<u8>) -> Self {
        let secret = Self::copy_from(&bytes);
        bytes.zeroize();
        secret
    }

    /// `length` bytes of the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system has none to give (on Linux only where `getrandom` is forbidden).
    pub fn random(length: usize) -> Result<Self, getrandom::Error> {
        let mut bytes = vec![0; length].into_boxed_slice();
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads a key as setkey writes it: `0x` and hex digits (with an odd number of them the first byte has only one), or
    /// text between quotes, byte by byte. The error never repeats the text.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        if let Some(rest) = text.strip_prefix('"') {
            return match rest.strip_suffix('"') {
                None => Err(KeyTextError::QuoteMissing),
                Some("") => Err(KeyTextError::Empty),
                Some(inner) => Ok(Self::copy_from(inner.as_bytes())),
            };
        }
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).ok_or(KeyTextError::NeitherForm)?;
        if digits.is_empty() {
            return Err(KeyTextError::Empty);
        }
        let (first, pairs) = digits.as_bytes().split_at(digits.len() % 2);
        let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(digits.len().div_ceil(2)));
        for pair in std::iter::once(first).filter(|first| !first.is_empty()).chain(pairs.chunks(2)) {
            let mut byte = 0;
            for digit in pair {
                let value = char::from(*digit).to_digit(16).ok_or(KeyTextError::BadDigit)?;
                byte = byte << 4 | u8::try_from(value).unwrap_or(0);
            }
            bytes.push(byte);
        }
        Ok(Self::copy_from(&bytes))
    }

    /// The bytes themselves. Never format them into a log, an error or a file that the user did not ask for.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The length in bits, as XFRM and setkey count it.
    pub fn bits(&self) -> usize {
        self.0.len() * 8
    }

    /// Whether there is no key at all, as for the null cipher.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the kernel hid the key: under lockdown it shows zeros in its place
    /// (`LOCKDOWN_XFRM_SECRET`, `net/xfrm/xfrm_user.c`).
    pub fn is_redacted(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|byte| *byte == 0)
    }

    /// The key in hex without prefix, for a user who asked to see it.
    pub fn reveal_hex(&self) -> zeroize::Zeroizing<String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        zeroize::Zeroizing::new(text)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for Secret {
    /// Looks at every byte whatever it finds, so that the time taken tells only the lengths.
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bits)", self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_the_length_and_nothing_else() {
        let secret = Secret::copy_from(b"1234567890123456");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(128 bits) Some(Secret(128 bits))");
    }

    #[test]
    fn equality_is_of_bytes() {
        assert_eq!(Secret::copy_from(b"ab"), Secret::take(b"ab".to_vec()));
        assert_ne!(Secret::copy_from(b"ab"), Secret::copy_from(b"ac"));
        assert_ne!(Secret::copy_from(b"ab"), Secret::copy_from(b"abc"));
    }

    #[test]
    fn zeros_are_a_hidden_key_and_no_bytes_are_none() {
        assert!(Secret::copy_from(&[0; 16]).is_redacted());
        assert!(!Secret::copy_from(&[0, 1]).is_redacted());
        assert!(!Secret::default().is_redacted());
    }

    #[test]
    fn random_keys_differ() {
        let (a, b) = (Secret::random(20).unwrap(), Secret::random(20).unwrap());
        assert_eq!(a.len(), 20);
        assert_ne!(a, b);
    }

    #[test]
    fn keys_are_read_in_hex_and_as_text() {
        assert_eq!(Secret::parse("0x00ff1A"), Ok(Secret::copy_from(&[0, 255, 0x1a])));
        assert_eq!(Secret::parse("0Xfff"), Ok(Secret::copy_from(&[0x0f, 0xff])));
        assert_eq!(Secret::parse("\"1234567890123456\""), Ok(Secret::copy_from(b"1234567890123456")));
        assert_eq!(Secret::parse("\"a\"b\""), Ok(Secret::copy_from(b"a\"b")));
    }

    #[test]
    fn what_is_no_key_is_never_repeated() {
        for text in ["hunter2", "0xhunter2", "\"hunter2", "\"", "\"\"", "0x", "0xé", "0x12 4", ""] {
            let error = Secret::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter"), "{error}");
        }
    }

    #[test]
    fn hex_is_shown_only_on_request() {
        assert_eq!(*Secret::copy_from(&[0x00, 0xff, 0x1a]).reveal_hex(), "00ff1a");
    }
}
