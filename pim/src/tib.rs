//! The tree information base: one entry for each (S,G) that somebody downstream wants (RFC 7761 §4.1.3).

use crate::downstream::DownstreamState;
use crate::rpf::RpfInfo;
use crate::upstream::UpstreamState;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::tables::{Mroute, MrouteKey, PortSet};
use stack::time::Instant;
use std::collections::BTreeMap;

/// State of one (S,G). Its interfaces' expiry and prune-pending timers are the router's.
#[derive(Clone, Debug)]
pub(crate) struct SgEntry {
    /// Interfaces in Join state.
    pub(crate) joined: PortSet,
    /// Interfaces in Prune-Pending state.
    pub(crate) prune_pending: PortSet,
    /// pim_include(S,G): interfaces with local members of which this router is the designated one.
    pub(crate) include: PortSet,
    pub(crate) rpf: RpfInfo,
    pub(crate) upstream: UpstreamState,
    /// When JT(S,G) expires; it runs while there is a neighbour to refresh.
    pub(crate) join_timer: Option<Instant>,
    /// What the forwarding table holds.
    pub(crate) installed: Option<Mroute>,
}

impl SgEntry {
    fn new(rpf: RpfInfo) -> Self {
        SgEntry {
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
    entries: BTreeMap<MrouteKey, SgEntry>,
}

impl Tib {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, key: MrouteKey) -> Option<&SgEntry> {
        self.entries.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: MrouteKey) -> Option<&mut SgEntry> {
        self.entries.get_mut(&key)
    }

    /// The entry, made where it is not there and fewer than `limit` are.
    pub(crate) fn get_or_insert(
        &mut self,
        key: MrouteKey,
        limit: usize,
        rpf: impl FnOnce() -> RpfInfo,
    ) -> Option<&mut SgEntry> {
        if !self.entries.contains_key(&key) {
            if self.entries.len() >= limit {
                return None;
            }
            self.entries.insert(key, SgEntry::new(rpf()));
        }
        self.entries.get_mut(&key)
    }

    pub(crate) fn remove(&mut self, key: MrouteKey) {
        self.entries.remove(&key);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (MrouteKey, &SgEntry)> {
        self.entries.iter().map(|(&key, entry)| (key, entry))
    }

    /// Keys of the entries of which `wanted` holds.
    pub(crate) fn keys_where(&self, mut wanted: impl FnMut(&SgEntry) -> bool) -> Vec<MrouteKey> {
        self.iter().filter(|(_, entry)| wanted(entry)).map(|(key, _)| key).collect()
    }

    /// Keys of the entries whose source has this prefix.
    pub(crate) fn keys_of_sources(&self, prefix: Prefix) -> Vec<MrouteKey> {
        let first = prefix.address();
        let host_bits = u128::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0);
        let last = Ipv6Addr::from_bits(first.to_bits() | host_bits);
        let from = MrouteKey { source: first, group: Ipv6Addr::UNSPECIFIED };
        let to = MrouteKey { source: last, group: Ipv6Addr::from_bits(u128::MAX) };
        self.entries.range(from..=to).map(|(&key, _)| key).collect()
    }
}
