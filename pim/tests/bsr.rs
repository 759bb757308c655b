//! The bootstrap router mechanism (RFC 5059) and static rendezvous points on networks of several routers.

mod net;

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

#[test]
fn the_better_candidate_is_elected_and_everybody_follows() {
    for (priorities, best) in [([64, 100], 4), ([100, 64], 0), ([64, 64], 4)] {
        let net = Domain::row(5).candidate_bsr(0, priorities[0]).candidate_bsr(4, priorities[1]).start();
        assert_eq!(elected(&net), vec![Some(address(best)); 5], "{priorities:?}");
        for node in 0..5 {
            let expected = match node {
                _ if node == best => BsrState::Elected,
                0 | 4 => BsrState::Candidate,
                _ => BsrState::AcceptPreferred,
            };
            let view = domain_view(&net, node);
            assert_eq!((view.state, view.priority), (expected, Some(*priorities.iter().max().unwrap())), "{node}");
        }
    }
}

#[test]
fn another_candidate_takes_over_in_time() {
    let mut net = Domain::row(5).candidate_bsr(0, 64).candidate_bsr(2, 60).candidate_bsr(4, 100).start();
    let last =
        net.sent.iter().filter(|sent| sent.node == 4 && bootstrap(sent).is_some()).map(|sent| sent.at).max().unwrap();
    cut_off(&mut net, 4);
    // Nobody moves before BS_Timeout.
    net.run_until(last + (BS_TIMEOUT - DELAY));
    assert_eq!(elected(&net)[..4], vec![Some(address(4)); 4]);
    net.run_until(last + BS_TIMEOUT + LONGEST_OVERRIDE + DELAY * 10);
    assert_eq!(elected(&net)[..4], vec![Some(address(0)); 4], "the better one of those that are left");
    let states: Vec<_> = (0..4).map(|node| domain_view(&net, node).state).collect();
    let (accept, candidate) = (BsrState::AcceptPreferred, BsrState::Candidate);
    assert_eq!(states, [BsrState::Elected, accept, candidate, accept]);
    // The former one comes back and is preferred.
    for link in &mut net.links {
        link.down.clear();
    }
    net.run_for(BS_PERIOD * 2 + Duration::from_secs(40));
    assert_eq!(elected(&net), vec![Some(address(4)); 5]);
}

#[test]
fn who_stops_is_followed_at_once() {
    let mut net = Domain::row(4).candidate_bsr(0, 64).candidate_bsr(3, 100).start();
    net.command(3, Command::Stop);
    net.run_for(LONGEST_OVERRIDE);
    assert_eq!(elected(&net)[..3], vec![Some(address(0)); 3]);
}

#[test]
fn who_stops_leaves_no_tree_behind() {
    // The last router has members, and is bootstrap router and rendezvous point; without it a static one would count.
    let domain = Domain::row(3).candidate_bsr(2, 64).candidate_rp(2, 192, &["ff1e::/16"]);
    let mut net = domain.static_rp(2, 0, &["ff1e::/16"], StaticPrecedence::BehindLearned).start();
    net.set_listening(2, 0, group("ff1e::77"), Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 2);
    assert_eq!(net.nodes[2].router.entry_count(), 1);
    let stopped = net.now;
    net.command(2, Command::Stop);
    assert_eq!((net.nodes[2].router.entry_count(), net.nodes[2].mroutes.len()), (0, 0));
    let last = net.sent.iter().filter(|sent| sent.node == 2 && sent.at >= stopped).filter_map(Sent::pim).next_back();
    assert!(matches!(last, Some(Message::Hello(hello)) if hello.holdtime == Some(0)), "goodbye is the last word");
}

#[test]
fn the_rp_set_spreads_and_a_candidate_that_dies_is_forgotten() {
    let mut net = Domain::row(6).candidate_bsr(0, 64).candidate_rp(3, 192, &["ff00::/8"]).start();
    let any = group("ff1e::1");
    assert_eq!(mapped(&net, any), vec![Some(address(3)); 6], "five hops away too");
    assert_eq!(mapped(&net, group("ff3e::1")), vec![None; 6], "source-specific groups have none");
    net.run_for(Duration::from_secs(1000));
    assert_eq!(mapped(&net, any), vec![Some(address(3)); 6]);
    let mapping =
        net.nodes[5].router.rp_mappings().find(|mapping| mapping.rendezvous_point == Some(address(3))).unwrap();
    assert_eq!(mapping.source, RpSource::Bsr(ScopeZone::Domain));
    assert_eq!((mapping.groups, mapping.priority), ("ff00::/8".parse().unwrap(), Some(192)));
    assert!(mapping.expires.unwrap() > net.now && mapping.expires.unwrap() <= net.now + Duration::from_secs(150));

    // It is lost without a word: its advertisements, and nothing else, do not arrive any more.
    net.lose = Some(|sent| matches!(sent.pim(), Some(Message::CandidateRpAdvertisement(_))));
    net.run_for(Duration::from_secs(150) + BS_MIN_INTERVAL);
    assert_eq!(mapped(&net, any), vec![None; 6]);
    net.lose = None;
    net.run_for(BS_PERIOD + BS_MIN_INTERVAL);
    assert_eq!(mapped(&net, any), vec![Some(address(3)); 6]);

    // It stops in order.
    net.command(3, Command::Stop);
    net.run_for(BS_MIN_INTERVAL + DELAY * 4);
    assert_eq!(mapped(&net, any)[..3], [None; 3]);
}

#[test]
fn mappings_outlive_the_bootstrap_router_that_named_them() {
    let domain = Domain::row(5).candidate_bsr(0, 100).candidate_bsr(4, 64).candidate_rp(2, 192, &["ff00::/8"]);
    let mut net = domain.start();
    cut_off(&mut net, 0);
    let end = net.now + Duration::from_secs(400);
    while net.now < end {
        net.run_for(Duration::from_secs(1));
        assert_eq!(mapped(&net, group("ff1e::1"))[1..], vec![Some(address(2)); 4], "at {:?}", net.now);
    }
    assert_eq!(elected(&net)[1..], vec![Some(address(4)); 4]);
}

/// Ranges of one /32 each.
fn many_ranges(count: u16) -> Vec<Prefix> {
    (0..count).map(|index| Prefix::new(Ipv6Addr::new(0xff1e, index, 0, 0, 0, 0, 0, 0), 32).unwrap()).collect()
}

#[test]
fn two_hundred_ranges_go_in_fragments_that_fit() {
    let mut domain = Domain::row(5).candidate_bsr(0, 64).mtu(1280);
    for node in [2, 4] {
        let rp = CandidateRp::new(address(node), many_ranges(200));
        domain.bsr(node).candidate_rp = Some(rp);
    }
    let mut net = domain.start();
    let all_mapped = |net: &Net, count: usize| {
        for range in many_ranges(200) {
            let first = mapped(net, range.address())[0];
            assert!(first == Some(address(2)) || first == Some(address(4)));
            assert_eq!(mapped(net, range.address()), vec![first; 5]);
        }
        for node in &net.nodes {
            assert_eq!(node.router.rp_mappings().filter(|mapping| mapping.expires.is_some()).count(), count);
        }
    };
    all_mapped(&net, 400);
    assert!(net.sent.iter().all(|sent| sent.packet.len() <= 1280));
    let tags: BTreeSet<u16> = net.sent.iter().filter_map(bootstrap).map(|message| message.fragment_tag).collect();
    let last = net.sent.iter().filter_map(bootstrap).next_back().unwrap();
    let fragments = net.sent.iter().filter(|sent| sent.node == 0).filter_map(bootstrap);
    let fragments = fragments.filter(|message| message.fragment_tag == last.fragment_tag && !message.no_forward);
    assert!(fragments.count() > 8 && tags.len() > 1);

    // Messages that hold one range are lost for a while: that range runs out, and no other.
    fn holds_lost_range(sent: &Sent) -> bool {
        let lost = Ipv6Addr::new(0xff1e, 50, 0, 0, 0, 0, 0, 0);
        bootstrap(sent).is_some_and(|message| message.ranges.iter().any(|range| range.group.address == lost))
    }
    net.lose = Some(holds_lost_range);
    net.run_for(Duration::from_secs(100));
    all_mapped(&net, 400);
    net.run_for(Duration::from_secs(100));
    assert_eq!(net.nodes[4].router.rendezvous_point(group("ff1e:32::1")), None);
    assert!(net.nodes[4].router.rendezvous_point(group("ff1e:2::1")).is_some());
    net.lose = None;
    net.run_for(BS_PERIOD);
    all_mapped(&net, 400);
}

#[test]
fn more_ranges_than_the_limit_are_refused() {
    let mut domain = Domain::row(3).candidate_bsr(0, 64);
    for node in 0..3 {
        domain.bsr(node).max_mappings = if node == 2 { 10 } else { 20 };
    }
    domain.bsr(1).candidate_rp = Some(CandidateRp::new(address(1), many_ranges(30)));
    let net = domain.start();
    let learned = |node: NodeId| net.nodes[node].router.rp_mappings().filter(|m| m.expires.is_some()).count();
    assert_eq!([0, 1, 2].map(learned), [20, 20, 10]);
    assert!(count(&net, 0, "drop-pim-rp-mapping-limit") > 0 && count(&net, 2, "drop-pim-rp-mapping-limit") > 0);
}

#[test]
fn nothing_passes_a_boundary() {
    for (node, port) in [(1, 1), (2, 0)] {
        let domain = Domain::row(5).candidate_bsr(0, 64).candidate_rp(1, 192, &["ff00::/8"]);
        let net = domain.boundary(node, port, BsrBoundary::Closed).start();
        assert_eq!(elected(&net), [Some(address(0)), Some(address(0)), None, None, None]);
        let any = group("ff1e::1");
        assert_eq!(mapped(&net, any), [Some(address(1)), Some(address(1)), None, None, None]);
        let beyond = net.sent.iter().filter(|sent| sent.node >= 2).filter_map(bootstrap).count();
        assert_eq!(beyond, 0);
    }
    // Candidates behind it are not taken either, and advertise nothing.
    let domain = Domain::row(4).candidate_bsr(0, 64).candidate_rp(3, 192, &["ff00::/8"]);
    let net = domain.boundary(1, 1, BsrBoundary::Closed).start();
    assert_eq!(mapped(&net, group("ff1e::1")), [None; 4]);
}

#[test]
fn each_scope_zone_has_its_own() {
    // 0 - 1 - 2 | 3 - 4 - 5: scope 5 ends between 2 and 3.
    let site = Scope::SITE_LOCAL;
    let mut domain = Domain::row(6).boundary(2, 1, BsrBoundary::Scope(site)).boundary(3, 0, BsrBoundary::Scope(site));
    for (bsr, priority, rp) in [(0, 90, 1), (5, 64, 4)] {
        domain = domain.candidate_bsr(bsr, priority).scopes(bsr, &[site]).candidate_rp(rp, 192, &["ff00::/8"]);
    }
    let mut net = domain.start();
    net.run_for(BS_PERIOD * 2);
    assert_eq!(elected(&net), vec![Some(address(0)); 6]);
    let of_site = mapped(&net, group("ff15::1"));
    assert_eq!(of_site, [1, 1, 1, 4, 4, 4].map(|node| Some(address(node))));
    let of_all = mapped(&net, group("ff1e::1"));
    assert_eq!(of_all, vec![of_all[0]; 6]);
    assert!(of_all[0].is_some());
    // Scoped messages have the Z bit in their first range, whose mask is long enough, and stay in their zone.
    let scoped = net.sent.iter().filter_map(|sent| Some((sent, bootstrap(sent)?)));
    let mut seen = BTreeSet::new();
    for (sent, message) in scoped.filter(|(_, m)| m.ranges.first().is_some_and(|range| range.group.scope_zone)) {
        assert!(message.ranges.iter().all(|range| range.group.mask_length >= 16));
        assert!(message.ranges.iter().skip(1).all(|range| !range.group.scope_zone));
        assert_eq!(message.bsr_address == address(0), sent.node <= 2);
        assert!((sent.node, sent.port) != (2, PortId(1)) && (sent.node, sent.port) != (3, PortId(0)));
        seen.insert(message.bsr_address);
    }
    assert_eq!(seen, [address(0), address(5)].into());
    let zones = |node: NodeId| net.nodes[node].router.bsr().map(|view| (view.zone, view.state)).collect::<Vec<_>>();
    let accept = BsrState::AcceptPreferred;
    assert_eq!(zones(1), [(ScopeZone::Domain, accept), (ScopeZone::Scope(site), accept)]);

    // A zone whose bootstrap router is gone is forgotten after SZ_Timeout, and its groups are the domain's.
    cut_off(&mut net, 5);
    net.run_for(BS_TIMEOUT + Duration::from_secs(1400));
    let zones: Vec<_> = net.nodes[4].router.bsr().map(|view| view.zone).collect();
    assert_eq!(zones, [ScopeZone::Domain]);
    assert_eq!(mapped(&net, group("ff15::1"))[3..5], [Some(address(1)); 2], "out of both that serve the domain");
}

#[test]
fn a_new_neighbour_learns_at_once() {
    let mut net = Domain::row(4).candidate_bsr(0, 64).candidate_rp(1, 192, &["ff00::/8"]).build();
    for link in [0, 1] {
        for (node, port) in net.links[link].ends.clone() {
            net.command(node, Command::LinkUp(port));
        }
    }
    net.run_for(SETTLED + Duration::from_secs(7));
    let any = group("ff1e::1");
    assert_eq!(mapped(&net, any)[..3], vec![Some(address(1)); 3]);
    let came = net.now;
    for (node, port) in net.links[2].ends.clone() {
        net.command(node, Command::LinkUp(port));
    }
    net.run_for(DELAY * 4);
    assert_eq!(net.nodes[3].router.rendezvous_point(any), Some(address(1)));
    assert_eq!(elected(&net)[3], Some(address(0)));
    let told: Vec<_> = net.sent.iter().filter(|sent| sent.at >= came).filter_map(bootstrap).collect();
    assert!(!told.is_empty() && told.iter().all(|message| message.no_forward), "{told:?}");
    // Who has started long ago does not take such messages.
    let before = count(&net, 2, "drop-pim-bootstrap-not-starting");
    let quick = Bootstrap { no_forward: true, ..told[0].clone() };
    net.inject(2, PortId(0), &bootstrap_packet(link_local(1, PortId(1)), &quick));
    assert_eq!(count(&net, 2, "drop-pim-bootstrap-not-starting"), before + 1);
}

#[test]
fn a_router_that_starts_anew_learns_at_once_in_fragments_too() {
    let build = || {
        let mut domain = Domain::row(3).candidate_bsr(0, 64).mtu(1280);
        domain.bsr(1).candidate_rp = Some(CandidateRp::new(address(1), many_ranges(200)));
        domain
    };
    let mut net = build().start();
    let config = build().configs.remove(2);
    net::site::restart(&mut net, 2, Config { seed: 4711, ..config }, |net| set_routes(net, 2));
    net.run_for(DELAY * 4);
    for range in many_ranges(200) {
        assert_eq!(net.nodes[2].router.rendezvous_point(range.address()), Some(address(1)), "{range}");
    }
    // The bootstrap router itself learns what it had said, and takes office again.
    let config = build().configs.remove(0);
    net::site::restart(&mut net, 0, Config { seed: 4712, ..config }, |net| set_routes(net, 0));
    net.run_for(DELAY * 4);
    assert_eq!(net.nodes[0].router.rendezvous_point(group("ff1e::1")), Some(address(1)));
    assert_eq!(domain_view(&net, 0).state, BsrState::Pending);
    net.run_for(Duration::from_secs(6));
    assert_eq!(domain_view(&net, 0).state, BsrState::Elected);
    net.run_for(Duration::from_secs(200));
    assert_eq!(mapped(&net, group("ff1e::1")), vec![Some(address(1)); 3]);
}

#[test]
fn what_counts_before_what() {
    use StaticPrecedence::{BehindLearned, OverridesLearned};
    let mut domain = Domain::row(4).candidate_bsr(0, 64).candidate_rp(1, 192, &["ff1e::/16", "ff18:1::/32"]);
    for node in 0..4 {
        domain = domain.static_rp(node, 2, &["ff00::/8", "ff1e:1::/32"], BehindLearned).static_rp(
            node,
            3,
            &["ff1e:2::/32"],
            OverridesLearned,
        );
    }
    let net = domain.start();
    for (text, expected) in [
        // The longer static range does not count against a learned one.
        ("ff1e:1::1", Some(address(1))),
        ("ff1e::1", Some(address(1))),
        ("ff18:1::1", Some(address(1))),
        ("ff18:2::1", Some(address(2))),
        ("ff1e:2::1", Some(address(3))),
        ("ff7e:120:2001:db8::1", Some(address(0))),
        ("ff7e:20:2001:db8::1", None),
        ("ff3e::1", None),
    ] {
        assert_eq!(mapped(&net, group(text)), vec![expected; 4], "{text}");
    }
    let sources: Vec<_> = net.nodes[2].router.rp_mappings().map(|mapping| mapping.source).collect();
    let learned = RpSource::Bsr(ScopeZone::Domain);
    let (behind, overrides) = (RpSource::Static(BehindLearned), RpSource::Static(OverridesLearned));
    assert_eq!(sources, [RpSource::Embedded, behind, behind, overrides, learned, learned]);
}

#[test]
fn every_router_hashes_alike() {
    let mut domain = Domain::row(5).candidate_bsr(2, 64);
    for node in [0, 1, 3, 4] {
        domain = domain.candidate_rp(node, 192, &["ff1e::/16"]);
    }
    let net = domain.start();
    let mut used = BTreeSet::new();
    for index in 0..200 {
        let group = Ipv6Addr::new(0xff1e, 0, 0, 0, 0, 0, 0, index << 2);
        let first = mapped(&net, group)[0];
        assert_eq!(mapped(&net, group), vec![first; 5]);
        used.extend(first);
    }
    assert_eq!(used, [0, 1, 3, 4].map(address).into());
}

/// A ring of six with hosts at 3; the rendezvous points are 1 and 5, the bootstrap router is 0.
fn ring() -> (Net, LinkId) {
    let links = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)];
    let domain = Domain::new(6, &links, &[3]).candidate_bsr(0, 64);
    let domain = domain.candidate_rp(1, 10, &["ff00::/8"]).candidate_rp(5, 20, &["ff00::/8"]);
    let mut net = domain.build();
    net.link_up_all();
    (net, links.len())
}

#[test]
fn trees_move_with_their_rendezvous_point() {
    let (mut net, hosts) = ring();
    let group = group("ff1e::77");
    let any = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group };
    let from = |node| MrouteKey { source: address(node), group };
    // A member before any rendezvous point is known: refused, counted, and taken on once there is one.
    net.set_listening(hosts, 0, group, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 2);
    assert!(count(&net, 3, "drop-pim-no-rendezvous-point") > 0);
    assert_eq!(net.nodes[3].router.entry_count(), 0);
    net.run_for(Duration::from_secs(120));
    assert_eq!(net.nodes[3].router.entry(any).unwrap().root, address(1));
    assert_eq!(net.walk(1, from(1)), [(1, 1), (2, 1), (hosts, 1)].into());

    // The better one is not heard of any more: the tree grows towards the other, and what led to the first is pruned.
    net.lose = Some(|sent| {
        let advertised = sent.pim().map(|message| matches!(message, Message::CandidateRpAdvertisement(_)));
        advertised == Some(true) && sent.node == 1
    });
    net.run_for(Duration::from_secs(150) + BS_PERIOD);
    assert_eq!(mapped(&net, group), vec![Some(address(5)); 6]);
    assert_eq!(net.walk(5, from(5)), [(4, 1), (3, 1), (hosts, 1)].into());
    assert_eq!(net.mroute(2, any), None, "the old branch is gone");
    let prune = net.sent.iter().filter(|sent| sent.node == 3).filter_map(Sent::join_prune).find_map(|message| {
        let set = message.groups.into_iter().find(|set| set.group.address == group)?;
        set.pruned.first().copied()
    });
    assert_eq!(prune.unwrap().address, address(1), "a prune names the tree that is left");

    // The other one goes too: nothing is forwarded any more, and the member waits.
    net.lose = Some(|sent| matches!(sent.pim(), Some(Message::CandidateRpAdvertisement(_))));
    net.run_for(Duration::from_secs(170));
    assert_eq!(mapped(&net, group), vec![None; 6]);
    assert_eq!((net.mroute(3, any), net.mroute(4, any)), (None, None));
    assert_eq!(net.nodes[3].router.entry(any).unwrap().root, Ipv6Addr::UNSPECIFIED);
    // A route to anywhere brings no tree that leads nowhere.
    let default = Route::Via { port: PortId(0), next_hop: link_local(2, PortId(1)) };
    net.command(3, Command::RouteSet(Prefix::DEFAULT, default));
    assert_eq!(net.mroute(3, any), None);
    net.set_listening(hosts, 0, group, Ipv6Addr::UNSPECIFIED, false);
    net.run_for(Duration::from_secs(10));
    assert_eq!(net.nodes[3].router.entry_count(), 0);
}

#[test]
fn a_tree_without_a_root_grows_again() {
    let (mut net, hosts) = ring();
    let group = group("ff1e::77");
    let any = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group };
    net.run_for(Duration::from_secs(60));
    net.set_listening(hosts, 0, group, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(Duration::from_secs(10));
    let whole = [(1, 1), (2, 1), (hosts, 1)].into();
    assert_eq!(net.walk(1, MrouteKey { source: address(1), group }), whole);
    net.lose = Some(|sent| matches!(sent.pim(), Some(Message::CandidateRpAdvertisement(_))));
    net.run_for(Duration::from_secs(200));
    assert_eq!(mapped(&net, group), [None; 6]);
    assert!(net.nodes.iter().all(|node| node.mroutes.is_empty()));
    assert_eq!(net.nodes[3].router.entry(any).unwrap().root, Ipv6Addr::UNSPECIFIED);
    net.lose = None;
    // The candidates advertise, the bootstrap router speaks, and a join that was too early is repeated.
    net.run_for(Duration::from_secs(60 + 10 + 60));
    assert_eq!(net.walk(1, MrouteKey { source: address(1), group }), whole);
}

#[test]
fn a_tree_with_another_root_behind_the_same_neighbour_asks_anew() {
    // 0 - 1 - 2 with hosts at 2; both rendezvous points are at 0's side.
    let mut net = Domain::row(4)
        .candidate_bsr(0, 64)
        .candidate_rp(0, 10, &["ff1e::/16"])
        .candidate_rp(1, 20, &["ff1e::/16"])
        .start();
    let group = group("ff1e::77");
    let hosts = 3;
    net.set_listening(hosts, 0, group, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(Duration::from_secs(10));
    assert_eq!(net.walk(0, MrouteKey { source: address(0), group }), [(0, 1), (1, 1), (2, 1), (hosts, 1)].into());
    // 0 has said that it stands back.
    let own = net.nodes[0].router.bsr().next().unwrap().address;
    assert_eq!(own, Some(address(0)));
    let back =
        CandidateRpAdvertisement { priority: 10, holdtime: 0, address: address(0), ranges: vec![encoded("ff1e::/16")] };
    net.inject(0, PortId(0), &candidate_rp_packet(address(1), address(0), &back));
    let changed = net.now;
    net.run_for(BS_MIN_INTERVAL + DELAY * 10);
    assert_eq!(mapped(&net, group), vec![Some(address(1)); 4]);
    assert_eq!(net.walk(1, MrouteKey { source: address(1), group }), [(1, 1), (2, 1), (hosts, 1)].into());
    let joins = net.sent.iter().filter(|sent| sent.at >= changed && sent.node == 3).filter_map(Sent::join_prune);
    let named: Vec<_> =
        joins.flat_map(|message| message.groups).flat_map(|set| set.joined).map(|s| s.address).collect();
    assert_eq!(named, [address(1)]);
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

#[test]
fn a_partial_range_does_not_replace_a_whole_one() {
    let mut net = Domain::row(3).build();
    net.link_up_all();
    net.run_for(Duration::from_secs(5));
    let from = link_local(0, PortId(0));
    let say = |net: &mut Net, tag, rp_count, nodes: &[NodeId]| {
        let entry = |&node: &NodeId| RpEntry { address: address(node), holdtime: 150, priority: 0 };
        let range = RpRange { group: encoded("ff1e::/16"), rp_count, rps: nodes.iter().map(entry).collect() };
        let message = Bootstrap { fragment_tag: tag, ranges: vec![range], ..message() };
        net.inject(1, PortId(0), &bootstrap_packet(from, &message));
        net.run_for(DELAY * 2);
    };
    let learned = |net: &Net| {
        [1, 2].map(|node: NodeId| {
            let mappings = net.nodes[node].router.rp_mappings().filter(|mapping| mapping.expires.is_some());
            mappings.filter_map(|mapping| mapping.rendezvous_point).collect::<Vec<_>>()
        })
    };
    say(&mut net, 1, 1, &[0]);
    assert_eq!(learned(&net), [vec![address(0)], vec![address(0)]]);
    say(&mut net, 2, 3, &[1]);
    say(&mut net, 2, 3, &[2]);
    assert_eq!(learned(&net), [vec![address(0)], vec![address(0)]], "a part of it is not there yet");
    say(&mut net, 3, 3, &[4]);
    assert_eq!(learned(&net), [vec![address(0)], vec![address(0)]], "of another message");
    say(&mut net, 3, 3, &[1, 2]);
    let whole = [1, 2, 4].map(address).to_vec();
    assert_eq!(learned(&net), [whole.clone(), whole]);
    say(&mut net, 4, 0, &[]);
    assert!(learned(&net).iter().all(Vec::is_empty));
}

#[test]
fn what_is_refused_is_counted() {
    let mut domain = Domain::row(4).boundary(2, 1, BsrBoundary::Scope(Scope::SITE_LOCAL));
    domain.configs[3].rendezvous_points.bsr = None;
    let mut net = domain.build();
    net.link_up_all();
    net.run_for(Duration::from_secs(70));
    let (own, neighbor) = (link_local(1, PortId(0)), link_local(0, PortId(0)));
    let stranger = group("fe80::77");
    let good = message();
    let with = |range: RpRange| Bootstrap { ranges: vec![range], ..message() };
    let scoped = |text: &str| {
        let zone = EncodedGroup { scope_zone: true, ..encoded(text) };
        with(RpRange { group: zone, rp_count: 0, rps: vec![] })
    };
    let rp = |rp: Ipv6Addr| {
        with(RpRange { rps: vec![RpEntry { address: rp, holdtime: 150, priority: 0 }], ..message().ranges[0].clone() })
    };
    let quick = Bootstrap { no_forward: true, ..message() };
    let advertisement = CandidateRpAdvertisement { priority: 0, holdtime: 150, address: address(0), ranges: vec![] };
    let hello = || pim_packet(stranger, 0, |into| Hello { holdtime: Some(105), ..Hello::default() }.emit(into));
    let cases: Vec<(NodeId, u8, Vec<u8>, &str)> = vec![
        (1, 0, bootstrap_packet(stranger, &good), "drop-pim-unknown-neighbor"),
        (1, 1, bootstrap_packet(link_local(2, PortId(0)), &good), "drop-pim-bootstrap-rpf"),
        (1, 0, bootstrap_packet(address(0), &good), "drop-pim-source"),
        (1, 0, bootstrap_packet(own, &good), "drop-pim-source"),
        (1, 0, bootstrap_to(neighbor, ALL_PIM_ROUTERS, 2, &good), "drop-pim-hop-limit"),
        (1, 0, bootstrap_packet(neighbor, &quick), "drop-pim-bootstrap-not-starting"),
        (1, 0, bootstrap_to(neighbor, own, 1, &quick), "drop-pim-bootstrap-unicast"),
        (1, 0, bootstrap_packet(neighbor, &scoped("ff00::/8")), "drop-pim-bootstrap-scope"),
        (1, 0, bootstrap_packet(neighbor, &scoped("ff02::/16")), "drop-pim-bootstrap-scope"),
        (2, 1, bootstrap_packet(link_local(3, PortId(0)), &scoped("ff05::/16")), "drop-pim-bootstrap-boundary"),
        (
            1,
            0,
            bootstrap_packet(neighbor, &Bootstrap { bsr_address: neighbor, ..message() }),
            "drop-pim-bootstrap-address",
        ),
        (
            1,
            0,
            bootstrap_packet(
                neighbor,
                &with(RpRange { group: encoded("2001:db8::/32"), ..message().ranges[0].clone() }),
            ),
            "drop-pim-rp-range",
        ),
        (1, 0, bootstrap_packet(neighbor, &rp(neighbor)), "drop-pim-rp-address"),
        (3, 0, bootstrap_packet(link_local(2, PortId(1)), &good), "drop-pim-bootstrap-disabled"),
        (1, 0, candidate_rp_packet(address(0), own, &advertisement), "drop-pim-destination"),
        (3, 0, candidate_rp_packet(address(0), address(3), &advertisement), "drop-pim-bootstrap-disabled"),
    ];
    for (node, port, packet, counter) in cases {
        let before = count(&net, node, counter);
        net.inject(node, PortId(port), &packet);
        assert_eq!(count(&net, node, counter), before + 1, "{counter}");
        assert_eq!(mapped(&net, group("ff1e::1")), [None; 4], "{counter}");
    }
    // A neighbour whose way is not the one to the bootstrap router says nothing that counts.
    net.inject(1, PortId(0), &hello());
    net.inject(1, PortId(0), &bootstrap_packet(stranger, &good));
    assert_eq!(mapped(&net, group("ff1e::1")), [None; 4]);
    net.inject(1, PortId(0), &bootstrap_packet(neighbor, &good));
    net.run_for(DELAY * 3);
    assert_eq!(mapped(&net, group("ff1e::1")), [None, Some(address(0)), Some(address(0)), None]);
    // One who is no better than the current one.
    let worse = Bootstrap { bsr_priority: 1, ..message() };
    net.inject(1, PortId(0), &bootstrap_packet(neighbor, &worse));
    assert_eq!(domain_view(&net, 1).priority, Some(1), "of the current one itself a lower priority counts");
}

#[test]
fn unicast_messages_are_taken_where_that_is_configured() {
    for (unicast, taken) in [(UnicastBootstrap::Refuse, false), (UnicastBootstrap::Accept, true)] {
        let mut domain = Domain::row(2);
        domain.bsr(1).unicast = unicast;
        let mut net = domain.build();
        net.link_up_all();
        net.run_for(Duration::from_secs(5));
        let (own, neighbor) = (link_local(1, PortId(0)), link_local(0, PortId(0)));
        net.inject(1, PortId(0), &bootstrap_to(neighbor, group("fe80::99"), 1, &message()));
        assert_eq!(net.nodes[1].router.rendezvous_point(group("ff1e::1")), None);
        net.inject(1, PortId(0), &bootstrap_to(neighbor, own, 64, &message()));
        assert_eq!(net.nodes[1].router.rendezvous_point(group("ff1e::1")).is_some(), taken);
    }
}

#[test]
fn candidates_are_taken_by_the_elected_router_and_as_its_list_says() {
    let mut domain = Domain::row(3).candidate_bsr(1, 64).candidate_bsr(0, 10);
    domain.bsr(1).candidate_bsr.as_mut().unwrap().accept = vec![Prefix::host(address(2))];
    let mut net = domain.start();
    let offer = |node: NodeId, ranges: Vec<EncodedGroup>| CandidateRpAdvertisement {
        priority: 0,
        holdtime: 150,
        address: address(node),
        ranges,
    };
    let say = |net: &mut Net, to: NodeId, message: &CandidateRpAdvertisement| {
        net.inject(to, PortId(0), &candidate_rp_packet(address(2), address(to), message));
    };
    say(&mut net, 0, &offer(2, vec![]));
    assert_eq!(count(&net, 0, "drop-pim-candidate-rp-not-elected"), 1);
    say(&mut net, 1, &offer(0, vec![]));
    assert_eq!(count(&net, 1, "drop-pim-candidate-rp-address"), 1);
    say(&mut net, 1, &offer(2, vec![encoded("2001:db8::/32")]));
    assert_eq!(count(&net, 1, "drop-pim-rp-range"), 1);
    // No range stands for all groups.
    say(&mut net, 1, &offer(2, vec![]));
    net.run_for(BS_MIN_INTERVAL + DELAY * 2);
    assert_eq!(mapped(&net, group("ff1e::1")), vec![Some(address(2)); 3]);
}

/// Whatever neighbours say, state is bounded and time goes on.
#[test]
fn random_messages_keep_the_limits() {
    const LIMIT: usize = 30;
    let mut domain =
        Domain::row(3).candidate_bsr(1, 64).scopes(1, &[Scope::SITE_LOCAL]).candidate_rp(1, 0, &["ff00::/8"]);
    domain.bsr(1).max_mappings = LIMIT;
    domain.bsr(1).unicast = UnicastBootstrap::Accept;
    let mut net = domain.build();
    net.link_up_all();
    net.run_for(Duration::from_secs(5));
    let mut rng = Rng::new(5059);
    let range = |rng: &mut Rng| {
        let first = [0xff00u16, 0xff1e, 0xff15, 0xff05, 0xff08, 0xff02, 0x2001][rng.below(7) as usize];
        let mask_length = [8u8, 16, 32, 128, 0, 15][rng.below(6) as usize];
        EncodedGroup {
            address: Ipv6Addr::new(first, rng.below(40) as u16, 0, 0, 0, 0, 0, 0),
            mask_length,
            bidirectional: rng.below(9) == 0,
            scope_zone: rng.below(3) == 0,
        }
    };
    for _ in 0..20_000 {
        let from = rng.below(3) as usize;
        let port = PortId(rng.below(2) as u8);
        let source = if port.0 == 0 { link_local(0, PortId(0)) } else { link_local(2, PortId(0)) };
        let packet = if rng.below(3) == 0 {
            let count = rng.below(9);
            let message = CandidateRpAdvertisement {
                priority: rng.below(3) as u8,
                holdtime: [0, 1, 150, 0xffff][rng.below(4) as usize],
                address: address(rng.below(60) as NodeId),
                ranges: (0..count).map(|_| range(&mut rng)).collect(),
            };
            candidate_rp_packet(address(from), address(1), &message)
        } else {
            let count = rng.below(9);
            let ranges = (0..count).map(|_| {
                let rps: Vec<_> = (0..rng.below(5))
                    .map(|_| RpEntry {
                        address: address(rng.below(20) as NodeId),
                        holdtime: [0, 1, 150, 0xffff][rng.below(4) as usize],
                        priority: rng.below(3) as u8,
                    })
                    .collect();
                RpRange { group: range(&mut rng), rp_count: rps.len() as u8 + rng.below(2) as u8 * 3, rps }
            });
            let message = Bootstrap {
                ranges: ranges.collect(),
                no_forward: false,
                fragment_tag: 0,
                hash_mask_length: 126,
                bsr_priority: 0,
                bsr_address: address(0),
            };
            let message = Bootstrap {
                no_forward: rng.below(4) == 0,
                fragment_tag: rng.below(3) as u16,
                hash_mask_length: rng.below(129) as u8,
                bsr_priority: [0, 63, 64, 255][rng.below(4) as usize],
                bsr_address: address(from),
                ..message
            };
            let to = if rng.below(5) == 0 { link_local(1, port) } else { ALL_PIM_ROUTERS };
            bootstrap_to(source, to, 1, &message)
        };
        net.inject(1, port, &packet);
        if rng.below(10) == 0 {
            net.run_for(Duration::from_secs(rng.below(90)));
        }
        let router: &Router = &net.nodes[1].router;
        assert!(router.bsr().count() <= 13);
        for zone in router.bsr() {
            let learned = router.rp_mappings().filter(|mapping| mapping.source == RpSource::Bsr(zone.zone)).count();
            assert!(learned <= LIMIT, "{learned} mappings");
        }
        assert!(router.poll_timeout().is_none_or(|at| at >= net.now));
    }
    assert!(count(&net, 1, "drop-pim-rp-mapping-limit") > 0);
    assert!(net.now > Instant::from_secs(10_000));
}

/// On a LAN every router hears of it, whoever the routes lead through.
#[test]
fn a_lan_is_flooded_once_by_each() {
    let mut net = Net::default();
    for node in 0..4 {
        let port = InterfaceConfig {
            first_hello: FirstHello::Fast,
            ..InterfaceConfig::new(PortId(0), link_local(node, PortId(0)), 1500)
        };
        let mut config = Config::new(vec![port], 90 + node as u64);
        let candidate_bsr = (node == 0).then(|| CandidateBsr::new(address(0)));
        config.rendezvous_points.bsr = Some(BsrConfig { candidate_bsr, ..BsrConfig::default() });
        net.add_node(config);
    }
    net.add_link(&[0, 1, 2, 3].map(|node| (node, PortId(0))));
    for node in 0..4 {
        set_routes(&mut net, node);
    }
    // 3 believes that 0 is behind 2.
    let detour = Route::Via { port: PortId(0), next_hop: link_local(2, PortId(0)) };
    net.command(3, Command::RouteSet(Prefix::host(address(0)), detour));
    net.link_up_all();
    net.run_for(Duration::from_secs(6));
    assert_eq!(elected(&net), vec![Some(address(0)); 4]);
    let start = net.now;
    net.run_for(Duration::from_secs(600));
    let by = |node: NodeId| {
        net.sent.iter().filter(|sent| sent.at > start && sent.node == node && bootstrap(sent).is_some()).count()
    };
    assert_eq!([0, 1, 2, 3].map(by), [10; 4], "one each in BS_Period");
}
