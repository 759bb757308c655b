use super::MacAddress;
use core::fmt;
use core::str::FromStr;

/// The identifier that makes a terminal's group its own: an IEEE EUI-64, without the universal/local bit turned over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Eui64(pub u64);

impl Eui64 {
    /// The EUI-64 of a 48-bit address: `ff:fe` between its halves, no bit changed.
    pub const fn of_mac(mac: MacAddress) -> Self {
        let m = mac.0;
        Eui64(u64::from_be_bytes([m[0], m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]]))
    }

    /// The 48-bit address that it is [made of](Self::of_mac); `None` where it is made of none.
    pub const fn mac(self) -> Option<MacAddress> {
        match self.0.to_be_bytes() {
            [a, b, c, 0xff, 0xfe, d, e, f] => Some(MacAddress([a, b, c, d, e, f])),
            _ => None,
        }
    }

    /// The interface identifier of the same interface (RFC 4291 appendix A): the universal/local bit turned over.
    pub const fn modified(self) -> u64 {
        self.0 ^ 1 << 57
    }
}

impl fmt::Display for Eui64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.to_be_bytes().iter().enumerate() {
            if index > 0 {
                f.write_str("-")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Eui64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Eui64 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "an EUI-64 is eight octets in hexadecimal, as in 02-00-00-ff-fe-00-00-01";
        let mut octets = [0; 8];
        let mut parts = text.split(['-', ':']);
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2).ok_or(SHAPE)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| SHAPE)?;
        }
        if parts.next().is_some() { Err(SHAPE) } else { Ok(Eui64(u64::from_be_bytes(octets))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eui64_of_mac() {
        let mac: MacAddress = "02:00:5e:10:00:01".parse().unwrap();
        let eui = Eui64::of_mac(mac);
        assert_eq!(eui.to_string(), "02-00-5e-ff-fe-10-00-01");
        assert_eq!(eui.modified(), mac.interface_identifier());
        assert_eq!(eui.mac(), Some(mac));
        for other in [0x0200_5eff_ff10_0001, 0x0200_5efe_fe10_0001, 0x0200_5e00_0010_0001, 0xfffe] {
            assert_eq!(Eui64(other).mac(), None, "{:?}", Eui64(other));
        }
        assert_eq!("02-00-5e-ff-fe-10-00-01".parse(), Ok(eui));
        assert!("02-00".parse::<Eui64>().is_err());
    }
}
