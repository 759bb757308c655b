//! Movements at a rate, and storms of them at once.

use super::cores::Load;
use super::field::{Field, Goal, Inspection, OVERLAP, Outcome};
use super::site::Place;
use super::stage::{Stage, Stages};
use super::stopwatch::Stopwatch;
use super::terminal::Terminal;
use crate::progress::Progress;
use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use stack::rng::Rng;
use stack::time::Duration;

/// The time in which all terminals arrive before anything is recorded: that between periodic Joins, so that refreshes and
/// queries are evenly spread from then on.
const FILL: Duration = Duration::from_secs(60);
/// How long routers get to find each other.
const SETTLE: Duration = Duration::from_secs(5);
/// How long a terminal that has left the site stays away.
const AWAY: Duration = Duration::from_millis(50);
/// Time between one block and the next.
const QUIET: Duration = Duration::from_millis(100);
/// Blocks of movements at a rate; after each all is looked at.
pub(crate) const BLOCKS: u32 = 8;

/// How movements follow one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Spacing {
    /// Each by itself: the times between them are exponentially distributed
    Random,
    /// At equal distances
    Even,
}

/// How many terminals there are, and how they move.
#[derive(Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) terminals: u32,
    /// Movements a second.
    pub(crate) rate: u32,
    pub(crate) spacing: Spacing,
}

/// What came of a scenario.
pub(crate) struct Found {
    pub(crate) name: &'static str,
    /// Whether all movements of a block begin at once.
    pub(crate) is_storm: bool,
    pub(crate) stages: Stages,
    pub(crate) outcome: Outcome,
    pub(crate) lost: u64,
    pub(crate) inspection: Inspection,
    /// Time on the site's clock.
    pub(crate) time: Duration,
    pub(crate) loads: [Share; Place::ALL.len()],
    /// What all routers together took for a movement, nanoseconds, block by block.
    pub(crate) site_blocks: Vec<f64>,
}

/// What a router has done in a scenario.
#[derive(Default)]
pub(crate) struct Share {
    pub(crate) load: Load,
    pub(crate) waiting_max: usize,
    /// What it took for a movement, nanoseconds, block by block.
    pub(crate) blocks: Vec<f64>,
}

impl Found {
    fn new(name: &'static str, is_storm: bool) -> Self {
        Found {
            name,
            is_storm,
            stages: Stages::new(),
            outcome: Outcome::default(),
            lost: 0,
            inspection: Inspection::default(),
            time: Duration::ZERO,
            loads: Default::default(),
            site_blocks: Vec::new(),
        }
    }

    /// Frames that routers have lost.
    pub(crate) fn drops(&self) -> u64 {
        self.loads.iter().map(|share| share.load.drops).sum()
    }

    /// Whether nothing was lost, and all trees were as they should be in the end.
    pub(crate) fn is_whole(&self) -> bool {
        let Outcome { begun, ended, streamed, received, .. } = self.outcome;
        self.lost + self.inspection.wrong + self.drops() == 0 && begun == ended && streamed == received
    }

    /// Carries out movements, each so long after now, and takes the figures.
    fn run(&mut self, field: &mut Field, plan: &[(Duration, Terminal, Goal)], progress: &Progress) -> Result<()> {
        field.pass(QUIET)?;
        let began = field.now();
        let before = field.loads();
        for place in Place::ALL {
            field.cores().take_waiting_max(place);
        }
        core::mem::swap(&mut self.stages, &mut field.stages);
        field.outcome = Outcome::default();
        for &(after, terminal, goal) in plan {
            field.start(terminal, goal, began + after, true);
        }
        while field.next_end()?.is_some() {
            progress.step();
        }
        self.lost += field.give_up();
        self.time += field.now().since(began);
        self.outcome = self.outcome + field.outcome;
        core::mem::swap(&mut self.stages, &mut field.stages);
        if self.is_storm && field.last_tree > began {
            self.stages.record(Stage::LastTree, field.last_tree.since(began), 0.0);
        }
        self.stages.end_block();
        let (each, mut all) = (plan.len().max(1) as f64, 0.0);
        for (place, (after, before)) in Place::ALL.into_iter().zip(field.loads().into_iter().zip(before)) {
            let load = after - before;
            let share = &mut self.loads[place.index()];
            share.blocks.push(load.busy.as_nanos() as f64 / each);
            share.load = share.load + load;
            share.waiting_max = share.waiting_max.max(field.cores().take_waiting_max(place));
            all += load.busy.as_nanos() as f64 / each;
        }
        self.site_blocks.push(all);
        let inspection = field.inspect();
        self.inspection.routes += inspection.routes;
        self.inspection.wrong += inspection.wrong;
        Ok(())
    }
}

/// What happens at which rate.
pub(crate) struct Scenarios {
    field: Field,
    /// Where terminals will be when all that is planned has happened.
    at: Vec<Option<usize>>,
    /// The terminals in the order in which they have their turn.
    order: Vec<Terminal>,
    next: usize,
    traffic: Traffic,
    rng: Rng,
}

impl Scenarios {
    /// A site with so many terminals in it.
    pub(crate) fn new(traffic: Traffic, stopwatch: Stopwatch, progress: &Progress) -> Result<Self> {
        let Traffic { terminals, rate, .. } = traffic;
        let needed = (f64::from(rate) * (OVERLAP + AWAY).as_secs_f64() * 2.0).ceil();
        ensure!(
            f64::from(terminals) >= needed,
            "{rate} movements a second keep so many terminals under way that {needed} are needed: give more terminals, or \
             a lower rate"
        );
        let mut rng = Rng::new(3);
        let mut order: Vec<Terminal> = (0..terminals).map(Terminal).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, rng.below(index as u64 + 1) as usize);
        }
        let mut this = Scenarios {
            field: Field::new(terminals, SETTLE, stopwatch)?,
            at: vec![None; terminals as usize],
            order,
            next: 0,
            traffic,
            rng,
        };
        let plan: Vec<_> = (0..terminals)
            .map(|number| (FILL * number / terminals, Terminal(number), this.arrive(Terminal(number), number % 2)))
            .collect();
        Found::new("fill", false).run(&mut this.field, &plan, progress)?;
        Ok(this)
    }

    /// The site.
    pub(crate) fn field(&mut self) -> &mut Field {
        &mut self.field
    }

    /// Movements from one access router to the other.
    pub(crate) fn moves(&mut self, count: u32, progress: &Progress, after: impl FnMut()) -> Result<Found> {
        self.paced("moves", count, progress, after, |this, terminal, at, plan| {
            plan.push((at, terminal, this.shift(terminal)));
        })
    }

    /// As many terminals leave the site and come back, to the other access router.
    pub(crate) fn arrivals(&mut self, count: u32, progress: &Progress, after: impl FnMut()) -> Result<Found> {
        self.paced("arrivals", count, progress, after, |this, terminal, at, plan| {
            let from = this.at[terminal.0 as usize].unwrap_or(0);
            plan.push((at, terminal, this.depart(terminal)));
            plan.push((at + AWAY, terminal, this.arrive(terminal, 1 - from as u32)));
        })
    }

    /// So many terminals arrive at one access router at once, and move to the other at once.
    pub(crate) fn storms(
        &mut self,
        size: u32,
        repetitions: u32,
        progress: &Progress,
        mut after: impl FnMut(),
    ) -> Result<[Found; 2]> {
        let (mut arrivals, mut moves) = (Found::new("storm-arrivals", true), Found::new("storm-moves", true));
        for repetition in 0..repetitions {
            let terminals: Vec<Terminal> = (0..size).map(|_| self.turn()).collect();
            let plan = |goal: &mut dyn FnMut(Terminal) -> Goal| -> Vec<_> {
                terminals.iter().map(|&terminal| (Duration::ZERO, terminal, goal(terminal))).collect()
            };
            let leave = plan(&mut |terminal| self.depart(terminal));
            arrivals.run(&mut self.field, &leave, progress)?;
            let arrive = plan(&mut |terminal| self.arrive(terminal, repetition % 2));
            arrivals.run(&mut self.field, &arrive, progress)?;
            let shift = plan(&mut |terminal| self.shift(terminal));
            moves.run(&mut self.field, &shift, progress)?;
            after();
        }
        Ok([arrivals, moves])
    }

    /// Movements at the rate: some that are not recorded, then blocks of them.
    fn paced(
        &mut self,
        name: &'static str,
        count: u32,
        progress: &Progress,
        mut after: impl FnMut(),
        mut movement: impl FnMut(&mut Self, Terminal, Duration, &mut Vec<(Duration, Terminal, Goal)>),
    ) -> Result<Found> {
        let mut found = Found::new(name, false);
        let mut left = count;
        for block in 0..=BLOCKS {
            // The first movements fill the caches and what grows once.
            let size = if block == 0 { count.div_ceil(10) } else { left.div_ceil(BLOCKS + 1 - block) };
            let mut plan = Vec::new();
            let mut at = Duration::ZERO;
            for _ in 0..size {
                let terminal = self.turn();
                movement(self, terminal, at, &mut plan);
                at += self.gap();
            }
            if block == 0 {
                Found::new(name, false).run(&mut self.field, &plan, progress)?;
            } else if size > 0 {
                found.run(&mut self.field, &plan, progress)?;
                left -= size;
            }
            after();
        }
        Ok(found)
    }

    /// Whose turn it is.
    fn turn(&mut self) -> Terminal {
        let terminal = self.order[self.next];
        self.next = (self.next + 1) % self.order.len();
        terminal
    }

    /// The time from one movement to the next.
    fn gap(&mut self) -> Duration {
        let mean = 1.0 / f64::from(self.traffic.rate);
        match self.traffic.spacing {
            Spacing::Even => Duration::from_secs_f64(mean),
            Spacing::Random => {
                // Never zero, so that its logarithm exists.
                let uniform = ((self.rng.next_u64() >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
                Duration::from_secs_f64(-uniform.ln() * mean)
            }
        }
    }

    fn shift(&mut self, terminal: Terminal) -> Goal {
        let from = self.at[terminal.0 as usize].unwrap_or(0);
        self.at[terminal.0 as usize] = Some(1 - from);
        Goal::Move { from, to: 1 - from }
    }

    fn arrive(&mut self, terminal: Terminal, at: u32) -> Goal {
        self.at[terminal.0 as usize] = Some(at as usize);
        Goal::Arrive { at: at as usize }
    }

    fn depart(&mut self, terminal: Terminal) -> Goal {
        let from = self.at[terminal.0 as usize].take().unwrap_or(0);
        Goal::Depart { from }
    }
}
