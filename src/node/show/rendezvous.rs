//! Rendezvous points and bootstrap routers.

use super::View;
use pim::{BsrState, RpSource, ScopeZone, StaticPrecedence};
use serde_json::{Value, json};

impl View<'_> {
    pub(super) fn rendezvous_points(&self) -> Value {
        let row = |mapping: pim::RpMappingView| {
            let (source, zone) = match mapping.source {
                RpSource::Embedded => ("embedded", None),
                RpSource::Static(StaticPrecedence::BehindLearned) => ("static", None),
                RpSource::Static(StaticPrecedence::OverridesLearned) => ("static, overrides", None),
                RpSource::Bsr(zone) => ("bsr", Some(zone_name(zone))),
            };
            json!({
                "groups": mapping.groups.to_string(),
                "rendezvous_point": mapping.rendezvous_point,
                "from": source,
                "zone": zone,
                "protocol": if mapping.bidirectional { "bidirectional" } else { "sparse" },
                "priority": mapping.priority,
                "holdtime_secs": mapping.holdtime.map(|holdtime| holdtime.as_secs()),
                "remaining_secs": mapping.expires.map(|expires| expires.since(self.now).as_secs()),
            })
        };
        self.node.pim.iter().flat_map(pim::Router::rp_mappings).map(row).collect()
    }

    pub(super) fn bootstrap_routers(&self) -> Value {
        let row = |view: pim::BsrView| {
            json!({
                "zone": zone_name(view.zone),
                "state": match view.state {
                    BsrState::NoInfo => "no info",
                    BsrState::AcceptAny => "accept any",
                    BsrState::AcceptPreferred => "accept preferred",
                    BsrState::Candidate => "candidate",
                    BsrState::Pending => "pending",
                    BsrState::Elected => "elected",
                },
                "address": view.address,
                "priority": view.priority,
                "hash_mask_length": view.hash_mask_length,
                "since_secs": self.now.since(view.since).as_secs(),
                "remaining_secs": view.expires.map(|expires| expires.since(self.now).as_secs()),
                "zone_remaining_secs": view.zone_expires.map(|expires| expires.since(self.now).as_secs()),
            })
        };
        self.node.pim.iter().flat_map(pim::Router::bsr).map(row).collect()
    }
}

fn zone_name(zone: ScopeZone) -> String {
    match zone {
        ScopeZone::Domain => "domain".to_owned(),
        ScopeZone::Scope(scope) => format!("scope {}", scope.value()),
    }
}
