//! Scripts of `ip xfrm` commands: lines for a shell, or for `ip -batch`.
//!
//! All of `ip xfrm state` and `ip xfrm policy` is read, in the orders and with the shortened words that `ip` takes. What
//! would never end (`monitor`), what would change another namespace and what espial cannot write is refused by name;
//! nothing is dropped.

mod ends;
mod filter;
mod policy;
pub(super) mod reader;
pub(super) mod sa_words;
mod secret;
mod state;
pub(super) mod word;

use std::ops::Range;

use self::reader::{Parsed, Reader, misread, refused, shortened};
use self::word::words;
use super::Interfaces;
use super::deed::{Deed, Script, Statement, Warning};
use super::report::SyntaxError;
use crate::model::check::{self, Severity};
use crate::model::expression::End;
use crate::model::row_filter::RowTest;
use crate::model::{Prefix, RowFilter};

pub(super) use self::ends::Kind;
pub(super) use self::secret::key_spans;

/// As many errors as are worth reading.
const MOST_ERRORS: usize = 20;

/// Whether a text is of this language: its first word tells.
pub fn looks_like(source: &str) -> bool {
    if source.lines().next().is_some_and(|line| line.starts_with("#!") && line.split(['/', ' ']).any(is_shell)) {
        return true;
    }
    let mut lines = source.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines.next().and_then(|line| line.split_whitespace().next());
    first.is_some_and(|first| first == "ip" || "xfrm".starts_with(first) || matches!(first, "state" | "sa" | "policy"))
}

/// Reads a script; interfaces have their numbers from `interfaces`.
///
/// # Errors
/// Every error with its place, up to some.
pub fn parse(source: &str, interfaces: Interfaces<'_>) -> Result<Script, Vec<SyntaxError>> {
    let mut warnings = Vec::new();
    let statements = read(source, interfaces, &mut |deed, span| judge(deed, span, &mut warnings))?;
    Ok(Script { statements, warnings })
}

/// The statements, whatever they ask for, if none has an error or one that `judge` finds.
pub(super) fn read(
    source: &str,
    interfaces: Interfaces<'_>,
    judge: &mut dyn FnMut(&Deed, &Range<usize>) -> Vec<SyntaxError>,
) -> Result<Vec<Statement>, Vec<SyntaxError>> {
    let (mut statements, mut errors) = (Vec::new(), Vec::new());
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
        if first.text == "set" && words.iter().skip(1).all(|word| word.text.starts_with('-')) {
            // What a shell is to do about errors; here an error ends it anyway.
            continue;
        }
        if let Some(word) = words.iter().find(|word| needs_a_shell(source, word)) {
            let problem = "what a shell puts in here is not known: run the script with a shell, or write it out";
            errors.push(SyntaxError { span: word.span.clone(), problem: problem.to_owned(), expected: None });
            continue;
        }
        match command(Reader { words, end: span.end, interfaces, printed: false }) {
            Ok(deed) => {
                errors.extend(judge(&deed, &span));
                statements.push(Statement { deed, span });
            }
            Err(error) => errors.push(error),
        }
        if errors.len() >= MOST_ERRORS {
            break;
        }
    }
    if errors.is_empty() { Ok(statements) } else { Err(errors) }
}

fn is_shell(word: &str) -> bool {
    matches!(word, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh")
}

/// Whether a shell would put something else in the place of a word, or of a part of it: variables and the output of
/// commands. Taken as it stands, it could become a key that everybody can guess.
fn needs_a_shell(source: &str, word: &word::Word<'_>) -> bool {
    let is_literal = source.get(word.span.clone()).is_some_and(|text| text.starts_with('\''));
    !is_literal && word.text.contains(['$', '`'])
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

/// The family that an option asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
}

impl Family {
    fn is_v6(self) -> Option<bool> {
        match self {
            Self::Any => None,
            Self::V4 => Some(false),
            Self::V6 => Some(true),
        }
    }

    /// What lists are narrowed to.
    fn filter(self) -> Option<RowFilter> {
        let all = if self.is_v6()? { Prefix::ANY_V6 } else { Prefix::ANY_V4 };
        Some(RowFilter::Is(RowTest::Net(End::Either, all)))
    }
}

/// What a command is about.
#[derive(Clone, Copy)]
enum Object {
    State,
    Policy,
    Monitor,
}

/// In `ip`'s order: the first one that begins with a shortened word is meant.
const OBJECTS: [(&str, Object); 4] =
    [("state", Object::State), ("sa", Object::State), ("policy", Object::Policy), ("monitor", Object::Monitor)];

fn command(mut reader: Reader<'_>) -> Parsed<Deed> {
    let family = if reader.takes("ip") { options(&mut reader)? } else { Family::Any };
    if reader.peek().is_some_and(|word| shortened(word.text, &[("xfrm", ())]).is_some()) {
        reader.next();
    }
    let object = reader.take("state or policy")?;
    match shortened(object.text, &OBJECTS) {
        Some(Object::State) => state::deed(reader.next(), reader, family),
        Some(Object::Policy) => policy::deed(reader.next(), reader, family),
        Some(Object::Monitor) => Err(refused(&object, "this never ends: `espial` shows events as they come")),
        None => Err(misread(&object, "state or policy")),
    }
}

/// What an option of `ip` does here.
#[derive(Clone, Copy)]
enum Meaning {
    /// It is about how `ip` prints.
    Nothing,
    Family(Family),
    /// The family is in the next word.
    FamilyWord,
    Refused(&'static str),
}

/// In `ip`'s order.
const OPTIONS: &[(&str, Meaning)] = &[
    ("-4", Meaning::Family(Family::V4)),
    ("-6", Meaning::Family(Family::V6)),
    ("-family", Meaning::FamilyWord),
    ("-stats", Meaning::Nothing),
    ("-statistics", Meaning::Nothing),
    ("-details", Meaning::Nothing),
    ("-resolve", Meaning::Nothing),
    ("-oneline", Meaning::Nothing),
    ("-timestamp", Meaning::Nothing),
    ("-tshort", Meaning::Nothing),
    ("-human", Meaning::Nothing),
    ("-iec", Meaning::Nothing),
    ("-brief", Meaning::Nothing),
    ("-json", Meaning::Nothing),
    ("-pretty", Meaning::Nothing),
    ("-color", Meaning::Nothing),
    ("-Numeric", Meaning::Nothing),
    ("-echo", Meaning::Nothing),
    ("-netns", Meaning::Refused("a script is for one namespace: `espial --netns NAME apply FILE`")),
    ("-batch", Meaning::Refused("this runs another file: apply that")),
    ("-force", Meaning::Refused("a script is carried out as a whole or not at all")),
];

fn options(reader: &mut Reader<'_>) -> Parsed<Family> {
    let mut family = Family::Any;
    while let Some(word) = reader.peek().filter(|word| word.text.starts_with('-')).cloned() {
        reader.next();
        let text = if word.text.starts_with("--") { word.text.get(1..).unwrap_or_default() } else { word.text };
        // A single hyphen would begin every one.
        match shortened(text, OPTIONS).filter(|_| text.len() > 1) {
            Some(Meaning::Nothing) => {}
            Some(Meaning::Family(named)) => family = named,
            Some(Meaning::FamilyWord) => {
                family = reader.value("inet or inet6", |text| match text {
                    "inet" => Some(Family::V4),
                    "inet6" => Some(Family::V6),
                    _ => None,
                })?;
            }
            Some(Meaning::Refused(why)) => return Err(refused(&word, why)),
            None => return Err(misread(&word, "an option of `ip`, as -4 or -6, or xfrm")),
        }
    }
    Ok(family)
}

/// Errors of what is to be written, and its warnings.
fn judge(deed: &Deed, span: &Range<usize>, warnings: &mut Vec<Warning>) -> Vec<SyntaxError> {
    let problems: Vec<(Severity, String)> = match deed {
        Deed::AddSa(spec) | Deed::UpdateSa(spec) => {
            check::sa(spec).into_iter().map(|problem| (problem.severity, problem.sentence)).collect()
        }
        Deed::AddPolicies(specs) | Deed::UpdatePolicies(specs) => {
            let problems = specs.iter().flat_map(check::policy);
            problems.map(|problem| (problem.severity, problem.sentence)).collect()
        }
        _ => Vec::new(),
    };
    let mut errors = Vec::new();
    for (severity, sentence) in problems {
        let span = span.clone();
        match severity {
            Severity::Error => errors.push(SyntaxError { span, problem: sentence, expected: None }),
            Severity::Warning => warnings.push(Warning { span, sentence }),
        }
    }
    errors
}

#[cfg(test)]
mod tests;
