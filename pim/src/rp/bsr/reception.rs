//! What is checked of messages before the machine sees them (RFC 5059 §3.1.3, §6).

use super::config::UnicastBootstrap;
use super::zone::{Delivery, ScopeZone};
use crate::instance::Router;
use crate::rpf::{self, LinkNeighbor};
use crate::wire::{Bootstrap, CandidateRpAdvertisement};
use core::net::Ipv6Addr;
use stack::addr::{self, ALL_PIM_ROUTERS};
use stack::machine::PortId;
use stack::time::Instant;
use stack::wire::ipv6;

impl Router {
    /// A Bootstrap message. To all routers of the link it has passed the checks of such messages.
    pub(crate) fn handle_bootstrap(&mut self, now: Instant, port: PortId, header: &ipv6::Header, message: &Bootstrap) {
        self.counters.rx_bootstrap += 1;
        let (Some(bsr), Some(interface)) = (&self.rendezvous_points.bsr, self.interfaces.get(&port)) else {
            self.counters.drop_bootstrap_disabled += 1;
            return;
        };
        let is_unicast = header.destination != ALL_PIM_ROUTERS;
        if is_unicast && bsr.config().unicast == UnicastBootstrap::Refuse {
            self.counters.drop_bootstrap_unicast += 1;
            return;
        }
        if is_unicast && !interface.has_address(header.destination) {
            self.counters.drop_destination += 1;
            return;
        }
        if !interface.neighbors.contains_key(&header.source) {
            self.counters.drop_unknown_neighbor += 1;
            return;
        }
        let Some(zone) = ScopeZone::of(message) else {
            self.counters.drop_bootstrap_scope += 1;
            return;
        };
        if interface.keeps_out(zone) {
            self.counters.drop_bootstrap_boundary += 1;
            return;
        }
        if !addr::is_routable_unicast(message.bsr_address) {
            self.counters.drop_bootstrap_address += 1;
            return;
        }
        let delivery = if is_unicast || message.no_forward { Delivery::Quick } else { Delivery::Flooded };
        let sender = LinkNeighbor { port, address: header.source };
        if delivery == Delivery::Flooded && self.rpf_neighbor(message.bsr_address) != Some(sender) {
            self.counters.drop_bootstrap_rpf += 1;
            return;
        }
        if let Some(bsr) = &mut self.rendezvous_points.bsr {
            bsr.handle_bootstrap(now, port, zone, delivery, message, &mut self.counters);
        }
        self.drain_bsr(now);
    }

    /// A Candidate-RP-Advertisement, which may come from afar.
    pub(crate) fn handle_candidate_rp(
        &mut self,
        now: Instant,
        port: PortId,
        header: &ipv6::Header,
        message: &CandidateRpAdvertisement,
    ) {
        self.counters.rx_candidate_rp += 1;
        let (Some(bsr), Some(interface)) = (&self.rendezvous_points.bsr, self.interfaces.get(&port)) else {
            self.counters.drop_bootstrap_disabled += 1;
            return;
        };
        let own = bsr.config().candidate_bsr.as_ref().map(|candidate| candidate.address);
        if own != Some(header.destination) {
            self.counters.drop_destination += 1;
            return;
        }
        // What enters by a link without routers was sent by a host.
        if interface.is_bsr_closed() || interface.neighbors.is_empty() {
            self.counters.drop_bootstrap_boundary += 1;
            return;
        }
        if let Some(bsr) = &mut self.rendezvous_points.bsr {
            bsr.handle_candidate_rp(now, message, &mut self.counters);
        }
        self.drain_bsr(now);
    }

    /// RPF_neighbor(BSR).
    fn rpf_neighbor(&self, bsr: Ipv6Addr) -> Option<LinkNeighbor> {
        // The group decides nothing here: no neighbour is behind a site border.
        rpf::rpf(&self.rib, &self.interfaces, bsr, Ipv6Addr::UNSPECIFIED).neighbor()
    }
}
