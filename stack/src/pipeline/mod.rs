//! The data plane: the way of a packet from the port that it came in by to the one that it leaves by.
//!
//! ```text
//!  ethernet_input ─► ip6_input ─► lookup ─┬─► unicast ──────────────────────► output
//!                                  ▲  ▲   ├─► uplink (terminal) ─────────────► output
//!                                  │  │   ├─► home_agent ── tunnel header ─┐
//!                                  │  └───┼────────────────────────────────┘
//!                                  │      ├─► binding (agent) ─ to the group ─► multicast ─► output, once a branch
//!                                  │      ├─► multicast ─┬─► terminal ─► (lookup)
//!                                  │      │              ├─► register (designated router) ─► (lookup)
//!                                  │      │              └─► local
//!                                  └──────┴─► local ─┬─► tunnel ─► (lookup)
//!                                                    └─► register (rendezvous point) ─► (multicast)
//! ```
//!
//! In front of all this stands `express`: packets on the common ways through a router do not stop at stages at all.
//!
//! A stage is one file with one function over a batch. What it does with a packet is a closed enum: on to a stage, out,
//! to the node, answered with an ICMPv6 error, or dropped for a reason that has a counter. [`Dataplane::process`] runs
//! the stages over a batch until every packet in it has ended once; see [`Counters::is_balanced`].

mod beside;
mod binding;
mod binding_tunnel;
mod config;
mod correspondent;
mod counters;
pub(crate) mod ecn;
mod ethernet_input;
mod express;
mod fragmentation;
pub(crate) mod header;
mod hold;
pub(crate) mod home_address;
mod home_agent;
mod ip6_input;
mod local;
mod lookup;
mod mss;
mod multicast;
mod multicast_notice;
mod output;
mod policer;
mod reassembly;
pub(crate) mod register;
mod reorder;
mod reverse_tunnel;
mod sighting;
mod signalling;
mod terminal;
mod tunnel;
mod tunnel_header;
mod unicast;
mod update;
mod uplink;
mod vector;

pub use beside::{News, Readers};
pub use config::{DataplaneConfig, Forwarding, Limits, MssClamp, Transport, TunnelDscp};
pub use counters::{Counter, Counters};
pub use output::OutputQueue;
use policer::Policer;
pub use sighting::Sighting;

pub(crate) use vector::{Job, Meta};

use crate::addr::{MacAddress, Prefix, halves, is_link_local, solicited_node};
use crate::icmpv6::{self, Cause};
use crate::machine::{Notice, PortId, RxMeta, Transmit, Via};
use crate::packet::{BATCH_SIZE, Batch, Packet, Pool};
use crate::port::PortInfo;
use crate::rate::TokenBucket;
use crate::tables::{
    CareOfAddresses, CorrespondentBinding, Correspondents, Deliveries, GroupReception, Groups, HomeBinding,
    HomeBindings, Link, Mfib, MmaBinding, MmaBindings, MmaService, Mroute, MrouteKey, Neighbors, OptimisedPairs,
    PathMtus, Route, Routes, TableUpdate, Tunnels, Uplink, Uplinks,
};
use crate::time::Instant;
use crate::wire::ipv6;
use core::net::Ipv6Addr;
use hold::Holds;
use multicast_notice::MulticastNotices;
use reassembly::Reassemblies;
use reorder::{Order, Reorders};
use sighting::Sightings;
use signalling::SignallingQueues;
use std::collections::VecDeque;
use vector::{Lane, Vector};

/// Notices that wait for the node at the most.
const MAX_NOTICES: usize = 4096;
/// Multicast packets that wait for the node's answer.
const MAX_TOLD: usize = 64;

/// The data plane of one worker.
///
/// Give it frames with [`process`](Self::process), packets of the node with [`transmit`](Self::transmit), table updates
/// with [`apply`](Self::apply), and time with [`handle_timeout`](Self::handle_timeout) when
/// [`poll_timeout`](Self::poll_timeout) says so. After each, take what it has for the node from
/// [`poll_local`](Self::poll_local), [`poll_signalling`](Self::poll_signalling) and [`poll_notice`](Self::poll_notice), and what it has for the ports from
/// [`outgoing`](Self::outgoing).
pub struct Dataplane {
    config: DataplaneConfig,
    pool: Pool,
    now: Instant,
    links: Vec<Link>,
    routes: Routes,
    neighbors: Neighbors<Job>,
    mfib: Mfib,
    deliveries: Deliveries,
    mma_bindings: MmaBindings,
    mma_service: Option<MmaService>,
    optimised: OptimisedPairs,
    home_bindings: HomeBindings,
    former_home_bindings: HomeBindings,
    correspondents: Correspondents,
    groups: Groups<Order>,
    reorders: Reorders,
    holds: Holds,
    tunnels: Tunnels,
    care_of_addresses: CareOfAddresses,
    uplinks: Uplinks,
    path_mtus: PathMtus,
    reassemblies: Reassemblies,
    counters: Counters,
    error_limit: TokenBucket,
    multicast_notices: MulticastNotices,
    policer: Policer,
    sightings: Sightings,
    /// Home Address options that are not believed.
    option_limit: TokenBucket,
    identification: u32,
    outgoing: Vec<OutputQueue>,
    local: VecDeque<(RxMeta, Packet)>,
    signalling: SignallingQueues,
    notices: VecDeque<Notice>,
    /// Multicast packets that the node was told of, until it has answered.
    told: VecDeque<Job>,
    told_limit: usize,
    /// Packets that were made on the way: they go through the stages after the batch.
    pending: VecDeque<(Job, Lane)>,
    vector: Option<Box<Vector>>,
    /// Received packets that went through the stages.
    staged: u64,
    /// Whether there are data planes beside this one.
    has_others: bool,
    /// What they have to be told.
    news: VecDeque<News>,
}

impl Dataplane {
    /// A data plane for these ports, numbered in this order, without any route.
    pub fn new(config: DataplaneConfig, pool: Pool, ports: &[PortInfo]) -> Self {
        let limits = config.limits;
        let seed = |table: u64| config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(table);
        let mtu_limits = config.mtu_limits.iter().copied().chain(core::iter::repeat(None));
        let links = ports.iter().zip(mtu_limits).map(|(info, mtu_limit)| Link::new(info, mtu_limit));
        let signalling = (pool.frames() as usize / 4).max(1);
        let waiting = limits.waiting_packets.min(pool.frames() as usize / 8).max(1);
        Dataplane {
            now: Instant::ORIGIN,
            links: links.collect(),
            routes: Routes::new(limits.routes),
            neighbors: Neighbors::new(limits.neighbors, limits.unresolved_neighbors, waiting, seed(1)),
            mfib: Mfib::new(limits.mroutes, seed(2)),
            deliveries: Deliveries::new(limits.deliveries, seed(10)),
            mma_bindings: MmaBindings::new(limits.mma_bindings, seed(3)),
            mma_service: None,
            optimised: OptimisedPairs::new(limits.optimised_pairs, seed(8)),
            home_bindings: HomeBindings::new(limits.home_bindings, seed(4)),
            former_home_bindings: HomeBindings::new(limits.home_bindings, seed(9)),
            correspondents: Correspondents::new(limits.correspondent_bindings, seed(6)),
            groups: Groups::new(limits.groups),
            reorders: Reorders::default(),
            holds: Holds::new(&config, pool.frames() as usize, seed(11)),
            care_of_addresses: CareOfAddresses::new(limits.care_of_addresses),
            tunnels: Tunnels::new(limits.uplinks),
            uplinks: Uplinks::new(limits.uplinks, limits.uplink_exceptions),
            path_mtus: PathMtus::new(limits.path_mtus),
            reassemblies: Reassemblies::default(),
            counters: Counters::default(),
            error_limit: TokenBucket::per_second(config.icmp_errors_per_second, config.icmp_error_burst),
            multicast_notices: MulticastNotices::new(&config, seed(10)),
            policer: Policer::new(&config, ports.len()),
            option_limit: TokenBucket::per_second(config.icmp_errors_per_second, config.icmp_error_burst),
            sightings: Sightings::new(
                seed(7),
                TokenBucket::per_second(config.correspondents_per_second, config.correspondent_burst),
            ),
            identification: seed(5) as u32,
            outgoing: ports.iter().map(|_| OutputQueue::new(limits.output_queue)).collect(),
            local: VecDeque::with_capacity(limits.local_queue),
            signalling: SignallingQueues::new(ports.len(), limits.signalling_queue, signalling),
            notices: VecDeque::with_capacity(64),
            told: VecDeque::with_capacity(MAX_TOLD),
            told_limit: waiting.min(MAX_TOLD),
            pending: VecDeque::with_capacity(256),
            vector: Some(Box::new(Vector::new())),
            staged: 0,
            has_others: false,
            news: VecDeque::new(),
            config,
            pool,
        }
    }

    /// Takes the frames of `batch`, which came in by `port`, through the pipeline; `batch` is empty afterwards.
    pub fn process(&mut self, now: Instant, port: PortId, batch: &mut Batch) {
        self.now = now;
        express::run(self, port, batch);
        if !batch.is_empty() {
            self.staged += batch.len() as u64;
            self.with_vector(|plane, vector| ethernet_input::run(plane, port, batch, vector));
        }
    }

    /// Sends a packet of the node.
    pub fn transmit(&mut self, now: Instant, transmit: &Transmit) {
        self.now = now;
        self.counters.add(Counter::Transmitted);
        let whole =
            ipv6::Header::parse(&transmit.packet).is_ok_and(|header| header.total_length() == transmit.packet.len());
        if !whole {
            return self.counters.add(Counter::DropTransmitInvalid);
        }
        let Ok(packet) = self.pool.copy_of(&transmit.packet) else {
            return self.counters.add(Counter::DropOutputNoFrame);
        };
        let mut job = Job { packet, meta: Meta::OWN };
        match transmit.via {
            Via::Route => self.pending.push_back((job, Lane::Lookup)),
            Via::Link(port) => {
                job.meta.port = Some(port);
                output::from_node(self, job, port);
            }
            Via::LinkAddress(port, address) => output::to_link_address(self, job, port, address),
            Via::NextHop(port, router) => output::to_router(self, job, port, router),
            Via::Terminal(home_address) => binding_tunnel::send(self, job, home_address),
        }
        self.with_vector(|_, _| {});
    }

    /// Changes a table; visible to the next packet. Packets that waited for what the update says leave now.
    pub fn apply(&mut self, now: Instant, update: TableUpdate) {
        self.now = now;
        update::apply(self, update);
        self.with_vector(|_, _| {});
    }

    /// A port has changed: its MTU, its link-layer address.
    pub fn update_port(&mut self, port: PortId, info: &PortInfo) {
        let Some(link) = self.links.get_mut(usize::from(port.0)) else { return };
        if link.link_address != info.link_address {
            self.neighbors.set_source(port, info.link_address);
        }
        link.update(info);
        if self.has_others {
            self.tell(News::Port(port, info.clone()));
        }
    }

    /// The next packet for the node, PIM and MLD apart.
    pub fn poll_local(&mut self) -> Option<(RxMeta, Packet)> {
        self.local.pop_front()
    }

    /// The next PIM or MLD packet for the node: of each port in order, the ports by turns.
    pub fn poll_signalling(&mut self) -> Option<(RxMeta, Packet)> {
        self.signalling.pop()
    }

    /// Whether there is one.
    pub fn has_signalling(&self) -> bool {
        self.signalling.len() > 0
    }

    /// Whether some wait that came in there, and a batch of them more might be dropped.
    pub fn is_nearly_full_of_signalling(&self, port: PortId) -> bool {
        self.signalling.is_nearly_full(port, BATCH_SIZE)
    }

    /// Packets that were handed to ports so far.
    pub fn sent_packets(&self) -> u64 {
        self.counters.get(Counter::Output)
    }

    /// The next notice for the node. Asked for another one, whoever takes them has seen to the last one: multicast packets
    /// that were told of, and waited for their routes, go on where there is none left.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        if self.notices.is_empty() && !self.told.is_empty() {
            multicast::resume(self);
        }
        self.notices.pop_front()
    }

    /// What waits to be sent on a port.
    ///
    /// # Panics
    /// For a port that was not among those of [`Dataplane::new`].
    pub fn outgoing(&mut self, port: PortId) -> &mut OutputQueue {
        &mut self.outgoing[usize::from(port.0)]
    }

    /// Time has come to `now`: fragments and packets of routes without a branch that have waited too long are given up, and
    /// packets no longer wait for others.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.poll_timeout().is_some_and(|at| at <= now) {
            reassembly::expire(self);
            reorder::expire(self);
            hold::expire(self);
            self.with_vector(|_, _| {});
        }
    }

    /// When [`Dataplane::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [self.reassemblies.next_deadline(), reorder::next_deadline(self), self.holds.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Received packets that went through the stages, and not the express way.
    pub fn staged_packets(&self) -> u64 {
        self.staged
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The pool that its frames come from.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Frames that the data plane holds: in queues, waiting for neighbours, for other fragments, for those before them, for
    /// their routes or for a branch of them.
    pub fn held_frames(&self) -> usize {
        self.outgoing.iter().map(OutputQueue::len).sum::<usize>()
            + self.local.len()
            + self.signalling.len()
            + self.pending.len()
            + self.told.len()
            + self.neighbors.waiting()
            + self.reassemblies.held()
            + self.reorders.held()
            + self.holds.held()
    }

    /// Unicast routes in order.
    pub fn routes(&self) -> impl Iterator<Item = (Prefix, Route)> {
        self.routes.iter_from(Prefix::DEFAULT)
    }

    /// Those of this prefix and the ones behind it, in order.
    pub fn routes_from(&self, first: Prefix) -> impl Iterator<Item = (Prefix, Route)> {
        self.routes.iter_from(first)
    }

    /// Neighbours in order of port and address, with the link-layer address of those that have one.
    pub fn neighbors(&self) -> impl Iterator<Item = (PortId, Ipv6Addr, Option<MacAddress>)> {
        self.neighbors.iter()
    }

    /// Multicast routes in order, with the packets that each has matched.
    pub fn mroutes(&self) -> impl Iterator<Item = (MrouteKey, Mroute, u64)> {
        self.mfib.iter()
    }

    /// Where packets of a group go on a port: to its only listener's link-layer address, or to the group's own, which is
    /// `None`.
    pub fn delivery(&self, port: PortId, group: Ipv6Addr) -> Option<MacAddress> {
        self.deliveries.get(port, halves(group))
    }

    /// The multicast route of this name, with the packets that it has matched.
    pub fn mroute(&self, name: MrouteKey) -> Option<(Mroute, u64)> {
        Some((self.mfib.get(name)?, self.mfib.packets(name)?))
    }

    /// The mobility agent's bindings in order of home address.
    pub fn mma_bindings(&self) -> impl Iterator<Item = (Ipv6Addr, MmaBinding)> {
        self.mma_bindings.iter()
    }

    /// The home agent's bindings in order of home address.
    pub fn home_bindings(&self) -> impl Iterator<Item = (Ipv6Addr, HomeBinding)> {
        self.home_bindings.iter()
    }

    /// The home agent's binding of a home address.
    pub fn home_binding(&self, home_address: Ipv6Addr) -> Option<HomeBinding> {
        self.home_bindings.get(home_address)
    }

    /// The correspondent node's bindings in order of home address.
    pub fn correspondent_bindings(&self) -> impl Iterator<Item = (Ipv6Addr, CorrespondentBinding)> {
        self.correspondents.iter()
    }

    /// The groups that a terminal receives, in order, with the packets that each has delivered.
    pub fn groups(&self) -> impl Iterator<Item = (Ipv6Addr, GroupReception, u64)> {
        self.groups.iter()
    }

    /// How packets leave, by source address.
    pub fn uplinks(&self) -> impl Iterator<Item = (Ipv6Addr, Uplink)> {
        self.uplinks.iter()
    }

    /// Entries of each table, by name.
    pub fn table_sizes(&self) -> impl Iterator<Item = (&'static str, usize)> {
        [
            ("routes", self.routes.len()),
            ("mroutes", self.mfib.len()),
            ("deliveries", self.deliveries.len()),
            ("mma-bindings", self.mma_bindings.len()),
            ("optimised-pairs", self.optimised.len()),
            ("home-bindings", self.home_bindings.len()),
            ("correspondent-bindings", self.correspondents.len()),
        ]
        .into_iter()
    }

    /// Runs the stages over what `start` puts into the vector, and over what comes of it, until nothing is left.
    fn with_vector(&mut self, start: impl FnOnce(&mut Self, &mut Vector)) {
        let mut vector = self.vector.take().expect("the stages do not call back into the data plane's interface");
        start(self, &mut vector);
        loop {
            while !vector.is_idle() {
                ip6_input::run(self, &mut vector);
                lookup::run(self, &mut vector);
                home_agent::run(self, &mut vector);
                binding::run(self, &mut vector);
                multicast::run(self, &mut vector);
                terminal::run(self, &mut vector);
                uplink::run(self, &mut vector);
                unicast::run(self, &mut vector);
                local::run(self, &mut vector);
                tunnel::run(self, &mut vector);
            }
            vector.reset();
            if self.pending.is_empty() {
                break;
            }
            while !vector.is_full()
                && let Some((job, lane)) = self.pending.pop_front()
            {
                vector.start(job, lane);
            }
            if self.pending.is_empty() {
                self.reorders.queue_is_empty();
            }
        }
        self.vector = Some(vector);
    }

    /// Ends a packet with nothing but a count.
    #[inline]
    fn discard(&mut self, job: Job, reason: Counter) {
        self.counters.add(reason);
        drop(job);
    }

    /// Ends a packet at the node.
    fn deliver(&mut self, job: Job) {
        if self.local.len() >= self.config.limits.local_queue {
            return self.discard(job, Counter::DropLocalQueueFull);
        }
        self.counters.add(Counter::Local);
        self.local.push_back((job.meta.rx(), job.packet));
    }

    /// Ends a PIM or MLD packet at the node.
    fn deliver_signalling(&mut self, job: Job) {
        let meta = job.meta.rx();
        if self.signalling.is_full(meta.port) {
            return self.discard(job, Counter::DropLocalSignallingQueue);
        }
        self.counters.add(Counter::Local);
        self.signalling.push(meta, job.packet);
    }

    /// Tells the node; whether there was room for it.
    fn notify(&mut self, notice: Notice) -> bool {
        if self.notices.len() >= MAX_NOTICES {
            self.counters.add(Counter::LostNotices);
            return false;
        }
        self.notices.push_back(notice);
        true
    }

    /// Ends a packet with an ICMPv6 error to its source, where one may be sent.
    #[cold]
    fn icmp_error(&mut self, mut job: Job, cause: Cause) {
        output::take_inserted(&mut job);
        if !icmpv6::is_allowed(job.packet.bytes(), cause, job.meta.link_multicast) {
            return self.discard(job, Counter::DropIcmpForbidden);
        }
        let end = match self.send_error(cause, job.packet.bytes(), job.meta.port) {
            Ok(()) => cause.counter(),
            Err(reason) => reason,
        };
        self.discard(job, end);
    }
}

/// What the ICMPv6 side of the stack needs.
impl Dataplane {
    /// Sends an error that quotes `quoted`, which [`icmpv6::is_allowed`] has let pass, from its destination where that is
    /// an address of this node (RFC 4443 §2.2).
    pub(crate) fn send_error(&mut self, cause: Cause, quoted: &[u8], port: Option<PortId>) -> Result<(), Counter> {
        let (to, about) = (header::source(quoted), header::destination(quoted));
        let from = if self.routes.is_local(about) { Some(about) } else { self.source_for(to, port) };
        let from = from.ok_or(Counter::DropIcmpNoSource)?;
        if !self.error_limit.take(self.now) {
            return Err(Counter::DropIcmpRateLimit);
        }
        let packet = icmpv6::build_error(&self.pool, from, to, cause, quoted).ok_or(Counter::DropIcmpNoFrame)?;
        self.counters.add(Counter::Generated);
        let job = Job { packet, meta: Meta { port, ..Meta::OWN } };
        // A terminal of this node's mobility agent is told by its own way, and not by its home agent's.
        if self.mma_bindings.find(to).is_some() {
            binding_tunnel::send(self, job, to);
        } else {
            self.pending.push_back((job, Lane::Lookup));
        }
        Ok(())
    }

    /// Whether what came by this port came from outside the site.
    pub(crate) fn is_from_outside(&self, arrival: Option<PortId>) -> bool {
        arrival.is_some_and(|port| self.config.site_border.contains(port))
    }

    /// An address of this node to speak from to `destination`; on a link, the one that its solicited-node group is heard
    /// there for. A correspondent whose only address is that of its programs speaks to them from there.
    pub(crate) fn source_for(&self, destination: Ipv6Addr, port: Option<PortId>) -> Option<Ipv6Addr> {
        if is_link_local(destination)
            && let Some(link) = port.and_then(|port| self.links.get(usize::from(port.0)))
        {
            let own = self.routes.link_local(|own| link.hears(solicited_node(own)));
            if own.is_some() {
                return own;
            }
        }
        self.routes.source_for(destination).or_else(|| self.correspondents.address())
    }

    pub(crate) fn count(&mut self, counter: Counter) {
        self.counters.add(counter);
    }

    pub(crate) fn tunnel_tables(&self) -> TunnelTables<'_> {
        TunnelTables {
            home_bindings: &self.home_bindings,
            mma_bindings: &self.mma_bindings,
            optimised: &self.optimised,
            correspondents: &self.correspondents,
            uplinks: &self.uplinks,
        }
    }

    /// Whether a router can have found `length` octets too big for this MTU: less than that pass, and this node can send
    /// that many.
    pub(crate) fn is_plausible_path_mtu(&self, mtu: u32, length: usize) -> bool {
        let largest = self.links.iter().map(|link| link.mtu).max().unwrap_or(0);
        (ipv6::MINIMUM_MTU..length).contains(&(mtu as usize)) && length <= largest
    }

    pub(crate) fn learn_path_mtu(&mut self, destination: Ipv6Addr, mtu: u16) {
        if self.path_mtus.learn(self.now, destination, mtu) {
            self.counters.add(Counter::PathMtusLearnt);
            self.tell(News::PathMtu(destination, mtu));
        } else {
            self.counters.add(Counter::RefusedUpdates);
        }
    }
}

/// Where tunnels start on this node.
pub(crate) struct TunnelTables<'a> {
    pub(crate) home_bindings: &'a HomeBindings,
    pub(crate) mma_bindings: &'a MmaBindings,
    pub(crate) optimised: &'a OptimisedPairs,
    pub(crate) correspondents: &'a Correspondents,
    pub(crate) uplinks: &'a Uplinks,
}
