//! What ends on this node, and what it sends.

use super::*;

#[test]
fn echo_is_answered_and_the_rest_goes_to_the_node_or_back() {
    let mut bench = Bench::router(1);
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    let request = PacketBuilder::new(CN, SELF).icmpv6(128, 0, b"\0\x01\0\x02payload!");
    bench.receive(P0, std::slice::from_ref(&request));
    let reply = PacketBuilder::new(SELF, CN).icmpv6(129, 0, b"\0\x01\0\x02payload!");
    assert_eq!(bench.sent(P0), [frame(mac_of(CN), MAC0, &reply)]);
    bench.expect_counters(&[("rx", 1), ("echo-replies", 1), ("output", 1)]);

    let mut broken = request;
    broken[50] ^= 1;
    let signalling = PacketBuilder::new(CN, SELF).checksummed(protocol::MOBILITY, vec![59, 0, 0, 0, 0, 0, 0, 0], 4);
    let pim = PacketBuilder::new(ROUTER, stack::addr::ALL_PIM_ROUTERS).hop_limit(1).payload(protocol::PIM, &[0; 4]);
    bench.receive(P0, &[broken, signalling.clone(), pim.clone()]);
    bench.expect_counters(&[("rx", 3), ("drop-local-checksum", 1), ("local", 1), ("drop-multicast-not-heard", 1)]);
    bench.apply(TableUpdate::LinkGroupJoin(P0, stack::addr::ALL_PIM_ROUTERS));
    bench.receive(P0, std::slice::from_ref(&pim));
    let local = bench.local();
    assert_eq!(local.iter().map(|(_, packet)| packet.clone()).collect::<Vec<_>>(), [signalling, pim]);
    assert!(local[1].0.link_multicast && local[1].0.link_source == Some(PEER) && local[1].0.port == P0);
    bench.expect_counters(&[("rx", 1), ("local", 1)]);

    let datagram = udp(CN, SELF, 64, b"anyone?");
    let odd = PacketBuilder::new(CN, SELF).payload(200, b"????");
    bench.receive(P0, &[datagram.clone(), odd.clone()]);
    bench.expect_counters(&[
        ("rx", 2),
        ("icmp-error-port-unreachable", 1),
        ("icmp-error-next-header", 1),
        ("generated", 2),
        ("output", 2),
    ]);
    let body = |word: u32, packet: &[u8]| [&word.to_be_bytes()[..], packet].concat();
    let unreachable = PacketBuilder::new(SELF, CN).icmpv6(1, 4, &body(0, &datagram));
    let problem = PacketBuilder::new(SELF, CN).icmpv6(4, 1, &body(6, &odd));
    assert_eq!(bench.sent(P0), [frame(mac_of(CN), MAC0, &unreachable), frame(mac_of(CN), MAC0, &problem)]);
}

#[test]
fn a_home_address_option_without_a_binding_is_answered() {
    let mut bench = Bench::router(1);
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    let from_home = |to| PacketBuilder::new(CN, to).home_address(HOME);
    let echo = from_home(SELF).icmpv6(128, 0, b"\0\x01\0\x02");
    let datagram = from_home(SELF).payload(protocol::UDP, &[0, 1, 0, 2, 0, 8, 0, 0]);
    bench.receive(P0, &[echo.clone(), datagram.clone(), from_home(stack::addr::ALL_NODES).icmpv6(128, 0, &[0; 4])]);
    bench.expect_counters(&[
        ("rx", 3),
        ("icmp-error-option", 2),
        ("drop-local-home-address", 1),
        ("generated", 2),
        ("output", 2),
    ]);
    let problem = |packet: &[u8]| {
        let option_type = packet.iter().position(|&octet| octet == 201).unwrap() as u32;
        let body = [&option_type.to_be_bytes()[..], packet].concat();
        frame(mac_of(CN), MAC0, &PacketBuilder::new(SELF, CN).icmpv6(4, 2, &body))
    };
    assert_eq!(bench.sent(P0), [problem(&echo), problem(&datagram)]);
}

#[test]
fn mld_about_any_group_reaches_the_node() {
    let mut bench = Bench::router(1);
    let query = PacketBuilder::new(ROUTER, GROUP).hop_limit(1).router_alert(0).icmpv6(130, 0, &[0; 24]);
    bench.receive(P0, std::slice::from_ref(&query));
    assert_eq!(bench.local().len(), 1);
    let not_mld = PacketBuilder::new(ROUTER, GROUP).hop_limit(1).router_alert(0).icmpv6(128, 0, &[0; 24]);
    bench.receive(P0, &[not_mld]);
    bench.expect_counters(&[("rx", 2), ("local", 1), ("drop-multicast-link-local", 1)]);
}

#[test]
fn what_the_node_sends_leaves_as_it_says() {
    let mut bench = router_to_far();
    let packet = udp(SELF, FAR, 255, b"x");
    bench.transmit(packet.clone(), Via::Route);
    bench.transmit(packet.clone(), Via::LinkAddress(P0, PEER));
    bench.transmit(packet.clone(), Via::NextHop(P1, ROUTER));
    let to_all = udp(ROUTER, "ff02::1".parse().unwrap(), 255, b"all");
    bench.transmit(to_all.clone(), Via::Link(P0));
    let sent = bench.sent(P1);
    assert_eq!(sent, vec![frame(mac_of(ROUTER), MAC1, &packet); 2]);
    let all_nodes = MacAddress([0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(bench.sent(P0), [frame(PEER, MAC0, &packet), frame(all_nodes, MAC0, &to_all)]);
    bench.transmit(packet[..20].to_vec(), Via::Route);
    bench.transmit(packet, Via::Link(stack::machine::PortId(9)));
    bench.expect_counters(&[
        ("transmitted", 6),
        ("output", 4),
        ("drop-transmit-invalid", 1),
        ("drop-output-no-port", 1),
    ]);
}
