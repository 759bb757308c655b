//! What a router is told about the bootstrap router mechanism.

use core::net::Ipv6Addr;
use stack::addr::{Prefix, Scope};
use stack::time::Duration;

/// Configuration of the mechanism on a router that takes part in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BsrConfig {
    /// Whether Bootstrap messages that were sent to this router alone are taken.
    pub unicast: UnicastBootstrap,
    /// This router's candidacy for bootstrap router.
    pub candidate_bsr: Option<CandidateBsr>,
    /// This router's candidacy for rendezvous point.
    pub candidate_rp: Option<CandidateRp>,
    /// Group-to-RP mappings of one scope zone, learned ones and those of candidates each; each costs about 100 octets.
    /// What goes beyond is refused and counted.
    pub max_mappings: usize,
}

impl Default for BsrConfig {
    fn default() -> Self {
        BsrConfig { unicast: UnicastBootstrap::Refuse, candidate_bsr: None, candidate_rp: None, max_mappings: 4096 }
    }
}

/// Whether unicast Bootstrap messages (RFC 5059 §3.5.2), which only older routers send, are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnicastBootstrap {
    /// They are, from neighbours and only at the start.
    Accept,
    /// They are not.
    Refuse,
}

/// A candidacy for bootstrap router (RFC 5059 §3.1.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CandidateBsr {
    /// The address to be known by: one of this router's that others can reach.
    pub address: Ipv6Addr,
    /// The higher, the better.
    pub priority: u8,
    /// Bits of a group's address that take part in the hash.
    pub hash_mask_length: u8,
    /// Scope zones for which it stands beside the domain as a whole.
    pub scopes: Vec<Scope>,
    /// Addresses of candidate rendezvous points that are accepted while this router is elected; empty for all.
    pub accept: Vec<Prefix>,
}

impl CandidateBsr {
    /// BSR Priority (RFC 5059 §4.1).
    pub const PRIORITY: u8 = 64;

    /// A candidacy for the whole domain with the RFC's defaults.
    pub fn new(address: Ipv6Addr) -> Self {
        let hash_mask_length = crate::rp::hash::HASH_MASK_LENGTH;
        CandidateBsr { address, priority: Self::PRIORITY, hash_mask_length, scopes: Vec::new(), accept: Vec::new() }
    }
}

/// A candidacy for rendezvous point (RFC 5059 §3.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CandidateRp {
    /// The address to be known by: one of this router's that others can reach.
    pub address: Ipv6Addr,
    /// The groups that it offers to serve: multicast prefixes.
    pub groups: Vec<Prefix>,
    /// The lower, the better.
    pub priority: u8,
    /// C_RP_Adv_Period; the advertisements hold 2.5 times as long.
    pub interval: Duration,
}

impl CandidateRp {
    /// Priority of candidates that say nothing else (RFC 5059 §3.2).
    pub const PRIORITY: u8 = 192;
    /// C_RP_Adv_Period (RFC 5059 §5).
    pub const C_RP_ADV_PERIOD: Duration = Duration::from_secs(60);

    /// A candidacy with the RFC's defaults.
    pub fn new(address: Ipv6Addr, groups: Vec<Prefix>) -> Self {
        CandidateRp { address, groups, priority: Self::PRIORITY, interval: Self::C_RP_ADV_PERIOD }
    }

    /// Seconds for which its advertisements hold.
    pub(crate) fn holdtime(&self) -> u16 {
        u16::try_from((self.interval * 5 / 2).as_secs()).unwrap_or(u16::MAX).max(1)
    }
}

/// Which Bootstrap messages an interface keeps in and out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BsrBoundary {
    /// None.
    Open,
    /// Those of scope zones of this scope and narrower ones (RFC 5059 §3.4).
    Scope(Scope),
    /// All, and advertisements of candidate rendezvous points (RFC 5059 §6.3).
    Closed,
}
