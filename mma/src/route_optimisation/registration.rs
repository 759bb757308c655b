//! What is known of one correspondent of one home address: an entry of the Binding Update List (RFC 6275 §11.1).
//!
//! ```text
//!             a packet through the home agent        both tokens there
//!   (none) ────────────────────────────────► Testing ───────────────► Updating
//!                                              ▲  ▲                    │   │ accepted
//!           near its end, and packets come ────┘  └────────────────────┘   ▼
//!           to the care-of address; lost           nonces expired        Resting ───► (none)
//! ```
//! With a preconfigured key there is nothing to test (RFC 4449). Nobody answers, or somebody refuses: the entry goes,
//! and is remembered for having failed. While a binding is refreshed it goes on being used.

use super::retransmission::Retransmission;
use super::test::Test;
use crate::return_routability::BindingManagementKey;
use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};
use stack::wire::mobility::Lifetime;

/// A binding is refreshed so long before its end, or a quarter of its lifetime before.
const REFRESH_MARGIN: Duration = Duration::from_secs(60);
/// Packets to the care-of address are told of from time to time; no older news keeps a binding alive.
const FLOW_WINDOW: Duration = Duration::from_secs(90);
/// Packets through the home agent right after a registration were under way; later ones say that the binding is lost.
const IN_FLIGHT: Duration = Duration::from_secs(10);
/// So long after a packet on the optimised way it is known that the binding is there.
const PROGRESS: Duration = Duration::from_secs(3);
/// How often a lost binding doubles [`IN_FLIGHT`].
const MAX_LOSSES: u8 = 6;
/// How often a correspondent may correct an initiator (status 135 to 138) before it is left alone. One that has deleted
/// a binding may be without a nonce that it takes for a second.
const MAX_CORRECTIONS: u8 = 6;

/// A home address and a correspondent.
pub(super) type Pair = (Ipv6Addr, Ipv6Addr);

/// The entry.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) goal: Goal,
    pub(super) phase: Phase,
    pub(super) home: Test,
    pub(super) care_of: Test,
    /// That of the last Binding Update; before the first, random or the last one with a preconfigured key.
    pub(super) sequence: u16,
    /// What the correspondent has, as far as is known.
    pub(super) bound: Option<Bound>,
    /// When a packet was last seen on the optimised way.
    seen_at: Instant,
    corrections: u8,
    losses: u8,
}

/// What the next Binding Update asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Goal {
    /// A binding to the care-of address.
    Bind,
    /// None any more.
    Delete,
}

/// What is under way.
#[derive(Debug)]
pub(super) enum Phase {
    /// Tokens are asked for.
    Testing,
    /// A Binding Update waits for its acknowledgement.
    Updating(Update),
    /// Nothing.
    Resting,
}

/// A Binding Update and its repetitions.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) key: BindingManagementKey,
    /// Source of the packet.
    pub(super) source: Ipv6Addr,
    /// The care-of address of the authenticator: the home address in an update that deletes.
    pub(super) care_of: Ipv6Addr,
    /// Indices of the nonces; none with a preconfigured key.
    pub(super) nonces: Option<(u16, u16)>,
    pub(super) lifetime: Lifetime,
    /// Sequence number and time of the first transmission.
    pub(super) first: Option<(u16, Instant)>,
    pub(super) retransmission: Retransmission,
}

/// A binding that the correspondent has accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) care_of: Ipv6Addr,
    pub(super) since: Instant,
    pub(super) refresh_at: Instant,
    pub(super) expires_at: Instant,
    /// Somebody says that it is not there. Until a packet shows otherwise nothing is sent by it, and when none has come by
    /// this time, it is made again.
    pub(super) doubt: Option<Instant>,
}

impl Registration {
    pub(super) const fn new(sequence: u16) -> Self {
        Registration {
            goal: Goal::Bind,
            phase: Phase::Testing,
            home: Test::Idle,
            care_of: Test::Idle,
            sequence,
            bound: None,
            seen_at: Instant::ORIGIN,
            corrections: 0,
            losses: 0,
        }
    }

    /// Starts over, with the tokens that are there.
    pub(super) fn begin(&mut self, goal: Goal) {
        self.goal = goal;
        self.phase = Phase::Testing;
        for test in [&mut self.home, &mut self.care_of] {
            if !matches!(test, Test::Answered(_)) {
                *test = Test::Idle;
            }
        }
    }

    /// A packet came on the optimised way. Returns the care-of address of a binding that was in doubt until now.
    pub(super) fn note_seen(&mut self, now: Instant) -> Option<Ipv6Addr> {
        self.seen_at = now;
        self.losses = 0;
        let bound = self.bound.as_mut()?;
        bound.doubt.take().map(|_| bound.care_of)
    }

    /// Somebody says that the binding is not there, though it seems to be. Returns whether nobody had said so before.
    pub(super) fn doubt(&mut self, now: Instant) -> bool {
        let Some(bound) = self.bound.as_mut().filter(|bound| bound.doubt.is_none()) else { return false };
        bound.doubt = Some(now + PROGRESS);
        true
    }

    /// Whether packets still come on the optimised way.
    pub(super) fn is_flowing(&self, now: Instant) -> bool {
        self.seen_at != Instant::ORIGIN && now.since(self.seen_at) <= FLOW_WINDOW
    }

    /// Whether a packet that comes through the home agent now says that the correspondent has lost the binding. Asked
    /// again and again, it takes longer and longer to believe it.
    pub(super) fn is_lost(&mut self, now: Instant) -> bool {
        let Some(bound) = &self.bound else { return false };
        let lost = now.since(bound.since) >= IN_FLIGHT * (1 << self.losses);
        if lost {
            self.losses = (self.losses + 1).min(MAX_LOSSES);
        }
        lost
    }

    /// Whether an acknowledgement is so recent that nothing a stranger may say makes a new registration worth while.
    pub(super) fn is_recent(&self, now: Instant) -> bool {
        self.bound.is_some_and(|bound| now.since(bound.since) < IN_FLIGHT)
    }

    /// Whether a packet on the optimised way, or an acknowledgement, has just shown that the binding is there.
    pub(super) fn is_progressing(&self, now: Instant) -> bool {
        self.bound.is_some_and(|bound| now.since(bound.since) <= PROGRESS)
            || self.seen_at != Instant::ORIGIN && now.since(self.seen_at) <= PROGRESS
    }

    /// Counts a correction; whether it may be followed.
    pub(super) const fn correct(&mut self) -> bool {
        self.corrections += 1;
        self.corrections <= MAX_CORRECTIONS
    }

    /// The correspondent has accepted `lifetime` of an update that was sent first at `sent_at`. Returns whether the
    /// binding is one that was not in use.
    pub(super) fn accept(&mut self, now: Instant, care_of: Ipv6Addr, sent_at: Instant, lifetime: Duration) -> bool {
        let expires_at = sent_at + lifetime;
        let refresh_at = sent_at + (lifetime - (lifetime / 4).min(REFRESH_MARGIN));
        let before = self.bound.replace(Bound { care_of, since: now, refresh_at, expires_at, doubt: None });
        self.phase = Phase::Resting;
        self.corrections = 0;
        before.is_none_or(|before| before.care_of != care_of || before.doubt.is_some())
    }

    /// There is no binding any more. Returns whether one was in use.
    pub(super) fn unbind(&mut self) -> bool {
        self.bound.take().is_some_and(|bound| bound.doubt.is_none())
    }
}
