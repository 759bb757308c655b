//! The correspondent node's part of the configuration, and where its address stands.

use super::NodeError;
use crate::config::resolved::{CorrespondentNodeConfig, NodeConfig, Programs};
use ::ha::correspondent::Config;
use ::mma::return_routability::{NodeKey, PreconfiguredKey};
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::host::services::ServiceHost;
use stack::machine::PortId;
use stack::pipeline::Transport;
use stack::tables::Route;

pub(super) fn config(node: &CorrespondentNodeConfig) -> Result<Config, NodeError> {
    let mut config = Config {
        policy: node.policy.clone(),
        max_lifetime: node.max_lifetime,
        max_bindings: node.max_bindings,
        home_prefixes: node.home_prefixes.clone(),
        ..Config::new(node.address)
    };
    for key in &node.preconfigured_keys {
        let node_key = NodeKey::new(&key.key)
            .map_err(|error| NodeError::Association { role: "correspondent_node", error: error.to_string() })?;
        let (home_nonce, care_of_nonce) = (key.home_nonce.clone(), key.care_of_nonce.clone());
        config.preconfigured.insert(key.home_address, PreconfiguredKey { node_key, home_nonce, care_of_nonce });
    }
    Ok(config)
}

/// The services of a correspondent without programs of its own.
pub(super) fn services(node: &CorrespondentNodeConfig, seed: u64) -> Option<ServiceHost> {
    match &node.programs {
        Programs::Services(services) if !services.is_empty() => Some(ServiceHost::new(node.address, services, seed)),
        Programs::Services(_) | Programs::Tun(_) => None,
    }
}

/// Where TCP and UDP to addresses of the node go.
pub(super) fn transport(config: &NodeConfig) -> Transport {
    match &config.correspondent_node {
        Some(CorrespondentNodeConfig { address, programs: Programs::Services(services), .. })
            if !services.is_empty() =>
        {
            Transport::Local(*address)
        }
        _ => Transport::Unreachable,
    }
}

/// The address that stands on a TUN port although the node answers for it on another, and the port.
pub(super) fn behind_tun(config: &NodeConfig) -> Option<(Ipv6Addr, PortId)> {
    match config.correspondent_node {
        Some(CorrespondentNodeConfig { address, programs: Programs::Tun(port), .. }) => Some((address, port)),
        _ => None,
    }
}

/// The route of that address.
pub(super) fn route(config: &NodeConfig) -> Option<(Prefix, Route)> {
    behind_tun(config).map(|(address, port)| (Prefix::host(address), Route::OnLink(port)))
}
