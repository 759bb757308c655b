//! What `drover show` gets to see, as JSON: an array of flat objects a table, an object of objects for counters. A file a
//! subject; tables by group are shown in parts.

mod bindings;
mod counters;
mod groups;
mod interfaces;
mod mesh;
mod neighbors;
mod pager;
mod ports;
mod rendezvous;
mod routes;
mod terminals;
mod trees;

use super::DroverNode;
use super::report::{Placement, WorkerReport};
use crate::admin::{Page, Part, Query, Topic, gather};
use core::fmt::Display;
use serde_json::Value;
use stack::machine::PortId;
use stack::runtime::Worker;
use stack::tables::PortSet;
use stack::time::Instant;

/// Shows a topic of a node at this time whose only worker is this one, to the last row.
pub fn show(worker: &Worker<DroverNode>, now: Instant, topic: Topic) -> Value {
    show_query(worker, now, Query { limit: Some(usize::MAX), ..topic.into() }).value
}

/// Shows what a query asks for of a node at this time whose only worker is this one.
pub fn show_query(worker: &Worker<DroverNode>, now: Instant, query: Query) -> Page {
    let report = WorkerReport::new(&Placement::default(), worker.dataplane(), worker.ports());
    let part = |part| Ok::<_, core::convert::Infallible>(show_part(worker, now, &part, core::slice::from_ref(&report)));
    let Ok(page) = gather(query, part);
    page
}

/// Shows a part of what is asked for of a node at this time whose first worker is this one; `reports` are those of all
/// workers, this one's first, where the topic is of all workers.
pub(in crate::node) fn show_part(
    worker: &Worker<DroverNode>,
    now: Instant,
    part: &Part,
    reports: &[WorkerReport],
) -> Page {
    let view = View { worker, node: worker.node(), now, reports };
    Page::whole(match part.topic {
        Topic::Routes => return view.routes(part),
        Topic::Groups => return view.groups(part),
        Topic::Mroutes => return view.mroutes(part),
        Topic::PimTib => return view.tib(part),
        Topic::PimAssert => return view.asserts(part),
        Topic::PimMld => return view.mld(part),
        Topic::Neighbors => view.neighbors(),
        Topic::Bindings => view.bindings(),
        Topic::Optimisations => view.optimisations(),
        Topic::Rp => view.rendezvous_points(),
        Topic::Bsr => view.bootstrap_routers(),
        Topic::Terminals => view.terminals(),
        Topic::Mesh => view.mesh(),
        Topic::Counters => view.counters(),
        Topic::Ports => view.ports(),
        Topic::Workers => view.workers(),
        Topic::PimNeighbors => view.pim_neighbors(),
        Topic::PimInterfaces => view.pim_interfaces(),
        Topic::PimCounters => view.pim_counters(),
    })
}

/// The bindings without what changes by itself: two of these are equal, to the octet, where no agent's table has changed.
pub fn stable_bindings(worker: &Worker<DroverNode>) -> Value {
    keep_what_stays(show(worker, Instant::ORIGIN, Topic::Bindings))
}

/// Takes out of what [`Topic::Bindings`] shows the remaining lifetimes, and bindings that forward, which end in their own
/// time.
pub fn keep_what_stays(mut bindings: Value) -> Value {
    if let Some(rows) = bindings.as_array_mut() {
        rows.retain(|row| row["status"] != "forward");
    }
    for binding in bindings.as_array_mut().into_iter().flatten() {
        if let Some(binding) = binding.as_object_mut() {
            binding.remove("remaining_secs");
        }
    }
    bindings
}

struct View<'a> {
    worker: &'a Worker<DroverNode>,
    node: &'a DroverNode,
    now: Instant,
    reports: &'a [WorkerReport],
}

impl View<'_> {
    fn port(&self, port: PortId) -> &str {
        self.node.ports.get(usize::from(port.0)).map_or("?", |port| &port.name)
    }

    fn port_names(&self, ports: PortSet) -> String {
        words(ports.iter().map(|port| self.port(port)))
    }

    /// Whole seconds from now to then; nothing where that never comes.
    fn secs_until(&self, at: Option<Instant>) -> Value {
        at.filter(|&at| at < Instant::FAR_FUTURE).map(|at| at.since(self.now).as_secs()).into()
    }
}

fn words(all: impl Iterator<Item = impl Display>) -> String {
    all.map(|one| one.to_string()).collect::<Vec<_>>().join(" ")
}
