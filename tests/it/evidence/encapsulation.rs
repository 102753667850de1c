//! ESP in UDP on whichever ports an SA names.

use super::*;
use espial::model::extras::Encapsulation;

/// The SA of the file whose packets are in UDP, and the first of them, both moved to these ports.
fn moved(source_port: u16, destination_port: u16) -> (Sa, Vec<u8>) {
    let known = KnownSas::from_ip_xfrm(include_str!("../../data/vectors/linux-all.sas"));
    let mut sa = sa_of(known.iter().find(|known| known.line.contains("espinudp")).unwrap());
    let (kind, original) = (Encapsulation::ESP_IN_UDP, [0; 4].into());
    sa.extras.encapsulation = Some(Encapsulation { kind, source_port, destination_port, original });
    let is_its = |frame: &&[u8]| {
        let dissection = dissect(LinkType::Ethernet, frame);
        dissection.ipsec().next().is_some_and(|header| header.spi == sa.spi)
    };
    let mut frame = wire::frames(LINUX).into_iter().find(is_its).unwrap().to_vec();
    frame[34..36].copy_from_slice(&source_port.to_be_bytes());
    frame[36..38].copy_from_slice(&destination_port.to_be_bytes());
    (sa, frame)
}

fn judged_as_it_is_read(judge: &mut Judge, frame: &[u8]) -> Evidence {
    let dissection = judge.dissect(LinkType::Ethernet, frame);
    judge.judge(sight(frame), &dissection, 1)
}

#[test]
fn an_sa_may_send_its_packets_between_any_ports() {
    let (sa, frame) = moved(5555, 6666);
    let mut judge = judge_with(std::slice::from_ref(&sa));
    judge.policies = Policies::new([policy(PolicyDirection::Out, "0.0.0.0/0", 1, protects)].iter(), None);
    assert_eq!(judge.memory.encapsulations().ports(), [5555]);
    let evidence = judged_as_it_is_read(&mut judge, &frame);
    assert_eq!(evidence.verdict, Verdict::EspOk, "{}", words(&evidence));
    let dissection = judge.dissect(LinkType::Ethernet, &frame);
    let looked = judge.look_into(sight(&frame), &dissection, &evidence);
    assert!(contains(&looked.insides[0].plaintext, b"hello world"));
    // The other way, between other ports, and between other hosts.
    let verdict = |judge: &mut Judge, from, to, payload: &[u8], ports: (u16, u16)| {
        judged_as_it_is_read(judge, &ipv4(17, from, to, &udp_with(ports.0, ports.1, payload))).verdict
    };
    let (esp, keep_alive) = (&frame[42..], &[0xff][..]);
    assert_eq!(verdict(&mut judge, REBLOCHON, GOUDA, esp, (6666, 5555)), Verdict::NoSa);
    assert_eq!(verdict(&mut judge, GOUDA, REBLOCHON, keep_alive, (5555, 6666)), Verdict::Ike);
    assert_eq!(verdict(&mut judge, GOUDA, REBLOCHON, b"hello world", (5555, 6667)), Verdict::ClearForbidden);
    assert_eq!(verdict(&mut judge, GOUDA, [10, 9, 0, 3], esp, (5555, 6666)), Verdict::ClearForbidden);
}

#[test]
fn the_ports_are_forgotten_with_the_sa_and_those_that_are_known_anyway_are_not_counted() {
    let (sa, frame) = moved(5555, 6666);
    let mut judge = judge_with(std::slice::from_ref(&sa));
    judge.memory.forget(&sa.id(), (NOW + 10) * 1_000_000_000);
    assert_eq!(judged_as_it_is_read(&mut judge, &frame).verdict, Verdict::EspOk, "a frame of its time");
    judge.memory.forget_gone_before(u64::MAX);
    assert!(judge.memory.encapsulations().is_empty());
    let (sa, frame) = moved(4500, 6666);
    let mut judge = judge_with(&[sa]);
    assert!(judge.memory.encapsulations().is_empty());
    assert_eq!(judged_as_it_is_read(&mut judge, &frame).verdict, Verdict::EspOk);
}
