//! Cutting a packet into fragments: at a tunnel's entrance behind the outer header (RFC 2473 §7.1), and of what this
//! node sends itself (RFC 8200 §4.5).

use super::counters::Counter;
use super::vector::Job;
use super::{Dataplane, header};
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

/// Cuts a packet into fragments of at most `mtu` octets.
pub(super) fn cut(plane: &mut Dataplane, job: Job, mtu: usize) -> Result<ArrayVec<Job, MAX_FRAGMENTS>, (Job, Counter)> {
    let bytes = job.packet.bytes();
    let Some((named_at, at)) = unfragmentable(bytes) else { return Err((job, Counter::DropOutputTooBig)) };
    let chunk = mtu.saturating_sub(at + fragment::HEADER_LEN) & !7;
    let data = bytes.len() - at;
    if chunk == 0 || data.div_ceil(chunk) > MAX_FRAGMENTS {
        return Err((job, Counter::DropOutputTooBig));
    }
    plane.identification = plane.identification.wrapping_add(1);
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
            identification: plane.identification,
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
