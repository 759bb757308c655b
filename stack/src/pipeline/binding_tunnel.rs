//! The tunnel of a mobility agent's binding: to the terminal's group, to where the binding forwards, or to the on-link
//! address of an anchor point. What is on its way to the terminal enters it here, and so does what this node says itself:
//! the agent's messages ([`crate::machine::Via::Terminal`]) and errors about the terminal's packets.

use super::Dataplane;
use super::counters::Counter;
use super::tunnel_header::{self, Outer};
use super::vector::{Found, Job, Lane, Origin};
use crate::icmpv6::Cause;
use crate::tables::{BindingState, Mfib, MmaBinding, Slot};
use core::net::Ipv6Addr;

/// Why a packet cannot enter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    Drop(Counter),
    IcmpError(Cause),
}

/// Puts the tunnel's outer header in the place of the first `strip` octets, and answers where the packet goes on. One that
/// is refused for what it says is left without those octets.
#[inline(always)]
pub(super) fn enter(
    plane: &mut Dataplane,
    job: &mut Job,
    slot: Slot,
    binding: &MmaBinding,
    strip: usize,
) -> Result<Lane, Refused> {
    let limit = tunnel_header::encapsulation_limit(&job.packet.bytes()[strip..]);
    if let Some((at, 0)) = limit {
        job.packet.trim_front(strip);
        return Err(Refused::IcmpError(Cause::HeaderField(at as u32)));
    }
    let (source, destination) = match binding.state {
        BindingState::Active | BindingState::Anchor => (binding.source, binding.group),
        BindingState::Forward { to, .. } => (binding.care_of, to),
    };
    let gre = match (binding.state, binding.gre_key) {
        (BindingState::Active, Some(key)) => Some((key, plane.mma_bindings.next_sequence(slot))),
        _ => None,
    };
    let limit = limit.map(|(_, limit)| limit - 1);
    let outer = Outer { source, destination, gre, limit, dscp: plane.config.tunnel_dscp };
    match tunnel_header::replace(&mut job.packet, strip, &outer) {
        Ok(length) => job.meta.outer = length,
        Err(tunnel_header::NoHeadroom) => return Err(Refused::Drop(Counter::DropTunnelHeadroom)),
    }
    (job.meta.origin, job.meta.tunnel) = (Origin::Own, None);
    if binding.state == BindingState::Active {
        job.meta.found = find_route(plane, slot, source, destination);
        Ok(Lane::Multicast)
    } else {
        job.meta.found = Found::Nothing;
        Ok(Lane::Lookup)
    }
}

/// Sends a packet of this node through the tunnel of the binding of `home_address`, whatever its destination.
pub(super) fn send(plane: &mut Dataplane, mut job: Job, home_address: Ipv6Addr) {
    let Some(slot) = plane.mma_bindings.find(home_address) else {
        return plane.discard(job, Counter::DropTransmitNotBound);
    };
    let binding = plane.mma_bindings.binding(slot);
    match enter(plane, &mut job, slot, &binding, 0) {
        Ok(lane) => {
            plane.counters.add(Counter::BindingFromNode);
            plane.pending.push_back((job, lane));
        }
        Err(Refused::Drop(reason)) => plane.discard(job, reason),
        Err(Refused::IcmpError(cause)) => plane.icmp_error(job, cause),
    }
}

/// Where the (S,G) route stands: as the binding remembers, where that still holds; it remembers what is found.
#[inline(always)]
pub(super) fn find_route(plane: &Dataplane, slot: Slot, source: Ipv6Addr, group: Ipv6Addr) -> Found {
    let key = Mfib::key(source, group);
    let hint = plane.mma_bindings.route_hint(slot);
    if plane.mfib.is_at(hint, &key) {
        return Found::Entry(hint);
    }
    match plane.mfib.find_exact(&key) {
        Some(found) => {
            plane.mma_bindings.set_route_hint(slot, found);
            Found::Entry(found)
        }
        None => Found::Nothing,
    }
}
