//! A terminal with one radio at a time, between the access routers of a mesh: what they say to each other, and when.

use crate::captures::{Frame, HANDOVER_ACKNOWLEDGE, HANDOVER_INITIATE, MLD_REPORT};
use crate::labs::{GROUP, MARGIN, Run, SECOND};
use crate::room::alone;
use std::net::Ipv6Addr;

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0, 0, 1);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xb, 0, 0, 0, 1);

/// The messages of this type from one router to the other.
fn messages<'f>(frames: &[&'f Frame], kind: u8, (from, to): (Ipv6Addr, Ipv6Addr)) -> Vec<&'f Frame> {
    let is_one = |frame: &&&Frame| frame.mobility == Some(kind) && frame.is_from(from) && frame.is_to(to);
    frames.iter().filter(is_one).copied().collect()
}

/// The next router is asked while the terminal is at the present one, and answers; the tree is joined before it comes, and
/// after each movement the one that was left is told.
#[test]
fn the_routers_of_one_radio_tell_each_other() {
    let Some(_alone) = alone() else { return };
    let run = Run::new("one-radio");
    let moves = run.moves();
    assert_eq!(moves.len(), 6);
    for flow in run.report["flows"].as_array().expect("a list") {
        assert_eq!((&flow["survived"], &flow["duplicated"]), (&true.into(), &0.into()), "{flow}");
    }
    for (index, movement) in moves.iter().enumerate() {
        let (old, new, branch) = match movement.to.as_str() {
            "radio-b" => (A, B, "core1-b"),
            _ => (B, A, "core1-a"),
        };
        let announced = index < 4;
        let before = run.on(branch, movement.at - MARGIN * 3 / 2, movement.at);
        let asked = messages(&before, HANDOVER_INITIATE, (old, new));
        let answered = messages(&before, HANDOVER_ACKNOWLEDGE, (new, old));
        assert_eq!((!asked.is_empty(), !answered.is_empty()), (announced, announced), "{index}");
        let joined = before.iter().any(|frame| frame.join_prune);
        assert_eq!(joined, announced, "{index}: the tree before the terminal is there");
        assert_eq!(before.iter().any(|frame| frame.is_to(GROUP)), announced, "{index}");
        // The one that could not be left is told with the report, which leaves once the radio is there.
        let after = run.on(branch, movement.at, movement.until);
        let gone = messages(&after, HANDOVER_INITIATE, (new, old));
        let radio = run.on(&movement.to, movement.at, movement.until);
        let reported = radio.iter().find(|frame| frame.icmp == Some(MLD_REPORT)).expect("the group is joined");
        assert!(!gone.is_empty() && gone[0].at + SECOND / 100 > reported.at, "{index}");
    }
}
