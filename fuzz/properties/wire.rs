//! What holds of the parsers of `stack` whatever they are given: no panic, offsets inside the input, and what was
//! understood is understood the same way after it was written again.

use core::net::Ipv6Addr;
use stack::addr::{self, MacAddress};
use stack::inspect;
use stack::port::Medium;
use stack::port::pcap::{PcapReader, PcapWriter};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::handover::{self, HandoverInitiate, HandoverMessage, HandoverOptions, MulticastOption};
use stack::wire::mobility::option::{AddressPrefix, Authentication, GreKey, MobileNodeIdentifier, Subscription};
use stack::wire::mobility::{self, BindingUpdateFlags, Lifetime, MobilityMessage, MobilityOptions, Status};
use stack::wire::option::hop_by_hop;
use stack::wire::{WireError, ethernet, gre, home_link, ipv6, mld, nd};

/// A parser's property and inputs that it should take.
pub(crate) struct Target {
    /// Name of the fuzz target.
    pub(crate) name: &'static str,
    /// Panics where the property does not hold.
    pub(crate) property: fn(&[u8]),
    /// Good inputs.
    pub(crate) samples: fn() -> Vec<Vec<u8>>,
}

/// Every parser of `stack`.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "ethernet", property: ethernet_frame, samples: frames },
    Target { name: "ipv6_chain", property: ipv6_chain, samples: packets },
    Target { name: "gre", property: gre_header, samples: gre_headers },
    Target { name: "nd", property: nd_message, samples: || messages(nd_packets) },
    Target { name: "nd_packet", property: nd_packet, samples: nd_packets },
    Target { name: "mld", property: mld_message, samples: || messages(mld_packets) },
    Target { name: "mld_packet", property: mld_packet, samples: mld_packets },
    Target { name: "mobility", property: mobility_message, samples: || messages(mobility_packets) },
    Target { name: "home_link", property: home_link_message, samples: || messages(home_link_packets) },
    Target { name: "inspect", property: inspect_frame, samples: frames },
    Target { name: "pcap", property: pcap_file, samples: pcap_files },
];

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);
const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);

/// An error points at an octet of the input or just behind it.
fn inside<T>(result: &Result<T, WireError>, input: &[u8]) {
    if let Err(error) = result {
        assert!(error.offset <= input.len(), "{error} of {}", input.len());
    }
}

/// Ethernet headers.
pub(crate) fn ethernet_frame(input: &[u8]) {
    let parsed = ethernet::Header::parse(input);
    inside(&parsed, input);
    if let Ok(header) = parsed {
        let mut emitted = [0; ethernet::HEADER_LEN];
        header.emit(&mut emitted);
        assert_eq!(emitted, input[..ethernet::HEADER_LEN]);
    }
}

/// IPv6 headers and the chain behind them.
pub(crate) fn ipv6_chain(input: &[u8]) {
    let parsed = ipv6::Header::parse(input);
    inside(&parsed, input);
    // The walk takes care of itself even where nobody has checked the header.
    inside(&Chain::parse(input), input);
    inside(&hop_by_hop(input), input);
    let Ok(header) = parsed else { return };
    let mut emitted = [0; ipv6::HEADER_LEN];
    header.emit(&mut emitted);
    assert_eq!(emitted, input[..ipv6::HEADER_LEN]);
    let packet = &input[..header.total_length()];
    if let Ok(chain) = Chain::parse(packet) {
        assert!(chain.upper_offset <= packet.len() && chain.upper_named_at < chain.upper_offset);
        assert_eq!(packet[chain.upper_named_at], chain.upper);
        let offsets = [
            chain.home_address.map(|option| option.offset + 18),
            chain.type2_routing.map(|routing| routing.offset + 24),
            chain.fragment.map(|fragment| fragment.offset + 8),
            chain.encapsulation_limit.map(|(offset, _)| offset + 1),
        ];
        assert!(offsets.into_iter().flatten().all(|end| end <= chain.upper_offset));
    }
}

/// GRE headers.
pub(crate) fn gre_header(input: &[u8]) {
    let parsed = gre::Header::parse(input);
    inside(&parsed, input);
    let Ok(header) = parsed else { return };
    assert!(header.length <= input.len());
    if let (Some(key), Some(sequence), gre::PROTOCOL_IPV6) = (header.key, header.sequence, header.protocol) {
        let mut emitted = [0; gre::KEY_SEQUENCE_LEN];
        gre::emit_key_sequence(&mut emitted, key, sequence);
        let again = gre::Header { length: gre::KEY_SEQUENCE_LEN, ..header };
        assert_eq!(gre::Header::parse(&emitted), Ok(again));
    }
}

/// Messages of neighbour discovery.
pub(crate) fn nd_message(input: &[u8]) {
    let parsed = nd::Message::parse(input);
    inside(&parsed, input);
    if let Ok(message) = parsed {
        let again = nd::Message::parse(&message.emit());
        assert_eq!(again, Ok(message));
    }
}

/// Home agent discovery and home prefixes.
pub(crate) fn home_link_message(input: &[u8]) {
    let parsed = home_link::Message::parse(input);
    inside(&parsed, input);
    if let Ok(message) = parsed {
        let again = home_link::Message::parse(&message.emit());
        assert_eq!(again, Ok(message));
    }
}

/// Packets of neighbour discovery.
pub(crate) fn nd_packet(input: &[u8]) {
    if let Ok(opened) = nd::open(input) {
        let packet = opened.message.packet(opened.source, opened.destination);
        assert_eq!(nd::open(&packet), Ok(opened));
    }
}

/// MLD messages.
pub(crate) fn mld_message(input: &[u8]) {
    let parsed = mld::Message::parse(input);
    inside(&parsed, input);
    if let Ok(message) = parsed {
        let again = mld::Message::parse(&message.emit());
        assert_eq!(again, Ok(message));
        if input[0] == mld::TYPE_REPORT {
            let extensions = mld::extension::Extensions::of_report(input);
            inside(&extensions, input);
            let walked = extensions.map(|all| all.iter().map(|one| 4 + one.value.len()).sum::<usize>());
            assert!(walked.is_ok_and(|walked| walked < input.len()) || extensions.is_err());
        }
    }
}

/// MLD packets.
pub(crate) fn mld_packet(input: &[u8]) {
    if let Ok(opened) = mld::open(input) {
        mld_message(opened.message);
    }
}

/// Mobility Headers.
pub(crate) fn mobility_message(input: &[u8]) {
    let parsed = mobility::parse(input);
    inside(&parsed, input);
    mobility::verify_checksum(A, B, input);
    if let Some(span) = mobility::authentication::locate(input) {
        assert!(span.covered <= span.data.start && span.data.end <= input.len());
        assert_eq!(span.mobility_data(A, B, input).len(), 32 + span.covered);
    }
    match parsed {
        Ok(MobilityMessage::Unknown { kind }) => assert_eq!(input[2], kind),
        Ok(message) => assert_eq!(mobility::parse(&message.emit()), Ok(message)),
        Err(error) => assert!(mobility::parameter_problem_pointer(error).is_none_or(|at| at < input.len())),
    }
    let parsed = handover::parse(input);
    inside(&parsed, input);
    // What is as long as its length field can say may need padding more when it is written again.
    if let Some(message) = parsed.ok().filter(|_| input.len() < 1_800) {
        assert_eq!(handover::parse(&message.emit()), Ok(message));
    }
}

/// Descriptions of whole frames.
pub(crate) fn inspect_frame(input: &[u8]) {
    for medium in [Medium::Ethernet, Medium::Ip] {
        let description = inspect::describe(input, medium);
        assert!(description.layers.len() <= inspect::MAX_LAYERS);
        assert!(description.inner_packet(input).len() <= input.len());
        assert!(!description.to_string().is_empty());
        if let inspect::Kind::Malformed { error, .. } = description.kind {
            assert!(error.offset <= input.len(), "{error} of {}", input.len());
        }
    }
}

/// Captures.
pub(crate) fn pcap_file(input: &[u8]) {
    let Some((medium, records)) = pcap_records(input) else { return };
    let mut again = Vec::new();
    let mut writer = PcapWriter::new(&mut again, medium, Duration::ZERO).expect("memory takes it");
    for (at, frame) in &records {
        writer.write(*at, frame).expect("memory takes it");
    }
    // The format has 32 bits for seconds; a fraction of more than a second may carry beyond them.
    if records.iter().all(|(at, _)| at.as_micros() < u64::from(u32::MAX) * 1_000_000) {
        assert_eq!(pcap_records(&again), Some((medium, records)));
    }
}

/// Times and frames.
type Records = Vec<(Instant, Vec<u8>)>;

/// The records before the end, or before the first that does not hold.
fn pcap_records(input: &[u8]) -> Option<(Medium, Records)> {
    let mut reader = PcapReader::new(input).ok()?;
    let (mut records, mut frame) = (Vec::new(), Vec::new());
    while let Ok(Some(at)) = reader.read(&mut frame) {
        assert!(frame.len() <= input.len());
        records.push((at, frame.clone()));
    }
    Some((reader.medium(), records))
}

fn pcap_files() -> Vec<Vec<u8>> {
    let file = |medium, frames: &[Vec<u8>]| {
        let mut octets = Vec::new();
        let mut writer = PcapWriter::new(&mut octets, medium, Duration::from_secs(1)).expect("memory takes it");
        for (index, frame) in frames.iter().enumerate() {
            writer.write(Instant::from_millis(index as u64), frame).expect("memory takes it");
        }
        octets
    };
    vec![file(Medium::Ethernet, &frames()[..4]), file(Medium::Ip, &packets()[..2]), file(Medium::Ip, &[])]
}

fn gre_headers() -> Vec<Vec<u8>> {
    let with = |flags: u8, length: usize| [&[flags, 0, 0x86, 0xdd][..], &vec![7; length]].concat();
    vec![with(0, 0), with(0x30, 8), with(0xb0, 12), with(0x20, 40)]
}

/// The upper layers of packets.
fn messages(packets: fn() -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let upper = |packet: Vec<u8>| {
        let chain = Chain::parse(&packet).expect("samples are good");
        packet[chain.upper_offset..].to_vec()
    };
    packets().into_iter().map(upper).collect()
}

/// One frame of every kind.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let framed = |packet: Vec<u8>| {
        let mut frame = vec![0; ethernet::HEADER_LEN];
        let destination = MacAddress([2, 0, 0, 0, 0, 2]);
        ethernet::Header { destination, source: MAC, ethertype: ethernet::ETHERTYPE_IPV6 }
            .emit(frame.first_chunk_mut().expect("room was made"));
        frame.extend(packet);
        frame
    };
    packets().into_iter().map(framed).collect()
}

/// One packet of every kind.
pub(crate) fn packets() -> Vec<Vec<u8>> {
    let datagram = [&[0x13, 0x88, 0, 53, 0, 12, 0, 0][..], b"data"].concat();
    let udp = PacketBuilder::new(A, B).checksummed(protocol::UDP, datagram, 6);
    let gre = [&[0x30, 0, 0x86, 0xdd, 0, 0, 0, 9, 0, 0, 0, 77][..], &udp].concat();
    let fragment = [&[protocol::UDP, 0, 0, 9, 0, 0, 0, 1][..], &udp[40..]].concat();
    let limit = [&[protocol::IPV6, 0, 4, 1, 3, 1, 1, 0][..], &udp].concat();
    let tunnel = PacketBuilder::new(B, GROUP);
    let mut packets = vec![
        tunnel.clone().payload(protocol::IPV6, &udp),
        tunnel.clone().payload(protocol::GRE, &gre),
        tunnel.payload(protocol::DESTINATION_OPTIONS, &limit),
        PacketBuilder::new(A, B).payload(protocol::FRAGMENT, &fragment),
        PacketBuilder::new(A, B).type2_routing(LOCAL).home_address(B).payload(protocol::IPV6, &udp),
        PacketBuilder::new(A, B).icmpv6(2, 0, &[&[0, 0, 5, 0][..], &udp].concat()),
        PacketBuilder::new(A, B).icmpv6(128, 0, &[0; 12]),
        udp,
    ];
    packets.extend([nd_packets(), home_link_packets(), mld_packets(), mobility_packets()].concat());
    packets
}

fn home_link_packets() -> Vec<Vec<u8>> {
    let prefix = nd::PrefixInformation {
        address: A,
        prefix_length: 64,
        on_link: true,
        autonomous: true,
        router_address: true,
        valid_lifetime_secs: 600,
        preferred_lifetime_secs: 300,
    };
    let (identifier, prefixes) = (7, vec![prefix, nd::PrefixInformation { address: B, ..prefix }]);
    [
        home_link::Message::AddressRequest { identifier },
        home_link::Message::AddressReply { identifier, agents: vec![A, B] },
        home_link::Message::PrefixSolicitation { identifier },
        home_link::Message::PrefixAdvertisement { identifier, managed: false, other_configuration: true, prefixes },
    ]
    .map(|message| message.packet(B, A, Some(A)))
    .to_vec()
}

fn nd_packets() -> Vec<Vec<u8>> {
    let advertisement = nd::RouterAdvertisement {
        home_agent: true,
        lifetime_secs: 1800,
        source_link_address: Some(MAC),
        mtu: Some(1500),
        prefixes: vec![nd::PrefixInformation {
            address: A,
            prefix_length: 64,
            on_link: true,
            autonomous: true,
            router_address: true,
            valid_lifetime_secs: 600,
            preferred_lifetime_secs: 300,
        }],
        advertisement_interval_millis: Some(1000),
        home_agent_information: Some(nd::HomeAgentInformation { preference: 1, lifetime_secs: 1800 }),
        maps: vec![nd::MapOption {
            distance: 2,
            preference: 9,
            allocates_address: false,
            valid_lifetime_secs: 600,
            address: B,
        }],
        ..nd::RouterAdvertisement::default()
    };
    let other = vec![nd::RawOption { kind: nd::option::REDIRECTED_HEADER, data: vec![0; 46] }];
    let solicited = addr::solicited_node(B);
    vec![
        nd::Message::RouterAdvertisement(advertisement).packet(LOCAL, addr::ALL_NODES),
        nd::Message::RouterSolicitation(nd::RouterSolicitation { source_link_address: Some(MAC), other: vec![] })
            .packet(LOCAL, addr::ALL_ROUTERS),
        nd::Message::NeighborSolicitation(nd::NeighborSolicitation {
            target: B,
            source_link_address: None,
            nonce: Some([1, 2, 3, 4, 5, 6]),
            other: vec![],
        })
        .packet(Ipv6Addr::UNSPECIFIED, solicited),
        nd::Message::NeighborAdvertisement(nd::NeighborAdvertisement {
            router: true,
            solicited: true,
            override_cached: true,
            target: A,
            target_link_address: Some(MAC),
            other: vec![],
        })
        .packet(A, B),
        nd::Message::Redirect(nd::Redirect { target: LOCAL, destination: B, target_link_address: Some(MAC), other })
            .packet(LOCAL, A),
    ]
}

fn mld_packets() -> Vec<Vec<u8>> {
    let record = |kind, sources: &[Ipv6Addr]| mld::Record { kind, group: GROUP, sources: sources.to_vec() };
    let report = mld::Report {
        records: vec![
            record(mld::RecordType::AllowNewSources, &[A, B]),
            record(mld::RecordType::ChangeToExclude, &[]),
            record(mld::RecordType::ModeIsInclude, &[A]),
        ],
    };
    let query = |group, sources| mld::Query {
        group,
        max_response_delay: Duration::from_millis(100),
        suppress: true,
        robustness: 2,
        query_interval: Duration::from_secs(125),
        sources,
    };
    let v1 = |kind| {
        let body = [&[0; 4][..], &GROUP.octets()].concat();
        PacketBuilder::new(LOCAL, GROUP).hop_limit(1).router_alert(0).icmpv6(kind, 0, &body)
    };
    let previous = mld::extension::AccessRouter::Previous(A);
    let mut packets = report.clone().packets(LOCAL, 1500);
    packets.extend(report.packets_with(LOCAL, 1500, Some(previous)));
    packets.extend([
        query(Ipv6Addr::UNSPECIFIED, vec![]).packet(LOCAL),
        query(GROUP, vec![A, B]).packet(LOCAL),
        v1(mld::TYPE_V1_REPORT),
        v1(mld::TYPE_V1_DONE),
    ]);
    packets
}

fn mobility_packets() -> Vec<Vec<u8>> {
    let options = MobilityOptions {
        alternate_care_of_address: Some(B),
        identifier: Some(MobileNodeIdentifier::nai("terminal@example")),
        message_id: Some(1 << 40),
        gre_key: Some(GreKey { key: Some(9) }),
        addresses: vec![AddressPrefix::new_care_of(B)],
        subscriptions: vec![
            Subscription { group: GROUP, source: Some(A) },
            Subscription { group: GROUP, source: None },
        ],
        authentication: Some(Authentication { subtype: Authentication::MN_HA, spi: 256, data: vec![7; 12] }),
        ..MobilityOptions::default()
    };
    let with_authorization = MobilityOptions {
        binding_refresh_advice: Some(9),
        binding_authorization_data: Some([3; 12]),
        ..MobilityOptions::default()
    };
    let update = mobility::BindingUpdate {
        sequence: 7,
        flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION,
        lifetime: Lifetime(15),
        options: options.clone(),
    };
    let acknowledgement = mobility::BindingAcknowledgement {
        status: Status::ACCEPTED,
        flags: mobility::BindingAcknowledgementFlags::KEY_MANAGEMENT,
        sequence: 7,
        lifetime: Lifetime(15),
        options: with_authorization,
    };
    let answer = mobility::TestAnswer { nonce_index: 3, cookie: [1; 8], token: [2; 8] };
    let messages = [
        MobilityMessage::BindingUpdate(update),
        MobilityMessage::BindingAcknowledgement(acknowledgement),
        MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() },
        MobilityMessage::HomeTestInit { cookie: [5; 8] },
        MobilityMessage::CareOfTestInit { cookie: [6; 8] },
        MobilityMessage::HomeTest(answer),
        MobilityMessage::CareOfTest(answer),
        MobilityMessage::BindingError { status: mobility::BindingErrorStatus::UNKNOWN_BINDING, home_address: A },
    ];
    let packet = |message: MobilityMessage| {
        let builder = PacketBuilder::new(B, A).home_address(A);
        builder.checksummed(protocol::MOBILITY, message.emit(), mobility::CHECKSUM_AT)
    };
    let initiate = HandoverMessage::Initiate(HandoverInitiate {
        sequence: 7,
        assign_address: false,
        buffer: true,
        code: HandoverInitiate::PREDICTIVE,
        options: HandoverOptions {
            multicast: Some(MulticastOption {
                code: MulticastOption::MLDV2,
                records: vec![mld::Record { kind: mld::RecordType::ModeIsInclude, group: GROUP, sources: vec![A, B] }],
            }),
            message_id: Some(1 << 40),
            authentication: Some(Authentication { subtype: Authentication::MN_HA, spi: 256, data: vec![7; 12] }),
            ..HandoverOptions::default()
        },
    });
    let between_routers = handover::packet(B, A, initiate.emit());
    messages.into_iter().map(packet).chain([between_routers]).collect()
}
