//! Neighbours and the adjacencies that packets leave by: a port and the Ethernet header to put in front.
//!
//! A packet whose neighbour is not resolved waits here (RFC 4861 §7.2.2): a short queue for each neighbour, in which the
//! newest packet displaces the oldest, and a limit on all of them together. Who resolves is the node; this table asks
//! it once for each neighbour.

use super::hash::HashTable;
use super::prefetch::prefetch;
use crate::addr::MacAddress;
use crate::machine::PortId;
use crate::packet::BATCH_SIZE;
use crate::wire::ethernet;
use core::net::Ipv6Addr;
use std::collections::VecDeque;

/// Packets that wait for one neighbour at the most. RFC 4861 §7.2.2 asks for one; a terminal's traffic that is turned to a
/// path whose next hop was not used before shall not lose what comes during the few milliseconds of the question.
pub(crate) const WAITING_PER_NEIGHBOR: usize = 32;

/// Number of an adjacency.
pub(crate) type AdjacencyIndex = u32;

/// How far the resolution of a neighbour has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resolution {
    /// Nobody asked for it.
    Idle,
    /// The node was asked for it.
    Asked,
    /// The Ethernet header is ready.
    Complete {
        /// It.
        rewrite: [u8; ethernet::HEADER_LEN],
        /// The node wants to know when a packet is sent.
        notify_use: bool,
    },
}

/// What forwarding needs of an adjacency, in 16 octets: those of a batch share few cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Ready {
    /// The Ethernet header.
    pub(crate) rewrite: [u8; ethernet::HEADER_LEN],
    /// The link.
    pub(crate) port: PortId,
    is_ready: bool,
}

struct Adjacency<W> {
    port: PortId,
    address: Ipv6Addr,
    resolution: Resolution,
    routes: u32,
    waiting: VecDeque<W>,
}

/// What became of a packet that has to wait.
pub(crate) struct Wait<W> {
    /// The node has to be asked.
    pub(crate) ask: bool,
    /// The packet that had to make room, perhaps this one.
    pub(crate) displaced: Option<W>,
}

/// The neighbours of all ports; `W` is a packet that waits.
pub(crate) struct Neighbors<W> {
    index: HashTable<3, 1, 0>,
    adjacencies: Vec<Option<Adjacency<W>>>,
    /// By the same number, kept in step by [`Neighbors::publish`].
    ready: Vec<Ready>,
    free: Vec<AdjacencyIndex>,
    unresolved: usize,
    unresolved_limit: usize,
    waiting: usize,
    waiting_limit: usize,
}

impl<W> Neighbors<W> {
    /// Room for `limit` neighbours, of which at most `unresolved_limit` without link-layer address, and
    /// `waiting_limit` packets.
    pub(crate) fn new(limit: u32, unresolved_limit: usize, waiting_limit: usize, seed: u64) -> Self {
        Neighbors {
            index: HashTable::new(limit, seed),
            adjacencies: Vec::new(),
            ready: Vec::new(),
            free: Vec::new(),
            unresolved: 0,
            unresolved_limit,
            waiting: 0,
            waiting_limit,
        }
    }

    /// The adjacency of a neighbour that is known or waited for.
    #[inline]
    pub(crate) fn find(&self, port: PortId, address: Ipv6Addr) -> Option<AdjacencyIndex> {
        self.index.get(&key(port, address)).map(|[index]| index as AdjacencyIndex)
    }

    /// What [`Neighbors::find_batch`] looks for.
    #[inline(always)]
    pub(crate) fn key(port: PortId, address: Ipv6Addr) -> [u64; 3] {
        key(port, address)
    }

    /// The adjacency of each of a batch of neighbours; once in 2³² lookups of one that there is none.
    #[inline]
    pub(crate) fn find_batch(&self, keys: &[[u64; 3]], indexes: &mut [Option<AdjacencyIndex>]) {
        let mut slots = [None; BATCH_SIZE];
        self.index.locate_batch(keys, &mut slots);
        for ((index, slot), key) in indexes.iter_mut().zip(slots).zip(keys) {
            let found = slot.and_then(|slot| self.index.value_of(slot, key));
            *index = found.map(|[index]| {
                prefetch(self.ready.as_ptr().wrapping_add(index as usize));
                index as AdjacencyIndex
            });
        }
    }

    /// The adjacency of a neighbour, made where there is none; `None` where the table is full.
    pub(crate) fn find_or_make(&mut self, port: PortId, address: Ipv6Addr) -> Option<AdjacencyIndex> {
        self.find(port, address)
            .or_else(|| (self.unresolved < self.unresolved_limit).then(|| self.make(port, address)).flatten())
    }

    /// Like [`Neighbors::find_or_make`], and it stays until [`Neighbors::release`]: a route leads there.
    pub(crate) fn acquire(&mut self, port: PortId, address: Ipv6Addr) -> Option<AdjacencyIndex> {
        let index = self.find(port, address).or_else(|| self.make(port, address))?;
        self.at_mut(index).routes += 1;
        Some(index)
    }

    /// A route leads there no more.
    pub(crate) fn release(&mut self, index: AdjacencyIndex) {
        self.at_mut(index).routes -= 1;
        self.collect(index);
    }

    /// The Ethernet header and its port, where the neighbour is resolved and nobody has to be told of its use.
    #[inline(always)]
    pub(crate) fn ready(&self, index: AdjacencyIndex) -> Option<&Ready> {
        self.ready.get(index as usize).filter(|ready| ready.is_ready)
    }

    /// Brings what forwarding needs in step with the adjacency.
    fn publish(&mut self, index: AdjacencyIndex) {
        let ready = match &self.adjacencies[index as usize] {
            Some(Adjacency { port, resolution: Resolution::Complete { rewrite, notify_use: false }, .. }) => {
                Ready { rewrite: *rewrite, port: *port, is_ready: true }
            }
            _ => Ready { rewrite: [0; ethernet::HEADER_LEN], port: PortId(0), is_ready: false },
        };
        match self.ready.get_mut(index as usize) {
            Some(place) => *place = ready,
            None => self.ready.push(ready),
        }
    }

    /// Port and resolution.
    #[inline(always)]
    pub(crate) fn resolution(&self, index: AdjacencyIndex) -> (PortId, &Resolution) {
        let adjacency = self.at(index);
        (adjacency.port, &adjacency.resolution)
    }

    /// Port and address.
    pub(crate) fn name(&self, index: AdjacencyIndex) -> (PortId, Ipv6Addr) {
        let adjacency = self.at(index);
        (adjacency.port, adjacency.address)
    }

    /// The node was told that the neighbour is in use: not again until it is set anew.
    pub(crate) fn clear_notify_use(&mut self, index: AdjacencyIndex) {
        if let Resolution::Complete { notify_use, .. } = &mut self.at_mut(index).resolution {
            *notify_use = false;
        }
        self.publish(index);
    }

    /// Lets `packet` wait for the neighbour.
    pub(crate) fn wait(&mut self, index: AdjacencyIndex, packet: W) -> Wait<W> {
        let full = self.waiting >= self.waiting_limit;
        let adjacency = self.at_mut(index);
        let ask = adjacency.resolution == Resolution::Idle;
        if ask {
            adjacency.resolution = Resolution::Asked;
        }
        let displaced = if adjacency.waiting.len() >= WAITING_PER_NEIGHBOR {
            adjacency.waiting.pop_front()
        } else if full {
            return Wait { ask, displaced: Some(packet) };
        } else {
            None
        };
        adjacency.waiting.push_back(packet);
        if displaced.is_none() {
            self.waiting += 1;
        }
        Wait { ask, displaced }
    }

    /// Sets a neighbour's link-layer address; answers its adjacency, and the packets that waited. `None` where the table
    /// is full.
    pub(crate) fn set(
        &mut self,
        port: PortId,
        address: Ipv6Addr,
        rewrite: [u8; ethernet::HEADER_LEN],
        notify_use: bool,
    ) -> Option<(AdjacencyIndex, VecDeque<W>)> {
        let index = self.find(port, address).or_else(|| self.make(port, address))?;
        let adjacency = self.at_mut(index);
        let resolved = !matches!(adjacency.resolution, Resolution::Complete { .. });
        adjacency.resolution = Resolution::Complete { rewrite, notify_use };
        let waiting = core::mem::take(&mut adjacency.waiting);
        self.unresolved -= usize::from(resolved);
        self.waiting -= waiting.len();
        self.publish(index);
        Some((index, waiting))
    }

    /// The neighbour's address is not known any more; answers the packets that waited.
    pub(crate) fn forget(&mut self, port: PortId, address: Ipv6Addr) -> VecDeque<W> {
        let Some(index) = self.find(port, address) else { return VecDeque::new() };
        let adjacency = self.at_mut(index);
        let was_complete = matches!(adjacency.resolution, Resolution::Complete { .. });
        adjacency.resolution = Resolution::Idle;
        let waiting = core::mem::take(&mut adjacency.waiting);
        self.unresolved += usize::from(was_complete);
        self.waiting -= waiting.len();
        self.publish(index);
        self.collect(index);
        waiting
    }

    /// The port's own address has changed: Ethernet headers name the new one.
    pub(crate) fn set_source(&mut self, port: PortId, source: MacAddress) {
        for index in 0..self.adjacencies.len() {
            if let Some(Adjacency { port: found, resolution: Resolution::Complete { rewrite, .. }, .. }) =
                &mut self.adjacencies[index]
                && *found == port
            {
                rewrite[6..12].copy_from_slice(&source.0);
                self.publish(index as AdjacencyIndex);
            }
        }
    }

    /// Packets that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Every neighbour with its resolution, in order of port and address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PortId, Ipv6Addr, Option<MacAddress>)> {
        let mut all: Vec<_> = self
            .adjacencies
            .iter()
            .flatten()
            .map(|adjacency| {
                let link_address = match adjacency.resolution {
                    Resolution::Complete { rewrite: r, .. } => Some(MacAddress([r[0], r[1], r[2], r[3], r[4], r[5]])),
                    _ => None,
                };
                (adjacency.port, adjacency.address, link_address)
            })
            .collect();
        all.sort();
        all.into_iter()
    }

    fn make(&mut self, port: PortId, address: Ipv6Addr) -> Option<AdjacencyIndex> {
        let adjacency = Adjacency { port, address, resolution: Resolution::Idle, routes: 0, waiting: VecDeque::new() };
        let index = self.free.pop().unwrap_or(self.adjacencies.len() as AdjacencyIndex);
        if self.index.insert(key(port, address), [u64::from(index)]).is_err() {
            if (index as usize) < self.adjacencies.len() {
                self.free.push(index);
            }
            return None;
        }
        match self.adjacencies.get_mut(index as usize) {
            Some(place) => *place = Some(adjacency),
            None => self.adjacencies.push(Some(adjacency)),
        }
        self.publish(index);
        self.unresolved += 1;
        Some(index)
    }

    /// Removes what nothing needs.
    fn collect(&mut self, index: AdjacencyIndex) {
        let adjacency = self.at(index);
        if adjacency.routes == 0 && adjacency.resolution == Resolution::Idle && adjacency.waiting.is_empty() {
            self.index.remove(&key(adjacency.port, adjacency.address));
            self.adjacencies[index as usize] = None;
            self.free.push(index);
            self.unresolved -= 1;
        }
    }

    #[inline(always)]
    fn at(&self, index: AdjacencyIndex) -> &Adjacency<W> {
        self.adjacencies[index as usize].as_ref().expect("an index is held only while its adjacency exists")
    }

    fn at_mut(&mut self, index: AdjacencyIndex) -> &mut Adjacency<W> {
        self.adjacencies[index as usize].as_mut().expect("an index is held only while its adjacency exists")
    }
}

fn key(port: PortId, address: Ipv6Addr) -> [u64; 3] {
    let bits = address.to_bits();
    [1 << 63 | u64::from(port.0), (bits >> 64) as u64, bits as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const PORT: PortId = PortId(1);
    const REWRITE: [u8; 14] = [7; 14];

    fn address(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n)
    }

    #[test]
    fn asks_once_and_keeps_the_newest() {
        let mut neighbors = Neighbors::new(8, 8, 64, 1);
        let index = neighbors.find_or_make(PORT, address(1)).unwrap();
        let newest = 2..WAITING_PER_NEIGHBOR as u32 + 2;
        let asked: Vec<bool> = (0..newest.end).map(|n| neighbors.wait(index, n).ask).collect();
        assert_eq!(asked.iter().position(|&asked| asked), Some(0));
        assert_eq!(asked.iter().filter(|&&asked| asked).count(), 1);
        let (same, waiting) = neighbors.set(PORT, address(1), REWRITE, false).unwrap();
        assert_eq!((same, Vec::from(waiting)), (index, newest.collect()));
        assert_eq!(neighbors.waiting(), 0);
        assert!(neighbors.forget(PORT, address(1)).is_empty());
        assert_eq!(neighbors.find(PORT, address(1)), None);
    }

    #[test]
    fn limits_hold() {
        let mut neighbors = Neighbors::new(3, 2, 2, 1);
        let first = neighbors.find_or_make(PORT, address(1)).unwrap();
        let second = neighbors.acquire(PORT, address(2)).unwrap();
        assert_eq!(neighbors.find_or_make(PORT, address(3)), None, "two unresolved are enough");
        assert!(neighbors.wait(first, 'a').displaced.is_none());
        assert!(neighbors.wait(second, 'b').displaced.is_none());
        assert_eq!(neighbors.wait(second, 'c').displaced, Some('c'), "the limit on all of them");
        assert!(neighbors.set(PORT, address(4), REWRITE, false).is_some());
        assert!(neighbors.set(PORT, address(5), REWRITE, false).is_none(), "three neighbours are the limit");
        assert_eq!(Vec::from(neighbors.forget(PORT, address(2))), ['b']);
        assert!(neighbors.find(PORT, address(2)).is_some(), "its route still leads there");
        neighbors.release(second);
        assert!(neighbors.find(PORT, address(2)).is_none());
    }

    /// What a neighbour is in the model: routes that lead there, resolved or not, packets that wait.
    #[derive(Default)]
    struct Model {
        routes: Vec<AdjacencyIndex>,
        resolved: bool,
        waiting: VecDeque<u32>,
    }

    proptest! {
        #[test]
        fn matches_a_plain_map(operations in prop::collection::vec((0u8..6, 1u16..8), 0..200)) {
            const WAITING: usize = 9;
            let mut neighbors = Neighbors::new(64, 64, WAITING, 1);
            let mut map = BTreeMap::<u16, Model>::new();
            for (number, (operation, n)) in operations.into_iter().enumerate() {
                let number = number as u32;
                let total: usize = map.values().map(|model| model.waiting.len()).sum();
                let model = map.entry(n).or_default();
                match operation {
                    0 => model.routes.push(neighbors.acquire(PORT, address(n)).unwrap()),
                    1 => if let Some(index) = model.routes.pop() {
                        neighbors.release(index);
                    },
                    2 => {
                        let (_, waiting) = neighbors.set(PORT, address(n), REWRITE, false).unwrap();
                        prop_assert_eq!(waiting, core::mem::take(&mut model.waiting));
                        model.resolved = true;
                    }
                    3 => {
                        let waiting = neighbors.forget(PORT, address(n));
                        prop_assert_eq!(waiting, core::mem::take(&mut model.waiting));
                        model.resolved = false;
                    }
                    _ if !model.resolved => {
                        let index = neighbors.find_or_make(PORT, address(n)).unwrap();
                        let displaced = neighbors.wait(index, number).displaced;
                        if model.waiting.len() == WAITING_PER_NEIGHBOR {
                            prop_assert_eq!(displaced, model.waiting.pop_front());
                            model.waiting.push_back(number);
                        } else if total == WAITING {
                            prop_assert_eq!(displaced, Some(number));
                        } else {
                            prop_assert_eq!(displaced, None);
                            model.waiting.push_back(number);
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(neighbors.waiting(), map.values().map(|model| model.waiting.len()).sum::<usize>());
                for (&n, model) in &map {
                    let there = neighbors.find(PORT, address(n)).map(|index| *neighbors.resolution(index).1);
                    if model.resolved {
                        prop_assert_eq!(there, Some(Resolution::Complete { rewrite: REWRITE, notify_use: false }));
                    } else if model.waiting.is_empty() && model.routes.is_empty() {
                        // One that was asked for stays until the node says that it failed.
                        prop_assert!(matches!(there, None | Some(Resolution::Asked)));
                    } else {
                        prop_assert!(matches!(there, Some(Resolution::Idle | Resolution::Asked)));
                    }
                }
                let unresolved = neighbors.adjacencies.iter().flatten()
                    .filter(|adjacency| !matches!(adjacency.resolution, Resolution::Complete { .. }));
                prop_assert_eq!(neighbors.unresolved, unresolved.count());
            }
        }
    }
}
