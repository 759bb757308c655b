//! A PIM neighbour: what its Hellos said (RFC 7761 §4.3.2, §4.3.3, §4.3.4).

use crate::wire::{Hello, LanPruneDelay};
use core::net::Ipv6Addr;
use stack::time::Instant;

/// A router on one of our links.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbor {
    /// The source address of its Hellos.
    pub primary_address: Ipv6Addr,
    /// Its generation identifier, where it sends one.
    pub generation_id: Option<u32>,
    /// Its priority in the election of the designated router, where it sends one.
    pub dr_priority: Option<u32>,
    /// What it wants of prunes, where it says so.
    pub lan_prune_delay: Option<LanPruneDelay>,
    /// Its other addresses on the link.
    pub secondary_addresses: Vec<Ipv6Addr>,
    /// When its first Hello of this generation came.
    pub since: Instant,
}

impl Neighbor {
    /// The neighbour that sent this Hello.
    pub(crate) fn new(primary_address: Ipv6Addr, hello: &Hello, since: Instant) -> Self {
        let mut neighbor = Neighbor {
            primary_address,
            generation_id: None,
            dr_priority: None,
            lan_prune_delay: None,
            secondary_addresses: Vec::new(),
            since,
        };
        neighbor.update(hello);
        neighbor
    }

    /// Takes over what a Hello says. What it does not say is forgotten; its own primary address in the list is left out.
    pub(crate) fn update(&mut self, hello: &Hello) {
        self.generation_id = hello.generation_id;
        self.dr_priority = hello.dr_priority;
        self.lan_prune_delay = hello.lan_prune_delay;
        self.secondary_addresses.clone_from(&hello.addresses);
        self.secondary_addresses.retain(|&address| address != self.primary_address);
    }
}
