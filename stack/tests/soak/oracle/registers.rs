//! Register messages (RFC 7761 §4.4.1, §4.4.2, §4.9.3): a designated router's to the rendezvous point, and others' to this
//! node.

use super::Walk;
use crate::job::Job;
use crate::octets::{self, HEADER, next};
use core::net::Ipv6Addr;
use stack::machine::Notice;
use stack::tables::{MrouteKey, RegisterTunnel, Route};

/// The PIM header of a message with data, less its checksum.
const FRONT: [u8; 8] = [0x21, 0, 0, 0, 0, 0, 0, 0];

/// A Register message with the checksum over its first eight octets.
pub(crate) fn message(class: u8, hop_limit: u8, from: Ipv6Addr, to: Ipv6Addr, data: &[u8]) -> Vec<u8> {
    let mut payload = FRONT.to_vec();
    let sum = octets::checksum(from, to, next::PIM, &FRONT);
    payload[2..4].copy_from_slice(&sum.to_be_bytes());
    payload.extend_from_slice(data);
    octets::packet(class, next::PIM, hop_limit, from, to, &payload)
}

impl Walk<'_> {
    /// To the rendezvous point.
    pub(super) fn register(&mut self, mut job: Job, tunnel: RegisterTunnel) {
        let RegisterTunnel { source, rendezvous_point } = tunnel;
        let leads_out = match self.model.route(rendezvous_point) {
            Some(Route::Local) => return self.end("drop-register-loop"),
            Some(Route::Via { port, .. } | Route::OnLink(port)) => self.model.shape.is_border(port.0),
            _ => false,
        };
        if leads_out && octets::scope(job.destination()) <= Some(5) {
            return self.end("drop-register-site-border");
        }
        let inside = job.packet.len();
        job.packet = message(octets::class(&job.packet), 64, source, rendezvous_point, &job.packet);
        job.marks.labels.push((job.packet.len(), inside));
        job.marks.is_registered = true;
        job.outer += HEADER + FRONT.len();
        (job.is_own, job.tunnel) = (true, None);
        self.lookup(job);
    }

    /// A PIM message to this node.
    pub(super) fn pim(&mut self, mut job: Job, at: usize, has_home_address: bool) {
        let (from, to, pim) = (job.source(), job.destination(), &job.packet[at..]);
        let holds = |octets: &[u8]| octets::checksum(from, to, next::PIM, octets) == 0;
        let has_data = self.model.shape.registers
            && !to.is_multicast()
            && job.tunnel.is_none()
            && !has_home_address
            && pim.len() >= FRONT.len()
            && (pim[0], pim[4] & 0x40) == (FRONT[0], 0)
            && (holds(&pim[..FRONT.len()]) || holds(pim));
        if !has_data {
            return self.deliver(job);
        }
        if job.is_own {
            return self.end("drop-register-loop");
        }
        if octets::is_link_local(to) || !can_be_routed(from) || self.model.own.contains(&from) {
            return self.end("drop-register-source");
        }
        let data = &pim[FRONT.len()..];
        if data.len() < HEADER || data[0] >> 4 != 6 || octets::length(data) != data.len() {
            return self.end("drop-register-inner");
        }
        let (source, group) = (octets::source(data), octets::destination(data));
        if octets::scope(group).is_none_or(|scope| scope <= 2) {
            return self.end("drop-register-group");
        }
        if !can_be_routed(source) || self.model.own.contains(&source) {
            return self.end("drop-register-source");
        }
        if octets::scope(group) <= Some(5) && job.port.is_some_and(|port| self.model.shape.is_border(port)) {
            return self.end("drop-register-site-border");
        }
        self.outcome.may_tell.push(Notice::Register { from, to, key: MrouteKey { source, group } });
        let class = octets::class(&job.packet);
        job.strip(at + FRONT.len());
        octets::set_class(&mut job.packet, class);
        (job.is_out_of_register, job.marks.was_registered, job.link_multicast) = (true, true, false);
        self.group(job);
    }
}

/// Whether packets from `source` leave its link.
fn can_be_routed(source: Ipv6Addr) -> bool {
    let is_of_one = !(source.is_multicast() || source.is_unspecified() || source.is_loopback());
    is_of_one && !octets::is_link_local(source) && source.to_ipv4_mapped().is_none()
}
