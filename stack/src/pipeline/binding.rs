//! The mobility agent: packets to a care-of address become packets to the terminal's group (patent fig. 4 to 10).
//!
//! What the home agent tunnels has its outer header overwritten: it leaves one tunnel and enters the next in one step.
//! What a correspondent sends with a type 2 routing header is encapsulated as it is. A binding that forwards sends both
//! to another agent instead. Each is one hop of the packet inside.

use super::counters::Counter;
use super::tunnel_header::{self, ExitError, Outer};
use super::vector::{Found, Lane, Origin, Places, Vector};
use super::{Dataplane, header};
use crate::icmpv6::Cause;
use crate::packet::BATCH_SIZE;
use crate::tables::{BindingState, Mfib, MmaBindings, Slot};
use crate::wire::ext::Chain;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;

enum Next {
    Multicast,
    Lookup,
    Local,
    Drop(Counter),
    IcmpError(Cause),
}

/// How the packet says for whom it is.
#[derive(Clone, Copy)]
enum Carried {
    /// It is in a tunnel, and starts at this octet.
    Inside { at: usize },
    /// It has a type 2 routing header.
    Routed,
    /// It is for the agent: ICMPv6 about its tunnels, mobility signalling, a fragment.
    Agent,
    /// It does not.
    Unknown,
}

const NO_ADDRESS: (Carried, Ipv6Addr) = (Carried::Unknown, Ipv6Addr::UNSPECIFIED);

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    let places = vector.lane(Lane::Binding);
    if places.is_empty() {
        return;
    }
    let mut carried = [NO_ADDRESS; BATCH_SIZE];
    let mut keys = [[0; 2]; BATCH_SIZE];
    let mut slots = [None; BATCH_SIZE];
    for ((carried, key), &place) in carried.iter_mut().zip(&mut keys).zip(&places) {
        *carried = classify(vector.job(place).packet.bytes());
        *key = MmaBindings::key(carried.1);
    }
    plane.mma_bindings.find_batch(&keys[..places.len()], &mut slots);
    prefetch_routes(plane, &places, &slots);
    for ((&place, (carried, _)), slot) in places.iter().zip(carried).zip(slots) {
        match one(plane, vector, place, carried, slot) {
            Next::Multicast => vector.next(place, Lane::Multicast),
            Next::Lookup => vector.next(place, Lane::Lookup),
            Next::Local => vector.next(place, Lane::Local),
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
            Next::IcmpError(cause) => plane.icmp_error(vector.take(place), cause),
        }
    }
}

fn prefetch_routes(plane: &Dataplane, places: &Places, slots: &[Option<Slot>; BATCH_SIZE]) {
    for &slot in slots[..places.len()].iter().flatten() {
        plane.mfib.prefetch_hint(plane.mma_bindings.route_hint(slot));
    }
}

#[inline(always)]
fn classify(packet: &[u8]) -> (Carried, Ipv6Addr) {
    match packet[6] {
        protocol::IPV6 if packet.len() >= 2 * HEADER_LEN => {
            (Carried::Inside { at: HEADER_LEN }, header::destination_of_inner(packet, HEADER_LEN))
        }
        protocol::ROUTING if packet.len() >= HEADER_LEN + 24 && packet[41..44] == [2, 2, 1] => {
            (Carried::Routed, header::address(packet, HEADER_LEN + 8))
        }
        _ => classify_chain(packet),
    }
}

/// A packet with other headers in front.
#[cold]
fn classify_chain(packet: &[u8]) -> (Carried, Ipv6Addr) {
    let Ok(chain) = Chain::parse(packet) else { return NO_ADDRESS };
    if chain.fragment.is_some_and(|fragment| !fragment.is_atomic()) {
        return (Carried::Agent, Ipv6Addr::UNSPECIFIED);
    }
    if let Some(routing) = chain.type2_routing {
        return if routing.segments_left == 1 { (Carried::Routed, routing.home_address) } else { NO_ADDRESS };
    }
    match chain.upper {
        protocol::IPV6 if packet.len() >= chain.upper_offset + HEADER_LEN => {
            (Carried::Inside { at: chain.upper_offset }, header::destination_of_inner(packet, chain.upper_offset))
        }
        protocol::ICMPV6 | protocol::MOBILITY => (Carried::Agent, Ipv6Addr::UNSPECIFIED),
        _ => NO_ADDRESS,
    }
}

#[inline(always)]
fn one(plane: &mut Dataplane, vector: &mut Vector, place: u8, carried: Carried, slot: Option<Slot>) -> Next {
    let job = vector.job(place);
    let strip = match carried {
        Carried::Inside { at } => at,
        Carried::Routed => 0,
        Carried::Agent => return Next::Local,
        Carried::Unknown => return Next::Drop(Counter::DropBindingNoHomeAddress),
    };
    // The binding has expired, or was never there: the sender has to know (RFC 4443 §3.1).
    let Some(slot) = slot else { return Next::IcmpError(Cause::AddressUnreachable) };
    let binding = plane.mma_bindings.binding(slot);
    let bytes = job.packet.bytes();
    if header::destination(bytes) != binding.care_of {
        return Next::Drop(Counter::DropBindingCareOf);
    }
    let tunnelled = matches!(carried, Carried::Inside { .. });
    if tunnelled {
        if header::source(bytes) != binding.home_agent {
            return Next::Drop(Counter::DropBindingTunnelSource);
        }
        match tunnel_header::open(plane, job, strip) {
            Ok(()) => {}
            Err(ExitError::Inner) => return Next::Drop(Counter::DropTunnelInner),
            Err(ExitError::Ecn) => return Next::Drop(Counter::DropTunnelEcn),
        }
    }
    if let BindingState::Forward { from_home_agent: false, .. } = binding.state
        && tunnelled
    {
        return Next::Drop(Counter::DropBindingForwardHomeAgent);
    }
    let inner = &mut job.packet.bytes_mut()[strip..];
    let limit = tunnel_header::encapsulation_limit(inner);
    if !header::hop(inner) {
        job.packet.trim_front(strip);
        return Next::IcmpError(Cause::HopLimit);
    }
    if let Some((at, 0)) = limit {
        job.packet.trim_front(strip);
        return Next::IcmpError(Cause::HeaderField(at as u32));
    }
    let limit = limit.map(|(_, limit)| limit - 1);
    let dscp = plane.config.tunnel_dscp;
    let outer = match binding.state {
        BindingState::Anchor => return Next::Drop(Counter::DropBindingNoHomeAddress),
        BindingState::Active => Outer {
            source: binding.source,
            destination: binding.group,
            gre: binding.gre_key.map(|key| (key, plane.mma_bindings.next_sequence(slot))),
            limit,
            dscp,
        },
        BindingState::Forward { to, .. } => Outer { source: binding.care_of, destination: to, gre: None, limit, dscp },
    };
    match tunnel_header::replace(&mut job.packet, strip, &outer) {
        Ok(length) => job.meta.outer = length,
        Err(tunnel_header::NoHeadroom) => return Next::Drop(Counter::DropTunnelHeadroom),
    }
    (job.meta.origin, job.meta.tunnel) = (Origin::Own, None);
    match binding.state {
        BindingState::Active => {
            plane.counters.add(Counter::BindingToGroup);
            job.meta.found = route(plane, slot, binding.source, binding.group);
            Next::Multicast
        }
        BindingState::Forward { .. } | BindingState::Anchor => {
            plane.counters.add(Counter::BindingForwarded);
            job.meta.found = Found::Nothing;
            Next::Lookup
        }
    }
}

/// Where the (S,G) route stands: as the binding remembers, where that still holds.
#[inline(always)]
fn route(plane: &Dataplane, slot: Slot, source: Ipv6Addr, group: Ipv6Addr) -> Found {
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
