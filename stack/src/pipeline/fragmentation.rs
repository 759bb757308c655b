//! Cutting a packet into fragments: at a tunnel's entrance behind the outer header (RFC 2473 §7.1), and of what this
//! node sends itself (RFC 8200 §4.5).

use super::counters::Counter;
use super::vector::Job;
use super::{Dataplane, header};
use crate::wire::ext::option;
use crate::wire::fragment;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use arrayvec::ArrayVec;

/// More fragments than this of one packet are never needed: a frame holds less.
const MAX_FRAGMENTS: usize = 4;

/// Where the headers end that every node on the way may read: hop-by-hop options, a routing header, and destination
/// options in front of one. Answers the octet that names what follows, and where that starts; `None` where a header does
/// not end within the packet.
pub(super) fn unfragmentable(packet: &[u8]) -> Option<(usize, usize)> {
    let (mut named_at, mut at) = (6, HEADER_LEN);
    loop {
        let kind = packet[named_at];
        let before_routing = kind == protocol::DESTINATION_OPTIONS && *packet.get(at)? == protocol::ROUTING;
        if !matches!(kind, protocol::HOP_BY_HOP | protocol::ROUTING) && !before_routing {
            return Some((named_at, at));
        }
        let length = 8 + 8 * usize::from(*packet.get(at + 1)?);
        (named_at, at) = (at, at + length);
        if at > packet.len() {
            return None;
        }
    }
}

/// Where the Fragment header goes: as [`unfragmentable`], and behind a Home Address option, which every fragment has
/// (RFC 6275 §6.3).
fn before_fragment_header(packet: &[u8]) -> Option<(usize, usize)> {
    let (named_at, at) = unfragmentable(packet)?;
    if packet[named_at] != protocol::DESTINATION_OPTIONS || *packet.get(at + 6)? != option::HOME_ADDRESS {
        return Some((named_at, at));
    }
    let end = at + 8 + 8 * usize::from(packet[at + 1]);
    (end <= packet.len()).then_some((at, end))
}

/// The identification of the `count`th packet that is cut: all differ, and none tells the next to those who do not know
/// the seed (RFC 7739 §5.2).
fn scrambled(count: u32, seed: u64) -> u32 {
    let (mut left, mut right) = ((count >> 16) as u16, count as u16);
    for round in 0..4u64 {
        let mixed =
            (u64::from(right) ^ seed.rotate_left(16 * round as u32) ^ round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (left, right) = (right, left ^ (mixed >> 48) as u16);
    }
    u32::from(left) << 16 | u32::from(right)
}

/// Cuts a packet into fragments of at most `mtu` octets.
pub(super) fn cut(plane: &mut Dataplane, job: Job, mtu: usize) -> Result<ArrayVec<Job, MAX_FRAGMENTS>, (Job, Counter)> {
    let bytes = job.packet.bytes();
    let Some((named_at, at)) = before_fragment_header(bytes) else { return Err((job, Counter::DropOutputTooBig)) };
    let chunk = mtu.saturating_sub(at + fragment::HEADER_LEN) & !7;
    let data = bytes.len() - at;
    if chunk == 0 || data.div_ceil(chunk) > MAX_FRAGMENTS {
        return Err((job, Counter::DropOutputTooBig));
    }
    plane.identification = plane.identification.wrapping_add(1);
    let identification = scrambled(plane.identification, plane.config.seed);
    let mut fragments = ArrayVec::new();
    for start in (0..data).step_by(chunk) {
        let length = chunk.min(data - start);
        let Ok(mut packet) = job.packet.pool().take() else { return Err((job, Counter::DropOutputNoFrame)) };
        packet.set_len(at + fragment::HEADER_LEN + length);
        let into = packet.bytes_mut();
        into[..at].copy_from_slice(&bytes[..at]);
        let header = fragment::Header {
            next_header: into[named_at],
            offset: start as u16,
            more: start + length < data,
            identification,
        };
        into[named_at] = protocol::FRAGMENT;
        if let Some(place) = into[at..].first_chunk_mut() {
            header.emit(place);
        }
        into[at + fragment::HEADER_LEN..].copy_from_slice(&bytes[at + start..at + start + length]);
        header::set_length(into);
        let mut meta = job.meta;
        meta.outer = 0;
        fragments.push(Job { packet, meta });
    }
    plane.counters.add(Counter::Fragmented);
    plane.counters.add_many(Counter::Generated, fragments.len() as u64 - 1);
    Ok(fragments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn identifications_differ_and_do_not_count_up() {
        let all: BTreeSet<_> = (0..50_000).map(|count| scrambled(count, 7)).collect();
        assert_eq!(all.len(), 50_000);
        let steps = (0..1_000).filter(|&count| scrambled(count + 1, 7).wrapping_sub(scrambled(count, 7)) < 1 << 16);
        assert!(steps.count() < 10, "the next one is not near the last");
        let common = (0..1_000).filter(|&count| scrambled(count, 7) == scrambled(count, 8)).count();
        assert!(common < 10, "another seed is another order");
    }
}
