//! The back-off of one message (RFC 6275 §11.8): what is sent, answered in time or sent again.

use stack::time::{Duration, Instant};

/// Time to wait for the first answer (RFC 6275 §12).
const INITIAL_BINDACK_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest time to wait for an answer (RFC 6275 §12).
pub(super) const MAX_BINDACK_TIMEOUT: Duration = Duration::from_secs(32);
/// How often nobody answers before the tunnel through the home agent has to do (RFC 6275 §5.2.9, §12).
pub(super) const MAX_RO_FAILURE: u8 = 3;

/// What is next for a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// It asks for its turn at the correspondent.
    Queue(Instant),
    /// It is sent: this is its turn.
    Send(Instant),
}

/// One message and its repetitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retransmission {
    sent: u8,
    next: Next,
}

/// What to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// Send it.
    Send,
    /// Nothing before then.
    Wait(Instant),
    /// Nobody answers.
    Unanswered,
}

impl Retransmission {
    /// To be sent for the first time.
    pub(super) const fn new(now: Instant) -> Self {
        Retransmission { sent: 0, next: Next::Queue(now) }
    }

    /// What to do now; `turn` tells when the correspondent may be sent this message.
    pub(super) fn poll(&mut self, now: Instant, turn: impl FnOnce() -> Instant) -> Due {
        if let Next::Queue(at) = self.next {
            if now < at {
                return Due::Wait(at);
            }
            if self.sent == MAX_RO_FAILURE {
                return Due::Unanswered;
            }
            self.next = Next::Send(turn());
        }
        match self.next {
            Next::Send(at) if at <= now => {
                let timeout = INITIAL_BINDACK_TIMEOUT * (1 << self.sent.min(5));
                self.sent += 1;
                self.next = Next::Queue(now + timeout.min(MAX_BINDACK_TIMEOUT));
                Due::Send
            }
            Next::Send(at) | Next::Queue(at) => Due::Wait(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_second_doubled_until_nobody_answers() {
        let mut message = Retransmission::new(Instant::ORIGIN);
        let mut seen = Vec::new();
        let mut now = Instant::ORIGIN;
        loop {
            match message.poll(now, || now) {
                Due::Send => seen.push(now.as_millis()),
                Due::Wait(at) => now = at,
                Due::Unanswered => break,
            }
        }
        assert_eq!(seen, [0, 1000, 3000]);
        assert_eq!(now, Instant::from_secs(7));
    }

    #[test]
    fn waits_for_its_turn() {
        let mut message = Retransmission::new(Instant::ORIGIN);
        let turn = Instant::from_millis(300);
        assert_eq!(message.poll(Instant::ORIGIN, || turn), Due::Wait(turn));
        // The turn is asked for once.
        assert_eq!(message.poll(Instant::ORIGIN, || unreachable!()), Due::Wait(turn));
        assert_eq!(message.poll(turn, || unreachable!()), Due::Send);
        assert_eq!(message.poll(turn, || unreachable!()), Due::Wait(Instant::from_millis(1300)));
    }
}
