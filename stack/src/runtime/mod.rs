//! Driving a node: the worker that runs its machines and its data plane over its ports, and the thread that runs the
//! worker. The only place with a clock and threads.

mod bell;
mod clock;
mod cpu;
mod crossing;
mod forwarder;
mod idle;
mod ports;
mod relay;
mod thread;
mod worker;

pub use crate::port::wait::Waker;
pub use bell::Bell;
pub use clock::Clock;
pub use cpu::{CpuError, pin};
pub use crossing::{ToFirst, ToForwarder, crossing};
pub use forwarder::Forwarder;
pub use idle::PollMode;
pub use relay::RelayPort;
pub use thread::{Load, SpawnError, Turns, WorkerHandle, WorkerSpec, spawn};
pub use worker::{Progress, Worker};
