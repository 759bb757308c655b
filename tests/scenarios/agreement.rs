//! Whether everybody agrees: what home agent, mobility agents and correspondents hold of a terminal is what the terminal
//! believes, forwarding is what it asked for and no longer than that, and its group is joined where it is and nowhere
//! else. Looked at when the network has had time to come to rest, after every scenario.

use crate::world::{GROUP, HOME, World};
use drover::admin::Topic;
use drover::config::resolved::RouteTarget;
use drover::node;
use ha::mobile::Standing;
use ha::mobile::movement::Site as TerminalSite;
use serde_json::Value;
use stack::tables::BindingState;
use std::collections::{BTreeMap, BTreeSet};

/// Within this time all agree: a lost Prune is made good by the holdtime of the Join, a lost leave by queries of the
/// routers, a lost de-registration by repetition.
const REST_MS: u64 = 240_000;
/// How often it is looked at.
const LOOK_MS: u64 = 500;

/// The end of a story of the terminal that is registered or at home: everybody agrees about it, and what holds in every
/// scenario holds.
pub(crate) fn finish(world: &mut World<'_>) {
    settle(world);
    world.check();
}

/// Lets time go on until everybody agrees about the terminal; fails where somebody does not come round.
pub(crate) fn settle(world: &mut World<'_>) {
    let mut left = REST_MS;
    while let Some(complaint) = disagreement(world) {
        assert!(left > 0, "they do not agree: {complaint}\n{}", world.story(40));
        left -= LOOK_MS;
        world.run_ms(LOOK_MS);
    }
}

/// What does not agree with what the terminal believes.
pub(crate) fn disagreement(world: &World<'_>) -> Option<String> {
    if world.terminal("mt").is_registering() {
        return Some("the terminal waits for an answer".to_owned());
    }
    let parts = [home_agents, mobility_agents, former_sites, correspondents, trees, memberships];
    parts.iter().find_map(|part| part(world))
}

fn names<'w>(world: &'w World<'_>) -> impl Iterator<Item = &'w str> {
    world.lab.nodes.iter().map(|node| node.name.as_str())
}

/// The home agent has the care-of address that the terminal has told it, and none when the terminal is at home.
fn home_agents(world: &World<'_>) -> Option<String> {
    let terminal = world.terminal("mt");
    let told = terminal.home_registration().map(|granted| granted.care_of);
    if told != terminal.site().care_of {
        return Some(format!("the terminal is at {:?}, and has told {told:?}", terminal.site().care_of));
    }
    for name in names(world) {
        let Some(agent) = world.worker(name).node().home_agent() else { continue };
        let bound = agent.bindings().active(HOME).map(|binding| binding.care_of);
        if bound != told {
            return Some(format!("{name} has {bound:?}, and was told {told:?}"));
        }
    }
    None
}

/// The agent of the terminal's site has its binding; every other one none, or one that forwards to where the terminal is.
fn mobility_agents(world: &World<'_>) -> Option<String> {
    let terminal = world.terminal("mt");
    let site = terminal.site();
    let goes_to = site.care_of.unwrap_or(HOME);
    for name in names(world) {
        let node = world.worker(name).node();
        let (Some(agent), Some(config)) = (node.mma(), &world.lab.nodes[world.node(name).0].config.mma) else {
            continue;
        };
        let is_here = site.site == TerminalSite::Agent(config.address);
        let binding = agent.binding(HOME);
        let in_tables = world.worker(name).dataplane().table_sizes().find(|(table, _)| *table == "mma-bindings");
        if in_tables.is_some_and(|(_, size)| size != agent.bindings().count()) {
            return Some(format!("{name} has not told its data plane"));
        }
        if let (true, None, Some(regional)) = (is_here, site.subscription, site.care_of) {
            // Without a group the agent is an anchor point: it has the regional address and does not know the other.
            let anchored = agent.binding(regional).is_some_and(|bound| bound.state == BindingState::Anchor);
            if !anchored || binding.is_some() {
                return Some(format!("{name} has {binding:?}, and should have {regional}"));
            }
            continue;
        }
        match binding {
            None if is_here => return Some(format!("{name} does not know the terminal in its site")),
            None => {}
            Some(binding) if is_here => {
                let group = site.subscription.map(|subscription| subscription.group);
                let agrees = Some(binding.care_of) == site.care_of && Some(binding.group) == group;
                if !agrees || binding.state != BindingState::Active {
                    return Some(format!("{name} has {binding:?}, the terminal {site:?}"));
                }
            }
            Some(binding) => {
                let BindingState::Forward { to, .. } = binding.state else {
                    return Some(format!("{name} believes the terminal in its site: {binding:?}"));
                };
                let asked = terminal.former_sites().find(|former| former.agent == config.address);
                let agrees = asked.is_some_and(|former| {
                    former.standing == Standing::Forwarding
                        && former.forwards_to == Some(to)
                        && former.care_of == Some(binding.care_of)
                });
                if !agrees || to != goes_to {
                    return Some(format!(
                        "{name} forwards to {to}, the terminal is at {goes_to} and has asked {asked:?}"
                    ));
                }
            }
        }
    }
    None
}

/// No agent that forwards is forgotten by the terminal, and none that it counts on has forgotten.
fn former_sites(world: &World<'_>) -> Option<String> {
    for former in world.terminal("mt").former_sites() {
        if former.standing != Standing::Forwarding {
            return Some(format!("the terminal waits for {former:?}"));
        }
        // The agent's time begins a little later than the terminal's.
        let agent = names(world).find_map(|name| {
            let config = world.lab.nodes[world.node(name).0].config.mma.as_ref()?;
            (config.address == former.agent).then(|| world.agent(name))
        });
        if agent.is_some_and(|agent| agent.binding(HOME).is_none()) {
            return Some(format!("the agent has forgotten {former:?}"));
        }
    }
    None
}

/// A correspondent that has a binding has the present care-of address.
fn correspondents(world: &World<'_>) -> Option<String> {
    let care_of = world.terminal("mt").site().care_of;
    for name in names(world) {
        for (home_address, binding) in world.worker(name).dataplane().correspondent_bindings() {
            if home_address == HOME && Some(binding.care_of) != care_of {
                return Some(format!("{name} sends to {}, the terminal is at {care_of:?}", binding.care_of));
            }
        }
    }
    None
}

/// The rows of what a node shows that are about the terminal's group.
fn rows(world: &World<'_>, name: &str, topic: Topic) -> Vec<Value> {
    let shown = node::show(world.worker(name), world.now(), topic);
    let subscription = world.terminal("mt").site().subscription;
    let group = Value::from(subscription.map_or(GROUP, |subscription| subscription.group).to_string());
    shown.as_array().cloned().unwrap_or_default().into_iter().filter(|row| row["group"] == group).collect()
}

/// The links where the terminal has joined its group.
fn joined_links(world: &World<'_>) -> BTreeSet<String> {
    let config = &world.lab.nodes[world.node("mt").0];
    let port_links = world.terminal("mt").joined().filter_map(|(port, _)| config.links[usize::from(port.0)]);
    port_links.map(|link| world.lab.links[link.0].name.clone()).collect()
}

/// The tree of the group leads from the agent of a site to the links where the terminal has joined, by way of the routers
/// between, and nowhere else.
fn trees(world: &World<'_>) -> Option<String> {
    let joined = joined_links(world);
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    // Upwards from the routers on those links, by the ports that lead to who forwards on them.
    let mut leads: Vec<String> = joined.into_iter().collect();
    while let Some(link) = leads.pop() {
        for node in &world.lab.nodes {
            let on = |port: &usize| node.links[*port].is_some_and(|index| world.lab.links[index.0].name == link);
            let Some(port) = (0..node.links.len()).find(on).filter(|_| node.config.mobile_terminal.is_none()) else {
                continue;
            };
            // Away from the agent: the trunk's lower end does not forward upwards.
            let default = node.config.routes.iter().find(|route| route.prefix.length() == 0);
            let up = default.and_then(|route| match route.target {
                RouteTarget::Via { port, .. } => Some(port),
                _ => None,
            });
            if up == Some(node.config.ports[port].id) || node.config.roles().is_empty() {
                continue;
            }
            wanted.entry(node.name.as_str()).or_default().insert(node.config.ports[port].name.clone());
            if node.config.mma.is_none()
                && let Some(upward) = up.and_then(|port| node.links[usize::from(port.0)])
            {
                leads.push(world.lab.links[upward.0].name.clone());
            }
        }
    }
    for name in names(world) {
        let rows = rows(world, name, Topic::Mroutes);
        let out: BTreeSet<String> = rows
            .iter()
            .flat_map(|row| row["out"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned))
            .collect();
        let expected = wanted.get(name).cloned().unwrap_or_default();
        if out != expected {
            return Some(format!("{name} sends the group to {out:?}, it is wanted on {expected:?}"));
        }
    }
    None
}

/// Routers hold a membership exactly on the links where the terminal has joined.
fn memberships(world: &World<'_>) -> Option<String> {
    let joined = joined_links(world);
    for name in names(world) {
        let node = &world.lab.nodes[world.node(name).0];
        for row in rows(world, name, Topic::Groups) {
            let Some(port) = row["port"].as_str() else { continue };
            let index = node.config.ports.iter().position(|known| known.name == port).expect("a port of this node");
            let link = node.links[index].map(|link| world.lab.links[link.0].name.as_str());
            if !link.is_some_and(|link| joined.contains(link)) {
                return Some(format!("{name} believes the group wanted on {port}"));
            }
        }
    }
    None
}
