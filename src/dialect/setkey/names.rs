//! What names in a script stand for. A parser asks nobody itself: whoever calls it knows whom to ask.

use std::net::IpAddr;

/// Who knows what names mean.
pub trait Names {
    /// The addresses of a host, in the order in which they are to be used.
    ///
    /// # Errors
    /// Why there are none, in words.
    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String>;

    /// The port of a service.
    fn port(&self, service: &str) -> Option<u16>;

    /// The number of a protocol above IP.
    fn protocol(&self, name: &str) -> Option<u8>;
}

/// Knows no names: for scripts that must mean the same everywhere.
#[derive(Clone, Copy, Debug)]
pub struct NoNames;

impl Names for NoNames {
    fn addresses(&self, _host: &str) -> Result<Vec<IpAddr>, String> {
        Err("host names are not looked up here".to_owned())
    }

    fn port(&self, _service: &str) -> Option<u16> {
        None
    }

    fn protocol(&self, _name: &str) -> Option<u8> {
        None
    }
}

/// Whether a word may be a host's name (RFC 1123 section 2.1): what ends in a number never is one, though resolvers read
/// 10.9.0 as 10.9.0.0.
pub(super) fn may_be_host(word: &str) -> bool {
    let labels = || word.strip_suffix('.').unwrap_or(word).split('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_number = |label: &str| {
        let digits = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X")).unwrap_or(label);
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && (digits.len() < label.len() || is_decimal(digits))
    };
    word.len() <= 253
        && !word.starts_with('-')
        && labels().all(is_label)
        && !labels().next_back().is_some_and(is_number)
}

/// Whether a word is nothing but digits.
pub(super) fn is_decimal(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_hosts() {
        for word in ["gouda", "gouda.example.org", "gouda.example.org.", "3com.com", "a-b_c", "face.feed"] {
            assert!(may_be_host(word), "{word}");
        }
        for word in ["", ".", "10.9.0", "10.9.0.256", "a..b", "-n", "0x1001", "host.0xff", "a b", "fd00::1", "1", "é"]
        {
            assert!(!may_be_host(word), "{word}");
        }
    }
}
