//! Errors from inside a tunnel that starts here, passed on to the source of the packet in it (RFC 2473 §8, RFC 6275
//! §10.4.2, §11.3.1).
//!
//! An error counts only where the packet that it quotes is one that this node can have sent: outer addresses, the
//! binding of the inner address, and the GRE sequence number have to match, and a size has to be less than that of the
//! packet. Packet Too Big is remembered for the tunnel, a group's being the least of its branches, and reaches the source
//! less the tunnel's headers and never below 1280 (RFC 8201 §4).

use super::{Cause, is_allowed, kind};
use crate::addr::Scope;
use crate::machine::PortId;
use crate::pipeline::home_address::{self, OPTION_LEN, ROUTING_LEN};
use crate::pipeline::{Counter, Dataplane, header, register};
use crate::tables::{BindingState, Uplink};
use crate::wire::ext::option;
use crate::wire::gre;
use crate::wire::ipv6::{HEADER_LEN, MINIMUM_MTU, protocol};
use core::net::Ipv6Addr;

/// How far behind the last sequence number a quoted packet may be.
const SEQUENCE_SLACK: u32 = 1 << 16;

/// What becomes of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Relay {
    /// It is about a tunnel or a header of this node, and known to the source of what was in it where that can use it.
    PassedOn,
    /// It is about a tunnel of this node, and nothing that anybody else could use (RFC 2473 §8.1).
    Ended,
    /// It is about something that a machine, or who is behind this node, has sent.
    NotATunnels,
}

/// Passes an error on where it is about a tunnel of this node. `message` starts with its type.
pub(crate) fn relay(plane: &mut Dataplane, message: &[u8], arrival: Option<PortId>) -> Relay {
    let Some(quoted) = message.get(8..).filter(|quoted| quoted.len() >= HEADER_LEN && quoted[0] >> 4 == 6) else {
        return Relay::NotATunnels;
    };
    let (kind, word) = (message[0], u32::from_be_bytes([message[4], message[5], message[6], message[7]]));
    if let Some((inner_at, sequence)) = tunnelled(quoted)
        && is_ours(plane, quoted, &quoted[inner_at..], sequence)
        && !is_forged(plane, quoted, arrival)
    {
        let outer = (header::source(quoted), header::destination(quoted));
        let optimised = with_home_address(plane, &quoted[inner_at..], Some(outer));
        let (original, added) = match &optimised {
            Some(original) => (original.as_slice(), inner_at + OPTION_LEN),
            None => {
                let at = inner_at + nested(plane, &quoted[inner_at..], outer).unwrap_or(0);
                (&quoted[at..], at)
            }
        };
        let cause = match kind {
            kind::UNREACHABLE | kind::TIME_EXCEEDED => Some(Cause::AddressUnreachable),
            kind::PACKET_TOO_BIG => too_big(plane, word, quoted, added, original),
            kind::PARAMETER_PROBLEM if is_encapsulation_limit(&quoted[..inner_at], word) => {
                Some(Cause::AddressUnreachable)
            }
            _ => return Relay::Ended,
        };
        if let Some(cause) = cause {
            send(plane, cause, original);
        }
        return Relay::PassedOn;
    }
    if let Some(at) = register::quoted_data(plane, quoted) {
        // A group's source can use nothing but a size (RFC 4443 §2.4 (e.3), RFC 7761 §4.4.1).
        if kind != kind::PACKET_TOO_BIG {
            return Relay::Ended;
        }
        let original = &quoted[at..];
        if let Some(cause) = too_big(plane, word, quoted, at, original) {
            send(plane, cause, original);
        }
        return Relay::PassedOn;
    }
    if let Some(original) = with_type2_routing(plane, quoted) {
        // That the care-of address is not reached is the node's as well: it gives up the binding (RFC 6275 §9.3.4).
        let passed = pass_on(plane, kind, word, quoted, ROUTING_LEN, &original);
        return if kind == kind::UNREACHABLE { Relay::NotATunnels } else { passed };
    }
    match with_home_address(plane, quoted, None) {
        Some(original) => pass_on(plane, kind, word, quoted, OPTION_LEN, &original),
        None => Relay::NotATunnels,
    }
}

/// Passes an error on about a packet into which this node put `added` octets, where it is of a kind that is.
fn pass_on(plane: &mut Dataplane, kind: u8, word: u32, quoted: &[u8], added: usize, original: &[u8]) -> Relay {
    let cause = match kind {
        kind::UNREACHABLE => Some(Cause::AddressUnreachable),
        kind::TIME_EXCEEDED => Some(Cause::HopLimit),
        kind::PACKET_TOO_BIG => too_big(plane, word, quoted, added, original),
        _ => return Relay::NotATunnels,
    };
    if let Some(cause) = cause {
        send(plane, cause, original);
    }
    Relay::PassedOn
}

/// Remembers how large packets may be on the path of `quoted`; what the sender of the packet in it is told, if anything.
fn too_big(plane: &mut Dataplane, word: u32, quoted: &[u8], added: usize, original: &[u8]) -> Option<Cause> {
    if !plane.is_plausible_path_mtu(word, header::total_length(quoted)) {
        plane.count(Counter::PathMtusImplausible);
        return None;
    }
    plane.learn_path_mtu(header::destination(quoted), word as u16);
    // What cannot become smaller is cut here from now on (RFC 2473 §7.1).
    (header::total_length(original) > MINIMUM_MTU)
        .then(|| Cause::PacketTooBig((word as usize).saturating_sub(added).max(MINIMUM_MTU) as u32))
}

/// Where the inner packet starts in a quoted tunnel packet, at least its header, and the GRE sequence number.
fn tunnelled(quoted: &[u8]) -> Option<(usize, Option<(u32, u32)>)> {
    let (upper, at) = super::upper_layer(quoted)?;
    let (inner_at, sequence) = match upper {
        protocol::IPV6 => (at, None),
        protocol::GRE => {
            let header = gre::Header::parse(quoted.get(at..)?).ok()?;
            (at + header.length, Some((header.key?, header.sequence?)))
        }
        _ => return None,
    };
    let inner = quoted.get(inner_at..)?;
    (inner.len() >= HEADER_LEN && inner[0] >> 4 == 6).then_some((inner_at, sequence))
}

/// Whether it comes from where the packet cannot have been: a group of the site is not outside of it.
fn is_forged(plane: &Dataplane, quoted: &[u8], arrival: Option<PortId>) -> bool {
    let is_of_site = |scope| scope <= Scope::SITE_LOCAL;
    Scope::of(header::destination(quoted)).is_some_and(is_of_site) && plane.is_from_outside(arrival)
}

/// Whether this node can have put these outer headers in front of this packet.
fn is_ours(plane: &Dataplane, quoted: &[u8], inner: &[u8], sequence: Option<(u32, u32)>) -> bool {
    let outer = (header::source(quoted), header::destination(quoted));
    let (source, destination) = (header::source(inner), header::destination(inner));
    let tables = plane.tunnel_tables();
    if let Some(binding) = tables.home_bindings.get(destination)
        && (binding.agent, binding.care_of) == outer
    {
        return true;
    }
    if let Some(binding) = tables.mma_bindings.get(source)
        && (binding.care_of, binding.home_agent) == outer
    {
        // The signalling for a terminal is its agent's own.
        return !(binding.optimise && is_signalling(inner));
    }
    let by_uplink = match tables.uplinks.get(source, destination) {
        Some(Uplink::Tunnel { source: entrance, peer, .. }) => (entrance, peer) == outer,
        Some(Uplink::NestedTunnel { care_of, home_agent, .. }) => (care_of, home_agent) == outer,
        _ => false,
    };
    if by_uplink || with_home_address(plane, inner, Some(outer)).is_some() || nested(plane, inner, outer).is_some() {
        return true;
    }
    let home_address = match inner[6] {
        protocol::ROUTING if inner.len() >= HEADER_LEN + 24 && inner[42] == 2 => header::address(inner, HEADER_LEN + 8),
        _ => destination,
    };
    // To an anchor point's regional address whatever the headers behind it say.
    let slot = tables.mma_bindings.find(home_address).or_else(|| tables.mma_bindings.find(destination));
    let Some(slot) = slot else { return false };
    let binding = tables.mma_bindings.binding(slot);
    match binding.state {
        BindingState::Forward { to, .. } => outer == (binding.care_of, to),
        BindingState::Anchor => outer == (binding.source, binding.group),
        BindingState::Active => {
            let behind = |number: u32| tables.mma_bindings.sequence(slot).wrapping_sub(number).wrapping_sub(1);
            outer == (binding.source, binding.group)
                && match (binding.gre_key, sequence) {
                    (None, None) => true,
                    (Some(agreed), Some((key, number))) => agreed == key && behind(number) < SEQUENCE_SLACK,
                    _ => false,
                }
        }
    }
}

/// Where the program's packet starts in the inner one of two tunnels that this node put it into.
fn nested(plane: &Dataplane, inner: &[u8], tunnel: (Ipv6Addr, Ipv6Addr)) -> Option<usize> {
    let (at, None) = tunnelled(inner)? else { return None };
    let (source, destination) = (header::source(&inner[at..]), header::destination(&inner[at..]));
    match plane.tunnel_tables().uplinks.get(source, destination)? {
        Uplink::NestedTunnel { source, peer, care_of, home_agent, .. } => {
            let ours = (source, peer) == tunnel
                && (care_of, home_agent) == (header::source(inner), header::destination(inner));
            ours.then_some(at)
        }
        _ => None,
    }
}

/// Whether a Parameter Problem points at a Tunnel Encapsulation Limit in the outer headers: of all of them only that one
/// says anything about the inner packet (RFC 2473 §8.1).
fn is_encapsulation_limit(outer: &[u8], pointer: u32) -> bool {
    let at = pointer as usize;
    at >= 2 && at < outer.len() && outer[at - 2..at] == [option::ENCAPSULATION_LIMIT, 1]
}

fn is_signalling(packet: &[u8]) -> bool {
    super::upper_layer(packet).is_some_and(|(upper, _)| upper == protocol::MOBILITY)
}

/// The packet as the application sent it, where the quoted one is what an uplink made of it by a Home Address option, or
/// the mobility agent for the terminal: by itself, or in the tunnel with these outer addresses.
fn with_home_address(plane: &Dataplane, quoted: &[u8], tunnel: Option<(Ipv6Addr, Ipv6Addr)>) -> Option<Vec<u8>> {
    let option = home_address::inserted_option(quoted)?;
    if option.offset != HEADER_LEN + 6 || quoted[HEADER_LEN + 1] != 2 {
        return None;
    }
    let from = header::source(quoted);
    let (home_address, destination) = (option.home_address, header::destination(quoted));
    let tables = plane.tunnel_tables();
    let is_ours = match (tables.uplinks.get(home_address, destination), tunnel) {
        (Some(Uplink::Direct { source, .. }), None) => source == from,
        (Some(Uplink::OptimisedTunnel { source, peer, care_of, .. }), Some(outer)) => {
            (source, peer) == outer && care_of == from
        }
        (_, None) => tables.optimised.contains(home_address, destination, from) && !is_signalling(quoted),
        _ => false,
    };
    if !is_ours {
        return None;
    }
    let mut original = Vec::with_capacity(quoted.len());
    original.extend_from_slice(&quoted[..HEADER_LEN]);
    original.extend_from_slice(&quoted[HEADER_LEN + OPTION_LEN..]);
    original[6] = quoted[HEADER_LEN];
    original[8..24].copy_from_slice(&option.home_address.octets());
    let length = u16::from_be_bytes([quoted[4], quoted[5]]).checked_sub(OPTION_LEN as u16)?;
    original[4..6].copy_from_slice(&length.to_be_bytes());
    Some(original)
}

/// The packet as its program sent it, where the quoted one is what a binding of the correspondent made of it.
fn with_type2_routing(plane: &Dataplane, quoted: &[u8]) -> Option<Vec<u8>> {
    let (named_at, at) = home_address::header_of(quoted, home_address::routing_within(quoted)?)?;
    let home_address = header::address(quoted, at + 8);
    let (_, binding) = plane.tunnel_tables().correspondents.find(home_address, header::source(quoted))?;
    if binding.care_of != header::destination(quoted) {
        return None;
    }
    let length = u16::from_be_bytes([quoted[4], quoted[5]]).checked_sub(ROUTING_LEN as u16)?;
    let mut original = Vec::with_capacity(quoted.len());
    original.extend_from_slice(&quoted[..at]);
    original.extend_from_slice(&quoted[at + ROUTING_LEN..]);
    original[named_at] = quoted[at];
    original[24..40].copy_from_slice(&home_address.octets());
    original[4..6].copy_from_slice(&length.to_be_bytes());
    Some(original)
}

fn send(plane: &mut Dataplane, cause: Cause, original: &[u8]) {
    let sent = is_allowed(original, cause, false) && plane.send_error(cause, original, None).is_ok();
    if !sent {
        plane.count(Counter::RelaysSuppressed);
    }
}
