//! From site to site, away from home and back: scenarios S3 to S7 and S15.

use crate::agreement::finish;
use crate::blocks::{
    FIRST_OF_THREE, HOME_OF_THREE, Mode, SECOND_OF_THREE, Site, check_down, check_up, is_heard, is_settled, move_within,
};
use crate::roaming::{
    FORWARD_SECS, Place, all_forwarded, check_backbone, check_move, check_route_optimisation, forwarded, go,
    home_agent_accepts, is_registered_at, sends_straight, three_sites_with, with_route_optimisation,
};
use crate::world::{CN, Draft, HOME, PEER, Seen, Stream, Weather, World, over_seeds, weather};
use drover::config::lab::Lab;
use stack::rng::Rng;
use stack::tables::BindingState;
use stack::time::{Duration, Instant};
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
pub(crate) const FIRST_A: Place = Place::In(&FIRST_OF_THREE, 0);
pub(crate) const SECOND_C: Place = Place::In(&SECOND_OF_THREE, 0);
pub(crate) const HOME_E: Place = Place::In(&HOME_OF_THREE, 0);

/// Whom the terminal's programs talk to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum With {
    /// The unmodified host.
    Cn,
    /// The correspondent of ours.
    Peer,
}

/// A terminal that roams, with streams both ways between its programs and a correspondent.
pub(crate) struct Roamer<'a> {
    pub(crate) world: World<'a>,
    pub(crate) weather: Weather,
    pub(crate) chance: Rng,
    place: Place,
    pub(crate) care_of: Option<Ipv6Addr>,
    with: With,
    /// To and from the terminal, those of now last, and when they end.
    streams: Vec<[Stream; 2]>,
    talk_until: Instant,
}

/// Longer than an agent remembers, twice in a row, that a correspondent did not answer.
const PATIENCE_MS: u64 = 1_400_000;
/// As long as the programs talk, and as is left of it where a story goes on.
const TALK_MS: u64 = 20_000;

impl<'a> Roamer<'a> {
    pub(crate) fn start(lab: &'a Lab, seed: u64, place: Place, with: With) -> Self {
        Roamer::start_in(lab, seed, weather(seed), place, with)
    }

    pub(crate) fn start_in(lab: &'a Lab, seed: u64, weather: Weather, place: Place, with: With) -> Self {
        let mut world = World::new(lab, seed, weather);
        match place {
            Place::Home => world.run_ms(1_500),
            Place::In(..) => world.run_until("both agents acknowledge", 30_000, is_settled),
        }
        let (began, chance) = (world.now(), Rng::new(seed));
        let mut roamer =
            Roamer { world, weather, chance, place, care_of: None, with, streams: Vec::new(), talk_until: began };
        roamer.talk(20, TALK_MS);
        for stream in roamer.streams() {
            let passes = |world: &World<'_>| world.flow(stream).summary_between(began, world.now()).received > 0;
            roamer.world.run_until("packets come at the start", 20_000, passes);
        }
        roamer.care_of = roamer.world.terminal("mt").site().care_of;
        roamer
    }

    /// The streams of now.
    fn streams(&self) -> [Stream; 2] {
        *self.streams.last().expect("there are always some")
    }

    /// To the terminal.
    pub(crate) fn down(&self) -> Stream {
        self.streams()[0]
    }

    /// The programs talk, a packet every so often.
    pub(crate) fn talk(&mut self, interval_ms: u64, millis: u64) -> [Stream; 2] {
        let (world, count) = (&mut self.world, millis / interval_ms);
        let streams = match self.with {
            With::Cn => [world.down(interval_ms, count), world.up(interval_ms, count)],
            With::Peer => [world.down_from_peer(interval_ms, count), world.up_to_peer(interval_ms, count)],
        };
        self.streams.push(streams);
        self.talk_until = world.now() + Duration::from_millis(millis);
        streams
    }

    /// The programs talk for half of their time at least.
    fn keep_talking(&mut self) {
        if self.talk_until < self.world.now() + Duration::from_millis(TALK_MS / 2) {
            self.talk(20, TALK_MS);
        }
    }

    /// Waits until something is so, for as long as an agent may have given up a correspondent; the programs say a word now
    /// and then, since nobody is told anything for the sake of who is silent.
    fn await_in_any_weather(&mut self, what: &str, done: impl Fn(&World<'_>) -> bool) {
        let limit = self.world.now() + Duration::from_millis(PATIENCE_MS);
        let mut is_slow = false;
        while !done(&self.world) {
            assert!(self.world.now() < limit, "in vain: {what}\n{}", self.world.story(60));
            if self.talk_until <= self.world.now() {
                self.talk(1_000, TALK_MS);
                is_slow = true;
            }
            self.world.run_ms(50);
        }
        if is_slow {
            self.talk(20, TALK_MS);
        }
        self.keep_talking();
    }

    /// Waits until the correspondent of ours sends straight to where the terminal is.
    pub(crate) fn await_optimised(&mut self, since: Instant) {
        let care_of = self.care_of.expect("away from home");
        let straight = |world: &World<'_>| sends_straight(world, care_of, since);
        self.await_in_any_weather("the peer sends straight to the care-of address", straight);
    }

    /// To another site, or home.
    pub(crate) fn go(&mut self, to: Place, mode: Mode) -> Instant {
        self.keep_talking();
        let streams = self.streams();
        let moved = go(&mut self.world, self.place, to, mode, &streams, &mut self.chance);
        self.care_of = check_move(&self.world, moved, (self.place, to), mode, self.care_of);
        self.place = to;
        if mode == Mode::MakeFirst && self.weather.is_fair() {
            let until = self.world.now();
            self.world.run_ms(100);
            for stream in self.streams() {
                let summary = self.world.flow(stream).summary_between(moved, until);
                assert_eq!((summary.lost, summary.duplicated), (0, 0), "{summary:?}\n{}", self.world.story(40));
            }
        }
        moved
    }

    /// To the other access link of the same site.
    pub(crate) fn go_within(&mut self, mode: Mode) {
        let Place::In(site, access) = self.place else { panic!("home has one link") };
        let (from, to) = (&site.access[access], &site.access[1 - access]);
        move_within(&mut self.world, site, from, to, mode, &mut self.chance);
        self.place = Place::In(site, 1 - access);
    }

    pub(crate) fn either(&mut self) -> Mode {
        if self.chance.below(2) == 0 { Mode::MakeFirst } else { Mode::BreakFirst }
    }

    /// What holds of every story, however long it was.
    pub(crate) fn end(mut self) {
        finish(&mut self.world);
        if self.weather != Weather::Stormy {
            for &stream in self.streams.iter().flatten() {
                let summary = self.world.flow(stream).summary();
                assert_eq!(summary.duplicated, 0, "{summary:?}");
            }
        }
        check_backbone(&self.world);
    }
}

/// The tail of every move away from a site: forwarding ends.
pub(crate) fn after_forwarding(roamer: &mut Roamer<'_>, agent: &str) {
    roamer.world.run_ms(FORWARD_SECS * 1_000 + 2_000);
    assert!(roamer.world.agent(agent).binding(HOME).is_none(), "it still forwards");
}

#[test]
fn s3_from_a_foreign_site_to_another_without_route_optimisation() {
    let lab = three_sites_with("radio-a", "off").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Cn);
        let old = roamer.care_of.expect("registered");
        let mode = roamer.either();
        let moved = roamer.go(SECOND_C, mode);
        let seen = roamer.world.seen_since(moved);
        check_down_in(&mut roamer, &SECOND_OF_THREE);
        // Nobody but the home agent knows the old care-of address: when it knows better, what was under way is all.
        let told = home_agent_accepts(&roamer.world, &seen);
        let sent_since = seen.iter().filter(|s| s.at > told && s.from == "cn" && s.is_data(CN, HOME));
        let sent_since: BTreeSet<u64> = sent_since.map(|s| s.what.fingerprint(&s.frame)).collect();
        assert!(!sent_since.is_empty(), "nothing more to forward");
        assert!(all_forwarded(&seen, old).is_disjoint(&sent_since), "what was sent later is forwarded");
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
fn s3_the_new_agent_takes_over_route_optimisation() {
    let lab = three_sites_with("radio-a", "mma").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Peer);
        let (began, old) = (Instant::ORIGIN, roamer.care_of.expect("registered"));
        roamer.await_optimised(began);
        check_route_optimisation(&roamer.world, began, old);
        let mode = roamer.either();
        let moved = roamer.go(SECOND_C, mode);
        let new = roamer.care_of.expect("registered");
        roamer.await_optimised(moved);
        let optimised = roamer.world.now();
        check_route_optimisation(&roamer.world, moved, new);
        // Until the new agent had told the peer, the old one forwarded; it stops although its time is not over.
        assert!(forwarded(&roamer.world.seen_since(moved), old) > 0, "nothing was forwarded");
        roamer.world.run_ms(1_000);
        let late = roamer.world.seen_since(optimised + Duration::from_millis(200));
        assert_eq!(forwarded(&late, old), 0, "forwarded although the peer knows");
        roamer.go_within(mode);
        after_forwarding(&mut roamer, "mma1");
        roamer.end();
    });
}

#[test]
fn s3_a_correspondent_that_refuses_is_reached_by_the_home_agent() {
    let lab = three_sites_with("radio-a", "mma").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Cn);
        let mode = roamer.either();
        roamer.go(SECOND_C, mode);
        after_forwarding(&mut roamer, "mma1");
        // Both agents have tried; the correspondent knows nothing of it, and nothing is lost for that.
        let seen = roamer.world.seen();
        let tries = |s: &Seen| s.is_mobility() && s.link == "cn-bb" && s.destination() == CN;
        assert!(seen.iter().any(tries), "nobody has tried");
        assert!(!seen.iter().any(|s| s.update().is_some() && s.destination() == CN), "an update without a test");
        assert!(!seen.iter().any(|s| s.from == "cn" && s.routing_header().is_some()));
        roamer.end();
    });
}

#[test]
fn s3_an_agent_that_is_gone_is_given_up() {
    let lab = three_sites_with("radio-a", "off").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Cn);
        let moved = roamer.world.now();
        roamer.world.crash("mma1");
        roamer.world.jump("mt", "radio-a", "radio-c", 30);
        let heard = |world: &World<'_>| is_heard(world, &SECOND_OF_THREE.access[0], moved);
        roamer.world.run_until("packets come in the new site", 20_000, heard);
        let arrived = roamer.world.now();
        roamer.world.run_ms(3_000);
        let summary = roamer.world.flow(roamer.down()).summary_between(arrived, roamer.world.now());
        // Eleven links that lose up to one in fifty each leave four in five to be expected, and of 150 seldom fewer than
        // two in three.
        assert!(summary.received * 3 >= summary.sent * 2, "{summary:?}");
        assert!(!roamer.weather.is_fair() || summary.lost == 0, "{summary:?}");
        // It is asked again, later and later, with a number of its own each time, and in the end no more.
        roamer.world.run_ms(400_000);
        let asked: Vec<(Instant, u16)> = roamer
            .world
            .seen_since(moved)
            .iter()
            .filter(|s| s.from == "mt" && s.destination() == FIRST_OF_THREE.address)
            .filter_map(|s| Some((s.at, s.update()?.sequence)))
            .collect();
        assert!(asked.len() > 2, "{asked:?}");
        assert!(asked.windows(2).all(|pair| pair[0].1.wrapping_add(1) == pair[1].1), "{asked:?}");
        let last = asked[asked.len() - 1].0;
        assert!(roamer.world.now() - last > Duration::from_secs(100), "it is still asked: {asked:?}");
        assert!(!roamer.world.terminal("mt").is_registering());
        roamer.world.check();
    });
}

#[test]
fn s3_a_request_that_is_lost_is_repeated() {
    let lab = three_sites_with("radio-a", "off").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Cn);
        let moved = roamer.world.now();
        let (backbone, agent) = (roamer.world.id("backbone"), roamer.world.id("mma1"));
        // What goes to the old agent is lost for a while.
        roamer.world.sim.network_mut().set_deaf(backbone, agent, true);
        roamer.world.jump("mt", "radio-a", "radio-c", 30);
        let asks = |s: &Seen| s.from == "mt" && s.destination() == FIRST_OF_THREE.address && s.update().is_some();
        roamer.world.run_until("it has been asked", 20_000, |world| world.has_seen_since(moved, asks));
        roamer.world.run_ms(500);
        roamer.world.sim.network_mut().set_deaf(backbone, agent, false);
        roamer.world.run_until("it forwards", 60_000, |world| is_registered_at(world, &SECOND_C));
        let asked: Vec<u16> = roamer
            .world
            .seen_since(moved)
            .iter()
            .filter(|s| asks(s))
            .map(|s| s.update().expect("one").sequence)
            .collect();
        assert!(asked.len() > 1 && asked.windows(2).all(|pair| pair[0].wrapping_add(1) == pair[1]), "{asked:?}");
        assert!(matches!(
            roamer.world.agent("mma1").binding(HOME).map(|binding| binding.state),
            Some(BindingState::Forward { .. })
        ));
        roamer.place = SECOND_C;
        after_forwarding(&mut roamer, "mma1");
        roamer.end();
    });
}

/// A thousand packets a second both ways with route optimisation, and both links up for a while: nothing that comes is
/// lost, nothing comes twice, forwarding ends, nothing is forwarded twice.
#[test]
fn overlap_between_sites_at_a_thousand_packets_a_second_loses_nothing() {
    let lab = three_sites_with("radio-a", "mma").lab();
    for seed in 0..4 {
        let mut roamer = Roamer::start_in(&lab, seed, Weather::Fair, FIRST_A, With::Peer);
        roamer.await_optimised(Instant::ORIGIN);
        let old = roamer.care_of.expect("registered");
        let (down, up) = (roamer.world.down_from_peer(1, 4_000), roamer.world.up_to_peer(1, 4_000));
        roamer.world.run_ms(500 + seed * 7);
        let moved = roamer.go(SECOND_C, Mode::MakeFirst);
        roamer.await_optimised(moved);
        roamer.world.run_ms(4_000);
        for stream in [down, up] {
            let summary = roamer.world.flow(stream).summary();
            assert_eq!((summary.sent, summary.lost, summary.duplicated), (4_000, 0, 0), "{summary:?}");
        }
        assert!(forwarded(&roamer.world.seen_since(moved), old) > 0, "nothing was forwarded");
        after_forwarding(&mut roamer, "mma1");
        roamer.end();
    }
}

#[test]
fn s4_home_from_a_foreign_site_with_route_optimisation() {
    let lab = three_sites_with("radio-a", "mma").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Peer);
        roamer.await_optimised(Instant::ORIGIN);
        let mode = roamer.either();
        roamer.go(Place::Home, mode);
        let native = |s: &Seen| s.link == "home" && s.is_data(PEER, HOME) && s.headers() == [(PEER, HOME)];
        let home = roamer.world.now();
        roamer.await_in_any_weather("the peer sends home", |world| world.has_seen_since(home, native));
        after_forwarding(&mut roamer, "mma1");
        roamer.end();
    });
}

#[test]
fn s4_home_from_a_foreign_site() {
    let lab = three_sites_with("radio-a", "off").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Cn);
        let mode = roamer.either();
        roamer.go(Place::Home, mode);
        after_forwarding(&mut roamer, "mma1");
        roamer.end();
    });
}

fn to_the_home_site(lab: &Lab, seed: u64) {
    let mut roamer = Roamer::start(lab, seed, FIRST_A, With::Cn);
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
    let lab = three_sites_with("radio-a", "off").lab();
    over_seeds(|seed| to_the_home_site(&lab, seed));
}

#[test]
fn s5_to_the_home_site_whose_agents_are_one_node() {
    let draft = Draft::shipped("fig8").configure("mt", &format!("mobile_terminal.forward_secs = {FORWARD_SECS}"));
    let lab = with_route_optimisation(draft, "off").lab();
    over_seeds(|seed| to_the_home_site(&lab, seed));
}

#[test]
fn s6_from_the_home_site_to_a_foreign_site() {
    let lab = three_sites_with("radio-e", "off").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, HOME_E, With::Cn);
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
    let lab = three_sites_with("home", "off").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, Place::Home, With::Cn);
        let mode = roamer.either();
        roamer.go(FIRST_A, mode);
        check_down_in(&mut roamer, &FIRST_OF_THREE);
        let mode = roamer.either();
        roamer.go_within(mode);
        roamer.end();
    });
}

/// Figure 10 with its lines 5 and 6: the agent of the site tells the correspondent, which sends straight to it.
#[test]
fn s7_from_home_to_a_foreign_site_with_route_optimisation() {
    let lab = three_sites_with("home", "mma").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, Place::Home, With::Peer);
        let mode = roamer.either();
        let moved = roamer.go(FIRST_A, mode);
        let care_of = roamer.care_of.expect("registered");
        roamer.await_optimised(moved);
        check_route_optimisation(&roamer.world, moved, care_of);
        let within = roamer.world.now();
        let mode = roamer.either();
        roamer.go_within(mode);
        // Where the terminal is in the site is nothing to the correspondent.
        let seen = roamer.world.seen_since(within);
        let told = seen.iter().find(|s| s.link == "peer-bb" && s.update().is_some_and(|_| s.source() != care_of));
        assert!(told.is_none(), "{}", told.expect("one"));
        assert!(sends_straight(&roamer.world, care_of, within), "the peer has forgotten");
        roamer.end();
    });
}
