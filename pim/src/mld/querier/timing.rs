//! The intervals that apply to a group (RFC 3810 §9): those of the link, or those of the mobility range.

use super::{Querier, QuerierState};
use crate::mld::compat::Version;
use core::net::Ipv6Addr;
use stack::time::Duration;

/// The timers that apply to one group.
pub(super) struct Timing {
    /// Multicast Address Listening Interval.
    pub(super) listening_interval: Duration,
    pub(super) last_listener_query_interval: Duration,
    pub(super) last_listener_query_count: u8,
    pub(super) is_mobile: bool,
}

impl Timing {
    pub(super) fn last_listener_query_time(&self) -> Duration {
        self.last_listener_query_interval * u32::from(self.last_listener_query_count)
    }
}

impl Querier {
    pub(super) fn timing(&self, group: Ipv6Addr) -> Timing {
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

    /// The interval, spread by a tenth so that the terminals of a crowded cell are not asked in one burst.
    pub(super) fn mobility_query_interval(&mut self) -> Duration {
        let interval = self.config.mobility.query_interval;
        interval - self.rng.duration(Duration::ZERO..interval / 10)
    }
}
