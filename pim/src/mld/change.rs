//! What the hosts of a link want of a group, source by source, and how it changes (RFC 7761 §4.1.5).
//!
//! ```text
//! group          source                  membership   RFC 7761 §4.1.5
//! EXCLUDE (X,Y)  all (unspecified)       Joined       local_receiver_include(*,G,I)
//! either         with a running timer    Joined       local_receiver_include(S,G,I)
//! EXCLUDE (X,Y)  in Y, the Exclude List  Excluded     local_receiver_exclude(S,G,I)
//! ```
//!
//! A source without a record is none of these: who listens to all sources listens to it.

use core::net::Ipv6Addr;
use std::collections::BTreeMap;

/// Whether hosts on a link want a source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Membership {
    /// They do.
    Joined,
    /// They want all sources of the group, but none of them wants this one.
    Excluded,
    /// They have nothing to say of it any more.
    Left,
}

/// A change of what hosts on the link want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MembershipChange {
    pub(crate) group: Ipv6Addr,
    pub(crate) source: Ipv6Addr,
    pub(crate) membership: Membership,
}

/// The sources of a group that are joined or excluded; the unspecified address is all of them.
pub(crate) type Memberships = BTreeMap<Ipv6Addr, Membership>;

/// What makes `after` of `before`: first what is joined, then what is excluded, then what is neither, each by source and
/// thus all sources first.
pub(crate) fn changes(group: Ipv6Addr, before: &Memberships, after: &Memberships) -> Vec<MembershipChange> {
    let is_new = |(source, membership): &(&Ipv6Addr, &Membership)| before.get(*source) != Some(*membership);
    let set = after.iter().filter(is_new).map(|(&source, &membership)| (source, membership));
    let is_gone = |source: &&Ipv6Addr| !after.contains_key(*source);
    let left = before.keys().filter(is_gone).map(|&source| (source, Membership::Left));
    let change = |(source, membership)| MembershipChange { group, source, membership };
    let mut changes: Vec<MembershipChange> = set.chain(left).map(change).collect();
    changes.sort_by_key(|change| change.membership);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use Membership::{Excluded, Joined, Left};

    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);
    const ALL: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

    fn source(last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
    }

    /// From each of the three states to each other one, and to itself.
    #[test]
    fn every_change_of_a_source_is_told_once() {
        let states = [None, Some(Joined), Some(Excluded)];
        for before in states {
            for after in states {
                let of = |state: Option<Membership>| -> Memberships {
                    [(ALL, Joined)].into_iter().chain(state.map(|state| (source(1), state))).collect()
                };
                let expected = (before != after).then_some(after.unwrap_or(Left));
                let told = changes(GROUP, &of(before), &of(after));
                let expected: Vec<_> = expected
                    .map(|membership| MembershipChange { group: GROUP, source: source(1), membership })
                    .into_iter()
                    .collect();
                assert_eq!(told, expected, "{before:?} to {after:?}");
            }
        }
    }

    #[test]
    fn what_is_joined_comes_first_and_what_is_left_last() {
        let before: Memberships = [(source(1), Joined), (source(3), Joined), (source(5), Joined)].into();
        let after: Memberships =
            [(ALL, Joined), (source(2), Excluded), (source(3), Excluded), (source(4), Joined), (source(5), Joined)]
                .into();
        let told = |before, after| -> Vec<(Ipv6Addr, Membership)> {
            changes(GROUP, before, after).iter().map(|change| (change.source, change.membership)).collect()
        };
        assert_eq!(
            told(&before, &after),
            [(ALL, Joined), (source(4), Joined), (source(2), Excluded), (source(3), Excluded), (source(1), Left)]
        );
        assert_eq!(
            told(&after, &Memberships::new()),
            [ALL, source(2), source(3), source(4), source(5)].map(|source| (source, Left))
        );
    }
}
