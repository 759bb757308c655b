//! Terminals without a group (RFC 5380 §6).

use super::*;
use crate::Anchor;

fn anchor_prefix() -> Prefix {
    Prefix::of_link(AGENT)
}

fn eui64(n: u16) -> Eui64 {
    Eui64(0x0200_5eff_fe00_1000 | u64::from(n))
}

fn regional(n: u16) -> Ipv6Addr {
    addr::with_interface_identifier(anchor_prefix().address(), eui64(n).modified())
}

fn anchor_config() -> Config {
    let mut config = config();
    config.anchor = Anchor::Prefix(anchor_prefix());
    config.associations = crate::auth::AssociationTable::new();
    for n in 0..4 {
        let (home_address, terminal) = (Some(home(n)), Some(eui64(n)));
        let association = SecurityAssociation { spi: association(0).spi, ..association(n) };
        let peer = Peer { identifier: None, home_address, terminal, association };
        config.associations.insert(peer).unwrap();
    }
    config
}

/// What stands in the place of the home address is the regional one.
fn terminal(n: u16) -> Terminal {
    let association = SecurityAssociation { spi: association(0).spi, ..association(n) };
    Terminal { home_address: regional(n), association, ..Terminal::new(n) }
}

fn update(terminal: &mut Terminal) -> BindingUpdate {
    BindingUpdate { options: MobilityOptions::default(), ..terminal.update() }
}

fn ask(bench: &mut Bench, terminal: &mut Terminal) -> BindingAcknowledgement {
    let update = update(terminal);
    bench.ask(terminal, update)
}

#[test]
fn the_anchor_prefix_is_routed_like_care_of_addresses() {
    let mut agent = MobilityManagementAgent::new(anchor_config(), 1, SecretRng::simulated(1));
    let outputs: Vec<_> = core::iter::from_fn(|| agent.poll_output()).collect();
    assert_eq!(outputs[1], Output::Table(TableUpdate::RouteSet(anchor_prefix(), Route::CareOf)));
    assert!(outputs.contains(&Output::Table(TableUpdate::RouteSet(Prefix::host(AGENT), Route::Local))));
}

#[test]
fn a_regional_address_is_bound_to_the_on_link_one() {
    let mut bench = Bench::new(anchor_config());
    let mut terminal = terminal(0);
    let update = update(&mut terminal);
    let outputs = bench.give(&terminal.packet(update));
    let expected = MmaBinding {
        care_of: regional(0),
        group: terminal.access_address,
        source: AGENT,
        home_agent: Ipv6Addr::UNSPECIFIED,
        gre_key: None,
        access_identifier: 1,
        optimise: false,
        state: BindingState::Anchor,
    };
    assert_eq!(outputs[0], Output::Table(TableUpdate::MmaBindingSet(regional(0), expected)));
    assert_eq!(
        outputs[1],
        Output::Event(Event::Anchored {
            regional_address: regional(0),
            access_address: terminal.access_address,
            lifetime: Duration::from_secs(600)
        })
    );
    // Without option 57 the terminal sees that this is no registration with a group (type 2 routing header: `read`).
    let acknowledgement = terminal.read(sent(&outputs)[0]);
    assert_eq!((acknowledgement.status, acknowledgement.lifetime), (Status::ACCEPTED, Lifetime(150)));
    assert!(acknowledgement.options.addresses.is_empty() && acknowledgement.options.subscriptions.is_empty());
}

#[test]
fn each_move_inside_the_site_is_registered() {
    let mut bench = Bench::new(anchor_config());
    let mut terminal = terminal(0);
    for (link, identifier) in [(1, 1), (2, 1), (2, 9)] {
        terminal.access_address = access(link, identifier);
        assert_eq!(ask(&mut bench, &mut terminal).status, Status::ACCEPTED);
        let entry = bench.entries[&regional(0)];
        assert_eq!((entry.group, entry.access_identifier), (access(link, identifier), u64::from(identifier)));
    }
    assert_eq!((bench.agent.bindings().count(), bench.counter("binding-anchored")), (1, 1));
    assert_eq!(bench.counter("binding-refreshed"), 2);
    // A refresh leaves the data plane alone.
    let refresh = update(&mut terminal);
    let outputs = bench.give(&terminal.packet(refresh));
    assert!(matches!(&outputs[..], [Output::Event(Event::Refreshed { .. }), Output::Transmit(_)]), "{outputs:?}");
    let update = terminal.deregistration();
    assert_eq!(bench.ask(&terminal, update).status, Status::ACCEPTED);
    assert_eq!((bench.entries.len(), bench.agent.quarantined()), (0, 1));
    assert_eq!(ask(&mut bench, &mut terminal).status, Status::ACCEPTED);
}

#[test]
fn the_same_terminal_may_have_a_group_as_well() {
    let mut bench = Bench::new(anchor_config());
    let mut anchored = terminal(0);
    let mut grouped = Terminal { home_address: home(0), group: LAYOUT.group(eui64(0)).unwrap(), ..anchored.clone() };
    assert_eq!(ask(&mut bench, &mut anchored).status, Status::ACCEPTED);
    assert_eq!(bench.register(&mut grouped).status, Status::ACCEPTED);
    assert_eq!(bench.agent.bindings().count(), 2);
    bench.pass(Duration::from_secs(600));
    assert_eq!((bench.entries.len(), bench.counter("binding-expired")), (0, 2));
}

#[test]
fn what_an_anchor_point_refuses() {
    type Change = fn(&mut Terminal, &mut BindingUpdate);
    let table: [(&str, Status, Change); 5] = [
        ("refused-access-prefix", Status::ADMINISTRATIVELY_PROHIBITED, |t, _| t.access_address = access(3, 1)),
        ("refused-care-of", Status::INVALID_CARE_OF_ADDRESS, |_, u| {
            u.options.alternate_care_of_address = Some(access(2, 2));
        }),
        ("refused-home-agent", Status::ADMINISTRATIVELY_PROHIBITED, |t, u| {
            u.options.subscriptions = vec![Subscription { group: t.group, source: None }];
        }),
        ("refused-home-registration", Status::HOME_REGISTRATION_NOT_SUPPORTED, |_, u| {
            u.flags = u.flags | BindingUpdateFlags::HOME_REGISTRATION;
        }),
        ("refused-authentication", Status::AUTHENTICATION_FAILED, |t, _| t.association.key = association(9).key),
    ];
    for (counter, status, change) in table {
        let mut bench = Bench::new(anchor_config());
        let mut terminal = terminal(0);
        let right = terminal.association.clone();
        let mut update = update(&mut terminal);
        change(&mut terminal, &mut update);
        let care_of = update.options.alternate_care_of_address.unwrap_or(terminal.access_address);
        let outputs = bench.give(&terminal.packet(update));
        terminal.association = right;
        assert_eq!(terminal.read_for(sent(&outputs)[0], care_of).status, status, "{counter}");
        assert_eq!((bench.counter(counter), bench.entries.len()), (1, 0), "{counter}");
    }
}

#[test]
fn regional_addresses_are_one_terminal_s() {
    let mut bench = Bench::new(anchor_config());
    assert_eq!(ask(&mut bench, &mut terminal(0)).status, Status::ACCEPTED);
    // Another terminal does not even know how to sign for it.
    let mut thief = Terminal { association: terminal(1).association, sequence: 9_000, ..terminal(0) };
    let stolen = update(&mut thief);
    bench.give(&thief.packet(stolen));
    assert_eq!(bench.counter("refused-authentication"), 1);

    // Without an EUI-64 in the agent's table any interface identifier will do, but one at a time and nobody's else.
    let mut config = anchor_config();
    config.care_of = CareOfMode::Assigned { prefix: anchor_prefix() };
    config.anchor = Anchor::Prefix(anchor_prefix());
    for n in 10..12 {
        let peer = Peer { identifier: None, home_address: Some(home(n)), terminal: None, association: association(n) };
        config.associations.insert(peer).unwrap();
    }
    let mut bench = Bench::new(config);
    let at = |n: u16, identifier| Terminal {
        home_address: addr::with_interface_identifier(anchor_prefix().address(), identifier),
        ..Terminal::new(n)
    };
    assert_eq!(ask(&mut bench, &mut at(10, 0x77)).status, Status::ACCEPTED);
    assert_eq!(ask(&mut bench, &mut at(11, 0x77)).status, Status::DUPLICATE_ADDRESS);
    assert_eq!(ask(&mut bench, &mut at(10, 0x78)).status, Status::DUPLICATE_ADDRESS);
    // An anycast address, and an address of the agent itself, which it does not take for a regional one at all.
    assert_eq!(ask(&mut bench, &mut at(11, u64::MAX)).status, Status::DUPLICATE_ADDRESS);
    let mut own = at(11, 1);
    let stolen = update(&mut own);
    bench.give(&own.packet(stolen));
    assert_eq!(bench.counter("refused-regional-taken"), 3);
    assert_eq!((bench.counter("drop-update-no-association"), bench.entries.len()), (1, 1));
}

#[test]
fn who_moves_on_is_followed_for_a_while() {
    let elsewhere = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0xa01, 0, 0, 0, 7);
    let mut config = anchor_config();
    config.peers = vec![Prefix::of_link(elsewhere)];
    let mut bench = Bench::new(config);
    let mut terminal = terminal(0);
    terminal.access_address = elsewhere;
    assert_eq!(ask(&mut bench, &mut terminal).status, Status::ADMINISTRATIVELY_PROHIBITED);
    terminal.access_address = access(1, 1);
    ask(&mut bench, &mut terminal);
    terminal.access_address = elsewhere;
    let acknowledgement = ask(&mut bench, &mut terminal);
    assert_eq!((acknowledgement.status, acknowledgement.lifetime), (Status::ACCEPTED, Lifetime(30)));
    assert_eq!(bench.entries[&regional(0)].group, elsewhere);
}

#[test]
fn where_it_is_off_it_is_refused() {
    let mut config = anchor_config();
    config.anchor = Anchor::Off;
    let mut bench = Bench::new(config);
    assert_eq!(ask(&mut bench, &mut terminal(0)).status, Status::ADMINISTRATIVELY_PROHIBITED);
    assert_eq!((bench.counter("refused-map-mode"), bench.entries.len()), (1, 0));
}
