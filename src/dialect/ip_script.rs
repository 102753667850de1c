//! Scripts of `ip xfrm` commands: lines for a shell, or for `ip -batch`, that make and remove SAs and policies.
//!
//! What `ip` can do besides (`list`, `monitor`, `update`, `allocspi`, ...) is refused by name, and so is what espial
//! cannot write; nothing is dropped.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Range;

use super::deed::{Deed, Script, Statement, Warning};
use super::left_out_of_sa;
use super::report::SyntaxError;
use super::xfrm_state::word::{Word, words};
use super::xfrm_state::{Parsed, Reader, misread, mode, protocol};
use crate::model::check::{self, Severity};
use crate::model::{
    IfId, IpsecProtocol, Level, Mode, PolicyAction, PolicyDirection, PolicyId, PolicyKind, PolicySpec, ReqId, SaId,
    Selector, Spi, Template,
};

/// As many errors as are worth reading.
const MOST_ERRORS: usize = 20;

/// Whether a text is of this language: its first word tells.
pub fn looks_like(source: &str) -> bool {
    let mut lines = source.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines.next().and_then(|line| line.split_whitespace().next());
    matches!(first, Some("ip" | "xfrm" | "state" | "policy"))
}

/// Reads a script.
///
/// # Errors
/// Every error with its place, up to some.
pub fn parse(source: &str) -> Result<Script, Vec<SyntaxError>> {
    let mut script = Script::default();
    let mut errors = Vec::new();
    for range in commands(source) {
        let mut words = words(source.get(range.clone()).unwrap_or_default());
        for (place, word) in words.iter_mut().enumerate() {
            word.span = word.span.start + range.start..word.span.end + range.start;
            word.is_first = place == 0;
        }
        let (Some(first), Some(last)) = (words.front(), words.back()) else {
            continue;
        };
        let span = first.span.start..last.span.end;
        let reader = Reader { words, end: span.end };
        match command(reader, &span, &mut script.warnings) {
            Ok(deed) => script.statements.push(Statement { deed, span }),
            Err(found) => errors.extend(found),
        }
        if errors.len() >= MOST_ERRORS {
            break;
        }
    }
    if errors.is_empty() { Ok(script) } else { Err(errors) }
}

/// The lines, those that end in a backslash joined with the next one.
fn commands(source: &str) -> Vec<Range<usize>> {
    let mut commands = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in source.split_inclusive('\n') {
        at += line.len();
        if !line.trim_end_matches(['\n', '\r']).ends_with('\\') {
            commands.push(start..at);
            start = at;
        }
    }
    if start < at {
        commands.push(start..at);
    }
    commands
}

fn command(mut reader: Reader<'_>, span: &Range<usize>, warnings: &mut Vec<Warning>) -> Result<Deed, Vec<SyntaxError>> {
    if reader.takes("ip") {
        // Of its options only those that choose a family mean nothing here.
        while reader.takes("-4") || reader.takes("-6") {}
    }
    reader.takes("xfrm");
    let object = reader.take("state or policy").map_err(one)?;
    let verb = reader.take("add, delete or flush").map_err(one)?;
    match (object.text, verb.text) {
        ("state", "add") => add_sa(reader, span, warnings),
        ("state", "delete" | "del") => delete_sa(reader).map_err(one),
        ("state", "flush") => flush_sas(reader).map_err(one),
        ("policy", "add") => add_policy(reader, span, warnings),
        ("policy", "delete" | "del") => delete_policy(reader).map_err(one),
        ("policy", "flush") => flush_policies(reader).map_err(one),
        ("state" | "policy", "update" | "upd") => Err(one(refused(&verb, "to change it, delete it and add it again"))),
        ("state" | "policy", "list" | "ls" | "show" | "get" | "count" | "monitor" | "getdefault") => {
            Err(one(refused(&verb, "this only looks: nothing is applied by it")))
        }
        ("state", "allocspi" | "deleteall") | ("policy", "deleteall" | "set" | "setdefault") => {
            Err(one(refused(&verb, "this cannot be applied here; `ip` itself can")))
        }
        ("state" | "policy", _) => Err(one(misread(&verb, "add, delete or flush"))),
        _ => Err(one(misread(&object, "state or policy"))),
    }
}

fn one(error: SyntaxError) -> Vec<SyntaxError> {
    vec![error]
}

fn refused(word: &Word<'_>, why: &str) -> SyntaxError {
    SyntaxError { span: word.span.clone(), problem: why.to_owned(), expected: None }
}

/// Errors of a checked object, and its warnings.
fn judge(
    problems: impl Iterator<Item = (Severity, String)>,
    span: &Range<usize>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Vec<SyntaxError>> {
    let mut errors = Vec::new();
    for (severity, sentence) in problems {
        let span = span.clone();
        match severity {
            Severity::Error => errors.push(SyntaxError { span, problem: sentence, expected: None }),
            Severity::Warning => warnings.push(Warning { span, sentence }),
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The words of an ID, which `ip` takes in any order, in the order in which they are read here; those of a selector
/// stay where they are.
fn with_id_in_order(words: VecDeque<Word<'_>>) -> VecDeque<Word<'_>> {
    const ID: [&str; 4] = ["src", "dst", "proto", "spi"];
    let mut id: [Vec<Word<'_>>; 4] = Default::default();
    let mut others = VecDeque::new();
    let mut words = words.into_iter().peekable();
    let mut in_selector = false;
    while let Some(word) = words.next() {
        in_selector |= word.text == "sel" && !word.quoted;
        let place = ID.iter().position(|name| *name == word.text).filter(|_| !in_selector && !word.quoted);
        match place.and_then(|place| id.get_mut(place)) {
            Some(slot) if slot.is_empty() => {
                slot.push(word);
                slot.extend(words.next());
            }
            _ => others.push_back(word),
        }
    }
    id.into_iter().flatten().chain(others).collect()
}

fn add_sa(reader: Reader<'_>, span: &Range<usize>, warnings: &mut Vec<Warning>) -> Result<Deed, Vec<SyntaxError>> {
    no_names(&reader)?;
    let sa = Reader { words: with_id_in_order(reader.words), ..reader }.sa().map_err(one)?;
    let lost = left_out_of_sa(&sa);
    if !lost.is_empty() {
        let why = format!("espial cannot write this of an SA: {}; `ip` can", lost.join(", "));
        return Err(vec![SyntaxError { span: span.clone(), problem: why, expected: None }]);
    }
    if sa.replay.sent != 0 || sa.replay.received != 0 {
        let why = "espial begins with sequence number 1; `ip` can begin elsewhere".to_owned();
        return Err(vec![SyntaxError { span: span.clone(), problem: why, expected: None }]);
    }
    let spec = sa.to_spec();
    judge(check::sa(&spec).into_iter().map(|problem| (problem.severity, problem.sentence)), span, warnings)?;
    Ok(Deed::AddSa(Box::new(spec)))
}

/// An interface has a number only in a namespace, and a text knows none.
fn no_names(reader: &Reader<'_>) -> Result<(), Vec<SyntaxError>> {
    match reader.words.iter().find(|word| word.text == "dev" && !word.quoted) {
        Some(word) => Err(one(refused(word, "an interface's name cannot be read here; `ip` can"))),
        None => Ok(()),
    }
}

fn delete_sa(reader: Reader<'_>) -> Parsed<Deed> {
    let mut reader = Reader { words: with_id_in_order(reader.words), ..reader };
    if reader.takes("src") {
        reader.parsed::<IpAddr>("an address")?;
    }
    if !reader.takes("dst") {
        return Err(misread(&reader.take("dst and an address")?, "dst and an address"));
    }
    let destination = reader.parsed("an address")?;
    if !reader.takes("proto") {
        return Err(misread(&reader.take("proto")?, "proto"));
    }
    let protocol = reader.value("esp, ah or comp", protocol)?;
    let spi = if reader.takes("spi") { Spi(reader.number("an SPI")?) } else { Spi(0) };
    let mark = if reader.takes("mark") { Some(reader.mark()?) } else { None };
    nothing_more(&reader)?;
    Ok(Deed::DeleteSa(SaId { destination, protocol, spi, mark, acquire_sequence: 0 }))
}

fn nothing_more(reader: &Reader<'_>) -> Parsed<()> {
    reader.peek().map_or(Ok(()), |word| Err(misread(word, "the end of the line")))
}

fn flush_sas(mut reader: Reader<'_>) -> Parsed<Deed> {
    let flushed = if reader.takes("proto") { reader.value("esp, ah or comp", protocol)? } else { IpsecProtocol::Any };
    nothing_more(&reader)?;
    Ok(Deed::FlushSas(flushed))
}

fn flush_policies(mut reader: Reader<'_>) -> Parsed<Deed> {
    if reader.takes("ptype") && !reader.takes("main") {
        return Err(refused(&reader.take("main")?, "sub policies cannot be flushed here; `ip` can"));
    }
    nothing_more(&reader)?;
    Ok(Deed::FlushPolicies(PolicyKind::Main))
}

/// What names a policy, and what else there may be.
fn policy_head(reader: &mut Reader<'_>) -> Parsed<PolicySpec> {
    // The family is that of the first address.
    let addresses = reader.words.iter().skip_while(|word| !matches!(word.text, "src" | "dst"));
    let is_v6 = addresses.take_while(|word| word.text != "tmpl").any(|word| word.text.contains(':'));
    let anywhere: IpAddr = if is_v6 { [0; 16].into() } else { [0; 4].into() };
    // `ip` takes the direction anywhere before the templates.
    let is_dir = |word: &Word<'_>| matches!(word.text, "dir" | "tmpl") && !word.quoted;
    let place = reader
        .words
        .iter()
        .position(is_dir)
        .filter(|place| reader.words.get(*place).is_some_and(|word| word.text == "dir"));
    let direction: Vec<Word<'_>> =
        place.map(|at| reader.words.drain(at..(at + 2).min(reader.words.len())).collect()).unwrap_or_default();
    let selector: Selector = reader.selector(anywhere)?;
    for word in direction.into_iter().rev() {
        reader.words.push_front(word);
    }
    if !reader.takes("dir") {
        return Err(misread(&reader.take("dir")?, "src, dst, proto, sport, dport, type, code, key or dir"));
    }
    let direction = reader.value("in, out or fwd", |text| match text {
        "in" => Some(PolicyDirection::In),
        "out" => Some(PolicyDirection::Out),
        "fwd" => Some(PolicyDirection::Forward),
        _ => None,
    })?;
    Ok(PolicySpec::new(direction, selector))
}

fn policy_attribute(reader: &mut Reader<'_>, spec: &mut PolicySpec, word: &Word<'_>) -> Parsed<bool> {
    match word.text {
        "mark" => spec.mark = Some(reader.mark()?),
        "if_id" => spec.if_id = Some(IfId(reader.number("an interface id")?)),
        "ptype" => {
            spec.kind = reader.value("main or sub", |text| match text {
                "main" => Some(PolicyKind::Main),
                "sub" => Some(PolicyKind::Sub),
                _ => None,
            })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn delete_policy(mut reader: Reader<'_>) -> Parsed<Deed> {
    let mut spec = policy_head(&mut reader)?;
    while let Some(word) = reader.words.pop_front() {
        if !policy_attribute(&mut reader, &mut spec, &word)? {
            return Err(misread(&word, "mark, ptype or if_id"));
        }
    }
    let id: PolicyId = spec.id();
    Ok(Deed::DeletePolicy(Box::new(id)))
}

fn add_policy(
    mut reader: Reader<'_>,
    span: &Range<usize>,
    warnings: &mut Vec<Warning>,
) -> Result<Deed, Vec<SyntaxError>> {
    no_names(&reader)?;
    let spec = policy(&mut reader).map_err(one)?;
    judge(check::policy(&spec).into_iter().map(|problem| (problem.severity, problem.sentence)), span, warnings)?;
    Ok(Deed::AddPolicies(vec![spec]))
}

fn policy(reader: &mut Reader<'_>) -> Parsed<PolicySpec> {
    let mut spec = policy_head(reader)?;
    while let Some(word) = reader.words.pop_front() {
        match word.text {
            "action" => {
                spec.action = reader.value("allow or block", |text| match text {
                    "allow" => Some(PolicyAction::Allow),
                    "block" => Some(PolicyAction::Block),
                    _ => None,
                })?;
            }
            "priority" => spec.priority = reader.number("a number")?,
            "flag" => {
                let names = ["localok", "icmp"];
                spec.flags |= reader.flags(|word| names.iter().position(|name| *name == word))?;
            }
            "limit" => reader.limit(&mut spec.limits)?,
            "tmpl" => spec.templates.push(template(reader, spec.selector.destination.address)?),
            _ if policy_attribute(reader, &mut spec, &word)? => {}
            _ => return Err(misread(&word, "action, priority, mark, ptype, flag, if_id, limit or tmpl")),
        }
    }
    Ok(spec)
}

fn template(reader: &mut Reader<'_>, like: IpAddr) -> Parsed<Template> {
    let anywhere: IpAddr = if like.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let mut template = Template::new(IpsecProtocol::Esp, Mode::Transport, anywhere, anywhere);
    let mut named = None;
    loop {
        if reader.takes("src") {
            template.source = reader.parsed("an address")?;
        } else if reader.takes("dst") {
            template.destination = reader.parsed("an address")?;
        } else if reader.takes("proto") {
            named = Some(reader.value("esp, ah or comp", protocol)?);
        } else if reader.takes("spi") {
            template.spi = Spi(reader.number("an SPI")?);
        } else if reader.takes("mode") {
            template.mode = reader.value("transport, tunnel, beet, iptfs, ro or in_trigger", mode)?;
        } else if reader.takes("reqid") {
            template.reqid = ReqId(reader.number("a reqid")?);
        } else if reader.takes("level") {
            template.level = reader.value("required or use", |text| match text {
                "required" => Some(Level::Required),
                "use" => Some(Level::Use),
                _ => None,
            })?;
        } else {
            break;
        }
    }
    let Some(protocol) = named else {
        let end = reader.peek().map_or(reader.end..reader.end, |word| word.span.clone());
        return Err(SyntaxError::wanted(end, "a template names no protocol", "proto esp, ah or comp"));
    };
    template.protocol = protocol;
    Ok(template)
}

#[cfg(test)]
mod tests;
