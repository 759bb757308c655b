//! Unicast tunnels: entered at the home agent, left at the home agent, and from one into the next at the mobility agent.
//! Where such a packet goes takes a second lookup.

use super::forward::{has_options, leaves_by};
use super::look::{self, INNER, INNER_END, OUTER};
use super::{Asked, Frames, send};
use crate::addr;
use crate::machine::PortId;
use crate::packet::{BATCH_SIZE, Packet};
use crate::pipeline::config::MssClamp;
use crate::pipeline::counters::Counter;
use crate::pipeline::tunnel_header::{self, Outer};
use crate::pipeline::vector::Places;
use crate::pipeline::{Dataplane, header};
use crate::tables::{Slot, Target};
use crate::wire::ipv6::HEADER_LEN;
use arrayvec::ArrayVec;
use core::net::Ipv6Addr;

/// What happens to the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// The home agent tunnels it to the care-of address.
    Intercept,
    /// It leaves the terminal's tunnel at the home agent.
    Leave,
    /// The mobility agent tunnels it on to the home agent.
    Reverse,
}

/// A packet whose outer header changes.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) place: u8,
    pub(super) way: Way,
    /// Source of the new outer header; of no meaning where a tunnel is left.
    pub(super) from: Ipv6Addr,
    /// Where it goes from here.
    pub(super) to: Ipv6Addr,
}

pub(super) type Entries = ArrayVec<Entry, BATCH_SIZE>;

/// Adds those of the packets at `places`, which are for this node, that are in a terminal's reverse tunnel.
pub(super) fn find_ends(plane: &Dataplane, port: PortId, frames: &Frames, places: &Places, entries: &mut Entries) {
    let mut inside = Asked::new();
    for &place in places {
        let Some(frame) = &frames[usize::from(place)] else { continue };
        let Some(headers) = frame.bytes().first_chunk::<INNER_END>() else { continue };
        if look::is_plain_tunnel(headers) {
            inside.push(place, header::halves(headers, INNER + 8));
        }
    }
    if inside.is_empty() {
        return;
    }
    let (mut homes, mut bound) = ([None; BATCH_SIZE], [None; BATCH_SIZE]);
    if !plane.home_bindings.is_empty() {
        plane.home_bindings.locate_batch(inside.keys(), &mut homes);
    }
    if plane.mma_service.is_some() {
        plane.mma_bindings.locate_batch(inside.keys(), &mut bound);
    }
    for (((place, source), home), bound) in inside.iter().zip(&homes).zip(&bound) {
        let Some(frame) = &frames[usize::from(place)] else { continue };
        let Some(bytes) = frame.bytes().first_chunk::<INNER_END>() else { continue };
        let entry = match (*home, *bound) {
            (Some(slot), _) => leaves(plane, bytes, source, slot).map(|to| (Way::Leave, Ipv6Addr::UNSPECIFIED, to)),
            (None, Some(slot)) => {
                goes_home(plane, port, bytes, source, slot).map(|(from, to)| (Way::Reverse, from, to))
            }
            (None, None) => None,
        };
        if let Some((way, from, to)) = entry {
            entries.push(Entry { place, way, from, to });
        }
    }
}

/// Where a packet goes that leaves the tunnel of a home agent's binding (RFC 6275 §10.4.5).
#[inline(always)]
fn leaves(plane: &Dataplane, bytes: &[u8; INNER_END], home_address: &[u64; 2], slot: Slot) -> Option<Ipv6Addr> {
    let binding = plane.home_bindings.at(slot, home_address)?;
    let of_binding = binding.agent == header::address(bytes, OUTER + 24)
        && binding.care_of == header::address(bytes, OUTER + 8)
        && bytes[INNER + 7] > 1;
    of_binding.then(|| header::address(bytes, INNER + 24))
}

/// The care-of address and the home agent, for a packet in the reverse tunnel to the mobility agent.
#[inline(always)]
fn goes_home(
    plane: &Dataplane,
    port: PortId,
    bytes: &[u8; INNER_END],
    home_address: &[u64; 2],
    slot: Slot,
) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let service = plane.mma_service.as_ref()?;
    let source = header::address(bytes, OUTER + 8);
    let binding = plane.mma_bindings.words(slot, home_address)?;
    let of_binding = service.address == header::address(bytes, OUTER + 24)
        && !plane.is_from_outside(Some(port))
        && binding.is_active()
        && header::in_any(&service.access_prefixes, source)
        && addr::interface_identifier(source) == binding.access_identifier()
        && plane.optimised.is_empty()
        && bytes[INNER + 7] > 1
        && !has_options(bytes, INNER);
    of_binding.then(|| (addr::whole(binding.care_of()), addr::whole(binding.home_agent())))
}

/// Sends on what it can; answers how many frames went.
pub(super) fn run(plane: &mut Dataplane, frames: &mut Frames, entries: &Entries) -> u64 {
    if plane.config.mss_clamp != MssClamp::Off {
        return 0;
    }
    let destinations: ArrayVec<_, BATCH_SIZE> = entries.iter().map(|entry| addr::halves(entry.to)).collect();
    let mut values = [None; BATCH_SIZE];
    plane.routes.lookup_batch(&destinations, &mut values);
    let mut homes = [None; BATCH_SIZE];
    if !plane.home_bindings.is_empty() {
        plane.home_bindings.locate_batch(&destinations, &mut homes);
    }
    let mut sent = 0;
    for (((&entry, destination), value), home) in entries.iter().zip(&destinations).zip(&values).zip(&homes) {
        let Some(Target::Via(index)) = value.map(Target::from_value) else { continue };
        if home.is_some() || !look::is_ordinary(destination[0]) || plane.correspondents.serves(entry.to) {
            continue;
        }
        let frame = &mut frames[usize::from(entry.place)];
        let Some(length) = frame.as_ref().and_then(|frame| new_length(plane, frame, entry)) else { continue };
        let Some((port, rewrite)) = leaves_by(plane, index, length) else { continue };
        let Some(frame) = frame.take() else { continue };
        let packet = change(plane, frame, entry);
        sent += send::framed(plane, packet, port, rewrite);
    }
    sent
}

/// Octets of the packet as it will leave, where it can.
#[inline(always)]
fn new_length(plane: &Dataplane, frame: &Packet, entry: Entry) -> Option<usize> {
    let bytes = frame.bytes();
    let length = match entry.way {
        Way::Leave => return Some(look::end_of(bytes, INNER) - INNER),
        Way::Reverse => look::end_of(bytes, INNER) - OUTER,
        Way::Intercept if bytes[OUTER + 7] > 1 && !has_options(bytes, OUTER) => {
            look::end_of(bytes, OUTER) - OUTER + HEADER_LEN
        }
        Way::Intercept => return None,
    };
    let fits = frame.headroom() >= tunnel_header::MAX_LEN
        && length <= plane.path_mtus.towards(plane.now, entry.to, usize::MAX);
    fits.then_some(length)
}

#[inline(always)]
fn change(plane: &mut Dataplane, mut frame: Packet, entry: Entry) -> Packet {
    let dscp = plane.config.tunnel_dscp;
    send::bare(&mut frame);
    let (strip, counter) = match entry.way {
        Way::Intercept => {
            frame.bytes_mut()[7] -= 1;
            (0, Counter::HomeIntercepted)
        }
        Way::Leave => {
            tunnel_header::mark_inner(dscp, &mut frame, HEADER_LEN);
            frame.trim_front(HEADER_LEN);
            frame.bytes_mut()[7] -= 1;
            plane.counters.add(Counter::TunnelExit);
            return frame;
        }
        Way::Reverse => {
            tunnel_header::mark_inner(dscp, &mut frame, HEADER_LEN);
            frame.bytes_mut()[HEADER_LEN + 7] -= 1;
            (HEADER_LEN, Counter::TunnelToHomeAgent)
        }
    };
    let outer = Outer { source: entry.from, destination: entry.to, gre: None, limit: None, dscp };
    let replaced = tunnel_header::replace(&mut frame, strip, &outer);
    debug_assert!(replaced.is_ok(), "the headroom was looked at");
    plane.counters.add(counter);
    frame
}
