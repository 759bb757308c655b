//! From site to site, away from home and back: PROTOCOL S3 to S7 and S15.

use crate::agreement::settle;
use crate::blocks::{
    FIRST_OF_THREE, HOME_OF_THREE, Mode, SECOND_OF_THREE, Site, check_down, check_up, is_settled, move_within,
};
use crate::roaming::{FORWARD_SECS, Place, check_backbone, check_move, forwarded, go, is_registered_at, three_sites};
use crate::world::{Draft, HOME, Stream, Weather, World, over_seeds, weather};
use drover::config::lab::Lab;
use stack::rng::Rng;
use stack::time::Instant;
use std::net::Ipv6Addr;
const FIRST_A: Place = Place::In(&FIRST_OF_THREE, 0);
const SECOND_C: Place = Place::In(&SECOND_OF_THREE, 0);
const HOME_E: Place = Place::In(&HOME_OF_THREE, 0);

/// A terminal that roams, with streams both ways between it and the unmodified correspondent.
struct Roamer<'a> {
    world: World<'a>,
    weather: Weather,
    chance: Rng,
    place: Place,
    care_of: Option<Ipv6Addr>,
    down: Stream,
    up: Stream,
}

impl<'a> Roamer<'a> {
    fn start(lab: &'a Lab, seed: u64, place: Place) -> Self {
        let weather = weather(seed);
        let mut world = World::new(lab, seed, weather);
        match place {
            Place::Home => world.run_ms(1_500),
            Place::In(..) => world.run_until("both agents acknowledge", 30_000, is_settled),
        }
        let (down, up) = (world.down(20, 1_000), world.up(20, 1_000));
        let began = world.now();
        let mut roamer = Roamer { world, weather, chance: Rng::new(seed), place, care_of: None, down, up };
        for stream in [down, up] {
            let passes = |world: &World<'_>| world.flow(stream).summary_between(began, world.now()).received > 0;
            roamer.world.run_until("packets come at the start", 20_000, passes);
        }
        roamer.care_of = roamer.world.terminal("mt").site().care_of;
        roamer
    }

    /// To another site, or home.
    fn go(&mut self, to: Place, mode: Mode) -> Instant {
        let streams = [self.down, self.up];
        let moved = go(&mut self.world, self.place, to, mode, &streams, &mut self.chance);
        self.care_of = check_move(&self.world, moved, (self.place, to), mode, self.care_of);
        self.place = to;
        if mode == Mode::MakeFirst && self.weather.is_fair() {
            let until = self.world.now();
            self.world.run_ms(100);
            for stream in streams {
                let summary = self.world.flow(stream).summary_between(moved, until);
                assert_eq!((summary.lost, summary.duplicated), (0, 0), "{summary:?}\n{}", self.world.story(40));
            }
        }
        moved
    }

    /// To the other access link of the same site.
    fn go_within(&mut self, mode: Mode) {
        let Place::In(site, access) = self.place else { panic!("home has one link") };
        let (from, to) = (&site.access[access], &site.access[1 - access]);
        move_within(&mut self.world, site, from, to, mode, &mut self.chance);
        self.place = Place::In(site, 1 - access);
    }

    fn either(&mut self) -> Mode {
        if self.chance.below(2) == 0 { Mode::MakeFirst } else { Mode::BreakFirst }
    }

    /// What holds of every story, however long it was.
    fn end(mut self) {
        settle(&mut self.world);
        if self.weather != Weather::Stormy {
            for stream in [self.down, self.up] {
                let summary = self.world.flow(stream).summary();
                assert_eq!(summary.duplicated, 0, "{summary:?}");
            }
        }
        check_backbone(&self.world);
        self.world.check();
    }
}

/// The tail of every move away from a site: forwarding ends.
fn after_forwarding(roamer: &mut Roamer<'_>, agent: &str) {
    roamer.world.run_ms(FORWARD_SECS * 1_000 + 2_000);
    assert!(roamer.world.agent(agent).binding(HOME).is_none(), "it still forwards");
}

#[test]
fn s3_from_a_foreign_site_to_another_without_route_optimisation() {
    let lab = three_sites("radio-a").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A);
        let old = roamer.care_of.expect("registered");
        let mode = roamer.either();
        let moved = roamer.go(SECOND_C, mode);
        let seen = roamer.world.seen_since(moved);
        check_down_in(&mut roamer, &SECOND_OF_THREE);
        // Only what the home agent had under way: nobody else knows the old care-of address.
        assert!(forwarded(&seen, old) < 20, "{} packets forwarded", forwarded(&seen, old));
        roamer.go_within(mode);
        after_forwarding(&mut roamer, "mma1");
        roamer.end();
    });
}

fn check_down_in(roamer: &mut Roamer<'_>, site: &Site) {
    let since = roamer.world.now();
    roamer.world.run_ms(200);
    let seen = roamer.world.seen_since(since);
    let care_of = roamer.care_of.expect("registered");
    let is_one_box = roamer.world.worker(site.agent).node().home_agent().is_some();
    assert_eq!(check_down(&seen, site, care_of) == 0, is_one_box, "in the home agent's tunnel");
    check_up(&seen, site, care_of);
}

#[test]
fn s4_home_from_a_foreign_site() {
    let lab = three_sites("radio-a").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A);
        let mode = roamer.either();
        roamer.go(Place::Home, mode);
        after_forwarding(&mut roamer, "mma1");
        roamer.end();
    });
}

fn to_the_home_site(lab: &Lab, seed: u64) {
    let mut roamer = Roamer::start(lab, seed, FIRST_A);
    let mode = roamer.either();
    roamer.go(HOME_E, mode);
    check_down_in(&mut roamer, &HOME_OF_THREE);
    let mode = roamer.either();
    roamer.go_within(mode);
    after_forwarding(&mut roamer, "mma1");
    roamer.end();
}

#[test]
fn s5_to_the_home_site_whose_agents_are_apart() {
    let lab = three_sites("radio-a").lab();
    over_seeds(|seed| to_the_home_site(&lab, seed));
}

#[test]
fn s5_to_the_home_site_whose_agents_are_one_node() {
    let draft = Draft::shipped("fig8").configure("mt", &format!("mobile_terminal.forward_secs = {FORWARD_SECS}"));
    let lab = draft.lab();
    over_seeds(|seed| to_the_home_site(&lab, seed));
}

#[test]
fn s6_from_the_home_site_to_a_foreign_site() {
    let lab = three_sites("radio-e").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, HOME_E);
        let mode = roamer.either();
        roamer.go(FIRST_A, mode);
        check_down_in(&mut roamer, &FIRST_OF_THREE);
        let mode = roamer.either();
        roamer.go_within(mode);
        after_forwarding(&mut roamer, "mmah");
        roamer.end();
    });
}

#[test]
fn s7_from_home_to_a_foreign_site() {
    let lab = three_sites("home").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, Place::Home);
        let mode = roamer.either();
        roamer.go(FIRST_A, mode);
        check_down_in(&mut roamer, &FIRST_OF_THREE);
        let mode = roamer.either();
        roamer.go_within(mode);
        roamer.end();
    });
}

#[test]
fn every_node_may_crash_and_all_is_well_again() {
    // What a node has forgotten it is told at the next refresh.
    let lab = three_sites("radio-a").configure("mt", "mobile_terminal.lifetime_secs = 32").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A);
        let victims: Vec<String> = lab.nodes.iter().map(|node| node.name.clone()).collect();
        let victim = &victims[(seed % victims.len() as u64) as usize];
        // Before, while or after the terminal moves.
        let wait = roamer.chance.below(3_000);
        let moves = roamer.chance.below(2) == 0;
        if moves {
            roamer.world.approach("mt", "radio-a", "radio-c");
        }
        roamer.world.run_ms(wait);
        roamer.world.crash(victim);
        let dead = roamer.chance.below(4_000);
        roamer.world.run_ms(dead);
        roamer.world.restart(victim);
        if moves {
            roamer.world.run_ms(500);
            roamer.world.detach("mt", "radio-a");
        }
        let place = if moves { SECOND_C } else { FIRST_A };
        roamer
            .world
            .run_until("everybody knows where the terminal is", 1_200_000, |world| is_registered_at(world, &place));
        settle(&mut roamer.world);
        let (down, up) = (roamer.world.down(20, 100), roamer.world.up(20, 100));
        roamer.world.run_ms(3_000);
        for stream in [down, up] {
            let summary = roamer.world.flow(stream).summary();
            let least = if roamer.weather.is_fair() { 100 } else { 50 };
            assert!(summary.received >= least, "{victim} has crashed: {summary:?}\n{}", roamer.world.story(40));
        }
    });
}
