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
use super::extras::Encapsulation;
use super::lifetime::parse_seconds;
use super::number::parse_u32;
use super::{IpsecProtocol, Mode, Policy, PolicyKind, Prefix, Sa, UpperProtocol};

mod fits;

pub use fits::{FilteredRow, Object};

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
    /// A mark; every mask will do where none is said.
    Mark(u32, Option<u32>),
    /// The mark that an SA's packets get, likewise.
    OutputMark(u32, Option<u32>),
    /// How it is, in a word of [`STATES`].
    State(&'static str),
    /// What is around ESP packets: a kind of encapsulation, any of them, or none.
    Encapsulation(Encapsulated),
    /// A selector asks for this port at this end, or the encapsulation has it.
    Port(End, u16),
    /// Main or sub.
    Kind(PolicyKind),
    /// The security module's label contains this, letter case aside.
    Label(Box<str>),
    /// How a number compares.
    Number(Quantity, Relation, u64),
}

/// What an encapsulation is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulated {
    /// None.
    Not,
    /// Any.
    Somehow,
    /// Of this kind.
    As(u16),
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
    /// Packets seen before.
    Replayed,
    /// Packets older than the window.
    Late,
    /// Packets with a wrong ICV.
    BadIcv,
    /// Seconds since it was added.
    Age,
    /// Seconds since its last use.
    Idle,
    /// Seconds until it is removed.
    Left,
    /// Seconds until renewal is due.
    Renewal,
    Bytes,
    Packets,
    /// The replay window, in packets.
    Window,
    /// The last sequence number sent.
    Sent,
    /// The highest sequence number received.
    Received,
    /// How many transforms a policy demands.
    Templates,
    /// The index of the interface that a selector asks for.
    Interface,
    /// The CPU that alone uses an SA.
    Cpu,
    Priority,
    Index,
}

impl Quantity {
    fn is_live(self) -> bool {
        match self {
            Self::Errors
            | Self::Replayed
            | Self::Late
            | Self::BadIcv
            | Self::Age
            | Self::Idle
            | Self::Left
            | Self::Renewal
            | Self::Bytes
            | Self::Packets
            | Self::Sent
            | Self::Received => true,
            Self::Spi
            | Self::ReqId
            | Self::IfId
            | Self::Window
            | Self::Cpu
            | Self::Priority
            | Self::Index
            | Self::Templates
            | Self::Interface => false,
        }
    }
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
        number(&["replayed"], Some(Sas), AMOUNT, Quantity::Replayed, amount),
        number(&["late"], Some(Sas), AMOUNT, Quantity::Late, amount),
        number(&["bad-icv"], Some(Sas), AMOUNT, Quantity::BadIcv, amount),
        number(&["bytes"], Some(Sas), AMOUNT, Quantity::Bytes, amount),
        number(&["packets"], Some(Sas), AMOUNT, Quantity::Packets, amount),
        number(&["window"], Some(Sas), "a number of packets", Quantity::Window, plain),
        number(&["sent"], Some(Sas), AMOUNT, Quantity::Sent, amount),
        number(&["received"], Some(Sas), AMOUNT, Quantity::Received, amount),
        whole(&["encap"], Some(Sas), "udp, tcp, any, none, or as ip xfrm says", |text| {
            encapsulated(text).map(RowTest::Encapsulation)
        }),
        whole(&["output-mark"], Some(Sas), MARK, |text| {
            mark(text).map(|(value, mask)| RowTest::OutputMark(value, mask))
        }),
        number(&["cpu"], Some(Sas), "a number", Quantity::Cpu, plain),
        whole(&["flag", "flags"], None, "a flag, as esn, noecn or localok", |text| label(text).map(RowTest::Flag)),
        whole(&["state"], None, "ok, expiring, expired or larval", |text| one_of(STATES, text).map(RowTest::State)),
        number(&["age"], None, TIME, Quantity::Age, seconds),
        number(&["idle"], None, TIME, Quantity::Idle, seconds),
        number(&["left"], None, TIME, Quantity::Left, seconds),
        number(&["renewal"], None, TIME, Quantity::Renewal, seconds),
        whole(&["mark"], None, MARK, |text| mark(text).map(|(value, mask)| RowTest::Mark(value, mask))),
        number(&["if_id"], None, "an interface id, as 0x2a or 42", Quantity::IfId, plain),
        number(&["reqid"], None, "a number", Quantity::ReqId, plain),
        whole(&["upper"], None, "a protocol's name or number", |text| UpperProtocol::parse(text).map(RowTest::Upper)),
        whole(&["sport"], None, PORT, |text| port(End::Source, text)),
        whole(&["dport"], None, PORT, |text| port(End::Destination, text)),
        whole(&["port"], None, PORT, |text| port(End::Either, text)),
        number(&["dev"], None, "an interface's number", Quantity::Interface, plain),
        whole(&["label"], None, "a part of a label", |text| label(text).map(RowTest::Label)),
        whole(&["action"], Some(Policies), "allow, protect or block", |text| one_of(VERBS, text).map(RowTest::Action)),
        number(&["priority"], Some(Policies), "a number", Quantity::Priority, plain),
        number(&["index"], Some(Policies), "a number", Quantity::Index, plain),
        number(&["templates"], Some(Policies), "a number", Quantity::Templates, plain),
        whole(&["ptype"], Some(Policies), "main or sub", |text| kind(text).map(RowTest::Kind)),
    ]
};

const TIME: &str = "a time, as 90s, 15m, 8h or 1d";
const MARK: &str = "a mark, as 0x5 or 0x5/0xff";
const PORT: &str = "a port's number";

/// How an SA or a policy can be.
pub const STATES: &[&str] = &["ok", "expiring", "expired", "larval"];
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

fn label(text: &str) -> Option<Box<str>> {
    let text = text.trim_matches('"');
    (!text.is_empty()).then(|| text.to_ascii_lowercase().into())
}

fn mark(text: &str) -> Option<(u32, Option<u32>)> {
    let (value, mask) = text.split_once('/').map_or((text, None), |(value, mask)| (value, Some(mask)));
    let mask = mask.map(parse_u32).transpose().ok()?;
    parse_u32(value).ok().map(|value| (value, mask))
}

fn port(end: End, text: &str) -> Option<RowTest> {
    text.parse().ok().map(|port| RowTest::Port(end, port))
}

fn kind(text: &str) -> Option<PolicyKind> {
    [PolicyKind::Main, PolicyKind::Sub].into_iter().find(|kind| kind.to_string() == text)
}

fn encapsulated(text: &str) -> Option<Encapsulated> {
    let named = |text: &str| Encapsulation::NAMES.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind);
    Some(match text {
        "none" => Encapsulated::Not,
        "any" => Encapsulated::Somehow,
        "udp" => Encapsulated::As(Encapsulation::ESP_IN_UDP),
        "tcp" => Encapsulated::As(Encapsulation::ESP_IN_TCP),
        other => Encapsulated::As(named(other).or_else(|| other.parse().ok())?),
    })
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

    /// Whether another row may fit by and by without an event: its counters, its age or its text change, or its way, when
    /// an address moves here from another host.
    pub fn is_live(&self) -> bool {
        self.mentions(&mut |test| match test {
            RowTest::Text(_) | RowTest::State(_) | RowTest::Way(_) => true,
            RowTest::Number(quantity, ..) => quantity.is_live(),
            _ => false,
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

/// The names of the fields that such rows have, each as it is shown.
pub fn field_names(rows: Rows) -> impl Iterator<Item = &'static str> {
    FIELDS.iter().filter(move |field| field.only.is_none_or(|only| only == rows)).map(|field| field.names[0])
}

fn names(rows: Rows) -> String {
    field_names(rows).collect::<Vec<_>>().join(", ")
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

#[cfg(test)]
mod tests;
