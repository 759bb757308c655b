use crate::time::{Duration, Instant};

/// What a worker does while nothing happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PollMode {
    /// It spins.
    Busy,
    /// It spins briefly, then sleeps until a frame, a timer or a command.
    #[default]
    Adaptive,
}

/// How long an adaptive worker spins after something happened: about what a sleep and its end cost.
const SPIN: Duration = Duration::from_micros(20);
/// The longest sleep of a worker that has a port on which it cannot wait, or frames that a port did not take.
pub(super) const SHORT_SLEEP: Duration = Duration::from_millis(1);

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Another turn at once.
    Turn,
    /// Sleep, for so long at the most.
    Sleep(Option<Duration>),
}

#[derive(Debug)]
pub(super) struct Idle {
    mode: PollMode,
    /// When the turns became idle.
    since: Option<Instant>,
}

impl Idle {
    pub(super) fn new(mode: PollMode) -> Self {
        Idle { mode, since: None }
    }

    /// After a turn that began at `now`: `idle` says that nothing happened in it, `until` when there is something to do
    /// though nothing comes in, `restless` that a sleep must be short.
    pub(super) fn next(&mut self, now: Instant, idle: bool, until: Option<Instant>, restless: bool) -> Next {
        if self.mode == PollMode::Busy || !idle {
            self.since = None;
            return Next::Turn;
        }
        let since = *self.since.get_or_insert(now);
        if now.since(since) < SPIN || until.is_some_and(|until| until <= now) {
            return Next::Turn;
        }
        let time = until.map(|until| until.since(now));
        if restless {
            Next::Sleep(Some(time.map_or(SHORT_SLEEP, |time| time.min(SHORT_SLEEP))))
        } else {
            Next::Sleep(time)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_millis(1);

    #[test]
    fn a_busy_worker_never_sleeps() {
        let mut idle = Idle::new(PollMode::Busy);
        for millis in 1..100 {
            assert_eq!(idle.next(Instant::from_millis(millis), true, None, false), Next::Turn);
        }
    }

    #[test]
    fn an_adaptive_worker_spins_then_sleeps_until_there_is_something_to_do() {
        let mut idle = Idle::new(PollMode::Adaptive);
        let later = START + SPIN;
        assert_eq!(idle.next(START, true, None, false), Next::Turn);
        assert_eq!(idle.next(later, true, None, false), Next::Sleep(None));
        let until = Some(later + Duration::from_secs(1));
        assert_eq!(idle.next(later, true, until, false), Next::Sleep(Some(Duration::from_secs(1))));
        assert_eq!(idle.next(later, true, until, true), Next::Sleep(Some(SHORT_SLEEP)));
        assert_eq!(idle.next(later, true, None, true), Next::Sleep(Some(SHORT_SLEEP)));
        assert_eq!(idle.next(later, true, Some(later), false), Next::Turn);
        assert_eq!(idle.next(later, false, None, false), Next::Turn);
        assert_eq!(idle.next(later, true, None, false), Next::Turn);
        assert_eq!(idle.next(later + SPIN, true, None, false), Next::Sleep(None));
    }
}
