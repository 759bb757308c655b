//! Four routers of a site: the source's, a core router, and two access routers with a radio link each.
//!
//! ```text
//!   source ── root ── core ──┬── access 0 ~~~ radio
//!                            └── access 1 ~~~ radio
//! ```
//! They are the nodes of the appliance, made of configuration texts, each with its own worker and ports in memory. Where
//! the mobility agent would be there is the source of the terminals' groups.

use super::message::{Message, Signalling};
use crate::traffic::link::in_memory;
use anyhow::{Context, Result};
use core::net::Ipv6Addr;
use drover::config;
use drover::config::resolved::NodeConfig;
use drover::node::{DroverNode, fixed_clock};
use mma::secret::SecretRng;
use stack::addr::MacAddress;
use stack::machine::PortId;
use stack::packet::Pool;
use stack::pipeline::Dataplane;
use stack::port::{MemEnd, MemPort, Port, PortInfo};
use stack::runtime::Worker;
use stack::tables::{Accept, Mroute, MrouteKey, PortSet};
use std::path::Path;

/// The source of the terminals' groups, on a link of the root router.
pub(crate) const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 5, 0, 0, 0, 5);
/// What the first access router's route towards the source names.
pub(crate) const ABOVE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 2, 0, 0, 0, 1);
/// The port of every router that leads towards the source, but for the root's.
pub(crate) const UP: usize = 0;
/// The root's port towards the source.
pub(crate) const SOURCE_PORT: usize = 1;
/// An access router's port towards the terminals.
pub(crate) const RADIO: usize = 1;
const FRAMES: u32 = 1024;
const MTU: usize = 1500;

/// A router of the site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Root,
    Core,
    Access(usize),
}

impl Place {
    pub(crate) const ALL: [Place; 4] = [Place::Root, Place::Core, Place::Access(0), Place::Access(1)];

    /// Where it stands in [`Place::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Place::Root => 0,
            Place::Core => 1,
            Place::Access(index) => 2 + index,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        ["root", "core", "access-0", "access-1"][self.index()]
    }

    /// Which router is at the other end of the link at this port, and the port there.
    pub(crate) fn peer(self, port: usize) -> Option<(Place, usize)> {
        match (self, port) {
            (Place::Root, 0) => Some((Place::Core, UP)),
            (Place::Core, UP) => Some((Place::Root, 0)),
            (Place::Core, port) => Some((Place::Access(port - 1), UP)),
            (Place::Access(index), UP) => Some((Place::Core, index + 1)),
            _ => None,
        }
    }

    /// The route that the tree of a terminal behind access router `at` has here; none where it does not lead by here.
    pub(crate) fn route(self, at: usize) -> Option<Mroute> {
        let (accept, forward) = match self {
            Place::Root => (SOURCE_PORT, 0),
            Place::Core => (UP, at + 1),
            Place::Access(index) if index == at => (UP, RADIO),
            Place::Access(_) => return None,
        };
        let port = |number: usize| PortId(number as u8);
        Some(Mroute::new(Accept::Port(port(accept)), PortSet::single(port(forward))))
    }
}

/// A router: its worker and the other ends of its ports.
pub(crate) struct Router {
    pub(crate) worker: Worker<DroverNode>,
    pub(crate) ends: Vec<MemEnd>,
    pub(crate) signalling: Signalling,
}

impl Router {
    /// A router of a site for so many terminals, with ports in memory.
    pub(crate) fn new(place: Place, terminals: u32) -> Result<Self> {
        let config = config_of(place, terminals)?;
        let pool = Pool::new(FRAMES).context("cannot map the frames of a pool")?;
        let (ports, ends): (Vec<Box<dyn Port>>, Vec<MemEnd>) = (0..config.ports.len())
            .map(|port| {
                let (port, end) = port_in_memory(place, port as u8);
                // Terminals have one frame under way each, and the queue that comes of it is a result.
                end.set_capacity(usize::MAX);
                (Box::new(port) as Box<dyn Port>, end)
            })
            .unzip();
        let worker = worker_of(place, &config, pool, ports)?;
        Ok(Router { worker, ends, signalling: Signalling::default() })
    }

    /// Takes the next frame that a port has sent, and says what it means.
    pub(crate) fn pop(&mut self, port: usize) -> Option<(Vec<u8>, Message)> {
        let frame = self.ends[port].pop()?;
        let message = Message::of(&frame);
        self.signalling.note_sent(&message, frame.len());
        Some((frame, message))
    }

    /// All (S,G) routes.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (MrouteKey, Mroute)> + '_ {
        self.worker.dataplane().mroutes().map(|(key, route, _)| (key, route))
    }

    /// Frames that this router has lost: dropped by the data plane, or not taken by a port.
    pub(crate) fn drops(&self) -> u64 {
        let counters = self.worker.dataplane().counters().iter();
        let dropped: u64 = counters.filter(|(name, _)| name.starts_with("drop-")).map(|(_, count)| count).sum();
        let by_ports = self.worker.ports().map(|port| port.counters());
        dropped + by_ports.map(|counters| counters.rx_dropped + counters.tx_dropped).sum::<u64>()
    }
}

/// What a router of a site for so many terminals is told.
pub(crate) fn config_of(place: Place, terminals: u32) -> Result<NodeConfig> {
    Ok(config::parse("bench", &text_of(place, terminals), Path::new(""))?)
}

/// The same as the text of a file.
pub(crate) fn text_of(place: Place, terminals: u32) -> String {
    match place {
        Place::Root => with_entries(ROOT, terminals),
        Place::Core => with_entries(CORE, terminals),
        Place::Access(index) => with_entries(&access(index, terminals), terminals),
    }
}

/// A port that leads nowhere but to its other end.
pub(crate) fn port_in_memory(place: Place, port: u8) -> (MemPort, MemEnd) {
    let link_address = MacAddress([2, 0, 0, 0, place.index() as u8, port]);
    MemPort::new(in_memory(format!("{}-{port}", place.name()), link_address, MTU))
}

/// A router's worker with these ports, in the order of its configuration.
pub(crate) fn worker_of(
    place: Place,
    config: &NodeConfig,
    pool: Pool,
    ports: Vec<Box<dyn Port>>,
) -> Result<Worker<DroverNode>> {
    let infos: Vec<PortInfo> = ports.iter().map(|port| port.info().clone()).collect();
    let seed = place.index() as u64;
    let node = DroverNode::new(config, &infos, seed, SecretRng::simulated(seed), fixed_clock())?;
    let dataplane = Dataplane::new(DroverNode::dataplane_config(config, seed), pool, &infos);
    Ok(Worker::new(dataplane, node, ports))
}

/// A router with room for so many trees.
fn with_entries(text: &str, terminals: u32) -> String {
    text.replace("[router]\n", &format!("[router]\nmax_entries = {terminals}\n"))
}

const ROOT: &str = r#"
[node]
name = "root"

[[port]]
name = "core"
interface = "p0"
addresses = ["2001:db8:200:1::1/64"]
point_to_point = true

[[port]]
name = "source"
interface = "p1"
addresses = ["2001:db8:200:5::1/64"]

[router]

[[router.port]]
name = "core"
hello_at_once = true

[[router.port]]
name = "source"
passive = true
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

fn access(index: usize, terminals: u32) -> String {
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
