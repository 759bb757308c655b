//! The home agent (RFC 6275 §10): keeps the primary care-of address of terminals away from home, and has their packets
//! intercepted on the home link and tunnelled there.
//!
//! A Binding Update comes in by [`Machine::handle_packet`]. What it changes goes out in this order: the table entry, the
//! request to neighbour discovery ([`Event::ProxyStart`], [`Event::ProxyStop`]), the acknowledgement. A home address that
//! has no binding yet is first looked for on its link ([`Event::DadWanted`]), unless [`HomeDad`] says otherwise; the
//! result comes back as [`Command::DadResult`].
//!
//! Messages are authenticated by RFC 4285 before anything else about them is believed or answered. Tunnelling itself,
//! both ways, is the data plane's.
//!
//! Left out: IPsec, and with it the K bit, which is never granted; stateful address configuration (§10.4.4) and group
//! membership through the tunnel (§10.4.3).

mod agents_list;
mod config;
mod counters;
mod detection;
mod discovery;
mod former;
mod prefixes;
mod registration;

pub use agents_list::{HomeAgentsList, OtherAgent};
pub use config::{Config, FORMER_CARE_OF, HomeDad, HomeLink, MAX_DELETE_BCE_TIMEOUT};
pub use counters::Counters;
pub use discovery::wants;

use crate::binding::{Binding, BindingCache, BindingStatus};
use crate::reception::{Received, Reception};
use core::net::Ipv6Addr;
use detection::Waiting;
use mma::auth::{ReplayFloor, ReplayGuard, WallClock};
use prefixes::{Delivery, Learned};
use registration::Request;
use stack::addr::{self, Prefix};
use stack::machine::{Machine, Output, Outputs, PortId, RxMeta, Via};
use stack::rng::Rng;
use stack::tables::{HomeBinding, TableUpdate};
use stack::time::{Duration, Instant, Timers};
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::{CHECKSUM_AT, MobilityMessage, MobilityOptions, Status};
use std::collections::{BTreeMap, BTreeSet};

/// Duplicate address detection that has not ended by this time has been lost on the way.
const DETECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Home addresses whose last sequence number or timestamp is remembered, for each binding that there may be.
const REMEMBERED_PER_BINDING: usize = 2;

/// What the node asks of the home agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// The answer to [`Event::DadWanted`].
    DadResult {
        /// The home link.
        port: PortId,
        /// The home address.
        address: Ipv6Addr,
        /// Whether nobody else on the link has it.
        unique: bool,
    },
    /// Another node claims a home address that is intercepted here: the binding ends.
    AddressConflict {
        /// The home link.
        port: PortId,
        /// The home address.
        address: Ipv6Addr,
    },
    /// Forget the binding of this home address, as an operator may want.
    Remove {
        /// The home address.
        home_address: Ipv6Addr,
    },
}

/// What the home agent tells the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Neighbour discovery: look for this address on the link, on behalf of its terminal.
    DadWanted {
        /// The home link.
        port: PortId,
        /// The home address.
        address: Ipv6Addr,
    },
    /// Neighbour discovery: a detection that was wanted no longer is. It may have ended, or none was wanted.
    DadCancel {
        /// The home link.
        port: PortId,
        /// The home address.
        address: Ipv6Addr,
    },
    /// Neighbour discovery: answer for this address from now on, and say so to all nodes (RFC 6275 §10.4.1).
    ProxyStart {
        /// The home link.
        port: PortId,
        /// The home address.
        address: Ipv6Addr,
    },
    /// Neighbour discovery: do not answer for this address any more.
    ProxyStop {
        /// The home link.
        port: PortId,
        /// The home address.
        address: Ipv6Addr,
    },
    /// A binding was registered or changed.
    Registered {
        /// The home address.
        home_address: Ipv6Addr,
        /// The primary care-of address.
        care_of: Ipv6Addr,
    },
    /// A binding ended.
    Ended {
        /// The home address.
        home_address: Ipv6Addr,
        /// How.
        cause: EndCause,
    },
    /// A Binding Update was rejected.
    Rejected {
        /// The home address.
        home_address: Ipv6Addr,
        /// Why.
        status: Status,
    },
}

/// How a binding ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndCause {
    /// The terminal has de-registered.
    Deregistered,
    /// Its lifetime is over.
    Expired,
    /// Another node has the address.
    Duplicate,
    /// The node has asked for it.
    Removed,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The entry's time is over.
    Expiry(Ipv6Addr),
    /// The terminal should have refreshed its binding.
    Refresh(Ipv6Addr),
    /// Duplicate address detection should have ended.
    Detection(Ipv6Addr),
    /// The terminal is told of the home prefixes.
    Prefixes(Ipv6Addr),
    /// What was sent from the former care-of address has arrived.
    Former(Ipv6Addr),
}

/// The home agent of a node.
///
/// In: [`Machine::handle_packet`] for packets with a Mobility Header to one of the agent's addresses,
/// [`Machine::handle_command`] for the answers of neighbour discovery, [`Machine::handle_timeout`]. Out:
/// [`Machine::poll_output`] after each of them. To look at: [`HomeAgent::bindings`], [`HomeAgent::counters`].
#[derive(Debug)]
pub struct HomeAgent {
    config: Config,
    replay: ReplayGuard,
    cache: BindingCache,
    /// Registrations that wait for duplicate address detection.
    waiting: BTreeMap<Ipv6Addr, Waiting>,
    /// Link-local addresses that are defended or looked for, and their home addresses.
    link_locals: BTreeMap<(PortId, Ipv6Addr), Ipv6Addr>,
    /// Home addresses that another node was found to have after they were bound; no more than there may be bindings.
    contested: BTreeSet<Ipv6Addr>,
    /// The other home agents of each link.
    agents: BTreeMap<PortId, HomeAgentsList>,
    /// Prefixes of home links that other home agents advertise.
    learned: BTreeMap<(PortId, Prefix), Learned>,
    /// How far terminals have been told of prefixes.
    deliveries: BTreeMap<Ipv6Addr, Delivery>,
    rng: Rng,
    timers: Timers<Timer>,
    outputs: Outputs<Event>,
    counters: Counters,
    reception: Reception,
}

impl HomeAgent {
    /// A home agent without bindings.
    pub fn new(config: Config) -> Self {
        HomeAgent {
            replay: ReplayGuard::new(config.replay, config.max_bindings.saturating_mul(REMEMBERED_PER_BINDING)),
            cache: BindingCache::new(config.max_bindings),
            waiting: BTreeMap::new(),
            link_locals: BTreeMap::new(),
            contested: BTreeSet::new(),
            agents: BTreeMap::new(),
            learned: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            rng: Rng::new(config.seed),
            timers: Timers::new(),
            outputs: Outputs::new(),
            counters: Counters::default(),
            reception: Reception::new(),
            config,
        }
    }

    /// The binding cache.
    pub const fn bindings(&self) -> &BindingCache {
        &self.cache
    }

    /// How long the entry of a home address lives on.
    pub fn remaining(&self, now: Instant, home_address: Ipv6Addr) -> Option<Duration> {
        self.cache.expires(home_address).map(|expires| expires - now)
    }

    /// Home addresses whose registration waits for duplicate address detection.
    pub fn waiting(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.waiting.keys().copied()
    }

    /// What makes replays fail, to be written down and restored.
    pub fn replay_floors(&self) -> impl Iterator<Item = (Ipv6Addr, ReplayFloor)> + '_ {
        self.replay.floors()
    }

    /// Restores what an earlier run wrote down; returns how many there was no room for.
    pub fn restore_replay_floors(&mut self, floors: impl IntoIterator<Item = (Ipv6Addr, ReplayFloor)>) -> usize {
        self.replay.restore(floors)
    }

    /// Notes from now on what replay protection remembers anew.
    pub fn note_replay_changes(&mut self) {
        self.replay.note_changes();
    }

    /// What replay protection remembers anew since the last call; `None`: nothing any more.
    pub fn take_replay_changes(&mut self) -> Vec<(Ipv6Addr, Option<ReplayFloor>)> {
        self.replay.take_changes()
    }

    /// Sets the time of day, where timestamps are compared with it.
    pub fn set_clock(&mut self, reading: WallClock) {
        self.replay.set_clock(reading);
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn may_answer(&mut self, now: Instant) -> bool {
        self.reception.may_answer(now, &mut self.counters.drop_rate_limit)
    }

    /// Ends an active binding: packets for the home address stay on the home link from here on.
    fn stop_intercepting(&mut self, binding: &Binding) {
        let (port, home_address) = (binding.home_port, binding.home_address);
        self.outputs.table(TableUpdate::HomeBindingRemove(home_address));
        for address in [home_address].into_iter().chain(binding.link_local) {
            // Nobody needs to know any more who else has it: its terminal may be home, and what it says there of its own
            // address shall not be taken for another node's claim.
            self.outputs.event(Event::DadCancel { port, address });
            self.outputs.event(Event::ProxyStop { port, address });
        }
        self.give_up_link_local(port, home_address);
        self.timers.cancel(Timer::Refresh(home_address));
        self.forget_delivery(home_address);
    }

    fn end(&mut self, home_address: Ipv6Addr, cause: EndCause) {
        self.timers.cancel(Timer::Expiry(home_address));
        let Some(binding) = self.cache.remove(home_address) else {
            return;
        };
        if binding.status == BindingStatus::Active {
            self.stop_intercepting(&binding);
            self.forget_former(home_address);
            self.outputs.event(Event::Ended { home_address, cause });
        }
    }

    /// Another node has the address: the terminal is told to register again, which waits for detection this time and
    /// is refused as long as the other node is there.
    fn revoke(&mut self, home_address: Ipv6Addr) {
        if let Some(&binding) = self.cache.active(home_address) {
            self.counters.revoked += 1;
            if self.contested.len() < self.config.max_bindings {
                self.contested.insert(home_address);
            }
            self.send_refresh_request(&binding);
            self.end(home_address, EndCause::Duplicate);
        }
    }

    /// The agent's own packets to a terminal carry a type 2 routing header (RFC 6275 §10.4.2, §9.3.2).
    fn send_refresh_request(&mut self, binding: &Binding) {
        let message = MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() };
        let packet = PacketBuilder::new(binding.agent, binding.care_of)
            .type2_routing(binding.home_address)
            .checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT);
        self.counters.tx_binding_refresh_request += 1;
        self.outputs.transmit(packet, Via::Route);
    }

    fn expire(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Expiry(home_address) => {
                self.counters.expired += u64::from(self.cache.active(home_address).is_some());
                self.end(home_address, EndCause::Expired);
            }
            Timer::Refresh(home_address) => {
                if let Some(&binding) = self.cache.active(home_address) {
                    self.send_refresh_request(&binding);
                    // Once more, half way to the end, as long as there is time for an answer.
                    let left = self.remaining(now, home_address).unwrap_or_default();
                    if left > Duration::from_secs(8) {
                        self.timers.set(Timer::Refresh(home_address), now + left / 2);
                    }
                }
            }
            Timer::Detection(home_address) => self.detection_lost(home_address),
            Timer::Prefixes(home_address) => self.advertise_unasked(now, home_address),
            Timer::Former(home_address) => self.former_is_over(home_address),
        }
    }
}

impl Machine for HomeAgent {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        if let Ok(chain) = Chain::parse(packet)
            && chain.upper == protocol::ICMPV6
        {
            return self.handle_icmpv6(now, meta, packet, &chain);
        }
        let tally = self.counters.tally();
        let Some(received) = self.reception.take(now, packet, tally, &mut self.outputs) else { return };
        match &received.message {
            MobilityMessage::BindingUpdate(update) => {
                self.counters.rx_binding_update += 1;
                self.handle_binding_update(now, meta, &received, update);
            }
            _ => self.counters.drop_unexpected += 1,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_expired(now) {
            self.expire(now, timer);
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::DadResult { port, address, unique } => self.dad_result(now, port, address, unique),
            Command::AddressConflict { port, address } => self.revoke(self.home_address_of(port, address)),
            Command::Remove { home_address } => self.end(home_address, EndCause::Removed),
        }
    }

    fn poll_output(&mut self) -> Option<Output<Event>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }
}

#[cfg(test)]
mod tests;
