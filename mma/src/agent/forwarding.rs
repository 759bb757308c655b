//! From a binding to one that forwards: the group is free, the care-of address stays the terminal's.

use super::MobilityManagementAgent;
use super::event::Event;
use super::reception::Received;
use crate::binding::Binding;
use crate::forwarding::Forwarding;
use crate::registration::Refusal;
use stack::tables::BindingState;
use stack::time::Instant;
use stack::wire::mobility::{BindingUpdate, Lifetime};

impl MobilityManagementAgent {
    /// Forwards what comes for a binding. Asked again it goes on to where the last request says, but not for longer than
    /// the longest time since the first one.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        update: &BindingUpdate,
        granted: Forwarding,
    ) -> Result<Lifetime, Refusal> {
        let home_address = received.home_address();
        let bound = self.bindings.find(home_address).ok_or(Refusal::NoBinding)?;
        let Forwarding { to, from_home_agent, lifetime } = granted;
        let until = bound.forward_until.unwrap_or(now + self.config.max_forward);
        let lifetime = lifetime.min(Lifetime::at_most(until.since(now))).max(Lifetime(1));
        let state = BindingState::Forward { to, from_home_agent };
        let binding = Binding {
            state,
            access_address: received.source,
            sequence: update.sequence,
            expires_at: until.min(now + lifetime.duration()),
            forward_until: Some(until),
            ..bound.clone()
        };
        let care_of = binding.care_of;
        let replaced = self.install(now, binding);
        if replaced.is_none_or(|replaced| replaced.state != state) {
            self.counters.forwarding += 1;
            self.outputs.event(Event::Forwarding { home_address, care_of, to, lifetime: lifetime.duration() });
        }
        Ok(lifetime)
    }
}
