//! The language of setkey(8): scripts of `add`, `spdadd`, `flush`, ... as ipsec-tools 0.8 reads them on Linux.
//!
//! Differences, all towards the user: words may be in capitals (`-P out IPsec`, as printed in articles), several errors
//! are found in one go, and what Linux cannot do is refused by name instead of being dropped.

mod lexer;
mod parser;
pub mod print;
mod report;

use std::ops::Range;

use crate::model::{IpsecProtocol, PolicyId, PolicySpec, SaId, SaSpec};

pub use parser::{forward_twin, parse};
pub use report::{SyntaxError, excerpt, place_of};

/// Something that a script asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// `flush`: all SAs of a protocol.
    FlushSas(IpsecProtocol),
    /// `spdflush`: all policies.
    FlushPolicies,
    /// `add`
    AddSa(Box<SaSpec>),
    /// `delete`
    DeleteSa(SaId),
    /// `spdadd`: the policy, and for one of direction in the same for packets passed on: Linux's setkey makes both.
    AddPolicies(Vec<PolicySpec>),
    /// `spddelete`
    DeletePolicy(Box<PolicyId>),
}

/// A statement: what it asks for, and where it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What is asked for.
    pub deed: Deed,
    /// Its bytes in the text, without the semicolon.
    pub span: Range<usize>,
}

/// Something in a script that may be meant and may be a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub span: Range<usize>,
    /// What, in a sentence.
    pub sentence: String,
}

/// A script that can be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What it asks for, in order.
    pub statements: Vec<Statement>,
    /// What its author should look at.
    pub warnings: Vec<Warning>,
}
