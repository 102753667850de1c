//! What follows the SPI of an SA: `-m`, `-u`, `-r`, ..., and its algorithms with their keys.

use std::ops::Range;

use super::super::lexer::Kind;
use super::{Parsed, Parser, wanted, wrong};
use crate::dialect::deed::Warning;
use crate::model::check::SaField;
use crate::model::extras::SecurityContext;
use crate::model::sa::Algorithms;
use crate::model::secret::KeyTextError;
use crate::model::{Algorithm, AlgorithmKind, Mode, ReqId, SaFlags, SaSpec, Secret, Transform};

/// Where the parts of an SA stand, for what is found wrong with it as a whole.
#[derive(Default)]
pub(super) struct SaSpans(pub Vec<(SaField, Range<usize>)>);

impl SaSpans {
    pub fn of(&self, field: SaField, whole: &Range<usize>) -> Range<usize> {
        self.0.iter().rev().find(|(other, _)| *other == field).map_or_else(|| whole.clone(), |(_, span)| span.clone())
    }
}

/// What a statement makes of an SA's options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// All of them.
    All,
    /// Mode and reqid: the rest comes with the keys.
    Reservation,
    /// None: the SA is there and has a name.
    Name,
}

/// Algorithms of KAME's that no Linux has.
const NOT_ON_LINUX: [&str; 9] =
    ["des-deriv", "des-32iv", "simple", "skipjack-cbc", "rc5-cbc", "keyed-md5", "keyed-sha1", "tcp-md5", "oui"];

impl Parser<'_> {
    /// All options up to the end of the statement.
    pub(super) fn options(&mut self, spec: &mut SaSpec, spans: &mut SaSpans, takes: Takes) -> Parsed<()> {
        let mut seen: Vec<String> = Vec::new();
        while let Some(option) = self.peek_word().filter(|word| word.starts_with('-')) {
            let token = self.take();
            // Only the letters of algorithms are told from others by being capitals.
            let own = token.text(self.source);
            let option = if matches!(own, "-E" | "-A" | "-C" | "-R") { own.to_owned() } else { option };
            if seen.contains(&option) {
                return Err(wrong(&token.span, format!("the option {option} stands here a second time")));
            }
            self.is_taken(&option, &token.span, takes)?;
            self.option(&option, &token.span, spec, spans)?;
            seen.push(option);
        }
        Ok(())
    }

    /// What makes no sense in a statement is refused; the mode that older scripts name an SA with is only warned about.
    fn is_taken(&mut self, option: &str, span: &Range<usize>, takes: Takes) -> Parsed<()> {
        match (takes, option) {
            (Takes::All, _) | (Takes::Reservation, "-m" | "-u" | "-f") => Ok(()),
            (Takes::Reservation, _) => {
                let problem = format!("a reserved SPI has no {option} yet: give it with the keys, in `update`");
                Err(wanted(span, problem, "-m, -u or ;"))
            }
            (Takes::Name, "-m") => {
                self.warn(span, "the mode is no part of an SA's name: it is not looked at");
                Ok(())
            }
            (Takes::Name, _) => {
                let problem = format!("{option} is no part of an SA's name: destination, protocol and SPI are");
                Err(wanted(span, problem, "; at the end of the statement"))
            }
        }
    }

    pub(super) fn warn(&mut self, span: &Range<usize>, sentence: &str) {
        self.warnings.push(Warning { span: span.clone(), sentence: sentence.to_owned() });
    }

    fn option(&mut self, option: &str, span: &Range<usize>, spec: &mut SaSpec, spans: &mut SaSpans) -> Parsed<()> {
        match option {
            "-E" => self.encryption(&mut spec.algorithms, spans)?,
            "-A" => self.authentication(&mut spec.algorithms, spans)?,
            "-C" => self.compression(&mut spec.algorithms, spans)?,
            // The number on the wire is the SPI: so it always is on Linux.
            "-R" => {}
            "-m" => {
                let (mode, span) = self.mode()?;
                spec.mode = mode;
                spans.0.push((SaField::Mode, span));
            }
            "-u" => {
                let (reqid, span) = self.number("the reqid")?;
                spec.reqid = ReqId(reqid);
                spans.0.push((SaField::ReqId, span));
            }
            "-r" => {
                let (window, span) = self.number("the replay window in packets")?;
                spec.replay_window = window;
                spans.0.push((SaField::ReplayWindow, span));
            }
            "-lh" => spec.limits.since_added_secs.hard = self.limit(spans)?,
            "-ls" => spec.limits.since_added_secs.soft = self.limit(spans)?,
            "-bh" => spec.limits.bytes.hard = self.limit(spans)?,
            "-bs" => spec.limits.bytes.soft = self.limit(spans)?,
            "-f" => self.extension()?,
            "-ctx" => spec.extras.security = Some(self.context()?),
            // FreeBSD's
            "-esn" => {
                spec.flags = SaFlags(spec.flags.0 | SaFlags::ESN);
                spans.0.push((SaField::Flags, span.clone()));
            }
            "-natt" => {
                return Err(wanted(
                    span,
                    "the option -natt is FreeBSD's",
                    "the protocol esp-udp with ports at the addresses",
                ));
            }
            "-hwif" | "-vlanid" => {
                return Err(wanted(
                    span,
                    format!("the option {option} is FreeBSD's"),
                    "ip xfrm's `offload dev`, in a script for ip",
                ));
            }
            _ => {
                let expected = "-E, -A, -C, -m, -u, -r, -f, -lh, -ls, -bh, -bs or -ctx";
                return Err(wanted(span, format!("there is no option {option:?} of an SA"), expected));
            }
        }
        Ok(())
    }

    /// How packets are padded and whether sequence numbers begin again: Linux leaves no choice.
    fn extension(&mut self) -> Parsed<()> {
        let expected = "zero-pad, random-pad, seq-pad or nocyclic-seq";
        let (word, span) = self.word(expected)?;
        match word.to_ascii_lowercase().as_str() {
            // As Linux always has it.
            "seq-pad" | "nocyclic-seq" => {}
            "zero-pad" | "random-pad" => {
                self.warn(&span, "this has no effect: Linux always pads with 1, 2, 3, ... (RFC 4303)");
            }
            _ => return Err(self.misread(&span, expected)),
        }
        Ok(())
    }

    /// `doi algorithm "label"`, behind `-ctx`.
    pub(super) fn context(&mut self) -> Parsed<SecurityContext> {
        let (doi, doi_span) = self.small_number("the label's domain of interpretation (DOI)")?;
        let (algorithm, _) = self.small_number("the label's algorithm")?;
        if doi == 0 {
            return Err(wanted(&doi_span, "DOI 0 means that there is no label", "1, SELinux's"));
        }
        let token = self.peek();
        let expected = "the label in quotes";
        if token.kind != Kind::Quoted {
            return Err(wanted(&token.span, self.name_of(&token), expected));
        }
        self.take();
        let label = token.text(self.source).trim_matches('"');
        if label.is_empty() {
            return Err(wanted(&token.span, "the label is empty", expected));
        }
        self.warn(&token.span, "a label counts where SELinux is at work; other kernels drop it without a word");
        Ok(SecurityContext { doi, algorithm, ..SecurityContext::selinux(label) })
    }

    fn small_number(&mut self, what: &str) -> Parsed<(u8, Range<usize>)> {
        let (number, span) = self.number(what)?;
        let number =
            u8::try_from(number).map_err(|_| wanted(&span, "this number is too large", format!("{what}: 0 to 255")))?;
        Ok((number, span))
    }

    /// 0 means no limit.
    fn limit(&mut self, spans: &mut SaSpans) -> Parsed<Option<u64>> {
        let (word, span) = self.word("a limit")?;
        let number: u64 =
            word.parse().map_err(|_| wanted(&span, "this is no number", "a limit in seconds or bytes"))?;
        spans.0.push((SaField::Limits, span));
        Ok(Some(number).filter(|number| *number != 0))
    }

    fn mode(&mut self) -> Parsed<(Mode, Range<usize>)> {
        let (word, span) = self.word("transport, tunnel or any")?;
        match word.to_ascii_lowercase().as_str() {
            // On Linux an SA of any mode is one of transport mode.
            "transport" | "any" => Ok((Mode::Transport, span)),
            "tunnel" => Ok((Mode::Tunnel, span)),
            "beet" => Ok((Mode::Beet, span)),
            _ => Err(self.misread(&span, "transport, tunnel or any")),
        }
    }

    fn algorithm(&mut self, kind: AlgorithmKind) -> Parsed<(&'static Algorithm, u16, Range<usize>)> {
        let what = match kind {
            AlgorithmKind::Encryption | AlgorithmKind::Aead => "an encryption algorithm",
            AlgorithmKind::Authentication => "an authentication algorithm",
            AlgorithmKind::Compression => "a compression algorithm",
        };
        let (word, span) = self.word(what)?;
        let name = word.to_ascii_lowercase();
        if let Some((algorithm, icv_bits)) = Algorithm::by_setkey_name(kind, &name) {
            return Ok((algorithm, icv_bits, span));
        }
        if NOT_ON_LINUX.contains(&name.as_str()) {
            return Err(wrong(&span, format!("Linux has no `{name}`")));
        }
        let with_aead = kind == AlgorithmKind::Encryption;
        let names: Vec<&str> = Algorithm::of_kind(kind)
            .chain(Algorithm::of_kind(AlgorithmKind::Aead).filter(|_| with_aead))
            .flat_map(|algorithm| algorithm.setkey.iter().map(|(name, _)| *name))
            .collect();
        Err(self.misread(&span, format!("{what}: {}", names.join(", "))))
    }

    fn key(&mut self, algorithm: &Algorithm) -> Parsed<(Secret, Range<usize>)> {
        let token = self.peek();
        let takes_none = algorithm.key_bits.longest() == 0;
        let expected = format!("a key of {}: 0x and hex digits, or \"text\"", algorithm.key_bits);
        let text = token.text(self.source);
        match token.kind {
            Kind::Quoted if takes_none && text == "\"\"" => {
                self.take();
                Ok((Secret::default(), token.span))
            }
            // The null algorithms need no key, and setkey takes none as well.
            _ if takes_none => Ok((Secret::default(), token.span)),
            Kind::Quoted | Kind::Word if text.starts_with('"') || !text.starts_with('-') => {
                self.take();
                let key = Secret::parse(text).map_err(|error| {
                    let problem = match error {
                        KeyTextError::NeitherForm => "this is no key".to_owned(),
                        other => other.to_string(),
                    };
                    wanted(&token.span, problem, expected)
                })?;
                Ok((key, token.span))
            }
            _ => Err(wanted(&token.span, "the key is missing", expected)),
        }
    }

    fn encryption(&mut self, algorithms: &mut Algorithms, spans: &mut SaSpans) -> Parsed<()> {
        let (algorithm, icv_bits, span) = self.algorithm(AlgorithmKind::Encryption)?;
        let (key, key_span) = self.key(algorithm)?;
        spans.0.extend([(SaField::Encryption, span), (SaField::EncryptionKey, key_span)]);
        let transform = Some(Transform { name: algorithm.into(), key, icv_bits: icv_bits.into() });
        match algorithm.kind {
            AlgorithmKind::Aead => algorithms.aead = transform,
            _ => algorithms.encryption = transform,
        }
        Ok(())
    }

    fn authentication(&mut self, algorithms: &mut Algorithms, spans: &mut SaSpans) -> Parsed<()> {
        let (algorithm, icv_bits, span) = self.algorithm(AlgorithmKind::Authentication)?;
        let (key, key_span) = self.key(algorithm)?;
        spans.0.extend([(SaField::Authentication, span), (SaField::AuthenticationKey, key_span)]);
        algorithms.authentication = Some(Transform { name: algorithm.into(), key, icv_bits: icv_bits.into() });
        Ok(())
    }

    fn compression(&mut self, algorithms: &mut Algorithms, spans: &mut SaSpans) -> Parsed<()> {
        let (algorithm, _, span) = self.algorithm(AlgorithmKind::Compression)?;
        spans.0.push((SaField::Compression, span));
        algorithms.compression = Some(algorithm.into());
        Ok(())
    }
}
