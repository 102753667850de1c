//! The numbers that XFRM objects carry, each a type of its own so that one cannot be taken for another.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use super::IpsecProtocol;

/// A security parameters index (RFC 4301 section 4.1): with destination and protocol it names an SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spi(pub u32);

impl Spi {
    /// RFC 4303 section 2.1: 0 is for local use and 1 to 255 are reserved; the kernel takes them, a peer may not.
    pub fn is_reserved(self) -> bool {
        self.0 < 256
    }

    /// A random number that no SA of the protocol has, from the range that `ip xfrm state allocspi` uses too; an
    /// IPComp SA's has 16 bits.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn random(protocol: IpsecProtocol, is_used: impl Fn(Self) -> bool) -> Result<Self, getrandom::Error> {
        let most = if protocol == IpsecProtocol::Comp { 0xffff } else { 0x0fff_ffff };
        loop {
            let spi = Self(256 + getrandom::u32()? % (most - 255));
            if !is_used(spi) {
                return Ok(spi);
            }
        }
    }
}

impl fmt::Display for Spi {
    /// Eight hex digits, as `ip xfrm` prints it; `{:#}` leaves out the leading zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { write!(f, "{:#x}", self.0) } else { write!(f, "{:#010x}", self.0) }
    }
}

impl FromStr for Spi {
    type Err = ParseIntError;

    /// Decimal, or hex behind `0x`.
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        parse_u32(text).map(Self)
    }
}

/// The number that ties an SA to the policy templates that may use it; 0 ties to none in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReqId(pub u32);

impl fmt::Display for ReqId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of an xfrm interface that an SA or a policy belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfId(pub u32);

impl fmt::Display for IfId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// An interface that shows packets before what is done to them on their way to the wire, and after it is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelInterface {
    /// An xfrm interface, behind which they are encrypted, with the number that ties it to its SAs and policies.
    Xfrm(IfId),
    /// A virtual tunnel interface (VTI), behind which they are encrypted: a mark ties it to SAs and policies, which no
    /// capture shows.
    Vti,
    /// GRE or IP in IP: behind it they are inside of other packets, encrypted or not.
    Wrapping,
}

/// A firewall mark to compare a packet's with: they match when `packet & mask == value`.
///
/// A marked SA is a different SA from the unmarked one of the same destination, protocol and SPI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The bits to be found.
    pub value: u32,
    /// The bits to be looked at.
    pub mask: u32,
}

impl FromStr for Mark {
    type Err = ParseIntError;

    /// `value/mask`; the mask is all bits where it is left out.
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
        Ok(Self { value: parse_u32(value)?, mask: parse_u32(mask)? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}/{:#x}", self.value, self.mask)
    }
}

/// A `u32` in decimal, or in hex behind `0x`.
///
/// # Errors
/// The standard library's words, for text that is not such a number or is above 4294967295.
pub fn parse_u32(text: &str) -> Result<u32, ParseIntError> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `from_str_radix` takes a sign of its own, which has no place behind the prefix.
        Some(hex) if !hex.starts_with(['+', '-']) => u32::from_str_radix(hex, 16),
        Some(_) => "x".parse(),
        None => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_spi_reads_back_what_it_prints() {
        for spi in [Spi(0), Spi(0x3e8), Spi(u32::MAX)] {
            assert_eq!(spi.to_string().parse(), Ok(spi));
            assert_eq!(format!("{spi:#}").parse(), Ok(spi));
        }
        assert_eq!("1000".parse(), Ok(Spi(1000)));
        assert_eq!(Spi(1000).to_string(), "0x000003e8");
    }

    #[test]
    fn a_random_spi_is_free_and_not_reserved() {
        for protocol in [IpsecProtocol::Esp, IpsecProtocol::Comp] {
            let spi = Spi::random(protocol, |spi| spi.0 % 2 == 0).unwrap();
            assert!(spi.0 % 2 == 1 && !spi.is_reserved() && (protocol == IpsecProtocol::Esp || spi.0 <= 0xffff));
        }
    }

    #[test]
    fn a_mark_without_a_mask_is_all_of_it() {
        assert_eq!("0x7/0xff".parse(), Ok(Mark { value: 7, mask: 0xff }));
        assert_eq!("7".parse(), Ok(Mark { value: 7, mask: u32::MAX }));
        assert!("7/".parse::<Mark>().is_err());
    }

    #[test]
    fn numbers_with_rubbish_are_refused() {
        for text in ["", "0x", "0x+1", "-1", "1 ", "4294967296", "0x100000000", "12g"] {
            assert!(parse_u32(text).is_err(), "{text:?}");
        }
    }
}
