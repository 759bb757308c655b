//! Every type of Mobility Header message, in every way in which a terminal must not believe it: nothing changes, and each
//! is counted.

use super::script::Script;
use super::world::*;
use crate::samples::{forgeries, messages, with_option};
use core::net::Ipv6Addr;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::{BindingUpdateFlags, CHECKSUM_AT, Lifetime, MobilityOptions, Status};

const STRANGER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
/// Binding Refresh Request and Binding Error: nobody can authenticate them, and a peer of whom they seem to come is asked
/// again (RFC 6275 §11.7.4, §11.3.6), which changes nothing where it does not know better.
const ASK_AGAIN: [u8; 2] = [0, 7];

/// Gives the terminal what must change nothing.
fn check(script: &mut Script, what: &str, packet: &[u8]) {
    let counted = |script: &Script| script.terminal.counters().iter().map(|(_, value)| value).sum::<u64>();
    let (count, site) = (counted(script), script.terminal.site());
    let outputs = script.packet(packet);
    // The one thing that a terminal says to a stranger.
    assert!(outputs.iter().all(|words| words.contains("Binding")), "{what}: {outputs:?}");
    assert_eq!(script.terminal.site(), site, "{what}");
    assert!(counted(script) > count, "{what} is not counted");
}

#[test]
fn no_type_of_message_changes_anything_unless_it_is_authentic_and_fresh() {
    let mut script = Script::settled_at(A);
    let changes = forgeries(0x100);
    for source in [STRANGER, AGENTS[0], HOME_AGENT] {
        for (kind, message) in messages(HOME_ADDRESS, BindingUpdateFlags::HOME_REGISTRATION) {
            if ASK_AGAIN.contains(&kind) && source != STRANGER {
                continue;
            }
            for (how, appended) in &changes {
                let bytes = with_option(&message, appended);
                for routed in [false, true] {
                    let mut builder = PacketBuilder::new(source, A.address());
                    if routed {
                        builder = builder.type2_routing(HOME_ADDRESS);
                    }
                    let packet = builder.checksummed(protocol::MOBILITY, bytes.clone(), CHECKSUM_AT);
                    let what = format!("type {kind} {how} from {source}");
                    check(&mut script, &what, &packet);
                    for cut in 0..packet.len() {
                        check(&mut script, &format!("{what}, cut at {cut}"), &packet[..cut]);
                    }
                }
            }
        }
    }
    assert_eq!(script.wait(60_000), [""; 0], "and nothing follows of it");
}

/// What only makes the terminal ask its peers again does so no more often than it may ask at all (MAX_UPDATE_RATE), and
/// what they answer is what there was.
#[test]
fn a_flood_of_what_nobody_can_authenticate() {
    let mut script = Script::settled_at(A);
    let settled = script.terminal.site();
    let mut asked = 0;
    for _ in 0..1_000 {
        for source in [AGENTS[0], HOME_AGENT] {
            for (_, message) in messages(HOME_ADDRESS, BindingUpdateFlags::HOME_REGISTRATION)
                .into_iter()
                .filter(|(kind, _)| ASK_AGAIN.contains(kind))
            {
                let bytes = message.emit();
                let packet = PacketBuilder::new(source, A.address()).type2_routing(HOME_ADDRESS).checksummed(
                    protocol::MOBILITY,
                    bytes,
                    CHECKSUM_AT,
                );
                let outputs = script.packet(&packet);
                assert!(outputs.iter().all(|words| words.contains(": BU(")), "{outputs:?}");
                asked += outputs.len();
            }
        }
        asked += script.wait(10).len();
    }
    // Two peers, ten seconds.
    assert!((2..=2 * 3 * 11).contains(&asked), "{asked}");
    script.grant(0);
    script.accept(HOME_AGENT);
    assert_eq!(script.terminal.site(), settled);
}

/// Status 146 comes signed to whoever sends an update with forged authentication and the number of one that is out.
#[test]
fn a_refusal_for_wrong_authentication_is_believed_when_nothing_else_comes() {
    let settled = Script::settled_at(A);
    let site = settled.terminal.site();
    let mut script = settled;
    // Half of the lifetime is over: both are asked again.
    script.wait(900_000);
    assert_eq!(script.refuse(AGENTS[0], Status::AUTHENTICATION_FAILED), [""; 0]);
    script.grant(0);
    assert_eq!(script.refuse(HOME_AGENT, Status::AUTHENTICATION_FAILED), [""; 0]);
    assert_eq!(script.terminal.counters().rx_authentication_failed, 2);
    script.accept(HOME_AGENT);
    assert!(!script.terminal.is_registering());
    assert_eq!(script.terminal.site(), site);
}

/// Acknowledgements that were good once, and that answer an older update than the last.
#[test]
fn acknowledgements_count_once() {
    let mut script = Script::settled_at(A);
    script.up(C);
    script.prefer(C);
    let agent = script.last_asked(AGENTS[1]);
    script.grant(1);
    let home = script.last_asked(HOME_AGENT);
    script.accept(HOME_AGENT);
    let settled = script.terminal.site();
    for asked in [&agent, &home] {
        for (status, lifetime) in [
            (Status::ACCEPTED, Lifetime(450)),
            (Status::ACCEPTED, Lifetime(1)),
            (Status::ADMINISTRATIVELY_PROHIBITED, Lifetime::ZERO),
            (Status::SEQUENCE_OUT_OF_WINDOW, Lifetime::ZERO),
        ] {
            let before = script.terminal.counters().drop_unmatched;
            assert_eq!(script.answer(asked, status, lifetime, MobilityOptions::default()), [""; 0], "{status}");
            assert_eq!(script.terminal.counters().drop_unmatched, before + 1, "{status}");
            assert_eq!(script.terminal.site(), settled, "{status}");
        }
    }
}
