//! Outer headers: written in front of a packet, or over the one that it came with (RFC 2473, RFC 2784 with RFC 2890).
//!
//! ECN follows RFC 6040, DSCP RFC 2983. The flow label is made of the inner addresses and flow label, so
//! that routers on the way can spread tunnels over their paths (RFC 6438 §3).

use super::config::{MssClamp, TunnelDscp};
use super::vector::Job;
use super::{Dataplane, ecn, header, mss};
use crate::addr::halves;
use crate::packet::Packet;
use crate::wire::ext::option;
use crate::wire::gre;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;

/// Hop limit of outer headers.
pub(crate) const OUTER_HOP_LIMIT: u8 = 64;
/// Octets of a Destination Options header with nothing but a Tunnel Encapsulation Limit.
const LIMIT_LEN: usize = 8;

/// An outer header to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    /// Key and sequence number of a GRE header behind it.
    pub(super) gre: Option<(u32, u32)>,
    /// The Tunnel Encapsulation Limit that it has to carry (RFC 2473 §4.1.1).
    pub(super) limit: Option<u8>,
    pub(super) dscp: TunnelDscp,
}

/// Octets of headroom that [`replace`] wants.
pub(super) const MAX_LEN: usize = HEADER_LEN + LIMIT_LEN + gre::KEY_SEQUENCE_LEN;

/// No headroom is left for the outer header.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoHeadroom;

/// Puts `outer` in the place of the first `strip` octets of `packet`, behind which the inner packet starts. Answers the
/// octets of the new outer headers. Where they are as many as the old ones, nothing moves.
#[inline(always)]
pub(super) fn replace(packet: &mut Packet, strip: usize, outer: &Outer) -> Result<u8, NoHeadroom> {
    if packet.headroom() + strip < MAX_LEN {
        return Err(NoHeadroom);
    }
    packet.trim_front(strip);
    let inner = packet.bytes();
    let class = outer_class(outer.dscp, header::traffic_class(inner));
    let label = flow_label(inner);
    let mut next_header = protocol::IPV6;
    let mut length = HEADER_LEN;
    if let Some((key, sequence)) = outer.gre {
        gre::emit_key_sequence(packet.prepend(), key, sequence);
        next_header = protocol::GRE;
        length += gre::KEY_SEQUENCE_LEN;
    }
    if let Some(limit) = outer.limit {
        *packet.prepend::<LIMIT_LEN>() = [next_header, 0, option::ENCAPSULATION_LIMIT, 1, limit, option::PADN, 1, 0];
        next_header = protocol::DESTINATION_OPTIONS;
        length += LIMIT_LEN;
    }
    let payload = packet.len() as u16;
    let bytes = packet.prepend::<HEADER_LEN>();
    emit(bytes, first_word(class, label, payload, next_header), halves(outer.source), halves(outer.destination));
    Ok(length as u8)
}

/// The traffic class of an outer header.
#[inline(always)]
pub(super) fn outer_class(mode: TunnelDscp, inner: u8) -> u8 {
    let dscp = match mode {
        TunnelDscp::Inner | TunnelDscp::Uniform => inner & !3,
        TunnelDscp::Fixed(dscp) => dscp << 2,
    };
    dscp | ecn::at_entry(inner)
}

/// The first eight octets of an outer header.
#[inline(always)]
pub(super) fn first_word(class: u8, label: u32, payload: u16, next_header: u8) -> u64 {
    6 << 60
        | u64::from(class) << 52
        | u64::from(label) << 32
        | u64::from(payload) << 16
        | u64::from(next_header) << 8
        | u64::from(OUTER_HOP_LIMIT)
}

/// Writes an outer header; the addresses are their halves.
#[inline(always)]
pub(super) fn emit(header: &mut [u8; HEADER_LEN], first: u64, source: [u64; 2], destination: [u64; 2]) {
    let words = [first, source[0], source[1], destination[0], destination[1]];
    for (octets, word) in header.chunks_exact_mut(8).zip(words) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
}

/// The outer flow label of a packet: the same for all packets of a flow, never zero.
#[inline(always)]
pub(crate) fn flow_label(inner: &[u8]) -> u32 {
    let word = |at| header::word(inner, at);
    let label = u64::from(u32::from_be_bytes([inner[0], inner[1], inner[2], inner[3]]) & 0xf_ffff);
    let mut hash = word(8) ^ word(16).rotate_left(17) ^ word(24).rotate_left(31) ^ word(32).rotate_left(47) ^ label;
    hash = (hash ^ hash >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let label = (hash >> 44) as u32;
    if label == 0 { 1 } else { label }
}

/// Why a packet cannot leave a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ExitError {
    /// It is no whole IPv6 packet, or none that may be on any link by its addresses.
    Inner,
    /// Its ECN codepoints contradict each other.
    Ecn,
}

/// Checks the packet that starts at `at` in the tunnel packet of `job` and gives it the outer header's congestion mark, and
/// its DSCP where that is uniform. Octets behind the inner packet are cut off.
#[inline(always)]
pub(super) fn open(plane: &mut Dataplane, job: &mut Job, at: usize) -> Result<(), ExitError> {
    let bytes = job.packet.bytes();
    let Some(inner) = bytes.get(at..).filter(|inner| inner.len() >= HEADER_LEN && inner[0] >> 4 == 6) else {
        return Err(ExitError::Inner);
    };
    let length = header::total_length(inner);
    if inner.len() < length {
        return Err(ExitError::Inner);
    }
    // What `ip6_input` asks of a packet that comes by itself (RFC 4291 §2.5.2, §2.5.3, §2.7).
    let (source, destination) = (header::source(inner), header::destination(inner));
    if source.is_multicast()
        || [source, destination].into_iter().any(|address| address.is_unspecified() || address.is_loopback())
    {
        return Err(ExitError::Inner);
    }
    let (inner_class, outer_class) = (header::traffic_class(inner), header::traffic_class(bytes));
    let exit = ecn::at_exit(inner_class & 3, outer_class & 3);
    if let Some(counter) = exit.unused {
        plane.counters.add(counter);
    }
    let ecn = exit.ecn.ok_or(ExitError::Ecn)?;
    job.packet.truncate(at + length);
    set_class(plane.config.tunnel_dscp, &mut job.packet, at, outer_class, ecn);
    if plane.config.mss_clamp == MssClamp::PathMtu {
        // What is sent back goes into the tunnel to where this packet comes from.
        let peer = header::source(job.packet.bytes());
        let link = job.meta.port.and_then(|port| plane.links.get(usize::from(port.0)));
        let path_mtu = plane.path_mtus.towards(plane.now, peer, link.map_or(usize::MAX, |link| link.mtu));
        mss::clamp(plane, job.packet.bytes_mut(), at, path_mtu);
    }
    Ok(())
}

/// Cuts the packet that starts at `at` to its length and gives it the outer header's marks; [`ecn::at_exit`] allows both.
#[inline(always)]
pub(super) fn mark_inner(mode: TunnelDscp, packet: &mut Packet, at: usize) {
    let bytes = packet.bytes();
    let length = header::total_length(&bytes[at..]);
    let (inner_class, outer_class) = (header::traffic_class(&bytes[at..]), header::traffic_class(bytes));
    packet.truncate(at + length);
    if let Some(ecn) = ecn::at_exit(inner_class & 3, outer_class & 3).ecn {
        set_class(mode, packet, at, outer_class, ecn);
    }
}

#[inline(always)]
fn set_class(mode: TunnelDscp, packet: &mut Packet, at: usize, outer_class: u8, ecn: u8) {
    let inner = &mut packet.bytes_mut()[at..];
    let inner_class = header::traffic_class(inner);
    let class = exit_dscp(mode, inner_class, outer_class) | ecn;
    if class != inner_class {
        header::set_traffic_class(inner, class);
    }
}

#[inline(always)]
fn exit_dscp(mode: TunnelDscp, inner_class: u8, outer_class: u8) -> u8 {
    match mode {
        TunnelDscp::Uniform => outer_class & !3,
        TunnelDscp::Inner | TunnelDscp::Fixed(_) => inner_class & !3,
    }
}

/// The traffic class of a packet that leaves a tunnel which [`ecn::at_exit`] lets it leave.
#[inline(always)]
pub(super) fn exit_class(mode: TunnelDscp, inner_class: u8, outer_class: u8) -> u8 {
    let ecn = ecn::at_exit(inner_class & 3, outer_class & 3).ecn.unwrap_or(inner_class & 3);
    exit_dscp(mode, inner_class, outer_class) | ecn
}

/// The limit that the packet sets on further encapsulations, and the octet of the packet where it stands: it is read in
/// a Destination Options header right behind the IPv6 header or its hop-by-hop options (RFC 2473 §4.1.1).
#[inline(always)]
pub(super) fn encapsulation_limit(packet: &[u8]) -> Option<(usize, u8)> {
    match packet[6] {
        protocol::DESTINATION_OPTIONS | protocol::HOP_BY_HOP => find_limit(packet),
        _ => None,
    }
}

#[cold]
fn find_limit(packet: &[u8]) -> Option<(usize, u8)> {
    let (mut kind, mut at) = (packet[6], HEADER_LEN);
    if kind == protocol::HOP_BY_HOP {
        kind = *packet.get(at)?;
        at += 8 + 8 * usize::from(*packet.get(at + 1)?);
    }
    if kind != protocol::DESTINATION_OPTIONS {
        return None;
    }
    let end = at + 8 + 8 * usize::from(*packet.get(at + 1)?);
    let options = packet.get(..end)?;
    at += 2;
    while at + 1 < end {
        match options[at] {
            option::PAD1 => at += 1,
            option::ENCAPSULATION_LIMIT if options[at + 1] == 1 => return options.get(at + 2).map(|&n| (at + 2, n)),
            _ => at += 2 + usize::from(options[at + 1]),
        }
    }
    None
}
