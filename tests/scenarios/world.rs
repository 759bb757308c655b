//! The simulated world of the scenarios: a shipped lab with weather on its links, traffic, and a reader of what was on
//! the wire.

use drover::admin::Topic;
use drover::config::lab::{Lab, LinkIndex, NodeIndex, load_table, parse_lab};
use drover::lab::sim::SimLab;
use drover::node::{self, DroverNode};
use ha::mobile::MobileTerminal;
use mma::MobilityManagementAgent;
use stack::addr::{MacAddress, Prefix, Scope};
use stack::host::{Flow, FlowId, HostConfig, SimHost, StreamConfig, StreamKey, port_info};
use stack::inspect::{Class, Description, Kind, pim};
use stack::machine::PortId;
use stack::packet::{Batch, Pool};
use stack::port::mem::MemPort;
use stack::port::{Medium, Port};
use stack::rng::Rng;
use stack::runtime::Worker;
use stack::sim::{Built, LinkId, NodeId, SimNode, check};
use stack::time::{Duration, Instant};
use stack::wire::mld::{self, RecordType};
use stack::wire::mobility::{BindingAcknowledgement, BindingUpdate, MobilityMessage};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::path::Path;
use std::rc::Rc;
use toml::{Table, Value};

/// The correspondent of both figures.
pub(crate) const CN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x10);
/// The correspondent that is a node of ours, in labs that have one.
pub(crate) const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0, 0, 0, 0, 0x10);
/// The terminal's home address in all figures.
pub(crate) const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x55);
/// Its home agent.
pub(crate) const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 1);
/// Its group.
pub(crate) const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 0x55);

/// Seconds between the Hellos, and between the periodic Joins, of the routers of a scenario. What is lost on a core link
/// is said again after so long: PIM has no acknowledgements.
pub(crate) const PIM_PERIOD: Duration = Duration::from_secs(1);

const INTRUDER: MacAddress = MacAddress([0x02, 0, 0x5e, 0x66, 0, 1]);
const SEEDS: u64 = 200;
const SIGNAL_NEAR_DBM: i16 = -50;
const SIGNAL_FAR_DBM: i16 = -85;

/// Runs `scenario` once a seed: 200 of them, `DROVER_SEEDS` of them, or the one that `DROVER_SEED` names.
pub(crate) fn over_seeds(mut scenario: impl FnMut(u64)) {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number of seeds"));
    let seeds = match number("DROVER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DROVER_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let told = Told(seed);
        scenario(seed);
        drop(told);
    }
}

/// Tells the seed of a scenario that fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was DROVER_SEED={}", self.0);
        }
    }
}

/// A lab file to be changed.
pub(crate) struct Draft(Table);

impl Draft {
    /// A shipped lab without its traffic and movements. What its routers say once, they say again soon.
    pub(crate) fn shipped(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("configs/lab/{name}.toml"));
        let mut table = load_table(&path).unwrap_or_else(|error| panic!("{error}"));
        for gone in ["flow", "move", "checks"] {
            table.remove(gone);
        }
        let mut draft = Draft(table);
        draft.hurry();
        draft
    }

    /// With these links, nodes and hosts, in TOML, besides.
    pub(crate) fn with(mut self, text: &str) -> Self {
        lay_over(&mut self.0, text.parse().expect("TOML"));
        self.hurry();
        self
    }

    /// With this table of TOML laid over the configuration of a node: tables are merged, lists appended to, all else
    /// takes the place of what was there.
    pub(crate) fn configure(mut self, node: &str, text: &str) -> Self {
        lay_over(self.config(node), text.parse().expect("TOML"));
        self
    }

    /// With this start of a terminal.
    pub(crate) fn start(mut self, terminal: &str, link: &str) -> Self {
        self.node(terminal).insert("start".into(), link.into());
        self
    }

    /// With a radio of a terminal on this link.
    pub(crate) fn radio(self, terminal: &str, link: &str) -> Self {
        let port = format!("[[port]]\nname = \"{link}\"\nlink = \"{link}\"");
        self.configure(terminal, &format!("{port}\n[[mobile_terminal.radio]]\nport = \"{link}\""))
    }

    /// Without the radio of a terminal on this link.
    pub(crate) fn forget_radio(mut self, terminal: &str, link: &str) -> Self {
        let config = self.config(terminal);
        config["port"].as_array_mut().expect("ports").retain(|port| port["name"].as_str() != Some(link));
        let radios = config["mobile_terminal"]["radio"].as_array_mut().expect("radios");
        radios.retain(|radio| radio["port"].as_str() != Some(link));
        self
    }

    /// The tables of a node's configuration.
    pub(crate) fn config(&mut self, node: &str) -> &mut Table {
        self.node(node)["config"].as_table_mut().expect("a table")
    }

    fn nodes(&mut self) -> impl Iterator<Item = &mut Table> {
        self.0["node"].as_array_mut().expect("nodes").iter_mut().filter_map(Value::as_table_mut)
    }

    fn node(&mut self, name: &str) -> &mut Table {
        self.nodes().find(|node| node["name"].as_str() == Some(name)).expect("a node of this name")
    }

    fn hurry(&mut self) {
        let period = Value::Integer(PIM_PERIOD.as_secs() as i64);
        for node in self.nodes() {
            let Some(router) = node["config"].get_mut("router").and_then(Value::as_table_mut) else { continue };
            router.insert("join_prune_period_secs".into(), period.clone());
            for port in router.get_mut("port").and_then(Value::as_array_mut).into_iter().flatten() {
                port.as_table_mut().expect("a table").insert("hello_period_secs".into(), period.clone());
            }
        }
    }

    /// The lab.
    pub(crate) fn lab(&self) -> Lab {
        parse_lab("scenario", &self.0.to_string(), Path::new("")).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn lay_over(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (Some(Value::Array(present)), Value::Array(more)) => present.extend(more),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// What links do to frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weather {
    /// Nothing but the delay of the lab file.
    Fair,
    /// Every link has a delay, a jitter that lets frames overtake each other, and a loss of its own, by the seed.
    Rough,
    /// And besides, links deliver frames twice now and then.
    Stormy,
}

impl Weather {
    /// Whether nothing is lost, doubled or overtaken.
    pub(crate) fn is_fair(self) -> bool {
        self == Weather::Fair
    }
}

/// The one weather of a seed: fair for every tenth, rough or stormy in turn for the others.
pub(crate) fn weather(seed: u64) -> Weather {
    match seed {
        _ if seed.is_multiple_of(10) => Weather::Fair,
        _ if seed.is_multiple_of(2) => Weather::Stormy,
        _ => Weather::Rough,
    }
}

/// The weathers of a seed: rough, and for every tenth fair besides.
pub(crate) fn weathers(seed: u64) -> impl Iterator<Item = Weather> {
    let fair = seed.is_multiple_of(10).then_some(Weather::Fair);
    [Weather::Rough].into_iter().chain(fair)
}

/// A scenario that runs.
pub(crate) struct World<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) sim: SimLab<'a>,
    /// What the capture holds, as far as it was looked at.
    read: RefCell<Vec<Seen>>,
    next_port: u16,
    /// The correspondent gets other packets than those that the terminal's programs send.
    pub(crate) has_strangers: bool,
}

/// A stream of numbered datagrams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    from: NodeId,
    id: FlowId,
    to: NodeId,
    port: u16,
    key: StreamKey,
}

impl<'a> World<'a> {
    /// The lab in this weather, its terminals near the links where they start. Time stands at zero.
    pub(crate) fn new(lab: &'a Lab, seed: u64, weather: Weather) -> Self {
        let sim = SimLab::new(lab, seed).expect("a lab that can be built");
        let mut world = World { lab, sim, read: RefCell::default(), next_port: 7000, has_strangers: false };
        let mut chance = Rng::new(seed ^ 0x5ca1_ab1e);
        for index in (0..lab.links.len()).map(LinkIndex) {
            let link = world.sim.link_id(index);
            let config = world.sim.network_mut().link_config_mut(link);
            if weather != Weather::Fair {
                config.delay = config.delay / 2 + Duration::from_micros(chance.below(4_000));
                config.jitter = Duration::from_micros(chance.below(3_000));
                config.loss_ppm = chance.below(20_000) as u32;
            }
            if weather == Weather::Stormy {
                config.duplicate_ppm = chance.below(10_000) as u32;
            }
        }
        // What programs send and get is part of the story.
        for link in world.sim.network().links() {
            world.sim.network_mut().link_config_mut(link).capture = true;
        }
        for terminal in lab.terminals() {
            if let Some(start) = lab.nodes[terminal.0].start {
                world.sim.set_signal(terminal, start, SIGNAL_NEAR_DBM).expect("a port there");
            }
        }
        world
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        self.sim.network().now()
    }

    /// Lets time go on.
    pub(crate) fn run_ms(&mut self, millis: u64) {
        let until = self.now() + Duration::from_millis(millis);
        self.sim.run_until(until).expect("the network comes to rest");
    }

    /// Lets time go on until `done` says so; fails where it did not within `millis`.
    pub(crate) fn run_until(&mut self, what: &str, millis: u64, mut done: impl FnMut(&Self) -> bool) {
        let limit = self.now() + Duration::from_millis(millis);
        while !done(self) {
            assert!(self.now() < limit, "not within {millis} ms: {what}\n{}", self.story(60));
            self.run_ms(20);
        }
    }

    pub(crate) fn node(&self, name: &str) -> NodeIndex {
        let index = self.lab.nodes.iter().position(|node| node.name == name);
        NodeIndex(index.expect("a node of this name"))
    }

    pub(crate) fn worker(&self, name: &str) -> &Worker<DroverNode> {
        self.sim.worker(self.node(name)).expect("a node that runs")
    }

    pub(crate) fn id(&self, name: &str) -> NodeId {
        self.sim.network().find_node(name).expect("a node of this name")
    }

    pub(crate) fn link(&self, name: &str) -> LinkIndex {
        self.lab.link_named(name).expect("a link of this name")
    }

    /// The link of the network with this name, one between a terminal and its programs among them.
    pub(crate) fn link_id(&self, name: &str) -> LinkId {
        let network = self.sim.network();
        network.links().find(|&link| network.link_name(link) == name).expect("a link of this name")
    }

    pub(crate) fn attach(&mut self, terminal: &str, link: &str) {
        let (terminal, link) = (self.node(terminal), self.link(link));
        self.sim.set_attached(terminal, link, true).expect("a port there");
    }

    pub(crate) fn detach(&mut self, terminal: &str, link: &str) {
        let (terminal, link) = (self.node(terminal), self.link(link));
        self.sim.set_attached(terminal, link, false).expect("a port there");
    }

    pub(crate) fn signal(&mut self, terminal: &str, link: &str, dbm: i16) {
        let (terminal, link) = (self.node(terminal), self.link(link));
        self.sim.set_signal(terminal, link, dbm).expect("a port there");
    }

    /// The terminal comes near `to` and hears `from` fade; both links are up.
    pub(crate) fn approach(&mut self, terminal: &str, from: &str, to: &str) {
        self.signal(terminal, to, SIGNAL_NEAR_DBM);
        self.attach(terminal, to);
        self.signal(terminal, from, SIGNAL_FAR_DBM);
    }

    /// The terminal loses `from` at once and comes to `to` after a while.
    pub(crate) fn jump(&mut self, terminal: &str, from: &str, to: &str, millis: u64) {
        self.detach(terminal, from);
        self.run_ms(millis);
        self.signal(terminal, to, SIGNAL_NEAR_DBM);
        self.attach(terminal, to);
    }

    /// Takes a node's power away.
    pub(crate) fn crash(&mut self, node: &str) {
        let id = self.id(node);
        self.sim.network_mut().crash(id);
    }

    /// Starts a node anew. A terminal is told again how near the links are where it is attached.
    pub(crate) fn restart(&mut self, node: &str) {
        let id = self.id(node);
        self.sim.network_mut().restart(id);
        let index = self.node(node);
        if self.lab.nodes[index.0].config.mobile_terminal.is_some() {
            for link in self.lab.nodes[index.0].links.clone().into_iter().flatten() {
                let port = self.lab.nodes[index.0].port_on(link).expect("a port there");
                if self.sim.network().link_of(id, port).is_some() {
                    self.sim.set_signal(index, link, SIGNAL_NEAR_DBM).expect("a port there");
                }
            }
        }
    }

    /// Starts a stream from a host of the network to another, a datagram every `interval_ms`.
    pub(crate) fn stream(
        &mut self,
        from: (&str, Ipv6Addr),
        to: (&str, Ipv6Addr),
        interval_ms: u64,
        count: u64,
    ) -> Stream {
        let (start, port) = (self.now(), self.next_port);
        self.next_port += 1;
        let stream = u32::from(port);
        let (sender, receiver) = (self.id(from.0), self.id(to.0));
        let network = self.sim.network_mut();
        network.node_mut::<SimHost>(receiver).expect("a host").receive_streams(port);
        let id = network.node_mut::<SimHost>(sender).expect("a host").send_stream(StreamConfig {
            destination: to.1,
            port,
            stream,
            start,
            interval: Duration::from_millis(interval_ms),
            count,
            octets: 64,
        });
        Stream { from: sender, id, to: receiver, port, key: StreamKey { source: from.1, stream } }
    }

    /// A stream from the correspondent to the terminal's programs.
    pub(crate) fn down(&mut self, interval_ms: u64, count: u64) -> Stream {
        self.stream(("cn", CN), ("mt-programs", HOME), interval_ms, count)
    }

    /// A stream from the correspondent of ours to the terminal's programs.
    pub(crate) fn down_from_peer(&mut self, interval_ms: u64, count: u64) -> Stream {
        self.stream(("peer-programs", PEER), ("mt-programs", HOME), interval_ms, count)
    }

    /// A stream from the terminal's programs to the correspondent of ours.
    pub(crate) fn up_to_peer(&mut self, interval_ms: u64, count: u64) -> Stream {
        self.stream(("mt-programs", HOME), ("peer-programs", PEER), interval_ms, count)
    }

    /// A stream from the terminal's programs to the correspondent.
    pub(crate) fn up(&mut self, interval_ms: u64, count: u64) -> Stream {
        self.stream(("mt-programs", HOME), ("cn", CN), interval_ms, count)
    }

    /// What became of a stream so far.
    pub(crate) fn flow(&self, stream: Stream) -> Flow {
        let host = |node| self.sim.network().node::<SimHost>(node).expect("a host");
        let received = host(stream.to).received_stream(stream.port, stream.key).cloned().unwrap_or_default();
        Flow::join(host(stream.from).sent_stream(stream.id), &received)
    }

    /// Puts an intruder on an access link. Its frames go to the router there.
    pub(crate) fn intruder(&mut self, link: &str) -> NodeId {
        self.has_strangers = true;
        let (name, link) = (format!("intruder-{link}"), self.link_id(link));
        let network = self.sim.network_mut();
        let id = network.add_node(name, |_| Intruder::build());
        network.attach(id, PortId(0), link).expect("a free port");
        id
    }

    /// Has an intruder send a packet to a router on its link.
    pub(crate) fn intrude(&mut self, intruder: NodeId, router: &str, link: &str, packet: &[u8]) {
        let port = self.port_on(router, link);
        let destination = self.worker(router).node().ports()[usize::from(port.0)].link_address;
        let mut frame = [&destination.0[..], &INTRUDER.0, &[0x86, 0xdd]].concat();
        frame.extend_from_slice(packet);
        self.sim.network_mut().node_mut::<Intruder>(intruder).expect("an intruder").outbox.push_back(frame);
    }

    /// Puts a host that knows nothing of mobility on an access link.
    pub(crate) fn host(&mut self, name: &str, link: &str, router: &str, address: Ipv6Addr) {
        self.has_strangers = true;
        let port = self.port_on(router, link);
        let gateway = Some(self.worker(router).node().ports()[usize::from(port.0)].link_local);
        let link = self.link_id(link);
        let network = self.sim.network_mut();
        let octet = network.nodes().count() as u8;
        let id = network.add_node(name, move |boot| {
            let info = port_info("eth0", Medium::Ethernet, MacAddress([2, 0, 0x5e, 0x77, 0, octet]), 1400);
            let config = HostConfig { address, prefix_length: 64, gateway, seed: boot.seed };
            let (host, end) = SimHost::in_memory(info, &config).expect("memory for a host's frames");
            Built::new(host, vec![end])
        });
        network.attach(id, PortId(0), link).expect("a free port");
    }

    pub(crate) fn port_on(&self, node: &str, link: &str) -> PortId {
        self.lab.nodes[self.node(node).0].port_on(self.link(link)).expect("a port there")
    }

    /// The mobile terminal of a node.
    pub(crate) fn terminal(&self, name: &str) -> &MobileTerminal {
        self.worker(name).node().terminal().expect("a terminal")
    }

    /// The mobility agent of a node.
    pub(crate) fn agent(&self, name: &str) -> &MobilityManagementAgent {
        self.worker(name).node().mma().expect("an agent")
    }

    /// Whether a terminal sends through the router of this link.
    pub(crate) fn sends_through(&self, terminal: &str, link: &str) -> bool {
        self.terminal(terminal).current_router().map(|router| router.port) == Some(self.port_on(terminal, link))
    }

    /// Every frame so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen_since(Instant::ORIGIN)
    }

    /// Every frame that was sent at `from` or later.
    pub(crate) fn seen_since(&self, from: Instant) -> Vec<Seen> {
        self.with_seen_since(from, <[Seen]>::to_vec)
    }

    /// The first frame that is like this.
    pub(crate) fn find(&self, like: impl FnMut(&&Seen) -> bool) -> Option<Seen> {
        self.with_seen_since(Instant::ORIGIN, |seen| seen.iter().find(like).cloned())
    }

    /// Whether a frame that was sent at `from` or later is like this.
    pub(crate) fn has_seen_since(&self, from: Instant, like: impl FnMut(&Seen) -> bool) -> bool {
        self.with_seen_since(from, |seen| seen.iter().any(like))
    }

    /// Looks at the frames that were sent at `from` or later, each of which is read only once.
    fn with_seen_since<T>(&self, from: Instant, look: impl FnOnce(&[Seen]) -> T) -> T {
        let network = self.sim.network();
        let mut read = self.read.borrow_mut();
        let frames = network.capture().frames();
        let new = frames[read.len()..].iter().map(|captured| Seen {
            at: captured.at,
            link: Name(network.link_name(captured.link).into()),
            from: Name(network.node_name(captured.from).into()),
            lost: captured.copies == 0,
            what: Rc::clone(captured.describe()),
            frame: captured.frame.clone(),
        });
        read.extend(new);
        let start = read.partition_point(|seen| seen.at < from);
        look(&read[start..])
    }

    /// The bindings of every agent, as octets.
    pub(crate) fn bindings(&self) -> String {
        serde_json::to_string(&self.sim.bindings()).expect("JSON")
    }

    /// The last signalling messages, for those who look for what went wrong.
    pub(crate) fn story(&self, messages: usize) -> String {
        let all = self.seen();
        let told = |seen: &&Seen| match seen.what.class() {
            Class::Mld | Class::Mobility | Class::Icmpv6Error => true,
            Class::Pim => seen.join_prune().is_some(),
            _ => false,
        };
        let lines: Vec<String> = all.iter().filter(told).map(Seen::to_string).collect();
        lines[lines.len().saturating_sub(messages)..].join("\n")
    }

    /// What holds in every scenario: nothing malformed, no group outside its site, inner packets as they were sent, no
    /// packet going round, no frame lost track of, and every packet counted once.
    pub(crate) fn check(&self) {
        let network = self.sim.network();
        let capture = network.capture();
        let nothing = |name: &str, findings: Vec<check::Finding>| {
            assert!(findings.is_empty(), "{name}: {} findings, the first: {}", findings.len(), findings[0]);
        };
        assert_eq!(capture.refused(), 0);
        nothing("malformed", check::malformed(capture));
        let inside = |link: LinkId| match self.lab.link_named(network.link_name(link)) {
            Some(index) => self.lab.links[index.0].site.is_some(),
            None => false,
        };
        nothing("scope", check::scope_leaks(capture, Scope::SITE_LOCAL, inside));
        // Of every correspondent: its address, and the link where its programs' packets are as programs have them.
        let mut correspondents = vec![(CN, self.link_id("cn-bb"))];
        if network.find_node("peer").is_some() {
            correspondents.push((PEER, self.link_id("peer-tun")));
        }
        let programs = self.link_id("mt-tun");
        let mut altered: Vec<Vec<check::Finding>> =
            correspondents.iter().map(|&(_, origin)| check::altered(capture, HOME, origin, programs)).collect();
        let last = altered.pop().unwrap_or_default();
        // What one of them has sent is no finding.
        nothing("down", last.into_iter().filter(|f| altered.iter().all(|others| others.contains(f))).collect());
        if !self.has_strangers {
            for (address, link) in correspondents {
                nothing("up", check::altered(capture, address, programs, link));
            }
        }
        // A packet of figure 4 passes the border twice: on its way to the home agent, and back out of its tunnel.
        nothing("loops", check::loops(capture, 2));
        assert_eq!(network.unaccounted_frames(), []);
        for node in &self.lab.nodes {
            let Some(worker) = self.sim.worker(self.node(&node.name)) else { continue };
            assert!(worker.dataplane().counters().is_balanced(), "{} does not balance", node.name);
            for (name, value) in parse_errors(worker, self.now()) {
                assert_eq!(value, 0, "{} counts {name}", node.name);
            }
        }
    }
}

/// A station of a link that sends what it is given and hears nothing.
pub(crate) struct Intruder {
    port: MemPort,
    pool: Pool,
    outbox: VecDeque<Vec<u8>>,
}

impl Intruder {
    fn build() -> Built {
        let (port, end) = MemPort::new(port_info("eth0", Medium::Ethernet, INTRUDER, 1500));
        Built::new(Intruder { port, pool: Pool::new(64).expect("memory"), outbox: VecDeque::new() }, vec![end])
    }
}

impl SimNode for Intruder {
    fn iterate(&mut self, _now: Instant) -> bool {
        let mut batch = Batch::new();
        let received = self.port.rx_batch(&self.pool, &mut batch);
        batch.clear();
        let sent = self.outbox.pop_front();
        if let Some(frame) = &sent {
            batch.push(self.pool.copy_of(frame).expect("a free frame"));
            self.port.tx_batch(&mut batch);
        }
        received > 0 || sent.is_some()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// The counters of a node that count messages that it could not read.
fn parse_errors(worker: &Worker<DroverNode>, now: Instant) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let counters = node::show(worker, now, Topic::Counters);
    for (machine, counters) in counters.as_object().expect("an object") {
        for (name, value) in counters.as_object().expect("an object of numbers") {
            if ["malformed", "checksum", "truncated", "framing", "header"].iter().any(|word| name.contains(word)) {
                found.push((format!("{machine} {name}"), value.as_u64().unwrap_or(0)));
            }
        }
    }
    found
}

/// The name of a link or a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name(Rc<str>);

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self)
    }
}

/// A frame that was put on a link.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) link: Name,
    /// Who sent it.
    pub(crate) from: Name,
    /// Whether nobody gets it.
    pub(crate) lost: bool,
    pub(crate) what: Rc<Description>,
    pub(crate) frame: Rc<[u8]>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9} us {:<10} {:<9} {}", self.at.as_micros(), self.link, self.from, self.what)?;
        if self.lost { f.write_str(" (lost)") } else { Ok(()) }
    }
}

impl Seen {
    pub(crate) fn source(&self) -> Ipv6Addr {
        self.what.outer().map_or(Ipv6Addr::UNSPECIFIED, |layer| layer.header.source)
    }

    pub(crate) fn destination(&self) -> Ipv6Addr {
        self.what.outer().map_or(Ipv6Addr::UNSPECIFIED, |layer| layer.header.destination)
    }

    /// Source and destination of each header, from the outside in.
    pub(crate) fn headers(&self) -> Vec<(Ipv6Addr, Ipv6Addr)> {
        self.what.layers.iter().map(|layer| (layer.header.source, layer.header.destination)).collect()
    }

    /// The home address that its outer header names in a Home Address option.
    pub(crate) fn home_address_option(&self) -> Option<Ipv6Addr> {
        self.what.outer()?.chain.home_address.map(|option| option.home_address)
    }

    /// The home address that its outer header names in a type 2 routing header.
    pub(crate) fn routing_header(&self) -> Option<Ipv6Addr> {
        self.what.outer()?.chain.type2_routing.map(|routing| routing.home_address)
    }

    pub(crate) fn is_mobility(&self) -> bool {
        self.what.class() == Class::Mobility
    }

    pub(crate) fn update(&self) -> Option<&BindingUpdate> {
        match &self.what.kind {
            Kind::Mobility(MobilityMessage::BindingUpdate(update)) => Some(update),
            _ => None,
        }
    }

    pub(crate) fn acknowledgement(&self) -> Option<&BindingAcknowledgement> {
        match &self.what.kind {
            Kind::Mobility(MobilityMessage::BindingAcknowledgement(acknowledgement)) => Some(acknowledgement),
            _ => None,
        }
    }

    /// Whether it is an MLD report that wants the group.
    pub(crate) fn wants(&self, group: Ipv6Addr) -> bool {
        self.records(group).any(|record| match record.kind {
            RecordType::ModeIsInclude | RecordType::ChangeToInclude => !record.sources.is_empty(),
            RecordType::ModeIsExclude | RecordType::ChangeToExclude | RecordType::AllowNewSources => true,
            RecordType::BlockOldSources => false,
        })
    }

    /// Whether it is an MLD report that gives the group up.
    pub(crate) fn leaves(&self, group: Ipv6Addr) -> bool {
        self.records(group).next().is_some() && !self.wants(group)
    }

    /// Whether it is an MLD report of groups that end with the link, and of no others.
    pub(crate) fn reports_the_link(&self) -> bool {
        let ends_there = |record: &mld::Record| Scope::of(record.group).is_some_and(|scope| scope <= Scope::LINK_LOCAL);
        matches!(&self.what.kind, Kind::Mld(mld::Message::Report(report)) if report.records.iter().all(ends_there))
    }

    /// The records of an MLD report for the group.
    pub(crate) fn records(&self, group: Ipv6Addr) -> impl Iterator<Item = &mld::Record> {
        let records = match &self.what.kind {
            Kind::Mld(mld::Message::Report(report)) => &report.records[..],
            _ => &[],
        };
        records.iter().filter(move |record| record.group == group)
    }

    pub(crate) fn is_hello(&self) -> bool {
        matches!(self.what.kind, Kind::Pim(pim::Message::Hello))
    }

    fn join_prune(&self) -> Option<&pim::JoinPrune> {
        match &self.what.kind {
            Kind::Pim(pim::Message::JoinPrune(message)) => Some(message),
            _ => None,
        }
    }

    /// The trees of the group that a PIM message is about.
    pub(crate) fn trees(&self, group: Ipv6Addr) -> impl Iterator<Item = &pim::Tree> {
        let message = self.join_prune();
        let trees = message.into_iter().flat_map(|message| message.joins.iter().chain(&message.prunes));
        trees.filter(move |tree| tree.group == group)
    }

    /// Whether it is a PIM Join of the group.
    pub(crate) fn joins(&self, group: Ipv6Addr) -> bool {
        self.join_prune().is_some_and(|message| message.joins.iter().any(|tree| tree.group == group))
    }

    /// Whether it is a PIM Prune of the group.
    pub(crate) fn prunes(&self, group: Ipv6Addr) -> bool {
        self.join_prune().is_some_and(|message| message.prunes.iter().any(|tree| tree.group == group))
    }

    /// Whether it is a packet of programs between these two.
    pub(crate) fn is_data(&self, source: Ipv6Addr, destination: Ipv6Addr) -> bool {
        self.what.class() == Class::Data
            && self.what.inner().is_some_and(|inner| {
                // A Home Address option says who sent it, a type 2 routing header for whom it is.
                let option = inner.chain.home_address.map(|option| option.home_address);
                let routing = inner.chain.type2_routing.map(|routing| routing.home_address);
                option.unwrap_or(inner.header.source) == source
                    && routing.unwrap_or(inner.header.destination) == destination
            })
    }
}

/// Whether an address is in a prefix that is written out.
pub(crate) fn is_in(address: Ipv6Addr, prefix: &str) -> bool {
    prefix.parse::<Prefix>().expect("a prefix").contains(address)
}
