//! Unicast routes, and what the forwarding table's values mean.

use super::Route;
use super::fib::Fib;
use super::hash::TableFull;
use super::neighbor::{AdjacencyIndex, Neighbors};
use crate::addr::{self, Prefix};
use crate::machine::PortId;
use core::net::Ipv6Addr;
use std::collections::{BTreeMap, BTreeSet};

/// What happens to a packet, as the forwarding table says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// It goes to this neighbour.
    Via(AdjacencyIndex),
    /// Its destination is on this link.
    OnLink(PortId),
    /// It is for this node.
    Local,
    /// It is to a care-of address of the mobility agent.
    CareOf,
    /// Destination Unreachable code 0.
    Unreachable,
    /// Nothing.
    Blackhole,
}

impl Target {
    const KIND_BITS: u32 = 3;

    fn to_value(self) -> u32 {
        let (kind, rest) = match self {
            Target::Via(index) => (0, index),
            Target::OnLink(port) => (1, u32::from(port.0)),
            Target::Local => (2, 0),
            Target::CareOf => (3, 0),
            Target::Unreachable => (4, 0),
            Target::Blackhole => (5, 0),
        };
        rest << Self::KIND_BITS | kind
    }

    #[inline(always)]
    pub(crate) fn from_value(value: u32) -> Self {
        let rest = value >> Self::KIND_BITS;
        match value & 7 {
            0 => Target::Via(rest),
            1 => Target::OnLink(PortId(rest as u8)),
            2 => Target::Local,
            3 => Target::CareOf,
            4 => Target::Unreachable,
            _ => Target::Blackhole,
        }
    }
}

/// The unicast routes of this node.
pub(crate) struct Routes {
    fib: Fib,
    routes: BTreeMap<Prefix, Route>,
    local: BTreeSet<Ipv6Addr>,
    limit: usize,
}

impl Routes {
    pub(crate) fn new(limit: usize) -> Self {
        Routes { fib: Fib::new(limit), routes: BTreeMap::new(), local: BTreeSet::new(), limit }
    }

    /// Sets a route. `bare` says whether a port is without link-layer addresses: no neighbour is asked for there.
    ///
    /// # Errors
    /// [`TableFull`] where the limit on routes or on neighbours is reached; the prefix then has no route.
    pub(crate) fn set<W>(
        &mut self,
        prefix: Prefix,
        route: Route,
        neighbors: &mut Neighbors<W>,
        bare: impl Fn(PortId) -> bool,
    ) -> Result<(), TableFull> {
        let target = match route {
            Route::Via { port, .. } if bare(port) => Target::OnLink(port),
            Route::Via { port, next_hop } => Target::Via(neighbors.acquire(port, next_hop).ok_or(TableFull)?),
            Route::OnLink(port) => Target::OnLink(port),
            Route::Local => Target::Local,
            Route::CareOf => Target::CareOf,
            Route::Unreachable => Target::Unreachable,
            Route::Blackhole => Target::Blackhole,
        };
        let is_full = self.routes.len() >= self.limit || !self.fib.has_room();
        if is_full && !self.routes.contains_key(&prefix) {
            if let Target::Via(index) = target {
                neighbors.release(index);
            }
            return Err(TableFull);
        }
        self.routes.insert(prefix, route);
        if prefix.length() == 128 {
            if route == Route::Local {
                self.local.insert(prefix.address());
            } else {
                self.local.remove(&prefix.address());
            }
        }
        if let Some(Target::Via(index)) = self.fib.insert(prefix, target.to_value()).map(Target::from_value) {
            neighbors.release(index);
        }
        Ok(())
    }

    /// Removes a route.
    pub(crate) fn remove<W>(&mut self, prefix: Prefix, neighbors: &mut Neighbors<W>) {
        self.routes.remove(&prefix);
        if prefix.length() == 128 {
            self.local.remove(&prefix.address());
        }
        if let Some(Target::Via(index)) = self.fib.remove(prefix).map(Target::from_value) {
            neighbors.release(index);
        }
    }

    /// The [`Target`] of each of a batch of destinations, of which the halves are given, as a value.
    #[inline]
    pub(crate) fn lookup_batch(&self, destinations: &[[u64; 2]], values: &mut [Option<u32>]) {
        self.fib.lookup_batch(destinations, values);
    }

    /// Whether this is an address of this node.
    pub(crate) fn is_local(&self, address: Ipv6Addr) -> bool {
        self.local.contains(&address)
    }

    /// An address of this node to speak from to `destination` (RFC 6724 §5 in short: same scope, then the longest
    /// common prefix; never one whose interface identifier is zero, which is an anycast address, RFC 4291 §2.6.1).
    pub(crate) fn source_for(&self, destination: Ipv6Addr) -> Option<Ipv6Addr> {
        let narrow = |address| addr::is_link_local(address) || is_link_scope(address);
        self.local
            .iter()
            .copied()
            .filter(|&own| addr::interface_identifier(own) != 0 && !own.is_loopback())
            .filter(|&own| narrow(own) == narrow(destination))
            .max_by_key(|own| (own.to_bits() ^ destination.to_bits()).leading_zeros())
    }

    /// The first link-local address of this node that meets a condition.
    pub(crate) fn link_local(&self, condition: impl Fn(Ipv6Addr) -> bool) -> Option<Ipv6Addr> {
        let first = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
        self.local.range(first..).copied().take_while(|&own| addr::is_link_local(own)).find(|&own| condition(own))
    }

    /// This route and those behind it, in order.
    pub(crate) fn iter_from(&self, first: Prefix) -> impl Iterator<Item = (Prefix, Route)> {
        self.routes.range(first..).map(|(&prefix, &route)| (prefix, route))
    }

    /// Number of routes.
    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }
}

fn is_link_scope(address: Ipv6Addr) -> bool {
    addr::Scope::of(address).is_some_and(|scope| scope <= addr::Scope::LINK_LOCAL)
}
