//! Bindings by a preconfigured key (RFC 4449).

use super::*;
use mma::return_routability::{NodeKey, PreconfiguredKey};

fn key() -> PreconfiguredKey {
    PreconfiguredKey {
        node_key: NodeKey::new(&[0x4b; 24]).unwrap(),
        home_nonce: b"home".to_vec(),
        care_of_nonce: b"care-of".to_vec(),
    }
}

fn bench() -> Bench {
    let preconfigured = [(HOME, key())].into();
    Bench::with(Config { preconfigured, max_lifetime: Duration::from_secs(1800), ..Config::new(CORRESPONDENT) })
}

fn update(sequence: u16, lifetime: u16, nonce_indices: Option<NonceIndices>) -> Vec<u8> {
    let message = BindingUpdate {
        sequence,
        flags: BindingUpdateFlags::ACKNOWLEDGE,
        lifetime: Lifetime(lifetime),
        options: MobilityOptions { nonce_indices, ..MobilityOptions::default() },
    };
    let message = match lifetime {
        0 => key().deletion_key(HOME).sign_update(message, HOME, CORRESPONDENT),
        _ => key().management_key(HOME, CARE_OF).sign_update(message, CARE_OF, CORRESPONDENT),
    };
    mobility(PacketBuilder::new(CARE_OF, CORRESPONDENT).home_address(HOME), message)
}

#[test]
fn one_message_makes_a_binding_and_its_number_is_written_down_first() {
    let mut bench = bench();
    bench.node.handle_packet(bench.now, &META, &update(5, 450, None));
    let first = bench.node.poll_output();
    assert_eq!(first, Some(Output::Event(Event::SequenceUsed { home_address: HOME, sequence: 5 })));
    let answers = bench.drain();
    assert_eq!((answers.status(), answers.acknowledgement().lifetime), (Status::ACCEPTED, Lifetime(450)));
    let signed = reception::receive(&answers.packets[0]).unwrap();
    assert!(key().management_key(HOME, CARE_OF).verify(signed.bytes, CARE_OF, CORRESPONDENT));
    assert_eq!(bench.node.bindings().get(HOME).unwrap().authorisation, Authorisation::Preconfigured);
}

#[test]
fn nonce_indices_are_ignored_and_return_routability_will_not_do() {
    let mut bench = bench();
    let indices = NonceIndices { home: 0xdead, care_of: 0xbeef };
    assert_eq!(bench.packet(&update(1, 105, Some(indices))).status(), Status::ACCEPTED);
    // RFC 4449 §4: a terminal that is right by the tests, but has not the key.
    let terminal = bench.terminal(HOME, OTHER_CARE_OF);
    assert!(bench.packet(&terminal.update(2, 105)).is_silent());
    assert!(bench.packet(&terminal.update(2, 0)).is_silent());
    assert_eq!(bench.care_of(HOME), Some(CARE_OF));
    // Another terminal needs nonces.
    let other = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x66);
    let without = BindingUpdate { options: MobilityOptions::default(), ..terminal.message(1, 105) };
    let message = key().management_key(other, CARE_OF).sign_update(without, CARE_OF, CORRESPONDENT);
    let packet = mobility(PacketBuilder::new(CARE_OF, CORRESPONDENT).home_address(other), message);
    assert!(bench.packet(&packet).is_silent());
    assert_eq!(bench.care_of(other), None);
}

/// RFC 4449 §3: across deletion, expiry and restart.
#[test]
fn no_update_is_believed_twice_whatever_happened_since() {
    let mut bench = bench();
    bench.packet(&update(1, 105, None));
    bench.packet(&update(2, 0, None));
    assert_eq!(bench.packet(&update(1, 105, None)).status(), Status::SEQUENCE_OUT_OF_WINDOW);
    bench.packet(&update(3, 105, None));
    bench.pass(3600);
    assert_eq!(bench.care_of(HOME), None);
    assert_eq!(bench.packet(&update(3, 105, None)).acknowledgement().sequence, 3);
    let written: Vec<_> = bench.node.sequences().collect();
    assert_eq!(written, [(HOME, 3)]);
    let mut restarted = self::bench();
    restarted.node.restore_sequences(written.into_iter().chain([(OTHER_CARE_OF, 9)]));
    assert_eq!(restarted.packet(&update(3, 105, None)).status(), Status::SEQUENCE_OUT_OF_WINDOW);
    assert_eq!(restarted.packet(&update(4, 105, None)).status(), Status::ACCEPTED);
    assert_eq!(restarted.node.sequences().count(), 1, "only of those with a key");
}

#[test]
fn a_sequence_number_that_goes_round_is_counted() {
    let mut bench = bench();
    for sequence in [0x7000, 0xe000, 0x10] {
        assert_eq!(bench.packet(&update(sequence, 105, None)).status(), Status::ACCEPTED);
    }
    assert_eq!(bench.node.counters().sequence_wrapped, 1);
}
