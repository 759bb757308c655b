//! Driving a node: the worker that runs its machines and its data plane over its ports, forwarders beside it, and the
//! threads that run them. The only place with a clock and threads.
//!
//! ```text
//!   queue 0 of each port ─► first worker: data plane with all stages, node, all tables written here
//!                              │ news (routes, neighbours, ...)    ▲ frames that are not common, or for a port
//!                              ▼ bounded, waited for               │ that only the first has: bounded, dropped
//!   queue 1 of each port ─► forwarder: express way over the same tables, frames of its own ─► queue 1 of each port
//! ```

mod bell;
mod clock;
mod cpu;
mod crossing;
mod forwarder;
mod heartbeat;
mod idle;
mod ports;
mod relay;
mod share;
mod thread;
mod worker;

pub use crate::port::wait::Waker;
pub use bell::Bell;
pub use clock::Clock;
pub use cpu::{CpuError, numa_node, pin};
pub use crossing::{ToFirst, ToForwarder, crossing};
pub use forwarder::Forwarder;
pub use heartbeat::Heartbeat;
pub use idle::PollMode;
pub use relay::{RelayPort, SharedPort};
pub use thread::{Load, SpawnError, Turns, WorkerHandle, WorkerSpec, spawn};
pub use worker::{Progress, Worker};
