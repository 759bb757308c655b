//! What there is to see of a router: for people, and for tests.

use crate::counters::Counters;
use crate::downstream::DownstreamState;
use crate::instance::{Router, TimerKey};
use crate::mld::Querier;
use crate::neighbor::Neighbor;
use crate::rpf::RpfInfo;
use crate::tib::Entry;
use crate::upstream::UpstreamState;
use core::net::Ipv6Addr;
use stack::machine::PortId;
use stack::tables::{MrouteKey, PortSet};
use stack::time::Instant;

/// A PIM interface, to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterfaceView {
    /// Its port.
    pub port: PortId,
    /// Its primary address.
    pub link_local: Ipv6Addr,
    /// Whether its link is up.
    pub is_up: bool,
    /// Whether PIM messages pass.
    pub is_pim_enabled: bool,
    /// Primary address of the designated router.
    pub designated_router: Ipv6Addr,
    /// The generation identifier that it sends.
    pub generation_id: u32,
    /// How many neighbours it has.
    pub neighbors: usize,
    /// The MLD querier of the link, where MLD is spoken.
    pub querier: Option<Ipv6Addr>,
}

/// A neighbour, to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighborView<'a> {
    /// On this link.
    pub port: PortId,
    /// What its Hellos said.
    pub neighbor: &'a Neighbor,
    /// When it is forgotten; `None` is never.
    pub expires: Option<Instant>,
    /// Whether it is the designated router.
    pub is_designated_router: bool,
}

/// An (S,G) or (*,G), to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryView {
    /// The source and the group; the unspecified address is all sources.
    pub key: MrouteKey,
    /// What the tree grows towards: the source, or the rendezvous point.
    pub root: Ipv6Addr,
    /// Where that is.
    pub rpf: RpfInfo,
    /// Upstream state.
    pub upstream: UpstreamState,
    /// When the join is refreshed.
    pub join_timer: Option<Instant>,
    /// Interfaces with joins of other routers.
    pub downstream: Vec<DownstreamView>,
    /// Interfaces with local members of which this router is the designated one.
    pub include: PortSet,
    /// Where packets go.
    pub forward: PortSet,
}

/// Downstream state of an interface, to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DownstreamView {
    /// The interface's port.
    pub port: PortId,
    /// Its state.
    pub state: DownstreamState,
    /// When the join runs out.
    pub expires: Option<Instant>,
    /// When a prune that nobody overrides takes effect.
    pub prune_pending: Option<Instant>,
}

impl Router {
    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The interfaces, by port.
    pub fn interfaces(&self) -> impl Iterator<Item = InterfaceView> {
        self.interfaces.iter().map(|(&port, interface)| InterfaceView {
            port,
            link_local: interface.config.link_local,
            is_up: interface.is_up(),
            is_pim_enabled: interface.is_pim_enabled(),
            designated_router: interface.designated_router,
            generation_id: interface.generation_id,
            neighbors: interface.neighbors.len(),
            querier: interface.mld.as_ref().map(Querier::querier_address),
        })
    }

    /// The PIM neighbours, by port and address.
    pub fn neighbors(&self) -> impl Iterator<Item = NeighborView<'_>> {
        self.interfaces.iter().flat_map(move |(&port, interface)| {
            interface.neighbors.values().map(move |neighbor| NeighborView {
                port,
                neighbor,
                expires: self.timers.deadline(TimerKey::Neighbor(port, neighbor.primary_address)),
                is_designated_router: interface.designated_router == neighbor.primary_address,
            })
        })
    }

    /// The (*,G) and (S,G) entries, by source and group.
    pub fn entries(&self) -> impl Iterator<Item = EntryView> {
        self.tib.iter().map(|(key, entry)| self.view(key, entry))
    }

    /// One (S,G) or (*,G) entry.
    pub fn entry(&self, key: MrouteKey) -> Option<EntryView> {
        self.tib.get(key).map(|entry| self.view(key, entry))
    }

    /// How many entries there are.
    pub fn entry_count(&self) -> usize {
        self.tib.len()
    }

    /// The MLD queriers, by port.
    pub fn queriers(&self) -> impl Iterator<Item = (PortId, &Querier)> {
        self.interfaces.iter().filter_map(|(&port, interface)| Some((port, interface.mld.as_ref()?)))
    }

    fn view(&self, key: MrouteKey, entry: &Entry) -> EntryView {
        let downstream = entry.joins().iter().map(|port| DownstreamView {
            port,
            state: entry.downstream(port),
            expires: self.timers.deadline(TimerKey::Expiry(key, port)),
            prune_pending: self.timers.deadline(TimerKey::PrunePending(key, port)),
        });
        EntryView {
            key,
            root: entry.root,
            rpf: entry.rpf,
            upstream: entry.upstream,
            join_timer: entry.join_timer,
            downstream: downstream.collect(),
            include: entry.include,
            forward: entry.forward(self.tib.any_source_beside(key), entry.rpf.interface()),
        }
    }
}
