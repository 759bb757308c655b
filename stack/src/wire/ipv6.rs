//! The IPv6 header (RFC 8200 §3).

use super::error::{WireError, WireErrorKind};
use core::net::Ipv6Addr;

/// Octets of the IPv6 header.
pub const HEADER_LEN: usize = 40;
/// Every link carries packets of this size (RFC 8200 §5).
pub const MINIMUM_MTU: usize = 1280;

/// Next Header values (IANA protocol numbers) that this stack speaks of.
pub mod protocol {
    /// Hop-by-Hop Options header.
    pub const HOP_BY_HOP: u8 = 0;
    /// IPv4 in IPv6.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IPv6 (RFC 2473).
    pub const IPV6: u8 = 41;
    /// Routing header.
    pub const ROUTING: u8 = 43;
    /// Fragment header.
    pub const FRAGMENT: u8 = 44;
    /// GRE (RFC 2784).
    pub const GRE: u8 = 47;
    /// Encapsulating Security Payload.
    pub const ESP: u8 = 50;
    /// Authentication Header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// No next header.
    pub const NONE: u8 = 59;
    /// Destination Options header.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// PIM (RFC 7761).
    pub const PIM: u8 = 103;
    /// Mobility Header (RFC 6275 §6.1).
    pub const MOBILITY: u8 = 135;
}

/// An IPv6 header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// 20 bits.
    pub flow_label: u32,
    /// Octets behind this header.
    pub payload_length: u16,
    /// Type of the header that follows; see [`protocol`].
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
}

impl Header {
    /// Reads the header at the start of `packet` and checks that the packet is as long as it says. Octets behind the
    /// payload length (link-layer padding) are not an error: cut the packet to [`Header::total_length`].
    ///
    /// # Errors
    /// `Truncated` below 40 octets or where the payload is shorter than announced, `Version` for another version.
    pub fn parse(packet: &[u8]) -> Result<Self, WireError> {
        let Some(h) = packet.first_chunk::<HEADER_LEN>() else {
            return Err(WireError::new(WireErrorKind::Truncated, packet.len()));
        };
        let word = u32::from_be_bytes([h[0], h[1], h[2], h[3]]);
        if word >> 28 != 6 {
            return Err(WireError::new(WireErrorKind::Version, 0));
        }
        let header = Header {
            traffic_class: (word >> 20) as u8,
            flow_label: word & 0xf_ffff,
            payload_length: u16::from_be_bytes([h[4], h[5]]),
            next_header: h[6],
            hop_limit: h[7],
            source: address(h, 8),
            destination: address(h, 24),
        };
        if packet.len() < header.total_length() {
            return Err(WireError::new(WireErrorKind::Truncated, packet.len()));
        }
        Ok(header)
    }

    /// Writes the header.
    pub fn emit(&self, into: &mut [u8; HEADER_LEN]) {
        let word = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0xf_ffff;
        into[..4].copy_from_slice(&word.to_be_bytes());
        into[4..6].copy_from_slice(&self.payload_length.to_be_bytes());
        into[6] = self.next_header;
        into[7] = self.hop_limit;
        into[8..24].copy_from_slice(&self.source.octets());
        into[24..40].copy_from_slice(&self.destination.octets());
    }

    /// Header and payload together, in octets.
    pub const fn total_length(&self) -> usize {
        HEADER_LEN + self.payload_length as usize
    }
}

fn address(header: &[u8; HEADER_LEN], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&header[at..at + 16]);
    Ipv6Addr::from(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let header = Header {
            traffic_class: 0xb9,
            flow_label: 0xabcde,
            payload_length: 3,
            next_header: protocol::UDP,
            hop_limit: 64,
            source: "2001:db8::1".parse().unwrap(),
            destination: "ff35::1".parse().unwrap(),
        };
        let mut packet = [0; 45];
        header.emit(packet.first_chunk_mut().unwrap());
        assert_eq!(Header::parse(&packet), Ok(header));
        assert_eq!(header.total_length(), 43);
        assert_eq!(Header::parse(&packet[..42]).unwrap_err().kind, WireErrorKind::Truncated);
        packet[0] = 0x45;
        assert_eq!(Header::parse(&packet).unwrap_err().kind, WireErrorKind::Version);
    }
}
