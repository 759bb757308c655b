//! Driving a node: the worker that runs its machines and its data plane over its ports, and the thread that runs the
//! worker. The only place with a clock and threads.

mod clock;
mod cpu;
mod idle;
mod thread;
mod worker;

pub use crate::port::wait::Waker;
pub use clock::Clock;
pub use cpu::{CpuError, pin};
pub use idle::PollMode;
pub use thread::{Load, SpawnError, WorkerHandle, WorkerSpec, spawn};
pub use worker::{Progress, Worker};
