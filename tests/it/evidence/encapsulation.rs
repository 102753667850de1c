//! ESP in UDP on whichever ports an SA names.

use super::made::{KEY, OTHER_KEY, esp, sa_with};
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

fn inbound(judge: &mut Judge, frame: &[u8]) -> Verdict {
    judged(judge, Sight { direction: Some(Direction::In), ..sight(frame) }).verdict
}

fn with_tunnels(sas: &[Sa]) -> Judge {
    let mut judge = judge_with(sas);
    let tunnels = |spec: &mut PolicySpec| {
        protects(spec);
        spec.templates[0].mode = Mode::Tunnel;
    };
    judge.policies = Policies::new([policy(PolicyDirection::In, "0.0.0.0/0", 1, tunnels)].iter(), None);
    judge
}

#[test]
fn of_tunnels_in_each_other_what_is_shown_between_them_is_a_copy() {
    use Verdict::{BadIcv, ClearForbidden, Copy, EspOk};
    let plain = ipv4(17, [10, 2, 0, 1], [10, 1, 0, 1], &udp(40_000, 53));
    let wrap = |spi, key: &[u8], frame: &[u8]| ipv4(50, REBLOCHON, GOUDA, &esp(spi, 1, false, key, (4, &frame[14..])));
    let tunnel = |spi| sa_with(spi, &KEY, |spec| spec.mode = Mode::Tunnel);
    let inner = wrap(0x1002, &KEY, &plain);
    let mut judge = with_tunnels(&[tunnel(0x1001), tunnel(0x1002)]);
    let shown = [wrap(0x1001, &KEY, &inner), inner, plain.clone(), plain];
    assert_eq!(shown.map(|frame| inbound(&mut judge, &frame)), [EspOk, Copy, Copy, ClearForbidden]);
    let sums = judge.totals.all;
    assert_eq!((sums.protected, sums.undecided, sums.forbidden), (1, 0, 1));
    // What speaks against it is said.
    let changed = wrap(0x1002, &OTHER_KEY, &ipv4(17, [10, 2, 0, 1], [10, 1, 0, 1], &udp(40_000, 53)));
    let mut judge = with_tunnels(&[tunnel(0x1001), tunnel(0x1002)]);
    let shown = [wrap(0x1001, &KEY, &changed), changed];
    assert_eq!(shown.map(|frame| inbound(&mut judge, &frame)), [EspOk, BadIcv]);
}

#[test]
fn what_one_frame_proved_of_two_tunnels_is_no_replay_when_it_is_shown_between_them() {
    use Verdict::{Clear, Copy, EspAhOk};
    let mut judge = judge_with(&linux_sas());
    let mut count = 0;
    for frame in wire::frames(LINUX) {
        let dissection = dissect(LinkType::Ethernet, frame);
        let ends = dissection.layers().iter().filter(|layer| layer.header.ip_addresses().is_some());
        let Some(second) = ends.map(|layer| layer.range().start).nth(1) else { continue };
        let evidence = judged(&mut judge, Sight { direction: Some(Direction::In), ..sight(frame) });
        if evidence.verdict != EspAhOk {
            continue;
        }
        let between = [&frame[..14], &frame[second..]].concat();
        assert_eq!(inbound(&mut judge, &between), Copy);
        let looked = judge.look_into(sight(frame), &dissection, &evidence);
        let plain = [&frame[..14], &looked.insides.last().unwrap().plaintext].concat();
        assert_eq!([inbound(&mut judge, &plain), inbound(&mut judge, &plain)], [Copy, Clear]);
        count += 1;
    }
    assert_eq!(count, 2);
}

#[test]
fn what_was_compressed_in_a_tunnel_is_shown_again_as_it_was() {
    use Verdict::{Clear, Copy};
    let mut judge = judge_with(&linux_sas());
    let mut count = 0;
    for frame in wire::frames(LINUX) {
        let evidence = judged(&mut judge, Sight { direction: Some(Direction::In), ..sight(frame) });
        let looked = judge.look_into(sight(frame), &dissect(LinkType::Ethernet, frame), &evidence);
        let Some(inside) = looked.insides.last().filter(|inside| matches!(inside.next_header, 4 | 41)) else {
            continue;
        };
        if evidence.verdict != Clear {
            continue;
        }
        let plain = [&frame[..14], &inside.plaintext].concat();
        assert_eq!([inbound(&mut judge, &plain), inbound(&mut judge, &plain)], [Copy, Clear]);
        count += 1;
    }
    assert_eq!(count, 2);
}
