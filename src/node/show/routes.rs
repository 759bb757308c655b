//! Unicast routes.

use super::View;
use super::pager::Pager;
use crate::admin::{Page, Part, Position};
use serde_json::{Value, json};
use stack::addr::Prefix;
use stack::tables::Route;

impl View<'_> {
    /// The routes in force, in order.
    pub(super) fn routes(&self, part: &Part) -> Page {
        let mut pager = Pager::new(part);
        let from = match part.from {
            Position::Route(from) => from,
            _ => Prefix::DEFAULT,
        };
        for (prefix, route) in self.worker.dataplane().routes_from(from) {
            if !pager.goes_on(Position::Route(prefix)) {
                break;
            }
            pager.offer_row(|| self.route_row(prefix, route));
        }
        pager.finish()
    }

    fn route_row(&self, prefix: Prefix, route: Route) -> Value {
        let (action, port, next_hop) = match route {
            Route::Via { port, next_hop } => ("via", Some(port), Some(next_hop)),
            Route::OnLink(port) => ("on-link", Some(port), None),
            Route::Local => ("local", None, None),
            Route::CareOf => ("care-of", None, None),
            Route::Unreachable => ("unreachable", None, None),
            Route::Blackhole => ("blackhole", None, None),
        };
        let (origin, worth) = self.node.unicast().origin(prefix);
        json!({
            "prefix": prefix.to_string(),
            "action": action,
            "port": port.map(|port| self.port(port)),
            "next_hop": next_hop,
            "origin": origin,
            "preference": worth.preference,
            "metric": worth.metric,
        })
    }
}
