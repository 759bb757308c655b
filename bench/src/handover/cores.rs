//! The routers of a site with a core each, on a clock that goes on by what their turns take.
//!
//! A router that has something to do takes a turn of its worker as soon as its last one is over, as a worker that spins
//! does. How long the turn takes is measured, and on the site's clock it ends so much later; what it has sent leaves then
//! and is at the other end of the link in the same moment. So a frame waits where its router is busy, frames that wait are
//! received together, and timers run when they are due; only what routers do while nothing happens is left out. One
//! thread carries this out, turn by turn in the order in which they begin, so that neither the number of cores that the
//! machine has nor what is done between the turns matters to the clock.

use super::message::{Message, Signalling};
use super::site::{Place, RADIO, Router};
use super::stopwatch::Stopwatch;
use crate::allocations;
use anyhow::{Result, ensure};
use core::cmp::Reverse;
use core::ops::{Add, Sub};
use stack::time::{Duration, Instant};
use std::collections::{BinaryHeap, VecDeque};

/// Turns with nothing to do before one for which a router has waited: it has spun until then, and has in its caches what
/// that needs, not what others needed whose turn it was here.
const SPINS: usize = 8;
/// Turns with nothing to do, to know what one takes.
const IDLE_TURNS: u64 = 1000;

/// A turn of a router.
pub(crate) struct Turn {
    pub(crate) place: Place,
    /// When it was over.
    pub(crate) end: Instant,
    pub(crate) allocations: u64,
    /// What it received.
    pub(crate) received: Vec<Received>,
    /// The ports by which it sent something, and what.
    pub(crate) sent: Vec<(usize, Message)>,
}

/// A frame that a turn received.
pub(crate) struct Received {
    pub(crate) port: usize,
    /// When it came to the port.
    pub(crate) came: Instant,
    pub(crate) message: Message,
}

/// What a router has done so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load {
    pub(crate) busy: Duration,
    pub(crate) turns: u64,
    pub(crate) allocations: u64,
    pub(crate) signalling: Signalling,
    pub(crate) drops: u64,
}

impl Add for Load {
    type Output = Load;

    fn add(self, other: Load) -> Load {
        Load {
            busy: self.busy + other.busy,
            turns: self.turns + other.turns,
            allocations: self.allocations + other.allocations,
            signalling: self.signalling + other.signalling,
            drops: self.drops + other.drops,
        }
    }
}

impl Sub for Load {
    type Output = Load;

    fn sub(self, earlier: Load) -> Load {
        Load {
            busy: self.busy - earlier.busy,
            turns: self.turns - earlier.turns,
            allocations: self.allocations - earlier.allocations,
            signalling: self.signalling - earlier.signalling,
            drops: self.drops - earlier.drops,
        }
    }
}

/// All routers.
pub(crate) struct Cores {
    cores: [Core; Place::ALL.len()],
    /// Numbers the frames, so that those of one moment stay in order.
    frames: u64,
    stopwatch: Stopwatch,
}

/// A frame that will come: when, which of all, by which port, what it means, and its octets.
type Coming = (Instant, u64, usize, Message, Vec<u8>);

/// A router and its core.
struct Core {
    router: Router,
    /// When its last turn was over.
    free: Instant,
    /// When it wants a turn of itself.
    timeout: Option<Instant>,
    /// Whether it has something left to do.
    restless: bool,
    /// Frames that will come, the next one first.
    coming: BinaryHeap<Reverse<Coming>>,
    /// What waits at each port, the oldest first.
    waiting: Vec<VecDeque<(Instant, Message)>>,
    /// The most frames that have waited at once since somebody asked.
    waiting_max: usize,
    busy: Duration,
    turns: u64,
    allocations: u64,
    /// Those of the last turn.
    last_allocations: u64,
}

impl Cores {
    /// A site for so many terminals.
    pub(crate) fn new(terminals: u32, stopwatch: Stopwatch) -> Result<Self> {
        let core = |place| -> Result<Core> {
            let router = Router::new(place, terminals)?;
            Ok(Core {
                waiting: router.ends.iter().map(|_| VecDeque::new()).collect(),
                router,
                free: Instant::from_secs(1),
                timeout: None,
                restless: true,
                coming: BinaryHeap::new(),
                waiting_max: 0,
                busy: Duration::ZERO,
                turns: 0,
                allocations: 0,
                last_allocations: 0,
            })
        };
        let [a, b, c, d] = Place::ALL;
        Ok(Cores { cores: [core(a)?, core(b)?, core(c)?, core(d)?], frames: 0, stopwatch })
    }

    /// A frame comes to a port at this time, which no turn has passed yet.
    pub(crate) fn arrive(&mut self, place: Place, port: usize, at: Instant, frame: Vec<u8>) {
        self.arrive_as(place, port, at, Message::of(&frame), frame);
    }

    fn arrive_as(&mut self, place: Place, port: usize, at: Instant, message: Message, frame: Vec<u8>) {
        self.frames += 1;
        self.cores[place.index()].coming.push(Reverse((at, self.frames, port, message, frame)));
    }

    /// When the next turn begins.
    pub(crate) fn next_start(&self) -> Instant {
        self.cores.iter().map(Core::next_start).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// Takes the next turn.
    pub(crate) fn turn(&mut self) -> Result<Turn> {
        let stopwatch = self.stopwatch;
        let starts = Place::ALL.map(|place| (self.cores[place.index()].next_start(), place));
        let (start, place) = starts.into_iter().min_by_key(|&(start, _)| start).expect("there are routers");
        let core = &mut self.cores[place.index()];
        core.wait(start);
        core.take_in(start)?;
        core.iterate(start, stopwatch);
        let (end, received) = (core.free, core.received());
        let mut sent = Vec::new();
        let mut carried = Vec::new();
        for port in 0..core.waiting.len() {
            while let Some((frame, message)) = core.router.pop(port) {
                if let Some((to, there)) = place.peer(port) {
                    carried.push((to, there, message.clone(), frame));
                }
                sent.push((port, message));
            }
        }
        let allocations = core.last_allocations;
        for (to, port, message, frame) in carried {
            self.arrive_as(to, port, end, message, frame);
        }
        Ok(Turn { place, end, allocations, received, sent })
    }

    pub(crate) fn router(&self, place: Place) -> &Router {
        &self.cores[place.index()].router
    }

    /// What a router has done so far.
    pub(crate) fn load(&self, place: Place) -> Load {
        let core = &self.cores[place.index()];
        Load {
            busy: core.busy,
            turns: core.turns,
            allocations: core.allocations,
            signalling: core.router.signalling,
            drops: core.router.drops(),
        }
    }

    /// The most frames that have waited at a router at once since this was asked last.
    pub(crate) fn take_waiting_max(&mut self, place: Place) -> usize {
        core::mem::take(&mut self.cores[place.index()].waiting_max)
    }

    /// Nanoseconds of a turn in which nothing happens, on average.
    pub(crate) fn idle_turn_nanos(&mut self, place: Place) -> u64 {
        let Core { router, free, .. } = &mut self.cores[place.index()];
        let all = self.stopwatch.time(|| {
            for _ in 0..IDLE_TURNS {
                router.worker.iterate(*free);
            }
        });
        all.as_nanos() as u64 / IDLE_TURNS
    }
}

impl Core {
    fn next_start(&self) -> Instant {
        if self.restless {
            return self.free;
        }
        let first = self.coming.peek().map(|Reverse((at, ..))| *at);
        let wanted = [first, self.timeout].into_iter().flatten().min().unwrap_or(Instant::FAR_FUTURE);
        wanted.max(self.free)
    }

    /// Spins until this time, where the router is not busy until then.
    fn wait(&mut self, until: Instant) {
        if until > self.free {
            for _ in 0..SPINS {
                self.router.worker.iterate(self.free);
            }
        }
    }

    /// Gives the ports what has come by now.
    fn take_in(&mut self, now: Instant) -> Result<()> {
        while let Some(Reverse((at, ..))) = self.coming.peek()
            && *at <= now
            && let Some(Reverse((at, _, port, message, frame))) = self.coming.pop()
        {
            if port == RADIO {
                self.router.signalling.note_received(&message, frame.len());
            }
            ensure!(self.router.ends[port].push(frame), "a port has not taken a frame");
            self.waiting[port].push_back((at, message));
        }
        self.waiting_max = self.waiting_max.max(self.waiting.iter().map(VecDeque::len).sum());
        Ok(())
    }

    /// A turn that is timed.
    fn iterate(&mut self, now: Instant, stopwatch: Stopwatch) {
        let before = allocations::count();
        let worker = &mut self.router.worker;
        let took = stopwatch.time(|| {
            worker.iterate(now);
        });
        self.last_allocations = allocations::count() - before;
        self.busy += took;
        self.turns += 1;
        self.allocations += self.last_allocations;
        self.free = now + took;
        while self.router.worker.poll_event().is_some() {}
        self.timeout = self.router.worker.poll_timeout();
    }

    /// What the last turn has received.
    fn received(&mut self) -> Vec<Received> {
        let mut received = Vec::new();
        for (port, waiting) in self.waiting.iter_mut().enumerate() {
            let left = self.router.ends[port].waiting();
            let taken = waiting.drain(..waiting.len() - left);
            received.extend(taken.map(|(came, message)| Received { port, came, message }));
        }
        self.restless = self.waiting.iter().any(|waiting| !waiting.is_empty()) || self.router.worker.has_backlog();
        received
    }
}
