//! With a key that is shared: one Binding Update, as the patent draws it (RFC 4449).

use super::*;
use stack::machine::CorrespondentWay::HomeAgent;

fn shared() -> PreconfiguredKey {
    PreconfiguredKey {
        node_key: NodeKey::new(&[0x5a; 24]).unwrap(),
        home_nonce: b"one".to_vec(),
        care_of_nonce: b"two".to_vec(),
    }
}

fn bench() -> Bench {
    let peer = PreconfiguredPeer { home_address: HOME, correspondent: PEER, key: shared() };
    Bench::new(Config { preconfigured: vec![peer], ..Config::default() })
}

fn acknowledge(bench: &mut Bench, seen: &Seen, status: Status, sequence: u16) {
    let key = if seen.update.lifetime.is_zero() {
        shared().deletion_key(HOME)
    } else {
        shared().management_key(HOME, seen.source)
    };
    let message = Bench::acknowledgement(seen, &key, status, sequence);
    assert_eq!(bench.give_acknowledgement(seen.source, &message), Claim::Ours);
}

#[test]
fn one_update_and_no_test() {
    let mut bench = bench();
    assert!(bench.optimiser.restore_sequence(HOME, PEER, 41));
    assert!(!bench.optimiser.restore_sequence(HOME, OTHER_PEER, 41));
    bench.see(HomeAgent);
    let actions = bench.actions();
    // The number is written down before it is used.
    assert_eq!(kinds(&actions), "keep BU");
    assert_eq!(actions[0], Action::KeepSequence { home_address: HOME, correspondent: PEER, sequence: 42 });
    let Action::SendUpdate { message, .. } = &actions[1] else { panic!("an update") };
    assert!(shared().management_key(HOME, CARE_OF).verify(message, CARE_OF, PEER));
    let seen = seen(&actions[1]);
    assert_eq!((seen.update.sequence, seen.update.options.nonce_indices), (42, None));
    // MAX_RR_BINDING_LIFETIME is for return routability.
    assert_eq!(seen.update.lifetime.duration(), secs(1800));
    acknowledge(&mut bench, &seen, Status::ACCEPTED, 42);
    assert_eq!(kinds(&bench.actions()), "on");
}

#[test]
fn a_handover_is_one_update_too() {
    let mut bench = bench();
    bench.see(HomeAgent);
    let first = seen(&bench.actions()[1]);
    acknowledge(&mut bench, &first, Status::ACCEPTED, first.update.sequence);
    bench.actions();
    bench.pass(secs(10));
    bench.move_to(SECOND);
    let actions = bench.actions();
    assert_eq!(kinds(&actions), "off keep BU");
    let second = seen(&actions[2]);
    assert_eq!((second.source, second.update.sequence), (SECOND, first.update.sequence + 1));
    acknowledge(&mut bench, &second, Status::ACCEPTED, second.update.sequence);
    bench.pass(secs(10));
    bench.actions();
    bench.optimiser.return_home(bench.now, HOME);
    let actions = bench.actions();
    assert_eq!(kinds(&actions), "off keep BU");
    let deletion = seen(&actions[2]);
    assert!(deletion.update.lifetime.is_zero());
    acknowledge(&mut bench, &deletion, Status::ACCEPTED, deletion.update.sequence);
    assert_eq!(bench.optimiser.counters().deleted, 1);
}

#[test]
fn the_correspondents_number_is_kept_too() {
    let mut bench = bench();
    assert!(bench.optimiser.restore_sequence(HOME, PEER, 65_000));
    bench.see(HomeAgent);
    let refused = seen(&bench.actions()[1]);
    acknowledge(&mut bench, &refused, Status::SEQUENCE_OUT_OF_WINDOW, u16::MAX);
    bench.pass(secs(1));
    let actions = bench.actions();
    assert_eq!(actions[0], Action::KeepSequence { home_address: HOME, correspondent: PEER, sequence: 0 });
    assert_eq!(seen(&actions[1]).update.sequence, 0);
}

/// A refusal of long ago is still authentic: it must not have numbers used again (RFC 4449 §4).
#[test]
fn an_old_refusal_moves_no_number_back() {
    let mut bench = bench();
    assert!(bench.optimiser.restore_sequence(HOME, PEER, 1000));
    bench.see(HomeAgent);
    let first = seen(&bench.actions()[1]);
    assert_eq!(first.update.sequence, 1001);
    let mut last = first.update.sequence;
    for (behind, old) in [0, 16, 1000, 33_769, u16::MAX].into_iter().enumerate() {
        acknowledge(&mut bench, &first, Status::SEQUENCE_OUT_OF_WINDOW, old);
        assert_eq!((bench.actions(), bench.state()), (vec![], "updating"), "{old}");
        assert_eq!(bench.optimiser.counters().sequence_behind, behind as u64 + 1);
    }
    // It is repeated as if nothing had come. The number before the last has been used as well.
    bench.pass(secs(1));
    let actions = bench.actions();
    last += 1;
    assert_eq!(actions[0], Action::KeepSequence { home_address: HOME, correspondent: PEER, sequence: last });
    acknowledge(&mut bench, &first, Status::SEQUENCE_OUT_OF_WINDOW, last - 1);
    assert_eq!((bench.actions(), bench.state()), (vec![], "updating"));
    // The last one itself may be the correspondent's too: after a reply that was lost.
    acknowledge(&mut bench, &first, Status::SEQUENCE_OUT_OF_WINDOW, last);
    bench.pass(secs(1));
    let next = seen(&bench.actions()[1]);
    assert_eq!(next.update.sequence, last + 1);
    acknowledge(&mut bench, &next, Status::ACCEPTED, last + 1);
    assert_eq!(kinds(&bench.actions()), "on");
    assert_eq!(bench.optimiser.counters().sequence_resumed, 1);
}

/// A deletion for somebody else goes on from the number of the key too.
#[test]
fn a_foreign_binding_is_deleted_with_the_next_number() {
    let mut bench = bench();
    assert!(bench.optimiser.restore_sequence(HOME, PEER, 1000));
    bench.optimiser.delete_foreign(bench.now, HOME, PEER);
    let actions = bench.actions();
    assert_eq!(actions[0], Action::KeepSequence { home_address: HOME, correspondent: PEER, sequence: 1001 });
    assert_eq!(seen(&actions[1]).update.sequence, 1001);
}

/// No fall-back to return routability when the peer refuses: that would be bidding down (RFC 4449 §4).
#[test]
fn nothing_else_is_tried() {
    let mut bench = bench();
    bench.see(HomeAgent);
    bench.pass(secs(60));
    assert_eq!(kinds(&bench.actions()), "keep BU keep BU keep BU");
    bench.see(HomeAgent);
    assert_eq!((bench.actions(), bench.state()), (vec![], "failed"));
    // Another correspondent of the same home address is asked the usual way.
    bench.optimiser.handle_correspondent(bench.now, HOME, OTHER_PEER, HomeAgent);
    assert_eq!(kinds(&bench.actions()), "HoTI CoTI");
}
