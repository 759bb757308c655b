//! What is sent, in which order, and when.

use super::*;
use stack::machine::CorrespondentWay::{Forwarded, HomeAgent, Optimised};

#[test]
fn tests_update_and_acknowledgement() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let questions = bench.actions();
    assert_eq!(kinds(&questions), "HoTI CoTI");
    // The home test goes from the home address, the care-of test from the care-of address (RFC 6275 §5.2.5).
    let packets: Vec<_> = questions.iter().map(|action| action.packet().unwrap()).collect();
    let headers: Vec<_> = packets.iter().map(|packet| ipv6::Header::parse(packet).unwrap()).collect();
    assert_eq!([headers[0].source, headers[1].source], [HOME, CARE_OF]);
    assert!(headers.iter().all(|header| header.destination == PEER && header.next_header == protocol::MOBILITY));
    bench.answer(&questions[0], Status::ACCEPTED);
    assert_eq!(bench.actions(), []);
    bench.answer(&questions[1], Status::ACCEPTED);
    let [update] = &bench.actions()[..] else { panic!("one Binding Update") };
    let Action::SendUpdate { home_address, source, correspondent, message } = update else { panic!("an update") };
    assert_eq!((*home_address, *source, *correspondent), (HOME, CARE_OF, PEER));
    assert!(bench.key(HOME, CARE_OF).verify(message, CARE_OF, PEER));
    let seen = seen(update);
    assert_eq!((seen.source, seen.home_address), (CARE_OF, HOME));
    assert_eq!(seen.update.flags, BindingUpdateFlags::ACKNOWLEDGE);
    assert_eq!(seen.update.lifetime.duration(), MAX_RR_BINDING_LIFETIME);
    assert_eq!(seen.update.options.nonce_indices, Some(NonceIndices { home: HOME_INDEX, care_of: CARE_OF_INDEX }));
    assert_eq!(bench.state(), "updating");
    bench.answer(update, Status::ACCEPTED);
    let state = Optimisation::On { care_of: CARE_OF };
    assert_eq!(bench.actions(), [Action::Optimised { home_address: HOME, correspondent: PEER, state }]);
    assert_eq!(bench.state(), "optimised");
}

/// Each way that a packet may come, in each state: what is sent then.
#[test]
fn what_starts_a_registration() {
    for (way, starts) in [(HomeAgent, "HoTI CoTI"), (Forwarded, "HoTI CoTI"), (Optimised, "")] {
        let mut bench = Bench::away();
        bench.see(way);
        assert_eq!(kinds(&bench.actions()), starts, "{way:?}");
        // Nothing more while that is under way.
        bench.see(way);
        assert_eq!(kinds(&bench.actions()), "", "{way:?}");

        let mut bench = Bench::bound();
        bench.pass(secs(5));
        bench.see(way);
        assert_eq!(kinds(&bench.actions()), "", "{way:?}: packets that were under way");
        bench.pass(secs(5));
        bench.see(way);
        // Tokens are fresh, so an update is enough.
        let again = if way == Optimised { "" } else { "BU" };
        assert_eq!(kinds(&bench.actions()), again, "{way:?}: the correspondent has lost its binding");
    }
    let mut bench = Bench::away();
    for not_a_correspondent in [HOME, CARE_OF, "ff02::1".parse().unwrap(), "fe80::1".parse().unwrap()] {
        bench.optimiser.handle_correspondent(bench.now, HOME, not_a_correspondent, HomeAgent);
    }
    bench.optimiser.handle_correspondent(bench.now, OTHER_HOME, PEER, HomeAgent);
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.optimiser.counters().refused_address, 4);
}

#[test]
fn a_correspondent_that_keeps_losing_its_binding_is_believed_less_and_less() {
    let mut bench = Bench::bound();
    for wait in [10, 20, 40] {
        bench.pass(secs(wait - 1));
        bench.see(HomeAgent);
        assert_eq!(kinds(&bench.actions()), "", "{wait}");
        bench.pass(secs(1));
        bench.see(HomeAgent);
        assert_eq!(kinds(&bench.answer_all()), "BU", "{wait}");
    }
    // A packet on the optimised way says that all is well.
    bench.see(Optimised);
    bench.pass(secs(10));
    bench.see(HomeAgent);
    assert_eq!(kinds(&bench.actions()), "BU");
}

#[test]
fn refreshed_while_packets_come_and_lapsed_when_not() {
    let mut bench = Bench::bound();
    for round in 0..3 {
        bench.pass(secs(300));
        bench.see(Optimised);
        assert_eq!(kinds(&bench.actions()), "", "{round}");
        bench.pass(secs(60));
        // Tokens are older than MAX_TOKEN_LIFETIME by then. The binding is used all the while.
        assert_eq!(kinds(&bench.answer_all()), "HoTI CoTI BU", "{round}");
        assert_eq!(bench.optimiser.counters().refreshed, round + 1);
    }
    bench.pass(secs(419));
    assert_eq!(kinds(&bench.actions()), "");
    bench.pass(secs(1));
    assert_eq!(kinds(&bench.actions()), "off");
    assert_eq!((bench.state(), bench.optimiser.poll_timeout()), ("none", None));
    assert_eq!(bench.optimiser.counters().lapsed, 1);
}

#[test]
fn a_packet_after_the_time_to_refresh_is_still_in_time() {
    let mut bench = Bench::bound();
    bench.pass(secs(400));
    assert_eq!(kinds(&bench.actions()), "");
    bench.see(Optimised);
    assert_eq!(kinds(&bench.answer_all()), "HoTI CoTI BU");
}

#[test]
fn lifetime_is_no_longer_than_the_care_of_address_is_held() {
    let mut bench = Bench::away();
    bench.optimiser.set_care_of(bench.now, HOME, CARE_OF, bench.now + secs(101));
    bench.see(HomeAgent);
    assert_eq!(bench.answer_tests().update.lifetime, Lifetime(25));
    let mut bench = Bench::away();
    bench.optimiser.set_care_of(bench.now, HOME, CARE_OF, bench.now + secs(3));
    bench.see(HomeAgent);
    assert_eq!(bench.actions(), []);
}

#[test]
fn a_shorter_lifetime_in_the_acknowledgement_counts_from_the_update() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let mut seen = bench.answer_tests();
    bench.pass(Duration::from_millis(500));
    seen.update.lifetime = Lifetime(10);
    let key = bench.key_of(&seen);
    let message = Bench::acknowledgement(&seen, &key, Status::ACCEPTED, seen.update.sequence);
    assert_eq!(bench.give_acknowledgement(CARE_OF, &message), Claim::Ours);
    assert_eq!(kinds(&bench.actions()), "on");
    bench.pass(Duration::from_millis(39_499));
    assert_eq!(bench.state(), "optimised");
    bench.pass(Duration::from_millis(1));
    assert_eq!(kinds(&bench.actions()), "off");
}

/// After a second and a third handover too, the correspondent learns the new address (RFC 6275 §11.7.2).
#[test]
fn every_handover_is_told() {
    let mut bench = Bench::bound();
    let mut sequence = bench.optimiser.registrations[&(HOME, PEER)].sequence;
    for care_of in [SECOND, THIRD, CARE_OF] {
        bench.pass(secs(20));
        bench.move_to(care_of);
        let done = bench.answer_all();
        // The home token is used again; at home nothing was asked.
        assert_eq!(kinds(&done), "off CoTI BU on", "{care_of}");
        let seen = seen(&done[2]);
        assert_eq!((seen.source, seen.update.sequence), (care_of, sequence.wrapping_add(1)));
        sequence = seen.update.sequence;
        assert_eq!(done[3].packet(), None);
    }
    // MAX_TOKEN_LIFETIME after the home test a new one is needed.
    bench.pass(secs(210 - 60));
    bench.move_to(SECOND);
    assert_eq!(kinds(&bench.answer_all()), "off HoTI CoTI BU on");
    // The same address again is no handover.
    bench.move_to(SECOND);
    assert_eq!(bench.actions(), []);
}

#[test]
fn a_handover_in_the_middle_of_a_test_starts_it_again() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let before = bench.actions();
    bench.move_to(SECOND);
    let Action::SendCareOfTestInit { cookie, .. } = before[1] else { panic!("no CoTI") };
    let stale = bench.care_of_test(CARE_OF, cookie);
    assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &stale), Claim::NotOurs);
    assert_eq!(bench.give(PEER, SECOND, Path::Direct, &stale), Claim::NotOurs);
    bench.pass(secs(1));
    let done = bench.answer_all();
    assert_eq!(kinds(&done), "HoTI CoTI BU on");
    assert_eq!(seen(&done[2]).source, SECOND);
}

#[test]
fn retransmitted_with_new_cookies_until_given_up() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let start = bench.now;
    let mut cookies = BTreeSet::new();
    let mut seen_at = Vec::new();
    for _ in 0..20 {
        for action in bench.actions() {
            match action {
                Action::SendHomeTestInit { cookie, .. } | Action::SendCareOfTestInit { cookie, .. } => {
                    assert!(cookies.insert(cookie));
                    seen_at.push(bench.now.since(start).as_secs());
                }
                other => panic!("{other:?}"),
            }
        }
        bench.pass(secs(1));
    }
    assert_eq!(seen_at, [0, 0, 1, 1, 3, 3]);
    assert_eq!((bench.state(), bench.optimiser.counters().failed_unanswered), ("failed", 1));
    // Seven seconds after the start, for ten minutes.
    bench.pass(secs(600 + 7 - 20 - 1));
    bench.see(HomeAgent);
    assert_eq!(bench.actions(), []);
    bench.pass(secs(1));
    bench.see(HomeAgent);
    assert_eq!(kinds(&bench.actions()), "HoTI CoTI");
}

#[test]
fn an_answer_to_an_older_question_is_none() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let first = bench.actions();
    bench.pass(secs(1));
    let second = bench.actions();
    let Action::SendHomeTestInit { cookie, .. } = first[0] else { panic!("no HoTI") };
    let late = bench.home_test(HOME, cookie);
    assert_eq!(bench.give(PEER, HOME, Path::HomeAgent, &late), Claim::NotOurs);
    for action in &second {
        bench.answer(action, Status::ACCEPTED);
    }
    assert_eq!(kinds(&bench.actions()), "BU");
}

#[test]
fn updates_are_repeated_with_new_numbers_and_any_of_them_may_be_acknowledged() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let first = bench.answer_tests();
    bench.pass(secs(1));
    let [action] = &bench.actions()[..] else { panic!("one Binding Update") };
    let second = seen(action);
    assert_eq!(second.update.sequence, first.update.sequence.wrapping_add(1));
    let key = bench.key_of(&first);
    for wrong in [first.update.sequence.wrapping_sub(1), second.update.sequence.wrapping_add(1)] {
        let message = Bench::acknowledgement(&first, &key, Status::ACCEPTED, wrong);
        assert_eq!(bench.give_acknowledgement(CARE_OF, &message), Claim::NotOurs);
    }
    let message = Bench::acknowledgement(&first, &key, Status::ACCEPTED, first.update.sequence);
    assert_eq!(bench.give_acknowledgement(CARE_OF, &message), Claim::Ours);
    assert_eq!(kinds(&bench.actions()), "on");
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    bench.answer_tests();
    bench.pass(secs(7));
    assert_eq!(kinds(&bench.actions()), "BU BU");
    assert_eq!(bench.state(), "failed");
}

/// Wherever the initiator begins: what a correspondent refuses is at most half of the numbers behind its own.
#[test]
fn sequence_goes_on_from_the_correspondents() {
    for ahead in [0, 1, 1000, 0x7fff] {
        let mut bench = Bench::away();
        bench.see(HomeAgent);
        let refused = bench.answer_tests();
        let key = bench.key_of(&refused);
        // Sequence number out of window: what the correspondent knows is that of another agent.
        let theirs = refused.update.sequence.wrapping_add(ahead);
        let message = Bench::acknowledgement(&refused, &key, Status::SEQUENCE_OUT_OF_WINDOW, theirs);
        assert_eq!(bench.give_acknowledgement(CARE_OF, &message), Claim::Ours);
        // The tokens are still good; pacing has the next update wait its turn.
        bench.pass(secs(1));
        let [action] = &bench.actions()[..] else { panic!("one Binding Update") };
        assert_eq!(seen(action).update.sequence, theirs.wrapping_add(1), "numbers go round");
        bench.answer(action, Status::ACCEPTED);
        assert_eq!(kinds(&bench.actions()), "on");
        assert_eq!(bench.optimiser.counters().sequence_resumed, 1);
    }
}

/// Half of all numbers apart, nobody can tell which is ahead: the repetition is one closer.
#[test]
fn a_number_half_way_round_costs_one_repetition() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let refused = bench.answer_tests();
    let key = bench.key_of(&refused);
    let theirs = refused.update.sequence.wrapping_add(0x8000);
    let message = Bench::acknowledgement(&refused, &key, Status::SEQUENCE_OUT_OF_WINDOW, theirs);
    assert_eq!(bench.give_acknowledgement(CARE_OF, &message), Claim::Ours);
    bench.pass(secs(1));
    assert_eq!(kinds(&bench.actions()), "BU");
    assert_eq!(bench.give_acknowledgement(CARE_OF, &message), Claim::Ours);
    bench.pass(secs(1));
    let [action] = &bench.actions()[..] else { panic!("one Binding Update") };
    assert_eq!(seen(action).update.sequence, theirs.wrapping_add(1));
}

#[test]
fn expired_nonces_are_asked_for_again() {
    for (status, again) in [
        (Status::EXPIRED_HOME_NONCE, "HoTI BU on"),
        (Status::EXPIRED_CARE_OF_NONCE, "CoTI BU on"),
        (Status::EXPIRED_NONCES, "HoTI CoTI BU on"),
    ] {
        let mut bench = Bench::away();
        bench.see(HomeAgent);
        let refused = bench.answer_tests();
        let key = bench.key_of(&refused);
        let message = Bench::acknowledgement(&refused, &key, status, refused.update.sequence);
        assert_eq!(bench.give_acknowledgement(CARE_OF, &message), Claim::Ours);
        let mut done = Vec::new();
        for _ in 0..10 {
            done.extend(bench.answer_all());
            bench.pass(Duration::from_millis(100));
        }
        assert_eq!(kinds(&done), again, "{status}");
    }
}

#[test]
fn a_correspondent_that_corrects_without_end_is_left_alone() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let mut updates = 0;
    for _ in 0..100 {
        for action in bench.actions() {
            let status = Status::EXPIRED_NONCES;
            updates += usize::from(bench.answer(&action, status).is_some());
        }
        bench.pass(Duration::from_millis(100));
    }
    assert_eq!((updates, bench.state()), (7, "failed"));
}

#[test]
fn refusals_are_remembered() {
    for status in [Status::REASON_UNSPECIFIED, Status::ADMINISTRATIVELY_PROHIBITED, Status::INSUFFICIENT_RESOURCES] {
        let mut bench = Bench::away();
        bench.see(HomeAgent);
        let refused = bench.answer_tests();
        let key = bench.key_of(&refused);
        let message = Bench::acknowledgement(&refused, &key, status, refused.update.sequence);
        assert_eq!(bench.give_acknowledgement(CARE_OF, &message), Claim::Ours);
        assert_eq!((bench.state(), bench.optimiser.counters().failed_refused), ("failed", 1), "{status}");
        bench.see(HomeAgent);
        assert_eq!(bench.actions(), []);
        assert_eq!(bench.optimiser.counters().refused_failed, 1);
    }
}

#[test]
fn a_refresh_that_nobody_answers_ends_the_optimised_way() {
    let mut bench = Bench::bound();
    bench.pass(secs(350));
    bench.see(Optimised);
    bench.pass(secs(10));
    assert_eq!(kinds(&bench.actions()), "HoTI CoTI");
    bench.pass(secs(7));
    assert_eq!(kinds(&bench.actions()), "HoTI CoTI HoTI CoTI off");
    assert_eq!(bench.state(), "failed");
}

#[test]
fn refresh_requests_count_where_the_binding_is_used() {
    let request = MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() }.emit();
    let mut bench = Bench::away();
    assert_eq!(bench.give(PEER, HOME, Path::HomeAgent, &request), Claim::NotOurs);
    let mut bench = Bench::bound();
    bench.pass(secs(20));
    assert_eq!(bench.give(PEER, HOME, Path::HomeAgent, &request), Claim::Ours);
    assert_eq!(kinds(&bench.actions()), "", "no packets come");
    bench.see(Optimised);
    assert_eq!(bench.give(PEER, HOME, Path::HomeAgent, &request), Claim::Ours);
    assert_eq!(kinds(&bench.answer_all()), "BU");
    assert_eq!(bench.give(PEER, HOME, Path::HomeAgent, &request), Claim::Ours);
    assert_eq!(kinds(&bench.actions()), "", "the binding is new");
}

#[test]
fn binding_errors_make_the_binding_again() {
    let error = |status| MobilityMessage::BindingError { status, home_address: HOME }.emit();
    let unknown = error(BindingErrorStatus::UNKNOWN_BINDING);
    let mut bench = Bench::away();
    assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &unknown), Claim::NotOurs);
    // A correspondent that has just accepted the binding and starts again.
    let mut bench = Bench::bound();
    assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &unknown), Claim::Ours);
    assert_eq!(kinds(&bench.actions()), "off", "it has only just acknowledged: by the home agent, to be safe");
    bench.pass(Duration::from_millis(2_999));
    assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &unknown), Claim::Ours);
    assert_eq!(kinds(&bench.actions()), "");
    bench.pass(Duration::from_millis(1));
    assert_eq!(kinds(&bench.answer_all()), "BU on");
    // Long after the last packet it is believed at once.
    bench.pass(secs(20));
    assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &unknown), Claim::Ours);
    assert_eq!(kinds(&bench.answer_all()), "off BU on");
}

/// Nobody has authenticated a Binding Error: a stranger's makes packets go by the home agent for a moment, and no more.
#[test]
fn packets_that_come_prove_a_binding_error_wrong() {
    let unknown =
        MobilityMessage::BindingError { status: BindingErrorStatus::UNKNOWN_BINDING, home_address: HOME }.emit();
    let mut bench = Bench::bound();
    bench.pass(secs(20));
    for _ in 0..3 {
        bench.see(Optimised);
        bench.actions();
        assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &unknown), Claim::Ours);
        assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &unknown), Claim::Ours);
        assert_eq!(kinds(&bench.actions()), "off");
        bench.pass(secs(1));
        bench.see(Optimised);
        assert_eq!(kinds(&bench.actions()), "on");
        bench.pass(secs(5));
        assert_eq!(kinds(&bench.actions()), "", "and nothing is asked");
    }
    // A refresh that is under way when it is said goes on, and settles it.
    bench.see(Optimised);
    assert_eq!(bench.give(PEER, CARE_OF, Path::Direct, &unknown), Claim::Ours);
    bench.pass(secs(3));
    assert_eq!(kinds(&bench.answer_all()), "off BU on");
    assert_eq!((bench.optimiser.counters().doubted, bench.optimiser.counters().lost), (4, 1));
}

#[test]
fn correspondents_without_mobile_ipv6_are_left_alone() {
    // Parameter Problem code 1 about either test (RFC 6275 §11.6.2), code 2 about the Home Address option, Binding
    // Error about a type that is not known.
    for about in 0..2 {
        let mut bench = Bench::away();
        bench.see(HomeAgent);
        let quoted = bench.actions()[about].packet().unwrap();
        let now = bench.now;
        assert_eq!(bench.optimiser.handle_icmp_error(now, OTHER_PEER, 4, 1, &quoted), Claim::NotOurs);
        assert_eq!(bench.optimiser.handle_icmp_error(now, PEER, 4, 0, &quoted), Claim::NotOurs);
        assert_eq!(bench.optimiser.handle_icmp_error(now, PEER, 4, 1, &quoted[..quoted.len() - 1]), Claim::NotOurs);
        assert_eq!(bench.optimiser.handle_icmp_error(now, PEER, 4, 1, &quoted), Claim::Ours);
        assert_eq!(bench.optimiser.counters().failed_unable, 1);
        // No other home address asks it either.
        bench.optimiser.set_care_of(now, OTHER_HOME, SECOND, now + secs(100));
        bench.optimiser.handle_correspondent(now, OTHER_HOME, PEER, HomeAgent);
        bench.see(HomeAgent);
        assert_eq!(bench.actions(), []);
        bench.pass(secs(600));
        bench.see(HomeAgent);
        assert_eq!(kinds(&bench.actions()), "HoTI CoTI");
    }
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    for action in bench.actions() {
        bench.answer(&action, Status::ACCEPTED);
    }
    let quoted = bench.actions()[0].packet().unwrap();
    assert_eq!(bench.optimiser.handle_icmp_error(bench.now, PEER, 4, 2, &quoted), Claim::Ours);
    for destination in [HOME, CARE_OF] {
        let mut bench = Bench::away();
        let status = BindingErrorStatus::UNRECOGNIZED_TYPE;
        let error = MobilityMessage::BindingError { status, home_address: Ipv6Addr::UNSPECIFIED }.emit();
        assert_eq!(bench.give(PEER, destination, Path::Direct, &error), Claim::NotOurs, "nothing was asked");
        bench.see(HomeAgent);
        bench.actions();
        assert_eq!(bench.give(PEER, destination, Path::Direct, &error), Claim::Ours);
        assert_eq!(bench.optimiser.counters().failed_unable, 1);
    }
}

#[test]
fn correspondents_out_of_reach_are_left_alone() {
    let router = "2001:db8:ffff::1".parse().unwrap();
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    let quoted = bench.actions()[1].packet().unwrap();
    assert_eq!(bench.optimiser.handle_icmp_error(bench.now, router, 1, 3, &quoted), Claim::Ours);
    assert_eq!((bench.state(), bench.optimiser.counters().failed_unreachable), ("failed", 1));
}

#[test]
fn at_home_the_binding_is_deleted_with_a_home_test_alone() {
    let mut bench = Bench::bound();
    bench.pass(secs(300));
    bench.optimiser.return_home(bench.now, HOME);
    let mut actions = bench.actions();
    assert_eq!(kinds(&actions), "off HoTI");
    assert_eq!(bench.state(), "deleting");
    bench.answer(&actions.remove(1), Status::ACCEPTED);
    let [update] = &bench.actions()[..] else { panic!("one Binding Update") };
    let Action::SendUpdate { message, .. } = update else { panic!("an update") };
    let key = BindingManagementKey::for_deletion(bench.home_token(HOME));
    assert!(key.verify(message, HOME, PEER));
    let deletion = seen(update);
    // From the home address there is no Home Address option.
    assert_eq!((deletion.source, deletion.home_address), (HOME, HOME));
    assert!(deletion.update.lifetime.is_zero());
    assert_eq!(deletion.update.options.nonce_indices, Some(NonceIndices { home: HOME_INDEX, care_of: 0 }));
    bench.answer(update, Status::ACCEPTED);
    assert_eq!((kinds(&bench.actions()), bench.state()), (String::new(), "none"));
    assert_eq!((bench.optimiser.counters().deleted, bench.optimiser.poll_timeout()), (1, None));
    // Packets at home start nothing.
    bench.see(HomeAgent);
    assert_eq!(bench.actions(), []);
    // Away again, all begins again.
    bench.pass(secs(1));
    bench.move_to(SECOND);
    bench.see(HomeAgent);
    assert_eq!(kinds(&bench.answer_all()), "HoTI CoTI BU on");
}

#[test]
fn deletion_away_from_home() {
    let mut bench = Bench::bound();
    bench.optimiser.delete(bench.now, HOME, PEER);
    bench.pass(secs(1));
    let actions = bench.actions();
    // The home token is fresh.
    assert_eq!(kinds(&actions), "off BU");
    let deletion = seen(&actions[1]);
    assert_eq!((deletion.source, deletion.home_address), (CARE_OF, HOME));
    // Nobody answers: the correspondent forgets by itself when the lifetime is over.
    bench.pass(secs(20));
    assert_eq!((kinds(&bench.actions()).as_str(), bench.state()), ("BU BU", "none"));
}

#[test]
fn what_nobody_was_told_is_not_deleted() {
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    bench.actions();
    bench.optimiser.return_home(bench.now, HOME);
    assert_eq!((bench.actions(), bench.state()), (vec![], "none"));
    // An update that was sent may have been accepted.
    let mut bench = Bench::away();
    bench.see(HomeAgent);
    bench.answer_tests();
    bench.optimiser.return_home(bench.now, HOME);
    bench.pass(secs(1));
    let actions = bench.actions();
    assert_eq!(kinds(&actions), "BU");
    assert!(seen(&actions[0]).update.lifetime.is_zero());
}

#[test]
fn a_home_address_that_goes_leaves_nothing() {
    let mut bench = Bench::bound();
    bench.optimiser.drop_home_address(bench.now, HOME);
    assert_eq!(kinds(&bench.actions()), "off");
    assert_eq!((bench.state(), bench.optimiser.poll_timeout()), ("none", None));
    assert!(bench.optimiser.homes.is_empty());
    bench.see(HomeAgent);
    assert_eq!(bench.actions(), []);
}

#[test]
fn home_addresses_that_share_a_care_of_address_are_told_apart() {
    let mut bench = Bench::away();
    bench.optimiser.set_care_of(bench.now, OTHER_HOME, CARE_OF, bench.now + secs(1800));
    bench.see(HomeAgent);
    bench.optimiser.handle_correspondent(bench.now, OTHER_HOME, PEER, HomeAgent);
    bench.pass(Duration::from_millis(400));
    let questions = bench.actions();
    assert_eq!(kinds(&questions), "HoTI CoTI HoTI CoTI");
    // Only the second gets its answers.
    bench.answer(&questions[3], Status::ACCEPTED);
    bench.answer(&questions[2], Status::ACCEPTED);
    let update = &bench.actions()[0];
    assert_eq!(seen(update).home_address, OTHER_HOME);
}

#[test]
fn no_more_than_three_of_a_type_a_second_to_one_correspondent() {
    let mut bench = Bench::away();
    let homes: Vec<Ipv6Addr> = (0..30).map(|i| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, i)).collect();
    for (index, &home_address) in homes.iter().enumerate() {
        let care_of = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 1, index as u16);
        bench.optimiser.set_care_of(bench.now, home_address, care_of, bench.now + secs(1800));
        bench.optimiser.handle_correspondent(bench.now, home_address, PEER, HomeAgent);
    }
    let mut sent: BTreeMap<u8, Vec<Instant>> = BTreeMap::new();
    for _ in 0..3000 {
        for action in bench.actions() {
            if let Some(packet) = action.packet() {
                let chain = Chain::parse(&packet).unwrap();
                sent.entry(packet[chain.upper_offset + 2]).or_default().push(bench.now);
            }
        }
        bench.pass(Duration::from_millis(10));
    }
    assert_eq!(sent.len(), 2);
    for (kind, times) in sent {
        assert!(times.len() > 50, "{kind}");
        assert!(times.windows(4).all(|four| four[3].since(four[0]) >= secs(1)), "{kind}");
    }
}

#[test]
fn correspondents_of_other_prefixes_are_left_alone() {
    let correspondents = vec!["2001:db8:7::/48".parse().unwrap(), Prefix::host(PEER)];
    let mut bench = Bench::new(Config { correspondents, ..Config::default() });
    bench.optimiser.handle_correspondent(bench.now, HOME, OTHER_PEER, HomeAgent);
    bench.optimiser.delete_foreign(bench.now, OTHER_HOME, OTHER_PEER);
    assert_eq!((bench.actions(), bench.optimiser.views().count()), (vec![], 0));
    assert_eq!(bench.optimiser.counters().refused_policy, 2);
    bench.see(HomeAgent);
    bench.answer_all();
    assert_eq!(bench.state(), "optimised");
    bench.optimiser.delete_foreign(bench.now, OTHER_HOME, "2001:db8:7::9".parse().unwrap());
    assert_eq!(kinds(&bench.actions()), "HoTI");
    assert_eq!(bench.optimiser.counters().refused_policy, 2);
}
