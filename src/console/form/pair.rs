//! The form that plans what protects the traffic with another host.

use super::field::{Description, FieldId as F, words};
use super::reading::{address, if_id, lifetime, mark, number, optional_number};
use super::{Complaint, Form, Made, Plan};
use crate::model::pair::{PairPart, PairPlan, Protection, SUITES, Suite};
use crate::model::{Prefix, ReqId};

/// The form that plans what protects the traffic with another host.
pub static PLAN: Plan = Plan {
    title: "Protect the traffic with another host",
    button: "Show both halves",
    fields: &[FIELDS],
    check,
    beside: |_, _, _| Vec::new(),
    make: |form| read(form).0.map(Box::new).map(Made::Pair),
    blame: |_| None,
};

/// The choice that makes no policies.
pub const ONLY_KEYS: &str = "new keys";
/// The choice that makes a tunnel.
pub const TUNNEL: &str = "networks behind both";
/// What protects, by the words on screen.
const PROTECTIONS: [(&str, Protection); 4] = [
    ("esp", Protection::Esp),
    ("esp and ah", Protection::EspAh),
    ("ah", Protection::Ah),
    ("ipcomp", Protection::Nothing),
];

fn tunnels(form: &Form) -> bool {
    form.value(F::Mode) == TUNNEL
}

fn makes_policies(form: &Form) -> bool {
    form.value(F::Make) != ONLY_KEYS
}

static FIELDS: &[Description] = &[
    Description::choice(
        F::Make,
        "Make",
        |_| words(&["SAs and policies", ONLY_KEYS]),
        "SAs and policies on both hosts; or new keys only: SAs for policies that both have. The old SAs stay until you \
         delete them.",
    )
    .initially("SAs and policies"),
    Description::text(F::Source, "This host", "The address of this host that the other one knows."),
    Description::text(F::Destination, "Other host", "The other host's address."),
    Description::choice(
        F::Mode,
        "Protect",
        |_| words(&["the two hosts", TUNNEL]),
        "What the two hosts say to one another (transport mode), or what passes between the networks behind them \
         (tunnel mode).",
    )
    .initially("the two hosts"),
    Description::text(F::OwnNetwork, "Network here", "The network behind this host, as 10.1.0.0/24.").when(tunnels),
    Description::text(F::FarNetwork, "Network there", "The network behind the other host, as 10.2.0.0/24.")
        .when(tunnels),
    Description::choice(
        F::Protection,
        "With",
        |_| PROTECTIONS.iter().map(|(word, _)| (*word).to_owned()).collect(),
        "esp encrypts and authenticates; ah authenticates the header as well, and encrypts nothing; ipcomp only makes \
         packets smaller.",
    )
    .initially("esp"),
    Description::choice(
        F::Suite,
        "Algorithms",
        |_| SUITES.iter().map(suite_word).collect(),
        "The first is what to take today. aes-256-cbc-sha512 for peers without AES-GCM; 3des-sha1 is what one took in \
         2004.",
    )
    .initially("aes-256-gcm")
    .when(protects),
    Description::yes_or_no(
        F::Compression,
        "Compress first",
        "IPComp: makes packets smaller where that helps. It protects nothing.",
    )
    .when(protects),
    Description::fold(F::More, "More", "Lifetime, and what ties this to other rules: most often not needed."),
    Description::text(
        F::Lifetime,
        "Lifetime",
        "How long the SAs live, as 8h or 30d; empty: for ever. Nothing renews them by itself.",
    )
    .under(F::More),
    Description::text(F::ReqId, "ReqID", "The number that ties SAs and policies together; empty: one that is free.")
        .when(makes_policies)
        .under(F::More),
    Description::text(
        F::Priority,
        "Priority",
        "The policies' place: of those that fit, the kernel takes the lowest number. setkey's is 2147483648.",
    )
    .initially("2147483648")
    .when(makes_policies)
    .under(F::More),
    Description::text(F::Mark, "Mark", "Only for packets with this mark, on this host: a number, or number/mask.")
        .under(F::More),
    Description::text(
        F::IfId,
        "Interface ID",
        "Only for packets through the xfrm interface of this number, on this host.",
    )
    .under(F::More),
];

/// A suite's name, and that it is weak if it is.
fn suite_word(suite: &Suite) -> String {
    if suite.legacy { format!("{} (legacy)", suite.name) } else { suite.name.to_owned() }
}

fn protects(form: &Form) -> bool {
    form.value(F::Protection) != "ipcomp"
}

fn network(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Option<Prefix> {
    let prefix: Result<Prefix, String> = match form.value(field) {
        "" => Err("a network is needed, as 10.1.0.0/24".to_owned()),
        text => text.parse().map_err(|error: crate::model::prefix::PrefixError| error.to_string()),
    };
    let prefix = prefix.and_then(|prefix| {
        if prefix.has_host_bits() {
            return Err(format!("{prefix} is a host in a network, not the network itself"));
        }
        Ok(prefix)
    });
    prefix.map_err(|why| complaints.push(Complaint::error(field, why))).ok()
}

/// The plan as far as it can be read, and what is wrong.
fn read(form: &Form) -> (Option<PairPlan>, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let plan = read_plan(form, &mut complaints);
    if let Some(plan) = &plan {
        let field = |sentence: &str| if sentence.contains("network") { F::FarNetwork } else { F::Destination };
        complaints.extend(plan.problems().into_iter().map(|sentence| Complaint::error(field(&sentence), sentence)));
        let field = |part| match part {
            PairPart::Suite => F::Suite,
            PairPart::Protection => F::Protection,
        };
        complaints.extend(plan.warnings().into_iter().map(|(part, words)| Complaint::warning(field(part), words)));
    }
    (plan, complaints)
}

fn read_plan(form: &Form, complaints: &mut Vec<Complaint>) -> Option<PairPlan> {
    let here = address(form, F::Source, complaints);
    let there = address(form, F::Destination, complaints);
    let networks = tunnels(form).then(|| [F::OwnNetwork, F::FarNetwork].map(|field| network(form, field, complaints)));
    let limits = lifetime(form, complaints);
    let reqid = optional_number(form, F::ReqId, complaints);
    let priority = if form.applies(F::Priority) { number(form, F::Priority, complaints) } else { Some(0) };
    let mark = mark(form, F::Mark, complaints);
    let if_id = if_id(form, complaints);
    let mut plan = PairPlan::between(here?, there?);
    plan.networks = match networks {
        Some([own, far]) => Some([own?, far?]),
        None => None,
    };
    plan.protection = PROTECTIONS.iter().find(|(word, _)| *word == form.value(F::Protection))?.1;
    plan.suite = SUITES.iter().find(|suite| suite_word(suite) == form.value(F::Suite))?;
    plan.compress = form.applies(F::Compression) && form.value(F::Compression) == "yes";
    plan.only_keys = !makes_policies(form);
    plan.limits = limits.ok()?;
    plan.reqid = ReqId(reqid.ok()?.unwrap_or(0));
    if form.applies(F::Priority) {
        plan.priority = priority?;
    }
    plan.mark = mark.ok()?;
    plan.if_id = if_id.ok()?;
    Some(plan)
}

fn check(form: &Form) -> Vec<Complaint> {
    read(form).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::Severity;
    use crate::model::{IfId, Mark, PolicySpec};

    fn filled() -> Form {
        let mut form = Form::new(&PLAN);
        form.set(F::Source, "10.9.0.1");
        form.set(F::Destination, "10.9.0.2");
        form
    }

    fn sentences(form: &Form) -> Vec<(F, String)> {
        form.complaints().into_iter().map(|complaint| (complaint.field, complaint.sentence)).collect()
    }

    #[test]
    fn two_addresses_are_enough() {
        let form = filled();
        assert_eq!(sentences(&form), []);
        let Some(Made::Pair(plan)) = form.made() else { panic!("no plan") };
        assert_eq!(*plan, PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into()));
        assert_eq!(plan.priority, PolicySpec::SETKEY_PRIORITY);
    }

    #[test]
    fn a_tunnel_needs_networks() {
        let mut form = filled();
        form.set(F::Mode, TUNNEL);
        form.set(F::OwnNetwork, "10.1.0.1/24");
        let expected = [
            (F::OwnNetwork, "10.1.0.1/24 is a host in a network, not the network itself".to_owned()),
            (F::FarNetwork, "a network is needed, as 10.1.0.0/24".to_owned()),
        ];
        assert_eq!(sentences(&form), expected);
        form.set(F::OwnNetwork, "10.1.0.0/24");
        form.set(F::FarNetwork, "10.1.0.0/24");
        assert_eq!(sentences(&form), [(F::FarNetwork, "the two networks are the same".to_owned())]);
        form.set(F::FarNetwork, "10.2.0.0/24");
        assert_eq!(sentences(&form), []);
    }

    #[test]
    fn what_is_folded_away_counts_too() {
        let mut form = filled();
        form.set(F::Mark, "7/0xff");
        form.set(F::Lifetime, "8h");
        form.set(F::IfId, "nothing");
        assert_eq!(sentences(&form)[0].0, F::IfId);
        form.set(F::IfId, "9");
        let Some(Made::Pair(plan)) = form.made() else { panic!("no plan") };
        assert_eq!((plan.mark, plan.if_id), (Some(Mark { value: 7, mask: 0xff }), Some(IfId(9))));
        assert_eq!(plan.limits.since_added_secs.hard, Some(28800));
    }

    #[test]
    fn weak_choices_are_warned_of() {
        let mut form = filled();
        form.set(F::Suite, "3des-sha1 (legacy)");
        form.set(F::Protection, "ah");
        assert_eq!(
            form.complaints().iter().map(|c| (c.field, c.severity)).collect::<Vec<_>>(),
            [(F::Suite, Severity::Warning), (F::Protection, Severity::Warning)]
        );
    }
}
