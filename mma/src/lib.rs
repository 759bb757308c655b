//! The Mobility Management Agent: gives a terminal of its site a care-of address and sends to its group what arrives there.
//!
//! [`MobilityManagementAgent`] is the control side: registration of terminals, their bindings, care-of addresses and
//! groups. The data plane (`stack::pipeline`) forwards by the bindings that the agent puts in its table. [`auth`] is
//! the authentication of Mobile IPv6 messages, which home agent and terminal share; [`return_routability`] is what
//! initiator and correspondent compute, and [`secret`] where their secrets come from. [`mesh`] is what the access routers of
//! a site tell each other of terminals that move between them.
#![forbid(unsafe_code)]

mod agent;
mod anchor;
pub mod auth;
mod binding;
mod care_of_pool;
mod config;
mod counters;
mod forwarding;
pub mod mesh;
mod registration;
pub mod return_routability;
pub mod route_optimisation;
#[cfg(test)]
#[path = "../../fuzz/properties/samples.rs"]
#[allow(dead_code, reason = "shared with the fuzz targets")]
mod samples;
pub mod secret;

pub use agent::{Command, Event, MobilityManagementAgent, Removal};
pub use binding::Binding;
pub use care_of_pool::CareOfMode;
pub use config::{Anchor, Config, ConfigError, GrePolicy, HomeAgent, RouteOptimisation};
pub use counters::Counters;
pub use registration::Refusal;
