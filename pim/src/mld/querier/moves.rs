//! Listeners that move between access routers: whether one that says so listens here, and what becomes of a group that one
//! is said to have left from afar.

use super::{Querier, QuerierState, Timing};
use crate::mld::group::Queries;
use core::net::Ipv6Addr;
use stack::time::Instant;
use stack::wire::mld::{RecordType, Report};

impl Querier {
    /// The groups and sources that a report asks for and its host is tracked to listen to; the unspecified source is all.
    pub(crate) fn heard_of(&self, now: Instant, host: Ipv6Addr, report: &Report) -> Vec<(Ipv6Addr, Ipv6Addr)> {
        let mut heard = Vec::new();
        for record in &report.records {
            let sources: &[Ipv6Addr] = match record.kind {
                RecordType::ModeIsInclude | RecordType::ChangeToInclude | RecordType::AllowNewSources => {
                    &record.sources
                }
                RecordType::ModeIsExclude | RecordType::ChangeToExclude => &[Ipv6Addr::UNSPECIFIED],
                RecordType::BlockOldSources => &[],
            };
            let listens = |&source: &Ipv6Addr| self.listens(now, host, record.group, source);
            heard.extend(sources.iter().copied().filter(listens).map(|source| (record.group, source)));
        }
        heard
    }

    fn listens(&self, now: Instant, host: Ipv6Addr, group: Ipv6Addr, source: Ipv6Addr) -> bool {
        self.groups
            .get(&group)
            .and_then(|group| group.hosts.get(&host))
            .is_some_and(|host| if source.is_unspecified() { host.is_exclude(now) } else { host.wants(source, now) })
    }

    /// Another router says that a listener of this group has come to it: whoever still listens is asked, as after a leave.
    /// What was said is believed in nothing else, so that a message in vain costs questions only. Whether anything is asked.
    pub(crate) fn listener_gone(&mut self, now: Instant, address: Ipv6Addr, source: Ipv6Addr) -> bool {
        if !matches!(self.state, QuerierState::Querier { .. }) {
            return false;
        }
        let Some(mut group) = self.groups.remove(&address) else { return false };
        let before = group.memberships();
        let mut queries = Queries::default();
        if source.is_unspecified() {
            queries.group = true;
        } else {
            queries.sources.insert(source);
        }
        // Nobody on the link has said it: the Last Listener Query Time is used for two questions, so that neither one that
        // is lost nor an answer at its very end takes the group from a listener that is there.
        let timing = self.timing(address);
        let timing = Timing {
            last_listener_query_interval: timing.last_listener_query_interval / 2,
            last_listener_query_count: timing.last_listener_query_count.saturating_mul(2),
            ..timing
        };
        let asked = self.packets.len();
        self.start_queries(now, address, &mut group, &queries, &timing);
        let is_asked = self.packets.len() > asked;
        self.put_back(address, group, &before);
        is_asked
    }
}
