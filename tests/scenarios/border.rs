//! Transparency: movements within a site are not to be told from outside of it, with two networks at once
//! beside it (S11).

use crate::agreement::finish;
use crate::between::{Roamer, With};
use crate::blocks::{FIRST_OF_THREE, FOREIGN_SITE, Mode, check_up, is_heard, is_settled};
use crate::roaming::{Place, three_sites_with};
use crate::world::{CN, Draft, GROUP, HOME, Seen, Weather, World, over_seeds};
use stack::inspect::Class;
use stack::sim::Detach;
use stack::time::Instant;
use std::collections::BTreeSet;

/// Movements under route optimisation.
const MOVES: usize = 100;

/// Seeds of the long story.
const STORIES: u64 = 3;

#[test]
fn s14_a_hundred_movements_are_not_seen_at_the_border() {
    let lab = three_sites_with("radio-a", "mma").lab();
    for seed in 0..STORIES {
        let weather = if seed == 0 { Weather::Fair } else { Weather::Rough };
        let mut roamer = Roamer::start_in(&lab, seed, weather, Place::In(&FIRST_OF_THREE, 0), With::Peer);
        roamer.await_optimised(Instant::ORIGIN);
        roamer.world.run_ms(3_000);
        let (down, up) = (roamer.world.down_from_peer(50, 3_000), roamer.world.up_to_peer(50, 3_000));
        roamer.world.run_ms(1_000);
        let border = |s: &Seen| {
            let link = lab.link_named(&s.link);
            link.is_some_and(|link| lab.links[link.0].site.as_deref() != Some("foreign-1"))
        };
        let forms = |seen: &[Seen]| -> BTreeSet<(String, String)> {
            let data = seen.iter().filter(|s| border(s) && s.what.class() == Class::Data);
            data.map(|s| {
                let form = format!("{:?} {:?} {:?}", s.headers(), s.routing_header(), s.home_address_option());
                (s.link.to_string(), form)
            })
            .collect()
        };
        let began = roamer.world.now();
        roamer.world.run_ms(1_000);
        let before = forms(&roamer.world.seen_since(began));
        let moving = roamer.world.now();
        for number in 0..MOVES {
            roamer.go_within(if number % 2 == 0 { Mode::MakeFirst } else { Mode::BreakFirst });
        }
        let seen = roamer.world.seen_since(moving);
        for s in seen.iter().filter(|s| border(s)) {
            let signals = s.is_mobility() || s.joins(GROUP) || s.prunes(GROUP) || s.records(GROUP).next().is_some();
            assert!(!signals, "at the border: {s}");
        }
        let new: Vec<_> = forms(&seen).difference(&before).cloned().collect();
        assert_eq!(new, [], "headers that were not there before");
        for stream in [down, up] {
            let summary = roamer.world.flow(stream).summary();
            assert_eq!(summary.duplicated, 0, "{summary:?}");
            assert!(summary.received > 500, "{summary:?}");
        }
        roamer.end();
    }
}

/// Received by two links for three seconds, sent by one; and when the one that is left goes without a word, nothing is
/// lost.
#[test]
fn s11_two_networks_at_once() {
    let lab = Draft::shipped("fig5").configure("mt", "mobile_terminal.leave_delay_ms = 5000").lab();
    over_seeds(|seed| {
        let [a, b] = FOREIGN_SITE.access;
        let weather = if seed.is_multiple_of(2) { Weather::Fair } else { Weather::Rough };
        let mut world = World::new(&lab, seed, weather);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        world.run_ms(1_000);
        let (down, up) = (world.down(5, 1_000), world.up(5, 1_000));
        world.run_ms(500);
        let moved = world.now();
        world.approach("mt", a.link, b.link);
        world.run_until("the terminal sends through its new router", 8_000, |world| world.sends_through("mt", b.link));
        world.run_until("packets come by the new link", 4_000, |world| is_heard(world, &b, moved));
        world.run_ms(1_000);
        assert!(!world.has_seen_since(moved, |s| s.from == "mt" && s.leaves(GROUP)), "it has left already");
        // The old link goes, and nobody is told.
        let (terminal, port) = (world.id("mt"), world.port_on("mt", a.link));
        world.sim.network_mut().detach(terminal, port, Detach::Silent);
        world.run_ms(5_000);
        let seen = world.seen_since(moved);
        let by = |link: &str| -> BTreeSet<u64> {
            let data = seen.iter().filter(|s| s.link == link && s.is_data(CN, HOME) && !s.lost);
            data.map(|s| s.what.fingerprint(&s.frame)).collect()
        };
        assert!(by(a.link).intersection(&by(b.link)).count() > 100, "few packets came by two links");
        let care_of = world.terminal("mt").site().care_of.expect("registered");
        let links = check_up(&seen, &FOREIGN_SITE, care_of);
        assert!(links == [a.link, b.link] || links == [b.link], "through two routers at once: {links:?}");
        for stream in [down, up] {
            let summary = world.flow(stream).summary();
            assert_eq!((summary.sent, summary.duplicated), (1_000, 0), "{summary:?}");
            assert!(!weather.is_fair() || summary.lost == 0, "{summary:?}");
        }
        finish(&mut world);
    });
}
