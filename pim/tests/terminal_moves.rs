//! Listeners that move between access routers: what a router hears of it in reports, what becomes of a group that a listener
//! is said to have left, and trees that are joined before the listener is there.

mod net;

use core::net::Ipv6Addr;
use net::site::{LINK_A, P0, P1, Trees};
use net::{DELAY, Net};
use pim::{Command, Event, TerminalMoves};
use stack::tables::{Accept, Mroute, MrouteKey, PortSet};
use stack::time::{Duration, Instant};
use stack::wire::mld::extension::AccessRouter;
use stack::wire::mld::{Message, Record, RecordType, Report};

const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
const OTHER_SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 2);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 1);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0xb, 0, 0, 0, 1);
const KEY: MrouteKey = MrouteKey { source: SOURCE, group: GROUP };
const TREES: Trees = Trees { range: "ff35::/64", roots: &[SOURCE, OTHER_SOURCE] };

/// Of the site: the core router, and the access router of the first link.
const CORE: usize = 1;
const ACCESS: usize = 2;

/// LLQT of the mobility range.
const LLQT: Duration = Duration::from_millis(100);

fn site(moves: TerminalMoves) -> Net {
    TREES.site_with(|_, config| config.terminal_moves = moves)
}

fn counter(net: &Net, name: &str) -> u64 {
    net.nodes[ACCESS].router.counters().iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("{name}")).1
}

fn queries(net: &Net, since: Instant) -> usize {
    let is_query = |sent: &&net::Sent| matches!(sent.mld(), Some(Message::Query(query)) if query.group == GROUP);
    net.sent.iter().filter(|sent| sent.at >= since && sent.node == ACCESS).filter(is_query).count()
}

fn pruned_at(net: &Net, node: usize) -> Option<Instant> {
    net.nodes[node].events.iter().rev().find_map(|event| match event {
        Event::Pruned { at, key: KEY, .. } => Some(*at),
        _ => None,
    })
}

fn moves(net: &Net) -> Vec<Event> {
    let is_move = |event: &&Event| matches!(event, Event::ListenerMoves { .. });
    net.nodes[ACCESS].events.iter().filter(is_move).cloned().collect()
}

fn say(net: &mut Net, host: Ipv6Addr, kind: RecordType, sources: &[Ipv6Addr], router: Option<AccessRouter>) {
    let record = Record { kind, group: GROUP, sources: sources.to_vec() };
    let packets = Report { records: vec![record] }.packets_with(host, 1500, router);
    net.inject(ACCESS, P1, &packets[0]);
}

#[test]
fn a_listener_that_is_gone_is_asked_for_and_pruned_after_the_last_listener_query_time() {
    let mut net = site(TerminalMoves::Told);
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    net.run_for(DELAY * 5);
    assert!(net.mroute(CORE, KEY).is_some() && net.mroute(ACCESS, KEY).is_some());
    net.links[LINK_A].hosts[0].is_silent = true;
    let told = net.now;
    net.command(ACCESS, Command::ListenerGone(KEY));
    assert_eq!(queries(&net, told), 1);
    // Said again it starts nothing anew.
    net.command(ACCESS, Command::ListenerGone(KEY));
    net.run_for(LLQT - DELAY);
    assert_eq!(queries(&net, told), 2);
    assert!(net.mroute(ACCESS, KEY).is_some());
    net.run_for(DELAY * 3);
    assert_eq!(net.mroute(ACCESS, KEY), None);
    assert_eq!(pruned_at(&net, ACCESS), Some(told + LLQT));
    assert_eq!((counter(&net, "mld-gone-asked"), counter(&net, "mld-gone-unknown")), (1, 1));
    // Of a group that nobody listens to there is nothing to ask.
    net.command(ACCESS, Command::ListenerGone(KEY));
    assert_eq!((queries(&net, told), counter(&net, "mld-gone-unknown")), (2, 2));
}

#[test]
fn a_listener_that_is_there_stays() {
    let mut net = site(TerminalMoves::Told);
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    net.run_for(DELAY * 5);
    let told = net.now;
    net.command(ACCESS, Command::ListenerGone(KEY));
    net.run_for(LLQT * 20);
    assert!(net.mroute(ACCESS, KEY).is_some());
    assert_eq!(pruned_at(&net, ACCESS), None);
    assert!(queries(&net, told) <= 2);
    // Of another source, or of all, nobody has said anything.
    net.command(ACCESS, Command::ListenerGone(MrouteKey { source: OTHER_SOURCE, ..KEY }));
    net.command(ACCESS, Command::ListenerGone(MrouteKey { source: Ipv6Addr::UNSPECIFIED, ..KEY }));
    assert!(queries(&net, told) <= 2);
}

#[test]
fn moves_are_told_of_listeners_that_are_heard() {
    use RecordType::{AllowNewSources, BlockOldSources, ModeIsInclude};
    let mut net = site(TerminalMoves::Told);
    net.run_for(DELAY);
    let host = Ipv6Addr::new(0xfe80, 0, 0, 0, 9, 0, 0, 1);
    let previous = Some(AccessRouter::Previous(ROUTER));
    say(&mut net, host, AllowNewSources, &[SOURCE], None);
    assert_eq!(moves(&net), []);
    let told = |net: &Net, router: Option<AccessRouter>, keys: &[MrouteKey]| Event::ListenerMoves {
        at: net.now,
        port: P1,
        listener: host,
        router: router.unwrap(),
        keys: keys.to_vec(),
    };
    say(&mut net, host, AllowNewSources, &[SOURCE], previous);
    assert_eq!(moves(&net), [told(&net, previous, &[KEY])]);
    // What it gives up is no move, and who is not heard to listen to a source asks for no pre-join of it.
    say(&mut net, host, BlockOldSources, &[OTHER_SOURCE], previous);
    let candidate = Some(AccessRouter::Candidate(ROUTER));
    say(&mut net, host, ModeIsInclude, &[SOURCE], candidate);
    assert_eq!(moves(&net)[1..], [told(&net, candidate, &[KEY])]);
    assert_eq!((counter(&net, "mld-moves-told"), counter(&net, "mld-moves-unheard")), (2, 1));
    // A router that takes no part hears reports as ever.
    let mut net = site(TerminalMoves::Ignored);
    say(&mut net, host, AllowNewSources, &[SOURCE], previous);
    assert_eq!((moves(&net), counter(&net, "mld-moves-unheard")), (vec![], 0));
    assert!(net.mroute(ACCESS, KEY).is_some());
}

#[test]
fn a_pre_join_has_no_port_until_its_listener_comes() {
    let mut net = site(TerminalMoves::Told);
    let until = net.now + Duration::from_secs(2);
    net.command(ACCESS, Command::PreJoin { key: KEY, until });
    let held = Mroute { hold: true, ..Mroute::new(Accept::Port(P0), PortSet::EMPTY) };
    assert_eq!(net.mroute(ACCESS, KEY), Some(held));
    net.run_for(DELAY * 3);
    assert!(net.mroute(CORE, KEY).is_some_and(|mroute| mroute.forward.len() == 1), "the join has left at once");
    let view = net.nodes[ACCESS].router.entries().find(|entry| entry.key == KEY).unwrap();
    assert_eq!((view.pre_joined_until, view.include), (Some(until), PortSet::EMPTY));
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    net.run_for(DELAY * 3);
    assert_eq!(net.mroute(ACCESS, KEY), Some(Mroute::new(Accept::Port(P0), PortSet::single(P1))));
    assert_eq!((counter(&net, "pre-joins"), counter(&net, "pre-joins-met")), (1, 1));
    // Its time does not end what is wanted.
    net.run_until(until + DELAY);
    assert!(net.mroute(ACCESS, KEY).is_some());
    assert_eq!((counter(&net, "pre-joins-lapsed"), pruned_at(&net, ACCESS)), (0, None));
}

#[test]
fn a_pre_join_whose_listener_does_not_come_is_left() {
    let mut net = site(TerminalMoves::Told);
    let until = net.now + Duration::from_secs(2);
    net.command(ACCESS, Command::PreJoin { key: KEY, until });
    net.run_for(Duration::from_secs(1));
    let later = net.now + Duration::from_secs(2);
    net.command(ACCESS, Command::PreJoin { key: KEY, until: later });
    net.run_until(until + DELAY);
    assert!(net.mroute(ACCESS, KEY).is_some(), "it was asked for again");
    net.run_until(later + DELAY * 3);
    assert_eq!((net.mroute(ACCESS, KEY), net.mroute(CORE, KEY)), (None, None));
    assert_eq!(pruned_at(&net, ACCESS), Some(later));
    assert_eq!((counter(&net, "pre-joins"), counter(&net, "pre-joins-lapsed")), (1, 1));
    assert_eq!(net.nodes[ACCESS].router.entries().count(), 0);
    // What somebody else listens to stays.
    net.set_listening(LINK_A, 0, GROUP, SOURCE, true);
    net.run_for(DELAY * 3);
    let until = net.now + Duration::from_secs(2);
    net.command(ACCESS, Command::PreJoin { key: KEY, until });
    net.run_until(until + DELAY);
    assert_eq!(net.mroute(ACCESS, KEY), Some(Mroute::new(Accept::Port(P0), PortSet::single(P1))));
}
