//! The form that makes an SA.

use std::net::IpAddr;

use super::{Complaint, Description, FieldId as F, Form, Kind, Made, Plan, words};
use crate::console::command::Change;
use crate::kernel::KernelError;
use crate::model::check::{self, Problem, SaField};
use crate::model::secret::KeyTextError;
use crate::model::{
    Algorithm, AlgorithmKind, IpsecProtocol, Mode, ReqId, SaSpec, Sad, Secret, Spd, Spi, Transform, number::parse_u32,
};

/// The form that makes an SA.
pub static PLAN: Plan = Plan { title: "Add an SA", button: "Add", fields: FIELDS, check, beside, make, blame };

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

/// An address in a field.
pub(super) fn address(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Option<IpAddr> {
    let text = form.value(field);
    if text.is_empty() {
        complaints.push(Complaint::error(field, "an IPv4 or IPv6 address is needed"));
        return None;
    }
    text.parse().map_err(|_| complaints.push(Complaint::error(field, "this is no IPv4 or IPv6 address"))).ok()
}

/// A number in a field.
pub(super) fn number(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Option<u32> {
    let text = form.value(field);
    if text.is_empty() {
        complaints.push(Complaint::error(field, "a number is needed, decimal or 0x hex"));
        return None;
    }
    let wrong = |_| complaints.push(Complaint::error(field, "this is no number from 0 to 4294967295 (or 0x hex)"));
    parse_u32(text).map_err(wrong).ok()
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
    for problem in check::sa(&spec) {
        let field = field_of(problem.field);
        // A field that cannot be read was filled in with something harmless: there is no more to say about it.
        if form.applies(field) && !complaints.iter().any(|complaint| complaint.field == field) {
            complaints.push(Complaint { field, severity: problem.severity, sentence: problem.sentence });
        }
    }
    (complete.then_some(spec), complaints)
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
    let mut spec = SaSpec::new(source, destination, protocol, Spi(spi));
    spec.mode = if form.value(F::Mode) == "tunnel" { Mode::Tunnel } else { Mode::Transport };
    spec.reqid = ReqId(number(form, F::ReqId, complaints).unwrap_or(0));
    if form.applies(F::ReplayWindow) {
        spec.replay_window = number(form, F::ReplayWindow, complaints).unwrap_or(0);
    }
    if let Some((algorithm, _)) = chosen_encryption(form) {
        let icv_bits = algorithm.icv_bits.first().map_or(0, |bits| u32::from(*bits));
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
        SaField::Destination | SaField::Encapsulation | SaField::Limits | SaField::Selector => F::Destination,
        SaField::Protocol | SaField::Direction | SaField::Flags => F::Protocol,
        SaField::Spi | SaField::Mark => F::Spi,
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
    let problems = spec(form).map(|spec| check::sa_beside(&spec, sad.iter().map(|(_, sa)| sa)));
    let complaint =
        |p: Problem<SaField>| Complaint { field: field_of(p.field), severity: p.severity, sentence: p.sentence };
    problems.into_iter().flatten().map(complaint).collect()
}

/// The SA that the form says; `None` while something is missing.
pub fn spec(form: &Form) -> Option<SaSpec> {
    read(form).0
}

fn make(form: &Form) -> Option<Made> {
    spec(form).map(Change::AddSa).map(Box::new).map(Made::Change)
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
        assert_eq!(fields, [F::Protocol, F::Mode, F::Source, F::Destination, F::Spi, F::Compression, F::ReqId]);
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
