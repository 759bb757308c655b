//! The Assert message (RFC 7761 §4.9.6).
//!
//! ```text
//! | group, encoded (20) | source, encoded unicast (18) | R, metric preference (4) | metric (4) |
//! ```

use super::address::{EncodedGroup, EncodedUnicast};
use core::net::Ipv6Addr;
use stack::wire::error::{WireError, WireErrorKind, u32_at};

/// The R bit in the word of the metric preference.
const RPT_BIT: u32 = 1 << 31;

/// An Assert message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assert {
    /// The group of the packets that two routers forward.
    pub group: Ipv6Addr,
    /// Their source; unspecified is all of them.
    pub source: Ipv6Addr,
    /// The R bit: the sender forwards them on the shared tree, or will not forward them.
    pub rpt: bool,
    /// Preference of the route to the source or the rendezvous point, 31 bits; the lower one wins.
    pub metric_preference: u32,
    /// Metric of that route.
    pub metric: u32,
}

impl Assert {
    /// Octets of the body.
    pub const LEN: usize = EncodedGroup::LEN + EncodedUnicast::LEN + 8;
    /// The metric preference that is worse than any route's (§4.6.3).
    pub const INFINITE_PREFERENCE: u32 = RPT_BIT - 1;
    /// The metric that is worse than any route's.
    pub const INFINITE_METRIC: u32 = u32::MAX;

    /// Reads the body of a message, behind the PIM header. Octets behind it are ignored.
    ///
    /// # Errors
    /// `Truncated`, or `Value` for addresses that are not of IPv6 and a group that is a range.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let group = EncodedGroup::parse(bytes, 0)?;
        if group.mask_length != super::address::HOST_MASK {
            return Err(WireError::new(WireErrorKind::Value, 3));
        }
        let source = EncodedUnicast::parse(bytes, EncodedGroup::LEN)?.0;
        let preference = u32_at(bytes, EncodedGroup::LEN + EncodedUnicast::LEN)?;
        Ok(Assert {
            group: group.address,
            source,
            rpt: preference & RPT_BIT != 0,
            metric_preference: preference & !RPT_BIT,
            metric: u32_at(bytes, EncodedGroup::LEN + EncodedUnicast::LEN + 4)?,
        })
    }

    /// Appends the body of the message. The highest bit of the metric preference is not sent.
    pub fn emit(&self, into: &mut Vec<u8>) {
        let rpt = if self.rpt { RPT_BIT } else { 0 };
        EncodedGroup::host(self.group).emit(into);
        EncodedUnicast(self.source).emit(into);
        into.extend_from_slice(&(rpt | self.metric_preference & !RPT_BIT).to_be_bytes());
        into.extend_from_slice(&self.metric.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Assert {
        Assert {
            group: "ff15::1".parse().unwrap(),
            source: "2001:db8::1".parse().unwrap(),
            rpt: true,
            metric_preference: 110,
            metric: 20,
        }
    }

    #[test]
    fn vector() {
        let mut bytes = Vec::new();
        sample().emit(&mut bytes);
        assert_eq!(bytes.len(), Assert::LEN);
        assert_eq!(bytes[..6], [2, 0, 0, 128, 0xff, 0x15]);
        assert_eq!(bytes[20..26], [2, 0, 0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(bytes[38..], [0x80, 0, 0, 110, 0, 0, 0, 20]);
        for cut in 0..bytes.len() {
            assert_eq!(Assert::parse(&bytes[..cut]).unwrap_err().kind, WireErrorKind::Truncated, "cut at {cut}");
        }
        bytes[3] = 64;
        assert_eq!(Assert::parse(&bytes), Err(WireError::new(WireErrorKind::Value, 3)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(group: u128, source: u128, rpt: bool, preference in 0u32..1 << 31, metric: u32) {
            let message =
                Assert { group: group.into(), source: source.into(), rpt, metric_preference: preference, metric };
            let mut bytes = Vec::new();
            message.emit(&mut bytes);
            prop_assert_eq!(Assert::parse(&bytes), Ok(message));
        }

        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Assert::parse(&bytes);
        }
    }
}
