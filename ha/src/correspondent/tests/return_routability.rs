//! Test messages (RFC 6275 §9.4).

use super::*;

#[test]
fn tests_are_answered_to_the_address_that_they_test_and_nothing_is_remembered() {
    let mut bench = Bench::new();
    let home = bench.home_test(HOME);
    let away = bench.care_of_test(CARE_OF);
    assert_eq!((home.cookie, away.cookie), ([1; 8], [2; 8]));
    assert_eq!(home.nonce_index, away.nonce_index);
    assert_ne!(home.token, away.token);
    // The same question has the same answer, whatever was asked between: there is nothing but key and nonce.
    for number in 0..1000 {
        bench.home_test(Ipv6Addr::from_bits(HOME.to_bits() + (number << 64)));
    }
    assert_eq!((bench.home_test(HOME), bench.care_of_test(CARE_OF)), (home, away));
    assert_eq!((bench.node.bindings().entries(), bench.node.poll_timeout()), (0, None));
    // One kind of token cannot be had by asking for the other.
    assert_ne!(bench.care_of_test(HOME).token, home.token);
}

#[test]
fn every_packet_is_answered_as_its_message_asks_or_not_at_all() {
    let hoti = || MobilityMessage::HomeTestInit { cookie: [3; 8] }.emit();
    let coti = || MobilityMessage::CareOfTestInit { cookie: [3; 8] }.emit();
    let to_us = |source| PacketBuilder::new(source, CORRESPONDENT);
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let group = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 1);
    let mut longer = hoti();
    longer[1] = 2;
    longer.extend_from_slice(&[200, 6, 0, 0, 0, 0, 0, 0]);
    let mut wrong_checksum = mobility(to_us(HOME), hoti());
    *wrong_checksum.last_mut().unwrap() ^= 1;
    // Name, packet, whether it is answered by a test.
    let cases = [
        ("home test init", mobility(to_us(HOME), hoti()), true),
        ("care-of test init", mobility(to_us(CARE_OF), coti()), true),
        ("with an option that is not known", mobility(to_us(HOME), longer), true),
        ("home test init with Home Address option", mobility(to_us(CARE_OF).home_address(HOME), hoti()), false),
        ("care-of test init with Home Address option", mobility(to_us(CARE_OF).home_address(HOME), coti()), false),
        (
            "through a routing header",
            mobility(PacketBuilder::new(HOME, CORRESPONDENT).type2_routing(CORRESPONDENT), hoti()),
            false,
        ),
        ("wrong checksum", wrong_checksum, false),
        ("from a link-local address", mobility(to_us(link_local), hoti()), false),
        ("from a group", mobility(to_us(group), coti()), false),
        ("from nobody", mobility(to_us(Ipv6Addr::UNSPECIFIED), coti()), false),
        ("to another address", mobility(PacketBuilder::new(HOME, OTHER_CARE_OF), hoti()), false),
        ("cut", mobility(to_us(HOME), hoti())[..52].to_vec(), false),
    ];
    for (name, packet, answered) in cases {
        let mut bench = Bench::new();
        let answers = bench.packet(&packet);
        assert_eq!(answers.packets.len(), usize::from(answered), "{name}");
        assert!(answered || answers.is_silent(), "{name}");
        let counters = bench.node.counters();
        let (answered_now, dropped) = counters.iter().fold((0, 0), |(tx, drop), (counter, value)| {
            (tx + value * u64::from(counter.starts_with("tx-")), drop + value * u64::from(counter.starts_with("drop-")))
        });
        assert_eq!((answered_now, dropped), (u64::from(answered), u64::from(!answered)), "{name}");
    }
}

/// RFC 6275 §5.2.7 across the turn of nonces, from the terminal's side.
#[test]
fn tokens_work_for_their_lifetime_and_not_past_that_of_their_nonce() {
    for (age, accepted) in [(0, true), (209, true), (239, true), (240, false), (300, false)] {
        let mut bench = Bench::new();
        let terminal = bench.terminal(HOME, CARE_OF);
        // Others keep asking, and nonces turn.
        for _ in 0..age / 10 {
            bench.pass(10);
            bench.home_test(OTHER_CARE_OF);
        }
        bench.pass(age % 10);
        let answers = bench.packet(&terminal.update(1, 105));
        let expected = if accepted { Status::ACCEPTED } else { Status::EXPIRED_NONCES };
        assert_eq!(answers.status(), expected, "{age} s");
        assert_eq!(bench.care_of(HOME).is_some(), accepted);
    }
}

#[test]
fn a_flood_of_tests_is_bounded_and_costs_others_nothing() {
    let rates = Rates { all: Rate { per_second: 100, burst: 100 }, prefix: Rate { per_second: 10, burst: 20 } };
    let mut bench = Bench::with(Config { rates, ..Config::new(CORRESPONDENT) });
    let bound = bench.bound(HOME, CARE_OF);
    let flooder = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0);
    let mut answered = 0;
    for number in 0..100_000_u128 {
        let source = Ipv6Addr::from_bits(flooder.to_bits() + number);
        answered += bench.test(source, &MobilityMessage::HomeTestInit { cookie: [0; 8] }).packets.len();
    }
    assert_eq!(answered, 20);
    assert_eq!(bench.node.counters().drop_test_rate_limit, 100_000 - 20);
    // Another terminal is tested all the same, and the one that is bound renews its binding.
    bench.terminal(Ipv6Addr::new(0x2001, 0xdb8, 0x300, 1, 0, 0, 0, 1), OTHER_CARE_OF);
    assert_eq!(bench.packet(&bound.update(2, 105)).status(), Status::ACCEPTED);
    assert_eq!(bench.node.bindings().entries(), 1);
}
