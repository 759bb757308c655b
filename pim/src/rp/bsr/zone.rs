//! Scope zones, and what a router knows of one (RFC 5059 §2).

use super::candidate_set::CandidateSet;
use super::reassembly::Reassembly;
use super::rp_set::RpSet;
use super::state::{BsrEvent, BsrState};
use crate::wire::{Bootstrap, EncodedGroup};
use core::net::Ipv6Addr;
use stack::addr::{Prefix, Scope};
use stack::time::Instant;

/// The part of a PIM domain that has a bootstrap router of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ScopeZone {
    /// The domain as a whole: non-scoped.
    Domain,
    /// The zone of this scope in which the router is, for groups of that scope (RFC 5059 §1.3).
    Scope(Scope),
}

impl ScopeZone {
    /// The zone of a Bootstrap message; `None` where its first range has the Z bit and names no scope wider than a link
    /// (RFC 5059 §3.1).
    pub(crate) fn of(message: &Bootstrap) -> Option<ScopeZone> {
        match message.ranges.first() {
            Some(first) if first.group.scope_zone => scope_of(group_range(first.group)?).map(ScopeZone::Scope),
            _ => Some(ScopeZone::Domain),
        }
    }

    /// Whether a range can be one of this zone: in a scope zone all have its scope.
    pub(crate) fn holds(self, range: Prefix) -> bool {
        match self {
            ScopeZone::Domain => true,
            ScopeZone::Scope(scope) => scope_of(range) == Some(scope),
        }
    }
}

/// The range of an encoded group, where it is one of multicast groups.
pub(crate) fn group_range(group: EncodedGroup) -> Option<Prefix> {
    Prefix::new(group.address, group.mask_length).filter(is_multicast)
}

/// Whether all addresses of the prefix are groups.
pub(crate) fn is_multicast(range: &Prefix) -> bool {
    range.length() >= 8 && range.address().is_multicast()
}

/// The scope of all groups of this range, where they have one and the same that is routed.
pub(crate) fn scope_of(range: Prefix) -> Option<Scope> {
    const RESERVED: u8 = 15;
    let scope = Scope::of(range.address()).filter(|_| range.length() >= 16)?;
    (scope > Scope::LINK_LOCAL && scope.value() != RESERVED).then_some(scope)
}

/// The weight of a bootstrap router: its priority, then its address (RFC 5059 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Weight {
    pub(crate) priority: u8,
    pub(crate) address: Ipv6Addr,
}

impl Weight {
    pub(crate) fn of(message: &Bootstrap) -> Self {
        Weight { priority: message.bsr_priority, address: message.bsr_address }
    }
}

/// How a Bootstrap message came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delivery {
    /// Flooded through the domain: it is checked against the route to the bootstrap router and goes on.
    Flooded,
    /// With the N bit, or to this router alone: a quick refresh at the start, which goes no further (RFC 5059 §3.5).
    Quick,
}

/// The last message that was taken, by what its fragments have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    pub(crate) delivery: Delivery,
    pub(crate) bsr: Ipv6Addr,
    pub(crate) tag: u16,
}

#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) state: BsrState,
    /// The current bootstrap router, or the last one of a candidate that waits.
    pub(crate) current: Option<Weight>,
    /// Since when it is the current one.
    pub(crate) since: Instant,
    pub(crate) hash_mask_length: u8,
    pub(crate) rp_set: RpSet,
    pub(crate) reassembly: Reassembly,
    /// The fragments of the last message of the current bootstrap router.
    pub(crate) stored: Vec<Bootstrap>,
    pub(crate) taken: Option<Taken>,
    /// What candidates have said to this router as the bootstrap router.
    pub(crate) candidates: CandidateSet,
    /// When this router last originated a message.
    pub(crate) originated: Option<Instant>,
}

impl Zone {
    pub(crate) fn new(state: BsrState, now: Instant) -> Self {
        Zone {
            state,
            current: None,
            since: now,
            hash_mask_length: crate::rp::hash::HASH_MASK_LENGTH,
            rp_set: RpSet::default(),
            reassembly: Reassembly::default(),
            stored: Vec::new(),
            taken: None,
            candidates: CandidateSet::default(),
            originated: None,
        }
    }

    /// The event that a Bootstrap message is (RFC 5059 §3.1.4). `own` is this router's weight where it is a candidate.
    pub(crate) fn event_of(&self, message: &Bootstrap, own: Option<Weight>) -> BsrEvent {
        let theirs = Weight::of(message);
        let reference = match (self.state, own) {
            (BsrState::Pending | BsrState::Elected, Some(own)) => Some(own),
            _ => self.current,
        };
        let Some(reference) = reference else { return BsrEvent::ReceivePreferred };
        if theirs >= reference {
            return BsrEvent::ReceivePreferred;
        }
        let from_current = self.current.is_some_and(|current| current.address == theirs.address);
        match (self.state, own) {
            (BsrState::Candidate, Some(own)) if from_current && theirs < own => {
                BsrEvent::ReceiveNonPreferredFromElected
            }
            // It has lowered its priority, and nobody better is known.
            (BsrState::Candidate | BsrState::AcceptPreferred, _) if from_current => BsrEvent::ReceivePreferred,
            _ => BsrEvent::ReceiveNonPreferred,
        }
    }

    /// Keeps a message of the current bootstrap router for neighbours to come: with the fragments before it where it
    /// belongs to them, up to so many group ranges and rendezvous points.
    pub(crate) fn keep(&mut self, message: &Bootstrap, limit: usize) {
        let same =
            |kept: &Bootstrap| kept.fragment_tag == message.fragment_tag && Weight::of(kept) == Weight::of(message);
        if !self.stored.first().is_some_and(same) {
            self.stored.clear();
        }
        let size = |message: &Bootstrap| 1 + message.ranges.iter().map(|range| 1 + range.rps.len()).sum::<usize>();
        if !self.stored.contains(message) && self.stored.iter().map(size).sum::<usize>() + size(message) <= 2 * limit {
            self.stored.push(message.clone());
        }
    }

    /// Whether a quick refresh is still taken: no message was, or one of which this is another fragment.
    pub(crate) fn takes_quick(&self, message: &Bootstrap) -> bool {
        self.taken.is_none_or(|taken| taken == Taken::of(message, Delivery::Quick))
    }
}

impl Taken {
    pub(crate) fn of(message: &Bootstrap, delivery: Delivery) -> Self {
        Taken { delivery, bsr: message.bsr_address, tag: message.fragment_tag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::RpRange;

    fn message(priority: u8, last: u16) -> Bootstrap {
        Bootstrap {
            no_forward: false,
            fragment_tag: 1,
            hash_mask_length: 126,
            bsr_priority: priority,
            bsr_address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last),
            ranges: Vec::new(),
        }
    }

    #[test]
    fn what_is_preferred() {
        use BsrEvent::{
            ReceiveNonPreferred as Non, ReceiveNonPreferredFromElected as Elected, ReceivePreferred as Yes,
        };
        let own = Weight::of(&message(64, 5));
        for (state, current, own, received, event) in [
            (BsrState::AcceptAny, None, None, (0, 1), Yes),
            (BsrState::AcceptPreferred, Some((64, 4)), None, (64, 4), Yes),
            (BsrState::AcceptPreferred, Some((64, 4)), None, (64, 3), Non),
            (BsrState::AcceptPreferred, Some((64, 4)), None, (65, 3), Yes),
            (BsrState::AcceptPreferred, Some((64, 4)), None, (0, 4), Yes),
            (BsrState::Candidate, Some((70, 4)), Some(own), (70, 4), Yes),
            (BsrState::Candidate, Some((70, 4)), Some(own), (69, 6), Non),
            (BsrState::Candidate, Some((70, 4)), Some(own), (65, 4), Yes),
            (BsrState::Candidate, Some((70, 4)), Some(own), (0, 4), Elected),
            (BsrState::Pending, None, Some(own), (64, 4), Non),
            (BsrState::Pending, None, Some(own), (64, 6), Yes),
            // Whoever was better before does not count while this router waits.
            (BsrState::Pending, Some((70, 4)), Some(own), (65, 3), Yes),
            (BsrState::Elected, Some((64, 5)), Some(own), (63, 9), Non),
            (BsrState::Elected, Some((64, 5)), Some(own), (64, 9), Yes),
        ] {
            let mut zone = Zone::new(state, Instant::ORIGIN);
            zone.current = current.map(|(priority, last)| Weight::of(&message(priority, last)));
            assert_eq!(
                zone.event_of(&message(received.0, received.1), own),
                event,
                "{state:?} {current:?} {received:?}"
            );
        }
    }

    #[test]
    fn the_zone_is_the_scope_of_the_first_range() {
        let range = |text: &str, mask_length, scope_zone| RpRange {
            group: EncodedGroup { address: text.parse().unwrap(), mask_length, bidirectional: false, scope_zone },
            rp_count: 0,
            rps: Vec::new(),
        };
        let site = Some(ScopeZone::Scope(Scope::SITE_LOCAL));
        for (ranges, zone) in [
            (vec![], Some(ScopeZone::Domain)),
            (vec![range("ff05::", 16, false)], Some(ScopeZone::Domain)),
            (vec![range("ff05::", 16, true)], site),
            (vec![range("ff15:1::", 32, true)], site),
            (vec![range("ff1e::", 16, false), range("ff05::", 16, true)], Some(ScopeZone::Domain)),
            (vec![range("ff00::", 8, true)], None),
            (vec![range("ff05::", 15, true)], None),
            (vec![range("ff02::", 16, true)], None),
            (vec![range("ff0f::", 16, true)], None),
            (vec![range("2001:db8::", 32, true)], None),
        ] {
            assert_eq!(ScopeZone::of(&Bootstrap { ranges: ranges.clone(), ..message(64, 1) }), zone, "{ranges:?}");
        }
    }

    #[test]
    fn one_message_is_kept_with_its_fragments() {
        let mut zone = Zone::new(BsrState::AcceptPreferred, Instant::ORIGIN);
        let fragment = |tag, hash_mask_length| Bootstrap { fragment_tag: tag, hash_mask_length, ..message(64, 1) };
        zone.keep(&fragment(1, 100), 8);
        zone.keep(&fragment(1, 100), 8);
        zone.keep(&fragment(1, 101), 8);
        assert_eq!(zone.stored.len(), 2);
        zone.keep(&fragment(2, 100), 8);
        assert_eq!(zone.stored, [fragment(2, 100)]);
        for hash_mask_length in 0..=100 {
            zone.keep(&fragment(2, hash_mask_length), 8);
        }
        assert_eq!(zone.stored.len(), 16, "no more than so much");
    }
}
