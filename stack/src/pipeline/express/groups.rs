//! Multicast by (S,G): the RPF check and a frame for every branch (RFC 7761 §4.2).

use super::look::{self, INNER, OUTER};
use super::{Asked, Frames, send};
use crate::machine::PortId;
use crate::packet::{BATCH_SIZE, Packet};
use crate::pipeline::Dataplane;
use crate::tables::Slot;

/// Sends on what it can of the packets whose source and group are asked for; answers how many frames went.
pub(super) fn run(plane: &mut Dataplane, port: PortId, frames: &mut Frames, asked: &Asked<4>) -> u64 {
    let mut slots = [None; BATCH_SIZE];
    plane.mfib.locate_batch(asked.keys(), &mut slots);
    let mut sent = 0;
    for ((place, key), slot) in asked.iter().zip(&slots) {
        if let Some(slot) = *slot {
            sent += one(plane, port, &mut frames[usize::from(place)], slot, key);
        }
    }
    sent
}

#[inline(always)]
fn one(plane: &mut Dataplane, port: PortId, frame: &mut Option<Packet>, slot: Slot, key: &[u64; 4]) -> u64 {
    let Some(header) = frame.as_ref().and_then(|frame| frame.bytes().first_chunk::<INNER>()) else { return 0 };
    let Some(route) = plane.mfib.narrow(slot, key).filter(|route| route.accepts(port)) else { return 0 };
    let [.., high, low] = *key;
    let arrival = 1u64.checked_shl(u32::from(port.0)).unwrap_or(0);
    let ports = send::within_scope(plane, route.ports & !arrival, high);
    let end = look::end_of(header, OUTER);
    if ports == 0 || header[OUTER + 7] <= 1 || !send::fits(plane, ports, end - OUTER) {
        return 0;
    }
    let Some(mut frame) = frame.take() else { return 0 };
    frame.truncate(end);
    frame.bytes_mut()[OUTER + 7] -= 1;
    plane.mfib.count(slot);
    send::to_group(plane, frame, [high, low], ports)
}
