//! What there is to see of the mechanism.

use super::rp_set::{LearnedRp, RangeProtocol};
use super::state::BsrState;
use super::zone::ScopeZone;
use super::{Bsr, BsrTimer};
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::time::Instant;

/// A scope zone's bootstrap router, to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BsrView {
    /// The zone.
    pub zone: ScopeZone,
    /// This router's state in it.
    pub state: BsrState,
    /// The current bootstrap router, which may be this one; of a pending candidate the last one.
    pub address: Option<Ipv6Addr>,
    /// Its priority.
    pub priority: Option<u8>,
    /// Bits of a group's address that take part in the hash.
    pub hash_mask_length: u8,
    /// Since when the bootstrap router is this one, or there is none.
    pub since: Instant,
    /// When the Bootstrap Timer ends: the next message of an elected router, the end of waiting for another one's.
    pub expires: Option<Instant>,
    /// When the zone is forgotten.
    pub zone_expires: Option<Instant>,
}

impl Bsr {
    /// The zones.
    pub(crate) fn views(&self) -> impl Iterator<Item = BsrView> {
        self.zones.iter().map(|(&id, zone)| BsrView {
            zone: id,
            state: zone.state,
            address: zone.current.map(|current| current.address),
            priority: zone.current.map(|current| current.priority),
            hash_mask_length: zone.hash_mask_length,
            since: zone.since,
            expires: self.timers.deadline(BsrTimer::Bootstrap(id)),
            zone_expires: self.timers.deadline(BsrTimer::ScopeZone(id)),
        })
    }

    /// The learned mappings of all zones.
    pub(crate) fn mappings(&self) -> impl Iterator<Item = (ScopeZone, Prefix, RangeProtocol, Ipv6Addr, LearnedRp)> {
        self.zones.iter().flat_map(|(&id, zone)| {
            zone.rp_set.iter().map(move |(prefix, protocol, address, rp)| (id, prefix, protocol, address, rp))
        })
    }
}
