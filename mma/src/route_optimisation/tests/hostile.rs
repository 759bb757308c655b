//! What others may send, and how little it does.

use super::*;
use stack::machine::CorrespondentWay::HomeAgent;

/// A bench whose tests are under way, and the two cookies.
fn testing() -> (Bench, [u8; 8], [u8; 8]) {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let actions = bench.actions();
    let (Action::SendHomeTestInit { cookie: home, .. }, Action::SendCareOfTestInit { cookie: care_of, .. }) =
        (&actions[0], &actions[1])
    else {
        panic!("two tests")
    };
    (bench, *home, *care_of)
}

#[test]
fn home_tests_that_are_forged() {
    let (mut bench, home, care_of) = testing();
    let test = bench.home_test(HOME, home);
    let mut wrong_cookies = vec![care_of, [0; 8]];
    wrong_cookies.extend((0..64).map(|bit| (u64::from_be_bytes(home) ^ 1 << bit).to_be_bytes()));
    for cookie in wrong_cookies {
        let forged = bench.home_test(HOME, cookie);
        assert_eq!(bench.give(PEER, HOME, Path::HomeAgent, &forged), Claim::NotOurs);
    }
    // From another, to another, not in the tunnel, through a routing header.
    assert_eq!(bench.give(OTHER_PEER, HOME, Path::HomeAgent, &test), Claim::NotOurs);
    assert_eq!(bench.give(PEER, OTHER_HOME, Path::HomeAgent, &test), Claim::NotOurs);
    assert_eq!(bench.give(PEER, CARE_OF, Path::HomeAgent, &test), Claim::NotOurs);
    assert_eq!(bench.give(PEER, HOME, Path::Direct, &test), Claim::NotOurs);
    let arrival = Arrival { source: PEER, destination: HOME, home_address: Some(HOME), path: Path::HomeAgent };
    assert_eq!(bench.optimiser.handle_message(bench.now, &arrival, &test), Claim::NotOurs);
    for length in 0..test.len() {
        assert_eq!(bench.give(PEER, HOME, Path::HomeAgent, &test[..length]), Claim::NotOurs);
    }
    assert_eq!((bench.actions(), bench.state()), (vec![], "testing"));
    assert_eq!(bench.optimiser.counters().rx_home_test, 0);
    // The real one counts, once.
    assert_eq!(bench.give(PEER, HOME, Path::HomeAgent, &test), Claim::Ours);
    assert_eq!(bench.give(PEER, HOME, Path::HomeAgent, &test), Claim::NotOurs);
}

#[test]
fn care_of_tests_that_are_forged() {
    let (mut bench, home, care_of) = testing();
    let test = bench.care_of_test(CARE_OF, care_of);
    let mut wrong_cookies = vec![home, [0; 8]];
    wrong_cookies.extend((0..64).map(|bit| (u64::from_be_bytes(care_of) ^ 1 << bit).to_be_bytes()));
    for cookie in wrong_cookies {
        let forged = bench.care_of_test(CARE_OF, cookie);
        assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &forged), Claim::NotOurs);
    }
    assert_eq!(bench.give(OTHER_PEER, CARE_OF, Path::Direct, &test), Claim::NotOurs);
    assert_eq!(bench.give(PEER, SECOND, Path::Direct, &test), Claim::NotOurs);
    assert_eq!(bench.give(PEER, HOME, Path::Direct, &test), Claim::NotOurs);
    assert_eq!(bench.give(PEER, CARE_OF, Path::HomeAgent, &test), Claim::NotOurs);
    assert_eq!((bench.actions(), bench.state()), (vec![], "testing"));
    assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &test), Claim::Ours);
    assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &test), Claim::NotOurs);
}

#[test]
fn acknowledgements_that_are_forged_or_replayed() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let seen = bench.answer_tests();
    let key = bench.key_of(&seen);
    let good = Bench::acknowledgement(&seen, &key, Status::ACCEPTED, seen.update.sequence);
    // The checksum is the owner's to verify; every other bit is authenticated.
    for at in (0..good.len()).filter(|at| !(CHECKSUM_AT..CHECKSUM_AT + 2).contains(at)) {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[at] ^= 1 << bit;
            // With status 136 to 138 nothing is authenticated: the number has to do (RFC 6275 §9.5.4).
            if at == 6 && matches!(changed[6], 136..=138) {
                continue;
            }
            assert_eq!(bench.give_acknowledgement(CARE_OF, &changed), Claim::NotOurs, "octet {at} bit {bit}");
        }
    }
    let unsigned = MobilityMessage::from(BindingAcknowledgement {
        status: Status::SEQUENCE_OUT_OF_WINDOW,
        flags: BindingAcknowledgementFlags::default(),
        sequence: 1,
        lifetime: Lifetime::ZERO,
        options: MobilityOptions::default(),
    });
    assert_eq!(bench.give_acknowledgement(CARE_OF, &unsigned.emit()), Claim::NotOurs);
    assert_eq!(bench.give_acknowledgement(HOME, &good), Claim::NotOurs);
    assert_eq!(bench.give_acknowledgement(SECOND, &good), Claim::NotOurs);
    let tunnelled = Arrival { source: PEER, destination: CARE_OF, home_address: Some(HOME), path: Path::HomeAgent };
    assert_eq!(bench.optimiser.handle_message(bench.now, &tunnelled, &good), Claim::NotOurs);
    assert_eq!((bench.actions(), bench.state()), (vec![], "updating"));
    assert!(bench.optimiser.counters().rx_unauthentic > 0);
    assert_eq!(bench.give_acknowledgement(CARE_OF, &good), Claim::Ours);
    assert_eq!(kinds(&bench.actions()), "on");
    // Again, when nothing is waited for, and when another update is.
    assert_eq!(bench.give_acknowledgement(CARE_OF, &good), Claim::NotOurs);
    bench.pass(secs(20));
    bench.see(HomeAgent);
    assert_eq!(kinds(&bench.actions()), "BU");
    assert_eq!(bench.give_acknowledgement(CARE_OF, &good), Claim::NotOurs);
}

#[test]
fn unauthenticated_nonce_statuses_need_the_number() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let seen = bench.answer_tests();
    let key = bench.key_of(&seen);
    for wrong in (0..=u16::MAX).filter(|&sequence| sequence != seen.update.sequence).step_by(251) {
        let forged = Bench::acknowledgement(&seen, &key, Status::EXPIRED_NONCES, wrong);
        assert_eq!(bench.give_acknowledgement(CARE_OF, &forged), Claim::NotOurs);
    }
    assert_eq!((bench.actions(), bench.state()), (vec![], "updating"));
}

/// Packets of ever new correspondents, each of which could be anybody's address: what is sent to them is bounded for a
/// home address, in all, and in a second, and nothing is left behind.
#[test]
fn a_flood_of_correspondents() {
    let config = Config { max_registrations: 100, max_failures: 50, max_starts_per_sec: 20, ..Config::default() };
    let (share, starts) = (config.max_per_home_address, 20);
    let mut bench = Bench::new(config);
    let homes: Vec<Ipv6Addr> = (0..4).map(|i| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 2, i)).collect();
    for (index, &home) in homes.iter().enumerate() {
        let care_of = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 2, index as u16);
        bench.optimiser.set_care_of(bench.now, home, care_of, bench.now + secs(100_000));
    }
    let mut stranger = 0u128;
    let mut cookies = BTreeSet::new();
    for second in 0..60 {
        for _ in 0..1000 {
            stranger += 1;
            let correspondent = Ipv6Addr::from_bits(PEER.to_bits() + (stranger << 32));
            let home = homes[stranger as usize % homes.len()];
            bench.optimiser.handle_correspondent(bench.now, home, correspondent, HomeAgent);
        }
        let mut first = 0;
        for action in bench.actions() {
            let (Action::SendHomeTestInit { cookie, .. } | Action::SendCareOfTestInit { cookie, .. }) = action else {
                panic!("{action:?}")
            };
            assert!(cookies.insert(cookie), "cookies are never used again");
            first += 1;
        }
        // First questions and two repetitions of each, two messages each.
        assert!(first <= 2 * 3 * 2 * starts, "second {second}: {first} messages");
        assert!(bench.optimiser.registrations.len() <= 100);
        assert!(bench.optimiser.homes.values().all(|home| home.registrations <= share));
        assert!(bench.optimiser.failed.len() <= 50);
        assert!(bench.optimiser.pacing.next.len() <= 100 + 2 * starts);
        bench.pass(secs(1));
    }
    assert!(bench.optimiser.counters().refused_full + bench.optimiser.counters().refused_rate > 50_000);
    bench.pass(secs(60));
    bench.actions();
    assert!(bench.optimiser.registrations.is_empty() && bench.optimiser.asked.is_empty());
    assert!(bench.optimiser.homes.values().all(|home| home.registrations == 0));
    assert_eq!(bench.optimiser.poll_timeout(), None);
}

#[test]
fn one_home_address_leaves_room_for_the_others() {
    let mut bench = Bench::new(Config { max_per_home_address: 2, ..Config::default() });
    for number in 0..3 {
        let correspondent = Ipv6Addr::from_bits(PEER.to_bits() + (number << 16));
        bench.optimiser.handle_correspondent(bench.now, HOME, correspondent, HomeAgent);
    }
    assert_eq!(kinds(&bench.actions()), "HoTI CoTI HoTI CoTI");
    assert_eq!(bench.optimiser.counters().refused_share, 1);
    bench.optimiser.set_care_of(bench.now, OTHER_HOME, SECOND, bench.now + secs(100));
    bench.optimiser.handle_correspondent(bench.now, OTHER_HOME, OTHER_PEER, HomeAgent);
    assert_eq!(kinds(&bench.actions()), "HoTI CoTI");
}

/// The same correspondent again and again: nothing that was not going to be sent anyway.
#[test]
fn a_flood_of_the_same_notice() {
    let mut bench = Bench::bound();
    bench.pass(secs(2));
    let mut updates = 0;
    for _ in 0..400 {
        for _ in 0..100 {
            bench.see(HomeAgent);
        }
        updates += bench.answer_all().iter().filter(|action| matches!(action, Action::SendUpdate { .. })).count();
        bench.pass(secs(1));
    }
    // At 10, 30, 70, 150 and 310 s, the tests of the last with it.
    assert!(updates <= 6, "{updates}");
}
