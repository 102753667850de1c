//! What is key exchange, and what only uses its ports.

use super::*;
use espial::evidence::check::{Answer, Check, Traffic};

/// A message of a version, with the first payload's kind and all payloads.
pub fn message(version: u8, exchange: u8, first: u8, payloads: &[u8]) -> Vec<u8> {
    let mut message = vec![0x11; 16];
    message.extend([first, version << 4, exchange, 8, 0, 0, 0, 0]);
    message.extend(u32::try_from(28 + payloads.len()).unwrap().to_be_bytes());
    message.extend(payloads);
    message
}

/// A nonce of eight bytes, and nothing behind it.
const NONCE: &[u8] = &[0, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8];

fn verdict(frame: &[u8]) -> Verdict {
    let policies = [policy(PolicyDirection::Out, "0.0.0.0/0", 1, protects)];
    clear_under(&policies, None, Direction::Out, frame).verdict
}

fn over_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    ipv4(17, GOUDA, REBLOCHON, &udp_with(40_000, port, payload))
}

#[test]
fn sound_messages_and_keep_alives_are_key_exchange() {
    let check = |frame: &[u8]| assert_eq!(verdict(frame), Verdict::Ike, "{frame:02x?}");
    let init = message(2, 34, 40, NONCE);
    check(&over_udp(500, &init));
    check(&over_udp(4500, &[&[0; 4], &init[..]].concat()));
    check(&over_udp(4500, &[0xff]));
    // The encrypted payload says what is first inside of it, and that is not read.
    check(&over_udp(500, &message(2, 35, 46, &[35, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8])));
    check(&over_udp(500, &message(1, 2, 10, NONCE)));
    let mut quick = message(1, 32, 8, b"all of it is encrypted");
    quick[19] = 1;
    check(&over_udp(500, &quick));
    // A message that is too long for one packet: its first part.
    let mut long = over_udp(500, &message(2, 35, 46, &[35, 0, 0, 104, 1, 2, 3, 4]));
    long[20] = 0x20;
    long[38..40].copy_from_slice(&140_u16.to_be_bytes());
    long[66..70].copy_from_slice(&132_u32.to_be_bytes());
    check(&long);
}

#[test]
fn what_only_uses_the_ports_of_key_exchange_is_in_clear() {
    let check = |frame: &[u8]| assert_eq!(verdict(frame), Verdict::ClearForbidden, "{frame:02x?}");
    let text = b"hello world, this is no key exchange at all";
    check(&over_udp(500, text));
    check(&over_udp(4500, &[&[0; 4], &text[..]].concat()));
    check(&over_udp(4500, &[0; 4]));
    check(&over_udp(500, &[0xff]));
    for (version, exchange, kind) in [(3, 34, 40), (0, 34, 40), (2, 2, 40), (2, 99, 40), (1, 34, 10), (1, 9, 10)] {
        check(&over_udp(500, &message(version, exchange, kind, NONCE)));
    }
    let init = message(2, 34, 40, NONCE);
    // It claims less than there is, and more.
    check(&over_udp(500, &[&init[..], text].concat()));
    check(&over_udp(500, &init[..init.len() - 1]));
    // Its chain is broken, or ends before what it carries does.
    check(&over_udp(500, &message(2, 34, 40, &[0, 0, 0, 3, 1])));
    check(&over_udp(500, &message(2, 34, 40, &[&[0, 0, 0, 200], &text[..]].concat())));
    check(&over_udp(500, &message(2, 34, 0, text)));
    check(&over_udp(500, &message(2, 34, 40, &[NONCE, text].concat())));
}

#[test]
fn a_text_inside_of_key_exchange_is_in_clear() {
    let hidden = [&[35, 0, 0, 15], &b"hello world"[..]].concat();
    let frame = over_udp(500, &message(2, 35, 46, &hidden));
    let answer = |text: Option<&str>| {
        let mut judge = Judge::default();
        let evidence = judged(&mut judge, sight(&frame));
        assert_eq!(evidence.verdict, Verdict::Ike);
        let mut check = Check::new(Traffic::with(REBLOCHON.into()), text);
        check.take(&judge, sight(&frame), &dissect(LinkType::Ethernet, &frame), &evidence);
        (check.answer(), check.sentence(|at_ns| at_ns.to_string()).0)
    };
    let (found, sentence) = answer(Some("hello world"));
    assert_eq!(found, Answer::InClear);
    assert!(sentence.contains("1 frame with 10.9.0.2 can be read; \"hello world\" was on the wire in 1 frame; the first: 1000000000000 10.9.0.1 > "), "{sentence}");
    assert_eq!(answer(Some("another text")).0, Answer::Undecided);
    assert_eq!(answer(None).0, Answer::Undecided);
}
