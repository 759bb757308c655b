//! What one host of a link has said about one group, and until when that holds: explicit tracking.
//!
//! It is not in RFC 3810, whose routers know only what their listeners want together. It tells who the last listener is,
//! and bounds what one host can make a router keep.

use super::group::FilterMode;
use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};
use stack::wire::mld::RecordType;
use std::collections::{BTreeMap, BTreeSet};

/// What one host asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Host {
    /// Until when it is in EXCLUDE mode.
    pub(crate) exclude_until: Option<Instant>,
    /// Sources that it asked for by name, and until when each holds.
    pub(crate) sources: BTreeMap<Ipv6Addr, Instant>,
    /// Sources that it does not want, where they make the router keep a record, and until when each holds.
    pub(crate) excluded: BTreeMap<Ipv6Addr, Instant>,
}

impl Host {
    /// Takes in what the host says; `mode` is the group's before. Of sources that it wants no more, those are left out that
    /// would make it name more than `most`: it is taken to want them still.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        mode: FilterMode,
        kind: RecordType,
        b: &BTreeSet<Ipv6Addr>,
        mali: Duration,
        most: usize,
    ) {
        let named: BTreeMap<Ipv6Addr, Instant> = b.iter().map(|&source| (source, now + mali)).collect();
        match kind {
            // The answer to a query for some sources names only these, and one in EXCLUDE mode may send it too.
            RecordType::ModeIsInclude | RecordType::AllowNewSources => {
                self.excluded.retain(|source, _| !b.contains(source));
                self.sources.extend(named);
            }
            RecordType::ModeIsExclude | RecordType::ChangeToExclude => {
                self.exclude_until = Some(now + mali);
                self.sources.clear();
                self.excluded = named;
            }
            RecordType::ChangeToInclude => {
                self.exclude_until = None;
                self.excluded.clear();
                self.sources = named;
            }
            RecordType::BlockOldSources => {
                self.sources.retain(|source, _| !b.contains(source));
                if mode == FilterMode::Exclude {
                    for (source, until) in named {
                        if self.named() < most || self.excluded.contains_key(&source) {
                            self.excluded.insert(source, until);
                        }
                    }
                }
            }
        }
        self.forget(now);
    }

    /// Forgets what does not hold any more.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.exclude_until = self.exclude_until.filter(|&until| until > now);
        self.sources.retain(|_, until| *until > now);
        self.excluded.retain(|_, until| *until > now);
    }

    /// How many sources it names.
    pub(crate) fn named(&self) -> usize {
        self.sources.len() + self.excluded.len()
    }

    pub(crate) fn wants(&self, source: Ipv6Addr, now: Instant) -> bool {
        let by_name = self.sources.get(&source).is_some_and(|&until| until > now);
        let excluded = self.excluded.get(&source).is_some_and(|&until| until > now);
        by_name || (self.is_exclude(now) && !excluded)
    }

    pub(crate) fn is_exclude(&self, now: Instant) -> bool {
        self.exclude_until.is_some_and(|until| until > now)
    }

    /// Whether it wants any source of the group, as far as it holds.
    pub(crate) fn listens(&self) -> bool {
        self.exclude_until.is_some() || !self.sources.is_empty()
    }

    /// Whether it has said anything that still holds.
    pub(crate) fn is_heard(&self) -> bool {
        self.exclude_until.is_some() || self.named() > 0
    }
}

/// Whether a host is tracked in a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tracked {
    Still,
    NoMore,
}

#[cfg(test)]
mod tests {
    use super::*;
    use FilterMode::{Exclude, Include};
    use RecordType::{
        AllowNewSources as ALLOW, BlockOldSources as BLOCK, ChangeToExclude as TO_EX, ChangeToInclude as TO_IN,
        ModeIsExclude as IS_EX, ModeIsInclude as IS_IN,
    };

    const NOW: Instant = Instant::from_secs(100);
    const MALI: Duration = Duration::from_secs(260);

    fn set(letters: &str) -> BTreeSet<Ipv6Addr> {
        letters.bytes().map(|letter| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(letter))).collect()
    }

    /// Which of four sources it wants, and how many it names.
    fn state(host: &Host, now: Instant) -> (BTreeSet<Ipv6Addr>, usize) {
        (set("abcd").into_iter().filter(|&source| host.wants(source, now)).collect(), host.named())
    }

    #[test]
    fn records_say_what_a_host_wants() {
        let mut host = Host::default();
        for (mode, kind, sources, wanted, named) in [
            (Include, ALLOW, "ab", "ab", 2),
            (Include, BLOCK, "bc", "a", 1),
            (Include, IS_IN, "b", "ab", 2),
            (Include, TO_IN, "c", "c", 1),
            (Include, TO_EX, "ab", "cd", 2),
            (Exclude, BLOCK, "c", "d", 3),
            (Exclude, ALLOW, "ab", "abd", 3),
            (Exclude, BLOCK, "a", "bd", 3),
            (Exclude, IS_IN, "c", "bcd", 3),
            (Exclude, IS_EX, "d", "abc", 1),
            (Exclude, TO_IN, "", "", 0),
            // Of a group that others keep in EXCLUDE mode.
            (Exclude, ALLOW, "a", "a", 1),
            (Exclude, BLOCK, "ab", "", 2),
        ] {
            host.hear(NOW, mode, kind, &set(sources), MALI, 9);
            assert_eq!(state(&host, NOW), (set(wanted), named), "{mode:?} {kind:?} {sources}");
        }
    }

    #[test]
    fn what_it_said_holds_for_a_while() {
        let mut host = Host::default();
        host.hear(NOW, Include, TO_EX, &set("a"), MALI, 9);
        host.hear(NOW + MALI / 2, Exclude, ALLOW, &set("b"), MALI, 9);
        assert_eq!(state(&host, NOW + MALI / 2).0, set("bcd"));
        host.forget(NOW + MALI);
        assert_eq!(state(&host, NOW + MALI), (set("b"), 1));
        assert!(host.is_heard());
        host.forget(NOW + MALI * 2);
        assert!(!host.is_heard());
    }

    #[test]
    fn what_it_wants_no_more_is_noted_as_far_as_there_is_room() {
        let mut host = Host::default();
        host.hear(NOW, Include, TO_EX, &set("a"), MALI, 2);
        host.hear(NOW, Exclude, BLOCK, &set("abc"), MALI, 2);
        assert_eq!(state(&host, NOW), (set("cd"), 2));
    }
}
