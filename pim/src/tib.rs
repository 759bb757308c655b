//! The tree information base: one entry for each (S,G) and (*,G) of which something is known (RFC 7761 §4.1.2, §4.1.3,
//! §4.1.4). A (*,G) has the unspecified address as source.

use crate::assert::AssertState;
use crate::downstream::DownstreamState;
use crate::register::RegisterState;
use crate::rpf::{LinkNeighbor, RouteMetric, RpfInfo};
use crate::sg_rpt::{RptDownstream, RptUpstreamState};
use crate::upstream::UpstreamState;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::tables::{Mroute, MrouteKey, PortSet};
use stack::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// State of one (S,G) or (*,G). Its timers are the router's, but for the join timer.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What the tree grows towards: S, or RP(G); unspecified where the group has no rendezvous point any more.
    pub(crate) root: Ipv6Addr,
    /// Where the routes say that is.
    pub(crate) rpf: RpfInfo,
    /// MRIB.pref(root) and MRIB.metric(root).
    pub(crate) metric: RouteMetric,
    /// Interfaces in Join state.
    pub(crate) joined: PortSet,
    /// Interfaces in Prune-Pending state.
    pub(crate) prune_pending: PortSet,
    /// local_receiver_include(S,G,I), local_receiver_include(*,G,I).
    pub(crate) members: PortSet,
    /// RPF'(S,G), RPF'(*,G), as it was last used.
    pub(crate) upstream_neighbor: Option<LinkNeighbor>,
    /// Whether that was the winner of an assert.
    pub(crate) upstream_by_assert: bool,
    pub(crate) upstream: UpstreamState,
    /// When JT(S,G), JT(*,G) expires; it runs while there is a neighbour to refresh.
    pub(crate) join_timer: Option<Instant>,
    /// What the forwarding table holds.
    pub(crate) installed: Option<Mroute>,
    /// Interfaces whose assert state is not NoInfo.
    pub(crate) asserts: BTreeMap<PortId, AssertState>,
    /// What an (S,G) of an any-source group has beside that; none of (*,G) and of source-specific groups.
    pub(crate) shared: Option<Box<SharedState>>,
}

/// What is known of a source of a group that has a shared tree: (S,G,rpt) state, and how its packets come.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedState {
    /// SPTbit(S,G).
    pub(crate) spt_bit: bool,
    /// Whether KAT(S,G) runs.
    pub(crate) is_kept_alive: bool,
    /// Whether the next packet restarts KAT(S,G): the forwarding table is asked to tell of it.
    pub(crate) awaits_packet: bool,
    /// local_receiver_exclude(S,G,I).
    pub(crate) excluded: PortSet,
    pub(crate) rpt: RptDownstream,
    pub(crate) rpt_upstream: RptUpstreamState,
    /// Whether RPF'(S,G,rpt) was another router than RPF'(*,G) when last looked at.
    pub(crate) rpt_neighbor_differs: bool,
    pub(crate) register: RegisterState,
    /// The rendezvous point that it is registered with.
    pub(crate) registered_with: Option<Ipv6Addr>,
}

impl Entry {
    fn new(root: Ipv6Addr, rpf: RpfInfo, metric: RouteMetric, shared: Option<Box<SharedState>>) -> Self {
        Entry {
            root,
            rpf,
            metric,
            joined: PortSet::EMPTY,
            prune_pending: PortSet::EMPTY,
            members: PortSet::EMPTY,
            upstream_neighbor: rpf.neighbor(),
            upstream_by_assert: false,
            upstream: UpstreamState::NotJoined,
            join_timer: None,
            installed: None,
            asserts: BTreeMap::new(),
            shared,
        }
    }

    pub(crate) fn downstream(&self, port: PortId) -> DownstreamState {
        if self.joined.contains(port) {
            DownstreamState::Join
        } else if self.prune_pending.contains(port) {
            DownstreamState::PrunePending
        } else {
            DownstreamState::NoInfo
        }
    }

    pub(crate) fn set_downstream(&mut self, port: PortId, state: DownstreamState) {
        self.joined.remove(port);
        self.prune_pending.remove(port);
        match state {
            DownstreamState::NoInfo => {}
            DownstreamState::Join => {
                self.joined.insert(port);
            }
            DownstreamState::PrunePending => {
                self.prune_pending.insert(port);
            }
        }
    }

    /// SPTbit(S,G). A source-specific group has no other tree, so that its bit is set as soon as the tree is joined
    /// (RFC 7761 §4.8.1).
    pub(crate) fn spt_bit(&self) -> bool {
        self.shared.as_ref().map_or(self.upstream == UpstreamState::Joined, |shared| shared.spt_bit)
    }

    /// KeepaliveTimer(S,G) is running
    pub(crate) fn is_kept_alive(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.is_kept_alive)
    }

    /// DownstreamJPState(S,G,VI) of the register tunnel is Join (RFC 7761 §4.4.1).
    pub(crate) fn has_register_tunnel(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.register == RegisterState::Join)
    }
}

/// The entries, ordered by source, then group.
#[derive(Debug, Default)]
pub(crate) struct Tib {
    entries: BTreeMap<MrouteKey, Entry>,
    /// Groups of the (*,G) entries, by rendezvous point.
    by_rendezvous_point: BTreeMap<Ipv6Addr, BTreeSet<Ipv6Addr>>,
    /// Sources of the (S,G) entries, by any-source group.
    by_group: BTreeMap<Ipv6Addr, BTreeSet<Ipv6Addr>>,
}

impl Tib {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, key: MrouteKey) -> Option<&Entry> {
        self.entries.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: MrouteKey) -> Option<&mut Entry> {
        self.entries.get_mut(&key)
    }

    /// Makes the entry, which is not there yet. With `shared` it is that of a source of an any-source group.
    pub(crate) fn insert(
        &mut self,
        key: MrouteKey,
        root: Ipv6Addr,
        (rpf, metric): (RpfInfo, RouteMetric),
        shared: Option<Box<SharedState>>,
    ) -> &mut Entry {
        if key.source.is_unspecified() {
            self.by_rendezvous_point.entry(root).or_default().insert(key.group);
        } else if shared.is_some() {
            self.by_group.entry(key.group).or_default().insert(key.source);
        }
        self.entries.entry(key).or_insert_with(|| Entry::new(root, rpf, metric, shared))
    }

    pub(crate) fn remove(&mut self, key: MrouteKey) {
        let Some(entry) = self.entries.remove(&key) else { return };
        if key.source.is_unspecified() {
            take(&mut self.by_rendezvous_point, entry.root, key.group);
        } else if entry.shared.is_some() {
            take(&mut self.by_group, key.group, key.source);
        }
    }

    /// Gives a (*,G) another root; answers the one that it had.
    pub(crate) fn set_root(&mut self, key: MrouteKey, root: Ipv6Addr) -> Option<Ipv6Addr> {
        let entry = self.entries.get_mut(&key)?;
        let former = core::mem::replace(&mut entry.root, root);
        take(&mut self.by_rendezvous_point, former, key.group);
        self.by_rendezvous_point.entry(root).or_default().insert(key.group);
        Some(former)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (MrouteKey, &Entry)> {
        self.entries.iter().map(|(&key, entry)| (key, entry))
    }

    /// The entries from this name on.
    pub(crate) fn iter_from(&self, from: MrouteKey) -> impl Iterator<Item = (MrouteKey, &Entry)> {
        self.entries.range(from..).map(|(&key, entry)| (key, entry))
    }

    /// Keys of the entries of which `wanted` holds.
    pub(crate) fn keys_where(&self, mut wanted: impl FnMut(&Entry) -> bool) -> Vec<MrouteKey> {
        self.iter().filter(|(_, entry)| wanted(entry)).map(|(key, _)| key).collect()
    }

    /// Keys of the entries whose source, or rendezvous point, has this prefix.
    pub(crate) fn keys_rooted_in(&self, prefix: Prefix) -> Vec<MrouteKey> {
        let first = prefix.address();
        let host_bits = u128::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0);
        let last = Ipv6Addr::from_bits(first.to_bits() | host_bits);
        let from = MrouteKey { source: first, group: Ipv6Addr::UNSPECIFIED };
        let to = MrouteKey { source: last, group: Ipv6Addr::from_bits(u128::MAX) };
        let sources = self.entries.range(from..=to).map(|(&key, _)| key).filter(|key| !key.source.is_unspecified());
        let shared = self.by_rendezvous_point.range(first..=last).flat_map(|(_, groups)| groups);
        sources.chain(shared.map(|&group| any_source_key(group))).collect()
    }

    /// Keys of the (S,G) entries of an any-source group.
    pub(crate) fn sources_of(&self, group: Ipv6Addr) -> Vec<MrouteKey> {
        self.by_group.get(&group).into_iter().flatten().map(|&source| MrouteKey { source, group }).collect()
    }

    /// The (*,G) entry that an (S,G) stands beside.
    pub(crate) fn any_source_beside(&self, key: MrouteKey) -> Option<&Entry> {
        self.entries.get(&any_source_key(key.group))
    }
}

/// The name of (*,G).
pub(crate) const fn any_source_key(group: Ipv6Addr) -> MrouteKey {
    MrouteKey { source: Ipv6Addr::UNSPECIFIED, group }
}

fn take(index: &mut BTreeMap<Ipv6Addr, BTreeSet<Ipv6Addr>>, key: Ipv6Addr, value: Ipv6Addr) {
    if let Some(values) = index.get_mut(&key) {
        values.remove(&value);
        if values.is_empty() {
            index.remove(&key);
        }
    }
}
