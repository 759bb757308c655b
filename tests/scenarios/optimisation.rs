//! Route optimisation by the mobility agent towards a correspondent of ours: scenarios S2.3 and S2.4, and figure 5's
//! lines 5 and 6.

use crate::agreement::finish;
use crate::blocks::{FOREIGN_SITE, Mode, Site, is_settled, move_within};
use crate::world::{
    CN, Draft, GROUP, HOME, HOME_AGENT, PEER, Seen, Stream, Weather, World, is_in, over_seeds, weather,
};
use drover::config::lab::Lab;
use stack::inspect::Kind;
use stack::rng::Rng;
use stack::time::Instant;
use stack::wire::mobility::MobilityMessage;
use std::net::Ipv6Addr;

const SITE: &Site = &FOREIGN_SITE;
/// Longer than a failure is remembered.
const PATIENCE_MS: u64 = 700_000;

/// Figure 5 with the correspondent of ours beside the unmodified one.
fn figure() -> Draft {
    let correspondent = r#"
        [[link]]
        name = "peer-bb"
        delay_us = 2000

        [[node]]
        name = "peer"

        [[node.config.port]]
        name = "net"
        link = "peer-bb"
        addresses = ["2001:db8:d::10/64"]

        [[node.config.port]]
        name = "programs"
        kind = "tun"
        interface = "peer0"

        [[node.config.route]]
        prefix = "::/0"
        port = "net"
        via = "2001:db8:d::1"

        [node.config.correspondent_node]
        address = "2001:db8:d::10"
        tun = "programs"
    "#;
    let port = "[[port]]\nname = \"peer\"\nlink = \"peer-bb\"\naddresses = [\"2001:db8:d::1/64\"]";
    Draft::shipped("fig5")
        .with(correspondent)
        .configure("backbone", port)
        .configure("mma1", "[mma]\nroute_optimisation = \"mma\"")
        .start("mt", "radio-a")
}

/// Both kinds of message that test addresses, and Binding Updates to a correspondent.
fn is_towards_correspondents(seen: &Seen) -> bool {
    matches!(
        seen.what.kind,
        Kind::Mobility(MobilityMessage::HomeTestInit { .. } | MobilityMessage::CareOfTestInit { .. })
    ) || seen.update().is_some_and(|_| [CN, PEER].contains(&seen.destination()))
}

fn is_optimised(world: &World<'_>, correspondent: Ipv6Addr) -> bool {
    let mut known = world.agent("mma1").optimisations();
    known.any(|view| (view.correspondent, view.state) == (correspondent, "optimised"))
}

/// A terminal in the site, streams in both directions between it and the correspondent of ours, and its care-of address
/// there once that is known to the correspondent.
fn optimised(lab: &Lab, seed: u64) -> (World<'_>, Ipv6Addr) {
    let mut world = World::new(lab, seed, weather(seed));
    world.run_until("both agents acknowledge", 30_000, is_settled);
    world.run_ms(500);
    assert!(!world.seen().iter().any(is_towards_correspondents), "before any packet came");
    let care_of = world.agent("mma1").binding(HOME).expect("a binding").care_of;
    let mut left = PATIENCE_MS;
    while !is_optimised(&world, PEER) {
        assert!(left > 0, "{}", world.story(60));
        // One packet is enough; where it is lost, or what follows, another one comes.
        let stream = world.down_from_peer(20, 1);
        let began = world.now();
        while world.now().since(began).as_secs() < 10 && !is_optimised(&world, PEER) {
            world.run_ms(50);
            left = left.saturating_sub(50);
        }
        let summary = world.flow(stream).summary();
        assert_eq!(summary.sent, 1, "{summary:?}");
    }
    world.run_ms(300);
    (world, care_of)
}

/// Data of these two between its programs, on links between nodes.
fn data(seen: &[Seen], from: Ipv6Addr, to: Ipv6Addr) -> Vec<&Seen> {
    seen.iter().filter(|s| s.is_data(from, to) && !s.link.ends_with("-tun")).collect()
}

/// From the correspondent to the care-of address with a type 2 routing header, that whole in a packet to the group, and
/// nothing by way of the home agent (S2.3; nothing is taken off on the way).
fn check_direct_down(seen: &[Seen], care_of: Ipv6Addr) {
    let (mut direct, mut multicast) = (0, 0);
    for packet in data(seen, PEER, HOME) {
        let inner = packet.what.inner().expect("a packet");
        let routing = inner.chain.type2_routing.map(|routing| routing.home_address);
        assert_eq!(routing, Some(HOME), "no routing header: {packet}");
        match packet.headers()[..] {
            [(PEER, to)] if to == care_of => direct += 1,
            [outer, (PEER, to)] if outer == (SITE.address, GROUP) && to == care_of => multicast += 1,
            _ => panic!("in another form: {packet}"),
        }
        assert!(packet.link != "bb-ha" && packet.link != "home", "through the home agent: {packet}");
    }
    assert!(direct > 0 && multicast > 0, "{direct} to the care-of address, {multicast} to the group");
}

/// Through the agent, and from there from the care-of address with a Home Address option: what any correspondent of RFC
/// 6275 takes (§9.3.1).
fn check_direct_up(seen: &[Seen], care_of: Ipv6Addr) {
    let mut direct = 0;
    for packet in data(seen, HOME, PEER) {
        match packet.headers()[..] {
            [(from, PEER)] if from == care_of => {
                assert_eq!(packet.home_address_option(), Some(HOME), "{packet}");
                direct += 1;
            }
            [(local, agent), _] if agent == SITE.address => {
                assert!(SITE.access.iter().any(|access| is_in(local, access.prefix)), "{packet}");
            }
            _ => panic!("in another form: {packet}"),
        }
    }
    assert!(direct > 0, "none from the care-of address");
}

fn summaries(world: &World<'_>, streams: [Stream; 2], since: Instant) {
    for stream in streams {
        let summary = world.flow(stream).summary();
        if weather_is_fair(world) {
            assert_eq!((summary.lost, summary.duplicated), (0, 0), "since {since:?}: {summary:?}");
        } else {
            assert!(summary.received * 2 > summary.sent, "{summary:?}");
        }
    }
}

fn weather_is_fair(world: &World<'_>) -> bool {
    let network = world.sim.network();
    network.links().all(|link| network.link_config(link).loss_ppm == 0)
}

#[test]
fn s2_3_the_agent_tells_the_correspondent() {
    let lab = figure().lab();
    over_seeds(|seed| {
        let (mut world, care_of) = optimised(&lab, seed);
        let asked = world.seen();
        // The agent asks, in the terminal's name: the terminal says nothing to the correspondent (RFC 6275 §5.2.5).
        for message in asked.iter().filter(|s| is_towards_correspondents(s)) {
            assert_ne!(message.from, "mt", "{message}");
        }
        let update = asked.iter().find(|s| s.update().is_some() && s.destination() == PEER).expect("a Binding Update");
        assert_eq!((update.source(), update.home_address_option()), (care_of, Some(HOME)));
        let home_test = |s: &&Seen| matches!(s.what.kind, Kind::Mobility(MobilityMessage::HomeTestInit { .. }));
        let tunnelled = asked.iter().filter(home_test).find(|s| s.headers().len() == 2).expect("a tunnelled HoTI");
        assert_eq!(tunnelled.headers(), [(care_of, HOME_AGENT), (HOME, PEER)]);
        let (began, streams) = (world.now(), [world.down_from_peer(20, 100), world.up_to_peer(20, 100)]);
        world.run_ms(2_500);
        let seen = world.seen_since(began);
        check_direct_down(&seen, care_of);
        check_direct_up(&seen, care_of);
        summaries(&world, streams, began);
        assert!(is_optimised(&world, PEER));
        finish(&mut world);
    });
}

/// The optimised way is as deaf to moves inside the site as the other one: nobody outside hears of them.
#[test]
fn s2_4_moves_inside_the_site_change_nothing_for_the_correspondent() {
    let lab = figure().lab();
    over_seeds(|seed| {
        let (mut world, care_of) = optimised(&lab, seed);
        let mut chance = Rng::new(seed);
        let [a, b] = &SITE.access;
        world.down_from_peer(20, 2_000);
        world.up_to_peer(20, 2_000);
        world.run_ms(300);
        for (from, to) in [(a, b), (b, a)] {
            let began = world.now();
            let mode = if chance.below(2) == 0 { Mode::MakeFirst } else { Mode::BreakFirst };
            move_within(&mut world, SITE, from, to, mode, &mut chance);
            check_direct_down(&world.seen_since(began), care_of);
        }
        finish(&mut world);
    });
}

/// A correspondent that knows nothing of mobility is asked, says so or nothing, and goes on being reached through the
/// home agent.
#[test]
fn an_unmodified_correspondent_is_asked_and_left_alone() {
    let lab = figure().lab();
    over_seeds(|seed| {
        let mut world = World::new(&lab, seed, weather(seed));
        world.run_until("both agents acknowledge", 30_000, is_settled);
        let stream = world.down(100, 300);
        world.run_ms(31_000);
        let known: Vec<_> = world.agent("mma1").optimisations().map(|view| view.state).collect();
        assert!(known.iter().all(|&state| ["failed", "unable"].contains(&state)), "{known:?}");
        let seen = world.seen();
        let of_agent = |s: &&Seen| s.from == "mma1" && is_towards_correspondents(s);
        let asked = seen.iter().filter(of_agent).count();
        assert!((1..=6).contains(&asked), "{asked} questions\n{}", world.story(40));
        assert!(!seen.iter().any(|s| s.update().is_some() && s.destination() == CN), "no update");
        let summary = world.flow(stream).summary();
        assert!(summary.received * 2 > summary.sent, "{summary:?}");
        if weather(seed) == Weather::Fair {
            assert_eq!(summary.lost, 0, "{summary:?}");
        }
        finish(&mut world);
    });
}

/// With a key that both share, the one message that the patent draws (figure 5, line 5; RFC 4449).
#[test]
fn a_preconfigured_key_needs_one_message() {
    let shared = "home_address = \"2001:db8:100:1::55\"\nkey = \"00112233445566778899aabbccddeeff00112233\"\n\
                  home_nonce = \"6a1f0c52\"\ncare_of_nonce = \"30f1c26e\"\n";
    let agent = format!("[[mma.preconfigured_key]]\ncorrespondent = \"2001:db8:d::10\"\n{shared}");
    let peer = format!("[[correspondent_node.preconfigured_key]]\n{shared}");
    let lab = figure().configure("mma1", &agent).configure("peer", &peer).lab();
    over_seeds(|seed| {
        let (mut world, care_of) = optimised(&lab, seed);
        for s in world.seen() {
            let tests = matches!(
                s.what.kind,
                Kind::Mobility(MobilityMessage::HomeTestInit { .. } | MobilityMessage::CareOfTestInit { .. })
            );
            assert!(!tests, "{s}");
        }
        let (began, stream) = (world.now(), world.down_from_peer(20, 50));
        world.run_ms(1_500);
        check_direct_down(&world.seen_since(began), care_of);
        assert!(world.flow(stream).summary().received > 0);
        finish(&mut world);
    });
}
