//! Single sequences on small networks: who sends what, when.

mod net;

use core::net::Ipv6Addr;
use net::site::{HOST, LINK_A, LINK_B, P0, P1, P2, Trees, access, lan_port, mroute, pim_packet, point_to_point};
use net::{DELAY, Net, NodeId, Sent, link_local};
use pim::mld::{Membership, QuerierState};
use pim::wire::{EncodedGroup, EncodedSource, Hello, JoinPrune, Message};
use pim::{
    Border, Command, Config, Event, FirstHello, InterfaceConfig, JoinSuppression, Participation, RpfInfo, UpstreamState,
};
use stack::addr::{ALL_MLDV2_ROUTERS, ALL_PIM_ROUTERS, ALL_ROUTERS, Prefix};
use stack::machine::PortId;
use stack::tables::{Accept, MrouteKey, PortSet, Route};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mld::{self, Query, Record, RecordType};

const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);
const KEY: MrouteKey = MrouteKey { source: SOURCE, group: GROUP };
const TREES: Trees = Trees { range: "ff35::/64", roots: &[SOURCE] };

fn config(interfaces: Vec<InterfaceConfig>) -> Config {
    TREES.config(interfaces)
}

fn local(net: &mut Net, node: NodeId) {
    TREES.route(net, node, Route::Local);
}

fn via(net: &mut Net, node: NodeId, port: PortId, next_hop: Ipv6Addr) {
    TREES.via(net, node, port, next_hop);
}

/// Whether it asks `node`'s port for KEY: joins and prunes of it in the messages sent since `since`.
fn asked(net: &Net, since: Instant, by: NodeId, upstream: Ipv6Addr) -> (usize, usize) {
    let about = |list: &[EncodedSource]| list.iter().filter(|source| source.address == SOURCE).count();
    net.sent
        .iter()
        .filter(|sent| sent.at >= since && sent.node == by)
        .filter_map(Sent::join_prune)
        .filter(|message| message.upstream_neighbor == upstream)
        .flat_map(|message| message.groups)
        .filter(|set| set.group.address == GROUP)
        .fold((0, 0), |(joins, prunes), set| (joins + about(&set.joined), prunes + about(&set.pruned)))
}

fn site() -> Net {
    TREES.site()
}

#[test]
fn a_terminal_moves_between_access_routers() {
    let mut net = site();
    let start = net.now;
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    // The report, then a join for each of the two hops: one flight each, and no waiting in a router.
    net.run_for(DELAY * 3);
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P0]));
    assert_eq!(net.mroute(1, KEY), mroute(Accept::Port(P0), &[P1]));
    assert_eq!(net.mroute(2, KEY), mroute(Accept::Port(P0), &[P1]));
    assert_eq!(asked(&net, start, 1, link_local(0, P0)), (1, 0));

    net.run_for(Duration::from_secs(7));
    let moved = net.now;
    net.set_listening(LINK_B, 0, GROUP, SOURCE, true);
    net.run_for(DELAY * 2);
    assert_eq!(net.mroute(1, KEY), mroute(Accept::Port(P0), &[P1, P2]));
    net.set_listening(LINK_A, 0, GROUP, SOURCE, false);
    net.run_for(DELAY * 2);
    assert_eq!(net.mroute(1, KEY), mroute(Accept::Port(P0), &[P2]), "leaving takes no query and no waiting");
    assert_eq!(net.mroute(2, KEY), None);
    assert_eq!(asked(&net, moved, 2, link_local(1, P1)), (0, 1));
    assert_eq!(asked(&net, moved, 3, link_local(1, P2)), (1, 0));
    assert_eq!(asked(&net, moved, 1, link_local(0, P0)), (0, 0), "nothing passes the crossover");
    let queries = net.sent.iter().filter(|sent| sent.at >= moved && sent.mld().is_some()).count();
    assert_eq!(queries, 0);

    let at = moved + DELAY;
    let joined = Event::MembershipChanged { at, port: P1, key: KEY, membership: Membership::Joined };
    let upstream = Some(pim::LinkNeighbor { port: P0, address: link_local(1, P2) });
    assert!(net.nodes[3].events.contains(&joined));
    assert!(net.nodes[3].events.contains(&Event::Joined { at, key: KEY, upstream }));
}

#[test]
fn a_terminal_that_vanishes_is_forgotten() {
    let mut net = site();
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(200));
    assert!(net.mroute(0, KEY).is_some(), "it answers the queries");
    net.links[LINK_A].hosts[0].is_silent = true;
    // Robustness times the range's query interval, and the time to answer.
    net.run_for(Duration::from_secs(62));
    assert!(net.nodes.iter().all(|node| node.mroutes.is_empty() && node.router.entry_count() == 0));
}

#[test]
fn other_groups_are_left_by_queries() {
    let group: Ipv6Addr = "ff35:0:1::1".parse().unwrap();
    let key = MrouteKey { source: SOURCE, group };
    let mut net = site();
    let second = net.add_host(LINK_A, Ipv6Addr::new(0xfe80, 0, 0, 0, 9, 0, 0, 2));
    for host in [0, second] {
        net.set_listening(LINK_A, host, group, SOURCE, true);
    }
    net.run_for(Duration::from_secs(1));
    net.set_listening(LINK_A, 0, group, SOURCE, false);
    net.run_for(Duration::from_secs(5));
    assert!(net.mroute(2, key).is_some(), "the second host answered");
    let start = net.now;
    net.set_listening(LINK_A, second, group, SOURCE, false);
    net.run_for(Duration::from_millis(1900));
    assert!(net.mroute(2, key).is_some(), "the last listener query time is not over");
    net.run_for(Duration::from_millis(200));
    assert_eq!(net.mroute(2, key), None);
    let queries: Vec<_> = net.sent.iter().filter(|sent| sent.at >= start).filter_map(Sent::mld).collect();
    assert_eq!(queries.len(), 2);
    for query in queries {
        let mld::Message::Query(query) = query else { panic!("{query:?}") };
        assert_eq!((query.group, query.sources, query.suppress), (group, vec![SOURCE], false));
    }
}

fn lan(edit: impl Fn(&mut InterfaceConfig)) -> Net {
    TREES.lan(3, edit)
}

#[test]
fn a_prune_on_a_lan_is_overridden() {
    let mut net = lan(|_| {});
    for link in [1, 2] {
        net.set_listening(link, 0, GROUP, SOURCE, true);
    }
    net.run_for(Duration::from_secs(5));
    let start = net.now;
    net.set_listening(1, 0, GROUP, SOURCE, false);
    net.run_for(Duration::from_secs(4));
    assert_eq!(asked(&net, start, 1, link_local(0, P0)), (0, 1));
    assert_eq!(asked(&net, start, 2, link_local(0, P0)), (1, 0), "the other one overrides");
    assert_eq!(asked(&net, start, 0, link_local(0, P0)), (0, 0), "no echo");
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P0]));
    assert_eq!(net.nodes[2].router.counters().overridden_prunes, 1);

    // The last one's prune waits for J/P_Override_Interval, then takes effect with an echo.
    let start = net.now;
    net.set_listening(2, 0, GROUP, SOURCE, false);
    net.run_for(Duration::from_millis(2990));
    assert!(net.mroute(0, KEY).is_some());
    net.run_for(Duration::from_millis(20));
    assert_eq!(net.mroute(0, KEY), None);
    assert_eq!(asked(&net, start, 0, link_local(0, P0)), (0, 1));
}

#[test]
fn a_lost_override_is_saved_by_the_echo() {
    let mut net = lan(|_| {});
    for link in [1, 2] {
        net.set_listening(link, 0, GROUP, SOURCE, true);
    }
    net.run_for(Duration::from_secs(5));
    // Router 2's messages are lost: its override too.
    net.lose = Some(|sent| sent.node == 2);
    net.set_listening(1, 0, GROUP, SOURCE, false);
    net.run_for(Duration::from_secs(2));
    net.run_for(Duration::from_millis(990));
    net.lose = None;
    net.run_for(Duration::from_millis(20));
    assert_eq!(net.mroute(0, KEY), None, "the prune took effect");
    net.run_for(Duration::from_millis(2600));
    assert!(net.mroute(0, KEY).is_some(), "the echo was answered");
}

#[test]
fn joins_on_a_lan_are_suppressed_unless_all_agree() {
    for (suppression, quiet) in [(JoinSuppression::Enabled, true), (JoinSuppression::Disabled, false)] {
        let mut net = lan(|interface| interface.join_suppression = suppression);
        for link in [1, 2, 3] {
            net.set_listening(link, 0, GROUP, SOURCE, true);
            net.run_for(Duration::from_secs(1));
        }
        let start = net.now;
        net.run_for(Duration::from_secs(600));
        let joins: usize = (1..=3).map(|node| asked(&net, start, node, link_local(0, P0)).0).sum();
        assert!(net.mroute(0, KEY).is_some());
        if quiet {
            assert!((8..=14).contains(&joins), "{joins} joins");
        } else {
            assert_eq!(joins, 30);
        }
    }
}

#[test]
fn a_single_neighbor_is_pruned_at_once() {
    let mut net = site();
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(1));
    net.set_listening(LINK_A, 0, GROUP, SOURCE, false);
    net.run_for(DELAY * 3);
    assert!(net.nodes.iter().all(|node| node.mroutes.is_empty()));
    let echoes: u64 = net.nodes.iter().map(|node| node.router.counters().tx_prune_echo).sum();
    assert_eq!(echoes, 0);

    // The same on a LAN of two.
    let mut net = Net::default();
    net.add_node(config(vec![lan_port(0, P0)]));
    net.add_node(config(vec![lan_port(1, P0), access(1, P1)]));
    net.add_link(&[(0, P0), (1, P0)]);
    let hosts = net.add_link(&[(1, P1)]);
    net.add_host(hosts, HOST);
    local(&mut net, 0);
    via(&mut net, 1, P0, link_local(0, P0));
    net.link_up_all();
    net.run_for(Duration::from_secs(5));
    net.set_listening(hosts, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(5));
    assert!(net.mroute(0, KEY).is_some());
    net.set_listening(hosts, 0, GROUP, SOURCE, false);
    net.run_for(DELAY * 2);
    assert_eq!(net.mroute(0, KEY), None);
}

#[test]
fn a_random_greeting_does_not_hold_up_a_join() {
    let mut net = Net::default();
    let slow = |interface| InterfaceConfig { first_hello: FirstHello::Random, ..interface };
    net.add_node(config(vec![point_to_point(0, P0)]));
    net.add_node(config(vec![slow(point_to_point(1, P0)), access(1, P1)]));
    net.add_link(&[(0, P0), (1, P0)]);
    let hosts = net.add_link(&[(1, P1)]);
    net.add_host(hosts, HOST);
    local(&mut net, 0);
    via(&mut net, 1, P0, link_local(0, P0));
    net.set_listening(hosts, 0, GROUP, SOURCE, true);
    for (node, port) in [(1, P1), (1, P0), (0, P0)] {
        net.command(node, Command::LinkUp(port));
    }
    net.set_listening(hosts, 0, GROUP, SOURCE, false);
    net.set_listening(hosts, 0, GROUP, SOURCE, true);
    net.run_for(DELAY * 3);
    assert!(net.mroute(0, KEY).is_some());
}

#[test]
fn the_tree_follows_the_route() {
    let mut net = Net::default();
    net.add_node(config(vec![point_to_point(0, P0), point_to_point(0, P1)]));
    net.add_node(config(vec![point_to_point(1, P0), point_to_point(1, P1), access(1, P2)]));
    net.add_link(&[(0, P0), (1, P0)]);
    net.add_link(&[(0, P1), (1, P1)]);
    let hosts = net.add_link(&[(1, P2)]);
    net.add_host(hosts, HOST);
    local(&mut net, 0);
    via(&mut net, 1, P0, link_local(0, P0));
    net.link_up_all();
    net.run_for(Duration::from_secs(1));
    net.set_listening(hosts, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P0]));

    let start = net.now;
    via(&mut net, 1, P1, link_local(0, P1));
    let messages: Vec<_> = net.sent.iter().filter(|sent| sent.at >= start).map(|s| (s.node, s.port)).collect();
    assert_eq!(messages, [(1, P1), (1, P0)], "join the new way, then prune the old one");
    assert_eq!(net.mroute(1, KEY), mroute(Accept::Port(P1), &[P2]));
    net.run_for(DELAY);
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P1]));

    // No route: nothing is accepted, and the membership is not forgotten.
    net.command(1, Command::RouteRemove(Prefix::host(SOURCE)));
    net.run_for(DELAY);
    assert_eq!((net.mroute(0, KEY), net.mroute(1, KEY)), (None, None));
    let entry = net.nodes[1].router.entry(KEY).unwrap();
    assert_eq!((entry.rpf, entry.upstream), (RpfInfo::Unreachable, UpstreamState::Joined));
    via(&mut net, 1, P0, link_local(0, P0));
    net.run_for(DELAY);
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P0]));
}

#[test]
fn refreshes_are_packed_and_hold_the_tree() {
    let mut net = site();
    let groups = 100u16;
    for group in 0..groups {
        let group = Ipv6Addr::new(0xff35, 0, 0, 1, 0, 0, 0, group);
        net.set_listening(LINK_A, 0, group, SOURCE, false);
        let host = net.add_host(LINK_A, Ipv6Addr::new(0xfe80, 0, 0, 0, 7, 0, 0, group.segments()[7]));
        net.set_listening(LINK_A, host, group, SOURCE, true);
        net.run_for(Duration::from_millis(100));
    }
    let start = net.now;
    net.run_for(Duration::from_secs(600));
    assert_eq!(net.nodes[0].mroutes.len(), usize::from(groups));
    let messages: Vec<_> =
        net.sent.iter().filter(|s| s.at > start && s.node == 1).filter_map(Sent::join_prune).collect();
    // Ten periods, a hundred groups in four packets of 32.
    assert!((40..=52).contains(&messages.len()), "{} messages", messages.len());
}

#[test]
fn stopping_prunes_and_says_goodbye() {
    let mut net = site();
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(1));
    let start = net.now;
    net.command(2, Command::Stop);
    net.run_for(DELAY * 2);
    assert!(net.nodes[2].mroutes.is_empty() && net.nodes[2].link_groups.is_empty());
    assert_eq!(net.mroute(1, KEY), None);
    let messages: Vec<_> = net.sent.iter().filter(|s| s.at == start).filter_map(Sent::pim).collect();
    let [Message::JoinPrune(_), Message::Hello(goodbye), Message::Hello(_)] = &messages[..] else {
        panic!("{messages:?}");
    };
    assert_eq!(goodbye.holdtime, Some(0));
    let down = Event::NeighborDown { at: start + DELAY, port: P1, address: link_local(2, P0) };
    assert!(net.nodes[1].events.contains(&down));
    assert!(stack::machine::Machine::poll_timeout(&net.nodes[2].router).is_none());
}

#[test]
fn only_the_designated_router_joins_for_hosts() {
    let mut net = Net::default();
    net.add_node(config(vec![point_to_point(0, P0), point_to_point(0, P1)]));
    for node in [1, 2] {
        net.add_node(config(vec![point_to_point(node, P0), access(node, P1)]));
    }
    net.add_link(&[(0, P0), (1, P0)]);
    net.add_link(&[(0, P1), (2, P0)]);
    let hosts = net.add_link(&[(1, P1), (2, P1)]);
    net.add_host(hosts, HOST);
    local(&mut net, 0);
    via(&mut net, 1, P0, link_local(0, P0));
    via(&mut net, 2, P0, link_local(0, P1));
    net.link_up_all();
    net.run_for(Duration::from_secs(5));
    net.set_listening(hosts, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.nodes[1].router.entry_count(), 0, "the higher address is designated");
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P1]));
    // The querier is the lower address; both know the members.
    let queriers: Vec<_> =
        net.nodes[1..].iter().map(|node| node.router.queriers().next().unwrap().1.querier_address()).collect();
    assert_eq!(queriers, [link_local(1, P1); 2]);

    // The designated router goes: the other one takes over when its Hello says so.
    net.command(2, Command::LinkDown(P1));
    net.links[hosts].down.insert(2);
    net.run_for(Duration::from_secs(106));
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P0]));
    net.links[hosts].down.remove(&2);
    net.command(2, Command::LinkUp(P1));
    net.run_for(Duration::from_secs(130));
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P1]), "and gives it back");
    assert!(matches!(net.nodes[2].router.queriers().next().unwrap().1.state(), QuerierState::NonQuerier { .. }));
}

#[test]
fn listens_to_the_groups_of_routers() {
    let net = site();
    let expected =
        [(P0, ALL_ROUTERS), (P0, ALL_PIM_ROUTERS), (P1, ALL_ROUTERS), (P1, ALL_PIM_ROUTERS), (P1, ALL_MLDV2_ROUTERS)];
    assert_eq!(net.nodes[2].link_groups, expected.into_iter().collect());
}

#[test]
fn nothing_of_pim_or_the_site_passes_the_border() {
    let mut net = Net::default();
    let border = |interface| InterfaceConfig { border: Border::SiteBorder, ..interface };
    net.add_node(config(vec![border(access(0, P0)), access(0, P1)]));
    let outside = net.add_link(&[(0, P0)]);
    let inside = net.add_link(&[(0, P1)]);
    net.add_host(outside, HOST);
    net.add_host(inside, HOST);
    net.link_up_all();
    via(&mut net, 0, P0, HOST);
    let organization = "ff38::1".parse().unwrap();
    for link in [outside, inside] {
        for group in [GROUP, organization] {
            net.set_listening(link, 0, group, SOURCE, true);
        }
    }
    net.run_for(Duration::from_secs(100));
    assert!(net.sent.iter().all(|sent| sent.port != P0 || sent.pim().is_none()));
    assert!(net.nodes[0].router.counters().drop_mld_scope > 0);
    assert_eq!(net.mroute(0, KEY), None, "a site's group does not come in by the border");
    let key = MrouteKey { source: SOURCE, group: organization };
    assert_eq!(net.mroute(0, key), mroute(Accept::Port(P0), &[P1]));
}

#[test]
fn a_passive_interface_serves_its_hosts() {
    let mut net = Net::default();
    net.add_node(config(vec![InterfaceConfig { participation: Participation::Passive, ..access(0, P0) }]));
    let hosts = net.add_link(&[(0, P0)]);
    net.add_host(hosts, HOST);
    local(&mut net, 0);
    net.link_up_all();
    net.set_listening(hosts, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(40));
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P0]));
    assert!(net.sent.iter().all(|sent| sent.pim().is_none()));
    net.inject(0, P0, &pim_packet(HOST, 0, |into| Hello::default().emit(into)));
    assert_eq!(net.nodes[0].router.counters().drop_passive, 1);
}

fn join(to: Ipv6Addr, group: Ipv6Addr, source: EncodedSource) -> JoinPrune {
    let set = pim::wire::GroupSet { group: EncodedGroup::host(group), joined: vec![source], pruned: Vec::new() };
    JoinPrune { upstream_neighbor: to, holdtime: 210, groups: vec![set] }
}

#[test]
fn what_is_wrong_is_dropped_and_counted() {
    let mut net = site();
    let own = link_local(0, P0);
    let neighbor = link_local(1, P0);
    let good = join(own, GROUP, EncodedSource::host(SOURCE));
    let packet = |source, message: &JoinPrune| pim_packet(source, 3, |into| message.emit(into));
    let hello = |source| pim_packet(source, 0, |into| Hello { holdtime: Some(105), ..Hello::default() }.emit(into));

    let mut wrong_checksum = packet(neighbor, &good);
    wrong_checksum[60] ^= 1;
    let mut far = packet(neighbor, &good);
    far[7] = 2;
    let mut cut = PacketBuilder::new(neighbor, ALL_PIM_ROUTERS).hop_limit(1);
    cut = cut.traffic_class(0);
    let truncated = cut.checksummed(protocol::PIM, vec![0x23, 0, 0, 0, 2, 0], 2);
    let mut message = vec![0x20, 0, 0, 0];
    Hello::default().emit(&mut message);
    let unicast = PacketBuilder::new(neighbor, own).hop_limit(1).checksummed(protocol::PIM, message, 2);
    let wildcard = EncodedSource { wildcard: true, rpt: true, ..EncodedSource::host(SOURCE) };
    let masked = EncodedSource { mask_length: 64, ..EncodedSource::host(SOURCE) };
    let link_scope: Ipv6Addr = "ff32::1".parse().unwrap();
    let cases: [(Vec<u8>, &str); 13] = [
        (wrong_checksum, "drop-pim-checksum"),
        (far, "drop-pim-hop-limit"),
        (truncated, "drop-pim-malformed"),
        (unicast, "drop-pim-destination"),
        (packet(SOURCE, &good), "drop-pim-source"),
        (hello(own), "drop-pim-source"),
        (packet("fe80::77".parse().unwrap(), &good), "drop-pim-unknown-neighbor"),
        (packet(neighbor, &join(own, link_scope, EncodedSource::host(SOURCE))), "drop-pim-group"),
        (packet(neighbor, &join(own, GROUP, wildcard)), "drop-pim-no-rendezvous-point"),
        (packet(neighbor, &join(own, GROUP, masked)), "drop-pim-join-prune-source"),
        (packet(neighbor, &join(own, GROUP, EncodedSource::host(GROUP))), "drop-pim-join-prune-source"),
        (pim_packet(neighbor, 5, |into| into.extend_from_slice(&[0; 46])), "drop-pim-malformed"),
        (pim_packet(neighbor, 4, |into| into.extend_from_slice(&[0; 10])), "drop-pim-malformed"),
    ];
    let count = |net: &Net, name: &str| {
        net.nodes[0].router.counters().iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name}")).1
    };
    for (packet, counter) in cases {
        let before = count(&net, counter);
        net.inject(0, P0, &packet);
        assert_eq!(count(&net, counter), before + 1, "{counter}");
    }
    assert_eq!(net.nodes[0].router.entry_count(), 0);
    net.inject(0, P0, &packet(neighbor, &join("fe80::99".parse().unwrap(), GROUP, EncodedSource::host(SOURCE))));
    assert_eq!(net.nodes[0].router.entry_count(), 0, "a join to another router");
    net.inject(0, P0, &packet(neighbor, &join(Ipv6Addr::UNSPECIFIED, GROUP, EncodedSource::host(SOURCE))));
    assert_eq!(net.nodes[0].router.entry_count(), 1, "a join to nobody in particular on a point-to-point link");
    net.inject(0, P0, &packet(neighbor, &good));
    assert_eq!(net.nodes[0].router.entry_count(), 1);
}

#[test]
fn a_join_expires_and_the_longer_holdtime_counts() {
    let mut net = site();
    let message = |holdtime| {
        let message = JoinPrune { holdtime, ..join(link_local(0, P0), GROUP, EncodedSource::host(SOURCE)) };
        pim_packet(link_local(1, P0), 3, |into| message.emit(into))
    };
    net.inject(0, P0, &message(100));
    net.inject(0, P0, &message(10));
    net.run_for(Duration::from_secs(99));
    assert!(net.mroute(0, KEY).is_some());
    net.run_for(Duration::from_secs(2));
    assert_eq!(net.mroute(0, KEY), None);
    net.inject(0, P0, &message(0xffff));
    net.run_for(Duration::from_secs(100_000));
    assert!(net.mroute(0, KEY).is_some(), "it never expires");
}

#[test]
fn limits_hold() {
    let mut net = Net::default();
    let mut limited = config(vec![access(0, P0), lan_port(0, P1)]);
    limited.limits = pim::Limits {
        sources: 3,
        entries: 6,
        neighbors: 1,
        groups_per_port: 3,
        groups_per_host: 2,
        sources_per_host: 9,
        sources_per_group: 2,
        hosts_per_group: 1,
        tracked_per_port: 9,
    };
    net.add_node(limited);
    let hosts = net.add_link(&[(0, P0)]);
    net.add_link(&[(0, P1)]);
    net.link_up_all();
    let host = |last| Ipv6Addr::new(0xfe80, 0, 0, 0, 7, 0, 0, last);
    let group = |last| Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, last);
    let source = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
    let allow = |group, sources| vec![Record { kind: RecordType::AllowNewSources, group, sources }];
    for last in 1..=3 {
        net.report(hosts, host(1), allow(group(last), vec![source(1)]));
    }
    for last in 3..=4 {
        net.report(hosts, host(2), allow(group(last), vec![source(1)]));
    }
    net.report(hosts, host(3), allow(group(1), vec![source(2), source(3)]));
    net.report(hosts, host(3), allow(group(1), vec![source(2)]));
    net.run_for(Duration::from_secs(1));
    let counters = *net.nodes[0].router.counters();
    assert_eq!(counters.drop_mld_host_limit, 1);
    assert_eq!(counters.drop_mld_port_limit, 1);
    assert_eq!(counters.drop_mld_source_limit, 1);
    assert_eq!(counters.mld_untracked_hosts, 1);
    assert_eq!(net.nodes[0].router.queriers().next().unwrap().1.memberships().count(), 4);

    for last in 1..=2 {
        net.inject(0, P1, &pim_packet(host(last), 0, |into| Hello::default().emit(into)));
    }
    assert_eq!(net.nodes[0].router.counters().drop_neighbor_limit, 1);
    for last in 10..20 {
        let message = join(link_local(0, P1), group(last), EncodedSource::host(SOURCE));
        net.inject(0, P1, &pim_packet(host(1), 3, |into| message.emit(into)));
    }
    assert_eq!(net.nodes[0].router.entry_count(), 6);
    assert_eq!(net.nodes[0].router.counters().drop_entry_limit, 8);
}

#[test]
fn exclude_records_do_not_touch_source_specific_groups() {
    let mut net = site();
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(1));
    for kind in [RecordType::ModeIsExclude, RecordType::ChangeToExclude] {
        net.report(LINK_A, HOST, vec![Record { kind, group: GROUP, sources: vec![SOURCE] }]);
    }
    // In an any-source group they make state, and no (S,G).
    let any_source = "ff15::1".parse().unwrap();
    net.report(LINK_A, HOST, vec![Record { kind: RecordType::ChangeToExclude, group: any_source, sources: vec![] }]);
    net.run_for(Duration::from_secs(1));
    let router = &net.nodes[2].router;
    assert_eq!(router.counters().drop_mld_exclude_ssm, 2);
    let groups: Vec<_> = router.queriers().next().unwrap().1.groups().collect();
    assert_eq!(groups.len(), 2);
    assert!(groups.iter().all(|view| view.is_include() == (view.group == GROUP)));
    assert_eq!(router.entry_count(), 1);
}

#[test]
fn a_query_of_the_elected_router_lowers_timers() {
    let mut net = site();
    let group: Ipv6Addr = "ff35:0:1::1".parse().unwrap();
    let key = MrouteKey { source: SOURCE, group };
    net.set_listening(LINK_A, 0, group, SOURCE, true);
    net.run_for(Duration::from_secs(1));
    net.links[LINK_A].hosts[0].is_silent = true;
    let query = |suppress| Query {
        group,
        max_response_delay: Duration::from_secs(1),
        suppress,
        robustness: 2,
        query_interval: Duration::from_secs(125),
        sources: vec![SOURCE],
    };
    let other = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    net.inject(2, P1, &query(true).packet(other));
    net.run_for(Duration::from_secs(3));
    assert!(net.mroute(2, key).is_some(), "the suppress flag spares the timers");
    net.inject(2, P1, &query(false).packet(other));
    net.run_for(Duration::from_secs(3));
    assert_eq!(net.mroute(2, key), None);
    let querier = |net: &Net| net.nodes[2].router.queriers().next().unwrap().1.state();
    assert!(matches!(querier(&net), QuerierState::NonQuerier { querier, .. } if querier == other));
    net.run_for(Duration::from_secs(256));
    assert!(matches!(querier(&net), QuerierState::Querier { .. }), "the other one fell silent");
}

#[test]
fn an_interface_changes_its_address() {
    let mut net = site();
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(1));
    let renamed: Ipv6Addr = "fe80::abcd".parse().unwrap();
    let start = net.now;
    net.command(2, Command::AddressesChanged { port: P0, link_local: renamed, addresses: vec![SOURCE] });
    net.run_for(Duration::from_millis(100));
    let neighbors: Vec<_> = net.nodes[1].router.neighbors().filter(|view| view.port == P1).collect();
    assert_eq!(neighbors.len(), 1);
    assert_eq!(neighbors[0].neighbor.primary_address, renamed);
    assert_eq!(neighbors[0].neighbor.secondary_addresses, [SOURCE]);
    assert_eq!(asked(&net, start, 2, link_local(1, P1)), (1, 0));
    assert_eq!(net.mroute(1, KEY), mroute(Accept::Port(P0), &[P1]));
    assert_eq!(PortSet::single(P1), net.nodes[1].router.entry(KEY).unwrap().forward);
}
