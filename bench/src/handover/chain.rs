//! The way from the terminal to the source and back over real ports: three routers on AF_XDP, between them veth pairs.
//!
//! ```text
//!   source ── root ── core ── access 0 ~~~ terminals
//! ```
//! Source and terminals are packet sockets. One thread does all: it sends what they send, and gives the routers their turns
//! one after the other without ever sleeping, as three workers that spin on one core. What the kernel does for a frame on
//! a veth pair, it does within the system calls that this thread makes. So what is measured has all of that in it, and
//! each router's waiting for the turns of the others, and no other core is needed. The packet of the stream leaves the
//! source when the root has the route.

use super::OverInterfaces;
use super::message::Message;
use super::site::{Place, config_of, port_in_memory, worker_of};
use super::stage::{Stage, Stages};
use super::stopwatch::Clock;
use super::terminal::Terminal;
use crate::allocations;
use crate::progress::Progress;
use crate::wire::stage::{await_carrier, enter_new_namespace, ip, prepare, transmit};
use anyhow::{Context, Result, ensure};
use drover::node::DroverNode;
use stack::packet::{Batch, Pool};
use stack::port::{PacketPort, Port, Umem, XdpOptions, XdpPort};
use stack::runtime::Worker;
use stack::time::Duration;
use std::time::Instant;

/// Frames of each pool, as many as the appliance has unless it is told otherwise.
const FRAMES: u32 = 8192;
/// How long something may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a frame may be under way before it is sent again: where routers do not know each other yet, and where one was
/// lost.
const AGAIN: Duration = Duration::from_millis(200);
/// Terminals that come and go by turns, beside those that stay.
const GUESTS: u32 = 16;
/// Terminals that arrive together before anything is measured.
const CROWD: u32 = 32;
/// Blocks of arrivals.
const BLOCKS: u32 = 8;

/// Three routers and the two ends.
struct Chain {
    routers: Vec<(Place, Worker<DroverNode>)>,
    clock: Clock,
    pool: Pool,
    source: PacketPort,
    radio: PacketPort,
    /// What the terminals have received since somebody looked.
    heard: Vec<Terminal>,
    repeated: u64,
}

/// Measures so many arrivals at a site with so many terminals, in a network namespace of the calling thread's own.
///
/// # Errors
/// Where that is not permitted, with the remedy.
pub(crate) fn run(terminals: u32, arrivals: u32, clock: Clock, progress: &Progress) -> Result<OverInterfaces> {
    enter_new_namespace()?;
    let mut chain = Chain::new(terminals + GUESTS, clock)?;
    let first: Vec<Terminal> = vec![Terminal(terminals)];
    chain.arrive(&first, 1)?;
    chain.leave(first[0], 0)?;
    let residents: Vec<Terminal> = (0..terminals).map(Terminal).collect();
    for crowd in residents.chunks(CROWD as usize) {
        let trees = crowd.last().map_or(0, |last| last.0 + 1);
        chain.arrive(crowd, trees as usize)?;
        crowd.iter().for_each(|_| progress.step());
    }
    let mut stages = Stages::new();
    let warm = arrivals.div_ceil(10);
    for number in 0..warm + arrivals {
        let guest = Terminal(terminals + number % GUESTS);
        let before = allocations::count();
        let (tree, packet) = chain.arrive(&[guest], terminals as usize + 1)?;
        let allocations = (allocations::count() - before) as f64;
        let leave = chain.leave(guest, terminals as usize)?;
        progress.step();
        if number < warm {
            continue;
        }
        stages.record(Stage::Tree, tree, allocations);
        stages.record(Stage::FirstPacket, packet, allocations);
        stages.record(Stage::Leave, leave, 0.0);
        if (number - warm + 1).is_multiple_of(arrivals.div_ceil(BLOCKS)) {
            stages.end_block();
        }
    }
    stages.end_block();
    let ports = chain.routers.iter().flat_map(|(_, worker)| worker.ports());
    let mut modes: Vec<String> = ports.map(|port| port.info().mode.clone()).filter(|mode| !mode.is_empty()).collect();
    modes.dedup();
    Ok(OverInterfaces { stages, mode: modes.join("; "), repeated: chain.repeated })
}

impl Chain {
    fn new(terminals: u32, clock: Clock) -> Result<Self> {
        // Of each link, the end that is closer to the source first.
        for (above, below) in [("source", "root-up"), ("root", "core-up"), ("core", "access-up"), ("access", "radio")] {
            let queues = "numtxqueues 1 numrxqueues 1";
            ip(&format!("link add {above} {queues} type veth peer name {below} {queues}"))?;
            [above, below].into_iter().try_for_each(prepare)?;
            [above, below].into_iter().try_for_each(await_carrier)?;
        }
        let router = |place: Place, names: &[Option<&str>]| -> Result<(Place, Worker<DroverNode>)> {
            let config = config_of(place, terminals)?;
            let pool = Pool::new(FRAMES).context("cannot map the frames of a pool")?;
            let umem = Umem::new(&pool);
            let mut ports: Vec<Box<dyn Port>> = Vec::new();
            for (number, name) in names.iter().enumerate() {
                ports.push(match name {
                    Some(name) => Box::new(XdpPort::open(&umem, name, XdpOptions::default())?),
                    None => Box::new(port_in_memory(place, number as u8).0),
                });
            }
            Ok((place, worker_of(place, &config, pool, ports)?))
        };
        Ok(Chain {
            routers: vec![
                router(Place::Access(0), &[Some("access-up"), Some("access")])?,
                router(Place::Core, &[Some("core-up"), Some("core"), None])?,
                router(Place::Root, &[Some("root"), Some("root-up")])?,
            ],
            clock,
            pool: Pool::new(FRAMES).context("cannot map the frames of a pool")?,
            source: PacketPort::open("source", true)?,
            radio: PacketPort::open("radio", true)?,
            heard: Vec::new(),
            repeated: 0,
        })
    }

    /// Terminals report; when the root has this many trees their packets are sent. What passes until the trees stand, and
    /// until the last packet is heard.
    fn arrive(&mut self, terminals: &[Terminal], trees: usize) -> Result<(Duration, Duration)> {
        let began = self.clock.now();
        let mut patience = Patience::new();
        self.heard.clear();
        self.say(terminals.iter().map(|terminal| terminal.join()))?;
        while self.trees(Place::Root) < trees {
            self.round()?;
            if patience.is_over()? {
                self.repeated += 1;
                self.say(terminals.iter().map(|terminal| terminal.join()))?;
            }
        }
        let tree = self.clock.now() - began;
        self.stream(terminals)?;
        while self.heard.len() < terminals.len() {
            self.round()?;
            if patience.is_over()? {
                self.repeated += 1;
                let missing: Vec<Terminal> =
                    terminals.iter().copied().filter(|terminal| !self.heard.contains(terminal)).collect();
                self.stream(&missing)?;
            }
        }
        Ok((tree, self.clock.now() - began))
    }

    /// A terminal leaves; what passes until the root has this many trees.
    fn leave(&mut self, terminal: Terminal, trees: usize) -> Result<Duration> {
        let began = self.clock.now();
        let mut patience = Patience::new();
        self.say([terminal.leave()])?;
        while self.trees(Place::Root) > trees {
            self.round()?;
            if patience.is_over()? {
                self.repeated += 1;
                self.say([terminal.leave()])?;
            }
        }
        Ok(self.clock.now() - began)
    }

    /// Every router has its turn; the terminals hear what there is.
    fn round(&mut self) -> Result<()> {
        for (_, worker) in &mut self.routers {
            worker.iterate(stack::runtime::Clock.now());
            while worker.poll_event().is_some() {}
        }
        let mut batch = Batch::new();
        self.radio.rx_batch(&self.pool, &mut batch);
        let mut answers = Vec::new();
        for frame in batch.iter() {
            match Message::of(frame.bytes()) {
                Message::Stream(terminal) if !self.heard.contains(&terminal) => self.heard.push(terminal),
                Message::Query(Some(terminal), _) => answers.push(terminal.answer()),
                _ => {}
            }
        }
        drop(batch);
        if answers.is_empty() { Ok(()) } else { self.say(answers) }
    }

    /// Terminals send frames.
    fn say(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
        transmit(&mut self.radio, &self.pool, frames)
    }

    /// The source sends a packet to each of these terminals.
    fn stream(&mut self, terminals: &[Terminal]) -> Result<()> {
        transmit(&mut self.source, &self.pool, terminals.iter().map(|terminal| terminal.stream()))
    }

    /// How many (S,G) routes a router has.
    fn trees(&self, place: Place) -> usize {
        let worker = self.routers.iter().find(|(at, _)| *at == place).map(|(_, worker)| worker);
        let sizes = worker.map(|worker| worker.dataplane().table_sizes());
        sizes.into_iter().flatten().filter(|&(name, _)| name == "mroutes").map(|(_, size)| size).sum()
    }
}

/// How long something has taken.
struct Patience {
    began: Instant,
    asked: Instant,
}

impl Patience {
    fn new() -> Self {
        Patience { began: Instant::now(), asked: Instant::now() }
    }

    /// Whether it is time to try again.
    ///
    /// # Errors
    /// When it has taken so long that nothing will come of it.
    fn is_over(&mut self) -> Result<bool> {
        ensure!(self.began.elapsed() < PATIENCE, "nothing has come of a report within {} s", PATIENCE.as_secs());
        let is_over = self.asked.elapsed() >= AGAIN;
        if is_over {
            self.asked = Instant::now();
        }
        Ok(is_over)
    }
}
