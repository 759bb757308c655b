//! Errors about packets to terminals (RFC 6275 §9.3.4), and packets of terminals without a binding (§9.3.1, §9.3.3).

use super::*;

/// A packet that the data plane sent by a binding.
fn sent() -> Vec<u8> {
    PacketBuilder::new(CORRESPONDENT, CARE_OF).type2_routing(HOME).payload(protocol::UDP, &[7; 32])
}

/// An ICMPv6 error about a packet.
fn error(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let router = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);
    PacketBuilder::new(router, CORRESPONDENT).icmpv6(kind, code, &[&[0; 4], quoted].concat())
}

#[test]
fn errors_that_go_on_end_the_binding_and_a_burst_does_not() {
    let mut bench = Bench::new();
    bench.bound(HOME, CARE_OF);
    for _ in 0..100 {
        assert!(bench.packet(&error(1, 0, &sent())).is_silent());
    }
    bench.pass(2);
    assert!(bench.packet(&error(1, 3, &sent())).is_silent());
    bench.pass(2);
    let answers = bench.packet(&error(1, 1, &sent()));
    assert_eq!(answers.tables, [TableUpdate::CorrespondentBindingRemove(HOME)]);
    assert_eq!(answers.events, [Event::Ended { home_address: HOME, cause: EndCause::Unreachable }]);
    // Errors about what was sent before are about no binding any more.
    assert!(bench.packet(&error(1, 0, &sent())).is_silent());
}

#[test]
fn errors_far_apart_or_before_the_binding_was_renewed_are_forgotten() {
    let mut bench = Bench::new();
    let terminal = bench.bound(HOME, CARE_OF);
    for _ in 0..10 {
        bench.packet(&error(1, 0, &sent()));
        bench.pass(6);
        bench.packet(&error(1, 0, &sent()));
        bench.pass(6);
    }
    assert_eq!(bench.care_of(HOME), Some(CARE_OF));
    let errors = |bench: &mut Bench| {
        bench.packet(&error(1, 0, &sent()));
        bench.pass(1);
        bench.packet(&error(1, 0, &sent()));
        bench.pass(1);
    };
    errors(&mut bench);
    bench.packet(&terminal.update(2, 105));
    errors(&mut bench);
    assert_eq!(bench.care_of(HOME), Some(CARE_OF));
}

#[test]
fn only_errors_about_what_can_have_been_sent_count() {
    let to = |destination, home| {
        PacketBuilder::new(CORRESPONDENT, destination).type2_routing(home).payload(protocol::UDP, &[7; 32])
    };
    let mut arrived = sent();
    arrived[43] = 0;
    let acknowledgement = mobility(
        PacketBuilder::new(CORRESPONDENT, CARE_OF).type2_routing(HOME),
        MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() }.emit(),
    );
    let foreign = PacketBuilder::new(OTHER_CARE_OF, CARE_OF).type2_routing(HOME).payload(protocol::UDP, &[7; 32]);
    let cases = [
        ("to another care-of address", error(1, 0, &to(OTHER_CARE_OF, HOME))),
        ("of another home address", error(1, 0, &to(CARE_OF, OTHER_CARE_OF))),
        ("without routing header", error(1, 0, &PacketBuilder::new(CORRESPONDENT, CARE_OF).payload(17, &[7; 32]))),
        ("not from here", error(1, 0, &foreign)),
        ("with a routing header that was followed", error(1, 0, &arrived)),
        ("about signalling", error(1, 0, &acknowledgement)),
        ("from the terminal's own port", error(1, 4, &sent())),
        ("too big", error(2, 0, &sent())),
        ("hop limit", error(3, 0, &sent())),
        ("cut in the routing header", error(1, 0, &sent()[..60])),
        ("of nothing", error(1, 0, &[])),
    ];
    for (name, packet) in cases {
        let mut bench = Bench::new();
        bench.bound(HOME, CARE_OF);
        for _ in 0..5 {
            assert!(bench.packet(&packet).is_silent(), "{name}");
            bench.pass(2);
        }
        assert_eq!(bench.care_of(HOME), Some(CARE_OF), "{name}");
    }
}

#[test]
fn a_home_address_without_binding_is_answered_at_a_bounded_rate() {
    let mut bench = Bench::new();
    let packet = PacketBuilder::new(CARE_OF, CORRESPONDENT).home_address(HOME).payload(protocol::UDP, &[7; 32]);
    let answers = bench.packet(&packet);
    let (to, routing, message) = answers.message();
    let status = BindingErrorStatus::UNKNOWN_BINDING;
    assert_eq!((to, routing, message), (CARE_OF, None, MobilityMessage::BindingError { status, home_address: HOME }));
    let flood: usize = (0..10_000).map(|_| bench.packet(&packet).packets.len()).sum();
    assert_eq!(flood, ANSWER_BURST as usize - 1);
    // Not to a group, and not of somebody who cannot be answered.
    let mut bench = Bench::new();
    let group = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 1);
    for (source, destination) in [(CARE_OF, group), (group, CORRESPONDENT), (Ipv6Addr::UNSPECIFIED, CORRESPONDENT)] {
        let packet = PacketBuilder::new(source, destination).home_address(HOME).payload(protocol::UDP, &[7; 32]);
        assert!(bench.packet(&packet).is_silent(), "{source} {destination}");
    }
    // Nor where the binding came while the packet waited.
    bench.bound(HOME, CARE_OF);
    assert!(bench.packet(&packet).is_silent());
}
