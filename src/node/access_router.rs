//! The router advertisements of access links and of the home link.

use super::NodePort;
use crate::config::resolved::{NodeConfig, RouterAdvertisementConfig};
use core::time::Duration;
use stack::machine::PortId;
use stack::nd::advertiser::{Config, HomeAgent, MIN_DELAY_BETWEEN_RAS, PortConfig, Solicited};
use stack::wire::nd::{HomeAgentInformation, MapOption, PrefixInformation, RouterPreference};

/// No port where the node advertises on none.
pub(super) fn advertiser(config: &NodeConfig, ports: &[NodePort], seed: u64) -> Config {
    let access = config.access_router.iter().flat_map(|access| &access.ports).map(|p| (p.port, &p.advertisement));
    let home = config.home_agent.iter().map(|agent| (agent.port, &agent.advertisement));
    Config { seed, ports: access.chain(home).map(|(port, ra)| self::port(port, ports, ra)).collect() }
}

fn port(id: PortId, ports: &[NodePort], ra: &RouterAdvertisementConfig) -> PortConfig {
    PortConfig {
        port: id,
        link_address: ports[usize::from(id.0)].link_address,
        min_interval: ra.min_interval,
        max_interval: ra.max_interval,
        min_delay_between: MIN_DELAY_BETWEEN_RAS.min(ra.min_interval),
        solicited: if ra.fast_solicited { Solicited::Immediate } else { Solicited::Rfc },
        managed: false,
        other_configuration: false,
        preference: RouterPreference::Medium,
        lifetime_secs: u16::try_from(ra.router_lifetime.as_secs()).unwrap_or(u16::MAX),
        current_hop_limit: ra.hop_limit,
        reachable_time_millis: millis(ra.reachable_time),
        retransmit_timer_millis: millis(ra.retransmit_timer),
        link_mtu: ra.link_mtu.map(u32::from),
        interval_option: ra.interval_option,
        prefixes: prefixes(ra),
        maps: ra
            .maps
            .iter()
            .map(|map| MapOption {
                distance: map.distance,
                preference: map.preference,
                allocates_address: false,
                valid_lifetime_secs: secs(map.lifetime),
                address: map.address,
            })
            .collect(),
        home_agent: ra.home_agent.map_or(HomeAgent::No, |agent| {
            HomeAgent::With(HomeAgentInformation {
                preference: preference(ra),
                lifetime_secs: u16::try_from(agent.lifetime.as_secs()).unwrap_or(u16::MAX),
            })
        }),
    }
}

/// The prefixes that are advertised.
pub(super) fn prefixes(ra: &RouterAdvertisementConfig) -> Vec<PrefixInformation> {
    let prefixes = ra.prefixes.iter().map(|prefix| PrefixInformation {
        address: prefix.router_address.unwrap_or(prefix.prefix.address()),
        prefix_length: prefix.prefix.length(),
        on_link: prefix.on_link,
        autonomous: prefix.autonomous,
        router_address: prefix.router_address.is_some(),
        valid_lifetime_secs: secs(prefix.valid_lifetime),
        preferred_lifetime_secs: secs(prefix.preferred_lifetime),
    });
    prefixes.collect()
}

/// How a home agent compares to others of its link. RFC 6275 §7.4: larger is better, and the field has no sign.
pub(super) fn preference(ra: &RouterAdvertisementConfig) -> u16 {
    ra.home_agent.map_or(0, |agent| agent.preference.max(0).unsigned_abs())
}

fn secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
