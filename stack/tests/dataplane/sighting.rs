//! What the agent's node is told of correspondents.

use super::*;
use stack::machine::CorrespondentWay::{self, Forwarded, HomeAgent, Optimised};
use stack::time::Duration;
use stack::wire::mobility::{CHECKSUM_AT, kind};

/// Longer than a pair is remembered.
const A_WHILE: Duration = Duration::from_millis(1_100);

fn watching() -> Bench {
    watching_with(DataplaneConfig::default())
}

fn watching_with(config: DataplaneConfig) -> Bench {
    let mut bench = agent_with(config, [1500, 1500]);
    serve(&mut bench, false);
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { optimise: true, ..binding() }));
    bench
}

fn news(correspondent: Ipv6Addr, way: CorrespondentWay) -> Notice {
    Notice::Correspondent { home_address: HOME, correspondent, way }
}

fn by_home_agent(correspondent: Ipv6Addr) -> Vec<u8> {
    tunnel(HOME_AGENT, CARE_OF, &udp(correspondent, HOME, 60, b"x"))
}

fn routed(correspondent: Ipv6Addr, care_of: Ipv6Addr) -> Vec<u8> {
    PacketBuilder::new(correspondent, care_of).type2_routing(HOME).payload(protocol::UDP, b"x")
}

fn numbered(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 1, number)
}

#[test]
fn each_way_of_a_correspondent_is_told_once_in_a_while() {
    let packets = [by_home_agent(CN), routed(CN, CARE_OF), tunnel(FORMER, CARE_OF, &routed(CN, FORMER))];
    for size in [1usize, 7, 63, 64] {
        let mut bench = watching();
        let batch: Vec<_> = packets.iter().cycle().take(size).cloned().collect();
        let told: Vec<_> = [HomeAgent, Optimised, Forwarded].into_iter().take(size).map(|way| news(CN, way)).collect();
        for _ in 0..3 {
            bench.receive(P0, &batch);
            assert_eq!(bench.notices(), told);
            bench.receive(P0, &batch);
            assert_eq!(bench.notices(), []);
            bench.now += A_WHILE;
        }
        let count = 6 * size as u64;
        assert_eq!(bench.sent(P1).len() as u64, count);
        bench.expect_counters(&[("rx", count), ("binding-to-group", count), ("output", count)]);
    }
}

#[test]
fn nothing_is_told_where_nobody_asked() {
    let mut bench = agent();
    bench.receive(P0, &[by_home_agent(CN), routed(CN, CARE_OF)]);
    assert_eq!(bench.notices(), []);
    let mut bench = watching();
    let state = BindingState::Forward { to: FORMER, from_home_agent: true };
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { optimise: true, state, ..binding() }));
    bench.receive(P0, &[by_home_agent(CN), routed(CN, CARE_OF)]);
    assert_eq!((bench.notices(), bench.sent(P0).len()), (vec![], 2));
}

/// The tests of RFC 6275 §11.7.2, and what says nothing about the correspondent that its source names.
#[test]
fn what_does_not_pass_the_tests_is_not_told() {
    let mut bench = watching();
    let signalling = PacketBuilder::new(CN, HOME).checksummed(
        protocol::MOBILITY,
        vec![59, 0, kind::HOME_TEST_INIT, 0, 0, 0, 0, 0],
        CHECKSUM_AT,
    );
    let mobile = PacketBuilder::new(CN, HOME).home_address(FAR).payload(protocol::UDP, b"x");
    let routed_mobile =
        PacketBuilder::new(CN, CARE_OF).type2_routing(HOME).home_address(FAR).payload(protocol::UDP, b"x");
    let forwarded_signalling = PacketBuilder::new(CN, FORMER).type2_routing(HOME).checksummed(
        protocol::MOBILITY,
        vec![59, 0, kind::BINDING_ERROR, 0, 0, 0, 0, 0],
        CHECKSUM_AT,
    );
    let in_tunnel = |inner: &[u8]| tunnel(HOME_AGENT, CARE_OF, inner);
    bench.receive(
        P0,
        &[
            by_home_agent(HOME_AGENT),
            in_tunnel(&signalling),
            in_tunnel(&mobile),
            routed_mobile,
            tunnel(FORMER, CARE_OF, &udp(CN, HOME, 60, b"of the home agent, by the old agent")),
            tunnel(FORMER, CARE_OF, &forwarded_signalling),
        ],
    );
    assert_eq!(bench.notices(), []);
    bench.expect_counters(&[("rx", 6), ("binding-to-group", 6), ("output", 6)]);
    bench.receive(P0, &[by_home_agent("::ffff:192.0.2.1".parse().unwrap())]);
    assert_eq!(bench.notices(), []);
    bench.expect_counters(&[("rx", 1), ("binding-to-group", 1), ("output", 1), ("correspondents-suppressed", 1)]);
}

#[test]
fn a_flood_of_sources_is_held_back_and_drops_no_packet() {
    let config =
        DataplaneConfig { correspondents_per_second: 10, correspondent_burst: 5, ..DataplaneConfig::default() };
    let mut bench = watching_with(config);
    let mut told = 0;
    for round in 0..10u16 {
        let flood: Vec<_> = (0..200).map(|n| by_home_agent(numbered(round * 200 + n))).collect();
        bench.receive(P0, &flood);
        told += bench.notices().len() as u64;
        bench.sent(P1);
        bench.now += Duration::from_millis(100);
    }
    assert_eq!(told, 5 + 9, "the burst, and one each 100 ms");
    bench.expect_counters(&[
        ("rx", 2000),
        ("binding-to-group", 2000),
        ("output", 2000),
        ("correspondents-suppressed", 2000 - told),
    ]);
    // Who sends more than once is told when the bucket has a token again.
    bench.receive(P0, &[by_home_agent(CN), by_home_agent(CN)]);
    assert_eq!(bench.notices(), [news(CN, HomeAgent)]);
}

#[test]
fn many_correspondents_are_told_apart() {
    let config =
        DataplaneConfig { correspondents_per_second: 4000, correspondent_burst: 400, ..DataplaneConfig::default() };
    let mut bench = watching_with(config);
    let packets: Vec<_> = (0..300).map(|n| by_home_agent(numbered(n))).collect();
    for _ in 0..2 {
        bench.receive(P0, &packets);
        let told = bench.notices();
        assert_eq!(told, (0..300).map(|n| news(numbered(n), HomeAgent)).collect::<Vec<_>>());
        bench.sent(P1);
        bench.now += A_WHILE;
    }
}
