//! The form that takes everything of a kind away.

use super::field::{Description, FieldId as F, words};
use super::reading::{PROTOCOLS, protocol};
use super::{Form, Made, Plan};
use crate::console::command::Change;
use crate::model::{IpsecProtocol, PolicyKind};

/// The form.
pub static PLAN: Plan = Plan {
    title: "Flush",
    button: "Show what goes",
    fields: &[FIELDS],
    check: |_| Vec::new(),
    beside: |_, _, _| Vec::new(),
    make: |form| Some(Made::Change(Box::new(change(form)))),
    blame: |_| None,
};

/// What has policies.
const POLICIES: &str = "policies";
/// Every protocol.
const ALL: &str = "all";

static FIELDS: &[Description] = &[
    Description::choice(F::What, "What", |_| words(&["sas", POLICIES]), "Whether SAs go or policies.").initially("sas"),
    Description::choice(
        F::Protocol,
        "Protocol",
        |_| [ALL].into_iter().chain(PROTOCOLS.iter().map(|(word, _)| *word)).map(str::to_owned).collect(),
        "Only SAs of this protocol; all: esp, ah and ipcomp.",
    )
    .initially(ALL)
    .when(|form| form.value(F::What) != POLICIES),
    Description::choice(
        F::Set,
        "Set",
        |_| words(&["main", "sub"]),
        "Policies of this set; those of sockets stay. The kernel keeps the two apart: a flush takes one of them.",
    )
    .initially("main")
    .when(|form| form.value(F::What) == POLICIES),
];

fn change(form: &Form) -> Change {
    match (form.value(F::What), form.value(F::Protocol)) {
        (POLICIES, _) if form.value(F::Set) == "sub" => Change::FlushPolicies(PolicyKind::Sub),
        (POLICIES, _) => Change::FlushPolicies(PolicyKind::Main),
        (_, ALL) => Change::FlushSas(IpsecProtocol::Any),
        _ => Change::FlushSas(protocol(form)),
    }
}
