//! Group ranges that come in several fragments of a Bootstrap message: none takes effect before it is whole (RFC 5059 §4.1,
//! §4.1.1).

use super::rp_set::RangeProtocol;
use super::zone::group_range;
use crate::wire::{Bootstrap, RpEntry};
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use std::collections::BTreeMap;

/// A range, all of whose rendezvous points are there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct WholeRange {
    pub(crate) prefix: Prefix,
    pub(crate) protocol: RangeProtocol,
    pub(crate) rps: Vec<RpEntry>,
}

/// What adding a fragment did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Added {
    /// Ranges that are whole now.
    pub(crate) whole: Vec<WholeRange>,
    /// Ranges that are none of multicast groups.
    pub(crate) refused: u64,
    /// Ranges for whose parts there was no room.
    pub(crate) beyond_limit: u64,
}

#[derive(Debug)]
struct Part {
    rp_count: u8,
    rps: BTreeMap<Ipv6Addr, RpEntry>,
}

/// The ranges of one message that are not whole yet.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    of: Option<(Ipv6Addr, u16)>,
    parts: BTreeMap<(Prefix, RangeProtocol), Part>,
}

impl Reassembly {
    /// Adds a fragment. What was left of another message is forgotten. At most `limit` rendezvous points wait.
    pub(crate) fn add(&mut self, message: &Bootstrap, limit: usize) -> Added {
        let of = Some((message.bsr_address, message.fragment_tag));
        if self.of != of {
            self.parts.clear();
            self.of = of;
        }
        let mut added = Added::default();
        for range in &message.ranges {
            let Some(prefix) = group_range(range.group) else {
                added.refused += 1;
                continue;
            };
            let protocol = RangeProtocol::of(range.group.bidirectional);
            if range.rps.len() == usize::from(range.rp_count) {
                self.parts.remove(&(prefix, protocol));
                added.whole.push(WholeRange { prefix, protocol, rps: range.rps.clone() });
                continue;
            }
            let waiting: usize = self.parts.values().map(|part| 1 + part.rps.len()).sum();
            if waiting + 1 + range.rps.len() > limit {
                added.beyond_limit += 1;
                continue;
            }
            let empty = || Part { rp_count: range.rp_count, rps: BTreeMap::new() };
            let part = self.parts.entry((prefix, protocol)).or_insert_with(empty);
            if part.rp_count != range.rp_count {
                *part = empty();
            }
            part.rps.extend(range.rps.iter().map(|&rp| (rp.address, rp)));
            if part.rps.len() >= usize::from(range.rp_count)
                && let Some(part) = self.parts.remove(&(prefix, protocol))
            {
                added.whole.push(WholeRange { prefix, protocol, rps: part.rps.into_values().collect() });
            }
        }
        added
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{EncodedGroup, RpRange};

    fn rp(last: u8) -> RpEntry {
        RpEntry { address: Ipv6Addr::from_bits(u128::from(last)), holdtime: 150, priority: 0 }
    }

    fn fragment(tag: u16, rp_count: u8, lasts: &[u8]) -> Bootstrap {
        let group = EncodedGroup { mask_length: 16, ..EncodedGroup::host("ff15::".parse().unwrap()) };
        Bootstrap {
            no_forward: false,
            fragment_tag: tag,
            hash_mask_length: 126,
            bsr_priority: 64,
            bsr_address: Ipv6Addr::LOCALHOST,
            ranges: vec![RpRange { group, rp_count, rps: lasts.iter().map(|&last| rp(last)).collect() }],
        }
    }

    fn whole(added: &Added) -> Option<Vec<RpEntry>> {
        added.whole.first().map(|range| range.rps.clone())
    }

    #[test]
    fn a_part_is_not_the_whole() {
        let mut reassembly = Reassembly::default();
        assert_eq!(whole(&reassembly.add(&fragment(1, 3, &[1, 2]), 99)), None);
        assert_eq!(whole(&reassembly.add(&fragment(1, 3, &[1, 2]), 99)), None, "the same again adds nothing");
        assert_eq!(whole(&reassembly.add(&fragment(1, 3, &[3]), 99)), Some(vec![rp(1), rp(2), rp(3)]));
        // Another message's fragments do not complete it.
        assert_eq!(whole(&reassembly.add(&fragment(2, 3, &[1, 2]), 99)), None);
        assert_eq!(whole(&reassembly.add(&fragment(3, 3, &[3]), 99)), None);
        let other = Bootstrap { bsr_address: Ipv6Addr::UNSPECIFIED, ..fragment(3, 3, &[1, 2]) };
        assert_eq!(whole(&reassembly.add(&other, 99)), None);
        // Nor do counts that contradict each other.
        assert_eq!(whole(&reassembly.add(&fragment(4, 3, &[1, 2]), 99)), None);
        assert_eq!(whole(&reassembly.add(&fragment(4, 2, &[3]), 99)), None);
        assert_eq!(whole(&reassembly.add(&fragment(4, 2, &[4]), 99)), Some(vec![rp(3), rp(4)]));
        assert_eq!(whole(&reassembly.add(&fragment(5, 0, &[]), 99)), Some(vec![]));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut reassembly = Reassembly::default();
        let lasts: Vec<u8> = (0..20).collect();
        assert_eq!(reassembly.add(&fragment(1, 99, &lasts), 20).beyond_limit, 1);
        assert_eq!(reassembly.add(&fragment(1, 99, &lasts), 21).beyond_limit, 0);
        assert_eq!(reassembly.add(&fragment(1, 99, &lasts), 21).beyond_limit, 1);
        let mut unicast = fragment(1, 1, &[1]);
        unicast.ranges[0].group.address = "2001:db8::".parse().unwrap();
        assert_eq!(reassembly.add(&unicast, 21).refused, 1);
    }
}
