//! Keys given by hand: which row is a packet's, beside what the kernel says.

use super::made::{KEY, OTHER_KEY, esp, frame, sa, sa_with};
use super::*;
use espial::evidence::check::{Check, Traffic};

fn verdict(judge: &mut Judge, frame: &[u8]) -> Verdict {
    judged(judge, sight(frame)).verdict
}

/// A judge with these keys for all packets.
fn with_keys(keys: &[&[u8]]) -> Judge {
    let mut judge = Judge::default();
    for key in keys {
        judge.memory.give_for(sa(0, key), None, |_| true);
    }
    judge
}

fn hidden(spi: u32) -> Sa {
    sa_with(spi, &[0; 20], |spec| spec.reqid = espial::model::ReqId(7))
}

#[test]
fn what_becomes_of_the_kernels_sas_does_not_change_the_keys_that_were_given() {
    let mut judge = judge_with(&[sa(0x1001, &KEY)]);
    judge.memory.give(sa(0x1001, &KEY));
    assert_eq!(verdict(&mut judge, &frame(0x1001, 1, &KEY)), Verdict::EspOk);
    judge.memory.flush(IpsecProtocol::Esp, NOW);
    assert_eq!(verdict(&mut judge, &frame(0x1001, 2, &KEY)), Verdict::EspOk);
    judge.memory.replace(std::iter::empty(), NOW);
    assert_eq!(verdict(&mut judge, &frame(0x1001, 3, &KEY)), Verdict::EspOk);
    assert_eq!(verdict(&mut judge, &frame(0x1002, 1, &KEY)), Verdict::NoSa, "it was given for one SPI");
}

#[test]
fn rows_for_one_sa_are_tried_in_turn() {
    for keys in [[&KEY[..], &OTHER_KEY], [&OTHER_KEY[..], &KEY]] {
        let mut judge = with_keys(&keys);
        assert_eq!(verdict(&mut judge, &frame(0x1001, 1, &KEY)), Verdict::EspOk);
        // A new key under the old number.
        assert_eq!(verdict(&mut judge, &frame(0x1001, 2, &OTHER_KEY)), Verdict::EspOk);
        assert_eq!(verdict(&mut judge, &frame(0x1001, 3, b"neither of the two..")), Verdict::BadIcv);
    }
    let mut judge = Judge::default();
    judge.memory.give(sa(0x1001, &OTHER_KEY));
    judge.memory.give(sa(0x1001, &KEY));
    assert_eq!(verdict(&mut judge, &frame(0x1001, 1, &KEY)), Verdict::EspOk);
}

#[test]
fn of_keys_that_prove_nothing_only_the_first_opens() {
    let unproven = |key: &[u8; 16]| {
        sa_with(0, &KEY, |spec| {
            (spec.mode, spec.algorithms.authentication) = (Mode::Tunnel, None);
            let name = espial::model::AlgorithmName::from_kernel("cbc(aes)");
            let key = Secret::copy_from(key);
            spec.algorithms.encryption = Some(espial::model::Transform { name, key, icv_bits: 0 });
        })
    };
    // Long enough for whatever the last byte but one says of a padding.
    let payload: Vec<u8> = (0..8 + 16 + 320_u32).map(|n| n.to_le_bytes()[0]).collect();
    let frame = ipv4(50, REBLOCHON, GOUDA, &payload);
    let sight = Sight { direction: Some(Direction::In), ..sight(&frame) };
    let opened = |keys: &[&[u8; 16]]| {
        let mut judge = Judge::default();
        for key in keys {
            judge.memory.give_for(unproven(key), None, |_| true);
        }
        let evidence = judged(&mut judge, sight);
        // A tunnel's, and with either key no packet.
        assert_eq!(evidence.verdict, Verdict::Refused, "{}", words(&evidence));
        plaintext(&judge, sight, &evidence)
    };
    assert_eq!(opened(&[b"the first key...", b"another key....."]), opened(&[b"the first key..."]));
}

#[test]
fn a_row_opens_what_the_kernel_hides_and_the_rest_is_as_the_kernel_says() {
    let mut judge = judge_with(&[hidden(0x1001)]);
    let first = frame(0x1001, 1, &KEY);
    assert_eq!(verdict(&mut judge, &first), Verdict::NoKey);
    judge.memory.give_for(sa(0, &OTHER_KEY), None, |_| true);
    assert_eq!(verdict(&mut judge, &first), Verdict::NoKey, "the row may be another SA's");
    judge.memory.give_for(sa(0, &KEY), None, |_| true);
    let evidence = judged(&mut judge, sight(&first));
    assert_eq!(evidence.verdict, Verdict::EspOk, "{}", words(&evidence));
    assert!(contains(&plaintext(&judge, sight(&first), &evidence), b"hello world"));
    assert_eq!(judge.memory.get(evidence.sas[0].unwrap()).unwrap().reqid.0, 7);
}

#[test]
fn a_row_that_does_not_say_may_be_for_extended_sequence_numbers() {
    let of = |number, is_extended| {
        ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, number, is_extended, &KEY, (17, &udp(40_000, 53))))
    };
    let mut judge = with_keys(&[&KEY]);
    assert_eq!(verdict(&mut judge, &of(0xffff_ffff, true)), Verdict::EspOk);
    assert_eq!(verdict(&mut judge, &of(0x1_0000_0000, true)), Verdict::EspOk, "it goes on from there");
    // A row that says the upper half means that of the first packet.
    for low in [5, 0xffff_fff0] {
        let mut judge = Judge::default();
        let row = sa_with(0, &KEY, |spec| (spec.flags, spec.sent) = (SaFlags(SaFlags::ESN), 7 << 32));
        judge.memory.give_for(row, None, |_| true);
        assert_eq!(verdict(&mut judge, &of((7 << 32) + low, true)), Verdict::EspOk);
        assert_eq!(verdict(&mut judge, &of(low, false)), Verdict::BadIcv);
    }
}

#[test]
fn what_wildcards_make_is_bounded_and_forged_packets_make_nothing() {
    let mut judge = with_keys(&[&KEY]);
    for spi in 1..=6000 {
        assert_eq!(verdict(&mut judge, &frame(spi, 1, &OTHER_KEY)), Verdict::BadIcv);
    }
    assert_eq!(format!("{:?}", judge.memory), "SaMemory(0 live, 0 gone, 0 drawn)");
    // The first stays in use, and so it stays.
    for spi in 1..=6000 {
        assert_eq!(verdict(&mut judge, &frame(spi, 1, &KEY)), Verdict::EspOk);
        let again = verdict(&mut judge, &frame(1, u64::from(spi) + 1, &KEY));
        assert_eq!(again, Verdict::EspOk, "{spi}");
    }
    assert_eq!(format!("{:?}", judge.memory), "SaMemory(0 live, 0 gone, 4096 drawn)");
    assert_eq!(verdict(&mut judge, &frame(1, 1, &KEY)), Verdict::Old);
    assert_eq!(verdict(&mut judge, &frame(2, 1, &KEY)), Verdict::EspOk, "forgotten and made anew");
}

#[test]
fn where_the_kernels_sas_may_not_be_read_that_is_the_reason() {
    let mut judge = Judge::default();
    judge.memory.set_unreadable();
    let first = frame(0x1001, 1, &KEY);
    let evidence = judged(&mut judge, sight(&first));
    assert_eq!(words(&evidence), "NO KEY: ESP 0x00001001: espial may not read the kernel's SAs");
    let mut check = Check::new(Traffic::with(GOUDA.into()), None);
    check.take(&judge, sight(&first), &dissect(LinkType::Ethernet, &first), &evidence);
    let (sentence, next) = check.sentence(|at_ns| at_ns.to_string());
    assert!(sentence.starts_with("UNDECIDED: ") && sentence.contains("may not read the kernel's SAs"), "{sentence}");
    assert_eq!(next, Some("run it as root, or with CAP_NET_ADMIN: only so can the kernel's keys be read"));
    judge.memory.replace(std::iter::empty(), NOW);
    assert_eq!(verdict(&mut judge, &first), Verdict::NoSa);
}

#[test]
fn where_the_kernels_sas_may_not_be_read_what_comes_behind_esp_may_have_been_in_it() {
    let mut judge = Judge::default();
    judge.memory.set_unreadable();
    let plain = ipv4(17, [10, 2, 0, 7], [10, 1, 0, 7], &udp(40_000, 53));
    assert_eq!(inbound(&mut judge, &plain), Verdict::Clear);
    assert_eq!(inbound(&mut judge, &frame(0x1001, 1, &KEY)), Verdict::NoKey);
    assert_eq!(verdict(&mut judge, &plain), Verdict::Clear, "what leaves was in no tunnel");
    let arrived = Sight { direction: Some(Direction::In), ..sight(&plain) };
    let evidence = judged(&mut judge, arrived);
    assert!(words(&evidence).starts_with("UNPROVEN: perhaps out of a tunnel"), "{}", words(&evidence));
    let mut check = Check::new(Traffic::with([10, 2, 0, 7].into()), Some("hello world"));
    check.take(&judge, arrived, &dissect(LinkType::Ethernet, &plain), &evidence);
    assert!(check.sentence(|at_ns| at_ns.to_string()).0.starts_with("UNDECIDED: "));
    assert_eq!(inbound(&mut judge, &plain), Verdict::Clear, "one packet of ESP has one packet inside");
}

#[test]
fn what_came_out_of_a_tunnel_is_a_copy_also_where_a_file_does_not_know_the_mode() {
    let mut judge = Judge::default();
    judge.memory.give_for(sa_with(0, &KEY, |_| {}), Some(Spi(0x1001)), |_| true);
    judge.addresses = [GOUDA.into()].into();
    let plain = ipv4(17, [10, 2, 0, 1], [10, 1, 0, 1], &udp(40_000, 53));
    let frame = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &KEY, (4, &plain[14..])));
    for (number, expected) in [(1, Verdict::EspOk), (2, Verdict::Copy), (2, Verdict::Clear)] {
        let frame = if number == 1 { &frame } else { &plain };
        let evidence = judged(&mut judge, Sight { direction: Some(Direction::In), ..sight(frame) });
        assert_eq!(evidence.verdict, expected, "{}", words(&evidence));
    }
    // Whoever has only copies has no row among the peers.
    let peers: Vec<IpAddr> = judge.totals.peers().into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(peers.len(), 2, "{peers:?}");
    let mut judge = Judge::default();
    judge.memory.give_for(sa_with(0, &KEY, |_| {}), Some(Spi(0x1001)), |_| true);
    for frame in [&frame, &plain] {
        judged(&mut judge, Sight { direction: Some(Direction::In), ..sight(frame) });
    }
    let peers: Vec<IpAddr> = judge.totals.peers().into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(peers, [IpAddr::from(REBLOCHON)]);
}
