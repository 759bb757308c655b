//! A host's part of router discovery and address autoconfiguration (RFC 4861 §6.3, RFC 4862 §5.5).
//!
//! When a link comes up the host forms its link-local address and looks for routers; what they advertise becomes on-link
//! routes, addresses, a list of default routers, and events. The addresses are taken into use by
//! [`super::NeighborDiscovery`]; [`super::Discovery`] carries commands and events between the two. When the link goes down
//! all of it is given up: behind it may be another link when it comes back.
//!
//! Left out: DHCPv6 (the M and O flags are told in the event), temporary addresses (RFC 8981), redirects, and the use of
//! the MTU and hop limit options, which are told in the event.

mod lists;
#[cfg(test)]
mod tests;

pub use lists::{AddressInfo, RouterInfo};

use super::neighbor::{self, Dad, Delivery};
use crate::addr::{self, ALL_ROUTERS, MacAddress, Prefix, with_interface_identifier};
use crate::machine::{Machine, Notice, Output, Outputs, PortId, RxMeta, Via};
use crate::rng::Rng;
use crate::tables::{Route, TableUpdate};
use crate::time::{Duration, Instant, Timers};
use crate::wire::nd::{
    Message, Opened, PrefixInformation, Refusal, RouterAdvertisement, RouterSolicitation, lifetime_end, open,
};
use core::net::Ipv6Addr;
use lists::{Port, Use};
use std::collections::BTreeMap;

/// MAX_RTR_SOLICITATIONS.
pub const MAX_RTR_SOLICITATIONS: u32 = 3;
/// RTR_SOLICITATION_INTERVAL.
pub const RTR_SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
/// MAX_RTR_SOLICITATION_DELAY.
pub const MAX_RTR_SOLICITATION_DELAY: Duration = Duration::from_secs(1);
/// An unauthenticated advertisement does not bring a valid lifetime below this (RFC 4862 §5.5.3 e).
pub const MIN_VALID_LIFETIME: Duration = Duration::from_secs(2 * 3600);

/// What the machine is set up with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Seed of its random numbers.
    pub seed: u64,
    /// The ports on which this node is a host.
    pub ports: Vec<PortConfig>,
}

/// One port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortConfig {
    /// The port.
    pub port: PortId,
    /// Its link-layer address.
    pub link_address: MacAddress,
    /// How routers are looked for.
    pub solicitation: Solicitation,
    /// How addresses come into use.
    pub dad: Dad,
    /// The low 64 bits of its addresses.
    pub interface_identifier: InterfaceIdentifier,
    /// Whether this machine sets the default route.
    pub default_route: DefaultRoute,
    /// Routers at the most; further ones are reported and not kept.
    pub max_routers: usize,
    /// On-link prefixes at the most, and as many autonomous addresses.
    pub max_prefixes: usize,
}

/// How routers are looked for when the link comes up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Solicitation {
    /// At once, again after this long, and so on with twice the pause up to [`RTR_SOLICITATION_INTERVAL`], until a router
    /// answers or [`MAX_RTR_SOLICITATIONS`] were sent with the longest pause.
    Fast {
        /// The first pause, not zero.
        interval: Duration,
    },
    /// After a random delay, [`MAX_RTR_SOLICITATIONS`] times (RFC 4861 §6.3.7).
    Rfc,
    /// Not at all: advertisements come by themselves.
    Silent,
}

/// The low 64 bits of the addresses of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterfaceIdentifier {
    /// Made from the link-layer address (RFC 4291 appendix A).
    ModifiedEui64,
    /// This one, on every link alike: a mobility agent knows its terminal by it.
    Fixed(u64),
}

/// Who sets the default route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultRoute {
    /// This machine, to the best router it knows (RFC 4861 §6.3.6, RFC 4191 §3.2).
    Best,
    /// Somebody else, by the events: a mobile terminal.
    Elsewhere,
}

/// What the node may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// A notice of the data plane: links that come up and go down.
    Notice(Notice),
    /// Looks for routers now.
    Solicit(PortId),
    /// From [`super::NeighborDiscovery`].
    Neighbor(neighbor::Event),
}

/// What the node is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// For [`super::NeighborDiscovery`].
    Neighbor(neighbor::Command),
    /// A router advertised itself. Table updates of what it said stand before this.
    RouterAdvertised {
        /// The link.
        port: PortId,
        /// Its link-local address.
        router: Ipv6Addr,
        /// Its link-layer address: the one it tells, or else the one its frame came from.
        link_address: Option<MacAddress>,
        /// What it said: lifetime, preference, prefixes, MAP options, home agent information, interval.
        advertisement: Box<RouterAdvertisement>,
    },
    /// A router is no longer one: its lifetime ended, it said so, it stopped answering or the link went down.
    RouterLost {
        /// The link.
        port: PortId,
        /// Its link-local address.
        router: Ipv6Addr,
    },
    /// An address may be used. Comes twice for an optimistic one.
    AddressUsable {
        /// The link.
        port: PortId,
        /// The address, link-local ones too.
        address: Ipv6Addr,
        /// Whether detection still runs (RFC 4429).
        optimistic: bool,
    },
    /// Another node has the address; it is not used.
    AddressDuplicate {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// The address is no longer preferred: nothing new should start with it (RFC 4862 §5.5.4).
    AddressDeprecated {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// The address is gone: its lifetime ended or the link went down.
    AddressRemoved {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
}

impl PortConfig {
    /// A terminal or host as the RFCs have it: strict detection, delays, the default route set.
    pub const fn new(port: PortId, link_address: MacAddress) -> Self {
        PortConfig {
            port,
            link_address,
            solicitation: Solicitation::Rfc,
            dad: Dad::Strict,
            interface_identifier: InterfaceIdentifier::ModifiedEui64,
            default_route: DefaultRoute::Best,
            max_routers: 16,
            max_prefixes: 16,
        }
    }

    /// A radio port of a mobile terminal: looks for routers at once, uses addresses at once, leaves the default route to
    /// the terminal.
    pub const fn mobile(port: PortId, link_address: MacAddress, interface_identifier: InterfaceIdentifier) -> Self {
        PortConfig {
            solicitation: Solicitation::Fast { interval: Duration::from_millis(100) },
            dad: Dad::Optimistic,
            interface_identifier,
            default_route: DefaultRoute::Elsewhere,
            ..PortConfig::new(port, link_address)
        }
    }

    /// The low 64 bits of the port's addresses.
    pub const fn identifier(&self) -> u64 {
        match self.interface_identifier {
            InterfaceIdentifier::ModifiedEui64 => self.link_address.interface_identifier(),
            InterfaceIdentifier::Fixed(identifier) => identifier,
        }
    }
}

crate::counters! {
    /// What was received, sent and refused.
    Counters {
        /// Router Advertisements received.
        rx_router_advertisement = "rx-host-router-advertisement",
        /// Router Solicitations sent.
        tx_router_solicitation = "tx-host-router-solicitation",
        /// Packets that are not valid; Neighbor Discovery counts them by reason.
        drop_invalid = "drop-host-invalid",
        /// Advertisements on ports where this node is no host or whose link is down, or through a tunnel.
        drop_port = "drop-host-port",
        /// Routers beyond the limit.
        drop_router = "drop-host-router",
        /// Prefixes beyond the limit.
        drop_prefix_limit = "drop-host-prefix-limit",
        /// Prefixes that nothing is made of: link-local, everything, lifetimes that contradict each other, no room for an
        /// interface identifier.
        drop_prefix = "drop-host-prefix",
        /// Own addresses found to be another's.
        address_duplicate = "host-address-duplicate",
    }
}

/// Router discovery and address autoconfiguration of a node, all its ports.
#[derive(Debug)]
pub struct HostAutoconfiguration {
    ports: BTreeMap<PortId, Port>,
    /// The default router that the route points to.
    default_router: Option<(PortId, Ipv6Addr)>,
    timers: Timers<Timer>,
    rng: Rng,
    outputs: Outputs<Event>,
    counters: Counters,
}

/// What runs out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The pause before the next solicitation.
    Solicit(PortId),
    /// A router's lifetime.
    Router(PortId, Ipv6Addr),
    /// An on-link prefix's valid lifetime.
    OnLink(PortId, Prefix),
    /// An address's preferred lifetime.
    Preferred(PortId, Ipv6Addr),
    /// An address's valid lifetime.
    Valid(PortId, Ipv6Addr),
}

impl HostAutoconfiguration {
    /// The machine with every link down.
    pub fn new(config: Config) -> Self {
        HostAutoconfiguration {
            ports: config.ports.into_iter().map(|config| (config.port, Port::new(config))).collect(),
            default_router: None,
            timers: Timers::new(),
            rng: Rng::new(config.seed),
            outputs: Outputs::new(),
            counters: Counters::default(),
        }
    }

    /// What was received, sent and refused.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether this machine formed this address.
    pub fn owns(&self, port: PortId, address: Ipv6Addr) -> bool {
        self.ports.get(&port).is_some_and(|port| port.addresses.contains_key(&address))
    }

    /// Whether this node is a host on this port.
    pub fn has_port(&self, port: PortId) -> bool {
        self.ports.contains_key(&port)
    }

    /// A packet that another machine has opened already; otherwise as [`Machine::handle_packet`].
    pub fn handle_opened(&mut self, now: Instant, meta: &RxMeta, opened: &Result<Opened, Refusal>) {
        let Ok(opened) = opened else {
            self.counters.drop_invalid += 1;
            return;
        };
        let Message::RouterAdvertisement(advertisement) = &opened.message else { return };
        if meta.tunnel.is_some() || !self.ports.get(&meta.port).is_some_and(|port| port.up && !port.disabled) {
            self.counters.drop_port += 1;
            return;
        }
        self.counters.rx_router_advertisement += 1;
        let (id, router) = (meta.port, opened.source);
        if advertisement.lifetime_secs > 0 {
            // RFC 4861 §6.3.7: one answer is enough.
            self.timers.cancel(Timer::Solicit(id));
        }
        for prefix in &advertisement.prefixes {
            self.prefix(now, id, prefix);
        }
        self.router(now, id, router, advertisement);
        self.outputs.event(Event::RouterAdvertised {
            port: id,
            router,
            link_address: advertisement.source_link_address.or(meta.link_source),
            advertisement: Box::new(advertisement.clone()),
        });
        if advertisement.lifetime_secs == 0 {
            self.lose_router(id, router);
        }
        self.choose_default_router();
    }

    fn link_up(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if core::mem::replace(&mut port.up, true) {
            return;
        }
        let link_local =
            with_interface_identifier(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), port.config.identifier());
        self.add_address(id, link_local, Instant::FAR_FUTURE, Instant::FAR_FUTURE);
        self.begin_soliciting(now, id);
    }

    fn link_down(&mut self, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if !core::mem::replace(&mut port.up, false) {
            return;
        }
        self.timers.cancel(Timer::Solicit(id));
        self.give_up(id);
        if let Some(port) = self.ports.get_mut(&id) {
            port.duplicates.clear();
            port.disabled = false;
        }
        self.choose_default_router();
    }

    /// Starts to look for routers (RFC 4861 §6.3.7).
    fn begin_soliciting(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id).filter(|port| port.up && !port.disabled) else { return };
        port.solicitations = 0;
        let delay = match port.config.solicitation {
            Solicitation::Fast { .. } => Duration::ZERO,
            Solicitation::Rfc => self.rng.duration(Duration::ZERO..MAX_RTR_SOLICITATION_DELAY),
            Solicitation::Silent => return,
        };
        self.timers.set(Timer::Solicit(id), now + delay);
    }

    /// Sends a solicitation. From the link-local address where it is through with detection, else from the unspecified
    /// one, without the link-layer address then (RFC 4861 §4.1, RFC 4429 §3.2).
    fn solicit(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id).filter(|port| port.up && !port.disabled) else { return };
        let sent = port.solicitations;
        port.solicitations += 1;
        let (pause, last) = match port.config.solicitation {
            Solicitation::Fast { interval } => {
                let pause = interval.saturating_mul(1 << sent.min(16)).min(RTR_SOLICITATION_INTERVAL);
                let short = (0..).find(|&n| interval.saturating_mul(1 << n) >= RTR_SOLICITATION_INTERVAL || n == 16);
                (pause, short.unwrap_or(0) + MAX_RTR_SOLICITATIONS)
            }
            Solicitation::Rfc | Solicitation::Silent => (RTR_SOLICITATION_INTERVAL, MAX_RTR_SOLICITATIONS),
        };
        if port.solicitations < last {
            self.timers.set(Timer::Solicit(id), now + pause);
        }
        let assigned = port.addresses.iter().filter(|(_, own)| own.state == Use::Assigned);
        let link_local = assigned.map(|(&address, _)| address).find(|&address| addr::is_link_local(address));
        let message = Message::RouterSolicitation(RouterSolicitation {
            source_link_address: link_local.map(|_| port.config.link_address),
            other: Vec::new(),
        });
        let packet = message.packet(link_local.unwrap_or(Ipv6Addr::UNSPECIFIED), ALL_ROUTERS);
        self.outputs.transmit(packet, Via::Link(id));
        self.counters.tx_router_solicitation += 1;
    }

    fn neighbor_event(&mut self, event: neighbor::Event) {
        match event {
            neighbor::Event::AddressUsable { port, address, optimistic } => self.usable(port, address, optimistic),
            neighbor::Event::AddressDuplicate { port, address } => self.duplicate(port, address),
            neighbor::Event::NeighborUnreachable { port, address, .. }
            | neighbor::Event::NoLongerRouter { port, address } => {
                self.lose_router(port, address);
                self.choose_default_router();
            }
            neighbor::Event::DadDone { .. } | neighbor::Event::ProxyContested { .. } => {}
        }
    }
}

impl Machine for HostAutoconfiguration {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        self.handle_opened(now, meta, &open(packet));
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                Timer::Solicit(id) => self.solicit(now, id),
                Timer::Router(id, router) => {
                    self.lose_router(id, router);
                    self.choose_default_router();
                }
                Timer::OnLink(id, prefix) => self.off_link(id, prefix),
                Timer::Preferred(id, address) => self.deprecate(id, address),
                Timer::Valid(id, address) => self.remove_address(id, address),
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Notice(Notice::LinkUp(port)) => self.link_up(now, port),
            Command::Notice(Notice::LinkDown(port)) => self.link_down(port),
            Command::Notice(Notice::LinkAddress(port, address)) => {
                if let Some(port) = self.ports.get_mut(&port) {
                    port.config.link_address = address;
                }
            }
            Command::Notice(_) => {}
            Command::Solicit(port) => self.begin_soliciting(now, port),
            Command::Neighbor(event) => self.neighbor_event(event),
        }
    }

    fn poll_output(&mut self) -> Option<Output<Event>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }
}
