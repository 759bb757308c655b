//! What the network asks of a node.

use crate::node::Node;
use crate::port::mem::MemEnd;
use crate::runtime::Worker;
use crate::time::Instant;
use core::any::Any;

/// A node of a [`super::Network`], in the order in which nodes were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub usize);

/// Something with ports that runs in turns.
pub trait SimNode: Any {
    /// One turn: takes what its ports have received, runs what is due and sends. Returns whether it did anything; the
    /// network gives it turns until it did not.
    fn iterate(&mut self, now: Instant) -> bool;

    /// When it wants its next turn even if nothing arrives.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Frames of its pool that are neither free nor in a place where frames may wait. Zero unless it leaks.
    fn unaccounted_frames(&self) -> usize {
        0
    }
}

impl<N: Node + 'static> SimNode for Worker<N> {
    fn iterate(&mut self, now: Instant) -> bool {
        !Worker::iterate(self, now).is_idle()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Worker::poll_timeout(self)
    }

    /// For a worker whose ports hold no frames between turns, as those in memory do.
    fn unaccounted_frames(&self) -> usize {
        let pool = self.dataplane().pool();
        pool.frames() as usize - pool.free_frames() - self.held_frames()
    }
}

/// What a node is told when it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Boot {
    /// Its own seed: another one for each node and each start.
    pub seed: u64,
    /// The time.
    pub now: Instant,
    /// How often it was started before.
    pub restarts: u32,
}

/// A node that was built, and the far ends of its ports in the order of their numbers.
pub struct Built {
    /// The node.
    pub node: Box<dyn SimNode>,
    /// The far ends: frames that are pushed here are received by the node.
    pub ports: Vec<MemEnd>,
}

impl Built {
    /// A node and the far ends of its ports.
    pub fn new(node: impl SimNode, ports: Vec<MemEnd>) -> Self {
        Built { node: Box::new(node), ports }
    }
}
