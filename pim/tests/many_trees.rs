//! What concerns thousands of trees at once is done a little in each call, all of it in the end, and refreshes are spread.

use core::net::Ipv6Addr;
use pim::wire::{EncodedGroup, EncodedSource, GroupSet, HOLDTIME_FOREVER, Hello, JoinPrune, Message};
use pim::{Command, Config, InterfaceConfig, Limits, Router, UpstreamState};
use stack::addr::ALL_PIM_ROUTERS;
use stack::machine::{Machine, Output, PortId, RxMeta, Via};
use stack::tables::{MrouteKey, Route, TableUpdate};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use std::collections::BTreeMap;

const TREES: u32 = 4_000;
const SOURCES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(60);
const DOWNSTREAM: PortId = PortId(0);
const UPSTREAM: PortId = PortId(1);
const OTHER: PortId = PortId(2);
/// Join/Prune messages that one call may answer: what one of 16 full messages of joins and as many of prunes needs.
const MOST_MESSAGES: usize = 34;

fn link_local(port: PortId, last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, port.0.into(), last)
}

fn key(index: u32) -> MrouteKey {
    MrouteKey {
        source: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, (index % SOURCES) as u16 + 1),
        group: Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, (index >> 16) as u16, index as u16 + 1),
    }
}

/// A router between a neighbour that joins and two to join at; what it has said of each tree to whom.
struct Bed {
    router: Router,
    now: Instant,
    /// By neighbour and tree: joined or pruned, when, and how often.
    said: BTreeMap<(PortId, MrouteKey), (bool, Instant, u32)>,
    /// The way in of each route.
    routes: BTreeMap<MrouteKey, PortId>,
    /// Of each call that sent any: when, and how many Join/Prune messages.
    messages: Vec<(Instant, usize)>,
}

impl Bed {
    fn new() -> Self {
        let ports = [DOWNSTREAM, UPSTREAM, OTHER];
        let interfaces = ports.map(|port| InterfaceConfig::new(port, link_local(port, 1), 1500)).to_vec();
        let limits = Limits { entries: TREES as usize, ..Limits::default() };
        let router = Router::new(Config { limits, ..Config::new(interfaces, 1) });
        let now = Instant::from_secs(1);
        let mut bed = Bed { router, now, said: BTreeMap::new(), routes: BTreeMap::new(), messages: Vec::new() };
        for port in ports {
            bed.command(Command::LinkUp(port));
            bed.greet(port, 1);
        }
        bed.route(UPSTREAM);
        bed.run_for(Duration::from_secs(10));
        bed
    }

    /// All trees are joined downstream, for `holdtime` seconds, within one moment.
    fn join_all(&mut self, holdtime: u16) {
        let all: Vec<u32> = (0..TREES).collect();
        for indices in all.chunks(32) {
            let group_set = |&index: &u32| GroupSet {
                group: EncodedGroup::host(key(index).group),
                joined: vec![EncodedSource::host(key(index).source)],
                pruned: Vec::new(),
            };
            let groups = indices.iter().map(group_set).collect();
            let message = JoinPrune { upstream_neighbor: link_local(DOWNSTREAM, 1), holdtime, groups };
            self.receive(DOWNSTREAM, 3, |into| message.emit(into));
        }
        assert_eq!(self.router.entry_count(), TREES as usize);
    }

    fn greet(&mut self, port: PortId, generation: u32) {
        let hello = Hello { holdtime: Some(HOLDTIME_FOREVER), generation_id: Some(generation), ..Hello::default() };
        self.receive(port, 0, |into| hello.emit(into));
    }

    fn route(&mut self, port: PortId) {
        let route = Route::Via { port, next_hop: link_local(port, 2) };
        self.command(Command::RouteSet("2001:db8:1::/48".parse().unwrap(), route));
    }

    fn command(&mut self, command: Command) {
        self.router.handle_command(self.now, command);
        self.drain();
    }

    fn receive(&mut self, port: PortId, kind: u8, emit: impl FnOnce(&mut Vec<u8>)) {
        let mut message = vec![0x20 | kind, 0, 0, 0];
        emit(&mut message);
        let packet = PacketBuilder::new(link_local(port, 2), ALL_PIM_ROUTERS).hop_limit(1).checksummed(103, message, 2);
        let meta = RxMeta { port, link_source: None, link_multicast: true, tunnel: None };
        self.router.handle_packet(self.now, &meta, &packet);
        self.drain();
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.router.poll_timeout().filter(|&at| at <= end) {
            assert!(at >= self.now || self.now == Instant::ORIGIN, "{at:?} is over");
            self.now = self.now.max(at);
            self.router.handle_timeout(self.now);
            self.drain();
            assert!(self.router.poll_timeout().is_none_or(|at| at > self.now), "a timer stays due");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut messages = 0;
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Table(TableUpdate::MrouteSet(key, route)) => {
                    let stack::tables::Accept::Port(port) = route.accept else { panic!("{route:?}") };
                    self.routes.insert(key, port);
                }
                Output::Table(TableUpdate::MrouteRemove(key)) => drop(self.routes.remove(&key)),
                Output::Transmit(transmit) => {
                    let Via::Link(port) = transmit.via else { panic!("{transmit:?}") };
                    let upper = Chain::parse(&transmit.packet).unwrap().upper_offset;
                    let own = link_local(port, 1);
                    let message = Message::parse(own, ALL_PIM_ROUTERS, &transmit.packet[upper..]).unwrap();
                    let Message::JoinPrune(message) = message else { continue };
                    messages += 1;
                    for set in message.groups {
                        let group = set.group.address;
                        for (sources, is_join) in [(set.joined, true), (set.pruned, false)] {
                            for source in sources {
                                let key = MrouteKey { source: source.address, group };
                                let said = self.said.entry((port, key)).or_insert((is_join, self.now, 0));
                                *said = (is_join, self.now, said.2 + 1);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        if messages > 0 {
            self.messages.push((self.now, messages));
        }
    }

    /// What was said of all trees to a neighbour since the last time.
    fn take_said(&mut self, port: PortId) -> Vec<(bool, Instant, u32)> {
        let said = core::mem::take(&mut self.said);
        (0..TREES).filter_map(|index| said.get(&(port, key(index))).copied()).collect()
    }

    fn most_messages(&mut self) -> usize {
        core::mem::take(&mut self.messages).into_iter().map(|(_, messages)| messages).max().unwrap_or(0)
    }
}

/// What was joined in one moment is refreshed over the whole period, in full messages, everything once and nothing late.
#[test]
fn refreshes_are_full_and_spread() {
    let mut bed = Bed::new();
    bed.join_all(0xffff);
    assert!(bed.take_said(UPSTREAM).iter().all(|&(is_join, _, times)| is_join && times == 1));
    let mut last = vec![bed.now; TREES as usize];
    for period in 0..4 {
        bed.messages.clear();
        let start = bed.now;
        bed.run_for(PERIOD);
        let said = bed.take_said(UPSTREAM);
        assert_eq!(said.len(), TREES as usize, "period {period}");
        for (last, (is_join, at, times)) in last.iter_mut().zip(said) {
            assert!(is_join && times <= 3 && at.since(*last) <= PERIOD * times, "period {period}");
            *last = at;
        }
        // 125 messages are full ones; a quarter of the period has about a quarter of them.
        let total: usize = bed.messages.iter().map(|(_, messages)| messages).sum();
        assert!((125..=140).contains(&total), "period {period}: {total} messages");
        for quarter in 0..4 {
            let (from, to) = (start + PERIOD * quarter / 4, start + PERIOD * (quarter + 1) / 4);
            let within = bed.messages.iter().filter(|(at, _)| (from..to).contains(at));
            let messages: usize = within.map(|(_, messages)| messages).sum();
            assert!((20..=50).contains(&messages), "period {period}, quarter {quarter}: {messages} messages");
        }
        assert!(bed.most_messages() <= MOST_MESSAGES);
    }
}

/// Every join is repeated to a neighbour that restarted, soon, and no call does it all.
#[test]
fn a_neighbor_restarts_under_all_trees() {
    let mut bed = Bed::new();
    bed.join_all(0xffff);
    bed.take_said(UPSTREAM);
    bed.most_messages();
    bed.greet(UPSTREAM, 2);
    bed.run_for(Duration::from_millis(100));
    let said = bed.take_said(UPSTREAM);
    assert!(said.len() == TREES as usize && said.iter().all(|&(is_join, ..)| is_join), "{}", said.len());
    assert!(bed.most_messages() <= MOST_MESSAGES);
}

/// A route moves all trees to another neighbour, and back before all have moved: each ends where the routes say.
#[test]
fn a_route_changes_under_all_trees() {
    let mut bed = Bed::new();
    bed.join_all(0xffff);
    bed.take_said(UPSTREAM);
    bed.most_messages();
    bed.route(OTHER);
    bed.run_for(Duration::from_millis(100));
    assert!(bed.routes.len() == TREES as usize && bed.routes.values().all(|&port| port == OTHER));
    let (said, pruned) = (bed.said.clone(), bed.take_said(UPSTREAM));
    assert!(pruned.len() == TREES as usize && pruned.iter().all(|&(is_join, ..)| !is_join));
    assert!((0..TREES).all(|index| said[&(OTHER, key(index))].0));

    bed.route(UPSTREAM);
    bed.run_for(Duration::from_millis(5));
    let moved = bed.routes.values().filter(|&&port| port == UPSTREAM).count();
    assert!(0 < moved && moved < TREES as usize, "{moved}");
    bed.route(OTHER);
    bed.run_for(Duration::from_millis(100));
    assert!(bed.routes.values().all(|&port| port == OTHER));
    assert!(bed.most_messages() <= MOST_MESSAGES);

    // So does the loss of the neighbour: nobody is asked any more.
    bed.command(Command::LinkDown(OTHER));
    bed.run_for(Duration::from_millis(100));
    let entries = bed.router.entries().map(|entry| (entry.upstream, entry.upstream_neighbor, entry.join_timer));
    let expected = (UpstreamState::Joined, None, None);
    assert!(entries.into_iter().all(|entry| entry == expected));
}

/// Joins that run out together leave nothing behind, a few in each call.
#[test]
fn all_trees_expire_at_once() {
    let mut bed = Bed::new();
    bed.join_all(30);
    bed.most_messages();
    bed.run_for(Duration::from_millis(30_005));
    assert!(bed.router.entry_count() > 0 && bed.router.entry_count() < TREES as usize);
    bed.run_for(Duration::from_millis(95));
    assert_eq!((bed.router.entry_count(), bed.routes.len()), (0, 0));
    let said = bed.take_said(UPSTREAM);
    assert!(said.len() == TREES as usize && said.iter().all(|&(is_join, ..)| !is_join));
    assert!(bed.most_messages() <= MOST_MESSAGES);
}

/// With everything gone no timer is left that only trees have.
#[test]
fn stopping_ends_all_timers() {
    let mut bed = Bed::new();
    bed.join_all(210);
    bed.command(Command::Stop);
    assert_eq!((bed.router.entry_count(), bed.router.poll_timeout()), (0, None));
}
