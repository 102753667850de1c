//! Text from outside, made harmless: whatever the wire, the kernel or a file says, no control character of it
//! reaches a terminal.

use std::borrow::Cow;

/// `text` with every character that a terminal might act upon written as an escape (`\n`, `\x1b`, `\u{202e}`).
pub fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_harmful) {
        let mut safe = String::with_capacity(text.len() + 8);
        for c in text.chars() {
            if is_harmful(c) {
                match u32::from(c) {
                    code @ 0..=0xff => safe.push_str(&format!("\\x{code:02x}")),
                    code => safe.push_str(&format!("\\u{{{code:x}}}")),
                }
            } else {
                safe.push(c);
            }
        }
        Cow::Owned(safe)
    } else {
        Cow::Borrowed(text)
    }
}

/// C0 and C1 controls, and the invisible characters that reorder or hide their neighbours.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c), 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}

/// [`harmless`] for bytes of unknown encoding: what is no UTF-8 shows as U+FFFD.
pub fn harmless_bytes(bytes: &[u8]) -> String {
    harmless(&String::from_utf8_lossy(bytes)).into_owned()
}

/// Whole seconds in the two largest units that matter: `45s`, `3m 20s`, `2h 10m`, `4d 3h`.
pub fn duration(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m {:02}s", secs / 60, secs % 60),
        3600..86400 => format!("{}h {:02}m", secs / 3600, secs % 3600 / 60),
        _ => format!("{}d {:02}h", secs / 86400, secs % 86400 / 3600),
    }
}

/// How many there are: `1 SA`, `3 SAs`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A number with its three leading digits and a decimal unit: `999`, `1.50k`, `12.3M`.
pub fn quantity(number: u64) -> String {
    const UNITS: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    if number < 1000 {
        return number.to_string();
    }
    // Integers all the way, so that no float rounds 999_999 up to a four-digit 1000k.
    let number = u128::from(number);
    let (mut divisor, mut unit) = (1000, 0);
    while number / divisor >= 1000 {
        divisor *= 1000;
        unit += 1;
    }
    let thousandths = number * 1000 / divisor;
    let whole = thousandths / 1000;
    let digits = match whole {
        0..10 => format!("{whole}.{:02}", thousandths % 1000 / 10),
        10..100 => format!("{whole}.{:01}", thousandths % 1000 / 100),
        _ => whole.to_string(),
    };
    format!("{digits}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_upon_survives() {
        assert_eq!(harmless("plain text, ünïcode"), "plain text, ünïcode");
        assert_eq!(harmless("a\x1b[2Jb\r\n\u{9b}c\u{202e}d"), "a\\x1b[2Jb\\x0d\\x0a\\x9bc\\u{202e}d");
        assert_eq!(harmless_bytes(b"ok\xff\x07"), "ok\u{fffd}\\x07");
    }

    #[test]
    fn durations() {
        for (secs, text) in [(0, "0s"), (59, "59s"), (60, "1m 00s"), (7815, "2h 10m"), (356_400, "4d 03h")] {
            assert_eq!(duration(secs), text);
        }
    }

    #[test]
    fn quantities_have_at_most_four_digits_and_never_round_up() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1.00k"),
            (1500, "1.50k"),
            (12_345_678, "12.3M"),
            (999_999, "999k"),
            (u64::MAX, "18.4E"),
        ];
        for (number, text) in cases {
            assert_eq!(quantity(number), text);
        }
    }
}
