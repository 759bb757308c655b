//! Every type of Mobility Header message, in every way in which it must not be believed: nothing changes, and each is
//! counted.

use super::*;
use stack::wire::mobility::{BindingAcknowledgementFlags, BindingUpdate, TestAnswer};

/// A good message of each type, from the terminal.
fn messages() -> Vec<(u8, MobilityMessage)> {
    let options = MobilityOptions::default;
    let acknowledgement = BindingAcknowledgement {
        status: Status::ACCEPTED,
        flags: BindingAcknowledgementFlags::default(),
        sequence: 9,
        lifetime: Lifetime(1),
        options: options(),
    };
    let update = BindingUpdate {
        sequence: 9,
        flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::HOME_REGISTRATION,
        lifetime: Lifetime(0),
        options: options(),
    };
    let status = BindingErrorStatus::UNKNOWN_BINDING;
    let answer = TestAnswer { nonce_index: 1, cookie: [1; 8], token: [1; 8] };
    vec![
        (0, MobilityMessage::BindingRefreshRequest { options: options() }),
        (1, MobilityMessage::HomeTestInit { cookie: [1; 8] }),
        (2, MobilityMessage::CareOfTestInit { cookie: [1; 8] }),
        (3, MobilityMessage::HomeTest(answer)),
        (4, MobilityMessage::CareOfTest(answer)),
        (5, update.into()),
        (6, acknowledgement.into()),
        (7, MobilityMessage::BindingError { status, home_address: HOME }),
    ]
}

#[test]
fn no_type_of_message_changes_anything_unless_it_is_authentic_and_fresh() {
    // The agent has a binding, and has seen the update that made it.
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    let seen = Update::new(7).packet();
    agent.handle_packet(at(0), &meta(), &seen);
    drain(&mut agent);
    let before = *agent.bindings().get(HOME).unwrap();
    let mut now = at(1);
    let mut check = |agent: &mut HomeAgent, what: &str, packet: &[u8]| {
        let counted = |agent: &HomeAgent| agent.counters().iter().map(|(_, value)| value).sum::<u64>();
        let count = counted(agent);
        // Answers are not what is looked at here, so that there is always room for one.
        now += Duration::from_secs(1);
        agent.handle_packet(now, &meta(), packet);
        let outputs = drain(agent);
        assert!(!outputs.iter().any(|output| matches!(output, Output::Table(_))), "{what}");
        assert_eq!(agent.bindings().iter().collect::<Vec<_>>(), [&before], "{what}");
        assert!(counted(agent) > count, "{what} is not counted");
    };
    // An authentication option with an SPI, and what should be authentication data.
    let option = |spi: u32| [&[9, 17, 1][..], &spi.to_be_bytes(), &[0x5a; 12]].concat();
    let changes = [
        ("forged", option(0x100)),
        ("of a stranger", option(0x200)),
        ("with a reserved SPI", option(3)),
        ("bare", Vec::new()),
    ];
    for (kind, message) in messages() {
        for (how, appended) in &changes {
            let mut bytes = [message.emit(), appended.clone()].concat();
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes[1] = (bytes.len() / 8 - 1) as u8;
            assert_eq!(bytes[2], kind);
            let builder = PacketBuilder::new(LOCAL, AGENT).home_address(HOME);
            let packet = builder.checksummed(protocol::MOBILITY, bytes, CHECKSUM_AT);
            check(&mut agent, &format!("type {kind} {how}"), &packet);
            for cut in 0..packet.len() {
                check(&mut agent, &format!("type {kind} {how}, cut at {cut}"), &packet[..cut]);
            }
        }
    }
    check(&mut agent, "replayed", &seen);
}
