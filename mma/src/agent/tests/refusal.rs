//! Who is refused, and how.

use super::*;

#[test]
fn what_is_refused_and_how() {
    type Change = fn(&mut Terminal, &mut BindingUpdate);
    let table: &[(&str, Status, Change)] = &[
        ("refused-authentication", Status::AUTHENTICATION_FAILED, |t, _| t.association.key = association(9).key),
        ("refused-sequence", Status::SEQUENCE_OUT_OF_WINDOW, |_, u| u.sequence = u.sequence.wrapping_sub(1)),
        ("refused-home-registration", Status::HOME_REGISTRATION_NOT_SUPPORTED, |_, u| {
            u.flags = u.flags | BindingUpdateFlags::HOME_REGISTRATION;
        }),
        ("refused-not-map", Status::ADMINISTRATIVELY_PROHIBITED, |_, u| u.flags = BindingUpdateFlags::ACKNOWLEDGE),
        ("refused-map-mode", Status::ADMINISTRATIVELY_PROHIBITED, |_, u| u.options.subscriptions.clear()),
        ("refused-forwarding", Status::ADMINISTRATIVELY_PROHIBITED, |_, u| {
            u.options.subscriptions.clear();
            u.options.alternate_care_of_address = Some(access(7, 7));
        }),
        ("refused-several-groups", Status::REASON_UNSPECIFIED, |_, u| {
            let second = Subscription { group: group(50), source: None };
            u.options.subscriptions.push(second);
        }),
        ("refused-care-of", Status::INVALID_CARE_OF_ADDRESS, |_, u| {
            u.options.alternate_care_of_address = Some(access(1, 99));
        }),
        ("refused-access-prefix", Status::ADMINISTRATIVELY_PROHIBITED, |t, _| t.access_address = access(3, 1)),
        ("refused-terminal", Status::ADMINISTRATIVELY_PROHIBITED, |_, u| {
            u.options.subscriptions[0].group = LAYOUT.range().address();
        }),
        ("refused-group-taken", Status::DUPLICATE_ADDRESS, |_, u| u.options.subscriptions[0].group = group(16)),
        ("refused-gre-required", Status::GRE_KEY_REQUIRED, |_, u| u.options.gre_key = None),
    ];
    for (counter, status, change) in table {
        // Each against an agent that has the terminal already, and against one that has not.
        for bound in [true, false] {
            if !bound && *counter == "refused-sequence" {
                continue;
            }
            let mut config = config();
            config.gre = GrePolicy::Required;
            let mut bench = Bench::new(config);
            let mut other = Terminal::new(15);
            let mut terminal = Terminal::new(0);
            let ask_gre = |mut update: BindingUpdate| {
                update.options.gre_key = Some(GreKey { key: None });
                update
            };
            let update = ask_gre(other.update());
            assert_eq!(bench.ask(&other, update).status, Status::ACCEPTED);
            if bound {
                let update = ask_gre(terminal.update());
                assert_eq!(bench.ask(&terminal, update).status, Status::ACCEPTED);
            }
            let before: Vec<_> = bench.agent.bindings().cloned().collect();
            let mut update = ask_gre(terminal.update());
            let right = terminal.association.clone();
            change(&mut terminal, &mut update);
            let sequence = update.sequence;
            let signed_as = update.options.alternate_care_of_address.unwrap_or(terminal.access_address);
            let outputs = bench.give(&terminal.packet(update));
            let [Output::Event(Event::Refused { status: told, .. }), Output::Transmit(transmit)] = &outputs[..] else {
                panic!("{counter}: {outputs:?}");
            };
            // Refusals are signed with the key that the agent has for the terminal.
            let chain = Chain::parse(&transmit.packet).unwrap();
            let message = &transmit.packet[chain.upper_offset..];
            assert!(right.verify(message, signed_as, terminal.home_address), "{counter}");
            let Ok(MobilityMessage::BindingAcknowledgement(acknowledgement)) = mobility::parse(message) else {
                panic!("{counter}: no acknowledgement");
            };
            assert_eq!((acknowledgement.status, *told), (*status, *status), "{counter}");
            assert_eq!(acknowledgement.lifetime, Lifetime::ZERO);
            assert!(acknowledgement.options.addresses.is_empty() && acknowledgement.options.subscriptions.is_empty());
            assert_eq!(acknowledgement.sequence, sequence);
            assert_eq!(bench.counter(counter), 1, "{counter}");
            let after: Vec<_> = bench.agent.bindings().cloned().collect();
            assert_eq!(before, after, "{counter}");
        }
    }
}

#[test]
fn home_addresses_belong_to_who_bound_them() {
    let mut config = config();
    let site_key =
        SiteKey { spi: Spi::new(900).unwrap(), key: Key::new(&[0x55; 32]).unwrap(), algorithm: Algorithm::default() };
    config.associations = config.associations.with_site_key(site_key.clone());
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    bench.register(&mut terminal);
    let identifier = MobileNodeIdentifier::nai("thief@example.org");
    let mut thief = Terminal { association: site_key.derive(&identifier), sequence: 20_000, ..terminal.clone() };
    for mut update in [thief.update(), thief.deregistration()] {
        update.options.identifier = Some(identifier.clone());
        assert_eq!(bench.ask(&thief, update).status, Status::ADMINISTRATIVELY_PROHIBITED);
    }
    assert_eq!(bench.counter("refused-owner"), 2);
    // Nor has the thief moved the sequence number on.
    assert_eq!(bench.register(&mut terminal).status, Status::ACCEPTED);
    // A home address of its own is fine.
    thief.home_address = home(60);
    thief.group = group(600);
    let mut update = thief.update();
    update.options.identifier = Some(identifier);
    assert_eq!(bench.ask(&thief, update).status, Status::ACCEPTED);
}

#[test]
fn home_addresses_without_home_agent_are_refused() {
    let mut config = config();
    config.home_agents[0].prefix = "2001:db8:9::/48".parse().unwrap();
    let mut bench = Bench::new(config);
    assert_eq!(bench.register(&mut Terminal::new(0)).status, Status::ADMINISTRATIVELY_PROHIBITED);
    assert_eq!(bench.counter("refused-home-agent"), 1);
}

#[test]
fn a_terminal_at_home_does_not_register() {
    let mut config = config();
    config.access_prefixes.push(Prefix::of_link(home(0)));
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    terminal.access_address = terminal.home_address;
    assert_eq!(bench.register(&mut terminal).status, Status::INVALID_CARE_OF_ADDRESS);
}

#[test]
fn wrong_keys_are_answered_at_a_limited_rate_and_install_nothing() {
    let mut config = config();
    config.max_errors_per_sec = 3;
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    terminal.association.key = association(9).key;
    let mut answered = 0;
    for _ in 0..10 {
        let update = terminal.update();
        let outputs = bench.give(&terminal.packet(update));
        assert!(!outputs.iter().any(|output| matches!(output, Output::Table(_))));
        answered += sent(&outputs).len();
    }
    assert_eq!((answered, bench.counter("refused-authentication")), (3, 10));
    assert_eq!(bench.counter("answer-rate-limited"), 7);
    assert_eq!(bench.agent.bindings().count(), 0);
    // The failures have not moved the sequence number on.
    let mut right = Terminal::new(0);
    right.sequence = 0;
    assert_eq!(bench.register(&mut right).status, Status::ACCEPTED);
}
