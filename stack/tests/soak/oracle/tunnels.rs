//! Tunnels (RFC 2473, RFC 2784 with RFC 2890): outer headers written and taken off, traffic classes (RFC 2983, RFC 6040),
//! and the home agent's entrance (RFC 6275 §10.4.2).

use super::errors::Cause;
use super::{Walk, hop};
use crate::chain;
use crate::job::{Job, Sequence};
use crate::octets::{self, HEADER, next};
use core::net::Ipv6Addr;
use stack::pipeline::TunnelDscp;
use stack::tables::HomeBinding;

/// RFC 6040 figure 4: the rows are the inner codepoint, the columns the outer one, both from 0 to 3: Not-ECT, ECT(1),
/// ECT(0), CE.
const AT_EXIT: [[Option<u8>; 4]; 4] = [
    [Some(0), Some(0), Some(0), None],
    [Some(1), Some(1), Some(1), Some(3)],
    [Some(2), Some(1), Some(2), Some(3)],
    [Some(3), Some(3), Some(3), Some(3)],
];

/// An outer header to be.
pub(super) struct Outer {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    /// Whose key it is, and the key.
    pub(super) gre: Option<(Ipv6Addr, u32)>,
}

/// Why a packet does not leave its tunnel.
pub(super) const NOT_WHOLE: &str = "drop-tunnel-inner";
pub(super) const MARKS_CONTRADICT: &str = "drop-tunnel-ecn";

impl Walk<'_> {
    /// Looks at the packet that starts at `at` and gives it the marks of the outer header.
    pub(super) fn open(&self, job: &mut Job, at: usize) -> Result<(), &'static str> {
        let Some(inner) = job.packet.get(at..).filter(|inner| inner.len() >= HEADER && inner[0] >> 4 == 6) else {
            return Err(NOT_WHOLE);
        };
        let length = octets::length(inner);
        let (source, destination) = (octets::source(inner), octets::destination(inner));
        let no_address = |address: Ipv6Addr| address.is_unspecified() || address.is_loopback();
        if inner.len() < length || source.is_multicast() || no_address(source) || no_address(destination) {
            return Err(NOT_WHOLE);
        }
        let (inner_class, outer_class) = (octets::class(inner), octets::class(&job.packet));
        let ecn = AT_EXIT[usize::from(inner_class & 3)][usize::from(outer_class & 3)].ok_or(MARKS_CONTRADICT)?;
        let dscp = if self.model.shape.dscp == TunnelDscp::Uniform { outer_class } else { inner_class };
        job.packet.truncate(at + length);
        octets::set_class(&mut job.packet[at..], dscp & 0xfc | ecn);
        Ok(())
    }

    /// Puts an outer header in the place of the first `strip` octets; where the packet allows no further tunnel, answers
    /// it with an error and gives nothing back.
    pub(super) fn encapsulate(&mut self, mut job: Job, strip: usize, outer: &Outer) -> Option<Job> {
        job.strip(strip);
        let limit = chain::encapsulation_limit(&job.packet);
        if let Some((at, 0)) = limit {
            self.error(job, Cause::Field(at));
            return None;
        }
        let inner_class = octets::class(&job.packet);
        let class = match self.model.shape.dscp {
            TunnelDscp::Inner | TunnelDscp::Uniform => inner_class,
            TunnelDscp::Fixed(dscp) => dscp << 2 | inner_class & 3,
        };
        let mut next_header = next::IPV6;
        let mut payload = Vec::with_capacity(job.packet.len() + 20);
        if let Some((_, limit)) = limit {
            payload.extend_from_slice(&[next_header, 0, 4, 1, limit - 1, 1, 1, 0]);
            next_header = next::OPTIONS;
        }
        if let Some((home_address, key)) = outer.gre {
            // Key and sequence number are there; IPv6.
            let named_at = if limit.is_some() { &mut payload[0] } else { &mut next_header };
            *named_at = next::GRE;
            payload.extend_from_slice(&[0x30, 0, 0x86, 0xdd]);
            payload.extend_from_slice(&key.to_be_bytes());
            payload.extend_from_slice(&[0; 4]);
            let ticket = self.ticket();
            self.outcome.sequences.push((home_address, ticket));
            job.marks.sequence = Some(Sequence { from_end: job.packet.len() + 4, home_address, ticket });
        }
        let inner_length = job.packet.len();
        job.outer = HEADER + payload.len();
        payload.extend_from_slice(&job.packet);
        job.packet = octets::packet(class, next_header, 64, outer.source, outer.destination, &payload);
        job.marks.labels.push((job.packet.len(), inner_length));
        (job.is_own, job.tunnel) = (true, None);
        Some(job)
    }

    /// A packet for a home address that is bound at this home agent.
    pub(super) fn intercept(&mut self, mut job: Job, binding: HomeBinding) {
        // To the terminal the home agent itself is a correspondent that has the binding (RFC 6275 §10.4.2).
        let starts_here = job.is_own && job.outer == 0 && job.tunnel.is_none();
        if starts_here && job.packet[6] != next::ROUTING && !is_signalling(&job.packet) {
            let mut header = [0; 24];
            header[1..4].copy_from_slice(&[2, 2, 1]);
            header[8..].copy_from_slice(&job.packet[24..40]);
            job.insert(next::ROUTING, header);
            job.packet[24..40].copy_from_slice(&binding.care_of.octets());
            return self.lookup(job);
        }
        if !job.is_own && !hop(&mut job.packet) {
            return self.error(job, Cause::HopLimit);
        }
        let outer = Outer { source: binding.agent, destination: binding.care_of, gre: None };
        if let Some(job) = self.encapsulate(job, 0, &outer) {
            self.lookup(job);
        }
    }
}

/// A Mobility Header, or Neighbor Discovery.
fn is_signalling(packet: &[u8]) -> bool {
    match chain::upper(packet) {
        Some((next::MOBILITY, _)) => true,
        Some((next::ICMPV6, at)) => (133..=137).contains(&packet[at]),
        _ => false,
    }
}
