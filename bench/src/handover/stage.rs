//! The stages of a handover and what each took.

use crate::chart::{Axis, Chart, Curve, Row, Scale};
use crate::report::Line;
use crate::statistics::{Durations, Percentiles, Spread};
use core::ops::Add;
use serde::Serialize;

const QUANTILE: Axis = Axis { label: "quantile of moves", scale: Scale::Quantile };
const MICROS: Axis = Axis { label: "microseconds", scale: Scale::Logarithmic };

/// What a turn, or some turns one after the other, cost.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) nanos: u64,
    pub(crate) allocations: u64,
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost { nanos: self.nanos + other.nanos, allocations: self.allocations + other.allocations }
    }
}

/// A stage, or some of them together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Access,
    Core,
    Root,
    Crossover,
    Arrival,
    Handover,
}

impl Stage {
    const ALL: [Stage; 6] =
        [Stage::Access, Stage::Core, Stage::Root, Stage::Crossover, Stage::Arrival, Stage::Handover];

    /// Its name and what happens in it.
    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Stage::Access => ("access", "report in, Join out"),
            Stage::Core => ("core", "Join in, route set and Join out"),
            Stage::Root => ("root", "Join in, route set"),
            Stage::Crossover => ("crossover", "Join in, branch added"),
            Stage::Arrival => ("arrival", "access, core and root, without links"),
            Stage::Handover => ("handover", "access and crossover, without links"),
        }
    }
}

/// Figures of a stage beside those that every benchmark has. A packet is there one event; its nanoseconds are the
/// medians of blocks of moves.
#[derive(Serialize)]
pub(crate) struct More {
    pub(crate) stage: &'static str,
    pub(crate) what: &'static str,
    pub(crate) samples: u64,
    pub(crate) ns: Percentiles,
    /// The same by quantile.
    pub(crate) ns_curve: Vec<(f64, u64)>,
}

/// A stage's costs.
pub(crate) struct Costs {
    stage: Stage,
    all: Durations,
    /// Those since the last block ended.
    block: Durations,
    /// The medians of the blocks.
    medians: Vec<f64>,
    allocations: u64,
}

impl Costs {
    fn new(stage: Stage) -> Self {
        Costs { stage, all: Durations::new(), block: Durations::new(), medians: Vec::new(), allocations: 0 }
    }

    fn end_block(&mut self) {
        if self.block.len() > 0 {
            self.medians.push(self.block.percentiles().p50 as f64);
            self.all.add(&self.block);
            self.block = Durations::new();
        }
    }

    /// The figures at a site with so many terminals.
    ///
    /// # Panics
    /// Before the first block has ended.
    pub(crate) fn line(&self, terminals: u32) -> Line<More> {
        let (stage, what) = self.stage.describe();
        let samples = self.all.len();
        Line {
            path: stage.to_owned(),
            entries: terminals.into(),
            groups: terminals.into(),
            branches: 1,
            packet_octets: None,
            distribution: "uniform".to_owned(),
            ns_per_packet: Spread::of(&self.medians),
            instructions_per_packet: None,
            allocations_per_packet: self.allocations as f64 / samples as f64,
            packets: samples,
            more: More { stage, what, samples, ns: self.all.percentiles(), ns_curve: self.all.curve() },
        }
    }
}

/// The charts of these results: what follows what, and how long each stage takes.
pub(crate) fn charts(lines: &[Line<More>]) -> Vec<Chart> {
    let stage = |stage: Stage| {
        let (name, _) = stage.describe();
        let line = lines.iter().find(|line| line.path == name);
        (name.to_owned(), line.map_or(0.0, |line| line.more.ns.p50 as f64 / 1e3))
    };
    let row = |name: &str, stages: &[Stage]| Row {
        name: name.to_owned(),
        stages: stages.iter().copied().map(stage).collect(),
    };
    let rows = vec![
        row("arrival", &[Stage::Access, Stage::Core, Stage::Root]),
        row("handover", &[Stage::Access, Stage::Crossover]),
    ];
    let latency = lines.iter().map(|line| Curve {
        name: line.path.clone(),
        points: line.more.ns_curve.iter().map(|&(quantile, nanos)| (quantile, nanos as f64 / 1e3)).collect(),
    });
    let mut charts = vec![Chart::timeline("Stages one after the other, medians, without links", rows)];
    charts.extend(Chart::curves("Latency of a stage", QUANTILE, MICROS, latency.collect()));
    charts
}

/// The costs of every stage.
pub(crate) struct Stages {
    pub(crate) all: [Costs; Stage::ALL.len()],
}

impl Stages {
    pub(crate) fn new() -> Self {
        Stages { all: Stage::ALL.map(Costs::new) }
    }

    pub(crate) fn record(&mut self, stage: Stage, cost: Cost) {
        if let Some(costs) = self.all.iter_mut().find(|costs| costs.stage == stage) {
            costs.block.record(cost.nanos);
            costs.allocations += cost.allocations;
        }
    }

    /// A block of moves is over.
    pub(crate) fn end_block(&mut self) {
        self.all.iter_mut().for_each(Costs::end_block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_over_blocks() {
        let mut stages = Stages::new();
        for block in [10, 30, 20] {
            for nanos in [block, block + 1, 1000] {
                stages.record(Stage::Core, Cost { nanos, allocations: 2 });
            }
            stages.end_block();
        }
        stages.end_block();
        let line = stages.all[1].line(7);
        assert_eq!(line.ns_per_packet, Spread { median: 21.0, min: 11.0, max: 31.0 });
        assert_eq!((line.allocations_per_packet, line.packets, line.more.ns.max), (2.0, 9, 1000));
    }
}
