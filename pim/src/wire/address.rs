//! Encoded addresses (RFC 7761 §4.9.1), native encoding of IPv6.
//!
//! ```text
//! unicast   | family 2 | encoding 0 | address (16) |
//! group     | family 2 | encoding 0 | B reserved Z | mask length | address (16) |
//! source    | family 2 | encoding 0 | reserved S W R | mask length | address (16) |
//! ```

use core::net::Ipv6Addr;
use stack::wire::error::{WireError, WireErrorKind, address_at, array};

/// The IANA number of the IPv6 address family.
const FAMILY_IPV6: u8 = 2;
/// The native encoding.
const NATIVE: u8 = 0;
/// Mask length of one address.
pub(crate) const HOST_MASK: u8 = 128;

fn family(bytes: &[u8], at: usize) -> Result<(), WireError> {
    match array::<2>(bytes, at)? {
        [FAMILY_IPV6, NATIVE] => Ok(()),
        [FAMILY_IPV6, _] => Err(WireError::new(WireErrorKind::Value, at + 1)),
        _ => Err(WireError::new(WireErrorKind::Value, at)),
    }
}

fn mask(length: u8, at: usize) -> Result<u8, WireError> {
    if length > HOST_MASK { Err(WireError::new(WireErrorKind::Value, at)) } else { Ok(length) }
}

/// An Encoded Unicast address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncodedUnicast(pub Ipv6Addr);

impl EncodedUnicast {
    /// Octets.
    pub const LEN: usize = 18;

    /// Reads the address at octet `at`.
    ///
    /// # Errors
    /// `Truncated`, or `Value` for another family or encoding.
    pub fn parse(bytes: &[u8], at: usize) -> Result<Self, WireError> {
        family(bytes, at)?;
        address_at(bytes, at + 2).map(EncodedUnicast)
    }

    /// Appends the address.
    pub fn emit(self, into: &mut Vec<u8>) {
        into.extend_from_slice(&[FAMILY_IPV6, NATIVE]);
        into.extend_from_slice(&self.0.octets());
    }
}

/// An Encoded Group address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncodedGroup {
    /// The group.
    pub address: Ipv6Addr,
    /// 128 for one group, as in every Join/Prune message.
    pub mask_length: u8,
    /// The B bit: bidirectional PIM.
    pub bidirectional: bool,
    /// The Z bit: administrative scope zone.
    pub scope_zone: bool,
}

impl EncodedGroup {
    /// Octets.
    pub const LEN: usize = 20;

    /// This one group.
    pub const fn host(address: Ipv6Addr) -> Self {
        EncodedGroup { address, mask_length: HOST_MASK, bidirectional: false, scope_zone: false }
    }

    /// Reads the address at octet `at`. Reserved bits are ignored.
    ///
    /// # Errors
    /// `Truncated`, or `Value` for another family or encoding or a mask longer than an address.
    pub fn parse(bytes: &[u8], at: usize) -> Result<Self, WireError> {
        family(bytes, at)?;
        let [flags, mask_length] = array(bytes, at + 2)?;
        Ok(EncodedGroup {
            address: address_at(bytes, at + 4)?,
            mask_length: mask(mask_length, at + 3)?,
            bidirectional: flags & 0x80 != 0,
            scope_zone: flags & 1 != 0,
        })
    }

    /// Appends the address.
    pub fn emit(self, into: &mut Vec<u8>) {
        let flags = u8::from(self.bidirectional) << 7 | u8::from(self.scope_zone);
        into.extend_from_slice(&[FAMILY_IPV6, NATIVE, flags, self.mask_length]);
        into.extend_from_slice(&self.address.octets());
    }
}

/// An Encoded Source address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncodedSource {
    /// The source, or the rendezvous point where `wildcard` is set.
    pub address: Ipv6Addr,
    /// 128; entries with another mask are ignored.
    pub mask_length: u8,
    /// The S bit: sparse mode.
    pub sparse: bool,
    /// The W bit: (*,G).
    pub wildcard: bool,
    /// The R bit: on the rendezvous point tree.
    pub rpt: bool,
}

impl EncodedSource {
    /// Octets.
    pub const LEN: usize = 20;

    /// The entry (S,G) for this source.
    pub const fn host(address: Ipv6Addr) -> Self {
        EncodedSource { address, mask_length: HOST_MASK, sparse: true, wildcard: false, rpt: false }
    }

    /// The entry (*,G) for a group with this rendezvous point (RFC 7761 §4.9.1).
    pub const fn rendezvous_point(address: Ipv6Addr) -> Self {
        EncodedSource { address, mask_length: HOST_MASK, sparse: true, wildcard: true, rpt: true }
    }

    /// Reads the address at octet `at`. Reserved bits are ignored.
    ///
    /// # Errors
    /// `Truncated`, or `Value` for another family or encoding or a mask longer than an address.
    pub fn parse(bytes: &[u8], at: usize) -> Result<Self, WireError> {
        family(bytes, at)?;
        let [flags, mask_length] = array(bytes, at + 2)?;
        Ok(EncodedSource {
            address: address_at(bytes, at + 4)?,
            mask_length: mask(mask_length, at + 3)?,
            sparse: flags & 4 != 0,
            wildcard: flags & 2 != 0,
            rpt: flags & 1 != 0,
        })
    }

    /// Appends the address.
    pub fn emit(self, into: &mut Vec<u8>) {
        let flags = u8::from(self.sparse) << 2 | u8::from(self.wildcard) << 1 | u8::from(self.rpt);
        into.extend_from_slice(&[FAMILY_IPV6, NATIVE, flags, self.mask_length]);
        into.extend_from_slice(&self.address.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        let address: Ipv6Addr = "ff35::1".parse().unwrap();
        let mut group = vec![2, 0, 0, 128, 0xff, 0x35];
        group.extend_from_slice(&[0; 13]);
        group.push(1);
        let mut emitted = Vec::new();
        EncodedGroup::host(address).emit(&mut emitted);
        assert_eq!(emitted, group);
        assert_eq!(EncodedGroup::parse(&group, 0), Ok(EncodedGroup::host(address)));

        let mut source = Vec::new();
        EncodedSource::host(address).emit(&mut source);
        assert_eq!(source[..4], [2, 0, 4, 128]);
        source[2] = 0xff;
        let parsed = EncodedSource::parse(&source, 0).unwrap();
        assert!(parsed.sparse && parsed.wildcard && parsed.rpt);
    }

    #[test]
    fn refuses_families_encodings_and_masks() {
        let mut group = Vec::new();
        EncodedGroup::host(Ipv6Addr::LOCALHOST).emit(&mut group);
        for (at, value) in [(0, 1), (1, 1), (3, 129)] {
            let mut bad = group.clone();
            bad[at] = value;
            let expected = WireError::new(WireErrorKind::Value, at);
            assert_eq!(EncodedGroup::parse(&bad, 0), Err(expected));
            assert_eq!(EncodedSource::parse(&bad, 0), Err(expected));
        }
        for cut in 0..EncodedGroup::LEN {
            assert_eq!(EncodedGroup::parse(&group[..cut], 0).unwrap_err().kind, WireErrorKind::Truncated);
        }
        for cut in 0..EncodedUnicast::LEN {
            assert_eq!(EncodedUnicast::parse(&group[..cut], 0).unwrap_err().kind, WireErrorKind::Truncated);
        }
    }
}
