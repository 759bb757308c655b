//! Packets of all lengths, classes and hop limits, with headers in front, and what may be wrong with them.

use super::Draw;
use crate::octets::{self, next};
use crate::world;
use core::net::Ipv6Addr;

impl Draw<'_> {
    /// A datagram, perhaps with a header in front, and how many octets at its end are data.
    pub(super) fn udp(&mut self, source: Ipv6Addr, destination: Ipv6Addr) -> (Vec<u8>, usize) {
        let length = match self.below(8) {
            0..3 => 64 + self.below(200) as usize,
            3 => 1200 + self.below(301) as usize,
            4 => 1500,
            5 => {
                [1280, 1400, 1500, 1460, 1448, 1360, 1348, 1240, 1228][self.below(9) as usize] + self.below(3) as usize
                    - 1
            }
            _ => 64 + self.below(1437) as usize,
        };
        let hop_limit = if self.one_in(14) { self.below(4) as u8 } else { 2 + self.below(254) as u8 };
        let class = if self.one_in(3) { self.below(256) as u8 } else { 0 };
        let mut datagram = vec![0; length.min(1500) - 40];
        datagram[..4].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
        let octets = (datagram.len() as u16).to_be_bytes();
        datagram[4..6].copy_from_slice(&octets);
        let data = datagram.len() - 8;
        let mut packet = octets::packet(class, next::UDP, hop_limit, source, destination, &datagram);
        if self.one_in(4) {
            let label = self.below(1 << 20) as u32;
            packet[1] |= (label >> 16) as u8;
            packet[2..4].copy_from_slice(&(label as u16).to_be_bytes());
        }
        match self.below(40) {
            // A limit on encapsulations, padding, and options that nobody knows.
            0 => {
                let limit = self.below(3) as u8;
                insert(&mut packet, next::OPTIONS, &[0, 0, 4, 1, limit, 1, 1, 0]);
            }
            1 => insert(&mut packet, next::OPTIONS, &[0, 0, 1, 4, 0, 0, 0, 0]),
            2 => insert(
                &mut packet,
                next::OPTIONS,
                &[0, 0, [0x9e, 0x5e, 0xde, 0x1e][self.below(4) as usize], 4, 0, 0, 0, 0],
            ),
            3 => {
                // A fragment that is not the last.
                let number = self.below(1 << 30) as u32;
                let [a, b, c, d] = number.to_be_bytes();
                insert(&mut packet, next::FRAGMENT, &[0, 0, 0, 1, a, b, c, d]);
            }
            _ => {}
        }
        (packet, data)
    }

    pub(super) fn tunnel(
        &mut self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        (inner, data): (Vec<u8>, usize),
    ) -> (Vec<u8>, usize) {
        let mut inner = inner;
        let mut data = data;
        // With its outer header it came by a link.
        let too_many = (inner.len() + 40).saturating_sub(1500);
        if too_many > 0 {
            inner.truncate(inner.len() - too_many);
            data = data.saturating_sub(too_many);
            octets::set_length(&mut inner);
        }
        match self.below(60) {
            0 => inner[0] = 0x40,
            1 => inner[4] = 0x7f,
            2 => inner[8] = 0xff,
            3 => inner[8..24].copy_from_slice(&world::neighbor(3).octets()),
            4 => inner[24..40].copy_from_slice(&world::neighbor(4).octets()),
            5 => inner[24..40].copy_from_slice(&self.updates.group().octets()),
            6 => inner[24..40].copy_from_slice(&world::group(2, 3).octets()),
            7 => inner[24..40].fill(0),
            _ => {}
        }
        let class = match self.below(3) {
            0 => self.below(256) as u8,
            _ => octets::class(&inner),
        };
        let mut packet = octets::packet(class, next::IPV6, 60, source, destination, &inner);
        if self.one_in(40) {
            insert(&mut packet, next::OPTIONS, &[0, 0, 4, 1, 3, 1, 1, 0]);
        }
        if self.one_in(30) && packet.len() < 1490 {
            // Octets behind the packet inside are no part of it.
            packet.extend_from_slice(&[0x55; 7]);
            octets::set_length(&mut packet);
            data = 0;
        }
        (packet, data)
    }

    /// A packet with a type 2 routing header for a home address.
    pub(super) fn routed(&mut self, source: Ipv6Addr, care_of: Ipv6Addr, home_address: Ipv6Addr) -> (Vec<u8>, usize) {
        let (mut packet, data) = self.udp(source, care_of);
        let too_many = (packet.len() + 24).saturating_sub(1500);
        packet.truncate(packet.len() - too_many);
        let mut header = [0; 24];
        header[1..4].copy_from_slice(&[2, 2, u8::from(!self.one_in(40))]);
        header[8..].copy_from_slice(&home_address.octets());
        if packet[6] != next::UDP {
            // Nothing else in front: a router reads no further than the routing header.
            packet[6] = next::NONE;
        }
        insert(&mut packet, next::ROUTING, &header);
        (packet, data.saturating_sub(too_many))
    }

    /// Something may be wrong with the packet: octets behind it, or octets that are missing.
    pub(super) fn spoil(&mut self, packet: &mut [u8]) -> (usize, usize) {
        match self.below(220) {
            0 => packet[0] = 0x40,
            1 => packet[4] |= 0x40,
            2 => packet[8] = 0xff,
            3 => packet[8..24].copy_from_slice(&Ipv6Addr::LOCALHOST.octets()),
            4 => packet[8..24].fill(0),
            5 => packet[24..40].copy_from_slice(&Ipv6Addr::LOCALHOST.octets()),
            6 => packet[24..40].fill(0),
            7..12 => return (1 + self.below(20) as usize, 0),
            12 => return (0, 1 + self.below(60) as usize),
            _ => {}
        }
        (0, 0)
    }
}

/// Puts an extension header behind the IPv6 header; its first octet is filled in.
pub(super) fn insert(packet: &mut Vec<u8>, kind: u8, header: &[u8]) {
    let named = core::mem::replace(&mut packet[6], kind);
    packet.splice(40..40, header.iter().copied());
    packet[40] = named;
    octets::set_length(packet);
}
