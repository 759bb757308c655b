//! PIM-SM multicast routing (RFC 7761) and the MLD querier (RFC 3810): the multicast side of a site.
//!
//! [`Router`] is the machine; its files carry the RFC's nouns. Source-specific multicast is there whole but for Asserts
//! (§4.6). Of the any-source part there are shared trees towards the rendezvous point that a group's address names
//! (RFC 3956), whose sources are addresses of that rendezvous point; Register, (S,G,rpt) and all else are not: their
//! messages are counted.

#![forbid(unsafe_code)]

mod config;
mod counters;
mod downstream;
mod dr;
mod hello;
mod instance;
mod interface;
mod join_prune_builder;
mod join_timer;
mod macros;
mod membership;
pub mod mld;
mod neighbor;
mod olist;
mod rp;
mod rpf;
mod tib;
mod upstream;
mod view;
pub mod wire;

pub use config::{
    Border, Config, FirstHello, InterfaceConfig, JoinSuppression, Limits, LinkKind, MldConfig, MobilityMld,
    Participation,
};
pub use counters::Counters;
pub use downstream::DownstreamState;
pub use instance::{Command, Event, Router};
pub use neighbor::Neighbor;
pub use rpf::{LinkNeighbor, RpfInfo};
pub use upstream::UpstreamState;
pub use view::{DownstreamView, EntryView, InterfaceView, NeighborView};
