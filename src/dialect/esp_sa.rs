//! Wireshark's table of ESP keys, the file `esp_sa` in a profile's folder: a row for each SA, every cell in quotes.
//!
//! `"IPv4","10.9.0.1","10.9.0.2","0x00001001","AES-CBC [RFC3602]","0x…","HMAC-SHA-1-96 [RFC2404]","0x…"`; newer
//! Wiresharks add `"64-bit","0"`, the length of sequence numbers and the upper half of the first one. Addresses and SPIs
//! may have wildcards, so a row is a pattern and no SA; the first row that fits a packet is the packet's.

mod pattern;

use std::ops::Range;

use zeroize::Zeroizing;

use super::report::SyntaxError;
use crate::model::{Algorithm, AlgorithmName, Algorithms, IpsecProtocol, SaSpec, Secret, Transform};

pub use pattern::{AddressPattern, SpiPattern};

/// Encryption in Wireshark's words, XFRM's name, and the ICV length in bits of what authenticates as well.
const ENCRYPTION: [(&str, &str, u16); 13] = [
    ("NULL", "ecb(cipher_null)", 0),
    ("TripleDES-CBC [RFC2451]", "cbc(des3_ede)", 0),
    ("AES-CBC [RFC3602]", "cbc(aes)", 0),
    ("AES-CTR [RFC3686]", "rfc3686(ctr(aes))", 0),
    ("DES-CBC [RFC2405]", "cbc(des)", 0),
    ("CAST5-CBC [RFC2144]", "cbc(cast5)", 0),
    ("BLOWFISH-CBC [RFC2451]", "cbc(blowfish)", 0),
    ("TWOFISH-CBC", "cbc(twofish)", 0),
    ("AES-GCM with 16 octet ICV [RFC4106]", "rfc4106(gcm(aes))", 128),
    ("AES-GCM with 12 octet ICV [RFC4106]", "rfc4106(gcm(aes))", 96),
    ("AES-GCM with 8 octet ICV [RFC4106]", "rfc4106(gcm(aes))", 64),
    ("ChaCha20 with Poly1305 [RFC7634]", "rfc7539esp(chacha20,poly1305)", 128),
    // Of older versions: the ICV's length stands in the column for authentication.
    ("AES-GCM [RFC4106]", "rfc4106(gcm(aes))", 0),
];

/// Authentication likewise. The null algorithm with an ICV is one that is there and not checked.
const AUTHENTICATION: [(&str, &str, u16); 13] = [
    ("NULL", NOT_CHECKED, 0),
    ("HMAC-SHA-1-96 [RFC2404]", "hmac(sha1)", 96),
    ("HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]", "hmac(sha256)", 96),
    ("HMAC-SHA-256-128 [RFC4868]", "hmac(sha256)", 128),
    ("HMAC-SHA-384-192 [RFC4868]", "hmac(sha384)", 192),
    ("HMAC-SHA-512-256 [RFC4868]", "hmac(sha512)", 256),
    ("HMAC-MD5-96 [RFC2403]", "hmac(md5)", 96),
    ("MAC-RIPEMD-160-96 [RFC2857]", "hmac(rmd160)", 96),
    ("ANY 64 bit authentication [no checking]", NOT_CHECKED, 64),
    ("ANY 96 bit authentication [no checking]", NOT_CHECKED, 96),
    ("ANY 128 bit authentication [no checking]", NOT_CHECKED, 128),
    ("ANY 192 bit authentication [no checking]", NOT_CHECKED, 192),
    ("ANY 256 bit authentication [no checking]", NOT_CHECKED, 256),
];

const NOT_CHECKED: &str = "digest_null";

/// A row: the ESP packets that it is for, and how to read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where the packets come from.
    pub source: AddressPattern,
    /// Where they go.
    pub destination: AddressPattern,
    /// Their SPI.
    pub spi: SpiPattern,
    /// Algorithms and keys. An ICV of which only the length is known is one of `digest_null`.
    pub algorithms: Algorithms,
    /// With sequence numbers of 64 bits, the upper half of the first one.
    pub sequence_high: Option<u32>,
}

/// Reads a table. Lines that begin with `#` are comments.
pub(super) fn parse(source: &str) -> Result<Vec<Row>, Vec<SyntaxError>> {
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            match cells(line, start).and_then(|cells| parse_row(&cells)) {
                Ok(row) => rows.push(row),
                Err(error) => errors.push(error),
            }
        }
        start += line.len();
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

/// What stands between two quotes, its escapes undone.
struct Cell {
    bytes: Zeroizing<Vec<u8>>,
    span: Range<usize>,
}

impl Cell {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or("\u{fffd}")
    }

    fn wanted(&self, problem: &str, expected: impl Into<String>) -> SyntaxError {
        SyntaxError::wanted(self.span.clone(), problem, expected)
    }
}

/// The cells of the line that starts at byte `start` of the table.
fn cells(line: &str, start: usize) -> Result<Vec<Cell>, SyntaxError> {
    let mut cells = Vec::new();
    let end = line.trim_end().len();
    let mut at = line.len() - line.trim_start().len();
    loop {
        let rest = line.get(at..end).unwrap_or_default();
        let place = start + at..start + end.min(at + 1);
        if !rest.starts_with('"') {
            return Err(SyntaxError::wanted(place, "a cell does not begin with a quote", "a cell in double quotes"));
        }
        let Some((bytes, length)) = unescaped(rest) else {
            let expected = "a double quote at the end of the cell, and in it only the escapes \\\\, \\\" and \\x41";
            return Err(SyntaxError::wanted(place, "the cell does not end", expected));
        };
        cells.push(Cell { bytes, span: start + at..start + at + length });
        at += length;
        match line.get(at..end).and_then(|rest| rest.chars().next()) {
            None => return Ok(cells),
            Some(',') => at += 1,
            Some(_) => {
                let place = start + at..start + at;
                return Err(SyntaxError::wanted(place, "something stands behind a cell", "a comma or the line's end"));
            }
        }
    }
}

/// The bytes of the cell that `rest` begins with, and its length with both quotes.
fn unescaped(rest: &str) -> Option<(Zeroizing<Vec<u8>>, usize)> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(rest.len()));
    let mut at = 1;
    loop {
        match rest.as_bytes().get(at..)? {
            [b'"', ..] => return Some((bytes, at + 1)),
            [b'\\', b'x', high, low, ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                at += 4;
            }
            [b'\\', plain @ (b'"' | b'\\'), ..] => {
                bytes.push(*plain);
                at += 2;
            }
            [b'\\', ..] | [] => return None,
            [byte, ..] => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
}

fn parse_row(cells: &[Cell]) -> Result<Row, SyntaxError> {
    let [family, source, destination, spi, encryption, encryption_key, authentication, authentication_key, more @ ..] =
        cells
    else {
        let span = cells.last().map_or(0..0, |last| last.span.clone());
        let problem = format!("the row ends after {} of 8 or 10 cells", cells.len());
        return Err(SyntaxError { span, problem, expected: Some("the cells that follow here".to_owned()) });
    };
    let parse_address = match family.text() {
        "IPv4" => AddressPattern::parse_v4,
        "IPv6" => AddressPattern::parse_v6,
        "Any" => |text: &str| match text {
            "*" => Some(AddressPattern::Any),
            _ => AddressPattern::parse_v4(text).or_else(|| AddressPattern::parse_v6(text)),
        },
        _ => return Err(family.wanted("this is no protocol", "IPv4, IPv6 or Any")),
    };
    let address = |cell: &Cell| {
        let expected = "an address of the row's protocol, with * or a prefix length if need be: 10.9.*.1, fd00::/16, *";
        parse_address(cell.text()).ok_or_else(|| cell.wanted("this is no address", expected))
    };
    let spi_expected = "an SPI: 0x00001001, 4097, 0x0000100*, *";
    Ok(Row {
        source: address(source)?,
        destination: address(destination)?,
        spi: SpiPattern::parse(spi.text()).ok_or_else(|| spi.wanted("this is no SPI", spi_expected))?,
        algorithms: algorithms(encryption, encryption_key, authentication, authentication_key)?,
        sequence_high: sequence_high(more)?,
    })
}

/// Newer versions of Wireshark have two more cells.
fn sequence_high(cells: &[Cell]) -> Result<Option<u32>, SyntaxError> {
    match cells {
        [] => Ok(None),
        [length, _] if length.text() == "32-bit" => Ok(None),
        [length, high] if length.text() == "64-bit" => {
            let text = high.text();
            let digits = text.strip_prefix("0x").unwrap_or(text);
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = u32::from_str_radix(digits, 16).ok().filter(|_| plain);
            let expected = "the upper half of the sequence numbers in hex";
            number.map(Some).ok_or_else(|| high.wanted("this is no 32-bit number", expected))
        }
        [length, _] => Err(length.wanted("this is no length of sequence numbers", "32-bit or 64-bit")),
        [alone] => Err(alone.wanted("a row with sequence numbers has 10 cells", "8 or 10 cells")),
        [_, _, more, ..] => Err(more.wanted("the row has more than 10 cells", "8 or 10 cells")),
    }
}

fn algorithms(
    encryption: &Cell,
    encryption_key: &Cell,
    authentication: &Cell,
    authentication_key: &Cell,
) -> Result<Algorithms, SyntaxError> {
    let find = |table: &'static [(&str, &str, u16)], cell: &Cell, what| {
        let row = table.iter().find(|(text, ..)| text.eq_ignore_ascii_case(cell.text()));
        let row = row.and_then(|(_, kernel, icv_bits)| Some((Algorithm::by_kernel_name(kernel)?, *icv_bits)));
        row.ok_or_else(|| {
            let names: Vec<&str> = table.iter().map(|(text, ..)| *text).collect();
            cell.wanted(what, names.join(", "))
        })
    };
    let (cipher, cipher_icv) = find(&ENCRYPTION, encryption, "this is no encryption algorithm of the table")?;
    let (code, code_icv) = find(&AUTHENTICATION, authentication, "this is no authentication algorithm of the table")?;
    let mut algorithms = Algorithms::default();
    let transform = |algorithm: &'static Algorithm, key, icv_bits: u16| {
        Some(Transform { name: algorithm.into(), key, icv_bits: icv_bits.into() })
    };
    let cipher_key = key(cipher, encryption_key, |bits| cipher.key_bits.allow(bits))?;
    if !cipher.icv_bits.is_empty() {
        let icv_bits = cipher_icv.max(code_icv);
        let fits = code.kernel == NOT_CHECKED && (cipher_icv == 0) != (code_icv == 0);
        if !fits || !cipher.icv_bits.contains(&icv_bits) {
            let expected = "NULL; behind `AES-GCM [RFC4106]`, ANY 64, 96 or 128 bit authentication";
            return Err(authentication.wanted("the encryption algorithm authenticates, too", expected));
        }
        algorithms.aead = transform(cipher, cipher_key, icv_bits);
        return Ok(algorithms);
    }
    algorithms.encryption = transform(cipher, cipher_key, 0);
    if code_icv > 0 {
        // The kernel and Wireshark take HMAC keys of any length.
        let code_key = key(code, authentication_key, |bits| bits > 0)?;
        algorithms.authentication = transform(code, code_key, code_icv);
    }
    Ok(algorithms)
}

/// `0x` and hex digits, or the key's bytes as they are. What needs no key ignores the cell, as Wireshark does.
fn key(algorithm: &Algorithm, cell: &Cell, allowed: impl Fn(usize) -> bool) -> Result<Secret, SyntaxError> {
    if algorithm.key_bits.longest() == 0 {
        return Ok(Secret::default());
    }
    let expected = || format!("a key of {} for {}: 0x and hex digits, or text", algorithm.key_bits, algorithm.label);
    let secret = match &cell.bytes[..] {
        [b'0', b'x' | b'X'] => Secret::default(),
        [b'0', b'x' | b'X', ..] => {
            Secret::parse(cell.text()).map_err(|error| cell.wanted(&error.to_string(), expected()))?
        }
        text => Secret::copy_from(text),
    };
    if allowed(secret.bits()) {
        return Ok(secret);
    }
    let problem = format!("the key has {} bits", secret.bits());
    Err(cell.wanted(&problem, expected()))
}

/// Why Wireshark's table cannot hold an SA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRow {
    /// The table is for ESP alone.
    #[error("Wireshark's table of keys is for ESP, not for {0}")]
    Protocol(IpsecProtocol),
    /// Wireshark does not know it, or not with this key or ICV length.
    #[error("Wireshark has no word for {0}")]
    Algorithm(String),
    /// Wireshark refuses it, as the kernel does.
    #[error("the SA's authentication algorithm has no key")]
    NoKey,
    /// The kernel shows zeros in its place.
    #[error("the kernel hides the keys (lockdown)")]
    KeyHidden,
}

/// An SA as a row, its keys in clear. An ICV that Wireshark cannot check is one that it leaves unchecked. With the upper
/// half of the first sequence number the row has the ten cells that Wiresharks from 4.2 on understand.
///
/// # Errors
/// When the table has no words for it.
pub fn row(sa: &SaSpec, sequence_high: Option<u32>) -> Result<Zeroizing<String>, NoRow> {
    if sa.protocol != IpsecProtocol::Esp {
        return Err(NoRow::Protocol(sa.protocol));
    }
    let none = Transform { name: AlgorithmName::from_kernel("ecb(cipher_null)"), key: Secret::default(), icv_bits: 0 };
    let cipher = sa.algorithms.aead.as_ref().or(sa.algorithms.encryption.as_ref()).unwrap_or(&none);
    let encryption = encryption_text(cipher)?;
    // What authenticates by itself leaves nothing to the other algorithm.
    let code = sa.algorithms.authentication.as_ref().filter(|code| code.icv_bits > 0 && sa.algorithms.aead.is_none());
    let (authentication, code) = code.map_or(Ok(("NULL", &none)), |code| authentication_text(code, &none))?;
    if cipher.key.is_redacted() || code.key.is_redacted() {
        return Err(NoRow::KeyHidden);
    }
    let family = if sa.destination.is_ipv4() { "IPv4" } else { "IPv6" };
    let key = |transform: &Transform| match transform.key.expose() {
        [] => Zeroizing::default(),
        _ => super::key_text(&transform.key, super::Keys::Show),
    };
    let (cipher_key, code_key) = (key(cipher), key(code));
    let mut text = Zeroizing::new(String::with_capacity(512));
    let cells: [&str; 8] = [
        family,
        &sa.source.to_string(),
        &sa.destination.to_string(),
        &sa.spi.to_string(),
        encryption,
        &cipher_key,
        authentication,
        &code_key,
    ];
    for (place, cell) in cells.iter().enumerate() {
        text.push_str(if place == 0 { "\"" } else { ",\"" });
        text.push_str(cell);
        text.push('"');
    }
    if let Some(high) = sequence_high {
        text.push_str(&format!(",\"64-bit\",\"{high:x}\""));
    }
    Ok(text)
}

/// Of how many SAs a table lacks what would open or check their packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// SAs of AH, for which there is no table.
    ah: usize,
    /// SAs of ESP for which there is no row.
    esp: usize,
    /// SAs whose row does not say how they authenticate.
    unchecked: usize,
}

impl Lacking {
    /// An SA as a line of the table: its row, or a comment that says why there is none.
    pub fn line(&mut self, sa: &SaSpec, sequence_high: Option<u32>) -> Secret {
        let row = row(sa, sequence_high);
        match &row {
            Ok(row) if row.contains("[no checking]") => self.unchecked += 1,
            Err(NoRow::Protocol(IpsecProtocol::Ah)) => self.ah += 1,
            // What only compresses has no keys.
            Ok(_) | Err(NoRow::Protocol(_)) => {}
            Err(_) => self.esp += 1,
        }
        match row {
            Ok(row) => Secret::copy_from(row.as_bytes()),
            Err(why) => Secret::copy_from(format!("# SA {}: {why}", sa.id()).as_bytes()),
        }
    }

    /// It in a sentence, if there is something.
    pub fn words(&self) -> Option<String> {
        let sas = |count: usize| if count == 1 { "1 SA".to_owned() } else { format!("{count} SAs") };
        let mut parts = Vec::new();
        if self.ah > 0 {
            parts.push(format!("the keys of {} of AH, which it is not for", sas(self.ah)));
        }
        if self.esp > 0 {
            parts.push(format!("the keys of {} of ESP, for the reasons in its comments", sas(self.esp)));
        }
        if self.unchecked > 0 {
            let why = "for whose algorithms it has no word: such packets are decrypted unchecked";
            parts.push(format!("the authentication of {}, {why}", sas(self.unchecked)));
        }
        (!parts.is_empty()).then(|| format!("Wireshark's table of keys lacks {}", parts.join("; ")))
    }
}

fn encryption_text(cipher: &Transform) -> Result<&'static str, NoRow> {
    let found = ENCRYPTION
        .iter()
        .find(|(_, kernel, icv_bits)| *kernel == cipher.name.kernel() && u32::from(*icv_bits) == cipher.icv_bits);
    let bits = cipher.key.bits();
    let fits = match cipher.name.kernel() {
        "cbc(cast5)" | "cbc(blowfish)" => bits == 128,
        "cbc(twofish)" => bits == 128 || bits == 256,
        _ => cipher.name.known().is_some_and(|known| known.key_bits.allow(bits)),
    };
    match found {
        Some((text, ..)) if fits => Ok(text),
        _ => Err(no_word(cipher)),
    }
}

/// The words, and the transform whose key stands beside them.
fn authentication_text<'a>(code: &'a Transform, none: &'a Transform) -> Result<(&'static str, &'a Transform), NoRow> {
    let with_name = |name: &str| {
        AUTHENTICATION.iter().find(|(_, kernel, bits)| *kernel == name && u32::from(*bits) == code.icv_bits)
    };
    if let Some((text, ..)) = with_name(code.name.kernel()) {
        let has_key = !code.key.is_empty() || code.name.kernel() == NOT_CHECKED;
        return if has_key { Ok((text, code)) } else { Err(NoRow::NoKey) };
    }
    with_name(NOT_CHECKED).map(|(text, ..)| (*text, none)).ok_or_else(|| no_word(code))
}

fn no_word(transform: &Transform) -> NoRow {
    let bits = match transform.icv_bits {
        0 => format!("a key of {} bits", transform.key.bits()),
        icv_bits => format!("an ICV of {icv_bits} bits"),
    };
    NoRow::Algorithm(format!("{} with {bits}", transform.name.kernel()))
}

#[cfg(test)]
mod tests;
