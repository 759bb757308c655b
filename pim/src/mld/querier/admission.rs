//! What one host, and all hosts of a link, can make a router hold (RFC 3810 §10).

use super::Querier;
use super::reports::Claim;
use crate::config::{self, Border};
use crate::counters::Counters;
use crate::mld::group::{FilterMode, Group};
use crate::mld::host::Tracked;
use core::net::Ipv6Addr;
use stack::addr;
use stack::time::Instant;
use stack::wire::mld::RecordType;
use std::collections::BTreeSet;

/// What one host makes the router hold, in all groups together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Share {
    pub(super) groups: usize,
    /// Sources that it names.
    pub(super) sources: usize,
}

/// A claim that is within all limits.
pub(super) struct Admitted {
    pub(super) sources: BTreeSet<Ipv6Addr>,
    /// Whether it asks for more than is known of its host, rather than for less.
    pub(super) adds: bool,
}

impl Querier {
    /// What is to be taken of a claim; counts why it is not.
    pub(super) fn admit(&self, now: Instant, claim: &Claim<'_>, counters: &mut Counters) -> Option<Admitted> {
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

    pub(super) fn forget_hosts(&mut self, now: Instant, group: &mut Group) {
        for (host, fewer, tracked) in group.forget_hosts(now) {
            self.forget_share(host, fewer, tracked);
        }
    }

    /// A host names so many sources fewer in a group, and may be tracked there no more.
    pub(super) fn forget_share(&mut self, host: Ipv6Addr, sources: usize, tracked: Tracked) {
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
}
