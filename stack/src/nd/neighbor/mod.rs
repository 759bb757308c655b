//! Neighbours and own addresses: address resolution and reachability (RFC 4861 §7), duplicate address detection (RFC 4862
//! §5.4), optimistic addresses (RFC 4429) and proxying for mobile nodes that are away (RFC 4861 §7.2.8, RFC 6275 §10.4.1).
//!
//! One machine serves all ports of a node. It takes every Neighbor Discovery packet, the data plane's notices and the
//! node's commands; it keeps the data plane's neighbour table, joins solicited-node groups there, and sets a
//! [`Route::Local`] for each own address that is usable.
//!
//! Left out: Redirects change nothing (counted), and MLD reports for solicited-node groups, which
//! concern snooping switches only (RFC 4861 §7.2.1).

mod address;
mod command;
mod config;
mod resolution;
#[cfg(test)]
mod tests;

pub use address::{AddressInfo, AddressState};
pub use command::{Command, Dad, DadOutcome, Delivery, Event};
pub use config::{
    Config, DELAY_FIRST_PROBE_TIME, MAX_ADDRESSES, MAX_MULTICAST_SOLICIT, MAX_NEIGHBOR_ADVERTISEMENT,
    MAX_UNICAST_SOLICIT, PortConfig, REACHABLE_TIME, REACHABLE_TIME_REDRAW, RETRANS_TIMER, Role,
};
pub use resolution::NeighborInfo;

use super::cache::NeighborCache;
use crate::addr::{self, MacAddress, Prefix, solicited_node};
use crate::machine::{Machine, Notice, Output, Outputs, PortId, RxMeta};
use crate::rng::Rng;
use crate::tables::{Route, TableUpdate};
use crate::time::{Duration, Instant, Timers};
use crate::wire::nd::{Message, Opened, Refusal, open};
use address::{Own, Probe};
use core::net::Ipv6Addr;
use std::collections::{BTreeMap, BTreeSet};

/// Neighbor Discovery of a node, all its ports.
#[derive(Debug)]
pub struct NeighborDiscovery {
    ports: BTreeMap<PortId, Port>,
    /// On how many ports an address has a [`Route::Local`]: a link-local address may be on several.
    local: BTreeMap<Ipv6Addr, u32>,
    timers: Timers<Timer>,
    rng: Rng,
    outputs: Outputs<Event>,
    counters: Counters,
}

/// One port.
#[derive(Debug)]
struct Port {
    config: PortConfig,
    up: bool,
    /// Whether the link-layer address changed while the link was down.
    moved: bool,
    neighbors: NeighborCache,
    addresses: BTreeMap<Ipv6Addr, Own>,
    /// Anycast addresses that this node has with others.
    anycast: BTreeSet<Ipv6Addr>,
    /// Proxied addresses.
    proxies: BTreeMap<Ipv6Addr, ()>,
    /// Addresses of others that are being looked for.
    probes: BTreeMap<Ipv6Addr, Probe>,
    /// Unsolicited advertisements that are still to be sent.
    announcements: BTreeMap<Ipv6Addr, u32>,
    /// Solicited-node groups, and how many addresses are in each.
    groups: BTreeMap<Ipv6Addr, u32>,
    base_reachable_time: Duration,
    reachable_time: Duration,
    retransmit_timer: Duration,
}

/// What runs out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// A neighbour's present state.
    Neighbor(PortId, Ipv6Addr),
    /// Detection for an own address.
    OwnDad(PortId, Ipv6Addr),
    /// Detection for another node's address.
    Dad(PortId, Ipv6Addr),
    /// The pause between unsolicited advertisements.
    Announce(PortId, Ipv6Addr),
    /// The random reachable time.
    Redraw(PortId),
}

crate::counters! {
    /// What was received, sent and refused.
    Counters {
        /// Router Solicitations received.
        rx_router_solicitation = "rx-router-solicitation",
        /// Router Advertisements received.
        rx_router_advertisement = "rx-router-advertisement",
        /// Neighbor Solicitations received.
        rx_neighbor_solicitation = "rx-neighbor-solicitation",
        /// Neighbor Advertisements received.
        rx_neighbor_advertisement = "rx-neighbor-advertisement",
        /// Redirects received; none changes anything.
        rx_redirect = "rx-redirect",
        /// Neighbor Solicitations sent.
        tx_neighbor_solicitation = "tx-neighbor-solicitation",
        /// Neighbor Advertisements sent.
        tx_neighbor_advertisement = "tx-neighbor-advertisement",
        /// Refused: a header in front of the message is wrong.
        drop_header = "drop-nd-header",
        /// Refused: no message of Neighbor Discovery, a fragment, or with a mobility header.
        drop_not_nd = "drop-nd-not-nd",
        /// Refused: came through a tunnel.
        drop_tunnel = "drop-nd-tunnel",
        /// Refused: on a port where there is no Neighbor Discovery, or whose link is down.
        drop_port = "drop-nd-port",
        /// Refused: hop limit.
        drop_hop_limit = "drop-nd-hop-limit",
        /// Refused: checksum.
        drop_checksum = "drop-nd-checksum",
        /// Refused: code.
        drop_code = "drop-nd-code",
        /// Refused: message or option malformed.
        drop_message = "drop-nd-message",
        /// Refused: addresses, or options that do not go with them.
        drop_address = "drop-nd-address",
        /// Refused: sent by this port itself and looped back.
        drop_looped = "drop-nd-looped",
        /// Solicitations whose target is nobody here.
        drop_target = "drop-nd-target",
        /// Advertisements of neighbours that nobody asked for.
        drop_unknown_neighbor = "drop-nd-unknown-neighbor",
        /// Advertisements that claim an address in use here.
        address_conflict = "nd-address-conflict",
        /// Neighbours that found no room in the cache.
        drop_cache_full = "drop-nd-cache-full",
        /// Neighbours that made room for others.
        cache_evicted = "nd-cache-evicted",
        /// Neighbours that could not be resolved.
        resolution_failed = "nd-resolution-failed",
        /// Neighbours that stopped answering.
        unreachable = "nd-unreachable",
        /// Solicitations that were not sent because the port has no address to send them from (RFC 4429 §3.2).
        no_source = "nd-no-source",
        /// Own addresses found to be another's.
        address_duplicate = "nd-address-duplicate",
        /// Commands refused: unknown port, not a unicast address, or a limit reached.
        drop_command = "drop-nd-command",
        /// Timer values of routers that were out of bounds.
        drop_timer_value = "drop-nd-timer-value",
    }
}

impl Counters {
    fn count_refusal(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Header(_) => &mut self.drop_header,
            Refusal::NotNeighborDiscovery => &mut self.drop_not_nd,
            Refusal::HopLimit => &mut self.drop_hop_limit,
            Refusal::Checksum => &mut self.drop_checksum,
            Refusal::Code => &mut self.drop_code,
            Refusal::Message(_) => &mut self.drop_message,
            Refusal::Source | Refusal::Destination | Refusal::Target | Refusal::Combination => &mut self.drop_address,
        };
        *counter += 1;
    }
}

impl NeighborDiscovery {
    /// The machine with every link down and no address.
    pub fn new(config: Config) -> Self {
        let mut rng = Rng::new(config.seed);
        let ports = config.ports.into_iter().map(|config| {
            let port = Port {
                up: false,
                moved: false,
                neighbors: NeighborCache::new(config.max_neighbors, config.max_incomplete),
                addresses: BTreeMap::new(),
                anycast: BTreeSet::new(),
                proxies: BTreeMap::new(),
                probes: BTreeMap::new(),
                announcements: BTreeMap::new(),
                groups: BTreeMap::new(),
                base_reachable_time: config.base_reachable_time,
                reachable_time: random_reachable_time(&mut rng, config.base_reachable_time),
                retransmit_timer: config.retransmit_timer,
                config,
            };
            (config.port, port)
        });
        let ports = ports.collect();
        NeighborDiscovery {
            ports,
            local: BTreeMap::new(),
            timers: Timers::new(),
            rng,
            outputs: Outputs::new(),
            counters: Counters::default(),
        }
    }

    /// What was received, sent and refused.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A packet that another machine has opened already; otherwise as [`Machine::handle_packet`].
    pub fn handle_opened(&mut self, now: Instant, meta: &RxMeta, opened: &Result<Opened, Refusal>) {
        let opened = match opened {
            Ok(opened) => opened,
            Err(refusal) => return self.counters.count_refusal(*refusal),
        };
        if meta.tunnel.is_some() {
            self.counters.drop_tunnel += 1;
            return;
        }
        let Some(port) = self.ports.get(&meta.port).filter(|port| port.up) else {
            self.counters.drop_port += 1;
            return;
        };
        if meta.link_source == Some(port.config.link_address) {
            self.counters.drop_looped += 1;
            return;
        }
        let (id, source) = (meta.port, opened.source);
        match &opened.message {
            Message::RouterSolicitation(solicitation) => {
                self.counters.rx_router_solicitation += 1;
                if port.config.role == Role::Router && !source.is_unspecified() {
                    self.told(now, id, source, solicitation.source_link_address, Some(false));
                }
            }
            Message::RouterAdvertisement(advertisement) => {
                self.counters.rx_router_advertisement += 1;
                if port.config.role == Role::Host {
                    self.take_timer_values(now, id, advertisement);
                }
                self.told(now, id, source, advertisement.source_link_address, Some(true));
            }
            Message::NeighborSolicitation(solicitation) => {
                self.counters.rx_neighbor_solicitation += 1;
                self.neighbor_solicitation(now, id, opened, solicitation);
            }
            Message::NeighborAdvertisement(advertisement) => {
                self.counters.rx_neighbor_advertisement += 1;
                self.neighbor_advertisement(now, id, advertisement);
            }
            Message::Redirect(_) => self.counters.rx_redirect += 1,
        }
    }

    fn handle_notice(&mut self, now: Instant, notice: Notice) {
        match notice {
            Notice::LinkUp(port) => self.link_up(now, port),
            Notice::LinkDown(port) => self.link_down(port),
            Notice::LinkAddress(port, address) => self.link_address_changed(now, port, address),
            Notice::NeighborMissing { port, address } => self.resolve(now, port, address),
            Notice::NeighborUsed { port, address } => self.used(now, port, address),
            // Its own packets are far smaller than the smallest MTU.
            Notice::Mtu(..)
            | Notice::MulticastMiss { .. }
            | Notice::MulticastWrongPort { .. }
            | Notice::MulticastSeen { .. }
            | Notice::Register { .. }
            | Notice::GroupData { .. }
            | Notice::Correspondent { .. }
            | Notice::CorrespondentBindingUsed { .. } => {}
        }
    }

    fn link_up(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if core::mem::replace(&mut port.up, true) {
            return;
        }
        self.timers.set(Timer::Redraw(id), now + REACHABLE_TIME_REDRAW);
        self.start_waiting_addresses(now, id);
        if self.ports.get_mut(&id).is_some_and(|port| core::mem::take(&mut port.moved)) {
            self.announce_all(now, id);
        }
    }

    /// Neighbours send to the old link-layer address until they are told (RFC 4861 §7.2.6).
    fn link_address_changed(&mut self, now: Instant, id: PortId, link_address: MacAddress) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        port.config.link_address = link_address;
        port.moved = !port.up;
        if port.up {
            self.announce_all(now, id);
        }
    }

    fn link_down(&mut self, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if !core::mem::replace(&mut port.up, false) {
            return;
        }
        self.timers.cancel(Timer::Redraw(id));
        self.forget_neighbors(id);
        self.suspend_addresses(id);
    }

    /// Counts an address into its solicited-node group.
    fn join(&mut self, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let members = port.groups.entry(solicited_node(address)).or_insert(0);
        *members += 1;
        if *members == 1 {
            self.outputs.table(TableUpdate::LinkGroupJoin(id, solicited_node(address)));
        }
    }

    /// Takes an address out of its solicited-node group.
    fn leave(&mut self, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let group = solicited_node(address);
        let Some(members) = port.groups.get_mut(&group) else { return };
        *members -= 1;
        if *members == 0 {
            port.groups.remove(&group);
            self.outputs.table(TableUpdate::LinkGroupLeave(id, group));
        }
    }

    /// Delivers packets to `address` here.
    fn deliver(&mut self, address: Ipv6Addr) {
        let ports = self.local.entry(address).or_insert(0);
        *ports += 1;
        if *ports == 1 {
            self.outputs.table(TableUpdate::RouteSet(Prefix::host(address), Route::Local));
        }
    }

    /// Delivers packets to `address` here no longer, unless it is on another port too.
    fn deliver_no_more(&mut self, address: Ipv6Addr) {
        let Some(ports) = self.local.get_mut(&address) else { return };
        *ports -= 1;
        if *ports == 0 {
            self.local.remove(&address);
            self.outputs.table(TableUpdate::RouteRemove(Prefix::host(address)));
        }
    }
}

impl Machine for NeighborDiscovery {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        self.handle_opened(now, meta, &open(packet));
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                Timer::Neighbor(port, address) => self.neighbor_timer(now, port, address),
                Timer::OwnDad(port, address) => self.own_dad_timer(now, port, address),
                Timer::Dad(port, address) => self.dad_timer(now, port, address),
                Timer::Announce(port, address) => self.announce_timer(now, port, address),
                Timer::Redraw(id) => {
                    if let Some(port) = self.ports.get_mut(&id) {
                        port.reachable_time = random_reachable_time(&mut self.rng, port.base_reachable_time);
                        self.timers.set(Timer::Redraw(id), now + REACHABLE_TIME_REDRAW);
                    }
                }
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Notice(notice) => self.handle_notice(now, notice),
            Command::AddAddress { port, address, dad, delivery } => {
                self.add_address(now, port, address, dad, delivery);
            }
            Command::AddAnycast { port, address } => self.add_anycast(port, address),
            Command::RemoveAddress { port, address } => self.remove_address(port, address),
            Command::Announce { port, address } => self.announce(now, port, address),
            Command::AddProxy { port, address } => self.add_proxy(now, port, address),
            Command::RemoveProxy { port, address } => self.remove_proxy(port, address),
            Command::Dad { port, address, token } => self.dad(now, port, address, token),
            Command::CancelDad { port, address, token } => self.cancel_dad(port, address, token),
            Command::Confirm { port, address } => self.confirm(now, port, address),
        }
    }

    fn poll_output(&mut self) -> Option<Output<Event>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }
}

/// A reachable time between MIN_RANDOM_FACTOR and MAX_RANDOM_FACTOR of its base (RFC 4861 §6.3.2, §10).
fn random_reachable_time(rng: &mut Rng, base: Duration) -> Duration {
    rng.duration(base / 2..base + base / 2)
}
