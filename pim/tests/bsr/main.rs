//! The bootstrap router mechanism (RFC 5059) and static rendezvous points on networks of several routers.

#[path = "../net/mod.rs"]
mod net;

mod election;
mod mappings;
mod refused;
mod trees;

use core::net::Ipv6Addr;
use net::site::{HOST, pim_packet};
use net::{DELAY, LinkId, Net, NodeId, Sent, link_local};
use pim::wire::{Bootstrap, CandidateRpAdvertisement, EncodedGroup, Hello, Message, RpEntry, RpRange};
use pim::{
    BsrBoundary, BsrConfig, BsrState, BsrView, CandidateBsr, CandidateRp, Command, Config, FirstHello, InterfaceConfig,
    LinkKind, MldConfig, Router, RpSource, ScopeZone, StaticPrecedence, StaticRp, UnicastBootstrap,
};
use stack::addr::{ALL_PIM_ROUTERS, Prefix, Scope};
use stack::machine::{Machine, PortId};
use stack::rng::Rng;
use stack::tables::{MrouteKey, Route};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// BS_Period, BS_Timeout, BS_Min_Interval and the longest BS_Rand_Override (RFC 5059 §5).
const BS_PERIOD: Duration = Duration::from_secs(60);

const BS_TIMEOUT: Duration = Duration::from_secs(130);

const BS_MIN_INTERVAL: Duration = Duration::from_secs(10);

const LONGEST_OVERRIDE: Duration = Duration::from_secs(23);

/// From the start until a candidate is elected and candidate rendezvous points are known everywhere: BS_Rand_Override of
/// the best one, C_RP_Adv_Backoff, BS_Min_Interval and a message that was sent just before.
const SETTLED: Duration = Duration::from_secs(40);

/// An address of the node that all others can reach.
fn address(node: NodeId) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, node as u16 + 1)
}

fn group(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn ranges(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Routers with links, and what each is told.
struct Domain {
    configs: Vec<Config>,
    links: Vec<(NodeId, NodeId)>,
    with_hosts: Vec<NodeId>,
}

impl Domain {
    /// Routers that take part in the mechanism and stand for nothing. Links are point to point; the ports of a router have
    /// numbers in the order of its links, its link of hosts the last one.
    fn new(nodes: usize, links: &[(NodeId, NodeId)], with_hosts: &[NodeId]) -> Self {
        let config = |node: NodeId| {
            let ports = links.iter().filter(|(a, b)| *a == node || *b == node).count() as u8;
            let interface = |port| InterfaceConfig {
                first_hello: FirstHello::Fast,
                ..InterfaceConfig::new(PortId(port), link_local(node, PortId(port)), 1500)
            };
            let point_to_point = |port| InterfaceConfig { link: LinkKind::PointToPoint, ..interface(port) };
            let hosts = with_hosts
                .contains(&node)
                .then(|| InterfaceConfig { mld: Some(MldConfig::default()), ..interface(ports) });
            let mut config = Config::new((0..ports).map(point_to_point).chain(hosts).collect(), 77 + node as u64);
            config.rendezvous_points.bsr = Some(BsrConfig::default());
            config
        };
        Domain { configs: (0..nodes).map(config).collect(), links: links.to_vec(), with_hosts: with_hosts.to_vec() }
    }

    /// Routers in a row, hosts at the last one.
    fn row(nodes: usize) -> Self {
        let links: Vec<_> = (1..nodes).map(|node| (node - 1, node)).collect();
        Domain::new(nodes, &links, &[nodes - 1])
    }

    fn bsr(&mut self, node: NodeId) -> &mut BsrConfig {
        self.configs[node].rendezvous_points.bsr.as_mut().unwrap()
    }

    fn candidate_bsr(mut self, node: NodeId, priority: u8) -> Self {
        self.bsr(node).candidate_bsr = Some(CandidateBsr { priority, ..CandidateBsr::new(address(node)) });
        self
    }

    fn scopes(mut self, node: NodeId, scopes: &[Scope]) -> Self {
        self.bsr(node).candidate_bsr.as_mut().unwrap().scopes = scopes.to_vec();
        self
    }

    fn candidate_rp(mut self, node: NodeId, priority: u8, groups: &[&str]) -> Self {
        self.bsr(node).candidate_rp = Some(CandidateRp { priority, ..CandidateRp::new(address(node), ranges(groups)) });
        self
    }

    fn static_rp(mut self, node: NodeId, rp: NodeId, groups: &[&str], precedence: StaticPrecedence) -> Self {
        let rp = StaticRp { address: address(rp), groups: ranges(groups), precedence };
        self.configs[node].rendezvous_points.statics.push(rp);
        self
    }

    fn boundary(mut self, node: NodeId, port: usize, boundary: BsrBoundary) -> Self {
        self.configs[node].interfaces[port].bsr_boundary = boundary;
        self
    }

    fn mtu(mut self, mtu: usize) -> Self {
        self.configs.iter_mut().flat_map(|config| &mut config.interfaces).for_each(|interface| interface.mtu = mtu);
        self
    }

    /// The network with every link down.
    fn build(self) -> Net {
        let mut net = Net::default();
        for config in self.configs {
            net.add_node(config);
        }
        let mut used = vec![0; net.nodes.len()];
        let mut port = |node: NodeId| {
            used[node] += 1;
            PortId(used[node] - 1)
        };
        for &(a, b) in &self.links {
            let ends = [(a, port(a)), (b, port(b))];
            net.add_link(&ends);
        }
        for &node in &self.with_hosts {
            let link = net.add_link(&[(node, port(node))]);
            net.add_host(link, HOST);
        }
        for node in 0..net.nodes.len() {
            set_routes(&mut net, node);
        }
        net
    }

    /// The network, running for a while.
    fn start(self) -> Net {
        let mut net = self.build();
        net.link_up_all();
        net.run_for(SETTLED);
        net
    }
}

/// Where a node finds the others, by the fewest hops; its own address is local.
fn set_routes(net: &mut Net, node: NodeId) {
    net.command(node, Command::RouteSet(Prefix::host(address(node)), Route::Local));
    let mut first: BTreeMap<NodeId, (PortId, Ipv6Addr)> = BTreeMap::new();
    let mut frontier = VecDeque::from([node]);
    while let Some(at) = frontier.pop_front() {
        for link in 0..net.links.len() {
            let ends = net.links[link].ends.clone();
            let Some(&(_, port)) = ends.iter().find(|end| end.0 == at) else { continue };
            for (other, other_port) in ends {
                if other != node && !first.contains_key(&other) {
                    first.insert(other, first.get(&at).copied().unwrap_or((port, link_local(other, other_port))));
                    frontier.push_back(other);
                }
            }
        }
    }
    for (other, (port, next_hop)) in first {
        net.command(node, Command::RouteSet(Prefix::host(address(other)), Route::Via { port, next_hop }));
    }
}

fn domain_view(net: &Net, node: NodeId) -> BsrView {
    net.nodes[node].router.bsr().find(|view| view.zone == ScopeZone::Domain).unwrap()
}

fn elected(net: &Net) -> Vec<Option<Ipv6Addr>> {
    (0..net.nodes.len()).map(|node| domain_view(net, node).address).collect()
}

/// RP(G) at each node.
fn mapped(net: &Net, group: Ipv6Addr) -> Vec<Option<Ipv6Addr>> {
    net.nodes.iter().map(|node| node.router.rendezvous_point(group)).collect()
}

fn count(net: &Net, node: NodeId, name: &str) -> u64 {
    net.nodes[node].router.counters().iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("{name}")).1
}

fn bootstrap(sent: &Sent) -> Option<Bootstrap> {
    match sent.pim()? {
        Message::Bootstrap(message) => Some(message),
        _ => None,
    }
}

/// The node falls silent: none of its links carries anything any more.
fn cut_off(net: &mut Net, node: NodeId) {
    for link in net.links.iter_mut().filter(|link| link.ends.iter().any(|end| end.0 == node)) {
        link.down.insert(node);
    }
}

fn encoded(text: &str) -> EncodedGroup {
    let prefix: Prefix = text.parse().unwrap();
    EncodedGroup { mask_length: prefix.length(), ..EncodedGroup::host(prefix.address()) }
}

fn bootstrap_packet(source: Ipv6Addr, message: &Bootstrap) -> Vec<u8> {
    bootstrap_to(source, ALL_PIM_ROUTERS, 1, message)
}

fn bootstrap_to(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, message: &Bootstrap) -> Vec<u8> {
    let mut octets = vec![0x24, if message.no_forward { 0x80 } else { 0 }, 0, 0];
    message.emit(&mut octets);
    PacketBuilder::new(source, destination).hop_limit(hop_limit).checksummed(protocol::PIM, octets, 2)
}

fn candidate_rp_packet(source: Ipv6Addr, destination: Ipv6Addr, message: &CandidateRpAdvertisement) -> Vec<u8> {
    let mut octets = vec![0x28, 0, 0, 0];
    message.emit(&mut octets);
    PacketBuilder::new(source, destination).checksummed(protocol::PIM, octets, 2)
}

/// What a bootstrap router at 0 would say.
fn message() -> Bootstrap {
    let rp = RpEntry { address: address(0), holdtime: 150, priority: 0 };
    Bootstrap {
        no_forward: false,
        fragment_tag: 1,
        hash_mask_length: 126,
        bsr_priority: 64,
        bsr_address: address(0),
        ranges: vec![RpRange { group: encoded("ff1e::/16"), rp_count: 1, rps: vec![rp] }],
    }
}

/// Ranges of one /32 each.
fn many_ranges(count: u16) -> Vec<Prefix> {
    (0..count).map(|index| Prefix::new(Ipv6Addr::new(0xff1e, index, 0, 0, 0, 0, 0, 0), 32).unwrap()).collect()
}
