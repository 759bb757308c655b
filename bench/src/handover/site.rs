//! Four routers of a site, wired in memory: the source's, a core router, and two access routers with a radio link each.
//!
//! ```text
//!             root (the groups' source) ── core ──┬── access 0 ~~~ radio
//!                                                 └── access 1 ~~~ radio
//! ```
//! They are the nodes of the appliance, made of configuration files, each with its own worker. Terminals are the MLD
//! reports that they send.

use super::stage::Cost;
use crate::allocations;
use anyhow::{Context, Result, bail, ensure};
use core::net::Ipv6Addr;
use drover::config;
use drover::node::{DroverNode, fixed_clock};
use mma::secret::SecretRng;
use stack::addr::MacAddress;
use stack::inspect::{self, Kind};
use stack::packet::Pool;
use stack::pipeline::Dataplane;
use stack::port::{LinkState, Medium, MemEnd, MemPort, Port, PortInfo};
use stack::runtime::Worker;
use stack::time::{Duration, Instant};
use stack::wire::ethernet::{ETHERTYPE_IPV6, HEADER_LEN as ETHERNET_LEN, Header};
use stack::wire::mld::{Record, RecordType, Report};
use std::path::Path;

/// The source of the terminals' groups: the root router's loopback address.
pub(crate) const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 1);
const FRAMES: u32 = 1024;
const MTU: usize = 1500;
/// How long the routers get to find each other.
const SETTLE: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(50);
/// Rounds in which frames go from router to router, at the most.
const MAX_ROUNDS: u32 = 64;

/// A router of the site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Root,
    Core,
    Access(usize),
}

/// A router: its worker and the other ends of its ports.
pub(crate) struct Router {
    worker: Worker<DroverNode>,
    ends: Vec<MemEnd>,
}

/// The site.
pub(crate) struct Site {
    now: Instant,
    root: Router,
    core: Router,
    access: [Router; 2],
}

impl Site {
    /// A site for so many terminals, whose routers have found each other.
    pub(crate) fn new(terminals: u32) -> Result<Self> {
        let mut site = Site {
            now: Instant::from_secs(1),
            root: Router::new(0, ROOT)?,
            core: Router::new(1, CORE)?,
            access: [Router::new(2, &access(0, terminals))?, Router::new(3, &access(1, terminals))?],
        };
        let settled = site.now + SETTLE;
        while site.now < settled {
            site.advance(TICK);
            site.settle()?;
        }
        Ok(site)
    }

    /// Lets time pass; what is due happens in the next turn of each router.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// Lets every router have its turn, and carries frames between them, until nothing is left to do.
    pub(crate) fn settle(&mut self) -> Result<()> {
        for _ in 0..MAX_ROUNDS {
            let mut quiet = true;
            for place in [Place::Root, Place::Core, Place::Access(0), Place::Access(1)] {
                let now = self.now;
                quiet &= self.router(place).worker.iterate(now).is_idle();
                while self.router(place).worker.poll_event().is_some() {}
                for (port, end) in self.router(place).ends.clone().into_iter().enumerate() {
                    while let Some(frame) = end.pop() {
                        if let Some((to, port)) = peer(place, port) {
                            ensure!(self.router(to).ends[port].push(frame), "a link is full");
                        }
                    }
                }
            }
            if quiet {
                return Ok(());
            }
        }
        bail!("the site does not come to rest")
    }

    /// One turn of a router in which it receives `frame` by a port: what the turn takes, and what it sends on the port
    /// towards the root. Nothing else must be waiting for it.
    pub(crate) fn turn(&mut self, place: Place, port: usize, frame: Vec<u8>) -> Result<(Cost, Vec<Vec<u8>>)> {
        self.hear(place, port, frame)?;
        let now = self.now;
        let router = self.router(place);
        let before = allocations::count();
        let started = std::time::Instant::now();
        router.worker.iterate(now);
        let nanos = started.elapsed().as_nanos() as u64;
        let cost = Cost { nanos, allocations: allocations::count() - before };
        let up = match place {
            Place::Root => Vec::new(),
            _ => core::iter::from_fn(|| router.ends[0].pop()).collect(),
        };
        Ok((cost, up))
    }

    /// Puts a frame before a router, for its next turn.
    pub(crate) fn hear(&mut self, place: Place, port: usize, frame: Vec<u8>) -> Result<()> {
        ensure!(self.router(place).ends[port].push(frame), "a link is full");
        Ok(())
    }

    /// How many (S,G) routes a router has.
    pub(crate) fn trees(&mut self, place: Place) -> usize {
        let sizes = self.router(place).worker.dataplane().table_sizes();
        sizes.filter(|&(name, _)| name == "mroutes").map(|(_, size)| size).sum()
    }

    /// Branches of a group's tree at a router. Looks through all trees.
    pub(crate) fn branches(&mut self, place: Place, group: Ipv6Addr) -> usize {
        let mut routes = self.router(place).worker.dataplane().mroutes();
        routes.find(|(key, ..)| key.group == group).map_or(0, |(_, route, _)| route.forward.len())
    }

    fn router(&mut self, place: Place) -> &mut Router {
        match place {
            Place::Root => &mut self.root,
            Place::Core => &mut self.core,
            Place::Access(index) => &mut self.access[index],
        }
    }
}

impl Router {
    fn new(number: u8, text: &str) -> Result<Self> {
        let config = config::parse("bench", text, Path::new(""))?;
        let pool = Pool::new(FRAMES).context("cannot map the frames of a pool")?;
        let (mut ports, mut ends, mut infos): (Vec<Box<dyn Port>>, _, _) = (Vec::new(), Vec::new(), Vec::new());
        for port in &config.ports {
            let info = PortInfo {
                name: port.name.clone(),
                kind: "mem",
                mode: String::new(),
                medium: Medium::Ethernet,
                link_address: MacAddress([2, 0, 0, 0, number, port.id.0]),
                mtu: MTU,
                link: LinkState::Up,
            };
            let (port, end) = MemPort::new(info.clone());
            infos.push(info);
            ports.push(Box::new(port));
            ends.push(end);
        }
        let seed = u64::from(number);
        let node = DroverNode::new(&config, &infos, seed, SecretRng::simulated(seed), fixed_clock())?;
        let dataplane = Dataplane::new(DroverNode::dataplane_config(&config, seed), pool, &infos);
        Ok(Router { worker: Worker::new(dataplane, node, ports), ends })
    }
}

/// The other end of a link between routers: port 0 leads towards the root, the core's others to the access routers.
fn peer(place: Place, port: usize) -> Option<(Place, usize)> {
    match (place, port) {
        (Place::Root, 0) => Some((Place::Core, 0)),
        (Place::Core, 0) => Some((Place::Root, 0)),
        (Place::Core, port) => Some((Place::Access(port - 1), 0)),
        (Place::Access(index), 0) => Some((Place::Core, index + 1)),
        _ => None,
    }
}

/// The Join for a group among these frames.
pub(crate) fn join_of(frames: Vec<Vec<u8>>, group: Ipv6Addr) -> Option<Vec<u8>> {
    frames.into_iter().find(|frame| match inspect::describe(frame, Medium::Ethernet).kind {
        Kind::Pim(inspect::pim::Message::JoinPrune(message)) => {
            message.joins.iter().any(|tree| (tree.source, tree.group) == (SOURCE, group))
        }
        _ => false,
    })
}

/// A terminal: its group and what it says of it.
#[derive(Clone, Copy)]
pub(crate) struct Terminal(pub(crate) u32);

impl Terminal {
    /// Its group.
    pub(crate) fn group(self) -> Ipv6Addr {
        let number = self.number();
        Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, (number >> 16) as u16, number as u16)
    }

    /// The frame that joins its group from the source.
    pub(crate) fn join(self) -> Vec<u8> {
        self.report(RecordType::AllowNewSources)
    }

    /// The frame that leaves it.
    pub(crate) fn leave(self) -> Vec<u8> {
        self.report(RecordType::BlockOldSources)
    }

    fn number(self) -> u32 {
        0x0100_0000 + self.0
    }

    fn report(self, kind: RecordType) -> Vec<u8> {
        let number = self.number();
        let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0200, 0x5eff, (number >> 16) as u16, number as u16);
        let record = Record { kind, group: self.group(), sources: vec![SOURCE] };
        let packet = Report { records: vec![record] }.packets(from, MTU).remove(0);
        let to = Ipv6Addr::from_bits(u128::from_be_bytes(packet[24..40].try_into().expect("sixteen octets")));
        let [a, b, c, d] = number.to_be_bytes();
        let header = Header {
            destination: MacAddress::of_multicast(to),
            source: MacAddress([2, 1, a, b, c, d]),
            ethertype: ETHERTYPE_IPV6,
        };
        let mut frame = vec![0; ETHERNET_LEN];
        header.emit(frame.first_chunk_mut().expect("fourteen octets"));
        frame.extend_from_slice(&packet);
        frame
    }
}

const ROOT: &str = r#"
[node]
name = "root"
loopback = ["2001:db8:200::1"]

[[port]]
name = "core"
interface = "p0"
addresses = ["2001:db8:200:1::1/64"]
point_to_point = true

[router]

[[router.port]]
name = "core"
hello_at_once = true
"#;

const CORE: &str = r#"
[node]
name = "core"

[[port]]
name = "root"
interface = "p0"
addresses = ["2001:db8:200:1::2/64"]
point_to_point = true

[[port]]
name = "access-0"
interface = "p1"
addresses = ["2001:db8:200:2::1/64"]
point_to_point = true

[[port]]
name = "access-1"
interface = "p2"
addresses = ["2001:db8:200:3::1/64"]
point_to_point = true

[[route]]
prefix = "::/0"
port = "root"
via = "2001:db8:200:1::1"

[router]

[[router.port]]
name = "root"
hello_at_once = true

[[router.port]]
name = "access-0"
hello_at_once = true

[[router.port]]
name = "access-1"
hello_at_once = true
"#;

fn access(index: u8, terminals: u32) -> String {
    let (core, radio) = (index + 2, if index == 0 { 'a' } else { 'b' });
    format!(
        r#"
[node]
name = "access-{index}"

[[port]]
name = "core"
interface = "p0"
addresses = ["2001:db8:200:{core}::2/64"]
point_to_point = true

[[port]]
name = "radio"
interface = "p1"
addresses = ["2001:db8:200:{radio}::1/64"]

[[route]]
prefix = "::/0"
port = "core"
via = "2001:db8:200:{core}::1"

[router]

[[router.port]]
name = "core"
hello_at_once = true

[[access_router.port]]
name = "radio"

[access_router.port.ra]
min_interval_ms = 200
max_interval_ms = 400

[access_router.port.mld]
max_groups = {terminals}
"#
    )
}
