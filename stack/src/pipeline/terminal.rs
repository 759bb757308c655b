//! The terminal's end of the tunnel to its group: who sent it, whether it came before, for whom it is.
//!
//! A packet that a correspondent sent to a care-of address, the present one or a former one from which it was forwarded, is
//! inside with its type 2 routing header. It ends here, where both addresses are (RFC 6275 §6.4), and is taken out: a
//! kernel behind a TUN device knows neither the care-of address nor what to do with a header that is through.

use super::counters::Counter;
use super::reorder::{self, Turn};
use super::tunnel_header::{self, ExitError};
use super::vector::{Found, Job, Lane, Origin, Vector};
use super::{Dataplane, header, home_address, sighting, tunnel};
use crate::machine::{CorrespondentWay, Notice, TunnelMeta};
use crate::tables::{GroupReception, MrouteKey, Sequence};
use crate::wire::ext::Chain;
use crate::wire::gre;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;

/// Where a packet goes from here, and when.
struct Next {
    lane: Lane,
    turn: Turn,
    key: MrouteKey,
    sequence: u32,
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    for place in vector.lane(Lane::Terminal) {
        match one(plane, vector.job(place)) {
            Ok(Next { turn: Turn::Later, lane, key, sequence }) => {
                reorder::hold(plane, key, sequence, vector.take(place), lane);
            }
            Ok(Next { turn, lane, key, .. }) => {
                reorder::forward(plane, vector, place, lane);
                if turn == Turn::NowAndOthers {
                    reorder::release_next(plane, key);
                }
            }
            Err(reason) => plane.discard(vector.take(place), reason),
        }
    }
}

#[inline(always)]
fn one(plane: &mut Dataplane, job: &mut Job) -> Result<Next, Counter> {
    let bytes = job.packet.bytes();
    let outer = TunnelMeta { source: header::source(bytes), destination: header::destination(bytes) };
    let group = plane.groups.get_mut(outer.destination, outer.source).ok_or(Counter::DropTerminalSource)?;
    let reception = group.reception;
    let key = MrouteKey { source: outer.source, group: outer.destination };
    let (upper, upper_at) = match bytes[6] {
        kind @ (protocol::IPV6 | protocol::GRE) => (kind, HEADER_LEN),
        _ => match Chain::parse(bytes) {
            Ok(chain) if chain.fragment.is_some_and(|fragment| !fragment.is_atomic()) => {
                return Ok(Next { lane: Lane::Local, turn: Turn::Now, key, sequence: 0 });
            }
            Ok(chain) => (chain.upper, chain.upper_offset),
            Err(_) => return Err(Counter::DropTerminalProtocol),
        },
    };
    let (at, sequence) = match (upper, reception.gre_key) {
        (protocol::IPV6, None) => (upper_at, None),
        (protocol::GRE, Some(key)) => {
            let header = gre::Header::parse(&bytes[upper_at..]).map_err(|_| Counter::DropTerminalGre)?;
            if header.key != Some(key) || header.sequence.is_none() || header.protocol != gre::PROTOCOL_IPV6 {
                return Err(Counter::DropTerminalGre);
            }
            (upper_at + header.length, header.sequence)
        }
        (protocol::IPV6 | protocol::GRE, _) => return Err(Counter::DropTerminalGre),
        _ => return Err(Counter::DropTerminalProtocol),
    };
    if let Some(port) = job.meta.port
        && group.seen.insert(port)
    {
        plane.notify(Notice::GroupData { port, group: outer.destination });
    }
    match tunnel_header::open(plane, job, at) {
        Ok(()) => {}
        Err(ExitError::Inner) => return Err(Counter::DropTunnelInner),
        Err(ExitError::Ecn) => return Err(Counter::DropTunnelEcn),
    }
    let group = plane.groups.get_mut(outer.destination, outer.source).ok_or(Counter::DropTerminalSource)?;
    let mut turn = Turn::Now;
    if let Some(sequence) = sequence {
        group.order.came_by(job.meta.port, plane.now);
        turn = match group.window.take(sequence) {
            Sequence::New => group.order.turn(sequence, plane.now, plane.config.reorder_delay),
            Sequence::Restart => Turn::Anew,
            Sequence::Duplicate => return Err(Counter::DropTerminalDuplicate),
            Sequence::Far => return Err(Counter::DropTerminalFar),
        };
    }
    group.packets += 1;
    let sequence = sequence.unwrap_or_default();
    if matches!(turn, Turn::Full | Turn::Anew) {
        turn = reorder::make_way(plane, key, sequence, turn);
    }
    job.packet.trim_front(at);
    match inside(plane, job, outer, &reception) {
        Ok(lane) => Ok(Next { lane, turn, key, sequence }),
        Err(reason) => {
            if turn == Turn::NowAndOthers {
                reorder::release_next(plane, key);
            }
            Err(reason)
        }
    }
}

/// For whom the packet inside is.
#[inline(always)]
fn inside(
    plane: &mut Dataplane,
    job: &mut Job,
    outer: TunnelMeta,
    reception: &GroupReception,
) -> Result<Lane, Counter> {
    job.meta.tunnel = Some(outer);
    (job.meta.origin, job.meta.found, job.meta.link_multicast) = (Origin::Own, Found::Nothing, false);
    // This node ends the packet's way: its own applications get it, whatever its hop limit.
    let inner = job.packet.bytes();
    let mobility = tunnel::upper_is_mobility(inner);
    let destination = header::destination(inner);
    let way = if destination == reception.home_address {
        CorrespondentWay::HomeAgent
    } else if destination == reception.care_of {
        CorrespondentWay::Optimised
    } else if plane.care_of_addresses.home_address(destination) == Some(reception.home_address) {
        CorrespondentWay::Forwarded
    } else {
        return Err(Counter::DropTerminalHomeAddress);
    };
    let (correspondent, is_data) = (header::source(inner), sighting::is_data(inner));
    if way != CorrespondentWay::HomeAgent && !mobility {
        let routing = routing_for(inner, reception.home_address).ok_or(Counter::DropTerminalHomeAddress)?;
        home_address::take_routing(&mut job.packet, routing);
    }
    if is_data {
        sighting::tell(plane, reception.home_address, correspondent, way);
    }
    plane.counters.add(Counter::TerminalReceived);
    Ok(if mobility { Lane::Local } else { Lane::Lookup })
}

/// Where the type 2 routing header stands that ends at this home address (RFC 6275 §6.4): it has one segment left.
#[inline]
pub(super) fn routing_for(packet: &[u8], home_address: Ipv6Addr) -> Option<usize> {
    let at = match packet[6] {
        protocol::ROUTING => HEADER_LEN,
        _ => home_address::routing_within(packet)?,
    };
    let header = packet.get(at..at + home_address::ROUTING_LEN)?;
    (header[1..4] == [2, 2, 1] && header::address(header, 8) == home_address).then_some(at)
}

/// For whom of this node's terminals the packet is, where it says so: its destination, or behind a care-of address the
/// home address in its routing header.
#[inline]
pub(super) fn destination_of(plane: &Dataplane, packet: &[u8]) -> Ipv6Addr {
    let destination = header::destination(packet);
    match plane.care_of_addresses.home_address(destination) {
        Some(home_address) if routing_for(packet, home_address).is_some() => home_address,
        _ => destination,
    }
}
