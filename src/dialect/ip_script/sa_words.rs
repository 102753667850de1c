//! What `ip xfrm state add` takes of an SA, and what `ip xfrm state` prints in the same words.

use super::ends::{IdWords, SelectorWords, nowhere};
use super::reader::{Parsed, Reader, misread, mode, refused};
use super::word::Word;
use crate::dialect::report::SyntaxError;
use crate::model::extras::{Encapsulation, ExtraFlags, Offload, SaExtras, SecurityContext};
use crate::model::lifetime::LifetimeLimits;
use crate::model::{
    AlgorithmName, IfId, IpsecProtocol, Mark, Prefix, ReqId, SaDirection, SaFlags, SaSpec, Secret, Selector, Spi,
    Transform,
};

/// A sequence number in halves, as `ip` has it.
#[derive(Default)]
struct Halves {
    low: u32,
    high: u32,
}

/// An SA whose words are being read.
pub(in crate::dialect) struct SaWords {
    /// What names it.
    pub(in crate::dialect) id: IdWords,
    /// All that needs no other word; its addresses, protocol and SPI are in `id`.
    pub(in crate::dialect) spec: SaSpec,
    selector: Option<SelectorWords>,
    sent: Halves,
    received: Halves,
}

impl SaWords {
    pub(in crate::dialect) fn new() -> Self {
        let (nowhere, no_one) = (nowhere(false), IpsecProtocol::Any);
        Self {
            id: IdWords::default(),
            spec: SaSpec::new(nowhere, nowhere, no_one, Spi(0)),
            selector: None,
            sent: Halves::default(),
            received: Halves::default(),
        }
    }

    /// Takes what stands behind a word, if that is one of an SA's.
    pub(in crate::dialect) fn take(&mut self, reader: &mut Reader<'_>, word: &Word<'_>) -> Parsed<bool> {
        let half = "half a sequence number";
        match word.text {
            "replay-seq" => self.received.low = reader.number(half)?,
            "replay-seq-hi" => self.received.high = reader.number(half)?,
            "replay-oseq" => self.sent.low = reader.number(half)?,
            "replay-oseq-hi" => self.sent.high = reader.number(half)?,
            "sel" => {
                let mut selector = self.selector.take().unwrap_or_default();
                selector.take_all(reader)?;
                self.selector = Some(selector);
            }
            _ if self.id.take(reader, word)? => {}
            _ if self.algorithm(reader, word)? => {}
            _ => return attribute(reader, word.text, &mut self.spec),
        }
        Ok(true)
    }

    /// Takes an algorithm and its key, if `word` announces one. Each kind goes only once.
    fn algorithm(&mut self, reader: &mut Reader<'_>, word: &Word<'_>) -> Parsed<bool> {
        let algorithms = &mut self.spec.algorithms;
        let is_first = match word.text {
            "enc" => algorithms.encryption.replace(transform(reader)?).is_none(),
            "aead" | "auth-trunc" => {
                let mut transform = transform(reader)?;
                transform.icv_bits = reader.number("the ICV's length in bits")?;
                let slot = if word.text == "aead" { &mut algorithms.aead } else { &mut algorithms.authentication };
                slot.replace(transform).is_none()
            }
            "auth" => {
                let mut transform = transform(reader)?;
                transform.icv_bits = transform.name.known().map_or(0, |algorithm| algorithm.default_icv_bits().into());
                algorithms.authentication.replace(transform).is_none()
            }
            "comp" => {
                let name = algorithm_name(reader)?;
                skip_hidden_key(reader);
                algorithms.compression.replace(name).is_none()
            }
            _ => return Ok(false),
        };
        if is_first { Ok(true) } else { Err(refused(word, "an algorithm of this kind stands here already")) }
    }

    /// The SA, when all its words have been read; of IPv6 where no address says the family and `is_v6` does.
    pub(in crate::dialect) fn finish(self, reader: &Reader<'_>, is_v6: bool) -> Parsed<SaSpec> {
        let protocol = self.id.protocol(reader)?;
        let is_v6 = self.id.ends.is_v6().unwrap_or(is_v6);
        let [source, destination] = self.id.ends.addresses(is_v6);
        let mut spec = SaSpec { source, destination, protocol, spi: self.id.spi.unwrap_or_default(), ..self.spec };
        let whole = |halves: Halves| {
            // Without ESN there is no upper half, and `ip` drops it.
            u64::from(halves.low) | if spec.flags.esn() { u64::from(halves.high) << 32 } else { 0 }
        };
        (spec.sent, spec.received) = (whole(self.sent), whole(self.received));
        spec.selector = self.selector.map(|words| {
            // The kernel fills in the family that is not said, unless the SA is to be for both. ip prints no family in
            // that case either, but every address.
            let [source, destination] = words.ends.asked();
            let is_zero = |prefix: Prefix| prefix.address.is_unspecified() && prefix.length == 0;
            let every = |end: Option<Prefix>| end.is_none_or(|prefix| reader.printed && is_zero(prefix));
            if spec.flags.any_family() && every(source) && every(destination) {
                let (source, destination) = (Prefix::ANY_V4, Prefix::ANY_V4);
                return Selector { any_family: true, source, destination, ..words.selector(false) };
            }
            words.selector(is_v6)
        });
        let flags = spec.flags;
        spec.selector = spec.selector.filter(|selector| !selector.is_default_of(destination, flags));
        Ok(spec)
    }
}

/// What stands behind one word by itself; whether that is an attribute of an SA.
fn attribute(reader: &mut Reader<'_>, attribute: &str, spec: &mut SaSpec) -> Parsed<bool> {
    match attribute {
        "reqid" => spec.reqid = ReqId(reader.number("a reqid")?),
        "mode" => spec.mode = reader.value("transport, tunnel, beet, ro or in_trigger", mode)?,
        "replay-window" => spec.replay_window = reader.number("a number of packets")?,
        "seq" => spec.acquire_sequence = acquire_sequence(reader)?,
        "flag" => {
            let names: Vec<&str> = SaFlags(u8::MAX).names().collect();
            spec.flags.0 |= reader.small_flags(&names)?;
        }
        "mark" => spec.mark = reader.mark()?,
        "if_id" => spec.if_id = if_id(reader)?,
        "dir" => spec.direction = Some(direction(reader)?),
        "limit" => limit(reader, &mut spec.limits)?,
        _ => return extra(reader, attribute, &mut spec.extras),
    }
    Ok(true)
}

/// What few SAs have; whether `attribute` is among it.
fn extra(reader: &mut Reader<'_>, attribute: &str, extras: &mut SaExtras) -> Parsed<bool> {
    match attribute {
        "encap" => extras.encapsulation = Some(encapsulation(reader)?),
        "output-mark" => extras.output_mark = output_mark(reader)?,
        "tfcpad" => extras.tfc_padding = Some(reader.number("a number of bytes")?).filter(|bytes| *bytes != 0),
        "pcpu-num" => extras.cpu = Some(reader.number("a CPU's number")?).filter(|cpu| *cpu != u32::MAX),
        "coa" => extras.care_of = Some(reader.address(nowhere(true))?),
        "ctx" => extras.security = Some(label(reader)?),
        "extra-flag" | "extra_flag" => extras.extra_flags.0 |= reader.flags(&ExtraFlags::NAMES),
        "offload" => extras.offload = Some(offload(reader)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// As a mark, but with a mask of 0 `ip` sends none, and the kernel takes all bits; nor does it send a mark of 0.
fn output_mark(reader: &mut Reader<'_>) -> Parsed<Option<Mark>> {
    let (value, said) = reader.value_and_mask()?;
    let mask = said.filter(|mask| reader.printed || *mask != 0).unwrap_or(u32::MAX);
    Ok(Some(Mark { value, mask }).filter(|mark| mark.value != 0 || said.is_some()))
}

/// `ip` reads the number in network byte order, and prints it as it lies in memory, in decimal behind 0x.
fn acquire_sequence(reader: &mut Reader<'_>) -> Parsed<u32> {
    if reader.printed {
        return reader.value("a number", |text| text.strip_prefix("0x")?.parse().ok());
    }
    reader.number("a number").map(u32::to_be)
}

pub(super) fn if_id(reader: &mut Reader<'_>) -> Parsed<Option<IfId>> {
    Ok(Some(reader.number("an interface id")?).filter(|id| *id != 0).map(IfId))
}

pub(in crate::dialect) fn direction(reader: &mut Reader<'_>) -> Parsed<SaDirection> {
    reader.value("in or out", |text| match text {
        "in" => Some(SaDirection::In),
        "out" => Some(SaDirection::Out),
        _ => None,
    })
}

/// A label of the security module's. In one with an end of its own the kernel would not find its end.
pub(in crate::dialect) fn label(reader: &mut Reader<'_>) -> Parsed<SecurityContext> {
    let word = reader.take("a label")?;
    if word.text.is_empty() || word.text.contains('\0') {
        return Err(misread(&word, "a label"));
    }
    Ok(SecurityContext::selinux(word.text))
}

/// `crypto dev eth0 dir in`; the kind may be left out. Its `dir` is the device's alone.
fn offload(reader: &mut Reader<'_>) -> Parsed<Offload> {
    let is_whole = reader.takes("packet");
    if !is_whole {
        reader.takes("crypto");
    }
    reader.expect("dev")?;
    let interface = reader.interface()?;
    reader.expect("dir")?;
    let inbound = if direction(reader)? == SaDirection::In { Offload::INBOUND } else { 0 };
    Ok(Offload { interface, flags: inbound | if is_whole { Offload::PACKET } else { 0 } })
}

/// `type espinudp sport 4500 dport 4500 addr 0.0.0.0` as printed, `espinudp 4500 4500 0.0.0.0` as given.
fn encapsulation(reader: &mut Reader<'_>) -> Parsed<Encapsulation> {
    let printed = reader.takes("type");
    let kind = reader.value("espinudp, espinudp-nonike or espintcp", |text| {
        let named = Encapsulation::NAMES.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind);
        named.or_else(|| text.parse().ok().filter(|_| printed))
    })?;
    let behind = |reader: &mut Reader<'_>, name| if printed { reader.expect(name) } else { Ok(()) };
    behind(reader, "sport")?;
    let source_port = reader.port("a port")?;
    behind(reader, "dport")?;
    let destination_port = reader.port("a port")?;
    behind(reader, "addr")?;
    let original = reader.address(nowhere(false))?;
    Ok(Encapsulation { kind, source_port, destination_port, original })
}

/// `byte-soft 1000`, as given. What the kernel takes for no limit is none.
pub(super) fn limit(reader: &mut Reader<'_>, limits: &mut LifetimeLimits) -> Parsed<()> {
    let expected = "byte-, packet-, time- or time-use-, and soft or hard";
    let word = reader.take(expected)?;
    let (kind, end) = word.text.rsplit_once('-').ok_or_else(|| misread(&word, expected))?;
    let (limit, none) = match kind {
        "byte" => (&mut limits.bytes, u64::MAX),
        "packet" => (&mut limits.packets, u64::MAX),
        "time" => (&mut limits.since_added_secs, 0),
        "time-use" => (&mut limits.since_used_secs, 0),
        _ => return Err(misread(&word, expected)),
    };
    let slot = match end {
        "soft" => &mut limit.soft,
        "hard" => &mut limit.hard,
        _ => return Err(misread(&word, expected)),
    };
    *slot = Some(reader.long("a number")?).filter(|value| ![none, u64::MAX].contains(value));
    Ok(())
}

/// The kernel's names have no other characters; a quote in one would get out of the line that is made of it again.
fn algorithm_name(reader: &mut Reader<'_>) -> Parsed<AlgorithmName> {
    let expected = "an algorithm's name";
    let word = reader.take(expected)?;
    let plain = word.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"(),-_./+".contains(&byte));
    if plain { Ok(AlgorithmName::from_kernel(word.text)) } else { Err(misread(&word, expected)) }
}

/// A name and a key; the ICV's length is left to the caller.
fn transform(reader: &mut Reader<'_>) -> Parsed<Transform> {
    let at = reader.peek().map_or(reader.end..reader.end, |word| word.span.clone());
    let name = algorithm_name(reader)?;
    let longest = name.known().map(|algorithm| usize::from(algorithm.key_bits.longest()) / 8);
    if skip_hidden_key(reader) {
        // Zeros, as the kernel shows where it hides keys itself.
        let key = Secret::copy_from(&vec![0; longest.unwrap_or(1)]);
        return Ok(Transform { name, key, icv_bits: 0 });
    }
    let missing = |place| SyntaxError::wanted(place, "the key is missing", KEY);
    let Some(word) = reader.peek_in_line().filter(|word| is_key(reader, word)).cloned() else {
        // `ip` prints no empty key.
        if reader.printed && longest == Some(0) {
            return Ok(Transform { name, key: Secret::default(), icv_bits: 0 });
        }
        return Err(missing(reader.peek_in_line().map_or(at.end..at.end, |word| word.span.clone())));
    };
    reader.next();
    let key = key(&word)?;
    // `(160 bits)`
    if reader.printed && reader.peek_in_line().is_some_and(|word| word.text.starts_with('(')) {
        reader.take("(")?;
        reader.expect("bits)")?;
    }
    Ok(Transform { name, key, icv_bits: 0 })
}

const KEY: &str = "a key: 0x and hex digits, or \"text\"";

/// Any word is a key to `ip`; one that belongs elsewhere shows that the key was forgotten.
fn is_key(reader: &Reader<'_>, word: &Word<'_>) -> bool {
    let elsewhere = ["enc", "auth", "auth-trunc", "aead", "comp", "mode", "reqid", "sel", "flag", "replay-window"];
    let is_text = !(reader.printed || elsewhere.contains(&word.text) || word.text.starts_with('<'));
    word.quoted || word.text.starts_with("0x") || is_text
}

fn key(word: &Word<'_>) -> Parsed<Secret> {
    let wrong = |problem: &str| SyntaxError::wanted(word.span.clone(), problem, KEY);
    if word.text.starts_with("0x") && word.text.len() > 2 {
        return Secret::parse(word.text).map_err(|error| wrong(&error.to_string()));
    }
    if word.text.contains('#') {
        return Err(wrong("to a shell this is a part of the key, to `ip -batch` a comment"));
    }
    Ok(Secret::copy_from(word.text.as_bytes()))
}

/// `<<Keys hidden>>`, in place of a key.
fn skip_hidden_key(reader: &mut Reader<'_>) -> bool {
    reader.printed && reader.takes("<<Keys") && reader.takes("hidden>>")
}
