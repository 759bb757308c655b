//! Reverse path forwarding: the router's own copy of the unicast routes, and where it says that a source is.

use crate::interface::Interface;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::tables::{Accept, Route};
use std::collections::{BTreeMap, HashMap};

/// A router on a link, by its primary address: whom a join is sent to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkNeighbor {
    /// The link.
    pub port: PortId,
    /// The primary address.
    pub address: Ipv6Addr,
}

/// Where a source or a rendezvous point is: RPF_interface and RPF' of RFC 7761 §4.1.5.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RpfInfo {
    /// No route leads there that multicast could come by.
    Unreachable,
    /// It is this node.
    Local,
    /// It is on this link, and no router's there.
    OnLink(PortId),
    /// It is behind a router, or an address of one.
    Via {
        /// RPF_interface(S).
        port: PortId,
        /// The router, as the unicast route names it; what is looked for where that is an address of its own.
        next_hop: Ipv6Addr,
        /// RPF'(S,G): the same router's primary address, once its Hello has come.
        neighbor: Option<Ipv6Addr>,
    },
}

impl RpfInfo {
    /// RPF_interface(S).
    pub fn interface(&self) -> Option<PortId> {
        match *self {
            RpfInfo::OnLink(port) | RpfInfo::Via { port, .. } => Some(port),
            RpfInfo::Unreachable | RpfInfo::Local => None,
        }
    }

    /// RPF'(S,G).
    pub fn neighbor(&self) -> Option<LinkNeighbor> {
        match *self {
            RpfInfo::Via { port, neighbor: Some(address), .. } => Some(LinkNeighbor { port, address }),
            _ => None,
        }
    }

    /// Where packets of the shared tree have to come from: at its rendezvous point out of Register messages, or from this
    /// node itself.
    pub fn accept_shared(&self) -> Option<Accept> {
        self.accept().map(|accept| if accept == Accept::Local { Accept::RendezvousPoint } else { accept })
    }

    /// Where packets of the source have to come from.
    pub fn accept(&self) -> Option<Accept> {
        match *self {
            RpfInfo::Unreachable => None,
            RpfInfo::Local => Some(Accept::Local),
            RpfInfo::OnLink(port) | RpfInfo::Via { port, .. } => Some(Accept::Port(port)),
        }
    }
}

/// MRIB.pref and MRIB.metric (RFC 7761 §4.6.3): which of two routers has the better route. The lower one is the better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct RouteMetric {
    /// Preference of the protocol that the route is from, below 2^31 - 1; 0 is that of a link.
    pub preference: u32,
    /// The route's metric, in the protocol's units.
    pub metric: u32,
}

/// The MRIB: unicast routes by longest prefix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rib {
    /// Never iterated, so that its order cannot matter.
    by_length: BTreeMap<u8, HashMap<Prefix, Route>>,
    metrics: HashMap<Prefix, RouteMetric>,
}

/// What a route that nothing is said of has: the preference of a route that somebody wrote down.
const STATIC_METRIC: RouteMetric = RouteMetric { preference: 1, metric: 0 };

impl Rib {
    /// Whether the routes changed.
    pub(crate) fn set(&mut self, prefix: Prefix, route: Route) -> bool {
        self.by_length.entry(prefix.length()).or_default().insert(prefix, route) != Some(route)
    }

    /// Forgets the route, and what it was worth. Whether the routes changed.
    pub(crate) fn remove(&mut self, prefix: Prefix) -> bool {
        self.metrics.remove(&prefix);
        let Some(routes) = self.by_length.get_mut(&prefix.length()) else { return false };
        let removed = routes.remove(&prefix).is_some();
        if routes.is_empty() {
            self.by_length.remove(&prefix.length());
        }
        removed
    }

    /// Notes what the route of `prefix`, present or to come, is worth; whether that is news.
    pub(crate) fn set_metric(&mut self, prefix: Prefix, metric: RouteMetric) -> bool {
        self.metrics.insert(prefix, metric) != Some(metric)
    }

    /// MRIB.pref(address), MRIB.metric(address); those of a link where there is no route.
    pub(crate) fn metric(&self, address: Ipv6Addr) -> RouteMetric {
        let found = self.by_length.iter().rev().find_map(|(&length, routes)| {
            let prefix = Prefix::new(address, length)?;
            Some((prefix, *routes.get(&prefix)?))
        });
        match found {
            Some((prefix, Route::Via { .. })) => self.metrics.get(&prefix).copied().unwrap_or(STATIC_METRIC),
            _ => RouteMetric::default(),
        }
    }

    /// The route of the longest prefix that `address` has.
    pub(crate) fn lookup(&self, address: Ipv6Addr) -> Option<Route> {
        self.by_length.iter().rev().find_map(|(&length, routes)| routes.get(&Prefix::new(address, length)?).copied())
    }
}

/// Where `root`, the source or the rendezvous point of `group`, is, as the routes and the neighbours now say. An address
/// of a link is a host's (MRIB.next_hop is NULL, RFC 7761 §4.1.5), unless a neighbour has said that it is its own.
pub(crate) fn rpf(rib: &Rib, interfaces: &BTreeMap<PortId, Interface>, root: Ipv6Addr, group: Ipv6Addr) -> RpfInfo {
    let blocked = |port: PortId| interfaces.get(&port).is_some_and(|interface| interface.bounds(group));
    let neighbor = |port: PortId, address| {
        let interface = interfaces.get(&port).filter(|interface| interface.speaks_pim());
        interface.and_then(|interface| interface.neighbor_with(address))
    };
    if root.is_unspecified() {
        return RpfInfo::Unreachable;
    }
    match rib.lookup(root) {
        Some(Route::Local) => RpfInfo::Local,
        Some(Route::OnLink(port)) if !blocked(port) => match neighbor(port, root) {
            Some(router) => RpfInfo::Via { port, next_hop: root, neighbor: Some(router) },
            None => RpfInfo::OnLink(port),
        },
        Some(Route::Via { port, next_hop }) if !blocked(port) => {
            RpfInfo::Via { port, next_hop, neighbor: neighbor(port, next_hop) }
        }
        _ => RpfInfo::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_prefix_wins() {
        let mut rib = Rib::default();
        let via = |last| Route::Via { port: PortId(last as u8), next_hop: Ipv6Addr::from_bits(last) };
        let lookup = |rib: &Rib, text: &str| rib.lookup(text.parse().unwrap());
        assert!(rib.set(Prefix::DEFAULT, via(1)));
        assert!(rib.set("2001:db8::/32".parse().unwrap(), via(2)));
        assert!(rib.set("2001:db8::5/128".parse().unwrap(), Route::Local));
        assert!(!rib.set("2001:db8::/32".parse().unwrap(), via(2)));
        assert_eq!(lookup(&rib, "2001:db8::5"), Some(Route::Local));
        assert_eq!(lookup(&rib, "2001:db8::6"), Some(via(2)));
        assert_eq!(lookup(&rib, "2001:db9::"), Some(via(1)));
        assert!(rib.remove(Prefix::DEFAULT) && !rib.remove(Prefix::DEFAULT));
        assert_eq!(lookup(&rib, "2001:db9::"), None);
    }
}
