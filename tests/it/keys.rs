//! Captures opened with nothing but the file of keys beside them.

use espial::crypto::sequence::extended;
use espial::crypto::{EspTransform, Icv};
use espial::dialect::key_file::{KeyRow, key_file};
use espial::model::IpsecProtocol;
use espial::packet::{Header, LinkType, dissect};

use crate::crypto::wire;

/// How the frames of a capture that are ESP open with the first row that is for each of them: the ICVs, and how many
/// hold the words.
fn opened(pcap: &[u8], rows: &[KeyRow]) -> (Vec<Icv>, usize) {
    let (mut icvs, mut words) = (Vec::new(), 0);
    for frame in wire::frames(pcap) {
        let dissection = dissect(LinkType::Ethernet, frame);
        let Some(header) = dissection.ipsec().next().filter(|header| header.protocol == IpsecProtocol::Esp) else {
            continue;
        };
        let is_for = |row: &&KeyRow| row.is_for(header.protocol, header.spi, header.source, header.destination);
        let row = rows.iter().find(is_for).unwrap_or_else(|| panic!("no row for {header:?}"));
        let layer = dissection.layers().iter().find(|layer| matches!(layer.header, Header::Esp(_))).unwrap();
        let esp = EspTransform::new(row.algorithms(), row.sequence_high().is_some()).unwrap();
        let mut plaintext = Vec::new();
        let near = match row {
            KeyRow::Sa(sa) => sa.replay.sent,
            KeyRow::Pattern(row) => u64::from(row.sequence_high.unwrap_or(0)) << 32,
        };
        let sequence = extended(near, header.sequence.unwrap());
        let packet = &frame[layer.range()];
        let opened = esp.open(packet, u32::try_from(sequence >> 32).unwrap(), &mut plaintext).unwrap();
        icvs.push(opened.icv);
        words += usize::from(String::from_utf8_lossy(&plaintext).contains("hello world"));
    }
    (icvs, words)
}

#[test]
fn wiresharks_table_opens_the_captures_that_it_lies_beside() {
    let table = include_str!("../data/vectors/esp_sa");
    // The table was made without a word for extended sequence numbers.
    let with_extended = table.lines().map(|line| {
        let more = if line.contains("0x0000100d") || line.contains("0x0000200d") { ",\"64-bit\",\"0\"" } else { "" };
        format!("{line}{more}\n")
    });
    let rows = key_file(&with_extended.collect::<String>()).unwrap();
    for (name, pcap) in wire::CAPTURES {
        let (icvs, words) = opened(pcap, &rows);
        // Nothing proves anything there: no ICV, or one that the table has no key for.
        let expected = match *name {
            "null-null" => Icv::Absent,
            "aes-xcbc" => Icv::Unchecked,
            _ => Icv::Good,
        };
        assert!(icvs.iter().all(|icv| *icv == expected), "{name}: {icvs:?}");
        assert_eq!(words, if name.starts_with("udp") { 2 } else { 4 }, "{name}");
    }
}

#[test]
fn lines_for_ip_open_the_capture_that_they_lie_beside() {
    let rows = key_file(include_str!("../data/vectors/linux-all.sas")).unwrap();
    let (icvs, _) = opened(include_bytes!("../data/vectors/linux-all.pcap"), &rows);
    let count = |wanted| icvs.iter().filter(|icv| **icv == wanted).count();
    // Twelve packets are of SAs that do not authenticate.
    assert_eq!((count(Icv::Good), count(Icv::Absent), icvs.len()), (189, 12, 201));
}
