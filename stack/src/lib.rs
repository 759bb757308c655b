//! The router stack under every Drover role: packets, wire formats, ports, tables, the pipeline, the worker runtime,
//! neighbour discovery, ICMPv6, tunnels, the host stack and the simulator. It holds no protocol policy.

pub mod addr;
mod counters;
pub mod host;
pub(crate) mod icmpv6;
pub mod inspect;
pub mod machine;
pub mod mld_listener;
pub mod nd;
pub mod node;
pub mod packet;
pub mod pipeline;
pub mod port;
pub mod rate;
pub mod rng;
pub mod runtime;
pub mod sim;
mod sync;
pub mod tables;
pub mod time;
pub mod wire;
