//! ICMPv6 errors (RFC 4443 §2.2, §2.4, §3).

use super::Walk;
use crate::chain;
use crate::job::Job;
use crate::octets::{self, next};
use crate::world::MINIMUM_MTU;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    NoRoute,
    BeyondScope,
    AddressUnreachable,
    PortUnreachable,
    TooBig(usize),
    HopLimit,
    Field(usize),
    NextHeader(usize),
    Option(usize),
}

impl Cause {
    /// Type, code, the four octets behind the checksum, and the counter.
    fn message(self) -> (u8, u8, u32, &'static str) {
        match self {
            Cause::NoRoute => (1, 0, 0, "icmp-error-no-route"),
            Cause::BeyondScope => (1, 2, 0, "icmp-error-beyond-scope"),
            Cause::AddressUnreachable => (1, 3, 0, "icmp-error-address-unreachable"),
            Cause::PortUnreachable => (1, 4, 0, "icmp-error-port-unreachable"),
            Cause::TooBig(mtu) => (2, 0, mtu as u32, "icmp-error-packet-too-big"),
            Cause::HopLimit => (3, 0, 0, "icmp-error-hop-limit"),
            Cause::Field(at) => (4, 0, at as u32, "icmp-error-header-field"),
            Cause::NextHeader(at) => (4, 1, at as u32, "icmp-error-next-header"),
            Cause::Option(at) => (4, 2, at as u32, "icmp-error-option"),
        }
    }
}

impl Walk<'_> {
    /// Answers a packet with an error, where that may be.
    pub(super) fn error(&mut self, mut job: Job, cause: Cause) {
        job.take_option();
        if !may_answer(&job.packet, cause, job.link_multicast) {
            return self.end("drop-icmp-forbidden");
        }
        let (.., counter) = cause.message();
        if self.send_error(&job, cause, &job.packet.clone()) {
            self.end(counter);
        } else {
            self.end("drop-icmp-no-source");
        }
    }

    /// Sends an error about `quoted`, which came of `job`, to its source; whether there is an address to send it from.
    pub(super) fn send_error(&mut self, job: &Job, cause: Cause, quoted: &[u8]) -> bool {
        let (to, about) = (octets::source(quoted), octets::destination(quoted));
        let from = if self.model.own.contains(&about) { Some(about) } else { self.model.source_for(to, job.port) };
        let Some(from) = from else { return false };
        self.outcome.errors += 1;
        let (kind, code, word, _) = cause.message();
        let mut body = word.to_be_bytes().to_vec();
        body.extend_from_slice(&quoted[..quoted.len().min(MINIMUM_MTU - 48)]);
        let message = octets::icmpv6(from, to, kind, code, &body);
        let mut answer = job.own(octets::packet(0, next::ICMPV6, 64, from, to, &message));
        answer.marks.is_error = true;
        answer.marks.quotes_label = !job.marks.labels.is_empty() && quoted.len() == job.packet.len();
        // A terminal of this mobility agent is told by its own way.
        if self.model.bindings.contains_key(&to) {
            self.enter(answer, to, 0);
        } else {
            self.lookup(answer);
        }
        true
    }
}

/// RFC 4443 §2.4 (e).
pub(super) fn may_answer(packet: &[u8], cause: Cause, link_multicast: bool) -> bool {
    let source = octets::source(packet);
    let to_group = link_multicast || octets::destination(packet).is_multicast();
    if source.is_unspecified() || source.is_multicast() || source.is_loopback() {
        return false;
    }
    if to_group && !matches!(cause, Cause::TooBig(_) | Cause::Option(_)) {
        return false;
    }
    match chain::upper(packet) {
        Some((next::ICMPV6, at)) => packet.get(at).is_some_and(|&kind| kind >= 128 && kind != 137),
        _ => true,
    }
}
