//! The PIM router: what comes in, what goes out, and who handles it.
//!
//! Every call of a `handle_*` method answers whole: table updates first, then one or a few full Join/Prune messages for
//! each neighbour that has to be asked for something. So a join has left before the next packet is read, and the
//! forwarding entry stands before it leaves.

use crate::assert::AssertEvent;
use crate::config::Config;
use crate::counters::Counters;
use crate::downstream::DownstreamEvent;
use crate::hello::Holdtime;
use crate::interface::{Greeting, Interface};
use crate::join_prune_builder::{self, JoinPruneBuilder, Request, Requests, Subject};
use crate::mld::{Membership, Querier, Version};
use crate::register::RegisterEvent;
use crate::rp::RendezvousPoints;
use crate::rpf::{LinkNeighbor, Rib, RouteMetric};
use crate::sg_rpt::{RptDownstream, RptDownstreamEvent, RptUpstreamEvent};
use crate::sweep::Sweep;
use crate::tib::Tib;
use crate::wire::{self, Message, MessageType, Register};
use core::net::Ipv6Addr;
use stack::addr::{self, ALL_MLDV2_ROUTERS, ALL_PIM_ROUTERS, ALL_ROUTERS, Prefix};
use stack::machine::{Machine, Output, Outputs, PortId, RxMeta, Via};
use stack::rng::Rng;
use stack::tables::{MrouteKey, PortSet, Route, TableUpdate};
use stack::time::{Duration, Instant, Timers};
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mld::extension::AccessRouter;
use stack::wire::{WireErrorKind, mld};
use std::collections::BTreeMap;

/// What the node tells a [`Router`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// The port's link came up, or was up at the start. Nothing is sent or heard before.
    LinkUp(PortId),
    /// The port's link went down.
    LinkDown(PortId),
    /// A unicast route, for reverse path forwarding; [`Route::Local`] names this node's own addresses, which are the
    /// sources that it is the first hop of.
    RouteSet(Prefix, Route),
    /// The route is gone, and what was said of its worth.
    RouteRemove(Prefix),
    /// What the route of this prefix, present or to come, is worth where routers compare theirs (RFC 7761 §4.6.3). A route
    /// of which nothing is said has preference 1 and metric 0; links have 0 and 0.
    RouteMetric(Prefix, RouteMetric),
    /// The data plane tells of a multicast packet: one that no route matches, one that came elsewhere than its route
    /// accepts, or one of a route that asks for it. `port` is where it came in; `None` where this node is its source, or it
    /// came in a Register message.
    Data {
        /// Where.
        port: Option<PortId>,
        /// Its source.
        source: Ipv6Addr,
        /// Its group.
        group: Ipv6Addr,
    },
    /// The data plane tells of a Register message with data to one of this node's addresses.
    Register {
        /// The designated router that sent it.
        from: Ipv6Addr,
        /// The address.
        to: Ipv6Addr,
        /// Source and group of the data.
        key: MrouteKey,
    },
    /// The interface has these addresses now.
    AddressesChanged {
        /// The interface's port.
        port: PortId,
        /// Its link-local address.
        link_local: Ipv6Addr,
        /// The others.
        addresses: Vec<Ipv6Addr>,
    },
    /// The largest packet on the interface's link is another: the next Join/Prunes and Queries are filled up to it.
    Mtu {
        /// The interface's port.
        port: PortId,
        /// In octets.
        mtu: usize,
    },
    /// Another access router says that a listener of this source and group, or of all sources (the unspecified address), has
    /// come to it: those who listen on the links here are asked whether they are there.
    ListenerGone(MrouteKey),
    /// Another access router says that a listener is about to come: the source and group, or all sources (the unspecified
    /// address), is joined, and its packets are held, until a listener reports it or the time is over.
    PreJoin {
        /// The source and the group.
        key: MrouteKey,
        /// When it is left again.
        until: Instant,
    },
    /// PIM stops: everything is pruned, the neighbours hear goodbye. There is no way back.
    Stop,
}

/// What a [`Router`] tells the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A new PIM neighbour.
    NeighborUp {
        /// When.
        at: Instant,
        /// On this link.
        port: PortId,
        /// Its primary address.
        address: Ipv6Addr,
    },
    /// A neighbour that has lost its state: its generation identifier changed.
    NeighborRestarted {
        /// When.
        at: Instant,
        /// On this link.
        port: PortId,
        /// Its primary address.
        address: Ipv6Addr,
    },
    /// A neighbour that is none any more.
    NeighborDown {
        /// When.
        at: Instant,
        /// On this link.
        port: PortId,
        /// Its primary address.
        address: Ipv6Addr,
    },
    /// Another designated router.
    DesignatedRouter {
        /// When.
        at: Instant,
        /// On this link.
        port: PortId,
        /// Its primary address; may be our own.
        address: Ipv6Addr,
    },
    /// Hosts on a link want a source, or all (the unspecified address), or all but this one, or have no more to say of it.
    /// Reported whoever is designated router.
    MembershipChanged {
        /// When.
        at: Instant,
        /// On this link.
        port: PortId,
        /// The source and the group.
        key: MrouteKey,
        /// What changed.
        membership: Membership,
    },
    /// A router on a link asks in the other version of MLD than the one configured here; all of them have to be configured
    /// alike (RFC 3810 §8.3.1). Once in [`Querier::VERSION_WARNING_INTERVAL`] a link at the most.
    MldVersionMismatch {
        /// When.
        at: Instant,
        /// On this link.
        port: PortId,
        /// The other router's address.
        address: Ipv6Addr,
        /// The version that it asks in.
        version: Version,
    },
    /// A listener has come from another access router, where it could not leave, or is about to go to another one: it says
    /// so in a report, and listens here to what it reports.
    ListenerMoves {
        /// When.
        at: Instant,
        /// On this link.
        port: PortId,
        /// Its link-local address.
        listener: Ipv6Addr,
        /// The other router.
        router: AccessRouter,
        /// Sources and groups; the unspecified source is all.
        keys: Vec<MrouteKey>,
    },
    /// The (S,G), or (*,G), is wanted here: the join leaves now where there is a neighbour to send it to.
    Joined {
        /// When.
        at: Instant,
        /// The source and the group.
        key: MrouteKey,
        /// RPF'(S,G).
        upstream: Option<LinkNeighbor>,
    },
    /// The (S,G), or (*,G), is wanted no longer.
    Pruned {
        /// When.
        at: Instant,
        /// The source and the group.
        key: MrouteKey,
        /// RPF'(S,G).
        upstream: Option<LinkNeighbor>,
    },
}

/// A timer of RFC 7761 §4.11, and the deadlines of the queriers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum TimerKey {
    /// HT(I).
    Hello(PortId),
    /// The Hello that greets a new neighbour.
    TriggeredHello(PortId),
    /// NLT(N,I).
    Neighbor(PortId, Ipv6Addr),
    /// PPT(S,G,I). Before the expiry timer: where both are due, the prune decides.
    PrunePending(MrouteKey, PortId),
    /// ET(S,G,I).
    Expiry(MrouteKey, PortId),
    /// PPT(S,G,rpt,I).
    RptPrunePending(MrouteKey, PortId),
    /// ET(S,G,rpt,I).
    RptExpiry(MrouteKey, PortId),
    /// OT(S,G,rpt).
    RptOverride(MrouteKey),
    /// AT(S,G,I), AT(*,G,I).
    Assert(MrouteKey, PortId),
    /// KAT(S,G).
    Keepalive(MrouteKey),
    /// The next packet of (S,G) restarts KAT(S,G).
    AwaitPacket(MrouteKey),
    /// RST(S,G).
    RegisterStop(MrouteKey),
    /// The listener that (S,G) or (*,G) was joined for has not come.
    PreJoin(MrouteKey),
    /// More entries are to be seen to.
    Sweep,
    /// The first JT(S,G) of those that refresh this neighbour.
    Join(LinkNeighbor),
    /// The querier of a port.
    Mld(PortId),
    /// The bootstrap router mechanism.
    Bsr,
}

impl TimerKey {
    /// Whether it comes before the expiry timer that an entry holds itself, where both are due.
    fn precedes_expiry(self) -> bool {
        use TimerKey::{Hello, Neighbor, PrunePending, TriggeredHello};
        matches!(self, Hello(_) | TriggeredHello(_) | Neighbor(..) | PrunePending(..))
    }
}

/// Joins that leave in one call because timers expire, and expiry timers of entries that run in one. While a call lasts the
/// worker forwards nothing; what is due beyond goes on after a pause.
const JOINS_A_CALL: usize = 512;
const EXPIRIES_A_CALL: usize = 256;
/// How long the rest of what is due waits.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// Whether the router works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Running,
    Stopped,
}

/// A PIM router and the MLD queriers of its links.
///
/// In: [`Machine::handle_packet`] with PIM packets and ICMPv6 packets of the MLD types, [`Machine::handle_timeout`],
/// [`Machine::handle_command`]. Out, after each of them: [`Machine::poll_output`] until it is empty, then
/// [`Machine::poll_timeout`]. The rest looks only.
#[derive(Debug)]
pub struct Router {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) interfaces: BTreeMap<PortId, Interface>,
    pub(crate) rib: Rib,
    pub(crate) tib: Tib,
    pub(crate) timers: Timers<TimerKey>,
    pub(crate) sweep: Sweep,
    /// Joins that may still leave in this call because their timers expire.
    pub(crate) joins_left: usize,
    /// Before that the expiry timers of entries, of which many were due, wait.
    expiries_from: Instant,
    pub(crate) requests: JoinPruneBuilder,
    pub(crate) rendezvous_points: RendezvousPoints,
    pub(crate) outputs: Outputs<Event>,
    pub(crate) counters: Counters,
    /// How many KAT(S,G) run.
    pub(crate) kept_alive: usize,
    phase: Phase,
}

impl Router {
    /// A router whose links are all down. Its first outputs are the link-layer groups that it listens to.
    pub fn new(config: Config) -> Self {
        let mut rng = Rng::new(config.seed);
        let mut outputs = Outputs::new();
        let mut interfaces = BTreeMap::new();
        for interface in &config.interfaces {
            let querier = interface.mld.as_ref().map(|mld| Querier::new(&config, interface, mld, rng.fork()));
            let port = interface.port;
            let interface = Interface::new(interface.clone(), querier);
            for group in link_groups(&interface) {
                outputs.table(TableUpdate::LinkGroupJoin(port, group));
            }
            interfaces.insert(port, interface);
        }
        Router {
            rendezvous_points: RendezvousPoints::new(&config),
            tib: Tib::new(config.seed, config.join_prune_period),
            config,
            rng,
            interfaces,
            rib: Rib::default(),
            timers: Timers::new(),
            sweep: Sweep::default(),
            joins_left: JOINS_A_CALL,
            expiries_from: Instant::ORIGIN,
            requests: JoinPruneBuilder::default(),
            outputs,
            counters: Counters::default(),
            kept_alive: 0,
            phase: Phase::Running,
        }
    }

    fn handle_pim(&mut self, now: Instant, meta: &RxMeta, header: &ipv6::Header, bytes: &[u8]) {
        let Some(interface) = self.interfaces.get(&meta.port).filter(|interface| interface.is_up()) else {
            self.counters.drop_no_interface += 1;
            return;
        };
        // What comes from afar passes links where no router is a neighbour.
        let passes = match header.destination.is_multicast() {
            true => interface.is_pim_enabled(),
            false => !interface.is_site_border(),
        };
        if !passes {
            self.counters.drop_passive += 1;
            return;
        }
        if meta.tunnel.is_some() {
            self.counters.drop_tunnel += 1;
            return;
        }
        let own = interface.config.link_local;
        let message = match Message::parse(header.source, header.destination, bytes) {
            Ok(message) => message,
            Err(error) => {
                match error.kind {
                    WireErrorKind::Checksum => self.counters.drop_checksum += 1,
                    _ => self.counters.drop_malformed += 1,
                }
                return;
            }
        };
        let kind = match &message {
            Message::Hello(_) => MessageType::Hello,
            Message::Register(_) => MessageType::Register,
            Message::RegisterStop(_) => MessageType::RegisterStop,
            Message::JoinPrune(_) => MessageType::JoinPrune,
            Message::Assert(_) => MessageType::Assert,
            Message::Bootstrap(_) => MessageType::Bootstrap,
            Message::CandidateRpAdvertisement(_) => MessageType::CandidateRpAdvertisement,
        };
        // A Bootstrap message may be to this router alone (RFC 5059 §3.5.2).
        let may_differ = kind == MessageType::Bootstrap && !header.destination.is_multicast();
        if (header.destination == ALL_PIM_ROUTERS) != kind.is_link_local() && !may_differ {
            self.counters.drop_destination += 1;
            return;
        }
        if kind.is_link_local() {
            if header.hop_limit != 1 && !may_differ {
                self.counters.drop_hop_limit += 1;
                return;
            }
            if !addr::is_link_local(header.source) || header.source == own {
                self.counters.drop_source += 1;
                return;
            }
        }
        match message {
            Message::Hello(hello) => self.handle_hello(now, meta.port, header.source, &hello),
            Message::JoinPrune(message) => self.handle_join_prune(now, meta.port, header.source, &message),
            Message::Assert(message) => self.handle_assert(now, meta.port, header.source, &message),
            Message::Register(Register { source, group, .. }) => {
                self.handle_register(now, header.source, header.destination, MrouteKey { source, group });
            }
            Message::RegisterStop(message) => self.handle_register_stop(now, header.source, message),
            Message::Bootstrap(message) => self.handle_bootstrap(now, meta.port, header, &message),
            Message::CandidateRpAdvertisement(message) => {
                self.handle_candidate_rp(now, meta.port, header, &message);
            }
        }
    }

    /// Sends what the call wants neighbours to know; a neighbour that may not know us hears a Hello first (§4.3.1).
    fn flush(&mut self) {
        for (to, requests) in self.requests.take() {
            let Some(interface) = self.interfaces.get(&to.port).filter(|interface| interface.speaks_pim()) else {
                continue;
            };
            // It may have been lost meanwhile; what a prune echoes is said to ourselves.
            if !self.is_neighbor(&to) && to.address != interface.config.link_local {
                continue;
            }
            if interface.greeting == Greeting::Owed {
                self.send_hello(to.port, Holdtime::Configured);
            }
            let Some(interface) = self.interfaces.get(&to.port) else { continue };
            let requests = self.with_rpt_prunes(requests);
            let joins = requests.values().filter(|&&request| request == Request::Join).count();
            self.counters.tx_join += joins as u64;
            self.counters.tx_prune += (requests.len() - joins) as u64;
            let holdtime = join_prune_holdtime(self.config.join_prune_period);
            let (source, mtu) = (interface.config.link_local, interface.config.mtu);
            let named = |group, request| self.rendezvous_point_to_name(group, request);
            for message in join_prune_builder::pack(to.address, holdtime, mtu, &requests, named) {
                let packet = wire::packet(source, MessageType::JoinPrune, |into| message.emit(into));
                self.counters.tx_join_prune += 1;
                self.outputs.transmit(packet, Via::Link(to.port));
            }
        }
        self.rendezvous_points.former.clear();
    }

    /// The rendezvous point that a request of (*,G) names: a prune that of the tree that is left; none where there is none
    /// any more (§4.5.4).
    fn rendezvous_point_to_name(&self, group: Ipv6Addr, request: Request) -> Ipv6Addr {
        let former = self.rendezvous_points.former.get(&group).filter(|_| request == Request::Prune);
        former.copied().or_else(|| self.rendezvous_point(group)).unwrap_or(Ipv6Addr::UNSPECIFIED)
    }

    /// With every Join(*,G) go the sources that are not wanted by it (§4.5.6).
    fn with_rpt_prunes(&self, mut requests: Requests) -> Requests {
        let joined: Vec<Ipv6Addr> = requests
            .iter()
            .filter(|((_, subject), request)| (*subject, **request) == (Subject::Any, Request::Join))
            .map(|(&(group, _), _)| group)
            .collect();
        for key in joined.into_iter().flat_map(|group| self.tib.sources_of(group)) {
            let subject = (key.group, Subject::Rpt(key.source));
            if self.trees(key).is_pruned_with_join_any() {
                requests.insert(subject, Request::Prune);
            } else {
                requests.remove(&subject);
            }
        }
        requests
    }

    fn timer_expires(&mut self, now: Instant, timer: TimerKey) {
        match timer {
            TimerKey::Hello(port) => self.hello_timer_expires(now, port),
            TimerKey::TriggeredHello(port) => self.send_hello(port, Holdtime::Configured),
            TimerKey::Neighbor(port, address) => self.neighbor_lost(now, port, address),
            TimerKey::PrunePending(key, port) => {
                self.downstream_event(now, key, port, DownstreamEvent::PrunePendingTimerExpires);
            }
            TimerKey::Expiry(key, port) => {
                self.downstream_event(now, key, port, DownstreamEvent::ExpiryTimerExpires);
            }
            TimerKey::RptPrunePending(key, port) => {
                self.rpt_downstream_event(now, key, port, RptDownstreamEvent::PrunePendingTimerExpires);
            }
            TimerKey::RptExpiry(key, port) => {
                self.rpt_downstream_event(now, key, port, RptDownstreamEvent::ExpiryTimerExpires);
            }
            TimerKey::RptOverride(key) => {
                self.rpt_upstream_event(now, key, RptUpstreamEvent::OverrideTimerExpires);
                self.settle(now, key);
            }
            TimerKey::Assert(key, port) => self.assert_event(now, key, port, AssertEvent::TimerExpires, None),
            TimerKey::Keepalive(key) => self.keepalive_expires(now, key),
            TimerKey::AwaitPacket(key) => self.await_packet(now, key),
            TimerKey::RegisterStop(key) => self.register_event(now, key, RegisterEvent::RegisterStopTimerExpires),
            TimerKey::PreJoin(key) => self.pre_join_expires(now, key),
            TimerKey::Sweep => self.sweep(now),
            TimerKey::Join(neighbor) => self.join_timer_expires(now, neighbor),
            TimerKey::Mld(port) => {
                if let Some(querier) = self.querier_mut(port) {
                    querier.handle_timeout(now);
                }
                self.drain_querier(now, port);
            }
            TimerKey::Bsr => self.bsr_timer_expires(now),
        }
    }

    fn stop(&mut self, now: Instant) {
        // First, since mappings that change with it can make trees anew.
        self.stop_bsr(now);
        for key in self.tib.keys_where(|_| true) {
            self.tib.set_expiry(key, None);
            if let Some(entry) = self.tib.get_mut(key) {
                entry.set_joined(PortSet::EMPTY);
                entry.set_prune_pending(PortSet::EMPTY);
                entry.set_members(PortSet::EMPTY);
                entry.set_pre_joined(false);
                if let Some(shared) = &mut entry.shared {
                    self.kept_alive -= usize::from(shared.is_kept_alive);
                    shared.is_kept_alive = false;
                    shared.excluded = PortSet::EMPTY;
                    shared.rpt = RptDownstream::default();
                }
            }
        }
        // The sources of a shared tree inherit nothing any more.
        for key in self.tib.keys_where(|_| true) {
            self.settle(now, key);
        }
        self.flush();
        for port in self.interfaces.keys().copied().collect::<Vec<_>>() {
            self.send_hello(port, Holdtime::Goodbye);
        }
        for (&port, interface) in &self.interfaces {
            for group in link_groups(interface) {
                self.outputs.table(TableUpdate::LinkGroupLeave(port, group));
            }
        }
        self.timers = Timers::new();
        self.phase = Phase::Stopped;
    }
}

/// The groups that a router listens to on its links.
fn link_groups(interface: &Interface) -> impl Iterator<Item = Ipv6Addr> + use<> {
    let pim = interface.is_pim_enabled().then_some(ALL_PIM_ROUTERS);
    let mld = interface.mld.is_some().then_some(ALL_MLDV2_ROUTERS);
    [Some(ALL_ROUTERS), pim, mld].into_iter().flatten()
}

/// J/P_HoldTime := 3.5 * t_periodic (§4.11), in seconds.
fn join_prune_holdtime(period: Duration) -> u16 {
    u16::try_from((period * 7 / 2).as_secs()).unwrap_or(u16::MAX - 1).clamp(1, u16::MAX - 1)
}

impl Machine for Router {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        if self.phase == Phase::Stopped {
            return;
        }
        let (Ok(header), Ok(chain)) = (ipv6::Header::parse(packet), Chain::parse(packet)) else {
            self.counters.drop_header += 1;
            return;
        };
        let upper = packet.get(chain.upper_offset..header.total_length()).unwrap_or_default();
        match chain.upper {
            _ if chain.fragment.is_some() => self.counters.drop_header += 1,
            protocol::PIM => self.handle_pim(now, meta, &header, upper),
            protocol::ICMPV6 if upper.first().is_some_and(|&kind| mld::is_mld(kind)) => {
                if meta.tunnel.is_some() {
                    self.counters.drop_tunnel += 1;
                } else if self.interfaces.get(&meta.port).is_some_and(Interface::is_up) {
                    self.handle_mld(now, meta, packet);
                } else {
                    self.counters.drop_no_interface += 1;
                }
            }
            _ => self.counters.drop_header += 1,
        }
        self.flush();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.joins_left = JOINS_A_CALL;
        let mut expiries_left = EXPIRIES_A_CALL;
        loop {
            let expiry = self.tib.first_expiry().filter(|&(at, ..)| at <= now && expiries_left > 0);
            let other = self.timers.first().filter(|&(at, _)| at <= now);
            match (expiry, other) {
                (Some((at, key, port)), other)
                    if other.is_none_or(|(other, timer)| at < other || at == other && !timer.precedes_expiry()) =>
                {
                    expiries_left -= 1;
                    self.tib.set_expiry(key, None);
                    self.timer_expires(now, TimerKey::Expiry(key, port));
                }
                (_, Some(_)) => {
                    if let Some(timer) = self.timers.pop_expired(now) {
                        self.timer_expires(now, timer);
                    }
                }
                (_, None) => break,
            }
        }
        self.expiries_from = if expiries_left == 0 { now + PAUSE } else { now };
        self.flush();
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        if self.phase == Phase::Stopped {
            return;
        }
        match command {
            Command::LinkUp(port) => {
                self.link_up(now, port);
                self.start_bsr(now);
            }
            Command::LinkDown(port) => self.link_down(now, port),
            Command::RouteSet(prefix, route) => {
                if self.rib.set(prefix, route) {
                    self.reroute_prefix(now, prefix);
                }
            }
            Command::RouteRemove(prefix) => {
                if self.rib.remove(prefix) {
                    self.reroute_prefix(now, prefix);
                }
            }
            Command::RouteMetric(prefix, metric) => {
                if self.rib.set_metric(prefix, metric) {
                    self.reroute_prefix(now, prefix);
                }
            }
            Command::Data { port, source, group } => self.data_arrives(now, port, source, group),
            Command::Register { from, to, key } => self.handle_register(now, from, to, key),
            Command::AddressesChanged { port, link_local, addresses } => {
                self.addresses_changed(now, port, link_local, addresses);
            }
            Command::Mtu { port, mtu } => {
                if let Some(interface) = self.interfaces.get_mut(&port) {
                    interface.config.mtu = mtu;
                    if let Some(querier) = &mut interface.mld {
                        querier.set_mtu(mtu);
                    }
                }
            }
            Command::ListenerGone(key) => self.listener_gone(now, key),
            Command::PreJoin { key, until } => self.pre_join(now, key, until),
            Command::Stop => self.stop(now),
        }
        self.flush();
    }

    fn poll_output(&mut self) -> Option<Output<Event>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.tib.next_expiry().map(|at| at.max(self.expiries_from));
        [self.timers.next_deadline(), expiry].into_iter().flatten().min()
    }
}
