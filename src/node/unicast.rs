//! Unicast routes from two sides: the node's own, of its file and its machines, and the kernel's. Of each prefix the one with
//! the lower preference is in force, and of two with the same the node's.

use crate::kernel::KernelRoute;
use pim::RouteMetric;
use stack::addr::Prefix;
use stack::tables::Route;
use std::collections::{BTreeMap, HashMap};

/// Where a route of the node's own is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The prefix of a port's address.
    Connected,
    /// `[[route]]`.
    Static,
    /// A machine: addresses of the node, care-of addresses, a terminal's router.
    Node,
}

/// A route of the node's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Own {
    route: Route,
    origin: Origin,
    metric: RouteMetric,
}

/// What is in force for a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct InForce {
    pub(super) route: Route,
    pub(super) metric: RouteMetric,
}

/// The routes of both sides.
#[derive(Debug, Default)]
pub(super) struct Unicast {
    own: BTreeMap<Prefix, Own>,
    kernel: HashMap<Prefix, KernelRoute>,
}

impl Unicast {
    /// The node's own route of a prefix. One of a machine is worth more than any other.
    pub(super) fn set_own(&mut self, prefix: Prefix, route: Route, origin: Origin, metric: RouteMetric) {
        self.own.insert(prefix, Own { route, origin, metric });
    }

    /// The node has none of its own any more.
    pub(super) fn remove_own(&mut self, prefix: Prefix) {
        self.own.remove(&prefix);
    }

    /// The kernel's route of a prefix, or that it has none.
    pub(super) fn set_kernel(&mut self, prefix: Prefix, route: Option<KernelRoute>) {
        match route {
            Some(route) => drop(self.kernel.insert(prefix, route)),
            None => drop(self.kernel.remove(&prefix)),
        }
    }

    /// The kernel's, where it is in force.
    fn of_kernel(&self, prefix: Prefix) -> Option<&KernelRoute> {
        let own = self.own.get(&prefix).map(|own| own.metric.preference);
        self.kernel.get(&prefix).filter(|kernel| own.is_none_or(|own| kernel.metric.preference < own))
    }

    /// What is in force for a prefix.
    pub(super) fn in_force(&self, prefix: Prefix) -> Option<InForce> {
        match (self.of_kernel(prefix), self.own.get(&prefix)) {
            (Some(kernel), _) => Some(InForce { route: kernel.route, metric: kernel.metric }),
            (None, Some(own)) => Some(InForce { route: own.route, metric: own.metric }),
            (None, None) => None,
        }
    }

    /// Where what is in force for a prefix is from, and what it is worth.
    pub(super) fn origin(&self, prefix: Prefix) -> (String, RouteMetric) {
        match (self.of_kernel(prefix), self.own.get(&prefix)) {
            (Some(kernel), _) => (crate::kernel::protocol::name(kernel.protocol), kernel.metric),
            (None, Some(own)) => {
                let origin = match own.origin {
                    Origin::Connected => "connected",
                    Origin::Static => "static",
                    Origin::Node => "node",
                };
                (origin.to_owned(), own.metric)
            }
            (None, None) => ("node".to_owned(), RouteMetric::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::machine::PortId;

    #[test]
    fn the_lower_preference_is_in_force() {
        let prefix: Prefix = "2001:db8::/32".parse().unwrap();
        let worth = |preference| RouteMetric { preference, metric: 7 };
        let kernel = |preference| {
            Some(KernelRoute { route: Route::OnLink(PortId(1)), protocol: 188, metric: worth(preference) })
        };
        let mut routes = Unicast::default();
        assert_eq!(routes.in_force(prefix), None);
        routes.set_kernel(prefix, kernel(110));
        assert_eq!(routes.origin(prefix), ("ospf".to_owned(), worth(110)));
        routes.set_own(prefix, Route::Blackhole, Origin::Static, worth(1));
        assert_eq!(routes.origin(prefix).0, "static");
        // One that waits behind the kernel's.
        routes.set_own(prefix, Route::Blackhole, Origin::Static, worth(200));
        assert_eq!(routes.in_force(prefix).unwrap().route, Route::OnLink(PortId(1)));
        routes.set_kernel(prefix, None);
        assert_eq!(routes.in_force(prefix).unwrap().route, Route::Blackhole);
        routes.set_kernel(prefix, kernel(200));
        assert_eq!(routes.origin(prefix).0, "static", "of two alike the node's");
        routes.remove_own(prefix);
        assert_eq!(routes.origin(prefix).0, "ospf");
    }
}
