//! The mobility agent: what its home agent tunnels, and what correspondents send with a type 2 routing header, goes to the
//! terminal's group (patent fig. 4 to 10).

use super::forward::has_options;
use super::look::{self, INNER, INNER_END, OUTER};
use super::{Asked, Frames, send};
use crate::addr;
use crate::machine::CorrespondentWay;
use crate::packet::{BATCH_SIZE, Packet};
use crate::pipeline::config::{MssClamp, TunnelDscp};
use crate::pipeline::counters::Counter;
use crate::pipeline::home_address::ROUTING_LEN;
use crate::pipeline::tunnel_header::{self, Outer};
use crate::pipeline::vector::Places;
use crate::pipeline::{Dataplane, header, sighting};
use crate::tables::{BindingWords, Slot};
use crate::wire::gre;
use crate::wire::ipv6::{HEADER_LEN, protocol};

/// Sends on what it can of the packets at `places`, which are to care-of addresses; answers how many frames went.
pub(super) fn run(plane: &mut Dataplane, frames: &mut Frames, places: &Places) -> u64 {
    if plane.config.mss_clamp != MssClamp::Off {
        return 0;
    }
    let mut asked = Asked::new();
    for &place in places {
        let Some(frame) = &frames[usize::from(place)] else { continue };
        if let Some(home_address) = home_address(frame.bytes()) {
            asked.push(place, home_address);
        }
    }
    let mut slots = [None; BATCH_SIZE];
    plane.mma_bindings.locate_batch(asked.keys(), &mut slots);
    for slot in slots[..asked.count].iter().flatten() {
        plane.mfib.prefetch_hint(plane.mma_bindings.route_hint(*slot));
    }
    let mut sent = 0;
    for ((place, home_address), slot) in asked.iter().zip(&slots) {
        let frame = &mut frames[usize::from(place)];
        let (Some(slot), Some(packet)) = (*slot, frame.as_ref()) else { continue };
        let Some(way) = way(plane, packet, *home_address, slot) else { continue };
        let Some(packet) = frame.take() else { continue };
        sent += to_group(plane, packet, &way);
    }
    sent
}

/// The home address that the packet is for, where it says so in one of the two plain ways.
#[inline(always)]
fn home_address(bytes: &[u8]) -> Option<[u64; 2]> {
    if bytes[OUTER + 6] == protocol::IPV6 {
        let headers = bytes.first_chunk::<INNER_END>()?;
        let next_header = headers[INNER + 6];
        let plain = look::is_plain_tunnel(headers)
            && next_header != protocol::ROUTING
            && next_header != protocol::MOBILITY
            && !has_options(headers, INNER);
        return plain.then(|| header::halves(headers, INNER + 24));
    }
    let headers = bytes.first_chunk::<{ INNER + ROUTING_LEN }>()?;
    let plain = headers[OUTER + 6] == protocol::ROUTING
        && headers[INNER + 1..INNER + 4] == [2, 2, 1]
        && look::end_of(headers, OUTER) >= INNER + ROUTING_LEN
        && !matches!(
            headers[INNER],
            protocol::MOBILITY | protocol::DESTINATION_OPTIONS | protocol::HOP_BY_HOP | protocol::ROUTING
        );
    plain.then(|| header::halves(headers, INNER + 8))
}

/// How a packet goes to its group.
struct ToGroup {
    source: [u64; 2],
    group: [u64; 2],
    /// Key and sequence number of GRE.
    gre: Option<(u32, u32)>,
    route: Slot,
    ports: u64,
    tunnelled: bool,
}

/// The way to the group of the binding at `slot`, where the packet can take it at once.
#[inline(always)]
fn way(plane: &Dataplane, packet: &Packet, home_address: [u64; 2], slot: Slot) -> Option<ToGroup> {
    let headers = packet.bytes().first_chunk::<INNER>()?;
    let binding = plane.mma_bindings.words(slot, &home_address)?;
    let tunnelled = headers[OUTER + 6] == protocol::IPV6;
    let (hop_limit, inner_octets) = if tunnelled {
        let headers = packet.bytes().first_chunk::<INNER_END>()?;
        (headers[INNER + 7], look::end_of(headers, INNER) - INNER)
    } else {
        (headers[OUTER + 7], look::end_of(headers, OUTER) - OUTER)
    };
    let ours = binding.is_active()
        && binding.care_of() == header::halves(headers, OUTER + 24)
        && (!tunnelled || binding.home_agent() == header::halves(headers, OUTER + 8))
        && hop_limit > 1;
    if !ours || binding.optimise() && is_news(plane, packet.bytes(), home_address, &binding, tunnelled) {
        return None;
    }
    let (source, group, gre_key) = (binding.source(), binding.group(), binding.gre_key());
    let route = plane.mma_bindings.route_hint(slot);
    let key = [source[0], source[1], group[0], group[1]];
    let mroute = plane.mfib.narrow(route, &key).filter(|mroute| mroute.is_local())?;
    let ports = send::within_scope(plane, mroute.ports, group[0]);
    let added = if gre_key.is_some() { HEADER_LEN + gre::KEY_SEQUENCE_LEN } else { HEADER_LEN };
    let goes_on = ports != 0
        && look::is_wide_group(group[0])
        && packet.headroom() >= tunnel_header::MAX_LEN
        && send::fits(plane, ports, inner_octets + added)
        && inner_octets + added <= plane.path_mtus.towards(plane.now, addr::whole(group), usize::MAX);
    if !goes_on {
        return None;
    }
    // Nothing keeps the packet from going now, so that no number is lost.
    let gre = gre_key.map(|key| (key, plane.mma_bindings.next_sequence(slot)));
    Some(ToGroup { source, group, gre, route, ports, tunnelled })
}

/// Whether the node has to be told of the packet's correspondent.
#[inline(always)]
fn is_news(plane: &Dataplane, bytes: &[u8], home_address: [u64; 2], binding: &BindingWords, tunnelled: bool) -> bool {
    let (inner, way) = if tunnelled {
        (&bytes[INNER..], CorrespondentWay::HomeAgent)
    } else {
        (&bytes[OUTER..], CorrespondentWay::Optimised)
    };
    sighting::is_data(inner)
        && header::halves(inner, 8) != binding.home_agent()
        && sighting::is_news(plane, addr::whole(home_address), header::source(inner), way)
}

/// Sends the packet with the outer header of its group, written over the old one where that is as long.
#[inline(always)]
fn to_group(plane: &mut Dataplane, mut packet: Packet, way: &ToGroup) -> u64 {
    let dscp = plane.config.tunnel_dscp;
    plane.counters.add(Counter::BindingToGroup);
    plane.mfib.count(way.route);
    if way.tunnelled && way.gre.is_none() {
        overwrite(&mut packet, dscp, way);
    } else {
        send::bare(&mut packet);
        let strip = if way.tunnelled { HEADER_LEN } else { 0 };
        if way.tunnelled {
            tunnel_header::mark_inner(dscp, &mut packet, HEADER_LEN);
        }
        packet.bytes_mut()[strip + 7] -= 1;
        let (source, destination) = (addr::whole(way.source), addr::whole(way.group));
        let outer = Outer { source, destination, gre: way.gre, limit: None, dscp };
        let replaced = tunnel_header::replace(&mut packet, strip, &outer);
        debug_assert!(replaced.is_ok(), "the headroom was looked at");
        packet.prepend::<OUTER>();
    }
    send::to_group(plane, packet, way.group, way.ports)
}

/// Makes the outer header that of the group; nothing moves.
#[inline(always)]
fn overwrite(packet: &mut Packet, mode: TunnelDscp, way: &ToGroup) {
    let end = look::end_of(packet.bytes(), INNER);
    packet.truncate(end);
    let Some(headers) = packet.bytes_mut().first_chunk_mut::<INNER_END>() else { return };
    let outer_class = header::traffic_class(&headers[OUTER..]);
    let Some(inner) = headers.last_chunk_mut::<HEADER_LEN>() else { return };
    let class = tunnel_header::exit_class(mode, header::traffic_class(inner), outer_class);
    header::set_traffic_class(inner, class);
    inner[7] -= 1;
    let label = tunnel_header::flow_label(inner);
    let payload = (end - INNER) as u16;
    let first = tunnel_header::first_word(tunnel_header::outer_class(mode, class), label, payload, protocol::IPV6);
    if let Some(outer) = headers[OUTER..].first_chunk_mut::<HEADER_LEN>() {
        tunnel_header::emit(outer, first, way.source, way.group);
    }
}
