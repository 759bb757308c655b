//! ICMPv6 as a node's own plumbing needs it: errors about packets (RFC 4443 §2.4, §3), answers to echo requests (§4.2),
//! and errors from inside tunnels passed on to those whom they concern (RFC 2473 §8).
//!
//! No error answers an error or a redirect, nothing without a single sender, and nothing sent to a group except Packet
//! Too Big and Parameter Problem code 2. A token bucket limits them.

pub(crate) mod echo;
pub(crate) mod relay;

use crate::packet::Pool;
use crate::pipeline::{Counter, header};
use crate::wire::ipv6::{self, HEADER_LEN, MINIMUM_MTU, protocol};
use crate::wire::{build, checksum};
use core::net::Ipv6Addr;

/// ICMPv6 types of errors, and of the redirect, about which no error is sent either.
pub(crate) mod kind {
    pub(crate) const UNREACHABLE: u8 = 1;
    pub(crate) const PACKET_TOO_BIG: u8 = 2;
    pub(crate) const TIME_EXCEEDED: u8 = 3;
    pub(crate) const PARAMETER_PROBLEM: u8 = 4;
    pub(crate) const FIRST_INFORMATIONAL: u8 = 128;
    pub(crate) const REDIRECT: u8 = 137;
}

/// What is wrong with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    NoRoute,
    BeyondScope,
    AddressUnreachable,
    PortUnreachable,
    /// With the largest size that would pass.
    PacketTooBig(u32),
    HopLimit,
    ReassemblyTime,
    /// At this octet, as all that follow.
    HeaderField(u32),
    NextHeader(u32),
    Option(u32),
    /// A first fragment does not hold all headers (RFC 7112 §5).
    HeaderChain,
}

impl Cause {
    /// Type, code, and the four octets behind the checksum.
    const fn message(self) -> (u8, u8, u32) {
        match self {
            Cause::NoRoute => (kind::UNREACHABLE, 0, 0),
            Cause::BeyondScope => (kind::UNREACHABLE, 2, 0),
            Cause::AddressUnreachable => (kind::UNREACHABLE, 3, 0),
            Cause::PortUnreachable => (kind::UNREACHABLE, 4, 0),
            Cause::PacketTooBig(mtu) => (kind::PACKET_TOO_BIG, 0, mtu),
            Cause::HopLimit => (kind::TIME_EXCEEDED, 0, 0),
            Cause::ReassemblyTime => (kind::TIME_EXCEEDED, 1, 0),
            Cause::HeaderField(at) => (kind::PARAMETER_PROBLEM, 0, at),
            Cause::NextHeader(at) => (kind::PARAMETER_PROBLEM, 1, at),
            Cause::Option(at) => (kind::PARAMETER_PROBLEM, 2, at),
            Cause::HeaderChain => (kind::PARAMETER_PROBLEM, 3, 0),
        }
    }

    pub(crate) const fn counter(self) -> Counter {
        match self {
            Cause::NoRoute => Counter::IcmpErrorNoRoute,
            Cause::BeyondScope => Counter::IcmpErrorBeyondScope,
            Cause::AddressUnreachable => Counter::IcmpErrorAddressUnreachable,
            Cause::PortUnreachable => Counter::IcmpErrorPortUnreachable,
            Cause::PacketTooBig(_) => Counter::IcmpErrorPacketTooBig,
            Cause::HopLimit => Counter::IcmpErrorHopLimit,
            Cause::ReassemblyTime => Counter::IcmpErrorReassemblyTime,
            Cause::HeaderField(_) => Counter::IcmpErrorHeaderField,
            Cause::NextHeader(_) => Counter::IcmpErrorNextHeader,
            Cause::Option(_) => Counter::IcmpErrorOption,
            Cause::HeaderChain => Counter::IcmpErrorHeaderChain,
        }
    }

    /// Whether it is reported although the packet was sent to a group (RFC 4443 §2.4 (e.3)).
    const fn concerns_groups(self) -> bool {
        matches!(self, Cause::PacketTooBig(_) | Cause::Option(_))
    }
}

/// Whether an error about this packet may be sent (RFC 4443 §2.4 (e)). `link_multicast`: its frame went to a group.
pub(crate) fn is_allowed(packet: &[u8], cause: Cause, link_multicast: bool) -> bool {
    let source = header::source(packet);
    if source.is_unspecified() || source.is_multicast() || source.is_loopback() {
        return false;
    }
    if (link_multicast || header::destination(packet).is_multicast()) && !cause.concerns_groups() {
        return false;
    }
    match upper_layer(packet) {
        Some((protocol::ICMPV6, at)) => {
            packet.get(at).is_some_and(|&kind| kind >= kind::FIRST_INFORMATIONAL && kind != kind::REDIRECT)
        }
        _ => true,
    }
}

/// Protocol and place of the upper layer, whatever the options in front of it say; `None` where a header does not begin
/// within the packet, or in a fragment that is not the first. The place may be behind the packet's end.
pub(crate) fn upper_layer(packet: &[u8]) -> Option<(u8, usize)> {
    let (mut kind, mut at) = (packet[6], HEADER_LEN);
    for _ in 0..crate::wire::ext::MAX_HEADERS {
        let length = match kind {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                8 + 8 * usize::from(*packet.get(at + 1)?)
            }
            protocol::FRAGMENT if u16::from_be_bytes([*packet.get(at + 2)?, *packet.get(at + 3)?]) >> 3 != 0 => {
                return None;
            }
            protocol::FRAGMENT => 8,
            _ => return Some((kind, at)),
        };
        kind = *packet.get(at)?;
        at += length;
    }
    None
}

/// Builds an error that quotes as much of `quoted` as a packet of the minimum MTU has room for.
pub(crate) fn build_error(
    pool: &Pool,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    cause: Cause,
    quoted: &[u8],
) -> Option<crate::packet::Packet> {
    const FRONT: usize = HEADER_LEN + 8;
    let quote = &quoted[..quoted.len().min(MINIMUM_MTU - FRONT)];
    let mut packet = pool.take().ok()?;
    packet.set_len(FRONT + quote.len());
    let bytes = packet.bytes_mut();
    let header = ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        payload_length: (8 + quote.len()) as u16,
        next_header: protocol::ICMPV6,
        hop_limit: build::DEFAULT_HOP_LIMIT,
        source,
        destination,
    };
    header.emit(bytes.first_chunk_mut()?);
    let (kind, code, word) = cause.message();
    bytes[40..44].copy_from_slice(&[kind, code, 0, 0]);
    bytes[44..48].copy_from_slice(&word.to_be_bytes());
    bytes[FRONT..].copy_from_slice(quote);
    let sum = checksum::upper_layer(source, destination, protocol::ICMPV6, &bytes[HEADER_LEN..]);
    bytes[42..44].copy_from_slice(&sum.to_be_bytes());
    Some(packet)
}
