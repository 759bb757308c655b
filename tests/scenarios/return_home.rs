//! Home again in the other order: the old agent forwards home before the home agent has let go. Terminals
//! of ours ask the home agent first, so that here its ears are shut for a while, and somebody with the terminal's key asks
//! the agent.

use crate::between::{FIRST_A, HOME_E, Roamer, With};
use crate::blocks::Site;
use crate::roaming::{
    FORWARD_SECS, Place, home_agent_node, is_registered_at, three_sites_with, with_route_optimisation,
};
use crate::world::{CN, Draft, HOME, HOME_AGENT, Seen, World, over_seeds, weather};
use drover::config::lab::Lab;
use mma::auth::{Algorithm, Key, SecurityAssociation, Spi};
use stack::sim::NodeId;
use stack::tables::BindingState;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::option::MobilityOptions;
use stack::wire::mobility::{BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

/// How long the home agent hears nothing of the terminal once the old agent forwards.
const DEAF_MS: u64 = 2_000;

/// A request to forward home, as the terminal would send it from there.
fn request(lab: &Lab, agent: Ipv6Addr, sequence: u16) -> Vec<u8> {
    let terminal = lab.nodes.iter().find_map(|node| node.config.mobile_terminal.as_ref()).expect("a terminal");
    let shared = &terminal.mma_association;
    let association = SecurityAssociation {
        spi: Spi::new(shared.spi).expect("as it was read"),
        key: Key::new(&shared.key).expect("as it was read"),
        algorithm: Algorithm::HmacSha1_96,
    };
    let options = MobilityOptions { alternate_care_of_address: Some(HOME), ..MobilityOptions::default() };
    let update = BindingUpdate {
        sequence,
        flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION,
        lifetime: Lifetime::at_most(Duration::from_secs(FORWARD_SECS)),
        options,
    };
    let message = association.sign_update(update, HOME, HOME);
    PacketBuilder::new(HOME, agent).checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
}

fn forwards_home(world: &World<'_>, agent: &str) -> bool {
    let state = world.agent(agent).binding(HOME).map(|binding| binding.state);
    matches!(state, Some(BindingState::Forward { to: HOME, .. }))
}

/// Asks until the agent forwards home, what is lost being lost.
fn ask(world: &mut World<'_>, intruder: NodeId, site: &Site) {
    let router = home_agent_node(world);
    for step in 0..200 {
        if step % 10 == 0 {
            let sequence = world.agent(site.agent).binding(HOME).expect("the agent knows the terminal").sequence;
            let packet = request(world.lab, site.address, sequence.wrapping_add(1));
            world.intrude(intruder, router, "home", &packet);
        }
        world.run_ms(10);
        if forwards_home(world, site.agent) {
            return;
        }
    }
    panic!("the agent does not forward home\n{}", world.story(40));
}

fn dropped(world: &World<'_>, agent: &str) -> u64 {
    let counters = world.worker(agent).dataplane().counters();
    counters.iter().find(|(name, _)| *name == "drop-binding-forward-home-agent").expect("a counter of this name").1
}

/// What is seen while the home agent still tunnels to the agent that forwards home. Nothing that comes by its tunnel is
/// sent on, so that no packet is tunnelled twice by anybody. Answers how many came to the agent by the home agent's tunnel,
/// and how many it sent home.
fn check_no_circle(world: &World<'_>, since: Instant, site: &Site, care_of: Ipv6Addr) -> (u64, u64) {
    let seen = world.seen_since(since);
    let home_agent = home_agent_node(world);
    let mut ways: BTreeMap<(&str, &str, u64), BTreeSet<Vec<u8>>> = BTreeMap::new();
    let (mut tunnelled, mut forwarded) = (0, 0);
    for s in &seen {
        let headers = s.headers();
        let by_agent = s.from == site.agent && headers[..].first() == Some(&(care_of, HOME));
        let by_home_agent = s.from == home_agent && headers[..].first() == Some(&(HOME_AGENT, care_of));
        if by_agent {
            // It was sent to the care-of address, by a correspondent, and not to the home address.
            assert_eq!(headers.get(1).map(|inner| inner.1), Some(care_of), "sent back: {s}");
            assert!(!s.is_data(CN, HOME), "from who has no binding: {s}");
        }
        if by_agent || by_home_agent {
            tunnelled += u64::from(by_home_agent && !s.lost);
            forwarded += u64::from(by_agent);
            let limits = s.what.layers.iter().map(|layer| layer.header.hop_limit).collect();
            let passed = ways.entry((&s.link, &s.from, s.what.fingerprint(&s.frame))).or_default();
            passed.insert(limits);
            assert_eq!(passed.len(), 1, "round again: {s}");
        }
        assert!(headers.len() < 4, "a fourth header: {s}");
        assert!(s.from != site.agent || s.destination() != site.group(), "the agent multicasts: {s}");
    }
    (tunnelled, forwarded)
}

fn comes_home(lab: &Lab, seed: u64, place: Place) {
    let Place::In(site, access) = place else { panic!("it is away at first") };
    let mut roamer = Roamer::start(lab, seed, place, With::Peer);
    roamer.await_optimised(Instant::ORIGIN);
    let care_of = roamer.care_of.expect("registered");
    let world = &mut roamer.world;
    // One by way of the home agent, one straight to the care-of address.
    let streams = [world.down(20, 2_000), world.down_from_peer(20, 2_000)];
    let (home_agent, terminal) = (home_agent_node(world), world.id("mt"));
    let home_agent_id = world.id(home_agent);
    world.sim.network_mut().set_deaf(terminal, home_agent_id, true);
    let moved = world.now();
    if seed.is_multiple_of(2) {
        world.approach("mt", site.access[access].link, "home");
    } else {
        world.jump("mt", site.access[access].link, "home", 20 + seed % 40);
    }
    let lets_go = |s: &Seen| s.from == "mt" && s.link == "home" && s.update().is_some_and(|u| u.lifetime.is_zero());
    world.run_until("the terminal asks its home agent", 20_000, |world| world.has_seen_since(moved, lets_go));
    let intruder = world.intruder("home");
    ask(world, intruder, site);

    // The agent forwards home, the home agent tunnels to the agent. A circle would soon be full.
    let (held, before) = (world.now(), dropped(world, site.agent));
    for _ in 0..20 {
        world.run_ms(10);
        check_no_circle(world, held, site, care_of);
    }
    world.run_ms(DEAF_MS);
    let bound = world.worker(home_agent).node().home_agent().and_then(|agent| agent.bindings().active(HOME));
    assert_eq!(bound.map(|binding| binding.care_of), Some(care_of), "the home agent has not heard of it");
    assert!(forwards_home(world, site.agent));
    let (tunnelled, forwarded) = check_no_circle(world, held, site, care_of);
    let counted = dropped(world, site.agent) - before;
    assert!(counted > 0, "nothing is counted");
    let is_one_node = home_agent == site.agent;
    if weather(seed).is_fair() && !is_one_node {
        // But for what is on the way at either end.
        assert!(counted.abs_diff(tunnelled) <= 4, "{tunnelled} came by the tunnel, {counted} were counted");
    }
    if is_one_node {
        assert_eq!((tunnelled, forwarded), (0, 0), "all of it is within the node");
    } else {
        assert!(forwarded > 0, "what the peer sends is forwarded, and comes back by the home agent's tunnel once");
    }

    world.sim.network_mut().set_deaf(terminal, home_agent_id, false);
    world.run_until("the home agent lets go", 60_000, |world| is_registered_at(world, &Place::Home));
    let released = world.now();
    check_no_circle(world, held, site, care_of);
    for stream in streams {
        let passes = |world: &World<'_>| world.flow(stream).summary_between(released, world.now()).received > 0;
        world.run_until("packets come home", 60_000, passes);
    }
    let native = |s: &Seen| s.link == "home" && s.from != "mt" && s.headers() == [(CN, HOME)] && s.is_data(CN, HOME);
    assert!(world.has_seen_since(released, native), "the correspondent is heard natively");
    world.detach("mt", site.access[access].link);
    world.run_ms(FORWARD_SECS * 1_000 + 2_000);
    assert!(world.agent(site.agent).binding(HOME).is_none(), "it still forwards");
    roamer.end();
}

#[test]
fn s4_the_agent_before_the_home_agent() {
    let lab = three_sites_with("radio-a", "mma").lab();
    over_seeds(|seed| comes_home(&lab, seed, FIRST_A));
}

#[test]
fn s4_the_agent_before_the_home_agent_whose_node_is_the_same() {
    let draft = Draft::shipped("fig8")
        .start("mt", "radio-e")
        .configure("mt", &format!("mobile_terminal.forward_secs = {FORWARD_SECS}"));
    let lab = with_route_optimisation(draft, "mma").lab();
    over_seeds(|seed| comes_home(&lab, seed, HOME_E));
}
