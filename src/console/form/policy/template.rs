//! The small form of one transform of a policy's list, and the same as a text: `esp/tunnel/10.9.0.1-10.9.0.2/require`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::console::form::field::{Description, FieldId as F, words};
use crate::console::form::reading::{Complaints, PROTOCOLS, address, mode, modes, number, optional_number, protocol};
use crate::console::form::{Complaint, Edited, Form, Plan};
use crate::model::{Level, Mode, ReqId, Spi, Template};

/// One transform.
pub static PLAN: Plan = Plan {
    title: "Transform",
    button: "",
    fields: &[FIELDS],
    check: |form| {
        let mut complaints = Vec::new();
        read(form, None, &mut complaints);
        complaints
    },
    beside: |_, _, _| Vec::new(),
    make: |_| None,
    blame: |_| None,
};

/// Whether the ends are asked for: those of transport mode are the packet's own, but a policy may have been given some.
fn has_ends(form: &Form) -> bool {
    let is_tunnel = matches!(mode(form), Mode::Tunnel | Mode::Beet | Mode::Iptfs);
    is_tunnel || !form.value(F::TunnelSource).is_empty() || !form.value(F::TunnelDestination).is_empty()
}

static FIELDS: &[Description] = &[
    Description::choice(
        F::Protocol,
        "Transform",
        |_| PROTOCOLS.iter().map(|(word, _)| (*word).to_owned()).collect(),
        "esp encrypts, ah only authenticates, ipcomp only compresses. Ctrl-N adds another, Ctrl-X removes it, Ctrl-T \
         moves it up.",
    )
    .initially("esp"),
    Description::choice(
        F::Mode,
        "Mode",
        modes,
        "transport: between the two hosts themselves; tunnel: whole packets between two gateways.",
    )
    .initially("transport"),
    Description::text(F::TunnelSource, "Tunnel from", "The gateway that the tunnel's packets come from.")
        .when(has_ends),
    Description::text(F::TunnelDestination, "Tunnel to", "The gateway that the tunnel's packets go to.").when(has_ends),
    Description::choice(
        F::Level,
        "Level",
        |_| words(&["required", "optional"]),
        "required: without an SA the packets are dropped; optional: they then go in clear.",
    )
    .initially("required"),
    Description::text(F::ReqId, "ReqID", "Only SAs with this number are used; 0 takes any that fit.").initially("0"),
    Description::text(F::Spi, "SPI", "Only the SA with this number is used; empty takes any."),
];

/// The transform that a small form says, with something harmless in the place of what cannot be read. `family` is that
/// of the packet which it is applied to.
pub(super) fn read(form: &Form, family: Option<IpAddr>, complaints: &mut Complaints) -> Template {
    let nowhere = match family {
        Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let mut end = |field| {
        let is_needed = matches!(mode(form), Mode::Tunnel | Mode::Beet | Mode::Iptfs);
        match form.value(field) {
            "" if is_needed => {
                complaints.push(Complaint::error(field, "a tunnel needs the addresses of both its ends"));
                None
            }
            "" => Some(nowhere),
            _ => address(form, field, complaints),
        }
    };
    let ends = [end(F::TunnelSource), end(F::TunnelDestination)];
    let somewhere = ends[0].or(ends[1]).unwrap_or(nowhere);
    let [source, destination] = ends.map(|end| end.unwrap_or(somewhere));
    let new = Template::new(protocol(form), mode(form), source, destination);
    let mut template = match form.edited_template() {
        // What the form has no field for stays as it was.
        Some(before) => Template { share: before.share, algorithm_masks: before.algorithm_masks, ..new },
        None => new,
    };
    template.level = if form.value(F::Level) == "optional" { Level::Use } else { Level::Required };
    template.reqid = ReqId(number(form, F::ReqId, complaints).unwrap_or(0));
    template.spi = Spi(optional_number(form, F::Spi, complaints).ok().flatten().unwrap_or(0));
    template
}

/// A small form filled in with a transform; `None` for one that is newer than espial.
pub(super) fn editing(template: &Template) -> Option<Form> {
    let mut form = Form::new(&PLAN);
    form.set(F::Protocol, crate::console::form::reading::protocol_word(template.protocol)?);
    form.set(F::Mode, &template.mode.to_string());
    for (field, end) in [(F::TunnelSource, template.source), (F::TunnelDestination, template.destination)] {
        if !end.is_unspecified() {
            form.set(field, &end.to_string());
        }
    }
    form.set(F::Level, if template.level == Level::Use { "optional" } else { "required" });
    form.set(F::ReqId, &template.reqid.to_string());
    if template.spi.0 != 0 {
        form.set(F::Spi, &template.spi.to_string());
    }
    form.edited = Some(Edited::Template(Box::new(template.clone())));
    Some(form)
}

/// How a transform is written on the command line.
pub const WRITTEN: &str = "PROTOCOL/MODE[/SOURCE-DESTINATION[/LEVEL[/REQID[/SPI]]]]";

/// A small form filled in with a transform that is written as setkey does it, a number and an SPI behind it if wanted.
///
/// # Errors
/// What would be right.
pub fn parse(text: &str) -> Result<Form, String> {
    let mut form = Form::new(&PLAN);
    let mut parts = text.split('/').map(str::trim);
    for field in [F::Protocol, F::Mode] {
        let word = parts.next().unwrap_or_default();
        choose(&mut form, field, if word == "comp" { "ipcomp" } else { word }, text)?;
    }
    let ends = parts.next().unwrap_or_default();
    if !ends.is_empty() && ends != "-" {
        let ends =
            ends.split_once('-').ok_or_else(|| format!("the ends in {text:?} are two addresses with a - between"))?;
        form.set(F::TunnelSource, ends.0);
        form.set(F::TunnelDestination, ends.1);
    }
    let level = match parts.next().unwrap_or_default() {
        "require" | "" => "required",
        "use" => "optional",
        word => word,
    };
    choose(&mut form, F::Level, level, text)?;
    for field in [F::ReqId, F::Spi] {
        if let Some(number) = parts.next().filter(|number| !number.is_empty()) {
            form.set(field, number);
        }
    }
    match parts.next() {
        Some(more) => Err(format!("{more:?} is too much in {text:?}: a transform is written {WRITTEN}")),
        None => Ok(form),
    }
}

/// Chooses a word, which must be one of those that there are.
fn choose(form: &mut Form, id: F, word: &str, text: &str) -> Result<(), String> {
    let options = form.options(id);
    if options.iter().any(|option| option == word) {
        form.set(id, word);
        return Ok(());
    }
    let options = options.join(", ");
    Err(format!("{word:?} in {text:?} is none of {options}; a transform is written {WRITTEN}"))
}
