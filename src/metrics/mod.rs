//! What a node measures, for monitoring systems: [`Exposition`] makes OpenMetrics text of a [`Snapshot`](crate::node::Snapshot),
//! [`MetricsServer`] serves it by HTTP, and `drover metrics` prints it.
//!
//! ```text
//!   monitoring ── HTTP ──► metrics thread ── Command::Snapshot ──► workers, between two turns: numbers only
//!                               └─ text ◄────────────────────────────────┘
//! ```

mod exposition;
mod server;

pub use exposition::Exposition;
pub use server::{MetricsError, MetricsServer};
