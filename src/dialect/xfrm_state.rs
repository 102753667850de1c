//! What `ip xfrm state` prints, read back: with and without `-s`, `-d`, `-o`, with keys or `nokeys`; and lines of its
//! words, as in files of test vectors.
//!
//! ip is the only program that prints this, so what it prints in lines of their own that are not known here (a newer
//! attribute) is passed over, and so are times: they are of the zone of the host that printed them, which they do not
//! tell. Everything else must be understood.

use std::collections::VecDeque;

use super::Interfaces;
use super::ip_script::reader::{Parsed, Reader, misread};
use super::ip_script::sa_words::{SaWords, direction, label};
use super::ip_script::word::{Word, words};
use super::report::SyntaxError;
use crate::model::extras::Offload;
use crate::model::sa::SaErrors;
use crate::model::{LifetimeUsed, Limit, Replay, Sa, SaDirection, SaSpec};

/// Whether a text's first word begins an SA.
pub fn looks_like(word: &str) -> bool {
    word == "src"
}

/// Reads every SA; interfaces have their numbers from `interfaces`.
///
/// # Errors
/// An error for each SA that has one.
pub fn parse(source: &str, interfaces: Interfaces<'_>) -> Result<Vec<Sa>, Vec<SyntaxError>> {
    let mut words = words(source);
    let (mut sas, mut errors) = (Vec::new(), Vec::new());
    while let Some(first) = words.pop_front() {
        let mut own = VecDeque::from([first]);
        while words.front().is_some_and(|word| !(word.is_first && looks_like(word.text))) {
            own.extend(words.pop_front());
        }
        let end = own.back().map_or(0, |last| last.span.end);
        match sa(Reader { words: own, end, interfaces, printed: true }) {
            Ok(sa) => sas.push(sa),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(sas) } else { Err(errors) }
}

/// What the words of an SA do not hold.
#[derive(Default)]
struct Told {
    replay: Option<Replay>,
    errors: SaErrors,
    used: LifetimeUsed,
}

fn sa(mut reader: Reader<'_>) -> Parsed<Sa> {
    let (mut words, mut told) = (SaWords::new(), Told::default());
    let mut lines = 0;
    while let Some(word) = reader.next() {
        lines += usize::from(word.is_first);
        let known = line(&mut reader, &word, &mut words.spec, &mut told)? || words.take(&mut reader, &word)?;
        if !known && word.is_first && lines > 1 {
            reader.skip_line();
        } else if !known && !word.text.starts_with('(') {
            return Err(misread(&word, "an SA as `ip xfrm state` prints it; `ip xfrm policy` has no keys"));
        }
    }
    let mut spec = words.finish(&reader, false)?;
    let window = |replay: &Replay| replay.window.max(spec.replay_window);
    spec.replay_window = told.replay.as_ref().map_or(spec.replay_window, window);
    let mut sa = Sa { errors: told.errors, used: told.used, ..Sa::from_spec(&spec, 0) };
    if let Some(replay) = told.replay {
        // As the kernel's, one without a window has no bitmap.
        let bitmap = if spec.replay_window == 0 { Box::default() } else { replay.bitmap };
        sa.replay = Replay { window: spec.replay_window, bitmap, ..replay };
    }
    Ok(sa)
}

/// What `ip` prints in a line of its own and in other words than it reads; whether `word` begins such a line.
fn line(reader: &mut Reader<'_>, word: &Word<'_>, spec: &mut SaSpec, told: &mut Told) -> Parsed<bool> {
    match word.text {
        "anti-replay" => told.replay = Some(replay(reader)?),
        "stats:" => told.errors = errors(reader)?,
        "security" if reader.takes("context") => spec.extras.security = Some(label(reader)?),
        "crypto" if reader.takes("offload") => spec.extras.offload = Some(offload(reader)?),
        "limit:" => limit(reader, spec)?,
        "expire" => expire(reader, spec)?,
        // A heading, and `add 2026-11-23 16:21:42 use -`
        "lifetime" | "add" | "lastused" if word.is_first => reader.skip_line(),
        text if word.is_first && text.ends_with("(bytes),") => {
            told.used.bytes = counted(word)?.0.unwrap_or(0);
            told.used.packets = counted(&reader.take("packets")?)?.0.unwrap_or(0);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// `136(bytes),` or `(INF)(packets)`: the number, and what is counted.
fn counted<'a>(word: &Word<'a>) -> Parsed<(Option<u64>, &'a str)> {
    let wrong = || misread(word, "a number and what is counted");
    let text = word.text.trim_end_matches(',');
    let (number, unit) = text.strip_suffix(')').and_then(|text| text.rsplit_once('(')).ok_or_else(wrong)?;
    match number {
        "(INF)" => Ok((None, unit)),
        number => Ok((Some(number.parse().map_err(|_| wrong())?), unit)),
    }
}

/// `soft 100(bytes), hard (INF)(bytes)`
fn limit(reader: &mut Reader<'_>, spec: &mut SaSpec) -> Parsed<()> {
    let (limit, unit) = soft_and_hard(reader)?;
    *(if unit == "packets" { &mut spec.limits.packets } else { &mut spec.limits.bytes }) = limit;
    Ok(())
}

/// `add: soft 0(sec), hard 3600(sec)`, where 0 is no limit.
fn expire(reader: &mut Reader<'_>, spec: &mut SaSpec) -> Parsed<()> {
    let since_use = reader.take("add: or use:")?.text == "use:";
    let (limit, _) = soft_and_hard(reader)?;
    let timed = |value: Option<u64>| value.filter(|value| *value != 0 && *value != u64::MAX);
    let limit = Limit { soft: timed(limit.soft), hard: timed(limit.hard) };
    *(if since_use { &mut spec.limits.since_used_secs } else { &mut spec.limits.since_added_secs }) = limit;
    Ok(())
}

fn soft_and_hard<'a>(reader: &mut Reader<'a>) -> Parsed<(Limit, &'a str)> {
    reader.expect("soft")?;
    let (soft, _) = counted(&reader.take("a limit")?)?;
    reader.expect("hard")?;
    let (hard, unit) = counted(&reader.take("a limit")?)?;
    Ok((Limit { soft, hard }, unit))
}

/// `parameters: dev eth0 dir in mode crypto`; older versions do not say the mode.
fn offload(reader: &mut Reader<'_>) -> Parsed<Offload> {
    reader.expect("parameters:")?;
    reader.expect("dev")?;
    let interface = reader.interface()?;
    reader.expect("dir")?;
    let mut flags = if direction(reader)? == SaDirection::In { Offload::INBOUND } else { 0 };
    if reader.takes("mode") && reader.take("crypto or packet")?.text == "packet" {
        flags |= Offload::PACKET;
    }
    Ok(Offload { interface, flags })
}

/// A number behind its name.
fn named(reader: &mut Reader<'_>, name: &str) -> Parsed<u32> {
    reader.expect(name)?;
    reader.number("a number")
}

/// Behind `stats:`.
fn errors(reader: &mut Reader<'_>) -> Parsed<SaErrors> {
    Ok(SaErrors {
        before_window: named(reader, "replay-window")?,
        replayed: named(reader, "replay")?,
        integrity_failed: named(reader, "failed")?,
    })
}

/// Behind `anti-replay`.
fn replay(reader: &mut Reader<'_>) -> Parsed<Replay> {
    let mut replay = Replay::default();
    let is_long = reader.takes("esn");
    reader.expect("context:")?;
    if !is_long {
        replay.received = named(reader, "seq")?.into();
        replay.sent = named(reader, "oseq")?.into();
        replay.bitmap = [named(reader, "bitmap")?].into();
        return Ok(replay);
    }
    replay.received = u64::from(named(reader, "seq-hi")?) << 32;
    replay.received |= u64::from(named(reader, "seq")?);
    replay.sent = u64::from(named(reader, "oseq-hi")?) << 32;
    replay.sent |= u64::from(named(reader, "oseq")?);
    replay.window = named(reader, "replay_window")?;
    let length = named(reader, "bitmap-length")?;
    let mut bitmap = Vec::new();
    for _ in 0..length {
        bitmap.push(reader.value("eight hex digits", |text| u32::from_str_radix(text, 16).ok())?);
    }
    // ip prints the last word first.
    bitmap.reverse();
    (replay.bitmap, replay.is_ring) = (bitmap.into(), true);
    Ok(replay)
}

#[cfg(test)]
mod tests;
