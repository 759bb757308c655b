//! The mobility agent's part of the configuration.

use super::{NodeError, association};
use crate::config::resolved::{AgentOptimisation, CareOfMode, MmaConfig};
use ::mma::auth::WallClock;
use ::mma::{Config, RouteOptimisation, route_optimisation};

pub(super) fn config(mma: &MmaConfig, clock: WallClock) -> Result<Config, NodeError> {
    let (associations, replay) = association::table("mma", &mma.terminals, mma.site_key.as_ref(), clock)?;
    let care_of = match mma.care_of {
        CareOfMode::Assigned(prefix) => ::mma::CareOfMode::Assigned { prefix },
        CareOfMode::Stateless(prefix) => ::mma::CareOfMode::Stateless { prefix },
        CareOfMode::Shared(address) => ::mma::CareOfMode::Shared { address },
    };
    let config = Config {
        access_prefixes: mma.access_prefixes.clone(),
        home_agents: mma.home_agents.clone(),
        associations,
        replay,
        gre: mma.gre,
        peers: mma.peers.clone(),
        forward_chain: mma.forward_chain,
        max_forward: mma.max_forward,
        anchor: mma.anchor,
        route_optimisation: match mma.route_optimisation {
            AgentOptimisation::Off => RouteOptimisation::Off,
            AgentOptimisation::Mma => RouteOptimisation::On(route_optimisation::Config {
                max_registrations: mma.max_bindings,
                ..route_optimisation::Config::default()
            }),
        },
        max_lifetime: mma.max_lifetime,
        max_bindings: mma.max_bindings,
        max_replay_floors: mma.max_bindings.saturating_mul(4),
        quarantine: mma.quarantine,
        max_quarantined: mma.max_bindings,
        ..Config::new(mma.address, care_of, mma.group_layout)
    };
    config.validate()?;
    Ok(config)
}
