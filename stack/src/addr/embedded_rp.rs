//! The rendezvous point that a group's address names (RFC 3956).
//!
//! ```text
//! | 11111111 | 0111 | scope | reserved (4) | RIID (4) | plen (8) | network prefix (64) | group (32) |
//! ```
//!
//! `fff0::/12` is left alone (RFC 7371 §4.2).

use super::{Prefix, is_routable_unicast};
use core::net::Ipv6Addr;

/// Why a group names no rendezvous point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddedRpError {
    /// It is not in `ff70::/12`.
    #[error("{0} is not in ff70::/12")]
    NotEmbedded(Ipv6Addr),
    /// RFC 3956 §3: 1 to 64.
    #[error("the prefix length {0} is not 1 to 64")]
    PrefixLength(u8),
    /// RFC 3956 §6.3: 0 is reserved.
    #[error("the RP interface identifier 0 is reserved")]
    InterfaceId,
    /// What comes out is no address that packets can be sent to.
    #[error("{0} cannot be a rendezvous point")]
    Address(Ipv6Addr),
}

/// The rendezvous point of a group (RFC 3956 §4): the prefix of the length that the group says, and the RIID behind it.
///
/// # Errors
/// Where the group is none of this kind, or says what RFC 3956 forbids.
pub fn embedded_rp(group: Ipv6Addr) -> Result<Ipv6Addr, EmbeddedRpError> {
    let octets = group.octets();
    if octets[0] != 0xff || octets[1] >> 4 != 0x7 {
        return Err(EmbeddedRpError::NotEmbedded(group));
    }
    let (interface_id, length) = (octets[2] & 0xf, octets[3]);
    if !(1..=64).contains(&length) {
        return Err(EmbeddedRpError::PrefixLength(length));
    }
    if interface_id == 0 {
        return Err(EmbeddedRpError::InterfaceId);
    }
    let network = (group.to_bits() >> 32) as u64;
    let prefix = Prefix::new(Ipv6Addr::from_bits(u128::from(network) << 64), length)
        .ok_or(EmbeddedRpError::PrefixLength(length))?;
    let address = Ipv6Addr::from_bits(prefix.address().to_bits() | u128::from(interface_id));
    if is_routable_unicast(address) { Ok(address) } else { Err(EmbeddedRpError::Address(address)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_rfc_3956_section_5_name_their_rendezvous_points() {
        for (group, rp) in [
            ("ff7e:140:2001:db8:beef:feed::1234", "2001:db8:beef:feed::1"),
            ("ff7e:240:2001:db8:beef:feed::1234", "2001:db8:beef:feed::2"),
            ("ff75:130:2001:db8:beef:feed::1234", "2001:db8:beef::1"),
            ("ff75:f20:2001:db8:200:5eff:fe10:1", "2001:db8::f"),
            ("ff7e:f130:2001:db8:beef::1", "2001:db8:beef::1"),
            ("ff7e:121:2001:db8:ffff::1", "2001:db8:8000::1"),
        ] {
            assert_eq!(embedded_rp(group.parse().unwrap()), Ok(rp.parse().unwrap()), "{group}");
        }
    }

    #[test]
    fn what_the_rfc_forbids_names_none() {
        use EmbeddedRpError::{Address, InterfaceId, NotEmbedded, PrefixLength};
        let at = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        for (group, error) in [
            ("ff7e:100:2001:db8::1", PrefixLength(0)),
            ("ff7e:141:2001:db8::1", PrefixLength(0x41)),
            ("ff7e:1ff:2001:db8::1", PrefixLength(0xff)),
            ("ff7e:40:2001:db8::1", InterfaceId),
            ("ff7e:140:fe80::1", Address(at("fe80::1"))),
            ("ff7e:140:ff02::1", Address(at("ff02::1"))),
            ("ff7e:140::1", Address(at("::1"))),
        ] {
            assert_eq!(embedded_rp(at(group)), Err(error), "{group}");
        }
        // The flags R, P and T have to be set together, and the fourth not.
        for flags in (0..16u16).filter(|&flags| flags != 7) {
            let group = Ipv6Addr::new(0xff0e | flags << 4, 0x140, 0x2001, 0xdb8, 0, 0, 0, 1);
            assert_eq!(embedded_rp(group), Err(NotEmbedded(group)));
        }
    }
}
