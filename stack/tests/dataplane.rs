//! The data plane from outside: packets in, octets out, and the difference of all counters.

mod bench;

use bench::*;
use stack::machine::Notice;
use stack::tables::Route;

#[test]
fn a_packet_is_forwarded_once_its_neighbor_is_known() {
    let mut plane = Bench::router(2);
    plane.set_route("2001:db8:2::/64", Route::Via { port: P1, next_hop: ROUTER });
    let packet = udp(CN, "2001:db8:2::9".parse().unwrap(), 64, b"hello");
    plane.receive(P0, &[packet.clone()]);
    plane.expect_counters(&[("rx", 1), ("punt-neighbor", 1)]);
    assert_eq!(plane.notices(), [Notice::NeighborMissing { port: P1, address: ROUTER }]);
    plane.set_neighbor(P1, ROUTER);
    plane.expect_counters(&[("resumed", 1), ("output", 1)]);
    let mut expected = packet;
    expected[7] = 63;
    assert_eq!(plane.sent(P1), [frame(mac_of(ROUTER), MAC1, &expected)]);
}
