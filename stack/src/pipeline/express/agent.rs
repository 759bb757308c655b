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
use crate::tables::{Accept, BindingState, Mfib, MmaBinding, MmaBindings, Slot};
use crate::wire::gre;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;

/// Octets of a type 2 routing header.
const ROUTING_LEN: usize = 24;

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
    for ((&place, slot), &key) in places.iter().zip(slots).zip(&keys) {
        if let Some(slot) = slot {
            sent += to_group(plane, &mut frames[usize::from(place)], key, slot);
        }
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

/// Whether the node has to be told of the packet's correspondent.
#[inline(always)]
fn is_news(plane: &Dataplane, inner: &[u8], home_address: Ipv6Addr, binding: &MmaBinding, tunnelled: bool) -> bool {
    let correspondent = header::source(inner);
    let way = if tunnelled { CorrespondentWay::HomeAgent } else { CorrespondentWay::Optimised };
    sighting::is_data(inner)
        && correspondent != binding.home_agent
        && sighting::is_news(plane, home_address, correspondent, way)
}

/// Sends the packet to the group of the binding at `slot`, where that can be done here.
#[inline(always)]
fn to_group(plane: &mut Dataplane, frame: &mut Option<Packet>, [high, low]: [u64; 2], slot: Slot) -> u64 {
    let Some(bytes) = frame.as_ref().map(Packet::bytes) else { return 0 };
    let binding = plane.mma_bindings.binding(slot);
    let tunnelled = bytes[OUTER + 6] == protocol::IPV6;
    let (strip, inner) = if tunnelled { (HEADER_LEN, INNER) } else { (0, OUTER) };
    let ours = binding.state == BindingState::Active
        && look::is_at(bytes, OUTER + 24, binding.care_of)
        && (!tunnelled || look::is_at(bytes, OUTER + 8, binding.home_agent))
        && bytes[inner + 7] > 1;
    if !ours {
        return 0;
    }
    if binding.optimise {
        let home_address = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
        if is_news(plane, &bytes[inner..], home_address, &binding, tunnelled) {
            return 0;
        }
    }
    let route = plane.mma_bindings.route_hint(slot);
    if !plane.mfib.is_at(route, &Mfib::key(binding.source, binding.group)) {
        return 0;
    }
    let mroute = plane.mfib.route(route);
    let ports = send::within_scope(plane, mroute.forward, binding.group);
    let added = if binding.gre_key.is_some() { HEADER_LEN + gre::KEY_SEQUENCE_LEN } else { HEADER_LEN };
    let length = look::end_of(bytes, inner) - inner + added;
    let goes_on = mroute.accept == Accept::Local
        && look::is_wide_group(binding.group)
        && !ports.is_empty()
        && send::fits_tunnel(plane, ports, binding.group, length);
    if !goes_on {
        return 0;
    }
    let end = look::end_of(bytes, OUTER) - OUTER;
    let Some(mut frame) = frame.take_if(|frame| frame.headroom() >= tunnel_header::MAX_LEN) else { return 0 };
    send::bare(&mut frame, end);
    let dscp = plane.config.tunnel_dscp;
    if tunnelled {
        tunnel_header::mark_inner(dscp, &mut frame, HEADER_LEN);
    }
    frame.bytes_mut()[strip + 7] -= 1;
    let gre = binding.gre_key.map(|key| (key, plane.mma_bindings.next_sequence(slot)));
    let outer = Outer { source: binding.source, destination: binding.group, gre, limit: None, dscp };
    if tunnel_header::replace(&mut frame, strip, &outer).is_err() {
        plane.counters.add(Counter::DropTunnelHeadroom);
        return 0;
    }
    plane.counters.add(Counter::BindingToGroup);
    plane.mfib.count(route);
    frame.prepend::<OUTER>();
    send::to_group(plane, frame, binding.group, ports)
}
