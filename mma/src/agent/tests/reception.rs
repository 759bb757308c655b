//! Messages whose form is wrong.

use super::*;

#[test]
fn what_is_dropped_in_silence() {
    let mut terminal = Terminal::new(0);
    let update = terminal.update();
    let good = terminal.packet(update.clone());
    let elsewhere = PacketBuilder::new(terminal.access_address, SOURCE)
        .home_address(terminal.home_address)
        .checksummed(protocol::MOBILITY, MobilityMessage::from(update.clone()).emit(), CHECKSUM_AT);
    let routed = PacketBuilder::new(terminal.access_address, AGENT).type2_routing(terminal.home_address).checksummed(
        protocol::MOBILITY,
        MobilityMessage::from(update.clone()).emit(),
        CHECKSUM_AT,
    );
    let unsigned = terminal.packet_of(MobilityMessage::from(update.clone()).emit());
    let mut stranger = terminal.clone();
    stranger.home_address = home(99);
    let mut reserved = update.clone();
    reserved.options.authentication =
        Some(Authentication { subtype: Authentication::MN_HA, spi: 3, data: vec![0; 12] });
    let mut wrong_sum = good.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    let link_local = Terminal { access_address: "fe80::1".parse().unwrap(), ..terminal.clone() };
    let mut multicast = update.clone();
    multicast.options.alternate_care_of_address = Some(terminal.group);
    // The subscription names a unicast address as group.
    let mut malformed = MobilityMessage::from(update.clone()).emit();
    malformed[24] = 0x20;
    let acknowledgement = MobilityMessage::from(BindingAcknowledgement {
        status: Status::ACCEPTED,
        flags: BindingAcknowledgementFlags::default(),
        sequence: 1,
        lifetime: Lifetime(1),
        options: MobilityOptions::default(),
    });
    let table: &[(&str, Vec<u8>)] = &[
        ("drop-mobility-header", good[..39].to_vec()),
        ("drop-mobility-header", PacketBuilder::new(terminal.access_address, AGENT).icmpv6(128, 0, &[0; 4])),
        ("drop-mobility-destination", elsewhere),
        ("drop-mobility-destination", routed),
        ("drop-mobility-source", link_local.packet(update.clone())),
        ("drop-mobility-source", terminal.packet(multicast)),
        ("drop-mobility-checksum", wrong_sum),
        ("drop-mobility-malformed", terminal.packet_of(malformed)),
        ("drop-update-unauthenticated", unsigned),
        ("drop-update-no-association", stranger.packet(update.clone())),
        ("drop-update-no-association", terminal.packet_of(MobilityMessage::from(reserved).emit())),
        ("rx-unexpected", terminal.packet_of(acknowledgement.emit())),
    ];
    for (counter, packet) in table {
        let mut bench = Bench::new(config());
        assert_eq!(bench.give(packet), [], "{counter}");
        assert_eq!(bench.counter(counter), 1, "{counter}");
    }
}

#[test]
fn unknown_types_get_a_binding_error() {
    let mut config = config();
    config.max_errors_per_sec = 2;
    let mut bench = Bench::new(config);
    let terminal = Terminal::new(0);
    let packet = terminal.packet_of(MobilityMessage::Unknown { kind: 13 }.emit());
    let outputs = bench.give(&packet);
    let answer = sent(&outputs)[0];
    let header = ipv6::Header::parse(answer).unwrap();
    assert_eq!((header.source, header.destination), (AGENT, terminal.access_address));
    let expected = MobilityMessage::BindingError {
        status: BindingErrorStatus::UNRECOGNIZED_TYPE,
        home_address: terminal.home_address,
    };
    assert!(mobility::verify_checksum(AGENT, terminal.access_address, &answer[40..]));
    assert_eq!(mobility::parse(&answer[40..]), Ok(expected));
    assert_eq!(bench.give(&packet).len(), 1);
    assert_eq!(bench.give(&packet).len(), 0);
    assert_eq!(bench.counter("answer-rate-limited"), 1);
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.give(&packet).len(), 1);
}

#[test]
fn bad_framing_gets_a_parameter_problem() {
    for (at, value, pointer, kind) in [(0, 6, 64, WireErrorKind::Value), (1, 0, 65, WireErrorKind::Length)] {
        let mut bench = Bench::new(config());
        let mut terminal = Terminal::new(0);
        let mut message = MobilityMessage::from(terminal.update()).emit();
        message[at] = value;
        if at == 1 {
            message.truncate(8);
        }
        assert_eq!(mobility::parse(&message).unwrap_err().kind, kind);
        let packet = terminal.packet_of(message);
        let outputs = bench.give(&packet);
        let answer = sent(&outputs)[0];
        assert_eq!(answer[40..42], [4, 0]);
        assert_eq!(u32::from_be_bytes(*answer[44..].first_chunk().unwrap()), pointer);
        assert_eq!(answer[48..], packet[..]);
        assert_eq!((bench.counter("drop-mobility-framing"), bench.counter("tx-parameter-problem")), (1, 1));
    }
}

proptest! {
    #[test]
    fn a_damaged_update_never_panics_and_never_binds(at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut terminal = Terminal::new(0);
        let update = terminal.update();
        let good = terminal.packet(update);
        let mut damaged = good.clone();
        let at = at.index(damaged.len());
        damaged[at] = value;
        let mut bench = Bench::new(config());
        bench.give(&damaged);
        // Traffic class, flow label, hop limit and the padding of the Home Address option may say what they like, and
        // the header that holds that option may pass for the Hop-by-Hop header.
        let label = at < 4 && damaged[0] >> 4 == 6;
        let harmless = damaged == good || label || at == 6 && value == 0 || at == 7 || (42..46).contains(&at);
        prop_assert!(harmless || bench.agent.bindings().count() == 0, "octet {} as {}", at, value);
        bench.give(&good[..cut.index(good.len())]);
    }
}
