//! The home agent: packets for a home address that is bound go through a tunnel to the care-of address, its own with a
//! type 2 routing header (RFC 6275 §10.4.2). Link-local addresses never come here: the lookup has refused them.

use super::counters::Counter;
use super::tunnel_header::{self, Outer};
use super::vector::{Found, Lane, Origin, Vector};
use super::{Dataplane, correspondent, header};
use crate::icmpv6::Cause;

enum Next {
    Lookup,
    Drop(Counter),
    IcmpError(Cause),
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    for place in vector.lane(Lane::HomeAgent) {
        match one(plane, vector, place) {
            Next::Lookup => vector.next(place, Lane::Lookup),
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
            Next::IcmpError(cause) => plane.icmp_error(vector.take(place), cause),
        }
    }
}

#[inline(always)]
fn one(plane: &mut Dataplane, vector: &mut Vector, place: u8) -> Next {
    let job = vector.job(place);
    let Found::Entry(slot) = core::mem::replace(&mut job.meta.found, Found::Nothing) else {
        return Next::Lookup;
    };
    let binding = plane.home_bindings.binding(slot);
    // To the terminal the home agent itself is a correspondent that has the binding (RFC 6275 §10.4.2).
    if correspondent::is_own(plane, &job.meta) && correspondent::route(job, binding.care_of) {
        plane.counters.add(Counter::HomeRouted);
        return Next::Lookup;
    }
    let limit = tunnel_header::encapsulation_limit(job.packet.bytes());
    if job.meta.origin == Origin::Received && !header::hop(job.packet.bytes_mut()) {
        return Next::IcmpError(Cause::HopLimit);
    }
    if let Some((at, 0)) = limit {
        return Next::IcmpError(Cause::HeaderField(at as u32));
    }
    let outer = Outer {
        source: binding.agent,
        destination: binding.care_of,
        gre: None,
        limit: limit.map(|(_, limit)| limit - 1),
        dscp: plane.config.tunnel_dscp,
    };
    match tunnel_header::replace(&mut job.packet, 0, &outer) {
        Ok(length) => job.meta.outer = length,
        Err(tunnel_header::NoHeadroom) => return Next::Drop(Counter::DropTunnelHeadroom),
    }
    (job.meta.origin, job.meta.tunnel) = (Origin::Own, None);
    plane.counters.add(Counter::HomeIntercepted);
    Next::Lookup
}
