//! Unicast: what the route says, and for whom the packet is where it says that it is for this node.

use super::look::{self, INNER, OUTER};
use super::tunnels::{self, Entry, Way};
use super::{Frames, agent, routes_alone_decide, send};
use crate::machine::PortId;
use crate::packet::{BATCH_SIZE, Packet};
use crate::pipeline::Dataplane;
use crate::pipeline::vector::{Job, Places};
use crate::tables::{AdjacencyIndex, HomeBindings, Neighbors, Slot, Target};
use crate::wire::ipv6::protocol;
use core::net::Ipv6Addr;

/// Sends on what it can of the packets at `places`; answers how many frames went.
pub(super) fn run(plane: &mut Dataplane, port: PortId, frames: &mut Frames, places: &Places) -> u64 {
    let mut destinations = [Ipv6Addr::UNSPECIFIED; BATCH_SIZE];
    for (destination, &place) in destinations.iter_mut().zip(places) {
        let Some(header) = frames[usize::from(place)].as_ref().and_then(|frame| frame.bytes().first_chunk::<INNER>())
        else {
            continue;
        };
        *destination = look::address(header, OUTER + 24);
    }
    let destinations = &destinations[..places.len()];
    let mut values = [None; BATCH_SIZE];
    plane.routes.lookup_batch(destinations, &mut values);
    let mut slots = [None; BATCH_SIZE];
    find_home_bindings(plane, destinations, &mut slots);
    let alone = routes_alone_decide(plane);
    let (mut to_agent, mut ending) = (Places::new_const(), Places::new_const());
    let mut on_link = Places::new_const();
    let mut neighbors = [[0; 3]; BATCH_SIZE];
    let mut entering = tunnels::Entries::new_const();
    let mut sent = 0;
    for (i, &place) in places.iter().enumerate() {
        if plane.correspondents.serves(destinations[i]) {
            continue;
        }
        let frame = &mut frames[usize::from(place)];
        match (values[i].map(Target::from_value), slots[i]) {
            (Some(Target::CareOf), _) => to_agent.push(place),
            (Some(Target::Local), _) if alone => ending.push(place),
            (Some(Target::Via(index)), None) if alone => sent += forward(plane, frame, index),
            (Some(Target::OnLink(port)), None) if alone => {
                neighbors[on_link.len()] = Neighbors::<Job>::key(port, destinations[i]);
                on_link.push(place);
            }
            (Some(Target::Via(_) | Target::OnLink(_)), Some(slot)) if alone => {
                if let Some(binding) = plane.home_bindings.at(slot, &HomeBindings::key(destinations[i])) {
                    let (from, to) = (binding.agent, binding.care_of);
                    entering.push(Entry { place, way: Way::Intercept, from, to });
                }
            }
            _ => {}
        }
    }
    if !on_link.is_empty() {
        let mut indexes = [None; BATCH_SIZE];
        plane.neighbors.find_batch(&neighbors[..on_link.len()], &mut indexes);
        for (&place, index) in on_link.iter().zip(indexes) {
            let Some(index) = index else { continue };
            sent += forward(plane, &mut frames[usize::from(place)], index);
        }
    }
    if !to_agent.is_empty() {
        sent += agent::run(plane, frames, &to_agent);
    }
    if !ending.is_empty() {
        tunnels::find_ends(plane, port, frames, &ending, &mut entering);
    }
    if !entering.is_empty() {
        sent += tunnels::run(plane, frames, &entering);
    }
    sent
}

/// The home agent's bindings of these addresses.
#[inline(always)]
pub(super) fn find_home_bindings(plane: &Dataplane, addresses: &[Ipv6Addr], slots: &mut [Option<Slot>; BATCH_SIZE]) {
    if plane.home_bindings.is_empty() {
        return;
    }
    let mut keys = [[0; 2]; BATCH_SIZE];
    for (key, &address) in keys.iter_mut().zip(addresses) {
        *key = HomeBindings::key(address);
    }
    plane.home_bindings.locate_batch(&keys[..addresses.len()], slots);
}

/// A packet that leaves by a neighbour as it came.
#[inline(always)]
fn forward(plane: &mut Dataplane, frame: &mut Option<Packet>, index: AdjacencyIndex) -> u64 {
    let Some(header) = frame.as_ref().and_then(|frame| frame.bytes().first_chunk::<INNER>()) else { return 0 };
    let end = look::end_of(header, OUTER);
    let Some((port, rewrite)) = leaves_by(plane, index, end - OUTER).filter(|_| header[OUTER + 7] > 1) else {
        return 0;
    };
    let Some(mut packet) = frame.take() else { return 0 };
    packet.truncate(end);
    if let Some(header) = packet.bytes_mut().first_chunk_mut::<INNER>() {
        header[..OUTER].copy_from_slice(&rewrite);
        header[OUTER + 7] -= 1;
    }
    send::push(plane, packet, port)
}

/// Port and Ethernet header of a neighbour that a packet of so many octets can be sent to at once.
#[inline(always)]
pub(super) fn leaves_by(plane: &Dataplane, index: AdjacencyIndex, length: usize) -> Option<(PortId, [u8; OUTER])> {
    let ready = plane.neighbors.ready(index)?;
    let fits = length <= plane.links.get(usize::from(ready.port.0))?.mtu;
    (fits && !plane.config.host_ports.contains(ready.port)).then_some((ready.port, ready.rewrite))
}

/// Whether what stands in front of the packet at `at` could set a limit on encapsulations, or be an option of a tunnel.
#[inline(always)]
pub(super) fn has_options(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at + 6], protocol::DESTINATION_OPTIONS | protocol::HOP_BY_HOP)
}
