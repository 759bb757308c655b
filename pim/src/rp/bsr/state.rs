//! The state machines of a scope zone (RFC 5059 §3.1.1, §3.1.2), which are one table: the states of candidates and of other
//! routers are disjoint.
//!
//! ```text
//!                  | Receive Preferred | Receive Non-preferred      | Bootstrap Timer     | Scope-Zone Timer
//! NoInfo           | AP, Forward+Store | AP, Forward+Store          | -                   | -
//! AcceptAny        | AP, Forward+Store | AP, Forward+Store          | -                   | NoInfo, Remove zone
//! AcceptPreferred  | AP, Forward+Store | -                          | AA, Refresh, Forget | -
//! Candidate        | C, Forward+Store  | -; P, Forward where it is  | P                   | -
//!                  |                   | the elected one's own      |                     |
//! Pending          | C, Forward+Store  | P, Forward                 | E, Originate        | -
//! Elected          | C, Forward+Store  | E, Originate               | E, Originate        | -
//! ```

/// State of a router in a scope zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BsrState {
    /// Nothing is known of the zone.
    NoInfo,
    /// No bootstrap router is known; the first one is taken.
    AcceptAny,
    /// One is known, and only a better one is taken for it.
    AcceptPreferred,
    /// This router is a candidate, and another one is better.
    Candidate,
    /// This router is a candidate, and the best one as it seems.
    Pending,
    /// This router is the bootstrap router.
    Elected,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BsrEvent {
    ReceivePreferred,
    ReceiveNonPreferred,
    /// Of the elected bootstrap router, which says a priority now with which this candidate is better.
    ReceiveNonPreferredFromElected,
    BootstrapTimerExpires,
    ScopeZoneTimerExpires,
}

/// What is to be done beside the change of state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BsrAction {
    None,
    /// Forward BSM; store RP-Set; BST := BS_Timeout.
    ForwardAndStore,
    /// Forward BSM.
    Forward,
    /// Forward BSM; BST := BS_Rand_Override.
    ForwardAndOverride,
    /// BST := BS_Rand_Override.
    Override,
    /// Originate BSM; BST := BS_Period.
    Originate,
    /// Refresh RP-Set; remove BSR state; SZT := SZ_Timeout.
    RefreshAndForget,
    /// Remove scope zone state.
    RemoveZone,
}

/// The table.
pub(crate) fn transition(state: BsrState, event: BsrEvent) -> (BsrState, BsrAction) {
    use BsrAction as Action;
    use BsrEvent::{
        BootstrapTimerExpires, ReceiveNonPreferred, ReceiveNonPreferredFromElected, ReceivePreferred,
        ScopeZoneTimerExpires,
    };
    use BsrState::{AcceptAny, AcceptPreferred, Candidate, Elected, NoInfo, Pending};
    match (state, event) {
        (NoInfo | AcceptAny, ReceivePreferred | ReceiveNonPreferred | ReceiveNonPreferredFromElected)
        | (AcceptPreferred, ReceivePreferred) => (AcceptPreferred, Action::ForwardAndStore),
        (AcceptAny, ScopeZoneTimerExpires) => (NoInfo, Action::RemoveZone),
        (AcceptPreferred, BootstrapTimerExpires) => (AcceptAny, Action::RefreshAndForget),
        (Candidate | Pending | Elected, ReceivePreferred) => (Candidate, Action::ForwardAndStore),
        (Candidate, BootstrapTimerExpires) => (Pending, Action::Override),
        (Candidate, ReceiveNonPreferredFromElected) => (Pending, Action::ForwardAndOverride),
        (Pending, ReceiveNonPreferred | ReceiveNonPreferredFromElected) => (Pending, Action::Forward),
        (Pending | Elected, BootstrapTimerExpires)
        | (Elected, ReceiveNonPreferred | ReceiveNonPreferredFromElected) => (Elected, Action::Originate),
        (NoInfo, BootstrapTimerExpires | ScopeZoneTimerExpires)
        | (AcceptAny, BootstrapTimerExpires)
        | (AcceptPreferred, ReceiveNonPreferred | ReceiveNonPreferredFromElected | ScopeZoneTimerExpires)
        | (Candidate, ReceiveNonPreferred)
        | (Candidate | Pending | Elected, ScopeZoneTimerExpires) => (state, Action::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event() {
        use BsrAction as Action;
        use BsrState::{AcceptAny, AcceptPreferred, Candidate, Elected, NoInfo, Pending};
        const PREFERRED: BsrEvent = BsrEvent::ReceivePreferred;
        const NON_PREFERRED: BsrEvent = BsrEvent::ReceiveNonPreferred;
        const FROM_ELECTED: BsrEvent = BsrEvent::ReceiveNonPreferredFromElected;
        const BST: BsrEvent = BsrEvent::BootstrapTimerExpires;
        const SZT: BsrEvent = BsrEvent::ScopeZoneTimerExpires;
        for (state, event, next, action) in [
            (NoInfo, PREFERRED, AcceptPreferred, Action::ForwardAndStore),
            (NoInfo, NON_PREFERRED, AcceptPreferred, Action::ForwardAndStore),
            (NoInfo, FROM_ELECTED, AcceptPreferred, Action::ForwardAndStore),
            (NoInfo, BST, NoInfo, Action::None),
            (NoInfo, SZT, NoInfo, Action::None),
            (AcceptAny, PREFERRED, AcceptPreferred, Action::ForwardAndStore),
            (AcceptAny, NON_PREFERRED, AcceptPreferred, Action::ForwardAndStore),
            (AcceptAny, FROM_ELECTED, AcceptPreferred, Action::ForwardAndStore),
            (AcceptAny, BST, AcceptAny, Action::None),
            (AcceptAny, SZT, NoInfo, Action::RemoveZone),
            (AcceptPreferred, PREFERRED, AcceptPreferred, Action::ForwardAndStore),
            (AcceptPreferred, NON_PREFERRED, AcceptPreferred, Action::None),
            (AcceptPreferred, FROM_ELECTED, AcceptPreferred, Action::None),
            (AcceptPreferred, BST, AcceptAny, Action::RefreshAndForget),
            (AcceptPreferred, SZT, AcceptPreferred, Action::None),
            (Candidate, PREFERRED, Candidate, Action::ForwardAndStore),
            (Candidate, NON_PREFERRED, Candidate, Action::None),
            (Candidate, FROM_ELECTED, Pending, Action::ForwardAndOverride),
            (Candidate, BST, Pending, Action::Override),
            (Candidate, SZT, Candidate, Action::None),
            (Pending, PREFERRED, Candidate, Action::ForwardAndStore),
            (Pending, NON_PREFERRED, Pending, Action::Forward),
            (Pending, FROM_ELECTED, Pending, Action::Forward),
            (Pending, BST, Elected, Action::Originate),
            (Pending, SZT, Pending, Action::None),
            (Elected, PREFERRED, Candidate, Action::ForwardAndStore),
            (Elected, NON_PREFERRED, Elected, Action::Originate),
            (Elected, FROM_ELECTED, Elected, Action::Originate),
            (Elected, BST, Elected, Action::Originate),
            (Elected, SZT, Elected, Action::None),
        ] {
            assert_eq!(transition(state, event), (next, action), "{state:?} {event:?}");
        }
    }
}
