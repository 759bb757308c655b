//! The Hop-by-Hop Options header as a router reads it (RFC 8200 §4.3), without a look at anything behind it.

use super::error::{WireError, WireErrorKind, octet, slice, u16_at};
use super::ext::{MAX_OPTIONS, option};
use super::ipv6;

/// What a Hop-by-Hop Options header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HopByHop {
    /// Type of the header that follows.
    pub next_header: u8,
    /// Octets of the header.
    pub length: usize,
    /// The value of Router Alert (RFC 2711).
    pub router_alert: Option<u16>,
}

/// Reads the Hop-by-Hop Options header of `packet`, which starts with an IPv6 header that names it. Offsets in errors
/// count from the IPv6 header.
///
/// # Errors
/// `Truncated` and `Length` for what does not fit, `TooMany` beyond [`MAX_OPTIONS`], `UnknownOption` and
/// `UnknownOptionSilent` as the option's type demands.
pub fn hop_by_hop(packet: &[u8]) -> Result<HopByHop, WireError> {
    let at = ipv6::HEADER_LEN;
    let length = 8 + 8 * usize::from(octet(packet, at + 1)?);
    slice(packet, at, length)?;
    let multicast = octet(packet, 24)? == 0xff;
    let mut header = HopByHop { next_header: octet(packet, at)?, length, router_alert: None };
    let (mut offset, end) = (at + 2, at + length);
    for _ in 0..MAX_OPTIONS {
        if offset >= end {
            return Ok(header);
        }
        let kind = octet(packet, offset)?;
        if kind == option::PAD1 {
            offset += 1;
            continue;
        }
        if offset + 1 >= end {
            return Err(WireError::new(WireErrorKind::Length, offset));
        }
        let data = usize::from(octet(packet, offset + 1)?);
        if offset + 2 + data > end {
            return Err(WireError::new(WireErrorKind::Length, offset + 1));
        }
        match kind {
            option::PADN => {}
            option::ROUTER_ALERT if data == 2 => header.router_alert = Some(u16_at(packet, offset + 2)?),
            option::ROUTER_ALERT => return Err(WireError::new(WireErrorKind::Length, offset + 1)),
            _ => match kind >> 6 {
                0 => {}
                1 => return Err(WireError::new(WireErrorKind::UnknownOptionSilent, offset)),
                3 if multicast => return Err(WireError::new(WireErrorKind::UnknownOptionSilent, offset)),
                _ => return Err(WireError::new(WireErrorKind::UnknownOption, offset)),
            },
        }
        offset += 2 + data;
    }
    if offset >= end { Ok(header) } else { Err(WireError::new(WireErrorKind::TooMany, offset)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::build::PacketBuilder;
    use crate::wire::ipv6::protocol;
    use core::net::Ipv6Addr;
    use proptest::prelude::*;

    const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

    #[test]
    fn finds_router_alert() {
        let packet = PacketBuilder::new(SOURCE, GROUP).router_alert(0).icmpv6(143, 0, &[0; 4]);
        let expected = HopByHop { next_header: protocol::ICMPV6, length: 8, router_alert: Some(0) };
        assert_eq!(hop_by_hop(&packet), Ok(expected));
        for cut in 0..48 {
            assert!(hop_by_hop(&packet[..cut]).is_err());
        }
    }

    #[test]
    fn options_do_as_their_type_says() {
        let mut packet = PacketBuilder::new(SOURCE, SOURCE).router_alert(0).icmpv6(143, 0, &[0; 4]);
        for (kind, expected) in [
            (0x1e, None),
            (0x5e, Some(WireErrorKind::UnknownOptionSilent)),
            (0x9e, Some(WireErrorKind::UnknownOption)),
            (0xde, Some(WireErrorKind::UnknownOption)),
        ] {
            packet[42] = kind;
            assert_eq!(hop_by_hop(&packet).err().map(|error| error.kind), expected);
        }
        packet[24] = 0xff;
        assert_eq!(hop_by_hop(&packet), Err(WireError::new(WireErrorKind::UnknownOptionSilent, 42)));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = hop_by_hop(&bytes);
        }
    }
}
