//! At home, in the home site, in a foreign site: scenarios S0, S1 and S2.

use crate::agreement::finish;
use crate::blocks::{
    Access, FOREIGN_SITE, HOME_SITE, Mode, Site, check_down, check_entry, check_up, is_heard, is_settled, move_within,
};
use crate::world::{CN, Draft, GROUP, HOME, Seen, Weather, World, is_in, over_seeds, weathers};
use drover::config::lab::Lab;
use stack::inspect::{Class, Kind};
use stack::rng::Rng;
use std::collections::BTreeSet;

/// Moves inside the site.
const MOVES: usize = 4;

#[test]
fn s0_at_home() {
    let lab = Draft::shipped("fig4").lab();
    over_seeds(|seed| {
        for weather in weathers(seed) {
            let mut world = World::new(&lab, seed, weather);
            world.run_ms(1_500);
            let (down, up) = (world.down(20, 150), world.up(20, 150));
            world.run_ms(4_500);
            finish(&mut world);
            for s in world.seen() {
                assert!(!s.is_mobility(), "{s}");
                assert!(s.records(GROUP).next().is_none() && !s.joins(GROUP), "{s}");
                assert!(!s.what.is_tunnelled(), "{s}");
            }
            for (agent, bindings) in world.sim.bindings() {
                assert_eq!(bindings, serde_json::json!([]), "{agent}");
            }
            for flow in [world.flow(down), world.flow(up)] {
                let summary = flow.summary();
                assert_eq!((summary.sent, summary.duplicated), (150, 0), "{summary:?}");
                let enough = if weather == Weather::Fair { 150 } else { 50 };
                assert!(summary.received >= enough, "{summary:?}");
            }
        }
    });
}

/// Registration, then moves inside the site, with traffic both ways. Returns how many packets came to the terminal by two
/// links.
pub(crate) fn tour(lab: &Lab, site: &Site, seed: u64, weather: Weather) -> usize {
    let mut chance = Rng::new(seed);
    let mut world = World::new(lab, seed, weather);
    let starts_at_home = lab.nodes[world.node("mt").0].start == lab.link_named("home");
    if starts_at_home {
        world.run_ms(1_500);
        assert!(world.seen().iter().all(|s| !s.is_mobility()), "at home there is nothing to say");
        world.jump("mt", "home", site.access[0].link, 20);
    }
    world.run_until("both agents acknowledge", 30_000, is_settled);
    let entered = world.now();
    let (down, up) = (world.down(20, 1_000), world.up(20, 1_000));
    world.run_until("packets come through the first router", 8_000, |world| is_heard(world, &site.access[0], entered));
    world.run_ms(300);
    let care_of = check_entry(&world.seen(), site);

    let mut place = 0;
    let mut links = vec![site.access[0].link.to_owned()];
    for _ in 0..MOVES {
        let mode = if chance.below(2) == 0 { Mode::MakeFirst } else { Mode::BreakFirst };
        let (from, to) = (&site.access[place], &site.access[1 - place]);
        let moved = world.now();
        move_within(&mut world, site, from, to, mode, &mut chance);
        let arrived = world.now();
        for stream in [down, up] {
            let passes = |world: &World<'_>| world.flow(stream).summary_between(arrived, world.now()).received > 0;
            world.run_until("programs are heard from the new place", 8_000, passes);
        }
        if (mode, weather) == (Mode::MakeFirst, Weather::Fair) {
            let under_way = world.now();
            world.run_ms(100);
            for stream in [down, up] {
                let summary = world.flow(stream).summary_between(moved, under_way);
                assert_eq!((summary.lost, summary.duplicated), (0, 0), "{summary:?}");
            }
        }
        links.push(to.link.to_owned());
        place = 1 - place;
    }

    let seen = world.seen();
    let away: Vec<_> = seen.iter().filter(|s| s.at >= entered).cloned().collect();
    assert!(check_down(&away, site, care_of) > 0, "none in the home agent's tunnel");
    // Each router in turn and never back: two are not sent through at once.
    assert_eq!(check_up(&away, site, care_of), links);
    for s in &seen {
        assert!(!(s.source() == site.address && s.update().is_some()), "route optimisation is off: {s}");
        assert!(!(s.is_mobility() && [s.source(), s.destination()].contains(&CN)), "to the correspondent: {s}");
        assert_ne!(s.what.class(), Class::Icmpv6Error, "{s}");
    }
    for flow in [world.flow(down), world.flow(up)] {
        assert_eq!(flow.summary().duplicated, 0, "{:?}", flow.summary());
    }
    finish(&mut world);
    let came_by = |access: &Access| -> BTreeSet<Vec<u8>> {
        let data = seen.iter().filter(|s| s.link == access.link && s.is_data(CN, HOME) && !s.lost);
        data.map(|s| s.what.identity(&s.frame)).collect()
    };
    came_by(&site.access[0]).intersection(&came_by(&site.access[1])).count()
}

#[test]
fn s1_home_site() {
    let lab = Draft::shipped("fig4").lab();
    let mut by_two = 0;
    over_seeds(|seed| by_two += weathers(seed).map(|weather| tour(&lab, &HOME_SITE, seed, weather)).sum::<usize>());
    assert!(by_two > 0, "no packet came by two links");
}

#[test]
fn s2_foreign_site() {
    let lab = Draft::shipped("fig5").lab();
    let mut by_two = 0;
    over_seeds(|seed| by_two += weathers(seed).map(|weather| tour(&lab, &FOREIGN_SITE, seed, weather)).sum::<usize>());
    assert!(by_two > 0, "no packet came by two links");
}

#[test]
fn s2_up_directly_and_by_the_tunnel_where_that_is_refused() {
    let lab = Draft::shipped("fig5").configure("mt", "mobile_terminal.uplink = \"direct\"").lab();
    over_seeds(|seed| {
        let [a, b] = FOREIGN_SITE.access;
        let mut world = World::new(&lab, seed, Weather::Rough);
        // With its option, a packet on the wire is not the one that the programs sent.
        world.has_strangers = true;
        world.run_until("both agents acknowledge", 30_000, is_settled);
        let flow = world.up(20, 1_000);
        let is_refusal = |s: &Seen| s.source() == CN && matches!(s.what.kind, Kind::Icmpv6Error { kind: 4, code: 2 });
        let refused = |world: &World<'_>| {
            world.seen().iter().any(|s| is_refusal(s) && s.link == a.link && s.from == a.router && !s.lost)
        };
        world.run_until("the correspondent refuses the option", 15_000, refused);
        world.run_ms(50);
        let told = world.now();
        let heard = |world: &World<'_>| world.flow(flow).summary_between(told, world.now()).received > 0;
        world.run_until("the correspondent hears the terminal by the tunnel", 15_000, heard);
        world.jump("mt", a.link, b.link, 50);
        let moved = world.now();
        let heard = |world: &World<'_>| {
            world.sends_through("mt", b.link) && world.flow(flow).summary_between(moved, world.now()).received > 0
        };
        world.run_until("from the other link too", 15_000, heard);

        let seen = world.seen();
        let mut direct_on = BTreeSet::new();
        for s in seen.iter().filter(|s| s.is_data(HOME, CN) && !s.link.ends_with("-tun") && s.what.inner().is_some()) {
            let access = FOREIGN_SITE.access.iter().find(|access| s.link == access.link);
            match s.headers()[..] {
                [(source, _)] if s.home_address_option() == Some(HOME) => {
                    assert!(s.at <= told || s.from != "mt", "refused, and sent again: {s}");
                    assert!(is_in(source, a.prefix), "{s}");
                    direct_on.insert(&*s.link);
                }
                [_] => assert!(access.is_none(), "the home address on an access link: {s}"),
                _ => assert!(access.is_none_or(|access| is_in(s.source(), access.prefix)), "{s}"),
            }
        }
        let path = [a.link, a.uplink, FOREIGN_SITE.trunk, "bb-mma1", "cn-bb"];
        assert!(path.iter().all(|link| direct_on.contains(link)), "past the filter and the border: {direct_on:?}");
        assert_eq!(world.flow(flow).summary().duplicated, 0);
        finish(&mut world);
    });
}
