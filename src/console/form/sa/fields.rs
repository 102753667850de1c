//! The fields of the form of an SA, and when each of them means anything.

use super::NONE;
use super::algorithm::{
    authentications, chosen_authentication, chosen_cipher, ciphers, icv_lengths, needs_authentication,
};
use crate::console::form::Form;
use crate::console::form::field::{Description, FieldId as F, words};
use crate::console::form::reading::{
    IF_ID, LIMIT_FIELDS, MARK, PROTOCOLS, SECURITY, is_mobile, mode, modes, selector_fields,
};
use crate::model::{AlgorithmName, Mode};

/// All of them.
pub(super) static FIELDS: &[&[Description]] =
    &[MAIN, IPTFS, LIMIT_FIELDS, NAT, SELECTOR, &REST_OF_SELECTOR, OFFLOAD, MORE];

/// The words for no encapsulation and for the two that there are.
pub(super) const ENCAPSULATIONS: [(&str, u16); 3] = [("none", 0), ("espinudp", 2), ("espintcp", 7)];

fn is_esp(form: &Form) -> bool {
    form.value(F::Protocol) == "esp"
}

fn has_sequence_numbers(form: &Form) -> bool {
    matches!(form.value(F::Protocol), "esp" | "ah")
}

fn receives(form: &Form) -> bool {
    form.value(F::Direction) != "out"
}

fn sends(form: &Form) -> bool {
    form.value(F::Direction) != "in"
}

fn is_iptfs(form: &Form) -> bool {
    mode(form) == Mode::Iptfs
}

fn is_wrapped(form: &Form) -> bool {
    is_esp(form) && form.value(F::Encapsulation) != "none"
}

fn is_offloaded(form: &Form) -> bool {
    has_sequence_numbers(form) && !form.value(F::OffloadDevice).is_empty()
}

fn encapsulations(form: &Form) -> Vec<String> {
    let before = form.edited_sa().and_then(|sa| sa.extras.encapsulation);
    let known = ENCAPSULATIONS.iter().map(|(word, _)| (*word).to_owned());
    let other = before.filter(|before| ENCAPSULATIONS.iter().all(|(_, kind)| *kind != before.kind));
    known.chain(other.map(|before| before.kind.to_string())).collect()
}

static MAIN: &[Description] = &[
    Description::choice(
        F::Protocol,
        "Protocol",
        |_| PROTOCOLS.iter().map(|(word, _)| (*word).to_owned()).collect(),
        "esp encrypts, ah only authenticates (the header too), ipcomp only compresses; route2 and hao are Mobile IPv6's.",
    )
    .initially("esp"),
    Description::choice(
        F::Mode,
        "Mode",
        modes,
        "transport: packets between two hosts; tunnel: whole packets between two gateways; beet: a tunnel with fixed \
         inner addresses; iptfs: a tunnel that hides sizes (Linux 6.14).",
    )
    .initially("transport"),
    Description::text(F::Source, "Source", "The address that the protected packets come from."),
    Description::text(F::Destination, "Destination", "The address that the protected packets go to."),
    Description::text(
        F::Spi,
        "SPI",
        "The SA's number, the same on both hosts: decimal or 0x hex, from 256. Ctrl-G picks a free one.",
    )
    .when(|form| !is_mobile(form)),
    Description::text(F::CareOf, "Care-of address", "Where the mobile host is now, an IPv6 address.").when(is_mobile),
    Description::choice(
        F::Encryption,
        "Encryption",
        |form| ciphers(form).into_iter().map(|offer| offer.word).collect(),
        "The cipher with its key length in bits; those of the first group authenticate too.",
    )
    .initially("aes-gcm-256")
    .when(is_esp),
    Description::key(
        F::EncryptionKey,
        "Encryption key",
        "0x and hex digits, or text in \"quotes\", salt included. Ctrl-G makes up a random one.",
    )
    .when(|form| chosen_cipher(form).is_some_and(|offer| offer.key_bits != Some(0))),
    Description::choice(F::Icv, "ICV bits", icv_lengths, "The length of the proof behind each packet; 128 is the usual one.")
        .initially("128")
        .when(|form| icv_lengths(form).len() > 1),
    Description::choice(
        F::Authentication,
        "Authentication",
        |form| {
            let none = Some(NONE.to_owned()).filter(|_| is_esp(form));
            authentications(form).into_iter().map(|offer| offer.word).chain(none).collect()
        },
        "The algorithm that proves origin and integrity, with the length of the proof in bits.",
    )
    .initially("hmac-sha256-128")
    .when(needs_authentication),
    Description::key(
        F::AuthenticationKey,
        "Authentication key",
        "0x and hex digits, or text in \"quotes\". Ctrl-G makes up a random one.",
    )
    .when(|form| chosen_authentication(form).is_some_and(|offer| offer.key_bits != Some(0))),
    Description::choice(
        F::Compression,
        "Compression",
        |form| {
            let before = form.edited_sa().and_then(|sa| sa.algorithms.compression.as_ref()).map(AlgorithmName::label);
            let other = before.filter(|before| *before != "deflate");
            ["deflate"].into_iter().chain(other).map(str::to_owned).collect()
        },
        "The only algorithm that Linux has.",
    )
    .initially("deflate")
    .when(|form| form.value(F::Protocol) == "ipcomp"),
    Description::text(F::ReqId, "ReqID", "A policy's template with the same number uses only such SAs; 0 ties to none.")
        .initially("0"),
    Description::choice(
        F::Direction,
        "Direction",
        |_| words(&["any", "in", "out"]),
        "Whether packets come or go by it, as this host sees it; older kernels than Linux 6.10 do not keep it.",
    )
    .initially("any"),
    Description::text(
        F::ReplayWindow,
        "Replay window",
        "How many packets back a packet may come late; 0 lets old packets be played again.",
    )
    .initially("32")
    .when(|form| has_sequence_numbers(form) && receives(form)),
];

static IPTFS: &[Description] = &[
    Description::fold(
        F::Iptfs,
        "IP-TFS",
        "How packets are cut, packed and put together again; empty: the kernel's own.",
    )
    .when(is_iptfs),
    Description::text(F::PacketSize, "Packet size", "The outer packets' size in bytes; empty: that of the path.")
        .when(|form| is_iptfs(form) && sends(form))
        .under(F::Iptfs),
    Description::text(F::LargestQueue, "Largest queue", "How many bytes may wait to be sent.")
        .when(|form| is_iptfs(form) && sends(form))
        .under(F::Iptfs),
    Description::text(F::InitialDelay, "Initial delay", "How long the first packet waits for others, in microseconds.")
        .when(|form| is_iptfs(form) && sends(form))
        .under(F::Iptfs),
    Description::yes_or_no(F::DontFragment, "Do not fragment", "yes: no inner packet is split over two outer ones.")
        .when(|form| is_iptfs(form) && sends(form))
        .under(F::Iptfs),
    Description::text(F::DropTime, "Drop time", "How long a missing packet is waited for, in microseconds.")
        .when(|form| is_iptfs(form) && receives(form))
        .under(F::Iptfs),
    Description::text(F::ReorderWindow, "Reorder window", "How many packets are put into order, at most 65535.")
        .when(|form| is_iptfs(form) && receives(form))
        .under(F::Iptfs),
];

static NAT: &[Description] = &[
    Description::fold(F::Nat, "NAT", "UDP or TCP around ESP, where a NAT stands between the hosts.").when(is_esp),
    Description::choice(
        F::Encapsulation,
        "Encapsulation",
        encapsulations,
        "espinudp: UDP (RFC 3948), espintcp: TCP (RFC 8229). A program must hold the socket: most often an IKE daemon.",
    )
    .initially("none")
    .when(is_esp)
    .under(F::Nat),
    Description::text(F::EncapsulationPorts, "Ports", "The outer ports as 4500, or from,to.")
        .initially("4500")
        .when(is_wrapped)
        .under(F::Nat),
    Description::text(F::OriginalAddress, "Original address", "The sender's address before NAT; empty: not told.")
        .when(is_wrapped)
        .under(F::Nat),
    Description::text(
        F::Keepalive,
        "NAT keepalive",
        "Seconds between two keepalives that the kernel sends (Linux 6.11).",
    )
    .when(|form| is_wrapped(form) && sends(form))
    .under(F::Nat),
    Description::text(
        F::MappingThreshold,
        "Mapping threshold",
        "Seconds between two events that the peer's port changed.",
    )
    .when(|form| is_wrapped(form) && receives(form))
    .under(F::Nat),
];

static SELECTOR: &[Description] = &[
    Description::fold(F::Selector, "Selector", "The packets that it may be used for; most often every one."),
    Description::text(F::InnerSource, "From network", "Only for packets from here, as 10.1.0.0/24; empty: any.")
        .under(F::Selector),
    Description::text(F::InnerDestination, "To network", "Only for packets to here, as 10.2.0.0/24; empty: any.")
        .under(F::Selector),
];

static REST_OF_SELECTOR: [Description; 7] = selector_fields(Some(F::Selector), F::Selector);

static OFFLOAD: &[Description] = &[
    Description::fold(F::Offload, "Offload", "A network card that does the work.").when(has_sequence_numbers),
    Description::text(F::OffloadDevice, "Offload device", "The card's name or number; empty: the processor does it.")
        .when(has_sequence_numbers)
        .under(F::Offload),
    Description::choice(
        F::OffloadPart,
        "Offload what",
        |_| words(&["crypto", "packet"]),
        "crypto: the cipher alone, in software where the card cannot; packet: all of IPsec, or it is refused.",
    )
    .initially("crypto")
    .when(is_offloaded)
    .under(F::Offload),
    Description::choice(
        F::OffloadWay,
        "Offload way",
        |_| words(&["out", "in"]),
        "Whether the card sends or receives by it.",
    )
    .initially("out")
    .when(is_offloaded)
    .under(F::Offload),
];

static MORE: &[Description] = &[
    Description::fold(F::More, "More", "Long sequence numbers, marks, flags, xfrm interface: most often not needed."),
    Description::yes_or_no(
        F::LongNumbers,
        "ESN",
        "Extended sequence numbers, of 64 bits, for fast links. The peer must have them too.",
    )
    .when(has_sequence_numbers)
    .under(F::More),
    MARK,
    Description::text(F::OutputMark, "Output mark", "The mark that its packets get: a number, or number/mask.")
        .under(F::More),
    IF_ID,
    Description::text(
        F::Flags,
        "Flags",
        "Any of noecn decap-dscp nopmtudisc wildrecv icmp af-unspec align4, with blanks between.",
    )
    .under(F::More),
    Description::text(F::ExtraFlags, "Extra flags", "Any of dont-encap-dscp oseq-may-wrap, with a blank between.")
        .under(F::More),
    Description::text(
        F::Padding,
        "TFC padding",
        "Payloads are padded to so many bytes to hide their size; tunnels only.",
    )
    .when(is_esp)
    .under(F::More),
    Description::text(F::ReplayThreshold, "Replay threshold", "An event tells sequence numbers after so many packets.")
        .under(F::More),
    Description::text(F::TimerThreshold, "Timer threshold", "... and after so many tenths of a second.").under(F::More),
    Description::text(F::Cpu, "CPU", "The CPU that alone uses it; it needs a direction (Linux 6.13).").under(F::More),
    SECURITY,
];
