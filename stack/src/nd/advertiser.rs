//! The Router Advertisements of a router (RFC 4861 §6.2), with what RFC 6275 §7 and RFC 5380 §5 add.

use crate::addr::MacAddress;
use crate::machine::PortId;
use crate::time::Duration;
use crate::wire::nd::{HomeAgentInformation, MapOption, PrefixInformation, RouterPreference};
use core::net::Ipv6Addr;

/// What the machine is set up with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Seed of its random numbers.
    pub seed: u64,
    /// The ports on which this router advertises.
    pub ports: Vec<PortConfig>,
}

/// One port (RFC 4861 §6.2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortConfig {
    /// The port.
    pub port: PortId,
    /// Its link-layer address.
    pub link_address: MacAddress,
    /// MinRtrAdvInterval; RFC 6275 §7.5 allows 30 ms.
    pub min_interval: Duration,
    /// MaxRtrAdvInterval; RFC 6275 §7.5 allows 70 ms.
    pub max_interval: Duration,
    /// How solicitations are answered.
    pub solicited: Solicited,
    /// AdvManagedFlag.
    pub managed: bool,
    /// AdvOtherConfigFlag.
    pub other_configuration: bool,
    /// Router preference (RFC 4191).
    pub preference: RouterPreference,
    /// AdvDefaultLifetime.
    pub lifetime_secs: u16,
    /// AdvCurHopLimit.
    pub current_hop_limit: u8,
    /// AdvReachableTime.
    pub reachable_time_millis: u32,
    /// AdvRetransTimer.
    pub retransmit_timer_millis: u32,
    /// AdvLinkMTU; `None` sends no MTU option.
    pub link_mtu: Option<u32>,
    /// Whether the Advertisement Interval option is sent (RFC 6275 §7.3).
    pub interval_option: bool,
    /// AdvPrefixList, at most [`MAX_PREFIXES`].
    pub prefixes: Vec<PrefixInformation>,
    /// MAP options, at most [`MAX_MAPS`].
    pub maps: Vec<MapOption>,
    /// Whether the router is a home agent here.
    pub home_agent: HomeAgent,
}

/// Prefixes that are advertised on one port; with [`MAX_MAPS`] MAP options they fit the smallest MTU.
pub const MAX_PREFIXES: usize = 16;
/// MAP options that are advertised on one port.
pub const MAX_MAPS: usize = 16;

/// How solicitations are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Solicited {
    /// With the random delay and the rate limit of RFC 4861 §6.2.6, to all nodes.
    Rfc,
    /// At once and to the solicitor alone, for links of mobile terminals.
    Immediate,
}

/// Whether the router is a home agent on a link (RFC 6275 §7.1, §7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HomeAgent {
    /// It is none.
    No,
    /// It is one, with the default preference and lifetime: H flag alone.
    Default,
    /// It is one, with this option.
    With(HomeAgentInformation),
}

/// What the node may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// The port's link is up and this is its link-local address: begins to advertise.
    Start {
        /// The port.
        port: PortId,
        /// Source of the advertisements.
        source: Ipv6Addr,
    },
    /// The link is down: stops without a word.
    LinkDown(PortId),
    /// Ceases to be a router on the port: final advertisements with lifetime zero (RFC 4861 §6.2.5).
    Cease(PortId),
    /// Ceases on every port.
    Shutdown,
    /// Advertises this MAP option on a port, in place of one with the same address, and says so at once.
    SetMap {
        /// The port.
        port: PortId,
        /// The option.
        map: MapOption,
    },
    /// Withdraws the MAP option with this address: it is sent with lifetime zero in the next
    /// [`super::advertiser::FINAL_ADVERTISEMENTS`] advertisements, at once for the first time, then left out.
    WithdrawMap {
        /// The port.
        port: PortId,
        /// The anchor point.
        address: Ipv6Addr,
    },
}
/// MAX_FINAL_RTR_ADVERTISEMENTS.
pub const FINAL_ADVERTISEMENTS: u32 = 3;
