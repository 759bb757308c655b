//! An interface: its link's state, its neighbours, the designated router, and the MLD querier on it.

use crate::config::{self, Border, InterfaceConfig, Participation};
use crate::dr;
use crate::mld::Querier;
use crate::neighbor::Neighbor;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use std::collections::BTreeMap;

/// Whether packets can pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Link {
    Down,
    Up,
}

/// Whether every neighbour has heard a Hello of this generation: only then do they take our joins (RFC 7761 §4.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Greeting {
    /// No Hello left since the link came up or a neighbour appeared.
    Owed,
    Done,
}

#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) config: InterfaceConfig,
    pub(crate) link: Link,
    pub(crate) generation_id: u32,
    pub(crate) greeting: Greeting,
    /// By primary address.
    pub(crate) neighbors: BTreeMap<Ipv6Addr, Neighbor>,
    /// Whose secondary address it is.
    pub(crate) secondary: BTreeMap<Ipv6Addr, Ipv6Addr>,
    /// Primary address of the designated router.
    pub(crate) designated_router: Ipv6Addr,
    pub(crate) mld: Option<Querier>,
}

impl Interface {
    pub(crate) fn new(config: InterfaceConfig, mld: Option<Querier>) -> Self {
        Interface {
            link: Link::Down,
            generation_id: 0,
            greeting: Greeting::Owed,
            neighbors: BTreeMap::new(),
            secondary: BTreeMap::new(),
            designated_router: config.link_local,
            config,
            mld,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    /// I_am_DR(I), while the link is up.
    pub(crate) fn is_designated(&self) -> bool {
        self.is_up() && self.i_am_dr()
    }

    /// Whether PIM messages pass here while the link is up.
    pub(crate) fn is_pim_enabled(&self) -> bool {
        self.config.participation == Participation::Active && self.config.border == Border::Inside
    }

    pub(crate) fn speaks_pim(&self) -> bool {
        self.is_up() && self.is_pim_enabled()
    }

    pub(crate) fn is_site_border(&self) -> bool {
        self.config.border == Border::SiteBorder
    }

    /// Whether packets of this group may neither leave nor come by it: its configuration says so, or the group stays within
    /// the site and the interface leads out of it.
    pub(crate) fn bounds(&self, group: Ipv6Addr) -> bool {
        self.is_site_border() && config::is_site_scoped(group) || is_in(&self.config.boundary, group)
    }

    /// Whether Hellos of this router are heard.
    pub(crate) fn hears_neighbor(&self, address: Ipv6Addr) -> bool {
        self.config.neighbors.as_ref().is_none_or(|prefixes| is_in(prefixes, address))
    }

    /// Whether other routers may join this group here.
    pub(crate) fn takes_joins(&self, group: Ipv6Addr) -> bool {
        self.config.joins.as_ref().is_none_or(|prefixes| is_in(prefixes, group))
    }

    /// NBR(I, A) (RFC 7761 §4.1.5): the primary address of the neighbour that has this address.
    pub(crate) fn neighbor_with(&self, address: Ipv6Addr) -> Option<Ipv6Addr> {
        if self.neighbors.contains_key(&address) { Some(address) } else { self.secondary.get(&address).copied() }
    }

    /// Elects again; whether another router is designated now.
    pub(crate) fn elect(&mut self) -> bool {
        let elected = dr::designated_router(self.config.link_local, self.config.dr_priority, self.neighbors.values());
        core::mem::replace(&mut self.designated_router, elected) != elected
    }

    /// Forgets a neighbour and its addresses.
    pub(crate) fn remove_neighbor(&mut self, address: Ipv6Addr) -> Option<Neighbor> {
        let neighbor = self.neighbors.remove(&address)?;
        self.secondary.retain(|_, primary| *primary != address);
        Some(neighbor)
    }

    /// Notes the neighbour's present secondary addresses; answers how many of them another neighbour had: the last
    /// mapping counts (RFC 7761 §4.3.4).
    pub(crate) fn map_secondary_addresses(&mut self, primary: Ipv6Addr) -> u64 {
        self.secondary.retain(|_, owner| *owner != primary);
        let Some(neighbor) = self.neighbors.get(&primary) else { return 0 };
        let taken = neighbor.secondary_addresses.iter().map(|&address| self.secondary.insert(address, primary));
        taken.filter(Option::is_some).count() as u64
    }
}

fn is_in(prefixes: &[Prefix], address: Ipv6Addr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(address))
}
