//! What a node's Neighbor Discovery is set up with (RFC 4861 §10, RFC 4862 §5.1).

use crate::addr::MacAddress;
use crate::machine::PortId;
use crate::time::Duration;

/// Solicitations for an address before it counts as unreachable.
pub const MAX_MULTICAST_SOLICIT: u32 = 3;
/// Probes of a neighbour before it counts as gone.
pub const MAX_UNICAST_SOLICIT: u32 = 3;
/// Unsolicited advertisements of one address.
pub const MAX_NEIGHBOR_ADVERTISEMENT: u32 = 3;
/// How long a used STALE neighbour may wait for a hint before it is probed.
pub const DELAY_FIRST_PROBE_TIME: Duration = Duration::from_secs(5);
/// RETRANS_TIMER.
pub const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// REACHABLE_TIME.
pub const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// A random reachable time is drawn anew this often (RFC 4861 §6.3.4: every few hours).
pub const REACHABLE_TIME_REDRAW: Duration = Duration::from_secs(2 * 3600);
/// Own addresses of one port.
pub const MAX_ADDRESSES: usize = 64;

/// What the machine is set up with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Seed of its random numbers.
    pub seed: u64,
    /// The ports that have link-layer addresses; on others there is no Neighbor Discovery.
    pub ports: Vec<PortConfig>,
}

/// One port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortConfig {
    /// The port.
    pub port: PortId,
    /// Its link-layer address.
    pub link_address: MacAddress,
    /// Whether the node is a router here.
    pub role: Role,
    /// DupAddrDetectTransmits (RFC 4862 §5.1), at least 1.
    pub dad_transmits: u32,
    /// Upper bound of the random time before the first probe of a [`Dad::Strict`] address (RFC 4862 §5.4.2).
    pub max_dad_delay: Duration,
    /// RetransTimer, until a router says another on a host's port.
    pub retransmit_timer: Duration,
    /// BaseReachableTime, until a router says another on a host's port.
    pub base_reachable_time: Duration,
    /// DELAY_FIRST_PROBE_TIME.
    pub delay_first_probe_time: Duration,
    /// How long an unused STALE neighbour is kept.
    pub stale_lifetime: Duration,
    /// Neighbours at the most; STALE ones make room.
    pub max_neighbors: usize,
    /// Addresses that are being resolved at the most; the oldest makes room.
    pub max_incomplete: usize,
    /// Proxied addresses at the most.
    pub max_proxies: usize,
}

impl PortConfig {
    /// The defaults of RFC 4861 §10 and RFC 4862 §5.1, without the random delay in front of duplicate address detection.
    pub const fn new(port: PortId, link_address: MacAddress, role: Role) -> Self {
        PortConfig {
            port,
            link_address,
            role,
            dad_transmits: 1,
            // DEVIATION RFC 4862 §5.4.2: up to MAX_RTR_SOLICITATION_DELAY. It spreads hosts that are switched on together.
            max_dad_delay: Duration::ZERO,
            retransmit_timer: RETRANS_TIMER,
            base_reachable_time: REACHABLE_TIME,
            delay_first_probe_time: DELAY_FIRST_PROBE_TIME,
            stale_lifetime: Duration::from_secs(600),
            max_neighbors: 4096,
            max_incomplete: 256,
            max_proxies: 1 << 20,
        }
    }
}

/// What the node is on a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It forwards nothing for others, and takes timer values from Router Advertisements.
    Host,
    /// It forwards for others: its advertisements have the R flag.
    Router,
}
