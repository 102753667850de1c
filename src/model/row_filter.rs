//! A language to choose SAs and policies by: the same on the screen, in `espial sa` and `espial policy`, and for what is
//! to be deleted. It knows nothing of columns: whether a bare word stands in a row, the caller says.
//!
//! ```text
//! condition = FIELD [ sign ] value | WORD | "\"...\""
//! sign      = "=" | "!=" | "<" | "<=" | ">" | ">="
//! ```
//!
//! Conditions are joined as [`expression`](super::expression) says; where nothing stands between two, both must hold.
//! [`FIELDS`] is the list of fields. A word that is none must stand somewhere in the row; in quotes, fields' names too.

use std::net::IpAddr;

use super::expression::{End, Expression, FilterError, Language, Words};
use super::lifetime::parse_seconds;
use super::number::parse_u32;
use super::{IpsecProtocol, Mode, Policy, PolicyKind, Prefix, Sa, SaDirection, Selector, Template, UpperProtocol};

/// What a row fits, or does not.
pub type RowFilter = Expression<RowTest>;

/// What the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Security associations.
    Sas,
    /// Policies.
    Policies,
}

/// A single condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowTest {
    /// The row's text contains it, letter case aside; it is in small letters.
    Text(Box<str>),
    /// An SA has this address at this end; a policy asks only for addresses in it.
    Net(End, Prefix),
    /// An SA, or a template with addresses, has such an end.
    Peer(Prefix),
    /// The SA's transform, or that of a template.
    Protocol(IpsecProtocol),
    /// The mode of an SA, or of a template.
    Mode(Mode),
    /// The protocol that a selector asks for.
    Upper(UpperProtocol),
    /// Which way, in a word: `in`, `out`, `fwd` or `socket`.
    Way(&'static str),
    /// What hides the payload: an algorithm's label, or the beginning of one.
    Encryption(Box<str>),
    /// What proves the origin, likewise.
    Authentication(Box<str>),
    /// What a policy does, in its verb.
    Action(&'static str),
    /// A flag, as `ip xfrm` calls it.
    Flag(Box<str>),
    /// Main or sub.
    Kind(PolicyKind),
    /// A mark; every mask will do where none is said.
    Mark(u32, Option<u32>),
    /// How a number compares.
    Number(Quantity, Relation, u64),
}

/// A number of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the field that it is named after")]
pub enum Quantity {
    Spi,
    ReqId,
    IfId,
    /// All kinds together.
    Errors,
    /// Seconds since it was added.
    Age,
    Bytes,
    Packets,
    Priority,
    Index,
    /// Of the selector, as is the next one; 0 where every port will do.
    SourcePort,
    DestinationPort,
    /// The number of the selector's interface; 0 where every one will do.
    Interface,
}

/// How a number must compare with the one that is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the sign that it is named after")]
pub enum Relation {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Relation {
    fn holds(self, a: u64, b: u64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::Greater => a > b,
            Self::AtLeast => a >= b,
        }
    }
}

/// How a field's value is read.
#[derive(Clone, Copy)]
enum Reader {
    /// Text that is compared as a whole.
    Whole(fn(&str) -> Option<RowTest>),
    /// A number, which may be compared.
    Number(Quantity, fn(&str) -> Option<u64>),
}

/// A field that can be asked for.
pub struct Field {
    /// How it may be called; the first is the one that is shown.
    pub names: &'static [&'static str],
    /// The only rows that have it, where not all do.
    only: Option<Rows>,
    /// What is expected behind it.
    pub value: &'static str,
    reader: Reader,
}

const fn whole(
    names: &'static [&'static str],
    only: Option<Rows>,
    value: &'static str,
    read: fn(&str) -> Option<RowTest>,
) -> Field {
    Field { names, only, value, reader: Reader::Whole(read) }
}

const fn number(
    names: &'static [&'static str],
    only: Option<Rows>,
    value: &'static str,
    quantity: Quantity,
    read: fn(&str) -> Option<u64>,
) -> Field {
    Field { names, only, value, reader: Reader::Number(quantity, read) }
}

const NET: &str = "an address or a prefix, as 10.9.0.2 or 10.9.0.0/24";
const AMOUNT: &str = "a number, as 1000, 10k or 1.5M";

/// Every field.
pub static FIELDS: &[Field] = {
    use Rows::{Policies, Sas};
    &[
        whole(&["src", "source"], None, NET, |text| net(End::Source, text)),
        whole(&["dst", "destination"], None, NET, |text| net(End::Destination, text)),
        whole(&["host", "net"], None, NET, |text| net(End::Either, text)),
        whole(&["peer"], None, NET, |text| prefix(text).map(RowTest::Peer)),
        whole(&["proto"], None, "esp, ah or ipcomp", |text| protocol(text).map(RowTest::Protocol)),
        whole(&["mode"], None, "transport, tunnel, beet, ro, in_trigger or iptfs", |text| {
            mode(text).map(RowTest::Mode)
        }),
        whole(&["dir"], None, "in, out, fwd or socket", |text| one_of(WAYS, text).map(RowTest::Way)),
        whole(&["enc"], Some(Sas), "an algorithm, as aes-gcm or aes-cbc-256", |text| {
            label(text).map(RowTest::Encryption)
        }),
        whole(&["auth"], Some(Sas), "an algorithm, as hmac-sha1 or aead-128", |text| {
            label(text).map(RowTest::Authentication)
        }),
        number(&["spi"], Some(Sas), "an SPI, as 0x1001 or 4097", Quantity::Spi, plain),
        number(&["errors"], Some(Sas), AMOUNT, Quantity::Errors, amount),
        number(&["bytes"], Some(Sas), AMOUNT, Quantity::Bytes, amount),
        number(&["packets"], Some(Sas), AMOUNT, Quantity::Packets, amount),
        whole(&["flag"], None, "a flag, as esn, noecn or localok", |text| label(text).map(RowTest::Flag)),
        number(&["age"], None, "a time, as 90s, 15m, 8h or 1d", Quantity::Age, seconds),
        whole(&["mark"], None, "a mark, as 0x5 or 0x5/0xff", mark),
        number(&["if_id"], None, "an interface id, as 0x2a or 42", Quantity::IfId, plain),
        number(&["reqid"], None, "a number", Quantity::ReqId, plain),
        whole(&["upper"], None, "a protocol's name or number", |text| UpperProtocol::parse(text).map(RowTest::Upper)),
        number(&["sport"], None, "a port", Quantity::SourcePort, plain),
        number(&["dport"], None, "a port", Quantity::DestinationPort, plain),
        whole(&["ptype"], Some(Policies), "main or sub", |text| kind(text).map(RowTest::Kind)),
        whole(&["action"], Some(Policies), "allow, protect or block", |text| one_of(VERBS, text).map(RowTest::Action)),
        number(&["priority"], Some(Policies), "a number", Quantity::Priority, plain),
        number(&["index"], Some(Policies), "a number", Quantity::Index, plain),
    ]
};

const WAYS: &[&str] = &["in", "out", "fwd", "socket"];
const VERBS: &[&str] = &["allow", "protect", "block"];

fn one_of(words: &'static [&'static str], text: &str) -> Option<&'static str> {
    words.iter().copied().find(|word| *word == text)
}

fn prefix(text: &str) -> Option<Prefix> {
    text.parse::<IpAddr>().ok().map(Prefix::host).or_else(|| text.parse().ok())
}

fn net(end: End, text: &str) -> Option<RowTest> {
    prefix(text).map(|prefix| RowTest::Net(end, prefix))
}

fn protocol(text: &str) -> Option<IpsecProtocol> {
    let known = [IpsecProtocol::Esp, IpsecProtocol::Ah, IpsecProtocol::Comp];
    let of_number = || text.parse().ok().map(IpsecProtocol::from_number);
    let text = if text == "ipcomp" { "comp" } else { text };
    known.into_iter().find(|protocol| protocol.to_string() == text).or_else(of_number)
}

fn mode(text: &str) -> Option<Mode> {
    let known = [Mode::Transport, Mode::Tunnel, Mode::Beet, Mode::RouteOptimization, Mode::InTrigger, Mode::Iptfs];
    known.into_iter().find(|mode| mode.to_string() == text)
}

fn kind(text: &str) -> Option<PolicyKind> {
    [PolicyKind::Main, PolicyKind::Sub].into_iter().find(|kind| kind.to_string() == text)
}

fn label(text: &str) -> Option<Box<str>> {
    let text = text.trim_matches('"');
    (!text.is_empty()).then(|| text.to_ascii_lowercase().into())
}

fn mark(text: &str) -> Option<RowTest> {
    let (value, mask) = text.split_once('/').map_or((text, None), |(value, mask)| (value, Some(mask)));
    let mask = mask.map(parse_u32).transpose().ok()?;
    parse_u32(value).ok().map(|value| RowTest::Mark(value, mask))
}

fn plain(text: &str) -> Option<u64> {
    parse_u32(text).ok().map(u64::from)
}

fn seconds(text: &str) -> Option<u64> {
    if text == "0" { Some(0) } else { parse_seconds(text).ok() }
}

/// A number with a decimal unit, as the tables print it: `999`, `1.5k`, `12M`.
fn amount(text: &str) -> Option<u64> {
    const UNITS: [char; 6] = ['k', 'M', 'G', 'T', 'P', 'E'];
    let unit = text.chars().last().and_then(|last| UNITS.iter().position(|unit| unit.eq_ignore_ascii_case(&last)));
    let (digits, power) = unit.map_or((text, 0), |unit| (&text[..text.len() - 1], 3 * (unit + 1)));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > power || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let zeros = u32::try_from(power - fraction.len()).ok()?;
    format!("{whole}{fraction}").parse::<u64>().ok()?.checked_mul(10u64.checked_pow(zeros)?)
}

impl RowFilter {
    /// Reads a filter for such rows. An empty one is `None`: every row fits.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, rows: Rows) -> Result<Option<Self>, FilterError> {
        Self::read(&[text], &mut Conditions { rows })
    }

    /// Whether a row fits; `contains` tells whether its text has a word in small letters.
    pub fn fits(&self, row: &FilteredRow<'_>, contains: &mut dyn FnMut(&str) -> bool) -> bool {
        self.holds(&mut |test| row.fits(test, contains))
    }

    /// Whether an SA fits, looked at by itself: without a clock, without columns.
    pub fn fits_sa(&self, sa: &Sa) -> bool {
        self.fits(&FilteredRow { object: Object::Sa(sa, sa.direction), now: 0 }, &mut |_| false)
    }

    /// Whether a policy fits, looked at by itself: without a clock, without columns.
    pub fn fits_policy(&self, policy: &Policy) -> bool {
        self.fits(&FilteredRow { object: Object::Policy(policy), now: 0 }, &mut |_| false)
    }

    /// Whether another row may fit by and by without an event: its counters, its age or its text change.
    pub fn is_live(&self) -> bool {
        use Quantity::{Age, Bytes, Errors, Packets};
        self.mentions(&mut |test| {
            matches!(test, RowTest::Text(_) | RowTest::Number(Age | Bytes | Errors | Packets, ..))
        })
    }
}

struct Conditions {
    rows: Rows,
}

impl Language for Conditions {
    type Test = RowTest;
    const SIGNS: &'static str = "=<>!";
    const AND_MAY_BE_LEFT_OUT: bool = true;

    fn condition(&mut self, words: &mut Words<'_>) -> Result<RowFilter, FilterError> {
        let Some(word) = words.peek().filter(|word| !matches!(*word, ")" | "and" | "&&" | "or" | "||")) else {
            return Err(words.expected("a condition, as dst 10.9.0.0/24, spi 0x1001 or a word"));
        };
        let Some(field) = FIELDS.iter().find(|field| field.names.contains(&word)) else {
            if word.starts_with(['=', '<', '>', '!']) {
                return Err(words.expected("a field, as errors or age, before a sign"));
            }
            let sign = words.peek_behind().filter(|next| next.starts_with(['=', '<', '>', '!']) && *next != "!");
            if sign.is_some() {
                return Err(words.expected(&format!("a field before a sign ({})", names(self.rows))));
            }
            words.advance();
            return Ok(RowFilter::Is(RowTest::Text(word.trim_matches('"').to_ascii_lowercase().into())));
        };
        if field.only.is_some_and(|only| only != self.rows) {
            let kind = if self.rows == Rows::Sas { "SAs" } else { "policies" };
            return Err(words.expected(&format!("a field that {kind} have ({})", names(self.rows))));
        }
        field.condition(words)
    }
}

/// The fields that such rows have.
pub fn names(rows: Rows) -> String {
    let fields = FIELDS.iter().filter(|field| field.only.is_none_or(|only| only == rows));
    fields.map(|field| field.names[0]).collect::<Vec<_>>().join(", ")
}

impl Field {
    /// What stands behind the field's name, which is the word at hand.
    fn condition(&self, words: &mut Words<'_>) -> Result<RowFilter, FilterError> {
        let sign = words.peek_behind().filter(|word| word.starts_with(['=', '<', '>', '!']));
        if sign.is_some() {
            words.advance();
        }
        let relation = match sign {
            None | Some("=" | "==" | "!=") => Relation::Equal,
            Some("<") => Relation::Less,
            Some("<=") => Relation::AtMost,
            Some(">") => Relation::Greater,
            Some(">=") => Relation::AtLeast,
            Some(_) => return Err(words.expected("=, !=, <, <=, > or >=")),
        };
        let test = match self.reader {
            Reader::Number(quantity, read) => RowTest::Number(quantity, relation, words.argument(self.value, read)?),
            Reader::Whole(_) if relation != Relation::Equal => {
                return Err(words.expected(&format!("= or != behind {}", self.names[0])));
            }
            Reader::Whole(read) => words.argument(self.value, read)?,
        };
        words.advance();
        let filter = RowFilter::Is(test);
        Ok(if sign == Some("!=") { RowFilter::Not(Box::new(filter)) } else { filter })
    }
}

/// What a filter looks at.
#[derive(Clone, Copy)]
pub struct FilteredRow<'a> {
    /// The object.
    pub object: Object<'a>,
    /// Seconds since the epoch.
    pub now: u64,
}

/// An SA or a policy.
#[derive(Clone, Copy)]
pub enum Object<'a> {
    /// An SA with its way, where that is known.
    Sa(&'a Sa, Option<SaDirection>),
    /// A policy.
    Policy(&'a Policy),
}

impl FilteredRow<'_> {
    fn fits(&self, test: &RowTest, contains: &mut dyn FnMut(&str) -> bool) -> bool {
        if let RowTest::Text(word) = test {
            return contains(word);
        }
        match self.object {
            Object::Sa(sa, way) => sa_fits(sa, way, self.now, test),
            Object::Policy(policy) => policy_fits(policy, self.now, test),
        }
    }
}

fn sa_fits(sa: &Sa, way: Option<SaDirection>, now: u64, test: &RowTest) -> bool {
    match test {
        RowTest::Net(end, prefix) => end.find((sa.source, sa.destination), |address| prefix.contains(address)),
        RowTest::Peer(prefix) => prefix.contains(sa.source) || prefix.contains(sa.destination),
        RowTest::Protocol(protocol) => sa.protocol == *protocol,
        RowTest::Mode(mode) => sa.mode == *mode,
        RowTest::Upper(protocol) => sa.selector.protocol == *protocol,
        RowTest::Way(word) => way.is_some_and(|way| way.to_string() == *word),
        RowTest::Encryption(label) => begins_with(&sa.algorithms.encryption_label(), label),
        RowTest::Authentication(label) => begins_with(&sa.algorithms.authentication_label(), label),
        RowTest::Flag(name) => sa.flags.names().any(|flag| *flag == **name),
        RowTest::Mark(value, mask) => fits_mark(sa.mark, *value, *mask),
        RowTest::Number(quantity, relation, wanted) => {
            let value = match quantity {
                Quantity::Spi => Some(sa.spi.0.into()),
                Quantity::ReqId => Some(sa.reqid.0.into()),
                Quantity::IfId => sa.if_id.map(|id| id.0.into()),
                Quantity::Errors => Some(sa.errors.total()),
                Quantity::Age => Some(now.saturating_sub(sa.used.added_at)),
                Quantity::Bytes => Some(sa.used.bytes),
                Quantity::Packets => Some(sa.used.packets),
                Quantity::Priority | Quantity::Index => None,
                Quantity::SourcePort | Quantity::DestinationPort | Quantity::Interface => of(&sa.selector, *quantity),
            };
            value.is_some_and(|value| relation.holds(value, *wanted))
        }
        RowTest::Text(_) | RowTest::Action(_) | RowTest::Kind(_) => false,
    }
}

fn policy_fits(policy: &Policy, now: u64, test: &RowTest) -> bool {
    let any = |fits: &dyn Fn(&Template) -> bool| policy.templates.iter().any(fits);
    match test {
        RowTest::Net(end, wanted) => {
            let ends = (policy.selector.source, policy.selector.destination);
            end.find(ends, |prefix| prefix.length >= wanted.length && wanted.contains(prefix.address))
        }
        RowTest::Peer(prefix) => any(&|template| {
            let ends = (template.source, template.destination);
            End::Either.find(ends, |address| !address.is_unspecified() && prefix.contains(address))
        }),
        RowTest::Protocol(protocol) => any(&|template| template.protocol == *protocol),
        RowTest::Mode(mode) => any(&|template| template.mode == *mode),
        RowTest::Upper(protocol) => policy.selector.protocol == *protocol,
        RowTest::Way("socket") => policy.is_of_socket(),
        RowTest::Way(word) => policy.direction.to_string() == *word,
        RowTest::Action(verb) => policy.verb() == *verb,
        RowTest::Mark(value, mask) => fits_mark(policy.mark, *value, *mask),
        RowTest::Number(Quantity::ReqId, relation, wanted) => {
            any(&|template| relation.holds(template.reqid.0.into(), *wanted))
        }
        RowTest::Number(quantity, relation, wanted) => {
            let value = match quantity {
                Quantity::IfId => policy.if_id.map(|id| id.0.into()),
                Quantity::Age => Some(now.saturating_sub(policy.used.added_at)),
                Quantity::Priority => Some(policy.priority.into()),
                Quantity::Index => Some(policy.index.into()),
                other => of(&policy.selector, *other),
            };
            value.is_some_and(|value| relation.holds(value, *wanted))
        }
        RowTest::Flag(name) => policy.flag_words().iter().any(|flag| **flag == **name),
        RowTest::Kind(kind) => policy.kind == *kind,
        RowTest::Text(_) | RowTest::Encryption(_) | RowTest::Authentication(_) => false,
    }
}

/// A number of a selector.
fn of(selector: &Selector, quantity: Quantity) -> Option<u64> {
    match quantity {
        Quantity::SourcePort => Some(selector.source_port.value.into()),
        Quantity::DestinationPort => Some(selector.destination_port.value.into()),
        Quantity::Interface => Some(selector.interface.into()),
        _ => None,
    }
}

fn fits_mark(own: Option<super::Mark>, value: u32, mask: Option<u32>) -> bool {
    own.is_some_and(|own| own.value == value && mask.is_none_or(|mask| own.mask == mask))
}

/// Whether a label is this one, or this one with more behind a hyphen: `aes` is the beginning of `aes-gcm-128`, `hmac-sha`
/// of no other.
fn begins_with(label: &str, beginning: &str) -> bool {
    label.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests;
