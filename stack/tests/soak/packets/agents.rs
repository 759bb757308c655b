//! Packets through the tunnels of home agents, of other agents and of terminals.

use super::{Draw, Kind};
use crate::octets::{self, next};
use crate::world::{self, AGENT, OTHER_AGENT};
use core::net::Ipv6Addr;

impl Draw<'_> {
    /// Through a tunnel to a care-of address.
    pub(super) fn care_of(&mut self, kind: Kind, correspondent: Ipv6Addr) -> (Vec<u8>, usize) {
        let ((home_address, number), binding) = self.visitor();
        let (mut care_of, mut home_agent) = match binding {
            Some(binding) => (binding.care_of, binding.home_agent),
            None => (world::care_of(number << 3 | self.below(4)), world::foreign_agent(number)),
        };
        match self.below(24) {
            0 => care_of = world::care_of(number << 3 | self.below(4)),
            1 => home_agent = world::foreign_agent(number + 1),
            _ => {}
        }
        if kind == Kind::ViaHomeAgent {
            let mut inner = self.udp(correspondent, home_address);
            if self.one_in(40) {
                let message = [59, 2, [0, 3, 5, 7][self.below(4) as usize], 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
                inner = (octets::packet(0, next::MOBILITY, 30, correspondent, home_address, &message), 8);
            }
            return self.tunnel(home_agent, care_of, inner);
        }
        let peer = world::foreign(self.below(900));
        let inner = match self.below(3) {
            0 => self.udp(correspondent, home_address),
            1 => {
                let other = self.correspondent();
                self.routed(correspondent, other, home_address)
            }
            _ => {
                let former = world::foreign(self.below(900));
                self.routed(correspondent, former, home_address)
            }
        };
        self.tunnel(peer, care_of, inner)
    }

    pub(super) fn reverse_to_agent(&mut self, correspondent: Ipv6Addr) -> (Vec<u8>, usize) {
        let ((home_address, number), binding) = self.visitor();
        let identifier = if self.one_in(20) { 7 } else { world::identifier(number) };
        let mut from = match binding {
            Some(binding) if number >= 1 << 20 && !self.one_in(8) => binding.group,
            _ => world::on_access_link(self.below(4), identifier),
        };
        if self.one_in(24) {
            from = world::foreign(number);
        }
        let pair = self.updates.pairs.any(&mut self.updates.rng);
        let inner = match (self.below(10), pair, binding) {
            (0..2, Some((home_address, correspondent)), _) => {
                let number = u64::from(home_address.to_bits() as u32).wrapping_sub(0x1_0000);
                from = world::on_access_link(self.below(4), world::identifier(number));
                self.udp(home_address, correspondent)
            }
            // From the care-of address: to the home agent, as a test, or to anybody.
            (2, _, Some(binding)) => match self.below(3) {
                0 => self.udp(binding.care_of, binding.home_agent),
                1 => {
                    let message = [59, 1, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
                    (octets::packet(0, next::MOBILITY, 30, binding.care_of, correspondent, &message), 8)
                }
                _ => self.udp(binding.care_of, correspondent),
            },
            _ => self.udp(home_address, correspondent),
        };
        let to = self.model.service.as_ref().map_or(AGENT, |service| service.address);
        let to = if self.one_in(30) { OTHER_AGENT } else { to };
        self.tunnel(from, to, inner)
    }
}
