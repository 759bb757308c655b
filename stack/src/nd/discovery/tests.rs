//! Routers and terminals on one link, each with a neighbour table as the data plane keeps it.

use super::*;
use crate::addr::{MacAddress, Prefix};
use crate::machine::{Transmit, Via};
use crate::nd::advertiser::Solicited;
use crate::nd::host::InterfaceIdentifier;
use crate::nd::neighbor::{Dad, Delivery, Role};
use crate::nd::nud::State;
use crate::tables::{Neighbor, TableUpdate};
use crate::time::Duration;
use crate::wire::build::PacketBuilder;
use crate::wire::ipv6::Header;
use crate::wire::nd::{INFINITE_LIFETIME_SECS, MapOption, PrefixInformation};
use std::collections::{BTreeMap, BTreeSet};

const PORT: PortId = PortId(0);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const SITE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const MILLISECOND: Duration = Duration::from_millis(1);

fn mac(n: u8) -> MacAddress {
    MacAddress([2, 0, 0, 0, 0, n])
}

/// One node and what its data plane holds.
struct Node {
    discovery: Discovery,
    mac: MacAddress,
    table: BTreeMap<Ipv6Addr, Neighbor>,
    groups: BTreeSet<Ipv6Addr>,
    waiting: Vec<Transmit>,
    events: Vec<(Instant, Event)>,
    /// Packets that are not Neighbor Discovery.
    received: usize,
}

/// Frames on their way: when, to whom, from whom, what.
type Frame = (Instant, Option<MacAddress>, MacAddress, Vec<u8>);

/// One link with a delay.
struct Link {
    now: Instant,
    nodes: Vec<Node>,
    frames: Vec<Frame>,
    sent: usize,
}

impl Link {
    fn new(nodes: Vec<Node>) -> Self {
        Link { now: Instant::from_secs(1), nodes, frames: Vec::new(), sent: 0 }
    }

    fn command(&mut self, index: usize, command: Command) {
        self.nodes[index].discovery.handle_command(self.now, command);
        self.settle(index);
    }

    fn up(&mut self, index: usize) {
        self.command(index, Command::Notice(Notice::LinkUp(PORT)));
    }

    /// Does what the data plane does with a node's outputs.
    fn settle(&mut self, index: usize) {
        loop {
            let node = &mut self.nodes[index];
            let Some(output) = node.discovery.poll_output() else { return };
            match output {
                Output::Event(event) => node.events.push((self.now, event)),
                Output::Transmit(transmit) => self.transmit(index, transmit),
                Output::Table(TableUpdate::NeighborSet(_, address, neighbor)) => {
                    node.table.insert(address, neighbor);
                    for transmit in core::mem::take(&mut node.waiting) {
                        self.transmit(index, transmit);
                    }
                }
                Output::Table(TableUpdate::NeighborRemove(_, address) | TableUpdate::NeighborFailed(_, address)) => {
                    node.table.remove(&address);
                    node.waiting.retain(|waiting| Header::parse(&waiting.packet).unwrap().destination != address);
                }
                Output::Table(TableUpdate::LinkGroupJoin(_, group)) => drop(node.groups.insert(group)),
                Output::Table(TableUpdate::LinkGroupLeave(_, group)) => drop(node.groups.remove(&group)),
                Output::Table(_) => {}
            }
        }
    }

    fn transmit(&mut self, index: usize, transmit: Transmit) {
        let node = &mut self.nodes[index];
        let destination = Header::parse(&transmit.packet).unwrap().destination;
        let to = match transmit.via {
            Via::LinkAddress(_, mac) => Some(mac),
            _ if destination.is_multicast() => None,
            _ => match node.table.get_mut(&destination) {
                Some(neighbor) => {
                    let mac = neighbor.link_address;
                    if core::mem::take(&mut neighbor.notify_use) {
                        let notice = Notice::NeighborUsed { port: PORT, address: destination };
                        node.discovery.handle_command(self.now, Command::Notice(notice));
                    }
                    Some(mac)
                }
                None => {
                    node.waiting.push(transmit);
                    let notice = Notice::NeighborMissing { port: PORT, address: destination };
                    return node.discovery.handle_command(self.now, Command::Notice(notice));
                }
            },
        };
        self.sent += 1;
        let from = node.mac;
        self.frames.push((self.now + MILLISECOND, to, from, transmit.packet));
    }

    /// A packet with some payload.
    fn send(&mut self, index: usize, source: Ipv6Addr, destination: Ipv6Addr) {
        let packet = PacketBuilder::new(source, destination).icmpv6(128, 0, &[0; 4]);
        self.transmit(index, Transmit { packet, via: Via::Link(PORT) });
        self.settle(index);
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let frame = self.frames.iter().map(|frame| frame.0).min();
            let timer = self.nodes.iter().filter_map(|node| node.discovery.poll_timeout()).min();
            let Some(at) = frame.into_iter().chain(timer).min().filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            let due = self.frames.iter().position(|frame| frame.0 <= self.now);
            if let Some((_, to, from, packet)) = due.map(|index| self.frames.remove(index)) {
                for index in 0..self.nodes.len() {
                    let node = &mut self.nodes[index];
                    if node.mac == from || to.is_some_and(|to| to != node.mac) {
                        continue;
                    }
                    let meta =
                        RxMeta { port: PORT, link_source: Some(from), link_multicast: to.is_none(), tunnel: None };
                    let destination = Header::parse(&packet).unwrap().destination;
                    let listens = destination == addr::ALL_NODES || node.groups.contains(&destination);
                    if packet[40] == 128 {
                        node.received += 1;
                    } else if !destination.is_multicast() || listens {
                        node.discovery.handle_packet(self.now, &meta, &packet);
                        self.settle(index);
                    }
                }
            } else {
                for index in 0..self.nodes.len() {
                    self.nodes[index].discovery.handle_timeout(self.now);
                    self.settle(index);
                }
            }
        }
        self.now = end;
    }

    /// What a node was told since the last call, with milliseconds since `since`.
    fn events(&mut self, index: usize, since: Instant) -> Vec<(u64, Event)> {
        let events = core::mem::take(&mut self.nodes[index].events);
        events.into_iter().map(|(at, event)| (at.since(since).as_millis() as u64, event)).collect()
    }
}

fn node(n: u8, config: Config) -> Node {
    Node {
        discovery: Discovery::new(config),
        mac: mac(n),
        table: BTreeMap::new(),
        groups: BTreeSet::new(),
        waiting: Vec::new(),
        events: Vec::new(),
        received: 0,
    }
}

fn map() -> MapOption {
    MapOption { distance: 1, preference: 9, allocates_address: false, valid_lifetime_secs: 600, address: SITE }
}

/// An access router with a mobile link.
fn router(n: u8) -> Node {
    let prefix = PrefixInformation {
        address: SITE,
        prefix_length: 64,
        on_link: true,
        autonomous: true,
        router_address: true,
        valid_lifetime_secs: INFINITE_LIFETIME_SECS,
        preferred_lifetime_secs: INFINITE_LIFETIME_SECS,
    };
    let advertised = advertiser::PortConfig {
        solicited: Solicited::Immediate,
        prefixes: vec![prefix],
        maps: vec![map()],
        ..advertiser::PortConfig::new(PORT, mac(n))
    };
    node(
        n,
        Config {
            neighbor: neighbor::Config { seed: 1, ports: vec![neighbor::PortConfig::new(PORT, mac(n), Role::Router)] },
            advertiser: advertiser::Config { seed: 2, ports: vec![advertised] },
            host: host::Config { seed: 3, ports: vec![] },
        },
    )
}

/// A mobile terminal with this interface identifier.
fn terminal(n: u8, identifier: u64) -> Node {
    let host = host::PortConfig::mobile(PORT, mac(n), InterfaceIdentifier::Fixed(identifier));
    node(
        n,
        Config {
            neighbor: neighbor::Config {
                seed: u64::from(n),
                ports: vec![neighbor::PortConfig::new(PORT, mac(n), Role::Host)],
            },
            advertiser: advertiser::Config { seed: 2, ports: vec![] },
            host: host::Config { seed: 3, ports: vec![host] },
        },
    )
}

fn add(address: Ipv6Addr, dad: Dad) -> Command {
    Command::Neighbor(neighbor::Command::AddAddress { port: PORT, address, dad, delivery: Delivery::Local })
}

fn usable(address: Ipv6Addr, optimistic: bool) -> Event {
    Event::Host(host::Event::AddressUsable { port: PORT, address, optimistic })
}

/// A link with a router that is up.
fn link_with_router() -> Link {
    let mut link = Link::new(vec![router(1)]);
    link.command(0, add(ROUTER, Dad::Strict));
    link.command(0, add(SITE, Dad::Strict));
    link.up(0);
    link.pass(Duration::from_secs(40));
    let since = link.now;
    let events = link.events(0, since);
    let own = |address| (0, Event::Neighbor(neighbor::Event::AddressUsable { port: PORT, address, optimistic: false }));
    assert_eq!(events, [own(SITE), own(ROUTER)]);
    assert!(link.nodes[0].discovery.advertiser().counters().tx_multicast >= 3);
    link
}

#[test]
fn a_terminal_has_its_address_after_one_round_trip() {
    let mut link = link_with_router();
    link.nodes.push(terminal(9, 0x77));
    let since = link.now;
    link.up(1);
    link.pass(Duration::from_secs(2));
    let local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x77);
    let global = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x77);
    let events = link.events(1, since);
    let [first, (2, Event::Host(host::Event::RouterAdvertised { router, link_address, advertisement, .. })), rest @ ..] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(first, &(0, usable(local, true)));
    assert_eq!((*router, *link_address, &advertisement.maps[..]), (ROUTER, Some(mac(1)), &[map()][..]));
    let later = [(2, usable(global, true)), (1000, usable(local, false)), (1002, usable(global, false))];
    assert_eq!(rest, later);
    // One solicitation, one answer to it alone, one probe for each address.
    assert_eq!(link.nodes[1].discovery.host().counters().tx_router_solicitation, 1);
    assert_eq!(link.nodes[0].discovery.advertiser().counters().tx_unicast, 1);
    assert_eq!(link.nodes[1].discovery.neighbor().counters().tx_neighbor_solicitation, 2);
    // Packets to the router leave without asking for it, and its reachability is then watched.
    link.send(1, global, SITE);
    link.send(1, global, ROUTER);
    link.pass(Duration::from_secs(10));
    assert_eq!(link.nodes[0].received, 2);
    let known = link.nodes[1].discovery.neighbor().neighbor(PORT, ROUTER).unwrap();
    assert_eq!((known.state, known.is_router), (State::Reachable, true));
}

#[test]
fn packets_wait_for_resolution_and_both_sides_learn() {
    let mut link = link_with_router();
    link.nodes.push(terminal(9, 0x77));
    link.up(1);
    link.pass(Duration::from_secs(2));
    let global = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x77);
    link.send(0, SITE, global);
    assert!(link.nodes[0].received == 0 && !link.nodes[0].waiting.is_empty());
    link.pass(Duration::from_millis(10));
    assert_eq!((link.nodes[1].received, link.nodes[0].waiting.len()), (1, 0));
    let state = |link: &Link, index: usize, address| {
        link.nodes[index].discovery.neighbor().neighbor(PORT, address).map(|entry| entry.state)
    };
    assert_eq!(state(&link, 0, global), Some(State::Reachable));
    assert_eq!(state(&link, 1, ROUTER), Some(State::Stale));
    // The terminal goes; the router notices when it sends.
    link.command(1, Command::Notice(Notice::LinkDown(PORT)));
    assert_eq!(link.nodes[1].table.len(), 0);
    assert!(link.nodes[1].discovery.host().addresses().next().is_none());
    link.pass(Duration::from_secs(60));
    link.send(0, SITE, global);
    link.pass(Duration::from_secs(10));
    assert_eq!(state(&link, 0, global), None);
}

#[test]
fn a_router_that_dies_is_lost_and_one_that_leaves_says_so() {
    let mut link = link_with_router();
    link.nodes.push(terminal(9, 0x77));
    link.up(1);
    link.pass(Duration::from_secs(2));
    let since = link.now;
    link.events(1, since);
    let lost = Event::Host(host::Event::RouterLost { port: PORT, router: ROUTER });
    link.command(0, Command::Notice(Notice::LinkDown(PORT)));
    let global = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x77);
    link.send(1, global, ROUTER);
    link.pass(Duration::from_secs(9));
    let unreachable = neighbor::Event::NeighborUnreachable { port: PORT, address: ROUTER, is_router: true };
    assert_eq!(link.events(1, since), [(8000, Event::Neighbor(unreachable)), (8000, lost.clone())]);
    // It comes back and is found again; then it is switched off.
    link.up(0);
    link.pass(Duration::from_secs(5));
    assert_eq!(link.nodes[1].discovery.host().routers().count(), 1);
    link.events(1, since);
    let since = link.now;
    link.command(0, Command::Advertiser(advertiser::Command::Shutdown));
    link.pass(MILLISECOND);
    let events = link.events(1, since);
    assert!(matches!(&events[0].1, Event::Host(host::Event::RouterAdvertised { advertisement, .. })
        if advertisement.lifetime_secs == 0 && advertisement.maps[0].valid_lifetime_secs == 0));
    assert_eq!(events[1], (1, lost));
}

#[test]
fn a_router_whose_link_layer_address_changes_is_found_at_the_new_one() {
    let mut link = link_with_router();
    link.nodes.push(terminal(9, 0x77));
    link.up(1);
    link.pass(Duration::from_secs(2));
    let global = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x77);
    link.send(1, global, SITE);
    link.pass(Duration::from_millis(10));
    let known = |link: &Link| [SITE, ROUTER].map(|router| link.nodes[1].table[&router].link_address);
    assert_eq!(known(&link), [mac(1); 2]);
    // While the link is down, and while it is up.
    for (new, down) in [(mac(5), true), (mac(6), false)] {
        if down {
            link.command(0, Command::Notice(Notice::LinkDown(PORT)));
        }
        link.nodes[0].mac = new;
        link.command(0, Command::Notice(Notice::LinkAddress(PORT, new)));
        if down {
            link.up(0);
        }
        link.pass(Duration::from_millis(10));
        assert_eq!(known(&link), [new; 2]);
        // What it says of itself later is the new address too.
        link.pass(Duration::from_secs(40));
        assert_eq!(known(&link), [new; 2]);
    }
}

#[test]
fn two_terminals_with_one_identifier() {
    let mut link = link_with_router();
    link.nodes.push(terminal(9, 0x77));
    link.nodes.push(terminal(10, 0x77));
    link.up(1);
    link.pass(Duration::from_secs(3));
    let since = link.now;
    link.up(2);
    link.pass(Duration::from_secs(3));
    let events = link.events(2, since);
    let duplicates =
        events.iter().filter(|(_, event)| matches!(event, Event::Host(host::Event::AddressDuplicate { .. })));
    assert_eq!(duplicates.count(), 2, "{events:?}");
    assert_eq!(link.nodes[2].discovery.host().addresses().count(), 0);
    // The first keeps its addresses and what is known of it.
    assert_eq!(link.nodes[1].discovery.host().addresses().filter(|info| info.usable).count(), 2);
    // At the same time: both find out.
    let mut link = link_with_router();
    link.nodes.push(terminal(9, 0x77));
    link.nodes.push(terminal(10, 0x77));
    link.up(1);
    link.up(2);
    link.pass(Duration::from_secs(3));
    for index in [1, 2] {
        assert_eq!(link.nodes[index].discovery.host().addresses().count(), 0);
    }
}

/// A home agent on the terminal's home link: detection, proxying, and the terminal's return (RFC 6275 §10.4.1, §11.5.5).
#[test]
fn home_address_goes_to_the_agent_and_back() {
    let home = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x99);
    let mut link = link_with_router();
    link.nodes.push(router(2));
    let other = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    link.command(1, add(other, Dad::Strict));
    link.up(1);
    link.pass(Duration::from_secs(2));
    let since = link.now;
    let agent = |link: &mut Link, command| link.command(0, Command::Neighbor(command));
    agent(&mut link, neighbor::Command::Dad { port: PORT, address: home, token: 4 });
    link.pass(Duration::from_millis(1500));
    let outcome = neighbor::DadOutcome::Unique;
    let done = neighbor::Event::DadDone { port: PORT, address: home, token: 4, outcome };
    assert_eq!(link.events(0, since), [(1000, Event::Neighbor(done))]);
    agent(&mut link, neighbor::Command::AddProxy { port: PORT, address: home });
    link.send(1, other, home);
    link.pass(Duration::from_secs(5));
    assert_eq!((link.nodes[0].received, link.nodes[1].table[&home].link_address), (1, mac(1)));
    // The terminal is back: the agent lets go, the terminal tells the link.
    link.nodes.push(terminal(9, 0x99));
    agent(&mut link, neighbor::Command::RemoveProxy { port: PORT, address: home });
    link.up(2);
    let delivery = Delivery::Routed;
    let claim = neighbor::Command::AddAddress { port: PORT, address: home, dad: Dad::Off, delivery };
    link.command(2, Command::Neighbor(claim));
    link.command(2, Command::Neighbor(neighbor::Command::Announce { port: PORT, address: home }));
    link.pass(2 * MILLISECOND);
    assert_eq!(link.nodes[1].table[&home].link_address, mac(9));
    link.send(1, other, home);
    link.pass(2 * MILLISECOND);
    assert_eq!(link.nodes[2].received, 1);
    assert_eq!(Prefix::of_link(home), Prefix::of_link(SITE));
}
