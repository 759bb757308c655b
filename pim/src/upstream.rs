//! The upstream (S,G) and (*,G) machines (RFC 7761 §4.5.5, §4.5.4): what we ask the router towards the source, or the
//! rendezvous point, for. They are one table: what only one of them knows, a prune of the other kind that takes the
//! source along (§4.5.5), comes as the same event.
//!
//! ```text
//!           | JoinDesired->True   | JoinDesired->False
//! NotJoined | Joined, Send Join   | -
//! Joined    | -                   | NotJoined, Send Prune
//!
//! in Joined | Timer Expires       | See Join            | See Prune, GenID changes,     | RPF' changes
//!           |                     |                     | RPF' changes due to an Assert |
//!           | Send Join           | raise JT to         | lower JT to                   | Join to new,
//!           | JT = t_periodic     | t_joinsuppress      | t_override                    | Prune to old
//! ```
//!
//! A neighbour whose generation changed is asked at once instead of after t_override where it is the only one on its link
//! or the interface is configured to greet at once: then there is nobody to answer in chorus with.

use crate::assert::AssertEvent;
use crate::config::FirstHello;
use crate::instance::{Event, PAUSE, Router, TimerKey};
use crate::interface::Interface;
use crate::join_prune_builder::{self, Request};
use crate::join_timer::Due;
use crate::register::RegisterState;
use crate::rpf::{self, LinkNeighbor};
use crate::sweep::ENTRIES_A_CALL;
use crate::tib::Way;
use crate::wire::HOLDTIME_FOREVER;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::tables::{MrouteKey, TableUpdate};
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
    /// RPF'(S,G) was another router on the same link: an assert was won, or its winner is gone.
    RpfNeighborChangedByAssert,
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
    /// JT := min(JT, t_override), to answer a prune.
    Override,
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
        (Joined, Event::SeePrune) => (Joined, Action::Override),
        (Joined, Event::RpfNeighborChangedByAssert) => (Joined, Action::DecreaseJoinTimer),
        (Joined, Event::RpfNeighborChanged { old }) => (Joined, Action::SwitchNeighbor { old }),
        (Joined, Event::GenerationIdChanged) => (Joined, Action::Refresh),
        (Joined, Event::JoinDesired) | (NotJoined, _) => (state, Action::None),
    }
}

impl Router {
    /// Makes the entry where there is none; false where the limit forbids it, or a (*,G) has no rendezvous point.
    pub(crate) fn ensure_entry(&mut self, key: MrouteKey) -> bool {
        if self.tib.get(key).is_some() {
            return true;
        }
        let Some(root) = self.root(key) else {
            self.counters.drop_no_rendezvous_point += 1;
            return false;
        };
        if self.tib.len() >= self.config.limits.entries {
            self.counters.drop_entry_limit += 1;
            return false;
        }
        let way = self.way(root, key.group);
        let has_shared_tree = !key.source.is_unspecified() && !self.config.is_ssm(key.group);
        self.tib.insert(key, root, way, has_shared_tree.then(Box::default));
        self.learn_members(key);
        true
    }

    /// Where the source or the rendezvous point of a group is, and what the route there is worth.
    pub(crate) fn way(&self, root: Ipv6Addr, group: Ipv6Addr) -> Way {
        Way { rpf: rpf::rpf(&self.rib, &self.interfaces, root, group), metric: self.rib.metric(root) }
    }

    /// Brings every machine of the entry, and the forwarding table, to what the predicates now say; forgets the entry where
    /// nothing is left of it. What the sources of a (*,G) inherit follows.
    pub(crate) fn settle(&mut self, now: Instant, key: MrouteKey) {
        self.settle_one(now, key);
        if key.source.is_unspecified() {
            for beside in self.tib.sources_of(key.group) {
                self.settle_one(now, beside);
            }
        }
    }

    fn settle_one(&mut self, now: Instant, key: MrouteKey) {
        if self.tib.get(key).is_none() {
            return;
        }
        // A change of one machine may be an event for another one; each round has one of them end.
        for _ in 0..MAX_ROUNDS {
            let mut changed = self.settle_asserts(now, key);
            changed |= self.settle_register(now, key);
            changed |= self.settle_upstream(now, key);
            if !changed {
                break;
            }
        }
        self.settle_rpt(now, key);
        self.install(key);
        if self.is_idle(key) {
            self.tib.remove(key);
        }
    }

    /// RPF' and JoinDesired, and the SPT bit that goes with them; whether anything changed.
    fn settle_upstream(&mut self, now: Instant, key: MrouteKey) -> bool {
        let followed = self.follow_rpf_neighbor(now, key);
        let trees = self.trees(key);
        let desired = if key.source.is_unspecified() { trees.join_desired_any() } else { trees.join_desired_sg() };
        let needs_no_proof = desired && !trees.spt_bit() && self.needs_no_proof(key);
        let Some(entry) = self.tib.get_mut(key) else { return false };
        let mut changed = followed || desired != (entry.upstream == UpstreamState::Joined);
        if let Some(shared) = &mut entry.shared
            && (!desired && shared.spt_bit || needs_no_proof)
        {
            shared.spt_bit = desired;
            changed = true;
        }
        let event = if desired { UpstreamEvent::JoinDesired } else { UpstreamEvent::JoinNotDesired };
        self.upstream_event(now, key, event);
        changed
    }

    /// RPF'(S,G), RPF'(*,G) is another one: the join timer moves to it, and the machine hears of it.
    fn follow_rpf_neighbor(&mut self, now: Instant, key: MrouteKey) -> bool {
        let Some(entry) = self.tib.get_mut(key) else { return false };
        let (new, by_assert) = entry.rpf_neighbor();
        let old = entry.upstream_neighbor();
        let was_by_assert = entry.replace_upstream_by_assert(by_assert);
        if old == new {
            return false;
        }
        let join_timer = entry.join_timer();
        self.set_join_timer(key, None);
        let Some(entry) = self.tib.get_mut(key) else { return false };
        entry.set_upstream_neighbor(new);
        let same_port = old.map(|old| old.port) == new.map(|new| new.port);
        if same_port && (by_assert || was_by_assert) {
            self.set_join_timer(key, join_timer);
            self.upstream_event(now, key, UpstreamEvent::RpfNeighborChangedByAssert);
        } else {
            self.upstream_event(now, key, UpstreamEvent::RpfNeighborChanged { old });
        }
        true
    }

    /// Tells the forwarding table.
    fn install(&mut self, key: MrouteKey) {
        let mroute = if key.source.is_unspecified() { self.mroute_any(key) } else { self.mroute_sg(key) };
        let Some(entry) = self.tib.get_mut(key) else { return };
        if mroute != entry.installed() {
            entry.set_installed(mroute);
            self.outputs.table(match mroute {
                Some(mroute) => TableUpdate::MrouteSet(key, mroute),
                None => TableUpdate::MrouteRemove(key),
            });
        }
    }

    /// Whether nothing is known of it that would not be known without.
    fn is_idle(&self, key: MrouteKey) -> bool {
        let trees = self.trees(key);
        let (entry, olist) = match key.source.is_unspecified() {
            true => (trees.shared, trees.immediate_olist_any()),
            false => (trees.source, trees.immediate_olist_sg()),
        };
        let Some(entry) = entry else { return false };
        let shared_is_idle = entry.shared.as_ref().is_none_or(|shared| {
            !shared.is_kept_alive
                && shared.register == RegisterState::NoInfo
                && shared.rpt.known().is_empty()
                && !shared.excluded.iter().any(|port| self.i_am_dr_of(Some(port)))
                && !self.timers.is_running(TimerKey::RptOverride(key))
        });
        olist.is_empty()
            && !entry.is_pre_joined()
            && entry.joins().is_empty()
            && entry.asserts().is_empty()
            && shared_is_idle
    }

    /// Runs the machine of one (S,G) or (*,G). Joins and prunes leave at the end of the call that caused them, packed together.
    pub(crate) fn upstream_event(&mut self, now: Instant, key: MrouteKey, event: UpstreamEvent) {
        let Some(entry) = self.tib.get_mut(key) else { return };
        let (next, action) = transition(entry.upstream, event);
        let previous = core::mem::replace(&mut entry.upstream, next);
        let neighbor = entry.upstream_neighbor();
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
            UpstreamAction::Override => {
                self.counters.overridden_prunes += 1;
                self.lower_join_timer(now, key);
            }
            UpstreamAction::DecreaseJoinTimer => self.lower_join_timer(now, key),
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
        let way = self.way(entry.root(), key.group);
        let Some(former) = self.tib.set_way(key, way) else { return };
        let old = former.rpf.interface();
        if let Some(port) = old.filter(|_| old != way.rpf.interface()) {
            self.step_assert(now, key, port, AssertEvent::RpfInterfaceMoves, None);
        }
        self.settle(now, key);
    }

    /// Lets a (*,G) grow towards the rendezvous point that its group has now, or nowhere where it has none: the neighbour
    /// towards the former one gets a prune that names it, the new one a join (§4.5.4).
    pub(crate) fn reroot(&mut self, now: Instant, key: MrouteKey) {
        let root = self.root(key).unwrap_or(Ipv6Addr::UNSPECIFIED);
        let Some(former) = self.tib.set_root(key, root) else { return };
        if !former.is_unspecified() {
            self.rendezvous_points.former.insert(key.group, former);
        }
        let neighbor = |router: &Router| router.tib.get(key).and_then(|entry| entry.rpf().neighbor());
        let before = neighbor(self);
        self.reroute(now, key);
        // The same neighbour has to hear of the other rendezvous point.
        if before.is_some() && before == neighbor(self) {
            self.send_join(now, key);
        }
    }

    /// Looks up every source behind this port again.
    pub(crate) fn reroute_port(&mut self, now: Instant, port: PortId) {
        if !self.tib.has_way_over(port) {
            return;
        }
        if self.tib.len() > ENTRIES_A_CALL {
            return self.reroute_prefix(now, Prefix::DEFAULT);
        }
        for key in self.tib.keys_where(|entry| entry.rpf().interface() == Some(port)) {
            self.reroute(now, key);
        }
    }

    /// Runs the join timers of this neighbour's entries, and brings forward as many of those that are due soon as fit
    /// the last packet. What is more than leaves in one call is due after a pause.
    pub(crate) fn join_timer_expires(&mut self, now: Instant, neighbor: LinkNeighbor) {
        let Some(interface) = self.interfaces.get(&neighbor.port) else { return };
        let per_packet = join_prune_builder::joins_per_packet(interface.config.mtu);
        let early = now + self.config.join_prune_period / EARLY_REFRESH_DIVISOR;
        let due = Due { now, early, per_packet, packets: self.joins_left.div_ceil(per_packet) };
        let keys = self.tib.take_due_joins(neighbor, due);
        self.joins_left = self.joins_left.saturating_sub(keys.len());
        for key in keys {
            self.upstream_event(now, key, UpstreamEvent::JoinTimerExpires);
        }
        self.arm_join_timer(neighbor);
        let timer = TimerKey::Join(neighbor);
        if self.timers.deadline(timer).is_some_and(|at| at <= now) {
            self.timers.set(timer, now + PAUSE);
        }
    }

    pub(crate) fn is_neighbor(&self, neighbor: &LinkNeighbor) -> bool {
        self.interfaces
            .get(&neighbor.port)
            .is_some_and(|interface| interface.speaks_pim() && interface.neighbors.contains_key(&neighbor.address))
    }

    fn send_join(&mut self, now: Instant, key: MrouteKey) {
        let Some(neighbor) = self.tib.get(key).and_then(|entry| entry.upstream_neighbor()) else { return };
        self.requests.add(neighbor, key, Request::Join);
        let mtu = self.interfaces.get(&neighbor.port).map_or(0, |interface| interface.config.mtu);
        let per_packet = join_prune_builder::joins_per_packet(mtu);
        // DEVIATION RFC 7761 §4.5.5: JT is less than t_periodic where a burst of joins would be refreshed as one.
        let at = self.tib.next_refresh(&mut self.rng, now, neighbor, per_packet);
        self.set_join_timer(key, Some(at));
    }

    fn suppress_join(&mut self, now: Instant, key: MrouteKey, holdtime: u16) {
        let Some(current) = self.tib.get(key).and_then(|entry| entry.join_timer()) else { return };
        if !self.upstream_interface(key).is_some_and(Interface::suppression_enabled) {
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
        let current = self.tib.get(key).and_then(|entry| entry.join_timer());
        let Some(interface) = self.upstream_interface(key) else { return };
        let interval = interface.effective_override_interval();
        let until = now + self.rng.duration(Duration::ZERO..interval);
        if current.is_none_or(|current| current > until) {
            self.set_join_timer(key, Some(until));
        }
    }

    fn upstream_interface(&self, key: MrouteKey) -> Option<&Interface> {
        self.interfaces.get(&self.tib.get(key)?.upstream_neighbor()?.port)
    }

    pub(crate) fn set_join_timer(&mut self, key: MrouteKey, at: Option<Instant>) {
        let Some(neighbor) = self.tib.get(key).and_then(|entry| entry.upstream_neighbor()) else { return };
        self.tib.set_join_timer(key, at);
        self.arm_join_timer(neighbor);
    }

    fn arm_join_timer(&mut self, neighbor: LinkNeighbor) {
        let timer = TimerKey::Join(neighbor);
        match self.tib.next_join(neighbor) {
            Some(at) if self.timers.deadline(timer) == Some(at) => {}
            Some(at) => self.timers.set(timer, at),
            None => {
                self.timers.cancel(timer);
            }
        }
    }
}

/// More changes of state than one event can cause in an entry.
const MAX_ROUNDS: usize = 16;

/// Joins that are due within this part of t_periodic may fill a packet that leaves now.
const EARLY_REFRESH_DIVISOR: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

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
            (Event::SeePrune, (NotJoined, Action::None), (Joined, Action::Override)),
            (Event::RpfNeighborChangedByAssert, (NotJoined, Action::None), (Joined, Action::DecreaseJoinTimer)),
            (Event::RpfNeighborChanged { old }, (NotJoined, Action::None), (Joined, Action::SwitchNeighbor { old })),
            (Event::GenerationIdChanged, (NotJoined, Action::None), (Joined, Action::Refresh)),
        ] {
            assert_eq!(transition(NotJoined, event), from_not_joined, "NotJoined {event:?}");
            assert_eq!(transition(Joined, event), from_joined, "Joined {event:?}");
        }
    }
}
