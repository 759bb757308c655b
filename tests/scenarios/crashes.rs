//! Any one node crashes while a terminal stays, or moves from site to site, away from home or back: scenarios S3 to S7.

use crate::agreement::settle;
use crate::between::{FIRST_A, HOME_E, Roamer, SECOND_C, With};
use crate::blocks::Mode;
use crate::roaming::{Place, is_registered_at, three_sites_with};
use crate::world::{World, over_seeds};
use drover::config::lab::Lab;

/// From where to where, and the scenario.
const WAYS: [(Place, Place); 6] = [
    (FIRST_A, FIRST_A),
    (FIRST_A, SECOND_C),
    (FIRST_A, Place::Home),
    (FIRST_A, HOME_E),
    (HOME_E, FIRST_A),
    (Place::Home, FIRST_A),
];

/// The labs with three sites and route optimisation. What a node has forgotten it is told at the next refresh.
fn lab(start: &str) -> Lab {
    three_sites_with(start, "mma").configure("mt", "mobile_terminal.lifetime_secs = 32").lab()
}

/// The terminal has its new link; of two it keeps the old one for now.
fn arrive(world: &mut World<'_>, (from, to): (Place, Place), mode: Mode) {
    match mode {
        _ if from.link() == to.link() => {}
        Mode::MakeFirst => world.approach("mt", from.link(), to.link()),
        Mode::BreakFirst => world.jump("mt", from.link(), to.link(), 40),
    }
}

#[test]
fn every_node_may_crash_on_every_way_and_all_is_well_again() {
    let labs = ["radio-a", "radio-e", "home"].map(|start| (start, lab(start)));
    over_seeds(|seed| {
        let nodes = labs[0].1.nodes.len() as u64;
        let way = WAYS[(seed / nodes) as usize % WAYS.len()];
        let (from, to) = way;
        let (_, lab) = labs.iter().find(|(start, _)| *start == from.link()).expect("a lab that starts there");
        let victim = &lab.nodes[(seed % nodes) as usize].name;
        let mut roamer = Roamer::start(lab, seed, from, With::Peer);
        let mode = roamer.either();
        // It crashes while the terminal moves or after that, or the terminal moves while it is away.
        let (wait, dead) = (roamer.chance.below(3_000), roamer.chance.below(4_000));
        let moves_before = roamer.chance.below(2) == 0;
        let world = &mut roamer.world;
        if moves_before {
            arrive(world, way, mode);
        }
        world.run_ms(wait);
        world.crash(victim);
        world.run_ms(dead / 2);
        if !moves_before {
            arrive(world, way, mode);
        }
        world.run_ms(dead / 2);
        world.restart(victim);
        if from.link() != to.link() && mode == Mode::MakeFirst {
            world.run_ms(500);
            world.detach("mt", from.link());
        }
        world.run_until("everybody knows where the terminal is", 1_200_000, |world| is_registered_at(world, &to));
        settle(world);
        let (down, up) = (world.down_from_peer(20, 100), world.up_to_peer(20, 100));
        world.run_ms(3_000);
        for stream in [down, up] {
            let summary = world.flow(stream).summary();
            let least = if roamer.weather.is_fair() { 100 } else { 50 };
            assert!(
                summary.received >= least,
                "{victim} has crashed on the way from {} to {}: {summary:?}\n{}",
                from.link(),
                to.link(),
                world.story(40)
            );
        }
    });
}
