//! Every type of Mobility Header message, in every way in which it must not be believed: nothing changes, and each is
//! counted.

use super::*;
use crate::samples::{forged_authentication, messages, with_option};

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
    let changes = [
        ("forged", forged_authentication(0x100)),
        ("of a stranger", forged_authentication(0x200)),
        ("with a reserved SPI", forged_authentication(3)),
        ("bare", Vec::new()),
    ];
    for (kind, message) in messages(HOME) {
        for (how, appended) in &changes {
            let bytes = with_option(&message, appended);
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
