//! The mobility agent: packets to a care-of address become packets to the terminal's group (patent fig. 4 to 10).
//!
//! What the home agent tunnels has its outer header overwritten: it leaves one tunnel and enters the next in one step.
//! What a correspondent sends with a type 2 routing header is encapsulated as it is. Another agent, from whose site the
//! terminal came, tunnels both kinds (fig. 6 line 7): the routing header is then inside, behind a destination that is
//! the terminal's former care-of address. A binding that forwards sends on what the home agent and correspondents send,
//! and what another agent has forwarded only where chains are allowed. Each is one hop of the packet
//! inside.
//!
//! Signalling to the care-of address is the agent's, and what it finds to be the terminal's it sends on itself. An anchor
//! point without group looks at nothing but the care-of address (RFC 5380 §6.2): see [`unmatched`].

use super::binding_tunnel::{self, Refused};
use super::counters::Counter;
use super::tunnel_header::{self, ExitError};
use super::vector::{Lane, Origin, Places, Vector};
use super::{Dataplane, header, sighting};
use crate::addr;
use crate::icmpv6::{Cause, upper_layer};
use crate::machine::{CorrespondentWay, TunnelMeta};
use crate::packet::BATCH_SIZE;
use crate::tables::{BindingState, MmaBinding, MmaBindings, Slot};
use crate::wire::ext::Chain;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use crate::wire::mobility::kind;
use core::net::Ipv6Addr;

enum Next {
    /// Through the binding's tunnel.
    On(Lane),
    Local,
    Drop(Counter),
    IcmpError(Cause),
}

impl From<Refused> for Next {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Drop(reason) => Next::Drop(reason),
            Refused::IcmpError(cause) => Next::IcmpError(cause),
        }
    }
}

/// How the packet says for whom it is.
#[derive(Clone, Copy)]
enum Carried {
    /// It is in a tunnel, and starts at this octet.
    Inside { at: usize },
    /// So it is, and has a type 2 routing header behind another destination.
    RoutedInside { at: usize },
    /// It has a type 2 routing header.
    Routed,
    /// It is for the agent: ICMPv6 about its tunnels, mobility signalling, a fragment.
    Agent,
    /// It does not.
    Unknown,
}

/// Who sent it to the care-of address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entrance {
    HomeAgent,
    /// Another mobility agent.
    Peer,
    Correspondent,
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    let places = vector.lane(Lane::Binding);
    if places.is_empty() {
        return;
    }
    let mut carried = [(Carried::Unknown, Ipv6Addr::UNSPECIFIED); BATCH_SIZE];
    let mut keys = [[0; 2]; BATCH_SIZE];
    let mut slots = [None; BATCH_SIZE];
    for ((carried, key), &place) in carried.iter_mut().zip(&mut keys).zip(&places) {
        *carried = classify(vector.job(place).packet.bytes());
        *key = MmaBindings::key(carried.1);
    }
    plane.mma_bindings.find_batch(&keys[..places.len()], &mut slots);
    prefetch_routes(plane, &places, &slots);
    for ((&place, (carried, home_address)), slot) in places.iter().zip(carried).zip(slots) {
        match one(plane, vector, place, carried, home_address, slot) {
            Next::On(lane) => vector.next(place, lane),
            Next::Local => vector.next(place, Lane::Local),
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
            Next::IcmpError(cause) => plane.icmp_error(vector.take(place), cause),
        }
    }
}

fn prefetch_routes(plane: &Dataplane, places: &Places, slots: &[Option<Slot>; BATCH_SIZE]) {
    for &slot in slots[..places.len()].iter().flatten() {
        plane.mfib.prefetch_hint(plane.mma_bindings.route_hint(slot));
    }
}

/// How the packet says for whom it is, and what to look for: the home address, or the care-of address itself where it
/// says nothing, which only an anchor point has a binding of.
#[inline(always)]
fn classify(packet: &[u8]) -> (Carried, Ipv6Addr) {
    match packet[6] {
        protocol::IPV6 if packet.len() >= 2 * HEADER_LEN => inside(packet, HEADER_LEN),
        protocol::ROUTING if packet.len() >= HEADER_LEN + 24 && packet[41..44] == [2, 2, 1] => match packet[40] {
            protocol::MOBILITY => (Carried::Agent, header::destination(packet)),
            protocol::DESTINATION_OPTIONS => classify_chain(packet),
            _ => (Carried::Routed, header::address(packet, HEADER_LEN + 8)),
        },
        _ => classify_chain(packet),
    }
}

/// A packet in a tunnel, which starts at `at`.
#[inline(always)]
fn inside(packet: &[u8], at: usize) -> (Carried, Ipv6Addr) {
    let inner = &packet[at..];
    match inner[6] {
        protocol::ROUTING if inner.len() >= HEADER_LEN + 24 && inner[41..44] == [2, 2, 1] => {
            (Carried::RoutedInside { at }, header::address(inner, HEADER_LEN + 8))
        }
        protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS => inside_chain(inner, at),
        _ => (Carried::Inside { at }, header::destination(inner)),
    }
}

/// Options may stand in front of the routing header (RFC 8200 §4.1).
#[cold]
fn inside_chain(inner: &[u8], at: usize) -> (Carried, Ipv6Addr) {
    match Chain::parse(inner).ok().and_then(|chain| chain.type2_routing) {
        Some(routing) if routing.segments_left == 1 => (Carried::RoutedInside { at }, routing.home_address),
        _ => (Carried::Inside { at }, header::destination(inner)),
    }
}

/// A packet with other headers in front.
#[cold]
fn classify_chain(packet: &[u8]) -> (Carried, Ipv6Addr) {
    let care_of = header::destination(packet);
    let Ok(chain) = Chain::parse(packet) else { return (Carried::Unknown, care_of) };
    if chain.fragment.is_some_and(|fragment| !fragment.is_atomic()) || chain.upper == protocol::MOBILITY {
        return (Carried::Agent, care_of);
    }
    if let Some(routing) = chain.type2_routing {
        return match routing.segments_left {
            1 => (Carried::Routed, routing.home_address),
            _ => (Carried::Unknown, care_of),
        };
    }
    match chain.upper {
        protocol::IPV6 if packet.len() >= chain.upper_offset + HEADER_LEN => inside(packet, chain.upper_offset),
        protocol::ICMPV6 => (Carried::Agent, care_of),
        _ => (Carried::Unknown, care_of),
    }
}

#[inline(always)]
fn one(
    plane: &mut Dataplane,
    vector: &mut Vector,
    place: u8,
    carried: Carried,
    home_address: Ipv6Addr,
    slot: Option<Slot>,
) -> Next {
    let bytes = vector.job(place).packet.bytes();
    let Some(slot) = slot else { return unmatched(plane, vector, place, carried) };
    let binding = plane.mma_bindings.binding(slot);
    if header::destination(bytes) != binding.care_of || binding.state == BindingState::Anchor {
        return unmatched(plane, vector, place, carried);
    }
    let (strip, entrance) = match carried {
        Carried::Inside { at } => match entrance(plane, bytes, &binding) {
            Some(entrance) => (at, entrance),
            None => return Next::Drop(Counter::DropBindingTunnelSource),
        },
        Carried::RoutedInside { at } => match entrance(plane, bytes, &binding) {
            Some(Entrance::Peer) => (at, Entrance::Peer),
            // Only agents have to do with a routing header inside.
            _ => return by_inner_destination(plane, vector, place, at),
        },
        Carried::Routed => (0, Entrance::Correspondent),
        Carried::Agent => return Next::Local,
        Carried::Unknown => return Next::Drop(Counter::DropBindingNoHomeAddress),
    };
    let job = vector.job(place);
    if strip > 0 {
        let bytes = job.packet.bytes();
        if matches!(carried, Carried::RoutedInside { .. })
            && !from_peer(plane, header::destination_of_inner(bytes, strip))
        {
            return Next::Drop(Counter::DropBindingFormerCareOf);
        }
        match tunnel_header::open(plane, job, strip) {
            Ok(()) => {}
            Err(ExitError::Inner) => return Next::Drop(Counter::DropTunnelInner),
            Err(ExitError::Ecn) => return Next::Drop(Counter::DropTunnelEcn),
        }
    }
    // RFC 4291 §2.5.6: the home link, or the correspondent's, is another link than the terminal's.
    if addr::is_link_local(header::source(&vector.job(place).packet.bytes()[strip..])) {
        return Next::Drop(Counter::DropBindingInnerSource);
    }
    let job = vector.job(place);
    if let BindingState::Forward { from_home_agent, .. } = binding.state {
        if entrance == Entrance::Peer && !may_go_on(plane, &job.packet.bytes()[strip..]) {
            return Next::Drop(Counter::DropBindingForwardedTwice);
        }
        // What is not routed came through the home agent's tunnel, if only to another agent.
        if !from_home_agent && matches!(carried, Carried::Inside { .. }) {
            return Next::Drop(Counter::DropBindingForwardHomeAgent);
        }
    } else if binding.optimise {
        let bytes = job.packet.bytes();
        let inner = &bytes[strip..];
        if entrance == Entrance::HomeAgent && is_for_agent(inner) {
            let (source, destination) = (header::source(bytes), header::destination(bytes));
            job.meta.tunnel = Some(TunnelMeta { source, destination });
            job.packet.trim_front(strip);
            return Next::Local;
        }
        if let Some(way) = way(carried, entrance)
            && sighting::is_data(inner)
            && header::source(inner) != binding.home_agent
        {
            sighting::tell(plane, home_address, header::source(inner), way);
        }
    }
    if !header::hop(&mut job.packet.bytes_mut()[strip..]) {
        job.packet.trim_front(strip);
        return Next::IcmpError(Cause::HopLimit);
    }
    match binding_tunnel::enter(plane, job, slot, &binding, strip) {
        Ok(lane) => {
            plane.counters.add(match binding.state {
                BindingState::Active => Counter::BindingToGroup,
                BindingState::Forward { .. } | BindingState::Anchor => Counter::BindingForwarded,
            });
            Next::On(lane)
        }
        Err(refused) => refused.into(),
    }
}

/// Who put the tunnel's header in front; `None` for everybody whose packets are not taken.
#[inline(always)]
fn entrance(plane: &Dataplane, packet: &[u8], binding: &MmaBinding) -> Option<Entrance> {
    let source = header::source(packet);
    if source == binding.home_agent {
        return Some(Entrance::HomeAgent);
    }
    from_peer(plane, source).then_some(Entrance::Peer)
}

/// Whether the address is a care-of address of another agent that may forward to this one.
fn from_peer(plane: &Dataplane, address: Ipv6Addr) -> bool {
    plane.mma_service.as_ref().is_some_and(|service| header::in_any(&service.peers, address))
}

/// Whether what another agent has forwarded is forwarded once more: each time costs a hop, so that it ends.
fn may_go_on(plane: &Dataplane, inner: &[u8]) -> bool {
    plane.mma_service.as_ref().is_some_and(|service| service.chain) && inner[7] > 1
}

/// What the way of a correspondent's packet says about its binding. What another agent forwards to the home address itself
/// was the home agent's, and says nothing new.
#[inline(always)]
const fn way(carried: Carried, entrance: Entrance) -> Option<CorrespondentWay> {
    match (carried, entrance) {
        (Carried::Inside { .. }, Entrance::HomeAgent) => Some(CorrespondentWay::HomeAgent),
        (Carried::RoutedInside { .. }, Entrance::Peer) => Some(CorrespondentWay::Forwarded),
        (Carried::Routed, _) => Some(CorrespondentWay::Optimised),
        _ => None,
    }
}

/// Signalling of correspondents that comes by the home address and is the agent's where it speaks for the terminal.
#[inline(always)]
fn is_for_agent(inner: &[u8]) -> bool {
    match inner[6] {
        protocol::MOBILITY | protocol::DESTINATION_OPTIONS | protocol::HOP_BY_HOP => match upper_layer(inner) {
            Some((protocol::MOBILITY, at)) => inner.get(at + 2).is_some_and(|&found| {
                matches!(found, kind::BINDING_REFRESH_REQUEST | kind::HOME_TEST | kind::BINDING_ERROR)
            }),
            _ => false,
        },
        _ => false,
    }
}

/// No binding of the home address with this care-of address. An anchor point's binding is of the care-of address itself,
/// and takes everything.
#[cold]
fn unmatched(plane: &mut Dataplane, vector: &mut Vector, place: u8, carried: Carried) -> Next {
    if let Carried::RoutedInside { at } = carried {
        return by_inner_destination(plane, vector, place, at);
    }
    let job = vector.job(place);
    let care_of = header::destination(job.packet.bytes());
    if let Some(slot) = plane.mma_bindings.find(care_of) {
        let binding = plane.mma_bindings.binding(slot);
        if binding.state == BindingState::Anchor {
            return anchored(plane, vector, place, slot, &binding);
        }
    }
    match carried {
        Carried::Agent => Next::Local,
        Carried::Unknown if plane.mma_bindings.of_care_of(care_of).is_some() => {
            Next::Drop(Counter::DropBindingNoHomeAddress)
        }
        // The binding has expired, or was never there, or is that of another care-of address: the sender has to know (RFC
        // 4443 §3.1), or it goes on for as long as it believes its own (RFC 6275 §9.3.4).
        _ => Next::IcmpError(Cause::AddressUnreachable),
    }
}

/// The routing header inside is nobody's here: the packet is for its destination, as all others are.
#[cold]
fn by_inner_destination(plane: &mut Dataplane, vector: &mut Vector, place: u8, at: usize) -> Next {
    let home_address = header::destination_of_inner(vector.job(place).packet.bytes(), at);
    let slot = plane.mma_bindings.find(home_address);
    one(plane, vector, place, Carried::Inside { at }, home_address, slot)
}

/// Everything that is sent to the regional address goes to the on-link address as it is (RFC 5380 §6.2).
fn anchored(plane: &mut Dataplane, vector: &mut Vector, place: u8, slot: Slot, binding: &MmaBinding) -> Next {
    let job = vector.job(place);
    if job.meta.origin == Origin::Received && !header::hop(job.packet.bytes_mut()) {
        return Next::IcmpError(Cause::HopLimit);
    }
    match binding_tunnel::enter(plane, job, slot, binding, 0) {
        Ok(lane) => {
            plane.counters.add(Counter::BindingAnchored);
            Next::On(lane)
        }
        Err(refused) => refused.into(),
    }
}
