//! A terminal that is told its home prefix and finds its home agent by itself (RFC 6275 §11.4.1, §10.5).

use crate::agreement::finish;
use crate::blocks::{FOREIGN_SITE, is_heard, is_settled};
use crate::world::{Draft, HOME, HOME_AGENT, Seen, Weather, World, is_in, over_seeds, weathers};
use stack::inspect::Kind;
use stack::time::{Duration, Instant};
use stack::wire::home_link::Message;
use std::net::Ipv6Addr;

/// The Mobile IPv6 Home-Agents anycast address of the home prefix.
const HOME_AGENTS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0xfdff, 0xffff, 0xffff, 0xfffe);
/// Another home agent of the home link.
const SECOND: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 2);

/// Figure 5 with a terminal that is not told its home agent.
fn fig5() -> Draft {
    Draft::shipped("fig5").configure("mt", "mobile_terminal.home_agent = \"discover\"")
}

/// What was asked by the terminal: when, from where, and with which identifier.
fn questions(seen: &[Seen]) -> Vec<(Instant, Ipv6Addr, u16)> {
    let asked = seen.iter().filter(|s| s.from == "mt").filter_map(|s| match s.what.kind {
        Kind::HomeLink(Message::AddressRequest { identifier }) => {
            assert_eq!(s.headers(), [(s.source(), HOME_AGENTS)], "{s}");
            Some((s.at, s.source(), identifier))
        }
        _ => None,
    });
    asked.collect()
}

/// Home agents in a reply.
fn named(s: &Seen) -> Option<(u16, &[Ipv6Addr])> {
    match &s.what.kind {
        Kind::HomeLink(Message::AddressReply { identifier, agents }) => Some((*identifier, agents)),
        _ => None,
    }
}

/// In a foreign site, with nothing but its home prefix: the terminal registers with the agent of the site, asks, and
/// registers with whom the answer names. Moves within the site are nobody's business.
#[test]
fn a_terminal_in_a_foreign_site_finds_its_home_agent() {
    let lab = fig5().lab();
    over_seeds(|seed| {
        for weather in weathers(seed) {
            let [a, b] = FOREIGN_SITE.access;
            let mut world = World::new(&lab, seed, weather);
            world.run_until("both agents acknowledge", 60_000, is_settled);
            let registered = world.now();
            assert_eq!(world.terminal("mt").home_agent(), Some(HOME_AGENT));
            let streams = [world.down(20, 300), world.up(20, 300)];
            world.run_until("packets come through the first router", 8_000, |world| is_heard(world, &a, registered));
            world.jump("mt", a.link, b.link, 20);
            world.run_until("and through the second", 15_000, |world| world.sends_through("mt", b.link));
            world.run_ms(6_000);

            let seen = world.seen();
            let asked = questions(&seen);
            assert!(!asked.is_empty() && asked.iter().all(|&(at, ..)| at < registered), "{asked:?}");
            for (&(_, source, identifier), n) in asked.iter().zip(0..) {
                assert!(is_in(source, a.prefix), "{source}");
                assert_eq!(identifier, asked[0].2);
                // The first at once, others after 3, 6, 12 s more.
                let due = asked[0].0 + Duration::from_secs(3 * ((1 << n) - 1));
                assert_eq!(asked[n].0, due);
            }
            if weather.is_fair() {
                assert_eq!(asked.len(), 1);
            }
            // The answer comes straight back, before the first update for the home agent leaves.
            let answer = seen.iter().find(|s| s.link == a.link && s.from == a.router && !s.lost && named(s).is_some());
            let answer = answer.expect("an answer");
            assert_eq!(answer.headers(), [(HOME_AGENT, asked[0].1)]);
            assert_eq!(named(answer), Some((asked[0].2, &[HOME_AGENT][..])));
            let told = seen.iter().find(|s| s.from == "mt" && s.destination() == HOME_AGENT).expect("an update");
            assert!(told.update().is_some() && told.at > answer.at, "{told}");
            for stream in streams {
                let summary = world.flow(stream).summary();
                assert_eq!((summary.sent, summary.duplicated), (300, 0), "{summary:?}");
                assert!(summary.received >= if weather.is_fair() { 290 } else { 100 }, "{summary:?}");
            }
            finish(&mut world);
        }
    });
}

/// At home it has heard who is home agent: away from there it has nobody to ask.
#[test]
fn a_terminal_that_leaves_home_has_heard_of_its_home_agent() {
    let advertise = "home_agent.ra = { min_interval_ms = 200, max_interval_ms = 400, fast_solicited = true }";
    let lab = fig5().radio("mt", "home").start("mt", "home").configure("ha", advertise).lab();
    over_seeds(|seed| {
        let mut world = World::new(&lab, seed, Weather::Rough);
        world.run_until("heard", 10_000, |world| world.terminal("mt").home_agent() == Some(HOME_AGENT));
        world.run_ms(1_000);
        world.jump("mt", "home", FOREIGN_SITE.access[0].link, 20);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        assert_eq!(questions(&world.seen()), []);
        finish(&mut world);
    });
}

/// Figure 5 without a mobility agent's part, with a second home agent that is preferred. It does `what` with the
/// terminal.
fn with_second(what: &str) -> Draft {
    let second = format!(
        r#"
        [[node]]
        name = "ha2"

        [[node.config.port]]
        name = "home"
        link = "home"
        addresses = ["2001:db8:100:1::2/64"]

        [[node.config.route]]
        prefix = "::/0"
        port = "home"
        via = "2001:db8:100:1::1"

        [node.config.home_agent]
        port = "home"
        address = "2001:db8:100:1::2"
        ra = {{ min_interval_ms = 200, max_interval_ms = 400, home_agent_preference = 5 }}
        {what}
    "#
    );
    fig5().with(&second).configure("mt", "mobile_terminal.mode = \"mipv6\"\nmobile_terminal.lifetime_secs = 60")
}

const SERVE: &str = r#"
        [[node.config.home_agent.terminal]]
        home_address = "2001:db8:100:1::55"
        spi = 1001
        key = "6a1f0c52d98e4b7730f1c26e5d84a90b"
"#;

fn is_registered_with(world: &World<'_>, agent: Ipv6Addr) -> bool {
    let terminal = world.terminal("mt");
    terminal.home_agent() == Some(agent) && terminal.home_registration().is_some() && !terminal.is_registering()
}

/// The nodes whose home agents have the terminal's binding.
fn bound_at(world: &World<'_>) -> Vec<&'static str> {
    let has = |name: &&str| {
        let agent = world.sim.worker(world.node(name)).and_then(|worker| worker.node().home_agent());
        agent.is_some_and(|agent| agent.bindings().active(HOME).is_some())
    };
    ["ha", "ha2"].into_iter().filter(has).collect()
}

/// What flows both ways from now on arrives once.
fn check_traffic(world: &mut World<'_>) {
    let streams = [world.down(20, 50), world.up(20, 50)];
    world.run_ms(3_000);
    for stream in streams {
        let summary = world.flow(stream).summary();
        assert_eq!((summary.sent, summary.lost, summary.duplicated), (50, 0, 0), "{summary:?}");
    }
}

/// Who comes first in the answer is asked first; where it refuses, or says nothing, the next.
#[test]
fn the_next_home_agent_is_asked_where_the_first_does_not_serve() {
    let refuses = with_second(&format!("{SERVE}        denied = true")).lab();
    let silent = with_second("").lab();
    over_seeds(|seed| {
        for (lab, patience) in [(&refuses, Duration::from_secs(2)), (&silent, Duration::from_secs(48))] {
            let mut world = World::new(lab, seed, Weather::Fair);
            // The home agents have to have heard of each other.
            world.detach("mt", "radio-a");
            world.run_ms(2_000);
            world.attach("mt", "radio-a");
            world.run_until("registered", 60_000, |world| is_registered_with(world, HOME_AGENT));
            let seen = world.seen();
            let asked = questions(&seen);
            assert_eq!(asked.len(), 1);
            assert!(world.now() < asked[0].0 + patience);
            assert!(seen.iter().filter_map(named).all(|(_, agents)| agents == [SECOND, HOME_AGENT]));
            let updates: Vec<&Seen> = seen.iter().filter(|s| s.from == "mt" && s.update().is_some()).collect();
            let of_second = updates.iter().take_while(|s| s.destination() == SECOND).count();
            assert!(of_second > 0 && updates[of_second..].iter().all(|s| s.destination() == HOME_AGENT));
            assert_eq!(bound_at(&world), ["ha"]);
            world.run_ms(1_000);
            check_traffic(&mut world);
            world.check();
        }
    });
}

/// The home agent that serves goes; when it does not answer the refresh, the other one takes its place.
#[test]
fn the_other_home_agent_takes_over() {
    let lab = with_second(SERVE).lab();
    over_seeds(|seed| {
        let mut world = World::new(&lab, seed, Weather::Fair);
        world.detach("mt", "radio-a");
        world.run_ms(2_000);
        world.attach("mt", "radio-a");
        world.run_until("registered", 60_000, |world| is_registered_with(world, SECOND));
        assert_eq!(bound_at(&world), ["ha2"]);
        world.run_ms(2_000);
        check_traffic(&mut world);
        world.crash("ha2");
        // At half of the lifetime, and 31 s later.
        world.run_until("registered with the other", 65_000, |world| is_registered_with(world, HOME_AGENT));
        assert_eq!((bound_at(&world), questions(&world.seen()).len()), (vec!["ha"], 1));
        world.run_ms(1_000);
        check_traffic(&mut world);
        world.check();
    });
}
