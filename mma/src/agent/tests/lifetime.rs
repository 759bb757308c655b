//! How the agent starts, and how bindings end.

use super::*;

#[test]
fn starts_with_its_routes_and_its_service() {
    let mut agent = MobilityManagementAgent::new(config(), 1, SecretRng::simulated(1));
    let outputs: Vec<_> = core::iter::from_fn(|| agent.poll_output()).collect();
    let access_prefixes = agent.config().access_prefixes.clone();
    assert_eq!(
        outputs,
        [
            Output::Table(TableUpdate::RouteSet(care_of_prefix(), Route::CareOf)),
            Output::Table(TableUpdate::RouteSet(Prefix::host(AGENT), Route::Local)),
            Output::Table(TableUpdate::RouteSet(Prefix::host(SOURCE), Route::Local)),
            Output::Table(TableUpdate::MmaServiceSet(MmaService {
                address: AGENT,
                access_prefixes,
                peers: Vec::new(),
                chain: false
            })),
        ]
    );
}

#[test]
fn a_binding_ends_with_its_lifetime() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let care_of = care_of(&bench.register(&mut terminal));
    let end = bench.now + Duration::from_secs(600);
    assert_eq!(bench.agent.poll_timeout(), Some(end));
    assert_eq!(bench.pass(Duration::from_millis(599_999)), []);
    let home_address = terminal.home_address;
    assert_eq!(
        bench.pass(Duration::from_millis(1)),
        [
            Output::Table(TableUpdate::MmaBindingRemove(home_address)),
            Output::Event(Event::Expired { home_address, care_of, group: terminal.group }),
        ]
    );
    assert_eq!((bench.agent.poll_timeout(), bench.agent.quarantined()), (None, 1));
}

#[test]
fn deregistration_removes_before_it_acknowledges() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let care_of = care_of(&bench.register(&mut terminal));
    let update = terminal.deregistration();
    let outputs = bench.give(&terminal.packet(update));
    let home_address = terminal.home_address;
    let by = Removal::Terminal;
    assert_eq!(outputs[0], Output::Table(TableUpdate::MmaBindingRemove(home_address)));
    assert_eq!(outputs[1], Output::Event(Event::Deregistered { home_address, care_of, group: terminal.group, by }));
    let acknowledgement = terminal.read(sent(&outputs)[0]);
    assert_eq!((acknowledgement.status, acknowledgement.lifetime), (Status::ACCEPTED, Lifetime::ZERO));
    // Its acknowledgement was lost: asked again, it is granted again.
    let update = terminal.deregistration();
    let outputs = bench.give(&terminal.packet(update));
    assert_eq!((outputs.len(), terminal.read(sent(&outputs)[0]).status), (1, Status::ACCEPTED));

    // The address is the terminal's again when it comes back, and for a time nobody else's.
    for n in 1..10 {
        assert_ne!(super::care_of(&bench.register(&mut Terminal::new(n))), care_of);
    }
    assert_eq!(super::care_of(&bench.register(&mut terminal)), care_of);
}

#[test]
fn deregistration_from_home_has_no_home_address_option() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    bench.register(&mut terminal);
    let update = terminal.deregistration();
    let home_address = terminal.home_address;
    let message = terminal.association.sign_update(update, home_address, home_address);
    let packet = PacketBuilder::new(home_address, AGENT).checksummed(protocol::MOBILITY, message, CHECKSUM_AT);
    let outputs = bench.give(&packet);
    let answer = sent(&outputs)[0];
    let chain = Chain::parse(answer).unwrap();
    assert_eq!((chain.type2_routing, ipv6::Header::parse(answer).unwrap().destination), (None, home_address));
    assert!(terminal.association.verify(&answer[chain.upper_offset..], home_address, home_address));
    assert_eq!(bench.agent.bindings().count(), 0);
}

#[test]
fn drain_resume_revoke_stop() {
    let mut bench = Bench::new(config());
    let mut terminals: Vec<_> = (0..4).map(Terminal::new).collect();
    for terminal in &mut terminals[..3] {
        bench.register(terminal);
    }
    assert_eq!(bench.command(Command::Drain), []);
    assert_eq!(bench.register(&mut terminals[3]).status, Status::INSUFFICIENT_RESOURCES);
    assert_eq!(bench.register(&mut terminals[0]).status, Status::ACCEPTED);
    bench.command(Command::Resume);
    assert_eq!(bench.register(&mut terminals[3]).status, Status::ACCEPTED);
    let outputs = bench.command(Command::Revoke(home(3)));
    assert_eq!(outputs[0], Output::Table(TableUpdate::MmaBindingRemove(home(3))));
    assert!(matches!(outputs[1], Output::Event(Event::Deregistered { by: Removal::Operator, .. })));
    assert_eq!(bench.command(Command::Revoke(home(3))), []);
    let outputs = bench.command(Command::Stop);
    assert_eq!(outputs.len(), 7);
    assert_eq!(outputs[6], Output::Event(Event::Drained));
    assert_eq!(bench.register(&mut terminals[0]).status, Status::INSUFFICIENT_RESOURCES);
    assert_eq!(bench.command(Command::Drain), [Output::Event(Event::Drained)]);
}
