//! The listening state of one group on one port, and the records that tell of it and of its changes (RFC 3810 §4.2, §6.1,
//! §6.3).

use crate::wire::mld::{Record, RecordType};
use core::net::Ipv6Addr;
use std::collections::{BTreeMap, BTreeSet};

/// What a listener wants of a group (RFC 3810 §4.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Filter {
    /// Only what these sources send; from nobody: as good as not listening.
    Include(BTreeSet<Ipv6Addr>),
    /// What all but these sources send.
    Exclude(BTreeSet<Ipv6Addr>),
}

impl Filter {
    /// Not listening.
    pub const NONE: Filter = Filter::Include(BTreeSet::new());

    /// Listening to one source.
    pub fn source(source: Ipv6Addr) -> Self {
        Filter::Include(BTreeSet::from([source]))
    }

    /// Listening to every source.
    pub const fn any() -> Self {
        Filter::Exclude(BTreeSet::new())
    }

    /// The sources that it names.
    pub fn sources(&self) -> &BTreeSet<Ipv6Addr> {
        match self {
            Filter::Include(sources) | Filter::Exclude(sources) => sources,
        }
    }

    /// Whether packets of this source are wanted.
    pub fn accepts(&self, source: Ipv6Addr) -> bool {
        match self {
            Filter::Include(sources) => sources.contains(&source),
            Filter::Exclude(sources) => !sources.contains(&source),
        }
    }

    /// Whether nothing is wanted.
    pub fn is_none(&self) -> bool {
        matches!(self, Filter::Include(sources) if sources.is_empty())
    }
}

/// One group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) address: Ipv6Addr,
    pub(super) filter: Filter,
    /// Filter Mode Retransmission Counter.
    mode_left: u32,
    /// Retransmission List: Source Retransmission Counters.
    sources_left: BTreeMap<Ipv6Addr, u32>,
    /// Which report of the latest change is next; 0 is the first.
    pub(super) transmission: u32,
    /// Sources that a pending response is about; empty where it is about the whole group.
    pub(super) queried: BTreeSet<Ipv6Addr>,
}

impl Group {
    /// A group that nobody listens to yet.
    pub(super) fn new(address: Ipv6Addr) -> Self {
        Group {
            address,
            filter: Filter::NONE,
            mode_left: 0,
            sources_left: BTreeMap::new(),
            transmission: 0,
            queried: BTreeSet::new(),
        }
    }

    /// Changes the filter; what changed is to be reported `transmissions` times (RFC 3810 §6.1). Answers whether anything
    /// changed.
    pub(super) fn change(&mut self, filter: Filter, transmissions: u32) -> bool {
        if filter == self.filter {
            return false;
        }
        match (&self.filter, &filter) {
            (Filter::Include(before), Filter::Include(after)) | (Filter::Exclude(before), Filter::Exclude(after)) => {
                for &source in before.symmetric_difference(after) {
                    self.sources_left.insert(source, transmissions);
                }
            }
            _ => {
                // The filter mode change record tells every source: what was to be told of single ones is in it.
                self.mode_left = transmissions;
                self.sources_left.clear();
            }
        }
        self.filter = filter;
        self.transmission = 0;
        true
    }

    /// Everything is to be reported as if the group had just been joined: nobody on the link knows of it.
    pub(super) fn rejoin(&mut self, transmissions: u32) {
        let filter = core::mem::replace(&mut self.filter, Filter::NONE);
        self.settle();
        self.queried.clear();
        self.change(filter, transmissions);
    }

    /// The change is known: nothing is to be reported any more.
    pub(super) fn settle(&mut self) {
        self.mode_left = 0;
        self.sources_left.clear();
    }

    /// Whether a change is still to be reported.
    pub(super) fn is_pending(&self) -> bool {
        self.mode_left > 0 || !self.sources_left.is_empty()
    }

    /// The records of the next State Change Report, which count as sent (RFC 3810 §6.1, §6.3 rule 4).
    pub(super) fn next_change(&mut self) -> Vec<Record> {
        self.transmission += 1;
        if self.mode_left > 0 {
            self.mode_left -= 1;
            let kind = match self.filter {
                Filter::Include(_) => RecordType::ChangeToInclude,
                Filter::Exclude(_) => RecordType::ChangeToExclude,
            };
            return vec![self.record(kind, self.filter.sources().iter().copied())];
        }
        let (allow, block): (Vec<Ipv6Addr>, Vec<Ipv6Addr>) =
            self.sources_left.keys().partition(|&&source| self.filter.accepts(source));
        self.sources_left.retain(|_, left| {
            *left -= 1;
            *left > 0
        });
        let mut records = Vec::new();
        for (kind, sources) in [(RecordType::AllowNewSources, allow), (RecordType::BlockOldSources, block)] {
            if !sources.is_empty() {
                records.push(self.record(kind, sources));
            }
        }
        records
    }

    /// The Current State Record; none where nobody listens.
    pub(super) fn current(&self) -> Option<Record> {
        let kind = match self.filter {
            Filter::Include(_) => RecordType::ModeIsInclude,
            Filter::Exclude(_) => RecordType::ModeIsExclude,
        };
        (!self.filter.is_none()).then(|| self.record(kind, self.filter.sources().iter().copied()))
    }

    /// The Current State Record that answers the queries for this group since the last one (RFC 3810 §6.3 rules 2 and 3).
    pub(super) fn answer(&mut self) -> Option<Record> {
        let queried = core::mem::take(&mut self.queried);
        if queried.is_empty() {
            return self.current();
        }
        let wanted: Vec<Ipv6Addr> = queried.into_iter().filter(|&source| self.filter.accepts(source)).collect();
        (!wanted.is_empty()).then(|| self.record(RecordType::ModeIsInclude, wanted))
    }

    fn record(&self, kind: RecordType, sources: impl IntoIterator<Item = Ipv6Addr>) -> Record {
        Record { kind, group: self.address, sources: sources.into_iter().collect() }
    }
}
