//! Every type of Mobility Header message, in every way in which it must not be believed: nothing changes, and each is
//! counted.

use super::*;
use stack::wire::mobility::TestAnswer;

/// A good message of each type.
fn messages() -> Vec<(u8, MobilityMessage)> {
    let options = MobilityOptions::default;
    let acknowledgement = BindingAcknowledgement {
        status: Status::ACCEPTED,
        flags: BindingAcknowledgementFlags::default(),
        sequence: 200,
        lifetime: Lifetime(1),
        options: options(),
    };
    let removal = BindingUpdate {
        sequence: 200,
        flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION,
        lifetime: Lifetime::ZERO,
        options: options(),
    };
    let answer = TestAnswer { nonce_index: 1, cookie: [1; 8], token: [1; 8] };
    let status = BindingErrorStatus::UNKNOWN_BINDING;
    vec![
        (0, MobilityMessage::BindingRefreshRequest { options: options() }),
        (1, MobilityMessage::HomeTestInit { cookie: [1; 8] }),
        (2, MobilityMessage::CareOfTestInit { cookie: [1; 8] }),
        (3, MobilityMessage::HomeTest(answer)),
        (4, MobilityMessage::CareOfTest(answer)),
        (5, removal.into()),
        (6, acknowledgement.into()),
        (7, MobilityMessage::BindingError { status, home_address: home(0) }),
    ]
}

#[test]
fn no_type_of_message_changes_anything_unless_it_is_authentic_and_fresh() {
    // The agent has a binding, and has seen the update that made it.
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let update = terminal.update();
    let seen = terminal.packet(update);
    bench.give(&seen);
    let before: Vec<_> = bench.agent.bindings().cloned().collect();
    assert_eq!(before.len(), 1);
    let check = |bench: &mut Bench, what: &str, packet: &[u8]| {
        let counted = |bench: &Bench| bench.agent.counters().iter().map(|(_, value)| value).sum::<u64>();
        let count = counted(bench);
        let outputs = bench.give(packet);
        assert!(!outputs.iter().any(|output| matches!(output, Output::Table(_))), "{what}");
        assert_eq!(bench.agent.bindings().cloned().collect::<Vec<_>>(), before, "{what}");
        assert!(counted(bench) > count, "{what} is not counted");
    };
    // An authentication option with an SPI, and what should be authentication data.
    let option = |spi: u32| [&[9, 17, 1][..], &spi.to_be_bytes(), &[0x5a; 12]].concat();
    let appended = [("forged", option(256)), ("of a stranger", option(999)), ("reserved", option(3)), ("bare", vec![])];
    for (kind, message) in messages() {
        for (how, appended) in &appended {
            let mut bytes = [message.emit(), appended.clone()].concat();
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes[1] = (bytes.len() / 8 - 1) as u8;
            assert_eq!(bytes[2], kind);
            let packet = terminal.packet_of(bytes);
            check(&mut bench, &format!("type {kind} {how}"), &packet);
            for cut in 0..packet.len() {
                check(&mut bench, &format!("type {kind} {how}, cut at {cut}"), &packet[..cut]);
            }
        }
    }
    check(&mut bench, "replayed", &seen);
}
