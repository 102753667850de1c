//! `espial packets` on files: captures that others made, with keys that others wrote.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use espial::capture::{FileCapture, Frame, Recorder};
use serde_json::Value;

use crate::crypto::wire;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors");

fn packets(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_espial")).arg("packets").args(arguments).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn vector(name: &str) -> String {
    format!("{VECTORS}/{name}")
}

#[test]
fn wiresharks_keys_open_another_machines_captures() {
    let captures = wire::CAPTURES.iter().map(|(name, _)| *name);
    for name in captures {
        let output = packets(&["-r", &vector(&format!("{name}.pcap")), "--keys", &vector("esp_sa"), "--json"]);
        let packets = lines(&output);
        assert!(output.status.success() && !packets.is_empty(), "{name}: {output:?}");
        // The table has no word for XCBC, and without authentication nothing can be checked.
        let verdict = if matches!(name, "null-null" | "aes-xcbc") { "UNPROVEN" } else { "ESP ok" };
        let why = match name {
            "null-null" => "the SA neither encrypts nor authenticates: anybody can read and change its packets",
            "aes-xcbc" => "the key file does not say how the SA authenticates: the ICV is not checked",
            _ => "the ICV is right",
        };
        for packet in packets {
            assert_eq!(packet["verdict"], verdict, "{name}: {packet:#}");
            assert!(packet["reasons"][0].as_str().unwrap().contains(why), "{name}: {packet:#}");
            let inner = &packet["inner"];
            assert!(["ICMP", "UDP", "IPv4/ICMP", "TCP"].iter().any(|word| inner["protocol"] == *word), "{packet:#}");
        }
    }
}

#[test]
fn without_keys_nothing_is_claimed() {
    let packets = lines(&packets(&["-r", &vector("gcm128-16.pcap"), "--json"]));
    assert!(packets.iter().all(|packet| packet["verdict"] == "NO SA" && packet["inner"].is_null()));
}

fn text(output: &Output) -> (String, String) {
    let words = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (words(&output.stdout), words(&output.stderr))
}

#[test]
fn a_line_says_no_more_than_is_so_and_what_is_below_says_why() {
    let (file, keys) = (vector("gcm128-16.pcap"), vector("esp_sa"));
    let (lines, complaint) = text(&packets(&["-r", &file, "-k", &keys, "-c", "1"]));
    assert!(lines.contains("ESP ok    ESP 0x") && lines.ends_with("bytes\n") && complaint.is_empty(), "{lines}");
    let (lines, _) = text(&packets(&["-r", &file, "-k", &keys, "-c", "1", "-v"]));
    let below: Vec<&str> = lines.lines().skip(1).collect();
    assert!(below[0].ends_with(": encrypted, and the ICV is right") && below[1].starts_with("    inside: "), "{lines}");
    let (lines, _) = text(&packets(&["-r", &vector("null-sha1.pcap"), "-k", &keys]));
    assert!(lines.lines().all(|line| line.contains("ESP ok") && line.ends_with(" bytes, NOT ENCRYPTED")), "{lines}");
    let (lines, complaint) = text(&packets(&["-r", &file]));
    let count = lines.lines().count();
    assert!(lines.contains("NO SA"), "{lines}");
    assert_eq!(
        complaint,
        format!(
            "espial: no keys were given (--keys FILE) for {count} protected packets; without them what came out of a tunnel looks like a packet in clear\n"
        )
    );
}

#[test]
fn a_filter_may_look_inside() {
    let (file, keys) = (vector("linux-all.pcap"), vector("linux-all.sas"));
    let count = |filter: &str| lines(&packets(&["-r", &file, "--keys", &keys, "--json", filter])).len();
    assert_eq!((count("text \"hello world\""), count("text \"goodbye\"")), (277, 0));
    assert_eq!(count("verdict bad"), 0);
    assert!(count("ah and esp") >= 4);
}

#[test]
fn options_may_stand_behind_the_filter_and_a_shells_pieces_are_kept() {
    let (file, keys) = (vector("linux-all.pcap"), vector("linux-all.sas"));
    let output = packets(&["text", "hello world", "and", "esp", "--json", "-c", "3", "-r", &file, "--keys", &keys]);
    assert_eq!((lines(&output).len(), output.status.success()), (3, true), "{output:?}");
    let none = packets(&["-r", &file, "-c", "0"]);
    assert!(!none.status.success() && none.stdout.is_empty(), "{none:?}");
}

#[test]
fn a_file_may_come_through_a_pipe() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espial"));
    command.args(["packets", "-r", "-", "--json"]);
    let output = command.stdin(fs::File::open(vector("gcm128-16.pcap")).unwrap()).output().unwrap();
    assert_eq!(lines(&output), lines(&packets(&["-r", &vector("gcm128-16.pcap"), "--json"])));
    command.stdin(fs::File::open(vector("esp_sa")).unwrap());
    let output = command.output().unwrap();
    assert_eq!(output.stderr, b"espial: standard input: this is neither a pcap nor a pcapng file\n", "{output:?}");
}

#[test]
fn what_is_recorded_holds_verdicts_and_no_keys_and_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.pcapng");
    let (file, keys, record) = (vector("linux-all.pcap"), vector("linux-all.sas"), path.to_str().unwrap());
    let first = packets(&["-r", &file, "--keys", &keys, "--json", "-w", record]);
    assert!(first.status.success());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&path).unwrap();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(has(b"ESP+AH ok") && !has(b"26313c47525d68737e89949faab5c0cb"));
    let again = packets(&["-r", record, "--keys", &keys, "--json"]);
    let verdicts = |output: &Output| lines(output).iter().map(|packet| packet["verdict"].clone()).collect::<Vec<_>>();
    assert_eq!(verdicts(&again), verdicts(&first));
    let once_more = packets(&["-r", &file, "-w", record]);
    assert!(!once_more.status.success(), "a file that is there is not overwritten");
    let words = String::from_utf8(once_more.stderr).unwrap();
    assert!(
        words.contains("record.pcapng: it exists already, and is never written over: choose another name"),
        "{words}"
    );
    let outward = packets(&["-r", &file, "-w", "-"]);
    let words = String::from_utf8(outward.stderr).unwrap();
    assert!(!outward.status.success() && outward.stdout.is_empty(), "{words}");
    assert!(words.starts_with("espial: -w -: a recording cannot go to standard output"), "{words}");
}

#[test]
fn keys_may_come_through_a_pipe() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espial"));
    command.args(["packets", "-r", &vector("linux-all.pcap"), "--json", "-k", "-"]);
    let output = command.stdin(fs::File::open(vector("linux-all.sas")).unwrap()).output().unwrap();
    let named = packets(&["-r", &vector("linux-all.pcap"), "--json", "-k", &vector("linux-all.sas")]);
    assert!(output.status.success() && lines(&output) == lines(&named), "{output:?}");
    let both = packets(&["-r", "-", "-k", "-"]);
    let words = String::from_utf8(both.stderr).unwrap();
    assert!(words.starts_with("espial: -k - and -r -: standard input cannot give both"), "{words}");
}

#[test]
fn the_keys_beside_a_recording_open_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.pcapng");
    let (file, keys, record) = (vector("linux-all.pcap"), vector("linux-all.sas"), path.to_str().unwrap());
    let first = packets(&["-r", &file, "--keys", &keys, "--json", "-w", record, "--write-keys"]);
    let table = folder.path().join("record.pcapng.esp_sa");
    assert_eq!(fs::metadata(&table).unwrap().permissions().mode() & 0o777, 0o600);
    let rows = fs::read_to_string(&table).unwrap();
    let words = String::from_utf8(first.stderr.clone()).unwrap();
    let count = |part: &str| rows.lines().filter(|line| line.contains(part)).count();
    let (ah, unchecked, others) = (count("not for ah"), count("[no checking]"), count("no word for"));
    assert!(ah > 0 && unchecked > 0 && others > 0, "{rows}");
    let expected = format!(
        "espial: Wireshark's table of keys lacks the keys of {ah} SAs of AH, which it is not for; the keys of {others} SAs \
         of ESP, for the reasons in its comments; the authentication of {unchecked} SAs, for whose algorithms it has no \
         word: such packets are decrypted unchecked\n"
    );
    assert_eq!(words, expected);
    // Some have no row, and some one that says how long the ICV is but not how to check it.
    let has_no_word = |spi: &Value| {
        let spi = spi.as_str().unwrap();
        let mut lines = rows.lines().filter(|line| line.contains(spi));
        lines.any(|line| line.contains("Wireshark has no word for") || line.contains("[no checking]"))
    };
    let readable = |output: &Output| {
        let is_readable = |packet: &&Value| packet["verdict"] == "ESP ok" && !packet["inner"].is_null();
        lines(output).iter().filter(is_readable).filter(|packet| !has_no_word(&packet["spi"])).count()
    };
    let again = packets(&["-r", record, "--keys", table.to_str().unwrap(), "--json"]);
    assert!(readable(&first) > 80, "{}", readable(&first));
    assert_eq!(readable(&again), readable(&first));
}

#[test]
fn one_packet_on_two_interfaces_is_no_replay_and_twice_on_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.pcapng");
    let mut file = FileCapture::open(Path::new(&vector("gcm256-16.pcap"))).unwrap();
    let frame = file.next_frame().unwrap().unwrap();
    let mut recorder = Recorder::create(&path).unwrap();
    for interface in ["eth0", "eth0.5", "eth0"] {
        recorder.record(&Frame { interface: interface.into(), ..frame.clone() }, "").unwrap();
    }
    recorder.flush().unwrap();
    let output = packets(&["-r", path.to_str().unwrap(), "--keys", &vector("esp_sa"), "--json"]);
    let told: Vec<_> =
        lines(&output).iter().map(|packet| (packet["interface"].clone(), packet["verdict"].clone())).collect();
    let said = |interface: &str, verdict: &str| (Value::from(interface), Value::from(verdict));
    assert_eq!(told, [said("eth0", "ESP ok"), said("eth0.5", "ESP ok"), said("eth0", "REPLAY")]);
}

/// The two parts of a frame with IPv4 behind Ethernet.
fn parts(frame: &Frame) -> [Frame; 2] {
    let (headers, payload) = frame.bytes.split_at(34);
    let part = |flags: [u8; 2], payload: &[u8]| {
        let mut bytes = [headers, payload].concat();
        bytes[16..18].copy_from_slice(&u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
        bytes[20..22].copy_from_slice(&flags);
        Frame { wire_length: bytes.len(), bytes: bytes.into(), ..frame.clone() }
    };
    [part([0x20, 0], &payload[..40]), part([0, 5], &payload[40..])]
}

#[test]
fn a_filter_finds_the_frame_that_completes_a_packet_by_what_the_packet_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parts.pcapng");
    let mut file = FileCapture::open(Path::new(&vector("gcm256-16.pcap"))).unwrap();
    let frame = file.next_frame().unwrap().unwrap();
    let mut recorder = Recorder::create(&path).unwrap();
    for part in parts(&frame) {
        recorder.record(&part, "").unwrap();
    }
    recorder.flush().unwrap();
    let found = |filter: &str| {
        let output = packets(&["-r", path.to_str().unwrap(), "--keys", &vector("esp_sa"), "--json", filter]);
        let lines = lines(&output);
        lines.iter().map(|packet| (packet["no"].as_u64().unwrap(), packet["verdict"].clone())).collect::<Vec<_>>()
    };
    let all = found("");
    assert_eq!(all, [(1, "PART".into()), (2, "ESP ok".into())]);
    let output = packets(&["-r", path.to_str().unwrap(), "--json"]);
    let spi = lines(&output)[1]["spi"].clone();
    assert_eq!(found(&format!("spi {}", spi.as_str().unwrap())), all);
    assert_eq!((found("esp"), found("not esp"), found("esp and verdict ok")), (all.clone(), vec![], all[1..].to_vec()));
}

#[test]
fn which_interface_a_packet_was_on_is_said_where_there_are_several() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = FileCapture::open(Path::new(&vector("gcm256-16.pcap"))).unwrap();
    let frame = file.next_frame().unwrap().unwrap();
    for (name, interfaces, expected) in [("two", ["eth0", "eth1"], true), ("one", ["eth0", "eth0"], false)] {
        let path = folder.path().join(name);
        let mut recorder = Recorder::create(&path).unwrap();
        for interface in interfaces {
            recorder.record(&Frame { interface: interface.into(), ..frame.clone() }, "").unwrap();
        }
        recorder.flush().unwrap();
        let output = packets(&["-r", path.to_str().unwrap()]);
        let text = String::from_utf8(output.stdout).unwrap();
        let named = text.lines().zip(interfaces).all(|(line, interface)| line.contains(&format!(" -   {interface} ")));
        assert_eq!((text.lines().count(), named), (2, expected), "{text}");
    }
}

#[test]
fn a_broken_file_shows_what_came_before_and_says_where_it_broke() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcap");
    let whole = fs::read(vector("gcm128-16.pcap")).unwrap();
    fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    let output = packets(&["-r", path.to_str().unwrap(), "--json"]);
    let words = String::from_utf8(output.stderr.clone()).unwrap();
    let before = lines(&output).len();
    assert_eq!(output.status.code(), Some(1));
    assert!(before > 0 && words.contains(&format!("behind frame {before}, at byte ")), "{words}");
}

#[test]
fn a_wrong_key_file_is_refused_with_its_place_and_without_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, "add 10.0.0.1 10.0.0.2 esp 0x1001 -E aes-cbc 0xdeadbeefdeadbeef -Z;\n").unwrap();
    let output = packets(&["-r", &vector("gcm128-16.pcap"), "--keys", path.to_str().unwrap()]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && words.contains("line 1, column "), "{words}");
    assert!(!words.contains("deadbeef"), "{words}");
}
