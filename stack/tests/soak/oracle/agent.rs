//! The mobility agent: what is sent to its care-of addresses goes to the terminals' groups, to where a binding forwards,
//! or to the address of a terminal on its link (`TableUpdate::MmaBindingSet`, RFC 5380 §6, RFC 6275 §6.4).

use super::errors::Cause;
use super::tunnels::Outer;
use super::{Walk, hop};
use crate::chain;
use crate::job::Job;
use crate::octets::{self, HEADER, next};
use core::net::Ipv6Addr;
use stack::tables::BindingState;

/// How a packet says for whom it is.
#[derive(Clone, Copy)]
enum Carried {
    /// It is in a tunnel and starts there.
    Inside(usize),
    /// So it is, and has a type 2 routing header with this home address.
    RoutedInside(usize, Ipv6Addr),
    /// It has a type 2 routing header with this home address.
    Routed(Ipv6Addr),
    /// It is the agent's own.
    Agent,
    /// It does not.
    Unknown,
}

fn carried(packet: &[u8]) -> Carried {
    let Ok(outer) = chain::chain(packet) else { return Carried::Unknown };
    if outer.is_fragment || outer.upper == next::MOBILITY {
        return Carried::Agent;
    }
    match (outer.routing, outer.upper) {
        (Some((1, home_address)), _) => Carried::Routed(home_address),
        (Some(_), _) => Carried::Unknown,
        (None, next::IPV6) if packet.len() >= outer.upper_at + HEADER => {
            let at = outer.upper_at;
            match chain::chain(&packet[at..]).ok().and_then(|inner| inner.routing) {
                Some((1, home_address)) => Carried::RoutedInside(at, home_address),
                _ => Carried::Inside(at),
            }
        }
        (None, next::ICMPV6) => Carried::Agent,
        _ => Carried::Unknown,
    }
}

impl Walk<'_> {
    /// A packet to a care-of address of this agent.
    pub(super) fn care_of(&mut self, job: Job) {
        let carried = carried(&job.packet);
        let home_address = match carried {
            Carried::Inside(at) => octets::destination(&job.packet[at..]),
            Carried::RoutedInside(_, home_address) | Carried::Routed(home_address) => home_address,
            Carried::Agent | Carried::Unknown => job.destination(),
        };
        self.deliver_to(job, carried, home_address);
    }

    fn deliver_to(&mut self, mut job: Job, carried: Carried, home_address: Ipv6Addr) {
        let bound = self.model.bindings.get(&home_address).map(|&(binding, _)| binding);
        let bound = bound.filter(|bound| bound.care_of == job.destination() && bound.state != BindingState::Anchor);
        let Some(binding) = bound else { return self.unmatched(job, carried) };
        let (source, destination) = (job.source(), job.destination());
        let from_home_agent = source == binding.home_agent;
        let from_peer = !from_home_agent && self.is_peer(source);
        let strip = match carried {
            Carried::Inside(at) if from_home_agent || from_peer => at,
            Carried::Inside(_) => return self.end("drop-binding-tunnel-source"),
            Carried::RoutedInside(at, _) if from_peer => {
                if !self.is_peer(octets::destination(&job.packet[at..])) {
                    return self.end("drop-binding-former-care-of");
                }
                at
            }
            // Only agents have to do with a routing header inside.
            Carried::RoutedInside(at, _) => {
                let home_address = octets::destination(&job.packet[at..]);
                return self.deliver_to(job, Carried::Inside(at), home_address);
            }
            Carried::Routed(_) => 0,
            Carried::Agent => return self.local(job),
            Carried::Unknown => return self.end("drop-binding-no-home-address"),
        };
        if strip > 0
            && let Err(counter) = self.open(&mut job, strip)
        {
            return self.end(counter);
        }
        let inner = &job.packet[strip..];
        if octets::is_link_local(octets::source(inner)) {
            return self.end("drop-binding-inner-source");
        }
        match binding.state {
            BindingState::Forward { from_home_agent: too, .. } => {
                let is_forwarded = strip > 0 && from_peer;
                let chains = self.model.service.as_ref().is_some_and(|service| service.chain);
                if is_forwarded && !(chains && inner[7] > 1) {
                    return self.end("drop-binding-forwarded-twice");
                }
                if !too && matches!(carried, Carried::Inside(_)) {
                    return self.end("drop-binding-forward-home-agent");
                }
            }
            _ if binding.optimise => {
                if strip > 0 && from_home_agent && is_for_agent(inner) {
                    job.strip(strip);
                    job.tunnel = Some((source, destination));
                    return self.local(job);
                }
                self.outcome.sightings.push((home_address, octets::source(inner)));
            }
            _ => {}
        }
        if !hop(&mut job.packet[strip..]) {
            job.strip(strip);
            return self.error(job, Cause::HopLimit);
        }
        self.enter(job, home_address, strip);
    }

    /// No binding of a home address with this care-of address.
    fn unmatched(&mut self, mut job: Job, carried: Carried) {
        if let Carried::RoutedInside(at, _) = carried {
            let home_address = octets::destination(&job.packet[at..]);
            return self.deliver_to(job, Carried::Inside(at), home_address);
        }
        let care_of = job.destination();
        // An anchor point sends on whatever comes to the regional address (RFC 5380 §6.2).
        if self.model.bindings.get(&care_of).is_some_and(|(binding, _)| binding.state == BindingState::Anchor) {
            if !job.is_own && !hop(&mut job.packet) {
                return self.error(job, Cause::HopLimit);
            }
            return self.enter(job, care_of, 0);
        }
        match carried {
            Carried::Agent => self.local(job),
            Carried::Unknown if self.model.of_care_of(care_of).is_some() => self.end("drop-binding-no-home-address"),
            _ => self.error(job, Cause::AddressUnreachable),
        }
    }

    /// Into the tunnel of the binding of a home address, in the place of the first octets.
    pub(super) fn enter(&mut self, job: Job, home_address: Ipv6Addr, strip: usize) {
        let (binding, _) = self.model.bindings[&home_address];
        let (source, destination) = match binding.state {
            BindingState::Active | BindingState::Anchor => (binding.source, binding.group),
            BindingState::Forward { to, .. } => (binding.care_of, to),
        };
        let is_active = binding.state == BindingState::Active;
        let gre = binding.gre_key.filter(|_| is_active).map(|key| (home_address, key));
        let Some(job) = self.encapsulate(job, strip, &Outer { source, destination, gre }) else { return };
        if is_active { self.group(job) } else { self.lookup(job) }
    }

    /// Whether another agent has this care-of address.
    fn is_peer(&self, address: Ipv6Addr) -> bool {
        self.model.service.as_ref().is_some_and(|service| service.peers.iter().any(|peer| peer.contains(address)))
    }
}

/// A correspondent's signalling that comes by the home address: Binding Refresh Request, Home Test, Binding Error.
fn is_for_agent(inner: &[u8]) -> bool {
    match chain::upper(inner) {
        Some((next::MOBILITY, at)) => matches!(inner.get(at + 2), Some(0 | 3 | 7)),
        _ => false,
    }
}
