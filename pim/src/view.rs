//! What there is to see of a router: for people, and for tests.

use crate::assert::AssertState;
use crate::counters::Counters;
use crate::downstream::DownstreamState;
use crate::instance::{Router, TimerKey};
use crate::mld::Querier;
use crate::neighbor::Neighbor;
use crate::register::RegisterState;
use crate::rpf::{LinkNeighbor, RpfInfo};
use crate::sg_rpt::{RptDownstreamState, RptUpstreamState};
use crate::tib::Entry;
use crate::upstream::UpstreamState;
use core::net::Ipv6Addr;
use stack::machine::PortId;
use stack::tables::{Accept, MrouteKey, PortSet};
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
    /// pim_include(S,G), pim_include(*,G): interfaces with local members that are this router's business.
    pub include: PortSet,
    /// RPF'(S,G), RPF'(*,G).
    pub upstream_neighbor: Option<LinkNeighbor>,
    /// Interfaces with assert state, and when it runs out or is renewed.
    pub asserts: Vec<(PortId, AssertState, Option<Instant>)>,
    /// What a source of a group that has a shared tree has beside that.
    pub shared: Option<SharedView>,
    /// Where packets that have this route have to come from; `None` where packets have none of their own.
    pub accept: Option<Accept>,
    /// Where they go.
    pub forward: PortSet,
    /// Until when a listener to come is waited for.
    pub pre_joined_until: Option<Instant>,
}

/// What is known of a source of a group that has a shared tree, to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedView {
    /// SPTbit(S,G): packets are taken from the source's own tree.
    pub spt_bit: bool,
    /// When the source is forgotten unless it sends; `None` where nothing was heard of it.
    pub keepalive: Option<Instant>,
    /// State as designated router of the source's link.
    pub register: RegisterState,
    /// What is said of the source to the router towards the rendezvous point.
    pub rpt_upstream: RptUpstreamState,
    /// Interfaces on which routers prune the source off the shared tree.
    pub rpt_downstream: Vec<(PortId, RptDownstreamState)>,
    /// local_receiver_exclude(S,G,I): interfaces whose members of all sources want this one not.
    pub excluded: PortSet,
    /// When a Join(S,G,rpt) overrides what another router pruned.
    pub override_at: Option<Instant>,
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

/// An (S,G) or (*,G) in its place among others.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    router: &'a Router,
    key: MrouteKey,
    entry: &'a Entry,
}

impl EntryRef<'_> {
    /// The source and the group; the unspecified address is all sources.
    pub fn key(&self) -> MrouteKey {
        self.key
    }

    /// Whether an interface has assert state.
    pub fn has_asserts(&self) -> bool {
        !self.entry.asserts().is_empty()
    }

    /// The entry, to look at.
    pub fn view(&self) -> EntryView {
        self.router.view(self.key, self.entry)
    }
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

    /// The (*,G) and (S,G) entries from this place on, each with its own, in no order of names: so a table of a million is
    /// looked at in parts, of which each costs only what it looks at. An entry that is made or goes meanwhile may be missed;
    /// no other is, and none comes twice.
    pub fn entries_from(&self, place: usize) -> impl Iterator<Item = (usize, EntryRef<'_>)> {
        self.tib.iter_from_slot(place).map(|(place, key, entry)| (place, EntryRef { router: self, key, entry }))
    }

    /// One (S,G) or (*,G) entry.
    pub fn entry(&self, key: MrouteKey) -> Option<EntryView> {
        self.tib.get(key).map(|entry| self.view(key, entry))
    }

    /// Where the routes say that a source or rendezvous point of the group is: what an entry would have.
    pub fn way_to(&self, root: Ipv6Addr, group: Ipv6Addr) -> RpfInfo {
        self.way(root, group).rpf
    }

    /// Whether members of this group name their sources (RFC 4607).
    pub fn is_source_specific(&self, group: Ipv6Addr) -> bool {
        self.config.is_ssm(group)
    }

    /// Whether packets of this group may neither leave nor come by the port.
    pub fn bounds(&self, port: PortId, group: Ipv6Addr) -> bool {
        self.interfaces.get(&port).is_some_and(|interface| interface.bounds(group))
    }

    /// Whether other routers may join this group on the port.
    pub fn takes_joins(&self, port: PortId, group: Ipv6Addr) -> bool {
        self.interfaces.get(&port).is_some_and(|interface| interface.takes_joins(group))
    }

    /// Groups of one terminal each are in these ranges.
    pub fn mobility_ranges(&self) -> &[stack::addr::Prefix] {
        &self.config.mobility_ranges
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
        let trees = self.trees(key);
        let downstream = entry.joins().iter().map(|port| DownstreamView {
            port,
            state: entry.downstream(port),
            expires: self.expiry_deadline(key, port),
            prune_pending: self.timers.deadline(TimerKey::PrunePending(key, port)),
        });
        EntryView {
            key,
            root: entry.root(),
            rpf: entry.rpf(),
            upstream: entry.upstream,
            join_timer: entry.join_timer(),
            downstream: downstream.collect(),
            include: if key.source.is_unspecified() { trees.pim_include_any() } else { trees.pim_include_sg() },
            upstream_neighbor: entry.upstream_neighbor(),
            asserts: entry
                .asserts()
                .iter()
                .map(|(&port, &state)| (port, state, self.timers.deadline(TimerKey::Assert(key, port))))
                .collect(),
            shared: entry.shared.as_ref().map(|shared| SharedView {
                spt_bit: shared.spt_bit,
                keepalive: self.timers.deadline(TimerKey::Keepalive(key)),
                register: shared.register,
                rpt_upstream: shared.rpt_upstream,
                rpt_downstream: shared.rpt.known().iter().map(|port| (port, shared.rpt.state(port))).collect(),
                excluded: shared.excluded,
                override_at: self.timers.deadline(TimerKey::RptOverride(key)),
            }),
            accept: entry.installed().map(|mroute| mroute.accept),
            forward: entry.installed().map_or(PortSet::EMPTY, |mroute| mroute.forward),
            pre_joined_until: self.timers.deadline(TimerKey::PreJoin(key)),
        }
    }
}
