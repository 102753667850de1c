//! What a script asks for, in whichever language it is written.

use std::ops::Range;

use crate::model::policy::{DefaultsChange, ThresholdsChange};
use crate::model::question::{PolicyPlace, Question};
use crate::model::sa::SpiRequest;
use crate::model::{IpsecProtocol, PolicyId, PolicyKind, PolicySpec, RowFilter, SaId, SaSpec};

/// Something that a script asks for: a change, or a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// All SAs of a protocol shall go.
    FlushSas(IpsecProtocol),
    /// All policies of a kind shall go.
    FlushPolicies(PolicyKind),
    /// An SA shall be there, which must not be there yet.
    AddSa(Box<SaSpec>),
    /// An SA that is there, or that waits for its keys, shall be so.
    UpdateSa(Box<SaSpec>),
    /// An SA shall go.
    DeleteSa(SaId),
    /// All SAs that fit shall go; all of them where nothing is said.
    DeleteSas(Option<RowFilter>),
    /// An SPI shall be reserved.
    AllocateSpi(Box<SpiRequest>),
    /// Policies shall be there; for one of direction in setkey on Linux makes another one for packets passed on.
    AddPolicies(Vec<PolicySpec>),
    /// Policies shall be so, whether they are there or not.
    UpdatePolicies(Vec<PolicySpec>),
    /// A policy shall go.
    DeletePolicy(Box<PolicyId>),
    /// A policy shall go if it is there.
    DeletePolicyIfThere(Box<PolicyId>),
    /// The policy of this number shall go.
    DeletePolicyAt(PolicyPlace),
    /// All policies that fit shall go, but none of a socket; all of them where nothing is said.
    DeletePolicies(Option<RowFilter>),
    /// Packets without a policy shall fare so.
    SetDefaults(DefaultsChange),
    /// Policies shall be hashed from these prefix lengths on.
    SetThresholds(ThresholdsChange),
    /// Something shall be shown; nothing changes.
    Show(Question),
}

/// A statement: what it asks for, and where it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What is asked for.
    pub deed: Deed,
    /// Its bytes in the text, without what ends it.
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
