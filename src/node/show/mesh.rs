//! The mesh of access routers: its peers, and the groups that are joined for their terminals.

use super::View;
use serde_json::{Value, json};

impl View<'_> {
    /// A row a peer, and behind them a row a pre-join that still counts.
    pub(super) fn mesh(&self) -> Value {
        let peers = self.node.mesh.iter().flat_map(|mesh| mesh.peers()).map(|peer| {
            json!({
                "peer": peer.address,
                "waiting": peer.requests,
                "pre_joins": peer.pre_joins,
                "source": null,
                "group": null,
                "remaining_secs": null,
            })
        });
        let pre_joins = self.node.mesh.iter().flat_map(|mesh| mesh.pre_joins()).map(|(peer, key, until)| {
            json!({
                "peer": peer,
                "waiting": null,
                "pre_joins": null,
                "source": key.source,
                "group": key.group,
                "remaining_secs": self.secs_until(Some(until)),
            })
        });
        peers.chain(pre_joins).collect()
    }
}
