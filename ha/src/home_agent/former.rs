//! The care-of address that a terminal had a moment ago: what it sent in its reverse tunnel from there may still be under
//! way when the Binding Update that ends the binding arrives, and was in order when it left.
//!
//! DEVIATION RFC 6275 §10.4.5: such packets are taken for a bounded time, one former address for each home address. Who
//! could send them with a forged source could do so before the update as well; and mobility agents give a care-of address
//! to nobody else for much longer than this.

use super::*;

impl HomeAgent {
    /// The binding ceases to be. An older one that is still remembered gives way.
    pub(super) fn remember_former(&mut self, now: Instant, binding: &Binding) {
        if self.config.former_care_of.is_zero() {
            return;
        }
        let home_address = binding.home_address;
        let (care_of, agent, home_port) = (binding.care_of, binding.agent, binding.home_port);
        let former = HomeBinding { care_of, agent, home_port };
        self.outputs.table(TableUpdate::FormerHomeBindingSet(home_address, former));
        self.timers.set(Timer::Former(home_address), now + self.config.former_care_of);
    }

    /// What was sent from the former care-of address has arrived.
    pub(super) fn former_is_over(&mut self, home_address: Ipv6Addr) {
        self.outputs.table(TableUpdate::FormerHomeBindingRemove(home_address));
    }

    /// The terminal is not to be believed any more: nothing from its former care-of address is taken either.
    pub(super) fn forget_former(&mut self, home_address: Ipv6Addr) {
        if self.timers.cancel(Timer::Former(home_address)) {
            self.outputs.table(TableUpdate::FormerHomeBindingRemove(home_address));
        }
    }
}
