//! What a correspondent node is told at the start.

use super::rate::Rate;
use core::net::Ipv6Addr;
use mma::return_routability::PreconfiguredKey;
use stack::addr::Prefix;
use stack::tables::HomeAddressPolicy;
use stack::time::Duration;
use std::collections::BTreeMap;

/// MAX_RR_BINDING_LIFETIME (RFC 6275 §12).
pub const MAX_RR_BINDING_LIFETIME: Duration = Duration::from_secs(420);

/// A correspondent node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address that terminals know it by.
    pub address: Ipv6Addr,
    /// Whose Home Address options are believed.
    // DEVIATION RFC 6275 §9.3.1: all but the first policy believe bound terminals from other addresses than the care-of
    // address too. The patent's uplink needs that; an operator who trusts the networks in between asks for it.
    pub policy: HomeAddressPolicy,
    /// Longest lifetime of a binding; no more than [`MAX_RR_BINDING_LIFETIME`] is granted to those that return
    /// routability has authorised.
    pub max_lifetime: Duration,
    /// Bindings at the most; then those that are idle make room, or new ones get status 130.
    pub max_bindings: usize,
    /// The only home addresses that may have bindings; all where there are none.
    pub home_prefixes: Vec<Prefix>,
    /// Terminals whose bindings are authorised by a key (RFC 4449), and by nothing else (§4).
    pub preconfigured: BTreeMap<Ipv6Addr, PreconfiguredKey>,
    /// Test messages and Binding Updates that are looked at, each kind by itself.
    pub rates: Rates,
}

/// How much signalling is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Of all sources together.
    pub all: Rate,
    /// Of one /64.
    pub prefix: Rate,
}

impl Default for Rates {
    /// A site whose terminals move by the hundred, times a few.
    fn default() -> Self {
        Rates { all: Rate { per_second: 2000, burst: 2000 }, prefix: Rate { per_second: 500, burst: 500 } }
    }
}

impl Config {
    /// A correspondent of this address with the policy of RFC 6275 §9.3.1 and no keys.
    pub fn new(address: Ipv6Addr) -> Self {
        Config {
            address,
            policy: HomeAddressPolicy::CareOf,
            max_lifetime: MAX_RR_BINDING_LIFETIME,
            max_bindings: 4096,
            home_prefixes: Vec::new(),
            preconfigured: BTreeMap::new(),
            rates: Rates::default(),
        }
    }
}
