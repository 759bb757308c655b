//! The mesh of access routers: its part of the configuration.

use super::{NodeError, association};
use crate::config::resolved::MeshConfig;
use ::mma::auth::{SecurityAssociation, SiteKey, WallClock};
use ::mma::mesh::{Config, Peer};

pub(super) fn config(mesh: &MeshConfig, clock: WallClock) -> Result<Config, NodeError> {
    let SecurityAssociation { spi, key, algorithm } = association::association("access_router.mesh", &mesh.key)?;
    let peers = mesh.peers.iter().map(|peer| Peer { address: peer.address, prefixes: peer.prefixes.clone() });
    Ok(Config {
        pre_join_lifetime: mesh.pre_join,
        max_pre_joins: mesh.max_pre_joins,
        max_pre_joins_per_peer: mesh.max_pre_joins_per_peer,
        ..Config::new(mesh.address, SiteKey { spi, key, algorithm }, clock, peers.collect())
    })
}
