//! Routes, neighbours and multicast routes.

use super::{Updates, prefix, terminal_tree};
use crate::world::{self, AGENT, BUSY_PORTS, HOME_AGENTS, HOME_PORT, PORTS, SELF, SOURCES};
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::rng::Rng;
use stack::tables::{Accept, Mroute, MrouteKey, PortSet, RegisterTunnel, Route, TableUpdate, Watch};

impl Updates {
    pub(super) fn route(&mut self, grows: bool) -> TableUpdate {
        let known = self.routes.any(&mut self.rng);
        match known {
            // Most of what is there stays; some is replaced.
            Some(known) if self.rng.below(6) == 0 => TableUpdate::RouteSet(known, self.target(known.length())),
            Some(known) if !grows => {
                self.routes.remove(known);
                TableUpdate::RouteRemove(known)
            }
            _ if self.rng.below(40) == 0 => {
                let site = self.rng.below(12);
                self.site_route(site).unwrap_or_else(|| self.service())
            }
            _ => {
                let new = self.prefix(known);
                self.routes.insert(new);
                TableUpdate::RouteSet(new, self.target(new.length()))
            }
        }
    }

    /// A prefix near to one that is there, around it, or anywhere.
    pub(super) fn prefix(&mut self, known: Option<Prefix>) -> Prefix {
        let rng = &mut self.rng;
        let anywhere = 0x2001_0db8_u128 << 96 | 1 << 95 | u128::from(rng.next_u64()) << 31;
        let within = |rng: &mut Rng, known: Prefix| {
            let noise = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
            let kept = known.address().to_bits();
            Ipv6Addr::from_bits(if known.length() == 0 { noise } else { kept | noise >> known.length().min(127) })
        };
        match (rng.below(10), known) {
            (0..3, Some(known)) if known.length() >= 16 => {
                let length = known.length() + rng.below(u64::from(129 - known.length())) as u8;
                prefix(within(rng, known), length)
            }
            (3..5, Some(known)) if known.length() >= 16 => {
                prefix(known.address(), 16 + rng.below(u64::from(known.length() - 15)) as u8)
            }
            (5, Some(known)) if known.length() >= 16 => Prefix::host(within(rng, known)),
            (6, _) => prefix(Ipv6Addr::from_bits(anywhere), rng.below(34) as u8),
            _ => prefix(Ipv6Addr::from_bits(anywhere), 34 + rng.below(31) as u8),
        }
    }

    pub(super) fn target(&mut self, length: u8) -> Route {
        let next_hop = world::neighbor(self.rng.below(40));
        match self.rng.below(100) {
            0..60 => Route::Via { port: self.busy_port(), next_hop },
            60..78 => Route::OnLink(self.busy_port()),
            78..84 => Route::Unreachable,
            84..89 => Route::Blackhole,
            89..92 if length >= 48 => Route::Local,
            92..94 if length >= 48 => Route::CareOf,
            94 => Route::OnLink(PortId(PORTS + 3)),
            _ => Route::Via { port: PortId(self.rng.below(u64::from(PORTS)) as u8), next_hop },
        }
    }

    /// Routes to other sites, to their home agents and to the links of this one.
    pub(super) fn site_route(&mut self, number: u64) -> Option<TableUpdate> {
        let site = match number {
            0..4 => prefix(world::foreign(number), 48),
            4..9 => prefix(world::foreign_agent(number - 4), 48),
            9 => prefix(world::on_access_link(0, 0), 62),
            _ => prefix(HOME_AGENTS[number as usize % 2], 64),
        };
        if number >= 10 {
            return (self.rng.below(4) > 0).then_some(TableUpdate::RouteSet(site, Route::OnLink(PortId(HOME_PORT))));
        }
        Some(match self.rng.below(12) {
            0 => TableUpdate::RouteRemove(site),
            1 => TableUpdate::RouteSet(site, Route::Unreachable),
            2 => TableUpdate::RouteSet(site, Route::OnLink(self.busy_port())),
            _ => {
                let next_hop = world::neighbor(self.rng.below(8));
                TableUpdate::RouteSet(site, Route::Via { port: self.busy_port(), next_hop })
            }
        })
    }

    pub(super) fn neighbor(&mut self, grows: bool) -> TableUpdate {
        let known = self.neighbors.any(&mut self.rng).filter(|_| !grows || self.rng.below(3) == 0);
        let Some((port, address)) = known else {
            let port = self.busy_port();
            let address = match self.rng.below(3) {
                0 => world::neighbor(self.rng.below(40)),
                1 => world::neighbor(self.rng.below(3_000)),
                _ => world::homed(self.rng.below(20_000)),
            };
            self.neighbors.insert((port.0, address));
            return TableUpdate::NeighborSet(port, address, self.link_address());
        };
        match self.rng.below(4) {
            0 => TableUpdate::NeighborSet(PortId(port), address, self.link_address()),
            1 => TableUpdate::NeighborFailed(PortId(port), address),
            _ => {
                self.neighbors.remove((port, address));
                TableUpdate::NeighborRemove(PortId(port), address)
            }
        }
    }

    pub(super) fn branches(&mut self) -> PortSet {
        let mut ports = PortSet::EMPTY;
        for _ in 0..self.rng.below(9) {
            let most = if self.rng.below(16) == 0 { PORTS } else { BUSY_PORTS };
            ports.insert(PortId(self.rng.below(u64::from(most)) as u8));
        }
        if self.rng.below(200) == 0 {
            ports.insert(PortId(PORTS + 1));
        }
        ports
    }

    pub(super) fn mroute(&mut self, grows: bool) -> TableUpdate {
        let known = self.mroutes.any(&mut self.rng);
        // Those that keep packets change while they do.
        let holding = self.rng.below(240) as usize;
        let key = match known {
            _ if holding < self.holding.len() => self.holding.swap_remove(holding),
            Some(known) if self.rng.below(4) == 0 => known,
            Some(known) if !grows => {
                self.mroutes.remove(known);
                return TableUpdate::MrouteRemove(known);
            }
            _ => match (self.rng.below(10), self.visitors.any(&mut self.rng)) {
                (0..5, Some((_, number))) => terminal_tree(number),
                (5, _) => MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: self.group() },
                _ => MrouteKey { source: world::visitor(self.rng.below(300)), group: self.group() },
            },
        };
        self.mroutes.insert(key);
        let (of_node, is_shared) = (SOURCES.contains(&key.source), key.source.is_unspecified());
        let accept = match self.rng.below(20) {
            0 if !of_node => Accept::Local,
            0 => Accept::Port(self.busy_port()),
            1 => Accept::RendezvousPoint,
            2..8 if is_shared => Accept::RendezvousPoint,
            _ if of_node => Accept::Local,
            _ => Accept::Port(self.busy_port()),
        };
        let watch = match self.rng.below(16) {
            0 | 1 => Watch::NextPacket,
            2 => Watch::Sources,
            3..8 if is_shared => Watch::Sources,
            _ => Watch::Nothing,
        };
        let register = (self.rng.below(12) == 0).then(|| self.register_tunnel());
        let hold = self.rng.below(4) == 0;
        let forward = if hold && self.rng.below(2) == 0 { PortSet::EMPTY } else { self.branches() };
        TableUpdate::MrouteSet(key, Mroute { accept, forward, register, watch, hold })
    }

    fn register_tunnel(&mut self) -> RegisterTunnel {
        let source = [SELF, AGENT, SOURCES[0]][self.rng.below(3) as usize];
        let rendezvous_point = match self.rng.below(24) {
            0 => SELF,
            1..6 => self.correspondent(),
            number => world::foreign_agent(number),
        };
        RegisterTunnel { source, rendezvous_point }
    }

    /// A group of a route has an only listener on a link, or another one, or none.
    pub(super) fn delivery(&mut self, grows: bool) -> Option<TableUpdate> {
        let known = self.deliveries.any(&mut self.rng).filter(|_| !grows || self.rng.below(4) == 0);
        let (number, group) = match known {
            Some(known) => known,
            None => (world::RADIOS[self.rng.below(5) as usize], self.mroutes.any(&mut self.rng)?.group),
        };
        let port = PortId(number);
        if known.is_some() && self.rng.below(3) > 0 {
            self.deliveries.remove((number, group));
            return Some(TableUpdate::DeliveryRemove { port, group });
        }
        self.deliveries.insert((number, group));
        let port = if self.rng.below(30) == 0 { self.busy_port() } else { port };
        let link_address = self.link_address().link_address;
        Some(TableUpdate::DeliverySet { port, group, link_address })
    }

    pub(crate) fn group(&mut self) -> Ipv6Addr {
        let scope = [3, 5, 8, 14][self.rng.below(4) as usize];
        world::group(scope, self.rng.below(400))
    }
}
