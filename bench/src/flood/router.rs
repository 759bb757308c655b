//! A router that forwards a stream to many terminals' groups while it is flooded.
//!
//! ```text
//!   source ── core router ── router ──┬── radio: terminals, and hosts that flood
//!                                     └── LAN: a neighbour, and routers and hosts that flood
//! ```
//! It is a node of the appliance with ports in memory, and never without packets to forward. Its clock goes on by what its
//! turns take, so that a flood of a rate is so many frames a turn.

use super::kind::{self, From, Kind, Target};
use crate::handover::message::Message;
use crate::handover::site::ABOVE;
use crate::handover::stopwatch::{Clock, Stopwatch};
use crate::handover::terminal::Terminal;
use crate::traffic::link::in_memory;
use anyhow::{Context, Result, ensure};
use core::cell::Cell;
use core::net::Ipv6Addr;
use drover::admin::{Query, Topic};
use drover::config;
use drover::node::{self, DroverNode, fixed_clock};
use mma::secret::SecretRng;
use serde_json::Value;
use stack::addr::{MacAddress, with_interface_identifier};
use stack::packet::{BATCH_SIZE, Pool};
use stack::pipeline::Dataplane;
use stack::port::{MemEnd, MemPort, Port, PortInfo};
use stack::rng::Rng;
use stack::runtime::Worker;
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::path::Path;

const CORE: usize = 0;
const RADIO: usize = 1;
const LAN: usize = 2;
const FRAMES: u32 = 4096;
const MTU: usize = 1500;
/// Frames that wait at a port at the most, as in the ring of a NIC.
const RING: usize = 1024;
/// The core router on its link.
const CORE_ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100);
const RENDEZVOUS_POINT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 9, 0, 0, 0, 1);
const LAN_PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xb, 0, 0, 0, 0);
/// Turns that the routers have to find each other, a second each.
const SETTLE: u32 = 10;

/// Limits that a flood has to keep within.
pub(crate) const MAX_ENTRIES: u64 = 16_384;
pub(crate) const MAX_GROUPS: u64 = 8192;

std::thread_local! {
    /// What the router's clock showed at a time of this thread.
    static SET: Cell<(Instant, Clock, Duration)> = const { Cell::new((Instant::ORIGIN, Clock::Wall, Duration::ZERO)) };
}

/// The router's clock while it takes a turn.
fn clock() -> Instant {
    let (then, clock, at) = SET.get();
    then + (clock.now() - at)
}

/// What turns with a batch of the stream each have cost.
#[derive(Clone, Copy, Default)]
pub(crate) struct Section {
    pub(crate) time: Duration,
    pub(crate) packets: u64,
    /// Frames of the flood that were received, and that found the ring full.
    pub(crate) flood: u64,
    pub(crate) not_taken: u64,
}

impl Section {
    pub(crate) fn ns_per_packet(&self) -> f64 {
        self.time.as_nanos() as f64 / self.packets.max(1) as f64
    }
}

/// How full the tables are that a flood fills.
#[derive(Clone, Copy)]
pub(crate) struct Fill {
    pub(crate) trees: u64,
    pub(crate) groups: u64,
    pub(crate) neighbors: u64,
}

pub(crate) struct Router {
    worker: Worker<DroverNode>,
    ends: Vec<MemEnd>,
    now: Instant,
    stopwatch: Stopwatch,
    target: Target,
    rng: Rng,
    streams: Vec<Vec<u8>>,
    next_stream: usize,
}

impl Router {
    /// A router with so many terminals, each a member of its group, and neighbours.
    pub(crate) fn new(terminals: u32, stopwatch: Stopwatch) -> Result<Self> {
        let config = config::parse("bench", &text(), Path::new(""))?;
        let infos: Vec<PortInfo> = (0..config.ports.len() as u8).map(info).collect();
        let (ports, ends): (Vec<Box<dyn Port>>, Vec<MemEnd>) = MemPort::all(&infos);
        ends.iter().for_each(|end| end.set_capacity(RING));
        let node = DroverNode::new(&config, &infos, 1, SecretRng::simulated(1), fixed_clock())?;
        let pool = Pool::new(FRAMES).context("cannot map the frames of a pool")?;
        let dataplane = Dataplane::new(DroverNode::dataplane_config(&config, 1), pool, &infos);
        let link_address = infos[LAN].link_address;
        let link_local =
            with_interface_identifier(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), link_address.interface_identifier());
        let mut this = Router {
            worker: Worker::new(dataplane, node, ports).with_clock(clock),
            ends,
            now: Instant::from_secs(1),
            stopwatch,
            target: Target { link_local, link_address, rendezvous_point: RENDEZVOUS_POINT, lan: LAN_PREFIX },
            rng: Rng::new(5),
            streams: (0..terminals).map(|number| Terminal(number).stream()).collect(),
            next_stream: 0,
        };
        for _ in 0..SETTLE {
            this.turn(Duration::from_secs(1));
        }
        this.ends[CORE].push(kind::hello(CORE_ROUTER, 1, vec![ABOVE]));
        this.ends[LAN].push(kind::hello(kind::NEIGHBOR, 1, Vec::new()));
        this.turn(Duration::from_secs(1));
        for terminal in (0..terminals).map(Terminal) {
            this.ends[RADIO].push(terminal.join());
            this.turn(Duration::from_micros(10));
        }
        let Fill { trees, groups, neighbors } = this.fill();
        let expected = (u64::from(terminals), u64::from(terminals), 2);
        ensure!((trees, groups, neighbors) == expected, "{trees} trees, {groups} groups, {neighbors} neighbours");
        Ok(this)
    }

    /// A turn, and what it takes.
    fn timed_turn(&mut self) -> Duration {
        let (worker, now) = (&mut self.worker, self.now);
        SET.set((now, self.stopwatch.clock(), self.stopwatch.clock().now()));
        let took = self.stopwatch.time(|| {
            worker.iterate(now);
        });
        while self.worker.poll_event().is_some() {}
        self.now += took;
        took
    }

    /// A turn, and time that passes after it.
    fn turn(&mut self, time: Duration) {
        self.timed_turn();
        self.now += time;
        self.ends.iter().for_each(|end| while end.pop().is_some() {});
    }

    /// So many turns, each with a batch of the stream, while a flood comes in at so many frames a second.
    ///
    /// # Errors
    /// Where a packet of the stream does not come to the radio.
    pub(crate) fn section(&mut self, turns: u32, flood: Option<(Kind, u32)>) -> Result<Section> {
        let mut section = Section::default();
        let mut due = 0.0;
        for _ in 0..turns {
            for _ in 0..BATCH_SIZE {
                let frame = &self.streams[self.next_stream];
                self.next_stream = (self.next_stream + 1) % self.streams.len();
                ensure!(self.ends[CORE].push(frame.clone()), "the port has not taken the stream");
            }
            section.packets += BATCH_SIZE as u64;
            if let Some((kind, _)) = flood {
                while due >= 1.0 {
                    due -= 1.0;
                    let frame = kind.frame(&self.target, &mut self.rng);
                    let taken = self.ends[port_of(kind)].push(frame);
                    *if taken { &mut section.flood } else { &mut section.not_taken } += 1;
                }
            }
            let took = self.timed_turn();
            section.time += took;
            due += flood.map_or(0.0, |(_, rate)| took.as_secs_f64() * f64::from(rate));
            let mut delivered = 0;
            while let Some(frame) = self.ends[RADIO].pop() {
                delivered += usize::from(matches!(Message::of(&frame), Message::Stream(_)));
            }
            ensure!(delivered == BATCH_SIZE, "{delivered} of {BATCH_SIZE} packets of the stream came");
            for port in [CORE, LAN] {
                while self.ends[port].pop().is_some() {}
            }
        }
        Ok(section)
    }

    /// So many frames of a flood, as fast as the router takes them, without the stream.
    pub(crate) fn soak(&mut self, kind: Kind, frames: u32) {
        for first in (0..frames).step_by(BATCH_SIZE) {
            for _ in first..frames.min(first + BATCH_SIZE as u32) {
                let frame = kind.frame(&self.target, &mut self.rng);
                self.ends[port_of(kind)].push(frame);
            }
            self.timed_turn();
            self.ends.iter().for_each(|end| while end.pop().is_some() {});
        }
    }

    pub(crate) fn fill(&self) -> Fill {
        let counted = |topic: Topic| {
            let page = node::show_query(&self.worker, self.now, Query { limit: Some(0), ..topic.into() });
            page.more
        };
        Fill { trees: counted(Topic::PimTib), groups: counted(Topic::PimMld), neighbors: counted(Topic::PimNeighbors) }
    }

    /// What it has dropped, or been told too much of, by counter.
    pub(crate) fn refusals(&self) -> BTreeMap<String, u64> {
        let Value::Object(machines) = node::show(&self.worker, self.now, Topic::Counters) else {
            return BTreeMap::new();
        };
        let counters = machines.values().filter_map(Value::as_object).flatten();
        let refusing = counters.filter(|(name, _)| name.starts_with("drop-") || name.contains("limit"));
        refusing.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
    }
}

fn port_of(kind: Kind) -> usize {
    match kind.from() {
        From::Radio => RADIO,
        From::Lan => LAN,
    }
}

fn info(port: u8) -> PortInfo {
    in_memory(format!("p{port}"), MacAddress([2, 0, 0, 0, 0, port]), MTU)
}

fn text() -> String {
    format!(
        r#"
[node]
name = "router"
loopback = ["{RENDEZVOUS_POINT}"]

[[port]]
name = "core"
interface = "p0"
addresses = ["2001:db8:200:2::2/64"]
point_to_point = true

[[port]]
name = "radio"
interface = "p1"
addresses = ["2001:db8:200:a::1/64"]

[[port]]
name = "lan"
interface = "p2"
addresses = ["{lan}/64"]

[[route]]
prefix = "::/0"
port = "core"
via = "{ABOVE}"

[router]
max_entries = {MAX_ENTRIES}
max_sources = {MAX_ENTRIES}

[[router.static_rp]]
address = "{RENDEZVOUS_POINT}"
groups = ["ff15::/16"]

[[router.port]]
name = "core"
hello_at_once = true

[[router.port]]
name = "lan"
hello_at_once = true
dr_priority = 10

[[access_router.port]]
name = "radio"

[access_router.port.mld]
max_groups = {MAX_GROUPS}
"#,
        lan = with_interface_identifier(LAN_PREFIX, 1),
    )
}
