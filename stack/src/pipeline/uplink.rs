//! How a terminal's packets leave, by their source address: not at all, as they are, with a Home Address option, or in a
//! tunnel.

use super::counters::Counter;
use super::tunnel_header::{self, Outer};
use super::vector::{Job, Lane, Origin, Vector};
use super::{Dataplane, fragmentation, header, output};
use crate::icmpv6::Cause;
use crate::machine::PortId;
use crate::packet::Packet;
use crate::tables::Uplink;
use crate::wire::ext::option;
use crate::wire::ipv6::protocol;
use core::net::Ipv6Addr;

/// Octets of a Destination Options header with a Home Address option (RFC 6275 §6.3: it stands at 8n + 6).
const HOME_ADDRESS_LEN: usize = 24;

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
    if job.packet.len() + HOME_ADDRESS_LEN > mtu {
        let room = mtu.saturating_sub(HOME_ADDRESS_LEN);
        return if room >= crate::wire::ipv6::MINIMUM_MTU && job.packet.len() > room {
            Next::IcmpError(Cause::PacketTooBig(room as u32))
        } else {
            Next::Drop(Counter::DropUplinkTooBig)
        };
    }
    if job.packet.headroom() < HOME_ADDRESS_LEN {
        return Next::Drop(Counter::DropTunnelHeadroom);
    }
    match insert_home_address(&mut job.packet, source) {
        Some(()) => {
            job.meta.origin = Origin::Own;
            Next::Output(port, router)
        }
        None => Next::Drop(Counter::DropUplinkHeaders),
    }
}

/// Moves the source into a Home Address option behind any hop-by-hop options and routing header and before everything
/// else (RFC 6275 §6.3), and speaks from `source`. The upper layer's checksum still holds: its pseudo-header has the home
/// address (§11.3.1). `None` where the headers do not end within the packet.
fn insert_home_address(packet: &mut Packet, source: Ipv6Addr) -> Option<()> {
    let bytes = packet.bytes();
    let (named_at, at) = fragmentation::unfragmentable(bytes)?;
    let home_address = header::source(bytes);
    let next_header = bytes[named_at];
    packet.prepend::<HOME_ADDRESS_LEN>();
    let bytes = packet.bytes_mut();
    bytes.copy_within(HOME_ADDRESS_LEN..HOME_ADDRESS_LEN + at, 0);
    bytes[named_at] = protocol::DESTINATION_OPTIONS;
    let options = &mut bytes[at..at + HOME_ADDRESS_LEN];
    options[..8].copy_from_slice(&[next_header, 2, option::PADN, 2, 0, 0, option::HOME_ADDRESS, 16]);
    options[8..].copy_from_slice(&home_address.octets());
    bytes[8..24].copy_from_slice(&source.octets());
    header::set_length(bytes);
    Some(())
}
