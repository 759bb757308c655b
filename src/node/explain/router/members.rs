//! Who wants the group here: hosts by MLD (RFC 3810), other routers by PIM; and whose business the hosts are.

use super::super::findings::Findings;
use super::{PortView, RouterView, TreeView};
use core::net::Ipv6Addr;
use pim::mld::{GroupView, HostView};
use pim::{AssertState, RegisterState};
use stack::machine::PortId;

/// Hosts that are named in a line.
const NAMED_HOSTS: usize = 3;

/// Who wants the group that this router has to serve.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    /// Members on links that are its business.
    pub(super) by_members: bool,
    /// Routers that have joined, or the rendezvous point of a source that it registers.
    pub(super) by_routers: bool,
}

impl Wanted {
    pub(super) fn by_anybody(self) -> bool {
        self.by_members || self.by_routers
    }
}

/// What is to be said.
pub(super) fn explain(view: &RouterView, found: &mut Findings) -> Wanted {
    let mut is_wanted = Wanted::default();
    let mut others = Vec::new();
    for (port, members) in view.ports.iter().filter_map(|port| Some((port, port.members.as_ref()?))) {
        let name = view.names.of(port.interface.port);
        let (hosts, wanted) = (hosts(members), wanted(members));
        match port.interface.querier {
            Some(querier) if querier == port.interface.link_local => {
                found.there(format!("members on {name}: {hosts} want {wanted}; this router is the querier"));
            }
            Some(querier) => {
                found.there(format!("members on {name}: {hosts} want {wanted}; the querier is {querier}"));
            }
            None => found.there(format!("members on {name}: {hosts} want {wanted}")),
        }
        if port.bounds {
            found.missing(
                format!("{} does not pass {name}", view.group),
                "the port has it in [[router.port]] boundary, or is a site border and the group's scope is the site",
            );
        } else if view.source.is_some_and(|source| !wants(members, source)) {
            let source = view.source.unwrap_or(Ipv6Addr::UNSPECIFIED);
            found.missing(
                format!("the members on {name} do not want {source}"),
                "let them join the group with that source, or without naming any where the group is not source-specific",
            );
        } else if let Some(winner) = lost_to(view, port.interface.port) {
            others.push((name, winner, "has won the assert"));
        } else if port.interface.designated_router != port.interface.link_local && !has_won(view, port.interface.port) {
            others.push((name, port.interface.designated_router, "is the designated router"));
        } else {
            found.there(format!("this router forwards to the members on {name}"));
            is_wanted.by_members = true;
        }
    }
    for (name, router, why) in &others {
        found.note(format!("{router} {why} on {name}, and forwards there: ask it"));
    }
    for port in view.ports.iter().filter(|port| port.bounds && port.members.is_none()) {
        found.note(format!("{} does not pass {}", view.group, view.names.of(port.interface.port)));
    }
    for port in view.ports.iter().filter(|port| !port.takes_joins) {
        found.advise(
            format!("routers on {} may not join {}", view.names.of(port.interface.port), view.group),
            "[[router.port]] joins says which groups they may",
        );
    }
    is_wanted.by_routers = view.trees.iter().any(has_joins);
    if is_wanted.by_anybody() || !others.is_empty() || view.ports.iter().any(|port| port.members.is_some()) {
        return is_wanted;
    }
    let queriers: Vec<&str> =
        view.ports.iter().filter(|port| port.interface.querier.is_some()).map(|port| view.name(port)).collect();
    let remedy = if queriers.is_empty() {
        "ask the routers downstream; a port with hosts needs an [[access_router.port]], for its MLD".to_owned()
    } else {
        format!(
            "members report on {} (`drover show pim mld`, drop-mld-* in `drover show pim counters`), routers downstream by \
             Join: ask them",
            queriers.join(", ")
        )
    };
    found
        .missing(format!("nobody here wants {}: no member on any port, no router that has joined", view.group), remedy);
    is_wanted
}

impl RouterView {
    fn name(&self, port: &PortView) -> &str {
        self.names.of(port.interface.port)
    }
}

/// Whether another router has joined the tree, or has a listener that is about to come here, or this one registers its source for
/// others.
fn has_joins(tree: &TreeView) -> bool {
    tree.entry.as_ref().is_some_and(|entry| {
        let registers = entry.shared.as_ref().is_some_and(|shared| shared.register != RegisterState::NoInfo);
        !entry.downstream.is_empty() || registers || entry.pre_joined_until.is_some()
    })
}

/// The router that forwards onto the port in place of this one, on each of the trees.
fn lost_to(view: &RouterView, port: PortId) -> Option<Ipv6Addr> {
    let states = || view.trees.iter().filter_map(|tree| tree.entry.as_ref());
    let lost = states().filter_map(|entry| {
        entry.asserts.iter().find_map(|&(on, state, _)| match state {
            AssertState::Loser { winner, .. } if on == port => Some(winner),
            _ => None,
        })
    });
    let lost: Vec<Ipv6Addr> = lost.collect();
    (!lost.is_empty() && lost.len() == states().count()).then(|| lost[0])
}

fn has_won(view: &RouterView, port: PortId) -> bool {
    let entries = view.trees.iter().filter_map(|tree| tree.entry.as_ref());
    entries.flat_map(|entry| &entry.asserts).any(|&(on, state, _)| on == port && state == AssertState::Winner)
}

fn wants(members: &GroupView, source: Ipv6Addr) -> bool {
    let listed = members.sources.iter().find(|listed| listed.address == source);
    match listed {
        Some(listed) => listed.expires.is_some(),
        None => !members.is_include(),
    }
}

fn wanted(members: &GroupView) -> String {
    let list = |is_wanted: bool| {
        let listed = members.sources.iter().filter(|source| source.expires.is_some() == is_wanted);
        listed.map(|source| source.address.to_string()).collect::<Vec<_>>().join(", ")
    };
    match (members.is_include(), list(false)) {
        (true, _) => list(true),
        (false, excluded) if excluded.is_empty() => "all sources".to_owned(),
        (false, excluded) => format!("all sources but {excluded}"),
    }
}

fn hosts(members: &GroupView) -> String {
    let listens = |host: &&HostView| host.exclude_until.is_some() || !host.sources.is_empty();
    let hosts: Vec<String> = members.hosts.iter().filter(listens).map(|host| host.address.to_string()).collect();
    match hosts.len() {
        0 => "hosts that are not tracked".to_owned(),
        count if count <= NAMED_HOSTS => hosts.join(", "),
        count => format!("{} and {} more", hosts[..NAMED_HOSTS].join(", "), count - NAMED_HOSTS),
    }
}
