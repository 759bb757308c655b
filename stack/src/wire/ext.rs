//! The chain of extension headers between the IPv6 header and the upper layer (RFC 8200 §4).
//!
//! [`Chain::parse`] walks it once and keeps what this stack acts on: Router Alert (RFC 2711), the Home Address option
//! (RFC 6275 §6.3), the type 2 routing header (§6.4), the Tunnel Encapsulation Limit (RFC 2473 §4.1.1) and the fragment
//! header. Options that it does not know are treated as their two highest bits say (RFC 8200 §4.2).

use super::error::{WireError, WireErrorKind, address_at, octet, slice, u16_at, u32_at};
use super::ipv6::{self, protocol};
use crate::addr;
use core::net::Ipv6Addr;

/// More extension headers than this make a packet hostile (RFC 8504 §5.3 suggests such a limit).
pub const MAX_HEADERS: usize = 8;
/// More options than this in one header, padding included, likewise (RFC 8504 §5.3).
pub const MAX_OPTIONS: usize = 16;

/// Option types.
pub mod option {
    /// One octet of padding.
    pub const PAD1: u8 = 0;
    /// Padding.
    pub const PADN: u8 = 1;
    /// Tunnel Encapsulation Limit (RFC 2473 §4.1.1).
    pub const ENCAPSULATION_LIMIT: u8 = 4;
    /// Router Alert (RFC 2711).
    pub const ROUTER_ALERT: u8 = 5;
    /// Home Address (RFC 6275 §6.3).
    pub const HOME_ADDRESS: u8 = 0xc9;
}

/// A type 2 routing header (RFC 6275 §6.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Type2Routing {
    /// Octet of the packet at which the routing header starts.
    pub offset: usize,
    /// 1 before the mobile node has processed it, 0 after.
    pub segments_left: u8,
    /// The home address.
    pub home_address: Ipv6Addr,
}

/// A Home Address destination option (RFC 6275 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HomeAddressOption {
    /// Octet of the packet at which the option starts.
    pub offset: usize,
    /// The home address.
    pub home_address: Ipv6Addr,
}

/// A fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Octet of the packet at which the fragment header starts.
    pub offset: usize,
    /// Where this fragment's data belongs, in octets.
    pub fragment_offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
    /// Identification.
    pub identification: u32,
}

impl Fragment {
    /// A whole packet that only looks fragmented (RFC 6946).
    pub const fn is_atomic(&self) -> bool {
        self.fragment_offset == 0 && !self.more
    }
}

/// What the extension headers of a packet say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chain {
    /// The protocol behind the last header that was walked. [`protocol::FRAGMENT`] never: a fragment that is not the
    /// first ends the walk, and `upper` is then the next header that its fragment header names.
    pub upper: u8,
    /// Octet of the packet at which the upper layer starts.
    pub upper_offset: usize,
    /// Octet of the packet that names `upper`, for Parameter Problem code 1.
    pub upper_named_at: usize,
    /// The Home Address option.
    pub home_address: Option<HomeAddressOption>,
    /// The type 2 routing header.
    pub type2_routing: Option<Type2Routing>,
    /// The fragment header.
    pub fragment: Option<Fragment>,
    /// The value of Router Alert.
    pub router_alert: Option<u16>,
    /// Octet of the option's value, and the value, of the Tunnel Encapsulation Limit.
    pub encapsulation_limit: Option<(usize, u8)>,
}

impl Chain {
    /// Walks the extension headers of `packet`, which starts with an IPv6 header that was checked by
    /// [`ipv6::Header::parse`]. Offsets in the answer and in errors count from the IPv6 header.
    ///
    /// # Errors
    /// `Truncated` and `Length` for headers that do not fit, `TooMany` beyond [`MAX_HEADERS`] and [`MAX_OPTIONS`],
    /// `Value` for what the RFCs forbid (a routing header with segments left that is not type 2, a second Home Address
    /// option or one that is not routable), `UnknownOption` and `UnknownOptionSilent` as the option's type demands,
    /// `UnknownNextHeader` for a Hop-by-Hop header that is not the first.
    pub fn parse(packet: &[u8]) -> Result<Self, WireError> {
        let mut chain = Chain {
            upper: octet(packet, 6)?,
            upper_offset: ipv6::HEADER_LEN,
            upper_named_at: 6,
            home_address: None,
            type2_routing: None,
            fragment: None,
            router_alert: None,
            encapsulation_limit: None,
        };
        let multicast = octet(packet, 24)? == 0xff;
        for count in 0.. {
            let at = chain.upper_offset;
            let length = match chain.upper {
                protocol::HOP_BY_HOP if count > 0 => {
                    return Err(WireError::new(WireErrorKind::UnknownNextHeader, chain.upper_named_at));
                }
                protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS => {
                    let length = 8 + 8 * usize::from(octet(packet, at + 1)?);
                    chain.parse_options(packet, at, slice(packet, at, length)?, multicast)?;
                    length
                }
                protocol::ROUTING => {
                    let length = 8 + 8 * usize::from(octet(packet, at + 1)?);
                    slice(packet, at, length)?;
                    chain.parse_routing(packet, at, length)?;
                    length
                }
                protocol::FRAGMENT => {
                    let field = u16_at(packet, at + 2)?;
                    chain.fragment = Some(Fragment {
                        offset: at,
                        fragment_offset: field & !7,
                        more: field & 1 != 0,
                        identification: u32_at(packet, at + 4)?,
                    });
                    8
                }
                _ => return Ok(chain),
            };
            if count == MAX_HEADERS {
                return Err(WireError::new(WireErrorKind::TooMany, at));
            }
            chain.upper = octet(packet, at)?;
            chain.upper_named_at = at;
            chain.upper_offset = at + length;
            if chain.fragment.is_some_and(|fragment| fragment.fragment_offset > 0) {
                return Ok(chain);
            }
        }
        unreachable!("the walk ends by MAX_HEADERS")
    }

    fn parse_routing(&mut self, packet: &[u8], at: usize, length: usize) -> Result<(), WireError> {
        let (kind, segments_left) = (octet(packet, at + 2)?, octet(packet, at + 3)?);
        if kind == 2 {
            if length != 24 {
                return Err(WireError::new(WireErrorKind::Length, at + 1));
            }
            if segments_left > 1 {
                return Err(WireError::new(WireErrorKind::Value, at + 3));
            }
            let home_address = address_at(packet, at + 8)?;
            self.type2_routing = Some(Type2Routing { offset: at, segments_left, home_address });
            return Ok(());
        }
        // RFC 8200 §4.4: an unknown type is skipped when no segments are left, else answered; type 0 is gone (RFC 5095).
        if segments_left > 0 { Err(WireError::new(WireErrorKind::Value, at + 2)) } else { Ok(()) }
    }

    fn parse_options(&mut self, packet: &[u8], at: usize, header: &[u8], multicast: bool) -> Result<(), WireError> {
        let mut offset = 2;
        for _ in 0..MAX_OPTIONS {
            if offset >= header.len() {
                return Ok(());
            }
            let kind = header[offset];
            if kind == option::PAD1 {
                offset += 1;
                continue;
            }
            let here = at + offset;
            let length = usize::from(octet(header, offset + 1).map_err(|e| e.shift(at))?);
            let end = offset + 2 + length;
            if end > header.len() {
                return Err(WireError::new(WireErrorKind::Length, here + 1));
            }
            match kind {
                option::PADN => {}
                option::ROUTER_ALERT if length == 2 => self.router_alert = Some(u16_at(packet, here + 2)?),
                option::ENCAPSULATION_LIMIT if length == 1 => {
                    self.encapsulation_limit = Some((here + 2, octet(packet, here + 2)?));
                }
                option::HOME_ADDRESS => {
                    let home_address = address_at(packet, here + 2)?;
                    if length != 16 || self.home_address.is_some() {
                        return Err(WireError::new(WireErrorKind::Length, here + 1));
                    }
                    if !addr::is_routable_unicast(home_address) {
                        return Err(WireError::new(WireErrorKind::Value, here + 2));
                    }
                    self.home_address = Some(HomeAddressOption { offset: here, home_address });
                }
                option::ROUTER_ALERT | option::ENCAPSULATION_LIMIT => {
                    return Err(WireError::new(WireErrorKind::Length, here + 1));
                }
                _ => match kind >> 6 {
                    0 => {}
                    1 => return Err(WireError::new(WireErrorKind::UnknownOptionSilent, here)),
                    3 if multicast => return Err(WireError::new(WireErrorKind::UnknownOptionSilent, here)),
                    _ => return Err(WireError::new(WireErrorKind::UnknownOption, here)),
                },
            }
            offset = end;
        }
        if offset >= header.len() { Ok(()) } else { Err(WireError::new(WireErrorKind::TooMany, at + offset)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::build::PacketBuilder;

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
    const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

    #[test]
    fn finds_home_address_and_type2_routing() {
        let packet = PacketBuilder::new(CARE_OF, AGENT).home_address(HOME).icmpv6(128, 0, &[0; 4]);
        let chain = Chain::parse(&packet).unwrap();
        assert_eq!(chain.upper, protocol::ICMPV6);
        assert_eq!(chain.home_address.unwrap().home_address, HOME);
        assert_eq!(chain.upper_offset, 64);

        let packet = PacketBuilder::new(AGENT, CARE_OF).type2_routing(HOME).icmpv6(128, 0, &[0; 4]);
        let chain = Chain::parse(&packet).unwrap();
        let expected = Type2Routing { offset: 40, segments_left: 1, home_address: HOME };
        assert_eq!(chain.type2_routing, Some(expected));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_chain() {
        let packet =
            PacketBuilder::new(CARE_OF, AGENT).router_alert(0).home_address(HOME).type2_routing(HOME).icmpv6(1, 0, &[]);
        let whole = Chain::parse(&packet).unwrap();
        for cut in 0..packet.len() {
            if let Ok(chain) = Chain::parse(&packet[..cut]) {
                assert_eq!(chain, whole);
                assert!(cut >= whole.upper_offset);
            }
        }
    }

    #[test]
    fn unknown_options_do_as_their_type_says() {
        let mut packet = PacketBuilder::new(CARE_OF, AGENT).router_alert(0).icmpv6(128, 0, &[]);
        for (kind, expected) in [
            (0x1e, None),
            (0x5e, Some(WireErrorKind::UnknownOptionSilent)),
            (0x9e, Some(WireErrorKind::UnknownOption)),
            (0xde, Some(WireErrorKind::UnknownOption)),
        ] {
            packet[42] = kind;
            assert_eq!(Chain::parse(&packet).err().map(|e| e.kind), expected);
        }
        packet[24..40].copy_from_slice(&addr::ALL_NODES.octets());
        assert_eq!(Chain::parse(&packet).unwrap_err().kind, WireErrorKind::UnknownOptionSilent);
    }
}
