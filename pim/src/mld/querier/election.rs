//! Who asks on a link (RFC 3810 §7.6.2), and what the queries of other routers do (§7.6.1, §8.3.1).

use super::{Querier, TimerKey};
use crate::counters::Counters;
use crate::mld::compat::Version;
use core::net::Ipv6Addr;
use stack::addr;
use stack::time::{Duration, Instant};
use stack::wire::mld::Query;

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

impl Querier {
    /// A mismatch of versions is told so often at the most.
    pub const VERSION_WARNING_INTERVAL: Duration = Duration::from_secs(60);

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

    pub(crate) fn poll_mismatch(&mut self) -> Option<VersionMismatch> {
        self.mismatch.take()
    }

    pub(super) fn become_querier(&mut self, now: Instant) {
        self.timers.cancel(TimerKey::OtherQuerierPresent);
        self.state = QuerierState::Querier { startup_left: self.config.robustness };
        self.send_general_query(now);
    }
}
