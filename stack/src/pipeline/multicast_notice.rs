//! What the node is told of multicast packets: groups without a route, packets by a wrong port, new sources of a shared
//! tree, Register messages (RFC 7761 §4.2: what data triggers is rate limited).
//!
//! Each flow is told of at most once a second. A fixed table remembers by hash when that was: a row for each source and
//! group, in it cells for each kind of notice, and in the cell the flow by its port, or by the two ends of its Register
//! messages. Two flows of one cell are told of in turns: another one takes the cell after half a second, so
//! that none keeps it, however loud it is, and none is told of sooner than after a second for it. Who sends from ever other
//! addresses is stopped by a token bucket, of which each kind has one of its own. A flow that the bucket refuses is not
//! remembered.
//!
//! When the route (S,G) changes, what was told of it is forgotten, and its next packet is told of at once. A change of
//! (*,G) concerns sources that are not known here: theirs are told of within the second.

use super::Dataplane;
use super::config::DataplaneConfig;
use super::counters::Counter;
use crate::addr::{self, halves};
use crate::machine::{Notice, PortId};
use crate::rate::TokenBucket;
use crate::tables::MrouteKey;
use crate::time::Instant;
use core::net::Ipv6Addr;

const ROWS: usize = 4096;
/// Cells of a row: those of the kinds, wrong ports with four, Register messages with two.
const CELLS: usize = 8;
const KINDS: usize = 4;
/// A tick is this power of two of nanoseconds: 1.05 ms. A flow that is silent for as long as 32 bits of them take to come
/// around, 52 days, is told of a second late.
const TICK_SHIFT: u32 = 20;
/// A second in ticks, and half of one, each rounded up and one more for the tick that has begun.
const SECOND: u32 = 955;
const HALF_SECOND: u32 = 478;
/// An odd constant whose product with a word spreads its bits over 128.
const MIX: u128 = 0xd1b5_4a32_d192_ed03;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Miss,
    WrongPort,
    Seen,
    Register,
}

impl Kind {
    const fn held_back(self) -> Counter {
        match self {
            Kind::Miss => Counter::MulticastMissesSuppressed,
            Kind::WrongPort => Counter::MulticastWrongPortsSuppressed,
            Kind::Seen => Counter::MulticastSourcesSuppressed,
            Kind::Register => Counter::RegistersSuppressed,
        }
    }
}

/// What a notice is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Flow {
    kind: Kind,
    key: MrouteKey,
    /// What else tells flows of one source and group apart.
    way: [u64; 4],
}

impl Flow {
    fn of(notice: &Notice) -> Option<Self> {
        let by = |port: Option<PortId>| [1 + port.map_or(0, |port| 1 + u64::from(port.0)), 0, 0, 0];
        let (kind, source, group, way) = match *notice {
            Notice::MulticastMiss { port, source, group } => (Kind::Miss, source, group, by(port)),
            Notice::MulticastWrongPort { port, source, group } => (Kind::WrongPort, source, group, by(port)),
            Notice::MulticastSeen { port, source, group } => (Kind::Seen, source, group, by(port)),
            Notice::Register { from, to, key } => {
                let ([a, b], [c, d]) = (halves(from), halves(to));
                (Kind::Register, key.source, key.group, [a, b, c, d])
            }
            _ => return None,
        };
        Some(Flow { kind, key: MrouteKey { source, group }, way })
    }

    /// Its cell in the row of its source and group.
    fn cell(&self) -> usize {
        let [a, b, _, d] = self.way;
        match self.kind {
            Kind::Miss => 0,
            Kind::Seen => 1,
            Kind::Register => 2 + ((b ^ d) & 1) as usize,
            Kind::WrongPort => 4 + (a & 3) as usize,
        }
    }
}

/// A cell: when a flow was told of, in ticks, and above that the flow by its hashes, 16 bits of source and group over 16 of
/// the way. Those of the way are zero where the flow is news again, and only others have to wait for the cell. All zero: free.
type Cell = u64;

const WAY: Cell = 0xffff << 32;

fn tag(of: Cell) -> u32 {
    (of >> 32) as u32
}

/// Whom the node was told of lately.
pub(super) struct MulticastNotices {
    rows: Box<[[Cell; CELLS]]>,
    seed: u64,
    limits: [TokenBucket; KINDS],
}

impl MulticastNotices {
    pub(super) fn new(config: &DataplaneConfig, seed: u64) -> Self {
        let limits = [
            TokenBucket::per_second(config.multicast_misses_per_second, config.multicast_miss_burst),
            TokenBucket::per_second(config.multicast_wrong_ports_per_second, config.multicast_wrong_port_burst),
            TokenBucket::per_second(config.multicast_sources_per_second, config.multicast_source_burst),
            TokenBucket::per_second(config.registers_per_second, config.register_burst),
        ];
        MulticastNotices { rows: vec![[0; CELLS]; ROWS].into_boxed_slice(), seed, limits }
    }

    /// The route of this name is another: its flows are news again.
    pub(super) fn forget(&mut self, MrouteKey { source, group }: MrouteKey) {
        let hash = self.hash(source, group);
        for cell in &mut self.rows[hash as usize % ROWS] {
            if tag(*cell) >> 16 == key_tag(hash) {
                *cell &= !WAY;
            }
        }
    }

    /// The lowest bits say the row.
    fn hash(&self, source: Ipv6Addr, group: Ipv6Addr) -> u64 {
        let ([a, b], [c, d]) = (halves(source), halves(group));
        mixed(self.seed, [a, b, c, d])
    }

    /// Whether the node is to hear of the flow now; it is remembered that it has.
    fn take(&mut self, now: Instant, flow: Flow) -> Result<(), HeldBack> {
        let hash = self.hash(flow.key.source, flow.key.group);
        let its_tag = key_tag(hash) << 16 | (mixed(hash, flow.way) >> 48) as u32 | 1;
        let ticks = (now.as_nanos() >> TICK_SHIFT) as u32;
        let cell = &mut self.rows[hash as usize % ROWS][flow.cell()];
        let passed = ticks.wrapping_sub(*cell as u32);
        let wait = match tag(*cell) {
            tag if tag == its_tag => SECOND,
            tag if tag == key_tag(hash) << 16 => 0,
            _ => HALF_SECOND,
        };
        if *cell != 0 && passed < wait {
            return Err(HeldBack::Told);
        }
        if !self.limits[flow.kind as usize].take(now) {
            return Err(HeldBack::Limit);
        }
        *cell = u64::from(its_tag) << 32 | u64::from(ticks);
        Ok(())
    }
}

/// Why a notice is not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HeldBack {
    /// The node was told of the flow, or of one in its cell.
    Told,
    /// The node was told of as many flows as it may be.
    Limit,
}

/// The 16 bits of a hash of source and group that a cell has.
fn key_tag(hash: u64) -> u32 {
    (hash >> 48) as u32
}

fn mixed(seed: u64, words: [u64; 4]) -> u64 {
    let hash = words.into_iter().fold(seed, |hash, word| {
        let product = u128::from(hash ^ word) * MIX;
        (product >> 64) as u64 ^ product as u64 ^ word.rotate_left(32)
    });
    hash ^ hash >> 29
}

/// Tells the node, where that is news; whether it did. Link-local sources are those of one link, and nobody's who routes.
pub(super) fn tell(plane: &mut Dataplane, notice: Notice) -> bool {
    let Some(flow) = Flow::of(&notice).filter(|flow| !addr::is_link_local(flow.key.source)) else { return false };
    match plane.multicast_notices.take(plane.now, flow) {
        Ok(()) => return plane.notify(notice),
        Err(HeldBack::Limit) => plane.counters.add(flow.kind.held_back()),
        Err(HeldBack::Told) => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn flow(kind: Kind, last: u16, way: u64) -> Flow {
        let source = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        let key = MrouteKey { source, group: Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0, 7) };
        Flow { kind, key, way: [way, 0, 0, 0] }
    }

    fn notices(rate: u32) -> MulticastNotices {
        let config = DataplaneConfig {
            multicast_misses_per_second: rate,
            multicast_miss_burst: rate,
            multicast_wrong_ports_per_second: 3,
            multicast_wrong_port_burst: 3,
            ..DataplaneConfig::default()
        };
        MulticastNotices::new(&config, 7)
    }

    #[test]
    fn a_loud_flow_does_not_starve_the_one_that_shares_its_cell() {
        let mut notices = notices(1000);
        let (loud, quiet) = (flow(Kind::Miss, 1, 1), flow(Kind::Miss, 1, 2));
        assert_eq!(loud.cell(), quiet.cell());
        let (mut of_loud, mut of_quiet) = (Vec::new(), Vec::new());
        for millis in 5_000..15_000 {
            let now = Instant::from_millis(millis);
            if notices.take(now, loud).is_ok() {
                of_loud.push(millis);
            }
            if millis % 170 == 0 && notices.take(now, quiet).is_ok() {
                of_quiet.push(millis);
            }
        }
        for told in [&of_loud, &of_quiet] {
            assert!(told.len() >= 7, "{told:?}");
            assert!(told.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{told:?}");
        }
    }

    #[test]
    fn kinds_do_not_eat_each_others_tokens() {
        let mut notices = notices(1000);
        let now = Instant::from_secs(9);
        let told = |notices: &mut MulticastNotices, kind| {
            (0..100).map(|last| notices.take(now, flow(kind, last, 1))).filter(Result::is_ok).count()
        };
        assert_eq!(told(&mut notices, Kind::WrongPort), 3);
        assert!(told(&mut notices, Kind::Miss) >= 97, "but for those that share a cell");
        // Who was refused is told of as soon as there is room.
        let later = now + Duration::from_secs(1);
        assert_eq!(notices.take(later, flow(Kind::WrongPort, 99, 1)), Ok(()));
    }

    #[test]
    fn a_flow_whose_route_changes_is_news() {
        let mut notices = notices(1000);
        let (flow, now) = (flow(Kind::Miss, 1, 1), Instant::from_secs(9));
        assert_eq!(notices.take(now, flow), Ok(()));
        assert_eq!(notices.take(now, flow), Err(HeldBack::Told));
        notices.forget(flow.key);
        assert_eq!(notices.take(now, flow), Ok(()));
        // No other flow is, whatever row it is in.
        for last in 2..5_000 {
            notices.forget(self::flow(Kind::Miss, last, 1).key);
        }
        assert_eq!(notices.take(now, flow), Err(HeldBack::Told));
    }

    proptest! {
        #[test]
        fn no_flow_is_told_of_twice_in_a_second(
            packets in prop::collection::vec((0u64..400, 0usize..6, 1u64..5, 0usize..6), 1..400),
        ) {
            let mut notices = notices(1_000_000);
            // Three sources of one row, and three of others.
            let row = |last: &u16| {
                let key = flow(Kind::Miss, *last, 1).key;
                notices.hash(key.source, key.group) as usize % ROWS
            };
            let sources: Vec<u16> = (0..u16::MAX).filter(|last| row(last) == row(&0)).take(3).chain([1, 2, 3]).collect();
            let mut told = BTreeMap::new();
            let mut now = Instant::from_secs(100);
            for (millis, source, way, kind) in packets {
                now += Duration::from_millis(millis);
                let last = sources[source];
                let Some(&kind) = [Kind::Miss, Kind::WrongPort, Kind::Seen, Kind::Register].get(kind) else {
                    // The route of this source is another.
                    notices.forget(flow(Kind::Miss, last, 1).key);
                    told.retain(|&(_, other, _), _| other != last);
                    continue;
                };
                if notices.take(now, flow(kind, last, way)).is_ok()
                    && let Some(before) = told.insert((kind as usize, last, way), now)
                {
                    prop_assert!(now.since(before) >= Duration::from_secs(1));
                }
            }
        }
    }
}
