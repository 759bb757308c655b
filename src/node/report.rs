//! What a worker says about itself, to be shown together with the others'.

use crate::config::resolved::PollMode;
use stack::pipeline::{Counters, Dataplane};
use stack::port::{Port, PortCounters, PortInfo};
use stack::runtime::Load;
use std::sync::Arc;

/// Where a worker runs.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// The core that it is pinned to.
    pub core: Option<usize>,
    /// The memory node of that core, where the kernel says so.
    pub memory_node: Option<usize>,
    /// What it does while no frame waits.
    pub poll: PollMode,
    /// What it has been doing.
    pub load: Arc<Load>,
}

/// A worker at one moment.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// Where it runs.
    pub placement: Placement,
    /// Frames of its pool.
    pub frames: u32,
    /// Those that are free.
    pub free_frames: usize,
    /// Whether they stand on reserved huge pages.
    pub huge_pages: bool,
    /// What its data plane has counted.
    pub counters: Counters,
    /// Its ports in order.
    pub ports: Vec<(PortInfo, PortCounters)>,
}

impl WorkerReport {
    /// The report of the worker with this data plane and these ports.
    pub fn new<'a>(
        placement: &Placement,
        dataplane: &Dataplane,
        ports: impl Iterator<Item = &'a dyn Port>,
    ) -> WorkerReport {
        WorkerReport {
            placement: placement.clone(),
            frames: dataplane.pool().frames(),
            free_frames: dataplane.pool().free_frames(),
            huge_pages: dataplane.pool().is_on_huge_pages(),
            counters: dataplane.counters().clone(),
            ports: ports.map(|port| (port.info().clone(), port.counters())).collect(),
        }
    }
}
