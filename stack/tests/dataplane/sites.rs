//! Packets on their way through the nodes of two sites, each node with the tables of its role: what one sends the next one
//! takes (patent fig. 6 and 7).

use super::correspondent::node_with_programs;
use super::*;
use stack::machine::PortId;
use stack::tables::CorrespondentBinding;

/// The agent of the site that the terminal has left.
fn old_agent(to: Ipv6Addr, from_home_agent: bool) -> Bench {
    let mut bench = agent();
    bench.set_route(PEERS, Route::CareOf);
    bench.set_route("2001:db8:200::/64", Route::Via { port: P0, next_hop: ROUTER });
    let state = BindingState::Forward { to, from_home_agent };
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { care_of: FORMER, state, ..binding() }));
    bench
}

/// The agent of the site where it is.
fn new_agent() -> Bench {
    let mut bench = agent();
    serve(&mut bench, false);
    bench
}

fn terminal_of_both_sites() -> Bench {
    let mut bench = terminal();
    bench.apply(TableUpdate::CareOfSet(CARE_OF, HOME));
    bench.apply(TableUpdate::CareOfSet(FORMER, HOME));
    bench
}

/// A correspondent with programs, whose binding is of this care-of address, if any.
fn correspondent(care_of: Option<Ipv6Addr>) -> Bench {
    let mut bench = node_with_programs();
    if let Some(care_of) = care_of {
        let binding = CorrespondentBinding { local: CN, care_of };
        bench.apply(TableUpdate::CorrespondentBindingSet(HOME, binding));
    }
    bench
}

/// Takes what a node has sent on a link to the next node.
fn carry(from: (&mut Bench, PortId), to: (&mut Bench, PortId)) {
    let packets: Vec<_> = from.0.sent(from.1).iter().map(|frame| frame[14..].to_vec()).collect();
    assert!(!packets.is_empty(), "nothing came so far");
    to.0.receive(to.1, &packets);
}

fn with_hops(packet: &[u8], hops: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[7] -= hops;
    packet
}

#[test]
fn what_was_sent_to_the_former_care_of_address_reaches_the_terminal_in_the_new_site() {
    for size in [1usize, 7, 63, 64] {
        let packets: Vec<_> = (0..size as u8).map(|n| udp(CN, HOME, 64, &[n; 50])).collect();
        let (mut old, mut new, mut terminal) = (old_agent(CARE_OF, true), new_agent(), terminal_of_both_sites());
        // By the correspondent's old binding, and by the home agent's.
        let mut correspondent = correspondent(Some(FORMER));
        correspondent.receive_frames(P2, &packets);
        carry((&mut correspondent, P0), (&mut old, P0));
        let mut home = home_agent();
        home.apply(TableUpdate::HomeBindingSet(
            HOME,
            HomeBinding { care_of: FORMER, agent: HOME_AGENT, home_port: P1 },
        ));
        home.receive(P0, &packets);
        carry((&mut home, P0), (&mut old, P0));
        carry((&mut old, P0), (&mut new, P0));
        carry((&mut new, P1), (&mut terminal, P0));
        let routed = packets.iter().map(|packet| with_hops(packet, 2));
        let tunnelled = packets.iter().map(|packet| with_hops(packet, 3));
        assert_eq!(terminal.sent(P2), routed.chain(tunnelled).collect::<Vec<_>>());
        assert!(old.sent(P1).is_empty(), "the old site's group is silent");
        let count = 2 * size as u64;
        old.expect_counters(&[("rx", count), ("binding-forwarded", count), ("output", count)]);
        new.expect_counters(&[("rx", count), ("binding-to-group", count), ("output", count)]);
        terminal.expect_counters(&[("rx", count), ("terminal-received", count), ("output", count)]);
    }
}

#[test]
fn what_was_sent_to_the_former_care_of_address_reaches_the_terminal_at_home() {
    let packet = udp(CN, HOME, 64, b"to the old care-of address");
    let mut correspondent = correspondent(Some(FORMER));
    correspondent.receive_frames(P2, std::slice::from_ref(&packet));
    let mut old = old_agent(HOME, false);
    carry((&mut correspondent, P0), (&mut old, P0));
    let mut terminal = terminal_of_both_sites();
    terminal.apply(TableUpdate::TunnelReceptionSet(TunnelReception {
        remote: FORMER,
        local: HOME,
        home_address: HOME,
    }));
    carry((&mut old, P0), (&mut terminal, P0));
    assert_eq!(terminal.sent(P2), [with_hops(&packet, 1)]);
    // What the home agent still tunnels does not come home that way.
    old.receive(P0, &[tunnel(HOME_AGENT, FORMER, &packet)]);
    assert!(old.sent(P0).is_empty());
}

/// The agent optimises, or the terminal itself: the correspondent's programs cannot tell.
#[test]
fn a_correspondent_with_a_binding_believes_the_agents_packets_and_the_terminals() {
    let packets: Vec<_> = (0..7).map(|n| udp(HOME, CN, 64, &[n; 50])).collect();
    let plain = Uplink::Tunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT };
    let optimised = Uplink::OptimisedTunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT, care_of: CARE_OF };
    let pair = TableUpdate::OptimisedSet { home_address: HOME, correspondent: CN };
    for (uplink, pair, way) in [(plain, Some(pair), "tunnel-optimised"), (optimised, None, "tunnel-exit")] {
        let (mut terminal, mut agent) = (terminal_of_both_sites(), new_agent());
        terminal.apply(TableUpdate::UplinkSet(HOME, uplink));
        pair.into_iter().for_each(|pair| agent.apply(pair));
        terminal.receive_frames(P2, &packets);
        carry((&mut terminal, P0), (&mut agent, P1));
        agent.expect_counters(&[("rx", 7), (way, 7), ("output", 7)]);
        let mut correspondent = correspondent(Some(CARE_OF));
        carry((&mut agent, P0), (&mut correspondent, P0));
        assert_eq!(correspondent.sent(P2), packets.iter().map(|packet| with_hops(packet, 1)).collect::<Vec<_>>());
        correspondent.expect_counters(&[("rx", 7), ("correspondent-received", 7), ("output", 7)]);
    }
}
