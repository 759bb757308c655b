//! A node: the machines of its roles, each from the part of the configuration that is its own, and the one function that
//! routes what one machine says to the machines that it concerns.
//!
//! ```text
//!   packet  ─┐                      ┌─► discovery ──────────────► terminal ──► MLD listener
//!   notice  ─┼─► handle_* ─► machine ┤     ▲  ▲                       │ └─────► (uplink, reception: table updates)
//!   timeout ─┤                      │     │  └── home agent          │
//!   command ─┘                      │     └────── home address ──────┘
//!                                   └─► PIM router with MLD querier ◄─► mesh of access routers, mobility agent, correspondent and its services
//! ```
//! Table updates and packets of all machines leave in the order in which they were made.

mod access_router;
mod association;
mod correspondent;
mod drain;
mod events;
mod explain;
mod home_agent;
mod kernel;
mod link_groups;
mod mesh;
mod mma;
mod mobile_terminal;
mod neighbors;
mod ports;
mod remarks;
mod report;
mod router;
mod run;
mod show;
mod snapshot;
mod unicast;
mod workers;

pub use drain::{Remaining, Service, remaining};
pub use explain::{Explanation, Finding, Standing};
pub use report::{Placement, WorkerReport};
pub use run::run;
pub use show::{keep_what_stays, show, show_query, stable_bindings};
pub use snapshot::{Counted, PortNames, Snapshot, descriptions};

use crate::admin::Question;
use crate::config::resolved::{HoldConfig, NodeConfig, RouteTarget};
use crate::state::{Changes, NodeState};
use ::ha::correspondent::{self as cn_machine, CorrespondentNode};
use ::ha::home_agent::{self as ha_machine, HomeAgent};
use ::ha::mobile::{self, MobileTerminal, Restored};
use ::mma::MobilityManagementAgent;
use ::mma::auth::{NtpTime, ReplayFloor, WallClock};
use ::mma::mesh::Mesh;
use ::mma::secret::SecretRng;
use core::net::Ipv6Addr;
use pim::RouteMetric;
use stack::addr::{self, MacAddress, Prefix};
use stack::host::services::ServiceHost;
use stack::machine::{Machine, Notice, Output, Outputs, PortId, RxMeta, Transmit};
use stack::mld_listener::{self, MldListener};
use stack::nd::neighbor;
use stack::nd::{Discovery, advertiser, discovery};
use stack::node::Node;
use stack::pipeline::{DataplaneConfig, Forwarding, Limits};
use stack::port::{Medium, PortInfo};
use stack::runtime::Worker;
use stack::tables::{PortSet, Route, TableUpdate};
use stack::time::{Duration, Instant};
use stack::wire::error::octet;
use stack::wire::ext::Chain;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::handover;
use std::collections::BTreeMap;
use unicast::Origin;

/// Weaker than any signal that a router is used with.
const NO_SIGNAL_DBM: i16 = -150;

/// What a node tells those who look at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeEvent {
    /// The mobile terminal.
    Terminal(mobile::Event),
    /// The PIM router.
    Pim(pim::Event),
    /// The mobility agent.
    Mma(::mma::Event),
    /// The mesh of access routers.
    Mesh(::mma::mesh::Event),
    /// The home agent.
    HomeAgent(ha_machine::Event),
    /// The correspondent node.
    Correspondent(cn_machine::Event),
}

/// A port as the machines know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodePort {
    /// Its number.
    pub id: PortId,
    /// Its name in the configuration.
    pub name: String,
    /// Its link-layer address; zero where there is none.
    pub link_address: MacAddress,
    /// The node's link-local address there.
    pub link_local: Ipv6Addr,
    /// What frames look like.
    pub medium: Medium,
    /// The largest IPv6 packet, in octets.
    pub mtu: usize,
    /// The largest that the configuration allows.
    pub mtu_limit: Option<u16>,
}

/// A node that cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The ports given are not those of the configuration.
    #[error("the configuration has {configured} ports, {opened} were opened")]
    Ports {
        /// In the configuration.
        configured: usize,
        /// Opened.
        opened: usize,
    },
    /// A key or index that authentication refuses.
    #[error("{role}: {error}")]
    Association {
        /// Whose table.
        role: &'static str,
        /// Why.
        error: String,
    },
    /// The mobility agent refuses its configuration.
    #[error("mma: {0}")]
    Mma(#[from] ::mma::ConfigError),
}

/// The last numbers used with preconfigured keys since somebody asked, one a key.
#[derive(Default)]
struct SequencesUsed {
    /// By home address and correspondent.
    mma: BTreeMap<(Ipv6Addr, Ipv6Addr), u16>,
    /// By home address.
    correspondent: BTreeMap<Ipv6Addr, u16>,
}

/// The machines of one node.
pub struct DroverNode {
    name: String,
    roles: Vec<&'static str>,
    ports: Vec<NodePort>,
    discovery: Discovery,
    listener: Option<MldListener>,
    /// Ports on which what the node listens to of the link is reported.
    reported_ports: PortSet,
    pim: Option<pim::Router>,
    mma: Option<MobilityManagementAgent>,
    mma_address: Option<Ipv6Addr>,
    mesh: Option<Mesh>,
    home_agent: Option<HomeAgent>,
    terminal: Option<MobileTerminal>,
    /// Whether the terminal has something to write down.
    terminal_persists: bool,
    correspondent: Option<CorrespondentNode>,
    services: Option<ServiceHost>,
    /// What has to be written down of preconfigured keys; `None` where nobody does.
    sequences_used: Option<SequencesUsed>,
    /// Routes of the node and of the kernel.
    unicast: unicast::Unicast,
    /// What is followed of the kernel, where something is.
    kernel: Option<kernel::KernelSide>,
    /// The addresses of each port that the configuration gives.
    configured_addresses: Vec<Vec<Ipv6Addr>>,
    /// Messages for a protocol that no machine of this node speaks.
    unclaimed: u64,
    outputs: Outputs<NodeEvent>,
}

impl DroverNode {
    /// The node of a configuration, whose ports are open and look like `ports`. Its timers and identifiers come from
    /// `seed`, its cookies, keys and nonces from `secrets`; `clock` is the time of day, for timestamps.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub fn new(
        config: &NodeConfig,
        ports: &[PortInfo],
        seed: u64,
        secrets: SecretRng,
        clock: WallClock,
    ) -> Result<Self, NodeError> {
        Self::assemble(config, ports, seed, secrets, clock, Restored::default())
    }

    /// The same with what an earlier run has kept; what changes is noted for [`DroverNode::take_changes`].
    ///
    /// # Errors
    /// See [`NodeError`].
    pub fn resume(
        config: &NodeConfig,
        ports: &[PortInfo],
        seed: u64,
        secrets: SecretRng,
        clock: WallClock,
        state: NodeState,
    ) -> Result<Self, NodeError> {
        let mut node = Self::assemble(config, ports, seed, secrets, clock, state.terminal)?;
        if let Some(mma) = &mut node.mma {
            mma.restore_replay_floors(state.mma);
            mma.note_replay_changes();
            for ((home_address, correspondent), sequence) in state.mma_keys {
                mma.restore_preconfigured_sequence(home_address, correspondent, sequence);
            }
        }
        if let Some(agent) = &mut node.home_agent {
            agent.restore_replay_floors(state.home_agent);
            agent.note_replay_changes();
        }
        if let Some(correspondent) = &mut node.correspondent {
            correspondent.restore_sequences(state.correspondent.iter().map(|&(home, floor)| (home, floor.sequence)));
        }
        node.sequences_used = Some(SequencesUsed::default());
        Ok(node)
    }

    fn assemble(
        config: &NodeConfig,
        ports: &[PortInfo],
        seed: u64,
        mut secrets: SecretRng,
        clock: WallClock,
        restored: Restored,
    ) -> Result<Self, NodeError> {
        if ports.len() != config.ports.len() {
            return Err(NodeError::Ports { configured: config.ports.len(), opened: ports.len() });
        }
        let ports: Vec<NodePort> = config
            .ports
            .iter()
            .zip(ports)
            .map(|(port, info)| NodePort {
                id: port.id,
                name: port.name.clone(),
                link_address: info.link_address,
                link_local: port.link_local.unwrap_or_else(|| match port.kernel {
                    Some(_) => kernel::shared_link_local(info.link_address),
                    None => link_local(info.link_address),
                }),
                medium: info.medium,
                mtu: port.mtu.map_or(info.mtu, usize::from).min(info.mtu),
                mtu_limit: port.mtu,
            })
            .collect();
        let mut seeds = stack::rng::Rng::new(seed);
        // Each machine has secrets of its own, whatever other roles the node has.
        let [mma_secrets, terminal_secrets, mut correspondent_secrets]: [SecretRng; 3] =
            core::array::from_fn(|_| secrets.fork());
        let terminal = config.mobile_terminal.as_ref();
        let reported_ports = link_groups::ports(config, &ports);
        let mut node = DroverNode {
            name: config.name.clone(),
            roles: config.roles(),
            discovery: Discovery::new(discovery::Config {
                neighbor: neighbors::config(config, &ports, seeds.next_u64()),
                advertiser: access_router::advertiser(config, &ports, seeds.next_u64()),
                host: mobile_terminal::host(terminal, &ports, seeds.next_u64()),
            }),
            listener: match terminal {
                Some(terminal) => Some(MldListener::new(mobile_terminal::listener(terminal, &ports, seeds.next_u64()))),
                None => Some(link_groups::listener(config, &ports, reported_ports, !seed)),
            },
            reported_ports,
            pim: router::config(config, &ports, seeds.next_u64()).map(pim::Router::new),
            mma: match &config.mma {
                Some(mma) => {
                    Some(MobilityManagementAgent::new(mma::config(mma, clock)?, seeds.next_u64(), mma_secrets))
                }
                None => None,
            },
            mma_address: config.mma.as_ref().map(|mma| mma.address),
            mesh: match config.access_router.as_ref().and_then(|access| access.mesh.as_ref()) {
                Some(mesh) => Some(Mesh::new(mesh::config(mesh, clock)?, seeds.next_u64() as u16)),
                None => None,
            },
            home_agent: match &config.home_agent {
                Some(agent) => {
                    Some(HomeAgent::new(home_agent::config(agent, config.addresses(), seeds.next_u64(), clock)?))
                }
                None => None,
            },
            terminal: match terminal {
                Some(terminal) => {
                    let config = mobile_terminal::config(terminal, clock)?;
                    Some(MobileTerminal::new(mobile::Config { restored, ..config }, terminal_secrets))
                }
                None => None,
            },
            terminal_persists: false,
            sequences_used: None,
            services: config
                .correspondent_node
                .as_ref()
                .and_then(|node| correspondent::services(node, correspondent_secrets.next_u64())),
            correspondent: match &config.correspondent_node {
                Some(node) => Some(CorrespondentNode::new(correspondent::config(node)?, correspondent_secrets)),
                None => None,
            },
            unicast: unicast::Unicast::default(),
            kernel: None,
            configured_addresses: config
                .ports
                .iter()
                .map(|port| port.addresses.iter().map(|own| own.address).collect())
                .collect(),
            unclaimed: 0,
            outputs: Outputs::new(),
            ports,
        };
        node.install_static(config);
        // Address configuration and the machines' first outputs happen at the origin of the clock: nothing in them
        // depends on the time.
        neighbors::install(config, &node.ports, &mut node.discovery);
        for (port, address) in node.home_agent.iter().flat_map(HomeAgent::anycast_addresses) {
            let command = neighbor::Command::AddAnycast { port, address };
            node.discovery.handle_command(Instant::ORIGIN, discovery::Command::Neighbor(command));
        }
        node.settle(Instant::ORIGIN);
        Ok(node)
    }

    /// What the data plane of this node is told at its start. Its tables have room for all that the machines may take.
    pub fn dataplane_config(config: &NodeConfig, seed: u64) -> DataplaneConfig {
        let default = Limits::default();
        let room = |entries: Option<usize>, least: u32| {
            least.max(entries.map_or(0, |entries| u32::try_from(entries).unwrap_or(u32::MAX)))
        };
        // Groups go to their only listener on some of these; a port has as many groups as the largest number of all.
        let access: &[_] = config.access_router.as_ref().map_or(&[], |access| &access.ports);
        let unicast_delivery: PortSet =
            access.iter().filter(|port| port.delivery == pim::Delivery::OnlyListener).map(|port| port.port).collect();
        let max_groups = access.iter().map(|port| port.mld.max_groups).max().unwrap_or(0);
        let hold = config.access_router.as_ref().map_or_else(HoldConfig::default, |access| access.hold);
        let limits = Limits {
            // Beside the kernel's, which are bounded by themselves.
            routes: default.routes + config.kernel.as_ref().map_or(0, |kernel| kernel.max_routes),
            deliveries: room(Some(max_groups * unicast_delivery.len()), 1),
            mroutes: room(config.router.as_ref().map(|router| router.max_entries), default.mroutes),
            mma_bindings: room(config.mma.as_ref().map(|mma| mma.max_bindings), default.mma_bindings),
            held_packets: hold.packets,
            held_packets_of_route: hold.packets_of_group,
            home_bindings: room(config.home_agent.as_ref().map(|agent| agent.max_bindings), default.home_bindings),
            // A home agent is asked for each home address at a group of that address (RFC 4861 §7.2.8).
            link_groups: config
                .home_agent
                .as_ref()
                .map_or(default.link_groups, |agent| agent.max_bindings.saturating_add(default.link_groups)),
            correspondent_bindings: room(
                config.correspondent_node.as_ref().map(|node| node.max_bindings),
                default.correspondent_bindings,
            ),
            ..default
        };
        let border = config.ports.iter().filter(|port| port.site_border).map(|port| port.id);
        DataplaneConfig {
            forwarding: if config.forwards() { Forwarding::Router } else { Forwarding::Host },
            host_ports: config.programs_port().map_or(PortSet::EMPTY, PortSet::single),
            site_border: border.collect(),
            unicast_delivery,
            transport: correspondent::transport(config),
            registers: config.router.is_some(),
            tunnel_dscp: config.tunnel_dscp,
            mss_clamp: config.mss_clamp,
            reorder_delay: config
                .mobile_terminal
                .as_ref()
                .map_or(DataplaneConfig::default().reorder_delay, |terminal| terminal.reorder_delay),
            hold_time: hold.time,
            limits,
            mtu_limits: config.ports.iter().map(|port| port.mtu).collect(),
            seed,
            ..DataplaneConfig::default()
        }
    }

    /// What has changed that outlasts a restart, since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let persists = core::mem::take(&mut self.terminal_persists);
        let used = self.sequences_used.as_mut().map(core::mem::take).unwrap_or_default();
        Changes {
            mma: self.mma.as_mut().map(MobilityManagementAgent::take_replay_changes).unwrap_or_default(),
            mma_keys: used.mma.into_iter().collect(),
            home_agent: self.home_agent.as_mut().map(HomeAgent::take_replay_changes).unwrap_or_default(),
            terminal: self.terminal.as_ref().filter(|_| persists).map(MobileTerminal::to_restore),
            correspondent: used
                .correspondent
                .into_iter()
                .map(|(home_address, sequence)| (home_address, Some(ReplayFloor { sequence, message_id: None })))
                .collect(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its roles.
    pub fn roles(&self) -> &[&'static str] {
        &self.roles
    }

    /// Its ports.
    pub fn ports(&self) -> &[NodePort] {
        &self.ports
    }

    /// The port with this name.
    pub fn port_named(&self, name: &str) -> Option<PortId> {
        self.ports.iter().find(|port| port.name == name).map(|port| port.id)
    }

    /// The mobile terminal, where the node is one.
    pub fn terminal(&self) -> Option<&MobileTerminal> {
        self.terminal.as_ref()
    }

    /// The mobility agent, where the node is one.
    pub fn mma(&self) -> Option<&MobilityManagementAgent> {
        self.mma.as_ref()
    }

    /// The home agent, where the node is one.
    pub fn home_agent(&self) -> Option<&HomeAgent> {
        self.home_agent.as_ref()
    }

    /// The correspondent node, where the node is one.
    pub fn correspondent(&self) -> Option<&CorrespondentNode> {
        self.correspondent.as_ref()
    }

    /// The services of a correspondent without programs of its own.
    pub fn services(&self) -> Option<&ServiceHost> {
        self.services.as_ref()
    }

    /// The PIM router, where the node is one.
    pub fn pim(&self) -> Option<&pim::Router> {
        self.pim.as_ref()
    }

    /// The mesh of access routers, where the node takes part in one.
    pub fn mesh(&self) -> Option<&Mesh> {
        self.mesh.as_ref()
    }

    /// The MLD listener.
    pub fn listener(&self) -> Option<&MldListener> {
        self.listener.as_ref()
    }

    /// A terminal's signal on a port, in dBm; `None` where there is none. Returns whether the node is a terminal.
    pub fn set_signal(&mut self, now: Instant, port: PortId, dbm: Option<i16>) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        terminal.handle_command(now, mobile::Command::Signal { port, dbm: dbm.unwrap_or(NO_SIGNAL_DBM) });
        self.settle(now);
        true
    }

    /// A terminal is about to go to the access router with this address, or with a link in whose prefix it is: the present
    /// one is told, so that packets wait there. Returns whether there is anybody to tell.
    pub fn hand_over(&mut self, now: Instant, router: Ipv6Addr) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        let is_told = terminal.announces_moves() && terminal.joined().next().is_some();
        terminal.handle_command(now, mobile::Command::GoesTo(router));
        self.settle(now);
        is_told
    }

    /// Leaves in order: trees are pruned, routers and agents say that they go.
    pub fn stop(&mut self, now: Instant) {
        if let Some(pim) = &mut self.pim {
            pim.handle_command(now, pim::Command::Stop);
        }
        let shutdown = discovery::Command::Advertiser(advertiser::Command::Shutdown);
        self.discovery.handle_command(now, shutdown);
        if let Some(mma) = &mut self.mma {
            mma.handle_command(now, ::mma::Command::Drain);
        }
        self.settle(now);
    }

    /// The port's packets may have `mtu` octets, or fewer where the configuration says so.
    fn take_mtu(&mut self, now: Instant, port: PortId, mtu: usize) {
        let Some(known) = self.ports.get_mut(usize::from(port.0)) else { return };
        known.mtu = known.mtu_limit.map_or(mtu, |limit| mtu.min(usize::from(limit)));
        let mtu = known.mtu;
        if let Some(pim) = &mut self.pim {
            pim.handle_command(now, pim::Command::Mtu { port, mtu });
        }
        if let Some(listener) = &mut self.listener {
            listener.handle_command(now, mld_listener::Command::Notice(Notice::Mtu(port, mtu)));
        }
    }

    fn install_static(&mut self, config: &NodeConfig) {
        for port in &config.ports {
            for address in &port.addresses {
                self.set_route(address.prefix, Route::OnLink(port.id), Origin::Connected, RouteMetric::default());
            }
            self.outputs.table(TableUpdate::IngressFilterSet(port.id, port.ingress_filter.clone()));
        }
        for &address in &config.loopback {
            self.set_route(Prefix::host(address), Route::Local, Origin::Node, RouteMetric::default());
        }
        for route in &config.routes {
            let action = match route.target {
                RouteTarget::Via { port, next_hop } => Route::Via { port, next_hop },
                RouteTarget::OnLink(port) => Route::OnLink(port),
                RouteTarget::Blackhole => Route::Blackhole,
                RouteTarget::Unreachable => Route::Unreachable,
            };
            self.set_route(route.prefix, action, Origin::Static, route.metric);
        }
        if let Some((prefix, route)) = correspondent::route(config) {
            self.set_route(prefix, route, Origin::Node, RouteMetric::default());
        }
    }

    fn set_route(&mut self, prefix: Prefix, route: Route, origin: Origin, metric: RouteMetric) {
        self.set_own_route(Instant::ORIGIN, prefix, route, origin, metric);
    }

    /// Routes every machine's answers until none has any left.
    fn settle(&mut self, now: Instant) {
        loop {
            let mut quiet = true;
            macro_rules! drain {
                ($machine:ident, $handler:ident) => {
                    while let Some(output) = self.$machine.as_mut().and_then(|machine| machine.poll_output()) {
                        quiet = false;
                        match output {
                            Output::Transmit(Transmit { packet, via }) => self.outputs.transmit(packet, via),
                            Output::Table(update) => self.table(now, update),
                            Output::Event(event) => self.$handler(now, event),
                        }
                    }
                };
            }
            while let Some(output) = self.discovery.poll_output() {
                quiet = false;
                match output {
                    Output::Transmit(Transmit { packet, via }) => self.outputs.transmit(packet, via),
                    Output::Table(update) => self.table(now, update),
                    Output::Event(discovery::Event::Neighbor(event)) => self.on_neighbors_event(now, event),
                    Output::Event(discovery::Event::Host(event)) => self.on_host_event(now, event),
                }
            }
            drain!(terminal, on_terminal_event);
            drain!(listener, on_listener_event);
            drain!(pim, on_pim_event);
            drain!(mesh, on_mesh_event);
            drain!(mma, on_mma_event);
            drain!(home_agent, on_home_agent_event);
            drain!(correspondent, on_correspondent_event);
            drain!(services, on_services_event);
            if quiet {
                return;
            }
        }
    }

    /// A table update leaves; the multicast side looks its sources up by the same routes, and groups of a link are reported
    /// there.
    fn table(&mut self, now: Instant, update: TableUpdate) {
        match update {
            TableUpdate::RouteSet(prefix, route) => {
                return self.set_own_route(now, prefix, route, Origin::Node, RouteMetric::default());
            }
            TableUpdate::RouteRemove(prefix) => return self.remove_own_route(now, prefix),
            _ => {}
        }
        if let (Some(listener), Some(command)) =
            (&mut self.listener, link_groups::command(&update, self.reported_ports))
        {
            listener.handle_command(now, command);
        }
        self.outputs.table(update);
    }

    /// Whether a packet is one of a binding of the mobility agent.
    fn is_for_binding(&self, meta: &RxMeta, destination: Ipv6Addr) -> bool {
        self.mma.as_ref().is_some_and(|mma| mma.is_for_binding(meta, destination))
    }

    /// Whether a Mobility Header at this octet is one of another access router.
    fn is_for_mesh(&self, destination: Ipv6Addr, packet: &[u8], at: usize) -> bool {
        self.mesh.as_ref().is_some_and(|mesh| mesh.address() == destination)
            && handover::is_handover(packet.get(at..).unwrap_or_default())
    }

    fn claim(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) -> bool {
        let Ok(chain) = Chain::parse(packet) else { return false };
        let Ok(destination) = stack::wire::error::address_at(packet, 24) else { return false };
        let mut claimed = false;
        macro_rules! give {
            ($machine:ident) => {
                if let Some(machine) = &mut self.$machine {
                    machine.handle_packet(now, meta, packet);
                    claimed = true;
                }
            };
        }
        if self.correspondent.as_ref().is_some_and(|node| node.address() == destination) {
            let is_error = chain.upper == protocol::ICMPV6 && matches!(octet(packet, chain.upper_offset), Ok(0..=127));
            if chain.upper == protocol::MOBILITY || chain.home_address.is_some() || is_error {
                give!(correspondent);
                return claimed;
            }
            if matches!(chain.upper, protocol::TCP | protocol::UDP) {
                give!(services);
                return claimed;
            }
        }
        match chain.upper {
            protocol::PIM => give!(pim),
            protocol::MOBILITY if self.is_for_mesh(destination, packet, chain.upper_offset) => give!(mesh),
            protocol::MOBILITY if self.mma_address == Some(destination) || self.is_for_binding(meta, destination) => {
                give!(mma);
            }
            protocol::MOBILITY if self.home_agent.is_some() => give!(home_agent),
            protocol::MOBILITY => give!(terminal),
            protocol::ICMPV6 => match octet(packet, chain.upper_offset) {
                Ok(0..=127) if self.is_for_binding(meta, destination) => give!(mma),
                // Nothing here but the terminal has sent what an error can be about.
                Ok(0..=127) if self.terminal.is_none() => claimed = true,
                Ok(0..=127) => give!(terminal),
                Ok(130..=132 | 143) => {
                    give!(pim);
                    give!(listener);
                }
                Ok(kind @ 133..=137) => {
                    self.discovery.handle_packet(now, meta, packet);
                    if let Some(agent) = self.home_agent.as_mut().filter(|_| ha_machine::wants(kind)) {
                        agent.handle_packet(now, meta, packet);
                    }
                    claimed = true;
                }
                Ok(kind) if ha_machine::wants(kind) => give!(home_agent),
                Ok(kind) if mobile::wants(kind) => give!(terminal),
                _ => {}
            },
            _ => {}
        }
        claimed
    }
}

impl Node for DroverNode {
    type Event = NodeEvent;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        if !self.claim(now, meta, packet) {
            self.unclaimed += 1;
        }
        self.settle(now);
    }

    fn handle_notice(&mut self, now: Instant, notice: Notice) {
        self.discovery.handle_command(now, discovery::Command::Notice(notice));
        match notice {
            Notice::LinkUp(port) => {
                if let Some(listener) = self.listener.as_mut().filter(|_| self.reported_ports.contains(port)) {
                    listener.handle_command(now, mld_listener::Command::Notice(notice));
                }
                if let Some(pim) = &mut self.pim {
                    pim.handle_command(now, pim::Command::LinkUp(port));
                }
                if let Some(terminal) = &mut self.terminal {
                    terminal.handle_command(now, mobile::Command::LinkUp(port));
                }
            }
            Notice::LinkDown(port) => {
                if let Some(pim) = &mut self.pim {
                    pim.handle_command(now, pim::Command::LinkDown(port));
                }
                if let Some(listener) = &mut self.listener {
                    // A terminal forms its addresses anew when the link is back; those of others stay.
                    listener.handle_command(
                        now,
                        match self.reported_ports.contains(port) {
                            true => mld_listener::Command::Notice(notice),
                            false => mld_listener::Command::ClearSource(port),
                        },
                    );
                }
                if let Some(terminal) = &mut self.terminal {
                    terminal.handle_command(now, mobile::Command::LinkDown(port));
                }
            }
            Notice::GroupData { port, group } => {
                if let Some(listener) = &mut self.listener {
                    listener.handle_command(now, mld_listener::Command::Confirm { port, group });
                }
                if let Some(terminal) = &mut self.terminal {
                    terminal.handle_command(now, mobile::Command::GroupData { port, group });
                }
            }
            Notice::CorrespondentBindingUsed { home_address } => {
                if let Some(correspondent) = &mut self.correspondent {
                    correspondent.handle_command(now, cn_machine::Command::Used { home_address });
                }
            }
            Notice::LinkAddress(port, address) => {
                if let Some(port) = self.ports.get_mut(usize::from(port.0)) {
                    port.link_address = address;
                }
            }
            Notice::Mtu(port, mtu) => self.take_mtu(now, port, mtu),
            Notice::Correspondent { home_address, correspondent, way } => {
                if let Some(terminal) = self.terminal.as_mut().filter(|known| known.home_address() == home_address) {
                    terminal.handle_command(now, mobile::Command::Correspondent { correspondent, way });
                } else if let Some(mma) = &mut self.mma {
                    let seen = ::mma::Command::Correspondent { home_address, correspondent, way };
                    mma.handle_command(now, seen);
                }
            }
            Notice::MulticastMiss { port, source, group }
            | Notice::MulticastWrongPort { port, source, group }
            | Notice::MulticastSeen { port, source, group } => {
                if let Some(pim) = &mut self.pim {
                    pim.handle_command(now, pim::Command::Data { port, source, group });
                }
            }
            Notice::Register { from, to, key } => {
                if let Some(pim) = &mut self.pim {
                    pim.handle_command(now, pim::Command::Register { from, to, key });
                }
            }
            Notice::NeighborMissing { .. } | Notice::NeighborUsed { .. } => {}
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.discovery.handle_timeout(now);
        macro_rules! tick {
            ($($machine:ident),*) => {
                $(if let Some(machine) = &mut self.$machine { machine.handle_timeout(now); })*
            };
        }
        tick!(terminal, listener, pim, mesh, mma, home_agent, correspondent, services);
        self.settle(now);
    }

    fn poll_output(&mut self) -> Option<Output<NodeEvent>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let of = |timeout: Option<Option<Instant>>| timeout.flatten();
        [
            self.discovery.poll_timeout(),
            of(self.terminal.as_ref().map(Machine::poll_timeout)),
            of(self.listener.as_ref().map(Machine::poll_timeout)),
            of(self.pim.as_ref().map(Machine::poll_timeout)),
            of(self.mesh.as_ref().map(Machine::poll_timeout)),
            of(self.mma.as_ref().map(Machine::poll_timeout)),
            of(self.home_agent.as_ref().map(Machine::poll_timeout)),
            of(self.correspondent.as_ref().map(Machine::poll_timeout)),
            of(self.services.as_ref().map(Machine::poll_timeout)),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// Explains what becomes of the packets of a group, or of a terminal, on a node at this time whose first worker is this one.
///
/// # Errors
/// Why the node has nothing to say.
pub fn explain(worker: &Worker<DroverNode>, now: Instant, mut question: Question) -> Result<Explanation, String> {
    if let Some(query) = question.to_find_sources() {
        question.learn_sources(&show_query(worker, now, query));
    }
    explain::explain(worker, now, &question)
}

/// A time of day for runs that have none: the same in every one of them.
pub fn fixed_clock() -> WallClock {
    WallClock { at: Instant::ORIGIN, reads: NtpTime::from_unix(Duration::from_secs(1 << 30)) }
}

fn link_local(link_address: MacAddress) -> Ipv6Addr {
    addr::with_interface_identifier(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), link_address.interface_identifier())
}
