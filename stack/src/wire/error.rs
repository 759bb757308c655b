//! What is wrong with a message, and where.

/// A message that cannot be understood or must not be: what is wrong and at which octet.
///
/// `offset` counts from the first octet that the parser was given; callers that parse a part of a packet shift it with
/// [`WireError::shift`], so that an ICMPv6 Parameter Problem can point at the octet in the packet (RFC 4443 §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at octet {offset}")]
pub struct WireError {
    /// What is wrong.
    pub kind: WireErrorKind,
    /// The octet at which it is wrong.
    pub offset: usize,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum WireErrorKind {
    /// The message ends before what it announces.
    #[error("truncated")]
    Truncated,
    /// A length field contradicts the format.
    #[error("length field out of range")]
    Length,
    /// A field has a value that the format forbids.
    #[error("value not allowed")]
    Value,
    /// The checksum does not hold.
    #[error("checksum wrong")]
    Checksum,
    /// A version field names a version that is not spoken here.
    #[error("version not supported")]
    Version,
    /// More elements than the stated limit.
    #[error("more elements than the limit")]
    TooMany,
    /// A next header value that this node does not know (ICMPv6 Parameter Problem code 1).
    #[error("next header not recognised")]
    UnknownNextHeader,
    /// An IPv6 option that demands Parameter Problem code 2 (RFC 8200 §4.2, action bits 10, or 11 and no multicast).
    #[error("option not recognised")]
    UnknownOption,
    /// An IPv6 option that demands that the packet be dropped in silence (action bits 01, or 11 and multicast).
    #[error("option not recognised, drop in silence")]
    UnknownOptionSilent,
}

impl WireError {
    /// An error of this kind at this octet.
    pub const fn new(kind: WireErrorKind, offset: usize) -> Self {
        WireError { kind, offset }
    }

    /// The same error as seen from `by` octets further out.
    pub const fn shift(self, by: usize) -> Self {
        WireError { kind: self.kind, offset: self.offset + by }
    }
}

/// `N` octets at `offset`, or [`WireErrorKind::Truncated`] at the end of `bytes`.
pub fn array<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], WireError> {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .ok_or(WireError::new(WireErrorKind::Truncated, bytes.len()))
}

/// The octet at `offset`.
pub fn octet(bytes: &[u8], offset: usize) -> Result<u8, WireError> {
    array::<1>(bytes, offset).map(|[o]| o)
}

/// The 16-bit number in network order at `offset`.
pub fn u16_at(bytes: &[u8], offset: usize) -> Result<u16, WireError> {
    array(bytes, offset).map(u16::from_be_bytes)
}

/// The 32-bit number in network order at `offset`.
pub fn u32_at(bytes: &[u8], offset: usize) -> Result<u32, WireError> {
    array(bytes, offset).map(u32::from_be_bytes)
}

/// The IPv6 address at `offset`.
pub fn address_at(bytes: &[u8], offset: usize) -> Result<core::net::Ipv6Addr, WireError> {
    array::<16>(bytes, offset).map(core::net::Ipv6Addr::from)
}

/// `length` octets at `offset`.
pub fn slice(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8], WireError> {
    offset
        .checked_add(length)
        .and_then(|end| bytes.get(offset..end))
        .ok_or(WireError::new(WireErrorKind::Truncated, bytes.len()))
}
