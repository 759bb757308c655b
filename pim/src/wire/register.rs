//! The Register and Register-Stop messages (RFC 7761 §4.9.3, §4.9.4).
//!
//! ```text
//! Register      | B N reserved (4) | data packet, or of a Null-Register the header of one |
//! Register-Stop | group, encoded (20) | source, encoded unicast (18) |
//! ```
//!
//! Registers with data are made and unpacked by the data plane. What a machine reads and writes is Null-Registers, and of
//! a Register with data whose it is.

use super::address::{EncodedGroup, EncodedUnicast};
use core::net::Ipv6Addr;
use stack::wire::error::{WireError, WireErrorKind, address_at, octet, u32_at};
use stack::wire::ipv6::{self, protocol};
use stack::wire::{build::PacketBuilder, checksum};

/// The N bit.
const NULL: u32 = 1 << 30;
/// Octets of the flags in front of the data packet.
const FLAGS_LEN: usize = 4;
/// Octets of the PIM header in a Null-Register's packet.
const DUMMY_HEADER_LEN: usize = 4;

/// A Register message, without its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Register {
    /// The N bit: a question, without data.
    pub is_null: bool,
    /// Source of the data packet.
    pub source: Ipv6Addr,
    /// Its group.
    pub group: Ipv6Addr,
}

impl Register {
    /// Reads the body of a message, behind the PIM header. The B bit is ignored.
    ///
    /// # Errors
    /// `Truncated`, `Version` where the packet within is not one of IPv6, and `Checksum` for a Null-Register whose PIM
    /// header has a wrong one.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let is_null = u32_at(bytes, 0)? & NULL != 0;
        let packet = &bytes[FLAGS_LEN..];
        let shift = |error: WireError| error.shift(FLAGS_LEN);
        if octet(packet, 0).map_err(shift)? >> 4 != 6 {
            return Err(WireError::new(WireErrorKind::Version, FLAGS_LEN));
        }
        // No other field of the dummy header is looked at.
        let next_header = octet(packet, 6).map_err(shift)?;
        let source = address_at(packet, 8).map_err(shift)?;
        let group = address_at(packet, 24).map_err(shift)?;
        // A dummy header may be absent, or cut short.
        if let Some(dummy) = packet.get(ipv6::HEADER_LEN..ipv6::HEADER_LEN + DUMMY_HEADER_LEN)
            && is_null
            && next_header == protocol::PIM
            && !checksum::verify(source, group, protocol::PIM, dummy)
        {
            return Err(WireError::new(WireErrorKind::Checksum, FLAGS_LEN + ipv6::HEADER_LEN + 2));
        }
        Ok(Register { is_null, source, group })
    }

    /// Appends the body of a Null-Register for this source and group.
    pub fn emit_null(source: Ipv6Addr, group: Ipv6Addr, into: &mut Vec<u8>) {
        into.extend_from_slice(&NULL.to_be_bytes());
        let dummy = vec![0; DUMMY_HEADER_LEN];
        into.extend(PacketBuilder::new(source, group).checksummed(protocol::PIM, dummy, 2));
    }
}

/// A Register-Stop message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegisterStop {
    /// The group.
    pub group: Ipv6Addr,
    /// The source; unspecified is every one that the group has.
    pub source: Ipv6Addr,
}

impl RegisterStop {
    /// Octets of the body.
    pub const LEN: usize = EncodedGroup::LEN + EncodedUnicast::LEN;

    /// Reads the body of a message, behind the PIM header.
    ///
    /// # Errors
    /// `Truncated`, or `Value` for addresses that are not of IPv6 and a group that is a range.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let group = EncodedGroup::parse(bytes, 0)?;
        if group.mask_length != super::address::HOST_MASK {
            return Err(WireError::new(WireErrorKind::Value, 3));
        }
        Ok(RegisterStop { group: group.address, source: EncodedUnicast::parse(bytes, EncodedGroup::LEN)?.0 })
    }

    /// Appends the body of the message.
    pub fn emit(&self, into: &mut Vec<u8>) {
        EncodedGroup::host(self.group).emit(into);
        EncodedUnicast(self.source).emit(into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);

    #[test]
    fn null_register() {
        let mut bytes = Vec::new();
        Register::emit_null(SOURCE, GROUP, &mut bytes);
        assert_eq!(bytes[..12], [0x40, 0, 0, 0, 0x60, 0, 0, 0, 0, 4, 103, 64]);
        assert_eq!(bytes.len(), 4 + 40 + 4);
        let expected = Register { is_null: true, source: SOURCE, group: GROUP };
        assert_eq!(Register::parse(&bytes), Ok(expected));
        // Without the dummy PIM header its checksum is none.
        let mut bare = bytes[..44].to_vec();
        bare[8..10].copy_from_slice(&[0, 0]);
        assert_eq!(Register::parse(&bare), Ok(expected));
        let mut bad = bytes.clone();
        bad[46] ^= 1;
        assert_eq!(Register::parse(&bad).unwrap_err().kind, WireErrorKind::Checksum);
        for cut in 0..44 {
            assert!(Register::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut data = bytes;
        data[0] = 0x80;
        data[46] ^= 1;
        assert_eq!(Register::parse(&data), Ok(Register { is_null: false, ..expected }), "B, and a packet with data");
    }

    #[test]
    fn register_stop() {
        let stop = RegisterStop { group: GROUP, source: SOURCE };
        let mut bytes = Vec::new();
        stop.emit(&mut bytes);
        assert_eq!((bytes.len(), &bytes[..4], &bytes[20..22]), (RegisterStop::LEN, &[2, 0, 0, 128][..], &[2, 0][..]));
        assert_eq!(RegisterStop::parse(&bytes), Ok(stop));
        for cut in 0..bytes.len() {
            assert_eq!(RegisterStop::parse(&bytes[..cut]).unwrap_err().kind, WireErrorKind::Truncated);
        }
        bytes[3] = 0;
        assert_eq!(RegisterStop::parse(&bytes), Err(WireError::new(WireErrorKind::Value, 3)));
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Register::parse(&bytes);
            let _ = RegisterStop::parse(&bytes);
        }
    }
}
