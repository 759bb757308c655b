//! One tree: the way to its root, the entry with what it asks for and is asked for, and the packets.

use super::super::findings::Findings;
use super::members::Wanted;
use super::{RouterView, TreeView};
use core::net::Ipv6Addr;
use pim::{AssertState, DownstreamState, EntryView, RegisterState, RpfInfo, RptDownstreamState, UpstreamState};
use stack::machine::PortId;
use stack::tables::{Accept, PortSet, Route};
use stack::time::Instant;

/// What is to be said.
pub(super) fn explain(view: &RouterView, tree: &TreeView, is_wanted: Wanted, found: &mut Findings) {
    // Sources of a group with a shared tree need no state of their own.
    let is_needed = tree.is_shared() || view.is_source_specific;
    if tree.entry.is_none() && !is_needed {
        found.note(format!("{} has no state here: its packets come by the shared tree", tree.key.source));
        return;
    }
    way(view, tree, found);
    let Some(entry) = &tree.entry else {
        if !is_wanted.by_members {
            found.note(format!("there is no entry of {}", tree.name()));
        } else if view.counters.drop_entry_limit > 0 {
            found.missing(
                format!("there is no entry of {}: as many as may be are taken", tree.name()),
                "raise router.max_entries",
            );
        } else {
            found.missing(
                format!("there is no entry of {}", tree.name()),
                "whoever wants the group has not asked for this tree: look at `drover show pim mld`, and at the counters \
                 drop-pim-* in `drover show pim counters`",
            );
        }
        return;
    };
    asked_for(view, tree, entry, found);
    asks(view, tree, entry, found);
    register(tree, entry, found);
    forwards(view, tree, entry, is_wanted.by_anybody(), found);
}

/// The way to the root.
fn way(view: &RouterView, tree: &TreeView, found: &mut Findings) {
    let root = match tree.is_shared() {
        true if tree.root.is_unspecified() => return,
        true => format!("{}, the rendezvous point of {}", tree.root, view.group),
        false => tree.root.to_string(),
    };
    match (tree.rpf, tree.route) {
        (RpfInfo::Unreachable, Some(Route::Via { port, .. } | Route::OnLink(port))) => found.missing(
            format!("the way to {root} is by {}, which {} does not pass", view.names.of(port), view.group),
            "the port has the group in [[router.port]] boundary, or is a site border: give the root another [[route]], or \
             take the boundary away",
        ),
        (RpfInfo::Unreachable, Some(Route::Local)) => found.note(format!("{root} is this node")),
        (RpfInfo::Unreachable, Some(Route::Blackhole | Route::Unreachable | Route::CareOf)) => found.missing(
            format!("the route to {root} leads nowhere"),
            "give it a [[route]] with a port and via in place of blackhole or unreachable",
        ),
        (RpfInfo::Unreachable, None) => {
            found.missing(format!("no route to {root}"), "add a [[route]] that has it in its prefix, or a default route");
        }
        (RpfInfo::Local, _) => found.there(format!("{root} is this node")),
        (RpfInfo::OnLink(port), _) if tree.is_shared() => found.missing(
            format!("{root}, is on the link of {} and no neighbour there has the address", view.names.of(port)),
            "have the rendezvous point speak PIM there; its Hello has to list the address",
        ),
        (RpfInfo::OnLink(port), _) => found.there(format!("{root} is on the link of {}", view.names.of(port))),
        (RpfInfo::Via { port, next_hop, neighbor: None }, _) => no_neighbor(view, &root, port, next_hop, found),
        (RpfInfo::Via { port, neighbor: Some(neighbor), .. }, _) => {
            found.there(format!("{root} is behind the neighbour {neighbor} on {}", view.names.of(port)));
        }
    }
}

/// Why the next hop is no neighbour.
fn no_neighbor(view: &RouterView, root: &str, port: PortId, next_hop: Ipv6Addr, found: &mut Findings) {
    let name = view.names.of(port);
    let what = format!("no PIM neighbour {next_hop} on {name}, the next hop to {root}");
    let interface = view.ports.iter().find(|known| known.interface.port == port).map(|known| known.interface);
    let remedy = match interface {
        Some(interface) if !interface.is_up => format!("the link of {name} is down: `drover show ports`"),
        Some(interface) if interface.is_pim_enabled && view.counters.drop_neighbor_filter > 0 => format!(
            "Hellos of routers that [[router.port]] neighbors does not name were dropped: name {next_hop} there, or have it \
             speak PIM on {name}"
        ),
        Some(interface) if interface.is_pim_enabled => format!(
            "no Hello has come from it: is PIM on there, and does {next_hop} send from this address or list it? \
             `drover show pim neighbors` says who is heard"
        ),
        _ => format!(
            "{name} speaks no PIM: it is passive, a site border or no Ethernet port; [[router.port]] passive = false"
        ),
    };
    found.missing(what, remedy);
}

/// What other routers ask for.
fn asked_for(view: &RouterView, tree: &TreeView, entry: &EntryView, found: &mut Findings) {
    for join in &entry.downstream {
        let name = view.names.of(join.port);
        match join.state {
            DownstreamState::PrunePending => {
                found.note(format!("{} is pruned on {name}{}", tree.name(), secs(" in", view.now, join.prune_pending)));
            }
            DownstreamState::Join | DownstreamState::NoInfo => {
                found.there(format!(
                    "routers on {name} have joined {}{}",
                    tree.name(),
                    secs(", for", view.now, join.expires)
                ));
            }
        }
    }
    if let Some(until) = entry.pre_joined_until {
        found.note(format!(
            "another access router has said that a listener of {} is about to come here{}: packets wait for it",
            tree.name(),
            secs(", within", view.now, Some(until))
        ));
    }
    for &(port, state, expires) in &entry.asserts {
        let name = view.names.of(port);
        match state {
            AssertState::Winner => found.there(format!("this router has won the assert of {} on {name}", tree.name())),
            AssertState::Loser { winner, metric } if entry.rpf.interface() != Some(port) => found.advise(
                format!(
                    "{winner} has won the assert of {} on {name}, with preference {} and metric {}{}",
                    tree.name(),
                    metric.preference,
                    metric.metric,
                    secs(", for", view.now, expires)
                ),
                "it forwards there: ask it; preference and metric of [[route]] decide",
            ),
            AssertState::Loser { .. } => {}
        }
    }
    let pruned = entry.shared.iter().flat_map(|shared| &shared.rpt_downstream);
    for &(port, _) in
        pruned.filter(|(_, state)| matches!(state, RptDownstreamState::Prune | RptDownstreamState::PruneTmp))
    {
        let name = view.names.of(port);
        found.note(format!("routers on {name} have pruned {} off the shared tree", tree.key.source));
    }
}

/// What this router asks for.
fn asks(view: &RouterView, tree: &TreeView, entry: &EntryView, found: &mut Findings) {
    match (entry.upstream, entry.upstream_neighbor) {
        (UpstreamState::NotJoined, _) => found.note(format!("{} is not joined: nobody here wants it", tree.name())),
        (UpstreamState::Joined, Some(neighbor)) => {
            let by_assert =
                if entry.rpf.neighbor() == Some(neighbor) { "" } else { ", which has won the assert there" };
            found.there(format!(
                "{} is joined at {} on {}{by_assert}{}",
                tree.name(),
                neighbor.address,
                view.names.of(neighbor.port),
                secs(", the next Join leaves in", view.now, entry.join_timer)
            ));
        }
        // Where a neighbour is lacking that was said of the way.
        (UpstreamState::Joined, None) => {}
    }
}

/// What the designated router of a source's link does with its packets.
fn register(tree: &TreeView, entry: &EntryView, found: &mut Findings) {
    let Some(shared) = &entry.shared else { return };
    let source = tree.key.source;
    match shared.register {
        RegisterState::NoInfo => {}
        RegisterState::Join => {
            found.there(format!("packets of {source} go to the rendezvous point in Register messages"))
        }
        RegisterState::Prune | RegisterState::JoinPending => {
            found.there(format!(
                "the rendezvous point has stopped the Register messages of {source}: it has another way"
            ));
        }
    }
    if shared.spt_bit {
        found.there(format!("packets of {source} are taken from its own tree"));
    }
}

/// What packets do.
fn forwards(view: &RouterView, tree: &TreeView, entry: &EntryView, is_wanted: bool, found: &mut Findings) {
    let Some(accept) = entry.accept else {
        // Of the root of which nobody knows where it is, that was said.
        if is_wanted && entry.rpf != RpfInfo::Unreachable && entry.upstream == UpstreamState::Joined {
            found.note(format!("{} has no forwarding entry of its own", tree.name()));
        }
        return;
    };
    let Some(packets) = tree.packets else {
        found.missing(
            format!("the data plane has no entry of {}", tree.name()),
            "its table may be full: compare mroutes of tables in `drover show counters` with router.max_entries",
        );
        return;
    };
    let registers = entry.shared.as_ref().is_some_and(|shared| shared.register == RegisterState::Join);
    if entry.forward.is_empty() && !registers {
        let what = format!("{} has no port to send to", tree.name());
        if is_wanted && entry.upstream == UpstreamState::Joined {
            found.note(what);
        } else {
            found.note(format!("{what}: nobody wants it"));
        }
        return;
    }
    let from = match accept {
        Accept::Port(port) => format!("by {}", view.names.of(port)),
        Accept::Local => "from this node".to_owned(),
        Accept::RendezvousPoint => "from this node and in Register messages".to_owned(),
    };
    let mut way = if entry.forward.is_empty() {
        format!("packets of {} leave in Register messages", tree.key.source)
    } else {
        format!("packets leave by {} towards {}", view.names.all(entry.forward), receivers(entry))
    };
    if packets > 0 {
        found.there(format!("{packets} packets of {} have come {from}", tree.name()));
    } else {
        found.note(format!("no packet of {} has come {from} yet", tree.name()));
        way.push_str(&match entry.upstream_neighbor {
            Some(neighbor) => {
                format!(", once some come: ask {} on {} next", neighbor.address, view.names.of(neighbor.port))
            }
            None => ", once some come".to_owned(),
        });
    }
    found.ways.push(way);
}

/// Whom packets go to.
fn receivers(entry: &EntryView) -> &'static str {
    let is_any = |ports: PortSet| entry.forward.iter().any(|port| ports.contains(port));
    let joined: PortSet = entry.downstream.iter().map(|join| join.port).collect();
    match (is_any(entry.include), is_any(joined)) {
        (true, true) => "members and routers that have joined",
        (true, false) => "members",
        (false, true) => "routers that have joined",
        (false, false) => "those who want the whole group",
    }
}

/// The whole seconds until then, behind a word; nothing where there is no end.
fn secs(word: &str, now: Instant, until: Option<Instant>) -> String {
    until.map_or_else(String::new, |until| format!("{word} {} s", until.since(now).as_secs()))
}
