//! What becomes of packets to a care-of address when its agent forwards no more: scenarios S3 step 7 and its variant with
//! a correspondent that nobody tells.

use crate::between::{FIRST_A, Roamer, SECOND_C, With, after_forwarding};
use crate::blocks::FIRST_OF_THREE;
use crate::roaming::{forwarded, is_registered_at, sends_straight, three_sites_with};
use crate::world::{GROUP, HOME, HOME_AGENT, PEER, Seen, World, over_seeds};
use stack::inspect::Kind;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use std::net::Ipv6Addr;

/// One who knows the former care-of address.
const KNOWING: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0, 0, 0x99);

/// Whether it is the former agent's answer that there is nobody.
fn is_unreachable(seen: &Seen, to: Ipv6Addr) -> bool {
    seen.from == "mma1" && seen.destination() == to && matches!(seen.what.kind, Kind::Icmpv6Error { kind: 1, .. })
}

#[test]
fn s3_a_late_packet_is_answered_and_goes_nowhere() {
    let lab = three_sites_with("radio-a", "mma").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Peer);
        roamer.await_optimised(Instant::ORIGIN);
        let old = roamer.care_of.expect("registered");
        let a = FIRST_OF_THREE.access[0];
        let intruder = roamer.world.intruder(a.link);
        let send = |world: &mut World<'_>, number: u8| {
            let packet = PacketBuilder::new(KNOWING, old).type2_routing(HOME);
            world.intrude(intruder, a.router, a.link, &packet.payload(protocol::NONE, &[number; 16]));
            world.run_ms(250);
        };
        let known = |s: &Seen| s.from == "mma1" && s.headers().last().is_some_and(|header| header.0 == KNOWING);
        // As long as the terminal is there, it gets them.
        let before = roamer.world.now();
        (0..4).for_each(|number| send(&mut roamer.world, number));
        let delivered = |s: &Seen| known(s) && s.destination() == GROUP;
        assert!(roamer.world.has_seen_since(before, delivered), "the agent does not take them");
        let mode = roamer.either();
        let moved = roamer.go(SECOND_C, mode);
        let new = roamer.care_of.expect("registered");
        roamer.await_optimised(moved);
        after_forwarding(&mut roamer, "mma1");

        let over = roamer.world.now();
        let registered = roamer.world.bindings();
        let (down, up) = (roamer.world.down_from_peer(20, 125), roamer.world.up_to_peer(20, 125));
        (10..20).for_each(|number| send(&mut roamer.world, number));
        roamer.world.run_ms(500);
        let seen = roamer.world.seen_since(over);
        let answers = seen.iter().filter(|s| is_unreachable(s, KNOWING)).count();
        assert!(answers > 0, "no answer about the care-of address\n{}", roamer.world.story(20));
        assert!(!roamer.world.seen().iter().any(|s| s.at < over && is_unreachable(s, KNOWING)), "answered before");
        let passed_on = seen.iter().find(|s| known(s));
        assert!(passed_on.is_none(), "passed on: {}", passed_on.expect("one"));
        assert_eq!(forwarded(&seen, old), 0);
        let between = seen.iter().find(|s| s.headers().first() == Some(&(old, new)));
        assert!(between.is_none(), "from the former agent: {}", between.expect("one"));
        // The terminal notices nothing.
        let stirred = seen.iter().find(|s| s.from == "mt" && s.is_mobility());
        assert!(stirred.is_none(), "{}", stirred.expect("one"));
        assert!(is_registered_at(&roamer.world, &SECOND_C));
        assert_eq!(roamer.world.bindings(), registered);
        for stream in [down, up] {
            let summary = roamer.world.flow(stream).summary();
            assert!(summary.received * 2 >= summary.sent, "{summary:?}");
            assert!(!roamer.weather.is_fair() || (summary.lost, summary.duplicated) == (0, 0), "{summary:?}");
        }
        roamer.end();
    });
}

/// The correspondent ends its binding at the third error about what it sends, of errors a second apart or more; those and
/// the packets that they are about may be lost.
const NO_LONGER_THAN: Duration = Duration::from_secs(6);

#[test]
fn s3_a_correspondent_that_nobody_tells_falls_back_to_the_home_agent() {
    let lab = three_sites_with("radio-a", "mma").configure("mma2", "mma.route_optimisation = \"off\"").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Peer);
        roamer.await_optimised(Instant::ORIGIN);
        let old = roamer.care_of.expect("registered");
        let mode = roamer.either();
        let moved = roamer.go(SECOND_C, mode);
        let new = roamer.care_of.expect("registered");
        let down = roamer.world.down_from_peer(20, 1_500);
        let ended = |world: &World<'_>| world.agent("mma1").binding(HOME).is_none();
        roamer.world.run_until("forwarding ends", 20_000, ended);
        let over = roamer.world.now();
        let forwarding = roamer.world.seen_since(moved);
        assert!(forwarded(&forwarding, old) > 0, "nothing was forwarded");
        let native = |s: &Seen| s.link == "peer-bb" && s.headers() == [(PEER, HOME)] && s.is_data(PEER, HOME);
        let limit = NO_LONGER_THAN.as_millis() as u64;
        roamer.world.run_until("the peer sends home", limit, |world| world.has_seen_since(over, native));
        let fallen = roamer.world.now();
        roamer.world.run_ms(2_000);

        let late = roamer.world.seen_since(fallen + Duration::from_millis(100));
        assert!(late.iter().any(|s| s.from == "ha" && s.headers().first() == Some(&(HOME_AGENT, new))));
        assert!(!sends_straight(&roamer.world, old, fallen), "still to the former care-of address");
        let told = |s: &Seen| s.link == "peer-bb" && s.is_mobility() && s.source() == new;
        assert!(!roamer.world.has_seen_since(moved, told), "the new agent is not to optimise");
        let refused = |s: &Seen| is_unreachable(s, PEER);
        // In bad weather it may have been told of other losses, and have fallen back, before forwarding ended.
        let told_from = if roamer.weather.is_fair() { over } else { moved };
        assert!(roamer.world.has_seen_since(told_from, refused), "lost in silence");
        // What was on its way then has arrived by now.
        let seen = roamer.world.seen_since(over + Duration::from_millis(100));
        assert_eq!(forwarded(&seen, old), 0, "forwarded after its time");
        // Between the two, what the former agent refused is lost, and nothing else.
        let summary = roamer.world.flow(down).summary_between(fallen, fallen + Duration::from_millis(1_800));
        assert!(summary.received * 3 >= summary.sent * 2, "a black hole: {summary:?}\n{}", roamer.world.story(40));
        assert!(!roamer.weather.is_fair() || (summary.lost, summary.duplicated) == (0, 0), "{summary:?}");
        roamer.end();
    });
}
