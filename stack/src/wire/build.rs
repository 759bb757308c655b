//! Whole IPv6 packets as protocol machines send them: header, the extension headers that Mobile IPv6 and MLD need,
//! and an upper-layer message with its checksum.

use super::checksum;
use super::ext::option;
use super::ipv6::{self, protocol};
use core::net::Ipv6Addr;

/// Hop limit of packets that a machine sends beyond the link.
pub const DEFAULT_HOP_LIMIT: u8 = 64;

/// Builds one packet.
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    traffic_class: u8,
    router_alert: Option<u16>,
    type2_routing: Option<Ipv6Addr>,
    home_address: Option<Ipv6Addr>,
}

impl PacketBuilder {
    /// A packet from `source` to `destination`, the addresses of the IPv6 header, with hop limit
    /// [`DEFAULT_HOP_LIMIT`].
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        PacketBuilder {
            source,
            destination,
            hop_limit: DEFAULT_HOP_LIMIT,
            traffic_class: 0,
            router_alert: None,
            type2_routing: None,
            home_address: None,
        }
    }

    /// With this hop limit.
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// With this traffic class.
    pub fn traffic_class(mut self, traffic_class: u8) -> Self {
        self.traffic_class = traffic_class;
        self
    }

    /// With a Hop-by-Hop header that holds Router Alert (RFC 2711); 0 is MLD.
    pub fn router_alert(mut self, value: u16) -> Self {
        self.router_alert = Some(value);
        self
    }

    /// With a type 2 routing header (RFC 6275 §6.4); `destination` is then the care-of address.
    pub fn type2_routing(mut self, home_address: Ipv6Addr) -> Self {
        self.type2_routing = Some(home_address);
        self
    }

    /// With a Home Address option (RFC 6275 §6.3); `source` is then the care-of address.
    pub fn home_address(mut self, home_address: Ipv6Addr) -> Self {
        self.home_address = Some(home_address);
        self
    }

    /// The packet with an ICMPv6 message: type, code, and what follows the checksum.
    pub fn icmpv6(self, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(4 + body.len());
        message.extend_from_slice(&[kind, code, 0, 0]);
        message.extend_from_slice(body);
        self.checksummed(protocol::ICMPV6, message, 2)
    }

    /// The packet with an upper-layer message whose 16-bit checksum stands at `checksum_at` and is filled in here.
    ///
    /// # Panics
    /// Where `message` is shorter than `checksum_at + 2` or the packet longer than 65,535 octets: the caller built both.
    pub fn checksummed(self, upper: u8, mut message: Vec<u8>, checksum_at: usize) -> Vec<u8> {
        message[checksum_at..checksum_at + 2].fill(0);
        let sum = checksum::upper_layer(
            self.home_address.unwrap_or(self.source),
            self.type2_routing.unwrap_or(self.destination),
            upper,
            &message,
        );
        message[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
        self.payload(upper, &message)
    }

    /// The packet with `message` as it is.
    ///
    /// # Panics
    /// Where the packet would be longer than its length field can say.
    pub fn payload(self, upper: u8, message: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; ipv6::HEADER_LEN];
        let mut named_at = 6;
        let mut append = |packet: &mut Vec<u8>, kind: u8, header: &[u8]| {
            packet[named_at] = kind;
            named_at = packet.len();
            packet.extend_from_slice(header);
        };
        if let Some(value) = self.router_alert {
            let v = value.to_be_bytes();
            append(&mut packet, protocol::HOP_BY_HOP, &[0, 0, option::ROUTER_ALERT, 2, v[0], v[1], option::PADN, 0]);
        }
        if let Some(home_address) = self.type2_routing {
            let mut header = [0; 24];
            header[1..4].copy_from_slice(&[2, 2, 1]);
            header[8..].copy_from_slice(&home_address.octets());
            append(&mut packet, protocol::ROUTING, &header);
        }
        if let Some(home_address) = self.home_address {
            // The option starts at 8n+6: four octets of padding, then type, length and the address.
            let mut header = [0; 24];
            header[1..8].copy_from_slice(&[2, option::PADN, 2, 0, 0, option::HOME_ADDRESS, 16]);
            header[8..].copy_from_slice(&home_address.octets());
            append(&mut packet, protocol::DESTINATION_OPTIONS, &header);
        }
        append(&mut packet, upper, message);
        let first = packet[6];
        let payload_length = u16::try_from(packet.len() - ipv6::HEADER_LEN).expect("a packet fits its length field");
        let header = ipv6::Header {
            traffic_class: self.traffic_class,
            flow_label: 0,
            payload_length,
            next_header: first,
            hop_limit: self.hop_limit,
            source: self.source,
            destination: self.destination,
        };
        header.emit(packet.first_chunk_mut().expect("the header stands in front"));
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x20);
    const OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 9);

    fn packet(first: u8, payload_length: u16, source: Ipv6Addr, destination: Ipv6Addr, payload: &[&[u8]]) -> Vec<u8> {
        let length = payload_length.to_be_bytes();
        let start = [0x60, 0, 0, 0, length[0], length[1], first, 64];
        [&start[..], &source.octets(), &destination.octets(), &payload.concat()].concat()
    }

    /// RFC 6275 §6.3: three times eight octets, the option at 8n + 6, all of it in the payload length.
    #[test]
    fn a_home_address_option_octet_by_octet() {
        let built = PacketBuilder::new(CARE_OF, OTHER).home_address(HOME).payload(protocol::UDP, b"12345678");
        let options = [17, 2, 1, 2, 0, 0, 201, 16];
        assert_eq!(built, packet(60, 32, CARE_OF, OTHER, &[&options, &HOME.octets(), b"12345678"]));
    }

    /// RFC 6275 §6.4.
    #[test]
    fn a_type_2_routing_header_octet_by_octet() {
        let built = PacketBuilder::new(OTHER, CARE_OF).type2_routing(HOME).payload(protocol::UDP, b"12345678");
        let routing = [17, 2, 2, 1, 0, 0, 0, 0];
        assert_eq!(built, packet(43, 32, OTHER, CARE_OF, &[&routing, &HOME.octets(), b"12345678"]));
    }

    /// Between two terminals there are both (RFC 6275 §11.3.1).
    #[test]
    fn both_octet_by_octet() {
        let builder = PacketBuilder::new(CARE_OF, OTHER).type2_routing(OTHER).home_address(HOME);
        let (routing, options) = ([60, 2, 2, 1, 0, 0, 0, 0], [59, 2, 1, 2, 0, 0, 201, 16]);
        let expected = [&routing[..], &OTHER.octets(), &options, &HOME.octets()];
        assert_eq!(builder.payload(protocol::NONE, &[]), packet(43, 48, CARE_OF, OTHER, &expected));
    }
}
