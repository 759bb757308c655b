//! Limits of an initiator, and the peers that it shares a key with.

use crate::return_routability::PreconfiguredKey;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::time::Duration;

/// Configuration of an [`Optimiser`](super::Optimiser).
#[derive(Clone, Debug)]
pub struct Config {
    /// The most pairs of home address and correspondent, about 600 octets each with their indexes.
    pub max_registrations: usize,
    /// The most correspondents of one home address, so that nobody uses up what is there for all.
    pub max_per_home_address: usize,
    /// The most pairs, and the most correspondents, that are remembered for having failed; about 100 octets each.
    pub max_failures: usize,
    /// The most pairs a second that are tried for the first time: strangers can provoke two packets with one.
    pub max_starts_per_sec: u32,
    /// How long a pair is left alone that failed.
    pub failure_memory: Duration,
    /// With which correspondents; with all where there are none.
    pub correspondents: Vec<Prefix>,
    /// Where there is no correspondent: what the initiator gives out itself, or has itself.
    pub nowhere: Vec<Prefix>,
    /// With whom a key is shared in place of return routability.
    pub preconfigured: Vec<PreconfiguredPeer>,
}

/// A key that a terminal shares with a correspondent (RFC 4449). It is that of one home address: no other terminal may
/// have the same (§4).
#[derive(Clone, Debug)]
pub struct PreconfiguredPeer {
    /// The terminal's home address.
    pub home_address: Ipv6Addr,
    /// The correspondent.
    pub correspondent: Ipv6Addr,
    /// What they share.
    pub key: PreconfiguredKey,
}

impl Config {
    /// Whether the operator wants a correspondent to be told care-of addresses.
    pub(super) fn allows(&self, correspondent: Ipv6Addr) -> bool {
        self.correspondents.is_empty() || self.correspondents.iter().any(|prefix| prefix.contains(correspondent))
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_registrations: 1 << 16,
            max_per_home_address: 64,
            max_failures: 1 << 16,
            max_starts_per_sec: 256,
            failure_memory: Duration::from_secs(600),
            correspondents: Vec::new(),
            nowhere: Vec::new(),
            preconfigured: Vec::new(),
        }
    }
}
