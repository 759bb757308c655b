//! The Join/Prune message (RFC 7761 §4.9.5).
//!
//! ```text
//! | upstream neighbour, encoded unicast (18) | reserved | group sets | holdtime (2) |
//! a group set: | group, encoded (20) | joined sources (2) | pruned sources (2) | joined, encoded (20 each) | pruned |
//! ```

use super::address::{EncodedGroup, EncodedSource, EncodedUnicast};
use core::net::Ipv6Addr;
use stack::wire::error::{WireError, WireErrorKind, array, u16_at};

/// Octets of the body in front of the first group set.
pub const JOIN_PRUNE_LEN: usize = EncodedUnicast::LEN + 4;
/// Octets of a group set without sources.
pub const GROUP_SET_LEN: usize = EncodedGroup::LEN + 4;
/// Octets of one source.
pub const SOURCE_LEN: usize = EncodedSource::LEN;
/// The group sets that one message can count.
pub const MAX_GROUP_SETS: usize = 255;

/// What a message says about one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSet {
    /// The group.
    pub group: EncodedGroup,
    /// Sources to send.
    pub joined: Vec<EncodedSource>,
    /// Sources to send no longer.
    pub pruned: Vec<EncodedSource>,
}

/// A Join/Prune message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinPrune {
    /// The router that is asked, by its primary address on the link.
    pub upstream_neighbor: Ipv6Addr,
    /// Seconds for which joins hold; [`super::HOLDTIME_FOREVER`] until pruned.
    pub holdtime: u16,
    /// At most [`MAX_GROUP_SETS`].
    pub groups: Vec<GroupSet>,
}

impl JoinPrune {
    /// Reads the body of a message, behind the PIM header. Octets behind the last group set are ignored.
    ///
    /// # Errors
    /// `Truncated` where the counts announce more than there is, `Value` for addresses that are not of IPv6.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let upstream_neighbor = EncodedUnicast::parse(bytes, 0)?.0;
        let [_, group_count] = array(bytes, EncodedUnicast::LEN)?;
        let holdtime = u16_at(bytes, EncodedUnicast::LEN + 2)?;
        let mut at = JOIN_PRUNE_LEN;
        let mut groups = Vec::with_capacity(usize::from(group_count).min((bytes.len() - at) / GROUP_SET_LEN));
        for _ in 0..group_count {
            let group = EncodedGroup::parse(bytes, at)?;
            let joined = usize::from(u16_at(bytes, at + EncodedGroup::LEN)?);
            let pruned = usize::from(u16_at(bytes, at + EncodedGroup::LEN + 2)?);
            at += GROUP_SET_LEN;
            // The lists are only made once their octets are known to be there.
            if bytes.len() - at < (joined + pruned) * SOURCE_LEN {
                return Err(WireError::new(WireErrorKind::Truncated, bytes.len()));
            }
            let mut sources = |count: usize| {
                let start = at;
                at += count * SOURCE_LEN;
                (start..at)
                    .step_by(SOURCE_LEN)
                    .map(|offset| EncodedSource::parse(bytes, offset))
                    .collect::<Result<_, _>>()
            };
            groups.push(GroupSet { group, joined: sources(joined)?, pruned: sources(pruned)? });
        }
        Ok(JoinPrune { upstream_neighbor, holdtime, groups })
    }

    /// Appends the body of the message.
    ///
    /// # Panics
    /// With more group sets or sources than their count fields can say: the caller packed them.
    pub fn emit(&self, into: &mut Vec<u8>) {
        let count = |length: usize| u16::try_from(length).expect("the list fits its count field");
        EncodedUnicast(self.upstream_neighbor).emit(into);
        into.extend_from_slice(&[0, u8::try_from(self.groups.len()).expect("at most MAX_GROUP_SETS group sets")]);
        into.extend_from_slice(&self.holdtime.to_be_bytes());
        for set in &self.groups {
            set.group.emit(into);
            into.extend_from_slice(&count(set.joined.len()).to_be_bytes());
            into.extend_from_slice(&count(set.pruned.len()).to_be_bytes());
            for source in set.joined.iter().chain(&set.pruned) {
                source.emit(into);
            }
        }
    }

    /// Octets of the body.
    pub fn len(&self) -> usize {
        let sources: usize = self.groups.iter().map(|set| set.joined.len() + set.pruned.len()).sum();
        JOIN_PRUNE_LEN + self.groups.len() * GROUP_SET_LEN + sources * SOURCE_LEN
    }

    /// Whether the message says nothing.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn sample() -> JoinPrune {
        JoinPrune {
            upstream_neighbor: address("fe80::2"),
            holdtime: 210,
            groups: vec![
                GroupSet {
                    group: EncodedGroup::host(address("ff35::1")),
                    joined: vec![EncodedSource::host(address("2001:db8::1"))],
                    pruned: vec![],
                },
                GroupSet {
                    group: EncodedGroup::host(address("ff35::2")),
                    joined: vec![],
                    pruned: vec![EncodedSource::host(address("2001:db8::1"))],
                },
            ],
        }
    }

    #[test]
    fn vector() {
        let mut bytes = Vec::new();
        sample().emit(&mut bytes);
        assert_eq!(bytes.len(), sample().len());
        assert_eq!(bytes[..4], [2, 0, 0xfe, 0x80]);
        assert_eq!(bytes[17..22], [2, 0, 2, 0, 210]);
        assert_eq!(bytes[22..28], [2, 0, 0, 128, 0xff, 0x35]);
        assert_eq!(bytes[42..52], [0, 1, 0, 0, 2, 0, 4, 128, 0x20, 0x01]);
        assert_eq!(bytes[86..90], [0, 0, 0, 1]);
        assert_eq!(JoinPrune::parse(&bytes), Ok(sample()));
    }

    #[test]
    fn every_cut_is_refused() {
        let mut bytes = Vec::new();
        sample().emit(&mut bytes);
        for cut in 0..bytes.len() {
            assert_eq!(JoinPrune::parse(&bytes[..cut]).unwrap_err().kind, WireErrorKind::Truncated, "cut at {cut}");
        }
    }

    #[test]
    fn counts_beyond_the_message_are_refused() {
        let mut bytes = Vec::new();
        sample().emit(&mut bytes);
        for at in [19, 42, 44] {
            let mut bad = bytes.clone();
            bad[at] = 0xff;
            assert!(JoinPrune::parse(&bad).is_err(), "octet {at}");
        }
    }

    fn source() -> impl Strategy<Value = EncodedSource> {
        (any::<u128>(), 0..=128u8, any::<(bool, bool, bool)>()).prop_map(|(a, mask_length, (sparse, wildcard, rpt))| {
            EncodedSource { address: a.into(), mask_length, sparse, wildcard, rpt }
        })
    }

    fn group_set() -> impl Strategy<Value = GroupSet> {
        let sources = || proptest::collection::vec(source(), 0..5);
        (any::<u128>(), 0..=128u8, any::<(bool, bool)>(), sources(), sources()).prop_map(
            |(a, mask_length, (bidirectional, scope_zone), joined, pruned)| GroupSet {
                group: EncodedGroup { address: a.into(), mask_length, bidirectional, scope_zone },
                joined,
                pruned,
            },
        )
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), groups: u8) {
            let _ = JoinPrune::parse(&bytes);
            // The same behind a head that passes, so that the group sets are reached.
            let mut whole = Vec::new();
            EncodedUnicast(Ipv6Addr::LOCALHOST).emit(&mut whole);
            whole.extend_from_slice(&[0, groups, 0, 210]);
            whole.extend_from_slice(&bytes);
            let _ = JoinPrune::parse(&whole);
        }

        #[test]
        fn what_is_written_is_read(
            upstream: u128, holdtime: u16, groups in proptest::collection::vec(group_set(), 0..8),
        ) {
            let message = JoinPrune { upstream_neighbor: upstream.into(), holdtime, groups };
            let mut bytes = Vec::new();
            message.emit(&mut bytes);
            prop_assert_eq!(bytes.len(), message.len());
            prop_assert_eq!(JoinPrune::parse(&bytes), Ok(message));
        }
    }
}
