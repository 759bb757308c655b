//! A correspondent node as a whole: its configuration, its machine, its services and the data plane under them, frame by
//! frame.

use drover::config::parse;
use drover::config::resolved::NodeConfig;
use drover::node::{DroverNode, fixed_clock};
use drover::state::{Keeper, NodeState, SEQUENCE_MARGIN};
use mma::return_routability::{BindingManagementKey, KeygenToken, NodeKey, PreconfiguredKey};
use mma::secret::SecretRng;
use stack::addr::MacAddress;
use stack::host::port_info;
use stack::machine::PortId;
use stack::packet::Pool;
use stack::pipeline::Dataplane;
use stack::port::Medium;
use stack::port::mem::{MemEnd, MemPort};
use stack::runtime::Worker;
use stack::tables::{Neighbor, TableUpdate};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ethernet;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{HEADER_LEN, Header, protocol};
use stack::wire::mobility::option::NonceIndices;
use stack::wire::mobility::{
    self, BindingErrorStatus, BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime, MobilityMessage,
    MobilityOptions, Status, TestAnswer,
};
use std::net::Ipv6Addr;
use std::path::Path;

const NODE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x10);
const OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x11);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x77);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0xc, 0, 0, 0, 0x77);
const ROUTER_MAC: MacAddress = MacAddress([2, 0, 0x5e, 0, 0, 1]);
const NODE_MAC: MacAddress = MacAddress([2, 0, 0x5e, 0, 0, 2]);

const SERVICES: &str = r#"
    [node]
    name = "cn"
    [[port]]
    name = "lan"
    interface = "eth0"
    addresses = ["2001:db8:0:1::10/64", "2001:db8:0:1::11/64"]
    [[route]]
    prefix = "::/0"
    port = "lan"
    via = "2001:db8:0:1::1"
    [correspondent_node]
    address = "2001:db8:0:1::10"
    [[correspondent_node.service]]
    kind = "udp-echo"
    [[correspondent_node.service]]
    kind = "tcp-echo"
    transport_port = 7777
"#;

/// A node with its wires.
struct Bench {
    worker: Worker<DroverNode>,
    lan: MemEnd,
    /// Where its programs are, if it has any.
    tun: Option<MemEnd>,
    now: Instant,
}

impl Bench {
    fn new(name: &str, text: &str) -> Self {
        let config = parse(name, text, Path::new("")).unwrap_or_else(|error| panic!("{error}"));
        Self::resume(&config, NodeState::default())
    }

    fn resume(config: &NodeConfig, state: NodeState) -> Self {
        let mut infos = vec![port_info("lan", Medium::Ethernet, NODE_MAC, 1500)];
        if config.programs_port().is_some() {
            infos.push(port_info("tun", Medium::Ip, MacAddress::default(), 1400));
        }
        let (ports, mut ends) = MemPort::all(&infos);
        let node = DroverNode::resume(config, &infos, 1, SecretRng::simulated(1), fixed_clock(), state).unwrap();
        let dataplane = Dataplane::new(DroverNode::dataplane_config(config, 1), Pool::new(256).unwrap(), &infos);
        let tun = (ends.len() > 1).then(|| ends.remove(1));
        let mut bench =
            Bench { worker: Worker::new(dataplane, node, ports), lan: ends.remove(0), tun, now: Instant::from_secs(1) };
        bench.worker.iterate(bench.now);
        let neighbor = Neighbor { link_address: ROUTER_MAC, notify_use: false };
        bench.worker.dataplane_mut().apply(bench.now, TableUpdate::NeighborSet(PortId(0), ROUTER, neighbor));
        bench.sent();
        bench
    }

    /// What has left by the wire, Neighbor Discovery and MLD left out.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let frames = std::iter::from_fn(|| self.lan.pop());
        let packets = frames.map(|frame| frame[ethernet::HEADER_LEN..].to_vec());
        packets.filter(|packet| !packet[24..].starts_with(&[0xff])).collect()
    }

    fn receive(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let link = ethernet::Header { destination: NODE_MAC, source: ROUTER_MAC, ethertype: ethernet::ETHERTYPE_IPV6 };
        let mut frame = vec![0; ethernet::HEADER_LEN];
        link.emit(frame.first_chunk_mut().unwrap());
        frame.extend_from_slice(packet);
        assert!(self.lan.push(frame));
        self.worker.iterate(self.now);
        self.sent()
    }

    /// What the programs get for a packet from the wire.
    fn programs_receive(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        assert!(self.receive(packet).is_empty());
        let tun = self.tun.as_ref().unwrap();
        std::iter::from_fn(|| tun.pop()).collect()
    }

    fn programs_send(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        assert!(self.tun.as_ref().unwrap().push(packet));
        self.worker.iterate(self.now);
        self.sent()
    }

    fn pass(&mut self, secs: u64) -> Vec<Vec<u8>> {
        let end = self.now + Duration::from_secs(secs);
        while let Some(at) = self.worker.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.worker.iterate(self.now);
        }
        self.now = end;
        self.sent()
    }

    fn test(&mut self, source: Ipv6Addr, message: &MobilityMessage) -> TestAnswer {
        let packets = self.receive(&signalling(PacketBuilder::new(source, NODE), message.emit()));
        match message_of(&packets[0]) {
            (to, None, MobilityMessage::HomeTest(answer) | MobilityMessage::CareOfTest(answer)) if to == source => {
                answer
            }
            other => panic!("{other:?}"),
        }
    }

    /// Return routability and a Binding Update.
    fn bind(&mut self, sequence: u16) {
        let home = self.test(HOME, &MobilityMessage::HomeTestInit { cookie: [1; 8] });
        let away = self.test(CARE_OF, &MobilityMessage::CareOfTestInit { cookie: [2; 8] });
        let indices = NonceIndices { home: home.nonce_index, care_of: away.nonce_index };
        let update = BindingUpdate {
            sequence,
            flags: BindingUpdateFlags::ACKNOWLEDGE,
            lifetime: Lifetime(105),
            options: MobilityOptions { nonce_indices: Some(indices), ..MobilityOptions::default() },
        };
        let key = BindingManagementKey::new(KeygenToken(home.token), KeygenToken(away.token));
        let message = key.sign_update(update, CARE_OF, NODE);
        let packets = self.receive(&signalling(PacketBuilder::new(CARE_OF, NODE).home_address(HOME), message));
        match message_of(&packets[0]) {
            (CARE_OF, Some(HOME), MobilityMessage::BindingAcknowledgement(answer)) => {
                assert_eq!(answer.status, Status::ACCEPTED);
            }
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.worker.dataplane().counters().is_balanced());
        }
    }
}

fn signalling(builder: PacketBuilder, message: Vec<u8>) -> Vec<u8> {
    builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
}

/// Where it goes, by way of which routing header, and what it says.
fn message_of(packet: &[u8]) -> (Ipv6Addr, Option<Ipv6Addr>, MobilityMessage) {
    let (header, chain) = (Header::parse(packet).unwrap(), Chain::parse(packet).unwrap());
    let routing = chain.type2_routing.map(|routing| routing.home_address);
    let message = mobility::parse(&packet[chain.upper_offset..]).unwrap();
    (header.destination, routing, message)
}

fn udp(builder: PacketBuilder, from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for field in [from, to, 8 + payload.len() as u16, 0] {
        message.extend_from_slice(&field.to_be_bytes());
    }
    message.extend_from_slice(payload);
    builder.checksummed(protocol::UDP, message, 6)
}

fn programs_file() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/correspondent-node.toml")).unwrap()
}

#[test]
fn a_bound_terminal_talks_to_a_service_from_its_care_of_address() {
    let mut bench = Bench::new("services.toml", SERVICES);
    let away = udp(PacketBuilder::new(CARE_OF, NODE).home_address(HOME), 5000, 7, b"hello");
    // Without a binding: Binding Error, as often as the limit says.
    let packets = bench.receive(&away);
    let error = MobilityMessage::BindingError { status: BindingErrorStatus::UNKNOWN_BINDING, home_address: HOME };
    assert_eq!(message_of(&packets[0]), (CARE_OF, None, error));
    bench.bind(1);
    let back = udp(PacketBuilder::new(NODE, CARE_OF).type2_routing(HOME), 7, 5000, b"hello");
    let packets = bench.receive(&away);
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0][HEADER_LEN..], back[HEADER_LEN..], "by way of the care-of address");
    assert_eq!(packets[0][8..40], back[8..40]);
    // From the home address the same service answers by the same way.
    let packets = bench.receive(&udp(PacketBuilder::new(HOME, NODE), 5000, 7, b"hello"));
    assert_eq!(packets[0][HEADER_LEN..], back[HEADER_LEN..]);
    // TCP too, on its own port, and only at the address of the role.
    let syn = |to: Ipv6Addr, port: u16| {
        let mut segment = vec![0x13, 0x88, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0];
        segment[2..4].copy_from_slice(&port.to_be_bytes());
        PacketBuilder::new(CARE_OF, to).home_address(HOME).checksummed(protocol::TCP, segment, 16)
    };
    let packets = bench.receive(&syn(NODE, 7777));
    let chain = Chain::parse(&packets[0]).unwrap();
    assert_eq!((chain.upper, packets[0][chain.upper_offset + 13] & 0x12), (protocol::TCP, 0x12));
    assert_eq!(chain.type2_routing.unwrap().home_address, HOME);
    let packets = bench.receive(&udp(PacketBuilder::new(CARE_OF, OTHER), 5000, 7, b"hello"));
    assert_eq!(packets[0][HEADER_LEN..HEADER_LEN + 2], [1, 4], "port unreachable");
}

#[test]
fn programs_behind_the_tun_see_the_home_address_alone() {
    let mut bench = Bench::new("correspondent-node.toml", &programs_file());
    let inside = udp(PacketBuilder::new(HOME, NODE), 5000, 6000, b"data");
    assert_eq!(bench.programs_receive(&inside).len(), 1, "from home, to the programs");
    bench.bind(1);
    let away = udp(PacketBuilder::new(CARE_OF, NODE).home_address(HOME), 5000, 6000, b"data");
    let [delivered] = &bench.programs_receive(&away)[..] else { panic!("not delivered once") };
    assert_eq!(delivered[8..], inside[8..]);
    let reply = udp(PacketBuilder::new(NODE, HOME), 6000, 5000, b"back");
    let [packet] = &bench.programs_send(&reply)[..] else { panic!("not sent once") };
    let expected = udp(PacketBuilder::new(NODE, CARE_OF).type2_routing(HOME), 6000, 5000, b"back");
    assert_eq!(packet[8..], expected[8..]);
    // The way to the care-of address is gone: errors that go on, and packets go home again.
    for _ in 0..3 {
        bench.pass(2);
        let error = PacketBuilder::new(ROUTER, NODE).icmpv6(1, 0, &[&[0; 4], &packet[..]].concat());
        bench.receive(&error);
    }
    let [packet] = &bench.programs_send(&reply)[..] else { panic!("not sent once") };
    assert_eq!(packet[8..], reply[8..]);
}

/// RFC 6275 §9.5.5, with the data plane that knows of the use.
#[test]
fn only_a_binding_that_carries_packets_is_refreshed() {
    for used in [false, true] {
        let mut bench = Bench::new("services.toml", SERVICES);
        bench.bind(1);
        bench.pass(300);
        if used {
            bench.receive(&udp(PacketBuilder::new(CARE_OF, NODE).home_address(HOME), 5000, 7, b"hello"));
        }
        let requests = bench.pass(60);
        assert_eq!(!requests.is_empty(), used);
        for request in requests {
            let options = MobilityOptions::default();
            assert_eq!(message_of(&request), (HOME, None, MobilityMessage::BindingRefreshRequest { options }));
        }
        bench.pass(60);
        assert_eq!(bench.worker.node().correspondent().unwrap().bindings().len(), 0, "its time is over");
    }
}

#[test]
fn a_flood_of_signalling_leaves_data_alone() {
    let mut bench = Bench::new("services.toml", SERVICES);
    bench.bind(1);
    let data = udp(PacketBuilder::new(CARE_OF, NODE).home_address(HOME), 5000, 7, b"hello");
    let mut echoed = 0;
    for number in 0..5000_u128 {
        let source = Ipv6Addr::from_bits((0x2001_0db8_0bad_u128 << 80) + number);
        let test =
            signalling(PacketBuilder::new(source, NODE), MobilityMessage::HomeTestInit { cookie: [0; 8] }.emit());
        bench.receive(&test);
        echoed += usize::from(number % 10 == 0 && !bench.receive(&data).is_empty());
    }
    assert_eq!(echoed, 500);
    let counters = *bench.worker.node().correspondent().unwrap().counters();
    assert!(counters.drop_test_rate_limit > 4000, "{counters:?}");
    assert_eq!(bench.worker.node().correspondent().unwrap().bindings().entries(), 1);
}

/// RFC 4449 §3: what was believed once is not believed again by a node that starts anew.
#[test]
fn the_numbers_of_preconfigured_keys_outlast_a_restart() {
    let directory = std::env::temp_dir().join(format!("drover-correspondent-{}", std::process::id()));
    let config = parse("correspondent-node.toml", &programs_file(), Path::new("")).unwrap();
    let shared = &config.correspondent_node.as_ref().unwrap().preconfigured_keys[0];
    let key = PreconfiguredKey {
        node_key: NodeKey::new(&shared.key).unwrap(),
        home_nonce: shared.home_nonce.clone(),
        care_of_nonce: shared.care_of_nonce.clone(),
    };
    let key = key.management_key(shared.home_address, CARE_OF);
    let update = |bench: &mut Bench, sequence: u16| {
        let update = BindingUpdate {
            sequence,
            flags: BindingUpdateFlags::ACKNOWLEDGE,
            lifetime: Lifetime(105),
            options: MobilityOptions::default(),
        };
        let builder = PacketBuilder::new(CARE_OF, NODE).home_address(shared.home_address);
        let packets = bench.receive(&signalling(builder, key.sign_update(update, CARE_OF, NODE)));
        match message_of(&packets[0]).2 {
            MobilityMessage::BindingAcknowledgement(answer) => (answer.status, answer.sequence),
            other => panic!("{other:?}"),
        }
    };
    {
        let (mut keeper, state) = Keeper::open(&directory, &config).unwrap();
        let mut bench = Bench::resume(&config, state);
        assert_eq!(update(&mut bench, 5), (Status::ACCEPTED, 5));
        keeper.keep(&bench.worker.node_mut().take_changes());
        assert!(bench.worker.node_mut().take_changes().is_empty());
    }
    let (keeper, state) = Keeper::open(&directory, &config).unwrap();
    let mut bench = Bench::resume(&config, state);
    let last = 5 + SEQUENCE_MARGIN;
    assert_eq!(update(&mut bench, 5), (Status::SEQUENCE_OUT_OF_WINDOW, last));
    assert_eq!(update(&mut bench, last + 1), (Status::ACCEPTED, last + 1));
    drop(keeper);
    std::fs::remove_dir_all(&directory).unwrap();
}
