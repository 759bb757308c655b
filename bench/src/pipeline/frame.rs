//! The packets of a path: one frame as a template, and the places in it that differ from packet to packet.

use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::wire::build::PacketBuilder;
use stack::wire::ethernet::{ETHERTYPE_IPV6, HEADER_LEN as ETHERNET_LEN, Header};
use stack::wire::gre;
use stack::wire::ipv6::{HEADER_LEN, protocol};

/// Octets of a type 2 routing header.
const ROUTING_LEN: usize = 24;
const UDP_LEN: usize = 8;
/// Where the last four octets of the source and of the destination stand in an IPv6 header.
const SOURCE_END: usize = 20;
const DESTINATION_END: usize = 36;

/// What the last four octets of the address of an entry are. Zero would make some of them anycast addresses.
pub(crate) fn number(index: u32) -> u32 {
    0x0100_0000 + index
}

/// `prefix` with the number of an entry at its end.
pub(crate) fn nth(prefix: Ipv6Addr, index: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.to_bits() & !0xffff_ffff | u128::from(number(index)))
}

/// What is written into a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// The entry's number.
    Number,
    /// Its complement, so that a checksum over both never changes.
    Complement,
    /// The entry's address, all of it.
    Address,
    /// Its complement.
    AddressComplement,
    /// The packet's number on this path.
    Sequence,
}

/// The template.
#[derive(Clone)]
pub(crate) struct Frame {
    octets: Vec<u8>,
    marks: Vec<(usize, Value)>,
    /// The address of an entry.
    address: fn(u32) -> Ipv6Addr,
}

impl Frame {
    /// A UDP packet of so many octets; which addresses vary is said afterwards, and they are those of entry 0 here.
    pub(crate) fn udp(source: Ipv6Addr, destination: Ipv6Addr, octets: usize) -> Self {
        let builder = PacketBuilder::new(source, destination);
        Self::with(builder, octets, HEADER_LEN + UDP_LEN, &(!number(0)).to_be_bytes())
    }

    /// A UDP packet of so many octets, at least 64, to the address of the entry.
    pub(crate) fn udp_to_each(source: Ipv6Addr, destination: fn(u32) -> Ipv6Addr, octets: usize) -> Self {
        let builder = PacketBuilder::new(source, destination(0));
        let complement = !destination(0).to_bits();
        let mut frame = Self::with(builder, octets, HEADER_LEN + UDP_LEN, &complement.to_be_bytes());
        frame.marks.push((HEADER_LEN - 16, Value::Address));
        frame.marks.push((HEADER_LEN + UDP_LEN, Value::AddressComplement));
        frame.address = destination;
        frame
    }

    /// A UDP packet of so many octets to a care-of address with a type 2 routing header; the home address is the entry's.
    pub(crate) fn routed(source: Ipv6Addr, care_of: Ipv6Addr, home_address: Ipv6Addr, octets: usize) -> Self {
        let builder = PacketBuilder::new(source, care_of).type2_routing(home_address);
        let mut frame = Self::with(builder, octets, HEADER_LEN + ROUTING_LEN + UDP_LEN, &(!number(0)).to_be_bytes());
        frame.marks.push((DESTINATION_END, Value::Number));
        frame.marks.push((HEADER_LEN + ROUTING_LEN - 4, Value::Number));
        frame.complemented(HEADER_LEN + ROUTING_LEN + UDP_LEN)
    }

    fn with(builder: PacketBuilder, octets: usize, headers: usize, complement: &[u8]) -> Self {
        let data = octets.saturating_sub(headers).max(complement.len());
        let length = (UDP_LEN + data) as u16;
        let mut datagram = vec![0x13, 0x89, 0x13, 0x89, 0, 0, 0, 0];
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        datagram.extend_from_slice(complement);
        datagram.resize(usize::from(length), 0x5a);
        Frame {
            octets: builder.checksummed(protocol::UDP, datagram, 6),
            marks: Vec::new(),
            address: |_| Ipv6Addr::UNSPECIFIED,
        }
    }

    /// The source is the entry's. Only one address that a checksum covers may be.
    pub(crate) fn source_varies(mut self) -> Self {
        self.marks.push((SOURCE_END, Value::Number));
        self.complemented(HEADER_LEN + UDP_LEN)
    }

    /// The destination is the entry's.
    pub(crate) fn destination_varies(mut self) -> Self {
        self.marks.push((DESTINATION_END, Value::Number));
        self.complemented(HEADER_LEN + UDP_LEN)
    }

    fn complemented(mut self, at: usize) -> Self {
        self.marks.push((at, Value::Complement));
        self
    }

    /// In a tunnel; with a key, GRE with a sequence number.
    pub(crate) fn tunnelled(mut self, source: Ipv6Addr, destination: Ipv6Addr, key: Option<u32>) -> Self {
        let (kind, mut inside) = match key {
            None => (protocol::IPV6, Vec::new()),
            Some(key) => {
                let mut header = [0; gre::KEY_SEQUENCE_LEN];
                gre::emit_key_sequence(&mut header, key, 0);
                (protocol::GRE, header.to_vec())
            }
        };
        let shift = HEADER_LEN + inside.len();
        self.marks.iter_mut().for_each(|(at, _)| *at += shift);
        if key.is_some() {
            self.marks.push((shift - 4, Value::Sequence));
        }
        inside.extend_from_slice(&self.octets);
        self.octets = PacketBuilder::new(source, destination).payload(kind, &inside);
        self
    }

    /// The outer source is the entry's.
    pub(crate) fn outer_source_varies(mut self) -> Self {
        self.marks.push((SOURCE_END, Value::Number));
        self
    }

    /// The outer destination is the entry's.
    pub(crate) fn outer_destination_varies(mut self) -> Self {
        self.marks.push((DESTINATION_END, Value::Number));
        self
    }

    /// On Ethernet: to the link-layer group of a multicast destination, else to `destination`.
    pub(crate) fn on_ethernet(mut self, destination: MacAddress, source: MacAddress) -> Self {
        let to = Ipv6Addr::from_bits(u128::from_be_bytes(self.octets[24..40].try_into().expect("sixteen octets")));
        let destination = if to.is_multicast() { MacAddress::of_multicast(to) } else { destination };
        let mut octets = vec![0; ETHERNET_LEN];
        let header = Header { destination, source, ethertype: ETHERTYPE_IPV6 };
        header.emit(octets.first_chunk_mut().expect("fourteen octets"));
        octets.append(&mut self.octets);
        self.octets = octets;
        self.marks.iter_mut().for_each(|(at, _)| *at += ETHERNET_LEN);
        if to.is_multicast() && self.marks.contains(&(ETHERNET_LEN + DESTINATION_END, Value::Number)) {
            self.marks.push((2, Value::Number));
        }
        self
    }

    /// Octets of every packet.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Makes a copy of the template the packet of an entry.
    pub(crate) fn fill(&self, copy: &mut [u8], index: u32, sequence: u32) {
        for &(at, value) in &self.marks {
            let value = match value {
                Value::Number => number(index),
                Value::Complement => !number(index),
                Value::Sequence => sequence,
                Value::Address | Value::AddressComplement => {
                    let address = (self.address)(index).to_bits();
                    let bits = if value == Value::Address { address } else { !address };
                    copy[at..at + 16].copy_from_slice(&bits.to_be_bytes());
                    continue;
                }
            };
            copy[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::inspect::describe;
    use stack::port::Medium;
    use stack::wire::checksum;

    const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x100, 0);
    const DESTINATION: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0x100, 0);

    fn packet(frame: &Frame, index: u32) -> Vec<u8> {
        let mut copy = frame.octets().to_vec();
        frame.fill(&mut copy, index, 7);
        copy
    }

    #[test]
    fn the_checksum_holds_for_every_entry() {
        let frame = Frame::udp(SOURCE, DESTINATION, 64).destination_varies();
        for index in [0, 1, 0xfffe, 0xf_ffff] {
            let packet = packet(&frame, index);
            let destination = nth(DESTINATION, index);
            assert!(checksum::verify(SOURCE, destination, protocol::UDP, &packet[HEADER_LEN..]));
            assert_eq!((packet.len(), &packet[24..40]), (64, &destination.octets()[..]));
        }
        let destination = |index| Ipv6Addr::from_bits(0x2a00 << 112 | u128::from(index) << 77 | 7);
        let frame = Frame::udp_to_each(SOURCE, destination, 64);
        for index in [0, 1, u32::MAX] {
            let (packet, destination) = (packet(&frame, index), destination(index));
            assert!(checksum::verify(SOURCE, destination, protocol::UDP, &packet[HEADER_LEN..]));
            assert_eq!((packet.len(), &packet[24..40]), (64, &destination.octets()[..]));
        }
    }

    #[test]
    fn every_layer_is_where_it_should_be() {
        let group = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0x100, 0);
        let inner = Frame::udp(SOURCE, DESTINATION, 80).destination_varies();
        let frame = inner.tunnelled(SOURCE, group, Some(5)).outer_destination_varies();
        let frame = frame.on_ethernet(MacAddress::default(), MacAddress([2, 0, 0, 0, 0, 1]));
        let packet = packet(&frame, 9);
        let description = describe(&packet, Medium::Ethernet);
        assert_eq!(description.link.unwrap().destination, MacAddress::of_multicast(nth(group, 9)));
        assert_eq!(description.outer().unwrap().header.destination, nth(group, 9));
        assert_eq!(description.inner().unwrap().header.destination, nth(DESTINATION, 9));
        assert_eq!((description.gre_sequence(), packet.len()), (Some(7), 14 + 40 + 12 + 80));
    }

    #[test]
    fn a_routing_header_names_the_entry() {
        let packet = packet(&Frame::routed(SOURCE, nth(DESTINATION, 0), nth(SOURCE, 0), 100), 3);
        assert_eq!(packet[24..40], nth(DESTINATION, 3).octets());
        assert_eq!((&packet[48..64], packet.len()), (&nth(SOURCE, 3).octets()[..], 100));
    }
}
