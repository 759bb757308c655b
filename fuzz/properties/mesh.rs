//! What anybody, and what a peer, can do to an access router of a mesh.

use core::net::Ipv6Addr;
use mma::auth::{Algorithm, Key, NtpTime, SiteKey, Spi, WallClock};
use mma::mesh::{Config, Event, Mesh, Peer};
use stack::machine::{Machine, Output, PortId, RxMeta};
use stack::time::{Duration, Instant};
use stack::wire::mld::{Record, RecordType};
use stack::wire::mobility::handover::{
    self, HandoverInitiate, HandoverMessage, HandoverOptions, MulticastOption, parse,
};

const OWN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0, 0, 1);
const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xb, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);
const MAX_PRE_JOINS: usize = 4;
const NOW: Instant = Instant::from_secs(1);
const META: RxMeta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };

fn key() -> SiteKey {
    SiteKey {
        spi: Spi::new(700).expect("an SPI"),
        key: Key::new(&[5; 16]).expect("a key"),
        algorithm: Algorithm::HmacSha1_96,
    }
}

fn clock() -> WallClock {
    WallClock { at: Instant::ORIGIN, reads: NtpTime::from_unix(Duration::from_secs(1 << 30)) }
}

fn drain(mesh: &mut Mesh) -> (usize, Vec<Event>) {
    let (mut packets, mut events) = (0, Vec::new());
    while let Some(output) = mesh.poll_output() {
        match output {
            Output::Transmit(transmit) => {
                assert!(transmit.packet.len() <= 1280);
                assert!(parse(&transmit.packet[40..]).is_ok());
                packets += 1;
            }
            Output::Event(event) => events.push(event),
            Output::Table(update) => panic!("{update:?} is not the mesh's business"),
        }
    }
    (packets, events)
}

/// A message from its Mobility Header on: as a packet that nobody has signed it does nothing; signed by a peer it is answered
/// once at the most, within the limits, and what it has caused ends.
pub(crate) fn message(input: &[u8]) {
    let peer = Peer { address: PEER, prefixes: Vec::new() };
    let config = Config { max_pre_joins: MAX_PRE_JOINS, ..Config::new(OWN, key(), clock(), vec![peer]) };
    let mut mesh = Mesh::new(config, 1);
    mesh.handle_packet(NOW, &META, input);
    assert_eq!(drain(&mut mesh), (0, vec![]), "octets in place of a packet");
    if input.len() > 1000 {
        return;
    }
    mesh.handle_packet(NOW, &META, &handover::packet(PEER, OWN, unsummed(input)));
    assert_eq!(drain(&mut mesh), (0, vec![]), "nobody has signed it");
    let Ok(mut message) = parse(input) else { return };
    message.options_mut().message_id = Some(clock().read(NOW).0);
    let signed = key().between(PEER, OWN).sign_handover(message.clone(), PEER, OWN);
    let packet = handover::packet(PEER, OWN, signed);
    mesh.handle_packet(NOW, &META, &packet);
    let (packets, events) = drain(&mut mesh);
    match message {
        HandoverMessage::Initiate(_) => assert_eq!(packets, 1),
        HandoverMessage::Acknowledge(_) => assert_eq!((packets, events.len()), (0, 0), "nothing was asked"),
    }
    let pre_joins = events.iter().filter(|event| matches!(event, Event::PreJoin { .. })).count();
    assert!(mesh.pre_joins().count() <= MAX_PRE_JOINS.min(pre_joins));
    mesh.handle_packet(NOW, &META, &packet);
    assert_eq!(drain(&mut mesh), (0, vec![]), "it was seen before");
    for _ in 0..=2 * MAX_PRE_JOINS {
        let Some(at) = mesh.poll_timeout() else { break };
        mesh.handle_timeout(at);
        assert_eq!(drain(&mut mesh), (0, vec![]));
    }
    assert_eq!((mesh.poll_timeout(), mesh.pre_joins().count()), (None, 0));
}

/// With a checksum of zero, where it has one.
fn unsummed(input: &[u8]) -> Vec<u8> {
    let mut message = input.to_vec();
    message.resize(message.len().max(8).next_multiple_of(8), 0);
    message[4..6].fill(0);
    message
}

/// Messages that do something, signed or not.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let record = |kind, sources: &[Ipv6Addr]| Record { kind, group: GROUP, sources: sources.to_vec() };
    let initiate = |code, records| {
        let message = HandoverInitiate {
            sequence: 7,
            assign_address: false,
            buffer: true,
            code,
            options: HandoverOptions {
                multicast: Some(MulticastOption { code: MulticastOption::MLDV2, records }),
                message_id: Some(1 << 40),
                ..HandoverOptions::default()
            },
        };
        HandoverMessage::Initiate(message).emit()
    };
    vec![
        initiate(HandoverInitiate::PREDICTIVE, vec![record(RecordType::ModeIsInclude, &[OWN, PEER])]),
        initiate(HandoverInitiate::PREDICTIVE, vec![record(RecordType::ModeIsExclude, &[])]),
        initiate(HandoverInitiate::REACTIVE, vec![record(RecordType::BlockOldSources, &[OWN])]),
        initiate(HandoverInitiate::REACTIVE, vec![record(RecordType::ChangeToInclude, &[])]),
    ]
}
