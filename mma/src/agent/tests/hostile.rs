//! Every type of Mobility Header message, in every way in which it must not be believed: nothing changes, and each is
//! counted.

use super::*;
use crate::samples::{forgeries, messages, with_option};

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
    let changes = forgeries(256);
    for (kind, message) in messages(home(0), BindingUpdateFlags::MAP_REGISTRATION) {
        for (how, appended) in &changes {
            let bytes = with_option(&message, appended);
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
