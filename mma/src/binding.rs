//! The bindings of an agent: home address, care-of address and group of each terminal that is registered, of those that
//! have moved on while their packets are forwarded, and of those that it serves as a plain anchor point.

use crate::auth::Principal;
use core::net::Ipv6Addr;
use stack::addr;
use stack::tables::{BindingState, MmaBinding};
use stack::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// A terminal's registration. Nothing of it changes while the terminal moves inside the site; only
/// [`Binding::remaining`] runs down. That of an anchor point ([`BindingState::Anchor`]) changes with each such move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The home address; the regional one at an anchor point.
    pub home_address: Ipv6Addr,
    /// The care-of address that the agent gave.
    pub care_of: Ipv6Addr,
    /// The terminal's group; its on-link address at an anchor point.
    pub group: Ipv6Addr,
    /// The home agent; unspecified at an anchor point, which does not know it.
    pub home_agent: Ipv6Addr,
    /// GRE key where key and sequence number were agreed.
    pub gre_key: Option<u32>,
    /// The temporary address (LCoA) from which the terminal registered last.
    pub access_address: Ipv6Addr,
    /// Sequence number of the last Binding Update.
    pub sequence: u16,
    /// What becomes of packets.
    pub state: BindingState,
    pub(crate) principal: Principal,
    pub(crate) expires_at: Instant,
    /// When forwarding ends at the latest, however often it is asked for.
    pub(crate) forward_until: Option<Instant>,
}

impl Binding {
    /// What is left of its lifetime.
    pub fn remaining(&self, now: Instant) -> Duration {
        self.expires_at.since(now)
    }

    /// The entry for the data plane.
    pub(crate) fn entry(&self, source: Ipv6Addr) -> MmaBinding {
        MmaBinding {
            care_of: self.care_of,
            group: self.group,
            source,
            home_agent: self.home_agent,
            gre_key: self.gre_key,
            access_identifier: addr::interface_identifier(self.access_address),
            optimise: false,
            state: self.state,
        }
    }
}

/// All bindings, each group with one at the most. A terminal that has moved on has given its group up.
#[derive(Clone, Debug, Default)]
pub(crate) struct BindingTable {
    by_home_address: BTreeMap<Ipv6Addr, Binding>,
    by_group: BTreeMap<Ipv6Addr, Ipv6Addr>,
    /// Care-of addresses with the home addresses that have them: one, unless it is shared.
    by_care_of: BTreeSet<(Ipv6Addr, Ipv6Addr)>,
    /// Regional addresses.
    by_principal: BTreeMap<Principal, Ipv6Addr>,
}

impl BindingTable {
    pub(crate) fn find(&self, home_address: Ipv6Addr) -> Option<&Binding> {
        self.by_home_address.get(&home_address)
    }

    /// The home address whose terminal has this group.
    pub(crate) fn owner_of(&self, group: Ipv6Addr) -> Option<Ipv6Addr> {
        self.by_group.get(&group).copied()
    }

    /// Whether some terminal has this care-of address.
    pub(crate) fn has_care_of(&self, care_of: Ipv6Addr) -> bool {
        self.by_care_of.range(with(care_of)).next().is_some()
    }

    /// The home address whose terminal, and no other, has this care-of address.
    pub(crate) fn only_owner_of(&self, care_of: Ipv6Addr) -> Option<Ipv6Addr> {
        let mut owners = self.by_care_of.range(with(care_of));
        let owner = owners.next().map(|&(_, home_address)| home_address);
        owner.filter(|_| owners.next().is_none())
    }

    /// The regional address that this terminal has at this anchor point.
    pub(crate) fn regional_address_of(&self, principal: &Principal) -> Option<Ipv6Addr> {
        self.by_principal.get(principal).copied()
    }

    /// Inserts or replaces; the group is free or that of the same home address. Returns the binding replaced.
    pub(crate) fn insert(&mut self, binding: Binding) -> Option<Binding> {
        let home_address = binding.home_address;
        if binding.state == BindingState::Anchor {
            self.by_principal.insert(binding.principal.clone(), home_address);
        }
        self.by_care_of.insert((binding.care_of, home_address));
        let taken = (binding.state == BindingState::Active).then_some(binding.group);
        let replaced = self.by_home_address.insert(home_address, binding);
        if let Some(replaced) = &replaced {
            if self.find(home_address).is_some_and(|binding| binding.care_of != replaced.care_of) {
                self.by_care_of.remove(&(replaced.care_of, home_address));
            }
            self.give_up(replaced);
        }
        if let Some(group) = taken {
            let owner = self.by_group.insert(group, home_address);
            debug_assert!(owner.is_none(), "a group has one terminal");
        }
        replaced
    }

    pub(crate) fn remove(&mut self, home_address: Ipv6Addr) -> Option<Binding> {
        let binding = self.by_home_address.remove(&home_address)?;
        self.give_up(&binding);
        self.by_care_of.remove(&(binding.care_of, home_address));
        if binding.state == BindingState::Anchor {
            self.by_principal.remove(&binding.principal);
        }
        Some(binding)
    }

    /// The group that a binding had is free.
    fn give_up(&mut self, binding: &Binding) {
        if binding.state == BindingState::Active {
            self.by_group.remove(&binding.group);
        }
    }

    pub(crate) fn first(&self) -> Option<Ipv6Addr> {
        self.by_home_address.first_key_value().map(|(&home_address, _)| home_address)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.by_home_address.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_home_address.len()
    }
}

fn with(care_of: Ipv6Addr) -> core::ops::RangeInclusive<(Ipv6Addr, Ipv6Addr)> {
    (care_of, Ipv6Addr::UNSPECIFIED)..=(care_of, Ipv6Addr::from_bits(u128::MAX))
}
