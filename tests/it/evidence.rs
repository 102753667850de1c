//! What frames prove: the kernel's own packets with their keys, and what policies say of packets in clear.

use std::net::IpAddr;

use espial::evidence::{Evidence, Judge, Policies, Reason, Sight, Verdict};
use espial::model::{
    IpsecProtocol, Level, Mode, Policy, PolicyAction, PolicyDefaults, PolicyDirection, PolicySpec, Prefix, Sa, SaFlags,
    SaSpec, Secret, Selector, Spi, Template, UpperProtocol,
};
use espial::packet::{Direction, LinkType, dissect};

use crate::crypto::sas::{KnownSa, KnownSas};
use crate::crypto::wire;

mod alike;
mod checks;
mod encapsulation;
mod key_exchange;
mod keys;
mod made;
mod messages;
mod parts;
mod policies;
mod receiver;
mod windows;

const LINUX: &[u8] = include_bytes!("../data/vectors/linux-all.pcap");
const NOW: u64 = 1_000;

fn linux_sas() -> Vec<Sa> {
    let known = KnownSas::from_ip_xfrm(include_str!("../data/vectors/linux-all.sas"));
    known.iter().map(sa_of).collect()
}

/// An SA of the file, ends and mode included.
fn sa_of(known: &KnownSa) -> Sa {
    let word = |name: &str| {
        let mut words = known.line.split(' ').skip_while(|word| *word != name);
        words.nth(1).unwrap_or_else(|| panic!("no {name} in {}", known.line))
    };
    let (source, destination): (IpAddr, IpAddr) = (word("src").parse().unwrap(), word("dst").parse().unwrap());
    let mut spec = SaSpec::new(source, destination, known.protocol, known.spi);
    spec.algorithms = known.algorithms.clone();
    if word("mode") == "tunnel" {
        spec.mode = Mode::Tunnel;
    }
    if known.extended {
        spec.flags = SaFlags(SaFlags::ESN);
    }
    let mut sa = Sa::from_spec(&spec, NOW);
    sa.replay.sent = known.sent;
    sa
}

fn judge_with(sas: &[Sa]) -> Judge {
    let mut judge = Judge::default();
    judge.memory.replace(sas.iter(), NOW * 1_000_000_000);
    judge
}

fn sight(bytes: &[u8]) -> Sight<'_> {
    Sight {
        at_ns: NOW * 1_000_000_000,
        link: LinkType::Ethernet,
        direction: Some(Direction::Out),
        loopback: false,
        is_cut: false,
        bytes,
    }
}

fn judged(judge: &mut Judge, sight: Sight<'_>) -> Evidence {
    judge.judge(sight, &dissect(sight.link, sight.bytes), 1)
}

fn words(evidence: &Evidence) -> String {
    let reasons: Vec<String> = evidence.reasons.iter().map(ToString::to_string).collect();
    format!("{}: {}", evidence.verdict, reasons.join("; "))
}

/// What can be read in a frame after everything was undone.
fn plaintext(judge: &Judge, sight: Sight<'_>, evidence: &Evidence) -> Vec<u8> {
    let looked = judge.look_into(sight, &dissect(sight.link, sight.bytes), evidence);
    assert_eq!(looked.obstacle, None, "{}", words(evidence));
    let bytes = evidence.whole.as_deref().unwrap_or(sight.bytes);
    looked.insides.last().map_or_else(|| bytes.to_vec(), |inside| inside.plaintext.to_vec())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn every_packet_that_linux_made_is_judged_and_read() {
    let sas = linux_sas();
    let mut judge = judge_with(&sas);
    let frames = wire::frames(LINUX);
    assert!(frames.len() > 250);
    let mut count = std::collections::BTreeMap::new();
    for frame in frames {
        let evidence = judged(&mut judge, sight(frame));
        *count.entry(evidence.verdict.to_string()).or_insert(0) += 1;
        assert!(contains(&plaintext(&judge, sight(frame), &evidence), b"hello world"), "{}", words(&evidence));
        match evidence.verdict {
            Verdict::EspOk | Verdict::AhOk | Verdict::EspAhOk => {}
            // Null authentication proves nothing, compression protects nothing.
            Verdict::Unproven => assert!(words(&evidence).contains("does not authenticate"), "{}", words(&evidence)),
            Verdict::Clear => assert!(evidence.reasons.contains(&Reason::Compressed), "{}", words(&evidence)),
            _ => panic!("{}", words(&evidence)),
        }
    }
    assert!(count["ESP ok"] > 150 && count["AH ok"] > 10 && count["ESP+AH ok"] > 1, "{count:?}");
}

#[test]
fn a_frame_that_is_looked_into_later_shows_what_was_inside_of_it_and_of_no_other() {
    let mut judge = judge_with(&linux_sas());
    let frames = wire::frames(LINUX);
    let evidence: Vec<Evidence> = frames.iter().map(|frame| judged(&mut judge, sight(frame))).collect();
    let later: Vec<Vec<u8>> = frames.iter().zip(&evidence).map(|(f, e)| plaintext(&judge, sight(f), e)).collect();
    let mut judge = judge_with(&linux_sas());
    for (frame, later) in frames.iter().zip(&later) {
        let evidence = judged(&mut judge, sight(frame));
        assert_eq!(plaintext(&judge, sight(frame), &evidence), *later, "{}", words(&evidence));
    }
    // What was changed on the way is not shown as what came before it.
    let (esp, evidence) = frames.iter().zip(&evidence).find(|(_, e)| e.verdict == Verdict::EspOk).unwrap();
    let mut changed = esp.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let good = judged(&mut judge, sight(esp));
    let bad = judged(&mut judge, sight(&changed));
    assert_eq!(bad.verdict, Verdict::BadIcv, "{}", words(evidence));
    for (frame, evidence) in [(changed.as_slice(), &bad), (changed.as_slice(), &good)] {
        let looked = judge.look_into(sight(frame), &dissect(LinkType::Ethernet, frame), evidence);
        assert!(looked.insides.is_empty() && looked.obstacle.is_some(), "{}", words(evidence));
    }
}

#[test]
fn what_was_inside_is_found_on_the_wire_again() {
    let mut judge = judge_with(&linux_sas());
    let (mut hidden, mut open) = (0, 0);
    for frame in wire::frames(LINUX) {
        let evidence = judged(&mut judge, sight(frame));
        let looked = judge.look_into(sight(frame), &dissect(LinkType::Ethernet, frame), &evidence);
        for (at, inside) in looked.insides.iter().enumerate() {
            for layer in inside.dissection.layers() {
                let found = looked.on_wire(at, &layer.range()).unwrap();
                let (wire, plain) = (&frame[found], &inside.plaintext[layer.range()]);
                let is_compressed = inside.header.protocol == IpsecProtocol::Comp;
                assert!(is_compressed || wire.len() == plain.len());
                if wire == plain { open += 1 } else { hidden += 1 }
            }
        }
    }
    assert!(hidden > 400 && open > 20, "{hidden} encrypted, {open} not (null, GMAC)");
}

#[test]
fn a_changed_byte_another_key_and_no_sa_are_told_apart() {
    let sas = linux_sas();
    let frames = wire::frames(LINUX);
    for frame in &frames {
        let mut changed = frame.to_vec();
        // The last byte of the frame is authenticated or the ICV itself.
        *changed.last_mut().unwrap() ^= 1;
        let evidence = judged(&mut judge_with(&sas), sight(&changed));
        let fine = judged(&mut judge_with(&sas), sight(frame)).verdict;
        if fine.is_protected() {
            assert_eq!(evidence.verdict, Verdict::BadIcv, "{}", words(&evidence));
            let looked = judge_with(&sas).look_into(sight(&changed), &dissect(LinkType::Ethernet, &changed), &evidence);
            let is_ah = evidence.sas.len() == 1 && looked.obstacle.is_none();
            assert!(is_ah || looked.obstacle.is_some(), "what does not authenticate is not decrypted");
            let none = judged(&mut judge_with(&[]), sight(frame));
            assert_eq!(none.verdict, Verdict::NoSa, "{}", words(&none));
        }
    }
}

#[test]
fn the_same_frame_again_is_a_replay_and_a_missing_one_a_gap() {
    let sas = linux_sas();
    let mut judge = judge_with(&sas);
    let frames = wire::frames(LINUX);
    let frame = frames[0];
    assert_eq!(judged(&mut judge, sight(frame)).verdict, Verdict::EspOk);
    let again = judged(&mut judge, sight(frame));
    assert_eq!(again.verdict, Verdict::Replay, "{}", words(&again));
    // On another interface it is the same packet on its way, not a replay.
    let elsewhere = judge.judge(sight(frame), &dissect(LinkType::Ethernet, frame), 2);
    assert_eq!(elsewhere.verdict, Verdict::EspOk);
    let sums = judge.totals.all;
    assert_eq!((sums.protected, sums.undecided, sums.clear), (2, 1, 0));
}

#[test]
fn a_hidden_key_is_no_failure() {
    let mut sa = linux_sas().remove(0);
    let (spi, destination) = (sa.spi, sa.destination);
    let algorithms = std::sync::Arc::make_mut(&mut sa.algorithms);
    for transform in [&mut algorithms.encryption, &mut algorithms.authentication].into_iter().flatten() {
        transform.key = Secret::copy_from(&vec![0; transform.key.len()]);
    }
    let mut judge = judge_with(&[sa]);
    let evidence = judged(&mut judge, sight(wire::frames(LINUX)[0]));
    assert_eq!(evidence.verdict, Verdict::NoKey, "{} {spi} {destination}", words(&evidence));
}

#[test]
fn an_sa_that_is_gone_still_explains_the_frames_of_its_time() {
    let sas = linux_sas();
    let frame = wire::frames(LINUX)[0];
    let mut judge = judge_with(&sas);
    judge.memory.forget(&sas[0].id(), (NOW + 10) * 1_000_000_000);
    let at = |secs: u64| Sight { at_ns: secs * 1_000_000_000, ..sight(frame) };
    assert_eq!(judged(&mut judge, at(NOW + 9)).verdict, Verdict::EspOk);
    assert_eq!(judged(&mut judge, at(NOW + 20)).verdict, Verdict::NoSa);
}

fn ipv4(protocol: u8, from: [u8; 4], to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend(from);
    frame.extend(to);
    frame.extend(payload);
    frame
}

fn udp(from: u16, to: u16) -> Vec<u8> {
    udp_with(from, to, b"hello world")
}

fn udp_with(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut datagram = [from, to, length, 0].map(u16::to_be_bytes).concat();
    datagram.extend(payload);
    datagram
}

const GOUDA: [u8; 4] = [10, 9, 0, 1];
const REBLOCHON: [u8; 4] = [10, 9, 0, 2];

fn policy(direction: PolicyDirection, net: &str, priority: u32, fill: impl FnOnce(&mut PolicySpec)) -> Policy {
    let mut spec = PolicySpec::new(direction, Selector::between(Prefix::ANY_V4, net.parse().unwrap()));
    spec.priority = priority;
    fill(&mut spec);
    Policy::from_spec(&spec, priority + 1, NOW)
}

fn protects(spec: &mut PolicySpec) {
    let nowhere = [0, 0, 0, 0].into();
    spec.templates = vec![Template::new(IpsecProtocol::Esp, Mode::Transport, nowhere, nowhere)];
}

fn clear_under(policies: &[Policy], defaults: Option<PolicyDefaults>, direction: Direction, frame: &[u8]) -> Evidence {
    let mut judge = Judge::default();
    judge.policies = Policies::new(policies.iter(), defaults);
    judge.addresses = [IpAddr::from(GOUDA)].into();
    judged(&mut judge, Sight { direction: Some(direction), ..sight(frame) })
}

#[test]
fn clear_frames_are_judged_by_the_policy_that_the_kernel_would_ask() {
    let frame = ipv4(17, GOUDA, REBLOCHON, &udp(40000, 53));
    let check = |policies: &[Policy], verdict, reason: &str| {
        let evidence = clear_under(policies, None, Direction::Out, &frame);
        assert_eq!(evidence.verdict, verdict, "{}", words(&evidence));
        assert!(words(&evidence).contains(reason), "{}", words(&evidence));
    };
    let out = PolicyDirection::Out;
    check(&[], Verdict::Clear, "no policy is about it");
    let all = policy(out, "10.9.0.0/24", 100, protects);
    check(
        std::slice::from_ref(&all),
        Verdict::ClearForbidden,
        "a policy demands protection: out 0.0.0.0/0 10.9.0.0/24",
    );
    let bypass = policy(out, "10.9.0.2/32", 50, |spec| {
        (spec.selector.protocol, spec.selector.destination_port) =
            (UpperProtocol::UDP, espial::model::PortMatch::exactly(53));
    });
    check(
        &[all.clone(), bypass.clone()],
        Verdict::Clear,
        "a policy lets it pass: out 0.0.0.0/0 10.9.0.2/32 udp dport 53",
    );
    let bypass_later = Policy { priority: 200, ..bypass };
    check(&[bypass_later, all.clone()], Verdict::ClearForbidden, "demands");
    let optional = policy(out, "10.9.0.2/32", 10, |spec| {
        protects(spec);
        spec.templates[0].level = Level::Use;
    });
    check(&[optional], Verdict::Clear, "optional");
    let block = policy(out, "10.9.0.2/32", 10, |spec| spec.action = PolicyAction::Block);
    check(&[block], Verdict::ClearForbidden, "blocks it");
    check(&[policy(PolicyDirection::In, "10.9.0.0/24", 1, protects)], Verdict::Clear, "no policy");
    let marked = policy(out, "10.9.0.0/24", 1, |spec| {
        protects(spec);
        spec.mark = Some(espial::model::Mark { value: 5, mask: 0xff });
    });
    check(&[marked], Verdict::Clear, "no policy is about it; a policy for a mark may be about it");
}

/// The verdict and the reasons over the first packet of an SA of the file, under policies.
fn protected_under(policies: &[Policy], direction: Direction, is_wanted: impl Fn(&Sa) -> bool) -> (Verdict, String) {
    let sas = linux_sas();
    let sa = sas.iter().find(|sa| is_wanted(sa)).unwrap();
    let mut judge = judge_with(&sas);
    judge.policies = Policies::new(policies.iter(), None);
    judge.addresses = [if direction == Direction::Out { sa.source } else { sa.destination }].into();
    let of_sa = |frame: &&[u8]| {
        let dissection = dissect(LinkType::Ethernet, frame);
        let mut headers = dissection.ipsec();
        headers.next().is_some_and(|header| header.spi == sa.spi && header.protocol == sa.protocol)
    };
    let frames = wire::frames(LINUX);
    let frame = frames.iter().map(|frame| &**frame).find(of_sa).unwrap();
    let evidence = judged(&mut judge, Sight { direction: Some(direction), ..sight(frame) });
    (evidence.verdict, words(&evidence))
}

#[test]
fn authentic_packets_are_held_against_what_their_policy_demands() {
    let gcm = |sa: &Sa| sa.mode == Mode::Transport && sa.algorithms.aead.is_some() && sa.destination.is_ipv4();
    let out = PolicyDirection::Out;
    let check = |policies: &[Policy], verdict: Verdict, reason: &str| {
        let (found, words) = protected_under(policies, Direction::Out, gcm);
        assert!(found == verdict && words.contains(reason), "{found}: {words}");
    };
    let esp = policy(out, "10.9.0.0/24", 100, protects);
    let both = policy(out, "10.9.0.0/24", 100, |spec| {
        protects(spec);
        spec.templates.push(Template { protocol: IpsecProtocol::Ah, ..spec.templates[0].clone() });
    });
    let tied = policy(out, "10.9.0.0/24", 100, |spec| {
        protects(spec);
        spec.templates[0].reqid = espial::model::ReqId(77);
    });
    check(std::slice::from_ref(&esp), Verdict::EspOk, "encrypted");
    let short = "a policy demands AH in transport mode, which it does not have: out 0.0.0.0/0 10.9.0.0/24";
    check(std::slice::from_ref(&both), Verdict::Weak, short);
    check(std::slice::from_ref(&tied), Verdict::Weak, "ESP in transport mode by an SA of reqid 77");
    // What the packet carries decides which policy is asked.
    let for_udp = policy(out, "10.9.0.0/24", 50, |spec| {
        protects(spec);
        spec.selector.protocol = UpperProtocol::UDP;
    });
    check(&[for_udp.clone(), both.clone()], Verdict::EspOk, "encrypted");
    // Optional is no demand.
    let optional = policy(out, "10.9.0.0/24", 100, |spec| {
        protects(spec);
        let ah = Template { protocol: IpsecProtocol::Ah, level: Level::Use, ..spec.templates[0].clone() };
        spec.templates.push(ah);
    });
    check(&[optional], Verdict::EspOk, "encrypted");
    check(&[], Verdict::EspOk, "encrypted");
}

#[test]
fn what_came_through_a_tunnel_is_held_against_the_policy_over_what_was_inside() {
    let tunnel = |sa: &Sa| sa.mode == Mode::Tunnel && sa.algorithms.aead.is_some() && sa.destination.is_ipv4();
    let both_ways = |fill: fn(&mut PolicySpec)| {
        [PolicyDirection::In, PolicyDirection::Forward].map(|way| policy(way, "0.0.0.0/0", 100, fill))
    };
    let transport = both_ways(protects);
    let (verdict, words) = protected_under(&transport, Direction::In, tunnel);
    assert!(verdict == Verdict::Weak && words.contains("ESP in transport mode, which it does not have"), "{words}");
    let as_it_is = both_ways(|spec| {
        protects(spec);
        spec.templates[0].mode = Mode::Tunnel;
    });
    assert_eq!(protected_under(&as_it_is, Direction::In, tunnel).0, Verdict::EspOk);
}

#[test]
fn what_is_passed_on_is_judged_by_fwd_and_the_default_may_block() {
    let passed_on = ipv4(17, [192, 0, 2, 7], [198, 51, 100, 7], &udp(1, 2));
    let for_us = ipv4(17, REBLOCHON, GOUDA, &udp(1, 2));
    let forward = policy(PolicyDirection::Forward, "0.0.0.0/0", 1, protects);
    let verdict = |frame: &[u8]| clear_under(std::slice::from_ref(&forward), None, Direction::In, frame).verdict;
    assert_eq!((verdict(&passed_on), verdict(&for_us)), (Verdict::ClearForbidden, Verdict::Clear));
    let defaults = PolicyDefaults { input: PolicyAction::Block, ..PolicyDefaults::default() };
    let evidence = clear_under(&[], Some(defaults), Direction::In, &for_us);
    assert_eq!(words(&evidence), "CLEAR !: no policy is about it, and the default is to block");
    assert_eq!(clear_under(&[], Some(defaults), Direction::In, &passed_on).verdict, Verdict::Clear);
}

#[test]
fn key_exchange_other_protocols_and_loopback_are_no_leaks() {
    let policies = [policy(PolicyDirection::Out, "0.0.0.0/0", 1, protects)];
    let verdict = |frame: &[u8]| clear_under(&policies, None, Direction::Out, frame).verdict;
    let ike = key_exchange::message(2, 34, 40, &[0, 0, 0, 8, 1, 2, 3, 4]);
    assert_eq!(verdict(&ipv4(17, GOUDA, REBLOCHON, &udp_with(500, 500, &ike))), Verdict::Ike);
    assert_eq!(verdict(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1]), Verdict::Other);
    let mut judge = Judge::default();
    judge.policies = Policies::new(policies.iter(), None);
    let frame = ipv4(17, GOUDA, GOUDA, &udp(1, 2));
    assert_eq!(judged(&mut judge, Sight { loopback: true, ..sight(&frame) }).verdict, Verdict::Clear);
}

#[test]
fn what_a_tunnel_gives_back_is_a_copy_once_and_a_leak_the_second_time() {
    let sas: Vec<Sa> = linux_sas().into_iter().filter(|sa| sa.mode == Mode::Tunnel).collect();
    let mut judge = judge_with(&sas);
    let tunnels = |spec: &mut PolicySpec| {
        protects(spec);
        spec.templates[0].mode = Mode::Tunnel;
    };
    judge.policies = Policies::new([policy(PolicyDirection::In, "0.0.0.0/0", 1, tunnels)].iter(), None);
    let mut copies = 0;
    for frame in wire::frames(LINUX) {
        let inbound = |bytes| Sight { direction: Some(Direction::In), ..sight(bytes) };
        let evidence = judged(&mut judge, inbound(frame));
        if evidence.verdict != Verdict::EspOk {
            continue;
        }
        let looked = judge.look_into(inbound(frame), &dissect(LinkType::Ethernet, frame), &evidence);
        let inner = looked.insides.first().unwrap();
        if inner.next_header != 4 || inner.dissection.ipsec().count() > 0 {
            continue;
        }
        let again = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &inner.plaintext].concat();
        let copy = judged(&mut judge, inbound(&again));
        assert_eq!(copy.verdict, Verdict::Copy, "{}", words(&copy));
        let leak = judged(&mut judge, inbound(&again));
        assert_eq!(leak.verdict, Verdict::ClearForbidden, "{}", words(&leak));
        copies += 1;
    }
    assert!(copies > 10, "{copies}");
}

const FAR: [u8; 4] = [10, 2, 0, 1];
const OWN: [u8; 4] = [10, 1, 0, 1];

/// A piece of a TCP stream from behind the tunnel.
fn segment(sequence: u32, data: &[u8]) -> Vec<u8> {
    let mut segment =
        [&[0, 80, 15, 160][..], &sequence.to_be_bytes(), &[0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0]].concat();
    segment.extend(data);
    ipv4(6, FAR, OWN, &segment)
}

/// A packet in the tunnel from reblochon.
fn in_tunnel(number: u64, frame: &[u8]) -> Vec<u8> {
    ipv4(50, REBLOCHON, GOUDA, &made::esp(0x1001, number, false, &made::KEY, (4, &frame[14..])))
}

/// A judge who demands protection for everything, and knows the tunnel.
fn behind_a_tunnel() -> Judge {
    let mut judge = judge_with(&[made::sa_with(0x1001, &made::KEY, |spec| spec.mode = Mode::Tunnel)]);
    let tunnels = |spec: &mut PolicySpec| {
        protects(spec);
        spec.templates[0].mode = Mode::Tunnel;
    };
    let demands = [PolicyDirection::In, PolicyDirection::Forward].map(|way| policy(way, "0.0.0.0/0", 1, tunnels));
    judge.policies = Policies::new(demands.iter(), None);
    judge.addresses = [GOUDA, OWN].map(IpAddr::from).into();
    judge
}

fn inbound(judge: &mut Judge, frame: &[u8]) -> Verdict {
    judged(judge, Sight { direction: Some(Direction::In), ..sight(frame) }).verdict
}

#[test]
fn what_receive_offload_joined_behind_a_tunnel_is_a_copy_of_all_that_it_joined() {
    let (one, two) = (segment(1, b"one of two segments."), segment(21, b"and the other one, of another length"));
    let joined = segment(1, b"one of two segments.and the other one, of another length");
    let mut judge = behind_a_tunnel();
    let mut seen = |frame: &[u8]| inbound(&mut judge, frame);
    assert_eq!(seen(&joined), Verdict::ClearForbidden, "nothing came out of the tunnel yet");
    assert_eq!((seen(&in_tunnel(1, &one)), seen(&in_tunnel(2, &two))), (Verdict::EspOk, Verdict::EspOk));
    assert_eq!(seen(&segment(1, b"one of two segments.and the other one, of another lengtX")), Verdict::Unproven);
    assert_eq!(
        seen(&segment(1, b"one of two segments.and the other one, of another length and more")),
        Verdict::Unproven
    );
    // Sent again in clear it has come further by then: here in what it has received, and in its number.
    let sent_again = |frame: &[u8], at: usize| [&frame[..at], &[frame[at] ^ 1], &frame[at + 1..]].concat();
    for at in [14 + 5, 14 + 20 + 11] {
        assert_eq!(seen(&sent_again(&joined, at)), Verdict::Unproven, "byte {at}");
        assert_eq!(seen(&sent_again(&one, at)), Verdict::Unproven, "byte {at}");
    }
    // What the last of them asks for stands in the first.
    assert_eq!(seen(&sent_again(&joined, 14 + 20 + 13)), Verdict::Copy);
    assert_eq!(seen(&joined), Verdict::Unproven, "it is believed once");
    // Where a part was not seen it may be one all the same, and is no leak.
    assert_eq!(seen(&in_tunnel(4, &one)), Verdict::Gap(1));
    assert_eq!(seen(&joined), Verdict::Unproven);
    assert_eq!(seen(&one), Verdict::Copy);
}

#[test]
fn what_a_tunnel_fills_its_packets_with_is_no_part_of_their_copies() {
    let frame = ipv4(17, FAR, OWN, &udp(40_000, 53));
    let mut judge = behind_a_tunnel();
    // RFC 4303 section 2.7: traffic flow confidentiality.
    let padded = [&frame[..], &[0; 200]].concat();
    assert_eq!(inbound(&mut judge, &in_tunnel(1, &padded)), Verdict::EspOk);
    assert_eq!(inbound(&mut judge, &padded), Verdict::Copy);
    assert_eq!(inbound(&mut judge, &in_tunnel(2, &padded)), Verdict::EspOk);
    assert_eq!(inbound(&mut judge, &frame), Verdict::Copy);
}

#[test]
fn fragments_and_cut_frames_prove_nothing_and_are_no_failures() {
    let sas = linux_sas();
    let frame = wire::frames(LINUX)[0];
    // Behind SPI and number, in the midst of them, and before them.
    for length in [60, 38, 34] {
        let cut = judged(&mut judge_with(&sas), Sight { is_cut: true, ..sight(&frame[..length]) });
        assert_eq!(words(&cut), "UNPROVEN: the capture cut the frame: the ICV cannot be checked", "{length}");
    }
    // A part of a packet inside of another, which is not put together.
    let mut inner = frame[14..].to_vec();
    inner[6] = 0x20;
    let fragment = ipv4(4, GOUDA, REBLOCHON, &inner);
    let evidence = judged(&mut judge_with(&sas), sight(&fragment));
    assert_eq!(evidence.verdict, Verdict::Unproven, "{}", words(&evidence));
    assert_eq!(evidence.sas.len(), 1);
    assert!(sas.iter().any(|sa| sa.spi == Spi(0x1000)));
}
