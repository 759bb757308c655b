//! The admin API: what a running node is asked from outside, and the thread that asks it.
//!
//! ```text
//!   drover show ── Unix socket ──► housekeeping thread ── Command (crossbeam-channel) ──► worker, between two turns
//!                                   │ signal-strength files, SIGTERM, SIGINT, SIGHUP, rtnetlink │
//!                                   │ service manager, told while all workers take turns        │
//!                                   ◄───────────────── reply channel ────────────────────────┘
//! ```
//! A large table is asked for in parts (`query`); `drover explain` goes the same way.
//!
//! The worker never touches a socket or a file of this module: it takes commands from a channel and answers each with
//! one
//! value.

mod client;
mod housekeeping;
mod listener;
mod notify;
mod protocol;
mod query;
mod signal_file;
mod to_worker;
mod topic;
mod watch;

pub use client::{ClientError, Shown, ask, request};
pub use housekeeping::{Housekeeping, HousekeepingConfig};
pub use listener::{Listener, ListenerError};
pub use notify::{Notifier, NotifyError, watchdog_time};
pub use protocol::{Answer, MAX_REQUEST_LEN, Request};
pub use query::{Page, Part, Position, Query, Question, gather, groups};
pub use to_worker::{REPLY_TIMEOUT, ToWorker, Wake};
pub use topic::Topic;
pub use watch::{WatchConfig, WatchedWorker};

use crate::kernel::KernelBatch;
use crate::node::{Remaining, Service, Snapshot, WorkerReport};
use crate::state::Changes;
use core::net::Ipv6Addr;
use crossbeam_channel::Sender;
use stack::machine::PortId;
use std::io::Write;

/// A line on standard error; that nobody reads it is no error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "drover: {line}");
}

/// What is asked of all workers together, and where the answer goes.
#[derive(Debug)]
pub enum Wanted {
    /// A topic that every worker has something to say about.
    Page {
        /// Which.
        topic: Topic,
        /// Where the answer goes.
        reply: Sender<Page>,
    },
    /// What they have counted, and how full the tables are.
    Snapshot(Sender<Snapshot>),
}

/// A question on its way through the workers: each adds its report, and the first answers.
#[derive(Debug)]
pub struct Round {
    /// What is asked.
    pub wanted: Wanted,
    /// What workers have said, in order.
    pub reports: Vec<WorkerReport>,
}

/// What the worker is asked. Taken between two turns; the answer is sent at once.
#[derive(Debug)]
pub enum Command {
    /// Show something, or a part of it.
    Show {
        /// What.
        part: Part,
        /// Where the answer goes.
        reply: Sender<Page>,
    },
    /// Say what has been counted, and how full the tables are.
    Snapshot {
        /// Where the answer goes.
        reply: Sender<Snapshot>,
    },
    /// Answer with what the workers beside this one have reported.
    Conclude(Round),
    /// Explain what becomes of packets.
    Explain {
        /// Of which.
        question: Question,
        /// Where the answer goes; why there is none.
        reply: Sender<Result<serde_json::Value, String>>,
    },
    /// The signal of a radio port has this strength now.
    Signal {
        /// The port.
        port: PortId,
        /// In dBm; `None`: there is no signal.
        dbm: Option<i16>,
    },
    /// The terminal is about to go to another access router.
    Handover {
        /// An address of the router, or one in the prefix of its link.
        to: Ipv6Addr,
        /// Whether there was a router to tell.
        reply: Sender<bool>,
    },
    /// Take no new terminals, or do again.
    Drain {
        /// Which.
        service: Service,
        /// What the node still carries; `None` where terminals do not use it.
        reply: Sender<Option<Remaining>>,
    },
    /// The kernel's routes or addresses have changed.
    Kernel(KernelBatch),
    /// Say what has changed that outlasts a restart.
    TakeChanges {
        /// Where the answer goes.
        reply: Sender<Changes>,
    },
    /// End the process in an orderly way: leave groups, say good-bye to neighbours, return.
    Stop,
}
