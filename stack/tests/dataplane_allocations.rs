//! The fast paths allocate nothing a packet. An allocator that counts stands in for the system's, which is why this test
//! has a binary of its own.

mod bench;

use bench::*;
use core::net::Ipv6Addr;
use stack::machine::PortId;
use stack::packet::Batch;
use stack::pipeline::{DataplaneConfig, Forwarding};
use stack::port::Medium;
use stack::tables::{
    Accept, BindingState, Correspondent, CorrespondentBinding, GroupReception, HomeAddressPolicy, HomeBinding,
    MmaBinding, MmaService, Mroute, MrouteKey, PortSet, RegisterTunnel, Route, TableUpdate, Uplink, Watch,
};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 9);
const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x10);
const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 0x77);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x201, 0, 0, 0, 0, 1);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x202, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 1);
const FORMER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x400, 0, 0, 0, 0, 0x77);
const REGIONAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 0x99);
const ACCESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x300, 0xa, 0x0200, 0x5eff, 0xfe10, 1);
const TUN: PortId = PortId(3);

fn tunnel(source: Ipv6Addr, destination: Ipv6Addr, inner: &[u8]) -> Vec<u8> {
    PacketBuilder::new(source, destination).payload(protocol::IPV6, inner)
}

fn in_gre(sequence: u32, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x30, 0, 0x86, 0xdd, 0, 0, 0, 5];
    payload.extend_from_slice(&sequence.to_be_bytes());
    payload.extend_from_slice(inner);
    PacketBuilder::new(SOURCE, GROUP).payload(protocol::GRE, &payload)
}

fn plane(forwarding: Forwarding) -> Bench {
    let config = DataplaneConfig {
        forwarding,
        host_ports: PortSet::single(TUN),
        registers: true,
        unicast_delivery: PortSet::single(P2),
        ..DataplaneConfig::default()
    };
    let mut ports: Vec<_> = (0..3).map(|index| port(index, Medium::Ethernet, 1500)).collect();
    ports.push(port(TUN.0, Medium::Ip, 1500));
    let mut bench = Bench::with(config, ports);
    bench.set_route("::/0", Route::Via { port: P1, next_hop: ROUTER });
    bench.set_neighbor(P1, ROUTER);
    bench
}

fn mroute(accept: Accept) -> TableUpdate {
    let forward = [P1, P2].into_iter().collect();
    TableUpdate::MrouteSet(MrouteKey { source: SOURCE, group: GROUP }, Mroute::new(accept, forward))
}

/// Sends `packets` through twice: once to warm up what grows to its size once, once counted.
fn assert_free(name: &str, mut bench: Bench, port: PortId, packets: impl Fn(u32) -> Vec<u8>, ends: &str) {
    for round in 0..2 {
        let frames: Vec<Vec<u8>> = (0..64)
            .map(|n| {
                let packet = packets(round * 64 + n);
                if port == TUN { packet } else { frame_to(port, &packet) }
            })
            .collect();
        let mut batch: Batch = frames.iter().map(|frame| bench.pool.copy_of(frame).unwrap()).collect();
        let mut out = Batch::new();
        let before = ALLOCATIONS.get();
        bench.plane.process(bench.now, port, &mut batch);
        for port in [P0, P1, P2, TUN] {
            while bench.plane.outgoing(port).fill(&mut out) > 0 {
                out.clear();
            }
        }
        let allocations = ALLOCATIONS.get() - before;
        if round == 1 {
            assert_eq!(allocations, 0, "{name}");
        }
        bench.notices();
    }
    bench.check();
    let ended = bench.plane.counters().iter().find(|&(counter, _)| counter == ends).map(|(_, value)| value);
    assert!(ended >= Some(128), "{name}: the packets took another path: {:?}", bench.plane.counters());
}

fn frame_to(port: PortId, packet: &[u8]) -> Vec<u8> {
    let destination: [u8; 16] = packet[24..40].try_into().unwrap();
    let to = match Ipv6Addr::from(destination) {
        group if group.is_multicast() => stack::addr::MacAddress::of_multicast(group),
        _ => stack::addr::MacAddress([2, 0, 0, 0, 0, port.0]),
    };
    frame(to, PEER, packet)
}

#[test]
fn the_fast_paths_allocate_nothing() {
    let to_far = |n: u32| udp(CN, FAR, 64, &n.to_be_bytes());
    assert_free("forward", plane(Forwarding::Router), P0, to_far, "output");

    let mut bench = plane(Forwarding::Router);
    bench.apply(mroute(Accept::Port(P0)));
    assert_free("multicast", bench, P0, |n| udp(SOURCE, GROUP, 64, &n.to_be_bytes()), "copied");

    let tunnel_to_point = Some(RegisterTunnel { source: SELF, rendezvous_point: FAR });
    for (forward, name) in [(PortSet::EMPTY, "register"), (PortSet::single(P2), "register and forward")] {
        let mut bench = plane(Forwarding::Router);
        let mroute = Mroute { register: tunnel_to_point, ..Mroute::new(Accept::Port(P0), forward) };
        bench.apply(TableUpdate::MrouteSet(MrouteKey { source: SOURCE, group: GROUP }, mroute));
        assert_free(name, bench, P0, |n| udp(SOURCE, GROUP, 64, &n.to_be_bytes()), "registers-sent");
    }
    // The second round displaces what the first has left.
    let mut bench = plane(Forwarding::Router);
    let holds = Mroute { hold: true, ..Mroute::new(Accept::Port(P0), PortSet::EMPTY) };
    bench.apply(TableUpdate::MrouteSet(MrouteKey { source: SOURCE, group: GROUP }, holds));
    assert_free("held", bench, P0, |n| udp(SOURCE, GROUP, 64, &n.to_be_bytes()), "punt-hold");
    let mut bench = plane(Forwarding::Router);
    let any_source = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: GROUP };
    bench.apply(TableUpdate::MrouteSet(any_source, holds));
    assert_free("held of a shared tree", bench, P0, |n| udp(SOURCE, GROUP, 64, &n.to_be_bytes()), "punt-hold");
    let shared = |accept| {
        let mut bench = plane(Forwarding::Router);
        let mroute = Mroute { watch: Watch::Sources, ..Mroute::new(accept, PortSet::single(P1)) };
        bench.apply(TableUpdate::MrouteSet(MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: GROUP }, mroute));
        bench
    };
    let of_many = |n: u32| {
        let source = Ipv6Addr::from_bits(CN.to_bits() + u128::from(n));
        udp(source, GROUP, 64, &n.to_be_bytes())
    };
    assert_free("sources told", shared(Accept::Port(P0)), P0, of_many, "output");
    assert_free("wrong port told", shared(Accept::Port(P1)), P0, of_many, "drop-multicast-wrong-port");
    let registered = |n: u32| {
        let message = [0x21, 0, 0, 0, 0, 0, 0, 0].into_iter().chain(of_many(n)).collect();
        let mut packet = PacketBuilder::new(FAR, SELF).checksummed(protocol::PIM, message, 2);
        if n.is_multiple_of(2) {
            // Over eight octets, as it should be.
            packet[42..44].fill(0);
            let sum = stack::wire::checksum::upper_layer(FAR, SELF, protocol::PIM, &packet[40..48]);
            packet[42..44].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    };
    assert_free("out of a register", shared(Accept::RendezvousPoint), P0, registered, "registers-received");
    let missed = plane(Forwarding::Router);
    assert_free("missing route told", missed, P0, of_many, "drop-multicast-no-route");
    let mut bench = plane(Forwarding::Router);
    bench.apply(mroute(Accept::Port(P0)));
    let link_address = stack::addr::MacAddress([2, 0, 0, 0, 0, 9]);
    bench.apply(TableUpdate::DeliverySet { port: P2, group: GROUP, link_address });
    assert_free("to a listener", bench, P0, |n| udp(SOURCE, GROUP, 64, &n.to_be_bytes()), "unicast-deliveries");

    let binding = MmaBinding {
        care_of: CARE_OF,
        group: GROUP,
        source: SOURCE,
        home_agent: HOME_AGENT,
        gre_key: None,
        access_identifier: 0x0200_5eff_fe10_0001,
        optimise: false,
        state: BindingState::Active,
    };
    let agent = |gre_key| {
        let mut bench = plane(Forwarding::Router);
        bench.set_route("2001:db8:200::/64", Route::CareOf);
        bench.set_route(&format!("{AGENT}/128"), Route::Local);
        bench.apply(mroute(Accept::Local));
        let service = MmaService {
            address: AGENT,
            access_prefixes: vec!["2001:db8:300::/48".parse().unwrap()],
            peers: vec!["2001:db8:400::/64".parse().unwrap()],
            chain: false,
        };
        bench.apply(TableUpdate::MmaServiceSet(service));
        bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { gre_key, ..binding }));
        bench
    };
    let from_home_agent = |n: u32| tunnel(HOME_AGENT, CARE_OF, &udp(CN, HOME, 64, &n.to_be_bytes()));
    assert_free("rewrite to the group", agent(None), P0, from_home_agent, "binding-to-group");
    assert_free("rewrite to GRE", agent(Some(5)), P0, from_home_agent, "binding-to-group");
    let routed = |n: u32| PacketBuilder::new(CN, CARE_OF).type2_routing(HOME).payload(protocol::NONE, &n.to_be_bytes());
    assert_free("encapsulate", agent(None), P0, routed, "binding-to-group");
    let reverse = |n: u32| tunnel(ACCESS, AGENT, &udp(HOME, CN, 64, &n.to_be_bytes()));
    assert_free("reverse tunnel", agent(None), P2, reverse, "tunnel-to-home-agent");

    let of_former = |n: u32| {
        let routed = PacketBuilder::new(CN, FORMER).type2_routing(HOME).payload(protocol::NONE, &n.to_be_bytes());
        tunnel(FORMER, CARE_OF, &routed)
    };
    assert_free("from another agent", agent(None), P0, of_former, "binding-to-group");
    let mut bench = agent(None);
    let state = BindingState::Forward { to: FORMER, from_home_agent: true };
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { state, ..binding }));
    assert_free("to another agent", bench, P0, from_home_agent, "binding-forwarded");
    let mut bench = agent(None);
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { optimise: true, ..binding }));
    assert_free("with correspondents told", bench, P0, routed, "binding-to-group");
    let mut bench = agent(None);
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { optimise: true, ..binding }));
    let of_many = |n: u32| {
        let correspondent = Ipv6Addr::from_bits(CN.to_bits() + u128::from(n));
        tunnel(HOME_AGENT, CARE_OF, &udp(correspondent, HOME, 64, &n.to_be_bytes()))
    };
    assert_free("with many correspondents told", bench, P0, of_many, "binding-to-group");
    let mut bench = agent(None);
    bench.apply(TableUpdate::OptimisedSet { home_address: HOME, correspondent: CN });
    assert_free("to a correspondent with a binding", bench, P2, reverse, "tunnel-optimised");

    let anchor = || {
        let mut bench = agent(None);
        let state = BindingState::Anchor;
        let anchored = MmaBinding { care_of: REGIONAL, group: ACCESS, source: AGENT, state, ..binding };
        bench.apply(TableUpdate::MmaBindingSet(REGIONAL, anchored));
        bench
    };
    let to_regional = |n: u32| tunnel(HOME_AGENT, REGIONAL, &udp(CN, FAR, 64, &n.to_be_bytes()));
    assert_free("anchor", anchor(), P0, to_regional, "binding-anchored");
    let from_regional = |n: u32| tunnel(ACCESS, AGENT, &udp(REGIONAL, CN, 64, &n.to_be_bytes()));
    assert_free("from the anchor", anchor(), P2, from_regional, "tunnel-exit");

    let mut bench = plane(Forwarding::Router);
    let home = HomeBinding { care_of: CARE_OF, agent: HOME_AGENT, home_port: P2 };
    bench.apply(TableUpdate::HomeBindingSet(HOME, home));
    assert_free("home agent", bench, P0, |n| udp(CN, HOME, 64, &n.to_be_bytes()), "home-intercepted");

    let correspondent = || {
        let mut bench = plane(Forwarding::Host);
        bench.set_route(&format!("{CN}/128"), Route::OnLink(TUN));
        let role = Correspondent { address: CN, policy: HomeAddressPolicy::CareOf };
        bench.apply(TableUpdate::CorrespondentSet(role));
        let binding = CorrespondentBinding { local: CN, care_of: CARE_OF };
        bench.apply(TableUpdate::CorrespondentBindingSet(HOME, binding));
        bench
    };
    let to_home = |n: u32| udp(CN, HOME, 64, &n.to_be_bytes());
    assert_free("to a care-of address", correspondent(), TUN, to_home, "correspondent-sent");
    let from_care_of = |n: u32| {
        let plain = udp(HOME, CN, 64, &n.to_be_bytes());
        PacketBuilder::new(CARE_OF, CN).home_address(HOME).payload(protocol::UDP, &plain[40..])
    };
    assert_free("from a care-of address", correspondent(), P0, from_care_of, "correspondent-received");

    let terminal = |gre_key| {
        let mut bench = plane(Forwarding::Host);
        bench.set_route(&format!("{HOME}/128"), Route::OnLink(TUN));
        let reception = GroupReception { source: SOURCE, gre_key, care_of: CARE_OF, home_address: HOME };
        bench.apply(TableUpdate::GroupReceptionSet(GROUP, reception));
        let uplink = Uplink::Tunnel { port: P1, router: ROUTER, source: ACCESS, peer: AGENT };
        bench.apply(TableUpdate::UplinkSet(HOME, uplink));
        bench
    };
    let plain = |n: u32| tunnel(SOURCE, GROUP, &udp(CN, HOME, 64, &n.to_be_bytes()));
    assert_free("terminal", terminal(None), P0, plain, "terminal-received");
    let routed = |n: u32| {
        let plain = udp(CN, HOME, 64, &n.to_be_bytes());
        tunnel(SOURCE, GROUP, &PacketBuilder::new(CN, CARE_OF).type2_routing(HOME).payload(protocol::UDP, &plain[40..]))
    };
    assert_free("terminal with a routing header", terminal(None), P0, routed, "terminal-received");
    let optimised = || {
        let mut bench = terminal(None);
        let uplink =
            Uplink::OptimisedTunnel { port: P1, router: ROUTER, source: ACCESS, peer: AGENT, care_of: CARE_OF };
        bench.apply(TableUpdate::UplinkSet(HOME, uplink));
        bench
    };
    let up = |n: u32| udp(HOME, CN, 64, &n.to_be_bytes());
    assert_free("uplink with an option", optimised(), TUN, up, "uplink-sent");
    let keyed = |n: u32| in_gre(n, &udp(CN, HOME, 64, &n.to_be_bytes()));
    assert_free("terminal with GRE", terminal(Some(5)), P0, keyed, "terminal-received");
    assert_free("uplink", terminal(None), TUN, |n| udp(HOME, CN, 64, &n.to_be_bytes()), "uplink-sent");
}
