//! Terminals that move in a site: what each does next, what has come of its last movement, and whether all trees are as
//! they should be.
//!
//! A movement within the site is a report to the new access router, and when the first packet of the terminal's stream
//! has come by there, and both links have been up for [`OVERLAP`], a leave to the old one. An arrival is the report alone,
//! a departure the leave alone. The packet whose way is measured is at the router where the new branch begins in the
//! moment in which the branch is there. Terminals answer the queries that routers send them.

use super::cores::{Cores, Load, Received, Turn};
use super::message::Message;
use super::site::{Place, RADIO, SOURCE, SOURCE_PORT, UP};
use super::stage::{Stage, Stages};
use super::stopwatch::Stopwatch;
use super::terminal::Terminal;
use anyhow::Result;
use core::cmp::Reverse;
use core::ops::Add;
use stack::rng::Rng;
use stack::tables::{Mroute, MrouteKey};
use stack::time::{Duration, Instant};
use std::collections::{BinaryHeap, HashMap};

/// How long a terminal has both links after the first packet by the new one.
pub(crate) const OVERLAP: Duration = Duration::from_millis(10);
/// How long a movement may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a terminal is asked to move that is under way: later.
const POSTPONED: Duration = Duration::from_millis(1);

/// Where a terminal goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Goal {
    /// From one access router to another.
    Move { from: usize, to: usize },
    /// Into the site.
    Arrive { at: usize },
    /// Out of it.
    Depart { from: usize },
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Act {
    Start(Terminal, Goal, bool),
    Leave(Terminal),
    Answer(Terminal, usize),
}

/// How far a terminal has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Its report is on its way to the access router.
    Reported,
    /// Its Join is on its way to the core router.
    Joined,
    /// Its Join is on its way to the root.
    JoinedBeyond,
    /// Its tree stands; a packet is on its way down.
    Streaming,
    /// It has both links.
    Both,
    /// Its leave is on its way to the access router, or the Prune that follows to the core router.
    Leaving,
    /// The Prune is on its way to the root.
    LeavingBeyond,
}

/// A terminal that is under way.
struct Journey {
    goal: Goal,
    phase: Phase,
    began: Instant,
    left: Instant,
    is_recorded: bool,
}

/// What has come of some movements.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Outcome {
    /// Movements that were begun.
    pub(crate) begun: u64,
    /// Movements that came to their end: the tree stands, the packet has come, the old branch is gone.
    pub(crate) ended: u64,
    /// Packets of streams that went into the tree, that came by the new branch, and that came by the old one as well.
    pub(crate) streamed: u64,
    pub(crate) received: u64,
    pub(crate) copies: u64,
}

impl Add for Outcome {
    type Output = Outcome;

    fn add(self, other: Outcome) -> Outcome {
        Outcome {
            begun: self.begun + other.begun,
            ended: self.ended + other.ended,
            streamed: self.streamed + other.streamed,
            received: self.received + other.received,
            copies: self.copies + other.copies,
        }
    }
}

/// Routes that should be there, and routes that are there and should not, are not there and should, or are others.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Inspection {
    pub(crate) routes: u64,
    pub(crate) wrong: u64,
}

/// The terminals of a site.
pub(crate) struct Field {
    cores: Cores,
    /// The access router of each terminal that is in the site.
    at: Vec<Option<usize>>,
    under_way: HashMap<Terminal, Journey>,
    agenda: BinaryHeap<Reverse<(Instant, u64, Act)>>,
    acts: u64,
    now: Instant,
    /// What is recorded of movements that are to be.
    pub(crate) stages: Stages,
    pub(crate) outcome: Outcome,
    /// When the latest tree came to stand.
    pub(crate) last_tree: Instant,
    /// Movements that are yet to begin.
    starts: usize,
    /// A movement that has ended in this step, and whether it was recorded.
    ended: Option<bool>,
    rng: Rng,
}

impl Field {
    /// A site for so many terminals, whose routers have found each other; no terminal is in it.
    pub(crate) fn new(terminals: u32, settle: Duration, stopwatch: Stopwatch) -> Result<Self> {
        let mut field = Field {
            cores: Cores::new(terminals, stopwatch)?,
            at: vec![None; terminals as usize],
            under_way: HashMap::new(),
            agenda: BinaryHeap::new(),
            acts: 0,
            now: Instant::from_secs(1),
            stages: Stages::new(),
            outcome: Outcome::default(),
            last_tree: Instant::ORIGIN,
            starts: 0,
            ended: None,
            rng: Rng::new(5),
        };
        field.pass(settle)?;
        Ok(field)
    }

    /// The time on the site's clock.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Where a terminal is, or is about to be.
    pub(crate) fn at(&self, terminal: Terminal) -> Option<usize> {
        self.at[terminal.0 as usize]
    }

    pub(crate) fn cores(&mut self) -> &mut Cores {
        &mut self.cores
    }

    /// What each router has done so far.
    pub(crate) fn loads(&self) -> [Load; Place::ALL.len()] {
        Place::ALL.map(|place| self.cores.load(place))
    }

    /// A terminal begins a movement at this time, or as soon as its last one is over; what its stages take is recorded
    /// if that is said.
    pub(crate) fn start(&mut self, terminal: Terminal, goal: Goal, at: Instant, is_recorded: bool) {
        self.starts += 1;
        self.plan(at, Act::Start(terminal, goal, is_recorded));
    }

    /// Lets time go on by so much.
    pub(crate) fn pass(&mut self, time: Duration) -> Result<()> {
        let until = self.now + time;
        while self.next_time() <= until {
            self.step()?;
        }
        self.now = until;
        Ok(())
    }

    /// Lets time go on until a movement ends; answers whether it was recorded. None when nobody is under way any more, or
    /// when nothing has come of those who are for so long that they are lost.
    pub(crate) fn next_end(&mut self) -> Result<Option<bool>> {
        self.ended = None;
        let mut patience = self.next_time() + PATIENCE;
        loop {
            if self.starts + self.under_way.len() == 0 || self.starts == 0 && self.next_time() > patience {
                return Ok(None);
            }
            if self.step()? == Progress::Begun {
                patience = self.now + PATIENCE;
            }
            if let Some(is_recorded) = self.ended.take() {
                return Ok(Some(is_recorded));
            }
        }
    }

    /// Forgets those that are lost on their way; answers how many.
    pub(crate) fn give_up(&mut self) -> u64 {
        let lost = self.under_way.len() as u64;
        self.under_way.clear();
        lost
    }

    /// Compares all routes of all routers with where the terminals are.
    pub(crate) fn inspect(&self) -> Inspection {
        let mut inspection = Inspection::default();
        for place in Place::ALL {
            let mut routes: HashMap<MrouteKey, Mroute> = self.cores.router(place).routes().collect();
            for (number, at) in self.at.iter().enumerate() {
                let key = MrouteKey { source: SOURCE, group: Terminal(number as u32).group() };
                let expected = at.and_then(|at| place.route(at));
                inspection.routes += u64::from(expected.is_some());
                inspection.wrong += u64::from(routes.remove(&key) != expected);
            }
            inspection.wrong += routes.len() as u64;
        }
        inspection
    }

    fn plan(&mut self, at: Instant, act: Act) {
        self.acts += 1;
        self.agenda.push(Reverse((at, self.acts, act)));
    }

    /// When something happens next.
    fn next_time(&self) -> Instant {
        let act = self.agenda.peek().map(|Reverse((at, ..))| *at);
        act.into_iter().chain([self.cores.next_start()]).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// What terminals do comes before the turns that begin later.
    fn step(&mut self) -> Result<Progress> {
        let turn = self.cores.next_start();
        if let Some(Reverse((at, ..))) = self.agenda.peek()
            && *at <= turn
            && let Some(Reverse((at, _, act))) = self.agenda.pop()
        {
            self.now = at;
            return Ok(self.act(act));
        }
        self.now = turn;
        let turn = self.cores.turn()?;
        self.see(&turn);
        Ok(Progress::Turn)
    }

    fn act(&mut self, act: Act) -> Progress {
        let now = self.now;
        match act {
            Act::Start(terminal, goal, is_recorded) => {
                if self.under_way.contains_key(&terminal) {
                    self.plan(now + POSTPONED, act);
                    return Progress::Turn;
                }
                self.starts -= 1;
                self.outcome.begun += 1;
                let (place, frame, phase, at) = match goal {
                    Goal::Move { to, .. } | Goal::Arrive { at: to } => (to, terminal.join(), Phase::Reported, Some(to)),
                    Goal::Depart { from } => (from, terminal.leave(), Phase::Leaving, None),
                };
                self.at[terminal.0 as usize] = at;
                self.cores.arrive(Place::Access(place), RADIO, now, frame);
                self.under_way.insert(terminal, Journey { goal, phase, began: now, left: now, is_recorded });
                Progress::Begun
            }
            Act::Leave(terminal) => {
                if let Some(journey) = self.under_way.get_mut(&terminal)
                    && let Goal::Move { from, .. } = journey.goal
                {
                    (journey.phase, journey.left) = (Phase::Leaving, now);
                    self.cores.arrive(Place::Access(from), RADIO, now, terminal.leave());
                }
                Progress::Turn
            }
            Act::Answer(terminal, at) => {
                if self.at(terminal) == Some(at) {
                    self.cores.arrive(Place::Access(at), RADIO, now, terminal.answer());
                }
                Progress::Turn
            }
        }
    }

    /// What a turn means for those who are under way.
    fn see(&mut self, turn: &Turn) {
        let allocations = turn.allocations as f64 / turn.received.len().max(1) as f64;
        for received in &turn.received {
            let event = |terminal| Event { terminal, turn, allocations, received };
            match &received.message {
                Message::Report(terminal) => self.reported(&event(*terminal)),
                Message::JoinPrune { joins, prunes } => {
                    joins.iter().for_each(|&terminal| self.joined(&event(terminal)));
                    prunes.iter().for_each(|&terminal| self.pruned(&event(terminal)));
                }
                _ => {}
            }
        }
        let Place::Access(at) = turn.place else { return };
        for (_, message) in turn.sent.iter().filter(|(port, _)| *port == RADIO) {
            match *message {
                Message::Stream(terminal) => self.heard(terminal, at, turn, allocations),
                Message::Query(Some(terminal), within) => self.asked(terminal, at, turn.end, within),
                Message::Query(None, within) => {
                    for number in 0..self.at.len() as u32 {
                        self.asked(Terminal(number), at, turn.end, within);
                    }
                }
                _ => {}
            }
        }
    }

    fn record(&mut self, stage: Stage, since: Instant, event: &Event<'_>) {
        self.stages.record(stage, event.turn.end.since(since), event.allocations);
    }

    /// An access router has received a report.
    fn reported(&mut self, event: &Event<'_>) {
        let Some(journey) = self.under_way.get_mut(&event.terminal) else { return };
        if journey.phase == Phase::Reported {
            journey.phase = Phase::Joined;
            if journey.is_recorded {
                self.record(Stage::Access, event.received.came, event);
            }
        }
    }

    /// The core router or the root has received a Join.
    fn joined(&mut self, event: &Event<'_>) {
        let Some(journey) = self.under_way.get_mut(&event.terminal) else { return };
        let (stage, stream_port) = match (event.turn.place, journey.phase, journey.goal) {
            (Place::Core, Phase::Joined, Goal::Move { to, .. }) if event.received.port == to + 1 => {
                journey.phase = Phase::Streaming;
                (Stage::Crossover, Some(UP))
            }
            (Place::Core, Phase::Joined, Goal::Arrive { at }) if event.received.port == at + 1 => {
                journey.phase = Phase::JoinedBeyond;
                (Stage::Core, None)
            }
            (Place::Root, Phase::JoinedBeyond, _) => {
                journey.phase = Phase::Streaming;
                (Stage::Root, Some(SOURCE_PORT))
            }
            _ => return,
        };
        let (began, is_recorded) = (journey.began, journey.is_recorded);
        if is_recorded {
            self.record(stage, event.received.came, event);
        }
        if let Some(port) = stream_port {
            self.last_tree = self.last_tree.max(event.turn.end);
            self.outcome.streamed += 1;
            self.cores.arrive(event.turn.place, port, event.turn.end, event.terminal.stream());
            if is_recorded {
                self.record(Stage::Tree, began, event);
            }
        }
    }

    /// The core router or the root has received a Prune.
    fn pruned(&mut self, event: &Event<'_>) {
        let Some(journey) = self.under_way.get_mut(&event.terminal) else { return };
        match (event.turn.place, journey.phase, journey.goal) {
            (Place::Core, Phase::Leaving, Goal::Depart { from }) if event.received.port == from + 1 => {
                journey.phase = Phase::LeavingBeyond;
                return;
            }
            (Place::Core, Phase::Leaving, Goal::Move { from, .. }) if event.received.port == from + 1 => {}
            (Place::Root, Phase::LeavingBeyond, _) => {}
            _ => return,
        }
        let (left, is_recorded) = (journey.left, journey.is_recorded);
        if is_recorded {
            self.record(Stage::Leave, left, event);
        }
        self.end(event.terminal);
    }

    /// A packet of a stream is on the air.
    fn heard(&mut self, terminal: Terminal, at: usize, turn: &Turn, allocations: f64) {
        let Some(journey) = self.under_way.get_mut(&terminal) else { return };
        match journey.goal {
            Goal::Move { from, .. } if from == at => self.outcome.copies += 1,
            Goal::Move { to, .. } | Goal::Arrive { at: to } if to == at && journey.phase == Phase::Streaming => {
                journey.phase = Phase::Both;
                self.outcome.received += 1;
                if journey.is_recorded {
                    self.stages.record(Stage::FirstPacket, turn.end.since(journey.began), allocations);
                }
                match journey.goal {
                    Goal::Move { .. } => self.plan(turn.end + OVERLAP, Act::Leave(terminal)),
                    _ => self.end(terminal),
                }
            }
            _ => {}
        }
    }

    /// A terminal is asked whether it listens. It waits for some of the time that it has (RFC 3810 §6.2).
    fn asked(&mut self, terminal: Terminal, at: usize, now: Instant, within: Duration) {
        if self.at.get(terminal.0 as usize) == Some(&Some(at)) {
            let wait = self.rng.duration(Duration::ZERO..within);
            self.plan(now + wait, Act::Answer(terminal, at));
        }
    }

    fn end(&mut self, terminal: Terminal) {
        if let Some(journey) = self.under_way.remove(&terminal) {
            self.outcome.ended += 1;
            self.ended = Some(journey.is_recorded);
        }
    }
}

/// What a step was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// A movement has begun.
    Begun,
    /// Something else.
    Turn,
}

/// What a received frame says of a terminal.
struct Event<'a> {
    terminal: Terminal,
    turn: &'a Turn,
    allocations: f64,
    received: &'a Received,
}
