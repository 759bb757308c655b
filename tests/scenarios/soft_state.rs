//! State that nobody refreshes goes away, and comes back: PROTOCOL S17.

use crate::blocks::{FOREIGN_SITE, is_heard, is_settled};
use crate::world::{Draft, GROUP, HOME, HOME_AGENT, Seen, Weather, World, over_seeds, weathers};
use drover::config::lab::Lab;
use stack::inspect::Kind;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mld::RecordType;
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
            world.check();
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
            world.check();
        }
    });
}
