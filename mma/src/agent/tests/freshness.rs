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
