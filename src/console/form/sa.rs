//! The form that makes an SA.

use std::net::IpAddr;

use super::reading::{address, if_id, lifetime, mark, number, optional};
use super::{Complaint, Description, FieldId as F, Form, Kind, Made, Plan, shows_more, words};
use crate::console::command::Change;
use crate::dialect::left_out_of_sa;
use crate::kernel::KernelError;
use crate::kernel::together::keeps_numbers;
use crate::model::check::{self, Problem, SaField, Severity};
use crate::model::extras::Encapsulation;
use crate::model::secret::KeyTextError;
use crate::model::{
    Algorithm, AlgorithmKind, IpsecProtocol, Mode, ReqId, Sa, SaFlags, SaSpec, Sad, Secret, Spd, Spi, Transform,
};

/// The form that makes an SA.
pub static PLAN: Plan = Plan { title: "Add an SA", button: "Add", fields: FIELDS, check, beside, make, blame };

/// The form that makes an SA anew.
pub static EDIT_PLAN: Plan =
    Plan { title: "Edit an SA", button: "Make it anew", fields: FIELDS, check, beside, make, blame };

/// A form filled in with an SA; `Err` says what of it the form has no field for.
///
/// # Errors
/// When the SA cannot be said with the form's fields.
pub fn editing(sa: &Sa) -> Result<Form, String> {
    let no_field = |what: &str| Err(format!("the form has no field for {what}"));
    let mut form = Form::new(&EDIT_PLAN);
    let protocol = match sa.protocol {
        _ if sa.is_larval() => return no_field("an SA that waits for its keys"),
        IpsecProtocol::Esp => "esp",
        IpsecProtocol::Ah => "ah",
        IpsecProtocol::Comp => "ipcomp",
        other => return no_field(&format!("{other} SAs")),
    };
    let mode = match sa.mode {
        Mode::Transport => "transport",
        Mode::Tunnel => "tunnel",
        other => return no_field(&format!("mode {other}")),
    };
    form.set(F::Protocol, protocol);
    form.set(F::Mode, mode);
    form.set(F::Source, &sa.source.to_string());
    form.set(F::Destination, &sa.destination.to_string());
    form.set(F::Spi, &sa.spi.to_string());
    form.set(F::ReqId, &sa.reqid.to_string());
    form.set(F::ReplayWindow, &sa.replay.window.to_string());
    let algorithms = &sa.algorithms;
    if let Some(transform) = algorithms.aead.as_ref().or(algorithms.encryption.as_ref()) {
        let fits = |algorithm: &Algorithm, bits: u16| {
            algorithm.kernel == transform.name.kernel() && usize::from(bits) == transform.key.bits()
        };
        let Some((word, ..)) = encryption_choices().find(|(_, algorithm, bits)| fits(algorithm, *bits)) else {
            return no_field(&format!("the encryption {}", algorithms.encryption_label()));
        };
        form.set(F::Encryption, &word);
        set_key(&mut form, F::EncryptionKey, &transform.key)?;
    }
    form.set(F::Authentication, NONE);
    if let Some(transform) = &algorithms.authentication {
        let fits = |algorithm: &Algorithm, bits: u16| {
            let length = usize::from(algorithm.key_bits.longest());
            let name = algorithm.kernel == transform.name.kernel();
            name && u32::from(bits) == transform.icv_bits && length == transform.key.bits()
        };
        let Some((word, ..)) = authentication_choices().find(|(_, algorithm, bits)| fits(algorithm, *bits)) else {
            return no_field(&format!("the authentication {}", algorithms.authentication_label()));
        };
        form.set(F::Authentication, &word);
        set_key(&mut form, F::AuthenticationKey, &transform.key)?;
    }
    form.set(F::LongNumbers, if sa.flags.esn() { "yes" } else { "no" });
    if let Some(udp) = sa.extras.encapsulation {
        form.set(F::Encapsulation, &format!("{},{}", udp.source_port, udp.destination_port));
    }
    if let Some(seconds) = sa.limits.since_added_secs.hard {
        form.set(F::Lifetime, &seconds.to_string());
    }
    if let Some(mark) = sa.mark {
        form.set(F::Mark, &mark.to_string());
    }
    if let Some(if_id) = sa.if_id {
        form.set(F::IfId, &if_id.to_string());
    }
    // Nothing of it may count for nothing because it is folded away.
    form.set(F::More, "shown");
    form.edited = Some(Box::new(sa.clone()));
    Ok(form)
}

fn set_key(form: &mut Form, field: F, key: &Secret) -> Result<(), String> {
    if key.is_redacted() {
        return Err("its keys may not be read, so it cannot be made anew".to_owned());
    }
    let text = zeroize::Zeroizing::new(format!("0x{}", *key.reveal_hex()));
    form.set(field, if key.is_empty() { "" } else { &text });
    Ok(())
}

/// The choice that means no algorithm.
const NONE: &str = "none";

static FIELDS: &[Description] = &[
    Description {
        id: F::Protocol,
        label: "Protocol",
        help: "esp encrypts, ah only authenticates (the header too), ipcomp only compresses.",
        kind: Kind::Choice(|_| words(&["esp", "ah", "ipcomp"])),
        initial: "esp",
        applies: |_| true,
    },
    Description {
        id: F::Mode,
        label: "Mode",
        help: "transport protects the packets between two hosts, tunnel wraps whole packets between two gateways.",
        kind: Kind::Choice(|_| words(&["transport", "tunnel"])),
        initial: "transport",
        applies: |_| true,
    },
    Description {
        id: F::Source,
        label: "Source",
        help: "The address that the protected packets come from.",
        kind: Kind::Text,
        initial: "",
        applies: |_| true,
    },
    Description {
        id: F::Destination,
        label: "Destination",
        help: "The address that the protected packets go to.",
        kind: Kind::Text,
        initial: "",
        applies: |_| true,
    },
    Description {
        id: F::Spi,
        label: "SPI",
        help: "The SA's number, the same on both hosts: decimal or 0x hex, from 256. Ctrl-G picks a free one.",
        kind: Kind::Text,
        initial: "",
        applies: |_| true,
    },
    Description {
        id: F::Encryption,
        label: "Encryption",
        help: "The cipher with its key length in bits; those of the first group authenticate too.",
        kind: Kind::Choice(|_| encryptions()),
        initial: "aes-gcm-256",
        applies: |form| form.value(F::Protocol) == "esp",
    },
    Description {
        id: F::EncryptionKey,
        label: "Key",
        help: "0x and hex digits, or text in \"quotes\", salt included. Ctrl-G makes up a random one.",
        kind: Kind::Key,
        initial: "",
        applies: |form| chosen_encryption(form).is_some_and(|(_, bits)| bits > 0),
    },
    Description {
        id: F::Authentication,
        label: "Authentication",
        help: "The algorithm that proves origin and integrity, with the length of the proof in bits.",
        kind: Kind::Choice(authentications),
        initial: "hmac-sha256-128",
        applies: needs_authentication,
    },
    Description {
        id: F::AuthenticationKey,
        label: "Key",
        help: "0x and hex digits, or text in \"quotes\". Ctrl-G makes up a random one.",
        kind: Kind::Key,
        initial: "",
        applies: |form| {
            needs_authentication(form)
                && chosen_authentication(form).is_some_and(|(algorithm, _)| algorithm.key_bits.longest() > 0)
        },
    },
    Description {
        id: F::Compression,
        label: "Compression",
        help: "The only algorithm that Linux has.",
        kind: Kind::Choice(|_| words(&["deflate"])),
        initial: "deflate",
        applies: |form| form.value(F::Protocol) == "ipcomp",
    },
    Description {
        id: F::ReqId,
        label: "ReqID",
        help: "A policy's template with the same number uses only such SAs; 0 ties to none.",
        kind: Kind::Text,
        initial: "0",
        applies: |_| true,
    },
    Description {
        id: F::ReplayWindow,
        label: "Replay window",
        help: "How many packets back a packet may come late; 0 lets old packets be played again.",
        kind: Kind::Text,
        initial: "32",
        applies: |form| form.value(F::Protocol) != "ipcomp",
    },
    Description {
        id: F::More,
        label: "More",
        help: "Long sequence numbers, UDP around ESP, lifetime, mark, xfrm interface: most often not needed.",
        kind: Kind::Choice(|_| words(&["hidden", "shown"])),
        initial: "hidden",
        applies: |_| true,
    },
    Description {
        id: F::LongNumbers,
        label: "64-bit numbers",
        help: "Extended sequence numbers (ESN), for fast links. The peer must have them too.",
        kind: Kind::Choice(|_| words(&["no", "yes"])),
        initial: "no",
        applies: |form| shows_more(form) && form.value(F::Protocol) != "ipcomp",
    },
    Description {
        id: F::Encapsulation,
        label: "UDP around it",
        help: "Ports as 4500 or 4500,4500 (from, to), where a NAT stands between the hosts; empty: none.",
        kind: Kind::Text,
        initial: "",
        applies: |form| shows_more(form) && form.value(F::Protocol) == "esp",
    },
    Description {
        id: F::Lifetime,
        label: "Lifetime",
        help: "How long it lives, as 8h or 30d; empty: for ever. Nothing renews it by itself.",
        kind: Kind::Text,
        initial: "",
        applies: shows_more,
    },
    Description {
        id: F::Mark,
        label: "Mark",
        help: "Only for packets with this mark: a number, or number/mask.",
        kind: Kind::Text,
        initial: "",
        applies: shows_more,
    },
    Description {
        id: F::IfId,
        label: "Interface ID",
        help: "Only for packets through the xfrm interface of this number.",
        kind: Kind::Text,
        initial: "",
        applies: shows_more,
    },
];

/// The key lengths that are offered: all of a list, or 128 bits and the longest of a range, without salts.
fn offered_lengths(algorithm: &Algorithm) -> Vec<u16> {
    match algorithm.key_bits {
        check_range @ crate::model::algorithm::KeyLengths::Range(..) => {
            let mut lengths = vec![check_range.longest(), 128];
            lengths.dedup();
            lengths
        }
        crate::model::algorithm::KeyLengths::OneOf(list) => list.iter().rev().copied().collect(),
    }
}

/// Every cipher with every key length that is offered: the word on screen, the algorithm, the key bits with salt.
fn encryption_choices() -> impl Iterator<Item = (String, &'static Algorithm, u16)> {
    let all = Algorithm::of_kind(AlgorithmKind::Aead).chain(Algorithm::of_kind(AlgorithmKind::Encryption));
    all.flat_map(|algorithm| {
        offered_lengths(algorithm).into_iter().map(move |bits| {
            let word = if algorithm.key_bits.is_fixed() {
                algorithm.label.to_owned()
            } else {
                format!("{}-{}", algorithm.label, bits.saturating_sub(algorithm.salt_bits))
            };
            (word, algorithm, bits)
        })
    })
}

fn encryptions() -> Vec<String> {
    encryption_choices().map(|(word, ..)| word).collect()
}

fn chosen_encryption(form: &Form) -> Option<(&'static Algorithm, u16)> {
    if form.value(F::Protocol) != "esp" {
        return None;
    }
    let chosen = form.value(F::Encryption);
    encryption_choices().find(|(word, ..)| word == chosen).map(|(_, algorithm, bits)| (algorithm, bits))
}

fn authentication_choices() -> impl Iterator<Item = (String, &'static Algorithm, u16)> {
    Algorithm::of_kind(AlgorithmKind::Authentication).flat_map(|algorithm| {
        algorithm.icv_bits.iter().map(move |bits| {
            let word = if *bits == 0 { algorithm.label.to_owned() } else { format!("{}-{bits}", algorithm.label) };
            (word, algorithm, *bits)
        })
    })
}

fn authentications(form: &Form) -> Vec<String> {
    let all = authentication_choices();
    if form.value(F::Protocol) == "ah" {
        // AH without a proof would be no AH.
        all.filter(|(_, _, bits)| *bits > 0).map(|(word, ..)| word).collect()
    } else {
        all.filter(|(_, _, bits)| *bits > 0).map(|(word, ..)| word).chain([NONE.to_owned()]).collect()
    }
}

fn chosen_authentication(form: &Form) -> Option<(&'static Algorithm, u16)> {
    let chosen = form.value(F::Authentication);
    authentication_choices().find(|(word, ..)| word == chosen).map(|(_, algorithm, bits)| (algorithm, bits))
}

fn needs_authentication(form: &Form) -> bool {
    match form.value(F::Protocol) {
        "ah" => true,
        "esp" => chosen_encryption(form).is_some_and(|(algorithm, _)| algorithm.kind == AlgorithmKind::Encryption),
        _ => false,
    }
}

/// The length in bytes of the key that belongs into a field.
pub fn key_bytes(form: &Form, field: F) -> Option<usize> {
    let bits = match field {
        F::EncryptionKey => chosen_encryption(form)?.1,
        F::AuthenticationKey => chosen_authentication(form)?.0.key_bits.longest(),
        _ => return None,
    };
    Some(usize::from(bits) / 8)
}

fn key_of(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Option<Secret> {
    let bytes = key_bytes(form, field)?;
    if !form.applies(field) {
        return Some(Secret::default());
    }
    let text = form.value(field);
    if text.is_empty() {
        complaints.push(Complaint::error(field, format!("a key of {} bits is needed: Ctrl-G makes one up", bytes * 8)));
        return None;
    }
    let wrong = |error: KeyTextError| complaints.push(Complaint::error(field, error.to_string()));
    let key = Secret::parse(text).map_err(wrong).ok()?;
    if key.len() != bytes {
        let sentence = format!("this key has {} bits, {} are needed", key.bits(), bytes * 8);
        complaints.push(Complaint::error(field, sentence));
        return None;
    }
    Some(key)
}

/// What the form says, if it can be an SA, and everything wrong with it.
fn read(form: &Form) -> (Option<SaSpec>, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let spec = read_spec(form, &mut complaints);
    let complete = complaints.is_empty();
    if let Some(before) = form.edited_sa() {
        let warning = |sentence| Complaint { field: F::Spi, severity: Severity::Warning, sentence };
        let lost = left_out_of_sa(before);
        if !lost.is_empty() {
            complaints.push(warning(format!("this of the SA is lost: {}", lost.join(", "))));
        }
        complaints.push(warning(consequence(before, &spec).to_owned()));
    }
    for problem in check::sa(&spec) {
        let field = field_of(problem.field);
        // A field that cannot be read was filled in with something harmless: there is no more to say about it.
        if form.applies(field) && !complaints.iter().any(|complaint| complaint.field == field) {
            complaints.push(Complaint { field, severity: problem.severity, sentence: problem.sentence });
        }
    }
    (complete.then_some(spec), complaints)
}

/// What follows from making an SA anew.
fn consequence(before: &Sa, after: &SaSpec) -> &'static str {
    if keeps_numbers(before, after) {
        "it is deleted and made again: packets in between are lost; its sequence numbers go on"
    } else {
        "it is deleted and made again: packets in between are lost; its sequence numbers begin again, so the peer's \
         must be made anew too"
    }
}

/// The SA with something harmless in the place of what is missing, so that all the rest can be checked.
fn read_spec(form: &Form, complaints: &mut Vec<Complaint>) -> SaSpec {
    let source = address(form, F::Source, complaints);
    let destination = address(form, F::Destination, complaints);
    let somewhere = IpAddr::from([127, 0, 0, 1]);
    let (source, destination) = (
        source.or(destination).unwrap_or(somewhere),
        destination.or(source.filter(|address| !address.is_unspecified())).unwrap_or(somewhere),
    );
    let spi = number(form, F::Spi, complaints).unwrap_or(0x100);
    let protocol = match form.value(F::Protocol) {
        "ah" => IpsecProtocol::Ah,
        "ipcomp" => IpsecProtocol::Comp,
        _ => IpsecProtocol::Esp,
    };
    let before = form.edited_sa();
    let mut spec = SaSpec::new(source, destination, protocol, Spi(spi));
    if let Some(before) = before {
        // What the form has no field for stays.
        let Sa { flags, direction, .. } = before;
        (spec.flags, spec.direction, spec.selector) = (*flags, *direction, before.to_spec().selector);
        spec.extras.clone_from(&before.extras);
    }
    spec.mode = if form.value(F::Mode) == "tunnel" { Mode::Tunnel } else { Mode::Transport };
    spec.reqid = ReqId(number(form, F::ReqId, complaints).unwrap_or(0));
    if form.applies(F::ReplayWindow) {
        spec.replay_window = number(form, F::ReplayWindow, complaints).unwrap_or(0);
    }
    spec.flags.0 &= !SaFlags::ESN;
    if form.applies(F::LongNumbers) && form.value(F::LongNumbers) == "yes" {
        spec.flags.0 |= SaFlags::ESN;
    }
    let udp_before = before.and_then(|sa| sa.extras.encapsulation);
    spec.extras.encapsulation = encapsulation(form, destination, complaints).map(|udp| match udp_before {
        Some(before) => Encapsulation { kind: before.kind, original: before.original, ..udp },
        None => udp,
    });
    // What cannot be read has been complained about, and nothing is made.
    spec.limits = lifetime(form, complaints).unwrap_or_default();
    if let Some(before) = before.map(|sa| sa.limits) {
        let seconds = spec.limits.since_added_secs;
        spec.limits = before;
        if before.since_added_secs.hard != seconds.hard {
            spec.limits.since_added_secs = seconds;
        }
    }
    spec.mark = mark(form, complaints).unwrap_or_default();
    spec.if_id = if_id(form, complaints).unwrap_or_default();
    if let Some((algorithm, _)) = chosen_encryption(form) {
        let aead_before = before.and_then(|sa| sa.algorithms.aead.as_ref());
        let same = aead_before.filter(|transform| transform.name.kernel() == algorithm.kernel);
        let usual = algorithm.icv_bits.first().map_or(0, |bits| u32::from(*bits));
        let icv_bits = same.map_or(usual, |transform| transform.icv_bits);
        let transform = Some(transform(form, F::EncryptionKey, algorithm, icv_bits, complaints));
        match algorithm.kind {
            AlgorithmKind::Aead => spec.algorithms.aead = transform,
            _ => spec.algorithms.encryption = transform,
        }
    }
    if needs_authentication(form)
        && let Some((algorithm, icv_bits)) = chosen_authentication(form)
    {
        let transform = transform(form, F::AuthenticationKey, algorithm, icv_bits.into(), complaints);
        spec.algorithms.authentication = Some(transform);
    }
    if protocol == IpsecProtocol::Comp {
        spec.algorithms.compression = Algorithm::by_kernel_name("deflate").map(Into::into);
    }
    spec
}

/// UDP around ESP.
fn encapsulation(form: &Form, destination: IpAddr, complaints: &mut Vec<Complaint>) -> Option<Encapsulation> {
    let ports = |text: &str| {
        let (from, to) = text.split_once(',').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        port(from).zip(port(to)).ok_or_else(|| "ports are numbers from 1 to 65535, as 4500 or 4500,4500".to_owned())
    };
    let (source_port, destination_port) = optional(form, F::Encapsulation, complaints, ports).ok()??;
    let original = if destination.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    Some(Encapsulation { kind: Encapsulation::ESP_IN_UDP, source_port, destination_port, original })
}

fn transform(
    form: &Form,
    key_field: F,
    algorithm: &'static Algorithm,
    icv_bits: u32,
    complaints: &mut Vec<Complaint>,
) -> Transform {
    let bytes = key_bytes(form, key_field).unwrap_or(0);
    let key = key_of(form, key_field, complaints).unwrap_or_else(|| Secret::take(vec![0; bytes]));
    Transform { name: algorithm.into(), key, icv_bits }
}

fn field_of(field: SaField) -> F {
    match field {
        SaField::Source => F::Source,
        SaField::Destination | SaField::Selector => F::Destination,
        SaField::Protocol | SaField::Direction => F::Protocol,
        SaField::Spi => F::Spi,
        SaField::Flags => F::LongNumbers,
        SaField::Mark => F::Mark,
        SaField::Encapsulation => F::Encapsulation,
        SaField::Limits => F::Lifetime,
        SaField::Mode => F::Mode,
        SaField::Encryption => F::Encryption,
        SaField::EncryptionKey => F::EncryptionKey,
        SaField::Authentication => F::Authentication,
        SaField::AuthenticationKey => F::AuthenticationKey,
        SaField::Compression => F::Compression,
        SaField::ReqId => F::ReqId,
        SaField::ReplayWindow => F::ReplayWindow,
    }
}

fn check(form: &Form) -> Vec<Complaint> {
    read(form).1
}

fn beside(form: &Form, sad: &Sad, _: &Spd) -> Vec<Complaint> {
    let edited = form.edited_sa().map(Sa::id);
    let others = sad.iter().map(|(_, sa)| sa).filter(|sa| Some(sa.id()) != edited);
    let problems = spec(form).map(|spec| check::sa_beside(&spec, others));
    let complaint = |p: Problem<SaField>| {
        // A field that is not shown says nothing.
        let field = Some(field_of(p.field)).filter(|field| form.applies(*field)).unwrap_or(F::Spi);
        Complaint { field, severity: p.severity, sentence: p.sentence }
    };
    problems.into_iter().flatten().map(complaint).collect()
}

/// The SA that the form says; `None` while something is missing.
pub fn spec(form: &Form) -> Option<SaSpec> {
    read(form).0
}

fn make(form: &Form) -> Option<Made> {
    let spec = spec(form)?;
    let change = match form.edited_sa() {
        Some(before) => Change::ReplaceSa { id: before.id(), spec: Box::new(spec) },
        None => Change::AddSa(spec),
    };
    Some(Made::Change(Box::new(change)))
}

fn blame(error: &KernelError) -> Option<F> {
    let reason = error.reason();
    let about = |word: &str| reason.contains(word);
    match error.errno()? {
        libc::EEXIST => Some(F::Spi),
        _ if about("AUTH algorithm") || about("AUTH_TRUNC") || about("truncated ICV") => Some(F::Authentication),
        _ if about("CRYPT algorithm") || about("AEAD algorithm") => Some(F::Encryption),
        _ if about("initialize cryptographic") => Some(F::EncryptionKey),
        libc::EPROTONOSUPPORT => Some(F::Protocol),
        _ if about("mode") => Some(F::Mode),
        _ if about("SPI") => Some(F::Spi),
        _ if about("eplay") || about("ESN") => Some(F::ReplayWindow),
        _ if about("family") => Some(F::Destination),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Cause, Operation};
    use crate::model::Sa;
    use crate::model::check::Severity;

    fn filled() -> Form {
        let mut form = Form::new(&PLAN);
        for (field, value) in [(F::Source, "10.9.0.1"), (F::Destination, " 10.9.0.2 "), (F::Spi, "0x1001")] {
            form.set(field, value);
        }
        form.set(F::EncryptionKey, &format!("0x{}", "ab".repeat(36)));
        form
    }

    fn submit(form: &mut Form) -> bool {
        form.submit(&Sad::default(), &Spd::default())
    }

    #[test]
    fn what_is_there_already_is_refused_under_its_field() {
        let mut form = filled();
        let mut sad = Sad::default();
        sad.insert(Sa::from_spec(&spec(&form).unwrap(), 0));
        assert!(!form.submit(&sad, &Spd::default()));
        assert_eq!(form.focused().unwrap().id, F::Spi);
        assert!(form.complaint(F::Spi).unwrap().sentence.contains("already"));
        form.set(F::Spi, "0x1002");
        assert_eq!(form.complaint(F::Spi), None);
    }

    fn sentences(form: &Form) -> Vec<(F, Severity, String)> {
        form.complaints().into_iter().map(|c| (c.field, c.severity, c.sentence)).collect()
    }

    #[test]
    fn a_filled_form_is_an_sa() {
        let form = filled();
        assert_eq!(sentences(&form), []);
        let spec = spec(&form).unwrap();
        assert_eq!(spec.id().to_string(), "esp 0x00001001 to 10.9.0.2");
        assert_eq!((spec.replay_window, spec.mode), (32, Mode::Transport));
        let aead = spec.algorithms.aead.unwrap();
        assert_eq!((aead.name.label(), aead.key.bits(), aead.icv_bits), ("aes-gcm", 288, 128));
    }

    #[test]
    fn what_few_need_is_folded_away_and_counts_only_when_it_is_shown() {
        let mut form = filled();
        form.set(F::LongNumbers, "yes");
        form.set(F::Encapsulation, "4500");
        form.set(F::Mark, "7");
        assert_eq!((spec(&form).unwrap().mark, spec(&form).unwrap().flags), (None, SaFlags::default()));
        form.set(F::More, "shown");
        form.set(F::Lifetime, "1h");
        form.set(F::IfId, "9");
        let spec = spec(&form).unwrap();
        let udp = spec.extras.encapsulation.unwrap();
        assert_eq!((udp.kind, udp.source_port, udp.destination_port), (Encapsulation::ESP_IN_UDP, 4500, 4500));
        assert!(spec.flags.esn());
        assert_eq!(spec.limits.since_added_secs.hard, Some(3600));
        assert_eq!((spec.mark.map(|mark| mark.value), spec.if_id.map(|id| id.0)), (Some(7), Some(9)));
        form.set(F::Encapsulation, "0,4500");
        assert!(form.complaint(F::Encapsulation).unwrap().sentence.starts_with("ports are numbers"));
        assert!(super::spec(&form).is_none());
    }

    #[test]
    fn choices_decide_which_fields_there_are() {
        let mut form = filled();
        assert!(!form.applies(F::Authentication));
        form.set(F::Encryption, "3des-cbc");
        assert!(form.applies(F::Authentication) && form.applies(F::AuthenticationKey));
        form.set(F::Authentication, NONE);
        assert!(!form.applies(F::AuthenticationKey));
        form.set(F::Encryption, "null");
        assert!(!form.applies(F::EncryptionKey));
        form.set(F::Protocol, "ipcomp");
        let fields: Vec<F> = form.fields().map(|field| field.id).collect();
        assert_eq!(
            fields,
            [F::Protocol, F::Mode, F::Source, F::Destination, F::Spi, F::Compression, F::ReqId, F::More]
        );
    }

    #[test]
    fn every_choice_with_a_key_of_its_length_is_taken() {
        for word in encryptions() {
            let mut form = filled();
            form.set(F::Encryption, &word);
            for field in [F::EncryptionKey, F::AuthenticationKey] {
                if let Some(bytes) = key_bytes(&form, field) {
                    form.set(field, &format!("0x{}", "01".repeat(bytes)));
                }
            }
            let errors: Vec<_> = sentences(&form).into_iter().filter(|(_, s, _)| *s == Severity::Error).collect();
            assert_eq!(errors, [], "{word}");
            assert!(spec(&form).is_some(), "{word}");
        }
        for (word, ..) in authentication_choices().filter(|(_, _, bits)| *bits > 0) {
            let mut form = filled();
            form.set(F::Protocol, "ah");
            form.set(F::Authentication, &word);
            let bytes = key_bytes(&form, F::AuthenticationKey).unwrap();
            form.set(F::AuthenticationKey, &format!("0x{}", "01".repeat(bytes)));
            assert!(sentences(&form).iter().all(|(_, severity, _)| *severity == Severity::Warning), "{word}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_under_its_field() {
        let mut form = filled();
        form.set(F::Destination, "10.9.0");
        form.set(F::Spi, "255");
        form.set(F::EncryptionKey, "0x0102");
        assert_eq!(form.complaint(F::Destination).unwrap().sentence, "this is no IPv4 or IPv6 address");
        assert_eq!(form.complaint(F::EncryptionKey).unwrap().sentence, "this key has 16 bits, 288 are needed");
        form.set(F::Destination, "10.9.0.2");
        form.set(F::EncryptionKey, &format!("0x{}", "ab".repeat(36)));
        assert!(form.complaint(F::Spi).unwrap().sentence.contains("reserved"));
        form.set(F::Destination, "fd00::2");
        assert!(form.complaint(F::Destination).unwrap().sentence.contains("both"));
    }

    #[test]
    fn empty_fields_are_not_wrong_before_the_form_is_sent() {
        let mut form = Form::new(&PLAN);
        assert_eq!(form.complaint(F::Source), None);
        assert!(!submit(&mut form));
        assert_eq!(form.focused().unwrap().id, F::Source);
        assert!(form.complaint(F::Source).is_some());
    }

    #[test]
    fn what_will_be_sent_is_shown_first_with_its_warnings() {
        let mut form = filled();
        form.set(F::Encryption, "aes-cbc-128");
        form.set(F::EncryptionKey, &format!("0x{}", "ab".repeat(16)));
        form.set(F::Authentication, NONE);
        assert!(!submit(&mut form));
        assert_eq!(*form.progress(), super::super::Progress::Review);
        let warnings: Vec<_> = form.warnings().into_iter().map(|c| c.field).collect();
        assert_eq!(warnings, [F::Destination, F::Authentication], "one way only, and nothing proves it");
        assert!(submit(&mut form));
        form.set(F::ReqId, "1");
        assert!(!submit(&mut form), "an edit asks again");
        form.previous_field();
        assert!(!submit(&mut form) && form.leave_review(), "so does a step back");
    }

    #[test]
    fn a_refusal_stands_at_the_field_it_is_about() {
        let cases = [
            (libc::EEXIST, None, F::Spi),
            (libc::ENOSYS, Some("Requested AEAD algorithm not found"), F::Encryption),
            (libc::EINVAL, Some("Kernel was unable to initialize cryptographic operations"), F::EncryptionKey),
            (libc::EPROTONOSUPPORT, Some("Requested type not found"), F::Protocol),
        ];
        for (errno, text, field) in cases {
            let mut form = filled();
            form.sent();
            let operation = Operation::AddSa(spec(&form).unwrap().id());
            form.refused(&KernelError { operation, cause: Cause::Refused { errno, text: text.map(str::to_owned) } });
            assert_eq!(form.refusal().unwrap().0, Some(field), "{text:?}");
            assert_eq!(form.focused().unwrap().id, field);
        }
    }
}
