//! What terminals away from home ask of home agents by ICMPv6: which agents the home link has (RFC 6275 §6.5, §6.6), and
//! which prefixes (§6.7, §6.8).
//!
//! [`Message::parse`] and [`Message::emit`] are the wire; checksums are the caller's, as with all of ICMPv6. Options that
//! are unknown or break their format are skipped, as §6.7 and §6.8 want it.
//!
//! ```text
//!    0                   1                   2                   3
//!   +---------------+---------------+-------------------------------+
//!   | 144 … 147     | 0             | checksum                      |
//!   +---------------+---------------+---+---------------------------+
//!   | identifier                    |M|O| reserved                  |
//!   +-------------------------------+---+---------------------------+
//!   | 145: addresses; 147: Prefix Information options               |
//! ```

use super::build::PacketBuilder;
use super::error::{WireError, WireErrorKind, address_at, octet, slice, u16_at};
use super::ipv6::{self, protocol};
use super::nd::{self, PrefixInformation};
use crate::addr::Prefix;
use core::net::Ipv6Addr;

/// ICMPv6 type of a Home Agent Address Discovery Request.
pub const TYPE_ADDRESS_REQUEST: u8 = 144;
/// ICMPv6 type of a Home Agent Address Discovery Reply.
pub const TYPE_ADDRESS_REPLY: u8 = 145;
/// ICMPv6 type of a Mobile Prefix Solicitation.
pub const TYPE_PREFIX_SOLICITATION: u8 = 146;
/// ICMPv6 type of a Mobile Prefix Advertisement.
pub const TYPE_PREFIX_ADVERTISEMENT: u8 = 147;

const HEADER_LEN: usize = 8;
const ADDRESS_LEN: usize = 16;
/// Addresses that fit a reply of 1280 octets (RFC 6275 §10.5.1).
pub const MAX_ADDRESSES: usize = (ipv6::MINIMUM_MTU - ipv6::HEADER_LEN - HEADER_LEN) / ADDRESS_LEN;
/// Where the checksum stands.
pub const CHECKSUM_AT: usize = 2;

/// One of the four messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Home Agent Address Discovery Request.
    AddressRequest {
        /// Comes back in the reply.
        identifier: u16,
    },
    /// Home Agent Address Discovery Reply.
    AddressReply {
        /// That of the request.
        identifier: u16,
        /// Home agents, the best first.
        agents: Vec<Ipv6Addr>,
    },
    /// Mobile Prefix Solicitation.
    PrefixSolicitation {
        /// Comes back in the advertisement.
        identifier: u16,
    },
    /// Mobile Prefix Advertisement.
    PrefixAdvertisement {
        /// That of the solicitation, or one of its own.
        identifier: u16,
        /// The M flag.
        managed: bool,
        /// The O flag.
        other_configuration: bool,
        /// Every prefix of the home link.
        prefixes: Vec<PrefixInformation>,
    },
}

/// Whether an ICMPv6 message of this type is one of these.
pub const fn is_home_link(icmp_type: u8) -> bool {
    matches!(icmp_type, TYPE_ADDRESS_REQUEST..=TYPE_PREFIX_ADVERTISEMENT)
}

/// The Mobile IPv6 Home-Agents anycast address of a home prefix (RFC 2526 §2, §3: identifier 126).
pub const fn home_agents_anycast(prefix: Prefix) -> Ipv6Addr {
    const IDENTIFIER: u128 = 0x7e;
    let bits = prefix.address().to_bits();
    // Interface identifiers in EUI-64 form have a cleared universal bit, all others are ones.
    let ones = match prefix.length() {
        64 => 0xfdff_ffff_ffff_ff80,
        length if length < 121 => u128::MAX >> length & !0x7f,
        _ => 0,
    };
    Ipv6Addr::from_bits(bits | ones | IDENTIFIER)
}

impl Message {
    /// Reads the ICMPv6 message `bytes`.
    ///
    /// # Errors
    /// `Truncated`; `Length` for an address that is cut off or an option that does not fit; `TooMany` addresses or
    /// options; `Value` for another type or code.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let kind = octet(bytes, 0)?;
        if !is_home_link(kind) {
            return Err(WireError::new(WireErrorKind::Value, 0));
        }
        slice(bytes, 0, HEADER_LEN)?;
        if octet(bytes, 1)? != 0 {
            return Err(WireError::new(WireErrorKind::Value, 1));
        }
        let identifier = u16_at(bytes, 4)?;
        match kind {
            TYPE_ADDRESS_REQUEST => Ok(Message::AddressRequest { identifier }),
            TYPE_PREFIX_SOLICITATION => Ok(Message::PrefixSolicitation { identifier }),
            TYPE_ADDRESS_REPLY => {
                let length = bytes.len() - HEADER_LEN;
                if !length.is_multiple_of(ADDRESS_LEN) {
                    return Err(WireError::new(WireErrorKind::Length, bytes.len()));
                }
                if length / ADDRESS_LEN > MAX_ADDRESSES {
                    return Err(WireError::new(WireErrorKind::TooMany, HEADER_LEN + MAX_ADDRESSES * ADDRESS_LEN));
                }
                let at = (HEADER_LEN..bytes.len()).step_by(ADDRESS_LEN);
                let agents = at.map(|at| address_at(bytes, at)).collect::<Result<_, _>>()?;
                Ok(Message::AddressReply { identifier, agents })
            }
            _ => {
                let flags = octet(bytes, 6)?;
                let mut prefixes = Vec::new();
                nd::for_each_option(bytes, HEADER_LEN, |kind, data| {
                    if kind == nd::option::PREFIX_INFORMATION {
                        prefixes.extend(nd::prefix_information(data));
                    }
                })?;
                let (managed, other_configuration) = (flags & 0x80 != 0, flags & 0x40 != 0);
                Ok(Message::PrefixAdvertisement { identifier, managed, other_configuration, prefixes })
            }
        }
    }

    /// The ICMPv6 message, its checksum zero.
    pub fn emit(&self) -> Vec<u8> {
        let (kind, identifier, flags) = match self {
            Message::AddressRequest { identifier } => (TYPE_ADDRESS_REQUEST, identifier, 0),
            Message::AddressReply { identifier, .. } => (TYPE_ADDRESS_REPLY, identifier, 0),
            Message::PrefixSolicitation { identifier } => (TYPE_PREFIX_SOLICITATION, identifier, 0),
            Message::PrefixAdvertisement { identifier, managed, other_configuration, .. } => {
                let flags = u8::from(*managed) << 7 | u8::from(*other_configuration) << 6;
                (TYPE_PREFIX_ADVERTISEMENT, identifier, flags)
            }
        };
        let [i0, i1] = identifier.to_be_bytes();
        let mut bytes = vec![kind, 0, 0, 0, i0, i1, flags, 0];
        match self {
            Message::AddressReply { agents, .. } => {
                agents.iter().for_each(|agent| bytes.extend_from_slice(&agent.octets()));
            }
            Message::PrefixAdvertisement { prefixes, .. } => {
                prefixes.iter().for_each(|prefix| prefix.emit(&mut bytes));
            }
            Message::AddressRequest { .. } | Message::PrefixSolicitation { .. } => {}
        }
        bytes
    }

    /// The packet with this message; `home_address` as a Home Address option in a solicitation, in a type 2 routing
    /// header of an advertisement, where those need one.
    pub fn packet(&self, source: Ipv6Addr, destination: Ipv6Addr, home_address: Option<Ipv6Addr>) -> Vec<u8> {
        let builder = PacketBuilder::new(source, destination);
        let builder = match (self, home_address) {
            (Message::PrefixSolicitation { .. }, Some(home_address)) => builder.home_address(home_address),
            (Message::PrefixAdvertisement { .. }, Some(home_address)) => builder.type2_routing(home_address),
            _ => builder,
        };
        builder.checksummed(protocol::ICMPV6, self.emit(), CHECKSUM_AT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checksum;
    use crate::wire::ext::Chain;

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);

    fn prefix() -> PrefixInformation {
        PrefixInformation {
            address: AGENT,
            prefix_length: 64,
            on_link: true,
            autonomous: true,
            router_address: true,
            valid_lifetime_secs: 2_592_000,
            preferred_lifetime_secs: 604_800,
        }
    }

    fn messages() -> Vec<Message> {
        let (identifier, prefixes) = (0x1234, vec![prefix(), PrefixInformation { address: CARE_OF, ..prefix() }]);
        vec![
            Message::AddressRequest { identifier },
            Message::AddressReply { identifier, agents: Vec::new() },
            Message::AddressReply { identifier, agents: vec![AGENT, CARE_OF] },
            Message::PrefixSolicitation { identifier },
            Message::PrefixAdvertisement { identifier, managed: true, other_configuration: false, prefixes },
        ]
    }

    #[test]
    fn messages_come_back() {
        for message in messages() {
            let bytes = message.emit();
            assert_eq!(bytes[4..6], [0x12, 0x34]);
            assert_eq!(Message::parse(&bytes), Ok(message.clone()));
            // Reserved fields are ignored.
            let mut reserved = bytes.clone();
            reserved[7] = 0xff;
            assert_eq!(Message::parse(&reserved), Ok(message.clone()));
            for cut in 0..HEADER_LEN {
                assert_eq!(Message::parse(&bytes[..cut]).unwrap_err().kind, WireErrorKind::Truncated);
            }
        }
    }

    #[test]
    fn what_is_refused() {
        let refused = |bytes: &[u8]| Message::parse(bytes).map_err(|error| (error.kind, error.offset)).unwrap_err();
        let mut bytes = Message::AddressRequest { identifier: 1 }.emit();
        bytes[1] = 1;
        assert_eq!(refused(&bytes), (WireErrorKind::Value, 1));
        bytes[0] = 148;
        assert_eq!(refused(&bytes), (WireErrorKind::Value, 0));
        let mut reply = Message::AddressReply { identifier: 1, agents: vec![AGENT; MAX_ADDRESSES + 1] }.emit();
        assert_eq!(refused(&reply).0, WireErrorKind::TooMany);
        reply.truncate(HEADER_LEN + 15);
        assert_eq!(refused(&reply), (WireErrorKind::Length, HEADER_LEN + 15));
        let mut advertisement = messages().pop().unwrap().emit();
        advertisement[HEADER_LEN + 1] = 0;
        assert_eq!(refused(&advertisement), (WireErrorKind::Length, HEADER_LEN + 1));
    }

    #[test]
    fn unknown_options_are_skipped() {
        let advertisement = messages().pop().unwrap();
        let mut bytes = advertisement.emit();
        bytes.splice(HEADER_LEN..HEADER_LEN, [200, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Message::parse(&bytes), Ok(advertisement));
    }

    #[test]
    fn a_reply_fits_the_minimum_mtu() {
        let reply = Message::AddressReply { identifier: 1, agents: vec![AGENT; MAX_ADDRESSES] };
        let packet = reply.packet(AGENT, CARE_OF, None);
        assert!((1264..=1280).contains(&packet.len()), "{}", packet.len());
        assert!(checksum::verify(AGENT, CARE_OF, protocol::ICMPV6, &packet[40..]));
    }

    #[test]
    fn prefix_messages_are_between_home_address_and_agent() {
        let solicitation = Message::PrefixSolicitation { identifier: 1 }.packet(CARE_OF, AGENT, Some(HOME));
        let chain = Chain::parse(&solicitation).unwrap();
        assert_eq!(chain.home_address.map(|option| option.home_address), Some(HOME));
        assert!(checksum::verify(HOME, AGENT, protocol::ICMPV6, &solicitation[chain.upper_offset..]));
        let packet = messages().pop().unwrap().packet(AGENT, CARE_OF, Some(HOME));
        let chain = Chain::parse(&packet).unwrap();
        assert_eq!(chain.type2_routing.map(|routing| routing.home_address), Some(HOME));
        assert!(checksum::verify(AGENT, HOME, protocol::ICMPV6, &packet[chain.upper_offset..]));
    }

    #[test]
    fn anycast_addresses() {
        for (prefix, anycast) in [
            ("2001:db8:1::/64", "2001:db8:1:0:fdff:ffff:ffff:fffe"),
            ("2001:db8:1::/48", "2001:db8:1:ffff:ffff:ffff:ffff:fffe"),
            ("2001:db8:1::/112", "2001:db8:1::fffe"),
        ] {
            assert_eq!(home_agents_anycast(prefix.parse().unwrap()).to_string(), anycast);
        }
    }
}
