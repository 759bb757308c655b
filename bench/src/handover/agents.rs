//! What a Binding Update costs an agent: at every movement under HMIPv6 an anchor point gets one, and under plain Mobile
//! IPv6 the home agent; with a group per terminal a mobility agent gets one at an arrival from another site, and none at a
//! move within.
//!
//! The agents are nodes of the appliance with a port in memory. Updates are authenticated as terminals do it (RFC 4285),
//! each with a key of its own, and made before anything is timed. What is timed is the turn of the worker that receives
//! the update: the acknowledgement has left when it ends.

use super::result::{More, StageMore};
use super::stopwatch::Stopwatch;
use crate::allocations;
use crate::progress::Progress;
use crate::report::Line;
use crate::statistics::{Durations, Spread};
use crate::traffic::link::{framed, in_memory};
use anyhow::{Context, Result, ensure};
use core::net::Ipv6Addr;
use drover::config;
use drover::config::resolved::ServedTerminal;
use drover::node::{DroverNode, fixed_clock};
use mma::auth::{Algorithm, Key, SecurityAssociation, Spi};
use mma::secret::SecretRng;
use stack::addr::{Eui64, GroupLayout, MacAddress, Scope};
use stack::inspect::{self, Kind};
use stack::machine::PortId;
use stack::packet::{BATCH_SIZE, Pool};
use stack::pipeline::{Counter, Dataplane};
use stack::port::{Medium, MemEnd, MemPort, Port, PortInfo};
use stack::runtime::Worker;
use stack::tables::{Neighbor, TableUpdate};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::option::Subscription;
use stack::wire::mobility::{
    BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime, MobilityMessage, MobilityOptions,
};
use std::path::Path;

const FRAMES: u32 = 1024;
const MTU: usize = 1500;
const LIFETIME: Duration = Duration::from_secs(1800);
const SPI: u32 = 1000;
/// Time between two updates, on the agent's clock.
const BETWEEN: Duration = Duration::from_micros(100);
/// Idle turns before an update, as of a worker that spins.
const SPINS: usize = 8;
const BLOCKS: u32 = 8;
/// Turns without an acknowledgement after which a storm is over.
const MAX_SILENT_TURNS: u32 = 64;
/// The identifiers of terminals, before their number is added.
const EUI64: u64 = 0x0200_5eff_fe00_0000;
const MOBILITY_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 1);
const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 1);
/// The router from which updates come.
const ROUTER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0xfe, 0]);
const AGENT_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0xfd, 0]);

/// Who gets the updates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Of terminals with groups: an arrival from another site.
    MobilityAgent,
    /// Of terminals without: another address in the same site (RFC 5380 §6).
    Anchor,
    /// Of all: another care-of address.
    HomeAgent,
}

impl Role {
    pub(crate) const ALL: [Role; 3] = [Role::MobilityAgent, Role::Anchor, Role::HomeAgent];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Role::MobilityAgent => "mobility-agent",
            Role::Anchor => "anchor",
            Role::HomeAgent => "home-agent",
        }
    }

    const fn address(self) -> Ipv6Addr {
        match self {
            Role::MobilityAgent | Role::Anchor => MOBILITY_AGENT,
            Role::HomeAgent => HOME_AGENT,
        }
    }
}

/// A terminal as its agent knows it.
struct Client {
    role: Role,
    number: u32,
    association: SecurityAssociation,
    sequence: u16,
    /// On which of two links it is.
    link: u16,
}

impl Client {
    fn new(role: Role, number: u32) -> Result<Self> {
        let association = SecurityAssociation {
            spi: Spi::new(SPI)?,
            key: Key::new(&key(number))?,
            algorithm: Algorithm::HmacSha1_96,
        };
        Ok(Client { role, number, association, sequence: 0, link: 0 })
    }

    /// Its update from the other link.
    fn moves(&mut self) -> Vec<u8> {
        self.link = 1 - self.link;
        self.update(Lifetime::at_most(LIFETIME))
    }

    /// Its update that ends the registration.
    fn leaves(&mut self) -> Vec<u8> {
        self.update(Lifetime::ZERO)
    }

    fn update(&mut self, lifetime: Lifetime) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let eui64 = eui64(self.number);
        let access = 0x200a + self.link;
        let source = stack::addr::with_interface_identifier(
            match self.role {
                Role::MobilityAgent | Role::Anchor => Ipv6Addr::new(0x2001, 0xdb8, 0x200, access & 0xf, 0, 0, 0, 0),
                Role::HomeAgent => Ipv6Addr::new(0x2001, 0xdb8, access, 0xc0a, 0, 0, 0, 0),
            },
            eui64.modified(),
        );
        // What stands in the place of the home address at an anchor point is the regional one (RFC 5380 §6.1).
        let home = match self.role {
            Role::Anchor => stack::addr::with_interface_identifier(MOBILITY_AGENT, eui64.modified()),
            Role::MobilityAgent | Role::HomeAgent => home(self.number),
        };
        let group = GroupLayout::Ssm { scope: Scope::SITE_LOCAL }.group(eui64);
        let subscription = group.map(|group| Subscription { group, source: Some(MOBILITY_AGENT) });
        let subscribes = self.role == Role::MobilityAgent && lifetime != Lifetime::ZERO;
        let kind = match self.role {
            Role::MobilityAgent | Role::Anchor => BindingUpdateFlags::MAP_REGISTRATION,
            Role::HomeAgent => BindingUpdateFlags::HOME_REGISTRATION,
        };
        let update = BindingUpdate {
            sequence: self.sequence,
            flags: BindingUpdateFlags::ACKNOWLEDGE | kind,
            lifetime,
            options: MobilityOptions {
                subscriptions: subscription.filter(|_| subscribes).into_iter().collect(),
                ..MobilityOptions::default()
            },
        };
        let message = self.association.sign_update(update, source, home);
        let packet = PacketBuilder::new(source, self.role.address()).home_address(home).checksummed(
            protocol::MOBILITY,
            message,
            CHECKSUM_AT,
        );
        framed(&packet, AGENT_MAC, ROUTER_MAC)
    }
}

fn eui64(number: u32) -> Eui64 {
    Eui64(EUI64 + u64::from(number) + 1)
}

fn home(number: u32) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0x5e, (number >> 16) as u16 + 1, number as u16)
}

fn key(number: u32) -> [u8; 16] {
    let mut key = [0x5a; 16];
    key[..4].copy_from_slice(&number.to_be_bytes());
    key
}

/// An agent that runs.
struct Agent {
    worker: Worker<DroverNode>,
    end: MemEnd,
    now: Instant,
    stopwatch: Stopwatch,
}

/// What a turn did.
struct Turn {
    took: Duration,
    allocations: u64,
    acknowledged: usize,
}

impl Agent {
    fn new(role: Role, terminals: u32, stopwatch: Stopwatch) -> Result<Self> {
        let (text, router) = match role {
            Role::MobilityAgent | Role::Anchor => (MMA, Ipv6Addr::new(0x2001, 0xdb8, 0x200, 1, 0, 0, 0, 2)),
            Role::HomeAgent => (HA, Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1)),
        };
        let text = text.replace("ENTRIES", &terminals.to_string());
        let text = text.replace("ANCHOR", if role == Role::Anchor { "true" } else { "false" });
        let mut config = config::parse("bench", &text, Path::new(""))?;
        let served = match (&mut config.mma, &mut config.home_agent) {
            (Some(mma), _) => &mut mma.terminals,
            (_, Some(agent)) => &mut agent.terminals,
            _ => unreachable!("the texts are of agents"),
        };
        let template = served.pop().context("the texts have a terminal")?;
        served.extend((0..terminals).map(|number| {
            let mut terminal = ServedTerminal { home_address: home(number), ..template.clone() };
            terminal.eui64 = (role != Role::HomeAgent).then(|| eui64(number));
            terminal.association.key = key(number).to_vec();
            terminal
        }));
        let (mut ports, mut infos, mut first): (Vec<Box<dyn Port>>, Vec<PortInfo>, Option<MemEnd>) = Default::default();
        for port in &config.ports {
            // The first is AGENT_MAC.
            let info = in_memory(port.name.clone(), MacAddress([2, 0, 0, 0, 0xfd, port.id.0]), MTU);
            let (port, end) = MemPort::new(info.clone());
            end.set_capacity(usize::MAX);
            first.get_or_insert(end);
            infos.push(info);
            ports.push(Box::new(port));
        }
        let node = DroverNode::new(&config, &infos, 7, SecretRng::simulated(7), fixed_clock())?;
        let pool = Pool::new(FRAMES).context("cannot map the frames of a pool")?;
        let dataplane = Dataplane::new(DroverNode::dataplane_config(&config, 7), pool, &infos);
        let end = first.context("the texts have ports")?;
        let mut agent =
            Agent { worker: Worker::new(dataplane, node, ports), end, now: Instant::from_secs(1), stopwatch };
        agent.turn();
        let neighbor = Neighbor { link_address: ROUTER_MAC, notify_use: false };
        agent.worker.dataplane_mut().apply(agent.now, TableUpdate::NeighborSet(PortId(0), router, neighbor));
        Ok(agent)
    }

    /// A turn; acknowledgements that accept are counted.
    fn turn(&mut self) -> Turn {
        let before = allocations::count();
        let (worker, now) = (&mut self.worker, self.now);
        let took = self.stopwatch.time(|| {
            worker.iterate(now);
        });
        let allocations = allocations::count() - before;
        while self.worker.poll_event().is_some() {}
        let mut acknowledged = 0;
        while let Some(frame) = self.end.pop() {
            if let Kind::Mobility(MobilityMessage::BindingAcknowledgement(answer)) =
                inspect::describe(&frame, Medium::Ethernet).kind
                && answer.status.is_accepted()
            {
                acknowledged += 1;
            }
        }
        Turn { took, allocations, acknowledged }
    }

    fn hear(&mut self, frame: Vec<u8>) -> Result<()> {
        ensure!(self.end.push(frame), "a port has not taken a frame");
        Ok(())
    }

    /// Has updates taken without looking at the time.
    fn take(&mut self, frames: Vec<Vec<u8>>) -> Result<()> {
        let count = frames.len();
        frames.into_iter().try_for_each(|frame| self.hear(frame))?;
        let mut acknowledged = 0;
        for _ in 0..count.div_ceil(BATCH_SIZE) + 1 {
            self.now += BETWEEN;
            acknowledged += self.turn().acknowledged;
        }
        ensure!(acknowledged == count, "{acknowledged} of {count} updates were accepted");
        Ok(())
    }

    fn bindings(&self, role: Role) -> usize {
        let plane = self.worker.dataplane();
        match role {
            Role::MobilityAgent | Role::Anchor => plane.mma_bindings().count(),
            Role::HomeAgent => plane.home_bindings().count(),
        }
    }
}

/// How much there is to do.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) terminals: u32,
    pub(crate) updates: u32,
    pub(crate) storm: u32,
    pub(crate) repetitions: u32,
}

impl Work {
    /// Updates that are timed, of all roles together.
    pub(crate) fn steps(&self) -> u64 {
        Role::ALL.len() as u64 * (u64::from(self.updates) + u64::from(self.storm) * u64::from(self.repetitions))
    }
}

/// Measures an agent.
pub(crate) fn run(role: Role, work: Work, stopwatch: Stopwatch, progress: &Progress) -> Result<[Line<More>; 2]> {
    let Work { terminals, updates, storm, repetitions } = work;
    let mut agent = Agent::new(role, terminals, stopwatch)?;
    let mut clients = (0..terminals).map(|number| Client::new(role, number)).collect::<Result<Vec<_>>>()?;
    for crowd in clients.chunks_mut(BATCH_SIZE) {
        agent.take(crowd.iter_mut().map(Client::moves).collect())?;
    }
    ensure!(agent.bindings(role) == terminals as usize, "not all terminals are bound");

    // One at a time; terminals with groups have been away.
    let (mut all, mut medians, mut counted) = (Durations::new(), Vec::new(), 0);
    let mut next = 0..;
    for block in 0..BLOCKS {
        let mut durations = Durations::new();
        let size = updates / BLOCKS + u32::from(block < updates % BLOCKS);
        let chosen: Vec<usize> = (0..size).map(|_| next.next().unwrap_or(0) % terminals as usize).collect();
        // All of them before the first one comes back, so that what is known of it is not in the caches.
        for crowd in chosen.chunks(terminals as usize) {
            if role == Role::MobilityAgent {
                agent.take(crowd.iter().map(|&index| clients[index].leaves()).collect())?;
            }
            for &index in crowd {
                agent.now += BETWEEN;
                for _ in 0..SPINS {
                    agent.turn();
                }
                agent.hear(clients[index].moves())?;
                let turn = agent.turn();
                ensure!(turn.acknowledged == 1, "an update was not accepted");
                durations.record(turn.took.as_nanos() as u64);
                counted += turn.allocations;
                progress.step();
            }
        }
        if size > 0 {
            medians.push(durations.percentiles().p50 as f64);
            all.add(&durations);
        }
    }
    let what = "Binding Update at the port, answer out";
    let one = line(role, "update", what, terminals, &all, Spread::of(&medians), counted);

    let (mut all, mut last, mut counted) = (Durations::new(), Vec::new(), 0);
    for _ in 0..repetitions {
        let chosen: Vec<usize> = (0..storm).map(|_| next.next().unwrap_or(0) % terminals as usize).collect();
        if role == Role::MobilityAgent {
            agent.take(chosen.iter().map(|&index| clients[index].leaves()).collect())?;
        }
        for index in chosen {
            let frame = clients[index].moves();
            agent.hear(frame)?;
        }
        let (mut elapsed, mut acknowledged, mut silent) = (Duration::ZERO, 0, 0);
        while acknowledged < storm as usize && silent < MAX_SILENT_TURNS {
            let turn = agent.turn();
            elapsed += turn.took;
            agent.now += turn.took;
            counted += turn.allocations;
            silent = if turn.acknowledged == 0 { silent + 1 } else { 0 };
            acknowledged += turn.acknowledged;
            for _ in 0..turn.acknowledged {
                all.record(elapsed.as_nanos() as u64);
                progress.step();
            }
        }
        ensure!(acknowledged == storm as usize, "{acknowledged} of {storm} updates of a storm were accepted");
        last.push(elapsed.as_nanos() as f64);
    }
    ensure!(agent.bindings(role) == terminals as usize, "a binding is missing");
    let refused = agent.worker.dataplane().counters().get(Counter::RefusedUpdates);
    ensure!(refused == 0, "tables of the {} have refused {refused} entries", role.name());
    let what = "all updates at the port, answer out";
    let many = line(role, "storm", what, terminals, &all, Spread::of(&last), counted);
    Ok([one, many])
}

fn line(
    role: Role,
    stage: &'static str,
    what: &'static str,
    terminals: u32,
    durations: &Durations,
    ns_per_packet: Spread,
    allocations: u64,
) -> Line<More> {
    let samples = durations.len();
    Line {
        path: format!("{}/{stage}", role.name()),
        entries: terminals.into(),
        groups: if role == Role::MobilityAgent { terminals.into() } else { 0 },
        branches: 1,
        packet_octets: None,
        distribution: "uniform".to_owned(),
        ns_per_packet,
        instructions_per_packet: None,
        allocations_per_packet: (allocations as f64 / samples.max(1) as f64 * 100.0).round() / 100.0,
        packets: samples,
        more: More::Stage(StageMore {
            scenario: role.name(),
            stage,
            what,
            samples,
            ns: durations.percentiles(),
            ns_curve: durations.curve(),
        }),
    }
}

const MMA: &str = r#"
[node]
name = "mma"
loopback = ["2001:db8:200::1"]

[[port]]
name = "core"
interface = "p0"
addresses = ["2001:db8:200:1::1/64"]
point_to_point = true

[[route]]
prefix = "::/0"
port = "core"
via = "2001:db8:200:1::2"

[router]
max_entries = ENTRIES

[[router.port]]
name = "core"
hello_at_once = true

[mma]
address = "2001:db8:200::1"
care_of = "assigned"
care_of_prefix = "2001:db8:200:c0a::/64"
access_prefixes = ["2001:db8:200:a::/64", "2001:db8:200:b::/64"]
anchor = ANCHOR
max_bindings = ENTRIES

[[mma.home_agent]]
address = "2001:db8:100:1::1"

[[mma.terminal]]
home_address = "2001:db8:100:1::55"
spi = 1000
key = "00000000000000000000000000000000"
"#;

const HA: &str = r#"
[node]
name = "ha"

[[port]]
name = "backbone"
interface = "p0"
addresses = ["2001:db8:0:1::2/64"]
point_to_point = true

[[port]]
name = "home"
interface = "p1"
addresses = ["2001:db8:100:1::1/64"]

[[route]]
prefix = "::/0"
port = "backbone"
via = "2001:db8:0:1::1"

[home_agent]
port = "home"
address = "2001:db8:100:1::1"
dad = "off"
max_bindings = ENTRIES

[[home_agent.terminal]]
home_address = "2001:db8:100:1::55"
spi = 1000
key = "00000000000000000000000000000000"
"#;
