//! What one host, and all hosts of a link, can make a router hold (RFC 3810 §10).

use super::Querier;
use super::reports::Claim;
use crate::config::{self, Border};
use crate::counters::Counters;
use crate::mld::group::{FilterMode, Group, Tracking};
use crate::mld::host::Tracked;
use core::net::Ipv6Addr;
use stack::addr::{self, MacAddress};
use stack::time::Instant;
use stack::wire::mld::RecordType;
use std::collections::BTreeSet;

/// What one host makes the router hold, in all groups together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Share {
    /// Those that it is tracked in.
    pub(super) groups: BTreeSet<Ipv6Addr>,
    /// Sources that it names.
    pub(super) sources: usize,
    /// Where its last report came from on the link.
    pub(super) link_address: Option<MacAddress>,
}

/// Why a claim is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// It says nothing here.
    Void,
    /// A limit forbids it: its host listens all the same.
    Limit,
}

/// A claim that is within all limits.
pub(super) struct Admitted {
    pub(super) sources: BTreeSet<Ipv6Addr>,
    /// Whether it asks for more than is known of its host, rather than for less.
    pub(super) adds: bool,
}

impl Querier {
    /// What is to be taken of a claim; counts why it is not.
    pub(super) fn admit(&self, now: Instant, claim: &Claim<'_>, counters: &mut Counters) -> Result<Admitted, Refused> {
        let &Claim { host, kind, group: address, sources, .. } = claim;
        let outside = self.border == Border::SiteBorder && config::is_site_scoped(address);
        if !config::is_routable_group(address) || outside {
            counters.drop_mld_scope += 1;
            return Err(Refused::Void);
        }
        let is_exclude = matches!(kind, RecordType::ModeIsExclude | RecordType::ChangeToExclude);
        if is_exclude && config::is_ssm(&self.ssm_ranges, address) {
            counters.drop_mld_exclude_ssm += 1;
            return Err(Refused::Void);
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
            return if group.is_some() { Ok(Admitted { sources: b, adds }) } else { Err(Refused::Void) };
        }
        // Whose host cannot be tracked any more is bounded by nothing else.
        if group.is_none()
            && (self.groups.len() >= self.limits.groups_per_port || self.tracked >= self.limits.tracked_per_port)
        {
            counters.drop_mld_port_limit += 1;
            return Err(Refused::Limit);
        }
        let share = self.hosts.get(&host);
        let share_sources = share.map_or(0, |share| share.sources);
        let named = group.and_then(|group| group.named_by(host));
        if named.is_none() && share.is_some_and(|share| share.groups.len() >= self.limits.groups_per_host) {
            counters.drop_mld_host_limit += 1;
            return Err(Refused::Limit);
        }
        if share_sources + b.len() > self.limits.sources_per_host {
            let named = named.unwrap_or(0);
            let would_name = group.map_or(b.len(), |group| group.would_be_named_by(now, host, kind, &b));
            if would_name > named && share_sources - named + would_name > self.limits.sources_per_host {
                counters.drop_mld_host_source_limit += 1;
                return Err(Refused::Limit);
            }
        }
        // The lists of a record in EXCLUDE mode stand in the place of the old ones.
        let kept = if is_exclude { b.len() } else { group.map_or(0, |group| group.sources.len()) + new_sources };
        if new_sources > 0 && kept > self.limits.sources_per_group {
            counters.drop_mld_source_limit += 1;
            return Err(Refused::Limit);
        }
        Ok(Admitted { sources: b, adds })
    }

    /// A host that is not tracked in a group listens to it, and cannot be.
    pub(super) fn miss(&mut self, host: Ipv6Addr, address: Ipv6Addr) {
        if let Some(group) = self.groups.get_mut(&address)
            && group.named_by(host).is_none()
        {
            group.tracking = Tracking::Incomplete;
            self.settle_delivery(address);
        }
    }

    pub(super) fn forget_hosts(&mut self, now: Instant, address: Ipv6Addr, group: &mut Group) {
        for (host, fewer, tracked) in group.forget_hosts(now) {
            self.forget_share(host, address, fewer, tracked);
        }
    }

    /// A host names so many sources fewer in a group, and may be tracked there no more.
    pub(super) fn forget_share(&mut self, host: Ipv6Addr, group: Ipv6Addr, sources: usize, tracked: Tracked) {
        let Some(share) = self.hosts.get_mut(&host) else { return };
        share.sources -= sources;
        if tracked == Tracked::NoMore {
            share.groups.remove(&group);
            self.tracked -= 1;
            if share.groups.is_empty() {
                self.hosts.remove(&host);
            }
        }
    }
}
