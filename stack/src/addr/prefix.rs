use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

/// An IPv6 prefix; the bits behind its length are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    bits: u128,
    length: u8,
}

impl Prefix {
    /// `::/0`, every address.
    pub const DEFAULT: Prefix = Prefix { bits: 0, length: 0 };

    /// The prefix of `length` bits (0 to 128) that `address` is in; `None` for a longer one.
    pub const fn new(address: Ipv6Addr, length: u8) -> Option<Self> {
        if length > 128 {
            return None;
        }
        Some(Prefix { bits: address.to_bits() & mask(length), length })
    }

    /// The prefix that holds this one address.
    pub const fn host(address: Ipv6Addr) -> Self {
        Prefix { bits: address.to_bits(), length: 128 }
    }

    /// The /64 that `address` is in.
    pub const fn of_link(address: Ipv6Addr) -> Self {
        Prefix { bits: address.to_bits() & mask(64), length: 64 }
    }

    /// The first address.
    pub const fn address(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.bits)
    }

    /// Length in bits.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether `address` has this prefix.
    pub const fn contains(self, address: Ipv6Addr) -> bool {
        address.to_bits() & mask(self.length) == self.bits
    }
}

const fn mask(length: u8) -> u128 {
    if length == 0 { 0 } else { u128::MAX << (128 - length as u32) }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefixParseError {
    /// There is no `/` with a length of 0 to 128 behind it.
    #[error("a prefix is an address, a slash and a length of 0 to 128, as in 2001:db8:1::/64")]
    Shape,
    /// What stands before the `/` is no IPv6 address.
    #[error("what stands before the slash is not an IPv6 address")]
    Address,
    /// Bits are set behind the length.
    #[error("bits are set behind the prefix length; the prefix is {0}")]
    HostBits(Prefix),
}

impl FromStr for Prefix {
    type Err = PrefixParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, length) = text.split_once('/').ok_or(PrefixParseError::Shape)?;
        let address: Ipv6Addr = address.parse().map_err(|_| PrefixParseError::Address)?;
        let length: u8 = length.parse().map_err(|_| PrefixParseError::Shape)?;
        let prefix = Prefix::new(address, length).ok_or(PrefixParseError::Shape)?;
        if prefix.address() == address { Ok(prefix) } else { Err(PrefixParseError::HostBits(prefix)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_and_bounds() {
        let prefix: Prefix = "2001:db8:1::/48".parse().unwrap();
        assert!(prefix.contains("2001:db8:1:ffff::1".parse().unwrap()));
        assert!(!prefix.contains("2001:db8:2::1".parse().unwrap()));
        assert!(Prefix::DEFAULT.contains("::1".parse().unwrap()));
        let host = Prefix::host("::1".parse().unwrap());
        assert!(host.contains("::1".parse().unwrap()) && !host.contains("::2".parse().unwrap()));
        assert_eq!(Prefix::new("::".parse().unwrap(), 129), None);
    }

    #[test]
    fn refuses_what_is_no_prefix() {
        assert_eq!("2001:db8::1".parse::<Prefix>(), Err(PrefixParseError::Shape));
        assert_eq!("2001:db8::/129".parse::<Prefix>(), Err(PrefixParseError::Shape));
        assert_eq!("2001:db8::g/64".parse::<Prefix>(), Err(PrefixParseError::Address));
        assert!(matches!("2001:db8::1/64".parse::<Prefix>(), Err(PrefixParseError::HostBits(_))));
    }
}
