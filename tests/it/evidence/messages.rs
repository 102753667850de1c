//! Messages side by side in a TCP segment, packets inside of one another, and where looking into them ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use espial::capture::{Frame, Recorder};
use espial::packet::filter::contains;

use super::made::{KEY, OTHER_KEY, esp, sa, sa_with};
use super::*;

/// A segment to port 4500 with these messages (RFC 9329).
fn segment(messages: &[Vec<u8>]) -> Vec<u8> {
    segment_between(REBLOCHON, GOUDA, messages)
}

fn segment_between(from: [u8; 4], to: [u8; 4], messages: &[Vec<u8>]) -> Vec<u8> {
    let mut segment = [4500_u16, 4500].map(u16::to_be_bytes).concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0, 0, 0, 0, 0, 0]);
    for message in messages {
        segment.extend(u16::try_from(2 + message.len()).unwrap().to_be_bytes());
        segment.extend(message);
    }
    ipv4(6, from, to, &segment)
}

fn message(number: u64, key: &[u8], text: &[u8]) -> Vec<u8> {
    esp(0x1001, number, false, key, (17, &udp_with(40_000, 53, text)))
}

/// A packet inside of so many of one another, all between the same ends.
fn nested(depth: u64) -> Vec<u8> {
    let inner = ipv4(17, REBLOCHON, GOUDA, &udp_with(40_000, 53, b"hello world"));
    (1..=depth).fold(inner, |inner, number| {
        ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, number, false, &KEY, (4, inner.get(14..).unwrap())))
    })
}

fn tunnel() -> Sa {
    sa_with(0x1001, &KEY, |spec| spec.mode = Mode::Tunnel)
}

#[test]
fn each_message_of_a_segment_is_looked_into_and_found_on_the_wire() {
    let texts: [&[u8]; 3] = [b"first", b"second one", b"third and last"];
    let messages: Vec<Vec<u8>> = (1..).zip(texts).map(|(number, text)| message(number, &KEY, text)).collect();
    let frame = segment(&messages);
    let mut judge = judge_with(&[sa(0x1001, &KEY)]);
    let evidence = judged(&mut judge, sight(&frame));
    assert_eq!(evidence.verdict, Verdict::EspOk, "{}", words(&evidence));
    let dissection = dissect(LinkType::Ethernet, &frame);
    let looked = judge.look_into_all(sight(&frame), &dissection, &evidence);
    assert_eq!((looked.insides.len(), &looked.obstacle), (3, &None));
    for (at, (inside, text)) in looked.insides.iter().zip(texts).enumerate() {
        let place = 8..8 + text.len();
        assert_eq!((&inside.plaintext[place.clone()], inside.within), (text, None));
        assert_eq!(&frame[looked.on_wire(at, &place).unwrap()], text);
    }
    let last = judge.look_into(sight(&frame), &dissection, &evidence);
    assert_eq!((last.insides.len(), &last.insides[0].plaintext), (1, &looked.insides[2].plaintext));
    // What does not open keeps nobody from looking into the others.
    let frame = segment(&[messages[0].clone(), message(4, &OTHER_KEY, b"not to be read"), messages[2].clone()]);
    let evidence = judged(&mut judge, sight(&frame));
    let looked = judge.look_into_all(sight(&frame), &dissect(LinkType::Ethernet, &frame), &evidence);
    assert_eq!(looked.insides.len(), 2);
    assert!(looked.obstacle.is_some() && looked.obstacle_beside_reasons().is_none(), "the verdict says so");
}

#[test]
fn messages_in_a_tunnel_in_a_message_are_found_on_the_wire_too() {
    let inner = segment(&[message(1, &KEY, b"first"), message(2, &KEY, b"second")]);
    let around = esp(0x1001, 3, false, &KEY, (4, inner.get(14..).unwrap()));
    let frame = segment(&[around, message(4, &KEY, b"third")]);
    let mut judge = judge_with(&[tunnel()]);
    let evidence = judged(&mut judge, sight(&frame));
    let looked = judge.look_into_all(sight(&frame), &dissect(LinkType::Ethernet, &frame), &evidence);
    let within: Vec<_> = looked.insides.iter().map(|inside| inside.within).collect();
    assert_eq!(within, [None, Some(0), Some(0), None]);
    for (at, text) in [(1, &b"first"[..]), (2, b"second"), (3, b"third")] {
        let place = 8..8 + text.len();
        assert_eq!(&looked.insides[at].plaintext[place.clone()], text);
        assert_eq!(&frame[looked.on_wire(at, &place).unwrap()], text);
    }
}

#[test]
fn packets_inside_of_one_another_are_not_followed_for_ever() {
    for (depth, seen) in [(8, 8), (9, 8), (12, 8)] {
        let frame = nested(depth);
        let mut judge = judge_with(&[tunnel()]);
        let evidence = judged(&mut judge, sight(&frame));
        let looked = judge.look_into(sight(&frame), &dissect(LinkType::Ethernet, &frame), &evidence);
        let obstacle = (depth > 8).then_some("more than 8 packets inside of one another");
        assert_eq!((looked.insides.len(), looked.obstacle_beside_reasons()), (seen, obstacle));
        assert!(contains(&looked.insides[seen - 1].plaintext, b"hello world"));
    }
}

/// What the command says of these frames, which were seen a nanosecond one after the other.
fn packets(frames: &[Vec<u8>], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (file, keys) = (folder.path().join("frames.pcapng"), folder.path().join("keys"));
    let mut recorder = Recorder::create(&file).unwrap();
    for (at_ns, bytes) in (1_795_450_902_123_456_789..).zip(frames) {
        let (interface, link) = ("veth0".into(), LinkType::Ethernet);
        let bytes = bytes.clone().into();
        let frame = Frame { at_ns, interface, link, direction: None, wire_length: frames[0].len(), bytes };
        recorder.record(&frame, "").unwrap();
    }
    recorder.flush().unwrap();
    let key = std::str::from_utf8(&KEY).unwrap();
    fs::write(&keys, format!("add 10.9.0.2 10.9.0.1 esp 0x1001 -m any -E null -A hmac-sha1 \"{key}\";\n")).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_espial"));
    let output = command.args(["packets", "-r", &path(&file), "-k", &path(&keys)]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_text_is_found_in_whichever_message_has_it() {
    const TEXT: &[u8] = b"hello world";
    let sas = linux_sas();
    let is_hidden = |frame: &&[u8]| {
        let dissection = dissect(LinkType::Ethernet, frame);
        let is_esp =
            frame[12..14] == [8, 0] && dissection.layers().get(2).is_some_and(|layer| layer.range().start == 34);
        let mut judge = judge_with(&sas);
        is_esp
            && frame[23] == 50
            && !contains(frame, TEXT)
            && judged(&mut judge, sight(frame)).verdict == Verdict::EspOk
    };
    let hidden = wire::frames(LINUX).into_iter().find(is_hidden).unwrap();
    let address = |at: usize| <[u8; 4]>::try_from(&hidden[at..at + 4]).unwrap();
    let unknown = [&[0, 0, 0x77, 0x77, 0, 0, 0, 1][..], &[7; 40]].concat();
    for messages in [[hidden[34..].to_vec(), unknown.clone()], [unknown.clone(), hidden[34..].to_vec()]] {
        let segment = segment_between(address(26), address(30), &messages);
        let frame = Frame {
            at_ns: NOW * 1_000_000_000,
            interface: "veth0".into(),
            link: LinkType::Ethernet,
            direction: None,
            wire_length: segment.len(),
            bytes: segment.into(),
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("frames.pcapng");
        let mut recorder = Recorder::create(&file).unwrap();
        recorder.record(&frame, "").unwrap();
        recorder.flush().unwrap();
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors/linux-all.sas");
        let mut command = Command::new(env!("CARGO_BIN_EXE_espial"));
        let output = command.args(["packets", "-k", keys, "text", "hello world", "-r"]).arg(&file).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        assert!(lines.contains("; 2 messages") && lines.lines().count() == 1, "{lines}");
    }
}

#[test]
fn the_command_looks_into_all_messages_and_says_where_it_stops() {
    let frame = segment(&[message(1, &KEY, b"first"), message(2, &KEY, b"second one")]);
    let text = packets(std::slice::from_ref(&frame), &["-v"]);
    let insides: Vec<&str> = text.lines().filter(|line| line.starts_with("    inside: ")).collect();
    assert_eq!(insides, ["    inside: UDP: 40000 > 53, 5 bytes", "    inside: UDP: 40000 > 53, 10 bytes"], "{text}");
    let text = packets(&[nested(9)], &["-v"]);
    assert!(text.ends_with("\n    not looked into any further: more than 8 packets inside of one another\n"), "{text}");
    assert!(!packets(&[nested(8)], &["-v"]).contains("not looked into"));
    // Of compression the verdict's reasons only say that it hides nothing.
    let compressed = ipv4(108, REBLOCHON, GOUDA, &[17, 0, 0, 7, 1, 2, 3, 4]);
    let text = packets(&[compressed], &["-v"]);
    assert!(text.ends_with("\n    not looked into any further: its SA is not known\n"), "{text}");
    let unknown = ipv4(50, REBLOCHON, GOUDA, &esp(0x1002, 1, false, &KEY, (17, &udp(1, 2))));
    assert!(!packets(&[unknown], &["-v"]).contains("not looked into"), "the reason says it");
}

#[test]
fn json_has_times_to_the_nanosecond() {
    let frames = [ipv4(17, REBLOCHON, GOUDA, &udp(1, 2)), ipv4(17, REBLOCHON, GOUDA, &udp(1, 2))];
    let text = packets(&frames, &["--json"]);
    for (line, time) in text.lines().zip(["1795450902.123456789", "1795450902.123456790"]) {
        assert!(line.contains(&format!("\"time\":{time},")), "{line}");
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["time"].is_f64(), "{line}");
    }
    assert_eq!(text.lines().count(), 2);
}
