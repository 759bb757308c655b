//! What concerns very many entries is done for a few of them in each call, in the order of their slots, with a pause between
//! the calls: a route that changes under a million entries, or a neighbour of all of them that has restarted.
//!
//! Nothing is remembered of single entries. A sweep passes every slot once since it was last called for; what is found there
//! is looked up again, or asked to refresh its join, and an entry of which that was done already does it once more, which
//! changes nothing.

use crate::instance::{PAUSE, Router, TimerKey};
use crate::rpf::LinkNeighbor;
use crate::upstream::UpstreamEvent;
use stack::addr::Prefix;
use stack::time::Instant;
use std::collections::BTreeSet;

/// Entries that are seen to in one call.
pub(crate) const ENTRIES_A_CALL: usize = 256;
/// Slots that are looked at in one call.
const SLOTS_A_CALL: usize = 4096;

/// What is to be done with whichever entries it concerns.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// The next slot.
    next: usize,
    /// So many slots are still to be looked at.
    left: usize,
    /// Roots in these are looked up again; bounded by [`MAX_PREFIXES`].
    prefixes: BTreeSet<Prefix>,
    /// What was asked of these is asked again; bounded by the neighbours that there are.
    restarted: BTreeSet<LinkNeighbor>,
}

/// Where more prefixes than this have changed, all roots are looked up again.
const MAX_PREFIXES: usize = 16;

impl Router {
    /// Looks up every root in `prefix` again.
    pub(crate) fn reroute_prefix(&mut self, now: Instant, prefix: Prefix) {
        if let Some(keys) = self.tib.keys_rooted_in(prefix, ENTRIES_A_CALL) {
            for key in keys {
                self.reroute(now, key);
            }
            return;
        }
        let prefixes = &mut self.sweep.prefixes;
        prefixes.insert(prefix);
        if prefixes.len() > MAX_PREFIXES {
            *prefixes = BTreeSet::from([Prefix::DEFAULT]);
        }
        self.begin_sweep(now);
    }

    /// Tells the entries whose joins go to this neighbour that it has lost its state.
    pub(crate) fn upstream_restarted(&mut self, now: Instant, neighbor: LinkNeighbor) {
        if self.tib.len() > ENTRIES_A_CALL {
            self.sweep.restarted.insert(neighbor);
            return self.begin_sweep(now);
        }
        for key in self.tib.keys_where(|entry| entry.upstream_neighbor() == Some(neighbor)) {
            self.upstream_event(now, key, UpstreamEvent::GenerationIdChanged);
        }
    }

    fn begin_sweep(&mut self, now: Instant) {
        self.sweep.left = self.tib.slots();
        self.sweep(now);
    }

    /// Sees to the next few entries.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let (mut entries, mut slots) = (ENTRIES_A_CALL, SLOTS_A_CALL);
        self.sweep.left = self.sweep.left.min(self.tib.slots());
        while self.sweep.left > 0 && entries > 0 && slots > 0 {
            let slot = self.sweep.next % self.tib.slots().max(1);
            self.sweep.next = slot + 1;
            self.sweep.left -= 1;
            slots -= 1;
            let Some(entry) = self.tib.at_slot(slot) else { continue };
            let (key, root) = (entry.key(), entry.root());
            let has_restarted = entry.upstream_neighbor().is_some_and(|n| self.sweep.restarted.contains(&n));
            if self.sweep.prefixes.iter().any(|prefix| prefix.contains(root)) {
                entries -= 1;
                self.reroute(now, key);
            } else if has_restarted {
                entries -= 1;
            }
            if has_restarted {
                self.upstream_event(now, key, UpstreamEvent::GenerationIdChanged);
            }
        }
        if self.sweep.left == 0 {
            self.sweep.prefixes.clear();
            self.sweep.restarted.clear();
            self.timers.cancel(TimerKey::Sweep);
        } else {
            self.timers.set(TimerKey::Sweep, now + PAUSE);
        }
    }
}
