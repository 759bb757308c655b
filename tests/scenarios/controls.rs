//! Negative controls: what must not work does not, and the ingress filter and the uniqueness of terminals (scenarios S10,
//! S16) are what keeps it from working.

use crate::agreement::finish;
use crate::blocks::{FOREIGN_SITE, is_heard, is_settled};
use crate::second_site::{SECOND_AGENT, fig5_with_second_site};
use crate::world::{CN, Draft, GROUP, HOME, HOME_AGENT, Seen, Weather, World, over_seeds};
use drover::config::lab::Lab;
use ha::mobile::movement::Site;
use stack::addr::Scope;
use stack::inspect::Kind;
use stack::tables::IngressFilter;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::{CHECKSUM_AT, Status};
use std::net::Ipv6Addr;
use toml::Value;

/// A second terminal's home address.
const SECOND_HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x66);
/// A home address that nobody has.
const NOBODY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x77);

/// The terminal's temporary address in `2001:db8:200:a::/64`.
const LOCAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0x5eff, 0xfe10, 0x55);

/// Packets that were delivered to the terminal's programs.
fn delivered(seen: &[Seen]) -> usize {
    seen.iter().filter(|s| s.link == "mt-tun" && s.from == "mt" && s.is_data(CN, HOME)).count()
}

#[test]
fn control_a_join_that_does_not_arrive_brings_nothing() {
    let mut draft = Draft::shipped("fig5");
    let ports = draft.config("b")["access_router"]["port"].as_array_mut().expect("ports");
    let mld: toml::Table = "query_interval_ms = 1000\nquery_response_interval_ms = 200".parse().expect("TOML");
    ports[0].as_table_mut().expect("a table").insert("mld".into(), Value::Table(mld));
    let lab = draft.lab();
    over_seeds(|seed| {
        let [a, b] = FOREIGN_SITE.access;
        let mut world = World::new(&lab, seed, Weather::Rough);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        let flow = world.down(20, 1_000);
        let entered = world.now();
        world.run_until("packets come through A", 8_000, |world| is_heard(world, &a, entered));
        // What the terminal says on B's link, B does not hear.
        let (terminal, router) = (world.id("mt"), world.id("b"));
        world.sim.network_mut().set_deaf(terminal, router, true);
        let moved = world.now();
        world.approach("mt", a.link, b.link);
        world.run_until("the terminal gives up A", 8_000, |world| world.sends_through("mt", b.link));
        world.run_ms(500);
        let left = world.now();
        world.detach("mt", a.link);
        world.run_ms(1_000);
        let seen = world.seen_since(moved);
        assert!(seen.iter().any(|s| s.link == b.link && s.wants(GROUP)), "it has joined");
        assert!(!seen.iter().any(|s| s.link == b.uplink && s.from == "b" && s.joins(GROUP)), "B has joined");
        assert!(!seen.iter().any(|s| s.link == b.link && s.is_data(CN, HOME)), "something came through B");
        let late: Vec<Seen> = seen.iter().filter(|s| s.at > left).cloned().collect();
        assert_eq!(delivered(&late), 0, "something was delivered");
        assert!(
            late.iter().filter(|s| s.link == "cn-bb" && s.is_data(CN, HOME)).count() > 30,
            "the correspondent sends"
        );
        // It was the join that was missing: when B asks and hears the answer, packets come.
        world.sim.network_mut().set_deaf(terminal, router, false);
        let heard = world.now();
        world.run_until("packets come through B", 15_000, |world| is_heard(world, &b, heard));
        assert_eq!(world.flow(flow).summary().duplicated, 0);
        finish(&mut world);
    });
}

#[test]
fn control_a_link_without_a_join_brings_nothing() {
    let lab = Draft::shipped("fig5").lab();
    over_seeds(|seed| {
        let [a, b] = FOREIGN_SITE.access;
        let mut world = World::new(&lab, seed, Weather::Rough);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        let (start, _) = (world.now(), world.down(20, 1_000));
        // B is heard, as well as A but not better, so that the terminal has no reason to join there.
        world.signal("mt", b.link, -50);
        world.attach("mt", b.link);
        world.run_until("packets come through A", 8_000, |world| is_heard(world, &a, start));
        world.run_ms(1_500);
        let seen = world.seen();
        assert!(seen.iter().any(|s| s.link == b.link && s.from == "mt"), "the terminal is there");
        assert!(!seen.iter().any(|s| s.link == b.link && s.records(GROUP).next().is_some()), "no reason to join");
        assert!(!seen.iter().any(|s| [b.link, b.uplink].contains(&&*s.link) && s.is_data(CN, HOME)), "through B");
        assert!(delivered(&seen) > 0);
        finish(&mut world);
    });
}

/// Figure 5 with another value in an association of the terminal.
fn with_association(table: &str, key: &str, value: impl Into<Value>) -> Lab {
    let mut draft = Draft::shipped("fig5");
    let terminal = draft.config("mt")["mobile_terminal"].as_table_mut().expect("a table");
    terminal[table].as_table_mut().expect("a table").insert(key.into(), value.into());
    draft.lab()
}

#[test]
fn control_a_wrong_key_installs_nothing() {
    const WRONG: &str = "00000000000000000000000000000000";
    let wrong_key = with_association("mma_association", "key", WRONG);
    let unknown_index = with_association("mma_association", "spi", 4_000);
    let wrong_home_key = with_association("home_agent_association", "key", WRONG);
    over_seeds(|seed| {
        for (case, lab) in [&wrong_key, &unknown_index, &wrong_home_key].into_iter().enumerate() {
            let mut world = World::new(lab, seed, Weather::Rough);
            world.run_ms(300);
            world.down(20, 100);
            world.run_ms(5_000);
            let (peer, agent) = if case < 2 { ("mma1", FOREIGN_SITE.address) } else { ("ha", HOME_AGENT) };
            let seen = world.seen();
            let asked =
                seen.iter().filter(|s| s.from == "mt" && s.destination() == agent && s.update().is_some()).count();
            let answers: Vec<&Seen> =
                seen.iter().filter(|s| s.from == peer && s.source() == agent && s.is_mobility()).collect();
            assert!(asked > 0, "nobody asked");
            for answer in &answers {
                let acknowledgement = answer.acknowledgement().unwrap_or_else(|| panic!("{answer}"));
                assert_eq!(acknowledgement.status, Status::AUTHENTICATION_FAILED, "{answer}");
                assert!(acknowledgement.options.addresses.is_empty(), "{answer}");
            }
            // Status 146 where the agent knows the index, silence where it does not (RFC 4285 §5).
            assert!(case != 1 || answers.is_empty(), "{}", answers[0]);
            assert_eq!(world.sim.bindings()[peer], serde_json::json!([]), "{peer} has installed something");
            if case < 2 {
                assert!(!seen.iter().any(|s| s.wants(GROUP) || s.joins(GROUP)), "the group is joined");
                assert!(!seen.iter().any(|s| s.what.groups_of_scope(Scope::SITE_LOCAL).next().is_some()));
            } else {
                assert!(
                    !seen.iter().any(|s| s.source() == HOME_AGENT && s.what.is_tunnelled()),
                    "the home agent tunnels"
                );
            }
            assert_eq!(delivered(&seen), 0);
            world.check();
        }
    });
}

#[test]
fn control_a_replayed_update_changes_nothing() {
    let lab = Draft::shipped("fig5").lab();
    over_seeds(|seed| {
        let [a, b] = FOREIGN_SITE.access;
        let mut world = World::new(&lab, seed, Weather::Rough);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        let flow = world.down(20, 1_000);
        let entered = world.now();
        world.run_until("packets come through A", 8_000, |world| is_heard(world, &a, entered));
        // What was sent twice has come twice.
        world.run_ms(3_500);
        let (before, expiry) =
            (world.bindings(), world.agent("mma1").binding(HOME).expect("bound").remaining(world.now()));
        // Those that have come to their agent: one that was lost is not replayed but late.
        let seen = world.seen();
        let has_come = |update: &Seen| {
            let last = if update.destination() == HOME_AGENT { "bb-ha" } else { FOREIGN_SITE.trunk };
            let same = |s: &Seen| s.update() == update.update() && s.destination() == update.destination();
            seen.iter().any(|s| s.link == last && same(s) && !s.lost)
        };
        let sent = seen.iter().filter(|s| s.from == "mt" && s.link == a.link && s.update().is_some());
        let updates: Vec<&Seen> = sent.filter(|s| has_come(s)).collect();
        assert!(updates.len() >= 2);

        let intruders = [(world.intruder(a.link), a), (world.intruder(b.link), b)];
        let start = world.now();
        for _ in 0..5 {
            for update in &updates {
                let packet = &update.frame[14..];
                for (intruder, access) in &intruders {
                    world.intrude(*intruder, access.router, access.link, packet);
                }
                // With the next sequence number it is not authentic any more.
                let layer = update.what.outer().expect("a header");
                let mut message = packet[layer.chain.upper_offset..].to_vec();
                let next = update.update().expect("it is one").sequence + 1;
                message[6..8].copy_from_slice(&next.to_be_bytes());
                let forged = PacketBuilder::new(update.source(), update.destination()).home_address(HOME).checksummed(
                    protocol::MOBILITY,
                    message,
                    CHECKSUM_AT,
                );
                world.intrude(intruders[0].0, a.router, a.link, &forged);
            }
            world.run_ms(200);
        }
        world.run_ms(300);

        let seen = world.seen_since(start);
        assert!(
            seen.iter().any(|s| s.link == FOREIGN_SITE.trunk && s.from == "core" && s.update().is_some()),
            "none came"
        );
        assert!(!seen.iter().any(|s| s.link == b.uplink && s.is_mobility()), "out of the wrong subnet");
        let mut refused = 0;
        for s in seen.iter().filter(|s| s.acknowledgement().is_some()) {
            let status = s.acknowledgement().expect("it is one").status;
            assert!([Status::SEQUENCE_OUT_OF_WINDOW, Status::AUTHENTICATION_FAILED].contains(&status), "{s}");
            refused += 1;
        }
        assert!(refused > 0, "nobody refused");
        assert!(!seen.iter().any(|s| s.from == "mt" && s.is_mobility()), "the terminal was disturbed");
        assert_eq!(world.bindings(), before);
        let passed = world.now().since(start);
        let left = world.agent("mma1").binding(HOME).expect("bound").remaining(world.now());
        assert_eq!(left + passed, expiry, "the binding was made to last longer");
        let arrived = world.now();
        let passes = |world: &World<'_>| world.flow(flow).summary_between(arrived, world.now()).received > 0;
        world.run_until("the flow goes on", 8_000, passes);
        finish(&mut world);
    });
}

#[test]
fn control_the_reverse_tunnel_is_for_bound_terminals() {
    let lab = Draft::shipped("fig5").lab();
    over_seeds(|seed| {
        let a = FOREIGN_SITE.access[0];
        let mut world = World::new(&lab, seed, Weather::Rough);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        let flow = world.up(20, 1_000);
        let passes = |world: &World<'_>| world.flow(flow).summary().received > 0;
        world.run_until("the terminal is heard", 15_000, passes);
        let intruder = world.intruder(a.link);
        let start = world.now();
        let stranger = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0, 0, 0x1234);
        let elsewhere = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xb, 0, 0x5eff, 0xfe10, 0x55);
        for _ in 0..10 {
            // The inner source is not bound; it is, but not to this terminal; the address is of another subnet; and what
            // a terminal sends, which differs from these in nothing else.
            let tunnels = [(LOCAL, NOBODY, 1), (stranger, HOME, 2), (elsewhere, HOME, 3), (LOCAL, HOME, 4)];
            for (outer, inner, port) in tunnels {
                let inner = udp(inner, port);
                let packet = PacketBuilder::new(outer, FOREIGN_SITE.address).payload(protocol::IPV6, &inner);
                world.intrude(intruder, a.router, a.link, &packet);
            }
            world.run_ms(50);
        }
        world.run_ms(200);
        let seen = world.seen_since(start);
        let with = |link: &str, port: u16| {
            let is = |s: &&Seen| matches!(s.what.kind, Kind::Data { source, .. } if source == port) && s.link == link;
            seen.iter().filter(is).count()
        };
        for port in 1..=4 {
            assert!(with(a.link, port) >= 10);
        }
        assert!(with(FOREIGN_SITE.trunk, 1) > 0 && with(FOREIGN_SITE.trunk, 2) > 0, "they come to the agent");
        assert_eq!(with(a.uplink, 3), 0, "out of the wrong subnet");
        for link in ["bb-mma1", "bb-ha", "cn-bb"] {
            for port in 1..=3 {
                assert_eq!(with(link, port), 0, "{port} on {link}");
            }
            assert!(with(link, 4) > 0, "what a terminal sends passes {link}");
        }
        let counters = world.worker("mma1").dataplane().counters();
        let count = |name| counters.iter().find(|(counter, _)| *counter == name).map_or(0, |(_, value)| value);
        assert!(count("drop-tunnel-not-bound") > 0 && count("drop-tunnel-access-identifier") > 0);
        finish(&mut world);
    });
}

/// An empty datagram to the correspondent, `port` as its source port.
fn udp(source: Ipv6Addr, port: u16) -> Vec<u8> {
    let mut message = vec![0; 8];
    message[..2].copy_from_slice(&port.to_be_bytes());
    message[2..4].copy_from_slice(&9_u16.to_be_bytes());
    message[4..6].copy_from_slice(&8_u16.to_be_bytes());
    PacketBuilder::new(source, CN).checksummed(protocol::UDP, message, 6)
}

#[test]
fn s10_the_ingress_filter_stops_home_addresses() {
    let filtered = Draft::shipped("fig5").lab();
    let mut draft = Draft::shipped("fig5");
    for port in draft.config("a")["port"].as_array_mut().expect("ports") {
        port.as_table_mut().expect("a table").insert("ingress_filter".into(), "open".into());
    }
    let open = draft.lab();
    for lab in [&filtered, &Draft::shipped("fig4").lab()] {
        for access in lab.nodes.iter().filter(|node| node.config.access_router.is_some()) {
            let filters = access.config.ports.iter().filter(|port| port.ingress_filter != IngressFilter::Open).count();
            assert_eq!(filters, 1, "S1 and S2 run with the filter on every access link");
        }
    }
    over_seeds(|seed| {
        let a = FOREIGN_SITE.access[0];
        // Without the filter, what fails here passes.
        for (lab, passes) in [(&filtered, false), (&open, true)] {
            let mut world = World::new(lab, seed, Weather::Rough);
            let local = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0, 0, 0x99);
            world.host("visitor", a.link, "a", NOBODY);
            world.host("neighbour", a.link, "a", local);
            world.run_ms(500);
            world.stream(("visitor", NOBODY), ("cn", CN), 20, 150);
            world.stream(("neighbour", local), ("cn", CN), 20, 150);
            world.run_ms(3_500);
            let seen = world.seen();
            let on = |link: &str, source| seen.iter().filter(|s| s.link == link && s.is_data(source, CN)).count();
            assert!(on(a.link, NOBODY) > 0 && on(a.link, local) > 0, "both send");
            assert_eq!(on(a.uplink, NOBODY) > 0, passes, "{} packets", on(a.uplink, NOBODY));
            assert_eq!(on("cn-bb", NOBODY) > 0, passes);
            assert!(on("cn-bb", local) > 0, "a source of the subnet passes");
            finish(&mut world);
        }
    });
}

/// A second terminal with the EUI-64 of the first, a key of its own, and no TUN device.
fn with_second_terminal(draft: Draft, start: &str, agents: &[&str]) -> Lab {
    let mut terminal: toml::Table = Draft::shipped("fig5").config("mt").clone();
    terminal["port"].as_array_mut().expect("ports").retain(|port| port["name"].as_str() == Some("radio-b"));
    let port = terminal["port"][0].as_table_mut().expect("a table");
    port.insert("name".into(), "radio".into());
    port.insert("link".into(), start.into());
    let own = terminal["mobile_terminal"].as_table_mut().expect("a table");
    own.remove("tun");
    own.insert("home_address".into(), SECOND_HOME.to_string().into());
    own.insert("radio".into(), Value::Array(vec![Value::Table("port = \"radio\"".parse().expect("TOML"))]));
    for (table, spi) in [("home_agent_association", 2_001), ("mma_association", 2_002)] {
        let association = own[table].as_table_mut().expect("a table");
        association.insert("spi".into(), Value::Integer(spi));
    }
    let node = toml::Table::from_iter([
        ("name".to_owned(), "mt2".into()),
        ("start".to_owned(), start.into()),
        ("config".to_owned(), Value::Table(terminal)),
    ]);
    let nodes = toml::Table::from_iter([("node".to_owned(), Value::Array(vec![Value::Table(node)]))]);
    let mut draft = draft.with(&nodes.to_string()).configure(
        "ha",
        r#"
        [[home_agent.terminal]]
        home_address = "2001:db8:100:1::66"
        spi = 2001
        key = "6a1f0c52d98e4b7730f1c26e5d84a90b"
        "#,
    );
    for agent in agents {
        draft = draft.configure(
            agent,
            r#"
            [[mma.terminal]]
            home_address = "2001:db8:100:1::66"
            spi = 2002
            key = "93c4e7a10b5d2f68147c9eb03a56d8f2"
            "#,
        );
    }
    draft.lab()
}

#[test]
fn s16_one_terminal_of_a_site_has_an_eui64() {
    let lab = with_second_terminal(Draft::shipped("fig5"), "radio-b", &["mma1"]);
    over_seeds(|seed| {
        let mut world = World::new(&lab, seed, Weather::Rough);
        world.detach("mt2", "radio-b");
        world.run_until("the first is bound", 30_000, is_settled);
        let flow = world.down(20, 1_000);
        let (before, start) = (world.sim.bindings()["mma1"].clone(), world.now());
        world.attach("mt2", "radio-b");
        let elsewhere = |world: &World<'_>| {
            let second = world.terminal("mt2");
            second.site().site == Site::Plain && second.home_registration().is_some()
        };
        world.run_until("the second does without the agent", 30_000, elsewhere);
        world.run_ms(500);
        let seen = world.seen_since(start);
        let refused = seen.iter().filter(|s| s.source() == FOREIGN_SITE.address && s.acknowledgement().is_some());
        let mut count = 0;
        for s in refused.filter(|s| s.from == "mma1") {
            let status = s.acknowledgement().expect("it is one").status;
            // An update that came late, behind a repeated one, has an old number.
            assert!([Status::DUPLICATE_ADDRESS, Status::SEQUENCE_OUT_OF_WINDOW].contains(&status), "{s}");
            assert_eq!(s.routing_header(), Some(SECOND_HOME), "{s}");
            count += usize::from(status == Status::DUPLICATE_ADDRESS);
        }
        assert!(count > 0, "nobody refused");
        assert_eq!(world.sim.bindings()["mma1"], before);
        assert!(world.agent("mma1").binding(SECOND_HOME).is_none());
        assert!(!seen.iter().any(|s| s.from == "mt2" && s.records(GROUP).next().is_some()), "the second joins");
        let arrived = world.now();
        let passes = |world: &World<'_>| world.flow(flow).summary_between(arrived, world.now()).received > 0;
        world.run_until("the first is not disturbed", 8_000, passes);
        world.check();
    });
}

#[test]
fn s16_terminals_of_two_sites_may_share_an_eui64() {
    let lab = with_second_terminal(fig5_with_second_site(), "radio-2", &["mma1", "mma2"]);
    over_seeds(|seed| {
        let mut world = World::new(&lab, seed, Weather::Rough);
        let both = |world: &World<'_>| {
            is_settled(world) && {
                let second = world.terminal("mt2");
                !second.is_registering()
                    && second.agent_registration().is_some()
                    && second.home_registration().is_some()
            }
        };
        world.run_until("both are bound", 30_000, both);
        assert_eq!(world.terminal("mt").site().site, Site::Agent(FOREIGN_SITE.address));
        assert_eq!(world.terminal("mt2").site().site, Site::Agent(SECOND_AGENT));
        let groups = ["mt", "mt2"].map(|name| world.terminal(name).site().subscription.expect("a group").group);
        assert_eq!(groups, [GROUP, GROUP]);
        let start = world.now();
        world.down(20, 1_000);
        world.stream(("cn", CN), ("cn", SECOND_HOME), 20, 1_000);
        let through = |world: &World<'_>, link: &str, home: Ipv6Addr| {
            let seen = world.seen_since(start);
            seen.iter().any(|s| s.link == link && s.what.is_tunnelled() && s.is_data(CN, home) && !s.lost)
        };
        world.run_until("packets come to the first", 15_000, |world| through(world, "radio-a", HOME));
        world.run_until("packets come to the second", 15_000, |world| through(world, "radio-2", SECOND_HOME));
        world.run_ms(1_000);
        for s in world.seen() {
            let site = world.lab.link_named(&s.link).and_then(|link| world.lab.links[link.0].site.clone());
            match site.as_deref() {
                Some("foreign") => assert!(!s.is_data(CN, SECOND_HOME) && s.source() != SECOND_AGENT, "{s}"),
                Some("second") => assert!(!s.is_data(CN, HOME) && s.source() != FOREIGN_SITE.address, "{s}"),
                _ => {}
            }
        }
        world.check();
    });
}
