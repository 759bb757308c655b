//! The correspondent node: what is sent to a bound home address goes to its care-of address with a type 2 routing header
//! (RFC 6275 §9.3.2), and what comes with a Home Address option that is believed comes from the home address (§9.3.1).
//!
//! Both happen in the packet, at the lookup, and are gone before anybody above sees it: an application behind a TUN
//! device, or a TCP that knows nothing of mobility, speaks with the home address.

use super::counters::Counter;
use super::home_address::{self, InsertError};
use super::vector::{Job, Meta, Origin};
use super::{Dataplane, header};
use crate::icmpv6::Cause;
use crate::machine::Notice;
use crate::wire::WireErrorKind;
use crate::wire::ext::{Chain, option};
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;

/// ICMPv6 types below this are errors (RFC 4443 §2.1).
const FIRST_INFORMATIONAL: u8 = 128;
/// Router Solicitation to Redirect (RFC 4861 §4).
const NEIGHBOR_DISCOVERY: core::ops::RangeInclusive<u8> = 133..=137;

/// What becomes of a packet to the node's address.
pub(super) enum Received {
    /// It goes on, from its source or, where it had an option, from the home address.
    On,
    /// It is for the node, as it came.
    Node,
    Drop(Counter),
    IcmpError(Cause),
}

/// Whether the packet starts on this node: made here, or by a program behind a host port.
#[inline(always)]
pub(super) fn is_own(plane: &Dataplane, meta: &Meta) -> bool {
    meta.outer == 0
        && meta.tunnel.is_none()
        && match meta.origin {
            Origin::Own => true,
            Origin::Registered => false,
            Origin::Received => meta.port.is_some_and(|port| plane.config.host_ports.contains(port)),
        }
}

/// Sends a packet of this node by way of the care-of address of its destination; whether it is so now. Signalling and
/// Neighbor Discovery go as they are (RFC 6275 §9.3.2), and so does what has a routing header.
#[inline]
pub(super) fn send(plane: &mut Dataplane, job: &mut Job, home_address: Ipv6Addr) -> bool {
    if !is_own(plane, &job.meta) {
        return false;
    }
    let Some((slot, binding)) = plane.correspondents.find(home_address, header::source(job.packet.bytes())) else {
        return false;
    };
    if !route(job, binding.care_of) {
        return false;
    }
    plane.counters.add(Counter::CorrespondentSent);
    if plane.correspondents.is_first_use(slot) {
        plane.notify(Notice::CorrespondentBindingUsed { home_address });
    }
    true
}

/// Puts a type 2 routing header into a packet of this node, where one may be; whether it did.
#[inline]
pub(super) fn route(job: &mut Job, care_of: Ipv6Addr) -> bool {
    if is_signalling(job.packet.bytes()) {
        return false;
    }
    match home_address::insert_routing(&mut job.packet, care_of) {
        Ok(()) => {
            // A program hears of its packet as it sent it; what this node sends itself is cut where it must be.
            job.meta.inserted.routing = job.meta.origin == Origin::Received;
            true
        }
        Err(InsertError::Headers | InsertError::Headroom) => false,
    }
}

/// A Mobility Header, or Neighbor Discovery.
fn is_signalling(packet: &[u8]) -> bool {
    let of_upper = |upper: u8, at: usize| {
        upper == protocol::MOBILITY
            || upper == protocol::ICMPV6 && packet.get(at).is_some_and(|kind| NEIGHBOR_DISCOVERY.contains(kind))
    };
    match packet[6] {
        protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING => {
            Chain::parse(packet).is_ok_and(|chain| of_upper(chain.upper, chain.upper_offset))
        }
        upper => of_upper(upper, HEADER_LEN),
    }
}

/// Looks at a packet to the node's address.
#[inline]
pub(super) fn receive(plane: &mut Dataplane, job: &mut Job) -> Received {
    let bytes = job.packet.bytes();
    match bytes[6] {
        protocol::MOBILITY => Received::Node,
        protocol::ICMPV6 if is_error(bytes) && home_address::routing_within(&bytes[HEADER_LEN + 8..]).is_some() => {
            Received::Node
        }
        protocol::DESTINATION_OPTIONS | protocol::ROUTING | protocol::HOP_BY_HOP | protocol::FRAGMENT => {
            receive_options(plane, job)
        }
        _ => Received::On,
    }
}

fn is_error(packet: &[u8]) -> bool {
    packet.len() >= HEADER_LEN + 8 && packet[HEADER_LEN] < FIRST_INFORMATIONAL
}

fn receive_options(plane: &mut Dataplane, job: &mut Job) -> Received {
    let bytes = job.packet.bytes();
    let chain = match Chain::parse(bytes) {
        Ok(chain) => chain,
        Err(error) => {
            // RFC 6275 §9.3.1: an address that nobody can be reached at is dropped; an option of another length, or a
            // second one, is a field that is wrong. The rest is whoever's the packet is.
            let option_at =
                |back: usize| error.offset >= HEADER_LEN + back && bytes[error.offset - back] == option::HOME_ADDRESS;
            return match error.kind {
                WireErrorKind::Value if option_at(2) => Received::Drop(Counter::DropCorrespondentOption),
                WireErrorKind::Length if option_at(1) => Received::IcmpError(Cause::HeaderField(error.offset as u32)),
                _ => Received::On,
            };
        }
    };
    if chain.upper == protocol::MOBILITY {
        return Received::Node;
    }
    let Some(option) = chain.home_address else { return Received::On };
    let Some(next_header) = home_address::next_header_of(bytes, option.offset) else { return Received::On };
    let behind_fragment = chain.fragment.is_some_and(|fragment| fragment.offset < option.offset);
    if behind_fragment || next_header == protocol::ROUTING {
        return Received::Drop(Counter::DropCorrespondentOption);
    }
    let (source, local) = (header::source(bytes), header::destination(bytes));
    match plane.correspondents.believes(option.home_address, source, local) {
        Some(slot) => {
            if plane.correspondents.is_first_use(slot) {
                plane.notify(Notice::CorrespondentBindingUsed { home_address: option.home_address });
            }
        }
        // What IPsec protects is judged by IPsec.
        None if matches!(next_header, protocol::ESP | protocol::AUTHENTICATION) => {}
        None => {
            if !plane.option_limit.take(plane.now) {
                return Received::Drop(Counter::DropCorrespondentLimit);
            }
            plane.counters.add(Counter::CorrespondentRefused);
            return Received::Node;
        }
    }
    home_address::take_option(&mut job.packet, &option);
    plane.counters.add(Counter::CorrespondentReceived);
    Received::On
}
