//! The addresses and SPIs of a row: with stars for digits, octets and groups, and prefix lengths.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Spi;

/// The addresses that a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPattern {
    /// Every address of either family.
    Any,
    /// The IPv4 addresses that have the bits of `value` wherever `mask` has one.
    V4 {
        /// The bits to be found.
        value: u32,
        /// The bits to be looked at.
        mask: u32,
    },
    /// The IPv6 addresses likewise.
    V6 {
        /// The bits to be found.
        value: u128,
        /// The bits to be looked at.
        mask: u128,
    },
}

impl AddressPattern {
    /// Whether the row is for this address.
    pub fn matches(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Any, _) => true,
            (Self::V4 { value, mask }, IpAddr::V4(address)) => (address.to_bits() ^ value) & mask == 0,
            (Self::V6 { value, mask }, IpAddr::V6(address)) => (address.to_bits() ^ value) & mask == 0,
            _ => false,
        }
    }

    /// `10.9.*.1`, `10.9.0.0/16`, `*`.
    pub(super) fn parse_v4(text: &str) -> Option<Self> {
        let (address, length) = split_length(text, 32)?;
        let address = if address == "*" { "*.*.*.*" } else { address };
        // Wherever the least and the greatest address differ, any bit will do.
        let least: Ipv4Addr = address.replace('*', "0").parse().ok()?;
        let greatest: Ipv4Addr = address.replace('*', "255").parse().ok()?;
        let mask = !(least.to_bits() ^ greatest.to_bits()) & u32::MAX.checked_shl(32 - length).unwrap_or(0);
        Some(Self::V4 { value: least.to_bits() & mask, mask })
    }

    /// `fd00:9::*`, where the star is a group or one of its four digits, `fd00::/16`, `*`.
    pub(super) fn parse_v6(text: &str) -> Option<Self> {
        let (address, length) = split_length(text, 128)?;
        let groups: Vec<&str> = address.split(':').map(|group| if group == "*" { "****" } else { group }).collect();
        let address = if address == "*" { ["****"; 8].join(":") } else { groups.join(":") };
        let least: Ipv6Addr = address.replace('*', "0").parse().ok()?;
        let greatest: Ipv6Addr = address.replace('*', "f").parse().ok()?;
        let mask = !(least.to_bits() ^ greatest.to_bits()) & u128::MAX.checked_shl(128 - length).unwrap_or(0);
        Some(Self::V6 { value: least.to_bits() & mask, mask })
    }
}

/// The address and the prefix length behind it, all `bits` of it if there is none.
fn split_length(text: &str, bits: u32) -> Option<(&str, u32)> {
    let Some((address, length)) = text.split_once('/') else { return Some((text, bits)) };
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    Some((address, length.parse().ok().filter(|length| digits && *length <= bits)?))
}

/// The SPIs that a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiPattern {
    /// The bits to be found.
    pub value: u32,
    /// The bits to be looked at.
    pub mask: u32,
}

impl SpiPattern {
    /// Whether the row is for this SPI.
    pub fn matches(self, spi: Spi) -> bool {
        (spi.0 ^ self.value) & self.mask == 0
    }

    /// The one SPI that the row is for, if there is no other.
    pub fn alone(self) -> Option<Spi> {
        (self.mask == u32::MAX).then_some(Spi(self.value))
    }

    /// `0x1001`, `4097`, `0x0000100*`, `*`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { value: 0, mask: 0 });
        }
        if !text.contains('*') {
            return text.parse().ok().map(|Spi(value)| Self { value, mask: u32::MAX });
        }
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).filter(|digits| digits.len() == 8)?;
        let bound = |digit| u32::from_str_radix(&digits.replace('*', digit), 16).ok();
        let (least, greatest) = (bound("0")?, bound("f")?);
        Some(Self { value: least, mask: !(least ^ greatest) })
    }
}
