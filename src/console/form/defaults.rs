//! The form that decides what becomes of packets that no policy matches.

use super::field::{Description, FieldId as F, words};
use super::{Complaint, Form, Made, Plan};
use crate::console::command::Change;
use crate::model::check::{self, DefaultsField};
use crate::model::policy::DefaultsChange;
use crate::model::{PolicyAction, PolicyDefaults};

/// The form.
pub static PLAN: Plan = Plan {
    title: "Packets without a policy",
    button: "Change",
    fields: &[FIELDS],
    check,
    beside: |_, _, _| Vec::new(),
    make: |form| Some(Made::Change(Box::new(Change::SetDefaults(change(form))))),
    blame: |_| None,
};

/// What is left as it is.
const SAME: &str = "as it is";

static FIELDS: &[Description] = &[
    way(F::Input, "In", "Packets for this host that no policy matches. block cuts the network off, SSH included."),
    way(F::Forward, "Fwd", "Packets passed on that no policy matches. block cuts off whoever is behind this host."),
    way(F::Output, "Out", "Packets sent that no policy matches. block cuts the network off, SSH included."),
];

const fn way(id: F, label: &'static str, help: &'static str) -> Description {
    Description::choice(id, label, |_| words(&[SAME, "allow", "block"]), help).initially(SAME)
}

/// A form that shows what holds now.
pub fn showing(now: Option<PolicyDefaults>) -> Form {
    let mut form = Form::new(&PLAN);
    if let Some(now) = now {
        for (field, action) in [(F::Input, now.input), (F::Forward, now.forward), (F::Output, now.output)] {
            form.set(field, &action.to_string());
        }
    }
    form
}

fn change(form: &Form) -> DefaultsChange {
    let of = |field| match form.value(field) {
        "allow" => Some(PolicyAction::Allow),
        "block" => Some(PolicyAction::Block),
        _ => None,
    };
    DefaultsChange { input: of(F::Input), forward: of(F::Forward), output: of(F::Output) }
}

fn check(form: &Form) -> Vec<Complaint> {
    let field = |field| match field {
        DefaultsField::Input => F::Input,
        DefaultsField::Forward => F::Forward,
        DefaultsField::Output => F::Output,
    };
    let problems = check::defaults(&change(form)).into_iter();
    problems
        .map(|p| Complaint { item: None, field: field(p.field), severity: p.severity, sentence: p.sentence })
        .collect()
}
