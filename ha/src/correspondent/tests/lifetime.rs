//! How bindings end, and what is done before (RFC 6275 §9.5.5, §9.6).

use super::*;

#[test]
fn a_binding_ends_with_its_lifetime() {
    let mut bench = Bench::new();
    bench.bound(HOME, CARE_OF);
    let answers = bench.pass(419);
    assert!(answers.packets.is_empty() && answers.events.is_empty(), "an idle one is not refreshed: {answers:?}");
    assert_eq!(bench.care_of(HOME), Some(CARE_OF));
    let answers = bench.pass(1);
    assert_eq!(answers.tables, [TableUpdate::CorrespondentBindingRemove(HOME)]);
    assert_eq!(answers.events, [Event::Ended { home_address: HOME, cause: EndCause::Expired }]);
    // No nonce of its time is accepted any more.
    assert_eq!((bench.node.bindings().entries(), bench.node.poll_timeout()), (0, None));
}

#[test]
fn a_short_binding_that_has_ended_is_not_made_again_by_its_own_update() {
    let mut bench = Bench::new();
    let terminal = bench.terminal(HOME, CARE_OF);
    let update = terminal.update(1, 10);
    bench.packet(&update);
    bench.pass(60);
    assert_eq!(bench.care_of(HOME), None);
    assert_eq!(bench.packet(&update).status(), Status::SEQUENCE_OUT_OF_WINDOW);
    assert_eq!(bench.packet(&terminal.update(2, 10)).status(), Status::ACCEPTED, "its nonces are not spent");
}

/// RFC 6275 §9.5.5 and §6.1: to the home address, without a routing header.
#[test]
fn a_binding_in_use_is_asked_to_be_refreshed_until_it_is() {
    let mut bench = Bench::new();
    let terminal = bench.bound(HOME, CARE_OF);
    // Used at the start says nothing about the end: the data plane is asked again.
    bench.command(Command::Used { home_address: HOME });
    let answers = bench.pass(420 * 5 / 8 + 1);
    assert_eq!(answers.tables, [bound_to(HOME, CARE_OF)]);
    assert!(answers.packets.is_empty());
    bench.command(Command::Used { home_address: HOME });
    let answers = bench.pass(420 / 8);
    assert_eq!(
        answers.message(),
        (HOME, None, MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() })
    );
    // Again, ever later, a handful of times at the most, unless it is refreshed.
    let requests = bench.pass(90).packets.len();
    assert!((2..=5).contains(&requests), "{requests}");
    let fresh = Terminal { home: bench.home_test(HOME), away: bench.care_of_test(CARE_OF), ..terminal };
    assert_eq!(bench.packet(&fresh.update(2, 105)).status(), Status::ACCEPTED);
    assert!(bench.pass(200).packets.is_empty());
    assert_eq!(bench.care_of(HOME), Some(CARE_OF));
}

#[test]
fn an_operator_can_end_a_binding() {
    let mut bench = Bench::new();
    bench.bound(HOME, CARE_OF);
    let answers = bench.command(Command::Remove { home_address: HOME });
    assert_eq!(answers.tables, [TableUpdate::CorrespondentBindingRemove(HOME)]);
    assert!(bench.command(Command::Remove { home_address: HOME }).is_silent());
}

#[test]
fn a_notice_that_comes_late_means_nothing() {
    let mut bench = Bench::new();
    let terminal = bench.bound(HOME, CARE_OF);
    bench.packet(&terminal.update(2, 0));
    assert!(bench.command(Command::Used { home_address: HOME }).is_silent());
    assert!(bench.command(Command::Used { home_address: OTHER_CARE_OF }).is_silent());
    assert_eq!(bench.node.bindings().len(), 0);
}
