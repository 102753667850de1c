//! The words of one command, or of one SA as `ip` prints it, and what single words of `ip xfrm` mean.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use super::word::Word;
use crate::dialect::Interfaces;
use crate::dialect::report::SyntaxError;
use crate::model::{IpsecProtocol, Mark, Mode, Prefix, UpperProtocol};

pub(in crate::dialect) type Parsed<T> = Result<T, SyntaxError>;

/// The words that are left of one command, or of one SA.
pub(in crate::dialect) struct Reader<'a> {
    pub(in crate::dialect) words: VecDeque<Word<'a>>,
    /// The byte behind the last of them.
    pub(in crate::dialect) end: usize,
    /// Where interfaces have their numbers.
    pub(in crate::dialect) interfaces: Interfaces<'a>,
    /// Whether `ip` printed it: some things it prints otherwise than it reads them.
    pub(in crate::dialect) printed: bool,
}

impl<'a> Reader<'a> {
    pub(in crate::dialect) fn peek(&self) -> Option<&Word<'a>> {
        self.words.front()
    }

    /// The next word, if it does not begin a line.
    pub(in crate::dialect) fn peek_in_line(&self) -> Option<&Word<'a>> {
        self.peek().filter(|word| !word.is_first)
    }

    pub(in crate::dialect) fn next(&mut self) -> Option<Word<'a>> {
        self.words.pop_front()
    }

    /// Takes the next word if it is this one.
    pub(in crate::dialect) fn takes(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text == text && !word.quoted);
        if found {
            self.words.pop_front();
        }
        found
    }

    pub(in crate::dialect) fn take(&mut self, expected: &str) -> Parsed<Word<'a>> {
        let end = self.end..self.end;
        self.words.pop_front().ok_or_else(|| SyntaxError::wanted(end, "it ends here", expected))
    }

    pub(in crate::dialect) fn expect(&mut self, text: &str) -> Parsed<()> {
        let word = self.take(text)?;
        if word.text == text { Ok(()) } else { Err(misread(&word, text)) }
    }

    pub(in crate::dialect) fn nothing_more(&self) -> Parsed<()> {
        self.peek().map_or(Ok(()), |word| Err(misread(word, "the end of the line")))
    }

    pub(in crate::dialect) fn skip_line(&mut self) {
        while self.peek_in_line().is_some() {
            self.words.pop_front();
        }
    }

    /// Takes a word that `read` understands. A comma behind it and a comment in round brackets are ip's.
    pub(in crate::dialect) fn value<T>(&mut self, expected: &str, read: impl Fn(&str) -> Option<T>) -> Parsed<T> {
        let word = self.take(expected)?;
        let text = word.text.trim_end_matches(',');
        let text = text.split_once('(').map_or(text, |(text, _)| text);
        read(text).ok_or_else(|| misread(&word, expected))
    }

    pub(in crate::dialect) fn number(&mut self, what: &str) -> Parsed<u32> {
        self.value(what, |text| u32::try_from(integer(text)?).ok())
    }

    pub(in crate::dialect) fn long(&mut self, what: &str) -> Parsed<u64> {
        self.value(what, integer)
    }

    pub(in crate::dialect) fn port(&mut self, what: &str) -> Parsed<u16> {
        self.value(what, |text| u16::try_from(integer(text)?).ok())
    }

    /// An address with or without a prefix length or mask.
    pub(in crate::dialect) fn end(&mut self, what: &str) -> Parsed<End> {
        self.value(what, end)
    }

    /// An address; `any` is this one.
    pub(in crate::dialect) fn address(&mut self, anywhere: IpAddr) -> Parsed<IpAddr> {
        Ok(self.end("an address")?.prefix().map_or(anywhere, |prefix| prefix.address))
    }

    /// `7/0xff` as printed, `7 mask 0xff` as given.
    pub(in crate::dialect) fn value_and_mask(&mut self) -> Parsed<(u32, Option<u32>)> {
        // Some versions print the value as a signed number.
        let small = |text: &str| u32::try_from(integer(text)?).ok();
        let signed = |text: &str| small(text).or_else(|| text.parse().ok().map(i32::cast_unsigned));
        let (value, mask) = self.value("a mark", |text| match text.split_once('/') {
            Some((value, mask)) => Some((signed(value)?, Some(small(mask)?))),
            None => Some((signed(text)?, None)),
        })?;
        let behind = if mask.is_none() && self.takes("mask") { Some(self.number("a mask")?) } else { None };
        Ok((value, mask.or(behind)))
    }

    /// A mark to compare with; one that looks at no bit is none.
    pub(in crate::dialect) fn mark(&mut self) -> Parsed<Option<Mark>> {
        let (value, mask) = self.value_and_mask()?;
        let mask = mask.unwrap_or(u32::MAX);
        // The kernel can have a mark without a mask, which `ip` prints.
        Ok(Some(Mark { value, mask }).filter(|mark| mark.mask != 0 || self.printed))
    }

    /// The bits of the flags in this line, of which there may be none. Those that ip has no name for are a hex number,
    /// which it reads with 0x and prints without.
    pub(in crate::dialect) fn flags(&mut self, names: &[&str]) -> u32 {
        self.named_flags(names, self.printed)
    }

    fn named_flags(&mut self, names: &[&str], bare_numbers: bool) -> u32 {
        let mut flags = 0;
        self.split_flag(names);
        while let Some(word) = self.peek_in_line() {
            let digits = word.text.strip_prefix("0x").or(bare_numbers.then_some(word.text));
            let unnamed = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            match (names.iter().position(|name| *name == word.text), unnamed) {
                (Some(bit), _) => flags |= 1 << bit,
                (None, Some(unnamed)) => flags |= unnamed,
                (None, None) => break,
            }
            self.next();
            self.split_flag(names);
        }
        flags
    }

    /// ip prints no blank between the last flag of an SA and `extra_flag`.
    fn split_flag(&mut self, names: &[&str]) {
        const NEXT: &str = "extra_flag";
        let Some(word) = self.words.front_mut().filter(|_| self.printed) else { return };
        let flag = word.text.strip_suffix(NEXT).filter(|flag| names.contains(flag));
        let Some((flag, next)) = flag.and_then(|flag| word.text.split_at_checked(flag.len())) else { return };
        let first = Word { text: flag, ..word.clone() };
        (word.text, word.is_first) = (next, false);
        self.words.push_front(first);
    }

    /// Flags that have room in a byte; where ip prints them, it has names for all eight.
    pub(in crate::dialect) fn small_flags(&mut self, names: &[&str]) -> Parsed<u8> {
        let first = self.peek().map_or(self.end..self.end, |word| word.span.clone());
        let flags = self.named_flags(names, false);
        u8::try_from(flags).map_err(|_| SyntaxError::wanted(first, "there are only eight flags", names.join(" ")))
    }

    /// The number of an interface, by its name or as `if7`.
    pub(in crate::dialect) fn interface(&mut self) -> Parsed<u32> {
        let word = self.take("an interface")?;
        let by_number = || integer(word.text.strip_prefix("if")?).and_then(|number| u32::try_from(number).ok());
        let found = (self.interfaces)(word.text).or_else(by_number);
        found.ok_or_else(|| SyntaxError::wanted(word.span, "there is no such interface here", "an interface"))
    }
}

/// The word is not repeated: it may be a key that stands in the wrong place.
pub(in crate::dialect) fn misread(word: &Word, expected: &str) -> SyntaxError {
    SyntaxError::wanted(word.span.clone(), "this word is not understood here", expected)
}

pub(in crate::dialect) fn refused(word: &Word<'_>, why: impl Into<String>) -> SyntaxError {
    SyntaxError { span: word.span.clone(), problem: why.into(), expected: None }
}

/// A number as C reads it: in hex behind 0x, in octal behind 0.
pub(in crate::dialect) fn integer(text: &str) -> Option<u64> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let octal = text.strip_prefix('0').filter(|digits| !digits.is_empty());
    let (digits, radix) = match (hex, octal) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) => (digits, 8),
        (None, None) => (text, 10),
    };
    // `from_str_radix` takes a sign, which has no place here.
    u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))
}

/// What stands behind `src` or `dst`.
#[derive(Clone, Copy)]
pub(in crate::dialect) enum End {
    /// Every address, of whichever family.
    Any,
    Of(Prefix),
}

impl End {
    pub(in crate::dialect) fn prefix(self) -> Option<Prefix> {
        match self {
            Self::Any => None,
            Self::Of(prefix) => Some(prefix),
        }
    }
}

fn end(text: &str) -> Option<End> {
    if matches!(text, "any" | "all" | "default") {
        return Some(End::Any);
    }
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address = if address.contains(':') { address.parse().ok()? } else { IpAddr::V4(short_ipv4(address)?) };
    let most = Prefix::bits(address);
    let length = match length {
        None => most,
        Some(length) => match integer(length) {
            Some(length) => u8::try_from(length).ok().filter(|length| *length <= most)?,
            None => mask_length(length).filter(|_| address.is_ipv4())?,
        },
    };
    Some(End::Of(Prefix { address, length }))
}

/// What is left out at the end of an IPv4 address is 0: `10.1` is 10.1.0.0.
fn short_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut numbers = text.split('.');
    for octet in &mut octets {
        let Some(number) = numbers.next() else { break };
        *octet = u8::try_from(integer(number)?).ok()?;
    }
    numbers.next().is_none().then(|| octets.into())
}

fn mask_length(text: &str) -> Option<u8> {
    let mask: Ipv4Addr = text.parse().ok()?;
    let ones = mask.to_bits().leading_ones();
    (mask.to_bits().count_ones() == ones).then(|| u8::try_from(ones).ok())?
}

/// The first name that begins with a word: `ip` takes its commands and its modes shortened.
pub(in crate::dialect) fn shortened<T: Copy>(word: &str, names: &[(&str, T)]) -> Option<T> {
    names.iter().find(|(name, _)| !word.is_empty() && name.starts_with(word)).map(|(_, meant)| *meant)
}

pub(in crate::dialect) fn protocol(text: &str) -> Option<IpsecProtocol> {
    use IpsecProtocol::{Ah, Any, Comp, DestinationOptions, Esp, Routing};
    let named = [Esp, Ah, Comp, Routing, DestinationOptions, Any].into_iter().find(|named| named.to_string() == text);
    named.or_else(|| text.parse().ok().map(IpsecProtocol::from_number))
}

/// The modes that `ip` has words for; the others it prints as numbers.
pub(in crate::dialect) const MODES: [(&str, Mode); 5] = [
    ("transport", Mode::Transport),
    ("tunnel", Mode::Tunnel),
    ("ro", Mode::RouteOptimization),
    ("in_trigger", Mode::InTrigger),
    ("beet", Mode::Beet),
];

pub(in crate::dialect) fn mode(text: &str) -> Option<Mode> {
    shortened(text, &MODES).or_else(|| text.parse().ok().map(Mode::from_number))
}

/// Protocols that /etc/protocols names, beside those that all of espial knows.
const MORE_PROTOCOLS: &[(&str, u8)] = &[
    ("ip", 0),
    ("igmp", 2),
    ("egp", 8),
    ("igp", 9),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("rsvp", 46),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("eigrp", 88),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("isis", 124),
    ("mobility-header", 135),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
];

pub(in crate::dialect) fn upper_protocol(text: &str) -> Option<UpperProtocol> {
    let name = text.to_ascii_lowercase();
    let more = || MORE_PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| UpperProtocol(*number));
    let number = || integer(text).and_then(|number| u8::try_from(number).ok()).map(UpperProtocol);
    number().or_else(more).or_else(|| UpperProtocol::parse(&name))
}
