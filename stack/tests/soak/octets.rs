//! Packets as octets: the fields of headers, and headers written from the RFCs' diagrams and nothing else.

use core::net::Ipv6Addr;

pub(crate) const HEADER: usize = 40;

/// Next headers.
pub(crate) mod next {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const GRE: u8 = 47;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const NONE: u8 = 59;
    pub(crate) const OPTIONS: u8 = 60;
    pub(crate) const PIM: u8 = 103;
    pub(crate) const MOBILITY: u8 = 135;
}

pub(crate) fn address(packet: &[u8], at: usize) -> Ipv6Addr {
    let octets: [u8; 16] = packet[at..at + 16].try_into().unwrap();
    Ipv6Addr::from(octets)
}

pub(crate) fn source(packet: &[u8]) -> Ipv6Addr {
    address(packet, 8)
}

pub(crate) fn destination(packet: &[u8]) -> Ipv6Addr {
    address(packet, 24)
}

/// Octets of the packet as its header says.
pub(crate) fn length(packet: &[u8]) -> usize {
    HEADER + usize::from(u16::from_be_bytes([packet[4], packet[5]]))
}

pub(crate) fn set_length(packet: &mut [u8]) {
    let payload = (packet.len() - HEADER) as u16;
    packet[4..6].copy_from_slice(&payload.to_be_bytes());
}

pub(crate) fn class(packet: &[u8]) -> u8 {
    (u16::from_be_bytes([packet[0], packet[1]]) >> 4) as u8
}

pub(crate) fn set_class(packet: &mut [u8], class: u8) {
    let word = u16::from_be_bytes([packet[0], packet[1]]) & 0xf00f | u16::from(class) << 4;
    packet[..2].copy_from_slice(&word.to_be_bytes());
}

/// The flow label.
pub(crate) fn label(packet: &[u8]) -> u32 {
    u32::from_be_bytes([0, packet[1] & 0xf, packet[2], packet[3]])
}

pub(crate) fn is_link_local(address: Ipv6Addr) -> bool {
    address.to_bits() >> 118 == 0xfe80 >> 6
}

/// The scope of a group (RFC 7346 §2); of a unicast address none.
pub(crate) fn scope(address: Ipv6Addr) -> Option<u8> {
    let octets = address.octets();
    (octets[0] == 0xff).then_some(octets[1] & 0xf)
}

/// The Internet checksum over a pseudo-header and a message (RFC 8200 §8.1).
pub(crate) fn checksum(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, message: &[u8]) -> u16 {
    let mut sum = message.len() as u64 + u64::from(next_header);
    let mut add = |octets: &[u8]| {
        for pair in octets.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    };
    add(&source.octets());
    add(&destination.octets());
    add(message);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An IPv6 header with flow label 0, and what follows it.
pub(crate) fn packet(
    class: u8,
    next_header: u8,
    hop_limit: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0; HEADER];
    packet[0] = 0x60;
    set_class(&mut packet, class);
    packet[6] = next_header;
    packet[7] = hop_limit;
    packet[8..24].copy_from_slice(&source.octets());
    packet[24..40].copy_from_slice(&destination.octets());
    packet.extend_from_slice(payload);
    set_length(&mut packet);
    packet
}

/// An ICMPv6 message with its checksum.
pub(crate) fn icmpv6(source: Ipv6Addr, destination: Ipv6Addr, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(body);
    let sum = checksum(source, destination, next::ICMPV6, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// The link-layer address of a group (RFC 2464 §7).
pub(crate) fn mac_of_group(group: Ipv6Addr) -> [u8; 6] {
    let octets = group.octets();
    [0x33, 0x33, octets[12], octets[13], octets[14], octets[15]]
}

pub(crate) fn frame(destination: [u8; 6], source: [u8; 6], packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + packet.len());
    frame.extend_from_slice(&destination);
    frame.extend_from_slice(&source);
    frame.extend_from_slice(&[0x86, 0xdd]);
    frame.extend_from_slice(packet);
    frame
}
