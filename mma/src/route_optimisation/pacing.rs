//! MAX_UPDATE_RATE: how often one correspondent is sent one type of message (RFC 6275 §11.8).

use core::net::Ipv6Addr;
use stack::time::{Duration, Instant, Timers};
use std::collections::BTreeMap;

/// The types of message that an initiator sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    HomeTestInit,
    CareOfTestInit,
    Update,
}

/// Gives out the turns of each correspondent, in the order in which they are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Pacing {
    /// When the next message of each type may be sent.
    pub(super) next: BTreeMap<Ipv6Addr, [Instant; 3]>,
    /// When all turns of a correspondent are over and nothing has to be remembered.
    over: Timers<Ipv6Addr>,
}

impl Pacing {
    /// Three in every second, however the second is laid.
    const SPACING: Duration = Duration::from_nanos(1_000_000_000 / 3 + 1);

    /// When this message may be sent: now or later. The turn is taken, whether it is used or not.
    pub(super) fn reserve(&mut self, now: Instant, correspondent: Ipv6Addr, kind: Kind) -> Instant {
        while let Some(over) = self.over.pop_expired(now) {
            self.next.remove(&over);
        }
        let next = &mut self.next.entry(correspondent).or_default()[kind as usize];
        let turn = now.max(*next);
        *next = turn + Self::SPACING;
        if self.over.deadline(correspondent).is_none_or(|over| over < *next) {
            self.over.set(correspondent, *next);
        }
        turn
    }

    /// How long a message to this correspondent would wait at the most.
    pub(super) fn delay(&self, now: Instant, correspondent: Ipv6Addr) -> Duration {
        let latest = self.next.get(&correspondent).and_then(|next| next.iter().max().copied());
        latest.map_or(Duration::ZERO, |latest| latest.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_a_type_in_any_second() {
        let (one, other) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let mut pacing = Pacing::default();
        let now = Instant::from_secs(5);
        let turns: Vec<_> = (0..20).map(|_| pacing.reserve(now, one, Kind::Update)).collect();
        assert_eq!(turns[0], now);
        for four in turns.windows(4) {
            assert!(four[3].since(four[0]) > Duration::from_secs(1), "{four:?}");
        }
        // Another type and another correspondent have turns of their own.
        assert_eq!(pacing.reserve(now, one, Kind::HomeTestInit), now);
        assert_eq!(pacing.reserve(now, other, Kind::Update), now);
        assert!(pacing.delay(now, one) > Duration::from_secs(6));
        // What is over is forgotten.
        let later = Instant::from_secs(60);
        assert_eq!(pacing.reserve(later, other, Kind::Update), later);
        assert_eq!(pacing.next.len(), 1);
    }
}
