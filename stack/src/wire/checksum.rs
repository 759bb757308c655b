//! The Internet checksum with the IPv6 pseudo-header (RFC 8200 §8.1).

use core::net::Ipv6Addr;

/// The checksum of an upper-layer message, to be written in its checksum field, which is zero in `message`.
///
/// With a Home Address option or a type 2 routing header the addresses are those of the packet as its ends see it: the
/// home address as source or destination (RFC 6275 §6.1.1, §6.4, §11.3.1).
pub fn upper_layer(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, message: &[u8]) -> u16 {
    !smoltcp::wire::checksum::combine(&[
        pseudo_header(source, destination, next_header, message.len()),
        smoltcp::wire::checksum::data(message),
    ])
}

/// Whether the checksum that `message` carries holds.
pub fn verify(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, message: &[u8]) -> bool {
    smoltcp::wire::checksum::combine(&[
        pseudo_header(source, destination, next_header, message.len()),
        smoltcp::wire::checksum::data(message),
    ]) == !0
}

fn pseudo_header(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, length: usize) -> u16 {
    let mut words = [0u8; 40];
    words[..16].copy_from_slice(&source.octets());
    words[16..32].copy_from_slice(&destination.octets());
    words[32..36].copy_from_slice(&(length as u32).to_be_bytes());
    words[39] = next_header;
    smoltcp::wire::checksum::data(&words)
}
