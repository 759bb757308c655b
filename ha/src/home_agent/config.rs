//! What a home agent is told at the start.

use core::net::Ipv6Addr;
use mma::auth::{AssociationTable, ReplayPolicy};
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::time::Duration;

/// MAX_DELETE_BCE_TIMEOUT (RFC 6275 §12).
pub const MAX_DELETE_BCE_TIMEOUT: Duration = Duration::from_secs(10);

/// A home agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// The home links; their prefixes do not overlap.
    pub links: Vec<HomeLink>,
    /// Longest lifetime of a binding.
    pub max_lifetime: Duration,
    /// How long the entry of a terminal that has de-registered is kept; normally [`MAX_DELETE_BCE_TIMEOUT`].
    pub deregistration_hold: Duration,
    /// Entries of the binding cache at the most.
    pub max_bindings: usize,
    /// After what part of its lifetime, in percent, a terminal is told to refresh its binding (Binding Refresh Advice).
    /// `None`: it is not told.
    pub refresh_advice_percent: Option<u8>,
    /// The keys of the terminals that it serves.
    pub associations: AssociationTable,
    /// What makes a Binding Update fresh.
    pub replay: ReplayPolicy,
}

/// One home link.
#[derive(Clone, Debug)]
pub struct HomeLink {
    /// The port.
    pub port: PortId,
    /// The home prefix.
    pub prefix: Prefix,
    /// The agent's address on it.
    pub address: Ipv6Addr,
    /// Duplicate address detection of the home addresses.
    pub dad: HomeDad,
}

/// Duplicate address detection of a home address on behalf of its terminal (RFC 6275 §10.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HomeDad {
    /// The acknowledgement waits for it, about a second.
    Strict,
    /// The acknowledgement leaves at once; a duplicate that is found later ends the binding, and the next registration
    /// waits as with [`HomeDad::Strict`].
    #[default]
    Optimistic,
    /// Not done: nobody but the terminals uses the prefix.
    Off,
}
