//! The upstream (S,G) and (*,G) machines (RFC 7761 §4.5.5, §4.5.4): what we ask the router towards the source, or the
//! rendezvous point, for. They are one table: what only one of them knows, a prune of the other kind that takes the
//! source along (§4.5.5), comes as the same event.
//!
//! ```text
//!           | JoinDesired->True   | JoinDesired->False
//! NotJoined | Joined, Send Join   | -
//! Joined    | -                   | NotJoined, Send Prune
//!
//! in Joined | Timer Expires       | See Join            | See Prune, GenID changes | RPF' changes
//!           | Send Join           | raise JT to         | lower JT to              | Join to new,
//!           | JT = t_periodic     | t_joinsuppress      | t_override               | Prune to old
//! ```
//!
//! A neighbour whose generation changed is asked at once instead of after t_override where it is the only one on its link
//! or the interface is configured to greet at once: then there is nobody to answer in chorus with.

use crate::config::FirstHello;
use crate::instance::{Event, Router, TimerKey};
use crate::interface::Interface;
use crate::join_prune_builder::{self, Request};
use crate::rpf::{self, LinkNeighbor};
use crate::wire::HOLDTIME_FOREVER;
use stack::machine::PortId;
use stack::tables::{Mroute, MrouteKey, TableUpdate};
use stack::time::{Duration, Instant};

/// State of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpstreamState {
    /// Nobody here wants the source.
    NotJoined,
    /// Somebody does.
    Joined,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UpstreamEvent {
    JoinDesired,
    JoinNotDesired,
    JoinTimerExpires,
    /// Another router sent a join to RPF'(S,G).
    SeeJoin {
        holdtime: u16,
    },
    /// Another router sent a prune, of (S,G), (S,G,rpt) or (*,G), to RPF'(S,G); of (*,G) to RPF'(*,G).
    SeePrune,
    /// RPF'(S,G) was another one, or none.
    RpfNeighborChanged {
        old: Option<LinkNeighbor>,
    },
    /// RPF'(S,G) has lost its state.
    GenerationIdChanged,
}

/// What is to be done beside the change of state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UpstreamAction {
    None,
    /// Send Join(S,G); JT := t_periodic.
    SendJoin,
    /// Send Prune(S,G); cancel JT.
    SendPrune,
    /// JT := max(JT, min(t_suppressed, holdtime)).
    IncreaseJoinTimer {
        holdtime: u16,
    },
    /// JT := min(JT, t_override).
    DecreaseJoinTimer,
    /// JT := min(JT, t_override), or Send Join(S,G) where nobody else would.
    Refresh,
    /// Send Join(S,G) to the new neighbour and Prune(S,G) to the old one; JT := t_periodic.
    SwitchNeighbor {
        old: Option<LinkNeighbor>,
    },
}

/// The table.
pub(crate) fn transition(state: UpstreamState, event: UpstreamEvent) -> (UpstreamState, UpstreamAction) {
    use UpstreamAction as Action;
    use UpstreamEvent as Event;
    use UpstreamState::{Joined, NotJoined};
    match (state, event) {
        (NotJoined, Event::JoinDesired) => (Joined, Action::SendJoin),
        (Joined, Event::JoinNotDesired) => (NotJoined, Action::SendPrune),
        (Joined, Event::JoinTimerExpires) => (Joined, Action::SendJoin),
        (Joined, Event::SeeJoin { holdtime }) => (Joined, Action::IncreaseJoinTimer { holdtime }),
        (Joined, Event::SeePrune) => (Joined, Action::DecreaseJoinTimer),
        (Joined, Event::RpfNeighborChanged { old }) => (Joined, Action::SwitchNeighbor { old }),
        (Joined, Event::GenerationIdChanged) => (Joined, Action::Refresh),
        (Joined, Event::JoinDesired) | (NotJoined, _) => (state, Action::None),
    }
}

impl Router {
    /// Makes the entry where there is none; false where the limit forbids it.
    pub(crate) fn ensure_entry(&mut self, key: MrouteKey) -> bool {
        let Some(root) = self.root(key) else {
            self.counters.drop_no_rendezvous_point += 1;
            return false;
        };
        let (rib, interfaces, limit) = (&self.rib, &self.interfaces, self.config.limits.entries);
        let made = self.tib.get_or_insert(key, root, limit, || rpf::rpf(rib, interfaces, root, key.group));
        if made.is_none() {
            self.counters.drop_entry_limit += 1;
        }
        made.is_some()
    }

    /// Brings the forwarding table, then the upstream machine, to what the outgoing interface list now says; forgets
    /// the entry where the list is empty.
    pub(crate) fn settle(&mut self, now: Instant, key: MrouteKey) {
        let Some(entry) = self.tib.get(key) else { return };
        let join_desired = !entry.immediate_olist().is_empty();
        let beside = self.tib.any_source_beside(key);
        let mroute = entry
            .rpf
            .accept()
            .filter(|_| join_desired)
            .map(|accept| Mroute::new(accept, entry.forward(beside, entry.rpf.interface())));
        let Some(entry) = self.tib.get_mut(key) else { return };
        if mroute != entry.installed {
            entry.installed = mroute;
            self.outputs.table(match mroute {
                Some(mroute) => TableUpdate::MrouteSet(key, mroute),
                None => TableUpdate::MrouteRemove(key),
            });
        }
        if join_desired {
            self.upstream_event(now, key, UpstreamEvent::JoinDesired);
        } else {
            self.upstream_event(now, key, UpstreamEvent::JoinNotDesired);
            self.tib.remove(key);
        }
        // inherited_olist(S,G) follows the (*,G).
        if key.source.is_unspecified() {
            for beside in self.tib.sources_of(key.group) {
                self.settle(now, beside);
            }
        }
    }

    /// Runs the machine of one (S,G) or (*,G). Joins and prunes leave at the end of the call that caused them, packed together.
    pub(crate) fn upstream_event(&mut self, now: Instant, key: MrouteKey, event: UpstreamEvent) {
        let Some(entry) = self.tib.get_mut(key) else { return };
        let (next, action) = transition(entry.upstream, event);
        let previous = core::mem::replace(&mut entry.upstream, next);
        let neighbor = entry.rpf.neighbor();
        match (previous, next) {
            (UpstreamState::NotJoined, UpstreamState::Joined) => {
                self.outputs.event(Event::Joined { at: now, key, upstream: neighbor });
            }
            (UpstreamState::Joined, UpstreamState::NotJoined) => {
                self.outputs.event(Event::Pruned { at: now, key, upstream: neighbor });
            }
            _ => {}
        }
        match action {
            UpstreamAction::None => {}
            UpstreamAction::SendJoin => self.send_join(now, key),
            UpstreamAction::SendPrune => {
                self.set_join_timer(key, None);
                if let Some(neighbor) = neighbor {
                    self.requests.add(neighbor, key, Request::Prune);
                }
            }
            UpstreamAction::IncreaseJoinTimer { holdtime } => self.suppress_join(now, key, holdtime),
            UpstreamAction::DecreaseJoinTimer => {
                self.counters.overridden_prunes += 1;
                self.lower_join_timer(now, key);
            }
            UpstreamAction::Refresh => {
                // DEVIATION RFC 7761 §4.5.5: t_override is taken as zero where nobody else would answer too.
                let alone = neighbor.and_then(|n| self.interfaces.get(&n.port)).is_some_and(|interface| {
                    interface.has_single_neighbor() || interface.config.first_hello == FirstHello::Fast
                });
                if alone { self.send_join(now, key) } else { self.lower_join_timer(now, key) }
            }
            UpstreamAction::SwitchNeighbor { old } => {
                self.send_join(now, key);
                if let Some(old) = old.filter(|old| self.is_neighbor(old)) {
                    self.requests.add(old, key, Request::Prune);
                }
            }
        }
    }

    /// Looks up the source or the rendezvous point again; answers a change with what §4.5.5 demands.
    pub(crate) fn reroute(&mut self, now: Instant, key: MrouteKey) {
        let Some(entry) = self.tib.get(key) else { return };
        let new = rpf::rpf(&self.rib, &self.interfaces, entry.root, key.group);
        if new == entry.rpf {
            return;
        }
        let old = entry.rpf.neighbor();
        if old != new.neighbor() {
            self.set_join_timer(key, None);
        }
        let Some(entry) = self.tib.get_mut(key) else { return };
        entry.rpf = new;
        self.settle(now, key);
        if old != new.neighbor() {
            self.upstream_event(now, key, UpstreamEvent::RpfNeighborChanged { old });
        }
    }

    /// Looks up every source behind this port again.
    pub(crate) fn reroute_port(&mut self, now: Instant, port: PortId) {
        for key in self.tib.keys_where(|entry| entry.rpf.interface() == Some(port)) {
            self.reroute(now, key);
        }
    }

    /// Runs the join timers of this neighbour's entries, and brings forward as many of those that are due soon as fit
    /// the last packet.
    pub(crate) fn join_timer_expires(&mut self, now: Instant, neighbor: LinkNeighbor) {
        let Some(interface) = self.interfaces.get(&neighbor.port) else { return };
        let per_packet = join_prune_builder::joins_per_packet(interface.config.mtu);
        let early = now + self.config.join_prune_period / EARLY_REFRESH_DIVISOR;
        for key in self.join_timers.take_due(neighbor, now, early, per_packet) {
            if let Some(entry) = self.tib.get_mut(key) {
                entry.join_timer = None;
                self.upstream_event(now, key, UpstreamEvent::JoinTimerExpires);
            }
        }
        self.arm_join_timer(neighbor);
    }

    fn is_neighbor(&self, neighbor: &LinkNeighbor) -> bool {
        self.interfaces
            .get(&neighbor.port)
            .is_some_and(|interface| interface.speaks_pim() && interface.neighbors.contains_key(&neighbor.address))
    }

    fn send_join(&mut self, now: Instant, key: MrouteKey) {
        let Some(neighbor) = self.tib.get(key).and_then(|entry| entry.rpf.neighbor()) else { return };
        self.requests.add(neighbor, key, Request::Join);
        self.set_join_timer(key, Some(now + self.config.join_prune_period));
    }

    fn suppress_join(&mut self, now: Instant, key: MrouteKey, holdtime: u16) {
        let Some(current) = self.tib.get(key).and_then(|entry| entry.join_timer) else { return };
        if !self.rpf_interface(key).is_some_and(Interface::suppression_enabled) {
            return;
        }
        let period = self.config.join_prune_period;
        let suppressed = self.rng.duration(period * 11 / 10..period * 14 / 10);
        let holdtime = match holdtime {
            HOLDTIME_FOREVER => Duration::MAX,
            seconds => Duration::from_secs(u64::from(seconds)),
        };
        let until = now + suppressed.min(holdtime);
        if current < until {
            self.counters.suppressed_joins += 1;
            self.set_join_timer(key, Some(until));
        }
    }

    fn lower_join_timer(&mut self, now: Instant, key: MrouteKey) {
        let Some(current) = self.tib.get(key).and_then(|entry| entry.join_timer) else { return };
        let Some(interface) = self.rpf_interface(key) else { return };
        let interval = interface.effective_override_interval();
        let until = now + self.rng.duration(Duration::ZERO..interval);
        if current > until {
            self.set_join_timer(key, Some(until));
        }
    }

    fn rpf_interface(&self, key: MrouteKey) -> Option<&Interface> {
        self.interfaces.get(&self.tib.get(key)?.rpf.interface()?)
    }

    fn set_join_timer(&mut self, key: MrouteKey, at: Option<Instant>) {
        let Some(entry) = self.tib.get_mut(key) else { return };
        let Some(neighbor) = entry.rpf.neighbor() else { return };
        let previous = core::mem::replace(&mut entry.join_timer, at);
        self.join_timers.set(neighbor, key, previous, at);
        self.arm_join_timer(neighbor);
    }

    fn arm_join_timer(&mut self, neighbor: LinkNeighbor) {
        let timer = TimerKey::Join(neighbor);
        match self.join_timers.next_deadline(neighbor) {
            Some(at) if self.timers.deadline(timer) == Some(at) => {}
            Some(at) => self.timers.set(timer, at),
            None => {
                self.timers.cancel(timer);
            }
        }
    }
}

/// Joins that are due within this part of t_periodic may fill a packet that leaves now.
const EARLY_REFRESH_DIVISOR: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;

    #[test]
    fn every_state_and_event() {
        use UpstreamAction as Action;
        use UpstreamEvent as Event;
        use UpstreamState::{Joined, NotJoined};
        let old = Some(LinkNeighbor { port: PortId(1), address: Ipv6Addr::LOCALHOST });
        let holdtime = 210;
        for (event, from_not_joined, from_joined) in [
            (Event::JoinDesired, (Joined, Action::SendJoin), (Joined, Action::None)),
            (Event::JoinNotDesired, (NotJoined, Action::None), (NotJoined, Action::SendPrune)),
            (Event::JoinTimerExpires, (NotJoined, Action::None), (Joined, Action::SendJoin)),
            (Event::SeeJoin { holdtime }, (NotJoined, Action::None), (Joined, Action::IncreaseJoinTimer { holdtime })),
            (Event::SeePrune, (NotJoined, Action::None), (Joined, Action::DecreaseJoinTimer)),
            (Event::RpfNeighborChanged { old }, (NotJoined, Action::None), (Joined, Action::SwitchNeighbor { old })),
            (Event::GenerationIdChanged, (NotJoined, Action::None), (Joined, Action::Refresh)),
        ] {
            assert_eq!(transition(NotJoined, event), from_not_joined, "NotJoined {event:?}");
            assert_eq!(transition(Joined, event), from_joined, "Joined {event:?}");
        }
    }
}
