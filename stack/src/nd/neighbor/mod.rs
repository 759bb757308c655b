//! Neighbours and own addresses: address resolution and reachability (RFC 4861 §7), duplicate address detection (RFC 4862
//! §5.4), optimistic addresses (RFC 4429) and proxying for mobile nodes that are away (RFC 4861 §7.2.8, RFC 6275 §10.4.1).
//!
//! One machine serves all ports of a node. It takes every Neighbor Discovery packet, the data plane's notices and the
//! node's commands; it keeps the data plane's neighbour table, joins solicited-node groups there, and sets a
//! [`Route::Local`] for each own address that is usable.
//!
//! Left out: Redirects change nothing (counted), anycast addresses, and MLD reports for solicited-node groups, which
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
use std::collections::BTreeMap;

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

/// What was received, sent and refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Router Solicitations received.
    pub rx_router_solicitation: u64,
    /// Router Advertisements received.
    pub rx_router_advertisement: u64,
    /// Neighbor Solicitations received.
    pub rx_neighbor_solicitation: u64,
    /// Neighbor Advertisements received.
    pub rx_neighbor_advertisement: u64,
    /// Redirects received; none changes anything.
    pub rx_redirect: u64,
    /// Neighbor Solicitations sent.
    pub tx_neighbor_solicitation: u64,
    /// Neighbor Advertisements sent.
    pub tx_neighbor_advertisement: u64,
    /// Refused: a header in front of the message is wrong.
    pub drop_header: u64,
    /// Refused: no message of Neighbor Discovery, a fragment, or with a mobility header.
    pub drop_not_nd: u64,
    /// Refused: came through a tunnel.
    pub drop_tunnel: u64,
    /// Refused: on a port where there is no Neighbor Discovery, or whose link is down.
    pub drop_port: u64,
    /// Refused: hop limit.
    pub drop_hop_limit: u64,
    /// Refused: checksum.
    pub drop_checksum: u64,
    /// Refused: code.
    pub drop_code: u64,
    /// Refused: message or option malformed.
    pub drop_message: u64,
    /// Refused: addresses, or options that do not go with them.
    pub drop_address: u64,
    /// Refused: sent by this port itself and looped back.
    pub drop_looped: u64,
    /// Solicitations whose target is nobody here.
    pub drop_target: u64,
    /// Advertisements of neighbours that nobody asked for.
    pub drop_unknown_neighbor: u64,
    /// Advertisements that claim an address in use here.
    pub address_conflict: u64,
    /// Neighbours that found no room in the cache.
    pub drop_cache_full: u64,
    /// Neighbours that made room for others.
    pub cache_evicted: u64,
    /// Neighbours that could not be resolved.
    pub resolution_failed: u64,
    /// Neighbours that stopped answering.
    pub unreachable: u64,
    /// Solicitations that were not sent because the port has no address to send them from (RFC 4429 §3.2).
    pub no_source: u64,
    /// Own addresses found to be another's.
    pub address_duplicate: u64,
    /// Commands refused: unknown port, not a unicast address, or a limit reached.
    pub drop_command: u64,
    /// Timer values of routers that were out of bounds.
    pub drop_timer_value: u64,
}

impl Counters {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("rx-router-solicitation", self.rx_router_solicitation),
            ("rx-router-advertisement", self.rx_router_advertisement),
            ("rx-neighbor-solicitation", self.rx_neighbor_solicitation),
            ("rx-neighbor-advertisement", self.rx_neighbor_advertisement),
            ("rx-redirect", self.rx_redirect),
            ("tx-neighbor-solicitation", self.tx_neighbor_solicitation),
            ("tx-neighbor-advertisement", self.tx_neighbor_advertisement),
            ("drop-nd-header", self.drop_header),
            ("drop-nd-not-nd", self.drop_not_nd),
            ("drop-nd-tunnel", self.drop_tunnel),
            ("drop-nd-port", self.drop_port),
            ("drop-nd-hop-limit", self.drop_hop_limit),
            ("drop-nd-checksum", self.drop_checksum),
            ("drop-nd-code", self.drop_code),
            ("drop-nd-message", self.drop_message),
            ("drop-nd-address", self.drop_address),
            ("drop-nd-looped", self.drop_looped),
            ("drop-nd-target", self.drop_target),
            ("drop-nd-unknown-neighbor", self.drop_unknown_neighbor),
            ("nd-address-conflict", self.address_conflict),
            ("drop-nd-cache-full", self.drop_cache_full),
            ("nd-cache-evicted", self.cache_evicted),
            ("nd-resolution-failed", self.resolution_failed),
            ("nd-unreachable", self.unreachable),
            ("nd-no-source", self.no_source),
            ("nd-address-duplicate", self.address_duplicate),
            ("drop-nd-command", self.drop_command),
            ("drop-nd-timer-value", self.drop_timer_value),
        ]
        .into_iter()
    }

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
            Notice::MulticastMiss { .. } | Notice::GroupData { .. } | Notice::Correspondent { .. } => {}
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
