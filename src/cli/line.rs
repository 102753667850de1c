//! A packet in a line, as `espial packets` prints it.
//!
//! Most of its parts are pushed as they are: a file has millions of lines, and formatting is a fifth of the work.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::net::IpAddr;

use crate::capture::Frame;
use crate::console::clock::{Clock, TimesOfDay};
use crate::evidence::Verdict;
use crate::model::Spi;
use crate::model::text::harmless;
use crate::packet::{Dissection, Endpoint, Summary};

/// As wide as the column of verdicts.
const SPACES: &[u8] = b"          ";

/// Puts packets into lines.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    times: TimesOfDay,
    /// Whether the interface is among what is said.
    names_interfaces: bool,
}

/// A packet's line. What it proves stands in its middle, and is not known yet when a file's packets are read ahead.
pub(super) struct Line {
    words: String,
    verdict_at: usize,
}

impl Lines {
    /// In this machine's time.
    pub(super) fn new(names_interfaces: bool) -> Self {
        Self { times: Clock::local().times_of_day(), names_interfaces }
    }

    /// A packet's line.
    pub(super) fn of(&mut self, frame: &Frame, dissection: &Dissection) -> Line {
        let mut words = String::with_capacity(128);
        // A string takes all.
        let verdict_at = self.push(&mut words, frame, dissection).unwrap_or(words.len());
        Line { words, verdict_at }
    }

    fn push(&mut self, line: &mut String, frame: &Frame, dissection: &Dissection) -> Result<usize, fmt::Error> {
        let summary = Summary::of(dissection);
        line.push_str(self.times.time_of_day_ms(frame.at_ns / 1_000_000));
        match frame.direction {
            Some(way) => write!(line, " {way:<3} ")?,
            None => line.push_str(" -   "),
        }
        if self.names_interfaces {
            write!(line, "{} ", harmless(&frame.interface))?;
        }
        push_endpoint(line, summary.source)?;
        line.push_str(" > ");
        push_endpoint(line, summary.destination)?;
        line.push(' ');
        let verdict_at = line.len();
        line.push_str(&summary.protocol);
        if let Some(header) = dissection.ipsec().next() {
            line.push(' ');
            push_spi(line, header.spi);
            if let Some(sequence) = header.sequence {
                line.push_str(" seq ");
                push_number(line, sequence);
            }
        }
        line.push(' ');
        push_number(line, frame.wire_length);
        line.push_str(" bytes");
        if !summary.info.is_empty() {
            line.push_str(": ");
            line.push_str(&summary.info);
        }
        line.push('\n');
        Ok(verdict_at)
    }
}

impl Line {
    /// Writes it whole.
    pub(super) fn write(&self, verdict: Verdict, out: &mut impl Write) -> io::Result<()> {
        let (before, behind) = self.words.split_at(self.verdict_at);
        let word = verdict.word();
        out.write_all(before.as_bytes())?;
        out.write_all(word.as_bytes())?;
        out.write_all(SPACES.get(word.len()..).filter(|spaces| !spaces.is_empty()).unwrap_or(b" "))?;
        out.write_all(behind.as_bytes())
    }
}

fn push_endpoint(line: &mut String, end: Option<Endpoint>) -> fmt::Result {
    match end {
        Some(Endpoint::Ip(IpAddr::V4(address))) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    line.push('.');
                }
                push_number(line, octet);
            }
            Ok(())
        }
        Some(end) => write!(line, "{end}"),
        None => line.write_char('-'),
    }
}

/// As it displays.
fn push_spi(line: &mut String, spi: Spi) {
    line.push_str("0x");
    push_hex(line, &spi.0.to_be_bytes());
}

/// Two digits for each byte.
pub(super) fn push_hex(line: &mut String, bytes: &[u8]) {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    for byte in bytes {
        line.push(digit(byte >> 4));
        line.push(digit(byte & 0xf));
    }
}

fn push_number(line: &mut String, number: impl itoa::Integer) {
    line.push_str(itoa::Buffer::new().format(number));
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
        let mut lines = Lines { times: Clock::utc().times_of_day(), names_interfaces: true };
        let line = lines.of(&frame, &dissect(LinkType::RawIp, &bytes));
        for (verdict, middle) in [
            (Verdict::EspOk, "ESP ok    "),
            (Verdict::EspAhOk, "ESP+AH ok "),
            (Verdict::Gap(123_456), "GAP 123456 "),
            (Verdict::Gap(12_345_678), "GAP 12345678 "),
        ] {
            let mut out = Vec::new();
            line.write(verdict, &mut out).unwrap();
            let begin = "00:00:00.000 -   eth0 10.9.0.1 > 10.9.0.2 ";
            let expected = format!("{begin}{middle}ESP 0x00001001 seq 7 28 bytes\n");
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
