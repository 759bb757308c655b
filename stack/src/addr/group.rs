use super::{Eui64, Prefix, Scope, embedded_rp};
use core::net::Ipv6Addr;

/// How the group that belongs to one terminal is made from its EUI-64 (patent fig. 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupLayout {
    /// `ff3S::EUI-64`, source-specific (RFC 4607): the same group in every site, no rendezvous point.
    Ssm {
        /// Normally [`Scope::SITE_LOCAL`].
        scope: Scope,
    },
    /// `ff7S:0y20:P32:EUI-64`, the rendezvous point `P::y` embedded (RFC 3956 §3, prefix length 32).
    EmbeddedRp {
        /// Normally [`Scope::SITE_LOCAL`].
        scope: Scope,
        /// The operator's /32.
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
    /// An embedded RP needs a /32 in front of a whole EUI-64.
    #[error("the embedded-RP layout with a whole EUI-64 needs a prefix of length 32, not {0}")]
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
                if prefix.length() != 32 {
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

    /// The group of the terminal with this identifier.
    pub const fn group(&self, terminal: Eui64) -> Ipv6Addr {
        Ipv6Addr::from_bits((self.high_bits() as u128) << 64 | terminal.0 as u128)
    }

    /// The range that holds the groups of all terminals: the mobility range of a site.
    pub const fn range(&self) -> Prefix {
        Prefix::of_link(Ipv6Addr::from_bits((self.high_bits() as u128) << 64))
    }

    /// The terminal that a group belongs to, where the group is of this layout.
    pub fn terminal(&self, group: Ipv6Addr) -> Option<Eui64> {
        self.range().contains(group).then_some(Eui64(group.to_bits() as u64))
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

    const fn high_bits(&self) -> u64 {
        match *self {
            GroupLayout::Ssm { scope } => 0xff30_0000_0000_0000 | (scope.value() as u64) << 48,
            GroupLayout::EmbeddedRp { scope, prefix, rp_interface_id } => {
                let network = (prefix.address().to_bits() >> 96) as u64;
                0xff70_0000_0000_0000
                    | (scope.value() as u64) << 48
                    | (rp_interface_id as u64) << 40
                    | 0x20 << 32
                    | network
            }
            GroupLayout::Asm { scope, site_id } => 0xff10_0000_0000_0000 | (scope.value() as u64) << 48 | site_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EUI: Eui64 = Eui64(0x0200_5eff_fe10_0001);

    #[test]
    fn layouts() {
        let scope = Scope::SITE_LOCAL;
        let ssm = GroupLayout::Ssm { scope };
        assert_eq!(ssm.group(EUI), "ff35::200:5eff:fe10:1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(ssm.terminal(ssm.group(EUI)), Some(EUI));
        assert_eq!(ssm.terminal("ff15::1".parse().unwrap()), None);
        let prefix = "2001:db8::/32".parse().unwrap();
        let embedded = GroupLayout::EmbeddedRp { scope, prefix, rp_interface_id: 1 };
        assert_eq!(embedded.validate(), Ok(()));
        assert_eq!(embedded.group(EUI), "ff75:0120:2001:db8:200:5eff:fe10:1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(embedded.rendezvous_point(), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(
            (ssm.rendezvous_point(), embedded_rp(embedded.group(EUI)).ok()),
            (None, embedded.rendezvous_point())
        );
        let asm = GroupLayout::Asm { scope, site_id: 0xabcd };
        assert_eq!(asm.group(EUI), "ff15:0:0:abcd:200:5eff:fe10:1".parse::<Ipv6Addr>().unwrap());
        assert!(GroupLayout::Asm { scope, site_id: 1 << 48 }.validate().is_err());
    }
}
