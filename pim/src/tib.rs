//! The tree information base: one entry for each (S,G) and (*,G) that somebody downstream wants (RFC 7761 §4.1.1,
//! §4.1.3). A (*,G) has the unspecified address as source.

use crate::downstream::DownstreamState;
use crate::rpf::RpfInfo;
use crate::upstream::UpstreamState;
use core::net::Ipv6Addr;
use stack::addr::{self, Prefix};
use stack::machine::PortId;
use stack::tables::{Mroute, MrouteKey, PortSet};
use stack::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// State of one (S,G) or (*,G). Its interfaces' expiry and prune-pending timers are the router's.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What the tree grows towards: S, or RP(G).
    pub(crate) root: Ipv6Addr,
    /// Interfaces in Join state.
    pub(crate) joined: PortSet,
    /// Interfaces in Prune-Pending state.
    pub(crate) prune_pending: PortSet,
    /// pim_include(S,G), pim_include(*,G): interfaces with local members of which this router is the designated one.
    pub(crate) include: PortSet,
    pub(crate) rpf: RpfInfo,
    pub(crate) upstream: UpstreamState,
    /// When JT(S,G), JT(*,G) expires; it runs while there is a neighbour to refresh.
    pub(crate) join_timer: Option<Instant>,
    /// What the forwarding table holds.
    pub(crate) installed: Option<Mroute>,
}

impl Entry {
    fn new(root: Ipv6Addr, rpf: RpfInfo) -> Self {
        Entry {
            root,
            joined: PortSet::EMPTY,
            prune_pending: PortSet::EMPTY,
            include: PortSet::EMPTY,
            rpf,
            upstream: UpstreamState::NotJoined,
            join_timer: None,
            installed: None,
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

    /// The entry, made where it is not there and fewer than `limit` are.
    pub(crate) fn get_or_insert(
        &mut self,
        key: MrouteKey,
        root: Ipv6Addr,
        limit: usize,
        rpf: impl FnOnce() -> RpfInfo,
    ) -> Option<&mut Entry> {
        if !self.entries.contains_key(&key) {
            if self.entries.len() >= limit {
                return None;
            }
            self.entries.insert(key, Entry::new(root, rpf()));
            if key.source.is_unspecified() {
                self.by_rendezvous_point.entry(root).or_default().insert(key.group);
            } else if is_any_source(key.group) {
                self.by_group.entry(key.group).or_default().insert(key.source);
            }
        }
        self.entries.get_mut(&key)
    }

    pub(crate) fn remove(&mut self, key: MrouteKey) {
        let Some(entry) = self.entries.remove(&key) else { return };
        if key.source.is_unspecified() {
            take(&mut self.by_rendezvous_point, entry.root, key.group);
        } else if is_any_source(key.group) {
            take(&mut self.by_group, key.group, key.source);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (MrouteKey, &Entry)> {
        self.entries.iter().map(|(&key, entry)| (key, entry))
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
        if key.source.is_unspecified() || !is_any_source(key.group) {
            return None;
        }
        self.entries.get(&any_source_key(key.group))
    }
}

/// The name of (*,G).
pub(crate) const fn any_source_key(group: Ipv6Addr) -> MrouteKey {
    MrouteKey { source: Ipv6Addr::UNSPECIFIED, group }
}

/// Whether a group can have a (*,G): its rendezvous point is known.
fn is_any_source(group: Ipv6Addr) -> bool {
    addr::embedded_rp(group).is_ok()
}

fn take(index: &mut BTreeMap<Ipv6Addr, BTreeSet<Ipv6Addr>>, key: Ipv6Addr, value: Ipv6Addr) {
    if let Some(values) = index.get_mut(&key) {
        values.remove(&value);
        if values.is_empty() {
            index.remove(&key);
        }
    }
}
