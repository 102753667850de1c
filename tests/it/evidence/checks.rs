//! Checks: whose traffic counts, and what becomes of packets that are never whole.

use espial::evidence::check::{Answer, Check, Proof, Traffic};
use espial::model::{IfId, TunnelInterface};

use super::made::{KEY, OTHER_KEY, esp, sa_with};
use super::parts::cut;
use super::*;

const OWN: [u8; 4] = [10, 1, 0, 7];
const FAR: [u8; 4] = [10, 2, 0, 7];

/// A check, with what it judges by.
struct Watch {
    judge: Judge,
    check: Check,
}

impl Watch {
    fn over(traffic: Traffic, text: Option<&str>) -> Self {
        let mut judge = judge_with(&[sa_with(0x1001, &KEY, |spec| spec.mode = Mode::Tunnel)]);
        judge.policies = Policies::new([].iter(), None);
        judge.addresses = [IpAddr::from(GOUDA)].into();
        Self { judge, check: Check::new(traffic, text) }
    }

    fn see(&mut self, direction: Direction, frame: &[u8]) -> Option<Proof> {
        self.see_at(NOW * 1_000_000_000, direction, frame)
    }

    fn see_at(&mut self, at_ns: u64, direction: Direction, frame: &[u8]) -> Option<Proof> {
        let sight = Sight { at_ns, direction: Some(direction), ..sight(frame) };
        let dissection = dissect(LinkType::Ethernet, frame);
        let evidence = self.judge.judge(sight, &dissection, 1);
        self.check.take(&self.judge, sight, &dissection, &evidence)
    }

    fn sentence(&self) -> String {
        self.check.sentence(|at_ns| (at_ns / 1_000_000_000).to_string()).0
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn networks() -> Traffic {
    Traffic { far: prefix("10.2.0.0/24"), own: Some(prefix("10.1.0.0/24")) }
}

fn plain(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    ipv4(17, from, to, &udp(40_000, 53))
}

/// In the tunnel from reblochon, whose null encryption is not to be mistaken for protection.
fn tunnelled(number: u64, frame: &[u8]) -> Vec<u8> {
    ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, number, false, &KEY, (4, &frame[14..])))
}

/// A tunnel that encrypts, of those that Linux made.
fn encrypted(text: &str) -> (Watch, Vec<u8>) {
    let sas = linux_sas();
    let is_its = |sa: &&Sa| sa.mode == Mode::Tunnel && sa.algorithms.aead.is_some() && sa.destination.is_ipv4();
    let sa = sas.iter().find(is_its).unwrap();
    let first = |frame: &&[u8]| dissect(LinkType::Ethernet, frame).ipsec().next().is_some_and(|h| h.spi == sa.spi);
    let frame = wire::frames(LINUX).into_iter().find(first).unwrap().to_vec();
    let traffic = Traffic { far: prefix("10.9.0.2/32"), own: Some(prefix("10.9.0.0/24")) };
    let mut watch = Watch::over(traffic, Some(text));
    watch.judge = judge_with(&sas);
    (watch, frame)
}

#[test]
fn between_networks_only_what_is_on_the_wire_between_the_gateways_counts() {
    use Direction::{In, Out};
    let mut watch = Watch::over(networks(), None);
    // The gateways' own business, other networks, and the inner side.
    for (direction, frame) in [
        (Out, plain(GOUDA, REBLOCHON)),
        (In, plain(REBLOCHON, GOUDA)),
        (Out, plain([10, 1, 0, 7], [10, 3, 0, 7])),
        (Out, plain([10, 4, 0, 7], FAR)),
        (In, plain(OWN, FAR)),
        (Out, plain(FAR, OWN)),
    ] {
        assert_eq!(watch.see(direction, &frame), None);
    }
    assert_eq!((watch.check.answer(), watch.check.seen()), (Answer::Undecided, 0));
    let (sentence, next) = watch.check.sentence(|at_ns| at_ns.to_string());
    assert!(
        sentence.contains("nothing was seen of the traffic between 10.1.0.0/24 and 10.2.0.0/24 but 2 on"),
        "{sentence}"
    );
    assert!(next.unwrap().contains("-i"), "{next:?}");
    for (direction, frame) in [(Out, plain(OWN, FAR)), (In, plain(FAR, OWN))] {
        let mut watch = Watch::over(networks(), None);
        assert_eq!(watch.see(direction, &frame), Some(Proof::Readable));
        let sentence = watch.sentence();
        let begin = "IN CLEAR: 1 frame between 10.1.0.0/24 and 10.2.0.0/24 can be read; the first: ";
        assert!(sentence.starts_with(begin), "{sentence}");
    }
}

#[test]
fn between_networks_that_overlap_nothing_is_on_an_inner_side() {
    let traffic = Traffic { far: prefix("10.0.0.0/8"), own: Some(prefix("10.1.0.0/24")) };
    for direction in [Direction::In, Direction::Out] {
        for (from, to) in [(OWN, [10, 1, 0, 8]), ([10, 1, 0, 8], OWN)] {
            assert_eq!(Watch::over(traffic, None).see(direction, &plain(from, to)), Some(Proof::Readable));
        }
    }
}

#[test]
fn esp_between_the_gateways_counts_by_what_is_inside() {
    use Direction::In;
    let mut watch = Watch::over(networks(), None);
    assert_eq!(watch.see(In, &tunnelled(1, &plain([10, 3, 0, 7], OWN))), None);
    // It is authentic, and everybody can read it.
    let inner = plain(FAR, OWN);
    assert_eq!(watch.see(In, &tunnelled(2, &inner)), Some(Proof::Readable));
    assert_eq!(watch.see(In, &inner), None, "a copy");
    assert_eq!(watch.check.answer(), Answer::InClear);
    // What cannot be opened may be anybody's.
    let mut watch = Watch::over(networks(), None);
    let other = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 3, false, &OTHER_KEY, (4, &inner[14..])));
    assert_eq!(watch.see(In, &other), None);
    let sentence = watch.sentence();
    assert!(
        sentence.starts_with("UNDECIDED: ") && sentence.contains("1 protected frames that cannot be"),
        "{sentence}"
    );
    let (mut watch, frame) = encrypted("hello world");
    assert_eq!(watch.see(Direction::Out, &frame), Some(Proof::TextInside));
    let sentence = watch.sentence();
    assert!(sentence.starts_with("ENCRYPTED: 1 frame between 10.9.0.0/24 and 10.9.0.2 encrypted"), "{sentence}");
    // What else there is that cannot be opened is said.
    let other = ipv4(17, FAR, OWN, &udp_with(40_000, 53, b"other words"));
    let other = ipv4(50, [10, 8, 0, 1], [10, 8, 0, 2], &esp(0x7777, 1, false, &KEY, (4, &other[14..])));
    watch.see(In, &other);
    let sentence = watch.sentence();
    assert!(sentence.starts_with("ENCRYPTED: ") && sentence.contains("; of 1 frame that cannot be"), "{sentence}");
}

#[test]
fn where_all_went_one_way_that_is_said() {
    for (direction, words) in [
        (Direction::Out, "none in clear; all of them were sent, none arrived"),
        (Direction::In, "none in clear; all of them arrived, none was sent"),
    ] {
        let (mut watch, frame) = encrypted("");
        watch.check = Check::new(Traffic::with(REBLOCHON.into()), None);
        watch.see(direction, &frame);
        let sentence = watch.sentence();
        assert!(sentence.starts_with("ENCRYPTED: 1 frame") && sentence.ends_with(words), "{sentence}");
    }
}

#[test]
fn where_encrypted_frames_come_on_the_inner_side_too_what_is_in_clear_there_is_not_passed_over() {
    let (mut watch, frame) = encrypted("");
    // Asked about the networks the wrong way round.
    watch.check = Check::new(Traffic { far: prefix("10.9.0.1/32"), own: Some(prefix("10.9.0.2/32")) }, None);
    watch.judge.addresses = [IpAddr::from([10, 9, 0, 254])].into();
    assert_eq!(watch.see(Direction::Out, &frame), Some(Proof::Opened));
    assert_eq!(watch.check.answer(), Answer::Encrypted);
    assert_eq!(watch.see(Direction::Out, &plain(GOUDA, REBLOCHON)), None);
    assert_eq!(watch.check.answer(), Answer::Undecided);
    let (sentence, next) = watch.check.sentence(|at_ns| at_ns.to_string());
    assert!(
        sentence.contains("1 frame between 10.9.0.2 and 10.9.0.1 encrypted, but 1 frame in clear on"),
        "{sentence}"
    );
    assert!(next.unwrap().contains("name what is behind that one"), "{next:?}");
    // What this host itself says is on no inner side.
    watch.judge.addresses = [IpAddr::from(GOUDA)].into();
    assert_eq!(watch.see(Direction::Out, &plain(GOUDA, REBLOCHON)), Some(Proof::Readable));
    assert_eq!(watch.check.answer(), Answer::Mixed);
}

#[test]
fn of_a_host_behind_a_tunnel_the_inner_side_does_not_count_either() {
    let (mut watch, frame) = encrypted("");
    watch.check = Check::new(Traffic::with(REBLOCHON.into()), None);
    watch.judge.addresses = [IpAddr::from([10, 9, 0, 254])].into();
    assert_eq!(watch.see(Direction::In, &plain(OWN, REBLOCHON)), None, "on its way into the tunnel");
    let (sentence, next) = watch.check.sentence(|at_ns| at_ns.to_string());
    assert_eq!(sentence, "UNDECIDED: nothing was seen of 10.9.0.2 but 1 on the gateway's inner side");
    assert!(next.unwrap().contains("-i"), "{next:?}");
    assert_eq!(watch.see(Direction::Out, &frame), Some(Proof::Opened));
    assert_eq!(watch.see(Direction::Out, &plain(REBLOCHON, OWN)), None, "out of the tunnel");
    assert_eq!(watch.check.answer(), Answer::Encrypted);
    // What leaves in clear does count, and what this host is sent or says.
    for (direction, frame) in [
        (Direction::Out, plain(OWN, REBLOCHON)),
        (Direction::In, plain(REBLOCHON, OWN)),
        (Direction::Out, plain([10, 9, 0, 254], REBLOCHON)),
        (Direction::In, plain(REBLOCHON, [10, 9, 0, 254])),
    ] {
        assert_eq!(watch.see(direction, &frame), Some(Proof::Readable));
    }
    assert_eq!(watch.check.answer(), Answer::Mixed);
    // Asked about this host itself nothing is on an inner side.
    let mut watch = Watch::over(Traffic::with(GOUDA.into()), None);
    for (direction, frame) in [(Direction::Out, plain(GOUDA, FAR)), (Direction::In, plain(FAR, GOUDA))] {
        assert_eq!(watch.see(direction, &frame), Some(Proof::Readable));
    }
    // Nor where nobody knows which addresses are this host's.
    let mut watch = Watch::over(Traffic::with(FAR.into()), None);
    watch.judge.addresses.clear();
    assert_eq!(watch.see(Direction::In, &plain(OWN, FAR)), Some(Proof::Readable));
}

#[test]
fn a_text_that_can_be_read_is_on_the_wire_whatever_the_frame_is() {
    let said = |watch: &Watch, begin: &str| {
        let sentence = watch.sentence();
        assert!(sentence.starts_with(begin), "{sentence}");
    };
    // ESP that hides nothing, of an SA that is not known here: nobody knows whose it is, but there it is.
    let hidden = ipv4(50, [10, 8, 0, 1], [10, 8, 0, 2], &esp(0x7777, 1, false, &KEY, (4, &plain(FAR, OWN)[14..])));
    let (mut watch, frame) = encrypted("hello world");
    watch.see(Direction::Out, &frame);
    assert_eq!(watch.see(Direction::In, &hidden), Some(Proof::TextOnWire));
    said(
        &watch,
        "MIXED: 1 frame between 10.9.0.0/24 and 10.9.0.2 can be read, 1 frame cannot; \"hello world\" was on the wire in 1 frame; the first: ",
    );
    // The same on a link that is not taken apart, as PPP over Ethernet.
    let in_pppoe =
        [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0x64][..], b"\x11\0\0\x01\0\x20\0\x21hello world"].concat();
    let (mut watch, frame) = encrypted("hello world");
    watch.see(Direction::Out, &frame);
    assert_eq!(watch.see(Direction::Out, &in_pppoe), Some(Proof::TextOnWire));
    said(&watch, "MIXED: ");
    // What names the peer, hides nothing and proves nothing can be read as well, and is counted so.
    let mut watch = Watch::over(Traffic::with(REBLOCHON.into()), Some("hello world"));
    let other = ipv4(50, REBLOCHON, GOUDA, &esp(0x7777, 1, false, &KEY, (17, &udp(40_000, 53))));
    assert_eq!(watch.see(Direction::In, &other), Some(Proof::TextOnWire));
    said(
        &watch,
        "IN CLEAR: 1 frame with 10.9.0.2 can be read; \"hello world\" was on the wire in 1 frame; the first: ",
    );
    // What comes before it, and is in clear without it, is not the first that shows it.
    let mut watch = Watch::over(Traffic::with(FAR.into()), Some("hello world"));
    let silent = ipv4(17, OWN, FAR, &udp_with(1, 2, b"something else"));
    assert_eq!(watch.see(Direction::Out, &silent), Some(Proof::Readable));
    said(&watch, "IN CLEAR: 1 frame with 10.2.0.7 can be read; \"hello world\" was in none of them; the first: ");
    watch.see(Direction::Out, &plain(OWN, FAR));
    said(
        &watch,
        "IN CLEAR: 2 frames with 10.2.0.7 can be read; \"hello world\" was on the wire in 1 frame; the first: ",
    );
    let sentence = watch.sentence();
    assert!(!sentence.contains("UDP 1 > 2"), "{sentence}");
}

#[test]
fn a_short_text_that_ciphertext_has_by_chance_is_not_on_the_wire_and_beside_it_it_is() {
    // A byte of the payload data, behind addresses, SPI and number.
    let (mut watch, frame) = encrypted("");
    let byte =
        frame[50..70].iter().find(|byte| byte.is_ascii() && frame[..42].iter().all(|other| other != *byte)).unwrap();
    let text = char::from(*byte).to_string();
    watch.check = Check::new(Traffic::with(REBLOCHON.into()), Some(&text));
    assert!(watch.see(Direction::Out, &frame) < Some(Proof::Readable));
    // What fills an Ethernet frame is on the wire as it is.
    let (mut watch, frame) = encrypted("hello world");
    let filled = [&frame[..], b"hello world"].concat();
    assert_eq!(watch.see(Direction::Out, &filled), Some(Proof::TextOnWire));
}

#[test]
fn a_text_in_what_may_be_a_copy_is_not_known_to_have_been_on_the_wire() {
    let mut watch = Watch::over(Traffic::with([10, 2, 0, 1].into()), Some("hello world"));
    watch.judge = behind_a_tunnel();
    // One of two segments was not seen that receive offload joined.
    inbound(&mut watch.judge, &in_tunnel(1, &segment(1, b"hello ")));
    assert_eq!(watch.see(Direction::In, &segment(1, b"hello world")), Some(Proof::Undecided));
    assert_eq!(watch.check.answer(), Answer::Undecided, "{}", watch.sentence());
}

#[test]
fn what_comes_out_of_a_tunnel_just_when_the_watch_begins_is_no_leak() {
    const START: u64 = NOW * 1_000_000_000;
    let far = [10, 2, 0, 1];
    let mut watch = Watch::over(Traffic::with(far.into()), None);
    watch.judge = behind_a_tunnel();
    watch.judge.begin_watching(START);
    watch.check = watch.check.since(START);
    let plain = plain(far, [10, 1, 0, 1]);
    assert_eq!(watch.see_at(START + 1_000_000, Direction::In, &plain), None);
    assert_eq!(watch.check.answer(), Answer::Undecided);
    // Later its packet would have been seen.
    assert_eq!(watch.see_at(START + 10_000_000, Direction::In, &plain), Some(Proof::Readable));
    assert_eq!(watch.check.answer(), Answer::InClear, "{}", watch.sentence());
}

#[test]
fn what_an_interface_shows_before_it_is_encrypted_or_wrapped_does_not_count_and_that_is_said() {
    for kind in [TunnelInterface::Xfrm(IfId(7)), TunnelInterface::Vti, TunnelInterface::Wrapping] {
        let mut watch = Watch::over(Traffic::with(FAR.into()), Some("hello world"));
        watch.judge.tunnel_interfaces = [(1, kind)].into();
        assert_eq!(watch.see(Direction::Out, &plain(OWN, FAR)), None);
        watch.see(Direction::Out, &plain(OWN, [10, 3, 0, 7]));
        let (sentence, next) = watch.check.sentence(|at_ns| at_ns.to_string());
        assert_eq!(sentence, "UNDECIDED: nothing was seen of 10.2.0.7 but 1 on an interface that is not the wire yet");
        assert!(next.unwrap().contains("any for all"), "{next:?}");
        // What it is wrapped into does count, on the interface by which that leaves.
        watch.judge.tunnel_interfaces.clear();
        let wrapped = ipv4(4, GOUDA, REBLOCHON, &plain(OWN, FAR)[14..]);
        assert_eq!(watch.see(Direction::Out, &wrapped), Some(Proof::TextOnWire));
    }
}

#[test]
fn what_is_encrypted_where_it_is_not_the_wire_yet_does_not_speak_for_what_is_in_clear_there() {
    for kind in [TunnelInterface::Vti, TunnelInterface::Wrapping] {
        let (mut watch, frame) = encrypted("hello world");
        watch.judge.tunnel_interfaces = [(1, kind)].into();
        let leak = plain([10, 9, 0, 7], REBLOCHON);
        for frame in [&[frame, leak.clone()][..], &cut(&leak, 24)].concat() {
            assert_eq!(watch.see(Direction::Out, &frame), None);
        }
        watch.check.end();
        let ending = " on an interface that is not the wire yet";
        assert!(
            watch.sentence().starts_with("UNDECIDED: ") && watch.sentence().ends_with(ending),
            "{}",
            watch.sentence()
        );
    }
}

#[test]
fn nothing_is_called_encrypted_where_frames_were_not_seen() {
    let (mut watch, frame) = encrypted("");
    watch.see(Direction::Out, &frame);
    watch.check.miss(7);
    assert_eq!(watch.check.answer(), Answer::Undecided);
    assert!(watch.sentence().ends_with("none in clear, but 7 frames came too fast to be seen"), "{}", watch.sentence());
    watch.see(Direction::Out, &plain([10, 9, 0, 7], REBLOCHON));
    assert_eq!(watch.check.answer(), Answer::Mixed);
}

#[test]
fn what_a_tunnel_without_encryption_shows_of_the_networks_can_be_read() {
    // IP in IP, which protects nothing.
    let in_ip = ipv4(4, GOUDA, REBLOCHON, &plain(OWN, FAR)[14..]);
    let mut watch = Watch::over(networks(), None);
    assert_eq!(watch.see(Direction::Out, &in_ip), Some(Proof::Readable));
    let mut watch = Watch::over(Traffic::with(FAR.into()), None);
    assert_eq!(watch.see(Direction::Out, &in_ip), Some(Proof::Readable), "of one host too");
}

#[test]
fn everybody_is_a_network_too_and_a_host_is_looked_at_whoever_it_speaks_with() {
    let everything = Traffic { far: Prefix::ANY_V4, own: Some(prefix("10.1.0.0/24")) };
    let mut watch = Watch::over(everything, None);
    assert_eq!(watch.see(Direction::Out, &plain(GOUDA, FAR)), None);
    assert_eq!(watch.see(Direction::In, &plain(OWN, FAR)), None);
    assert_eq!(watch.see(Direction::Out, &plain(OWN, FAR)), Some(Proof::Readable));
    let mut watch = Watch::over(Traffic::with(FAR.into()), None);
    for own in [OWN, GOUDA] {
        assert_eq!(watch.see(Direction::Out, &plain(own, FAR)), Some(Proof::Readable));
    }
}

fn large(words: &[u8]) -> Vec<u8> {
    udp_with(40_000, 53, &words.repeat(300))
}

#[test]
fn parts_that_never_become_whole_are_undecided_at_the_end() {
    let frame = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &KEY, (17, &large(b"in many parts "))));
    let parts = cut(&frame, 1480);
    for missing in 0..parts.len() {
        let (mut watch, encrypted) = encrypted("hello world");
        watch.check = Check::new(Traffic::with(REBLOCHON.into()), None);
        assert_eq!(watch.see(Direction::Out, &encrypted), Some(Proof::Opened));
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| *at != missing) {
            assert_eq!(watch.see(Direction::In, part), Some(Proof::Undecided), "{at}");
        }
        assert_eq!((watch.check.answer(), watch.check.waits_for_parts()), (Answer::Encrypted, true));
        watch.check.end();
        assert_eq!((watch.check.answer(), watch.check.seen()), (Answer::Undecided, 2), "once for the packet");
        let (sentence, next) = watch.check.sentence(|at_ns| at_ns.to_string());
        assert!(
            sentence.starts_with("UNDECIDED: of 1 frame with 10.9.0.2 nothing can be said; the first: "),
            "{sentence}"
        );
        assert!(sentence.contains(" PART ") && next.unwrap().starts_with("parts of packets are missing"), "{sentence}");
    }
}

#[test]
fn a_text_in_a_part_is_on_the_wire_whatever_the_whole_may_be() {
    let mut watch = Watch::over(Traffic::with(REBLOCHON.into()), Some("hello world"));
    // Its first part is lost: nobody can tell whether it was ESP in UDP.
    let parts = cut(&ipv4(17, REBLOCHON, GOUDA, &large(b"hello world ")), 1480);
    assert_eq!(watch.see(Direction::In, &parts[1]), Some(Proof::TextOnWire));
    watch.check.end();
    assert!(watch.sentence().starts_with("IN CLEAR: 1 frame with 10.9.0.2 can be read"), "{}", watch.sentence());
    // The same without the text is nothing that is known.
    let mut watch = Watch::over(Traffic::with(REBLOCHON.into()), Some("another text"));
    assert_eq!(watch.see(Direction::In, &parts[1]), Some(Proof::Undecided));
    watch.check.end();
    assert!(watch.sentence().starts_with("UNDECIDED: of 1 frame"), "{}", watch.sentence());
    // With the first part it is clear, and so are the others.
    let mut watch = Watch::over(Traffic::with(REBLOCHON.into()), None);
    assert_eq!(watch.see(Direction::In, &parts[2]), Some(Proof::Undecided));
    assert_eq!(watch.see(Direction::In, &parts[0]), Some(Proof::Readable));
    assert!(!watch.check.waits_for_parts());
}

#[test]
fn parts_are_waited_for_as_long_as_their_receiver_does_and_not_without_bound() {
    let part = |identification: u16| {
        let mut part = cut(&ipv4(17, REBLOCHON, GOUDA, &large(b"words ")), 1480).remove(1);
        part[18..20].copy_from_slice(&identification.to_be_bytes());
        part
    };
    let second = 1_000_000_000;
    let mut watch = Watch::over(Traffic::with(REBLOCHON.into()), None);
    watch.see_at(NOW * second, Direction::In, &part(7));
    watch.see_at((NOW + 61) * second, Direction::In, &part(7));
    assert_eq!(watch.check.seen(), 1, "another packet of the same number");
    // That one becomes whole, and the first one does not with it.
    let parts = cut(&ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &KEY, (17, &large(b"words ")))), 1480);
    let mut whole = Watch::over(Traffic::with(REBLOCHON.into()), None);
    whole.see_at(NOW * second, Direction::In, &parts[1]);
    for part in &parts {
        whole.see_at((NOW + 31) * second, Direction::In, part);
    }
    assert_eq!((whole.check.seen(), whole.check.waits_for_parts()), (2, false));
    for identification in 1000..3000 {
        watch.see_at((NOW + 62) * second, Direction::In, &part(identification));
    }
    assert_eq!(watch.check.seen(), 2001 + 1 - 1024);
    watch.check.end();
    assert_eq!((watch.check.seen(), watch.check.waits_for_parts()), (2002, false));
    // Where the capture began in the middle of a packet nothing is missing.
    let mut watch = Watch::over(Traffic::with(REBLOCHON.into()), None);
    watch.check = watch.check.clone().since(NOW * second);
    assert_eq!(watch.see_at(NOW * second + 1, Direction::In, &part(7)), None);
    assert_eq!(watch.see_at((NOW + 1) * second, Direction::In, &part(8)), Some(Proof::Undecided));
}

#[test]
fn what_never_became_whole_is_undecided_in_the_sums_too() {
    let second = 1_000_000_000;
    let undecided =
        |watch: &Watch| (watch.judge.totals.all.undecided, watch.judge.totals.of(REBLOCHON.into()).undecided);
    let protected = cut(&ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &KEY, (17, &large(b"words ")))), 1480);
    let mut watch = Watch::over(Traffic::with(REBLOCHON.into()), None);
    watch.see(Direction::In, &protected[0]);
    assert_eq!(undecided(&watch), (0, 0));
    let later = plain(GOUDA, REBLOCHON);
    watch.see_at((NOW + 29) * second, Direction::Out, &later);
    assert_eq!(undecided(&watch), (0, 0));
    watch.see_at((NOW + 31) * second, Direction::Out, &later);
    assert_eq!(undecided(&watch), (1, 1));
    // Of what is in clear all was said.
    let mut watch = Watch::over(Traffic::with(REBLOCHON.into()), None);
    watch.see(Direction::In, &cut(&ipv4(17, REBLOCHON, GOUDA, &large(b"words ")), 1480)[0]);
    watch.see_at((NOW + 31) * second, Direction::Out, &later);
    assert_eq!((undecided(&watch), watch.judge.totals.all.clear), ((0, 0), 2));
}

#[test]
fn what_is_dropped_is_said_to_be() {
    // No policy is about what comes out of the tunnel.
    let (mut watch, frame) = encrypted("");
    watch.judge.addresses = [REBLOCHON.into()].into();
    watch.judge.policies = Policies::new([].iter(), None);
    assert_eq!(watch.see(Direction::In, &frame), Some(Proof::Undecided));
    let sentence = watch.sentence();
    assert!(sentence.contains(" are protected, but their receiver drops them; the first: "), "{sentence}");
    assert!(sentence.ends_with("it is dropped)"), "{sentence}");
}
