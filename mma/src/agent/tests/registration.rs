//! Who registers, and what is granted.

use super::*;

#[test]
fn binding_then_event_then_acknowledgement() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let update = terminal.update();
    let outputs = bench.give(&terminal.packet(update));
    let [Output::Table(TableUpdate::MmaBindingSet(bound, entry)), Output::Event(event), Output::Transmit(transmit)] =
        &outputs[..]
    else {
        panic!("not in order: {outputs:?}");
    };
    let acknowledgement = terminal.read(&transmit.packet);
    let care_of = care_of(&acknowledgement);
    assert_eq!(*bound, terminal.home_address);
    let expected = MmaBinding {
        care_of,
        group: terminal.group,
        source: SOURCE,
        home_agent: HOME_AGENT,
        gre_key: None,
        access_identifier: 1,
        optimise: false,
        state: BindingState::Active,
    };
    assert_eq!(*entry, expected);
    assert_eq!(
        *event,
        Event::Registered {
            home_address: terminal.home_address,
            care_of,
            group: terminal.group,
            home_agent: HOME_AGENT,
            access_address: terminal.access_address,
            lifetime: Duration::from_secs(600),
        }
    );
    assert_eq!(acknowledgement.status, Status::ACCEPTED);
    assert_eq!(acknowledgement.sequence, terminal.sequence);
    assert_eq!(acknowledgement.lifetime, Lifetime(150));
    let granted = Subscription { group: terminal.group, source: Some(SOURCE) };
    assert_eq!(acknowledgement.options.subscriptions, [granted]);
    assert_eq!(transmit.via, Via::Route);
}

#[test]
fn a_refresh_changes_nothing_but_lifetime_and_sequence() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let mut update = terminal.update();
    update.options.gre_key = Some(GreKey { key: None });
    let first = bench.ask(&terminal, update);
    let key = first.options.gre_key.unwrap().key.unwrap();
    bench.pass(MINUTE);
    let mut update = terminal.update();
    update.options.gre_key = Some(GreKey { key: None });
    let outputs = bench.give(&terminal.packet(update));
    let [Output::Event(Event::Refreshed { .. }), Output::Transmit(transmit)] = &outputs[..] else {
        panic!("the data plane is left alone: {outputs:?}");
    };
    let second = terminal.read(&transmit.packet);
    assert_eq!(care_of(&second), care_of(&first));
    assert_eq!(second.options.gre_key, Some(GreKey { key: Some(key) }));
    assert_eq!(bench.agent.binding(terminal.home_address).unwrap().remaining(bench.now), Duration::from_secs(600));

    // From another link of the site: the anti-spoof identifier follows, all else stays.
    terminal.access_address = access(2, 77);
    let mut update = terminal.update();
    update.options.gre_key = Some(GreKey { key: None });
    let third = bench.ask(&terminal, update);
    assert_eq!(care_of(&third), care_of(&first));
    let entry = bench.entries[&terminal.home_address];
    assert_eq!((entry.access_identifier, entry.gre_key, entry.group), (77, Some(key), terminal.group));

    // A terminal that no longer asks for GRE does not get it.
    let fourth = bench.register(&mut terminal);
    assert_eq!(fourth.options.gre_key, None);
    assert_eq!(bench.entries[&terminal.home_address].gre_key, None);
}

const SHORT_GROUPS: &str = "2001:db8:f::/48";

/// An agent whose groups hold 48-bit addresses.
fn with_short_groups() -> Config {
    let (scope, prefix) = (Scope::SITE_LOCAL, SHORT_GROUPS.parse().unwrap());
    Config { layout: GroupLayout::EmbeddedRp { scope, prefix, rp_interface_id: 3 }, ..config() }
}

#[test]
fn a_terminal_from_a_site_with_another_layout_gets_its_group_here() {
    let scope = Scope::SITE_LOCAL;
    let embedded = |prefix: &str| {
        let prefix = prefix.parse().unwrap();
        GroupLayout::EmbeddedRp { scope, prefix, rp_interface_id: 1 }
    };
    let elsewhere = [
        GroupLayout::Asm { scope, site_id: 9 },
        embedded("2001:db8::/32"),
        embedded("2001:db8:a::/48"),
        GroupLayout::Ssm { scope: Scope::new(8).unwrap() },
    ];
    for (config, source) in [(config(), Some(SOURCE)), (with_short_groups(), None)] {
        let layout = config.layout;
        let mut bench = Bench::new(config);
        for (index, other) in elsewhere.into_iter().enumerate() {
            let mut terminal = Terminal::new(index as u16);
            let eui64 = GroupLayout::terminal_of(terminal.group).unwrap();
            terminal.group = other.group(eui64).unwrap();
            let acknowledgement = bench.register(&mut terminal);
            let group = layout.group(eui64).unwrap();
            assert_eq!(acknowledgement.options.subscriptions, [Subscription { group, source }]);
            assert_eq!(bench.counter("group-regranted"), 1 + index as u64);
        }
    }
}

/// Claims are of EUI-64 identifiers, however the groups that are asked for are written.
#[test]
fn short_groups_are_claimed_by_whole_identifiers() {
    let mut config = with_short_groups();
    let layout = config.layout;
    let peer = Peer {
        identifier: None,
        home_address: Some(home(40)),
        terminal: Some(Eui64(0x0200_5eff_fe00_0028)),
        association: association(40),
    };
    config.associations.insert(peer).unwrap();
    let mut bench = Bench::new(config);
    // Two ways to ask for one group.
    let (mut first, mut second) = (Terminal::new(0), Terminal::new(1));
    second.group = layout.group(GroupLayout::terminal_of(first.group).unwrap()).unwrap();
    assert_eq!(bench.register(&mut first).status, Status::ACCEPTED);
    assert_eq!(bench.register(&mut second).status, Status::DUPLICATE_ADDRESS);
    assert_eq!(bench.counter("refused-group-taken"), 1);
    // One that is tied to an identifier.
    let mut tied = Terminal::new(40);
    tied.group = layout.group(Eui64(0x0200_5eff_fe00_0029)).unwrap();
    assert_eq!(bench.register(&mut tied).status, Status::ADMINISTRATIVELY_PROHIBITED);
    assert_eq!(bench.counter("refused-terminal"), 1);
    tied.group = layout.group(Eui64(0x0200_5eff_fe00_0028)).unwrap();
    assert_eq!(bench.register(&mut tied).status, Status::ACCEPTED);
    assert_eq!(bench.entries[&tied.home_address].group, "ff75:330:2001:db8:f:200:5e00:28".parse::<Ipv6Addr>().unwrap());
    // An identifier that is made of no 48-bit address has no group here.
    let mut third = Terminal::new(2);
    third.group = LAYOUT.group(Eui64(0x0200_5e12_3400_0002)).unwrap();
    assert_eq!(bench.register(&mut third).status, Status::ADMINISTRATIVELY_PROHIBITED);
    assert_eq!(bench.counter("refused-no-group"), 1);
    // And nobody has none.
    third.group = "ff75:330:2001:db8:f::".parse().unwrap();
    assert_eq!(bench.register(&mut third).status, Status::ADMINISTRATIVELY_PROHIBITED);
    assert_eq!(bench.counter("refused-terminal"), 2);
}

#[test]
fn the_second_terminal_with_an_eui64_gets_134() {
    let mut bench = Bench::new(config());
    let (mut first, mut second) = (Terminal::new(0), Terminal::new(1));
    second.group = first.group;
    assert_eq!(bench.register(&mut first).status, Status::ACCEPTED);
    assert_eq!(bench.register(&mut second).status, Status::DUPLICATE_ADDRESS);
    let update = first.deregistration();
    assert_eq!(bench.ask(&first, update).status, Status::ACCEPTED);
    assert_eq!(bench.register(&mut second).status, Status::ACCEPTED);
    // A terminal may change its group for a free one; its old group is free then.
    second.group = group(200);
    assert_eq!(bench.register(&mut second).status, Status::ACCEPTED);
    assert_eq!(bench.register(&mut first).status, Status::ACCEPTED);
}

#[test]
fn an_eui64_that_is_bound_to_a_terminal_is_no_other_s() {
    let mut config = config();
    let peer = Peer {
        identifier: None,
        home_address: Some(home(40)),
        terminal: Some(Eui64(0x0200_5eff_fe00_0028)),
        association: association(40),
    };
    config.associations.insert(peer).unwrap();
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(40);
    assert_eq!(bench.register(&mut terminal).status, Status::ADMINISTRATIVELY_PROHIBITED);
    assert_eq!(bench.counter("refused-terminal"), 1);
    terminal.group = group(0x28);
    assert_eq!(bench.register(&mut terminal).status, Status::ACCEPTED);
}

#[test]
fn stateless_and_shared_care_of_addresses() {
    let mut config_stateless = config();
    config_stateless.care_of = CareOfMode::Stateless { prefix: care_of_prefix() };
    let mut bench = Bench::new(config_stateless);
    let mut terminal = Terminal::new(0);
    let expected = addr::with_interface_identifier(care_of_prefix().address(), 1);
    assert_eq!(care_of(&bench.register(&mut terminal)), expected);
    terminal.access_address = access(2, 44);
    assert_eq!(care_of(&bench.register(&mut terminal)), expected);
    let mut other = Terminal::new(1);
    other.access_address = access(2, 1);
    assert_eq!(bench.register(&mut other).status, Status::DUPLICATE_ADDRESS);
    assert_eq!(bench.counter("refused-care-of-taken"), 1);

    let shared = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 9);
    let mut config_shared = config();
    config_shared.care_of = CareOfMode::Shared { address: shared };
    let mut bench = Bench::new(config_shared);
    for n in 0..4 {
        assert_eq!(care_of(&bench.register(&mut Terminal::new(n))), shared);
    }
}

#[test]
fn gre_by_policy() {
    for (policy, asked, status, granted) in [
        (GrePolicy::Off, false, Status::ACCEPTED, false),
        (GrePolicy::Off, true, Status::GRE_KEY_NOT_REQUIRED, false),
        (GrePolicy::Offered, false, Status::ACCEPTED, false),
        (GrePolicy::Offered, true, Status::ACCEPTED, true),
        (GrePolicy::Required, false, Status::GRE_KEY_REQUIRED, false),
        (GrePolicy::Required, true, Status::ACCEPTED, true),
    ] {
        let mut config = config();
        config.gre = policy;
        let mut bench = Bench::new(config);
        let mut terminal = Terminal::new(0);
        let mut update = terminal.update();
        update.options.gre_key = asked.then_some(GreKey { key: None });
        let acknowledgement = bench.ask(&terminal, update);
        assert_eq!(acknowledgement.status, status);
        assert_eq!(acknowledgement.options.gre_key.and_then(|gre| gre.key).is_some(), granted);
        let entry = bench.entries.get(&terminal.home_address);
        let key = acknowledgement.options.gre_key.and_then(|gre| gre.key);
        assert_eq!(entry.and_then(|entry| entry.gre_key), key);
    }
}

#[test]
fn no_acknowledgement_where_none_was_asked_for() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let mut update = terminal.update();
    update.flags = BindingUpdateFlags::MAP_REGISTRATION;
    assert_eq!(sent(&bench.give(&terminal.packet(update))).len(), 0);
    assert_eq!(bench.agent.bindings().count(), 1);
    // A refusal is told all the same.
    let mut update = terminal.update();
    update.flags = BindingUpdateFlags::MAP_REGISTRATION;
    update.options.subscriptions.clear();
    assert_eq!(sent(&bench.give(&terminal.packet(update))).len(), 1);
}

#[test]
fn limits() {
    let mut small = config();
    small.max_bindings = 2;
    small.max_replay_floors = 4;
    let mut bench = Bench::new(small);
    let mut terminals: Vec<_> = (0..6).map(Terminal::new).collect();
    let statuses: Vec<_> = terminals.iter_mut().map(|t| bench.register(t).status).collect();
    let full = Status::INSUFFICIENT_RESOURCES;
    assert_eq!(statuses, [Status::ACCEPTED, Status::ACCEPTED, full, full, full, full]);
    assert_eq!((bench.counter("refused-full"), bench.counter("refused-replay-memory")), (4, 0));
    // Those that are there may stay.
    assert_eq!(bench.register(&mut terminals[0]).status, Status::ACCEPTED);
    // What is remembered of who is bound does not make room.
    let mut forgetful = config();
    forgetful.max_replay_floors = 2;
    let mut bench = Bench::new(forgetful);
    let statuses: Vec<_> = terminals[..3].iter_mut().map(|t| bench.register(t).status).collect();
    assert_eq!(statuses, [Status::ACCEPTED, Status::ACCEPTED, full]);
    assert_eq!((bench.counter("refused-full"), bench.counter("refused-replay-memory")), (0, 1));

    let mut config = config();
    config.max_lifetime = Duration::from_secs(99);
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    assert_eq!(bench.register(&mut terminal).lifetime, Lifetime(24));
    let mut update = terminal.update();
    update.lifetime = Lifetime(1);
    assert_eq!(bench.ask(&terminal, update).lifetime, Lifetime(1));
    assert_eq!(bench.agent.poll_timeout(), Some(bench.now + Duration::from_secs(4)));
}
