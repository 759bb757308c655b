//! The home agent's part of the configuration, and what it asks of neighbour discovery.

use super::{NodeError, association};
use crate::config::resolved::{HomeAgentConfig, HomeDad};
use ::ha::home_agent::{self, Config, Event, HomeLink};
use ::mma::auth::WallClock;
use stack::nd::neighbor;

pub(super) fn config(agent: &HomeAgentConfig, clock: WallClock) -> Result<Config, NodeError> {
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
        }],
        max_lifetime: agent.max_lifetime,
        deregistration_hold: agent.deregistration_hold,
        max_bindings: agent.max_bindings,
        refresh_advice_percent: None,
        associations,
        replay,
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
