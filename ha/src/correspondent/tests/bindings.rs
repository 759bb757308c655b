//! Binding Updates (RFC 6275 §9.5).

use super::*;

#[test]
fn a_binding_is_made_before_it_is_acknowledged() {
    let mut bench = Bench::new();
    let terminal = bench.terminal(HOME, CARE_OF);
    let answers = bench.packet(&terminal.update(9, 50));
    assert_eq!(answers.tables, [bound_to(HOME, CARE_OF)]);
    assert!(!answers.table_after_packet);
    let lifetime = Duration::from_secs(200);
    assert_eq!(answers.events, [Event::Bound { home_address: HOME, care_of: CARE_OF, lifetime }]);
    let (to, routing, _) = answers.message();
    assert_eq!((to, routing), (CARE_OF, Some(HOME)));
    let acknowledgement = answers.acknowledgement();
    assert_eq!(
        (acknowledgement.status, acknowledgement.sequence, acknowledgement.lifetime),
        (Status::ACCEPTED, 9, Lifetime(50))
    );
    let signed = reception::receive(&answers.packets[0]).unwrap();
    assert!(terminal.key().verify(signed.bytes, CARE_OF, CORRESPONDENT));
}

#[test]
fn no_lifetime_is_longer_than_return_routability_allows() {
    let mut bench = Bench::new();
    let terminal = bench.terminal(HOME, CARE_OF);
    let acknowledgement = bench.packet(&terminal.update(1, u16::MAX)).acknowledgement();
    assert_eq!(acknowledgement.lifetime.duration(), MAX_RR_BINDING_LIFETIME);
    let mut bench = Bench::with(Config { max_lifetime: Duration::from_secs(60), ..Config::new(CORRESPONDENT) });
    let terminal = bench.terminal(HOME, CARE_OF);
    assert_eq!(bench.packet(&terminal.update(1, 105)).acknowledgement().lifetime, Lifetime(15));
    assert_eq!(bench.packet(&terminal.update(2, 1)).acknowledgement().lifetime, Lifetime(1));
}

#[test]
fn without_the_a_bit_only_refusals_are_acknowledged() {
    let mut bench = Bench::new();
    let terminal = bench.terminal(HOME, CARE_OF);
    let quiet = |sequence| {
        let update = BindingUpdate { flags: BindingUpdateFlags::default(), ..terminal.message(sequence, 105) };
        terminal.carry(terminal.sign(update))
    };
    let answers = bench.packet(&quiet(5));
    assert_eq!((answers.packets.len(), answers.tables.len()), (0, 1));
    assert_eq!(bench.packet(&quiet(5)).status(), Status::SEQUENCE_OUT_OF_WINDOW);
}

/// RFC 6275 §9.5.1: its own example, and the ends of the number's range.
#[test]
fn sequence_numbers_are_compared_modulo_2_16() {
    let cases = [
        (15, [16, 17, 15 + 32767].as_slice(), [0, 14, 15, 32783, 32784, 65535].as_slice()),
        (65535, &[0, 1, 32766], &[65535, 65534, 32767, 32768]),
        (0, &[1, 32767], &[0, 65535, 32768]),
    ];
    for (last, accepted, refused) in cases {
        for (&sequence, expected) in accepted.iter().map(|s| (s, true)).chain(refused.iter().map(|s| (s, false))) {
            let mut bench = Bench::new();
            let terminal = bench.terminal(HOME, CARE_OF);
            assert_eq!(bench.packet(&terminal.update(last, 105)).status(), Status::ACCEPTED, "any number at first");
            let answers = bench.packet(&terminal.update(sequence, 50));
            let acknowledgement = answers.acknowledgement();
            if expected {
                assert_eq!((acknowledgement.status, acknowledgement.sequence), (Status::ACCEPTED, sequence));
                continue;
            }
            let status = Status::SEQUENCE_OUT_OF_WINDOW;
            assert_eq!((acknowledgement.status, acknowledgement.sequence), (status, last), "{sequence} after {last}");
            let signed = reception::receive(&answers.packets[0]).unwrap();
            assert!(terminal.key().verify(signed.bytes, CARE_OF, CORRESPONDENT), "refusals are signed");
            assert_eq!(bench.node.bindings().get(HOME).unwrap().lifetime, MAX_RR_BINDING_LIFETIME, "nothing changed");
        }
    }
}

#[test]
fn nonces_that_are_not_known_are_named() {
    let mut bench = Bench::new();
    let terminal = bench.terminal(HOME, CARE_OF);
    let cases = [(true, false, 136), (false, true, 137), (true, true, 138)];
    for (home, care_of, status) in cases {
        let mut update = terminal.message(1, 105);
        let indices = update.options.nonce_indices.as_mut().unwrap();
        indices.home = indices.home.wrapping_add(u16::from(home) * 77);
        indices.care_of = indices.care_of.wrapping_add(u16::from(care_of) * 77);
        // RFC 6275 §9.5.4: without authenticator, since there is no key, and so whatever the update is signed with.
        let answers = bench.packet(&terminal.carry(terminal.sign(update)));
        assert_eq!((answers.status(), answers.acknowledgement().sequence), (Status(status), 1));
        assert_eq!(answers.acknowledgement().options.binding_authorization_data, None);
        assert!(answers.tables.is_empty());
        assert_eq!((answers.message().0, answers.message().1), (CARE_OF, Some(HOME)));
    }
    // The care-of nonce of a deletion is not looked at.
    bench.packet(&terminal.update(1, 105));
    let mut update = terminal.message(2, 0);
    update.options.nonce_indices.as_mut().unwrap().care_of ^= 0x5555;
    assert_eq!(bench.packet(&terminal.carry(terminal.sign(update))).status(), Status::ACCEPTED);
    assert_eq!(bench.care_of(HOME), None);
}

#[test]
fn an_alternate_care_of_address_is_the_one_that_was_tested() {
    let mut bench = Bench::new();
    let terminal = bench.terminal(HOME, CARE_OF);
    let mut update = terminal.message(1, 105);
    update.options.alternate_care_of_address = Some(CARE_OF);
    let message = terminal.sign(update.clone());
    let builder = PacketBuilder::new(OTHER_CARE_OF, CORRESPONDENT).home_address(HOME);
    let answers = bench.packet(&mobility(builder.clone(), message));
    // The answer goes to where the update came from (§9.5.4), the packets to the care-of address.
    assert_eq!((answers.message().0, answers.status()), (OTHER_CARE_OF, Status::ACCEPTED));
    assert_eq!(answers.tables, [bound_to(HOME, CARE_OF)]);
    // Another address than the tested one, by the option or by the source: silence.
    update.sequence = 2;
    update.options.alternate_care_of_address = Some(OTHER_CARE_OF);
    let message = terminal.key().sign_update(update.clone(), OTHER_CARE_OF, CORRESPONDENT);
    assert!(bench.packet(&terminal.carry(message)).is_silent());
    update.options.alternate_care_of_address = None;
    let message = terminal.key().sign_update(update, OTHER_CARE_OF, CORRESPONDENT);
    assert!(bench.packet(&mobility(builder, message)).is_silent());
    assert_eq!(bench.care_of(HOME), Some(CARE_OF));
}

#[test]
fn a_terminal_that_moves_moves_its_binding() {
    let mut bench = Bench::new();
    let first = bench.bound(HOME, CARE_OF);
    // RFC 6275 §5.2.7: the home token serves again.
    let second = Terminal { care_of: OTHER_CARE_OF, away: bench.care_of_test(OTHER_CARE_OF), ..first };
    let answers = bench.packet(&second.update(2, 105));
    assert_eq!((answers.status(), answers.tables), (Status::ACCEPTED, vec![bound_to(HOME, OTHER_CARE_OF)]));
    // What was sent before and comes later does not move it back.
    assert_eq!(bench.packet(&first.update(2, 105)).status(), Status::SEQUENCE_OUT_OF_WINDOW);
    assert_eq!((bench.care_of(HOME), bench.node.bindings().len()), (Some(OTHER_CARE_OF), 1));
}

#[test]
fn a_binding_is_deleted_by_the_home_token_alone() {
    for at_home in [false, true] {
        let mut bench = Bench::new();
        let terminal = bench.bound(HOME, CARE_OF);
        let message = terminal.deletion_key().sign_update(terminal.message(2, 0), HOME, CORRESPONDENT);
        let packet = match at_home {
            true => mobility(PacketBuilder::new(HOME, CORRESPONDENT), message),
            false => terminal.carry(message),
        };
        let answers = bench.packet(&packet);
        assert_eq!(answers.tables, [TableUpdate::CorrespondentBindingRemove(HOME)]);
        assert!(!answers.table_after_packet);
        assert_eq!(answers.events, [Event::Ended { home_address: HOME, cause: EndCause::Deleted }]);
        let (to, routing, _) = answers.message();
        // RFC 6275 §9.5.4: no routing header where there was no option.
        assert_eq!((to, routing), if at_home { (HOME, None) } else { (CARE_OF, Some(HOME)) });
        assert_eq!((answers.status(), answers.acknowledgement().lifetime), (Status::ACCEPTED, Lifetime::ZERO));
        let signed = reception::receive(&answers.packets[0]).unwrap();
        assert!(terminal.deletion_key().verify(signed.bytes, HOME, CORRESPONDENT));
        assert_eq!(bench.care_of(HOME), None);
    }
}

/// A care-of address that is the home address is none (RFC 6275 §9.5.1 before its lifetime is looked at).
#[test]
fn a_binding_to_the_home_address_is_a_deletion() {
    let mut bench = Bench::new();
    let terminal = bench.bound(HOME, CARE_OF);
    let message = terminal.deletion_key().sign_update(terminal.message(2, 105), HOME, CORRESPONDENT);
    let answers = bench.packet(&mobility(PacketBuilder::new(HOME, CORRESPONDENT), message));
    assert_eq!((answers.status(), bench.care_of(HOME)), (Status::ACCEPTED, None));
}

#[test]
fn a_deletion_makes_no_entry() {
    let mut bench = Bench::new();
    let terminal = bench.terminal(HOME, CARE_OF);
    let answers = bench.packet(&terminal.update(7, 0));
    assert_eq!((answers.status(), answers.tables.len()), (Status::ACCEPTED, 0));
    assert_eq!(bench.node.bindings().entries(), 0);
}

/// RFC 6275 §5.2.8 and §9.5.3.
#[test]
fn what_made_a_binding_that_was_deleted_does_not_make_it_again() {
    let mut bench = Bench::new();
    let terminal = bench.bound(HOME, CARE_OF);
    let replay = terminal.update(1, 105);
    bench.packet(&terminal.update(2, 0));
    // The same packet, and a new one with the same nonces.
    for packet in [replay.clone(), terminal.update(3, 105)] {
        let answers = bench.packet(&packet);
        assert_eq!((answers.status(), answers.tables.len()), (Status::EXPIRED_NONCES, 0));
    }
    assert_eq!(bench.node.counters().spent_nonces, 2);
    // A second later there is another nonce for a terminal that left home again so soon, and it goes on from its number.
    bench.pass(1);
    let again = bench.terminal(HOME, CARE_OF);
    assert_ne!(again.home.nonce_index, terminal.home.nonce_index);
    assert_eq!(bench.packet(&again.update(2, 105)).status(), Status::SEQUENCE_OUT_OF_WINDOW);
    assert_eq!(bench.packet(&again.update(3, 105)).status(), Status::ACCEPTED);
    // The deletion of before does not delete what was made since.
    assert_eq!(bench.packet(&terminal.update(2, 0)).status(), Status::SEQUENCE_OUT_OF_WINDOW);
    assert_eq!(bench.care_of(HOME), Some(CARE_OF));
    // Once no nonce of before is accepted there is nothing left to replay, and nothing is remembered.
    bench.packet(&again.update(4, 0));
    bench.pass(MAX_NONCE_LIFETIME.as_secs());
    assert_eq!(bench.node.bindings().entries(), 0);
    assert_eq!(bench.packet(&replay).status(), Status::EXPIRED_NONCES);
    let fresh = bench.terminal(HOME, CARE_OF);
    assert_eq!(bench.packet(&fresh.update(1, 105)).status(), Status::ACCEPTED, "any number");
}

/// An agent that does not know the number that the one before it used is told.
#[test]
fn the_next_agent_of_a_terminal_goes_on_from_the_number_of_the_last() {
    let mut bench = Bench::new();
    let first = bench.terminal(HOME, CARE_OF);
    bench.packet(&first.update(400, 105));
    let second = bench.terminal(HOME, OTHER_CARE_OF);
    let answers = bench.packet(&second.update(1, 105));
    assert_eq!(answers.status(), Status::SEQUENCE_OUT_OF_WINDOW);
    let last = answers.acknowledgement().sequence;
    assert_eq!(bench.packet(&second.update(last.wrapping_add(1), 105)).status(), Status::ACCEPTED);
    assert_eq!(bench.care_of(HOME), Some(OTHER_CARE_OF));
}

#[test]
fn a_full_cache_refuses_until_a_binding_is_idle() {
    let mut bench = Bench::with(Config { max_bindings: 2, ..Config::new(CORRESPONDENT) });
    let homes: Vec<Ipv6Addr> = (1..=3).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, n)).collect();
    for &home_address in &homes[..2] {
        bench.bound(home_address, CARE_OF);
        bench.command(Command::Used { home_address });
    }
    let third = bench.terminal(homes[2], CARE_OF);
    let answers = bench.packet(&third.update(1, 105));
    assert_eq!((answers.status(), answers.tables.len()), (Status::INSUFFICIENT_RESOURCES, 0));
    let signed = reception::receive(&answers.packets[0]).unwrap();
    assert!(third.key().verify(signed.bytes, CARE_OF, CORRESPONDENT));
    // The data plane is asked once a while; the one that is used stays.
    bench.pass(10);
    let answers = bench.packet(&third.update(2, 105));
    assert_eq!(answers.status(), Status::INSUFFICIENT_RESOURCES);
    assert_eq!(answers.tables, [bound_to(homes[0], CARE_OF), bound_to(homes[1], CARE_OF)]);
    bench.command(Command::Used { home_address: homes[0] });
    bench.pass(10);
    let answers = bench.packet(&third.update(3, 105));
    assert_eq!(answers.status(), Status::ACCEPTED);
    let removed = TableUpdate::CorrespondentBindingRemove(homes[1]);
    assert_eq!(answers.tables, [removed, bound_to(homes[2], CARE_OF)]);
    assert_eq!(bench.node.counters().replaced, 1);
    // What went still refuses replays (§9.6).
    assert_eq!(bench.node.bindings().entries(), 3);
}

#[test]
fn home_registrations_are_refused_as_such() {
    let mut bench = Bench::new();
    let terminal = bench.terminal(HOME, CARE_OF);
    let registration = |nonces: bool| {
        let mut update = terminal.message(1, 105);
        update.flags = BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::HOME_REGISTRATION;
        if !nonces {
            update.options.nonce_indices = None;
        }
        terminal.carry(MobilityMessage::from(update).emit())
    };
    assert_eq!(bench.packet(&registration(false)).status(), Status::HOME_REGISTRATION_NOT_SUPPORTED);
    assert!(bench.packet(&registration(true)).is_silent());
    bench.packet(&terminal.update(1, 105));
    assert_eq!(bench.packet(&registration(false)).status(), Status::REGISTRATION_TYPE_CHANGE);
    assert_eq!(bench.care_of(HOME), Some(CARE_OF));
}

#[test]
fn flags_that_mean_nothing_to_a_correspondent_change_nothing() {
    let mut bench = Bench::new();
    let terminal = bench.terminal(HOME, CARE_OF);
    let mut update = terminal.message(1, 105);
    update.flags = BindingUpdateFlags(!BindingUpdateFlags::HOME_REGISTRATION.0);
    assert_eq!(bench.packet(&terminal.carry(terminal.sign(update))).status(), Status::ACCEPTED);
}

/// Whom the operator does not want is told so, once it has shown who it is; everybody else hears nothing.
#[test]
fn home_addresses_of_other_prefixes_have_no_bindings() {
    let home_prefixes = vec!["2001:db8:7::/48".parse().unwrap()];
    let mut bench = Bench::with(Config { home_prefixes, ..Config::new(CORRESPONDENT) });
    let terminal = bench.terminal(HOME, CARE_OF);
    let answers = bench.packet(&terminal.update(9, 50));
    assert_eq!((answers.status(), answers.acknowledgement().sequence), (Status::ADMINISTRATIVELY_PROHIBITED, 9));
    let signed = reception::receive(&answers.packets[0]).unwrap();
    assert!(terminal.key().verify(signed.bytes, CARE_OF, CORRESPONDENT));
    assert!(answers.tables.is_empty() && bench.care_of(HOME).is_none());
    let mut forged = terminal.update(10, 50);
    *forged.last_mut().unwrap() ^= 1;
    assert!(bench.packet(&forged).is_silent());
    assert_eq!(bench.node.counters().reject_policy, 1);
    let welcome = bench.terminal("2001:db8:7::10".parse().unwrap(), CARE_OF);
    assert_eq!(bench.packet(&welcome.update(9, 50)).status(), Status::ACCEPTED);
}
