use super::{Eui64, MacAddress, Prefix, Scope, embedded_rp};
use core::net::Ipv6Addr;

/// How the group that belongs to one terminal is made from its EUI-64 (patent fig. 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupLayout {
    /// `ff3S::EUI-64`, source-specific (RFC 4607): the same group in every site, no rendezvous point.
    Ssm {
        /// Normally [`Scope::SITE_LOCAL`].
        scope: Scope,
    },
    /// The rendezvous point `P::y` embedded (RFC 3956 §3): `ff7S:0y20:P32:EUI-64`, or `ff7S:0y30:P48:MAC48` for an EUI-64
    /// that is made of a 48-bit address.
    EmbeddedRp {
        /// Normally [`Scope::SITE_LOCAL`].
        scope: Scope,
        /// The operator's /32 or /48.
        prefix: Prefix,
        /// The RP interface identifier `y`, 1 to 15.
        rp_interface_id: u8,
    },
    /// `ff1S:SITE:EUI-64`, transient, any-source, the rendezvous point known otherwise (RFC 4291 §2.7).
    Asm {
        /// Normally [`Scope::SITE_LOCAL`].
        scope: Scope,
        /// 48 bits that tell this site's groups from others'.
        site_id: u64,
    },
}

/// Why a layout cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupLayoutError {
    /// An embedded RP leaves room for an EUI-64 behind a /32, for a 48-bit address behind a /48.
    #[error("the embedded-RP layout needs a prefix of length 32 or 48, not {0}")]
    PrefixLength(u8),
    /// RFC 3956 §3: 0 is reserved, four bits are there.
    #[error("the RP interface identifier is 1 to 15, not {0}")]
    RpInterfaceId(u8),
    /// The site identifier has 48 bits.
    #[error("the site identifier has 48 bits; {0:#x} is larger")]
    SiteId(u64),
}

impl GroupLayout {
    /// Checks what the types do not say.
    pub fn validate(&self) -> Result<(), GroupLayoutError> {
        match *self {
            GroupLayout::Ssm { .. } => Ok(()),
            GroupLayout::EmbeddedRp { prefix, rp_interface_id, .. } => {
                if ![WHOLE, SHORT].contains(&prefix.length()) {
                    Err(GroupLayoutError::PrefixLength(prefix.length()))
                } else if !(1..=15).contains(&rp_interface_id) {
                    Err(GroupLayoutError::RpInterfaceId(rp_interface_id))
                } else {
                    Ok(())
                }
            }
            GroupLayout::Asm { site_id, .. } if site_id >> 48 != 0 => Err(GroupLayoutError::SiteId(site_id)),
            GroupLayout::Asm { .. } => Ok(()),
        }
    }

    /// The group of the terminal with this identifier; `None` where the layout has room for 48-bit addresses alone and the
    /// identifier is made of none.
    pub fn group(&self, terminal: Eui64) -> Option<Ipv6Addr> {
        let identifier = if self.is_short() { bits(terminal.mac()?) } else { u128::from(terminal.0) };
        Some(Ipv6Addr::from_bits(self.range().address().to_bits() | identifier))
    }

    /// The range that holds the groups of all terminals: the mobility range of a site.
    pub fn range(&self) -> Prefix {
        let high = |first: u16, scope: Scope| u128::from(first | u16::from(scope.value())) << 112;
        let address = match *self {
            GroupLayout::Ssm { scope } => high(0xff30, scope),
            GroupLayout::EmbeddedRp { scope, prefix, rp_interface_id } => {
                let length = if self.is_short() { SHORT } else { WHOLE };
                let named = u16::from_be_bytes([rp_interface_id, length]);
                high(0xff70, scope) | u128::from(named) << 96 | prefix.address().to_bits() >> 32
            }
            GroupLayout::Asm { scope, site_id } => high(0xff10, scope) | u128::from(site_id) << 64,
        };
        let length = if self.is_short() { 128 - 48 } else { 128 - 64 };
        Prefix::new(Ipv6Addr::from_bits(address), length).expect("80 and 64 are prefix lengths")
    }

    /// The terminal that a group of any of these layouts belongs to: which of them it is, it says itself. `None` where its
    /// identifier is zero.
    pub fn terminal_of(group: Ipv6Addr) -> Option<Eui64> {
        let octets = group.octets();
        let terminal = match octets {
            [0xff, flags, _, SHORT, .., a, b, c, d, e, f] if flags >> 4 == 0x7 => {
                let mac = MacAddress([a, b, c, d, e, f]);
                if bits(mac) == 0 { Eui64(0) } else { Eui64::of_mac(mac) }
            }
            _ => Eui64(group.to_bits() as u64),
        };
        (terminal != Eui64(0)).then_some(terminal)
    }

    /// The rendezvous point of the groups, where they name it.
    pub fn rendezvous_point(&self) -> Option<Ipv6Addr> {
        match self {
            GroupLayout::EmbeddedRp { .. } => embedded_rp(self.range().address()).ok(),
            GroupLayout::Ssm { .. } | GroupLayout::Asm { .. } => None,
        }
    }

    /// Whether members name the source (RFC 4607).
    pub const fn is_source_specific(&self) -> bool {
        matches!(self, GroupLayout::Ssm { .. })
    }

    const fn is_short(&self) -> bool {
        matches!(self, GroupLayout::EmbeddedRp { prefix, .. } if prefix.length() == SHORT)
    }
}

/// Prefix lengths with room for an EUI-64, and for a 48-bit address.
const WHOLE: u8 = 32;
const SHORT: u8 = 48;

fn bits(mac: MacAddress) -> u128 {
    mac.0.iter().fold(0, |bits, &octet| bits << 8 | u128::from(octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EUI: Eui64 = Eui64(0x0200_5eff_fe10_0001);

    #[test]
    fn layouts() {
        let scope = Scope::SITE_LOCAL;
        let embedded = |prefix: &str| {
            let prefix = prefix.parse().unwrap();
            GroupLayout::EmbeddedRp { scope, prefix, rp_interface_id: 1 }
        };
        let at = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        for (layout, group, range, rendezvous_point) in [
            (GroupLayout::Ssm { scope }, "ff35::200:5eff:fe10:1", "ff35::/64", None),
            (
                embedded("2001:db8::/32"),
                "ff75:120:2001:db8:200:5eff:fe10:1",
                "ff75:120:2001:db8::/64",
                Some("2001:db8::1"),
            ),
            (
                embedded("2001:db8:beef::/48"),
                "ff75:130:2001:db8:beef:200:5e10:1",
                "ff75:130:2001:db8:beef::/80",
                Some("2001:db8:beef::1"),
            ),
            (GroupLayout::Asm { scope, site_id: 0xabcd }, "ff15:0:0:abcd:200:5eff:fe10:1", "ff15:0:0:abcd::/64", None),
        ] {
            assert_eq!(layout.validate(), Ok(()));
            assert_eq!((layout.group(EUI), layout.range()), (Some(at(group)), range.parse().unwrap()));
            assert!(layout.range().contains(at(group)));
            assert_eq!(GroupLayout::terminal_of(at(group)), Some(EUI), "{group}");
            assert_eq!(layout.rendezvous_point(), rendezvous_point.map(at));
            assert_eq!(embedded_rp(at(group)).ok(), rendezvous_point.map(at), "as any router reads it");
        }
        assert!(GroupLayout::Asm { scope, site_id: 1 << 48 }.validate().is_err());
        for length in [31, 33, 47, 49, 64] {
            let refused = embedded(&format!("2001:db8::/{length}")).validate();
            assert_eq!(refused, Err(GroupLayoutError::PrefixLength(length)));
        }
        for id in [0, 16] {
            let prefix = "2001:db8::/48".parse().unwrap();
            let layout = GroupLayout::EmbeddedRp { scope, prefix, rp_interface_id: id };
            assert_eq!(layout.validate(), Err(GroupLayoutError::RpInterfaceId(id)));
        }
    }

    #[test]
    fn what_is_made_of_no_48_bit_address_has_no_short_group() {
        let layout = GroupLayout::EmbeddedRp {
            scope: Scope::SITE_LOCAL,
            prefix: "2001:db8:beef::/48".parse().unwrap(),
            rp_interface_id: 15,
        };
        let mut groups = std::collections::BTreeSet::new();
        for eui in [0x0200_5eff_fe10_0001, 0x0200_5fff_fe10_0001, 0x0200_5eff_fe10_0002] {
            assert!(groups.insert(layout.group(Eui64(eui)).unwrap()), "two terminals have one group");
        }
        for eui in [0x0200_5e00_0010_0001, 0x0200_5eff_ff10_0001, 0x0200_5efe_fe10_0001] {
            assert_eq!(layout.group(Eui64(eui)), None);
        }
        // Nobody's, whatever the layout.
        for group in ["ff35::", "ff75:120:2001:db8::", "ff75:130:2001:db8:beef::", "ff75:f30:2001:db8:1::"] {
            assert_eq!(GroupLayout::terminal_of(group.parse().unwrap()), None, "{group}");
        }
    }
}
