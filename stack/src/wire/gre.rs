//! Generic Routing Encapsulation with key and sequence number, as a mobility agent and a terminal agree on with the GRE
//! Key option (RFC 2784, RFC 2890, RFC 5845).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------------------------+-----+-------------------------------+
//! |C| |K|S|        reserved         | Ver |         protocol type         |
//! +-+-+-+-+-------------------------+-----+-------------------------------+
//! |                              key                                      |
//! |                        sequence number                                |
//! ```

use super::error::{WireError, WireErrorKind, u16_at, u32_at};

/// Octets of a header with key and sequence number and no checksum.
pub const KEY_SEQUENCE_LEN: usize = 12;
/// Protocol type of IPv6 (RFC 7676 §3).
pub const PROTOCOL_IPV6: u16 = 0x86dd;

const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Bits that a receiver must not see set: reserved 1 to 4 of RFC 2890 less key and sequence, and the version.
const FORBIDDEN: u16 = 0x4c07;

/// A GRE header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Key.
    pub key: Option<u32>,
    /// Sequence number.
    pub sequence: Option<u32>,
    /// Protocol type.
    pub protocol: u16,
    /// Octets of the header.
    pub length: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`. Where it has a checksum, that is taken over without being verified:
    /// what is inside has its own.
    ///
    /// # Errors
    /// `Truncated`; `Value` for bits that must be zero, `Version` for another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let flags = u16_at(bytes, 0)?;
        if flags & 7 != 0 {
            return Err(WireError::new(WireErrorKind::Version, 1));
        }
        if flags & FORBIDDEN != 0 {
            return Err(WireError::new(WireErrorKind::Value, 0));
        }
        let protocol = u16_at(bytes, 2)?;
        let mut length = 4;
        let mut word = |present: bool| -> Result<Option<u32>, WireError> {
            if !present {
                return Ok(None);
            }
            let value = u32_at(bytes, length)?;
            length += 4;
            Ok(Some(value))
        };
        word(flags & CHECKSUM != 0)?;
        let key = word(flags & KEY != 0)?;
        let sequence = word(flags & SEQUENCE != 0)?;
        Ok(Header { key, sequence, protocol, length })
    }
}

/// Writes a header with key and sequence number around IPv6.
#[inline(always)]
pub fn emit_key_sequence(into: &mut [u8; KEY_SEQUENCE_LEN], key: u32, sequence: u32) {
    into[..2].copy_from_slice(&(KEY | SEQUENCE).to_be_bytes());
    into[2..4].copy_from_slice(&PROTOCOL_IPV6.to_be_bytes());
    into[4..8].copy_from_slice(&key.to_be_bytes());
    into[8..].copy_from_slice(&sequence.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vector() {
        let mut bytes = [0; KEY_SEQUENCE_LEN];
        emit_key_sequence(&mut bytes, 0x0102_0304, 7);
        assert_eq!(bytes, [0x30, 0, 0x86, 0xdd, 1, 2, 3, 4, 0, 0, 0, 7]);
        let header = Header { key: Some(0x0102_0304), sequence: Some(7), protocol: PROTOCOL_IPV6, length: 12 };
        assert_eq!(Header::parse(&bytes), Ok(header));
        for cut in 0..KEY_SEQUENCE_LEN {
            assert_eq!(Header::parse(&bytes[..cut]).unwrap_err().kind, WireErrorKind::Truncated);
        }
    }

    #[test]
    fn other_shapes() {
        let plain = [0, 0, 0x86, 0xdd];
        assert_eq!(Header::parse(&plain).unwrap().length, 4);
        let checksummed = [0xb0, 0, 0x86, 0xdd, 9, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        let header = Header::parse(&checksummed).unwrap();
        assert_eq!((header.key, header.sequence, header.length), (Some(1), Some(2), 16));
        assert_eq!(Header::parse(&[0x40, 0, 0, 0]).unwrap_err().kind, WireErrorKind::Value);
        assert_eq!(Header::parse(&[0, 1, 0, 0]).unwrap_err().kind, WireErrorKind::Version);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = Header::parse(&bytes);
        }

        #[test]
        fn reads_what_it_writes(key: u32, sequence: u32) {
            let mut bytes = [0; KEY_SEQUENCE_LEN];
            emit_key_sequence(&mut bytes, key, sequence);
            let header = Header::parse(&bytes).unwrap();
            prop_assert_eq!((header.key, header.sequence), (Some(key), Some(sequence)));
        }
    }
}
