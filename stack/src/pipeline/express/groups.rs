//! Multicast by (S,G): the RPF check and a frame for every branch (RFC 7761 §4.2).

use super::look::{self, OUTER};
use super::{Frames, send};
use crate::machine::PortId;
use crate::packet::BATCH_SIZE;
use crate::pipeline::Dataplane;
use crate::pipeline::vector::Places;
use crate::tables::{Accept, Mfib, PortSet, Slot};
use core::net::Ipv6Addr;

/// Sends on what it can of the packets at `places`; answers how many frames went.
pub(super) fn run(plane: &mut Dataplane, port: PortId, frames: &mut Frames, places: &Places) -> u64 {
    let mut keys = [[0; 4]; BATCH_SIZE];
    let mut slots = [None; BATCH_SIZE];
    for (key, &place) in keys.iter_mut().zip(places) {
        let Some(frame) = &frames[usize::from(place)] else { continue };
        let bytes = frame.bytes();
        *key = Mfib::key(look::address(bytes, OUTER + 8), look::address(bytes, OUTER + 24));
    }
    plane.mfib.find_batch(&keys[..places.len()], &mut slots);
    let mut sent = 0;
    for (&place, slot) in places.iter().zip(slots) {
        let frame = &mut frames[usize::from(place)];
        let Some((slot, group, ports)) = slot.and_then(|slot| way(plane, port, frame.as_ref()?.bytes(), slot)) else {
            continue;
        };
        let Some(mut frame) = frame.take() else { continue };
        let end = look::end_of(frame.bytes(), OUTER);
        frame.truncate(end);
        frame.bytes_mut()[OUTER + 7] -= 1;
        plane.mfib.count(slot);
        sent += send::to_group(plane, frame, group, ports);
    }
    sent
}

#[inline(always)]
fn way(plane: &Dataplane, port: PortId, bytes: &[u8], slot: Slot) -> Option<(Slot, Ipv6Addr, PortSet)> {
    let route = plane.mfib.route(slot);
    let group = look::address(bytes, OUTER + 24);
    let mut ports = send::within_scope(plane, route.forward, group);
    ports.remove(port);
    let goes_on = route.accept == Accept::Port(port)
        && bytes[OUTER + 7] > 1
        && !ports.is_empty()
        && send::fits(plane, ports, look::length(bytes));
    goes_on.then_some((slot, group, ports))
}
