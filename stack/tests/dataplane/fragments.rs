//! Fragments: put together where a packet or a tunnel ends, within bounds.

use super::*;

/// A fragment from `source` to `destination` of a packet with this identification: data of `kind` from `offset` on.
fn fragment_of(
    (source, destination): (Ipv6Addr, Ipv6Addr),
    kind: u8,
    (offset, more): (u16, bool),
    id: u32,
    data: &[u8],
) -> Vec<u8> {
    let field = (offset | u16::from(more)).to_be_bytes();
    let mut payload = vec![kind, 0, field[0], field[1]];
    payload.extend_from_slice(&id.to_be_bytes());
    payload.extend_from_slice(data);
    PacketBuilder::new(source, destination).payload(protocol::FRAGMENT, &payload)
}

fn fragment(offset: u16, more: bool, id: u32, data: &[u8]) -> Vec<u8> {
    fragment_of((CN, SELF), protocol::NONE, (offset, more), id, data)
}

/// A packet in two fragments, the second of what is behind `at` octets.
fn in_two(packet: &[u8], id: u32, at: usize) -> [Vec<u8>; 2] {
    let addresses = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    let ends = (addresses(8), addresses(24));
    let data = &packet[40..];
    [
        fragment_of(ends, packet[6], (0, true), id, &data[..at]),
        fragment_of(ends, packet[6], (at as u16, false), id, &data[at..]),
    ]
}

fn host() -> Bench {
    let mut bench = Bench::router(1);
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    bench
}

#[test]
fn fragments_that_overlap_or_never_come_are_given_up() {
    let mut bench = host();
    bench.receive(P0, &[fragment(0, true, 1, &[0; 16]), fragment(8, false, 1, &[0; 16])]);
    bench.expect_counters(&[("rx", 2), ("punt-reassembly", 1), ("drop-reassembly-overlap", 1)]);
    assert_eq!(bench.plane.held_frames(), 0);
    // Nothing of that packet is taken any more, not even what would make it whole (RFC 5722 §4).
    bench.receive(P0, &[fragment(0, true, 1, &[0; 16]), fragment(16, false, 1, &[0; 16])]);
    bench.expect_counters(&[("rx", 2), ("drop-reassembly-refused", 2)]);
    bench.receive(P0, &[fragment(0, true, 2, &[0; 15])]);
    bench.expect_counters(&[("rx", 1), ("icmp-error-header-field", 1), ("generated", 1), ("output", 1)]);
    let first = fragment(0, true, 3, &[0; 16]);
    bench.receive(P0, &[first.clone(), first, fragment(16, true, 4, &[0; 16])]);
    bench.expect_counters(&[("rx", 3), ("punt-reassembly", 2), ("drop-reassembly-duplicate", 1)]);
    let at = bench.plane.poll_timeout().unwrap();
    bench.plane.handle_timeout(at);
    bench.check();
    bench.expect_counters(&[
        ("reassembly-timeouts", 2),
        ("waited-in-vain", 1),
        ("icmp-error-reassembly-time", 1),
        ("generated", 1),
        ("output", 1),
    ]);
    assert_eq!(bench.plane.poll_timeout(), None);
}

#[test]
fn a_fragment_that_comes_twice_has_to_be_the_same() {
    let mut bench = host();
    bench.receive(P0, &[fragment(0, true, 1, &[1; 16]), fragment(0, true, 1, &[2; 16])]);
    bench.receive(P0, &[fragment(0, true, 2, &[1; 16]), fragment(0, false, 2, &[1; 16])]);
    // The second of each pair says otherwise; an atomic fragment stands for itself (RFC 6946 §4).
    bench.expect_counters(&[
        ("rx", 4),
        ("punt-reassembly", 2),
        ("drop-reassembly-overlap", 1),
        ("drop-local-no-next-header", 1),
    ]);
}

#[test]
fn the_end_is_where_the_last_fragment_says() {
    let mut bench = host();
    let beyond = [fragment(16, false, 1, &[0; 8]), fragment(24, true, 1, &[0; 8])];
    let second_end = [fragment(16, false, 2, &[0; 8]), fragment(32, false, 2, &[0; 8])];
    let end_before = [fragment(32, true, 3, &[0; 8]), fragment(16, false, 3, &[0; 8])];
    for packets in [beyond, second_end, end_before] {
        bench.receive(P0, &packets);
        bench.expect_counters(&[("rx", 2), ("punt-reassembly", 1), ("drop-reassembly-overlap", 1)]);
    }
    assert_eq!(bench.plane.held_frames(), 0);
}

#[test]
fn too_many_too_large_and_headless_fragments_are_refused() {
    let mut bench = host();
    let many: Vec<_> = (0..17).map(|n| fragment(8 * n, true, 1, &[0; 8])).collect();
    bench.receive(P0, &many);
    bench.expect_counters(&[("rx", 17), ("punt-reassembly", 16), ("drop-reassembly-too-many", 1)]);
    bench.receive(P0, &[fragment(0, true, 2, &[0; 8]), fragment(4000, false, 2, &[0; 8])]);
    bench.expect_counters(&[("rx", 2), ("punt-reassembly", 1), ("drop-reassembly-too-large", 1)]);
    assert_eq!(bench.plane.held_frames(), 0);
    bench.receive(P0, &[fragment(65528, true, 3, &[0; 16])]);
    bench.expect_counters(&[("rx", 1), ("icmp-error-header-field", 1), ("generated", 1), ("output", 1)]);
}

#[test]
fn a_first_fragment_without_all_headers_is_answered_or_to_a_group_dropped() {
    let mut bench = host();
    let inner = udp(HOME, CN, 60, &[0; 100]);
    let headless = fragment_of((CN, SELF), protocol::IPV6, (0, true), 1, &inner[..32]);
    bench.receive(P0, std::slice::from_ref(&headless));
    let body = [&[0; 4][..], &headless].concat();
    assert_eq!(bench.sent(P0), [frame(mac_of(CN), MAC0, &PacketBuilder::new(SELF, CN).icmpv6(4, 3, &body))]);
    bench.expect_counters(&[("rx", 1), ("icmp-error-header-chain", 1), ("generated", 1), ("output", 1)]);
    let mut bench = terminal();
    bench.receive(P0, &[fragment_of((SOURCE, GROUP), protocol::IPV6, (0, true), 1, &inner[..32])]);
    bench.expect_counters(&[("rx", 1), ("drop-icmp-forbidden", 1)]);
}

#[test]
fn every_end_of_a_tunnel_puts_fragments_together() {
    let (down, up) = (udp(CN, HOME, 60, &[5; 1200]), udp(HOME, CN, 60, &[6; 1200]));
    let (to_care_of, to_agent) = (tunnel(HOME_AGENT, CARE_OF, &down), tunnel(ACCESS, AGENT, &up));
    let (to_home_agent, to_terminal) = (tunnel(CARE_OF, HOME_AGENT, &up), tunnel(SOURCE, GROUP, &down));
    let with_key = gre(SOURCE, GROUP, 9, 0, &down);
    let out = |bench: &mut Bench| [P0, P1].into_iter().flat_map(|port| bench.sent(port)).collect::<Vec<_>>();
    for order in [[0, 1], [1, 0]] {
        let pieces = |packet: &[u8]| order.map(|n: usize| in_two(packet, 77, 640)[n].clone());
        let mut bench = agent();
        bench.receive(P0, &pieces(&to_care_of));
        assert_tunnelled(&out(&mut bench), &[super::to_group(1, &tunnel(SOURCE, GROUP, &hopped(&down)))]);
        bench.receive(P1, &pieces(&to_agent));
        let expected = frame(mac_of(ROUTER), MAC0, &tunnel(CARE_OF, HOME_AGENT, &hopped(&up)));
        assert_tunnelled(&out(&mut bench), &[expected]);
        let mut bench = home_agent();
        bench.receive(P0, &pieces(&to_home_agent));
        assert_eq!(out(&mut bench), [frame(mac_of(ROUTER), MAC0, &hopped(&up))]);
        let mut bench = terminal();
        bench.receive(P0, &pieces(&to_terminal));
        assert_eq!(bench.sent(P2), std::slice::from_ref(&down));
        let mut bench = terminal_with_key(9);
        bench.receive(P0, &pieces(&with_key));
        bench.receive(P1, &pieces(&with_key));
        assert_eq!(bench.sent(P2), std::slice::from_ref(&down));
        bench.expect_counters(&[
            ("rx", 4),
            ("punt-reassembly", 4),
            ("resumed", 2),
            ("reassembled", 2),
            ("terminal-received", 1),
            ("output", 1),
            ("drop-terminal-duplicate", 1),
        ]);
    }
}

#[test]
fn atomic_fragments_leave_tunnels_at_once() {
    let inner = udp(CN, HOME, 60, b"atomic");
    let mut bench = agent();
    bench.receive(P0, &[fragment_of((HOME_AGENT, CARE_OF), protocol::IPV6, (0, false), 1, &inner)]);
    assert_tunnelled(&bench.sent(P1), &[super::to_group(1, &tunnel(SOURCE, GROUP, &hopped(&inner)))]);
    let mut bench = terminal();
    bench.receive(P0, &[fragment_of((SOURCE, GROUP), protocol::IPV6, (0, false), 1, &inner)]);
    assert_eq!(bench.sent(P2), [inner]);
    assert_eq!(bench.plane.held_frames(), 0);
}

#[test]
fn one_congested_fragment_marks_the_packet_that_leaves_the_tunnel() {
    let class = |ecn: u8| ecn << 4;
    let inner = PacketBuilder::new(CN, HOME).traffic_class(0b10).payload(protocol::NONE, &[3; 200]);
    let [mut first, mut second] = in_two(&tunnel(SOURCE, GROUP, &inner), 1, 120);
    (first[1], second[1]) = (class(0b10), class(0b11));
    let mut bench = terminal();
    bench.receive(P0, &[first, second]);
    let sent = bench.sent(P2);
    assert_eq!((sent.len(), sent[0][1] >> 4), (1, 0b11));
}

#[test]
fn destination_options_may_stand_before_the_fragment_header() {
    let mut bench = host();
    let reply = |data: &[u8]| PacketBuilder::new(SELF, CN).icmpv6(129, 0, data);
    let request = PacketBuilder::new(CN, SELF).icmpv6(128, 0, &[7; 60]);
    let pieces = in_two(&request, 5, 32).map(|piece| {
        let mut payload = vec![protocol::FRAGMENT, 0, 1, 4, 0, 0, 0, 0];
        payload.extend_from_slice(&piece[40..]);
        PacketBuilder::new(CN, SELF).payload(protocol::DESTINATION_OPTIONS, &payload)
    });
    bench.receive(P0, &pieces);
    assert_eq!(bench.sent(P0), [frame(mac_of(CN), MAC0, &reply(&[7; 60]))]);
}

#[test]
fn a_flood_of_fragments_holds_little_and_shuts_nobody_out() {
    let mut bench = agent();
    let down = udp(CN, HOME, 60, &[5; 1200]);
    let pieces = in_two(&tunnel(HOME_AGENT, CARE_OF, &down), 77, 640);
    let stranger = |n: u32| Ipv6Addr::from_bits(FAR.to_bits() + u128::from(n) + 100);
    let flood = |n: u32| fragment_of((stranger(n), CARE_OF), protocol::NONE, (8, true), n, &[0; 8]);
    let mut most = 0;
    for round in 0..50 {
        bench.receive(P0, &(0..40).map(|n| flood(40 * round + n)).collect::<Vec<_>>());
        // Between its two fragments come as many strangers' as are tolerated.
        bench.receive(P0, &pieces[..1]);
        bench.receive(P0, &(0..20).map(|n| flood(100_000 + 40 * round + n)).collect::<Vec<_>>());
        bench.receive(P0, &pieces[1..]);
        most = most.max(bench.plane.held_frames());
    }
    assert!(most <= FRAMES as usize / 8 + 64, "{most} frames held");
    let count = bench.plane.counters().get(stack::pipeline::Counter::BindingToGroup);
    assert_eq!(count, 50, "every packet came through");
    assert!(bench.plane.counters().get(stack::pipeline::Counter::ReassembliesDisplaced) > 2_000);
    // What never comes goes with time, and silently: no first fragment was there.
    bench.now += stack::time::Duration::from_secs(60);
    bench.plane.handle_timeout(bench.now);
    bench.sent(P1);
    assert_eq!((bench.plane.held_frames(), bench.plane.poll_timeout()), (0, None));
}
