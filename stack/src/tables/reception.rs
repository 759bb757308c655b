//! What a terminal receives and how it sends: its groups with the window that suppresses duplicates and the order that
//! its packets are given back, its unicast tunnels, and its uplinks by source address.

use super::hash::TableFull;
use super::sequence::Window;
use super::{GroupReception, MrouteKey, PortSet, TunnelReception, Uplink};
use crate::machine::PortId;
use core::net::Ipv6Addr;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// A group that is received; `O` puts its packets into order.
pub(crate) struct Group<O> {
    /// What to accept.
    pub(crate) reception: GroupReception,
    /// Sequence numbers seen.
    pub(crate) window: Window,
    /// Their order, and the packets that wait for it.
    pub(crate) order: O,
    /// Ports on which data came.
    pub(crate) seen: PortSet,
    /// Packets delivered.
    pub(crate) packets: u64,
}

/// The groups that are received, each from one source or, between two sites, from two.
pub(crate) struct Groups<O> {
    groups: HashMap<Ipv6Addr, Vec<Group<O>>>,
    count: usize,
    limit: usize,
}

impl<O: Default> Groups<O> {
    pub(crate) fn new(limit: usize) -> Self {
        Groups { groups: HashMap::new(), count: 0, limit }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub(crate) fn contains(&self, group: Ipv6Addr) -> bool {
        self.groups.contains_key(&group)
    }

    pub(crate) fn get(&self, group: Ipv6Addr, source: Ipv6Addr) -> Option<&Group<O>> {
        self.groups.get(&group)?.iter().find(|entry| entry.reception.source == source)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, group: Ipv6Addr, source: Ipv6Addr) -> Option<&mut Group<O>> {
        self.groups.get_mut(&group)?.iter_mut().find(|entry| entry.reception.source == source)
    }

    /// Sets a reception. Window and order go on while the key stays, else the old order is given back; which ports had
    /// data is forgotten.
    pub(crate) fn set(&mut self, group: Ipv6Addr, reception: GroupReception) -> Result<Option<O>, TableFull> {
        if let Some(old) = self.get_mut(group, reception.source) {
            let mut order = None;
            if old.reception.gre_key != reception.gre_key {
                old.window = Window::EMPTY;
                order = Some(core::mem::take(&mut old.order));
            }
            old.reception = reception;
            old.seen = PortSet::EMPTY;
            return Ok(order);
        }
        if self.count >= self.limit {
            return Err(TableFull);
        }
        let entry = Group { reception, window: Window::EMPTY, order: O::default(), seen: PortSet::EMPTY, packets: 0 };
        self.groups.entry(group).or_default().push(entry);
        self.count += 1;
        Ok(None)
    }

    /// Removes a reception; gives back its order.
    pub(crate) fn remove(&mut self, key: MrouteKey) -> Option<O> {
        let entries = self.groups.get_mut(&key.group)?;
        let place = entries.iter().position(|entry| entry.reception.source == key.source)?;
        let entry = entries.remove(place);
        self.count -= 1;
        if entries.is_empty() {
            self.groups.remove(&key.group);
        }
        Some(entry.order)
    }

    /// The port has joined the group: data on it is news again.
    pub(crate) fn joined(&mut self, group: Ipv6Addr, port: PortId) {
        for entry in self.groups.get_mut(&group).into_iter().flatten() {
            entry.seen.remove(port);
        }
    }

    /// Every group in order, with the packets that it has delivered.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, GroupReception, u64)> {
        let mut all: Vec<_> = self
            .groups
            .iter()
            .flat_map(|(&group, entries)| entries.iter().map(move |entry| (group, entry.reception, entry.packets)))
            .collect();
        all.sort_by_key(|&(group, reception, _)| (group, reception.source));
        all.into_iter()
    }
}

/// The unicast tunnels that a terminal leaves.
pub(crate) struct Tunnels {
    by_local: BTreeMap<Ipv6Addr, BTreeSet<(Ipv6Addr, Ipv6Addr)>>,
    count: usize,
    limit: usize,
}

impl Tunnels {
    pub(crate) fn new(limit: usize) -> Self {
        Tunnels { by_local: BTreeMap::new(), count: 0, limit }
    }

    /// Whether there is none.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn set(&mut self, tunnel: TunnelReception) -> Result<(), TableFull> {
        if self.count >= self.limit {
            return Err(TableFull);
        }
        let new = self.by_local.entry(tunnel.local).or_default().insert((tunnel.remote, tunnel.home_address));
        self.count += usize::from(new);
        Ok(())
    }

    pub(crate) fn remove(&mut self, tunnel: TunnelReception) {
        let Some(tunnels) = self.by_local.get_mut(&tunnel.local) else { return };
        self.count -= usize::from(tunnels.remove(&(tunnel.remote, tunnel.home_address)));
        if tunnels.is_empty() {
            self.by_local.remove(&tunnel.local);
        }
    }

    /// Whether a tunnel from `remote` ends at `local`, whatever is inside.
    #[inline]
    pub(crate) fn ends(&self, remote: Ipv6Addr, local: Ipv6Addr) -> bool {
        self.count > 0
            && self.by_local.get(&local).is_some_and(|tunnels| tunnels.iter().any(|&(from, _)| from == remote))
    }

    /// Whether a packet of this tunnel is taken out.
    pub(crate) fn accepts(&self, remote: Ipv6Addr, local: Ipv6Addr, home_address: Ipv6Addr) -> bool {
        self.by_local.get(&local).is_some_and(|tunnels| tunnels.contains(&(remote, home_address)))
    }

    /// Whether any tunnel ends at `local` for `home_address`.
    pub(crate) fn serves(&self, local: Ipv6Addr, home_address: Ipv6Addr) -> bool {
        self.by_local.get(&local).is_some_and(|tunnels| tunnels.iter().any(|&(_, home)| home == home_address))
    }
}

/// How packets leave, by their source address.
pub(crate) struct Uplinks {
    by_source: HashMap<Ipv6Addr, Uplink>,
    exceptions: HashMap<(Ipv6Addr, Ipv6Addr), Uplink>,
    limit: usize,
    exception_limit: usize,
}

impl Uplinks {
    pub(crate) fn new(limit: usize, exception_limit: usize) -> Self {
        Uplinks { by_source: HashMap::new(), exceptions: HashMap::new(), limit, exception_limit }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_source.is_empty()
    }

    /// Whether the address is a terminal's home address on this node.
    #[inline(always)]
    pub(crate) fn is_home_address(&self, address: Ipv6Addr) -> bool {
        self.by_source.contains_key(&address)
    }

    /// The uplink of packets from `source` to correspondents that are like all others.
    #[inline]
    pub(crate) fn usual(&self, source: Ipv6Addr) -> Option<Uplink> {
        self.by_source.get(&source).copied()
    }

    /// The uplink of packets from `source` to `destination`.
    #[inline]
    pub(crate) fn get(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Option<Uplink> {
        let usual = self.by_source.get(&source)?;
        if self.exceptions.is_empty() {
            return Some(*usual);
        }
        Some(*self.exceptions.get(&(source, destination)).unwrap_or(usual))
    }

    pub(crate) fn set(&mut self, source: Ipv6Addr, uplink: Uplink) -> Result<(), TableFull> {
        if self.by_source.len() >= self.limit && !self.by_source.contains_key(&source) {
            return Err(TableFull);
        }
        self.by_source.insert(source, uplink);
        Ok(())
    }

    pub(crate) fn set_exception(
        &mut self,
        home_address: Ipv6Addr,
        correspondent: Ipv6Addr,
        uplink: Uplink,
    ) -> Result<(), TableFull> {
        let key = (home_address, correspondent);
        if self.exceptions.len() >= self.exception_limit && !self.exceptions.contains_key(&key) {
            return Err(TableFull);
        }
        self.exceptions.insert(key, uplink);
        Ok(())
    }

    pub(crate) fn remove_exception(&mut self, home_address: Ipv6Addr, correspondent: Ipv6Addr) {
        self.exceptions.remove(&(home_address, correspondent));
    }

    /// Every uplink in order of source address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, Uplink)> {
        let mut all: Vec<_> = self.by_source.iter().map(|(&source, &uplink)| (source, uplink)).collect();
        all.sort_by_key(|&(source, _)| source);
        all.into_iter()
    }
}
