//! How a terminal's packets leave, by their source address: not at all, as they are, with a Home Address option, or in a
//! tunnel.

use super::counters::Counter;
use super::home_address::{self, InsertError};
use super::tunnel_header::{self, Outer};
use super::vector::{Job, Lane, Origin, Vector};
use super::{Dataplane, header, output, tunnel};
use crate::icmpv6::Cause;
use crate::machine::PortId;
use crate::tables::Uplink;
use core::net::Ipv6Addr;

enum Next {
    /// To this router.
    Output(PortId, Ipv6Addr),
    Drop(Counter),
    IcmpError(Cause),
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    for place in vector.lane(Lane::Uplink) {
        match one(plane, vector.job(place)) {
            Next::Output(port, router) => {
                plane.counters.add(Counter::UplinkSent);
                output::to_router(plane, vector.take(place), port, router);
            }
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
            Next::IcmpError(cause) => plane.icmp_error(vector.take(place), cause),
        }
    }
}

fn one(plane: &mut Dataplane, job: &mut Job) -> Next {
    let bytes = job.packet.bytes();
    let home_address = header::source(bytes);
    // What is between terminal and correspondent to find the way has the home address in its own header, whatever way is
    // there already (RFC 6275 §6.1.3, §11.6.1).
    let signalling = tunnel::upper_is_mobility(bytes);
    let uplink = match plane.uplinks.get(home_address, correspondent(bytes)) {
        Some(Uplink::Direct { .. } | Uplink::OptimisedTunnel { .. }) if signalling => plane.uplinks.usual(home_address),
        uplink => uplink,
    };
    match uplink {
        None | Some(Uplink::Down) => Next::Drop(Counter::DropUplinkDown),
        Some(Uplink::Native { port, router }) => Next::Output(port, router),
        Some(Uplink::Direct { .. }) if signalling => Next::Drop(Counter::DropUplinkHeaders),
        Some(Uplink::Direct { port, router, source }) => direct(job, port, router, source),
        Some(Uplink::Tunnel { port, router, source, peer }) => match enter(plane, job, &[(source, peer)]) {
            Ok(()) => Next::Output(port, router),
            Err(next) => next,
        },
        Some(Uplink::NestedTunnel { port, router, source, peer, care_of, home_agent }) => {
            match enter(plane, job, &[(care_of, home_agent), (source, peer)]) {
                Ok(()) => Next::Output(port, router),
                Err(next) => next,
            }
        }
        Some(Uplink::OptimisedTunnel { port, router, source, peer, care_of }) => {
            if !signalling && let Err(error) = home_address::insert_option(&mut job.packet, care_of) {
                return refusal(error);
            }
            job.meta.inserted.option = !signalling;
            match enter(plane, job, &[(source, peer)]) {
                Ok(()) => Next::Output(port, router),
                Err(next) => next,
            }
        }
    }
}

/// Whom the packet is for: behind a terminal's care-of address that terminal.
#[inline]
fn correspondent(packet: &[u8]) -> Ipv6Addr {
    match home_address::routing_within(packet) {
        Some(at) => header::address(packet, at + 8),
        None => header::destination(packet),
    }
}

/// Puts the packet into tunnels with these ends, the innermost first.
fn enter(plane: &Dataplane, job: &mut Job, ends: &[(Ipv6Addr, Ipv6Addr)]) -> Result<(), Next> {
    let limit = tunnel_header::encapsulation_limit(job.packet.bytes());
    if let Some((at, limit)) = limit
        && usize::from(limit) < ends.len()
    {
        return Err(Next::IcmpError(Cause::HeaderField(at as u32)));
    }
    let mut limit = limit.map(|(_, limit)| limit);
    let mut length = 0;
    for &(source, destination) in ends {
        limit = limit.map(|limit| limit - 1);
        let outer = Outer { source, destination, gre: None, limit, dscp: plane.config.tunnel_dscp };
        match tunnel_header::replace(&mut job.packet, 0, &outer) {
            Ok(octets) => length += octets,
            Err(tunnel_header::NoHeadroom) => return Err(Next::Drop(Counter::DropTunnelHeadroom)),
        }
    }
    job.meta.outer = length;
    job.meta.origin = Origin::Own;
    Ok(())
}

fn refusal(error: InsertError) -> Next {
    match error {
        InsertError::Headers => Next::Drop(Counter::DropUplinkHeaders),
        InsertError::Headroom => Next::Drop(Counter::DropTunnelHeadroom),
    }
}

fn direct(job: &mut Job, port: PortId, router: Ipv6Addr, source: Ipv6Addr) -> Next {
    match home_address::insert_option(&mut job.packet, source) {
        Ok(()) => {
            (job.meta.origin, job.meta.inserted.option) = (Origin::Own, true);
            Next::Output(port, router)
        }
        Err(error) => refusal(error),
    }
}
