use super::*;
use crate::addr::{ALL_NODES, ALL_ROUTERS, solicited_node};
use proptest::prelude::*;
use smoltcp::wire::{Icmpv6Packet, NdiscRepr};

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const MAC: MacAddress = MacAddress([2, 0, 0x5e, 0x10, 0, 1]);

fn advertisement() -> RouterAdvertisement {
    RouterAdvertisement {
        current_hop_limit: 64,
        other_configuration: true,
        home_agent: true,
        preference: RouterPreference::Low,
        lifetime_secs: 1800,
        reachable_time_millis: 30_000,
        retransmit_timer_millis: 1_000,
        source_link_address: Some(MAC),
        mtu: Some(1500),
        prefixes: vec![PrefixInformation {
            address: GLOBAL,
            prefix_length: 64,
            on_link: true,
            autonomous: true,
            router_address: true,
            valid_lifetime_secs: INFINITE_LIFETIME_SECS,
            preferred_lifetime_secs: 604_800,
        }],
        advertisement_interval_millis: Some(70),
        home_agent_information: Some(HomeAgentInformation { preference: 7, lifetime_secs: 1800 }),
        maps: vec![MapOption {
            distance: 2,
            preference: 15,
            allocates_address: false,
            valid_lifetime_secs: 3600,
            address: GLOBAL,
        }],
        other: vec![RawOption { kind: 25, data: vec![0xaa; 14] }],
        ..RouterAdvertisement::default()
    }
}

fn solicitation() -> NeighborSolicitation {
    NeighborSolicitation { target: GLOBAL, source_link_address: Some(MAC), nonce: None, other: Vec::new() }
}

fn answer() -> NeighborAdvertisement {
    NeighborAdvertisement {
        router: true,
        solicited: true,
        override_cached: true,
        target: GLOBAL,
        target_link_address: Some(MAC),
        other: Vec::new(),
    }
}

#[test]
fn router_advertisement_vector() {
    #[rustfmt::skip]
    let expected = [
        134, 0, 0, 0, 64, 0x78, 0x07, 0x08,
        0, 0, 0x75, 0x30, 0, 0, 0x03, 0xe8,
        1, 1, 2, 0, 0x5e, 0x10, 0, 1,
        5, 1, 0, 0, 0, 0, 0x05, 0xdc,
        3, 4, 64, 0xe0, 0xff, 0xff, 0xff, 0xff, 0, 0x09, 0x3a, 0x80, 0, 0, 0, 0,
        0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        7, 1, 0, 0, 0, 0, 0, 70,
        8, 1, 0, 0, 0, 7, 0x07, 0x08,
        23, 3, 0x2f, 0, 0, 0, 0x0e, 0x10,
        0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        25, 2, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
    ];
    let message = Message::RouterAdvertisement(advertisement());
    assert_eq!(message.emit(), expected);
    assert_eq!(Message::parse(&expected), Ok(message));
    assert_eq!(advertisement().prefixes[0].prefix(), "2001:db8:1::/64".parse().unwrap());
    for cut in 0..expected.len() {
        let result = Message::parse(&expected[..cut]);
        // Where an option ends, a shorter message does.
        let boundaries = [16, 24, 32, 64, 72, 80, 104];
        assert_eq!(result.is_ok(), boundaries.contains(&cut), "cut at {cut}");
    }
}

#[test]
fn options_that_break_their_format_are_left_aside() {
    let parse = |octets: &[u8], flags: u8| {
        let mut bytes = vec![134, 0, 0, 0, 64, flags, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(octets);
        match Message::parse(&bytes) {
            Ok(Message::RouterAdvertisement(message)) => message,
            other => panic!("{other:?}"),
        }
    };
    let map = |first: u8, high: u8| {
        let mut bytes = vec![23, 3, first, 0, 0, 0, 0, 9, high, 1];
        bytes.extend_from_slice(&[0; 14]);
        bytes
    };
    assert_eq!(parse(&map(0x1f, 0x20), 0).maps.len(), 1);
    // RFC 5380 §5: a distance of zero must not be used; the address is global.
    assert!(parse(&map(0x0f, 0x20), 0).maps.is_empty());
    assert!(parse(&map(0x1f, 0xff), 0).maps.is_empty());
    let mut long_mtu = vec![5, 2];
    long_mtu.extend_from_slice(&[0; 14]);
    assert_eq!(parse(&long_mtu, 0).mtu, None);
    // RFC 6275 §7.4: only with the H flag, and never with a lifetime of zero.
    let information = [8, 1, 0, 0, 0, 5, 0, 9];
    assert!(parse(&information, 0x20).home_agent_information.is_some());
    assert!(parse(&information, 0).home_agent_information.is_none());
    assert!(parse(&[8, 1, 0, 0, 0, 5, 0, 0], 0x20).home_agent_information.is_none());
    // A group address is nobody's link-layer address.
    assert_eq!(parse(&[1, 1, 0x33, 0x33, 0, 0, 0, 1], 0).source_link_address, None);
    assert_eq!(parse(&[1, 1, 0x33, 0x33, 0, 0, 0, 1], 0).other.len(), 1);
    // RFC 4191 §2.2.
    assert_eq!(parse(&[], 0x08).preference, RouterPreference::High);
    assert_eq!(parse(&[], 0x10).preference, RouterPreference::Medium);
}

#[test]
fn hostile_options() {
    let bytes = Message::NeighborSolicitation(solicitation()).emit();
    let mut zero = bytes.clone();
    zero[25] = 0;
    assert_eq!(Message::parse(&zero).unwrap_err(), WireError::new(WireErrorKind::Length, 25));
    let mut long = bytes.clone();
    long[25] = 2;
    assert_eq!(Message::parse(&long).unwrap_err(), WireError::new(WireErrorKind::Length, 25));
    let mut many = bytes[..24].to_vec();
    for _ in 0..MAX_OPTIONS {
        many.extend_from_slice(&[200, 1, 0, 0, 0, 0, 0, 0]);
    }
    assert!(Message::parse(&many).is_ok());
    many.extend_from_slice(&[200, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Message::parse(&many).unwrap_err().kind, WireErrorKind::TooMany);
}

#[test]
fn validity() {
    let ns = |f: &dyn Fn(&mut NeighborSolicitation)| {
        let mut message = solicitation();
        f(&mut message);
        Message::NeighborSolicitation(message)
    };
    let na = |f: &dyn Fn(&mut NeighborAdvertisement)| {
        let mut message = answer();
        f(&mut message);
        Message::NeighborAdvertisement(message)
    };
    let rs = |link: Option<MacAddress>| {
        Message::RouterSolicitation(RouterSolicitation { source_link_address: link, other: vec![] })
    };
    let ra = Message::RouterAdvertisement(advertisement());
    let redirect = |target, destination| {
        Message::Redirect(Redirect { target, destination, target_link_address: Some(MAC), other: vec![] })
    };
    let any = Ipv6Addr::UNSPECIFIED;
    let group = solicited_node(GLOBAL);
    let cases: Vec<(Message, Ipv6Addr, Ipv6Addr, Option<Refusal>)> = vec![
        (rs(Some(MAC)), HOST, ALL_ROUTERS, None),
        (rs(None), any, ALL_ROUTERS, None),
        (rs(Some(MAC)), any, ALL_ROUTERS, Some(Refusal::Combination)),
        (ra.clone(), ROUTER, ALL_NODES, None),
        (ra.clone(), GLOBAL, ALL_NODES, Some(Refusal::Source)),
        (ra, any, ALL_NODES, Some(Refusal::Source)),
        (ns(&|_| {}), HOST, group, None),
        (ns(&|_| {}), HOST, GLOBAL, None),
        (ns(&|m| m.target = ALL_NODES), HOST, group, Some(Refusal::Target)),
        (ns(&|m| m.source_link_address = None), any, group, None),
        (ns(&|m| m.source_link_address = None), any, GLOBAL, Some(Refusal::Destination)),
        (ns(&|_| {}), any, group, Some(Refusal::Combination)),
        (ns(&|_| {}), ALL_NODES, group, Some(Refusal::Source)),
        (na(&|_| {}), GLOBAL, HOST, None),
        (na(&|_| {}), GLOBAL, ALL_NODES, Some(Refusal::Combination)),
        (na(&|m| m.solicited = false), GLOBAL, ALL_NODES, None),
        (na(&|m| m.target = ALL_NODES), GLOBAL, HOST, Some(Refusal::Target)),
        (redirect(ROUTER, GLOBAL), ROUTER, HOST, None),
        (redirect(GLOBAL, GLOBAL), ROUTER, HOST, None),
        (redirect(GLOBAL, GLOBAL), GLOBAL, HOST, Some(Refusal::Source)),
        (redirect(ROUTER, ALL_NODES), ROUTER, HOST, Some(Refusal::Destination)),
        (redirect(GLOBAL, "2001:db8::9".parse().unwrap()), ROUTER, HOST, Some(Refusal::Target)),
    ];
    for (message, source, destination, refusal) in cases {
        let packet = message.packet(source, destination);
        let expected = match refusal {
            None => Ok(Opened { source, destination, message }),
            Some(refusal) => Err(refusal),
        };
        assert_eq!(open(&packet), expected, "{source} to {destination}");
    }
}

#[test]
fn packets_from_elsewhere_and_damaged_ones() {
    let good = Message::NeighborSolicitation(solicitation()).packet(HOST, GLOBAL);
    assert!(open(&good).is_ok());
    let mut forwarded = good.clone();
    forwarded[7] = 254;
    assert_eq!(open(&forwarded), Err(Refusal::HopLimit));
    let mut damaged = good.clone();
    damaged[60] ^= 1;
    assert_eq!(open(&damaged), Err(Refusal::Checksum));
    let mut message = Message::NeighborSolicitation(solicitation()).emit();
    message[1] = 1;
    let coded = PacketBuilder::new(HOST, GLOBAL).hop_limit(255).checksummed(protocol::ICMPV6, message.clone(), 2);
    assert_eq!(open(&coded), Err(Refusal::Code));
    message[1] = 0;
    let short =
        PacketBuilder::new(HOST, GLOBAL).hop_limit(255).checksummed(protocol::ICMPV6, message[..20].to_vec(), 2);
    assert!(matches!(open(&short), Err(Refusal::Message(_))));
    let mobile =
        PacketBuilder::new(HOST, GLOBAL).hop_limit(255).home_address(GLOBAL).checksummed(protocol::ICMPV6, message, 2);
    assert_eq!(open(&mobile), Err(Refusal::NotNeighborDiscovery));
    for cut in 0..good.len() {
        assert!(matches!(open(&good[..cut]), Err(Refusal::Header(_))));
    }
}

/// smoltcp keeps less of an advertisement; what it keeps must be the same.
#[test]
fn agrees_with_smoltcp() {
    let read = |bytes: &[u8]| {
        let packet = Icmpv6Packet::new_checked(bytes).unwrap();
        format!("{:?}", NdiscRepr::parse(&packet).unwrap())
    };
    let bytes = Message::RouterAdvertisement(advertisement()).emit();
    let packet = Icmpv6Packet::new_checked(&bytes[..]).unwrap();
    let NdiscRepr::RouterAdvert {
        hop_limit,
        router_lifetime,
        reachable_time,
        retrans_time,
        lladdr,
        mtu,
        prefix_info,
        ..
    } = NdiscRepr::parse(&packet).unwrap()
    else {
        panic!()
    };
    assert_eq!(
        (hop_limit, router_lifetime.secs(), reachable_time.total_millis(), retrans_time.total_millis()),
        (64, 1800, 30_000, 1_000)
    );
    assert_eq!((lladdr.unwrap().as_bytes(), mtu), (&MAC.0[..], Some(1500)));
    let prefix = prefix_info.unwrap();
    assert_eq!((prefix.prefix, prefix.prefix_len, prefix.preferred_lifetime.secs()), (GLOBAL, 64, 604_800));

    let text = read(&Message::NeighborSolicitation(solicitation()).emit());
    assert!(text.starts_with("NeighborSolicit") && text.contains("2001:db8:1::1"), "{text}");
    let bytes = Message::NeighborAdvertisement(answer()).emit();
    let packet = Icmpv6Packet::new_checked(&bytes[..]).unwrap();
    let NdiscRepr::NeighborAdvert { flags, target_addr, lladdr } = NdiscRepr::parse(&packet).unwrap() else { panic!() };
    assert_eq!((flags.bits(), target_addr, lladdr.unwrap().as_bytes()), (0xe0, GLOBAL, &MAC.0[..]));
    // And the other way round.
    let repr = NdiscRepr::NeighborSolicit { target_addr: GLOBAL, lladdr };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut Icmpv6Packet::new_unchecked(&mut bytes[..]));
    assert_eq!(Message::parse(&bytes), Ok(Message::NeighborSolicitation(solicitation())));
}

fn mac() -> impl Strategy<Value = MacAddress> {
    any::<[u8; 6]>().prop_map(|mut octets| {
        octets[0] &= 0xfe;
        MacAddress(octets)
    })
}

fn address() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

fn others() -> impl Strategy<Value = Vec<RawOption>> {
    let one = (100..=200u8, 0..4usize, any::<u8>())
        .prop_map(|(kind, units, fill)| RawOption { kind, data: vec![fill; 6 + 8 * units] });
    prop::collection::vec(one, 0..3)
}

fn any_advertisement() -> impl Strategy<Value = RouterAdvertisement> {
    let prefix = (address(), 0..=128u8, any::<(bool, bool, bool, u32, u32)>()).prop_map(
        |(address, prefix_length, (on_link, autonomous, router_address, valid, preferred))| PrefixInformation {
            address,
            prefix_length,
            on_link,
            autonomous,
            router_address,
            valid_lifetime_secs: valid,
            preferred_lifetime_secs: preferred,
        },
    );
    let map = (1..16u8, 0..16u8, any::<(bool, u32, u64)>()).prop_map(|(distance, preference, (r, lifetime, low))| {
        let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low));
        MapOption { distance, preference, allocates_address: r, valid_lifetime_secs: lifetime, address }
    });
    let flags = any::<(u8, bool, bool, bool)>();
    let preference =
        prop::sample::select(vec![RouterPreference::Low, RouterPreference::Medium, RouterPreference::High]);
    (
        (flags, preference, any::<(u16, u32, u32)>()),
        (prop::option::of(mac()), any::<(Option<u32>, Option<u32>, u16, u16)>()),
        (prop::collection::vec(prefix, 0..4), prop::collection::vec(map, 0..4), others()),
    )
        .prop_map(|(head, (link, (mtu, interval, ha_preference, ha_lifetime)), (prefixes, maps, other))| {
            let ((hop_limit, m, o, h), preference, (lifetime, reachable, retransmit)) = head;
            RouterAdvertisement {
                current_hop_limit: hop_limit,
                managed: m,
                other_configuration: o,
                home_agent: h,
                preference: if lifetime == 0 { RouterPreference::Medium } else { preference },
                lifetime_secs: lifetime,
                reachable_time_millis: reachable,
                retransmit_timer_millis: retransmit,
                source_link_address: link,
                mtu,
                prefixes,
                advertisement_interval_millis: interval,
                home_agent_information: (h && ha_lifetime > 0)
                    .then_some(HomeAgentInformation { preference: ha_preference, lifetime_secs: ha_lifetime }),
                maps,
                other,
            }
        })
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any_advertisement().prop_map(Message::RouterAdvertisement),
        (prop::option::of(mac()), others()).prop_map(|(source_link_address, other)| Message::RouterSolicitation(
            RouterSolicitation { source_link_address, other }
        )),
        (address(), prop::option::of(mac()), any::<Option<[u8; 6]>>(), others()).prop_map(
            |(target, source_link_address, nonce, other)| Message::NeighborSolicitation(NeighborSolicitation {
                target,
                source_link_address,
                nonce,
                other
            })
        ),
        (any::<(bool, bool, bool)>(), address(), prop::option::of(mac()), others()).prop_map(
            |((router, solicited, override_cached), target, target_link_address, other)| {
                Message::NeighborAdvertisement(NeighborAdvertisement {
                    router,
                    solicited,
                    override_cached,
                    target,
                    target_link_address,
                    other,
                })
            }
        ),
        (address(), address(), prop::option::of(mac()), others()).prop_map(
            |(target, destination, target_link_address, other)| Message::Redirect(Redirect {
                target,
                destination,
                target_link_address,
                other
            })
        ),
    ]
}

proptest! {
    #[test]
    fn reads_what_it_writes(message in any_message()) {
        prop_assert_eq!(Message::parse(&message.emit()), Ok(message));
    }

    #[test]
    fn never_panics(kind in 133..=137u8, mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        let _ = Message::parse(&bytes);
        let _ = open(&bytes);
        let packet = PacketBuilder::new(ROUTER, ALL_NODES).hop_limit(255);
        if bytes.len() >= 4 {
            let _ = open(&packet.checksummed(protocol::ICMPV6, bytes, 2));
        }
    }

    #[test]
    fn a_changed_octet_never_panics(message in any_message(), at in any::<prop::sample::Index>(), value: u8) {
        let mut bytes = message.emit();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(read) = Message::parse(&bytes) {
            // What is kept is written and read again alike, whatever order its options had.
            prop_assert_eq!(Message::parse(&read.emit()), Ok(read));
        }
    }
}
