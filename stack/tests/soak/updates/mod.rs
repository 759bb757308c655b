//! Table updates as a router, its PIM, a mobility agent and a home agent make them, drawn at random. The tables grow and
//! shrink in waves, each at its own pace.

mod bindings;
mod routes;

use super::model::NeighborKey;
use super::picks::Picks;
use super::world::{self, AGENT, ANYCAST, BUSY_PORTS, HOME_AGENTS, OTHER_AGENT, PORTS, SELF, SOURCES};
use core::net::Ipv6Addr;
use stack::addr::{MacAddress, Prefix};
use stack::machine::PortId;
use stack::rng::Rng;
use stack::tables::{HomeBinding, IngressFilter, MrouteKey, Neighbor, Route, TableUpdate};

/// Routes that have kept packets that are remembered.
const HOLDING: usize = 24;

/// A terminal: the key of its binding, and the number that its addresses are made of.
pub(crate) type Terminal = (Ipv6Addr, u64);

/// What is in the tables, as far as the generator knows, to draw from.
pub(crate) struct Updates {
    pub(crate) rng: Rng,
    pub(crate) routes: Picks<Prefix>,
    pub(crate) neighbors: Picks<NeighborKey>,
    pub(crate) mroutes: Picks<MrouteKey>,
    /// Routes that have kept packets lately.
    pub(crate) holding: Vec<MrouteKey>,
    pub(crate) deliveries: Picks<(u8, Ipv6Addr)>,
    pub(crate) visitors: Picks<Terminal>,
    pub(crate) homed: Picks<Terminal>,
    pub(crate) pairs: Picks<(Ipv6Addr, Ipv6Addr)>,
    pub(crate) groups: Picks<(u8, Ipv6Addr)>,
    /// Former bindings of the home agent, the last of those that were set: some of them are gone.
    pub(crate) former: Vec<(Ipv6Addr, HomeBinding)>,
    /// Neighbours that the node was asked for.
    pub(crate) asked: Vec<NeighborKey>,
}

fn prefix(address: Ipv6Addr, length: u8) -> Prefix {
    Prefix::new(address, length).expect("a length of at most 128")
}

impl Updates {
    pub(crate) fn new(rng: Rng) -> Self {
        Updates {
            rng,
            routes: Picks::new(),
            neighbors: Picks::new(),
            mroutes: Picks::new(),
            holding: Vec::new(),
            deliveries: Picks::new(),
            visitors: Picks::new(),
            homed: Picks::new(),
            pairs: Picks::new(),
            groups: Picks::new(),
            former: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// What stays for the whole round: the node's own addresses, and what is heard for them.
    pub(crate) fn first(&mut self) -> Vec<TableUpdate> {
        let own = [SELF, AGENT, OTHER_AGENT, ANYCAST].into_iter().chain(SOURCES).chain(HOME_AGENTS);
        let own = own.chain((0..PORTS).map(world::own_link_local));
        let mut updates: Vec<_> = own.map(|own| TableUpdate::RouteSet(Prefix::host(own), Route::Local)).collect();
        // Neighbour discovery hears who asks for an address where it is, and that is how the data plane knows where.
        let solicited = |port| stack::addr::solicited_node(world::own_link_local(port));
        updates.extend((0..PORTS).map(|port| TableUpdate::LinkGroupJoin(PortId(port), solicited(port))));
        updates.push(TableUpdate::RouteSet(prefix(world::care_of(0), 64), Route::CareOf));
        updates.push(self.service());
        for site in 0..12 {
            updates.extend(self.site_route(site));
        }
        updates
    }

    /// The updates between two batches.
    pub(crate) fn some(&mut self, step: u64) -> Vec<TableUpdate> {
        let mut updates = Vec::new();
        self.holding.drain(..self.holding.len().saturating_sub(HOLDING));
        let rng = &mut self.rng;
        let count = [80, 24, 70, 70, 70, 14, 20].map(|most| rng.below(most));
        for _ in 0..count[0] {
            let grows = self.routes.len() < wave(step, 1_500, 0, 25_000);
            updates.push(self.route(grows));
        }
        for _ in 0..count[1] {
            let grows = self.neighbors.len() < wave(step, 2_300, 300, 8_000);
            updates.push(self.neighbor(grows));
        }
        for _ in 0..count[2] {
            let grows = self.mroutes.len() < wave(step, 1_900, 0, 21_000);
            updates.push(self.mroute(grows));
        }
        for _ in 0..count[3] {
            let grows = self.visitors.len() < wave(step, 1_700, 200, 21_000);
            updates.push(self.visitor(grows));
        }
        for _ in 0..count[4] {
            let grows = self.homed.len() < wave(step, 2_100, 100, 21_000);
            updates.extend(self.home(grows));
        }
        for _ in 0..count[5] {
            // Half of the time there is no pair at all.
            let grows = step % 2_000 < 600 && self.pairs.len() < wave(step, 1_200, 0, 4_400);
            updates.extend(self.pair(grows));
        }
        for _ in 0..count[6] {
            let grows = self.deliveries.len() < wave(step, 1_300, 400, 4_000);
            updates.extend(self.delivery(grows));
        }
        updates.extend(self.answers(step));
        if self.rng.below(12) == 0 {
            updates.push(self.rare());
        }
        updates
    }

    /// What the node says about the neighbours that it was asked for.
    fn answers(&mut self, step: u64) -> Vec<TableUpdate> {
        let mut updates = Vec::new();
        for (port, address) in core::mem::take(&mut self.asked) {
            let (named, port_id) = ((port, address), PortId(port));
            // For a while now and then, some are asked in vain, so that queues run full.
            let is_slow = step / 300 % 4 == 3 && address.to_bits() % 4 == 0;
            updates.push(match self.rng.below(20) {
                _ if is_slow => {
                    self.asked.push(named);
                    continue;
                }
                0..10 => {
                    self.neighbors.insert(named);
                    TableUpdate::NeighborSet(port_id, address, self.link_address())
                }
                10..13 => TableUpdate::NeighborFailed(port_id, address),
                13 => TableUpdate::NeighborRemove(port_id, address),
                _ => {
                    self.asked.push(named);
                    continue;
                }
            });
        }
        updates
    }

    fn link_address(&mut self) -> Neighbor {
        let [.., a, b, c] = self.rng.next_u64().to_be_bytes();
        Neighbor { link_address: MacAddress([2, 1, 0, a, b, c]), notify_use: self.rng.below(8) == 0 }
    }

    fn busy_port(&mut self) -> PortId {
        PortId(self.rng.below(u64::from(BUSY_PORTS)) as u8)
    }

    /// What changes seldom.
    fn rare(&mut self) -> TableUpdate {
        let port = self.busy_port();
        match self.rng.below(10) {
            0 => self.service(),
            1 if self.rng.below(3) == 0 => {
                let mut prefixes = vec![prefix(world::SELF, 33), prefix(world::on_access_link(0, 0), 46)];
                prefixes.extend((0..6).filter_map(|_| self.routes.any(&mut self.rng)));
                TableUpdate::IngressFilterSet(port, IngressFilter::Prefixes(prefixes))
            }
            1..4 => TableUpdate::IngressFilterSet(port, IngressFilter::Open),
            4..7 => {
                let group = match self.rng.below(3) {
                    0 => self.group(),
                    _ => world::group(2, self.rng.below(20)),
                };
                self.groups.insert((port.0, group));
                TableUpdate::LinkGroupJoin(port, group)
            }
            _ => match self.groups.any(&mut self.rng) {
                Some((port, group)) => {
                    self.groups.remove((port, group));
                    TableUpdate::LinkGroupLeave(PortId(port), group)
                }
                None => TableUpdate::IngressFilterSet(port, IngressFilter::Open),
            },
        }
    }
}

/// The tree of a terminal's group.
pub(crate) fn terminal_tree(number: u64) -> MrouteKey {
    MrouteKey { source: SOURCES[(number % 3) as usize], group: world::group(5, 0x1_0000 + number) }
}

/// How full a table should be at a step.
fn wave(step: u64, period: u64, lead: u64, peak: usize) -> usize {
    let phase = (step + lead) % period;
    let part = if phase < period / 2 { phase } else { period - phase };
    peak * part as usize * 2 / period as usize
}
