//! Every type of Mobility Header message, in every way in which it must not be believed: nothing changes, and each is
//! counted.

use super::*;
use crate::samples::{forgeries, messages, with_option};

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
    let changes = forgeries(0x100);
    for (kind, message) in messages(HOME, BindingUpdateFlags::HOME_REGISTRATION) {
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

/// Terminals of one key, each with another home address, that come and go: there are more of them than are remembered.
#[test]
fn home_addresses_that_are_not_in_use_make_room() {
    let mut config = config(HomeDad::Off);
    let other = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, n);
    let elsewhere = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 1, n);
    for home_address in (0..200).flat_map(|n| [other(n), elsewhere(n)]) {
        let peer =
            Peer { identifier: None, home_address: Some(home_address), terminal: None, association: association(7) };
        config.associations.insert(peer).unwrap();
    }
    let mut agent = HomeAgent::new(config);
    send(&mut agent, at(0), &Update::new(7));
    for n in 0..200 {
        // One that is no home address here leaves nothing behind.
        send(&mut agent, at(1), &Update { home_address: elsewhere(n), ..Update::new(9) });
        let update = Update { home_address: other(n), ..Update::new(9) };
        let outputs = send(&mut agent, at(1), &update);
        let (home_address, care_of) = (other(n), CARE_OF);
        assert!(outputs.contains(&Output::Event(Event::Registered { home_address, care_of })), "{n}");
        agent.handle_command(at(1), Command::Remove { home_address });
        drain(&mut agent);
    }
    assert_eq!(agent.replay_floors().count(), 4 * REMEMBERED_PER_BINDING);
    assert!(agent.replay_floors().all(|(home_address, _)| home_address == HOME || home_address > other(0)));
    // The one that is bound is remembered.
    assert_eq!(status_of(&send(&mut agent, at(2), &Update::new(7)), CARE_OF), Status::SEQUENCE_OUT_OF_WINDOW);
    assert_eq!(agent.counters().reject_resources, 0);
}
