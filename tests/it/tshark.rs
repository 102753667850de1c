//! Wireshark's opinion of the same frames with the same keys.

use std::fs;
use std::path::Path;
use std::process::Command;

use espial::capture::{FileCapture, Recorder};
use serde_json::Value;

use crate::wireshark::{Ability, ability, opinions};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors");

fn espial(arguments: &[&str]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espial"));
    let output = command.args(["packets", "--json"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The last byte of every frame, which belongs to its ICV, is another one.
fn spoil(from: &Path, to: &Path) {
    let mut file = FileCapture::open(from).unwrap();
    let mut recorder = Recorder::create(to).unwrap();
    while let Some(mut frame) = file.next_frame().unwrap() {
        let mut bytes = frame.bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        frame.bytes = bytes.into();
        recorder.record(&frame, "").unwrap();
    }
    recorder.flush().unwrap();
}

#[test]
fn wireshark_agrees_about_every_packet_that_it_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let (file, keys) = (format!("{VECTORS}/linux-all.pcap"), format!("{VECTORS}/linux-all.sas"));
    let (recording, spoilt) = (folder.path().join("all.pcapng"), folder.path().join("spoilt.pcapng"));
    let ours = espial(&["-r", &file, "--keys", &keys, "-w", path(&recording), "--write-keys"]);
    let table = folder.path().join("all.pcapng.esp_sa");
    spoil(&recording, &spoilt);
    let ours_spoilt = espial(&["-r", path(&spoilt), "--keys", &keys]);
    let rows = fs::read_to_string(&table).unwrap();
    let (mut agreed, mut unread, mut unchecked) = (0, 0, 0);
    let theirs = opinions(&recording, &table).into_iter().zip(opinions(&spoilt, &table));
    for ((ours, ours_spoilt), (theirs, theirs_spoilt)) in ours.iter().zip(&ours_spoilt).zip(theirs) {
        let layers: Vec<&str> = ours["layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        if layers.last() != Some(&"ESP") || layers.contains(&"AH") {
            continue;
        }
        let row = rows.lines().find(|row| row.contains(ours["spi"].as_str().unwrap())).unwrap();
        let (verdict, spoilt_verdict) = (ours["verdict"].as_str().unwrap(), ours_spoilt["verdict"].as_str().unwrap());
        match ability(row, verdict) {
            // If it learned the algorithm, the table must learn its word.
            Ability::None => {
                assert!(!theirs.is_good, "it can read this by now: {row}");
                unread += 1;
            }
            Ability::Perhaps => {
                assert!(!theirs.is_bad && theirs.is_good != theirs.data.is_empty(), "{row} {theirs:?}");
                unread += 1;
            }
            Ability::Reads => {
                assert!(!theirs.is_good && !theirs.is_bad, "{row} {theirs:?}");
                assert_eq!(ours["inner"]["payload_hex"], theirs.data.as_str(), "{row}");
                unchecked += 1;
            }
            Ability::Checks => {
                assert_eq!((verdict, theirs.is_good), ("ESP ok", true), "{row}");
                let is_same = ours["inner"]["payload_hex"] == theirs.data.as_str();
                assert!(theirs.is_compressed || is_same, "{row} {theirs:?}");
                assert_eq!((spoilt_verdict, theirs_spoilt.is_bad), ("BAD ICV", true), "{row}");
                agreed += 1;
            }
        }
    }
    assert!(agreed >= 80 && unread > 20 && unchecked > 10, "{agreed} agreed, {unread} unread, {unchecked} unchecked");
}

#[test]
fn wireshark_agrees_about_another_machines_captures() {
    let table = format!("{VECTORS}/esp_sa");
    for name in ["3des-sha1", "aes128-sha1", "aes256-sha256_128", "aesctr-sha1", "gcm256-16", "udp-aes128-sha1"] {
        let file = format!("{VECTORS}/{name}.pcap");
        let ours = espial(&["-r", &file, "--keys", &table]);
        let theirs = opinions(Path::new(&file), Path::new(&table));
        assert!(!ours.is_empty());
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!((ours["verdict"].as_str(), theirs.is_good), (Some("ESP ok"), true), "{name}: {ours:#}");
        }
    }
}
