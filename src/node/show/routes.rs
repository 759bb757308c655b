//! Unicast routes.

use super::View;
use serde_json::{Value, json};
use stack::tables::Route;

impl View<'_> {
    pub(super) fn routes(&self) -> Value {
        let row = |(prefix, route): (stack::addr::Prefix, Route)| {
            let (action, port, next_hop) = match route {
                Route::Via { port, next_hop } => ("via", Some(port), Some(next_hop)),
                Route::OnLink(port) => ("on-link", Some(port), None),
                Route::Local => ("local", None, None),
                Route::CareOf => ("care-of", None, None),
                Route::Unreachable => ("unreachable", None, None),
                Route::Blackhole => ("blackhole", None, None),
            };
            json!({
                "prefix": prefix.to_string(),
                "action": action,
                "port": port.map(|port| self.port(port)),
                "next_hop": next_hop,
            })
        };
        self.worker.dataplane().routes().map(row).collect()
    }
}
