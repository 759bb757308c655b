//! Registers (RFC 7761 §4.4): the packets of a source on one of our links go to the rendezvous point in Register messages
//! until it says that it has them another way; and what a rendezvous point answers to them.
//!
//! The machine of a designated router (§4.4.1):
//!
//! ```text
//!             | Register-Stop     | CouldRegister | CouldRegister | Register-Stop      | RP changed
//!             | Timer expires     | -> True       | -> False      | received           |
//! NoInfo      | -                 | J, add tunnel | -             | -                  | -
//! Join        | -                 | -             | NI, remove    | P, remove, set RST | J, update tunnel
//! JoinPending | J, add tunnel     | -             | NI            | P, set RST         | J, add, cancel RST
//! Prune       | JP, set RST,      | -             | NI            | -                  | J, add, cancel RST
//!             | send Null-Register |              |               |                    |
//! ```

use crate::instance::{Router, TimerKey};
use crate::interface::Interface;
use crate::wire::{self, MessageType, Register, RegisterStop};
use core::net::Ipv6Addr;
use stack::addr;
use stack::machine::{PortId, Via};
use stack::tables::{MrouteKey, RegisterTunnel, Route};
use stack::time::{Duration, Instant};

/// Register_Probe_Time (§4.11).
pub(crate) const REGISTER_PROBE_TIME: Duration = Duration::from_secs(5);

/// State of a designated router for one (S,G).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RegisterState {
    /// The source is none of ours, or sends nothing.
    #[default]
    NoInfo,
    /// Its packets go to the rendezvous point in Register messages.
    Join,
    /// The rendezvous point does not want them that way.
    Prune,
    /// It was asked whether that is still so.
    JoinPending,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RegisterEvent {
    RegisterStopTimerExpires,
    CouldRegister,
    CouldNotRegister,
    ReceiveRegisterStop,
    RendezvousPointChanges,
}

/// What is to be done beside the change of state. The register tunnel is there in the state Join.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RegisterAction {
    None,
    /// RST := rand(0.5, 1.5) * Register_Suppression_Time - Register_Probe_Time.
    SetTimer,
    /// RST := Register_Probe_Time; send a Null-Register.
    Probe,
    CancelTimer,
}

/// The table.
pub(crate) fn transition(state: RegisterState, event: RegisterEvent) -> (RegisterState, RegisterAction) {
    use RegisterAction as Action;
    use RegisterEvent as Event;
    use RegisterState::{Join, JoinPending, NoInfo, Prune};
    match (state, event) {
        (NoInfo, Event::CouldRegister) => (Join, Action::None),
        (Join | JoinPending | Prune, Event::CouldNotRegister) => (NoInfo, Action::CancelTimer),
        (Join | JoinPending, Event::ReceiveRegisterStop) => (Prune, Action::SetTimer),
        (JoinPending, Event::RegisterStopTimerExpires) => (Join, Action::None),
        (Prune, Event::RegisterStopTimerExpires) => (JoinPending, Action::Probe),
        (JoinPending | Prune, Event::RendezvousPointChanges) => (Join, Action::CancelTimer),
        (NoInfo | Join | JoinPending | Prune, _) => (state, Action::None),
    }
}

impl Router {
    /// CouldRegister(S,G) := I_am_DR(RPF_interface(S)) AND KeepaliveTimer(S,G) is running AND DirectlyConnected(S) == TRUE.
    /// The rendezvous point itself has the packets already.
    fn could_register(&self, key: MrouteKey) -> bool {
        self.tib.get(key).is_some_and(|entry| entry.is_kept_alive())
            && self.directly_connected(key.source).is_some_and(|port| self.i_am_dr_of(port))
            && self.rendezvous_point(key.group).is_some_and(|point| !self.is_own(point))
    }

    /// DirectlyConnected(S), and the interface on whose subnet it is: none where it is this node on no subnet.
    pub(crate) fn directly_connected(&self, source: Ipv6Addr) -> Option<Option<PortId>> {
        match self.rib.lookup(source)? {
            Route::OnLink(port) => Some(Some(port)),
            Route::Local => {
                let has = |interface: &&Interface| interface.config.addresses.contains(&source);
                Some(self.interfaces.values().find(has).map(|interface| interface.config.port))
            }
            _ => None,
        }
    }

    /// I_am_DR(I), of this node itself too.
    pub(crate) fn i_am_dr_of(&self, port: Option<PortId>) -> bool {
        let Some(port) = port else { return true };
        self.interfaces.get(&port).is_some_and(Interface::is_designated)
    }

    /// Whether it is an address of this node.
    pub(crate) fn is_own(&self, address: Ipv6Addr) -> bool {
        self.rib.lookup(address) == Some(Route::Local)
    }

    /// The register tunnel of an (S,G) in state Join.
    pub(crate) fn register_tunnel(&self, key: MrouteKey) -> Option<RegisterTunnel> {
        if !self.tib.get(key)?.has_register_tunnel() {
            return None;
        }
        let rendezvous_point = self.rendezvous_point(key.group)?;
        Some(RegisterTunnel { source: self.register_source(rendezvous_point)?, rendezvous_point })
    }

    /// The address that the rendezvous point answers to: the configured one, else one on the way there, else any.
    fn register_source(&self, rendezvous_point: Ipv6Addr) -> Option<Ipv6Addr> {
        if let Some(address) = self.config.register_source {
            return Some(address);
        }
        let way = match self.rib.lookup(rendezvous_point)? {
            Route::Via { port, .. } | Route::OnLink(port) => self.interfaces.get(&port),
            _ => None,
        };
        let mut addresses = way.into_iter().chain(self.interfaces.values()).flat_map(|i| &i.config.addresses);
        addresses.find(|&&address| addr::is_routable_unicast(address)).copied()
    }

    /// Runs the machine of one (S,G).
    pub(crate) fn register_event(&mut self, now: Instant, key: MrouteKey, event: RegisterEvent) {
        self.step_register(now, key, event);
        self.settle(now, key);
    }

    fn step_register(&mut self, now: Instant, key: MrouteKey, event: RegisterEvent) {
        let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut()) else { return };
        let (next, action) = transition(shared.register, event);
        shared.register = next;
        let timer = TimerKey::RegisterStop(key);
        match action {
            RegisterAction::None => {}
            RegisterAction::SetTimer => {
                let time = self.config.register_suppression_time;
                let at = self.rng.duration(time / 2..time * 3 / 2).saturating_sub(REGISTER_PROBE_TIME);
                self.timers.set(timer, now + at);
            }
            RegisterAction::Probe => {
                self.timers.set(timer, now + REGISTER_PROBE_TIME);
                self.send_null_register(key);
            }
            RegisterAction::CancelTimer => {
                self.timers.cancel(timer);
            }
        }
    }

    /// What the predicates now say to the machine of an (S,G); whether it changed its state.
    pub(crate) fn settle_register(&mut self, now: Instant, key: MrouteKey) -> bool {
        let Some(shared) = self.tib.get(key).and_then(|entry| entry.shared.as_ref()) else { return false };
        let (before, registered_with) = (shared.register, shared.registered_with);
        let point = self.rendezvous_point(key.group).filter(|_| self.could_register(key));
        let Some(point) = point else {
            if before == RegisterState::NoInfo {
                return false;
            }
            self.step_register(now, key, RegisterEvent::CouldNotRegister);
            return true;
        };
        if before != RegisterState::NoInfo && registered_with != Some(point) {
            self.step_register(now, key, RegisterEvent::RendezvousPointChanges);
        }
        self.step_register(now, key, RegisterEvent::CouldRegister);
        let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut()) else { return false };
        shared.registered_with = Some(point);
        (shared.register, shared.registered_with) != (before, registered_with)
    }

    fn send_null_register(&mut self, key: MrouteKey) {
        let Some(rendezvous_point) = self.rendezvous_point(key.group) else { return };
        let Some(source) = self.register_source(rendezvous_point) else { return };
        let packet = wire::unicast_packet(source, rendezvous_point, MessageType::Register, |into| {
            Register::emit_null(key.source, key.group, into);
        });
        self.counters.tx_null_register += 1;
        self.outputs.transmit(packet, Via::Route);
    }

    /// A Register-Stop of a rendezvous point.
    pub(crate) fn handle_register_stop(&mut self, now: Instant, from: Ipv6Addr, message: RegisterStop) {
        self.counters.rx_register_stop += 1;
        let RegisterStop { group, source } = message;
        if self.rendezvous_point(group) != Some(from) {
            self.counters.drop_register_stop += 1;
            return;
        }
        let keys = match source.is_unspecified() {
            // Of all sources that there are (§4.4.1).
            true => self.tib.sources_of(group),
            false => vec![MrouteKey { source, group }],
        };
        for key in keys {
            self.register_event(now, key, RegisterEvent::ReceiveRegisterStop);
        }
    }

    /// A Register message to one of our addresses. The data in it are the data plane's business; what is answered, and
    /// what becomes of the source's tree, is ours (§4.4.2).
    pub(crate) fn handle_register(&mut self, now: Instant, from: Ipv6Addr, to: Ipv6Addr, key: MrouteKey) {
        self.counters.rx_register += 1;
        let MrouteKey { source, group } = key;
        let is_data = addr::is_routable_unicast(source) && crate::config::is_routable_group(group);
        if !is_data || self.is_own(source) || !addr::is_routable_unicast(from) || !self.is_own(to) {
            self.counters.drop_register += 1;
            return;
        }
        if self.rendezvous_point(group) != Some(to) {
            self.counters.register_not_rendezvous_point += 1;
            return self.send_register_stop(from, to, key);
        }
        let trees = self.trees(key);
        let spt_bit = trees.spt_bit();
        let switch = self.config.spt_switchover.is_desired_at_rendezvous_point(group);
        let stops = spt_bit || switch && trees.inherited_olist_sg().is_empty();
        if stops {
            self.send_register_stop(from, to, key);
        }
        if spt_bit || switch {
            let period = if stops {
                self.config.rp_keepalive_period().max(self.config.keepalive_period)
            } else {
                self.config.keepalive_period
            };
            self.restart_keepalive(now, key, period);
        }
    }

    fn send_register_stop(&mut self, to: Ipv6Addr, from: Ipv6Addr, key: MrouteKey) {
        let message = RegisterStop { group: key.group, source: key.source };
        let packet = wire::unicast_packet(from, to, MessageType::RegisterStop, |into| message.emit(into));
        self.counters.tx_register_stop += 1;
        self.outputs.transmit(packet, Via::Route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event() {
        use RegisterAction as Action;
        use RegisterEvent as Event;
        use RegisterState::{Join, JoinPending, NoInfo, Prune};
        let states = [NoInfo, Join, JoinPending, Prune];
        for (event, expected) in [
            (
                Event::RegisterStopTimerExpires,
                [(NoInfo, Action::None), (Join, Action::None), (Join, Action::None), (JoinPending, Action::Probe)],
            ),
            (
                Event::CouldRegister,
                [(Join, Action::None), (Join, Action::None), (JoinPending, Action::None), (Prune, Action::None)],
            ),
            (
                Event::CouldNotRegister,
                [
                    (NoInfo, Action::None),
                    (NoInfo, Action::CancelTimer),
                    (NoInfo, Action::CancelTimer),
                    (NoInfo, Action::CancelTimer),
                ],
            ),
            (
                Event::ReceiveRegisterStop,
                [(NoInfo, Action::None), (Prune, Action::SetTimer), (Prune, Action::SetTimer), (Prune, Action::None)],
            ),
            (
                Event::RendezvousPointChanges,
                [
                    (NoInfo, Action::None),
                    (Join, Action::None),
                    (Join, Action::CancelTimer),
                    (Join, Action::CancelTimer),
                ],
            ),
        ] {
            for (state, expected) in states.into_iter().zip(expected) {
                assert_eq!(transition(state, event), expected, "{state:?} {event:?}");
            }
        }
    }
}
