//! What every received IPv6 packet has to satisfy: length, version, sane addresses, the port's ingress filter (BCP 38),
//! the site's border (RFC 4007 §5), and its hop-by-hop options (RFC 8200 §4.3).
//!
//! After this stage a packet is exactly as long as it says, and at least 40 octets.

use super::counters::Counter;
use super::vector::{Lane, Vector};
use super::{Dataplane, header};
use crate::addr::Scope;
use crate::icmpv6::Cause;
use crate::wire::WireErrorKind;
use crate::wire::ipv6::{self, protocol};
use crate::wire::option::{HopByHop, hop_by_hop};

enum Next {
    Lookup,
    Local,
    Drop(Counter),
    IcmpError(Cause),
}

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    for place in vector.lane(Lane::Input) {
        match one(plane, vector, place) {
            Next::Lookup => vector.next(place, Lane::Lookup),
            Next::Local => vector.next(place, Lane::Local),
            Next::Drop(reason) => plane.discard(vector.take(place), reason),
            Next::IcmpError(cause) => plane.icmp_error(vector.take(place), cause),
        }
    }
}

#[inline(always)]
fn one(plane: &Dataplane, vector: &mut Vector, place: u8) -> Next {
    let job = vector.job(place);
    let bytes = job.packet.bytes();
    if bytes.len() < ipv6::HEADER_LEN {
        return Next::Drop(Counter::DropInputTruncated);
    }
    if bytes[0] >> 4 != 6 {
        return Next::Drop(Counter::DropInputVersion);
    }
    let length = header::total_length(bytes);
    if bytes.len() < length {
        return Next::Drop(Counter::DropInputTruncated);
    }
    let (source, destination) = (header::source(bytes), header::destination(bytes));
    let next_header = bytes[6];
    job.packet.truncate(length);
    if source.is_multicast() || source.is_loopback() {
        return Next::Drop(Counter::DropInputSource);
    }
    if destination.is_unspecified() || destination.is_loopback() {
        return Next::Drop(Counter::DropInputDestination);
    }
    let Some(port) = job.meta.port else { return Next::Lookup };
    if !plane.links[usize::from(port.0)].accepts(source) {
        return Next::Drop(Counter::DropInputIngressFilter);
    }
    if let Some(scope) = Scope::of(destination) {
        if scope <= Scope::INTERFACE_LOCAL {
            return Next::Drop(Counter::DropInputDestination);
        }
        if scope > Scope::LINK_LOCAL && scope <= Scope::SITE_LOCAL && plane.config.site_border.contains(port) {
            return Next::Drop(Counter::DropInputSiteBorder);
        }
        if source.is_unspecified() && scope > Scope::LINK_LOCAL {
            return Next::Drop(Counter::DropInputSource);
        }
    } else if source.is_unspecified() {
        return Next::Drop(Counter::DropInputSource);
    }
    if next_header == protocol::HOP_BY_HOP {
        return with_options(vector, place);
    }
    Next::Lookup
}

/// A packet with hop-by-hop options. MLD with Router Alert goes to the node whatever its group is: queries about a group
/// and version 1 reports are sent to the group itself (RFC 3810 §5.1.15, RFC 2710 §5).
fn with_options(vector: &mut Vector, place: u8) -> Next {
    const MLD: [u8; 4] = [130, 131, 132, 143];
    let bytes = vector.job(place).packet.bytes();
    match hop_by_hop(bytes) {
        Ok(HopByHop { router_alert: Some(0), next_header: protocol::ICMPV6, length })
            if header::destination(bytes).is_multicast()
                && bytes.get(ipv6::HEADER_LEN + length).is_some_and(|kind| MLD.contains(kind)) =>
        {
            Next::Local
        }
        Ok(_) => Next::Lookup,
        Err(error) => match error.kind {
            WireErrorKind::UnknownOptionSilent => Next::Drop(Counter::DropInputOption),
            WireErrorKind::UnknownOption => Next::IcmpError(Cause::Option(error.offset as u32)),
            WireErrorKind::Truncated => Next::Drop(Counter::DropInputTruncated),
            _ => Next::IcmpError(Cause::HeaderField(error.offset as u32)),
        },
    }
}
