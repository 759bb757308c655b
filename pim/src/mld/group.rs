//! What is known about the listeners of one group on one link (RFC 3810 §7.2), and what reports do to it (§7.4).
//!
//! ```text
//! state          record          new state              actions
//! INCLUDE (A)    IS_IN, ALLOW B  INCLUDE (A+B)          (B)=MALI
//!                IS_EX B         EXCLUDE (A*B, B-A)     (B-A)=0, delete (A-B), FT=MALI
//!                TO_EX B         EXCLUDE (A*B, B-A)     the same, Q(A*B)
//!                BLOCK B         INCLUDE (A)            Q(A*B)
//!                TO_IN B         INCLUDE (A+B)          (B)=MALI, Q(A-B)
//! EXCLUDE (X,Y)  IS_IN, ALLOW A  EXCLUDE (X+A, Y-A)     (A)=MALI
//!                IS_EX A         EXCLUDE (A-Y, Y*A)     (A-X-Y)=MALI, delete (X-A) and (Y-A), FT=MALI
//!                TO_EX A         EXCLUDE (A-Y, Y*A)     (A-X-Y)=FT, delete (X-A) and (Y-A), Q(A-Y), FT=MALI
//!                BLOCK A         EXCLUDE (X+(A-Y), Y)   (A-X-Y)=FT, Q(A-Y)
//!                TO_IN A         EXCLUDE (X+A, Y-A)     (A)=MALI, Q(X-A), Q
//! ```
//!
//! Beside that each host is tracked by its link-local address: what it asked for, and until when that holds.

use super::change::{Membership, Memberships};
use super::compat::{Compatibility, Version};
use super::host::{Host, Tracked};
use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::time::{Duration, Instant};
use stack::wire::mld::RecordType;
use std::collections::{BTreeMap, BTreeSet};

/// The Router Filter Mode of a group on a link (RFC 3810 §7.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FilterMode {
    /// Every listener names its sources.
    Include,
    /// At least one listener wants all sources but some.
    Exclude,
}

/// A source record. Its timer is zero where the source is in the Exclude List.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Source {
    pub(crate) expires: Option<Instant>,
    /// Queries that are still to be sent for it.
    pub(crate) retransmissions: u8,
}

/// Whether every listener of the group is tracked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tracking {
    Complete,
    /// There was a host too many, or one beyond its limits: nobody can be taken for the last one, or the only one.
    Incomplete,
}

/// The queries that a record demands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Queries {
    /// Q(MA).
    pub(crate) group: bool,
    /// Q(MA,X).
    pub(crate) sources: BTreeSet<Ipv6Addr>,
}

/// A group on a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Group {
    pub(crate) mode: FilterMode,
    /// The Filter Timer; it runs in EXCLUDE mode.
    pub(crate) filter_timer: Option<Instant>,
    pub(crate) sources: BTreeMap<Ipv6Addr, Source>,
    /// Group-specific queries that are still to be sent.
    pub(crate) retransmissions: u8,
    /// When the next of them, or of the sources', is.
    pub(crate) retransmit_at: Option<Instant>,
    /// When it is asked for, because it belongs to a terminal.
    pub(crate) query_at: Option<Instant>,
    pub(crate) hosts: BTreeMap<Ipv6Addr, Host>,
    pub(crate) tracking: Tracking,
    /// The link-layer address of its only listener, as it was told last.
    pub(crate) delivery: Option<MacAddress>,
    pub(crate) compatibility: Compatibility,
}

impl Default for Group {
    fn default() -> Self {
        Group {
            mode: FilterMode::Include,
            filter_timer: None,
            sources: BTreeMap::new(),
            retransmissions: 0,
            retransmit_at: None,
            query_at: None,
            hosts: BTreeMap::new(),
            tracking: Tracking::Complete,
            delivery: None,
            compatibility: Compatibility::default(),
        }
    }
}

impl Group {
    /// Takes a record in, by the table above; `b` are its sources and `mali` is the Multicast Address Listening Interval.
    pub(crate) fn apply(&mut self, now: Instant, kind: RecordType, b: &BTreeSet<Ipv6Addr>, mali: Duration) -> Queries {
        use FilterMode::{Exclude, Include};
        use RecordType::{
            AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude, ModeIsInclude,
        };
        let full = Some(now + mali);
        let mut queries = Queries::default();
        let query_sources = |known: &BTreeSet<Ipv6Addr>| known.iter().copied().collect();
        match (self.mode, kind) {
            (_, ModeIsInclude | AllowNewSources) => self.set_timers(b.iter(), full),
            (Include, ModeIsExclude | ChangeToExclude) => {
                self.sources.retain(|source, _| b.contains(source));
                if kind == ChangeToExclude {
                    queries.sources = self.sources.keys().copied().collect();
                }
                self.add_where_missing(b, None);
                self.mode = Exclude;
                self.filter_timer = full;
            }
            (Include, BlockOldSources) => {
                queries.sources = b.iter().copied().filter(|source| self.sources.contains_key(source)).collect();
            }
            (Include, ChangeToInclude) => {
                queries.sources = self.sources.keys().copied().filter(|source| !b.contains(source)).collect();
                self.set_timers(b.iter(), full);
            }
            (Exclude, ModeIsExclude | ChangeToExclude) => {
                let new = if kind == ModeIsExclude { full } else { self.filter_timer };
                self.sources.retain(|source, _| b.contains(source));
                self.add_where_missing(b, new);
                if kind == ChangeToExclude {
                    queries.sources = self.requested().collect();
                }
                self.filter_timer = full;
            }
            (Exclude, BlockOldSources) => {
                self.add_where_missing(b, self.filter_timer);
                let requested = self.requested().filter(|source| b.contains(source)).collect::<BTreeSet<_>>();
                queries.sources = query_sources(&requested);
            }
            (Exclude, ChangeToInclude) => {
                queries.sources = self.requested().filter(|source| !b.contains(source)).collect();
                queries.group = true;
                self.set_timers(b.iter(), full);
            }
        }
        queries
    }

    /// Notes what a host says, before it is applied; it is there already or may be added. It names no more than `most`
    /// sources then, or as many as the record demands.
    pub(crate) fn track(
        &mut self,
        now: Instant,
        host: Ipv6Addr,
        kind: RecordType,
        b: &BTreeSet<Ipv6Addr>,
        mali: Duration,
        most: usize,
    ) {
        let mode = self.mode;
        self.hosts.entry(host).or_default().hear(now, mode, kind, b, mali, most);
    }

    /// How many sources a host names, where it is tracked.
    pub(crate) fn named_by(&self, host: Ipv6Addr) -> Option<usize> {
        self.hosts.get(&host).map(Host::named)
    }

    /// How many it would name after a record.
    pub(crate) fn would_be_named_by(
        &self,
        now: Instant,
        host: Ipv6Addr,
        kind: RecordType,
        b: &BTreeSet<Ipv6Addr>,
    ) -> usize {
        let mut entry = self.hosts.get(&host).cloned().unwrap_or_default();
        entry.hear(now, self.mode, kind, b, Duration::MAX, usize::MAX);
        entry.named()
    }

    /// Forgets what hosts said that does not hold any more: each host that this changes, how many sources fewer it names,
    /// and whether it is tracked no more.
    pub(crate) fn forget_hosts(&mut self, now: Instant) -> Vec<(Ipv6Addr, usize, Tracked)> {
        let mut changed = Vec::new();
        self.hosts.retain(|&address, host| {
            let before = host.named();
            host.forget(now);
            let fewer = before - host.named();
            let tracked = if host.is_heard() { Tracked::Still } else { Tracked::NoMore };
            if fewer > 0 || tracked == Tracked::NoMore {
                changed.push((address, fewer, tracked));
            }
            tracked == Tracked::Still
        });
        changed
    }

    /// Takes out all hosts, and how many sources each names.
    pub(crate) fn take_hosts(&mut self) -> impl Iterator<Item = (Ipv6Addr, usize)> + use<> {
        core::mem::take(&mut self.hosts).into_iter().map(|(address, host)| (address, host.named()))
    }

    /// Ends at once what `queries` would ask for and nobody is left to answer; takes that, and what a tracked listener
    /// still wants, out of it. Answers what ended.
    ///
    /// The list of a host in EXCLUDE mode takes sources out that others asked for by name (§7.4.1), and a query for the
    /// group would have these ask again; without one they are taken from what is tracked. Where they are more than
    /// `max_sources` the query stays.
    pub(crate) fn leave_at_once(&mut self, now: Instant, queries: &mut Queries, max_sources: usize) -> Queries {
        let mut ended = Queries::default();
        // Of version 1 hosts one speaks for all.
        if self.tracking == Tracking::Incomplete || self.compatibility.version() == Version::V1 {
            return ended;
        }
        let asked = core::mem::take(queries);
        for source in asked.sources {
            if !self.hosts.values().any(|host| host.wants(source, now)) {
                self.end_source(source);
                ended.sources.insert(source);
            }
        }
        if asked.group && !self.hosts.values().any(|host| host.is_exclude(now)) {
            let mut named: BTreeMap<Ipv6Addr, Instant> = BTreeMap::new();
            for (&source, &until) in
                self.hosts.values().flat_map(|host| &host.sources).filter(|(_, until)| **until > now)
            {
                let longest = named.entry(source).or_insert(until);
                *longest = until.max(*longest);
            }
            let others = self.requested().filter(|source| !named.contains_key(source)).count();
            if named.len() + others > max_sources {
                queries.group = true;
                return ended;
            }
            self.switch_to_include();
            for (source, until) in named {
                let record = self.sources.entry(source).or_default();
                record.expires = record.expires.max(Some(until));
            }
            ended.group = true;
        }
        ended
    }

    /// Sources with listeners that ask for them: those with running timers.
    pub(crate) fn requested(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.sources.iter().filter(|(_, source)| source.expires.is_some()).map(|(&address, _)| address)
    }

    /// What listeners want: the sources that they ask for, and in EXCLUDE mode all, as the unspecified address.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = Ipv6Addr> {
        (self.mode == FilterMode::Exclude).then_some(Ipv6Addr::UNSPECIFIED).into_iter().chain(self.requested())
    }

    /// Sources that listeners to all sources do not want: the Exclude List.
    pub(crate) fn excluded(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.sources.keys().copied().filter(|&source| self.is_excluded(source))
    }

    /// What is wanted and what is excluded.
    pub(crate) fn memberships(&self) -> Memberships {
        let joined = self.wanted().map(|source| (source, Membership::Joined));
        joined.chain(self.excluded().map(|source| (source, Membership::Excluded))).collect()
    }

    /// Whether this source has listeners that ask for it.
    pub(crate) fn is_requested(&self, source: Ipv6Addr) -> bool {
        self.sources.get(&source).is_some_and(|source| source.expires.is_some())
    }

    /// Whether this source is in the Exclude List.
    pub(crate) fn is_excluded(&self, source: Ipv6Addr) -> bool {
        self.mode == FilterMode::Exclude && self.sources.get(&source).is_some_and(|source| source.expires.is_none())
    }

    /// Whether nothing is known any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.mode == FilterMode::Include && self.sources.is_empty()
    }

    /// Runs the source timers, the filter timer (§7.2.3, §7.5) and the Older Version Host Present timer (§8.3.2).
    pub(crate) fn expire(&mut self, now: Instant) {
        self.compatibility.expire(now);
        let due: Vec<Ipv6Addr> = self
            .sources
            .iter()
            .filter(|(_, source)| source.expires.is_some_and(|at| at <= now))
            .map(|(&address, _)| address)
            .collect();
        for source in due {
            self.end_source(source);
        }
        if self.filter_timer.is_some_and(|at| at <= now) {
            self.switch_to_include();
        }
    }

    /// Starts asking for these sources: `time`, the Last Listener Query Time, is left to answer (§7.6.3.2). Whether one of
    /// them is not being asked for already.
    pub(crate) fn query_sources(
        &mut self,
        now: Instant,
        sources: &BTreeSet<Ipv6Addr>,
        time: Duration,
        count: u8,
    ) -> bool {
        let mut is_new = false;
        for address in sources {
            if let Some(source) = self.sources.get_mut(address)
                && source.expires.is_some_and(|at| at > now + time)
            {
                source.expires = Some(now + time);
                source.retransmissions = count;
                is_new = true;
            }
        }
        is_new
    }

    /// Starts asking for the group (§7.6.3.1); answers as [`Group::query_sources`]. Where no more than `time` is left the
    /// question has been asked, and the one under way stands for both (§7.4.2): hosts repeat what they report.
    pub(crate) fn query_group(&mut self, now: Instant, time: Duration, count: u8) -> bool {
        // DEVIATION RFC 3810 §7.6.3.1: a record that a host repeats begins no further round of questions.
        let is_new = self.filter_timer.is_some_and(|at| at > now + time);
        if is_new {
            self.lower_filter_timer(now, time);
            self.retransmissions = count;
        }
        is_new
    }

    /// Asks no more for what is being asked for: another router is the querier.
    pub(crate) fn cancel_queries(&mut self) {
        self.retransmit_at = None;
        self.retransmissions = 0;
        for source in self.sources.values_mut() {
            source.retransmissions = 0;
        }
    }

    /// Lowers the filter timer to `time` (§7.6.1).
    pub(crate) fn lower_filter_timer(&mut self, now: Instant, time: Duration) {
        self.filter_timer = self.filter_timer.map(|at| at.min(now + time));
    }

    /// Lowers the timers of these sources to `time` (§7.6.1).
    pub(crate) fn lower_source_timers(&mut self, now: Instant, sources: &[Ipv6Addr], time: Duration) {
        for address in sources {
            if let Some(source) = self.sources.get_mut(address) {
                source.expires = source.expires.map(|at| at.min(now + time));
            }
        }
    }

    /// When something is to be done.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let sources = self.sources.values().filter_map(|source| source.expires);
        let older_version_host = self.compatibility.older_version_host_present;
        let own = [self.filter_timer, self.retransmit_at, self.query_at, older_version_host];
        sources.chain(own.into_iter().flatten()).min()
    }

    fn set_timers<'a>(&mut self, sources: impl Iterator<Item = &'a Ipv6Addr>, expires: Option<Instant>) {
        for &source in sources {
            self.sources.entry(source).or_default().expires = expires;
        }
    }

    fn add_where_missing(&mut self, sources: &BTreeSet<Ipv6Addr>, expires: Option<Instant>) {
        for &source in sources {
            self.sources.entry(source).or_insert(Source { expires, retransmissions: 0 });
        }
    }

    /// The timer of a source is zero: forgotten in INCLUDE mode, excluded in EXCLUDE mode.
    fn end_source(&mut self, address: Ipv6Addr) {
        match self.mode {
            FilterMode::Include => {
                self.sources.remove(&address);
            }
            FilterMode::Exclude => {
                self.sources.insert(address, Source::default());
            }
        }
    }

    fn switch_to_include(&mut self) {
        self.mode = FilterMode::Include;
        self.filter_timer = None;
        self.retransmissions = 0;
        self.sources.retain(|_, source| source.expires.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RecordType::{
        AllowNewSources as ALLOW, BlockOldSources as BLOCK, ChangeToExclude as TO_EX, ChangeToInclude as TO_IN,
        ModeIsExclude as IS_EX, ModeIsInclude as IS_IN,
    };

    const NOW: Instant = Instant::from_secs(100);
    const MALI: Duration = Duration::from_secs(260);
    /// What the timers of sources and filter have left before the record.
    const LEFT: Duration = Duration::from_secs(50);

    fn address(letter: char) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, letter as u16)
    }

    fn set(letters: &str) -> BTreeSet<Ipv6Addr> {
        letters.chars().map(address).collect()
    }

    fn letters<'a>(addresses: impl Iterator<Item = &'a Ipv6Addr>) -> String {
        addresses.map(|address| address.segments()[7] as u8 as char).collect()
    }

    /// `i ab` is INCLUDE (a,b); `x ab-cd` is EXCLUDE ({a,b}, {c,d}).
    fn group(text: &str) -> Group {
        let mut group = Group::default();
        let (requested, excluded) = text[2..].split_once('-').unwrap_or((&text[2..], ""));
        group.set_timers(set(requested).iter(), Some(NOW + LEFT));
        if text.starts_with('x') {
            group.mode = FilterMode::Exclude;
            group.filter_timer = Some(NOW + LEFT);
            group.add_where_missing(&set(excluded), None);
        }
        group
    }

    /// Like [`group`], with timers that were set to MALI in upper case and the filter timer's value where it changed.
    fn text(group: &Group) -> String {
        let of = |expires: fn(Option<Instant>) -> bool| {
            letters(group.sources.iter().filter(|(_, s)| expires(s.expires)).map(|(a, _)| a))
        };
        let requested: String = group
            .sources
            .iter()
            .filter_map(|(a, s)| {
                let letter = a.segments()[7] as u8 as char;
                let full = s.expires? == NOW + MALI;
                Some(if full { letter.to_ascii_uppercase() } else { letter })
            })
            .collect();
        match group.mode {
            FilterMode::Include => format!("i {requested}"),
            FilterMode::Exclude => {
                let filter = if group.filter_timer == Some(NOW + MALI) { " MALI" } else { "" };
                format!("x {requested}-{}{filter}", of(|expires| expires.is_none()))
            }
        }
    }

    #[test]
    fn reports_change_the_state_as_the_table_says() {
        // State, record, new state, Q(MA) and Q(MA,X). Upper case: the timer was set to MALI.
        for (state, kind, sources, expected, query) in [
            ("i ab", IS_IN, "bc", "i aBC", ""),
            ("i ", IS_IN, "a", "i A", ""),
            ("i ab", IS_EX, "bc", "x b-c MALI", ""),
            ("i ", IS_EX, "", "x - MALI", ""),
            ("i ab", ALLOW, "bc", "i aBC", ""),
            ("i ab", BLOCK, "bc", "i ab", "b"),
            ("i ab", BLOCK, "c", "i ab", ""),
            ("i ab", TO_EX, "bc", "x b-c MALI", "b"),
            ("i abd", TO_IN, "bc", "i aBCd", "ad"),
            ("i ab", TO_IN, "", "i ab", "ab"),
            ("x ab-cd", IS_IN, "bce", "x aBCE-d", ""),
            ("x ab-cd", IS_EX, "bce", "x bE-c MALI", ""),
            ("x ab-cd", ALLOW, "bce", "x aBCE-d", ""),
            ("x ab-cd", BLOCK, "bce", "x abe-cd", "be"),
            ("x ab-cd", TO_EX, "bce", "x be-c MALI", "be"),
            ("x ab-cd", TO_IN, "bce", "x aBCE-d", "*a"),
            ("x ab-cd", TO_IN, "", "x ab-cd", "*ab"),
        ] {
            let mut group = group(state);
            let queries = group.apply(NOW, kind, &set(sources), MALI);
            let asked = format!("{}{}", if queries.group { "*" } else { "" }, letters(queries.sources.iter()));
            assert_eq!((text(&group).as_str(), asked.as_str()), (expected, query), "{state} {kind:?} {sources}");
        }
    }

    #[test]
    fn new_sources_in_exclude_mode_get_the_filter_timer() {
        for kind in [BLOCK, TO_EX] {
            let mut group = group("x a-b");
            group.apply(NOW, kind, &set("e"), MALI);
            assert_eq!(group.sources[&address('e')].expires, Some(NOW + LEFT));
        }
    }

    #[test]
    fn timers_run_out() {
        let mut include = group("i ab");
        include.sources.get_mut(&address('b')).unwrap().expires = Some(NOW + MALI);
        include.expire(NOW + LEFT);
        assert_eq!(text(&include), "i B");
        include.expire(NOW + MALI);
        assert!(include.is_empty());

        let mut exclude = group("x ab-c");
        exclude.filter_timer = Some(NOW + MALI);
        exclude.sources.get_mut(&address('b')).unwrap().expires = Some(NOW + MALI + MALI);
        exclude.expire(NOW + LEFT);
        assert_eq!(text(&exclude), "x b-ac MALI", "a source that ran out is excluded");
        exclude.expire(NOW + MALI);
        assert_eq!(text(&exclude), "i b", "the requested sources stay");

        let mut last = group("x -c");
        last.expire(NOW + LEFT);
        assert!(last.is_empty());
    }

    #[test]
    fn asking_lowers_only_what_is_higher() {
        let mut group = group("x a-b");
        let time = Duration::from_secs(2);
        group.query_sources(NOW, &set("ab"), time, 2);
        group.query_group(NOW, time, 2);
        assert_eq!(group.sources[&address('a')], Source { expires: Some(NOW + time), retransmissions: 2 });
        assert_eq!(group.sources[&address('b')], Source::default());
        assert_eq!(group.filter_timer, Some(NOW + time));
        group.query_sources(NOW, &set("a"), Duration::from_secs(3), 9);
        assert_eq!(group.sources[&address('a')].retransmissions, 2);
    }

    #[test]
    fn the_last_tracked_listener_leaves_at_once() {
        let (one, two) = (address('1'), address('2'));
        let mut group = Group::default();
        let report = |group: &mut Group, host, kind, sources: &str| {
            group.track(NOW, host, kind, &set(sources), MALI, 64);
            let mut queries = group.apply(NOW, kind, &set(sources), MALI);
            let ended = group.leave_at_once(NOW, &mut queries, 64);
            assert_eq!(queries, Queries::default());
            (ended.sources.len() + usize::from(ended.group), text(group))
        };
        assert_eq!(report(&mut group, one, ALLOW, "a"), (0, "i A".into()));
        assert_eq!(report(&mut group, two, IS_IN, "ab"), (0, "i AB".into()));
        assert_eq!(report(&mut group, one, BLOCK, "a"), (0, "i AB".into()), "the other one wants it");
        assert_eq!(report(&mut group, two, TO_IN, "b"), (1, "i B".into()));
        assert_eq!(group.forget_hosts(NOW), [(one, 0, Tracked::NoMore)]);
        assert_eq!(report(&mut group, two, TO_IN, ""), (1, "i ".into()));
        assert_eq!(report(&mut group, one, TO_EX, ""), (0, "x - MALI".into()));
        assert_eq!(report(&mut group, one, TO_IN, ""), (1, "i ".into()));

        // Who asked for a source by name before somebody wanted all keeps it when that one leaves.
        assert_eq!(report(&mut group, two, ALLOW, "bc"), (0, "i BC".into()));
        assert_eq!(report(&mut group, one, TO_EX, "b"), (0, "x B- MALI".into()));
        assert_eq!(report(&mut group, one, TO_IN, "a"), (1, "i ABC".into()));
        assert_eq!(report(&mut group, one, TO_EX, ""), (0, "x - MALI".into()));
        group.track(NOW, one, TO_IN, &set(""), MALI, 64);
        let mut queries = group.apply(NOW, TO_IN, &set(""), MALI);
        assert_eq!(group.leave_at_once(NOW, &mut queries, 1), Queries::default());
        assert!(queries.group, "there are more sources than are kept");

        group = Group::default();
        report(&mut group, one, ALLOW, "a");
        group.tracking = Tracking::Incomplete;
        let mut queries = group.apply(NOW, BLOCK, &set("a"), MALI);
        assert_eq!(group.leave_at_once(NOW, &mut queries, 64), Queries::default());
        assert_eq!(queries.sources, set("a"));
    }
}
