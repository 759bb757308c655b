//! What one access router asks of another, until it is acknowledged (RFC 5568 §6.2.1.1).
//!
//! ```text
//!          | ask               | timer expires, less than     | timer expires,  | acknowledged
//!          |                   | HI_RETRIES times sent again  | else            |
//! idle     | waits, Send HI    | -                            | -               | -
//! waits    | -                 | waits, Send HI, timer twice  | idle, give up   | idle
//! ```
//!
//! Every sending has a timestamp of its own: a message that arrives and whose answer is lost is acted upon again, which
//! changes nothing the second time, so that nobody has to remember what was answered.

use core::net::Ipv6Addr;
use stack::tables::MrouteKey;
use stack::time::Duration;

/// HI_RETRIES (RFC 5568 §9).
pub const HI_RETRIES: u32 = 3;
/// The first timeout of a request whose round trip time is not known (RFC 5568 §6.2.1.1).
pub const INITIAL_TIMEOUT: Duration = Duration::from_millis(100);

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Purpose {
    /// Ask the listeners whether they are still there: one has come here.
    Gone,
    /// Join for one that is about to come.
    PreJoin,
}

/// A request that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) peer: Ipv6Addr,
    pub(super) purpose: Purpose,
    /// The sources and groups; the unspecified source is all.
    pub(super) keys: Vec<MrouteKey>,
    /// How often it was sent.
    sent: u32,
    /// The timestamps of the first and of the last sending.
    first_id: u64,
    last_id: u64,
}

impl Request {
    pub(super) const fn new(peer: Ipv6Addr, purpose: Purpose, keys: Vec<MrouteKey>) -> Self {
        Request { peer, purpose, keys, sent: 0, first_id: 0, last_id: 0 }
    }

    /// Whether it may be sent once more.
    pub(super) const fn may_send(&self) -> bool {
        self.sent <= HI_RETRIES
    }

    /// Notes that it is sent with this timestamp; answers how long its acknowledgement is waited for.
    pub(super) fn send(&mut self, message_id: u64) -> Duration {
        if self.sent == 0 {
            self.first_id = message_id;
        }
        self.last_id = message_id;
        self.sent += 1;
        INITIAL_TIMEOUT * 2u32.pow(self.sent - 1)
    }

    /// Whether an acknowledgement of `peer` with this timestamp is one of a sending of this request.
    pub(super) fn is_answered_by(&self, peer: Ipv6Addr, message_id: Option<u64>) -> bool {
        self.peer == peer && message_id.is_some_and(|id| (self.first_id..=self.last_id).contains(&id))
    }
}
