//! Packets that come in parts: the frame that completes one has the verdict over it.

use espial::evidence::check::{Answer, Check, Traffic};

use super::made::{IN_UDP, KEY, esp, sa, sa_with};
use super::*;

/// A frame's packet in parts of so many bytes, as a router cuts it.
pub fn cut(frame: &[u8], bytes: usize) -> Vec<Vec<u8>> {
    assert!(bytes.is_multiple_of(8));
    let payload = &frame[34..];
    let count = payload.len().div_ceil(bytes);
    let part = |(at, part): (usize, &[u8])| {
        let mut frame = [&frame[..34], part].concat();
        let length = u16::try_from(20 + part.len()).unwrap().to_be_bytes();
        frame[16..18].copy_from_slice(&length);
        let more = if at + 1 < count { 0x2000 } else { 0 };
        let offset = u16::try_from(at * bytes / 8).unwrap();
        frame[20..22].copy_from_slice(&(more | offset).to_be_bytes());
        frame
    };
    payload.chunks(bytes).enumerate().map(part).collect()
}

fn verdicts(judge: &mut Judge, parts: &[Vec<u8>], direction: Direction) -> Vec<Verdict> {
    let sights = parts.iter().map(|part| Sight { direction: Some(direction), ..sight(part) });
    sights.map(|sight| judged(judge, sight).verdict).collect()
}

fn large() -> Vec<u8> {
    udp_with(40_000, 53, &b"hello world ".repeat(300))
}

fn large_esp() -> Vec<u8> {
    ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &KEY, (17, &large())))
}

fn judge() -> Judge {
    let mut judge = judge_with(&[sa(0x1001, &KEY)]);
    let all = [PolicyDirection::In, PolicyDirection::Out].map(|way| policy(way, "0.0.0.0/0", 1, protects));
    judge.policies = Policies::new(all.iter(), None);
    judge.addresses = [GOUDA.into()].into();
    judge
}

#[test]
fn the_frame_that_completes_a_packet_has_the_verdict_in_whatever_order_they_come() {
    use Verdict::{EspOk, Part};
    let parts = cut(&large_esp(), 1480);
    assert_eq!(parts.len(), 3);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut judge = judge();
        let parts = order.map(|at| parts[at].clone());
        assert_eq!(verdicts(&mut judge, &parts, Direction::In), [Part, Part, EspOk]);
        let sums = judge.totals.all;
        assert_eq!((sums.protected, sums.undecided, sums.forbidden, sums.clear), (1, 0, 0, 0));
    }
}

#[test]
fn what_was_put_together_is_said_and_looked_into() {
    let mut judge = judge();
    let parts = cut(&large_esp(), 1480);
    let first = judged(&mut judge, sight(&parts[0]));
    assert_eq!(words(&first), "PART: a part of a packet, which is judged with the frame that completes it");
    judged(&mut judge, sight(&parts[1]));
    let last = judged(&mut judge, sight(&parts[2]));
    assert!(words(&last).ends_with("put together from 3 parts"), "{}", words(&last));
    assert!(contains(&plaintext(&judge, sight(&parts[2]), &last), &b"hello world ".repeat(300)));
    let dissection = dissect(LinkType::Ethernet, &parts[2]);
    assert_eq!(judge.whole(&dissection, &last).ipsec().next().unwrap().spi, Spi(0x1001));
    let looked = judge.look_into(sight(&parts[2]), &dissection, &last);
    assert_eq!(looked.on_wire(0, &(0..8)), None, "its bytes came in several frames");
    let again = judge.judge_again(sight(&parts[2]), &dissection, 2, &last);
    assert_eq!(again.verdict, Verdict::EspOk);
}

#[test]
fn a_packet_with_a_changed_part_is_as_wrong_as_a_changed_packet() {
    let mut parts = cut(&large_esp(), 1480);
    parts[1][100] ^= 1;
    assert_eq!(verdicts(&mut judge(), &parts, Direction::In)[2], Verdict::BadIcv);
    parts[1][100] ^= 1;
    // Twice the same packet.
    let mut judge = judge();
    verdicts(&mut judge, &parts, Direction::In);
    assert_eq!(verdicts(&mut judge, &parts, Direction::In)[2], Verdict::Replay);
    // A part that overlaps another: receivers drop them all.
    let overlapping = cut(&large_esp(), 1464);
    let mixed = [parts[0].clone(), overlapping[1].clone(), parts[2].clone()];
    assert_eq!(verdicts(&mut judge, &mixed, Direction::In)[1..], [Verdict::Unproven, Verdict::Part]);
}

#[test]
fn parts_of_a_packet_in_clear_are_each_in_clear_by_the_ports_of_the_first() {
    use Verdict::{ClearForbidden, Part};
    let parts = cut(&ipv4(17, REBLOCHON, GOUDA, &large()), 1480);
    let mut judge = judge();
    let for_dns = policy(PolicyDirection::In, "0.0.0.0/0", 1, |spec| {
        protects(spec);
        spec.selector.protocol = UpperProtocol::UDP;
        spec.selector.destination_port = espial::model::PortMatch::exactly(53);
    });
    judge.policies = Policies::new([for_dns].iter(), None);
    assert_eq!(verdicts(&mut judge, &parts, Direction::In), [ClearForbidden; 3]);
    let backwards: Vec<Vec<u8>> = parts.iter().rev().cloned().collect();
    assert_eq!(verdicts(&mut judge, &backwards, Direction::In), [Part, Part, ClearForbidden]);
}

#[test]
fn esp_in_udp_and_key_exchange_in_parts_are_no_leaks() {
    use Verdict::{EspOk, Ike, Part};
    let inner = esp(0x1001, 1, false, &KEY, (17, &large()));
    let parts = cut(&ipv4(17, REBLOCHON, GOUDA, &udp_with(4500, 4500, &inner)), 1480);
    let mut in_udp = judge();
    in_udp.memory.learn(&sa_with(0x1001, &KEY, |spec| spec.extras.encapsulation = Some(IN_UDP)), 0);
    assert_eq!(verdicts(&mut in_udp, &parts, Direction::In), [Part, Part, EspOk]);
    let certificates = [&[35, 0][..], &2004_u16.to_be_bytes(), &[7; 2000]].concat();
    let message = key_exchange::message(2, 35, 46, &certificates);
    let parts = cut(&ipv4(17, REBLOCHON, GOUDA, &udp_with(500, 500, &message)), 1480);
    assert_eq!(verdicts(&mut judge(), &parts, Direction::In), [Ike, Ike]);
}

#[test]
fn a_tunnels_packet_that_came_in_parts_is_expected_to_be_shown_again() {
    let inner = ipv4(17, [10, 2, 0, 1], [10, 1, 0, 1], &large());
    let tunnelled = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &KEY, (4, &inner[14..])));
    let mut judge = judge_with(&[sa_with(0x1001, &KEY, |spec| spec.mode = Mode::Tunnel)]);
    judge.policies = Policies::new(
        [policy(PolicyDirection::In, "0.0.0.0/0", 1, |spec| {
            protects(spec);
            spec.templates[0].mode = Mode::Tunnel;
        })]
        .iter(),
        None,
    );
    assert_eq!(verdicts(&mut judge, &cut(&tunnelled, 1480), Direction::In)[2], Verdict::EspOk);
    assert_eq!(verdicts(&mut judge, &[inner], Direction::In), [Verdict::Copy]);
    // The tunnel may as well carry a part, which is shown again as it was.
    let part = cut(&ipv4(17, [10, 2, 0, 1], [10, 1, 0, 1], &large()), 1480).remove(1);
    let tunnelled = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 2, false, &KEY, (4, &part[14..])));
    assert_eq!(verdicts(&mut judge, &[tunnelled, part], Direction::In), [Verdict::EspOk, Verdict::Copy]);
}

#[test]
fn a_check_over_large_datagrams_is_decided() {
    let answer = |frame: &[u8], text: &str| {
        let mut judge = judge();
        let mut check = Check::new(Traffic::with(REBLOCHON.into()), Some(text));
        for part in cut(frame, 1480) {
            let dissection = dissect(LinkType::Ethernet, &part);
            let sight = Sight { direction: Some(Direction::In), ..sight(&part) };
            let evidence = judge.judge(sight, &dissection, 1);
            check.take(&judge, sight, &dissection, &evidence);
        }
        (check.answer(), check.seen())
    };
    // What null encryption hides can be read, also across the cut between two parts.
    let (found, seen) = answer(&large_esp(), &"hello world ".repeat(200));
    assert_eq!((found, seen), (Answer::InClear, 1));
    let linux = linux_sas();
    let gcm = linux.iter().find(|sa| sa.algorithms.aead.is_some() && sa.destination.is_ipv4()).unwrap();
    let is_its = |frame: &&[u8]| dissect(LinkType::Ethernet, frame).ipsec().next().is_some_and(|h| h.spi == gcm.spi);
    let frame = wire::frames(LINUX).into_iter().find(is_its).unwrap();
    let mut judge = judge_with(&linux);
    let mut check = Check::new(Traffic::with(gcm.destination), Some("hello world"));
    for part in cut(frame, 24) {
        let dissection = dissect(LinkType::Ethernet, &part);
        let evidence = judge.judge(sight(&part), &dissection, 1);
        check.take(&judge, sight(&part), &dissection, &evidence);
    }
    assert_eq!((check.answer(), check.seen()), (Answer::Encrypted, 1));
}

#[test]
fn all_that_linux_made_is_judged_the_same_in_parts() {
    let mut whole = judge_with(&linux_sas());
    let mut parted = judge_with(&linux_sas());
    let mut count = 0;
    for frame in wire::frames(LINUX).into_iter().filter(|frame| frame[12..15] == [8, 0, 0x45]) {
        let expected = judged(&mut whole, sight(frame));
        let parts = cut(frame, 16);
        let (last, before) = parts.split_last().unwrap();
        for part in before {
            judged(&mut parted, sight(part));
        }
        let evidence = judged(&mut parted, sight(last));
        assert_eq!(evidence.verdict, expected.verdict, "{}", words(&evidence));
        assert!(contains(&plaintext(&parted, sight(last), &evidence), b"hello world"));
        count += 1;
    }
    assert!(count > 100, "{count}");
}
