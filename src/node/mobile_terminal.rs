//! The mobile terminal's part of the configuration, and the words in which it, its links and its listener speak.

use super::{NodeError, NodePort, association};
use crate::config::resolved::{MobileTerminalConfig, TerminalMode, TerminalOptimisation, UplinkMode};
use ::ha::mobile::router_choice::{Averaging, RouterChoiceConfig};
use ::ha::mobile::{
    AdvertisedAgent, AdvertisedPrefix, Command, Config, Event, Radio, Restored, RouterAdvertisement, Timing,
};
use ::mma::auth::WallClock;
use core::net::Ipv6Addr;
use stack::addr;
use stack::mld_listener::{self, Filter, Retransmission};
use stack::nd::host::{self, DefaultRoute, InterfaceIdentifier, Solicitation};
use stack::nd::neighbor::{self, Dad, Delivery};
use stack::time::Duration;
use stack::wire::nd::PrefixInformation;
use std::collections::BTreeSet;

/// After this time without an answer a terminal solicits again on a link that just came up.
const SOLICITATION_INTERVAL: Duration = Duration::from_millis(250);
/// Routers and prefixes of one link that a terminal keeps.
const MAX_ROUTERS: usize = 16;

pub(super) fn config(terminal: &MobileTerminalConfig, clock: WallClock) -> Result<Config, NodeError> {
    Ok(Config {
        home_address: terminal.home_address,
        home_prefix: terminal.home_prefix,
        home_agent: terminal.home_agent,
        home_association: association::association("mobile_terminal", &terminal.home_agent_association)?,
        agent_association: association::association("mobile_terminal", &terminal.mma_association)?,
        identifier: None,
        clock: Some(clock),
        eui64: terminal.eui64,
        group_layout: terminal.group_layout,
        radios: terminal
            .radios
            .iter()
            .map(|radio| Radio {
                port: radio.port,
                initial_signal_dbm: radio.initial_signal_dbm,
                cost_db: radio.cost_db,
            })
            .collect(),
        tun: terminal.tun,
        mode: match terminal.mode {
            TerminalMode::Multicast => ::ha::mobile::Mode::Multicast,
            TerminalMode::Hierarchical => ::ha::mobile::Mode::Hierarchical,
            TerminalMode::Plain => ::ha::mobile::Mode::Plain,
        },
        route_optimisation: match terminal.route_optimisation {
            TerminalOptimisation::Mma => ::ha::mobile::RouteOptimisation::Mma,
            TerminalOptimisation::Mt => ::ha::mobile::RouteOptimisation::Mt,
            TerminalOptimisation::Off => ::ha::mobile::RouteOptimisation::Off,
        },
        route_optimisation_with: terminal.route_optimisation_with.clone(),
        uplink: match terminal.uplink {
            UplinkMode::Direct => ::ha::mobile::UplinkMode::Direct,
            UplinkMode::Mma => ::ha::mobile::UplinkMode::Mma,
            UplinkMode::Auto => ::ha::mobile::UplinkMode::Auto,
        },
        direct_correspondents: terminal.direct_correspondents.clone(),
        gre: terminal.gre,
        report_moves: terminal.report_moves,
        router_choice: RouterChoiceConfig {
            averaging: Averaging { weight_percent: terminal.signal_weight_percent, period: terminal.signal_period },
            minimum_dwell: terminal.minimum_dwell,
            minimum_signal_dbm: terminal.minimum_signal_dbm,
            hysteresis_db: terminal.hysteresis_db,
            ..RouterChoiceConfig::default()
        },
        timers: Timing {
            lifetime: terminal.lifetime,
            forward: terminal.forward,
            overlap: terminal.overlap,
            leave_delay: terminal.leave_delay,
            ..Timing::default()
        },
        restored: Restored::default(),
    })
}

/// How the terminal finds routers and forms its addresses: fast, and at once usable (RFC 4429).
pub(super) fn host(terminal: Option<&MobileTerminalConfig>, ports: &[NodePort], seed: u64) -> host::Config {
    let radios = terminal.iter().flat_map(|terminal| terminal.radios.iter().map(|radio| (terminal.eui64, radio.port)));
    let ports = radios.map(|(eui64, port)| host::PortConfig {
        port,
        link_address: ports[usize::from(port.0)].link_address,
        solicitation: Solicitation::Fast { interval: SOLICITATION_INTERVAL },
        dad: Dad::Optimistic,
        // The mobility agent knows the terminal in its reverse tunnel by the identifier that it registered with,
        // whichever radio it uses after a move that the agent is not told of.
        interface_identifier: InterfaceIdentifier::Fixed(eui64.modified()),
        default_route: DefaultRoute::Elsewhere,
        max_routers: MAX_ROUTERS,
        max_prefixes: MAX_ROUTERS,
    });
    host::Config { seed, ports: ports.collect() }
}

pub(super) fn listener(terminal: &MobileTerminalConfig, ports: &[NodePort], seed: u64) -> mld_listener::Config {
    let mtus = terminal.radios.iter().map(|radio| ports[usize::from(radio.port.0)].mtu);
    let mobile = mld_listener::Config::mobile(seed);
    mld_listener::Config {
        retransmission: Retransmission::Schedule(terminal.report_repeats.clone()),
        mtu: mtus.min().unwrap_or(mobile.mtu),
        ..mobile
    }
}

/// What autoconfiguration has found, for the terminal.
pub(super) fn command(event: host::Event) -> Option<Command> {
    match event {
        host::Event::RouterAdvertised { port, router, advertisement, .. } => {
            let prefixes = advertisement
                .prefixes
                .iter()
                .map(|prefix| AdvertisedPrefix { prefix: prefix.prefix(), lifetime: secs(prefix.valid_lifetime_secs) });
            let agents = advertisement.maps.iter().map(|map| AdvertisedAgent {
                address: map.address,
                preference: map.preference,
                distance: map.distance,
                lifetime: secs(map.valid_lifetime_secs),
            });
            // RFC 6275 §7.4: a lifetime of its own goes before that of the router.
            let information = advertisement.home_agent_information;
            let serves_secs = information.map_or(advertisement.lifetime_secs, |information| information.lifetime_secs);
            let is_home_agent = advertisement.home_agent && serves_secs > 0;
            let own = advertisement.prefixes.iter().filter(|prefix| prefix.router_address && is_home_agent);
            Some(Command::RouterAdvertised(RouterAdvertisement {
                port,
                router,
                lifetime: secs(u32::from(advertisement.lifetime_secs)),
                prefixes: prefixes.collect(),
                agents: agents.collect(),
                home_agents: own.map(|prefix| prefix.address).collect(),
                address: router_address(&advertisement.prefixes),
            }))
        }
        host::Event::RouterLost { port, router } => Some(Command::RouterLost { port, router }),
        host::Event::AddressUsable { port, address, .. } => Some(Command::AddressUsable { port, address }),
        host::Event::AddressRemoved { port, address } | host::Event::AddressDuplicate { port, address } => {
            Some(Command::AddressRemoved { port, address })
        }
        host::Event::AddressDeprecated { .. } | host::Event::Neighbor(_) => None,
    }
}

/// An address that stands for the router: its own where it says one (RFC 6275 §7.2), else the Subnet-Router anycast address
/// of its first prefix (RFC 4291 §2.6.1).
fn router_address(prefixes: &[PrefixInformation]) -> Option<Ipv6Addr> {
    let own = prefixes.iter().find(|prefix| prefix.router_address).map(|prefix| prefix.address);
    let anycast = || prefixes.iter().find(|prefix| !prefix.router_address).map(|prefix| prefix.prefix().address());
    own.or_else(anycast).filter(|&address| addr::is_routable_unicast(address))
}

fn secs(secs: u32) -> Duration {
    Duration::from_secs(u64::from(secs))
}

/// What the listener is to report.
pub(super) fn listener_command(event: &Event) -> Option<mld_listener::Command> {
    match *event {
        Event::Join { port, group, ref sources } => {
            Some(mld_listener::Command::Join { port, group, filter: filter(sources) })
        }
        Event::Leave { port, group } => Some(mld_listener::Command::Leave { port, group }),
        Event::CameFrom { port, router } => Some(mld_listener::Command::CameFrom { port, router }),
        Event::GoesTo { port, router } => Some(mld_listener::Command::GoesTo { port, router }),
        _ => None,
    }
}

/// No source named is every source.
fn filter(sources: &[Ipv6Addr]) -> Filter {
    let sources: BTreeSet<Ipv6Addr> = sources.iter().copied().collect();
    if sources.is_empty() { Filter::Exclude(sources) } else { Filter::Include(sources) }
}

/// What neighbour discovery is to do with the home address.
pub(super) fn neighbor_command(event: &Event) -> Option<neighbor::Command> {
    match *event {
        Event::HomeAddressClaim { port, address, detect_duplicates } => Some(neighbor::Command::AddAddress {
            port,
            address,
            dad: if detect_duplicates { Dad::Optimistic } else { Dad::Off },
            delivery: Delivery::Routed,
        }),
        Event::HomeAddressAnnounce { port, address } => Some(neighbor::Command::Announce { port, address }),
        Event::HomeAddressRelease { port, address } => Some(neighbor::Command::RemoveAddress { port, address }),
        _ => None,
    }
}
