//! The listener's side of MLDv2 (RFC 3810 §6): reports at once when a group is joined or left, repeats them, and answers
//! queries.
//!
//! A terminal that moves is heard again by its group when the first report arrives, so repetition does not wait the
//! second that RFC 3810 §9.11 suggests: [`Retransmission::Schedule`] sends again after 10, 50 and 200 ms and stops when
//! the router shows that it knows, by data or by a query for the group. Reports leave from the link-local address that
//! [`Command::SetSource`] names, never from the unspecified one, which routers ignore (§5.2.13).
//!
//! A terminal that moves between access routers says so in its reports ([`Command::CameFrom`], [`Command::GoesTo`]) where
//! it is told to; reports are as RFC 3810 has them otherwise.
//!
//! Left out: version 1 compatibility (§8.2.1); queries of version 1 are counted. The sub-cases that §4.2 makes of
//! several sockets are the caller's: one filter a group and port.

mod group;
#[cfg(test)]
mod tests;

pub use group::Filter;

use crate::addr::{self, ALL_NODES, Scope};
use crate::machine::{Machine, Notice, Output, Outputs, PortId, RxMeta, Via};
use crate::rng::Rng;
use crate::time::{Duration, Instant, Timers};
use crate::wire::mld::extension::AccessRouter;
use crate::wire::mld::{Message, Query, Record, Refusal, Report, open};
use core::net::Ipv6Addr;
use group::Group;
use std::collections::BTreeMap;

/// Robustness Variable (RFC 3810 §9.1).
pub const ROBUSTNESS_VARIABLE: u8 = 2;
/// Unsolicited Report Interval (RFC 3810 §9.11).
pub const UNSOLICITED_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What the machine is set up with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Seed of its random numbers.
    pub seed: u64,
    /// Robustness Variable until a querier says another, 1 to 7.
    pub robustness: u8,
    /// When State Change Reports are repeated.
    pub retransmission: Retransmission,
    /// Longest packet of a report on ports whose MTU was not told.
    pub mtu: usize,
    /// Groups of one port at the most.
    pub max_groups: usize,
    /// Sources of one group at the most; queries that name more are answered for the whole group.
    pub max_sources: usize,
}

impl Config {
    /// What a mobile terminal uses: repeats after 10, 50 and 200 ms.
    pub fn mobile(seed: u64) -> Self {
        Config {
            seed,
            robustness: ROBUSTNESS_VARIABLE,
            retransmission: Retransmission::Schedule([10, 50, 200].map(Duration::from_millis).to_vec()),
            mtu: crate::wire::ipv6::MINIMUM_MTU,
            max_groups: 256,
            max_sources: 64,
        }
    }
}

/// When State Change Reports are repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Retransmission {
    /// At these times after the first report, in order, until [`Command::Confirm`] or a query for the group; the list
    /// decides how often, whatever the Robustness Variable is.
    Schedule(Vec<Duration>),
    /// Robustness Variable - 1 times, each after a random part of this Unsolicited Report Interval (RFC 3810 §6.1).
    Random(Duration),
}

/// What the node may ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A notice of the data plane: links, their MTU, and `GroupData` as confirmation.
    Notice(Notice),
    /// Reports are sent from this link-local address, optimistic or not (RFC 4429 §3.2 forbids neither). What was joined
    /// while there was none is reported now.
    SetSource {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// There is no address to send from any more; nothing is sent until there is one.
    ClearSource(PortId),
    /// Listens, or listens differently.
    Join {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
        /// What of it.
        filter: Filter,
    },
    /// Listens no longer.
    Leave {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
    },
    /// From now on State Change Reports of this link name the access router that the listener has come from, where it could
    /// not leave; none: not any more.
    CameFrom {
        /// The link.
        port: PortId,
        /// An address of the router.
        router: Option<Ipv6Addr>,
    },
    /// Reports what is listened to on this link, and names the access router that the listener is about to go to: at once
    /// and as often again as a State Change Report.
    GoesTo {
        /// The link.
        port: PortId,
        /// An address of the router.
        router: Ipv6Addr,
    },
    /// The router knows: packets of the group came. The report of joining it is not repeated.
    Confirm {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
    },
}

/// What the node is told: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {}

crate::counters! {
    /// What was received, sent and refused.
    Counters {
        /// General queries received.
        rx_general_query = "rx-mld-general-query",
        /// Queries for one group received.
        rx_group_query = "rx-mld-group-query",
        /// Queries for sources of one group received.
        rx_source_query = "rx-mld-source-query",
        /// Queries of version 1, which are not answered.
        rx_v1_query = "rx-mld-v1-query",
        /// State Change Reports sent, repeated ones too.
        tx_state_change = "tx-mld-state-change",
        /// Reports that answer queries.
        tx_current_state = "tx-mld-current-state",
        /// Refused: a header in front of the message is wrong, or there is no MLD message.
        drop_header = "drop-mld-header",
        /// Refused: hop limit.
        drop_hop_limit = "drop-mld-hop-limit",
        /// Refused: source address.
        drop_source = "drop-mld-source",
        /// Refused: no Router Alert.
        drop_router_alert = "drop-mld-router-alert",
        /// Refused: checksum.
        drop_checksum = "drop-mld-checksum",
        /// Refused: message malformed.
        drop_message = "drop-mld-message",
        /// Refused: came through a tunnel.
        drop_tunnel = "drop-mld-tunnel",
        /// Commands refused: a group or source that is none, or a limit reached.
        drop_command = "drop-mld-command",
    }
}

/// The listener of a node, all its ports.
#[derive(Debug)]
pub struct MldListener {
    config: Config,
    ports: BTreeMap<PortId, Port>,
    timers: Timers<Timer>,
    rng: Rng,
    outputs: Outputs<Event>,
    counters: Counters,
}

/// One port.
#[derive(Debug)]
struct Port {
    /// Where reports are sent from.
    source: Option<Ipv6Addr>,
    down: bool,
    /// Longest packet, where it was told.
    mtu: Option<usize>,
    robustness: u8,
    groups: BTreeMap<Ipv6Addr, Group>,
    /// The access router that State Change Reports name.
    came_from: Option<Ipv6Addr>,
    /// The access router that is announced, and how often that was said.
    goes_to: Option<(Ipv6Addr, u32)>,
}

/// What runs out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// Interface Timer: the response to a general query.
    Interface(PortId),
    /// Multicast Address Timer: the response to queries for a group.
    Group(PortId, Ipv6Addr),
    /// Retransmission Timer.
    Retransmission(PortId, Ipv6Addr),
    /// What was announced is said again.
    Announcement(PortId),
}

impl MldListener {
    /// A listener that listens to nothing.
    pub fn new(config: Config) -> Self {
        let rng = Rng::new(config.seed);
        MldListener {
            config,
            ports: BTreeMap::new(),
            timers: Timers::new(),
            rng,
            outputs: Outputs::new(),
            counters: Counters::default(),
        }
    }

    /// What was received, sent and refused.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What is listened to, by port and group.
    pub fn memberships(&self) -> impl Iterator<Item = (PortId, Ipv6Addr, &Filter)> {
        self.ports.iter().flat_map(|(&id, port)| {
            let listening = port.groups.values().filter(|group| !group.filter.is_none());
            listening.map(move |group| (id, group.address, &group.filter))
        })
    }

    /// Listens from now on as `filter` says.
    fn listen(&mut self, now: Instant, id: PortId, address: Ipv6Addr, filter: Filter) {
        let reportable = Scope::of(address).is_some_and(|scope| scope > Scope::INTERFACE_LOCAL) && address != ALL_NODES;
        let sources = filter.sources();
        if !reportable || sources.len() > self.config.max_sources || !sources.iter().all(|&s| addr::is_unicast(s)) {
            self.counters.drop_command += 1;
            return;
        }
        let config = &self.config;
        let port = self.ports.entry(id).or_insert_with(|| Port::new(config.robustness));
        if !port.groups.contains_key(&address) {
            if filter.is_none() {
                return;
            }
            if port.groups.len() >= config.max_groups {
                self.counters.drop_command += 1;
                return;
            }
        }
        let can_send = port.sender().is_some();
        let transmissions = transmissions(&self.config.retransmission, port.robustness);
        let group = port.groups.entry(address).or_insert_with(|| Group::new(address));
        if !group.change(filter, transmissions) {
            return;
        }
        if can_send {
            self.report_change(now, id, address);
        } else {
            // Nobody has heard of the group; it is reported as new when there is an address to do so.
            group.settle();
            if group.filter.is_none() {
                port.groups.remove(&address);
            }
        }
    }

    /// Reports what changed of a group, for the first time or again.
    fn report_change(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(source) = port.sender() else { return };
        let Some(group) = port.groups.get_mut(&address) else { return };
        let records = group.next_change();
        if group.is_pending() {
            let pause = pause(&self.config.retransmission, group.transmission, &mut self.rng);
            self.timers.set(Timer::Retransmission(id, address), now + pause);
        } else {
            self.timers.cancel(Timer::Retransmission(id, address));
            if group.filter.is_none() {
                self.timers.cancel(Timer::Group(id, address));
                port.groups.remove(&address);
            }
        }
        self.counters.tx_state_change += 1;
        self.send_change(id, source, records);
    }

    /// Every group of a port is reported as if it had just been joined.
    fn report_all(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(source) = port.sender() else { return };
        let transmissions = transmissions(&self.config.retransmission, port.robustness);
        let mut records = Vec::new();
        for group in port.groups.values_mut() {
            group.rejoin(transmissions);
            records.extend(group.next_change());
            if group.is_pending() {
                let pause = pause(&self.config.retransmission, group.transmission, &mut self.rng);
                self.timers.set(Timer::Retransmission(id, group.address), now + pause);
            }
        }
        if !records.is_empty() {
            self.counters.tx_state_change += 1;
            self.send_change(id, source, records);
        }
    }

    /// Nothing can be sent on a port: what was to be sent is forgotten, what is listened to is kept.
    fn silence(&mut self, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        self.timers.cancel(Timer::Interface(id));
        self.timers.cancel(Timer::Announcement(id));
        port.goes_to = None;
        port.groups.retain(|&address, group| {
            self.timers.cancel(Timer::Group(id, address));
            self.timers.cancel(Timer::Retransmission(id, address));
            group.settle();
            group.queried.clear();
            !group.filter.is_none()
        });
    }

    /// The router knows of a group: by data where it was joined, by a query for it in any case.
    fn confirm(&mut self, id: PortId, address: Ipv6Addr, by_query: bool) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(group) = port.groups.get_mut(&address) else { return };
        if group.filter.is_none() && !by_query {
            return;
        }
        group.settle();
        self.timers.cancel(Timer::Retransmission(id, address));
        if group.filter.is_none() {
            self.timers.cancel(Timer::Group(id, address));
            port.groups.remove(&address);
        }
    }

    /// Schedules the response to a query (RFC 3810 §6.2).
    fn query(&mut self, now: Instant, id: PortId, query: &Query) {
        let default = self.config.robustness;
        let Some(port) = self.ports.get_mut(&id) else { return };
        port.robustness = if query.robustness == 0 { default } else { query.robustness };
        if !query.is_general() {
            self.confirm(id, query.group, true);
        }
        let Some(port) = self.ports.get_mut(&id).filter(|port| port.sender().is_some()) else { return };
        let concerned = match port.groups.get(&query.group) {
            _ if query.is_general() => port.groups.values().any(|group| !group.filter.is_none()),
            Some(group) if query.sources.is_empty() => !group.filter.is_none(),
            Some(group) => query.sources.iter().any(|&source| group.filter.accepts(source)),
            None => false,
        };
        if !concerned {
            return;
        }
        let at = now + self.rng.duration(Duration::ZERO..query.max_response_delay);
        if self.timers.deadline(Timer::Interface(id)).is_some_and(|pending| pending < at) {
            return; // Rule 1.
        }
        if query.is_general() {
            return self.timers.set(Timer::Interface(id), at); // Rule 2.
        }
        let Some(group) = port.groups.get_mut(&query.group) else { return };
        let timer = Timer::Group(id, query.group);
        let pending = self.timers.is_running(timer);
        if query.sources.is_empty() || pending && group.queried.is_empty() {
            group.queried.clear(); // Rule 4, and rule 3 for the whole group.
        } else {
            group.queried.extend(&query.sources); // Rule 5, and rule 3 for sources.
            if group.queried.len() > self.config.max_sources {
                group.queried.clear();
            }
        }
        self.timers.set_no_later(timer, at);
    }

    /// Answers a general query.
    fn answer_all(&mut self, id: PortId) {
        let Some(port) = self.ports.get(&id) else { return };
        let Some(source) = port.sender() else { return };
        let records: Vec<Record> = port.groups.values().filter_map(Group::current).collect();
        self.counters.tx_current_state += u64::from(!records.is_empty());
        self.send(id, source, records, None);
    }

    /// Says that the listener is about to go to another access router.
    fn announce(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let (Some(source), Some((router, sent))) = (port.sender(), &mut port.goes_to) else { return };
        *sent += 1;
        let (router, sent) = (*router, *sent);
        let records: Vec<Record> = port.groups.values().filter_map(Group::current).collect();
        if records.is_empty() {
            port.goes_to = None;
            return;
        }
        if sent < transmissions(&self.config.retransmission, port.robustness) {
            let pause = pause(&self.config.retransmission, sent, &mut self.rng);
            self.timers.set(Timer::Announcement(id), now + pause);
        } else {
            port.goes_to = None;
        }
        self.counters.tx_current_state += 1;
        self.send(id, source, records, Some(AccessRouter::Candidate(router)));
    }

    /// Answers queries for a group.
    fn answer(&mut self, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(source) = port.sender() else { return };
        let Some(record) = port.groups.get_mut(&address).and_then(Group::answer) else { return };
        self.counters.tx_current_state += 1;
        self.send(id, source, vec![record], None);
    }

    fn send_change(&mut self, id: PortId, source: Ipv6Addr, records: Vec<Record>) {
        let router = self.ports.get(&id).and_then(|port| port.came_from).map(AccessRouter::Previous);
        self.send(id, source, records, router);
    }

    fn send(&mut self, id: PortId, source: Ipv6Addr, records: Vec<Record>, router: Option<AccessRouter>) {
        let mtu = self.ports.get(&id).and_then(|port| port.mtu).unwrap_or(self.config.mtu);
        for packet in (Report { records }).packets_with(source, mtu, router) {
            self.outputs.transmit(packet, Via::Link(id));
        }
    }

    fn port(&mut self, id: PortId) -> &mut Port {
        let robustness = self.config.robustness;
        self.ports.entry(id).or_insert_with(|| Port::new(robustness))
    }
}

impl Port {
    fn new(robustness: u8) -> Self {
        let groups = BTreeMap::new();
        Port { source: None, down: false, mtu: None, robustness, groups, came_from: None, goes_to: None }
    }

    /// Where reports are sent from, if they can be sent.
    fn sender(&self) -> Option<Ipv6Addr> {
        self.source.filter(|_| !self.down)
    }
}

impl Machine for MldListener {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        let counter = match open(packet) {
            Ok(_) if meta.tunnel.is_some() => &mut self.counters.drop_tunnel,
            Ok(opened) => match Message::parse(opened.message) {
                Ok(Message::Query(query)) => {
                    self.query(now, meta.port, &query);
                    if query.is_general() {
                        &mut self.counters.rx_general_query
                    } else if query.sources.is_empty() {
                        &mut self.counters.rx_group_query
                    } else {
                        &mut self.counters.rx_source_query
                    }
                }
                Ok(Message::V1Query { .. }) => &mut self.counters.rx_v1_query,
                // RFC 3810 §6: a listener ignores what other listeners send.
                Ok(Message::Report(_) | Message::V1Report { .. } | Message::V1Done { .. }) => return,
                Err(_) => &mut self.counters.drop_message,
            },
            Err(Refusal::Header(_) | Refusal::NotMld) => &mut self.counters.drop_header,
            Err(Refusal::HopLimit) => &mut self.counters.drop_hop_limit,
            Err(Refusal::Source | Refusal::Unspecified) => &mut self.counters.drop_source,
            Err(Refusal::RouterAlert) => &mut self.counters.drop_router_alert,
            Err(Refusal::Checksum) => &mut self.counters.drop_checksum,
        };
        *counter += 1;
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                Timer::Interface(id) => self.answer_all(id),
                Timer::Group(id, group) => self.answer(id, group),
                Timer::Retransmission(id, group) => self.report_change(now, id, group),
                Timer::Announcement(id) => self.announce(now, id),
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Notice(Notice::LinkDown(id)) => {
                self.port(id).down = true;
                self.silence(id);
            }
            Command::Notice(Notice::LinkUp(id)) => {
                if core::mem::replace(&mut self.port(id).down, false) {
                    self.report_all(now, id);
                }
            }
            Command::Notice(Notice::Mtu(id, mtu)) => self.port(id).mtu = Some(mtu),
            Command::Notice(Notice::GroupData { port, group }) => self.confirm(port, group, false),
            Command::Notice(_) => {}
            Command::SetSource { port, address } if addr::is_link_local(address) => {
                if self.port(port).source.replace(address).is_none() {
                    self.report_all(now, port);
                }
            }
            Command::SetSource { .. } => self.counters.drop_command += 1,
            Command::ClearSource(id) => {
                self.port(id).source = None;
                self.silence(id);
            }
            Command::Join { port, group, filter } => self.listen(now, port, group, filter),
            Command::Leave { port, group } => self.listen(now, port, group, Filter::NONE),
            Command::CameFrom { port, router } => self.port(port).came_from = router,
            Command::GoesTo { port, router } => {
                self.port(port).goes_to = Some((router, 0));
                self.announce(now, port);
            }
            Command::Confirm { port, group } => self.confirm(port, group, false),
        }
    }

    fn poll_output(&mut self) -> Option<Output<Event>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }
}

/// How often a change is reported.
fn transmissions(retransmission: &Retransmission, robustness: u8) -> u32 {
    match retransmission {
        Retransmission::Schedule(times) => 1 + times.len() as u32,
        Retransmission::Random(_) => u32::from(robustness.max(1)),
    }
}

/// The pause between the report number `sent`, counted from 1, and the next.
fn pause(retransmission: &Retransmission, sent: u32, rng: &mut Rng) -> Duration {
    match retransmission {
        Retransmission::Schedule(times) => {
            // Changes that overlap need more reports than the schedule has times; the last pause then repeats.
            let index = (sent as usize - 1).min(times.len().saturating_sub(1));
            let before = index.checked_sub(1).and_then(|index| times.get(index)).copied().unwrap_or_default();
            times.get(index).copied().unwrap_or(UNSOLICITED_REPORT_INTERVAL).saturating_sub(before)
        }
        Retransmission::Random(interval) => rng.duration(Duration::ZERO..*interval),
    }
}
