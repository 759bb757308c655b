//! What the node does with what the kernel tells: its routes, and its addresses on the ports' links.

use super::unicast::{Origin, Unicast};
use super::{DroverNode, NodePort};
use crate::config::resolved::NodeConfig;
use crate::kernel::{Counters, FollowedPort, KernelChange};
use core::net::Ipv6Addr;
use pim::RouteMetric;
use stack::addr::{self, MacAddress, Prefix};
use stack::machine::Machine;
use stack::port::KernelShare;
use stack::tables::{Route, TableUpdate};
use stack::time::Instant;
use std::sync::Arc;

/// The kernel's side of a node: what follows it, and what shares its ports. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct KernelSide {
    pub(super) counters: Arc<Counters>,
    /// In the order of the ports; `None` where the kernel has no share.
    pub(super) shares: Vec<Option<KernelShare>>,
}

impl KernelSide {
    /// Of a node whose ports are not open yet.
    pub(super) fn new(config: &NodeConfig) -> Self {
        let loopback = || config.addresses();
        let share = |rules: &Vec<_>| KernelShare::new(rules.clone(), loopback());
        let shares = config.ports.iter().map(|port| port.kernel.as_ref().map(share)).collect();
        KernelSide { counters: Arc::default(), shares }
    }

    /// What is to be followed of the ports' interfaces.
    pub(super) fn followed(&self, config: &NodeConfig) -> Vec<FollowedPort> {
        use crate::config::resolved::Attachment::{AfPacket, AfXdp};
        let ports = config.ports.iter().zip(&self.shares);
        let follow =
            |(port, share): (&crate::config::resolved::PortConfig, &Option<KernelShare>)| match &port.attachment {
                AfXdp { interface, .. } | AfPacket { interface } => {
                    Some(FollowedPort { port: port.id, interface: interface.clone(), share: share.clone() })
                }
                _ => None,
            };
        ports.filter_map(follow).collect()
    }

    /// The ports are open: link-local addresses are theirs.
    fn opened(&self, ports: &[NodePort]) {
        for (share, port) in self.shares.iter().zip(ports) {
            if let Some(share) = share {
                share.add_own(port.link_local);
            }
        }
    }
}

impl DroverNode {
    /// The node shares ports with the kernel, or follows its routes.
    pub(super) fn set_kernel_side(&mut self, side: KernelSide) {
        side.opened(&self.ports);
        self.kernel = Some(side);
    }

    /// What has changed in the kernel.
    pub(super) fn handle_kernel(&mut self, now: Instant, changes: &[KernelChange]) {
        for change in changes {
            match change {
                KernelChange::Route(prefix, route) => {
                    self.unicast.set_kernel(*prefix, *route);
                    self.put_in_force(now, *prefix);
                }
                KernelChange::Addresses(port, addresses) => {
                    // Neighbours know this router by the kernel's addresses as well: a routing daemon's next hops.
                    let Some(known) = self.ports.get(usize::from(port.0)) else { continue };
                    let own = self.configured_addresses.get(usize::from(port.0)).into_iter().flatten();
                    let addresses = own.chain(addresses).copied().filter(|&address| address != known.link_local);
                    let mut addresses: Vec<Ipv6Addr> = addresses.collect();
                    // What next hops are has to be among them, however many there are.
                    addresses.sort_by_key(|&address| !addr::is_link_local(address));
                    let (port, link_local) = (*port, known.link_local);
                    if let Some(pim) = &mut self.pim {
                        pim.handle_command(now, pim::Command::AddressesChanged { port, link_local, addresses });
                    }
                }
            }
            self.settle(now);
        }
    }

    /// A route of the node's own.
    pub(super) fn set_own_route(
        &mut self,
        now: Instant,
        prefix: Prefix,
        route: Route,
        origin: Origin,
        metric: RouteMetric,
    ) {
        self.unicast.set_own(prefix, route, origin, metric);
        self.put_in_force(now, prefix);
    }

    /// The node has no route of its own any more.
    pub(super) fn remove_own_route(&mut self, now: Instant, prefix: Prefix) {
        self.unicast.remove_own(prefix);
        self.put_in_force(now, prefix);
    }

    /// The multicast side looks its sources up by the same routes as the data plane.
    fn put_in_force(&mut self, now: Instant, prefix: Prefix) {
        let Some(in_force) = self.unicast.in_force(prefix) else {
            if let Some(pim) = &mut self.pim {
                pim.handle_command(now, pim::Command::RouteRemove(prefix));
            }
            return self.outputs.table(TableUpdate::RouteRemove(prefix));
        };
        if let Some(pim) = &mut self.pim {
            if matches!(in_force.route, Route::Via { .. }) {
                pim.handle_command(now, pim::Command::RouteMetric(prefix, in_force.metric));
            }
            pim.handle_command(now, pim::Command::RouteSet(prefix, in_force.route));
        }
        self.outputs.table(TableUpdate::RouteSet(prefix, in_force.route));
    }

    /// The routes of both sides.
    pub(super) fn unicast(&self) -> &Unicast {
        &self.unicast
    }
}

/// The link-local address of a port that the kernel shares, made of its link-layer address as the kernel's is (RFC 4291,
/// appendix A), with another word in the middle: the kernel's own is a neighbour of the node's.
pub(super) fn shared_link_local(link_address: MacAddress) -> Ipv6Addr {
    const BESIDE: u64 = 0xd0d0 ^ 0xfffe;
    let identifier = link_address.interface_identifier() ^ BESIDE << 24;
    addr::with_interface_identifier(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_local_address_is_not_the_kernels() {
        let address = shared_link_local(MacAddress([0x02, 0, 0x5e, 1, 2, 3]));
        assert_eq!(address, "fe80::5ed0:d001:203".parse::<Ipv6Addr>().unwrap());
    }
}
