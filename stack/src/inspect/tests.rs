use super::*;
use crate::addr::{self, MacAddress};
use crate::time::Duration;
use crate::wire::build::PacketBuilder;
use crate::wire::mobility::handover::{
    self, HandoverAcknowledge, HandoverCode, HandoverInitiate, HandoverMessage, HandoverOptions, MulticastOption,
};
use crate::wire::mobility::{BindingUpdate, BindingUpdateFlags, Lifetime, MobilityOptions};

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 3);
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);

fn framed(packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN];
    let mac = |last| MacAddress([2, 0, 0, 0, 0, last]);
    ethernet::Header { destination: mac(1), source: mac(2), ethertype: ethernet::ETHERTYPE_IPV6 }
        .emit(frame.first_chunk_mut().unwrap());
    frame.extend_from_slice(packet);
    frame
}

fn udp(source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
    let datagram = [&[0x13, 0x88, 0, 53, 0, 12, 0, 0][..], b"data"].concat();
    PacketBuilder::new(source, destination).checksummed(protocol::UDP, datagram, 6)
}

fn joins(trees: &[(Ipv6Addr, u8, bool)]) -> Vec<u8> {
    let mut message = vec![0x23, 0, 0, 0, 2, 0];
    message.extend_from_slice(&LOCAL.octets());
    message.extend_from_slice(&[0, trees.len() as u8, 0, 210]);
    for &(source, flags, join) in trees {
        message.extend_from_slice(&[2, 0, 0, 128]);
        message.extend_from_slice(&GROUP.octets());
        message.extend_from_slice(&[0, u8::from(join), 0, u8::from(!join), 2, 0, flags, 128]);
        message.extend_from_slice(&source.octets());
    }
    message
}

#[test]
fn sees_through_tunnels() {
    let inner = udp(A, HOME);
    let gre = [&[0x30, 0, 0x86, 0xdd, 0, 0, 0, 9, 0, 0, 0, 77][..], &inner].concat();
    let outer = PacketBuilder::new(B, GROUP).payload(protocol::GRE, &gre);
    let frame = framed(&outer);
    let description = describe(&frame, Medium::Ethernet);
    assert_eq!(description.kind, Kind::Data { protocol: protocol::UDP, source: 5000, destination: 53 });
    assert_eq!(description.outer().unwrap().header.destination, GROUP);
    assert_eq!(description.inner().unwrap().header.destination, HOME);
    assert_eq!(description.inner_packet(&frame), inner);
    let gre = gre::Header { protocol: 0x86dd, key: Some(9), sequence: Some(77), length: 12 };
    assert_eq!((description.outer().unwrap().gre, description.gre_sequence()), (Some(gre), Some(77)));
    assert_eq!(description.groups_of_scope(Scope::SITE_LOCAL).collect::<Vec<_>>(), [GROUP]);
    assert!(description.is_tunnelled() && description.class() == Class::Data);
    let text =
        "2001:db8:2::2 > ff35::200:5eff:fe10:1 gre key 9 sequence 77 | 2001:db8:1::1 > 2001:db8:3::3 udp 5000 > 53";
    assert_eq!(description.to_string(), text);

    let mut forwarded = PacketBuilder::new(B, A).payload(protocol::IPV6, &inner);
    (forwarded[40 + 7], forwarded[40 + 1]) = (7, 0x30);
    let other = describe(&forwarded, Medium::Ip);
    assert_eq!(other.identity(&forwarded), description.identity(&frame));
    assert_ne!(other.inner_packet(&forwarded), inner);
}

#[test]
fn nesting_ends() {
    let packet = (0..2 * MAX_LAYERS).fold(udp(A, B), |p, _| PacketBuilder::new(A, B).payload(protocol::IPV6, &p));
    let description = describe(&packet, Medium::Ip);
    assert_eq!(description.layers.len(), MAX_LAYERS);
    assert_eq!(description.kind, Kind::Other { protocol: protocol::IPV6 });
}

#[test]
fn a_binding_update_from_abroad() {
    let message = MobilityMessage::BindingUpdate(BindingUpdate {
        sequence: 7,
        flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::HOME_REGISTRATION,
        lifetime: Lifetime::at_most(Duration::from_secs(60)),
        options: MobilityOptions { alternate_care_of_address: Some(B), ..MobilityOptions::default() },
    });
    let builder = PacketBuilder::new(B, A).home_address(HOME);
    let mut packet = builder.checksummed(protocol::MOBILITY, message.emit(), mobility::CHECKSUM_AT);
    assert_eq!(describe(&packet, Medium::Ip).kind, Kind::Mobility(message));
    let text = describe(&packet, Medium::Ip).to_string();
    assert!(text.starts_with("2001:db8:2::2 > 2001:db8:1::1 (home 2001:db8:3::3) binding update 7"), "{text}");
    // The checksum covers the home address.
    packet[63] ^= 1;
    let kind = describe(&packet, Medium::Ip).kind;
    let error = WireError::new(WireErrorKind::Checksum, 64 + mobility::CHECKSUM_AT);
    assert_eq!(kind, Kind::Malformed { protocol: Some(protocol::MOBILITY), error });
}

#[test]
fn what_access_routers_tell_each_other() {
    let record =
        mld::Record { kind: mld::RecordType::ModeIsInclude, group: "ff35::1".parse().unwrap(), sources: vec![A] };
    let message = HandoverMessage::Initiate(HandoverInitiate {
        sequence: 7,
        assign_address: false,
        buffer: true,
        code: HandoverInitiate::PREDICTIVE,
        options: HandoverOptions {
            multicast: Some(MulticastOption { code: MulticastOption::MLDV2, records: vec![record] }),
            ..HandoverOptions::default()
        },
    });
    let packet = handover::packet(A, B, message.emit());
    assert_eq!(describe(&packet, Medium::Ip).kind, Kind::Handover(message));
    let text = describe(&packet, Medium::Ip).to_string();
    assert!(text.ends_with("handover initiate 7 predictive, keep ModeIsInclude ff35::1"), "{text}");
    let code = HandoverCode::INSUFFICIENT_RESOURCES;
    let options = HandoverOptions::default();
    let answer = HandoverMessage::Acknowledge(HandoverAcknowledge { sequence: 7, code, options });
    let text = describe(&handover::packet(B, A, answer.emit()), Medium::Ip).to_string();
    assert!(text.ends_with("handover acknowledge 7 code 130"), "{text}");
}

#[test]
fn joins_and_prunes() {
    let message = joins(&[(A, 4, true), (B, 7, false), (B, 5, false)]);
    let packet = PacketBuilder::new(LOCAL, addr::ALL_PIM_ROUTERS).hop_limit(1).checksummed(protocol::PIM, message, 2);
    let tree = |source, wildcard, rendezvous| pim::Tree { source, group: GROUP, wildcard, rendezvous };
    let expected = pim::JoinPrune {
        upstream: LOCAL,
        holdtime_secs: 210,
        joins: vec![tree(A, false, false)],
        prunes: vec![tree(B, true, true), tree(B, false, true)],
    };
    let description = describe(&packet, Medium::Ip);
    assert_eq!(description.kind, Kind::Pim(pim::Message::JoinPrune(expected)));
    assert_eq!(
        description.kind.to_string(),
        "pim to fe80::1 join (2001:db8:1::1, ff35::200:5eff:fe10:1) prune (*, ff35::200:5eff:fe10:1) \
         prune (2001:db8:2::2, ff35::200:5eff:fe10:1, rpt)"
    );
}

#[test]
fn the_checksum_of_a_register_covers_its_header() {
    let mut message =
        PacketBuilder::new(A, B).checksummed(protocol::PIM, vec![0x21, 0, 0, 0, 0, 0, 0, 0], 2)[40..].to_vec();
    message.extend_from_slice(&udp(A, GROUP));
    let packet = PacketBuilder::new(A, B).payload(protocol::PIM, &message);
    assert_eq!(describe(&packet, Medium::Ip).kind, Kind::Pim(pim::Message::Register));
}

#[test]
fn icmpv6_messages() {
    let icmp = |kind, body: &[u8]| describe(&PacketBuilder::new(LOCAL, A).icmpv6(kind, 0, body), Medium::Ip).kind;
    assert_eq!(icmp(2, &[0; 4]), Kind::Icmpv6Error { kind: 2, code: 0 });
    assert_eq!(icmp(129, &[0, 5, 0, 6]), Kind::Echo { request: false, identifier: 5, sequence: 6 });
    let target = [&[0; 4][..], &B.octets()].concat();
    assert_eq!(icmp(135, &target), Kind::Nd { message: Nd::NeighborSolicitation, target: Some(B) });
    assert_eq!(icmp(134, &[0; 12]), Kind::Nd { message: Nd::RouterAdvertisement, target: None });
    assert_eq!(icmp(140, &[0; 12]), Kind::Other { protocol: protocol::ICMPV6 });
    let done = [&[0; 4][..], &GROUP.octets()].concat();
    assert_eq!(icmp(132, &done), Kind::Mld(mld::Message::V1Done { group: GROUP }));
    let short = icmp(135, &[0; 4]);
    assert!(matches!(short, Kind::Malformed { error: WireError { kind: WireErrorKind::Truncated, offset: 48 }, .. }));
}

#[test]
fn a_message_without_a_checksum_is_too_short() {
    for (upper, shortest) in [(protocol::ICMPV6, 4), (protocol::MOBILITY, 6), (protocol::PIM, 4)] {
        for length in 0..shortest {
            // Of a type that nobody knows, so that nothing but the checksum asks for more.
            let packet = PacketBuilder::new(A, B).payload(upper, &vec![0x2f; length]);
            let error = WireError::new(WireErrorKind::Truncated, 40 + length);
            assert_eq!(describe(&packet, Medium::Ip).kind, Kind::Malformed { protocol: Some(upper), error });
        }
    }
}

#[test]
fn frames_that_are_no_ipv6() {
    let mut frame = framed(&[0; 46]);
    assert!(matches!(describe(&frame, Medium::Ethernet).kind, Kind::Malformed { protocol: None, .. }));
    frame[12..14].copy_from_slice(&[8, 0]);
    assert_eq!(describe(&frame, Medium::Ethernet).kind, Kind::Foreign { ethertype: 0x800 });
    assert_eq!(describe(&[], Medium::Ethernet).class(), Class::Malformed);
    assert_eq!(describe(&[], Medium::Ip).inner_packet(&[]), &[] as &[u8]);
}

#[test]
fn every_cut_is_described() {
    let message = joins(&[(A, 4, true), (B, 7, false)]);
    let packet = PacketBuilder::new(LOCAL, addr::ALL_PIM_ROUTERS).checksummed(protocol::PIM, message, 2);
    let tunnelled = PacketBuilder::new(A, B).home_address(HOME).payload(protocol::IPV6, &packet);
    for cut in 0..tunnelled.len() {
        let mut bytes = tunnelled[..cut].to_vec();
        if let Some(length) = cut.checked_sub(ipv6::HEADER_LEN) {
            // The outer length follows the cut, so that inner parsers see it.
            bytes[4..6].copy_from_slice(&(length as u16).to_be_bytes());
        }
        assert_eq!(describe(&bytes, Medium::Ip).class(), Class::Malformed, "cut at {cut}");
    }
    assert_eq!(describe(&tunnelled, Medium::Ip).class(), Class::Pim);
}

proptest::proptest! {
    #[test]
    fn describes_anything(octets in proptest::collection::vec(0u8.., 0..200), ip: bool) {
        let medium = if ip { Medium::Ip } else { Medium::Ethernet };
        let description = describe(&octets, medium);
        let _ = (description.to_string(), description.identity(&octets));
    }

    #[test]
    fn describes_mutants(at in 0usize..180, value: u8) {
        let mut packet = PacketBuilder::new(A, B).home_address(HOME).payload(protocol::IPV6, &udp(A, B));
        let at = at % packet.len();
        packet[at] = value;
        let description = describe(&packet, Medium::Ip);
        let _ = (description.to_string(), description.identity(&packet));
    }
}
