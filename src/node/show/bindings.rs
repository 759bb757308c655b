//! Bindings of agents and correspondents, and what agents optimise.

use super::View;
use ::ha::correspondent::Authorisation;
use serde_json::{Value, json};
use stack::tables::BindingState;

impl View<'_> {
    pub(super) fn bindings(&self) -> Value {
        let mut rows: Vec<Value> = Vec::new();
        for binding in self.node.mma.iter().flat_map(|mma| mma.bindings()) {
            let (status, to) = match binding.state {
                BindingState::Active => ("active", None),
                BindingState::Anchor => ("anchor", None),
                BindingState::Forward { to, .. } => ("forward", Some(to)),
            };
            rows.push(json!({
                "agent": "mma",
                "home_address": binding.home_address,
                "care_of": binding.care_of,
                "group": (status != "anchor").then_some(binding.group),
                "home_agent": (status != "anchor").then_some(binding.home_agent),
                "gre_key": binding.gre_key,
                "registered_from": binding.access_address,
                "sequence": binding.sequence,
                "status": status,
                "forward_to": to,
                "remaining_secs": binding.remaining(self.now).as_secs(),
            }));
        }
        let agent = self.node.home_agent.as_ref();
        for binding in agent.iter().flat_map(|agent| agent.bindings().iter()) {
            let remaining = agent.and_then(|agent| agent.remaining(self.now, binding.home_address));
            rows.push(json!({
                "agent": "home-agent",
                "home_address": binding.home_address,
                "care_of": binding.care_of,
                "group": null,
                "home_agent": binding.agent,
                "gre_key": null,
                "registered_from": null,
                "sequence": binding.sequence,
                "status": format!("{:?}", binding.status).to_lowercase(),
                "forward_to": null,
                "remaining_secs": remaining.map(|remaining| remaining.as_secs()),
            }));
        }
        for binding in self.node.correspondent.iter().flat_map(|node| node.bindings().iter()) {
            rows.push(json!({
                "agent": "correspondent",
                "home_address": binding.home_address,
                "care_of": binding.care_of,
                "group": null,
                "home_agent": null,
                "gre_key": null,
                "registered_from": null,
                "sequence": binding.sequence,
                "status": match binding.authorisation {
                    Authorisation::ReturnRoutability(_) => "return routability",
                    Authorisation::Preconfigured => "preconfigured key",
                },
                "remaining_secs": binding.expires_at.since(self.now).as_secs(),
            }));
        }
        rows.into()
    }

    pub(super) fn optimisations(&self) -> Value {
        let row = |view: ::mma::route_optimisation::View| {
            json!({
                "by": "mma",
                "home_address": view.home_address,
                "correspondent": view.correspondent,
                "state": view.state,
                "care_of": view.care_of,
                "remaining_secs": view.until.map(|until| until.since(self.now).as_secs()),
            })
        };
        self.node.mma.iter().flat_map(|mma| mma.optimisations()).map(row).collect()
    }
}
