//! Unicast: what the route says, and for whom the packet is where it says that it is for this node.

use super::look::{self, INNER, OUTER};
use super::tunnels::{self, Entry, Way};
use super::{Asked, Frames, agent, routes_alone_decide, send};
use crate::addr;
use crate::machine::PortId;
use crate::packet::{BATCH_SIZE, Packet};
use crate::pipeline::Dataplane;
use crate::pipeline::vector::{Job, Places};
use crate::tables::{AdjacencyIndex, Neighbors, Slot, Target};
use crate::wire::ipv6::protocol;

/// Sends on what it can of the packets whose destinations are asked for; answers how many frames went.
pub(super) fn run(plane: &mut Dataplane, port: PortId, frames: &mut Frames, asked: &Asked<2>) -> u64 {
    let mut values = [None; BATCH_SIZE];
    plane.routes.lookup_batch(asked.keys(), &mut values);
    let alone = routes_alone_decide(plane);
    let mut bound = [None; BATCH_SIZE];
    if alone && !plane.home_bindings.is_empty() {
        find_bound(plane, asked, &values, &mut bound);
    }
    let (mut to_agent, mut ending) = (Places::new_const(), Places::new_const());
    let mut on_link = Asked::new();
    let mut entering = tunnels::Entries::new_const();
    let mut sent = 0;
    for (((place, destination), value), bound) in asked.iter().zip(&values).zip(&bound) {
        let Some(target) = value.map(Target::from_value) else { continue };
        if plane.correspondents.serves(addr::whole(*destination)) {
            continue;
        }
        match (target, *bound) {
            (Target::CareOf, _) => to_agent.push(place),
            (Target::Local, _) if alone => ending.push(place),
            (Target::Via(index), None) if alone => sent += forward(plane, &mut frames[usize::from(place)], index),
            (Target::OnLink(port), None) if alone => {
                on_link.push(place, Neighbors::<Job>::key(port, addr::whole(*destination)));
            }
            (_, Some(slot)) => {
                if let Some(binding) = plane.home_bindings.at(slot, destination) {
                    let (from, to) = (binding.agent, binding.care_of);
                    entering.push(Entry { place, way: Way::Intercept, from, to });
                }
            }
            _ => {}
        }
    }
    if !on_link.is_empty() {
        let mut indexes = [None; BATCH_SIZE];
        plane.neighbors.find_batch(on_link.keys(), &mut indexes);
        for (&place, index) in on_link.places().iter().zip(&indexes) {
            let Some(index) = *index else { continue };
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

/// Where the home agent's bindings are of the destinations that would leave by what their routes say.
fn find_bound(
    plane: &Dataplane,
    asked: &Asked<2>,
    values: &[Option<u32>; BATCH_SIZE],
    bound: &mut [Option<Slot>; BATCH_SIZE],
) {
    let mut onward = Asked::<2>::new();
    for (index, (&value, &destination)) in values.iter().zip(asked.keys()).enumerate() {
        if let Some(Target::Via(_) | Target::OnLink(_)) = value.map(Target::from_value) {
            onward.push(index as u8, destination);
        }
    }
    let mut slots = [None; BATCH_SIZE];
    plane.home_bindings.locate_batch(onward.keys(), &mut slots);
    for (&index, &slot) in onward.places().iter().zip(&slots) {
        bound[usize::from(index)] = slot;
    }
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
