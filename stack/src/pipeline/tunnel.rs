//! IPv6 in IPv6 to an address of this node: the reverse tunnels of the mobility agent and the home agent, and the
//! unicast tunnels of a terminal.
//!
//! Nothing leaves a tunnel unchecked. At the home agent the outer source has to be the care-of address that the inner
//! source is bound to (RFC 6275 §10.4.5), or was until a moment ago; what the mobility agent asks is in [`super::reverse_tunnel`].

use super::counters::Counter;
use super::reverse_tunnel::{self, Exit};
use super::tunnel_header::{self, ExitError};
use super::vector::{Found, Job, Lane, Origin, Vector};
use super::{Dataplane, header, home_address, sighting, terminal};
use crate::icmpv6::Cause;
use crate::machine::{CorrespondentWay, PortId, TunnelMeta};
use crate::tables::HomeBinding;
use crate::wire::ext::Chain;
use crate::wire::ipv6::protocol;
use core::net::Ipv6Addr;

pub(super) enum Next {
    Lookup,
    Local,
    Drop(Counter),
    IcmpError(Cause),
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    for place in vector.lane(Lane::Tunnel) {
        match one(plane, vector.job(place)) {
            Next::Lookup => vector.next(place, Lane::Lookup),
            Next::Local => vector.next(place, Lane::Local),
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
            Next::IcmpError(cause) => plane.icmp_error(vector.take(place), cause),
        }
    }
}

fn one(plane: &mut Dataplane, job: &mut Job) -> Next {
    let at = match Chain::parse(job.packet.bytes()) {
        Ok(chain) => chain.upper_offset,
        Err(_) => return Next::Drop(Counter::DropTunnelInner),
    };
    match tunnel_header::open(plane, job, at) {
        Ok(()) => {}
        Err(ExitError::Inner) => return Next::Drop(Counter::DropTunnelInner),
        Err(ExitError::Ecn) => return Next::Drop(Counter::DropTunnelEcn),
    }
    let bytes = job.packet.bytes();
    let tunnel = TunnelMeta { source: header::source(bytes), destination: header::destination(bytes) };
    match exit(plane, &bytes[at..], tunnel, job.meta.port) {
        Ok(Exit::ToHomeAgent(binding)) => reverse_tunnel::to_home_agent(plane, job, at, &binding),
        Ok(Exit::ToCorrespondent(binding)) => reverse_tunnel::to_correspondent(plane, job, at, &binding),
        Ok(Exit::Out) => out(plane, job, at, tunnel),
        Ok(Exit::OutOfFormerBinding) => {
            plane.counters.add(Counter::TunnelFormerCareOf);
            out(plane, job, at, tunnel)
        }
        Err(reason) => Next::Drop(reason),
    }
}

/// The tunnel that ends here for this inner packet, or why none does.
fn exit(plane: &Dataplane, inner: &[u8], tunnel: TunnelMeta, arrival: Option<PortId>) -> Result<Exit, Counter> {
    let (source, destination) = (header::source(inner), header::destination(inner));
    let ends = |at: Ipv6Addr| plane.tunnels.accepts(tunnel.source, tunnel.destination, at);
    if ends(destination) || ends(terminal::destination_of(plane, inner)) {
        return Ok(Exit::Out);
    }
    let ends_for = |binding: &HomeBinding| binding.agent == tunnel.destination && binding.care_of == tunnel.source;
    let from_home = if plane.home_bindings.get(source).as_ref().is_some_and(ends_for) {
        Some(Exit::Out)
    } else if !plane.former_home_bindings.is_empty()
        && plane.former_home_bindings.get(source).as_ref().is_some_and(ends_for)
    {
        // DEVIATION RFC 6275 §10.4.5: for a moment from the care-of address that has just ceased to be the primary one.
        Some(Exit::OutOfFormerBinding)
    } else {
        None
    };
    if let Some(exit) = from_home {
        return if reverse_tunnel::leaves_the_link(destination) { Ok(exit) } else { Err(Counter::DropTunnelLinkScope) };
    }
    let agent = plane.mma_service.as_ref().filter(|service| service.address == tunnel.destination);
    let Some(service) = agent else {
        return Err(match plane.home_bindings.get(source) {
            Some(_) => Counter::DropTunnelCareOf,
            None => Counter::DropTunnelUnknown,
        });
    };
    // From outside the site nobody speaks with an address of its access links.
    if plane.is_from_outside(arrival) {
        return Err(Counter::DropTunnelSiteBorder);
    }
    reverse_tunnel::exit(plane, service, inner, tunnel)
}

fn out(plane: &mut Dataplane, job: &mut Job, at: usize, tunnel: TunnelMeta) -> Next {
    job.packet.trim_front(at);
    job.meta.tunnel = Some(tunnel);
    job.meta.outer = 0;
    (job.meta.found, job.meta.link_multicast) = (Found::Nothing, false);
    // What leaves a tunnel on its way through a combined node is a received packet again.
    job.meta.origin = Origin::Received;
    plane.counters.add(Counter::TunnelExit);
    let bytes = job.packet.bytes();
    let (destination, home_address) = (header::destination(bytes), terminal::destination_of(plane, bytes));
    let ends = |at: Ipv6Addr| plane.tunnels.accepts(tunnel.source, tunnel.destination, at);
    let (to_home, to_destination) = (ends(home_address), ends(destination));
    if (to_home || to_destination) && upper_is_mobility(bytes) {
        return Next::Local;
    }
    if !to_home {
        return Next::Lookup;
    }
    let routing = if home_address == destination { None } else { terminal::routing_for(bytes, home_address) };
    // What is in yet another tunnel is the other end's, not a correspondent's.
    if bytes[6] != protocol::IPV6 && sighting::is_data(bytes) {
        let former = plane.care_of_addresses.home_address(tunnel.source) == Some(home_address);
        let way = match routing {
            _ if former => CorrespondentWay::Forwarded,
            Some(_) => CorrespondentWay::Optimised,
            None => CorrespondentWay::HomeAgent,
        };
        sighting::tell(plane, home_address, header::source(bytes), way);
    }
    if let Some(routing) = routing {
        home_address::take_routing(&mut job.packet, routing);
    }
    Next::Lookup
}

/// Whether the packet is a tunnel's, or a fragment of one.
pub(super) fn is_tunnelled(packet: &[u8]) -> bool {
    match packet[6] {
        protocol::IPV6 => true,
        protocol::FRAGMENT | protocol::DESTINATION_OPTIONS => {
            Chain::parse(packet).is_ok_and(|chain| chain.upper == protocol::IPV6)
        }
        _ => false,
    }
}

/// Whether a terminal's own signalling is inside: it goes to the node and not to the applications at the home address.
pub(super) fn upper_is_mobility(packet: &[u8]) -> bool {
    match packet[6] {
        protocol::MOBILITY => true,
        protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
            Chain::parse(packet).is_ok_and(|chain| chain.upper == protocol::MOBILITY)
        }
        _ => false,
    }
}
