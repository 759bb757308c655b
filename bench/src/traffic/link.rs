//! Frames and ports as all benchmarks have them.

use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::port::{LinkState, Medium, PortInfo};
use stack::wire::ethernet::{ETHERTYPE_IPV6, HEADER_LEN, Header};

/// A packet on Ethernet.
pub(crate) fn framed(packet: &[u8], destination: MacAddress, source: MacAddress) -> Vec<u8> {
    let header = Header { destination, source, ethertype: ETHERTYPE_IPV6 };
    let mut frame = vec![0; HEADER_LEN];
    header.emit(frame.first_chunk_mut().expect("fourteen octets"));
    frame.extend_from_slice(packet);
    frame
}

/// A packet to a group on Ethernet.
pub(crate) fn to_group(packet: &[u8], source: MacAddress) -> Vec<u8> {
    framed(packet, MacAddress::of_multicast(destination(packet)), source)
}

/// Where a packet is going.
pub(crate) fn destination(packet: &[u8]) -> Ipv6Addr {
    Ipv6Addr::from_bits(u128::from_be_bytes(packet[24..40].try_into().expect("sixteen octets")))
}

/// An Ethernet port in memory.
pub(crate) fn in_memory(name: String, link_address: MacAddress, mtu: usize) -> PortInfo {
    let mode = String::new();
    PortInfo { name, kind: "mem", mode, medium: Medium::Ethernet, link_address, mtu, link: LinkState::Up, xdp: None }
}
