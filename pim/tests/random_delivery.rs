//! Random networks of routers and LANs with redundant ways, hosts on any of them, sources that send all the time, links
//! and routers that fail and come back, in source-specific and any-source groups, with rendezvous points that groups name and
//! such as a bootstrap router finds among candidates that fail as well: once it is quiet, every packet of every source comes
//! to each link where it is wanted, once, and to no host that does not want it.

mod net;

use core::net::Ipv6Addr;
use net::data::Origin;
use net::ways::{port_on, ways};
use net::{DELAY, LinkId, Net, NodeId, link_local};
use pim::wire::EncodedSource;
use pim::{
    BsrConfig, CandidateBsr, CandidateRp, Command, Config, FirstHello, InterfaceConfig, LinkKind, MldConfig,
    RouteMetric, SptSwitchover,
};
use stack::addr::{self, Prefix};
use stack::machine::PortId;
use stack::rng::Rng;
use stack::tables::{MrouteKey, Route};
use stack::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// So many networks are run; with `DROVER_SEEDS` another number, with `DROVER_SEED` one.
const SEEDS: u64 = 60;
/// The groups of [`Meeting::Elected`].
const ELECTED_RANGE: &str = "ff15::/16";

struct Plan {
    /// Links that routers use among themselves; hosts may be there too.
    transit: Vec<LinkId>,
    /// Those with hosts.
    with_hosts: Vec<LinkId>,
    sources: Vec<Source>,
    groups: Vec<(Ipv6Addr, Meeting)>,
    /// Candidates for rendezvous point and for bootstrap router, the best rendezvous point first.
    candidates: Vec<NodeId>,
    routes: Vec<BTreeMap<Prefix, (Route, RouteMetric)>>,
    /// Routers that never leave a shared tree.
    never_switching: BTreeSet<NodeId>,
    /// Nodes all of whose links are down.
    dead: BTreeSet<NodeId>,
}

/// How a group's members find its sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meeting {
    /// They name them.
    SourceSpecific,
    /// At the node that the group names.
    Named(NodeId),
    /// At the best candidate that there is.
    Elected,
}

/// What [`ways`] answers.
type Ways = BTreeMap<NodeId, (usize, Option<(LinkId, NodeId)>)>;

struct Source {
    address: Ipv6Addr,
    prefix: Prefix,
    origin: Origin,
}

fn loopback(node: NodeId) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x100 + node as u16, 0, 0, 0, 0, 5)
}

/// A group whose rendezvous point is that node: `ff75:0530:2001:db8:1xx::n`.
fn any_source_group(node: NodeId, number: u16) -> Ipv6Addr {
    let group = Ipv6Addr::new(0xff75, 0x530, 0x2001, 0xdb8, 0x100 + node as u16, 0, 0, number);
    assert_eq!(addr::embedded_rp(group), Ok(loopback(node)));
    group
}

fn build(seed: u64, rng: &mut Rng) -> (Net, Plan) {
    let nodes = 3 + rng.below(if seed.is_multiple_of(4) { 28 } else { 8 }) as usize;
    // Members, whether routers use it among themselves, whether hosts are there.
    let mut ends: Vec<(BTreeSet<NodeId>, bool, bool)> = Vec::new();
    for node in 1..nodes {
        ends.push(([rng.below(node as u64) as usize, node].into(), true, rng.below(4) == 0));
    }
    for _ in 0..1 + rng.below(nodes as u64) {
        let size = 2 + rng.below(3) as usize;
        let members: BTreeSet<NodeId> = (0..size * 2).map(|_| rng.below(nodes as u64) as usize).take(size).collect();
        if members.len() > 1 {
            ends.push((members, true, rng.below(2) == 0));
        }
    }
    for _ in 0..2 + rng.below(3) {
        let members = (0..1 + rng.below(3)).map(|_| rng.below(nodes as u64) as usize).collect();
        ends.push((members, false, true));
    }
    let mut net = Net::default();
    let mut interfaces: Vec<Vec<InterfaceConfig>> = vec![Vec::new(); nodes];
    let (mut transit, mut with_hosts) = (Vec::new(), Vec::new());
    for (members, is_transit, has_hosts) in &ends {
        let link_ends: Vec<(NodeId, PortId)> = members
            .iter()
            .map(|&node| {
                let port = PortId(interfaces[node].len() as u8);
                let alone = *is_transit && !has_hosts && members.len() == 2 && rng.below(2) == 0;
                interfaces[node].push(InterfaceConfig {
                    dr_priority: rng.below(3) as u32,
                    first_hello: if rng.below(2) == 0 { FirstHello::Fast } else { FirstHello::Random },
                    link: if alone { LinkKind::PointToPoint } else { LinkKind::Lan },
                    mld: has_hosts.then(MldConfig::default),
                    ..InterfaceConfig::new(port, link_local(node, port), 1500)
                });
                (node, port)
            })
            .collect();
        let link = net.add_link(&link_ends);
        if *is_transit {
            transit.push(link);
        }
        if *has_hosts {
            with_hosts.push(link);
            for host in 0..1 + rng.below(2) as u16 {
                net.add_host(link, Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 0, link as u16, host));
            }
        }
    }
    let mut candidates: Vec<NodeId> = Vec::new();
    for _ in 0..1 + rng.below(3) {
        let node = rng.below(nodes as u64) as usize;
        if !candidates.contains(&node) {
            candidates.push(node);
        }
    }
    let mut never_switching = BTreeSet::new();
    for (node, interfaces) in interfaces.into_iter().enumerate() {
        let spt_switchover = match rng.below(3) {
            0 => SptSwitchover::Never,
            _ => SptSwitchover::Immediate,
        };
        if spt_switchover == SptSwitchover::Never {
            never_switching.insert(node);
        }
        let mut config = Config::new(interfaces, seed ^ node as u64);
        (config.spt_switchover, config.register_source) = (spt_switchover, Some(loopback(node)));
        let mut bsr = BsrConfig::default();
        if let Some(rank) = candidates.iter().position(|&candidate| candidate == node) {
            let groups = vec![ELECTED_RANGE.parse().unwrap()];
            bsr.candidate_rp =
                Some(CandidateRp { priority: 10 + rank as u8, ..CandidateRp::new(loopback(node), groups) });
            let priority = rng.below(3) as u8;
            bsr.candidate_bsr = Some(CandidateBsr { priority, ..CandidateBsr::new(loopback(node)) });
        }
        config.rendezvous_points.bsr = Some(bsr);
        net.add_node(config);
    }
    let sources = (0..1 + rng.below(3) as u16)
        .map(|index| {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, index, 0, 0, 0, 1);
            if rng.below(4) == 0 {
                let node = rng.below(nodes as u64) as usize;
                Source { address, prefix: Prefix::host(address), origin: Origin::Node(node) }
            } else {
                let link = with_hosts[rng.below(with_hosts.len() as u64) as usize];
                Source { address, prefix: Prefix::new(address, 64).unwrap(), origin: Origin::Link(link) }
            }
        })
        .collect();
    let point = |rng: &mut Rng| rng.below(nodes as u64) as usize;
    let (first, second) = (point(rng), point(rng));
    let groups = vec![
        ("ff35::1".parse().unwrap(), Meeting::SourceSpecific),
        (any_source_group(first, 1), Meeting::Named(first)),
        (any_source_group(second, 2), Meeting::Named(second)),
        ("ff15::3".parse().unwrap(), Meeting::Elected),
    ];
    let routes = vec![BTreeMap::new(); nodes];
    (net, Plan { transit, with_hosts, sources, groups, candidates, routes, never_switching, dead: BTreeSet::new() })
}

/// The nodes where the ways to a source end.
fn roots(net: &Net, origin: Origin) -> Vec<NodeId> {
    match origin {
        Origin::Node(node) => vec![node],
        Origin::Link(link) => {
            let ends = net.links[link].ends.iter().map(|end| end.0);
            ends.filter(|node| !net.links[link].down.contains(node)).collect()
        }
    }
}

fn set_routes(net: &mut Net, plan: &mut Plan, rng: &mut Rng) {
    let sources = plan.sources.iter().map(|source| (source.prefix, roots(net, source.origin), source.origin));
    let named = plan.groups.iter().filter_map(|(_, meeting)| match meeting {
        Meeting::Named(node) => Some(*node),
        _ => None,
    });
    let points: BTreeSet<NodeId> = named.chain(plan.candidates.iter().copied()).collect();
    let points = points.into_iter().map(|node| (Prefix::host(loopback(node)), vec![node], Origin::Node(node)));
    for (prefix, roots, origin) in sources.chain(points).collect::<Vec<_>>() {
        let ways = ways(net, &plan.transit, &roots);
        for node in 0..net.nodes.len() {
            let route = ways.get(&node).map(|&(hops, way)| {
                let route = match (way, origin) {
                    (None, Origin::Node(_)) => Route::Local,
                    (None, Origin::Link(link)) => Route::OnLink(port_on(net, node, link)),
                    (Some((link, next)), _) => {
                        let next_hop = link_local(next, port_on(net, next, link));
                        Route::Via { port: port_on(net, node, link), next_hop }
                    }
                };
                (route, RouteMetric { preference: 110, metric: hops as u32 })
            });
            let before = match route {
                Some(route) => plan.routes[node].insert(prefix, route),
                None => plan.routes[node].remove(&prefix),
            };
            if before == route {
                continue;
            }
            match route {
                Some((route, metric)) => {
                    net.command(node, Command::RouteMetric(prefix, metric));
                    if before.map(|(before, _)| before) != Some(route) {
                        net.command(node, Command::RouteSet(prefix, route));
                    }
                }
                None => net.command(node, Command::RouteRemove(prefix)),
            }
        }
        if rng.below(2) == 0 {
            net.run_for(rng.duration(Duration::ZERO..Duration::from_millis(20)));
        }
    }
}

fn set_link(net: &mut Net, link: LinkId, node: NodeId, up: bool) {
    let port = port_on(net, node, link);
    if up && net.links[link].down.remove(&node) {
        net.command(node, Command::LinkUp(port));
    } else if !up && net.links[link].down.insert(node) {
        net.command(node, Command::LinkDown(port));
    }
}

fn change(net: &mut Net, plan: &mut Plan, rng: &mut Rng, may_fail: bool) {
    match rng.below(10) {
        0..=6 => {
            let link = plan.with_hosts[rng.below(plan.with_hosts.len() as u64) as usize];
            let host = rng.below(net.links[link].hosts.len() as u64) as usize;
            let (group, meeting) = plan.groups[rng.below(plan.groups.len() as u64) as usize];
            let source = match meeting {
                Meeting::SourceSpecific => plan.sources[rng.below(plan.sources.len() as u64) as usize].address,
                _ => Ipv6Addr::UNSPECIFIED,
            };
            net.set_listening(link, host, group, source, rng.below(3) > 0);
        }
        _ if !may_fail => {}
        7 => {
            let node = rng.below(net.nodes.len() as u64) as usize;
            let alive = plan.dead.remove(&node) || !plan.dead.insert(node);
            for link in 0..net.links.len() {
                if net.links[link].ends.iter().any(|end| end.0 == node) {
                    set_link(net, link, node, alive);
                }
            }
            set_routes(net, plan, rng);
        }
        _ => {
            let link = rng.below(net.links.len() as u64) as usize;
            let index = rng.below(net.links[link].ends.len() as u64) as usize;
            let node = net.links[link].ends[index].0;
            let is_down = net.links[link].down.contains(&node);
            if !plan.dead.contains(&node) {
                set_link(net, link, node, is_down);
                set_routes(net, plan, rng);
            }
        }
    }
}

/// Every source sends to every group, that often for that long. Answers the packets of the last round.
fn stream(net: &mut Net, plan: &Plan, period: Duration, duration: Duration) -> Vec<(usize, usize, u64)> {
    let end = net.now + duration;
    let mut last = Vec::new();
    while net.now < end {
        last.clear();
        for (source, Source { address, origin, .. }) in plan.sources.iter().enumerate() {
            for (group, &(address_of_group, _)) in plan.groups.iter().enumerate() {
                let number = net.send(*origin, MrouteKey { source: *address, group: address_of_group });
                last.push((source, group, number));
            }
        }
        net.run_for(period);
    }
    last
}

/// Whether the RFC's rules come to no rest: members behind a router that never switches are joined over the LAN by which
/// their rendezvous point gets the source. There the sender wins the assert, the way of the shared tree's packets becomes
/// the sender's (RFC 7761 §4.1.6, RPF'(S,G,rpt)), the source is pruned from the shared tree (§4.5.5), the rendezvous point
/// wants it no longer, and it stops (docs/decisions/0020).
fn is_restless(net: &Net, plan: &Plan, from_source: &Ways, point: NodeId, group: Ipv6Addr) -> bool {
    let Some(&(_, Some((lan, sender)))) = from_source.get(&point) else { return false };
    let from_point = ways(net, &plan.transit, &[point]);
    let joins_over_lan = |&start: &NodeId| {
        let mut at = start;
        while let Some(&(_, Some((link, next)))) = from_point.get(&at) {
            if next == point {
                return link == lan && at != sender;
            }
            at = next;
        }
        false
    };
    let has_members = |node: &NodeId| {
        let mut links = net.links.iter().filter(|link| link.ends.iter().any(|(end, _)| end == node));
        links.any(|link| link.hosts.iter().any(|host| host.wants.contains_key(&group)))
    };
    plan.never_switching.iter().any(|node| has_members(node) && joins_over_lan(node))
}

/// Whether packets of the source come to that link, if somebody there wants them.
fn is_reached(net: &Net, plan: &Plan, source: &Source, (group, meeting): (Ipv6Addr, Meeting), link: LinkId) -> bool {
    let from_source = ways(net, &plan.transit, &roots(net, source.origin));
    let routers = roots(net, Origin::Link(link));
    let point = match meeting {
        Meeting::SourceSpecific => None,
        Meeting::Named(node) => Some(node),
        // Each part of a network that has fallen apart elects among its own candidates.
        Meeting::Elected => {
            let is_there = |&node: &NodeId| {
                let ways = ways(net, &plan.transit, &[node]);
                routers.iter().all(|router| ways.contains_key(router))
            };
            let Some(best) = plan.candidates.iter().copied().find(is_there) else { return false };
            Some(best)
        }
    };
    if point.is_some_and(|point| is_restless(net, plan, &from_source, point, group)) {
        return false;
    }
    let from_point = point.map(|point| ways(net, &plan.transit, &[point]));
    let of_point = |node: &NodeId| from_point.as_ref().is_none_or(|ways| ways.contains_key(node));
    let of_source = roots(net, source.origin);
    let is_known = !of_source.is_empty() && of_source.iter().all(of_point);
    let is_served = !routers.is_empty() && routers.iter().all(|node| from_source.contains_key(node) && of_point(node));
    is_known && is_served
}

fn compare(net: &Net, plan: &Plan, packets: &[(usize, usize, u64)], name: &str) -> usize {
    let mut delivered = 0;
    for &(source, group, number) in packets {
        let (source, (group, meeting)) = (&plan.sources[source], plan.groups[group]);
        let arrivals = net.arrivals(number);
        for &link in &plan.with_hosts {
            let wants = |host: &net::Host| {
                let of_group = host.wants.get(&group);
                of_group.is_some_and(|s| s.contains(&source.address) || s.contains(&Ipv6Addr::UNSPECIFIED))
            };
            let is_wanted = net.links[link].hosts.iter().any(wants);
            let copies = arrivals.get(&link).copied().unwrap_or(0);
            let says = || {
                let state = describe(net, MrouteKey { source: source.address, group });
                let from = source.origin;
                format!("{name}: ({}, {group}) from {from:?} on link {link} at {:?}{state}", source.address, net.now)
            };
            if matches!(source.origin, Origin::Link(own) if own == link) {
                assert_eq!(copies, 1, "{}: its own link", says());
            } else if is_wanted && is_reached(net, plan, source, (group, meeting), link) {
                assert_eq!(copies, 1, "{}, where it is wanted", says());
                delivered += 1;
            } else if !is_wanted && !plan.transit.contains(&link) {
                assert_eq!(copies, 0, "{}, where nobody wants it", says());
            } else {
                assert!(copies <= 1, "{}", says());
            }
        }
    }
    delivered
}

/// What every router knows of a source and a group.
fn describe(net: &Net, key: MrouteKey) -> String {
    let mut text = String::new();
    for (number, link) in net.links.iter().enumerate() {
        text += &format!("\nlink {number}: {:?}, down {:?}", link.ends, link.down);
    }
    for (number, node) in net.nodes.iter().enumerate() {
        for key in [key, MrouteKey { source: Ipv6Addr::UNSPECIFIED, ..key }] {
            if let Some(entry) = node.router.entry(key) {
                text += &format!("\nnode {number}: {entry:?}");
            }
        }
    }
    let recent = net.sent.iter().filter(|sent| sent.at + Duration::from_secs(90) > net.now);
    for (sent, message) in recent.filter_map(|sent| Some((sent, sent.join_prune()?))) {
        for set in message.groups.iter().filter(|set| set.group.address == key.group) {
            let to = message.upstream_neighbor;
            let link = net.link_of(sent.node, sent.port);
            text += &format!("\n{:?} {} on {link:?} to {to}: ", sent.at, sent.node);
            let names = |sources: &[EncodedSource]| {
                let name = |source: &EncodedSource| match (source.wildcard, source.rpt) {
                    (true, _) => "*".to_owned(),
                    (false, true) => format!("{} rpt", source.address),
                    (false, false) => source.address.to_string(),
                };
                sources.iter().map(name).collect::<Vec<_>>().join(", ")
            };
            text += &format!("join {}; prune {}", names(&set.joined), names(&set.pruned));
        }
    }
    text
}

/// Answers how many deliveries were compared.
fn simulate(seed: u64) -> usize {
    let mut rng = Rng::new(seed);
    let (mut net, mut plan) = build(seed, &mut rng);
    net.link_up_all();
    set_routes(&mut net, &mut plan, &mut rng);
    net.run_for(Duration::from_secs(10));
    let mut compared = 0;
    for round in 0..6 {
        let may_fail = round % 2 == 1;
        for _ in 0..1 + rng.below(6) {
            change(&mut net, &mut plan, &mut rng, may_fail);
            let pause = rng.duration(Duration::from_millis(10)..Duration::from_secs(4));
            stream(&mut net, &plan, Duration::from_secs(1), pause);
        }
        let quiet = Duration::from_secs(if may_fail { 700 } else { 300 });
        stream(&mut net, &plan, Duration::from_secs(3), quiet);
        let loops = net.data.loops;
        let packets = stream(&mut net, &plan, Duration::from_millis(200), Duration::from_millis(600));
        net.run_for(DELAY * 70);
        assert_eq!(net.data.loops, loops, "seed {seed}, round {round}: packets run in a loop");
        compared += compare(&net, &plan, &packets, &format!("seed {seed}, round {round}"));
        net.forget_data();
    }
    compared
}

#[test]
fn every_packet_comes_once_to_whoever_wants_it() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("DROVER_SEED") {
        simulate(seed);
        return;
    }
    let seeds = number("DROVER_SEEDS").unwrap_or(SEEDS);
    let mut compared = 0;
    for seed in 0..seeds {
        match std::panic::catch_unwind(|| simulate(seed)) {
            Ok(deliveries) => compared += deliveries,
            Err(panic) => {
                eprintln!("run again with DROVER_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(compared as u64 > seeds * 20, "only {compared} deliveries: the networks are too quiet to prove anything");
}
