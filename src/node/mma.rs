//! The mobility agent's part of the configuration.

use super::{NodeError, association};
use crate::config::resolved::{AgentOptimisation, CareOfMode, MmaConfig, PreconfiguredKeyConfig};
use ::mma::auth::WallClock;
use ::mma::return_routability::{NodeKey, PreconfiguredKey};
use ::mma::route_optimisation::PreconfiguredPeer;
use ::mma::{Config, RouteOptimisation, route_optimisation};
use core::net::Ipv6Addr;

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
                correspondents: mma.route_optimisation_with.clone(),
                preconfigured: mma.preconfigured_keys.iter().map(preconfigured).collect::<Result<_, _>>()?,
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

fn preconfigured((correspondent, key): &(Ipv6Addr, PreconfiguredKeyConfig)) -> Result<PreconfiguredPeer, NodeError> {
    let node_key =
        NodeKey::new(&key.key).map_err(|error| NodeError::Association { role: "mma", error: error.to_string() })?;
    let (home_nonce, care_of_nonce) = (key.home_nonce.clone(), key.care_of_nonce.clone());
    Ok(PreconfiguredPeer {
        home_address: key.home_address,
        correspondent: *correspondent,
        key: PreconfiguredKey { node_key, home_nonce, care_of_nonce },
    })
}
