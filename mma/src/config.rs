//! What an agent is told by its operator.

use crate::auth::{AssociationTable, ReplayPolicy};
use crate::care_of_pool::CareOfMode;
use crate::route_optimisation;
use core::net::Ipv6Addr;
use stack::addr::{self, GroupLayout, GroupLayoutError, Prefix};
use stack::time::Duration;
use stack::wire::mobility::Lifetime;

/// Configuration of a [`MobilityManagementAgent`](crate::MobilityManagementAgent).
#[derive(Clone, Debug)]
pub struct Config {
    /// The agent's address: terminals send Binding Updates and reverse tunnels to it.
    pub address: Ipv6Addr,
    /// Source of the packets to the groups, an address of this node that multicast routing finds its way to.
    pub source: Ipv6Addr,
    /// Where care-of addresses come from.
    pub care_of: CareOfMode,
    /// How a terminal's group is made of its EUI-64.
    pub layout: GroupLayout,
    /// The site's access prefixes. Terminals register from one of them (RFC 5380 §6.2).
    pub access_prefixes: Vec<Prefix>,
    /// Which home agent serves a home address; the longest prefix decides. A home address without one is refused.
    pub home_agents: Vec<HomeAgent>,
    /// Whom the agent knows.
    pub associations: AssociationTable,
    /// What makes a Binding Update fresh.
    pub replay: ReplayPolicy,
    /// Whether terminals get GRE with key and sequence number.
    pub gre: GrePolicy,
    /// Where packets of terminals that have moved on may be forwarded to: the care-of prefixes of agents of other sites.
    /// Their agents may forward to this one. Empty: neither.
    pub peers: Vec<Prefix>,
    /// Whether what another agent has forwarded may be forwarded once more.
    pub forward_chain: bool,
    /// For how long packets are forwarded at the most after a terminal has moved on.
    pub max_forward: Duration,
    /// Service for terminals without a group (RFC 5380 §6.2).
    pub anchor: Anchor,
    /// Whether correspondents are told the care-of addresses of terminals.
    pub route_optimisation: RouteOptimisation,
    /// The longest lifetime that is granted.
    pub max_lifetime: Duration,
    /// The most bindings, about 400 octets each with their indexes.
    pub max_bindings: usize,
    /// The most home addresses for which replay protection remembers something, bound or not.
    pub max_replay_floors: usize,
    /// How long a care-of address is given to nobody else after its binding is gone.
    pub quarantine: Duration,
    /// The most care-of addresses that are kept back; beyond them the oldest is free again before its time.
    pub max_quarantined: usize,
    /// The most answers a second to messages that nobody has authenticated: Binding Error, Parameter Problem, status
    /// 146.
    pub max_errors_per_sec: u32,
}

/// The home agent of a range of home addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HomeAgent {
    /// The home addresses.
    pub prefix: Prefix,
    /// Their home agent: the only entrance of tunnels to their care-of addresses.
    pub agent: Ipv6Addr,
}

/// Whether the agent is also a mobility anchor point without groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anchor {
    /// It is not: such registrations are refused.
    Off,
    /// Terminals may have regional addresses of this prefix, which they make of it and their interface identifier
    /// (RFC 5380 §6): the /64 of the agent's address.
    Prefix(Prefix),
}

/// Whether packets to a group carry GRE with key and sequence number (RFC 5845).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GrePolicy {
    /// Never. A terminal that asks is told that it is not required.
    Off,
    /// Where the terminal asks.
    #[default]
    Offered,
    /// Always. A terminal that does not ask is refused.
    Required,
}

/// Whether the agent tells correspondents the care-of addresses of its terminals (RFC 6275 §11.7.2), in their name.
#[derive(Clone, Debug)]
pub enum RouteOptimisation {
    /// Never: what correspondents send comes through home agents, unless terminals see to it themselves.
    Off,
    /// Where packets come through the home agent or from another agent.
    On(route_optimisation::Config),
}

/// Why a configuration cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// An address that has to be unicast and routable is not.
    #[error("{0} is no unicast address that is routed beyond its link")]
    Address(Ipv6Addr),
    /// The prefix for care-of addresses does not have the length that its mode needs.
    #[error("care-of addresses need a prefix of length {needed}, not {length}")]
    CareOfPrefix {
        /// What there is.
        length: u8,
        /// What is needed.
        needed: &'static str,
    },
    /// The shared care-of address is the agent's or the groups' source.
    #[error("the shared care-of address {0} is used by the agent itself")]
    SharedCareOf(Ipv6Addr),
    /// The group layout cannot be.
    #[error(transparent)]
    Layout(#[from] GroupLayoutError),
    /// No access prefix: nobody could register.
    #[error("there is no access prefix, so no terminal could register")]
    NoAccessPrefix,
    /// No home agent: nobody could register.
    #[error("there is no home agent, so no terminal could register")]
    NoHomeAgent,
    /// The lifetime is not 4 s to 262,140 s.
    #[error("the longest lifetime is 4 s to 262140 s, not {} s", .0.as_secs())]
    Lifetime(Duration),
    /// Correspondents may send to a care-of address for MAX_RR_BINDING_LIFETIME (RFC 6275 §12) after it was given up.
    #[error("care-of addresses are kept back for 420 s or more, not {} s", .0.as_secs())]
    Quarantine(Duration),
    /// The longest forwarding is not 4 s to 600 s.
    #[error("packets are forwarded for 4 s to 600 s at the most, not {} s", .0.as_secs())]
    Forward(Duration),
    /// Regional addresses have interface identifiers of 64 bits.
    #[error("regional addresses need a prefix of 64 bits, not {0}")]
    AnchorPrefix(Prefix),
    /// The window of timestamps is too small (RFC 4285 §5.1).
    #[error("the timestamp window is more than 3 s, not {0:?}")]
    Window(Duration),
    /// A limit is zero.
    #[error("{0} is 1 or more")]
    Limit(&'static str),
}

impl Config {
    /// Default of [`Config::max_lifetime`].
    pub const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(1800);
    /// Default and minimum of [`Config::quarantine`]: MAX_RR_BINDING_LIFETIME (RFC 6275 §12).
    pub const MIN_QUARANTINE: Duration = Duration::from_secs(420);
    /// Default of [`Config::max_forward`].
    pub const DEFAULT_MAX_FORWARD: Duration = Duration::from_secs(120);
    /// Default of [`Config::max_bindings`].
    pub const DEFAULT_MAX_BINDINGS: usize = 1 << 17;
    /// Default of [`Config::max_errors_per_sec`].
    pub const DEFAULT_MAX_ERRORS_PER_SEC: u32 = 100;

    /// An agent at this address, also the source of its groups' packets, with defaults and nobody to serve.
    pub fn new(address: Ipv6Addr, care_of: CareOfMode, layout: GroupLayout) -> Self {
        Config {
            address,
            source: address,
            care_of,
            layout,
            access_prefixes: Vec::new(),
            home_agents: Vec::new(),
            associations: AssociationTable::new(),
            replay: ReplayPolicy::Sequence,
            gre: GrePolicy::default(),
            peers: Vec::new(),
            forward_chain: false,
            max_forward: Self::DEFAULT_MAX_FORWARD,
            anchor: Anchor::Off,
            route_optimisation: RouteOptimisation::Off,
            max_lifetime: Self::DEFAULT_MAX_LIFETIME,
            max_bindings: Self::DEFAULT_MAX_BINDINGS,
            max_replay_floors: 4 * Self::DEFAULT_MAX_BINDINGS,
            quarantine: Self::MIN_QUARANTINE,
            max_quarantined: Self::DEFAULT_MAX_BINDINGS,
            max_errors_per_sec: Self::DEFAULT_MAX_ERRORS_PER_SEC,
        }
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let home_agents = self.home_agents.iter().map(|home_agent| home_agent.agent);
        for address in [self.address, self.source].into_iter().chain(home_agents) {
            if !addr::is_routable_unicast(address) {
                return Err(ConfigError::Address(address));
            }
        }
        self.care_of.validate()?;
        if let CareOfMode::Shared { address } = self.care_of
            && (address == self.address || address == self.source)
        {
            return Err(ConfigError::SharedCareOf(address));
        }
        self.layout.validate()?;
        if self.access_prefixes.is_empty() {
            return Err(ConfigError::NoAccessPrefix);
        }
        if self.home_agents.is_empty() {
            return Err(ConfigError::NoHomeAgent);
        }
        let lifetime = Lifetime::at_most(self.max_lifetime);
        if lifetime.is_zero() || self.max_lifetime.as_secs() > Lifetime(u16::MAX).duration().as_secs() {
            return Err(ConfigError::Lifetime(self.max_lifetime));
        }
        if self.quarantine < Self::MIN_QUARANTINE {
            return Err(ConfigError::Quarantine(self.quarantine));
        }
        if !(4..=600).contains(&self.max_forward.as_secs()) {
            return Err(ConfigError::Forward(self.max_forward));
        }
        if let Anchor::Prefix(prefix) = self.anchor
            && (prefix.length() != 64 || !addr::is_routable_unicast(prefix.address()))
        {
            return Err(ConfigError::AnchorPrefix(prefix));
        }
        if let ReplayPolicy::Timestamp { window, .. } = self.replay
            && window <= Duration::from_secs(3)
        {
            return Err(ConfigError::Window(window));
        }
        for (name, limit) in [
            ("the limit of bindings", self.max_bindings),
            ("the limit of remembered home addresses", self.max_replay_floors),
            ("the limit of care-of addresses kept back", self.max_quarantined),
        ] {
            if limit == 0 {
                return Err(ConfigError::Limit(name));
            }
        }
        Ok(())
    }

    /// The home agent of a home address: that of the longest prefix. An address of an agent, or one that may be a
    /// care-of address, is nobody's home address.
    pub(crate) fn home_agent(&self, home_address: Ipv6Addr) -> Option<Ipv6Addr> {
        if self.is_own(home_address) {
            return None;
        }
        self.home_agents
            .iter()
            .filter(|entry| entry.prefix.contains(home_address))
            .max_by_key(|entry| entry.prefix.length())
            .map(|entry| entry.agent)
            .filter(|&agent| agent != home_address)
    }

    /// Whether an address is this agent's, or one that it gives out.
    pub(crate) fn is_own(&self, address: Ipv6Addr) -> bool {
        self.own_prefixes().any(|prefix| prefix.contains(address))
    }

    /// The prefixes of those addresses.
    pub(crate) fn own_prefixes(&self) -> impl Iterator<Item = Prefix> {
        let anchored = match self.anchor {
            Anchor::Prefix(prefix) => Some(prefix),
            Anchor::Off => None,
        };
        [Prefix::host(self.address), Prefix::host(self.source), self.care_of.prefix()].into_iter().chain(anchored)
    }

    /// Whether an address is a regional one of this anchor point.
    pub(crate) fn anchors(&self, address: Ipv6Addr) -> bool {
        matches!(self.anchor, Anchor::Prefix(prefix) if prefix.contains(address))
    }

    /// Whether anything can be bound to a home address.
    pub(crate) fn serves(&self, home_address: Ipv6Addr) -> bool {
        self.anchors(home_address) || self.home_agent(home_address).is_some()
    }

    /// Whether an address is where the agent of another site, or a terminal there, may be.
    pub(crate) fn is_peer(&self, address: Ipv6Addr) -> bool {
        self.peers.iter().any(|prefix| prefix.contains(address))
    }

    /// Whether an address could be a regional one, as a terminal makes it that does not know whether this agent serves
    /// it so.
    pub(crate) fn is_regional(&self, address: Ipv6Addr) -> bool {
        let prefix = match self.anchor {
            Anchor::Prefix(prefix) => prefix,
            Anchor::Off => Prefix::of_link(self.address),
        };
        prefix.contains(address) && ![self.address, self.source].contains(&address)
    }

    /// Whether an address is on one of the site's access links.
    pub(crate) fn is_access_address(&self, address: Ipv6Addr) -> bool {
        self.access_prefixes.iter().any(|prefix| prefix.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::addr::Scope;

    fn config() -> Config {
        let address: Ipv6Addr = "2001:db8:f::1".parse().unwrap();
        let care_of = CareOfMode::Assigned { prefix: "2001:db8:f:c0a::/64".parse().unwrap() };
        let mut config = Config::new(address, care_of, GroupLayout::Ssm { scope: Scope::SITE_LOCAL });
        config.access_prefixes.push("2001:db8:f:a::/64".parse().unwrap());
        config.home_agents = vec![
            HomeAgent { prefix: "2001:db8::/32".parse().unwrap(), agent: "2001:db8:1::1".parse().unwrap() },
            HomeAgent { prefix: "2001:db8:2::/48".parse().unwrap(), agent: "2001:db8:2::1".parse().unwrap() },
        ];
        config
    }

    #[test]
    fn longest_prefix_names_the_home_agent() {
        let config = config();
        let agent = |home: &str| config.home_agent(home.parse().unwrap()).map(|agent| agent.to_string());
        assert_eq!(agent("2001:db8:2:0::9").as_deref(), Some("2001:db8:2::1"));
        assert_eq!(agent("2001:db8:3:0::9").as_deref(), Some("2001:db8:1::1"));
        assert_eq!(agent("2001:db9::9"), None);
        for not_a_home_address in ["2001:db8:f::1", "2001:db8:f:c0a::9", "2001:db8:1::1"] {
            assert_eq!(agent(not_a_home_address), None);
        }
    }

    #[test]
    fn refuses_what_cannot_be() {
        assert_eq!(config().validate(), Ok(()));
        let refused = |change: &dyn Fn(&mut Config)| {
            let mut config = config();
            change(&mut config);
            config.validate().unwrap_err()
        };
        let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
        assert_eq!(refused(&|c| c.address = link_local), ConfigError::Address(link_local));
        let shared = config().address;
        assert_eq!(refused(&|c| c.care_of = CareOfMode::Shared { address: shared }), ConfigError::SharedCareOf(shared));
        let prefix = "2001:db8::/48".parse().unwrap();
        for care_of in [CareOfMode::Assigned { prefix }, CareOfMode::Stateless { prefix }] {
            assert!(matches!(refused(&|c| c.care_of = care_of), ConfigError::CareOfPrefix { length: 48, .. }));
        }
        assert_eq!(refused(&|c| c.access_prefixes.clear()), ConfigError::NoAccessPrefix);
        assert_eq!(refused(&|c| c.home_agents.clear()), ConfigError::NoHomeAgent);
        for secs in [3, 262_141] {
            let lifetime = Duration::from_secs(secs);
            assert_eq!(refused(&|c| c.max_lifetime = lifetime), ConfigError::Lifetime(lifetime));
        }
        for secs in [3, 601] {
            let forward = Duration::from_secs(secs);
            assert_eq!(refused(&|c| c.max_forward = forward), ConfigError::Forward(forward));
        }
        assert_eq!(refused(&|c| c.anchor = Anchor::Prefix(prefix)), ConfigError::AnchorPrefix(prefix));
        let quarantine = Duration::from_secs(419);
        assert_eq!(refused(&|c| c.quarantine = quarantine), ConfigError::Quarantine(quarantine));
        assert!(matches!(refused(&|c| c.max_bindings = 0), ConfigError::Limit(_)));
    }
}
