//! What the mesh machine is told at its start.

use crate::auth::{SiteKey, WallClock};
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::time::Duration;

/// The part of one access router in the mesh of its site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The address by which the others know this router.
    pub address: Ipv6Addr,
    /// The key of the mesh, from which that of each pair is derived.
    pub key: SiteKey,
    /// The time of day, for timestamps.
    pub clock: WallClock,
    /// The others.
    pub peers: Vec<Peer>,
    /// How long a group is joined for a terminal that has not come yet. Default 2 s.
    pub pre_join_lifetime: Duration,
    /// Pre-joins at once, of all peers together. Default 4096.
    pub max_pre_joins: usize,
    /// Pre-joins at once of one peer. Default 1024.
    pub max_pre_joins_per_peer: usize,
    /// Messages that wait for their acknowledgement at once. Default 1024.
    pub max_requests: usize,
}

impl Config {
    /// Default of [`Config::pre_join_lifetime`].
    pub const PRE_JOIN_LIFETIME: Duration = Duration::from_secs(2);
    /// Default of [`Config::max_pre_joins`].
    pub const MAX_PRE_JOINS: usize = 4096;
    /// Default of [`Config::max_pre_joins_per_peer`].
    pub const MAX_PRE_JOINS_PER_PEER: usize = 1024;
    /// Default of [`Config::max_requests`].
    pub const MAX_REQUESTS: usize = 1024;

    /// A router of a mesh with these peers, with the default limits.
    pub const fn new(address: Ipv6Addr, key: SiteKey, clock: WallClock, peers: Vec<Peer>) -> Self {
        Config {
            address,
            key,
            clock,
            peers,
            pre_join_lifetime: Self::PRE_JOIN_LIFETIME,
            max_pre_joins: Self::MAX_PRE_JOINS,
            max_pre_joins_per_peer: Self::MAX_PRE_JOINS_PER_PEER,
            max_requests: Self::MAX_REQUESTS,
        }
    }
}

/// Another access router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its address, from which its messages come.
    pub address: Ipv6Addr,
    /// The prefixes of its access links: terminals name it by an address in one of them.
    pub prefixes: Vec<Prefix>,
}
