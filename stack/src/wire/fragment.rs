//! The Fragment header (RFC 8200 §4.5).

use super::error::{WireError, octet, u16_at, u32_at};

/// Octets of a Fragment header.
pub const HEADER_LEN: usize = 8;

/// A Fragment header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Type of what was cut.
    pub next_header: u8,
    /// Where this fragment's data belongs, in octets: a multiple of eight.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
    /// Identification.
    pub identification: u32,
}

impl Header {
    /// Reads the header at the start of `bytes`; reserved bits are ignored.
    ///
    /// # Errors
    /// [`super::WireErrorKind::Truncated`] below eight octets.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let field = u16_at(bytes, 2)?;
        Ok(Header {
            next_header: octet(bytes, 0)?,
            offset: field & !7,
            more: field & 1 != 0,
            identification: u32_at(bytes, 4)?,
        })
    }

    /// Writes the header.
    pub fn emit(&self, into: &mut [u8; HEADER_LEN]) {
        into[..2].copy_from_slice(&[self.next_header, 0]);
        into[2..4].copy_from_slice(&(self.offset & !7 | u16::from(self.more)).to_be_bytes());
        into[4..].copy_from_slice(&self.identification.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vector() {
        let bytes = [58, 0, 0x04, 0xd1, 0xde, 0xad, 0xbe, 0xef];
        let header = Header { next_header: 58, offset: 1232, more: true, identification: 0xdead_beef };
        assert_eq!(Header::parse(&bytes), Ok(header));
        let mut emitted = [0; HEADER_LEN];
        header.emit(&mut emitted);
        assert_eq!(emitted, bytes);
        for cut in 0..HEADER_LEN {
            assert!(Header::parse(&bytes[..cut]).is_err());
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(next_header: u8, offset in 0u16..8191, more: bool, identification: u32) {
            let header = Header { next_header, offset: offset * 8, more, identification };
            let mut bytes = [0; HEADER_LEN];
            header.emit(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes), Ok(header));
        }
    }
}
