//! An access router on two wires: a router upstream on one, hosts and another router on the other.

use drover::admin::{Page, Query, Topic};
use drover::config::parse;
use drover::node::{self, DroverNode, fixed_clock};
use mma::secret::SecretRng;
use pim::wire::{Assert, Hello, MessageType};
use serde_json::Value;
use stack::addr::{ALL_PIM_ROUTERS, MacAddress};
use stack::host::port_info;
use stack::packet::Pool;
use stack::pipeline::Dataplane;
use stack::port::Medium;
use stack::port::mem::{MemEnd, MemPort};
use stack::runtime::Worker;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mld::{Record, RecordType, Report};
use stack::wire::{ethernet, ipv6};
use std::net::Ipv6Addr;
use std::path::Path;

/// The router upstream.
pub(crate) const UPSTREAM: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// Another router on the hosts' link, with a lower address than this one.
pub(crate) const BESIDE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
/// Behind the router upstream.
pub(crate) const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 5);

/// Its configuration but for `router`, which is a table of its own.
const FILE: &str = r#"
    [node]
    name = "a"
    [[port]]
    name = "core"
    interface = "eth0"
    addresses = ["2001:db8:200:2::2/64"]
    [[port]]
    name = "hosts"
    interface = "eth1"
    addresses = ["2001:db8:200:a::1/64"]
    [[route]]
    prefix = "2001:db8::/32"
    port = "core"
    via = "fe80::1"
    [[access_router.port]]
    name = "hosts"
    [access_router.port.mld]
    max_groups = 4096
    [router]
    spt_switchover = "never"
"#;

/// Where somebody is heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wire {
    Core,
    Hosts,
}

pub(crate) struct Bench {
    pub(crate) worker: Worker<DroverNode>,
    ends: Vec<MemEnd>,
    pub(crate) now: Instant,
}

impl Bench {
    /// With this appended to its file.
    pub(crate) fn new(more: &str) -> Self {
        let config = parse("a.toml", &format!("{FILE}{more}"), Path::new("")).unwrap_or_else(|error| panic!("{error}"));
        let mac = |last| MacAddress([2, 0, 0x5e, 0, 1, last]);
        let infos = ["core", "hosts"].map(|name| port_info(name, Medium::Ethernet, mac(name.len() as u8), 1500));
        let (ports, ends) = MemPort::all(&infos);
        let node = DroverNode::new(&config, &infos, 1, SecretRng::simulated(1), fixed_clock()).unwrap();
        let dataplane = Dataplane::new(DroverNode::dataplane_config(&config, 1), Pool::new(256).unwrap(), &infos);
        let mut bench = Bench { worker: Worker::new(dataplane, node, ports), ends, now: Instant::from_secs(1) };
        bench.worker.iterate(bench.now);
        bench
    }

    /// A packet comes in.
    pub(crate) fn receive(&mut self, wire: Wire, packet: &[u8]) {
        let destination = ipv6::Header::parse(packet).unwrap().destination;
        let link = ethernet::Header {
            destination: MacAddress::of_multicast(destination),
            source: MacAddress([2, 0, 0x5e, 0, 2, packet[23]]),
            ethertype: ethernet::ETHERTYPE_IPV6,
        };
        let mut frame = vec![0; ethernet::HEADER_LEN];
        link.emit(frame.first_chunk_mut().unwrap());
        frame.extend_from_slice(packet);
        assert!(self.ends[wire as usize].push(frame), "there is room");
        self.worker.iterate(self.now);
        self.ends.iter().for_each(|end| while end.pop().is_some() {});
    }

    fn pim(&mut self, wire: Wire, from: Ipv6Addr, kind: MessageType, body: impl FnOnce(&mut Vec<u8>)) {
        let mut message = vec![2 << 4 | kind.value(), 0, 0, 0];
        body(&mut message);
        let packet = PacketBuilder::new(from, ALL_PIM_ROUTERS).hop_limit(1).checksummed(protocol::PIM, message, 2);
        self.receive(wire, &packet);
    }

    /// A router says Hello.
    pub(crate) fn hello(&mut self, wire: Wire, from: Ipv6Addr, dr_priority: u32) {
        let hello =
            Hello { holdtime: Some(105), dr_priority: Some(dr_priority), generation_id: Some(7), ..Hello::default() };
        self.pim(wire, from, MessageType::Hello, |into| hello.emit(into));
    }

    /// The other router of the hosts' link says that it forwards there, by a link of its own.
    pub(crate) fn assert_against(&mut self, source: Ipv6Addr, group: Ipv6Addr) {
        let assert = Assert { group, source, rpt: false, metric_preference: 0, metric: 0 };
        self.pim(Wire::Hosts, BESIDE, MessageType::Assert, |into| assert.emit(into));
    }

    /// A host reports that it listens to a source of some groups, or to all sources.
    pub(crate) fn report(&mut self, host: u16, groups: impl Iterator<Item = Ipv6Addr>, source: Option<Ipv6Addr>) {
        let kind = if source.is_some() { RecordType::ChangeToInclude } else { RecordType::ChangeToExclude };
        let record = |group| Record { kind, group, sources: source.into_iter().collect() };
        let report = Report { records: groups.map(record).collect() };
        for packet in report.packets(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, host), 1500) {
            self.receive(Wire::Hosts, &packet);
        }
    }

    /// A datagram comes in.
    pub(crate) fn data(&mut self, wire: Wire, source: Ipv6Addr, group: Ipv6Addr) {
        let packet = PacketBuilder::new(source, group).hop_limit(9).payload(protocol::NONE, &[]);
        self.receive(wire, &packet);
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.worker.iterate(self.now);
        self.ends.iter().for_each(|end| while end.pop().is_some() {});
    }

    pub(crate) fn show(&self, query: impl Into<Query>) -> Page {
        node::show_query(&self.worker, self.now, query.into())
    }

    pub(crate) fn rows(&self, topic: Topic) -> Vec<Value> {
        node::show(&self.worker, self.now, topic).as_array().expect("a table").clone()
    }
}

/// A source-specific group.
pub(crate) fn group(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xff3e, 0, 0, 0, 0, 0, 0x8000, last)
}
