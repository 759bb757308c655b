//! Protection against messages that are sent again: timestamps (RFC 4285 §6) or sequence numbers (RFC 6275 §9.5.1).
//!
//! For each home address the highest value that was accepted is kept, also after its binding is gone: a Binding Update
//! of yesterday must not install again what was removed since. An update counts as accepted here once it is authentic
//! and fresh, whatever else is found wrong with it.
//!
//! What is kept is bounded, and whoever has a key that is not tied to one home address (a site key) can name any number
//! of them. So a full table makes room: of the home addresses that were accepted longest ago the first goes that is not
//! in use, or with timestamps the first whose last one is refused for its age anyway. One that went without being too old
//! can have its old updates sent again; nobody is bound there, and the next update of its terminal ends it. The
//! alternative, to keep what is there, has one who floods the table keep everybody else out for good.

use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};
use stack::wire::mobility::Status;
use std::collections::{BTreeMap, BTreeSet};

/// A time of day in NTP format: seconds since 1900 in the high 32 bits, fractions in the low ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// Seconds from 1900 to 1970.
    const UNIX_EPOCH_SECS: u64 = 2_208_988_800;

    /// The time of day that is `since_epoch` after 1970. Era 1 begins in 2036 with zero again.
    pub const fn from_unix(since_epoch: Duration) -> Self {
        let secs = since_epoch.as_secs().wrapping_add(Self::UNIX_EPOCH_SECS);
        NtpTime((secs << 32) | fraction(since_epoch))
    }

    /// The time of day `by` later.
    pub const fn later(self, by: Duration) -> Self {
        NtpTime(self.0.wrapping_add(by.as_secs() << 32).wrapping_add(fraction(by)))
    }

    /// How far apart two times of day are, whichever is later, across the turn of an era too.
    pub const fn distance(self, other: NtpTime) -> Duration {
        let forward = self.0.wrapping_sub(other.0);
        let ticks = if forward > u64::MAX / 2 { forward.wrapping_neg() } else { forward };
        Duration::new(ticks >> 32, (((ticks & 0xffff_ffff) * 1_000_000_000) >> 32) as u32)
    }

    /// Whether this is after `other`, across the turn of an era too.
    const fn is_after(self, other: NtpTime) -> bool {
        let forward = self.0.wrapping_sub(other.0);
        forward != 0 && forward <= u64::MAX / 2
    }
}

/// The part of a time that is no whole second, in units of 2^-32 s.
const fn fraction(time: Duration) -> u64 {
    ((time.subsec_nanos() as u64) << 32) / 1_000_000_000
}

/// What the time of day was at one instant; from then on it runs with the instants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WallClock {
    /// The instant.
    pub at: Instant,
    /// The time of day then.
    pub reads: NtpTime,
}

impl WallClock {
    /// The time of day at `now`.
    pub fn read(&self, now: Instant) -> NtpTime {
        if now >= self.at {
            self.reads.later(now.since(self.at))
        } else {
            let back = self.at.since(now);
            NtpTime(self.reads.0.wrapping_sub(back.as_secs() << 32).wrapping_sub(fraction(back)))
        }
    }
}

/// What makes a message fresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplayPolicy {
    /// A sequence number after the last one. A terminal that lost its own is told the last one and goes on from there.
    Sequence,
    /// A timestamp no further than `window` from this node's time of day and later than all before. The sequence
    /// number is not looked at (RFC 4285 §8).
    Timestamp {
        /// RFC 4285 §5.1: 7 s by default, more than 3 s.
        window: Duration,
        /// This node's time of day.
        clock: WallClock,
    },
}

impl ReplayPolicy {
    /// Default of the window (RFC 4285 §5.1).
    pub const DEFAULT_WINDOW: Duration = Duration::from_secs(7);
}

/// DEVIATION RFC 6275 §9.5.1: not every message that is not fresh is answered, but one in this time for each home address.
const ANSWER_INTERVAL: Duration = Duration::from_millis(250);

/// How many of the home addresses that were accepted longest ago are looked at to make room for another one.
const MAX_LOOKS: usize = 64;

/// The highest values that were accepted for a home address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayFloor {
    /// Sequence number of the last Binding Update.
    pub sequence: u16,
    /// Its timestamp, or the last one before it.
    pub message_id: Option<u64>,
}

/// Why a message is not fresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplayError {
    /// The sequence number is not after the last one.
    #[error("sequence number not after {last}")]
    Sequence {
        /// The last one, which the answer gives.
        last: u16,
    },
    /// There is no timestamp.
    #[error("no timestamp")]
    MessageIdRequired,
    /// The timestamp is too far from this node's time of day, or not after the last one.
    #[error("timestamp not fresh")]
    MessageIdMismatch {
        /// The timestamp of the answer: the low half of the terminal's, the high half of this node's time of day.
        answer: u64,
    },
    /// No room to remember one more home address.
    #[error("no room for one more home address")]
    TableFull,
}

impl ReplayError {
    /// The status of the answer.
    pub const fn status(&self) -> Status {
        match self {
            ReplayError::Sequence { .. } => Status::SEQUENCE_OUT_OF_WINDOW,
            ReplayError::MessageIdRequired => Status::MESSAGE_ID_REQUIRED,
            ReplayError::MessageIdMismatch { .. } => Status::ID_MISMATCH,
            ReplayError::TableFull => Status::INSUFFICIENT_RESOURCES,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    floor: ReplayFloor,
    /// When the last message that was not fresh was answered.
    answered_at: Option<Instant>,
    /// The key in the order.
    place: u64,
}

/// Remembers what was accepted.
#[derive(Clone, Debug)]
pub struct ReplayGuard {
    policy: ReplayPolicy,
    limit: usize,
    floors: BTreeMap<Ipv6Addr, Remembered>,
    /// All home addresses, the one that was accepted longest ago first.
    order: BTreeMap<u64, Ipv6Addr>,
    next_place: u64,
    /// Home addresses whose floor has changed, where somebody wants to know.
    changed: Option<BTreeSet<Ipv6Addr>>,
}

impl ReplayGuard {
    /// Remembers up to `limit` home addresses, about 150 octets each.
    pub fn new(policy: ReplayPolicy, limit: usize) -> Self {
        let (floors, order) = (BTreeMap::new(), BTreeMap::new());
        ReplayGuard { policy, limit, floors, order, next_place: 0, changed: None }
    }

    /// Whether this Binding Update is fresh; if so it is not again as long as its home address is remembered. That of a
    /// home address that `is_in_use` is not forgotten.
    ///
    /// # Errors
    /// See [`ReplayError`]; what is remembered has not changed then.
    pub fn admit(
        &mut self,
        now: Instant,
        home_address: Ipv6Addr,
        sequence: u16,
        message_id: Option<u64>,
        is_in_use: impl Fn(Ipv6Addr) -> bool,
    ) -> Result<(), ReplayError> {
        let remembered = self.floors.get(&home_address).copied();
        let floor = remembered.map(|remembered| remembered.floor);
        match self.policy {
            ReplayPolicy::Sequence => {
                if let Some(ReplayFloor { sequence: last, .. }) = floor
                    && !is_after(sequence, last)
                {
                    return Err(ReplayError::Sequence { last });
                }
            }
            ReplayPolicy::Timestamp { window, clock } => {
                let timestamp = NtpTime(message_id.ok_or(ReplayError::MessageIdRequired)?);
                let here = clock.read(now);
                let last = floor.and_then(|floor| floor.message_id);
                if timestamp.distance(here) > window || last.is_some_and(|last| !timestamp.is_after(NtpTime(last))) {
                    let answer = here.0 >> 32 << 32 | timestamp.0 & 0xffff_ffff;
                    return Err(ReplayError::MessageIdMismatch { answer });
                }
            }
        }
        if remembered.is_none() && self.floors.len() >= self.limit && !self.make_room(now, is_in_use) {
            return Err(ReplayError::TableFull);
        }
        let message_id = message_id.or(floor.and_then(|floor| floor.message_id));
        let answered_at = remembered.and_then(|remembered| remembered.answered_at);
        self.put(home_address, ReplayFloor { sequence, message_id }, answered_at);
        self.note_change(home_address);
        Ok(())
    }

    /// Forgets a home address of which that can be. Those that cannot go behind the others, so that the next ones are
    /// looked at next time.
    fn make_room(&mut self, now: Instant, is_in_use: impl Fn(Ipv6Addr) -> bool) -> bool {
        for _ in 0..MAX_LOOKS.min(self.order.len()) {
            let Some((_, home_address)) = self.order.pop_first() else { return false };
            let Some(&Remembered { floor, answered_at, .. }) = self.floors.get(&home_address) else { continue };
            let is_needed = match self.policy {
                ReplayPolicy::Sequence => is_in_use(home_address),
                ReplayPolicy::Timestamp { window, clock } => {
                    floor.message_id.is_some_and(|last| NtpTime(last).distance(clock.read(now)) <= window)
                }
            };
            if !is_needed {
                self.floors.remove(&home_address);
                self.note_change(home_address);
                return true;
            }
            self.put(home_address, floor, answered_at);
        }
        false
    }

    /// Remembers, behind all others.
    fn put(&mut self, home_address: Ipv6Addr, floor: ReplayFloor, answered_at: Option<Instant>) {
        let place = self.next_place;
        self.next_place += 1;
        if let Some(before) = self.floors.insert(home_address, Remembered { floor, answered_at, place }) {
            self.order.remove(&before.place);
        }
        self.order.insert(place, home_address);
    }

    fn note_change(&mut self, home_address: Ipv6Addr) {
        if let Some(changed) = &mut self.changed {
            changed.insert(home_address);
        }
    }

    /// Whether a message of this home address that was not fresh may be answered now. Whoever has heard one can send it
    /// again and again; a terminal sends no more than three a second (MAX_UPDATE_RATE).
    pub fn may_answer(&mut self, now: Instant, home_address: Ipv6Addr) -> bool {
        let Some(remembered) = self.floors.get_mut(&home_address) else { return true };
        let may = remembered.answered_at.is_none_or(|at| now.since(at) >= ANSWER_INTERVAL);
        if may {
            remembered.answered_at = Some(now);
        }
        may
    }

    /// Sets this node's time of day, where timestamps are compared with it.
    pub fn set_clock(&mut self, reading: WallClock) {
        if let ReplayPolicy::Timestamp { clock, .. } = &mut self.policy {
            *clock = reading;
        }
    }

    /// What is remembered, to be written down and restored: what was accepted longest ago first.
    pub fn floors(&self) -> impl Iterator<Item = (Ipv6Addr, ReplayFloor)> + '_ {
        let floor = |home_address: &Ipv6Addr| self.floors.get(home_address).map(|remembered| remembered.floor);
        self.order.values().filter_map(move |home_address| Some((*home_address, floor(home_address)?)))
    }

    /// Notes from now on what changes, for [`ReplayGuard::take_changes`].
    pub fn note_changes(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// What has changed since the last call, each home address once; `None`: nothing is remembered of it any more.
    pub fn take_changes(&mut self) -> Vec<(Ipv6Addr, Option<ReplayFloor>)> {
        let changed = self.changed.as_mut().map(core::mem::take).unwrap_or_default();
        let floor = |home_address: &Ipv6Addr| self.floors.get(home_address).map(|remembered| remembered.floor);
        changed.into_iter().map(|home_address| (home_address, floor(&home_address))).collect()
    }

    /// Remembers again what an earlier run wrote down, in this order the longest ago first. Entries beyond the limit are
    /// left out; returns how many.
    pub fn restore(&mut self, floors: impl IntoIterator<Item = (Ipv6Addr, ReplayFloor)>) -> usize {
        let mut left_out = 0;
        for (home_address, floor) in floors {
            if self.floors.len() < self.limit || self.floors.contains_key(&home_address) {
                self.put(home_address, floor, None);
            } else {
                left_out += 1;
            }
        }
        left_out
    }
}

/// RFC 6275 §9.5.1: `last` and the 32,768 numbers before it are not after it.
pub(crate) fn is_after(sequence: u16, last: u16) -> bool {
    (1..0x8000).contains(&sequence.wrapping_sub(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const NOBODY: fn(Ipv6Addr) -> bool = |_| false;
    const OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x11);

    #[test]
    fn who_repeats_what_was_heard_is_not_answered_each_time() {
        let mut guard = ReplayGuard::new(ReplayPolicy::Sequence, 2);
        let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
        assert!(guard.may_answer(at(0), HOME), "nothing is known of it");
        for home_address in [HOME, OTHER] {
            guard.admit(at(0), home_address, 7, None, NOBODY).unwrap();
        }
        let answered = (0..1000).filter(|&millis| guard.may_answer(at(millis), HOME)).count();
        assert_eq!(answered, 4);
        assert!(guard.may_answer(at(999), OTHER));
        // What is accepted in between changes nothing about it.
        guard.admit(at(999), HOME, 8, None, NOBODY).unwrap();
        assert!(!guard.may_answer(at(999), HOME));
        assert!(guard.may_answer(at(1000), HOME));
    }

    #[test]
    fn sequence_window_of_rfc_6275() {
        // The example of §9.5.1: the last was 15.
        for (sequence, after) in [(0, false), (15, false), (16, true), (32_782, true), (32_783, false), (65_535, false)]
        {
            assert_eq!(is_after(sequence, 15), after, "{sequence}");
        }
        assert!(is_after(0, 65_535));
    }

    #[test]
    fn sequence_policy_remembers() {
        let mut guard = ReplayGuard::new(ReplayPolicy::Sequence, 1);
        let now = Instant::ORIGIN;
        let all = |_| true;
        assert_eq!(guard.admit(now, HOME, 65_535, None, all), Ok(()));
        assert_eq!(guard.admit(now, HOME, 65_535, None, all), Err(ReplayError::Sequence { last: 65_535 }));
        assert_eq!(guard.admit(now, HOME, 0, None, all), Ok(()));
        assert_eq!(guard.admit(now, OTHER, 0, None, all), Err(ReplayError::TableFull));
        let floors: Vec<_> = guard.floors().collect();
        let mut restored = ReplayGuard::new(ReplayPolicy::Sequence, 1);
        assert_eq!(restored.restore(floors), 0);
        assert_eq!(restored.admit(now, HOME, 0, None, all), Err(ReplayError::Sequence { last: 0 }));
        assert_eq!(restored.restore([(OTHER, ReplayFloor { sequence: 1, message_id: None })]), 1);
    }

    fn home(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, n)
    }

    fn remembered(guard: &ReplayGuard) -> Vec<Ipv6Addr> {
        assert_eq!(guard.order.len(), guard.floors.len());
        guard.floors().map(|(home_address, _)| home_address).collect()
    }

    #[test]
    fn who_was_accepted_longest_ago_and_is_not_in_use_makes_room() {
        let mut guard = ReplayGuard::new(ReplayPolicy::Sequence, 3);
        let now = Instant::ORIGIN;
        for n in [1, 2, 3] {
            guard.admit(now, home(n), 10, None, NOBODY).unwrap();
        }
        // What is refused is no news; what is accepted is.
        assert!(guard.admit(now, home(2), 10, None, NOBODY).is_err());
        guard.admit(now, home(1), 11, None, NOBODY).unwrap();
        assert_eq!(remembered(&guard), [home(2), home(3), home(1)]);
        guard.note_changes();
        guard.admit(now, home(4), 10, None, |home_address| home_address == home(2)).unwrap();
        assert_eq!(remembered(&guard), [home(1), home(2), home(4)]);
        let floor = ReplayFloor { sequence: 10, message_id: None };
        assert_eq!(guard.take_changes(), [(home(3), None), (home(4), Some(floor))]);
        assert!(guard.admit(now, home(2), 10, None, NOBODY).is_err(), "still remembered");
        // An earlier run's order is that in which it is given.
        let mut restored = ReplayGuard::new(ReplayPolicy::Sequence, 3);
        assert_eq!(restored.restore(guard.floors()), 0);
        assert_eq!(restored.restore([(home(1), ReplayFloor { sequence: 12, message_id: None })]), 0);
        assert_eq!(remembered(&restored), [home(2), home(4), home(1)]);
        restored.admit(now, home(5), 1, None, NOBODY).unwrap();
        assert_eq!(remembered(&restored), [home(4), home(1), home(5)]);
    }

    #[test]
    fn few_are_looked_at_and_others_the_next_time() {
        let limit = 3 * MAX_LOOKS as u16;
        let mut guard = ReplayGuard::new(ReplayPolicy::Sequence, usize::from(limit));
        let now = Instant::ORIGIN;
        for n in 0..limit {
            guard.admit(now, home(n), 1, None, NOBODY).unwrap();
        }
        let looks = core::cell::Cell::new(0);
        let all_but_one = |home_address| {
            looks.set(looks.get() + 1);
            home_address != home(2 * MAX_LOOKS as u16 + 5)
        };
        for _ in 0..2 {
            assert_eq!(guard.admit(now, OTHER, 1, None, all_but_one), Err(ReplayError::TableFull));
            assert_eq!(looks.replace(0), MAX_LOOKS);
        }
        assert_eq!(guard.admit(now, OTHER, 1, None, all_but_one), Ok(()));
        assert_eq!((looks.get(), remembered(&guard).len()), (6, usize::from(limit)));
    }

    #[test]
    fn a_flood_leaves_room_for_who_is_new_and_remembers_who_is_bound() {
        let mut guard = ReplayGuard::new(ReplayPolicy::Sequence, 400);
        let now = Instant::ORIGIN;
        let is_bound = |home_address: Ipv6Addr| (home(0)..home(100)).contains(&home_address);
        for n in (0..100).chain(1000..20_000) {
            // Those that are bound and looked at first can cost one attempt or two.
            let attempts = (0..3).take_while(|_| guard.admit(now, home(n), 7, None, is_bound).is_err()).count();
            assert!(attempts < 3, "{n}");
        }
        assert_eq!(remembered(&guard).len(), 400);
        for n in 0..100 {
            assert!(guard.admit(now, home(n), 7, None, is_bound).is_err(), "{n}");
        }
    }

    #[test]
    fn timestamp_policy_of_rfc_4285() {
        let clock = WallClock { at: Instant::from_secs(100), reads: NtpTime(0xfedc_ba98 << 32) };
        let policy = ReplayPolicy::Timestamp { window: ReplayPolicy::DEFAULT_WINDOW, clock };
        let mut guard = ReplayGuard::new(policy, 1);
        let now = Instant::from_secs(110);
        let here = clock.read(now);
        assert_eq!(here.0 >> 32, 0xfedc_ba98 + 10);
        assert_eq!(clock.read(Instant::from_secs(90)).0 >> 32, 0xfedc_ba98 - 10);
        assert_eq!(guard.admit(now, HOME, 1, None, NOBODY), Err(ReplayError::MessageIdRequired));
        let late = here.0 - (8 << 32) + 5;
        let answer = here.0 >> 32 << 32 | late & 0xffff_ffff;
        assert_eq!(guard.admit(now, HOME, 1, Some(late), NOBODY), Err(ReplayError::MessageIdMismatch { answer }));
        let early = here.0 + (8 << 32);
        assert!(guard.admit(now, HOME, 1, Some(early), NOBODY).is_err());
        // The sequence number does not matter; the timestamp must grow.
        assert_eq!(guard.admit(now, HOME, 1, Some(here.0), NOBODY), Ok(()));
        assert!(guard.admit(now, HOME, 2, Some(here.0), NOBODY).is_err());
        assert_eq!(guard.admit(now, HOME, 1, Some(here.0 + 1), NOBODY), Ok(()));
        // One home address fits; another does once the first can be refused for its age.
        assert_eq!(guard.admit(now, OTHER, 1, Some(here.0), NOBODY), Err(ReplayError::TableFull));
        let later = Instant::from_secs(120);
        assert_eq!(guard.admit(later, OTHER, 1, Some(clock.read(later).0), NOBODY), Ok(()));
        guard.set_clock(WallClock { at: later, reads: NtpTime(0) });
        assert!(guard.admit(later, HOME, 9, Some(8 << 32), NOBODY).is_err());
        assert_eq!(guard.admit(later, HOME, 9, Some(1), NOBODY), Ok(()));
    }

    #[test]
    fn times_of_day() {
        assert_eq!(NtpTime::from_unix(Duration::ZERO).0 >> 32, 2_208_988_800);
        assert_eq!(NtpTime::from_unix(Duration::from_millis(500)).0 & 0xffff_ffff, 1 << 31);
        // 7 February 2036, 06:28:16 UTC: era 1 begins.
        let turn = Duration::from_secs((1 << 32) - 2_208_988_800);
        let (before, after) = (NtpTime::from_unix(turn - Duration::from_secs(1)), NtpTime::from_unix(turn));
        assert_eq!(after.0, 0);
        assert_eq!(before.distance(after), Duration::from_secs(1));
        assert!(after.is_after(before) && !before.is_after(after));
    }
}
