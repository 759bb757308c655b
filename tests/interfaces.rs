//! A router whose interface changes while it runs: another MTU, another link-layer address.

use core::net::Ipv6Addr;
use drover::config::parse;
use drover::node::{DroverNode, fixed_clock};
use mma::secret::SecretRng;
use pim::wire::{Hello, Message};
use stack::addr::{ALL_NODES, ALL_PIM_ROUTERS, MacAddress};
use stack::host::port_info;
use stack::machine::PortId;
use stack::packet::Pool;
use stack::pipeline::Dataplane;
use stack::port::Medium;
use stack::port::mem::{MemEnd, MemPort};
use stack::runtime::Worker;
use stack::tables::Route;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ethernet;
use stack::wire::ipv6::{HEADER_LEN, Header, protocol};
use stack::wire::mld::{Record, RecordType, Report};
use stack::wire::nd::{self, NeighborSolicitation};
use std::path::Path;

const UP: PortId = PortId(0);
const RADIO: PortId = PortId(1);
const UP_MAC: MacAddress = MacAddress([2, 0, 0x5e, 0, 0, 1]);
const RADIO_MAC: MacAddress = MacAddress([2, 0, 0x5e, 0, 0, 2]);
const NEIGHBOR_MAC: MacAddress = MacAddress([2, 0, 0x5e, 0, 0, 9]);
/// The next router towards the source, and a host.
const NEIGHBOR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);
/// Of the router on UP, made of its link-layer address (RFC 4291 appendix A).
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5eff, 0xfe00, 1);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

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
        let (ports, ends) = MemPort::all(&infos);
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

/// The addresses stay, the link-local one too, which was made of the old link-layer address, as Linux has it: whoever
/// knows them goes on. The link is told where they are: three unsolicited advertisements for each, a second apart
/// (RFC 4861 §7.2.6).
#[test]
fn another_link_layer_address_keeps_the_addresses() {
    const NEW: MacAddress = MacAddress([2, 0, 0x5e, 7, 7, 7]);
    let mut bench = Bench::new("");
    let own = |bench: &Bench| {
        let addresses = bench.worker.node().ports();
        let routes: Vec<Ipv6Addr> = bench
            .worker
            .dataplane()
            .routes()
            .filter(|(prefix, route)| prefix.length() == 128 && *route == Route::Local)
            .map(|(prefix, _)| prefix.address())
            .collect();
        (addresses[0].link_local, routes)
    };
    let before = own(&bench);
    assert_eq!((before.0, before.1.contains(&LINK_LOCAL), before.1.contains(&GLOBAL)), (LINK_LOCAL, true, true));
    bench.sent(UP);
    bench.end(UP).set_link_address(NEW);
    bench.worker.iterate(bench.now);
    for round in 0..4 {
        let mut announced = Vec::new();
        for (source, packet) in bench.sent(UP) {
            assert_eq!(source, NEW);
            let Ok(nd::Opened { message: nd::Message::NeighborAdvertisement(said), destination, .. }) =
                nd::open(&packet)
            else {
                continue;
            };
            assert_eq!((destination, said.solicited, said.override_cached), (ALL_NODES, false, true));
            assert_eq!((said.router, said.target_link_address), (true, Some(NEW)));
            announced.push(said.target);
        }
        announced.sort();
        let expected = if round < 3 { vec![GLOBAL, LINK_LOCAL] } else { Vec::new() };
        assert_eq!(announced, expected, "after {round} s");
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(own(&bench), before);
    // Who asks for the old address is told the new place.
    let solicitation = nd::Message::NeighborSolicitation(NeighborSolicitation {
        target: LINK_LOCAL,
        source_link_address: Some(NEIGHBOR_MAC),
        nonce: None,
        other: Vec::new(),
    });
    bench.receive(UP, NEW, &solicitation.packet(NEIGHBOR, LINK_LOCAL));
    let answers: Vec<_> = bench
        .sent(UP)
        .iter()
        .filter_map(|(_, packet)| match nd::open(packet).ok()?.message {
            nd::Message::NeighborAdvertisement(said) => Some((said.target, said.target_link_address)),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [(LINK_LOCAL, Some(NEW))]);
}
