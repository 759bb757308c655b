//! How a terminal's packets leave, by their source address: not at all, as they are, with a Home Address option, or in a
//! tunnel.

use super::counters::Counter;
use super::home_address::{self, InsertError};
use super::tunnel_header::{self, Outer};
use super::vector::{Job, Lane, Origin, Vector};
use super::{Dataplane, header, output};
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
    let (home_address, destination) = (header::source(bytes), header::destination(bytes));
    match plane.uplinks.get(home_address, destination) {
        None | Some(Uplink::Down) => Next::Drop(Counter::DropUplinkDown),
        Some(Uplink::Native { port, router }) => Next::Output(port, router),
        Some(Uplink::Direct { port, router, source }) => direct(plane, job, port, router, source),
        Some(
            Uplink::Tunnel { port, router, source, peer } | Uplink::OptimisedTunnel { port, router, source, peer, .. },
        ) => {
            let limit = tunnel_header::encapsulation_limit(bytes);
            if let Some((at, 0)) = limit {
                return Next::IcmpError(Cause::HeaderField(at as u32));
            }
            let outer = Outer {
                source,
                destination: peer,
                gre: None,
                limit: limit.map(|(_, limit)| limit - 1),
                dscp: plane.config.tunnel_dscp,
            };
            match tunnel_header::replace(&mut job.packet, 0, &outer) {
                Ok(length) => job.meta.outer = length,
                Err(tunnel_header::NoHeadroom) => return Next::Drop(Counter::DropTunnelHeadroom),
            }
            job.meta.origin = Origin::Own;
            Next::Output(port, router)
        }
    }
}

fn direct(plane: &Dataplane, job: &mut Job, port: PortId, router: Ipv6Addr, source: Ipv6Addr) -> Next {
    let mtu = plane.links.get(usize::from(port.0)).map_or(0, |link| link.mtu);
    if job.packet.len() + home_address::OPTION_LEN > mtu {
        let room = mtu.saturating_sub(home_address::OPTION_LEN);
        return if room >= crate::wire::ipv6::MINIMUM_MTU && job.packet.len() > room {
            Next::IcmpError(Cause::PacketTooBig(room as u32))
        } else {
            Next::Drop(Counter::DropUplinkTooBig)
        };
    }
    match home_address::insert_option(&mut job.packet, source) {
        Ok(()) => {
            job.meta.origin = Origin::Own;
            Next::Output(port, router)
        }
        Err(InsertError::Headers) => Next::Drop(Counter::DropUplinkHeaders),
        Err(InsertError::Headroom) => Next::Drop(Counter::DropTunnelHeadroom),
    }
}
