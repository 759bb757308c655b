//! What hosts report, and what it does to their groups (RFC 3810 §7.4, §8.3.2).

use super::admission::{Admitted, Refused};
use super::{Querier, QuerierState, Reporter};
use crate::config;
use crate::counters::Counters;
use crate::mld::compat::{self, OlderMessage, Version};
use crate::mld::group::Tracking;
use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::time::Instant;
use stack::wire::mld::{self, Record, RecordType, Report};
use std::collections::BTreeSet;

/// Whether other routers on the link have to learn of what we know without asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkRouters {
    Alone,
    Several,
}

/// What a host says of one group.
pub(super) struct Claim<'a> {
    pub(super) host: Ipv6Addr,
    pub(super) link_address: Option<MacAddress>,
    /// That of its message.
    pub(super) version: Version,
    pub(super) kind: RecordType,
    pub(super) group: Ipv6Addr,
    pub(super) sources: &'a [Ipv6Addr],
}

impl Querier {
    /// A report of a host (§7.4).
    pub(crate) fn handle_report(
        &mut self,
        now: Instant,
        reporter: Reporter,
        report: &Report,
        routers: LinkRouters,
        counters: &mut Counters,
    ) {
        if self.state == QuerierState::Stopped {
            return;
        }
        let Reporter { address: host, link_address } = reporter;
        for record in &report.records {
            let &Record { kind, group, ref sources } = record;
            match compat::sources_that_count(self.version(group), kind, sources) {
                Some(sources) => {
                    let claim = Claim { host, link_address, version: Version::V2, kind, group, sources };
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
        reporter: Reporter,
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
        let Reporter { address: host, link_address } = reporter;
        let claim = Claim { host, link_address, version: Version::V1, kind: message.equivalent(), group, sources: &[] };
        self.handle_claim(now, &claim, routers, counters);
    }

    fn handle_claim(&mut self, now: Instant, claim: &Claim<'_>, routers: LinkRouters, counters: &mut Counters) {
        match self.admit(now, claim, counters) {
            Ok(admitted) => self.take(now, claim, &admitted, routers, counters),
            Err(Refused::Limit) => self.miss(claim.host, claim.group),
            Err(Refused::Void) => {}
        }
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
        let &Claim { host, link_address, version, kind, group: address, .. } = claim;
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

        let mut moved = BTreeSet::new();
        let named = group.named_by(host);
        let room = group.hosts.len() < self.limits.hosts_per_group && self.tracked < self.limits.tracked_per_port;
        if named.is_some() || (*adds && room) {
            let share = self.hosts.entry(host).or_default();
            let elsewhere = share.sources - named.unwrap_or(0);
            group.track(now, host, kind, b, mali, self.limits.sources_per_host.saturating_sub(elsewhere));
            share.sources = elsewhere + group.named_by(host).unwrap_or(0);
            if named.is_none() {
                share.groups.insert(address);
                self.tracked += 1;
            }
            if core::mem::replace(&mut share.link_address, link_address) != link_address {
                moved.clone_from(&share.groups);
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
        self.forget_hosts(now, address, &mut group);
        if is_querier {
            self.start_queries(now, address, &mut group, &queries, &timing);
        }
        self.put_back(address, group, &before);
        for group in moved {
            self.settle_delivery(group);
        }
    }
}
