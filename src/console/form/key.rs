//! Keys as they are typed: `0x` and hex digits, or text between quotes.

use zeroize::Zeroizing;

use crate::model::Secret;

/// Reads a key. The error never repeats what was typed.
///
/// # Errors
/// A sentence that says what a key looks like.
pub fn parse(text: &str) -> Result<Secret, String> {
    if let Some(rest) = text.strip_prefix('"') {
        let inner = rest.strip_suffix('"').filter(|_| !rest.is_empty()).ok_or("the quote at the end is missing")?;
        return if inner.is_empty() {
            Err("a key of text needs at least one character".to_owned())
        } else {
            Ok(Secret::copy_from(inner.as_bytes()))
        };
    }
    let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return Err("write 0x and hex digits, or text in \"quotes\"; Ctrl-G makes up a random key".to_owned());
    };
    if digits.is_empty() || !digits.is_ascii() {
        return Err("hex digits must follow 0x".to_owned());
    }
    // As in setkey: with an odd number of digits the first byte has only one.
    let digits = digits.as_bytes();
    let (first, pairs) = digits.split_at(digits.len() % 2);
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len().div_ceil(2)));
    for pair in std::iter::once(first).filter(|first| !first.is_empty()).chain(pairs.chunks(2)) {
        let mut byte = 0;
        for digit in pair {
            let value = char::from(*digit).to_digit(16).ok_or("only the digits 0-9 and a-f may follow 0x")?;
            byte = byte << 4 | u8::try_from(value).unwrap_or(0);
        }
        bytes.push(byte);
    }
    Ok(Secret::copy_from(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_text() {
        assert_eq!(parse("0x00ff1A").unwrap(), Secret::copy_from(&[0, 255, 0x1a]));
        assert_eq!(parse("0xfff").unwrap(), Secret::copy_from(&[0x0f, 0xff]));
        assert_eq!(parse("\"1234567890123456\"").unwrap(), Secret::copy_from(b"1234567890123456"));
        assert_eq!(parse("\"a\"b\"").unwrap(), Secret::copy_from(b"a\"b"));
    }

    #[test]
    fn errors_never_repeat_the_key() {
        for text in ["hunter2", "0xhunter2", "\"hunter2", "\"", "\"\"", "0x", "0xé", "0x12 4"] {
            let error = parse(text).unwrap_err();
            assert!(!error.contains("hunter"), "{error}");
        }
    }
}
