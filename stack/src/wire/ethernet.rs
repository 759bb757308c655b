//! Ethernet II framing of IPv6 (RFC 2464). No VLAN tags: a port is an untagged link.

use super::error::{WireError, WireErrorKind};
use crate::addr::MacAddress;

/// Octets of an Ethernet header.
pub const HEADER_LEN: usize = 14;
/// The EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// An Ethernet header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Destination address.
    pub destination: MacAddress,
    /// Source address.
    pub source: MacAddress,
    /// EtherType.
    pub ethertype: u16,
}

impl Header {
    /// Reads the header at the start of `frame`.
    ///
    /// # Errors
    /// [`WireErrorKind::Truncated`] below 14 octets, [`WireErrorKind::Value`] for a group address as source.
    pub fn parse(frame: &[u8]) -> Result<Self, WireError> {
        let Some(h) = frame.first_chunk::<HEADER_LEN>() else {
            return Err(WireError::new(WireErrorKind::Truncated, frame.len()));
        };
        let header = Header {
            destination: MacAddress([h[0], h[1], h[2], h[3], h[4], h[5]]),
            source: MacAddress([h[6], h[7], h[8], h[9], h[10], h[11]]),
            ethertype: u16::from_be_bytes([h[12], h[13]]),
        };
        if header.source.is_multicast() {
            return Err(WireError::new(WireErrorKind::Value, 6));
        }
        Ok(header)
    }

    /// Writes the header into the first 14 octets.
    pub fn emit(&self, frame: &mut [u8; HEADER_LEN]) {
        frame[..6].copy_from_slice(&self.destination.0);
        frame[6..12].copy_from_slice(&self.source.0);
        frame[12..].copy_from_slice(&self.ethertype.to_be_bytes());
    }
}
