//! A router between one neighbour that joins and two that it can join at, and what its calls cost.

use crate::allocations;
use crate::handover::stopwatch::Clock;
use core::net::Ipv6Addr;
use pim::wire::{EncodedGroup, EncodedSource, GroupSet, HOLDTIME_FOREVER, Hello, JoinPrune, MessageType};
use pim::{Command, Config, InterfaceConfig, Limits, Router};
use stack::machine::{Machine, Output, PortId, RxMeta};
use stack::tables::{Route, TableUpdate};
use stack::time::{Duration, Instant};

/// Joins of each message that is received.
pub(crate) const JOINS_PER_MESSAGE: usize = 32;
/// t_periodic.
pub(crate) const PERIOD: Duration = Config::JOIN_PRUNE_PERIOD;
/// Holdtime of the joins, in seconds: 3.5 periods.
const HOLDTIME_SECS: u16 = 210;

const DOWNSTREAM: PortId = PortId(0);
const UPSTREAM: PortId = PortId(1);
const OTHER_UPSTREAM: PortId = PortId(2);
/// An odd number, so that its multiples are 64-bit identifiers of which no two are the same, in no order.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;
/// Parts of an operation whose costs are told apart.
const PARTS: u64 = 8;

/// What an operation cost.
#[derive(Default)]
pub(crate) struct Tally {
    /// Nanoseconds of each call.
    pub(crate) calls: Vec<u64>,
    /// Join/Prune messages that were sent.
    pub(crate) messages: u64,
    pub(crate) joins: u64,
    pub(crate) prunes: u64,
    pub(crate) most_messages_in_a_call: u64,
    pub(crate) most_messages_in_a_second: u64,
    pub(crate) allocations: u64,
    /// The second that is counted, and its messages.
    second: (u64, u64),
}

impl Tally {
    /// Nanoseconds of the calls of each eighth, or of each where there are fewer.
    pub(crate) fn parts(&self) -> Vec<u64> {
        let each = self.calls.len().div_ceil(PARTS as usize).max(1);
        let parts: Vec<u64> = self.calls.chunks(each).map(|calls| calls.iter().sum()).collect();
        if parts.is_empty() { vec![0] } else { parts }
    }
}

/// The router, and what time it is.
pub(crate) struct Site {
    router: Router,
    now: Instant,
    clock: Clock,
    entries: u32,
    sources: u32,
    tally: Tally,
    /// (S,G) routes of the forwarding table.
    routes: i64,
}

fn link_local(port: PortId, last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, port.0.into(), last)
}

fn own(port: PortId) -> Ipv6Addr {
    link_local(port, 1)
}

fn neighbor(port: PortId) -> Ipv6Addr {
    link_local(port, 2)
}

fn packet(port: PortId, kind: MessageType, emit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    pim::wire::packet(neighbor(port), kind, emit)
}

impl Site {
    /// No entry yet; all neighbours are known.
    pub(crate) fn new(entries: u32, sources: u32, clock: Clock) -> Self {
        let ports = [DOWNSTREAM, UPSTREAM, OTHER_UPSTREAM];
        let interfaces = ports.map(|port| InterfaceConfig::new(port, own(port), 1500));
        let limits = Limits { entries: entries as usize, ..Limits::default() };
        let router = Router::new(Config { limits, ..Config::new(interfaces.into(), 1) });
        let now = Instant::from_secs(1);
        let mut site = Site { router, now, clock, entries, sources, tally: Tally::default(), routes: 0 };
        for port in ports {
            site.command(Command::LinkUp(port));
        }
        site.route(UPSTREAM);
        for port in ports {
            site.greet(port, 1);
        }
        site.run_for(Duration::from_secs(20));
        site.take_tally();
        site
    }

    /// The messages that join every entry. Groups are of one terminal each.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        let group_set = |index: u32| {
            let group = 0xff35_u128 << 112 | u128::from((u64::from(index) + 1).wrapping_mul(SCATTER));
            let source = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, ((index % self.sources) >> 16) as u16, 0).to_bits()
                | u128::from((index % self.sources) & 0xffff);
            GroupSet {
                group: EncodedGroup::host(Ipv6Addr::from_bits(group)),
                joined: vec![EncodedSource::host(Ipv6Addr::from_bits(source))],
                pruned: Vec::new(),
            }
        };
        let all: Vec<u32> = (0..self.entries).collect();
        let message = |indices: &[u32]| {
            let groups = indices.iter().map(|&index| group_set(index)).collect();
            let message = JoinPrune { upstream_neighbor: own(DOWNSTREAM), holdtime: HOLDTIME_SECS, groups };
            packet(DOWNSTREAM, MessageType::JoinPrune, |into| message.emit(into))
        };
        all.chunks(JOINS_PER_MESSAGE).map(message).collect()
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn entry_count(&self) -> usize {
        self.router.entry_count()
    }

    /// Octets that this has allocated beside the router since it was made.
    pub(crate) fn held_octets(&self) -> i64 {
        (self.tally.calls.capacity() * size_of::<u64>()) as i64
    }

    /// What was done since the last time.
    pub(crate) fn take_tally(&mut self) -> Tally {
        core::mem::take(&mut self.tally)
    }

    /// The downstream neighbour sends these one after the other, all within `during`; timers run between them.
    pub(crate) fn receive(&mut self, messages: &[Vec<u8>], during: Duration) {
        let start = self.now;
        for (index, message) in messages.iter().enumerate() {
            self.run_until(start + during * index as u32 / messages.len() as u32);
            self.packet(DOWNSTREAM, message);
        }
        self.run_until(start + during);
    }

    /// The upstream neighbour has lost its state.
    pub(crate) fn restart_upstream(&mut self) {
        self.greet(UPSTREAM, 2);
    }

    /// The sources are behind the other upstream neighbour.
    pub(crate) fn move_source(&mut self) {
        self.route(OTHER_UPSTREAM);
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Runs the timers that are due until then.
    pub(crate) fn run_until(&mut self, end: Instant) {
        while let Some(at) = self.router.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.call(|router, now| router.handle_timeout(now));
        }
        self.now = self.now.max(end);
    }

    /// Runs the timers until no entry is left.
    pub(crate) fn run_until_idle(&mut self) {
        let end = self.now + PERIOD * 10;
        while self.router.entry_count() > 0 {
            let Some(at) = self.router.poll_timeout().filter(|&at| at <= end) else { return };
            self.run_until(at);
        }
    }

    fn greet(&mut self, port: PortId, generation: u32) {
        let hello = Hello {
            holdtime: Some(HOLDTIME_FOREVER),
            lan_prune_delay: None,
            dr_priority: Some(1),
            generation_id: Some(generation),
            addresses: Vec::new(),
        };
        self.packet(port, &packet(port, MessageType::Hello, |into| hello.emit(into)));
    }

    fn route(&mut self, port: PortId) {
        let prefix = "2001:db8:1::/64".parse().expect("it is one");
        self.command(Command::RouteSet(prefix, Route::Via { port, next_hop: neighbor(port) }));
    }

    fn packet(&mut self, port: PortId, packet: &[u8]) {
        let meta = RxMeta { port, link_source: None, link_multicast: true, tunnel: None };
        self.call(|router, now| router.handle_packet(now, &meta, packet));
    }

    fn command(&mut self, command: Command) {
        self.call(|router, now| router.handle_command(now, command));
    }

    /// One call with all its answers, timed together.
    fn call(&mut self, call: impl FnOnce(&mut Router, Instant)) {
        let before = *self.router.counters();
        let allocated = allocations::count();
        let started = self.clock.now();
        call(&mut self.router, self.now);
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Table(TableUpdate::MrouteSet(..)) => self.routes += 1,
                Output::Table(TableUpdate::MrouteRemove(_)) => self.routes -= 1,
                _ => {}
            }
        }
        let nanos = (self.clock.now() - started).as_nanos() as u64;
        let tally = &mut self.tally;
        tally.allocations += allocations::count() - allocated;
        tally.calls.push(nanos);
        let after = self.router.counters();
        let messages = after.tx_join_prune - before.tx_join_prune;
        tally.messages += messages;
        tally.joins += after.tx_join - before.tx_join;
        tally.prunes += after.tx_prune - before.tx_prune;
        tally.most_messages_in_a_call = tally.most_messages_in_a_call.max(messages);
        let second = self.now.as_nanos() / 1_000_000_000;
        let counted = if tally.second.0 == second { tally.second.1 } else { 0 };
        tally.second = (second, counted + messages);
        tally.most_messages_in_a_second = tally.most_messages_in_a_second.max(tally.second.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_join_is_another_entry() {
        let mut site = Site::new(5_000, 7, Clock::Wall);
        let messages = site.messages();
        assert_eq!(messages.len(), 5_000_usize.div_ceil(JOINS_PER_MESSAGE));
        site.receive(&messages, Duration::from_secs(1));
        let sources: BTreeSet<_> = site.router.entries().map(|entry| entry.key.source).collect();
        assert_eq!((site.entry_count(), sources.len(), site.routes), (5_000, 7, 5_000));
        assert!(site.take_tally().joins >= 5_000);
        site.run_until_idle();
        assert_eq!((site.entry_count(), site.routes, site.take_tally().prunes), (0, 0, 5_000));
    }

    #[test]
    fn parts_are_of_all_calls() {
        let tally = Tally { calls: (1..=100).collect(), ..Tally::default() };
        assert_eq!((tally.parts().len(), tally.parts().iter().sum::<u64>()), (8, 5050));
    }
}
