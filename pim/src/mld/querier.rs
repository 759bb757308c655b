//! The MLDv2 querier of one link (RFC 3810 §7): election, queries, and what the reports add up to.
//!
//! Groups of the mobility range belong to one terminal each. For them every listener is tracked, the last one's leaving
//! ends the membership without a query, and each group is asked for on its own, often, so that a terminal that vanished
//! is not served for minutes. Records that would put a source-specific group in EXCLUDE mode are ignored (RFC 4604 §3.1).
//!
//! Hosts of version 1 are heard (§8.3.2). On a link with a router of version 1 this one has to be configured to ask in
//! that version too (§8.3.1), where there are no questions for sources: sources that are left then stay until their timers
//! run out, and the mobility range is none.

use super::change::{self, MembershipChange, Memberships};
use super::compat::{self, OlderMessage, Version};
use super::group::{FilterMode, Group, GroupView, Queries, Tracking};
use super::host::Tracked;
use crate::config::{self, Border, Config, InterfaceConfig, Limits, MldConfig};
use crate::counters::Counters;
use core::net::Ipv6Addr;
use stack::addr::{self, Prefix};
use stack::rng::Rng;
use stack::time::{Duration, Instant, Timers};
use stack::wire::mld::{self, Query, Record, RecordType, Report};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Another router asks in the other version than the one configured here (RFC 3810 §8.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct VersionMismatch {
    pub(crate) router: Ipv6Addr,
    pub(crate) version: Version,
}

/// Who asks (RFC 3810 §7.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuerierState {
    /// The link is down.
    Stopped,
    /// This router.
    Querier {
        /// General queries that are still to follow one another quickly.
        startup_left: u8,
    },
    /// Another router, with what its queries say of themselves.
    NonQuerier {
        /// Its address.
        querier: Ipv6Addr,
        /// Its Robustness Variable.
        robustness: u8,
        /// Its Query Interval.
        query_interval: Duration,
    },
}

/// Whether other routers on the link have to learn of what we know without asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkRouters {
    Alone,
    Several,
}

/// What a host says of one group.
struct Claim<'a> {
    host: Ipv6Addr,
    /// That of its message.
    version: Version,
    kind: RecordType,
    group: Ipv6Addr,
    sources: &'a [Ipv6Addr],
}

/// What one host makes the router hold, in all groups together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Share {
    groups: usize,
    /// Sources that it names.
    sources: usize,
}

/// A claim that is within all limits.
struct Admitted {
    sources: BTreeSet<Ipv6Addr>,
    /// Whether it asks for more than is known of its host, rather than for less.
    adds: bool,
}

/// A deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum TimerKey {
    GeneralQuery,
    OtherQuerierPresent,
    Group(Ipv6Addr),
}

/// The timers that apply to one group.
struct Timing {
    /// Multicast Address Listening Interval.
    listening_interval: Duration,
    last_listener_query_interval: Duration,
    last_listener_query_count: u8,
    is_mobile: bool,
}

impl Timing {
    fn last_listener_query_time(&self) -> Duration {
        self.last_listener_query_interval * u32::from(self.last_listener_query_count)
    }
}

/// The router side of MLDv2 on one link.
#[derive(Debug)]
pub struct Querier {
    config: MldConfig,
    limits: Limits,
    border: Border,
    ssm_ranges: Vec<Prefix>,
    mobility_ranges: Vec<Prefix>,
    link_local: Ipv6Addr,
    mtu: usize,
    rng: Rng,
    state: QuerierState,
    groups: BTreeMap<Ipv6Addr, Group>,
    /// What each tracked host makes this router hold.
    hosts: BTreeMap<Ipv6Addr, Share>,
    /// Hosts that are tracked, once for each of their groups.
    tracked: usize,
    timers: Timers<TimerKey>,
    changes: VecDeque<MembershipChange>,
    packets: VecDeque<Vec<u8>>,
    mismatch: Option<VersionMismatch>,
    /// When the next mismatch may be told.
    mismatch_told_until: Instant,
}

impl Querier {
    /// A mismatch of versions is told so often at the most.
    pub const VERSION_WARNING_INTERVAL: Duration = Duration::from_secs(60);

    pub(crate) fn new(config: &Config, interface: &InterfaceConfig, mld: &MldConfig, rng: Rng) -> Self {
        Querier {
            config: mld.clone(),
            limits: config.limits,
            border: interface.border,
            ssm_ranges: config.ssm_ranges.clone(),
            mobility_ranges: config.mobility_ranges.clone(),
            link_local: interface.link_local,
            mtu: interface.mtu,
            rng,
            state: QuerierState::Stopped,
            groups: BTreeMap::new(),
            hosts: BTreeMap::new(),
            tracked: 0,
            timers: Timers::new(),
            changes: VecDeque::new(),
            packets: VecDeque::new(),
            mismatch: None,
            mismatch_told_until: Instant::ORIGIN,
        }
    }

    /// Who asks.
    pub fn state(&self) -> QuerierState {
        self.state
    }

    /// The address of the router that asks.
    pub fn querier_address(&self) -> Ipv6Addr {
        match self.state {
            QuerierState::NonQuerier { querier, .. } => querier,
            QuerierState::Stopped | QuerierState::Querier { .. } => self.link_local,
        }
    }

    /// The groups with listeners, by address.
    pub fn groups(&self) -> impl Iterator<Item = GroupView> {
        self.groups.iter().map(|(&address, group)| GroupView { version: self.version_of(group), ..group.view(address) })
    }

    /// The group and the source of everything that listeners ask for; the unspecified address is all sources.
    pub fn memberships(&self) -> impl Iterator<Item = (Ipv6Addr, Ipv6Addr)> {
        self.groups.iter().flat_map(|(&address, group)| group.wanted().map(move |source| (address, source)))
    }

    /// local_receiver_include(S,G,I), and for the unspecified address local_receiver_include(*,G,I) (RFC 7761 §4.1.5).
    pub fn is_member(&self, group: Ipv6Addr, source: Ipv6Addr) -> bool {
        self.groups.get(&group).is_some_and(|group| {
            if source.is_unspecified() { group.mode == FilterMode::Exclude } else { group.is_requested(source) }
        })
    }

    /// The group and the source of everything that nobody wants of those who listen to all sources of the group.
    pub fn excluded(&self) -> impl Iterator<Item = (Ipv6Addr, Ipv6Addr)> {
        self.groups.iter().flat_map(|(&address, group)| group.excluded().map(move |source| (address, source)))
    }

    /// local_receiver_exclude(S,G,I) (RFC 7761 §4.1.5). Never of a source-specific group.
    pub fn is_excluded(&self, group: Ipv6Addr, source: Ipv6Addr) -> bool {
        self.groups.get(&group).is_some_and(|group| group.is_excluded(source))
    }

    /// The link is up: this router takes itself for the querier (§7.6.2) and asks at once.
    pub(crate) fn start(&mut self, now: Instant) {
        self.become_querier(now);
    }

    /// The link is down: nobody listens.
    pub(crate) fn stop(&mut self) {
        self.state = QuerierState::Stopped;
        self.timers = Timers::new();
        self.packets.clear();
        self.hosts.clear();
        self.tracked = 0;
        for (address, group) in core::mem::take(&mut self.groups) {
            self.changes.extend(change::changes(address, &group.memberships(), &Memberships::new()));
        }
    }

    pub(crate) fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
    }

    pub(crate) fn set_link_local(&mut self, link_local: Ipv6Addr) {
        self.link_local = link_local;
    }

    /// A version 1 query of another router: one that says nothing of itself and suppresses nothing.
    pub(crate) fn handle_v1_query(&mut self, now: Instant, source: Ipv6Addr, group: Ipv6Addr, counters: &mut Counters) {
        let query = Query {
            group,
            // DEVIATION RFC 2710 §6: timers are lowered to this router's own Last Listener Query Time (RFC 3810 §7.6.1);
            // what the query says may be too short for anybody to answer.
            max_response_delay: Duration::ZERO,
            suppress: false,
            robustness: 0,
            query_interval: Duration::ZERO,
            sources: Vec::new(),
        };
        self.handle_query_of(now, Version::V1, source, &query, counters);
    }

    /// A query of another router (§7.6).
    pub(crate) fn handle_query(&mut self, now: Instant, source: Ipv6Addr, query: &Query, counters: &mut Counters) {
        self.handle_query_of(now, Version::V2, source, query, counters);
    }

    fn handle_query_of(
        &mut self,
        now: Instant,
        version: Version,
        source: Ipv6Addr,
        query: &Query,
        counters: &mut Counters,
    ) {
        if source == self.link_local || self.state == QuerierState::Stopped {
            return;
        }
        if version != self.config.version {
            counters.mld_version_mismatches += 1;
            if now >= self.mismatch_told_until {
                self.mismatch = Some(VersionMismatch { router: source, version });
                self.mismatch_told_until = now + Querier::VERSION_WARNING_INTERVAL;
            }
        }
        if addr::interface_identifier(source) < addr::interface_identifier(self.link_local) {
            let robustness = if query.robustness == 0 { self.config.robustness } else { query.robustness };
            let said = query.query_interval;
            let query_interval = if said.is_zero() { self.config.query_interval } else { said };
            self.state = QuerierState::NonQuerier { querier: source, robustness, query_interval };
            self.timers.cancel(TimerKey::GeneralQuery);
            // Other Querier Present Timeout (§9.5).
            let timeout = query_interval * u32::from(robustness) + self.config.query_response_interval / 2;
            self.timers.set(TimerKey::OtherQuerierPresent, now + timeout);
        }
        if query.is_general() || query.suppress {
            return;
        }
        let time = self.timing(query.group).last_listener_query_time();
        let Some(group) = self.groups.get_mut(&query.group) else { return };
        if query.sources.is_empty() {
            group.lower_filter_timer(now, time);
        } else {
            group.lower_source_timers(now, &query.sources, time);
        }
        self.arm(query.group);
    }

    /// A report of a host (§7.4).
    pub(crate) fn handle_report(
        &mut self,
        now: Instant,
        host: Ipv6Addr,
        report: &Report,
        routers: LinkRouters,
        counters: &mut Counters,
    ) {
        if self.state == QuerierState::Stopped {
            return;
        }
        for record in &report.records {
            let &Record { kind, group, ref sources } = record;
            match compat::sources_that_count(self.version(group), kind, sources) {
                Some(sources) => {
                    let claim = Claim { host, version: Version::V2, kind, group, sources };
                    self.handle_claim(now, &claim, routers, counters);
                }
                None => counters.mld_v1_mode_ignored += 1,
            }
        }
    }

    /// A message of a version 1 host (§8.3.2).
    pub(crate) fn handle_older_message(
        &mut self,
        now: Instant,
        host: Ipv6Addr,
        group: Ipv6Addr,
        message: OlderMessage,
        routers: LinkRouters,
        counters: &mut Counters,
    ) {
        if self.state == QuerierState::Stopped {
            return;
        }
        if config::is_ssm(&self.ssm_ranges, group) {
            // RFC 4604 §3.5, §3.7.
            counters.drop_mld_v1_ssm += 1;
            return;
        }
        if message == OlderMessage::Done && self.version(group) == Version::V2 {
            counters.drop_mld_v1_done += 1;
            return;
        }
        let claim = Claim { host, version: Version::V1, kind: message.equivalent(), group, sources: &[] };
        self.handle_claim(now, &claim, routers, counters);
    }

    /// Runs what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                TimerKey::GeneralQuery => self.send_general_query(now),
                TimerKey::OtherQuerierPresent => self.become_querier(now),
                TimerKey::Group(address) => self.group_timer_expires(now, address),
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    pub(crate) fn poll_change(&mut self) -> Option<MembershipChange> {
        self.changes.pop_front()
    }

    pub(crate) fn poll_packet(&mut self) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    pub(crate) fn poll_mismatch(&mut self) -> Option<VersionMismatch> {
        self.mismatch.take()
    }

    /// The version that a group's hosts speak (§8.3.2); version 1 on a link that is configured so (§8.3.1).
    fn version(&self, group: Ipv6Addr) -> Version {
        self.groups.get(&group).map_or(self.config.version, |group| self.version_of(group))
    }

    fn version_of(&self, group: &Group) -> Version {
        group.compatibility.version().min(self.config.version)
    }

    fn handle_claim(&mut self, now: Instant, claim: &Claim<'_>, routers: LinkRouters, counters: &mut Counters) {
        if let Some(admitted) = self.admit(now, claim, counters) {
            self.take(now, claim, &admitted, routers, counters);
        }
    }

    /// What is to be taken of a claim; counts why it is not.
    fn admit(&self, now: Instant, claim: &Claim<'_>, counters: &mut Counters) -> Option<Admitted> {
        let &Claim { host, kind, group: address, sources, .. } = claim;
        let outside = self.border == Border::SiteBorder && config::is_site_scoped(address);
        if !config::is_routable_group(address) || outside {
            counters.drop_mld_scope += 1;
            return None;
        }
        let is_exclude = matches!(kind, RecordType::ModeIsExclude | RecordType::ChangeToExclude);
        if is_exclude && config::is_ssm(&self.ssm_ranges, address) {
            counters.drop_mld_exclude_ssm += 1;
            return None;
        }
        let b: BTreeSet<Ipv6Addr> = sources.iter().copied().filter(|&s| addr::is_routable_unicast(s)).collect();
        let group = self.groups.get(&address);
        let is_new = |source: &&Ipv6Addr| group.is_none_or(|group| !group.sources.contains_key(*source));
        let new_sources = b.iter().filter(is_new).count();
        // In INCLUDE mode nothing is kept of sources that nobody wants.
        let adds = match kind {
            RecordType::ModeIsExclude | RecordType::ChangeToExclude => true,
            RecordType::BlockOldSources => {
                new_sources > 0 && group.is_some_and(|group| group.mode == FilterMode::Exclude)
            }
            RecordType::ModeIsInclude | RecordType::AllowNewSources | RecordType::ChangeToInclude => !b.is_empty(),
        };
        if !adds {
            return group.is_some().then_some(Admitted { sources: b, adds });
        }
        // Whose host cannot be tracked any more is bounded by nothing else.
        if group.is_none()
            && (self.groups.len() >= self.limits.groups_per_port || self.tracked >= self.limits.tracked_per_port)
        {
            counters.drop_mld_port_limit += 1;
            return None;
        }
        let share = self.hosts.get(&host).copied().unwrap_or_default();
        let named = group.and_then(|group| group.named_by(host));
        if named.is_none() && share.groups >= self.limits.groups_per_host {
            counters.drop_mld_host_limit += 1;
            return None;
        }
        if share.sources + b.len() > self.limits.sources_per_host {
            let named = named.unwrap_or(0);
            let would_name = group.map_or(b.len(), |group| group.would_be_named_by(now, host, kind, &b));
            if would_name > named && share.sources - named + would_name > self.limits.sources_per_host {
                counters.drop_mld_host_source_limit += 1;
                return None;
            }
        }
        // The lists of a record in EXCLUDE mode stand in the place of the old ones.
        let kept = if is_exclude { b.len() } else { group.map_or(0, |group| group.sources.len()) + new_sources };
        if new_sources > 0 && kept > self.limits.sources_per_group {
            counters.drop_mld_source_limit += 1;
            return None;
        }
        Some(Admitted { sources: b, adds })
    }

    /// A claim within all limits.
    fn take(
        &mut self,
        now: Instant,
        claim: &Claim<'_>,
        admitted: &Admitted,
        routers: LinkRouters,
        counters: &mut Counters,
    ) {
        let &Claim { host, version, kind, group: address, .. } = claim;
        let Admitted { sources: b, adds } = admitted;
        let timing = self.timing(address);
        let mut group = self.groups.remove(&address).unwrap_or_default();
        let before = group.memberships();
        let mali = timing.listening_interval;
        let is_querier = matches!(self.state, QuerierState::Querier { .. });
        if version == Version::V1 && kind == RecordType::ModeIsExclude {
            // Older Version Host Present Timeout (§9.13): as long as the membership that the report makes.
            group.compatibility.hear_report(now + mali);
        }

        let named = group.named_by(host);
        let room = group.hosts.len() < self.limits.hosts_per_group && self.tracked < self.limits.tracked_per_port;
        if named.is_some() || (*adds && room) {
            let share = self.hosts.entry(host).or_default();
            let elsewhere = share.sources - named.unwrap_or(0);
            group.track(now, host, kind, b, mali, self.limits.sources_per_host.saturating_sub(elsewhere));
            share.sources = elsewhere + group.named_by(host).unwrap_or(0);
            if named.is_none() {
                share.groups += 1;
                self.tracked += 1;
            }
        } else if *adds {
            counters.mld_untracked_hosts += 1;
            group.tracking = Tracking::Incomplete;
        }
        let mut queries = group.apply(now, kind, b, mali);
        if timing.is_mobile {
            // DEVIATION RFC 3810 §7.4.2: the last tracked listener is believed without a query (RFC 6636 §3).
            let ended = group.leave_at_once(now, &mut queries, self.limits.sources_per_group);
            counters.mld_immediate_leaves += (ended.sources.len() + usize::from(ended.group)) as u64;
            group.query_at = Some(now + self.mobility_query_interval());
            // Routers that do not track their listeners learn of the end by a query that nobody answers.
            if is_querier && routers == LinkRouters::Several {
                let interval = timing.last_listener_query_interval;
                let sources: Vec<Ipv6Addr> = ended.sources.into_iter().collect();
                for chunk in sources.chunks(mld::max_query_sources(self.mtu)) {
                    self.send_query(address, interval, false, chunk);
                }
                if ended.group {
                    self.send_query(address, interval, false, &[]);
                }
            }
        }
        self.forget_hosts(now, &mut group);
        if is_querier {
            self.start_queries(now, address, &mut group, &queries, &timing);
        }
        self.put_back(address, group, &before);
    }

    /// Sends what a record demands, and schedules the repetitions (§7.6.3).
    fn start_queries(
        &mut self,
        now: Instant,
        address: Ipv6Addr,
        group: &mut Group,
        queries: &Queries,
        timing: &Timing,
    ) {
        let (time, count) = (timing.last_listener_query_time(), timing.last_listener_query_count);
        let sources = self.config.version == Version::V2 && group.query_sources(now, &queries.sources, time, count);
        let all = queries.group && group.query_group(now, time, count);
        if all || sources {
            self.send_specific_queries(now, address, group, timing);
        }
    }

    /// One round of the specific queries that are under way.
    fn send_specific_queries(&mut self, now: Instant, address: Ipv6Addr, group: &mut Group, timing: &Timing) {
        let limit = now + timing.last_listener_query_time();
        let interval = timing.last_listener_query_interval;
        let mut sent_group_query = false;
        if group.retransmissions > 0 {
            group.retransmissions -= 1;
            let suppress = group.filter_timer.is_some_and(|at| at > limit);
            self.send_query(address, interval, suppress, &[]);
            sent_group_query = true;
        }
        let (mut higher, mut lower) = (Vec::new(), Vec::new());
        for (&source, record) in group.sources.iter_mut().filter(|(_, record)| record.retransmissions > 0) {
            record.retransmissions -= 1;
            match record.expires {
                Some(at) if at > limit => higher.push(source),
                Some(_) => lower.push(source),
                None => record.retransmissions = 0,
            }
        }
        // §7.6.3.2: the query that lowers no timers may be left out beside one for the group.
        for (suppress, sources) in [(true, if sent_group_query { Vec::new() } else { higher }), (false, lower)] {
            for chunk in sources.chunks(mld::max_query_sources(self.mtu)) {
                self.send_query(address, interval, suppress, chunk);
            }
        }
        let more = group.retransmissions > 0 || group.sources.values().any(|record| record.retransmissions > 0);
        group.retransmit_at = more.then(|| now + interval);
    }

    fn group_timer_expires(&mut self, now: Instant, address: Ipv6Addr) {
        let timing = self.timing(address);
        let Some(mut group) = self.groups.remove(&address) else { return };
        let before = group.memberships();
        let is_querier = matches!(self.state, QuerierState::Querier { .. });
        group.expire(now);
        if group.retransmit_at.is_some_and(|at| at <= now) {
            if is_querier {
                self.send_specific_queries(now, address, &mut group, &timing);
            } else {
                group.cancel_queries();
            }
        }
        if group.query_at.is_some_and(|at| at <= now) {
            group.query_at = Some(now + self.mobility_query_interval());
            if is_querier && !group.is_empty() {
                // It asks and changes no timer: silence alone ends a membership.
                self.send_query(address, self.config.mobility.query_response_interval, true, &[]);
            }
        }
        self.forget_hosts(now, &mut group);
        self.put_back(address, group, &before);
    }

    /// Stores the group, or forgets it where nothing is left; says what changed against `before`.
    fn put_back(&mut self, address: Ipv6Addr, mut group: Group, before: &Memberships) {
        self.changes.extend(change::changes(address, before, &group.memberships()));
        if group.is_empty() {
            for (host, named) in group.take_hosts() {
                self.forget_share(host, named, Tracked::NoMore);
            }
            self.timers.cancel(TimerKey::Group(address));
        } else {
            self.groups.insert(address, group);
            self.arm(address);
        }
    }

    fn forget_hosts(&mut self, now: Instant, group: &mut Group) {
        for (host, fewer, tracked) in group.forget_hosts(now) {
            self.forget_share(host, fewer, tracked);
        }
    }

    /// A host names so many sources fewer in a group, and may be tracked there no more.
    fn forget_share(&mut self, host: Ipv6Addr, sources: usize, tracked: Tracked) {
        let Some(share) = self.hosts.get_mut(&host) else { return };
        share.sources -= sources;
        if tracked == Tracked::NoMore {
            share.groups -= 1;
            self.tracked -= 1;
            if share.groups == 0 {
                self.hosts.remove(&host);
            }
        }
    }

    fn arm(&mut self, address: Ipv6Addr) {
        match self.groups.get(&address).and_then(Group::next_deadline) {
            Some(at) => self.timers.set(TimerKey::Group(address), at),
            None => {
                self.timers.cancel(TimerKey::Group(address));
            }
        }
    }

    fn become_querier(&mut self, now: Instant) {
        self.timers.cancel(TimerKey::OtherQuerierPresent);
        self.state = QuerierState::Querier { startup_left: self.config.robustness };
        self.send_general_query(now);
    }

    fn send_general_query(&mut self, now: Instant) {
        let QuerierState::Querier { startup_left } = &mut self.state else { return };
        *startup_left = startup_left.saturating_sub(1);
        // Startup Query Interval (§9.6).
        let interval = self.config.query_interval / if *startup_left > 0 { 4 } else { 1 };
        self.timers.set(TimerKey::GeneralQuery, now + interval);
        self.send_query(Ipv6Addr::UNSPECIFIED, self.config.query_response_interval, false, &[]);
    }

    /// Sends a query of the configured version. One of version 1 cannot suppress anything: where this one is to, somebody
    /// has answered already, and it is left out.
    fn send_query(&mut self, group: Ipv6Addr, max_response_delay: Duration, suppress: bool, sources: &[Ipv6Addr]) {
        if self.config.version == Version::V1 {
            if !suppress {
                let query = mld::Message::V1Query { group, max_response_delay };
                self.packets.push_back(query.packet(self.link_local));
            }
            return;
        }
        let query = Query {
            group,
            max_response_delay,
            suppress,
            robustness: self.config.robustness,
            query_interval: self.config.query_interval,
            sources: sources.to_vec(),
        };
        self.packets.push_back(query.packet(self.link_local));
    }

    /// The interval, spread by a tenth so that the terminals of a crowded cell are not asked in one burst.
    fn mobility_query_interval(&mut self) -> Duration {
        let interval = self.config.mobility.query_interval;
        interval - self.rng.duration(Duration::ZERO..interval / 10)
    }

    fn timing(&self, group: Ipv6Addr) -> Timing {
        let (robustness, query_interval) = match self.state {
            QuerierState::NonQuerier { robustness, query_interval, .. } => (robustness, query_interval),
            _ => (self.config.robustness, self.config.query_interval),
        };
        let listening = |interval: Duration, response: Duration| interval * u32::from(robustness) + response;
        let general = listening(query_interval, self.config.query_response_interval);
        let is_mobile =
            self.config.version == Version::V2 && self.mobility_ranges.iter().any(|range| range.contains(group));
        if is_mobile {
            let mobility = &self.config.mobility;
            Timing {
                // Only a querier of this kind asks for each of these groups often.
                listening_interval: match self.state {
                    QuerierState::NonQuerier { .. } => general,
                    _ => listening(mobility.query_interval, mobility.query_response_interval),
                },
                last_listener_query_interval: mobility.last_listener_query_interval,
                last_listener_query_count: mobility.last_listener_query_count,
                is_mobile,
            }
        } else {
            Timing {
                listening_interval: general,
                last_listener_query_interval: self.config.last_listener_query_interval,
                last_listener_query_count: self.config.last_listener_query_count.unwrap_or(robustness),
                is_mobile,
            }
        }
    }
}

impl GroupView {
    /// Whether all its listeners name their sources.
    pub fn is_include(&self) -> bool {
        self.mode == FilterMode::Include
    }
}

#[cfg(test)]
mod tests {
    use super::super::Membership;
    use super::*;
    use stack::machine::PortId;

    /// What a host listens to (RFC 3810 §4.2).
    #[derive(Clone, PartialEq, Eq, Debug)]
    enum Interest {
        Include(BTreeSet<Ipv6Addr>),
        Exclude(BTreeSet<Ipv6Addr>),
    }
    use Interest::{Exclude, Include};

    impl Interest {
        fn wants(&self, source: Ipv6Addr) -> bool {
            match self {
                Include(sources) => sources.contains(&source),
                Exclude(sources) => !sources.contains(&source),
            }
        }

        /// The records by which a host tells a change (RFC 3810 §6.1).
        fn change_to(&self, new: &Interest) -> Vec<(RecordType, BTreeSet<Ipv6Addr>)> {
            use RecordType::{AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude};
            let records = match (self, new) {
                (Include(a), Include(b)) => vec![(AllowNewSources, b - a), (BlockOldSources, a - b)],
                (Exclude(a), Exclude(b)) => vec![(AllowNewSources, a - b), (BlockOldSources, b - a)],
                (Include(_), Exclude(b)) => return vec![(ChangeToExclude, b.clone())],
                (Exclude(_), Include(b)) => return vec![(ChangeToInclude, b.clone())],
            };
            records.into_iter().filter(|(_, sources)| !sources.is_empty()).collect()
        }

        /// The record that answers a query (RFC 3810 §6.3).
        fn answer(&self, asked: &[Ipv6Addr]) -> Option<(RecordType, BTreeSet<Ipv6Addr>)> {
            let asked: BTreeSet<Ipv6Addr> = asked.iter().copied().collect();
            let (kind, sources) = match self {
                Include(a) if asked.is_empty() => (RecordType::ModeIsInclude, a.clone()),
                Exclude(a) if asked.is_empty() => return Some((RecordType::ModeIsExclude, a.clone())),
                Include(a) => (RecordType::ModeIsInclude, a & &asked),
                Exclude(a) => (RecordType::ModeIsInclude, &asked - a),
            };
            (!sources.is_empty()).then_some((kind, sources))
        }
    }

    /// One querier and its hosts, all interested in one group or not.
    struct Link {
        now: Instant,
        querier: Querier,
        counters: Counters,
        group: Ipv6Addr,
        hosts: Vec<Interest>,
    }

    fn source(index: u64) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, index as u16)
    }

    fn host(index: usize) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, index as u16)
    }

    impl Link {
        fn new(group: &str, hosts: usize) -> Self {
            let own = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
            let interface = InterfaceConfig::new(PortId(0), own, 1500);
            let mobility_ranges = ["ff35::/64", "ff15:1::/64"].map(|range| range.parse().unwrap()).to_vec();
            let config = Config { mobility_ranges, ..Config::new(Vec::new(), 1) };
            let mut querier = Querier::new(&config, &interface, &MldConfig::default(), Rng::new(7));
            querier.start(Instant::ORIGIN);
            Link {
                now: Instant::ORIGIN,
                querier,
                counters: Counters::default(),
                group: group.parse().unwrap(),
                hosts: vec![Include(BTreeSet::new()); hosts],
            }
        }

        fn report(&mut self, index: usize, records: Vec<(RecordType, BTreeSet<Ipv6Addr>)>) {
            let group = self.group;
            let records = records
                .into_iter()
                .map(|(kind, sources)| Record { kind, group, sources: sources.into_iter().collect() })
                .collect();
            let report = Report { records };
            self.querier.handle_report(self.now, host(index), &report, LinkRouters::Alone, &mut self.counters);
        }

        fn set(&mut self, index: usize, interest: Interest) {
            let records = self.hosts[index].change_to(&interest);
            self.hosts[index] = interest;
            self.report(index, records);
        }

        fn run_for(&mut self, duration: Duration) {
            let end = self.now + duration;
            loop {
                while let Some(packet) = self.querier.poll_packet() {
                    let opened = mld::open(&packet).unwrap();
                    let Ok(mld::Message::Query(query)) = mld::Message::parse(opened.message) else { panic!() };
                    self.now += Duration::from_millis(1);
                    for index in 0..self.hosts.len() {
                        let answer = self.hosts[index].answer(&query.sources);
                        if query.is_general() || query.group == self.group {
                            self.report(index, answer.into_iter().collect());
                        }
                    }
                }
                match self.querier.poll_timeout().filter(|&at| at <= end) {
                    Some(at) => {
                        self.now = self.now.max(at);
                        self.querier.handle_timeout(self.now);
                    }
                    None => break,
                }
            }
            self.now = self.now.max(end);
        }

        /// Whether packets of a source would be sent to the link (RFC 3810 §7.3).
        fn forwards(&self, source: Ipv6Addr) -> bool {
            self.querier.groups.get(&self.group).is_some_and(|group| match group.mode {
                FilterMode::Include => group.is_requested(source),
                FilterMode::Exclude => group.sources.get(&source).is_none_or(|record| record.expires.is_some()),
            })
        }

        /// What is counted of the hosts is what stands in the groups.
        fn check_shares(&self) {
            let mut shares: BTreeMap<Ipv6Addr, Share> = BTreeMap::new();
            for group in self.querier.groups.values() {
                for &host in group.hosts.keys() {
                    let share = shares.entry(host).or_default();
                    share.groups += 1;
                    share.sources += group.named_by(host).unwrap();
                }
            }
            assert_eq!(self.querier.tracked, shares.values().map(|share| share.groups).sum::<usize>());
            assert_eq!(self.querier.hosts, shares);
        }

        fn is_wanted(&self, source: Ipv6Addr) -> bool {
            self.hosts.iter().any(|host| host.wants(source))
        }
    }

    #[test]
    fn what_is_forwarded_is_what_some_host_wants() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let (group, may_exclude) = match seed % 4 {
                0 => ("ff35::1", false),
                1 => ("ff35:0:1::1", false),
                2 => ("ff15::1", true),
                _ => ("ff15:1::1", true),
            };
            let mut link = Link::new(group, 1 + rng.below(5) as usize);
            let mut members = BTreeMap::new();
            for _ in 0..60 {
                let index = rng.below(link.hosts.len() as u64) as usize;
                let sources = (0..rng.below(4)).map(|_| source(rng.below(5))).collect();
                let interest = if may_exclude && rng.below(3) == 0 { Exclude(sources) } else { Include(sources) };
                link.set(index, interest);
                let quiet = match rng.below(4) {
                    0 => Duration::from_secs(700),
                    1 => Duration::from_secs(5),
                    _ => rng.duration(Duration::ZERO..Duration::from_secs(2)),
                };
                link.run_for(quiet);
                // In EXCLUDE mode the RFC forwards too much until the listening interval is over, never too little.
                let exact = quiet.as_secs() == 700 || (!may_exclude && quiet.as_secs() == 5);
                for source in (0..5).map(source) {
                    let (forwards, wanted) = (link.forwards(source), link.is_wanted(source));
                    let what = format!("seed {seed} at {:?}: {source} of {:?}", link.now, link.hosts);
                    assert!(forwards || !wanted, "{what} is not forwarded");
                    assert!(!exact || forwards == wanted, "{what} is forwarded");
                }
                while let Some(change) = link.querier.poll_change() {
                    let before = members.remove(&change.source);
                    let after = (change.membership != Membership::Left).then_some(change.membership);
                    assert_ne!(before, after, "seed {seed}: {change:?} is no change");
                    members.extend(after.map(|membership| (change.source, membership)));
                }
                let known = |of: Membership| -> BTreeSet<Ipv6Addr> {
                    members.iter().filter(|&(_, &membership)| membership == of).map(|(&source, _)| source).collect()
                };
                let querier = &link.querier;
                assert_eq!(known(Membership::Joined), querier.memberships().map(|(_, source)| source).collect());
                assert_eq!(known(Membership::Excluded), querier.excluded().map(|(_, source)| source).collect());
                // local_receiver_exclude(S,G,I): there are members of all sources and none of them wants this one.
                for source in (0..5).map(source) {
                    let excluded = querier.is_excluded(link.group, source);
                    let all = querier.is_member(link.group, Ipv6Addr::UNSPECIFIED);
                    assert_eq!(excluded, all && !link.forwards(source), "seed {seed}: {source}");
                }
                link.check_shares();
            }
        }
    }

    #[test]
    fn the_startup_queries_follow_one_another_quickly() {
        let mut link = Link::new("ff35::1", 0);
        let times: Vec<u64> = (0..4)
            .map(|_| {
                while link.querier.poll_packet().is_some() {}
                let at = link.querier.poll_timeout().unwrap();
                link.querier.handle_timeout(at);
                at.as_millis()
            })
            .collect();
        assert_eq!(times, [31_250, 156_250, 281_250, 406_250]);
    }

    #[test]
    fn the_lower_interface_identifier_asks() {
        let mut link = Link::new("ff35::1", 0);
        let query = |robustness| Query {
            group: Ipv6Addr::UNSPECIFIED,
            max_response_delay: Duration::from_secs(10),
            suppress: false,
            robustness,
            query_interval: Duration::from_secs(20),
            sources: Vec::new(),
        };
        let [lower, higher] = [[0xfe80, 0xffff, 0, 0, 0, 0, 0, 0], [0xfe80, 0, 0, 0, 0, 0, 0, 2]].map(Ipv6Addr::from);
        link.querier.handle_query(link.now, higher, &query(2), &mut link.counters);
        assert_eq!(link.querier.querier_address(), link.querier.link_local);
        link.querier.handle_query(link.now, lower, &query(3), &mut link.counters);
        assert_eq!(link.querier.querier_address(), lower);
        // Its robustness times its interval and half the response interval.
        assert_eq!(link.querier.poll_timeout(), Some(link.now + Duration::from_secs(65)));
        link.run_for(Duration::from_secs(65));
        assert!(matches!(link.querier.state(), QuerierState::Querier { .. }));
    }
}
