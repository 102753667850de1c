//! What `ip xfrm state` prints, read back: with and without `-s`, `-d`, `-o`, with keys or `nokeys`; and the lines of
//! `ip xfrm state add` themselves, as in batch files and in [`super::iproute2`].
//!
//! ip is the only program that prints this, so what it prints in lines of their own that are not known here (a newer
//! attribute, lifetimes) is passed over. Everything else must be understood. An interface's name in a selector is not:
//! the selector is then one of every interface.

pub(super) mod word;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::str::FromStr;

use self::word::{Word, words};
use super::report::SyntaxError;
use crate::model::extras::{Encapsulation, ExtraFlags, SaExtras};
use crate::model::number::parse_u32;
use crate::model::sa::SaErrors;
use crate::model::{
    AlgorithmName, IfId, IpsecProtocol, LifetimeLimits, Mark, Mode, PortMatch, Prefix, Replay, ReqId, Sa, SaDirection,
    SaFlags, SaSpec, Secret, Selector, Spi, Transform, UpperProtocol,
};

/// Whether this word begins an SA at the start of a line.
pub(super) fn begins_sa(word: &str) -> bool {
    matches!(word, "src" | "ip" | "xfrm" | "state")
}

/// Reads every SA.
pub(super) fn parse(source: &str) -> Result<Vec<Sa>, Vec<SyntaxError>> {
    let mut words = words(source);
    let (mut sas, mut errors) = (Vec::new(), Vec::new());
    while let Some(first) = words.pop_front() {
        let mut own = VecDeque::from([first]);
        while words.front().is_some_and(|word| !(word.is_first && begins_sa(word.text))) {
            own.extend(words.pop_front());
        }
        let end = own.back().map_or(0, |last| last.span.end);
        match (Reader { words: own, end }).sa() {
            Ok(sa) => sas.push(sa),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(sas) } else { Err(errors) }
}

pub(super) type Parsed<T> = Result<T, SyntaxError>;

/// The words of one SA, or of one line that is about policies.
pub(super) struct Reader<'a> {
    pub(super) words: VecDeque<Word<'a>>,
    /// The byte behind the last of them.
    pub(super) end: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn peek(&self) -> Option<&Word<'a>> {
        self.words.front()
    }

    /// The next word, if it does not begin a line.
    fn peek_in_line(&self) -> Option<&Word<'a>> {
        self.peek().filter(|word| !word.is_first)
    }

    /// Takes the next word if it is this one.
    pub(super) fn takes(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text == text && !word.quoted);
        if found {
            self.words.pop_front();
        }
        found
    }

    pub(super) fn take(&mut self, expected: &str) -> Parsed<Word<'a>> {
        let end = self.end..self.end;
        self.words.pop_front().ok_or_else(|| SyntaxError::wanted(end, "it ends here", expected))
    }

    fn skip(&mut self, expected: &str) -> Parsed<()> {
        self.take(expected).map(|_| ())
    }

    fn expect(&mut self, text: &str) -> Parsed<()> {
        let word = self.take(text)?;
        if word.text == text { Ok(()) } else { Err(misread(&word, text)) }
    }

    /// Takes a word that `read` understands. A comma behind it and a comment in round brackets are ip's.
    pub(super) fn value<T>(&mut self, expected: &str, read: impl Fn(&str) -> Option<T>) -> Parsed<T> {
        let word = self.take(expected)?;
        let text = word.text.trim_end_matches(',');
        let text = text.split_once('(').map_or(text, |(text, _)| text);
        read(text).ok_or_else(|| misread(&word, expected))
    }

    pub(super) fn number(&mut self, what: &str) -> Parsed<u32> {
        self.value(what, |text| parse_u32(text).ok())
    }

    fn port(&mut self, what: &str) -> Parsed<u16> {
        self.value(what, |text| text.parse().ok())
    }

    pub(super) fn parsed<T: FromStr>(&mut self, what: &str) -> Parsed<T> {
        self.value(what, |text| text.parse().ok())
    }

    /// A number behind its name.
    fn named(&mut self, name: &str) -> Parsed<u32> {
        self.expect(name)?;
        self.number("a number")
    }

    fn skip_line(&mut self) {
        while self.peek_in_line().is_some() {
            self.words.pop_front();
        }
    }

    pub(super) fn sa(mut self) -> Parsed<Sa> {
        for word in ["ip", "xfrm", "state"] {
            self.takes(word);
        }
        let _ = self.takes("add") || self.takes("update");
        self.expect("src")?;
        let source = self.parsed("an address")?;
        self.expect("dst")?;
        let destination: IpAddr = self.parsed("an address; `ip xfrm policy` has no keys")?;
        self.expect("proto")?;
        let protocol = self.value("esp, ah, comp or a protocol's number", protocol)?;
        let spi = if self.takes("spi") { Spi(self.number("an SPI")?) } else { Spi(0) };
        let mut spec = SaSpec::new(source, destination, protocol, spi);
        let (mut replay, mut errors) = (Replay::default(), SaErrors::default());
        let mut in_first_line = true;
        while let Some(word) = self.words.pop_front() {
            in_first_line &= !word.is_first;
            match word.text {
                "replay-seq" => replay.received |= u64::from(self.number("a sequence number")?),
                "replay-oseq" => replay.sent |= u64::from(self.number("a sequence number")?),
                "replay-seq-hi" => replay.received |= u64::from(self.number("half a sequence number")?) << 32,
                "replay-oseq-hi" => replay.sent |= u64::from(self.number("half a sequence number")?) << 32,
                "anti-replay" => self.replay(&mut replay)?,
                "stats:" => errors = self.errors()?,
                text => {
                    let known =
                        self.spec_attribute(text, &mut spec)? || self.extra_attribute(text, &mut spec.extras)?;
                    if !known && word.is_first && !in_first_line {
                        self.skip_line();
                    } else if !known && !text.starts_with('(') {
                        return Err(misread(&word, "an attribute of an SA as `ip xfrm state` prints it"));
                    }
                }
            }
        }
        replay.window = replay.window.max(spec.replay_window);
        let mut sa = Sa { errors, ..Sa::from_spec(&SaSpec { replay_window: replay.window, ..spec }, 0) };
        sa.replay = replay;
        Ok(sa)
    }

    /// What [`SaSpec`] holds; whether `attribute` is among it.
    fn spec_attribute(&mut self, attribute: &str, spec: &mut SaSpec) -> Parsed<bool> {
        let algorithms = &mut spec.algorithms;
        match attribute {
            "reqid" => spec.reqid = ReqId(self.number("a reqid")?),
            "mode" => spec.mode = self.value("transport, tunnel, beet, iptfs, ro or in_trigger", mode)?,
            "replay-window" => spec.replay_window = self.number("a number of packets")?,
            // The ACQUIRE that it answers; with -s it is decimal and says 0x.
            "seq" => self.skip("a number")?,
            "flag" => spec.flags.0 |= self.flags(|word| SaFlags(u8::MAX).names().position(|name| name == word))?,
            "mark" => spec.mark = Some(self.mark()?),
            "if_id" => spec.if_id = Some(IfId(self.number("an interface id")?)),
            "dir" => {
                spec.direction = Some(self.value("in or out", |text| match text {
                    "in" => Some(SaDirection::In),
                    "out" => Some(SaDirection::Out),
                    _ => None,
                })?);
            }
            "encap" => spec.extras.encapsulation = Some(self.encapsulation()?),
            "sel" => spec.selector = Some(self.selector(spec.destination)?),
            "limit" => self.limit(&mut spec.limits)?,
            "enc" => algorithms.encryption = Some(self.transform()?),
            "aead" | "auth-trunc" => {
                let mut transform = self.transform()?;
                transform.icv_bits = self.number("the ICV's length in bits")?;
                let slot = if attribute == "aead" { &mut algorithms.aead } else { &mut algorithms.authentication };
                *slot = Some(transform);
            }
            "auth" => {
                let mut transform = self.transform()?;
                transform.icv_bits = transform.name.known().map_or(0, |algorithm| algorithm.default_icv_bits().into());
                algorithms.authentication = Some(transform);
            }
            "comp" => {
                algorithms.compression = Some(self.algorithm_name()?);
                self.skip_hidden_key();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What few SAs have; whether `attribute` is among it.
    fn extra_attribute(&mut self, attribute: &str, extras: &mut SaExtras) -> Parsed<bool> {
        match attribute {
            "output-mark" => extras.output_mark = Some(self.mark()?),
            "tfcpad" => extras.tfc_padding = Some(self.number("a number of bytes")?),
            "coa" => extras.care_of = Some(self.parsed("an address")?),
            "extra_flag" | "extra-flag" => {
                let flags = self.flags(|word| ExtraFlags::NAMES.iter().position(|name| *name == word))?;
                extras.extra_flags.0 |= u32::from(flags);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The bits of the flags in this line; those that ip has no name for are a hex number. There may be none.
    pub(super) fn flags(&mut self, bit: impl Fn(&str) -> Option<usize>) -> Parsed<u8> {
        let mut flags = 0;
        while let Some(word) = self.peek_in_line() {
            match (bit(word.text), u8::from_str_radix(word.text, 16)) {
                (Some(bit), _) => flags |= 1 << bit,
                (None, Ok(unnamed)) => flags |= unnamed,
                (None, Err(_)) => break,
            }
            self.take("a flag")?;
        }
        Ok(flags)
    }

    /// `7/0xff` as printed, `7 mask 0xff` as given.
    pub(super) fn mark(&mut self) -> Parsed<Mark> {
        // Some versions print the value as a signed number.
        let signed = |text: &str| parse_u32(text).ok().or_else(|| text.parse().ok().map(i32::cast_unsigned));
        let (value, mask) = self.value("a mark, or a mark and its mask", |text| match text.split_once('/') {
            Some((value, mask)) => Some((signed(value)?, Some(parse_u32(mask).ok()?))),
            None => Some((signed(text)?, None)),
        })?;
        let mask = match mask {
            Some(mask) => mask,
            None if self.takes("mask") => self.number("a mask")?,
            None => u32::MAX,
        };
        Ok(Mark { value, mask })
    }

    /// `type espinudp sport 4500 dport 4500 addr 0.0.0.0` as printed, `espinudp 4500 4500 0.0.0.0` as given.
    fn encapsulation(&mut self) -> Parsed<Encapsulation> {
        let printed = self.takes("type");
        let kind = self.value("espinudp, espinudp-nonike, espintcp or a number", |text| match text {
            "espinudp-nonike" => Some(1),
            "espinudp" => Some(2),
            "espintcp" => Some(7),
            number => number.parse().ok(),
        })?;
        let behind = |reader: &mut Self, name| if printed { reader.expect(name) } else { Ok(()) };
        behind(self, "sport")?;
        let source_port = self.port("a port")?;
        behind(self, "dport")?;
        let destination_port = self.port("a port")?;
        behind(self, "addr")?;
        Ok(Encapsulation { kind, source_port, destination_port, original: self.parsed("an address")? })
    }

    pub(super) fn selector(&mut self, destination: IpAddr) -> Parsed<Selector> {
        let mut selector = Selector::everything_like(destination);
        while let Some(word) = self.peek() {
            match word.text {
                "src" => {
                    self.take("src")?;
                    selector.source = self.parsed::<Prefix>("an address and a prefix length")?;
                }
                "dst" => {
                    self.take("dst")?;
                    selector.destination = self.parsed::<Prefix>("an address and a prefix length")?;
                }
                "proto" => {
                    self.take("proto")?;
                    selector.protocol = self.value("a protocol", UpperProtocol::parse)?;
                }
                "sport" | "type" => {
                    self.take("sport")?;
                    selector.source_port = PortMatch::exactly(self.port("a number below 65536")?);
                }
                "dport" | "code" => {
                    self.take("dport")?;
                    selector.destination_port = PortMatch::exactly(self.port("a number below 65536")?);
                }
                "key" => {
                    self.take("key")?;
                    let [a, b, c, d] = self.number("a GRE key")?.to_be_bytes();
                    selector.source_port = PortMatch::exactly(u16::from_be_bytes([a, b]));
                    selector.destination_port = PortMatch::exactly(u16::from_be_bytes([c, d]));
                }
                "dev" | "uid" | "(dport)" => {
                    self.skip("a name")?;
                    self.skip("its value")?;
                }
                _ => break,
            }
        }
        Ok(selector)
    }

    /// `limit byte-soft 1000`, as given.
    pub(super) fn limit(&mut self, limits: &mut LifetimeLimits) -> Parsed<()> {
        let expected = "byte-, packet-, time- or time-use-, and soft or hard";
        let word = self.take(expected)?;
        let (kind, end) = word.text.rsplit_once('-').ok_or_else(|| misread(&word, expected))?;
        let limit = match kind {
            "byte" => &mut limits.bytes,
            "packet" => &mut limits.packets,
            "time" => &mut limits.since_added_secs,
            "time-use" => &mut limits.since_used_secs,
            _ => return Err(misread(&word, expected)),
        };
        let slot = match end {
            "soft" => &mut limit.soft,
            "hard" => &mut limit.hard,
            _ => return Err(misread(&word, expected)),
        };
        *slot = Some(self.parsed("a number")?);
        Ok(())
    }

    /// Behind `anti-replay`.
    fn replay(&mut self, replay: &mut Replay) -> Parsed<()> {
        if !self.takes("esn") {
            self.expect("context:")?;
            replay.received = self.named("seq")?.into();
            replay.sent = self.named("oseq")?.into();
            let bitmap = self.named("bitmap")?;
            replay.bitmap = if bitmap == 0 { [].into() } else { [bitmap].into() };
            return Ok(());
        }
        self.expect("context:")?;
        replay.received = u64::from(self.named("seq-hi")?) << 32;
        replay.received |= u64::from(self.named("seq")?);
        replay.sent = u64::from(self.named("oseq-hi")?) << 32;
        replay.sent |= u64::from(self.named("oseq")?);
        replay.window = self.named("replay_window")?;
        let length = self.named("bitmap-length")?;
        let mut bitmap = Vec::new();
        for _ in 0..length {
            bitmap.push(self.value("eight hex digits", |text| u32::from_str_radix(text, 16).ok())?);
        }
        // ip prints the last word first.
        bitmap.reverse();
        replay.bitmap = bitmap.into();
        Ok(())
    }

    /// Behind `stats:`.
    fn errors(&mut self) -> Parsed<SaErrors> {
        Ok(SaErrors {
            before_window: self.named("replay-window")?,
            replayed: self.named("replay")?,
            integrity_failed: self.named("failed")?,
        })
    }

    /// The kernel's names have no other characters; a quote in one would get out of the line that is made of it again.
    fn algorithm_name(&mut self) -> Parsed<AlgorithmName> {
        let expected = "an algorithm's name";
        let word = self.take(expected)?;
        let plain = word.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"(),-_./+".contains(&byte));
        if plain { Ok(AlgorithmName::from_kernel(word.text)) } else { Err(misread(&word, expected)) }
    }

    /// A name and a key; the ICV's length is left to the caller.
    fn transform(&mut self) -> Parsed<Transform> {
        let at = self.peek().map_or(self.end..self.end, |word| word.span.clone());
        let name = self.algorithm_name()?;
        let longest = name.known().map(|algorithm| usize::from(algorithm.key_bits.longest()) / 8);
        let expected = "a key: 0x and hex digits, or \"text\"";
        if self.skip_hidden_key() {
            // Zeros, as the kernel shows where it hides keys itself.
            let key = Secret::copy_from(&vec![0; longest.unwrap_or(1)]);
            return Ok(Transform { name, key, icv_bits: 0 });
        }
        let is_key = |word: &&Word| word.quoted || word.text.starts_with("0x") || word.text.starts_with("0X");
        let key = match self.peek_in_line().filter(is_key).cloned() {
            Some(word) if word.quoted && !word.text.starts_with("0x") => Secret::copy_from(word.text.as_bytes()),
            Some(word) if word.text.len() == 2 => Secret::default(),
            Some(word) => Secret::parse(word.text)
                .map_err(|error| SyntaxError::wanted(word.span.clone(), &error.to_string(), expected))?,
            None if longest == Some(0) => return Ok(Transform { name, key: Secret::default(), icv_bits: 0 }),
            None => {
                let place = self.peek_in_line().map_or(at.end..at.end, |word| word.span.clone());
                return Err(SyntaxError::wanted(place, "the key is missing", expected));
            }
        };
        self.take(expected)?;
        // `(160 bits)`
        if self.peek_in_line().is_some_and(|word| word.text.starts_with('(')) {
            self.take("(")?;
            self.expect("bits)")?;
        }
        Ok(Transform { name, key, icv_bits: 0 })
    }

    /// `<<Keys hidden>>`, in place of a key.
    fn skip_hidden_key(&mut self) -> bool {
        self.takes("<<Keys") && self.takes("hidden>>")
    }
}

/// The word is not repeated: it may be a key that stands in the wrong place.
pub(super) fn misread(word: &Word, expected: &str) -> SyntaxError {
    SyntaxError::wanted(word.span.clone(), "this word is not understood here", expected)
}

pub(super) fn protocol(text: &str) -> Option<IpsecProtocol> {
    use IpsecProtocol::{Ah, Any, Comp, DestinationOptions, Esp, Routing};
    let named = [Esp, Ah, Comp, Routing, DestinationOptions, Any].into_iter().find(|named| named.to_string() == text);
    named.or_else(|| text.parse().ok().map(IpsecProtocol::from_number))
}

pub(super) fn mode(text: &str) -> Option<Mode> {
    let named = (0..=5).map(Mode::from_number).find(|mode| mode.to_string() == text);
    named.or_else(|| text.parse().ok().map(Mode::from_number))
}

#[cfg(test)]
mod tests;
