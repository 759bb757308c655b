//! The (S,G) and (*,G) Assert machines of an interface (RFC 7761 §4.6.1, §4.6.2): which of the routers that forward onto a
//! link goes on. They are one table; what only one of them knows, the same event never comes to the other.
//!
//! ```text
//!        | Inferior | RPT      | Acceptable | Preferred | Winner's Inferior | Data arrives
//! NoInfo | Win      | Win      | Lose       | -         | -                 | Win
//! Winner | Resend   | -        | -          | Lose      | -                 | -
//! Loser  | -        | -        | Lose       | Lose      | NoInfo            | -
//!
//!        | Timer    | CouldAssert | Tracking | Own metric | RPF interface | Receive | Winner
//!        | expires  | ends        | ends     | improves   | moves         | Join    | is lost
//! NoInfo | -        | -           | -        | -          | -             | -       | -
//! Winner | Resend   | Cancel      | -        | -          | -             | -       | -
//! Loser  | NoInfo   | -           | NoInfo   | NoInfo     | NoInfo        | NoInfo  | NoInfo
//! ```

use crate::hello::Holdtime;
use crate::instance::{Router, TimerKey};
use crate::interface::Greeting;
use crate::olist::Trees;
use crate::tib::any_source_key;
use crate::upstream::UpstreamState;
use crate::wire::{self, Assert, MessageType};
use core::cmp::Reverse;
use core::net::Ipv6Addr;
use stack::machine::{PortId, Via};
use stack::tables::MrouteKey;
use stack::time::{Duration, Instant};

/// Assert_Time (§4.11).
const ASSERT_TIME: Duration = Duration::from_secs(180);
/// Assert_Override_Interval (§4.11).
const ASSERT_OVERRIDE_INTERVAL: Duration = Duration::from_secs(3);

/// How good a router's way to the source, or the rendezvous point, is (§4.6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AssertMetric {
    /// Whether it forwards on the shared tree, which is worse than the source's.
    pub rpt: bool,
    /// Preference of the protocol that its route is from.
    pub preference: u32,
    /// The route's metric.
    pub metric: u32,
    /// Its primary address on the link; among equals the highest wins.
    pub address: Ipv6Addr,
}

impl AssertMetric {
    /// infinite_assert_metric() := { 1, infinity, infinity, 0 }
    pub const INFINITE: AssertMetric = AssertMetric {
        rpt: true,
        preference: Assert::INFINITE_PREFERENCE,
        metric: Assert::INFINITE_METRIC,
        address: Ipv6Addr::UNSPECIFIED,
    };

    /// Whether no route is behind it: of whoever forwards no longer.
    pub fn is_infinite(&self) -> bool {
        (self.rpt, self.preference, self.metric) == (true, Assert::INFINITE_PREFERENCE, Assert::INFINITE_METRIC)
    }

    /// Whether its router is the one to forward.
    pub fn is_better_than(&self, other: &AssertMetric) -> bool {
        let rank = |metric: &AssertMetric| (metric.rpt, metric.preference, metric.metric, Reverse(metric.address));
        rank(self) < rank(other)
    }
}

/// State of an interface for one (S,G) or (*,G); NoInfo is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AssertState {
    /// This router forwards onto the link, for local members too.
    Winner,
    /// Another one does.
    Loser {
        /// AssertWinner(S,G,I), AssertWinner(*,G,I): its primary address.
        winner: Ipv6Addr,
        /// AssertWinnerMetric(S,G,I), AssertWinnerMetric(*,G,I).
        metric: AssertMetric,
    },
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AssertEvent {
    /// An assert that is worse than what we would say.
    InferiorAssert,
    /// An assert of the shared tree, where we forward on the source's; of (S,G) only.
    RptAssert,
    /// An assert that is better than what we would say: in NoInfo any that concerns us, in Loser the winner's.
    AcceptableAssert,
    /// An assert that is better than the winner's.
    PreferredAssert,
    /// The winner's assert is worse than what we would say, or its last.
    WinnersInferiorAssert,
    /// A packet came in by an interface that packets go out by.
    DataArrives,
    TimerExpires,
    /// CouldAssert(I) -> FALSE
    CouldAssertEnds,
    /// AssertTrackingDesired(I) -> FALSE
    TrackingEnds,
    /// my_assert_metric(I) became better than the winner's.
    MetricImproves,
    /// RPF_interface(S), RPF_interface(RP(G)) was this interface and is no longer.
    RpfInterfaceMoves,
    /// A Join(S,G), Join(*,G) to us.
    ReceiveJoin,
    /// The winner is no neighbour any more, or has lost its state.
    WinnerLost,
}

/// Name of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    NoInfo,
    Winner,
    Loser,
}

/// What is to be done beside the change of state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AssertAction {
    None,
    /// A1, A3: send an Assert; AT := Assert_Time - Assert_Override_Interval.
    SendAssert,
    /// A2: remember the winner; AT := Assert_Time.
    StoreWinner,
    /// A6: the same, and the source's tree has reached the link if the link is where it comes from.
    StoreFirstWinner,
    /// A4: send an AssertCancel.
    SendAssertCancel,
    /// A5: nothing is left.
    Forget,
}

/// The table.
pub(crate) fn transition(state: Standing, event: AssertEvent) -> (Standing, AssertAction) {
    use AssertAction as Action;
    use AssertEvent as Event;
    use Standing::{Loser, NoInfo, Winner};
    match (state, event) {
        (NoInfo, Event::InferiorAssert | Event::RptAssert | Event::DataArrives) => (Winner, Action::SendAssert),
        (NoInfo, Event::AcceptableAssert) => (Loser, Action::StoreFirstWinner),
        (Winner, Event::TimerExpires | Event::InferiorAssert) => (Winner, Action::SendAssert),
        (Winner, Event::PreferredAssert) => (Loser, Action::StoreWinner),
        (Winner, Event::CouldAssertEnds) => (NoInfo, Action::SendAssertCancel),
        (Loser, Event::PreferredAssert | Event::AcceptableAssert) => (Loser, Action::StoreWinner),
        (
            Loser,
            Event::WinnersInferiorAssert
            | Event::TimerExpires
            | Event::WinnerLost
            | Event::TrackingEnds
            | Event::MetricImproves
            | Event::RpfInterfaceMoves
            | Event::ReceiveJoin,
        ) => (NoInfo, Action::Forget),
        (NoInfo | Winner | Loser, _) => (state, Action::None),
    }
}

/// Which machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tree {
    Source,
    Shared,
}

/// The event that an Assert message on an interface is to the machine of a tree in this state, if any.
fn event_of(
    trees: &Trees<'_>,
    tree: Tree,
    port: PortId,
    state: Option<AssertState>,
    received: &AssertMetric,
) -> Option<AssertEvent> {
    let mine = trees.my_assert_metric(port);
    let (could_assert, tracking_desired) = match tree {
        Tree::Source => (trees.could_assert_sg(port), trees.assert_tracking_desired_sg(port)),
        Tree::Shared => (trees.could_assert_any(port), trees.assert_tracking_desired_any(port)),
    };
    classify(state, tree, received, &mine, could_assert, tracking_desired)
}

/// The event that an Assert message is to a machine in this state, if any. `mine` is my_assert_metric(I).
fn classify(
    state: Option<AssertState>,
    tree: Tree,
    received: &AssertMetric,
    mine: &AssertMetric,
    could_assert: bool,
    tracking_desired: bool,
) -> Option<AssertEvent> {
    use AssertEvent as Event;
    // The (*,G) machine hears only of the shared tree.
    if tree == Tree::Shared && !received.rpt {
        return None;
    }
    let is_inferior = !mine.is_infinite() && mine.is_better_than(received);
    let is_acceptable =
        !received.is_infinite() && received.is_better_than(mine) && received.rpt == (tree == Tree::Shared);
    match state {
        None if tree == Tree::Source && received.rpt => could_assert.then_some(Event::RptAssert),
        None if is_inferior && could_assert => Some(Event::InferiorAssert),
        None if is_acceptable && tracking_desired => Some(Event::AcceptableAssert),
        None => None,
        Some(AssertState::Winner) if received.is_better_than(mine) => Some(Event::PreferredAssert),
        Some(AssertState::Winner) => Some(Event::InferiorAssert),
        Some(AssertState::Loser { winner, .. }) if received.address == winner => match () {
            () if received.is_infinite() || is_inferior => Some(Event::WinnersInferiorAssert),
            () => is_acceptable.then_some(Event::AcceptableAssert),
        },
        Some(AssertState::Loser { metric, .. }) => received.is_better_than(&metric).then_some(Event::PreferredAssert),
    }
}

impl Router {
    /// An Assert message of a neighbour: first to the (S,G) machine, and to the (*,G) machine only where the (S,G) one
    /// has nothing to do with it, before and after (§4.6.2).
    pub(crate) fn handle_assert(&mut self, now: Instant, port: PortId, from: Ipv6Addr, message: &Assert) {
        self.counters.rx_assert += 1;
        if !self.interfaces.get(&port).is_some_and(|interface| interface.neighbors.contains_key(&from)) {
            self.counters.drop_unknown_neighbor += 1;
            return;
        }
        let Assert { group, source, rpt, metric_preference: preference, metric } = *message;
        let received = AssertMetric { rpt, preference, metric, address: from };
        if !source.is_unspecified() {
            let key = MrouteKey { source, group };
            if !rpt && self.tib.get(key).is_none() && self.may_lose_unknown_source(key, port, &received) {
                self.ensure_entry(key);
            }
            let state = self.tib.get(key).and_then(|entry| entry.asserts().get(&port).copied());
            if let Some(event) = event_of(&self.trees(key), Tree::Source, port, state, &received) {
                return self.assert_event(now, key, port, event, Some(received));
            }
            if state.is_some() {
                return;
            }
        }
        let key = any_source_key(group);
        let Some(entry) = self.tib.get(key) else { return };
        let state = entry.asserts().get(&port).copied();
        if let Some(event) = event_of(&self.trees(key), Tree::Shared, port, state, &received) {
            self.assert_event(now, key, port, event, Some(received));
        }
    }

    /// Whether an Assert(S,G) of a source of which nothing is known yet is of interest because of the (*,G).
    fn may_lose_unknown_source(&self, key: MrouteKey, port: PortId, received: &AssertMetric) -> bool {
        !self.config.is_ssm(key.group)
            && self.tib.get(any_source_key(key.group)).is_some()
            && !received.is_infinite()
            && self.trees(key).assert_tracking_desired_sg(port)
    }

    /// A packet came in by a port that packets of its source and group go out by: another router forwards onto the link.
    pub(crate) fn data_on_outgoing_port(&mut self, now: Instant, key: MrouteKey, port: PortId) {
        let trees = self.trees(key);
        let is_on = |olist: stack::tables::PortSet| olist.contains(port);
        if trees.spt_bit() {
            if trees.could_assert_sg(port) && is_on(trees.inherited_olist_sg()) {
                self.assert_event(now, key, port, AssertEvent::DataArrives, None);
            }
        } else if trees.could_assert_any(port)
            && is_on(trees.inherited_olist_sg_rpt())
            && trees.source.is_none_or(|entry| !entry.asserts().contains_key(&port))
        {
            self.assert_event(now, any_source_key(key.group), port, AssertEvent::DataArrives, None);
        }
    }

    /// Runs the machine of one (S,G) or (*,G) on one interface.
    pub(crate) fn assert_event(
        &mut self,
        now: Instant,
        key: MrouteKey,
        port: PortId,
        event: AssertEvent,
        received: Option<AssertMetric>,
    ) {
        self.step_assert(now, key, port, event, received);
        self.settle(now, key);
    }

    /// The same, without what follows from it for other machines.
    pub(crate) fn step_assert(
        &mut self,
        now: Instant,
        key: MrouteKey,
        port: PortId,
        event: AssertEvent,
        received: Option<AssertMetric>,
    ) {
        let Some(entry) = self.tib.get_mut(key) else { return };
        let standing = match entry.asserts().get(&port) {
            None => Standing::NoInfo,
            Some(AssertState::Winner) => Standing::Winner,
            Some(AssertState::Loser { .. }) => Standing::Loser,
        };
        let timer = TimerKey::Assert(key, port);
        match transition(standing, event).1 {
            AssertAction::None => {}
            AssertAction::SendAssert => {
                entry.set_assert(port, Some(AssertState::Winner));
                self.timers.set(timer, now + (ASSERT_TIME - ASSERT_OVERRIDE_INTERVAL));
                let trees = self.trees(key);
                let shared = key.source.is_unspecified();
                let metric = if shared { trees.rpt_assert_metric(port) } else { trees.spt_assert_metric(port) };
                self.send_assert(key, port, metric);
            }
            action @ (AssertAction::StoreWinner | AssertAction::StoreFirstWinner) => {
                let Some(metric) = received else { return };
                entry.set_assert(port, Some(AssertState::Loser { winner: metric.address, metric }));
                if action == AssertAction::StoreFirstWinner
                    && entry.rpf().interface() == Some(port)
                    && entry.upstream == UpstreamState::Joined
                    && let Some(shared) = &mut entry.shared
                {
                    shared.spt_bit = true;
                }
                self.timers.set(timer, now + ASSERT_TIME);
            }
            AssertAction::SendAssertCancel => {
                entry.set_assert(port, None);
                self.timers.cancel(timer);
                self.counters.tx_assert_cancel += 1;
                self.send_assert(key, port, AssertMetric::INFINITE);
            }
            AssertAction::Forget => {
                entry.set_assert(port, None);
                self.timers.cancel(timer);
            }
        }
    }

    /// What the predicates now say to the assert machines of an entry; whether any changed its state.
    pub(crate) fn settle_asserts(&mut self, now: Instant, key: MrouteKey) -> bool {
        let Some(entry) = self.tib.get(key).filter(|entry| !entry.asserts().is_empty()) else { return false };
        let shared = key.source.is_unspecified();
        let trees = self.trees(key);
        let mut events = Vec::new();
        for (&port, state) in entry.asserts() {
            let event = match state {
                AssertState::Winner => {
                    let could = if shared { trees.could_assert_any(port) } else { trees.could_assert_sg(port) };
                    (!could).then_some(AssertEvent::CouldAssertEnds)
                }
                AssertState::Loser { metric, .. } => {
                    let desired = match shared {
                        true => trees.assert_tracking_desired_any(port),
                        false => trees.assert_tracking_desired_sg(port),
                    };
                    match desired {
                        false => Some(AssertEvent::TrackingEnds),
                        true => {
                            let mine = trees.my_assert_metric(port);
                            mine.is_better_than(metric).then_some(AssertEvent::MetricImproves)
                        }
                    }
                }
            };
            events.extend(event.map(|event| (port, event)));
        }
        for &(port, event) in &events {
            self.step_assert(now, key, port, event, None);
        }
        !events.is_empty()
    }

    /// The neighbour is none any more, or has lost its state: what it won is open again, of all its trees at once, so that
    /// nothing is asked of anybody because one tree of a source has moved before the other.
    pub(crate) fn assert_winner_lost(&mut self, now: Instant, port: PortId, address: Ipv6Addr) {
        let keys = self.tib.keys_where(|entry| entry.assert_winner(port) == Some(address));
        for &key in &keys {
            self.step_assert(now, key, port, AssertEvent::WinnerLost, None);
        }
        for key in keys {
            self.settle(now, key);
        }
    }

    fn send_assert(&mut self, key: MrouteKey, port: PortId, metric: AssertMetric) {
        let Some(interface) = self.interfaces.get(&port).filter(|interface| interface.speaks_pim()) else { return };
        if interface.greeting == Greeting::Owed {
            self.send_hello(port, Holdtime::Configured);
        }
        let Some(interface) = self.interfaces.get(&port) else { return };
        let message = Assert {
            group: key.group,
            source: key.source,
            rpt: metric.rpt,
            metric_preference: metric.preference,
            metric: metric.metric,
        };
        let packet = wire::packet(interface.config.link_local, MessageType::Assert, |into| message.emit(into));
        self.counters.tx_assert += 1;
        self.outputs.transmit(packet, Via::Link(port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event() {
        use AssertAction::{Forget, None, SendAssert, SendAssertCancel, StoreFirstWinner, StoreWinner};
        use AssertEvent as Event;
        use Standing::{Loser, NoInfo, Winner};
        for (event, from_no_info, from_winner, from_loser) in [
            (Event::InferiorAssert, (Winner, SendAssert), (Winner, SendAssert), (Loser, None)),
            (Event::RptAssert, (Winner, SendAssert), (Winner, None), (Loser, None)),
            (Event::AcceptableAssert, (Loser, StoreFirstWinner), (Winner, None), (Loser, StoreWinner)),
            (Event::PreferredAssert, (NoInfo, None), (Loser, StoreWinner), (Loser, StoreWinner)),
            (Event::WinnersInferiorAssert, (NoInfo, None), (Winner, None), (NoInfo, Forget)),
            (Event::DataArrives, (Winner, SendAssert), (Winner, None), (Loser, None)),
            (Event::TimerExpires, (NoInfo, None), (Winner, SendAssert), (NoInfo, Forget)),
            (Event::CouldAssertEnds, (NoInfo, None), (NoInfo, SendAssertCancel), (Loser, None)),
            (Event::TrackingEnds, (NoInfo, None), (Winner, None), (NoInfo, Forget)),
            (Event::MetricImproves, (NoInfo, None), (Winner, None), (NoInfo, Forget)),
            (Event::RpfInterfaceMoves, (NoInfo, None), (Winner, None), (NoInfo, Forget)),
            (Event::ReceiveJoin, (NoInfo, None), (Winner, None), (NoInfo, Forget)),
            (Event::WinnerLost, (NoInfo, None), (Winner, None), (NoInfo, Forget)),
        ] {
            assert_eq!(transition(NoInfo, event), from_no_info, "NoInfo {event:?}");
            assert_eq!(transition(Winner, event), from_winner, "Winner {event:?}");
            assert_eq!(transition(Loser, event), from_loser, "Loser {event:?}");
        }
    }

    fn metric(rpt: bool, preference: u32, metric: u32, last: u16) -> AssertMetric {
        AssertMetric { rpt, preference, metric, address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last) }
    }

    #[test]
    fn metrics_are_compared_in_order() {
        let ascending = [
            metric(false, 1, 1, 9),
            metric(false, 1, 1, 1),
            metric(false, 1, 2, 9),
            metric(false, 2, 0, 9),
            metric(true, 0, 0, 9),
            metric(true, Assert::INFINITE_PREFERENCE, Assert::INFINITE_METRIC, 1),
            AssertMetric::INFINITE,
        ];
        for (rank, better) in ascending.iter().enumerate() {
            for (other_rank, other) in ascending.iter().enumerate() {
                assert_eq!(better.is_better_than(other), rank < other_rank, "{better:?} {other:?}");
            }
            assert_eq!(better.is_infinite(), rank >= 5);
        }
    }

    /// Every kind of message in every state, of both machines.
    #[test]
    fn messages_are_what_they_are_compared_with() {
        use AssertEvent as Event;
        let (me, best, worst) = (metric(false, 1, 5, 5), metric(false, 1, 1, 7), metric(false, 1, 9, 7));
        let (my_rpt, best_rpt, worst_rpt) = (metric(true, 1, 5, 5), metric(true, 1, 1, 7), metric(true, 1, 9, 7));
        let cancel = AssertMetric { address: best.address, ..AssertMetric::INFINITE };
        let infinite = AssertMetric::INFINITE;
        let winner = Some(AssertState::Winner);
        let loser = |metric: AssertMetric| Some(AssertState::Loser { winner: metric.address, metric });
        let other = metric(false, 1, 3, 8);
        // State, machine, received, mine, CouldAssert, AssertTrackingDesired, the event.
        type Case = (Option<AssertState>, Tree, AssertMetric, AssertMetric, bool, bool, Option<Event>);
        let cases: [Case; 24] = [
            (None, Tree::Source, worst, me, true, true, Some(Event::InferiorAssert)),
            (None, Tree::Source, best, me, true, true, Some(Event::AcceptableAssert)),
            (None, Tree::Source, best, infinite, false, true, Some(Event::AcceptableAssert)),
            (None, Tree::Source, best, infinite, false, false, None),
            (None, Tree::Source, best_rpt, me, true, true, Some(Event::RptAssert)),
            (None, Tree::Source, best_rpt, my_rpt, false, true, None),
            (None, Tree::Source, cancel, infinite, false, true, None),
            (None, Tree::Shared, worst_rpt, my_rpt, true, true, Some(Event::InferiorAssert)),
            (None, Tree::Shared, best_rpt, my_rpt, true, true, Some(Event::AcceptableAssert)),
            (None, Tree::Shared, best_rpt, infinite, false, true, Some(Event::AcceptableAssert)),
            (None, Tree::Shared, best, my_rpt, true, true, None),
            (None, Tree::Shared, cancel, my_rpt, true, true, Some(Event::InferiorAssert)),
            (winner, Tree::Source, worst, me, true, true, Some(Event::InferiorAssert)),
            (winner, Tree::Source, best_rpt, me, true, true, Some(Event::InferiorAssert)),
            (winner, Tree::Source, best, me, true, true, Some(Event::PreferredAssert)),
            (winner, Tree::Shared, best, my_rpt, true, true, None),
            (winner, Tree::Shared, best_rpt, my_rpt, true, true, Some(Event::PreferredAssert)),
            (loser(best), Tree::Source, best, me, true, true, Some(Event::AcceptableAssert)),
            (loser(best), Tree::Source, worst, me, true, true, Some(Event::WinnersInferiorAssert)),
            (loser(best), Tree::Source, cancel, infinite, false, true, Some(Event::WinnersInferiorAssert)),
            (loser(best), Tree::Source, other, me, true, true, None),
            (loser(worst), Tree::Source, other, me, true, true, Some(Event::PreferredAssert)),
            (loser(best), Tree::Source, best_rpt, infinite, false, true, None),
            (loser(best_rpt), Tree::Shared, best, my_rpt, true, true, None),
        ];
        for (state, tree, received, mine, could, tracking, event) in cases {
            let found = classify(state, tree, &received, &mine, could, tracking);
            assert_eq!(found, event, "{state:?} {tree:?} {received:?} {mine:?} {could} {tracking}");
        }
    }
}
