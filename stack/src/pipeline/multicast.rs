//! Multicast: the copy for this node, the RPF check, and a copy for every branch (RFC 7761 §4.2).
//!
//! The last branch gets the packet itself, so that a tree with one branch costs no copy. (*,G) stands in where there is
//! no (S,G). Scopes: the link's own groups are never forwarded, those of the site do not leave by its border
//! (RFC 4007 §5, RFC 7346).

use super::counters::Counter;
use super::vector::{Found, Job, Lane, Origin, Vector};
use super::{Dataplane, header, output};
use crate::addr::Scope;
use crate::machine::{Notice, PortId};
use crate::packet::BATCH_SIZE;
use crate::tables::{Accept, Mfib, PortSet, Slot};

enum Next {
    /// Copies went to the branches; this is the last one.
    Output(PortId),
    Local,
    Terminal,
    Drop(Counter),
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    let places = vector.lane(Lane::Multicast);
    if places.is_empty() {
        return;
    }
    let mut keys = [[0; 4]; BATCH_SIZE];
    let mut slots = [None; BATCH_SIZE];
    for (key, &place) in keys.iter_mut().zip(&places) {
        let bytes = vector.job(place).packet.bytes();
        *key = Mfib::key(header::source(bytes), header::destination(bytes));
    }
    find(plane, vector, &places, &keys, &mut slots);
    for (&place, slot) in places.iter().zip(slots) {
        match one(plane, vector.job(place), slot) {
            Next::Output(port) => output::on_link(plane, vector.take(place), port),
            Next::Local => vector.next(place, Lane::Local),
            Next::Terminal => vector.next(place, Lane::Terminal),
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
        }
    }
}

/// The (S,G) routes. A packet that the binding stage sent here comes with its route; the others are looked up together.
fn find(
    plane: &Dataplane,
    vector: &mut Vector,
    places: &super::vector::Places,
    keys: &[[u64; 4]; BATCH_SIZE],
    slots: &mut [Option<Slot>; BATCH_SIZE],
) {
    let mut unknown = false;
    for ((slot, &place), key) in slots.iter_mut().zip(places).zip(keys) {
        match vector.job(place).meta.found {
            Found::Entry(found) if plane.mfib.is_at(found, key) => *slot = Some(found),
            _ => unknown = true,
        }
    }
    if unknown {
        plane.mfib.find_batch(&keys[..places.len()], slots);
    }
}

#[inline(always)]
fn one(plane: &mut Dataplane, job: &mut Job, slot: Option<Slot>) -> Next {
    let bytes = job.packet.bytes();
    let (source, group) = (header::source(bytes), header::destination(bytes));
    let scope = Scope::of(group).unwrap_or(Scope::GLOBAL);
    let received = job.meta.origin == Origin::Received;
    let heard = received && job.meta.port.is_some_and(|port| plane.links[usize::from(port.0)].hears(group));
    if scope <= Scope::LINK_LOCAL {
        return match (received, job.meta.port) {
            (true, _) if heard => Next::Local,
            (true, _) | (false, None) => Next::Drop(Counter::DropMulticastNotHeard),
            (false, Some(port)) => Next::Output(port),
        };
    }
    if received && !plane.groups.is_empty() && plane.groups.contains(group) {
        return Next::Terminal;
    }
    let slot = slot.or_else(|| plane.mfib.find_any_source(group));
    let Some(slot) = slot else {
        if heard {
            return Next::Local;
        }
        // Whoever is a host here hears others' groups on shared links; only a router can want to route them.
        if !crate::addr::is_link_local(source) && plane.miss_limit.take(plane.now) {
            plane.notify(Notice::MulticastMiss { port: job.meta.port.filter(|_| received), source, group });
        }
        return Next::Drop(Counter::DropMulticastNoRoute);
    };
    plane.mfib.count(slot);
    let route = plane.mfib.route(slot);
    let accepted = match route.accept {
        Accept::Local | Accept::RendezvousPoint => !received,
        Accept::Port(port) => received && job.meta.port == Some(port),
    };
    if !accepted {
        return if heard { Next::Local } else { Next::Drop(Counter::DropMulticastWrongPort) };
    }
    let ports = branches(plane, job, route.forward, scope);
    if ports.is_empty() {
        return if heard { Next::Local } else { Next::Drop(Counter::DropMulticastNoBranch) };
    }
    if received && job.packet.bytes()[7] <= 1 {
        return if heard { Next::Local } else { Next::Drop(Counter::DropMulticastHopLimit) };
    }
    if heard {
        copy(plane, job, |plane, copy| plane.pending.push_back((copy, Lane::Local)));
    }
    if received {
        header::hop(job.packet.bytes_mut());
    }
    let mut ports = ports.iter().peekable();
    while let Some(port) = ports.next() {
        if ports.peek().is_none() {
            return Next::Output(port);
        }
        copy(plane, job, |plane, copy| output::on_link(plane, copy, port));
    }
    Next::Drop(Counter::DropMulticastNoBranch)
}

/// The ports of the route less the one that the packet came by, and less the site's border.
#[inline(always)]
fn branches(plane: &Dataplane, job: &Job, mut ports: PortSet, scope: Scope) -> PortSet {
    if job.meta.origin == Origin::Received
        && let Some(port) = job.meta.port
    {
        ports.remove(port);
    }
    if scope <= Scope::SITE_LOCAL && !plane.config.site_border.is_empty() {
        for port in plane.config.site_border.iter() {
            ports.remove(port);
        }
    }
    ports
}

fn copy(plane: &mut Dataplane, job: &Job, then: impl FnOnce(&mut Dataplane, Job)) {
    plane.counters.add(Counter::Copied);
    match job.packet.try_clone() {
        Ok(packet) => then(plane, Job { packet, meta: job.meta }),
        Err(_) => plane.counters.add(Counter::DropMulticastNoFrame),
    }
}
