//! The end of the way: the frame in its port's queue.

use super::look::{self, OUTER};
use crate::addr::MacAddress;
use crate::machine::PortId;
use crate::packet::Packet;
use crate::pipeline::counters::Counter;
use crate::pipeline::{Dataplane, output};
use crate::port::Medium;

/// Whether a packet of so many octets fits on each of these ports, all of which have Ethernet headers. Port 0 is the
/// lowest bit.
#[inline(always)]
pub(super) fn fits(plane: &Dataplane, mut ports: u64, length: usize) -> bool {
    while ports != 0 {
        let link = plane.links.get(ports.trailing_zeros() as usize);
        if !link.is_some_and(|link| link.medium == Medium::Ethernet && length <= link.mtu) {
            return false;
        }
        ports &= ports - 1;
    }
    true
}

/// Puts a frame whose Ethernet header is written into the port's queue; answers how many were.
#[inline(always)]
pub(super) fn push(plane: &mut Dataplane, frame: Packet, port: PortId) -> u64 {
    let queue = &mut plane.outgoing[usize::from(port.0)];
    if queue.is_full() {
        plane.counters.add(Counter::DropOutputQueueFull);
        return 0;
    }
    queue.push(frame);
    1
}

/// Sends a group's packet out of each of the ports, of which there is one at least; its frame has room for the Ethernet
/// header. The last branch gets the packet itself. Answers how many went.
#[inline(always)]
pub(super) fn to_group(plane: &mut Dataplane, mut frame: Packet, group: [u64; 2], mut ports: u64) -> u64 {
    let mut sent = 0;
    // Ports on which the group may have an only listener.
    let looked_up = ports & plane.config.unicast_delivery.words()[0];
    loop {
        let port = ports.trailing_zeros() as u8;
        let listener =
            if looked_up >> port & 1 == 0 { None } else { output::only_listener(plane, PortId(port), group) };
        ports &= ports - 1;
        emit(&mut frame, listener, group, plane.links[usize::from(port)].link_address);
        if ports == 0 {
            return sent + push(plane, frame, PortId(port));
        }
        plane.counters.add(Counter::Copied);
        match frame.try_clone() {
            Ok(copy) => sent += push(plane, copy, PortId(port)),
            Err(_) => plane.counters.add(Counter::DropMulticastNoFrame),
        }
    }
}

/// Writes the Ethernet header of a group's packet: to its only listener (RFC 6085), or by mapping (RFC 2464 §7).
#[inline(always)]
fn emit(frame: &mut Packet, listener: Option<MacAddress>, [_, low]: [u64; 2], source: MacAddress) {
    let Some(octets) = frame.bytes_mut().first_chunk_mut::<OUTER>() else { return };
    let [a, b, c, d] = (low as u32).to_be_bytes();
    *octets = output::rewrite(listener.unwrap_or(MacAddress([0x33, 0x33, a, b, c, d])), source);
}

/// The ports of a tree less those of the site's border, where the group's scope ends there. `group` is the first half of
/// its address.
#[inline(always)]
pub(super) fn within_scope(plane: &Dataplane, ports: u64, group: u64) -> u64 {
    if group >> 48 & 0xf <= 5 { ports & !plane.config.site_border.words()[0] } else { ports }
}

/// Takes the Ethernet header off and cuts the packet to its length.
#[inline(always)]
pub(super) fn bare(frame: &mut Packet) {
    let end = look::end_of(frame.bytes(), OUTER);
    frame.truncate(end);
    frame.trim_front(OUTER);
}

/// Writes the Ethernet header in front of a packet and sends it.
#[inline(always)]
pub(super) fn framed(plane: &mut Dataplane, mut packet: Packet, port: PortId, rewrite: [u8; OUTER]) -> u64 {
    *packet.prepend() = rewrite;
    push(plane, packet, port)
}
