//! The way out: the link's MTU (RFC 4443 §3.2, RFC 2473 §7), fragments (RFC 8200 §4.5), the neighbour (RFC 4861 §7.2.2),
//! and the Ethernet header (RFC 2464, RFC 6085).

use super::errors::Cause;
use super::{Frame, Walk};
use crate::chain;
use crate::job::{Job, Marks, Sequence};
use crate::model::NeighborKey;
use crate::octets::{self, next};
use crate::world::{MINIMUM_MTU, mac};
use core::net::Ipv6Addr;

/// Fragments of one packet at the most.
const MAX_FRAGMENTS: usize = 4;

/// To whom on a link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum To {
    Neighbor(NeighborKey),
    Group(Ipv6Addr),
}

impl Walk<'_> {
    /// Sends a packet on a link that may be too narrow for it.
    pub(super) fn output(&mut self, mut job: Job, port: u8, to: To) {
        let (mtu, added) = (self.model.shape.mtus[usize::from(port)], job.added());
        if job.packet.len() <= mtu {
            return self.send(job, port, to);
        }
        if added > 0 && job.packet.len() - added > MINIMUM_MTU {
            job.restore();
            return self.error(job, Cause::TooBig((mtu - added).max(MINIMUM_MTU)));
        }
        if added == 0 && !job.is_own {
            return self.error(job, Cause::TooBig(mtu));
        }
        let group = self.ticket();
        match cut(&job, mtu, group) {
            Some(fragments) => fragments.into_iter().for_each(|fragment| self.send(fragment, port, to)),
            None => self.end("drop-output-too-big"),
        }
    }

    /// Sends a packet that fits.
    pub(super) fn send(&mut self, job: Job, port: u8, to: To) {
        self.outcome.is_unknown |= job.marks.quotes_label;
        let link_address = match to {
            To::Group(group) => match self.model.deliveries.get(&(port, group)) {
                Some(listener) => {
                    self.end("unicast-deliveries");
                    listener.0
                }
                None => octets::mac_of_group(group),
            },
            To::Neighbor(key) => match self.model.neighbors.get(&key).and_then(|state| state.link_address) {
                Some(link_address) => {
                    self.outcome.uses.push(key);
                    link_address.0
                }
                None => return self.outcome.waits.push((key, job)),
            },
        };
        let octets = octets::frame(link_address, mac(port), &job.packet);
        self.outcome.frames.push(Frame { port, octets, marks: job.marks });
    }
}

/// Cuts a packet into fragments of at most `mtu` octets.
fn cut(job: &Job, mtu: usize, group: u64) -> Option<Vec<Job>> {
    let packet = &job.packet;
    let (named_at, at) = chain::before_fragment_header(packet);
    let (chunk, data) = ((mtu - at - 8) / 8 * 8, packet.len() - at);
    if data.div_ceil(chunk) > MAX_FRAGMENTS {
        return None;
    }
    let fragment = |start: usize| {
        let end = (start + chunk).min(data);
        let field = (start as u16) | u16::from(end < data);
        let mut cut = packet[..at].to_vec();
        let named = core::mem::replace(&mut cut[named_at], next::FRAGMENT);
        cut.extend_from_slice(&[named, 0]);
        cut.extend_from_slice(&field.to_be_bytes());
        cut.extend_from_slice(&[0; 4]);
        cut.extend_from_slice(&packet[at + start..at + end]);
        octets::set_length(&mut cut);
        let shown = cut.len() - 8;
        // What stands in this fragment, counted from its end.
        let moved = |from_end: usize| {
            let from_start = packet.len() - from_end;
            match from_start {
                _ if from_start < at => Some(shown + 8 - from_start),
                _ if start == 0 && from_start < shown => Some(shown - from_start),
                _ => None,
            }
        };
        let labels = job.marks.labels.iter().filter_map(|&(outer, _)| Some((moved(outer)?, 0))).collect();
        let sequence =
            job.marks.sequence.and_then(|sequence| Some(Sequence { from_end: moved(sequence.from_end)?, ..sequence }));
        let marks = Marks { labels, sequence, fragment: Some(group), ..job.marks.clone() };
        Job { packet: cut, marks, outer: 0, ..job.clone() }
    };
    Some((0..data).step_by(chunk).map(fragment).collect())
}
