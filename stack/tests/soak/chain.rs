//! The chain of extension headers (RFC 8200 §4), as far as a soak makes use of them.

use super::octets::{HEADER, address, destination, next};
use core::net::Ipv6Addr;

/// What the headers in front of the upper layer say.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Chain {
    pub(crate) upper: u8,
    pub(crate) upper_at: usize,
    /// The octet that names the upper layer.
    pub(crate) named_at: usize,
    /// A type 2 routing header: segments left and home address.
    pub(crate) routing: Option<(u8, Ipv6Addr)>,
    /// A Home Address option: where it starts, and the address.
    pub(crate) home_address: Option<(usize, Ipv6Addr)>,
    /// A fragment of a packet that is in several.
    pub(crate) is_fragment: bool,
    /// A fragment, and not the first.
    pub(crate) is_later_fragment: bool,
    pub(crate) router_alert: Option<u16>,
}

/// What is wrong with headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// They end beyond the packet.
    Cut,
    /// An option that nobody knows, to be answered.
    Option(usize),
    /// One to be dropped without a word.
    Silent,
    /// A field.
    Field(usize),
}

/// Walks the headers.
pub(crate) fn chain(packet: &[u8]) -> Result<Chain, Fault> {
    let mut chain = Chain { upper: packet[6], upper_at: HEADER, named_at: 6, ..Chain::default() };
    loop {
        let at = chain.upper_at;
        if !matches!(chain.upper, next::HOP_BY_HOP | next::OPTIONS | next::ROUTING | next::FRAGMENT) {
            return Ok(chain);
        }
        let front = packet.get(at..at + 8).ok_or(Fault::Cut)?;
        let length = if chain.upper == next::FRAGMENT { 8 } else { 8 + 8 * usize::from(front[1]) };
        packet.get(at..at + length).ok_or(Fault::Cut)?;
        match chain.upper {
            next::ROUTING if front[2] == 2 && front[1] == 2 => {
                chain.routing = Some((front[3], address(packet, at + 8)));
            }
            next::ROUTING if front[3] > 0 => return Err(Fault::Field(at + 2)),
            next::ROUTING => {}
            next::FRAGMENT => {
                let field = u16::from_be_bytes([front[2], front[3]]);
                chain.is_fragment = field & 0xfff9 != 0;
                chain.is_later_fragment = field & 0xfff8 != 0;
            }
            _ => options(packet, at, length, &mut chain)?,
        }
        (chain.upper, chain.named_at, chain.upper_at) = (packet[at], at, at + length);
        if chain.is_later_fragment {
            return Ok(chain);
        }
    }
}

fn options(packet: &[u8], header: usize, length: usize, chain: &mut Chain) -> Result<(), Fault> {
    let (mut at, end) = (header + 2, header + length);
    while at < end {
        let kind = packet[at];
        if kind == 0 {
            at += 1;
            continue;
        }
        match kind {
            1 | 4 => {}
            5 => chain.router_alert = Some(u16::from_be_bytes([packet[at + 2], packet[at + 3]])),
            0xc9 => chain.home_address = Some((at, address(packet, at + 2))),
            // RFC 8200 §4.2: the two highest bits say what becomes of the packet.
            _ => match kind >> 6 {
                0 => {}
                1 => return Err(Fault::Silent),
                3 if destination(packet).is_multicast() => return Err(Fault::Silent),
                _ => return Err(Fault::Option(at)),
            },
        }
        at += 2 + usize::from(packet[at + 1]);
    }
    Ok(())
}

/// The protocol and place of the upper layer whatever is in front of it; none in a later fragment.
pub(crate) fn upper(packet: &[u8]) -> Option<(u8, usize)> {
    let (mut kind, mut at) = (packet[6], HEADER);
    while matches!(kind, next::HOP_BY_HOP | next::OPTIONS | next::ROUTING | next::FRAGMENT) {
        let front = packet.get(at..at + 4)?;
        if kind == next::FRAGMENT && u16::from_be_bytes([front[2], front[3]]) > 7 {
            return None;
        }
        let length = if kind == next::FRAGMENT { 8 } else { 8 + 8 * usize::from(front[1]) };
        (kind, at) = (front[0], at + length);
    }
    Some((kind, at))
}

/// The Tunnel Encapsulation Limit in a Destination Options header right behind the IPv6 header or its hop-by-hop
/// options: where it stands, and it (RFC 2473 §4.1.1).
pub(crate) fn encapsulation_limit(packet: &[u8]) -> Option<(usize, u8)> {
    let (mut kind, mut at) = (packet[6], HEADER);
    if kind == next::HOP_BY_HOP {
        (kind, at) = (packet[at], at + 8 + 8 * usize::from(packet[at + 1]));
    }
    if kind != next::OPTIONS {
        return None;
    }
    let end = at + 8 + 8 * usize::from(*packet.get(at + 1)?);
    at += 2;
    while at + 2 < end.min(packet.len()) {
        match packet[at] {
            0 => at += 1,
            4 => return Some((at + 2, packet[at + 2])),
            _ => at += 2 + usize::from(packet[at + 1]),
        }
    }
    None
}

/// Where the headers end that routers on the way may read, and the octet that names what follows them: hop-by-hop
/// options, routing headers, and destination options in front of one (RFC 8200 §4.5); a Home Address option too, which
/// every fragment has (RFC 6275 §6.3).
pub(crate) fn before_fragment_header(packet: &[u8]) -> (usize, usize) {
    let (mut named_at, mut at) = (6, HEADER);
    loop {
        let is_front = match packet[named_at] {
            next::HOP_BY_HOP | next::ROUTING => true,
            next::OPTIONS => packet[at] == next::ROUTING || packet[at + 6] == 0xc9,
            _ => false,
        };
        if !is_front {
            return (named_at, at);
        }
        (named_at, at) = (at, at + 8 + 8 * usize::from(packet[at + 1]));
    }
}

/// Reads hop-by-hop options as a router does: the value of Router Alert, what follows, and their octets.
pub(crate) fn hop_by_hop(packet: &[u8]) -> Result<(Option<u16>, u8, usize), Fault> {
    let front = packet.get(HEADER..HEADER + 8).ok_or(Fault::Cut)?;
    let length = 8 + 8 * usize::from(front[1]);
    packet.get(HEADER..HEADER + length).ok_or(Fault::Cut)?;
    let mut chain = Chain::default();
    options(packet, HEADER, length, &mut chain)?;
    Ok((chain.router_alert, front[0], length))
}
