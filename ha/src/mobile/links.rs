//! What the terminal knows of its links: state, signal, the routers that it hears, the addresses that it has.

use super::config::{Config, Radio};
use super::event::{AdvertisedAgent, RouterAdvertisement};
use super::movement::AgentOffer;
use super::router_choice::{Averaging, Candidate, RouterKey, SignalAverage};
use core::net::Ipv6Addr;
use stack::addr::{self, Prefix};
use stack::machine::PortId;
use stack::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Routers kept on a link.
const MAX_ROUTERS: usize = 16;
/// Prefixes kept of a router.
const MAX_PREFIXES: usize = 16;
/// Mobility agents kept of a router.
const MAX_AGENTS: usize = 8;
/// Addresses kept of a port.
const MAX_ADDRESSES: usize = 16;

/// A router that is heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeardRouter {
    /// When its last advertisement came.
    pub heard: Instant,
    /// Until when it is a default router.
    pub expires: Instant,
    prefixes: Vec<(Prefix, Instant)>,
    agents: Vec<HeardAgent>,
    address: Option<Ipv6Addr>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct HeardAgent {
    address: Ipv6Addr,
    preference: u8,
    distance: u8,
    expires: Instant,
}

/// A radio port.
#[derive(Clone, Debug)]
pub struct Link {
    radio: Radio,
    up_since: Option<Instant>,
    signal: Option<SignalAverage>,
    routers: BTreeMap<Ipv6Addr, HeardRouter>,
    addresses: BTreeSet<Ipv6Addr>,
}

impl Link {
    /// Since when the link is up.
    pub const fn up_since(&self) -> Option<Instant> {
        self.up_since
    }

    /// The averaged signal in dBm.
    pub fn signal_dbm(&self) -> Option<i32> {
        self.signal.map(|signal| signal.dbm())
    }

    /// The routers heard.
    pub fn routers(&self) -> impl Iterator<Item = (Ipv6Addr, &HeardRouter)> {
        self.routers.iter().map(|(&address, router)| (address, router))
    }

    /// The usable addresses.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.addresses.iter().copied()
    }

    pub(super) fn has_link_local(&self) -> bool {
        self.addresses.iter().any(|&address| addr::is_link_local(address))
    }
}

/// All radio ports.
#[derive(Clone, Debug)]
pub(super) struct Links {
    links: BTreeMap<PortId, Link>,
    home_address: Ipv6Addr,
    home_prefix: Prefix,
    identifier: u64,
}

impl Links {
    pub(super) fn new(config: &Config) -> Self {
        let link = |radio: &Radio| Link {
            radio: *radio,
            up_since: None,
            signal: None,
            routers: BTreeMap::new(),
            addresses: BTreeSet::new(),
        };
        Links {
            links: config.radios.iter().map(|radio| (radio.port, link(radio))).collect(),
            home_address: config.home_address,
            home_prefix: config.home_prefix,
            identifier: config.eui64.modified(),
        }
    }

    pub(super) fn get(&self, port: PortId) -> Option<&Link> {
        self.links.get(&port)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PortId, &Link)> {
        self.links.iter().map(|(&port, link)| (port, link))
    }

    pub(super) fn set_up(&mut self, now: Instant, port: PortId) -> bool {
        let Some(link) = self.links.get_mut(&port) else {
            return false;
        };
        link.up_since.get_or_insert(now);
        if link.signal.is_none() {
            link.signal = link.radio.initial_signal_dbm.map(|dbm| SignalAverage::new(now, dbm));
        }
        true
    }

    /// What was heard on the link is void: when it comes up again it may be another.
    pub(super) fn set_down(&mut self, port: PortId) -> bool {
        let Some(link) = self.links.get_mut(&port) else {
            return false;
        };
        link.up_since = None;
        link.routers.clear();
        link.addresses.clear();
        true
    }

    pub(super) fn signal(&mut self, now: Instant, port: PortId, dbm: i16, averaging: &Averaging) -> bool {
        let Some(link) = self.links.get_mut(&port) else {
            return false;
        };
        match &mut link.signal {
            Some(signal) => signal.report(now, dbm, averaging),
            None => link.signal = Some(SignalAverage::new(now, dbm)),
        }
        true
    }

    /// Takes note of an advertisement; returns whether there was room for it. A port whose routers are heard is up.
    pub(super) fn advertised(&mut self, now: Instant, advertisement: &RouterAdvertisement) -> bool {
        self.set_up(now, advertisement.port);
        let Some(link) = self.links.get_mut(&advertisement.port) else {
            return false;
        };
        if advertisement.lifetime.is_zero() {
            link.routers.remove(&advertisement.router);
            return true;
        }
        if !link.routers.contains_key(&advertisement.router) && link.routers.len() >= MAX_ROUTERS {
            return false;
        }
        let agent = |agent: &AdvertisedAgent| HeardAgent {
            address: agent.address,
            preference: agent.preference,
            distance: agent.distance,
            expires: now + agent.lifetime,
        };
        let mut agents: Vec<HeardAgent> = advertisement
            .agents
            .iter()
            .filter(|agent| addr::is_routable_unicast(agent.address))
            .take(MAX_AGENTS)
            .map(agent)
            .collect();
        // An agent that the router does not name this time holds for as long as was said; options may come in several
        // advertisements (RFC 4861 §6.2.3), and only a lifetime of zero takes one back (RFC 5380 §9).
        let earlier = link.routers.get(&advertisement.router).into_iter().flat_map(|router| &router.agents);
        let kept = earlier
            .filter(|known| known.expires > now && agents.iter().all(|agent| agent.address != known.address))
            .take(MAX_AGENTS - agents.len())
            .copied()
            .collect::<Vec<_>>();
        agents.extend(kept);
        let router = HeardRouter {
            heard: now,
            expires: now + advertisement.lifetime,
            prefixes: advertisement
                .prefixes
                .iter()
                .take(MAX_PREFIXES)
                .map(|prefix| (prefix.prefix, now + prefix.lifetime))
                .collect(),
            agents,
            address: advertisement.address,
        };
        link.routers.insert(advertisement.router, router);
        true
    }

    pub(super) fn router_lost(&mut self, port: PortId, router: Ipv6Addr) {
        if let Some(link) = self.links.get_mut(&port) {
            link.routers.remove(&router);
        }
    }

    pub(super) fn address_usable(&mut self, port: PortId, address: Ipv6Addr) -> bool {
        let Some(link) = self.links.get_mut(&port) else {
            return false;
        };
        let room = link.addresses.len() < MAX_ADDRESSES;
        if room {
            link.addresses.insert(address);
        }
        room
    }

    pub(super) fn address_removed(&mut self, port: PortId, address: Ipv6Addr) {
        if let Some(link) = self.links.get_mut(&port) {
            link.addresses.remove(&address);
        }
    }

    /// Brings averages and lifetimes up to `now`; the answer is when time alone changes something next.
    pub(super) fn advance(&mut self, now: Instant, averaging: &Averaging) -> Option<Instant> {
        let mut next = None;
        let mut earliest = |at: Instant| next = Some(next.map_or(at, |next: Instant| next.min(at)));
        for link in self.links.values_mut() {
            link.routers.retain(|_, router| router.expires > now);
            for router in link.routers.values_mut() {
                router.prefixes.retain(|&(_, expires)| expires > now);
                earliest(router.expires);
                router.agents.iter().map(|agent| agent.expires).filter(|&at| at > now).for_each(&mut earliest);
                router.prefixes.iter().for_each(|&(_, expires)| earliest(expires));
            }
            if let Some(signal) = &mut link.signal
                && link.up_since.is_some()
            {
                signal.advance(now, averaging);
                signal.next_change(averaging).into_iter().for_each(&mut earliest);
            }
        }
        next
    }

    /// The routers that could be used.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (&port, link) in &self.links {
            let (Some(_), Some(signal)) = (link.up_since, link.signal) else { continue };
            for (&router, heard) in &link.routers {
                candidates.push(Candidate {
                    key: RouterKey { port, router },
                    signal: signal.units(),
                    cost_db: link.radio.cost_db,
                    agent_preference: heard.agents.iter().map(|agent| agent.preference).max().unwrap_or(0),
                    is_home: self.has_home_prefix(heard),
                });
            }
        }
        candidates
    }

    pub(super) fn router(&self, key: RouterKey) -> Option<&HeardRouter> {
        self.links.get(&key.port).filter(|link| link.up_since.is_some())?.routers.get(&key.router)
    }

    /// The address by which other routers know this one.
    pub(super) fn router_address(&self, key: RouterKey) -> Option<Ipv6Addr> {
        self.router(key)?.address
    }

    /// Whether the router is heard on a link that is up.
    pub(super) fn is_alive(&self, key: RouterKey) -> bool {
        self.router(key).is_some()
    }

    /// What the router offers: whether it is on the home link, and its agents.
    pub(super) fn offers(
        &self,
        now: Instant,
        key: RouterKey,
        refused: impl Fn(Ipv6Addr) -> bool,
    ) -> (bool, Vec<AgentOffer>) {
        let Some(router) = self.router(key) else {
            return (false, Vec::new());
        };
        let offer = |agent: &HeardAgent| AgentOffer {
            address: agent.address,
            preference: agent.preference,
            distance: agent.distance,
            valid: agent.expires > now,
            refused: refused(agent.address),
        };
        (self.has_home_prefix(router), router.agents.iter().map(offer).collect())
    }

    fn has_home_prefix(&self, router: &HeardRouter) -> bool {
        router.prefixes.iter().any(|&(prefix, _)| prefix == self.home_prefix)
    }

    /// The temporary care-of address with which the router is used: one in a prefix that it advertises, the one with
    /// the terminal's own interface identifier before others, since mobility agents know the terminal by it.
    pub(super) fn temporary_address(&self, key: RouterKey) -> Option<Ipv6Addr> {
        let link = self.links.get(&key.port).filter(|link| link.up_since.is_some())?;
        let router = link.routers.get(&key.router)?;
        link.addresses
            .iter()
            .copied()
            .filter(|&address| addr::is_routable_unicast(address) && address != self.home_address)
            .filter(|&address| router.prefixes.iter().any(|(prefix, _)| prefix.contains(address)))
            .min_by_key(|&address| (addr::interface_identifier(address) != self.identifier, address))
    }

    /// Whether the address is one of the node's on a radio port.
    pub(super) fn is_own(&self, address: Ipv6Addr) -> bool {
        self.links.values().any(|link| link.addresses.contains(&address))
    }
}
