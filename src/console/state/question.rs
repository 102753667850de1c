//! "Are you sure?": the deed as data, and what exactly it would take away.

use std::cmp::Ordering;
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
    /// The SAs that a filter showed go.
    DeleteSas(Vec<SaId>),
    /// One policy goes.
    DeletePolicy(PolicyId),
    /// The policies that a filter showed go.
    DeletePolicies(Vec<PolicyId>),
    /// All policies of a kind go, but those of sockets.
    FlushPolicies(PolicyKind),
}

impl Deed {
    /// The changes that a yes asks for.
    pub fn changes(self) -> Vec<Change> {
        match self {
            Self::DeleteSa(id) => vec![Change::DeleteSa(id)],
            Self::DeleteSas(ids) => ids.into_iter().map(Change::DeleteSa).collect(),
            Self::FlushSas(protocol) => vec![Change::FlushSas(protocol)],
            Self::DeletePolicy(id) => vec![Change::DeletePolicy(id)],
            Self::DeletePolicies(ids) => ids.into_iter().map(Change::DeletePolicy).collect(),
            Self::FlushPolicies(kind) => vec![Change::FlushPolicies(kind)],
        }
    }

    /// The question.
    pub fn title(&self, count: usize) -> String {
        match self {
            Self::DeleteSa(_) => "Delete this SA?".to_owned(),
            Self::DeleteSas(_) => format!("Delete what the filter shows? These {count} SAs go:"),
            Self::FlushSas(IpsecProtocol::Any) => format!("Delete all SAs? These {count} go:"),
            Self::FlushSas(protocol) => format!("Delete all {protocol} SAs? These {count} go:"),
            Self::DeletePolicy(_) => "Delete this policy?".to_owned(),
            Self::DeletePolicies(_) => format!("Delete what the filter shows? These {count} policies go:"),
            Self::FlushPolicies(PolicyKind::Main) => format!("Delete all policies? These {count} go:"),
            Self::FlushPolicies(kind) => format!("Delete all {kind} policies? These {count} go:"),
        }
    }

    /// What follows from it, in a sentence.
    pub fn consequence(&self) -> &'static str {
        match self {
            Self::DeleteSa(_) => "Packets that need it are lost until there is another.",
            Self::DeleteSas(_) => "Packets that need them are lost until there are others.",
            Self::FlushSas(_) => "Packets that a policy protects are lost until there are new SAs.",
            Self::DeletePolicy(_) => "Packets that it protected may go out in clear, or be lost at the peer.",
            Self::DeletePolicies(_) => "Packets that they protected may go out in clear, or be lost at the peer.",
            Self::FlushPolicies(_) => "Packets that were protected go out in clear from then on.",
        }
    }

    /// How many go, and a line for each of those in `window`, as the databases are now.
    pub fn victims(&self, sad: &Sad, spd: &Spd, window: Range<usize>) -> (usize, Vec<String>) {
        match self {
            Self::DeleteSa(id) => lines(sad.get(id).into_iter().collect(), window, sa_order, sa_line),
            Self::DeleteSas(ids) => lines(ids.iter().filter_map(|id| sad.get(id)).collect(), window, sa_order, sa_line),
            Self::FlushSas(protocol) => {
                let flushed = sad.iter().map(|(_, sa)| sa).filter(|sa| protocol.flushes(sa.protocol));
                lines(flushed.collect(), window, sa_order, sa_line)
            }
            Self::DeletePolicy(id) => lines(spd.get(id).into_iter().collect(), window, matching_order, policy_line),
            Self::DeletePolicies(ids) => {
                lines(ids.iter().filter_map(|id| spd.get(id)).collect(), window, matching_order, policy_line)
            }
            Self::FlushPolicies(kind) => {
                let flushed = |policy: &&Policy| policy.kind == *kind && !policy.is_of_socket();
                let flushed = spd.iter().map(|(_, policy)| policy).filter(flushed);
                lines(flushed.collect(), window, matching_order, policy_line)
            }
        }
    }
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
