//! Address resolution and Neighbor Unreachability Detection (RFC 4861 §7.2, §7.3).

use super::*;
use crate::machine::Via;
use crate::nd::cache::Entry;
use crate::nd::nud::{self, State, Told};
use crate::tables::Neighbor;
use crate::wire::nd::{NeighborAdvertisement, NeighborSolicitation, RouterAdvertisement};

/// Retransmission timers that a router may set. RFC 4861 §6.3.4 takes any; a shorter one would make hosts flood the link.
const RETRANSMIT_TIMER_BOUNDS: core::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60);
/// Reachable times that a router may set (RFC 4861 §6.2.1: at most an hour).
const REACHABLE_TIME_BOUNDS: core::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3600);

/// A neighbour, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighborInfo {
    /// The link.
    pub port: PortId,
    /// The neighbour.
    pub address: Ipv6Addr,
    /// What is known about it.
    pub entry: Entry,
}

impl NeighborDiscovery {
    /// The neighbours, by port and address.
    pub fn neighbors(&self) -> impl Iterator<Item = NeighborInfo> {
        self.ports.iter().flat_map(|(&port, state)| {
            state.neighbors.iter().map(move |(address, &entry)| NeighborInfo { port, address, entry })
        })
    }

    /// What is known about one neighbour.
    pub fn neighbor(&self, port: PortId, address: Ipv6Addr) -> Option<Entry> {
        self.ports.get(&port)?.neighbors.get(address).copied()
    }

    /// A packet waits for this neighbour.
    pub(super) fn resolve(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get(&id).filter(|port| port.up && addr::is_unicast(address)) else {
            self.outputs.table(TableUpdate::NeighborFailed(id, address));
            return;
        };
        match port.neighbors.get(address).copied() {
            // The data plane asks once; what it knows may have crossed its question.
            Some(Entry { state, link_address: Some(link_address), .. }) => {
                let notify_use = state == State::Stale;
                self.outputs.table(TableUpdate::NeighborSet(id, address, Neighbor { link_address, notify_use }));
            }
            Some(_) => {}
            None if self.make_room(id, State::Incomplete) => {
                if let Some(port) = self.ports.get_mut(&id) {
                    port.neighbors.insert(now, address, State::Incomplete, None);
                    self.solicit(now, id, address);
                }
            }
            None => self.outputs.table(TableUpdate::NeighborFailed(id, address)),
        }
    }

    /// A packet went to a STALE neighbour.
    pub(super) fn used(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        if self.state(id, address) == Some(State::Stale) {
            self.enter(now, id, address, State::Delay, None);
        }
    }

    /// The upper layer knows that a neighbour is there.
    pub(super) fn confirm(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        if let Some(state) = self.state(id, address).filter(|&state| state != State::Incomplete) {
            self.enter(now, id, address, nud::confirmation(state), None);
        }
    }

    /// Something other than an advertisement told where a neighbour is; `is_router` where it told that too.
    pub(super) fn told(
        &mut self,
        now: Instant,
        id: PortId,
        address: Ipv6Addr,
        link_address: Option<MacAddress>,
        is_router: Option<bool>,
    ) {
        let Some(port) = self.ports.get(&id) else { return };
        if !addr::is_unicast(address) || port.addresses.contains_key(&address) || port.proxies.contains_key(&address) {
            self.counters.address_conflict += u64::from(addr::is_unicast(address));
            return;
        }
        let entry = port.neighbors.get(address).copied();
        let told = compare(entry.as_ref(), link_address);
        let Some((state, record)) = nud::unsolicited(entry.map(|entry| entry.state), told) else { return };
        let record = link_address.filter(|_| record);
        match (entry, record) {
            (None, record) => {
                if !self.make_room(id, State::Stale) {
                    return;
                }
                if let Some(port) = self.ports.get_mut(&id) {
                    port.neighbors.insert(now, address, State::Incomplete, None);
                    self.enter(now, id, address, state, record);
                }
            }
            (Some(_), Some(_)) => self.enter(now, id, address, state, record),
            (Some(_), None) => {}
        }
        if let Some(is_router) = is_router {
            self.set_router_flag(id, address, is_router);
        }
    }

    /// An advertisement whose target is none of this node's addresses.
    pub(super) fn neighbor_told(&mut self, now: Instant, id: PortId, advertisement: &NeighborAdvertisement) {
        let address = advertisement.target;
        let Some(&entry) = self.ports.get(&id).and_then(|port| port.neighbors.get(address)) else {
            self.counters.drop_unknown_neighbor += 1;
            return;
        };
        let told = compare(Some(&entry), advertisement.target_link_address);
        let step = nud::advertisement(entry.state, advertisement.solicited, advertisement.override_cached, told);
        let record = advertisement.target_link_address.filter(|_| step.record);
        if step.next != entry.state || record.is_some() || step.next == State::Reachable && advertisement.solicited {
            self.enter(now, id, address, step.next, record);
        }
        if step.router_flag {
            self.set_router_flag(id, address, advertisement.router);
        }
    }

    /// The time of a neighbour's state is over.
    pub(super) fn neighbor_timer(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get(&id) else { return };
        let Some(&entry) = port.neighbors.get(address) else { return };
        match entry.state {
            State::Incomplete if entry.solicitations < MAX_MULTICAST_SOLICIT => self.solicit(now, id, address),
            State::Incomplete => {
                self.counters.resolution_failed += 1;
                self.forget(id, address);
                self.outputs.event(Event::NeighborUnreachable { port: id, address, is_router: false });
            }
            State::Reachable => self.enter(now, id, address, State::Stale, None),
            State::Stale => self.forget(id, address),
            State::Delay => self.enter(now, id, address, State::Probe, None),
            State::Probe if entry.solicitations < MAX_UNICAST_SOLICIT => self.solicit(now, id, address),
            State::Probe => {
                self.counters.unreachable += 1;
                self.forget(id, address);
                self.outputs.event(Event::NeighborUnreachable { port: id, address, is_router: entry.is_router });
            }
        }
    }

    /// Solicitations that waited for an address to be sent from can be sent now.
    pub(super) fn retry_resolution(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let waiting = port.neighbors.iter().filter(|(_, entry)| entry.state == State::Incomplete);
        let waiting: Vec<Ipv6Addr> = waiting.map(|(address, _)| address).collect();
        for address in waiting {
            let port = self.ports.get_mut(&id);
            let Some(entry) = port.and_then(|port| port.neighbors.get_mut(address)) else { continue };
            if core::mem::take(&mut entry.unsent) {
                entry.solicitations = 0;
                self.solicit(now, id, address);
            }
        }
    }

    /// Forgets every neighbour of a port.
    pub(super) fn forget_neighbors(&mut self, id: PortId) {
        let Some(port) = self.ports.get(&id) else { return };
        let all: Vec<Ipv6Addr> = port.neighbors.iter().map(|(address, _)| address).collect();
        for address in all {
            self.forget(id, address);
        }
    }

    /// Forgets a neighbour; packets that wait for it fail.
    pub(super) fn forget(&mut self, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(entry) = port.neighbors.remove(address) else { return };
        self.timers.cancel(Timer::Neighbor(id, address));
        self.outputs.table(match entry.state {
            State::Incomplete => TableUpdate::NeighborFailed(id, address),
            _ => TableUpdate::NeighborRemove(id, address),
        });
    }

    /// Takes over what a router says about timers (RFC 4861 §6.3.4).
    pub(super) fn take_timer_values(&mut self, now: Instant, id: PortId, advertisement: &RouterAdvertisement) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let retransmit = Duration::from_millis(u64::from(advertisement.retransmit_timer_millis));
        if RETRANSMIT_TIMER_BOUNDS.contains(&retransmit) {
            port.retransmit_timer = retransmit;
        } else if !retransmit.is_zero() {
            self.counters.drop_timer_value += 1;
        }
        let base = Duration::from_millis(u64::from(advertisement.reachable_time_millis));
        if REACHABLE_TIME_BOUNDS.contains(&base) {
            if port.base_reachable_time != base {
                port.base_reachable_time = base;
                port.reachable_time = random_reachable_time(&mut self.rng, base);
                self.timers.set(Timer::Redraw(id), now + REACHABLE_TIME_REDRAW);
            }
        } else if !base.is_zero() {
            self.counters.drop_timer_value += 1;
        }
    }

    fn state(&self, id: PortId, address: Ipv6Addr) -> Option<State> {
        Some(self.ports.get(&id)?.neighbors.get(address)?.state)
    }

    /// Brings an entry to a state, with a new link-layer address where one is given, and tells the data plane what it has
    /// to know.
    fn enter(&mut self, now: Instant, id: PortId, address: Ipv6Addr, state: State, link: Option<MacAddress>) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(entry) = port.neighbors.get_mut(address) else { return };
        let notified = entry.state == State::Stale;
        if let Some(link) = link {
            entry.link_address = Some(link);
        }
        let Some(link_address) = entry.link_address else { return };
        port.neighbors.set_state(now, address, state);
        let notify_use = state == State::Stale;
        // The data plane has cleared the flag itself when a use brought the entry from STALE to DELAY.
        if link.is_some() || notify_use != notified && state != State::Delay {
            self.outputs.table(TableUpdate::NeighborSet(id, address, Neighbor { link_address, notify_use }));
        }
        let lasts = match state {
            State::Reachable => port.reachable_time,
            State::Stale => port.config.stale_lifetime,
            State::Delay => port.config.delay_first_probe_time,
            State::Incomplete | State::Probe => return self.solicit(now, id, address),
        };
        self.timers.set(Timer::Neighbor(id, address), now + lasts);
    }

    /// Solicits a neighbour that is INCOMPLETE or PROBE, and waits RetransTimer. Never from an optimistic address (RFC
    /// 4429 §3.2): without another one the solicitation is not sent, and made up for when there is one.
    fn solicit(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let source = port.assigned_address();
        let Some(entry) = port.neighbors.get_mut(address) else { return };
        entry.solicitations += 1;
        entry.unsent |= source.is_none();
        let unicast = entry.link_address.filter(|_| entry.state == State::Probe);
        self.timers.set(Timer::Neighbor(id, address), now + port.retransmit_timer);
        let Some(source) = source else {
            self.counters.no_source += 1;
            return;
        };
        let message = Message::NeighborSolicitation(NeighborSolicitation {
            target: address,
            source_link_address: Some(port.config.link_address),
            nonce: None,
            other: Vec::new(),
        });
        self.counters.tx_neighbor_solicitation += 1;
        match unicast {
            Some(mac) => self.outputs.transmit(message.packet(source, address), Via::LinkAddress(id, mac)),
            None => self.outputs.transmit(message.packet(source, solicited_node(address)), Via::Link(id)),
        }
    }

    /// Makes room for a new entry in `state`; `false` where there is none to be made.
    fn make_room(&mut self, id: PortId, state: State) -> bool {
        let Some(port) = self.ports.get(&id) else { return false };
        match port.neighbors.to_evict(state) {
            Ok(None) => true,
            Ok(Some(oldest)) => {
                self.counters.cache_evicted += 1;
                self.forget(id, oldest);
                true
            }
            Err(_) => {
                self.counters.drop_cache_full += 1;
                false
            }
        }
    }

    fn set_router_flag(&mut self, id: PortId, address: Ipv6Addr, is_router: bool) {
        let Some(entry) = self.ports.get_mut(&id).and_then(|port| port.neighbors.get_mut(address)) else { return };
        if core::mem::replace(&mut entry.is_router, is_router) && !is_router {
            self.outputs.event(Event::NoLongerRouter { port: id, address });
        }
    }
}

fn compare(entry: Option<&Entry>, told: Option<MacAddress>) -> Told {
    match (told, entry.and_then(|entry| entry.link_address)) {
        (None, _) => Told::Nothing,
        (told, cached) if told == cached => Told::Same,
        _ => Told::Different,
    }
}
