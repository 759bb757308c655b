//! What a data plane is told once, at its start.

use crate::tables::PortSet;
use crate::time::Duration;

/// Whether packets pass through this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forwarding {
    /// Between all ports.
    Router,
    /// Only from and to [`DataplaneConfig::host_ports`]: the node is a host to the network.
    Host,
}

/// What becomes of TCP and UDP to an address of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Destination Unreachable code 4.
    Unreachable,
    /// Those to this address go to the node, which has sockets there; the others as with [`Transport::Unreachable`].
    Local(core::net::Ipv6Addr),
}

/// The DSCP of an outer header, and whether it means anything where the tunnel ends (RFC 2983 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TunnelDscp {
    /// That of the inner header; what leaves a tunnel keeps its own.
    Inner,
    /// That of the inner header; what leaves a tunnel takes the outer one (uniform model).
    Uniform,
    /// This one, 0 to 63; what leaves a tunnel keeps its own (pipe model).
    Fixed(u8),
}

/// The segment size of TCP connections through tunnels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MssClamp {
    /// As their ends say.
    Off,
    /// No more than the path MTU of the tunnel has room for.
    PathMtu,
}

/// Configuration of a [`super::Dataplane`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataplaneConfig {
    /// Whether packets pass through this node.
    pub forwarding: Forwarding,
    /// Ports with this node's own applications behind them: a TUN device, a host stack. Packets from and to them do not
    /// lose a hop.
    pub host_ports: PortSet,
    /// Ports that are a border of the site: multicast of scope 5 and narrower does not cross them (RFC 4007 §5).
    pub site_border: PortSet,
    /// Ports on which groups may be sent to their only listener's own link-layer address (RFC 6085). The others are not
    /// looked up.
    pub unicast_delivery: PortSet,
    /// What becomes of TCP and UDP to an address of this node.
    pub transport: Transport,
    /// Whether packets on the common ways skip the stages. What becomes of a packet is the same without it, and slower:
    /// for holding the two against each other.
    pub express: bool,
    /// The DSCP of outer headers.
    pub tunnel_dscp: TunnelDscp,
    /// The segment size of TCP connections through tunnels.
    pub mss_clamp: MssClamp,
    /// How long a packet of a terminal's group waits for those before it where numbers were agreed; zero: not at all,
    /// what comes twice is still delivered once.
    pub reorder_delay: Duration,
    /// How long a packet is kept at the most by a multicast route that keeps packets; zero: not at all.
    pub hold_time: Duration,
    /// ICMPv6 errors sent a second in the long run (RFC 4443 §2.4 (f)).
    pub icmp_errors_per_second: u32,
    /// ICMPv6 errors sent at once.
    pub icmp_error_burst: u32,
    /// Whether data are taken out of Register messages to this node: it is a multicast router, which may be a rendezvous
    /// point. Elsewhere such messages are the node's.
    pub registers: bool,
    /// PIM packets, and MLD packets, that the node is given of each port a second in the long run. A router that refreshes a
    /// million (S,G) sends 520 a second.
    pub signalling_per_second: u32,
    /// Those at once: what a million (S,G) take when they are joined together is 31,250, and as many terminals as a router
    /// follows on a link may come to it within a second. How long they take the worker is another matter
    /// ([`crate::runtime::Worker::with_clock`]).
    pub signalling_burst: u32,
    /// [`crate::machine::Notice::MulticastMiss`] notices a second in the long run.
    pub multicast_misses_per_second: u32,
    /// Those at once.
    pub multicast_miss_burst: u32,
    /// [`crate::machine::Notice::MulticastWrongPort`] notices a second in the long run.
    pub multicast_wrong_ports_per_second: u32,
    /// Those at once.
    pub multicast_wrong_port_burst: u32,
    /// [`crate::machine::Notice::MulticastSeen`] notices a second in the long run of routes with
    /// [`crate::tables::Watch::Sources`].
    pub multicast_sources_per_second: u32,
    /// Those at once.
    pub multicast_source_burst: u32,
    /// [`crate::machine::Notice::Register`] notices a second in the long run.
    pub registers_per_second: u32,
    /// Those at once.
    pub register_burst: u32,
    /// [`crate::machine::Notice::Correspondent`] notices a second in the long run.
    pub correspondents_per_second: u32,
    /// Those at once.
    pub correspondent_burst: u32,
    /// The bounds of memory.
    pub limits: Limits,
    /// The largest packets to send on ports, by number, where that is less than the port takes.
    pub mtu_limits: Vec<Option<u16>>,
    /// Makes hash tables and fragment identifications unpredictable from outside.
    pub seed: u64,
}

impl Default for DataplaneConfig {
    /// A router without site border.
    fn default() -> Self {
        DataplaneConfig {
            forwarding: Forwarding::Router,
            host_ports: PortSet::EMPTY,
            site_border: PortSet::EMPTY,
            unicast_delivery: PortSet::EMPTY,
            transport: Transport::Unreachable,
            express: true,
            tunnel_dscp: TunnelDscp::Inner,
            mss_clamp: MssClamp::Off,
            reorder_delay: Duration::from_millis(5),
            hold_time: Duration::from_millis(100),
            icmp_errors_per_second: 100,
            icmp_error_burst: 50,
            registers: false,
            signalling_per_second: 50_000,
            signalling_burst: 131_072,
            multicast_misses_per_second: 200,
            multicast_miss_burst: 100,
            multicast_wrong_ports_per_second: 200,
            multicast_wrong_port_burst: 100,
            multicast_sources_per_second: 500,
            multicast_source_burst: 200,
            registers_per_second: 500,
            register_burst: 200,
            correspondents_per_second: 500,
            correspondent_burst: 200,
            limits: Limits::default(),
            mtu_limits: Vec::new(),
            seed: 0x5eed,
        }
    }
}

/// How many entries each table and queue of a data plane has at the most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Unicast routes; up to about 100 octets each, and 50 to 100 in the forwarding table.
    pub routes: usize,
    /// Neighbours, at most 1,048,575; about 150 octets each.
    pub neighbors: u32,
    /// Of those, how many without link-layer address.
    pub unresolved_neighbors: usize,
    /// Packets that wait for neighbours, at most 32 each, and no more than an eighth of the pool.
    pub waiting_packets: usize,
    /// Multicast routes; 64 octets each, and 128 more with a port above the 64th, and with a register tunnel.
    pub mroutes: u32,
    /// Packets that multicast routes keep, and no more than an eighth of the pool; about 200 octets each beside their frames.
    pub held_packets: usize,
    /// Those of one route.
    pub held_packets_of_route: usize,
    /// Groups with an only listener, once for each port; 64 octets each.
    pub deliveries: u32,
    /// Bindings of the mobility agent; 192 octets each.
    pub mma_bindings: u32,
    /// Pairs of home address and correspondent with a binding to the mobility agent's care-of address; 64 octets each.
    pub optimised_pairs: u32,
    /// Bindings of the home agent; 64 octets each.
    pub home_bindings: u32,
    /// Bindings of the correspondent node; 64 octets each.
    pub correspondent_bindings: u32,
    /// Groups that a terminal receives; about 300 octets each.
    pub groups: usize,
    /// Care-of addresses of terminals, present and former.
    pub care_of_addresses: usize,
    /// Tunnels that a terminal leaves, and its uplinks.
    pub uplinks: usize,
    /// Correspondents that a terminal treats unlike all others.
    pub uplink_exceptions: usize,
    /// Groups that the node hears on a port.
    pub link_groups: usize,
    /// Path MTUs of tunnels.
    pub path_mtus: usize,
    /// Packets being put together of fragments.
    pub reassemblies: usize,
    /// Fragments that wait for others, and no more than an eighth of the pool.
    pub reassembly_fragments: usize,
    /// Packets that wait to be sent on a port.
    pub output_queue: usize,
    /// Packets that wait for the node, PIM and MLD apart.
    pub local_queue: usize,
    /// PIM and MLD packets of each port that wait for the node; those of all ports are no more than a quarter of the pool.
    pub signalling_queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            routes: 1 << 17,
            neighbors: 1 << 14,
            unresolved_neighbors: 1 << 10,
            waiting_packets: 512,
            mroutes: 1 << 16,
            held_packets: 1 << 13,
            held_packets_of_route: 256,
            deliveries: 1 << 16,
            mma_bindings: 1 << 16,
            optimised_pairs: 1 << 16,
            home_bindings: 1 << 16,
            correspondent_bindings: 1 << 16,
            groups: 1 << 12,
            care_of_addresses: 1 << 14,
            uplinks: 1 << 12,
            uplink_exceptions: 1 << 14,
            link_groups: 1 << 12,
            path_mtus: 1 << 10,
            reassemblies: 64,
            reassembly_fragments: 256,
            output_queue: 1 << 10,
            local_queue: 1 << 10,
            signalling_queue: 256,
        }
    }
}
