//! `[access_router.mesh]`: what access routers tell each other of terminals that move between them.

use super::super::document::Fault;
use super::super::raw::{RawMesh, RawMeshPeer};
use super::super::resolved::{MeshConfig, MeshPeer};
use super::association::{AssociationFields, association};
use super::section::{Section, routable, span_of, unicast_prefix};
use core::net::Ipv6Addr;
use mma::mesh::Config;
use stack::addr::Prefix;
use std::collections::BTreeSet;
use std::path::Path;

/// Pre-joins at the most, and peers.
const MAX_PRE_JOINS: i64 = 1 << 20;
const MAX_PEERS: usize = 1024;
/// How long a terminal may be waited for.
const PRE_JOIN_MS: core::ops::RangeInclusive<i64> = 100..=60_000;

/// Reads `[access_router.mesh]` of a node with these addresses, which is to have a key.
pub(super) fn mesh(section: &Section<'_, '_>, raw: &RawMesh, own: &[Ipv6Addr], directory: &Path) -> Option<MeshConfig> {
    let known = || own.iter().map(Ipv6Addr::to_string).collect::<Vec<_>>().join(", ");
    let remedy = || format!("give one of this node's addresses: {}", known());
    let address = section.required("address", &raw.address, &remedy(), |text| {
        let address = routable(text)?;
        match own.contains(&address) {
            true => Ok(address),
            false => Err(Fault::new(format!("{address} is no address of this node"), remedy())),
        }
    });
    let fields = AssociationFields {
        spi: &raw.spi,
        algorithm: &raw.algorithm,
        key: &raw.key,
        key_file: &raw.key_file,
        replay: &None,
    };
    let key = association(section, &fields, directory);
    let lifetime = Config::PRE_JOIN_LIFETIME.as_millis() as u64;
    let pre_join = section.millis("pre_join_ms", &raw.pre_join_ms, PRE_JOIN_MS, lifetime);
    let max_pre_joins = section.number("max_pre_joins", &raw.max_pre_joins, 0..=MAX_PRE_JOINS, Config::MAX_PRE_JOINS);
    let max_pre_joins_per_peer = section.number(
        "max_pre_joins_per_peer",
        &raw.max_pre_joins_per_peer,
        0..=MAX_PRE_JOINS,
        Config::MAX_PRE_JOINS_PER_PEER,
    );
    if raw.peer.is_empty() {
        return section
            .missing("peer", "name the other access routers as [[access_router.mesh.peer]] with address = \"…\"");
    }
    if raw.peer.len() > MAX_PEERS {
        let what = format!("{} peers are too many", raw.peer.len());
        return section.fault("peer", section.span.clone(), Fault::new(what, format!("name {MAX_PEERS} at the most")));
    }
    let (mut addresses, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    let peers =
        section.tables("peer", &raw.peer, |section, raw| peer(section, raw, own, &mut addresses, &mut prefixes));
    Some(MeshConfig {
        address: address?,
        key: key?,
        pre_join: pre_join?,
        max_pre_joins: max_pre_joins?,
        max_pre_joins_per_peer: max_pre_joins_per_peer?,
        peers: peers?,
    })
}

fn peer(
    section: &Section<'_, '_>,
    raw: &RawMeshPeer,
    own: &[Ipv6Addr],
    addresses: &mut BTreeSet<Ipv6Addr>,
    all_prefixes: &mut BTreeSet<Prefix>,
) -> Option<MeshPeer> {
    let remedy = "give the address of the other router's own [access_router.mesh]";
    let address = section.required("address", &raw.address, remedy, |text| {
        let address = routable(text)?;
        if own.contains(&address) {
            return Err(Fault::new(format!("{address} is this node's own"), remedy));
        }
        match addresses.insert(address) {
            true => Ok(address),
            false => Err(Fault::new(format!("{address} is named twice"), "name each router once")),
        }
    });
    let prefixes = section.list("prefixes", &raw.prefixes, |text| {
        let prefix = unicast_prefix(text)?;
        match own.iter().find(|&&own| prefix.contains(own)) {
            None => Ok(prefix),
            Some(own) => {
                let what = format!("{prefix} has this node's address {own} in it");
                Err(Fault::new(what, "give the prefixes of the other router's links of terminals"))
            }
        }
    })?;
    for prefix in &prefixes {
        if !all_prefixes.insert(*prefix) {
            let what = format!("{prefix} is a link of another router too");
            let fault = Fault::new(what, "name a terminals' link with its own router alone");
            return section.fault("prefixes", span_of(section, &raw.address), fault);
        }
    }
    Some(MeshPeer { address: address?, prefixes })
}
