//! The terminal's end of the tunnel to its group: who sent it, whether it came before, for whom it is.
//!
//! A packet that a correspondent sent to the care-of address is inside with its type 2 routing header, which is processed
//! here: the node owns the care-of address and the home address (RFC 6275 §6.4).

use super::counters::Counter;
use super::tunnel_header::{self, ExitError};
use super::vector::{Found, Job, Lane, Origin, Vector};
use super::{Dataplane, header, tunnel};
use crate::machine::{Notice, TunnelMeta};
use crate::tables::{GroupReception, Sequence};
use crate::wire::ext::Chain;
use crate::wire::gre;
use crate::wire::ipv6::{HEADER_LEN, protocol};

enum Next {
    Lookup,
    Local,
    Drop(Counter),
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    for place in vector.lane(Lane::Terminal) {
        let job = vector.job(place);
        let next = match one(plane, job) {
            Ok(next) => next,
            Err(reason) => Next::Drop(reason),
        };
        match next {
            Next::Lookup => vector.next(place, Lane::Lookup),
            Next::Local => vector.next(place, Lane::Local),
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
        }
    }
}

#[inline(always)]
fn one(plane: &mut Dataplane, job: &mut Job) -> Result<Next, Counter> {
    let bytes = job.packet.bytes();
    let outer = TunnelMeta { source: header::source(bytes), destination: header::destination(bytes) };
    let group = plane.groups.get_mut(outer.destination, outer.source).ok_or(Counter::DropTerminalSource)?;
    let reception = group.reception;
    let (upper, upper_at) = match bytes[6] {
        kind @ (protocol::IPV6 | protocol::GRE) => (kind, HEADER_LEN),
        _ => match Chain::parse(bytes) {
            Ok(chain) if chain.fragment.is_some_and(|fragment| !fragment.is_atomic()) => return Ok(Next::Local),
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
    match sequence.map(|sequence| group.window.take(sequence)) {
        None | Some(Sequence::New) => {}
        Some(Sequence::Duplicate) => return Err(Counter::DropTerminalDuplicate),
        Some(Sequence::Old) => return Err(Counter::DropTerminalOld),
    }
    group.packets += 1;
    job.packet.trim_front(at);
    job.meta.tunnel = Some(outer);
    (job.meta.origin, job.meta.found, job.meta.link_multicast) = (Origin::Own, Found::Nothing, false);
    // This node ends the packet's way: its own applications get it, whatever its hop limit.
    let inner = job.packet.bytes_mut();
    let destination = header::destination(inner);
    let mobility = tunnel::upper_is_mobility(inner);
    if destination == reception.care_of && !mobility {
        if !finish_routing(inner, &reception) {
            return Err(Counter::DropTerminalHomeAddress);
        }
    } else if destination != reception.home_address && destination != reception.care_of {
        return Err(Counter::DropTerminalHomeAddress);
    }
    plane.counters.add(Counter::TerminalReceived);
    Ok(if mobility { Next::Local } else { Next::Lookup })
}

fn finish_routing(packet: &mut [u8], reception: &GroupReception) -> bool {
    match Chain::parse(packet).map(|chain| chain.type2_routing) {
        Ok(Some(routing)) if routing.segments_left == 1 && routing.home_address == reception.home_address => {
            finish_type2_routing(packet, routing.offset);
            true
        }
        _ => false,
    }
}

/// Exchanges the destination with the address in the type 2 routing header at `at`: no segment is left
/// (RFC 6275 §6.4.3).
pub(super) fn finish_type2_routing(packet: &mut [u8], at: usize) {
    let (front, back) = packet.split_at_mut(at);
    front[24..40].swap_with_slice(&mut back[8..24]);
    back[3] = 0;
}
