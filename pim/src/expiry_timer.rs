//! The expiry timers ET(S,G,I) and ET(*,G,I) (RFC 7761 §4.5.2, §4.5.1). An entry holds that of one interface itself, and most
//! entries have no more; those of further interfaces are among the router's other timers.

use crate::instance::{Router, TimerKey};
use crate::tib::Entry;
use crate::wire::HOLDTIME_FOREVER;
use stack::machine::PortId;
use stack::tables::MrouteKey;
use stack::time::{Duration, Instant};

/// When what holds for `holdtime`, in seconds, expires.
pub(crate) fn expires(now: Instant, holdtime: u16) -> Instant {
    match holdtime {
        HOLDTIME_FOREVER => Instant::FAR_FUTURE,
        seconds => now + Duration::from_secs(u64::from(seconds)),
    }
}

impl Router {
    /// When the timer of an interface expires, where it runs.
    pub(crate) fn expiry_deadline(&self, key: MrouteKey, port: PortId) -> Option<Instant> {
        match self.tib.get(key)?.expiry() {
            Some((own, at)) if own == port => Some(at),
            _ => self.timers.deadline(TimerKey::Expiry(key, port)),
        }
    }

    /// The timer runs on where it has more left than `holdtime`, in seconds.
    pub(crate) fn restart_expiry_timer(&mut self, now: Instant, key: MrouteKey, port: PortId, holdtime: u16) {
        let deadline = expires(now, holdtime);
        if self.expiry_deadline(key, port).is_some_and(|current| current >= deadline) {
            return;
        }
        let elsewhere = TimerKey::Expiry(key, port);
        match self.tib.get(key).and_then(Entry::expiry) {
            Some((own, _)) if own != port => return self.timers.set(elsewhere, deadline),
            Some(_) => {}
            None => {
                self.timers.cancel(elsewhere);
            }
        }
        self.tib.set_expiry(key, Some((port, deadline)));
    }

    pub(crate) fn cancel_expiry_timer(&mut self, key: MrouteKey, port: PortId) {
        match self.tib.get(key).and_then(Entry::expiry) {
            Some((own, _)) if own == port => self.tib.set_expiry(key, None),
            _ => {
                self.timers.cancel(TimerKey::Expiry(key, port));
            }
        }
    }
}
