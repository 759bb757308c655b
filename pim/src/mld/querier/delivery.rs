//! Groups whose packets go to their only listener's own link-layer address (RFC 6085).
//!
//! ```text
//! listeners        their link-layer addresses    delivery
//! one              known                         to that address
//! one              not known                     to the group
//! two or more                                    to the group
//! not all tracked, or one speaks version 1       to the group
//! ```
//!
//! Only groups of the mobility range are delivered so: they have one listener by construction, and each is asked for on
//! its own, so that the list of their listeners is fresh. A host of version 1 holds its report back where it has heard
//! another one's (RFC 2710 §4), so that one that is heard may be any number.

use super::Querier;
use crate::config::Delivery;
use crate::mld::compat::Version;
use crate::mld::group::{Group, Tracking};
use core::net::Ipv6Addr;
use stack::addr::MacAddress;

/// Who sent a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reporter {
    /// Its link-local address, by which it is tracked.
    pub(crate) address: Ipv6Addr,
    /// Where it can be reached on the link, as far as its frame said.
    pub(crate) link_address: Option<MacAddress>,
}

impl Reporter {
    /// `link_source` is the source of the report's frame.
    pub(crate) fn new(address: Ipv6Addr, link_source: Option<MacAddress>) -> Self {
        let is_unicast = |link: &MacAddress| !link.is_multicast() && *link != MacAddress::default();
        Reporter { address, link_address: link_source.filter(is_unicast) }
    }
}

/// A group is delivered to another link-layer address from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DeliveryChange {
    pub(crate) group: Ipv6Addr,
    /// That of its only listener; `None` is the group's own.
    pub(crate) to: Option<MacAddress>,
}

impl Querier {
    pub(crate) fn poll_delivery(&mut self) -> Option<DeliveryChange> {
        self.deliveries.pop_front()
    }

    /// Tells where a group is delivered, where that has changed.
    pub(super) fn settle_delivery(&mut self, address: Ipv6Addr) {
        if self.delivery == Delivery::Group {
            return;
        }
        let Some(group) = self.groups.get(&address) else { return };
        let to = self.delivery_of(address, group);
        if let Some(group) = self.groups.get_mut(&address)
            && group.delivery != to
        {
            group.delivery = to;
            self.deliveries.push_back(DeliveryChange { group: address, to });
        }
    }

    /// A group ends: so does what was told of it.
    pub(super) fn end_delivery(&mut self, address: Ipv6Addr, group: &Group) {
        if group.delivery.is_some() {
            self.deliveries.push_back(DeliveryChange { group: address, to: None });
        }
    }

    /// The link-layer address of the group's only listener.
    fn delivery_of(&self, address: Ipv6Addr, group: &Group) -> Option<MacAddress> {
        let is_known = group.tracking == Tracking::Complete && self.version_of(group) == Version::V2;
        if !is_known || !self.timing(address).is_mobile {
            return None;
        }
        let mut listeners = group.hosts.iter().filter(|(_, host)| host.listens()).map(|(host, _)| host);
        match (listeners.next(), listeners.next()) {
            (Some(only), None) => self.hosts.get(only)?.link_address,
            _ => None,
        }
    }
}
