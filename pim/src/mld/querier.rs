//! The MLDv2 querier of one link (RFC 3810 §7): election, queries, and what the reports add up to.
//!
//! This file has what it holds, its timers, and what it tells. What comes in from routers is in `election`, from hosts in
//! `reports`, of which `admission` decides what is taken; what goes out is in `queries`, how long all of it takes in
//! `timing`, listeners that move in `moves`, where groups with one listener are delivered in `delivery`, and what there is to look at in `view`.
//!
//! Groups of the mobility range belong to one terminal each. For them every listener is tracked, the last one's leaving
//! ends the membership without a query, and each group is asked for on its own, often, so that a terminal that vanished
//! is not served for minutes. Records that would put a source-specific group in EXCLUDE mode are ignored (RFC 4604 §3.1).
//!
//! Hosts of version 1 are heard (§8.3.2). On a link with a router of version 1 this one has to be configured to ask in
//! that version too (§8.3.1), where there are no questions for sources: sources that are left then stay until their timers
//! run out, and the mobility range is none.

mod admission;
mod delivery;
mod election;
mod moves;
mod queries;
mod reports;
mod timing;
mod view;

pub(crate) use delivery::{DeliveryChange, Reporter};
pub use election::QuerierState;
pub(crate) use election::VersionMismatch;
pub(crate) use reports::LinkRouters;
pub use view::{GroupView, HostView, SourceView};

use super::change::{self, MembershipChange, Memberships};
use super::compat::Version;
use super::group::Group;
use super::host::Tracked;
use crate::config::{Border, Config, Delivery, InterfaceConfig, Limits, MldConfig, Participation};
use admission::Share;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::rng::Rng;
use stack::time::{Instant, Timers};
use std::collections::{BTreeMap, VecDeque};
use timing::Timing;

/// A deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum TimerKey {
    GeneralQuery,
    OtherQuerierPresent,
    Group(Ipv6Addr),
}

/// The router side of MLDv2 on one link.
#[derive(Debug)]
pub struct Querier {
    config: MldConfig,
    limits: Limits,
    delivery: Delivery,
    border: Border,
    ssm_ranges: Vec<Prefix>,
    mobility_ranges: Vec<Prefix>,
    link_local: Ipv6Addr,
    mtu: usize,
    rng: Rng,
    state: QuerierState,
    groups: BTreeMap<Ipv6Addr, Group>,
    /// Each tracked host: what it makes this router hold, and where it is.
    hosts: BTreeMap<Ipv6Addr, Share>,
    /// Hosts that are tracked, once for each of their groups.
    tracked: usize,
    timers: Timers<TimerKey>,
    changes: VecDeque<MembershipChange>,
    deliveries: VecDeque<DeliveryChange>,
    packets: VecDeque<Vec<u8>>,
    mismatch: Option<VersionMismatch>,
    /// When the next mismatch may be told.
    mismatch_told_until: Instant,
}

impl Querier {
    pub(crate) fn new(config: &Config, interface: &InterfaceConfig, mld: &MldConfig, rng: Rng) -> Self {
        Querier {
            config: mld.clone(),
            limits: config.limits,
            delivery: match interface.participation {
                Participation::Passive => mld.delivery,
                Participation::Active => Delivery::Group,
            },
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
            deliveries: VecDeque::new(),
            packets: VecDeque::new(),
            mismatch: None,
            mismatch_told_until: Instant::ORIGIN,
        }
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
            self.end_delivery(address, &group);
            self.changes.extend(change::changes(address, &group.memberships(), &Memberships::new()));
        }
    }

    pub(crate) fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
    }

    pub(crate) fn set_link_local(&mut self, link_local: Ipv6Addr) {
        self.link_local = link_local;
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

    /// The version that a group's hosts speak (§8.3.2); version 1 on a link that is configured so (§8.3.1).
    fn version(&self, group: Ipv6Addr) -> Version {
        self.groups.get(&group).map_or(self.config.version, |group| self.version_of(group))
    }

    fn version_of(&self, group: &Group) -> Version {
        group.compatibility.version().min(self.config.version)
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
        self.forget_hosts(now, address, &mut group);
        self.put_back(address, group, &before);
    }

    /// Stores the group, or forgets it where nothing is left; says what changed against `before`.
    fn put_back(&mut self, address: Ipv6Addr, mut group: Group, before: &Memberships) {
        self.changes.extend(change::changes(address, before, &group.memberships()));
        if group.is_empty() {
            self.end_delivery(address, &group);
            for (host, named) in group.take_hosts() {
                self.forget_share(host, address, named, Tracked::NoMore);
            }
            self.timers.cancel(TimerKey::Group(address));
        } else {
            self.groups.insert(address, group);
            self.settle_delivery(address);
            self.arm(address);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;
    use crate::mld::{FilterMode, Membership};
    use stack::machine::PortId;
    use stack::time::Duration;
    use stack::wire::mld::{self, Query, Record, RecordType, Report};
    use std::collections::BTreeSet;

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
            let reporter = Reporter::new(host(index), None);
            self.querier.handle_report(self.now, reporter, &report, LinkRouters::Alone, &mut self.counters);
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
            for (&address, group) in &self.querier.groups {
                for &host in group.hosts.keys() {
                    let share = shares.entry(host).or_default();
                    share.groups.insert(address);
                    share.sources += group.named_by(host).unwrap();
                }
            }
            assert_eq!(self.querier.tracked, shares.values().map(|share| share.groups.len()).sum::<usize>());
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
