//! What the node has of what the explanations look at.

use super::agent::{self, About, AgentView};
use super::findings::{Explanation, Findings, PortNames};
use super::home_agent::{self, HomeAgentView};
use super::router::{self, PortView, RouterView, TreeView};
use crate::admin::Question;
use crate::node::DroverNode;
use core::net::Ipv6Addr;
use pim::{RpMappingView, RpSource, StaticPrecedence};
use stack::addr::is_routable_unicast;
use stack::pipeline::Counter;
use stack::runtime::Worker;
use stack::tables::{BindingState, MrouteKey, Route};
use stack::time::Instant;
use std::collections::BTreeSet;

/// Explains what is asked about.
///
/// # Errors
/// Why this node has nothing to say.
pub(in crate::node) fn explain(
    worker: &Worker<DroverNode>,
    now: Instant,
    question: &Question,
) -> Result<Explanation, String> {
    if let Some(source) = question.source.filter(|&source| !is_routable_unicast(source)) {
        return Err(format!("{source} is no source whose packets are routed: give a routable unicast address"));
    }
    let place = Place { worker, node: worker.node(), now };
    let found = if question.about.is_multicast() { place.group(question) } else { place.terminal(question) }?;
    let (mut all, mut ways) = (Vec::new(), Vec::new());
    for findings in found {
        all.extend(findings.all);
        ways.extend(findings.ways);
    }
    Ok(Explanation::new(all, &ways))
}

struct Place<'a> {
    worker: &'a Worker<DroverNode>,
    node: &'a DroverNode,
    now: Instant,
}

impl Place<'_> {
    /// Of a group: the agent that has granted it, and the router.
    fn group(&self, question: &Question) -> Result<Vec<Findings>, String> {
        let Some(pim) = &self.node.pim else {
            return Err("this node is no multicast router ([router]): ask one on the way of the packets".into());
        };
        let group = question.about;
        let mut sources: BTreeSet<Ipv6Addr> = question.sources.iter().copied().collect();
        let mut found = Vec::new();
        if let (Some(mma), Some(address)) = (&self.node.mma, self.node.mma_address) {
            let owner = mma.owner_of(group).and_then(|home_address| mma.binding(home_address));
            sources.extend(owner.map(|_| address));
            found.push(agent::explain(&self.agent(mma, address, About::Group(group), owner)));
        }
        found.push(router::explain(&self.router(pim, group, question, sources)));
        Ok(found)
    }

    /// Of a terminal: its binding, and the tree of its group.
    fn terminal(&self, question: &Question) -> Result<Vec<Findings>, String> {
        let terminal = question.about;
        let (mma, home_agent) = (&self.node.mma, &self.node.home_agent);
        if mma.is_none() && home_agent.is_none() {
            return Err(format!(
                "this node is neither mobility agent nor home agent and knows no terminals: ask about the group of {terminal} \
                 here, or about {terminal} at its agents"
            ));
        }
        let here = mma.as_ref().and_then(|mma| mma.binding(terminal));
        let away = home_agent.as_ref().and_then(|agent| agent.bindings().get(terminal));
        let mut found = Vec::new();
        // Of two agents in one node, one that has a binding is enough.
        if let (Some(mma), Some(address), true) = (mma, self.node.mma_address, here.is_some() || away.is_none()) {
            found.push(agent::explain(&self.agent(mma, address, About::Terminal(terminal), here)));
            if let (Some(binding), Some(pim)) = (here, &self.node.pim)
                && binding.state == BindingState::Active
            {
                found.push(router::explain(&self.router(pim, binding.group, question, BTreeSet::from([address]))));
            }
        }
        if let (Some(agent), true) = (home_agent, away.is_some() || here.is_none()) {
            found.push(home_agent::explain(&self.home_agent(agent, terminal)));
        }
        Ok(found)
    }

    fn agent(
        &self,
        mma: &::mma::MobilityManagementAgent,
        address: Ipv6Addr,
        about: About,
        binding: Option<&::mma::Binding>,
    ) -> AgentView {
        let view = |binding: &::mma::Binding| {
            let to = match binding.state {
                BindingState::Forward { to, .. } => to,
                BindingState::Active | BindingState::Anchor => binding.group,
            };
            agent::BindingView {
                home_address: binding.home_address,
                care_of: binding.care_of,
                group: binding.group,
                home_agent: binding.home_agent,
                state: binding.state,
                remaining_secs: binding.remaining(self.now).as_secs(),
                has_route: self.leads(to),
            }
        };
        AgentView { about, address, binding: binding.map(view), refused: mma.counters().tx_acknowledgement_refused }
    }

    fn home_agent(&self, agent: &::ha::home_agent::HomeAgent, terminal: Ipv6Addr) -> HomeAgentView {
        let view = |binding: &::ha::binding::Binding| home_agent::BindingView {
            care_of: binding.care_of,
            agent: binding.agent,
            port: self.names().of(binding.home_port).to_owned(),
            status: binding.status,
            remaining_secs: agent.remaining(self.now, terminal).map_or(0, |remaining| remaining.as_secs()),
            has_route: self.leads(binding.care_of),
        };
        HomeAgentView {
            terminal,
            binding: agent.bindings().get(terminal).map(view),
            is_detecting: agent.waiting().any(|waiting| waiting == terminal),
            intercepts: self.worker.dataplane().home_binding(terminal).is_some(),
            rejected: agent.counters().tx_rejected,
        }
    }

    fn router(
        &self,
        pim: &pim::Router,
        group: Ipv6Addr,
        question: &Question,
        mut sources: BTreeSet<Ipv6Addr>,
    ) -> RouterView {
        let is_source_specific = pim.is_source_specific(group);
        let members = |port| {
            let mut queriers = pim.queriers();
            queriers.find(|&(on, _)| on == port).and_then(|(_, querier)| querier.group(group))
        };
        let ports: Vec<PortView> = pim
            .interfaces()
            .map(|interface| PortView {
                bounds: pim.bounds(interface.port, group),
                takes_joins: pim.takes_joins(interface.port, group),
                members: members(interface.port),
                interface,
            })
            .collect();
        if let Some(source) = question.source {
            sources = BTreeSet::from([source]);
        } else if is_source_specific {
            let named = ports.iter().flat_map(|port| &port.members).flat_map(|members| &members.sources);
            sources.extend(named.filter(|source| source.expires.is_some()).map(|source| source.address));
        }
        let rendezvous_point = pim.rendezvous_point(group);
        let more_sources = question.more_sources + sources.len().saturating_sub(Question::MAX_SOURCES) as u64;
        let shared = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group };
        let shared = (!is_source_specific).then_some(shared);
        let keys = sources.into_iter().take(Question::MAX_SOURCES).map(|source| MrouteKey { source, group });
        let tree = |key: MrouteKey| {
            let entry = pim.entry(key);
            let root = match key.source.is_unspecified() {
                true => rendezvous_point.unwrap_or(Ipv6Addr::UNSPECIFIED),
                false => key.source,
            };
            TreeView {
                key,
                root,
                route: self.route(root),
                rpf: pim.way_to(root, group),
                entry,
                packets: self.worker.dataplane().mroute(key).map(|(_, packets)| packets),
            }
        };
        RouterView {
            now: self.now,
            names: self.names(),
            group,
            source: question.source,
            is_source_specific,
            rendezvous_point,
            mapping: mapping(pim, group, rendezvous_point),
            ports,
            trees: shared.into_iter().chain(keys).map(tree).collect(),
            more_sources,
            counters: *pim.counters(),
            wrong_port_drops: self.worker.dataplane().counters().get(Counter::DropMulticastWrongPort),
        }
    }

    fn names(&self) -> PortNames {
        PortNames(self.node.ports.iter().map(|port| port.name.clone()).collect())
    }

    /// The unicast route to an address; routes come from the configuration, and are not many.
    fn route(&self, to: Ipv6Addr) -> Option<Route> {
        let routes = self.worker.dataplane().routes().filter(|(prefix, _)| prefix.contains(to));
        routes.max_by_key(|(prefix, _)| prefix.length()).map(|(_, route)| route)
    }

    fn leads(&self, to: Ipv6Addr) -> bool {
        matches!(self.route(to), Some(Route::Via { .. } | Route::OnLink(_) | Route::Local | Route::CareOf))
    }
}

/// The mapping that gives the group its rendezvous point, or says that it has none.
fn mapping(pim: &pim::Router, group: Ipv6Addr, point: Option<Ipv6Addr>) -> Option<RpMappingView> {
    // The order of RFC 7761 §4.7.1 as the router has it; of one kind the longest range.
    let rank = |mapping: &RpMappingView| {
        let kind = match mapping.source {
            RpSource::Embedded => 3,
            RpSource::Static(StaticPrecedence::OverridesLearned) => 2,
            RpSource::Bsr(_) => 1,
            RpSource::Static(StaticPrecedence::BehindLearned) => 0,
        };
        (kind, mapping.groups.length())
    };
    let says = |mapping: &RpMappingView| match point {
        Some(_) => {
            !mapping.bidirectional && (mapping.rendezvous_point == point || mapping.source == RpSource::Embedded)
        }
        None => mapping.bidirectional || mapping.source == RpSource::Embedded,
    };
    pim.rp_mappings().filter(|mapping| mapping.groups.contains(group) && says(mapping)).max_by_key(rank)
}
