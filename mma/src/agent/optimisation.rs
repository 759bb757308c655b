//! Route optimisation in the name of the terminals: what their correspondents answer comes to their care-of addresses,
//! or to their home addresses through the home agent's tunnel.
//!
//! What is not the answer to something that the agent has sent is the terminal's, and goes on to it as it came: a
//! terminal may ask correspondents itself (RFC 5380 §12.2).

use super::MobilityManagementAgent;
use super::event::Event;
use crate::binding::Binding;
use crate::route_optimisation::{Action, Arrival, Claim, Optimisation, Optimiser, Path};
use core::net::Ipv6Addr;
use stack::machine::{RxMeta, TunnelMeta, Via};
use stack::tables::{BindingState, TableUpdate};
use stack::time::Instant;
use stack::wire::build::PacketBuilder;
use stack::wire::checksum;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility;

/// Octets of an ICMPv6 error in front of what it quotes.
const ICMPV6_HEADER_LEN: usize = 8;

impl MobilityManagementAgent {
    /// Whether a packet to this destination is one of a binding: to a care-of address, or to a home address and out of
    /// a tunnel.
    pub fn is_for_binding(&self, meta: &RxMeta, destination: Ipv6Addr) -> bool {
        match meta.tunnel {
            Some(_) => self.bindings.find(destination).is_some(),
            None => destination != self.config.address && self.bindings.has_care_of(destination),
        }
    }

    /// The last sequence number that an earlier run wrote down ([`Event::PreconfiguredSequence`]); returns whether there
    /// is a key for this pair.
    pub fn restore_preconfigured_sequence(
        &mut self,
        home_address: Ipv6Addr,
        correspondent: Ipv6Addr,
        sequence: u16,
    ) -> bool {
        let optimiser = self.optimiser.as_mut();
        optimiser.is_some_and(|optimiser| optimiser.restore_sequence(home_address, correspondent, sequence))
    }

    /// Whether correspondents of this binding are told its care-of address.
    pub(super) fn optimises(&self, binding: &Binding) -> bool {
        self.optimiser.is_some() && binding.state == BindingState::Active
    }

    /// A binding has come, changed or gone. One that forwards is the new agent's to optimise.
    pub(super) fn follow_binding(&mut self, now: Instant, home_address: Ipv6Addr) {
        let bound = self.bindings.find(home_address).filter(|binding| self.optimises(binding));
        let bound = bound.map(|binding| (binding.care_of, binding.expires_at));
        self.optimise(|optimiser| match bound {
            Some((care_of, until)) => optimiser.set_care_of(now, home_address, care_of, until),
            None => optimiser.drop_home_address(now, home_address),
        });
    }

    /// Does something with the optimiser, where there is one, and then what it wants done.
    pub(super) fn optimise(&mut self, work: impl FnOnce(&mut Optimiser)) {
        let Some(optimiser) = &mut self.optimiser else { return };
        work(optimiser);
        while let Some(action) = self.optimiser.as_mut().and_then(Optimiser::poll_action) {
            self.carry_out(&action);
        }
    }

    fn carry_out(&mut self, action: &Action) {
        match *action {
            Action::SendHomeTestInit { home_address, .. } => {
                let (Some(inner), Some(binding)) = (action.packet(), self.bindings.find(home_address)) else { return };
                // As the terminal would send it: through the tunnel to its home agent (RFC 6275 §11.6.1, §10.4.5).
                let outer = PacketBuilder::new(binding.care_of, binding.home_agent).payload(protocol::IPV6, &inner);
                self.outputs.transmit(outer, Via::Route);
            }
            Action::SendCareOfTestInit { .. } | Action::SendUpdate { .. } => {
                if let Some(packet) = action.packet() {
                    self.outputs.transmit(packet, Via::Route);
                }
            }
            Action::Optimised { home_address, correspondent, state } => {
                self.outputs.table(match state {
                    Optimisation::On { .. } => TableUpdate::OptimisedSet { home_address, correspondent },
                    Optimisation::Off => TableUpdate::OptimisedRemove { home_address, correspondent },
                });
                self.outputs.event(Event::Optimised { home_address, correspondent, state });
            }
            Action::KeepSequence { home_address, correspondent, sequence } => {
                self.outputs.event(Event::PreconfiguredSequence { home_address, correspondent, sequence });
            }
        }
    }

    /// A Mobility Header or an ICMPv6 error [for one of the bindings](Self::is_for_binding).
    pub(super) fn receive_for_binding(
        &mut self,
        now: Instant,
        meta: &RxMeta,
        header: &ipv6::Header,
        chain: &Chain,
        packet: &[u8],
    ) {
        let home_address = match (meta.tunnel, &chain.type2_routing) {
            (Some(_), _) => Some(header.destination),
            (None, Some(routing)) => Some(routing.home_address),
            (None, None) => self.bindings.only_owner_of(header.destination),
        };
        let bound = home_address.and_then(|home_address| self.bindings.find(home_address));
        let optimised = bound.is_some_and(|binding| self.optimises(binding));
        let path = match (meta.tunnel, bound) {
            (None, _) => Some(Path::Direct),
            (Some(TunnelMeta { source, destination }), Some(binding)) => {
                (source == binding.home_agent && destination == binding.care_of).then_some(Path::HomeAgent)
            }
            (Some(_), None) => None,
        };
        // Several may share a care-of address: without a home address the question tells whose answer it is.
        let shared = home_address.is_none() && self.bindings.has_care_of(header.destination);
        let claim = match path {
            Some(path) if optimised || shared => self.claim(now, path, header, chain, packet),
            _ => Claim::NotOurs,
        };
        match (claim, bound_home(self, home_address, header.destination, meta)) {
            (Claim::Ours, _) => {}
            (Claim::NotOurs, Some(home_address)) => {
                self.counters.passed_to_terminal += 1;
                self.outputs.transmit(packet.to_vec(), Via::Terminal(home_address));
            }
            (Claim::NotOurs, None) => self.counters.drop_destination += 1,
        }
    }

    fn claim(&mut self, now: Instant, path: Path, header: &ipv6::Header, chain: &Chain, packet: &[u8]) -> Claim {
        let Some(message) = packet.get(chain.upper_offset..) else { return Claim::NotOurs };
        let Some(optimiser) = &mut self.optimiser else { return Claim::NotOurs };
        let home_address = chain.type2_routing.as_ref().map(|routing| routing.home_address);
        // The addresses that the ends see.
        let source = chain.home_address.as_ref().map_or(header.source, |option| option.home_address);
        let destination = home_address.unwrap_or(header.destination);
        let claim = match chain.upper {
            protocol::MOBILITY if mobility::verify_checksum(source, destination, message) => {
                let arrival = Arrival { source, destination: header.destination, home_address, path };
                optimiser.handle_message(now, &arrival, message)
            }
            protocol::ICMPV6 if checksum::verify(source, destination, protocol::ICMPV6, message) => {
                match (message, message.get(ICMPV6_HEADER_LEN..)) {
                    (&[kind, code, ..], Some(quoted)) => optimiser.handle_icmp_error(now, source, kind, code, quoted),
                    _ => Claim::NotOurs,
                }
            }
            _ => Claim::NotOurs,
        };
        self.optimise(|_| {});
        claim
    }
}

/// The home address of the binding that a packet is of, where there is exactly one.
fn bound_home(
    agent: &MobilityManagementAgent,
    named: Option<Ipv6Addr>,
    destination: Ipv6Addr,
    meta: &RxMeta,
) -> Option<Ipv6Addr> {
    let binding = agent.bindings.find(named?)?;
    (meta.tunnel.is_some() || binding.care_of == destination).then_some(binding.home_address)
}
