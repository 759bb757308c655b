//! What outlasts a restart: what makes replays fail at agents and, of preconfigured keys, at
//! correspondents (RFC 4449 §3), and the numbers that a terminal has used, and an agent with preconfigured keys.
//!
//! ```text
//!   worker ── Changes, once a second and at the end ──► Keeper ── records appended, synced ──► state_dir/ROLE.state
//!   worker ◄── NodeState, at the start ───────────────── Keeper ◄── read, checked, written anew ──────┘
//! ```
//! The worker never waits for a disk. What it did in the last second before a power cut is therefore not in the file, and
//! both sides leave room for that. An agent that starts again asks for numbers beyond those that terminals can have used
//! meanwhile ([`SEQUENCE_MARGIN`], [`TIMESTAMP_MARGIN_SECS`]): a terminal is then told the number to go on from
//! (status 135), and does. Who uses numbers writes them down before it comes to them ([`RESERVED`]); of preconfigured
//! keys, which are all known at the start, so are the first ones, and none is used twice.
//!
//! A file is a header line and a record a line, each with a checksum; later records replace earlier ones. When most
//! lines are out of date the file is written anew beside and renamed. A last line that was cut off counts as not
//! written; anything else that is wrong with a file keeps the node from starting, since without it old messages would
//! be believed again. Whoever wants that removes the file.

mod file;
mod keeper;
mod record;

pub use keeper::{Keeper, StateError};

use ::ha::mobile::Restored;
use ::mma::auth::ReplayFloor;
use core::net::Ipv6Addr;

/// So many numbers an agent leaves out for what it may have accepted in the second before it broke off.
pub const SEQUENCE_MARGIN: u16 = 16;
/// So much later than the last that is known timestamps have to be.
pub const TIMESTAMP_MARGIN_SECS: u64 = 1;
/// So many numbers are written down at once, before their user comes to them.
pub const RESERVED: u16 = 64;

/// What an agent has to remember of the messages that it accepted, by home address.
pub type Floors = Vec<(Ipv6Addr, ReplayFloor)>;

/// The last sequence number that was used with a preconfigured key (RFC 4449 §4), by home address and correspondent.
pub type KeySequences = Vec<((Ipv6Addr, Ipv6Addr), u16)>;

/// What a node starts with.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NodeState {
    /// Mobility agent.
    pub mma: Floors,
    /// Mobility agent: what it may have used of its preconfigured keys.
    pub mma_keys: KeySequences,
    /// Home agent.
    pub home_agent: Floors,
    /// Mobile terminal.
    pub terminal: Restored,
    /// Correspondent node: of terminals with preconfigured keys (RFC 4449 §3).
    pub correspondent: Floors,
}

/// What has changed since the last time.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// Mobility agent; `None`: nothing is remembered of this home address any more.
    pub mma: Vec<(Ipv6Addr, Option<ReplayFloor>)>,
    /// Mobility agent: what it has used of its preconfigured keys.
    pub mma_keys: KeySequences,
    /// Home agent.
    pub home_agent: Vec<(Ipv6Addr, Option<ReplayFloor>)>,
    /// Mobile terminal, as a whole.
    pub terminal: Option<Restored>,
    /// Correspondent node.
    pub correspondent: Vec<(Ipv6Addr, Option<ReplayFloor>)>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let agents = self.mma.is_empty() && self.mma_keys.is_empty() && self.home_agent.is_empty();
        agents && self.terminal.is_none() && self.correspondent.is_empty()
    }
}

/// The roles that have something to keep.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Role {
    Mma,
    HomeAgent,
    MobileTerminal,
    Correspondent,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Role::Mma => "mma",
            Role::HomeAgent => "home-agent",
            Role::MobileTerminal => "mobile-terminal",
            Role::Correspondent => "correspondent-node",
        }
    }
}
