//! Compatibility with version 1 of MLD (RFC 3810 §8.3): which version a group has, and what its messages mean.
//!
//! A host of version 1 can only say that it listens to all sources, or that it may have been the last listener (RFC 2710
//! §4), and says nothing at all where it has heard another one say it. So a group with such a host has no use for
//! exclude lists, and who is tracked in it are not all of its listeners.

use core::net::Ipv6Addr;
use stack::time::Instant;
use stack::wire::mld::RecordType;

/// A version of MLD.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// RFC 2710.
    V1,
    /// RFC 3810.
    V2,
}

impl Version {
    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

/// A message of a version 1 host (RFC 2710 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OlderMessage {
    Report,
    Done,
}

impl OlderMessage {
    /// The type of the record without sources that says the same (RFC 3810 §8.3.2).
    pub(crate) const fn equivalent(self) -> RecordType {
        match self {
            OlderMessage::Report => RecordType::ModeIsExclude,
            OlderMessage::Done => RecordType::ChangeToInclude,
        }
    }
}

/// The Multicast Address Compatibility Mode of a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Compatibility {
    /// The Older Version Host Present timer; it runs where the mode is version 1.
    pub(crate) older_version_host_present: Option<Instant>,
}

impl Compatibility {
    pub(crate) fn version(&self) -> Version {
        if self.older_version_host_present.is_some() { Version::V1 } else { Version::V2 }
    }

    /// A version 1 report for the group came in.
    pub(crate) fn hear_report(&mut self, timeout: Instant) {
        self.older_version_host_present = Some(timeout);
    }

    /// Back to version 2 where the timer has run out.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.older_version_host_present = self.older_version_host_present.filter(|&at| at > now);
    }
}

/// The sources of a record that count in a group of this version; `None` where the whole record does not.
pub(crate) fn sources_that_count(version: Version, kind: RecordType, sources: &[Ipv6Addr]) -> Option<&[Ipv6Addr]> {
    match (version, kind) {
        (Version::V1, RecordType::BlockOldSources) => None,
        (Version::V1, RecordType::ChangeToExclude) => Some(&[]),
        _ => Some(sources),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RecordType::{
        AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude, ModeIsInclude,
    };
    use stack::time::Duration;

    #[test]
    fn what_counts_in_each_version() {
        let all: &[Ipv6Addr] = &[Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)];
        for (kind, in_v1) in [
            (ModeIsInclude, Some(all)),
            (ModeIsExclude, Some(all)),
            (ChangeToInclude, Some(all)),
            (ChangeToExclude, Some(&[][..])),
            (AllowNewSources, Some(all)),
            (BlockOldSources, None),
        ] {
            assert_eq!(sources_that_count(Version::V1, kind, all), in_v1, "{kind:?}");
            assert_eq!(sources_that_count(Version::V2, kind, all), Some(all), "{kind:?}");
        }
        assert_eq!(OlderMessage::Report.equivalent(), ModeIsExclude);
        assert_eq!(OlderMessage::Done.equivalent(), ChangeToInclude);
    }

    #[test]
    fn the_mode_ends_with_its_timer_and_each_report_sets_it_anew() {
        let (start, second) = (Instant::from_secs(100), Duration::from_secs(1));
        let mut mode = Compatibility::default();
        assert_eq!(mode.version(), Version::V2);
        mode.hear_report(start + second);
        mode.hear_report(start + second * 2);
        mode.expire(start + second);
        assert_eq!(mode.version(), Version::V1);
        mode.expire(start + second * 2);
        assert_eq!(mode, Compatibility::default());
    }
}
