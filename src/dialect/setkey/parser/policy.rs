//! Statements about policies: `spdadd`, `spdupdate` and `spddelete`.

use std::net::Ipv4Addr;
use std::ops::Range;

use super::super::lexer::Kind;
use super::super::names::is_decimal;
use super::address::port_match;
use super::rule::{RULE, rule};
use super::{Parsed, Parser, forward_twin, wanted, wrong};
use crate::dialect::deed::Deed;
use crate::dialect::report::SyntaxError;
use crate::model::check::{self, PolicyField};
use crate::model::{PolicyAction, PolicyDirection, PolicySpec, Selector, UpperProtocol};

const UPPER: &str = "the protocol above IP: any, tcp, udp, icmp, ... or its number";
const ACTION: &str = "discard, none or ipsec";
const PRIORITY: &str = "a priority: low, def or high with +N or -N behind it, or a number";

impl Parser<'_> {
    /// What makes policies, or changes them.
    pub(super) fn spdadd(
        &mut self,
        start: &Range<usize>,
        deed: fn(Vec<PolicySpec>) -> Deed,
    ) -> Result<Deed, Vec<SyntaxError>> {
        let mut spans = PolicySpans::default();
        let spec = self.policy(&mut spans).map_err(|error| vec![error])?;
        let whole = start.start..self.end_of_last;
        let problems = check::policy(&spec).into_iter();
        let problems = problems.map(|problem| (spans.of(problem.field, &whole), problem.severity, problem.sentence));
        self.judge(problems)?;
        let forward = forward_twin(&spec).filter(|_| self.reading.forward_twins);
        Ok(deed(std::iter::once(spec).chain(forward).collect()))
    }

    /// The rest of a policy may follow, and says nothing more: its name is in front of it.
    pub(super) fn spddelete(&mut self) -> Parsed<Vec<Deed>> {
        let mut spans = PolicySpans::default();
        let mut spec = self.policy_head(&mut spans)?;
        if spec.security.is_some() {
            let span = spans.of(PolicyField::Direction, &(0..0));
            return Err(wanted(
                &span,
                "a policy with a label cannot be named here",
                "ip xfrm policy delete index N, in a script for ip",
            ));
        }
        if self.peek().kind == Kind::Word {
            self.policy_rest(&mut spec, &mut spans)?;
        }
        let forward = forward_twin(&spec).filter(|_| self.reading.forward_twins);
        let twin = forward.map(|twin| Deed::DeletePolicyIfThere(Box::new(twin.id())));
        Ok(std::iter::once(Deed::DeletePolicy(Box::new(spec.id()))).chain(twin).collect())
    }

    /// `[-46n] src_range dst_range upper [more] [-ctx doi algorithm "label"] -P direction`
    fn policy_head(&mut self, spans: &mut PolicySpans) -> Parsed<PolicySpec> {
        if self.peek_word().as_deref() == Some("tagged") {
            return Err(wrong(&self.peek().span, "policies for tagged packets (`tagged`) do not exist on Linux"));
        }
        let options = self.address_options()?;
        let (source, source_port, source_span) = self.range(options)?;
        let (destination, destination_port, destination_span) = self.range(options)?;
        let mut selector = Selector::between(source, destination);
        (selector.source_port, selector.destination_port) = (source_port, destination_port);
        let upper_span = self.upper(&mut selector)?;
        spans.0.extend([
            (PolicyField::Source, source_span.clone()),
            (PolicyField::SourcePort, source_span),
            (PolicyField::Destination, destination_span.clone()),
            (PolicyField::DestinationPort, destination_span),
            (PolicyField::Protocol, upper_span),
        ]);
        let mut security = None;
        if self.peek_word().as_deref() == Some("-ctx") {
            self.take();
            security = Some(Box::new(self.context()?));
        }
        let token = self.peek();
        if self.peek_word().as_deref() != Some("-p") {
            return Err(wanted(&token.span, self.name_of(&token), "-P and in, out or fwd"));
        }
        self.take();
        let (word, span) = self.word("in, out or fwd")?;
        let direction = match word.to_ascii_lowercase().as_str() {
            "in" => PolicyDirection::In,
            "out" => PolicyDirection::Out,
            "fwd" => PolicyDirection::Forward,
            _ => return Err(self.misread(&span, "in, out or fwd")),
        };
        spans.0.push((PolicyField::Direction, span));
        let priority = PolicySpec::SETKEY_PRIORITY;
        Ok(PolicySpec { priority, security, ..PolicySpec::new(direction, selector) })
    }

    /// A protocol by name or number, and what narrows it further, which the selector keeps in place of ports.
    fn upper(&mut self, selector: &mut Selector) -> Parsed<Range<usize>> {
        let (word, span) = self.word(UPPER)?;
        let name = word.to_ascii_lowercase();
        let of_name = || self.reading.names.protocol(&name).map(UpperProtocol);
        selector.protocol = match UpperProtocol::parse(&name).or_else(of_name) {
            // `IPSEC_ULPROTO_ANY`
            Some(UpperProtocol(255)) => UpperProtocol::ANY,
            Some(upper) => upper,
            None => return Err(self.misread(&span, UPPER)),
        };
        let Some(more) = self.peek_word().filter(|word| !word.starts_with('-')) else {
            return Ok(span);
        };
        let more_span = self.take().span;
        let halves = match selector.protocol {
            UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH => {
                type_and_code(&more).ok_or_else(|| {
                    wanted(&more_span, "this is no type and code", "both with a comma between them, as 128,0")
                })?
            }
            UpperProtocol::GRE => key_halves(&more)
                .ok_or_else(|| wanted(&more_span, "this is no GRE key", "a number to 4294967295, or a.b.c.d"))?,
            _ => {
                let problem = "only icmp, icmp6, mh and gre have something behind their names";
                return Err(wanted(&more_span, problem, "-P and in, out or fwd"));
            }
        };
        if !selector.source_port.is_any() || !selector.destination_port.is_any() {
            return Err(wrong(&more_span, format!("{more} stands in the place of the ports, and ports are given too")));
        }
        if halves.contains(&0) {
            let sentence = match selector.protocol {
                UpperProtocol::GRE => "for setkey on Linux 0 in either half of a GRE key means any",
                _ => "for setkey on Linux type or code 0 means any",
            };
            self.warn(&more_span, sentence);
        }
        [selector.source_port, selector.destination_port] = halves.map(port_match);
        Ok(span.start..more_span.end)
    }

    fn policy(&mut self, spans: &mut PolicySpans) -> Parsed<PolicySpec> {
        let mut spec = self.policy_head(spans)?;
        self.policy_rest(&mut spec, spans)?;
        Ok(spec)
    }

    /// `[prio N] discard|none|ipsec rule...`
    fn policy_rest(&mut self, spec: &mut PolicySpec, spans: &mut PolicySpans) -> Parsed<()> {
        if matches!(self.peek_word().as_deref(), Some("prio" | "priority")) {
            self.take();
            let (priority, span) = self.priority()?;
            spec.priority = priority;
            spans.0.push((PolicyField::Priority, span));
        }
        let (word, span) = self.word(ACTION)?;
        spans.0.push((PolicyField::Action, span.clone()));
        match word.to_ascii_lowercase().as_str() {
            "discard" => spec.action = PolicyAction::Block,
            "none" => {}
            "ipsec" => self.rules(spec, spans, &span)?,
            other @ ("bypass" | "entrust") => {
                return Err(wrong(&span, format!("Linux has no policy `{other}`: use none")));
            }
            _ => return Err(self.misread(&span, ACTION)),
        }
        Ok(())
    }

    /// `low|def|high [+N|-N]`, or a signed number: setkey counts from the middle, where higher is asked first.
    fn priority(&mut self) -> Parsed<(u32, Range<usize>)> {
        let (word, span) = self.word(PRIORITY)?;
        let word = word.to_ascii_lowercase();
        let named = match word.as_str() {
            "low" => Some(0xc000_0000_u32),
            "def" => Some(PolicySpec::SETKEY_PRIORITY),
            "high" => Some(0x4000_0000),
            _ => None,
        };
        let base = named.unwrap_or(PolicySpec::SETKEY_PRIORITY);
        let mut end = span.end;
        let mut offset = if named.is_none() { word } else { "0".to_owned() };
        if named.is_some() && self.peek_word().is_some_and(|word| word.starts_with(['+', '-'])) {
            let token = self.take();
            (offset, end) = (token.text(self.source).to_owned(), token.span.end);
        }
        // The number may stand apart from its sign.
        if matches!(offset.as_str(), "+" | "-") {
            let (digits, span) = self.word("a number")?;
            offset += &digits;
            end = span.end;
        }
        let span = span.start..end;
        let offset: i64 = offset.parse().map_err(|_| wanted(&span, "this is no priority", PRIORITY))?;
        let priority = i64::from(base).checked_sub(offset).and_then(|priority| u32::try_from(priority).ok());
        let priority = priority.ok_or_else(|| wrong(&span, "this priority is beyond the kernel's range"))?;
        Ok((priority, span))
    }

    fn rules(&mut self, spec: &mut PolicySpec, spans: &mut PolicySpans, action: &Range<usize>) -> Parsed<()> {
        let mut whole: Option<Range<usize>> = None;
        while self.peek().kind == Kind::Word {
            let (mut word, mut span) = self.word("a rule")?;
            // Blanks may stand around what joins its parts.
            while word.ends_with(['/', '-']) && self.peek().kind == Kind::Word && !self.begins_rule()
                || self.peek_word().is_some_and(|next| next.starts_with(['/', '-', '[']))
            {
                let (more, end) = self.word("a rule")?;
                word += &more;
                span.end = end.end;
            }
            let rule = rule(&word, spec).map_err(|(problem, expected)| wanted(&span, problem, expected))?;
            if let Some(sentence) = rule.warning {
                self.warn(&span, sentence);
            }
            spec.templates.push(rule.template);
            whole = Some(whole.map_or(span.start, |whole| whole.start)..span.end);
        }
        if let Some(span) = whole {
            spans.0.push((PolicyField::Templates, span));
        } else {
            let behind = action.end..action.end;
            return Err(wanted(&behind, "the rules of the ipsec policy are missing", RULE));
        }
        Ok(())
    }

    /// Whether the next word can only be the beginning of a rule: `esp/transport/ ah/transport/` are two.
    fn begins_rule(&self) -> bool {
        self.peek_word().is_some_and(|word| matches!(word.split('/').next(), Some("esp" | "ah" | "ipcomp")))
    }
}

/// `type,code`
fn type_and_code(text: &str) -> Option<[u16; 2]> {
    let (kind, code) = text.split_once(',')?;
    let number = |text: &str| text.parse::<u8>().ok().filter(|_| is_decimal(text)).map(u16::from);
    Some([number(kind)?, number(code)?])
}

/// A GRE key: its upper and its lower half.
fn key_halves(text: &str) -> Option<[u16; 2]> {
    let number = text.parse().ok().filter(|_| is_decimal(text));
    let key: u32 = number.or_else(|| text.parse().ok().map(Ipv4Addr::to_bits))?;
    let [a, b, c, d] = key.to_be_bytes();
    Some([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}

/// Where the parts of a policy stand.
#[derive(Default)]
struct PolicySpans(Vec<(PolicyField, Range<usize>)>);

impl PolicySpans {
    fn of(&self, field: PolicyField, whole: &Range<usize>) -> Range<usize> {
        self.0.iter().find(|(other, _)| *other == field).map_or_else(|| whole.clone(), |(_, span)| span.clone())
    }
}
