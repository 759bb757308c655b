//! The end of the way out: MTU, neighbour, link-layer header, the port's queue.
//!
//! A packet that is larger than its link is answered with Packet Too Big (RFC 4443 §3.2). Where this node is a tunnel's
//! entrance the packet inside is what the answer is about, and one that a tunnel must carry is cut into fragments behind
//! the outer header (RFC 2473 §7.1).

use super::config::MssClamp;
use super::counters::Counter;
use super::vector::{Inserted, Job, Origin};
use super::{Dataplane, fragmentation, header, home_address, mss};
use crate::addr::{self, MacAddress};
use crate::icmpv6::Cause;
use crate::machine::{Notice, PortId};
use crate::packet::{Batch, Packet};
use crate::port::Medium;
use crate::tables::{AdjacencyIndex, Resolution};
use crate::wire::ethernet::{self, ETHERTYPE_IPV6};
use crate::wire::ipv6::MINIMUM_MTU;
use core::net::Ipv6Addr;

/// Frames that wait for a port to take them: a ring.
#[derive(Debug)]
pub struct OutputQueue {
    /// A power of two of places, as many as the limit at least.
    ring: Box<[Option<Packet>]>,
    /// Frames that were ever taken, and appended.
    first: usize,
    end: usize,
    limit: usize,
}

impl OutputQueue {
    pub(super) fn new(limit: usize) -> Self {
        let places = limit.max(1).next_power_of_two();
        OutputQueue { ring: (0..places).map(|_| None).collect(), first: 0, end: 0, limit }
    }

    /// How many wait.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.end.wrapping_sub(self.first)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is room for as many again at the most.
    pub fn is_half_full(&self) -> bool {
        self.len() >= self.limit.div_ceil(2)
    }

    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    #[inline(always)]
    fn place(&mut self, number: usize) -> &mut Option<Packet> {
        let mask = self.ring.len() - 1;
        &mut self.ring[number & mask]
    }

    /// Appends a frame; the queue is not full.
    #[inline(always)]
    pub(super) fn push(&mut self, frame: Packet) {
        debug_assert!(!self.is_full());
        *self.place(self.end) = Some(frame);
        self.end = self.end.wrapping_add(1);
    }

    /// The oldest frame.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<Packet> {
        let frame = self.place(self.first).take();
        self.first = self.first.wrapping_add(usize::from(frame.is_some()));
        frame
    }

    /// Fills `batch` with the oldest frames, as far as it has room; answers how many.
    pub fn fill(&mut self, batch: &mut Batch) -> usize {
        let before = batch.len();
        while !batch.is_full()
            && let Some(frame) = self.pop()
        {
            batch.push(frame);
        }
        batch.len() - before
    }
}

/// Where a packet leaves, as one word for all ways.
#[derive(Clone, Copy)]
pub(super) enum Egress {
    /// By a neighbour.
    Adjacency(AdjacencyIndex),
    /// To its destination on a link: multicast to the group's only listener or by mapping, unicast by the neighbour table.
    Link(PortId),
    /// The same, with multicast by mapping alone.
    WholeLink(PortId),
    /// To a link-layer address.
    LinkAddress(PortId, MacAddress),
}

#[inline(always)]
pub(super) fn to_adjacency(plane: &mut Dataplane, job: Job, index: AdjacencyIndex) {
    let (port, _) = plane.neighbors.resolution(index);
    if let Some(job) = fit(plane, job, port, Egress::Adjacency(index)) {
        by_adjacency(plane, job, index);
    }
}

pub(super) fn on_link(plane: &mut Dataplane, job: Job, port: PortId) {
    if let Some(job) = fit(plane, job, port, Egress::Link(port)) {
        by_link(plane, job, port);
    }
}

/// Sends what the node itself says on a link: its queries are for listeners that it does not know of, too.
pub(super) fn from_node(plane: &mut Dataplane, job: Job, port: PortId) {
    if let Some(job) = fit(plane, job, port, Egress::WholeLink(port)) {
        by_whole_link(plane, job, port);
    }
}

pub(super) fn to_link_address(plane: &mut Dataplane, job: Job, port: PortId, address: MacAddress) {
    if let Some(job) = fit(plane, job, port, Egress::LinkAddress(port, address)) {
        by_link_address(plane, job, port, address);
    }
}

/// To a router on a link.
pub(super) fn to_router(plane: &mut Dataplane, job: Job, port: PortId, router: Ipv6Addr) {
    match plane.links.get(usize::from(port.0)).map(|link| link.medium) {
        None => plane.discard(job, Counter::DropOutputNoPort),
        Some(Medium::Ip) => on_link(plane, job, port),
        Some(Medium::Ethernet) => match plane.neighbors.find_or_make(port, router) {
            Some(index) => to_adjacency(plane, job, index),
            None => plane.discard(job, Counter::DropNeighborTableFull),
        },
    }
}

#[inline(always)]
fn by_adjacency(plane: &mut Dataplane, job: Job, index: AdjacencyIndex) {
    let (port, resolution) = plane.neighbors.resolution(index);
    match *resolution {
        Resolution::Complete { rewrite, notify_use: false } => enqueue(plane, job.packet, port, &rewrite),
        Resolution::Complete { rewrite, notify_use: true } => {
            plane.neighbors.clear_notify_use(index);
            let (port, address) = plane.neighbors.name(index);
            plane.notify(Notice::NeighborUsed { port, address });
            let [a, b, c, d, e, f, ..] = rewrite;
            plane.tell_of_use(port, address, MacAddress([a, b, c, d, e, f]));
            enqueue(plane, job.packet, port, &rewrite);
        }
        Resolution::Idle | Resolution::Asked => {
            plane.counters.add(Counter::PuntNeighbor);
            let wait = plane.neighbors.wait(index, job);
            if let Some(job) = wait.displaced {
                plane.counters.add(Counter::WaitedInVain);
                plane.discard(job, Counter::DropNeighborQueueFull);
            }
            if wait.ask {
                let (port, address) = plane.neighbors.name(index);
                plane.notify(Notice::NeighborMissing { port, address });
            }
        }
    }
}

#[inline(always)]
fn by_link(plane: &mut Dataplane, job: Job, port: PortId) {
    if plane.config.unicast_delivery.contains(port) {
        let destination = header::destination(job.packet.bytes());
        if destination.is_multicast()
            && let Some(listener) = only_listener(plane, port, addr::halves(destination))
        {
            return by_link_address(plane, job, port, listener);
        }
    }
    by_whole_link(plane, job, port);
}

/// The link-layer address of a group's only listener on one of the ports where groups may be sent so; counts the packet.
#[inline]
pub(super) fn only_listener(plane: &mut Dataplane, port: PortId, group: [u64; 2]) -> Option<MacAddress> {
    let listener = plane.deliveries.get(port, group)?;
    plane.counters.add(Counter::UnicastDeliveries);
    Some(listener)
}

#[inline(always)]
fn by_whole_link(plane: &mut Dataplane, job: Job, port: PortId) {
    let link = &plane.links[usize::from(port.0)];
    if link.medium == Medium::Ip {
        return push(plane, job.packet, port);
    }
    let destination = header::destination(job.packet.bytes());
    if destination.is_multicast() {
        let rewrite = rewrite(MacAddress::of_multicast(destination), link.link_address);
        return enqueue(plane, job.packet, port, &rewrite);
    }
    match plane.neighbors.find_or_make(port, destination) {
        Some(index) => by_adjacency(plane, job, index),
        None => plane.discard(job, Counter::DropNeighborTableFull),
    }
}

fn by_link_address(plane: &mut Dataplane, job: Job, port: PortId, address: MacAddress) {
    let link = &plane.links[usize::from(port.0)];
    match link.medium {
        Medium::Ip => push(plane, job.packet, port),
        Medium::Ethernet => {
            let rewrite = rewrite(address, link.link_address);
            enqueue(plane, job.packet, port, &rewrite);
        }
    }
}

/// The Ethernet header of IPv6 packets.
#[inline(always)]
pub(super) fn rewrite(destination: MacAddress, source: MacAddress) -> [u8; ethernet::HEADER_LEN] {
    let mut header = [0; ethernet::HEADER_LEN];
    ethernet::Header { destination, source, ethertype: ETHERTYPE_IPV6 }.emit(&mut header);
    header
}

#[inline(always)]
fn enqueue(plane: &mut Dataplane, mut packet: Packet, port: PortId, rewrite: &[u8; ethernet::HEADER_LEN]) {
    if packet.headroom() < ethernet::HEADER_LEN {
        plane.counters.add(Counter::DropTunnelHeadroom);
        return;
    }
    *packet.prepend() = *rewrite;
    push(plane, packet, port);
}

#[inline(always)]
fn push(plane: &mut Dataplane, packet: Packet, port: PortId) {
    let queue = &mut plane.outgoing[usize::from(port.0)];
    if queue.is_full() {
        plane.counters.add(Counter::DropOutputQueueFull);
        return;
    }
    queue.push(packet);
    plane.counters.add(Counter::Output);
}

/// The packet, where it fits; else it has been answered or cut.
#[inline(always)]
fn fit(plane: &mut Dataplane, mut job: Job, port: PortId, egress: Egress) -> Option<Job> {
    let Some(link) = plane.links.get(usize::from(port.0)) else {
        plane.discard(job, Counter::DropOutputNoPort);
        return None;
    };
    let mut mtu = link.mtu;
    let has_added = added(&job) > 0;
    // A way is as wide as was learnt of it for what this node sends itself, too.
    if has_added || job.meta.origin == Origin::Own {
        mtu = plane.path_mtus.towards(plane.now, header::destination(job.packet.bytes()), mtu);
        if has_added && plane.config.mss_clamp == MssClamp::PathMtu {
            mss::clamp(plane, job.packet.bytes_mut(), usize::from(job.meta.outer), mtu);
        }
    }
    if job.packet.len() <= mtu {
        return Some(job);
    }
    too_big(plane, job, mtu, egress);
    None
}

/// Octets that this node put in front of the packet or into it, other than what it sends itself.
#[inline(always)]
pub(super) fn added(job: &Job) -> usize {
    usize::from(job.meta.outer) + job.meta.inserted.octets()
}

/// Takes them off: the packet is as its sender sent it.
pub(super) fn restore(job: &mut Job) {
    job.packet.trim_front(usize::from(job.meta.outer));
    job.meta.outer = 0;
    take_inserted(job);
}

/// Takes out what this node put into the packet.
pub(super) fn take_inserted(job: &mut Job) {
    let inserted = core::mem::replace(&mut job.meta.inserted, Inserted::NOTHING);
    if inserted == Inserted::NOTHING {
        return;
    }
    // Where they stand is known, whatever options of the sender's follow that this node knows nothing of.
    if inserted.option
        && let Some(option) = home_address::inserted_option(job.packet.bytes())
    {
        home_address::take_option(&mut job.packet, &option);
    }
    if inserted.routing
        && let Some(at) = home_address::routing_within(job.packet.bytes())
    {
        home_address::take_routing(&mut job.packet, at);
    }
}

#[cold]
fn too_big(plane: &mut Dataplane, mut job: Job, mtu: usize, egress: Egress) {
    let added = added(&job);
    if added > 0 && job.packet.len() - added > MINIMUM_MTU {
        restore(&mut job);
        return plane.icmp_error(job, Cause::PacketTooBig(mtu.saturating_sub(added).max(MINIMUM_MTU) as u32));
    }
    if added == 0 && job.meta.origin == Origin::Received {
        return plane.icmp_error(job, Cause::PacketTooBig(mtu as u32));
    }
    let fragments = match fragmentation::cut(plane, job, mtu) {
        Ok(fragments) => fragments,
        Err((job, reason)) => return plane.discard(job, reason),
    };
    for job in fragments {
        match egress {
            Egress::Adjacency(index) => by_adjacency(plane, job, index),
            Egress::Link(port) => by_link(plane, job, port),
            Egress::WholeLink(port) => by_whole_link(plane, job, port),
            Egress::LinkAddress(port, address) => by_link_address(plane, job, port, address),
        }
    }
}
