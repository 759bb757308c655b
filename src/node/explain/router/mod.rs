//! A router: who wants the group, where its trees grow, and what is forwarded.

mod limits;
mod members;
mod tree;

#[cfg(test)]
mod tests;

use super::findings::{Findings, PortNames};
use core::net::Ipv6Addr;
use pim::mld::GroupView;
use pim::{Counters, EntryView, InterfaceView, RpMappingView, RpSource, RpfInfo, StaticPrecedence};
use stack::addr::Scope;
use stack::tables::{MrouteKey, Route};
use stack::time::Instant;

/// What the router knows of a group.
#[derive(Clone, Debug)]
pub(super) struct RouterView {
    pub(super) now: Instant,
    pub(super) names: PortNames,
    pub(super) group: Ipv6Addr,
    /// The only source that is asked about.
    pub(super) source: Option<Ipv6Addr>,
    pub(super) is_source_specific: bool,
    /// RP(G).
    pub(super) rendezvous_point: Option<Ipv6Addr>,
    /// The mapping that says so, or one of bidirectional groups that says that there is none.
    pub(super) mapping: Option<RpMappingView>,
    pub(super) ports: Vec<PortView>,
    /// Of (*,G) first.
    pub(super) trees: Vec<TreeView>,
    /// How many more sources there are than are looked at.
    pub(super) more_sources: u64,
    pub(super) counters: Counters,
    /// Packets, of all groups, that came by a port that their route does not accept.
    pub(super) wrong_port_drops: u64,
}

/// A port with PIM or members.
#[derive(Clone, Debug)]
pub(super) struct PortView {
    pub(super) interface: InterfaceView,
    /// Whether the group does not pass it.
    pub(super) bounds: bool,
    /// Whether other routers may join the group there.
    pub(super) takes_joins: bool,
    pub(super) members: Option<GroupView>,
}

/// An (S,G) or (*,G), whether the router has an entry for it or not.
#[derive(Clone, Debug)]
pub(super) struct TreeView {
    pub(super) key: MrouteKey,
    /// S, or RP(G).
    pub(super) root: Ipv6Addr,
    /// The unicast route there.
    pub(super) route: Option<Route>,
    /// What multicast makes of it.
    pub(super) rpf: RpfInfo,
    pub(super) entry: Option<EntryView>,
    /// Packets of its forwarding entry, where it has one.
    pub(super) packets: Option<u64>,
}

impl TreeView {
    fn is_shared(&self) -> bool {
        self.key.source.is_unspecified()
    }

    fn name(&self) -> String {
        if self.is_shared() { "the shared tree".to_owned() } else { format!("the tree of {}", self.key.source) }
    }
}

/// What the router has to say.
pub(super) fn explain(view: &RouterView) -> Findings {
    let mut found = Findings::of("router");
    if Scope::of(view.group).is_none_or(|scope| scope <= Scope::LINK_LOCAL) {
        found.missing(
            format!("{} stays on its link: no router forwards it", view.group),
            "choose a group of a wider scope, such as ff15::/16",
        );
        return found;
    }
    ports(view, &mut found);
    rendezvous_point(view, &mut found);
    let is_wanted = members::explain(view, &mut found);
    if view.is_source_specific && view.trees.is_empty() {
        found.missing(
            format!("{} is source-specific, and nobody here names a source", view.group),
            "let the members name their source (MLDv2), or ask with --source",
        );
    }
    for tree in &view.trees {
        tree::explain(view, tree, is_wanted, &mut found);
    }
    if view.more_sources > 0 {
        found.note(format!("{} more sources are not looked at: name one with --source", view.more_sources));
    }
    limits::explain(view, &mut found);
    found
}

/// Whether PIM is spoken.
fn ports(view: &RouterView, found: &mut Findings) {
    let spoken: Vec<String> = view
        .ports
        .iter()
        .filter(|port| port.interface.is_up && port.interface.is_pim_enabled)
        .map(|port| {
            let neighbors = match port.interface.neighbors {
                0 => "no neighbour".to_owned(),
                1 => "1 neighbour".to_owned(),
                neighbors => format!("{neighbors} neighbours"),
            };
            format!("{} ({neighbors})", view.names.of(port.interface.port))
        })
        .collect();
    if spoken.is_empty() {
        found.advise(
            "no port that is up speaks PIM",
            "ports of [access_router], passive ones and site borders do not; [[router.port]] with passive = false has one speak",
        );
    } else {
        found.there(format!("PIM is spoken on {}", spoken.join(", ")));
    }
    let down: Vec<&str> =
        view.ports.iter().filter(|port| !port.interface.is_up).map(|port| view.names.of(port.interface.port)).collect();
    if !down.is_empty() {
        found.note(format!("these links are down: {}", down.join(", ")));
    }
}

/// RP(G), and who says so.
fn rendezvous_point(view: &RouterView, found: &mut Findings) {
    let group = view.group;
    if view.is_source_specific {
        found.there(format!("{group} is source-specific and needs no rendezvous point"));
        return;
    }
    let Some(point) = view.rendezvous_point else {
        match view.mapping {
            Some(mapping) if mapping.bidirectional => found.missing(
                format!("{group} is in {}, a range of bidirectional PIM", mapping.groups),
                "this router does not speak it: have the candidate offer the range without its B bit",
            ),
            Some(RpMappingView { source: RpSource::Embedded, .. }) => found.missing(
                format!("{group} is in ff70::/12 and names no rendezvous point"),
                "use a group of the form of RFC 3956 §4, whose prefix length is 1 to 64 and whose interface identifier is \
                 not 0",
            ),
            _ => found.missing(
                format!("no rendezvous point for {group}"),
                "add a [[router.static_rp]] with the group's range, or router.bootstrap = true where a bootstrap router \
                 says one: `drover show pim rp` lists what is known",
            ),
        }
        return;
    };
    let said_by = match view.mapping.map(|mapping| mapping.source) {
        Some(RpSource::Embedded) => "the group's address",
        Some(RpSource::Static(StaticPrecedence::OverridesLearned)) => "[[router.static_rp]] with override",
        Some(RpSource::Static(StaticPrecedence::BehindLearned)) => "[[router.static_rp]]",
        Some(RpSource::Bsr(_)) | None => "the bootstrap router",
    };
    found.there(format!("the rendezvous point of {group} is {point}, says {said_by}"));
}
