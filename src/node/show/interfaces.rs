//! The interfaces of PIM.

use super::View;
use serde_json::{Value, json};

impl View<'_> {
    pub(super) fn pim_interfaces(&self) -> Value {
        let row = |view: pim::InterfaceView| {
            json!({
                "port": self.port(view.port),
                "address": view.link_local,
                "up": view.is_up,
                "pim": view.is_pim_enabled,
                "designated_router": view.designated_router,
                "designated_here": view.designated_router == view.link_local,
                "generation_id": view.generation_id,
                "neighbors": view.neighbors,
                "querier": view.querier,
            })
        };
        self.node.pim.iter().flat_map(pim::Router::interfaces).map(row).collect()
    }
}
