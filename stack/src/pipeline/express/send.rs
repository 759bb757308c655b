//! The end of the way: the frame in its port's queue.

use super::look::OUTER;
use crate::addr::MacAddress;
use crate::machine::PortId;
use crate::packet::Packet;
use crate::pipeline::Dataplane;
use crate::pipeline::counters::Counter;
use crate::port::Medium;
use crate::tables::PortSet;
use crate::wire::ethernet;
use core::net::Ipv6Addr;

/// Whether a packet of so many octets fits on each of these ports, all of which have Ethernet headers.
#[inline(always)]
pub(super) fn fits(plane: &Dataplane, mut ports: PortSet, length: usize) -> bool {
    let fits = |port: PortId| {
        let link = plane.links.get(usize::from(port.0));
        link.is_some_and(|link| link.medium == Medium::Ethernet && length <= link.mtu)
    };
    if let Some(port) = ports.only() {
        return fits(port);
    }
    while let Some(port) = ports.pop() {
        if !fits(port) {
            return false;
        }
    }
    true
}

/// The same for a tunnel of this node, whose way may be narrower.
#[inline(always)]
pub(super) fn fits_tunnel(plane: &Dataplane, ports: PortSet, to: Ipv6Addr, length: usize) -> bool {
    fits(plane, ports, length) && length <= plane.path_mtus.towards(plane.now, to, usize::MAX)
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

/// Sends a packet for a group, which starts behind room for an Ethernet header, out of each of the ports; answers how many
/// frames went. The last branch gets the packet itself.
#[inline(always)]
pub(super) fn to_group(plane: &mut Dataplane, mut frame: Packet, group: Ipv6Addr, mut ports: PortSet) -> u64 {
    if let Some(port) = ports.only() {
        emit(plane, &mut frame, group, port);
        return push(plane, frame, port);
    }
    let mut sent = 0;
    let mut next = ports.pop();
    while let Some(port) = next {
        emit(plane, &mut frame, group, port);
        next = ports.pop();
        if next.is_none() {
            return sent + push(plane, frame, port);
        }
        plane.counters.add(Counter::Copied);
        match frame.try_clone() {
            Ok(copy) => sent += push(plane, copy, port),
            Err(_) => plane.counters.add(Counter::DropMulticastNoFrame),
        }
    }
    sent
}

/// Writes the Ethernet header of a group's packet.
#[inline(always)]
fn emit(plane: &Dataplane, frame: &mut Packet, group: Ipv6Addr, port: PortId) {
    let header = ethernet::Header {
        destination: MacAddress::of_multicast(group),
        source: plane.links[usize::from(port.0)].link_address,
        ethertype: ethernet::ETHERTYPE_IPV6,
    };
    if let Some(octets) = frame.bytes_mut().first_chunk_mut::<OUTER>() {
        header.emit(octets);
    }
}

/// The ports of a tree less those of the site's border, where the group's scope ends there.
#[inline(always)]
pub(super) fn within_scope(plane: &Dataplane, ports: PortSet, group: Ipv6Addr) -> PortSet {
    if group.octets()[1] & 0xf <= 5 { ports.without(plane.config.site_border) } else { ports }
}

/// Takes the Ethernet header off and cuts the packet to its length.
#[inline(always)]
pub(super) fn bare(frame: &mut Packet, length: usize) {
    frame.trim_front(OUTER);
    frame.truncate(length);
}

/// Writes the Ethernet header in front of a packet and sends it.
#[inline(always)]
pub(super) fn framed(plane: &mut Dataplane, mut packet: Packet, port: PortId, rewrite: [u8; OUTER]) -> u64 {
    *packet.prepend() = rewrite;
    push(plane, packet, port)
}
