//! How a binding comes, lasts and goes: what changes for the data plane first, then the events.

use super::MobilityManagementAgent;
use super::event::{Event, Removal};
use super::reception::Received;
use crate::auth::Authenticated;
use crate::binding::Binding;
use crate::registration::{Admission, Gre, Refusal, Terms};
use core::net::Ipv6Addr;
use stack::tables::{BindingState, MmaBinding, TableUpdate};
use stack::time::Instant;
use stack::wire::mobility::option::GreKey;
use stack::wire::mobility::{BindingUpdate, Lifetime, Status};

/// Why a binding goes.
pub(super) enum Removed {
    Expired,
    By(Removal),
}

/// What an accepted registration got.
pub(super) struct Granted {
    pub(super) status: Status,
    pub(super) care_of: Ipv6Addr,
    pub(super) group: Ipv6Addr,
    pub(super) gre_key: Option<GreKey>,
    pub(super) lifetime: Lifetime,
}

impl MobilityManagementAgent {
    /// Makes or refreshes the binding. A refresh leaves care-of address and GRE key as they are, and the data plane
    /// alone where nothing changes for it.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        authenticated: &Authenticated,
        received: &Received<'_>,
        update: &BindingUpdate,
        terms: Terms,
    ) -> Result<Granted, Refusal> {
        let (home_address, access_address) = (received.home_address(), received.source);
        let bound = self.bindings.find(home_address);
        let bound_key = bound.and_then(|binding| binding.gre_key);
        let care_of = match bound {
            Some(binding) => binding.care_of,
            None => self.care_of_pool.assign(now, home_address, access_address)?,
        };
        let gre_key = match terms.gre {
            Gre::Granted => bound_key.or_else(|| Some(self.rng.next_u64() as u32)),
            Gre::No | Gre::NotRequired => None,
        };
        let lifetime = terms.lifetime.duration();
        let binding = Binding {
            home_address,
            care_of,
            group: terms.group,
            home_agent: terms.home_agent,
            gre_key,
            access_address,
            sequence: update.sequence,
            state: BindingState::Active,
            principal: authenticated.principal.clone(),
            expires_at: now + lifetime,
            forward_until: None,
        };
        let replaced = self.install(now, binding);
        self.counters.group_regranted += u64::from(terms.regranted);
        if replaced.is_some() {
            self.counters.refreshed += 1;
            self.outputs.event(Event::Refreshed { home_address, access_address, lifetime });
        } else {
            self.counters.registered += 1;
            let (group, home_agent) = (terms.group, terms.home_agent);
            self.outputs.event(Event::Registered {
                home_address,
                care_of,
                group,
                home_agent,
                access_address,
                lifetime,
            });
        }
        Ok(Granted {
            status: if terms.gre == Gre::NotRequired { Status::GRE_KEY_NOT_REQUIRED } else { Status::ACCEPTED },
            care_of,
            group: terms.group,
            gre_key: gre_key.map(|key| GreKey { key: Some(key) }),
            lifetime: terms.lifetime,
        })
    }

    /// Puts a binding in the place of the one that there may be, and in the data plane where it changes there.
    pub(super) fn install(&mut self, now: Instant, binding: Binding) -> Option<Binding> {
        let home_address = binding.home_address;
        self.timers.set(home_address, binding.expires_at);
        let entry = self.entry(&binding);
        let replaced = self.bindings.insert(binding);
        if replaced.as_ref().is_none_or(|replaced| self.entry(replaced) != entry) {
            self.outputs.table(TableUpdate::MmaBindingSet(home_address, entry));
        }
        self.follow_binding(now, home_address);
        replaced
    }

    /// A binding as the data plane has it. An anchor point's tunnels start at its address (RFC 5380 §6.1), those to
    /// groups at the groups' source.
    pub(super) fn entry(&self, binding: &Binding) -> MmaBinding {
        let source = match binding.state {
            BindingState::Anchor => self.config.address,
            BindingState::Active | BindingState::Forward { .. } => self.config.source,
        };
        MmaBinding { optimise: self.optimises(binding), ..binding.entry(source) }
    }

    /// Removes a binding, where there is one.
    pub(super) fn remove(&mut self, now: Instant, home_address: Ipv6Addr, why: Removed) {
        let Some(Binding { care_of, group, state, .. }) = self.bindings.remove(home_address) else { return };
        self.timers.cancel(home_address);
        self.follow_binding(now, home_address);
        self.outputs.table(TableUpdate::MmaBindingRemove(home_address));
        self.counters.quarantine_cut_short += self.care_of_pool.release(now, home_address, care_of);
        match why {
            Removed::Expired if let BindingState::Forward { to, .. } = state => {
                self.counters.forwarded += 1;
                self.outputs.event(Event::ForwardingEnded { home_address, care_of, to });
            }
            Removed::Expired => {
                self.counters.expired += 1;
                self.outputs.event(Event::Expired { home_address, care_of, group });
            }
            Removed::By(by) => {
                *match by {
                    Removal::Terminal => &mut self.counters.deregistered,
                    Removal::Operator | Removal::Stop => &mut self.counters.revoked,
                } += 1;
                self.outputs.event(Event::Deregistered { home_address, care_of, group, by });
            }
        }
        self.tell_if_drained();
    }

    pub(super) fn tell_if_drained(&mut self) {
        if self.admission == Admission::Draining && self.bindings.len() == 0 {
            self.outputs.event(Event::Drained);
        }
    }
}
