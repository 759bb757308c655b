//! Which correspondents are news to the node ([`Notice::Correspondent`], for the tests of RFC 6275 §11.7.2).
//!
//! A packet of a pair is reported once in a while and no more: a fixed table remembers by hash which pairs were reported
//! in the present epoch of about a second. Two pairs of one cell report in turns, and whoever sends from ever other
//! addresses is stopped by a token bucket. A pair that the bucket refuses is not remembered, so that one of many packets
//! gets through sooner than a flood of single ones.

use super::counters::Counter;
use super::{Dataplane, News};
use crate::addr;
use crate::machine::{CorrespondentWay, Notice};
use crate::rate::TokenBucket;
use crate::time::Instant;
use crate::wire::ext::Chain;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;

const CELLS: usize = 4096;
/// An epoch is this power of two of nanoseconds: 1.07 s.
const EPOCH_SHIFT: u32 = 30;
/// Bits of a cell that name the epoch. A pair that is silent for just as long as they take to come around, 73 minutes, is
/// reported an epoch late.
const EPOCH_BITS: u32 = 12;
/// An odd constant whose product with a word spreads its bits over 128.
const MIX: u128 = 0xd1b5_4a32_d192_ed03;

/// That the node was told of a pair, as the data planes of a node tell each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sighting {
    cell: u16,
    seen: u64,
}

/// The pairs of home address and correspondent that the node was told of lately.
pub(super) struct Sightings {
    cells: Box<[u64; CELLS]>,
    seed: u64,
    limit: TokenBucket,
}

impl Sightings {
    pub(super) fn new(seed: u64, limit: TokenBucket) -> Self {
        Sightings { cells: Box::new([0; CELLS]), seed, limit }
    }

    /// Remembers what another data plane has told its node of.
    pub(super) fn note(&mut self, Sighting { cell, seen }: Sighting) {
        if let Some(place) = self.cells.get_mut(usize::from(cell)) {
            *place = seen;
        }
    }

    /// The pair's cell and what stands in it in this epoch, where it does not stand there.
    #[inline(always)]
    fn unseen(
        &self,
        now: Instant,
        home_address: Ipv6Addr,
        correspondent: Ipv6Addr,
        way: CorrespondentWay,
    ) -> Option<Sighting> {
        let mut hash = self.seed ^ way as u64;
        for bits in [home_address.to_bits(), correspondent.to_bits()] {
            for word in [(bits >> 64) as u64, bits as u64] {
                let product = u128::from(hash ^ word) * MIX;
                hash = (product >> 64) as u64 ^ product as u64 ^ word.rotate_left(32);
            }
        }
        hash ^= hash >> 29;
        let epoch = now.as_nanos() >> EPOCH_SHIFT & ((1 << EPOCH_BITS) - 1);
        let (cell, seen) = (hash as usize % CELLS, hash >> EPOCH_BITS << EPOCH_BITS | epoch);
        (self.cells[cell] != seen).then_some(Sighting { cell: cell as u16, seen })
    }
}

/// Tells the node of a correspondent's data packet, where that is news.
#[inline(always)]
pub(super) fn tell(plane: &mut Dataplane, home_address: Ipv6Addr, correspondent: Ipv6Addr, way: CorrespondentWay) {
    if let Some(sighting) = plane.sightings.unseen(plane.now, home_address, correspondent, way) {
        news(plane, sighting, home_address, correspondent, way);
    }
}

/// Whether [`tell`] would say something.
#[inline(always)]
pub(super) fn is_news(
    plane: &Dataplane,
    home_address: Ipv6Addr,
    correspondent: Ipv6Addr,
    way: CorrespondentWay,
) -> bool {
    plane.sightings.unseen(plane.now, home_address, correspondent, way).is_some()
}

#[cold]
fn news(
    plane: &mut Dataplane,
    sighting: Sighting,
    home_address: Ipv6Addr,
    correspondent: Ipv6Addr,
    way: CorrespondentWay,
) {
    if !addr::is_routable_unicast(correspondent) || !plane.sightings.limit.take(plane.now) {
        return plane.counters.add(Counter::CorrespondentsSuppressed);
    }
    plane.sightings.note(sighting);
    plane.tell(News::Sighting(sighting));
    plane.notify(Notice::Correspondent { home_address, correspondent, way });
}

/// Whether the packet is one of the correspondent that its source names: no Mobility Header, and no Home Address option,
/// whose sender only a node with a binding of it can believe (RFC 6275 §9.3.1).
#[inline(always)]
pub(super) fn is_data(packet: &[u8]) -> bool {
    // A lone routing header is what every packet of a correspondent with a binding has.
    let next_header = match packet[6] {
        protocol::ROUTING => packet.get(HEADER_LEN).copied().unwrap_or(protocol::ROUTING),
        next_header => next_header,
    };
    match next_header {
        protocol::MOBILITY => false,
        protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING => {
            Chain::parse(packet).is_ok_and(|chain| chain.upper != protocol::MOBILITY && chain.home_address.is_none())
        }
        _ => true,
    }
}
