//! The form that makes an SA.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::field::FieldId as F;
use super::reading::{
    Complaints, MODES, address, flags, if_id, interface, limits, mark, mode, number, optional, optional_number, parsed,
    protocol, protocol_word, security, selector_rest, set_limits, set_selector_rest, set_some,
};
use super::{Complaint, Edited, Form, Made, Plan};
use crate::console::command::Change;
use crate::kernel::KernelError;
use crate::kernel::together::keeps_numbers;
use crate::model::check::{self, Problem, SaField, Severity};
use crate::model::extras::{Encapsulation, ExtraFlags, Iptfs, Offload, SaExtras, SecurityContext};
use crate::model::secret::KeyTextError;
use crate::model::{
    AlgorithmName, Algorithms, IpsecProtocol, Prefix, ReqId, Sa, SaDirection, SaFlags, SaSpec, Sad, Secret, Selector,
    Spd, Spi, Transform,
};

mod algorithm;
mod fields;

use algorithm::{NONE, Offer, chosen_authentication, chosen_cipher};
use fields::{ENCAPSULATIONS, FIELDS};

/// The form that makes an SA.
pub static PLAN: Plan = Plan { title: "Add an SA", button: "Add", fields: FIELDS, check, beside, make, blame };

/// The form that makes an SA anew.
pub static EDIT_PLAN: Plan =
    Plan { title: "Edit an SA", button: "Make it anew", fields: FIELDS, check, beside, make, blame };

/// A form filled in with an SA.
///
/// # Errors
/// Why this SA cannot be made anew by anybody.
pub fn editing(sa: &Sa) -> Result<Form, String> {
    let mut form = Form::new(&EDIT_PLAN);
    let (protocol, mode) = match (protocol_word(sa.protocol), sa.mode) {
        _ if sa.is_larval() => return Err("this SA waits for its keys: there is nothing of it to edit yet".to_owned()),
        _ if sa.is_made_by_kernel() => {
            return Err("the kernel made this SA itself, for the IPComp SA beside it: edit that one".to_owned());
        }
        (Some(protocol), mode) if MODES.contains(&mode) => (protocol, mode),
        _ => return Err("this SA is of a kind that is newer than espial".to_owned()),
    };
    form.edited = Some(Edited::Sa(Box::new(sa.clone())));
    form.set(F::Protocol, protocol);
    form.set(F::Mode, &mode.to_string());
    form.set(F::Source, &sa.source.to_string());
    form.set(F::Destination, &sa.destination.to_string());
    form.set(F::Spi, &sa.spi.to_string());
    form.set(F::ReqId, &sa.reqid.to_string());
    form.set(F::ReplayWindow, &sa.replay.window.to_string());
    set_algorithms(&mut form, &sa.algorithms)?;
    form.set(F::Direction, sa.direction.map_or("any", direction_word));
    form.set(F::LongNumbers, if sa.flags.esn() { "yes" } else { "no" });
    form.set(F::Flags, &SaFlags(sa.flags.0 & !SaFlags::ESN).to_string());
    set_limits(&mut form, &sa.limits);
    set_some(&mut form, F::Mark, sa.mark);
    set_some(&mut form, F::IfId, sa.if_id);
    if let Some(selector) = sa.to_spec().selector {
        let networks = [(F::InnerSource, selector.source), (F::InnerDestination, selector.destination)];
        for (field, network) in networks.into_iter().filter(|(_, network)| network.length > 0) {
            form.set(field, &network.to_string());
        }
        set_selector_rest(&mut form, &selector);
    }
    set_extras(&mut form, &sa.extras);
    form.unfold_what_is_filled_in();
    Ok(form)
}

fn direction_word(direction: SaDirection) -> &'static str {
    if direction == SaDirection::In { "in" } else { "out" }
}

fn set_algorithms(form: &mut Form, algorithms: &Algorithms) -> Result<(), String> {
    if let Some(word) = algorithm::cipher_word(form)
        && let Some(transform) = algorithms.aead.as_ref().or(algorithms.encryption.as_ref())
    {
        form.set(F::Encryption, &word);
        form.set(F::Icv, &transform.icv_bits.to_string());
        set_key(form, F::EncryptionKey, &transform.key)?;
    }
    form.set(F::Authentication, &algorithm::authentication_word_before(form).unwrap_or_else(|| NONE.to_owned()));
    if let Some(transform) = &algorithms.authentication {
        set_key(form, F::AuthenticationKey, &transform.key)?;
    }
    set_some(form, F::Compression, algorithms.compression.as_ref().map(AlgorithmName::label));
    Ok(())
}

fn set_key(form: &mut Form, field: F, key: &Secret) -> Result<(), String> {
    if key.is_redacted() {
        return Err("its keys may not be read, so it cannot be made anew".to_owned());
    }
    let text = zeroize::Zeroizing::new(format!("0x{}", *key.reveal_hex()));
    form.set(field, if key.is_empty() { "" } else { &text });
    Ok(())
}

fn set_extras(form: &mut Form, extras: &SaExtras) {
    if let Some(around) = extras.encapsulation {
        let known = ENCAPSULATIONS.iter().find(|(_, kind)| *kind == around.kind).map(|(word, _)| (*word).to_owned());
        form.set(F::Encapsulation, &known.unwrap_or_else(|| around.kind.to_string()));
        form.set(F::EncapsulationPorts, &format!("{},{}", around.source_port, around.destination_port));
        set_some(form, F::OriginalAddress, Some(around.original).filter(|address| !address.is_unspecified()));
    }
    if let Some(offload) = extras.offload {
        form.set(F::OffloadDevice, &offload.interface.to_string());
        form.set(F::OffloadPart, if offload.flags & Offload::PACKET == 0 { "crypto" } else { "packet" });
        form.set(F::OffloadWay, if offload.flags & Offload::INBOUND == 0 { "out" } else { "in" });
    }
    set_some(form, F::CareOf, extras.care_of);
    set_some(form, F::OutputMark, extras.output_mark);
    set_some(form, F::Padding, extras.tfc_padding);
    set_some(form, F::Keepalive, extras.nat_keepalive_secs);
    set_some(form, F::MappingThreshold, extras.mapping_threshold_secs);
    set_some(form, F::ReplayThreshold, extras.replay_threshold);
    set_some(form, F::TimerThreshold, extras.timer_threshold);
    set_some(form, F::Cpu, extras.cpu);
    set_some(form, F::Security, extras.security.as_ref().map(SecurityContext::text));
    form.set(F::ExtraFlags, &extras.extra_flags.names().collect::<Vec<_>>().join(" "));
    let iptfs = &extras.iptfs;
    set_some(form, F::DropTime, iptfs.drop_time_us);
    set_some(form, F::ReorderWindow, iptfs.reorder_window);
    form.set(F::DontFragment, if iptfs.dont_fragment { "yes" } else { "no" });
    set_some(form, F::InitialDelay, iptfs.initial_delay_us);
    set_some(form, F::LargestQueue, iptfs.largest_queue_bytes);
    set_some(form, F::PacketSize, iptfs.packet_bytes);
}

/// The length in bytes of the key that is made up for a field.
pub fn key_bytes(form: &Form, field: F) -> Option<usize> {
    let offer = match field {
        F::EncryptionKey => chosen_cipher(form)?,
        F::AuthenticationKey => chosen_authentication(form)?,
        _ => return None,
    };
    Some(usize::from(offer.usual_bits) / 8)
}

/// The key in a field; where there is none, zeros have been complained about.
fn key_of(form: &Form, field: F, offer: &Offer, complaints: &mut Complaints) -> Secret {
    if !form.applies(field) {
        return Secret::default();
    }
    let bits = offer.usual_bits;
    let nothing = Secret::take(vec![0; usize::from(bits) / 8]);
    let text = form.value(field);
    if text.is_empty() {
        complaints.push(Complaint::error(field, format!("a key of {bits} bits is needed: Ctrl-G makes one up")));
        return nothing;
    }
    let wrong = |error: KeyTextError| complaints.push(Complaint::error(field, error.to_string()));
    let Ok(key) = Secret::parse(text).map_err(wrong) else {
        return nothing;
    };
    if let Some(needed) =
        offer.key_bits.filter(|needed| field == F::EncryptionKey && usize::from(*needed) != key.bits())
    {
        let sentence = format!("this key has {} bits, {needed} are needed", key.bits());
        complaints.push(Complaint::error(field, sentence));
        return nothing;
    }
    key
}

/// What the form says, if it can be an SA, and everything wrong with it.
fn read(form: &Form) -> (Option<SaSpec>, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let spec = read_spec(form, &mut complaints);
    let complete = complaints.is_empty();
    let mut before = Vec::new();
    if let Some(sa) = form.edited_sa() {
        before = check::sa(&sa.to_spec());
        complaints.push(Complaint::warning(F::Spi, consequence(sa, &spec)));
    }
    for Problem { field, severity, sentence } in check::sa(&spec) {
        // A field that cannot be read was filled in with something harmless: there is no more to say about it.
        let id = shown_field(form, field);
        let unread = |c: &Complaint| c.field == id && c.severity == Severity::Error;
        if !complete && complaints.iter().any(unread) {
            continue;
        }
        // What the SA has already can be said to be bad, but it is there.
        let is_there = before.iter().any(|one| one.sentence == sentence);
        let severity = if is_there { Severity::Warning } else { severity };
        complaints.push(Complaint { item: None, field: id, severity, sentence });
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

/// The SA with something harmless in the place of what is missing, so that all the rest can be checked. What the form
/// has no field for stays as it was.
fn read_spec(form: &Form, complaints: &mut Complaints) -> SaSpec {
    let source = address(form, F::Source, complaints);
    let destination = address(form, F::Destination, complaints);
    // Of the other one's family, and another address: an SA from a host to itself is warned of.
    let is_v6 = source.or(destination).is_some_and(|address| address.is_ipv6());
    let somewhere = if is_v6 { IpAddr::from(Ipv6Addr::LOCALHOST) } else { IpAddr::from(Ipv4Addr::LOCALHOST) };
    let (source, destination) = (source.unwrap_or(somewhere), destination.unwrap_or(somewhere));
    let spi = if form.applies(F::Spi) { number(form, F::Spi, complaints).unwrap_or(0x100) } else { 0 };
    let mut spec = match form.edited_sa() {
        Some(before) => before.to_spec(),
        None => SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(0)),
    };
    (spec.source, spec.destination, spec.protocol, spec.spi) = (source, destination, protocol(form), Spi(spi));
    spec.mode = mode(form);
    spec.reqid = ReqId(number(form, F::ReqId, complaints).unwrap_or(0));
    let window = form.applies(F::ReplayWindow).then(|| number(form, F::ReplayWindow, complaints));
    spec.replay_window = window.flatten().unwrap_or(0);
    spec.direction = match form.value(F::Direction) {
        "in" => Some(SaDirection::In),
        "out" => Some(SaDirection::Out),
        _ => None,
    };
    let esn = form.applies(F::LongNumbers) && form.value(F::LongNumbers) == "yes";
    let named = flags(form, F::Flags, &SaFlags::NAMES[..7], complaints);
    spec.flags = SaFlags(u8::try_from(named).unwrap_or(0) | if esn { SaFlags::ESN } else { 0 });
    // What cannot be read has been complained about, and nothing is made.
    spec.limits = limits(form, complaints);
    spec.mark = mark(form, F::Mark, complaints).unwrap_or_default();
    spec.if_id = if_id(form, complaints).unwrap_or_default();
    spec.algorithms = read_algorithms(form, complaints);
    spec.selector = read_selector(form, &spec, complaints);
    read_extras(form, &mut spec, complaints);
    spec
}

fn read_algorithms(form: &Form, complaints: &mut Complaints) -> Algorithms {
    let mut algorithms = Algorithms::default();
    if let Some(offer) = chosen_cipher(form) {
        let key = key_of(form, F::EncryptionKey, &offer, complaints);
        let only = offer.icv_bits.first().copied().unwrap_or(0);
        let icv_bits = if form.applies(F::Icv) { form.value(F::Icv).parse().unwrap_or(only) } else { only };
        let transform = Some(Transform { name: offer.name, key, icv_bits });
        *(if offer.is_aead { &mut algorithms.aead } else { &mut algorithms.encryption }) = transform;
    }
    if let Some(offer) = chosen_authentication(form) {
        let key = key_of(form, F::AuthenticationKey, &offer, complaints);
        let icv_bits = offer.icv_bits.first().copied().unwrap_or(0);
        algorithms.authentication = Some(Transform { name: offer.name, key, icv_bits });
    }
    if form.applies(F::Compression) {
        algorithms.compression = Some(AlgorithmName::from_kernel(form.value(F::Compression)));
    }
    algorithms
}

/// The packets that it may be used for; `None` where nothing is said.
fn read_selector(form: &Form, spec: &SaSpec, complaints: &mut Complaints) -> Option<Selector> {
    let right = "this is no address and no network, as 10.1.0.0/24";
    let mut network = |field| parsed::<Prefix>(form, field, right, complaints);
    let (from, to) = (network(F::InnerSource), network(F::InnerDestination));
    let family = from.or(to).map_or(spec.destination, |prefix| prefix.address);
    let any = Selector::everything_like(family);
    let mut selector = Selector { source: any.source, destination: any.destination, ..spec.selector.unwrap_or(any) };
    (selector.source, selector.destination) = (from.unwrap_or(any.source), to.unwrap_or(any.destination));
    selector_rest(form, &mut selector, complaints);
    Some(selector).filter(|selector| !selector.is_everything())
}

fn read_extras(form: &Form, spec: &mut SaSpec, complaints: &mut Complaints) {
    let before = spec.extras.clone();
    let mut number = |field| optional_number(form, field, complaints).unwrap_or_default();
    let mut extras = SaExtras { unknown: before.unknown.clone(), ..SaExtras::NONE };
    extras.tfc_padding = number(F::Padding);
    extras.nat_keepalive_secs = number(F::Keepalive);
    extras.mapping_threshold_secs = number(F::MappingThreshold);
    extras.replay_threshold = number(F::ReplayThreshold);
    extras.timer_threshold = number(F::TimerThreshold);
    extras.cpu = number(F::Cpu);
    extras.iptfs = Iptfs {
        drop_time_us: number(F::DropTime),
        reorder_window: None,
        dont_fragment: form.applies(F::DontFragment) && form.value(F::DontFragment) == "yes",
        initial_delay_us: number(F::InitialDelay),
        largest_queue_bytes: number(F::LargestQueue),
        packet_bytes: number(F::PacketSize),
    };
    extras.iptfs.reorder_window = parsed(form, F::ReorderWindow, "this is no number from 0 to 65535", complaints);
    extras.encapsulation = encapsulation(form, spec.destination, complaints);
    extras.output_mark = mark(form, F::OutputMark, complaints).unwrap_or_default();
    extras.care_of = parsed(form, F::CareOf, "this is no IPv6 address", complaints);
    extras.security = security(form, before.security.as_ref());
    let named = flags(form, F::ExtraFlags, &ExtraFlags::NAMES, complaints);
    extras.extra_flags = ExtraFlags(named | before.extra_flags.unnamed());
    extras.offload = interface(form, F::OffloadDevice, complaints).map(|interface| {
        let other = before.offload.map_or(0, |offload| offload.flags & !(Offload::INBOUND | Offload::PACKET));
        let inbound = if form.value(F::OffloadWay) == "in" { Offload::INBOUND } else { 0 };
        let packet = if form.value(F::OffloadPart) == "packet" { Offload::PACKET } else { 0 };
        Offload { interface, flags: other | inbound | packet }
    });
    // An SA without any keeps no room for them.
    if extras != *spec.extras {
        *spec.extras = extras;
    }
}

/// UDP or TCP around ESP.
fn encapsulation(form: &Form, destination: IpAddr, complaints: &mut Complaints) -> Option<Encapsulation> {
    let word = form.value(F::Encapsulation);
    let known = ENCAPSULATIONS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
    let kind = known.or_else(|| word.parse().ok()).filter(|kind| *kind > 0 && form.applies(F::Encapsulation))?;
    let ports = |text: &str| {
        let (from, to) = text.split_once(',').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().ok();
        port(from).zip(port(to)).ok_or_else(|| "ports are numbers to 65535, as 4500 or 4500,4500".to_owned())
    };
    let (source_port, destination_port) =
        optional(form, F::EncapsulationPorts, complaints, ports).ok().flatten().unwrap_or((4500, 4500));
    let nowhere = if destination.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let original = parsed(form, F::OriginalAddress, "this is no IPv4 or IPv6 address", complaints).unwrap_or(nowhere);
    Some(Encapsulation { kind, source_port, destination_port, original })
}

fn field_of(field: SaField) -> F {
    match field {
        SaField::Source => F::Source,
        SaField::Destination => F::Destination,
        SaField::Selector => F::InnerDestination,
        SaField::Protocol => F::Protocol,
        SaField::Direction => F::Direction,
        SaField::Spi => F::Spi,
        SaField::Flags => F::Flags,
        SaField::ExtraFlags => F::ExtraFlags,
        SaField::LongNumbers => F::LongNumbers,
        SaField::Mark => F::Mark,
        SaField::Encapsulation => F::Encapsulation,
        SaField::MappingThreshold => F::MappingThreshold,
        SaField::Keepalive => F::Keepalive,
        SaField::Limits => F::Lifetime,
        SaField::Mode | SaField::Iptfs => F::Mode,
        SaField::Encryption => F::Encryption,
        SaField::EncryptionKey => F::EncryptionKey,
        SaField::Icv => F::Icv,
        SaField::Authentication => F::Authentication,
        SaField::AuthenticationKey => F::AuthenticationKey,
        SaField::Compression => F::Compression,
        SaField::ReqId => F::ReqId,
        SaField::ReplayWindow => F::ReplayWindow,
        SaField::CareOf => F::CareOf,
        SaField::Padding => F::Padding,
        SaField::Offload => F::OffloadDevice,
        SaField::Security => F::Security,
        SaField::Cpu => F::Cpu,
        SaField::IfId => F::IfId,
    }
}

/// The field that a problem is said under; a field that means nothing here says nothing.
fn shown_field(form: &Form, field: SaField) -> F {
    Some(field_of(field)).filter(|field| form.applies(*field)).unwrap_or(F::Protocol)
}

fn check(form: &Form) -> Vec<Complaint> {
    read(form).1
}

fn beside(form: &Form, sad: &Sad, _: &Spd) -> Vec<Complaint> {
    let edited = form.edited_sa().map(Sa::id);
    let others = sad.iter().map(|(_, sa)| sa).filter(|sa| Some(sa.id()) != edited);
    let problems = spec(form).map(|spec| check::sa_beside(&spec, others));
    let complaint = |p: Problem<SaField>| Complaint {
        item: None,
        field: shown_field(form, p.field),
        severity: p.severity,
        sentence: p.sentence,
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
        _ if about("offload") => Some(F::OffloadDevice),
        _ if about("family") => Some(F::Destination),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Cause, Operation};
    use crate::model::Mode;
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

    /// What stands under a field.
    fn said(form: &Form, id: F) -> Option<String> {
        let place = form.places().into_iter().find(|place| place.is(id))?;
        form.complaint(&form.complaints(), place).map(|complaint| complaint.sentence.clone())
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
        assert_eq!(form.focused().unwrap().field.id, F::Spi);
        assert!(said(&form, F::Spi).unwrap().contains("already"));
        form.set(F::Spi, "0x1002");
        assert_eq!(said(&form, F::Spi), None);
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
    fn what_few_need_is_folded_away_and_counts_all_the_same() {
        let mut form = filled();
        assert!(!form.fields().any(|field| field.id == F::Mark));
        for (field, value) in [
            (F::LongNumbers, "yes"),
            (F::Encapsulation, "espinudp"),
            (F::EncapsulationPorts, "4500,4501"),
            (F::Mark, "7"),
            (F::Lifetime, "1h"),
            (F::Bytes, "1M,2M"),
            (F::IfId, "9"),
            (F::Flags, "icmp noecn"),
            (F::Device, "veth0"),
            (F::ExtraFlags, "oseq-may-wrap"),
            (F::InnerSource, "10.1.0.0/24"),
            (F::Upper, "gre"),
            (F::GreKey, "0x10002"),
        ] {
            form.set(field, value);
        }
        form.know_interfaces([("veth0".to_owned(), 3)]);
        assert_eq!(form.filled_in_under(F::More), 5);
        let spec = spec(&form).unwrap();
        let udp = spec.extras.encapsulation.unwrap();
        assert_eq!((udp.kind, udp.source_port, udp.destination_port), (Encapsulation::ESP_IN_UDP, 4500, 4501));
        assert_eq!(spec.flags.to_string(), "noecn icmp esn");
        assert_eq!(spec.extras.extra_flags.to_string(), "oseq-may-wrap");
        assert_eq!(spec.limits.since_added_secs.hard, Some(3600));
        assert_eq!((spec.limits.bytes.soft, spec.limits.bytes.hard), (Some(1 << 20), Some(2 << 20)));
        assert_eq!((spec.mark.map(|mark| mark.value), spec.if_id.map(|id| id.0)), (Some(7), Some(9)));
        let selector = spec.selector.unwrap();
        assert_eq!((selector.interface, selector.source_port.value, selector.destination_port.value), (3, 1, 2));
        // A fold says what is wrong within it, and opens where it must be mended.
        form.set(F::EncapsulationPorts, "4500,x");
        let fold = form.places().into_iter().find(|place| place.is(F::Nat)).unwrap();
        assert!(form.complaint(&form.complaints(), fold).unwrap().sentence.starts_with("ports are numbers"));
        assert!(super::spec(&form).is_none() && !submit(&mut form));
        assert_eq!(form.focused().unwrap().field.id, F::EncapsulationPorts);
    }

    #[test]
    fn every_field_of_an_sa_is_there_again_when_it_is_edited() {
        use crate::model::extras::UnknownAttribute;
        let mut form = filled();
        form.set(F::Mode, "tunnel");
        let mut spec = spec(&form).unwrap();
        spec.algorithms.aead = None;
        let transform = |name: &str, bytes, icv_bits| {
            let key = Secret::copy_from(&vec![7; bytes]);
            Some(Transform { name: AlgorithmName::from_kernel(name), key, icv_bits })
        };
        spec.algorithms.encryption = transform("cbc(newer)", 9, 0);
        spec.algorithms.authentication = transform("hmac(sha1)", 3, 160);
        spec.acquire_sequence = 77;
        spec.direction = Some(SaDirection::Out);
        (spec.flags, spec.replay_window) = (SaFlags(SaFlags::ESN | 1), 0);
        spec.limits.packets = crate::model::Limit { soft: None, hard: Some(9) };
        spec.mark = Some(crate::model::Mark { value: 1, mask: 3 });
        spec.if_id = Some(crate::model::IfId(4));
        let mut selector = Selector::between("10.1.0.7/24".parse().unwrap(), "10.2.0.0/24".parse().unwrap());
        (selector.protocol, selector.user, selector.interface) = (crate::model::UpperProtocol::TCP, 5, 6);
        selector.source_port = crate::model::PortMatch { value: 0x1000, mask: 0xf000 };
        spec.selector = Some(selector);
        let original = [10, 0, 0, 9].into();
        let encapsulation = Encapsulation { kind: 1, source_port: 0, destination_port: 4500, original };
        *spec.extras = SaExtras {
            encapsulation: Some(encapsulation),
            output_mark: Some(crate::model::Mark { value: 8, mask: 0xff }),
            tfc_padding: Some(100),
            offload: Some(Offload { interface: 3, flags: 5 }),
            security: Some(SecurityContext { doi: 7, algorithm: 8, label: Box::from(*b"a\xffb") }),
            extra_flags: ExtraFlags(0x13),
            replay_threshold: Some(10),
            timer_threshold: Some(20),
            mapping_threshold_secs: None,
            nat_keepalive_secs: Some(25),
            cpu: Some(1),
            unknown: vec![UnknownAttribute { kind: 99, bytes: Secret::copy_from(&[1, 2, 3]) }],
            ..SaExtras::NONE
        };
        let sa = Sa::from_spec(&spec, 0);
        let form = editing(&sa).unwrap();
        let made = super::spec(&form).unwrap_or_else(|| panic!("{:?}", form.complaints()));
        assert_eq!(made, sa.to_spec());
        assert!(form.complaints().iter().all(|complaint| complaint.severity == Severity::Warning));
        // What nobody can make anew is said to be so.
        let larval = SaSpec { algorithms: Algorithms::default(), ..spec };
        assert!(editing(&Sa::from_spec(&larval, 0)).unwrap_err().contains("waits for its keys"));
    }

    #[test]
    fn what_belongs_to_a_mode_or_a_way_is_there_only_with_it() {
        let mut form = filled();
        assert!(!form.applies(F::Iptfs) && !form.applies(F::DropTime));
        form.set(F::Mode, "iptfs");
        form.set(F::Direction, "in");
        form.set(F::DropTime, "1000");
        assert!(form.applies(F::ReorderWindow) && !form.applies(F::PacketSize) && form.applies(F::ReplayWindow));
        assert_eq!(spec(&form).unwrap().extras.iptfs.drop_time_us, Some(1000));
        form.set(F::Direction, "out");
        assert!(form.applies(F::PacketSize) && !form.applies(F::ReplayWindow));
        assert_eq!(spec(&form).unwrap().extras.iptfs, Iptfs::NONE);
        form.set(F::Protocol, "route2");
        form.keep_choices_valid();
        assert_eq!((form.value(F::Mode), form.applies(F::CareOf), form.applies(F::Spi)), ("ro", true, false));
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
            [
                F::Protocol,
                F::Mode,
                F::Source,
                F::Destination,
                F::Spi,
                F::Compression,
                F::ReqId,
                F::Direction,
                F::Limits,
                F::Selector,
                F::More
            ]
        );
    }

    #[test]
    fn every_choice_with_a_key_of_its_length_is_taken() {
        for word in filled().options(F::Encryption) {
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
        let mut ah = filled();
        ah.set(F::Protocol, "ah");
        for word in ah.options(F::Authentication) {
            let mut form = ah.clone();
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
        assert_eq!(said(&form, F::Destination).unwrap(), "this is no IPv4 or IPv6 address");
        assert_eq!(said(&form, F::EncryptionKey).unwrap(), "this key has 16 bits, 288 are needed");
        form.set(F::Destination, "10.9.0.2");
        form.set(F::EncryptionKey, &format!("0x{}", "ab".repeat(36)));
        assert!(said(&form, F::Spi).unwrap().contains("reserved"));
        form.set(F::Destination, "fd00::2");
        assert!(said(&form, F::Destination).unwrap().contains("both"));
    }

    #[test]
    fn empty_fields_are_not_wrong_before_the_form_is_sent() {
        let mut form = Form::new(&PLAN);
        assert_eq!(said(&form, F::Source), None);
        assert!(!submit(&mut form));
        assert_eq!(form.focused().unwrap().field.id, F::Source);
        assert!(said(&form, F::Source).is_some());
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
            assert_eq!(form.focused().unwrap().field.id, field);
        }
    }
}
