//! What tunnels were told about the paths they take (RFC 8201; RFC 2473 §7.1): the path MTU by outer destination, a
//! group's being the least of its branches.

use crate::time::{Duration, Instant};
use core::net::Ipv6Addr;
use std::collections::BTreeMap;

/// After this long a larger packet is tried again (RFC 8201 §4).
pub(crate) const AGE: Duration = Duration::from_secs(600);

/// Path MTUs below those of the ports.
pub(crate) struct PathMtus {
    by_destination: BTreeMap<Ipv6Addr, (u16, Instant)>,
    limit: usize,
}

impl PathMtus {
    pub(crate) fn new(limit: usize) -> Self {
        PathMtus { by_destination: BTreeMap::new(), limit }
    }

    /// Learns; smaller values win until they age. Answers whether there was room.
    pub(crate) fn learn(&mut self, now: Instant, destination: Ipv6Addr, mtu: u16) -> bool {
        self.by_destination.retain(|_, (_, until)| *until > now);
        if let Some((known, until)) = self.by_destination.get_mut(&destination) {
            if mtu <= *known {
                (*known, *until) = (mtu, now + AGE);
            }
            return true;
        }
        if self.by_destination.len() >= self.limit {
            return false;
        }
        self.by_destination.insert(destination, (mtu, now + AGE));
        true
    }

    /// The path has changed: larger packets are tried again. Answers whether anything was known of it.
    pub(crate) fn forget(&mut self, destination: Ipv6Addr) -> bool {
        self.by_destination.remove(&destination).is_some()
    }

    /// The path MTU towards `destination`, no more than `link`.
    #[inline(always)]
    pub(crate) fn towards(&self, now: Instant, destination: Ipv6Addr, link: usize) -> usize {
        if self.by_destination.is_empty() {
            return link;
        }
        match self.by_destination.get(&destination) {
            Some(&(mtu, until)) if until > now => link.min(usize::from(mtu)),
            _ => link,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_holds_until_it_ages_or_the_path_changes() {
        let (start, to) = (Instant::from_secs(1), Ipv6Addr::LOCALHOST);
        let mut paths = PathMtus::new(1);
        assert!(paths.learn(start, to, 1400));
        assert!(paths.learn(start, to, 1300));
        assert!(paths.learn(start + AGE / 2, to, 1350));
        assert!(!paths.learn(start, Ipv6Addr::UNSPECIFIED, 1300), "there is room for one");
        assert_eq!(paths.towards(start, to, 1500), 1300);
        assert_eq!(paths.towards(start, to, 1280), 1280);
        assert_eq!(paths.towards(start + AGE, to, 1500), 1500);
        assert!(paths.learn(start + AGE, Ipv6Addr::UNSPECIFIED, 1300), "what has aged makes room");
        assert!(paths.forget(Ipv6Addr::UNSPECIFIED) && !paths.forget(Ipv6Addr::UNSPECIFIED));
        assert_eq!(paths.towards(start + AGE, Ipv6Addr::UNSPECIFIED, 1500), 1500);
    }
}
