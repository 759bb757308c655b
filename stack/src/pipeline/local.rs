//! Packets for this node: what it answers here, what leaves a tunnel here, and what its machines are given.

use super::counters::Counter;
use super::policer::Signalling;
use super::register::{self, Received};
use super::vector::{Found, Job, Lane, Origin, Vector};
use super::{Dataplane, Transport, header, home_address, reassembly, sighting};
use crate::icmpv6::relay::{self, Relay};
use crate::icmpv6::{Cause, echo};
use crate::machine::CorrespondentWay;
use crate::wire::ext::Chain;
use crate::wire::ipv6::protocol;
use crate::wire::{WireErrorKind, checksum, home_link, mld};

/// ICMPv6 types below this are errors (RFC 4443 §2.1).
const FIRST_INFORMATIONAL: u8 = 128;
const ECHO_REQUEST: u8 = 128;

enum Next {
    /// To the machines.
    Node,
    /// PIM or MLD, to the machines when there is time.
    Signalling,
    /// A fragment.
    Reassembly,
    /// An error from inside a tunnel, on to the source of what was in it.
    Relayed,
    Lookup,
    Tunnel,
    /// The data of a Register message, on their way to a group.
    Multicast,
    Drop(Counter),
    IcmpError(Cause),
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    for place in vector.lane(Lane::Local) {
        match one(plane, vector.job(place)) {
            Next::Node => plane.deliver(vector.take(place)),
            Next::Signalling => plane.deliver_signalling(vector.take(place)),
            Next::Reassembly => reassembly::take(plane, vector.take(place)),
            Next::Relayed => plane.discard(vector.take(place), Counter::IcmpErrorRelayed),
            Next::Lookup => vector.next(place, Lane::Lookup),
            Next::Tunnel => vector.next(place, Lane::Tunnel),
            Next::Multicast => vector.next(place, Lane::Multicast),
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
            Next::IcmpError(cause) => plane.icmp_error(vector.take(place), cause),
        }
    }
}

#[inline(always)]
fn one(plane: &mut Dataplane, job: &mut Job) -> Next {
    let bytes = job.packet.bytes();
    if bytes[6] == protocol::IPV6 {
        return Next::Tunnel;
    }
    let chain = match Chain::parse(bytes) {
        Ok(chain) => chain,
        Err(error) => {
            let offset = error.offset as u32;
            return match error.kind {
                // RFC 6275 §11.3.3: silently.
                _ if home_address::is_in_routing(bytes, error.offset) => Next::Drop(Counter::DropLocalRouting),
                WireErrorKind::UnknownNextHeader => Next::IcmpError(Cause::NextHeader(offset)),
                WireErrorKind::UnknownOption => Next::IcmpError(Cause::Option(offset)),
                WireErrorKind::UnknownOptionSilent => Next::Drop(Counter::DropLocalOption),
                WireErrorKind::Value | WireErrorKind::Length => Next::IcmpError(Cause::HeaderField(offset)),
                _ => Next::Drop(Counter::DropLocalMalformed),
            };
        }
    };
    if chain.fragment.is_some_and(|fragment| !fragment.is_atomic()) {
        return Next::Reassembly;
    }
    if let Some(routing) = chain.type2_routing {
        // A correspondent's packet to a terminal that is at its own care-of address (RFC 6275 §11.3.3).
        let care_of = header::destination(bytes);
        let ours = plane.care_of_addresses.home_address(care_of) == Some(routing.home_address)
            || plane.tunnels.serves(care_of, routing.home_address);
        if routing.segments_left != 1 || !ours && chain.upper != protocol::MOBILITY {
            return Next::Drop(Counter::DropLocalRouting);
        }
        if chain.upper != protocol::MOBILITY {
            if sighting::is_data(bytes) {
                let correspondent = header::source(bytes);
                sighting::tell(plane, routing.home_address, correspondent, CorrespondentWay::Optimised);
            }
            home_address::take_routing(&mut job.packet, routing.offset);
            (job.meta.origin, job.meta.found) = (Origin::Own, Found::Nothing);
            return Next::Lookup;
        }
    }
    if chain.home_address.is_some()
        && chain.upper != protocol::MOBILITY
        && plane.correspondents.serves(header::destination(bytes))
    {
        // The lookup did not believe it: a Binding Error is the machine's.
        return Next::Node;
    }
    match chain.upper {
        protocol::IPV6 => Next::Tunnel,
        protocol::MOBILITY => Next::Node,
        protocol::PIM => match register::receive(plane, job, &chain) {
            Received::Node => signalling(plane, job, Signalling::Pim),
            Received::ToGroup => Next::Multicast,
            Received::Drop(reason) => Next::Drop(reason),
        },
        protocol::ICMPV6 => icmpv6(plane, job, &chain),
        _ if chain.home_address.is_some() => from_home(plane, job, &chain),
        protocol::NONE => Next::Drop(Counter::DropLocalNoNextHeader),
        protocol::TCP | protocol::UDP => match plane.config.transport {
            Transport::Local(address) if header::destination(bytes) == address => Next::Node,
            Transport::Local(_) | Transport::Unreachable => Next::IcmpError(Cause::PortUnreachable),
        },
        _ => Next::IcmpError(Cause::NextHeader(chain.upper_named_at as u32)),
    }
}

/// A Home Address option with anything but signalling, to an address with which this node is no correspondent. A home
/// agent believes the terminals that it has bound (RFC 6275 §9.3.1). To anybody else the option is one that it does not
/// know (RFC 8200 §4.2): the answer makes the terminal send through its tunnel.
fn from_home(plane: &mut Dataplane, job: &mut Job, chain: &Chain) -> Next {
    let bytes = job.packet.bytes();
    let Some(option) = chain.home_address.filter(|_| !header::destination(bytes).is_multicast()) else {
        return Next::Drop(Counter::DropLocalHomeAddress);
    };
    let bound =
        plane.home_bindings.get(option.home_address).is_some_and(|bound| bound.care_of == header::source(bytes));
    if !bound {
        return Next::IcmpError(Cause::Option(option.offset as u32));
    }
    home_address::take_option(&mut job.packet, &option);
    plane.counters.add(Counter::HomeOptionBelieved);
    Next::Lookup
}

/// To the machines, unless they were given too much of it.
fn signalling(plane: &mut Dataplane, job: &Job, kind: Signalling) -> Next {
    match plane.policer.take(plane.now, job.meta.port, kind) {
        Ok(()) => Next::Signalling,
        Err(reason) => Next::Drop(reason),
    }
}

fn icmpv6(plane: &mut Dataplane, job: &mut Job, chain: &Chain) -> Next {
    let bytes = job.packet.bytes();
    let Some(message) = bytes.get(chain.upper_offset..).filter(|message| message.len() >= 8) else {
        return Next::Drop(Counter::DropLocalMalformed);
    };
    let source = chain.home_address.map_or(header::source(bytes), |option| option.home_address);
    let destination = match chain.type2_routing {
        Some(routing) if routing.segments_left == 1 => routing.home_address,
        _ => header::destination(bytes),
    };
    let is_mld = mld::is_mld(message[0]);
    if is_mld && let Next::Drop(reason) = signalling(plane, job, Signalling::Mld) {
        return Next::Drop(reason);
    }
    if !checksum::verify(source, destination, protocol::ICMPV6, message) {
        return Next::Drop(Counter::DropLocalChecksum);
    }
    match message[0] {
        kind if kind < FIRST_INFORMATIONAL => match relay::relay(plane, message, job.meta.port) {
            Relay::PassedOn => Next::Relayed,
            Relay::Ended => Next::Drop(Counter::DropLocalTunnelProblem),
            Relay::NotATunnels => Next::Node,
        },
        // The home agent looks for the binding itself.
        home_link::TYPE_PREFIX_SOLICITATION => Next::Node,
        _ if chain.home_address.is_some() => from_home(plane, job, chain),
        _ if is_mld => Next::Signalling,
        ECHO_REQUEST => match echo::answer(plane, job, chain.upper_offset) {
            Ok(()) => Next::Lookup,
            Err(reason) => Next::Drop(reason),
        },
        _ => Next::Node,
    }
}
