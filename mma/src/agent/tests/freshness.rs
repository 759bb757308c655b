//! Updates that are sent again.

use super::*;

#[test]
fn a_replayed_update_is_refused_also_when_its_binding_is_gone() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let update = terminal.update();
    let packet = terminal.packet(update);
    assert_eq!(terminal.read(sent(&bench.give(&packet))[0]).status, Status::ACCEPTED);
    let status_of_replay = |bench: &mut Bench| {
        let acknowledgement = terminal.read(sent(&bench.give(&packet))[0]);
        assert_eq!(acknowledgement.sequence, terminal.sequence);
        acknowledgement.status
    };
    assert_eq!(status_of_replay(&mut bench), Status::SEQUENCE_OUT_OF_WINDOW);
    bench.pass(MINUTE * 20);
    assert_eq!(bench.agent.bindings().count(), 0);
    assert_eq!(status_of_replay(&mut bench), Status::SEQUENCE_OUT_OF_WINDOW);
    // What an agent wrote down serves the next one.
    let floors: Vec<_> = bench.agent.replay_floors().collect();
    let mut next = Bench::new(config());
    assert_eq!(next.agent.restore_replay_floors(floors), 0);
    assert_eq!(status_of_replay(&mut next), Status::SEQUENCE_OUT_OF_WINDOW);
}

#[test]
fn sequence_numbers_wrap() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    terminal.sequence = 65_534;
    for expected in [65_535, 0, 1] {
        let acknowledgement = bench.register(&mut terminal);
        assert_eq!((acknowledgement.status, acknowledgement.sequence), (Status::ACCEPTED, expected));
    }
}

#[test]
fn timestamps_in_place_of_sequence_numbers() {
    let clock = WallClock { at: Instant::from_secs(10), reads: NtpTime::from_unix(Duration::from_secs(1_800_000_000)) };
    let mut config = config();
    config.replay = ReplayPolicy::Timestamp { window: ReplayPolicy::DEFAULT_WINDOW, clock };
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    assert_eq!(bench.register(&mut terminal).status, Status::MESSAGE_ID_REQUIRED);
    let mut at = |bench: &mut Bench, timestamp: u64| {
        let mut update = terminal.update();
        update.sequence = 7;
        update.options.message_id = Some(timestamp);
        let acknowledgement = bench.ask(&terminal, update);
        (acknowledgement.status, acknowledgement.options.message_id.unwrap())
    };
    let here = clock.reads.0;
    assert_eq!(at(&mut bench, here + 5), (Status::ACCEPTED, here + 5));
    assert_eq!(at(&mut bench, here + 5), (Status::ID_MISMATCH, here + 5));
    assert_eq!(at(&mut bench, here + 6), (Status::ACCEPTED, here + 6));
    // One answer in a quarter of a second to what is not fresh.
    bench.pass(Duration::from_millis(250));
    let far = here + (60 << 32) + 9;
    assert_eq!(at(&mut bench, far), (Status::ID_MISMATCH, here + 9));
    bench.pass(MINUTE);
    assert_eq!(at(&mut bench, far), (Status::ACCEPTED, far));
    bench.command(Command::SetClock(NtpTime(far + (100 << 32))));
    assert_eq!(at(&mut bench, far + (99 << 32)), (Status::ACCEPTED, far + (99 << 32)));
}

/// Whoever has a key of the site can name any home address.
fn flood(bench: &mut Bench, site_key: &SiteKey, prefix: &str, count: u16) {
    let identifier = MobileNodeIdentifier::nai("flood@example.org");
    let prefix: Ipv6Addr = prefix.parse().unwrap();
    for n in 0..count {
        let mut terminal = Terminal {
            home_address: addr::with_interface_identifier(prefix, 0x1_0000 + u64::from(n)),
            association: site_key.derive(&identifier),
            ..Terminal::new(15)
        };
        let mut update = terminal.update();
        update.options.subscriptions.clear();
        update.options.identifier = Some(identifier.clone());
        bench.give(&terminal.packet(update));
    }
}

#[test]
fn a_flood_of_home_addresses_shuts_nobody_out() {
    let mut config = config();
    (config.max_bindings, config.max_replay_floors) = (16, 64);
    let key = Key::new(&[0x55; 32]).unwrap();
    let site_key = SiteKey { spi: Spi::new(900).unwrap(), key, algorithm: Algorithm::default() };
    config.associations = config.associations.with_site_key(site_key.clone());
    let mut bench = Bench::new(config);
    let mut terminals: Vec<_> = (0..8).map(Terminal::new).collect();
    let mut seen = Vec::new();
    for terminal in &mut terminals {
        let update = terminal.update();
        seen.push(terminal.packet(update));
        bench.give(&seen[seen.len() - 1]);
    }
    // Home addresses of a home agent that is known, as many as one likes: refused for having no group.
    flood(&mut bench, &site_key, "2001:db8:1:9::", 2000);
    assert_eq!(bench.agent.replay_floors().count(), 64);
    assert_eq!(bench.agent.bindings().count(), 8);
    assert!(bench.counter("refused-map-mode") >= 1900);
    assert_eq!(bench.register(&mut Terminal::new(9)).status, Status::ACCEPTED);
    // Who is bound is remembered.
    for (terminal, packet) in terminals.iter().zip(&seen) {
        bench.pass(Duration::from_millis(250));
        assert_eq!(terminal.read(sent(&bench.give(packet))[0]).status, Status::SEQUENCE_OUT_OF_WINDOW);
    }
}

#[test]
fn nothing_is_remembered_of_home_addresses_that_nobody_serves() {
    let mut config = config();
    config.max_errors_per_sec = 10;
    let key = Key::new(&[0x55; 32]).unwrap();
    let site_key = SiteKey { spi: Spi::new(900).unwrap(), key, algorithm: Algorithm::default() };
    config.associations = config.associations.with_site_key(site_key.clone());
    let mut bench = Bench::new(config);
    flood(&mut bench, &site_key, "2001:db8:9::", 200);
    assert_eq!(bench.agent.replay_floors().count(), 0);
    // As many answers as other errors have.
    assert_eq!(bench.counter("answer-rate-limited"), 190);
}
