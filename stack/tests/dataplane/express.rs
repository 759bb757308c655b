//! The express way against the stages: two data planes with the same tables are given the same frames, one of which lets
//! packets skip the stages, and have to come to the same frames, counters, notices and tables.

use super::*;
use proptest::prelude::*;
use stack::machine::PortId;
use stack::pipeline::Counter;
use stack::port::PortInfo;
use stack::tables::{RegisterTunnel, Watch};

pub(super) const P3: PortId = PortId(3);
const OTHER_HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x110, 0, 0, 0, 0, 0x20);
const OTHER_CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x210, 0, 0, 0, 0, 0x20);
const OTHER_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x110, 0, 0, 0, 0, 1);
const ON_LINK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 1);
const WIDE_GROUP: Ipv6Addr = Ipv6Addr::new(0xff3e, 0, 0, 0, 0, 0, 0x1234, 9);

/// The first has a tree of its source, the second a shared one, the third none.
fn tree_of_any(value: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0x1234, u16::from(value % 3))
}

/// A route with what `shape` adds to it.
fn mroute(accept: Accept, ports: &[PortId], shape: u32) -> Mroute {
    let on = |bit: u32| shape >> bit & 1 == 1;
    let watch = match (on(9), on(10)) {
        (false, _) => Watch::Nothing,
        (true, false) => Watch::NextPacket,
        (true, true) => Watch::Sources,
    };
    let rendezvous_point = if on(12) { FAR } else { SELF };
    let register = on(11).then_some(RegisterTunnel { source: SOURCE, rendezvous_point });
    let accept = if on(13) { Accept::RendezvousPoint } else { accept };
    Mroute { accept, forward: ports.iter().copied().collect(), register, watch, hold: on(14) }
}

/// What a frame is made of.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    kind: u8,
    pub(super) port: u8,
    hop_limit: u8,
    outer_class: u8,
    inner_class: u8,
    octets: usize,
    twist: u8,
    at: usize,
    value: u8,
}

pub(super) fn recipe() -> impl Strategy<Value = Recipe> {
    let octets = prop_oneof![4 => 4usize..80, 2 => 1230usize..1500];
    let hop_limit = prop_oneof![6 => Just(64u8), 2 => 0u8..4];
    let class = || prop_oneof![3 => Just(0u8), 1 => any::<u8>()];
    (0u8..17, 0u8..4, hop_limit, class(), class(), octets, 0u8..24, 0usize..140, any::<u8>()).prop_map(
        |(kind, port, hop_limit, outer_class, inner_class, octets, twist, at, value)| Recipe {
            kind,
            port: if port == 3 { 1 } else { 0 },
            hop_limit,
            outer_class,
            inner_class,
            octets,
            twist,
            at,
            value,
        },
    )
}

impl Recipe {
    /// An ordinary packet of this kind.
    pub(super) fn of_kind(kind: u8) -> Self {
        let (port, twist) = (0, 99);
        Recipe { kind, port, hop_limit: 9, outer_class: 0, inner_class: 0, octets: 30, twist, at: 0, value: 0 }
    }

    fn udp(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let mut packet = udp(source, destination, self.hop_limit, &vec![self.value; self.octets]);
        if self.twist == 11 {
            // A limit on encapsulations, perhaps reached (RFC 2473 §4.1.1).
            let options = [packet[6], 0, 4, 1, self.value % 3, 1, 1, 0];
            packet[6] = protocol::DESTINATION_OPTIONS;
            packet.splice(40..40, options);
            let payload = (packet.len() - 40) as u16;
            packet[4..6].copy_from_slice(&payload.to_be_bytes());
        }
        packet[0] |= self.inner_class >> 4;
        packet[1] |= self.inner_class << 4;
        packet
    }

    fn tunnelled(&self, source: Ipv6Addr, destination: Ipv6Addr, inner: &[u8]) -> Vec<u8> {
        let mut packet = tunnel(source, destination, inner);
        packet[0] |= self.outer_class >> 4;
        packet[1] |= self.outer_class << 4;
        packet
    }

    /// Whether its packet is of this source and to this group.
    pub(super) fn is_of(&self, MrouteKey { source, group }: MrouteKey) -> bool {
        let packet = self.packet();
        packet[8..24] == source.octets() && packet[24..40] == group.octets()
    }

    fn registered(&self, to: Ipv6Addr, data: &[u8]) -> Vec<u8> {
        let mut packet = register::register(OTHER_AGENT, to, data);
        packet[0] |= self.outer_class >> 4;
        packet[1] |= self.outer_class << 4;
        packet
    }

    fn packet(&self) -> Vec<u8> {
        match self.kind {
            0 => self.udp(CN, FAR),
            1 => self.udp(CN, ON_LINK),
            2 => self.udp(SOURCE, WIDE_GROUP),
            3 => self.udp(SOURCE, tree_of_any(self.value)),
            4 | 5 => self.tunnelled(HOME_AGENT, CARE_OF, &self.udp(CN, HOME)),
            6 => PacketBuilder::new(CN, CARE_OF).hop_limit(self.hop_limit).type2_routing(HOME).checksummed(
                protocol::UDP,
                vec![self.value; 8 + self.octets],
                6,
            ),
            7 => self.tunnelled(ACCESS, AGENT, &self.udp(HOME, CN)),
            8 => self.udp(CN, OTHER_HOME),
            9 => self.tunnelled(OTHER_CARE_OF, OTHER_AGENT, &self.udp(OTHER_HOME, CN)),
            10 => self.tunnelled(OTHER_CARE_OF, OTHER_AGENT, &self.udp(OTHER_HOME, OTHER_HOME)),
            11 => self.udp(CN, SELF),
            12 => self.tunnelled(HOME_AGENT, CARE_OF, &self.udp(CN, OTHER_HOME)),
            14 => self.registered(AGENT, &self.udp(CN, WIDE_GROUP)),
            15 => self.registered(SELF, &self.udp(FAR, tree_of_any(self.value))),
            16 => self.udp(CN, tree_of_any(self.value)),
            _ => self.udp(CN, CARE_OF),
        }
    }

    /// The frame, of which something may have been changed.
    pub(super) fn frame(&self) -> Vec<u8> {
        let packet = self.packet();
        let destination = Ipv6Addr::from(<[u8; 16]>::try_from(&packet[24..40]).unwrap());
        let to = match destination.is_multicast() {
            true => MacAddress::of_multicast(destination),
            false => MacAddress([2, 0, 0, 0, 0, self.port]),
        };
        let mut frame = frame(to, PEER, &packet);
        let at = self.at % frame.len();
        match self.twist {
            0 => frame[at] ^= self.value,
            1 => frame[at] = 0,
            2 => frame.truncate(at),
            3 => frame.extend_from_slice(&[0xee; 9]),
            4 => frame[0] ^= 1,
            5 => frame[20] = self.value,
            6 if frame.len() > 61 => frame[60] = self.value,
            7 => frame[22..38].copy_from_slice(&Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5).octets()),
            8 if frame.len() > 94 => {
                frame[62..78].copy_from_slice(&Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5).octets())
            }
            9 => frame[22..38].copy_from_slice(&Ipv6Addr::LOCALHOST.octets()),
            10 if frame.len() > 94 => frame[78..94].copy_from_slice(&Ipv6Addr::UNSPECIFIED.octets()),
            _ => {}
        }
        frame
    }
}

/// A router with all roles at once, changed by the bits of `shape`.
fn node(express: bool, shape: u32) -> Bench {
    let (config, ports) = config(express, shape);
    let mut bench = Bench::with(config, ports);
    fill(&mut bench, shape);
    bench
}

/// How it is configured, and its ports.
pub(super) fn config(express: bool, shape: u32) -> (DataplaneConfig, Vec<PortInfo>) {
    let on = |bit: u32| shape >> bit & 1 == 1;
    let tunnel_dscp = match shape & 3 {
        0 | 1 => TunnelDscp::Inner,
        2 => TunnelDscp::Uniform,
        _ => TunnelDscp::Fixed(11),
    };
    let config = DataplaneConfig {
        express,
        tunnel_dscp,
        unicast_delivery: if on(31) { [P1, P2].into_iter().collect() } else { PortSet::EMPTY },
        site_border: if on(2) { PortSet::single(if on(27) { P0 } else { P2 }) } else { PortSet::EMPTY },
        registers: on(14),
        mss_clamp: if on(3) && on(4) { MssClamp::PathMtu } else { MssClamp::Off },
        ..DataplaneConfig::default()
    };
    (config, (0..4).map(|index| port(index, Medium::Ethernet, 1500)).collect())
}

/// Its tables.
pub(super) fn fill(bench: &mut Bench, shape: u32) {
    let on = |bit: u32| shape >> bit & 1 == 1;
    bench.set_route("2001:db8:200::/64", Route::CareOf);
    bench.set_route("2001:db8:210::/64", Route::Via { port: P2, next_hop: ROUTER });
    bench.set_route("2001:db8:3::/64", Route::OnLink(P3));
    for address in [AGENT, SOURCE, OTHER_AGENT] {
        bench.set_route(&format!("{address}/128"), Route::Local);
    }
    bench.set_route("2001:db8:110::/64", Route::OnLink(P3));
    if !on(30) {
        bench.set_neighbor(P3, ON_LINK);
    }
    bench.set_route("::/0", Route::Via { port: P1, next_hop: ROUTER });
    bench.set_neighbor(P2, ROUTER);
    if on(5) {
        bench.set_neighbor(P1, ROUTER);
    }
    if on(6) {
        bench.apply(TableUpdate::IngressFilterSet(P0, IngressFilter::Prefixes(vec!["2001:db8::/36".parse().unwrap()])));
    }
    if on(7) {
        bench.apply(TableUpdate::LinkGroupJoin(P0, WIDE_GROUP));
    }
    let service = MmaService {
        address: AGENT,
        access_prefixes: vec!["2001:db8:300::/48".parse().unwrap()],
        peers: if on(8) { vec![PEERS.parse().unwrap()] } else { Vec::new() },
        chain: false,
    };
    bench.apply(TableUpdate::MmaServiceSet(service));
    for step in [9, 10, 11, 12, 13, 15] {
        change(bench, step, shape);
    }
    if on(29) {
        change(bench, 14, shape);
        bench.sent(P1);
    }
}

/// One change of the tables.
pub(super) fn change(bench: &mut Bench, step: u32, shape: u32) {
    let on = |bit: u32| shape >> bit & 1 == 1;
    match step % 16 {
        0 => bench.apply(TableUpdate::NeighborSet(
            P1,
            ROUTER,
            Neighbor { link_address: mac_of(ROUTER), notify_use: on(15) },
        )),
        1 => bench.apply(TableUpdate::MmaBindingRemove(HOME)),
        2 => bench.apply(TableUpdate::HomeBindingRemove(OTHER_HOME)),
        3 => bench.apply(TableUpdate::NeighborRemove(P1, ROUTER)),
        4 => bench.apply(TableUpdate::MrouteRemove(MrouteKey { source: SOURCE, group: GROUP })),
        5 => bench.now += stack::time::Duration::from_millis(700),
        6 => bench.apply(TableUpdate::NeighborSet(P1, ROUTER, Neighbor { link_address: PEER, notify_use: on(16) })),
        9 | 7 => {
            let state = match on(17) {
                true if on(18) => BindingState::Forward { to: FORMER, from_home_agent: on(19) },
                _ => BindingState::Active,
            };
            let gre_key = on(20).then_some(77);
            bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { gre_key, optimise: on(21), state, ..binding() }));
        }
        10 | 8 => {
            let ports: &[PortId] = if on(22) { &[P1, P2] } else { &[P2] };
            let accept = if on(23) && on(24) { Accept::Port(P0) } else { Accept::Local };
            let key = MrouteKey { source: SOURCE, group: GROUP };
            bench.apply(TableUpdate::MrouteSet(key, mroute(accept, ports, shape)));
            for (bit, port, group) in [(9, P1, GROUP), (10, P2, GROUP), (11, P2, WIDE_GROUP), (12, P1, WIDE_GROUP)] {
                let link_address = if on(13) { PEER } else { MacAddress([2, 0, 0, 0, 0, 0x77]) };
                bench.apply(match on(bit) {
                    true => TableUpdate::DeliverySet { port, group, link_address },
                    false => TableUpdate::DeliveryRemove { port, group },
                });
            }
        }
        11 => {
            let forward = if on(25) { vec![P0, P1, P2, P3] } else { vec![P1] };
            let mroute = mroute(Accept::Port(P0), &forward, shape);
            for source in [SOURCE, CN] {
                bench.apply(TableUpdate::MrouteSet(MrouteKey { source, group: WIDE_GROUP }, mroute));
            }
        }
        12 => {
            let home = HomeBinding { care_of: OTHER_CARE_OF, agent: OTHER_AGENT, home_port: P3 };
            bench.apply(TableUpdate::HomeBindingSet(OTHER_HOME, home));
            if on(28) {
                // A care-of address that is bound itself, and a home agent that is a terminal.
                for address in [OTHER_CARE_OF, HOME_AGENT] {
                    let home = HomeBinding { care_of: FAR, agent: OTHER_AGENT, home_port: P3 };
                    bench.apply(TableUpdate::HomeBindingSet(address, home));
                }
            }
        }
        13 => {
            for last in 0..2 {
                let group = tree_of_any(last);
                let source = if last == 0 { SOURCE } else { Ipv6Addr::UNSPECIFIED };
                let mroute = mroute(Accept::Port(P0), &[P2, P3], shape);
                bench.apply(TableUpdate::MrouteSet(MrouteKey { source, group }, mroute));
            }
        }
        14 => {
            // A router on the way of a tunnel found a packet too big.
            for (source, destination, from, to) in [
                (SOURCE, GROUP, CN, HOME),
                (CARE_OF, HOME_AGENT, HOME, CN),
                (OTHER_AGENT, OTHER_CARE_OF, CN, OTHER_HOME),
            ] {
                let quoted = tunnel(source, destination, &udp(from, to, 64, &[0; 1380]));
                let too_big = [&1340u32.to_be_bytes()[..], &quoted[..1200]].concat();
                bench.receive(P1, &[PacketBuilder::new(FAR, source).icmpv6(2, 0, &too_big)]);
            }
        }
        _ if on(26) => {
            // What the terminal's correspondent was told of: the pair is optimised.
            bench.plane.apply(bench.now, TableUpdate::OptimisedSet { home_address: HOME, correspondent: CN });
        }
        _ => {}
    }
}

/// What has come out of a port, in an order that does not depend on which packets of a batch went first, and without
/// sequence numbers of GRE, which do. They grow from frame to frame and are no more than that.
pub(super) fn sorted(frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut last = None;
    let mut frames: Vec<Vec<u8>> = frames
        .into_iter()
        .map(|mut frame| {
            if let Some(octets) = sequence_number(&mut frame) {
                let number = u32::from_be_bytes(*octets);
                assert!(last < Some(number), "{number} after {last:?}");
                last = Some(number);
                octets.fill(0);
            }
            frame
        })
        .collect();
    frames.sort();
    frames
}

/// The sequence number of a frame with GRE, perhaps behind the limit on encapsulations or a fragment header.
fn sequence_number(frame: &mut [u8]) -> Option<&mut [u8; 4]> {
    let (mut kind, mut at) = (*frame.get(20)?, 54);
    while matches!(kind, protocol::DESTINATION_OPTIONS | protocol::FRAGMENT) {
        kind = *frame.get(at)?;
        at += 8;
    }
    let has_one = kind == protocol::GRE && frame.get(at..at + 4) == Some(&[0x30, 0, 0x86, 0xdd]);
    if has_one { frame.get_mut(at + 8..)?.first_chunk_mut() } else { None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
    #[test]
    fn comes_to_what_the_stages_come_to(
        shape: u32,
        batches in prop::collection::vec(
            (prop::collection::vec(recipe(), 1..40), prop::collection::vec((0u32..16, any::<u32>()), 0..4)),
            1..6,
        ),
    ) {
        let mut nodes = [node(true, shape), node(false, shape)];
        for (recipes, changes) in batches {
            for port in [P0, P1] {
                let frames: Vec<_> =
                    recipes.iter().filter(|recipe| recipe.port == port.0).map(Recipe::frame).collect();
                nodes.iter_mut().for_each(|node| node.receive_frames(port, &frames));
            }
            let [express, stages] = &mut nodes;
            for port in [P0, P1, P2, P3] {
                prop_assert_eq!(sorted(express.sent(port)), sorted(stages.sent(port)), "port {}", port.0);
            }
            prop_assert_eq!(express.local(), stages.local());
            prop_assert_eq!(express.notices(), stages.notices());
            prop_assert_eq!(express.plane.counters(), stages.plane.counters());
            prop_assert!(express.plane.mroutes().eq(stages.plane.mroutes()));
            for (step, shape) in changes {
                nodes.iter_mut().for_each(|node| change(node, step, shape));
            }
        }
    }
}

/// The differential test says nothing where nothing goes the express way.
#[test]
fn takes_the_common_ways() {
    // Neighbours resolved, no border, no filter, nothing to be told of.
    let shape = 1 << 5;
    for kind in [0, 1, 2, 3, 4, 6, 7, 8, 9] {
        let mut node = node(true, shape);
        change(&mut node, 0, 0);
        let recipe = Recipe::of_kind(kind);
        // The first packet of a binding finds the tree, by the stages.
        node.receive_frames(P0, &[recipe.frame()]);
        let before = node.plane.staged_packets();
        node.receive_frames(P0, &vec![recipe.frame(); 40]);
        assert_eq!(node.plane.staged_packets(), before, "kind {kind}");
        assert_eq!(node.plane.counters().get(Counter::Rx), 41);
    }
}

#[test]
fn packets_of_a_flow_keep_their_order() {
    let mut node = node(true, 1 << 5);
    change(&mut node, 0, 0);
    let packets: Vec<_> = (0..200u16).map(|number| udp(CN, FAR, 64, &number.to_be_bytes())).collect();
    node.receive(P0, &packets);
    let sent: Vec<_> = node.sent(P1).iter().map(|frame| u16::from_be_bytes([frame[62], frame[63]])).collect();
    assert_eq!(sent, (0..200).collect::<Vec<_>>());
}
