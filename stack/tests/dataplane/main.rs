//! The data plane from outside: packets in, octets out, and the difference of all counters.

#[path = "../bench/mod.rs"]
mod bench;

mod agent;
mod anchor;
mod beside;
mod care_of;
mod circles;
mod correspondent;
mod delivery;
mod express;
mod forwarding;
mod fragments;
mod hold;
mod home_agent;
mod input;
mod limits;
mod local;
mod multicast;
mod optimised;
mod register;
mod reorder;
mod sighting;
mod signalling;
mod sites;
mod terminal;
mod to_terminal;
mod tunnels;
mod unicast;

use bench::*;
use core::net::Ipv6Addr;
use stack::addr::{MacAddress, Prefix};
use stack::machine::{CorrespondentWay, Notice, Via};
use stack::packet::BATCH_SIZE;
use stack::pipeline::{DataplaneConfig, Forwarding, MssClamp, TunnelDscp};
use stack::port::Medium;
use stack::tables::{
    Accept, BindingState, GroupReception, HomeBinding, IngressFilter, MmaBinding, MmaService, Mroute, MrouteKey,
    Neighbor, PortSet, Route, TableUpdate, TunnelReception, Uplink,
};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;

const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 9);
const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x10);
const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 0x77);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x201, 0, 0, 0, 0, 1);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x202, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 1);
const ACCESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x300, 0xa, 0x0200, 0x5eff, 0xfe10, 1);
/// A care-of address of an agent of another site, and that site's care-of prefix.
const FORMER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x400, 0, 0, 0, 0, 0x77);
const PEERS: &str = "2001:db8:400::/64";
const ACCESS_ID: u64 = 0x0200_5eff_fe10_0001;

fn router_to_far() -> Bench {
    let mut bench = Bench::router(2);
    bench.set_route("2001:db8:2::/64", Route::Via { port: P1, next_hop: ROUTER });
    bench.set_neighbor(P1, ROUTER);
    bench
}

/// The packet with its hop limit one lower.
fn hopped(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[7] -= 1;
    packet
}

/// An outer header as the data plane writes it, the flow label left zero, in front of `inner`.
fn tunnel(source: Ipv6Addr, destination: Ipv6Addr, inner: &[u8]) -> Vec<u8> {
    PacketBuilder::new(source, destination).payload(protocol::IPV6, inner)
}

fn gre(source: Ipv6Addr, destination: Ipv6Addr, key: u32, sequence: u32, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x30, 0, 0x86, 0xdd];
    payload.extend_from_slice(&key.to_be_bytes());
    payload.extend_from_slice(&sequence.to_be_bytes());
    payload.extend_from_slice(inner);
    PacketBuilder::new(source, destination).payload(protocol::GRE, &payload)
}

/// Compares frames but for the outer flow label, which is not zero.
fn assert_tunnelled(sent: &[Vec<u8>], expected: &[Vec<u8>]) {
    let mut sent = sent.to_vec();
    for frame in &mut sent {
        assert!(frame[15] & 0xf | frame[16] | frame[17] != 0, "a tunnel has a flow label");
        frame[15] &= 0xf0;
        frame[16] = 0;
        frame[17] = 0;
    }
    assert_eq!(sent, expected);
}

fn to_group(port: u8, packet: &[u8]) -> Vec<u8> {
    frame(MacAddress::of_multicast(GROUP), MacAddress([2, 0, 0, 0, 0, port]), packet)
}

fn tree(accept: Accept, ports: &[stack::machine::PortId]) -> TableUpdate {
    TableUpdate::MrouteSet(
        MrouteKey { source: SOURCE, group: GROUP },
        Mroute::new(accept, ports.iter().copied().collect()),
    )
}

fn binding() -> MmaBinding {
    MmaBinding {
        care_of: CARE_OF,
        group: GROUP,
        source: SOURCE,
        home_agent: HOME_AGENT,
        gre_key: None,
        access_identifier: ACCESS_ID,
        optimise: false,
        state: BindingState::Active,
    }
}

/// P0 towards the home agent and correspondents, P1 into the site.
fn agent() -> Bench {
    agent_with(DataplaneConfig::default(), [1500, 1500])
}

/// The agent takes what agents of [`PEERS`] forward.
fn serve(bench: &mut Bench, chain: bool) {
    let service = MmaService {
        address: AGENT,
        access_prefixes: vec!["2001:db8:300::/48".parse().unwrap()],
        peers: vec![PEERS.parse().unwrap()],
        chain,
    };
    bench.apply(TableUpdate::MmaServiceSet(service));
}

/// With ports of these MTUs.
fn agent_with(config: DataplaneConfig, mtus: [usize; 2]) -> Bench {
    let ports = (0..).zip(mtus).map(|(index, mtu)| port(index, Medium::Ethernet, mtu));
    let mut bench = Bench::with(config, ports.collect());
    bench.set_route("2001:db8:200::/64", Route::CareOf);
    bench.set_route(&format!("{AGENT}/128"), Route::Local);
    bench.set_route(&format!("{SOURCE}/128"), Route::Local);
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    let service = MmaService {
        address: AGENT,
        access_prefixes: vec!["2001:db8:300::/48".parse().unwrap()],
        peers: Vec::new(),
        chain: false,
    };
    bench.apply(TableUpdate::MmaServiceSet(service));
    bench.apply(TableUpdate::MmaBindingSet(HOME, binding()));
    bench.apply(tree(Accept::Local, &[P1]));
    bench
}

fn home_agent() -> Bench {
    home_agent_with(DataplaneConfig::default())
}

fn home_agent_with(config: DataplaneConfig) -> Bench {
    let mut bench = Bench::with(config, (0..2).map(|index| port(index, Medium::Ethernet, 1500)).collect());
    bench.set_route(&format!("{HOME_AGENT}/128"), Route::Local);
    bench.set_route("2001:db8:100::/64", Route::OnLink(P1));
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    let home = HomeBinding { care_of: CARE_OF, agent: HOME_AGENT, home_port: P1 };
    bench.apply(TableUpdate::HomeBindingSet(HOME, home));
    bench
}

/// P0 and P1 are radios, P2 is the TUN device behind which the home address is.
fn terminal() -> Bench {
    terminal_with(DataplaneConfig::default(), 1500)
}

/// With radios of this MTU.
fn terminal_with(config: DataplaneConfig, mtu: usize) -> Bench {
    let config = DataplaneConfig { forwarding: Forwarding::Host, host_ports: PortSet::single(P2), ..config };
    let ports = vec![port(0, Medium::Ethernet, mtu), port(1, Medium::Ethernet, mtu), port(2, Medium::Ip, 1500)];
    let mut bench = Bench::with(config, ports);
    bench.set_route(&format!("{ACCESS}/128"), Route::Local);
    bench.set_route(&format!("{HOME}/128"), Route::OnLink(P2));
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    bench.set_neighbor(P1, ROUTER);
    let reception = GroupReception { source: SOURCE, gre_key: None, care_of: CARE_OF, home_address: HOME };
    bench.apply(TableUpdate::GroupReceptionSet(GROUP, reception));
    bench
}

fn terminal_with_key(gre_key: u32) -> Bench {
    let mut bench = terminal();
    let reception = GroupReception { source: SOURCE, gre_key: Some(gre_key), care_of: CARE_OF, home_address: HOME };
    bench.apply(TableUpdate::GroupReceptionSet(GROUP, reception));
    bench
}
