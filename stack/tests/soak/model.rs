//! The tables as plain maps, and what an update does to them, as `TableUpdate` and `Limits` say.

use super::job::Job;
use super::world::{HOLD_TIME, PORTS, Shape};
use core::cmp::Reverse;
use core::net::Ipv6Addr;
use stack::addr::{MacAddress, Prefix};
use stack::machine::PortId;
use stack::tables::{
    HomeBinding, IngressFilter, MmaBinding, MmaService, Mroute, MrouteKey, Neighbor, Route, TableUpdate,
};
use stack::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A neighbour by port and address.
pub(crate) type NeighborKey = (u8, Ipv6Addr);

/// What is known of a neighbour.
#[derive(Default, Debug)]
pub(crate) struct NeighborState {
    pub(crate) link_address: Option<MacAddress>,
    pub(crate) notify_use: bool,
    /// The node was asked for it.
    pub(crate) is_asked: bool,
    pub(crate) routes: usize,
    pub(crate) waiting: VecDeque<Job>,
}

/// A packet that its route keeps.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) key: MrouteKey,
    pub(crate) until: Instant,
    pub(crate) job: Job,
}

/// What an update set free.
#[derive(Debug)]
pub(crate) enum Freed {
    Nothing,
    /// Packets whose neighbour is there now.
    Leave(NeighborKey, Vec<Job>),
    /// Packets that their route has kept, as it is set now or gone.
    Kept(MrouteKey),
    /// Packets whose neighbour does not answer.
    Fail,
    /// Packets whose neighbour was forgotten.
    Drop(usize),
    /// The update was refused by a limit.
    Refused,
    /// It names a port that is not there.
    NoPort,
}

pub(crate) struct Model {
    pub(crate) shape: Shape,
    pub(crate) now: Instant,
    /// By length, the longest first, and first address.
    routes: BTreeMap<Reverse<u8>, BTreeMap<u128, Route>>,
    route_count: usize,
    pub(crate) neighbors: BTreeMap<NeighborKey, NeighborState>,
    pub(crate) unresolved: usize,
    pub(crate) waiting: usize,
    /// With the packets that each has matched.
    pub(crate) mroutes: BTreeMap<MrouteKey, (Mroute, u64)>,
    /// Packets that routes keep, the oldest first.
    pub(crate) held: Vec<Held>,
    /// The link-layer addresses of groups' only listeners.
    pub(crate) deliveries: BTreeMap<(u8, Ipv6Addr), MacAddress>,
    /// With the sequence number that is next.
    pub(crate) bindings: BTreeMap<Ipv6Addr, (MmaBinding, u32)>,
    by_care_of: BTreeMap<Ipv6Addr, Ipv6Addr>,
    pub(crate) service: Option<MmaService>,
    pub(crate) pairs: BTreeMap<(Ipv6Addr, Ipv6Addr), Ipv6Addr>,
    pub(crate) home_bindings: BTreeMap<Ipv6Addr, HomeBinding>,
    pub(crate) former: BTreeMap<Ipv6Addr, HomeBinding>,
    pub(crate) filters: BTreeMap<u8, IngressFilter>,
    pub(crate) groups: BTreeSet<(u8, Ipv6Addr)>,
    /// The node's addresses.
    pub(crate) own: BTreeSet<Ipv6Addr>,
    /// How full the bucket of ICMPv6 errors is, in nanoseconds that it took to fill, and when.
    error_level: (u64, Instant),
}

impl Model {
    pub(crate) fn new(shape: Shape) -> Self {
        Model {
            shape,
            now: Instant::ORIGIN,
            routes: BTreeMap::new(),
            route_count: 0,
            neighbors: BTreeMap::new(),
            unresolved: 0,
            waiting: 0,
            mroutes: BTreeMap::new(),
            held: Vec::new(),
            deliveries: BTreeMap::new(),
            bindings: BTreeMap::new(),
            by_care_of: BTreeMap::new(),
            service: None,
            pairs: BTreeMap::new(),
            home_bindings: BTreeMap::new(),
            former: BTreeMap::new(),
            filters: BTreeMap::new(),
            groups: BTreeSet::new(),
            own: BTreeSet::new(),
            error_level: (u64::MAX, Instant::ORIGIN),
        }
    }

    /// The route of the longest prefix around an address.
    pub(crate) fn route(&self, destination: Ipv6Addr) -> Option<Route> {
        let bits = destination.to_bits();
        self.routes.iter().find_map(|(&Reverse(length), prefixes)| {
            let first = if length == 0 { 0 } else { bits >> (128 - length) << (128 - length) };
            prefixes.get(&first).copied()
        })
    }

    pub(crate) fn routes(&self) -> BTreeMap<Prefix, Route> {
        let of_length = |(&Reverse(length), prefixes): (&Reverse<u8>, &BTreeMap<u128, Route>)| {
            let named = |(&bits, &route): (&u128, &Route)| {
                (Prefix::new(Ipv6Addr::from_bits(bits), length).expect("a length"), route)
            };
            prefixes.iter().map(named).collect::<Vec<_>>()
        };
        self.routes.iter().flat_map(of_length).collect()
    }

    /// The binding that was set last of those with this care-of address.
    pub(crate) fn of_care_of(&self, care_of: Ipv6Addr) -> Option<&MmaBinding> {
        self.bindings.get(self.by_care_of.get(&care_of)?).map(|(binding, _)| binding)
    }

    /// An address to speak from (RFC 6724 §5 in short): the port's own on the link, else of the same scope the one with
    /// the longest common prefix, of equals the largest, and never an anycast address.
    pub(crate) fn source_for(&self, destination: Ipv6Addr, port: Option<u8>) -> Option<Ipv6Addr> {
        let is_narrow = super::octets::is_link_local(destination);
        if let Some(own) = port.filter(|_| is_narrow).map(super::world::own_link_local)
            && self.own.contains(&own)
        {
            return Some(own);
        }
        let common = |own: Ipv6Addr| (own.to_bits() ^ destination.to_bits()).leading_zeros();
        let fits = |own: &&Ipv6Addr| own.to_bits() as u64 != 0 && super::octets::is_link_local(**own) == is_narrow;
        self.own.iter().filter(fits).copied().max_by_key(|&own| (common(own), own))
    }

    /// Keeps a packet of a route; whether another had to make room for it, the oldest of the route or of all.
    pub(crate) fn hold(&mut self, key: MrouteKey, job: Job) -> bool {
        let displaced = self.displaced_by(key).next().map(|(place, _)| place);
        if let Some(place) = displaced {
            self.held.remove(place);
        }
        self.held.push(Held { key, until: self.now + HOLD_TIME, job });
        displaced.is_some()
    }

    /// Those of whom the first makes room for one more packet of a route, where it has to, each with its place.
    pub(crate) fn displaced_by(&self, key: MrouteKey) -> impl Iterator<Item = (usize, &Job)> {
        let limits = self.shape.limits;
        let of_route = self.held_of(key) >= limits.held_packets_of_route;
        let is_full = of_route || self.held.len() >= limits.held_packets;
        let among = move |held: &Held| is_full && (!of_route || held.key == key);
        self.held.iter().enumerate().filter(move |(_, held)| among(held)).map(|(place, held)| (place, &held.job))
    }

    /// How many packets of a route are kept.
    pub(crate) fn held_of(&self, key: MrouteKey) -> usize {
        self.held.iter().filter(|held| held.key == key).count()
    }

    /// Drops what was kept for too long; answers how many.
    pub(crate) fn expire_held(&mut self) -> usize {
        let before = self.held.len();
        self.held.retain(|held| held.until > self.now);
        before - self.held.len()
    }

    /// How many ICMPv6 errors may be sent now.
    pub(crate) fn error_tokens(&self) -> u64 {
        self.error_level_now() / self.nanos_per_error()
    }

    pub(crate) fn take_error_tokens(&mut self, count: u64) {
        self.error_level = (self.error_level_now() - count * self.nanos_per_error(), self.now);
    }

    fn nanos_per_error(&self) -> u64 {
        1_000_000_000 / u64::from(self.shape.errors_per_second)
    }

    fn error_level_now(&self) -> u64 {
        let full = u64::from(self.shape.error_burst) * self.nanos_per_error();
        let passed = self.now.since(self.error_level.1).as_nanos() as u64;
        self.error_level.0.saturating_add(passed).min(full)
    }

    pub(crate) fn table_sizes(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("routes", self.route_count),
            ("mroutes", self.mroutes.len()),
            ("deliveries", self.deliveries.len()),
            ("mma-bindings", self.bindings.len()),
            ("optimised-pairs", self.pairs.len()),
            ("home-bindings", self.home_bindings.len()),
            ("correspondent-bindings", 0),
        ]
    }

    /// Changes a table.
    pub(crate) fn apply(&mut self, update: &TableUpdate) -> Freed {
        let limits = self.shape.limits;
        match update.clone() {
            TableUpdate::RouteSet(_, Route::Via { port, .. } | Route::OnLink(port)) if port.0 >= PORTS => {
                return Freed::NoPort;
            }
            TableUpdate::MrouteSet(_, mroute) if mroute.forward.iter().any(|port| port.0 >= PORTS) => {
                return Freed::NoPort;
            }
            TableUpdate::RouteSet(prefix, route) => return self.set_route(prefix, route),
            TableUpdate::RouteRemove(prefix) => {
                let of_length = self.routes.entry(Reverse(prefix.length())).or_default();
                if let Some(before) = of_length.remove(&prefix.address().to_bits()) {
                    if of_length.is_empty() {
                        self.routes.remove(&Reverse(prefix.length()));
                    }
                    self.route_count -= 1;
                    self.let_go(before);
                }
                if prefix.length() == 128 {
                    self.own.remove(&prefix.address());
                }
            }
            TableUpdate::NeighborSet(port, address, neighbor) => return self.set_neighbor((port.0, address), neighbor),
            TableUpdate::NeighborRemove(port, address) => {
                return Freed::Drop(self.forget((port.0, address)).len());
            }
            TableUpdate::NeighborFailed(port, address) => {
                self.forget((port.0, address));
                return Freed::Fail;
            }
            TableUpdate::LinkGroupJoin(port, group) => {
                self.groups.insert((port.0, group));
            }
            TableUpdate::LinkGroupLeave(port, group) => {
                self.groups.remove(&(port.0, group));
            }
            TableUpdate::MrouteSet(key, mroute) => {
                let packets = self.mroutes.get(&key).map(|&(_, packets)| packets);
                if packets.is_none() && self.mroutes.len() >= limits.mroutes as usize {
                    return Freed::Refused;
                }
                self.mroutes.insert(key, (mroute, packets.unwrap_or(0)));
                return Freed::Kept(key);
            }
            TableUpdate::MrouteRemove(key) => {
                self.mroutes.remove(&key);
                return Freed::Kept(key);
            }
            TableUpdate::DeliverySet { port, group, link_address } => {
                let key = (port.0, group);
                let is_full =
                    self.deliveries.len() >= limits.deliveries as usize && !self.deliveries.contains_key(&key);
                if is_full || !super::world::RADIOS.contains(&port.0) {
                    return Freed::Refused;
                }
                self.deliveries.insert(key, link_address);
            }
            TableUpdate::DeliveryRemove { port, group } => {
                self.deliveries.remove(&(port.0, group));
            }
            TableUpdate::MmaBindingSet(home_address, binding) => {
                let before = self.bindings.get(&home_address).copied();
                if before.is_none() && self.bindings.len() >= limits.mma_bindings as usize {
                    return Freed::Refused;
                }
                self.forget_care_of(home_address);
                // The numbers go on where the binding was there.
                self.bindings.insert(home_address, (binding, before.map_or(0, |(_, next)| next)));
                self.by_care_of.insert(binding.care_of, home_address);
            }
            TableUpdate::MmaBindingRemove(home_address) => {
                self.forget_care_of(home_address);
                self.bindings.remove(&home_address);
            }
            TableUpdate::MmaServiceSet(service) => self.service = Some(service),
            TableUpdate::OptimisedSet { home_address, correspondent } => {
                let Some((binding, _)) = self.bindings.get(&home_address) else { return Freed::Refused };
                let pair = (home_address, correspondent);
                if self.pairs.len() >= limits.optimised_pairs as usize && !self.pairs.contains_key(&pair) {
                    return Freed::Refused;
                }
                self.pairs.insert(pair, binding.care_of);
            }
            TableUpdate::OptimisedRemove { home_address, correspondent } => {
                self.pairs.remove(&(home_address, correspondent));
            }
            TableUpdate::HomeBindingSet(home_address, binding) => {
                return Self::set_home(&mut self.home_bindings, limits.home_bindings, home_address, binding);
            }
            TableUpdate::HomeBindingRemove(home_address) => {
                self.home_bindings.remove(&home_address);
            }
            TableUpdate::FormerHomeBindingSet(home_address, binding) => {
                return Self::set_home(&mut self.former, limits.home_bindings, home_address, binding);
            }
            TableUpdate::FormerHomeBindingRemove(home_address) => {
                self.former.remove(&home_address);
            }
            TableUpdate::IngressFilterSet(port, filter) => {
                self.filters.insert(port.0, filter);
            }
            other => panic!("{other:?} is not one of a router's and its agents'"),
        }
        Freed::Nothing
    }

    fn set_home(
        table: &mut BTreeMap<Ipv6Addr, HomeBinding>,
        limit: u32,
        home_address: Ipv6Addr,
        binding: HomeBinding,
    ) -> Freed {
        if table.len() >= limit as usize && !table.contains_key(&home_address) {
            return Freed::Refused;
        }
        table.insert(home_address, binding);
        Freed::Nothing
    }

    fn set_route(&mut self, prefix: Prefix, route: Route) -> Freed {
        let bits = prefix.address().to_bits();
        let before = self.routes.get(&Reverse(prefix.length())).and_then(|of_length| of_length.get(&bits)).copied();
        if let Route::Via { port: PortId(port), next_hop } = route {
            if !self.make_neighbor((port, next_hop)) {
                return Freed::Refused;
            }
            self.neighbors.get_mut(&(port, next_hop)).expect("made").routes += 1;
        }
        if before.is_none() && self.route_count >= self.shape.limits.routes {
            self.let_go(route);
            return Freed::Refused;
        }
        self.routes.entry(Reverse(prefix.length())).or_default().insert(bits, route);
        match before {
            Some(before) => self.let_go(before),
            None => self.route_count += 1,
        }
        if prefix.length() == 128 {
            match route {
                Route::Local => self.own.insert(prefix.address()),
                _ => self.own.remove(&prefix.address()),
            };
        }
        Freed::Nothing
    }

    /// A route no longer leads to its neighbour.
    fn let_go(&mut self, route: Route) {
        if let Route::Via { port, next_hop } = route {
            self.neighbors.get_mut(&(port.0, next_hop)).expect("a route keeps its neighbour").routes -= 1;
            self.collect((port.0, next_hop));
        }
    }

    /// Whether the neighbour is in the table now.
    pub(crate) fn make_neighbor(&mut self, key: NeighborKey) -> bool {
        if !self.neighbors.contains_key(&key) {
            if self.neighbors.len() >= self.shape.limits.neighbors as usize {
                return false;
            }
            self.neighbors.insert(key, NeighborState::default());
            self.unresolved += 1;
        }
        true
    }

    fn set_neighbor(&mut self, key: NeighborKey, neighbor: Neighbor) -> Freed {
        if !self.make_neighbor(key) {
            return Freed::Refused;
        }
        let state = self.neighbors.get_mut(&key).expect("made");
        self.unresolved -= usize::from(state.link_address.is_none());
        (state.link_address, state.notify_use) = (Some(neighbor.link_address), neighbor.notify_use);
        state.is_asked = false;
        let waiting = core::mem::take(&mut state.waiting);
        self.waiting -= waiting.len();
        Freed::Leave(key, waiting.into())
    }

    fn forget(&mut self, key: NeighborKey) -> Vec<Job> {
        let Some(state) = self.neighbors.get_mut(&key) else { return Vec::new() };
        self.unresolved += usize::from(state.link_address.take().is_some());
        (state.is_asked, state.notify_use) = (false, false);
        let waiting = core::mem::take(&mut state.waiting);
        self.waiting -= waiting.len();
        self.collect(key);
        waiting.into()
    }

    /// Removes a neighbour that nothing needs.
    fn collect(&mut self, key: NeighborKey) {
        let state = &self.neighbors[&key];
        if state.routes == 0 && state.link_address.is_none() && !state.is_asked && state.waiting.is_empty() {
            self.neighbors.remove(&key);
            self.unresolved -= 1;
        }
    }

    fn forget_care_of(&mut self, home_address: Ipv6Addr) {
        if let Some((binding, _)) = self.bindings.get(&home_address)
            && self.by_care_of.get(&binding.care_of) == Some(&home_address)
        {
            self.by_care_of.remove(&binding.care_of);
        }
    }
}
