//! What holds of a whole data plane whatever frames come in: no panic, every packet ends once, no frame is lost, and
//! what leaves is whole, fits its link and stays in its zone.
//!
//! One node plays every role at once, each for another home address, so that every stage has something to do.

use core::net::Ipv6Addr;
use stack::addr::{MacAddress, Prefix, Scope};
use stack::machine::{PortId, Transmit, Via};
use stack::packet::{BATCH_SIZE, Batch, Pool};
use stack::pipeline::{Dataplane, DataplaneConfig, Limits, MssClamp, Transport};
use stack::port::{LinkState, Medium, PortInfo};
use stack::rng::Rng;
use stack::tables::{
    Accept, BindingState, Correspondent, CorrespondentBinding, GroupReception, HomeAddressPolicy, HomeBinding,
    IngressFilter, MmaBinding, MmaService, Mroute, MrouteKey, Neighbor, PortSet, RegisterTunnel, Route, TableUpdate,
    TunnelReception, Uplink, Watch,
};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::{self, protocol};
use stack::wire::{checksum, ethernet, mobility};

const FRAMES: u32 = 512;
/// Access link, site border, programs, and a link of the smallest MTU.
const ACCESS: PortId = PortId(0);
const BORDER: PortId = PortId(1);
const PROGRAMS: PortId = PortId(2);
const NARROW: PortId = PortId(3);
const PORTS: [(Medium, usize); 4] =
    [(Medium::Ethernet, 1500), (Medium::Ethernet, 1500), (Medium::Ip, 1500), (Medium::Ethernet, 1280)];

const fn site(subnet: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, subnet, 0, 0, 0, host)
}

const OWN: Ipv6Addr = site(0, 1);
const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);
const OTHER_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 1);
const NEIGHBOR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
/// Served by the agent on this node.
const SERVED: [Ipv6Addr; 3] = [site(0x51, 1), site(0x51, 2), site(0x51, 3)];
const CARE_OF: [Ipv6Addr; 3] = [site(0xc0, 1), site(0xc0, 2), site(0xc0, 3)];
/// A care-of address of an agent that forwards to the one on this node.
const FORMER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0xc0, 0, 0, 0, 1);
/// Served by the anchor point on this node, and the terminal's address on its link.
const REGIONAL: Ipv6Addr = site(0xc0, 4);
const ON_LINK: Ipv6Addr = site(0xa, 0x66);
/// Where the terminals that are served send from.
const ACCESS_ADDRESS: Ipv6Addr = site(0xa, 0x55);
/// Away from the home agent on this node.
const AWAY: Ipv6Addr = site(0x40, 1);
/// This node's own, as a terminal.
const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);
const TEMPORARY: Ipv6Addr = site(0xa, 0x77);

/// A former care-of address of that terminal, and the terminal that speaks with it.
const LEFT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0xc1, 0, 0, 0, 1);
const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 1, 0, 0, 0, 1);
const PEER_CARE_OF: Ipv6Addr = site(0xd, 1);

const fn group(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, number)
}

fn updates() -> Vec<TableUpdate> {
    let on_link = |subnet, port| TableUpdate::RouteSet(Prefix::of_link(site(subnet, 0)), Route::OnLink(port));
    let binding = |index: usize, gre_key, state| {
        let binding = MmaBinding {
            care_of: CARE_OF[index],
            group: group(1 + index as u16),
            source: OWN,
            home_agent: OTHER_AGENT,
            gre_key,
            access_identifier: 0x55,
            optimise: index == 0,
            state,
        };
        TableUpdate::MmaBindingSet(SERVED[index], binding)
    };
    let anchored = MmaBinding {
        care_of: REGIONAL,
        group: ON_LINK,
        source: OWN,
        home_agent: Ipv6Addr::UNSPECIFIED,
        gre_key: None,
        access_identifier: 0,
        optimise: false,
        state: BindingState::Anchor,
    };
    let optimised = |home_address, correspondent| TableUpdate::OptimisedSet { home_address, correspondent };
    let mroute = |source, number, accept, ports: &[PortId]| {
        let forward: PortSet = ports.iter().copied().collect();
        TableUpdate::MrouteSet(MrouteKey { source, group: group(number) }, Mroute::new(accept, forward))
    };
    let registered = |source, number, accept, ports: &[PortId], rendezvous_point: Option<Ipv6Addr>, watch| {
        let register = rendezvous_point.map(|rendezvous_point| RegisterTunnel { source: OWN, rendezvous_point });
        let mroute = Mroute { accept, forward: ports.iter().copied().collect(), register, watch, hold: false };
        TableUpdate::MrouteSet(MrouteKey { source, group: group(number) }, mroute)
    };
    let reception = |number, gre_key| {
        let reception = GroupReception { source: OTHER_AGENT, gre_key, care_of: CARE_OF[0], home_address: HOME };
        TableUpdate::GroupReceptionSet(group(number), reception)
    };
    let tunnel = Uplink::Tunnel { port: ACCESS, router: NEIGHBOR, source: TEMPORARY, peer: OTHER_AGENT };
    let optimised_tunnel = Uplink::OptimisedTunnel {
        port: ACCESS,
        router: NEIGHBOR,
        source: TEMPORARY,
        peer: OTHER_AGENT,
        care_of: CARE_OF[0],
    };
    let exception =
        |correspondent, uplink| TableUpdate::UplinkExceptionSet { home_address: HOME, correspondent, uplink };
    let direct = Uplink::Direct { port: ACCESS, router: NEIGHBOR, source: TEMPORARY };
    let neighbor = Neighbor { link_address: MacAddress([2, 0, 0, 0, 9, 9]), notify_use: true };
    vec![
        TableUpdate::RouteSet(Prefix::host(OWN), Route::Local),
        TableUpdate::RouteSet(Prefix::host(TEMPORARY), Route::Local),
        TableUpdate::RouteSet(Prefix::host(HOME), Route::OnLink(PROGRAMS)),
        TableUpdate::RouteSet(Prefix::of_link(CARE_OF[0]), Route::CareOf),
        TableUpdate::RouteSet(Prefix::DEFAULT, Route::Via { port: BORDER, next_hop: NEIGHBOR }),
        TableUpdate::RouteSet(Prefix::of_link(site(0xdead, 0)), Route::Unreachable),
        TableUpdate::RouteSet(Prefix::of_link(site(0xb1ac, 0)), Route::Blackhole),
        on_link(0xa, ACCESS),
        on_link(0x40, ACCESS),
        on_link(0xd, NARROW),
        TableUpdate::NeighborSet(ACCESS, NEIGHBOR, neighbor),
        TableUpdate::NeighborSet(BORDER, NEIGHBOR, neighbor),
        TableUpdate::NeighborSet(NARROW, site(0xd, 1), neighbor),
        TableUpdate::LinkGroupJoin(ACCESS, stack::addr::ALL_MLDV2_ROUTERS),
        mroute(OWN, 1, Accept::Local, &[ACCESS, NARROW]),
        TableUpdate::DeliverySet { port: ACCESS, group: group(1), link_address: MacAddress([2, 0, 0, 0, 9, 8]) },
        mroute(OWN, 2, Accept::Local, &[ACCESS]),
        mroute(CORRESPONDENT, 8, Accept::Port(ACCESS), &[BORDER, NARROW]),
        mroute(Ipv6Addr::UNSPECIFIED, 9, Accept::Port(NARROW), &[ACCESS, NARROW]),
        registered(ON_LINK, 10, Accept::Port(ACCESS), &[NARROW], Some(OTHER_AGENT), Watch::NextPacket),
        registered(ON_LINK, 11, Accept::Port(ACCESS), &[], Some(PEER_CARE_OF), Watch::Nothing),
        registered(ON_LINK, 12, Accept::Port(ACCESS), &[NARROW], Some(OWN), Watch::Sources),
        registered(Ipv6Addr::UNSPECIFIED, 13, Accept::RendezvousPoint, &[ACCESS, BORDER], None, Watch::Sources),
        registered(ON_LINK, 13, Accept::RendezvousPoint, &[NARROW], Some(OTHER_AGENT), Watch::NextPacket),
        registered(OWN, 13, Accept::Local, &[], Some(PEER_CARE_OF), Watch::NextPacket),
        service(true),
        binding(0, None, BindingState::Active),
        binding(1, Some(7), BindingState::Active),
        binding(2, None, BindingState::Forward { to: FORMER, from_home_agent: true }),
        TableUpdate::MmaBindingSet(REGIONAL, anchored),
        optimised(SERVED[0], CORRESPONDENT),
        optimised(SERVED[1], site(0xd, 1)),
        TableUpdate::HomeBindingSet(AWAY, HomeBinding { care_of: OTHER_AGENT, agent: OWN, home_port: ACCESS }),
        reception(5, Some(9)),
        reception(6, None),
        TableUpdate::TunnelReceptionSet(TunnelReception { remote: OTHER_AGENT, local: TEMPORARY, home_address: HOME }),
        TableUpdate::UplinkSet(HOME, tunnel),
        TableUpdate::TunnelReceptionSet(TunnelReception { remote: LEFT, local: HOME, home_address: HOME }),
        TableUpdate::CareOfSet(LEFT, HOME),
        TableUpdate::CareOfSet(TEMPORARY, HOME),
        exception(OWN, direct),
        exception(PEER, optimised_tunnel),
        exception(CORRESPONDENT, optimised_tunnel),
        correspondent(HomeAddressPolicy::CareOf),
        TableUpdate::CorrespondentBindingSet(PEER, CorrespondentBinding { local: HOME, care_of: PEER_CARE_OF }),
        TableUpdate::IngressFilterSet(NARROW, IngressFilter::Prefixes(vec![Prefix::of_link(site(0xd, 0))])),
    ]
}

fn correspondent(policy: HomeAddressPolicy) -> TableUpdate {
    TableUpdate::CorrespondentSet(Correspondent { address: HOME, policy })
}

fn service(chain: bool) -> TableUpdate {
    TableUpdate::MmaServiceSet(MmaService {
        address: OWN,
        access_prefixes: vec![Prefix::of_link(site(0xa, 0))],
        peers: vec![Prefix::of_link(FORMER)],
        chain,
    })
}

/// The route of a terminal that is expected, and of one that nobody waits for any more.
fn candidate(source: Ipv6Addr, number: u16, accept: Accept, hold: bool) -> TableUpdate {
    let mroute = Mroute { hold, ..Mroute::new(accept, PortSet::EMPTY) };
    TableUpdate::MrouteSet(MrouteKey { source, group: group(number) }, mroute)
}

/// What takes some of it away again.
fn removals() -> Vec<TableUpdate> {
    vec![
        candidate(OWN, 1, Accept::Local, true),
        candidate(OWN, 2, Accept::Local, true),
        candidate(CORRESPONDENT, 8, Accept::Port(ACCESS), true),
        candidate(CORRESPONDENT, 8, Accept::Port(ACCESS), false),
        candidate(ON_LINK, 13, Accept::RendezvousPoint, true),
        TableUpdate::NeighborRemove(BORDER, NEIGHBOR),
        TableUpdate::NeighborFailed(ACCESS, NEIGHBOR),
        TableUpdate::NeighborFailed(NARROW, site(0xd, 2)),
        TableUpdate::MrouteRemove(MrouteKey { source: OWN, group: group(1) }),
        TableUpdate::MrouteRemove(MrouteKey { source: ON_LINK, group: group(13) }),
        TableUpdate::MrouteRemove(MrouteKey { source: ON_LINK, group: group(11) }),
        TableUpdate::MmaBindingRemove(SERVED[1]),
        TableUpdate::MmaBindingRemove(REGIONAL),
        TableUpdate::OptimisedRemove { home_address: SERVED[0], correspondent: CORRESPONDENT },
        service(false),
        TableUpdate::HomeBindingRemove(AWAY),
        TableUpdate::GroupReceptionRemove(MrouteKey { source: OTHER_AGENT, group: group(5) }),
        TableUpdate::CareOfRemove(LEFT),
        TableUpdate::CorrespondentBindingRemove(PEER),
        correspondent(HomeAddressPolicy::Bound),
        correspondent(HomeAddressPolicy::Prefixes(vec![Prefix::of_link(site(0xa, 0))])),
        TableUpdate::UplinkExceptionRemove { home_address: HOME, correspondent: PEER },
        TableUpdate::UplinkSet(HOME, Uplink::Down),
        TableUpdate::UplinkSet(HOME, Uplink::Native { port: ACCESS, router: NEIGHBOR }),
        TableUpdate::RouteRemove(Prefix::DEFAULT),
    ]
}

/// Packets that take every way through the node.
pub(crate) fn packets() -> Vec<Vec<u8>> {
    let udp = |source, destination, octets: usize| {
        let mut datagram = vec![0x13, 0x88, 0, 53, 0, 0, 0, 0];
        datagram.resize(8 + octets, 0x5a);
        datagram[4..6].copy_from_slice(&(8 + octets as u16).to_be_bytes());
        PacketBuilder::new(source, destination).checksummed(protocol::UDP, datagram, 6)
    };
    let tunnel =
        |source, destination, inner: &[u8]| PacketBuilder::new(source, destination).payload(protocol::IPV6, inner);
    let numbered = |source, destination, key: u8, number: u8, inner: &[u8]| {
        let header = [0x30, 0, 0x86, 0xdd, 0, 0, 0, key, 0, 0, 0, number];
        PacketBuilder::new(source, destination).payload(protocol::GRE, &[&header[..], inner].concat())
    };
    let gre = |source, destination, key: u8, inner: &[u8]| numbered(source, destination, key, 1, inner);
    let fragments = |packet: &[u8]| {
        let (header, payload) = packet.split_at(ipv6::HEADER_LEN);
        let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&header[at..at + 16]).expect("sixteen octets"));
        let half = payload.len() / 16 * 8;
        [(0, 1, &payload[..half]), (half as u16, 0, &payload[half..])].map(|(offset, more, part)| {
            let [high, low] = (offset | more).to_be_bytes();
            let fragment = [&[header[6], 0, high, low, 0, 0, 0, 5][..], part].concat();
            PacketBuilder::new(address(8), address(24)).payload(protocol::FRAGMENT, &fragment)
        })
    };
    let to_served = SERVED.map(|home| udp(CORRESPONDENT, home, 100));
    let mobility =
        |packet: PacketBuilder, kind| packet.checksummed(protocol::MOBILITY, vec![59, 0, kind, 0, 0, 0, 0, 0], 4);
    let routed = |to, home| PacketBuilder::new(CORRESPONDENT, to).type2_routing(home);
    let from_peer = |packet: PacketBuilder| packet.home_address(PEER).payload(protocol::UDP, &[0; 30]);
    let up = |inner: &[u8]| tunnel(ACCESS_ADDRESS, OWN, inner);
    let register = |from, to, data: &[u8]| {
        let mut message = [&[0x21, 0, 0, 0, 0, 0, 0, 0], data].concat();
        let sum = checksum::upper_layer(from, to, protocol::PIM, &message[..8]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        PacketBuilder::new(from, to).payload(protocol::PIM, &message)
    };
    let mut packets = vec![
        udp(CORRESPONDENT, site(0xa, 9), 100),
        udp(CORRESPONDENT, site(0xd, 1), 1400),
        udp(CORRESPONDENT, site(0xd, 2), 100),
        udp(CORRESPONDENT, site(0xdead, 1), 10),
        udp(CORRESPONDENT, OWN, 10),
        udp(CORRESPONDENT, AWAY, 1440),
        udp(CORRESPONDENT, AWAY, 1460),
        udp(CORRESPONDENT, group(8), 100),
        udp(site(0xd, 1), group(9), 100),
        udp(ON_LINK, group(10), 100),
        udp(ON_LINK, group(10), 1400),
        udp(ON_LINK, group(11), 1190),
        udp(ON_LINK, group(11), 1400),
        udp(ON_LINK, group(12), 100),
        udp(OWN, group(13), 100),
        register(OTHER_AGENT, OWN, &udp(CORRESPONDENT, group(13), 100)),
        register(OTHER_AGENT, OWN, &udp(ON_LINK, group(13), 1380)),
        register(OTHER_AGENT, OWN, &udp(CORRESPONDENT, group(14), 100)),
        register(OTHER_AGENT, OWN, &udp(CORRESPONDENT, group(1), 100)),
        register(OTHER_AGENT, OWN, &udp(OWN, group(13), 100)),
        register(OTHER_AGENT, OWN, &udp(CORRESPONDENT, OWN, 100)),
        register(OTHER_AGENT, HOME, &udp(CORRESPONDENT, group(13), 100)),
        register(OWN, OTHER_AGENT, &udp(ON_LINK, group(10), 1200)),
        udp(HOME, CORRESPONDENT, 100),
        udp(HOME, OWN, 100),
        udp(HOME, CORRESPONDENT, 1440),
        tunnel(OTHER_AGENT, CARE_OF[0], &to_served[0]),
        tunnel(OTHER_AGENT, CARE_OF[1], &to_served[1]),
        tunnel(OTHER_AGENT, CARE_OF[2], &to_served[2]),
        tunnel(OTHER_AGENT, CARE_OF[0], &to_served[1]),
        tunnel(FORMER, CARE_OF[0], &to_served[0]),
        tunnel(FORMER, CARE_OF[1], &routed(FORMER, SERVED[1]).payload(protocol::UDP, &[0; 30])),
        tunnel(FORMER, CARE_OF[2], &to_served[2]),
        tunnel(OTHER_AGENT, CARE_OF[0], &mobility(PacketBuilder::new(CORRESPONDENT, SERVED[0]), 3)),
        tunnel(OTHER_AGENT, REGIONAL, &udp(CORRESPONDENT, HOME, 100)),
        udp(CORRESPONDENT, REGIONAL, 1440),
        tunnel(ON_LINK, OWN, &udp(REGIONAL, CORRESPONDENT, 100)),
        up(&udp(SERVED[0], CORRESPONDENT, 100)),
        up(&udp(SERVED[0], OTHER_AGENT, 100)),
        up(&udp(SERVED[1], site(0xd, 1), 1220)),
        up(&udp(SERVED[1], site(0xd, 1), 1400)),
        up(&mobility(PacketBuilder::new(CARE_OF[0], CORRESPONDENT), 2)),
        mobility(routed(CARE_OF[0], SERVED[0]), 6),
        tunnel(OTHER_AGENT, OWN, &udp(AWAY, CORRESPONDENT, 100)),
        tunnel(OTHER_AGENT, group(6), &udp(CORRESPONDENT, HOME, 100)),
        tunnel(OTHER_AGENT, TEMPORARY, &udp(CORRESPONDENT, HOME, 100)),
        tunnel(OTHER_AGENT, TEMPORARY, &tunnel(OTHER_AGENT, TEMPORARY, &udp(CORRESPONDENT, HOME, 100))),
        gre(OTHER_AGENT, group(5), 9, &udp(CORRESPONDENT, HOME, 100)),
        udp(HOME, PEER, 100),
        udp(HOME, PEER, 1420),
        from_peer(PacketBuilder::new(PEER_CARE_OF, HOME)),
        from_peer(PacketBuilder::new(ON_LINK, HOME)),
        from_peer(PacketBuilder::new(PEER_CARE_OF, TEMPORARY).type2_routing(HOME)),
        tunnel(OTHER_AGENT, group(6), &from_peer(PacketBuilder::new(PEER_CARE_OF, LEFT).type2_routing(HOME))),
        tunnel(LEFT, HOME, &routed(LEFT, HOME).payload(protocol::UDP, &[0; 30])),
        tunnel(TEMPORARY, OTHER_AGENT, &PacketBuilder::new(CARE_OF[0], PEER).home_address(HOME).payload(17, &[0; 30])),
        routed(PEER_CARE_OF, PEER).payload(protocol::UDP, &[0; 30]),
        PacketBuilder::new(HOME, PEER_CARE_OF).type2_routing(PEER).payload(protocol::UDP, &[0; 30]),
        PacketBuilder::new(CORRESPONDENT, CARE_OF[0]).type2_routing(SERVED[0]).payload(protocol::UDP, &[0; 30]),
        PacketBuilder::new(CORRESPONDENT, CARE_OF[0]).type2_routing(HOME).payload(protocol::UDP, &[0; 30]),
        PacketBuilder::new(TEMPORARY, OWN).home_address(HOME).payload(protocol::MOBILITY, &[59, 0, 0, 0, 0, 0, 0, 0]),
        PacketBuilder::new(CORRESPONDENT, OWN).icmpv6(128, 0, &[0; 60]),
        PacketBuilder::new(CORRESPONDENT, OWN).payload(99, &[0; 60]),
        PacketBuilder::new(NEIGHBOR, stack::addr::ALL_MLDV2_ROUTERS)
            .hop_limit(1)
            .router_alert(0)
            .icmpv6(143, 0, &[0; 4]),
    ];
    let to_home = udp(CORRESPONDENT, HOME, 100);
    packets.extend([0, 2, 3, 4, 6, 200].map(|number| numbered(OTHER_AGENT, group(5), 9, number, &to_home)));
    // Errors about each of them, as routers on the way would send them.
    let quoted = |packet: &Vec<u8>| {
        let body = [&[0, 0, 5, 0x14][..], &packet[..packet.len().min(1200)]].concat();
        let source = <[u8; 16]>::try_from(&packet[8..24]).expect("sixteen octets");
        PacketBuilder::new(CORRESPONDENT, Ipv6Addr::from(source)).icmpv6(2, 0, &body)
    };
    let errors: Vec<Vec<u8>> = packets.iter().map(quoted).collect();
    let halves: Vec<Vec<u8>> = packets.iter().flat_map(|packet| fragments(packet)).collect();
    packets.extend(errors);
    packets.extend(halves);
    packets
}

/// Frames with these packets, as they come in by any port.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let framed = |packet: Vec<u8>, port: PortId| {
        let mut input = vec![port.0];
        if PORTS[usize::from(port.0)].0 == Medium::Ethernet {
            let destination = Ipv6Addr::from(<[u8; 16]>::try_from(&packet[24..40]).expect("sixteen octets"));
            let to = if destination.is_multicast() { MacAddress::of_multicast(destination) } else { mac(port) };
            input.extend_from_slice(&to.0);
            input.extend_from_slice(&[2, 0, 0, 0, 9, 9, 0x86, 0xdd]);
        }
        input.extend(packet);
        input
    };
    let ports = [ACCESS, BORDER, PROGRAMS, NARROW];
    packets().into_iter().flat_map(|packet| ports.map(|port| framed(packet.clone(), port))).collect()
}

fn mac(port: PortId) -> MacAddress {
    MacAddress([2, 0, 0, 0, 0, port.0])
}

/// A data plane under test.
pub(crate) struct Subject {
    plane: Dataplane,
    pool: Pool,
    now: Instant,
}

impl Subject {
    pub(crate) fn new() -> Self {
        let pool = Pool::new(FRAMES).expect("memory for the pool");
        let ports: Vec<PortInfo> = PORTS
            .iter()
            .zip(0..)
            .map(|(&(medium, mtu), number)| PortInfo {
                name: format!("p{number}"),
                kind: "mem",
                mode: String::new(),
                medium,
                link_address: if medium == Medium::Ip { MacAddress::default() } else { mac(PortId(number)) },
                mtu,
                link: LinkState::Up,
                xdp: None,
            })
            .collect();
        let limits = Limits {
            neighbors: 64,
            unresolved_neighbors: 16,
            waiting_packets: 32,
            mroutes: 64,
            mma_bindings: 64,
            home_bindings: 64,
            reassemblies: 8,
            reassembly_fragments: 24,
            output_queue: 100,
            local_queue: 100,
            ..Limits::default()
        };
        let config = DataplaneConfig {
            host_ports: PortSet::single(PROGRAMS),
            site_border: PortSet::single(BORDER),
            unicast_delivery: PortSet::single(ACCESS),
            transport: Transport::Unreachable,
            registers: true,
            icmp_errors_per_second: 1_000_000,
            icmp_error_burst: 1_000_000,
            limits,
            mss_clamp: MssClamp::PathMtu,
            ..DataplaneConfig::default()
        };
        let plane = Dataplane::new(config, pool.clone(), &ports);
        let mut subject = Subject { plane, pool, now: Instant::from_secs(1) };
        for update in updates() {
            subject.apply(update);
        }
        subject
    }

    /// Takes a batch of inputs, the first octet of each the port, through the data plane.
    pub(crate) fn feed(&mut self, inputs: &[Vec<u8>]) {
        self.now += Duration::from_millis(3);
        self.plane.handle_timeout(self.now);
        for port in (0..PORTS.len() as u8).map(PortId) {
            let here = inputs.iter().filter(|input| input.first().is_some_and(|&octet| octet & 3 == port.0));
            // A port hands over nothing empty and nothing that is longer than its MTU and a header.
            let (medium, mtu) = PORTS[usize::from(port.0)];
            let largest = mtu + if medium == Medium::Ethernet { ethernet::HEADER_LEN } else { 0 };
            let frames = here.map(|input| &input[1..]).filter(|frame| !frame.is_empty() && frame.len() <= largest);
            let mut batch: Batch = frames.take(BATCH_SIZE).flat_map(|frame| self.pool.copy_of(frame)).collect();
            self.plane.process(self.now, port, &mut batch);
            assert!(batch.is_empty());
            self.check();
        }
    }

    pub(crate) fn apply(&mut self, update: TableUpdate) {
        self.plane.apply(self.now, update);
        self.check();
    }

    /// Takes everything out and looks at it.
    pub(crate) fn drain(&mut self) {
        for (port, (medium, mtu)) in (0..).map(PortId).zip(PORTS) {
            while let Some(frame) = self.plane.outgoing(port).pop() {
                let bytes = frame.bytes();
                let packet = match medium {
                    Medium::Ip => bytes,
                    Medium::Ethernet => {
                        let header = ethernet::Header::parse(bytes).expect("a frame that leaves has a header");
                        assert_eq!((header.source, header.ethertype), (mac(port), ethernet::ETHERTYPE_IPV6));
                        &bytes[ethernet::HEADER_LEN..]
                    }
                };
                let header = ipv6::Header::parse(packet).expect("a packet that leaves is whole");
                assert_eq!(header.total_length(), packet.len());
                assert!(packet.len() <= mtu, "{} octets on a link of {mtu}", packet.len());
                assert!(!header.source.is_multicast(), "{header:?}");
                let scope = Scope::of(header.destination);
                let inside = scope > Some(Scope::LINK_LOCAL) && scope <= Some(Scope::SITE_LOCAL);
                assert!(port != BORDER || !inside, "{header:?} crosses the border");
            }
        }
        while let Some((meta, packet)) = self.plane.poll_local().or_else(|| self.plane.poll_signalling()) {
            ipv6::Header::parse(packet.bytes()).expect("a packet for the node is whole");
            assert!(usize::from(meta.port.0) < PORTS.len());
            // The machines read what the data plane gives them.
            let _ = stack::inspect::describe(packet.bytes(), Medium::Ip);
            if let Ok(chain) = stack::wire::ext::Chain::parse(packet.bytes()) {
                let _ = mobility::parse(&packet.bytes()[chain.upper_offset.min(packet.len())..]);
            }
        }
        while self.plane.poll_notice().is_some() {}
        self.check();
    }

    /// Gives up what waits: afterwards every frame is free again.
    pub(crate) fn finish(&mut self) {
        self.now += Duration::from_secs(120);
        self.plane.handle_timeout(self.now);
        // An error about a packet that gave up waiting may have to wait for another neighbour.
        for _ in 0..8 {
            let unresolved = self.plane.neighbors().filter(|entry| entry.2.is_none());
            let unresolved: Vec<(PortId, Ipv6Addr)> = unresolved.map(|entry| (entry.0, entry.1)).collect();
            for (port, address) in unresolved {
                self.apply(TableUpdate::NeighborFailed(port, address));
            }
            self.drain();
        }
        assert_eq!(self.plane.held_frames(), 0);
        assert_eq!(self.pool.free_frames(), FRAMES as usize);
    }

    /// A packet of the node itself.
    pub(crate) fn transmit(&mut self, packet: Vec<u8>, via: Via) {
        self.plane.transmit(self.now, &Transmit { packet, via });
        self.check();
    }

    fn check(&self) {
        assert!(self.plane.counters().is_balanced(), "{:?}", self.plane.counters());
        assert_eq!(self.pool.free_frames() + self.plane.held_frames(), FRAMES as usize);
    }

    /// How often each counter counted, for those that did.
    pub(crate) fn counted(&self) -> Vec<(&'static str, u64)> {
        self.plane.counters().iter().filter(|&(_, value)| value > 0).collect()
    }

    /// Something other than frames happens to the node.
    pub(crate) fn disturb(&mut self, rng: &mut Rng) {
        let (updates, removals) = (updates(), removals());
        match rng.below(4) {
            0 => self.apply(removals[rng.below(removals.len() as u64) as usize].clone()),
            1 => {
                let packets = packets();
                let packet = packets[rng.below(packets.len() as u64) as usize].clone();
                let vias = [
                    Via::Route,
                    Via::Link(ACCESS),
                    Via::NextHop(NARROW, site(0xd, 1)),
                    Via::Link(PROGRAMS),
                    Via::Terminal(SERVED[0]),
                    Via::Terminal(SERVED[2]),
                    Via::Terminal(REGIONAL),
                    Via::Terminal(HOME),
                ];
                self.transmit(packet, vias[rng.below(vias.len() as u64) as usize]);
            }
            _ => self.apply(updates[rng.below(updates.len() as u64) as usize].clone()),
        }
    }
}

/// Some inputs, one after the other: each a length of two octets and that many octets.
pub(crate) fn inputs(mut octets: &[u8]) {
    let mut subject = Subject::new();
    let mut batch = Vec::new();
    while let Some((&length, rest)) = octets.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(length) & 0x7ff).min(rest.len());
        batch.push(rest[..length].to_vec());
        octets = &rest[length..];
    }
    subject.feed(&batch);
    subject.drain();
    subject.finish();
}
