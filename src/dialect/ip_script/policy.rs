//! The commands of `ip xfrm policy`.

use std::net::IpAddr;

use super::Family;
use super::ends::{IdWords, SelectorWords, nowhere};
use super::filter::{all_of, any_flag, is};
use super::reader::{Parsed, Reader, integer, misread, mode, refused, shortened};
use super::sa_words::{if_id, label, limit};
use super::state::{compared, number};
use super::word::Word;
use crate::dialect::deed::Deed;
use crate::dialect::report::SyntaxError;
use crate::model::expression::End;
use crate::model::extras::{Offload, SecurityContext};
use crate::model::policy::{DefaultsChange, ThresholdsChange};
use crate::model::question::{PolicyPlace, Question};
use crate::model::row_filter::{Quantity, RowTest};
use crate::model::{
    IfId, IpsecProtocol, Level, Mark, Mode, Policy, PolicyAction, PolicyDirection, PolicyKind, PolicySpec, ReqId,
    RowFilter, Template,
};

/// What may stand behind `ip xfrm policy`.
#[derive(Clone, Copy)]
enum Verb {
    Add,
    Update,
    Delete,
    DeleteAll,
    List,
    Get,
    Flush,
    Count,
    Set,
    SetDefault,
    GetDefault,
    Help,
}

/// In `ip`'s order: the first one that begins with a shortened word is meant.
const VERBS: [(&str, Verb); 15] = [
    ("add", Verb::Add),
    ("update", Verb::Update),
    ("delete", Verb::Delete),
    ("deleteall", Verb::DeleteAll),
    ("delall", Verb::DeleteAll),
    ("list", Verb::List),
    ("show", Verb::List),
    ("lst", Verb::List),
    ("get", Verb::Get),
    ("flush", Verb::Flush),
    ("count", Verb::Count),
    ("set", Verb::Set),
    ("setdefault", Verb::SetDefault),
    ("getdefault", Verb::GetDefault),
    ("help", Verb::Help),
];

/// What a command that begins with `verb` asks for; without one, `ip` lists.
pub(super) fn deed(verb: Option<Word<'_>>, reader: Reader<'_>, family: Family) -> Parsed<Deed> {
    let Some(word) = verb else {
        return list(reader, family).map(|filter| Deed::Show(Question::Policies(filter)));
    };
    let expected = "add, update, delete, deleteall, list, get, flush, count, set, setdefault or getdefault";
    let verb = shortened(word.text, &VERBS).ok_or_else(|| misread(&word, expected))?;
    match verb {
        Verb::Add => spec(reader, family).map(|spec| Deed::AddPolicies(vec![spec])),
        Verb::Update => spec(reader, family).map(|spec| Deed::UpdatePolicies(vec![spec])),
        Verb::Delete => Ok(match name(reader, family)? {
            Name::Selector(spec) => Deed::DeletePolicy(Box::new(spec.id())),
            Name::Place(place) => Deed::DeletePolicyAt(place),
        }),
        Verb::Get => Ok(Deed::Show(match name(reader, family)? {
            Name::Selector(spec) => Question::Policy(Box::new(spec.id())),
            Name::Place(place) => Question::PolicyAt(place),
        })),
        Verb::DeleteAll => list(reader, family).map(Deed::DeletePolicies),
        Verb::List => list(reader, family).map(|filter| Deed::Show(Question::Policies(filter))),
        Verb::Flush => flush(reader).map(Deed::FlushPolicies),
        Verb::Count => reader.nothing_more().map(|()| Deed::Show(Question::CountPolicies)),
        Verb::Set => thresholds(reader).map(Deed::SetThresholds),
        Verb::SetDefault => defaults(reader).map(Deed::SetDefaults),
        Verb::GetDefault => reader.nothing_more().map(|()| Deed::Show(Question::Defaults)),
        Verb::Help => Err(refused(&word, "this explains `ip` and asks for nothing")),
    }
}

/// What names a policy.
#[derive(Default)]
struct NameWords {
    selector: SelectorWords,
    has_selector: bool,
    direction: Option<PolicyDirection>,
    index: Option<u32>,
    kind: PolicyKind,
    mark: Option<Mark>,
    if_id: Option<IfId>,
    security: Option<SecurityContext>,
}

impl NameWords {
    fn take(&mut self, reader: &mut Reader<'_>, word: &Word<'_>) -> Parsed<bool> {
        match word.text {
            "dir" => self.direction = Some(direction(reader)?),
            "index" => self.index = Some(reader.number("a policy's number")?),
            "ptype" => self.kind = kind(reader)?,
            "mark" => self.mark = reader.mark()?,
            "if_id" => self.if_id = if_id(reader)?,
            "ctx" => self.security = Some(label(reader)?),
            _ if self.selector.take(reader, word)? => {
                self.selector.check(reader)?;
                self.has_selector = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn direction(&self, reader: &Reader<'_>) -> Parsed<PolicyDirection> {
        let end = reader.end..reader.end;
        self.direction.ok_or_else(|| SyntaxError::wanted(end, "no direction is named", "dir in, out or fwd"))
    }

    /// What of a policy is its name, as a policy.
    fn spec(self, reader: &Reader<'_>, family: Family) -> Parsed<PolicySpec> {
        let selector = self.selector.selector(family == Family::V6);
        let mut spec = PolicySpec::new(self.direction(reader)?, selector);
        (spec.kind, spec.mark, spec.if_id) = (self.kind, self.mark, self.if_id);
        spec.index = self.index.unwrap_or(0);
        spec.security = self.security.map(Box::new);
        Ok(spec)
    }
}

fn direction(reader: &mut Reader<'_>) -> Parsed<PolicyDirection> {
    reader.value("in, out or fwd", |text| match text {
        "in" => Some(PolicyDirection::In),
        "out" => Some(PolicyDirection::Out),
        "fwd" => Some(PolicyDirection::Forward),
        _ => None,
    })
}

fn kind(reader: &mut Reader<'_>) -> Parsed<PolicyKind> {
    reader.value("main or sub", |text| match text {
        "main" => Some(PolicyKind::Main),
        "sub" => Some(PolicyKind::Sub),
        _ => None,
    })
}

fn action(reader: &mut Reader<'_>) -> Parsed<PolicyAction> {
    reader.value("allow or block", |text| match text {
        "allow" => Some(PolicyAction::Allow),
        "block" => Some(PolicyAction::Block),
        _ => None,
    })
}

/// The words for a policy's flags, by bit.
const FLAGS: [&str; 2] = [Policy::FLAGS[0].1, Policy::FLAGS[1].1];

/// A policy. Its words come in any order, but what stands behind `tmpl` belongs to the template.
pub(super) fn spec(mut reader: Reader<'_>, family: Family) -> Parsed<PolicySpec> {
    let mut names = NameWords::default();
    let mut rest = PolicySpec::new(PolicyDirection::Out, SelectorWords::default().selector(false));
    let mut templates: Vec<TemplateWords> = Vec::new();
    while let Some(word) = reader.next() {
        match word.text {
            "action" => rest.action = action(&mut reader)?,
            "priority" => rest.priority = reader.number("a number")?,
            "flag" => rest.flags |= reader.small_flags(&FLAGS)?,
            "limit" => limit(&mut reader, &mut rest.limits)?,
            "offload" => {
                reader.expect("packet")?;
                reader.expect("dev")?;
                rest.offload = Some(Offload { interface: reader.interface()?, flags: Offload::PACKET });
            }
            "tmpl" => {
                // Without an address it is of the family of what stands before it.
                let before = templates.last().and_then(|template| template.is_v6);
                let like = before.or(names.selector.ends.is_v6()).or(family.is_v6());
                templates.push(template(&mut reader, like)?);
            }
            _ if names.take(&mut reader, &word)? => {}
            _ => return Err(misread(&word, "an attribute of a policy as `ip xfrm policy add` takes it")),
        }
    }
    let PolicySpec { action, priority, flags, limits, offload, .. } = rest;
    let spec = names.spec(&reader, family)?;
    let is_v6 = spec.selector.destination.address.is_ipv6();
    let templates = templates.into_iter().map(|words| words.template(is_v6)).collect();
    Ok(PolicySpec { action, priority, flags, limits, templates, offload, ..spec })
}

/// A template whose family may not be known yet.
struct TemplateWords {
    is_v6: Option<bool>,
    id: IdWords,
    rest: Template,
}

impl TemplateWords {
    fn template(self, is_v6: bool) -> Template {
        let [source, destination] = self.id.ends.addresses(self.is_v6.unwrap_or(is_v6));
        Template { source, destination, ..self.rest }
    }
}

fn template(reader: &mut Reader<'_>, like: Option<bool>) -> Parsed<TemplateWords> {
    let anywhere: IpAddr = nowhere(false);
    let mut rest = Template::new(IpsecProtocol::Any, Mode::Transport, anywhere, anywhere);
    let mut id = IdWords::default();
    while let Some(word) = reader.next() {
        match word.text {
            "mode" => rest.mode = reader.value("transport, tunnel, beet, ro or in_trigger", mode)?,
            "reqid" => rest.reqid = ReqId(reader.number("a reqid")?),
            "level" => {
                rest.level = reader.value("required or use", |text| match text {
                    "required" => Some(Level::Required),
                    "use" => Some(Level::Use),
                    _ => None,
                })?;
            }
            _ if id.take(reader, &word)? => {}
            _ => {
                reader.words.push_front(word);
                break;
            }
        }
    }
    rest.protocol = id.protocol(reader)?;
    rest.spi = id.spi.unwrap_or_default();
    Ok(TemplateWords { is_v6: id.ends.is_v6().or(like), id, rest })
}

/// How one policy is named.
enum Name {
    Selector(Box<PolicySpec>),
    Place(PolicyPlace),
}

fn name(mut reader: Reader<'_>, family: Family) -> Parsed<Name> {
    let mut names = NameWords::default();
    while let Some(word) = reader.next() {
        if word.text == "ctx" {
            return Err(refused(&word, "espial finds a policy with a label by its index: say `index` and `dir`"));
        }
        if !names.take(&mut reader, &word)? {
            return Err(misread(&word, "a selector or index, dir, mark, ptype or if_id"));
        }
    }
    let at = reader.end..reader.end;
    let problem = |problem: &str| SyntaxError { span: at.clone(), problem: problem.to_owned(), expected: None };
    match (names.index, names.has_selector) {
        (Some(_), true) => Err(problem("a policy is named by its selector or by its index, not by both")),
        (None, false) => Err(problem("a policy is named by its selector or by its index")),
        (Some(index), false) => {
            Ok(Name::Place(PolicyPlace { index, direction: names.direction(&reader)?, kind: names.kind }))
        }
        (None, true) => {
            names.mark = compared(names.mark);
            names.spec(&reader, family).map(|spec| Name::Selector(Box::new(spec)))
        }
    }
}

/// What `list` and `deleteall` look for. Policies of sockets are never among it, as with `nosock`.
fn list(mut reader: Reader<'_>, family: Family) -> Parsed<Option<RowFilter>> {
    let (mut selector, mut tests) = (SelectorWords::default(), Vec::new());
    while let Some(word) = reader.next() {
        match word.text {
            "nosock" => {}
            "dir" => tests.push(is(RowTest::Way(match direction(&mut reader)? {
                PolicyDirection::In => "in",
                PolicyDirection::Out => "out",
                PolicyDirection::Forward | PolicyDirection::Socket(_) => "fwd",
            }))),
            "index" => tests.push(number(Quantity::Index, reader.number("a policy's number")?)),
            "priority" => tests.push(number(Quantity::Priority, reader.number("a number")?)),
            "ptype" => tests.push(is(RowTest::Kind(kind(&mut reader)?))),
            "action" => {
                let verb = |verb| is(RowTest::Action(verb));
                tests.push(if action(&mut reader)? == PolicyAction::Block {
                    verb("block")
                } else {
                    RowFilter::Or(Box::new(verb("allow")), Box::new(verb("protect")))
                });
            }
            "flag" => tests.push(any_flag(&mut reader, &FLAGS)?),
            _ if selector.take(&mut reader, &word)? => selector.check(&reader)?,
            _ => {
                return Err(misread(&word, "a selector, dir, index, ptype, action, priority, flag or nosock"));
            }
        }
    }
    tests.extend(family.filter());
    let ends = [End::Source, End::Destination].into_iter().zip(selector.ends.asked());
    tests.extend(ends.filter_map(|(end, asked)| Some(is(RowTest::Net(end, asked?)))));
    tests.extend(selector.protocol.map(|protocol| is(RowTest::Upper(protocol))));
    let ports = [(End::Source, selector.source_port), (End::Destination, selector.destination_port)];
    tests.extend(ports.into_iter().filter_map(|(end, port)| Some(is(RowTest::Port(end, port?.value)))));
    tests.extend(selector.interface.map(|interface| number(Quantity::Interface, interface)));
    all_of(tests, &reader)
}

fn flush(mut reader: Reader<'_>) -> Parsed<PolicyKind> {
    let flushed = if reader.takes("ptype") { kind(&mut reader)? } else { PolicyKind::Main };
    reader.nothing_more()?;
    Ok(flushed)
}

fn thresholds(mut reader: Reader<'_>) -> Parsed<ThresholdsChange> {
    let mut change = ThresholdsChange::default();
    while let Some(word) = reader.next() {
        let (slot, most) = match word.text {
            "hthresh4" => (&mut change.v4, 32),
            "hthresh6" => (&mut change.v6, 128),
            _ => return Err(misread(&word, "hthresh4 or hthresh6")),
        };
        let length = |reader: &mut Reader<'_>| {
            let long = |text: &str| u8::try_from(integer(text)?).ok().filter(|length| *length <= most);
            reader.value(&format!("a prefix length from 0 to {most}"), long)
        };
        if slot.replace((length(&mut reader)?, length(&mut reader)?)).is_some() {
            return Err(refused(&word, "these thresholds are set already"));
        }
    }
    Ok(change)
}

fn defaults(mut reader: Reader<'_>) -> Parsed<DefaultsChange> {
    let mut change = DefaultsChange::default();
    let first = reader.end..reader.end;
    while let Some(word) = reader.next() {
        let slot = match word.text {
            "in" => &mut change.input,
            "fwd" => &mut change.forward,
            "out" => &mut change.output,
            _ => return Err(misread(&word, "in, fwd or out")),
        };
        let fate = reader.value("block or accept", |text| match text {
            "block" => Some(PolicyAction::Block),
            "accept" | "allow" => Some(PolicyAction::Allow),
            _ => None,
        })?;
        if slot.replace(fate).is_some() {
            return Err(refused(&word, "this direction is set already"));
        }
    }
    if change == DefaultsChange::default() {
        return Err(SyntaxError::wanted(first, "nothing is set", "in, fwd or out, each with block or accept"));
    }
    Ok(change)
}
