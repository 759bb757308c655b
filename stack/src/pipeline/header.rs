//! The fields of an IPv6 header that stages read and write in place. Every packet behind `ip6_input` has 40 octets.

use crate::addr::{self, Prefix};
use core::net::Ipv6Addr;

#[inline(always)]
pub(crate) fn source(packet: &[u8]) -> Ipv6Addr {
    address(packet, 8)
}

#[inline(always)]
pub(crate) fn destination(packet: &[u8]) -> Ipv6Addr {
    address(packet, 24)
}

/// The address at `at`.
#[inline(always)]
pub(crate) fn address(packet: &[u8], at: usize) -> Ipv6Addr {
    addr::whole(halves(packet, at))
}

/// The halves of the address at `at`.
#[inline(always)]
pub(crate) fn halves(packet: &[u8], at: usize) -> [u64; 2] {
    [word(packet, at), word(packet, at + 8)]
}

/// Eight octets.
#[inline(always)]
pub(crate) fn word(packet: &[u8], at: usize) -> u64 {
    let mut octets = [0; 8];
    octets.copy_from_slice(&packet[at..at + 8]);
    u64::from_be_bytes(octets)
}

/// The destination of the packet that starts at `at`.
#[inline(always)]
pub(crate) fn destination_of_inner(packet: &[u8], at: usize) -> Ipv6Addr {
    address(packet, at + 24)
}

/// Header and payload together.
#[inline(always)]
pub(crate) fn total_length(packet: &[u8]) -> usize {
    40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]))
}

/// Writes the payload length of a packet that is `packet.len()` octets long.
#[inline(always)]
pub(crate) fn set_length(packet: &mut [u8]) {
    let length = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&length.to_be_bytes());
}

#[inline(always)]
pub(crate) fn traffic_class(packet: &[u8]) -> u8 {
    packet[0] << 4 | packet[1] >> 4
}

#[inline(always)]
pub(crate) fn set_traffic_class(packet: &mut [u8], class: u8) {
    packet[0] = packet[0] & 0xf0 | class >> 4;
    packet[1] = packet[1] & 0x0f | class << 4;
}

#[inline(always)]
pub(crate) fn set_ecn(packet: &mut [u8], ecn: u8) {
    packet[1] = packet[1] & 0xcf | ecn << 4;
}

/// Takes one off the hop limit; answers whether the packet may go on.
#[inline(always)]
pub(crate) fn hop(packet: &mut [u8]) -> bool {
    if packet[7] <= 1 {
        return false;
    }
    packet[7] -= 1;
    true
}

/// Whether one of `prefixes` holds `address`.
#[inline(always)]
pub(crate) fn in_any(prefixes: &[Prefix], address: Ipv6Addr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(address))
}
