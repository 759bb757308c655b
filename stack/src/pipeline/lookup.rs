//! Where a packet goes: the multicast table, or the longest prefix, the home agent's bindings and the uplinks.

use super::correspondent::{self, Received};
use super::counters::Counter;
use super::vector::{Found, Lane, Origin, Places, Vector};
use super::{Dataplane, Forwarding, header, tunnel};
use crate::addr;
use crate::icmpv6::Cause;
use crate::packet::BATCH_SIZE;
use crate::tables::Target;
use core::net::Ipv6Addr;

/// A packet that was looked up this often goes around in circles between the tunnels of this node.
const MAX_PASSES: u8 = 5;

enum Next {
    Lookup,
    Multicast,
    Local,
    Binding,
    HomeAgent,
    Uplink,
    Unicast,
    Drop(Counter),
    IcmpError(Cause),
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    let places = vector.lane(Lane::Lookup);
    if places.is_empty() {
        return;
    }
    let mut keys = [[0; 2]; BATCH_SIZE];
    for (key, &place) in keys.iter_mut().zip(&places) {
        *key = addr::halves(header::destination(vector.job(place).packet.bytes()));
    }
    let keys = &keys[..places.len()];
    let mut values = [None; BATCH_SIZE];
    plane.routes.lookup_batch(keys, &mut values);
    if !plane.home_bindings.is_empty() {
        find_home_bindings(plane, vector, &places, keys);
    }
    for ((&place, &key), value) in places.iter().zip(keys).zip(values) {
        let destination = addr::whole(key);
        match one(plane, vector, place, destination, value.map(Target::from_value)) {
            Next::Lookup => vector.next(place, Lane::Lookup),
            Next::Multicast => vector.next(place, Lane::Multicast),
            Next::Local => vector.next(place, Lane::Local),
            Next::Binding => vector.next(place, Lane::Binding),
            Next::HomeAgent => vector.next(place, Lane::HomeAgent),
            Next::Uplink => vector.next(place, Lane::Uplink),
            Next::Unicast => vector.next(place, Lane::Unicast),
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
            Next::IcmpError(cause) => plane.icmp_error(vector.take(place), cause),
        }
    }
}

fn find_home_bindings(plane: &Dataplane, vector: &mut Vector, places: &Places, keys: &[[u64; 2]]) {
    let mut slots = [None; BATCH_SIZE];
    plane.home_bindings.find_batch(keys, &mut slots);
    for (&place, slot) in places.iter().zip(slots) {
        vector.job(place).meta.found = slot.map_or(Found::Nothing, Found::Entry);
    }
}

#[inline(always)]
fn one(plane: &mut Dataplane, vector: &mut Vector, place: u8, destination: Ipv6Addr, target: Option<Target>) -> Next {
    let job = vector.job(place);
    let home_binding = core::mem::replace(&mut job.meta.found, Found::Nothing);
    job.meta.passes += 1;
    if job.meta.passes > MAX_PASSES {
        return Next::Drop(Counter::DropLookupLoop);
    }
    if destination.is_multicast() {
        return Next::Multicast;
    }
    if plane.correspondents.serves(destination) {
        match correspondent::receive(plane, job) {
            Received::On => {}
            Received::Node => return Next::Local,
            Received::Drop(reason) => return Next::Drop(reason),
            Received::IcmpError(cause) => return Next::IcmpError(cause),
        }
    }
    match target {
        Some(Target::Local) => return Next::Local,
        Some(Target::CareOf) => return Next::Binding,
        _ => {}
    }
    let source = header::source(job.packet.bytes());
    if addr::is_link_local(destination) || addr::is_link_local(source) {
        return match job.meta {
            super::vector::Meta { origin: Origin::Own, port: Some(port), .. } => {
                job.meta.found = Found::Link(port);
                Next::Unicast
            }
            // RFC 4291 §2.5.6, RFC 4443 §3.1: only its destination says that it should have gone further.
            _ if !addr::is_link_local(destination) => Next::IcmpError(Cause::BeyondScope),
            _ => Next::Drop(Counter::DropLookupLinkLocal),
        };
    }
    if job.meta.link_multicast && job.meta.origin == Origin::Received {
        return Next::Drop(Counter::DropLookupLinkMulticast);
    }
    if let Found::Entry(slot) = home_binding {
        job.meta.found = Found::Entry(slot);
        return Next::HomeAgent;
    }
    if !plane.correspondents.is_empty() && correspondent::send(plane, job, destination) {
        return Next::Lookup;
    }
    // A tunnel that ends at a home address: the former agent's to the terminal at home.
    if plane.tunnels.ends(source, destination) && tunnel::is_tunnelled(job.packet.bytes()) {
        return Next::Local;
    }
    if !plane.uplinks.is_empty() {
        // The home agent's answer to a terminal on its home link: its Mobility Header is for the node, whichever port
        // the home address stands on.
        if plane.uplinks.is_home_address(destination) && tunnel::upper_is_mobility(job.packet.bytes()) {
            return Next::Local;
        }
        if plane.uplinks.get(source, destination).is_some() {
            return Next::Uplink;
        }
    }
    let (egress, found) = match target {
        Some(Target::Via(index)) => (plane.neighbors.resolution(index).0, Found::Adjacency(index)),
        Some(Target::OnLink(port)) => (port, Found::Link(port)),
        Some(Target::Blackhole) => return Next::Drop(Counter::DropLookupBlackhole),
        _ => return Next::IcmpError(Cause::NoRoute),
    };
    if plane.config.forwarding == Forwarding::Host
        && job.meta.origin == Origin::Received
        && !plane.config.host_ports.contains(egress)
        && !job.meta.port.is_some_and(|port| plane.config.host_ports.contains(port))
    {
        return Next::Drop(Counter::DropLookupNotForwarded);
    }
    job.meta.found = found;
    Next::Unicast
}
