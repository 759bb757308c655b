//! Terminals that have moved on (RFC 5380 §8; patent fig. 6 to 9).

use super::*;

const NEW_CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0xc0a, 0, 0, 0, 0x77);
const THIRD_CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0xc0a, 0, 0, 0, 0x78);
/// On a link of another site.
const ELSEWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0xa01, 0, 0, 0, 1);

fn forwarding_config() -> Config {
    let mut config = config();
    config.peers = vec![Prefix::of_link(NEW_CARE_OF), Prefix::of_link(THIRD_CARE_OF)];
    config
}

/// From another site.
fn request(terminal: &mut Terminal, to: Ipv6Addr, secs: u64) -> BindingUpdate {
    terminal.access_address = ELSEWHERE;
    BindingUpdate {
        lifetime: Lifetime::at_most(Duration::from_secs(secs)),
        options: MobilityOptions { alternate_care_of_address: Some(to), ..MobilityOptions::default() },
        ..terminal.update()
    }
}

/// Without a Home Address option.
fn packet_from_home(terminal: &Terminal, update: BindingUpdate) -> Vec<u8> {
    let home_address = terminal.home_address;
    let message = terminal.association.sign_update(update, home_address, home_address);
    PacketBuilder::new(home_address, AGENT).checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
}

fn forward(to: Ipv6Addr) -> BindingState {
    BindingState::Forward { to, from_home_agent: true }
}

/// A bench with one terminal that is registered.
fn bound() -> (Bench, Terminal, Ipv6Addr) {
    let mut bench = Bench::new(forwarding_config());
    let mut terminal = Terminal::new(0);
    let care_of = care_of(&bench.register(&mut terminal));
    (bench, terminal, care_of)
}

#[test]
fn the_service_names_the_peers() {
    let mut config = forwarding_config();
    config.forward_chain = true;
    let peers = config.peers.clone();
    let mut agent = MobilityManagementAgent::new(config, 1, SecretRng::simulated(1));
    let outputs: Vec<_> = core::iter::from_fn(|| agent.poll_output()).collect();
    let Some(Output::Table(TableUpdate::MmaServiceSet(service))) = outputs.last() else { panic!("{outputs:?}") };
    assert_eq!((&service.peers, service.chain), (&peers, true));
}

#[test]
fn the_data_plane_forwards_before_the_acknowledgement_leaves() {
    let (mut bench, mut terminal, care_of) = bound();
    let home_address = terminal.home_address;
    let before = bench.entries[&home_address];
    let update = request(&mut terminal, NEW_CARE_OF, 32);
    let outputs = bench.give(&terminal.packet(update));
    let expected = MmaBinding { state: forward(NEW_CARE_OF), access_identifier: 1, ..before };
    let lifetime = Duration::from_secs(32);
    assert_eq!(outputs[0], Output::Table(TableUpdate::MmaBindingSet(home_address, expected)));
    assert_eq!(outputs[1], Output::Event(Event::Forwarding { home_address, care_of, to: NEW_CARE_OF, lifetime }));
    let acknowledgement = terminal.read_for(sent(&outputs)[0], NEW_CARE_OF);
    assert_eq!((acknowledgement.status, acknowledgement.lifetime), (Status::ACCEPTED, Lifetime(8)));
    assert!(acknowledgement.options.addresses.is_empty() && acknowledgement.options.subscriptions.is_empty());
    assert_eq!(outputs.len(), 3);
}

#[test]
fn forwarding_ends_and_the_address_rests() {
    let (mut bench, mut terminal, care_of) = bound();
    let home_address = terminal.home_address;
    let update = request(&mut terminal, NEW_CARE_OF, 32);
    bench.ask(&terminal, update);
    assert_eq!(bench.pass(Duration::from_millis(31_999)), []);
    let outputs = bench.pass(Duration::from_millis(1));
    assert_eq!(
        outputs,
        [
            Output::Table(TableUpdate::MmaBindingRemove(home_address)),
            Output::Event(Event::ForwardingEnded { home_address, care_of, to: NEW_CARE_OF }),
        ]
    );
    assert_eq!((bench.counter("binding-forwarding-ended"), bench.counter("binding-expired")), (1, 0));
    assert_eq!(bench.agent.quarantined(), 1);
    // For 420 s no other terminal gets the address, and then it may.
    bench.pass(Duration::from_secs(419));
    bench.register(&mut Terminal::new(1));
    assert_eq!(bench.agent.quarantined(), 1);
    bench.pass(Duration::from_secs(1));
    bench.register(&mut Terminal::new(2));
    assert_eq!(bench.agent.quarantined(), 0);
    // A request that comes too late finds nothing to forward from.
    let update = request(&mut terminal, NEW_CARE_OF, 32);
    assert_eq!(bench.ask(&terminal, update).status, Status::NOT_HOME_AGENT);
    assert_eq!(bench.counter("refused-no-binding"), 1);
}

#[test]
fn the_time_is_what_the_operator_allows_however_often_it_is_asked_for() {
    let (mut bench, mut terminal, _) = bound();
    let update = request(&mut terminal, NEW_CARE_OF, 3_000);
    assert_eq!(bench.ask(&terminal, update).lifetime, Lifetime(30));
    for (waited, granted) in [(60, 15), (40, 5), (19, 1)] {
        bench.pass(Duration::from_secs(waited));
        let update = request(&mut terminal, NEW_CARE_OF, 3_000);
        assert_eq!(bench.ask(&terminal, update).lifetime, Lifetime(granted), "after {waited} s more");
    }
    // The last answer rounds up, the end does not.
    assert_eq!(bench.pass(Duration::from_secs(1)).len(), 2);
    assert_eq!(bench.agent.bindings().count(), 0);
}

#[test]
fn a_request_sent_again_changes_nothing_and_a_newer_one_wins() {
    let (mut bench, mut terminal, _) = bound();
    let first = request(&mut terminal, NEW_CARE_OF, 32);
    bench.ask(&terminal, first.clone());
    let again = request(&mut terminal, NEW_CARE_OF, 32);
    let outputs = bench.give(&terminal.packet(again));
    assert!(matches!(&outputs[..], [Output::Transmit(_)]), "{outputs:?}");
    // On to a third site.
    let on = request(&mut terminal, THIRD_CARE_OF, 20);
    assert_eq!(bench.ask(&terminal, on).lifetime, Lifetime(5));
    assert_eq!(bench.entries[&terminal.home_address].state, forward(THIRD_CARE_OF));
    // The first one comes late: it is refused with the number to go on from, and nothing changes.
    let late = bench.ask(&terminal, first);
    assert_eq!((late.status, late.sequence), (Status::SEQUENCE_OUT_OF_WINDOW, terminal.sequence));
    assert_eq!(bench.entries[&terminal.home_address].state, forward(THIRD_CARE_OF));
    assert_eq!(bench.counter("binding-forwarding"), 2);
}

#[test]
fn who_comes_back_has_its_care_of_address_again() {
    let (mut bench, mut terminal, before) = bound();
    let late = request(&mut terminal, NEW_CARE_OF, 32);
    bench.ask(&terminal, late);
    let overtaken = request(&mut terminal, NEW_CARE_OF, 32);
    terminal.access_address = access(2, 9);
    let outputs = bench.register(&mut terminal);
    assert_eq!((outputs.status, care_of(&outputs)), (Status::ACCEPTED, before));
    assert_eq!(bench.entries[&terminal.home_address].state, BindingState::Active);
    assert_eq!(bench.agent.binding(terminal.home_address).unwrap().remaining(bench.now), Duration::from_secs(600));
    // The request that the registration has overtaken does not undo it.
    assert_eq!(bench.ask(&terminal, overtaken).status, Status::SEQUENCE_OUT_OF_WINDOW);
    assert_eq!(bench.entries[&terminal.home_address].state, BindingState::Active);
    // The next time it moves on, it is forwarded to for as long as the first time.
    let update = request(&mut terminal, NEW_CARE_OF, 3_000);
    assert_eq!(bench.ask(&terminal, update).lifetime, Lifetime(30));
}

#[test]
fn the_group_of_who_has_moved_on_is_free() {
    let (mut bench, mut terminal, _) = bound();
    let mut other = Terminal::new(1);
    other.group = terminal.group;
    assert_eq!(bench.register(&mut other).status, Status::DUPLICATE_ADDRESS);
    let update = request(&mut terminal, NEW_CARE_OF, 32);
    bench.ask(&terminal, update);
    assert_eq!(bench.register(&mut other).status, Status::ACCEPTED);
    // Now the first cannot come back with it, and is forwarded to as before.
    terminal.access_address = access(1, 1);
    assert_eq!(bench.register(&mut terminal).status, Status::DUPLICATE_ADDRESS);
    assert_eq!(bench.entries[&terminal.home_address].state, forward(NEW_CARE_OF));
    bench.pass(Duration::from_secs(32));
    assert_eq!(bench.register(&mut terminal).status, Status::DUPLICATE_ADDRESS);
    let update = other.deregistration();
    bench.ask(&other, update);
    assert_eq!(bench.register(&mut terminal).status, Status::ACCEPTED);
}

#[test]
fn home_again() {
    let (mut bench, mut terminal, care_of) = bound();
    let home_address = terminal.home_address;
    let update = BindingUpdate { sequence: 0, ..request(&mut terminal, home_address, 32) };
    // From elsewhere nobody is at home.
    let away = BindingUpdate { sequence: terminal.sequence, ..update.clone() };
    assert_eq!(bench.ask(&terminal, away).status, Status::INVALID_CARE_OF_ADDRESS);
    let update = BindingUpdate { sequence: terminal.sequence + 1, ..update };
    let outputs = bench.give(&packet_from_home(&terminal, update));
    let state = BindingState::Forward { to: home_address, from_home_agent: false };
    let Output::Table(TableUpdate::MmaBindingSet(_, entry)) = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!((entry.state, entry.care_of), (state, care_of));
    let answer = sent(&outputs)[0];
    let chain = Chain::parse(answer).unwrap();
    assert_eq!((chain.type2_routing, ipv6::Header::parse(answer).unwrap().destination), (None, home_address));
    assert!(terminal.association.verify(&answer[chain.upper_offset..], home_address, home_address));
}

#[test]
fn home_needs_no_peer() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    bench.register(&mut terminal);
    let home_address = terminal.home_address;
    let update = request(&mut terminal, home_address, 32);
    bench.give(&packet_from_home(&terminal, update));
    assert!(matches!(bench.entries[&home_address].state, BindingState::Forward { from_home_agent: false, .. }));
}

#[test]
fn lifetime_zero_ends_forwarding_at_once() {
    let (mut bench, mut terminal, _) = bound();
    let update = request(&mut terminal, NEW_CARE_OF, 32);
    bench.ask(&terminal, update);
    let update = terminal.deregistration();
    assert_eq!(bench.ask(&terminal, update).status, Status::ACCEPTED);
    assert_eq!((bench.agent.bindings().count(), bench.agent.quarantined()), (0, 1));
}

#[test]
fn what_is_not_forwarded_to() {
    let stranger = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
    let refused = Status::ADMINISTRATIVELY_PROHIBITED;
    let own = addr::with_interface_identifier(care_of_prefix().address(), 5);
    let mut config = forwarding_config();
    // Even where the operator has taken all the world for peers.
    for (counter, to, peers) in [
        ("refused-forward-target", stranger, config.peers.clone()),
        ("refused-forward-target", home(1), config.peers.clone()),
        ("refused-forward-target", access(1, 50), config.peers.clone()),
        ("refused-forwarding", NEW_CARE_OF, Vec::new()),
        ("refused-forward-loop", AGENT, vec!["2001:db8::/32".parse().unwrap()]),
        ("refused-forward-loop", SOURCE, vec!["2001:db8::/32".parse().unwrap()]),
        ("refused-forward-loop", own, vec!["2001:db8::/32".parse().unwrap()]),
    ] {
        config.peers = peers;
        let mut bench = Bench::new(config.clone());
        let mut terminal = Terminal::new(0);
        bench.register(&mut terminal);
        let before = bench.entries.clone();
        let update = request(&mut terminal, to, 32);
        assert_eq!(bench.ask(&terminal, update).status, refused, "{to}");
        assert_eq!((bench.counter(counter), &bench.entries), (1, &before), "{to}");
    }
}

#[test]
fn nobody_has_another_terminal_s_packets_forwarded() {
    let (mut bench, terminal, _) = bound();
    let before = bench.entries.clone();
    type Change = fn(&mut Terminal);
    let table: [(&str, Change); 2] = [
        ("refused-authentication", |thief| thief.association.key = association(9).key),
        ("drop-update-no-association", |thief| thief.association = association(9)),
    ];
    for (counter, change) in table {
        let mut thief = terminal.clone();
        thief.sequence = 9_000;
        change(&mut thief);
        let update = request(&mut thief, NEW_CARE_OF, 32);
        let outputs = bench.give(&thief.packet(update));
        assert!(!outputs.iter().any(|output| matches!(output, Output::Table(_))), "{counter}");
        assert_eq!((bench.counter(counter), &bench.entries), (1, &before));
    }
    // Whoever changes the target on the way breaks the signature.
    let mut sender = terminal.clone();
    let update = request(&mut sender, NEW_CARE_OF, 32);
    let mut packet = sender.packet(update);
    let at = packet.windows(16).position(|window| window == NEW_CARE_OF.octets()).unwrap();
    let (to, sum) = (THIRD_CARE_OF.octets(), 40 + 24 + CHECKSUM_AT);
    packet[at..at + 16].copy_from_slice(&to);
    packet[sum..sum + 2].fill(0);
    let message = packet[64..].to_vec();
    let packet = sender.packet_of(message);
    bench.give(&packet);
    assert_eq!((bench.counter("refused-authentication"), &bench.entries), (2, &before));
}

#[test]
fn revoking_and_stopping_end_forwarding() {
    for command in [Command::Revoke(home(0)), Command::Stop] {
        let (mut bench, mut terminal, _) = bound();
        let update = request(&mut terminal, NEW_CARE_OF, 32);
        bench.ask(&terminal, update);
        bench.command(command);
        assert_eq!((bench.entries.len(), bench.agent.poll_timeout()), (0, None));
    }
}
