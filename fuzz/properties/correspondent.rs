//! What holds of a correspondent node whatever it is sent: it answers a packet by one at the most, it keeps no binding that
//! was not authorised, and it loses none but those whose terminals, or whose routers, say so.

use crate::mend;
use core::net::Ipv6Addr;
use ha::correspondent::{Config, CorrespondentNode};
use mma::return_routability::{NodeKey, PreconfiguredKey};
use mma::secret::SecretRng;
use stack::machine::{Machine, Output, PortId, RxMeta};
use stack::tables::TableUpdate;
use stack::time::Instant;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::{Header, protocol};
use stack::wire::mobility::{
    BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime, MobilityMessage, MobilityOptions, TestAnswer,
};

const NODE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x10);
const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x55);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0xc, 0, 0, 0, 0x55);
const META: RxMeta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };

fn key() -> PreconfiguredKey {
    let node_key = NodeKey::new(&[0x4b; 20]).expect("20 octets");
    PreconfiguredKey { node_key, home_nonce: vec![1], care_of_nonce: vec![2] }
}

fn update(sequence: u16) -> Vec<u8> {
    let update = BindingUpdate {
        sequence,
        flags: BindingUpdateFlags::ACKNOWLEDGE,
        lifetime: Lifetime(105),
        options: MobilityOptions::default(),
    };
    mobility(key().management_key(HOME, CARE_OF).sign_update(update, CARE_OF, NODE), Some(HOME))
}

fn mobility(message: Vec<u8>, home_address: Option<Ipv6Addr>) -> Vec<u8> {
    let mut builder = PacketBuilder::new(CARE_OF, NODE);
    if let Some(home_address) = home_address {
        builder = builder.home_address(home_address);
    }
    builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
}

/// A packet, as it is and with a checksum that holds.
pub(crate) fn packet(input: &[u8]) {
    let config = Config { preconfigured: [(HOME, key())].into(), ..Config::new(NODE) };
    let mut node = CorrespondentNode::new(config, SecretRng::simulated(1));
    let now = Instant::from_secs(1000);
    node.handle_packet(now, &META, &update(1));
    while node.poll_output().is_some() {}
    assert!(node.bindings().get(HOME).is_some());
    for packet in [input, &mend::summed(input)] {
        node.handle_packet(now, &META, packet);
        let mut answers = 0;
        while let Some(output) = node.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    answers += 1;
                    assert!(Header::parse(&transmit.packet).is_ok_and(|header| header.source == NODE));
                }
                Output::Table(update) => {
                    let of_home = matches!(update, TableUpdate::CorrespondentBindingSet(HOME, binding)
                        if binding.care_of == CARE_OF);
                    assert!(of_home, "{update:?}");
                }
                Output::Event(_) => {}
            }
        }
        assert!(answers <= 1, "{answers} answers");
        let bound: Vec<_> = node.bindings().iter().map(|binding| (binding.home_address, binding.care_of)).collect();
        assert_eq!(bound, [(HOME, CARE_OF)]);
    }
}

/// Good packets.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let answer = TestAnswer { nonce_index: 1, cookie: [1; 8], token: [2; 8] };
    let sent = PacketBuilder::new(NODE, CARE_OF).type2_routing(HOME).payload(protocol::UDP, &[0; 8]);
    let mut samples: Vec<_> = [
        MobilityMessage::HomeTestInit { cookie: [1; 8] },
        MobilityMessage::CareOfTestInit { cookie: [2; 8] },
        MobilityMessage::HomeTest(answer),
        MobilityMessage::CareOfTest(answer),
        MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() },
        MobilityMessage::Unknown { kind: 13 },
    ]
    .iter()
    .map(|message| mobility(message.emit(), None))
    .collect();
    samples.push(update(2));
    samples.push(PacketBuilder::new(CARE_OF, NODE).home_address(HOME).payload(protocol::UDP, &[0; 8]));
    samples.push(PacketBuilder::new(CARE_OF, NODE).icmpv6(1, 0, &[&[0; 4], &sent[..]].concat()));
    samples
}
