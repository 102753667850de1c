//! Key material that cannot be printed by accident and does not outlive its use.

use std::fmt;

use zeroize::Zeroize;

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
    fn hex_is_shown_only_on_request() {
        assert_eq!(*Secret::copy_from(&[0x00, 0xff, 0x1a]).reveal_hex(), "00ff1a");
    }
}
