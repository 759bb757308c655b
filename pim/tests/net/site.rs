//! The networks that most sequences need: a site with an agent, a core router and two access routers, and a LAN.

use super::{Net, NodeId, link_local};
use core::net::Ipv6Addr;
use pim::{Command, Config, FirstHello, InterfaceConfig, LinkKind, MldConfig};
use stack::addr::{ALL_PIM_ROUTERS, Prefix};
use stack::machine::PortId;
use stack::tables::{Accept, Mroute, Route};
use stack::time::Duration;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;

pub const P0: PortId = PortId(0);
pub const P1: PortId = PortId(1);
pub const P2: PortId = PortId(2);
/// A host; there may be one with this address on each link.
pub const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 9, 0, 0, 1);
/// The links of hosts of a site.
pub const LINK_A: usize = 3;
pub const LINK_B: usize = 4;

/// What the trees of a test are.
#[derive(Clone, Copy, Debug)]
pub struct Trees {
    /// The range of the groups that have one listener each.
    pub range: &'static str,
    /// Addresses of the node where they begin.
    pub roots: &'static [Ipv6Addr],
}

pub fn lan_port(node: NodeId, port: PortId) -> InterfaceConfig {
    InterfaceConfig { first_hello: FirstHello::Fast, ..InterfaceConfig::new(port, link_local(node, port), 1500) }
}

pub fn point_to_point(node: NodeId, port: PortId) -> InterfaceConfig {
    InterfaceConfig { link: LinkKind::PointToPoint, ..lan_port(node, port) }
}

pub fn access(node: NodeId, port: PortId) -> InterfaceConfig {
    InterfaceConfig { mld: Some(MldConfig::default()), ..lan_port(node, port) }
}

pub fn mroute(accept: Accept, forward: &[PortId]) -> Option<Mroute> {
    Some(Mroute::new(accept, forward.iter().copied().collect()))
}

/// A PIM message of this type to all routers of a link.
pub fn pim_packet(source: Ipv6Addr, kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = vec![0x20 | kind, 0, 0, 0];
    body(&mut message);
    PacketBuilder::new(source, ALL_PIM_ROUTERS).hop_limit(1).checksummed(protocol::PIM, message, 2)
}

impl Trees {
    pub fn config(&self, interfaces: Vec<InterfaceConfig>) -> Config {
        let seed = interfaces[0].link_local.to_bits() as u64;
        Config { mobility_ranges: vec![self.range.parse().unwrap()], ..Config::new(interfaces, seed) }
    }

    /// Where a node looks for the roots.
    pub fn route(&self, net: &mut Net, node: NodeId, route: Route) {
        for &root in self.roots {
            net.command(node, Command::RouteSet(Prefix::host(root), route));
        }
    }

    pub fn via(&self, net: &mut Net, node: NodeId, port: PortId, next_hop: Ipv6Addr) {
        self.route(net, node, Route::Via { port, next_hop });
    }

    /// The agent (0), a core router (1), access routers A (2) and B (3) with a host link each.
    pub fn site(&self) -> Net {
        self.site_with(|_, _| {})
    }

    /// The same; `edit` changes the configuration of each node.
    pub fn site_with(&self, mut edit: impl FnMut(NodeId, &mut Config)) -> Net {
        let mut net = Net::default();
        let mut add = |node, interfaces| {
            let mut config = self.config(interfaces);
            edit(node, &mut config);
            net.add_node(config);
        };
        add(0, vec![point_to_point(0, P0)]);
        add(1, vec![point_to_point(1, P0), point_to_point(1, P1), point_to_point(1, P2)]);
        for node in [2, 3] {
            add(node, vec![point_to_point(node, P0), access(node, P1)]);
        }
        net.add_link(&[(0, P0), (1, P0)]);
        net.add_link(&[(1, P1), (2, P0)]);
        net.add_link(&[(1, P2), (3, P0)]);
        for node in [2, 3] {
            let link = net.add_link(&[(node, P1)]);
            net.add_host(link, HOST);
        }
        self.route(&mut net, 0, Route::Local);
        self.via(&mut net, 1, P0, link_local(0, P0));
        self.via(&mut net, 2, P0, link_local(1, P1));
        self.via(&mut net, 3, P0, link_local(1, P2));
        net.link_up_all();
        net.run_for(Duration::from_secs(20));
        net
    }

    /// Router 0, where the trees begin, and `below` routers on one LAN, link 0; behind each of these a link of hosts with
    /// the same number as the router. `edit` changes every interface of the LAN.
    pub fn lan(&self, below: usize, edit: impl Fn(&mut InterfaceConfig)) -> Net {
        let mut net = Net::default();
        let port = |node| {
            let mut interface = lan_port(node, P0);
            edit(&mut interface);
            interface
        };
        net.add_node(self.config(vec![port(0)]));
        for node in 1..=below {
            net.add_node(self.config(vec![port(node), access(node, P1)]));
        }
        net.add_link(&(0..=below).map(|node| (node, P0)).collect::<Vec<_>>());
        for node in 1..=below {
            let link = net.add_link(&[(node, P1)]);
            net.add_host(link, HOST);
        }
        self.route(&mut net, 0, Route::Local);
        for node in 1..=below {
            self.via(&mut net, node, P0, link_local(0, P0));
        }
        net.link_up_all();
        net.run_for(Duration::from_secs(20));
        net
    }
}

/// A node starts anew, without a word and with what is in `config`; `find` gives it its routes. Its links are up.
pub fn restart(net: &mut Net, node: NodeId, config: Config, find: impl FnOnce(&mut Net)) {
    net.nodes[node].router = pim::Router::new(config);
    net.nodes[node].mroutes.clear();
    net.nodes[node].link_groups.clear();
    net.drain(node);
    find(net);
    let own = |link: &super::Link| link.ends.iter().find(|end| end.0 == node).map(|end| end.1);
    for port in net.links.iter().filter_map(own).collect::<Vec<_>>() {
        net.command(node, Command::LinkUp(port));
    }
}
