//! What a host keeps of a link: its addresses, the prefixes that are on it, its default routers (RFC 4861 §5.1, RFC 4862
//! §5.5).

use super::*;
use crate::wire::nd::RouterPreference;
use std::collections::BTreeSet;

/// Length of the prefixes that addresses are formed of: 128 less the interface identifier's 64 bits (RFC 4291 §2.5.1).
const AUTONOMOUS_PREFIX_LENGTH: u8 = 64;

/// A router, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouterInfo {
    /// The link.
    pub port: PortId,
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// Its preference.
    pub preference: RouterPreference,
    /// When its lifetime ends.
    pub until: Instant,
}

/// An autoconfigured address, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressInfo {
    /// The link.
    pub port: PortId,
    /// The address.
    pub address: Ipv6Addr,
    /// Whether it may be used.
    pub usable: bool,
    /// Whether its preferred lifetime is over.
    pub deprecated: bool,
    /// When its valid lifetime ends.
    pub valid_until: Instant,
}

/// One port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) config: PortConfig,
    pub(super) up: bool,
    /// Its link-layer address is another node's too.
    pub(super) disabled: bool,
    pub(super) solicitations: u32,
    pub(super) addresses: BTreeMap<Ipv6Addr, Address>,
    on_link: BTreeSet<Prefix>,
    routers: BTreeMap<Ipv6Addr, Router>,
    /// Addresses that are another node's: not tried again while the link is up.
    pub(super) duplicates: BTreeSet<Ipv6Addr>,
}

/// An address of this node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) state: Use,
    deprecated: bool,
    valid_until: Instant,
}

/// Whether an address may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// Not yet.
    Tentative,
    /// Detection still runs (RFC 4429).
    Optimistic,
    /// It may.
    Assigned,
}

/// A default router.
#[derive(Clone, Copy, Debug)]
struct Router {
    preference: RouterPreference,
    until: Instant,
}

impl Port {
    pub(super) fn new(config: PortConfig) -> Self {
        Port {
            config,
            up: false,
            disabled: false,
            solicitations: 0,
            addresses: BTreeMap::new(),
            on_link: BTreeSet::new(),
            routers: BTreeMap::new(),
            duplicates: BTreeSet::new(),
        }
    }
}

impl HostAutoconfiguration {
    /// The default routers, by port and address.
    pub fn routers(&self) -> impl Iterator<Item = RouterInfo> {
        self.ports.iter().flat_map(|(&port, state)| {
            state.routers.iter().map(move |(&address, router)| RouterInfo {
                port,
                address,
                preference: router.preference,
                until: router.until,
            })
        })
    }

    /// The addresses, by port and address, link-local ones too.
    pub fn addresses(&self) -> impl Iterator<Item = AddressInfo> {
        self.ports.iter().flat_map(|(&port, state)| {
            state.addresses.iter().map(move |(&address, own)| AddressInfo {
                port,
                address,
                usable: own.state != Use::Tentative,
                deprecated: own.deprecated,
                valid_until: own.valid_until,
            })
        })
    }

    /// The prefixes that are on the links, by port.
    pub fn on_link_prefixes(&self) -> impl Iterator<Item = (PortId, Prefix)> {
        self.ports.iter().flat_map(|(&port, state)| state.on_link.iter().map(move |&prefix| (port, prefix)))
    }

    /// A Prefix Information option (RFC 4861 §6.3.4, RFC 4862 §5.5.3).
    pub(super) fn prefix(&mut self, now: Instant, id: PortId, information: &PrefixInformation) {
        let prefix = information.prefix();
        if addr::is_link_local(prefix.address()) || prefix.address().is_multicast() || prefix.length() == 0 {
            self.counters.drop_prefix += 1;
            return;
        }
        if information.on_link {
            self.on_link(now, id, prefix, information.valid_lifetime_secs);
        }
        if information.autonomous {
            self.autonomous(now, id, prefix, information);
        }
    }

    fn on_link(&mut self, now: Instant, id: PortId, prefix: Prefix, valid_lifetime_secs: u32) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if valid_lifetime_secs == 0 {
            return self.off_link(id, prefix);
        }
        if !port.on_link.contains(&prefix) {
            if port.on_link.len() >= port.config.max_prefixes {
                self.counters.drop_prefix_limit += 1;
                return;
            }
            port.on_link.insert(prefix);
            self.outputs.table(TableUpdate::RouteSet(prefix, Route::OnLink(id)));
        }
        self.ends(Timer::OnLink(id, prefix), lifetime_end(now, valid_lifetime_secs));
    }

    /// A prefix is no longer on the link. Where it is on another port's link too, the route goes there.
    pub(super) fn off_link(&mut self, id: PortId, prefix: Prefix) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if !port.on_link.remove(&prefix) {
            return;
        }
        self.timers.cancel(Timer::OnLink(id, prefix));
        let other = self.ports.iter().find(|(_, port)| port.on_link.contains(&prefix));
        self.outputs.table(match other {
            Some((&other, _)) => TableUpdate::RouteSet(prefix, Route::OnLink(other)),
            None => TableUpdate::RouteRemove(prefix),
        });
    }

    /// A prefix to form an address of (RFC 4862 §5.5.3).
    fn autonomous(&mut self, now: Instant, id: PortId, prefix: Prefix, information: &PrefixInformation) {
        let (valid, preferred) = (information.valid_lifetime_secs, information.preferred_lifetime_secs);
        if preferred > valid || prefix.length() != AUTONOMOUS_PREFIX_LENGTH {
            self.counters.drop_prefix += 1;
            return;
        }
        let Some(port) = self.ports.get_mut(&id) else { return };
        let address = with_interface_identifier(prefix.address(), port.config.identifier());
        let (valid_until, preferred_until) = (lifetime_end(now, valid), lifetime_end(now, preferred));
        let Some(own) = port.addresses.get_mut(&address) else {
            if valid == 0 || port.duplicates.contains(&address) {
                return;
            }
            // The link-local address is one of them.
            if port.addresses.len() + port.duplicates.len() > port.config.max_prefixes {
                self.counters.drop_prefix_limit += 1;
                return;
            }
            return self.add_address(id, address, valid_until, preferred_until);
        };
        let two_hours = now + MIN_VALID_LIFETIME;
        if valid_until > two_hours || valid_until > own.valid_until {
            own.valid_until = valid_until;
        } else if own.valid_until > two_hours {
            own.valid_until = two_hours;
        }
        let revived = own.deprecated && preferred > 0;
        own.deprecated &= preferred == 0;
        let (until, optimistic) = (own.valid_until, own.state == Use::Optimistic);
        let revived = revived && own.state != Use::Tentative;
        self.ends(Timer::Valid(id, address), until);
        if revived {
            self.outputs.event(Event::AddressUsable { port: id, address, optimistic });
        }
        if preferred == 0 {
            self.deprecate(id, address);
        } else {
            self.ends(Timer::Preferred(id, address), preferred_until);
        }
    }

    /// Lets a lifetime end at `at`, or never.
    fn ends(&mut self, timer: Timer, at: Instant) {
        if at < Instant::FAR_FUTURE {
            self.timers.set(timer, at);
        } else {
            self.timers.cancel(timer);
        }
    }

    /// Adds an address and has it taken into use.
    pub(super) fn add_address(
        &mut self,
        id: PortId,
        address: Ipv6Addr,
        valid_until: Instant,
        preferred_until: Instant,
    ) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        port.addresses.insert(address, Address { state: Use::Tentative, deprecated: false, valid_until });
        let dad = port.config.dad;
        self.ends(Timer::Valid(id, address), valid_until);
        self.ends(Timer::Preferred(id, address), preferred_until);
        let add = neighbor::Command::AddAddress { port: id, address, dad, delivery: Delivery::Local };
        self.outputs.event(Event::Neighbor(add));
    }

    /// The preferred lifetime of an address is over.
    pub(super) fn deprecate(&mut self, id: PortId, address: Ipv6Addr) {
        let Some(own) = self.ports.get_mut(&id).and_then(|port| port.addresses.get_mut(&address)) else { return };
        self.timers.cancel(Timer::Preferred(id, address));
        if !core::mem::replace(&mut own.deprecated, true) {
            self.outputs.event(Event::AddressDeprecated { port: id, address });
        }
    }

    /// The valid lifetime of an address is over, or the link is gone.
    pub(super) fn remove_address(&mut self, id: PortId, address: Ipv6Addr) {
        let Some(own) = self.ports.get_mut(&id).and_then(|port| port.addresses.remove(&address)) else { return };
        self.timers.cancel(Timer::Valid(id, address));
        self.timers.cancel(Timer::Preferred(id, address));
        self.outputs.event(Event::Neighbor(neighbor::Command::RemoveAddress { port: id, address }));
        if own.state != Use::Tentative {
            self.outputs.event(Event::AddressRemoved { port: id, address });
        }
    }

    /// An address came into use.
    pub(super) fn usable(&mut self, id: PortId, address: Ipv6Addr, optimistic: bool) {
        let Some(own) = self.ports.get_mut(&id).and_then(|port| port.addresses.get_mut(&address)) else { return };
        own.state = if optimistic { Use::Optimistic } else { Use::Assigned };
        self.outputs.event(Event::AddressUsable { port: id, address, optimistic });
    }

    /// An address is another node's. A link-local one made from the link-layer address says that this is another node's
    /// too: the port is then not used until its link goes down (RFC 4862 §5.4.5).
    pub(super) fn duplicate(&mut self, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if port.addresses.remove(&address).is_none() {
            return;
        }
        port.duplicates.insert(address);
        self.counters.address_duplicate += 1;
        self.timers.cancel(Timer::Valid(id, address));
        self.timers.cancel(Timer::Preferred(id, address));
        let hardware = port.config.interface_identifier == InterfaceIdentifier::ModifiedEui64;
        self.outputs.event(Event::AddressDuplicate { port: id, address });
        if hardware && addr::is_link_local(address) {
            self.timers.cancel(Timer::Solicit(id));
            self.give_up(id);
            if let Some(port) = self.ports.get_mut(&id) {
                port.disabled = true;
            }
            self.choose_default_router();
        }
    }

    /// What an advertisement says about its router (RFC 4861 §6.3.4). Lifetime zero is the caller's to treat.
    pub(super) fn router(&mut self, now: Instant, id: PortId, address: Ipv6Addr, said: &RouterAdvertisement) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if said.lifetime_secs == 0 {
            return;
        }
        if !port.routers.contains_key(&address) && port.routers.len() >= port.config.max_routers {
            self.counters.drop_router += 1;
            return;
        }
        let until = lifetime_end(now, u32::from(said.lifetime_secs));
        port.routers.insert(address, Router { preference: said.preference, until });
        self.timers.set(Timer::Router(id, address), until);
    }

    /// A router is none any more.
    pub(super) fn lose_router(&mut self, id: PortId, router: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if port.routers.remove(&router).is_some() {
            self.timers.cancel(Timer::Router(id, router));
            self.outputs.event(Event::RouterLost { port: id, router });
        }
    }

    /// Points the default route to the best router: the highest preference, then the one it points to, then the first.
    pub(super) fn choose_default_router(&mut self) {
        let candidates = self.ports.iter().filter(|(_, port)| port.config.default_route == DefaultRoute::Best);
        let candidates = candidates.flat_map(|(&id, port)| {
            port.routers.iter().map(move |(&address, router)| (router.preference, (id, address)))
        });
        let best = candidates.max_by_key(|&(preference, router)| {
            (preference, Some(router) == self.default_router, core::cmp::Reverse(router))
        });
        let best = best.map(|(_, router)| router);
        if best == self.default_router {
            return;
        }
        self.default_router = best;
        self.outputs.table(match best {
            Some((port, next_hop)) => TableUpdate::RouteSet(Prefix::DEFAULT, Route::Via { port, next_hop }),
            None => TableUpdate::RouteRemove(Prefix::DEFAULT),
        });
    }

    /// Gives up everything that came from a link.
    pub(super) fn give_up(&mut self, id: PortId) {
        let Some(port) = self.ports.get(&id) else { return };
        let routers: Vec<Ipv6Addr> = port.routers.keys().copied().collect();
        let prefixes: Vec<Prefix> = port.on_link.iter().copied().collect();
        let addresses: Vec<Ipv6Addr> = port.addresses.keys().copied().collect();
        for router in routers {
            self.lose_router(id, router);
        }
        for prefix in prefixes {
            self.off_link(id, prefix);
        }
        for address in addresses {
            self.remove_address(id, address);
        }
    }
}
