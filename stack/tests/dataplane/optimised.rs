//! The agent's uplink to correspondents that have a binding: from the care-of address, with a Home Address option.

use super::*;
use stack::wire::mobility::{CHECKSUM_AT, kind};

const PAIR: TableUpdate = TableUpdate::OptimisedSet { home_address: HOME, correspondent: CN };

fn optimised() -> Bench {
    optimised_with(DataplaneConfig::default(), [1500, 1500])
}

fn optimised_with(config: DataplaneConfig, mtus: [usize; 2]) -> Bench {
    let mut bench = agent_with(config, mtus);
    bench.apply(PAIR);
    bench
}

fn reverse(inner: &[u8]) -> Vec<u8> {
    tunnel(ACCESS, AGENT, inner)
}

fn out(packet: &[u8]) -> Vec<u8> {
    frame(mac_of(ROUTER), MAC0, packet)
}

/// A terminal's packet as its correspondent gets it.
fn with_option(packet: &[u8]) -> Vec<u8> {
    let (source, destination) = (CARE_OF, Ipv6Addr::from(<[u8; 16]>::try_from(&packet[24..40]).unwrap()));
    PacketBuilder::new(source, destination)
        .hop_limit(packet[7] - 1)
        .home_address(HOME)
        .payload(packet[6], &packet[40..])
}

#[test]
fn a_correspondent_with_a_binding_is_spoken_to_from_the_care_of_address() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = optimised();
        let inner: Vec<_> =
            (0..size as u8).map(|n| udp(HOME, if n % 2 == 0 { CN } else { FAR }, 60, &[n; 10])).collect();
        bench.receive(P1, &inner.iter().map(|packet| reverse(packet)).collect::<Vec<_>>());
        let (direct, by_home_agent): (Vec<_>, Vec<_>) = inner.iter().partition(|packet| packet[24..40] == CN.octets());
        let sent = bench.sent(P0);
        let (to_home_agent, to_correspondent): (Vec<_>, Vec<_>) =
            sent.into_iter().partition(|frame| frame[14 + 6] == protocol::IPV6);
        assert_eq!(to_correspondent, direct.iter().map(|packet| out(&with_option(packet))).collect::<Vec<_>>());
        let tunnelled: Vec<_> =
            by_home_agent.iter().map(|packet| out(&tunnel(CARE_OF, HOME_AGENT, &hopped(packet)))).collect();
        assert_tunnelled(&to_home_agent, &tunnelled);
        let count = size as u64;
        let mut expected = vec![("rx", count), ("tunnel-optimised", count.div_ceil(2)), ("output", count)];
        if count > 1 {
            expected.push(("tunnel-to-home-agent", count / 2));
        }
        bench.expect_counters(&expected);
    }
}

#[test]
fn signalling_and_what_cannot_carry_the_option_go_by_the_home_agent() {
    let mut bench = optimised();
    let test = PacketBuilder::new(HOME, CN).hop_limit(60).checksummed(
        protocol::MOBILITY,
        vec![59, 0, kind::HOME_TEST_INIT, 0, 0, 0, 0, 0],
        CHECKSUM_AT,
    );
    let has_one = PacketBuilder::new(HOME, CN).hop_limit(60).home_address(FAR).payload(protocol::UDP, b"odd");
    bench.receive(P1, &[reverse(&test), reverse(&has_one)]);
    let expected = [test, has_one].map(|packet| out(&tunnel(CARE_OF, HOME_AGENT, &hopped(&packet))));
    assert_tunnelled(&bench.sent(P0), &expected);
    bench.expect_counters(&[("rx", 2), ("tunnel-to-home-agent", 2), ("output", 2)]);
}

#[test]
fn a_pair_holds_under_the_care_of_address_that_it_was_set_with() {
    let mut bench = optimised();
    let (packet, direct) = (reverse(&udp(HOME, CN, 60, b"x")), ("tunnel-optimised", 1));
    let by_home_agent = ("tunnel-to-home-agent", 1);
    let expect = |bench: &mut Bench, way: (&'static str, u64)| {
        bench.receive(P1, std::slice::from_ref(&packet));
        bench.sent(P0);
        bench.expect_counters(&[("rx", 1), way, ("output", 1)]);
    };
    expect(&mut bench, direct);
    let care_of = "2001:db8:200::78".parse().unwrap();
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { care_of, ..binding() }));
    expect(&mut bench, by_home_agent);
    bench.apply(PAIR);
    expect(&mut bench, direct);
    bench.apply(TableUpdate::OptimisedRemove { home_address: HOME, correspondent: CN });
    expect(&mut bench, by_home_agent);
    bench.apply(TableUpdate::OptimisedSet { home_address: FAR, correspondent: CN });
    bench.expect_counters(&[("refused-updates", 1)]);
}

#[test]
fn pairs_are_limited() {
    let mut config = DataplaneConfig::default();
    config.limits.optimised_pairs = 1;
    let mut bench = optimised_with(config, [1500, 1500]);
    bench.apply(TableUpdate::OptimisedSet { home_address: HOME, correspondent: FAR });
    bench.apply(PAIR);
    bench.expect_counters(&[("refused-updates", 1)]);
    let sizes: Vec<_> = bench.plane.table_sizes().filter(|&(name, _)| name == "optimised-pairs").collect();
    assert_eq!(sizes, [("optimised-pairs", 1)]);
}

#[test]
fn the_hop_limit_ends_at_the_agent() {
    let mut bench = optimised();
    let last = udp(HOME, CN, 1, b"last hop");
    bench.receive(P1, &[reverse(&last)]);
    let error = PacketBuilder::new(SELF, HOME).icmpv6(3, 0, &[&[0; 4][..], &last].concat());
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &tunnel(SOURCE, GROUP, &error))]);
    bench.expect_counters(&[
        ("rx", 1),
        ("icmp-error-hop-limit", 1),
        ("generated", 1),
        ("binding-from-node", 1),
        ("output", 1),
    ]);
}

#[test]
fn too_big_with_the_option_is_told_to_the_terminal_by_its_group() {
    let mut bench = optimised_with(DataplaneConfig::default(), [1400, 1500]);
    let (fits, large) = (udp(HOME, CN, 60, &[7; 1376 - 48]), udp(HOME, CN, 60, &[7; 1377 - 48]));
    bench.receive(P1, &[reverse(&fits), reverse(&large)]);
    assert_eq!(bench.sent(P0), [out(&with_option(&fits))]);
    let body = [&1376u32.to_be_bytes()[..], &hopped(&large)[..1232]].concat();
    let error = PacketBuilder::new(SELF, HOME).icmpv6(2, 0, &body);
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &tunnel(SOURCE, GROUP, &error))]);
    bench.expect_counters(&[
        ("rx", 2),
        ("tunnel-optimised", 2),
        ("icmp-error-packet-too-big", 1),
        ("generated", 1),
        ("binding-from-node", 1),
        ("output", 2),
    ]);
}

/// No link may be too narrow for 1,280 octets, and a terminal cannot be asked for less (RFC 8200 §5).
#[test]
fn what_cannot_become_smaller_is_cut_behind_the_option() {
    let mut bench = optimised_with(DataplaneConfig::default(), [1280, 1500]);
    let packet = udp(HOME, CN, 60, &[7; 1280 - 48]);
    bench.receive(P1, &[reverse(&packet), reverse(&udp(HOME, CN, 60, &[7; 1281 - 48]))]);
    let sent = bench.sent(P0);
    let whole = with_option(&packet);
    let mut data = Vec::new();
    for frame in &sent {
        let fragment = &frame[14..];
        assert!(fragment.len() <= 1280);
        assert_eq!(fragment[8..40], whole[8..40], "from the care-of address to the correspondent");
        assert_eq!((fragment[40], &fragment[41..64]), (protocol::FRAGMENT, &whole[41..64]), "the option is in each");
        data.extend_from_slice(&fragment[72..]);
    }
    assert_eq!((sent.len(), data.as_slice()), (2, &whole[64..]));
    assert_eq!(bench.sent(P1)[0][54 + 44..54 + 48], 1280u32.to_be_bytes());
    bench.expect_counters(&[
        ("rx", 2),
        ("tunnel-optimised", 2),
        ("fragmented", 1),
        ("icmp-error-packet-too-big", 1),
        ("generated", 2),
        ("binding-from-node", 1),
        ("output", 3),
    ]);
}

#[test]
fn errors_about_what_left_so_reach_the_terminal() {
    let mut bench = optimised();
    let original = hopped(&udp(HOME, CN, 60, &[7; 1352]));
    let quoted = &with_option(&udp(HOME, CN, 60, &[7; 1352]))[..1232];
    let error = |kind, word: u32, about: &[u8]| {
        PacketBuilder::new(FAR, CARE_OF).icmpv6(kind, 0, &[&word.to_be_bytes()[..], about].concat())
    };
    bench.receive(P0, &[error(1, 0, quoted), error(3, 0, quoted), error(2, 1400, quoted)]);
    let expect = |kind, code, word: u32| {
        let body = [&word.to_be_bytes()[..], &original[..1208]].concat();
        to_group(1, &tunnel(SOURCE, GROUP, &PacketBuilder::new(SELF, HOME).icmpv6(kind, code, &body)))
    };
    assert_tunnelled(&bench.sent(P1), &[expect(1, 3, 0), expect(3, 0, 0), expect(2, 0, 1376)]);
    assert!(bench.sent(P0).is_empty());
    bench.expect_counters(&[
        ("rx", 3),
        ("icmp-error-relayed", 3),
        ("generated", 3),
        ("binding-from-node", 3),
        ("path-mtus-learnt", 1),
        ("output", 3),
    ]);
    // Not of a pair, not of the care-of address, and signalling: the node's.
    let to_far = PacketBuilder::new(CARE_OF, FAR).home_address(HOME).payload(protocol::UDP, &[7; 100]);
    let from_elsewhere = PacketBuilder::new(FAR, CN).home_address(HOME).payload(protocol::UDP, &[7; 100]);
    let update =
        PacketBuilder::new(CARE_OF, CN).home_address(HOME).payload(protocol::MOBILITY, &[59, 0, 5, 0, 0, 0, 0, 0]);
    bench.receive(P0, &[to_far, from_elsewhere, update].map(|about| error(1, 0, &about)));
    // A correspondent that knows no such option says so to the node.
    bench.receive(P0, &[PacketBuilder::new(CN, CARE_OF).icmpv6(4, 2, &[&46u32.to_be_bytes()[..], quoted].concat())]);
    bench.expect_counters(&[("rx", 4), ("local", 4)]);
}

/// The terminal does it itself (RFC 5380 §12).
#[test]
fn a_terminal_may_speak_from_its_care_of_address() {
    let mobility = |packet: PacketBuilder, kind| {
        packet.hop_limit(60).checksummed(protocol::MOBILITY, vec![59, 0, kind, 0, 0, 0, 0, 0], CHECKSUM_AT)
    };
    let from_care_of = |to| PacketBuilder::new(CARE_OF, to);
    let home_test_init = mobility(PacketBuilder::new(HOME, CN), kind::HOME_TEST_INIT);
    let allowed = [
        mobility(from_care_of(CN), kind::CARE_OF_TEST_INIT),
        mobility(from_care_of(CN).home_address(HOME), kind::BINDING_UPDATE),
        tunnel(CARE_OF, HOME_AGENT, &home_test_init),
    ];
    let mut bench = agent();
    bench.receive(P1, &allowed.each_ref().map(|inner| reverse(inner)));
    assert_eq!(bench.sent(P0), allowed.each_ref().map(|inner| out(&hopped(inner))));
    bench.expect_counters(&[("rx", 3), ("tunnel-exit", 3), ("output", 3)]);

    let refused = [
        mobility(from_care_of(CN), kind::BINDING_UPDATE),
        mobility(from_care_of(CN).home_address(FAR), kind::BINDING_UPDATE),
        mobility(PacketBuilder::new("2001:db8:200::78".parse().unwrap(), CN), kind::CARE_OF_TEST_INIT),
        udp(CARE_OF, CN, 60, b"whose?"),
        tunnel(CARE_OF, CN, &home_test_init),
    ];
    bench.receive(P1, &refused.map(|inner| reverse(&inner)));
    let other_terminal = stack::addr::with_interface_identifier(ACCESS, 0x0200_5eff_fe10_0002);
    bench.receive(P1, &[tunnel(other_terminal, AGENT, &allowed[0])]);
    bench.expect_counters(&[("rx", 6), ("drop-tunnel-not-bound", 5), ("drop-tunnel-access-identifier", 1)]);

    bench.apply(TableUpdate::MmaBindingRemove(HOME));
    bench.receive(P1, &[reverse(&allowed[0])]);
    bench.expect_counters(&[("rx", 1), ("drop-tunnel-not-bound", 1)]);
}

/// The packet with a header of destination options that this node does not know: they are the correspondent's to judge.
fn with_unknown_option(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let kind = core::mem::replace(&mut packet[6], protocol::DESTINATION_OPTIONS);
    packet.splice(40..40, [kind, 0, 0x5e, 4, 0, 0, 0, 0]);
    let payload = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&payload.to_be_bytes());
    packet
}

#[test]
fn options_for_the_correspondent_keep_no_error_from_the_terminal() {
    let mut bench = optimised_with(DataplaneConfig::default(), [1400, 1500]);
    let large = with_unknown_option(&udp(HOME, CN, 60, &[7; 1377 - 56]));
    bench.receive(P1, &[reverse(&large)]);
    let told = |kind, code, word: u32, about: &[u8]| {
        let body = [&word.to_be_bytes()[..], about].concat();
        to_group(1, &tunnel(SOURCE, GROUP, &PacketBuilder::new(SELF, HOME).icmpv6(kind, code, &body)))
    };
    assert_tunnelled(&bench.sent(P1), &[told(2, 0, 1376, &hopped(&large)[..1232])]);

    // So it is with what others say about it.
    let small = with_unknown_option(&udp(HOME, CN, 60, &[7; 100]));
    let body = [&[0; 4][..], &with_option(&small)].concat();
    bench.receive(P0, &[PacketBuilder::new(FAR, CARE_OF).icmpv6(1, 0, &body)]);
    assert_tunnelled(&bench.sent(P1), &[told(1, 3, 0, &hopped(&small))]);
}

#[test]
fn options_for_the_home_agent_do_not_keep_a_terminal_from_speaking_to_it() {
    let mut bench = agent();
    let inner = with_unknown_option(&udp(CARE_OF, HOME_AGENT, 60, b"x"));
    bench.receive(P1, &[reverse(&inner)]);
    assert_eq!(bench.sent(P0), [out(&hopped(&inner))]);
    bench.expect_counters(&[("rx", 1), ("tunnel-exit", 1), ("output", 1)]);
}
