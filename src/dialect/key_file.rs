//! Files with keys, in whichever language: a setkey script, what `ip xfrm state` prints, or Wireshark's `esp_sa`.

use std::fmt;
use std::net::IpAddr;

use super::deed::{Deed, Statement};
use super::report::{SyntaxError, place_of};
use super::{Interfaces, esp_sa, ip_script, setkey, xfrm_state};
use crate::model::{Algorithms, IpsecProtocol, Sa, Spi};

/// What a file says about one SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRow {
    /// The SA itself. What a setkey script or a batch file adds was added at time 0.
    Sa(Box<Sa>),
    /// A row of Wireshark's table, which may be for many SAs; in the table's order, the first that fits counts.
    Pattern(Box<esp_sa::Row>),
}

impl KeyRow {
    /// Whether a packet's IPsec header belongs to it. The kernel finds an SA without asking for the source; a pattern is
    /// for ESP, and asks.
    pub fn is_for(&self, protocol: IpsecProtocol, spi: Spi, source: IpAddr, destination: IpAddr) -> bool {
        match self {
            Self::Sa(sa) => (sa.protocol, sa.spi, sa.destination) == (protocol, spi, destination),
            Self::Pattern(row) => {
                protocol == IpsecProtocol::Esp
                    && row.spi.matches(spi)
                    && row.source.matches(source)
                    && row.destination.matches(destination)
            }
        }
    }

    /// Its algorithms and keys.
    pub fn algorithms(&self) -> &Algorithms {
        match self {
            Self::Sa(sa) => &sa.algorithms,
            Self::Pattern(row) => &row.algorithms,
        }
    }

    /// The upper half of its sequence numbers, if they have 64 bits.
    pub fn sequence_high(&self) -> Option<u32> {
        match self {
            Self::Sa(sa) => {
                let counter = sa.replay.sent.max(sa.replay.received);
                sa.flags.esn().then(|| u32::try_from(counter >> 32).unwrap_or(u32::MAX))
            }
            Self::Pattern(row) => row.sequence_high,
        }
    }
}

/// Something in a file with keys that cannot be understood. Never repeats a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct KeyFileError {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
    /// What would be right here, if that can be said.
    pub expected: Option<String>,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.problem)?;
        match &self.expected {
            Some(expected) => write!(f, "; expected {expected}"),
            None => Ok(()),
        }
    }
}

/// The most errors that are reported; a file in no language has one in every line.
const MOST_ERRORS: usize = 20;

const LANGUAGES: &str = "a setkey script, what `ip xfrm state` prints, or Wireshark's esp_sa";

/// Reads a file with keys; its first word tells the language.
///
/// # Errors
/// The errors that were found, in the order of the text. A file without any SA is one.
pub fn key_file(text: &str) -> Result<Vec<KeyRow>, Vec<KeyFileError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = rows(text)
        .map_err(|errors| errors.into_iter().take(MOST_ERRORS).map(|error| placed(text, error)).collect::<Vec<_>>())?;
    if rows.is_empty() {
        let problem = "there is no SA in it".to_owned();
        return Err(vec![KeyFileError { line: 1, column: 1, problem, expected: Some(LANGUAGES.to_owned()) }]);
    }
    Ok(rows)
}

fn rows(text: &str) -> Result<Vec<KeyRow>, Vec<SyntaxError>> {
    let content = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with('#'));
    let content = content.unwrap_or_default();
    if content.starts_with('"') {
        let rows = esp_sa::parse(text)?;
        return Ok(rows.into_iter().map(|row| KeyRow::Pattern(Box::new(row))).collect());
    }
    if content.split_whitespace().next().is_some_and(xfrm_state::looks_like) {
        let sas = xfrm_state::parse(text, ANY_INTERFACE)?;
        return Ok(sas.into_iter().map(|sa| KeyRow::Sa(Box::new(sa))).collect());
    }
    if ip_script::looks_like(text) {
        return Ok(added(ip_script::read(text, ANY_INTERFACE, &mut |_, _| Vec::new())?));
    }
    let script = setkey::parse(text).map_err(|mut errors| {
        // A first word that setkey does not know is of no language at all.
        let start = text.find(content);
        for error in errors.iter_mut().filter(|error| Some(error.span.start) == start && error.expected.is_some()) {
            error.expected = Some(LANGUAGES.to_owned());
        }
        errors
    })?;
    Ok(added(script.statements))
}

/// The SAs that a script makes.
fn added(statements: Vec<Statement>) -> Vec<KeyRow> {
    let added = statements.into_iter().filter_map(|statement| match statement.deed {
        Deed::AddSa(spec) | Deed::UpdateSa(spec) => Some(KeyRow::Sa(Box::new(Sa::from_spec(&spec, 0)))),
        _ => None,
    });
    added.collect()
}

/// A file may be of another host, whose interfaces are not known here: an SA of one is taken for one of all.
const ANY_INTERFACE: Interfaces<'_> = &|_| Some(0);

fn placed(text: &str, error: SyntaxError) -> KeyFileError {
    let (line, column) = place_of(text, error.span.start);
    KeyFileError { line, column, problem: error.problem, expected: error.expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ESP_SA: &str = include_str!("../../tests/data/vectors/esp_sa");
    const STATE: &str = include_str!("../../tests/data/ip-xfrm-state/statistics.txt");
    const SETKEY: &str = include_str!("../../tests/data/article-gouda.conf");

    fn labels(text: &str) -> Vec<String> {
        let label = |row: &KeyRow| {
            let algorithms = row.algorithms();
            format!("{} {}", algorithms.encryption_label(), algorithms.authentication_label())
        };
        key_file(text).unwrap_or_else(|errors| panic!("{errors:?}")).iter().map(label).collect()
    }

    #[test]
    fn the_first_word_tells_the_language() {
        assert_eq!(labels(ESP_SA)[0], "3des-cbc hmac-sha1-96");
        assert_eq!(labels(STATE)[5], "aes-gcm-128 aead-128");
        assert_eq!(
            labels(SETKEY),
            ["- hmac-md5-96", "- hmac-md5-96", "3des-cbc hmac-sha1-96", "3des-cbc hmac-sha1-96"]
        );
        // Keys that come to a reserved SPI are keys too.
        assert_eq!(labels(&SETKEY.replace("\nadd ", "\nupdate ")), labels(SETKEY));
        assert_eq!(labels(&format!("\u{feff}# exported\r\n\r\n{ESP_SA}")), labels(ESP_SA));
    }

    #[test]
    fn a_row_knows_its_packets() {
        let (a, b): (IpAddr, IpAddr) = ([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        let check = |text: &str, protocol, spi, source, destination, expected| {
            let row = &key_file(text).unwrap()[0];
            assert_eq!(row.is_for(protocol, Spi(spi), source, destination), expected, "{text} {spi} {destination}");
        };
        let pattern = "\"Any\",\"10.9.0.0/24\",\"10.9.0.2\",\"0x000010**\",\"NULL\",\"\",\"NULL\",\"\"";
        check(pattern, IpsecProtocol::Esp, 0x1001, a, b, true);
        check(pattern, IpsecProtocol::Ah, 0x1001, a, b, false);
        check(pattern, IpsecProtocol::Esp, 0x1101, a, b, false);
        check(pattern, IpsecProtocol::Esp, 0x1001, b, a, false);
        check(pattern, IpsecProtocol::Esp, 0x1001, [10, 8, 0, 1].into(), b, false);
        let sa = "add 10.9.0.1 10.9.0.2 ah 0x1001 -A hmac-md5 \"1234567890123456\";";
        check(sa, IpsecProtocol::Ah, 0x1001, a, b, true);
        check(sa, IpsecProtocol::Ah, 0x1001, [1, 1, 1, 1].into(), b, true);
        check(sa, IpsecProtocol::Ah, 0x1001, b, a, false);
        check(sa, IpsecProtocol::Esp, 0x1001, a, b, false);
    }

    #[test]
    fn extended_sequence_numbers_are_told_in_each_language() {
        let high = |text: &str| key_file(text).unwrap()[0].sequence_high();
        let row = "\"IPv4\",\"*\",\"*\",\"*\",\"NULL\",\"\",\"NULL\",\"\"";
        assert_eq!((high(row), high(&format!("{row},\"64-bit\",\"7\""))), (None, Some(7)));
        let sa = "src ::1 dst ::2 proto esp spi 9";
        assert_eq!((high(sa), high(&format!("{sa} flag esn"))), (None, Some(0)));
    }

    #[test]
    fn errors_name_the_place_and_what_would_be_right() {
        let check = |text: &str, expected: &str| {
            assert_eq!(key_file(text).unwrap_err()[0].to_string(), expected, "{text}");
        };
        check("", &format!("line 1, column 1: there is no SA in it; expected {LANGUAGES}"));
        check("flush;", &format!("line 1, column 1: there is no SA in it; expected {LANGUAGES}"));
        check("#!\nkeys", &format!("line 2, column 1: \"keys\" is not understood here; expected {LANGUAGES}"));
        check(
            "\n \"IPX\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"",
            "line 2, column 2: this is no protocol; expected IPv4, IPv6 or Any",
        );
        check(
            "src ::1 dst ::2 proto esp spi 9 aead x hunter2 128",
            "line 1, column 40: the key is missing; expected a key: 0x and hex digits, or \"text\"",
        );
        check(
            "add x ::1 esp 9;",
            "line 1, column 5: \"x\": host names are not looked up here; expected an IPv4 or IPv6 address",
        );
        assert_eq!(key_file(&"\"\n".repeat(100)).unwrap_err().len(), MOST_ERRORS);
    }

    #[test]
    fn a_key_cut_in_two_is_not_repeated() {
        for text in [
            "add ::1 ::2 esp 9 -E 3des-cbc 0x313233343536373839303132333435363738393031323334 35363738393031;",
            "src ::1 dst ::2 proto esp spi 9 enc cbc(aes) 0x3132 35363738393031",
        ] {
            let error = key_file(text).unwrap_err()[0].to_string();
            assert!(!error.contains("353637"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in ".{0,200}") {
            let _ = key_file(&text);
        }

        #[test]
        fn files_with_some_bytes_changed_are_taken(
            which in prop::sample::select(vec![ESP_SA, STATE, SETKEY]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\\n]"), 1..8),
        ) {
            let mut text: Vec<String> = which.chars().map(String::from).collect();
            for (place, change) in changes {
                let place = place.index(text.len());
                text[place] = change;
            }
            let _ = key_file(&text.concat());
        }
    }
}
