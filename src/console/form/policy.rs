//! The form that makes a policy or changes one.

use std::net::IpAddr;

use super::field::{Description, FieldId as F, List, words};
use super::reading::{
    Complaints, IF_ID, LIMIT_FIELDS, MARK, SECURITY, flags, if_id, interface, limits, mark, number, optional_number,
    prefix, security, selector_fields, selector_rest, set_limits, set_selector_rest, set_some,
};
use super::{Complaint, Edited, Form, Made, Plan};
use crate::console::command::Change;
use crate::kernel::KernelError;
use crate::model::check::{self, PolicyField, Problem, Severity, TemplateField};
use crate::model::extras::Offload;
use crate::model::{Policy, PolicyAction, PolicyDirection, PolicyKind, PolicySpec, Sad, Selector, Spd};

pub mod template;

/// The form that makes a policy.
pub static PLAN: Plan = Plan { title: "Add a policy", button: "Add", fields: FIELDS, check, beside, make, blame };

/// The form that changes a policy.
pub static EDIT_PLAN: Plan =
    Plan { title: "Edit a policy", button: "Change it", fields: FIELDS, check, beside, make, blame };

static TRANSFORMS: List = List { plan: &template::PLAN, option: "template", most: PolicySpec::MOST_TEMPLATES };

/// A form for a policy with one transform, as most have.
pub fn adding() -> Form {
    let mut form = Form::new(&PLAN);
    form.push_item(Form::new(&template::PLAN));
    form
}

/// A form filled in with a policy.
///
/// # Errors
/// Why this policy cannot be changed by anybody else than its owner.
pub fn editing(policy: &Policy) -> Result<Form, String> {
    let mut form = Form::new(&EDIT_PLAN);
    let newer = || "this policy is of a kind that is newer than espial".to_owned();
    let action = match policy.action {
        PolicyAction::Allow if !policy.templates.is_empty() => "protect",
        PolicyAction::Allow => "allow",
        PolicyAction::Block => "block",
        PolicyAction::Other(_) => return Err(newer()),
    };
    if policy.is_of_socket() {
        return Err("this policy belongs to a program's socket: only that program can change it".to_owned());
    }
    form.edited = Some(Edited::Policy(Box::new(policy.clone())));
    form.set(F::Direction, &policy.direction.to_string());
    form.set(F::Source, &policy.selector.source.to_string());
    form.set(F::Destination, &policy.selector.destination.to_string());
    set_selector_rest(&mut form, &policy.selector);
    form.set(F::Action, action);
    for template in &policy.templates {
        form.items.push(template::editing(template).ok_or_else(newer)?);
    }
    form.set(F::Priority, &policy.priority.to_string());
    set_limits(&mut form, &policy.limits);
    form.set(F::Set, &policy.kind.to_string());
    set_some(&mut form, F::Mark, policy.mark);
    set_some(&mut form, F::IfId, policy.if_id);
    let flags = FLAGS.iter().enumerate().filter(|(bit, _)| policy.flags & (1 << bit) != 0);
    form.set(F::Flags, &flags.map(|(_, word)| *word).collect::<Vec<_>>().join(" "));
    if let Some(word) = SHARES.get(usize::from(policy.share)) {
        form.set(F::Share, word);
    }
    set_some(&mut form, F::Security, policy.security.as_ref().map(|label| label.text()));
    set_some(&mut form, F::OffloadDevice, policy.offload.map(|offload| offload.interface));
    form.unfold_what_is_filled_in();
    Ok(form)
}

/// `XFRM_POLICY_LOCALOK` and `XFRM_POLICY_ICMP`, by bit.
const FLAGS: [&str; 2] = ["localok", "icmp"];
/// `XFRM_SHARE_*`, by number.
const SHARES: [&str; 4] = ["any", "session", "user", "unique"];

fn protects(form: &Form) -> bool {
    form.value(F::Action) == "protect"
}

static FIELDS: &[&[Description]] = &[MAIN, SELECTOR.split_at(6).0, WHAT, LIMIT_FIELDS, MORE, SELECTOR.split_at(6).1];

static SELECTOR: [Description; 7] = selector_fields(None, F::More);

static MAIN: &[Description] = &[
    Description::choice(
        F::Direction,
        "Direction",
        |_| words(&["out", "in", "fwd"]),
        "out: packets that leave; in: packets for this host; fwd: packets passed on (a tunnel needs in and fwd).",
    )
    .initially("out"),
    Description::text(
        F::Source,
        "Source",
        "Where the packets come from: an address, a network as 10.1.0.0/24, or any.",
    ),
    Description::text(
        F::Destination,
        "Destination",
        "Where the packets go: an address, a network as 10.2.0.0/24, or any.",
    ),
];

static WHAT: &[Description] = &[
    Description::choice(
        F::Action,
        "Action",
        |_| words(&["protect", "allow", "block"]),
        "protect: only through SAs; allow: in clear; block: not at all.",
    )
    .initially("protect"),
    Description::list(
        F::Transforms,
        "Transforms",
        &TRANSFORMS,
        "What the packets are wrapped in, the innermost first, at most 6. Ctrl-N adds one.",
    )
    .when(protects),
    Description::text(
        F::Priority,
        "Priority",
        "The lowest number is asked first. setkey's policies have 2147483648, those of `ip xfrm` 0.",
    )
    .initially("2147483648"),
];

static MORE: &[Description] = &[
    Description::fold(F::More, "More", "Mark, xfrm interface, sub policies, flags: most often not needed."),
    Description::choice(
        F::Set,
        "Set",
        |_| words(&["main", "sub"]),
        "sub policies are asked before all main ones; Mobile IPv6 uses them.",
    )
    .initially("main")
    .under(F::More),
    MARK,
    IF_ID,
    Description::text(
        F::Flags,
        "Flags",
        "Any of localok (a socket may have another policy), icmp (errors about such packets are let in).",
    )
    .under(F::More),
    Description::text(
        F::Index,
        "Index",
        "Its number, whose lowest three bits are the direction; empty: the one it has, or the kernel's choice.",
    )
    .under(F::More),
    Description::choice(
        F::Share,
        "Share",
        |_| words(&SHARES),
        "Which flows may share an SA; the kernel keeps it and does nothing with it.",
    )
    .initially("any")
    .under(F::More),
    SECURITY,
    Description::text(
        F::OffloadDevice,
        "Offload device",
        "The network card that does all of IPsec: its name or number.",
    )
    .under(F::More),
];

fn read(form: &Form) -> (Option<PolicySpec>, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let spec = read_spec(form, &mut complaints);
    let complete = complaints.is_empty();
    if let Some(spec) = &spec {
        let before = form.edited_policy().map(|policy| check::policy(&policy.to_spec())).unwrap_or_default();
        for Problem { field, severity, sentence } in check::policy(spec) {
            let (item, id) = shown_field(form, field);
            let unread = |c: &Complaint| (c.item, c.field) == (item, id) && c.severity == Severity::Error;
            if !complete && complaints.iter().any(unread) {
                continue;
            }
            // What the policy has already can be said to be bad, but it is there.
            let is_there = before.iter().any(|one| one.sentence == sentence);
            let severity = if is_there { Severity::Warning } else { severity };
            complaints.push(Complaint { item, field: id, severity, sentence });
        }
        if let Some(policy) = form.edited_policy().filter(|_| complete) {
            if !policy.templates.is_empty() && policy.action == PolicyAction::Allow && spec.templates.is_empty() {
                complaints.push(Complaint::warning(
                    F::Action,
                    match spec.action {
                        PolicyAction::Allow => "packets that it protected go in clear from then on",
                        PolicyAction::Block | PolicyAction::Other(_) => {
                            "packets that it protected are dropped from then on"
                        }
                    },
                ));
            }
            complaints.extend(parts_of_name(policy, spec).map(|parts| {
                let sentence = format!(
                    "{parts} is part of a policy's name: this one is deleted and another one added; in between, packets \
                     go as the other policies say"
                );
                Complaint::warning(F::Direction, sentence)
            }));
        }
    }
    (spec.filter(|_| complete), complaints)
}

/// Which parts of what names a policy are others now.
fn parts_of_name(before: &Policy, after: &PolicySpec) -> Option<String> {
    let (old, new) = (before.id(), after.id());
    let parts = [
        (old.selector != new.selector, "the selector"),
        (old.direction != new.direction, "the direction"),
        (old.kind != new.kind, "the set"),
        (old.mark != new.mark, "the mark"),
        (old.if_id != new.if_id, "the interface ID"),
    ];
    let parts: Vec<&str> = parts.iter().filter(|(is_so, _)| *is_so).map(|(_, part)| *part).collect();
    Some(parts.join(", ")).filter(|parts| !parts.is_empty())
}

/// The policy as far as it can be read; without its networks there is none. What the form has no field for stays as it
/// was.
fn read_spec(form: &Form, complaints: &mut Complaints) -> Option<PolicySpec> {
    let source = prefix(form, F::Source, F::Destination, complaints);
    let destination = prefix(form, F::Destination, F::Source, complaints);
    let direction = match form.value(F::Direction) {
        "in" => PolicyDirection::In,
        "fwd" => PolicyDirection::Forward,
        _ => PolicyDirection::Out,
    };
    let any = Selector::everything_like(IpAddr::from([0; 4]));
    let mut spec = match form.edited_policy() {
        Some(policy) => policy.to_spec(),
        None => PolicySpec::new(direction, any),
    };
    spec.direction = direction;
    selector_rest(form, &mut spec.selector, complaints);
    let family = source.or(destination).map(|prefix| prefix.address);
    spec.templates = read_templates(form, family, complaints);
    spec.action = if form.value(F::Action) == "block" { PolicyAction::Block } else { PolicyAction::Allow };
    spec.priority = number(form, F::Priority, complaints).unwrap_or(0);
    spec.limits = limits(form, complaints);
    spec.kind = if form.value(F::Set) == "sub" { PolicyKind::Sub } else { PolicyKind::Main };
    spec.mark = mark(form, F::Mark, complaints).unwrap_or_default();
    spec.if_id = if_id(form, complaints).unwrap_or_default();
    let named = u8::try_from(flags(form, F::Flags, &FLAGS, complaints)).unwrap_or(0);
    spec.flags = spec.flags & !3 | named;
    spec.index = optional_number(form, F::Index, complaints).ok().flatten().unwrap_or(0);
    spec.share =
        SHARES.iter().position(|word| *word == form.value(F::Share)).and_then(|n| u8::try_from(n).ok()).unwrap_or(0);
    spec.security = security(form, spec.security.as_deref()).map(Box::new);
    spec.offload = interface(form, F::OffloadDevice, complaints).map(|interface| {
        let flags =
            form.edited_policy().and_then(|policy| policy.offload).map_or(Offload::PACKET, |before| before.flags);
        Offload { interface, flags }
    });
    (spec.selector.source, spec.selector.destination) = (source?, destination?);
    Some(spec)
}

fn read_templates(form: &Form, mut family: Option<IpAddr>, complaints: &mut Complaints) -> Vec<crate::model::Template> {
    if !protects(form) {
        return Vec::new();
    }
    if form.items().is_empty() {
        complaints.push(Complaint::error(F::Transforms, "what is it protected with? Ctrl-N adds a transform"));
    }
    let mut templates = Vec::new();
    for (place, item) in form.items().iter().enumerate() {
        let mut own = Vec::new();
        let template = template::read(item, family, &mut own);
        complaints.extend(own.into_iter().map(|complaint| complaint.of(Some(place))));
        family = Some(template.source);
        templates.push(template);
    }
    templates
}

fn shown_field(form: &Form, field: PolicyField) -> (Option<usize>, F) {
    let has_types = form.applies(F::IcmpType);
    let of_form = |field| (None, Some(field).filter(|field| form.applies(*field)).unwrap_or(F::Upper));
    match field {
        PolicyField::Direction => of_form(F::Direction),
        PolicyField::Source => of_form(F::Source),
        PolicyField::Mark => of_form(F::Mark),
        PolicyField::Kind => of_form(F::Set),
        PolicyField::Destination => of_form(F::Destination),
        PolicyField::Protocol => of_form(F::Upper),
        PolicyField::SourcePort => of_form(if has_types { F::IcmpType } else { F::SourcePort }),
        PolicyField::DestinationPort => of_form(if has_types { F::IcmpCode } else { F::DestinationPort }),
        PolicyField::Action => of_form(F::Action),
        PolicyField::Priority => of_form(F::Priority),
        PolicyField::Limits => of_form(F::Lifetime),
        PolicyField::Index => of_form(F::Index),
        PolicyField::Share => of_form(F::Share),
        PolicyField::Security => of_form(F::Security),
        PolicyField::Templates => of_form(F::Transforms),
        PolicyField::Template(place, part) => {
            let field = match part {
                TemplateField::Protocol => F::Protocol,
                TemplateField::Mode => F::Mode,
                TemplateField::Ends => F::TunnelDestination,
                TemplateField::Level => F::Level,
            };
            let shown = form.part(Some(place)).applies(field);
            (Some(place), if shown { field } else { F::Mode })
        }
    }
}

fn check(form: &Form) -> Vec<Complaint> {
    read(form).1
}

fn beside(form: &Form, _: &Sad, spd: &Spd) -> Vec<Complaint> {
    let edited = form.edited_policy().map(Policy::id);
    let problems = spec(form).map(|spec| {
        let others = spd.iter().map(|(_, policy)| policy).filter(|policy| Some(policy.id()) != edited);
        check::policy_beside(&spec, &others.collect::<Vec<_>>())
    });
    let complaint = |p: Problem<PolicyField>| {
        let (item, field) = shown_field(form, p.field);
        Complaint { item, field, severity: p.severity, sentence: p.sentence }
    };
    problems.into_iter().flatten().map(complaint).collect()
}

/// The policy that the form says; `None` while something is missing.
pub fn spec(form: &Form) -> Option<PolicySpec> {
    read(form).0
}

fn make(form: &Form) -> Option<Made> {
    let spec = spec(form)?;
    let change = match form.edited_policy().map(Policy::id) {
        Some(id) if id == spec.id() => Change::UpdatePolicy(spec),
        Some(id) => Change::ReplacePolicy { id: Box::new(id), spec: Box::new(spec) },
        None => Change::AddPolicy(spec),
    };
    Some(Made::Change(Box::new(change)))
}

fn blame(error: &KernelError) -> Option<F> {
    let reason = error.reason();
    match error.errno()? {
        libc::EEXIST => Some(F::Source),
        _ if reason.contains("emplate") => Some(F::Transforms),
        _ if reason.contains("index") => Some(F::Index),
        _ if reason.contains("direction") => Some(F::Direction),
        _ if reason.contains("selector") => Some(F::Destination),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        IpsecProtocol, Level, LifetimeLimits, Limit, Mode, PortMatch, ReqId, Spi, Template, UpperProtocol,
    };

    fn filled() -> Form {
        let mut form = adding();
        form.set(F::Source, "10.9.0.1");
        form.set(F::Destination, "10.9.0.2");
        form
    }

    /// Fills in a field of one of the transforms.
    fn set(form: &mut Form, item: usize, field: F, value: &str) {
        form.part_mut(Some(item)).set(field, value);
    }

    #[track_caller]
    fn errors(form: &Form, expected: &[(Option<usize>, F, &str)]) {
        let found = form.complaints();
        let found: Vec<_> = found.iter().filter(|c| c.severity == Severity::Error).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (complaint, (item, field, part)) in found.iter().zip(expected) {
            assert_eq!((complaint.item, complaint.field), (*item, *field), "{complaint:?}");
            assert!(complaint.sentence.contains(part), "{complaint:?}");
        }
    }

    #[test]
    fn the_articles_policy() {
        let mut form = filled();
        form.push_item(template::parse("ah/transport//require").unwrap());
        errors(&form, &[]);
        let spec = spec(&form).unwrap();
        assert_eq!(spec.id().to_string(), "out 10.9.0.1/32 10.9.0.2/32");
        assert_eq!(spec.priority, PolicySpec::SETKEY_PRIORITY);
        let templates: Vec<_> = spec.templates.iter().map(|t| (t.protocol, t.mode, t.level)).collect();
        let required = |protocol| (protocol, Mode::Transport, Level::Required);
        assert_eq!(templates, [required(IpsecProtocol::Esp), required(IpsecProtocol::Ah)]);
    }

    #[test]
    fn a_tunnel_between_two_networks() {
        let mut form = filled();
        for (field, value) in [(F::Source, "10.1.0.0/24"), (F::Destination, "10.2.0.0/24")] {
            form.set(field, value);
        }
        set(&mut form, 0, F::Mode, "tunnel");
        let both = "both its ends";
        errors(&form, &[(Some(0), F::TunnelSource, both), (Some(0), F::TunnelDestination, both)]);
        set(&mut form, 0, F::TunnelSource, "10.9.0.1");
        set(&mut form, 0, F::TunnelDestination, "10.9.0.2");
        set(&mut form, 0, F::Level, "optional");
        errors(&form, &[(Some(0), F::Level, "optional")]);
        set(&mut form, 0, F::Level, "required");
        errors(&form, &[]);
        let template = spec(&form).unwrap().templates.remove(0);
        assert_eq!((template.mode, template.destination), (Mode::Tunnel, [10, 9, 0, 2].into()));
    }

    #[test]
    fn transforms_are_added_moved_and_removed() {
        let mut form = filled();
        while !form.focused().unwrap().is(F::Transforms) {
            form.next_field();
        }
        assert!(form.list_is_focused() && form.add_item());
        assert_eq!(form.focused().unwrap().item, Some(1));
        form.choose(1);
        let protocols = |form: &Form| -> Vec<IpsecProtocol> {
            spec(form).unwrap().templates.iter().map(|template| template.protocol).collect()
        };
        assert_eq!(protocols(&form), [IpsecProtocol::Esp, IpsecProtocol::Ah]);
        assert!(form.move_item_up() && !form.move_item_up());
        assert_eq!(form.focused().unwrap().item, Some(0));
        assert_eq!(protocols(&form), [IpsecProtocol::Ah, IpsecProtocol::Esp]);
        while form.add_item() {}
        assert_eq!(form.items().len(), PolicySpec::MOST_TEMPLATES);
        while form.remove_item() {}
        assert!(form.items().len() < PolicySpec::MOST_TEMPLATES);
        while form.focused().unwrap().item.is_none() {
            form.next_field();
        }
        while form.remove_item() {}
        assert!(form.items().is_empty());
        errors(&form, &[(None, F::Transforms, "Ctrl-N")]);
    }

    #[test]
    fn ports_are_asked_for_only_where_there_are_any() {
        let mut form = filled();
        assert!(!form.applies(F::SourcePort));
        form.set(F::Upper, "tcp");
        form.set(F::DestinationPort, "70000");
        errors(&form, &[(None, F::DestinationPort, "0 to 65535")]);
        form.set(F::DestinationPort, "22");
        assert_eq!(spec(&form).unwrap().selector.to_string(), "10.9.0.1/32 10.9.0.2/32 tcp dport 22");
        form.set(F::Upper, "icmp");
        form.set(F::IcmpType, "8");
        assert!(!form.applies(F::DestinationPort) && form.applies(F::IcmpCode));
        assert_eq!(spec(&form).unwrap().selector.to_string(), "10.9.0.1/32 10.9.0.2/32 icmp type 8");
        form.set(F::Upper, "nonsense");
        errors(&form, &[(None, F::Upper, "no protocol")]);
    }

    #[test]
    fn what_does_not_protect_has_no_transforms() {
        let mut form = filled();
        form.set(F::Action, "block");
        assert!(!form.applies(F::Transforms));
        let spec = spec(&form).unwrap();
        assert_eq!((spec.action, spec.templates.len()), (PolicyAction::Block, 0));
    }

    #[test]
    fn any_is_of_the_other_ends_family() {
        let mut form = filled();
        form.set(F::Source, "any");
        assert_eq!(spec(&form).unwrap().selector.source.to_string(), "0.0.0.0/0");
        form.set(F::Destination, "any");
        errors(&form, &[(None, F::Source, "which family"), (None, F::Destination, "which family")]);
        form.set(F::Destination, "fd00::/64");
        assert_eq!(spec(&form).unwrap().selector.source.to_string(), "::/0");
    }

    fn rich() -> PolicySpec {
        let mut spec = spec(&filled()).unwrap();
        spec.direction = PolicyDirection::In;
        spec.selector.protocol = UpperProtocol::UDP;
        spec.selector.source_port = PortMatch { value: 0x1000, mask: 0xf000 };
        (spec.selector.user, spec.selector.interface) = (5, 6);
        let mut template =
            Template::new(IpsecProtocol::Ah, Mode::Transport, [10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        (template.share, template.reqid, template.spi) = (2, ReqId(7), Spi(0x1001));
        template.algorithm_masks.encryption = 9;
        spec.templates = vec![template, Template { level: Level::Use, ..spec.templates[0].clone() }];
        (spec.priority, spec.flags, spec.share) = (7, 0x83, 3);
        spec.limits = LifetimeLimits { bytes: Limit { soft: Some(5), hard: None }, ..LifetimeLimits::default() };
        spec.kind = PolicyKind::Sub;
        spec.security = Some(Box::new(crate::model::extras::SecurityContext::selinux("a:b")));
        spec.offload = Some(Offload { interface: 2, flags: 7 });
        spec
    }

    #[test]
    fn a_policy_that_is_edited_keeps_what_it_has_and_its_place() {
        let policy = Policy::from_spec(&rich(), 24, 0);
        let mut form = editing(&policy).unwrap();
        let made = spec(&form).unwrap_or_else(|| panic!("{:?}", form.complaints()));
        assert_eq!(made, policy.to_spec());
        form.set(F::Priority, "9");
        let Some(Made::Change(change)) = form.made() else { panic!() };
        assert!(matches!(*change, Change::UpdatePolicy(spec) if spec.priority == 9));
        assert_eq!(form.complaints(), []);
        form.set(F::Mark, "3");
        form.set(F::Direction, "fwd");
        let Some(Made::Change(change)) = form.made() else { panic!() };
        assert!(matches!(*change, Change::ReplacePolicy { id, .. } if *id == policy.id()));
        let sentences: Vec<_> = form.warnings().into_iter().map(|complaint| complaint.sentence).collect();
        assert!(
            sentences.iter().any(|sentence| sentence.starts_with("the direction, the mark is part")),
            "{sentences:?}"
        );
    }

    #[test]
    fn transforms_are_written_as_setkey_does() {
        let read = |text: &str| template::read(&template::parse(text).unwrap(), None, &mut Vec::new());
        let template = read("esp/tunnel/10.9.0.1-10.9.0.2/use/7/0x1001");
        assert_eq!((template.mode, template.level), (Mode::Tunnel, Level::Use));
        assert_eq!((template.source, template.destination), ([10, 9, 0, 1].into(), [10, 9, 0, 2].into()));
        assert_eq!((template.reqid, template.spi), (ReqId(7), Spi(0x1001)));
        assert_eq!(read("comp/transport").protocol, IpsecProtocol::Comp);
        for (text, words) in [
            ("esp", "\"\" in \"esp\" is none of transport, tunnel"),
            ("tcp/tunnel", "none of esp, ah"),
            ("esp/tunnel/10.9.0.1/require", "a - between"),
            ("esp/tunnel//always", "none of required, optional"),
            ("esp/tunnel//use/1/2/3", "too much"),
        ] {
            let error = template::parse(text).err().unwrap_or_default();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
