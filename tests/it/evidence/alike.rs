//! Several SAs that packets name alike: what was inside of a frame is what the SA makes of it that its verdict names.

use espial::evidence::Looked;
use espial::model::{AlgorithmName, Mark, Transform};

use super::made::{KEY, OTHER_KEY, esp, sa_with};
use super::*;

const TEXT: [u8; 400] = [b'x'; 400];

/// A tunnel's SA that encrypts and does not authenticate: it makes something of any packet.
fn proves_nothing(mark: u32, key: &[u8; 16]) -> Sa {
    sa_with(0x1001, &KEY, |spec| {
        (spec.mode, spec.algorithms.authentication) = (Mode::Tunnel, None);
        spec.mark = Some(Mark { value: mark, mask: 0xff });
        let (name, key) = (AlgorithmName::from_kernel("cbc(aes)"), Secret::copy_from(key));
        spec.algorithms.encryption = Some(Transform { name, key, icv_bits: 0 });
    })
}

/// A packet that could be of both.
fn packet(key: &[u8]) -> Vec<u8> {
    let of = |length: usize| esp(0x1001, 1, false, key, (17, &udp_with(1, 2, &TEXT[..length])));
    // SPI, number and IV, and a whole number of blocks.
    let esp = (300..316).map(of).find(|esp| (esp.len() - 24).is_multiple_of(16)).unwrap();
    ipv4(50, REBLOCHON, GOUDA, &esp)
}

fn looked_into(judge: &Judge, frame: &[u8], evidence: &Evidence) -> Looked {
    judge.look_into(inbound(frame), &dissect(LinkType::Ethernet, frame), evidence)
}

fn inbound(frame: &[u8]) -> Sight<'_> {
    Sight { direction: Some(Direction::In), ..sight(frame) }
}

fn judge_that_learned(sas: &[Sa]) -> Judge {
    let mut judge = Judge::default();
    for sa in sas {
        judge.memory.learn(sa, NOW * 1_000_000_000);
    }
    judge
}

fn is_shown(looked: &Looked) -> bool {
    looked.insides.first().is_some_and(|inside| contains(&inside.plaintext, &TEXT[..300]))
}

#[test]
fn a_wrong_icv_is_not_looked_behind_with_another_sa() {
    let sas = [proves_nothing(1, b"the first key..."), sa_with(0x1001, &KEY, |_| {})];
    let frame = packet(&OTHER_KEY);
    let mut judge = judge_that_learned(&sas);
    let evidence = judged(&mut judge, inbound(&frame));
    assert_eq!(evidence.verdict, Verdict::BadIcv, "{}", words(&evidence));
    let looked = looked_into(&judge, &frame, &evidence);
    assert!(looked.insides.is_empty() && looked.obstacle.is_some());
    // A key that was given and cannot be wrong says nothing against that.
    let mut judge = judge_that_learned(&sas[1..]);
    judge.memory.give(sas[0].clone());
    let evidence = judged(&mut judge, inbound(&frame));
    assert_eq!(evidence.verdict, Verdict::BadIcv, "{}", words(&evidence));
    assert!(looked_into(&judge, &frame, &evidence).insides.is_empty());
    assert_eq!(format!("{:?}", judge.memory), "SaMemory(1 live, 0 gone, 0 drawn)");
}

/// The packet is authentic, and shown as its own key decrypts it.
fn opens_with_its_own_key(mut judge: Judge) {
    let frame = packet(&KEY);
    let evidence = judged(&mut judge, inbound(&frame));
    assert_eq!(evidence.verdict, Verdict::EspOk, "{}", words(&evidence));
    assert!(is_shown(&looked_into(&judge, &frame, &evidence)));
}

#[test]
fn what_is_authentic_is_shown_as_its_own_sa_decrypts_it() {
    opens_with_its_own_key(judge_that_learned(&[
        sa_with(0x1001, &KEY, |_| {}),
        proves_nothing(1, b"the first key..."),
    ]));
}

#[test]
fn of_keys_that_were_given_the_one_that_is_right_opens() {
    let mut judge = Judge::default();
    judge.memory.give(proves_nothing(1, b"the first key..."));
    judge.memory.give(sa_with(0x1001, &KEY, |_| {}));
    opens_with_its_own_key(judge);
}

#[test]
fn what_the_named_sa_makes_of_a_frame_is_shown_now_and_later() {
    let sas = [proves_nothing(1, b"the first key..."), proves_nothing(2, b"another key.....")];
    let mut judge = judge_that_learned(&sas);
    let frame = packet(&KEY);
    let evidence = judged(&mut judge, inbound(&frame));
    assert_eq!(evidence.verdict, Verdict::Refused, "{}", words(&evidence));
    let now = looked_into(&judge, &frame, &evidence);
    let other = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &KEY, (17, &[0; 21])));
    judged(&mut judge, inbound(&other));
    let later = looked_into(&judge, &frame, &evidence);
    let beginning = |looked: &Looked| looked.insides.first().map(|inside| inside.plaintext[..16].to_vec());
    assert_eq!(beginning(&now), beginning(&later));
}
