//! An address with a prefix length, as selectors hold it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// `address/length`. Host bits are kept: to the kernel 10.8.2.7/24 and 10.8.2.9/24 are different selectors,
/// although they match the same packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address, host bits included.
    pub address: IpAddr,
    /// How many leading bits count, at most 32 or 128.
    pub length: u8,
}

impl Prefix {
    /// Every IPv4 address: `0.0.0.0/0`.
    pub const ANY_V4: Self = Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 };
    /// Every IPv6 address: `::/0`.
    pub const ANY_V6: Self = Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), length: 0 };

    /// The prefix that holds `address` alone.
    pub fn host(address: IpAddr) -> Self {
        Self { address, length: Self::bits(address) }
    }

    /// The number of bits of an address of this family.
    pub fn bits(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    /// Whether it holds one address alone.
    pub fn is_host(&self) -> bool {
        self.length == Self::bits(self.address)
    }

    /// Whether the address lies in the prefix; never across families.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                leading_bits_equal(a.to_bits().into(), b.to_bits().into(), 32, self.length)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => leading_bits_equal(a.to_bits(), b.to_bits(), 128, self.length),
            _ => false,
        }
    }

    /// The same without host bits.
    #[must_use]
    pub fn network(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let ignored = 32_u32.saturating_sub(self.length.into());
                IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(ignored).unwrap_or(0)).into())
            }
            IpAddr::V6(address) => {
                let ignored = 128_u32.saturating_sub(self.length.into());
                IpAddr::V6((address.to_bits() & u128::MAX.checked_shl(ignored).unwrap_or(0)).into())
            }
        };
        Self { address, ..*self }
    }

    /// Whether it holds every address of its family.
    pub fn is_any(&self) -> bool {
        self.length == 0
    }

    /// Whether bits are set behind the length, which selects no less but is most often a slip.
    pub fn has_host_bits(&self) -> bool {
        self.network() != *self
    }
}

fn leading_bits_equal(a: u128, b: u128, bits: u32, length: u8) -> bool {
    let ignored = bits.saturating_sub(u32::from(length));
    ignored >= 128 || a >> ignored == b >> ignored
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Why a text is not a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The part in front of the slash.
    #[error("{0:?} is not an IPv4 or IPv6 address")]
    Address(String),
    /// The part behind the slash.
    #[error("{given:?} is not a prefix length from 0 to {most}")]
    Length {
        /// What stands behind the slash.
        given: String,
        /// 32 or 128, by the address.
        most: u8,
    },
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// `address` or `address/length`.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let parsed: IpAddr = address.parse().map_err(|_| PrefixError::Address(address.to_owned()))?;
        let most = Self::bits(parsed);
        let length = match length {
            None => most,
            Some(given) => given
                .parse()
                .ok()
                .filter(|length| *length <= most && given.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| PrefixError::Length { given: given.to_owned(), most })?,
        };
        Ok(Self { address: parsed, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn text_forms() {
        assert_eq!(prefix("10.9.0.1").to_string(), "10.9.0.1/32");
        assert_eq!(prefix("fd00:9::/64").to_string(), "fd00:9::/64");
        assert_eq!(
            "10.9.0.1/33".parse::<Prefix>().unwrap_err().to_string(),
            "\"33\" is not a prefix length from 0 to 32"
        );
        assert!("10.9.0.1/+3".parse::<Prefix>().is_err());
        assert!("10.9.0.256".parse::<Prefix>().is_err());
        assert!("10.9.0.1/".parse::<Prefix>().is_err());
    }

    #[test]
    fn the_network_of_an_address() {
        let network = |text: &str| prefix(text).network().to_string();
        assert_eq!(network("10.1.0.1/24"), "10.1.0.0/24");
        assert_eq!(network("10.1.0.1/0"), "0.0.0.0/0");
        assert_eq!(network("10.1.0.1/32"), "10.1.0.1/32");
        assert_eq!(network("fd00:9::2/64"), "fd00:9::/64");
        assert_eq!(network("fd00:9::2/0"), "::/0");
        assert!(prefix("10.1.0.1/24").has_host_bits() && !prefix("10.1.0.0/24").has_host_bits());
    }

    #[test]
    fn containment() {
        let cases = [
            ("10.1.0.0/24", "10.1.0.7", true),
            ("10.1.0.0/24", "10.1.1.7", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "fd00::1", true),
            ("fd00:9::1/128", "fd00:9::1", true),
            ("fd00:9::1/128", "fd00:9::2", false),
        ];
        for (net, address, inside) in cases {
            assert_eq!(prefix(net).contains(address.parse().unwrap()), inside, "{address} in {net}");
        }
    }

    #[test]
    fn host_bits() {
        assert!(prefix("10.8.2.7/24").has_host_bits());
        assert!(!prefix("10.8.2.0/24").has_host_bits());
        assert!(!prefix("10.8.2.7").has_host_bits());
        assert!(prefix("1.2.3.4/0").has_host_bits());
        assert!(!Prefix::ANY_V6.has_host_bits());
    }
}
