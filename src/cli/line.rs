//! A packet in a line, as `espial packets` prints it.
//!
//! Most of its parts are pushed as they are: a file has millions of lines, and formatting is a fifth of the work.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use crate::capture::Frame;
use crate::console::clock::{Clock, TimesOfDay};
use crate::evidence::Verdict;
use crate::model::text::harmless;
use crate::packet::{Dissection, Endpoint, Summary};

/// The column of verdicts, empty.
const COLUMN: &[u8; 10] = b"          ";
/// Each octet's digits with a period behind them, and how many digits there are.
const OCTETS: [([u8; 4], usize); 256] = octets();
const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Puts packets into lines.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    times: TimesOfDay,
    /// Whether the interface is among what is said.
    names_interfaces: bool,
}

/// Which part of a text is a packet's line. What it proves stands in its middle, in a column that is left empty: it is not
/// known yet when a file's packets are read ahead.
#[derive(Debug)]
pub(super) struct Line {
    start: usize,
    verdict_at: usize,
    end: usize,
}

impl Lines {
    /// In this machine's time.
    pub(super) fn new(names_interfaces: bool) -> Self {
        Self::of_times(Clock::local().times_of_day(), names_interfaces)
    }

    fn of_times(times: TimesOfDay, names_interfaces: bool) -> Self {
        Self { times, names_interfaces }
    }

    /// Adds a packet's line to a text.
    pub(super) fn add(&mut self, text: &mut Vec<u8>, frame: &Frame, dissection: &Dissection) -> Line {
        let start = text.len();
        let summary = Summary::of(dissection);
        text.extend_from_slice(self.times.time_of_day_ms(frame.at_ns / 1_000_000).as_bytes());
        match frame.direction {
            Some(way) => push_formatted(text, format_args!(" {way:<3} ")),
            None => text.extend_from_slice(b" -   "),
        }
        if self.names_interfaces {
            push_formatted(text, format_args!("{} ", harmless(&frame.interface)));
        }
        push_endpoint(text, summary.source);
        text.extend_from_slice(b" > ");
        push_endpoint(text, summary.destination);
        text.push(b' ');
        let verdict_at = text.len();
        text.extend_from_slice(COLUMN);
        text.extend_from_slice(summary.protocol.as_bytes());
        if let Some(header) = dissection.ipsec().next() {
            text.extend_from_slice(b" 0x");
            text.extend_from_slice(&hex_digits(header.spi.0));
            if let Some(sequence) = header.sequence {
                text.extend_from_slice(b" seq ");
                push_number(text, sequence);
            }
        }
        text.push(b' ');
        push_number(text, frame.wire_length);
        text.extend_from_slice(b" bytes");
        if !summary.info.is_empty() {
            text.extend_from_slice(b": ");
            text.extend_from_slice(summary.info.as_bytes());
        }
        text.push(b'\n');
        Line { start, verdict_at, end: text.len() }
    }
}

impl Line {
    /// Writes it whole, with a note at its end. `text` is what it was added to; the verdict is put into its place there,
    /// once.
    pub(super) fn write(self, text: &mut [u8], verdict: Verdict, note: &str, out: &mut impl Write) -> io::Result<()> {
        let word = verdict.word();
        let Self { start, verdict_at, end } = self;
        let end = if note.is_empty() { end } else { end - 1 };
        // At least one space stays behind it.
        let mut from = start;
        let is_short = word.len() < COLUMN.len();
        if let Some(column) = text.get_mut(verdict_at..verdict_at + word.len()).filter(|_| is_short) {
            column.copy_from_slice(word.as_bytes());
        } else {
            out.write_all(text.get(start..verdict_at).unwrap_or_default())?;
            out.write_all(word.as_bytes())?;
            // Of the column its last space.
            from = verdict_at + COLUMN.len() - 1;
        }
        out.write_all(text.get(from..end).unwrap_or_default())?;
        if !note.is_empty() {
            out.write_all(note.as_bytes())?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

const fn octets() -> [([u8; 4], usize); 256] {
    let mut octets = [([0; 4], 0); 256];
    let mut octet = 0_u8;
    loop {
        let digits = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
        octets[octet as usize] = match octet {
            0..10 => ([digits[2], b'.', 0, 0], 1),
            10..100 => ([digits[1], digits[2], b'.', 0], 2),
            _ => ([digits[0], digits[1], digits[2], b'.'], 3),
        };
        if octet == u8::MAX {
            return octets;
        }
        octet += 1;
    }
}

fn push_endpoint(text: &mut Vec<u8>, end: Option<Endpoint>) {
    match end {
        Some(Endpoint::Ip(IpAddr::V4(address))) => push_v4(text, address),
        Some(end) => push_formatted(text, format_args!("{end}")),
        None => text.push(b'-'),
    }
}

fn push_v4(text: &mut Vec<u8>, address: Ipv4Addr) {
    let (mut digits, mut length) = ([0; 16], 0);
    for octet in address.octets() {
        let (octet, count) = OCTETS[usize::from(octet)];
        if let Some(room) = digits.get_mut(length..length + octet.len()) {
            room.copy_from_slice(&octet);
        }
        length += count + 1;
    }
    // Without the last period.
    text.extend_from_slice(digits.get(..length - 1).unwrap_or_default());
}

/// All eight.
fn hex_digits(number: u32) -> [u8; 8] {
    let mut rest = number;
    [(); 8].map(|()| {
        rest = rest.rotate_left(4);
        HEX_DIGITS[(rest & 0xf) as usize]
    })
}

/// Two digits for each byte.
pub(super) fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        text.extend_from_slice(&[byte >> 4, byte & 0xf].map(|digit| HEX_DIGITS[usize::from(digit)]));
    }
}

fn push_number(text: &mut Vec<u8>, number: impl itoa::Integer) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn push_formatted(text: &mut Vec<u8>, words: std::fmt::Arguments<'_>) {
    // It takes all.
    let _ = text.write_fmt(words);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{LinkType, dissect};

    #[test]
    fn a_verdict_has_its_column_and_always_a_space_behind_it() {
        let frame = Frame {
            at_ns: 0,
            interface: "eth0".into(),
            link: LinkType::RawIp,
            direction: None,
            wire_length: 28,
            bytes: Vec::new().into(),
        };
        let bytes = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 50, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2, 0, 0, 0x10, 1, 0, 0, 0, 7];
        let mut lines = Lines::of_times(Clock::utc().times_of_day(), true);
        let mut text = b"the line before\n".to_vec();
        let dissection = dissect(LinkType::RawIp, &bytes);
        for (verdict, middle) in [
            (Verdict::EspOk, "ESP ok    "),
            (Verdict::EspAhOk, "ESP+AH ok "),
            (Verdict::Gap(12345), "GAP 12345 "),
            (Verdict::Gap(123_456), "GAP 123456 "),
            (Verdict::Gap(12_345_678), "GAP 12345678 "),
        ] {
            for note in ["", ", NOT ENCRYPTED"] {
                let mut out = Vec::new();
                lines.add(&mut text, &frame, &dissection).write(&mut text, verdict, note, &mut out).unwrap();
                let begin = "00:00:00.000 -   eth0 10.9.0.1 > 10.9.0.2 ";
                let expected = format!("{begin}{middle}ESP 0x00001001 seq 7 28 bytes{note}\n");
                assert_eq!(String::from_utf8(out).unwrap(), expected);
            }
        }
    }

    #[test]
    fn every_octet_is_written_as_it_displays() {
        for octet in 0..=u8::MAX {
            let address = Ipv4Addr::new(octet, 0, 255, octet);
            let mut text = Vec::new();
            push_v4(&mut text, address);
            assert_eq!(String::from_utf8(text).unwrap(), address.to_string());
        }
    }
}
