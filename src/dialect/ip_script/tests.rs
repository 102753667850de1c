//! Scripts of `ip xfrm`, and what is printed in that language read back.

use proptest::prelude::*;

use super::*;
use crate::dialect::{Keys, iproute2};
use crate::model::algorithm::ALGORITHMS;
use crate::model::extras::Encapsulation;
use crate::model::{
    AlgorithmKind, LifetimeLimits, Limit, Mark, PortMatch, Prefix, SaDirection, SaFlags, SaSpec, Secret, Transform,
    UpperProtocol,
};

fn deeds(source: &str) -> Vec<Deed> {
    let script = parse(source).unwrap_or_else(|errors| panic!("{}", errors[0].render("x", source)));
    script.statements.into_iter().map(|statement| statement.deed).collect()
}

fn errors(source: &str) -> Vec<String> {
    parse(source).unwrap_err().iter().map(|error| error.render("x", source)).collect()
}

#[test]
fn shell_lines_and_batch_lines_are_one_language() {
    let shell = "#!/bin/sh -e\n# gouda\nip xfrm state flush proto esp\nip -4 xfrm policy flush\n";
    assert_eq!(deeds(shell), [Deed::FlushSas(IpsecProtocol::Esp), Deed::FlushPolicies(PolicyKind::Main)]);
    assert_eq!(deeds("xfrm state flush proto esp\n\nxfrm policy flush ptype main"), deeds(shell));
    assert!(looks_like(shell) && looks_like("\n  xfrm state flush") && !looks_like("flush;\nspdflush;"));
    let joined = "xfrm state delete \\\n  spi 0x1001 proto esp dst 10.9.0.2 \\\n src 10.9.0.1 mark 7\n";
    let id = SaId {
        destination: [10, 9, 0, 2].into(),
        protocol: IpsecProtocol::Esp,
        spi: Spi(0x1001),
        mark: Some(Mark { value: 7, mask: u32::MAX }),
        acquire_sequence: 0,
    };
    assert_eq!(deeds(joined), [Deed::DeleteSa(id)]);
}

#[test]
fn several_errors_are_told_at_once_and_no_key_with_them() {
    let source = "ip xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001 enc 'cbc(aes)' 'my own key 16 b' mod x\n\
                  ip xfrm policy add src 10.9.0.1 dst 10.9.0.2 dir up\n\
                  ip xfrm state update src 10.9.0.1 dst 10.9.0.2 proto esp spi 1\n\
                  ip xfrm policy add dir out tmpl mode tunnel\n\
                  ip route add default\nip xfrm state list\nip xfrm policy add dev eth0 dir in\n";
    let errors = errors(source);
    let heads: Vec<&str> = errors.iter().map(|error| error.lines().next().unwrap()).collect();
    assert_eq!(
        heads,
        [
            "x:1:99: this word is not understood here",
            "x:2:50: this word is not understood here",
            "x:3:15: to change it, delete it and add it again",
            "x:4:44: a template names no protocol",
            "x:5:4: this word is not understood here",
            "x:6:15: this only looks: nothing is applied by it",
            "x:7:20: an interface's name cannot be read here; `ip` can",
        ]
    );
    assert!(!errors.concat().contains("own key"), "{}", errors.concat());
}

#[test]
fn what_espial_cannot_write_is_refused_by_name() {
    let add = "xfrm state add src 10.9.0.1 dst 10.9.0.2 proto ah spi 0x1001 auth-trunc 'hmac(sha256)' ";
    let key = "0x0102030405060708091011121314151617181920212223242526272829303132";
    let with = |words: &str| errors(&format!("{add}{key} 128 {words}")).concat();
    assert!(with("output-mark 7 tfcpad 100").contains("cannot write this of an SA: output mark, TFC padding"));
    assert!(with("replay-oseq 17").contains("begins with sequence number 1"));
    assert_eq!(deeds(&format!("{add}{key} 128")).len(), 1);
    assert!(errors(&format!("{}{key} 128", add.replace("0x1001", "9"))).concat().contains("reserved"));
}

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    let v4 = any::<[u8; 4]>().prop_map(|mut octets| {
        octets[0] |= 1;
        IpAddr::from(octets)
    });
    let v6 = any::<[u8; 16]>().prop_map(|mut octets| {
        octets[0] |= 1;
        IpAddr::from(octets)
    });
    prop_oneof![(v4.clone(), v4), (v6.clone(), v6)]
}

fn transform(kind: AlgorithmKind) -> impl Strategy<Value = Transform> {
    let all: Vec<_> = ALGORITHMS.iter().filter(|algorithm| algorithm.kind == kind).collect();
    (proptest::sample::select(all), any::<u8>()).prop_map(|(algorithm, byte)| Transform {
        name: algorithm.into(),
        key: Secret::take(vec![byte | 1; usize::from(algorithm.key_bits.longest()) / 8]),
        icv_bits: algorithm.icv_bits.last().copied().unwrap_or(0).into(),
    })
}

fn limits() -> impl Strategy<Value = LifetimeLimits> {
    let limit = || {
        (proptest::option::of(1..1000_u64), proptest::option::of(1000..u64::MAX))
            .prop_map(|(soft, hard)| Limit { soft, hard })
    };
    (limit(), limit(), limit(), limit()).prop_map(|(bytes, packets, since_added_secs, since_used_secs)| {
        LifetimeLimits { bytes, packets, since_added_secs, since_used_secs }
    })
}

fn mark() -> impl Strategy<Value = Option<Mark>> {
    proptest::option::of(any::<u32>().prop_map(|value| Mark { value, mask: u32::MAX }))
}

fn sa() -> impl Strategy<Value = SaSpec> {
    let algorithms =
        prop_oneof![
            transform(AlgorithmKind::Aead).prop_map(|aead| (Some(aead), None, None)),
            (transform(AlgorithmKind::Encryption), transform(AlgorithmKind::Authentication))
                .prop_map(|(cipher, mac)| (None, Some(cipher), Some(mac))),
        ];
    let rest = (mark(), limits(), 0..=1_u8, proptest::option::of(1..=u16::MAX), proptest::option::of(any::<bool>()));
    (addresses(), 256_u32.., any::<bool>(), any::<u32>(), algorithms, rest).prop_map(
        |((source, destination), spi, tunnel, reqid, (aead, encryption, authentication), rest)| {
            let (mark, limits, esn, port, direction) = rest;
            let mut spec = SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(spi));
            spec.mode = if tunnel { Mode::Tunnel } else { Mode::Transport };
            (spec.reqid, spec.mark, spec.limits) = (ReqId(reqid), mark, limits);
            (spec.algorithms.aead, spec.algorithms.encryption) = (aead, encryption);
            spec.algorithms.authentication = authentication;
            if esn == 1 {
                (spec.flags, spec.replay_window) = (SaFlags(SaFlags::ESN), 64);
            }
            let original = if source.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            spec.extras.encapsulation =
                port.map(|port| Encapsulation { kind: 2, source_port: port, destination_port: 4500, original });
            spec.direction = direction.map(|inbound| if inbound { SaDirection::In } else { SaDirection::Out });
            spec
        },
    )
}

fn policy_spec() -> impl Strategy<Value = PolicySpec> {
    let template = |(source, destination): (IpAddr, IpAddr), tunnel: bool, reqid: u32, use_level: bool| {
        let nowhere: IpAddr = if source.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let (from, to) = if tunnel { (source, destination) } else { (nowhere, nowhere) };
        let mode = if tunnel { Mode::Tunnel } else { Mode::Transport };
        let mut template = Template::new(IpsecProtocol::Esp, mode, from, to);
        template.reqid = ReqId(reqid);
        template.level = if use_level { Level::Use } else { Level::Required };
        template
    };
    let rest = (limits(), proptest::option::of(any::<u32>()), 0..4_u8, 0..3_u8, any::<bool>(), 0..3_usize);
    (addresses(), any::<u32>(), mark(), any::<[bool; 2]>(), any::<u32>(), rest).prop_map(
        move |(ends, priority, mark, [tunnel, use_level], reqid, (limits, if_id, flags, way, is_udp, count))| {
            let mut selector = Selector::between(Prefix::host(ends.0), Prefix::host(ends.1));
            if is_udp {
                selector.protocol = UpperProtocol::UDP;
                selector.destination_port = PortMatch::exactly(4500);
            }
            let direction = [PolicyDirection::In, PolicyDirection::Out, PolicyDirection::Forward][usize::from(way)];
            let mut spec = PolicySpec::new(direction, selector);
            (spec.priority, spec.mark, spec.if_id, spec.limits) = (priority, mark, if_id.map(IfId), limits);
            spec.flags = flags;
            spec.templates = vec![template(ends, tunnel, reqid, use_level); count];
            spec
        },
    )
}

proptest! {
    #[test]
    fn an_sa_that_is_printed_reads_back_as_it_is(spec in sa()) {
        let line = iproute2::sa(&spec, Keys::Show);
        let words = Reader { words: words(&line), end: line.len() };
        let read = words.sa().map_err(|error| TestCaseError::fail(error.render("x", &line)))?;
        prop_assert_eq!(read.to_spec(), spec, "{}", *line);
    }

    #[test]
    fn a_policy_that_is_printed_reads_back_as_it_is(spec in policy_spec()) {
        let line = iproute2::policy(&spec);
        let mut reader = Reader { words: words(&line), end: line.len() };
        for word in ["ip", "xfrm", "policy", "add"] {
            prop_assert!(reader.takes(word));
        }
        let read = policy(&mut reader).map_err(|error| TestCaseError::fail(error.render("x", &line)))?;
        prop_assert_eq!(read, spec, "{}", line);
    }

    #[test]
    fn any_text_is_survived(text in "(ip )?xfrm (state|policy) (add|delete|flush) [a-z0-9 .:/'\"\\\\\n]{0,80}") {
        let _ = parse(&text);
    }
}
