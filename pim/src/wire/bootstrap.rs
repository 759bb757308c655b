//! The Bootstrap message (RFC 5059 §4.1), whole or one semantic fragment of it: both have one format.
//!
//! ```text
//! | fragment tag (2) | hash mask length | BSR priority | BSR, encoded unicast (18) | group ranges
//! a group range: | group, encoded (20) | RP count | RPs in this fragment | reserved (2) | RPs (22 each)
//! an RP:         | address, encoded unicast (18) | holdtime (2) | priority | reserved |
//! ```
//!
//! No field counts the group ranges: they go on to the end of the message.

use super::address::{EncodedGroup, EncodedUnicast, HOST_MASK};
use core::net::Ipv6Addr;
use stack::wire::error::{WireError, WireErrorKind, array, u16_at};

/// Octets of the body in front of the first group range.
pub const BOOTSTRAP_LEN: usize = 4 + EncodedUnicast::LEN;
/// Octets of a group range without rendezvous points.
pub const RP_RANGE_LEN: usize = EncodedGroup::LEN + 4;
/// Octets of one rendezvous point of a group range.
pub const RP_ENTRY_LEN: usize = EncodedUnicast::LEN + 4;
/// More group ranges than this in one message make it hostile.
pub const MAX_RP_RANGES: usize = 1024;
/// The rendezvous points that one group range can count.
pub const MAX_RPS_PER_RANGE: usize = 255;

/// A rendezvous point of a group range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RpEntry {
    /// Its address.
    pub address: Ipv6Addr,
    /// Seconds for which the mapping holds; 0 takes it back.
    pub holdtime: u16,
    /// The lower, the better.
    pub priority: u8,
}

/// What a message, or fragment, says about one group range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RpRange {
    /// The range.
    pub group: EncodedGroup,
    /// Rendezvous points of the range in the whole message.
    pub rp_count: u8,
    /// Those in this fragment: no more than `rp_count`.
    pub rps: Vec<RpEntry>,
}

/// A Bootstrap message, or a fragment of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrap {
    /// The N bit: not to be forwarded (RFC 5059 §3.5.1). It stands in the header of the message.
    pub no_forward: bool,
    /// The same in all fragments of one message.
    pub fragment_tag: u16,
    /// Bits of a group's address that take part in the hash (RFC 7761 §4.7.2).
    pub hash_mask_length: u8,
    /// The higher, the better.
    pub bsr_priority: u8,
    /// The bootstrap router.
    pub bsr_address: Ipv6Addr,
    /// At most [`MAX_RP_RANGES`].
    pub ranges: Vec<RpRange>,
}

impl Bootstrap {
    /// Reads the body of a message, behind the PIM header.
    ///
    /// # Errors
    /// `Truncated` where it ends within a range or the counts announce more than there is, `Value` for addresses that are
    /// not of IPv6, masks longer than an address and ranges with more rendezvous points in the fragment than in the
    /// message, `TooMany` beyond [`MAX_RP_RANGES`].
    pub fn parse(no_forward: bool, bytes: &[u8]) -> Result<Self, WireError> {
        let fragment_tag = u16_at(bytes, 0)?;
        let [hash_mask_length, bsr_priority] = array(bytes, 2)?;
        if hash_mask_length > HOST_MASK {
            return Err(WireError::new(WireErrorKind::Value, 2));
        }
        let bsr_address = EncodedUnicast::parse(bytes, 4)?.0;
        let mut ranges = Vec::new();
        let mut at = BOOTSTRAP_LEN;
        while at < bytes.len() {
            if ranges.len() == MAX_RP_RANGES {
                return Err(WireError::new(WireErrorKind::TooMany, at));
            }
            let group = EncodedGroup::parse(bytes, at)?;
            let counts_at = at + EncodedGroup::LEN;
            let [rp_count, here, _, _] = array(bytes, counts_at)?;
            if here > rp_count {
                return Err(WireError::new(WireErrorKind::Value, counts_at + 1));
            }
            at += RP_RANGE_LEN;
            let end = at + usize::from(here) * RP_ENTRY_LEN;
            // The list is only made once its octets are known to be there.
            if bytes.len() < end {
                return Err(WireError::new(WireErrorKind::Truncated, bytes.len()));
            }
            let rps = (at..end).step_by(RP_ENTRY_LEN).map(|at| RpEntry::parse(bytes, at)).collect::<Result<_, _>>()?;
            ranges.push(RpRange { group, rp_count, rps });
            at = end;
        }
        Ok(Bootstrap { no_forward, fragment_tag, hash_mask_length, bsr_priority, bsr_address, ranges })
    }

    /// Appends the body of the message; the N bit is its header's.
    ///
    /// # Panics
    /// With more rendezvous points in a range than its count field can say: the caller packed them.
    pub fn emit(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.fragment_tag.to_be_bytes());
        into.extend_from_slice(&[self.hash_mask_length, self.bsr_priority]);
        EncodedUnicast(self.bsr_address).emit(into);
        for range in &self.ranges {
            range.group.emit(into);
            let here = u8::try_from(range.rps.len()).expect("at most MAX_RPS_PER_RANGE rendezvous points");
            into.extend_from_slice(&[range.rp_count, here, 0, 0]);
            for rp in &range.rps {
                rp.emit(into);
            }
        }
    }

    /// Octets of the body.
    pub fn len(&self) -> usize {
        BOOTSTRAP_LEN + self.ranges.iter().map(RpRange::len).sum::<usize>()
    }

    /// Whether the message says nothing about rendezvous points: it has no group range, or one alone that names the scope
    /// zone and has none (RFC 5059 §3.1.5).
    pub fn is_empty(&self) -> bool {
        match self.ranges.as_slice() {
            [] => true,
            [only] => only.group.scope_zone && only.rp_count == 0,
            _ => false,
        }
    }
}

impl RpRange {
    /// Octets of the range.
    pub fn len(&self) -> usize {
        RP_RANGE_LEN + self.rps.len() * RP_ENTRY_LEN
    }

    /// Whether no rendezvous point stands in this fragment.
    pub fn is_empty(&self) -> bool {
        self.rps.is_empty()
    }
}

impl RpEntry {
    fn parse(bytes: &[u8], at: usize) -> Result<Self, WireError> {
        let address = EncodedUnicast::parse(bytes, at)?.0;
        let holdtime = u16_at(bytes, at + EncodedUnicast::LEN)?;
        let [priority, _] = array(bytes, at + EncodedUnicast::LEN + 2)?;
        Ok(RpEntry { address, holdtime, priority })
    }

    fn emit(&self, into: &mut Vec<u8>) {
        EncodedUnicast(self.address).emit(into);
        into.extend_from_slice(&self.holdtime.to_be_bytes());
        into.extend_from_slice(&[self.priority, 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn sample() -> Bootstrap {
        let rp = |last, priority| RpEntry { address: Ipv6Addr::from_bits(last), holdtime: 150, priority };
        let scoped =
            EncodedGroup { address: address("ff05::"), mask_length: 16, bidirectional: false, scope_zone: true };
        Bootstrap {
            no_forward: false,
            fragment_tag: 0xbeef,
            hash_mask_length: 126,
            bsr_priority: 64,
            bsr_address: address("2001:db8::1"),
            ranges: vec![
                RpRange { group: scoped, rp_count: 0, rps: vec![] },
                RpRange {
                    group: EncodedGroup { scope_zone: false, mask_length: 32, ..scoped },
                    rp_count: 3,
                    rps: vec![rp(1, 0), rp(2, 192)],
                },
            ],
        }
    }

    fn emitted(message: &Bootstrap) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.emit(&mut bytes);
        bytes
    }

    #[test]
    fn vector() {
        let bytes = emitted(&sample());
        assert_eq!(bytes[..10], [0xbe, 0xef, 126, 64, 2, 0, 0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(bytes[22..28], [2, 0, 1, 16, 0xff, 0x05]);
        assert_eq!(bytes[42..50], [0, 0, 0, 0, 2, 0, 0, 32]);
        assert_eq!(bytes[66..72], [3, 2, 0, 0, 2, 0]);
        assert_eq!(bytes[87..94], [1, 0, 150, 0, 0, 2, 0]);
        assert_eq!(bytes[109..], [2, 0, 150, 192, 0]);
        assert_eq!(bytes.len(), sample().len());
        assert_eq!(Bootstrap::parse(false, &bytes), Ok(sample()));
    }

    #[test]
    fn every_cut_is_refused_but_at_the_end_of_a_range() {
        let bytes = emitted(&sample());
        for cut in 0..bytes.len() {
            let parsed = Bootstrap::parse(false, &bytes[..cut]);
            match cut {
                22 => assert_eq!(parsed.unwrap().ranges, []),
                46 => assert_eq!(parsed.unwrap().ranges, sample().ranges[..1]),
                _ => assert_eq!(parsed.unwrap_err().kind, WireErrorKind::Truncated, "cut at {cut}"),
            }
        }
    }

    #[test]
    fn counts_beyond_the_message_and_beyond_each_other_are_refused() {
        let bytes = emitted(&sample());
        for (at, value, kind) in [
            (2, 129, WireErrorKind::Value),
            (43, 1, WireErrorKind::Value),
            (67, 4, WireErrorKind::Value),
            (25, 129, WireErrorKind::Value),
        ] {
            let mut bad = bytes.clone();
            bad[at] = value;
            assert_eq!(Bootstrap::parse(false, &bad).unwrap_err(), WireError::new(kind, at), "octet {at}");
        }
        let mut bad = bytes;
        bad[66..68].fill(0xff);
        assert_eq!(Bootstrap::parse(false, &bad).unwrap_err().kind, WireErrorKind::Truncated);
    }

    #[test]
    fn so_many_ranges_and_no_more() {
        let range = RpRange { rps: vec![], ..sample().ranges[0].clone() };
        for (count, fits) in [(MAX_RP_RANGES, true), (MAX_RP_RANGES + 1, false)] {
            let message = Bootstrap { ranges: vec![range.clone(); count], ..sample() };
            let parsed = Bootstrap::parse(false, &emitted(&message));
            assert_eq!(parsed.map_err(|error| error.kind).err(), (!fits).then_some(WireErrorKind::TooMany));
        }
    }

    #[test]
    fn what_is_empty() {
        let ranges = sample().ranges;
        for (ranges, empty) in [
            (vec![], true),
            (vec![ranges[0].clone()], true),
            (vec![ranges[1].clone()], false),
            (ranges.clone(), false),
            (vec![RpRange { rp_count: 0, rps: vec![], ..ranges[1].clone() }], false),
        ] {
            assert_eq!(Bootstrap { ranges, ..sample() }.is_empty(), empty);
        }
    }

    fn range() -> impl Strategy<Value = RpRange> {
        let rp = (any::<u128>(), any::<u16>(), any::<u8>()).prop_map(|(address, holdtime, priority)| RpEntry {
            address: address.into(),
            holdtime,
            priority,
        });
        (any::<u128>(), 0..=128u8, any::<(bool, bool)>(), proptest::collection::vec(rp, 0..5), 0..9u8).prop_map(
            |(address, mask_length, (bidirectional, scope_zone), rps, more)| RpRange {
                group: EncodedGroup { address: address.into(), mask_length, bidirectional, scope_zone },
                rp_count: rps.len() as u8 + more,
                rps,
            },
        )
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Bootstrap::parse(false, &bytes);
            // The same behind a head that passes, so that the ranges are reached.
            let mut whole = emitted(&Bootstrap { ranges: vec![], ..sample() });
            whole.extend_from_slice(&[2, 0, 0, 8]);
            whole.extend_from_slice(&bytes);
            let _ = Bootstrap::parse(false, &whole);
        }

        #[test]
        fn what_is_written_is_read(
            no_forward: bool, fragment_tag: u16, hash_mask_length in 0..=128u8, bsr_priority: u8, bsr: u128,
            ranges in proptest::collection::vec(range(), 0..8),
        ) {
            let bsr_address = bsr.into();
            let message =
                Bootstrap { no_forward, fragment_tag, hash_mask_length, bsr_priority, bsr_address, ranges };
            let bytes = emitted(&message);
            prop_assert_eq!(bytes.len(), message.len());
            prop_assert_eq!(Bootstrap::parse(no_forward, &bytes), Ok(message));
        }
    }
}
