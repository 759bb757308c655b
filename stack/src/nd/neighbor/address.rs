//! Own addresses, addresses of others that are looked for, and proxied ones: detection of duplicates, advertisements.

use super::*;
use crate::addr::ALL_NODES;
use crate::machine::Via;
use crate::wire::nd::{NeighborAdvertisement, NeighborSolicitation};

/// Detections for others' addresses that run on one port.
const MAX_PROBES: usize = 4096;

/// Anycast addresses of one port.
const MAX_ANYCAST: usize = 64;

/// Whether an own address is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressState {
    /// Its link is down and detection has not been through.
    Waiting,
    /// Detection runs; it is not in use.
    Tentative,
    /// Detection runs; it is in use with the restrictions of RFC 4429.
    Optimistic,
    /// It is in use.
    Assigned,
}

/// An own address, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressInfo {
    /// The link.
    pub port: PortId,
    /// The address.
    pub address: Ipv6Addr,
    /// Whether it is in use.
    pub state: AddressState,
}

/// An own address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    state: AddressState,
    dad: Dad,
    delivery: Delivery,
    nonce: [u8; 6],
    solicitations: u32,
}

/// Detection for another node's address.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    tokens: Vec<u64>,
    nonce: [u8; 6],
    solicitations: u32,
}

impl Port {
    /// The address that this node sends from on this link: the link-local one, or else another, never one under detection.
    pub(super) fn assigned_address(&self) -> Option<Ipv6Addr> {
        let assigned = || self.addresses.iter().filter(|(_, own)| own.state == AddressState::Assigned);
        let mut link_local = assigned().map(|(&address, _)| address).filter(|&address| addr::is_link_local(address));
        link_local.next().or_else(|| assigned().map(|(&address, _)| address).next())
    }
}

impl NeighborDiscovery {
    /// Own addresses, by port and address.
    pub fn addresses(&self) -> impl Iterator<Item = AddressInfo> {
        self.ports.iter().flat_map(|(&port, state)| {
            state.addresses.iter().map(move |(&address, own)| AddressInfo { port, address, state: own.state })
        })
    }

    /// The link-local address of a port that is through with detection.
    pub fn link_local(&self, port: PortId) -> Option<Ipv6Addr> {
        self.ports.get(&port)?.assigned_address().filter(|&address| addr::is_link_local(address))
    }

    /// Proxied addresses, by port and address.
    pub fn proxies(&self) -> impl Iterator<Item = (PortId, Ipv6Addr)> {
        self.ports.iter().flat_map(|(&port, state)| state.proxies.keys().map(move |&address| (port, address)))
    }

    pub(super) fn add_address(&mut self, now: Instant, id: PortId, address: Ipv6Addr, dad: Dad, delivery: Delivery) {
        let Some(port) = self.ports.get_mut(&id).filter(|_| addr::is_unicast(address)) else {
            self.counters.drop_command += 1;
            return;
        };
        if let Some(own) = port.addresses.get(&address) {
            let optimistic = own.state == AddressState::Optimistic;
            if optimistic || own.state == AddressState::Assigned {
                self.outputs.event(Event::AddressUsable { port: id, address, optimistic });
            }
            return;
        }
        if port.addresses.len() >= MAX_ADDRESSES {
            self.counters.drop_command += 1;
            return;
        }
        let nonce = nonce(&mut self.rng);
        let own = Own { state: AddressState::Waiting, dad, delivery, nonce, solicitations: 0 };
        port.addresses.insert(address, own);
        let up = port.up;
        self.forget(id, address);
        self.join(id, address);
        if up {
            self.start_address(now, id, address);
        }
    }

    pub(super) fn add_anycast(&mut self, id: PortId, address: Ipv6Addr) {
        let port = self.ports.get_mut(&id).filter(|port| addr::is_unicast(address) && port.anycast.len() < MAX_ANYCAST);
        let Some(port) = port else {
            self.counters.drop_command += 1;
            return;
        };
        if port.anycast.insert(address) {
            self.join(id, address);
            self.deliver(address);
        }
    }

    pub(super) fn remove_address(&mut self, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(own) = port.addresses.remove(&address) else { return };
        if !port.proxies.contains_key(&address) {
            port.announcements.remove(&address);
            self.timers.cancel(Timer::Announce(id, address));
        }
        self.timers.cancel(Timer::OwnDad(id, address));
        self.leave(id, address);
        if own.delivery == Delivery::Local && matches!(own.state, AddressState::Optimistic | AddressState::Assigned) {
            self.deliver_no_more(address);
        }
    }

    /// The link is up: addresses that waited for it come into use.
    pub(super) fn start_waiting_addresses(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get(&id) else { return };
        let waiting = port.addresses.iter().filter(|(_, own)| own.state == AddressState::Waiting);
        let waiting: Vec<Ipv6Addr> = waiting.map(|(&address, _)| address).collect();
        for address in waiting {
            self.start_address(now, id, address);
        }
    }

    /// The link is down: detection starts again when it is back. Addresses that were through with it stay in use.
    //
    // DEVIATION RFC 4862 §5.4: an interface that comes back is not checked again, lest a router stop for a second at every
    // flap. On hosts the autoconfigured addresses are removed and added anew, which does check them.
    pub(super) fn suspend_addresses(&mut self, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        for address in core::mem::take(&mut port.announcements).into_keys() {
            self.timers.cancel(Timer::Announce(id, address));
        }
        let mut no_longer_delivered = Vec::new();
        for (&address, own) in &mut port.addresses {
            if own.state == AddressState::Assigned {
                continue;
            }
            self.timers.cancel(Timer::OwnDad(id, address));
            if own.state == AddressState::Optimistic && own.delivery == Delivery::Local {
                no_longer_delivered.push(address);
            }
            own.state = AddressState::Waiting;
            own.solicitations = 0;
        }
        for address in no_longer_delivered {
            self.deliver_no_more(address);
        }
    }

    /// Begins to use an address as its [`Dad`] says.
    fn start_address(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(own) = port.addresses.get_mut(&address) else { return };
        match own.dad {
            Dad::Off => self.assign(now, id, address),
            Dad::Optimistic => {
                own.state = AddressState::Optimistic;
                if own.delivery == Delivery::Local {
                    self.deliver(address);
                }
                self.outputs.event(Event::AddressUsable { port: id, address, optimistic: true });
                self.own_dad_timer(now, id, address);
            }
            Dad::Strict => {
                own.state = AddressState::Tentative;
                let delay = self.rng.duration(Duration::ZERO..port.config.max_dad_delay);
                if delay.is_zero() {
                    self.own_dad_timer(now, id, address);
                } else {
                    self.timers.set(Timer::OwnDad(id, address), now + delay);
                }
            }
        }
    }

    /// The next probe for an own address, or the end of detection.
    pub(super) fn own_dad_timer(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(own) = port.addresses.get_mut(&address) else { return };
        if own.solicitations >= port.config.dad_transmits {
            return self.assign(now, id, address);
        }
        own.solicitations += 1;
        let nonce = own.nonce;
        self.timers.set(Timer::OwnDad(id, address), now + port.retransmit_timer);
        self.send_probe(id, address, nonce);
    }

    /// Detection is through, or there was none.
    fn assign(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(own) = self.ports.get_mut(&id).and_then(|port| port.addresses.get_mut(&address)) else { return };
        let before = core::mem::replace(&mut own.state, AddressState::Assigned);
        if own.delivery == Delivery::Local && before != AddressState::Optimistic {
            self.deliver(address);
        }
        self.outputs.event(Event::AddressUsable { port: id, address, optimistic: false });
        self.retry_resolution(now, id);
    }

    /// Another node has or wants an own address that is not through with detection.
    fn duplicate(&mut self, id: PortId, address: Ipv6Addr) {
        self.counters.address_duplicate += 1;
        self.remove_address(id, address);
        self.outputs.event(Event::AddressDuplicate { port: id, address });
    }

    pub(super) fn dad(&mut self, now: Instant, id: PortId, address: Ipv6Addr, token: u64) {
        let mut done = |outcome| self.outputs.event(Event::DadDone { port: id, address, token, outcome });
        let Some(port) = self.ports.get_mut(&id).filter(|_| addr::is_unicast(address)) else {
            return done(DadOutcome::NotTried);
        };
        if port.addresses.contains_key(&address) {
            return done(DadOutcome::Duplicate);
        }
        if let Some(probe) = port.probes.get_mut(&address) {
            if !probe.tokens.contains(&token) {
                probe.tokens.push(token);
            }
            return;
        }
        if port.probes.len() >= MAX_PROBES {
            self.counters.drop_command += 1;
            return done(DadOutcome::NotTried);
        }
        let nonce = nonce(&mut self.rng);
        port.probes.insert(address, Probe { tokens: vec![token], nonce, solicitations: 0 });
        self.join(id, address);
        self.dad_timer(now, id, address);
    }

    pub(super) fn cancel_dad(&mut self, id: PortId, address: Ipv6Addr, token: u64) {
        let Some(probe) = self.ports.get_mut(&id).and_then(|port| port.probes.get_mut(&address)) else { return };
        probe.tokens.retain(|&other| other != token);
        if probe.tokens.is_empty() {
            self.finish_dad(id, address, DadOutcome::NotTried);
        }
    }

    /// The next probe for another node's address, or the end of detection.
    pub(super) fn dad_timer(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(probe) = port.probes.get_mut(&address) else { return };
        if probe.solicitations >= port.config.dad_transmits {
            return self.finish_dad(id, address, DadOutcome::Unique);
        }
        probe.solicitations += 1;
        let nonce = probe.nonce;
        self.timers.set(Timer::Dad(id, address), now + port.retransmit_timer);
        self.send_probe(id, address, nonce);
    }

    fn finish_dad(&mut self, id: PortId, address: Ipv6Addr, outcome: DadOutcome) {
        let Some(probe) = self.ports.get_mut(&id).and_then(|port| port.probes.remove(&address)) else { return };
        self.timers.cancel(Timer::Dad(id, address));
        self.leave(id, address);
        for token in probe.tokens {
            self.outputs.event(Event::DadDone { port: id, address, token, outcome });
        }
    }

    pub(super) fn add_proxy(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let port = self.ports.get_mut(&id).filter(|port| {
            addr::is_unicast(address)
                && !port.addresses.contains_key(&address)
                && (port.proxies.len() < port.config.max_proxies || port.proxies.contains_key(&address))
        });
        let Some(port) = port else {
            self.counters.drop_command += 1;
            return;
        };
        if port.proxies.insert(address, ()).is_none() {
            self.forget(id, address);
            self.join(id, address);
        }
        self.announce(now, id, address);
    }

    pub(super) fn remove_proxy(&mut self, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if port.proxies.remove(&address).is_none() {
            return;
        }
        port.announcements.remove(&address);
        self.timers.cancel(Timer::Announce(id, address));
        self.leave(id, address);
    }

    pub(super) fn announce(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if port.addresses.contains_key(&address) || port.proxies.contains_key(&address) {
            port.announcements.insert(address, MAX_NEIGHBOR_ADVERTISEMENT);
            self.announce_timer(now, id, address);
        } else {
            self.counters.drop_command += 1;
        }
    }

    /// Tells the link where all addresses are that this node answers for.
    pub(super) fn announce_all(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get(&id) else { return };
        let addresses: Vec<Ipv6Addr> = port.addresses.keys().chain(port.proxies.keys()).copied().collect();
        for address in addresses {
            self.announce(now, id, address);
        }
    }

    /// The next unsolicited advertisement (RFC 4861 §7.2.6, RFC 6275 §10.4.1).
    pub(super) fn announce_timer(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(left) = port.announcements.get_mut(&address) else { return };
        *left -= 1;
        if *left == 0 {
            port.announcements.remove(&address);
        } else {
            self.timers.set(Timer::Announce(id, address), now + port.retransmit_timer);
        }
        let own = port.addresses.get(&address).map(|own| own.state);
        // An address under detection overrides nobody (RFC 4429 §3.2), and a tentative one is not advertised at all.
        let (override_cached, source) = match own {
            Some(AddressState::Assigned) => (true, Some(address)),
            Some(AddressState::Optimistic) => (false, Some(address)),
            Some(AddressState::Tentative | AddressState::Waiting) => return,
            None => (true, port.assigned_address()),
        };
        let Some(source) = source else {
            self.counters.no_source += 1;
            return;
        };
        let router = own.is_some() && port.config.role == Role::Router;
        self.advertise(id, address, (router, override_cached), source, ALL_NODES, Via::Link(id));
    }

    pub(super) fn neighbor_solicitation(
        &mut self,
        now: Instant,
        id: PortId,
        opened: &Opened,
        solicitation: &NeighborSolicitation,
    ) {
        let Some(port) = self.ports.get(&id) else { return };
        let (target, source) = (solicitation.target, opened.source);
        let detects = source.is_unspecified();
        if let Some(probe) = port.probes.get(&target).filter(|_| detects) {
            if solicitation.nonce == Some(probe.nonce) {
                self.counters.drop_looped += 1;
            } else {
                self.finish_dad(id, target, DadOutcome::Duplicate);
            }
            return;
        }
        let (router, override_cached, answer_from) = match port.addresses.get(&target) {
            Some(own) if own.state != AddressState::Assigned && detects => {
                if solicitation.nonce == Some(own.nonce) {
                    self.counters.drop_looped += 1;
                } else {
                    self.duplicate(id, target);
                }
                return;
            }
            Some(Own { state: AddressState::Waiting | AddressState::Tentative, .. }) => {
                self.counters.drop_target += 1;
                return;
            }
            Some(own) => {
                let override_cached = own.state == AddressState::Assigned;
                (port.config.role == Role::Router, override_cached, Some(target))
            }
            None if port.proxies.contains_key(&target) => (false, false, port.assigned_address()),
            // DEVIATION RFC 4861 §7.2.7: answered at once, without a random delay of up to a second: whichever of the
            // routers answers first will do.
            None if port.anycast.contains(&target) && !detects => {
                (port.config.role == Role::Router, false, port.assigned_address())
            }
            None => {
                self.counters.drop_target += 1;
                return;
            }
        };
        let Some(answer_from) = answer_from else {
            self.counters.no_source += 1;
            return;
        };
        if detects {
            return self.advertise(id, target, (router, override_cached), answer_from, ALL_NODES, Via::Link(id));
        }
        let mut via = Via::Link(id);
        if let Some(link_address) = solicitation.source_link_address {
            self.told(now, id, source, Some(link_address), None);
            via = Via::LinkAddress(id, link_address);
        }
        self.advertise(id, target, (router, override_cached), answer_from, source, via);
    }

    pub(super) fn neighbor_advertisement(&mut self, now: Instant, id: PortId, advertisement: &NeighborAdvertisement) {
        let Some(port) = self.ports.get(&id) else { return };
        let target = advertisement.target;
        if port.probes.contains_key(&target) {
            return self.finish_dad(id, target, DadOutcome::Duplicate);
        }
        match port.addresses.get(&target) {
            Some(Own { state: AddressState::Assigned, .. }) => self.counters.address_conflict += 1,
            Some(_) => self.duplicate(id, target),
            None if port.proxies.contains_key(&target) => {
                self.counters.address_conflict += 1;
                let link_address = advertisement.target_link_address;
                self.outputs.event(Event::ProxyContested { port: id, address: target, link_address });
            }
            None => self.neighbor_told(now, id, advertisement),
        }
    }

    /// Sends a probe of duplicate address detection (RFC 4862 §5.4.2, RFC 7527 §4.1).
    fn send_probe(&mut self, id: PortId, target: Ipv6Addr, nonce: [u8; 6]) {
        let message = Message::NeighborSolicitation(NeighborSolicitation {
            target,
            source_link_address: None,
            nonce: Some(nonce),
            other: Vec::new(),
        });
        self.counters.tx_neighbor_solicitation += 1;
        let packet = message.packet(Ipv6Addr::UNSPECIFIED, solicited_node(target));
        self.outputs.transmit(packet, Via::Link(id));
    }

    /// Sends an advertisement: solicited where it goes to one node (RFC 4861 §7.2.4).
    fn advertise(
        &mut self,
        id: PortId,
        target: Ipv6Addr,
        (router, override_cached): (bool, bool),
        source: Ipv6Addr,
        destination: Ipv6Addr,
        via: Via,
    ) {
        let Some(port) = self.ports.get(&id) else { return };
        let message = Message::NeighborAdvertisement(NeighborAdvertisement {
            router,
            solicited: !destination.is_multicast(),
            override_cached,
            target,
            target_link_address: Some(port.config.link_address),
            other: Vec::new(),
        });
        self.counters.tx_neighbor_advertisement += 1;
        self.outputs.transmit(message.packet(source, destination), via);
    }
}

fn nonce(rng: &mut Rng) -> [u8; 6] {
    let [a, b, c, d, e, f, _, _] = rng.next_u64().to_be_bytes();
    [a, b, c, d, e, f]
}
