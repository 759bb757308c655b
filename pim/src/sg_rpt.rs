//! The (S,G,rpt) machines: sources that are pruned off the shared tree.
//!
//! Downstream, of one interface (RFC 7761 §4.5.3): which sources of (*,G) no router on the link wants from us. A prune
//! stands in the same message as the Join(*,G) that would cancel it, so that there are two states that last for a message.
//!
//! ```text
//!           | Join(*,G) | Join(S,G,rpt) | Prune(S,G,rpt)        | End of message | PPT expires | ET expires
//! NoInfo    | -         | -             | PP, start PPT and ET  | -              | -           | -
//! Prune     | P'        | NoInfo        | P, restart ET         | -              | -           | NoInfo
//! PrunePend.| PP'       | NoInfo        | -                     | -              | P           | -
//! PruneTmp  | -         | -             | P, restart ET         | NoInfo         | -           | -
//! PP-Tmp    | -         | -             | PP, restart ET        | NoInfo         | -           | -
//! ```
//!
//! Upstream (§4.5.7): what we say about it to RPF'(S,G,rpt), at once or to override another router on the link.
//!
//! ```text
//!              | PruneDesired->True | PruneDesired->False | RPTJoinDesired->False | olist becomes non-NULL
//! RPTNotJoined | P                  | -                   | -                     | NP
//! Pruned       | -                  | NP, Send Join       | NJ                    | -
//! NotPruned    | P, Send Prune,     | -                   | NJ, cancel OT         | -
//!              | cancel OT          |                     |                       |
//!
//! in NotPruned | OT expires | See Prune(S,G,rpt)   | See Join(S,G,rpt) | See Prune(S,G)       | RPF'(S,G,rpt) -> RPF'(*,G)
//!              | Send Join  | lower OT to t_override | cancel OT         | lower OT to t_override | lower OT to t_override
//! ```

use crate::expiry_timer::expires;
use crate::instance::{Router, TimerKey};
use crate::join_prune_builder::Request;
use crate::olist::union;
use stack::machine::PortId;
use stack::tables::{MrouteKey, PortSet};
use stack::time::{Duration, Instant};

/// State of an interface for one (S,G,rpt).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RptDownstreamState {
    /// The source goes by (*,G).
    NoInfo,
    /// It does not.
    Prune,
    /// It still does: others on the link may override the prune.
    PrunePending,
    /// Prune, behind a Join(*,G) of the message that is being read.
    PruneTmp,
    /// PrunePending, likewise.
    PrunePendingTmp,
}

/// What can happen downstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RptDownstreamEvent {
    ReceiveJoinAny,
    ReceiveJoin,
    ReceivePrune { holdtime: u16 },
    EndOfMessage,
    PrunePendingTimerExpires,
    ExpiryTimerExpires,
}

/// What is to be done beside the change of state downstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RptDownstreamAction {
    None,
    StartTimers,
    RestartExpiryTimer,
    /// Timers are cancelled.
    Stop,
}

/// The table of the downstream machine.
pub(crate) fn downstream_transition(
    state: RptDownstreamState,
    event: RptDownstreamEvent,
) -> (RptDownstreamState, RptDownstreamAction) {
    use RptDownstreamAction as Action;
    use RptDownstreamEvent as Event;
    use RptDownstreamState::{NoInfo, Prune, PrunePending, PrunePendingTmp, PruneTmp};
    match (state, event) {
        (NoInfo, Event::ReceivePrune { .. }) => (PrunePending, Action::StartTimers),
        (Prune, Event::ReceiveJoinAny) => (PruneTmp, Action::None),
        (PrunePending, Event::ReceiveJoinAny) => (PrunePendingTmp, Action::None),
        (Prune | PrunePending, Event::ReceiveJoin) => (NoInfo, Action::Stop),
        (Prune | PruneTmp, Event::ReceivePrune { .. }) => (Prune, Action::RestartExpiryTimer),
        (PrunePendingTmp, Event::ReceivePrune { .. }) => (PrunePending, Action::RestartExpiryTimer),
        (PruneTmp | PrunePendingTmp, Event::EndOfMessage) => (NoInfo, Action::Stop),
        (PrunePending, Event::PrunePendingTimerExpires) => (Prune, Action::None),
        (Prune, Event::ExpiryTimerExpires) => (NoInfo, Action::Stop),
        (NoInfo | Prune | PrunePending | PruneTmp | PrunePendingTmp, _) => (state, Action::None),
    }
}

/// The interfaces of one (S,G,rpt) by state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RptDownstream {
    /// Prune or PruneTmp.
    pruned: PortSet,
    /// PrunePending or PrunePendingTmp.
    prune_pending: PortSet,
    /// PruneTmp or PrunePendingTmp.
    temporary: PortSet,
}

impl RptDownstream {
    /// Interfaces in state Prune or PruneTmp.
    pub(crate) fn prunes(&self) -> PortSet {
        self.pruned
    }

    /// Interfaces in any state but NoInfo.
    pub(crate) fn known(&self) -> PortSet {
        union(self.pruned, self.prune_pending)
    }

    pub(crate) fn state(&self, port: PortId) -> RptDownstreamState {
        let temporary = self.temporary.contains(port);
        match (self.pruned.contains(port), self.prune_pending.contains(port)) {
            (true, _) if temporary => RptDownstreamState::PruneTmp,
            (true, _) => RptDownstreamState::Prune,
            (_, true) if temporary => RptDownstreamState::PrunePendingTmp,
            (_, true) => RptDownstreamState::PrunePending,
            _ => RptDownstreamState::NoInfo,
        }
    }

    pub(crate) fn set(&mut self, port: PortId, state: RptDownstreamState) {
        use RptDownstreamState::{NoInfo, Prune, PrunePending, PrunePendingTmp, PruneTmp};
        self.pruned.remove(port);
        self.prune_pending.remove(port);
        self.temporary.remove(port);
        match state {
            NoInfo => {}
            Prune | PruneTmp => {
                self.pruned.insert(port);
            }
            PrunePending | PrunePendingTmp => {
                self.prune_pending.insert(port);
            }
        }
        if matches!(state, PruneTmp | PrunePendingTmp) {
            self.temporary.insert(port);
        }
    }
}

/// Upstream state of one (S,G,rpt).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RptUpstreamState {
    /// RPTNotJoined(G): the shared tree is not joined.
    #[default]
    NotJoined,
    /// Pruned(S,G,rpt): the shared tree is joined, without the source.
    Pruned,
    /// NotPruned(S,G,rpt): the shared tree is joined, with the source.
    NotPruned,
}

/// What can happen upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RptUpstreamEvent {
    PruneDesired,
    PruneNotDesired,
    /// RPTJoinDesired(G) -> FALSE
    JoinNotDesired,
    /// inherited_olist(S,G,rpt) -> non-NULL
    OlistNotEmpty,
    OverrideTimerExpires,
    /// Another router sent a Prune(S,G,rpt), or a Prune(S,G), to RPF'(S,G,rpt).
    SeePrune,
    /// Another router sent a Join(S,G,rpt) to RPF'(S,G,rpt).
    SeeJoin,
    /// RPF'(S,G,rpt) became RPF'(*,G).
    NeighborBecomesShared,
}

/// What is to be done beside the change of state upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RptUpstreamAction {
    None,
    /// Send Join(S,G,rpt) to RPF'(S,G,rpt).
    SendJoin,
    /// Send Join(S,G,rpt) where RPF'(S,G,rpt) is RPF'(*,G).
    SendOverridingJoin,
    /// Send Prune(S,G,rpt) to RPF'(S,G,rpt); cancel OT.
    SendPrune,
    CancelOverrideTimer,
    /// OT := min(OT, t_override).
    LowerOverrideTimer,
}

/// The table of the upstream machine.
pub(crate) fn upstream_transition(
    state: RptUpstreamState,
    event: RptUpstreamEvent,
) -> (RptUpstreamState, RptUpstreamAction) {
    use RptUpstreamAction as Action;
    use RptUpstreamEvent as Event;
    use RptUpstreamState::{NotJoined, NotPruned, Pruned};
    match (state, event) {
        (NotJoined, Event::PruneDesired) => (Pruned, Action::None),
        (NotJoined, Event::OlistNotEmpty) => (NotPruned, Action::None),
        (Pruned, Event::PruneNotDesired) => (NotPruned, Action::SendJoin),
        (Pruned, Event::JoinNotDesired) => (NotJoined, Action::None),
        (NotPruned, Event::PruneDesired) => (Pruned, Action::SendPrune),
        (NotPruned, Event::JoinNotDesired) => (NotJoined, Action::CancelOverrideTimer),
        (NotPruned, Event::OverrideTimerExpires) => (NotPruned, Action::SendOverridingJoin),
        (NotPruned, Event::SeePrune | Event::NeighborBecomesShared) => (NotPruned, Action::LowerOverrideTimer),
        (NotPruned, Event::SeeJoin) => (NotPruned, Action::CancelOverrideTimer),
        (NotJoined | Pruned | NotPruned, _) => (state, Action::None),
    }
}

impl Router {
    /// Runs the downstream machine of one (S,G,rpt) on one interface. A prune makes the entry where there is none.
    pub(crate) fn rpt_downstream_event(
        &mut self,
        now: Instant,
        key: MrouteKey,
        port: PortId,
        event: RptDownstreamEvent,
    ) {
        if self.step_rpt_downstream(now, key, port, event) {
            self.settle(now, key);
        }
    }

    /// The same, without what follows from it for other machines; whether anything changed.
    pub(crate) fn step_rpt_downstream(
        &mut self,
        now: Instant,
        key: MrouteKey,
        port: PortId,
        event: RptDownstreamEvent,
    ) -> bool {
        if matches!(event, RptDownstreamEvent::ReceivePrune { .. }) && !self.ensure_entry(key) {
            return false;
        }
        let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut()) else { return false };
        let before = shared.rpt;
        let (next, action) = downstream_transition(shared.rpt.state(port), event);
        shared.rpt.set(port, next);
        let changed = shared.rpt != before;
        let (expiry, prune_pending) = (TimerKey::RptExpiry(key, port), TimerKey::RptPrunePending(key, port));
        let restart = |router: &mut Router| {
            if let RptDownstreamEvent::ReceivePrune { holdtime } = event {
                let deadline = expires(now, holdtime);
                if router.timers.deadline(expiry).is_none_or(|current| current < deadline) {
                    router.timers.set(expiry, deadline);
                }
            }
        };
        match action {
            RptDownstreamAction::None => {
                // A prune that ran out before it took effect.
                if event == RptDownstreamEvent::PrunePendingTimerExpires
                    && next == RptDownstreamState::Prune
                    && !self.timers.is_running(expiry)
                    && let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut())
                {
                    shared.rpt.set(port, RptDownstreamState::NoInfo);
                }
            }
            RptDownstreamAction::StartTimers => {
                restart(self);
                let Some(interface) = self.interfaces.get(&port) else { return changed };
                if interface.has_single_neighbor() {
                    self.step_rpt_downstream(now, key, port, RptDownstreamEvent::PrunePendingTimerExpires);
                } else {
                    self.timers.set(prune_pending, now + interface.join_prune_override_interval());
                }
            }
            RptDownstreamAction::RestartExpiryTimer => restart(self),
            RptDownstreamAction::Stop => {
                self.timers.cancel(expiry);
                self.timers.cancel(prune_pending);
            }
        }
        changed
    }

    /// Runs the upstream machine of one (S,G,rpt).
    pub(crate) fn rpt_upstream_event(&mut self, now: Instant, key: MrouteKey, event: RptUpstreamEvent) {
        let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut()) else { return };
        let (next, action) = upstream_transition(shared.rpt_upstream, event);
        shared.rpt_upstream = next;
        let timer = TimerKey::RptOverride(key);
        let trees = self.trees(key);
        let neighbor = trees.rpf_neighbor_sg_rpt();
        match action {
            RptUpstreamAction::None => {}
            RptUpstreamAction::SendJoin => {
                if let Some(neighbor) = neighbor {
                    self.requests.add_rpt(neighbor, key, Request::Join);
                }
            }
            RptUpstreamAction::SendOverridingJoin => {
                if let Some(neighbor) = neighbor.filter(|_| neighbor == trees.rpf_neighbor_any()) {
                    self.requests.add_rpt(neighbor, key, Request::Join);
                }
            }
            RptUpstreamAction::SendPrune => {
                self.timers.cancel(timer);
                if let Some(neighbor) = neighbor {
                    self.requests.add_rpt(neighbor, key, Request::Prune);
                }
            }
            RptUpstreamAction::CancelOverrideTimer => {
                self.timers.cancel(timer);
            }
            RptUpstreamAction::LowerOverrideTimer => {
                let Some(interface) = neighbor.and_then(|neighbor| self.interfaces.get(&neighbor.port)) else { return };
                let at = now + self.rng.duration(Duration::ZERO..interface.effective_override_interval());
                self.timers.set_no_later(timer, at);
            }
        }
    }

    /// What the predicates now say to the upstream machine of an (S,G,rpt).
    pub(crate) fn settle_rpt(&mut self, now: Instant, key: MrouteKey) {
        let Some(shared) = self.tib.get(key).and_then(|entry| entry.shared.as_ref()) else { return };
        let differed = shared.rpt_neighbor_differs;
        let trees = self.trees(key);
        let events = match (trees.join_desired_any(), trees.prune_desired_sg_rpt()) {
            (false, _) => [Some(RptUpstreamEvent::JoinNotDesired), None],
            (true, true) => [Some(RptUpstreamEvent::PruneDesired), None],
            (true, false) => [Some(RptUpstreamEvent::PruneNotDesired), Some(RptUpstreamEvent::OlistNotEmpty)],
        };
        let differs = trees.rpf_neighbor_sg_rpt() != trees.rpf_neighbor_any();
        for event in events.into_iter().flatten() {
            self.rpt_upstream_event(now, key, event);
        }
        if let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut()) {
            shared.rpt_neighbor_differs = differs;
        }
        if differed && !differs {
            self.rpt_upstream_event(now, key, RptUpstreamEvent::NeighborBecomesShared);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_downstream_state_and_event() {
        use RptDownstreamAction::{None, RestartExpiryTimer, StartTimers, Stop};
        use RptDownstreamEvent as Event;
        use RptDownstreamState::{NoInfo, Prune, PrunePending, PrunePendingTmp, PruneTmp};
        let states = [NoInfo, Prune, PrunePending, PruneTmp, PrunePendingTmp];
        for (event, expected) in [
            (
                Event::ReceiveJoinAny,
                [(NoInfo, None), (PruneTmp, None), (PrunePendingTmp, None), (PruneTmp, None), (PrunePendingTmp, None)],
            ),
            (
                Event::ReceiveJoin,
                [(NoInfo, None), (NoInfo, Stop), (NoInfo, Stop), (PruneTmp, None), (PrunePendingTmp, None)],
            ),
            (
                Event::ReceivePrune { holdtime: 210 },
                [
                    (PrunePending, StartTimers),
                    (Prune, RestartExpiryTimer),
                    (PrunePending, None),
                    (Prune, RestartExpiryTimer),
                    (PrunePending, RestartExpiryTimer),
                ],
            ),
            (
                Event::EndOfMessage,
                [(NoInfo, None), (Prune, None), (PrunePending, None), (NoInfo, Stop), (NoInfo, Stop)],
            ),
            (
                Event::PrunePendingTimerExpires,
                [(NoInfo, None), (Prune, None), (Prune, None), (PruneTmp, None), (PrunePendingTmp, None)],
            ),
            (
                Event::ExpiryTimerExpires,
                [(NoInfo, None), (NoInfo, Stop), (PrunePending, None), (PruneTmp, None), (PrunePendingTmp, None)],
            ),
        ] {
            for (state, expected) in states.into_iter().zip(expected) {
                assert_eq!(downstream_transition(state, event), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn every_upstream_state_and_event() {
        use RptUpstreamAction as Action;
        use RptUpstreamEvent as Event;
        use RptUpstreamState::{NotJoined, NotPruned, Pruned};
        for (event, from_not_joined, from_pruned, from_not_pruned) in [
            (Event::PruneDesired, (Pruned, Action::None), (Pruned, Action::None), (Pruned, Action::SendPrune)),
            (
                Event::PruneNotDesired,
                (NotJoined, Action::None),
                (NotPruned, Action::SendJoin),
                (NotPruned, Action::None),
            ),
            (
                Event::JoinNotDesired,
                (NotJoined, Action::None),
                (NotJoined, Action::None),
                (NotJoined, Action::CancelOverrideTimer),
            ),
            (Event::OlistNotEmpty, (NotPruned, Action::None), (Pruned, Action::None), (NotPruned, Action::None)),
            (
                Event::OverrideTimerExpires,
                (NotJoined, Action::None),
                (Pruned, Action::None),
                (NotPruned, Action::SendOverridingJoin),
            ),
            (
                Event::SeePrune,
                (NotJoined, Action::None),
                (Pruned, Action::None),
                (NotPruned, Action::LowerOverrideTimer),
            ),
            (
                Event::SeeJoin,
                (NotJoined, Action::None),
                (Pruned, Action::None),
                (NotPruned, Action::CancelOverrideTimer),
            ),
            (
                Event::NeighborBecomesShared,
                (NotJoined, Action::None),
                (Pruned, Action::None),
                (NotPruned, Action::LowerOverrideTimer),
            ),
        ] {
            assert_eq!(upstream_transition(NotJoined, event), from_not_joined, "NotJoined {event:?}");
            assert_eq!(upstream_transition(Pruned, event), from_pruned, "Pruned {event:?}");
            assert_eq!(upstream_transition(NotPruned, event), from_not_pruned, "NotPruned {event:?}");
        }
    }

    #[test]
    fn states_are_kept_by_port() {
        use RptDownstreamState::{NoInfo, Prune, PrunePending, PrunePendingTmp, PruneTmp};
        let mut rpt = RptDownstream::default();
        for state in [Prune, PruneTmp, PrunePending, PrunePendingTmp, NoInfo] {
            rpt.set(PortId(3), state);
            assert_eq!((rpt.state(PortId(3)), rpt.state(PortId(4))), (state, NoInfo));
            assert_eq!(rpt.prunes().contains(PortId(3)), matches!(state, Prune | PruneTmp));
            assert_eq!(rpt.known().contains(PortId(3)), state != NoInfo);
        }
        assert_eq!(rpt, RptDownstream::default());
    }
}
