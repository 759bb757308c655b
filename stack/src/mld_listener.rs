//! The listener's side of MLDv2 (RFC 3810 §6).

use crate::machine::{Notice, PortId};
use crate::time::Duration;
use core::net::Ipv6Addr;
use std::collections::BTreeSet;

/// What the machine is set up with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Seed of its random numbers.
    pub seed: u64,
    /// Robustness Variable until a querier says another, 1 to 7.
    pub robustness: u8,
    /// When State Change Reports are repeated.
    pub retransmission: Retransmission,
    /// Longest packet of a report.
    pub mtu: usize,
    /// Groups of one port at the most.
    pub max_groups: usize,
    /// Sources of one group at the most.
    pub max_sources: usize,
}

/// When State Change Reports are repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Retransmission {
    /// At these times after the first report, until [`Command::Confirm`] or a query; the list decides how often, whatever
    /// the Robustness Variable is.
    Schedule(Vec<Duration>),
    /// Robustness Variable - 1 times, each after a random part of this Unsolicited Report Interval (RFC 3810 §6.1).
    Random(Duration),
}

/// What a listener wants of a group (RFC 3810 §4.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Filter {
    /// Only what these sources send; nobody: as good as not listening.
    Include(BTreeSet<Ipv6Addr>),
    /// What all but these sources send.
    Exclude(BTreeSet<Ipv6Addr>),
}

/// What the node may ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A notice of the data plane: links, and `GroupData` as confirmation.
    Notice(Notice),
    /// Reports are sent from this link-local address, optimistic or not (RFC 4429 §3.2 forbids neither). What was joined
    /// before is reported now.
    SetSource {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// There is no address to send from any more; nothing is sent until there is one.
    ClearSource(PortId),
    /// Listens, or listens differently.
    Join {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
        /// What of it.
        filter: Filter,
    },
    /// Listens no longer.
    Leave {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
    },
    /// The router knows: packets of the group came. The report is not repeated.
    Confirm {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
    },
}

/// What the node is told: nothing so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {}
