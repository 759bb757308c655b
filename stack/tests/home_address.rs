//! A terminal at home whose home address stands on a TUN port: programs get its packets, the node its signalling.

mod bench;

use bench::{Bench, CN, P0, P1, ROUTER, port, udp};
use core::net::Ipv6Addr;
use stack::pipeline::DataplaneConfig;
use stack::port::Medium;
use stack::tables::{Route, TableUpdate, Uplink};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

#[test]
fn mobility_headers_to_the_home_address_are_for_the_node() {
    let ports = vec![port(0, Medium::Ethernet, 1500), port(1, Medium::Ip, 1500)];
    let mut bench = Bench::with(DataplaneConfig::default(), ports);
    bench.set_route(&format!("{HOME}/128"), Route::OnLink(P1));
    bench.apply(TableUpdate::UplinkSet(HOME, Uplink::Native { port: P0, router: ROUTER }));
    // The home agent's acknowledgement of a de-registration has no routing header (RFC 6275 §9.5.4).
    let acknowledgement = vec![59, 1, 6, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 0, 0];
    let packet = PacketBuilder::new(AGENT, HOME).checksummed(protocol::MOBILITY, acknowledgement, 4);
    bench.receive(P0, &[packet.clone(), udp(CN, HOME, 64, b"data")]);
    assert_eq!(bench.local().into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), [packet]);
    assert_eq!(bench.sent(P1).len(), 1);
}
