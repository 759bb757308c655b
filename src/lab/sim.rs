//! A lab on a virtual clock: the same nodes, their ports in memory, smoltcp hosts in place of kernels.

use super::observe::{self, FlowSeen, MoveSeen, Observations, StageSeen, Wire};
use super::report::Check;
use super::script::{Signals, Step, script};
use crate::config::lab::{Endpoint, FlowKind, Lab, LabLinkKind, LinkIndex, NodeIndex};
use crate::config::resolved::{Attachment, NodeConfig, PortConfig};
use crate::node::{self, DroverNode, NodeEvent, Remaining, Service, remaining};
use ::ha::mobile;
use ::mma::secret::SecretRng;
use anyhow::{Context, Result, bail};
use stack::addr::MacAddress;
use stack::host::{FlowId, HostConfig, PingConfig, Role, SimHost, StreamConfig, StreamKey};
use stack::machine::PortId;
use stack::packet::Pool;
use stack::pipeline::Dataplane;
use stack::port::mem::{MemEnd, MemPort};
use stack::port::{LinkState, Medium, Port, PortInfo};
use stack::runtime::Worker;
use stack::sim::{Boot, Built, Detach, LinkConfig, LinkId, Network, NodeId};
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::Path;

/// Frames of a node's pool.
const POOL_FRAMES: u32 = 4096;
/// What links of the simulation carry: an Ethernet's.
const LINK_MTU: usize = 1500;
/// What programs behind a terminal's TUN device may send, so that two tunnels around it still fit.
const PROGRAM_MTU: usize = 1400;
/// Time for what is under way to arrive after traffic has ended.
const DRAIN: Duration = Duration::from_secs(2);
/// How often events are taken from the nodes.
const TICK: Duration = Duration::from_millis(100);
/// UDP port of streams, and TCP port of transfers; each flow has its own, counted up from here.
const FIRST_PORT: u16 = 5001;

/// The simulated lab, ready to run.
pub struct SimLab<'a> {
    lab: &'a Lab,
    network: Network,
    nodes: Vec<NodeId>,
    /// The programs behind each node's TUN device.
    programs: BTreeMap<NodeIndex, NodeId>,
    hosts: Vec<NodeId>,
    links: Vec<LinkId>,
    stages: Vec<StageSeen>,
}

/// How a flow of the lab is known to its two ends.
enum Running {
    Ping(NodeId, FlowId),
    Stream { from: NodeId, id: FlowId, to: NodeId, port: u16, key: StreamKey },
    Transfer { from: NodeId, sender: FlowId, to: NodeId, receiver: FlowId },
}

impl<'a> SimLab<'a> {
    /// Builds the topology; terminals are attached to the links where they start.
    pub fn new(lab: &'a Lab, seed: u64) -> Result<Self> {
        let mut network = Network::new(seed);
        let links: Vec<LinkId> = lab
            .links
            .iter()
            .map(|link| {
                let config = match link.kind {
                    LabLinkKind::PointToPoint => LinkConfig::point_to_point(link.delay),
                    LabLinkKind::Lan => LinkConfig::lan(link.delay),
                };
                let config = LinkConfig { jitter: link.jitter, loss_ppm: link.loss_ppm, ..config };
                network.add_link(link.name.clone(), config)
            })
            .collect();
        let mut nodes = Vec::new();
        let mut programs = BTreeMap::new();
        for (index, node) in lab.nodes.iter().enumerate() {
            let config = node.config.clone();
            // Built once here, so that what is wrong is said and not found out when the clock runs.
            build(&config, index, Boot { seed, now: Instant::ORIGIN, restarts: 0 })
                .with_context(|| format!("node {}", node.name))?;
            let id = network.add_node(node.name.clone(), move |boot| {
                build(&config, index, boot).expect("the same configuration was built before")
            });
            for (port, link) in node.links.iter().enumerate() {
                let Some(link) = link else { continue };
                if node.config.mobile_terminal.is_none() || node.start == Some(*link) {
                    network.attach(id, PortId(port as u8), links[link.0])?;
                }
            }
            if let Some((tun, address)) = node.programs() {
                let mtu = program_mtu(node.config.port(tun));
                let host = network.add_node(format!("{}-programs", node.name), move |boot| {
                    let info = port_info("programs", Medium::Ip, MacAddress::default(), mtu);
                    let config = HostConfig { address, prefix_length: 128, gateway: None, seed: boot.seed };
                    let (host, end) = SimHost::in_memory(info, &config).expect("memory for a host's frames");
                    Built::new(host, vec![end])
                });
                let wire =
                    network.add_link(format!("{}-tun", node.name), LinkConfig { capture: false, ..LinkConfig::tun() });
                network.attach(id, tun, wire)?;
                network.attach(host, PortId(0), wire)?;
                programs.insert(NodeIndex(index), host);
            }
            nodes.push(id);
        }
        let mut hosts = Vec::new();
        for (index, host) in lab.hosts.iter().enumerate() {
            let (address, gateway) = (host.address, host.gateway);
            let mac = mac(lab.nodes.len() + index, 0);
            let id = network.add_node(host.name.clone(), move |boot| {
                let config = HostConfig {
                    address: address.address,
                    prefix_length: address.prefix.length(),
                    gateway: Some(gateway),
                    seed: boot.seed,
                };
                let (host, end) = SimHost::in_memory(port_info("eth0", Medium::Ethernet, mac, PROGRAM_MTU), &config)
                    .expect("memory for a host's frames");
                Built::new(host, vec![end])
            });
            network.attach(id, PortId(0), links[host.link.0])?;
            hosts.push(id);
        }
        Ok(SimLab { lab, network, nodes, programs, hosts, links, stages: Vec::new() })
    }

    /// The network, to look at it.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to disturb it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The worker of a node.
    pub fn worker(&self, node: NodeIndex) -> Option<&Worker<DroverNode>> {
        self.network.node(self.nodes[node.0])
    }

    /// Which node of the network a node of the lab is.
    pub fn node_id(&self, node: NodeIndex) -> NodeId {
        self.nodes[node.0]
    }

    /// Which link of the network a link of the lab is.
    pub fn link_id(&self, link: LinkIndex) -> LinkId {
        self.links[link.0]
    }

    /// Lets time go on to `until`.
    pub fn run_until(&mut self, until: Instant) -> Result<()> {
        while self.network.now() < until {
            let next = (self.network.now() + TICK).min(until);
            self.network.run_until(next)?;
            self.take_events();
        }
        Ok(())
    }

    fn take_events(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(worker) = self.network.node_mut::<Worker<DroverNode>>(self.nodes[index]) else { continue };
            while let Some(event) = worker.poll_event() {
                if let NodeEvent::Terminal(mobile::Event::HandoverStage { at, stage }) = event {
                    self.stages.push(StageSeen { terminal: NodeIndex(index), at, stage: stage.name() });
                }
            }
        }
    }

    /// Attaches a terminal's port, or takes it off its link.
    pub fn set_attached(&mut self, terminal: NodeIndex, link: LinkIndex, attached: bool) -> Result<()> {
        let port = self.lab.nodes[terminal.0].port_on(link).context("the terminal has no port on that link")?;
        let node = self.nodes[terminal.0];
        if !attached {
            self.network.detach(node, port, Detach::SeenHere);
        } else if self.network.link_of(node, port).is_none() {
            self.network.attach(node, port, self.links[link.0])?;
        }
        Ok(())
    }

    /// Tells a terminal the signal of the port that is on this link.
    pub fn set_signal(&mut self, terminal: NodeIndex, link: LinkIndex, dbm: i16) -> Result<()> {
        let port = self.lab.nodes[terminal.0].port_on(link).context("the terminal has no port on that link")?;
        let now = self.network.now();
        if let Some(worker) = self.network.node_mut::<Worker<DroverNode>>(self.nodes[terminal.0]) {
            worker.node_mut().set_signal(now, port, Some(dbm));
        }
        Ok(())
    }

    /// Tells a terminal that it is about to go to this access router; whether there was one to tell.
    pub fn hand_over(&mut self, terminal: NodeIndex, router: Ipv6Addr) -> Result<bool> {
        let now = self.network.now();
        let worker = self.network.node_mut::<Worker<DroverNode>>(self.nodes[terminal.0]);
        Ok(worker.context("the terminal does not run")?.node_mut().hand_over(now, router))
    }

    /// Takes a node out of service, or back into it; what it still carries, or nothing where terminals do not use it.
    pub fn set_service(&mut self, node: NodeIndex, service: Service) -> Result<Option<Remaining>> {
        let now = self.network.now();
        let worker =
            self.network.node_mut::<Worker<DroverNode>>(self.nodes[node.0]).context("the node does not run")?;
        Ok(worker.node_mut().set_service(now, service).then(|| remaining(worker)))
    }

    /// The bindings of every agent, without what changes by itself.
    pub fn bindings(&self) -> BTreeMap<String, serde_json::Value> {
        let agents = (0..self.nodes.len()).map(NodeIndex).filter(|node| {
            let config = &self.lab.nodes[node.0].config;
            config.mma.is_some() || config.home_agent.is_some()
        });
        let tables = agents
            .filter_map(|node| Some((self.lab.nodes[node.0].name.clone(), node::stable_bindings(self.worker(node)?))));
        tables.collect()
    }

    /// Carries out one step of the script.
    pub fn take_step(&mut self, step: &Step) -> Result<()> {
        match *step {
            Step::Attach { terminal, link } => self.set_attached(terminal, link, true),
            Step::Detach { terminal, link } => self.set_attached(terminal, link, false),
            Step::Signal { terminal, link, dbm } => self.set_signal(terminal, link, dbm),
            // Where there is nobody to tell the movement is as it would be without.
            Step::HandOver { terminal, to } => self.hand_over(terminal, to).map(|_| ()),
            Step::MoveMade { .. } | Step::Snapshot => Ok(()),
        }
    }

    /// Runs the whole lab: settles, starts the traffic, makes the movements, waits for what is under way.
    pub(crate) fn run(mut self, captures: Option<&Path>) -> Result<Observations> {
        let started = Instant::ORIGIN + self.lab.settle;
        for &terminal in &self.lab.terminals().collect::<Vec<_>>() {
            if let Some(start) = self.lab.nodes[terminal.0].start {
                self.set_signal(terminal, start, Signals::NEAR)?;
            }
        }
        self.run_until(started)?;
        let running = self.start_traffic(started)?;
        let mut moves = Vec::new();
        let mut bindings = Vec::new();
        for (at, step) in script(self.lab) {
            self.run_until(started + at)?;
            match step {
                Step::MoveMade { .. } => moves.push(MoveSeen::new(self.network.now())),
                Step::Snapshot => bindings.push(self.bindings()),
                _ => self.take_step(&step)?,
            }
            if let Step::Attach { terminal, .. } = step {
                observe::link_made(self.lab, &mut moves, terminal, self.network.now());
            }
        }
        let ended = started + self.lab.duration;
        self.run_until(ended)?;
        bindings.push(self.bindings());
        self.run_until(ended + DRAIN)?;
        let findings = self.findings();
        let last_move = moves.last().map_or(started, |last| last.at);
        let alive_since = last_move.max(started + (self.lab.duration - observe::closing_part(self.lab)));
        let flows = running.iter().map(|flow| self.flow_seen(flow, alive_since)).collect::<Result<_>>()?;
        let mut wire = Wire::default();
        for captured in self.network.capture().frames() {
            if let Some(link) = self.links.iter().position(|&link| link == captured.link) {
                wire.note(captured.at, LinkIndex(link), &captured.frame);
            }
        }
        wire.sort();
        if let Some(directory) = captures {
            self.write_captures(directory)?;
        }
        Ok(Observations { started, ended, moves, flows, wire, bindings, stages: self.stages, findings })
    }

    fn start_traffic(&mut self, start: Instant) -> Result<Vec<Running>> {
        let lab = self.lab;
        let mut running = Vec::new();
        for (index, flow) in lab.flows.iter().enumerate() {
            let (from, to) = (self.endpoint(flow.from)?, self.endpoint(flow.to)?);
            let (source, destination) = (lab.address_of(flow.from), lab.address_of(flow.to));
            let port = FIRST_PORT + u16::try_from(index).context("too many flows")?;
            let count = |rate: u32| (lab.duration.as_secs_f64() * f64::from(rate)) as u64;
            running.push(match flow.kind {
                FlowKind::Ping { rate_pps, payload_len } => {
                    let interval = Duration::from_secs(1) / rate_pps;
                    let payload = usize::from(payload_len);
                    let config = PingConfig { destination, start, interval, count: count(rate_pps), payload };
                    Running::Ping(from, self.host_mut(from)?.ping(config))
                }
                FlowKind::Udp { rate_pps, payload_len } => {
                    self.host_mut(to)?.receive_streams(port);
                    let stream = index as u32;
                    let id = self.host_mut(from)?.send_stream(StreamConfig {
                        destination,
                        port,
                        stream,
                        start,
                        interval: Duration::from_secs(1) / rate_pps,
                        count: count(rate_pps),
                        octets: usize::from(payload_len),
                    });
                    Running::Stream { from, id, to, port, key: StreamKey { source, stream } }
                }
                FlowKind::Tcp { rate_kbps } => {
                    let receiver = self.host_mut(to)?.serve_transfer(port, Role::Receive);
                    let octets_per_sec = rate_kbps.map(|kbps| u64::from(kbps) * 125);
                    let role = Role::Stream { octets_per_sec, until: start + lab.duration };
                    let sender = self.host_mut(from)?.start_transfer(destination, port, role, start);
                    Running::Transfer { from, sender, to, receiver }
                }
            });
        }
        Ok(running)
    }

    fn endpoint(&self, endpoint: Endpoint) -> Result<NodeId> {
        match endpoint {
            Endpoint::Host(host) => Ok(self.hosts[host.0]),
            Endpoint::Node(terminal) => {
                let programs = self.programs.get(&terminal).copied();
                programs.context("a flow to a node needs a port of kind \"tun\" there")
            }
        }
    }

    fn host_mut(&mut self, node: NodeId) -> Result<&mut SimHost> {
        self.network.node_mut(node).context("a host is missing")
    }

    fn host(&self, node: NodeId) -> Result<&SimHost> {
        self.network.node(node).context("a host is missing")
    }

    fn flow_seen(&self, flow: &Running, alive_since: Instant) -> Result<FlowSeen> {
        Ok(match *flow {
            Running::Ping(host, id) => FlowSeen::Packets(self.host(host)?.ping_flow(id).clone()),
            Running::Stream { from, id, to, port, key } => {
                let sent = self.host(from)?.sent_stream(id);
                let received = self.host(to)?.received_stream(port, key).cloned().unwrap_or_default();
                FlowSeen::Packets(stack::host::Flow::join(sent, &received))
            }
            Running::Transfer { from, sender, to, receiver } => {
                let (sent, received) = (self.host(from)?.transfer(sender), self.host(to)?.transfer(receiver));
                FlowSeen::Transfer {
                    sent: sent.octets,
                    received: received.octets,
                    // On a lossy path the end may still be under way; what counts is that it goes on to the end.
                    survived: sent.survived()
                        && received.survived()
                        && received.progress.last().is_some_and(|last| last.at >= alive_since),
                }
            }
        })
    }

    fn findings(&self) -> Vec<Check> {
        let lost = self.network.unaccounted_frames();
        let unbalanced: Vec<&str> = (0..self.nodes.len())
            .filter(|&node| self.worker(NodeIndex(node)).is_some_and(|w| !w.dataplane().counters().is_balanced()))
            .map(|node| self.lab.nodes[node].name.as_str())
            .collect();
        vec![
            Check {
                name: "no node loses track of a frame".to_owned(),
                ok: lost.is_empty(),
                detail: if lost.is_empty() { "all accounted for".to_owned() } else { format!("{lost:?}") },
            },
            Check {
                name: "every packet ends once".to_owned(),
                ok: unbalanced.is_empty(),
                detail: if unbalanced.is_empty() { "counters balance".to_owned() } else { unbalanced.join(", ") },
            },
        ]
    }

    fn write_captures(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        for (link, id) in self.lab.links.iter().zip(&self.links) {
            let path = directory.join(format!("{}.pcap", link.name));
            let file = std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
            self.network.capture().write_pcap(*id, std::io::BufWriter::new(file))?;
        }
        Ok(())
    }
}

/// What the link-layer addresses of a lab begin with.
const MAC_PREFIX: [u8; 4] = [0x02, 0, 0x5e, 0x20];

/// The link-layer address of a port in a lab.
pub(super) fn mac(node: usize, port: usize) -> MacAddress {
    let [a, b, c, d] = MAC_PREFIX;
    MacAddress([a, b, c, d, node as u8, port as u8])
}

/// The node that has this link-layer address, by its number.
pub(super) fn mac_owner(address: MacAddress) -> Option<u8> {
    let [prefix @ .., node, _] = address.0;
    (prefix == MAC_PREFIX).then_some(node)
}

fn port_info(name: &str, medium: Medium, link_address: MacAddress, mtu: usize) -> PortInfo {
    PortInfo {
        name: name.to_owned(),
        kind: "mem",
        mode: "memory".to_owned(),
        medium,
        link_address,
        mtu,
        link: LinkState::Up,
        xdp: None,
    }
}

/// What programs behind a TUN device may send.
fn program_mtu(port: &PortConfig) -> usize {
    port.mtu.map_or(PROGRAM_MTU, usize::from)
}

/// A node as it starts, and the far ends of its ports.
fn build(config: &NodeConfig, index: usize, boot: Boot) -> Result<Built> {
    let pool = Pool::new(POOL_FRAMES)?;
    let mut infos = Vec::new();
    let mut ports: Vec<Box<dyn Port>> = Vec::new();
    let mut ends: Vec<MemEnd> = Vec::new();
    for (number, port) in config.ports.iter().enumerate() {
        let info = match port.attachment {
            Attachment::Tun { .. } => port_info(&port.name, Medium::Ip, MacAddress::default(), program_mtu(port)),
            Attachment::Link { .. } => {
                let mtu = port.mtu.map_or(LINK_MTU, usize::from);
                port_info(&port.name, Medium::Ethernet, mac(index, number), mtu)
            }
            Attachment::AfXdp { .. } | Attachment::AfPacket { .. } => {
                bail!("port {} is on an interface; in a lab ports are on links", port.name)
            }
        };
        let (port, end) = MemPort::new(info.clone());
        infos.push(info);
        ports.push(Box::new(port));
        ends.push(end);
    }
    let node = DroverNode::new(config, &infos, boot.seed, SecretRng::simulated(boot.seed), node::fixed_clock())?;
    let dataplane = Dataplane::new(DroverNode::dataplane_config(config, boot.seed), pool, &infos);
    Ok(Built::new(Worker::new(dataplane, node, ports), ends))
}
