//! AH, RFC 4302: whether the ICV over a whole IP packet is good.
//!
//! AH covers the packet from its IP header on, with everything taken as zero that may change on the way, and the
//! destination of a source route taken as the last one. What stands behind the AH is covered as it is, ESP included.

use super::mac::Authenticator;
use super::{Icv, Malformed, Unready};
use crate::model::Algorithms;

/// Next header, length, reserved, SPI, sequence number.
const AH_FIXED: usize = 12;
const IPV4_FIXED: usize = 20;
const IPV6_FIXED: usize = 40;

const AH: u8 = 51;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// The algorithm of an AH SA, its key prepared.
pub struct AhTransform {
    authenticator: Authenticator,
    extended: bool,
}

impl AhTransform {
    /// Prepares the key of an SA, `extended` if its sequence numbers have 64 bits.
    ///
    /// # Errors
    /// When espial lacks the algorithm or its key, or the two do not go together.
    pub fn new(algorithms: &Algorithms, extended: bool) -> Result<Self, Unready> {
        let transform = algorithms.authentication.as_ref().ok_or(Unready::NoAlgorithm)?;
        Ok(Self { authenticator: Authenticator::new(transform)?, extended })
    }

    /// The length of the ICV, which begins twelve bytes into the AH.
    pub fn icv_length(&self) -> usize {
        self.authenticator.icv_length()
    }

    /// Checks the ICV of a packet from its IP header on, whose AH begins at `ah_at`. With extended sequence numbers,
    /// `sequence_high` is the half that is not sent but authenticated (RFC 4302 section 2.5.1).
    ///
    /// The AH stands behind the IP header and its extension headers. For one that came out of another transport mode
    /// transform, rebuild the packet as the kernel does: the transform's header gone, protocol and length corrected.
    ///
    /// # Errors
    /// When it is no whole IP packet with an AH there, or the AH has no room for this SA's ICV.
    pub fn verify(&self, packet: &[u8], ah_at: usize, sequence_high: u32) -> Result<Icv, Malformed> {
        let packet = whole(packet)?;
        let fixed = packet.get(ah_at..).and_then(|ah| ah.first_chunk::<AH_FIXED>());
        let fixed = fixed.ok_or(Malformed::TooShort { needed: ah_at.saturating_add(AH_FIXED), had: packet.len() })?;
        let header = (usize::from(fixed[1]) + 2) * 4;
        let payload_at = ah_at + header;
        if payload_at > packet.len() {
            return Err(Malformed::TooShort { needed: payload_at, had: packet.len() });
        }
        let is_ipv4 = packet[0] >> 4 == 4;
        self.check_length(header, if is_ipv4 { &[8, 4] } else { &[8] })?;

        let mut covered = packet[..payload_at].to_vec();
        let (ip, ah) = covered.split_at_mut(ah_at);
        if is_ipv4 {
            clear_ipv4(ip)?;
        } else {
            clear_ipv6(ip)?;
        }
        let icv_range = AH_FIXED..AH_FIXED + self.icv_length();
        ah[icv_range.clone()].fill(0);

        let high = sequence_high.to_be_bytes();
        let behind: &[u8] = if self.extended { &high } else { &[] };
        let icv = &packet[ah_at..payload_at][icv_range];
        Ok(self.authenticator.verify(&[&covered, &packet[payload_at..], behind], icv))
    }

    /// Linux makes the AH a multiple of 8 bytes long, in IPv4 with `align4` of 4, and takes one with an uncut ICV as
    /// well (`net/ipv4/ah4.c`).
    fn check_length(&self, header: usize, units: &[usize]) -> Result<(), Malformed> {
        let icv = self.icv_length();
        let holds = |icv: usize| units.iter().any(|unit| (AH_FIXED + icv).next_multiple_of(*unit) == header);
        if holds(icv) || holds(self.authenticator.whole_length()) {
            Ok(())
        } else {
            Err(Malformed::AhLength { header, icv })
        }
    }
}

/// The packet without what the link put behind it.
fn whole(packet: &[u8]) -> Result<&[u8], Malformed> {
    let length = match packet {
        [first, _, high, low, ..] if first >> 4 == 4 => usize::from(u16::from_be_bytes([*high, *low])),
        [first, _, _, _, high, low, ..] if first >> 4 == 6 => {
            IPV6_FIXED + usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => return Err(Malformed::IpHeader(0)),
    };
    match packet.get(..length) {
        Some([]) => Err(Malformed::IpHeader(2)),
        Some(whole) => Ok(whole),
        None => Err(Malformed::TooShort { needed: length, had: packet.len() }),
    }
}

/// RFC 4302 section 3.3.3.1.1: DSCP and ECN, flags, fragment offset, TTL, checksum and most options may change.
fn clear_ipv4(header: &mut [u8]) -> Result<(), Malformed> {
    let claimed = header.first().map_or(0, |first| usize::from(first & 15) * 4);
    if claimed < IPV4_FIXED || claimed != header.len() || header[9] != AH {
        return Err(Malformed::IpHeader(0));
    }
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Err(Malformed::Fragment);
    }
    header[1] = 0;
    header[6..9].fill(0);
    header[10..12].fill(0);

    let (fixed, mut options) = header.split_at_mut(IPV4_FIXED);
    loop {
        let at = claimed - options.len();
        options = match options {
            [] | [0, ..] => return Ok(()),
            [1, rest @ ..] => rest,
            [kind, length, ..] => {
                let (kind, length) = (*kind, usize::from(*length));
                if length < 2 || length > options.len() {
                    return Err(Malformed::IpHeader(at));
                }
                let (option, rest) = options.split_at_mut(length);
                if let Some(last) = last_hop(kind, option) {
                    fixed[16..20].copy_from_slice(&last);
                }
                if !is_immutable(kind) {
                    option.fill(0);
                }
                rest
            }
            [_] => return Err(Malformed::IpHeader(at)),
        };
    }
}

/// RFC 4302 appendix A1: basic and extended security, commercial security, router alert, multi-destination delivery.
/// The kernel has the same list.
fn is_immutable(option: u8) -> bool {
    matches!(option, 130 | 133 | 134 | 148 | 149)
}

/// The destination that a source route ends at, while the packet is still on its way there.
fn last_hop(kind: u8, option: &[u8]) -> Option<[u8; 4]> {
    let pointer = usize::from(*option.get(2)?);
    let is_route = matches!(kind, 131 | 137);
    if is_route && option.len() >= 7 && pointer < option.len() { option.last_chunk().copied() } else { None }
}

/// RFC 4302 section 3.3.3.1.2: traffic class, flow label, hop limit, and options that say so may change.
fn clear_ipv6(header: &mut [u8]) -> Result<(), Malformed> {
    let Some((fixed, mut extensions)) = header.split_at_mut_checked(IPV6_FIXED) else {
        return Err(Malformed::IpHeader(0));
    };
    fixed[0] &= 0xf0;
    fixed[1..4].fill(0);
    fixed[7] = 0;
    let (mut next, mut at) = (fixed[6], IPV6_FIXED);
    while let [following, units, ..] = *extensions {
        let length = (usize::from(units) + 1) * 8;
        if next == FRAGMENT {
            return Err(Malformed::Fragment);
        }
        let Some((extension, rest)) = extensions.split_at_mut_checked(length) else {
            return Err(Malformed::IpHeader(at));
        };
        match next {
            HOP_BY_HOP | DESTINATION => clear_options(extension).ok_or(Malformed::IpHeader(at))?,
            ROUTING => finish_route(fixed, extension).ok_or(Malformed::IpHeader(at))?,
            _ => return Err(Malformed::IpHeader(at)),
        }
        (next, at, extensions) = (following, at + length, rest);
    }
    if next == AH && extensions.is_empty() { Ok(()) } else { Err(Malformed::IpHeader(at)) }
}

/// Zeroes the data of options whose third bit says that it may change (RFC 8200 section 4.2).
fn clear_options(extension: &mut [u8]) -> Option<()> {
    let mut options = extension.get_mut(2..)?;
    loop {
        options = match options {
            [] => return Some(()),
            [0, rest @ ..] => rest,
            [kind, length, rest @ ..] => {
                let (data, rest) = rest.split_at_mut_checked(usize::from(*length))?;
                if *kind & 0x20 != 0 {
                    data.fill(0);
                }
                rest
            }
            [_] => return None,
        };
    }
}

/// Turns a type 0 routing header and the destination into what they will be at the end of the route.
fn finish_route(fixed: &mut [u8], extension: &mut [u8]) -> Option<()> {
    let (start, addresses) = extension.split_at_mut_checked(8)?;
    let left = usize::from(start[3]);
    if start[2] != 0 || left == 0 {
        return Some(());
    }
    let ahead = addresses.len().checked_sub(left * 16)?;
    let ahead = addresses.get_mut(ahead..)?;
    start[3] = 0;
    // The destination goes before the addresses ahead, and the last of these becomes the destination.
    let last: [u8; 16] = *ahead.last_chunk()?;
    ahead.copy_within(..(left - 1) * 16, 16);
    ahead[..16].copy_from_slice(&fixed[24..40]);
    fixed[24..40].copy_from_slice(&last);
    Some(())
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use sha1::Sha1;

    use super::*;
    use crate::model::{AlgorithmName, Secret, Transform};

    const KEY: &[u8] = b"12345678901234567890";
    /// Next header UDP, 24 bytes, SPI 0x1000, sequence number 1, and room for an ICV of 96 bits.
    const AH_HEADER: [u8; 24] = [17, 4, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    fn transform(extended: bool) -> AhTransform {
        let name = AlgorithmName::from_kernel("hmac(sha1)");
        let transform = Transform { name, key: Secret::copy_from(KEY), icv_bits: 96 };
        AhTransform::new(&Algorithms { authentication: Some(transform), ..Algorithms::default() }, extended).unwrap()
    }

    fn ipv4(options: &[u8], destination: [u8; 4]) -> Vec<u8> {
        let words = u8::try_from(5 + options.len() / 4).unwrap();
        let total = u8::try_from(20 + options.len() + AH_HEADER.len() + 8).unwrap();
        let mut packet = vec![0x40 | words, 0, 0, total, 0x12, 0x34, 0, 0, 0, AH, 0, 0, 10, 9, 0, 1];
        packet.extend(destination);
        packet.extend(options);
        packet.extend(AH_HEADER);
        packet.extend(b"an UDP..");
        packet
    }

    fn ipv6(first: u8, extensions: &[u8], destination: [u8; 16]) -> Vec<u8> {
        let length = u8::try_from(extensions.len() + AH_HEADER.len() + 8).unwrap();
        let mut packet = vec![0x60, 0, 0, 0, 0, length, first, 0];
        packet.extend([0xfd; 16]);
        packet.extend(destination);
        packet.extend(extensions);
        packet.extend(AH_HEADER);
        packet.extend(b"an UDP..");
        packet
    }

    /// `arriving` as its sender would send it, if AH covers `covered`.
    fn signed(arriving: &[u8], covered: &[u8], high: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha1>::new_from_slice(KEY).unwrap();
        mac.update(covered);
        mac.update(high);
        let icv = mac.finalize().into_bytes();
        let mut packet = arriving.to_vec();
        let at = packet.len() - 8 - 12;
        packet[at..at + 12].copy_from_slice(&icv[..12]);
        packet
    }

    fn check(arriving: &[u8], covered: &[u8]) {
        let packet = signed(arriving, covered, &[]);
        let ah_at = packet.len() - 8 - AH_HEADER.len();
        assert_eq!(transform(false).verify(&packet, ah_at, 0), Ok(Icv::Good));
        let with_trailer = [&packet[..], b"what the link put behind it"].concat();
        assert_eq!(transform(false).verify(&with_trailer, ah_at, 0), Ok(Icv::Good));
        for at in 0..packet.len() {
            let mut other = packet.clone();
            other[at] ^= 0x80;
            // Never a panic; and what may not change must not.
            let verdict = transform(false).verify(&other, ah_at, 0);
            assert!(at < ah_at || verdict != Ok(Icv::Good), "byte {at} was changed");
        }
        for length in 0..packet.len() {
            assert!(transform(false).verify(&packet[..length], ah_at, 0).is_err());
        }
    }

    #[test]
    fn what_routers_change_is_not_covered() {
        let covered = ipv4(&[], [10, 9, 0, 2]);
        let mut arriving = covered.clone();
        arriving[1] = 0xb8;
        arriving[6] = 0x40;
        arriving[8] = 64;
        arriving[10..12].copy_from_slice(&[0xab, 0xcd]);
        check(&arriving, &covered);

        let covered = ipv6(AH, &[], [0xfe; 16]);
        let mut arriving = covered.clone();
        arriving[..4].copy_from_slice(&[0x6b, 0x81, 0x23, 0x45]);
        arriving[7] = 64;
        check(&arriving, &covered);
    }

    #[test]
    fn options_are_covered_as_they_are_or_as_zeros() {
        // Router alert, no operation, record route, end.
        let arriving = ipv4(&[148, 4, 0, 0, 1, 7, 3, 4, 0, 0, 0, 0], [10, 9, 0, 2]);
        check(&arriving, &ipv4(&[148, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [10, 9, 0, 2]));
        // A padding byte, an option that may change, one that may not, and padding.
        let options = |data| [AH, 1, 0, 0x3e, 2, data, data, 0x1e, 3, 1, 2, 3, 1, 2, 0, 0];
        check(&ipv6(HOP_BY_HOP, &options(9), [0xfe; 16]), &ipv6(HOP_BY_HOP, &options(0), [0xfe; 16]));
        check(&ipv6(DESTINATION, &options(9), [0xfe; 16]), &ipv6(DESTINATION, &options(0), [0xfe; 16]));
    }

    #[test]
    fn a_source_route_is_covered_as_at_its_end() {
        let there = [10, 9, 0, 99];
        let zeroed = ipv4(&[0; 12], there);
        // Still on its way through 10.9.0.2; arrived.
        check(&ipv4(&[131, 11, 4, 10, 9, 0, 5, 10, 9, 0, 99, 0], [10, 9, 0, 2]), &zeroed);
        check(&ipv4(&[137, 11, 12, 10, 9, 0, 2, 10, 9, 0, 5, 0], there), &zeroed);

        let route = |left, first, second| {
            let mut extension = vec![AH, 4, 0, left, 0, 0, 0, 0];
            extension.extend([first; 16]);
            extension.extend([second; 16]);
            extension
        };
        let end = ipv6(ROUTING, &route(0, 1, 2), [3; 16]);
        check(&ipv6(ROUTING, &route(2, 2, 3), [1; 16]), &end);
        check(&ipv6(ROUTING, &route(1, 1, 3), [2; 16]), &end);
        check(&end, &end);
    }

    #[test]
    fn extended_sequence_numbers_are_covered_behind_the_packet() {
        let packet = ipv4(&[], [10, 9, 0, 2]);
        let packet = signed(&packet, &packet, &[0, 0, 0, 7]);
        assert_eq!(transform(true).verify(&packet, 20, 7), Ok(Icv::Good));
        assert_eq!(transform(true).verify(&packet, 20, 8), Ok(Icv::Bad));
        assert_eq!(transform(false).verify(&packet, 20, 7), Ok(Icv::Bad));
    }

    #[test]
    fn what_is_no_whole_packet_with_an_ah_is_malformed() {
        let check = |change: &dyn Fn(&mut Vec<u8>), ah_at, expected| {
            let mut packet = ipv4(&[1, 1, 1, 0], [10, 9, 0, 2]);
            change(&mut packet);
            assert_eq!(transform(false).verify(&packet, ah_at, 0), Err(expected));
        };
        check(&|packet| packet[0] = 0x56, 24, Malformed::IpHeader(0));
        check(&|packet| packet.truncate(30), 24, Malformed::TooShort { needed: 56, had: 30 });
        check(&|packet| packet[3] = 0, 24, Malformed::IpHeader(2));
        check(&|_| (), 20, Malformed::AhLength { header: 12, icv: 12 });
        check(&|_| (), usize::MAX, Malformed::TooShort { needed: usize::MAX, had: 56 });
        check(&|packet| packet[6] = 0x20, 24, Malformed::Fragment);
        check(&|packet| packet[20] = 7, 24, Malformed::IpHeader(20));
        check(&|packet| packet[25] = 3, 24, Malformed::AhLength { header: 20, icv: 12 });
        check(&|packet| packet[9] = 50, 24, Malformed::IpHeader(0));

        let fragment = ipv6(FRAGMENT, &[AH, 0, 0, 1, 0, 0, 0, 9], [0xfe; 16]);
        assert_eq!(transform(false).verify(&fragment, 48, 0), Err(Malformed::Fragment));
        let unknown = ipv6(135, &[AH, 0, 0, 0, 0, 0, 0, 0], [0xfe; 16]);
        assert_eq!(transform(false).verify(&unknown, 48, 0), Err(Malformed::IpHeader(40)));
        let endless = ipv6(DESTINATION, &[AH, 9, 0, 0, 0, 0, 0, 0], [0xfe; 16]);
        assert_eq!(transform(false).verify(&endless, 48, 0), Err(Malformed::IpHeader(40)));
        let more_hops_than_addresses = ipv6(ROUTING, &[AH, 0, 0, 3, 0, 0, 0, 0], [0xfe; 16]);
        assert_eq!(transform(false).verify(&more_hops_than_addresses, 48, 0), Err(Malformed::IpHeader(40)));
    }
}
