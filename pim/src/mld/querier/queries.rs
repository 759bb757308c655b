//! The queries that a querier sends (RFC 3810 §7.6.3, §9.6).

use super::timing::Timing;
use super::{Querier, QuerierState, TimerKey};
use crate::mld::compat::Version;
use crate::mld::group::{Group, Queries};
use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};
use stack::wire::mld::{self, Query};

impl Querier {
    /// Sends what a record demands, and schedules the repetitions (§7.6.3).
    pub(super) fn start_queries(
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
    pub(super) fn send_specific_queries(
        &mut self,
        now: Instant,
        address: Ipv6Addr,
        group: &mut Group,
        timing: &Timing,
    ) {
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

    pub(super) fn send_general_query(&mut self, now: Instant) {
        let QuerierState::Querier { startup_left } = &mut self.state else { return };
        *startup_left = startup_left.saturating_sub(1);
        // Startup Query Interval (§9.6).
        let interval = self.config.query_interval / if *startup_left > 0 { 4 } else { 1 };
        self.timers.set(TimerKey::GeneralQuery, now + interval);
        self.send_query(Ipv6Addr::UNSPECIFIED, self.config.query_response_interval, false, &[]);
    }

    /// Sends a query of the configured version. One of version 1 cannot suppress anything: where this one is to, somebody
    /// has answered already, and it is left out.
    pub(super) fn send_query(
        &mut self,
        group: Ipv6Addr,
        max_response_delay: Duration,
        suppress: bool,
        sources: &[Ipv6Addr],
    ) {
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
}
