//! The two headers by which a packet carries a home address beside the care-of address that it travels with: the Home
//! Address option (RFC 6275 §6.3) and the type 2 routing header (§6.4), put into packets and taken out of them in place.
//!
//! Either is 24 octets. Both stand behind hop-by-hop options and other routing headers, and before everything else, so
//! that every fragment has them. Upper-layer checksums hold before and after: their pseudo-header has the home address
//! (§11.3.1).

use super::{fragmentation, header};
use crate::packet::Packet;
use crate::wire::ext::{HomeAddressOption, option};
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;

/// Octets of a Destination Options header with a Home Address option, which stands at 8n + 6.
pub(crate) const OPTION_LEN: usize = 24;
/// Octets of a type 2 routing header.
pub(crate) const ROUTING_LEN: usize = 24;

/// Why a home address cannot be put into a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InsertError {
    /// The headers that are there do not end within the packet, or hold one already.
    Headers,
    /// No headroom is left.
    Headroom,
}

/// Moves the source into a Home Address option, and speaks from `care_of`.
pub(super) fn insert_option(packet: &mut Packet, care_of: Ipv6Addr) -> Result<(), InsertError> {
    let bytes = packet.bytes();
    let (named_at, at) = fragmentation::unfragmentable(bytes).ok_or(InsertError::Headers)?;
    if bytes[named_at] == protocol::DESTINATION_OPTIONS && has_option(&bytes[at..]) {
        return Err(InsertError::Headers);
    }
    let home_address = header::source(bytes);
    let mut options = [0; OPTION_LEN];
    options[..8].copy_from_slice(&[bytes[named_at], 2, option::PADN, 2, 0, 0, option::HOME_ADDRESS, 16]);
    options[8..].copy_from_slice(&home_address.octets());
    insert(packet, named_at, at, protocol::DESTINATION_OPTIONS, &options)?;
    packet.bytes_mut()[8..24].copy_from_slice(&care_of.octets());
    Ok(())
}

/// Moves the destination into a type 2 routing header, and sends to `care_of`. A packet with a routing header of its
/// own stays as it is: its destination is not where it ends.
pub(super) fn insert_routing(packet: &mut Packet, care_of: Ipv6Addr) -> Result<(), InsertError> {
    let bytes = packet.bytes();
    let (named_at, at) = fragmentation::unfragmentable(bytes).ok_or(InsertError::Headers)?;
    if named_at != 6 && has_routing(bytes, at) {
        return Err(InsertError::Headers);
    }
    let home_address = header::destination(bytes);
    let mut routing = [0; ROUTING_LEN];
    routing[..4].copy_from_slice(&[bytes[named_at], 2, 2, 1]);
    routing[8..].copy_from_slice(&home_address.octets());
    insert(packet, named_at, at, protocol::ROUTING, &routing)?;
    packet.bytes_mut()[24..40].copy_from_slice(&care_of.octets());
    Ok(())
}

/// The option that [`insert_option`] has put into the packet.
pub(crate) fn inserted_option(packet: &[u8]) -> Option<HomeAddressOption> {
    let (named_at, at) = fragmentation::unfragmentable(packet)?;
    let is_there = packet[named_at] == protocol::DESTINATION_OPTIONS
        && packet.len() >= at + OPTION_LEN
        && packet[at + 6] == option::HOME_ADDRESS;
    is_there.then(|| HomeAddressOption { offset: at + 6, home_address: header::address(packet, at + 8) })
}

/// Takes the option out of the packet: the packet comes from the home address. A header that held nothing else goes
/// with it; in another one padding takes its place.
pub(super) fn take_option(packet: &mut Packet, option: &HomeAddressOption) {
    packet.bytes_mut()[8..24].copy_from_slice(&option.home_address.octets());
    let Some((named_at, at)) = header_of(packet.bytes(), option.offset) else { return };
    let bytes = packet.bytes_mut();
    bytes[option.offset] = option::PADN;
    bytes[option.offset + 2..option.offset + 18].fill(0);
    let length = 8 + 8 * usize::from(bytes[at + 1]);
    if is_padding(&bytes[at + 2..at + length]) {
        take_header(packet, named_at, at, length);
    }
}

/// Takes a type 2 routing header with one segment left out of the packet: it is to the home address.
pub(super) fn take_routing(packet: &mut Packet, offset: usize) {
    let Some((named_at, at)) = header_of(packet.bytes(), offset) else { return };
    let home_address = header::address(packet.bytes(), at + 8);
    packet.bytes_mut()[24..40].copy_from_slice(&home_address.octets());
    take_header(packet, named_at, at, ROUTING_LEN);
}

/// Makes room at `at`, behind the octet `named_at` that says what stands there.
fn insert<const N: usize>(
    packet: &mut Packet,
    named_at: usize,
    at: usize,
    kind: u8,
    header: &[u8; N],
) -> Result<(), InsertError> {
    if packet.headroom() < N {
        return Err(InsertError::Headroom);
    }
    packet.prepend::<N>();
    let bytes = packet.bytes_mut();
    bytes.copy_within(N..N + at, 0);
    bytes[named_at] = kind;
    bytes[at..at + N].copy_from_slice(header);
    header::set_length(bytes);
    Ok(())
}

/// Closes the gap that the header at `at` leaves.
fn take_header(packet: &mut Packet, named_at: usize, at: usize, length: usize) {
    let bytes = packet.bytes_mut();
    bytes[named_at] = bytes[at];
    bytes.copy_within(..at, length);
    packet.trim_front(length);
    header::set_length(packet.bytes_mut());
}

/// The octet that names the extension header in which `offset` lies, and where that header starts.
pub(crate) fn header_of(packet: &[u8], offset: usize) -> Option<(usize, usize)> {
    let (mut named_at, mut at) = (6, HEADER_LEN);
    loop {
        let length = match packet[named_at] {
            protocol::FRAGMENT => 8,
            _ => 8 + 8 * usize::from(*packet.get(at + 1)?),
        };
        if offset < at + length {
            return (at + length <= packet.len()).then_some((named_at, at));
        }
        (named_at, at) = (at, at + length);
    }
}

/// What follows the extension header in which `offset` lies.
pub(super) fn next_header_of(packet: &[u8], offset: usize) -> Option<u8> {
    header_of(packet, offset).map(|(_, at)| packet[at])
}

/// Where a type 2 routing header starts, in a packet that may be cut short.
pub(crate) fn routing_within(packet: &[u8]) -> Option<usize> {
    let (mut kind, mut at) = (*packet.get(6)?, HEADER_LEN);
    while matches!(kind, protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING) {
        let front = packet.get(at..at + 4)?;
        if kind == protocol::ROUTING && front[2] == 2 {
            return (front[1] == 2 && packet.len() >= at + ROUTING_LEN).then_some(at);
        }
        (kind, at) = (front[0], at + 8 + 8 * usize::from(front[1]));
    }
    None
}

/// Whether `offset` lies in a type 2 routing header, however wrong that is.
pub(super) fn is_in_routing(packet: &[u8], offset: usize) -> bool {
    header_of(packet, offset).is_some_and(|(named_at, at)| packet[named_at] == protocol::ROUTING && packet[at + 2] == 2)
}

/// Whether there is a routing header in front of `end`.
fn has_routing(packet: &[u8], end: usize) -> bool {
    let (mut named_at, mut at) = (6, HEADER_LEN);
    while at < end {
        if packet[named_at] == protocol::ROUTING {
            return true;
        }
        (named_at, at) = (at, at + 8 + 8 * usize::from(packet[at + 1]));
    }
    false
}

/// Whether the Destination Options header at the start of `rest` has a Home Address option.
fn has_option(rest: &[u8]) -> bool {
    let end = rest.get(1).map_or(0, |&length| 8 + 8 * usize::from(length));
    let mut found = false;
    each_option(rest.get(2..end).unwrap_or_default(), |kind| found |= kind == option::HOME_ADDRESS);
    found
}

/// Whether the options are nothing but padding.
fn is_padding(options: &[u8]) -> bool {
    let mut padding = true;
    each_option(options, |kind| padding &= matches!(kind, option::PAD1 | option::PADN));
    padding
}

fn each_option(mut options: &[u8], mut see: impl FnMut(u8)) {
    while let Some(&kind) = options.first() {
        see(kind);
        let length = match (kind, options.get(1)) {
            (option::PAD1, _) => 1,
            (_, Some(&length)) => 2 + usize::from(length),
            (_, None) => return,
        };
        options = options.get(length..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Pool;
    use crate::wire::build::PacketBuilder;
    use crate::wire::ext::Chain;

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
    const OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 9);

    fn echo(builder: PacketBuilder) -> Vec<u8> {
        builder.icmpv6(128, 0, b"\0\x01\0\x02data")
    }

    fn packet(bytes: &[u8]) -> Packet {
        Pool::new(1).unwrap().copy_of(bytes).unwrap()
    }

    /// Headers that may stand in front: none, hop-by-hop options, and a routing header.
    fn fronts() -> [fn(PacketBuilder) -> PacketBuilder; 3] {
        [|b| b, |b| b.router_alert(5), |b| b.router_alert(5).type2_routing(OTHER)]
    }

    #[test]
    fn the_option_goes_in_and_comes_out() {
        for front in fronts() {
            let plain = echo(front(PacketBuilder::new(HOME, OTHER)));
            let with_option = echo(front(PacketBuilder::new(CARE_OF, OTHER)).home_address(HOME));
            let mut packet = packet(&plain);
            assert_eq!(insert_option(&mut packet, CARE_OF), Ok(()));
            assert_eq!(packet.bytes(), with_option);
            assert_eq!(insert_option(&mut packet, OTHER), Err(InsertError::Headers), "once and not twice");
            let option = Chain::parse(packet.bytes()).unwrap().home_address.unwrap();
            take_option(&mut packet, &option);
            assert_eq!(packet.bytes(), plain);
        }
    }

    #[test]
    fn the_routing_header_goes_in_and_comes_out() {
        for front in &fronts()[..2] {
            let plain = echo(front(PacketBuilder::new(OTHER, HOME)));
            let routed = echo(front(PacketBuilder::new(OTHER, CARE_OF)).type2_routing(HOME));
            let mut packet = packet(&plain);
            assert_eq!(insert_routing(&mut packet, CARE_OF), Ok(()));
            assert_eq!(packet.bytes(), routed);
            assert_eq!(insert_routing(&mut packet, OTHER), Err(InsertError::Headers), "once and not twice");
            let offset = Chain::parse(packet.bytes()).unwrap().type2_routing.unwrap().offset;
            take_routing(&mut packet, offset);
            assert_eq!(packet.bytes(), plain);
        }
    }

    #[test]
    fn an_option_among_others_leaves_padding() {
        // A Tunnel Encapsulation Limit, one octet of padding, the Home Address option at 8n + 6, padding.
        let mut header = vec![protocol::NONE, 3, option::ENCAPSULATION_LIMIT, 1, 4, option::PAD1];
        header.extend_from_slice(&[option::HOME_ADDRESS, 16]);
        header.extend_from_slice(&HOME.octets());
        header.extend_from_slice(&[option::PADN, 6, 0, 0, 0, 0, 0, 0]);
        let bytes = PacketBuilder::new(CARE_OF, OTHER).payload(protocol::DESTINATION_OPTIONS, &header);
        let mut packet = packet(&bytes);
        let chain = Chain::parse(packet.bytes()).unwrap();
        take_option(&mut packet, &chain.home_address.unwrap());
        header[6..24].fill(0);
        header[6..8].copy_from_slice(&[option::PADN, 16]);
        let expected = PacketBuilder::new(HOME, OTHER).payload(protocol::DESTINATION_OPTIONS, &header);
        assert_eq!(packet.bytes(), expected);
        let left = Chain::parse(packet.bytes()).unwrap();
        assert_eq!((left.home_address, left.encapsulation_limit), (None, chain.encapsulation_limit));
    }

    #[test]
    fn what_follows_the_options_is_not_taken_for_one() {
        // Octets of the upper layer where an option would stand if the header went on.
        let header = [protocol::NONE, 0, option::PADN, 4, 0, 0, 0, 0, option::HOME_ADDRESS, 16, 0, 0, 0, 0, 0, 0];
        let bytes = PacketBuilder::new(HOME, OTHER).payload(protocol::DESTINATION_OPTIONS, &header);
        let mut packet = packet(&bytes);
        assert_eq!(insert_option(&mut packet, CARE_OF), Ok(()));
        let option = inserted_option(packet.bytes()).unwrap();
        assert_eq!((option.offset, option.home_address), (46, HOME));
        take_option(&mut packet, &option);
        assert_eq!(packet.bytes(), bytes);
    }

    #[test]
    fn headers_that_do_not_end_are_left_alone() {
        let cut = &echo(PacketBuilder::new(HOME, OTHER).type2_routing(CARE_OF))[..48];
        let mut packet = packet(cut);
        assert_eq!(insert_option(&mut packet, CARE_OF), Err(InsertError::Headers));
        assert_eq!(insert_routing(&mut packet, CARE_OF), Err(InsertError::Headers));
        assert_eq!(packet.bytes(), cut);
    }
}
