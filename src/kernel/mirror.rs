//! What the kernel has, as far as the node needs it: links, addresses, and the routes that lead over ports; and what of it the
//! worker does not know yet.
//!
//! No clock and no socket is in here: messages go in, changes for the worker come out. Of each prefix the worker knows one
//! route: that of the first table that has one, there the one with the lowest metric that has a next hop whose interface is
//! a port's and is running. Of several next hops each prefix has its own, by a hash of both (highest random weight), so that
//! prefixes spread over the next hops, and only those change that have lost theirs.

use super::counters::Counters;
use super::message::{Ignored, Message, Presence, RouteNews};
use super::protocol;
use super::{KernelChange, KernelConfig, KernelRoute};
use core::net::Ipv6Addr;
use stack::addr::{self, Prefix};
use stack::machine::PortId;
use stack::tables::Route;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Routes of one prefix, and next hops of one route.
const MAX_ROUTES_OF_PREFIX: usize = 16;
const MAX_HOPS: usize = 64;
/// Interfaces, and addresses, of the kernel at the most.
const MAX_LINKS: usize = 65_536;
const MAX_ADDRESSES: usize = 65_536;

/// Where a route leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Way {
    Via(Ipv6Addr),
    OnLink,
    Blackhole,
    Unreachable,
}

/// A next hop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Hop {
    /// 0 where it leads nowhere.
    pub(super) interface: u32,
    pub(super) way: Way,
    pub(super) protocol: u8,
}

#[derive(Clone, Debug)]
struct LinkState {
    name: String,
    running: bool,
    port: Option<PortId>,
}

/// A route of a prefix.
#[derive(Clone, Debug)]
struct Entry {
    /// Which of the configured tables.
    rank: usize,
    metric: u32,
    hops: Vec<Hop>,
    /// The dump that it was last seen in, or made during.
    seen: u64,
}

/// See the module.
pub(super) struct Mirror {
    config: KernelConfig,
    counters: Arc<Counters>,
    /// Interfaces of ports.
    ports: BTreeMap<String, PortId>,
    own: HashSet<Ipv6Addr>,
    links: BTreeMap<u32, LinkState>,
    addresses: BTreeSet<(u32, Ipv6Addr)>,
    routes: BTreeMap<Prefix, Vec<Entry>>,
    /// What the worker knows.
    told: HashMap<Prefix, KernelRoute>,
    told_addresses: BTreeMap<PortId, Vec<Ipv6Addr>>,
    /// What the worker may know something else of.
    dirty: BTreeSet<Prefix>,
    dirty_addresses: bool,
    /// Whether the addresses that reach the kernel may have changed.
    shares_dirty: bool,
    /// The kernel's addresses that are good beyond a link and not the node's.
    hosts: BTreeSet<Ipv6Addr>,
    /// Counts dumps; what a dump that is going on has met, and what changed meanwhile.
    dump: u64,
    dump_addresses: Option<BTreeSet<(u32, Ipv6Addr)>>,
    dump_links: Option<BTreeSet<u32>>,
    touched: HashSet<(Prefix, usize, u32)>,
    doubtful: bool,
    /// Whether routes had no room, which may be there the next time that all is asked for.
    pub(super) refused: bool,
}

impl Mirror {
    /// `ports` are those with an interface; `own` are the node's addresses.
    pub(super) fn new(
        config: KernelConfig,
        ports: BTreeMap<String, PortId>,
        own: impl IntoIterator<Item = Ipv6Addr>,
        counters: Arc<Counters>,
    ) -> Self {
        Mirror {
            config,
            counters,
            ports,
            own: own.into_iter().collect(),
            links: BTreeMap::new(),
            addresses: BTreeSet::new(),
            routes: BTreeMap::new(),
            told: HashMap::new(),
            told_addresses: BTreeMap::new(),
            dirty: BTreeSet::new(),
            dirty_addresses: false,
            shares_dirty: false,
            hosts: BTreeSet::new(),
            dump: 0,
            dump_addresses: None,
            dump_links: None,
            touched: HashSet::new(),
            doubtful: false,
            refused: false,
        }
    }

    /// A dump of everything begins.
    pub(super) fn begin_dump(&mut self) {
        self.dump += 1;
        self.dump_links = Some(BTreeSet::new());
        self.dump_addresses = Some(BTreeSet::new());
        self.touched.clear();
        self.doubtful = false;
        self.refused = false;
    }

    /// It has ended: what was not in it is not there. Returns whether another one is wanted, since something changed while
    /// this one was made.
    pub(super) fn end_dump(&mut self) -> bool {
        if let Some(present) = self.dump_links.take() {
            let gone: Vec<u32> = self.links.keys().copied().filter(|index| !present.contains(index)).collect();
            gone.into_iter().for_each(|index| self.link_gone(index));
        }
        if let Some(present) = self.dump_addresses.take()
            && present != self.addresses
        {
            self.addresses = present;
            self.touch_addresses();
        }
        let (dump, dirty) = (self.dump, &mut self.dirty);
        self.routes.retain(|&prefix, entries| {
            let before = entries.len();
            entries.retain(|entry| entry.seen == dump);
            if entries.len() != before {
                dirty.insert(prefix);
            }
            !entries.is_empty()
        });
        self.touched.clear();
        self.doubtful
    }

    /// Takes a message of a dump, or one that the kernel sends by itself. Returns whether a new dump is wanted.
    pub(super) fn take(&mut self, message: Message, of_dump: bool) -> bool {
        self.counters.messages.add(1);
        match message {
            Message::Link { presence: Presence::There, index, name, running } => {
                if let Some(links) = &mut self.dump_links {
                    links.insert(index);
                }
                return self.link(index, name, running);
            }
            Message::Link { index, .. } => {
                self.link_gone(index);
                // Another of its name may have come before.
                return true;
            }
            Message::Address { presence, index, address } => self.address(presence, index, address),
            Message::Route(presence, news) => self.route(presence, news, of_dump),
            Message::Unreadable => self.counters.unreadable.add(1),
            Message::Interrupted => self.doubtful = true,
            Message::Done | Message::Refused(_) | Message::Overrun => {}
        }
        false
    }

    /// Whether there is something that the worker should know.
    pub(super) fn has_changes(&self) -> bool {
        !self.dirty.is_empty() || self.dirty_addresses
    }

    /// At most so many changes for the worker, which then is taken to know them.
    pub(super) fn changes(&mut self, count: usize) -> Vec<KernelChange> {
        let mut changes = Vec::new();
        if core::mem::take(&mut self.dirty_addresses) {
            self.addresses_changed(&mut changes);
        }
        while changes.len() < count
            && let Some(prefix) = self.dirty.pop_first()
        {
            let best = self.best(prefix);
            match best {
                Some(route) if self.told.get(&prefix) != Some(&route) => {
                    self.told.insert(prefix, route);
                    changes.push(KernelChange::Route(prefix, Some(route)));
                }
                None if self.told.remove(&prefix).is_some() => changes.push(KernelChange::Route(prefix, None)),
                _ => {}
            }
        }
        self.counters.routes.set(self.told.len() as u64);
        changes
    }

    /// Whether the addresses that reach the kernel may have changed since the last call.
    pub(super) fn take_address_news(&mut self) -> bool {
        core::mem::take(&mut self.shares_dirty)
    }

    /// Whether there is room again for routes that had none.
    pub(super) fn has_room_again(&self) -> bool {
        self.refused && self.routes.len() < self.config.max_routes - self.config.max_routes / 8
    }

    fn touch_addresses(&mut self) {
        self.dirty_addresses = true;
        self.shares_dirty = true;
    }

    /// The addresses that reach the kernel by a port: those of its interface, and those that are good beyond a link.
    pub(super) fn reached_by(&self, port: PortId) -> impl Iterator<Item = Ipv6Addr> + '_ {
        let of_port = move |index: &u32| self.links.get(index).is_some_and(|link| link.port == Some(port));
        let all = self.addresses.iter().filter(move |(index, address)| of_port(index) || is_global(*address));
        all.map(|&(_, address)| address)
    }

    /// Tells of the addresses that the kernel has on the ports' links, and nobody else.
    fn addresses_changed(&mut self, changes: &mut Vec<KernelChange>) {
        let ports: Vec<PortId> = self.ports.values().copied().collect();
        for port in ports {
            let of_port = |index: &u32| self.links.get(index).is_some_and(|link| link.port == Some(port));
            let mut here: Vec<Ipv6Addr> =
                self.addresses.iter().filter(|(index, _)| of_port(index)).map(|&(_, address)| address).collect();
            here.retain(|address| !self.own.contains(address));
            let told = self.told_addresses.entry(port).or_default();
            if *told != here {
                told.clone_from(&here);
                changes.push(KernelChange::Addresses(port, here));
            }
        }
        // What is to an address of the kernel, and comes to the node all the same, is not to be sent on.
        let all = self.addresses.iter().map(|&(_, address)| address);
        let hosts: BTreeSet<Ipv6Addr> =
            all.filter(|&address| is_global(address) && !self.own.contains(&address)).collect();
        self.dirty.extend(hosts.symmetric_difference(&self.hosts).copied().map(Prefix::host));
        self.hosts = hosts;
    }

    /// Whether a new dump is wanted.
    fn link(&mut self, index: u32, name: Option<String>, running: bool) -> bool {
        let before = self.links.get(&index).cloned();
        if before.is_none() && self.links.len() >= MAX_LINKS {
            return false;
        }
        let name = name.or(before.as_ref().map(|link| link.name.clone())).unwrap_or_default();
        let port = self.ports.get(&name).copied();
        self.links.insert(index, LinkState { name, running, port });
        let before_port = before.as_ref().and_then(|link| link.port);
        if before_port != port {
            self.touch_addresses();
            self.touch_interface(index);
            // Routes by an interface that was no port's were not kept.
            return before.is_some();
        }
        if port.is_some() && before.is_some_and(|before| before.running != running) {
            self.touch_interface(index);
            // Where it has lost its carrier nothing more is told; where it went down routes may be gone untold.
            return true;
        }
        false
    }

    fn link_gone(&mut self, index: u32) {
        if self.links.remove(&index).is_some_and(|link| link.port.is_some()) {
            self.touch_interface(index);
        }
        let before = self.addresses.len();
        self.addresses.retain(|&(of, _)| of != index);
        if self.addresses.len() != before {
            self.touch_addresses();
        }
    }

    fn touch_interface(&mut self, index: u32) {
        let concerned = |entries: &[Entry]| entries.iter().any(|entry| entry.hops.iter().any(|h| h.interface == index));
        let prefixes = self.routes.iter().filter(|(_, entries)| concerned(entries)).map(|(&prefix, _)| prefix);
        self.dirty.extend(prefixes);
    }

    fn address(&mut self, presence: Presence, index: u32, address: Ipv6Addr) {
        if address.is_loopback() {
            return;
        }
        if presence == Presence::There && self.addresses.len() >= MAX_ADDRESSES {
            return self.counters.refused_addresses.add(1);
        }
        let mut changed = false;
        for addresses in core::iter::once(&mut self.addresses).chain(&mut self.dump_addresses) {
            changed |= match presence {
                Presence::There => addresses.insert((index, address)),
                Presence::Gone => addresses.remove(&(index, address)),
            };
        }
        if changed {
            self.touch_addresses();
        }
    }

    fn route(&mut self, presence: Presence, news: RouteNews, of_dump: bool) {
        let first = news.prefix.address();
        // The link's own prefixes are everybody's, and multicast has routes of its own.
        if first.is_multicast() || addr::is_link_local(first) {
            return;
        }
        let Some(rank) = self.config.tables.iter().position(|&table| table == news.table) else {
            // That of the node's own addresses is of no interest.
            return self.counters.ignored_table.add(u64::from(news.table != LOCAL_TABLE));
        };
        let key = (news.prefix, rank, news.metric);
        if of_dump {
            if self.touched.contains(&key) {
                // What the kernel tells by itself is newer; where both cannot be put together the next dump will.
                self.doubtful = true;
                return;
            }
        } else if self.dump_links.is_some() {
            self.touched.insert(key);
        }
        let mut hops = match (news.hops, presence) {
            (Ok(hops), _) => hops,
            (Err(_), Presence::Gone) => Vec::new(),
            (Err(why), Presence::There) => {
                match why {
                    Ignored::Kind => self.counters.ignored_kind.add(1),
                    Ignored::Object => self.counters.ignored_object.add(1),
                }
                Vec::new()
            }
        };
        if presence == Presence::Gone {
            return self.remove(key, &hops);
        }
        if self.config.protocols.as_ref().is_some_and(|protocols| !protocols.contains(&news.protocol)) {
            self.counters.ignored_protocol.add(1);
            hops.clear();
        }
        let known = hops.len();
        hops.retain(|hop| hop.interface == 0 || self.links.get(&hop.interface).is_some_and(|link| link.port.is_some()));
        self.counters.ignored_interface.add((known - hops.len()) as u64);
        hops.sort();
        hops.truncate(MAX_HOPS);
        self.set(key, hops, news.replaces);
    }

    /// A route has these next hops, beside those that it had where it is not replaced.
    fn set(&mut self, key: (Prefix, usize, u32), hops: Vec<Hop>, replaces: bool) {
        let (prefix, rank, metric) = key;
        let (full, dump) = (self.routes.len() >= self.config.max_routes, self.dump);
        let entries = match self.routes.get_mut(&prefix) {
            Some(entries) => entries,
            None if hops.is_empty() => return,
            None if full => {
                self.refused = true;
                return self.counters.refused_routes.add(1);
            }
            None => self.routes.entry(prefix).or_default(),
        };
        let crowded = entries.len() >= MAX_ROUTES_OF_PREFIX;
        match entries.iter_mut().find(|entry| (entry.rank, entry.metric) == (rank, metric)) {
            Some(entry) => {
                // The first that a dump says of it is all that it has.
                if replaces || entry.seen != dump {
                    entry.hops.clear();
                }
                entry.seen = dump;
                for hop in hops {
                    // One that another protocol has put there is the same.
                    entry.hops.retain(|known| (known.interface, known.way) != (hop.interface, hop.way));
                    if entry.hops.len() < MAX_HOPS {
                        entry.hops.push(hop);
                    }
                }
            }
            None if hops.is_empty() => {}
            None if crowded => self.counters.refused_routes.add(1),
            None => entries.push(Entry { rank, metric, hops, seen: dump }),
        }
        entries.retain(|entry| !entry.hops.is_empty());
        entries.sort_by_key(|entry| (entry.rank, entry.metric));
        if entries.is_empty() {
            self.routes.remove(&prefix);
        }
        self.dirty.insert(prefix);
    }

    /// A route has these next hops no more, or is gone where none is named.
    fn remove(&mut self, (prefix, rank, metric): (Prefix, usize, u32), hops: &[Hop]) {
        let Some(entries) = self.routes.get_mut(&prefix) else { return };
        for entry in entries.iter_mut().filter(|entry| (entry.rank, entry.metric) == (rank, metric)) {
            entry.hops.retain(|known| {
                !hops.is_empty() && hops.iter().all(|gone| (gone.interface, gone.way) != (known.interface, known.way))
            });
        }
        entries.retain(|entry| !entry.hops.is_empty());
        if entries.is_empty() {
            self.routes.remove(&prefix);
        }
        self.dirty.insert(prefix);
    }

    /// The route of a prefix as the worker is to have it.
    fn best(&self, prefix: Prefix) -> Option<KernelRoute> {
        if prefix.length() == 128 && self.hosts.contains(&prefix.address()) {
            let metric = protocol::worth(self.preference(protocol::KERNEL), 0);
            return Some(KernelRoute { route: Route::Blackhole, protocol: protocol::KERNEL, metric });
        }
        self.routes.get(&prefix)?.iter().find_map(|entry| {
            let usable = entry.hops.iter().filter_map(|hop| Some((hop, self.usable(hop)?)));
            let (hop, route) = usable.max_by_key(|(hop, _)| (weight(prefix, hop), **hop))?;
            let metric = protocol::worth(self.preference(hop.protocol), entry.metric);
            Some(KernelRoute { route, protocol: hop.protocol, metric })
        })
    }

    fn preference(&self, protocol: u8) -> u32 {
        self.config.preferences.get(&protocol).copied().unwrap_or_else(|| protocol::preference(protocol))
    }

    fn usable(&self, hop: &Hop) -> Option<Route> {
        let port = || {
            let link = self.links.get(&hop.interface).filter(|link| link.running);
            link.and_then(|link| link.port)
        };
        match hop.way {
            Way::Via(next_hop) => port().map(|port| Route::Via { port, next_hop }),
            Way::OnLink => port().map(Route::OnLink),
            Way::Blackhole => Some(Route::Blackhole),
            Way::Unreachable => Some(Route::Unreachable),
        }
    }
}

/// RT_TABLE_LOCAL.
pub(crate) const LOCAL_TABLE: u32 = 255;

fn is_global(address: Ipv6Addr) -> bool {
    addr::is_routable_unicast(address)
}

/// How much of a prefix a next hop draws: a hash of both that is the same in every run.
fn weight(prefix: Prefix, hop: &Hop) -> u64 {
    let gateway = match hop.way {
        Way::Via(gateway) => gateway.to_bits(),
        _ => 0,
    };
    let words = [prefix.address().to_bits(), gateway, u128::from(hop.interface) << 8 | u128::from(prefix.length())];
    words.into_iter().flat_map(|word| [word as u64, (word >> 64) as u64]).fold(0x9e37_79b9_7f4a_7c15, |hash, word| {
        // The finaliser of splitmix64.
        let mixed = (hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests;
