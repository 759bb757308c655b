//! Multicast: the copy for this node, the RPF check, and a copy for every branch (RFC 7761 §4.2).
//!
//! The last branch gets the packet itself, so that a tree with one branch costs no copy; the register tunnel is one of them.
//! (*,G) stands in where there is no (S,G), which alone decides where there is one. What the routes watch for is told here,
//! and so is what they do not accept. A route may keep packets that have no branch ([`super::hold`]). Scopes: the link's own
//! groups are never forwarded, those of the site do not leave by its border (RFC 4007 §5, RFC 7346).

use super::counters::Counter;
use super::vector::{Found, Job, Lane, Origin, Vector};
use super::{Dataplane, header, hold, multicast_notice, output, register};
use crate::addr::{self, Scope};
use crate::machine::{Notice, PortId};
use crate::packet::BATCH_SIZE;
use crate::tables::{Accept, Mfib, Mroute, PortSet, RegisterTunnel, Slot, Watch};

enum Next {
    Branch(Branch),
    Local,
    Terminal,
    /// It waits for a branch of its route.
    Hold(Slot),
    /// It waits for the node, which was told of it; where too many do, it ends for this reason.
    Wait(Counter),
    Drop(Counter),
}

/// Where the packet itself goes, after copies of it went to all other branches.
enum Branch {
    Output(PortId),
    /// In a Register message.
    Lookup,
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
            Next::Branch(Branch::Output(port)) => output::on_link(plane, vector.take(place), port),
            Next::Branch(Branch::Lookup) => vector.next(place, Lane::Lookup),
            Next::Local => vector.next(place, Lane::Local),
            Next::Terminal => vector.next(place, Lane::Terminal),
            Next::Hold(slot) => hold::hold(plane, slot, vector.take(place)),
            Next::Wait(reason) => wait(plane, vector.take(place), reason),
            Next::Drop(reason) | Next::Branch(Branch::Drop(reason)) => plane.discard(vector.take(place), reason),
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
    let origin = job.meta.origin;
    let received = origin == Origin::Received;
    let heard = received && job.meta.port.is_some_and(|port| plane.links[usize::from(port.0)].hears(group));
    if scope <= Scope::LINK_LOCAL {
        return match (received, job.meta.port) {
            (true, _) if heard => Next::Local,
            (true, _) | (false, None) => Next::Drop(Counter::DropMulticastNotHeard),
            (false, Some(port)) => Next::Branch(Branch::Output(port)),
        };
    }
    if received && !plane.groups.is_empty() && plane.groups.contains(group) {
        return Next::Terminal;
    }
    let or_local = |reason| if heard { Next::Local } else { Next::Drop(reason) };
    if received && addr::is_link_local(source) {
        return or_local(Counter::DropMulticastLinkLocal);
    }
    let port = job.meta.port.filter(|_| received);
    let Some(slot) = slot.or_else(|| plane.mfib.find_any_source(group)) else {
        // The node hears of the Register message.
        if origin == Origin::Registered {
            return Next::Drop(Counter::DropRegisterNoRoute);
        }
        // Whoever is a host here hears others' groups on shared links; only a router can want to route them.
        if !heard && multicast_notice::tell(plane, Notice::MulticastMiss { port, source, group }) && !job.meta.told {
            return Next::Wait(Counter::DropMulticastNoRoute);
        }
        return or_local(Counter::DropMulticastNoRoute);
    };
    let route = plane.mfib.route(slot);
    let accepted = match route.accept {
        Accept::Port(accepted) => port == Some(accepted),
        Accept::Local => origin == Origin::Own,
        Accept::RendezvousPoint => !received,
    };
    if !accepted {
        let told = multicast_notice::tell(plane, Notice::MulticastWrongPort { port, source, group });
        if told && !heard && !job.meta.told && origin != Origin::Registered {
            return Next::Wait(Counter::DropMulticastWrongPort);
        }
        plane.mfib.count(slot);
        return or_local(Counter::DropMulticastWrongPort);
    }
    plane.mfib.count(slot);
    let seen = Notice::MulticastSeen { port, source, group };
    match route.watch {
        Watch::Nothing => {}
        Watch::NextPacket => next_packet(plane, slot, seen),
        Watch::Sources => {
            multicast_notice::tell(plane, seen);
        }
    }
    let ports = branches(plane, job, route.forward, scope);
    let register = tunnel(job, &route);
    let has_branch = !ports.is_empty() || register.is_some();
    let keeps = route.hold && plane.holds.has_room();
    if !has_branch && !keeps {
        return or_local(Counter::DropMulticastNoBranch);
    }
    if origin != Origin::Own && job.packet.bytes()[7] <= 1 {
        return or_local(Counter::DropMulticastHopLimit);
    }
    if heard {
        copy(plane, job, |plane, copy| plane.pending.push_back((copy, Lane::Local)));
    }
    if !has_branch {
        return Next::Hold(slot);
    }
    Next::Branch(replicate(plane, job, ports, register))
}

/// Sends a packet that was kept by the branches that its route has now. The node has had its copy when it came.
pub(super) fn send_held(plane: &mut Dataplane, mut job: Job, route: &Mroute) {
    let (ports, register) = (branches_of(plane, &job, route), tunnel(&job, route));
    match replicate(plane, &mut job, ports, register) {
        Branch::Output(port) => output::on_link(plane, job, port),
        Branch::Lookup => plane.pending.push_back((job, Lane::Lookup)),
        Branch::Drop(reason) => plane.discard(job, reason),
    }
}

/// The register tunnel that a packet of the route goes into: what has come to a rendezvous point is not sent to another.
#[inline(always)]
fn tunnel(job: &Job, route: &Mroute) -> Option<RegisterTunnel> {
    route.register.filter(|_| job.meta.origin != Origin::Registered)
}

/// Sends copies to all branches but the last, of which there is one at least.
#[inline(always)]
fn replicate(plane: &mut Dataplane, job: &mut Job, ports: PortSet, register: Option<RegisterTunnel>) -> Branch {
    if job.meta.origin != Origin::Own {
        header::hop(job.packet.bytes_mut());
        // From here on it is another node's packet, however it came.
        job.meta.origin = Origin::Received;
    }
    if let Some(tunnel) = register {
        if ports.is_empty() {
            return register::enter(plane, job, &tunnel).map_or_else(Branch::Drop, |()| Branch::Lookup);
        }
        copy(plane, job, |plane, mut copy| match register::enter(plane, &mut copy, &tunnel) {
            Ok(()) => plane.pending.push_back((copy, Lane::Lookup)),
            Err(reason) => plane.discard(copy, reason),
        });
    }
    let mut ports = ports.iter().peekable();
    while let Some(port) = ports.next() {
        if ports.peek().is_none() {
            return Branch::Output(port);
        }
        copy(plane, job, |plane, copy| output::on_link(plane, copy, port));
    }
    Branch::Drop(Counter::DropMulticastNoBranch)
}

/// Keeps the packet until the node has answered what it was told of it; beyond so many it ends here.
#[cold]
fn wait(plane: &mut Dataplane, job: Job, reason: Counter) {
    if plane.told.len() >= plane.told_limit {
        return plane.discard(job, reason);
    }
    plane.counters.add(Counter::PuntRoute);
    plane.told.push_back(job);
}

/// The node has answered: the packets that it was told of take the routes that there are now.
#[cold]
pub(super) fn resume(plane: &mut Dataplane) {
    while let Some(mut job) = plane.told.pop_front() {
        plane.counters.add(Counter::Resumed);
        job.meta.told = true;
        job.meta.found = Found::Nothing;
        plane.pending.push_back((job, Lane::Multicast));
    }
    plane.with_vector(|_, _| {});
}

/// Tells of the packet that the route at `slot` has waited for, which then waits for none. Where nobody takes notices, it
/// goes on waiting.
#[cold]
fn next_packet(plane: &mut Dataplane, slot: Slot, seen: Notice) {
    if plane.notify(seen) {
        plane.mfib.end_watch(slot);
    }
}

/// The ports by which a packet can leave that its route has accepted before.
pub(super) fn branches_of(plane: &Dataplane, job: &Job, route: &Mroute) -> PortSet {
    let scope = Scope::of(header::destination(job.packet.bytes())).unwrap_or(Scope::GLOBAL);
    branches(plane, job, route.forward, scope)
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
