//! Driving a node: the worker that runs its machines and its data plane over its ports.

mod worker;

pub use worker::{Progress, Worker};
