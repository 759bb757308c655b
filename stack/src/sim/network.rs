//! The network: its clock, its events and its script.

use super::capture::{Capture, Captured};
use super::link::{Link, LinkConfig, LinkCounters, LinkId, LinkKind, Member, Place};
use super::node::{Boot, Built, NodeId, SimNode};
use crate::machine::PortId;
use crate::port::LinkState;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use core::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// More turns of one node in one instant mean that it, or a link without delay around it, never comes to rest.
pub const MAX_TURNS_AT_ONCE: u32 = 10_000;
/// Frames that may wait in a port of a node; see [`crate::port::mem::MemEnd::set_capacity`].
const PORT_CAPACITY: usize = 8192;

/// Why the network cannot be so, or cannot go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetworkError {
    /// A node does not come to rest.
    #[error("node {node} had {turns} turns at {at:?} and is not at rest")]
    Storm {
        /// Its name.
        node: String,
        /// When.
        at: Instant,
        /// How many turns it had.
        turns: u32,
    },
    /// The port is attached to a link already.
    #[error("port {port} of node {node} is attached already")]
    PortTaken {
        /// The node.
        node: String,
        /// The port.
        port: u8,
    },
    /// The node has no such port.
    #[error("node {node} has no port {port}")]
    NoSuchPort {
        /// The node.
        node: String,
        /// The port.
        port: u8,
    },
    /// A point-to-point link has two ends.
    #[error("the point-to-point link {link} has two ends already")]
    LinkFull {
        /// The link.
        link: String,
    },
}

/// Who notices that a port has left its link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detach {
    /// Both ends of a point-to-point link; on other links the port that left.
    Seen,
    /// The port that left: a radio that changes its station.
    SeenHere,
    /// Nobody: a station that went out of range.
    Silent,
}

/// Nodes and links on a virtual clock.
pub struct Network {
    now: Instant,
    seed: u64,
    nodes: Vec<Slot>,
    links: Vec<Link>,
    /// Which link a port is attached to.
    attached: BTreeMap<Place, LinkId>,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    wakes: BTreeSet<(Instant, NodeId)>,
    ready: BTreeSet<NodeId>,
    /// Nodes on this side hear nothing from the others.
    island: BTreeSet<NodeId>,
    /// Pairs of which the second hears nothing from the first.
    deaf: BTreeSet<(NodeId, NodeId)>,
    capture: Capture,
    /// Frames that ports sent without being attached.
    stray: u64,
}

struct Slot {
    name: String,
    build: Box<dyn FnMut(Boot) -> Built>,
    running: Option<Built>,
    /// When it wants a turn.
    wake: Option<Instant>,
    restarts: u32,
    turns: (Instant, u32),
}

enum Event {
    Arrival { link: LinkId, to: Place, sent: u64, frame: Rc<[u8]> },
    Script(Box<dyn FnOnce(&mut Network)>),
}

impl Network {
    /// An empty network at [`Instant::ORIGIN`]. All chance in it comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Network {
            now: Instant::ORIGIN,
            seed,
            nodes: Vec::new(),
            links: Vec::new(),
            attached: BTreeMap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            wakes: BTreeSet::new(),
            ready: BTreeSet::new(),
            island: BTreeSet::new(),
            deaf: BTreeSet::new(),
            capture: Capture::default(),
            stray: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Adds a node, which `build` makes now and at every [`Network::restart`]. Its ports have no link yet.
    pub fn add_node(&mut self, name: impl Into<String>, build: impl FnMut(Boot) -> Built + 'static) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Slot {
            name: name.into(),
            build: Box::new(build),
            running: None,
            wake: None,
            restarts: 0,
            turns: (Instant::ORIGIN, 0),
        });
        self.boot(id);
        id
    }

    /// Adds a link.
    pub fn add_link(&mut self, name: impl Into<String>, config: LinkConfig) -> LinkId {
        let id = LinkId(self.links.len());
        let rng = Rng::new(derive(self.seed, 1, id.0 as u64));
        self.links.push(Link::new(name.into(), config, rng));
        id
    }

    /// Attaches a port to a link, where both ends of a point-to-point link then see it up.
    ///
    /// # Errors
    /// [`NetworkError::PortTaken`], [`NetworkError::NoSuchPort`], [`NetworkError::LinkFull`].
    pub fn attach(&mut self, node: NodeId, port: PortId, link: LinkId) -> Result<(), NetworkError> {
        let name = || self.nodes[node.0].name.clone();
        if self.attached.contains_key(&(node, port)) {
            return Err(NetworkError::PortTaken { node: name(), port: port.0 });
        }
        if self.nodes[node.0].running.as_ref().is_some_and(|built| built.ports.len() <= usize::from(port.0)) {
            return Err(NetworkError::NoSuchPort { node: name(), port: port.0 });
        }
        let since = self.next_sequence();
        let slot = &mut self.links[link.0];
        if slot.config.kind == LinkKind::PointToPoint && slot.members.len() == 2 {
            return Err(NetworkError::LinkFull { link: slot.name.clone() });
        }
        slot.members.insert((node, port), Member::new(since));
        self.attached.insert((node, port), link);
        let state = if self.links[link.0].up { LinkState::Up } else { LinkState::Down };
        for place in self.ends(link, (node, port)) {
            self.show(place, state);
        }
        Ok(())
    }

    /// Connects two ports by a new link.
    ///
    /// # Errors
    /// Those of [`Network::attach`].
    pub fn connect(
        &mut self,
        name: impl Into<String>,
        config: LinkConfig,
        a: (NodeId, PortId),
        b: (NodeId, PortId),
    ) -> Result<LinkId, NetworkError> {
        let link = self.add_link(name, config);
        self.attach(a.0, a.1, link)?;
        self.attach(b.0, b.1, link)?;
        Ok(link)
    }

    /// Takes a port off its link; what is under way to it is lost. Nothing happens where it has none.
    pub fn detach(&mut self, node: NodeId, port: PortId, seen: Detach) {
        let Some(link) = self.attached.remove(&(node, port)) else { return };
        let ends = self.ends(link, (node, port));
        self.links[link.0].members.remove(&(node, port));
        self.links[link.0].forget((node, port));
        for place in ends {
            if seen == Detach::Seen || seen == Detach::SeenHere && place == (node, port) {
                self.show(place, LinkState::Down);
            }
        }
    }

    /// The link that a port is attached to.
    pub fn link_of(&self, node: NodeId, port: PortId) -> Option<LinkId> {
        self.attached.get(&(node, port)).copied()
    }

    /// Takes a link up or down, for all its ports to see.
    pub fn set_link(&mut self, link: LinkId, state: LinkState) {
        let since = self.next_sequence();
        let slot = &mut self.links[link.0];
        slot.up = state == LinkState::Up;
        for member in slot.members.values_mut() {
            *member = Member::new(since);
        }
        for place in slot.members.keys().copied().collect::<Vec<_>>() {
            self.show(place, state);
        }
    }

    /// What a link is like, to change from now on. Kind and medium are better left alone.
    pub fn link_config_mut(&mut self, link: LinkId) -> &mut LinkConfig {
        &mut self.links[link.0].config
    }

    /// What a link is like.
    pub fn link_config(&self, link: LinkId) -> &LinkConfig {
        &self.links[link.0].config
    }

    /// Name of a link.
    pub fn link_name(&self, link: LinkId) -> &str {
        &self.links[link.0].name
    }

    /// Counters of a link.
    pub fn link_counters(&self, link: LinkId) -> LinkCounters {
        self.links[link.0].counters
    }

    /// All links.
    pub fn links(&self) -> impl Iterator<Item = LinkId> + use<> {
        (0..self.links.len()).map(LinkId)
    }

    /// Separates these nodes from all others: frames between the two sides vanish, and no link goes down. Takes the
    /// place of a partition that was there.
    pub fn partition(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        self.island = nodes.into_iter().collect();
    }

    /// Ends the partition.
    pub fn heal(&mut self) {
        self.island.clear();
    }

    /// Lets `to` hear nothing more from `from`, or hear it again. The other direction is not touched.
    pub fn set_deaf(&mut self, from: NodeId, to: NodeId, deaf: bool) {
        if deaf {
            self.deaf.insert((from, to));
        } else {
            self.deaf.remove(&(from, to));
        }
    }

    /// Stops a node at once; all that it knew is gone. Its links stay up.
    pub fn crash(&mut self, node: NodeId) {
        let slot = &mut self.nodes[node.0];
        slot.running = None;
        if let Some(wake) = slot.wake.take() {
            self.wakes.remove(&(wake, node));
        }
        self.ready.remove(&node);
    }

    /// Starts a node afresh, crashed before or not.
    pub fn restart(&mut self, node: NodeId) {
        self.crash(node);
        self.nodes[node.0].restarts += 1;
        self.boot(node);
    }

    /// Whether a node runs.
    pub fn is_running(&self, node: NodeId) -> bool {
        self.nodes[node.0].running.is_some()
    }

    /// Name of a node.
    pub fn node_name(&self, node: NodeId) -> &str {
        &self.nodes[node.0].name
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// The node with this name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|slot| slot.name == name).map(NodeId)
    }

    /// A node that runs, where it is a `T`.
    pub fn node<T: SimNode>(&self, node: NodeId) -> Option<&T> {
        let running: &dyn Any = &*self.nodes[node.0].running.as_ref()?.node;
        running.downcast_ref()
    }

    /// A node that runs, where it is a `T`, to change. It has a turn when time goes on.
    pub fn node_mut<T: SimNode>(&mut self, node: NodeId) -> Option<&mut T> {
        let running: &mut dyn Any = &mut *self.nodes[node.0].running.as_mut()?.node;
        self.ready.insert(node);
        running.downcast_mut()
    }

    /// Frames that running nodes have lost track of, by name; nothing where all is well.
    pub fn unaccounted_frames(&self) -> Vec<(&str, usize)> {
        let nodes = self.nodes.iter().filter_map(|slot| Some((&*slot.name, slot.running.as_ref()?)));
        nodes.map(|(name, built)| (name, built.node.unaccounted_frames())).filter(|&(_, frames)| frames > 0).collect()
    }

    /// What was seen.
    pub fn capture(&self) -> &Capture {
        &self.capture
    }

    /// What was seen, to limit or to clear.
    pub fn capture_mut(&mut self) -> &mut Capture {
        &mut self.capture
    }

    /// Frames that ports sent while they were attached to no link.
    pub fn stray_frames(&self) -> u64 {
        self.stray
    }

    /// Runs `action` at `at`, or at once where that is past: before anything that is put on a link later arrives.
    pub fn at(&mut self, at: Instant, action: impl FnOnce(&mut Network) + 'static) {
        let key = (at.max(self.now), self.next_sequence());
        self.events.insert(key, Event::Script(Box::new(action)));
    }

    /// Lets time go on to `until`, all that happens then included.
    ///
    /// # Errors
    /// [`NetworkError::Storm`].
    pub fn run_until(&mut self, until: Instant) -> Result<(), NetworkError> {
        if !self.ready.is_empty() {
            self.run_instant()?;
        }
        while let Some(next) = self.next_event().filter(|&next| next <= until) {
            self.now = self.now.max(next);
            self.run_instant()?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Lets time go on by `time`.
    ///
    /// # Errors
    /// [`NetworkError::Storm`].
    pub fn run_for(&mut self, time: Duration) -> Result<(), NetworkError> {
        self.run_until(self.now + time)
    }

    /// Lets time go on until `done` says so, asked after every instant, or until `limit`; returns what it said last.
    ///
    /// # Errors
    /// [`NetworkError::Storm`].
    pub fn run_while(&mut self, limit: Instant, mut done: impl FnMut(&Network) -> bool) -> Result<bool, NetworkError> {
        if !self.ready.is_empty() {
            self.run_instant()?;
        }
        while !done(self) {
            let Some(next) = self.next_event().filter(|&next| next <= limit) else {
                self.now = self.now.max(limit);
                return Ok(done(self));
            };
            self.now = self.now.max(next);
            self.run_instant()?;
        }
        Ok(true)
    }

    fn next_event(&self) -> Option<Instant> {
        let event = self.events.first_key_value().map(|(&(at, _), _)| at);
        let wake = self.wakes.first().map(|&(at, _)| at);
        event.into_iter().chain(wake).min()
    }

    /// All that happens now: events in the order in which they came about, then the nodes that they concern in the
    /// order of their numbers, until nothing is left.
    fn run_instant(&mut self) -> Result<(), NetworkError> {
        loop {
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
                match entry.remove() {
                    Event::Arrival { link, to, sent, frame } => self.arrive(link, to, sent, &frame),
                    Event::Script(action) => action(self),
                }
            }
            while let Some(&(at, node)) = self.wakes.first().filter(|&&(at, _)| at <= self.now) {
                self.wakes.remove(&(at, node));
                self.nodes[node.0].wake = None;
                self.ready.insert(node);
            }
            if self.ready.is_empty() {
                return Ok(());
            }
            for node in core::mem::take(&mut self.ready) {
                self.turn(node)?;
            }
        }
    }

    /// Turns of one node until it has nothing left to do.
    fn turn(&mut self, id: NodeId) -> Result<(), NetworkError> {
        loop {
            let slot = &mut self.nodes[id.0];
            let Some(built) = &mut slot.running else { return Ok(()) };
            if slot.turns.0 != self.now {
                slot.turns = (self.now, 0);
            }
            slot.turns.1 += 1;
            if slot.turns.1 > MAX_TURNS_AT_ONCE {
                return Err(NetworkError::Storm { node: slot.name.clone(), at: self.now, turns: slot.turns.1 - 1 });
            }
            let mut busy = built.node.iterate(self.now);
            let mut sent = Vec::new();
            for (port, end) in (0..).map(PortId).zip(&built.ports) {
                sent.extend(core::iter::from_fn(|| end.pop()).map(|frame| (port, frame)));
            }
            busy |= !sent.is_empty();
            for (port, frame) in sent {
                self.transmit((id, port), frame.into());
            }
            if !busy {
                break;
            }
        }
        let slot = &mut self.nodes[id.0];
        let wake = slot.running.as_ref().and_then(|built| built.node.poll_timeout());
        if let Some(old) = core::mem::replace(&mut slot.wake, wake) {
            self.wakes.remove(&(old, id));
        }
        self.wakes.extend(wake.map(|at| (at, id)));
        Ok(())
    }

    fn transmit(&mut self, from: Place, frame: Rc<[u8]>) {
        let Some(&id) = self.attached.get(&from) else {
            self.stray += 1;
            return;
        };
        let link = &mut self.links[id.0];
        if !link.up {
            link.counters.refused_down += 1;
            return;
        }
        let (island, deaf) = (&self.island, &self.deaf);
        let separated = |a, b| island.contains(&a) != island.contains(&b) || deaf.contains(&(a, b));
        let Some(copies) = link.carry(self.now, from, &frame, separated) else { return };
        if link.config.capture {
            self.capture.record(Captured {
                at: self.now,
                link: id,
                medium: link.config.medium,
                from: from.0,
                port: from.1,
                copies: copies.len(),
                frame: frame.clone(),
                described: Default::default(),
            });
        }
        for copy in copies {
            let sent = self.next_sequence();
            let event = Event::Arrival { link: id, to: copy.to, sent, frame: frame.clone() };
            self.events.insert((copy.at, sent), event);
        }
    }

    fn arrive(&mut self, id: LinkId, to: Place, sent: u64, frame: &[u8]) {
        let link = &mut self.links[id.0];
        let there = link.up && link.members.get(&to).is_some_and(|member| member.since < sent);
        // A node that was built anew may have fewer ports.
        let built = self.nodes[to.0.0].running.as_ref().filter(|_| there);
        let Some(end) = built.and_then(|built| built.ports.get(usize::from(to.1.0))) else {
            link.counters.missed += 1;
            return;
        };
        if end.push(frame) {
            link.counters.delivered += 1;
        } else {
            link.counters.refused_port += 1;
        }
        self.ready.insert(to.0);
    }

    fn boot(&mut self, id: NodeId) {
        let slot = &mut self.nodes[id.0];
        let seed = derive(self.seed, 2 + u64::from(slot.restarts), id.0 as u64);
        let built = (slot.build)(Boot { seed, now: self.now, restarts: slot.restarts });
        for (port, end) in (0..).map(PortId).zip(&built.ports) {
            end.set_capacity(PORT_CAPACITY);
            let up = self.attached.get(&(id, port)).is_some_and(|link| self.links[link.0].up);
            end.set_link(if up { LinkState::Up } else { LinkState::Down });
        }
        slot.running = Some(built);
        self.ready.insert(id);
    }

    /// Whose link state goes with that of `place`: its own, and that of the other end of a point-to-point link.
    fn ends(&self, link: LinkId, place: Place) -> Vec<Place> {
        let link = &self.links[link.0];
        match link.config.kind {
            LinkKind::PointToPoint => link.members.keys().copied().collect(),
            LinkKind::Hub | LinkKind::Switch => vec![place],
        }
    }

    /// Shows the state of its link to a port.
    fn show(&mut self, (node, port): Place, state: LinkState) {
        let built = self.nodes[node.0].running.as_ref();
        if let Some(end) = built.and_then(|built| built.ports.get(usize::from(port.0))) {
            end.set_link(state);
            self.ready.insert(node);
        }
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

/// A seed for one of many: `kind` and `index` tell who.
fn derive(seed: u64, kind: u64, index: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let mut mixed = Rng::new(rng.next_u64() ^ kind.rotate_left(32) ^ index);
    mixed.next_u64()
}
