//! Neighbours: those of neighbour discovery, those of PIM, and both beside each other.

use super::{View, words};
use core::net::Ipv6Addr;
use pim::NeighborView;
use serde_json::{Map, Value, json};
use stack::machine::PortId;
use stack::nd::Entry;

impl View<'_> {
    /// Of both kinds.
    pub(super) fn neighbors(&self) -> Value {
        let row = |port: PortId, address: Ipv6Addr, entry: Option<Entry>, multicast: Option<NeighborView<'_>>| {
            let mut row = json!({
                "port": self.port(port),
                "address": address,
                "link_address": entry.as_ref().and_then(|entry| entry.link_address).map(|mac| mac.to_string()),
                "state": entry.as_ref().map(|entry| format!("{:?}", entry.state).to_lowercase()),
                "router": entry.is_none_or(|entry| entry.is_router),
                "pim": multicast.is_some(),
            });
            if let Some(row) = row.as_object_mut() {
                row.extend(hello(multicast.as_ref()));
            }
            row
        };
        let pim = || self.node.pim.iter().flat_map(pim::Router::neighbors);
        let mut rows: Vec<Value> = Vec::new();
        for neighbor in self.node.discovery.neighbor().neighbors() {
            let (port, address) = (neighbor.port, neighbor.address);
            let multicast = pim().find(|view| view.port == port && view.neighbor.primary_address == address);
            rows.push(row(port, address, Some(neighbor.entry), multicast));
        }
        for view in pim() {
            let (port, address) = (view.port, view.neighbor.primary_address);
            if self.node.discovery.neighbor().neighbor(port, address).is_none() {
                rows.push(row(port, address, None, Some(view)));
            }
        }
        rows.into()
    }

    /// Of PIM alone, with how long they have been there and will be without another Hello.
    pub(super) fn pim_neighbors(&self) -> Value {
        let row = |view: NeighborView<'_>| {
            let mut row = json!({ "port": self.port(view.port), "address": view.neighbor.primary_address });
            if let Some(row) = row.as_object_mut() {
                row.extend(hello(Some(&view)));
            }
            let tracking = view.neighbor.lan_prune_delay.map(|delay| delay.tracking_support);
            row["tracking_support"] = tracking.into();
            row["since_secs"] = self.now.since(view.neighbor.since).as_secs().into();
            row["remaining_secs"] = self.secs_until(view.expires);
            row
        };
        self.node.pim.iter().flat_map(pim::Router::neighbors).map(row).collect()
    }
}

/// What a neighbour's Hellos say.
fn hello(view: Option<&NeighborView<'_>>) -> Map<String, Value> {
    let hello = view.map(|view| view.neighbor);
    let prune_delay = hello.and_then(|hello| hello.lan_prune_delay);
    let columns: [(&str, Value); 6] = [
        ("designated_router", view.is_some_and(|view| view.is_designated_router).into()),
        ("dr_priority", hello.and_then(|hello| hello.dr_priority).into()),
        ("generation_id", hello.and_then(|hello| hello.generation_id).into()),
        ("propagation_delay_ms", prune_delay.map(|delay| delay.propagation_delay_ms).into()),
        ("override_interval_ms", prune_delay.map(|delay| delay.override_interval_ms).into()),
        ("addresses", hello.map(|hello| words(hello.secondary_addresses.iter().copied())).into()),
    ];
    columns.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}
