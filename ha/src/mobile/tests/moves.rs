use super::super::*;
use super::world::*;
use crate::home_agent::HomeDad;
use stack::addr::{Eui64, GroupLayout, Scope};
use stack::rng::Rng;
use stack::wire::mobility::option::Subscription as SubscriptionOption;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A world where these links are up and the first is the best, after everything has settled.
fn settled(seed: u64, dad: HomeDad, spots: &[Spot]) -> World {
    let mut world = World::new(seed, dad, terminal_config());
    world.prefer(spots[0]);
    world.link_up(spots[0]);
    world.run_for(secs(1));
    for &spot in &spots[1..] {
        world.link_up(spot);
    }
    world.run_for(secs(10));
    world.assert_settled_at(spots[0]);
    world
}

#[test]
fn first_registration() {
    for dad in [HomeDad::Strict, HomeDad::Optimistic, HomeDad::Off] {
        let world = settled(1, dad, &[A]);
        // REG, then HOME; no retransmission although detection took a second.
        let to: Vec<_> = world.updates.iter().map(|sent| sent.to).collect();
        assert_eq!(to, [AGENTS[0], HOME_AGENT], "{dad:?}");
        assert_eq!(world.updates[1].update.options.alternate_care_of_address, world.terminal.site().care_of);
    }
}

/// A group with a 48-bit address is asked for as one with an EUI-64 is, and no source is named where the group names its
/// rendezvous point. Without a group there is nothing to ask for.
#[test]
fn the_group_of_the_layout_is_asked_for() {
    let embedded = |prefix: &str| {
        let (scope, prefix) = (Scope::SITE_LOCAL, prefix.parse().unwrap());
        GroupLayout::EmbeddedRp { scope, prefix, rp_interface_id: 2 }
    };
    for (prefix, eui64, group) in [
        ("2001:db8::/32", EUI, Some("ff75:220:2001:db8:200:5eff:fe10:1")),
        ("2001:db8:51::/48", EUI, Some("ff75:230:2001:db8:51:200:5e10:1")),
        ("2001:db8:51::/48", Eui64(0x0200_5e00_0010_0001), None),
    ] {
        let config = Config { group_layout: embedded(prefix), eui64, ..terminal_config() };
        let mut script = super::script::Script::new(config);
        script.up(A);
        let asked = script.last_asked(AGENTS[0]).update.options.subscriptions;
        let group = group.map(|group| SubscriptionOption { group: group.parse().unwrap(), source: None });
        assert_eq!(asked, Vec::from_iter(group));
    }
}

/// S0: at home nobody is told anything.
#[test]
fn at_home() {
    let world = settled(1, HomeDad::Strict, &[H]);
    assert!(world.updates.is_empty());
    assert_eq!(world.handovers(), [HandoverKind::Home]);
    assert!(
        world.events.iter().any(|(_, event)| matches!(event, Event::HomeAddressClaim { detect_duplicates: true, .. }))
    );
}

/// S1.3, S2.4: inside a site there is a join, and nothing else.
#[test]
fn intra_site_moves_send_no_mobility_header() {
    let mut world = settled(1, HomeDad::Strict, &[A, B]);
    let before = (world.updates.len(), *world.home.bindings().get(HOME_ADDRESS).unwrap());
    let agent_before = format!("{:?}", world.agents[0].binding(HOME_ADDRESS));
    for _ in 0..20 {
        for spot in [B, A] {
            world.prefer(spot);
            world.run_for(secs(3));
            world.assert_settled_at(spot);
        }
    }
    assert_eq!(world.updates.len(), before.0);
    assert_eq!(*world.home.bindings().get(HOME_ADDRESS).unwrap(), before.1);
    assert_eq!(format!("{:?}", world.agents[0].binding(HOME_ADDRESS)), agent_before);
    assert_eq!(world.handovers().iter().filter(|kind| **kind == HandoverKind::IntraSite).count(), 40);
}

/// Report, first packet, uplink, then the old link is left, each in its time.
#[test]
fn make_before_break_in_stages() {
    let mut world = settled(1, HomeDad::Off, &[A, B]);
    world.events.clear();
    world.prefer(B);
    world.run_for(secs(3));
    let stages: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::HandoverStage { at, stage } => Some((*at, *stage)),
            _ => None,
        })
        .collect();
    let names: Vec<_> = stages.iter().map(|(_, stage)| stage.name()).collect();
    assert_eq!(names, ["link", "ra", "report", "first_data", "uplink", "left_old"]);
    let at = |stage| stages.iter().find(|(_, s)| *s == stage).unwrap().0;
    assert_eq!(at(Stage::FirstData), at(Stage::Uplink));
    assert_eq!(at(Stage::LeftOld) - at(Stage::Uplink), Timing::default().leave_delay);
    assert!(matches!(
        world.events.first().unwrap().1,
        Event::HandoverStarted { kind: HandoverKind::IntraSite, from: Some(from), to, make_before_break: true, .. }
            if from == A.key && to == B.key
    ));
    assert!(matches!(world.events.last().unwrap().1, Event::HandoverEnded { completed: true, .. }));
}

#[test]
fn without_traffic_the_uplink_changes_after_the_overlap() {
    let mut world = settled(1, HomeDad::Off, &[A, B]);
    world.has_data = false;
    world.prefer(B);
    // The join is out at once, the uplink waits.
    world.run_for(Duration::from_millis(300));
    assert_eq!(world.joined.len(), 2);
    assert_eq!(world.terminal.current_router(), Some(A.key));
    world.run_for(secs(2));
    world.assert_settled_at(B);
}

#[test]
fn break_before_make_is_immediate() {
    let mut world = settled(1, HomeDad::Off, &[A, B]);
    let since = world.now;
    world.link_down(A);
    // In the same instant: dwell and hysteresis are for living routers.
    assert_eq!(world.terminal.current_router(), Some(B.key));
    assert!(world.joined.keys().all(|&(port, _)| port == B.key.port) && world.joined.len() == 1);
    world.run_for(secs(3));
    world.assert_settled_at(B);
    assert!(world.updates_since(since).is_empty());
}

/// Break before make where the new link comes up after the old one is gone.
#[test]
fn one_radio_at_a_time() {
    let mut world = settled(1, HomeDad::Off, &[A]);
    let since = world.now;
    for spot in [B, A, B] {
        for other in SPOTS {
            if world.is_up(other.key.port) {
                world.link_down(other);
            }
        }
        assert_eq!(world.tables.uplink, Some(Uplink::Down));
        world.run_for(secs(1));
        world.link_up(spot);
        world.run_for(secs(2));
        world.assert_settled_at(spot);
    }
    assert!(world.updates_since(since).is_empty());
}

#[test]
fn into_another_site_and_back() {
    let mut world = settled(1, HomeDad::Strict, &[A, C]);
    for spot in [C, A, C] {
        let since = world.now;
        world.prefer(spot);
        world.run_for(secs(5));
        world.assert_settled_at(spot);
        // REG, HOME, then the old agent; each once.
        let site = spot.site.unwrap();
        let to: Vec<_> = world.updates_since(since).iter().map(|sent| sent.to).collect();
        assert_eq!(to[..3], [AGENTS[site], HOME_AGENT, AGENTS[1 - site]]);
        let forward = world.updates_since(since)[2];
        assert_eq!(forward.update.options.alternate_care_of_address, world.terminal.site().care_of);
        assert_eq!(forward.update.lifetime.duration(), Timing::default().forward);
        assert_eq!(forward.source, spot.address());
        world.run_for(secs(40));
        world.assert_forwarding_over();
    }
    assert_eq!(world.handovers()[1..], [HandoverKind::InterSite; 3]);
}

/// While the old link lives, the group is received through both until the home agent has switched.
#[test]
fn inter_site_keeps_the_old_branch_until_the_home_agent_answers() {
    let mut world = settled(1, HomeDad::Strict, &[A, C]);
    world.prefer(C);
    let mut both = false;
    for _ in 0..500 {
        world.run_for(Duration::from_millis(1));
        if world.tables.home.map(|home| home.care_of) == world.tables.agents[0].map(|binding| binding.care_of) {
            assert!(world.joined.keys().any(|&(port, _)| port == A.key.port));
        }
        both |= world.tables.receptions.len() == 2 && world.joined.len() == 2;
    }
    assert!(both);
    world.run_for(secs(3));
    world.assert_settled_at(C);
}

#[test]
fn home_and_away_again() {
    for dad in [HomeDad::Strict, HomeDad::Optimistic] {
        let mut world = settled(1, dad, &[A, H]);
        let since = world.now;
        world.prefer(H);
        world.run_for(secs(5));
        world.assert_settled_at(H);
        let updates = world.updates_since(since);
        let to: Vec<_> = updates.iter().map(|sent| (sent.to, sent.source, sent.update.lifetime.0)).collect();
        // The home agent first, from the home address; then the mobility agent.
        assert_eq!(to[..2], [(HOME_AGENT, HOME_ADDRESS, 0), (AGENTS[0], HOME_ADDRESS, 8)]);
        let claim = world.events.iter().position(|(_, e)| matches!(e, Event::HomeAddressClaim { .. })).unwrap();
        let announce = world.events.iter().position(|(_, e)| matches!(e, Event::HomeAddressAnnounce { .. })).unwrap();
        assert!(claim < announce);
        assert!(matches!(world.events[claim].1, Event::HomeAddressClaim { detect_duplicates: false, .. }));
        world.prefer(A);
        world.run_for(secs(5));
        world.assert_settled_at(A);
        assert_eq!(world.handovers()[1..], [HandoverKind::Home, HandoverKind::InterSite]);
    }
}

#[test]
fn plain_mobile_ipv6_without_an_agent() {
    let mut world = settled(1, HomeDad::Off, &[P, A]);
    assert_eq!(world.updates.len(), 1);
    assert_eq!(world.updates[0].update.options.alternate_care_of_address, Some(P.address()));
    world.prefer(A);
    world.run_for(secs(5));
    world.assert_settled_at(A);
    world.prefer(P);
    world.run_for(secs(5));
    world.assert_settled_at(P);
}

/// S8: the agent's lifetime in the advertisement is zero.
#[test]
fn an_agent_that_is_withdrawn_is_left() {
    let mut world = settled(1, HomeDad::Off, &[A]);
    let mut advertisement = A.advertisement();
    advertisement.agents[0].lifetime = Duration::ZERO;
    advertisement.agents.push(AdvertisedAgent { address: AGENTS[1], preference: 1, distance: 1, lifetime: secs(1000) });
    world.command(Command::RouterAdvertised(advertisement.clone()));
    world.run_for(secs(2));
    // The other agent does not serve this link: refused, so plain Mobile IPv6.
    assert_eq!(world.terminal.refusing_agents().next().map(|(agent, _)| agent), Some(AGENTS[1]));
    assert_eq!(world.terminal.site().site, Site::Plain);
    assert_eq!(world.tables.home.map(|home| home.care_of), Some(A.address()));
    world.run_for(secs(40));
    assert_eq!(world.tables.agents, [None, None]);
}

/// S17: refreshed at half the lifetime, without a move, and ended when the refresh does not come through.
#[test]
fn refresh_without_a_move() {
    let mut world = settled(1, HomeDad::Off, &[A]);
    let handovers = world.handovers().len();
    let events = world.events.len();
    let since = world.now;
    world.run_for(secs(4000));
    world.assert_settled_at(A);
    let refreshed = world.updates_since(since).len();
    assert!((8..=10).contains(&refreshed), "{refreshed} updates in 4000 s");
    assert_eq!(world.handovers().len(), handovers);
    assert!(world.events[events..].iter().all(|(_, event)| matches!(event, Event::Persist { .. })));
    // The home agent's binding never outlives the mobility agent's.
    let (home, agent) = (world.terminal.home_registration().unwrap(), world.terminal.agent_registration().unwrap());
    assert!(home.expires <= agent.expires);
    world.weather = Weather { loss_percent: 100, ..FAIR };
    world.run_for(secs(2000));
    assert!(world.tables.receptions.is_empty() && world.joined.is_empty());
    assert_eq!(world.tables.home, None);
    assert!(world.terminal.agent_registration().is_none() && world.terminal.home_registration().is_none());
    world.weather = FAIR;
    world.run_for(secs(700));
    world.assert_settled_at(A);
}

/// Wrong keys on either side: nothing is installed.
#[test]
fn wrong_keys_install_nothing() {
    let mut config = terminal_config();
    config.agent_association = association(66);
    config.home_association = association(66);
    let mut world = World::new(1, HomeDad::Off, config);
    world.prefer(A);
    world.link_up(A);
    world.run_for(secs(300));
    assert!(world.tables.receptions.is_empty() && world.joined.is_empty());
    assert_eq!((world.tables.agents, world.tables.home), ([None, None], None));
    assert!(world.terminal.counters().drop_unauthentic > 3);
    // Back-off: 1, 3, 7, 15, 31 s with the agent, then the home agent, every 32 s in the end.
    assert!(world.updates.len() < 20, "{}", world.updates.len());
    assert_eq!(world.terminal.home_registration(), None);
}

/// S16: the group is taken; the terminal is served without one.
#[test]
fn refused_by_the_agent_means_plain() {
    let mut world = World::new(1, HomeDad::Off, terminal_config());
    world.agents[0].handle_command(world.now, mma::Command::Drain);
    world.prefer(A);
    world.link_up(A);
    world.run_for(secs(5));
    assert!(
        world
            .events
            .iter()
            .any(|(_, event)| matches!(event, Event::RegistrationRefused { peer, .. } if *peer == AGENTS[0]))
    );
    assert_eq!(world.terminal.site().site, Site::Plain);
    assert!(world.joined.is_empty());
    // Remembered for a while, then tried again.
    world.agents[0].handle_command(world.now, mma::Command::Resume);
    world.run_for(secs(500));
    assert_eq!(world.terminal.site().site, Site::Plain);
    world.run_for(secs(200));
    world.assert_settled_at(A);
}

/// A terminal that has lost its numbers is told the last one; one that has not goes on.
#[test]
fn sequence_numbers_after_a_restart() {
    let mut world = settled(1, HomeDad::Off, &[A]);
    let numbers: BTreeMap<Ipv6Addr, u16> = world.updates.iter().map(|sent| (sent.to, sent.update.sequence)).collect();
    let mut restored = terminal_config();
    restored.restored = Restored {
        sequences: numbers.into_iter().collect(),
        message_id: None,
        has_home_binding: true,
        home_agent: None,
    };
    for config in [restored, terminal_config()] {
        let since = world.now;
        let remembers = config.restored.has_home_binding;
        world.terminal = MobileTerminal::new(config, SecretRng::simulated(1));
        world.joined.clear();
        world.tables.receptions.clear();
        world.tables.care_of.clear();
        world.updates.clear();
        world.links_up.clear();
        world.prefer(A);
        world.link_up(A);
        world.run_for(secs(10));
        world.assert_settled_at(A);
        let expected = if remembers { 2 } else { 4 };
        assert_eq!(world.updates_since(since).len(), expected);
        assert_eq!(world.terminal.counters().rx_sequence, if remembers { 0 } else { 2 });
    }
}

#[test]
fn a_mobility_agent_that_forgot_is_told_again() {
    let mut world = settled(1, HomeDad::Off, &[A]);
    world.agents[0].handle_command(world.now, mma::Command::Revoke(HOME_ADDRESS));
    world.drain();
    assert_eq!(world.tables.agents[0], None);
    let error = stack::wire::mobility::MobilityMessage::BindingError {
        status: stack::wire::mobility::BindingErrorStatus::UNKNOWN_BINDING,
        home_address: HOME_ADDRESS,
    };
    let packet = stack::wire::build::PacketBuilder::new(AGENTS[0], A.address()).checksummed(135, error.emit(), 4);
    let meta = RxMeta { port: A.key.port, link_source: None, link_multicast: false, tunnel: None };
    world.terminal.handle_packet(world.now, &meta, &packet);
    world.run_for(secs(2));
    world.assert_settled_at(A);
}

/// What anybody can send changes nothing.
#[test]
fn strangers_change_nothing() {
    let mut world = settled(1, HomeDad::Off, &[A, B]);
    let (since, events) = (world.now, world.events.len());
    let mut rng = Rng::new(5);
    let meta = RxMeta { port: A.key.port, link_source: None, link_multicast: false, tunnel: None };
    let samples: Vec<Vec<u8>> = (0..200u16)
        .map(|n| {
            let acknowledgement = stack::wire::mobility::BindingAcknowledgement {
                status: stack::wire::mobility::Status(rng.below(256) as u8),
                flags: Default::default(),
                sequence: n,
                lifetime: stack::wire::mobility::Lifetime(rng.below(1000) as u16),
                options: Default::default(),
            };
            let bytes = association(9).sign_acknowledgement(acknowledgement, A.address(), HOME_ADDRESS);
            let from = if n % 2 == 0 { AGENTS[0] } else { HOME_AGENT };
            stack::wire::build::PacketBuilder::new(from, A.address())
                .type2_routing(HOME_ADDRESS)
                .checksummed(135, bytes, 4)
        })
        .collect();
    for sample in &samples {
        for cut in [sample.len(), rng.below(sample.len() as u64) as usize] {
            world.terminal.handle_packet(world.now, &meta, &sample[..cut]);
        }
        let mut wrong = sample.clone();
        let at = rng.below(wrong.len() as u64) as usize;
        wrong[at] = wrong[at].wrapping_add(1);
        world.terminal.handle_packet(world.now, &meta, &wrong);
    }
    world.run_for(secs(5));
    assert!(world.updates_since(since).is_empty());
    assert_eq!(world.events.len(), events);
    world.assert_settled_at(A);
    let counters = world.terminal.counters();
    assert!(counters.drop_unmatched + counters.drop_unauthentic >= 200);
}

/// Random walks through all kinds of links in foul weather, moves overtaking moves; when it clears, everything agrees, and
/// nothing is left of what was kept for sites left.
#[test]
fn random_walks_converge() {
    let kinds = random_walks(600, terminal_config(), World::assert_settled_at);
    assert!(kinds.iter().all(|&kind| kind > 300), "{kinds:?}");
}

/// The same where the terminal has to find its home agent, and with anchor points in that case.
#[test]
fn random_walks_without_a_home_agent_converge() {
    let config = Config { home_agent: None, ..terminal_config() };
    let found = |world: &World, spot: Spot| {
        assert!(spot.is_home || world.terminal.counters().rx_discovery_reply > 0);
        assert!(world.terminal.home_agent().is_none_or(|agent| agent == HOME_AGENT));
    };
    random_walks(150, config.clone(), |world, spot| {
        world.assert_settled_at(spot);
        found(world, spot);
    });
    random_walks(100, Config { mode: Mode::Hierarchical, ..config }, |world, spot| {
        world.assert_anchored_at(spot);
        found(world, spot);
    });
}

/// The same with anchor points.
#[test]
fn random_walks_with_anchor_points_converge() {
    let config = Config { mode: Mode::Hierarchical, ..terminal_config() };
    let kinds = random_walks(300, config, World::assert_anchored_at);
    assert!(kinds.iter().all(|&kind| kind > 100), "{kinds:?}");
}

fn random_walks(seeds: u64, config: Config, agree: impl Fn(&World, Spot)) -> [usize; 3] {
    let mut kinds = [0usize; 3];
    for seed in 0..seeds {
        let mut rng = Rng::new(seed);
        let dad = [HomeDad::Strict, HomeDad::Optimistic, HomeDad::Off][rng.below(3) as usize];
        let mut world = World::new(seed, dad, config.clone());
        world.weather = FOUL;
        world.has_data = rng.below(4) > 0;
        // Slowly, or faster than anybody may be told of it.
        let longest_us = [3_000_000, 300_000, 30_000][seed as usize % 3];
        for _ in 0..40 {
            let spot = SPOTS[rng.below(5) as usize];
            match rng.below(10) {
                0..=5 if !world.is_up(spot.key.port) => world.link_up(spot),
                0..=1 => world.link_down(spot),
                2 => {
                    let (port, router) = (spot.key.port, spot.key.router);
                    world.command(Command::RouterLost { port, router });
                    if world.is_up(port) {
                        world.command(Command::RouterAdvertised(spot.advertisement()));
                    }
                }
                3 => {
                    for spot in SPOTS {
                        world.signal(spot, -40 - rng.below(50) as i16);
                    }
                }
                _ => world.prefer(spot),
            }
            world.run_for(Duration::from_micros(rng.below(longest_us)));
            assert!(world.terminal.former_sites().count() <= 4 && world.tables.care_of.len() <= 5);
        }
        let last = SPOTS[rng.below(5) as usize];
        if !world.is_up(last.key.port) {
            world.link_up(last);
        }
        world.prefer(last);
        world.run_for(secs(2));
        world.weather = FAIR;
        // Everything that is retried is retried within 32 s; an agent counted as lost is remembered for ten minutes.
        world.run_for(secs(1500));
        for kind in world.handovers() {
            kinds[kind as usize] += 1;
        }
        let settled = || {
            agree(&world, last);
            world.assert_forwarding_over();
        };
        if std::panic::catch_unwind(core::panic::AssertUnwindSafe(settled)).is_err() {
            panic!("seed {seed} does not settle at {last:?}: {:?}", world.terminal.site());
        }
    }
    kinds
}

/// RFC 6275 §9.5.1: numbers go on beyond 65535.
#[test]
fn sequence_numbers_wrap() {
    let mut config = terminal_config();
    config.restored.sequences = vec![(AGENTS[0], 65_534), (HOME_AGENT, 65_535)];
    let mut world = World::new(1, HomeDad::Off, config);
    world.prefer(A);
    world.link_up(A);
    // Registered, and refreshed twice.
    world.run_for(secs(2_000));
    world.assert_settled_at(A);
    let numbers = |peer| {
        let to_peer = world.updates.iter().filter(|sent| sent.to == peer);
        to_peer.map(|sent| sent.update.sequence).take(3).collect::<Vec<_>>()
    };
    assert_eq!(numbers(AGENTS[0]), [65_535, 0, 1]);
    assert_eq!(numbers(HOME_AGENT), [0, 1, 2]);
    assert_eq!(world.terminal.counters().rx_sequence, 0);
    assert_eq!(world.terminal.counters().rx_refusal, 0);
}

/// What the listener is told of other routers, in order.
fn routers_named(world: &World) -> Vec<(PortId, Option<Ipv6Addr>)> {
    let named = |(_, event): &(Instant, Event)| match *event {
        Event::CameFrom { port, router } => Some((port, router)),
        _ => None,
    };
    world.events.iter().filter_map(named).collect()
}

/// Where the old link is gone without a leave, the reports on the new one name its router until packets come.
#[test]
fn a_router_that_could_not_be_left_is_named() {
    let mut world = World::new(1, HomeDad::Off, Config { report_moves: true, ..terminal_config() });
    world.link_up(A);
    world.run_for(secs(3));
    world.link_up(B);
    world.prefer(B);
    world.run_for(secs(3));
    world.assert_settled_at(B);
    assert_eq!(routers_named(&world), [], "make before break leaves by itself");
    world.link_down(A);
    world.link_down(B);
    world.run_for(secs(1));
    world.link_up(A);
    world.run_for(secs(3));
    world.assert_settled_at(A);
    let b = Some(B.prefix().address());
    assert_eq!(routers_named(&world), [(A.key.port, b), (A.key.port, None)]);
    let at = |wanted: &dyn Fn(&Event) -> bool| world.events.iter().rposition(|(_, event)| wanted(event)).unwrap();
    let named = at(&|event| matches!(event, Event::CameFrom { router: Some(_), .. }));
    let joined = at(&|event| matches!(event, Event::Join { port, .. } if *port == A.key.port));
    assert!(named < joined, "the first report has it");
    // Back to where it was, there is nobody to name.
    world.link_down(A);
    world.run_for(secs(1));
    world.link_up(A);
    world.run_for(secs(3));
    assert_eq!(routers_named(&world).len(), 2);
}

#[test]
fn who_is_not_told_to_names_no_router() {
    let mut world = settled(1, HomeDad::Off, &[A]);
    world.link_down(A);
    world.link_up(B);
    world.run_for(secs(3));
    world.command(Command::GoesTo(A.prefix().address()));
    world.run_for(secs(1));
    assert_eq!(routers_named(&world), []);
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::GoesTo { .. })));
    assert_eq!(world.terminal.counters().drop_command, 1);
}

/// The present router is told of the next one, where the group is joined through it.
#[test]
fn the_next_router_is_announced_to_the_present_one() {
    let mut world = World::new(1, HomeDad::Off, Config { report_moves: true, ..terminal_config() });
    let next = B.prefix().address();
    world.command(Command::GoesTo(next));
    assert_eq!(world.terminal.counters().drop_command, 1, "nowhere yet");
    world.link_up(A);
    world.run_for(secs(3));
    world.command(Command::GoesTo(next));
    let announced = |(_, event): &(Instant, Event)| match *event {
        Event::GoesTo { port, router } => Some((port, router)),
        _ => None,
    };
    assert_eq!(world.events.iter().filter_map(announced).collect::<Vec<_>>(), [(A.key.port, next)]);
}
