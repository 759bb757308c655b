//! Packets for the node: what it answers, what leaves a tunnel here, and what its machines are given.

use super::errors::{Cause, may_answer};
use super::tunnels::Outer;
use super::{Walk, hop};
use crate::chain::{self, Fault};
use crate::job::Job;
use crate::octets::{self, HEADER, next};
use core::net::Ipv6Addr;
use stack::machine::{PortId, RxMeta, TunnelMeta};
use stack::tables::{BindingState, HomeBinding, MmaBinding, MmaService};

impl Walk<'_> {
    pub(super) fn local(&mut self, job: Job) {
        let chain = match chain::chain(&job.packet) {
            Ok(chain) => chain,
            Err(Fault::Cut) => return self.end("drop-local-malformed"),
            Err(Fault::Silent) => return self.end("drop-local-option"),
            Err(Fault::Option(at)) => return self.error(job, Cause::Option(at)),
            Err(Fault::Field(at)) => return self.error(job, Cause::Field(at)),
        };
        if chain.is_fragment {
            self.outcome.is_unknown = true;
            return;
        }
        // Nobody on this node is at a care-of address (RFC 6275 §6.4); the agent's own signalling has the header.
        if let Some((segments_left, _)) = chain.routing
            && (segments_left != 1 || chain.upper != next::MOBILITY)
        {
            return self.end("drop-local-routing");
        }
        match chain.upper {
            next::IPV6 => self.leave_tunnel(job, chain.upper_at),
            next::MOBILITY => self.deliver(job),
            next::PIM => self.pim(job, chain.upper_at, chain.home_address.is_some()),
            next::ICMPV6 => self.icmpv6(job, chain.upper_at),
            _ if chain.home_address.is_some() => self.believe(job, &chain),
            next::NONE => self.end("drop-local-no-next-header"),
            6 | next::UDP => self.error(job, Cause::PortUnreachable),
            _ => self.error(job, Cause::NextHeader(chain.named_at)),
        }
    }

    pub(super) fn deliver(&mut self, job: Job) {
        self.outcome.is_unknown |= job.marks.quotes_label;
        let meta = RxMeta {
            port: PortId(job.port.unwrap_or(0)),
            link_source: job.link_source,
            link_multicast: job.link_multicast,
            tunnel: job.tunnel.map(|(source, destination)| TunnelMeta { source, destination }),
        };
        self.outcome.local.push((meta, job.packet));
    }

    /// A Home Address option is believed of terminals that are bound here (RFC 6275 §9.3.1).
    fn believe(&mut self, mut job: Job, chain: &chain::Chain) {
        let Some((at, home_address)) = chain.home_address.filter(|_| !job.destination().is_multicast()) else {
            return self.end("drop-local-home-address");
        };
        let is_bound = self.model.home_bindings.get(&home_address).is_some_and(|bound| bound.care_of == job.source());
        if !is_bound {
            return self.error(job, Cause::Option(at));
        }
        job.has_option = true;
        job.take_option();
        self.lookup(job);
    }

    fn icmpv6(&mut self, job: Job, at: usize) {
        let message = &job.packet[at..];
        if message.len() < 8 {
            return self.end("drop-local-malformed");
        }
        if octets::checksum(job.source(), job.destination(), next::ICMPV6, message) != 0 {
            return self.end("drop-local-checksum");
        }
        match message[0] {
            ..128 if job.marks.quotes_label => self.relay(&job, at),
            128 => self.echo(job, at),
            _ => self.deliver(job),
        }
    }

    /// RFC 4443 §4.2.
    fn echo(&mut self, job: Job, at: usize) {
        let (asker, asked) = (job.source(), job.destination());
        let from = if asked.is_multicast() { self.model.source_for(asker, job.port) } else { Some(asked) };
        let Some(from) = from else { return self.end("drop-icmp-no-source") };
        if asker.is_unspecified() {
            return self.end("drop-icmp-forbidden");
        }
        let message = octets::icmpv6(from, asker, 129, 0, &job.packet[at + 4..]);
        let class = octets::class(&job.packet) & 0xfc;
        let mut reply = job.own(octets::packet(class, next::ICMPV6, 64, from, asker, &message));
        reply.passes = job.passes;
        self.lookup(reply);
    }

    /// An error about a tunnel of this node goes on to the source of what is inside (RFC 2473 §8).
    fn relay(&mut self, job: &Job, at: usize) {
        let (kind, quoted) = (job.packet[at], &job.packet[at + 8..]);
        let inner = match chain::upper(quoted) {
            // What a group's source could use is a size and nothing else (RFC 4443 §2.4 (e.3)).
            Some((next::PIM, _)) if kind != 2 => return self.end("drop-local-tunnel-problem"),
            Some((next::IPV6, inner)) if quoted.len() >= inner + HEADER && quoted[inner + 6] != next::PIM => {
                &quoted[inner..]
            }
            _ => {
                self.outcome.is_unknown = true;
                return;
            }
        };
        if kind != 1 && kind != 3 {
            self.outcome.is_unknown = true;
            return;
        }
        self.end("icmp-error-relayed");
        let inner = inner.to_vec();
        if may_answer(&inner, Cause::AddressUnreachable, false) {
            let about = Job { port: None, ..job.own(Vec::new()) };
            self.send_error(&about, Cause::AddressUnreachable, &inner);
        }
    }

    /// A tunnel to an address of this node ends here for some.
    fn leave_tunnel(&mut self, mut job: Job, at: usize) {
        if let Err(counter) = self.open(&mut job, at) {
            return self.end(counter);
        }
        let outer = (job.source(), job.destination());
        let (source, destination) = (octets::source(&job.packet[at..]), octets::destination(&job.packet[at..]));
        let leaves_the_link = !octets::is_link_local(destination) && octets::scope(destination).is_none_or(|s| s > 2);
        // RFC 6275 §10.4.5, and for a moment the care-of address that was the last one.
        let ends = |home: &&HomeBinding| (home.care_of, home.agent) == outer;
        let (now, before) = (self.model.home_bindings.get(&source), self.model.former.get(&source));
        if now.filter(ends).or(before.filter(ends)).is_some() {
            return if leaves_the_link { self.out(job, at) } else { self.end("drop-tunnel-link-scope") };
        }
        let service = self.model.service.clone().filter(|service| service.address == outer.1);
        let Some(service) = service else {
            return self.end(if now.is_some() { "drop-tunnel-care-of" } else { "drop-tunnel-unknown" });
        };
        if job.port.is_some_and(|port| self.model.shape.is_border(port)) {
            return self.end("drop-tunnel-site-border");
        }
        let bound = self.model.bindings.get(&source).map(|&(binding, _)| binding);
        if let Some(anchor) = bound.filter(|bound| bound.state == BindingState::Anchor) {
            return match () {
                () if outer.0 != anchor.group => self.end("drop-tunnel-on-link-address"),
                () if !leaves_the_link => self.end("drop-tunnel-link-scope"),
                () => self.out(job, at),
            };
        }
        if let Err(counter) = self.may_speak(&service, outer.0, bound, &job.packet[at..]) {
            return self.end(counter);
        }
        if !leaves_the_link {
            return self.end("drop-tunnel-link-scope");
        }
        let Some(binding) = bound else { return self.out(job, at) };
        if !hop(&mut job.packet[at..]) {
            job.strip(at);
            return self.error(job, Cause::HopLimit);
        }
        let is_optimised = self.model.pairs.get(&(source, destination)) == Some(&binding.care_of);
        if is_optimised && chain::upper(&job.packet[at..]).is_none_or(|(upper, _)| upper != next::MOBILITY) {
            return self.optimise(job, at, &binding);
        }
        let outer = Outer { source: binding.care_of, destination: binding.home_agent, gre: None };
        if let Some(job) = self.encapsulate(job, at, &outer) {
            self.lookup(job);
        }
    }

    /// Whether this is a terminal of the site that may send what is inside.
    fn may_speak(
        &self,
        service: &MmaService,
        from: Ipv6Addr,
        bound: Option<MmaBinding>,
        inner: &[u8],
    ) -> Result<(), &'static str> {
        if !service.access_prefixes.iter().any(|prefix| prefix.contains(from)) {
            return Err("drop-tunnel-access-prefix");
        }
        let binding = bound.or_else(|| self.speaks_for_itself(inner)).ok_or("drop-tunnel-not-bound")?;
        if binding.state != BindingState::Active {
            return Err("drop-tunnel-not-active");
        }
        if from.to_bits() as u64 != binding.access_identifier {
            return Err("drop-tunnel-access-identifier");
        }
        Ok(())
    }

    /// A terminal that speaks from its care-of address: with its Home Address option, with a Care-of Test Init, or to its
    /// home agent (RFC 5380 §12.2).
    fn speaks_for_itself(&self, inner: &[u8]) -> Option<MmaBinding> {
        let care_of = octets::source(inner);
        if let Some((_, home_address)) = chain::chain(inner).ok().and_then(|inner| inner.home_address) {
            return self.model.bindings.get(&home_address).map(|b| b.0).filter(|binding| binding.care_of == care_of);
        }
        let binding = *self.model.of_care_of(care_of)?;
        let is_care_of_test_init =
            matches!(chain::upper(inner), Some((next::MOBILITY, at)) if inner.get(at + 2) == Some(&2));
        (is_care_of_test_init || octets::destination(inner) == binding.home_agent).then_some(binding)
    }

    /// Out of the tunnel, as if it had come without.
    fn out(&mut self, mut job: Job, at: usize) {
        job.tunnel = Some((job.source(), job.destination()));
        job.strip(at);
        (job.outer, job.link_multicast, job.is_own) = (0, false, false);
        self.lookup(job);
    }

    /// To a correspondent that has the binding: from the care-of address with a Home Address option (RFC 6275 §11.3.1).
    fn optimise(&mut self, mut job: Job, at: usize, binding: &MmaBinding) {
        job.strip(at);
        let mut header = [0, 2, 1, 2, 0, 0, 0xc9, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[8..].copy_from_slice(&job.packet[8..24]);
        job.insert(next::OPTIONS, header);
        job.packet[8..24].copy_from_slice(&binding.care_of.octets());
        (job.has_option, job.is_own, job.tunnel, job.outer) = (true, true, None, 0);
        self.lookup(job);
    }
}
