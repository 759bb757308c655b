//! The home agent's part of the configuration, and what it asks of neighbour discovery.

use super::{NodeError, access_router, association};
use crate::config::resolved::{HomeAgentConfig, HomeDad};
use ::ha::home_agent::{self, Config, Event, HomeLink};
use ::mma::auth::WallClock;
use core::net::Ipv6Addr;
use stack::nd::neighbor;

/// `own`: every address of the node.
pub(super) fn config(
    agent: &HomeAgentConfig,
    own: impl Iterator<Item = Ipv6Addr>,
    seed: u64,
    clock: WallClock,
) -> Result<Config, NodeError> {
    let (associations, replay) = association::table("home_agent", &agent.terminals, None, clock)?;
    Ok(Config {
        links: vec![HomeLink {
            port: agent.port,
            prefix: agent.prefix,
            address: agent.address,
            dad: match agent.dad {
                HomeDad::Strict => home_agent::HomeDad::Strict,
                HomeDad::Optimistic => home_agent::HomeDad::Optimistic,
                HomeDad::Off => home_agent::HomeDad::Off,
            },
            advertised: access_router::prefixes(&agent.advertisement),
            preference: access_router::preference(&agent.advertisement),
        }],
        max_lifetime: agent.max_lifetime,
        deregistration_hold: agent.deregistration_hold,
        former_care_of: agent.former_care_of,
        max_bindings: agent.max_bindings,
        refresh_advice_percent: None,
        associations,
        replay,
        denied: agent.terminals.iter().filter(|terminal| terminal.denied).map(|t| t.home_address).collect(),
        care_of_prefixes: agent.care_of_prefixes.clone(),
        own: own.collect(),
        prefix_advertisements: agent.prefix_advertisements,
        seed,
    })
}

/// What neighbour discovery is to do.
pub(super) fn neighbor_command(event: &Event) -> Option<neighbor::Command> {
    match *event {
        Event::DadWanted { port, address } => Some(neighbor::Command::Dad { port, address, token: 0 }),
        Event::DadCancel { port, address } => Some(neighbor::Command::CancelDad { port, address, token: 0 }),
        Event::ProxyStart { port, address } => Some(neighbor::Command::AddProxy { port, address }),
        Event::ProxyStop { port, address } => Some(neighbor::Command::RemoveProxy { port, address }),
        Event::Registered { .. } | Event::Ended { .. } | Event::Rejected { .. } => None,
    }
}
