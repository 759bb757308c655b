//! The PIM router's part of the configuration, the MLD queriers of access links with it.

use super::NodePort;
use crate::config::resolved::{AccessPort, NodeConfig};
use pim::{Border, Config, FirstHello, InterfaceConfig, Limits, LinkKind, MldConfig, Participation, TerminalMoves};

/// `None` where the node has neither multicast neighbours nor access links.
pub(super) fn config(config: &NodeConfig, ports: &[NodePort], seed: u64) -> Option<Config> {
    let access: &[AccessPort] = config.access_router.as_ref().map_or(&[], |access| &access.ports);
    let router = config.router.as_ref()?;
    let mut interfaces = Vec::new();
    for port in ports {
        let configured = config.port(port.id);
        let mld = access.iter().find(|access| access.port == port.id).map(mld);
        let spoken = router.ports.iter().find(|pim| pim.port == port.id);
        if spoken.is_none() && mld.is_none() {
            continue;
        }
        let mut interface = InterfaceConfig {
            neighbors: spoken.and_then(|spoken| spoken.neighbors.clone()),
            joins: spoken.and_then(|spoken| spoken.joins.clone()),
            boundary: spoken.map_or_else(Vec::new, |spoken| spoken.boundary.clone()),
            addresses: configured.addresses.iter().map(|address| address.address).collect(),
            link: if configured.point_to_point { LinkKind::PointToPoint } else { LinkKind::Lan },
            // A link of hosts alone: members, no neighbours.
            participation: Participation::Passive,
            border: if configured.site_border { Border::SiteBorder } else { Border::Inside },
            mld,
            ..InterfaceConfig::new(port.id, port.link_local, port.mtu)
        };
        if let Some(spoken) = spoken {
            interface.participation = if spoken.passive { Participation::Passive } else { Participation::Active };
            interface.dr_priority = spoken.dr_priority;
            interface.hello_period = spoken.hello_period;
            interface.hello_holdtime = spoken.hello_period * 7 / 2;
            interface.propagation_delay = spoken.propagation_delay;
            interface.override_interval = spoken.override_interval;
            interface.bsr_boundary = spoken.bsr_boundary;
            interface.first_hello = if spoken.hello_at_once { FirstHello::Fast } else { FirstHello::Random };
        }
        interfaces.push(interface);
    }
    let limits = Limits {
        entries: router.max_entries,
        sources: router.max_sources,
        groups_per_port: access.iter().map(|access| access.mld.max_groups).max().unwrap_or(0),
        sources_per_group: access.iter().map(|access| access.mld.max_sources).max().unwrap_or(0),
        groups_per_host: access.iter().map(|access| access.mld.max_groups_per_host).max().unwrap_or(0),
        sources_per_host: access.iter().map(|access| access.mld.max_sources_per_host).max().unwrap_or(0),
        ..Limits::default()
    };
    let immediate = access.iter().flat_map(|access| &access.mld.immediate_leave).copied();
    let mut mobility_ranges: Vec<_> = core::iter::once(router.mobility_range).chain(immediate).collect();
    mobility_ranges.sort();
    mobility_ranges.dedup();
    Some(Config {
        ssm_ranges: router.ssm_ranges.clone(),
        mobility_ranges,
        join_prune_period: router.join_prune_period,
        register_suppression_time: router.register_suppression_time,
        spt_switchover: router.spt_switchover.clone(),
        register_source: config.loopback.first().copied(),
        rendezvous_points: router.rendezvous_points.clone(),
        terminal_moves: match config.access_router.as_ref().and_then(|access| access.mesh.as_ref()) {
            Some(_) => TerminalMoves::Told,
            None => TerminalMoves::Ignored,
        },
        limits,
        ..Config::new(interfaces, seed)
    })
}

fn mld(access: &AccessPort) -> MldConfig {
    let mld = &access.mld;
    MldConfig {
        version: mld.version,
        robustness: mld.robustness,
        query_interval: mld.query_interval,
        query_response_interval: mld.query_response_interval,
        last_listener_query_interval: mld.last_listener_query_interval,
        last_listener_query_count: mld.last_listener_query_count,
        mobility: mld.mobility.clone(),
        delivery: access.delivery,
    }
}
