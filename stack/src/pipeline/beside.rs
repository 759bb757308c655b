//! Data planes beside that of a node's first worker, on threads of their own.
//!
//! The first one has the node, runs the stages, and is the only one that changes a table. One beside it goes the express way
//! alone ([`Dataplane::forward`]) and leaves what it cannot do there for the first. It reads the large tables where they
//! are, as the first writes them ([`Readers`]): bindings, multicast routes and where they are delivered. Of everything that is small or changes seldom
//! it has its own, and is told ([`News`]): routes, neighbours, what a port hears and accepts, path MTUs.

use super::counters::Counter;
use super::sighting::Sighting;
use super::{Dataplane, DataplaneConfig};
use crate::addr::MacAddress;
use crate::machine::PortId;
use crate::packet::{Batch, Packet, Pool};
use crate::port::PortInfo;
use crate::tables::{Deliveries, HomeBindings, Mfib, MmaBindings, Neighbor, OptimisedPairs, TableUpdate};
use crate::time::Instant;
use core::net::Ipv6Addr;

/// What changed in the first worker's data plane, for those beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// A table of which each has its own.
    Table(TableUpdate),
    /// A port.
    Port(PortId, PortInfo),
    /// A path is this wide: its end, and octets.
    PathMtu(Ipv6Addr, u16),
    /// A path is as wide as it may be.
    PathMtuForgotten(Ipv6Addr),
    /// The node was told of a correspondent.
    Sighting(Sighting),
}

/// The tables that all data planes of a node read, and the first writes.
pub struct Readers {
    mfib: Mfib,
    deliveries: Deliveries,
    mma_bindings: MmaBindings,
    optimised: OptimisedPairs,
    home_bindings: HomeBindings,
}

impl core::fmt::Debug for Readers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Readers")
    }
}

/// Whether each data plane has a table of its own of what the update changes. Former home bindings are nobody's but the
/// first's.
const fn is_told(update: &TableUpdate) -> bool {
    !matches!(
        update,
        TableUpdate::MrouteSet(..)
            | TableUpdate::MrouteRemove(_)
            | TableUpdate::DeliverySet { .. }
            | TableUpdate::DeliveryRemove { .. }
            | TableUpdate::MmaBindingSet(..)
            | TableUpdate::MmaBindingRemove(_)
            | TableUpdate::OptimisedSet { .. }
            | TableUpdate::OptimisedRemove { .. }
            | TableUpdate::HomeBindingSet(..)
            | TableUpdate::HomeBindingRemove(_)
            | TableUpdate::FormerHomeBindingSet(..)
            | TableUpdate::FormerHomeBindingRemove(_)
    )
}

/// The first worker's side.
impl Dataplane {
    /// The data plane of a first worker, and handles on its tables for each of `others` beside it, which have to be told
    /// what [`Dataplane::poll_news`] says.
    pub fn first(config: DataplaneConfig, pool: Pool, ports: &[PortInfo], others: usize) -> (Self, Vec<Readers>) {
        let mut plane = Dataplane::new(config, pool, ports);
        plane.has_others = others > 0;
        let readers = (0..others).map(|_| plane.readers()).collect();
        (plane, readers)
    }

    fn readers(&mut self) -> Readers {
        Readers {
            mfib: self.mfib.reader(),
            deliveries: self.deliveries.reader(),
            mma_bindings: self.mma_bindings.reader(),
            optimised: self.optimised.reader(),
            home_bindings: self.home_bindings.reader(),
        }
    }

    /// What all data planes beside this one have to be told next.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// The update as the others are to be told of it, where they are.
    pub(super) fn news_of(&self, update: &TableUpdate) -> Option<News> {
        (self.has_others && is_told(update)).then(|| News::Table(update.clone()))
    }

    pub(super) fn tell(&mut self, news: News) {
        if self.has_others {
            self.news.push_back(news);
        }
    }

    /// The node was told that a neighbour is in use, so that nobody has to tell it again.
    #[cold]
    pub(super) fn tell_of_use(&mut self, port: PortId, address: Ipv6Addr, link_address: MacAddress) {
        let neighbor = Neighbor { link_address, notify_use: false };
        self.tell(News::Table(TableUpdate::NeighborSet(port, address, neighbor)));
    }

    /// Takes a frame that one beside this has received and could not send on; `None` where there is no room for it.
    pub fn take_over(&mut self, frame: &[u8]) -> Option<Packet> {
        let packet = self.pool.copy_of(frame).ok();
        if packet.is_none() {
            self.count_lost_handover(1);
        }
        packet
    }

    /// Sends a frame that one beside this has made, and has counted as output, for a port that it cannot send by.
    pub fn relay(&mut self, port: PortId, frame: &[u8]) {
        let lost = match (self.pool.copy_of(frame), self.outgoing.get_mut(usize::from(port.0))) {
            (_, None) => Counter::DropOutputNoPort,
            (Err(_), _) => Counter::DropOutputNoFrame,
            (Ok(_), Some(queue)) if queue.is_full() => Counter::DropOutputQueueFull,
            (Ok(packet), Some(queue)) => {
                queue.push(packet);
                return self.counters.add(Counter::Relayed);
            }
        };
        self.counters.add(Counter::RelayedLost);
        self.counters.add(lost);
    }

    fn count_lost_handover(&mut self, packets: usize) {
        self.counters.add_many(Counter::Rx, packets as u64);
        self.counters.add_many(Counter::DropHandoverFull, packets as u64);
    }
}

/// The side of one beside it.
impl Dataplane {
    /// A data plane beside the one that `readers` are from, and configured as that one.
    pub fn beside(config: DataplaneConfig, readers: Readers, pool: Pool, ports: &[PortInfo]) -> Self {
        let Readers { mfib, deliveries, mma_bindings, optimised, home_bindings } = readers;
        Dataplane { mfib, deliveries, mma_bindings, optimised, home_bindings, ..Dataplane::new(config, pool, ports) }
    }

    /// Learns what the first data plane has told.
    pub fn hear(&mut self, now: Instant, news: News) {
        self.now = now;
        match news {
            News::Table(update) => self.apply(now, update),
            News::Port(port, info) => self.update_port(port, &info),
            News::PathMtu(destination, mtu) => {
                // The first has counted it, or refused it: both have as much room.
                self.path_mtus.learn(now, destination, mtu);
            }
            News::PathMtuForgotten(destination) => {
                self.path_mtus.forget(destination);
            }
            News::Sighting(sighting) => self.sightings.note(sighting),
        }
    }

    /// Sends on what can go the express way of the frames in `batch`, which came in by `port`; the rest stays, in order, and
    /// is not counted: it is for the first data plane.
    pub fn forward(&mut self, now: Instant, port: PortId, batch: &mut Batch) {
        self.now = now;
        super::express::run(self, port, batch);
    }

    /// Counts packets that the first data plane was given.
    pub fn count_handed_over(&mut self, packets: usize) {
        self.counters.add_many(Counter::HandedOver, packets as u64);
    }

    /// Counts and drops packets that the first data plane could not be given.
    pub fn drop_unhanded(&mut self, batch: &mut Batch) {
        self.count_lost_handover(batch.len());
        batch.clear();
    }
}
