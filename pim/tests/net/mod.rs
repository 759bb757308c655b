//! A small network on a virtual clock: routers, links of two or more ends, and MLD hosts. The multicast routes are kept in a
//! map; packets are walked through them at one instant, or fly and are told of as the data plane does ([`data`]).

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this module")]

pub mod data;
pub mod site;
pub mod ways;

use core::net::Ipv6Addr;
use pim::wire::{JoinPrune, Message};
use pim::{Command, Config, Event, Router};
use stack::addr::{MacAddress, Prefix};
use stack::machine::{Machine, Output, PortId, RxMeta, Via};
use stack::tables::{Accept, Mroute, MrouteKey, Route, TableUpdate, Watch};
use stack::time::{Duration, Instant};
use stack::wire::ext::Chain;
use stack::wire::ipv6::{Header, protocol};
use stack::wire::mld::{self, Record, RecordType, Report};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Time that a packet flies.
pub const DELAY: Duration = Duration::from_millis(1);

pub type NodeId = usize;
pub type LinkId = usize;

/// The link-local address of a port.
pub fn link_local(node: NodeId, port: PortId) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, node as u16 + 1, u16::from(port.0) + 1)
}

/// A packet that a router sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Instant,
    pub node: NodeId,
    pub port: PortId,
    pub packet: Vec<u8>,
}

impl Sent {
    /// The PIM message in it.
    pub fn pim(&self) -> Option<Message> {
        let header = Header::parse(&self.packet).unwrap();
        let message = &self.packet[40..];
        (header.next_header == protocol::PIM)
            .then(|| Message::parse(header.source, header.destination, message).unwrap())
    }

    /// The Join/Prune message in it.
    pub fn join_prune(&self) -> Option<JoinPrune> {
        match self.pim()? {
            Message::JoinPrune(message) => Some(message),
            _ => None,
        }
    }

    /// The MLD message in it.
    pub fn mld(&self) -> Option<mld::Message> {
        let opened = mld::open(&self.packet).ok()?;
        Some(mld::Message::parse(opened.message).unwrap())
    }
}

pub struct Node {
    pub router: Router,
    pub mroutes: BTreeMap<MrouteKey, Mroute>,
    pub link_groups: BTreeSet<(PortId, Ipv6Addr)>,
    /// The link-layer addresses of groups' only listeners.
    pub deliveries: BTreeMap<(PortId, Ipv6Addr), MacAddress>,
    pub events: Vec<Event>,
}

#[derive(Default)]
pub struct Link {
    pub ends: Vec<(NodeId, PortId)>,
    /// Ends that hear and say nothing.
    pub down: BTreeSet<NodeId>,
    pub hosts: Vec<Host>,
}

/// A host that listens to sources of groups, the unspecified address being all of them, and answers queries at once.
pub struct Host {
    pub address: Ipv6Addr,
    pub wants: BTreeMap<Ipv6Addr, BTreeSet<Ipv6Addr>>,
    pub is_silent: bool,
}

enum Delivery {
    Router(NodeId, PortId, Vec<u8>),
    /// A packet of a machine to an address of this node, by whatever port.
    Unicast(NodeId, Vec<u8>),
    Data(NodeId, data::From, data::Packet),
    /// A unicast packet, which goes on where the router is not its destination.
    Routed(NodeId, PortId, Vec<u8>),
    Hosts(LinkId, Vec<u8>),
}

#[derive(Default)]
pub struct Net {
    pub now: Instant,
    pub nodes: Vec<Node>,
    pub links: Vec<Link>,
    pub sent: Vec<Sent>,
    /// Packets that are lost although their link is up, by a test's choice.
    pub lose: Option<fn(&Sent) -> bool>,
    /// Packets of sources, where they are now and where they came.
    pub data: data::Data,
    /// Whose address it is.
    pub owners: BTreeMap<Ipv6Addr, NodeId>,
    /// The unicast routes that the nodes were told.
    routes: BTreeMap<(NodeId, Prefix), Route>,
    queue: BTreeMap<(Instant, u64), Delivery>,
    sequence: u64,
}

impl Net {
    pub fn add_node(&mut self, config: Config) -> NodeId {
        let node = Node {
            router: Router::new(config),
            mroutes: BTreeMap::new(),
            link_groups: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            events: Vec::new(),
        };
        self.nodes.push(node);
        self.drain(self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    pub fn add_link(&mut self, ends: &[(NodeId, PortId)]) -> LinkId {
        self.links.push(Link { ends: ends.to_vec(), ..Link::default() });
        self.links.len() - 1
    }

    pub fn add_host(&mut self, link: LinkId, address: Ipv6Addr) -> usize {
        self.links[link].hosts.push(Host { address, wants: BTreeMap::new(), is_silent: false });
        self.links[link].hosts.len() - 1
    }

    pub fn command(&mut self, node: NodeId, command: Command) {
        let now = self.now;
        if let Command::RouteSet(prefix, Route::Local) = command {
            self.owners.insert(prefix.address(), node);
        }
        match command {
            Command::RouteSet(prefix, route) => self.routes.insert((node, prefix), route),
            Command::RouteRemove(prefix) => self.routes.remove(&(node, prefix)),
            _ => None,
        };
        self.nodes[node].router.handle_command(now, command);
        self.drain(node);
    }

    /// All ports of all nodes come up.
    pub fn link_up_all(&mut self) {
        for link in 0..self.links.len() {
            for (node, port) in self.links[link].ends.clone() {
                self.command(node, Command::LinkUp(port));
            }
        }
    }

    /// The host starts or stops to listen, and says so.
    pub fn set_listening(&mut self, link: LinkId, host: usize, group: Ipv6Addr, source: Ipv6Addr, listens: bool) {
        let host = &mut self.links[link].hosts[host];
        let sources = host.wants.entry(group).or_default();
        let any = source.is_unspecified();
        let (changed, kind) = match listens {
            true if any => (sources.insert(source), RecordType::ChangeToExclude),
            true => (sources.insert(source), RecordType::AllowNewSources),
            false if any => (sources.remove(&source), RecordType::ChangeToInclude),
            false => (sources.remove(&source), RecordType::BlockOldSources),
        };
        host.wants.retain(|_, sources| !sources.is_empty());
        if changed && !host.is_silent {
            let sources = if any { Vec::new() } else { vec![source] };
            let records = vec![Record { kind, group, sources }];
            let address = host.address;
            self.report(link, address, records);
        }
    }

    /// A report leaves a host.
    pub fn report(&mut self, link: LinkId, host: Ipv6Addr, records: Vec<Record>) {
        for packet in (Report { records }).packets(host, 1500) {
            for (node, port) in self.links[link].ends.clone() {
                if !self.links[link].down.contains(&node) {
                    self.enqueue(Delivery::Router(node, port, packet.clone()));
                }
            }
        }
    }

    /// A packet out of nowhere reaches a router.
    pub fn inject(&mut self, node: NodeId, port: PortId, packet: &[u8]) {
        self.inject_from(node, port, None, packet);
    }

    /// The same with the source of its frame.
    pub fn inject_from(&mut self, node: NodeId, port: PortId, link_source: Option<MacAddress>, packet: &[u8]) {
        let meta = RxMeta { port, link_source, link_multicast: true, tunnel: None };
        let now = self.now;
        self.nodes[node].router.handle_packet(now, &meta, packet);
        self.drain(node);
    }

    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    pub fn run_until(&mut self, end: Instant) {
        while let Some(at) = self.next_event().filter(|&at| at <= end) {
            self.step(at);
        }
        self.now = end;
    }

    /// When something happens next.
    pub fn next_event(&self) -> Option<Instant> {
        let timeouts = self.nodes.iter().filter_map(|node| node.router.poll_timeout());
        timeouts.chain(self.queue.keys().next().map(|&(at, _)| at)).min()
    }

    /// Runs what happens at `at`.
    pub fn step(&mut self, at: Instant) {
        assert!(at >= self.now, "time runs backwards");
        self.now = at;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= at) {
            match entry.remove() {
                Delivery::Router(node, port, packet) => self.inject(node, port, &packet),
                Delivery::Unicast(node, packet) => self.inject(node, PortId(0), &packet),
                Delivery::Data(node, from, packet) => self.data_arrives(node, from, packet),
                Delivery::Routed(node, port, packet) => self.route(node, Some(port), packet),
                Delivery::Hosts(link, packet) => self.answer(link, &packet),
            }
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node].router.poll_timeout().is_some_and(|due| due <= at) {
                self.nodes[node].router.handle_timeout(at);
                assert!(self.nodes[node].router.poll_timeout().is_none_or(|due| due > at), "node {node} is stuck");
                self.drain(node);
            }
        }
    }

    pub fn mroute(&self, node: NodeId, key: MrouteKey) -> Option<Mroute> {
        self.nodes[node].mroutes.get(&key).copied()
    }

    /// Where a packet of `key` arrives when `node` originates it: how often on each link. (*,G) stands in where a node has
    /// no (S,G). Panics in a loop.
    pub fn walk(&self, node: NodeId, key: MrouteKey) -> BTreeMap<LinkId, usize> {
        let mut arrivals = BTreeMap::new();
        let mut frontier: VecDeque<(NodeId, Accept)> = VecDeque::from([(node, Accept::Local)]);
        let mut steps = 0;
        while let Some((node, from)) = frontier.pop_front() {
            steps += 1;
            assert!(steps < 10_000, "{key:?} runs in a loop at {:?}", self.now);
            let any_source = MrouteKey { source: Ipv6Addr::UNSPECIFIED, ..key };
            let found = self.mroute(node, key).or_else(|| self.mroute(node, any_source));
            let is_own = |mroute: &Mroute| from == Accept::Local && mroute.accept == Accept::RendezvousPoint;
            let Some(mroute) = found.filter(|mroute| mroute.accept == from || is_own(mroute)) else { continue };
            for port in mroute.forward.iter() {
                assert_ne!(mroute.accept, Accept::Port(port), "node {node} sends {key:?} back");
                let Some(link) = self.link_of(node, port) else { continue };
                if self.links[link].down.contains(&node) {
                    continue;
                }
                *arrivals.entry(link).or_default() += 1;
                for &(other, port) in &self.links[link].ends {
                    if other != node && !self.links[link].down.contains(&other) {
                        frontier.push_back((other, Accept::Port(port)));
                    }
                }
            }
        }
        arrivals
    }

    pub fn link_of(&self, node: NodeId, port: PortId) -> Option<LinkId> {
        self.links.iter().position(|link| link.ends.contains(&(node, port)))
    }

    /// Takes what the node has to say. Asserts that a forwarding entry stands before its join leaves.
    fn drain(&mut self, node: NodeId) {
        while let Some(output) = self.nodes[node].router.poll_output() {
            match output {
                Output::Event(event) => self.nodes[node].events.push(event),
                Output::Table(update) => self.apply(node, update),
                Output::Transmit(transmit) if transmit.via == Via::Route => {
                    let header = Header::parse(&transmit.packet).unwrap();
                    assert!(header.hop_limit > 1 && !header.destination.is_multicast());
                    let is_routed = |((of, prefix), _): (&(NodeId, Prefix), &Route)| {
                        *of == node && prefix.contains(header.destination)
                    };
                    if self.routes.iter().any(is_routed) {
                        self.route(node, None, transmit.packet);
                    } else {
                        // Of addresses that the test tells no routes to.
                        let sent = Sent { at: self.now, node, port: PortId(u8::MAX), packet: transmit.packet };
                        let owner = self.owners.get(&header.destination).copied();
                        if let Some(owner) = owner.filter(|_| !self.lose.is_some_and(|lose| lose(&sent))) {
                            self.enqueue(Delivery::Unicast(owner, sent.packet.clone()));
                        }
                        self.sent.push(sent);
                    }
                }
                Output::Transmit(transmit) => {
                    let Via::Link(port) = transmit.via else { panic!("{:?} is not on a link", transmit.via) };
                    let sent = Sent { at: self.now, node, port, packet: transmit.packet };
                    self.check(&sent);
                    let Some(link) = self.link_of(node, port) else { continue };
                    let lost = self.links[link].down.contains(&node) || self.lose.is_some_and(|lose| lose(&sent));
                    if !lost {
                        for (other, port) in self.links[link].ends.clone() {
                            if other != node && !self.links[link].down.contains(&other) {
                                self.enqueue(Delivery::Router(other, port, sent.packet.clone()));
                            }
                        }
                        if sent.mld().is_some() {
                            self.enqueue(Delivery::Hosts(link, sent.packet.clone()));
                        }
                    }
                    self.sent.push(sent);
                }
            }
        }
    }

    /// A unicast packet at a node, which has come by `from`: to its router, or a hop further.
    fn route(&mut self, node: NodeId, from: Option<PortId>, packet: Vec<u8>) {
        let destination = Header::parse(&packet).unwrap().destination;
        let of_node = self.routes.iter().filter(|((of, prefix), _)| *of == node && prefix.contains(destination));
        match (of_node.max_by_key(|((_, prefix), _)| prefix.length()).map(|(_, &route)| route), from) {
            (Some(Route::Local), Some(port)) => self.inject(node, port, &packet),
            (Some(Route::Via { port, next_hop }), _) => {
                let Some(link) = self.link_of(node, port) else { return };
                let ends = &self.links[link];
                let hop = ends.ends.iter().find(|&&(other, port)| link_local(other, port) == next_hop).copied();
                let Some((other, at)) =
                    hop.filter(|(other, _)| !ends.down.contains(&node) && !ends.down.contains(other))
                else {
                    return;
                };
                let sent = Sent { at: self.now, node, port, packet };
                if !self.lose.is_some_and(|lose| lose(&sent)) {
                    self.enqueue(Delivery::Routed(other, at, sent.packet.clone()));
                }
                self.sent.push(sent);
            }
            _ => {}
        }
    }

    fn apply(&mut self, node: NodeId, update: TableUpdate) {
        let node = &mut self.nodes[node];
        match update {
            TableUpdate::MrouteSet(key, mroute) => {
                let before = node.mroutes.insert(key, mroute);
                // Only what may have been lost is said again.
                assert!(before != Some(mroute) || mroute.watch == Watch::NextPacket, "{key:?} is set to what it is");
            }
            TableUpdate::MrouteRemove(key) => assert!(node.mroutes.remove(&key).is_some(), "{key:?} is not there"),
            TableUpdate::LinkGroupJoin(port, group) => assert!(node.link_groups.insert((port, group))),
            TableUpdate::LinkGroupLeave(port, group) => assert!(node.link_groups.remove(&(port, group))),
            TableUpdate::DeliverySet { port, group, link_address } => {
                let before = node.deliveries.insert((port, group), link_address);
                assert_ne!(before, Some(link_address), "{group} is delivered where it is");
            }
            TableUpdate::DeliveryRemove { port, group } => assert!(node.deliveries.remove(&(port, group)).is_some()),
            other => panic!("{other:?} is not a PIM router's business"),
        }
    }

    /// What every packet of a router must fulfil.
    fn check(&self, sent: &Sent) {
        assert!(sent.packet.len() <= 1500);
        let header = Header::parse(&sent.packet).unwrap();
        assert_eq!(header.total_length(), sent.packet.len());
        assert_eq!(header.hop_limit, 1);
        let chain = Chain::parse(&sent.packet).unwrap();
        assert!(matches!(chain.upper, protocol::PIM | protocol::ICMPV6));
        let Some(message) = sent.join_prune() else { return };
        assert!(!message.groups.is_empty());
        for set in &message.groups {
            for source in &set.joined {
                let address = if source.wildcard { Ipv6Addr::UNSPECIFIED } else { source.address };
                let key = MrouteKey { source: address, group: set.group.address };
                // A tree that is joined beside the shared one takes over once its packets come.
                let [kind, rest, ..] = key.group.segments();
                let is_source_specific = kind & 0xfff0 == 0xff30 && rest == 0;
                let waits = !is_source_specific && !source.wildcard;
                assert!(waits || self.mroute(sent.node, key).is_some(), "the join of {key:?} leaves before its entry");
            }
        }
    }

    fn answer(&mut self, link: LinkId, packet: &[u8]) {
        let opened = mld::open(packet).unwrap();
        let Ok(mld::Message::Query(query)) = mld::Message::parse(opened.message) else { return };
        let mut reports = Vec::new();
        for host in self.links[link].hosts.iter().filter(|host| !host.is_silent) {
            let asked = |group: &Ipv6Addr| query.is_general() || *group == query.group;
            let records: Vec<Record> = host
                .wants
                .iter()
                .filter(|(group, _)| asked(group))
                .map(|(&group, sources)| match sources.contains(&Ipv6Addr::UNSPECIFIED) {
                    true => Record { kind: RecordType::ModeIsExclude, group, sources: Vec::new() },
                    false => Record {
                        kind: RecordType::ModeIsInclude,
                        group,
                        sources: sources
                            .iter()
                            .copied()
                            .filter(|source| query.sources.is_empty() || query.sources.contains(source))
                            .collect(),
                    },
                })
                .filter(|record| record.kind == RecordType::ModeIsExclude || !record.sources.is_empty())
                .collect();
            if !records.is_empty() {
                reports.push((host.address, records));
            }
        }
        for (address, records) in reports {
            self.report(link, address, records);
        }
    }

    fn enqueue(&mut self, delivery: Delivery) {
        self.sequence += 1;
        self.queue.insert((self.now + DELAY, self.sequence), delivery);
    }
}
