//! The Candidate-RP-Advertisement message (RFC 5059 §4.2).
//!
//! ```text
//! | prefix count | priority | holdtime (2) | RP, encoded unicast (18) | group ranges, encoded (20 each)
//! ```

use super::address::{EncodedGroup, EncodedUnicast};
use core::net::Ipv6Addr;
use stack::wire::error::{WireError, WireErrorKind, array, u16_at};

/// Octets of the body in front of the first group range.
pub const CANDIDATE_RP_LEN: usize = 4 + EncodedUnicast::LEN;

/// A Candidate-RP-Advertisement message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CandidateRpAdvertisement {
    /// The lower, the better.
    pub priority: u8,
    /// Seconds for which it holds; 0 takes the candidacy back.
    pub holdtime: u16,
    /// The candidate.
    pub address: Ipv6Addr,
    /// The ranges of groups that it offers to serve, at most 255. None stands for all groups (§3.3).
    pub ranges: Vec<EncodedGroup>,
}

impl CandidateRpAdvertisement {
    /// The group ranges that one message can count.
    pub const MAX_RANGES: usize = 255;

    /// Reads the body of a message, behind the PIM header. Octets behind the last range are ignored.
    ///
    /// # Errors
    /// `Truncated` where the count announces more than there is, `Value` for addresses that are not of IPv6 and masks
    /// longer than one.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let [count, priority] = array(bytes, 0)?;
        let holdtime = u16_at(bytes, 2)?;
        let address = EncodedUnicast::parse(bytes, 4)?.0;
        let end = CANDIDATE_RP_LEN + usize::from(count) * EncodedGroup::LEN;
        if bytes.len() < end {
            return Err(WireError::new(WireErrorKind::Truncated, bytes.len()));
        }
        let ranges = (CANDIDATE_RP_LEN..end).step_by(EncodedGroup::LEN).map(|at| EncodedGroup::parse(bytes, at));
        Ok(CandidateRpAdvertisement { priority, holdtime, address, ranges: ranges.collect::<Result<_, _>>()? })
    }

    /// Appends the body of the message.
    ///
    /// # Panics
    /// With more than [`Self::MAX_RANGES`] ranges: the caller packed them.
    pub fn emit(&self, into: &mut Vec<u8>) {
        let count = u8::try_from(self.ranges.len()).expect("at most MAX_RANGES group ranges");
        into.extend_from_slice(&[count, self.priority]);
        into.extend_from_slice(&self.holdtime.to_be_bytes());
        EncodedUnicast(self.address).emit(into);
        for range in &self.ranges {
            range.emit(into);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> CandidateRpAdvertisement {
        let all = EncodedGroup {
            address: "ff00::".parse().unwrap(),
            mask_length: 8,
            bidirectional: false,
            scope_zone: false,
        };
        CandidateRpAdvertisement {
            priority: 192,
            holdtime: 150,
            address: "2001:db8::5".parse().unwrap(),
            ranges: vec![all, EncodedGroup { mask_length: 16, scope_zone: true, ..all }],
        }
    }

    fn emitted(message: &CandidateRpAdvertisement) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.emit(&mut bytes);
        bytes
    }

    #[test]
    fn vector() {
        let bytes = emitted(&sample());
        assert_eq!(bytes[..8], [2, 192, 0, 150, 2, 0, 0x20, 0x01]);
        assert_eq!(bytes[21..28], [5, 2, 0, 0, 8, 0xff, 0]);
        assert_eq!(bytes[42..47], [2, 0, 1, 16, 0xff]);
        assert_eq!(bytes.len(), 62);
        assert_eq!(CandidateRpAdvertisement::parse(&bytes), Ok(sample()));
    }

    #[test]
    fn every_cut_and_a_count_beyond_the_message_are_refused() {
        let mut bytes = emitted(&sample());
        for cut in 0..bytes.len() {
            let error = CandidateRpAdvertisement::parse(&bytes[..cut]).unwrap_err();
            assert_eq!(error.kind, WireErrorKind::Truncated, "cut at {cut}");
        }
        for count in 3..=255 {
            bytes[0] = count;
            assert_eq!(CandidateRpAdvertisement::parse(&bytes).unwrap_err().kind, WireErrorKind::Truncated);
        }
    }

    fn range() -> impl Strategy<Value = EncodedGroup> {
        (any::<u128>(), 0..=128u8, any::<(bool, bool)>()).prop_map(
            |(address, mask_length, (bidirectional, scope_zone))| EncodedGroup {
                address: address.into(),
                mask_length,
                bidirectional,
                scope_zone,
            },
        )
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = CandidateRpAdvertisement::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(
            priority: u8, holdtime: u16, address: u128, ranges in proptest::collection::vec(range(), 0..9),
        ) {
            let message = CandidateRpAdvertisement { priority, holdtime, address: address.into(), ranges };
            prop_assert_eq!(CandidateRpAdvertisement::parse(&emitted(&message)), Ok(message));
        }
    }
}
