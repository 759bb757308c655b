//! Hosts talk through routers: the worker, the data plane and neighbour discovery as they run on real machines, on the
//! simulated network.
//!
//! ```text
//!   left ──lan── r1 ──── r2 ──lan── right
//! ```

#[path = "../../fuzz/properties/mutate.rs"]
#[allow(dead_code, reason = "shared with tests that use other parts of it")]
mod mutate;

use core::net::Ipv6Addr;
use stack::addr::{MacAddress, Prefix, Scope, is_link_local};
use stack::host::{Flow, HostConfig, PingConfig, Role, SimHost, StreamConfig, StreamKey, TransferState, port_info};
use stack::inspect::Kind;
use stack::machine::{Machine, Notice, Output, Outputs, PortId, RxMeta};
use stack::nd::NeighborDiscovery;
use stack::nd::neighbor::{self, Command, Dad, Delivery};
use stack::node::Node;
use stack::packet::Pool;
use stack::pipeline::{Dataplane, DataplaneConfig};
use stack::port::mem::{MemEnd, MemPort};
use stack::port::{Medium, Port};
use stack::rng::Rng;
use stack::runtime::Worker;
use stack::sim::{Built, LinkConfig, LinkId, Network, NodeId, SimNode, check};
use stack::tables::{Route, TableUpdate};
use stack::time::{Duration, Instant};

const P0: PortId = PortId(0);
const P1: PortId = PortId(1);
const MS: Duration = Duration::from_millis(1);
const LEFT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
const RIGHT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
const FRAMES: u32 = 512;

/// Routes and neighbour discovery, nothing else.
struct StaticRouter {
    nd: NeighborDiscovery,
    outputs: Outputs<()>,
}

impl StaticRouter {
    fn new(seed: u64, addresses: &[(PortId, Ipv6Addr)], routes: &[(Prefix, Route)], macs: &[MacAddress]) -> Self {
        let ports = (0..)
            .map(PortId)
            .zip(macs)
            .map(|(port, &mac)| neighbor::PortConfig::new(port, mac, neighbor::Role::Router));
        let config = neighbor::Config { seed, ports: ports.collect() };
        let mut router = StaticRouter { nd: NeighborDiscovery::new(config), outputs: Outputs::new() };
        for &(prefix, route) in routes {
            router.outputs.table(TableUpdate::RouteSet(prefix, route));
        }
        for &(port, address) in addresses {
            let add = Command::AddAddress { port, address, dad: Dad::Off, delivery: Delivery::Local };
            router.nd.handle_command(Instant::ORIGIN, add);
            if !is_link_local(address) {
                router.outputs.table(TableUpdate::RouteSet(Prefix::of_link(address), Route::OnLink(port)));
            }
        }
        router
    }
}

impl Node for StaticRouter {
    type Event = ();

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        self.nd.handle_packet(now, meta, packet);
    }

    fn handle_notice(&mut self, now: Instant, notice: Notice) {
        self.nd.handle_command(now, Command::Notice(notice));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.nd.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output<()>> {
        if let Some(output) = self.outputs.poll() {
            return Some(output);
        }
        match self.nd.poll_output()? {
            Output::Table(update) => Some(Output::Table(update)),
            Output::Transmit(transmit) => Some(Output::Transmit(transmit)),
            Output::Event(_) => Some(Output::Event(())),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.nd.poll_timeout()
    }
}

fn mac(node: u8, port: u8) -> MacAddress {
    MacAddress([2, 0, 0, 0, node, port])
}

fn link_local(node: u8, port: u8) -> Ipv6Addr {
    let identifier = mac(node, port).interface_identifier();
    stack::addr::with_interface_identifier(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), identifier)
}

/// A router with two ports: its own prefix on port 0, everything else behind the other router on port 1.
fn add_router(network: &mut Network, node: u8, own: u16, other: u8) -> NodeId {
    network.add_node(format!("r{node}"), move |boot| {
        let macs = [mac(node, 0), mac(node, 1)];
        let (ports, ends): (Vec<_>, Vec<_>) =
            macs.iter().map(|&mac| MemPort::new(port_info("eth", Medium::Ethernet, mac, 1500))).unzip();
        let infos: Vec<_> = ports.iter().map(|port| port.info().clone()).collect();
        let pool = Pool::new(FRAMES).unwrap();
        let config = DataplaneConfig { seed: boot.seed, ..DataplaneConfig::default() };
        let addresses = [
            (P0, Ipv6Addr::new(0x2001, 0xdb8, own, 0, 0, 0, 0, 1)),
            (P0, link_local(node, 0)),
            (P1, link_local(node, 1)),
        ];
        let default = Route::Via { port: P1, next_hop: link_local(other, 1) };
        let router = StaticRouter::new(boot.seed, &addresses, &[(Prefix::DEFAULT, default)], &macs);
        let ports = ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect();
        Built::new(Worker::new(Dataplane::new(config, pool, &infos), router, ports), ends)
    })
}

fn add_host(network: &mut Network, name: &str, node: u8, address: Ipv6Addr, gateway: Ipv6Addr) -> NodeId {
    network.add_node(name, move |boot| {
        let config = HostConfig { address, prefix_length: 64, gateway: Some(gateway), seed: boot.seed };
        let info = port_info("eth0", Medium::Ethernet, mac(node, 0), 1500);
        let (host, end) = SimHost::in_memory(info, &config).unwrap();
        Built::new(host, vec![end])
    })
}

struct Site {
    network: Network,
    left: NodeId,
    right: NodeId,
    routers: [NodeId; 2],
    /// Left LAN, middle, right LAN.
    links: [LinkId; 3],
}

fn site(seed: u64, middle: LinkConfig) -> Site {
    let mut network = Network::new(seed);
    let left = add_host(&mut network, "left", 1, LEFT, link_local(3, 0));
    let right = add_host(&mut network, "right", 2, RIGHT, link_local(4, 0));
    let routers = [add_router(&mut network, 3, 1, 4), add_router(&mut network, 4, 2, 3)];
    let links = [
        network.connect("left-lan", LinkConfig::lan(MS / 10), (left, P0), (routers[0], P0)).unwrap(),
        network.connect("middle", middle, (routers[0], P1), (routers[1], P1)).unwrap(),
        network.connect("right-lan", LinkConfig::lan(MS / 10), (right, P0), (routers[1], P0)).unwrap(),
    ];
    Site { network, left, right, routers, links }
}

impl Site {
    fn stream(&mut self, start: u64, count: u64) -> stack::host::FlowId {
        self.network.node_mut::<SimHost>(self.right).unwrap().receive_streams(5000);
        let config = StreamConfig {
            destination: RIGHT,
            port: 5000,
            stream: 1,
            start: Instant::from_millis(start),
            interval: MS,
            count,
            octets: 200,
        };
        self.network.node_mut::<SimHost>(self.left).unwrap().send_stream(config)
    }

    fn streamed(&self, id: stack::host::FlowId) -> Flow {
        let sent = self.network.node::<SimHost>(self.left).unwrap().sent_stream(id);
        let key = StreamKey { source: LEFT, stream: 1 };
        let received = self.network.node::<SimHost>(self.right).unwrap().received_stream(5000, key);
        Flow::join(sent, received.unwrap_or(&Flow::default()))
    }

    /// What has to hold after every run.
    fn check(&self) {
        let Site { network, links, .. } = self;
        let capture = network.capture();
        assert_eq!(network.unaccounted_frames(), []);
        assert_eq!(check::malformed(capture), []);
        assert_eq!(check::loops(capture, 1), []);
        assert_eq!(check::altered(capture, RIGHT, links[0], links[2]), []);
        assert_eq!(check::altered(capture, LEFT, links[2], links[0]), []);
        assert_eq!(check::scope_leaks(capture, Scope::SITE_LOCAL, |_| false), []);
        for router in self.routers {
            if let Some(worker) = network.node::<Worker<StaticRouter>>(router) {
                assert!(worker.dataplane().counters().is_balanced());
            }
        }
    }
}

#[test]
fn ping_crosses_two_routers() {
    let mut site = site(1, LinkConfig::point_to_point(4 * MS));
    let ping =
        PingConfig { destination: RIGHT, start: Instant::from_millis(10), interval: 50 * MS, count: 100, payload: 56 };
    let id = site.network.node_mut::<SimHost>(site.left).unwrap().ping(ping);
    site.network.run_until(Instant::from_secs(8)).unwrap();
    let flow = site.network.node::<SimHost>(site.left).unwrap().ping_flow(id);
    let last = |samples: &[stack::host::flow::Sample]| samples.last().unwrap().at;
    assert_eq!(last(flow.all_received()) - last(flow.all_sent()), Duration::from_micros(2 * 4200));
    let summary = flow.summary();
    // smoltcp drops a reply whose next hop it still has to resolve, once.
    assert!(summary.lost <= 1 && summary.duplicated == 0, "{summary:?}");
    let hops: Vec<u8> = site
        .network
        .capture()
        .on(site.links[2])
        .map(|captured| captured.describe())
        .filter(|description| matches!(description.kind, Kind::Echo { request: true, .. }))
        .map(|description| description.inner().unwrap().header.hop_limit)
        .collect();
    assert!(hops.len() >= 99 && hops.iter().all(|&hop_limit| hop_limit == 64 - 2));
    site.check();
}

#[test]
fn a_stream_loses_what_the_link_loses_and_no_more() {
    for seed in 0..10 {
        let config = LinkConfig { loss_ppm: 20_000, jitter: 3 * MS, ..LinkConfig::point_to_point(5 * MS) };
        let mut site = site(seed, config);
        // Address resolution holds four packets and no more: it is over before the stream begins.
        let (start, interval) = (Instant::ORIGIN, 500 * MS);
        let ping = PingConfig { destination: RIGHT, start, interval, count: 10, payload: 8 };
        site.network.node_mut::<SimHost>(site.left).unwrap().ping(ping);
        let id = site.stream(6000, 2000);
        site.network.run_until(Instant::from_secs(9)).unwrap();
        let summary = site.streamed(id).summary();
        let data = |link| {
            let described = site.network.capture().on(link).map(|c| (c.copies, c.describe()));
            described.filter(|(_, d)| matches!(d.kind, Kind::Data { destination: 5000, .. }))
        };
        let lost = data(site.links[1]).filter(|&(copies, _)| copies == 0).count() as u64;
        assert!(lost > 10);
        assert_eq!((summary.sent, summary.lost, summary.duplicated), (2000, lost, 0), "seed {seed}");
        assert!(summary.reordered > 0);
        assert_eq!(data(site.links[2]).count() as u64, summary.received);
        site.check();
    }
}

#[test]
fn tcp_survives_loss_a_break_and_a_router_that_restarts() {
    let config =
        LinkConfig { loss_ppm: 5_000, jitter: MS, rate_bps: Some(20_000_000), ..LinkConfig::point_to_point(5 * MS) };
    let mut site = site(9, config);
    let octets = 2_000_000;
    let served = site.network.node_mut::<SimHost>(site.right).unwrap().serve_transfer(80, Role::Send(octets));
    let host = site.network.node_mut::<SimHost>(site.left).unwrap();
    let started = host.start_transfer(RIGHT, 80, Role::Receive, Instant::from_millis(10));
    let [first, second] = site.routers;
    site.network.at(Instant::from_millis(500), move |network| network.restart(first));
    site.network.at(Instant::from_millis(1500), move |network| network.crash(second));
    site.network.at(Instant::from_millis(2500), move |network| network.restart(second));
    site.network.run_until(Instant::from_secs(120)).unwrap();
    for (host, id) in [(site.left, started), (site.right, served)] {
        let report = site.network.node::<SimHost>(host).unwrap().transfer(id);
        assert_eq!((report.state, report.octets, report.corrupt), (TransferState::Finished, octets, 0));
    }
    site.check();
}

#[test]
fn an_interruption_is_as_long_as_the_break() {
    let mut site = site(4, LinkConfig::point_to_point(MS));
    let id = site.stream(100, 3000);
    let middle = site.links[1];
    site.network.at(Instant::from_millis(1000), move |network| network.partition([NodeId(0), NodeId(2)]));
    site.network.at(Instant::from_millis(1300), |network| network.heal());
    site.network.run_until(Instant::from_secs(5)).unwrap();
    let flow = site.streamed(id);
    assert_eq!(flow.summary().lost, 300);
    let (at, window) = (Instant::from_millis(1000), Duration::from_secs(1));
    assert_eq!(flow.interruption(at, window, MS), 300 * MS);
    assert_eq!(site.network.link_counters(middle).partitioned, 300);
    site.check();
}

#[test]
fn the_same_seed_is_the_same_run_with_routers() {
    let run = |seed| {
        let mut site = site(seed, LinkConfig { loss_ppm: 50_000, jitter: MS, ..LinkConfig::point_to_point(MS) });
        site.stream(0, 500);
        site.network.run_until(Instant::from_secs(20)).unwrap();
        let mut octets = Vec::new();
        for link in site.links {
            site.network.capture().write_pcap(link, &mut octets).unwrap();
        }
        octets
    };
    let first = run(1);
    assert!(first == run(1), "two runs of a seed differ");
    assert!(first != run(2), "the seed changes nothing");
}

/// Sends mutants of what it hears, and of what it was given to begin with.
struct Attacker {
    port: MemPort,
    pool: Pool,
    heard: Vec<Vec<u8>>,
    rng: Rng,
    next: Instant,
    until: Instant,
}

impl Attacker {
    const HEARD: usize = 256;
    const INTERVAL: Duration = Duration::from_micros(500);

    fn new(seed: u64, until: Instant) -> (Self, MemEnd) {
        let (port, end) = MemPort::new(port_info("eth0", Medium::Ethernet, mac(9, 0), 1500));
        let pool = Pool::new(FRAMES).unwrap();
        let (heard, rng) = (vec![vec![0xff; 60]], Rng::new(seed));
        (Attacker { port, pool, heard, rng, next: Instant::from_millis(1000), until }, end)
    }
}

impl SimNode for Attacker {
    fn iterate(&mut self, now: Instant) -> bool {
        let mut batch = stack::packet::Batch::new();
        let received = self.port.rx_batch(&self.pool, &mut batch);
        for packet in batch.drain(..) {
            let slot = self.rng.below(Self::HEARD as u64) as usize;
            if self.heard.len() < Self::HEARD {
                self.heard.push(packet.bytes().to_vec());
            } else {
                self.heard[slot] = packet.bytes().to_vec();
            }
        }
        if now < self.next || now >= self.until {
            return received > 0;
        }
        self.next = now + Self::INTERVAL;
        let heard = &self.heard[self.rng.below(self.heard.len() as u64) as usize];
        let frame = mutate::mutate(&mut self.rng, heard);
        batch.extend(self.pool.copy_of(&frame[..frame.len().min(1514)]));
        self.port.tx_batch(&mut batch);
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (self.next < self.until).then_some(self.next)
    }
}

#[test]
fn routers_outlive_a_hostile_neighbor() {
    for seed in 0..10 {
        let mut site = site(seed, LinkConfig::point_to_point(MS));
        // A hub, so that the attacker hears everything.
        site.network.link_config_mut(site.links[0]).kind = stack::sim::LinkKind::Hub;
        let attacker = site.network.add_node("attacker", |boot| {
            let (attacker, end) = Attacker::new(boot.seed, Instant::from_secs(5));
            Built::new(attacker, vec![end])
        });
        site.network.attach(attacker, P0, site.links[0]).unwrap();
        let ping = |start| PingConfig { destination: RIGHT, start, interval: 20 * MS, count: 300, payload: 100 };
        site.network.node_mut::<SimHost>(site.left).unwrap().ping(ping(Instant::ORIGIN));
        site.network.run_until(Instant::from_secs(10)).unwrap();
        assert_eq!(site.network.unaccounted_frames(), []);
        // What it has made them believe of their neighbours is gone in two minutes.
        let later = Instant::from_secs(130);
        let id = site.network.node_mut::<SimHost>(site.left).unwrap().ping(ping(later));
        site.network.run_until(Instant::from_secs(145)).unwrap();
        let summary = site.network.node::<SimHost>(site.left).unwrap().ping_flow(id).summary();
        assert!(summary.received >= 299 && summary.duplicated == 0, "seed {seed}: {summary:?}");
        assert_eq!(site.network.unaccounted_frames(), []);
        for router in site.routers {
            let worker = site.network.node::<Worker<StaticRouter>>(router).unwrap();
            assert!(worker.dataplane().counters().is_balanced());
        }
    }
}
