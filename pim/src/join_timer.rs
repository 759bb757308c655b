//! The join timers JT(S,G) and JT(*,G) (RFC 7761 §4.5.4, §4.5.5), arranged by the neighbour that is to be refreshed, so that a
//! refresh can take along what is due soon and fill its packets.
//!
//! Joins that leave together would be refreshed together for ever after. Where that is a burst, some of them are refreshed
//! earlier once: a period is divided into slots, and a packet's worth of joins at a time goes to the slot that has the
//! fewest. So a million joins of one second are refreshed evenly over the period from the first refresh on. A join that is
//! refreshed too early does no harm (§4.11 gives the period as a configurable value); none is refreshed later than after
//! t_periodic.

use crate::rpf::LinkNeighbor;
use crate::tib::{Agenda, Chain, Entry, EntryId, Slab};
use stack::rng::Rng;
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Slots of a period.
const SLOTS: usize = 64;
/// So many packets' worth of joins in one slot are no burst.
const QUIET_PACKETS: usize = 4;

/// The timers of all neighbours.
#[derive(Debug)]
pub(crate) struct JoinTimers {
    /// t_periodic.
    period: Duration,
    by_neighbor: BTreeMap<LinkNeighbor, Refreshes>,
}

/// The timers of one neighbour.
#[derive(Debug)]
struct Refreshes {
    agenda: Agenda,
    timers: usize,
    /// How many there are in each slot, of whichever period.
    slots: Box<[usize; SLOTS]>,
    /// When the joins are refreshed that are moved next, and how many more of them fill the packet.
    bundle: Option<(Instant, usize)>,
}

/// What is to be refreshed in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// What is due until then.
    pub(crate) now: Instant,
    /// Of what is due until then as much as fills the last packet.
    pub(crate) early: Instant,
    /// Joins of a packet.
    pub(crate) per_packet: usize,
    /// No more packets than this.
    pub(crate) packets: usize,
}

impl Refreshes {
    fn new() -> Self {
        Refreshes { agenda: Agenda::new(Chain::Join), timers: 0, slots: Box::new([0; SLOTS]), bundle: None }
    }
}

impl JoinTimers {
    /// No timer runs.
    pub(crate) fn new(period: Duration) -> Self {
        JoinTimers { period, by_neighbor: BTreeMap::new() }
    }

    fn slot_nanos(&self) -> u64 {
        (self.period.as_nanos() as u64 / SLOTS as u64).max(1)
    }

    /// Moves the timer of an entry from `previous` to `at`; `None` is not running.
    pub(crate) fn set(
        &mut self,
        slab: &mut Slab<Entry>,
        neighbor: LinkNeighbor,
        id: EntryId,
        previous: Option<Instant>,
        at: Option<Instant>,
    ) {
        let slot_nanos = self.slot_nanos();
        let slot = |at: Instant| (at.as_nanos() / slot_nanos) as usize % SLOTS;
        if previous.is_none() && at.is_none() {
            return;
        }
        let refreshes = self.by_neighbor.entry(neighbor).or_insert_with(Refreshes::new);
        if let Some(previous) = previous {
            refreshes.agenda.remove(slab, id, previous);
            refreshes.timers -= 1;
            refreshes.slots[slot(previous)] -= 1;
        }
        if let Some(at) = at {
            refreshes.agenda.add(slab, id, at);
            refreshes.timers += 1;
            refreshes.slots[slot(at)] += 1;
        }
        if refreshes.agenda.is_empty() {
            self.by_neighbor.remove(&neighbor);
        }
    }

    /// When the first timer of the neighbour expires.
    pub(crate) fn next_deadline(&self, neighbor: LinkNeighbor) -> Option<Instant> {
        self.by_neighbor.get(&neighbor)?.agenda.first().map(|(at, _)| at)
    }

    /// When a join that leaves now is refreshed: after t_periodic, or earlier where too many others would be with it.
    pub(crate) fn next_refresh(
        &mut self,
        rng: &mut Rng,
        now: Instant,
        neighbor: LinkNeighbor,
        per_packet: usize,
    ) -> Instant {
        let (latest, slot_nanos) = (now + self.period, self.slot_nanos());
        let Some(refreshes) = self.by_neighbor.get_mut(&neighbor) else { return latest };
        let slot = |number: u64| number as usize % SLOTS;
        let last = latest.as_nanos() / slot_nanos;
        let fair = refreshes.timers / SLOTS;
        if refreshes.slots[slot(last)] < (QUIET_PACKETS * per_packet).max(fair + fair / 2) {
            return latest;
        }
        if let Some((at, left)) = &mut refreshes.bundle
            && *left > 0
            && now < *at
            && *at <= latest
        {
            *left -= 1;
            return *at;
        }
        // Behind the slot that is now there are all others once; of equally full ones the last.
        let first = now.as_nanos() / slot_nanos + 1;
        let emptiest = (first..last).rev().min_by_key(|&number| refreshes.slots[slot(number)]).unwrap_or(first);
        let within = rng.duration(Duration::ZERO..Duration::from_nanos(slot_nanos));
        let at = Instant::from_nanos(emptiest * slot_nanos) + within;
        refreshes.bundle = Some((at, per_packet.saturating_sub(1)));
        at.min(latest)
    }

    /// Takes the timers that are due, and of those that are due soon as many as make the number a multiple of a packet's.
    pub(crate) fn take_due(&mut self, slab: &mut Slab<Entry>, neighbor: LinkNeighbor, due: Due) -> Vec<EntryId> {
        let Due { now, early, per_packet, packets } = due;
        let mut taken = Vec::new();
        while taken.len() < packets * per_packet {
            let Some(refreshes) = self.by_neighbor.get(&neighbor) else { break };
            let Some((at, id)) = refreshes.agenda.first() else { break };
            let fills = !taken.is_empty() && taken.len() % per_packet != 0 && at <= early;
            if at > now && !fills {
                break;
            }
            self.set(slab, neighbor, id, Some(at), None);
            taken.push(id);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpf::{RouteMetric, RpfInfo};
    use crate::tib::{Tib, Way};
    use core::net::Ipv6Addr;
    use stack::machine::PortId;
    use stack::tables::MrouteKey;

    const NEIGHBOR: LinkNeighbor = LinkNeighbor { port: PortId(0), address: Ipv6Addr::LOCALHOST };
    const PERIOD: Duration = Duration::from_secs(60);

    fn key(group: u128) -> MrouteKey {
        MrouteKey { source: Ipv6Addr::LOCALHOST, group: Ipv6Addr::from_bits(group) }
    }

    /// Entries of one neighbour.
    fn tib(entries: u128) -> Tib {
        let mut tib = Tib::new(1, PERIOD);
        let LinkNeighbor { port, address } = NEIGHBOR;
        let rpf = RpfInfo::Via { port, next_hop: address, neighbor: Some(address) };
        for group in 1..=entries {
            tib.insert(key(group), Ipv6Addr::LOCALHOST, Way { rpf, metric: RouteMetric::default() }, None);
        }
        tib
    }

    #[test]
    fn refreshes_fill_their_last_packet() {
        let mut tib = tib(20);
        let at = Instant::from_secs;
        for second in 1..=20 {
            tib.set_join_timer(key(second), Some(at(second as u64)));
        }
        let mut take = |now, early, packets| {
            tib.take_due_joins(NEIGHBOR, Due { now: at(now), early: at(early), per_packet: 4, packets })
        };
        // Two are due, ten are early enough, four fit a packet.
        assert_eq!(take(2, 12, 9), [1, 2, 3, 4].map(key));
        // Five are due: the second packet is filled; but one is the most.
        assert_eq!(take(9, 12, 1).len(), 4);
        assert_eq!(take(9, 12, 1).len(), 4);
        assert_eq!(take(12, 30, 9), [], "none is due");
        assert_eq!(take(13, 14, 9), [13, 14].map(key), "the rest is too early");
        tib.set_join_timer(key(15), None);
        assert_eq!(tib.next_join(NEIGHBOR), Some(at(16)));
    }

    /// Joins of one moment are refreshed within the period, in full packets, as many in each slot; few joins are not moved.
    #[test]
    fn a_burst_is_spread_over_the_period() {
        const ENTRIES: u128 = 20_000;
        let (mut tib, mut rng) = (tib(ENTRIES), Rng::new(1));
        let now = Instant::from_secs(1000);
        for group in 1..=ENTRIES {
            let at = tib.next_refresh(&mut rng, now, NEIGHBOR, 32);
            assert!(now < at && at <= now + PERIOD);
            assert!(group > 128 || at == now + PERIOD, "{group}");
            tib.set_join_timer(key(group), Some(at));
        }
        // Twice: what was moved stays where it is.
        let mut before = now;
        for _ in 0..2 {
            let end = before + PERIOD;
            let mut packets_by_slot = [0; 8];
            let mut joins = 0;
            while let Some(at) = tib.next_join(NEIGHBOR).filter(|&at| at <= end) {
                let due = Due { now: at, early: at + PERIOD / 4, per_packet: 32, packets: 64 };
                let taken = tib.take_due_joins(NEIGHBOR, due);
                assert!(taken.len() % 32 == 0 || joins + taken.len() >= ENTRIES as usize, "{}", taken.len());
                joins += taken.len();
                packets_by_slot[((at - before).as_nanos() * 8 / PERIOD.as_nanos()).min(7) as usize] +=
                    taken.len().div_ceil(32);
                for key in taken {
                    let next = tib.next_refresh(&mut rng, at, NEIGHBOR, 32);
                    tib.set_join_timer(key, Some(next));
                }
            }
            assert!(joins >= ENTRIES as usize, "{joins}");
            // 625 packets in eight parts.
            assert!(packets_by_slot.iter().all(|packets| (60..=110).contains(packets)), "{packets_by_slot:?}");
            before = end;
        }
    }
}
