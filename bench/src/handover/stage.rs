//! The stages of a handover and what each took.

use crate::statistics::{Durations, Spread};
use stack::time::Duration;

/// From one thing that happens at a handover to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Access,
    Crossover,
    Core,
    Root,
    Tree,
    FirstPacket,
    LastTree,
    Leave,
    Join,
    Prune,
}

impl Stage {
    pub(crate) const ALL: [Stage; 10] = [
        Stage::Access,
        Stage::Crossover,
        Stage::Core,
        Stage::Root,
        Stage::Tree,
        Stage::FirstPacket,
        Stage::LastTree,
        Stage::Leave,
        Stage::Join,
        Stage::Prune,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Stage::Access => "access",
            Stage::Crossover => "crossover",
            Stage::Core => "core",
            Stage::Root => "root",
            Stage::Tree => "tree",
            Stage::FirstPacket => "first-packet",
            Stage::LastTree => "last-tree",
            Stage::Leave => "leave",
            Stage::Join => "join",
            Stage::Prune => "prune",
        }
    }

    /// What happens in it.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Stage::Access => "report at the port, Join out",
            Stage::Crossover => "Join at the port, branch added",
            Stage::Core => "Join at the port, Join out",
            Stage::Root => "Join at the port, route set",
            Stage::Tree => "report at the port, all routers have it",
            Stage::FirstPacket => "report at the port, packet at the radio",
            Stage::LastTree => "storm at the ports, last tree stands",
            Stage::Leave => "leave at the port, branch gone",
            Stage::Join => "report sent, Join on the wire",
            Stage::Prune => "leave sent, Prune on the wire",
        }
    }
}

/// What a stage took.
pub(crate) struct Costs {
    pub(crate) stage: Stage,
    pub(crate) all: Durations,
    /// Those since the last block ended.
    block: Durations,
    /// The medians of the blocks.
    medians: Vec<f64>,
    allocations: f64,
}

impl Costs {
    fn new(stage: Stage) -> Self {
        Costs { stage, all: Durations::new(), block: Durations::new(), medians: Vec::new(), allocations: 0.0 }
    }

    fn end_block(&mut self) {
        if self.block.len() > 0 {
            self.medians.push(self.block.percentiles().p50 as f64);
            self.all.add(&self.block);
            self.block = Durations::new();
        }
    }

    /// The medians of the blocks; none before the first has ended.
    pub(crate) fn spread(&self) -> Option<Spread> {
        (!self.medians.is_empty()).then(|| Spread::of(&self.medians))
    }

    /// Allocations of an event, to a hundredth: what turns share is divided among their frames.
    pub(crate) fn allocations(&self) -> f64 {
        (self.allocations / self.all.len().max(1) as f64 * 100.0).round() / 100.0
    }
}

/// The costs of every stage.
pub(crate) struct Stages {
    pub(crate) all: [Costs; Stage::ALL.len()],
}

impl Stages {
    pub(crate) fn new() -> Self {
        Stages { all: Stage::ALL.map(Costs::new) }
    }

    /// An event has passed a stage, with its part of the allocations of the turn in which it did.
    pub(crate) fn record(&mut self, stage: Stage, took: Duration, allocations: f64) {
        if let Some(costs) = self.all.iter_mut().find(|costs| costs.stage == stage) {
            costs.block.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            costs.allocations += allocations;
        }
    }

    /// A block of events is over.
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
                stages.record(Stage::Core, Duration::from_nanos(nanos), 2.0);
            }
            stages.end_block();
        }
        stages.end_block();
        let core = stages.all.iter().find(|costs| costs.stage == Stage::Core).unwrap();
        assert_eq!(core.spread(), Some(Spread { median: 21.0, min: 11.0, max: 31.0 }));
        assert_eq!((core.allocations(), core.all.len(), core.all.percentiles().max), (2.0, 9, 1000));
        assert!(stages.all.iter().filter(|costs| costs.stage != Stage::Core).all(|costs| costs.spread().is_none()));
    }
}
