//! Hello messages: finding neighbours and losing them (RFC 7761 §4.3.1), and the life of an interface.

use crate::config::{FirstHello, JoinSuppression};
use crate::downstream::DownstreamState;
use crate::instance::{Event, Router, TimerKey};
use crate::interface::{Greeting, Link};
use crate::neighbor::Neighbor;
use crate::rpf::LinkNeighbor;
use crate::sg_rpt::RptDownstreamState;
use crate::tib::Entry;
use crate::upstream::UpstreamEvent;
use crate::wire::{self, HOLDTIME_FOREVER, Hello, LanPruneDelay, MAX_SECONDARY_ADDRESSES, MessageType};
use core::net::Ipv6Addr;
use stack::machine::{PortId, Via};
use stack::time::{Duration, Instant};

/// What a Hello says about how long it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holdtime {
    Configured,
    Goodbye,
}

impl Router {
    /// PIM starts on the interface: a new generation, the first Hello, the first query.
    pub(crate) fn link_up(&mut self, now: Instant, port: PortId) {
        let generation_id = self.rng.next_u64() as u32;
        let Some(interface) = self.interfaces.get_mut(&port).filter(|interface| !interface.is_up()) else { return };
        interface.link = Link::Up;
        interface.generation_id = generation_id;
        interface.greeting = Greeting::Owed;
        interface.elect();
        if interface.is_pim_enabled() {
            let (first, delay) = (interface.config.first_hello, interface.config.triggered_hello_delay);
            match first {
                // DEVIATION RFC 7761 §4.3.1: no random delay where the configuration says so.
                FirstHello::Fast => self.hello_timer_expires(now, port),
                FirstHello::Random => {
                    let at = now + self.rng.duration(Duration::ZERO..delay);
                    self.timers.set(TimerKey::Hello(port), at);
                }
            }
        }
        if let Some(querier) = self.querier_mut(port) {
            querier.start(now);
        }
        self.drain_querier(now, port);
        self.reroute_port(now, port);
    }

    /// Nothing passes any more: neighbours, joins and members of this link are gone.
    pub(crate) fn link_down(&mut self, now: Instant, port: PortId) {
        let Some(interface) = self.interfaces.get_mut(&port).filter(|interface| interface.is_up()) else { return };
        interface.link = Link::Down;
        let lost = core::mem::take(&mut interface.neighbors);
        interface.secondary.clear();
        interface.elect();
        self.timers.cancel(TimerKey::Hello(port));
        self.timers.cancel(TimerKey::TriggeredHello(port));
        for &address in lost.keys() {
            self.timers.cancel(TimerKey::Neighbor(port, address));
            self.outputs.event(Event::NeighborDown { at: now, port, address });
        }
        if let Some(querier) = self.querier_mut(port) {
            querier.stop();
        }
        self.drain_querier(now, port);
        self.forget_port(now, port);
        self.reroute_port(now, port);
    }

    /// Nothing that entries know of this link holds any more.
    fn forget_port(&mut self, now: Instant, port: PortId) {
        let knows = |entry: &Entry| {
            let shared = entry.shared.as_ref();
            entry.joins().contains(port)
                || entry.members().contains(port)
                || entry.asserts().contains_key(&port)
                || entry.rpf().interface() == Some(port)
                || shared.is_some_and(|s| s.excluded.contains(port) || s.rpt.known().contains(port))
        };
        for key in self.tib.keys_where(knows) {
            self.cancel_expiry_timer(key, port);
            for timer in [
                TimerKey::PrunePending(key, port),
                TimerKey::RptExpiry(key, port),
                TimerKey::RptPrunePending(key, port),
                TimerKey::Assert(key, port),
            ] {
                self.timers.cancel(timer);
            }
            if let Some(entry) = self.tib.get_mut(key) {
                entry.set_downstream(port, DownstreamState::NoInfo);
                let mut members = entry.members();
                members.remove(port);
                entry.set_members(members);
                entry.set_assert(port, None);
                if let Some(shared) = &mut entry.shared {
                    shared.excluded.remove(port);
                    shared.rpt.set(port, RptDownstreamState::NoInfo);
                }
            }
            self.settle(now, key);
        }
    }

    /// The interface has other addresses. With another link-local address it is another neighbour: the old one says
    /// goodbye first (§4.3.1).
    pub(crate) fn addresses_changed(
        &mut self,
        now: Instant,
        port: PortId,
        link_local: Ipv6Addr,
        mut addresses: Vec<Ipv6Addr>,
    ) {
        addresses.truncate(MAX_SECONDARY_ADDRESSES);
        let Some(interface) = self.interfaces.get(&port) else { return };
        let speaks = interface.speaks_pim();
        let renamed = interface.config.link_local != link_local;
        if !renamed && interface.config.addresses == addresses {
            return;
        }
        if renamed && speaks {
            self.send_hello(port, Holdtime::Goodbye);
        }
        let generation_id = self.rng.next_u64() as u32;
        let Some(interface) = self.interfaces.get_mut(&port) else { return };
        interface.config.link_local = link_local;
        interface.config.addresses = addresses;
        if renamed {
            interface.generation_id = generation_id;
        }
        if let Some(querier) = &mut interface.mld {
            querier.set_link_local(link_local);
        }
        if speaks {
            self.send_hello(port, Holdtime::Configured);
        }
        if renamed {
            self.elect(now, port);
            // Whoever was designated may be so under a name that is now another router's.
            self.designated_router_changed(now, port);
            // Whoever forgot us forgot nothing that we asked for, but may have ignored what we said meanwhile.
            for key in self.tib.keys_where(|entry| entry.upstream_neighbor().is_some_and(|n| n.port == port)) {
                self.upstream_event(now, key, UpstreamEvent::GenerationIdChanged);
            }
        }
    }

    /// The periodic Hello.
    pub(crate) fn hello_timer_expires(&mut self, now: Instant, port: PortId) {
        self.send_hello(port, Holdtime::Configured);
        if let Some(interface) = self.interfaces.get(&port) {
            self.timers.set(TimerKey::Hello(port), now + interface.config.hello_period);
        }
    }

    pub(crate) fn send_hello(&mut self, port: PortId, holdtime: Holdtime) {
        let Some(interface) = self.interfaces.get_mut(&port).filter(|interface| interface.speaks_pim()) else {
            return;
        };
        let config = &interface.config;
        // The primary address must not be listed (§4.3.4).
        let secondary = config.addresses.iter().copied().filter(|&address| address != config.link_local);
        let seconds = |duration: Duration| {
            u16::try_from(duration.as_secs()).map_or(HOLDTIME_FOREVER - 1, |s| s.min(HOLDTIME_FOREVER - 1))
        };
        let millis = |duration: Duration| u16::try_from(duration.as_millis()).unwrap_or(u16::MAX);
        let hello = Hello {
            holdtime: Some(match holdtime {
                Holdtime::Configured => seconds(config.hello_holdtime),
                Holdtime::Goodbye => 0,
            }),
            lan_prune_delay: Some(LanPruneDelay {
                tracking_support: config.join_suppression == JoinSuppression::Disabled,
                propagation_delay_ms: millis(config.propagation_delay).min(0x7fff),
                override_interval_ms: millis(config.override_interval),
            }),
            dr_priority: Some(config.dr_priority),
            generation_id: Some(interface.generation_id),
            addresses: secondary.take(MAX_SECONDARY_ADDRESSES).collect(),
        };
        let packet = wire::packet(config.link_local, MessageType::Hello, |into| hello.emit(into));
        interface.greeting = Greeting::Done;
        self.timers.cancel(TimerKey::TriggeredHello(port));
        self.counters.tx_hello += 1;
        self.outputs.transmit(packet, Via::Link(port));
        if holdtime == Holdtime::Configured {
            self.pay_bootstrap(port);
        }
    }

    /// A Hello of a neighbour.
    pub(crate) fn handle_hello(&mut self, now: Instant, port: PortId, source: Ipv6Addr, hello: &Hello) {
        self.counters.rx_hello += 1;
        if hello.holdtime == Some(0) {
            return self.neighbor_lost(now, port, source);
        }
        let limit = self.config.limits.neighbors;
        let Some(interface) = self.interfaces.get_mut(&port) else { return };
        enum Change {
            New,
            Restarted,
            Same,
        }
        if !interface.hears_neighbor(source) {
            self.counters.drop_neighbor_filter += 1;
            return;
        }
        let full = interface.neighbors.len() >= limit;
        let (change, addresses_changed) = match interface.neighbors.get_mut(&source) {
            None if full => {
                self.counters.drop_neighbor_limit += 1;
                return;
            }
            None => {
                interface.neighbors.insert(source, Neighbor::new(source, hello, now));
                (Change::New, true)
            }
            Some(neighbor) => {
                let before = neighbor.clone();
                neighbor.update(hello);
                let addresses_changed = before.secondary_addresses != neighbor.secondary_addresses;
                if before.generation_id == neighbor.generation_id {
                    (Change::Same, addresses_changed)
                } else {
                    neighbor.since = now;
                    (Change::Restarted, addresses_changed)
                }
            }
        };
        if addresses_changed {
            self.counters.secondary_address_conflicts += interface.map_secondary_addresses(source);
        }
        let liveness = TimerKey::Neighbor(port, source);
        match hello.holdtime {
            Some(HOLDTIME_FOREVER) => {
                self.timers.cancel(liveness);
            }
            Some(seconds) => self.timers.set(liveness, now + Duration::from_secs(u64::from(seconds))),
            None => self.timers.set(liveness, now + crate::config::InterfaceConfig::DEFAULT_HELLO_HOLDTIME),
        }
        if !matches!(change, Change::Same) {
            self.owe_bootstrap(port, source);
        }
        match change {
            Change::New => {
                self.outputs.event(Event::NeighborUp { at: now, port, address: source });
                self.greet(now, port);
            }
            Change::Restarted => {
                self.outputs.event(Event::NeighborRestarted { at: now, port, address: source });
                self.greet(now, port);
            }
            Change::Same => {}
        }
        self.elect(now, port);
        if addresses_changed {
            self.reroute_port(now, port);
        }
        if matches!(change, Change::Restarted) {
            self.assert_winner_lost(now, port, source);
            self.upstream_restarted(now, LinkNeighbor { port, address: source });
        }
    }

    /// The neighbour said goodbye or nothing for too long.
    pub(crate) fn neighbor_lost(&mut self, now: Instant, port: PortId, address: Ipv6Addr) {
        self.timers.cancel(TimerKey::Neighbor(port, address));
        let Some(interface) = self.interfaces.get_mut(&port) else { return };
        if interface.remove_neighbor(address).is_none() {
            return;
        }
        self.outputs.event(Event::NeighborDown { at: now, port, address });
        self.elect(now, port);
        self.assert_winner_lost(now, port, address);
        self.reroute_port(now, port);
    }

    /// A neighbour that does not know us hears a Hello, soon or at once.
    fn greet(&mut self, now: Instant, port: PortId) {
        let Some(interface) = self.interfaces.get_mut(&port) else { return };
        interface.greeting = Greeting::Owed;
        let (first, delay) = (interface.config.first_hello, interface.config.triggered_hello_delay);
        match first {
            FirstHello::Fast => self.send_hello(port, Holdtime::Configured),
            FirstHello::Random => {
                let at = now + self.rng.duration(Duration::ZERO..delay);
                self.timers.set_no_later(TimerKey::TriggeredHello(port), at);
            }
        }
    }

    /// Elects the designated router again; its members' sources are this router's business only while it is it.
    fn elect(&mut self, now: Instant, port: PortId) {
        let Some(interface) = self.interfaces.get_mut(&port) else { return };
        if interface.elect() {
            let address = interface.designated_router;
            self.outputs.event(Event::DesignatedRouter { at: now, port, address });
            self.designated_router_changed(now, port);
        }
    }
}
