//! What a terminal receives and how it sends: its groups with the window that suppresses duplicates, its unicast
//! tunnels, and its uplinks by source address.

use super::hash::TableFull;
use super::{GroupReception, MrouteKey, PortSet, TunnelReception, Uplink};
use crate::machine::PortId;
use core::net::Ipv6Addr;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Sequence numbers that the window remembers.
pub(crate) const WINDOW: u32 = 1024;
/// Consecutive numbers from far behind the window after which the sender is taken to have started anew.
const RESTART_AFTER: u32 = 3;

/// What a sequence number turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sequence {
    /// Not seen before.
    New,
    /// Seen before.
    Duplicate,
    /// Too far behind to know.
    Old,
}

/// The last [`WINDOW`] sequence numbers of a tunnel (RFC 2890 §2.2), one bit each: set where the packet came.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    bits: [u64; WINDOW as usize / 64],
    highest: Option<u32>,
    /// The last number from behind the window, and how many came in a row.
    behind: Option<(u32, u32)>,
}

impl Window {
    pub(crate) const EMPTY: Window = Window { bits: [0; WINDOW as usize / 64], highest: None, behind: None };

    /// Takes a number in.
    pub(crate) fn take(&mut self, sequence: u32) -> Sequence {
        let Some(highest) = self.highest else {
            self.restart(sequence);
            return Sequence::New;
        };
        let ahead = sequence.wrapping_sub(highest);
        if ahead == 0 {
            return Sequence::Duplicate;
        }
        if ahead < 1 << 31 {
            if ahead >= WINDOW {
                self.bits = [0; WINDOW as usize / 64];
            } else {
                for passed in 1..=ahead {
                    self.clear(highest.wrapping_add(passed));
                }
            }
            self.highest = Some(sequence);
        } else if highest.wrapping_sub(sequence) >= WINDOW {
            return self.take_from_behind(sequence);
        }
        self.behind = None;
        if self.is_set(sequence) {
            return Sequence::Duplicate;
        }
        self.set(sequence);
        Sequence::New
    }

    /// A sender that lost its state starts at 0 again: what would be taken for old for ever is taken for a restart when
    /// it comes in unbroken order.
    fn take_from_behind(&mut self, sequence: u32) -> Sequence {
        let row = match self.behind {
            Some((last, row)) if sequence == last.wrapping_add(1) => row + 1,
            _ => 1,
        };
        if row > RESTART_AFTER {
            self.restart(sequence);
            return Sequence::New;
        }
        self.behind = Some((sequence, row));
        Sequence::Old
    }

    fn restart(&mut self, sequence: u32) {
        *self = Window::EMPTY;
        self.highest = Some(sequence);
        self.set(sequence);
    }

    fn place(sequence: u32) -> (usize, u64) {
        let bit = sequence % WINDOW;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn is_set(&self, sequence: u32) -> bool {
        let (word, bit) = Self::place(sequence);
        self.bits[word] & bit != 0
    }

    fn set(&mut self, sequence: u32) {
        let (word, bit) = Self::place(sequence);
        self.bits[word] |= bit;
    }

    fn clear(&mut self, sequence: u32) {
        let (word, bit) = Self::place(sequence);
        self.bits[word] &= !bit;
    }
}

/// A group that is received.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// What to accept.
    pub(crate) reception: GroupReception,
    /// Sequence numbers seen.
    pub(crate) window: Window,
    /// Ports on which data came.
    pub(crate) seen: PortSet,
    /// Packets delivered.
    pub(crate) packets: u64,
}

/// The groups that are received, each from one source or, between two sites, from two.
pub(crate) struct Groups {
    groups: HashMap<Ipv6Addr, Vec<Group>>,
    count: usize,
    limit: usize,
}

impl Groups {
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

    #[inline]
    pub(crate) fn get_mut(&mut self, group: Ipv6Addr, source: Ipv6Addr) -> Option<&mut Group> {
        self.groups.get_mut(&group)?.iter_mut().find(|entry| entry.reception.source == source)
    }

    /// Sets a reception. The window goes on while the key stays; which ports had data is forgotten.
    pub(crate) fn set(&mut self, group: Ipv6Addr, reception: GroupReception) -> Result<(), TableFull> {
        if let Some(old) = self.get_mut(group, reception.source) {
            if old.reception.gre_key != reception.gre_key {
                old.window = Window::EMPTY;
            }
            old.reception = reception;
            old.seen = PortSet::EMPTY;
            return Ok(());
        }
        if self.count >= self.limit {
            return Err(TableFull);
        }
        let entry = Group { reception, window: Window::EMPTY, seen: PortSet::EMPTY, packets: 0 };
        self.groups.entry(group).or_default().push(entry);
        self.count += 1;
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: MrouteKey) {
        let Some(entries) = self.groups.get_mut(&key.group) else { return };
        let before = entries.len();
        entries.retain(|entry| entry.reception.source != key.source);
        self.count -= before - entries.len();
        if entries.is_empty() {
            self.groups.remove(&key.group);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_knows_new_duplicate_and_old() {
        let mut window = Window::EMPTY;
        assert_eq!(window.take(u32::MAX - 1), Sequence::New);
        assert_eq!(window.take(1), Sequence::New, "across the wrap");
        assert_eq!(window.take(0), Sequence::New, "late, but first");
        assert_eq!(window.take(0), Sequence::Duplicate);
        assert_eq!(window.take(u32::MAX - 1), Sequence::Duplicate);
        assert_eq!(window.take(5000), Sequence::New);
        assert_eq!(window.take(5000 - WINDOW + 1), Sequence::New);
        assert_eq!(window.take(5000 - WINDOW), Sequence::Old);
    }

    #[test]
    fn a_sender_that_starts_anew_is_heard() {
        let mut window = Window::EMPTY;
        window.take(1_000_000);
        let answers: Vec<Sequence> = (0..6).map(|n| window.take(n)).collect();
        assert_eq!(answers[..3], [Sequence::Old; 3]);
        assert_eq!(answers[3..], [Sequence::New; 3]);
        assert_eq!(window.take(4), Sequence::Duplicate);
    }

    #[test]
    fn window_equals_a_set_of_numbers() {
        let mut window = Window::EMPTY;
        let mut seen = BTreeSet::new();
        let (mut state, mut highest) = (7u64, 0u32);
        for step in 0..20_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let jitter = (state >> 40) as u32 % 400;
            let sequence = (step + 400) - jitter;
            let expected = if highest >= sequence + WINDOW {
                Sequence::Old
            } else if seen.insert(sequence) {
                Sequence::New
            } else {
                Sequence::Duplicate
            };
            highest = highest.max(sequence);
            assert_eq!(window.take(sequence), expected, "{sequence}");
        }
    }
}
