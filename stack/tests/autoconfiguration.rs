//! A terminal finds routers and addresses, reports a group and changes links: discovery and the MLD listener on the worker
//! and data plane as they run on real machines, on the simulated network.
//!
//! ```text
//!   a ──── terminal ──── b        (one radio port, on one link at a time)
//! ```

use core::net::Ipv6Addr;
use stack::addr::{self, ALL_MLDV2_ROUTERS, MacAddress, with_interface_identifier};
use stack::host::port_info;
use stack::machine::{Machine, Notice, Output, Outputs, PortId, RxMeta};
use stack::mld_listener::{self, Filter, MldListener};
use stack::nd::advertiser::{self, Solicited};
use stack::nd::host::{self, InterfaceIdentifier};
use stack::nd::neighbor::{self, Dad, Delivery, Role};
use stack::nd::{Discovery, discovery};
use stack::node::Node;
use stack::packet::Pool;
use stack::pipeline::{Dataplane, DataplaneConfig};
use stack::port::mem::MemPort;
use stack::port::{Medium, Port};
use stack::runtime::Worker;
use stack::sim::{Built, Detach, LinkConfig, LinkId, Network, NodeId, check};
use stack::tables::TableUpdate;
use stack::time::{Duration, Instant};
use stack::wire::mld::{self, Message, Record, RecordType};
use stack::wire::nd::{INFINITE_LIFETIME_SECS, PrefixInformation};

const PORT: PortId = PortId(0);
const MS: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(2);
const IDENTIFIER: u64 = 0x77;
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 1);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// What happened on a node, with the time.
type Log = Vec<(Instant, What)>;

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    Discovery(discovery::Event),
    Reported(Ipv6Addr, Vec<Record>),
}

/// Discovery, and a listener where the node is a terminal.
struct Station {
    discovery: Discovery,
    listener: Option<MldListener>,
    outputs: Outputs<()>,
    log: Log,
}

impl Station {
    fn carry(&mut self, now: Instant) {
        while let Some(output) = self.discovery.poll_output() {
            match output {
                Output::Table(update) => self.outputs.table(update),
                Output::Transmit(transmit) => self.outputs.transmit(transmit.packet, transmit.via),
                Output::Event(event) => {
                    self.log.push((now, What::Discovery(event.clone())));
                    if let (Some(listener), discovery::Event::Host(event)) = (&mut self.listener, event) {
                        let command = match event {
                            host::Event::AddressUsable { port, address, .. } if addr::is_link_local(address) => {
                                mld_listener::Command::SetSource { port, address }
                            }
                            host::Event::AddressRemoved { port, address } if addr::is_link_local(address) => {
                                mld_listener::Command::ClearSource(port)
                            }
                            _ => continue,
                        };
                        listener.handle_command(now, command);
                    }
                }
            }
        }
        let Some(listener) = &mut self.listener else { return };
        while let Some(output) = listener.poll_output() {
            if let Output::Transmit(transmit) = output {
                self.outputs.transmit(transmit.packet, transmit.via);
            }
        }
    }
}

impl Node for Station {
    type Event = ();

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        if let Ok(opened) = mld::open(packet) {
            if let Ok(Message::Report(report)) = Message::parse(opened.message) {
                self.log.push((now, What::Reported(opened.source, report.records)));
            }
        } else {
            self.discovery.handle_packet(now, meta, packet);
            self.carry(now);
        }
    }

    fn handle_notice(&mut self, now: Instant, notice: Notice) {
        self.discovery.handle_command(now, discovery::Command::Notice(notice));
        if let Some(listener) = &mut self.listener {
            listener.handle_command(now, mld_listener::Command::Notice(notice));
        }
        self.carry(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.discovery.handle_timeout(now);
        if let Some(listener) = &mut self.listener {
            listener.handle_timeout(now);
        }
        self.carry(now);
    }

    fn poll_output(&mut self) -> Option<Output<()>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let listener = self.listener.as_ref().and_then(|listener| listener.poll_timeout());
        self.discovery.poll_timeout().into_iter().chain(listener).min()
    }
}

fn mac(node: u8) -> MacAddress {
    MacAddress([2, 0, 0, 0, 0, node])
}

fn site(node: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, u16::from(node), 0, 0, 0, 0, 1)
}

fn router_address(node: u8) -> Ipv6Addr {
    with_interface_identifier(LINK_LOCAL, u64::from(node))
}

fn station(node: u8, seed: u64, role: Role) -> Station {
    let mut advertised = Vec::new();
    let mut hosts = Vec::new();
    match role {
        Role::Router => advertised.push(advertiser::PortConfig {
            solicited: Solicited::Immediate,
            prefixes: vec![PrefixInformation {
                address: site(node),
                prefix_length: 64,
                on_link: true,
                autonomous: true,
                router_address: true,
                valid_lifetime_secs: INFINITE_LIFETIME_SECS,
                preferred_lifetime_secs: INFINITE_LIFETIME_SECS,
            }],
            ..advertiser::PortConfig::new(PORT, mac(node))
        }),
        Role::Host => {
            hosts.push(host::PortConfig::mobile(PORT, mac(node), InterfaceIdentifier::Fixed(IDENTIFIER)));
        }
    }
    let mut discovery = Discovery::new(discovery::Config {
        neighbor: neighbor::Config { seed, ports: vec![neighbor::PortConfig::new(PORT, mac(node), role)] },
        advertiser: advertiser::Config { seed: seed + 1, ports: advertised },
        host: host::Config { seed: seed + 2, ports: hosts },
    });
    let mut outputs = Outputs::new();
    let mut listener = None;
    match role {
        Role::Router => {
            for address in [router_address(node), site(node)] {
                let delivery = Delivery::Local;
                let add = neighbor::Command::AddAddress { port: PORT, address, dad: Dad::Off, delivery };
                discovery.handle_command(Instant::ORIGIN, discovery::Command::Neighbor(add));
            }
            outputs.table(TableUpdate::LinkGroupJoin(PORT, ALL_MLDV2_ROUTERS));
        }
        Role::Host => {
            let mut mld = MldListener::new(mld_listener::Config::mobile(seed + 3));
            let filter = Filter::source(SOURCE);
            mld.handle_command(Instant::ORIGIN, mld_listener::Command::Join { port: PORT, group: GROUP, filter });
            listener = Some(mld);
        }
    }
    Station { discovery, listener, outputs, log: Vec::new() }
}

fn add_station(network: &mut Network, node: u8, role: Role) -> NodeId {
    network.add_node(format!("n{node}"), move |boot| {
        let (port, end) = MemPort::new(port_info("radio", Medium::Ethernet, mac(node), 1500));
        let pool = Pool::new(256).unwrap();
        let config = DataplaneConfig { seed: boot.seed, ..DataplaneConfig::default() };
        let dataplane = Dataplane::new(config, pool, &[port.info().clone()]);
        let ports = vec![Box::new(port) as Box<dyn Port>];
        Built::new(Worker::new(dataplane, station(node, boot.seed, role), ports), vec![end])
    })
}

struct Air {
    network: Network,
    routers: [NodeId; 2],
    links: [LinkId; 2],
    terminal: NodeId,
}

/// Two access routers, each on a link of its own, and a terminal that is on neither.
fn air(seed: u64) -> Air {
    let mut network = Network::new(seed);
    let routers = [1, 2].map(|node| add_station(&mut network, node, Role::Router));
    let terminal = add_station(&mut network, 9, Role::Host);
    let links = [0, 1].map(|index: usize| {
        let link = network.add_link(format!("l{index}"), LinkConfig::lan(DELAY));
        network.attach(routers[index], PORT, link).unwrap();
        link
    });
    network.run_until(Instant::from_secs(60)).unwrap();
    Air { network, routers, links, terminal }
}

impl Air {
    /// What a node's log got since the last call, with the time since `since` in milliseconds.
    fn log(&mut self, node: NodeId, since: Instant) -> Vec<(u64, What)> {
        let worker: &mut Worker<Station> = self.network.node_mut(node).unwrap();
        let log = core::mem::take(&mut worker.node_mut().log);
        log.into_iter().map(|(at, what)| (at.since(since).as_millis() as u64, what)).collect()
    }

    fn check(&self) {
        assert_eq!(self.network.unaccounted_frames(), []);
        assert_eq!(check::malformed(self.network.capture()), []);
        for node in self.network.nodes() {
            let worker: &Worker<Station> = self.network.node(node).unwrap();
            assert!(worker.dataplane().counters().is_balanced());
        }
    }
}

fn usable(address: Ipv6Addr, optimistic: bool) -> What {
    What::Discovery(discovery::Event::Host(host::Event::AddressUsable { port: PORT, address, optimistic }))
}

#[test]
fn one_round_trip_to_an_address_and_half_of_one_to_the_group() {
    let mut air = air(1);
    let own = with_interface_identifier(LINK_LOCAL, IDENTIFIER);
    // On each link, break before make: what came from the other one is gone.
    for (index, node) in [1u8, 2].into_iter().enumerate() {
        let since = air.network.now();
        air.log(air.terminal, since);
        air.network.attach(air.terminal, PORT, air.links[index]).unwrap();
        air.network.run_for(Duration::from_secs(3)).unwrap();
        let log = air.log(air.terminal, since);
        let care_of = with_interface_identifier(site(node), IDENTIFIER);
        let usable_at: Vec<_> = log
            .iter()
            .filter(|(_, what)| {
                !matches!(what, What::Discovery(discovery::Event::Host(host::Event::RouterAdvertised { .. })))
            })
            .cloned()
            .collect();
        let expected = [
            (0, usable(own, true)),
            (4, usable(care_of, true)),
            (1000, usable(own, false)),
            (1004, usable(care_of, false)),
        ];
        assert_eq!(usable_at, expected);
        assert!(
            matches!(&log[1], (4, What::Discovery(discovery::Event::Host(host::Event::RouterAdvertised { router, .. })))
            if *router == router_address(node))
        );
        // The report left from the optimistic address when the link came up, and was repeated for want of data.
        let record = Record { kind: RecordType::AllowNewSources, group: GROUP, sources: vec![SOURCE] };
        let reported: Vec<_> = [2, 12, 52, 202].map(|at| (at, What::Reported(own, vec![record.clone()]))).to_vec();
        let heard = air.log(air.routers[index], since);
        let heard: Vec<_> = heard.into_iter().filter(|(_, what)| matches!(what, What::Reported(..))).collect();
        assert_eq!(heard, reported);
        let since = air.network.now();
        air.network.detach(air.terminal, PORT, Detach::SeenHere);
        air.network.run_for(100 * MS).unwrap();
        let events = air.log(air.terminal, since);
        let is = |test: fn(&host::Event) -> bool| {
            events
                .iter()
                .filter(|(_, what)| matches!(what, What::Discovery(discovery::Event::Host(event)) if test(event)))
                .count()
        };
        assert_eq!(is(|event| matches!(event, host::Event::RouterLost { .. })), 1);
        assert_eq!(is(|event| matches!(event, host::Event::AddressRemoved { .. })), 2);
        let worker: &Worker<Station> = air.network.node(air.terminal).unwrap();
        assert_eq!(worker.dataplane().routes().count(), 0);
        assert_eq!(worker.dataplane().neighbors().count(), 0);
    }
    air.check();
}

#[test]
fn losses_cost_time_and_nothing_else() {
    let mut joined = 0;
    for seed in 0..40 {
        let mut air = air(seed);
        let link = air.links[0];
        air.network.link_config_mut(link).loss_ppm = 300_000;
        let since = air.network.now();
        air.network.attach(air.terminal, PORT, link).unwrap();
        air.network.run_for(Duration::from_secs(100)).unwrap();
        let care_of = with_interface_identifier(site(1), IDENTIFIER);
        let log = air.log(air.terminal, since);
        assert!(log.iter().any(|(_, what)| *what == usable(care_of, false)), "seed {seed}: {log:?}");
        let heard = air.log(air.routers[0], since);
        joined += u32::from(heard.iter().any(|(_, what)| matches!(what, What::Reported(..))));
        let worker: &Worker<Station> = air.network.node(air.terminal).unwrap();
        assert_eq!(worker.node().listener.as_ref().unwrap().counters().tx_state_change, 4);
        air.check();
    }
    // Four reports, each lost with probability 0.3: all of them in one run out of a hundred and twenty.
    assert!(joined >= 37, "{joined}");
}
