//! The Home Agents List of a home link (RFC 6275 §10.1, §10.5.1): the other routers that say, by the H bit of their
//! advertisements, that they are home agents too.

use core::net::Ipv6Addr;
use stack::addr;
use stack::rng::Rng;
use stack::time::{Duration, Instant};
use stack::wire::home_link::MAX_ADDRESSES;
use stack::wire::nd::{RouterAdvertisement, lifetime_end};
use std::collections::BTreeMap;

/// Other home agents of a link that are kept.
const MAX_AGENTS: usize = 64;
/// Addresses of one of them.
const MAX_ADDRESSES_OF_ONE: usize = 8;

/// Another home agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtherAgent {
    /// Higher is better.
    pub preference: u16,
    /// When it is forgotten.
    pub until: Instant,
    /// Its addresses, each as long as its prefix is valid.
    addresses: BTreeMap<Ipv6Addr, Instant>,
}

impl OtherAgent {
    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.addresses.keys().copied()
    }
}

/// The list of one link, by link-local address.
#[derive(Clone, Debug, Default)]
pub struct HomeAgentsList {
    agents: BTreeMap<Ipv6Addr, OtherAgent>,
}

impl HomeAgentsList {
    /// What a router said at `now`; `false` where it found no room.
    pub(super) fn take(&mut self, now: Instant, router: Ipv6Addr, advertisement: &RouterAdvertisement) -> bool {
        self.forget(now);
        let information = advertisement.home_agent_information;
        let lifetime_secs = information.map_or(advertisement.lifetime_secs, |information| information.lifetime_secs);
        if !advertisement.home_agent || lifetime_secs == 0 {
            self.agents.remove(&router);
            return true;
        }
        if self.agents.len() >= MAX_AGENTS && !self.agents.contains_key(&router) {
            return false;
        }
        let preference = information.map_or(0, |information| information.preference);
        let until = now + Duration::from_secs(u64::from(lifetime_secs));
        let known = OtherAgent { preference, until, addresses: BTreeMap::new() };
        let agent = self.agents.entry(router).or_insert(known);
        (agent.preference, agent.until) = (preference, until);
        let own = advertisement.prefixes.iter().filter(|prefix| prefix.router_address);
        for prefix in own.filter(|prefix| addr::is_routable_unicast(prefix.address)) {
            let valid = lifetime_end(now, prefix.valid_lifetime_secs);
            if prefix.valid_lifetime_secs == 0 {
                agent.addresses.remove(&prefix.address);
            } else if agent.addresses.len() < MAX_ADDRESSES_OF_ONE || agent.addresses.contains_key(&prefix.address) {
                agent.addresses.insert(prefix.address, valid);
            }
        }
        true
    }

    /// Takes out what has run out.
    pub(super) fn forget(&mut self, now: Instant) {
        self.agents.retain(|_, agent| agent.until > now);
        for agent in self.agents.values_mut() {
            agent.addresses.retain(|_, until| *until > now);
        }
    }

    /// The home agents, by link-local address.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, &OtherAgent)> {
        self.agents.iter().map(|(&router, agent)| (router, agent))
    }

    /// What a discovery reply says, this agent with `own` address and preference included: the best first, equals and the
    /// addresses of one in random order, no more than fit.
    pub(super) fn addresses(&self, own: (Ipv6Addr, u16), rng: &mut Rng) -> Vec<Ipv6Addr> {
        let others = self.agents.values().map(|agent| (agent.preference, agent.addresses().collect()));
        let mut agents: Vec<(u16, Vec<Ipv6Addr>)> = core::iter::once((own.1, vec![own.0])).chain(others).collect();
        shuffle(&mut agents, rng);
        agents.sort_by_key(|&(preference, _)| core::cmp::Reverse(preference));
        let mut addresses = Vec::new();
        for (_, mut of_one) in agents {
            shuffle(&mut of_one, rng);
            addresses.extend(of_one);
        }
        addresses.truncate(MAX_ADDRESSES);
        addresses
    }
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, rng.below(last as u64 + 1) as usize);
    }
}
