//! The frames of a run: what is offered to a device, and what it has to make of them.
//!
//! The payload of every packet begins with a seal of 16 octets: sequence number and time, each with its complement, so that
//! the UDP checksum holds for all of them and a sink can tell a frame of the run from any other.

use crate::traffic::size::Size;
use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::wire::build::{DEFAULT_HOP_LIMIT, PacketBuilder};
use stack::wire::ethernet::{ETHERTYPE_IPV6, HEADER_LEN as ETHERNET_LEN, Header};
use stack::wire::ipv6::{HEADER_LEN, protocol};

/// Octets of the seal: sequence number, its complement, nanoseconds, their complement, each 32 bits as the machine has
/// them.
pub(super) const SEAL_LEN: usize = 16;
/// Packets after which the sizes of a mix repeat.
const CYCLE: u64 = 12;
const UDP_LEN: usize = 8;
const PORT: u16 = 5001;

/// Whoever speaks on the generator's side, and its prefix.
pub(super) const NEAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x100);
pub(super) const NEAR_LINK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1);
/// Whoever speaks on the sink's side.
pub(super) const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0x100);
pub(super) const FAR_LINK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 1);
/// The group of [`Service::Multicast`], with [`NEAR`] as the source, and of [`Service::Tunnel`], with [`TREE_SOURCE`].
pub(super) const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe00, 1);
pub(super) const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1);
pub(super) const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0x100, 1);
/// Made of the prefix and of the identifier that the group is made of.
pub(super) const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0x5eff, 0xfe00, 1);
/// What the terminal registers from, on the sink's side.
pub(super) const TERMINAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0x5eff, 0xfe00, 1);
/// The mobility agent.
pub(super) const TREE_SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x202, 0, 0, 0, 0, 1);

/// What a device does with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    /// Sends it on as it is, with other link-layer addresses.
    Reflect,
    /// Forwards it by its destination.
    Unicast,
    /// Forwards it by its source and group, to one branch.
    Multicast,
    /// Makes the home agent's tunnel one to the terminal's group.
    Tunnel,
}

/// Link-layer addresses of the four interfaces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) generator: MacAddress,
    pub(super) near: MacAddress,
    pub(super) far: MacAddress,
    pub(super) sink: MacAddress,
}

/// Which way frames go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// From the generator's interface to the sink's.
    Forth,
    /// The other way round.
    Back,
}

/// A frame up to its seal, its length, and the bits of it that are foreseen.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// All of the frame.
    pub(super) frame: Vec<u8>,
    /// Octets in front of the seal.
    pub(super) head: usize,
    /// For each of them the bits that matter.
    pub(super) mask: Vec<u8>,
}

/// One way's frames, one of each size.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) offered: Vec<Template>,
    pub(super) expected: Vec<Template>,
}

impl Flow {
    /// The frames of a service in sizes of the innermost IPv6 packet.
    pub(super) fn new(service: Service, way: Way, links: &Links, size: Size) -> Self {
        let links = match way {
            Way::Forth => *links,
            Way::Back => Links { generator: links.sink, near: links.far, far: links.near, sink: links.generator },
        };
        let each = |of: fn(Service, Way, &Links, u16) -> Template| {
            size.octets().iter().map(|&octets| of(service, way, &links, octets)).collect()
        };
        Flow { offered: each(offered), expected: each(expected) }
    }
}

/// Of each packet of a cycle the number of its flow and of its size.
pub(super) fn cycle(flows: usize, size: Size) -> Vec<(usize, usize)> {
    let packets = if size.octets().len() == 1 { 1 } else { CYCLE };
    (0..packets).flat_map(|packet| (0..flows).map(move |flow| (flow, size.of_packet(packet)))).collect()
}

fn offered(service: Service, way: Way, links: &Links, octets: u16) -> Template {
    let packet = match service {
        Service::Reflect | Service::Unicast => {
            let (source, destination) = ends(way);
            udp(source, destination, octets, DEFAULT_HOP_LIMIT)
        }
        Service::Multicast => udp(NEAR, GROUP, octets, DEFAULT_HOP_LIMIT),
        Service::Tunnel => {
            let inner = udp(NEAR, HOME, octets, DEFAULT_HOP_LIMIT);
            PacketBuilder::new(HOME_AGENT, CARE_OF).payload(protocol::IPV6, &inner)
        }
    };
    on_ethernet(packet, octets, links.near, links.generator)
}

fn expected(service: Service, way: Way, links: &Links, octets: u16) -> Template {
    let packet = match service {
        Service::Reflect => {
            let (source, destination) = ends(way);
            udp(source, destination, octets, DEFAULT_HOP_LIMIT)
        }
        Service::Unicast => {
            let (source, destination) = ends(way);
            udp(source, destination, octets, DEFAULT_HOP_LIMIT - 1)
        }
        Service::Multicast => udp(NEAR, GROUP, octets, DEFAULT_HOP_LIMIT - 1),
        Service::Tunnel => {
            // RFC 2473 §3.1: the node that forwards the inner packet into a tunnel takes one from its hop limit.
            let inner = udp(NEAR, HOME, octets, DEFAULT_HOP_LIMIT - 1);
            PacketBuilder::new(TREE_SOURCE, GROUP).payload(protocol::IPV6, &inner)
        }
    };
    let mut template = on_ethernet(packet, octets, links.sink, links.far);
    if service == Service::Tunnel {
        // The outer flow label is the device's choice.
        template.mask[ETHERNET_LEN + 1..ETHERNET_LEN + 4].copy_from_slice(&[0xf0, 0, 0]);
    }
    template
}

fn ends(way: Way) -> (Ipv6Addr, Ipv6Addr) {
    match way {
        Way::Forth => (NEAR, FAR),
        Way::Back => (FAR, NEAR),
    }
}

/// A UDP packet of so many octets whose seal is that of number zero at time zero.
fn udp(source: Ipv6Addr, destination: Ipv6Addr, octets: u16, hop_limit: u8) -> Vec<u8> {
    let length = octets - HEADER_LEN as u16;
    let mut datagram = [PORT.to_be_bytes(), PORT.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    datagram.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff].repeat(2));
    datagram.resize(usize::from(length), 0x5a);
    PacketBuilder::new(source, destination).hop_limit(hop_limit).checksummed(protocol::UDP, datagram, 6)
}

/// On Ethernet: to the link-layer group of a multicast destination, else to `destination`. The innermost packet, the last
/// `octets`, is UDP.
fn on_ethernet(packet: Vec<u8>, octets: u16, destination: MacAddress, source: MacAddress) -> Template {
    let to = Ipv6Addr::from_bits(u128::from_be_bytes(packet[24..40].try_into().expect("sixteen octets")));
    let destination = if to.is_multicast() { MacAddress::of_multicast(to) } else { destination };
    let mut frame = vec![0; ETHERNET_LEN];
    let header = Header { destination, source, ethertype: ETHERTYPE_IPV6 };
    header.emit(frame.first_chunk_mut().expect("fourteen octets"));
    frame.extend(packet);
    let head = frame.len() - usize::from(octets) + HEADER_LEN + UDP_LEN;
    Template { frame, head, mask: vec![0xff; head] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::inspect::describe;
    use stack::port::Medium;
    use stack::wire::checksum;

    const LINKS: Links = Links {
        generator: MacAddress([2, 0, 0, 0, 0, 1]),
        near: MacAddress([2, 0, 0, 0, 0, 2]),
        far: MacAddress([2, 0, 0, 0, 0, 3]),
        sink: MacAddress([2, 0, 0, 0, 0, 4]),
    };

    #[test]
    fn the_checksum_holds_whatever_the_seal_says() {
        let flow = Flow::new(Service::Unicast, Way::Forth, &LINKS, Size::Fixed(64));
        let mut frame = flow.offered[0].frame.clone();
        let seal = flow.offered[0].head;
        assert_eq!((frame.len(), seal), (78, 62));
        for (number, nanos) in [(0u32, 0u32), (1, 0xffff_ffff), (0x8000_0001, 12_345)] {
            for (at, value) in [(0, number), (4, !number), (8, nanos), (12, !nanos)] {
                frame[seal + at..seal + at + 4].copy_from_slice(&value.to_ne_bytes());
            }
            assert!(checksum::verify(NEAR, FAR, protocol::UDP, &frame[ETHERNET_LEN + HEADER_LEN..]));
        }
    }

    #[test]
    fn what_a_device_has_to_make_of_a_packet() {
        for (service, hop_limit) in [(Service::Reflect, 64), (Service::Unicast, 63)] {
            let flow = Flow::new(service, Way::Back, &LINKS, Size::Fixed(100));
            let description = describe(&flow.expected[0].frame, Medium::Ethernet);
            let link = description.link.unwrap();
            assert_eq!((link.destination, link.source), (LINKS.generator, LINKS.near));
            let header = description.outer().unwrap().header;
            assert_eq!((header.source, header.destination, header.hop_limit), (FAR, NEAR, hop_limit));
        }
        let flow = Flow::new(Service::Tunnel, Way::Forth, &LINKS, Size::Fixed(64));
        let (offered, expected) = (&flow.offered[0], &flow.expected[0]);
        assert_eq!((offered.head, expected.head, offered.frame.len()), (102, 102, 118));
        let description = describe(&expected.frame, Medium::Ethernet);
        assert_eq!(description.link.unwrap().destination, MacAddress::of_multicast(GROUP));
        assert_eq!(description.outer().unwrap().header.destination, GROUP);
        assert_eq!(description.inner().unwrap().header.hop_limit, 63);
    }

    #[test]
    fn ways_take_turns_and_each_has_the_whole_mix() {
        assert_eq!(cycle(2, Size::Fixed(64)), [(0, 0), (1, 0)]);
        let cycle = cycle(2, Size::Imix);
        for flow in 0..2 {
            let sizes: Vec<_> = cycle.iter().filter(|packet| packet.0 == flow).map(|packet| packet.1).collect();
            assert_eq!((sizes.len(), sizes.iter().filter(|&&size| size == 2).count()), (12, 1));
        }
    }
}
