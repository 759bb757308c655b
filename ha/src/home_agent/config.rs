//! What a home agent is told at the start.

use core::net::Ipv6Addr;
use mma::auth::{AssociationTable, ReplayPolicy};
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::time::Duration;
use stack::wire::nd::{INFINITE_LIFETIME_SECS, PrefixInformation};
use std::collections::BTreeSet;

/// MAX_DELETE_BCE_TIMEOUT (RFC 6275 §12).
pub const MAX_DELETE_BCE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long what was sent from the former care-of address may be under way.
pub const FORMER_CARE_OF: Duration = Duration::from_secs(1);

/// A home agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// The home links; their prefixes do not overlap.
    pub links: Vec<HomeLink>,
    /// Longest lifetime of a binding.
    pub max_lifetime: Duration,
    /// How long the entry of a terminal that has de-registered is kept; normally [`MAX_DELETE_BCE_TIMEOUT`].
    pub deregistration_hold: Duration,
    /// How long a reverse tunnel is left that comes from the care-of address before the present one, or before
    /// de-registration; normally [`FORMER_CARE_OF`]. Zero: not at all.
    pub former_care_of: Duration,
    /// Entries of the binding cache at the most.
    pub max_bindings: usize,
    /// After what part of its lifetime, in percent, a terminal is told to refresh its binding (Binding Refresh Advice).
    /// `None`: it is not told.
    pub refresh_advice_percent: Option<u8>,
    /// The keys of the terminals that it serves.
    pub associations: AssociationTable,
    /// What makes a Binding Update fresh.
    pub replay: ReplayPolicy,
    /// Terminals whose registration is refused though their key is known, by home address.
    pub denied: BTreeSet<Ipv6Addr>,
    /// Where terminals may be: prefixes of care-of addresses. Empty: anywhere.
    pub care_of_prefixes: Vec<Prefix>,
    /// This node's addresses: none of them is a care-of address, nor is any of a home prefix.
    pub own: BTreeSet<Ipv6Addr>,
    /// Whether terminals away from home are told the home prefixes (RFC 6275 §8.4: the operator decides).
    pub prefix_advertisements: bool,
    /// Seed of what is random in times and orders.
    pub seed: u64,
}

impl Config {
    /// A home agent on these links that knows nobody yet, with defaults.
    pub fn new(links: Vec<HomeLink>) -> Self {
        Config {
            links,
            max_lifetime: Duration::from_secs(1800),
            deregistration_hold: MAX_DELETE_BCE_TIMEOUT,
            former_care_of: FORMER_CARE_OF,
            max_bindings: 1 << 16,
            refresh_advice_percent: None,
            associations: AssociationTable::new(),
            replay: ReplayPolicy::Sequence,
            denied: BTreeSet::new(),
            care_of_prefixes: Vec::new(),
            own: BTreeSet::new(),
            prefix_advertisements: false,
            seed: 0,
        }
    }
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
    /// The prefixes that this router advertises on the link; a home prefix that is not among them is valid for ever.
    pub advertised: Vec<PrefixInformation>,
    /// Preference among the home agents of the link (RFC 6275 §7.4).
    pub preference: u16,
}

impl HomeLink {
    /// A home link whose prefix is valid for ever.
    pub fn new(port: PortId, prefix: Prefix, address: Ipv6Addr, dad: HomeDad) -> Self {
        HomeLink { port, prefix, address, dad, advertised: Vec::new(), preference: 0 }
    }

    /// Valid and preferred lifetime of the home prefix, in seconds. What is advertised does not run down.
    pub(super) fn lifetimes_secs(&self) -> (u32, u32) {
        let home = self.advertised.iter().find(|information| information.prefix() == self.prefix);
        home.map_or((INFINITE_LIFETIME_SECS, INFINITE_LIFETIME_SECS), |information| {
            (information.valid_lifetime_secs, information.preferred_lifetime_secs)
        })
    }
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
