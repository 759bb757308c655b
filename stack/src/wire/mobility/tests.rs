use super::authentication::locate;
use super::option::{AddressPrefix, Authentication, GreKey, MobileNodeIdentifier, NonceIndices, Subscription};
use super::*;
use crate::wire::build::PacketBuilder;
use core::time::Duration;
use proptest::prelude::*;

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 1);

fn registration() -> MobilityMessage {
    BindingUpdate {
        sequence: 0x1234,
        flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION,
        lifetime: Lifetime::at_most(Duration::from_secs(1800)),
        options: MobilityOptions {
            identifier: Some(MobileNodeIdentifier::nai("mt@x")),
            message_id: Some(0x0102_0304_0506_0708),
            gre_key: Some(GreKey { key: None }),
            subscriptions: vec![Subscription { group: GROUP, source: Some(AGENT) }],
            authentication: Some(Authentication { subtype: 1, spi: 0x100, data: (0xa0..0xac).collect() }),
            ..MobilityOptions::default()
        },
    }
    .into()
}

/// The same message written by hand.
const REGISTRATION: [u8; 104] = [
    59, 12, 5, 0, 0, 0, 0x12, 0x34, // payload protocol, header length, type, checksum, sequence
    0x88, 0x00, 0x01, 0xc2, 8, 5, 1, b'm', // A and M, 450 units, identifier
    b't', b'@', b'x', 1, 5, 0, 0, 0, // padding to 8n+2
    0, 0, 10, 8, 1, 2, 3, 4, // timestamp
    5, 6, 7, 8, 33, 2, 0, 0, // GRE without a key
    0, 57, 37, 143, 1, 0, 0, 1, // Pad1, subscription: MODE_IS_INCLUDE, one source
    0xff, 0x35, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xff, 0xfe, 0x10, 0, 1, // group
    0x20, 0x01, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // source
    1, 3, 0, 0, 0, 9, 17, 1, // padding to 8n+5, authentication
    0, 0, 1, 0, 0xa0, 0xa1, 0xa2, 0xa3, // SPI and data
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, //
];

#[test]
fn registration_vector() {
    let emitted = registration().emit();
    assert_eq!(emitted, REGISTRATION);
    assert_eq!(parse(&REGISTRATION), Ok(registration()));
}

#[test]
fn acknowledgement_vector() {
    let message = MobilityMessage::from(BindingAcknowledgement {
        status: Status::ACCEPTED,
        flags: BindingAcknowledgementFlags::default(),
        sequence: 7,
        lifetime: Lifetime(10),
        options: MobilityOptions {
            gre_key: Some(GreKey { key: Some(0xdead_beef) }),
            addresses: vec![AddressPrefix::new_care_of(CARE_OF)],
            ..MobilityOptions::default()
        },
    });
    let bytes = [
        59, 4, 6, 0, 0, 0, 0, 0, // accepted
        0, 7, 0, 10, 33, 6, 0, 0, // sequence, lifetime, GRE key
        0xde, 0xad, 0xbe, 0xef, 34, 18, 2, 128, // new care-of address, 128 bits
        0x20, 0x01, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, //
        1, 6, 0, 0, 0, 0, 0, 0,
    ];
    // The address ends on a multiple of eight: nothing is padded.
    assert_eq!(message.emit(), bytes[..40]);
    assert_eq!(parse(&message.emit()), Ok(message.clone()));
    let mut longer = bytes.to_vec();
    longer[1] = 5;
    assert_eq!(parse(&longer), Ok(message));
}

#[test]
fn the_small_messages() {
    let answer = TestAnswer { nonce_index: 0x0a0b, cookie: [1; 8], token: [2; 8] };
    let mut bytes = vec![59, 2, 3, 0, 0, 0, 0x0a, 0x0b];
    bytes.extend_from_slice(&[1; 8]);
    bytes.extend_from_slice(&[2; 8]);
    assert_eq!(MobilityMessage::HomeTest(answer).emit(), bytes);
    assert_eq!(parse(&bytes), Ok(MobilityMessage::HomeTest(answer)));

    let error = MobilityMessage::BindingError { status: BindingErrorStatus::UNKNOWN_BINDING, home_address: HOME };
    let mut bytes = vec![59, 2, 7, 0, 0, 0, 1, 0];
    bytes.extend_from_slice(&HOME.octets());
    assert_eq!(error.emit(), bytes);
    assert_eq!(parse(&bytes), Ok(error));

    let init = MobilityMessage::HomeTestInit { cookie: [3; 8] };
    assert_eq!(init.emit(), [59, 1, 1, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3]);
    let request = MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() };
    assert_eq!(request.emit(), [59, 0, 0, 0, 0, 0, 0, 0]);
    let empty = BindingUpdate {
        sequence: 0,
        flags: BindingUpdateFlags::default(),
        lifetime: Lifetime::ZERO,
        options: MobilityOptions::default(),
    };
    assert_eq!(MobilityMessage::from(empty).emit(), [59, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0]);
}

#[test]
fn framing_is_judged_in_the_order_of_rfc_6275() {
    let mut message = REGISTRATION;
    message[0] = 6;
    let error = parse(&message).unwrap_err();
    assert_eq!((error.kind, parameter_problem_pointer(error)), (WireErrorKind::Value, Some(0)));
    message[2] = 8;
    assert_eq!(parse(&message), Ok(MobilityMessage::Unknown { kind: 8 }));
    let mut message = REGISTRATION;
    message[1] = 0;
    let error = parse(&message).unwrap_err();
    assert_eq!((error.kind, parameter_problem_pointer(error)), (WireErrorKind::Length, Some(1)));
    for (kind, minimum) in [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 1), (6, 1), (7, 2)] {
        let message = [59, 0, kind, 0, 0, 0, 0, 0];
        assert_eq!(parse(&message).is_ok(), minimum == 0, "type {kind}");
        if minimum > 0 {
            let message = [59, minimum - 1, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            assert_eq!(parse(&message).unwrap_err().offset, 1, "type {kind}");
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    for cut in 0..REGISTRATION.len() {
        let error = parse(&REGISTRATION[..cut]).unwrap_err();
        assert_eq!(error, WireError::new(WireErrorKind::Truncated, cut));
        assert!(!verify_checksum(HOME, AGENT, &REGISTRATION[..cut]));
        assert_eq!(locate(&REGISTRATION[..cut]), None);
        // The same with a header length that fits the cut: options run over the end, or stop early and well.
        if cut % 8 == 0 && cut >= 16 {
            let mut message = REGISTRATION;
            message[1] = (cut / 8 - 1) as u8;
            if let Ok(parsed) = parse(&message) {
                assert_ne!(parsed, registration());
            }
        }
    }
}

#[test]
fn hostile_options() {
    let with = |options: &[u8]| {
        let mut message = vec![59, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(options);
        while message.len() % 8 != 0 {
            message.push(0);
        }
        message[1] = (message.len() / 8 - 1) as u8;
        parse(&message).map_err(|error| (error.kind, error.offset))
    };
    use WireErrorKind::{Length, TooMany, Value};
    assert_eq!(with(&[3, 16, 0, 0]), Err((Length, 13)));
    assert_eq!(with(&[0, 0, 0, 1]), Err((Length, 16)));
    assert_eq!(with(&[2, 3, 0, 0, 0]), Err((Length, 13)));
    assert_eq!(with(&[8, 1, 1]), Err((Length, 13)));
    assert_eq!(with(&[9, 4, 1, 0, 0, 0]), Err((Length, 13)));
    assert_eq!(with(&[33, 3, 0, 0, 0]), Err((Length, 13)));
    assert_eq!(with(&[2, 2, 0, 1, 2, 2, 0, 1]), Err((Value, 16)));
    // Nothing but MN-AAA authentication follows MN-HA authentication.
    assert_eq!(with(&[9, 5, 1, 0, 0, 1, 0, 2, 2, 0, 1]), Err((Value, 19)));
    assert!(with(&[9, 5, 1, 0, 0, 1, 0, 9, 5, 2, 0, 0, 0, 3]).is_ok());
    assert_eq!(with(&[9, 5, 2, 0, 0, 0, 3, 9, 5, 1, 0, 0, 1, 0]), Err((Value, 19)));
    // An unknown option is skipped; too many are refused.
    assert!(with(&[200, 3, 1, 2, 3]).is_ok());
    assert_eq!(with(&[200, 0].repeat(option::MAX_OPTIONS + 1)), Err((TooMany, 12 + 2 * option::MAX_OPTIONS)));
    // Subscriptions: unicast group, other record type, source count that does not fit, other MLD type.
    let subscription = |mld: u8, record: u8, count: u8, group: Ipv6Addr| {
        let mut bytes = vec![57, 21, mld, record, 0, 0, count];
        bytes.extend_from_slice(&group.octets());
        with(&bytes)
    };
    assert!(subscription(143, 2, 0, GROUP).is_ok());
    assert_eq!(subscription(143, 2, 0, HOME), Err((Value, 19)));
    assert_eq!(subscription(143, 1, 0, GROUP), Err((Value, 15)));
    assert_eq!(subscription(143, 2, 1, GROUP), Err((Length, 13)));
    assert!(subscription(131, 0, 0, GROUP).is_ok());
}

#[test]
fn checksum_is_of_the_swapped_addresses() {
    let packet = PacketBuilder::new(CARE_OF, AGENT).home_address(HOME).checksummed(
        protocol::MOBILITY,
        registration().emit(),
        CHECKSUM_AT,
    );
    let message = &packet[64..];
    assert!(verify_checksum(HOME, AGENT, message));
    assert!(!verify_checksum(CARE_OF, AGENT, message));
    // Octets behind the header's length are not part of the message.
    let mut longer = message.to_vec();
    longer.extend_from_slice(&[1, 2, 3]);
    assert!(verify_checksum(HOME, AGENT, &longer));
    assert_eq!(parse(&longer), Ok(registration()));
}

#[test]
fn authentication_covers_all_up_to_the_spi() {
    let mut message = registration().emit();
    let span = locate(&message).unwrap();
    assert_eq!((span.covered, span.spi, span.data.clone()), (92, 0x100, 92..104));
    message[CHECKSUM_AT] = 0xff;
    let data = span.mobility_data(CARE_OF, HOME, &message);
    assert_eq!(data[..16], CARE_OF.octets());
    assert_eq!(data[16..32], HOME.octets());
    assert_eq!(data[32..], REGISTRATION[..92]);
}

#[test]
fn lifetimes_and_names() {
    assert_eq!(Lifetime::at_most(Duration::from_secs(7)), Lifetime(1));
    assert_eq!(Lifetime::at_most(Duration::MAX), Lifetime(u16::MAX));
    assert_eq!(Lifetime(450).duration(), Duration::from_secs(1800));
    assert_eq!(format!("{:?}", BindingUpdateFlags(0x8801)), "AM+0x1");
    assert_eq!(Status::AUTHENTICATION_FAILED.to_string(), "authentication failed (146)");
    assert!(Status(2).is_accepted() && !Status(128).is_accepted());
}

fn address() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

fn group() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits | 0xff << 120))
}

fn octets(range: core::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), range)
}

prop_compose! {
    fn options()(
        (binding_refresh_advice, alternate_care_of_address) in (any::<Option<u16>>(), proptest::option::of(address())),
        nonce_indices in proptest::option::of(any::<(u16, u16)>()),
        identifier in proptest::option::of((any::<u8>(), octets(1..60))),
        message_id in any::<Option<u64>>(),
        gre_key in any::<Option<Option<u32>>>(),
        addresses in proptest::collection::vec((any::<u8>(), 0..=128u8, address()), 0..4),
        subscriptions in proptest::collection::vec((group(), proptest::option::of(address())), 0..4),
        binding_authorization_data in any::<Option<[u8; 12]>>(),
        authentication in proptest::option::of((any::<u8>(), any::<u32>(), octets(0..40))),
    ) -> MobilityOptions {
        MobilityOptions {
            binding_refresh_advice,
            alternate_care_of_address,
            nonce_indices: nonce_indices.map(|(home, care_of)| NonceIndices { home, care_of }),
            identifier: identifier.map(|(subtype, value)| MobileNodeIdentifier { subtype, value }),
            message_id,
            gre_key: gre_key.map(|key| GreKey { key }),
            addresses: addresses.into_iter()
                .map(|(code, prefix_length, address)| AddressPrefix { code, prefix_length, address }).collect(),
            subscriptions: subscriptions.into_iter()
                .map(|(group, source)| Subscription { group, source }).collect(),
            // Both claim the last place: a message has one of them.
            binding_authorization_data: binding_authorization_data.filter(|_| authentication.is_none()),
            authentication: authentication.map(|(subtype, spi, data)| Authentication { subtype, spi, data }),
        }
    }
}

fn message() -> impl Strategy<Value = MobilityMessage> {
    let answer = || {
        any::<(u16, [u8; 8], [u8; 8])>().prop_map(|(nonce_index, cookie, token)| TestAnswer {
            nonce_index,
            cookie,
            token,
        })
    };
    prop_oneof![
        options().prop_map(|options| MobilityMessage::BindingRefreshRequest { options }),
        any::<[u8; 8]>().prop_map(|cookie| MobilityMessage::HomeTestInit { cookie }),
        any::<[u8; 8]>().prop_map(|cookie| MobilityMessage::CareOfTestInit { cookie }),
        answer().prop_map(MobilityMessage::HomeTest),
        answer().prop_map(MobilityMessage::CareOfTest),
        (any::<(u16, u16, u16)>(), options()).prop_map(|((sequence, flags, lifetime), options)| {
            let (flags, lifetime) = (BindingUpdateFlags(flags), Lifetime(lifetime));
            BindingUpdate { sequence, flags, lifetime, options }.into()
        }),
        (any::<(u8, u8, u16, u16)>(), options()).prop_map(|((status, flags, sequence, lifetime), options)| {
            let (status, flags) = (Status(status), BindingAcknowledgementFlags(flags));
            BindingAcknowledgement { status, flags, sequence, lifetime: Lifetime(lifetime), options }.into()
        }),
        (any::<u8>(), address()).prop_map(|(status, home_address)| MobilityMessage::BindingError {
            status: BindingErrorStatus(status),
            home_address
        }),
        (8..=255u8).prop_map(|kind| MobilityMessage::Unknown { kind }),
    ]
}

proptest! {
    #[test]
    fn reads_what_it_writes(message in message()) {
        let emitted = message.emit();
        prop_assert_eq!(emitted.len() % UNIT, 0);
        prop_assert_eq!(parse(&emitted), Ok(message.clone()));
        if let Some(span) = locate(&emitted) {
            prop_assert!(span.data.end <= emitted.len());
            // With data that leaves room for it, the option ends the message.
            if span.data.len() % 4 == 0 {
                prop_assert_eq!(span.data.end, emitted.len());
            }
        }
    }

    #[test]
    fn never_panics(mut bytes in octets(0..200), kind in 0..10u8, framed: bool) {
        if framed && bytes.len() >= 8 {
            bytes[0] = protocol::NONE;
            bytes[1] = (bytes.len() / 8 - 1) as u8;
            bytes[2] = kind;
        }
        let _ = locate(&bytes);
        let _ = verify_checksum(HOME, AGENT, &bytes);
        if let Ok(message) = parse(&bytes) {
            prop_assert_eq!(parse(&message.emit()), Ok(message));
        }
    }

    #[test]
    fn a_flipped_octet_never_panics(message in message(), at: prop::sample::Index, value: u8) {
        let mut bytes = message.emit();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = (parse(&bytes), locate(&bytes));
    }
}
