//! Putting fragments together where a packet or a tunnel ends here (RFC 8200 §4.5, RFC 5722, RFC 6946).
//!
//! Bounded on every side: packets at a time, fragments of each, octets of each (one frame), and 60 seconds. Fragments
//! that overlap end their packet; an exact duplicate is ignored.

use super::counters::Counter;
use super::vector::{Found, Job, Lane};
use super::{Dataplane, fragmentation, header};
use crate::icmpv6::Cause;
use crate::packet::{FRAME_LEN, HEADROOM};
use crate::time::{Duration, Instant};
use crate::wire::fragment;
use core::net::Ipv6Addr;
use std::collections::BTreeMap;

/// How long fragments wait for the others.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
/// Fragments of one packet at the most.
const MAX_FRAGMENTS: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    identification: u32,
}

struct Fragment {
    start: usize,
    end: usize,
    /// Where its data starts in the packet.
    data_at: usize,
    more: bool,
    job: Job,
}

struct Pieces {
    until: Instant,
    /// In order, without overlap.
    fragments: Vec<Fragment>,
}

/// Packets of which not all fragments have come.
#[derive(Default)]
pub(super) struct Reassemblies(BTreeMap<Key, Pieces>);

impl Reassemblies {
    /// When the first is given up.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.values().map(|pieces| pieces.until).min()
    }

    /// Fragments that are held.
    pub(super) fn held(&self) -> usize {
        self.0.values().map(|pieces| pieces.fragments.len()).sum()
    }
}

/// Takes a fragment in; the whole packet, once it is there, is looked up again.
pub(super) fn take(plane: &mut Dataplane, job: Job) {
    let bytes = job.packet.bytes();
    let parsed = fragmentation::unfragmentable(bytes)
        .and_then(|(_, at)| fragment::Header::parse(bytes.get(at..)?).ok().map(|header| (at, header)));
    let Some((at, header)) = parsed else { return plane.discard(job, Counter::DropLocalMalformed) };
    let data_at = at + fragment::HEADER_LEN;
    let length = bytes.len() - data_at;
    let (start, end) = (usize::from(header.offset), usize::from(header.offset) + length);
    if header.more && (!length.is_multiple_of(8) || length == 0) {
        return plane.icmp_error(job, Cause::HeaderField(4));
    }
    if end > usize::from(u16::MAX) {
        return plane.icmp_error(job, Cause::HeaderField(at as u32 + 2));
    }
    if end + at > FRAME_LEN - HEADROOM {
        return plane.discard(job, Counter::DropReassemblyFull);
    }
    let key = Key {
        source: header::source(bytes),
        destination: header::destination(bytes),
        identification: header.identification,
    };
    let full = plane.reassemblies.0.len() >= plane.config.limits.reassemblies;
    if full && !plane.reassemblies.0.contains_key(&key) {
        return plane.discard(job, Counter::DropReassemblyFull);
    }
    let until = plane.now + TIMEOUT;
    let pieces = plane.reassemblies.0.entry(key).or_insert_with(|| Pieces { until, fragments: Vec::new() });
    let place = pieces.fragments.partition_point(|piece| piece.start < start);
    if pieces.fragments.get(place).is_some_and(|piece| (piece.start, piece.end) == (start, end)) {
        return plane.discard(job, Counter::DropReassemblyInvalid);
    }
    let overlaps = place.checked_sub(1).is_some_and(|before| pieces.fragments[before].end > start)
        || pieces.fragments.get(place).is_some_and(|after| after.start < end);
    let behind_the_end = pieces.fragments.last().is_some_and(|last| !last.more && (start >= last.end || !header.more));
    let before_the_end = !header.more && place < pieces.fragments.len();
    if overlaps || behind_the_end || before_the_end || pieces.fragments.len() == MAX_FRAGMENTS {
        plane.reassemblies.0.remove(&key);
        return plane.discard(job, Counter::DropReassemblyInvalid);
    }
    plane.counters.add(Counter::PuntReassembly);
    pieces.fragments.insert(place, Fragment { start, end, data_at, more: header.more, job });
    let whole = pieces.fragments.last().is_some_and(|last| !last.more)
        && pieces.fragments[0].start == 0
        && pieces.fragments.windows(2).all(|pair| pair[0].end == pair[1].start);
    if whole && let Some(pieces) = plane.reassemblies.0.remove(&key) {
        put_together(plane, pieces);
    }
}

fn put_together(plane: &mut Dataplane, pieces: Pieces) {
    let Some(first) = pieces.fragments.first() else { return };
    let at = first.data_at - fragment::HEADER_LEN;
    let total = at + pieces.fragments.last().map_or(0, |last| last.end);
    plane.counters.add(Counter::Resumed);
    let Ok(mut packet) = plane.pool.take() else {
        plane.counters.add(Counter::DropOutputNoFrame);
        return;
    };
    packet.set_len(total);
    let bytes = packet.bytes_mut();
    let front = first.job.packet.bytes();
    bytes[..at].copy_from_slice(&front[..at]);
    if let Some((named_at, _)) = fragmentation::unfragmentable(front) {
        bytes[named_at] = front[at];
    }
    let mut congested = false;
    for piece in &pieces.fragments {
        let from = piece.job.packet.bytes();
        bytes[at + piece.start..at + piece.end].copy_from_slice(&from[piece.data_at..]);
        congested |= from[1] >> 4 & 3 == 0b11;
    }
    // RFC 3168 §5.3: one mark on any of them is a mark on the packet.
    if congested {
        header::set_ecn(bytes, 0b11);
    }
    header::set_length(bytes);
    plane.counters.add(Counter::Reassembled);
    let mut meta = first.job.meta;
    meta.found = Found::Nothing;
    plane.pending.push_back((Job { packet, meta }, Lane::Lookup));
}

/// Gives up what has waited too long, and says so where the first fragment is there (RFC 8200 §4.5).
pub(super) fn expire(plane: &mut Dataplane) {
    let now = plane.now;
    while let Some((&key, _)) = plane.reassemblies.0.iter().find(|(_, pieces)| pieces.until <= now) {
        plane.counters.add(Counter::ReassemblyTimeouts);
        let first = plane.reassemblies.0.remove(&key).and_then(|pieces| pieces.fragments.into_iter().next());
        if let Some(first) = first.filter(|first| first.start == 0) {
            plane.counters.add(Counter::Resumed);
            plane.icmp_error(first.job, Cause::ReassemblyTime);
        }
    }
}
