//! PIM-SM multicast routing (RFC 7761) and the MLD querier (RFC 3810): the multicast side of a site.
//!
//! [`Router`] is the machine; its files carry the RFC's nouns: [`olist`] the state summarization macros as predicates, and
//! a file for each state machine with its table as text, as code and as test.

#![forbid(unsafe_code)]

mod assert;
mod config;
mod counters;
mod downstream;
mod dr;
mod expiry_timer;
mod hello;
mod instance;
mod interface;
mod join_prune;
mod join_prune_builder;
mod join_timer;
mod macros;
mod membership;
pub mod mld;
mod neighbor;
mod olist;
mod pre_join;
mod register;
mod rp;
mod rpf;
mod sg_rpt;
mod spt;
mod sweep;
mod tib;
mod upstream;
mod view;
pub mod wire;

pub use assert::{AssertMetric, AssertState};
pub use config::{
    Border, Config, Delivery, FirstHello, InterfaceConfig, JoinSuppression, Limits, LinkKind, MldConfig, MobilityMld,
    Participation, SptSwitchover, TerminalMoves,
};
pub use counters::Counters;
pub use downstream::DownstreamState;
pub use instance::{Command, Event, Router};
pub use neighbor::Neighbor;
pub use register::RegisterState;
pub use rp::{
    BsrBoundary, BsrConfig, BsrState, BsrView, CandidateBsr, CandidateRp, EMBEDDED_RANGE, RpConfig, RpMappingView,
    RpSource, ScopeZone, StaticPrecedence, StaticRp, UnicastBootstrap,
};
pub use rpf::{LinkNeighbor, RouteMetric, RpfInfo};
pub use sg_rpt::{RptDownstreamState, RptUpstreamState};
pub use upstream::UpstreamState;
pub use view::{DownstreamView, EntryRef, EntryView, InterfaceView, NeighborView, SharedView};
