//! A router whose interface changes while it runs: another MTU.

use core::net::Ipv6Addr;
use drover::config::parse;
use drover::node::{DroverNode, fixed_clock};
use mma::secret::SecretRng;
use pim::wire::{Hello, Message};
use stack::addr::{ALL_PIM_ROUTERS, MacAddress};
use stack::host::port_info;
use stack::machine::PortId;
use stack::packet::Pool;
use stack::pipeline::Dataplane;
use stack::port::mem::{MemEnd, MemPort};
use stack::port::{Medium, Port};
use stack::runtime::Worker;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ethernet;
use stack::wire::ipv6::{HEADER_LEN, Header, protocol};
use stack::wire::mld::{Record, RecordType, Report};
use std::path::Path;

const UP: PortId = PortId(0);
const RADIO: PortId = PortId(1);
const UP_MAC: MacAddress = MacAddress([2, 0, 0x5e, 0, 0, 1]);
const RADIO_MAC: MacAddress = MacAddress([2, 0, 0x5e, 0, 0, 2]);
const NEIGHBOR_MAC: MacAddress = MacAddress([2, 0, 0x5e, 0, 0, 9]);
/// The next router towards the source, and a host.
const NEIGHBOR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);

const ACCESS_ROUTER: &str = r#"
    [node]
    name = "a"
    [[port]]
    name = "up"
    interface = "eth0"
    addresses = ["2001:db8:1::1/64"]
    point_to_point = true
    MTU
    [[port]]
    name = "radio"
    interface = "wlan0"
    addresses = ["2001:db8:2::1/64"]
    [[route]]
    prefix = "::/0"
    port = "up"
    via = "fe80::9"
    [router]
    [[router.port]]
    name = "up"
    hello_at_once = true
    [[access_router.port]]
    name = "radio"
"#;

struct Bench {
    worker: Worker<DroverNode>,
    ends: Vec<MemEnd>,
    now: Instant,
}

impl Bench {
    /// With this line in the file for the port on UP.
    fn new(line: &str) -> Self {
        let config =
            parse("a.toml", &ACCESS_ROUTER.replace("MTU", line), Path::new("")).unwrap_or_else(|e| panic!("{e}"));
        let infos =
            [("up", UP_MAC), ("radio", RADIO_MAC)].map(|(name, mac)| port_info(name, Medium::Ethernet, mac, 1500));
        let (ports, ends): (Vec<Box<dyn Port>>, Vec<MemEnd>) = infos
            .iter()
            .map(|info| {
                let (port, end) = MemPort::new(info.clone());
                (Box::new(port) as Box<dyn Port>, end)
            })
            .unzip();
        let node = DroverNode::new(&config, &infos, 1, SecretRng::simulated(1), fixed_clock()).unwrap();
        let plane = Dataplane::new(DroverNode::dataplane_config(&config, 1), Pool::new(256).unwrap(), &infos);
        let mut bench = Bench { worker: Worker::new(plane, node, ports), ends, now: Instant::from_secs(1) };
        bench.worker.iterate(bench.now);
        bench.pass(Duration::from_secs(2));
        bench
    }

    fn end(&self, port: PortId) -> &MemEnd {
        &self.ends[usize::from(port.0)]
    }

    fn receive(&mut self, port: PortId, destination: MacAddress, packet: &[u8]) {
        let link = ethernet::Header { destination, source: NEIGHBOR_MAC, ethertype: ethernet::ETHERTYPE_IPV6 };
        let mut frame = vec![0; ethernet::HEADER_LEN];
        link.emit(frame.first_chunk_mut().unwrap());
        frame.extend_from_slice(packet);
        assert!(self.end(port).push(frame));
        self.worker.iterate(self.now);
    }

    /// What has left, as (source of the frame, packet).
    fn sent(&mut self, port: PortId) -> Vec<(MacAddress, Vec<u8>)> {
        let frames = std::iter::from_fn(|| self.end(port).pop());
        frames
            .map(|frame| {
                let header = ethernet::Header::parse(&frame).unwrap();
                (header.source, frame[ethernet::HEADER_LEN..].to_vec())
            })
            .collect()
    }

    /// Time passes, and every timer runs in its time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.worker.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.worker.iterate(self.now);
        }
        self.now = end;
        self.worker.iterate(end);
    }
}

/// Joins leave in messages of the size that the link has, with the configuration's `mtu` as an upper bound.
#[test]
fn messages_are_packed_to_the_mtu_as_it_is() {
    for (line, limit) in [("", 1500), ("mtu = 1400", 1400)] {
        let mut bench = Bench::new(line);
        let hello = Hello { holdtime: Some(105), generation_id: Some(7), ..Hello::default() };
        // Version 2, type 0.
        let mut message = vec![0x20, 0, 0, 0];
        hello.emit(&mut message);
        let hello = PacketBuilder::new(NEIGHBOR, ALL_PIM_ROUTERS).hop_limit(1).checksummed(protocol::PIM, message, 2);
        bench.receive(UP, MacAddress::of_multicast(ALL_PIM_ROUTERS), &hello);
        bench.sent(UP);
        // What a report of 40 groups that nobody has asked for yet has the router send.
        let mut next = 0;
        let mut joins = |bench: &mut Bench| {
            let groups = (next..next + 40).map(|n: u16| Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, n));
            let one = |group| Record { kind: RecordType::AllowNewSources, group, sources: vec![SOURCE] };
            let report = Report { records: groups.map(one).collect() };
            next += 40;
            // Another host each time: one alone may not have so many.
            let host = Ipv6Addr::from_bits(NEIGHBOR.to_bits() + u128::from(next));
            for packet in report.packets(host, 1500) {
                bench.receive(RADIO, MacAddress::of_multicast(Header::parse(&packet).unwrap().destination), &packet);
            }
            let mut largest = 0;
            for (_, packet) in bench.sent(UP) {
                let header = Header::parse(&packet).unwrap();
                assert_eq!(header.next_header, protocol::PIM, "whole");
                let message = Message::parse(header.source, header.destination, &packet[HEADER_LEN..]).unwrap();
                assert!(matches!(message, Message::JoinPrune(_)));
                largest = largest.max(packet.len());
            }
            largest
        };
        let sizes = |limit: usize| limit - 100..=limit;
        let at_first = joins(&mut bench);
        assert!(sizes(limit).contains(&at_first), "{at_first}");
        bench.end(UP).set_mtu(1300);
        bench.worker.iterate(bench.now);
        let smaller = joins(&mut bench);
        assert!(sizes(1300).contains(&smaller), "{smaller}");
        assert_eq!(bench.worker.node().ports()[0].mtu, 1300);
        bench.end(UP).set_mtu(1500);
        bench.worker.iterate(bench.now);
        assert_eq!((joins(&mut bench), bench.worker.node().ports()[0].mtu), (at_first, limit));
    }
}
