//! Putting fragments together where a packet or a tunnel ends here (RFC 8200 §4.5, RFC 5722, RFC 6946, RFC 7112).
//!
//! Bounded on every side: packets at a time, fragments of each and of all together, octets of each (one frame), and 60
//! seconds. Where a bound of all is met the oldest packet gives way, so that fragments that nobody completes cannot shut
//! out those that come one after the other. Fragments that overlap end their packet, and whatever of it comes later is
//! refused too; an exact duplicate is ignored. A first fragment has to hold all headers.

use super::counters::Counter;
use super::vector::{Found, Job, Lane};
use super::{Dataplane, ecn, header};
use crate::icmpv6::{self, Cause};
use crate::packet::{FRAME_LEN, HEADROOM};
use crate::time::{Duration, Instant};
use crate::wire::fragment;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;
use std::collections::BTreeMap;

/// How long fragments wait for the others.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
/// Fragments of one packet at the most.
const MAX_FRAGMENTS: usize = 16;
/// Fragments hold no more than this part of the pool.
const POOL_SHARE: usize = 8;

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

impl Fragment {
    fn data(&self) -> &[u8] {
        &self.job.packet.bytes()[self.data_at..]
    }
}

enum State {
    /// Fragments in order, without overlap.
    Gathering(Vec<Fragment>),
    /// What came does not fit together: nothing of it is taken any more (RFC 5722 §4).
    Refused,
}

struct Pieces {
    until: Instant,
    /// Counts up from packet to packet.
    serial: u64,
    state: State,
}

/// Packets of which not all fragments have come.
#[derive(Default)]
pub(super) struct Reassemblies {
    packets: BTreeMap<Key, Pieces>,
    /// Fragments that are held.
    held: usize,
    serial: u64,
}

impl Reassemblies {
    /// When the first is given up.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.packets.values().map(|pieces| pieces.until).min()
    }

    /// Fragments that are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn remove(&mut self, key: &Key) -> Option<Vec<Fragment>> {
        match self.packets.remove(key)?.state {
            State::Gathering(fragments) => {
                self.held -= fragments.len();
                Some(fragments)
            }
            State::Refused => None,
        }
    }

    fn refuse(&mut self, key: &Key) {
        if let Some(pieces) = self.packets.get_mut(key)
            && let State::Gathering(fragments) = core::mem::replace(&mut pieces.state, State::Refused)
        {
            self.held -= fragments.len();
        }
    }

    fn oldest(&self) -> Option<Key> {
        self.packets.iter().min_by_key(|(_, pieces)| pieces.serial).map(|(&key, _)| key)
    }
}

/// Takes a fragment in; the whole packet, once it is there, is looked up again.
pub(super) fn take(plane: &mut Dataplane, job: Job) {
    let bytes = job.packet.bytes();
    let parsed =
        find(bytes).and_then(|(_, at)| fragment::Header::parse(bytes.get(at..)?).ok().map(|header| (at, header)));
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
    if start == 0 && !has_all_headers(bytes) {
        return plane.icmp_error(job, Cause::HeaderChain);
    }
    let key = Key {
        source: header::source(bytes),
        destination: header::destination(bytes),
        identification: header.identification,
    };
    let fragment = Fragment { start, end, data_at, more: header.more, job };
    if end + at > FRAME_LEN - HEADROOM {
        plane.reassemblies.refuse(&key);
        return plane.discard(fragment.job, Counter::DropReassemblyTooLarge);
    }
    make_room(plane, &key);
    let until = plane.now + TIMEOUT;
    let table = &mut plane.reassemblies;
    let pieces = table.packets.entry(key).or_insert_with(|| {
        table.serial += 1;
        Pieces { until, serial: table.serial, state: State::Gathering(Vec::new()) }
    });
    let State::Gathering(fragments) = &mut pieces.state else {
        return plane.discard(fragment.job, Counter::DropReassemblyRefused);
    };
    let place = match place(fragments, &fragment) {
        Ok(place) => place,
        Err(Misfit::Duplicate) => return plane.discard(fragment.job, Counter::DropReassemblyDuplicate),
        Err(Misfit::Overlap) => {
            table.refuse(&key);
            return plane.discard(fragment.job, Counter::DropReassemblyOverlap);
        }
        Err(Misfit::TooMany) => {
            table.refuse(&key);
            return plane.discard(fragment.job, Counter::DropReassemblyTooMany);
        }
    };
    plane.counters.add(Counter::PuntReassembly);
    table.held += 1;
    fragments.insert(place, fragment);
    let whole = fragments.last().is_some_and(|last| !last.more)
        && fragments[0].start == 0
        && fragments.windows(2).all(|pair| pair[0].end == pair[1].start);
    if whole && let Some(fragments) = table.remove(&key) {
        put_together(plane, &fragments);
    }
}

/// Why a fragment is not taken in.
enum Misfit {
    Duplicate,
    Overlap,
    TooMany,
}

/// Where the fragment belongs among the others.
fn place(fragments: &[Fragment], new: &Fragment) -> Result<usize, Misfit> {
    let place = fragments.partition_point(|piece| piece.start < new.start);
    if let Some(same) = fragments.get(place).filter(|piece| (piece.start, piece.end) == (new.start, new.end)) {
        let duplicate = same.more == new.more && same.data() == new.data();
        return Err(if duplicate { Misfit::Duplicate } else { Misfit::Overlap });
    }
    let overlaps = place.checked_sub(1).is_some_and(|before| fragments[before].end > new.start)
        || fragments.get(place).is_some_and(|after| after.start < new.end);
    let behind_the_end = fragments.last().is_some_and(|last| !last.more && (new.start >= last.end || !new.more));
    let before_the_end = !new.more && place < fragments.len();
    if overlaps || behind_the_end || before_the_end {
        return Err(Misfit::Overlap);
    }
    if fragments.len() == MAX_FRAGMENTS { Err(Misfit::TooMany) } else { Ok(place) }
}

/// Lets the oldest packets go until one more fragment of `key` has room.
fn make_room(plane: &mut Dataplane, key: &Key) {
    let limits = plane.config.limits;
    let most = limits.reassembly_fragments.min(plane.pool.frames() as usize / POOL_SHARE).max(1);
    loop {
        let table = &mut plane.reassemblies;
        let packets_full = table.packets.len() >= limits.reassemblies && !table.packets.contains_key(key);
        if !packets_full && table.held < most {
            return;
        }
        let Some(oldest) = table.oldest() else { return };
        table.remove(&oldest);
        plane.counters.add(Counter::ReassembliesDisplaced);
    }
}

/// The octet that names the Fragment header, and where that starts.
fn find(packet: &[u8]) -> Option<(usize, usize)> {
    let (mut named_at, mut at) = (6, HEADER_LEN);
    for _ in 0..crate::wire::ext::MAX_HEADERS {
        let length = match packet[named_at] {
            protocol::FRAGMENT => return Some((named_at, at)),
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                8 + 8 * usize::from(*packet.get(at + 1)?)
            }
            _ => return None,
        };
        (named_at, at) = (at, at + length);
        packet.get(at)?;
    }
    None
}

/// Whether a first fragment holds the headers up to and with the upper layer's (RFC 7112 §5).
fn has_all_headers(packet: &[u8]) -> bool {
    icmpv6::upper_layer(packet).is_some_and(|(upper, at)| {
        let header = match upper {
            protocol::IPV6 => HEADER_LEN,
            protocol::TCP => 20,
            protocol::UDP | protocol::ICMPV6 | protocol::MOBILITY => 8,
            protocol::GRE => 4,
            _ => 0,
        };
        at + header <= packet.len()
    })
}

fn put_together(plane: &mut Dataplane, fragments: &[Fragment]) {
    let Some(first) = fragments.first() else { return };
    let at = first.data_at - fragment::HEADER_LEN;
    let total = at + fragments.last().map_or(0, |last| last.end);
    let Ok(mut packet) = plane.pool.take() else {
        plane.counters.add(Counter::WaitedInVain);
        plane.counters.add(Counter::DropOutputNoFrame);
        return;
    };
    plane.counters.add(Counter::Resumed);
    packet.set_len(total);
    let bytes = packet.bytes_mut();
    let front = first.job.packet.bytes();
    bytes[..at].copy_from_slice(&front[..at]);
    if let Some((named_at, _)) = find(front) {
        bytes[named_at] = front[at];
    }
    let mut congested = false;
    for piece in fragments {
        bytes[at + piece.start..at + piece.end].copy_from_slice(piece.data());
        congested |= header::traffic_class(piece.job.packet.bytes()) & 3 == ecn::CE;
    }
    // RFC 3168 §5.3: one mark on any of them is a mark on the packet.
    if congested {
        header::set_ecn(bytes, ecn::CE);
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
    while let Some((&key, _)) = plane.reassemblies.packets.iter().find(|(_, pieces)| pieces.until <= now) {
        let Some(fragments) = plane.reassemblies.remove(&key) else { continue };
        plane.counters.add(Counter::ReassemblyTimeouts);
        if let Some(first) = fragments.into_iter().next().filter(|first| first.start == 0) {
            plane.counters.add(Counter::WaitedInVain);
            plane.icmp_error(first.job, Cause::ReassemblyTime);
        }
    }
}
