//! `add` and `delete`.

use std::ops::Range;

use super::super::lexer::Kind;
use super::{Parsed, Parser, wanted, wrong};
use crate::dialect::deed::Deed;
use crate::dialect::report::SyntaxError;
use crate::model::check::{self, SaField};
use crate::model::sa::Algorithms;
use crate::model::secret::KeyTextError;
use crate::model::{Algorithm, AlgorithmKind, IpsecProtocol, Mode, ReqId, SaId, SaSpec, Secret, Spi, Transform};

/// Where the parts of an SA stand, for what is found wrong with it as a whole.
#[derive(Default)]
struct SaSpans(Vec<(SaField, Range<usize>)>);

impl SaSpans {
    fn of(&self, field: SaField, whole: &Range<usize>) -> Range<usize> {
        self.0.iter().rev().find(|(other, _)| *other == field).map_or_else(|| whole.clone(), |(_, span)| span.clone())
    }
}

impl Parser<'_> {
    /// `src dst proto spi`
    fn sa_head(&mut self, spans: &mut SaSpans) -> Parsed<SaSpec> {
        self.address_options()?;
        let (source, source_span) = self.address()?;
        let (destination, destination_span) = self.address()?;
        let (protocol, protocol_span) = self.protocol()?;
        let (spi, spi_span) = self.number("the SPI")?;
        spans.0.extend([
            (SaField::Source, source_span),
            (SaField::Destination, destination_span),
            (SaField::Protocol, protocol_span),
            (SaField::Spi, spi_span),
        ]);
        Ok(SaSpec::new(source, destination, protocol, Spi(spi)))
    }

    pub(super) fn delete(&mut self) -> Parsed<Deed> {
        let spec = self.sa_head(&mut SaSpans::default())?;
        Ok(Deed::DeleteSa(SaId { mark: None, ..spec.id() }))
    }

    pub(super) fn add(&mut self, start: &Range<usize>) -> Result<Deed, Vec<SyntaxError>> {
        let mut spans = SaSpans::default();
        let spec = self.add_spec(&mut spans).map_err(|error| vec![error])?;
        let whole = start.start..self.end_of_last();
        let problems = check::sa(&spec).into_iter();
        let problems = problems.map(|problem| (spans.of(problem.field, &whole), problem.severity, problem.sentence));
        self.judge(problems)?;
        Ok(Deed::AddSa(Box::new(spec)))
    }

    fn add_spec(&mut self, spans: &mut SaSpans) -> Parsed<SaSpec> {
        let mut spec = self.sa_head(spans)?;
        while let Some(option) = self.peek_word().filter(|word| word.starts_with('-')) {
            let own = self.peek().text(self.source).to_owned();
            let span = self.take().span;
            match (own.as_str(), option.as_str()) {
                ("-E", _) => self.encryption(&mut spec.algorithms, spans)?,
                ("-A", _) => self.authentication(&mut spec.algorithms, spans)?,
                ("-C", _) => self.compression(&mut spec.algorithms, spans)?,
                (_, "-m") => {
                    let (mode, span) = self.mode()?;
                    spec.mode = mode;
                    spans.0.push((SaField::Mode, span));
                }
                (_, "-u") => {
                    let (reqid, span) = self.number("the reqid")?;
                    spec.reqid = ReqId(reqid);
                    spans.0.push((SaField::ReqId, span));
                }
                (_, "-r") => {
                    let (window, span) = self.number("the replay window in packets")?;
                    spec.replay_window = window;
                    spans.0.push((SaField::ReplayWindow, span));
                }
                (_, "-lh") => spec.limits.since_added_secs.hard = self.limit()?,
                (_, "-ls") => spec.limits.since_added_secs.soft = self.limit()?,
                (_, "-bh") => spec.limits.bytes.hard = self.limit()?,
                (_, "-bs") => spec.limits.bytes.soft = self.limit()?,
                (_, "-f") => return Err(wrong(&span, "the option -f has no effect on Linux: leave it out")),
                (_, "-ctx") => return Err(wrong(&span, "security contexts (-ctx) are not understood yet")),
                _ => {
                    let expected = "-E, -A, -C, -m, -u, -r, -lh, -ls, -bh or -bs";
                    return Err(wanted(&span, format!("there is no option {own:?} of an SA"), expected));
                }
            }
        }
        if spec.protocol != IpsecProtocol::Comp && spec.algorithms == Algorithms::default() {
            let token = self.peek();
            let expected = if spec.protocol == IpsecProtocol::Ah { "-A ALGORITHM KEY" } else { "-E ALGORITHM KEY" };
            return Err(wanted(&token.span, "the SA has no algorithm", expected));
        }
        Ok(spec)
    }

    /// 0 means no limit.
    fn limit(&mut self) -> Parsed<Option<u64>> {
        let (word, span) = self.word("a limit")?;
        let number: u64 =
            word.parse().map_err(|_| wanted(&span, "this is no number", "a limit in seconds or bytes"))?;
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
        if matches!(name.as_str(), "des-deriv" | "des-32iv" | "simple" | "keyed-md5" | "keyed-sha1" | "tcp-md5") {
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
