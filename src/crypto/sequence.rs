//! Extended sequence numbers: the wire carries the low 32 bits, the rest must be worked out (RFC 4303 appendix A2).

/// The 64-bit sequence number whose low half is `low`, as near as can be to the counter `near` (the highest number
/// received or sent).
///
/// This is the RFC's rule with a window of 2^31, whatever the SA's own: the kernel's counter, read now and then, may be
/// behind the packet or ahead of it, and either by more than the window. The high half is `extended(..) >> 32`.
pub fn extended(near: u64, low: u32) -> u64 {
    const HALF: i64 = 1 << 31;
    let same = near & !u64::from(u32::MAX) | u64::from(low);
    match same.wrapping_sub(near).cast_signed() {
        behind if behind <= -HALF => same.checked_add(1 << 32).unwrap_or(same),
        ahead if ahead > HALF => same.checked_sub(1 << 32).unwrap_or(same),
        _ => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_half_follows_the_counter() {
        let check = |near, low, expected: u64| {
            assert_eq!(extended(near, low), expected, "{low:#x} near {near:#x}: expected {expected:#x}");
        };
        check(0, 1, 1);
        check(5, 5, 5);
        check(0x7_0000_0005, 6, 0x7_0000_0006);
        // Over the border, either way.
        check(0x2_ffff_ffff, 0, 0x3_0000_0000);
        check(0x3_0000_0000, 0xffff_ffff, 0x2_ffff_ffff);
        // The edges of the window: 2^31 ahead, 2^31 - 1 behind.
        check(0x2_8000_0000, 0, 0x3_0000_0000);
        check(0x2_7fff_ffff, 0, 0x2_0000_0000);
        check(0x3_0000_0000, 0x8000_0000, 0x3_8000_0000);
        check(0x3_0000_0000, 0x8000_0001, 0x2_8000_0001);
        // There is nothing before the first number nor behind the last.
        check(0, 0xffff_ffff, 0xffff_ffff);
        check(u64::MAX, 0, 0xffff_ffff_0000_0000);
    }
}
