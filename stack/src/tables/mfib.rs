//! The multicast forwarding table: (S,G), then (*,G).
//!
//! An entry is one cache line: source and group, the way in, the outgoing ports as a bitmap, and the count of packets that
//! the owner keeps. The way in is one word: the port that the RPF check accepts, and flags of what few routes have. Trees
//! with a port above the 64th, which only a very large router has, keep their bitmap in a second table, and trees of a
//! designated router that registers keep their tunnel in a third.

use super::hash::{HashTable, Slot, TableFull};
use super::{Accept, Mroute, MrouteKey, PortSet, RegisterTunnel, Watch};
use crate::addr::{halves, whole};
use crate::machine::PortId;
use core::net::Ipv6Addr;
use core::sync::atomic::Ordering;

// Flags of the way in, above the eight bits of a port.
const LOCAL: u64 = 1 << 8;
/// The outgoing ports stand in the second table.
const WIDE: u64 = 1 << 9;
/// Beside [`LOCAL`]: out of Register messages too.
const REGISTERED: u64 = 1 << 10;
/// The third table has a register tunnel.
const REGISTERS: u64 = 1 << 11;
const WATCH_NEXT: u64 = 1 << 12;
const WATCH_SOURCES: u64 = 1 << 13;
const WATCH: u64 = WATCH_NEXT | WATCH_SOURCES;
/// Keeps packets that have no branch.
const HOLD: u64 = 1 << 14;
/// Its packets take the stages, whatever else is said of it.
const STAGED: u64 = 1 << 15;

/// Multicast routes.
pub(crate) struct Mfib {
    routes: HashTable<4, 2, 1>,
    wide: HashTable<4, 4, 0>,
    registers: HashTable<4, 4, 0>,
}

/// What the express way knows of a route: that it may send by it, where one of the questions below is answered with yes.
/// Each compares the whole of the way in, so that a route with anything to tell, with a register tunnel, with a port above
/// the 64th or with packets to keep says no.
#[derive(Clone, Copy)]
pub(crate) struct NarrowRoute {
    way: u64,
    /// Outgoing ports, port 0 the lowest bit.
    pub(crate) ports: u64,
}

impl NarrowRoute {
    /// Whether packets of this node take it.
    #[inline(always)]
    pub(crate) fn is_local(self) -> bool {
        self.way & !REGISTERED == LOCAL
    }

    /// Whether packets take it that come in there.
    #[inline(always)]
    pub(crate) fn accepts(self, port: PortId) -> bool {
        self.way == u64::from(port.0)
    }
}

impl Mfib {
    /// An empty table for up to `limit` routes.
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        let second = || HashTable::new(limit, seed);
        Mfib { routes: HashTable::new(limit, seed), wide: second(), registers: second() }
    }

    /// A handle for another thread.
    pub(crate) fn reader(&mut self) -> Self {
        Mfib { routes: self.routes.reader(), wide: self.wide.reader(), registers: self.registers.reader() }
    }

    /// Where (*,G) stands.
    pub(crate) fn find_any_source(&self, group: Ipv6Addr) -> Option<Slot> {
        self.routes.find(&key(Ipv6Addr::UNSPECIFIED, group))
    }

    /// Where (S,G) stands, for each of a batch of [`Mfib::key`]s.
    #[inline]
    pub(crate) fn find_batch(&self, keys: &[[u64; 4]], slots: &mut [Option<Slot>]) {
        self.routes.find_batch(keys, slots);
    }

    /// Where (S,G) stands, if it is there, for each of a batch of keys: [`Mfib::narrow`] says whether it is.
    #[inline]
    pub(crate) fn locate_batch(&self, keys: &[[u64; 4]], slots: &mut [Option<Slot>]) {
        self.routes.locate_batch(keys, slots);
    }

    /// What [`Mfib::find_batch`] looks for.
    #[inline(always)]
    pub(crate) fn key(source: Ipv6Addr, group: Ipv6Addr) -> [u64; 4] {
        key(source, group)
    }

    /// Whether exactly (S,G) stands at `slot`, which a binding remembered.
    #[inline(always)]
    pub(crate) fn is_at(&self, slot: Slot, key: &[u64; 4]) -> bool {
        self.routes.is_at(slot, key)
    }

    /// Where exactly (S,G) stands.
    #[inline]
    pub(crate) fn find_exact(&self, key: &[u64; 4]) -> Option<Slot> {
        self.routes.find(key)
    }

    /// Asks for the cache line where the lookup of (S,G) begins.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, key: &[u64; 4]) {
        self.routes.prefetch_bucket(key);
    }

    /// Asks for the cache line of (S,G).
    #[inline]
    pub(crate) fn prefetch_entry(&self, key: &[u64; 4]) {
        self.routes.prefetch_entry(key);
    }

    /// Asks for the cache lines of an entry that a binding remembered.
    #[inline(always)]
    pub(crate) fn prefetch_hint(&self, slot: Slot) {
        if self.routes.has(slot) {
            self.routes.prefetch(slot);
        }
    }

    /// The route at `slot`.
    #[inline(always)]
    pub(crate) fn route(&self, slot: Slot) -> Mroute {
        let (key, [way, forward]) = self.routes.entry(slot);
        let forward = if way & WIDE == 0 { [forward, 0, 0, 0] } else { self.wide.get(&key).unwrap_or_default() };
        let accept = match way & (LOCAL | REGISTERED) {
            0 => Accept::Port(PortId(way as u8)),
            LOCAL => Accept::Local,
            _ => Accept::RendezvousPoint,
        };
        let register = if way & REGISTERS == 0 { None } else { self.registers.get(&key).map(tunnel) };
        let watch = match way & WATCH {
            0 => Watch::Nothing,
            WATCH_NEXT => Watch::NextPacket,
            _ => Watch::Sources,
        };
        Mroute { accept, forward: PortSet::from_words(forward), register, watch, hold: way & HOLD != 0 }
    }

    /// The name of the route at `slot`, as [`Mfib::key`] says it.
    pub(crate) fn key_at(&self, slot: Slot) -> [u64; 4] {
        self.routes.entry(slot).0
    }

    /// What the express way needs of the route at `slot`; `None` where it is not that of `key`.
    #[inline(always)]
    pub(crate) fn narrow(&self, slot: Slot, key: &[u64; 4]) -> Option<NarrowRoute> {
        let [way, ports] = self.routes.value_of(slot, key)?;
        Some(NarrowRoute { way, ports })
    }

    /// The route at `slot` has nothing to tell any more.
    #[cold]
    pub(crate) fn end_watch(&mut self, slot: Slot) {
        let (key, [way, forward]) = self.routes.entry(slot);
        let replaced = self.routes.insert(key, [way & !WATCH, forward]);
        debug_assert!(replaced.is_ok(), "it is there");
    }

    /// Has packets of the route of this name, where there is one, take the stages, or the way that the rest of it says. A
    /// route that is set says for itself again.
    pub(crate) fn set_staged(&mut self, name: MrouteKey, staged: bool) {
        let Some(slot) = self.routes.find(&key(name.source, name.group)) else { return };
        let (key, [way, forward]) = self.routes.entry(slot);
        let way = if staged { way | STAGED } else { way & !STAGED };
        let replaced = self.routes.insert(key, [way, forward]);
        debug_assert!(replaced.is_ok(), "it is there");
    }

    /// Counts a packet of the route at `slot`.
    #[inline(always)]
    pub(crate) fn count(&self, slot: Slot) {
        self.routes.add(slot, 0, 1);
    }

    /// Sets a route.
    ///
    /// # Errors
    /// [`TableFull`].
    pub(crate) fn insert(&mut self, name: MrouteKey, mroute: Mroute) -> Result<(), TableFull> {
        let key = key(name.source, name.group);
        let mut way = match mroute.accept {
            Accept::Port(port) => u64::from(port.0),
            Accept::Local => LOCAL,
            Accept::RendezvousPoint => LOCAL | REGISTERED,
        };
        way |= match mroute.watch {
            Watch::Nothing => 0,
            Watch::NextPacket => WATCH_NEXT,
            Watch::Sources => WATCH_SOURCES,
        };
        if mroute.hold {
            way |= HOLD;
        }
        let words = mroute.forward.words();
        let is_wide = words[1..] != [0; 3];
        // What stands elsewhere is there before it is looked for, and after it was.
        if (is_wide || mroute.register.is_some()) && self.is_full_for(&key) {
            return Err(TableFull);
        }
        if is_wide {
            self.wide.insert(key, words)?;
            way |= WIDE;
        }
        if let Some(RegisterTunnel { source, rendezvous_point }) = mroute.register {
            let ([a, b], [c, d]) = (halves(source), halves(rendezvous_point));
            self.registers.insert(key, [a, b, c, d])?;
            way |= REGISTERS;
        }
        self.routes.insert(key, [way, if is_wide { 0 } else { words[0] }])?;
        if !is_wide {
            self.wide.remove(&key);
        }
        if mroute.register.is_none() {
            self.registers.remove(&key);
        }
        Ok(())
    }

    fn is_full_for(&self, key: &[u64; 4]) -> bool {
        self.routes.len() >= self.routes.limit() && self.routes.find(key).is_none()
    }

    /// The route of this name.
    pub(crate) fn get(&self, name: MrouteKey) -> Option<Mroute> {
        self.routes.find(&key(name.source, name.group)).map(|slot| self.route(slot))
    }

    /// Packets that the route of this name has matched.
    pub(crate) fn packets(&self, name: MrouteKey) -> Option<u64> {
        let slot = self.routes.find(&key(name.source, name.group))?;
        Some(self.routes.side_word(slot, 0).load(Ordering::Relaxed))
    }

    /// Removes a route.
    pub(crate) fn remove(&mut self, name: MrouteKey) -> bool {
        let key = key(name.source, name.group);
        let there = self.routes.remove(&key);
        self.wide.remove(&key);
        self.registers.remove(&key);
        there
    }

    /// Every route with the packets that it has matched, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (MrouteKey, Mroute, u64)> {
        let mut all: Vec<_> = self
            .routes
            .iter()
            .map(|(slot, [a, b, c, d], _)| {
                let name = MrouteKey { source: whole([a, b]), group: whole([c, d]) };
                (name, self.route(slot), self.routes.side_word(slot, 0).load(Ordering::Relaxed))
            })
            .collect();
        all.sort_by_key(|&(name, ..)| name);
        all.into_iter()
    }

    /// Number of routes.
    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }
}

#[inline(always)]
fn key(source: Ipv6Addr, group: Ipv6Addr) -> [u64; 4] {
    let ([a, b], [c, d]) = (halves(source), halves(group));
    [a, b, c, d]
}

fn tunnel([a, b, c, d]: [u64; 4]) -> RegisterTunnel {
    RegisterTunnel { source: whole([a, b]), rendezvous_point: whole([c, d]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn is_express(route: Mroute) -> bool {
        let narrow = route.forward.words()[1..] == [0; 3];
        narrow && route.watch == Watch::Nothing && route.register.is_none() && !route.hold
    }

    proptest! {
        #[test]
        fn matches_a_plain_map(
            operations in prop::collection::vec(
                (0u8..7, 0u16..6, 1u16..6, any::<[u64; 4]>(), (0u8..3, any::<bool>()), any::<Option<u16>>()),
                0..120,
            ),
        ) {
            let mut mfib = Mfib::new(12, 1);
            let mut map = BTreeMap::new();
            for (operation, source, group, words, (watch, hold), register) in operations {
                let name = MrouteKey {
                    source: Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, source),
                    group: Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, group),
                };
                let accept = match operation {
                    0 => Accept::Local,
                    1 => Accept::RendezvousPoint,
                    _ => Accept::Port(PortId(source as u8)),
                };
                // Most trees have no port beyond the first word's.
                let words = if words[3] % 4 == 0 { words } else { [words[0], 0, 0, 0] };
                let register = register.map(|last| RegisterTunnel {
                    source: Ipv6Addr::new(1, 0, 0, 0, 0, 0, 0, last),
                    rendezvous_point: Ipv6Addr::new(2, 0, 0, 0, 0, 0, 0, last),
                });
                let watch = [Watch::Nothing, Watch::NextPacket, Watch::Sources][usize::from(watch)];
                let mroute = Mroute { accept, forward: PortSet::from_words(words), register, watch, hold };
                let key = Mfib::key(name.source, name.group);
                match operation {
                    2 | 3 => prop_assert_eq!(mfib.remove(name), map.remove(&name).is_some()),
                    4 => if let Some(slot) = mfib.find_exact(&key) {
                        mfib.end_watch(slot);
                        map.entry(name).and_modify(|there: &mut Mroute| there.watch = Watch::Nothing);
                    },
                    _ if map.len() == 12 && !map.contains_key(&name) => {
                        prop_assert_eq!(mfib.insert(name, mroute), Err(TableFull));
                    }
                    _ => {
                        mfib.insert(name, mroute).unwrap();
                        map.insert(name, mroute);
                    }
                }
                let found = mfib.find_exact(&key);
                prop_assert_eq!(found.map(|slot| mfib.route(slot)), map.get(&name).copied());
                prop_assert_eq!(mfib.get(name), map.get(&name).copied());
                if let (Some(slot), Some(route)) = (found, map.get(&name).copied()) {
                    let narrow = mfib.narrow(slot, &key).unwrap();
                    let is_local = matches!(route.accept, Accept::Local | Accept::RendezvousPoint);
                    prop_assert_eq!(narrow.is_local(), is_local && is_express(route));
                    for port in (0..=255).map(PortId) {
                        let accepts = route.accept == Accept::Port(port) && is_express(route);
                        prop_assert_eq!(narrow.accepts(port), accepts);
                    }
                }
                let second = map.values().filter(|route| route.register.is_some()).count();
                prop_assert_eq!((mfib.len(), mfib.registers.len()), (map.len(), second));
            }
            let all: Vec<_> = mfib.iter().map(|(name, mroute, _)| (name, mroute)).collect();
            prop_assert_eq!(all, map.into_iter().collect::<Vec<_>>());
        }
    }
}
