//! Sites that the terminal has left: what their agents are asked to do with packets that still arrive there, and how
//! long these are taken (the precedent is RFC 5380 §8).
//!
//! The agent of a site is told when the home agent knows the new place, or at once where nothing comes from the old site
//! any more: forward to the new care-of address, or home, for a while. One that does not forward is told to forget the
//! terminal. One that does not answer is given up; nothing else depends on it. Until forwarding is over, the care-of
//! address of the old site stays the terminal's.

use super::registration::{Registration, Sent, Wish};
use super::{AgentSite, FormerKey, MobileTerminal, Place, Service, Timer, Who};
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::tables::{Route, TableUpdate, TunnelReception};
use stack::time::{Duration, Instant};
use stack::wire::mobility::{BindingAcknowledgement, Lifetime};
use std::collections::BTreeSet;

/// Sites left that are remembered.
pub(super) const MAX_FORMER: usize = 4;

/// How far an agent has been told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Not yet.
    Waiting,
    /// It has been asked.
    Asked,
    /// It forwards.
    Forwarding,
}

/// A site that the terminal has left, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormerSite {
    /// Its agent.
    pub agent: Ipv6Addr,
    /// The care-of address there; `None` where none was granted.
    pub care_of: Option<Ipv6Addr>,
    /// How far the agent has been told.
    pub standing: Standing,
    /// Where it is asked to forward to.
    pub forwards_to: Option<Ipv6Addr>,
    /// Until when the care-of address is kept, as far as that is known.
    pub until: Instant,
}

/// A site that the terminal has left.
#[derive(Clone, Debug)]
pub(super) struct Former {
    pub(super) registration: Registration,
    care_of: Option<Ipv6Addr>,
    standing: Standing,
    /// When forwarding that was granted ends.
    deadline: Option<Instant>,
    /// When the agent has nothing for the terminal any more, whatever it was told.
    until: Instant,
    left: Instant,
}

impl Former {
    fn new(now: Instant, (agent, bound): FormerKey, care_of: Option<Ipv6Addr>, until: Instant) -> Self {
        let registration = Registration::idle(agent, bound);
        Former { registration, care_of, standing: Standing::Waiting, deadline: None, until, left: now }
    }

    /// How long the agent is to forward: what is left of what it granted, or the whole time.
    fn lifetime(&self, now: Instant, forward: Duration) -> Lifetime {
        let left = self.deadline.map_or(forward, |deadline| deadline.since(now));
        Lifetime::at_most(left).max(Lifetime(1))
    }

    /// Whether the address was that of an anchor point.
    fn is_regional(&self) -> bool {
        self.care_of == Some(self.registration.bound)
    }

    /// Asks for what is due.
    fn ask(&mut self, now: Instant, targets: Targets, forward: Duration) {
        let wish = match self.care_of {
            None => Wish::Removal,
            Some(_) if forward.is_zero() => Wish::Removal,
            // DEVIATION RFC 5380 §6.1: at home there is no address on a link of the anchor point's to send to.
            Some(_) if self.is_regional() => targets.local.map_or(Wish::Removal, Wish::Local),
            Some(_) => Wish::Forward(targets.place),
        };
        match self.standing {
            Standing::Waiting => {
                self.registration.ask(wish);
                self.registration.ask_again();
            }
            // It forwards to nobody: that holds wherever the terminal goes.
            Standing::Asked if self.registration.wish == Some(Wish::Removal) => {}
            Standing::Asked => self.registration.ask(wish),
            Standing::Forwarding => {
                let is_worth_it = self.deadline.is_some_and(|deadline| deadline.since(now) >= Lifetime(1).duration());
                if self.registration.wish == Some(wish) || !is_worth_it {
                    return;
                }
                self.registration.ask(wish);
            }
        }
        self.standing = Standing::Asked;
    }
}

/// Where an agent can forward to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Targets {
    /// Where packets for the terminal go now.
    place: Ipv6Addr,
    /// The address on the link, away from home: an anchor point can forward there (RFC 5380 §6.1).
    local: Option<Ipv6Addr>,
}

impl MobileTerminal {
    /// The sites that the terminal has left and whose agents may still have something for it.
    pub fn former_sites(&self) -> impl Iterator<Item = FormerSite> {
        self.formers.iter().map(|(&(agent, _), former)| FormerSite {
            agent,
            care_of: former.care_of,
            standing: former.standing,
            forwards_to: match former.registration.wish {
                Some(Wish::Forward(to) | Wish::Local(to)) => Some(to),
                _ => None,
            },
            until: former.until,
        })
    }

    /// The terminal has left this site. Its agent is told later.
    pub(super) fn left_site(&mut self, now: Instant, site: &AgentSite) {
        let until = site.registration.granted().map_or(now, |granted| granted.expires);
        let key = (site.registration.peer, site.registration.bound);
        self.add_former(Former::new(now, key, Some(site.care_of), until));
    }

    /// An agent was asked for a place that is not wanted any more. It may have granted it.
    pub(super) fn unwanted(&mut self, now: Instant, key: FormerKey) {
        // As long as the agent may have granted it.
        let until = now + self.config.timers.lifetime;
        match self.formers.get_mut(&key) {
            Some(former) => {
                (former.standing, former.deadline, former.until) = (Standing::Waiting, None, former.until.max(until));
                self.timers.set(Timer::Former(key), former.until);
            }
            None => self.add_former(Former::new(now, key, None, until)),
        }
    }

    /// The agent is asked for a place again: nothing that was sent before may overtake that.
    pub(super) fn recall_former(&mut self, key: FormerKey) {
        if let Some(former) = self.formers.get_mut(&key)
            && former.standing == Standing::Asked
        {
            former.registration.rest();
            former.standing = Standing::Waiting;
            self.timers.cancel(Timer::Retransmit(Who::Former(key)));
            self.timers.set(Timer::Former(key), former.until);
        }
    }

    /// The terminal has another place: what the agents were asked for holds no more.
    pub(super) fn recall_formers(&mut self) {
        let forward_elsewhere = |former: &Former| former.registration.wish != Some(Wish::Removal);
        let keys: Vec<_> =
            self.formers.iter().filter(|(_, former)| forward_elsewhere(former)).map(|(&key, _)| key).collect();
        for key in keys {
            self.recall_former(key);
        }
    }

    fn add_former(&mut self, former: Former) {
        let key = (former.registration.peer, former.registration.bound);
        self.forget_former(key);
        if self.formers.len() >= MAX_FORMER {
            let oldest = self.formers.iter().min_by_key(|(_, former)| former.left).map(|(&key, _)| key);
            self.counters.former_forgotten += 1;
            oldest.into_iter().for_each(|oldest| self.forget_former(oldest));
        }
        self.timers.set(Timer::Former(key), former.until);
        self.formers.insert(key, former);
    }

    /// The agent has nothing for the terminal any more, or is its agent again.
    pub(super) fn forget_former(&mut self, key: FormerKey) {
        self.timers.cancel(Timer::Former(key));
        self.timers.cancel(Timer::Retransmit(Who::Former(key)));
        if let Some(former) = self.formers.remove(&key)
            && let Some(care_of) = former.care_of
        {
            if former.is_regional() {
                self.attachment.leave_tunnels_to(care_of, &mut self.outputs);
            } else {
                self.attachment.leave_tunnels_from(care_of, &mut self.outputs);
            }
        }
    }

    /// Where packets for the terminal should go from a site that it has left.
    fn forward_targets(&self) -> Option<Targets> {
        let local = || self.current.and_then(|current| self.links.temporary_address(current));
        match &self.place {
            Place::Nowhere => None,
            Place::Home => Some(Targets { place: self.config.home_address, local: None }),
            Place::Agent(site) => Some(Targets { place: site.care_of, local: local() }),
            Place::Plain(care_of) => Some(Targets { place: *care_of, local: Some(*care_of) }),
        }
    }

    /// Tells the agents of the sites left.
    pub(super) fn tell_former_sites(&mut self, now: Instant) {
        let Some(targets) = self.forward_targets() else { return };
        let candidate = self.candidate.as_ref().map(|(registration, _)| (registration.peer, registration.bound));
        let forward = self.config.timers.forward;
        for (&key, former) in self.formers.iter_mut().filter(|(key, _)| Some(**key) != candidate) {
            former.ask(now, targets, forward);
            if former.standing == Standing::Asked {
                self.timers.cancel(Timer::Former(key));
            }
        }
        self.receive_forwarded();
    }

    /// Whether an agent of a site left has to be told, or has not answered.
    pub(super) fn has_untold_former(&self) -> bool {
        self.formers.values().any(|former| former.standing != Standing::Forwarding)
    }

    /// For how long an agent is asked to forward.
    pub(super) fn forward_lifetime(&self, now: Instant, who: Who) -> Lifetime {
        let forward = self.config.timers.forward;
        match who {
            Who::Former(key) => self.formers.get(&key).map_or(Lifetime::ZERO, |former| former.lifetime(now, forward)),
            _ => Lifetime::ZERO,
        }
    }

    /// A request is out: what it may make come is taken for as long as it may come.
    pub(super) fn former_asked(&mut self, now: Instant, who: Who, lifetime: Lifetime) {
        if let Who::Former(key) = who
            && let Some(former) = self.formers.get_mut(&key)
        {
            former.until = now + lifetime.duration() + self.config.timers.retransmission;
        }
    }

    pub(super) fn former_accepted(
        &mut self,
        now: Instant,
        key: FormerKey,
        sent: Sent,
        message: &BindingAcknowledgement,
    ) {
        let Some(former) = self.formers.get_mut(&key) else { return };
        let lifetime = message.lifetime.min(sent.lifetime);
        if former.registration.wish == Some(Wish::Removal) || lifetime.is_zero() {
            return self.forget_former(key);
        }
        former.registration.rest();
        former.standing = Standing::Forwarding;
        // The agent began before its answer came.
        former.until = now + lifetime.duration();
        former.deadline = Some(former.until);
        self.timers.set(Timer::Former(key), former.until);
    }

    /// An agent that does not forward is told to forget the terminal.
    pub(super) fn former_refused(&mut self, key: FormerKey) {
        match self.formers.get_mut(&key) {
            Some(former) if former.registration.wish != Some(Wish::Removal) => {
                self.counters.forwarding_refused += 1;
                former.registration.ask(Wish::Removal);
            }
            _ => self.forget_former(key),
        }
    }

    /// The agent does not answer. It may have heard.
    pub(super) fn former_lost(&mut self, key: FormerKey) {
        self.counters.agent_lost += 1;
        if let Some(former) = self.formers.get_mut(&key) {
            former.registration.rest();
            former.standing = Standing::Forwarding;
            former.deadline = Some(former.until);
            self.timers.set(Timer::Former(key), former.until);
        }
    }

    /// Tells the data plane which care-of addresses are the terminal's.
    pub(super) fn own_care_of_addresses(&mut self) {
        let present = match &self.place {
            Place::Agent(site) => Some(site.care_of),
            Place::Plain(care_of) => Some(*care_of),
            Place::Home | Place::Nowhere => None,
        };
        let wanted: BTreeSet<Ipv6Addr> =
            self.formers.values().filter_map(|former| former.care_of).chain(present).collect();
        for &care_of in wanted.difference(&self.care_of_addresses) {
            self.outputs.table(TableUpdate::CareOfSet(care_of, self.config.home_address));
        }
        for &care_of in self.care_of_addresses.difference(&wanted) {
            self.outputs.table(TableUpdate::CareOfRemove(care_of));
        }
        self.care_of_addresses = wanted;
        let present = match &self.place {
            Place::Agent(site) if site.group().is_none() => Some(site.care_of),
            _ => None,
        };
        let regional = self.formers.values().filter(|former| former.is_regional());
        let wanted: BTreeSet<Ipv6Addr> = regional.filter_map(|former| former.care_of).chain(present).collect();
        for &care_of in wanted.difference(&self.regional_addresses) {
            self.outputs.table(TableUpdate::RouteSet(Prefix::host(care_of), Route::Local));
        }
        for &care_of in self.regional_addresses.difference(&wanted) {
            self.outputs.table(TableUpdate::RouteRemove(Prefix::host(care_of)));
        }
        self.regional_addresses = wanted;
    }

    /// The tunnels by which packets from sites left reach the terminal where no group brings them.
    pub(super) fn forwarding_tunnels(&self) -> Vec<TunnelReception> {
        let home_address = self.config.home_address;
        let forwarded_to = match &self.place {
            Place::Home => Some(home_address),
            Place::Plain(care_of) => Some(*care_of),
            Place::Agent(site) => Some(site.care_of).filter(|_| site.group().is_none()),
            Place::Nowhere => None,
        };
        let mut tunnels = Vec::new();
        for former in self.formers.values() {
            let Some(care_of) = former.care_of else { continue };
            if !former.is_regional() {
                tunnels.extend(forwarded_to.map(|local| TunnelReception { remote: care_of, local, home_address }));
            } else if let Some(Wish::Local(local)) = former.registration.wish {
                tunnels.extend(self.anchor_tunnels(former.registration.peer, care_of, local));
            }
        }
        tunnels
    }

    /// The tunnels from an anchor point to the terminal's address on its link, and in it from the home agent.
    fn anchor_tunnels(&self, anchor: Ipv6Addr, care_of: Ipv6Addr, local: Ipv6Addr) -> Vec<TunnelReception> {
        let home_address = self.config.home_address;
        let outer = TunnelReception { remote: anchor, local, home_address: care_of };
        let inner = self.home_agent().map(|remote| TunnelReception { remote, local: care_of, home_address });
        [outer].into_iter().chain(inner).collect()
    }

    /// Those of the anchor point where the terminal is, by the address that it was told last.
    pub(super) fn present_anchor_tunnels(&self) -> Vec<TunnelReception> {
        match &self.place {
            Place::Agent(site) => match (site.service, site.registration.wish) {
                (Service::Anchor { .. }, Some(Wish::Local(local))) => {
                    self.anchor_tunnels(site.registration.peer, site.care_of, local)
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Takes packets out of them.
    pub(super) fn receive_forwarded(&mut self) {
        for tunnel in self.forwarding_tunnels().into_iter().chain(self.present_anchor_tunnels()) {
            self.attachment.receive_tunnel(tunnel, &mut self.outputs);
        }
    }
}
