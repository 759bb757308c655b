//! The binding cache of the home agent (RFC 6275 §9.1, §10.1): one entry for each home address, at most so many.

use core::net::Ipv6Addr;
use stack::machine::PortId;
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;

/// A binding as it was registered. It changes when the terminal registers, and by nothing else: not as time passes, not
/// as the terminal moves inside its site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The home address.
    pub home_address: Ipv6Addr,
    /// The primary care-of address.
    pub care_of: Ipv6Addr,
    /// The home agent's address that the terminal registered with.
    pub agent: Ipv6Addr,
    /// The home link.
    pub home_port: PortId,
    /// The sequence number of the last Binding Update accepted.
    pub sequence: u16,
    /// The link-local address that is defended with the home address (L bit).
    pub link_local: Option<Ipv6Addr>,
    /// The lifetime granted.
    pub lifetime: Duration,
    /// What the entry is there for.
    pub status: BindingStatus,
}

/// What an entry is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindingStatus {
    /// Packets for the home address go to the care-of address.
    Active,
    /// The terminal has de-registered; the entry only remembers the sequence number (RFC 6275 §10.3.2).
    Deregistered,
}

/// The cache.
#[derive(Clone, Debug)]
pub struct BindingCache {
    entries: BTreeMap<Ipv6Addr, (Binding, Instant)>,
    limit: usize,
}

impl BindingCache {
    /// An empty cache that holds `limit` entries, those of terminals that have de-registered included.
    pub const fn new(limit: usize) -> Self {
        BindingCache { entries: BTreeMap::new(), limit }
    }

    /// The entry of a home address.
    pub fn get(&self, home_address: Ipv6Addr) -> Option<&Binding> {
        self.entries.get(&home_address).map(|(binding, _)| binding)
    }

    /// The entry of a home address, where packets are intercepted for it.
    pub fn active(&self, home_address: Ipv6Addr) -> Option<&Binding> {
        self.get(home_address).filter(|binding| binding.status == BindingStatus::Active)
    }

    /// When the entry of a home address is removed.
    pub fn expires(&self, home_address: Ipv6Addr) -> Option<Instant> {
        self.entries.get(&home_address).map(|&(_, expires)| expires)
    }

    /// Whether an entry for this home address can be had: it is there, or there is room.
    pub fn has_room_for(&self, home_address: Ipv6Addr, reserved: usize) -> bool {
        self.entries.contains_key(&home_address) || self.entries.len() + reserved < self.limit
    }

    /// Inserts or replaces an entry. Whoever calls this has asked [`BindingCache::has_room_for`].
    pub fn set(&mut self, binding: Binding, expires: Instant) {
        self.entries.insert(binding.home_address, (binding, expires));
    }

    /// Removes an entry.
    pub fn remove(&mut self, home_address: Ipv6Addr) -> Option<Binding> {
        self.entries.remove(&home_address).map(|(binding, _)| binding)
    }

    /// Every entry, in the order of home addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.entries.values().map(|(binding, _)| binding)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
