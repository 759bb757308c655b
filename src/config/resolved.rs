//! The configuration of one node in types that cannot be invalid: what [`super::load`] returns.
//!
//! Every port that a role names exists and is a [`PortId`], every number is within its bounds, every time is a
//! [`Duration`]. The raw text form is in [`super::raw`], the way from one to the other in [`super::resolve`].

use crate::kernel::KernelConfig;
use core::fmt;
use core::net::{Ipv6Addr, SocketAddr};
use core::time::Duration;
use pim::{RouteMetric, SptSwitchover};
use stack::addr::{Eui64, GroupLayout, Prefix};
use stack::host::services::Service;
use stack::machine::PortId;
use stack::pipeline::{DataplaneConfig, Limits, MssClamp, TunnelDscp};
use stack::port::KernelRule;
use stack::tables::{HomeAddressPolicy, IngressFilter};
use std::path::PathBuf;

/// One node: its workers, its ports, its static routes and its roles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// Name of the node, for people.
    pub name: String,
    /// The worker loops.
    pub workers: WorkersConfig,
    /// Seed of all randomness; drawn from the kernel at the start where it is absent.
    pub seed: Option<u64>,
    /// Frames in each worker's pool.
    pub frames: u32,
    /// The DSCP of outer headers.
    pub tunnel_dscp: TunnelDscp,
    /// The segment size of TCP connections through tunnels.
    pub mss_clamp: MssClamp,
    /// The ports; index `n` is `PortId(n)`.
    pub ports: Vec<PortConfig>,
    /// Static routes.
    pub routes: Vec<StaticRoute>,
    /// The kernel's routes, where they are followed.
    pub kernel: Option<KernelConfig>,
    /// Addresses of the node that belong to no port.
    pub loopback: Vec<Ipv6Addr>,
    /// Where what outlasts a restart is kept ([`crate::state`]); nowhere if absent.
    pub state_dir: Option<PathBuf>,
    /// The Unix socket of the admin API, where one is wanted.
    pub admin_socket: Option<PathBuf>,
    /// Where metrics are served by HTTP, where they are.
    pub metrics: Option<SocketAddr>,
    /// PIM router.
    pub router: Option<RouterConfig>,
    /// Access router: router advertisements and MLD querier on terminals' links.
    pub access_router: Option<AccessRouterConfig>,
    /// Mobility Management Agent.
    pub mma: Option<MmaConfig>,
    /// Home agent.
    pub home_agent: Option<HomeAgentConfig>,
    /// Mobile terminal.
    pub mobile_terminal: Option<MobileTerminalConfig>,
    /// Correspondent node.
    pub correspondent_node: Option<CorrespondentNodeConfig>,
}

impl NodeConfig {
    /// Whether the kernel's addresses, and perhaps its routes, are followed.
    pub fn follows_kernel(&self) -> bool {
        self.kernel.is_some() || self.ports.iter().any(|port| port.kernel.is_some())
    }

    /// The roles that this node has, by the names of their tables.
    pub fn roles(&self) -> Vec<&'static str> {
        let mut roles = Vec::new();
        if self.mma.is_some() {
            roles.push("mma");
        }
        if self.home_agent.is_some() {
            roles.push("home-agent");
        }
        if self.access_router.is_some() {
            roles.push("access-router");
        }
        if self.router.is_some() {
            roles.push("router");
        }
        if self.mobile_terminal.is_some() {
            roles.push("mobile-terminal");
        }
        if self.correspondent_node.is_some() {
            roles.push("correspondent-node");
        }
        roles
    }

    /// Whether a role of the node knows what has to be known after a restart: which messages are old.
    pub fn has_memory(&self) -> bool {
        self.mma.is_some() || self.home_agent.is_some() || self.mobile_terminal.is_some()
    }

    /// The port with this name.
    pub fn port_named(&self, name: &str) -> Option<&PortConfig> {
        self.ports.iter().find(|port| port.name == name)
    }

    /// The port with this number.
    pub fn port(&self, id: PortId) -> &PortConfig {
        &self.ports[usize::from(id.0)]
    }

    /// Whether the node forwards packets for others: every role but a terminal, or a correspondent that is nothing else,
    /// and a node without a role.
    pub fn forwards(&self) -> bool {
        self.mobile_terminal.is_none() && self.roles() != ["correspondent-node"]
    }

    /// The TUN port where programs of this host are a terminal's, or a correspondent's.
    pub fn programs_port(&self) -> Option<PortId> {
        let terminal = self.mobile_terminal.as_ref().and_then(|terminal| terminal.tun);
        terminal.or_else(|| match self.correspondent_node.as_ref()?.programs {
            Programs::Tun(port) => Some(port),
            Programs::Services(_) => None,
        })
    }

    /// The address that programs behind [`NodeConfig::programs_port`] use.
    pub fn programs_address(&self) -> Option<Ipv6Addr> {
        self.programs_port()?;
        let terminal = self.mobile_terminal.as_ref().map(|terminal| terminal.home_address);
        terminal.or_else(|| self.correspondent_node.as_ref().map(|node| node.address))
    }

    /// Every address of the node that the configuration gives: those of ports and the loopback ones, in order.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.ports.iter().flat_map(|port| port.addresses.iter().map(|a| a.address)).chain(self.loopback.iter().copied())
    }
}

/// The worker loops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkersConfig {
    /// How many, 1 at the least.
    pub count: usize,
    /// The core that each is pinned to, the first worker's first; empty where they run anywhere.
    pub cpus: Vec<usize>,
    /// What they do while no frame waits.
    pub poll: PollMode,
}

/// What a worker does while no frame waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PollMode {
    /// Spins.
    Busy,
    /// Spins briefly, then sleeps until a frame or a timer.
    #[default]
    Adaptive,
}

/// A port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortConfig {
    /// Its number.
    pub id: PortId,
    /// Its name in this file.
    pub name: String,
    /// What it is attached to.
    pub attachment: Attachment,
    /// Addresses with the prefixes of their link.
    pub addresses: Vec<InterfaceAddress>,
    /// The largest IPv6 packet, in octets; the interface's own where it is absent.
    pub mtu: Option<u16>,
    /// Link-local address in place of the one made from the link-layer address.
    pub link_local: Option<Ipv6Addr>,
    /// Whether multicast of site scope and below stays on this side, and PIM and MLD are not spoken.
    pub site_border: bool,
    /// Whether the link has one other end, so that no third router has to be thought of (RFC 7761 §4.3.3, §4.5.2).
    pub point_to_point: bool,
    /// Sources that are accepted.
    pub ingress_filter: IngressFilter,
    /// What is the kernel's beside what goes to its addresses, where it shares the port.
    pub kernel: Option<Vec<KernelRule>>,
}

/// What a port is attached to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// A network interface through AF_XDP.
    AfXdp {
        /// Its name.
        interface: String,
        /// How long calls poll the device where they may wait, in µs; 0 where they do not poll it.
        busy_poll_us: u32,
    },
    /// A network interface through a packet socket.
    AfPacket {
        /// Its name.
        interface: String,
    },
    /// A TUN device that is made for this port: kernel programs of this host stand behind it.
    Tun {
        /// Its name.
        interface: String,
    },
    /// A link of a lab file.
    Link {
        /// Name of the link in the lab file.
        link: String,
    },
}

impl Attachment {
    /// The kind as the configuration says it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Attachment::AfXdp { .. } => "af_xdp",
            Attachment::AfPacket { .. } => "af_packet",
            Attachment::Tun { .. } => "tun",
            Attachment::Link { .. } => "link",
        }
    }

    /// The name of the interface or link.
    pub fn name(&self) -> &str {
        match self {
            Attachment::AfXdp { interface, .. }
            | Attachment::AfPacket { interface }
            | Attachment::Tun { interface } => interface,
            Attachment::Link { link } => link,
        }
    }
}

/// An address and the prefix of its link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterfaceAddress {
    /// The address: unicast, not link-local.
    pub address: Ipv6Addr,
    /// The prefix.
    pub prefix: Prefix,
}

/// A static route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StaticRoute {
    /// Destinations.
    pub prefix: Prefix,
    /// Where they go.
    pub target: RouteTarget,
    /// What it is worth where routers of a link compare theirs (RFC 7761 §4.6.3).
    pub metric: RouteMetric,
}

/// Where a static route leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteTarget {
    /// To this router on this link.
    Via {
        /// The link.
        port: PortId,
        /// The router.
        next_hop: Ipv6Addr,
    },
    /// The destinations are on this link, or behind this TUN device.
    OnLink(PortId),
    /// Dropped and counted.
    Blackhole,
    /// Answered with Destination Unreachable.
    Unreachable,
}

/// `[router]`: PIM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterConfig {
    /// Prefixes of source-specific groups beside `ff3x::/32` (RFC 4607 §1).
    pub ssm_ranges: Vec<Prefix>,
    /// Groups of terminals: their state is set up and torn down at once.
    pub mobility_range: Prefix,
    /// Time between periodic Joins (RFC 7761 §4.11: 60 s).
    pub join_prune_period: Duration,
    /// Time after which a designated router asks about its Registers again, on the average (RFC 7761 §4.11: 60 s).
    pub register_suppression_time: Duration,
    /// (S,G) entries at the most; further Joins are refused and counted.
    pub max_entries: usize,
    /// Those of them that a packet or a Register message made, at the most.
    pub max_sources: usize,
    /// Whose sources get a tree of their own (RFC 7761 §4.2.1, §4.4.2).
    pub spt_switchover: SptSwitchover,
    /// Rendezvous points beside those that groups name.
    pub rendezvous_points: pim::RpConfig,
    /// The ports where PIM is spoken or state is kept, in the order of ports.
    pub ports: Vec<PimPort>,
}

/// PIM on one port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PimPort {
    /// The port.
    pub port: PortId,
    /// Whether the port only forwards to members and speaks no PIM.
    pub passive: bool,
    /// Priority in the election of the designated router (RFC 7761 §4.9.2); 1 by default.
    pub dr_priority: u32,
    /// Time between Hellos (30 s by default); their holdtime is 3.5 times as long.
    pub hello_period: Duration,
    /// First Hello at once where the link comes up, in place of a random delay of up to 5 s.
    pub hello_at_once: bool,
    /// Expected delay of the link (RFC 7761 §4.3.3: 500 ms).
    pub propagation_delay: Duration,
    /// Interval over which overriding Joins are spread (RFC 7761 §4.3.3: 2.5 s).
    pub override_interval: Duration,
    /// Whose Hellos are heard; `None` is every router's.
    pub neighbors: Option<Vec<Prefix>>,
    /// Groups that other routers may join here; `None` is all.
    pub joins: Option<Vec<Prefix>>,
    /// Groups that do not pass the port.
    pub boundary: Vec<Prefix>,
    /// Which Bootstrap messages neither come in nor go out here (RFC 5059 §3.4, §6.3).
    pub bsr_boundary: pim::BsrBoundary,
}

/// `[access_router]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessRouterConfig {
    /// The terminals' links, in the order of ports.
    pub ports: Vec<AccessPort>,
    /// How packets of terminals that are expected are kept.
    pub hold: HoldConfig,
    /// What other access routers are told of terminals that move; `None` is nothing.
    pub mesh: Option<MeshConfig>,
}

/// `[access_router.hold]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldConfig {
    /// How long a packet is kept at the most.
    pub time: Duration,
    /// Packets of all groups together, and no more than an eighth of the node's frames.
    pub packets: usize,
    /// Packets of one group.
    pub packets_of_group: usize,
}

impl Default for HoldConfig {
    fn default() -> Self {
        let (config, limits) = (DataplaneConfig::default(), Limits::default());
        HoldConfig {
            time: config.hold_time,
            packets: limits.held_packets,
            packets_of_group: limits.held_packets_of_route,
        }
    }
}

/// `[access_router.mesh]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeshConfig {
    /// The address of this node by which the others know it.
    pub address: Ipv6Addr,
    /// The key of the mesh.
    pub key: SecurityAssociationConfig,
    /// How long a terminal that is about to come is waited for.
    pub pre_join: Duration,
    /// Groups that are joined for terminals to come, at once.
    pub max_pre_joins: usize,
    /// Those of one peer.
    pub max_pre_joins_per_peer: usize,
    /// The other routers, 1 at the least.
    pub peers: Vec<MeshPeer>,
}

/// Another access router of the mesh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeshPeer {
    /// Its address.
    pub address: Ipv6Addr,
    /// The prefixes of its terminals' links.
    pub prefixes: Vec<Prefix>,
}

/// One link of terminals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessPort {
    /// The port.
    pub port: PortId,
    /// What is advertised.
    pub advertisement: RouterAdvertisementConfig,
    /// The MLD querier.
    pub mld: MldConfig,
    /// To which link-layer address terminals' groups go.
    pub delivery: pim::Delivery,
}

/// Router advertisements of one port (RFC 4861 §6.2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterAdvertisementConfig {
    /// MinRtrAdvInterval. RFC 6275 §7.5 allows 30 ms.
    pub min_interval: Duration,
    /// MaxRtrAdvInterval. RFC 6275 §7.5 allows 70 ms.
    pub max_interval: Duration,
    /// Whether a solicitation is answered at once and to its sender alone, without the random delay.
    pub fast_solicited: bool,
    /// AdvDefaultLifetime; zero where this router is no default router.
    pub router_lifetime: Duration,
    /// AdvCurHopLimit.
    pub hop_limit: u8,
    /// AdvLinkMTU, where it is advertised.
    pub link_mtu: Option<u16>,
    /// AdvReachableTime; zero is unspecified.
    pub reachable_time: Duration,
    /// AdvRetransTimer; zero is unspecified.
    pub retransmit_timer: Duration,
    /// Whether the Advertisement Interval option is sent (RFC 6275 §7.3).
    pub interval_option: bool,
    /// AdvPrefixList.
    pub prefixes: Vec<AdvertisedPrefix>,
    /// The mobility agents that serve here (MAP option, RFC 5380 §5).
    pub maps: Vec<AdvertisedMap>,
    /// Home Agent Information option (RFC 6275 §7.4), with which the H bit is sent.
    pub home_agent: Option<AdvertisedHomeAgent>,
}

/// A prefix in router advertisements (RFC 4861 §4.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdvertisedPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// L bit.
    pub on_link: bool,
    /// A bit.
    pub autonomous: bool,
    /// R bit (RFC 6275 §7.2): the router's whole address stands in the prefix field.
    pub router_address: Option<Ipv6Addr>,
    /// AdvValidLifetime.
    pub valid_lifetime: Duration,
    /// AdvPreferredLifetime.
    pub preferred_lifetime: Duration,
}

/// A mobility agent in router advertisements (RFC 5380 §5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdvertisedMap {
    /// Its address.
    pub address: Ipv6Addr,
    /// Dist, 1 to 15.
    pub distance: u8,
    /// Pref, 0 to 15; 0 is not to be used.
    pub preference: u8,
    /// Valid lifetime.
    pub lifetime: Duration,
}

/// What a home agent says about itself (RFC 6275 §7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdvertisedHomeAgent {
    /// Preference among home agents, never negative; larger is better.
    pub preference: i16,
    /// How long it serves.
    pub lifetime: Duration,
}

/// The MLD querier of one port (RFC 3810 §9).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MldConfig {
    /// The version that it asks in.
    pub version: pim::mld::Version,
    /// Robustness Variable.
    pub robustness: u8,
    /// Query Interval.
    pub query_interval: Duration,
    /// Query Response Interval.
    pub query_response_interval: Duration,
    /// Last Listener Query Interval.
    pub last_listener_query_interval: Duration,
    /// Last Listener Query Count; the Robustness Variable where absent.
    pub last_listener_query_count: Option<u8>,
    /// Groups with a single listener by construction: a leave is believed at once.
    pub immediate_leave: Vec<Prefix>,
    /// Timers of these groups, which are asked for one by one.
    pub mobility: pim::MobilityMld,
    /// Group records kept at the most.
    pub max_groups: usize,
    /// Sources kept at the most for a group.
    pub max_sources: usize,
    /// Groups kept at the most for a host.
    pub max_groups_per_host: usize,
    /// Sources kept at the most for a host, in all its groups.
    pub max_sources_per_host: usize,
}

/// A shared key between two mobility nodes (RFC 4285).
#[derive(Clone, PartialEq, Eq)]
pub struct SecurityAssociationConfig {
    /// Mobility SPI, above 255.
    pub spi: u32,
    /// The algorithm.
    pub algorithm: AuthAlgorithm,
    /// The key.
    pub key: Vec<u8>,
    /// What stops a replay.
    pub replay: ReplayProtection,
}

impl fmt::Debug for SecurityAssociationConfig {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityAssociationConfig")
            .field("spi", &self.spi)
            .field("algorithm", &self.algorithm)
            .field("replay", &self.replay)
            .finish_non_exhaustive()
    }
}

/// How messages are authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AuthAlgorithm {
    /// HMAC-SHA-1, 96 bits on the wire (RFC 4285 §5.1).
    #[default]
    HmacSha1,
    /// HMAC-SHA-256, 128 bits on the wire; agreed between the two ends by configuration.
    HmacSha256,
}

/// What stops a replay beside the sequence number of Binding Updates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplayProtection {
    /// Nothing: the sequence number alone (RFC 6275 §9.5.1).
    #[default]
    Sequence,
    /// Timestamps in the Message Identifier option (RFC 4285 §6), which need a clock on both ends.
    Timestamp,
}

/// A terminal that an agent serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServedTerminal {
    /// Its home address.
    pub home_address: Ipv6Addr,
    /// The key shared with it.
    pub association: SecurityAssociationConfig,
    /// The identifier that its group must carry, where it is pinned.
    pub eui64: Option<Eui64>,
    /// Whether a home agent refuses it all the same.
    pub denied: bool,
}

/// `[mma]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MmaConfig {
    /// The agent's address S: destination of Binding Updates, source of the packets to groups; a loopback address.
    pub address: Ipv6Addr,
    /// How care-of addresses are given out.
    pub care_of: CareOfMode,
    /// How groups are made.
    pub group_layout: GroupLayout,
    /// The site's access prefixes: temporary addresses are in one of them.
    pub access_prefixes: Vec<Prefix>,
    /// Whose home agent may tunnel to this agent; the longest prefix decides. Never empty.
    pub home_agents: Vec<mma::HomeAgent>,
    /// The terminals that it serves.
    pub terminals: Vec<ServedTerminal>,
    /// The key of the site, from which the keys of terminals are derived that send an identifier and are not listed.
    pub site_key: Option<SecurityAssociationConfig>,
    /// Whether terminals get GRE keys and sequence numbers (RFC 5845).
    pub gre: mma::GrePolicy,
    /// Care-of prefixes of agents of other sites: where packets of terminals that have moved on may be forwarded to, and
    /// from where forwarded ones are taken.
    pub peers: Vec<Prefix>,
    /// For how long packets are forwarded at the most.
    pub max_forward: Duration,
    /// Whether what another agent has forwarded may be forwarded once more.
    pub forward_chain: bool,
    /// Whether it also serves terminals without a group (RFC 5380 §6.2).
    pub anchor: mma::Anchor,
    /// Who tells correspondents the care-of addresses of its terminals.
    pub route_optimisation: AgentOptimisation,
    /// The only correspondents with which that is done; all where there are none.
    pub route_optimisation_with: Vec<Prefix>,
    /// Correspondents that terminals share a key with (RFC 4449), and the keys; no two keys are the same.
    pub preconfigured_keys: Vec<(Ipv6Addr, PreconfiguredKeyConfig)>,
    /// Longest lifetime of a binding.
    pub max_lifetime: Duration,
    /// How long a released care-of address is not given out again.
    pub quarantine: Duration,
    /// Bindings at the most; further registrations get status 130.
    pub max_bindings: usize,
}

/// Whether a mobility agent does route optimisation in the name of its terminals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AgentOptimisation {
    /// It does not.
    Off,
    /// It does, for all of them.
    #[default]
    Mma,
}

/// How the mobility agent gives out care-of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CareOfMode {
    /// One address a terminal out of this /64, chosen by the agent.
    Assigned(Prefix),
    /// This /64 and the terminal's interface identifier.
    Stateless(Prefix),
    /// One address for all terminals.
    Shared(Ipv6Addr),
}

/// `[home_agent]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HomeAgentConfig {
    /// The home link.
    pub port: PortId,
    /// The home prefix.
    pub prefix: Prefix,
    /// The agent's address, in the home prefix, one of the port's own.
    pub address: Ipv6Addr,
    /// Duplicate address detection for a terminal that leaves its home link.
    pub dad: HomeDad,
    /// The terminals that it serves; their home addresses are in the home prefix.
    pub terminals: Vec<ServedTerminal>,
    /// Longest lifetime of a binding.
    pub max_lifetime: Duration,
    /// How long the entry of a terminal that de-registered is kept to refuse replays (MAX_DELETE_BCE_TIMEOUT, 10 s).
    pub deregistration_hold: Duration,
    /// How long reverse tunnels from the care-of address before the present one are left; zero: not at all.
    pub former_care_of: Duration,
    /// Bindings at the most; further registrations get status 130.
    pub max_bindings: usize,
    /// Prefixes of the care-of addresses that terminals may have; empty: any.
    pub care_of_prefixes: Vec<Prefix>,
    /// Whether terminals away from home are told the home prefixes (RFC 6275 §10.6).
    pub prefix_advertisements: bool,
    /// Router advertisements on the home link.
    pub advertisement: RouterAdvertisementConfig,
}

/// Duplicate address detection of home addresses by the home agent (RFC 6275 §10.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HomeDad {
    /// The acknowledgement waits for it, about a second.
    Strict,
    /// The acknowledgement leaves at once; a duplicate found later revokes the binding.
    #[default]
    Optimistic,
    /// Not done: nobody but the terminals uses the prefix.
    Off,
}

/// `[mobile_terminal]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MobileTerminalConfig {
    /// The home address.
    pub home_address: Ipv6Addr,
    /// The prefix of the home link.
    pub home_prefix: Prefix,
    /// The home agent; `None`: the terminal finds one.
    pub home_agent: Option<Ipv6Addr>,
    /// The key shared with the home agent, whichever it is.
    pub home_agent_association: SecurityAssociationConfig,
    /// The key shared with the mobility agents.
    pub mma_association: SecurityAssociationConfig,
    /// The identifier of the terminal in its group.
    pub eui64: Eui64,
    /// How the group is made.
    pub group_layout: GroupLayout,
    /// The radio ports.
    pub radios: Vec<RadioConfig>,
    /// The TUN port where kernel programs use the home address.
    pub tun: Option<PortId>,
    /// What mobility agents are used for.
    pub mode: TerminalMode,
    /// Who tells correspondents the care-of address.
    pub route_optimisation: TerminalOptimisation,
    /// The only correspondents with which that is done; all where there are none.
    pub route_optimisation_with: Vec<Prefix>,
    /// How packets leave while away from home.
    pub uplink: UplinkMode,
    /// Correspondents that take the Home Address option: reached directly where `uplink` is `auto`.
    pub direct_correspondents: Vec<Ipv6Addr>,
    /// Whether GRE keys and sequence numbers are asked for, so that packets through two links are delivered once.
    pub gre: bool,
    /// How long a packet that came ahead of others is kept for them, where numbers were agreed.
    pub reorder_delay: Duration,
    /// Lifetime that is asked for.
    pub lifetime: Duration,
    /// How long the agent of a site that was left is asked to forward; zero: not at all.
    pub forward: Duration,
    /// How much better the average signal of another router has to be, in dB.
    pub hysteresis_db: u8,
    /// Weight of a new measurement in the average, in percent, 1 to 100.
    pub signal_weight_percent: u8,
    /// After this time a measurement that was not followed by another counts as measured again.
    pub signal_period: Duration,
    /// How long a router is kept against a better one. A lost link or router does not wait.
    pub minimum_dwell: Duration,
    /// Signal below which a router is not used, in dBm.
    pub minimum_signal_dbm: i16,
    /// How long the first packet through the new link is waited for before the uplink changes, in a move that makes
    /// before it breaks.
    pub overlap: Duration,
    /// How long the old link is kept after the new one carries everything, for what is still on its way.
    pub leave_delay: Duration,
    /// Delays of the repeated MLD reports after a join.
    pub report_repeats: Vec<Duration>,
    /// Whether reports name the access router that the terminal has come from, or is about to go to (RFC 9279).
    pub report_moves: bool,
}

/// A radio port of a terminal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RadioConfig {
    /// The port.
    pub port: PortId,
    /// A file with the signal strength in dBm as a decimal number, read again whenever it changes.
    pub signal_file: Option<PathBuf>,
    /// The signal strength at the start, in dBm; `None`: no signal until one is told.
    pub initial_signal_dbm: Option<i16>,
    /// What using the port costs, in dB of signal.
    pub cost_db: i16,
}

/// Who tells a terminal's correspondents its care-of address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TerminalOptimisation {
    /// The mobility agent.
    #[default]
    Mma,
    /// The terminal.
    Mt,
    /// Nobody.
    Off,
}

/// What a terminal uses mobility agents for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TerminalMode {
    /// They send to its group.
    #[default]
    Multicast,
    /// They are anchor points without groups (RFC 5380).
    Hierarchical,
    /// Nothing: plain Mobile IPv6.
    Plain,
}

/// How a terminal's packets leave while it is away from home.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UplinkMode {
    /// From the temporary address with a Home Address option.
    Direct,
    /// In a tunnel to the mobility agent.
    Mma,
    /// By the tunnel, and directly to correspondents that are known to take it.
    #[default]
    Auto,
}

/// `[correspondent_node]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorrespondentNodeConfig {
    /// The address that terminals know it by, one of the node's own.
    pub address: Ipv6Addr,
    /// Whose Home Address options are believed.
    pub policy: HomeAddressPolicy,
    /// Longest lifetime of a binding, 420 s at the most.
    pub max_lifetime: Duration,
    /// Bindings at the most.
    pub max_bindings: usize,
    /// The only home addresses that may have bindings; all where there are none.
    pub home_prefixes: Vec<Prefix>,
    /// Terminals whose bindings a shared key authorises (RFC 4449); no two keys are the same.
    pub preconfigured_keys: Vec<PreconfiguredKeyConfig>,
    /// Who answers at the address.
    pub programs: Programs,
}

/// Who answers at a correspondent's address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Programs {
    /// Programs of this host, behind this TUN port.
    Tun(PortId),
    /// The node itself, on these ports. Where there is none it only answers echo requests.
    Services(Vec<Service>),
}

/// A key that a correspondent shares with a terminal (RFC 4449).
#[derive(Clone, PartialEq, Eq)]
pub struct PreconfiguredKeyConfig {
    /// The terminal's home address.
    pub home_address: Ipv6Addr,
    /// Kcn, 20 octets or more.
    pub key: Vec<u8>,
    /// The nonce of the home keygen token.
    pub home_nonce: Vec<u8>,
    /// The nonce of the care-of keygen token.
    pub care_of_nonce: Vec<u8>,
}

impl fmt::Debug for PreconfiguredKeyConfig {
    /// Leaves key and nonces out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreconfiguredKeyConfig").field("home_address", &self.home_address).finish_non_exhaustive()
    }
}
