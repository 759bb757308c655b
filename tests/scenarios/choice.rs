//! What a router says decides what kind of move it is, and its signal whether there is one: scenarios S8 and S9.

use crate::agreement::finish;
use crate::blocks::{FOREIGN_SITE, is_settled};
use crate::second_site::{SECOND_AGENT, SECOND_CARE_OF, fig5_with_second_site};
use crate::world::{Draft, GROUP, HOME, HOME_AGENT, Seen, Weather, World, is_in, over_seeds};
use drover::config::lab::Lab;
use ha::mobile::movement::Site;
use stack::rng::Rng;
use stack::time::{Duration, Instant};
use stack::wire::mld::RecordType;
use stack::wire::mobility::BindingUpdateFlags;
use std::collections::BTreeSet;
use std::net::Ipv6Addr;

const ONE: Ipv6Addr = FOREIGN_SITE.address;
const TWO: Ipv6Addr = SECOND_AGENT;

/// An access link whose router says something else than the others'.
struct Variant {
    link: &'static str,
    /// Its prefix without the length.
    prefix: &'static str,
    /// Its access router.
    router: &'static str,
    /// The MAP options that its router sends, in TOML.
    maps: &'static str,
    /// The agents that serve registered terminals here.
    serves: &'static [Ipv6Addr],
    /// The agent that takes new terminals here.
    takes: Option<Ipv6Addr>,
}

const VARIANTS: [Variant; 8] = [
    Variant {
        link: "radio-b",
        prefix: "2001:db8:200:b::",
        router: "b",
        maps: r#"{ address = "2001:db8:200::1" }"#,
        serves: &[ONE],
        takes: Some(ONE),
    },
    Variant {
        link: "list",
        prefix: "2001:db8:200:b1::",
        router: "b",
        maps: r#"{ address = "2001:db8:300::1", distance = 2 }, { address = "2001:db8:200::1", distance = 3 }"#,
        serves: &[ONE, TWO],
        takes: Some(ONE),
    },
    Variant {
        link: "gone",
        prefix: "2001:db8:200:b2::",
        router: "b",
        maps: r#"{ address = "2001:db8:200::1", lifetime_secs = 0 }"#,
        serves: &[],
        takes: None,
    },
    Variant {
        link: "gone-but-two",
        prefix: "2001:db8:200:b3::",
        router: "b",
        maps: r#"{ address = "2001:db8:200::1", lifetime_secs = 0 }, { address = "2001:db8:300::1" }"#,
        serves: &[TWO],
        takes: Some(TWO),
    },
    Variant {
        link: "draining",
        prefix: "2001:db8:200:b4::",
        router: "b",
        maps: r#"{ address = "2001:db8:200::1", preference = 0 }"#,
        serves: &[ONE],
        takes: None,
    },
    Variant { link: "none", prefix: "2001:db8:200:b5::", router: "b", maps: "", serves: &[], takes: None },
    Variant {
        link: "radio-2",
        prefix: "2001:db8:300:c0::",
        router: "c",
        maps: r#"{ address = "2001:db8:300::1" }"#,
        serves: &[TWO],
        takes: Some(TWO),
    },
    // The home link, whose router is the home agent.
    Variant { link: "home", prefix: "2001:db8:100:1::", router: "ha", maps: "", serves: &[], takes: None },
];

/// Where the terminal is after it has come to a link, and what kind of move that was.
fn expected(before: Site, variant: &Variant) -> Site {
    match before {
        _ if variant.link == "home" => Site::Home,
        Site::Agent(agent) if variant.serves.contains(&agent) => before,
        _ => variant.takes.map_or(Site::Plain, Site::Agent),
    }
}

/// Figure 5 with a second site, an access link for every variant, and a radio for each of them. `home_maps` is what the
/// home agent's advertisements say of mobility agents.
fn lab_of_variants(home_maps: &str) -> Lab {
    let ra = |maps: &str| {
        format!("{{ min_interval_ms = 100, max_interval_ms = 200, fast_solicited = true, map = [{maps}] }}")
    };
    let mut draft = fig5_with_second_site()
        .configure("ha", &format!("home_agent = {{ ra = {} }}", ra(home_maps)))
        .start("mt", "radio-b")
        .forget_radio("mt", "radio-a")
        .radio("mt", "home")
        .radio("mt", "radio-2");
    for (node, via, next_hop) in [("mma1", "core", "2001:db8:200:1::2"), ("core", "b", "2001:db8:200:3::2")] {
        let route = format!("[[route]]\nprefix = \"2001:db8:200:b0::/60\"\nport = \"{via}\"\nvia = \"{next_hop}\"");
        draft = draft.configure(node, &route);
    }
    draft = draft
        .configure("mma1", r#"mma.access_prefixes = ["2001:db8:200:b0::/60"]"#)
        .configure("mma2", r#"mma.access_prefixes = ["2001:db8:200:b0::/60"]"#);
    for Variant { link, prefix, router, maps, .. } in
        VARIANTS.iter().filter(|variant| variant.prefix.contains(":200:b") && variant.link != "radio-b")
    {
        draft = draft
            .with(&format!("[[link]]\nname = \"{link}\"\nkind = \"lan\"\nsite = \"foreign\"\ndelay_us = 200"))
            .configure(
                router,
                &format!("[[port]]\nname = \"{link}\"\nlink = \"{link}\"\naddresses = [\"{prefix}1/64\"]"),
            )
            .configure(router, &format!("[[access_router.port]]\nname = \"{link}\"\nra = {}", ra(maps)))
            .radio("mt", link);
    }
    draft.lab()
}

#[test]
fn s8_advertisements_decide_the_kind_of_move() {
    const MOVES: usize = 6;
    // What the home agent says of mobility agents does not matter.
    let labs = [lab_of_variants(""), lab_of_variants(r#"{ address = "2001:db8:200::1" }"#)];
    let mut covered = BTreeSet::new();
    let mut seeds = 0;
    over_seeds(|seed| {
        seeds += 1;
        let mut chance = Rng::new(seed);
        let mut world = World::new(&labs[seed as usize % 2], seed, Weather::Rough);
        // Not where the lab file has it, but nowhere.
        world.detach("mt", "radio-b");
        world.run_ms(300);
        let mut present: Option<&Variant> = None;
        for _ in 0..MOVES {
            let variant = &VARIANTS[chance.below(VARIANTS.len() as u64) as usize];
            if present.is_some_and(|present| present.link == variant.link) {
                continue;
            }
            let (before, moved) = (world.terminal("mt").site().site, world.now());
            let had_binding = world.terminal("mt").home_registration().is_some();
            match present {
                Some(present) => world.jump("mt", present.link, variant.link, 50),
                None => {
                    world.signal("mt", variant.link, -50);
                    world.attach("mt", variant.link);
                }
            }
            let after = expected(before, variant);
            let arrived = |world: &World<'_>| {
                let terminal = world.terminal("mt");
                let registered = after == Site::Home || terminal.home_registration().is_some();
                let settled = terminal.site().site == after && registered && !terminal.is_registering();
                settled && world.sends_through("mt", variant.link)
            };
            world.run_until(&format!("{before:?} at {} is {after:?}", variant.link), 60_000, arrived);
            // The agent that was left is told when all the rest is done.
            world.run_ms(1_000);
            world.run_until("the agent that was left has acknowledged", 60_000, arrived);
            check_move(&world.seen(), moved, before, had_binding, after, variant);
            covered.insert((format!("{before:?}"), variant.link));
            present = Some(variant);
        }
        finish(&mut world);
    });
    // Plain, at home, with either agent, and at first nowhere: each has come to every link where that is a move.
    let stayed = ["Home"].len();
    assert!(seeds < 200 || covered.len() == 5 * VARIANTS.len() - stayed, "{} of them: {covered:?}", covered.len());
}

/// What the terminal sent in a move.
fn check_move(all: &[Seen], moved: Instant, before: Site, had_binding: bool, after: Site, variant: &Variant) {
    let what = format!("{before:?} at {} is {after:?}", variant.link);
    let seen = &all[all.partition_point(|s| s.at < moved)..];
    let sent: Vec<&Seen> = seen.iter().filter(|s| s.from == "mt").collect();
    let updates: Vec<(&Seen, Ipv6Addr)> =
        sent.iter().filter(|s| s.update().is_some()).map(|s| (*s, s.destination())).collect();
    for s in &sent {
        assert!(!s.is_mobility() || s.update().is_some(), "{what}: {s}");
        assert!(!s.is_mobility() || s.link == variant.link, "{what}: not by the new router: {s}");
    }
    // The agents of sites left are told to forward, or to forget; no others than those that were asked for a place.
    let was_asked = |s: &Seen, to: Ipv6Addr| {
        let asks = |s: &Seen| s.update().is_some_and(|update| !update.options.subscriptions.is_empty());
        all.iter().take_while(|earlier| earlier.at < s.at).any(|e| e.from == "mt" && e.destination() == to && asks(e))
    };
    let leaves = |s: &Seen, to: Ipv6Addr| {
        let options = |s: &Seen| s.update().map(|update| (update.lifetime.is_zero(), update.options.clone()));
        was_asked(s, to)
            && Site::Agent(to) != after
            && options(s).is_some_and(|(is_removal, options)| {
                options.subscriptions.is_empty() && (is_removal || options.alternate_care_of_address.is_some())
            })
    };
    let reports = sent.iter().any(|s| s.link == variant.link && s.wants(GROUP));
    match after {
        Site::Agent(_) if before == after => {
            assert!(updates.is_empty(), "{what}: {}", updates[0].0);
            assert!(reports, "{what}: no join");
        }
        Site::Agent(agent) => {
            let grant = seen.iter().find(|s| {
                s.source() == agent && s.acknowledgement().is_some_and(|answer| !answer.options.addresses.is_empty())
            });
            let grant = grant.unwrap_or_else(|| panic!("{what}: no grant"));
            let care_of = grant.acknowledgement().expect("it is one").options.addresses[0].address;
            let pool = if agent == ONE { FOREIGN_SITE.care_of } else { SECOND_CARE_OF };
            assert!(is_in(care_of, pool), "{what}: {grant}");
            assert!(reports, "{what}: no join");
            for &(s, to) in &updates {
                let update = s.update().expect("it is one");
                if to == agent {
                    assert!(update.flags.contains(BindingUpdateFlags::MAP_REGISTRATION), "{what}: {s}");
                    assert_eq!(update.options.subscriptions[0].group, GROUP, "{what}: {s}");
                } else if to == HOME_AGENT {
                    assert!(s.at >= grant.at, "{what}: before the agent has acknowledged: {s}");
                    assert_eq!(update.options.alternate_care_of_address, Some(care_of), "{what}: {s}");
                } else {
                    assert!(leaves(s, to), "{what}: {s}");
                }
            }
        }
        Site::Plain => {
            assert!(!reports, "{what}: joined");
            for &(s, to) in &updates {
                let update = s.update().expect("it is one");
                if to == HOME_AGENT {
                    let care_of = update.options.alternate_care_of_address.unwrap_or(s.source());
                    assert!(is_in(care_of, &format!("{}/64", variant.prefix)), "{what}: {s}");
                    assert_eq!(s.home_address_option(), Some(HOME), "{what}: {s}");
                } else {
                    assert!(leaves(s, to), "{what}: {s}");
                }
            }
        }
        Site::Home => {
            assert!(!reports, "{what}: joined");
            assert_eq!(updates.iter().any(|&(_, to)| to == HOME_AGENT), had_binding, "{what}");
            for &(s, to) in &updates {
                assert!(leaves(s, to) || s.update().is_some_and(|update| update.lifetime.is_zero()), "{what}: {s}");
                assert!(s.source() == HOME && s.home_address_option().is_none(), "{what}: {s}");
            }
        }
        Site::Nowhere => panic!("{what}"),
    }
}

/// A minute of two signals that change places every so often, `swing` dB to either side; how often the terminal joined
/// its group on the link where it had not been.
fn changes(lab: &Lab, seed: u64, swing: i16, period_ms: u64) -> usize {
    let mut world = World::new(lab, seed, Weather::Rough);
    world.attach("mt", "radio-b");
    world.signal("mt", "radio-a", -60);
    world.signal("mt", "radio-b", -60);
    world.run_until("both agents acknowledge", 30_000, is_settled);
    // Updates that were repeated before their answer came are on their way still.
    world.run_ms(3_500);
    let start = world.now();
    let mut side = 1;
    while world.now() < start + Duration::from_secs(60) {
        world.signal("mt", "radio-a", -60 + swing * side);
        world.signal("mt", "radio-b", -60 - swing * side);
        side = -side;
        world.run_ms(period_ms);
    }
    finish(&mut world);
    // Every change of mind is a join on the other link.
    let seen = world.seen();
    let is_new = |s: &&Seen| s.records(GROUP).any(|record| record.kind == RecordType::AllowNewSources);
    let mut joined: Vec<&str> = seen.iter().filter(is_new).map(|s| &*s.link).collect();
    joined.dedup();
    assert!(!seen.iter().any(|s| s.at >= start && s.is_mobility()), "a signal made it register");
    joined.len() - 1
}

#[test]
fn s9_ping_pong_signals_cause_no_ping_pong() {
    let lab = Draft::shipped("fig5").configure("mt", "mobile_terminal.minimum_dwell_ms = 1000").lab();
    over_seeds(|seed| {
        let period_ms = 50 + Rng::new(seed).below(2_000);
        let count = changes(&lab, seed, 3, period_ms);
        assert!(count <= 1, "{count} handovers, period {period_ms} ms");
        if seed.is_multiple_of(20) {
            // What is worth a move causes one each time.
            let count = changes(&lab, seed, 12, 4_000);
            assert!((12..=16).contains(&count), "{count} handovers in 15 changes of 24 dB");
        }
    });
}
