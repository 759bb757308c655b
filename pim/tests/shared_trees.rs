//! Shared trees with a rendezvous point that the group names (RFC 3956), whose sources are the rendezvous point's own.

mod net;

use core::net::Ipv6Addr;
use net::site::{LINK_A, LINK_B, P0, P1, P2, Trees, mroute, pim_packet};
use net::{DELAY, Net, NodeId, Sent, link_local};
use pim::mld::Membership;
use pim::wire::{EncodedGroup, EncodedSource, GroupSet, JoinPrune};
use pim::{Command, Event, RpfInfo};
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::tables::{Accept, Mroute, MrouteKey, Route, Watch};
use stack::time::{Duration, Instant};

/// The rendezvous point, and another address of its node, the source.
const RP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
/// `ff75:0520:2001:db8:` and an EUI-64.
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff75, 0x0520, 0x2001, 0xdb8, 0x200, 0x5eff, 0xfe10, 1);
const ANY: MrouteKey = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: GROUP };
const KEY: MrouteKey = MrouteKey { source: SOURCE, group: GROUP };
const TREES: Trees = Trees { range: "ff75:520:2001:db8::/64", roots: &[RP, SOURCE] };

/// A route of a source, whose first packet starts its keepalive timer.
fn watched(accept: Accept, forward: &[PortId]) -> Option<Mroute> {
    Some(Mroute { watch: Watch::NextPacket, ..mroute(accept, forward)? })
}

fn site() -> Net {
    TREES.site()
}

/// What `by` has sent about the group since then: sources that it joined, and that it pruned.
fn said(net: &Net, since: Instant, by: NodeId) -> (Vec<EncodedSource>, Vec<EncodedSource>) {
    let sets = net
        .sent
        .iter()
        .filter(|sent| sent.at >= since && sent.node == by)
        .filter_map(Sent::join_prune)
        .flat_map(|message| message.groups)
        .filter(|set| set.group == EncodedGroup::host(GROUP));
    sets.fold((Vec::new(), Vec::new()), |(mut joined, mut pruned), set| {
        joined.extend(set.joined);
        pruned.extend(set.pruned);
        (joined, pruned)
    })
}

const SHARED: EncodedSource = EncodedSource { address: RP, mask_length: 128, sparse: true, wildcard: true, rpt: true };

#[test]
fn a_terminal_that_names_no_source_moves_between_access_routers() {
    let mut net = site();
    let start = net.now;
    net.set_listening(LINK_A, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 3);
    assert_eq!(net.mroute(0, ANY), mroute(Accept::RendezvousPoint, &[P0]));
    assert_eq!(net.mroute(1, ANY), mroute(Accept::Port(P0), &[P1]));
    assert_eq!(net.mroute(2, ANY), mroute(Accept::Port(P0), &[P1]));
    assert_eq!(said(&net, start, 2), (vec![SHARED], vec![]));
    assert_eq!(said(&net, start, 1), (vec![SHARED], vec![]));
    let entry = net.nodes[1].router.entry(ANY).unwrap();
    assert_eq!((entry.root, entry.rpf.interface()), (RP, Some(P0)));
    // The source is an address of the rendezvous point: its data need no (S,G) and no Register.
    assert_eq!(net.walk(0, KEY), [(0, 1), (1, 1), (LINK_A, 1)].into());

    net.run_for(Duration::from_secs(7));
    let moved = net.now;
    net.set_listening(LINK_B, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 2);
    assert_eq!(net.mroute(1, ANY), mroute(Accept::Port(P0), &[P1, P2]));
    net.set_listening(LINK_A, 0, GROUP, Ipv6Addr::UNSPECIFIED, false);
    net.run_for(DELAY * 2);
    assert_eq!(net.mroute(1, ANY), mroute(Accept::Port(P0), &[P2]), "leaving takes no query and no waiting");
    assert_eq!(net.mroute(2, ANY), None);
    assert_eq!(said(&net, moved, 2), (vec![], vec![SHARED]));
    assert_eq!(said(&net, moved, 1), (vec![], vec![]), "the rendezvous point sees nothing of the move");
    net.set_listening(LINK_B, 0, GROUP, Ipv6Addr::UNSPECIFIED, false);
    net.run_for(DELAY * 3);
    assert!(net.nodes.iter().all(|node| node.mroutes.is_empty() && node.router.entry_count() == 0));
    let changed = |event: &Event| match *event {
        Event::MembershipChanged { key, membership, .. } => Some((key, membership)),
        _ => None,
    };
    let changes: Vec<_> = net.nodes[2].events.iter().filter_map(changed).collect();
    assert_eq!(changes, [(ANY, Membership::Joined), (ANY, Membership::Left)]);
}

/// `ff75:0530:2001:db8:0:` and a 48-bit address: the same rendezvous point, behind 48 bits of prefix.
#[test]
fn groups_with_48_bit_addresses_move_alike() {
    let group = Ipv6Addr::new(0xff75, 0x0530, 0x2001, 0xdb8, 0, 0x200, 0x5e10, 1);
    let any = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group };
    let mut net = Trees { range: "ff75:530:2001:db8::/80", ..TREES }.site();
    net.set_listening(LINK_A, 0, group, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 3);
    assert_eq!(net.nodes[1].router.entry(any).unwrap().root, RP);
    assert_eq!(net.walk(0, MrouteKey { source: SOURCE, group }), [(0, 1), (1, 1), (LINK_A, 1)].into());
    net.set_listening(LINK_B, 0, group, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 2);
    net.set_listening(LINK_A, 0, group, Ipv6Addr::UNSPECIFIED, false);
    net.run_for(DELAY * 2);
    assert_eq!(net.mroute(1, any), mroute(Accept::Port(P0), &[P2]), "leaving takes no query and no waiting");
    let queries = net.sent.iter().filter_map(Sent::mld).filter(|query| format!("{query:?}").contains("ff75"));
    assert_eq!(queries.count(), 0);
}

#[test]
fn a_shared_tree_is_refreshed_and_runs_out_without() {
    let mut net = site();
    net.set_listening(LINK_A, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(Duration::from_secs(1000));
    assert_eq!(net.mroute(0, ANY), mroute(Accept::RendezvousPoint, &[P0]), "queries and joins keep it");
    net.lose = Some(|sent| sent.node == 2);
    net.run_for(Duration::from_secs(211));
    assert_eq!((net.mroute(1, ANY), net.mroute(0, ANY)), (None, None));
}

#[test]
fn a_source_that_is_asked_for_by_name_goes_by_both_trees() {
    let mut net = site();
    net.set_listening(LINK_A, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.set_listening(LINK_B, 0, GROUP, SOURCE, true);
    net.run_for(DELAY * 4);
    // inherited_olist(S,G) has the branches of (*,G).
    assert_eq!(net.mroute(1, KEY), watched(Accept::Port(P0), &[P1, P2]));
    assert_eq!(net.mroute(1, ANY), mroute(Accept::Port(P0), &[P1]));
    assert_eq!(net.mroute(2, KEY), None);
    let everywhere = [(0, 1), (1, 1), (2, 1), (LINK_A, 1), (LINK_B, 1)].into();
    assert_eq!(net.walk(0, KEY), everywhere);
    net.set_listening(LINK_A, 0, GROUP, Ipv6Addr::UNSPECIFIED, false);
    net.run_for(DELAY * 4);
    assert_eq!(net.mroute(1, KEY), watched(Accept::Port(P0), &[P2]));
    assert_eq!(net.walk(0, KEY), [(0, 1), (2, 1), (LINK_B, 1)].into());
    net.set_listening(LINK_A, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 4);
    net.set_listening(LINK_B, 0, GROUP, SOURCE, false);
    net.run_for(DELAY * 4);
    assert_eq!(net.mroute(1, KEY), None);
    assert_eq!(net.walk(0, KEY), [(0, 1), (1, 1), (LINK_A, 1)].into());
}

#[test]
fn the_shared_tree_follows_the_route_to_its_rendezvous_point() {
    let mut net = site();
    net.set_listening(LINK_A, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 4);
    let start = net.now;
    net.command(2, Command::RouteSet(Prefix::host(RP), Route::Unreachable));
    net.run_for(DELAY * 2);
    assert_eq!((net.mroute(2, ANY), net.mroute(1, ANY)), (None, None));
    assert_eq!(said(&net, start, 2), (vec![], vec![SHARED]));
    assert_eq!(net.nodes[2].router.entry(ANY).unwrap().rpf, RpfInfo::Unreachable);
    // Not its own route but that of the prefix in which it is.
    net.command(2, Command::RouteRemove(Prefix::host(RP)));
    let back = Route::Via { port: P0, next_hop: link_local(1, P1) };
    net.command(2, Command::RouteSet("2001:db8::/32".parse().unwrap(), back));
    net.run_for(DELAY * 3);
    assert_eq!(net.walk(0, KEY), [(0, 1), (1, 1), (LINK_A, 1)].into());
}

#[test]
fn a_rendezvous_point_that_restarts_is_asked_again_at_once() {
    let mut net = site();
    net.set_listening(LINK_A, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(Duration::from_secs(10));
    net.command(0, Command::LinkDown(P0));
    assert_eq!(net.mroute(0, ANY), None);
    net.command(0, Command::LinkUp(P0));
    net.run_for(DELAY * 3);
    assert_eq!(net.mroute(0, ANY), mroute(Accept::RendezvousPoint, &[P0]));
}

fn packet(source: Ipv6Addr, message: &JoinPrune) -> Vec<u8> {
    pim_packet(source, 3, |into| message.emit(into))
}

fn message(to: Ipv6Addr, group: Ipv6Addr, joined: &[EncodedSource], pruned: &[EncodedSource]) -> JoinPrune {
    let set = GroupSet { group: EncodedGroup::host(group), joined: joined.to_vec(), pruned: pruned.to_vec() };
    JoinPrune { upstream_neighbor: to, holdtime: 210, groups: vec![set] }
}

#[test]
fn what_names_no_rendezvous_point_or_another_is_refused_and_counted() {
    let mut net = site();
    let (own, neighbor) = (link_local(0, P0), link_local(1, P0));
    let group = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    let count = |net: &Net, name: &str| {
        net.nodes[0].router.counters().iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("{name}")).1
    };
    let elsewhere = EncodedSource { address: SOURCE, ..SHARED };
    let masked = EncodedSource { mask_length: 64, ..SHARED };
    for (group, source, counter) in [
        (group("ff15::1"), SHARED, "drop-pim-no-rendezvous-point"),
        (group("ff35::1"), SHARED, "drop-pim-no-rendezvous-point"),
        (group("ff75:500:2001:db8::1"), SHARED, "drop-pim-no-rendezvous-point"),
        (group("ff75:541:2001:db8::1"), SHARED, "drop-pim-no-rendezvous-point"),
        (group("ff75:20:2001:db8::1"), SHARED, "drop-pim-no-rendezvous-point"),
        (group("fff5:520:2001:db8::1"), SHARED, "drop-pim-no-rendezvous-point"),
        (GROUP, elsewhere, "drop-pim-rendezvous-point-mismatch"),
        (GROUP, masked, "drop-pim-join-prune-source"),
        (GROUP, EncodedSource { rpt: false, ..SHARED }, "drop-pim-join-prune-source"),
    ] {
        let before = count(&net, counter);
        net.inject(0, P0, &packet(neighbor, &message(own, group, &[source], &[])));
        assert_eq!(count(&net, counter), before + 1, "{group} {source:?}");
    }
    assert_eq!(net.nodes[0].router.entry_count(), 0);
    // A prune counts whatever it names (RFC 7761 §4.5.1).
    net.inject(0, P0, &packet(neighbor, &message(own, GROUP, &[SHARED], &[])));
    assert!(net.mroute(0, ANY).is_some());
    net.inject(0, P0, &packet(neighbor, &message(own, GROUP, &[], &[elsewhere])));
    assert_eq!(net.mroute(0, ANY), None);
    // Members of all sources of a group without a rendezvous point.
    net.set_listening(LINK_A, 0, group("ff15::1"), Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 2);
    assert_eq!(net.nodes[2].router.entry_count(), 0);
    assert_eq!(net.nodes[2].router.counters().drop_no_rendezvous_point, 1);
}

#[test]
fn on_a_lan_joins_are_suppressed_and_prunes_overridden() {
    let mut net = TREES.lan(2, |_| {});
    for link in [1, 2] {
        net.set_listening(link, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    }
    net.run_for(Duration::from_secs(200));
    let suppressed =
        |net: &Net| [1, 2].map(|node| net.nodes[node].router.counters().suppressed_joins).iter().sum::<u64>();
    assert!(suppressed(&net) > 0);
    net.set_listening(1, 0, GROUP, Ipv6Addr::UNSPECIFIED, false);
    let start = net.now;
    net.run_for(Duration::from_secs(10));
    assert_eq!(said(&net, start, 1), (vec![], vec![SHARED]));
    assert!(said(&net, start, 2).0.contains(&SHARED), "the other router still wants it");
    assert_eq!(net.mroute(0, ANY), mroute(Accept::RendezvousPoint, &[P0]));
    assert_eq!(net.nodes[2].router.counters().overridden_prunes, 1);
}

#[test]
fn a_prune_of_the_group_is_overridden_for_a_source_of_it_too() {
    let mut net = TREES.lan(2, |_| {});
    net.set_listening(1, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.set_listening(2, 0, GROUP, SOURCE, true);
    net.run_for(Duration::from_secs(20));
    let start = net.now;
    net.set_listening(1, 0, GROUP, Ipv6Addr::UNSPECIFIED, false);
    net.run_for(Duration::from_secs(10));
    let joined = said(&net, start, 2).0;
    assert!(!joined.is_empty() && joined.iter().all(|&source| source == EncodedSource::host(SOURCE)));
    assert_eq!((net.mroute(0, ANY), net.mroute(0, KEY)), (None, watched(Accept::Local, &[P0])));
}

/// Listeners of all sources and of this one, on one link or on two: with the last of them both trees go at once, and
/// nothing is left that would bring packets to nobody.
#[test]
fn the_last_leave_prunes_both_trees() {
    let any = Ipv6Addr::UNSPECIFIED;
    for other_link in [LINK_A, LINK_B] {
        for order in [[any, SOURCE], [SOURCE, any]] {
            let mut net = site();
            let second = net.add_host(other_link, Ipv6Addr::new(0xfe80, 0, 0, 0, 9, 0, 0, 2));
            let hosts = [(any, LINK_A, 0), (SOURCE, other_link, second)];
            for (source, link, host) in hosts {
                net.set_listening(link, host, GROUP, source, true);
            }
            net.run_for(Duration::from_secs(100));
            for leaving in order {
                let (source, link, host) = hosts.into_iter().find(|(source, ..)| *source == leaving).unwrap();
                net.set_listening(link, host, GROUP, source, false);
                net.run_for(DELAY * 4);
                // On one link a source that was asked for by name stays so while another listener takes all (RFC 3810
                // §7.4.2): packets come to somebody who wants them.
                if other_link != LINK_A {
                    let key = MrouteKey { source, group: GROUP };
                    assert!(net.nodes.iter().all(|node| node.router.entry(key).is_none()), "{key:?} is left");
                }
            }
            assert!(net.nodes.iter().all(|node| node.mroutes.is_empty() && node.router.entry_count() == 0));
            // Whatever was joined was pruned.
            for node in 1..4 {
                let (joined, pruned) = said(&net, Instant::ORIGIN, node);
                assert!(joined.iter().all(|source| pruned.contains(source)), "{node}: {joined:?} {pruned:?}");
            }
        }
    }
}

/// The rendezvous point is an address of the link between the agent and the core router, out of a /64 that both are in:
/// to the core router it is on-link, and whose it is it knows from the Address List of a Hello (RFC 7761 §4.3.4).
#[test]
fn a_rendezvous_point_may_be_an_address_of_a_link() {
    let mut net = site();
    let prefix: Prefix = "2001:db8::/64".parse().unwrap();
    for node in 0..4 {
        net.command(node, Command::RouteRemove(Prefix::host(RP)));
    }
    for (node, address) in [(0, RP), (1, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 6))] {
        let addresses = vec![address];
        net.command(node, Command::AddressesChanged { port: P0, link_local: link_local(node, P0), addresses });
        net.command(node, Command::RouteSet(prefix, Route::OnLink(P0)));
        net.command(node, Command::RouteSet(Prefix::host(address), Route::Local));
    }
    for (node, port) in [(2, P1), (3, P2)] {
        net.command(node, Command::RouteSet(prefix, Route::Via { port: P0, next_hop: link_local(1, port) }));
    }
    net.run_for(DELAY);
    net.set_listening(LINK_A, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 3);
    assert_eq!(net.mroute(0, ANY), mroute(Accept::RendezvousPoint, &[P0]));
    assert_eq!(net.mroute(1, ANY), mroute(Accept::Port(P0), &[P1]));
    assert_eq!(net.walk(0, KEY), [(0, 1), (1, 1), (LINK_A, 1)].into());
    let rpf = RpfInfo::Via { port: P0, next_hop: RP, neighbor: Some(link_local(0, P0)) };
    assert_eq!(net.nodes[1].router.entry(ANY).unwrap().rpf, rpf);
    // An address that no neighbour claims is a host's: nobody is asked.
    let addresses = Vec::new();
    net.command(0, Command::AddressesChanged { port: P0, link_local: link_local(0, P0), addresses });
    net.run_for(DELAY * 2);
    assert_eq!(net.nodes[1].router.entry(ANY).unwrap().rpf, RpfInfo::OnLink(P0));
    assert_eq!((net.mroute(0, ANY), net.mroute(1, ANY)), (None, mroute(Accept::Port(P0), &[P1])));
}
