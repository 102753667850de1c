//! The form that plans what protects the traffic with another host: that it is made, gets new keys, or goes.

use super::field::{Description, FieldId as F, words};
use super::reading::{IF_ID, MARK, address, if_id, lifetime, mark, number, optional_number};
use super::{Complaint, Form, Made, Plan};
use crate::model::pair::{PairPart, PairPlan, Protection, Purpose, SUITES, Suite, Unplanned};
use crate::model::{LifetimeLimits, Prefix, ReqId, Sad, Spd};

/// The form that plans what protects the traffic with another host.
pub static PLAN: Plan = Plan {
    title: "Protect the traffic with another host",
    button: "Show what is done on both hosts",
    fields: &[FIELDS],
    check,
    beside,
    make: |form| read(form).0.map(Box::new).map(Made::Pair),
    blame: |_| None,
};

/// The choice that makes everything.
pub const MAKE: &str = "make SAs and policies";
/// The choice that makes no policies.
pub const NEW_KEYS: &str = "new keys";
/// The choice that takes everything away.
pub const REMOVE: &str = "remove SAs and policies";
/// New keys for the algorithms that are there.
const AS_NOW: &str = "as they are";
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
    form.value(F::Make) == MAKE
}

fn makes_keys(form: &Form) -> bool {
    form.value(F::Make) != REMOVE
}

static FIELDS: &[Description] = &[
    Description::choice(
        F::Make,
        "What",
        |_| words(&[MAKE, NEW_KEYS, REMOVE]),
        "SAs and policies on both hosts; new keys: SAs that take the place of those that both have, while traffic goes \
         on; remove: SAs and policies go from both hosts.",
    )
    .initially(MAKE),
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
    .initially("esp")
    .when(makes_policies),
    Description::choice(
        F::Suite,
        "Algorithms",
        |_| SUITES.iter().map(suite_word).collect(),
        "The first is what to take today. aes-256-cbc-sha512 for peers without AES-GCM; 3des-sha1 is what one took in \
         2004.",
    )
    .initially("aes-256-gcm")
    .when(protects),
    Description::choice(
        F::NewSuite,
        "Algorithms",
        |_| std::iter::once(AS_NOW.to_owned()).chain(SUITES.iter().map(suite_word)).collect(),
        "Those of the SAs that are there now, or others; policies do not care.",
    )
    .initially(AS_NOW)
    .when(|form| form.value(F::Make) == NEW_KEYS),
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
        "How long the SAs live, as 8h or 30d; empty: for ever, or new keys as long as the old. Nothing renews them by \
         itself.",
    )
    .when(makes_keys)
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
    MARK,
    IF_ID,
];

/// A suite's name, and that it is weak if it is.
fn suite_word(suite: &Suite) -> String {
    if suite.legacy { format!("{} (legacy)", suite.name) } else { suite.name.to_owned() }
}

fn protects(form: &Form) -> bool {
    makes_policies(form) && form.value(F::Protection) != "ipcomp"
}

fn network(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Option<Prefix> {
    let prefix: Result<Prefix, String> = match form.value(field) {
        "" => Err("a network is needed, as 10.1.0.0/24".to_owned()),
        text => text.parse().map_err(|error: crate::model::prefix::PrefixError| error.to_string()),
    };
    let prefix = prefix.and_then(|prefix| {
        if prefix.has_host_bits() {
            return Err(format!("{prefix} is a host in a network: say {}", prefix.network()));
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
            PairPart::Suite if plan.purpose != Purpose::Make => F::NewSuite,
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
    let limits = if form.applies(F::Lifetime) { lifetime(form, complaints) } else { Ok(LifetimeLimits::default()) };
    let reqid = if form.applies(F::ReqId) { optional_number(form, F::ReqId, complaints) } else { Ok(None) };
    let priority = if form.applies(F::Priority) { number(form, F::Priority, complaints) } else { Some(0) };
    let mark = mark(form, F::Mark, complaints);
    let if_id = if_id(form, complaints);
    let mut plan = PairPlan::between(here?, there?);
    plan.networks = match networks {
        Some([own, far]) => Some([own?, far?]),
        None => None,
    };
    plan.protection = PROTECTIONS.iter().find(|(word, _)| *word == form.value(F::Protection))?.1;
    let suite = |field| SUITES.iter().find(|suite| suite_word(suite) == form.value(field));
    plan.suite = suite(F::Suite)?;
    plan.compress = form.applies(F::Compression) && form.value(F::Compression) == "yes";
    plan.purpose = match form.value(F::Make) {
        NEW_KEYS => Purpose::NewKeys(suite(F::NewSuite)),
        REMOVE => Purpose::Remove,
        _ => Purpose::Make,
    };
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

fn beside(form: &Form, sad: &Sad, spd: &Spd) -> Vec<Complaint> {
    let Some(plan) = read(form).0 else {
        return Vec::new();
    };
    let standing = plan.standing(sad.iter().map(|(_, sa)| sa), spd.iter().map(|(_, policy)| policy));
    let field = |error: &Unplanned| if matches!(error, Unplanned::NoAlgorithms(_)) { F::NewSuite } else { F::Make };
    let complaint = |error: Unplanned| Complaint::error(field(&error), error.to_string());
    plan.refuse_beside(&standing).err().map(complaint).into_iter().collect()
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
            (F::OwnNetwork, "10.1.0.1/24 is a host in a network: say 10.1.0.0/24".to_owned()),
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
    fn new_keys_and_the_end_ask_for_less() {
        let mut form = filled();
        form.set(F::Lifetime, "8 moons");
        form.set(F::Suite, "3des-sha1 (legacy)");
        form.set(F::Make, NEW_KEYS);
        assert_eq!(sentences(&form).iter().map(|(field, _)| *field).collect::<Vec<_>>(), [F::Lifetime]);
        form.set(F::Lifetime, "");
        let purpose = |form: &Form| match form.made() {
            Some(Made::Pair(plan)) => plan.purpose,
            other => panic!("{other:?}"),
        };
        assert_eq!((purpose(&form), sentences(&form)), (Purpose::NewKeys(None), Vec::new()));
        form.set(F::NewSuite, "3des-sha1 (legacy)");
        assert!(matches!(purpose(&form), Purpose::NewKeys(Some(suite)) if suite.legacy));
        assert_eq!(form.complaints().iter().map(|c| c.field).collect::<Vec<_>>(), [F::NewSuite]);
        // What is not asked for does not stand in the way.
        form.set(F::Lifetime, "8 moons");
        form.set(F::Make, REMOVE);
        assert_eq!((purpose(&form), sentences(&form)), (Purpose::Remove, Vec::new()));
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
