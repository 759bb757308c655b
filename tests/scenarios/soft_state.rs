//! State that nobody refreshes goes away, and comes back: scenarios S17.

use crate::agreement::finish;
use crate::between::{FIRST_A, Roamer, SECOND_C, With};
use crate::blocks::{FIRST_OF_THREE, FOREIGN_SITE, Mode, is_heard, is_settled};
use crate::roaming::{FORWARD_SECS, Place, forwarded, is_registered_at, three_sites_with};
use crate::world::{
    Draft, GROUP, HOME, HOME_AGENT, PEER, Seen, Stream, Weather, World, is_in, over_seeds, weather, weathers,
};
use drover::config::lab::Lab;
use stack::inspect::Kind;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mld::RecordType;
use stack::wire::mobility::MobilityMessage;
use std::net::Ipv6Addr;

/// Figure 5 with this lifetime of all registrations.
fn lab(lifetime: Duration) -> Lab {
    let lifetime = format!("mobile_terminal.lifetime_secs = {}", lifetime.as_secs());
    Draft::shipped("fig5").configure("mt", &lifetime).lab()
}

/// The Binding Updates that the terminal sent to a peer.
fn updates(seen: &[Seen], peer: Ipv6Addr) -> impl Iterator<Item = &Seen> {
    seen.iter().filter(move |s| s.from == "mt" && s.destination() == peer && s.update().is_some())
}

/// When the terminal got its acknowledgement of an update, where it did: when the access router sent it on and nothing
/// was lost.
fn answered(seen: &[Seen], update: &Seen) -> Option<Instant> {
    let sequence = update.update()?.sequence;
    let answer = seen.iter().find(|s| {
        s.from == "a"
            && s.link == "radio-a"
            && !s.lost
            && s.source() == update.destination()
            && s.acknowledgement().is_some_and(|a| a.sequence == sequence && a.status.is_accepted())
    });
    answer.map(|answer| answer.at)
}

#[test]
fn s17_registrations_are_refreshed_at_half_of_their_lifetime() {
    const LIFETIME: Duration = Duration::from_secs(32);
    let lab = lab(LIFETIME);
    over_seeds(|seed| {
        for weather in weathers(seed) {
            let mut world = World::new(&lab, seed, weather);
            world.run_until("both agents acknowledge", 30_000, is_settled);
            let flow = world.down(100, 600);
            let settled = world.now();
            let first = world.agent("mma1").binding(HOME).expect("bound").clone();
            for _ in 0..50 {
                world.run_ms(1_000);
                let binding = world.agent("mma1").binding(HOME).expect("still bound");
                assert_eq!((binding.care_of, binding.gre_key), (first.care_of, first.gre_key));
                let told = world.terminal("mt").home_registration().expect("still bound");
                assert_eq!(told.care_of, first.care_of);
            }
            let seen = world.seen();
            check_refreshes(&seen, LIFETIME);
            for s in updates(&seen, HOME_AGENT) {
                // Never longer than the mobility agent's (RFC 5380 §6.1).
                assert!(s.update().expect("it is one").lifetime.duration() <= LIFETIME, "{s}");
            }
            // Nothing but that: no join anew, no other message.
            assert!(seen.iter().filter(|s| s.from == "mt" && s.is_mobility()).all(|s| s.update().is_some()));
            let moved =
                |s: &&Seen| s.at > settled + Duration::from_secs(1) && s.records(GROUP).any(|r| !is_current(r.kind));
            assert!(!seen.iter().any(|s| moved(&s)));
            let summary = world.flow(flow).summary();
            assert_eq!(summary.duplicated, 0);
            assert!(weather == Weather::Rough || summary.lost <= 1, "{summary:?}");
            finish(&mut world);
        }
    });
}

/// Whether a record answers a query.
fn is_current(kind: RecordType) -> bool {
    matches!(kind, RecordType::ModeIsInclude | RecordType::ModeIsExclude)
}

/// The mobility agent is asked again at half of the lifetime, which counts from when the accepted update was sent, or an
/// eighth earlier together with the home agent; and every second or slower as long as it does not answer.
fn check_refreshes(seen: &[Seen], lifetime: Duration) {
    let mut rounds = 0;
    let mut round: Vec<&Seen> = Vec::new();
    for update in updates(seen, FOREIGN_SITE.address) {
        let answers: Vec<(Instant, Instant)> =
            round.iter().filter_map(|sent| Some((answered(seen, sent)?, sent.at))).collect();
        match answers.iter().map(|&(at, _)| at).min().filter(|&first| first < update.at) {
            Some(first) => {
                // Of two answers that overtake each other on the radio either may be the first.
                let accepted = answers.iter().filter(|&&(at, _)| at < first + Duration::from_millis(20));
                let after: Vec<Duration> = accepted.map(|&(_, sent)| update.at - sent).collect();
                let half = lifetime / 8 * 3..lifetime / 2 + Duration::from_millis(20);
                assert!(after.iter().any(|after| half.contains(after)), "refreshed after {after:?}: {update}");
                rounds += 1;
                round = vec![update];
            }
            None => {
                if let Some(last) = round.last().filter(|_| rounds > 0) {
                    let apart = update.at - last.at;
                    assert!(apart >= Duration::from_secs(1), "repeated after {apart:?}: {update}");
                }
                round.push(update);
            }
        }
    }
    assert!(rounds >= 3, "{rounds} refreshes");
}

/// Whether it is an ICMPv6 Destination Unreachable.
fn is_unreachable(seen: &Seen) -> bool {
    matches!(seen.what.kind, Kind::Icmpv6Error { kind: 1, .. })
}

#[test]
fn s17_what_is_not_refreshed_expires() {
    const LIFETIME: Duration = Duration::from_secs(8);
    let lab = lab(LIFETIME);
    over_seeds(|seed| {
        let mut world = World::new(&lab, seed, Weather::Rough);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        world.down(20, 1_000);
        let entered = world.now();
        world.run_until("packets come", 8_000, |world| is_heard(world, &FOREIGN_SITE.access[0], entered));
        let binding = world.agent("mma1").binding(HOME).expect("bound").clone();
        // One who knows the care-of address, as a correspondent with route optimisation does.
        let a = FOREIGN_SITE.access[0];
        let intruder = world.intruder(a.link);
        let knowing = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0, 0, 0x99);
        let optimised = PacketBuilder::new(knowing, binding.care_of).type2_routing(HOME).payload(protocol::NONE, &[]);
        world.intrude(intruder, a.router, a.link, &optimised);
        world.run_ms(500);
        let terminal = world.id("mt");
        world.sim.network_mut().crash(terminal);
        let crashed = world.now();
        let left = world.agent("mma1").binding(HOME).expect("bound").remaining(crashed);
        assert!(left <= LIFETIME);
        world.sim.run_until(crashed + left + Duration::from_millis(20)).expect("time goes on");
        let expired = world.now();
        assert!(world.agent("mma1").binding(HOME).is_none());
        for _ in 0..10 {
            world.intrude(intruder, a.router, a.link, &optimised);
            world.run_ms(250);
        }
        assert_eq!(world.sim.bindings()["ha"], serde_json::json!([]), "the home agent's goes with it");

        let seen = world.seen();
        let multicasts = |s: &&Seen| s.from == "mma1" && s.destination() == GROUP;
        let until_expiry = seen.iter().filter(|s| s.at > crashed && s.at < expired).filter(multicasts).count();
        // The home agent's binding ends no later than the mobility agent's.
        assert!(until_expiry > 0, "the agent multicasts while it may");
        let late = seen.iter().filter(|s| s.at >= expired).find(multicasts);
        assert!(late.is_none(), "the agent multicasts after its binding: {}", late.expect("one"));
        let tunnelled = seen.iter().filter(|s| s.at >= expired + Duration::from_secs(1));
        assert!(
            !tunnelled.clone().any(|s| s.from == "ha" && s.destination() == binding.care_of),
            "the home agent tunnels"
        );
        // Nothing is sent to nobody in silence.
        let told = |s: &&Seen| s.from == "mma1" && s.destination() == knowing && is_unreachable(s);
        assert!(!seen.iter().filter(|s| s.at < expired).any(|s| told(&s)), "bound and unreachable");
        assert!(seen.iter().filter(|s| s.at >= expired).any(|s| told(&s)), "no answer about the care-of address");
        world.check();
    });
}

#[test]
fn s17_a_terminal_comes_back_to_an_agent_that_restarts() {
    const LIFETIME: Duration = Duration::from_secs(8);
    let lab = lab(LIFETIME);
    over_seeds(|seed| {
        for weather in weathers(seed) {
            let mut world = World::new(&lab, seed, weather);
            world.run_until("both agents acknowledge", 30_000, is_settled);
            let flow = world.down(20, 1_500);
            let entered = world.now();
            world.run_until("packets come", 8_000, |world| is_heard(world, &FOREIGN_SITE.access[0], entered));
            world.run_ms(seed % 4 * 900);
            let agent = world.id("mma1");
            world.sim.network_mut().restart(agent);
            let restarted = world.now();
            assert!(world.agent("mma1").binding(HOME).is_none(), "all that it knew is gone");
            let bound = |world: &World<'_>| world.agent("mma1").binding(HOME).is_some();
            // A refresh is at most half of the lifetime away; what is lost is repeated after one second, then two.
            let limit = if weather == Weather::Fair { 4_500 } else { 12_000 };
            world.run_until("the terminal registers anew", limit, bound);
            world.run_until("both agents acknowledge", 12_000, is_settled);
            let settled = world.now();
            let passes = |world: &World<'_>| world.flow(flow).summary_between(settled, world.now()).received > 0;
            world.run_until("packets come again", 8_000, passes);
            let care_of = world.agent("mma1").binding(HOME).expect("bound").care_of;
            let told = world.terminal("mt").home_registration().expect("registered").care_of;
            assert_eq!(care_of, told, "the home agent knows the new care-of address");
            let seen = world.seen_since(restarted);
            // What the home agent sends in the meantime is not lost in silence.
            let answers: Vec<&Seen> = seen.iter().filter(|s| s.from == "mma1" && is_unreachable(s)).collect();
            assert!(answers.iter().any(|s| s.destination() == HOME_AGENT), "no answer to the home agent");
            assert!(answers.iter().all(|s| s.at <= settled));
            assert!(seen.iter().any(|s| s.link == FOREIGN_SITE.trunk && s.joins(GROUP)), "the tree is joined anew");
            assert_eq!(world.flow(flow).summary().duplicated, 0);
            finish(&mut world);
        }
    });
}

/// Waits until a packet of the stream that was sent later than now has come, and fails where none does in time.
fn comes_again(world: &mut World<'_>, what: &str, stream: Stream, millis: u64) {
    let since = world.now();
    let passes = |world: &World<'_>| world.flow(stream).summary_between(since, world.now()).received > 0;
    world.run_until(what, millis, passes);
}

/// What is sent to a care-of address that nobody has any more is answered, and three answers a second apart let a
/// correspondent of ours send by way of the home agent again (RFC 6275 §9.3.4); a fourth second is for the rest.
const UNREACHABLE_MS: u64 = 4_000;
/// The same where answers are held back and lost now and then.
const UNREACHABLE_IN_WEATHER_MS: u64 = 20_000;

fn unreachable_limit(seed: u64) -> u64 {
    if weather(seed).is_fair() { UNREACHABLE_MS } else { UNREACHABLE_IN_WEATHER_MS }
}

/// The agent of the former site forwards, and then it has forgotten that, or its time is over. The correspondent, whom
/// nobody has told of the new site, is told that the old care-of address is nobody's; the terminal does not notice.
#[test]
fn s17_forwarding_ends_with_the_agent_or_with_its_time() {
    let draft = three_sites_with("radio-a", "mma");
    let lab = draft.configure("mma2", "mma.route_optimisation = \"off\"").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Peer);
        roamer.await_optimised(Instant::ORIGIN);
        let old = roamer.care_of.expect("registered");
        let mode = if seed & 1 == 0 { Mode::MakeFirst } else { Mode::BreakFirst };
        let moved = roamer.go(SECOND_C, mode);
        let down = roamer.down();
        let world = &mut roamer.world;
        world.run_until("it is forwarded", 5_000, |world| forwarded(&world.seen_since(moved), old) > 0);
        if seed & 2 == 0 {
            world.restart("mma1");
        } else {
            let left = world.agent("mma1").binding(HOME).expect("it forwards").remaining(world.now());
            world.sim.run_until(world.now() + left).expect("time goes on");
        }
        let ended = world.now();
        assert!(world.agent("mma1").binding(HOME).is_none());
        let site = world.terminal("mt").site();
        // Those that were forwarded are still on their way.
        world.run_ms(50);
        comes_again(world, "packets come by the home agent", down, unreachable_limit(seed));
        let seen = world.seen_since(ended);
        let late: Vec<Seen> = seen.iter().filter(|s| s.from == "mma1").cloned().collect();
        assert_eq!(forwarded(&late, old), 0, "it still forwards");
        let multicasts = |s: &Seen| s.destination() == GROUP;
        assert!(!late.iter().any(multicasts), "the former agent multicasts");
        assert!(late.iter().any(|s| s.destination() == PEER && is_unreachable(s)), "the peer is not told");
        // The terminal has nothing to do with it.
        assert_eq!(world.terminal("mt").site(), site);
        let says = |s: &Seen| s.from == "mt" && s.is_mobility();
        assert!(!seen.iter().any(says), "the terminal is disturbed");
        world.run_ms(FORWARD_SECS * 1_000);
        roamer.end();
    });
}

/// The lifetime of registrations in what follows.
const SHORT: Duration = Duration::from_secs(16);
/// A refresh is at most half of that away; what is lost is repeated after one second, then two.
const REFRESH_MS: u64 = SHORT.as_secs() * 500 + 1_000;
const REFRESH_IN_WEATHER_MS: u64 = REFRESH_MS + 12_000;

fn refresh_limit(seed: u64) -> u64 {
    if weather(seed).is_fair() { REFRESH_MS } else { REFRESH_IN_WEATHER_MS }
}

fn short_lived(route_optimisation: &str) -> Lab {
    let lifetime = format!("mobile_terminal.lifetime_secs = {}", SHORT.as_secs());
    three_sites_with("radio-a", route_optimisation).configure("mt", &lifetime).lab()
}

/// The agent that had told a correspondent of the care-of address has forgotten all of it. The correspondent's binding
/// is made right by the agent's next one, or given up for what the agent answers, and is never believed longer than the
/// terminal takes to register again.
#[test]
fn s17_an_agent_that_optimised_restarts() {
    let lab = short_lived("mma");
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Peer);
        roamer.await_optimised(Instant::ORIGIN);
        roamer.world.run_ms(seed % 4 * 1_900);
        let streams = roamer.talk(20, 40_000);
        let world = &mut roamer.world;
        world.run_ms(100);
        world.restart("mma1");
        let restarted = world.now();
        assert!(world.agent("mma1").binding(HOME).is_none() && world.agent("mma1").optimisations().next().is_none());
        let known =
            |world: &World<'_>| world.agent("mma1").binding(HOME).is_some() && is_registered_at(world, &FIRST_A);
        world.run_until("the terminal has registered anew", refresh_limit(seed), known);
        let registered = world.now();
        for stream in streams {
            comes_again(world, "packets come again", stream, unreachable_limit(seed));
        }
        // Until then nothing is lost in silence.
        let told = |s: &Seen| s.from == "mma1" && s.destination() == PEER && is_unreachable(s);
        assert!(world.has_seen_since(restarted, told), "the peer is not told");
        roamer.care_of = world.terminal("mt").site().care_of;
        assert!(is_in(roamer.care_of.expect("registered"), FIRST_OF_THREE.care_of));
        roamer.await_optimised(registered);
        roamer.end();
    });
}

/// A correspondent that has forgotten the binding sends by way of the home agent from its first packet on, and answers
/// what comes from the care-of address with a Binding Error (RFC 6275 §9.3.3), for which the agent asks it again.
#[test]
fn s17_a_correspondent_restarts() {
    let lab = three_sites_with("radio-a", "mma").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Peer);
        roamer.await_optimised(Instant::ORIGIN);
        let knows = |world: &World<'_>| world.agent("mma1").optimisations().any(|view| view.state == "optimised");
        roamer.world.run_until("the agent has its answer", 40_000, knows);
        roamer.world.run_ms(seed % 4 * 900);
        let streams = roamer.talk(20, 40_000);
        let world = &mut roamer.world;
        world.run_ms(100);
        world.restart("peer");
        let restarted = world.now();
        assert_eq!(world.worker("peer").dataplane().correspondent_bindings().count(), 0);
        // Down they come by way of the home agent at once, and up when the correspondent has said that it knows nothing: nobody
        // has signed that, but while it is in doubt packets go by the home agent.
        let weather_ms = if weather(seed).is_fair() { 0 } else { 3_000 };
        comes_again(world, "packets come down again", streams[0], 500 + weather_ms);
        comes_again(world, "packets come up again", streams[1], 500 + weather_ms);
        let seen = world.seen_since(restarted);
        let error = |s: &Seen| {
            s.from == "peer"
                && matches!(s.what.kind, Kind::Mobility(MobilityMessage::BindingError { home_address: HOME, .. }))
        };
        assert!(seen.iter().any(error), "no Binding Error");
        let by_home = |s: &Seen| s.from == "ha" && s.is_data(PEER, HOME) && s.what.is_tunnelled();
        assert!(seen.iter().any(by_home), "nothing by way of the home agent");
        roamer.await_optimised(restarted);
        roamer.end();
    });
}

/// A home agent that knows nothing any more has the binding back by the next refresh, and tells the correspondents'
/// packets' senders in the meantime that nobody is there.
#[test]
fn s17_a_home_agent_restarts() {
    let lab = short_lived("off");
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Cn);
        roamer.world.run_ms(seed % 4 * 1_900);
        let (streams, care_of) = (roamer.talk(20, 40_000), roamer.care_of);
        let world = &mut roamer.world;
        world.restart("ha");
        let restarted = world.now();
        let bound = |world: &World<'_>| {
            let agent = world.worker("ha").node().home_agent().expect("a home agent");
            agent.bindings().active(HOME).map(|binding| binding.care_of)
        };
        assert_eq!(bound(world), None);
        // It looks for duplicates for a second before it answers.
        world.run_until("the binding is back", refresh_limit(seed) + 1_500, |world| bound(world).is_some());
        assert_eq!(bound(world), care_of, "at the same place");
        for stream in streams {
            comes_again(world, "packets come again", stream, if weather(seed).is_fair() { 500 } else { 3_000 });
        }
        let seen = world.seen_since(restarted);
        // The mobility agent was asked as ever, and nothing else happened there.
        let to_agent = |s: &&Seen| s.from == "mt" && s.destination() == FIRST_OF_THREE.address && s.update().is_some();
        assert!(seen.iter().filter(to_agent).all(|s| s.update().is_some_and(|u| !u.options.subscriptions.is_empty())));
        assert!(!seen.iter().any(|s| s.leaves(GROUP)), "the tree stays");
        assert_eq!(world.terminal("mt").site().care_of, care_of);
        roamer.end();
    });
}

/// A terminal that comes up at home and has forgotten that it was away hears the home agent answer for its home address,
/// and has it let go (RFC 6275 §10.4.1, §11.5.5).
#[test]
fn s17_a_terminal_that_has_forgotten_its_binding_comes_up_at_home() {
    let lab = three_sites_with("radio-a", "off").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Cn);
        let streams = roamer.talk(20, 40_000);
        let (is_fair, world) = (roamer.weather.is_fair(), &mut roamer.world);
        // The home agent has not found anybody else with the home address.
        world.run_ms(1_500);
        world.crash("mt");
        world.jump("mt", "radio-a", "home", 40);
        world.restart("mt");
        let restarted = world.now();
        let bound = |world: &World<'_>| {
            world.worker("ha").node().home_agent().expect("a home agent").bindings().active(HOME).is_some()
        };
        assert!(bound(world), "nothing to forget");
        world.run_until("the home agent lets go", if is_fair { 2_500 } else { 30_000 }, |world| !bound(world));
        world.run_until("it is home", 10_000, |world| is_registered_at(world, &Place::Home));
        for stream in streams {
            comes_again(world, "packets come again", stream, if is_fair { 500 } else { 8_000 });
        }
        // Where the answer is lost, the terminal says that it is there, and the home agent asks about that.
        let seen = world.seen_since(restarted);
        let mut removals = updates(&seen, HOME_AGENT).filter(|s| s.update().is_some_and(|u| u.lifetime.0 == 0));
        assert!(!is_fair || removals.next().is_some(), "the home agent was not asked\n{}", world.story(20));
        // The mobility agent hears nothing: its binding ends with its lifetime.
        world.check();
    });
}
