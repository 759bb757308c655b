//! A flood of signalling that nobody may believe: answers are bounded, everything is counted, no binding changes, and the
//! terminal's packets pass as if nothing were (FEATURES K4).

use crate::agreement::finish;
use crate::blocks::{FOREIGN_SITE, is_heard, is_settled};
use crate::world::{Draft, HOME, HOME_AGENT, Seen, Weather, World};
use drover::admin::Topic;
use drover::node;
use stack::inspect::{Class, Kind};
use stack::time::Duration;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::{CHECKSUM_AT, MobilityMessage};
use std::net::Ipv6Addr;

/// Rounds of the flood, each of one message of every sort to each agent.
const ROUNDS: u16 = 500;
const ROUND: Duration = Duration::from_millis(4);

/// The sum of what a node's machines count, but for the data plane.
fn counted(world: &World<'_>, name: &str) -> u64 {
    let shown = node::show(world.worker(name), world.now(), Topic::Counters);
    let machines = shown.as_object().expect("an object").iter().filter(|(machine, _)| *machine != "dataplane");
    let values = machines.flat_map(|(_, counters)| counters.as_object().expect("numbers").values().cloned());
    values.filter_map(|value| value.as_u64()).sum()
}

#[test]
fn control_a_flood_of_forged_signalling_leaves_data_alone() {
    let lab = Draft::shipped("fig5").lab();
    for seed in 0..4 {
        let a = FOREIGN_SITE.access[0];
        let mut world = World::new(&lab, seed, Weather::Fair);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        let entered = world.now();
        world.down(20, 100);
        world.run_until("packets come through A", 8_000, |world| is_heard(world, &a, entered));
        let updates: Vec<Seen> =
            world.seen().into_iter().filter(|s| s.from == "mt" && s.link == a.link && s.update().is_some()).collect();
        // How many answers the unauthenticated get at once, and how many in a second.
        let agents = [("mma1", FOREIGN_SITE.address, 100, 100), ("ha", HOME_AGENT, 20, 20)];
        let intruder = world.intruder(a.link);
        let (bindings, before) = (world.bindings(), agents.map(|(name, ..)| counted(&world, name)));
        let (began, streams) = (world.now(), [world.down(5, 400), world.up(5, 400)]);
        for round in 0..ROUNDS {
            for (_, agent, ..) in agents {
                let update = updates.iter().find(|s| s.destination() == agent).expect("it has been asked");
                let chain_at = update.what.outer().expect("a header").chain.upper_offset;
                let mut forged = update.frame[14 + chain_at..].to_vec();
                forged[6..8].copy_from_slice(&(40_000 + round).to_be_bytes());
                let mut unknown = forged.clone();
                unknown[2] = 0x7f;
                let test = MobilityMessage::HomeTestInit { cookie: [round as u8; 8] }.emit();
                let stranger = Ipv6Addr::from_bits(HOME.to_bits() + 0x1000 + u128::from(round));
                let replayed = update.frame[14 + chain_at..].to_vec();
                for (home_address, message) in
                    [(HOME, &forged), (HOME, &replayed), (stranger, &forged), (HOME, &unknown), (HOME, &test)]
                {
                    let packet = PacketBuilder::new(update.source(), agent).home_address(home_address).checksummed(
                        protocol::MOBILITY,
                        message.clone(),
                        CHECKSUM_AT,
                    );
                    world.intrude(intruder, a.router, a.link, &packet);
                }
            }
            let until = world.now() + ROUND;
            world.sim.run_until(until).expect("the network comes to rest");
        }
        let flooded = world.now().since(began);
        world.run_ms(1_000);
        let seen = world.seen_since(began);
        for ((name, agent, burst, rate), before) in agents.into_iter().zip(before) {
            let is_answer = |s: &&Seen| {
                s.from == name
                    && s.source() == agent
                    && (s.what.class() == Class::Mobility || matches!(s.what.kind, Kind::Icmpv6Error { .. }))
            };
            let answers = seen.iter().filter(is_answer).count() as u64;
            // And whoever repeats what a terminal has said gets four a second.
            let most = burst + (rate + 4) * flooded.as_millis() as u64 / 1_000 + 2;
            assert!(answers > 0 && answers <= most, "{name} has answered {answers} times, {most} at the most");
            let counted = counted(&world, name) - before;
            assert!(counted >= 5 * u64::from(ROUNDS), "{name} has counted {counted}");
        }
        assert_eq!(world.bindings(), bindings);
        assert!(!seen.iter().any(|s| s.from == "mt" && s.is_mobility()), "the terminal was disturbed");
        for stream in streams {
            let summary = world.flow(stream).summary();
            assert_eq!((summary.sent, summary.lost, summary.duplicated), (400, 0, 0), "{summary:?}");
        }
        finish(&mut world);
    }
}
