//! Packets that this node forwards, answers or is given.

use super::headers::insert;
use super::{Draw, Kind};
use crate::octets::{self, next};
use crate::oracle::register_message;
use crate::updates::Terminal;
use crate::world::{self, AGENT, ANYCAST, HOME_AGENTS, SELF, SOURCES};
use core::net::Ipv6Addr;
use stack::machine::PortId;
use stack::tables::{Accept, MmaBinding, MrouteKey};

impl Draw<'_> {
    pub(super) fn correspondent(&mut self) -> Ipv6Addr {
        self.updates.correspondent()
    }

    pub(super) fn visitor(&mut self) -> (Terminal, Option<MmaBinding>) {
        let terminal = match self.updates.visitors.any(&mut self.updates.rng) {
            Some(terminal) if !self.one_in(30) => terminal,
            _ => {
                let number = self.below(40_000);
                (world::visitor(number), number)
            }
        };
        (terminal, self.model.bindings.get(&terminal.0).map(|&(binding, _)| binding))
    }

    pub(super) fn homed(&mut self) -> Terminal {
        match self.updates.homed.any(&mut self.updates.rng) {
            Some(terminal) if !self.one_in(20) => terminal,
            _ => {
                let number = self.below(40_000);
                (world::homed(number), number)
            }
        }
    }

    pub(super) fn own(&mut self) -> Ipv6Addr {
        [SELF, SELF, SELF, AGENT, SOURCES[0], HOME_AGENTS[0], ANYCAST, world::own_link_local(self.port)]
            [self.below(8) as usize]
    }

    pub(super) fn packet(&mut self, kind: Kind) -> (Vec<u8>, usize) {
        let correspondent = self.correspondent();
        match kind {
            Kind::Routed | Kind::GroupFrame => {
                let destination = self.correspondent();
                self.udp(correspondent, destination)
            }
            Kind::Anywhere => {
                let (site, host) = (self.below(0x2000) as u16, self.below(1 << 16) as u32);
                self.udp(correspondent, world::address(site, 0, host))
            }
            Kind::ToNode => self.node(correspondent),
            Kind::Echo => self.echo(correspondent),
            Kind::Signalling => self.signalling(correspondent),
            // Most of them come by the port that their route accepts.
            Kind::Multicast => self.by_route(correspondent, Accept::Port(PortId(self.port))),
            Kind::Register => self.register(correspondent),
            Kind::LinkGroup => self.link_group(),
            Kind::ViaHomeAgent | Kind::ViaPeer => self.care_of(kind, correspondent),
            Kind::ToCareOf => {
                let (_, binding) = self.visitor();
                let care_of = binding.map_or(world::care_of(7), |binding| binding.care_of);
                self.udp(correspondent, care_of)
            }
            Kind::Type2Routing => {
                let ((home_address, number), binding) = self.visitor();
                let care_of = match binding {
                    Some(binding) if !self.one_in(12) => binding.care_of,
                    _ => world::care_of(number << 3 | self.below(8)),
                };
                self.routed(correspondent, care_of, home_address)
            }
            Kind::ReverseToAgent => self.reverse_to_agent(correspondent),
            Kind::ReverseToHomeAgent => {
                let (mut home_address, number) = self.homed();
                let mut bound = self.model.home_bindings.get(&home_address).copied();
                let former = self.below(1 + 3 * self.updates.former.len() as u64) as usize;
                if let Some(&(formerly_bound, binding)) = self.updates.former.get(former) {
                    (home_address, bound) = (formerly_bound, Some(binding));
                }
                let (mut from, to) = match bound {
                    Some(bound) => (bound.care_of, bound.agent),
                    None => (world::foreign(number), HOME_AGENTS[(number % 2) as usize]),
                };
                if self.one_in(12) {
                    from = world::foreign(self.below(300));
                }
                let destination = if self.one_in(6) { self.homed().0 } else { correspondent };
                let inner = self.udp(home_address, destination);
                self.tunnel(from, to, inner)
            }
            Kind::ToHome => {
                let (home_address, _) = self.homed();
                self.udp(correspondent, home_address)
            }
            Kind::HomeAddressOption => {
                let (home_address, _) = self.homed();
                let from = match self.model.home_bindings.get(&home_address) {
                    Some(bound) if !self.one_in(3) => bound.care_of,
                    _ => correspondent,
                };
                let (mut packet, _) = self.udp(from, HOME_AGENTS[0]);
                packet.truncate(1476);
                packet[6] = next::UDP;
                let mut header = [0, 2, 1, 2, 0, 0, 0xc9, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                header[8..].copy_from_slice(&home_address.octets());
                insert(&mut packet, next::OPTIONS, &header);
                (packet, 8)
            }
            Kind::LinkLocal => {
                let near = world::neighbor(self.below(40));
                match self.below(3) {
                    0 => self.udp(near, correspondent),
                    1 => self.udp(correspondent, near),
                    _ => self.udp(near, world::own_link_local(self.port)),
                }
            }
        }
    }

    /// A packet to a group, most of them to one whose route accepts it there.
    fn by_route(&mut self, correspondent: Ipv6Addr, here: Accept) -> (Vec<u8>, usize) {
        let accepts = |draw: &Self, key: &MrouteKey| draw.model.mroutes.get(key).map(|route| route.0.accept);
        let mut drawn: Vec<_> = (0..24).filter_map(|_| self.updates.mroutes.any(&mut self.updates.rng)).collect();
        if self.one_in(4) {
            drawn.splice(..0, self.updates.holding.iter().copied());
        }
        let key = drawn.iter().find(|key| accepts(self, key) == Some(here)).or(drawn.first()).copied();
        match key {
            Some(key) if !self.one_in(12) => {
                let source = if key.source.is_unspecified() { correspondent } else { key.source };
                self.udp(source, key.group)
            }
            _ => {
                let group = self.updates.group();
                self.udp(correspondent, group)
            }
        }
    }

    /// A Register message, which may be for the node or wrong.
    fn register(&mut self, correspondent: Ipv6Addr) -> (Vec<u8>, usize) {
        let (mut inner, mut data) = self.by_route(correspondent, Accept::RendezvousPoint);
        let too_many = (inner.len() + octets::HEADER + 8).saturating_sub(1500);
        if too_many > 0 {
            inner.truncate(inner.len() - too_many);
            data = data.saturating_sub(too_many);
            octets::set_length(&mut inner);
        }
        match self.below(50) {
            0 => inner[0] = 0x40,
            1 => inner[5] ^= 1,
            2 => inner.truncate(39),
            3 => inner[24..40].copy_from_slice(&world::group(2, 3).octets()),
            4 => inner[24..40].copy_from_slice(&world::visitor(3).octets()),
            5 => inner[8..24].copy_from_slice(&SOURCES[0].octets()),
            6 => inner[8..24].copy_from_slice(&world::neighbor(3).octets()),
            7 => inner[8..24].fill(0),
            _ => {}
        }
        let data = data.min(inner.len().saturating_sub(octets::HEADER));
        let (from, own) = (self.correspondent(), self.own());
        let class = if self.one_in(3) { self.below(256) as u8 } else { octets::class(&inner) };
        let mut packet = register_message(class, 2 + self.below(250) as u8, from, own, &inner);
        match self.below(40) {
            0 => packet[40] = [0x11, 0x20, 0x22, 0x23][self.below(4) as usize],
            1 => packet[42] ^= 1,
            2 => {
                packet.truncate(47);
                octets::set_length(&mut packet);
                return (packet, 0);
            }
            // Null-Register, and the bits that are ignored.
            3 | 4 => sum(&mut packet, [0x40, 0, 0, 0], 8),
            5 => sum(&mut packet, [0x80, 0, 0, 9], 8),
            // Over all of it: it holds with the data that it has.
            6..10 => {
                let end = packet.len() - octets::HEADER;
                sum(&mut packet, [0; 4], end);
                return (packet, 0);
            }
            10 => insert(&mut packet, next::OPTIONS, &[0, 0, 1, 4, 0, 0, 0, 0]),
            _ => {}
        }
        (packet, data)
    }

    pub(super) fn node(&mut self, correspondent: Ipv6Addr) -> (Vec<u8>, usize) {
        let own = self.own();
        let (mut packet, data) = self.udp(correspondent, own);
        if packet[6] == next::FRAGMENT {
            packet[6] = next::NONE;
        }
        match self.below(6) {
            0 if packet[6] == next::UDP => packet[6] = 200,
            1 if packet[6] == next::UDP => packet[6] = next::NONE,
            // A source route that is not for here.
            2 if packet.len() < 1490 => insert(&mut packet, next::ROUTING, &[0, 0, 4, 1, 0, 0, 0, 0]),
            _ => {}
        }
        (packet, data)
    }

    pub(super) fn echo(&mut self, correspondent: Ipv6Addr) -> (Vec<u8>, usize) {
        let own = self.own();
        let mut body = vec![0; 12 + self.below(1440) as usize];
        for octet in &mut body[4..] {
            *octet = self.below(256) as u8;
        }
        let mut message = octets::icmpv6(correspondent, own, 128, 0, &body);
        message[2] ^= u8::from(self.one_in(12));
        let class = self.below(256) as u8;
        // Its checksum holds with the data that it has.
        (octets::packet(class, next::ICMPV6, 3, correspondent, own, &message), 0)
    }

    pub(super) fn signalling(&mut self, correspondent: Ipv6Addr) -> (Vec<u8>, usize) {
        let own = self.own();
        match self.below(4) {
            0 => (octets::packet(0, next::PIM, 1, correspondent, own, &[0x20; 26]), 16),
            1 => (
                octets::packet(
                    0,
                    next::MOBILITY,
                    9,
                    correspondent,
                    own,
                    &[59, 2, 5, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0],
                ),
                8,
            ),
            2 => {
                let body = self.updates.rng.next_u64().to_be_bytes();
                let message = octets::icmpv6(correspondent, own, 136, 0, &body);
                (octets::packet(0, next::ICMPV6, 255, correspondent, own, &message), 0)
            }
            _ => {
                // MLD to a group that nobody hears.
                let group = self.updates.group();
                let source = world::neighbor(self.below(9));
                let body = self.updates.rng.next_u64().to_be_bytes();
                let message = octets::icmpv6(source, group, 130, 0, &[&body[..], &[0; 16]].concat());
                let mut packet = octets::packet(0, next::ICMPV6, 1, source, group, &message);
                insert(&mut packet, next::HOP_BY_HOP, &[0, 0, 5, 2, 0, 0, 1, 0]);
                (packet, 0)
            }
        }
    }

    pub(super) fn link_group(&mut self) -> (Vec<u8>, usize) {
        let group = match self.updates.groups.any(&mut self.updates.rng) {
            Some((_, group)) if !self.one_in(4) => group,
            _ => match self.below(3) {
                0 => world::group(2, self.below(20)),
                1 => world::group(1, 5),
                _ => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
            },
        };
        let source = match self.below(3) {
            0 => Ipv6Addr::UNSPECIFIED,
            _ => world::neighbor(self.below(20)),
        };
        (octets::packet(0, next::PIM, 1, source, group, &[0x20; 34]), 24)
    }
}

/// Gives a Register message these four octets behind its checksum, which is over its first `summed`.
fn sum(packet: &mut [u8], flags: [u8; 4], summed: usize) {
    let (from, to) = (octets::source(packet), octets::destination(packet));
    packet[42..44].fill(0);
    packet[44..48].copy_from_slice(&flags);
    let sum = octets::checksum(from, to, next::PIM, &packet[40..40 + summed]);
    packet[42..44].copy_from_slice(&sum.to_be_bytes());
}
