//! `spdadd` and `spddelete`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::super::lexer::Kind;
use super::{Parsed, Parser, wanted, wrong};
use crate::dialect::deed::Deed;
use crate::dialect::report::SyntaxError;
use crate::model::check::{self, PolicyField};
use crate::model::{
    IpsecProtocol, Level, Mode, PolicyAction, PolicyDirection, PolicyKind, PolicySpec, PortMatch, Prefix, ReqId,
    Selector, Template, UpperProtocol,
};

impl Parser<'_> {
    pub(super) fn spdadd(&mut self, start: &Range<usize>) -> Result<Deed, Vec<SyntaxError>> {
        let mut spans = PolicySpans::default();
        let spec = self.policy(&mut spans).map_err(|error| vec![error])?;
        let whole = start.start..self.end_of_last();
        let problems = check::policy(&spec).into_iter();
        let problems = problems.map(|problem| (spans.of(problem.field, &whole), problem.severity, problem.sentence));
        self.judge(problems)?;
        let forward = forward_twin(&spec);
        Ok(Deed::AddPolicies(std::iter::once(spec).chain(forward).collect()))
    }

    /// `src_range dst_range upper -P direction`
    fn policy_head(&mut self, spans: &mut PolicySpans) -> Parsed<PolicySpec> {
        self.address_options()?;
        if self.peek_word().as_deref() == Some("tagged") {
            return Err(wrong(&self.peek().span, "policies for tagged packets (`tagged`) do not exist on Linux"));
        }
        let (source, source_port, source_span) = self.range()?;
        let (destination, destination_port, destination_span) = self.range()?;
        let (upper, upper_span) = self.upper()?;
        spans.0.extend([
            (PolicyField::Source, source_span.clone()),
            (PolicyField::SourcePort, source_span),
            (PolicyField::Destination, destination_span.clone()),
            (PolicyField::DestinationPort, destination_span),
            (PolicyField::Protocol, upper_span),
        ]);
        let mut selector = Selector::between(source, destination);
        selector.protocol = upper;
        (selector.source_port, selector.destination_port) = (source_port, destination_port);
        let token = self.peek();
        match self.peek_word().as_deref() {
            Some("-p") => self.take(),
            Some("-ctx") => return Err(wrong(&token.span, "security contexts (-ctx) are not understood yet")),
            _ => return Err(wanted(&token.span, self.name_of(&token), "-P and in, out or fwd")),
        };
        let (word, span) = self.word("in, out or fwd")?;
        let direction = match word.to_ascii_lowercase().as_str() {
            "in" => PolicyDirection::In,
            "out" => PolicyDirection::Out,
            "fwd" => PolicyDirection::Forward,
            _ => {
                return Err(self.misread(&span, "in, out or fwd"));
            }
        };
        spans.0.push((PolicyField::Direction, span));
        let mut spec = PolicySpec::new(direction, selector);
        spec.priority = PolicySpec::SETKEY_PRIORITY;
        Ok(spec)
    }

    pub(super) fn spddelete(&mut self) -> Parsed<Deed> {
        let spec = self.policy_head(&mut PolicySpans::default())?;
        Ok(Deed::DeletePolicy(Box::new(spec.id())))
    }

    /// `address[/length][[port]]`
    fn range(&mut self) -> Parsed<(Prefix, PortMatch, Range<usize>)> {
        let expected = "an address, as 10.1.0.0/24 or 10.9.0.1[22]";
        let (word, span) = self.word(expected)?;
        let (network, port) = match word.split_once('[') {
            None => (word.as_str(), PortMatch::ANY),
            Some((network, rest)) => {
                let port =
                    rest.strip_suffix(']').ok_or_else(|| wanted(&span, "the port has no ] at its end", expected))?;
                (network, port_match(port).ok_or_else(|| wanted(&span, "this is no port", "[0 to 65535] or [any]"))?)
            }
        };
        match network.parse() {
            Ok(prefix) => Ok((prefix, port, span)),
            Err(error) => {
                let problem = crate::model::text::harmless(&format!("{error}")).into_owned();
                Err(wanted(&span, problem, expected))
            }
        }
    }

    fn upper(&mut self) -> Parsed<(UpperProtocol, Range<usize>)> {
        let expected = "the protocol above IP: any, tcp, udp, icmp, ... or its number";
        let (word, span) = self.word(expected)?;
        let Some(upper) = UpperProtocol::parse(&word.to_ascii_lowercase()) else {
            return Err(self.misread(&span, expected));
        };
        // ICMP types and codes, GRE keys: whatever stands before the -P.
        if let Some(word) = self.peek_word().filter(|word| !word.starts_with('-')) {
            let problem = format!("what follows a protocol ({word:?}) is not understood yet");
            return Err(wanted(&self.peek().span, problem, "-P and in, out or fwd"));
        }
        Ok((upper, span))
    }

    fn policy(&mut self, spans: &mut PolicySpans) -> Parsed<PolicySpec> {
        let mut spec = self.policy_head(spans)?;
        if matches!(self.peek_word().as_deref(), Some("prio" | "priority")) {
            self.take();
            let (priority, span) = self.priority()?;
            spec.priority = priority;
            spans.0.push((PolicyField::Priority, span));
        }
        let (word, span) = self.word("discard, none or ipsec")?;
        spans.0.push((PolicyField::Action, span.clone()));
        match word.to_ascii_lowercase().as_str() {
            "discard" => spec.action = PolicyAction::Block,
            "none" => {}
            "ipsec" => self.rules(&mut spec, spans, &span)?,
            other @ ("bypass" | "entrust") => {
                return Err(wrong(&span, format!("Linux has no policy `{other}`: use none")));
            }
            _ => {
                return Err(self.misread(&span, "discard, none or ipsec"));
            }
        }
        Ok(spec)
    }

    /// `low|def|high [+N|-N]`, or a signed number: setkey counts from the middle, where higher is asked first.
    fn priority(&mut self) -> Parsed<(u32, Range<usize>)> {
        let expected = "a priority: low, def or high with +N or -N behind it, or a number";
        let (word, span) = self.word(expected)?;
        let bad = || wanted(&span, "this is no priority", expected);
        let (base, mut offset) = match word.to_ascii_lowercase().as_str() {
            "low" => (0xc000_0000, 0),
            "def" => (PolicySpec::SETKEY_PRIORITY, 0),
            "high" => (0x4000_0000, 0),
            number => (PolicySpec::SETKEY_PRIORITY, number.parse::<i64>().map_err(|_| bad())?),
        };
        let named = matches!(word.to_ascii_lowercase().as_str(), "low" | "def" | "high");
        let mut end = span.end;
        if let Some(sign) = self.peek_word().filter(|word| named && word.starts_with(['+', '-'])) {
            let token = self.take();
            end = token.span.end;
            // The number may stand apart from its sign.
            let digits = match sign.len() {
                1 => sign.clone() + &self.word("a number")?.0,
                _ => sign,
            };
            offset = digits.parse().map_err(|_| bad())?;
        }
        let priority = i64::from(base) - offset;
        let priority =
            u32::try_from(priority).map_err(|_| wrong(&span, "this priority is beyond the kernel's range"))?;
        Ok((priority, span.start..end))
    }

    fn rules(&mut self, spec: &mut PolicySpec, spans: &mut PolicySpans, action: &Range<usize>) -> Parsed<()> {
        let mut whole: Option<Range<usize>> = None;
        while self.peek().kind == Kind::Word {
            let (word, span) = self.word("a rule")?;
            let template = rule(&word, spec).map_err(|(problem, expected)| wanted(&span, problem, expected))?;
            spec.templates.push(template);
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
}

/// Where the parts of a policy stand.
#[derive(Default)]
struct PolicySpans(Vec<(PolicyField, Range<usize>)>);

impl PolicySpans {
    fn of(&self, field: PolicyField, whole: &Range<usize>) -> Range<usize> {
        self.0.iter().find(|(other, _)| *other == field).map_or_else(|| whole.clone(), |(_, span)| span.clone())
    }
}

fn port_match(text: &str) -> Option<PortMatch> {
    match text {
        "any" => Some(PortMatch::ANY),
        number => number.parse().ok().filter(|_| number.bytes().all(|b| b.is_ascii_digit())).map(PortMatch::exactly),
    }
}

const RULE: &str = "a rule: esp/transport//require, or esp/tunnel/10.9.0.1-10.9.0.2/require";
/// The highest number that setkey's `unique` takes on Linux; above it the kernel picks its own (`IPSEC_MANUAL_REQID_MAX`).
const MOST_UNIQUE: u32 = 0x3fff;

/// `protocol/mode/src-dst/level`
fn rule(word: &str, spec: &PolicySpec) -> Result<Template, (String, String)> {
    let word = word.to_ascii_lowercase();
    let parts: Vec<&str> = word.split('/').collect();
    let expected = |what: &str| (what.to_owned(), RULE.to_owned());
    let [protocol, mode, ends, level] = match parts[..] {
        [protocol, mode, ends, level] => [protocol, mode, ends, level],
        [protocol, mode, ends] => [protocol, mode, ends, ""],
        _ => return Err(expected("a rule has four parts with / between them")),
    };
    let protocol = match protocol {
        "esp" => IpsecProtocol::Esp,
        "ah" => IpsecProtocol::Ah,
        "ipcomp" => IpsecProtocol::Comp,
        _ => return Err(expected("a rule begins with esp, ah or ipcomp")),
    };
    let mode = match mode {
        "transport" => Mode::Transport,
        "tunnel" => Mode::Tunnel,
        _ => return Err(expected("the second part of a rule is transport or tunnel")),
    };
    let unspecified = match spec.selector.source.address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let (source, destination) = match ends {
        "" => (unspecified, unspecified),
        "me-any" | "any-me" => return Err(expected("ends by the words me and any are not understood yet")),
        ends => {
            ends_of(ends).ok_or_else(|| expected("the third part of a rule is two addresses with - between them"))?
        }
    };
    let (level, reqid) = match level.split_once(':') {
        None => match level {
            // Linux requires whatever is not optional (`parse_ipsecrequest`, net/key/af_key.c).
            "require" | "default" | "" => (Level::Required, 0),
            "use" => (Level::Use, 0),
            "unique" => {
                return Err(expected("unique without a number would leave the choice to the kernel: say unique:N"));
            }
            _ => return Err(expected("the last part of a rule is require, use, unique or unique:N")),
        },
        Some(("unique", number)) => match number.parse() {
            Ok(reqid @ 1..=MOST_UNIQUE) => (Level::Required, reqid),
            _ => return Err((format!("unique takes a number from 1 to {MOST_UNIQUE}"), RULE.to_owned())),
        },
        Some(_) => return Err(expected("only unique takes a number")),
    };
    let mut template = Template::new(protocol, mode, source, destination);
    (template.level, template.reqid) = (level, ReqId(reqid));
    Ok(template)
}

fn ends_of(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (source, destination) = text.split_once('-')?;
    Some((source.parse().ok()?, destination.parse().ok()?))
}

/// What Linux's setkey makes beside every policy of direction in: the same for packets that are passed on, whose first
/// transform is never tied to one SA.
pub fn forward_twin(spec: &PolicySpec) -> Option<PolicySpec> {
    if spec.direction != PolicyDirection::In || spec.kind != PolicyKind::Main {
        return None;
    }
    let mut twin = spec.clone();
    twin.direction = PolicyDirection::Forward;
    if let Some(first) = twin.templates.first_mut() {
        first.reqid = ReqId(0);
    }
    Some(twin)
}
