//! What is printed is read back as the same thing, or is a comment that says why it cannot be.

use std::net::IpAddr;

use espial::dialect::Keys;
use espial::dialect::deed::Deed;
use espial::dialect::setkey::print;
use espial::model::algorithm::{ALGORITHMS, KeyLengths};
use espial::model::check::{self, Severity};
use espial::model::extras::{Encapsulation, ExtraFlags, Offload, SecurityContext, UnknownAttribute};
use espial::model::template::AlgorithmMasks;
use espial::model::{
    Algorithm, AlgorithmKind, IfId, IpsecProtocol, Level, Limit, Mark, Mode, PolicyAction, PolicyDirection, PolicyKind,
    PolicySpec, PortMatch, Prefix, ReqId, SaDirection, SaFlags, SaSpec, Secret, Selector, Spi, Template, Transform,
    UpperProtocol,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{ARTICLE, an_sa, policies, script};

#[test]
fn what_is_printed_of_the_article_is_read_back_as_it_was() {
    let first = script(ARTICLE);
    let mut printed = String::new();
    for statement in &first.statements {
        match &statement.deed {
            Deed::AddSa(spec) => printed += &print::sa(spec, Keys::Show),
            // The twin comes by itself.
            Deed::AddPolicies(specs) => printed += &print::policy(&specs[0]),
            Deed::FlushSas(_) => printed += "flush;",
            _ => printed += "spdflush;",
        }
        printed.push('\n');
    }
    let second = script(&printed);
    let deeds = |script: &super::Script| script.statements.iter().map(|s| s.deed.clone()).collect::<Vec<_>>();
    assert_eq!(deeds(&first), deeds(&second), "{printed}");
}

#[test]
fn each_rarer_word_is_printed() {
    let sa = |head: &str, rest: &str| {
        let text = format!("add {head} -E null -A hmac-sha1 0x{};", "a7".repeat(20));
        let printed = print::sa(&an_sa(&text.replace(" -E", &format!("{rest} -E"))), Keys::Hide).to_string();
        printed.split(" -E").next().unwrap().to_owned()
    };
    assert_eq!(
        sa("10.9.0.1 10.9.0.2[61000] esp-udp 192.168.0.7 4097", ""),
        "add 10.9.0.1[4500] 10.9.0.2[61000] esp-udp 192.168.0.7 0x1001"
    );
    assert_eq!(sa("fd00::1 fd00::2 esp-udp 4097", ""), "add fd00::1[4500] fd00::2[4500] esp-udp 0x1001");
    assert_eq!(
        sa("10.9.0.1 10.9.0.2 esp 4097", " -bs 8 -ctx 1 1 \"a:b\" -lh 9"),
        "add 10.9.0.1 10.9.0.2 esp 0x1001 -lh 9 -bs 8 -ctx 1 1 \"a:b\""
    );
    let policy = |words: &str| print::policy(&policies(&format!("spdadd {words} none;"))[0]);
    assert_eq!(policy("fd00::1 ::/0 icmp6 128,0 -P out"), "spdadd fd00::1 ::/0 icmp6 128,0 -P out none;");
    assert_eq!(policy("::/0 ::/0 mh 0,3 -P fwd"), "spdadd ::/0 ::/0 135 0,3 -P fwd none;");
    assert_eq!(policy("10.9.0.1 10.9.0.2 gre 7 -P out"), "spdadd 10.9.0.1 10.9.0.2 47 0.0.0.7 -P out none;");
    assert_eq!(
        policy("10.9.0.1 10.9.0.2 any -ctx 1 1 \"a b\" -P out"),
        "spdadd 10.9.0.1 10.9.0.2 any -ctx 1 1 \"a b\" -P out none;"
    );
}

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<[u8; 4]>()).prop_map(|(a, b)| (a.into(), b.into())),
        (any::<[u16; 8]>(), any::<[u16; 8]>()).prop_map(|(a, b)| (a.into(), b.into())),
    ]
}

/// A key length in bits that an algorithm takes.
fn key_bits(lengths: KeyLengths, which: Index) -> u16 {
    match lengths {
        KeyLengths::OneOf(list) => list[which.index(list.len())],
        KeyLengths::Range(least, most) => {
            least + 8 * u16::try_from(which.index(usize::from((most - least) / 8 + 1))).unwrap()
        }
    }
}

/// An algorithm that setkey on Linux can say, with a key that fits.
fn transform(kind: AlgorithmKind) -> impl Strategy<Value = Transform> {
    let rows: Vec<&'static Algorithm> =
        ALGORITHMS.iter().filter(|row| row.kind == kind && !row.setkey.is_empty()).collect();
    (select(rows), any::<Index>(), any::<Index>(), any::<u8>()).prop_map(|(row, length, name, fill)| {
        let key = Secret::copy_from(&vec![fill; usize::from(key_bits(row.key_bits, length) / 8)]);
        let icv_bits = row.setkey[name.index(row.setkey.len())].1.into();
        Transform { name: row.into(), key, icv_bits }
    })
}

fn limit(zero: bool) -> impl Strategy<Value = Limit> {
    let number = move || prop::option::of(if zero { 0..=u64::MAX } else { 1..=u64::MAX });
    (number(), number()).prop_map(|(soft, hard)| Limit { soft, hard })
}

/// SAs that setkey on Linux can say.
fn sayable_sas() -> impl Strategy<Value = SaSpec> {
    let kinds = (transform(AlgorithmKind::Encryption), prop::option::of(transform(AlgorithmKind::Authentication)));
    let numbers = (256u32.., any::<u32>(), 0u32..=32, limit(false), limit(false));
    let around = prop::option::of((1u16.., 1u16.., any::<bool>()));
    (addresses(), 0usize..3, any::<bool>(), kinds, numbers, around).prop_map(
        |((source, destination), protocol, tunnel, (encryption, proof), (spi, reqid, window, time, bytes), around)| {
            let protocol = [IpsecProtocol::Esp, IpsecProtocol::Ah, IpsecProtocol::Comp][protocol];
            let spi = if protocol == IpsecProtocol::Comp { spi % 0xff00 + 256 } else { spi };
            let mut spec = SaSpec::new(source, destination, protocol, Spi(spi));
            spec.mode = if tunnel { Mode::Tunnel } else { Mode::Transport };
            (spec.reqid, spec.replay_window) = (ReqId(reqid), window);
            (spec.limits.since_added_secs, spec.limits.bytes) = (time, bytes);
            match protocol {
                IpsecProtocol::Comp => {
                    spec.algorithms.compression = Some(Algorithm::by_kernel_name("deflate").unwrap().into());
                }
                IpsecProtocol::Ah => {
                    let null = Transform {
                        name: Algorithm::by_kernel_name("digest_null").unwrap().into(),
                        key: Secret::default(),
                        icv_bits: 0,
                    };
                    spec.algorithms.authentication = Some(proof.unwrap_or(null));
                }
                _ => (spec.algorithms.encryption, spec.algorithms.authentication) = (Some(encryption), proof),
            }
            if let Some((source_port, destination_port, natted)) = around.filter(|_| protocol == IpsecProtocol::Esp) {
                let nowhere: IpAddr = if source.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
                let original = if natted { destination } else { nowhere };
                let kind = Encapsulation::ESP_IN_UDP;
                spec.extras.encapsulation = Some(Encapsulation { kind, source_port, destination_port, original });
            }
            spec
        },
    )
}

fn labels() -> impl Strategy<Value = SecurityContext> {
    let texts =
        ["a:b", "system_u:object_r:ipsec_t:s0", "with # and ;", "a \"quote\"", "", "é", "two\0parts", "two\nlines"];
    (select(texts.to_vec()), 0u8..4, any::<u8>(), any::<bool>()).prop_map(|(text, doi, algorithm, ends)| {
        let mut context = SecurityContext { doi, algorithm, ..SecurityContext::selinux(text) };
        if !ends {
            context.label = text.as_bytes().into();
        }
        context
    })
}

/// What makes an SA hard to say, or impossible.
fn make_odd(spec: &mut SaSpec, which: usize, number: u32, label: &SecurityContext) {
    let extras = &mut spec.extras;
    match which {
        0 => spec.mark = Some(Mark { value: number, mask: u32::MAX }),
        1 => spec.if_id = Some(IfId(number)),
        2 => spec.flags = SaFlags(number.to_le_bytes()[0]),
        3 => spec.direction = Some(SaDirection::In),
        4 => spec.replay_window = number % 4097,
        5 => (spec.sent, spec.received) = (number.into(), 1),
        6 => spec.acquire_sequence = number,
        7 => spec.selector = Some(Selector { user: number, ..Selector::everything_like(spec.source) }),
        8 => spec.mode = Mode::Beet,
        9 => spec.limits.packets.hard = Some(number.into()),
        10 => spec.limits.since_added_secs.hard = Some(0),
        11 => spec.limits.since_used_secs.soft = Some(number.into()),
        12 => extras.security = Some(label.clone()),
        13 => extras.output_mark = Some(Mark::default()),
        14 => extras.tfc_padding = Some(number),
        15 => extras.offload = Some(Offload { interface: number, flags: 0 }),
        16 => extras.care_of = Some(spec.source),
        17 => extras.extra_flags = ExtraFlags(number),
        18 => extras.replay_threshold = Some(number),
        19 => extras.timer_threshold = Some(number),
        20 => extras.mapping_threshold_secs = Some(number),
        21 => extras.nat_keepalive_secs = Some(number),
        22 => extras.cpu = Some(number),
        23 => extras.iptfs.drop_time_us = Some(number),
        24 => extras.unknown = vec![UnknownAttribute { kind: 99, bytes: Secret::copy_from(&[1]) }],
        25 => {
            let [kind, port] =
                [0, 2].map(|at| u16::from_le_bytes([number.to_le_bytes()[at], number.to_le_bytes()[at + 1]]));
            let original = [192, 168, 0, 7].into();
            extras.encapsulation =
                Some(Encapsulation { kind: kind % 8, source_port: port % 2, destination_port: port, original });
        }
        26 => spec.algorithms.compression = Some(ALGORITHMS.iter().find(|row| row.kernel == "lzjh").unwrap().into()),
        27 => {
            spec.algorithms.aead =
                Some(Transform { name: (&ALGORITHMS[0]).into(), key: Secret::copy_from(&[7; 20]), icv_bits: 128 });
        }
        28 => {
            spec.algorithms.encryption = Some(Transform {
                name: Algorithm::by_kernel_name("cbc(sm4)").unwrap().into(),
                key: Secret::copy_from(&[7; 16]),
                icv_bits: 0,
            });
        }
        29 => {
            if let Some(proof) = &mut spec.algorithms.authentication {
                proof.icv_bits = number % 257;
            }
        }
        _ => {
            if let Some(proof) = &mut spec.algorithms.authentication {
                proof.key = Secret::copy_from(&vec![9; number as usize % 70]);
            }
        }
    }
}

/// Whether nothing stands against making it.
fn is_fine<Field>(problems: &[check::Problem<Field>]) -> bool {
    problems.iter().all(|problem| problem.severity == Severity::Warning)
}

/// Whether a text is a comment that names `ip`'s line.
fn is_comment(text: &str) -> bool {
    text.starts_with("# setkey on Linux cannot say ")
        && text
            .lines()
            .nth(1)
            .is_some_and(|line| line.starts_with("# ip xfrm ") || line.starts_with("# `ip` cannot make "))
}

/// Policies that setkey on Linux can say.
fn sayable_policies() -> impl Strategy<Value = PolicySpec> {
    let rules = prop::collection::vec((0usize..3, any::<bool>(), any::<bool>(), 0u32..=0x3fff), 0..4);
    let selectors = (addresses(), any::<u8>(), any::<u8>(), any::<u8>(), any::<u16>(), any::<u16>());
    let upper = |number: u8, from: u16, to: u16| {
        let protocol = UpperProtocol([0, 1, 4, 6, 17, 47, 50, 58, 89, 132, 135, 136][usize::from(number % 12)]);
        let most = if protocol.has_ports() || protocol == UpperProtocol::GRE { u16::MAX } else { 255 };
        let port = |port: u16| {
            if port.is_multiple_of(3) || port & most == 0 { PortMatch::ANY } else { PortMatch::exactly(port & most) }
        };
        match protocol {
            UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH | UpperProtocol::GRE => {
                (protocol, port(from), port(to))
            }
            _ if protocol.has_ports() || protocol == UpperProtocol::ANY => (protocol, port(from), port(to)),
            _ => (protocol, PortMatch::ANY, PortMatch::ANY),
        }
    };
    (selectors, 0u8..3, any::<u32>(), any::<bool>(), rules).prop_map(
        move |((ends, from_length, to_length, number, from, to), direction, priority, blocks, rules)| {
            let bits = Prefix::bits(ends.0);
            let prefix =
                |address: IpAddr, length: u8| Prefix { address, length: if length > bits { bits } else { length } };
            let mut selector = Selector::between(prefix(ends.0, from_length), prefix(ends.1, to_length));
            (selector.protocol, selector.source_port, selector.destination_port) = upper(number, from, to);
            let mut spec = PolicySpec::new(PolicyDirection::from_number(direction), selector);
            spec.priority = priority;
            spec.action = if blocks { PolicyAction::Block } else { PolicyAction::Allow };
            let nowhere: IpAddr = if ends.0.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            for (protocol, tunnel, uses, reqid) in rules {
                let protocol = [IpsecProtocol::Esp, IpsecProtocol::Ah, IpsecProtocol::Comp][protocol];
                let mut template = match tunnel {
                    // Of either family.
                    true if reqid % 2 == 0 => {
                        Template::new(protocol, Mode::Tunnel, [10, 9, 0, 1].into(), [10, 9, 0, 2].into())
                    }
                    true => Template::new(
                        protocol,
                        Mode::Tunnel,
                        [0xfd00, 0, 0, 0, 0, 0, 0, 1].into(),
                        [0xfd00, 0, 0, 0, 0, 0, 0, 2].into(),
                    ),
                    false => Template::new(protocol, Mode::Transport, nowhere, nowhere),
                };
                let may_be_left_out = uses && !(tunnel && spec.direction == PolicyDirection::Out);
                if may_be_left_out {
                    template.level = Level::Use;
                } else {
                    template.reqid = ReqId(reqid);
                }
                if !blocks {
                    spec.templates.push(template);
                }
            }
            spec
        },
    )
}

fn make_policy_odd(spec: &mut PolicySpec, which: usize, number: u32, label: &SecurityContext) {
    let small = number.to_le_bytes()[0];
    match which {
        0 => spec.mark = Some(Mark { value: number, mask: u32::MAX }),
        1 => spec.if_id = Some(IfId(number)),
        2 => spec.kind = PolicyKind::from_number(small % 3),
        3 => spec.flags = small,
        4 => spec.index = number,
        5 => spec.share = small,
        6 => spec.limits.bytes.hard = Some(number.into()),
        7 => spec.security = Some(Box::new(label.clone())),
        8 => spec.offload = Some(Offload { interface: number, flags: 0 }),
        9 => spec.unknown = vec![UnknownAttribute { kind: 99, bytes: Secret::copy_from(&[1]) }],
        10 => spec.selector.interface = number,
        11 => spec.selector.user = number,
        12 => spec.selector.any_family = true,
        13 => spec.selector.protocol = UpperProtocol(255),
        14 => spec.selector.source_port = PortMatch { value: u16::from(small), mask: 0xff00 },
        15 => spec.selector.destination_port = PortMatch::exactly(0),
        16 => spec.selector.source_port = PortMatch::exactly(256 + u16::from(small)),
        17 => spec.action = PolicyAction::from_number(small),
        18 => spec.direction = PolicyDirection::Socket(3),
        which => {
            let Some(template) = spec.templates.first_mut() else { return };
            match which {
                19 => template.spi = Spi(number),
                20 => template.share = small,
                21 => template.algorithm_masks = AlgorithmMasks { encryption: number, ..AlgorithmMasks::ALL },
                22 => template.reqid = ReqId(number),
                23 => template.mode = Mode::from_number(small % 6),
                24 => template.protocol = IpsecProtocol::from_number(small),
                _ => template.source = [10, 9, 0, 7].into(),
            }
        }
    }
}

proptest! {
    #[test]
    fn an_sa_that_setkey_can_say_survives_print_and_parse(spec in sayable_sas()) {
        prop_assume!(is_fine(&check::sa(&spec)));
        let text = print::sa(&spec, Keys::Show);
        prop_assert_eq!(an_sa(&text), spec);
    }

    #[test]
    fn whatever_is_printed_of_an_sa_is_a_comment_or_means_it(
        spec in sayable_sas(),
        odd in prop::collection::vec((0usize..=30, any::<u32>()), 1..4),
        label in labels(),
    ) {
        let mut spec = spec;
        for (which, number) in odd {
            make_odd(&mut spec, which, number, &label);
        }
        prop_assume!(is_fine(&check::sa(&spec)));
        let text = print::sa(&spec, Keys::Show);
        if !is_comment(&text) {
            prop_assert_eq!(an_sa(&text), spec);
        }
    }

    #[test]
    fn a_policy_that_setkey_can_say_survives_print_and_parse(spec in sayable_policies()) {
        prop_assume!(is_fine(&check::policy(&spec)));
        let text = print::policy(&spec);
        let read = policies(&text);
        prop_assert_eq!(&read[0], &spec, "{}", text);
    }

    #[test]
    fn whatever_is_printed_of_a_policy_is_a_comment_or_means_it(
        spec in sayable_policies(),
        odd in prop::collection::vec((0usize..=25, any::<u32>()), 1..4),
        label in labels(),
    ) {
        let mut spec = spec;
        for (which, number) in odd {
            make_policy_odd(&mut spec, which, number, &label);
        }
        prop_assume!(is_fine(&check::policy(&spec)));
        let text = print::policy(&spec);
        if !is_comment(&text) {
            let read = policies(&text);
            prop_assert_eq!(&read[0], &spec, "{}", text);
        }
    }
}
