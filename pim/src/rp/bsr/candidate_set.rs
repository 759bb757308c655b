//! The C-RP-Set: what candidate rendezvous points have told the bootstrap router, and the RP-Set that it makes of that
//! (RFC 5059 §3.3).

use super::rp_set::RangeProtocol;
use super::{BS_PERIOD, BS_TIMEOUT};
use crate::wire::{EncodedGroup, MAX_RPS_PER_RANGE, RpEntry, RpRange};
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;

/// A range that candidates offer to serve.
pub(crate) type OfferedRange = (Prefix, RangeProtocol);

/// What an offer changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    /// Nothing but how long it holds.
    Refreshed,
    /// The RP-Set.
    Changed,
    /// A candidate went.
    TakenBack,
    /// There is no room for it.
    BeyondLimit,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    priority: u8,
    holdtime: u16,
    /// When the Group-to-C-RP mapping Expiry Timer ends; `None` for one that went, until a message has said so.
    expires: Option<Instant>,
}

/// The offers, and the ranges that nobody serves any more.
#[derive(Debug, Default)]
pub(crate) struct CandidateSet {
    offers: BTreeMap<OfferedRange, BTreeMap<Ipv6Addr, Candidate>>,
    /// Until when messages say that a range has no rendezvous point (RFC 5059 §4.1.1).
    withdrawn: BTreeMap<OfferedRange, Instant>,
}

impl CandidateSet {
    /// Takes an offer; a holdtime of zero takes it back.
    pub(crate) fn offer(&mut self, now: Instant, range: OfferedRange, entry: RpEntry, limit: usize) -> Offer {
        let is_full = self.len() >= limit;
        let known = self.offers.get_mut(&range).and_then(|candidates| candidates.get_mut(&entry.address));
        let RpEntry { address, holdtime, priority } = entry;
        let expires = (holdtime > 0).then(|| now + Duration::from_secs(u64::from(holdtime)));
        match known {
            None if holdtime == 0 => Offer::Refreshed,
            None if is_full => Offer::BeyondLimit,
            None => {
                self.withdrawn.remove(&range);
                self.offers.entry(range).or_default().insert(address, Candidate { priority, holdtime, expires });
                Offer::Changed
            }
            Some(candidate) => {
                let before = core::mem::replace(candidate, Candidate { priority, holdtime, expires });
                match (before.expires.is_some(), expires.is_some()) {
                    (true, false) => Offer::TakenBack,
                    (true, true) | (false, false) if before.priority == priority => Offer::Refreshed,
                    _ => Offer::Changed,
                }
            }
        }
    }

    /// When the first offer runs out.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.offers.values().flat_map(BTreeMap::values).filter_map(|candidate| candidate.expires).min()
    }

    /// Takes out what has run out; whether that was anything.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let before = self.len();
        for candidates in self.offers.values_mut() {
            candidates.retain(|_, candidate| candidate.expires.is_none_or(|expires| expires > now));
        }
        let gone = self.len() != before;
        self.withdraw_empty(now);
        gone
    }

    /// The group ranges of the next message, and that it has been said.
    pub(crate) fn take_ranges(&mut self, now: Instant) -> Vec<RpRange> {
        self.withdrawn.retain(|_, until| *until > now);
        let mut ranges: Vec<RpRange> = self
            .withdrawn
            .keys()
            .map(|&range| RpRange { group: encoded(range), rp_count: 0, rps: Vec::new() })
            .collect();
        for (&range, candidates) in &self.offers {
            // Of a range that is offered for both protocols, bidirectional PIM has it.
            let other = (range.0, RangeProtocol::Bidirectional);
            if range.1 == RangeProtocol::Sparse && self.offers.contains_key(&other) {
                continue;
            }
            let entry = |(&address, candidate): (&Ipv6Addr, &Candidate)| RpEntry {
                address,
                holdtime: candidate.expires.map_or(0, |_| candidate.holdtime.max(MIN_HOLDTIME_SECS)),
                priority: candidate.priority,
            };
            let mut rps: Vec<RpEntry> = candidates.iter().map(entry).collect();
            if rps.len() > MAX_RPS_PER_RANGE {
                rps.sort_by_key(|rp| (rp.priority, rp.address));
                rps.truncate(MAX_RPS_PER_RANGE);
            }
            ranges.push(RpRange { group: encoded(range), rp_count: rps.len() as u8, rps });
        }
        for candidates in self.offers.values_mut() {
            candidates.retain(|_, candidate| candidate.expires.is_some());
        }
        self.withdraw_empty(now);
        ranges
    }

    fn withdraw_empty(&mut self, now: Instant) {
        let empty: Vec<OfferedRange> =
            self.offers.iter().filter(|(_, candidates)| candidates.is_empty()).map(|(&range, _)| range).collect();
        for range in empty {
            self.offers.remove(&range);
            self.withdrawn.insert(range, now + BS_TIMEOUT);
        }
    }

    fn len(&self) -> usize {
        self.withdrawn.len() + self.offers.values().map(BTreeMap::len).sum::<usize>()
    }
}

/// Holdtimes in messages are no shorter than 2.5 times BS_Period (RFC 5059 §3.3).
const MIN_HOLDTIME_SECS: u16 = (BS_PERIOD.as_secs() * 5 / 2) as u16;

fn encoded((prefix, protocol): OfferedRange) -> EncodedGroup {
    EncodedGroup {
        address: prefix.address(),
        mask_length: prefix.length(),
        bidirectional: protocol == RangeProtocol::Bidirectional,
        scope_zone: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RangeProtocol::{Bidirectional, Sparse};

    const LIMIT: usize = 4;

    fn secs(secs: u64) -> Instant {
        Instant::from_secs(secs)
    }

    fn range(text: &str) -> OfferedRange {
        (text.parse().unwrap(), Sparse)
    }

    fn rp(last: u16, holdtime: u16, priority: u8) -> RpEntry {
        RpEntry { address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last), holdtime, priority }
    }

    fn said(ranges: &[RpRange]) -> Vec<(Ipv6Addr, u8, Vec<RpEntry>)> {
        ranges.iter().map(|range| (range.group.address, range.rp_count, range.rps.clone())).collect()
    }

    #[test]
    fn holdtimes_outlast_the_period() {
        let mut set = CandidateSet::default();
        assert_eq!(set.offer(secs(0), range("ff15::/16"), rp(1, 30, 5), LIMIT), Offer::Changed);
        assert_eq!(set.offer(secs(1), range("ff15::/16"), rp(2, 400, 5), LIMIT), Offer::Changed);
        assert_eq!(set.offer(secs(2), range("ff15::/16"), rp(2, 400, 5), LIMIT), Offer::Refreshed);
        let group: Ipv6Addr = "ff15::".parse().unwrap();
        assert_eq!(said(&set.take_ranges(secs(3))), [(group, 2, vec![rp(1, 150, 5), rp(2, 400, 5)])]);
        // The offer itself holds as long as its candidate says.
        assert_eq!(set.next_expiry(), Some(secs(30)));
        assert!(set.expire(secs(30)) && !set.expire(secs(31)));
        assert_eq!(said(&set.take_ranges(secs(31))), [(group, 1, vec![rp(2, 400, 5)])]);
    }

    #[test]
    fn what_goes_is_told() {
        let mut set = CandidateSet::default();
        set.offer(secs(0), range("ff15::/16"), rp(1, 150, 5), LIMIT);
        assert_eq!(set.offer(secs(1), range("ff15::/16"), rp(1, 0, 5), LIMIT), Offer::TakenBack);
        let group: Ipv6Addr = "ff15::".parse().unwrap();
        assert_eq!(said(&set.take_ranges(secs(2))), [(group, 1, vec![rp(1, 0, 5)])]);
        for at in [3, 131] {
            assert_eq!(said(&set.take_ranges(secs(at))), [(group, 0, vec![])], "for BS_Timeout");
        }
        assert_eq!(said(&set.take_ranges(secs(132))), []);
        assert_eq!(set.offer(secs(140), range("ff15::/16"), rp(1, 0, 5), LIMIT), Offer::Refreshed, "of nobody");
        set.offer(secs(140), range("ff15::/16"), rp(1, 150, 5), LIMIT);
        set.expire(secs(290));
        assert_eq!(said(&set.take_ranges(secs(290))), [(group, 0, vec![])]);
        set.offer(secs(300), range("ff15::/16"), rp(1, 150, 5), LIMIT);
        assert_eq!(said(&set.take_ranges(secs(300))).len(), 1, "it is back");
    }

    #[test]
    fn bidirectional_has_a_range_that_both_want() {
        let mut set = CandidateSet::default();
        set.offer(secs(0), range("ff15::/16"), rp(1, 150, 0), LIMIT);
        set.offer(secs(0), ("ff15::/16".parse().unwrap(), Bidirectional), rp(2, 150, 9), LIMIT);
        let ranges = set.take_ranges(secs(1));
        assert_eq!(ranges.len(), 1);
        assert!(ranges[0].group.bidirectional);
    }

    #[test]
    fn offers_are_bounded() {
        let mut set = CandidateSet::default();
        for last in 0..6 {
            let offer = set.offer(secs(0), range("ff15::/16"), rp(last, 150, 0), LIMIT);
            assert_eq!(offer == Offer::BeyondLimit, usize::from(last) >= LIMIT, "{last}");
        }
        // Ranges that are being withdrawn count.
        set.expire(secs(150));
        for (index, text) in ["ff11::/16", "ff12::/16", "ff13::/16", "ff14::/16"].into_iter().enumerate() {
            let offer = set.offer(secs(151), range(text), rp(1, 150, 0), LIMIT);
            assert_eq!(offer == Offer::BeyondLimit, index == 3, "{text}");
        }
    }
}
