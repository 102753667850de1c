//! What is typed into fields, read. What cannot be read is complained about.

use std::net::IpAddr;
use std::str::FromStr;

use super::field::Description;
use super::{Complaint, FieldId as F, Form};
use crate::model::extras::SecurityContext;
use crate::model::lifetime::parse_seconds;
use crate::model::number::parse_u32;
use crate::model::{
    IfId, IpsecProtocol, LifetimeLimits, Limit, Mark, Mode, PortMatch, Prefix, Selector, UpperProtocol,
};

pub(super) type Complaints = Vec<Complaint>;

const NO_NUMBER: &str = "this is no number from 0 to 4294967295 (or 0x hex)";

/// An address in a field.
pub(super) fn address(form: &Form, field: F, complaints: &mut Complaints) -> Option<IpAddr> {
    let text = form.value(field);
    if text.is_empty() {
        complaints.push(Complaint::error(field, "an IPv4 or IPv6 address is needed"));
        return None;
    }
    text.parse().map_err(|_| complaints.push(Complaint::error(field, "this is no IPv4 or IPv6 address"))).ok()
}

/// A number in a field.
pub(super) fn number(form: &Form, field: F, complaints: &mut Complaints) -> Option<u32> {
    let text = form.value(field);
    if text.is_empty() {
        complaints.push(Complaint::error(field, "a number is needed, decimal or 0x hex"));
        return None;
    }
    parse_u32(text).map_err(|_| complaints.push(Complaint::error(field, NO_NUMBER))).ok()
}

/// What a field that may stay empty holds. What cannot be read has been complained about.
pub(super) fn optional<T>(
    form: &Form,
    field: F,
    complaints: &mut Complaints,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ()> {
    if !form.applies(field) || form.value(field).is_empty() {
        return Ok(None);
    }
    read(form.value(field)).map(Some).map_err(|why| complaints.push(Complaint::error(field, why)))
}

/// The same for what is read by its type, with the sentence that says what would be right.
pub(super) fn parsed<T: FromStr>(form: &Form, field: F, right: &str, complaints: &mut Complaints) -> Option<T> {
    optional(form, field, complaints, |text| text.parse().map_err(|_| right.to_owned())).ok().flatten()
}

/// A number in a field that may stay empty.
pub(super) fn optional_number(form: &Form, field: F, complaints: &mut Complaints) -> Result<Option<u32>, ()> {
    optional(form, field, complaints, |text| parse_u32(text).map_err(|_| NO_NUMBER.to_owned()))
}

/// A lifetime in seconds.
pub(super) fn lifetime(form: &Form, complaints: &mut Complaints) -> Result<LifetimeLimits, ()> {
    let seconds = optional(form, F::Lifetime, complaints, parse_seconds)?;
    Ok(seconds.map_or_else(LifetimeLimits::default, LifetimeLimits::ending_after))
}

/// The mark of an SA or a policy.
pub(super) const MARK: Description =
    Description::text(F::Mark, "Mark", "Only for packets that have this mark on this host: a number, or number/mask.")
        .under(F::More);

/// The xfrm interface of an SA or a policy.
pub(super) const IF_ID: Description =
    Description::text(F::IfId, "Interface ID", "Only for packets through this host's xfrm interface of this number.")
        .under(F::More);

/// The security label of an SA or a policy.
pub(super) const SECURITY: Description =
    Description::text(F::Security, "Security label", "Of SELinux: only flows that may use it do.").under(F::More);

/// The fields of all limits.
pub(super) static LIMIT_FIELDS: &[Description] = &[
    Description::fold(F::Limits, "Limits", "When it ends by itself; nothing renews it. Most often there are none."),
    Description::text(
        F::Lifetime,
        "Lifetime",
        "Time since it was added, as 8h or 30d; or soft,hard as 7h,8h: at the soft one key managers are warned.",
    )
    .under(F::Limits),
    Description::text(F::LifetimeInUse, "Lifetime in use", "Time since its first use, as 8h, or soft,hard.")
        .under(F::Limits),
    Description::text(F::Bytes, "Bytes", "How many bytes it may carry, as 10G (k, M, G: 1024 each), or soft,hard.")
        .under(F::Limits),
    Description::text(F::Packets, "Packets", "How many packets it may carry, or soft,hard.").under(F::Limits),
];

/// All limits. What cannot be read has been complained about, and is none.
pub(super) fn limits(form: &Form, complaints: &mut Complaints) -> LifetimeLimits {
    let mut of = |field, read: fn(&str) -> Result<u64, String>| {
        optional(form, field, complaints, |text| limit(text, read)).ok().flatten().unwrap_or_default()
    };
    LifetimeLimits {
        since_added_secs: of(F::Lifetime, seconds),
        since_used_secs: of(F::LifetimeInUse, seconds),
        bytes: of(F::Bytes, quantity),
        packets: of(F::Packets, quantity),
    }
}

/// `HARD`, with the soft limit a hundredth below; or `SOFT,HARD`, of which one may be missing.
fn limit(text: &str, read: fn(&str) -> Result<u64, String>) -> Result<Limit, String> {
    let one = |text: &str| if text.trim().is_empty() { Ok(None) } else { read(text.trim()).map(Some) };
    match text.split_once(',') {
        Some((soft, hard)) => Ok(Limit { soft: one(soft)?, hard: one(hard)? }),
        None => read(text).map(|hard| Limit { soft: Some(hard - hard / 100), hard: Some(hard) }),
    }
}

/// A time; 0 is read too, so that the check can say what it means.
fn seconds(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { parse_seconds(text) }
}

fn quantity(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => match (text.strip_suffix('M'), text.strip_suffix('G')) {
            (Some(digits), _) => (digits, 1 << 20),
            (_, Some(digits)) => (digits, 1 << 30),
            _ => (text, 1_u64),
        },
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| "this is a number, or one with k, M or G behind it".to_owned())
}

/// Fills limits into the fields of [`LIMIT_FIELDS`].
pub(super) fn set_limits(form: &mut Form, limits: &LifetimeLimits) {
    let fields = [
        (F::Lifetime, limits.since_added_secs),
        (F::LifetimeInUse, limits.since_used_secs),
        (F::Bytes, limits.bytes),
        (F::Packets, limits.packets),
    ];
    for (field, limit) in fields.into_iter().filter(|(_, limit)| !limit.is_none()) {
        let text = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        form.set(field, &format!("{},{}", text(limit.soft), text(limit.hard)));
    }
}

/// Fills a field in where there is something.
pub(super) fn set_some<T: ToString>(form: &mut Form, field: F, value: Option<T>) {
    if let Some(value) = value {
        form.set(field, &value.to_string());
    }
}

/// A mark.
pub(super) fn mark(form: &Form, field: F, complaints: &mut Complaints) -> Result<Option<Mark>, ()> {
    let words = "a mark is a number, or number/mask";
    optional(form, field, complaints, |text| text.parse().map_err(|_| words.to_owned()))
}

/// The number of an xfrm interface.
pub(super) fn if_id(form: &Form, complaints: &mut Complaints) -> Result<Option<IfId>, ()> {
    Ok(optional_number(form, F::IfId, complaints)?.map(IfId))
}

/// The words of a field that are flags, each with its bit by its place.
pub(super) fn flags(form: &Form, field: F, names: &[&str], complaints: &mut Complaints) -> u32 {
    let mut bits = 0;
    for word in form.value(field).split_whitespace().filter(|_| form.applies(field)) {
        match names.iter().position(|name| *name == word) {
            Some(bit) => bits |= 1 << bit,
            None => complaints.push(Complaint::error(field, format!("there are {}", names.join(", ")))),
        }
    }
    bits
}

/// An interface, by name or number.
pub(super) fn interface(form: &Form, field: F, complaints: &mut Complaints) -> Option<u32> {
    optional(form, field, complaints, |text| {
        let named = form.interfaces.iter().find(|(name, _)| name == text).map(|(_, number)| *number);
        let numbered = || text.parse().ok().filter(|number| *number > 0);
        named
            .or_else(numbered)
            .ok_or_else(|| "there is no interface of this name; a number from 1 is taken too".to_owned())
    })
    .ok()
    .flatten()
}

/// A security label; one that was not altered stays as it is, whatever bytes it has.
pub(super) fn security(form: &Form, before: Option<&SecurityContext>) -> Option<SecurityContext> {
    let text = form.value(F::Security);
    match before {
        Some(before) if before.text() == text => Some(before.clone()),
        _ => Some(text).filter(|text| !text.is_empty()).map(SecurityContext::selinux),
    }
}

/// The protocols of SAs and templates, by the words on screen.
pub(super) const PROTOCOLS: [(&str, IpsecProtocol); 5] = [
    ("esp", IpsecProtocol::Esp),
    ("ah", IpsecProtocol::Ah),
    ("ipcomp", IpsecProtocol::Comp),
    ("route2", IpsecProtocol::Routing),
    ("hao", IpsecProtocol::DestinationOptions),
];

/// The modes, by their own words.
pub(super) const MODES: [Mode; 6] =
    [Mode::Transport, Mode::Tunnel, Mode::Beet, Mode::Iptfs, Mode::RouteOptimization, Mode::InTrigger];

/// The protocol that is chosen.
pub(super) fn protocol(form: &Form) -> IpsecProtocol {
    let chosen = form.value(F::Protocol);
    PROTOCOLS.iter().find(|(word, _)| *word == chosen).map_or(IpsecProtocol::Esp, |(_, protocol)| *protocol)
}

/// The word for a protocol, if a form has one.
pub(super) fn protocol_word(protocol: IpsecProtocol) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(_, one)| *one == protocol).map(|(word, _)| *word)
}

/// Whether it is one of the protocols of Mobile IPv6.
pub(super) fn is_mobile(form: &Form) -> bool {
    matches!(protocol(form), IpsecProtocol::Routing | IpsecProtocol::DestinationOptions)
}

/// The modes that the chosen protocol may have.
pub(super) fn modes(form: &Form) -> Vec<String> {
    let of_mobile = |mode: &Mode| matches!(mode, Mode::RouteOptimization | Mode::InTrigger);
    let fits = |mode: &&Mode| match protocol(form) {
        IpsecProtocol::Routing | IpsecProtocol::DestinationOptions => of_mobile(mode),
        IpsecProtocol::Esp => !of_mobile(mode),
        _ => !of_mobile(mode) && **mode != Mode::Iptfs,
    };
    MODES.iter().filter(fits).map(ToString::to_string).collect()
}

/// The mode that is chosen.
pub(super) fn mode(form: &Form) -> Mode {
    let chosen = form.value(F::Mode);
    MODES.into_iter().find(|mode| mode.to_string() == chosen).unwrap_or_default()
}

fn upper(form: &Form) -> Option<UpperProtocol> {
    match form.value(F::Upper) {
        "" => Some(UpperProtocol::ANY),
        text => UpperProtocol::parse(text),
    }
}

const IN_ICMP: &[UpperProtocol] = &[UpperProtocol::ICMP, UpperProtocol::ICMPV6, UpperProtocol::MH];

/// The fields of what a selector says beyond its two networks: of the packets, and of the interface.
pub(super) const fn selector_fields(fold: Option<F>, interface_fold: F) -> [Description; 7] {
    const fn placed(description: Description, fold: Option<F>) -> Description {
        match fold {
            Some(fold) => description.under(fold),
            None => description,
        }
    }
    const HAS_PORTS: fn(&Form) -> bool = |form| upper(form).is_some_and(UpperProtocol::has_ports);
    const HAS_TYPES: fn(&Form) -> bool = |form| upper(form).is_some_and(|upper| IN_ICMP.contains(&upper));
    const PORT: &str = "A port, or any; port/mask for several, as 4096/0xf000.";
    [
        placed(
            Description::text(F::Upper, "Upper protocol", "Above IP: any, tcp, udp, icmp, gre, ... or its number.")
                .initially("any"),
            fold,
        ),
        placed(Description::text(F::SourcePort, "Source port", PORT).initially("any").when(HAS_PORTS), fold),
        placed(Description::text(F::DestinationPort, "Destination port", PORT).initially("any").when(HAS_PORTS), fold),
        placed(
            Description::text(F::IcmpType, "Type", "The type of the message: a number, or any.")
                .initially("any")
                .when(HAS_TYPES),
            fold,
        ),
        placed(
            Description::text(F::IcmpCode, "Code", "The code of the message: a number, or any.")
                .initially("any")
                .when(HAS_TYPES),
            fold,
        ),
        placed(
            Description::text(F::GreKey, "GRE key", "The key of the GRE tunnel: a number, or any.")
                .initially("any")
                .when(|form| upper(form) == Some(UpperProtocol::GRE)),
            fold,
        ),
        Description::text(F::Device, "Device", "Only for packets of this interface: its name or number; empty: any.")
            .under(interface_fold),
    ]
}

/// A port under its mask: `22`, `any`, `4096/0xf000`.
fn port_match(text: &str, most: u32) -> Option<PortMatch> {
    if matches!(text, "any" | "") {
        return Some(PortMatch::ANY);
    }
    let number = |text: &str| parse_u32(text).ok().and_then(|number| u16::try_from(number).ok());
    match text.split_once('/') {
        Some((value, mask)) => Some(PortMatch { value: number(value)?, mask: number(mask)? }),
        None => number(text).filter(|value| u32::from(*value) <= most).map(PortMatch::exactly),
    }
}

/// What a selector says beyond its networks, written into it.
pub(super) fn selector_rest(form: &Form, selector: &mut Selector, complaints: &mut Complaints) {
    match upper(form) {
        Some(upper) => {
            if upper != selector.protocol {
                (selector.source_port, selector.destination_port) = (PortMatch::ANY, PortMatch::ANY);
            }
            selector.protocol = upper;
        }
        None => {
            complaints
                .push(Complaint::error(F::Upper, "this is no protocol: say any, tcp, udp, icmp or a number to 255"));
        }
    }
    let port = "this is no port from 0 to 65535, nor any";
    let kind = "this is no number from 0 to 255, nor any";
    let fields = [
        (F::SourcePort, true, u32::from(u16::MAX), port),
        (F::DestinationPort, false, u32::from(u16::MAX), port),
        (F::IcmpType, true, 255, kind),
        (F::IcmpCode, false, 255, kind),
    ];
    for (field, is_source, most, right) in fields.into_iter().filter(|(field, ..)| form.applies(*field)) {
        let place = if is_source { &mut selector.source_port } else { &mut selector.destination_port };
        match port_match(form.value(field), most) {
            Some(port) => *place = port,
            None => complaints.push(Complaint::error(field, right)),
        }
    }
    if form.applies(F::GreKey) {
        match gre_key(form.value(F::GreKey)) {
            Some([high, low]) => (selector.source_port, selector.destination_port) = (high, low),
            None => complaints.push(Complaint::error(F::GreKey, NO_NUMBER)),
        }
    }
    selector.interface = interface(form, F::Device, complaints).unwrap_or(0);
}

/// The kernel keeps a GRE key's halves in the places of the ports.
fn gre_key(text: &str) -> Option<[PortMatch; 2]> {
    match text.split_once(',') {
        Some((high, low)) => Some([port_match(high, u32::MAX)?, port_match(low, u32::MAX)?]),
        None if matches!(text, "any" | "") => Some([PortMatch::ANY; 2]),
        None => {
            let bytes = parse_u32(text).ok()?.to_be_bytes();
            let half = |high, low| PortMatch::exactly(u16::from_be_bytes([high, low]));
            Some([half(bytes[0], bytes[1]), half(bytes[2], bytes[3])])
        }
    }
}

/// Fills what a selector says beyond its networks into the fields of [`selector_fields`].
pub(super) fn set_selector_rest(form: &mut Form, selector: &Selector) {
    let (source, destination) = (selector.source_port, selector.destination_port);
    form.set(F::Upper, &selector.protocol.to_string());
    if IN_ICMP.contains(&selector.protocol) {
        form.set(F::IcmpType, &source.to_string());
        form.set(F::IcmpCode, &destination.to_string());
    } else if selector.protocol == UpperProtocol::GRE {
        let key = u32::from(source.value) << 16 | u32::from(destination.value);
        let text = match (source.mask, destination.mask) {
            (u16::MAX, u16::MAX) => key.to_string(),
            (0, 0) => "any".to_owned(),
            _ => format!("{source},{destination}"),
        };
        form.set(F::GreKey, &text);
    } else {
        form.set(F::SourcePort, &source.to_string());
        form.set(F::DestinationPort, &destination.to_string());
    }
    set_some(form, F::Device, Some(selector.interface).filter(|interface| *interface != 0));
}

/// A network in a field, `any` being that of the other one's family.
pub(super) fn prefix(form: &Form, field: F, other: F, complaints: &mut Complaints) -> Option<Prefix> {
    let read: Result<Prefix, String> = match form.value(field) {
        "" => Err("an address or a network is needed, or any".to_owned()),
        "any" => match form.value(other).parse::<Prefix>() {
            Ok(other) => Ok(if other.address.is_ipv4() { Prefix::ANY_V4 } else { Prefix::ANY_V6 }),
            Err(_) => Err("any of which family? 0.0.0.0/0 is all of IPv4, ::/0 all of IPv6".to_owned()),
        },
        text => text.parse().map_err(|error: crate::model::prefix::PrefixError| error.to_string()),
    };
    read.map_err(|why| complaints.push(Complaint::error(field, why))).ok()
}
