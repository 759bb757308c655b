//! The simulated network and the hosts on it: links as configured, faults as scripted, the same run for the same seed.

use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::host::{HostConfig, PingConfig, Role, SimHost, StreamConfig, StreamKey, TransferState, port_info};
use stack::machine::PortId;
use stack::port::mem::MemEnd;
use stack::port::{LinkState, Medium};
use stack::sim::{Built, Detach, LinkConfig, LinkId, LinkKind, Network, NetworkError, NodeId, SimNode};
use stack::time::{Duration, Instant};

const P0: PortId = PortId(0);
const MS: Duration = Duration::from_millis(1);

fn address(host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, host)
}

fn mac(host: u16) -> MacAddress {
    let [high, low] = host.to_be_bytes();
    MacAddress([2, 0, 0, 0, high, low])
}

fn add_host(network: &mut Network, host: u16) -> NodeId {
    network.add_node(format!("h{host}"), move |boot| {
        let config = HostConfig { address: address(host), prefix_length: 64, gateway: None, seed: boot.seed };
        let (node, end) = SimHost::in_memory(port_info("eth0", Medium::Ethernet, mac(host), 1500), &config).unwrap();
        Built::new(node, vec![end])
    })
}

fn pair(seed: u64, config: LinkConfig) -> (Network, NodeId, NodeId, LinkId) {
    let mut network = Network::new(seed);
    let (a, b) = (add_host(&mut network, 1), add_host(&mut network, 2));
    let link = network.connect("ab", config, (a, P0), (b, P0)).unwrap();
    (network, a, b, link)
}

fn stream(to: u16, millis: u64, count: u64) -> StreamConfig {
    StreamConfig {
        destination: address(to),
        port: 5000,
        stream: 1,
        start: Instant::from_millis(millis),
        interval: MS,
        count,
        octets: 100,
    }
}

fn received(network: &Network, at: NodeId, from: u16) -> &stack::host::Flow {
    let host: &SimHost = network.node(at).unwrap();
    host.received_stream(5000, StreamKey { source: address(from), stream: 1 }).unwrap()
}

fn pcap(network: &Network) -> Vec<u8> {
    let mut octets = Vec::new();
    for link in network.links() {
        network.capture().write_pcap(link, &mut octets).unwrap();
    }
    octets
}

#[test]
fn ping_takes_two_delays() {
    let (mut network, a, b, _) = pair(1, LinkConfig::point_to_point(3 * MS));
    let ping =
        PingConfig { destination: address(2), start: Instant::from_secs(1), interval: 10 * MS, count: 50, payload: 56 };
    let id = network.node_mut::<SimHost>(a).unwrap().ping(ping);
    network.run_until(Instant::from_secs(4)).unwrap();
    let flow = network.node::<SimHost>(a).unwrap().ping_flow(id);
    let summary = flow.summary();
    // Address resolution holds the first requests for two delays, and no longer: nothing is lost.
    assert_eq!((summary.sent, summary.received, summary.duplicated), (50, 50, 0));
    let sent = flow.all_sent().last().unwrap();
    let answered = flow.all_received().last().unwrap();
    assert_eq!(answered.at - sent.at, 6 * MS);
    assert!(network.unaccounted_frames().is_empty());
    assert!(network.node::<SimHost>(b).unwrap().port_counters().rx_frames >= 51);
}

#[test]
fn loss_and_duplicates_are_as_configured() {
    let config = LinkConfig { loss_ppm: 100_000, duplicate_ppm: 50_000, ..LinkConfig::point_to_point(MS) };
    let (mut network, a, b, link) = pair(7, config);
    network.node_mut::<SimHost>(b).unwrap().receive_streams(5000);
    let id = network.node_mut::<SimHost>(a).unwrap().send_stream(stream(2, 0, 10_000));
    network.run_until(Instant::from_secs(12)).unwrap();
    let sent = network.node::<SimHost>(a).unwrap().sent_stream(id);
    let summary = stack::host::Flow::join(sent, received(&network, b, 1)).summary();
    assert_eq!(summary.sent, 10_000);
    assert!((900..1100).contains(&summary.lost), "{summary:?}");
    assert!((350..550).contains(&summary.duplicated), "{summary:?}");
    assert_eq!(summary.reordered, 0);
    let counters = network.link_counters(link);
    assert_eq!(counters.sent + counters.duplicated, counters.delivered + counters.lost);
}

#[test]
fn jitter_reorders() {
    let config = LinkConfig { jitter: 5 * MS, ..LinkConfig::point_to_point(MS) };
    let (mut network, a, b, _) = pair(7, config);
    network.node_mut::<SimHost>(b).unwrap().receive_streams(5000);
    let id = network.node_mut::<SimHost>(a).unwrap().send_stream(stream(2, 0, 1000));
    network.run_until(Instant::from_secs(3)).unwrap();
    let sent = network.node::<SimHost>(a).unwrap().sent_stream(id);
    let summary = stack::host::Flow::join(sent, received(&network, b, 1)).summary();
    assert_eq!((summary.lost, summary.duplicated), (0, 0));
    assert!(summary.reordered > 100, "{summary:?}");
    let delays: Vec<Duration> = received(&network, b, 1).delays().skip(20).collect();
    assert!(delays.iter().all(|delay| (MS..6 * MS).contains(delay)));
}

#[test]
fn a_rate_spreads_frames_and_bounds_the_queue() {
    // 162 octets a frame at 1 Mbit/s take 1.296 ms, one comes every 1 ms.
    let config = LinkConfig { rate_bps: Some(1_000_000), queue_frames: 10, ..LinkConfig::point_to_point(MS) };
    let (mut network, a, b, link) = pair(7, config);
    network.node_mut::<SimHost>(b).unwrap().receive_streams(5000);
    network.node_mut::<SimHost>(a).unwrap().send_stream(stream(2, 100, 1000));
    network.run_until(Instant::from_secs(3)).unwrap();
    assert!((200..260).contains(&network.link_counters(link).refused_queue), "{:?}", network.link_counters(link));
    let arrivals = received(&network, b, 1).all_received();
    let gaps = arrivals.windows(2).skip(50).map(|pair| pair[1].at - pair[0].at);
    assert_eq!(gaps.min().unwrap(), Duration::from_nanos(1_296_000));
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let config = LinkConfig { jitter: 3 * MS, loss_ppm: 20_000, duplicate_ppm: 10_000, ..LinkConfig::lan(MS) };
        let mut network = Network::new(seed);
        let lan = network.add_link("lan", config);
        let hosts: Vec<NodeId> = (1..=4).map(|host| add_host(&mut network, host)).collect();
        for &host in &hosts {
            network.attach(host, P0, lan).unwrap();
        }
        network.node_mut::<SimHost>(hosts[1]).unwrap().receive_streams(5000);
        network.node_mut::<SimHost>(hosts[0]).unwrap().send_stream(stream(2, 0, 500));
        network.node_mut::<SimHost>(hosts[3]).unwrap().serve_transfer(80, Role::Receive);
        let start = Instant::from_millis(20);
        network.node_mut::<SimHost>(hosts[2]).unwrap().start_transfer(address(4), 80, Role::Send(200_000), start);
        let victim = hosts[3];
        network.at(Instant::from_millis(700), move |network| network.restart(victim));
        network.run_until(Instant::from_secs(5)).unwrap();
        pcap(&network)
    };
    let first = run(5);
    assert!(first.len() > 200_000);
    assert!(first == run(5), "two runs of a seed differ");
    assert!(first != run(6), "the seed changes nothing");
}

#[test]
fn tcp_delivers_every_octet_over_a_bad_link() {
    for (role_a, role_b) in [(Role::Send(1_000_000), Role::Receive), (Role::Receive, Role::Send(1_000_000))] {
        let config = LinkConfig {
            loss_ppm: 10_000,
            duplicate_ppm: 5_000,
            jitter: MS,
            rate_bps: Some(50_000_000),
            ..LinkConfig::point_to_point(5 * MS)
        };
        let (mut network, a, b, link) = pair(3, config);
        let served = network.node_mut::<SimHost>(b).unwrap().serve_transfer(80, role_b);
        let started =
            network.node_mut::<SimHost>(a).unwrap().start_transfer(address(2), 80, role_a, Instant::from_millis(10));
        // A break of two seconds does not end a connection.
        network.at(Instant::from_millis(200), move |network| network.set_link(link, LinkState::Down));
        network.at(Instant::from_millis(2200), move |network| network.set_link(link, LinkState::Up));
        network.run_until(Instant::from_secs(60)).unwrap();
        for report in [
            network.node::<SimHost>(a).unwrap().transfer(started),
            network.node::<SimHost>(b).unwrap().transfer(served),
        ] {
            assert_eq!((report.state, report.octets, report.corrupt), (TransferState::Finished, 1_000_000, 0));
            assert!(report.survived() && report.ended > report.opened);
        }
    }
}

#[test]
fn a_refused_connection_is_broken() {
    let (mut network, a, _, _) = pair(3, LinkConfig::point_to_point(MS));
    let id =
        network.node_mut::<SimHost>(a).unwrap().start_transfer(address(2), 81, Role::Send(1), Instant::from_millis(5));
    network.run_until(Instant::from_secs(1)).unwrap();
    assert_eq!(network.node::<SimHost>(a).unwrap().transfer(id).state, TransferState::Broken);
}

/// A node that notes what comes and sends what it is told to.
struct Probe {
    end: Vec<stack::port::mem::MemPort>,
    pool: stack::packet::Pool,
    seen: Vec<(Instant, Vec<u8>)>,
    send: Vec<Vec<u8>>,
    link: Vec<(Instant, LinkState)>,
}

impl SimNode for Probe {
    fn iterate(&mut self, now: Instant) -> bool {
        use stack::port::Port;
        let mut batch = stack::packet::Batch::new();
        self.end[0].rx_batch(&self.pool, &mut batch);
        let received = batch.len();
        self.seen.extend(batch.drain(..).map(|packet| (now, packet.bytes().to_vec())));
        let state = self.end[0].info().link;
        if self.link.last().is_none_or(|&(_, last)| last != state) {
            self.link.push((now, state));
        }
        let sent = self.send.len();
        batch.extend(self.send.drain(..).map(|frame| self.pool.copy_of(&frame).unwrap()));
        self.end[0].tx_batch(&mut batch);
        received + sent > 0
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

fn add_probe(network: &mut Network, host: u16) -> NodeId {
    network.add_node(format!("p{host}"), move |_| {
        let info = port_info("eth0", Medium::Ethernet, mac(host), 1500);
        let (port, end): (_, MemEnd) = stack::port::mem::MemPort::new(info);
        let pool = stack::packet::Pool::new(256).unwrap();
        Built::new(Probe { end: vec![port], pool, seen: vec![], send: vec![], link: vec![] }, vec![end])
    })
}

fn frame(to: MacAddress, from: MacAddress) -> Vec<u8> {
    [&to.0[..], &from.0, &[0x86, 0xdd], &[0; 46]].concat()
}

fn send(network: &mut Network, from: NodeId, frame: Vec<u8>) {
    network.node_mut::<Probe>(from).unwrap().send.push(frame);
    network.run_for(10 * MS).unwrap();
}

fn seen(network: &mut Network, nodes: &[NodeId]) -> Vec<usize> {
    nodes.iter().map(|&node| core::mem::take(&mut network.node_mut::<Probe>(node).unwrap().seen).len()).collect()
}

#[test]
fn a_switch_learns_and_a_hub_does_not() {
    for (kind, learned) in [(LinkKind::Switch, vec![1, 0, 0]), (LinkKind::Hub, vec![1, 0, 1])] {
        let mut network = Network::new(0);
        let lan = network.add_link("lan", LinkConfig { kind, ..LinkConfig::lan(MS) });
        let nodes: Vec<NodeId> = (1..=3).map(|host| add_probe(&mut network, host)).collect();
        for &node in &nodes {
            network.attach(node, P0, lan).unwrap();
        }
        send(&mut network, nodes[1], frame(mac(1), mac(2)));
        assert_eq!(seen(&mut network, &nodes), [1, 0, 1]);
        send(&mut network, nodes[0], frame(mac(2), mac(1)));
        send(&mut network, nodes[1], frame(mac(1), mac(2)));
        assert_eq!(seen(&mut network, &nodes), [learned[0], 1, 2 * learned[2]]);
        send(&mut network, nodes[2], frame(MacAddress::BROADCAST, mac(3)));
        assert_eq!(seen(&mut network, &nodes), [1, 1, 0]);
        // Who leaves is forgotten, and found again behind another port.
        network.detach(nodes[1], P0, Detach::Seen);
        send(&mut network, nodes[0], frame(mac(2), mac(1)));
        assert_eq!(seen(&mut network, &nodes), [0, 0, 1]);
    }
}

#[test]
fn who_sees_a_port_leave() {
    for (how, at_both) in
        [(Detach::Seen, [true, true]), (Detach::SeenHere, [true, false]), (Detach::Silent, [false; 2])]
    {
        let mut network = Network::new(0);
        let nodes = [add_probe(&mut network, 1), add_probe(&mut network, 2)];
        let link = network.connect("ab", LinkConfig::point_to_point(5 * MS), (nodes[0], P0), (nodes[1], P0)).unwrap();
        network.run_for(MS).unwrap();
        network.node_mut::<Probe>(nodes[1]).unwrap().send.push(frame(mac(1), mac(2)));
        network.run_for(MS).unwrap();
        network.detach(nodes[0], P0, how);
        network.run_for(10 * MS).unwrap();
        assert_eq!(seen(&mut network, &nodes), [0, 0], "what was under way is lost");
        assert_eq!(network.link_counters(link).missed, 1);
        for (node, down) in nodes.into_iter().zip(at_both) {
            let last = network.node::<Probe>(node).unwrap().link.last().unwrap().1;
            assert_eq!(last == LinkState::Down, down, "{how:?}");
        }
        network.attach(nodes[0], P0, link).unwrap();
        network.run_for(10 * MS).unwrap();
        for node in nodes {
            assert_eq!(network.node::<Probe>(node).unwrap().link.last().unwrap().1, LinkState::Up);
        }
        send(&mut network, nodes[1], frame(mac(1), mac(2)));
        assert_eq!(seen(&mut network, &nodes), [1, 0]);
    }
}

#[test]
fn partitions_are_silent_and_heal() {
    let mut network = Network::new(0);
    let nodes = [add_probe(&mut network, 1), add_probe(&mut network, 2)];
    let link = network.connect("ab", LinkConfig::point_to_point(MS), (nodes[0], P0), (nodes[1], P0)).unwrap();
    network.partition([nodes[0]]);
    send(&mut network, nodes[0], frame(mac(2), mac(1)));
    network.heal();
    network.set_deaf(nodes[0], nodes[1], true);
    send(&mut network, nodes[0], frame(mac(2), mac(1)));
    send(&mut network, nodes[1], frame(mac(1), mac(2)));
    assert_eq!(seen(&mut network, &nodes), [1, 0]);
    network.set_deaf(nodes[0], nodes[1], false);
    send(&mut network, nodes[0], frame(mac(2), mac(1)));
    assert_eq!(seen(&mut network, &nodes), [0, 1]);
    assert_eq!(network.link_counters(link).partitioned, 2);
    assert_eq!(network.node::<Probe>(nodes[1]).unwrap().link.len(), 1, "no link state has changed");
}

#[test]
fn a_crashed_node_knows_nothing_when_it_returns() {
    let (mut network, a, b, link) = pair(1, LinkConfig::point_to_point(MS));
    network.node_mut::<SimHost>(b).unwrap().receive_streams(5000);
    network.node_mut::<SimHost>(a).unwrap().send_stream(stream(2, 0, 100));
    network.at(Instant::from_millis(50), move |network| network.crash(b));
    network.run_until(Instant::from_secs(2)).unwrap();
    assert!(!network.is_running(b) && network.node::<SimHost>(b).is_none());
    assert_eq!(network.link_counters(link).missed, 51);
    network.restart(b);
    network.run_for(MS).unwrap();
    assert_eq!(network.node::<SimHost>(b).unwrap().received_streams(5000).count(), 0);
}

/// Answers every frame at once.
struct Echo(Probe);

impl SimNode for Echo {
    fn iterate(&mut self, now: Instant) -> bool {
        let busy = self.0.iterate(now);
        self.0.send.extend(self.0.seen.drain(..).map(|(_, frame)| frame));
        busy
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn a_storm_without_delay_is_an_error_and_not_a_hang() {
    let mut network = Network::new(0);
    let nodes = [1, 2].map(|host| {
        network.add_node(format!("e{host}"), move |_| {
            let (port, end) = stack::port::mem::MemPort::new(port_info("e", Medium::Ethernet, mac(host), 1500));
            let pool = stack::packet::Pool::new(16).unwrap();
            let send = if host == 1 { vec![frame(mac(2), mac(1))] } else { vec![] };
            Built::new(Echo(Probe { end: vec![port], pool, seen: vec![], send, link: vec![] }), vec![end])
        })
    });
    network.connect("ab", LinkConfig::default(), (nodes[0], P0), (nodes[1], P0)).unwrap();
    let error = network.run_for(MS).unwrap_err();
    assert!(matches!(error, NetworkError::Storm { .. }), "{error}");
}

#[test]
fn refuses_what_cannot_be() {
    let (mut network, a, _, link) = pair(1, LinkConfig::default());
    assert!(matches!(network.attach(a, P0, link), Err(NetworkError::PortTaken { port: 0, .. })));
    assert!(matches!(network.attach(a, PortId(1), link), Err(NetworkError::NoSuchPort { port: 1, .. })));
    let c = add_host(&mut network, 3);
    assert!(matches!(network.attach(c, P0, link), Err(NetworkError::LinkFull { .. })));
    assert_eq!(network.find_node("h3"), Some(c));
}
