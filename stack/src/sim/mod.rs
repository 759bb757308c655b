//! A network in one process on a virtual clock: nodes, the links between them, what goes wrong, and what was seen.
//!
//! [`Network`] drives anything that is a [`SimNode`]: the worker with its data plane and its protocol machines, as it
//! runs on a real machine, and the host stack of [`crate::host`]. Time moves from event to event; nothing waits. All
//! chance comes from one seed, so the same seed and the same script give the same frames at the same nanosecond.
//!
//! What it leaves out: the time that a node needs to think. A node answers in the instant in which it is asked; delay
//! is a property of links.

pub mod capture;
pub mod check;
mod link;
mod network;
mod node;

pub use capture::{Capture, Captured};
pub use link::{LinkConfig, LinkCounters, LinkId, LinkKind};
pub use network::{Detach, MAX_TURNS_AT_ONCE, Network, NetworkError};
pub use node::{Boot, Built, NodeId, SimNode};
