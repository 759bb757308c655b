//! Groups that are joined for a listener that is not there yet: its next access router is the candidate of a terminal that
//! is about to move, and has its packets when it comes.
//!
//! ```text
//!            | asked for         | a listener's report | its time is over
//! none       | joined, no port   | -                   | -
//! joined     | longer            | a member as others  | left, unless others want it
//! ```
//!
//! A pre-join makes JoinDesired(S,G), or JoinDesired(*,G), true and adds no interface: the predicates are in [`crate::olist`].
//! While the route has no interface it holds its packets.

use crate::instance::{Router, TimerKey};
use stack::tables::MrouteKey;
use stack::time::Instant;

impl Router {
    /// Joins for a listener that is to come by then.
    pub(crate) fn pre_join(&mut self, now: Instant, key: MrouteKey, until: Instant) {
        if !self.ensure_entry(key) {
            return;
        }
        let Some(entry) = self.tib.get_mut(key) else { return };
        if !entry.is_pre_joined() {
            entry.set_pre_joined(true);
            self.counters.pre_joins += 1;
        }
        self.timers.set(TimerKey::PreJoin(key), until);
        self.settle(now, key);
    }

    /// A listener has come; the entry is not settled yet.
    pub(crate) fn meet_pre_join(&mut self, key: MrouteKey) {
        if self.end_pre_join(key) {
            self.timers.cancel(TimerKey::PreJoin(key));
            self.counters.pre_joins_met += 1;
        }
    }

    pub(crate) fn pre_join_expires(&mut self, now: Instant, key: MrouteKey) {
        if self.end_pre_join(key) {
            self.counters.pre_joins_lapsed += 1;
            self.settle(now, key);
        }
    }

    /// Whether there was one.
    fn end_pre_join(&mut self, key: MrouteKey) -> bool {
        let Some(entry) = self.tib.get_mut(key).filter(|entry| entry.is_pre_joined()) else { return false };
        entry.set_pre_joined(false);
        true
    }
}
