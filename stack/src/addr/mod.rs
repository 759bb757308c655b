//! Addresses and what is built from them: prefixes, scopes, EUI-64 identifiers, per-terminal groups.

mod embedded_rp;
mod eui64;
mod group;
mod halves;
mod mac;
mod prefix;
mod scope;

pub use embedded_rp::{EmbeddedRpError, embedded_rp};
pub use eui64::Eui64;
pub use group::{GroupLayout, GroupLayoutError};
pub(crate) use halves::{halves, whole};
pub use mac::MacAddress;
pub use prefix::{Prefix, PrefixParseError};
pub use scope::Scope;

use core::net::Ipv6Addr;

/// `ff02::1`, all nodes on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// `ff02::2`, all routers on the link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// `ff02::d`, all PIM routers on the link (RFC 7761 §4.3.1).
pub const ALL_PIM_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xd);
/// `ff02::16`, all MLDv2-capable routers on the link (RFC 3810 §5.2.14).
pub const ALL_MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// Whether the address is in `fe80::/10`.
pub const fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// The solicited-node multicast address of a unicast address (RFC 4291 §2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let o = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | o[13] as u16, u16::from_be_bytes([o[14], o[15]]))
}

/// The address made of a 64-bit prefix and an interface identifier.
pub const fn with_interface_identifier(prefix: Ipv6Addr, identifier: u64) -> Ipv6Addr {
    let high = u128::from_be_bytes(prefix.octets()) >> 64 << 64;
    Ipv6Addr::from_bits(high | identifier as u128)
}

/// The interface identifier, the low 64 bits.
pub const fn interface_identifier(address: Ipv6Addr) -> u64 {
    address.to_bits() as u64
}

/// Whether packets may name this address as one node's own: neither multicast, loopback nor unspecified.
pub const fn is_unicast(address: Ipv6Addr) -> bool {
    !(address.is_multicast() || address.is_unspecified() || address.is_loopback())
}

/// Unicast, usable beyond the link, and no IPv4-mapped address, which is never on the wire: what a Home Address or a care-of address has to be (RFC 6275 §6.1.7, §6.3).
pub const fn is_routable_unicast(address: Ipv6Addr) -> bool {
    is_unicast(address) && !is_link_local(address) && address.to_ipv4_mapped().is_none()
}
