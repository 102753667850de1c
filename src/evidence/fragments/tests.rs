//! Parts in every order, lost, doubled, overlapping, and made up.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::packet::{LinkType, dissect};

const AT: u64 = 1_000;

/// A packet with this payload, and where its parts are cut.
fn ipv4(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 7, 0, 0, 64, 50, 0, 0];
    packet.extend(Ipv4Addr::new(10, 9, 0, 1).octets());
    packet.extend(Ipv4Addr::new(10, 9, 0, 2).octets());
    packet.extend(payload);
    packet
}

/// The same behind hop-by-hop options.
fn ipv6(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], 0, 64];
    packet.extend(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 1).octets());
    packet.extend(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 2).octets());
    packet.extend([50, 0, 1, 4, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}

/// The part of a packet that has these bytes of its payload.
fn part(packet: &[u8], bytes: Range<usize>, is_last: bool) -> Vec<u8> {
    let units = u16::try_from(bytes.start / 8).unwrap();
    if packet[0] >> 4 == 4 {
        let mut part = [&packet[..20], &packet[20..][bytes]].concat();
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        part[2..4].copy_from_slice(&length);
        part[6..8].copy_from_slice(&(units | if is_last { 0 } else { 0x2000 }).to_be_bytes());
        return part;
    }
    let mut part = packet[..48].to_vec();
    part[40] = 44;
    part.extend([50, 0]);
    part.extend((units << 3 | u16::from(!is_last)).to_be_bytes());
    part.extend([0, 0, 0, 7]);
    part.extend(&packet[48..][bytes]);
    let length = u16::try_from(part.len() - 40).unwrap().to_be_bytes();
    part[4..6].copy_from_slice(&length);
    part
}

fn take(fragments: &mut Fragments, packet: &[u8], at_ns: u64) -> Taken {
    let dissection = dissect(LinkType::RawIp, packet);
    let part = Part::of(packet, &dissection, 1).expect("it is a part");
    fragments.forget_old(at_ns);
    fragments.take(&part, None, None, at_ns)
}

/// All parts of a packet, cut every so many units of eight bytes.
fn cut(packet: &[u8], units: usize) -> Vec<Vec<u8>> {
    let payload = packet.len() - if packet[0] >> 4 == 4 { 20 } else { 48 };
    let starts: Vec<usize> = (0..payload).step_by(8 * units).collect();
    let ends = starts.iter().skip(1).copied().chain([payload]);
    starts.iter().zip(ends).map(|(start, end)| part(packet, *start..end, end == payload)).collect()
}

fn waits(taken: &Taken) -> bool {
    matches!(taken, Taken::Waits(_))
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

proptest! {
    #[test]
    fn in_any_order_and_as_often_as_they_come_parts_make_the_packet(
        length in 9_usize..5000,
        units in 1_usize..200,
        is_ipv4: bool,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let packet = if is_ipv4 { ipv4(&payload(length)) } else { ipv6(&payload(length)) };
        let parts = cut(&packet, units);
        prop_assume!(parts.len() > 1);
        let mut fragments = Fragments::default();
        let mut missing: std::collections::BTreeSet<usize> = (0..parts.len()).collect();
        let all = order.iter().map(|index| index.index(parts.len())).chain(0..parts.len());
        for at in all {
            missing.remove(&at);
            let taken = take(&mut fragments, &parts[at], AT);
            if missing.is_empty() {
                prop_assert_eq!(taken, Taken::Whole(packet.clone().into(), parts.len()));
                prop_assert!(fragments.bytes == 0 && fragments.waiting.is_empty());
                return Ok(());
            }
            prop_assert!(waits(&taken));
        }
    }

    #[test]
    fn without_one_of_them_there_is_no_packet(length in 9_usize..5000, units in 1_usize..200, lost: prop::sample::Index) {
        let packet = ipv4(&payload(length));
        let parts = cut(&packet, units);
        prop_assume!(parts.len() > 1);
        let mut fragments = Fragments::default();
        let lost = lost.index(parts.len());
        for (_, part) in parts.iter().enumerate().filter(|(at, _)| *at != lost) {
            prop_assert!(waits(&take(&mut fragments, part, AT)));
        }
    }

    #[test]
    fn whatever_comes_nothing_panics_what_is_kept_is_bounded_and_only_whole_packets_come_out(
        parts in prop::collection::vec((0_u16..40, 0_usize..300, any::<bool>(), any::<bool>(), 0_u16..3, 0_u64..20), 0..200),
    ) {
        let mut fragments = Fragments::default();
        let mut at_ns = AT;
        for (offset, length, more, is_ipv4, identification, seconds) in parts {
            let start = usize::from(offset) * 8;
            let packet = if is_ipv4 { ipv4(&payload(start + length)) } else { ipv6(&payload(start + length)) };
            let mut part = part(&packet, start..start + length, !more);
            let at = if is_ipv4 { 4 } else { 54 };
            part[at..at + 2].copy_from_slice(&identification.to_be_bytes());
            at_ns += seconds * 1_000_000_000;
            let dissection = dissect(LinkType::RawIp, &part);
            let Some(part) = Part::of(&part, &dissection, 1) else { continue };
            if let Taken::Whole(packet, _) = fragments.take(&part, None, None, at_ns) {
                let head = if is_ipv4 { 20 } else { 48 };
                // Every part has the bytes that belong at its place, so the whole has no others.
                prop_assert_eq!(&packet[head..], payload(packet.len() - head));
            }
            let cost: usize = fragments.waiting.values().map(Assembly::cost).sum();
            prop_assert_eq!(fragments.bytes, cost);
        }
    }

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200), is_ipv4: bool) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = if is_ipv4 { 0x45 } else { 0x60 };
        }
        let dissection = dissect(LinkType::RawIp, &bytes);
        if let Some(part) = Part::of(&bytes, &dissection, 1) {
            Fragments::default().take(&part, None, None, AT);
        }
    }
}

#[test]
fn what_overlaps_is_dropped_with_all_that_it_belongs_to() {
    for packet in [ipv4(&payload(64)), ipv6(&payload(64))] {
        let mut fragments = Fragments::default();
        assert!(waits(&take(&mut fragments, &part(&packet, 0..16, false), AT)));
        assert!(waits(&take(&mut fragments, &part(&packet, 24..40, false), AT)));
        // Of what came before nothing is left: the rest makes no packet.
        assert_eq!(take(&mut fragments, &part(&packet, 8..24, false), AT), Taken::Dropped);
        assert!(waits(&take(&mut fragments, &part(&packet, 16..64, true), AT)));
        assert!(matches!(take(&mut fragments, &part(&packet, 0..16, false), AT), Taken::Whole(..)));
    }
}

#[test]
fn parts_that_contradict_each_other_about_the_end_are_dropped() {
    let packet = ipv4(&payload(64));
    let mut fragments = Fragments::default();
    take(&mut fragments, &part(&packet, 48..64, true), AT);
    assert_eq!(take(&mut fragments, &part(&packet, 32..48, true), AT), Taken::Dropped);
    take(&mut fragments, &part(&packet, 40..48, true), AT);
    assert_eq!(take(&mut fragments, &part(&packet, 48..64, false), AT), Taken::Dropped);
    take(&mut fragments, &part(&packet, 48..64, false), AT);
    assert_eq!(take(&mut fragments, &part(&packet, 16..24, true), AT), Taken::Dropped);
    // Only the last may end anywhere, and none is empty.
    assert_eq!(take(&mut fragments, &part(&packet, 8..13, false), AT), Taken::Dropped);
    assert_eq!(take(&mut fragments, &part(&packet, 8..8, true), AT), Taken::Dropped);
}

#[test]
fn a_packet_longer_than_its_length_can_say_is_none() {
    let packet = ipv4(&payload(65_000));
    let mut last = part(&packet, 64_000..64_808, true);
    last[6..8].copy_from_slice(&8187_u16.to_be_bytes());
    assert_eq!(take(&mut Fragments::default(), &last, AT), Taken::Dropped);
}

#[test]
fn parts_are_waited_for_as_long_as_the_kernel_does() {
    let packet = ipv4(&payload(64));
    let after = |pause: u64| {
        let mut fragments = Fragments::default();
        take(&mut fragments, &part(&packet, 0..32, false), AT);
        take(&mut fragments, &part(&packet, 32..64, true), AT + pause)
    };
    assert!(matches!(after(PATIENCE_NS), Taken::Whole(..)));
    assert!(waits(&after(PATIENCE_NS + 1)));
}

#[test]
fn parts_that_are_never_whole_push_out_the_oldest() {
    let mut fragments = Fragments::default();
    let packet = ipv4(&payload(2800));
    let numbered = |number: u16, bytes: Range<usize>, is_last: bool| {
        let mut part = part(&packet, bytes, is_last);
        part[4..6].copy_from_slice(&number.to_be_bytes());
        part
    };
    for number in 0..10_000 {
        take(&mut fragments, &numbered(number, 0..1400, false), AT);
        assert!(fragments.bytes <= MOST_BYTES && fragments.waiting.len() <= MOST_PACKETS);
    }
    assert!(fragments.order.len() <= 2 * MOST_PACKETS + 1);
    assert!(matches!(take(&mut fragments, &numbered(9_999, 1400..2800, true), AT), Taken::Whole(..)));
    assert!(waits(&take(&mut fragments, &numbered(1, 1400..2800, true), AT)));
    // Nor do those that become whole at once leave anything behind.
    for number in 0..10_000 {
        take(&mut fragments, &numbered(number, 0..1400, false), AT);
        take(&mut fragments, &numbered(number, 1400..2800, true), AT);
    }
    assert!(fragments.order.len() <= 2 * MOST_PACKETS + 1 && fragments.bytes <= MOST_BYTES);
}
