//! The mobility agent: what its home agent tunnels, and what correspondents send with a type 2 routing header, goes to the
//! terminal's group (patent fig. 4 to 10).

use super::forward::has_options;
use super::look::{self, INNER, OUTER};
use super::{Frames, send};
use crate::machine::CorrespondentWay;
use crate::packet::{BATCH_SIZE, Packet};
use crate::pipeline::config::MssClamp;
use crate::pipeline::counters::Counter;
use crate::pipeline::tunnel_header::{self, Outer};
use crate::pipeline::vector::Places;
use crate::pipeline::{Dataplane, header, sighting};
use crate::tables::{Accept, BindingState, Mfib, MmaBinding, MmaBindings, PortSet, Slot};
use crate::wire::gre;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;

/// Octets of a type 2 routing header.
const ROUTING_LEN: usize = 24;

/// How a packet goes to the group.
struct ToGroup {
    binding: MmaBinding,
    route: Slot,
    ports: PortSet,
    /// Octets of the old outer header.
    strip: usize,
}

/// Sends on what it can of the packets at `places`, which are to care-of addresses; answers how many frames went.
pub(super) fn run(plane: &mut Dataplane, frames: &mut Frames, places: &Places) -> u64 {
    if plane.config.mss_clamp != MssClamp::Off {
        return 0;
    }
    let mut keys = [[0; 2]; BATCH_SIZE];
    let mut slots = [None; BATCH_SIZE];
    for (key, &place) in keys.iter_mut().zip(places) {
        let Some(frame) = &frames[usize::from(place)] else { continue };
        *key = MmaBindings::key(home_address(frame.bytes()).unwrap_or(Ipv6Addr::UNSPECIFIED));
    }
    plane.mma_bindings.find_batch(&keys[..places.len()], &mut slots);
    for slot in slots[..places.len()].iter().flatten() {
        plane.mfib.prefetch_hint(plane.mma_bindings.route_hint(*slot));
    }
    let mut sent = 0;
    for ((&place, slot), &[high, low]) in places.iter().zip(slots).zip(&keys) {
        let Some(slot) = slot else { continue };
        let home_address = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
        let frame = &mut frames[usize::from(place)];
        let Some(way) = frame.as_ref().and_then(|frame| way(plane, frame, home_address, slot)) else { continue };
        let Some(frame) = frame.take() else { continue };
        sent += to_group(plane, frame, slot, &way);
    }
    sent
}

/// The home address that the packet is for, where it says so in one of the two plain ways.
#[inline(always)]
fn home_address(bytes: &[u8]) -> Option<Ipv6Addr> {
    if look::is_plain_tunnel(bytes) {
        let next_header = bytes[INNER + 6];
        let plain = next_header != protocol::ROUTING && next_header != protocol::MOBILITY && !has_options(bytes, INNER);
        return plain.then(|| look::address(bytes, INNER + 24));
    }
    let routing = bytes.get(INNER..INNER + ROUTING_LEN)?;
    let plain = bytes[OUTER + 6] == protocol::ROUTING
        && routing[1..4] == [2, 2, 1]
        && look::length(bytes) >= HEADER_LEN + ROUTING_LEN
        && !matches!(
            routing[0],
            protocol::MOBILITY | protocol::DESTINATION_OPTIONS | protocol::HOP_BY_HOP | protocol::ROUTING
        );
    plain.then(|| look::address(bytes, INNER + 8))
}

#[inline(always)]
fn way(plane: &Dataplane, frame: &Packet, home_address: Ipv6Addr, slot: Slot) -> Option<ToGroup> {
    let bytes = frame.bytes();
    let binding = plane.mma_bindings.binding(slot);
    let (source, destination) = (look::address(bytes, OUTER + 8), look::address(bytes, OUTER + 24));
    let tunnelled = bytes[OUTER + 6] == protocol::IPV6;
    let (strip, inner) = if tunnelled { (HEADER_LEN, INNER) } else { (0, OUTER) };
    let ours = binding.state == BindingState::Active
        && binding.care_of == destination
        && (!tunnelled || binding.home_agent == source)
        && bytes[inner + 7] > 1;
    if !ours {
        return None;
    }
    if binding.optimise && is_news(plane, &bytes[inner..], home_address, &binding, tunnelled) {
        return None;
    }
    let route = plane.mma_bindings.route_hint(slot);
    if !plane.mfib.is_at(route, &Mfib::key(binding.source, binding.group)) {
        return None;
    }
    let mroute = plane.mfib.route(route);
    let ports = send::within_scope(plane, mroute.forward, binding.group);
    let added = if binding.gre_key.is_some() { HEADER_LEN + gre::KEY_SEQUENCE_LEN } else { HEADER_LEN };
    let length = look::end_of(bytes, inner) - inner + added;
    let goes_on = mroute.accept == Accept::Local
        && look::is_wide_group(binding.group)
        && !ports.is_empty()
        && frame.headroom() >= tunnel_header::MAX_LEN
        && send::fits_tunnel(plane, ports, binding.group, length);
    goes_on.then_some(ToGroup { binding, route, ports, strip })
}

/// Whether the node has to be told of the packet's correspondent.
#[inline(always)]
fn is_news(plane: &Dataplane, inner: &[u8], home_address: Ipv6Addr, binding: &MmaBinding, tunnelled: bool) -> bool {
    let correspondent = header::source(inner);
    let way = if tunnelled { CorrespondentWay::HomeAgent } else { CorrespondentWay::Optimised };
    sighting::is_data(inner)
        && correspondent != binding.home_agent
        && sighting::is_news(plane, home_address, correspondent, way)
}

#[inline(always)]
fn to_group(plane: &mut Dataplane, mut frame: Packet, slot: Slot, way: &ToGroup) -> u64 {
    let dscp = plane.config.tunnel_dscp;
    let length = look::length(frame.bytes());
    send::bare(&mut frame, length);
    if way.strip > 0 {
        tunnel_header::mark_inner(dscp, &mut frame, way.strip);
    }
    frame.bytes_mut()[way.strip + 7] -= 1;
    let gre = way.binding.gre_key.map(|key| (key, plane.mma_bindings.next_sequence(slot)));
    let outer = Outer { source: way.binding.source, destination: way.binding.group, gre, limit: None, dscp };
    if tunnel_header::replace(&mut frame, way.strip, &outer).is_err() {
        plane.counters.add(Counter::DropTunnelHeadroom);
        return 0;
    }
    plane.counters.add(Counter::BindingToGroup);
    plane.mfib.count(way.route);
    frame.prepend::<OUTER>();
    send::to_group(plane, frame, way.binding.group, way.ports)
}
