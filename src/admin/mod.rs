//! The admin API: what a running node is asked from outside, and the thread that asks it.
//!
//! ```text
//!   drover show ── Unix socket ──► housekeeping thread ── Command (crossbeam-channel) ──► worker, between two turns
//!                                   │ signal-strength files, SIGTERM, SIGINT, SIGHUP        │
//!                                   ◄───────────────── reply channel ────────────────────────┘
//! ```
//! The worker never touches a socket or a file of this module: it takes commands from a channel and answers each with
//! one JSON value.

mod client;
mod housekeeping;
mod listener;
mod protocol;
mod signal_file;

pub use client::{ClientError, request};
pub use housekeeping::{Housekeeping, HousekeepingConfig, REPLY_TIMEOUT, Wake};
pub use listener::{Listener, ListenerError};
pub use protocol::{Answer, MAX_REQUEST_LEN, Request};

use crate::node::WorkerReport;
use crate::state::Changes;
use crossbeam_channel::Sender;
use stack::machine::PortId;

/// What can be shown of a node.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Neighbours and PIM neighbours.
    Neighbors,
    /// Unicast routes.
    Routes,
    /// Bindings of a mobility agent and of a home agent.
    Bindings,
    /// Correspondents that have, or are to have, the care-of addresses of terminals.
    Optimisations,
    /// Multicast groups that hosts on the node's links are members of.
    Groups,
    /// Multicast routes.
    Mroutes,
    /// Which groups have which rendezvous points.
    Rp,
    /// The bootstrap routers of the scope zones.
    Bsr,
    /// The mobile terminal of this node, and terminals that agents know.
    Terminals,
    /// All counters.
    Counters,
    /// The ports.
    Ports,
    /// The worker loops.
    Workers,
}

impl Topic {
    /// All topics.
    pub const ALL: [Topic; 12] = [
        Topic::Neighbors,
        Topic::Routes,
        Topic::Bindings,
        Topic::Optimisations,
        Topic::Groups,
        Topic::Mroutes,
        Topic::Rp,
        Topic::Bsr,
        Topic::Terminals,
        Topic::Counters,
        Topic::Ports,
        Topic::Workers,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Neighbors => "neighbors",
            Topic::Routes => "routes",
            Topic::Bindings => "bindings",
            Topic::Optimisations => "optimisations",
            Topic::Groups => "groups",
            Topic::Mroutes => "mroutes",
            Topic::Rp => "rp",
            Topic::Bsr => "bsr",
            Topic::Terminals => "terminals",
            Topic::Counters => "counters",
            Topic::Ports => "ports",
            Topic::Workers => "workers",
        }
    }

    /// Whether every worker has something to say about it, and not the first alone.
    pub const fn is_of_all_workers(self) -> bool {
        matches!(self, Topic::Counters | Topic::Ports | Topic::Workers)
    }
}

/// A question on its way through the workers: each adds its report, and the first answers.
#[derive(Debug)]
pub struct Round {
    /// What is asked for.
    pub topic: Topic,
    /// What workers have said, in order.
    pub reports: Vec<WorkerReport>,
    /// Where the answer goes.
    pub reply: Sender<serde_json::Value>,
}

/// What the worker is asked. Taken between two turns; the answer is sent at once.
#[derive(Debug)]
pub enum Command {
    /// Show something: an array of objects with the same keys each, or an object of objects of numbers for counters.
    Show {
        /// What.
        topic: Topic,
        /// Where the answer goes.
        reply: Sender<serde_json::Value>,
    },
    /// Show it with what the workers beside this one have reported.
    ShowAll(Round),
    /// The signal of a radio port has this strength now.
    Signal {
        /// The port.
        port: PortId,
        /// In dBm; `None`: there is no signal.
        dbm: Option<i16>,
    },
    /// Say what has changed that outlasts a restart.
    TakeChanges {
        /// Where the answer goes.
        reply: Sender<Changes>,
    },
    /// End the process in an orderly way: leave groups, say good-bye to neighbours, return.
    Stop,
}
