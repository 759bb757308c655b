//! Bindings of the anchor point (RFC 5380 §6.2).

use super::MobilityManagementAgent;
use super::event::Event;
use super::reception::Received;
use crate::auth::Authenticated;
use crate::binding::Binding;
use crate::registration::Refusal;
use core::net::Ipv6Addr;
use stack::tables::BindingState;
use stack::time::Instant;
use stack::wire::mobility::{BindingUpdate, Lifetime};

impl MobilityManagementAgent {
    /// Binds the regional address to the source of the update.
    pub(super) fn bind_anchor(
        &mut self,
        now: Instant,
        authenticated: &Authenticated,
        received: &Received<'_>,
        update: &BindingUpdate,
        lifetime: Lifetime,
    ) -> Result<(), Refusal> {
        let (regional_address, access_address) = (received.home_address(), received.source);
        if self.bindings.find(regional_address).is_none() {
            self.care_of_pool.claim(now, regional_address).map_err(|_| Refusal::RegionalTaken)?;
        }
        let replaced = self.install(
            now,
            Binding {
                home_address: regional_address,
                care_of: regional_address,
                group: access_address,
                home_agent: Ipv6Addr::UNSPECIFIED,
                gre_key: None,
                access_address,
                sequence: update.sequence,
                state: BindingState::Anchor,
                principal: authenticated.principal.clone(),
                expires_at: now + lifetime.duration(),
                forward_until: None,
            },
        );
        let lifetime = lifetime.duration();
        if replaced.is_none() {
            self.counters.anchored += 1;
            self.outputs.event(Event::Anchored { regional_address, access_address, lifetime });
        } else {
            self.counters.refreshed += 1;
            self.outputs.event(Event::Refreshed { home_address: regional_address, access_address, lifetime });
        }
        Ok(())
    }
}
