//! The form that decides from which prefix lengths on the kernel finds policies by hash.

use super::field::{Description, FieldId as F};
use super::reading::{Complaints, optional};
use super::{Complaint, Form, Made, Plan};
use crate::console::command::Change;
use crate::model::check::{self, ThresholdsField};
use crate::model::policy::ThresholdsChange;

/// The form.
pub static PLAN: Plan = Plan {
    title: "Hash thresholds of policies",
    button: "Change",
    fields: &[FIELDS],
    check: |form| read(form).1,
    beside: |_, _, _| Vec::new(),
    make,
    blame: |_| None,
};

static FIELDS: &[Description] = &[
    Description::text(
        F::ThresholdsV4,
        "IPv4",
        "Prefix lengths here and there, as 24,32: policies at least as long are found by hash. It affects speed alone; \
         empty: as it is (32,32 at first).",
    ),
    Description::text(F::ThresholdsV6, "IPv6", "The same for IPv6, as 64,128; empty: as it is (128,128 at first)."),
];

fn make(form: &Form) -> Option<Made> {
    let (change, complaints) = read(form);
    complaints.is_empty().then(|| Made::Change(Box::new(Change::SetThresholds(change))))
}

fn read(form: &Form) -> (ThresholdsChange, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let change = ThresholdsChange {
        v4: lengths(form, F::ThresholdsV4, &mut complaints),
        v6: lengths(form, F::ThresholdsV6, &mut complaints),
    };
    if complaints.is_empty() {
        let field = |field| match field {
            ThresholdsField::V4 => F::ThresholdsV4,
            ThresholdsField::V6 => F::ThresholdsV6,
        };
        let problems = check::thresholds(&change).into_iter();
        complaints.extend(problems.map(|p| Complaint::error(field(p.field), p.sentence)));
    }
    (change, complaints)
}

fn lengths(form: &Form, field: F, complaints: &mut Complaints) -> Option<(u8, u8)> {
    let pair = |text: &str| {
        let (here, there) = text.split_once([',', ' ']).unwrap_or((text, text));
        let one = |text: &str| text.trim().parse::<u8>().ok();
        one(here).zip(one(there)).ok_or_else(|| "these are two prefix lengths, as 24,32".to_owned())
    };
    optional(form, field, complaints, pair).ok().flatten()
}
