//! The downstream (S,G) and (*,G) machines of an interface (RFC 7761 §4.5.2, §4.5.1), which are one table: which routers
//! on the link want the source, or all sources of the group.
//!
//! ```text
//!            | Receive Join        | Receive Prune        | Prune-Pending Timer   | Expiry Timer
//! NoInfo     | Join, start ET      | -                    | -                     | -
//! Join       | Join, restart ET    | PrunePending, start PPT | -                  | NoInfo
//! PrunePend. | Join, restart ET    | -                    | NoInfo, PruneEcho     | NoInfo
//! ```

use crate::assert::AssertEvent;
use crate::instance::{Router, TimerKey};
use crate::join_prune_builder::Request;
use crate::rpf::LinkNeighbor;
use stack::machine::PortId;
use stack::tables::MrouteKey;
use stack::time::Instant;

/// State of an interface for one (S,G).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DownstreamState {
    /// No router on the link wants it.
    NoInfo,
    /// One does.
    Join,
    /// One wants it no longer; others may still say that they do.
    PrunePending,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DownstreamEvent {
    ReceiveJoin { holdtime: u16 },
    ReceivePrune,
    PrunePendingTimerExpires,
    ExpiryTimerExpires,
}

/// What is to be done beside the change of state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DownstreamAction {
    None,
    /// ET := the larger of what it has left and the holdtime; PPT is cancelled.
    RestartExpiryTimer,
    StartPrunePendingTimer,
    /// Timers are cancelled.
    Stop,
    /// Timers are cancelled and, where others may have to override, the prune is repeated.
    StopAndSendPruneEcho,
}

/// The table.
pub(crate) fn transition(state: DownstreamState, event: DownstreamEvent) -> (DownstreamState, DownstreamAction) {
    use DownstreamAction as Action;
    use DownstreamEvent::{ExpiryTimerExpires, PrunePendingTimerExpires, ReceiveJoin, ReceivePrune};
    use DownstreamState::{Join, NoInfo, PrunePending};
    match (state, event) {
        (NoInfo | Join | PrunePending, ReceiveJoin { .. }) => (Join, Action::RestartExpiryTimer),
        (Join, ReceivePrune) => (PrunePending, Action::StartPrunePendingTimer),
        (Join | PrunePending, ExpiryTimerExpires) => (NoInfo, Action::Stop),
        (PrunePending, PrunePendingTimerExpires) => (NoInfo, Action::StopAndSendPruneEcho),
        (NoInfo, ReceivePrune | PrunePendingTimerExpires | ExpiryTimerExpires)
        | (Join, PrunePendingTimerExpires)
        | (PrunePending, ReceivePrune) => (state, Action::None),
    }
}

impl Router {
    /// Runs the machine of one (S,G) or (*,G) on one interface. A join makes the entry where there is none.
    pub(crate) fn downstream_event(&mut self, now: Instant, key: MrouteKey, port: PortId, event: DownstreamEvent) {
        if matches!(event, DownstreamEvent::ReceiveJoin { .. }) && !self.ensure_entry(key) {
            return;
        }
        let Some(entry) = self.tib.get_mut(key) else { return };
        if matches!(event, DownstreamEvent::ReceiveJoin { .. }) && entry.asserts().contains_key(&port) {
            self.step_assert(now, key, port, AssertEvent::ReceiveJoin, None);
        }
        let Some(entry) = self.tib.get_mut(key) else { return };
        let (next, action) = transition(entry.downstream(port), event);
        entry.set_downstream(port, next);
        let prune_pending = TimerKey::PrunePending(key, port);
        match action {
            DownstreamAction::None => return,
            DownstreamAction::RestartExpiryTimer => {
                self.timers.cancel(prune_pending);
                if let DownstreamEvent::ReceiveJoin { holdtime } = event {
                    self.restart_expiry_timer(now, key, port, holdtime);
                }
            }
            DownstreamAction::StartPrunePendingTimer => {
                let Some(interface) = self.interfaces.get(&port) else { return };
                if interface.has_single_neighbor() {
                    return self.downstream_event(now, key, port, DownstreamEvent::PrunePendingTimerExpires);
                }
                self.timers.set(prune_pending, now + interface.join_prune_override_interval());
                return;
            }
            DownstreamAction::Stop => {
                self.cancel_expiry_timer(key, port);
                self.timers.cancel(prune_pending);
            }
            DownstreamAction::StopAndSendPruneEcho => {
                self.cancel_expiry_timer(key, port);
                self.timers.cancel(prune_pending);
                let interface = self.interfaces.get(&port);
                if let Some(interface) = interface.filter(|i| !i.has_single_neighbor() && i.speaks_pim()) {
                    let own = LinkNeighbor { port, address: interface.config.link_local };
                    self.counters.tx_prune_echo += 1;
                    self.requests.add(own, key, Request::Prune);
                }
            }
        }
        self.settle(now, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event() {
        use DownstreamAction as Action;
        use DownstreamState::{Join, NoInfo, PrunePending};
        const JOIN: DownstreamEvent = DownstreamEvent::ReceiveJoin { holdtime: 210 };
        const PRUNE: DownstreamEvent = DownstreamEvent::ReceivePrune;
        const PPT: DownstreamEvent = DownstreamEvent::PrunePendingTimerExpires;
        const ET: DownstreamEvent = DownstreamEvent::ExpiryTimerExpires;
        for (state, event, next, action) in [
            (NoInfo, JOIN, Join, Action::RestartExpiryTimer),
            (NoInfo, PRUNE, NoInfo, Action::None),
            (NoInfo, PPT, NoInfo, Action::None),
            (NoInfo, ET, NoInfo, Action::None),
            (Join, JOIN, Join, Action::RestartExpiryTimer),
            (Join, PRUNE, PrunePending, Action::StartPrunePendingTimer),
            (Join, PPT, Join, Action::None),
            (Join, ET, NoInfo, Action::Stop),
            (PrunePending, JOIN, Join, Action::RestartExpiryTimer),
            (PrunePending, PRUNE, PrunePending, Action::None),
            (PrunePending, PPT, NoInfo, Action::StopAndSendPruneEcho),
            (PrunePending, ET, NoInfo, Action::Stop),
        ] {
            assert_eq!(transition(state, event), (next, action), "{state:?} {event:?}");
        }
    }
}
