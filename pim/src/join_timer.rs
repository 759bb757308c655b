//! The join timers JT(S,G) (RFC 7761 §4.5.5), arranged by the neighbour that is to be refreshed, so that a refresh can
//! take along what is due soon and fill its packets.

use crate::rpf::LinkNeighbor;
use stack::tables::MrouteKey;
use stack::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct JoinTimers {
    by_neighbor: BTreeMap<LinkNeighbor, BTreeSet<(Instant, MrouteKey)>>,
}

impl JoinTimers {
    /// Moves the timer of `key` from `previous` to `at`; `None` is not running.
    pub(crate) fn set(
        &mut self,
        neighbor: LinkNeighbor,
        key: MrouteKey,
        previous: Option<Instant>,
        at: Option<Instant>,
    ) {
        if let (Some(previous), Some(timers)) = (previous, self.by_neighbor.get_mut(&neighbor)) {
            timers.remove(&(previous, key));
            if timers.is_empty() {
                self.by_neighbor.remove(&neighbor);
            }
        }
        if let Some(at) = at {
            self.by_neighbor.entry(neighbor).or_default().insert((at, key));
        }
    }

    /// When the first timer of the neighbour expires.
    pub(crate) fn next_deadline(&self, neighbor: LinkNeighbor) -> Option<Instant> {
        self.by_neighbor.get(&neighbor)?.first().map(|&(at, _)| at)
    }

    /// Takes the timers that are due at `now`, and of those due until `early` as many as make the number a multiple of
    /// `multiple`.
    pub(crate) fn take_due(
        &mut self,
        neighbor: LinkNeighbor,
        now: Instant,
        early: Instant,
        multiple: usize,
    ) -> Vec<MrouteKey> {
        let Some(timers) = self.by_neighbor.get_mut(&neighbor) else { return Vec::new() };
        let mut taken = Vec::new();
        while let Some(&(at, key)) = timers.first() {
            let fills = !taken.is_empty() && taken.len() % multiple != 0 && at <= early;
            if at > now && !fills {
                break;
            }
            timers.pop_first();
            taken.push(key);
        }
        if timers.is_empty() {
            self.by_neighbor.remove(&neighbor);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;
    use stack::machine::PortId;

    fn key(group: u128) -> MrouteKey {
        MrouteKey { source: Ipv6Addr::LOCALHOST, group: Ipv6Addr::from_bits(group) }
    }

    #[test]
    fn refreshes_fill_their_last_packet() {
        let neighbor = LinkNeighbor { port: PortId(0), address: Ipv6Addr::LOCALHOST };
        let mut timers = JoinTimers::default();
        for second in 1..=20 {
            timers.set(neighbor, key(second), None, Some(Instant::from_secs(second as u64)));
        }
        let at = Instant::from_secs;
        // Two are due, ten are early enough, four fit a packet.
        assert_eq!(timers.take_due(neighbor, at(2), at(12), 4), [1, 2, 3, 4].map(key));
        // Five are due: the second packet is filled.
        assert_eq!(timers.take_due(neighbor, at(9), at(12), 4).len(), 8);
        assert_eq!(timers.take_due(neighbor, at(12), at(30), 4), [], "none is due");
        assert_eq!(timers.take_due(neighbor, at(13), at(14), 4), [13, 14].map(key), "the rest is too early");
        timers.set(neighbor, key(15), Some(at(15)), None);
        assert_eq!(timers.next_deadline(neighbor), Some(at(16)));
    }
}
