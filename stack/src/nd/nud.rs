//! The reachability state of a neighbour: the transition table of RFC 4861 appendix C as pure functions.
//!
//! Where the appendix and §7.2.5 differ, §7.2.5 holds: a solicited advertisement without a link-layer address confirms
//! reachability (appendix C: unchanged), and one that neither overrides nor agrees makes REACHABLE into STALE whether it
//! was solicited or not (appendix C: only solicited), as §7.2.6 expects.

/// Reachability of a neighbour (RFC 4861 §7.3.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Its link-layer address is being asked for.
    Incomplete,
    /// It answered lately.
    Reachable,
    /// Its link-layer address is known; whether it is there is not.
    Stale,
    /// A packet was sent to it while STALE; its answer is waited for.
    Delay,
    /// It is being asked whether it is there.
    Probe,
}

/// The link-layer address in a received message, compared to the cached one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// None was told.
    Nothing,
    /// The cached one.
    Same,
    /// Another than the cached one, or one where none is cached.
    Different,
}

/// What a received message does to an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The new state.
    pub next: State,
    /// Whether the told link-layer address is recorded.
    pub record: bool,
    /// Whether the router flag of an advertisement is recorded.
    pub router_flag: bool,
}

/// A Neighbor Advertisement for an entry in `state` (RFC 4861 §7.2.5).
pub const fn advertisement(state: State, solicited: bool, override_cached: bool, told: Told) -> Step {
    let unchanged = Step { next: state, record: false, router_flag: false };
    match (state, told) {
        (State::Incomplete, Told::Nothing) => Step { router_flag: true, ..unchanged },
        (State::Incomplete, _) => {
            Step { next: if solicited { State::Reachable } else { State::Stale }, record: true, router_flag: true }
        }
        (State::Reachable, Told::Different) if !override_cached => Step { next: State::Stale, ..unchanged },
        (_, Told::Different) if !override_cached => unchanged,
        (_, told) => Step {
            next: if solicited {
                State::Reachable
            } else if matches!(told, Told::Different) {
                State::Stale
            } else {
                state
            },
            record: matches!(told, Told::Different),
            router_flag: true,
        },
    }
}

/// A solicitation, a Router Advertisement or a Redirect that tells a link-layer address (RFC 4861 §7.2.3, §6.2.6, §6.3.4,
/// §8.3); `None` is an entry that does not exist yet. Answers the state and whether the address is recorded.
pub const fn unsolicited(state: Option<State>, told: Told) -> Option<(State, bool)> {
    match (state, told) {
        (state, Told::Nothing) => match state {
            Some(state) => Some((state, false)),
            None => None,
        },
        (None | Some(State::Incomplete), _) | (Some(_), Told::Different) => Some((State::Stale, true)),
        (Some(state), Told::Same) => Some((state, false)),
    }
}

/// The upper layer knows that packets reach the neighbour (RFC 4861 §7.3.1).
pub const fn confirmation(state: State) -> State {
    match state {
        State::Incomplete => State::Incomplete,
        _ => State::Reachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::*;
    use Told::*;

    const COMPLETE: [State; 4] = [Reachable, Stale, Delay, Probe];

    fn step(next: State, record: bool, router_flag: bool) -> Step {
        Step { next, record, router_flag }
    }

    /// Appendix C, first table, the rows with an advertisement, in its order.
    #[test]
    fn advertisements() {
        for over in [false, true] {
            // INCOMPLETE, Solicited=0 and 1, Override=any.
            assert_eq!(advertisement(Incomplete, false, over, Different), step(Stale, true, true));
            assert_eq!(advertisement(Incomplete, true, over, Different), step(Reachable, true, true));
            for solicited in [false, true] {
                // INCOMPLETE, no link-layer address: only the router flag.
                assert_eq!(advertisement(Incomplete, solicited, over, Nothing), step(Incomplete, false, true));
            }
        }
        for state in COMPLETE {
            // Solicited=1, Override=0, same address.
            assert_eq!(advertisement(state, true, false, Same), step(Reachable, false, true));
            for over in [false, true] {
                // No link-layer address: §7.2.5 II.
                assert_eq!(advertisement(state, false, over, Nothing), step(state, false, true));
                assert_eq!(advertisement(state, true, over, Nothing), step(Reachable, false, true));
            }
            // Solicited=1, Override=1.
            assert_eq!(advertisement(state, true, true, Same), step(Reachable, false, true));
            assert_eq!(advertisement(state, true, true, Different), step(Reachable, true, true));
            // Solicited=0, Override=0, same address.
            assert_eq!(advertisement(state, false, false, Same), step(state, false, true));
            // Solicited=0, Override=1.
            assert_eq!(advertisement(state, false, true, Same), step(state, false, true));
            assert_eq!(advertisement(state, false, true, Different), step(Stale, true, true));
        }
        for solicited in [false, true] {
            // Override=0, different address: REACHABLE to STALE, the others as they are; §7.2.5 I.
            assert_eq!(advertisement(Reachable, solicited, false, Different), step(Stale, false, false));
            for state in [Stale, Delay, Probe] {
                assert_eq!(advertisement(state, solicited, false, Different), step(state, false, false));
            }
        }
    }

    /// Appendix C, second table.
    #[test]
    fn other_messages() {
        assert_eq!(unsolicited(None, Nothing), None);
        assert_eq!(unsolicited(None, Different), Some((Stale, true)));
        assert_eq!(unsolicited(Some(Incomplete), Different), Some((Stale, true)));
        assert_eq!(unsolicited(Some(Incomplete), Nothing), Some((Incomplete, false)));
        for state in COMPLETE {
            assert_eq!(unsolicited(Some(state), Different), Some((Stale, true)));
            assert_eq!(unsolicited(Some(state), Same), Some((state, false)));
            assert_eq!(unsolicited(Some(state), Nothing), Some((state, false)));
            assert_eq!(confirmation(state), Reachable);
        }
        assert_eq!(confirmation(Incomplete), Incomplete);
    }
}
