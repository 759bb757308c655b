//! The learned RP-Set of a zone: group-to-RP mappings and how long each holds (RFC 5059 §3.1.5, §3.6).

use crate::rp::choice::{Choice, choose};
use crate::wire::RpEntry;
use core::net::Ipv6Addr;
use stack::addr::{self, Prefix};
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;

/// A learned rendezvous point of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LearnedRp {
    pub(crate) priority: u8,
    /// Seconds, as the message said.
    pub(crate) holdtime: u16,
    /// When the Group-to-RP mapping Expiry Timer ends.
    pub(crate) expires: Instant,
}

/// Which protocol a range is for: the B bit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum RangeProtocol {
    Sparse,
    Bidirectional,
}

impl RangeProtocol {
    pub(crate) const fn of(bidirectional: bool) -> Self {
        if bidirectional { RangeProtocol::Bidirectional } else { RangeProtocol::Sparse }
    }
}

#[derive(Debug)]
struct Range {
    protocol: RangeProtocol,
    rps: BTreeMap<Ipv6Addr, LearnedRp>,
}

/// What storing a range did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stored {
    /// Whether any group can have another rendezvous point now.
    pub(crate) changed: bool,
    /// Rendezvous points whose address cannot be one.
    pub(crate) refused: u64,
    /// Mappings beyond the limit.
    pub(crate) beyond_limit: u64,
}

/// The mappings, by length of their range, then range. No range is empty.
#[derive(Debug, Default)]
pub(crate) struct RpSet {
    by_length: BTreeMap<u8, BTreeMap<Prefix, Range>>,
}

impl RpSet {
    pub(crate) fn len(&self) -> usize {
        self.by_length.values().flat_map(BTreeMap::values).map(|range| range.rps.len()).sum()
    }

    /// What the longest range says about a group.
    pub(crate) fn lookup(&self, group: Ipv6Addr, hash_mask_length: u8) -> Choice {
        let mut ranges =
            self.by_length.iter().rev().filter_map(|(&length, ranges)| ranges.get(&Prefix::new(group, length)?));
        match ranges.next() {
            None => Choice::NoRange,
            Some(range) if range.protocol == RangeProtocol::Bidirectional => Choice::Bidirectional,
            Some(range) => {
                choose(group, hash_mask_length, range.rps.iter().map(|(&address, rp)| (address, rp.priority)))
                    .map_or(Choice::NoRange, Choice::RendezvousPoint)
            }
        }
    }

    /// Takes over the whole of a range: mappings that are not in it are gone. A holdtime of zero takes a mapping back.
    pub(crate) fn replace(
        &mut self,
        now: Instant,
        prefix: Prefix,
        protocol: RangeProtocol,
        rps: &[RpEntry],
        limit: usize,
    ) -> Stored {
        let mut stored = Stored::default();
        let former = self.remove(prefix);
        let mut room = limit.saturating_sub(self.len());
        let mut range = Range { protocol, rps: BTreeMap::new() };
        for rp in rps {
            if !addr::is_routable_unicast(rp.address) {
                stored.refused += 1;
            } else if rp.holdtime == 0 {
                range.rps.remove(&rp.address);
            } else if room == 0 {
                stored.beyond_limit += 1;
            } else {
                let expires = now + Duration::from_secs(u64::from(rp.holdtime));
                let learned = LearnedRp { priority: rp.priority, holdtime: rp.holdtime, expires };
                room -= usize::from(range.rps.insert(rp.address, learned).is_none());
            }
        }
        let said = |range: &Range| {
            let priorities = range.rps.iter().map(|(&address, rp)| (address, rp.priority));
            (range.protocol, priorities.collect::<Vec<_>>())
        };
        let now_said = (!range.rps.is_empty()).then(|| said(&range));
        stored.changed = former.as_ref().map(said) != now_said;
        if !range.rps.is_empty() {
            self.by_length.entry(prefix.length()).or_default().insert(prefix, range);
        }
        stored
    }

    /// When the first mapping runs out.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.iter().map(|(.., rp)| rp.expires).min()
    }

    /// Takes out what has run out; whether that was anything.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let before = self.len();
        for ranges in self.by_length.values_mut() {
            for range in ranges.values_mut() {
                range.rps.retain(|_, rp| rp.expires > now);
            }
            ranges.retain(|_, range| !range.rps.is_empty());
        }
        self.by_length.retain(|_, ranges| !ranges.is_empty());
        self.len() != before
    }

    /// The mappings, by length of the range, range and address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Prefix, RangeProtocol, Ipv6Addr, LearnedRp)> {
        self.by_length.values().flatten().flat_map(|(&prefix, range)| {
            range.rps.iter().map(move |(&address, &rp)| (prefix, range.protocol, address, rp))
        })
    }

    fn remove(&mut self, prefix: Prefix) -> Option<Range> {
        let ranges = self.by_length.get_mut(&prefix.length())?;
        let removed = ranges.remove(&prefix);
        if ranges.is_empty() {
            self.by_length.remove(&prefix.length());
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RangeProtocol::{Bidirectional, Sparse};

    fn at(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn rp(last: u16, holdtime: u16, priority: u8) -> RpEntry {
        RpEntry { address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last), holdtime, priority }
    }

    fn store(set: &mut RpSet, secs: u64, prefix: &str, protocol: RangeProtocol, rps: &[RpEntry]) -> Stored {
        set.replace(Instant::from_secs(secs), prefix.parse().unwrap(), protocol, rps, 5)
    }

    #[test]
    fn the_longest_range_then_priority() {
        let mut set = RpSet::default();
        store(&mut set, 0, "ff00::/8", Sparse, &[rp(1, 150, 0)]);
        store(&mut set, 0, "ff15::/16", Sparse, &[rp(2, 150, 9), rp(3, 150, 8)]);
        store(&mut set, 0, "ff15:1::/32", Bidirectional, &[rp(4, 150, 0)]);
        for (group, choice) in [
            ("ff1e::1", Choice::RendezvousPoint(rp(1, 0, 0).address)),
            ("ff15::1", Choice::RendezvousPoint(rp(3, 0, 0).address)),
            ("ff15:1::1", Choice::Bidirectional),
        ] {
            assert_eq!(set.lookup(at(group), 126), choice, "{group}");
        }
        assert_eq!(RpSet::default().lookup(at("ff15::1"), 126), Choice::NoRange);
    }

    #[test]
    fn what_a_range_does_not_name_any_more_is_gone() {
        let mut set = RpSet::default();
        assert!(store(&mut set, 0, "ff15::/16", Sparse, &[rp(1, 150, 0), rp(2, 150, 0)]).changed);
        assert!(!store(&mut set, 60, "ff15::/16", Sparse, &[rp(1, 150, 0), rp(2, 100, 0)]).changed);
        assert_eq!(set.next_expiry(), Some(Instant::from_secs(160)), "holdtimes run anew");
        assert!(store(&mut set, 60, "ff15::/16", Sparse, &[rp(1, 150, 1), rp(2, 150, 0)]).changed);
        assert!(store(&mut set, 60, "ff15::/16", Sparse, &[rp(1, 150, 1), rp(2, 0, 0)]).changed);
        assert_eq!(set.len(), 1);
        assert!(store(&mut set, 60, "ff15::/16", Sparse, &[]).changed);
        assert_eq!((set.len(), set.next_expiry()), (0, None));
        assert!(!store(&mut set, 60, "ff15::/16", Sparse, &[]).changed);
    }

    #[test]
    fn mappings_run_out() {
        let mut set = RpSet::default();
        store(&mut set, 0, "ff15::/16", Sparse, &[rp(1, 150, 0), rp(2, 70, 0)]);
        assert!(!set.expire(Instant::from_secs(69)));
        assert!(set.expire(Instant::from_secs(70)));
        assert_eq!(set.iter().map(|mapping| mapping.2).collect::<Vec<_>>(), [rp(1, 0, 0).address]);
        assert!(set.expire(Instant::from_secs(150)));
        assert_eq!(set.lookup(at("ff15::1"), 126), Choice::NoRange);
    }

    #[test]
    fn what_cannot_be_and_what_is_too_much_is_refused() {
        let mut set = RpSet::default();
        let bad = ["fe80::1", "::", "ff02::1", "::1"].map(|text| RpEntry { address: at(text), ..rp(0, 150, 0) });
        assert_eq!(store(&mut set, 0, "ff15::/16", Sparse, &bad), Stored { refused: 4, ..Stored::default() });
        let many: Vec<_> = (1..=7).map(|last| rp(last, 150, 0)).collect();
        let stored = store(&mut set, 0, "ff15::/16", Sparse, &many);
        assert_eq!(stored, Stored { changed: true, refused: 0, beyond_limit: 2 });
        assert_eq!(store(&mut set, 0, "ff16::/16", Sparse, &many[..1]).beyond_limit, 1);
        assert_eq!(set.len(), 5);
    }
}
