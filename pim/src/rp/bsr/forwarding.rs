//! How the machine's messages reach the links (RFC 5059 §3.4), and new neighbours (§3.5).

use super::zone::ScopeZone;
use super::{BsrBoundary, BsrOutput, fragmentation};
use crate::config::LinkKind;
use crate::dr;
use crate::hello::Holdtime;
use crate::instance::{Router, TimerKey};
use crate::interface::{Greeting, Interface};
use crate::wire::{self, Bootstrap};
use core::net::Ipv6Addr;
use stack::machine::{PortId, Via};
use stack::time::Instant;

impl Interface {
    /// Whether messages of this zone neither come in nor go out here.
    pub(crate) fn keeps_out(&self, zone: ScopeZone) -> bool {
        match (self.config.bsr_boundary, zone) {
            (BsrBoundary::Closed, _) => true,
            (BsrBoundary::Scope(border), ScopeZone::Scope(scope)) => scope <= border,
            (BsrBoundary::Scope(_), ScopeZone::Domain) | (BsrBoundary::Open, _) => false,
        }
    }

    /// Whether nothing of the mechanism passes here.
    pub(crate) fn is_bsr_closed(&self) -> bool {
        self.config.bsr_boundary == BsrBoundary::Closed
    }

    /// Whether the address is one of this router's on the link.
    pub(crate) fn has_address(&self, address: Ipv6Addr) -> bool {
        address == self.config.link_local || self.config.addresses.contains(&address)
    }
}

impl Router {
    /// The first link is up.
    pub(crate) fn start_bsr(&mut self, now: Instant) {
        if let Some(bsr) = &mut self.rendezvous_points.bsr {
            bsr.start(now);
        }
        self.drain_bsr(now);
    }

    /// The machine's timers.
    pub(crate) fn bsr_timer_expires(&mut self, now: Instant) {
        if let Some(bsr) = &mut self.rendezvous_points.bsr {
            bsr.handle_timeout(now, &mut self.counters);
        }
        self.drain_bsr(now);
    }

    /// The router stops: it bows out of its candidacies.
    pub(crate) fn stop_bsr(&mut self, now: Instant) {
        if let Some(bsr) = &mut self.rendezvous_points.bsr {
            bsr.stop(now, &mut self.counters);
        }
        self.drain_bsr(now);
    }

    /// Takes what the machine has to say, and its next deadline.
    pub(crate) fn drain_bsr(&mut self, now: Instant) {
        let mut changed = false;
        while let Some(output) = self.rendezvous_points.bsr.as_mut().and_then(super::Bsr::poll_output) {
            match output {
                BsrOutput::Flood { zone, message, from } => self.flood(zone, &message, from),
                BsrOutput::Advertise { bsr, message } => {
                    let packet = wire::candidate_rp_packet(message.address, bsr, &message);
                    self.counters.tx_candidate_rp += 1;
                    self.outputs.transmit(packet, Via::Route);
                }
                BsrOutput::RpSetChanged => changed = true,
            }
        }
        match self.rendezvous_points.bsr.as_ref().and_then(super::Bsr::poll_timeout) {
            Some(at) => self.timers.set(TimerKey::Bsr, at),
            None => {
                self.timers.cancel(TimerKey::Bsr);
            }
        }
        if changed {
            self.rendezvous_points_changed(now);
        }
    }

    /// A neighbour that knows nothing: one router of the link tells it, after its next Hello (§3.5).
    pub(crate) fn owe_bootstrap(&mut self, port: PortId, to: Ipv6Addr) {
        let Some(interface) = self.interfaces.get(&port) else { return };
        // The designated router, or who would be it without the new neighbour.
        let others = interface.neighbors.values().filter(|neighbor| neighbor.primary_address != to);
        let own = interface.config.link_local;
        if dr::designated_router(own, interface.config.dr_priority, others) == own {
            self.rendezvous_points.owing.insert(port);
        }
    }

    /// What is owed to new neighbours of the link, behind a Hello.
    pub(crate) fn pay_bootstrap(&mut self, port: PortId) {
        if !self.rendezvous_points.owing.remove(&port) {
            return;
        }
        let (Some(bsr), Some(interface)) = (&self.rendezvous_points.bsr, self.interfaces.get(&port)) else { return };
        let told = bsr.stored().filter(|&(zone, _)| !interface.keeps_out(zone));
        let quick: Vec<Bootstrap> =
            told.map(|(_, message)| Bootstrap { no_forward: true, ..message.clone() }).collect();
        for message in &quick {
            self.send_bootstrap(port, message);
        }
    }

    /// Out of every interface with neighbours, that by which it came too: routers on a link may not agree about the way to
    /// the bootstrap router (§3.4). On a point-to-point link nobody is left who could need it.
    fn flood(&mut self, zone: ScopeZone, message: &Bootstrap, from: Option<PortId>) {
        let passes = |port: PortId, interface: &Interface| {
            let returns = from == Some(port) && interface.config.link == LinkKind::PointToPoint;
            interface.speaks_pim() && !interface.neighbors.is_empty() && !interface.keeps_out(zone) && !returns
        };
        let ports: Vec<PortId> = self
            .interfaces
            .iter()
            .filter(|&(&port, interface)| passes(port, interface))
            .map(|(&port, _)| port)
            .collect();
        for port in ports {
            if self.interfaces.get(&port).is_some_and(|interface| interface.greeting == Greeting::Owed) {
                self.send_hello(port, Holdtime::Configured);
            }
            self.send_bootstrap(port, message);
        }
    }

    fn send_bootstrap(&mut self, port: PortId, message: &Bootstrap) {
        let Some(interface) = self.interfaces.get(&port) else { return };
        for fragment in fragmentation::fragments(message, interface.config.mtu) {
            let packet = wire::bootstrap_packet(interface.config.link_local, &fragment);
            self.counters.tx_bootstrap += 1;
            self.outputs.transmit(packet, Via::Link(port));
        }
    }
}
