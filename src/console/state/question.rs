//! "Are you sure?": the deed as data, and what exactly it would take away.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use crate::console::columns::policy::templates;
use crate::console::command::Change;
use crate::model::spd::matching_order;
use crate::model::{IpsecProtocol, Policy, PolicyId, PolicyKind, Sa, SaId, Sad, Spd};

/// A question whose yes is a change that takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What yes would do.
    pub deed: Deed,
    /// What follows from it, in a sentence, as things stood when it was asked.
    pub consequence: String,
    /// How far its list is scrolled.
    pub scroll: usize,
}

/// What can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// One SA goes.
    DeleteSa(SaId),
    /// All SAs of a protocol go.
    FlushSas(IpsecProtocol),
    /// These SAs go, in this order.
    DeleteSas(Vec<SaId>, Chosen),
    /// One policy goes.
    DeletePolicy(PolicyId),
    /// These policies go, in this order.
    DeletePolicies(Vec<PolicyId>, Chosen),
    /// All policies of a kind go, but those of sockets.
    FlushPolicies(PolicyKind),
}

/// How several rows were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// They are marked, and so many of them the filter does not show.
    Marked(usize),
    /// The filter shows them.
    Filtered,
}

impl Chosen {
    fn words(self) -> String {
        match self {
            Self::Marked(0) => "what is marked".to_owned(),
            Self::Marked(hidden) => format!("what is marked, {hidden} of it not in the list now"),
            Self::Filtered => "what the filter shows".to_owned(),
        }
    }
}

impl Deed {
    /// The change that a yes asks for.
    pub fn change(self) -> Change {
        match self {
            Self::DeleteSa(id) => Change::DeleteSa(id),
            Self::DeleteSas(ids, _) => Change::DeleteSas(ids),
            Self::FlushSas(protocol) => Change::FlushSas(protocol),
            Self::DeletePolicy(id) => Change::DeletePolicy(id),
            Self::DeletePolicies(ids, _) => Change::DeletePolicies(ids),
            Self::FlushPolicies(kind) => Change::FlushPolicies(kind),
        }
    }

    /// The question.
    pub fn title(&self, count: usize) -> String {
        match self {
            Self::DeleteSa(_) => "Delete this SA?".to_owned(),
            Self::DeleteSas(_, chosen) => format!("Delete {}? {}", chosen.words(), these(count, "SA", "SAs")),
            Self::FlushSas(IpsecProtocol::Any) => format!("Delete all SAs? {}", these(count, "SA", "SAs")),
            Self::FlushSas(protocol) => format!("Delete all {protocol} SAs? {}", these(count, "SA", "SAs")),
            Self::DeletePolicy(_) => "Delete this policy?".to_owned(),
            Self::DeletePolicies(_, chosen) => {
                format!("Delete {}? {}", chosen.words(), these(count, "policy", "policies"))
            }
            Self::FlushPolicies(PolicyKind::Main) => {
                format!("Delete all policies? {}", these(count, "policy", "policies"))
            }
            Self::FlushPolicies(kind) => format!("Delete all {kind} policies? {}", these(count, "policy", "policies")),
        }
    }

    /// How many go, and a line for each of those in `window`, as the databases are now. Of a list that was chosen only
    /// the window is looked at: it may be long.
    pub fn victims(&self, sad: &Sad, spd: &Spd, window: Range<usize>) -> (usize, Vec<String>) {
        match self {
            Self::DeleteSa(id) => lines(sad.get(id).into_iter().collect(), window, sa_order, sa_line),
            Self::DeleteSas(ids, _) => (ids.len(), chosen(ids, window, |id| sad.get(id).map(sa_line))),
            Self::FlushSas(protocol) => {
                let flushed = sad.iter().map(|(_, sa)| sa).filter(|sa| protocol.flushes(sa.protocol));
                lines(flushed.collect(), window, sa_order, sa_line)
            }
            Self::DeletePolicy(id) => lines(spd.get(id).into_iter().collect(), window, matching_order, policy_line),
            Self::DeletePolicies(ids, _) => (ids.len(), chosen(ids, window, |id| spd.get(id).map(policy_line))),
            Self::FlushPolicies(kind) => {
                let flushed = |policy: &&Policy| policy.kind == *kind && !policy.is_of_socket();
                let flushed = spd.iter().map(|(_, policy)| policy).filter(flushed);
                lines(flushed.collect(), window, matching_order, policy_line)
            }
        }
    }
}

fn these(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("This {one} goes:") } else { format!("These {count} {many} go:") }
}

fn chosen<Id: fmt::Display>(ids: &[Id], window: Range<usize>, line: impl Fn(&Id) -> Option<String>) -> Vec<String> {
    let shown = ids.iter().skip(window.start).take(window.len());
    shown.map(|id| line(id).unwrap_or_else(|| format!("{id}: gone already"))).collect()
}

/// Longer lists stay in the database's order: sorting them for every frame would be felt.
const MOST_SORTED: usize = 5000;

fn lines<Row>(
    mut rows: Vec<&Row>,
    window: Range<usize>,
    order: fn(&Row, &Row) -> Ordering,
    line: fn(&Row) -> String,
) -> (usize, Vec<String>) {
    if rows.len() <= MOST_SORTED {
        rows.sort_by(|a, b| order(a, b));
    }
    let shown = rows.iter().skip(window.start).take(window.len()).map(|row| line(row)).collect();
    (rows.len(), shown)
}

fn sa_order(a: &Sa, b: &Sa) -> Ordering {
    let key = |sa: &Sa| (sa.source, sa.destination, sa.protocol, sa.spi);
    key(a).cmp(&key(b))
}

fn sa_line(sa: &Sa) -> String {
    let (encryption, authentication) = (sa.algorithms.encryption_label(), sa.algorithms.authentication_label());
    format!("{} {} {} -> {}  {encryption} {authentication}", sa.protocol, sa.spi, sa.source, sa.destination)
}

fn policy_line(policy: &Policy) -> String {
    let (priority, index) = (policy.priority, policy.index);
    format!("{} (priority {priority}, index {index})  {} {}", policy.id(), policy.verb(), templates(&policy.templates))
}
